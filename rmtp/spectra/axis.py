"""The real axis as the resolvent shows it: g and the density at single points, and the names of what lies there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..dyson.resolvent import Resolvent

INSIDE = 3e-9  # -Im g / |g| from which a point counts as inside the support
NEAR = 0.04  # of the spread: how near 0 a density shows that starts there beside an atom
_HALF = 1e-8
_LEAST = 1e-11  # the density, as a share of |g|, of which two digits are left
_STEEP = 1e4  # |g| times the spread, below which rounding of g is no matter for a density of order 1
_ROUNDING = 1e-14
_DIGITS = 1e-9  # the relative error of g from which a density counts as unknown


@dataclass(frozen=True)
class Edge:
    """An end of the continuous part.

    Attributes
    ----------
    x : float
    exponent : float
        The density is like ``|x - edge|**exponent``: 1/2 soft, -s/(s+1) hard, 1/3 a cusp; inf if it falls faster than any
        power.
    """

    x: float
    exponent: float


@dataclass(frozen=True)
class Atom:
    """A point of positive mass."""

    x: float
    mass: float


@dataclass(frozen=True)
class Interval:
    """One interval of the density."""

    left: Edge
    right: Edge


class Axis:
    """The law on the real axis, as the resolvent shows it at single points.

    Parameters
    ----------
    resolvent : Resolvent
    at_zero : float
        Mass at 0, whose pole would hide the density next to it.
    """

    def __init__(self, resolvent: Resolvent, at_zero: float = 0.0) -> None:
        self.resolvent, self.at_zero = resolvent, at_zero

    def look(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """(g, inside, known, solution) at real points."""
        out = self.resolvent.solve(np.asarray(x, dtype=complex))
        g = self.resolvent.mean_of(out.g)
        known = out.good & np.isfinite(g)
        return g, known & self.inside(x, g), known, out

    def inside(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Whether the density is positive."""
        if not self.at_zero:
            return -g.imag > INSIDE * np.abs(g)
        with np.errstate(all="ignore"):
            return -g.imag > INSIDE * np.abs(g - self.at_zero / x) + _ROUNDING * np.abs(g)

    def density(self, x: np.ndarray) -> np.ndarray:
        """-Im g / pi; nan where the branch could not be followed, or too few digits of g are left."""
        g, _, known, out = self.look(x)
        sure = known & (out.error <= _DIGITS * np.abs(g)) & ~self.drowned(x, g)
        return np.where(sure, -g.imag / np.pi, np.nan)

    def drowned(self, x: np.ndarray, g: np.ndarray, share: float = _LEAST) -> np.ndarray:
        """Where the pole of an atom at 0 may hide a density that starts at 0, and leaves no more than a `share` of g to it."""
        own = self.resolvent
        if not own.grounded:
            return np.zeros(np.shape(x), dtype=bool)
        size = np.abs(g)
        return (-g.imag <= share * size) & (size * own.spread >= _STEEP) & (np.abs(x) <= NEAR * own.spread)

    def halved(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Where it leaves the density less than half of its digits."""
        return self.drowned(x, g, _HALF)


def recognised(x: float, spread: float) -> float:
    """0, or the simple fraction that x is to within rounding."""
    if abs(x) < 1e-12 * spread:
        return 0.0
    simple = float(Fraction(x).limit_denominator(1000))
    return simple if abs(simple - x) <= 2e-14 * abs(x) else x


def wynn(sequence: np.ndarray) -> float:
    """The limit of a sequence that is a constant plus a sum of geometric terms (Wynn's epsilon algorithm)."""
    best, error = float(sequence[-1]), float(abs(sequence[-1] - sequence[-2]))
    previous, current = np.zeros(len(sequence) + 1), sequence.astype(float)
    for k in range(len(sequence) - 1):
        d = np.diff(current)
        if np.any(d == 0):
            return float(current[-1]) if k % 2 == 0 else best
        previous, current = current, previous[1:-1] + 1 / d
        if k % 2 == 1 and len(current) > 2:
            spread = float(np.abs(current[-1] - current[-2]))
            if spread < error:
                best, error = float(current[-1]), spread
    return best
