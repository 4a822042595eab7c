"""One network of width 512 and its linearisation: outputs, weights, loss and their distance, with and without momentum.

The linearised network is a linear model in the gradients of the real one at its random start; both take the same steps. Its
outputs need the empirical tangent kernel only, its weights follow from them.
"""

import sys

import numpy as np
from scipy.special import erf

import rmtp
from rmtp.training import GradientDescent, HeavyBall, linearise, stacked, train

n = rmtp.Dim("n")


def net(x):
    for _ in range(2):
        x = erf(rmtp.networks.dense(x, n, 1.5, 0.1))
    return rmtp.readout(x)


rng = np.random.default_rng(0)
x, x_test = rng.standard_normal((20, 3)), rng.standard_normal((40, 3))
target = lambda x: np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] / 2  # noqa: E731
y, y_test = target(x), target(x_test)

network = rmtp.networks.init(net, 512, 1, (3,))
model = linearise(network, x, y, x_test)
rate, steps = 0.4 * model.max_learning_rate(), np.arange(0, 301, 3)

runs = {}
for name, optimiser in {"gradient descent": GradientDescent(), "heavy ball 0.9": HeavyBall(0.9)}.items():
    real = train(stacked([network]), x, y, optimiser, steps, rate, x_test=x_test)
    line = model.run(optimiser, steps, rate)
    runs[name] = real, line
    rms = np.sqrt(np.mean((real.test[0] - line.mean) ** 2, axis=1))
    print(f"{name:16s} loss {real.loss[0, -1]:.4f}, linearised {line.loss_of_mean[-1]:.4f}; ", end="")
    print(f"test outputs apart by rms {rms.max():.4f} at most, of {np.std(y_test):.2f}")

real, line = runs["gradient descent"]
moved = network.gradients(x, line.dual[-1])  # of the linear model, in the coordinates of the NTK parametrization
after = real.ensemble.member(0)
shown = {}
for key in ("U1", "W1", "v"):
    linear = network.updated({key: moved[key]}).parameters[key] - network.parameters[key]
    true = after.parameters[key] - network.parameters[key]
    shown[key] = true.ravel(), linear.ravel()
    print(f"{key}: moved by {100 * real.movement[key][0, -1]:.2f} %, ", end="")
    print(f"linearised movement correlated by {np.corrcoef(*shown[key])[0, 1]:.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13.5, 9, 2, 2)
        for k in range(6):
            label = ("network", "linearised") if k == 0 else (None, None)
            axes[0, 0].plot(steps, real.test[0, :, k], color=plots.PALETTE[k], label=label[0])
            axes[0, 0].plot(steps, line.mean[:, k], "--", color="black", linewidth=1.4, label=label[1])
        axes[0, 0].set_ylabel("outputs at six test points")
        names = {"v": "readout", "U1": "first layer", "W1": "second layer"}
        for k, (key, name) in enumerate(names.items()):
            true, linear = shown[key]
            some = slice(None, None, max(1, len(true) // 600))
            scale = linear.std()
            axes[0, 1].plot(
                linear[some] / scale, true[some] / scale, "o", ms=3.5, alpha=0.5, color=plots.PALETTE[k], label=name
            )
        axes[0, 1].axline((0, 0), slope=1, color=plots.GREY, linewidth=1.4)
        axes[0, 1].set_xlabel("movement of single weights, linearised (in its sd)")
        axes[0, 1].set_ylabel("in the network")
        axes[0, 1].legend()
        for k, (name, (real, line)) in enumerate(runs.items()):
            axes[1, 0].plot(steps, real.loss[0], color=plots.PALETTE[k], label=name)
            axes[1, 0].plot(
                steps, line.loss_of_mean, "--", color="black", linewidth=1.4, label=None if k else "linearised"
            )
            rms = np.sqrt(np.mean((real.test[0] - line.mean) ** 2, axis=1))
            axes[1, 1].plot(steps, rms, color=plots.PALETTE[k], label=name)
        axes[1, 0].set_yscale("log")
        axes[1, 0].set_ylabel(r"training loss $\frac{1}{2}\sum (f - y)^2$")
        axes[1, 1].set_ylabel("rms gap of the test outputs")
        for ax in (axes[0, 0], axes[1, 0], axes[1, 1]):
            ax.set_xlabel("step")
            ax.legend()
    fig.savefig(sys.argv[1])
