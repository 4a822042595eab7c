"""Arguments of the methods of a law."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import order, shown
from ..errors import BadParameter


def real_points(x: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    try:
        array = np.asarray(x)
        if array.dtype.kind not in "biufO":
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise BadParameter(f"{shown(x)} is not real", remedy="real numbers, or an array of them") from None
    if np.isnan(array).any():
        raise BadParameter("nan among the points", remedy="real numbers")
    return array.ravel(), array.shape


def probabilities(q: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    flat, shape = real_points(q)
    if np.any((flat < 0) | (flat > 1)):
        raise BadParameter(f"ppf: q = {shown(q)} is no probability", remedy="0 <= q <= 1")
    return flat, shape


def shaped(flat: np.ndarray, shape: tuple[int, ...]) -> Any:
    return flat.reshape(shape) if shape else float(flat[0])


def moment_order(k: Any) -> int:
    return order(k)


def complex_points(z: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(z)
        if array.dtype.kind not in "biufcO":
            raise TypeError
        array = array.astype(complex)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    if not np.all(np.isfinite(array)):
        raise BadParameter(f"{what} at {shown(z)}", remedy="finite complex numbers")
    return array
