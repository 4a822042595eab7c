"""Gradients of a batch with respect to one parameter, in the form that takes the least room.

The gradient of a matrix of n x n numbers is a sum of few outer products. Its inner product with another gradient is
``sum over pairs (rows . rows')(cols . cols')``, and the n x n numbers are never formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backprop import InputUse, Use, VectorUse

MEMORY = 1 << 27  # bytes that the intermediate arrays of one chunk of inputs may take


@dataclass(frozen=True, eq=False)
class OuterProducts:
    """Gradients of a matrix as ``sum_p rows[:, b, p] cols[:, b, p].T``, p over uses and positions; b is the input."""

    rows: np.ndarray
    cols: np.ndarray

    def products(self, other: OuterProducts, form: float) -> np.ndarray:
        """form times the inner products of the gradients of two batches, (N1, N2); a block of inputs at a time."""
        (_, n1, p1), (_, n2, p2) = self.rows.shape, other.rows.shape
        step = max(1, MEMORY // (16 * p1 * p2 * n2))
        out = np.empty((n1, n2))
        for i in range(0, n1, step):
            rows = np.tensordot(self.rows[:, i : i + step], other.rows, axes=(0, 0))
            cols = np.tensordot(self.cols[:, i : i + step], other.cols, axes=(0, 0))
            out[i : i + step] = np.einsum("apbq,apbq->ab", rows, cols)
        return form * out

    def each(self) -> np.ndarray:
        """The gradients, (N, rows, cols)."""
        return np.matmul(self.rows.transpose(1, 0, 2), self.cols.transpose(1, 2, 0))

    def total(self, weights: np.ndarray) -> np.ndarray:
        """Their weighted sum, (rows, cols)."""
        return np.tensordot(self.rows * weights[:, None], self.cols, axes=([1, 2], [1, 2]))


@dataclass(frozen=True, eq=False)
class VectorGradients:
    """Gradients of a few vectors of one width, (size, N, members)."""

    values: np.ndarray

    def products(self, other: VectorGradients, form: Any) -> np.ndarray:
        """``<M.T g, M.T g'>`` for form = M M.T: a number, or (members, members)."""
        turned = self.values * form if np.ndim(form) == 0 else self.values @ form
        return np.tensordot(turned, other.values, axes=([0, 2], [0, 2]))

    def each(self) -> np.ndarray:
        """The gradients, (N, size, members)."""
        return self.values.transpose(1, 0, 2)

    def total(self, weights: np.ndarray) -> np.ndarray:
        """Their weighted sum, (size, members)."""
        return np.tensordot(weights, self.values, (0, 1))


Tangent = OuterProducts | VectorGradients


def tangent(uses: Sequence[tuple[Use, Sequence[np.ndarray]]], inputs: int, shape: tuple[int, int]) -> Tangent:
    """n times the gradients with respect to one array of the given shape, from its uses and what `run_batch` found there."""
    if uses and not any(isinstance(use, VectorUse) for use, _ in uses):
        return _outer(uses, inputs)
    values = np.zeros((shape[0], inputs, shape[1]))
    for use, arrays in uses:
        if isinstance(use, VectorUse) and use.index is not None:
            values[:, :, use.index] += arrays[0]
        elif isinstance(use, VectorUse):
            values += arrays[0]
        else:  # input weights that are looked at as vectors elsewhere
            values += _outer([(use, arrays)], inputs).each().transpose(1, 0, 2)
    return VectorGradients(values)


def _outer(uses: Sequence[tuple[Use, Sequence[np.ndarray]]], inputs: int) -> OuterProducts:
    """Uses of one matrix, their finite axes flattened and joined."""
    rows, cols = [], []
    for use, (a, second) in uses:
        b = np.moveaxis(second, 1, 0) if isinstance(use, InputUse) else second
        axes = np.broadcast_shapes(a.shape[2:], b.shape[2:])
        rows.append(np.broadcast_to(a, (len(a), inputs, *axes)).reshape(len(a), inputs, -1))
        cols.append(np.broadcast_to(b, (len(b), inputs, *axes)).reshape(len(b), inputs, -1))
    return OuterProducts(np.concatenate(rows, axis=2), np.concatenate(cols, axis=2))


def products(a: Tangent, b: Tangent, form: Any) -> np.ndarray:
    """Inner products of the gradients of two batches with respect to one parameter, (N1, N2)."""
    if isinstance(a, OuterProducts) and isinstance(b, OuterProducts):
        return a.products(b, form)
    assert isinstance(a, VectorGradients) and isinstance(b, VectorGradients)
    return a.products(b, form)
