"""Arguments as users give them: read, or refused by an error that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import BadParameter, UnsupportedOperation

MOST = 10**9  # widths, trials, sizes
ORDERS = 10_000  # of moments and powers


def reals(value: Any, what: str, remedy: str) -> np.ndarray:
    """A number or an array of numbers as finite floats; text that looks like one is none.

    Raises
    ------
    BadParameter

    Examples
    --------
    >>> reals([1, 2], "x", "numbers")
    array([1., 2.])
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biufO" or (array.dtype == object and any(map(_no_number, array.ravel()))):
            raise TypeError
        array = array.astype(float)
        fine = bool(np.all(np.isfinite(array))) and array.size > 0
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        raise BadParameter(
            f"{what}={shown(value)}" if what.isidentifier() else f"{what}: {shown(value)}", remedy=remedy
        )
    return array


def _no_number(value: Any) -> bool:
    return value is None or isinstance(value, str | bytes | complex)


def shown(value: Any) -> str:
    """repr in a line."""
    try:
        text = repr(value).replace("\n", " ")
    except ValueError:  # an int of more digits than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def option(value: Any, options: Any, what: str) -> Any:
    """One of some words."""
    if not isinstance(value, str) or value not in options:
        raise BadParameter(f"{what}={shown(value)}", remedy=f"one of {', '.join(options)}")
    return value


def items(value: Any, what: str) -> list[Any]:
    """The members of a sequence; a text, a set or a mapping is none."""
    if isinstance(value, str | bytes | Mapping | set | frozenset) or not hasattr(value, "__iter__"):
        raise BadParameter(f"{what}: {shown(value)}", remedy="a list")
    try:
        return list(value)
    except TypeError:  # an array without axes
        raise BadParameter(f"{what}: {shown(value)}", remedy="a list") from None


def function(value: Any, what: str) -> Any:
    """Something that can be called."""
    if not callable(value):
        raise BadParameter(f"{what}={shown(value)}", remedy="a function of arrays, as np.tanh is")
    return value


def sizes(value: Any, what: str) -> tuple[int, ...]:
    """A shape: positive ints."""
    for size in items(value, what):
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 0 < size <= MOST:
            raise BadParameter(f"{what}={shown(value)}", remedy="a tuple of positive ints")
    return tuple(int(size) for size in value)


def executor(value: Any) -> Any:
    """An executor of concurrent.futures, or None."""
    if value is not None and not callable(getattr(value, "submit", None)):
        raise BadParameter(f"executor={shown(value)}", remedy="an executor of concurrent.futures")
    return value


def order(value: Any) -> int:
    """The order of a moment."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= ORDERS:
        raise BadParameter(f"the order {shown(value)}", remedy=f"an int from 0 to {ORDERS}")
    return int(value)


def on_points(f: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """A function's values at points; a constant counts as a function.

    Raises
    ------
    UnsupportedOperation
        If it does not take arrays, or gives no value per point.
    """
    try:
        values = np.asarray(function(f, "f")(x))
        if values.dtype.kind not in "biufc":
            raise TypeError(f"values of {values.dtype}")
        return np.broadcast_to(values, x.shape)
    except (TypeError, ValueError) as error:
        raise UnsupportedOperation(
            f"{shown(f)} of an array of {x.size} points: {error}", remedy="a function written in NumPy: lambda x: x**2"
        ) from error
