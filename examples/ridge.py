"""Ridge regression in high dimension: risk and effective degrees of freedom, by a linear system inside a program.

n samples of p features, y = X beta + noise. The estimate ``(X.T X + lam)^-1 X.T y`` is one line of the program; its risk for
Gaussian features shows the peak at n = p when lam is small, and features with orthogonal samples do not have it. Random
features ``relu(F X.T)`` enter through their Gaussian equivalent, linear part and noise.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

NOISE = 0.25


def risk(X, p, lam):
    """The squared error of beta per coordinate, and the share of the degrees of freedom that is used."""
    beta, probe = rmtp.Normal(p, name="beta"), rmtp.Normal(p, name="probe")
    n = X.rows
    y = X @ beta + rmtp.Normal(n, cov=NOISE, name="noise")
    M = X.T @ X + lam * rmtp.eye(p)
    estimate = rmtp.solve(M, X.T @ y)
    used = 1 - lam * np.mean(probe * rmtp.solve(M, probe))  # (1/p) tr X.T X (X.T X + lam)^-1
    return [np.mean((estimate - beta) ** 2), used]


def bias_and_noise(X, p, lam):
    """The same risk in its two parts, with one system whose right-hand side is free of X: so for any ensemble."""
    a = rmtp.Normal(p, name="a")
    x = rmtp.solve(X.T @ X + lam * rmtp.eye(p), a)
    noise = np.mean(a * x) - lam * np.mean(x**2)  # (1/p) tr X.T X (X.T X + lam)^-2
    return lam**2 * np.mean(x**2) + NOISE * noise


p = rmtp.Dim("p")
ratios = [Fraction(k, 8) for k in (2, 4, 6, 7, 8, 9, 10, 12, 16, 24)]
rows = []
for ratio in ratios:
    n = rmtp.Dim("n", ratio)
    X = rmtp.Gaussian(n, p, name="X")
    values = [[float(v.value) for v in rmtp.limit(risk(X, p, lam))] for lam in (0.01, 0.3)]
    orthogonal = float(rmtp.limit(bias_and_noise(rmtp.Haar(n, p, name="V"), p, 0.3)).value)
    drawn = [float(np.mean(s)) for s in rmtp.sample(risk(X, p, 0.3), width=400, rng=1, trials=4)]
    rows.append((float(ratio), values, orthogonal, drawn))
    print(
        f"n/p = {float(ratio):5.3f}: risk {values[0][0]:.4f} (lam .01), {values[1][0]:.4f} (lam .3, sampled {drawn[0]:.4f}), "
        f"orthogonal {orthogonal:.4f}; degrees of freedom {values[1][1]:.4f} (sampled {drawn[1]:.4f})"
    )

if len(sys.argv) > 1:
    from rmtp import plots

    x = [r[0] for r in rows]
    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        axes[0].plot(x, [r[1][0][0] for r in rows], label="Gaussian, λ = 0.01")
        axes[0].plot(x, [r[1][1][0] for r in rows], label="Gaussian, λ = 0.3")
        axes[0].plot(x, [r[2] for r in rows], "--", label="orthonormal, λ = 0.3")
        axes[0].plot(x, [r[3][0] for r in rows], "ko", label="p = 400, λ = 0.3")
        axes[0].set_yscale("log")
        axes[0].set_xlabel("samples per parameter n/p")
        axes[0].set_ylabel("risk per coordinate")
        axes[0].legend()
        axes[1].plot(x, [r[1][1][1] for r in rows], label="limit, λ = 0.3")
        axes[1].plot(x, [r[3][1] for r in rows], "ko", label="p = 400")
        axes[1].set_xlabel("samples per parameter n/p")
        axes[1].set_ylabel("degrees of freedom / p")
        axes[1].legend()
    fig.savefig(sys.argv[1])
