"""Polynomials with symbols: moments of Marchenko-Pastur, gradient descent, and P(g, z) = 0 of some laws."""

import sys
from functools import partial

import numpy as np
import scipy.stats

import rmtp
from rmtp.amp import gradient_descent, linear_model

rho = rmtp.symbol("rho")
n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=rho)
W, v = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="v")

x, moments = v, []
for _ in range(6):
    x = W.T @ (W @ x)
    moments.append(np.mean(v * x))
print("moments of Marchenko-Pastur, Narayana polynomials in the ratio:")
for k, value in enumerate(rmtp.derive(moments).value, start=1):
    print(f"  m_{k} = {value}")

eta, delta, noise = rmtp.symbol("eta"), rmtp.symbol("delta"), rmtp.symbol("sigma2")
descent = partial(gradient_descent, step=eta)
steps = rmtp.derive_recursion(descent, linear_model(delta, scipy.stats.norm(), noise), steps=3)
print("gradient descent:")
for t in range(3):
    print(f"  mse_{t} = {steps.unrolled[f'mse_{t}']}")

X, Y, Q = rmtp.GOE(n, name="X"), rmtp.GOE(n, name="Y"), rmtp.Haar(n, name="Q")
print("P(g, z) = 0:")
for M in (X, W.T @ W, X @ Y + Y @ X, X @ X + Y, Q + Q.T, X + rmtp.diag(rmtp.IID(n, [-1, 1]))):
    print(f"  {M!r:24} {rmtp.derive(rmtp.spectrum(M)).polynomial}")

print(rmtp.derive(np.mean((W.T @ np.tanh(W @ v)) ** 2)).latex())

if len(sys.argv) > 1:
    from rmtp import plots

    shapes, found = np.linspace(0.05, 2, 60), rmtp.derive(moments)
    curves = np.array([found.evaluate(rho=float(r)) for r in shapes], dtype=float)
    at = (0.25, 0.5, 1.0, 1.5, 2.0)
    with plots.style():
        fig, ax = plots.figure(8.4, 5)
        for k, colour in zip(range(1, 5), plots.PALETTE):
            text = str(found.value[k - 1]).replace("**", "^").replace("*", "").replace("rho", r"\rho ")
            ax.plot(shapes, curves[:, k - 1], color=colour, label=f"$m_{k} = {text}$")
            for ratio in at:
                A = np.random.default_rng(k).standard_normal((round(400 * ratio), 400)) / 400**0.5
                ax.plot(ratio, np.trace(np.linalg.matrix_power(A.T @ A, k)) / 400, "o", color=colour)
        ax.set_yscale("log")
        ax.set_xlabel("ratio ρ = rows / columns")
        ax.set_ylabel("moment (points: one matrix, n = 400)")
        ax.legend()
    fig.savefig(sys.argv[1])
