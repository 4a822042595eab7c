"""Criticality is not enough: the critical line chi = 1, and singular values of the Jacobian along depth.

chi = s^2 E phi'(h)^2 at the variance q that the signal settles to. On chi = 1 the mean square singular value is 1 at any depth.
With Gaussian weights their spread still grows with depth; with orthogonal ones a hard-tanh network whose q shrinks like 1/depth
keeps all of them near 1 (dynamical isometry). ReLU networks cannot.
"""

import sys

import numpy as np

import rmtp

n = rmtp.Dim("n")


def critical(q):
    """(weight variance, bias variance) of a hard-tanh network with chi = 1 and preactivations of variance q."""
    h = rmtp.Normal(n, cov=q)
    inside, size = (float(rmtp.limit(np.mean(f))) for f in (np.where(abs(h) < 1, 1, 0), np.clip(h, -1, 1) ** 2))
    return 1 / inside, q - size / inside


def jacobian(share, depth, orthogonal):
    """D_L W_L .. D_1 W_1 with gates that are open for a share of the units, on the critical line."""
    J = rmtp.eye(n)
    for _ in range(depth):
        gate = rmtp.diag(rmtp.IID(n, rmtp.Discrete([0, 1], [1 - share, share])))
        J = gate @ ((1 / share) ** 0.5 * rmtp.Haar(n) if orthogonal else rmtp.Gaussian(n, n, variance=1 / share)) @ J
    return J


print("critical line of hard tanh: q, weight variance, bias variance")
for q in (0.1, 0.3, 1.0, 3.0):
    print(f"  {q:4.1f} {critical(q)[0]:.6f} {critical(q)[1]:.6f}")

families = {  # and the depths at which they are drawn
    "linear, Gaussian": (lambda depth: jacobian(1, depth, False), (2, 8, 32, 128)),
    "relu, orthogonal": (lambda depth: jacobian(0.5, depth, True), (2, 8, 32)),
    "hard tanh, orthogonal, q ~ 1/L": (lambda depth: jacobian(1 - 0.25 / depth, depth, True), (2, 8, 32)),
}
for name, (make, _) in families.items():
    squares = {depth: rmtp.singular_values(make(depth)).square for depth in (2, 8, 32)}
    print(
        name,
        {depth: round(float(law.var()), 6) for depth, law in squares.items()},
        "variance of squared singular values",
    )

if len(sys.argv) > 1:
    from rmtp import plots

    s = np.geomspace(0.02, 4, 80)
    with plots.style():
        fig, axes = plots.figure(15, 4.8, 1, 3)
        for ax, (name, (make, depths)) in zip(axes, families.items()):
            for k, depth in enumerate(depths):
                square = rmtp.singular_values(make(depth)).square
                g = square.stieltjes(s**2 * (1 + 1e-3j))  # so near the axis that a figure cannot tell
                ax.loglog(s, -2 * s * g.imag / np.pi, color=plots.PALETTE[k], label=f"depth {depth}")
            ax.set_ylim(1e-3, 30)
            ax.set_xlabel("singular value")
            ax.set_ylabel("density")
            ax.set_title(name)
            ax.legend()
    fig.savefig(sys.argv[1])
