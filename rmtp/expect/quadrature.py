"""Deterministic quadrature in the effective dimension, one coordinate nested in the other.

Steps and range of the grid are refined together until two levels agree, so the stated error sees poles, missed kinks and
heavy tails alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..errors import BudgetExceeded, DivergentExpectation, NotConverged
from .grid import Grid, Level, TooLarge, level, singular
from .integrand import Evaluator, Numeric, gaussian_polynomial, variable_values

_FINEST = 26
_RESOLVED = 8.0  # a smooth function's argument may move this far between neighbouring nodes
_DEEPEST = 5  # graded panels reach 1e-12 there; below, rounding would hide a divergence
_NO_TAIL = 1e-16  # of the absolute integral in the last two standard deviations: a wider range would add nothing
_TAIL_SHARE = 0.02  # of the absolute integral, beyond which the tail alone decides: a divergence
_POINT = 1e-13
_BOUNDED = 1.01  # times the largest value two levels before
_SIZE_AGREES = 0.01  # |f| must be integrable too: a principal value is not an expectation


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
    dims = problem.rank + len(problem.integrand.axes)
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
    dims = problem.rank + len(problem.integrand.axes)
    if dims == 0 and not problem.integrand.counted:
        with np.errstate(all="ignore"):
            value = Evaluator(problem, variable_values(problem, np.zeros((0, problem.batch, 1))), {}).product()
            value = value * gaussian_polynomial(problem, np.zeros((0, problem.batch, 1)))
        return _finite(value[:, 0]), np.zeros(problem.batch), level(0)
    values: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    peaks: list[float] = []
    tail, reach, finite = np.zeros(problem.batch), 0.0, False
    for index in range({1: 0, 2: 0, 3: -2}.get(dims, -3), _FINEST):
        at = level(index)
        if sizes and finite and np.all(tail <= _NO_TAIL * sizes[-1]):
            at = replace(at, reach=reach)
        try:
            value, size, tail, resolved, finite, peak = _evaluate(problem, at, budget)
        except TooLarge:
            break
        if index > _DEEPEST and any(singular(fn) for fn, _ in problem.integrand.calls.values()):
            break
        values.append(value)
        sizes.append(size)
        peaks.append(peak)
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
    if not (len(peaks) >= 3 and max(peaks) <= _BOUNDED * peaks[-3]):  # a jump that is not followed is no divergence
        _check_divergence(sizes)
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


def _difference(values: list[np.ndarray], finite: bool) -> np.ndarray:
    """The difference of the last two levels, or less where it is the last of a fast falling sequence.

    The rules converge geometrically for what is analytic between breaks: once a difference is a tenth of the one before,
    the error is smaller still. The root of the ratio is a bound that algebraic convergence keeps as well.
    """
    last = np.abs(values[-1] - values[-2])
    if len(values) < 3 or not finite or not np.all(np.isfinite(values[-3])):
        return last
    before = np.abs(values[-2] - values[-3])
    with np.errstate(divide="ignore", invalid="ignore"):
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
    peak: float  # the largest absolute value of the function, the ends excepted


def _evaluate(problem: Numeric, at: Level, budget: int) -> _Sum:
    with np.errstate(all="ignore"):
        grid = Grid(problem, at, budget)
        for j in range(grid.dims):
            grid.add_coordinate(j)
        grid.add_counts()
        evaluator = grid.evaluator()
        f = evaluator.product() * gaussian_polynomial(problem, grid.xi())
        # a node that rounding puts on a singularity has no weight to speak of; the nodes around it tell
        dropped = (grid.weight == 0) | (~np.isfinite(f) & (grid.weight < _POINT))
        weighted = np.where(dropped, 0.0, f * grid.weight)
        size = np.abs(weighted)
        tail = np.where(grid.end, size, 0.0).sum(axis=1)
        finite = bool(np.all(np.isfinite(f)))
        peak = float(np.max(np.where(grid.end | dropped, 0.0, np.abs(f)), initial=0.0))
        return _Sum(weighted.sum(axis=1), size.sum(axis=1), tail, _resolved(problem, grid, evaluator), finite, peak)


def _resolved(problem: Numeric, grid: Grid, evaluator: Evaluator) -> bool:
    """No argument of a smooth function jumps over what the function may do in between.

    Two coarse levels agree perfectly about a spike that both of them miss.
    """
    made = problem.integrand
    line = problem.rank + len(made.axes) == 1 and not made.counted and grid.weight.shape[1] > 2
    for fn, args in made.calls.values():
        if fn.pieces is not None or fn.kinks:  # polynomial pieces, or anchored at the breaks
            continue
        for arg in args:
            if arg.rest:
                if line and not _followed(np.broadcast_to(evaluator.argument(arg), grid.weight.shape), grid.weight):
                    return False
            elif arg.var is not None and np.any(
                np.abs(problem.factor[:, arg.var]) @ np.array(grid.spacing[len(made.axes) :]) > _RESOLVED
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
