"""Singular values of network Jacobians, J = D_L W_L .. D_1 W_1 with D_l = diag(phi'(h_l)) from the network's own forward pass.

Deep linear, ReLU, leaky ReLU and hard-tanh, with Gaussian and with orthogonal weights; and residual networks whose layers
share one matrix or have one each. That D_l and W_l may be treated as free comes out, and so does where they may not.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

n = rmtp.Dim("n")
ACTIVATIONS = {  # phi, phi', variance of the weights
    "linear": (lambda h: h, lambda h: rmtp.constant(n, 1), 1),
    "relu": (rmtp.relu, lambda h: np.heaviside(h, 0), 2),
    "leaky relu": (lambda h: np.where(h > 0, h, h / 2), lambda h: np.where(h > 0, 1, Fraction(1, 2)), Fraction(8, 5)),
    "hard tanh": (lambda h: np.clip(h, -1, 1), lambda h: np.where(abs(h) < 1, 1, 0), Fraction(6, 5)),
}


def jacobian(phi, slope, variance, depth, orthogonal):
    """Product of D_l W_l along a forward pass."""
    x, J = rmtp.Normal(n), rmtp.eye(n)
    for _ in range(depth):
        W = variance**0.5 * rmtp.Haar(n) if orthogonal else rmtp.Gaussian(n, n, variance=variance)
        h = W @ x
        x, J = phi(h), rmtp.diag(slope(h)) @ W @ J
    return J


def residual(depth, tied):
    """x <- x + relu(W x)."""
    x, J = rmtp.Normal(n), rmtp.eye(n)
    shared = rmtp.Gaussian(n, n, variance=Fraction(1, 2))
    for _ in range(depth):
        W = shared if tied else rmtp.Gaussian(n, n, variance=Fraction(1, 2))
        h = W @ x
        x, J = x + rmtp.relu(h), (rmtp.eye(n) + rmtp.diag(np.heaviside(h, 0)) @ W) @ J
    return J


laws = {}
for name, how in ACTIVATIONS.items():
    for orthogonal in (False, True):
        law = rmtp.singular_values(jacobian(*how, 2, orthogonal))
        laws[name, orthogonal] = law
        squares = [law.expect(lambda s, k=k: s ** (2 * k)) for k in (1, 2)]
        print(f"{name}, {'orthogonal' if orthogonal else 'Gaussian'}: var/mean^2 of J.T J", end=" ")
        print(f"{squares[1] / squares[0] ** 2 - 1:.6f}, atoms {[(round(a.x, 6), round(a.mass, 6)) for a in law.atoms]}")

blocks = {"one W per layer": residual(2, False), "one W for all": residual(2, True)}
for name, J in blocks.items():
    blocks[name] = rmtp.singular_values(J)
    print(f"residual, {name}: support of the singular values {blocks[name].support()}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(17, 8, 2, 4)
        for ax, name in zip(axes[0], ACTIVATIONS):
            plots.spectral_law(laws[name, False], ax, 600).set_title(f"{name}, Gaussian")
        for ax, name in zip(axes[1, :2], ("relu", "hard tanh")):
            plots.spectral_law(laws[name, True], ax, 600).set_title(f"{name}, orthogonal")
        for ax, (name, law) in zip(axes[1, 2:], blocks.items()):
            plots.spectral_law(law, ax, 600).set_title(f"residual, {name}")
    fig.savefig(sys.argv[1])
