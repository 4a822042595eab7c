"""Random features: the test error of a two-layer ReLU network whose first layer is random and fixed, and its double descent.

n samples in d dimensions, p features ``relu(<w_j, x>)``. In the bulk of the spectrum, features act like their Gaussian
equivalent ``mu1 <w_j, x> + mu* z_ij`` (Pennington & Worah 2017; Mei & Montanari 2019 for the error): that step is quoted, it
lies outside the theorem, which takes over from there. With little ridge the error peaks near p = n. The dots are ridge
regressions on real features.
"""

import sys
from fractions import Fraction
from math import pi, sqrt

import numpy as np

import rmtp

MU1, MU_REST = 0.5, sqrt(0.25 - 1 / (2 * pi))  # of relu, its mean taken off
NOISE, LAM, SAMPLES = 0.3, 0.0005, Fraction(3)  # n/d = 3


def limiting_error(ratio):
    d = rmtp.Dim("d")
    n, p = rmtp.Dim("n", SAMPLES), rmtp.Dim("p", ratio)
    X, W, rest = rmtp.Gaussian(n, d, name="X"), rmtp.Gaussian(p, d, name="W"), rmtp.Gaussian(n, p, name="Z")
    beta = rmtp.Normal(d, name="beta")
    linear = MU1 / sqrt(ratio)
    F = linear * (X @ W.T) + MU_REST * rest
    a = rmtp.solve(F.T @ F + LAM * rmtp.eye(p), F.T @ (X @ beta + rmtp.Normal(n, cov=NOISE)))
    error = np.mean((beta - linear * (W.T @ a)) ** 2) + MU_REST**2 * np.mean(a**2)
    return float(rmtp.limit(error).value)


def drawn_error(ratio, d, rng):
    n, p, tests = int(SAMPLES * d), int(ratio * d), 2000
    W, beta = rng.standard_normal((p, d)) / sqrt(d), rng.standard_normal(d)

    def features(x):
        return (np.maximum(x @ W.T, 0) - 1 / sqrt(2 * pi)) / sqrt(p)

    x, new = rng.standard_normal((n, d)), rng.standard_normal((tests, d))
    y = x @ beta / sqrt(d) + sqrt(NOISE) * rng.standard_normal(n)
    F = features(x)
    a = np.linalg.solve(F.T @ F + LAM * np.eye(p), F.T @ y)
    return np.mean((new @ beta / sqrt(d) - features(new) @ a) ** 2)


ratios = [Fraction(k, 4) for k in (2, 4, 7, 10, 12, 14, 18, 24, 36)]
limits = [limiting_error(r) for r in ratios]
rng = np.random.default_rng(0)
draws = np.array([[drawn_error(r, 120, rng) for _ in range(6)] for r in ratios])
for r, limit, drawn in zip(ratios, limits, draws, strict=True):
    print(f"p/d = {float(r):5.2f}: limit {limit:.4f}, real features {drawn.mean():.4f} ± {drawn.std() / sqrt(5):.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure(8, 5)
        fine = sorted({*ratios, *(Fraction(k, 8) for k in (6, 11, 17, 22, 23, 25, 26, 32, 42, 54))})
        ax.plot([float(r) for r in fine], [limiting_error(r) for r in fine], label="limit, Gaussian equivalent")
        ax.errorbar(
            [float(r) for r in ratios], draws.mean(axis=1), draws.std(axis=1) / sqrt(5), fmt="ko", label="relu, d = 120"
        )
        ax.axvline(float(SAMPLES), color="0.7", linewidth=1)
        ax.set_xlabel("features per dimension p/d")
        ax.set_ylabel("test error")
        ax.legend()
    fig.savefig(sys.argv[1])
