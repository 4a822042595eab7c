"""Phase retrieval, y = |A x0|: generalised AMP and amplitude flow, and what the start decides.

From no information the limit never leaves zero overlap, and a finite run starts at a cosine of order n^(-1/2), which amplitude
flow does not outgrow. The leading eigenvector of A.T diag(T(y)) A is a start that anyone can compute; its limit is one as well.
"""

import sys
from functools import partial

import numpy as np
import scipy.stats

import rmtp
from rmtp import amp


def amplitude(y, p):
    """Slope of (y - |p|)^2 / 2."""
    return p - y * np.sign(p)


steps, start = 4, 0.3
gauss, channel = scipy.stats.norm(), amp.phase_retrieval(0.1)
noisy, clean = (amp.generalised_linear_model(4, gauss, c) for c in (channel, np.abs))
gamp = partial(amp.gamp, denoiser=amp.posterior_mean(gauss), channel=channel, variance=1 - start**2)
flow = partial(amp.gradient_descent, step=0.2, loss=amplitude)
spectral = amp.spectral_start(clean, weight=lambda y: np.tanh(y * y - 1))
runs = {
    "generalised AMP": (gamp, amp.informed_start(noisy, start, scale=start)),
    "amplitude flow": (flow, amp.informed_start(clean, start)),
    "amplitude flow, spectral start": (flow, spectral),
}
found = {}
for name, (method, problem) in runs.items():
    limit = rmtp.state_evolution(method, problem, steps).cosine
    drawn = rmtp.simulate(method, problem, steps, width=1000, trials=8, rng=0)
    found[name] = limit.value, np.abs(drawn.overlap) / np.sqrt(drawn.power)
    print(f"{name} ({limit.method}): cosine {np.round(limit.value, 4)}")
    print(f"{'':{len(name)}}  sampled {np.round(found[name][1].mean(axis=0), 4)}")

blind = rmtp.simulate(flow, amp.random_start(clean), 30, width=1000, trials=4, rng=0)
print("amplitude flow from a random start, |cosine| after 30 steps:", end=" ")
print(np.round(np.abs(blind.overlap[:, -1]) / np.sqrt(blind.power[:, -1]), 3))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure(12, 5)
        plots.plot_trajectory(
            range(steps + 1),
            {name: limit for name, (limit, _) in found.items()},
            {name: (c.mean(axis=0), c.std(axis=0, ddof=1) / 8**0.5) for name, (_, c) in found.items()},
            ax=ax,
            ylabel="cosine with the signal",
        )
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    fig.savefig(sys.argv[1])
