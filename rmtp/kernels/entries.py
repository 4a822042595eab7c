"""Positions as integers: where the entries of a line along its finite axes come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..instructions import Apply, Arithmetic, Combine, Init, InputMatrix, Line, MatVec, Parameter


def broadcast_entries(at: np.ndarray, out: tuple[int, ...], source: tuple[int, ...]) -> np.ndarray:
    """Flat positions in an argument of shape `source` that was broadcast from the right to `out`."""
    if out == source or not source:
        return at if source else np.zeros_like(at)
    index = np.unravel_index(at, out)[len(out) - len(source) :]
    kept = [i if size > 1 else np.zeros_like(i) for i, size in zip(index, source, strict=True)]
    return np.ravel_multi_index(kept, source)


def linear_entries(tracer: Any, line: Line, at: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray | None, Any]]:
    """A linear map on finite axes, entry by entry.

    Yields
    ------
    (argument, its positions, rows of the result or None for one to one, weights)
        Weights are None for ones, numbers, or (line, positions) of a scalar line.
    """
    op = line.op
    assert isinstance(op, Combine)
    shapes = [tracer.shapes[a] for a in line.args]
    out = tuple(size for _, size in line.axes)
    base = np.arange(int(np.prod(shapes[0]))).reshape(shapes[0])
    match op.kind:
        case "index":
            yield line.args[0], base[_index(op.detail)].ravel()[at], None, None
        case "transpose":
            yield line.args[0], np.transpose(base, op.detail).ravel()[at], None, None
        case "reshape":
            yield line.args[0], at, None, None
        case "scatter":
            index, shape = op.detail
            table = np.full(shape, -1)
            table[_index(index)] = base
            places = table.ravel()[at]
            inside = np.flatnonzero(places >= 0)
            if len(inside):
                yield line.args[0], places[inside], None if len(inside) == len(at) else inside, None
        case "stack":
            where = np.unravel_index(at, out)
            which = where[op.detail[0]]
            others = [i for j, i in enumerate(where) if j != op.detail[0]]
            places = np.ravel_multi_index(others, shapes[0]) if others else np.zeros_like(at)
            for k, a in enumerate(line.args):
                rows = np.flatnonzero(which == k)
                if len(rows):
                    yield a, places[rows], rows, None
        case "sum":
            moved = np.moveaxis(base, op.detail[0], -1)
            table = moved.reshape(-1, moved.shape[-1])[at]
            yield line.args[0], table.ravel(), np.repeat(np.arange(len(at)), table.shape[1]), None
        case "matmul":
            yield from _matmul(tracer, line, at, out, shapes)
        case _:
            raise AssertionError(op.kind)


def _matmul(
    tracer: Any, line: Line, at: np.ndarray, out: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None, Any]]:
    a, b = line.args
    terms = shapes[0][-1]
    columns = shapes[1][1] if len(shapes[1]) == 2 else 1
    lead, column = (at // columns, at % columns) if len(shapes[1]) == 2 else (at, np.zeros_like(at))
    rows = np.repeat(np.arange(len(at)), terms)
    inner = np.tile(np.arange(terms), len(at))
    places = np.repeat(lead, terms) * terms + inner
    other = inner * columns + np.repeat(column, terms)
    op = tracer.lines[b].op
    if isinstance(op, Parameter) and isinstance(op.value, np.ndarray) and not op.swept:
        weights = np.asarray(op.value, dtype=float).ravel()[other]
        kept = np.flatnonzero(weights)
        if len(kept):
            weights = weights[kept]
            yield a, places[kept], rows[kept], None if np.all(weights == 1) else weights
        return
    yield a, places, rows, (b, other)


def _index(detail: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(*d) if isinstance(d, tuple) else d for d in detail)


def positions(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where integers stand in a sorted table that has them all: by a table of all integers where they lie close together."""
    top = int(table[-1]) + 1 if len(table) else 0
    if not top or top > 8 * (len(table) + len(wanted)):
        return np.searchsorted(table, wanted)
    place = np.empty(top, dtype=np.int64)
    place[table] = np.arange(len(table))
    return place[wanted]


def union(asked: list[np.ndarray]) -> np.ndarray:
    """All codes asked for, sorted; by a table where the codes are dense, which sorting is ten times slower than."""
    first = asked[0]
    if len(asked) == 1 and np.all(np.diff(first) > 0):
        return first
    top = max((int(a.max(initial=-1)) for a in asked), default=-1) + 1
    if top > 64 * sum(map(len, asked)) + 1024:
        return np.unique(np.concatenate(asked))
    table = np.zeros(top, dtype=bool)
    for a in asked:
        table[a] = True
    return np.flatnonzero(table)


def pairings(items: list[int]) -> list[list[tuple[int, int]]]:
    """All ways to pair up an even number of items (Wick)."""
    if not items:
        return [[]]
    first, *rest = items
    out = []
    for k, other in enumerate(rest):
        out += [[(first, other), *p] for p in pairings(rest[:k] + rest[k + 1 :])]
    return out


class Support:
    """At which pairs of positions E[Z^a Z^b'] can differ from zero, for structural reasons.

    Only what makes pairs of positions superfluous is looked for: readout weights of their own at every position.
    """

    def __init__(self, tracer: Any) -> None:
        self.tracer = tracer
        self._known: dict[tuple[int, int], np.ndarray] = {}
        self._leaders = [self._leader(k) for k in range(len(tracer.lines))]

    def of(self, a: int, b: int) -> np.ndarray:
        """A boolean table, positions of a by positions of b; computed without recursion."""
        stack = [(a, b)]
        while stack:
            pair = stack[-1]
            if pair in self._known:
                stack.pop()
                continue
            parts = self._parts(*pair)
            missing = [p for p in parts if p not in self._known] if isinstance(parts, list) else []
            if missing:
                stack += missing
                continue
            self._known[pair] = self._table(*pair)
            stack.pop()
        return self._known[a, b]

    def _leader(self, number: int) -> int | None:
        """The one centred Gaussian factor of a product, if the other factor does not share its sources."""
        line = self.tracer.lines[number]
        if line.is_scalar or not (isinstance(line.op, Apply) and line.op.fn == Arithmetic("multiply")):
            return None
        vectors = [a for a in line.args if not self.tracer.lines[a].is_scalar]
        if len(vectors) == 1:
            return vectors[0]
        families = [self.tracer.families[a] for a in vectors]
        if families[0] & families[1]:
            return None
        centred = [a for a in vectors if self.tracer.is_centred[a]]
        return centred[0] if len(centred) == 1 else None

    def _parts(self, a: int, b: int) -> list[tuple[int, int]]:
        """The pairs whose tables this one is made of."""
        first, second = self.tracer.lines[a], self.tracer.lines[b]
        if not self.tracer.families[a] & self.tracer.families[b]:
            return []
        if isinstance(first.op, MatVec) and isinstance(second.op, MatVec):
            return [(first.args[0], second.args[0])]
        if self._opens(a):
            return [(k, b) for k in self._arguments(a)]
        if self._opens(b):
            return [(a, k) for k in self._arguments(b)]
        return []

    def _opens(self, k: int) -> bool:
        line = self.tracer.lines[k]
        if isinstance(line.op, Combine):
            return not self.tracer._is_input_product(line)
        if isinstance(line.op, Apply) and isinstance(line.op.fn, Arithmetic):
            return line.op.fn.name in ("add", "subtract", "divide") or self._leaders[k] is not None
        return False

    def _arguments(self, k: int) -> list[int]:
        line = self.tracer.lines[k]
        if isinstance(line.op, Apply) and self._leaders[k] is not None:
            return [self._leaders[k]]  # type: ignore[list-item]
        return [a for a in line.args if not self.tracer.lines[a].is_scalar]

    def _table(self, a: int, b: int) -> np.ndarray:
        lines, sizes = self.tracer.lines, self.tracer.sizes
        shape = (sizes[a], sizes[b])
        first, second = lines[a], lines[b]
        if not self.tracer.families[a] & self.tracer.families[b]:
            independent = not (self.tracer.is_centred[a] or self.tracer.is_centred[b])
            return np.full(shape, independent)
        if isinstance(first.op, MatVec) and isinstance(second.op, MatVec):
            return self._known[first.args[0], second.args[0]]
        if self._opens(a):
            return self._opened(a, b, False)
        if self._opens(b):
            return self._opened(b, a, True)
        if isinstance(first.op, Init) and isinstance(second.op, Init):
            if isinstance(first.op.source, InputMatrix) and shape[0] == shape[1] and shape[0] > 1:
                return np.eye(shape[0], dtype=bool)
        return np.ones(shape, dtype=bool)

    def _opened(self, k: int, other: int, turned: bool) -> np.ndarray:
        tracer = self.tracer
        line = tracer.lines[k]
        out = np.zeros((tracer.sizes[k], tracer.sizes[other]), dtype=bool)
        at = np.arange(tracer.sizes[k])
        if isinstance(line.op, Combine):
            pieces = [(a, places, rows) for a, places, rows, _ in linear_entries(tracer, line, at)]
        else:
            pieces = [(a, broadcast_entries(at, tracer.shapes[k], tracer.shapes[a]), None) for a in self._arguments(k)]
        for a, places, rows in pieces:
            known = self._known[(other, a)].T if turned else self._known[(a, other)]
            if rows is None:
                out |= known[places]
            elif isinstance(line.op, Combine) and line.op.kind in ("sum", "matmul"):  # several terms in one row
                np.logical_or.at(out, rows, known[places])
            else:
                out[rows] |= known[places]
        return out.T if turned else out
