"""Marchenko-Pastur: moments of A A.T for a rectangular A, at several shapes.

A has m = ratio * n rows and entries of variance 1/n. The moments are Narayana polynomials of the ratio, as exact fractions.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

n = rmtp.Dim("n")
rows = {}
for ratio in (Fraction(2), Fraction(1, 2), Fraction(3, 2)):
    m = rmtp.Dim("m", ratio)
    A, v = rmtp.Gaussian(m, n, name="A"), rmtp.Normal(m, name="v")
    x, moments = v, []
    for _ in range(5):
        x = A @ (A.T @ x)
        moments.append(np.mean(v * x))
    rows[ratio] = rmtp.limit(moments, exact=True)
    print(f"ratio {ratio}:", ", ".join(str(answer.value) for answer in rows[ratio]))

if len(sys.argv) > 1:
    from rmtp import plots

    fig, ax = plots.figure()
    plots.plot_moments(range(1, 6), rows[Fraction(2)], ax=ax)
    ax.set_title("Marchenko-Pastur, ratio 2")
    fig.savefig(sys.argv[1])
