"""Independent arithmetic for the "analytic" column: quadrature, series and combinatorics that share no code with the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
from scipy.integrate import quad

_REACH = 12.0  # the Gaussian weight beyond is 1e-32


def gauss(f: Callable[[float], float], var: float = 1.0, mean: float = 0.0, kinks: Sequence[float] = ()) -> float:
    """E f(Z), Z ~ N(mean, var), by adaptive quadrature split at the kinks of f."""
    std = float(np.sqrt(float(var)))
    if std == 0:
        return float(f(mean))
    cuts = sorted({-_REACH, 0.0, _REACH, *(k for k in ((q - mean) / std for q in kinks) if abs(k) < _REACH)})

    def weighted(u: float) -> float:
        return float(f(mean + std * u)) * float(np.exp(-u * u / 2)) / float(np.sqrt(2 * np.pi))

    return float(sum(quad(weighted, a, b, epsabs=1e-14, epsrel=1e-13, limit=400)[0] for a, b in pairwise(cuts)))


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the trapezoidal rule for a standard normal: geometric convergence for analytic functions."""
    nodes = np.arange(-95, 96) / 10
    weights = np.exp(-nodes * nodes / 2)
    return nodes, weights / weights.sum()


def gauss2(f: Callable[[np.ndarray, np.ndarray], np.ndarray], x: float, y: float, c: float) -> float:
    """E f(X, Y) for a centred Gaussian pair with variances x, y and covariance c, and analytic f."""
    nodes, weights = grid()
    slope = c / x
    rest = np.sqrt(max(y - c * slope, 0.0))
    first = np.sqrt(x) * nodes[:, None]
    return float(weights @ f(first, slope * first + rest * nodes[None, :]) @ weights)


def catalan(k: int) -> int:
    """1, 1, 2, 5, 14, ..."""
    return comb(2 * k, k) // (k + 1)


def fuss_catalan(factors: int, k: int) -> int:
    """Moment k of the squared singular values of a product of square Gaussian matrices."""
    return comb((factors + 1) * k, k) // (factors * k + 1)


def narayana_moment(ratio: Any, k: int) -> Any:
    """Moment k of A A.T, A of m/n = ratio with entry variance 1/n: sum_j N(k, j) ratio**(j-1)."""
    if k == 0:
        return Fraction(1)
    return sum(Fraction(comb(k, j) * comb(k, j - 1), k) * ratio ** (j - 1) for j in range(1, k + 1))


# ---------------------------------------------------------------------------------------------
# S-transforms as truncated power series, coefficient of z**k at index k


def _multiply(a: Sequence[Any], b: Sequence[Any], size: int) -> list[Any]:
    out: list[Any] = [0] * size
    for i, x in enumerate(a[:size]):
        for j, y in enumerate(b[: size - i]):
            out[i + j] = out[i + j] + x * y
    return out


def _reciprocal(a: Sequence[Any], size: int) -> list[Any]:
    out: list[Any] = [1 / a[0]]
    for k in range(1, size):
        out.append(-sum(a[j] * out[k - j] for j in range(1, min(k, len(a) - 1) + 1)) / a[0])
    return out


def reversion(series: Sequence[Any], size: int) -> list[Any]:
    """The inverse function of ``sum_{k>=1} series[k] z**k`` by Lagrange: [x^k] = [z^(k-1)] (z / f(z))^k / k."""
    ratio = _reciprocal(list(series[1:]), size)
    out: list[Any] = [0]
    power: list[Any] = [1]
    for k in range(1, size):
        power = _multiply(power, ratio, size)
        out.append(power[k - 1] / k)
    return out


def jacobian_moments(layers: Sequence[tuple[Any, Any, Sequence[Any]]], count: int) -> list[Any]:
    """Moments of J.T J, J = W_L D_L .. W_1 D_1 with free factors, by multiplying S-transforms.

    Parameters
    ----------
    layers : sequence of (variance, ratio, moments)
        Per layer s^2, rows/cols of W_l, and the moments 1.. `count` of D_l**2.
    count : int

    Notes
    -----
    chi is the inverse of M(x) = sum m_k x^k, and S = chi (1+z)/z. Free multiplication multiplies S; passing from X to W.T X W
    divides chi by s^2 (1 + ratio z) and then, since only zeros are added or removed, rescales its argument by ratio.
    """
    size = count + 1
    one_plus = _reciprocal([1, 1], size)
    chi = _multiply([0, 1], one_plus, size)  # the identity
    for variance, ratio, moments in reversed(layers):
        chi = _multiply(chi, [c / variance for c in _reciprocal([1, ratio], size)], size)
        chi = [c / ratio**k for k, c in enumerate(chi)]
        diagonal = reversion([0, *moments], size + 1)
        chi = _multiply(chi, _multiply([*diagonal[1:]], [1, 1], size), size)
    return reversion(chi, size)[1:]


# ---------------------------------------------------------------------------------------------
# published laws: densities, edges and Stieltjes transforms g(z) = int mu(dx) / (z - x)


def lower(roots: Any) -> complex:
    """The root with the smallest imaginary part; for equations with exactly one in the lower half plane."""
    return complex(min(roots, key=lambda r: complex(r).imag))


def iterated(f: Callable[[Any], Any], start: Any, damping: float = 0.5, steps: int = 4000) -> Any:
    """The fixed point of f by damped iteration, which converges for resolvent equations off the real axis."""
    x = np.asarray(start, dtype=complex)
    for _ in range(steps):
        new = (1 - damping) * x + damping * np.asarray(f(x))
        if np.max(np.abs(new - x)) <= 1e-16 * np.max(np.abs(new)):
            return new
        x = new
    if np.max(np.abs(np.asarray(f(x)) - x)) > 1e-13 * np.max(np.abs(x)):
        raise ArithmeticError("the iteration of an oracle did not converge")
    return x


def newton(f: Callable[[complex], complex], start: complex) -> complex:
    """A root of an analytic function near `start`, by the secant of a complex step."""
    x = start
    for _ in range(60):
        h = 1e-6 * abs(x)
        step = f(x) * 2 * h / (f(x + h) - f(x - h))
        x = x - step
        if abs(step) <= 1e-15 * abs(x):
            break
    return x


def semicircle_stieltjes(z: complex) -> complex:
    """(z - sqrt(z - 2) sqrt(z + 2)) / 2."""
    return complex((z - np.sqrt(z - 2 + 0j) * np.sqrt(z + 2 + 0j)) / 2)


def marchenko_pastur_stieltjes(z: complex, ratio: float) -> complex:
    """Of A A.T, A of m/n = ratio with entries of variance 1/n: ratio z g^2 - (z + ratio - 1) g + 1 = 0."""
    a, b = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    return complex((z + ratio - 1 - np.sqrt(z - a + 0j) * np.sqrt(z - b + 0j)) / (2 * ratio * z))


def fuss_catalan_point(factors: int, share: float) -> tuple[float, float]:
    """(x, density) of the Fuss-Catalan law at phi = share pi / (factors + 1) (Penson & Zyczkowski 2011)."""
    s, phi = factors, share * np.pi / (factors + 1)
    x = np.sin((s + 1) * phi) ** (s + 1) / (np.sin(phi) * np.sin(s * phi) ** s)
    return float(x), float(np.sin(phi) ** 2 * np.sin(s * phi) ** (s - 1) / (np.pi * np.sin((s + 1) * phi) ** s))


def silverstein(x: complex, values: Sequence[float], weights: Sequence[float], ratio: float) -> complex:
    """g(x) of T^(1/2) A A.T T^(1/2), A of p/n = ratio with entries of variance 1/n (Silverstein & Choi 1995).

    The companion v has ``x = -1/v + ratio E[t / (1 + t v)]`` and is its only root with Im v > 0;
    g = -(v + (1 - ratio)/x) / ratio.
    """
    P: Any = np.polynomial.Polynomial
    factors = [P([1, t]) for t in values]
    whole = P([1])
    for f in factors:
        whole = whole * f
    rest = sum((P([w * t]) * whole // f for t, w, f in zip(values, weights, factors, strict=True)), P([0]))
    equation = P([0, x]) * whole + whole - ratio * P([0, 1]) * rest
    v = lower(equation.roots().conj()).conjugate()
    return complex(-(v + (1 - ratio) / x) / ratio)


def silverstein_edges(values: Sequence[float], weights: Sequence[float], ratio: float) -> list[float]:
    """All real critical values of x(v) = -1/v + ratio E[t / (1 + t v)]."""
    P: Any = np.polynomial.Polynomial
    factors = [P([1, t]) for t in values]
    squared = P([1])
    for f in factors:
        squared = squared * f * f
    terms = sum((P([w * t * t]) * squared // (f * f) for t, w, f in zip(values, weights, factors, strict=True)), P([0]))
    roots = (squared - ratio * P([0, 0, 1]) * terms).roots()
    real = [r.real for r in roots if abs(r.imag) < 1e-9 * abs(r)]
    return sorted(-1 / v + ratio * sum(w * t / (1 + t * v) for t, w in zip(values, weights, strict=True)) for v in real)


def separable(
    z: complex, rows: tuple[Sequence[float], Sequence[float]], columns: tuple[Sequence[float], Sequence[float]], ratio: float
) -> complex:  # fmt: skip
    """g(z) of T^(1/2) A S A.T T^(1/2), rows/cols of A = ratio, entries of variance 1/cols (Paul & Silverstein 2009)."""
    (t, wt), (s, ws) = (tuple(np.asarray(a, dtype=float) for a in law) for law in (rows, columns))

    def parts(e: Any) -> Any:
        return 1 / (t * np.sum(ws * s / (1 + ratio * s * e)) - z)

    e = iterated(lambda e: np.sum(wt * t * parts(e)), -1 / z)
    return complex(-np.sum(wt * parts(e)))


def information_plus_noise(z: complex, values: Sequence[float], weights: Sequence[float], ratio: float) -> complex:
    """g(z) of (R + A)(R + A).T, A of rows/cols = ratio with entries of variance 1/cols, R R.T with the atoms given
    (Dozier & Silverstein 2007)."""
    t, w = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    m = iterated(lambda m: np.sum(w / (t / (1 + ratio * m) - (1 + ratio * m) * z + 1 - ratio)), -1 / z)
    return complex(-m)


def wachter(x: float, alpha: float, beta: float) -> tuple[float, float, float]:
    """Edges a, b and n times the eigenvalue density at x of P Q P, for free projections of ranks alpha n and beta n, per n
    (Wachter 1980): sqrt((x - a)(b - x)) / (2 pi x (1 - x))."""
    first, second = (alpha * (1 - beta)) ** 0.5, (beta * (1 - alpha)) ** 0.5
    a, b = (first - second) ** 2, (first + second) ** 2
    return a, b, float(np.sqrt((x - a) * (b - x)) / (2 * np.pi * x * (1 - x)))


def fisher(x: float, c1: float, c2: float) -> tuple[float, float, float]:
    """Edges and density at x of W1 W1.T inv(W2 W2.T) with ratios p/n1 = c1, p/n2 = c2 < 1 (Silverstein 1985)."""
    h = (c1 + c2 - c1 * c2) ** 0.5
    a, b = ((1 - h) / (1 - c2)) ** 2, ((1 + h) / (1 - c2)) ** 2
    return a, b, float((1 - c2) * np.sqrt((x - a) * (b - x)) / (2 * np.pi * x * (c1 + c2 * x)))


def kesten_mckay(x: float, degree: int) -> float:
    """The density of the infinite regular tree: d sqrt(4 (d - 1) - x^2) / (2 pi (d^2 - x^2)) (McKay 1981)."""
    return float(degree * np.sqrt(4 * (degree - 1) - x * x) / (2 * np.pi * (degree**2 - x * x)))


def tetilla(x: float) -> float:
    """The density of an anticommutator of semicirculars at x != 0: z = 1/g + 2 g / (1 - g^2) (Nica & Speicher 1998)."""
    return -lower(np.polynomial.Polynomial([1, -x, 1, x]).roots()).imag / np.pi


def relu_edge(depth: int, share: float, variance: float) -> float:
    """Right edge of J J.T for Gaussian weights: the smallest value of (1 + u)/u (variance (u + share))^depth over u > 0
    (Pennington, Schoenholz & Ganguli 2017)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda s: np.log1p(np.exp(s)) - s + depth * np.log(variance * (np.exp(s) + share)),
        bounds=(-12, 6),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.fun))


def two_atom_sum(z: complex, values: Sequence[float], share: float) -> complex:
    """g(z) of a free sum of laws (1 - share) at 0, share at value: sum K_i(w) - (N - 1)/w = z, K_i a root of a quadratic
    (Voiculescu 1986)."""

    def outer(w: complex, k: float) -> complex:
        b = k * w + 1
        return complex((b + np.sqrt(b * b - 4 * w * k * (1 - share) + 0j)) / (2 * w))

    def distance(far: complex, w: complex) -> complex:
        return sum(outer(w, k) for k in values) - (len(values) - 1) / w - far

    w = 1 / (1e4 * z)
    for height in np.geomspace(1e4, 1, 400):
        w = newton(partial(distance, z * height), w)
    return w


def variance_profile(z: complex, sizes: Sequence[float], variances: Any) -> complex:
    """g(z) of a symmetric matrix with variances s_ij / n in block ij and groups of sizes c_i n (Girko 1990).

    The traces of the groups have ``g_i = 1 / (z - sum_j s_ij c_j g_j)``.
    """
    c, s = np.asarray(sizes, dtype=float), np.asarray(variances, dtype=float)
    g = iterated(lambda g: 1 / (z - s @ (c * g)), np.full(len(c), 1 / z))
    return complex(np.sum(c * g) / c.sum())


def kernel_equivalent(z: complex, linear: float, noise: float, data: float, ratio: float) -> complex:
    """g(z) of F.T F, F = sqrt(linear) W X + sqrt(noise) N, per column; ratio = columns/rows, data = columns/inputs
    (Pennington & Worah 2017; Fan & Wang 2020).

    A sample covariance whose population is linear lambda + noise, lambda following Marchenko and Pastur with ratio data.
    """
    t = (
        np.pi * (np.arange(2000) + 0.5) / 2000
    )  # sin^2 takes both roots out of the integrand: the midpoint rule is exact
    radius = 2 * data**0.5
    lam = 1 + data + radius * np.cos(t)
    weights = (radius * np.sin(t)) ** 2 / (2 * np.pi * data * lam) * np.pi / 2000
    population, w = linear * lam + noise, weights
    if data > 1:
        population, w = np.append(population, noise), np.append(w, 1 - 1 / data)
    v = iterated(lambda v: -1 / (z - ratio * np.sum(w * population / (1 + population * v))), -1 / z)
    return complex(-(v + (1 - ratio) / z) / ratio)
