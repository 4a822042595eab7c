"""Running a plan on data: moments of single inputs once, those of pairs tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..instructions import Input
from ..networks.evaluate import applied, run_batch
from ..program import Program
from ..ring import as_number
from .pairs import expectation, has_closed_form, together
from .plan import CROSS, LEFT, RIGHT, Constant, Expectation, Function, Given, Gram, Moment, Plan, Ref, Term
from .simplify import Mixed, Mixture, refs, simplified

_PARALLEL = 16 * float(np.finfo(float).eps)


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
    """

    plan: Plan
    wanted: frozenset[int]
    last: tuple[int, ...]
    twins: dict[int, tuple[int, ...]]

    @property
    def quadrature(self) -> bool:
        """Whether some expectation has no closed form."""
        return any(
            isinstance(m.op, Expectation) and not has_closed_form(m.op.functions, m.op.means) for m in self.plan.moments
        )


def prepare(plan: Plan) -> Ready:
    """The fast form of a plan, and what has to be kept."""
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
    return Ready(plan, frozenset(kept), tuple(last), _twins(plan))


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


# ---------------------------------------------------------------------------------------------
# what depends on the input alone


def given_lines(plan: Plan, x: np.ndarray) -> dict[int, np.ndarray]:
    """Scalar lines that depend on the input, for a batch: axes (input, finite axes)."""
    needed: set[int] = set()
    stack = [k for m in plan.moments if isinstance(m.op, Gram) for k in m.op.lines]
    stack += [m.op.line for m in plan.moments if isinstance(m.op, Given)]
    lines = plan.program.lines
    while stack:
        k = stack.pop()
        if k not in needed:
            needed.add(k)
            stack.extend(lines[k].args)
    order = sorted(needed)
    number = {k: new for new, k in enumerate(order)}
    part = Program(
        tuple(replace(lines[k], args=tuple(number[a] for a in lines[k].args)) for k in order), tuple(range(len(order)))
    )
    return dict(zip(order, run_batch(part, 1, {}, x), strict=True))


# ---------------------------------------------------------------------------------------------
# moments


class Side:
    """Moments of single inputs, for one batch.

    Parameters
    ----------
    ready : Ready
    x : ndarray (N, \\*shape)
    """

    def __init__(self, ready: Ready, x: np.ndarray) -> None:
        self.ready, self.x = ready, x
        self.given = given_lines(ready.plan, x)
        self.values: dict[int, np.ndarray] = {}
        needed = _beneath(ready.plan, ready.wanted)
        with np.errstate(all="ignore"):
            for k, moment in enumerate(ready.plan.moments):
                if k in needed and not moment.cross:
                    self.values[k] = _evaluate(moment, self.values, self, self)

    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of a plan of single inputs: axes (sweep, N) of each."""
        return {name: _fetch(r, self.values, self, self, False)[..., 0, :] for name, r in self.ready.plan.outputs}

    def part(self, rows: slice) -> Side:
        """The same for some of the inputs."""
        out = object.__new__(Side)
        out.ready, out.x = self.ready, self.x[rows]
        out.given = {k: v if len(v) == 1 else v[rows] for k, v in self.given.items()}
        out.values = {
            k: v if v.shape[-1] == 1 else v[..., rows] for k, v in self.values.items() if k in self.ready.wanted
        }
        return out


def _beneath(plan: Plan, roots: frozenset[int]) -> set[int]:
    needed = set(roots)
    for k in range(len(plan.moments) - 1, -1, -1):
        if k in needed:
            needed.update(r.moment for r in refs(plan.moments[k].op))
    return needed


def tile(ready: Ready, left: Side, right: Side) -> dict[str, np.ndarray]:
    """The outputs for all pairs of two batches: axes (sweep, N1, N2) of each."""
    values: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for k, moment in enumerate(ready.plan.moments):
            if moment.cross:
                if k in ready.twins:
                    values |= _together(ready, k, values, left, right)
                elif k not in values:
                    values[k] = _evaluate(moment, values, left, right)
                for r in refs(moment.op):
                    if r.side == CROSS and ready.last[r.moment] == k:
                        values.pop(r.moment, None)
    return {name: _fetch(ref, values, left, right, True)[..., 0, :, :] for name, ref in ready.plan.outputs}


def _together(ready: Ready, k: int, values: dict[int, np.ndarray], left: Side, right: Side) -> dict[int, np.ndarray]:
    """Expectations at the same covariances."""
    members = ready.twins[k]
    ops = [ready.plan.moments[m].op for m in members]
    first = ops[0]
    assert isinstance(first, Expectation)
    functions = [f for op in ops if isinstance(op, Expectation) for side in op.functions for f in side]
    second = _snapped([functions], {ij: _fetch(r, values, left, right, True) for ij, r in first.covariances})
    zero = np.zeros(1)
    found = together(
        [op.functions for op in ops if isinstance(op, Expectation)],  # type: ignore[misc]
        (None, None),
        *(second.get(ij, zero) for ij in ((0, 1), (0, 0), (1, 1))),
    )
    return dict(zip(members, map(np.asarray, found), strict=True))


def _snapped(functions: Any, second: dict[tuple[int, int], np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """Covariances with correlations of +-1 up to rounding made exact, for functions with kinks.

    Equal patches of an image reach a covariance and a variance by sums in another order; an ulp between them is an angle of
    1e-8 at a kink. An angle that small is rounding itself, whatever the inputs.
    """
    cov = second.get((0, 1))
    if cov is None or not any(fn.kinks for side in functions for fn, _ in side):
        return second
    edge = np.sqrt(second[0, 0]) * np.sqrt(second[1, 1])
    near = np.abs(cov) >= (1 - _PARALLEL) * edge
    if not near.any():
        return second
    # just beyond the edge, so that no determinant is left
    return second | {(0, 1): np.where(near, np.sign(cov) * edge * (1 + 4 * np.finfo(float).eps), cov)}


def _fetch(ref: Ref, values: dict[int, np.ndarray], left: Side, right: Side, cross: bool) -> np.ndarray:
    """Entries of a moment, single inputs spread over pairs where pairs are computed."""
    if ref.side == CROSS:
        found = values[ref.moment]
        return found if ref.entries is None else found[..., ref.entries, :, :]
    if not cross:
        found = values[ref.moment]
        return found if ref.entries is None else found[..., ref.entries, :]
    found = (left if ref.side == LEFT else right).values[ref.moment]
    found = found if ref.entries is None else found[..., ref.entries, :]
    return found[..., :, None] if ref.side == LEFT else found[..., None, :]


def _evaluate(moment: Moment, values: dict[int, np.ndarray], left: Side, right: Side) -> np.ndarray:
    cross = moment.cross

    def fetch(ref: Ref) -> np.ndarray:
        return _fetch(ref, values, left, right, cross)

    match moment.op:
        case Mixed(mixtures=mixtures, terms=terms):
            return _sum(mixtures, terms, moment.size, fetch, cross)
        case Gram(variance=variance, lines=lines, positions=positions):
            return _gram(variance, lines, positions, left, right, cross)
        case Given(line=line, positions=positions):
            found = left.given[line]
            return found.reshape(len(found), -1)[:, positions].T
        case Constant(values=numbers):
            return numbers[..., None, None] if cross else numbers[..., None]
        case Function(fn=fn, args=args):
            return np.asarray(applied(fn, [fetch(a) for a in args]))
        case Expectation(functions=functions, means=means, covariances=covariances):
            centres = [None if m is None else fetch(m) for m in means]
            centres = [None if m is None or not np.any(m) else m for m in centres]  # closed forms are for centred ones
            return np.asarray(
                expectation(functions, centres, _snapped(functions, {ij: fetch(r) for ij, r in covariances}))
            )
    raise AssertionError(moment.op)


def _sum(mixtures: tuple[Mixture, ...], terms: tuple[Term, ...], size: int, fetch: Any, cross: bool) -> np.ndarray:
    total: np.ndarray | None = None
    for m in mixtures:
        total = _plus(total, _mix(m.matrix, fetch(Ref(m.moment, m.side)), 2 if cross else 1))
    for term in terms:
        part = _weight(term.weight, 3 if cross else 2)
        if not term.factors:
            part = part * np.ones((size if term.rows is None else len(term.rows), *[1] * (1 + cross)))
        factors = [fetch(r) for r in term.factors]
        small = [f for f in factors if f.size < max(g.size for g in factors)]  # numbers and sides before pairs
        for f in [*small, *(f for f in factors if not any(f is g for g in small))]:
            part = f * part if isinstance(part, np.ndarray) or part != 1 else +f
        if term.rows is not None:
            part = _placed(part, term.rows, size, cross)
        total = _plus(total, part)
    if total is None:
        return np.zeros((size, 1, 1) if cross else (size, 1))
    return np.asarray(total)


def _plus(total: Any, part: Any) -> Any:
    """total + part, in place where total has the room: it is always an array of our own."""
    if total is None:
        return part
    if isinstance(total, np.ndarray) and total.shape == np.broadcast_shapes(total.shape, np.shape(part)):
        total += part
        return total
    return total + part


def _placed(part: np.ndarray, rows: np.ndarray, size: int, cross: bool) -> np.ndarray:
    """Entries added into their rows."""
    axis = -2 - cross
    if size == 1:
        return part.sum(axis=axis, keepdims=True)
    out = np.zeros((*part.shape[:axis], size, *part.shape[axis + 1 :]))
    np.add.at(np.moveaxis(out, axis, 0), rows, np.moveaxis(part, axis, 0))
    return out


def _weight(weight: Any, trailing: int) -> Any:
    if isinstance(weight, np.ndarray):
        return weight.astype(float)[(..., *[None] * trailing)]
    return float(weight) if isinstance(weight, int | Fraction) else as_number(weight)


def _mix(matrix: Any, source: np.ndarray, trailing: int) -> np.ndarray:
    """matrix @ source along the axis of entries."""
    if matrix.shape == (1, 1):
        return float(matrix.data[0]) * source if matrix.nnz else 0.0 * source
    lead, tail = source.shape[: -1 - trailing], source.shape[-trailing:]
    flat = source.reshape(*lead, source.shape[-1 - trailing], -1)
    if not lead:
        return np.asarray(matrix @ flat).reshape(matrix.shape[0], *tail)
    stacked = np.stack([matrix @ part for part in flat.reshape(-1, *flat.shape[-2:])])
    return stacked.reshape(*lead, matrix.shape[0], *tail)


def _gram(
    variance: Any,
    lines: tuple[int, int],
    positions: tuple[np.ndarray, np.ndarray],
    left: Side,
    right: Side,
    cross: bool,
) -> np.ndarray:
    a, b = left.given[lines[0]], right.given[lines[1]]
    a, b = (_by_channel(v, k, left.ready.plan) for v, k in ((a, lines[0]), (b, lines[1])))
    i, j = positions
    if cross and len(i) > max(a.shape[2], b.shape[2]):  # most pairs of positions: one product of everything
        whole = np.tensordot(a, b, axes=([1], [1]))  # (input, position, input, position)
        out = np.ascontiguousarray(whole.transpose(1, 3, 0, 2))[i, j]
    else:
        # (entry, input, channel), contiguous: matmul of strided arrays does without BLAS
        first, second = (np.ascontiguousarray(v[:, :, k].transpose(2, 0, 1)) for v, k in ((a, i), (b, j)))
        out = first @ second.transpose(0, 2, 1) if cross else np.einsum("qnd,qnd->qn", first, second)
    scale = _weight(variance, out.ndim)
    return np.asarray(scale * out)


def _by_channel(values: np.ndarray, line: int, plan: Plan) -> np.ndarray:
    """Axes (input, channel, position): an input has its channels last, a line made from it has them first."""
    if isinstance(plan.program.lines[line].op, Input):
        return values.reshape(len(values), -1, values.shape[-1]).transpose(0, 2, 1)
    return values.reshape(len(values), values.shape[1], -1)


__all__ = ["LEFT", "RIGHT", "Ready", "Side", "prepare", "tile"]
