"""A spike of plus and minus ones in a Wigner matrix: the leading eigenvector (BBP), and Bayes-optimal AMP.

The eigenvector sees the spike for snr > 1, with squared cosine 1 - 1/snr^2. AMP knows the prior and does better wherever there
is anything to see; one call computes all signal-to-noise ratios.
"""

import sys
from functools import partial

import numpy as np

import rmtp
from rmtp import amp


def bayes(snr):
    """E[v | r] for r = snr tau2 v + N(0, tau2) and v = 1 or -1 is tanh(snr r)."""
    return amp.Denoiser(lambda r, tau2: np.tanh(snr * r), lambda r, tau2: snr * (1 - np.tanh(snr * r) ** 2), "tanh")


snr = np.linspace(0.6, 2.6, 41)
problem = amp.informed_start(amp.spiked_wigner(snr, [-1, 1]), 0.1, scale=0.1)
limit = rmtp.state_evolution(partial(amp.spiked_amp, denoiser=bayes(rmtp.parameter(snr))), problem, 60)
cosine = limit.cosine.value[-1]

chosen, n = (0.8, 1.2, 1.6, 2.0, 2.4), 1000
spectral, sampled = [], []
for k, s in enumerate(chosen):
    one = amp.informed_start(amp.spiked_wigner(s, [-1, 1]), 0.1, scale=0.1)
    run = rmtp.simulate(partial(amp.spiked_amp, denoiser=bayes(s)), one, 60, width=n, trials=4, rng=k)
    sampled.append(np.abs(run.overlap[:, -1]) / np.sqrt(run.power[:, -1]))
    rng = np.random.default_rng(k)
    v, G = rng.choice([-1.0, 1.0], n), rng.standard_normal((n, n))
    vector = np.linalg.eigh(s / n * np.outer(v, v) + (G + G.T) / np.sqrt(2 * n))[1][:, -1]
    spectral.append(abs(vector @ v) / np.sqrt(n))
    at = np.interp(s, snr, cosine)
    print(
        f"snr {s}: cosine of AMP {at:.4f}, sampled {np.mean(sampled[-1]):.4f}; eigenvector {np.sqrt(max(0, 1 - 1 / s**2)):.4f}"
    )
    print(f"         of one drawn eigenvector {spectral[-1]:.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        ax.plot(snr, cosine, color=plots.PALETTE[0], label="AMP, 60 steps from cosine 0.1")
        ax.plot(snr, np.sqrt(np.clip(1 - 1 / snr**2, 0, None)), color=plots.PALETTE[1], label="leading eigenvector")
        spread = [2 * np.std(c, ddof=1) / 2 for c in sampled]
        ax.errorbar(chosen, [np.mean(c) for c in sampled], spread, fmt="o", color=plots.PALETTE[0], label="n = 1000")
        ax.plot(chosen, spectral, "s", color=plots.PALETTE[1], label="one draw, n = 1000")
        ax.set_xlabel("signal-to-noise ratio of the spike")
        ax.set_ylabel("|cosine| with the spike")
        ax.legend()
    fig.savefig(sys.argv[1])
