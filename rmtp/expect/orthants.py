r"""Pairs of piecewise polynomials with any breaks: hard tanh, clip, shifted relu.

About the piece that holds the mean, a piecewise polynomial is one polynomial and tails, combinations of (u - b)^k on u > b
and of (b - u)^k on u < b. A pair of tails is a moment of the bivariate normal on an orthant: its probability comes from
Owen's T, and Stein's lemma raises the powers. The arguments of T divide exact differences by sqrt(det), so that nearly
parallel inputs keep their digits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import special
from ..nonlinearity import Nonlinearity, Pieces
from . import quadrants
from .pieces import compose, multiply_pieces, odd_factorial, pieces_power

Array = Any
Functions = Sequence[tuple[Nonlinearity, int]]


def pieces_of(functions: Functions) -> Pieces | None:
    """A product of functions of one variable as one piecewise polynomial, None if it is not."""
    total = Pieces((), ((1,),))
    for fn, power in functions:
        if fn.pieces is None or power < 0:
            return None
        total = multiply_pieces(total, pieces_power(fn.pieces, power))
    return total


def single(p: Pieces, mean: Array, var: Array) -> Array:
    """E p(u) for u ~ N(mean, var), var > 0, to a few roundings of sqrt(E p^2).

    Examples
    --------
    >>> from rmtp.catalogue import RELU
    >>> float(single(RELU.pieces, np.zeros(1), np.full(1, 2 * np.pi))[0])
    1.0
    """
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(var, dtype=float))
    out = np.zeros(m.shape)
    anchors = np.searchsorted([float(b) for b in p.breaks], m)
    for anchor in np.unique(anchors):
        chosen = anchors == anchor
        mu, vu, std = m[chosen], v[chosen], np.sqrt(v[chosen])
        base, tails = _expanded(p, int(anchor))
        total: Array = np.zeros(mu.shape)
        for k, a in enumerate(_centred(base, mu)):
            if k % 2 == 0:
                total = total + a * odd_factorial(k) * vu ** (k // 2)
        with np.errstate(all="ignore"):
            for tail in tails:
                powers = _one_sided(tail.sign * (tail.at - mu) / std, len(tail.coefficients) - 1)
                for k, b in enumerate(tail.coefficients):
                    if b:
                        total = total + b * std**k * powers[k]
        out[chosen] = total
    return out


def pair(f: Pieces, g: Pieces, mu: Array, mv: Array, cov: Array, var_u: Array, var_v: Array) -> Array:
    """E f(u) g(v) for (u, v) ~ N((mu, mv), ((var_u, cov), (cov, var_v))).

    Parameters
    ----------
    f, g : Pieces
    mu, mv, cov, var_u, var_v : array_like
        Broadcast together. Variances must be positive.

    Returns
    -------
    ndarray, to about 1e-13 of sqrt(E f^2 E g^2)

    Examples
    --------
    >>> from rmtp.catalogue import RELU
    >>> round(float(pair(RELU.pieces, RELU.pieces, 0.0, 0.0, 2.0, 2.0, 2.0)), 12)
    1.0
    """
    arrays = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (mu, mv, cov, var_u, var_v)))
    m, n, c, vu, vv = (np.ravel(a) for a in arrays)
    out = np.zeros(c.shape)
    left, right = (np.searchsorted([float(b) for b in p.breaks], x) for p, x in ((f, m), (g, n)))
    for i, j in itertools.product(np.unique(left), np.unique(right)):
        group = np.flatnonzero((left == i) & (right == j))
        for start in range(0, len(group), 1 << 13):
            k = group[start : start + (1 << 13)]
            with np.errstate(all="ignore"):
                out[k] = _anchored(f, g, int(i), int(j), m[k], n[k], c[k], vu[k], vv[k])
    return out.reshape(arrays[0].shape)[()]


@dataclass(frozen=True)
class _Tail:
    """``sum_k coefficients[k] ((u - at) sign)^k`` where (u - at) sign > 0."""

    at: float
    sign: int
    coefficients: tuple[float, ...]


def _expanded(p: Pieces, anchor: int) -> tuple[tuple[float, ...], list[_Tail]]:
    """The polynomial of one piece, and what is added beyond each break."""
    tails = []
    for i, b in enumerate(p.breaks):
        sign = 1 if i >= anchor else -1
        outer, inner = (p.polys[i + 1], p.polys[i]) if sign > 0 else (p.polys[i], p.polys[i + 1])
        width = max(len(outer), len(inner))
        rows = [(*poly, *[0] * (width - len(poly))) for poly in (outer, inner)]
        jump = [Fraction(x) - Fraction(y) for x, y in zip(*rows, strict=True)]
        coefficients = compose(jump, sign, Fraction(b))
        tails.append(_Tail(float(b), sign, tuple(float(x) for x in coefficients)))
    return tuple(float(x) for x in p.polys[anchor]), tails


def _anchored(f: Pieces, g: Pieces, i: int, j: int, m: Array, n: Array, c: Array, vu: Array, vv: Array) -> Array:
    at = quadrants.plane(c, vu, vv)
    base_u, tails_u = _expanded(f, i)
    base_v, tails_v = _expanded(g, j)
    p, q = _centred(base_u, m), _centred(base_v, n)
    total = _polynomials(p, q, at)
    for tail in tails_v:
        total = total + _polynomial_tail(p, tail, n, at)
    for tail in tails_u:
        total = total + _polynomial_tail(q, tail, m, at.swapped())
    for s, t in itertools.product(tails_u, tails_v):
        total = total + _two_tails(s, t, m, n, at)
    return total


def _centred(poly: Sequence[float], mean: Array) -> list[Array]:
    """Coefficients of x -> poly(mean + x), arrays."""
    out: list[Array] = [0.0] * len(poly)
    for k, a in enumerate(poly):
        if a:
            for i in range(k + 1):
                out[i] = out[i] + a * math.comb(k, i) * mean ** (k - i)
    return out


def _polynomials(p: Sequence[Array], q: Sequence[Array], at: quadrants.Plane) -> Array:
    total: Array = np.zeros(at.c.shape)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            for m in range(i % 2, min(i, j) + 1, 2) if (i - j) % 2 == 0 else ():
                ways = math.comb(i, m) * math.comb(j, m) * math.factorial(m)
                ways *= odd_factorial(i - m) * odd_factorial(j - m)
                total = total + a * b * ways * at.c**m * at.vu ** ((i - m) // 2) * at.vv ** ((j - m) // 2)
    return total


def _one_sided(h: Array, degree: int, std: Array = 1.0, distance: Array | None = None) -> list[Array]:
    """E (std x - distance)^k on x > h, k = 0..degree, for standard normal x and distance = std h (known better)."""
    distance = std * h if distance is None else distance
    out = [special.ndtr(-h)]
    if degree:
        out.append(std * _density(h) - distance * out[0])
    for k in range(2, degree + 1):
        out.append((k - 1) * std**2 * out[k - 2] - distance * out[k - 1])
    return out


def _density(h: Array) -> Array:
    return np.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)


def _polynomial_tail(p: Sequence[Array], tail: _Tail, mean: Array, at: quadrants.Plane) -> Array:
    """E p(x) t(v) with x = c/vv y + rest, y = v - mean: powers of the rest have known moments."""
    sv = np.sqrt(at.vv)
    h = tail.sign * (tail.at - mean) / sv
    slope, rest = tail.sign * at.c / sv, at.det / at.vv  # x = slope * y / sv, signed, + rest
    degree = len(tail.coefficients) - 1
    powers = _one_sided(h, degree + len(p) - 1)
    total: Array = 0.0
    for k, b in enumerate(tail.coefficients):
        if not b:
            continue
        # E y^n (y - h)^k, from y = (y - h) + h
        for i, a in enumerate(p):
            for r in range(0, i + 1, 2):
                n = i - r
                moment: Array = 0.0
                for e in range(n + 1):
                    moment = moment + math.comb(n, e) * h ** (n - e) * powers[k + e]
                ways = math.comb(i, r) * odd_factorial(r)
                total = total + a * b * ways * rest ** (r // 2) * slope**n * sv**k * moment
    return total


def _two_tails(s: _Tail, t: _Tail, m: Array, n: Array, at: quadrants.Plane) -> Array:
    """E s(u) t(v): orthant moments of standardised variables turned so that both tails are upper ones."""
    su, sv = np.sqrt(at.vu), np.sqrt(at.vv)
    a, b = s.sign * (s.at - m), t.sign * (t.at - n)
    turned = quadrants.Plane(s.sign * t.sign * at.c, at.vu, at.vv, at.det)
    moments = _orthant_moments(len(s.coefficients) - 1, len(t.coefficients) - 1, a, b, turned)
    total: Array = 0.0
    for i, x in enumerate(s.coefficients):
        for j, y in enumerate(t.coefficients):
            if x and y:
                total = total + x * y * su**i * sv**j * moments[i, j]
    return total


def _orthant_moments(p: int, q: int, a: Array, b: Array, at: quadrants.Plane) -> dict[tuple[int, int], Array]:
    """E (x - h)^i (y - k)^j on x > h, y > k for standard normals with correlation rho, h = a/su, k = b/sv."""
    su, sv, root = np.sqrt(at.vu), np.sqrt(at.vv), at.root
    h, k, rho, slack = a / su, b / sv, at.c / (su * sv), root / (su * sv)
    # k - rho h and h - rho k over sqrt(1 - rho^2)
    gap_y = quadrants.difference_of_products(b, at.vu, at.c, a) / (su * root)
    gap_x = quadrants.difference_of_products(a, at.vv, at.c, b) / (sv * root)
    # on a line, where both vanish, the breaks coincide: half of the mass lies on either side
    gap_y, gap_x = (np.where(np.isnan(gap), 0.0, gap) for gap in (gap_y, gap_x))
    density_h, density_k = _density(h), _density(k)
    # moments of (y - k) given x = h, and of (x - h) given y = k
    given_x = _one_sided(gap_y, q, slack, k - rho * h)
    given_y = _one_sided(gap_x, p, slack, h - rho * k)
    out: dict[tuple[int, int], Array] = {(0, 0): _quadrant(h, k, gap_x, gap_y, at)}
    for i in range(p + 1):
        for j in range(q + 1):
            if i:
                # E x A^(i-1) B^j by Stein's lemma, minus h times the same without x
                value = -h * out[i - 1, j]
                value = value + ((i - 1) * out[i - 2, j] if i > 1 else density_h * given_x[j])
                value = value + rho * (j * out[i - 1, j - 1] if j else density_k * given_y[i - 1])
                out[i, j] = value
            elif j:
                value = -k * out[0, j - 1]
                value = value + ((j - 1) * out[0, j - 2] if j > 1 else density_k * given_y[0])
                out[0, j] = value + rho * density_h * given_x[j - 1]
    return out


def _quadrant(h: Array, k: Array, gap_x: Array, gap_y: Array, at: quadrants.Plane) -> Array:
    """P(x > h, y > k): Owen (1956), with gap_x = (h - rho k)/sqrt(1 - rho^2)."""
    slope_h, slope_k = (np.where(z == 0, np.copysign(np.inf, g), g / z) for z, g in ((h, gap_y), (k, gap_x)))
    both = (h * k > 0) | ((h * k == 0) & (h + k >= 0))
    value = 0.5 * (special.ndtr(-h) + special.ndtr(-k)) - np.where(both, 0.0, 0.5)
    value = value - special.owens_t(h, slope_h) - special.owens_t(k, slope_k)
    centre = (h == 0) & (k == 0)
    if centre.any():
        value = np.where(centre, at.angle / (2 * math.pi), value)
    return np.maximum(value, 0.0)
