"""Power series over the rationals for free probability, and roots of polynomials continued from large |z|.

Nothing here knows the engine. Conventions: g(z) = int mu(dx)/(z - x), psi(z) = sum m_k z^k, S(u) = (1 + u)/u psi^-1(u).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import mpmath as mp
import numpy as np

Series = list[Any]  # coefficients, constant first; polynomials and truncated power series alike
Polynomial = dict[tuple[int, int], F]  # P(t, z) = sum c t^i z^j

# ---------------------------------------------------------------------------------------------
# polynomials and power series


def mul(a: Series, b: Series, size: int | None = None) -> Series:
    out = [a[0] * b[0] * 0] * (len(a) + len(b) - 1 if size is None else size)
    for i, x in enumerate(a[: len(out)]):
        for j, y in enumerate(b[: len(out) - i]):
            out[i + j] += x * y
    return out


def add(a: Series, b: Series) -> Series:
    short, long = sorted((a, b), key=len)
    return [x + y for x, y in zip(short, long, strict=False)] + long[len(short) :]


def scale(c: Any, a: Series) -> Series:
    return [c * x for x in a]


def power(a: Series, k: int, size: int | None = None) -> Series:
    out: Series = [a[0] * 0 + 1]
    for _ in range(k):
        out = mul(out, a, size)
    return out


def product(factors: Sequence[Series], size: int | None = None) -> Series:
    return functools.reduce(lambda a, b: mul(a, b, size), factors, [F(1)])


def reciprocal(a: Series, size: int) -> Series:
    a = [*a, *[F(0)] * (size - len(a))]
    out = [1 / a[0]]
    for k in range(1, size):
        out.append(-sum(a[j] * out[k - j] for j in range(1, k + 1)) / a[0])
    return out


def derivative(a: Series) -> Series:
    return [k * x for k, x in enumerate(a)][1:] or [F(0)]


def square_free(a: Series) -> Series:
    """The same roots, each once."""
    common, rest = a, derivative(a)
    while any(rest):
        common, rest = rest, _divided(common, rest)[1]
    return _divided(a, common)[0]


def _divided(a: Series, b: Series) -> tuple[Series, Series]:
    """Quotient and remainder."""
    a, b = _trimmed(a), _trimmed(b)
    quotient = [F(0)] * max(1, len(a) - len(b) + 1)
    for k in range(len(a) - len(b), -1, -1):
        quotient[k] = a[k + len(b) - 1] / b[-1]
        a = add(a, scale(-quotient[k], [*[F(0)] * k, *b]))
    return quotient, _trimmed(a[: max(1, len(b) - 1)])


def _trimmed(a: Series) -> Series:
    while len(a) > 1 and a[-1] == 0:
        a = a[:-1]
    return a


# ---------------------------------------------------------------------------------------------
# moments m_1, m_2, ... of free-probability data, exact


def moments_from_cumulants(kappa: Sequence[Any], orders: int) -> list[Any]:
    """Free cumulants kappa_1, ...: M(z) = C(z M(z)), C(z) = 1 + sum kappa_s z^s, so m_n = [y^n] C^(n+1)/(n + 1) (Lagrange)."""
    C = [F(1), *kappa, *[F(0)] * orders][: orders + 1]
    total, moments = C, []
    for n in range(1, orders + 1):
        total = mul(total, C, orders + 1)
        moments.append(total[n] / (n + 1))
    return moments


def cumulants_from_moments(moments: Sequence[Any]) -> list[Any]:
    """The inverse of `moments_from_cumulants`."""
    M, kappa = [F(1), *moments], []
    for n in range(1, len(M)):
        rest = sum((kappa[s - 1] * power(M, s, n + 1)[n - s] for s in range(1, n)), F(0))
        kappa.append(M[n] - rest)
    return kappa


def moments_from_s(inverse_s: Series, orders: int) -> list[Any]:
    """From 1/S(u): psi is the inverse of u S/(1 + u), so m_k = [u^(k-1)] ((1 + u)/S)^k / k (Lagrange)."""
    base = mul([F(1), F(1)], inverse_s, orders)
    return [power(base, k, orders)[k - 1] / k for k in range(1, orders + 1)]


def inverse_s(moments: Sequence[Any]) -> Series:
    """1/S(u) as a power series, from the moments (m_1 != 0)."""
    size = len(moments)
    ratio = reciprocal(list(moments), size)  # z / psi(z)
    chi = [power(ratio, k, size)[k - 1] / k for k in range(1, size + 1)]
    return reciprocal(mul([F(1), F(1)], chi, size), size)


def moments_from_rectangular(kappa: Sequence[Any], gamma: F, orders: int) -> list[Any]:
    """Rectangular cumulants kappa_2, kappa_4, ... of W (gamma = rows/cols): M = R(z (gamma M + 1)(M + 1))."""
    M: Series = [F(0)] * (orders + 1)
    for _ in range(orders):
        y = _rectangular_argument(M, gamma)
        M = [F(0)] * (orders + 1)
        for j, k in enumerate(kappa[:orders], start=1):
            M = add(M, scale(k, power(y, j, orders + 1)))
    return M[1:]


def rectangular_from_moments(moments: Sequence[Any], gamma: F) -> list[Any]:
    """Rectangular cumulants from (1/rows) tr (W W.T)^k: M = sum kappa_2j y^j is triangular."""
    M: Series = [F(0), *moments]
    y = _rectangular_argument(M, gamma)
    kappa: list[Any] = []
    for n in range(1, len(M)):
        kappa.append(M[n] - sum((k * power(y, j, n + 1)[n] for j, k in enumerate(kappa, start=1)), F(0)))
    return kappa


def _rectangular_argument(M: Series, gamma: F) -> Series:
    body = mul([1 + gamma * M[0], *scale(gamma, M[1:])], [1 + M[0], *M[1:]], len(M))
    return [F(0), *body[: len(M) - 1]]


def number(x: Any) -> Any:
    """A rational in the working precision of mpmath."""
    return mp.mpf(F(x).numerator) / F(x).denominator


def value(a: Series, t: Any) -> Any:
    """The polynomial at t, in the working precision."""
    return functools.reduce(lambda total, c: total * t + c, reversed(a), mp.mpf(0))


def newton(a: Series, start: complex) -> Any:
    """The root of a polynomial next to `start`, in the working precision."""
    slope, root = derivative(a), mp.mpc(start)
    for _ in range(12):
        step = value(a, root) / value(slope, root)
        root -= step
        if abs(step) <= abs(root) * mp.eps * 16:
            break
    return root


def roots(a: Series) -> list[Any]:
    """All roots of a square-free polynomial with rational coefficients, in the working precision."""
    exact = [number(c) for c in a]
    found = [newton(exact, t) for t in np.roots([float(c) for c in reversed(a)])]
    assert all(abs(s - t) > 1e-12 * abs(s) for k, s in enumerate(found) for t in found[:k])
    return found


def atomic_moments(atoms: dict[Any, Any], orders: int) -> list[Any]:
    return [sum(w * F(x) ** k for x, w in atoms.items()) for k in range(1, orders + 1)]


def on_other_side(moments: Sequence[Any], ratio: F) -> list[Any]:
    """tr (W.T W)^k / cols from tr (W W.T)^k / rows: times rows/cols."""
    return [ratio * m for m in moments]


# ---------------------------------------------------------------------------------------------
# continuation from large |z|


@dataclass(frozen=True)
class Branch:
    """g(z) through a root t of P(t, z): t is `start` for z -> infinity, g is `g(t, z)`, the support is within `reach`."""

    P: Polynomial
    start: Callable[[complex], complex] = lambda z: 1 / z
    g: Callable[[Any, Any], Any] = lambda t, z: t
    reach: float = 8.0

    def at(self, z: Any, dps: int = 30) -> Any:
        """g(z) as an mpc; on the real axis the limit from above."""
        z = mp.mpmathify(z)
        if mp.im(z) < 0:
            return mp.conj(self.at(mp.conj(z), dps))
        with mp.workdps(dps + 10):
            t = self._polished(self._followed(complex(z)), z)
            return mp.mpc(self.g(t, z))

    def density(self, x: Any, dps: int = 30) -> Any:
        """The density of the continuous part at a real x."""
        return -mp.im(self.at(x, dps)) / mp.pi

    @functools.cached_property
    def _rows(self) -> list[list[tuple[int, F]]]:
        degree = max(i for i, _ in self.P)
        return [[(j, c) for (i, j), c in self.P.items() if i == k] for k in range(degree + 1)]

    def _coefficients(self, z: Any, number: Callable[[F], Any]) -> list[Any]:
        return [sum((number(c) * z**j for j, c in row), number(F(0)) * z) for row in self._rows]

    def _roots(self, z: complex) -> np.ndarray:
        return np.roots(self._coefficients(z, float)[::-1])

    def _followed(self, z: complex) -> complex:
        """Vertical path to z: the height above z shrinks by a factor, smaller where roots come close."""
        height, factor = 64 * (abs(z) + self.reach), 0.25
        roots = self._roots(z + 1j * height)
        t = roots[np.argmin(abs(roots - self.start(z + 1j * height)))]
        last = self._roots(z)
        for _ in range(4000):
            arrived, sure = _nearest(t, last)
            if sure and (height < 1e-2 * abs(z) or height < 1e-14):
                return arrived
            lower = z + 1j * height * factor
            guess = t * self.start(lower) / self.start(z + 1j * height)  # good at large heights
            nearest, sure = _nearest(guess if height > abs(z) + self.reach else t, self._roots(lower))
            if sure:
                t, height, factor = nearest, height * factor, max(0.25, factor**2)
            else:
                factor = math.sqrt(factor)
        raise ArithmeticError(f"the oracle lost its branch at {z}")

    def _polished(self, t: complex, z: Any) -> Any:
        root = newton(self._coefficients(z, number), t)
        assert abs(root - t) <= 1e-5 * abs(t), "Newton left the followed root"
        return root


def _nearest(t: complex, roots: np.ndarray) -> tuple[complex, bool]:
    order = np.argsort(abs(roots - t))
    first = roots[order[0]]
    sure = len(roots) == 1 or abs(first - t) < 0.2 * abs(roots[order[1]] - first)
    return first, bool(sure)
