"""The phase diagram of compressed sensing without noise: all its points in one broadcast call.

The parameters of the problem are arrays, one entry per pixel. Each column uses the threshold that is best at the transition,
delta = 2 phi(a) / (a + 2 (phi(a) - a Phi(-a))); the curve is `donoho_tanner`.
"""

import sys
from functools import partial

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

import rmtp
from rmtp import amp


def threshold(delta):
    def gap(a):
        return 2 * norm.pdf(a) / (a + 2 * (norm.pdf(a) - a * norm.cdf(-a))) - delta

    return brentq(gap, 1e-3, 10)


columns, rows = np.linspace(0.05, 0.95, 21), np.linspace(0.03, 0.87, 22)
delta, rho = np.meshgrid(columns, rows)
alpha = rmtp.parameter(np.broadcast_to([threshold(d) for d in columns], delta.shape))
problem = amp.linear_model(delta, amp.bernoulli_gauss(delta * rho), 1e-10)
found = rmtp.state_evolution(partial(amp.amp, denoiser=amp.soft(alpha)), problem, 100)
left = found.mse.value[-1] / (delta * rho)

curve = amp.donoho_tanner(columns)
print(f"{left.size} problems, 100 steps each; recovered: {np.mean(left < 1e-2):.1%} of the square")
print(f"below the curve: {np.mean(rho < curve):.1%}")
for d in (2, 10, 18):
    print(f"delta = {columns[d]:.3f}: curve {curve[d]:.4f}, last recovered row {rows[left[:, d] < 1e-2].max():.3f}")

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotiterations import plot_phases

    with plots.style():
        fig, ax = plots.figure()
        plot_phases(
            columns,
            rows,
            np.log10(np.clip(left, 1e-3, 1)),
            ax=ax,
            xlabel="observations per unknown δ",
            ylabel="non-zeros per observation ρ",
            label="log₁₀ of error / power after 100 steps",
            curve=(columns, curve, "Donoho–Tanner"),
        )
    fig.savefig(sys.argv[1])
