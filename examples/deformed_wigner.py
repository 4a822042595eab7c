"""A deformed Wigner matrix through its cusp: diag(+-1) + s GOE.

For s < 1 two intervals, at s = 1 they touch in a cusp with density |x|^(1/3), beyond it one interval.
"""

import sys
from fractions import Fraction

import rmtp

n = rmtp.Dim("n")
signs = rmtp.diag(rmtp.IID(n, rmtp.Discrete([-1, 1]), name="signs"))
laws = {s: rmtp.spectrum(signs + s * rmtp.GOE(n)) for s in (Fraction(1, 2), Fraction(1), Fraction(3, 2))}

for s, law in laws.items():
    print(f"s = {s}:", [(round(a, 9), round(b, 9)) for a, b in law.support()], [e.exponent for e in law.edges])

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 4.8, 1, 3)
        for ax, (s, law) in zip(axes, laws.items()):
            law.plot(ax=ax, width=2000).set_title(f"diag(±1) + {s} GOE")
    fig.savefig(sys.argv[1])
