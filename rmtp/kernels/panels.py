"""Gaussian quadrature in one and two dimensions, entry by entry, refined until two orders agree.

Smooth functions take the trapezoid rule on the line. Functions with kinks take Gauss-Legendre panels between them; where
the inner integral, over v given u, crosses a kink of g, it changes within std(v | u) / slope, and the outer panels are cut
there too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import NotConverged
from ..expect.onesided import onesided, single
from ..expect.quadrants import determinant
from ..nonlinearity import Nonlinearity
from ..nonlinearity import values as values_of
from . import sectors

Array = Any
Functions = Sequence[tuple[Nonlinearity, int]]
Rule = Callable[[int, Array], tuple[Array, Array]]

RTOL = 1e-11
_REACH = 9.5  # standard deviations; beyond lies 1e-21 of the mass
_OUTSIDE = 1e-9  # of E f^2, as a density at the last node: a power x^6 has 1e-11
_LAYER = 8.0
_CLOSE = (-0.5, -0.05, 0.05, 0.5)  # of panels beside a kink, where functions of large variances change
_CHUNK = 1 << 20  # function values at a time
_PANEL_ORDERS = (16, 32, 64, 128, 256)
_LINE_ORDERS = (65, 129, 257, 513, 1025, 2049)
_INNER_LEVELS = (3, 6, 12, 24, 65, 129, 257, 513)  # Gauss-Hermite first: a narrow inner Gaussian needs no more
_HERMITE_UP_TO = 24
_SAMPLE = 12


def composite(functions: Functions) -> Callable[[Any], Any]:
    """The product of functions of one variable."""

    def f(x: Any) -> Any:
        total: Any = None
        for fn, power in functions:
            value = values_of(fn, x) if power == 1 else values_of(fn, x) ** power
            total = value if total is None else total * value
        return np.ones(np.shape(x)) if total is None else total

    return f


def kinks(functions: Functions) -> list[float]:
    """Where a product of functions of one variable is not smooth."""
    return sorted({float(k) for fn, _ in functions for k in fn.kinks})


def one(functions: Functions, mean: Array, var: Array) -> Array:
    """E f(u) for u ~ N(mean, var), flat arrays."""
    std, corners = np.sqrt(var), kinks(functions)
    f = composite(functions)
    orders = _PANEL_ORDERS if corners else _LINE_ORDERS

    def rule(order: int, k: Array) -> tuple[Array, Array]:
        if corners:
            safe = np.where(std[k] > 0, std[k], 1.0)
            t, w = _panels(corners, mean[k], std[k], order, [(c - mean[k]) / safe + d for c in corners for d in _CLOSE])
        else:
            t, w = _line(order, len(k))
        values = f(mean[k, None] + std[k, None] * t)
        return np.sum(w * values, axis=-1), np.sqrt(np.sum(w * values**2, axis=-1))

    return _settled(rule, len(mean), orders, lambda order: 3 * order * (1 + 5 * len(corners)))[0]


def _size(functions: Functions, mean: Array, var: Array) -> Array:
    """sqrt(E f^2), to a digit or two: what errors are relative to."""
    corners = kinks(functions)
    distinct, at = np.unique(np.stack([mean, var]), axis=1, return_inverse=True)
    out = np.empty(distinct.shape[1])
    for start in range(0, len(out), 1 << 12):
        part = slice(start, start + (1 << 12))
        m, std = distinct[0, part], np.sqrt(distinct[1, part])
        t, w = _panels(corners, m, std, 24)
        with np.errstate(all="ignore"):
            out[part] = np.sqrt(np.sum(w * composite(functions)(m[:, None] + std[:, None] * t) ** 2, axis=-1))
    return out[at.ravel()]


def check_reach(functions: Functions, mean: Any, var: Any) -> None:
    """That nothing of ``E f^2`` lies beyond the nodes, at the largest variance and the means there are.

    Raises
    ------
    NotConverged
        If it does: f grows too fast for so large a variance.
    """
    std = np.sqrt(np.max(var, initial=0.0))
    ends = np.unique([np.min(mean, initial=np.inf), np.max(mean, initial=-np.inf)])
    ends = ends[np.isfinite(ends)]
    with np.errstate(all="ignore"):
        f = composite(functions)
        for m in ends:
            edge = np.max(f(m + std * np.array([-_REACH, _REACH])) ** 2) * math.exp(-0.5 * _REACH**2)
            if not edge <= _OUTSIDE * _size(functions, np.array([m]), np.array([std**2]))[0] ** 2:
                names = " * ".join(fn.name for fn, _ in functions)
                raise NotConverged(
                    f"{names} grows too fast for a variance of {std**2:.3g}, or is undefined there",
                    remedy="smaller variances, or a function with a closed form",
                )


def two(first: Functions, other: Functions, mu: Array, mv: Array, c: Array, vu: Array, vv: Array) -> Array:
    """E f(u) g(v), flat arrays, vu > 0: u outside, v given u inside, in closed form where g is known to have one.

    Otherwise the inner order is settled first, at few outer nodes; then the outer one.
    """
    if len(c) > _SAMPLE**2:  # what cannot be done is refused before the whole array has been tried
        some = slice(None, None, len(c) // _SAMPLE)
        two(first, other, *(x[some] for x in (mu, mv, c, vu, vv)))
    known = onesided(other)
    if known is None and onesided(first) is not None:
        return two(other, first, mv, mu, c, vv, vu)
    su = np.sqrt(vu)
    slope = c / su
    rest = np.sqrt(determinant(vu, vv, c)) / su
    f, g, corners, inner_corners = composite(first), composite(other), kinks(first), kinks(other)
    norm = _size(first, mu, vu) * _size(other, mv, vv)
    cut = bool(corners or inner_corners)
    outer_orders = _PANEL_ORDERS if cut else _LINE_ORDERS
    inner_orders = _PANEL_ORDERS if inner_corners else _INNER_LEVELS
    per_entry = (1 + len(corners) + 3 * len(inner_corners) if cut else 1, 1 + len(inner_corners))

    def value(order: int, inner: int, k: Array) -> tuple[Array, Array]:
        m, n, a, b, s = mu[k], mv[k], su[k], slope[k], rest[k]
        if cut:
            t, w = _panels(corners, m, a, order, _layers(inner_corners, n, b, s))
        else:
            t, w = _line(order, len(k))
        outside = f(m[:, None] + a[:, None] * t)
        centre = n[:, None] + b[:, None] * t
        if inner == 0:  # v is a function of u, or its expectation given u is known
            inside = g(centre)
            mean = inside
            if known is not None and s.any():
                spread = np.broadcast_to(s[:, None] ** 2, centre.shape)
                mean = np.where(spread > 0, single(known, centre, np.where(spread > 0, spread, 1.0)), inside)
        else:
            spread = np.broadcast_to(s[:, None], centre.shape)
            if inner_corners:
                z, weight = _panels(inner_corners, centre, spread, inner)
            else:
                z, weight = _hermite(inner) if inner <= _HERMITE_UP_TO else _line(inner, 1)
            inside = g(centre[..., None] + spread[..., None] * z)
            mean = np.sum(inside * weight, axis=-1)
        return np.sum(w * outside * mean, axis=-1), norm[k]

    inner_order = np.zeros(len(c), dtype=int)
    spread_out = np.flatnonzero((rest > 0) & (known is None))
    start = outer_orders[0]

    def inner_rule(order: int, k: Array) -> tuple[Array, Array]:
        return value(start, order, spread_out[k])

    weight = start * per_entry[0] * per_entry[1]
    inner_order[spread_out] = _settled(inner_rule, len(spread_out), inner_orders, lambda order: weight * order)[1]
    out = np.zeros(len(c))
    for inner in map(int, np.unique(inner_order)):
        out[inner_order == inner] = _outer(value, np.flatnonzero(inner_order == inner), inner, outer_orders, per_entry)
    return out


def around_zero(first: Functions, other: Functions, mu: Array, mv: Array) -> bool:
    """Whether kinks lie at 0 alone and both variables are centred, so that `halves` is for them."""
    corners = {*kinks(first), *kinks(other)}
    return corners == {0.0} and not np.any(mu) and not np.any(mv)


def halves(first: Functions, other: Functions, c: Array, vu: Array, vv: Array) -> Array:
    """E f(u) g(v), flat arrays, variances above 0: kinks at 0, centred variables."""
    if len(c) > _SAMPLE**2:
        some = slice(None, None, len(c) // _SAMPLE)
        halves(first, other, *(x[some] for x in (c, vu, vv)))
    f, g = composite(first), composite(other)
    norm = _size(first, np.zeros(len(c)), vu) * _size(other, np.zeros(len(c)), vv)

    def at(order: int, k: Array) -> tuple[Array, Array]:
        return sectors.rule(f, g, c[k], vu[k], vv[k], order), norm[k]

    return _settled(at, len(c), sectors.ORDERS, sectors.cost)[0]


def _outer(
    value: Callable[[int, int, Array], tuple[Array, Array]],
    chosen: Array,
    inner: int,
    orders: Sequence[int],
    per_entry: tuple[int, int],
) -> Array:
    weight = per_entry[0] * max(inner, 1) * per_entry[1]
    return _settled(lambda order, k: value(order, inner, chosen[k]), len(chosen), orders, lambda n: n * weight)[0]


def _settled(rule: Rule, size: int, orders: Sequence[int], cost: Callable[[int], int]) -> tuple[Array, Array]:
    """A rule at growing orders until two agree, entry by entry: values, and the order each entry took."""
    out, took = np.zeros(size), np.zeros(size, dtype=int)
    open_, before = np.arange(size), None
    for order in orders:
        block = max(1, _CHUNK // cost(order))
        with np.errstate(all="ignore"):
            parts = [rule(order, open_[k : k + block]) for k in range(0, len(open_), block)]
        if not parts:
            return out, took
        now, norm = (np.concatenate(x) for x in zip(*parts, strict=True))
        if before is not None:
            done = np.abs(now - before) <= RTOL * norm
            out[open_[done]], took[open_[done]] = now[done], order
            open_, now = open_[~done], now[~done]
        before = now
        if not len(open_):
            return out, took
    raise NotConverged(
        f"{len(open_)} expectations at pairs of inputs did not settle at order {orders[-1]}",
        remedy="smaller variances, or kinks= of rmtp.elementwise",
    )


def _line(order: int, count: int) -> tuple[Array, Array]:
    t = np.linspace(-_REACH, _REACH, order)
    w = np.exp(-0.5 * t * t) * ((t[1] - t[0]) / math.sqrt(2 * math.pi))
    return (t, w) if count == 1 else (np.broadcast_to(t, (count, order)), np.broadcast_to(w, (count, order)))


def _hermite(order: int) -> tuple[Array, Array]:
    t, w = np.polynomial.hermite_e.hermegauss(order)
    return t, w / math.sqrt(2 * math.pi)


def _layers(corners: Sequence[float], mean: Array, slope: Array, rest: Array) -> list[Array]:
    """Where the inner integral crosses a kink, in standard deviations of u, and how far its influence reaches."""
    steep = np.where(slope == 0, 1.0, slope)
    out = []
    for k in corners:
        at = np.where(slope == 0, _REACH, (k - mean) / steep)
        width = np.where(slope == 0, 0.0, _LAYER * rest / np.abs(steep))
        out += [at - width, at, at + width]
    return out


def _panels(
    corners: Sequence[float], mean: Array, std: Array, order: int, more: Sequence[Array] = ()
) -> tuple[Array, Array]:
    """Nodes and Gaussian weights in standard deviations, split where a kink lies; a last axis of nodes."""
    x, w = sectors.gauss_legendre(order)
    safe = np.where(std > 0, std, 1.0)
    inside = [(k - mean) / safe for k in corners] + list(more)
    if len(inside) < 2:
        inside.append(np.zeros(mean.shape))
    ends = np.sort(
        np.clip(np.stack([np.full(mean.shape, -_REACH), *inside, np.full(mean.shape, _REACH)]), -_REACH, _REACH), 0
    )
    nodes, weights = [], []
    for a, b in itertools.pairwise(ends):
        if not np.any(b > a):
            continue
        half = 0.5 * (b - a)[..., None]
        t = 0.5 * (a + b)[..., None] + half * x
        nodes.append(t)
        weights.append(half * w * np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi))
    return np.concatenate(nodes, axis=-1), np.concatenate(weights, axis=-1)
