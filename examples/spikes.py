"""Spiked models: a term of rank one moves no density, but beyond a threshold it sends one eigenvalue out (BBP).

GOE + theta u u.T / n has an outlier at theta + 1/theta once theta > 1, and the squared cosine of its eigenvector with u is
1 - 1/theta^2.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

n, m = rmtp.Dim("n"), rmtp.Dim("m", Fraction(1, 2))
u = rmtp.Normal(n, name="u")
for theta in (Fraction(1, 2), Fraction(3, 2), Fraction(5, 2)):
    law = rmtp.spectrum(rmtp.GOE(n) + theta * rmtp.outer(u, u))
    print(f"theta = {theta}: outliers {[(o.x, o.overlaps) for o in law.outliers]}")

v = rmtp.Normal(m, name="v")
X = rmtp.Gaussian(m, n, name="X")
root = rmtp.eye(m) + rmtp.outer(v, v)  # its square is I + 3 v v.T / m: a population with one variance of 4
covariance = rmtp.spectrum(root @ X @ X.T @ root)
print("covariance with one large variance:", [(o.x, o.overlaps) for o in covariance.outliers])
for spike in (law, covariance):
    largest = [spike.sample(600, rng=seed)[-1] for seed in range(4)]
    print(f"largest eigenvalue of four draws: {np.mean(largest):.3f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        law.plot(ax=axes[0]).set_title("GOE + 5/2 u u.T / n")
        covariance.plot(ax=axes[1]).set_title("one large variance")
    fig.savefig(sys.argv[1])
