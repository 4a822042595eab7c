"""Matrix expressions at finite width, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import evaluate, leaves
from .dyson.linear import expression_key
from .errors import BadParameter
from .handles import Node
from .instructions import RandomMatrix
from .matrices import Expression
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


def is_symmetric(m: Expression) -> bool:
    """Whether an expression equals its own transpose, as an identity of matrices: decided on one small random draw."""
    if m.left != m.right:
        return False
    if expression_key(m) == expression_key(m.T):
        return True
    vectors: dict[int, Node] = {}
    matrices: dict[int, RandomMatrix] = {}
    leaves(m, vectors, matrices)
    for source in matrices.values():
        if any(isinstance(x, np.ndarray) for x in (source.ensemble.variance, source.rows.ratio, source.cols.ratio)):
            raise BadParameter(
                f"a swept variance or ratio in the matrix expression {m!r}", remedy="one expression per value"
            )
    dims = {d for source in matrices.values() for d in (source.rows, source.cols)} | set(m.left)
    small = min(float(d.ratio) for d in dims)
    large = max(float(d.ratio) for d in dims)
    width = max(1, int(np.ceil(min(_CHECK_SIZE / small, max(_CHECK_LIMIT / large, 1 / small)))))
    array = dense([m], width, 20231)[0]
    return bool(np.abs(array - array.T).max() <= 1e-8 * max(np.abs(array).max(), 1e-300))
