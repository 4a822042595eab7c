r"""Piecewise polynomials with an exponential below zero, p(u) + a exp(r u) 1(u < 0): ELU, SELU and their slopes.

exp(r u) shifts the means by r times the covariances, so a pair is four pairs of piecewise polynomials. The shift multiplies
by exp(r^2 var / 2): where that is large the orthant probability beside it is small, and quadrature in one dimension over
the conditional expectation takes over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import special
from ..nonlinearity import Nonlinearity, Pieces
from . import orthants
from .quadrants import determinant

Array = Any
Functions = Sequence[tuple[Nonlinearity, int]]

_BELOW = Pieces((0,), ((1,), (0,)))
_LARGEST_EXPONENT = 9.0  # a factor of 1e4 on the rounding of an orthant probability


@dataclass(frozen=True)
class OneSided:
    """``pieces(u) + amplitude exp(rate u) 1(u < 0)`` with a positive rate."""

    pieces: Pieces
    amplitude: float = 0.0
    rate: float = 1.0


def onesided(functions: Functions) -> OneSided | None:
    """A product of functions of one variable in this form; None if it has another.

    Examples
    --------
    >>> from rmtp.catalogue import elu
    >>> onesided([(elu(2), 1)])
    OneSided(pieces=Pieces(breaks=(0,), polys=((-2,), (0, 1))), amplitude=2.0, rate=1.0)
    """
    pieces = orthants.pieces_of(functions)
    if pieces is not None:
        return OneSided(pieces)
    if len(functions) == 1 and functions[0][1] == 1:
        match functions[0][0].family:
            case ("onesided", pieces, amplitude, rate):
                return OneSided(pieces, float(amplitude), float(rate))
    return None


def single(f: OneSided, mean: Array, var: Array) -> Array:
    """E f(u) for u ~ N(mean, var), to a few roundings of sqrt(E f^2); var > 0."""
    value = orthants.single(f.pieces, mean, var)
    if not f.amplitude:
        return value
    std = np.sqrt(var)
    z = mean / std
    x = (z + f.rate * std) / math.sqrt(2)
    with np.errstate(all="ignore"):
        # exp(r m + r^2 v / 2) Phi(-(z + r std)): erfcx holds what the two exponentials leave of each other
        far = 0.5 * np.exp(-0.5 * z * z) * special.erfcx(np.maximum(x, 0.0))
        near = 0.5 * np.exp(f.rate * mean + 0.5 * f.rate**2 * var) * special.erfc(np.minimum(x, 0.0))
    return value + f.amplitude * np.where(x > 0, far, near)


def pair(f: OneSided, g: OneSided, mu: Array, mv: Array, cov: Array, var_u: Array, var_v: Array) -> tuple[Array, Array]:
    """E f(u) g(v) for positive variances, and where it is known to 1e-12 of sqrt(E f^2 E g^2): nowhere at correlations of +-1.

    Examples
    --------
    >>> from rmtp.catalogue import elu
    >>> f = onesided([(elu(), 1)])
    >>> value, known = pair(f, f, 0.0, 0.0, 0.0, 1.0, 1.0)  # of independent variables
    >>> bool(abs(value - single(f, np.zeros(1), np.ones(1)) ** 2) < 1e-15), bool(known)
    (True, True)
    """
    mu, mv, c, vu, vv = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (mu, mv, cov, var_u, var_v)))
    value = orthants.pair(f.pieces, g.pieces, mu, mv, c, vu, vv)
    known = (
        determinant(vu, vv, c) > 0
    )  # on a line, which side of a break the shifted means lie on is a matter of rounding
    growth = [(f.rate * bool(f.amplitude), 0.0), (0.0, g.rate * bool(g.amplitude))]
    growth.append((f.rate, g.rate) if f.amplitude and g.amplitude else (0.0, 0.0))
    for r, s in growth:
        if r or s:
            exponent = r * mu + s * mv + 0.5 * (r * r * vu + 2 * r * s * c + s * s * vv)
            known &= exponent <= _LARGEST_EXPONENT
            left, right = _BELOW if r else f.pieces, _BELOW if s else g.pieces
            shifted = orthants.pair(left, right, mu + r * vu + s * c, mv + r * c + s * vv, c, vu, vv)
            factor = (f.amplitude if r else 1.0) * (g.amplitude if s else 1.0)
            value = value + factor * np.exp(np.minimum(exponent, _LARGEST_EXPONENT)) * shifted
    return value, known
