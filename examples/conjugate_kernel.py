"""The conjugate kernel of one random layer, phi(W X).T phi(W X) / n1, through its Gaussian equivalent.

With as many data as neurons, phi acts like phi(h) = mu1 h + noise of variance mu2 = E phi^2 - mu1^2, mu1 = E phi'.
Both numbers are limits of programs themselves, and the equivalent has the law of the real thing.
"""

import sys
from fractions import Fraction

import numpy as np

import rmtp


def phi(h):
    return rmtp.relu(h) - 1 / np.sqrt(2 * np.pi)  # centred


unit = rmtp.Normal(rmtp.Dim("any"))
mu1 = float(rmtp.limit(np.mean(unit * phi(unit))))
mu2 = float(rmtp.limit(np.mean(phi(unit) ** 2))) - mu1**2

n0, n1, m = rmtp.Dim("inputs", Fraction(2)), rmtp.Dim("neurons"), rmtp.Dim("data", Fraction(2, 3))
W, X = rmtp.Gaussian(n1, n0, name="W"), rmtp.Gaussian(n0, m, variance=m.ratio, name="X")
F = mu1 * W @ X + rmtp.Gaussian(n1, m, variance=m.ratio * mu2, name="noise")
law = rmtp.spectrum(F.T @ F)
print(f"mu1 = {mu1:.6f}, noise {mu2:.6f}, support {law.support()}, mean {law.mean():.9f}")


def kernel(width, rng):
    """Eigenvalues of the nonlinear matrix, in plain NumPy."""
    data, inputs = round(2 / 3 * width), 2 * width
    h = rng.standard_normal((width, inputs)) @ rng.standard_normal((inputs, data)) / inputs**0.5
    features = np.maximum(h, 0) - 1 / np.sqrt(2 * np.pi)
    return np.linalg.eigvalsh(features.T @ features / width)


drawn = kernel(900, np.random.default_rng(0))
for x in (0.2, 0.5, 1.0):
    print(f"share below {x}: limit {law.cdf(x):.4f}, nonlinear kernel of 900 neurons {np.mean(drawn < x):.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        ax.hist(drawn, bins=40, density=True, color=plots.PALETTE[5], alpha=0.45, label="relu(W X), 900 neurons")
        plots.spectral_law(law, ax, None, label="Gaussian equivalent")
        ax.legend()
    fig.savefig(sys.argv[1])
