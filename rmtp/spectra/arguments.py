"""Arguments of the methods of a law."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import BadParameter


def real_points(x: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    try:
        array = np.asarray(x, dtype=float)
    except (TypeError, ValueError):
        raise BadParameter(f"{x!r} is not real", remedy="real numbers, or an array of them") from None
    if np.isnan(array).any():
        raise BadParameter("nan among the points", remedy="real numbers")
    return array.ravel(), array.shape


def shaped(flat: np.ndarray, shape: tuple[int, ...]) -> Any:
    return flat.reshape(shape) if shape else float(flat[0])


def moment_order(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise BadParameter(f"the order {k!r}", remedy="an int >= 0")
    return int(k)
