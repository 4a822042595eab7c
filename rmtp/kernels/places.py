"""Where a plan is evaluated: inputs one by one, all pairs of two batches, or a list of pairs.

A place says how the arrays of single inputs are laid along its last axes, and what products of inputs are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..instructions import Input
from ..networks.evaluate import run_batch
from ..program import Program
from ..ring import as_number
from .plan import CROSS, LEFT, Given, Gram, Plan, Ref

Values = dict[int, np.ndarray]
Products = Mapping[int, np.ndarray]  # by id of the Gram: (entries, N1, N2)


def given_lines(plan: Plan, x: np.ndarray) -> Values:
    """Scalar lines that depend on the input, for a batch: axes (input, finite axes)."""
    needed: set[int] = set()
    stack = [k for m in plan.moments if isinstance(m.op, Gram) for k in m.op.lines]
    stack += [m.op.line for m in plan.moments if isinstance(m.op, Given)]
    lines = plan.program.lines
    while stack:
        k = stack.pop()
        if k not in needed:
            needed.add(k)
            stack.extend(lines[k].args)
    order = sorted(needed)
    number = {k: new for new, k in enumerate(order)}
    part = Program(
        tuple(replace(lines[k], args=tuple(number[a] for a in lines[k].args)) for k in order), tuple(range(len(order)))
    )
    return dict(zip(order, run_batch(part, 1, {}, x), strict=True))


@dataclass(frozen=True, eq=False)
class Batch:
    """What depends on the inputs of one batch alone.

    Attributes
    ----------
    plan : Plan
    x : ndarray (N, \\*shape)
    given : dict line -> ndarray (N or 1, \\*finite axes)
    values : dict moment -> ndarray (.., entries, N or 1)
    """

    plan: Plan
    x: np.ndarray
    given: Values
    values: Values

    def part(self, rows: Any) -> Batch:
        """The same for some of the inputs: a slice or indices."""
        return Batch(
            self.plan,
            self.x[rows],
            {k: v if len(v) == 1 else v[rows] for k, v in self.given.items()},
            {k: v if v.shape[-1] == 1 else v[..., rows] for k, v in self.values.items()},
        )

    def channels(self, line: int) -> np.ndarray:
        """Axes (input, channel, position): an input has its channels last, a line made from it has them first."""
        values = self.given[line]
        if isinstance(self.plan.program.lines[line].op, Input):
            return values.reshape(len(values), -1, values.shape[-1]).transpose(0, 2, 1)
        return values.reshape(len(values), values.shape[1], -1)

    def vectors(self, line: int, positions: np.ndarray) -> np.ndarray:
        """Axes (entry, input, channel), contiguous: matmul of strided arrays does without BLAS."""
        return np.ascontiguousarray(self.channels(line)[:, :, positions].transpose(2, 0, 1))


@dataclass(frozen=True, eq=False)
class Alone:
    """Each input of one batch with itself: axes (.., entries, N)."""

    batch: Batch
    trailing = 1

    def fetch(self, ref: Ref, values: Values) -> np.ndarray:
        """Entries of a moment."""
        found = values[ref.moment]
        return found if ref.entries is None else found[..., ref.entries, :]

    def gram(self, op: Gram) -> np.ndarray:
        """Inner products of channels, without their variance."""
        first, second = (self.batch.vectors(k, p) for k, p in zip(op.lines, op.positions, strict=True))
        return np.einsum("qnd,qnd->qn", first, second)

    def given(self, op: Given) -> np.ndarray:
        """Entries of a line that depends on the input alone."""
        found = self.batch.given[op.line]
        return found.reshape(len(found), -1)[:, op.positions].T


@dataclass(frozen=True, eq=False)
class Grid:
    """All pairs of two batches: axes (.., entries, N1, N2)."""

    left: Batch
    right: Batch
    products: Products = field(default_factory=dict)
    trailing = 2

    def fetch(self, ref: Ref, values: Values) -> np.ndarray:
        """Entries of a moment, single inputs spread over pairs."""
        if ref.side == CROSS:
            found = values[ref.moment]
            return found if ref.entries is None else found[..., ref.entries, :, :]
        if ref.side == LEFT:
            return _single(self.left, ref)[..., :, None]
        return _single(self.right, ref)[..., None, :]

    def gram(self, op: Gram) -> np.ndarray:
        """Inner products of channels, without their variance."""
        if id(op) in self.products:
            return self.products[id(op)]
        (k, m), (i, j) = op.lines, op.positions
        a, b = self.left.channels(k), self.right.channels(m)
        if len(i) > max(a.shape[2], b.shape[2]):  # most pairs of positions: one product of everything
            first, second = np.ascontiguousarray(a.transpose(0, 2, 1)), np.ascontiguousarray(b)
            whole = (
                first[:, None] @ second[None]
            )  # (input, input', position, position'), by products that stay in one thread
            return np.ascontiguousarray(whole.transpose(2, 3, 0, 1))[i, j]
        return self.left.vectors(k, i) @ self.right.vectors(m, j).transpose(0, 2, 1)


def products(plan: Plan, left: Batch, right: Batch, limit: int) -> dict[int, np.ndarray]:
    """Inner products of whole batches, of the lines that have one position, while they fit into so many bytes.

    BLAS has threads of its own: called from those that work on tiles, they would be more than there are cores.
    """
    found: dict[int, np.ndarray] = {}
    for moment in plan.moments:
        op = moment.op
        if isinstance(op, Gram) and moment.cross and len(op.positions[0]) == 1:
            limit -= 8 * len(left.x) * len(right.x)
            if limit < 0:
                break
            a = left.vectors(op.lines[0], op.positions[0])[0]
            b = a if left is right and op.lines[0] == op.lines[1] else right.vectors(op.lines[1], op.positions[1])[0]
            found[id(op)] = (a @ b.T)[None]
    return found


_HEAD = 8


def equal_rows(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where two batches have equal inputs: the pairs of indices.

    Examples
    --------
    >>> equal_rows(np.array([[1.0], [0.0]]), np.array([[-0.0], [2.0], [1.0]]))
    (array([0, 1]), array([2, 0]))
    """
    a, b = (x.reshape(len(x), -1) for x in (first, second))
    heads = [np.ascontiguousarray(x[:, :_HEAD]) + 0.0 for x in (a, b)]  # -0.0 is 0.0
    where: dict[bytes, list[int]] = {}
    for j, row in enumerate(heads[1]):
        where.setdefault(row.tobytes(), []).append(j)
    found = [
        (i, j)
        for i, row in enumerate(heads[0])
        for j in where.get(row.tobytes(), ())
        if (first is second and i == j) or np.array_equal(a[i], b[j])
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@dataclass(frozen=True, eq=False)
class Listed:
    """Pairs one by one, equally many inputs on both sides: axes (.., entries, P, 1)."""

    left: Batch
    right: Batch
    trailing = 2

    def fetch(self, ref: Ref, values: Values) -> np.ndarray:
        """Entries of a moment."""
        if ref.side == CROSS:
            found = values[ref.moment]
            return found if ref.entries is None else found[..., ref.entries, :, :]
        return _single(self.left if ref.side == LEFT else self.right, ref)[..., :, None]

    def vectors(self, op: Gram) -> tuple[np.ndarray, np.ndarray]:
        """What meets in the products: axes (entry, pair, channel)."""
        (k, m), (i, j) = op.lines, op.positions
        return self.left.vectors(k, i), self.right.vectors(m, j)

    def gram(self, op: Gram) -> np.ndarray:
        """Inner products of channels, without their variance."""
        (k, m), (i, j) = op.lines, op.positions
        a, b = self.left.channels(k), self.right.channels(m)
        if len(i) > max(a.shape[2], b.shape[2]):  # most pairs of positions: one product of everything
            whole = np.ascontiguousarray(a.transpose(0, 2, 1)) @ np.ascontiguousarray(b)
            return np.ascontiguousarray(whole.transpose(1, 2, 0))[i, j][..., None]
        a, b = self.vectors(op)
        return np.sum(a * b, axis=-1)[..., None]


Place = Alone | Grid | Listed


def _single(batch: Batch, ref: Ref) -> np.ndarray:
    found = batch.values[ref.moment]
    return found if ref.entries is None else found[..., ref.entries, :]


# ---------------------------------------------------------------------------------------------
# linear steps


def weighted(weight: Any, trailing: int) -> Any:
    """A weight, its sweep in front of an axis of entries and the `trailing` ones of inputs."""
    if isinstance(weight, np.ndarray):
        return weight.astype(float)[(..., *[None] * (trailing + 1))]
    return float(weight) if isinstance(weight, int | Fraction) else as_number(weight)


def mixed(matrix: Any, source: np.ndarray, trailing: int) -> np.ndarray:
    """matrix @ source along the axis of entries."""
    if matrix.shape == (1, 1):
        return float(matrix.data[0]) * source if matrix.nnz else 0.0 * source
    lead, tail = source.shape[: -1 - trailing], source.shape[-trailing:]
    flat = source.reshape(*lead, source.shape[-1 - trailing], -1)
    if not lead:
        return np.asarray(matrix @ flat).reshape(matrix.shape[0], *tail)
    stacked = np.stack([matrix @ part for part in flat.reshape(-1, *flat.shape[-2:])])
    return stacked.reshape(*lead, matrix.shape[0], *tail)


def placed(part: np.ndarray, rows: np.ndarray, size: int, trailing: int) -> np.ndarray:
    """Entries added into their rows."""
    axis = -1 - trailing
    if size == 1:
        return part.sum(axis=axis, keepdims=True)
    out = np.zeros((*part.shape[:axis], size, *part.shape[axis + 1 :]))
    np.add.at(np.moveaxis(out, axis, 0), rows, np.moveaxis(part, axis, 0))
    return out
