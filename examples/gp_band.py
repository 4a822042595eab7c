"""What an infinitely wide erf network believes about a function it saw at seven points, and where training takes it.

Left: the posterior of the NNGP kernel. Right: the ensemble of networks trained by gradient descent from random weights, with
mean and spread of the NTK. Both pass through the data; away from it they differ in how sure they are.
"""

import sys

import numpy as np
from scipy.special import erf

import rmtp
from rmtp.regression import predict

n = rmtp.Dim("n")


def net(x):
    for _ in range(2):
        x = erf(rmtp.networks.dense(x, n, 2, 1.5))
    return rmtp.readout(x, 2)


x = np.array([-1.6, -1.1, -0.6, 0.0, 0.5, 0.9, 1.7])[:, None]
y = np.sin(2 * x[:, 0])
grid = np.linspace(-3, 3, 201)[:, None]

fits = {kind: predict(net, x, y, grid, kind=kind, noise=1e-6) for kind in ("nngp", "ntk")}
seen = np.abs(grid[:, 0]) < 1.5
for kind, fit in fits.items():
    error = np.sqrt(np.mean((fit.mean - np.sin(2 * grid[:, 0]))[seen] ** 2))
    print(f"{kind:4s}  between the data: rms error {error:.4f}, sd {fit.std[seen].mean():.4f}; ", end="")
    print(f"sd at x = -3 and 3: {fit.std[0]:.4f}, {fit.std[-1]:.4f}")
print(f"log marginal likelihood of the NNGP kernel: {fits['nngp'].log_marginal_likelihood:.3f}")

early = predict(net, x, y, grid, kind="ntk", time=1.0)
print(f"ntk at time 1: sd {early.std[seen].mean():.4f} between the data")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12.5, 5, 1, 2)
        for ax, (kind, fit) in zip(axes, fits.items()):
            fit.plot(ax=ax, samples=4, label=kind.upper())
            ax.plot(grid, np.sin(2 * grid), "--", color=plots.GREY, linewidth=1.6, label="truth sin 2x")
            ax.set_ylim(-2.2, 3.4)
            ax.legend(loc="upper left", ncols=2)
        axes[0].set_title("posterior", loc="left")
        axes[1].set_title("trained ensemble", loc="left")
    fig.savefig(sys.argv[1])
