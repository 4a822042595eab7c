"""Loss curves of networks that learn features: one hidden layer, two, and two whose W.T is treated as independent of W.

As in Figure 4 of "Tensor Programs IV" (2011.14522): targets and inputs of -1 and 1, infinite width and width 512. Dropping
Z-Dot ("decoupled") is another algorithm, not an approximation. Left: linear networks, whose limit is algebra; right: tanh.
"""

import sys

import numpy as np

from rmtp.training import draw_networks, feature_learning, named

WIDTH, DRAWS, STEPS = 512, 30, 9
x, y = [[1.0], [-1.0]], [1.0, -1.0]
rates = {"linear": 0.08, "tanh": 0.25}


def finite(phi, depth, rate):
    """Mean loss over draws, and its standard error."""
    nets, losses = draw_networks(named("mup", depth), WIDTH, 1, DRAWS, depth, phi=phi), []
    points, targets = np.array(x), np.array(y)
    for step in range(STEPS + 1):
        losses.append(np.mean((nets.outputs(points) - targets) ** 2, axis=1) / 2)
        i = [step % 2]
        nets = nets.step(points[i], nets.outputs(points[i]) - targets[i], rate)
    return np.mean(losses, axis=1), np.std(losses, axis=1) / DRAWS**0.5


curves, points = {}, {}
for phi, rate in rates.items():
    for depth, naive in ((1, False), (2, False), (2, True)):
        options = {"gradient_independence": naive, "method": "auto" if phi == "linear" else "sobol"}
        run = feature_learning(x, y, depth=depth, phi=phi, learning_rate=rate, steps=STEPS, **options)
        f = np.asarray(run.test.value, dtype=float)
        name = f"{depth} hidden" + (", decoupled" if naive else "")
        curves[phi, name] = np.mean((f - np.array(y)) ** 2, axis=1) / 2
        if not naive:
            points[phi, name] = finite(phi, depth, rate)
        seen = "" if naive else "; networks {:.4f} ± {:.4f}".format(*(v[-1] for v in points[phi, name]))
        print(f"{phi:<7} {name:<20} loss after {STEPS} steps {curves[phi, name][-1]:.4f} ({run.test.method}){seen}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13, 5.2, 1, 2)
        for ax, phi in zip(axes, rates):
            for k, name in enumerate(("1 hidden", "2 hidden", "2 hidden, decoupled")):
                colour = plots.PALETTE[k]
                ax.plot(curves[phi, name], "--" if k == 2 else "-", color=colour, label=f"{name}, infinite width")
                if (phi, name) in points:
                    mean, error = points[phi, name]
                    ax.errorbar(
                        range(STEPS + 1),
                        mean,
                        2 * error,
                        fmt="os"[k],
                        color=colour,
                        capsize=4,
                        label=f"{name}, width {WIDTH}",
                    )
            ax.set(xlabel="steps of SGD", ylabel="mean squared error / 2", title=f"{phi} networks")
            ax.legend(fontsize=11)
    fig.savefig(sys.argv[1])
