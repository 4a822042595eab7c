"""Iterative soft thresholding: AMP without its Onsager term.

Every step remembers all earlier ones through Z-Dot. No scalar recursion describes it, yet its limit is as definite.
"""

import sys
from fractions import Fraction

import numpy as np
import scipy.stats

import rmtp

n, m = rmtp.Dim("n"), rmtp.Dim("m", Fraction(1, 2))
A = rmtp.Gaussian(m, n, variance=2, name="A")
x0 = rmtp.IID(n, rmtp.Mixture([0, scipy.stats.norm()], [Fraction(9, 10), Fraction(1, 10)]), name="x0")
y = A @ x0 + rmtp.Normal(m, cov=Fraction(1, 100), name="w")

step, penalty = Fraction(3, 10), Fraction(1, 20)
x, errors = rmtp.constant(n, 0), []
for _ in range(6):
    x = rmtp.soft_threshold(x + step * (A.T @ (y - A @ x)), step * penalty)
    errors.append(np.mean((x - x0) ** 2))

limits, naive = rmtp.limit(errors), rmtp.limit(errors, gradient_independence=True)
drawn = rmtp.sample(errors, width=2000, rng=0, trials=8)
for t, values in enumerate(drawn):
    print(f"step {t + 1}: mse {limits[t]}, sampled {values.mean():.4f}, without Z-Dot {float(naive[t]):.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    fig, ax = plots.figure()
    means, spreads = [v.mean() for v in drawn], [v.std() / 8**0.5 for v in drawn]
    plots.plot_trajectory(range(1, 7), {"mse": limits}, {"mse": (means, spreads)}, {"mse": naive}, ax=ax)
    fig.savefig(sys.argv[1])
