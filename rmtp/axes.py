"""Values along finite axes: an array of forms or of numbers, one per index.

A wrapper of its own, because an ndarray already means a sweep of one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .normal import Form, add, scale
from .results import Estimate


@dataclass(frozen=True, eq=False)
class Along:
    """Forms or numbers along finite axes, in an object array."""

    array: np.ndarray

    @classmethod
    def of(cls, items: Sequence[Any], shape: tuple[int, ...]) -> Along:
        """From a flat list (arrays among the items stay items)."""
        out = np.empty(len(items), dtype=object)
        for k, item in enumerate(items):
            out[k] = item
        return cls(out.reshape(shape))


def over_axes(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """f along the broadcast finite axes of its arguments; without axes, f itself."""
    if not any(isinstance(a, Along) for a in args):
        return f(*args)
    arrays = [a.array if isinstance(a, Along) else Along.of([a], ()).array for a in args]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    spread = [np.broadcast_to(a, shape) for a in arrays]
    return Along.of([f(*(s[index] for s in spread)) for index in np.ndindex(shape)], shape)


def _plus(a: Any, b: Any) -> Any:
    return add(a, b) if isinstance(a, Form) else a + b


def _times(a: Any, factor: Any) -> Any:
    return scale(a, factor) if isinstance(a, Form) else a * factor


def _total(items: Sequence[Any]) -> Any:
    out = items[0]
    for item in items[1:]:
        out = _plus(out, item)
    return out


def combine(kind: str, detail: tuple[Any, ...], args: Sequence[Any]) -> Any:
    """The linear maps on finite axes, with NumPy's meaning."""
    arrays = [a.array if isinstance(a, Along) else Along.of([a], ()).array for a in args]
    match kind:
        case "index":
            index = tuple(slice(*d) if isinstance(d, tuple) else d for d in detail)
            out = np.empty((), dtype=object)
            picked = arrays[0][index]
            if not isinstance(picked, np.ndarray):
                return picked
            out = picked
        case "scatter":
            index, shape = detail
            zero = Form({}) if isinstance(arrays[0].ravel()[0], Form) else 0
            out = _fill(shape, lambda _: zero)
            # [()] takes the form out of an array without axes, which would be stored as an array inside the array
            out[tuple(slice(*d) if isinstance(d, tuple) else d for d in index)] = arrays[0][()]
        case "sum":
            (at,) = detail
            moved = np.moveaxis(arrays[0], at, -1)
            out = _fill(moved.shape[:-1], lambda k: _total(list(moved[k])))
        case "matmul":
            a, b = arrays
            table = b if b.ndim == 2 else b[:, None]
            shape = (*a.shape[:-1], table.shape[1])
            out = _fill(
                shape,
                lambda k: _total([_times(a[(*k[:-1], j)], table[j, k[-1]]) for j in range(table.shape[0])]),
            )
            out = out if b.ndim == 2 else out[..., 0]
        case "transpose":
            out = np.transpose(arrays[0], detail)
        case "reshape":
            out = arrays[0].reshape(detail[0])
        case "stack":
            out = np.stack(arrays, axis=detail[0])
        case _:
            raise AssertionError(kind)
    return Along(out) if isinstance(out, np.ndarray) and out.ndim else out[()] if isinstance(out, np.ndarray) else out


def _fill(shape: tuple[int, ...], f: Callable[[tuple[int, ...]], Any]) -> np.ndarray:
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        out[index] = f(index)
    return out


def stacked(estimates: Sequence[Estimate], shape: tuple[int, ...]) -> Estimate:
    """Estimates along axes as one `Estimate` of arrays, with the least exact method of all."""
    order = ("exact", "algebra", "closed form", "mehler", "quadrature", "sobol")
    method = max((e.method for e in estimates), key=order.index)
    first = np.shape(estimates[0].value)
    rational = all(np.ndim(e.value) == 0 and not isinstance(e.value, float) for e in estimates)
    values = np.empty(len(estimates), dtype=object) if rational else np.empty((len(estimates), *first))
    errors = np.empty((len(estimates), *first))
    for k, e in enumerate(estimates):
        values[k], errors[k] = e.value, e.error
    notes = tuple(dict.fromkeys(note for e in estimates for note in e.notes))
    return Estimate(values.reshape(shape + first), errors.reshape(shape + first), method, notes)
