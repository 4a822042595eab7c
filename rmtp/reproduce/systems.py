"""Linear systems inside programs: ridge regression, from one line of the program to its risk."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
from scipy.integrate import quad

from ..ensembles import Dim
from ..language import Gaussian, Normal
from ..matrices import eye
from ..matrixlaws import Haar
from ..solving import solve
from .spectra import mp_density
from .table import Claim, Derivation, Row, check

LAM, NOISE = 0.3, 0.25
RATIOS = (Fraction(1, 2), Fraction(2))


def gram_integral(f: Callable[[float], float], ratio: float) -> float:
    """int f over the law of X.T X / p-normalised entries, n/p = ratio: the nonzero eigenvalues of X X.T, and zeros."""
    middle, radius = 1 + ratio, 2 * sqrt(ratio)

    def integrand(t: float) -> float:
        x = middle + radius * np.sin(t)
        return float(f(x) * mp_density(x, ratio) * radius * np.cos(t))

    continuous = quad(integrand, -np.pi / 2, np.pi / 2, epsabs=1e-13, epsrel=1e-12)[0]
    return ratio * continuous + max(0.0, 1 - ratio) * f(0.0)


def ridge_rows() -> tuple[Row, ...]:
    claims: list[Claim] = []
    for ratio in RATIOS:
        n, p = Dim(f"n_{float(ratio):g}", ratio), Dim("p")
        X, beta, probe = Gaussian(n, p, name="X"), Normal(p, name="beta"), Normal(p, name="probe")
        M = X.T @ X + LAM * eye(p)
        estimate = solve(M, X.T @ (X @ beta + Normal(n, cov=NOISE, name="noise")))
        risk: Callable[[float], float] = lambda x: (LAM**2 + NOISE * x) / (x + LAM) ** 2  # noqa: E731
        used: Callable[[float], float] = lambda x: x / (x + LAM)  # noqa: E731
        gamma = float(ratio)
        claims.append(Claim(f"risk, n/p = {ratio}", np.mean((estimate - beta) ** 2), gram_integral(risk, gamma), 1e-11))
        share = 1 - LAM * np.mean(probe * solve(M, probe))
        claims.append(Claim(f"degrees of freedom / p, n/p = {ratio}", share, gram_integral(used, gamma), 1e-11))
    claims += orthonormal_claims()
    return check(claims, widths=(100, 200), trials=48)


def orthonormal_claims() -> list[Claim]:
    """X.T X = I makes everything a number; the same system by the free cumulants of a partial isometry."""
    n, p = Dim("m", 2), Dim("p")
    V, a = Haar(n, p, name="V"), Normal(p, name="a")
    x: Any = solve(V.T @ V + LAM * eye(p), a)
    return [
        Claim("orthonormal X: (1/p) tr (M^-1)", np.mean(a * x), 1 / (1 + LAM), 1e-14),
        Claim("orthonormal X: (1/p) tr (M^-2)", np.mean(x * x), 1 / (1 + LAM) ** 2, 1e-14),
    ]


SYSTEMS = (
    Derivation(
        "ridge",
        "Ridge regression: risk and degrees of freedom of a linear system inside a program",
        "Dobriban & Wager 2018; Hastie, Montanari, Rosset & Tibshirani 2022: integrals over Marchenko-Pastur",
        ridge_rows,
    ),
)
