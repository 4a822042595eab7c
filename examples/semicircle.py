"""Wigner's semicircle: the moments of a random symmetric matrix are the Catalan numbers.

(1/n) tr A^k is an average over the width, v . A^k v / n for a fresh v, so it is a program of k lines.
"""

import sys

import numpy as np

import rmtp

n = rmtp.Dim("n")
A, v = rmtp.GOE(n, name="A"), rmtp.Normal(n, name="v")

moments, x = [], v
for _ in range(10):
    x = A @ x
    moments.append(np.mean(v * x))

for k, moment in enumerate(rmtp.limit(moments, exact=True), start=1):
    print(f"moment {k:2d}: {moment}")

if len(sys.argv) > 1:
    check = rmtp.verify(moments[3], widths=(100, 200, 400, 800), trials=100)
    print(check)
    from rmtp import plots

    with plots.style():
        fig, (left, right) = plots.figure(12.5, 4.8, 1, 2)
        rmtp.spectrum(A).plot(ax=left).set_title("Wigner's semicircle", loc="left")
        check.plot(right).set_ylabel("fourth moment")
    fig.savefig(sys.argv[1])
