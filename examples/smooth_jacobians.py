"""Jacobians of tanh networks, Gaussian and orthogonal weights: gates tanh'(h) with a continuous law.

Biases keep the preactivations at one variance q from layer to layer; chi = s^2 E tanh'(h)^2 is the mean squared singular
value of one layer.
"""

import sys

import numpy as np

import rmtp

n, q, variance = rmtp.Dim("n"), 0.5, 1.25
h = rmtp.Normal(n, cov=q)
size = float(rmtp.limit(np.mean(np.tanh(h) ** 2)))
chi = variance * float(rmtp.limit(np.mean((1 - np.tanh(h) ** 2) ** 2)))
print(f"chi = {chi:.9f}, variance of the biases {q - variance * size:.9f}")


def jacobian(depth, orthogonal):
    """Product of D_l W_l along a forward pass in which every h has variance q."""
    x, J = rmtp.Normal(n, cov=size), rmtp.eye(n)
    for _ in range(depth):
        W = variance**0.5 * rmtp.Haar(n) if orthogonal else rmtp.Gaussian(n, n, variance=variance)
        h = W @ x + rmtp.Normal(n, cov=q - variance * size)
        x, J = np.tanh(h), rmtp.diag(1 - np.tanh(h) ** 2) @ W @ J
    return J


laws = {orthogonal: rmtp.singular_values(jacobian(2, orthogonal)) for orthogonal in (False, True)}
for orthogonal, law in laws.items():
    mean = np.mean([np.mean(law.sample(400, rng=seed) ** 2) for seed in range(8)])
    print(f"{'orthogonal' if orthogonal else 'Gaussian'}: g(i) for J.T J {law.square.stieltjes(1j):.10f}", end=", ")
    print(f"chi^2 = {chi**2:.6f}, mean squared singular value of eight draws {mean:.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    s = np.linspace(0.02, 2.6, 160)
    with plots.style():
        fig, axes = plots.figure(12, 4.8, 1, 2)
        for ax, (orthogonal, law) in zip(axes, laws.items()):
            ax.hist(law.sample(800, rng=0), 40, density=True, color=plots.PALETTE[5], alpha=0.45, label="one matrix")
            g = law.square.stieltjes(s**2 * (1 + 1e-3j))  # so near the axis that a figure cannot tell
            ax.plot(s, -2 * s * g.imag / np.pi, label="limit")
            ax.set_title(f"tanh, depth 2, {'orthogonal' if orthogonal else 'Gaussian'}")
            ax.set_xlabel("singular value")
            ax.set_ylabel("density")
            ax.legend()
    fig.savefig(sys.argv[1])
