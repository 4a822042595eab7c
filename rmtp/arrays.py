"""Matrix expressions as arrays, from arrays of their leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import BadParameter
from .handles import Node
from .instructions import RandomMatrix
from .matrices import Diagonal, Expression, Grid, Identity, Inverse, Matrix, Outer, Product, Total


def leaves(m: Expression, vectors: dict[int, Node], matrices: dict[int, RandomMatrix]) -> None:
    """Collect the vectors, scalars and random matrices of an expression, by id."""
    match m:
        case Matrix(source=source):
            matrices.setdefault(id(source), source)
        case Diagonal(vector=vector):
            vectors.setdefault(id(vector), vector)
        case Outer(u=u, v=v):
            vectors.setdefault(id(u), u)
            vectors.setdefault(id(v), v)
        case Inverse(inner=inner):
            leaves(inner, vectors, matrices)
        case Product(factors=factors):
            for factor in factors:
                leaves(factor, vectors, matrices)
        case Total(terms=terms):
            for c, term in terms:
                if isinstance(c, Node):
                    vectors.setdefault(id(c), c)
                leaves(term, vectors, matrices)
        case Grid(blocks=blocks):
            for row in blocks:
                for b in row:
                    if b is not None:
                        leaves(b, vectors, matrices)


def evaluate(
    m: Expression, width: int, drawn: Mapping[int, np.ndarray], values: Mapping[int, np.ndarray]
) -> np.ndarray:
    """The array of an expression from arrays of its leaves."""
    match m:
        case Matrix(source=source, transposed=transposed):
            return drawn[id(source)].T if transposed else drawn[id(source)]
        case Diagonal(vector=vector):
            return np.diag(values[id(vector)])
        case Identity():
            return np.eye(sum(d.size(width) for d in m.left))
        case Outer(u=u, v=v):
            return np.outer(values[id(u)], values[id(v)]) / len(values[id(v)])
        case Inverse(inner=inner):
            return np.linalg.inv(evaluate(inner, width, drawn, values))
        case Product(factors=factors):
            out = _left(factors[-1], width, drawn, values)
            for factor in reversed(factors[:-1]):
                other = _left(factor, width, drawn, values)
                if other.ndim == 1:
                    out = other[:, None] * (np.diag(out) if out.ndim == 1 else out)
                else:
                    out = other * out if out.ndim == 1 else other @ out
            return np.diag(out) if out.ndim == 1 else out
        case Total(terms=terms):
            return sum(
                (float(np.ravel(values[id(c)])[0]) if isinstance(c, Node) else float(c))
                * evaluate(term, width, drawn, values)
                for c, term in terms
            )  # type: ignore[return-value]
        case Grid(blocks=blocks):
            rows = [
                [
                    np.zeros((d.size(width), e.size(width))) if b is None else evaluate(b, width, drawn, values)
                    for e, b in zip(m.right, row, strict=True)
                ]
                for d, row in zip(m.left, blocks, strict=True)
            ]
            return np.block(rows)
    raise BadParameter(f"{m!r} at finite width", remedy="sums, products, diag, inv, block, outer")


def _left(m: Expression, width: int, drawn: Any, values: Any) -> np.ndarray:
    """A factor; a diagonal as a vector, which costs a factor n less."""
    return values[id(m.vector)] if isinstance(m, Diagonal) else evaluate(m, width, drawn, values)
