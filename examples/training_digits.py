"""Handwritten digits under cross-entropy: three networks of width 512 beside the infinitely wide one, from the same outputs.

200 images of 8 x 8 pixels to learn from, 500 to test, ten outputs on one body. The limit evolves each network's own initial
outputs by the tangent kernel, step by step: plain gradient descent, and heavy ball with a tenth of the rate. Minibatches of 20
end near the same place. Needs scikit-learn for its copy of the images.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

import rmtp
from rmtp.training import (
    GradientDescent,
    HeavyBall,
    class_targets,
    ensemble,
    evolve,
    linearised,
    softmax_cross_entropy,
    train,
)

n = rmtp.Dim("n")


def net(x):
    for _ in range(2):
        x = rmtp.relu(rmtp.networks.dense(x, n, 2**0.5, 0.1))
    return rmtp.readout(x)


images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))[:700]
images, labels = images[order] / 8, labels[order]
x, x_test = images[:200], images[200:]
y = class_targets(labels[:200], 10)

model = linearised(net, x, y, x_test, covariance=False)
many = ensemble(net, 512, 3, 0, (64,), outputs=10)
first = many.forward(x), many.forward(x_test)
steps = np.array([0, 1, 2, 3, 5, 8, 12, 17, 23, 30, 40, 50, 60])
rate = 0.4 * model.max_learning_rate()


def accuracy(f):
    return np.mean(f.argmax(axis=-1) == labels[200:], axis=-1)


runs = {}
for name, optimiser, eta in (
    ("gradient descent", GradientDescent(), 4 * rate),
    ("heavy ball 0.9", HeavyBall(0.9), 0.4 * rate),
):
    limit = evolve(model, softmax_cross_entropy, optimiser, steps, eta, initial=first)
    real = train(many, x, y, optimiser, steps, eta, loss=softmax_cross_entropy, x_test=x_test)
    runs[name] = limit, real
    print(
        f"{name:16s} loss per image {real.loss[:, -1].mean() / 200:.4f}, limit {limit.loss[:, -1].mean() / 200:.4f}; ",
        end="",
    )
    print(f"accuracy {accuracy(real.test)[:, -1].mean():.4f}, limit {accuracy(limit.test)[:, -1].mean():.4f}; ", end="")
    print(f"same digit in {100 * np.mean(real.test.argmax(-1)[:, -1] == limit.test.argmax(-1)[:, -1]):.1f} %")

sgd = train(many, x, y, GradientDescent(), 120, 2 * rate, loss=softmax_cross_entropy, x_test=x_test, batch_size=20)
print(f"minibatches of 20 loss per image {sgd.loss.mean() / 200:.4f}; accuracy {accuracy(sgd.test).mean():.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13, 5, 1, 2)
        for k, (name, (limit, real)) in enumerate(runs.items()):
            curves = (
                (real.loss / 200, limit.loss / 200),
                (100 - 100 * accuracy(real.test), 100 - 100 * accuracy(limit.test)),
            )
            for ax, (seen, theory) in zip(axes, curves):
                ax.plot(steps, seen.T, "-", color=plots.PALETTE[k], linewidth=1, alpha=0.7)
                ax.plot([], [], "-", color=plots.PALETTE[k], label=name)
                ax.plot(steps, theory.T, "--", color="black", linewidth=1)
        axes[0].plot([], [], "--", color="black", linewidth=1, label="limit, same start")
        axes[0].set_ylim(0, None)
        axes[1].set_yscale("log")
        axes[1].set_yticks((10, 20, 50, 90), ("10", "20", "50", "90"))
        axes[1].minorticks_off()
        axes[0].set_ylabel("cross-entropy per training image (nats)")
        axes[1].set_ylabel("error on 500 test images (%)")
        for ax in axes:
            ax.set_xlabel("step")
            ax.legend()
    fig.savefig(sys.argv[1])
