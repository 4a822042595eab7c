"""Finite networks on their way to the limit models: some arrive, some are too slow to be seen arriving.

Left: the output at a test point, limits (lines) and networks with 2048 neurons (points, bars of two standard errors). Right:
the distance of networks from the limit of their own initial function, over the width.
"""

import sys

import numpy as np

from rmtp.training import compare, finite_dynamics, limit_dynamics

x = np.array([[1.0, 0.2, -0.4], [-0.3, 0.8, 0.5], [0.6, -0.9, 0.1], [-0.7, -0.2, 1.1]])
y = np.array([1, -1, 1, -1])
test = np.array([[0.8, -0.3, -0.2]])
shown = {"MF": "mean field", "IC-MF": "ic-mf", "NTK": "ntk", "sym-default": "sym-default", "MF-NTK": ("-3/4", "1/2")}
compared = {**shown, "NTK-sym": ("-1/2", "1/4"), "barycenter": ("-2/3", "1/2")}

options = {"steps": 25, "learning_rate": 0.7}
limits = {
    name: limit_dynamics(s, x, y, test, draws=200, particles=512, replicates=4, rng=1, **options)
    for name, s in shown.items()
}
finite = {name: finite_dynamics(s, x, y, test, width=2048, draws=30, rng=2, **options) for name, s in shown.items()}
for name, limit in limits.items():
    values = finite[name].outputs[-1, :, -1]
    error = values.std() / 30**0.5
    print(f"{name:<12} after 25 steps: limit {limit.mean[-1, -1]:.3f}, networks {values.mean():.3f} ± {error:.3f}")
found = [compare(s, x, y, test, widths=(64, 256, 1024, 4096), draws=16, steps=6) for s in compared.values()]
for one in found:
    print(one)

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotscalings import plot_comparisons, plot_training

    with plots.style():
        fig, (left, right) = plots.figure(14, 6.6, 1, 2)
        plot_training(limits, finite, len(x), left)
        left.set_title("limits (lines) and 30 networks of width 2048", loc="left", fontsize=13)
        plot_comparisons(found, right)
        right.set_title("how far networks are from their limit", loc="left", fontsize=13)
    fig.savefig(sys.argv[1])
