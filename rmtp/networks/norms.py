"""Normalisation over the width: statistics that converge to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..catalogue import SQRT
from ..errors import BadParameter
from ..handles import Node, Vector, apply
from .layers import check_vector


def layer_norm(x: Vector, epsilon: Any = 0) -> Vector:
    """``(x - mean) / sqrt(var + epsilon)``, mean and variance over the width, position by position.

    No gain and no shift of its own: multiply by ``rmtp.Normal(n, mean=1, cov=..)`` or add one for them.

    Parameters
    ----------
    x : Vector (width, \\*positions)
    epsilon : number >= 0
        With 0, an x whose coordinates are all equal has no limit.

    Returns
    -------
    Vector (width, \\*positions)

    Raises
    ------
    UnsupportedOperation
        If x is not a vector.
    BadParameter
        If epsilon is negative.

    Notes
    -----
    TP II (2006.14548), Appendix D. Needs Theorem E.15 of TP III (2009.10685): the variance must not vanish.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = rmtp.networks.layer_norm(3 + 2 * rmtp.Normal(n))
    >>> [float(e) for e in rmtp.limit([np.mean(x), np.mean(x**2)])]
    [0.0, 1.0]
    """
    x = check_vector(x, "layer_norm")
    _check_epsilon(epsilon)
    centred = x - np.mean(x, axis=0)
    return centred / apply(SQRT, np.mean(centred**2, axis=0) + epsilon)


def rms_norm(x: Vector, epsilon: Any = 0) -> Vector:
    """``x / sqrt(mean(x**2) + epsilon)``, the mean over the width, position by position.

    Parameters
    ----------
    x : Vector (width, \\*positions)
    epsilon : number >= 0

    Returns
    -------
    Vector (width, \\*positions)

    Raises
    ------
    UnsupportedOperation
        If x is not a vector.
    BadParameter
        If epsilon is negative.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = rmtp.networks.rms_norm(1 + rmtp.Normal(n))
    >>> [round(float(e), 12) for e in rmtp.limit([np.mean(x) ** 2, np.mean(x**2)])]
    [0.5, 1.0]
    """
    x = check_vector(x, "rms_norm")
    _check_epsilon(epsilon)
    return x / apply(SQRT, np.mean(x**2, axis=0) + epsilon)


def _check_epsilon(epsilon: Any) -> None:
    if not isinstance(epsilon, Node) and not (np.ndim(epsilon) == 0 and 0 <= epsilon < np.inf):
        raise BadParameter(f"epsilon={epsilon!r}", remedy="a number >= 0, or rmtp.parameter(values) for a sweep")


__all__ = ["layer_norm", "rms_norm"]
