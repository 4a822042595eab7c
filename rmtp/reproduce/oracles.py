"""Independent arithmetic for the "analytic" column: quadrature, series and combinatorics that share no code with the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
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
