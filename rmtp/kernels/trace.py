"""The master theorem for pairs of inputs, on whole arrays, where no Z-Dot survives.

A moment is an expectation of a product of lines, each at input x (side 0) or x' (side 1). The rules are those of the theorem:
linear lines expand, products split into independent groups, ``E Zhat^{Wx} Zhat^{Wx'} = s^2 E Z^x Z^x'`` (Z-Hat), what remains
is an expectation of functions of Gaussians. Positions stay arrays: a rule maps the entries that are asked of a moment to
entries of earlier ones, so only those are computed that the answer needs.

Moments are expanded in decreasing order of their lines; each rule leads to a smaller one, hence everything
that asks for a moment has asked before it is expanded. Rejected: the walk of `limit` with one form per position, whose cost in
Python grows with positions^2; keeping all pairs of positions, when a flattened readout needs equal ones only.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import catalogue as nl
from ..errors import RmtpError, UnsupportedOperation
from ..instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    Init,
    InputMatrix,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
)
from ..nonlinearity import Nonlinearity
from ..program import Program
from .entries import Support, broadcast_entries, linear_entries, pairings, positions, union
from .fusion import fused
from .lines import fresh_law, fresh_sources, given, independent_moments, is_number, origins, without_division, zeros
from .plan import CROSS, Algebra, Constant, Expectation, Function, Given, Gram, Moment, Op, Plan, Ref, Term

Factor = tuple[int, int]  # (line, side)
Key = tuple[Factor, ...]

IDENTITY = Nonlinearity(
    name="identity",
    fn=lambda x: np.asarray(x, dtype=float),
    partials=lambda: (nl.constant(1),),
    family=("homogeneous", 1, 1, 1),
    mp=lambda ctx, x: x,
)
_MAX_WICK = 8


@dataclass(frozen=True)
class Ask:
    """A reference before all entries of its moment are known."""

    key: Any
    side: int
    entries: np.ndarray


@dataclass(frozen=True)
class Draft:
    weight: Any
    factors: tuple[Ask, ...]
    rows: np.ndarray | None


class Tracer:
    """Expands moments of the lines of one program."""

    def __init__(self, program: Program) -> None:
        self.program = without_division(program)
        self.lines = self.program.lines
        self.shapes = [tuple(size for _, size in line.axes) for line in self.lines]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.given = given(self.program)
        self.families = self._families()
        self.program = fused(self.program, self._gaussian())
        self.lines = self.program.lines
        self.fresh = fresh_sources(self.lines)
        self.gaussian = self._gaussian()
        self.is_centred: list[bool] = []
        for k in range(len(self.lines)):
            self.is_centred.append(not self.lines[k].is_scalar and self._centred(k))
        self.zero = zeros(self.program, self.is_centred, self.families)
        self.support = Support(self)
        self._demands: dict[Key, list[np.ndarray]] = {}
        self._grams: dict[Key, list[np.ndarray]] = {}
        self._heap: list[tuple[tuple[int, ...], Key]] = []

    # -- what a line is made of -------------------------------------------------------------------

    def _families(self) -> list[frozenset[Any]]:
        """Per line the independent sources its fluctuation comes from: (matrix, direction), or a group of initial vectors."""
        out: list[frozenset[Any]] = []
        for line in self.lines:
            if isinstance(line.op, MatVec):
                out.append(
                    frozenset([(id(line.op.matrix), line.op.transposed and not line.op.matrix.ensemble.symmetric)])
                )
            elif isinstance(line.op, Init):
                constant = isinstance(line.op.source, ConstantSource)
                out.append(frozenset() if constant else frozenset([id(line.op.source)]))
            elif line.is_scalar:
                out.append(frozenset())
            else:
                out.append(frozenset().union(*(out[a] for a in line.args)))
        return out

    def _gaussian(self) -> list[bool]:
        """Whether a line is affine in Gaussian atoms, coefficients being scalars."""
        out: list[bool] = []
        for line in self.lines:
            vectors = [a for a in line.args if not self.lines[a].is_scalar]
            match line.op:
                case MatVec() | Init(source=ConstantSource() | NormalGroup()):
                    out.append(True)
                case Init():
                    out.append(False)
                case Combine():
                    out.append(all(out[a] for a in vectors))
                case Apply(fn=Arithmetic(name=name, exponent=k)):
                    if name == "multiply" and len(vectors) == 2:
                        out.append(any(not self.families[a] for a in vectors) and all(out[a] for a in vectors))
                    else:
                        out.append(
                            all(out[a] for a in vectors) and (name != "power" or k == 1 or not self.families[len(out)])
                        )
                case _:
                    out.append(False)
        return out

    def _centred(self, number: int) -> bool:
        """Whether E Z = 0 is plain from how the line is made: linear in centred Gaussians."""
        line = self.lines[number]
        match line.op:
            case MatVec():
                return True
            case Init(source=NormalGroup() as group, index=index):
                if isinstance(group, InputMatrix):
                    return True
                members = range(len(group.mean)) if index is None else [index]
                return all(not np.any(np.asarray(group.mean[k], dtype=float)) for k in members)
            case Combine():
                return all(self.lines[a].is_scalar or self.is_centred[a] for a in line.args)
            case Apply(fn=Arithmetic(name="add" | "subtract")):
                return all(not self.lines[a].is_scalar and self.is_centred[a] for a in line.args)
            case Apply(fn=Arithmetic(name="multiply" | "divide")):
                moving = [a for a in line.args if self.families[a]]
                return len(moving) == 1 and self.is_centred[moving[0]]
        return False

    # -- asking -----------------------------------------------------------------------------------

    def ask(self, factors: Sequence[Factor], entries: Sequence[np.ndarray]) -> Ask:
        """Entries of a moment; lines at x' alone are lines at x with other data."""
        order = sorted(range(len(factors)), key=lambda k: factors[k], reverse=True)
        sides = {side for _, side in factors}
        side = CROSS if len(sides) == 2 else sides.pop()
        key = tuple((factors[k][0], factors[k][1] if side == CROSS else 0) for k in order)
        table = np.stack([np.asarray(entries[k], dtype=np.int64) for k in order])
        if key not in self._demands:
            self._demands[key] = []
            heapq.heappush(self._heap, ((*(-line for line, _ in key), 1), key))
        codes = self._codes(key, table)
        self._demands[key].append(codes)
        return Ask(key, side, codes)

    def _codes(self, key: Key, table: np.ndarray) -> np.ndarray:
        code = np.zeros(table.shape[1], dtype=np.int64)
        for (line, _), row in zip(key, table, strict=True):
            code = code * max(1, self.sizes[line]) + row
        return code

    def _entries(self, key: Key, codes: np.ndarray) -> list[np.ndarray]:
        out = []
        for line, _ in reversed(key):
            size = max(1, self.sizes[line])
            out.append(codes % size)
            codes = codes // size
        return out[::-1]

    def gram(
        self, weight: Any, a: Factor, b: Factor, p: np.ndarray, q: np.ndarray, other: Sequence[Factor] = ()
    ) -> list[Draft]:
        """``weight * sum_d x[d, p] x'[d, q]`` of two lines that depend on the input alone, times a moment at (p, q).

        With a moment, summed over everything; without, entry by entry. Lines that pick positions of the input, as the
        patches of a convolution do, share the products of all its positions.
        """
        kept = np.arange(len(p))
        at = [p, q]
        lines = [a[0], b[0]]
        for k, origin in enumerate([origins(self.lines, self.shapes, a[0]), origins(self.lines, self.shapes, b[0])]):
            if origin is not None:
                lines[k], at[k] = origin[0], origin[1][at[k]]
        kept = np.flatnonzero((at[0] >= 0) & (at[1] >= 0))
        if not len(kept):
            return []
        pair: Key = ((lines[0], a[1]), (lines[1], b[1]))
        first, second = at[0][kept], at[1][kept]
        if a[1] > b[1]:
            pair, first, second = (pair[1], pair[0]), second, first
        codes = self._codes(pair, np.stack([first, second]))
        self._grams.setdefault(pair, []).append(codes)
        product = Ask(("gram", pair), CROSS if a[1] != b[1] else 0, codes)
        if other:
            moment = self.ask(other, [p[kept], q[kept]])
            return [Draft(weight, (moment, product), np.zeros(len(kept), dtype=np.int64))]
        return [Draft(weight, (product,), None if len(kept) == len(p) else kept)]

    def run(self, outputs: dict[str, list[Draft]], cross: bool = True) -> Plan:
        """Expand everything that was asked for; the sums by name, of pairs of inputs or of single ones, come last."""
        tables: dict[Any, np.ndarray] = {}
        drafts: list[tuple[Any, int, bool, str, Any]] = []
        while self._heap:
            _, key = heapq.heappop(self._heap)
            codes = union(self._demands[key])
            tables[key] = codes
            try:
                draft = self.expand(key, self._entries(key, codes))
            except RmtpError as error:
                raise error.located(self.program.where(key[0][0])) from None
            drafts.append((key, len(codes), _joins(key), self.text(key), draft))
        for pair, asked in self._grams.items():
            codes = tables["gram", pair] = union(asked)
            p, q = self._entries(pair, codes)
            drafts.append(
                (
                    ("gram", pair),
                    len(codes),
                    _joins(pair),
                    f"gram of {self.text(pair)}",
                    Gram(1, (pair[0][0], pair[1][0]), (p, q)),
                )
            )
        drafts.reverse()
        drafts += [(name, 1, cross, name, sum_) for name, sum_ in outputs.items()]
        number = {key: k for k, (key, *_) in enumerate(drafts)}

        def found(ask: Ask) -> Ref:
            table = tables[ask.key]
            if np.array_equal(table, ask.entries):
                return Ref(number[ask.key], ask.side)
            return Ref(number[ask.key], ask.side, positions(table, ask.entries))

        moments = tuple(Moment(_resolved(draft, found), size, cross, text) for _, size, cross, text, draft in drafts)
        results = tuple((name, Ref(number[name], CROSS if cross else 0)) for name in outputs)
        return Plan(moments, results, self.program)

    def text(self, key: Key) -> str:
        """A moment as it reads: which lines, a prime for x'."""
        return " * ".join(f"line {line}{chr(39) * side}" for line, side in key)

    # -- expanding --------------------------------------------------------------------------------

    def expand(self, key: Key, entries: list[np.ndarray]) -> Any:
        """One rule: a draft of the operation that computes these entries.

        Independence comes first, so that products do not carry along what they are independent of.
        """
        size = len(entries[0])
        groups = self._groups(key)
        if len(groups) > 1:
            rows: np.ndarray | None = None
            for group in groups:
                some = self._supported([(key[j], entries[j]) for j in group])
                if some is not None:
                    rows = some if rows is None else np.intersect1d(rows, some)
            if rows is not None:
                entries = [e[rows] for e in entries]
            if not len(entries[0]):
                return Constant(np.zeros(size))
            parts = [self.ask([key[j] for j in g], [entries[j] for j in g]) for g in groups]
            return [Draft(1, tuple(parts), rows)]
        if self.lines[key[0][0]].is_scalar:
            return self._scalar(*key[0], entries[0])
        law = fresh_law([self.lines[number] for number, _ in key])
        if law is not None:
            return Constant(independent_moments(law, entries))
        for k, (number, side) in enumerate(key):
            if self._is_variable(number, side, key):
                continue
            rest = [(key[j], entries[j]) for j in range(len(key)) if j != k]
            drafts = self._opened(number, side, entries[k], rest)
            if drafts is not None:
                return drafts
        if len(key) == 1 and self.is_centred[key[0][0]]:
            return Constant(np.zeros(size))
        if all(self._atom_is_linear(number) for number, _ in key):
            return self._wick(key, entries)
        return self._expectation(key, entries)

    def _supported(self, pair: Sequence[tuple[Factor, np.ndarray]]) -> np.ndarray | None:
        """The entries at which a product of two does not vanish for structural reasons; None if that is all of them."""
        if len(pair) != 2 or any(self.sizes[f[0]] == 1 for f, _ in pair):
            return None
        ((a, _), e), ((b, _), d) = pair
        kept = self.support.of(a, b)[e, d]
        return None if kept.all() else np.flatnonzero(kept)

    def _asked(self, pairs: Sequence[tuple[Factor, np.ndarray]]) -> Ask:
        return self.ask([f for f, _ in pairs], [e for _, e in pairs])

    def _opened(
        self, number: int, side: int, at: np.ndarray, rest: list[tuple[Factor, np.ndarray]]
    ) -> list[Draft] | None:
        """A line that is a combination or a product of others, opened; None for an atom."""
        line = self.lines[number]

        def draft(
            weight: Any, args: Sequence[int], places: Sequence[np.ndarray], rows: np.ndarray | None = None
        ) -> list[Draft]:
            """weight * (product of these arguments, in the place of the line); nothing where that vanishes by independence."""
            if any(self.zero[a] for a in args) or any(self.zero[f[0]] for f, _ in rest):
                return []
            kept = rest if rows is None else [(f, e[rows]) for f, e in rest]
            vectors = [((a, side), e) for a, e in zip(args, places, strict=True) if not self.lines[a].is_scalar] + kept
            if self._vanishes([f for f, _ in vectors]):
                return []
            scalars = [((a, side), e) for a, e in zip(args, places, strict=True) if self.lines[a].is_scalar]
            some = self._supported(vectors)
            if some is not None:
                if not len(some):
                    return []
                rows = some if rows is None else rows[some]
                vectors, scalars = ([(f, e[some]) for f, e in part] for part in (vectors, scalars))
            asked = [self.ask([f], [e]) for f, e in scalars]
            return [Draft(weight, (*asked, *([self._asked(vectors)] if vectors else [])), rows)]

        def place(a: int) -> np.ndarray:
            return broadcast_entries(at, self.shapes[number], self.shapes[a])

        match line.op:
            case Apply(fn=Arithmetic(name="add" | "subtract" as name)):
                a, b = line.args
                return draft(1, [a], [place(a)]) + draft(1 if name == "add" else -1, [b], [place(b)])
            case Apply(fn=Arithmetic(name="multiply")):
                a, b = line.args
                for c, other in ((a, b), (b, a)):
                    value = self._number(c)
                    if value is not None:
                        return draft(value, [other], [place(other)])
                return draft(1, [a, b], [place(a), place(b)])
            case Apply(fn=Arithmetic(name="divide")):
                a, b = line.args
                return draft(1 / self._number(b), [a], [place(a)])
            case Apply(fn=Arithmetic(name="power", exponent=k)):
                (a,) = line.args
                return draft(1, [a] * k, [place(a)] * k)
            case Combine():
                if self._is_input_product(line):
                    return None
                out: list[Draft] = []
                for a, places, rows, weights in linear_entries(self, line, at):
                    if isinstance(weights, tuple):  # entries of a scalar line
                        out += draft(1, [a, weights[0]], [places, weights[1]], rows)
                    elif weights is None:
                        out += draft(1, [a], [places], rows)
                    else:
                        some = np.arange(len(places)) if rows is None else rows
                        for w in np.unique(weights):
                            chosen = weights == w
                            out += draft(float(w), [a], [places[chosen]], some[chosen])
                return out
            case Init(source=ConstantSource(value=value)):
                return draft(value, [], [])
            case Init(source=NormalGroup(mean=mean) as group, index=index) if not isinstance(group, InputMatrix):
                if index is not None and np.any(np.asarray(mean[index], dtype=float)):
                    raise UnsupportedOperation(
                        "a parameter with a mean", remedy="add a constant vector to a centred one"
                    )
        return None

    def _vanishes(self, factors: Sequence[Factor]) -> bool:
        """Whether one factor is centred and independent of all others."""
        for k, (number, _) in enumerate(factors):
            if self.is_centred[number]:
                own = self.families[number]
                if not any(own & self.families[other] for j, (other, _) in enumerate(factors) if j != k):
                    return True
        return False

    def _number(self, number: int) -> Any:
        """The value of a line that is one given number."""
        line = self.lines[number]
        return line.op.value if isinstance(line.op, Parameter) and is_number(line) else None

    def _is_input_product(self, line: Line) -> bool:
        if not (isinstance(line.op, Combine) and line.op.kind == "matmul" and not line.is_scalar):
            return False
        a, b = line.args
        first = self.lines[a].op
        return (
            isinstance(first, Init) and isinstance(first.source, InputMatrix) and first.index is None and self.given[b]
        )

    def _atom_is_linear(self, number: int) -> bool:
        line = self.lines[number]
        return isinstance(line.op, MatVec | Init | Combine)

    def _is_variable(self, number: int, side: int, key: Key) -> bool:
        """Whether a Gaussian line stands beside a function of itself, as in x * Phi(x): then it stays one variable."""
        if not self.gaussian[number]:
            return False
        others = [self.lines[line] for line, at in key if at == side]
        return any(isinstance(o.op, Apply) and isinstance(o.op.fn, Nonlinearity) and number in o.args for o in others)

    def _families_at(self, number: int, side: int) -> frozenset[Any]:
        """The sources of a line at one input: what is drawn anew for every input is another one at x'."""
        return frozenset((f, side) if f in self.fresh else f for f in self.families[number])

    def _groups(self, key: Key) -> list[list[int]]:
        """Factors joined where they share a source."""
        groups: list[tuple[frozenset[Any], list[int]]] = []
        for k, (number, side) in enumerate(key):
            own, members = self._families_at(number, side), [k]
            rest = []
            for families, others in groups:
                if families & own:
                    own, members = own | families, others + members
                else:
                    rest.append((families, others))
            groups = [*rest, (own, members)]
        return [sorted(members) for _, members in groups]

    def _wick(self, key: Key, entries: list[np.ndarray]) -> Any:
        if len(key) % 2:
            return Constant(np.zeros(len(entries[0])))
        if len(key) == 2:
            return self._hat_pair(key, entries)
        if len(key) > _MAX_WICK:
            raise UnsupportedOperation(f"a product of {len(key)} Gaussians", remedy="a lower power")
        drafts = []
        for pairing in pairings(list(range(len(key)))):
            parts = tuple(self.ask([key[i], key[j]], [entries[i], entries[j]]) for i, j in pairing)
            drafts.append(Draft(1, parts, None))
        return drafts

    def _hat_pair(self, key: Key, entries: list[np.ndarray]) -> Any:
        """Z-Hat, and Z-Init: the covariance of two Gaussian atoms of one source."""
        (a, s), (b, t) = key
        first, second = self.lines[a], self.lines[b]
        if self._is_input_product(first) and self._is_input_product(second):
            source = self.lines[first.args[0]].op.source  # type: ignore[union-attr]
            return self.gram(source.cov.variance, (first.args[1], s), (second.args[1], t), entries[0], entries[1])  # type: ignore[union-attr]
        match first.op, second.op:
            case MatVec(matrix=matrix, transposed=transposed), MatVec():
                if not matrix.ensemble.iid and matrix.ensemble.kind != "GOE":
                    raise UnsupportedOperation(
                        f"a {matrix.ensemble.kind} matrix in a kernel of arrays",
                        remedy="rmtp.limit on the program, input by input",
                    )
                factor = matrix.ensemble.cumulant(2)
                if transposed and matrix.rows != matrix.cols:
                    factor = factor * matrix.rows.ratio / matrix.cols.ratio
                child = self.ask([(first.args[0], s), (second.args[0], t)], entries)
                return [Draft(factor, (child,), None)]
            case Init(source=NormalGroup() as group, index=i), Init(index=j):
                if i is not None and j is not None:
                    return _constant_cov(np.asarray(group.cov[i][j]), len(entries[0]))
                size = len(entries[0])
                rows = entries[0] if i is None else np.full(size, i)
                cols = entries[1] if j is None else np.full(size, j)
                if isinstance(group, InputMatrix):
                    return _constant_cov(group.cov.variance, len(rows), rows == cols)  # type: ignore[attr-defined]
                table = np.array([[float(c) for c in row] for row in group.cov])
                return Constant(table[rows, cols])
            case Combine(), _:
                return self._contracted(key, entries)
            case _, Combine():
                return self._contracted(key, entries)
        raise UnsupportedOperation(f"E of {self.text(key)}", remedy="rmtp.limit on the program, input by input")

    def _contracted(self, key: Key, entries: list[np.ndarray]) -> Any:
        raise UnsupportedOperation(
            "input weights that meet an array and stand alone elsewhere", remedy="use U only in U @ x"
        )

    def _expectation(self, key: Key, entries: list[np.ndarray]) -> Any:
        """Functions of Gaussian variables: one function per variable and factor."""
        variables: list[tuple[Factor, np.ndarray]] = []
        functions: list[list[tuple[Nonlinearity, int]]] = []
        for (number, side), at in zip(key, entries, strict=True):
            line = self.lines[number]
            fn: Nonlinearity
            if self._atom_is_linear(number) or self.gaussian[number]:
                fn, arg, where = IDENTITY, number, at
            else:
                if not isinstance(line.op, Apply) or not isinstance(line.op.fn, Nonlinearity):
                    raise UnsupportedOperation(f"{line.op} in a kernel of arrays", remedy="rmtp.limit, input by input")
                vectors = [a for a in line.args if not self.lines[a].is_scalar]
                if line.op.fn.arity != 1 or len(vectors) != 1:
                    raise UnsupportedOperation(
                        f"{line.op.fn.name} of several vectors in a kernel of arrays",
                        remedy="rmtp.limit, input by input",
                    )
                fn, arg = line.op.fn, vectors[0]
                where = broadcast_entries(at, self.shapes[number], self.shapes[arg])
            if not self.gaussian[arg]:
                raise UnsupportedOperation(
                    f"{fn.name} of a line that is not Gaussian",
                    where=self.program.where(number),
                    remedy="a matrix in between",
                )
            for k, (factor, place) in enumerate(variables):
                if factor == (arg, side) and np.array_equal(place, where):
                    functions[k].append((fn, 1))
                    break
            else:
                variables.append(((arg, side), where))
                functions.append([(fn, 1)])
        if len(variables) > 2:  # here and not where it is computed, so that the theorem pair by pair can take over
            raise UnsupportedOperation(
                f"an expectation over {len(variables)} variables at every pair of inputs",
                remedy="rmtp.limit, input by input",
            )
        means = [None if self.is_centred[f[0]] else self.ask([f], [e]) for f, e in variables]
        covariances = []
        for i, (f, e) in enumerate(variables):
            for j in range(i, len(variables)):
                g, d = variables[j]
                if self.families[f[0]] & self.families[g[0]]:
                    covariances.append(((i, j), self.ask([f, g], [e, d])))
        return _Expect(tuple(tuple(fs) for fs in functions), tuple(means), tuple(covariances))

    # -- scalars ----------------------------------------------------------------------------------

    def _scalar(self, number: int, side: int, at: np.ndarray) -> Any:
        line = self.lines[number]
        if self.given[number]:
            return Given(number, at)
        match line.op:
            case Average():
                return [Draft(1, (self.ask([(line.args[0], side)], [at]),), None)]
            case Apply(fn=fn):
                places = [broadcast_entries(at, self.shapes[number], self.shapes[a]) for a in line.args]
                return _Scalars(fn, tuple(self.ask([(a, side)], [e]) for a, e in zip(line.args, places, strict=True)))
            case Combine():
                drafts = []
                for a, where, rows, weights in linear_entries(self, line, at):
                    asked = self.ask([(a, side)], [where])
                    if isinstance(weights, tuple):
                        drafts.append(Draft(1, (asked, self.ask([(weights[0], side)], [weights[1]])), rows))
                    elif weights is None:
                        drafts.append(Draft(1, (asked,), rows))
                    else:
                        some = np.arange(len(where)) if rows is None else rows
                        for w in np.unique(weights):
                            c = weights == w
                            drafts.append(Draft(float(w), (self.ask([(a, side)], [where[c]]),), some[c]))
                return drafts
        raise UnsupportedOperation(f"{line.op} in a kernel", remedy="rmtp.limit, input by input")


@dataclass(frozen=True)
class _Expect:
    functions: Any
    means: Any
    covariances: Any


@dataclass(frozen=True)
class _Scalars:
    fn: Any
    args: tuple[Ask, ...]


def _resolved(draft: Any, found: Any) -> Op:
    """A draft with references instead of questions."""
    match draft:
        case list():
            return Algebra(tuple(Term(d.weight, tuple(found(a) for a in d.factors), d.rows) for d in draft))
        case _Scalars(fn=fn, args=args):
            return Function(fn, tuple(found(a) for a in args))
        case _Expect(functions=functions, means=means, covariances=covariances):
            return Expectation(
                functions,
                tuple(None if m is None else found(m) for m in means),
                tuple((ij, found(r)) for ij, r in covariances),
            )
    return draft


def _constant_cov(value: Any, size: int, chosen: np.ndarray | None = None) -> Any:
    number = np.asarray(value, dtype=float)
    kept = np.ones(size) if chosen is None else chosen.astype(float)
    return Constant(number[..., None] * kept)


def _joins(key: Key) -> bool:
    """Whether lines of two inputs meet."""
    return len({side for _, side in key}) == 2
