"""A phase diagram in one call: parameters may be arrays.

The gradient of a deep tanh network grows or shrinks by chi = s^2 E tanh'(h)^2 per layer. Weight std runs along one axis and
bias variance along the other; the ordered phase is chi < 1, the chaotic phase chi > 1.
"""

import sys

import numpy as np

import rmtp

stds, biases = np.linspace(0.5, 2.5, 21)[:, None], np.linspace(0, 0.5, 11)[None, :]
n = rmtp.Dim("n")
spread = rmtp.parameter(np.sqrt(biases))

h = rmtp.Normal(n)
for _ in range(12):
    h = rmtp.Gaussian(n, n, std=stds) @ np.tanh(h) + spread * rmtp.Normal(n)
slope = 1 - np.tanh(h) ** 2
chi = rmtp.parameter(stds**2) * np.mean(slope**2)

answer = rmtp.limit(chi)
print("chi, rows std = 0.5 .. 2.5, columns bias variance 0, .25, .5")
for std, row in zip(stds[::4, 0], answer.value[::4, ::5]):
    print(f"std {std:.1f}: ", "  ".join(f"{value:.4f}" for value in row))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        image = ax.pcolormesh(biases[0], stds[:, 0], answer.value, cmap="RdBu_r", vmin=0, vmax=2, shading="nearest")
        ax.contour(biases[0], stds[:, 0], answer.value, levels=[1], colors="black")
        ax.text(0.3, 1.7, "χ = 1")
        ax.text(0.3, 2.2, "chaos")
        ax.text(0.3, 0.75, "order", color="white")
        fig.colorbar(image, label="χ, gradient growth per layer")
        ax.set_xlabel("variance of the biases")
        ax.set_ylabel("standard deviation of the weights")
        ax.grid(False)
    fig.savefig(sys.argv[1])
