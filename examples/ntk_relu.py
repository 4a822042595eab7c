"""The neural tangent kernel of a ReLU network with two hidden layers: 3/4 |xi|^2 / m + 7/4.

All weights and biases are N(0, 1), scaled by 1/sqrt(fan-in). An input xi of fixed dimension m enters through U xi,
whose coordinates are N(0, |xi|^2 / m).
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

n = rmtp.Dim("n")
W, v = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="v")

for q in (Fraction(1), Fraction(7, 4), Fraction(3)):  # |xi|^2 / m
    h1 = rmtp.Normal(n, cov=q) + rmtp.Normal(n, name="b1")
    x1 = rmtp.relu(h1)
    h2 = W @ x1 + rmtp.Normal(n, name="b2")
    x2 = rmtp.relu(h2)  # f = v . x2 / sqrt(n)

    dh2 = v * np.heaviside(h2, 0)
    dh1 = (W.T @ dh2) * np.heaviside(h1, 0)

    readout = np.mean(x2**2)
    second = np.mean(dh2**2) * (np.mean(x1**2) + 1)  # weights and bias
    first = np.mean(dh1**2) * (q + 1)
    kernel = rmtp.limit(readout + second + first, exact=True)
    print(f"|xi|^2/m = {q}: Theta = {kernel}, 3/4 q + 7/4 = {Fraction(3, 4) * q + Fraction(7, 4)}")

if len(sys.argv) > 1:
    from rmtp import networks, plots

    net = networks.mlp(n, 2, rmtp.relu, 1, 1)
    x = np.sqrt(np.linspace(0, 4, 9))[:, None]  # one input channel: |xi|^2 / m is x^2
    drawn = np.array([np.diag(networks.init(net, 500, seed, (1,)).ntk(x)) for seed in range(30)])
    with plots.style():
        fig, ax = plots.figure()
        ax.plot(x[:, 0] ** 2, 0.75 * x[:, 0] ** 2 + 1.75, label="3/4 |ξ|²/m + 7/4")
        error = 2 * drawn.std(axis=0, ddof=1) / 30**0.5
        ax.errorbar(
            x[:, 0] ** 2, drawn.mean(axis=0), error, fmt="o", capsize=4, label="30 networks of width 500 ± 2 se"
        )
        ax.set_xlabel("size of the input |ξ|²/m")
        ax.set_ylabel("tangent kernel Θ(ξ, ξ)")
        ax.legend()
    fig.savefig(sys.argv[1])
