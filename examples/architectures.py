"""What architectures see: kernels of two inputs as one is turned away from the other.

Every network gets the same sequences of twelve positions; the second is the first turned by an angle in the plane of its two
channels, and moved by two positions in the second panel.
"""

import sys

import numpy as np

import rmtp
from rmtp import networks as nets

n, relu = rmtp.Dim("n"), rmtp.relu
STEPS = 12


def flat(x):
    return nets.mlp(n, 3)(x.reshape(2 * STEPS))


def flat_residual(x):
    return nets.resnet(n, 3)(x.reshape(2 * STEPS))


ARCHITECTURES = {
    "MLP": flat,
    "ResNet": flat_residual,
    "CNN, flattened": nets.cnn(n, 3, padding="CIRCULAR"),
    "CNN, average": nets.cnn(n, 3, padding="CIRCULAR", pooling="average"),
    "RNN, last state": nets.recurrent_network(n, phi=relu, weight_std=1.2),
    "transformer": nets.transformer(n, 2),
}

first = np.random.default_rng(1).standard_normal((STEPS, 2))
angles = np.linspace(0, np.pi, 41)
turned = np.array([first @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in angles])
moved = np.roll(turned, 2, axis=1)


def normalised(net, x):
    """The tangent kernel of `first` and each of x, 1 where both inputs are the same to the network."""
    T = np.asarray(rmtp.ntk(net, np.concatenate([first[None], x])))
    scale = np.sqrt(np.diag(T))
    return T[0, 1:] / (scale[0] * scale[1:])


curves = {}
print("tangent kernels at 0, 45, 90, 180 degrees")
for name, net in ARCHITECTURES.items():
    curves[name] = [normalised(net, x) for x in (turned, moved)]
    still, shifted = (c[[0, 10, 20, 40]].round(3) for c in curves[name])
    print(f"{name:<16} turned {still}, turned and moved {shifted}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(14, 5, 1, 2)
        for k, (ax, title) in enumerate(zip(np.ravel(axes), ("turned", "turned and moved"), strict=True)):
            for (name, both), style in zip(curves.items(), ("-", "--", ":", "-", "-.", "--"), strict=True):
                ax.plot(np.degrees(angles), both[k], style, label=name)
            ax.set(
                xlabel="angle between the inputs (degrees)",
                title=title,
                xticks=(0, 45, 90, 135, 180),
                ylim=(-0.1, 1.05),
            )
        np.ravel(axes)[0].set_ylabel("normalised tangent kernel")
        np.ravel(axes)[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    fig.savefig(sys.argv[1])
