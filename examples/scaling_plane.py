"""Which limit a wide network has depends on how initialisation and learning rate scale with the width.

The plane of Golikov (2006.06574): output weights ~ n^q_sigma, learning rates ~ n^q~. Thirteen limits of gradient descent, told
apart by the signs of a few exponents; deeper networks in abc form (TP IV, 2011.14522) by the same arithmetic.
"""

import sys

from rmtp.training import classify

points = {
    "mean field": "mean field",
    "NTK": "ntk",
    "sym-default": "sym-default",
    "IC-MF": "ic-mf",
    "barycenter": ("-2/3", "1/2"),
    "(1, 1)": (1, 1),
    "(-1, -1)": (-1, -1),
}
for name, scaling in points.items():
    report = classify(scaling)
    print(f"{name:<12} {report.stability:<10} {report.explanation}")
print()
for name in ("ntk", "standard", "mup"):
    report = classify(name, depth=3)
    print(
        f"{name:<9} three layers: features move by n^{report.exponents.features}, {report.stability}, {report.model.name}"
    )
print()
print(classify(("-3/4", "1/2")))

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotscalings import plot_plane

    with plots.style():
        fig, ax = plots.figure(10, 8)
        plot_plane(ax)
    fig.savefig(sys.argv[1])
