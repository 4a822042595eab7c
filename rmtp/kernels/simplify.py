"""From a plan as the rules make it to one that runs fast: linear steps are composed, what nobody uses is dropped.

A convolution of nine taps is dozens of small linear rules; composed, it is one sparse matrix. The values do not change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from .plan import CROSS, Algebra, Expectation, Function, Moment, Op, Plan, Ref, Term

_EPS = float(np.finfo(float).eps)
_GROWTH = 1.25  # a composition may hold so many times the entries of its parts


@dataclass(frozen=True, eq=False)
class Mixture:
    """``matrix @ all entries of one moment``."""

    matrix: Any
    moment: int
    side: int


@dataclass(frozen=True, eq=False)
class Mixed:
    """A sum of mixtures and of the terms that are not linear with a plain number."""

    mixtures: tuple[Mixture, ...]
    terms: tuple[Term, ...]


Linear = dict[tuple[int, int], Any]  # (moment, side) -> sparse matrix


def simplified(plan: Plan) -> Plan:
    """The same outputs from fewer moments, `Algebra` in them replaced by `Mixed`."""
    moments = list(plan.moments)
    linear: dict[int, Linear] = {}
    ops: dict[int, Any] = {}
    place: dict[int, float] = {}
    for k, moment in enumerate(plan.moments):
        op: Any = moment.op
        place[k] = k
        if isinstance(op, Algebra):
            mixtures, terms = _split(op, moment, moments)
            mixtures = _composed(mixtures, linear)
            terms = [_aliased_term(t, linear) for t in terms if all(linear.get(r.moment) != {} for r in t.factors)]
            if not terms:
                linear[k] = mixtures
            for sum_ in _shared(terms, linear, moments, CROSS if moment.cross else 0):
                new = len(moments)
                moments.append(Moment(moment.op, sum_.size, moment.cross, f"part of {moment.text}"))
                ops[new], place[new] = _mixed(sum_.mixtures, ()), k - 0.5
                terms = [t for t in terms if not any(t is old for old in sum_.terms)]
                terms.append(Term(1, (sum_.factor, Ref(new, sum_.side)), sum_.rows))
            if moment.cross and moment.size == 1:
                for form in _bilinear(terms, moments):
                    found = _known(form, ops)
                    if found is None:
                        found = len(moments), 1.0
                        moments.append(Moment(moment.op, form.matrix.shape[0], True, f"part of {moment.text}"))
                        ops[found[0]] = _mixed({(form.right, CROSS): form.matrix}, ())
                        place[found[0]] = k - 0.5
                    terms = [t for t in terms if not any(t is old for old in form.terms)]
                    rows = np.zeros(form.matrix.shape[0], dtype=np.int64)
                    terms.append(Term(found[1], (Ref(form.left, CROSS), Ref(found[0], CROSS)), rows))
            op = _mixed(mixtures, tuple(terms))
        elif isinstance(op, Expectation):
            means = tuple(None if m is None else _aliased(m, linear) for m in op.means)
            op = replace(op, means=means, covariances=tuple((ij, _aliased(r, linear)) for ij, r in op.covariances))
        elif isinstance(op, Function):
            op = replace(op, args=tuple(_aliased(r, linear) for r in op.args))
        ops[k] = op
    outputs = tuple((name, _aliased(ref, linear)) for name, ref in plan.outputs)
    return _without_unused(plan, moments, ops, sorted(ops, key=lambda k: place[k]), outputs)


def _mixed(mixtures: Linear, terms: tuple[Term, ...]) -> Mixed:
    return Mixed(tuple(Mixture(m, j, side) for (j, side), m in mixtures.items()), terms)


@dataclass(frozen=True, eq=False)
class _Shared:
    """``factor * (a sum of the other factors)`` in place of several products."""

    factor: Ref
    mixtures: Linear
    side: int
    rows: np.ndarray | None
    size: int
    terms: tuple[Term, ...]


def _shared(terms: list[Term], linear: dict[int, Linear], moments: list[Moment], side: int) -> list[_Shared]:
    """Products of two that have a factor in common: the taps of a convolution all meet one gradient."""
    groups: dict[Any, list[tuple[Term, int]]] = {}
    for term in terms:
        if len(term.factors) == 2 and not np.ndim(term.weight):
            for k in (0, 1):
                rows = None if term.rows is None else term.rows.tobytes()
                if term.factors[1 - k].side == side:
                    groups.setdefault((*_name(term.factors[k]), rows), []).append((term, k))
    out: list[_Shared] = []
    taken: list[Term] = []
    for members in sorted(groups.values(), key=len, reverse=True):
        once = {id(t): (t, k) for t, k in members}  # a square is in its group twice
        free = [(t, k) for t, k in once.values() if not any(t is old for old in taken)]
        if len(free) < 2:
            continue
        total: Linear = {}
        for term, k in free:
            for key, matrix in _entries_of(term.factors[1 - k], linear, moments).items():
                part = float(term.weight) * matrix
                total[key] = total[key] + part if key in total else part
        first, k = free[0]
        size = next(iter(total.values())).shape[0]
        out.append(
            _Shared(first.factors[k], total, first.factors[1 - k].side, first.rows, size, tuple(t for t, _ in free))
        )
        taken += [t for t, _ in free]
    return out


@dataclass(frozen=True, eq=False)
class _Form:
    """``left . (matrix @ right)`` in place of several sums of products of their entries."""

    left: int
    right: int
    matrix: Any
    terms: tuple[Term, ...]


def _bilinear(terms: list[Term], moments: list[Moment]) -> list[_Form]:
    """Sums of products of entries of the same two moments: the taps of a convolution in the tangent kernel of its weights."""
    groups: dict[tuple[int, int], list[Term]] = {}
    for term in terms:
        if len(term.factors) == 2 and not np.ndim(term.weight) and all(r.entries is not None for r in term.factors):
            first, other = term.factors
            if first.side == other.side == CROSS:
                groups.setdefault((first.moment, other.moment), []).append(term)
    out = []
    for (left, right), members in groups.items():
        if len(members) > 1:
            at = [np.concatenate([t.factors[k].entries for t in members]) for k in (0, 1)]
            data = np.concatenate([np.full(len(t.factors[0].entries), float(t.weight)) for t in members])  # type: ignore[arg-type]
            shape = moments[left].size, moments[right].size
            out.append(_Form(left, right, sparse.csr_matrix((data, tuple(at)), shape), tuple(members)))
    return out


def _known(form: _Form, ops: dict[int, Any]) -> tuple[int, float] | None:
    """A moment that is a multiple of ``matrix @ right`` already, and one over the multiple."""
    form.matrix.sort_indices()
    for k, op in ops.items():
        if not isinstance(op, Mixed) or op.terms or len(op.mixtures) != 1:
            continue
        (m,) = op.mixtures
        if (
            (m.moment, m.side) != (form.right, CROSS)
            or m.matrix.shape != form.matrix.shape
            or m.matrix.nnz != form.matrix.nnz
        ):
            continue
        m.matrix.sort_indices()
        same = np.array_equal(m.matrix.indptr, form.matrix.indptr) and np.array_equal(
            m.matrix.indices, form.matrix.indices
        )
        ratio = form.matrix.data / m.matrix.data if same else np.zeros(0)
        if same and np.all(np.abs(ratio - ratio[0]) <= 4 * _EPS * abs(ratio[0])):
            return k, float(ratio[0])
    return None


def _name(ref: Ref) -> tuple[Any, ...]:
    return ref.moment, ref.side, None if ref.entries is None else ref.entries.tobytes()


def _entries_of(ref: Ref, linear: dict[int, Linear], moments: list[Moment]) -> Linear:
    """Some entries of a moment as matrices on what it is made of."""
    count = moments[ref.moment].size
    at = np.arange(count) if ref.entries is None else ref.entries
    inner = linear.get(ref.moment)
    if inner is None:
        chosen = sparse.csr_matrix((np.ones(len(at)), (np.arange(len(at)), at)), (len(at), count))
        return {(ref.moment, ref.side): chosen}
    return {(j, s if ref.side == CROSS else ref.side): m[at] for (j, s), m in inner.items()}


def _split(op: Algebra, moment: Moment, moments: list[Moment]) -> tuple[Linear, list[Term]]:
    """Terms of one factor with a number in front as sparse matrices, one per moment; the others as they are."""
    parts: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    rest: list[Term] = []
    for term in op.terms:
        if len(term.factors) != 1 or np.ndim(term.weight):
            rest.append(term)
            continue
        (ref,) = term.factors
        at = np.arange(moments[ref.moment].size) if ref.entries is None else ref.entries
        rows = np.arange(len(at)) if term.rows is None else term.rows
        parts.setdefault((ref.moment, ref.side), []).append((np.full(len(at), float(term.weight)), rows, at))
    out: Linear = {}
    for (j, side), pieces in parts.items():
        data, rows, cols = (np.concatenate(x) for x in zip(*pieces, strict=True))
        out[j, side] = sparse.csr_matrix((data, (rows, cols)), (moment.size, moments[j].size))
    return out, rest


def _composed(mixtures: Linear, linear: dict[int, Linear]) -> Linear:
    """Linear moments replaced by what they are made of, where that does not add work."""
    out: Linear = {}
    for (j, side), matrix in mixtures.items():
        inner = linear.get(j)
        pieces = {(j, side): matrix}
        if inner is not None:
            made = {(i, s if side == CROSS else side): matrix @ m for (i, s), m in inner.items()}
            before = matrix.nnz + sum(m.nnz for m in inner.values())
            if sum(m.nnz for m in made.values()) <= _GROWTH * before:
                pieces = made
        for key, m in pieces.items():
            out[key] = out[key] + m if key in out else m
    return out


def _aliased(ref: Ref, linear: dict[int, Linear]) -> Ref:
    """The moment of which this one only picks entries."""
    found = _picked(ref, linear)
    return ref if found is None or found[1] != 1 else found[0]


def _aliased_term(term: Term, linear: dict[int, Linear]) -> Term:
    weight, factors = term.weight, []
    for ref in term.factors:
        found = _picked(ref, linear)
        if found is None or (np.ndim(weight) and found[1] != 1):
            factors.append(ref)
        else:
            factors.append(found[0])
            weight = weight * found[1] if found[1] != 1 else weight
    return Term(weight, tuple(factors), term.rows)


def _picked(ref: Ref, linear: dict[int, Linear]) -> tuple[Ref, float] | None:
    inner = linear.get(ref.moment)
    if inner is None or len(inner) != 1:
        return None
    (((i, s), matrix),) = inner.items()
    at = np.arange(matrix.shape[0]) if ref.entries is None else ref.entries
    if np.any(np.diff(matrix.indptr)[at] != 1):
        return None
    weights = matrix.data[matrix.indptr[at]]
    if not len(weights) or np.any(weights != weights[0]):
        return None
    cols = matrix.indices[matrix.indptr[at]].astype(np.int64)
    entries = None if len(cols) == matrix.shape[1] and np.array_equal(cols, np.arange(len(cols))) else cols
    return Ref(i, s if ref.side == CROSS else ref.side, entries), float(weights[0])


def refs(op: Any) -> tuple[Ref, ...]:
    """What a simplified operation is computed from."""
    if isinstance(op, Mixed):
        return (*(Ref(m.moment, m.side) for m in op.mixtures), *(r for t in op.terms for r in t.factors))
    return Moment(op, 0, False).refs()


def _without_unused(
    plan: Plan, moments: list[Moment], ops: dict[int, Any], order: list[int], outputs: tuple[tuple[str, Ref], ...]
) -> Plan:
    needed = {r.moment for _, r in outputs}
    for k in reversed(order):
        if k in needed:
            needed.update(r.moment for r in refs(ops[k]))
    kept = [k for k in order if k in needed]
    number = {k: new for new, k in enumerate(kept)}

    def moved(r: Ref) -> Ref:
        return Ref(number[r.moment], r.side, r.entries)

    final = tuple(replace(moments[k], op=_renumbered(ops[k], number, moved)) for k in kept)
    return Plan(final, tuple((name, moved(r)) for name, r in outputs), plan.program)


def _renumbered(op: Any, number: dict[int, int], moved: Any) -> Op:
    match op:
        case Mixed(mixtures=mixtures, terms=terms):
            new: Any = Mixed(
                tuple(Mixture(m.matrix, number[m.moment], m.side) for m in mixtures),
                tuple(Term(t.weight, tuple(map(moved, t.factors)), t.rows) for t in terms),
            )
            return new
        case Expectation():
            means = tuple(None if m is None else moved(m) for m in op.means)
            return replace(op, means=means, covariances=tuple((ij, moved(r)) for ij, r in op.covariances))
        case Function():
            return replace(op, args=tuple(map(moved, op.args)))
    return op
