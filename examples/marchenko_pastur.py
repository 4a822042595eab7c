"""Marchenko-Pastur: moments of A A.T for a rectangular A, at several shapes.

A has m = ratio * n rows and entries of variance 1/n. The moments are Narayana polynomials of the ratio, as exact fractions.
"""

import sys
from fractions import Fraction
from math import comb

import numpy as np

import rmtp

n = rmtp.Dim("n")
rows, drawn = {}, {}
for ratio in (Fraction(2), Fraction(1, 2), Fraction(3, 2)):
    m = rmtp.Dim("m", ratio)
    A, v = rmtp.Gaussian(m, n, name="A"), rmtp.Normal(m, name="v")
    x, moments = v, []
    for _ in range(5):
        x = A @ (A.T @ x)
        moments.append(np.mean(v * x))
    rows[ratio] = rmtp.limit(moments, exact=True)
    drawn[ratio] = rmtp.sample(moments, width=200, rng=0, trials=40)
    print(f"ratio {ratio}:", ", ".join(str(answer.value) for answer in rows[ratio]))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 4.8, 1, 3)
        for ax, (ratio, exact) in zip(axes, rows.items()):
            narayana = [sum(comb(k, j) * comb(k, j + 1) * ratio**j for j in range(k)) / k for k in range(1, 6)]
            means = [np.mean(s) for s in drawn[ratio]]
            errors = [np.std(s, ddof=1) / 40**0.5 for s in drawn[ratio]]
            plots.plot_moments(range(1, 6), exact, narayana, means, errors, ax=ax)
            ax.set_title(f"rows / columns = {ratio}, width 200", loc="left")
    fig.savefig(sys.argv[1])
