"""Powers of the width that exponents predict, measured on finite networks: outputs, kernels, updates, weights, features.

Two hidden layers; the maximal update parametrisation, where features move by their own size, and the NTK parametrisation, where
they move by n^-1/2 (TP IV, 2011.14522, Theorem 3.3). Dotted lines have the predicted slopes.
"""

import sys

import numpy as np

from rmtp.training import measure

rng = np.random.default_rng(0)
x, y = rng.standard_normal((4, 3)), np.array([1, -1, 1, -1])
found = {name: measure(name, x, y, depth=2, widths=(64, 128, 256, 512), draws=40) for name in ("mup", "ntk")}
for slopes in found.values():
    print(slopes)

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 6.2, 1, 2)
        for (name, slopes), ax in zip(found.items(), axes):
            slopes.plot(ax)
            ax.set_title({"mup": "maximal update", "ntk": "NTK"}[name] + " parametrisation", loc="left")
    fig.savefig(sys.argv[1])
