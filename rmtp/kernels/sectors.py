"""E f(u) g(v) of centred u, v for functions that are smooth on either side of 0: polar coordinates.

The lines u = 0 and v = 0 cut the plane into sectors, on which f(u) g(v) is smooth; opposite ones are done together. A
sector becomes narrow where correlations come near +-1, but the integrand in it not less smooth. Nodes are dense at the
lines and at the origin, where functions of large variances change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..expect.quadrants import determinant

Array = Any

ORDERS = (16, 24, 36, 56, 88, 136)  # of the angle in a sector; twice as many radii
_REACH = 9.5
_RULES = {k: np.polynomial.legendre.leggauss(k) for k in (16, 24, 32, 36, 48, 64, 72)}


def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1]; the usual orders are made once, since finding them costs more than using them."""
    return _RULES[order] if order in _RULES else np.polynomial.legendre.leggauss(order)


def cost(order: int) -> int:
    """Function values per entry."""
    return 16 * order**2


def rule(f: Callable[[Any], Any], g: Callable[[Any], Any], c: Array, vu: Array, vv: Array, order: int) -> Array:
    """The value at one order of Gauss-Legendre, flat arrays, vu > 0 and vv > 0.

    Examples
    --------
    >>> relu = lambda x: np.maximum(x, 0.0)
    >>> value = rule(relu, relu, np.array([0.0, 1.0, -1.0]), 1.0, 1.0, 32)
    >>> np.round(value * 2 * np.pi, 12) + 0.0
    array([1.        , 3.14159265, 0.        ])
    """
    t, w = _unit(2 * order)
    r = _REACH * t * t
    weight = 2 * _REACH * t * w * r * np.exp(-0.5 * r * r) / (2 * math.pi)
    t, w = _unit(order)
    near, far, w = t * t * (3 - 2 * t), (1 - t) ** 2 * (1 + 2 * t), 6 * t * (1 - t) * w
    u, v = (np.sqrt(np.asarray(x, dtype=float))[..., None, None] for x in (vu, vv))
    angle = np.arctan2(np.sqrt(determinant(vu, vv, c)), c)
    total: Any = 0.0
    # one half of the plane: u > 0 and v > 0 first, then u < 0 < v; `near` and `far` are angles from the two lines
    for width, left, right in ((math.pi - angle, 1.0, 1.0), (angle, -1.0, 1.0)):
        size = np.asarray(width)[..., None]
        a = left * (u * np.sin(size * near)[..., :, None]) * r
        b = right * (v * np.sin(size * far)[..., :, None]) * r
        inside = np.asarray(f(a)) * np.asarray(g(b)) + np.asarray(f(-a)) * np.asarray(g(-b))
        total = total + np.sum(size * w * (inside @ weight), axis=-1)
    return total


def _unit(order: int) -> tuple[Array, Array]:
    """Gauss-Legendre on [0, 1]."""
    t, w = gauss_legendre(order)
    return 0.5 * (1 + t), 0.5 * w
