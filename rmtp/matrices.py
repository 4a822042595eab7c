"""Matrix expressions: random matrices, diagonals, sums, products, inverses, blocks.

An expression is a small tree of frozen nodes. It acts on vectors of a program (``M @ x`` writes the instructions), and
`spectrum`, `singular_values` and `solve` read the same tree as a linear program (`dyson.linear`). Rows and columns
are *spaces*, tuples of widths, so that a block matrix is a matrix like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from .arguments import ORDERS, items
from .ensembles import Dim, Number, check_dim
from .errors import BadParameter, DimensionMismatch, TracedBranch, UnsupportedOperation, WrongSide
from .handles import Node, Scalar, Vector, number_like, plain
from .instructions import ConstantSource, Init, MatVec, RandomMatrix

Space = tuple[Dim, ...]


class Expression:
    """What all matrix expressions share: NumPy's operators, ``.T`` and the action on vectors.

    Attributes
    ----------
    left, right : tuple of Dim
        The spaces of ``M @ x`` and of x; one width unless M is a block matrix.
    """

    __slots__ = ("left", "right")
    __array_priority__ = _op_priority = 1000  # for arrays, and for ``symbol * matrix`` of sympy
    left: Space
    right: Space

    @property
    def rows(self) -> Any:
        """The width of ``M @ x`` (a tuple for a block matrix)."""
        return self.left[0] if len(self.left) == 1 else self.left

    @property
    def cols(self) -> Any:
        """The width of the x in ``M @ x`` (a tuple for a block matrix)."""
        return self.right[0] if len(self.right) == 1 else self.right

    @property
    def shape(self) -> tuple[Any, Any]:
        """(rows, cols), as widths."""
        return self.rows, self.cols

    @property
    def T(self) -> Expression:
        """The transpose of the same matrices (not a copy)."""
        raise NotImplementedError

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        """The vectors ``M @ x``, one per width of `left`."""
        raise NotImplementedError

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Expression):
            return product(self, other)
        single = not isinstance(other, list | tuple)
        x = (other,) if single else tuple(other)
        if not x or not all(isinstance(v, Vector) for v in x):
            raise UnsupportedOperation(
                f"{self!r} @ {type(other).__name__}",
                remedy="multiply a Vector (rmtp.Normal, rmtp.IID, rmtp.constant), a tuple of them for a block "
                "matrix, or a matrix expression",
            )
        given = tuple(v.dim for v in x)
        if given != self.right:
            turned = given == self.left
            raise (WrongSide if turned else DimensionMismatch)(
                f"{self!r} @ {other!r}: the matrix takes {_widths(self.right)}, the vector has {_widths(given)}",
                remedy=f"use {self.T!r} @ x" if turned else "check the widths of the matrix and the vector",
            )
        out = self.applied(x)
        return out[0] if single and len(out) == 1 else out

    def __rmatmul__(self, x: Any) -> Any:
        return self.T @ x

    def __add__(self, other: Any) -> Expression:
        return total([(1, self), (1, _matrix(other, self))])

    def __radd__(self, other: Any) -> Expression:
        if isinstance(other, int) and other == 0:  # what the built-in sum starts with
            return self
        return total([(1, _matrix(other, self)), (1, self)])

    def __sub__(self, other: Any) -> Expression:
        return total([(1, self), (-1, _matrix(other, self))])

    def __rsub__(self, other: Any) -> Expression:
        return total([(1, _matrix(other, self)), (-1, self)])

    def __mul__(self, factor: Any) -> Expression:
        return total([(_factor(factor, self), self)])

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Expression:
        factor = _factor(divisor, self)
        if not isinstance(factor, Node) and factor == 0:
            raise BadParameter(f"{self!r} / 0", remedy="divide by something that is not zero")
        return total([(1 / factor, self)])

    def __neg__(self) -> Expression:
        return total([(-1, self)])

    def __pow__(self, exponent: Any) -> Expression:
        if isinstance(exponent, bool) or not isinstance(exponent, int | np.integer) or abs(int(exponent)) > ORDERS:
            raise UnsupportedOperation(f"{self!r} ** {exponent!r}", remedy="integer powers; np.sqrt acts on diagonals")
        if self.left != self.right:
            raise DimensionMismatch(
                f"({self!r}) ** {exponent}: {_widths(self.left)} x {_widths(self.right)} is not square",
                remedy="M @ M.T or M.T @ M",
            )
        base = self if exponent >= 0 else inv(self)
        return product(*[base] * abs(int(exponent))) if exponent else Identity(self.left)

    def __bool__(self) -> bool:
        raise TracedBranch(f"Python asked for the truth of the matrix {self!r}", remedy="compare numbers of its law")

    __len__ = __iter__ = __float__ = __bool__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        numbers = all(isinstance(i, Expression | Scalar) or (number_like(i) and np.ndim(i) == 0) for i in inputs)
        if method == "__call__" and not kwargs and numbers and ufunc.__name__ in _UFUNCS:
            return _UFUNCS[ufunc.__name__](*inputs)
        raise UnsupportedOperation(
            f"np.{ufunc.__name__} of {self!r}",
            remedy="matrix expressions know +, -, @, .T, **, rmtp.inv and numbers; an array is no random matrix "
            "(rmtp.diag of a vector with its law is)",
        )

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        made = _FUNCTIONS.get(func.__name__)
        if made is None or kwargs:
            raise UnsupportedOperation(
                f"np.{func.__name__} of {self!r}", remedy="rmtp.inv, rmtp.solve, rmtp.block, rmtp.spectrum"
            )
        return made(*args)

    def __repr__(self) -> str:
        return self._text()

    def _text(self) -> str:
        raise NotImplementedError


class Matrix(Expression):
    """A random matrix or its transpose: ``W @ x``, ``W.T @ y``. Build it with `Gaussian`, `GOE`, `Haar`, ..."""

    __slots__ = ("source", "transposed")

    def __init__(self, source: RandomMatrix, transposed: bool = False) -> None:
        self.source, self.transposed = source, transposed and not source.ensemble.symmetric
        self.left, self.right = (source.rows,), (source.cols,)
        if self.transposed:
            self.left, self.right = self.right, self.left

    @property
    def T(self) -> Matrix:
        """The transpose of the same matrix (not a copy)."""
        return Matrix(self.source, not self.transposed)

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        return (Vector(MatVec(self.source, self.transposed), x, self.left[0], x[0].axes),)

    def _text(self) -> str:
        name = self.source.name or self.source.ensemble.kind
        return name + (".T" if self.transposed else "")


class Total(Expression):
    """``sum_k c_k M_k``; the coefficients are numbers or scalars of the program."""

    __slots__ = ("terms",)

    def __init__(self, terms: tuple[tuple[Any, Expression], ...]) -> None:
        self.terms, self.left, self.right = terms, terms[0][1].left, terms[0][1].right

    @property
    def T(self) -> Expression:
        return Total(tuple((c, m.T) for c, m in self.terms))

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        out: list[Any] = [None] * len(self.left)
        for c, m in self.terms:
            for k, image in enumerate(m.applied(x)):
                y = image if isinstance(c, int | Fraction) and c == 1 else c * image
                out[k] = y if out[k] is None else out[k] + y
        return tuple(out)

    def _text(self) -> str:
        text = ""
        for c, m in self.terms:
            inner = f"({m!r})" if isinstance(m, Total) else repr(m)
            negative = not isinstance(c, Node) and c < 0
            size = c if isinstance(c, Node) else abs(c)
            part = inner if not isinstance(c, Node) and size == 1 else f"{size}*{inner}"
            text += (" - " if negative else " + ") + part if text else ("-" if negative else "") + part
        return text


class Product(Expression):
    """``M_1 @ M_2 @ ... @ M_k``."""

    __slots__ = ("factors",)

    def __init__(self, factors: tuple[Expression, ...]) -> None:
        self.factors, self.left, self.right = factors, factors[0].left, factors[-1].right

    @property
    def T(self) -> Expression:
        return Product(tuple(m.T for m in reversed(self.factors)))

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        for m in reversed(self.factors):
            x = m.applied(x)
        return x

    def _text(self) -> str:
        return " @ ".join(f"({m!r})" if isinstance(m, Total) else repr(m) for m in self.factors)


class Identity(Expression):
    """The identity of a space."""

    __slots__ = ()

    def __init__(self, space: Space) -> None:
        self.left = self.right = space

    @property
    def T(self) -> Expression:
        return self

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        return x

    def _text(self) -> str:
        return "I"


class Diagonal(Expression):
    """``diag(d)``: multiplication by a vector, coordinate by coordinate."""

    __slots__ = ("vector",)

    def __init__(self, vector: Vector) -> None:
        assert vector.dim is not None
        self.vector, self.left = vector, (vector.dim,)
        self.right = self.left

    @property
    def T(self) -> Expression:
        return self

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        return (_beside(self.vector, x[0]) * x[0],)

    def _text(self) -> str:
        return f"diag({self.vector!r})"


class Outer(Expression):
    """``u v.T / n`` with n the size of v: ``outer(u, v) @ x = u * mean(v * x)``, a matrix of rank one."""

    __slots__ = ("u", "v")

    def __init__(self, u: Vector, v: Vector) -> None:
        assert u.dim is not None and v.dim is not None
        self.u, self.v, self.left, self.right = u, v, (u.dim,), (v.dim,)

    @property
    def T(self) -> Expression:
        turned = Outer(self.v, self.u)
        if self.left == self.right:
            return turned
        return Total(((self.left[0].ratio / _rational(self.right[0].ratio), turned),))

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        return (_beside(self.u, x[0]) * np.mean(_beside(self.v, x[0]) * x[0], axis=0),)

    def _text(self) -> str:
        return f"outer({self.u!r}, {self.v!r})"


class Inverse(Expression):
    """``inv(M)``."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        self.inner, self.left, self.right = inner, inner.right, inner.left

    @property
    def T(self) -> Expression:
        return Inverse(self.inner.T)

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        raise UnsupportedOperation(f"{self!r} @ x", remedy=f"rmtp.solve({self.inner!r}, x)")

    def _text(self) -> str:
        return f"inv({self.inner!r})"


class Grid(Expression):
    """A block matrix; None is a block of zeros."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: tuple[tuple[Expression | None, ...], ...], left: Space, right: Space) -> None:
        self.blocks, self.left, self.right = blocks, left, right

    @property
    def T(self) -> Expression:
        columns = zip(*self.blocks, strict=True)
        return Grid(tuple(tuple(None if b is None else b.T for b in c) for c in columns), self.right, self.left)

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        out = []
        for dim, row in zip(self.left, self.blocks, strict=True):
            parts = [b.applied((x[j],))[0] for j, b in enumerate(row) if b is not None]
            out.append(sum(parts[1:], parts[0]) if parts else _zero(dim))
        return tuple(out)

    def _text(self) -> str:
        return (
            "block(["
            + ", ".join("[" + ", ".join("0" if b is None else repr(b) for b in r) + "]" for r in self.blocks)
            + "])"
        )


# ---------------------------------------------------------------------------------------------
# constructors


def diag(vector: Any, dim: Dim | None = None) -> Expression:
    """The diagonal matrix of a vector of the program: its entries are the vector's coordinates.

    Law: ``diag(d) @ x = d * x``; for the spectrum only the joint law of one coordinate of all diagonals matters.

    Parameters
    ----------
    vector : Vector
        For instance ``IID(n, Discrete([1, 7]))`` (a population), or ``1 - np.tanh(h)**2`` from a forward pass through
        the same matrices.

    Returns
    -------
    Expression

    Raises
    ------
    UnsupportedOperation
        If it is not a vector without finite axes.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.spectrum(rmtp.diag(rmtp.IID(n, rmtp.Discrete([-1, 1]))) + rmtp.GOE(n)).moment(4)
    Fraction(7, 1)
    """
    if dim is not None or not isinstance(vector, Vector) or vector.axes:
        raise UnsupportedOperation(
            f"diag({vector!r})", remedy="a vector without finite axes; a law of entries is rmtp.IID(dim, law)"
        )
    return Diagonal(vector)


def eye(dim: Dim) -> Expression:
    """The identity matrix of a width.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.spectrum(rmtp.GOE(n) + 3 * rmtp.eye(n)).moment(1)
    Fraction(3, 1)
    """
    return Identity((check_dim(dim),))


def outer(u: Any, v: Any) -> Expression:
    """``u v.T / n``, a matrix of rank one; n is the size of v.

    Law: ``outer(u, v) @ x = u * mean(v * x)``. It does not move the limiting density, but it may send outliers out of it.

    Parameters
    ----------
    u, v : Vector
        Without finite axes.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> u = rmtp.Normal(n)
    >>> rmtp.spectrum(rmtp.GOE(n) + 2 * rmtp.outer(u, u)).outliers[0].x
    2.5
    """
    for x in (u, v):
        if not isinstance(x, Vector) or x.axes:
            raise UnsupportedOperation(f"outer({u!r}, {v!r})", remedy="two vectors without finite axes")
    return Outer(u, v)


def inv(M: Any) -> Expression:
    """The inverse of a square matrix expression.

    Law: ``inv(M) @ M = I``. Whether it exists in the limit (the support of M, or of M.T M, must not touch 0) is checked when
    the expression is used.

    Raises
    ------
    DimensionMismatch
        If M is not square.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> W = rmtp.Gaussian(n, n)
    >>> rmtp.inv(W @ W.T + rmtp.eye(n))
    inv(Gaussian @ Gaussian.T + I)
    """
    if not isinstance(M, Expression):
        raise UnsupportedOperation(f"inv of a {type(M).__name__}", remedy="1 / x for a vector; inv takes a matrix")
    if [d.ratio for d in M.left] != [d.ratio for d in M.right]:
        raise DimensionMismatch(
            f"inv({M!r}): {_widths(M.left)} x {_widths(M.right)} is not square", remedy="inv(M.T @ M) @ M.T"
        )
    if isinstance(M, Inverse):
        return M.inner
    if isinstance(M, Identity):
        return M
    if isinstance(M, Diagonal):
        return Diagonal(1 / M.vector)
    return Inverse(M)


def block(grid: Sequence[Sequence[Any]]) -> Expression:
    """A block matrix; 0 is a block of zeros. Several widths make variance profiles.

    Law: the normalised trace is over all widths together, ``tr / (sum of the sizes)``.

    Parameters
    ----------
    grid : rows of blocks
        Matrix expressions, or 0.

    Raises
    ------
    DimensionMismatch
        If the widths of a row or a column disagree, or are not known because all its blocks are 0.

    Examples
    --------
    >>> import rmtp
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    >>> W = rmtp.Gaussian(m, n)
    >>> rmtp.spectrum(rmtp.block([[0, W], [W.T, 0]])).moment(2)
    Fraction(4, 3)
    """
    rows = [items(row, "block") for row in items(grid, "block")]
    if not rows or any(len(row) != len(rows[0]) or not row for row in rows):
        raise BadParameter("block: rows of different lengths", remedy="a rectangular list of lists")
    cells: list[list[Expression | None]] = []
    for row in rows:
        for b in row:
            zero = number_like(b) and np.ndim(b) == 0 and b == 0
            if not isinstance(b, Expression) and not zero:
                raise UnsupportedOperation(f"the block {b!r}", remedy="matrix expressions, or 0")
            if isinstance(b, Expression) and (len(b.left) > 1 or len(b.right) > 1):
                raise UnsupportedOperation(
                    "a block matrix inside a block matrix", remedy="write one flat grid of blocks"
                )
        cells.append([b if isinstance(b, Expression) else None for b in row])
    left = tuple(_common([b.left[0] for b in row if b is not None], f"row {i}") for i, row in enumerate(cells))
    right = tuple(
        _common([r[j].right[0] for r in cells if r[j] is not None], f"column {j}")  # type: ignore[union-attr]
        for j in range(len(cells[0]))
    )
    return Grid(tuple(map(tuple, cells)), left, right)


def _common(dims: list[Dim], what: str) -> Dim:
    if not dims or any(d != dims[0] for d in dims):
        found = " and ".join(dict.fromkeys(d.name for d in dims)) or "no width"
        raise DimensionMismatch(
            f"block: {what} has {found}", remedy="one width per row and column; 0 * eye(n) names one"
        )
    return dims[0]


def total(terms: Sequence[tuple[Any, Expression]]) -> Expression:
    """``sum c_k M_k``, nested sums flattened."""
    first = terms[0][1]
    flat: list[tuple[Any, Expression]] = []
    for c, m in terms:
        if (m.left, m.right) != (first.left, first.right):
            raise DimensionMismatch(
                f"{first!r} + {m!r}: {_widths(first.left)} x {_widths(first.right)} and {_widths(m.left)} x {_widths(m.right)}",
                remedy="matrices of one shape; .T turns one",
            )
        if isinstance(m, Total):
            flat.extend((d if isinstance(c, int) and c == 1 else c * d, inner) for d, inner in m.terms)
        else:
            flat.append((c, m))
    if len(flat) == 1 and isinstance(flat[0][0], int | Fraction) and flat[0][0] == 1:
        return flat[0][1]
    return Total(tuple(flat))


def product(*factors: Expression) -> Expression:
    """``M_1 @ ... @ M_k``, nested products flattened, identities dropped."""
    for a, b in pairwise(factors):
        if a.right != b.left:
            raise DimensionMismatch(
                f"{a!r} @ {b!r}: {_widths(a.right)} meets {_widths(b.left)}",
                remedy="check the widths, or turn one with .T",
            )
    flat: list[Expression] = []
    for m in factors:
        flat.extend(m.factors if isinstance(m, Product) else [m])
    kept = [m for m in flat if not isinstance(m, Identity)]
    return Product(tuple(kept)) if len(kept) > 1 else kept[0] if kept else factors[0]


def _matrix(other: Any, beside: Expression) -> Expression:
    if isinstance(other, Expression):
        return other
    raise UnsupportedOperation(
        f"{beside!r} + {type(other).__name__}",
        remedy="add matrix expressions: 2 * rmtp.eye(n) for a multiple of the identity, rmtp.diag(x) for a vector",
    )


def _factor(value: Any, beside: Expression) -> Number:
    if isinstance(value, Scalar) and not value.axes:
        return value
    if (
        isinstance(value, Expression | Vector)
        or not number_like(value)
        or isinstance(value, list | tuple)
        or np.ndim(value)
    ):
        raise UnsupportedOperation(
            f"{beside!r} times {type(value).__name__}",
            remedy="@ multiplies matrices, rmtp.diag(x) @ M scales rows; * takes one number",
        )
    return plain(value)


def _rational(value: Number) -> Number:
    return Fraction(value) if isinstance(value, int | Fraction) else value


def _beside(vector: Vector, x: Vector) -> Any:
    """A vector with as many finite axes as x, of length 1."""
    return vector[(slice(None), *[None] * len(x.axes))] if x.axes else vector


def _zero(dim: Dim) -> Vector:
    return Vector(Init(ConstantSource(dim, Fraction(0))), (), dim)


def _widths(space: Sequence[Any]) -> str:
    return " + ".join("no width" if d is None else f"width {d.name}" for d in space)


_UFUNCS: dict[str, Callable[..., Any]] = {
    "multiply": lambda a, b: a * b if isinstance(a, Expression) else b * a,
    "divide": lambda a, b: a / b,
    "true_divide": lambda a, b: a / b,
    "negative": lambda a: -a,
    "positive": lambda a: a,
    "add": lambda a, b: a + b if isinstance(a, Expression) else b.__radd__(a),
    "subtract": lambda a, b: a - b if isinstance(a, Expression) else b.__rsub__(a),
    "power": lambda a, b: a**b,
    "square": lambda a: a**2,
    "matmul": lambda a, b: a @ b,
}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "inv": inv,
    "transpose": lambda m: m.T,
    "block": block,
    "matrix_power": lambda m, k: m**k,
}
