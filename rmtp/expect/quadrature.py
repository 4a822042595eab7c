"""Deterministic quadrature in the effective dimension, one coordinate nested in the other.

A coordinate along which no kink ends is integrated by the trapezoid rule, which converges geometrically
for analytic functions under a Gaussian weight (Gauss-Hermite with its fixed nodes is worse near poles). Where kinks end,
the axis is cut at them, for every node of the outer coordinates separately, and each panel has Gauss-Legendre nodes. Steps and
range are refined together until two levels agree, so the stated error sees poles, missed kinks and heavy tails alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import BudgetExceeded, DivergentExpectation, NotConverged
from ..nonlinearity import Nonlinearity
from ..special import ndtr
from .integrand import Argument, Evaluator, Numeric, gaussian_polynomial, variable_values

_PANEL_NODES = 16
# levels alternate between two rules: the panels between breaks may be the same, and a missed kink would then agree with itself
_RULES = tuple(np.polynomial.legendre.leggauss(k) for k in (_PANEL_NODES, _PANEL_NODES + 1))
_SCAN = 0.35  # spacing of the points on which a nonlinear argument is searched for kinks
_BESIDE = 1e-9
_FINEST = 26
_OFFSET = 0.381966  # of a step: no node at 0, where so many functions are singular and odd ones cancel
_RESOLVED = 8.0  # a smooth function's argument may move this far between neighbouring nodes
_DEEPEST = 5  # graded panels reach 1e-12 there; below, rounding would hide a divergence
_NO_TAIL = 1e-16  # of the absolute integral in the last two standard deviations: a wider range would add nothing
_TAIL_SHARE = 0.02  # of the absolute integral, beyond which the tail alone decides: a divergence
_POINT = 1e-13
_SIZE_AGREES = 0.01  # |f| must be integrable too: a principal value is not an expectation
_TAIL = 37.0  # exp(-37^2 / 2) is the smallest normal double


@dataclass(frozen=True)
class Level:
    """One resolution: trapezoid step, panel width, range in standard deviations."""

    index: int
    step: float
    panel: float
    reach: float


def level(index: int) -> Level:
    """Resolution number index (which may be negative: coarse)."""
    shrink = 0.7**index
    return Level(index, 0.5 * shrink, 4.0 * shrink, min(_TAIL, 8.5 * (1.25 ** max(index, 0))))


def integrate(problem: Numeric, rtol: float, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """E of the integrand (weight excluded) over the batch: (value, error), each of shape (B,).

    Raises
    ------
    DivergentExpectation
        If the integral of the absolute value grows with the resolution or the range.
    BudgetExceeded
        If two levels do not fit into `budget` evaluations or do not agree within 1e-5, or 1e-7 of the absolute integral.
    """
    value, error, _ = _settled(problem, rtol, budget)
    return value, error


def integrate_copies(problem: Numeric, copies: int, rtol: float, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for a batch of which every `copies` rows are one integrand and slight perturbations of it.

    What a perturbation moves is the size of an error, and needs a few digits only: a level of lower resolution has them.
    In three dimensions the copies then cost less than the value.
    """
    dims = problem.rank + len(problem.integrand.continuous)
    if dims == 0 or (dims > 2 and _nested_kinks(problem)):
        # kinks searched for in three dimensions cost seconds, and come in programs that end on points anyway
        return integrate(problem, rtol, budget)
    rows = np.arange(problem.batch).reshape(-1, copies)
    if dims > 2:  # the budget is one of function values, and long programs have many functions at a node
        budget = budget // max(1, len(problem.integrand.calls) // 2)
    value, error, at = _settled(problem.part(rows[:, 0]), rtol, budget)
    coarser = replace(level(at.index + 1 - dims), reach=at.reach)
    moved = _evaluate(problem, coarser, budget * copies).value.reshape(rows.shape)
    return (value[:, None] + (moved - moved[:, :1])).ravel(), np.repeat(error, copies)


def _nested_kinks(problem: Numeric) -> bool:
    """Whether a kink ends at a function of another function, where it has to be searched for."""
    calls = problem.integrand.calls
    kinked = [args[fn.kink_arg] for fn, args in calls.values() if fn.kinks]
    return any(a in calls for arg in kinked for _, mono in arg.rest for a, _ in mono)


def _settled(problem: Numeric, rtol: float, budget: int) -> tuple[np.ndarray, np.ndarray, Level]:
    """Value, error, and the resolution that settled it."""
    dims = problem.rank + len(problem.integrand.continuous)
    if dims == 0:
        with np.errstate(all="ignore"):
            value = Evaluator(problem, variable_values(problem, np.zeros((0, problem.batch, 1))), {}).product()
            value = value * gaussian_polynomial(problem, np.zeros((0, problem.batch, 1)))
        return _finite(value[:, 0]), np.zeros(problem.batch), level(0)
    values: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    tail, reach, finite = np.zeros(problem.batch), 0.0, False
    doubtful = _meets_singularity(problem)
    for index in range({1: 0, 2: 0, 3: -2}.get(dims, -3), _FINEST):
        at = level(index)
        if sizes and finite and np.all(tail <= _NO_TAIL * sizes[-1]):
            at = replace(at, reach=reach)
        try:
            value, size, tail, resolved, finite = _evaluate(problem, at, budget)
        except _TooLarge:
            break
        if index > _DEEPEST and doubtful:
            break
        values.append(value)
        sizes.append(size)
        reach = at.reach
        if not np.all(np.isfinite(size)):
            if len(sizes) >= 4:
                break
            continue
        if len(values) >= 2 and np.all(np.isfinite(values[-2])) and resolved:
            error = _difference(values, finite) + 10 * tail
            steady = np.all(np.abs(size - sizes[-2]) <= _SIZE_AGREES * size)
            if steady and np.all(error <= rtol * _scale(value, size)):
                return value, error, at
    if doubtful or dims < 3 or not all(np.all(np.isfinite(size)) for size in sizes):
        _check_divergence(sizes)  # a budget leaves coarse levels in three dimensions: growth may be resolution
    if len(values) >= 2:
        error = _difference(values, finite) + 10 * tail
        _check_tail(tail, sizes[-1])
        # a value that cancels to nothing is still known far better than points would tell
        enough = np.maximum(1e-5 * _scale(values[-1], sizes[-1]), 1e-7 * sizes[-1])
        if resolved and np.all(np.isfinite(error)) and np.all(error <= enough):
            return values[-1], error, at
    raise BudgetExceeded(
        f"quadrature in {dims} dimensions needs more than {budget} evaluations",
        remedy='method="sobol", or a larger budget=',
    )


class _TooLarge(Exception):
    pass


def _difference(values: list[np.ndarray], finite: bool) -> np.ndarray:
    """The difference of the last two levels, or less where it is the last of a fast falling sequence.

    The rules converge geometrically for what is analytic between breaks: once a difference is a tenth of the one before,
    the error is smaller still. The root of the ratio is a bound that algebraic convergence keeps as well.
    """
    last = np.abs(values[-1] - values[-2])
    if len(values) < 3 or not finite or not np.all(np.isfinite(values[-3])):
        return last
    before = np.abs(values[-2] - values[-3])
    with np.errstate(all="ignore"):
        ratio = np.where(before > 0, last / before, 1.0)
        return np.where(ratio < 0.1, last * np.sqrt(ratio), last)


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


def _check_divergence(sizes: list[np.ndarray]) -> None:
    """Infinite values, or absolute integrals whose last increments do not shrink."""
    last = sizes[-4:]
    infinite = sum(not np.all(np.isfinite(size)) for size in last) >= 2
    growing = False
    if len(last) == 4 and not infinite and all(np.all(np.isfinite(size)) for size in last):
        steps = np.diff(np.stack(last), axis=0)
        growing = bool(np.any(np.all(steps > _SIZE_AGREES * last[-1] / 4, axis=0) & (steps[-1] > 0.6 * steps[0])))
        erratic = np.max(np.abs(steps), axis=0) > 0.1 * last[-1]
        growing = growing or bool(np.any(erratic & (np.abs(steps[-1]) > _SIZE_AGREES * last[-1])))
    if infinite or growing:
        raise DivergentExpectation(
            "an expectation is infinite or undefined: the integral of the absolute value does not settle",
            remedy="the theorem needs functions bounded by exp(|x|^a), a < 2, without poles, and all moments of the laws",
        )


def _check_tail(tail: np.ndarray, size: np.ndarray) -> None:
    """What lies at the end of the range, where no further level can look."""
    share = np.max(tail / np.where(size > 0, size, 1.0))
    if share > _TAIL_SHARE:
        raise DivergentExpectation(
            "an expectation is infinite, or carried by a tail that cannot be integrated",
            remedy="the theorem needs functions bounded by exp(|x|^a), a < 2, and all moments of the laws",
        )
    if share > 1e-6:
        raise NotConverged(
            f"a share {share:.1g} of an expectation lies in the far tail of a law",
            remedy="truncate the law, or bound the function",
        )


class _Sum(NamedTuple):
    """What the nodes of one level add up to, each (B,)."""

    value: np.ndarray
    size: np.ndarray  # the integral of the absolute value
    tail: np.ndarray  # the part of it at the ends
    resolved: bool  # whether no smooth function changes between two nodes
    finite: bool  # at every node


def _evaluate(problem: Numeric, at: Level, budget: int) -> _Sum:
    with np.errstate(all="ignore"):
        grid = Grid(problem, at, budget)
        for j in range(grid.dims):
            grid.add_coordinate(j)
        evaluator = Evaluator(problem, variable_values(problem, grid.xi()), grid.draws)
        f = evaluator.product() * gaussian_polynomial(problem, grid.xi())
        # a node that rounding puts on a singularity has no weight to speak of; the nodes around it tell
        dropped = (grid.weight == 0) | (~np.isfinite(f) & (grid.weight < _POINT))
        weighted = np.where(dropped, 0.0, f * grid.weight)
        size = np.abs(weighted)
        tail = np.where(grid.end, size, 0.0).sum(axis=1)
        finite = bool(np.all(np.isfinite(f)))
        return _Sum(weighted.sum(axis=1), size.sum(axis=1), tail, _resolved(problem, grid, evaluator), finite)


def _resolved(problem: Numeric, grid: Grid, evaluator: Evaluator) -> bool:
    """No argument of a smooth function jumps over what the function may do in between.

    Two coarse levels agree perfectly about a spike that both of them miss.
    """
    made = problem.integrand
    line = problem.rank + len(made.continuous) == 1 and grid.weight.shape[1] > 2
    for fn, args in made.calls.values():
        if fn.pieces is not None or fn.kinks:  # polynomial pieces, or anchored at the breaks
            continue
        for arg in args:
            if arg.rest:
                if line and not _followed(np.broadcast_to(evaluator.argument(arg), grid.weight.shape), grid.weight):
                    return False
            elif arg.var is not None and np.any(
                np.abs(problem.factor[:, arg.var]) @ np.array(grid.spacing[len(made.continuous) :]) > _RESOLVED
            ):
                return False
    return True


def _followed(u: np.ndarray, weight: np.ndarray) -> bool:
    """A nonlinear argument on a line of nodes: slow where functions live (|u| < 10) and wherever it turns towards there."""
    size, move = np.abs(u), np.abs(np.diff(u, axis=1))
    matters = np.maximum(weight[:, 1:], weight[:, :-1]) > 1e-18
    alive = (np.minimum(size[:, 1:], size[:, :-1]) < 10) | (u[:, 1:] * u[:, :-1] <= 0)
    if np.any(alive & matters & (move > _RESOLVED)):
        return False
    turns = (size[:, 1:-1] < size[:, :-2]) & (size[:, 1:-1] < size[:, 2:]) & (weight[:, 1:-1] > 1e-18)
    jump = np.maximum(move[:, 1:], move[:, :-1])
    return not np.any(turns & (jump > _RESOLVED) & (size[:, 1:-1] - jump < 10))


class Grid:
    """Nodes built one coordinate at a time; every coordinate may place its nodes by the earlier ones.

    A continuous law is a function of a standard normal coordinate, its quantile at ndtr(t), which is smooth where the
    density is not; these coordinates come first.
    """

    def __init__(self, problem: Numeric, at: Level, budget: int) -> None:
        self.problem, self.at, self.budget = problem, at, budget
        self.laws = [(number, part.frozen) for number, part in problem.integrand.continuous]
        self.dims = len(self.laws) + problem.rank
        self.coordinates = np.zeros((self.dims, problem.batch, 1))  # zero while not placed yet
        self.draws = {number: np.full((problem.batch, 1), float(law.median())) for number, law in self.laws}
        self.weight = np.ones((problem.batch, 1))
        self.end = np.zeros((problem.batch, 1), dtype=bool)
        self.spacing: list[float] = []
        self.kinked = [
            (number, fn.kinks, args[fn.kink_arg]) for number, (fn, args) in problem.integrand.calls.items() if fn.kinks
        ]
        self.singular = {number for number, _, _ in self.kinked if singular(problem.integrand.calls[number][0])}
        self.reach = _reaches(problem)
        self.last = {number: _reach_of(problem, arg, self.reach) for number, _, arg in self.kinked}

    def xi(self) -> np.ndarray:
        """The Gaussian coordinates of the nodes (r, B, N)."""
        return self.coordinates[len(self.laws) :]

    def evaluator(self) -> Evaluator:
        """Node values at the nodes placed so far."""
        return Evaluator(self.problem, variable_values(self.problem, self.xi()), self.draws)

    def moved(self, j: int, points: np.ndarray) -> Evaluator:
        """Node values with coordinate j at `points` (B, N, k), flattened to (B, N k)."""
        batch, _, k = points.shape
        coordinates = np.repeat(self.coordinates, k, axis=2)
        coordinates[j] = points.reshape(batch, -1)
        draws = {a: np.repeat(v, k, axis=1) for a, v in self.draws.items()}
        if j < len(self.laws):
            number, law = self.laws[j]
            draws[number] = _quantile(law, coordinates[j])
        return Evaluator(self.problem, variable_values(self.problem, coordinates[len(self.laws) :]), draws)

    def add_coordinate(self, j: int) -> None:
        """Place coordinate j: panels between the kinks that end there, or the trapezoid rule if none does."""
        breaks = self._breaks(j)
        reach, step = self.at.reach, self.at.step
        batch, count = self.weight.shape
        if breaks is None:
            half = math.ceil(reach / step)
            x = np.asarray((np.arange(-half, half + 1) + _OFFSET) * step)
            w: np.ndarray = np.full(x.shape, step)
            self.spacing.append(step)
        else:
            panels = max(2, math.ceil(2 * reach / self.at.panel))
            fixed = np.linspace(-reach, reach, panels + 1)
            edges = np.concatenate([np.broadcast_to(fixed, (batch, count, panels + 1)), breaks], axis=2)
            edges = np.sort(np.clip(edges, -reach, reach), axis=2)
            if edges.size * _PANEL_NODES > self.budget:
                raise _TooLarge
            x, w = _legendre(edges, _RULES[self.at.index % 2])
            self.spacing.append(self.at.panel / 10)
        k = x.shape[-1]
        if batch * count * k > self.budget:
            raise _TooLarge
        x, w = (np.broadcast_to(v, (batch, count, k)).reshape(batch, -1) for v in (x, w))
        self.coordinates = np.repeat(self.coordinates, k, axis=2)
        self.coordinates[j] = x
        self.draws = {a: np.repeat(v, k, axis=1) for a, v in self.draws.items()}
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        self.weight = np.repeat(self.weight, k, axis=1) * w * density
        self.end = np.repeat(self.end, k, axis=1) | (np.abs(x) > reach - 2)
        if j < len(self.laws):
            number, law = self.laws[j]
            values = _quantile(law, x)
            # beyond the smallest quantiles that a law can tell, where no mass is left
            self.weight = np.where(np.isfinite(values) | (density > 1e-250), self.weight, 0.0)
            self.draws[number] = values

    def _breaks(self, j: int) -> np.ndarray | None:
        """Where kinks end along coordinate j: (B, N, K), padded by repetition; None if there are none."""
        found = self._features(j)
        if j < len(self.laws):
            corners = self.problem.integrand.continuous[j][1].corners
            found += [np.full((*self.weight.shape, 1), t) for t in corners]
        for number, kinks, arg in self.kinked:
            reach = self.last[number]
            if reach == j and not self._nonlinear(arg, j):
                found += self._around(number, self._affine_breaks(arg, kinks, j))
            elif reach > j >= len(self.laws) and arg.var is not None and not arg.rest:
                found += self._graded_breaks(arg, kinks, j)
        for number, kinks, arg in self.kinked:
            if self.last[number] == j and self._nonlinear(arg, j):  # after the explicit ones, which it may need
                found += self._around(number, self._searched_breaks(number, arg, kinks, j, found))
        return np.concatenate(found, axis=2) if found else None

    def _features(self, j: int) -> list[np.ndarray]:
        """Where functions say that they vary, along the last coordinate of their argument."""
        found: list[np.ndarray] = []
        for fn, args in self.problem.integrand.calls.values():
            if fn.features is None:
                continue
            arg, others = args[fn.kink_arg], [a for k, a in enumerate(args) if k != fn.kink_arg]
            if _reach_of(self.problem, arg, self.reach) != j or self._nonlinear(arg, j):
                continue
            if all(a.var is None and not a.rest for a in others):
                points = fn.features(*(np.reshape(self._at_nodes(a)[:, :1], (-1, 1)) for a in others))
                found += self._affine_breaks(arg, points, j)
        return found

    def _around(self, number: int, breaks: list[np.ndarray]) -> list[np.ndarray]:
        """Panels graded geometrically towards the breaks of a function that is singular there, deeper at every level."""
        if number not in self.singular or not breaks:
            return breaks
        distances = 0.25 ** np.arange(1, 7 + 3 * max(0, self.at.index))
        offsets = np.concatenate([-distances, distances])
        graded = [(b[..., None] + offsets).reshape(*b.shape[:2], -1) for b in breaks]
        return breaks + graded

    def _nonlinear(self, arg: Argument, j: int) -> bool:
        return any(_reach(self.problem, a, self.reach) >= j for _, mono in arg.rest for a, _ in mono)

    def _at_nodes(self, arg: Argument) -> np.ndarray:
        evaluator = self.evaluator()
        if arg.rest:
            evaluator.run(max(a for _, mono in arg.rest for a, _ in mono))
        return np.broadcast_to(evaluator.argument(arg), self.weight.shape)

    def _slope(self, arg: Argument, j: int) -> np.ndarray:
        return self.problem.factor[:, arg.var, j - len(self.laws)][:, None]

    def _affine_breaks(self, arg: Argument, kinks: Sequence[Any], j: int) -> list[np.ndarray]:
        if arg.var is None:
            return []
        slope, base = self._slope(arg, j), self._at_nodes(arg)
        with np.errstate(divide="ignore", invalid="ignore"):
            return [np.where(slope != 0, (kink - base) / slope, 0.0)[:, :, None] for kink in kinks]

    def _graded_breaks(self, arg: Argument, kinks: tuple[float, ...], j: int) -> list[np.ndarray]:
        """A kink that ends later blurs over the later coordinates: grade the panels down to that width."""
        assert arg.var is not None
        slope = self._slope(arg, j)
        later = np.sqrt(np.sum(self.problem.factor[:, arg.var, j + 1 - len(self.laws) :] ** 2, axis=1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.where(slope != 0, later / np.abs(slope), 1.0)
        if not np.any((width > 0) & (width < 0.5)):
            return []
        base = self._at_nodes(arg)
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
        points = math.ceil(2 * self.at.reach / _SCAN) + 1
        scan = np.broadcast_to(np.linspace(-self.at.reach, self.at.reach, points), (batch, count, points))
        if known:
            # both sides of a break as well, since a function that jumps there has a value of its own at the point
            sides = [b + side for b in known for side in (-_BESIDE, 0.0, _BESIDE)]
            scan = np.sort(np.concatenate([scan, *sides], axis=2), axis=2)
        if batch * count * scan.shape[2] > self.budget:
            raise _TooLarge

        def value(points: np.ndarray) -> np.ndarray:
            evaluator = self.moved(j, points)
            evaluator.run(number - 1)
            return np.broadcast_to(evaluator.argument(arg), (batch, count * points.shape[2])).reshape(points.shape)

        at_scan = value(scan)
        out: list[np.ndarray] = []
        for kink in kinks:
            f = at_scan - kink
            out += _touching(scan, f, partial(_minus, value, kink))
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


def _minus(value: Callable[[np.ndarray], np.ndarray], level: float, points: np.ndarray) -> np.ndarray:
    return value(points) - level


def _touching(scan: np.ndarray, f: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Roots without a change of sign, as of x**2 at 0: minima of |f| on the scan that golden-section search takes to zero."""
    size = np.abs(f)
    # where the argument leaves a whole interval of zeros, as that of sqrt(relu(x)) at 0
    zero = size[:, :, 1:-1] == 0
    edge = zero & ((size[:, :, :-2] > 0) != (size[:, :, 2:] > 0))
    edges = [np.where(edge, scan[:, :, 1:-1], 0.0)[:, :, np.any(edge, axis=(0, 1))]] if np.any(edge) else []
    low = (size[:, :, 1:-1] < size[:, :, :-2]) & (size[:, :, 1:-1] <= size[:, :, 2:])
    low &= (f[:, :, :-2] * f[:, :, 1:-1] >= 0) & (f[:, :, 1:-1] * f[:, :, 2:] >= 0)
    most = int(low.sum(axis=2).max(initial=0))
    if most == 0:
        return edges
    rank = np.argsort(~low, axis=2, kind="stable")[:, :, :most]
    left, right = (np.take_along_axis(s, rank, axis=2) for s in (scan[:, :, :-2], scan[:, :, 2:]))
    height = np.take_along_axis(size[:, :, :-2], rank, axis=2)
    golden = 0.5 * (math.sqrt(5) - 1)
    for _ in range(45):
        a, b = right - golden * (right - left), left + golden * (right - left)
        smaller = np.abs(value(a)) < np.abs(value(b))
        left, right = np.where(smaller, left, a), np.where(smaller, b, right)
    middle = 0.5 * (left + right)
    centre, at_centre = (np.take_along_axis(s[:, :, 1:-1], rank, axis=2) for s in (scan, size))
    depth = np.abs(value(middle))
    middle, depth = np.where(at_centre <= depth, centre, middle), np.minimum(at_centre, depth)
    touching = np.take_along_axis(low, rank, axis=2) & (depth <= 1e-10 * height)
    return [*edges, np.where(touching, middle, 0.0)] if np.any(touching) else edges


def _meets_singularity(problem: Numeric) -> bool:
    """Whether a function may be evaluated where it is singular; not ``sqrt(u**2 + 0.1)``, nor 1 over it."""
    clear: set[int] = set()  # nodes above a positive number
    for node, (fn, args) in problem.integrand.calls.items():
        above = len(args) == 1 and _above(args[0], clear)
        if above and fn.name in ("sqrt", "sqrt'", "reciprocal", "reciprocal'"):
            if fn.name == "sqrt":
                clear.add(node)
        elif singular(fn):
            return True
    return False


def _above(arg: Argument, clear: set[int]) -> bool:
    """Whether an argument stays above a positive number: a constant and squares, or a node that does."""
    if arg.var is not None or not np.all(np.asarray(arg.const) >= 0):
        return False
    nodes = sorted({node for _, mono in arg.rest for node, _ in mono if node not in clear})
    shape = np.broadcast_shapes(*(np.shape(w) for w, _ in arg.rest))
    squares = np.zeros((*shape, len(nodes), len(nodes)))
    lifted = bool(np.all(np.asarray(arg.const) > 0))
    for w, mono in arg.rest:
        free = [node for node, power in mono for _ in range(power) if node not in clear]
        weight = np.asarray(w, dtype=float)
        if len(free) == 2:
            i, j = (nodes.index(node) for node in free)
            squares[..., i, j] += 0.5 * weight
            squares[..., j, i] += 0.5 * weight
        elif free or not np.all(weight > 0):
            return False
        else:
            lifted = True
    if not lifted:
        return False
    least = np.linalg.eigvalsh(squares)[..., 0] if nodes else np.zeros(())
    return bool(np.all(least >= -1e-13 * np.max(np.abs(squares), initial=0.0)))


def singular(fn: Nonlinearity) -> bool:
    """Whether a function is infinite or has an infinite slope at a kink, as log, sqrt and 1/x at 0."""
    if fn.arity != 1 or fn.pieces is not None:
        return False
    for kink in fn.kinks:
        for side in (-1.0, 1.0):
            with np.errstate(all="ignore"):
                near, far = (float(fn.fn(np.float64(kink + side * d))) for d in (1e-12, 1e-6))
            if math.isfinite(far) and not abs(near - far) <= 1e-4:
                return True
    return False


def _reach(problem: Numeric, a: int, reaches: dict[int, int]) -> int:
    """The last coordinate that a node depends on (-1: none)."""
    if a in problem.integrand.calls:
        return reaches[a]
    if a in problem.integrand.node_var:
        return _deepest(problem, problem.integrand.node_var[a])
    return [number for number, _ in problem.integrand.continuous].index(a)


def _deepest(problem: Numeric, variable: int) -> int:
    used = np.nonzero(np.any(problem.factor[:, variable] != 0, axis=0))[0]
    return int(used[-1]) + len(problem.integrand.continuous) if len(used) else -1


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


def _quantile(law: Any, t: np.ndarray) -> np.ndarray:
    """The quantile of a law at ndtr(t), each tail from its own side."""
    flat = t.ravel()
    with np.errstate(all="ignore"):
        values = np.where(flat < 0, law.ppf(ndtr(np.minimum(flat, 0.0))), law.isf(ndtr(-np.maximum(flat, 0.0))))
    return values.reshape(t.shape)


def _legendre(edges: np.ndarray, rule: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on the panels between sorted edges (..., P + 1)."""
    middle, half = 0.5 * (edges[..., 1:] + edges[..., :-1]), 0.5 * np.diff(edges, axis=-1)
    x = middle[..., None] + half[..., None] * rule[0]
    return x.reshape(*edges.shape[:-1], -1), (half[..., None] * rule[1]).reshape(*edges.shape[:-1], -1)
