"""Pairs of inputs that are nearly parallel or antipodal at a kink, one by one: values with gaps beside them, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..expect import closed, quadrants
from . import gaps
from .gaps import Gap, Part
from .lines import fresh_sources
from .places import Batch, Grid, Listed, Values, weighted
from .plan import CROSS, LEFT, RIGHT, Constant, Expectation, Function, Given, Gram, Moment, Ref, Term
from .run import EPS, START, Ready, centred, evaluate, jump_error, jumps, tile
from .simplify import Mixed, Mixture

_TOGETHER = 1 << 17  # entries of the largest moment at a time
_STEP = EPS  # what one operation adds to a relative error


def listed(ready: Ready, left: Batch, right: Batch) -> tuple[dict[str, np.ndarray], float]:
    """The outputs for pairs (left i, right i), axes (sweep, P) of each, and a bound on their error.

    The error is relative to sqrt(K(x, x) K(x', x')).
    """
    widest = max((_width(m) for m in ready.plan.moments if m.cross), default=1)
    step = max(1, _TOGETHER // widest)
    parts = [
        _listed(ready, Listed(left.part(slice(k, k + step)), right.part(slice(k, k + step))))
        for k in range(0, len(left.x), step)
    ]
    return {name: np.concatenate([p[name] for p, _ in parts], axis=-1) for name in parts[0][0]}, max(
        e for _, e in parts
    )


def is_fresh(pairs: Ready) -> bool:
    """Whether something is drawn anew for every input: then equal inputs in other places are other inputs."""
    return bool(fresh_sources(pairs.plan.program.lines))


def careful_tile(ready: Ready, place: Grid, mirrored: bool) -> tuple[dict[str, np.ndarray], float]:
    """A tile, its doubtful pairs done again one by one; of a mirrored tile the upper triangle is enough."""
    found, doubtful = tile(ready, place)
    left, right = place.left, place.right
    if doubtful is None:
        return found, 0.0
    i, j = np.nonzero(np.triu(doubtful, 1) if mirrored else doubtful)
    if len(i) and not is_fresh(ready):  # equal ones get the diagonal's values
        rows, cols = (np.array([(row + 0.0).tobytes() for row in side.x], dtype=object) for side in (left, right))
        differ = rows[i] != cols[j]
        i, j = i[differ], j[differ]
    if not len(i):
        return found, 0.0
    again, error = listed(ready, left.part(i), right.part(j))
    out = {}
    for name, value in found.items():
        out[name] = np.array(np.broadcast_to(value, (*value.shape[:-2], len(left.x), len(right.x))))
        out[name][..., i, j] = again[name]
    return out, error


def careful_list(ready: Ready, left: Batch, right: Batch) -> tuple[dict[str, np.ndarray], float]:
    """The outputs for pairs (left i, right i), axes (sweep, P), the doubtful ones with their gaps; their error."""
    found, doubtful = tile(ready, Listed(left, right))
    out = {name: np.array(np.broadcast_to(v[..., 0], (*v.shape[:-2], len(left.x)))) for name, v in found.items()}
    if doubtful is None:
        return out, 0.0
    (at,) = np.nonzero(doubtful[:, 0])
    if not is_fresh(ready):  # equal ones get the diagonal's values
        at = np.array([k for k in at if not np.array_equal(left.x[k], right.x[k])], dtype=np.int64)
    if not len(at):
        return out, 0.0
    again, error = listed(ready, left.part(at), right.part(at))
    for name, value in out.items():
        value[..., at] = again[name]
    return out, error


def _width(moment: Moment) -> int:
    if isinstance(moment.op, Mixed):
        return max(moment.size, *(m.matrix.nnz for m in moment.op.mixtures), 1)
    return moment.size


def _listed(ready: Ready, place: Listed) -> tuple[dict[str, np.ndarray], float]:
    values: Values = {}
    known: dict[int, Gap | None] = {}
    errors: dict[int, float] = {}
    with np.errstate(all="ignore"):
        for k, moment in enumerate(ready.plan.moments):
            if not moment.cross:
                continue
            op = moment.op
            gap = _gap_of_arguments(op, values, known, errors, place) if isinstance(op, Expectation) else None
            values[k] = evaluate(moment, values, place) if gap is None else _on_plane(op, gap)
            errors[k] = _error(op, values, known, errors, place, gap)
            if k in ready.gapped:
                known[k] = _gap(k, moment, values, known, place, gap)
    count = len(place.left.x)
    outputs = {}
    for name, ref in ready.plan.outputs:
        found = place.fetch(ref, values)[..., 0, :, 0]
        outputs[name] = np.broadcast_to(found, (*found.shape[:-1], count))
    return outputs, max(errors[ref.moment] for _, ref in ready.plan.outputs)


def _gap_of_arguments(
    op: Expectation, values: Values, known: dict[int, Gap | None], errors: dict[int, float], place: Listed
) -> Gap | None:
    """The gaps of the two variables of functions that can use them."""
    if len(op.functions) != 2 or any(m is not None and np.any(place.fetch(m, values)) for m in op.means):
        return None
    if not all(len(side) == 1 and side[0][1] == 1 and quadrants.is_homogeneous(side[0][0]) for side in op.functions):
        return None
    refs = dict(op.covariances)
    if len(refs) < 3 or refs[0, 1].side != CROSS:
        return None
    cov, var_u, var_v = (place.fetch(refs[ij], values) for ij in ((0, 1), (0, 0), (1, 1)))
    gap = known.get(refs[0, 1].moment)
    error = errors[refs[0, 1].moment]
    if gap is None:
        return gaps.of_covariances(cov, var_u, var_v, error, np.ones(1, dtype=bool))
    gap = gap.at(refs[0, 1].entries)
    gap = gap.turned() if _turned(op) else gap
    right = gap.belonging(var_u, var_v)
    return gap if right.all() else gap.where(right, gaps.of_covariances(cov, var_u, var_v, error, ~right))


def _turned(op: Expectation) -> bool:
    """Whether the first variable is that of the right input; gaps have the left one first."""
    return dict(op.covariances)[0, 0].side == RIGHT


def _on_plane(op: Any, gap: Gap) -> np.ndarray:
    (first, _), (other, _) = (side[0] for side in op.functions)
    still = bool(np.any(gap.first == 0) or np.any(gap.second == 0))
    return np.asarray(closed.on_plane(first, other, gap.plane, still))


# ---------------------------------------------------------------------------------------------
# gaps of one moment


def _gap(
    number: int, moment: Moment, values: Values, known: dict[int, Gap | None], place: Listed, inner: Gap | None
) -> Gap | None:
    match moment.op:
        case Gram() as op:
            variance = weighted(op.variance, 2)
            return None if np.any(np.asarray(variance) < 0) else gaps.of_inputs(variance, *place.vectors(op))
        case Constant():
            root = np.sqrt(np.abs(values[number]))
            return gaps.of_numbers(root, np.sign(values[number]) * root)
        case Mixed(mixtures=mixtures, terms=terms):
            parts = list(_parts(mixtures, terms, values, known, place, moment.size))
            return None if not parts or any(p is None for p in parts) else gaps.total([p for p in parts if p])
        case Expectation() as op if inner is not None and gaps.has_gap(op.functions):
            fn = op.functions[0][0][0]
            if fn.family[1] == 0 and (np.any(inner.first == 0) or np.any(inner.second == 0)):
                return None
            out = gaps.of_function(fn, inner)
            return out.turned() if _turned(op) else out
    return None


def _parts(
    mixtures: tuple[Mixture, ...],
    terms: tuple[Term, ...],
    values: Values,
    known: dict[int, Gap | None],
    place: Listed,
    size: int,
) -> Iterator[Part | None]:
    for m in mixtures:
        gap = known.get(m.moment) if m.side == CROSS else None
        yield None if gap is None or np.any(m.matrix.data < 0) else Part(gap, m.matrix)
    for term in terms:
        weight = weighted(term.weight, 2)
        factors = [_factor(r, known) for r in term.factors if r.side == CROSS]
        if np.any(np.asarray(weight) < 0) or any(f is None for f in factors):
            yield None
            continue
        count = size if term.rows is None else len(term.rows)
        numbers = [np.ones((count, 1, 1)), np.ones((count, 1, 1))]
        for r in term.factors:
            if r.side != CROSS:
                side = int(r.side != LEFT)
                numbers[side] = numbers[side] * place.fetch(r, values)
        gap = gaps.product([gaps.of_numbers(*numbers), *(f for f in factors if f)])
        yield gaps.weighted_part(weight, gap, term.rows, size)


def _factor(ref: Ref, known: dict[int, Gap | None]) -> Gap | None:
    gap = known.get(ref.moment)
    return None if gap is None else gap.at(ref.entries)


# ---------------------------------------------------------------------------------------------
# errors


def _error(
    op: Any, values: Values, known: dict[int, Gap | None], errors: dict[int, float], place: Listed, gap: Gap | None
) -> float:
    """A bound on the relative error of a moment, from those of what it is computed from."""

    def of(ref: Ref) -> float:
        return errors[ref.moment] if ref.side == CROSS else START

    match op:
        case Gram() | Given() | Constant():
            return START
        case Mixed(mixtures=mixtures, terms=terms):
            each = [of(Ref(m.moment, m.side)) for m in mixtures]
            each += [sum(of(r) for r in t.factors if r.side == CROSS) for t in terms]
            return max(each, default=0.0) + _STEP
        case Function(args=args):
            return max(of(a) for a in args) + _STEP
        case Expectation(functions=functions, covariances=covariances):
            error = max((of(r) for _, r in covariances), default=START)
            if jumps(functions):
                lost = jump_error(centred(op, values, place), error) if gap is None else error + gap.lost
                error = max(error, lost, _unseen(op, known) if gap is None else 0.0)
            return error + _STEP
    return START


def _unseen(op: Expectation, known: dict[int, Gap | None]) -> float:
    """What a jump makes of angles that covariances round to 0 and gaps do not."""
    ref = dict(op.covariances).get((0, 1))
    gap = None if ref is None else known.get(ref.moment)
    if ref is None or gap is None:
        return 0.0
    gap = gap.at(ref.entries)
    least = np.minimum(gap.short, gap.over)
    hidden = (least > 0) & (least <= gaps.PARALLEL * np.sqrt(gap.first) * np.sqrt(gap.second))
    return float(np.sqrt(2 * gaps.PARALLEL)) if np.any(hidden) else 0.0
