"""How fast networks become linear: distance from the linearisation, movement of the weights and change of the kernel, by width.

Theorem 2.1 of Lee et al. (2019) bounds all of them by n^-1/2. A two-layer erf network does better: the hidden matrix moves like
1/n relative to its size, and so do the change of the tangent kernel and the distance of the outputs; what stays at n^-1/2 are
the input and output weights, and the deviation of the random kernel from its limit.
"""

import sys

import numpy as np
from scipy.special import erf

import rmtp
from rmtp.training import GradientDescent, ensemble, linearise, train

n = rmtp.Dim("n")


def net(x):
    for _ in range(2):
        x = erf(rmtp.networks.dense(x, n, 1.5, 0.1))
    return rmtp.readout(x)


rng = np.random.default_rng(0)
x, x_test = rng.standard_normal((8, 3)), rng.standard_normal((6, 3))
y = np.sin(2 * x[:, 0])
limit = rmtp.ntk(net, x)
rate = 0.5 / np.linalg.eigvalsh(limit)[-1]
steps = np.arange(0, 101, 10)


def apart(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


widths, members = (64, 128, 256, 512, 1024), (40, 30, 20, 10, 6)
names = {
    "gap": r"$\sup_t |f - f_{\rm lin}|$",
    "first": "movement, first layer",
    "hidden": "movement, second layer",
    "readout": "movement, readout",
    "change": "tangent kernel, end against start",
    "limit": "tangent kernel, start against limit",
}
rows = {name: [] for name in names}
for width, count in zip(widths, members):
    many = ensemble(net, width, count, 1, (3,))
    done = train(many, x, y, GradientDescent(), steps, rate, x_test=x_test)
    gaps, changes, limits = [], [], []
    for k in range(count):
        line = linearise(many.member(k), x, y, x_test).gradient_descent(steps, rate)
        gaps.append(max(np.abs(done.train[k] - line.train_mean).max(), np.abs(done.test[k] - line.mean).max()))
        before = many.member(k).ntk(x)
        changes.append(apart(done.ensemble.member(k).ntk(x), before))
        limits.append(apart(before, limit))
    moved = (done.movement[key][:, -1] for key in ("U1", "W1", "v"))
    for name, values in zip(names, (gaps, *moved, changes, limits)):
        rows[name].append((np.mean(values), np.std(values, ddof=1) / count**0.5))

print(f"slopes over widths {widths[1]} to {widths[-1]}")
for name in names:
    mean, error = np.array(rows[name])[1:].T
    fit, covariance = np.polyfit(np.log(widths[1:]), np.log(mean), 1, w=mean / error, cov="unscaled")
    print(f"{name:8s} n^({fit[0]:.2f} ± {covariance[0, 0] ** 0.5:.2f})")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure(9.6, 6)
        for k, (name, label) in enumerate(names.items()):
            mean, error = np.array(rows[name]).T
            ax.errorbar(
                widths, mean, 2 * error, fmt="o-s-^-D-v-P-"[2 * k : 2 * k + 2], color=plots.PALETTE[k], label=label
            )
        for power, start, style in ((-0.5, 0.3, ":"), (-1.0, 0.028, "--")):
            ax.plot(
                widths, start * (np.array(widths) / 64) ** power, style, color=plots.GREY, label=f"$n^{{{power:g}}}$"
            )
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xlabel("width n")
        ax.set_ylabel("relative size (outputs: absolute)")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=12)
    fig.savefig(sys.argv[1])
