"""Inputs in coordinates in which few columns of the input weights tell the rows of a batch apart.

Weights with equal independent columns have no preferred coordinates: (U Q)(Q^T x). What a batch normalises are differences
of rows; in a basis that begins with them, functions of them are functions of as many Gaussians as there are differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backprop import ancestors
from ..handles import Node
from ..instructions import Combine, Init, InputMatrix


def turnable(handles: Sequence[Node], input: Node) -> bool:
    """Whether an input of shape (B, d) is met by input weights alone, along its last axis."""
    if len(input.axes) != 2:
        return False
    derived, seen = {id(input)}, set()
    for root in handles:
        for node in ancestors(root):
            if id(node) in seen or not any(id(a) in derived for a in node.args):
                continue
            seen.add(id(node))
            match node.op:
                case Combine(kind="reshape") if [s for _, s in node.axes] == [s for _, s in input.axes]:
                    derived.add(id(node))
                case Combine(kind="transpose"):
                    derived.add(id(node))
                case Combine(kind="matmul") if isinstance(node.args[0].op, Init):
                    if not isinstance(node.args[0].op.source, InputMatrix):
                        return False
                case _:
                    return False
    return True


def turned(x: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two batches in one orthonormal basis: differences of rows first, of one batch and then of the other, means last.

    Examples
    --------
    >>> x, y = turned(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> bool(x[0, 1] == x[1, 1]), bool(abs(abs(x[0] - x[1]) - [5, 0]).max() < 1e-14)
    (True, True)
    """
    means = [z.mean(axis=0) for z in (x, other)]
    apart = [z - m for z, m in zip((x, other), means, strict=True)]
    same = np.array_equal(x, other)
    count = [len(z) - 1 for z in apart]
    rows = [apart[0][:-1], *([] if same else [apart[1][:-1]]), np.stack(means)]
    basis, _ = np.linalg.qr(np.concatenate(rows).T, mode="complete")
    ends = (count[0], count[0] if same else sum(count))
    out = []
    for z, m, end in zip(apart, means, ends, strict=True):
        part = z @ basis
        part[:, end:] = 0.0  # exactly, so that rows do not differ there
        out.append(part + m @ basis)
    return out[0], out[1]
