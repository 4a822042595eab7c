"""Handwritten digits classified by an infinitely wide ReLU network: Bayesian (NNGP) and trained by gradient descent (NTK).

1000 images of 8 x 8 pixels to learn from, the other 797 to test. Kernels are computed once; a smaller training set is a
block of them. The linear kernel beside them is ridge regression on pixels. Needs scikit-learn for its copy of the images.
"""

import sys
import time

import numpy as np
from sklearn.datasets import load_digits

import rmtp
from rmtp.regression import log_marginal_likelihood, one_hot, posterior

TRAIN = 1000
NOISES = 10.0 ** np.arange(-6, 2)
n = rmtp.Dim("n")


def net(x):
    for _ in range(3):
        x = rmtp.relu(rmtp.networks.dense(x, n, 2**0.5, 0.1))
    return rmtp.readout(x)


images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
x, labels = images[order] / 16, labels[order]
targets, classes = one_hot(labels)

start = time.perf_counter()
nngp, ntk = rmtp.nngp_ntk(net, x[:TRAIN])
nngp_test, ntk_test = rmtp.nngp_ntk(net, x[TRAIN:], x[:TRAIN])
print(f"both kernels of {len(x)} images: {time.perf_counter() - start:.1f} s")

centred = x - x[:TRAIN].mean(axis=0)
linear = centred @ centred[:TRAIN].T / x.shape[1]
kernels = {"NNGP": (nngp, nngp_test), "NTK": (ntk, ntk_test), "linear": (linear[:TRAIN], linear[TRAIN:])}


def guess(k, k_test, size, noise):
    mean = posterior(k[:size, :size], k_test[:, :size], None, targets[:size], noise=noise).mean
    return classes[mean.argmax(axis=1)]


sizes, curves, guesses = (50, 100, 200, 400, 700, TRAIN), {}, {}
for name, (k, k_test) in kernels.items():
    evidence = [log_marginal_likelihood(k, targets[:TRAIN], noise=v) for v in NOISES]
    noise = NOISES[np.argmax(evidence)]  # the test images have no say in it
    guesses[name] = guess(k, k_test, TRAIN, noise)
    curves[name] = [np.mean(guess(k, k_test, size, noise) == labels[TRAIN:]) for size in sizes]
    print(f"{name:6s} noise {noise:.0e}  accuracy", "  ".join(f"{s}: {a:.4f}" for s, a in zip(sizes, curves[name])))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12.5, 5.2, 1, 2)
        for (name, accuracy), mark in zip(curves.items(), "os^"):
            axes[0].plot(sizes, [100 * (1 - a) for a in accuracy], marker=mark, label=name)
        axes[0].set_xscale("log")
        axes[0].set_yscale("log")
        axes[0].set_xticks(sizes, [str(s) for s in sizes])
        axes[0].set_yticks((0.5, 1, 2, 5, 10, 20), ("0.5", "1", "2", "5", "10", "20"))
        axes[0].minorticks_off()
        axes[0].set_xlabel("training images")
        axes[0].set_ylabel(f"error on {len(x) - TRAIN} test images (%)")
        axes[0].legend()
        table = np.zeros((10, 10), dtype=int)
        np.add.at(table, (labels[TRAIN:], guesses["NNGP"]), 1)
        wrong = np.where(np.eye(10, dtype=bool), 0, table)
        axes[1].imshow(wrong, cmap="Oranges", vmax=max(3, wrong.max()))
        for i, j in np.argwhere(table):
            axes[1].text(j, i, table[i, j], ha="center", va="center", fontsize=12)
        axes[1].grid(False)
        axes[1].set_xticks(range(10))
        axes[1].set_yticks(range(10))
        axes[1].set_xlabel("digit predicted")
        axes[1].set_ylabel("digit shown")
        axes[1].set_title(f"NNGP, {TRAIN} training images", loc="left")
    fig.savefig(sys.argv[1])
