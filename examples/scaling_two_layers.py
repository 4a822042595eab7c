"""Mean field and IC-MF with two hidden layers: networks on their way to two sets of particles that meet in their updates.

Left: the output at a test point, limits (lines) and networks of width 512 (points, bars of two standard errors). Right: how
far networks are from the limit of their own initial function, over the width (Golikov 2020, 2006.06574, section 4).
"""

import sys

import numpy as np

from rmtp.training import classify, compare, finite_dynamics, limit_dynamics

x = np.array([[1.0, 0.2, -0.4], [-0.3, 0.8, 0.5], [0.6, -0.9, 0.1], [-0.7, -0.2, 1.1]])
y = np.array([1, -1, 1, -1])
test = np.array([[0.8, -0.3, -0.2]])
print(classify("mean field", depth=2), "\n")

options = {"depth": 2, "learning_rate": 3.0}
names = {"MF, two layers": "mean field", "IC-MF, two layers": "ic-mf"}
limits, finite, found = {}, {}, []
for label, name in names.items():
    limits[label] = limit_dynamics(name, x, y, test, steps=15, draws=40, particles=512, replicates=4, rng=1, **options)
    finite[label] = finite_dynamics(name, x, y, test, width=512, steps=15, draws=16, rng=2, **options)
    found.append(compare(name, x, y, test, widths=(32, 128, 512), draws=16, steps=5, particles=1024, **options))
    print(f"{label}: after 15 steps {limits[label].mean[-1, -1]:.3f}, networks {finite[label].mean[-1, -1]:.3f}")
    print(found[-1], "\n")

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotscalings import plot_comparisons, plot_training

    with plots.style():
        fig, (left, right) = plots.figure(14, 5.6, 1, 2)
        plot_training(limits, finite, len(x), left)
        left.set_title("limits (lines) and 16 networks of width 512", loc="left", fontsize=13)
        plot_comparisons(found, right)
        right.set_title("how far networks are from their limit", loc="left", fontsize=13)
    fig.savefig(sys.argv[1])
