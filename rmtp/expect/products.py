r"""Products of polynomials, Gaussians and one erf: E p(u) exp(-a u^2) erf(s u) q(v) exp(-b v^2) erf(t v).

GELU is x Phi(x), and its slope Phi(x) + x phi(x). The Gaussian factors change the covariance; Stein's lemma
E u F = var_u E dF/du + cov E dF/dv lowers the powers; a differentiated erf is one more Gaussian factor; and
E erf(s u) erf(t v) is an arcsine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nonlinearity import Nonlinearity
from . import quadrants
from .pieces import odd_factorial

Array = Any
Functions = Sequence[tuple[Nonlinearity, int]]

_MAX_TERMS = 32
_BLOCK = 1 << 14  # entries: dozens of such arrays are alive at once


@dataclass(frozen=True)
class Term:
    """``poly(u) exp(-rate u^2) erf(scale u)``, without the erf at scale zero."""

    poly: tuple[float, ...]
    rate: float = 0.0
    scale: float = 0.0


def terms(functions: Functions) -> tuple[Term, ...] | None:
    """A product of functions of one variable as a sum of terms; None if it is not one.

    Parameters
    ----------
    functions : sequence of (Nonlinearity, power)

    Examples
    --------
    >>> from rmtp.catalogue import NDTR, power
    >>> for term in terms([(power(1), 1), (NDTR, 1)]):
    ...     print(term.poly, term.scale)
    (0.0, 0.5) 0.0
    (0.0, 0.5) 0.7071067811865476
    """
    total: tuple[Term, ...] = (Term((1.0,)),)
    for fn, power in functions:
        own = _terms_of(fn)
        if own is None or fn.arity != 1 or power < 0:
            return None
        for _ in range(power):
            if any(s.scale and t.scale for s in total for t in own) or len(total) * len(own) > _MAX_TERMS:
                return None
            total = tuple(
                Term(tuple(map(float, np.convolve(s.poly, t.poly))), s.rate + t.rate, s.scale + t.scale)
                for s in total
                for t in own
            )
    return total


def _terms_of(fn: Nonlinearity) -> tuple[Term, ...] | None:
    if fn.pieces is not None and not fn.pieces.breaks:
        return (Term(tuple(float(c) for c in fn.pieces.polys[0])),)
    match fn.family:
        case ("homogeneous", 0, plus, minus) if plus == minus:
            return (Term((float(plus),)),)
        case ("homogeneous", 1, plus, minus) if plus == minus:
            return (Term((0.0, float(plus))),)
        case ("gauss", rate, poly):
            return (Term(tuple(float(c) for c in poly), float(rate)),)
        case ("erf", scale, amplitude, offset):
            constant = (Term((float(offset),)),) if offset else ()
            return (*constant, Term((float(amplitude),), 0.0, float(scale)))
    return None


def pair(first: Sequence[Term], other: Sequence[Term], cov: Array, var_u: Array, var_v: Array) -> Array:
    """E f(u) g(v) for centred jointly Gaussian (u, v), f and g sums of terms.

    The relative error is that of sqrt(E f^2 E g^2), a few roundings: nothing cancels at positive correlations.

    Examples
    --------
    >>> from rmtp.catalogue import NDTR, power
    >>> gelu = terms([(power(1), 1), (NDTR, 1)])
    >>> float(pair(gelu, terms([(power(1), 1)]), 0.5, 1.0, 1.0))
    0.25
    """
    shape = np.broadcast_shapes(*(np.shape(x) for x in (cov, var_u, var_v)))
    c, vu, vv = (np.broadcast_to(np.asarray(x, dtype=float), shape) for x in (cov, var_u, var_v))
    still = bool(np.any(np.asarray(var_u) == 0) or np.any(np.asarray(var_v) == 0))
    out = np.zeros(shape)
    for index in quadrants.blocks(shape, _BLOCK):
        with np.errstate(all="ignore"):
            at = quadrants.plane_at(index, c, vu, vv, still)
            value = sum(_term_pair(s, t, at) for s in first for t in other)
        out[index] = np.reshape(np.broadcast_to(value, at.c.shape), np.shape(out[index]))
    return out[()]


def single(functions: Sequence[Term], var: Array) -> Array:
    """E f(u) for u ~ N(0, var)."""
    return pair(functions, (Term((1.0,)),), 0.0, var, 0.0)


def _term_pair(f: Term, g: Term, at: quadrants.Plane) -> Array:
    weight, moments = _reweighted(f.rate, g.rate, at, f.scale, g.scale)
    total: Array = 0.0
    for i, a in enumerate(f.poly):
        for j, b in enumerate(g.poly):
            if a and b:
                value = moments.of(i, j)
                if value is not None:
                    total = total + a * b * value
    return total if weight is None else total * weight


def _reweighted(a: float, b: float, at: quadrants.Plane, s: float, t: float) -> tuple[Array | None, _Moments]:
    """exp(-a u^2 - b v^2) as a factor and a new covariance, whose determinant is the old one over the scale."""
    if a == 0 == b:
        return None, _Moments(at, s, t, {})
    scale = 1 + 2 * a * at.vu + 2 * b * at.vv + 4 * a * b * at.det
    vu = (at.vu + 2 * b * at.det) / scale
    vv = (at.vv + 2 * a * at.det) / scale
    return 1 / np.sqrt(scale), _Moments(quadrants.Plane(at.c / scale, vu, vv, at.det / scale), s, t, {})


@dataclass(frozen=True)
class _Moments:
    """E u^i v^j erf(s u) erf(t v) on a plane, kept while a block is worked on; None stands for an exact zero."""

    at: quadrants.Plane
    s: float
    t: float
    kept: dict[Any, Any]

    def of(self, i: int, j: int) -> Array | None:
        if (i + j + bool(self.s) + bool(self.t)) % 2:
            return None
        if (i, j) not in self.kept:
            self.kept[i, j] = self._made(i, j)
        return self.kept[i, j]

    def _made(self, i: int, j: int) -> Array | None:
        c, vu, vv = self.at.c, self.at.vu, self.at.vv
        if not self.s and not self.t:
            return _isserlis(i, j, c, vu, vv)
        if i == j == 0:
            wide = self.at.widened(2 * self.s**2, 1.0, 2 * self.t**2, 1.0)
            return 2 / math.pi * wide.rise if self.s and self.t else None
        if i:
            parts = [(vu, i - 1, self.of(i - 2, j) if i > 1 else None), (vu, 1, self._sloped(0, i - 1, j))]
            parts += [(c, j, self.of(i - 1, j - 1) if j else None), (c, 1, self._sloped(1, i - 1, j))]
        else:
            parts = [(vv, j - 1, self.of(i, j - 2) if j > 1 else None), (vv, 1, self._sloped(1, i, j - 1))]
            parts += [(c, 1, self._sloped(0, i, j - 1))]
        found = [
            variance * value if n == 1 else n * variance * value for variance, n, value in parts if value is not None
        ]
        return sum(found[1:], found[0]) if found else None

    def _sloped(self, side: int, i: int, j: int) -> Array | None:
        """E u^i v^j with one erf differentiated, a Gaussian factor."""
        s = (self.s, self.t)[side]
        if not s:
            return None
        key = ("slope", side)
        if key not in self.kept:
            rates, rest = ((s * s, 0.0), (0.0, self.t)) if side == 0 else ((0.0, s * s), (self.s, 0.0))
            self.kept[key] = _reweighted(*rates, self.at, *rest)
        weight, moments = self.kept[key]
        value = moments.of(i, j)
        return None if value is None else value * (2 * s / math.sqrt(math.pi) * weight)


def _isserlis(i: int, j: int, c: Array, vu: Array, vv: Array) -> Array:
    """E u^i v^j."""
    total: Array = 0.0
    for m in range(i % 2, min(i, j) + 1, 2):
        ways = math.comb(i, m) * math.comb(j, m) * math.factorial(m) * odd_factorial(i - m) * odd_factorial(j - m)
        term: Array = float(ways)
        for base, exponent in ((c, m), (vu, (i - m) // 2), (vv, (j - m) // 2)):
            if exponent:
                term = term * base**exponent
        total = total + term
    return total
