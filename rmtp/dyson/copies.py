"""A matrix whose law is that of an expression, as a fresh copy of the expression.

`Invariant(n, law)` with ``law = spectrum(M)`` stands for a free copy of M. Copied into the linear program it needs no
quadrature over the density of M: the system of a free sum or product stays as algebraic as its parts, hard edges and
atoms included. Copies are free of everything else when their matrices are invariant under rotations of the outer width;
a diagonal on that width is not, and gets Haar eigenvectors around it.
"""

from __future__ import annotations

from fractions import Fraction

from ..ensembles import Dim, Number
from ..handles import Node, Vector
from ..instructions import IIDSource, Init, RandomMatrix
from ..matrices import Diagonal, Expression, Grid, Identity, Inverse, Matrix, Product, Total
from ..matrixlaws import Haar, Invariant


def behind(source: RandomMatrix) -> Expression | None:
    """The self-adjoint expression whose law a symmetric matrix has been given, if it is known and can be copied."""
    law = source.ensemble.law
    expression = getattr(law, "expression", None)
    if not source.ensemble.symmetric or expression is None or hasattr(law, "square") or len(expression.left) != 1:
        return None
    return expression if _copyable(expression) else None


def fresh(m: Expression, dim: Dim) -> Expression:
    """An independent copy of an expression, of width `dim` and free of every other matrix."""
    if isinstance(m, Diagonal):
        return Invariant(dim, m.vector.op.source.law)  # type: ignore[union-attr]
    copy = _Copy(m.left[0], dim)
    inner = copy.of(m)
    if not copy.fixed_frame:
        return inner
    q = Haar(dim)
    return Product((q, inner, q.T))


def _copyable(m: Expression) -> bool:
    match m:
        case Matrix() | Identity():
            return True
        case Diagonal(vector=vector):
            return isinstance(vector.op, Init) and isinstance(vector.op.source, IIDSource) and not vector.axes
        case Product(factors=factors):
            return all(map(_copyable, factors))
        case Total(terms=terms):
            return all(not isinstance(c, Node) and _copyable(t) for c, t in terms)
        case Inverse(inner=inner):
            return _copyable(inner)
        case Grid(blocks=blocks):
            return all(b is None or _copyable(b) for row in blocks for b in row)
    return False


class _Copy:
    def __init__(self, outer: Dim, target: Dim) -> None:
        self.outer, self.target = outer, target
        self.scale = _quotient(target.ratio, outer.ratio)
        self.fixed_frame = False
        self._matrices: dict[RandomMatrix, RandomMatrix] = {}
        self._vectors: dict[int, Vector] = {}

    def width(self, dim: Dim) -> Dim:
        return self.target if dim == self.outer else Dim(dim.name, dim.ratio * self.scale)

    def of(self, m: Expression) -> Expression:
        match m:
            case Matrix(source=source, transposed=transposed):
                if source not in self._matrices:
                    rows, cols = self.width(source.rows), self.width(source.cols)
                    self._matrices[source] = RandomMatrix(rows, cols, source.ensemble, source.name)
                return Matrix(self._matrices[source], transposed)
            case Identity():
                return Identity(tuple(map(self.width, m.left)))
            case Diagonal(vector=vector):
                self.fixed_frame |= m.left[0] == self.outer
                return Diagonal(self.vector(vector))
            case Product(factors=factors):
                return Product(tuple(map(self.of, factors)))
            case Total(terms=terms):
                return Total(tuple((c, self.of(t)) for c, t in terms))
            case Inverse(inner=inner):
                return Inverse(self.of(inner))
            case Grid(blocks=blocks):
                left, right = (tuple(map(self.width, side)) for side in (m.left, m.right))
                return Grid(tuple(tuple(None if b is None else self.of(b) for b in row) for row in blocks), left, right)
        raise AssertionError(m)

    def vector(self, vector: Vector) -> Vector:
        if id(vector) not in self._vectors:
            assert isinstance(vector.op, Init) and isinstance(vector.op.source, IIDSource)
            source = IIDSource(self.width(vector.op.source.dim), vector.op.source.law)
            self._vectors[id(vector)] = Vector(Init(source, vector.op.index), (), source.dim, (), vector.name)
        return self._vectors[id(vector)]


def _quotient(a: Number, b: Number) -> Number:
    return Fraction(a) / b if isinstance(a, int | Fraction) and isinstance(b, int | Fraction) else a / b
