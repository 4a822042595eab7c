"""Many small sparse linear systems of one structure, solved together.

The order of elimination is found once (least fill first); then every arithmetic operation acts on a whole grid of points.
A chain of layers therefore costs its length, not its cube. No pivots are sought: the caller iterates Newton's method, whose
residual judges the result, and falls back to a dense solver where this one fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

Entry = tuple[int, int]


@dataclass(frozen=True)
class Elimination:
    """Pivots in order; per pivot the rows below it and the columns right of it that are not zero."""

    size: int
    steps: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]


def plan(size: int, entries: Iterable[Entry], late: Collection[int] = ()) -> Elimination:
    """The elimination of a matrix with non-zeros at `entries` (and on the diagonal), least fill first, `late` last."""
    rows: dict[int, set[int]] = {i: set() for i in range(size)}  # row -> columns
    cols: dict[int, set[int]] = {i: set() for i in range(size)}
    for i, j in entries:
        if i != j:
            rows[i].add(j)
            cols[j].add(i)
    left = set(range(size))
    steps = []
    while left:
        k = min(left, key=lambda i: (len(rows[i]) * len(cols[i]), i in late, i))
        left.discard(k)
        below, right = tuple(sorted(cols[k])), tuple(sorted(rows[k]))
        steps.append((k, below, right))
        for i in below:
            rows[i].discard(k)
            new = {j for j in right if j != i}
            rows[i] |= new
            for j in new:
                cols[j].add(i)
        for j in right:
            cols[j].discard(k)
    return Elimination(size, tuple(steps))


def solve(
    how: Elimination, matrix: Mapping[Entry, np.ndarray], right: list[list[np.ndarray]]
) -> list[list[np.ndarray]]:
    """Solutions for several right-hand sides ``right[rhs][row]``, each entry an array over the points."""
    a = dict(matrix)
    b = [list(side) for side in right]
    for k, below, beside in how.steps:
        inverse = 1 / a[k, k]
        for i in below:
            if (i, k) not in a:
                continue
            factor = a.pop((i, k)) * inverse
            for j in beside:
                if (k, j) in a:
                    update = factor * a[k, j]
                    a[i, j] = a[i, j] - update if (i, j) in a else -update
            for side in b:
                side[i] = side[i] - factor * side[k]
    for k, _, beside in reversed(how.steps):
        for side in b:
            value = side[k]
            for j in beside:
                if (k, j) in a:
                    value = value - a[k, j] * side[j]
            side[k] = value / a[k, k]
    return b
