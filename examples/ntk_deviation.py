"""Tangent kernels of wide networks deviate from their limit like one over the root of the width, whatever the architecture.

The figure on page 2 of "Tensor Programs II" (2006.14548): relative Frobenius deviation of the kernel of one random network,
for a network with two hidden layers, a recurrent one (one W for all steps, output averaged over them) and a convolutional one.
"""

import sys

import numpy as np

import rmtp
from rmtp.networks import conv, dense, global_pool, input_weights, verify_kernels

n = rmtp.Dim("n")


def mlp(x):
    h = rmtp.relu(dense(x, n, 2**0.5, 0.1))
    return rmtp.readout(rmtp.relu(dense(h, n, 2**0.5, 0.1)))


def rnn(x):
    U, W = input_weights(n, 4, name="U"), rmtp.Gaussian(n, n, 1.2, name="W")
    h = np.tanh(U @ x[0])
    states = [h]
    for t in range(1, 4):
        h = np.tanh(W @ h + U @ x[t])
        states.append(h)
    return rmtp.readout(sum(states[1:], states[0]) / 4)


def cnn(x):
    h = rmtp.relu(conv(x, n, 3, 2**0.5, 0.1))
    return rmtp.readout(global_pool(rmtp.relu(conv(h, n, 3, 2**0.5, 0.1))))


rng = np.random.default_rng(0)
data = {"MLP": (mlp, (8,)), "RNN": (rnn, (4, 4)), "CNN": (cnn, (6, 2))}
widths, draws = [2**k for k in range(6, 12)], [96, 96, 72, 48, 32, 24]

curves = {}
for name, (net, shape) in data.items():
    check = verify_kernels(net, rng.standard_normal((4, *shape)), widths=widths, trials=draws, kernels="ntk")
    slope, error = check.slope("ntk")
    print(f"{name}: deviation ~ n^({slope:.2f} ± {error:.2f}), largest |z| of the limit {check.score:.2f}")
    curves[name] = (widths, *check.deviation("ntk"))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        plots.plot_kernel_deviation(curves, ax)
        ax.set_title("tangent kernel of one random network", loc="left")
    fig.savefig(sys.argv[1])
