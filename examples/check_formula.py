"""A formula of one's own against the engine and against samples: the kernel of a ReLU layer, right and wrong.

The arc-cosine kernel of order one is (sqrt(1 - r^2) + r (pi - arccos r)) / (2 pi) for two inputs of unit length and
correlation r. A claim that forgets the 2, one that is centred, and one with the sign of r the other way round are told
what is wrong with them.
"""

import sys
from fractions import Fraction

import mpmath
import numpy as np

import rmtp


def layer(r):
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, mean=(0, 0), cov=[[1, r], [r, 1]])
    W = rmtp.Gaussian(n, n, name="W")
    return np.mean(rmtp.relu(W @ x) * rmtp.relu(W @ y))


def arc_cosine(r):
    return (mpmath.sqrt(1 - r**2) + r * (mpmath.pi - mpmath.acos(r))) / (2 * mpmath.pi)


grid = {"r": [Fraction(k, 5) for k in (-4, -2, -1, 1, 2, 4)]}
right = rmtp.check(arc_cosine, layer, grid=grid, widths=(100, 200), trials=40)
print(right)
print()
slips = {
    "without the 2": lambda r: 2 * float(arc_cosine(r)),
    "centred": lambda r: float(arc_cosine(r)) - 1 / (2 * np.pi),
    "sign of r": lambda r: float(arc_cosine(-r)),
}
checks = {name: rmtp.check(claim, layer, grid=grid, widths=(100, 200), trials=40) for name, claim in slips.items()}
for name, found in checks.items():
    print(f"{name}: {len(found.departures)} of {len(found.rows)} rows depart; {' '.join(found.hints) or 'no hint'}")

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotstudies import plot_check

    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        plot_check(right, axes[0])
        plot_check(checks["without the 2"], axes[1])
        for ax in axes:
            ax.set_xlabel("correlation r of the inputs")
            ax.set_ylabel("kernel of a ReLU layer")
    fig.savefig(sys.argv[1])
