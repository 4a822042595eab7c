"""Expectations over continuous coefficients by Gauss panels fitted to each point of a grid.

On the real axis the integrand, a rational function of the coefficients, may have poles as near the line of integration as it
likes: next to an atom, a hard edge, or where the density is small. A common rule fine enough for all points would have as many
nodes as the nearest pole demands everywhere; here every point has panels of its own, halved where the Legendre series of what
is integrated has not converged, so that a pole at a distance d costs some log(1/d) panels at the one point that meets it.
Rejected: subtraction of the poles and paths around them, which need the coefficients at complex arguments (a quantile
function has none), one treatment per kind of pole, and none for kinks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .coefficients import RANGE, Line

_ORDER = 16
_ROUNDING = 1e-15
_NOISE = 2e-14
_TAIL = 3  # the last coefficients of a series, by which it is judged
_WIDEST = 2.5
_DEEPEST = 38  # halvings; then nodes are apart by some ten units of rounding
_SHALLOW, _WIDE = (
    3,
    3,
)  # so often a point may halve this many times as many panels as there are coarsest ones, then as many
_POLES = 28  # panels that may meet poles at once: those of a cosine have a dozen of them within reach
_MOST = 1 << 16  # panels kept for reuse
_T, _W = np.polynomial.legendre.leggauss(_ORDER)
_DEGREES = np.arange(_ORDER - _TAIL, _ORDER)
_LAST = np.polynomial.legendre.legvander(_T, _ORDER - 1)[:, -_TAIL:] * (2 * _DEGREES + 1) / 2


@dataclass(frozen=True)
class Fit:
    """A resolution: panels fitted to every point.

    Attributes
    ----------
    tolerance : float
        What the last Legendre coefficients on a panel may be, relative to the mean of the modulus on it. A Gauss rule is
        exact to twice the degree, so that it errs by about the square.
    """

    tolerance: float


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the panels of every point of a grid.

    Attributes
    ----------
    weights : ndarray
        Of the nodes, (panels, nodes); those of one point sum to 1, or are nan where the panels did not resolve the integrand.
    owner : ndarray
        The point a panel belongs to.
    """

    weights: Any
    owner: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    def mean(self, x: Any) -> Any:
        """The expectation at every point of x, of shape (panels, nodes)."""
        return np.add.reduceat((x * self.weights).sum(axis=-1)[self.order], self.starts)


class Table:
    """The panels met so far, as binary trees over the pieces between kinks, with the coefficients at their nodes.

    Parameters
    ----------
    lines : sequence of Line
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        spans: list[tuple[int, float, float]] = []
        for k, line in enumerate(lines):
            for a, b in itertools.pairwise([-RANGE, *line.breaks, RANGE]):
                cuts = np.linspace(a, b, int(np.ceil((b - a) / _WIDEST)) + 1)
                spans += [(k, low, high) for low, high in itertools.pairwise(cuts.tolist())]
        self._spans = tuple(np.array(column) for column in zip(*spans, strict=True))
        self.reset()

    def reset(self) -> None:
        """Back to the coarsest panels, if too many are kept."""
        line, low, high = self._spans
        self.size = 0
        self.line, self.low, self.high = line[:0], low[:0], high[:0]
        self.children = np.zeros((0, 2), dtype=int)
        self.values: dict[int, np.ndarray] = {}
        self.weights = np.zeros((0, _ORDER))
        self.roots = self._new(line, low, high)

    def _new(self, line: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        half = (high - low)[:, None] / 2
        t = (low + high)[:, None] / 2 + half * _T
        weights = half * _W * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
        made: dict[int, np.ndarray] = {}
        for k in np.unique(line):
            here = line == k
            weights[here] *= self.lines[k].share
            for a, x in self.lines[k].values(t[here]).items():
                made.setdefault(a, np.empty(t.shape))[here] = x
        out = np.arange(self.size, self.size + len(line))
        self.size += len(line)
        self.line, self.low, self.high = (
            np.concatenate([old, new]) for old, new in ((self.line, line), (self.low, low), (self.high, high))
        )
        self.children = np.concatenate([self.children, np.full((len(line), 2), -1)])
        self.weights = np.concatenate([self.weights, weights])
        self.values = {a: np.concatenate([self.values[a], x]) if a in self.values else x for a, x in made.items()}
        return out

    def halves(self, panels: np.ndarray) -> np.ndarray:
        """The halves of panels, (panels, 2)."""
        new = np.unique(panels[self.children[panels, 0] < 0])
        if len(new):
            line, low, high = self.line[new], self.low[new], self.high[new]
            middle = (low + high) / 2
            left, right = self._new(line, low, middle), self._new(line, middle, high)
            self.children[new, 0], self.children[new, 1] = left, right
        return self.children[panels]


def fitted(
    table: Table,
    fit: Fit,
    points: int,
    solve: Callable[[np.ndarray, dict[int, np.ndarray], np.ndarray], dict[Any, dict[Any, Any]]],
    array: Callable[[np.ndarray], np.ndarray],
) -> tuple[Sums, dict[Any, dict[Any, Any]]]:
    """Panels for every point, and what is integrated at their nodes.

    Parameters
    ----------
    table : Table
    fit : Fit
    points : int
        How many there are.
    solve : callable
        (owner of a panel, coefficients at the nodes, weights) -> the integrands, by two names each, (panels, nodes).
    array : callable
        Takes numbers of the table into the ring of the computation.
    """
    if table.size > _MOST:
        table.reset()
    owner = np.repeat(np.arange(points), len(table.roots))
    panels = np.tile(table.roots, points)
    size: Any = 0
    done: list[tuple[np.ndarray, np.ndarray, dict[Any, dict[Any, Any]]]] = []
    lost = np.zeros(points, dtype=bool)
    for depth in range(_DEEPEST + 1):
        weights = table.weights[panels]
        made = solve(owner, {a: array(v[panels]) for a, v in table.values.items()}, array(weights))
        flat = [x for row in made.values() for x in row.values()]
        with np.errstate(all="ignore"):
            weighed = [x * weights for x in flat]
            mass = [np.abs(x).sum(axis=-1).astype(float) for x in weighed]
            tails = [np.abs(x.astype(complex) @ _LAST).max(axis=-1) for x in weighed]
        mass = [np.where(np.isfinite(x), x, 0.0) for x in mass]
        size = size + np.array([np.bincount(owner, x, points) for x in mass])
        bad = np.zeros(len(owner), dtype=bool)
        # nodes are known to a unit of rounding, and next to a pole so much the less is known of the integrand
        relative = np.maximum(fit.tolerance, _NOISE / (table.high - table.low)[panels])
        for tail, own, whole in zip(tails, mass, size, strict=True):
            bad |= ~(tail <= relative * own + _ROUNDING * whole[owner])
        # a pole is met by one panel or two of a size: many mean that no digits of the integrand are left to resolve
        open_ = np.bincount(owner[bad], minlength=points)
        most = 0 if depth == _DEEPEST else max(_POLES, len(table.roots)) * (_WIDE if depth <= _SHALLOW else 1)
        lost |= open_ > most
        bad &= ~lost[owner]
        kept = ~bad
        done.append((owner[kept], weights[kept], {v: {w: x[kept] for w, x in row.items()} for v, row in made.items()}))
        if not bad.any():
            break
        # what is halved is counted again
        size = size - np.array([np.bincount(owner[bad], x[bad], points) for x in mass])
        panels = table.halves(panels[bad]).ravel()
        owner = np.repeat(owner[bad], 2)
    owner = np.concatenate([d[0] for d in done])
    weights = array(np.concatenate([d[1] for d in done]))
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(points))
    total = np.add.reduceat(weights.sum(axis=-1)[order], starts)
    total = np.where(lost, np.nan, total)
    names = done[0][2]
    joined = {v: {w: np.concatenate([d[2][v][w] for d in done]) for w in row} for v, row in names.items()}
    return Sums(weights / total[owner][:, None], owner, order, starts), joined
