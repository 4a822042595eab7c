"""Singular values of network Jacobians, J = D_L W_L .. D_1 W_1 with D_l = diag(phi'(h_l)) from the network's own forward pass.

Deep linear, ReLU, leaky ReLU and hard-tanh networks, Gaussian weights and orthogonal ones. That D_l and W_l may be treated
as free is not put in: it comes out.
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


laws = {}
for name, orthogonal in [*((name, False) for name in ACTIVATIONS), ("relu", True)]:
    law = rmtp.singular_values(jacobian(*ACTIVATIONS[name], 2, orthogonal))
    laws[f"{name}, {'orthogonal' if orthogonal else 'Gaussian'}"] = law
    first, second = (law.expect(lambda s, k=k: s ** (2 * k)) for k in (1, 2))
    print(f"{list(laws)[-1]}: var/mean^2 of J.T J {second / first**2 - 1:.6f}, atoms", end=" ")
    print([(round(a.x, 6), round(a.mass, 6)) for a in law.atoms])

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(15, 8, 2, 3)
        for ax, (name, law) in zip(axes.flat, laws.items()):
            law.plot(ax=ax, width=600).set_title(name)
        for ax in axes.flat[len(laws) :]:
            ax.remove()
    fig.savefig(sys.argv[1])
