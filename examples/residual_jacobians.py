"""Jacobians of residual networks, x <- x + relu(W x): one matrix per layer, or one for all layers.

With one matrix for all, the gates depend on the matrix that they stand beside, and nothing is free any more. The forward
pass is part of the program, so the law is right in both cases.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp

n = rmtp.Dim("n")


def jacobian(depth, tied):
    """Product of I + D_l W_l along a forward pass."""
    x, J = rmtp.Normal(n), rmtp.eye(n)
    shared = rmtp.Gaussian(n, n, variance=Fraction(1, 2))
    for _ in range(depth):
        W = shared if tied else rmtp.Gaussian(n, n, variance=Fraction(1, 2))
        h = W @ x
        x, J = x + rmtp.relu(h), (rmtp.eye(n) + rmtp.diag(np.heaviside(h, 0)) @ W) @ J
    return J


laws = {tied: rmtp.singular_values(jacobian(2, tied)) for tied in (False, True)}
for tied, law in laws.items():
    drawn = law.sample(800, rng=0)
    print(
        f"{'one W for both layers' if tied else 'a W for each layer'}: g(i) = {law.square.stieltjes(1j):.12f}", end=", "
    )
    print(f"one matrix {np.mean(1 / (1j - drawn**2)):.4f}, its largest singular value {drawn[-1]:.3f}")

if len(sys.argv) > 1:
    from rmtp import plots

    s = np.linspace(0.03, 3.6, 240)
    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        for ax, (tied, law) in zip(axes, laws.items()):
            ax.hist(law.sample(800, rng=0), 40, density=True, color=plots.PALETTE[5], alpha=0.45, label="one matrix")
            g = law.square.stieltjes(s**2 * (1 + 1e-4j))  # so near the axis that a figure cannot tell
            ax.plot(s, -2 * s * g.imag / np.pi, label="limit")
            ax.set_title("one W for both layers" if tied else "a W for each layer")
            ax.set_xlabel("singular value")
            ax.set_ylabel("density")
            ax.legend()
    fig.savefig(sys.argv[1])
