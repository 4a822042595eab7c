"""Universality: entries of another law with the same variance have the same limit.

The sampler draws Gaussian, Rademacher, uniform or sparse entries; the limit does not ask.
"""

import sys

import numpy as np

import rmtp

n = rmtp.Dim("n")
W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
average = np.mean(x * (W.T @ np.tanh(W @ x)))
print("limit", rmtp.limit(average))

laws = ("gaussian", "rademacher", "uniform", "sparse")
checks = rmtp.verify(average, widths=(100, 200, 400), trials=100, entries=laws)
for law, check in checks.items():
    value, error = check.extrapolated
    print(f"{law:10s} {value:.4f} ± {error:.4f}, z = {check.score:+.1f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        plots.plot_universality(checks, ax=ax).set_ylabel("overlap mean(x * W.T tanh(W x))")
    fig.savefig(sys.argv[1])
