"""Matrix expressions at finite width, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BadParameter
from .handles import Node
from .instructions import RandomMatrix
from .matrices import Diagonal, Expression, Grid, Identity, Inverse, Matrix, Outer, Product, Total
from .program import lower
from .sample import draw, generator, run

_CHECK_SIZE = 4  # coordinates of the narrowest width when an identity of matrices is tested on a draw
_CHECK_LIMIT = 400


def dense(
    expressions: Sequence[Expression], width: int, rng: Any = None, entries: str | None = None
) -> list[np.ndarray]:
    """One draw of matrix expressions at base width n; all of them, and the vectors in them, share the same matrices.

    Parameters
    ----------
    expressions : sequence of Expression
    width : int
    rng : Generator or int, optional
    entries : str, optional
        Entry law of matrices with iid entries.

    Returns
    -------
    list of ndarray
    """
    vectors: dict[int, Node] = {}
    matrices: dict[int, RandomMatrix] = {}
    for m in expressions:
        leaves(m, vectors, matrices)
    rng = generator(rng)
    streams = rng.spawn(len(matrices) + 1)
    drawn = {
        key: draw(source, width, stream, entries)
        for (key, source), stream in zip(matrices.items(), streams, strict=False)
    }
    values: dict[int, np.ndarray] = {}
    if vectors:
        program = lower(list(vectors.values()))
        values = dict(zip(vectors, run(program, width, streams[-1], entries, drawn), strict=True))
    return [evaluate(m, width, drawn, values) for m in expressions]


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
                (float(values[id(c)]) if isinstance(c, Node) else float(c)) * evaluate(term, width, drawn, values)
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


def is_symmetric(m: Expression) -> bool:
    """Whether an expression equals its own transpose, as an identity of matrices: decided on one small random draw."""
    if m.left != m.right:
        return False
    vectors: dict[int, Node] = {}
    matrices: dict[int, RandomMatrix] = {}
    leaves(m, vectors, matrices)
    dims = {d for source in matrices.values() for d in (source.rows, source.cols)} | set(m.left)
    small = min(float(d.ratio) for d in dims)
    large = max(float(d.ratio) for d in dims)
    width = max(1, int(np.ceil(min(_CHECK_SIZE / small, max(_CHECK_LIMIT / large, 1 / small)))))
    array = dense([m], width, 20231)[0]
    return bool(np.abs(array - array.T).max() <= 1e-8 * max(np.abs(array).max(), 1e-300))
