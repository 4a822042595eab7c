"""The algebra of finite axes: names and lengths under NumPy's broadcasting and indexing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import AxisError

Axes = tuple[tuple[str, int], ...]


def broadcast(what: str, vectors: Sequence[Axes], scalars: Sequence[Axes]) -> Axes:
    """The axes of a coordinatewise function.

    Vectors need one number of axes, since their first axis is the width; scalars broadcast from the right.

    Raises
    ------
    AxisError
        If they do not broadcast, or axes of different names meet.
    """
    rank = max(map(len, vectors or scalars), default=0)
    if any(len(axes) != rank for axes in vectors) or any(len(axes) > rank for axes in scalars):
        raise AxisError(
            f"{what}: axes {[list(a) for a in vectors]} of vectors, {[list(a) for a in scalars]} of scalars do not broadcast",
            remedy="as in NumPy, give vectors the same number of axes (x[:, None]); a sweep is rmtp.parameter(values)",
        )
    out: list[tuple[str, int]] = []
    for back in range(rank, 0, -1):
        found = ("", 1)
        for axes in (*vectors, *scalars):
            if len(axes) >= back:
                found = _met(what, found, axes[-back])
        out.append(found)
    return tuple(out)


def _met(what: str, a: tuple[str, int], b: tuple[str, int]) -> tuple[str, int]:
    """Two axes in one place: one of length 1 gives way, else names and lengths agree."""
    if a[1] == 1 or b[1] == 1:
        longer, other = (a, b) if a[1] > b[1] else (b, a)
        return (longer[0] or (other[0] if other[1] == longer[1] else ""), longer[1])
    if a[1] != b[1] or (a[0] and b[0] and a[0] != b[0]):
        raise AxisError(f"{what}: axis {a} meets axis {b}", remedy="axes that meet share name and length")
    return (a[0] or b[0], a[1])


def indexed(what: str, axes: Axes, index: tuple[Any, ...]) -> tuple[Axes, tuple[Any, ...]]:
    """The axes left by an index, and the index in hashable form (slices as triples).

    Raises
    ------
    AxisError
        If the index is out of range, or anything but integers, slices, None and an ellipsis.
    """
    try:
        shape = np.empty([size for _, size in axes], dtype=np.int8)[index].shape
    except IndexError as error:
        raise AxisError(f"{what}: {error}", remedy=f"its finite axes are {list(axes)}") from None
    for k, item in enumerate(index):
        if item is Ellipsis:
            missing = len(axes) - sum(i is not None and i is not Ellipsis for i in index)
            index = index[:k] + (slice(None),) * missing + index[k + 1 :]
            break
    kept: list[tuple[str, int]] = []
    position = 0
    for item in index:
        if item is None:
            kept.append(("", 1))
        elif isinstance(item, slice):
            kept.append((axes[position][0], shape[len(kept)]))
            position += 1
        elif isinstance(item, int | np.integer):
            position += 1
        else:
            raise AxisError(f"{what}: indexing with {type(item).__name__}", remedy="integers, slices and None")
    static = tuple(item if not isinstance(item, slice) else (item.start, item.stop, item.step) for item in index)
    return (*kept, *axes[position:]), static
