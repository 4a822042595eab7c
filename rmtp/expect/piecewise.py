"""Piecewise polynomials of one Gaussian variable: a calculus in floats or in arrays of them.

Sums, products and compositions of piecewise linear functions (relu, abs, sign, clip, thresholds, and whatever is
written with them) are piecewise polynomials again, so their expectations are truncated Gaussian moments, in closed form.
Plain lists of numbers, not arrays of intervals: there are few pieces, and one limit asks for hundreds of these. Over a batch
the pieces must come in one order; where they cross, `Crossing` sends the caller to quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nonlinearity import Nonlinearity, values
from ..special import ndtr

Real = Any  # a float, or an array over a batch

MAX_DEGREE = 10
_FAR = 4.0  # beyond so many standard deviations the terms of a truncated moment cancel
_SQRT_2PI = math.sqrt(2 * math.pi)


class Crossing(Exception):
    """The pieces have another order, or the argument another sign, in parts of the batch."""


@dataclass(frozen=True)
class Piecewise:
    """polys[k], lowest coefficient first, holds between breaks[k - 1] and breaks[k], which are sorted."""

    breaks: tuple[Real, ...]
    polys: tuple[tuple[Real, ...], ...]


def linear(const: Real, slope: Real) -> Piecewise:
    """const + slope * w."""
    return Piecewise((), ((const, slope),))


def _first(value: Real) -> float:
    return float(value.flat[0]) if isinstance(value, np.ndarray) else value


def _agreed(condition: Any) -> bool:
    """A truth value that holds for the whole batch."""
    if isinstance(condition, np.ndarray):
        if condition.all():
            return True
        if condition.any():
            raise Crossing
        return False
    return bool(condition)


def _sorted(breaks: list[Real]) -> tuple[Real, ...]:
    out: list[Real] = []
    for b in sorted(breaks, key=_first):
        if out and np.array_equal(out[-1], b):
            continue
        if out and not _agreed(out[-1] < b):
            raise Crossing
        out.append(b)
    return tuple(out)


def _inside(breaks: tuple[Real, ...], k: int) -> float:
    """A point of interval k, for the first member of the batch."""
    if not breaks:
        return 0.0
    if k == 0:
        return _first(breaks[0]) - 1.0
    if k == len(breaks):
        return _first(breaks[-1]) + 1.0
    return 0.5 * (_first(breaks[k - 1]) + _first(breaks[k]))


def _piece(p: Piecewise, point: float) -> tuple[Real, ...]:
    return p.polys[sum(_first(b) < point for b in p.breaks)]


def _times(a: tuple[Real, ...], b: tuple[Real, ...]) -> tuple[Real, ...]:
    out: list[Real] = [0.0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] = out[i + j] + x * y
    return tuple(out)


def multiply(p: Piecewise, q: Piecewise) -> Piecewise:
    """p * q."""
    breaks = _sorted([*p.breaks, *q.breaks])
    points = [_inside(breaks, k) for k in range(len(breaks) + 1)]
    return Piecewise(breaks, tuple(_times(_piece(p, x), _piece(q, x)) for x in points))


def add(p: Piecewise, q: Piecewise, factor: Real) -> Piecewise:
    """p + factor * q."""
    breaks = _sorted([*p.breaks, *q.breaks])
    polys = []
    for k in range(len(breaks) + 1):
        a, b = _piece(p, _inside(breaks, k)), _piece(q, _inside(breaks, k))
        size = max(len(a), len(b))
        a, b = a + (0.0,) * (size - len(a)), b + (0.0,) * (size - len(b))
        polys.append(tuple(x + factor * y for x, y in zip(a, b, strict=True)))
    return Piecewise(breaks, tuple(polys))


def compose(fn: Nonlinearity, inner: Piecewise) -> Piecewise | None:
    """fn(inner(w)) for a piecewise polynomial fn of a piecewise linear function, else None."""
    outer = fn.pieces
    assert outer is not None
    if any(np.any(c != 0) for poly in inner.polys for c in poly[2:]):
        return None
    found = list(inner.breaks)
    for k, poly in enumerate(inner.polys):
        const, slope = poly[0], poly[1] if len(poly) > 1 else 0.0
        if not _agreed(slope != 0):
            continue
        for level in outer.breaks:
            root = (float(level) - const) / slope
            above = k == 0 or _agreed(root > inner.breaks[k - 1])
            if above and (k == len(inner.breaks) or _agreed(root < inner.breaks[k])):
                found.append(root)
    breaks = _sorted(found)
    polys = []
    for k in range(len(breaks) + 1):
        point = _inside(breaks, k)
        poly = _piece(inner, point)
        const, slope = poly[0], poly[1] if len(poly) > 1 else 0.0
        if not _agreed(slope != 0):
            # a whole interval on one value, which may be a break: only the function knows what it is there
            polys.append((values(fn, const) if isinstance(const, np.ndarray) else float(values(fn, const)),))
            continue
        value = _first(const) + _first(slope) * point
        if not breaks:  # a line that meets no break: the whole batch must lie in one piece
            for level in outer.breaks:
                _agreed(const > float(level))
        row = outer.polys[sum(value > float(b) for b in outer.breaks)]
        out: tuple[Real, ...] = (float(row[-1]),)
        for c in row[-2::-1]:
            out = _times(out, (const, slope))
            out = (out[0] + float(c), *out[1:])
        polys.append(out)
    return Piecewise(breaks, tuple(polys))


def expectation(p: Piecewise, variance: Real) -> Real | None:
    """E p(w), w ~ N(0, variance) with variance > 0; None where the truncated moments would cancel."""
    size = max(len(poly) for poly in p.polys)
    std = variance**0.5
    z = [b / std for b in p.breaks]
    if size > MAX_DEGREE + 1 or any(np.any(abs(x) > _FAR) for x in z):
        return None
    density = [np.exp(-0.5 * x * x) / _SQRT_2PI for x in z]
    below, above = [ndtr(x) for x in z], [ndtr(-x) for x in z]
    total: Real = 0.0
    for k, poly in enumerate(p.polys):
        if not any(np.any(c != 0) for c in poly):
            continue
        left, right = k > 0, k < len(z)
        if left and right:
            # each tail from its own side, so that far intervals keep their digits
            mass = above[k - 1] - above[k] if _first(z[k - 1]) > 0 else below[k] - below[k - 1]
        else:
            mass = above[k - 1] if left else below[k] if right else 1.0
        moments = [mass, (density[k - 1] if left else 0.0) - (density[k] if right else 0.0)]
        power = std
        total = total + poly[0] * mass
        for j in range(1, len(poly)):
            if j > 1:
                edge = (z[k] ** (j - 1) * density[k] if right else 0.0) - (
                    z[k - 1] ** (j - 1) * density[k - 1] if left else 0.0
                )
                moments.append((j - 1) * moments[j - 2] - edge)
            total = total + poly[j] * (power * moments[j])
            power = power * std
    return total
