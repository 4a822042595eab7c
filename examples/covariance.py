"""Sample covariance matrices: any population (Silverstein), correlated samples (separable), a signal in noise.

diag(t) is a population with the law of t. Rotating it changes nothing, since X is rotationally invariant.
"""

import sys
from fractions import Fraction

import numpy as np
import scipy.stats

import rmtp

n, p = rmtp.Dim("samples"), rmtp.Dim("features", Fraction(1, 5))
X = rmtp.Gaussian(p, n, name="X")  # features x samples, variance 1/samples

t = rmtp.IID(p, rmtp.Discrete([1, 4, 16]), name="t")
root = rmtp.diag(np.sqrt(t))
uniform = rmtp.IID(p, scipy.stats.uniform(1, 4), name="uniform")
s = rmtp.IID(n, rmtp.Discrete([Fraction(1, 2), 3], [Fraction(4, 5), Fraction(1, 5)]), name="s")
signal = rmtp.diag(rmtp.IID(p, rmtp.Discrete([0, 3], [Fraction(3, 4), Fraction(1, 4)])))
noisy = signal @ rmtp.Haar(p, n, name="V") + X

laws = {
    "population {1, 4, 16}": rmtp.spectrum(root @ X @ X.T @ root),
    "population uniform on [1, 5]": rmtp.spectrum(X.T @ rmtp.diag(uniform) @ X),
    "separable: and samples of weight 1/2 or 3": rmtp.spectrum(root @ X @ rmtp.diag(s) @ X.T @ root),
    "information plus noise": rmtp.spectrum(noisy @ noisy.T),
}
for name, law in laws.items():
    print(f"{name}: {[(round(a, 6), round(b, 6)) for a, b in law.support()]}, mean {law.mean()}, variance {law.var()}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(13, 8, 2, 2)
        for ax, (name, law) in zip(axes.flat, laws.items()):
            law.plot(ax=ax).set_title(name)
    fig.savefig(sys.argv[1])
