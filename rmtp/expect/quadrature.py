"""Deterministic quadrature in the effective dimension, one coordinate nested in the other.

A coordinate along which no kink ends is integrated by the trapezoid rule, which converges geometrically
for analytic functions under a Gaussian weight (Gauss-Hermite with its fixed nodes is worse near poles). Where kinks end,
the axis is cut at them, for every node of the outer coordinates separately, and each panel has Gauss-Legendre nodes. Steps and
range are refined together until two levels agree, so the stated error sees poles, missed kinks and heavy tails alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import BudgetExceeded, DivergentExpectation
from .integrand import Argument, Evaluator, Numeric, gaussian_polynomial, variable_values

_PANEL_NODES = 16
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_PANEL_NODES)
_SCAN = 49  # points on which a nonlinear argument is searched for kinks
_FINEST = 9
_TAIL = 37.0  # exp(-37^2 / 2) is the smallest normal double


@dataclass(frozen=True)
class Level:
    """One resolution: trapezoid step, panel width, range in standard deviations."""

    step: float
    panel: float
    reach: float


def level(index: int) -> Level:
    """Resolution number index (which may be negative: coarse)."""
    shrink = 0.7**index
    return Level(0.5 * shrink, 4.0 * shrink, min(_TAIL, 8.5 * (1.25 ** max(index, 0))))


def integrate(problem: Numeric, rtol: float, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """E of the integrand (weight excluded) over the batch: (value, error), each of shape (B,).

    Raises
    ------
    DivergentExpectation
        If the value grows with every enlargement of the range.
    BudgetExceeded
        If two levels do not fit into `budget` evaluations or do not agree within 1e-5.
    """
    dims = problem.rank + len(problem.integrand.continuous)
    if dims == 0:
        value = Evaluator(problem, variable_values(problem, np.zeros((0, problem.batch, 1))), {}).product()
        value = value * gaussian_polynomial(problem, np.zeros((0, problem.batch, 1)))
        return _finite(value[:, 0]), np.zeros(problem.batch)
    first = {1: 0, 2: 0, 3: -2}.get(dims, -3)
    previous = None
    history: list[np.ndarray] = []
    for index in range(first, _FINEST + 3):
        try:
            value, size = _evaluate(problem, level(index), budget)
        except _TooLarge:
            break
        history.append(value)
        if previous is not None:
            error = np.abs(value - previous)
            if np.all(error <= rtol * _scale(value, size)):
                return value, error
        previous = value
    if len(history) >= 2:
        _check_divergence(history)
        error = np.abs(history[-1] - history[-2])
        if np.all(error <= 1e-5 * _scale(history[-1], size)):
            return history[-1], error
    raise BudgetExceeded(
        f"quadrature in {dims} dimensions needs more than {budget} evaluations",
        remedy='method="sobol", or a larger budget=',
    )


class _TooLarge(Exception):
    pass


def _scale(value: np.ndarray, size: np.ndarray) -> np.ndarray:
    """What an error is relative to: the value, or what cancelled in it, times a little."""
    return np.maximum(np.abs(value), 1e-3 * size)


def _finite(value: np.ndarray) -> np.ndarray:
    if not np.all(np.isfinite(value)):
        raise DivergentExpectation(
            "a function of the program is infinite or undefined where its argument lies",
            remedy="check the domain (log, sqrt, division) at the limit of the argument",
        )
    return value


def _check_divergence(history: list[np.ndarray]) -> None:
    sizes = [np.abs(h) for h in history]
    infinite = not all(np.all(np.isfinite(h)) for h in history)
    last = sizes[-4:]
    growing = len(last) == 4 and any(
        all(last[k + 1][b] > 1.2 * last[k][b] > 0 for k in range(3)) for b in range(len(last[0]))
    )
    if infinite or growing:
        raise DivergentExpectation(
            "an expectation is infinite or undefined: it grows with the range of integration",
            remedy="the theorem needs functions bounded by exp(|x|^a), a < 2, and all moments of the laws",
        )


def _evaluate(problem: Numeric, at: Level, budget: int) -> tuple[np.ndarray, np.ndarray]:
    grid = Grid(problem, at, budget)
    for number, _ in problem.integrand.continuous:
        grid.add_draw(number)
    for j in range(problem.rank):
        grid.add_coordinate(j)
    evaluator = Evaluator(problem, variable_values(problem, grid.xi()), grid.draws)
    with np.errstate(all="ignore"):
        f = evaluator.product() * gaussian_polynomial(problem, grid.xi())
        weighted = f * grid.weight
        weighted = np.where(grid.weight == 0, 0.0, weighted)
        return weighted.sum(axis=1), np.abs(weighted).sum(axis=1)


class Grid:
    """Nodes built one coordinate at a time; every coordinate may place its nodes by the earlier ones."""

    def __init__(self, problem: Numeric, at: Level, budget: int) -> None:
        self.problem, self.at, self.budget = problem, at, budget
        self.coordinates = np.zeros((0, problem.batch, 1))
        self.weight = np.ones((problem.batch, 1))
        self.draws: dict[int, np.ndarray] = {}
        self.kinked = [
            (number, fn.kinks, args[fn.kink_arg])
            for number, (fn, args) in problem.integrand.calls.items()
            if fn.kinks
        ]
        self.reach = _reaches(problem)
        self.last = {number: _reach_of(problem, arg, self.reach) for number, _, arg in self.kinked}

    def xi(self) -> np.ndarray:
        """Nodes (r, B, N), zeros for coordinates not placed yet."""
        placed, batch, count = self.coordinates.shape
        return np.concatenate([self.coordinates, np.zeros((self.problem.rank - placed, batch, count))])

    def _extend(self, nodes: np.ndarray, weights: np.ndarray) -> None:
        """Append one axis: nodes and weights of shape (B, N, k) or (k,)."""
        batch, count = self.weight.shape
        k = nodes.shape[-1]
        if batch * count * k > self.budget:
            raise _TooLarge
        nodes = np.broadcast_to(nodes, (batch, count, k)).reshape(batch, -1)
        weights = np.broadcast_to(weights, (batch, count, k)).reshape(batch, -1)
        self.coordinates = np.repeat(self.coordinates, k, axis=2)
        self.draws = {a: np.repeat(v, k, axis=1) for a, v in self.draws.items()}
        self.weight = np.repeat(self.weight, k, axis=1) * weights
        self._new = nodes

    def add_draw(self, number: int) -> None:
        """A continuous law: Gauss-Legendre panels between its quantiles, graded towards both ends."""
        law = dict(self.problem.integrand.continuous)[number].frozen
        low, high = (float(v) for v in law.support())
        tails = 10.0 ** -np.arange(1, 17, 1.0)
        quantiles = np.concatenate([law.ppf(tails[::-1]), [law.median()], law.isf(tails)])
        edges = np.unique(np.concatenate([quantiles, [v for v in (low, high) if math.isfinite(v)]]))
        edges = edges[np.isfinite(edges)]
        for kink in self._draw_kinks(number):
            edges = np.unique(np.append(edges, kink)) if edges[0] < kink < edges[-1] else edges
        pieces = max(1, round(2 * 4.0 / self.at.panel / 4))
        fine = np.concatenate([np.linspace(a, b, pieces, endpoint=False) for a, b in zip(edges, edges[1:], strict=False)])
        edges = np.append(fine, edges[-1])
        x, w = _legendre(edges)
        self._extend(x, w * law.pdf(x))
        self.draws[number] = self._new
    
    def _draw_kinks(self, number: int) -> list[float]:
        out = []
        for _, kinks, arg in self.kinked:
            if arg.var is None and len(arg.rest) == 1 and arg.rest[0][1] == ((number, 1),):
                slope = float(np.max(np.abs(np.asarray(arg.rest[0][0], float))))
                sign = float(np.sign(np.ravel(np.asarray(arg.rest[0][0], float))[0]))
                out += [(k - float(np.ravel(np.asarray(arg.const, float))[0])) / (slope * sign) for k in kinks if slope]
        return out

    def add_coordinate(self, j: int) -> None:
        """The standard normal coordinate j."""
        breaks = self._breaks(j)
        reach, step = self.at.reach, self.at.step
        if breaks is None:
            count = math.ceil(reach / step)
            x = np.arange(-count, count + 1) * step
            w = np.full(x.shape, step)
        else:
            panels = max(2, math.ceil(2 * reach / self.at.panel))
            fixed = np.linspace(-reach, reach, panels + 1)
            batch, count, _ = breaks.shape
            edges = np.concatenate([np.broadcast_to(fixed, (batch, count, panels + 1)), breaks], axis=2)
            edges = np.sort(np.clip(edges, -reach, reach), axis=2)
            if edges.size * _PANEL_NODES > self.budget:
                raise _TooLarge
            x, w = _legendre(edges)
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        self._extend(x, w * density)
        self.coordinates = np.concatenate([self.coordinates, self._new[None]])

    def _breaks(self, j: int) -> np.ndarray | None:
        """Where kinks end along coordinate j: (B, N, K), padded by repetition; None if there are none."""
        found: list[np.ndarray] = []
        for number, kinks, arg in self.kinked:
            reach = self.last[number]
            if reach == j:
                if arg.rest and any(self._uses(mono, j) for _, mono in arg.rest):
                    continue  # searched below, after the explicit ones
                found += self._affine_breaks(arg, kinks, j)
            elif reach > j and arg.var is not None and not arg.rest:
                found += self._graded_breaks(arg, kinks, j)
        for number, kinks, arg in self.kinked:
            if self.last[number] == j and arg.rest and any(self._uses(mono, j) for _, mono in arg.rest):
                found += self._searched_breaks(number, arg, kinks, j, found)
        return np.concatenate(found, axis=2) if found else None

    def _uses(self, mono: tuple[tuple[int, int], ...], j: int) -> bool:
        return any(_reach(self.problem, a, self.reach) >= j for a, _ in mono)

    def _outer(self, arg: Argument, number: int) -> np.ndarray:
        evaluator = Evaluator(self.problem, variable_values(self.problem, self.xi()), self.draws)
        if arg.rest:
            evaluator.run(number - 1)
        return np.broadcast_to(evaluator.argument(arg), self.weight.shape)

    def _affine_breaks(self, arg: Argument, kinks: tuple[float, ...], j: int) -> list[np.ndarray]:
        if arg.var is None:
            return []
        slope = self.problem.factor[:, arg.var, j][:, None]
        base = self._outer(arg, max((a for _, m in arg.rest for a, _ in m), default=0) + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return [np.where(slope != 0, (kink - base) / slope, 0.0)[:, :, None] for kink in kinks]

    def _graded_breaks(self, arg: Argument, kinks: tuple[float, ...], j: int) -> list[np.ndarray]:
        """A kink that ends later blurs over the later coordinates: grade the panels down to that width."""
        assert arg.var is not None
        slope = self.problem.factor[:, arg.var, j][:, None]
        later = np.sqrt(np.sum(self.problem.factor[:, arg.var, j + 1 :] ** 2, axis=1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.where(slope != 0, later / np.abs(slope), 1.0)
        if not np.any((width > 0) & (width < 0.5)):
            return []
        base = self._outer(arg, 0)
        out = []
        for kink in kinks:
            with np.errstate(divide="ignore", invalid="ignore"):
                centre = np.where(slope != 0, (kink - base) / slope, 0.0)
            w = width
            while np.any(w < 1.0):
                out += [(centre - w)[:, :, None], (centre + w)[:, :, None]]
                w = np.where(w < 1.0, 3 * w, w)
        return out

    def _searched_breaks(
        self, number: int, arg: Argument, kinks: tuple[float, ...], j: int, known: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Roots of a nonlinear argument along coordinate j by scanning, then bisection with secant steps."""
        batch, count = self.weight.shape
        scan = np.broadcast_to(np.linspace(-self.at.reach, self.at.reach, _SCAN), (batch, count, _SCAN))
        if known:
            scan = np.sort(np.concatenate([scan, *known], axis=2), axis=2)
        if batch * count * scan.shape[2] > self.budget:
            raise _TooLarge

        def value(points: np.ndarray) -> np.ndarray:
            k = points.shape[2]
            coordinates = np.repeat(self.xi(), k, axis=2)
            coordinates[j] = points.reshape(batch, -1)
            draws = {a: np.repeat(v, k, axis=1) for a, v in self.draws.items()}
            evaluator = Evaluator(self.problem, variable_values(self.problem, coordinates), draws)
            evaluator.run(number - 1)
            return np.broadcast_to(evaluator.argument(arg), (batch, count * k)).reshape(batch, count, k)

        at_scan = value(scan)
        out: list[np.ndarray] = []
        for kink in kinks:
            f = at_scan - kink
            change = (f[:, :, :-1] * f[:, :, 1:]) < 0
            most = int(change.sum(axis=2).max(initial=0))
            if most == 0:
                continue
            rank = np.argsort(~change, axis=2, kind="stable")[:, :, :most]
            left, right = (np.take_along_axis(s, rank, axis=2) for s in (scan[:, :, :-1], scan[:, :, 1:]))
            fl, fr = (np.take_along_axis(s, rank, axis=2) for s in (f[:, :, :-1], f[:, :, 1:]))
            real = np.take_along_axis(change, rank, axis=2)
            for step in range(60):
                with np.errstate(divide="ignore", invalid="ignore"):
                    secant = right - fr * (right - left) / (fr - fl)
                middle = 0.5 * (left + right)
                # the secant finds piecewise linear roots at once; every third step bisects for safety
                trial = np.where(np.isfinite(secant) & (step % 3 != 2), secant, middle)
                ft = value(trial) - kink
                same = np.sign(ft) == np.sign(fl)
                left, fl = np.where(same, trial, left), np.where(same, ft, fl)
                right, fr = np.where(same, right, trial), np.where(same, fr, ft)
                if np.all(~real | (np.abs(right - left) < 1e-14) | (ft == 0)):
                    break
            out.append(np.where(real, trial, 0.0))
        return out


def _reach(problem: Numeric, a: int, reaches: dict[int, int]) -> int:
    """The last coordinate that a node depends on (-1: none)."""
    if a in problem.integrand.calls:
        return reaches[a]
    if a in problem.integrand.node_var:
        return _deepest(problem, problem.integrand.node_var[a])
    return -1


def _deepest(problem: Numeric, variable: int) -> int:
    used = np.nonzero(np.any(problem.factor[:, variable] != 0, axis=0))[0]
    return int(used[-1]) if len(used) else -1


def _reach_of(problem: Numeric, arg: Argument, reaches: dict[int, int]) -> int:
    found = [_reach(problem, a, reaches) for _, mono in arg.rest for a, _ in mono]
    if arg.var is not None:
        found.append(_deepest(problem, arg.var))
    return max(found, default=-1)


def _reaches(problem: Numeric) -> dict[int, int]:
    """For each function, the last coordinate that any of its arguments depends on."""
    reaches: dict[int, int] = {}
    for number, (_, args) in problem.integrand.calls.items():
        reaches[number] = max((_reach_of(problem, arg, reaches) for arg in args), default=-1)
    return reaches


def _legendre(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on the panels between sorted edges (..., P + 1)."""
    middle, half = 0.5 * (edges[..., 1:] + edges[..., :-1]), 0.5 * np.diff(edges, axis=-1)
    x = middle[..., None] + half[..., None] * _NODES
    return x.reshape(*edges.shape[:-1], -1), (half[..., None] * _WEIGHTS).reshape(*edges.shape[:-1], -1)
