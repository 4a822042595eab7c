r"""Pairs of positively homogeneous functions and of erf, from one angle.

Positively homogeneous functions are combinations of relu(+-u) and step(+-u), and two of those meet in an arc-cosine
kernel; erf is a sign smoothed by an independent Gaussian, so it is homogeneous of degree zero in a wider variable.

Angles come from atan2(sqrt(det), cov) because 1 - rho and arccos(rho) both lose half the digits near rho = 1; the
determinant is exactly rounded where it cancels, and only there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..nonlinearity import Nonlinearity, Number

Array = Any

_TAU = 2 * math.pi
_BLOCK = 1 << 16  # entries: threads that change hands often lose more than the cache gives
_CANCELLING = 0.02  # det / (vu vv) below which the plain difference has lost two digits
_SMALL_ANGLE = 0.25
_SIN_MINUS = tuple((-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(1, 9))


@dataclass(frozen=True)
class Plane:
    """The geometry of one block of covariances, shared by all pairs of functions evaluated there.

    Attributes
    ----------
    c, vu, vv, det : ndarray
        The determinant to nearly full relative accuracy.
    """

    c: Array
    vu: Array
    vv: Array
    det: Array

    @cached_property
    def root(self) -> Array:
        return np.sqrt(self.det)

    @cached_property
    def angle(self) -> Array:
        """pi - arccos(rho)."""
        return np.arctan2(self.root, -self.c)

    @cached_property
    def complement(self) -> Array:
        """arccos(rho)."""
        return np.arctan2(self.root, self.c)

    @cached_property
    def rise(self) -> Array:
        """arcsin(rho)."""
        return np.arctan2(self.c, self.root)

    @cached_property
    def size(self) -> Array:
        return np.sqrt(self.vu) * np.sqrt(self.vv)

    def widened(self, alpha: float, noise: float, beta: float, hiss: float) -> Plane:
        """The plane of sqrt(alpha) u + sqrt(noise) z and sqrt(beta) v + sqrt(hiss) z'."""
        if (alpha, noise, beta, hiss) == (1.0, 0.0, 1.0, 0.0):
            return self
        det = alpha * beta * self.det
        if hiss:
            det = det + alpha * hiss * self.vu
        if noise:
            det = det + beta * noise * self.vv + noise * hiss
        return Plane(math.sqrt(alpha * beta) * self.c, alpha * self.vu + noise, beta * self.vv + hiss, det)

    def swapped(self) -> Plane:
        return Plane(self.c, self.vv, self.vu, self.det)


def blocks(shape: tuple[int, ...], limit: int = _BLOCK) -> Iterator[tuple[Any, ...]]:
    """Indices that cut an array into parts of at most `limit` entries, each a block of rows."""
    axis, inner = len(shape), 1
    while axis and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield ()
        return
    step = max(1, limit // max(inner, 1))
    for lead in np.ndindex(*shape[: axis - 1]):
        for start in range(0, shape[axis - 1], step):
            yield (*lead, slice(start, start + step))


def collapsed(x: Array) -> Array:
    """An array with the axes along which it merely repeats reduced to length one, at least one axis."""
    x = np.atleast_1d(x)
    return x[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.strides)]


def plane(c: Array, vu: Array, vv: Array, still: bool = False) -> Plane:
    """The geometry of covariances; c has the full shape, the variances broadcast to it.

    `still` says that some variance is zero: rounding in its covariances is then removed.
    """
    if still:
        c = np.where(np.multiply(vu, vv) == 0, 0.0, c)
    square = np.multiply(vu, vv)
    det = square - c * c
    close = det < _CANCELLING * square
    if close.any():
        u, v = (np.broadcast_to(x, det.shape)[close] for x in (vu, vv))
        det[close] = determinant(u, v, c[close])
    return Plane(c, vu, vv, det)


def plane_at(index: tuple[Any, ...], c: Array, vu: Array, vv: Array, still: bool) -> Plane:
    """The geometry of one block of arrays of one shape, some of which may repeat along axes."""
    return plane(np.atleast_1d(c[index]), collapsed(vu[index]), collapsed(vv[index]), still)


def determinant(vu: Array, vv: Array, c: Array) -> Array:
    """vu vv - c^2, clipped at zero, to nearly full relative accuracy: both products are split exactly."""
    p, p_error = _exact_product(vu, vv)
    q, q_error = _exact_product(c, c)
    return np.maximum((p - q) + (p_error - q_error), 0.0)


def difference_of_products(a: Array, b: Array, c: Array, d: Array) -> Array:
    """a b - c d to nearly full relative accuracy."""
    p, p_error = _exact_product(a, b)
    q, q_error = _exact_product(c, d)
    return (p - q) + (p_error - q_error)


def _exact_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b = product + error exactly (Dekker)."""

    def halves(x: Array) -> tuple[Array, Array]:
        size = np.abs(x)
        if np.all((size < 1e140) & ((size > 1e-140) | (size == 0))):
            high = x * 134217729.0
            high = high - (high - x)
            return high, x - high
        mantissa, exponent = np.frexp(x)  # the factor 2^27 + 1 would overflow
        high = mantissa * 134217729.0
        high = high - (high - mantissa)
        return np.ldexp(high, exponent), np.ldexp(mantissa - high, exponent)

    (a1, a0), (b1, b0) = halves(a), halves(b)
    product = a * b
    return product, a0 * b0 - (((product - a1 * b1) - a0 * b1) - a1 * b0)


def is_homogeneous(f: Nonlinearity) -> bool:
    """Whether f belongs here."""
    return bool(f.family) and f.family[0] in ("homogeneous", "erf")


def homogeneous_pair(phi: Nonlinearity, psi: Nonlinearity, at: Plane) -> Array:
    """E phi(u) psi(v) over a plane; at zero variance what the angle gives, which is wrong for jumps."""
    (k, a, alpha, noise), (m, b, beta, hiss) = widened(phi), widened(psi)
    wide = at.widened(alpha, noise, beta, hiss)
    return _quadrants(k, a, m, b, wide) if k >= m else _quadrants(m, b, k, a, wide.swapped())


def widened(f: Nonlinearity) -> tuple[int, tuple[Number, Number], float, float]:
    """Degree and slopes of a homogeneous h with f(u) = E h(sqrt(alpha) u + sqrt(noise) z)."""
    match f.family:
        case ("erf", scale, amplitude, offset):
            return 0, (offset + amplitude, offset - amplitude), 2 * scale**2, 1.0
        case (_, k, plus, minus):
            return k, (plus, minus), 1.0, 0.0
    raise AssertionError


def _quadrants(k: int, a: tuple[Number, Number], m: int, b: tuple[Number, Number], at: Plane) -> Array:
    """E f(u) g(v) for homogeneous f of degree k >= m = deg g.

    With h_k(u) = u^k 1(u > 0) and Q(rho) = E h_k(u) h_m(v), the four sign patterns contribute
    `same` * Q(rho) + `opposite` * Q(-rho).
    """
    sk, sm = (-1) ** k, (-1) ** m
    same = float(a[0] * b[0] + sk * sm * a[1] * b[1])
    opposite = float(sm * a[0] * b[1] + sk * a[1] * b[0])
    if k == 0:
        if opposite == -same:  # odd: relative accuracy at small correlations
            return 2 * same / _TAU * at.rise
        if opposite == 0:
            return at.angle * (same / _TAU)
        if same == 0:
            return at.complement * (opposite / _TAU)
        return fold(same, opposite, at.angle / _TAU, at.complement / _TAU, 0.25, at.rise / _TAU)
    if m == 0:
        height = np.sqrt(at.vu / _TAU)
        near = np.sin(0.5 * at.angle) ** 2
        if opposite == 0:
            return same * height * near
        far = np.sin(0.5 * at.complement) ** 2
        return height * fold(same, opposite, near, far, 0.5, 0.5 * np.sin(at.rise))
    return _arcs(same, opposite, at)


def _arcs(p: float, q: float, at: Plane) -> Array:
    """p P + q Q with 2 pi P = root + c angle and 2 pi Q = root - c complement."""
    if q == 0:
        value = at.angle * (1 / _TAU)  # at rho = 1 exactly 1/2
        value *= at.c
        value += at.root * (1 / _TAU)
        if p != 1:
            value *= p
    else:
        value = at.c * ((p * at.angle - q * at.complement) / _TAU)
        value += at.root * ((p + q) / _TAU)
    # root + c angle cancels at small angles x. There it is size (sin x - x cos x), by the series x^3/3 - x^5/30 + ..
    for part, name, other, far, sign in ((p, "angle", q, "complement", -1), (q, "complement", p, "angle", 1)):
        if part == 0:
            continue
        angle = getattr(at, name)
        small = angle < _SMALL_ANGLE
        if small.any():
            x = angle[small]
            near = np.broadcast_to(at.size, angle.shape)[small] * np.polynomial.polynomial.polyval(x * x, _SIN_MINUS)
            rest = other * (at.root + sign * at.c * getattr(at, far))[small] if other else 0.0
            value[small] = (part * near * x**3 + rest) / _TAU
    return value


def arc(x: Array, size: Array) -> Array:
    """size (sin x - x cos x) / (2 pi) without cancellation: E relu(u) relu(v) at the angle pi - x.

    Examples
    --------
    >>> float(arc(np.array([np.pi]), 1.0)[0])
    0.5
    """
    series = x**3 * np.polynomial.polynomial.polyval(x * x, _SIN_MINUS)
    return np.asarray(size * np.where(x < _SMALL_ANGLE, series, np.sin(x) - x * np.cos(x)) / _TAU)


def fold(same: Number, opposite: Number, at: Array, mirrored: Array, even: Array, odd: Array) -> Array:
    """same Q(x) + opposite Q(-x), from Q itself or from its even and odd parts: whichever cancels less."""
    p, q, plus, minus = (float(x) for x in (same, opposite, same + opposite, same - opposite))
    direct = np.abs(p) * at + np.abs(q) * mirrored
    split = np.abs(plus) * even + np.abs(minus) * np.abs(odd)
    return np.where(direct <= split, p * at + q * mirrored, plus * even + minus * odd)
