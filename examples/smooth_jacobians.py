"""Jacobians of smooth networks: tanh and erf, Gaussian and orthogonal weights.

phi'(h) has a continuous law, and biases keep the preactivations at one variance q from layer to layer.
"""

import sys

import numpy as np
import scipy.special

import rmtp

n, q, variance = rmtp.Dim("n"), 0.5, 1.25
ACTIVATIONS = {
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    "erf": (scipy.special.erf, lambda h: 2 / np.sqrt(np.pi) * np.exp(-(h**2))),
}


def jacobian(phi, slope, depth, orthogonal):
    """Product of D_l W_l along a forward pass in which every h has variance q."""
    size = float(rmtp.limit(np.mean(phi(rmtp.Normal(n, cov=q)) ** 2)))
    x, J = rmtp.Normal(n, cov=size), rmtp.eye(n)
    for _ in range(depth):
        W = variance**0.5 * rmtp.Haar(n) if orthogonal else rmtp.Gaussian(n, n, variance=variance)
        h = W @ x + rmtp.Normal(n, cov=q - variance * size)
        x, J = phi(h), rmtp.diag(slope(h)) @ W @ J
    return J


laws = {}
for name, how in ACTIVATIONS.items():
    for orthogonal in (False, True):
        laws[f"{name}, {'orthogonal' if orthogonal else 'Gaussian'}"] = rmtp.singular_values(
            jacobian(*how, 2, orthogonal)
        )
for name, law in laws.items():
    print(f"{name}: moments of J.T J", [round(float(law.square.moment(k)), 9) for k in (1, 2, 3)])

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13, 8, 2, 2)
        for ax, (name, law) in zip(axes.flat, laws.items()):
            plots.spectral_law(law, ax, 600).set_title(f"{name}, depth 2")
    fig.savefig(sys.argv[1])
