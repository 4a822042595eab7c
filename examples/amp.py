"""Compressed sensing by approximate message passing, and its state evolution.

y = A x0 + w with a sparse x0. The Onsager term cancels the memory of A.T against A; nothing tells the engine so.
"""

import sys
from fractions import Fraction

import numpy as np
import scipy.stats

import rmtp

delta, sparsity = Fraction(1, 2), Fraction(1, 10)
n, m = rmtp.Dim("n"), rmtp.Dim("m", delta)
A = rmtp.Gaussian(m, n, variance=1 / delta, name="A")  # entries of variance 1/m
x0 = rmtp.IID(n, rmtp.Mixture([0, scipy.stats.norm()], [1 - sparsity, sparsity]), name="x0")
y = A @ x0 + rmtp.Normal(m, cov=Fraction(1, 100), name="w")

x, z, errors = 0, y, []
for _ in range(8):
    r, threshold = x + A.T @ z, 1.5 * np.sqrt(np.mean(z**2))
    x = rmtp.soft_threshold(r, threshold)
    onsager = np.mean(np.where(abs(r) > threshold, 1, 0)) / delta
    z = y - A @ x + onsager * z
    errors.append(np.mean((x - x0) ** 2))

limits = rmtp.limit(errors)
drawn = rmtp.sample(errors, width=2000, rng=0, trials=8)
for t, (limit, values) in enumerate(zip(limits, drawn), start=1):
    print(f"step {t}: mse {limit}, sampled {values.mean():.4f} ± {values.std() / 8**0.5:.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    fig, ax = plots.figure()
    means, spreads = [v.mean() for v in drawn], [v.std() / 8**0.5 for v in drawn]
    plots.plot_trajectory(range(1, 9), {"mse": limits}, {"mse": (means, spreads)}, ax=ax, log=True)
    fig.savefig(sys.argv[1])
