"""Derivatives of a plan by one number that its weights depend on: every array with its slope beside it.

Weights are differenced on a stencil, which is exact for products of variances; moments are linear in earlier ones or
expectations of functions of Gaussians, whose derivatives are expectations again: ``d/dc E f(u) g(v) = E f'(u) g'(v)`` and
``d/dv E f(u) g = E f''(u) g / 2`` (Price 1958), and for positively homogeneous functions Euler's relation in place of f''.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsupportedOperation
from ..expect.quadrants import determinant
from ..instructions import Arithmetic
from ..nonlinearity import Nonlinearity
from ..progress import progress
from .pairs import expectation
from .places import Alone, Batch, Grid, given_lines, mixed, placed, products
from .plan import CROSS, LEFT, Constant, Expectation, Function, Given, Gram, Moment, Ref
from .run import Ready, nearly
from .simplify import Mixed, refs

STENCIL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
WEIGHTS = (
    np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12
)  # exact for polynomials of degree four, as products of variances are

_TILE_BYTES = 1 << 18  # a dozen arrays of that size are alive at a time
_PRODUCT_BYTES = 1 << 28

Side = tuple[tuple[Nonlinearity, int], ...]


@dataclass(frozen=True, eq=False)
class Dual:
    """A value and its derivative; they broadcast together."""

    value: np.ndarray
    slope: np.ndarray

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def power(self, exponent: float) -> Dual:
        """A constant power."""
        return Dual(self.value**exponent, exponent * self.value ** (exponent - 1) * self.slope)

    def mapped(self, f: Any) -> Dual:
        """A linear map of both."""
        return Dual(np.asarray(f(self.value)), np.asarray(f(self.slope)))


Duals = dict[int, Dual]


def swept(weight: Any, step: float, trailing: int) -> Dual:
    """A weight on the stencil, its axis first, as a value with a slope; with axes for entries and inputs."""
    array = np.asarray(weight, dtype=float)
    if array.ndim and array.shape[0] == len(STENCIL):
        value, slope = array[2], np.tensordot(WEIGHTS, array, axes=1) / step
    else:
        value, slope = array, np.zeros(array.shape)
    index = (..., *[None] * trailing)
    return Dual(np.asarray(value)[index], np.asarray(slope)[index])


def slopes(
    pairs: Ready, singles: Ready, first: np.ndarray, second: np.ndarray | None, step: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """The derivatives of the outputs of plans on the stencil: (N1, N2) of pairs, (N,) of inputs alone.

    Third, the pairs that are too nearly parallel or antipodal at a kink for that.
    """
    left, duals = _single_moments(pairs, first, step)
    right, others = (left, duals) if second is None else _single_moments(pairs, second, step)
    n1, n2 = len(left.x), len(right.x)
    entries = max((m.size for m in pairs.plan.moments if m.cross), default=1)
    side = int(np.clip((_TILE_BYTES // (8 * entries)) ** 0.5, 4, 256))
    starts = [(i, j) for i in range(0, n1, side) for j in range(0, n2, side) if second is not None or j + side > i]
    whole = products(pairs.plan, left, right, _PRODUCT_BYTES) if len(starts) > 1 else {}
    wide = {name: np.empty((n1, n2)) for name, _ in pairs.plan.outputs}
    doubtful = np.zeros((n1, n2), dtype=bool)

    def work(at: tuple[int, int]) -> None:
        rows, cols = (slice(k, k + side) for k in at)
        parts = {key: value[:, rows, cols] for key, value in whole.items()}
        doubts: list[Any] = []
        grid = Grid(left.part(rows), right.part(cols), parts)
        found = _run(pairs, _Pass(grid, step, _part(duals, rows), _part(others, cols), doubts))
        for near in doubts:
            doubtful[rows, cols] |= near
        for name, value in found.items():
            wide[name][rows, cols] = value
        if second is None and at[0] != at[1]:
            doubtful[cols, rows] = doubtful[rows, cols].T
            for table in wide.values():
                table[cols, rows] = table[rows, cols].T

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in progress(pool.map(work, starts), "kernel gradients", len(starts)):
            pass
    alone = Alone(Batch(singles.plan, first, given_lines(singles.plan, first), {}))
    return wide, _run(singles, _Pass(alone, step, {}, {}, [])), doubtful


def _part(duals: Duals, rows: slice) -> Duals:
    """Some of the inputs."""
    return {k: d.mapped(lambda x: x if x.shape[-1] == 1 else x[..., rows]) for k, d in duals.items()}


@dataclass(frozen=True, eq=False)
class _Pass:
    place: Alone | Grid
    step: float
    left: Duals
    right: Duals
    doubts: list[Any]

    def fetch(self, ref: Ref, duals: Duals) -> Dual:
        """Entries of a moment."""
        at: Any = slice(None) if ref.entries is None else ref.entries
        if isinstance(self.place, Alone) or ref.side == CROSS:
            return duals[ref.moment].mapped(lambda x: x[at])
        if ref.side == LEFT:
            return self.left[ref.moment].mapped(lambda x: x[at][..., :, None])
        return self.right[ref.moment].mapped(lambda x: x[at][..., None, :])


def _single_moments(ready: Ready, x: np.ndarray, step: float) -> tuple[Batch, Duals]:
    batch = Batch(ready.plan, x, given_lines(ready.plan, x), {})
    duals: Duals = {}
    run = _Pass(Alone(batch), step, {}, {}, [])
    with np.errstate(all="ignore"):
        for k, moment in enumerate(ready.plan.moments):
            if not moment.cross:
                duals[k] = _dual(moment, duals, run)
    return batch, duals


def _run(ready: Ready, run: _Pass) -> dict[str, np.ndarray]:
    duals: Duals = {}
    pairs = isinstance(run.place, Grid)
    with np.errstate(all="ignore"):
        for k, moment in enumerate(ready.plan.moments):
            if moment.cross != pairs:
                continue
            duals[k] = _dual(moment, duals, run)
            for r in refs(moment.op):
                if (not pairs or r.side == CROSS) and ready.last[r.moment] == k:
                    duals.pop(r.moment, None)
    return {name: run.fetch(ref, duals).slope[0] for name, ref in ready.plan.outputs}


def _dual(moment: Moment, duals: Duals, run: _Pass) -> Dual:
    def fetch(ref: Ref) -> Dual:
        return run.fetch(ref, duals)

    place, step, trailing = run.place, run.step, run.place.trailing
    match moment.op:
        case Mixed(mixtures=mixtures, terms=terms):
            total = Dual(np.zeros((moment.size, *[1] * trailing)), np.zeros((moment.size, *[1] * trailing)))
            for m in mixtures:
                total = total + fetch(Ref(m.moment, m.side)).mapped(lambda x, m=m: mixed(m.matrix, x, trailing))
            for term in terms:
                count = moment.size if term.rows is None else len(term.rows)
                part = swept(term.weight, step, trailing + 1) * Dual(
                    np.ones((count, *[1] * trailing)), np.zeros((count, *[1] * trailing))
                )
                for r in term.factors:
                    part = part * fetch(r)
                if term.rows is not None:
                    part = part.mapped(lambda x, rows=term.rows: placed(x, rows, moment.size, trailing))
                total = total + part
            return total
        case Gram() as op:
            product = place.gram(op)
            return swept(op.variance, step, trailing + 1) * Dual(product, np.zeros(product.shape))
        case Given() as op:
            assert isinstance(place, Alone)
            value = place.given(op)
            return Dual(value, np.zeros(value.shape))
        case Constant(values=numbers):
            return swept(numbers, step, trailing) if np.ndim(numbers) == 2 else _still(numbers, trailing)
        case Function(fn=fn, args=args):
            return _function(fn, [fetch(a) for a in args])
        case Expectation(functions=functions, means=means, covariances=covariances):
            if any(np.any(fetch(m).value) or np.any(fetch(m).slope) for m in means if m is not None):
                raise UnsupportedOperation("the derivative of an expectation with means", remedy="differences")
            second = {ij: fetch(r) for ij, r in covariances}
            if isinstance(place, Grid):
                near = nearly(functions, {ij: d.value for ij, d in second.items()})
                if near is not None:
                    run.doubts.append(np.any(near, axis=0))
            return _expectation(functions, second)
    raise UnsupportedOperation(f"the derivative of {type(moment.op).__name__}", remedy="differences")


def _still(numbers: Any, trailing: int) -> Dual:
    value = np.asarray(numbers, dtype=float)[(..., *[None] * trailing)]
    return Dual(value, np.zeros(value.shape))


def _function(fn: Any, args: list[Dual]) -> Dual:
    match fn:
        case Arithmetic(name="add"):
            return args[0] + args[1]
        case Arithmetic(name="subtract"):
            return args[0] + args[1].mapped(np.negative)
        case Arithmetic(name="multiply"):
            return args[0] * args[1]
        case Arithmetic(name="divide"):
            return args[0] * args[1].power(-1)
        case Arithmetic(name="power", exponent=exponent):
            return args[0].power(float(exponent))
    if not isinstance(fn, Nonlinearity) or fn.partials is None or any(p is None for p in fn.partials()):
        raise UnsupportedOperation(f"the derivative of {fn} of scalars", remedy="differences")
    values = [a.value for a in args]
    slope = sum(p.fn(*values) * a.slope for p, a in zip(fn.partials(), args, strict=True) if p is not None)
    return Dual(np.asarray(fn.fn(*values)), np.asarray(slope))


# ---------------------------------------------------------------------------------------------
# expectations


def _expectation(functions: Any, second: dict[tuple[int, int], Dual]) -> Dual:
    sides: list[Side] = [tuple(f) for f in functions]
    zero = Dual(np.zeros(1), np.zeros(1))
    plain = {ij: d.value for ij, d in second.items()}
    value = np.asarray(expectation(sides, [None] * len(sides), plain))
    if len(sides) == 1:
        return Dual(value, _single_slope(sides[0], value, second[0, 0]))
    if len(sides) > 2:
        raise UnsupportedOperation("the derivative of an expectation over three variables", remedy="differences")
    c, u, v = second.get((0, 1), zero), second[0, 0], second[1, 1]
    degrees = [_degree(s) for s in sides]
    if degrees[0] is not None and degrees[1] is not None and all(len(s) == 1 and s[0][1] == 1 for s in sides):
        rates = [_ratio(x.slope, x.value) for x in (u, v)]
        along = _homogeneous_by_covariance(sides[0][0][0], sides[1][0][0], c.value, u.value, v.value)
        turned = along * (c.slope - 0.5 * c.value * (rates[0] + rates[1]))
        return Dual(value, turned + 0.5 * value * (degrees[0] * rates[0] + degrees[1] * rates[1]))
    first, other = sides
    slope = _mean(_derived(first), _derived(other), plain) * c.slope
    slope = slope + 0.5 * _mean(_derived(first, 2), [(1.0, other)], plain) * u.slope
    slope = slope + 0.5 * _mean([(1.0, first)], _derived(other, 2), plain) * v.slope
    return Dual(value, slope)


def _single_slope(side: Side, value: np.ndarray, variance: Dual) -> np.ndarray:
    degree = _degree(side)
    if degree is not None:
        return np.asarray(0.5 * degree * value * _ratio(variance.slope, variance.value))
    total: Any = 0.0
    for weight, functions in _derived(side, 2):
        total = total + weight * (
            np.asarray(expectation([functions], [None], {(0, 0): variance.value})) if functions else 1
        )
    return np.asarray(0.5 * total * variance.slope)


def _degree(side: Side) -> int | None:
    """Of a product of positively homogeneous functions."""
    families = [fn.family for fn, _ in side]
    if not all(f and f[0] == "homogeneous" for f in families):
        return None
    return sum(f[1] * power for f, (_, power) in zip(families, side, strict=True))


def _ratio(slope: np.ndarray, value: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(value > 0, slope / np.where(value > 0, value, 1.0), 0.0))


def _homogeneous_by_covariance(f: Nonlinearity, g: Nonlinearity, c: Any, u: Any, v: Any) -> Any:
    """d/dc E f(u) g(v): the slopes meet, and jumps put a density where they are."""
    (_, k, p, m), (_, d, q, r) = f.family, g.family
    if k == 1 and d == 1:
        return _mean(_derived(((f, 1),)), _derived(((g, 1),)), {(0, 1): c, (0, 0): u, (1, 1): v})
    if k == 0 and d == 0:
        jump = float((p - m) * (q - r))
        shape = np.broadcast_shapes(np.shape(c), np.shape(u), np.shape(v))
        det = determinant(*(np.broadcast_to(x, shape) for x in (u, v, c)))
        return jump / (2 * math.pi) / np.sqrt(np.where(det > 0, det, np.inf))
    slope, jump, at = (float(p + m) / 2, float(q - r), v) if k == 1 else (float(q + r) / 2, float(p - m), u)
    return slope * jump / np.sqrt(2 * math.pi * np.where(at > 0, at, np.inf))


def _derived(side: Side, order: int = 1) -> list[tuple[float, Side]]:
    """The derivative of a product of functions as a sum of products."""
    terms: list[tuple[float, Side]] = [(1.0, side)]
    for _ in range(order):
        new: list[tuple[float, Side]] = []
        for weight, functions in terms:
            for k, (fn, power) in enumerate(functions):
                if fn.jumps or fn.partials is None or fn.partials()[0] is None:
                    raise UnsupportedOperation(f"the derivative of {fn.name}", remedy="differences")
                rest = [*functions[:k], *functions[k + 1 :], *([(fn, power - 1)] if power > 1 else [])]
                slope = fn.partials()[0]
                assert slope is not None
                scale = weight * power
                if slope.pieces is not None and not slope.pieces.breaks and len(slope.pieces.polys[0]) <= 1:
                    scale *= float(slope.pieces.polys[0][0]) if slope.pieces.polys[0] else 0.0
                else:
                    rest.append((slope, 1))
                if scale:
                    new.append((scale, tuple(rest)))
        terms = new
    return terms


def _mean(first: list[tuple[float, Side]], other: list[tuple[float, Side]], second: dict[tuple[int, int], Any]) -> Any:
    total: Any = 0.0
    for a, f in first:
        for b, g in other:
            if f and g:
                part: Any = expectation([f, g], [None, None], second)
            elif f or g:
                part = expectation([f or g], [None], {(0, 0): second[0, 0] if f else second[1, 1]})
            else:
                part = 1.0
            total = total + a * b * part
    return total
