"""Laws of random matrices, each moment an average of a program: (1/n) tr M^k = E[Z^v Z^{M^k v}]."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb, sqrt
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from ..ensembles import Dim
from ..handles import Scalar, Vector
from ..language import GOE, IID, Gaussian, Normal
from ..laws import Discrete
from ..limit import limit
from ..results import Estimate
from .figures import comparison, moments, spectrum
from .oracles import catalan, fuss_catalan, narayana_moment
from .table import Claim, Derivation, Row, check

RATIOS = (Fraction(2), Fraction(1, 2), Fraction(3, 2))


def power_traces(apply: Callable[[Any], Any], v: Any, orders: int) -> list[Any]:
    """Averages v . M^k v for k = 1..orders: (1/n) tr M^k in the limit."""
    out, x = [], v
    for _ in range(orders):
        x = apply(x)
        out.append(np.mean(v * x))
    return out


def semicircle_rows() -> tuple[Row, ...]:
    n = Dim("n")
    A, W, v = GOE(n, name="A"), Gaussian(n, n, variance=Fraction(1, 2), name="W"), Normal(n, name="v")
    claims = [
        Claim(f"GOE moment {k}", expr, Fraction(catalan(k // 2)) if k % 2 == 0 else Fraction(0))
        for k, expr in enumerate(power_traces(lambda x: A @ x, v, 8), start=1)
    ]
    claims += [
        Claim(f"(W + W.T) moment {k}", expr, Fraction(catalan(k // 2)) if k % 2 == 0 else Fraction(0))
        for k, expr in enumerate(power_traces(lambda x: W @ x + W.T @ x, v, 8), start=1)
    ]
    return check(claims, exact=True) + tuple(coefficient_rows(6))


def coefficient_rows(steps: int) -> list[Row]:
    """z_t = A^t z, Z^{z_t} = sum_s b^t_s Zhat^{A z_(s-1)} + b^t_0 Z^z, read off Zdot^{A z_t} = sum_s b^t_(s+1) Z^{z_s}."""
    n = Dim("n")
    A, z = GOE(n, name="A"), Normal(n, name="z0")
    for t in range(1, steps + 1):
        z = (A @ z).named(f"z{t}")
    zdot = limit(A @ z, exact=True).zdot
    absent = Estimate(Fraction(0), 0, "exact")
    gaps = [steps - s - 1 for s in range(steps)]
    theory = [Fraction(catalan(gap // 2)) if gap % 2 == 0 else Fraction(0) for gap in gaps]
    return [Row(f"b^{steps}_{s + 1}", zdot.get(f"z{s}", absent), theory[s]) for s in range(steps)]


def _wigner_eigenvalues() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((800, 800)) / sqrt(1600)
    return np.linalg.eigvalsh(x + x.T)


def mp_traces(ratio: Fraction, orders: int) -> list[Any]:
    """Averages v . (A A.T)^k v, A of m/n = ratio with entries of variance 1/n."""
    m, n = Dim("m", ratio), Dim("n")
    A = Gaussian(m, n, name="A")
    return power_traces(lambda x: A @ (A.T @ x), Normal(m, name="v"), orders)


def marchenko_pastur_rows() -> tuple[Row, ...]:
    rows: list[Row] = []
    for ratio in RATIOS:
        claims = [
            Claim(f"MP({ratio}) moment {k}", trace, narayana_moment(ratio, k))
            for k, trace in enumerate(mp_traces(ratio, 5), start=1)
        ]
        derived = check(claims, exact=True, seed=int(4 * ratio))
        rows += derived
        found = [Fraction(1), *(row.engine.value for row in derived)]
        for r in (4, 5):
            recursion = ratio * sum(found[j] * found[r - 1 - j] for j in range(1, r - 1)) + (1 + ratio) * found[r - 1]
            engine = derived[r - 1].engine
            rows.append(Row(f"recursion({ratio}), order {r}", engine, recursion))
            rows.append(Row(f"semicircle average({ratio}), order {r}", engine, mp_as_semicircle(ratio, r)))
    return tuple(rows)


def mp_density(x: Any, ratio: float) -> Any:
    """The continuous part of Marchenko-Pastur's law, A of m/n = ratio, A A.T (TP III, Eq. 26)."""
    a, b = (1 - sqrt(ratio)) ** 2, (1 + sqrt(ratio)) ** 2
    return np.sqrt(np.clip((b - x) * (x - a), 0, None)) / (2 * np.pi * ratio * np.maximum(x, 1e-300))


def mp_density_moment(ratio: float, k: int) -> float:
    """int x^k over density and atom; x = middle + radius sin(t) takes the square roots out of the integrand."""
    middle, radius = 1 + ratio, 2 * sqrt(ratio)

    def integrand(t: float) -> float:
        x = middle + radius * np.sin(t)
        return float(mp_density(x, ratio) * x**k * radius * np.cos(t))

    atom = max(0.0, 1 - 1 / ratio) if k == 0 else 0.0
    return atom + quad(integrand, -np.pi / 2, np.pi / 2, epsabs=1e-13, epsrel=1e-12)[0]


def mp_density_rows() -> tuple[Row, ...]:
    """The density and its atom have the derived moments, and mass 1 together."""
    rows = []
    for ratio in RATIOS:
        v = Normal(Dim("m", ratio), name="v")
        for k, answer in enumerate(limit([np.mean(v * v), *mp_traces(ratio, 4)], exact=True)):
            theory = mp_density_moment(float(ratio), k)
            rows.append(Row(f"density({ratio}), order {k}", answer, theory, analytic_error=1e-11))
    return tuple(rows)


def fuss_catalan_rows() -> tuple[Row, ...]:
    n = Dim("n")
    rows: list[Row] = []
    for factors in (2, 3):
        Ws = [Gaussian(n, n, name=f"W{k}") for k in range(factors)]

        def squared(x: Any, Ws: list[Any] = Ws) -> Any:
            for W in Ws:
                x = W @ x
            for W in reversed(Ws):
                x = W.T @ x
            return x

        traces = power_traces(squared, Normal(n, name="v"), 4)
        claims = [
            Claim(f"{factors} factors, moment {k}", e, Fraction(fuss_catalan(factors, k)))
            for k, e in enumerate(traces, start=1)
        ]
        rows += check(claims, exact=True, seed=factors)
    return tuple(rows)


# ---------------------------------------------------------------------------------------------
# Stieltjes transforms: x = (z - M)^{-1} v as a Neumann series of program lines, far outside the spectrum


def resolvent(apply: Callable[[Vector], Vector], v: Vector, z: int, terms: int) -> Scalar:
    """(1/n) tr (z - M)^{-1}, truncated: x <- (v + M x) / z."""
    x = v / z
    for _ in range(terms):
        x = (v + apply(x)) / z
    return np.mean(v * x)


def _neglected(edge: float, z: float, terms: int) -> float:
    return (edge / z) ** (terms + 1) / (z - edge)


def resolvent_rows() -> tuple[Row, ...]:
    n, m = Dim("n"), Dim("m", Fraction(1, 2))
    A, W, v = GOE(n, name="A"), Gaussian(m, n, name="W"), Normal(n, name="v")
    u = Normal(m, name="u")
    signs = IID(n, Discrete([-1, 1]), name="T")
    weights = IID(n, Discrete([1, 2]), name="T")
    keep, keep2 = IID(n, Discrete([0, 1]), name="D1"), IID(n, Discrete([0, 1]), name="D2")
    W2, W3 = Gaussian(n, n, name="W2"), Gaussian(n, n, name="W3")

    mp = brentq(lambda g: 0.5 * 12 * g**2 - (12 + 0.5 - 1) * g + 1, 0, 0.12)
    shifted = brentq(lambda g: g - 0.5 / (9 - 1 - g) - 0.5 / (9 + 1 - g), 0, 0.5)
    weighted = brentq(lambda g: 1 / (16 - 0.5 / (1 - g / 2) - 1 / (1 - g)) - g, 0, 0.5)
    edge, root = (1 + sqrt(0.5)) ** 2, sqrt(5**2 - 4)
    claims = [
        Claim("semicircle, g(5)", resolvent(lambda x: A @ x, v, 5, 24), (5 - root) / 2, _neglected(2, 5, 24)),
        Claim(
            "Marchenko-Pastur(1/2), g(12)", resolvent(lambda x: W @ (W.T @ x), u, 12, 12), mp, _neglected(edge, 12, 12)
        ),
        Claim("T + GOE, T = ±1, g(9)", resolvent(lambda x: signs * x + A @ x, v, 9, 10), shifted, _neglected(3, 9, 10)),
        Claim(
            "A T A.T, T in {1, 2}, g(16)",
            resolvent(lambda x: W @ (weights * (W.T @ x)), u, 16, 9),
            weighted,
            _neglected(2 * edge, 16, 9),
        ),
        Claim(
            "J.T J, J = W3 D2 W2 D1, g(24)",
            resolvent(lambda x: keep * (W2.T @ (keep2 * (W3.T @ (W3 @ (keep2 * (W2 @ (keep * x))))))), v, 24, 6),
            chain_stieltjes(24.0),
            _neglected(6.75, 24, 6),
        ),
    ]
    return check(claims, exact=True)


def chain_stieltjes(z: float) -> float:
    """g(z) for J = W3 D2 W2 D1 with sigma = 1 and D in {0, 1} equally likely, by the fixed point of its five scalars."""
    gamma1 = kappa1 = gamma2 = kappa2 = 0.0
    for _ in range(200):
        gamma1 = 0.5 / (z - kappa1)
        kappa2 = 1 / (1 - gamma2)
        gamma2 = 0.5 * gamma1 / (1 - gamma1 * kappa2)
        kappa1 = 0.5 * kappa2 / (1 - gamma1 * kappa2)
    return 0.5 / z + 0.5 / (z - kappa1)


def _narayana_eigenvalues() -> np.ndarray:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((500, 1000)) / sqrt(1000)
    return np.linalg.eigvalsh(a @ a.T)


def mp_as_semicircle(ratio: Fraction, r: int) -> Fraction:
    """E (1 + ratio + lambda sqrt(ratio))^(r-1) over the semicircle law (TP III, Eq. 33): only even powers stay."""
    return sum(
        (comb(r - 1, 2 * j) * (1 + ratio) ** (r - 1 - 2 * j) * ratio**j * catalan(j) for j in range((r - 1) // 2 + 1)),
        Fraction(0),
    )


SPECTRA = (
    Derivation(
        "semicircle",
        "Wigner's semicircle: moments are Catalan numbers",
        "TP III (2009.10685) section 3.3; W + W.T with variance 1/2 and the coefficients b^t_r = C_((t-r)/2)",
        semicircle_rows,
        spectrum(_wigner_eigenvalues, lambda x: np.sqrt(np.clip(4 - x * x, 0, None)) / (2 * np.pi), "GOE, n = 800"),
    ),
    Derivation(
        "marchenko-pastur",
        "Marchenko-Pastur: moments are Narayana polynomials of the ratio",
        "TP III (2009.10685) appendix H, Eq. 32",
        marchenko_pastur_rows,
        moments("MP(2) moment", "Marchenko-Pastur, ratio 2"),
        "Appendix H prints 1/n tr (A A.T)^k; its moments belong to 1/m.",
    ),
    Derivation(
        "marchenko-pastur-density",
        "The density and the atom of Marchenko-Pastur have the derived moments",
        "TP III (2009.10685) Eq. 26",
        mp_density_rows,
        spectrum(_narayana_eigenvalues, lambda x: mp_density(x, 0.5), "A A.T, ratio 1/2, m = 500"),
    ),
    Derivation(
        "fuss-catalan",
        "Products of Gaussian matrices: moments are Fuss-Catalan numbers",
        "TP III (2009.10685) Theorem 5.2 with identity nonlinearity",
        fuss_catalan_rows,
        moments("3 factors", "three Gaussian factors"),
    ),
    Derivation(
        "stieltjes",
        "Stieltjes transforms outside the spectrum: the Neumann series is a program",
        "fixed-point equations of the semicircle, Marchenko-Pastur, T + GOE, A T A.T and a chain of masked factors",
        resolvent_rows,
        comparison,
    ),
)
