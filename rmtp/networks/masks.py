"""Dropout: masks that are new for every input, where everything else that is random in a network is shared by all inputs."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from ..errors import BadParameter
from ..handles import Vector, plain
from ..instructions import FreshSource, Init
from ..laws import Discrete
from .layers import check_vector


def dropout(x: Vector, rate: Any) -> Vector:
    """x with a share `rate` of its entries set to 0 and the others divided by 1 - rate, anew for every input.

    Law: ``E y y' = E x x'`` between two inputs and between positions, ``E y^2 = E x^2 / (1 - rate)`` of one input with itself.

    Parameters
    ----------
    x : Vector (width, \\*positions)
    rate : number in [0, 1)

    Returns
    -------
    Vector (width, \\*positions)

    Raises
    ------
    UnsupportedOperation
        If x is not a vector.
    BadParameter
        If the rate is none.

    Notes
    -----
    The kernels are those of training, with masks. Of two equal inputs each has a mask of its own: only the diagonal of
    ``K(X)`` is an input with itself, and ``K(X, X)`` has no such entries.
    Schoenholz et al. 2017 (1611.01232), Section 5: correlations of equal inputs have no fixed point at 1.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, nets = rmtp.Dim("n"), rmtp.networks
    >>> net = lambda x: rmtp.readout(nets.dropout(rmtp.relu(nets.dense(x, n, 2**0.5)), 0.5))
    >>> rmtp.nngp(net, [[1.0], [1.0]]).round(12)
    array([[2., 1.],
           [1., 2.]])
    """
    x = check_vector(x, "dropout")
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
        raise BadParameter(f"a dropout rate of {rate!r}", remedy="a number in [0, 1)")
    if rate == 0:
        return x
    assert x.dim is not None
    kept = 1 - plain(rate)
    shape = tuple(size for _, size in x.axes)
    source = FreshSource(x.dim, Discrete([0, 1 / kept], [plain(rate), kept]), int(np.prod(shape)))
    masks = Vector(Init(source, None), (), x.dim, (("", source.size),), "mask")
    return x * (masks.reshape(x.dim, *shape) if shape else masks[:, 0])


__all__ = ["dropout"]
