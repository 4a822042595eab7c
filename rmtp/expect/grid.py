"""Nodes of nested quadrature, one coordinate at a time.

A coordinate along which no kink ends has the nodes of the trapezoid rule, which converges geometrically for analytic functions
under a Gaussian weight (Gauss-Hermite with its fixed nodes is worse near poles). Where kinks end, the axis is cut at them, for
every node of the outer coordinates separately, and each panel has Gauss-Legendre nodes. Counts come last and are summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..errors import BadParameter
from ..nonlinearity import Nonlinearity
from ..special import ndtr
from .integrand import Argument, Evaluator, Numeric, variable_values

_PANEL_NODES = 16
# levels alternate between two rules: the panels between breaks may be the same, and a missed kink would then agree with itself
_RULES = tuple(np.polynomial.legendre.leggauss(k) for k in (_PANEL_NODES, _PANEL_NODES + 1))
_SCAN = 0.35  # spacing of the points on which a nonlinear argument is searched for kinks
_BESIDE = 1e-9
_ROOT = 1e-14  # a bracket this narrow is a root
_BISECTIONS = 160
_OFFSET = 0.381966  # of a step: no node at 0, where so many functions are singular and odd ones cancel
_TAIL = 37.0  # exp(-37^2 / 2) is the smallest normal double
_WHOLE = 1e-10  # what may be missing of a probability
_UNSEEN = 1e-24  # the weight of a node whose counts are not worth summing


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


class TooLarge(Exception):
    """More nodes than the budget allows."""


class Grid:
    """Nodes built one coordinate at a time; every coordinate may place its nodes by the earlier ones.

    A continuous law is a function of a standard normal coordinate, its quantile at ndtr(t), which is smooth where the
    density is not; these coordinates come first.
    """

    def __init__(self, problem: Numeric, at: Level, budget: int) -> None:
        self.problem, self.at, self.budget = problem, at, budget
        made = problem.integrand
        self.laws = [(number, part.frozen) for number, part in made.axes]
        self.dims = len(self.laws) + problem.rank
        self.coordinates = np.zeros((self.dims, problem.batch, 1))  # zero while not placed yet
        self.draws = {
            number: np.full((problem.batch, 1), float(part.frozen.median())) for number, part in made.continuous
        }
        self.known: dict[int, np.ndarray] = {}  # values of functions, once the counts are placed
        self.inner = 1  # nodes of the last coordinate for each of the others
        self.weight = np.ones((problem.batch, 1))
        self.end = np.zeros((problem.batch, 1), dtype=bool)
        self.spacing: list[float] = []
        self.kinked = [(number, fn.kinks, args[fn.kink_arg]) for number, (fn, args) in made.calls.items() if fn.kinks]
        self.singular = {number for number, _, _ in self.kinked if singular(made.calls[number][0])}
        self.reach = _reaches(problem)
        self.last = {number: _reach_of(problem, arg, self.reach) for number, _, arg in self.kinked}

    def xi(self) -> np.ndarray:
        """The Gaussian coordinates of the nodes (r, B, N)."""
        return self.coordinates[len(self.laws) :]

    def evaluator(self) -> Evaluator:
        """Node values at the nodes placed so far."""
        return Evaluator(self.problem, variable_values(self.problem, self.xi()), self.draws, self.known)

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
                raise TooLarge
            x, w = _legendre(edges, _RULES[self.at.index % 2])
            self.spacing.append(self.at.panel / 10)
        k = self.inner = x.shape[-1]
        if batch * count * k > self.budget:
            raise TooLarge
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

    def add_counts(self) -> None:
        """Every node once for each count that matters there, weighted with its probability."""
        counted = [number for number in self.problem.integrand.order if number in self.problem.integrand.counted]
        for number in counted:
            fn, args = self.problem.integrand.calls[number]
            assert fn.outcomes is not None
            evaluator = self.evaluator()
            evaluator.run(number - 1)
            others = [np.broadcast_to(evaluator.argument(arg), self.weight.shape) for arg in args[:-1]]
            low, high = fn.outcomes.ends(*others)
            first, last = np.floor(low.min(axis=0)), np.ceil(high.max(axis=0))
            many = np.where(np.any(self.weight > _UNSEEN, axis=0), last - first + 1, 0.0)
            if not self.problem.batch * np.sum(many) <= self.budget:
                raise TooLarge
            repeats = many.astype(int)
            count = np.repeat(first, repeats) + _within(repeats)
            if len(counted) == 1:
                self.known = self._once_for_each(number, first, repeats, count)
            others = [np.repeat(v, repeats, axis=1) for v in others]
            self.coordinates = np.repeat(self.coordinates, repeats, axis=2)
            self.draws = {a: np.repeat(v, repeats, axis=1) for a, v in self.draws.items()}
            self.known = {a: np.repeat(v, repeats, axis=1) if a in counted else v for a, v in self.known.items()}
            self.known[number] = np.broadcast_to(count, (self.problem.batch, len(count)))
            before = np.where(repeats > 0, self.weight, 0.0).sum()
            self.weight = np.repeat(self.weight, repeats, axis=1) * fn.outcomes.mass(count, *others)
            if not abs(self.weight.sum() - before) <= _WHOLE * before:
                raise BadParameter(
                    f"the probabilities of the counts of {fn.name} add up to {self.weight.sum() / before:.12g}",
                    remedy="a wider window, or probabilities that add up to 1",
                )
            self.end = np.repeat(self.end, repeats, axis=1)

    def _once_for_each(
        self, number: int, first: np.ndarray, repeats: np.ndarray, count: np.ndarray
    ) -> dict[int, np.ndarray]:
        """What does not depend on the last coordinate but through the count, once for each count and node of the others.

        The posterior mean of a count is a quadrature itself, and the same along a whole line of nodes.
        """
        inner = self.inner if self.dims else 1
        lines = self.weight.shape[1] // inner
        seen = repeats.reshape(lines, inner) > 0
        low = np.where(seen, first.reshape(lines, inner), np.inf).min(axis=1)
        high = np.where(seen, (first + repeats).reshape(lines, inner), -np.inf).max(axis=1)
        low = np.where(np.isfinite(low), low, 0.0)
        sizes = np.maximum(np.where(np.isfinite(high), high - low, 0), 0).astype(int)
        starts = np.cumsum(sizes) - sizes
        reduced = Evaluator(
            self.problem,
            variable_values(self.problem, np.repeat(self.xi()[:, :, ::inner], sizes, axis=2)),
            {a: np.repeat(v[:, ::inner], sizes, axis=1) for a, v in self.draws.items()},
            {number: np.broadcast_to(np.repeat(low, sizes) + _within(sizes), (self.problem.batch, sizes.sum()))},
        )
        line = np.repeat(np.arange(lines).repeat(inner), repeats)
        place = (starts[line] + count - low[line]).astype(int)
        depth = _reaches(self.problem)
        out = {}
        for a in self.problem.integrand.order:
            if a != number and depth[a] < self.dims - 1:
                value = np.broadcast_to(reduced.call(a), (self.problem.batch, sizes.sum()))
                out[a] = value[:, place]
        return out

    def _breaks(self, j: int) -> np.ndarray | None:
        """Where kinks end along coordinate j: (B, N, K), padded by repetition; None if there are none."""
        found = self._features(j)
        if j < len(self.laws):
            corners = self.problem.integrand.axes[j][1].corners
            found += [np.full((*self.weight.shape, 1), t) for t in corners]
        for number, kinks, arg in self.kinked:
            reach = self.last[number]
            if reach == j and not self._nonlinear(arg, j):
                found += self._around(number, self._affine_breaks(arg, kinks, j))
            elif reach > j >= len(self.laws) and arg.var is not None and not arg.rest:
                found += self._graded_breaks(arg, kinks, j)
        for number, kinks, arg in self.kinked:
            reach = self.last[number]
            if reach == j and self._nonlinear(arg, j):  # after the explicit ones, which it may need
                found += self._around(number, self._searched_breaks(number, arg, kinks, j, found))
            elif reach > j >= len(self.laws) and arg.var is not None and self._rest_reach(arg) == j:
                found += self._blurred_breaks(number, arg, kinks, j, found)
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
        return self._rest_reach(arg) >= j

    def _rest_reach(self, arg: Argument) -> int:
        return max((_reach(self.problem, a, self.reach) for _, mono in arg.rest for a, _ in mono), default=-1)

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
        slope, later, base = self._slope(arg, j), self._later(arg, j), self._at_nodes(arg)
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.where(slope != 0, later / np.abs(slope), 1.0)
            centres = [np.where(slope != 0, (kink - base) / slope, 0.0)[:, :, None] for kink in kinks]
        return _graded(centres, [width[:, :, None]] * len(centres))

    def _blurred_breaks(
        self, number: int, arg: Argument, kinks: tuple[float, ...], j: int, known: list[np.ndarray]
    ) -> list[np.ndarray]:
        """The same where the argument is nonlinear in coordinate j, as step(f(x) + small * later) is."""
        if np.all(self._later(arg, j) > 0.5):
            return []
        centres = self._searched_breaks(number, arg, kinks, j, known)
        widths = []
        for centre in centres:
            ends = [self._argument_along(number, arg, j, centre + side * _BESIDE**0.5) for side in (-1.0, 1.0)]
            slope = np.abs(ends[1] - ends[0]) / (2 * _BESIDE**0.5)
            widths.append(self._later(arg, j)[:, :, None] / np.maximum(slope, 1e-3))
        return _graded(centres, widths)

    def _later(self, arg: Argument, j: int) -> np.ndarray:
        """The standard deviation that an argument has from coordinates after j, (B, 1)."""
        assert arg.var is not None
        return np.asarray(
            np.sqrt(np.sum(self.problem.factor[:, arg.var, j + 1 - len(self.laws) :] ** 2, axis=1))[:, None]
        )

    def _argument_along(self, number: int, arg: Argument, j: int, points: np.ndarray) -> np.ndarray:
        """An argument at points (B, N, k) of coordinate j, with the later coordinates at 0."""
        evaluator = self.moved(j, points)
        evaluator.run(number - 1)
        batch, count, k = points.shape
        return np.broadcast_to(evaluator.argument(arg), (batch, count * k)).reshape(points.shape)

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
            raise TooLarge

        value = partial(self._argument_along, number, arg, j)
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
            wl, wr = fl, fr
            for step in range(_BISECTIONS):
                with np.errstate(divide="ignore", invalid="ignore"):
                    secant = right - wr * (right - left) / (wr - wl)
                # the secant finds piecewise linear roots at once; every third step bisects for safety, and for jumps
                trial = np.where(np.isfinite(secant) & (step % 3 != 2), secant, 0.5 * (left + right))
                # what is found stays, whatever the others still need
                trial = np.where((fr == 0) | (np.abs(right - left) < _ROOT), right, trial)
                if np.all(~real | (trial == right)):
                    break
                ft = value(trial) - kink
                same = np.sign(ft) == np.sign(fl)
                # an end that stays counts for half (Illinois), so that the bracket closes from both sides
                wl, wr = np.where(same, ft, 0.5 * wl), np.where(same, 0.5 * wr, ft)
                left, fl = np.where(same, trial, left), np.where(same, ft, fl)
                right, fr = np.where(same, right, trial), np.where(same, fr, ft)
            out.append(np.where(real, right, 0.0))
        return out


def _graded(centres: list[np.ndarray], widths: list[np.ndarray]) -> list[np.ndarray]:
    """Breaks on both sides of blurred kinks, from their widths outwards; none where all are wide."""
    out: list[np.ndarray] = []
    for centre, width in zip(centres, widths, strict=True):
        if not np.any((width > 0) & (width < 0.5)):
            continue
        w = width
        while np.any((w > 0) & (w < 1.0)):
            out += [centre - w, centre + w]
            w = np.where(w < 1.0, 3 * w, w)
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


def meets_singularity(problem: Numeric) -> bool:
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
    if a in problem.integrand.counted.values():
        return -1
    return [number for number, _ in problem.integrand.axes].index(a)


def _deepest(problem: Numeric, variable: int) -> int:
    used = np.nonzero(np.any(problem.factor[:, variable] != 0, axis=0))[0]
    return int(used[-1]) + len(problem.integrand.axes) if len(used) else -1


def _reach_of(problem: Numeric, arg: Argument, reaches: dict[int, int]) -> int:
    found = [_reach(problem, a, reaches) for _, mono in arg.rest for a, _ in mono]
    if arg.var is not None:
        found.append(_deepest(problem, arg.var))
    return max(found, default=-1)


def _reaches(problem: Numeric) -> dict[int, int]:
    """For each function, the last coordinate that any of its arguments depends on otherwise than through a count."""
    reaches: dict[int, int] = {}
    for number in problem.integrand.order:
        _, args = problem.integrand.calls[number]
        counted = number in problem.integrand.counted
        reaches[number] = -1 if counted else max((_reach_of(problem, arg, reaches) for arg in args), default=-1)
    return reaches


def _quantile(law: Any, t: np.ndarray) -> np.ndarray:
    """The quantile of a law at ndtr(t), each tail from its own side."""
    flat = t.ravel()
    with np.errstate(all="ignore"):
        values = np.where(flat < 0, law.ppf(ndtr(np.minimum(flat, 0.0))), law.isf(ndtr(-np.maximum(flat, 0.0))))
    return values.reshape(t.shape)


def _within(sizes: np.ndarray) -> np.ndarray:
    """0, 1, .., size - 1 for each of the sizes."""
    return np.asarray(np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes))


def _legendre(edges: np.ndarray, rule: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on the panels between sorted edges (..., P + 1)."""
    middle, half = 0.5 * (edges[..., 1:] + edges[..., :-1]), 0.5 * np.diff(edges, axis=-1)
    x = middle[..., None] + half[..., None] * rule[0]
    return x.reshape(*edges.shape[:-1], -1), (half[..., None] * rule[1]).reshape(*edges.shape[:-1], -1)
