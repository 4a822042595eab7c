"""Products of L Gaussian matrices: Fuss-Catalan laws, and a product of rectangular ones.

Moments of J J.T are binom((L+1)k, k)/(L k + 1), the right edge is (L+1)^(L+1)/L^L, and at 0 the density is like
x^(-L/(L+1)): a hard edge that gets harder with every factor.
"""

import sys
from fractions import Fraction

import rmtp

n = rmtp.Dim("n")
laws, J = {}, rmtp.eye(n)
for depth in range(1, 11):
    J = rmtp.Gaussian(n, n, name=f"W{depth}") @ J
    laws[depth] = rmtp.spectrum(J @ J.T)
    print(f"L = {depth:2d}: moments", *(laws[depth].moment(k) for k in range(1, 6)))
for depth in (1, 3, 10):
    left, right = laws[depth].edges
    print(f"L = {depth}: density like x^({left.exponent:.6f}) at 0, ends at {right.x:.9f}, ", end="")
    print(f"(L+1)^(L+1)/L^L = {(depth + 1) ** (depth + 1) / depth**depth:.9f}")

wide, narrow = rmtp.Dim("wide", 2), rmtp.Dim("narrow", Fraction(1, 2))
A, B, C = rmtp.Gaussian(wide, n), rmtp.Gaussian(narrow, wide), rmtp.Gaussian(wide, narrow)
rectangular = rmtp.spectrum((C @ B @ A).T @ (C @ B @ A))
print("1 -> 2 -> 1/2 -> 2:", rectangular.support(), rectangular.atoms)

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 4.8, 1, 3)
        laws[3].plot(ax=axes[0]).set_title("three factors")
        for k, depth in enumerate((1, 3, 10)):
            plots.spectral_law_loglog(laws[depth], axes[1], None, color=plots.PALETTE[k], label=f"L = {depth}")
        axes[1].set_ylim(1e-3, 1e4)
        rectangular.plot(ax=axes[2]).set_title("widths 1, 2, 1/2, 2")
    fig.savefig(sys.argv[1])
