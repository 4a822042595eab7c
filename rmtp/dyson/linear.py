"""A matrix expression as a linear program: what a pencil is, found without being asked for.

``(z - M) x = v`` is written with two kinds of variables, each living on one width: unknown vectors u (x itself, and one for
every inverse in M) and the vectors that random matrices are applied to, the *uses*. All relations are coordinatewise linear,

    shift_i u_i + sum_j A_ij u_j + sum_b A_ib y_b = source_i,        x_a = sum_j C_aj u_j + sum_b C_ab y_b,

with y_b = W x_b (or W.T x_b) and coefficients that are polynomials in the diagonals. Equal uses are one use, so the
size of the system is the number of distinct products in M and not of its monomials.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..ensembles import Dim, Number
from ..errors import UnsupportedOperation
from ..handles import Node
from ..instructions import RandomMatrix
from ..matrices import Diagonal, Expression, Grid, Identity, Inverse, Matrix, Outer, Product, Space, Total
from .copies import behind, fresh

Poly = dict[tuple[int, ...], Number]  # sorted numbers of coefficients -> factor
Key = tuple[str, int]  # ("u", i) an unknown, ("y", b) the image of use b, ("t", k) the average in rank-one term k
Linear = dict[Key, Poly]
ONE: Poly = {(): Fraction(1)}


@dataclass(frozen=True, eq=False)
class Unknown:
    """An unknown vector and its equation: ``shift u + rest = source`` (outer: shift z, else -zeta)."""

    dim: Dim
    outer: bool
    rest: Linear


@dataclass(frozen=True, eq=False)
class Use:
    """One application of a random matrix, to a coordinatewise linear form."""

    matrix: RandomMatrix
    transposed: bool
    input: Linear

    @property
    def into(self) -> Dim:
        """The width of what is multiplied."""
        return self.matrix.rows if self.transposed else self.matrix.cols

    @property
    def out(self) -> Dim:
        """The width of the product."""
        return self.matrix.cols if self.transposed else self.matrix.rows


@dataclass(frozen=True, eq=False)
class RankOne:
    """``u * mean(v * input)``: the numbers of the coefficients u and v, and the form that is averaged."""

    u: int
    v: int
    dims: tuple[Dim, Dim]
    input: Linear


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """The system of an expression.

    Attributes
    ----------
    space : tuple of Dim
        The widths of the outer unknowns, which come first.
    unknowns, uses, rank_ones : tuples
    coefficients : tuple of Node
        The vectors (and scalars) whose joint law of one coordinate enters.
    """

    space: Space
    unknowns: tuple[Unknown, ...]
    uses: tuple[Use, ...]
    rank_ones: tuple[RankOne, ...]
    coefficients: tuple[Node, ...]

    @property
    def matrices(self) -> tuple[RandomMatrix, ...]:
        """The random matrices, in order of first use."""
        return tuple(dict.fromkeys(use.matrix for use in self.uses))

    @property
    def rational(self) -> bool:
        """Whether an inverse occurs."""
        return any(not u.outer for u in self.unknowns)


def plus(f: Linear, g: Linear, factor: Number = 1) -> Linear:
    """f + factor g."""
    out = dict(f)
    for key, poly in g.items():
        merged = dict(out.get(key, {}))
        for mono, c in poly.items():
            value = merged.get(mono, 0) + factor * c
            if value == 0:
                merged.pop(mono, None)
            else:
                merged[mono] = value
        if merged:
            out[key] = merged
        else:
            out.pop(key, None)
    return out


def times(f: Linear, mono: tuple[int, ...]) -> Linear:
    """f times a product of coefficients."""
    return {key: {tuple(sorted(m + mono)): c for m, c in poly.items()} for key, poly in f.items()}


def frozen(f: Linear) -> Any:
    """A hashable value of a form."""
    return tuple(sorted((key, tuple(sorted(poly.items(), key=lambda t: t[0]))) for key, poly in f.items()))


class _Writer:
    def __init__(self, symmetric: Any) -> None:
        self.symmetric = symmetric
        self.unknowns: list[Unknown | None] = []
        self.uses: list[Use] = []
        self.rank_ones: list[RankOne] = []
        self.coefficients: list[Node] = []
        self._numbers: dict[int, int] = {}
        self._known: dict[Any, tuple[Linear, ...]] = {}
        self._copies: dict[RandomMatrix, Expression] = {}

    def coefficient(self, node: Node) -> int:
        if id(node) not in self._numbers:
            self._numbers[id(node)] = len(self.coefficients)
            self.coefficients.append(node)
        return self._numbers[id(node)]

    def apply(self, m: Expression, x: tuple[Linear, ...]) -> tuple[Linear, ...]:
        """The forms of ``M @ x``."""
        if not any(x):
            return tuple({} for _ in m.left)
        match m:
            case Identity():
                return x
            case Matrix(source=source) if (known := behind(source)) is not None:
                if source not in self._copies:
                    self._copies[source] = fresh(known, source.rows)
                return self.apply(self._copies[source], x)
            case Product(factors=factors):
                for factor in reversed(factors):
                    x = self.apply(factor, x)
                return x
            case Total(terms=terms):
                out: tuple[Linear, ...] = tuple({} for _ in m.left)
                for c, term in terms:
                    images = self.apply(term, x)
                    weight: Number = c
                    if isinstance(c, Node):
                        images = tuple(times(f, (self.coefficient(c),)) for f in images)
                        weight = 1
                    out = tuple(plus(f, g, weight) for f, g in zip(out, images, strict=True))
                return out
            case Diagonal(vector=vector):
                return (times(x[0], (self.coefficient(vector),)),)
            case Grid(blocks=blocks):
                sums: list[Linear] = []
                for row in blocks:
                    form: Linear = {}
                    for j, b in enumerate(row):
                        if b is not None:
                            form = plus(form, self.apply(b, (x[j],))[0])
                    sums.append(form)
                return tuple(sums)
        key = (_identity(m), tuple(map(frozen, x)))
        if key not in self._known:
            self._known[key] = self._new(m, x)
        return self._known[key]

    def _new(self, m: Expression, x: tuple[Linear, ...]) -> tuple[Linear, ...]:
        match m:
            case Matrix(source=source, transposed=transposed):
                self.uses.append(Use(source, transposed, x[0]))
                return ({("y", len(self.uses) - 1): ONE},)
            case Outer(u=u, v=v):
                self.rank_ones.append(RankOne(self.coefficient(u), self.coefficient(v), (m.left[0], m.right[0]), x[0]))
                return ({("t", len(self.rank_ones) - 1): {(self.coefficient(u),): Fraction(1)}},)
            case Inverse(inner=inner):
                if not self.symmetric(inner):  # inv(M) = inv(M.T M) M.T has a self-adjoint inverse only
                    x, inner = self.apply(inner.T, x), Product((inner.T, inner))
                start = len(self.unknowns)
                self.unknowns.extend([None] * len(m.left))
                w: tuple[Linear, ...] = tuple({("u", start + k): ONE} for k in range(len(m.left)))
                for k, (dim, image) in enumerate(zip(inner.left, self.apply(inner, w), strict=True)):
                    self.unknowns[start + k] = Unknown(dim, False, plus(image, x[k], -1))
                return w
        raise UnsupportedOperation(f"{m!r} in a matrix expression", remedy="sums, products, diag, inv, block, outer")


def _identity(m: Expression) -> Any:
    match m:
        case Matrix(source=source, transposed=transposed):
            return (id(source), transposed)
        case Outer(u=u, v=v):
            return ("outer", id(u), id(v))
        case Inverse(inner=inner):
            return ("inv", expression_key(inner))
    return id(m)


def expression_key(m: Expression) -> Any:
    """A hashable value: equal keys mean the same expression of the same matrices."""
    match m:
        case Matrix() | Outer() | Inverse():
            return _identity(m)
        case Identity():
            return ("eye", m.left)
        case Diagonal(vector=vector):
            return ("diag", id(vector))
        case Product(factors=factors):
            return ("product", *map(expression_key, factors))
        case Total(terms=terms):
            return ("sum", *((id(c) if isinstance(c, Node) else c, expression_key(t)) for c, t in terms))
        case Grid(blocks=blocks):
            return ("block", *(tuple(None if b is None else expression_key(b) for b in row) for row in blocks))
    return id(m)


def resolvent(m: Expression, symmetric: Any) -> LinearProgram:
    """The program of ``(z - M) x = v``.

    Parameters
    ----------
    m : Expression
        Square.
    symmetric : callable
        Tells whether an expression is its own transpose (an inverse of one that is not is rewritten).

    Returns
    -------
    LinearProgram
    """
    writer = _Writer(symmetric)
    writer.unknowns.extend([None] * len(m.left))
    x: tuple[Linear, ...] = tuple({("u", k): ONE} for k in range(len(m.left)))
    for k, image in enumerate(writer.apply(m, x)):
        writer.unknowns[k] = Unknown(m.left[k], True, plus({}, image, -1))
    unknowns = tuple(u for u in writer.unknowns if u is not None)
    return LinearProgram(m.left, unknowns, tuple(writer.uses), tuple(writer.rank_ones), tuple(writer.coefficients))


def equation(m: Expression, symmetric: Any) -> LinearProgram:
    """The program of ``M x = v``: x comes first, with the shift -zeta that the branch is followed in.

    Parameters
    ----------
    m : Expression
        Self-adjoint.
    symmetric : callable
        As for `resolvent`.

    Returns
    -------
    LinearProgram
    """
    writer = _Writer(symmetric)
    writer.unknowns.extend([None] * len(m.left))
    x: tuple[Linear, ...] = tuple({("u", k): ONE} for k in range(len(m.left)))
    for k, image in enumerate(writer.apply(m, x)):
        writer.unknowns[k] = Unknown(m.left[k], False, image)
    unknowns = tuple(u for u in writer.unknowns if u is not None)
    return LinearProgram(m.left, unknowns, tuple(writer.uses), tuple(writer.rank_ones), tuple(writer.coefficients))
