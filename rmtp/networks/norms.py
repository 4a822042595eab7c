"""Normalisation over the width: statistics that converge to numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
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


def batch_norm(x: Vector, epsilon: Any = 1e-3) -> Vector:
    """``(x - mean) / sqrt(var + epsilon)`` over the last axis, which is a batch; every neuron by itself.

    A network with batch normalisation takes a whole batch as its input, (B, d), and couples its rows: K between row a of one
    batch and row b of another is that of ``readout(h[:, a])``.

    Parameters
    ----------
    x : Vector (width, \\*positions, batch)
    epsilon : number >= 0
        With 0 the gradient of a constant batch is infinite: there is the NNGP kernel, and no tangent kernel.

    Returns
    -------
    Vector (width, \\*positions, batch)

    Raises
    ------
    UnsupportedOperation
        If x is not a vector.
    BadParameter
        If epsilon is negative, the batch has one row, or the gradient is asked for with epsilon = 0.

    Notes
    -----
    The function couples B Gaussians. Kernels are computed pair by pair; before a positively homogeneous function (ReLU) by one
    integral for every batch that meets, whatever B (`rmtp.expect.radial`), before others by quadrature in up to three
    dimensions, and sampled with a stated error beyond.
    TP II (2006.14548), Appendix E.4, Equations 36-39 and footnote 17.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.batch_norm(rmtp.networks.dense(x, n), 0.1))[:, 0])
    >>> K = rmtp.nngp(net, np.eye(3)[None])
    >>> K.shape, K.method
    ((1, 1), 'quadrature')
    """
    x = check_vector(x, "batch_norm")
    _check_epsilon(epsilon)
    if not x.axes or x.axes[-1][1] < 2:
        raise BadParameter(f"batch_norm of shape {x.shape}", remedy="a batch of at least two rows as the last axis")
    axis = x.ndim - 1
    place = (slice(None),) * axis + (None,)
    centred = x - x.mean(axis=axis)[place]
    variance = (centred**2).mean(axis=axis)[place]
    if not isinstance(epsilon, Node) and epsilon == 0:
        return centred / apply(_FORWARD_ROOT, variance)
    return centred / np.sqrt(variance + epsilon)


def _no_gradient() -> Any:
    raise BadParameter(
        "the gradient of batch_norm with epsilon=0", remedy="epsilon > 0: it is singular where a batch is constant"
    )


_FORWARD_ROOT = replace(SQRT, partials=_no_gradient, params=("forward",))


def _check_epsilon(epsilon: Any) -> None:
    known = isinstance(epsilon, int | float | Fraction | np.number) and 0 <= epsilon < np.inf
    if not isinstance(epsilon, Node) and not known:
        raise BadParameter(f"epsilon={epsilon!r}", remedy="a number >= 0, or rmtp.parameter(values) for a sweep")


__all__ = ["batch_norm", "layer_norm", "rms_norm"]
