"""Free convolution: a sum of ten two-atom laws, and a product, with their subordination functions.

Elimination would face an equation of degree 2^10. Here there are ten subordination functions that answer to each other.
"""

import sys
from fractions import Fraction

import rmtp

n = rmtp.Dim("n")
parts = [
    rmtp.spectrum(rmtp.Invariant(n, rmtp.Discrete([0, k], [Fraction(1, 3), Fraction(2, 3)]))) for k in range(1, 11)
]
total = sum(parts[1:], parts[0])
print("mean", total.mean(), "variance", total.var(), "support", total.support())

z = 40 + 1j
omega = total.subordination(z)
print(
    "g(z) =",
    total.stieltjes(z),
    "and each part at its own point:",
    parts[0].stieltjes(omega[0]),
    parts[9].stieltjes(omega[9]),
)

product = parts[0] * parts[1]  # two projections of rank 2n/3, one of them twice
print("product:", product.support(), [(a.x, round(a.mass, 9)) for a in product.atoms], "mean", product.mean())

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        total.plot(ax=axes[0], width=600).set_title("sum of ten")
        product.plot(ax=axes[1]).set_title("product")
    fig.savefig(sys.argv[1])
