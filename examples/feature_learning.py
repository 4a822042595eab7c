"""Features of a wide network move in the maximal update parametrisation, and stay where they are in the NTK one.

Two tanh layers, SGD on four points, one at a time. Lines are infinite width: the training run as a program, through the master
theorem. Points are trained networks of width 500. Left: the correlation of the features of two test points of one class; right:
their outputs. Dashes: the features that a kernel regime keeps.
"""

import sys

import numpy as np

from rmtp.training import draw_networks, feature_learning, named

x = np.array([[1.0, 0.5], [-0.8, 1.0], [1.1, -0.9], [-0.6, -1.0]])
y = np.array([1.0, -1.0, 1.0, -1.0])
test = np.array([[0.5, 0.9], [0.5, -0.9]])
STEPS, RATE, WIDTH, DRAWS = 8, 0.6, 500, 24


def correlation(kernel):
    return kernel[..., 0, 1] / np.sqrt(kernel[..., 0, 0] * kernel[..., 1, 1])


def finite(name):
    """Correlations of features and outputs after 0, 1, .. steps of SGD: (steps + 1, draws), (steps + 1, draws, 2)."""
    nets = draw_networks(named(name, 2), WIDTH, 2, DRAWS, 0)
    features, outputs = [], []
    for step in range(STEPS + 1):
        last = nets.features(test)
        features.append(correlation(np.swapaxes(last, 1, 2) @ last))
        outputs.append(nets.outputs(test))
        i = [step % len(x)]
        nets = nets.step(x[i], nets.outputs(x[i]) - y[i], RATE)
    return np.array(features), np.array(outputs)


run = feature_learning(x, y, test, depth=2, learning_rate=RATE, steps=STEPS)
limit = correlation(np.asarray(run.kernels.value, dtype=float)[:, -1])
print(f"program of {run.unrolled.lines} lines, {run.test.method}, largest error {np.max(run.test.error):.1g}")
drawn = {name: finite(name) for name in ("mup", "ntk")}
for step in (0, STEPS):
    cells = [f"{name} {f[step].mean():+.3f} ± {f[step].std() / DRAWS**0.5:.3f}" for name, (f, _) in drawn.items()]
    print(f"step {step}: correlation of features, infinite width {limit[step]:+.3f}; networks {', '.join(cells)}")
print("Z-Dot terms E W x_t . dh_s after the last step:", np.round(np.asarray(run.overlaps[-1].value, float)[0, 0], 3))

if len(sys.argv) > 1:
    from rmtp import plots

    steps = np.arange(STEPS + 1)
    with plots.style():
        fig, (left, right) = plots.figure(13, 5.2, 1, 2)
        left.plot(steps, limit, color=plots.PALETTE[0], label="infinite width, $\\mu$P")
        left.axhline(limit[0], ls="--", color=plots.PALETTE[1], label="frozen features")
        for (name, (features, outputs)), colour, mark in zip(drawn.items(), plots.PALETTE, "os"):
            label = {"mup": "networks, $\\mu$P", "ntk": "networks, NTK"}[name]
            error = 2 * features.std(axis=1) / DRAWS**0.5
            left.errorbar(steps, features.mean(axis=1), error, fmt=mark, color=colour, capsize=4, label=label)
            for k in range(2):
                error = 2 * outputs[:, :, k].std(axis=1) / DRAWS**0.5
                right.errorbar(steps, outputs[:, :, k].mean(axis=1), error, fmt=mark, color=colour, capsize=4)
        right.plot(steps, np.asarray(run.test.value, float), color=plots.PALETTE[0])
        left.set(xlabel="steps of SGD", ylabel="correlation of last-layer features")
        right.set(xlabel="steps of SGD", ylabel="outputs at the two test points")
        left.legend()
        right.set_title("mean over draws, two standard errors", loc="left", fontsize=13)
    fig.savefig(sys.argv[1])
