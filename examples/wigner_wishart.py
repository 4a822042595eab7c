"""The two oldest laws, from the matrices themselves: Wigner's semicircle, and Marchenko-Pastur at every shape.

A matrix goes in, its law comes out: density, edges with their exponents, atoms, exact moments.
"""

import sys
from fractions import Fraction

import rmtp

n = rmtp.Dim("n")
laws = {"semicircle": rmtp.spectrum(rmtp.GOE(n))}
for ratio in (Fraction(1, 4), Fraction(1), Fraction(3)):
    X = rmtp.Gaussian(rmtp.Dim("m", ratio), n, name="X")
    laws[f"X X.T, rows/cols = {ratio}"] = rmtp.spectrum(X @ X.T)

for name, law in laws.items():
    print(f"{name}: support {[(round(a, 6), round(b, 6)) for a, b in law.support()]}, moments", end=" ")
    print(*(law.moment(k) for k in range(1, 6)), sep=", ", end="; ")
    print("atoms", [(a.x, round(a.mass, 9)) for a in law.atoms], "edges", [e.exponent for e in law.edges])

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12, 8, 2, 2)
        for ax, (name, law) in zip(axes.flat, laws.items()):
            law.plot(ax=ax).set_title(name)
    fig.savefig(sys.argv[1])
