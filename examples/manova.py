"""Rational expressions: MANOVA (Wachter's law), Fisher's F matrix, and their cousin, the free Jacobi law.

inv(...) is part of the expression. Two samples of sizes 2p and 3p give the Jacobi law of two free projections, which a corner
of a random projection has too.
"""

import sys
from fractions import Fraction

import rmtp

p, n1, n2 = rmtp.Dim("p"), rmtp.Dim("n1", 2), rmtp.Dim("n2", 3)
X1, X2 = rmtp.Gaussian(p, n1, variance=2, name="X1"), rmtp.Gaussian(p, n2, variance=3, name="X2")
manova = rmtp.spectrum(X1.T @ rmtp.inv(X1 @ X1.T + X2 @ X2.T) @ X1)

W1, W2 = rmtp.Gaussian(p, n1, name="W1"), rmtp.Gaussian(p, n2, name="W2")
fisher = rmtp.spectrum(W1.T @ rmtp.inv(W2 @ W2.T) @ W1)

n, k = rmtp.Dim("n"), rmtp.Dim("k", Fraction(2, 5))
V = rmtp.Haar(n, k, name="V")
keep = rmtp.IID(n, rmtp.Discrete([0, 1], [Fraction(4, 5), Fraction(1, 5)]), name="keep")
jacobi = rmtp.spectrum(V.T @ rmtp.diag(keep) @ V)

laws = {"MANOVA, n1 = 2p, n2 = 3p": manova, "F matrix": fisher, "a corner of a projection": jacobi}
for name, law in laws.items():
    print(f"{name}: support {law.support()}, atoms {[(a.x, round(a.mass, 9)) for a in law.atoms]}")
print("MANOVA and corner at x = 0.3:", manova.pdf(0.3), jacobi.pdf(0.3))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(15, 4.8, 1, 3)
        for ax, (name, law) in zip(axes, laws.items()):
            law.plot(ax=ax, width=800).set_title(name)
    fig.savefig(sys.argv[1])
