"""Running a plan on data: moments of single inputs once, those of pairs tile by tile.

Pairs that are nearly parallel or antipodal at a kink are done again, one by one, with their gaps (`gaps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..instructions import Arithmetic
from ..networks.evaluate import applied
from ..sweeps import sweep_shape
from .fusion import Formula
from .gaps import DOUBTFUL, PARALLEL
from .pairs import expectation, has_closed_form, together
from .places import Alone, Batch, Grid, Listed, Place, Values, given_lines, mixed, placed, weighted
from .plan import CROSS, LEFT, RIGHT, Algebra, Constant, Expectation, Function, Given, Gram, Moment, Plan, Ref, Term
from .simplify import Mixed, Mixture, refs, simplified

EPS = float(np.finfo(float).eps)
START = 4 * EPS  # of covariances, relative to the variances
_NEARLY = DOUBTFUL**2 / 2  # 1 - |rho|


@dataclass(frozen=True, eq=False)
class Ready:
    """A plan in its fast form, and how long every moment is needed.

    Attributes
    ----------
    plan : Plan
    wanted : frozenset
        Moments of single inputs that pairs or outputs need.
    last : tuple
        Per moment: the last one that uses it.
    twins : dict
        Expectation -> all those at the same covariances, computed together with it.
    gapped : frozenset
        Moments of pairs whose gaps some kink needs.
    subtracts : bool
        Whether differences may lose digits (`rounding`).
    quadrature : bool
        Whether some expectation has no closed form.
    """

    plan: Plan
    wanted: frozenset[int]
    last: tuple[int, ...]
    twins: dict[int, tuple[int, ...]]
    gapped: frozenset[int]
    subtracts: bool
    quadrature: bool


def prepare(plan: Plan) -> Ready:
    """The fast form of a plan, and what has to be kept."""
    sweep_shape(plan.program)
    plan = simplified(plan)
    used = [refs(m.op) for m in plan.moments]
    kept = {r.moment for m, rs in zip(plan.moments, used, strict=True) if m.cross for r in rs if r.side != CROSS}
    kept |= {r.moment for _, r in plan.outputs if r.side != CROSS}
    last = list(range(len(plan.moments)))
    for k, rs in enumerate(used):
        for r in rs:
            last[r.moment] = max(last[r.moment], k)
    for _, r in plan.outputs:
        last[r.moment] = len(plan.moments)
    open_ = (m.op for m in plan.moments if isinstance(m.op, Expectation))
    quadrature = any(not has_closed_form(op.functions, op.means) for op in open_)
    return Ready(plan, frozenset(kept), tuple(last), _twins(plan), _gapped(plan), _cancels(plan), quadrature)


def _twins(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Expectations over two variables with the same covariances: an angle serves relu and its slope."""
    groups: dict[Any, list[int]] = {}
    for k, moment in enumerate(plan.moments):
        op = moment.op
        if isinstance(op, Expectation) and len(op.functions) == 2 and op.means == (None, None):
            groups.setdefault((moment.cross, *((ij, _key(r)) for ij, r in op.covariances)), []).append(k)
    return {members[0]: tuple(members) for members in groups.values() if len(members) > 1}


def _key(ref: Ref) -> tuple[Any, ...]:
    return ref.moment, ref.side, None if ref.entries is None else ref.entries.tobytes()


def _gapped(plan: Plan) -> frozenset[int]:
    """What the covariances of kinked homogeneous functions of pairs are made of."""
    stack = [
        r.moment
        for m in plan.moments
        if m.cross and isinstance(m.op, Expectation) and len(m.op.functions) == 2 and _kinked(m.op.functions)
        for ij, r in m.op.covariances
        if ij == (0, 1) and r.side == CROSS
    ]
    found: set[int] = set()
    while stack:
        k = stack.pop()
        if k not in found:
            found.add(k)
            stack += [r.moment for r in refs(plan.moments[k].op) if r.side == CROSS]
    return frozenset(found)


def _cancels(plan: Plan) -> bool:
    """Whether something of a plan is subtracted, so that an error may outgrow those it is made of."""
    return any(_subtracts(m.op) for m in plan.moments)


def _subtracts(op: Any) -> bool:
    match op:
        case Mixed(mixtures=mixtures, terms=terms):
            return any(np.any(m.matrix.data < 0) for m in mixtures) or any(
                np.any(np.asarray(weighted(t.weight, 0)) < 0) for t in terms
            )
        case Function(fn=Arithmetic(name="add" | "subtract")):
            return True
        case Expectation(functions=functions, means=means):
            return any(m is not None for m in means) or any(sums_of(side) for side in functions)
    return False


def sums_of(side: Any) -> list[Formula]:
    """Compositions with a sum or a difference in them."""
    return [f for fn, _ in side for f in fn.params if isinstance(f, Formula) and f.adds]


# ---------------------------------------------------------------------------------------------
# kinks


def _kinked(functions: Sequence[Any]) -> bool:
    return any(fn.kinks for side in functions for fn, _ in side)


def jumps(functions: Sequence[Any]) -> bool:
    """Whether the functions of both variables jump, so that an error of an angle is one of the expectation."""
    return len(functions) == 2 and all(any(fn.jumps for fn, _ in side) for side in functions)


def edge_of(second: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    """The largest covariance that two variances allow."""
    return np.asarray(np.sqrt(second[0, 0]) * np.sqrt(second[1, 1]))


def snapped(functions: Sequence[Any], second: dict[tuple[int, int], np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """Covariances with correlations of +-1 up to rounding made exact, for functions with kinks.

    Equal patches of an image reach a covariance and a variance by sums in another order; an ulp between them is an angle of
    1e-8 at a kink. An angle that small cannot be told from rounding by covariances.
    """
    cov = second.get((0, 1))
    if cov is None or not _kinked(functions):
        return second
    edge = edge_of(second)
    near = np.abs(cov) >= (1 - PARALLEL) * edge
    if not near.any():
        return second
    # just beyond the edge, so that no determinant is left
    return second | {(0, 1): np.where(near, np.sign(cov) * edge * (1 + 4 * EPS), cov)}


def nearly(functions: Sequence[Any], second: dict[tuple[int, int], np.ndarray]) -> np.ndarray | None:
    """Entries at which a kink costs digits: nearly antipodal ones, and nearly parallel ones at two jumps.

    ``E relu(u) relu(v)`` is flat where u and v are parallel; where they are antipodal it is small.
    """
    cov = second.get((0, 1))
    if cov is None or not _kinked(functions):
        return None
    least = (1 - _NEARLY) * float(np.sqrt(np.min(second[0, 0])) * np.sqrt(np.min(second[1, 1])))
    jump = any(jumps([[f], [f]]) for side in functions for f in side)
    if np.min(cov) > -least and (not jump or np.max(cov) < least):
        return None
    edge = edge_of(second)
    edge *= 1 - _NEARLY
    near = np.less_equal(cov, -edge)
    if jump:
        near |= cov >= edge
    return near & (edge > 0) if near.any() else None


# ---------------------------------------------------------------------------------------------
# moments


def single_moments(ready: Ready, x: np.ndarray) -> tuple[Batch, float]:
    """Moments of single inputs, for one batch, and what kinks make of the error: 0, or relative."""
    plan = ready.plan
    batch = Batch(plan, x, given_lines(plan, x), {})
    needed = _beneath(plan, ready.wanted)
    place, error = Alone(batch), 0.0
    with np.errstate(all="ignore"):
        for k, moment in enumerate(plan.moments):
            if k in needed and not moment.cross:
                batch.values[k] = evaluate(moment, batch.values, place)
                if isinstance(moment.op, Expectation) and jumps(moment.op.functions):
                    lost = jump_error(centred(moment.op, batch.values, place), START)
                    error += lost if lost > START else 0.0
    return Batch(plan, x, batch.given, {k: v for k, v in batch.values.items() if k in ready.wanted}), error


def jump_error(second: dict[tuple[int, int], np.ndarray], error: float) -> float:
    """The relative error of an expectation of two jumps, its covariances having the relative error `error`."""
    if (0, 1) not in second:
        return error
    with np.errstate(all="ignore"):
        rho = np.abs(second[0, 1]) / edge_of(second)
    same = (second[0, 1] == second[0, 0]) & (second[0, 1] == second[1, 1])
    rho = np.where(np.isfinite(rho) & ~same, np.minimum(rho, 1.0), 0.0)
    worst = float(np.max(rho, initial=0.0))
    if worst < 1 - _NEARLY:
        return error
    if worst >= 1 - PARALLEL:
        return float(np.sqrt(2 * PARALLEL))
    return error / float(np.sqrt((1 - worst) * (1 + worst)))


def single_outputs(ready: Ready, x: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """The outputs of a plan of single inputs, axes (sweep, N) of each, and what kinks make of the error."""
    batch, error = single_moments(ready, x)
    place = Alone(batch)
    return {name: place.fetch(r, batch.values)[..., 0, :] for name, r in ready.plan.outputs}, error


def _beneath(plan: Plan, roots: frozenset[int]) -> set[int]:
    needed = set(roots)
    for k in range(len(plan.moments) - 1, -1, -1):
        if k in needed:
            needed.update(r.moment for r in refs(plan.moments[k].op))
    return needed


def tile(ready: Ready, place: Grid | Listed) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The outputs for all pairs of two batches, or a list of pairs, and the pairs that need more care.

    Axes (sweep, N1, N2), or (sweep, P, 1).
    """
    left, right = place.left, place.right
    values: Values = {}
    doubtful: np.ndarray | None = None
    with np.errstate(all="ignore"):
        for k, moment in enumerate(ready.plan.moments):
            if not moment.cross:
                continue
            if k not in values:
                op = moment.op
                if isinstance(op, Expectation) and len(op.functions) == 2:
                    found, near = _expectations(ready, k, values, place)
                    values |= found
                    if near is not None:
                        pairs = np.any(near, axis=tuple(range(near.ndim - 2)))
                        doubtful = pairs if doubtful is None else doubtful | pairs
                else:
                    values[k] = evaluate(moment, values, place)
            for r in refs(moment.op):
                if r.side == CROSS and ready.last[r.moment] == k:
                    values.pop(r.moment, None)
    outputs = {name: place.fetch(ref, values)[..., 0, :, :] for name, ref in ready.plan.outputs}
    if doubtful is not None:
        doubtful = np.broadcast_to(doubtful, (len(left.x), len(right.x) if isinstance(place, Grid) else 1))
    return outputs, doubtful


def _expectations(ready: Ready, k: int, values: Values, place: Grid | Listed) -> tuple[Values, np.ndarray | None]:
    """Expectations at the same covariances, and where they are nearly singular."""
    members = ready.twins.get(k, (k,))
    ops = [op for m in members if isinstance(op := ready.plan.moments[m].op, Expectation)]
    second = {ij: place.fetch(r, values) for ij, r in ops[0].covariances}
    near = nearly([[f for op in ops for side in op.functions for f in side]], centred(ops[0], values, place))
    if len(ops) == 1:
        found = [expectation(ops[0].functions, centres(ops[0], values, place), second)]
    else:
        zero = np.zeros(1)
        pairs: Any = [op.functions for op in ops]
        found = together(pairs, (None, None), *(second.get(ij, zero) for ij in ((0, 1), (0, 0), (1, 1))))
    return dict(zip(members, map(np.asarray, found), strict=True)), near


def centres(op: Expectation, values: Values, place: Place) -> list[np.ndarray | None]:
    """Means of the variables; closed forms are for centred ones."""
    means = [None if m is None else place.fetch(m, values) for m in op.means]
    return [None if m is None or not np.any(m) else m for m in means]


def centred(op: Expectation, values: Values, place: Place) -> dict[tuple[int, int], np.ndarray]:
    """Covariances in place of second moments."""
    second = {ij: place.fetch(r, values) for ij, r in op.covariances}
    means = centres(op, values, place)
    for (i, j), raw in second.items():
        a, b = means[i], means[j]
        if a is not None and b is not None:
            second[i, j] = raw - a * b
    return second


def evaluate(moment: Moment, values: Values, place: Place) -> np.ndarray:
    """One moment of single inputs or of pairs from those it is computed from."""
    match moment.op:
        case Mixed(mixtures=mixtures, terms=terms):
            return _sum(mixtures, terms, moment.size, values, place)
        case Gram() as op:
            out = place.gram(op)
            return np.asarray(weighted(op.variance, out.ndim - 1) * out)
        case Given() as op:
            assert isinstance(place, Alone)
            return place.given(op)
        case Constant(values=numbers):
            return numbers[(..., *[None] * place.trailing)]
        case Function(fn=fn, args=args):
            return np.asarray(applied(fn, [place.fetch(a, values) for a in args]))
        case Expectation() as op:
            second = snapped(op.functions, {ij: place.fetch(r, values) for ij, r in op.covariances})
            return np.asarray(expectation(op.functions, centres(op, values, place), second))
        case Algebra():
            pass
    raise AssertionError(moment.op)


def _sum(mixtures: tuple[Mixture, ...], terms: tuple[Term, ...], size: int, values: Values, place: Place) -> np.ndarray:
    total: np.ndarray | None = None
    for m in mixtures:
        total = _plus(total, mixed(m.matrix, place.fetch(Ref(m.moment, m.side), values), place.trailing))
    for term in terms:
        part = weighted(term.weight, place.trailing)
        if not term.factors:
            part = part * np.ones((size if term.rows is None else len(term.rows), *[1] * place.trailing))
        factors = [place.fetch(r, values) for r in term.factors]
        small = [f for f in factors if f.size < max(g.size for g in factors)]  # numbers and sides before pairs
        for f in [*small, *(f for f in factors if not any(f is g for g in small))]:
            part = f * part if isinstance(part, np.ndarray) or part != 1 else +f
        if term.rows is not None:
            part = placed(part, term.rows, size, place.trailing)
        total = _plus(total, part)
    if total is None:
        return np.zeros((size, *[1] * place.trailing))
    return np.asarray(total)


def _plus(total: Any, part: Any) -> Any:
    """total + part, in place where total has the room: it is always an array of our own."""
    if total is None:
        return part
    if isinstance(total, np.ndarray) and total.shape == np.broadcast_shapes(total.shape, np.shape(part)):
        total += part
        return total
    return total + part


__all__ = ["LEFT", "RIGHT", "Ready", "prepare", "single_moments", "single_outputs", "tile"]
