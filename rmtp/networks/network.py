"""A network: a function of one input, traced once into forward and gradient programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arguments import sizes
from ..backprop import Gradient, backprop, check_average
from ..ensembles import Number
from ..errors import BadParameter
from ..handles import Scalar, Vector
from ..instructions import Input
from .layers import Output

_LARGEST = 1e70  # determinants of covariances are fourth powers


@dataclass(frozen=True, eq=False)
class Traced:
    """One trace of a network: its parameters are the same objects for every input.

    Attributes
    ----------
    input : Scalar
        The placeholder, with the shape of one input.
    output : Output
    summand : Vector
        y, with the output ``sqrt(n) * mean(y)`` or ``mean(y)``.
    """

    input: Scalar
    output: Output
    summand: Vector

    @cached_property
    def gradient(self) -> Gradient:
        """The gradient program of the output; NNGP kernels do without, and so without derivatives."""
        return backprop(self.output.average)

    @property
    def bias_variance(self) -> Number:
        """Variance of the output bias."""
        return self.output.bias_variance


def trace(net: Callable[[Any], Any], shape: Sequence[int]) -> Traced:
    """A network's programs for inputs of one shape.

    Parameters
    ----------
    net : callable
        Takes an input of that shape, returns ``rmtp.readout(..)`` or an average ``np.mean(y)``.
    shape : sequence of int

    Returns
    -------
    Traced

    Raises
    ------
    BadParameter
        If `net` is not callable or does not end in an output.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> traced = trace(lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, n))), (3,))
    >>> traced.summand
    (v*tanh(matmul(..., x)))
    """
    if not callable(net):
        raise BadParameter(f"{net!r} is not a network", remedy="a function of one input that ends in rmtp.readout(h)")
    _check_takes_one(net)
    x = Scalar(Input("x"), (), None, tuple(("", size) for size in sizes(shape, "shape")), "x")
    out = net(x)
    if isinstance(out, Vector):
        raise BadParameter(
            f"the network returned the vector {out!r}",
            remedy="end with rmtp.readout(h), or np.mean(h) for a mean-pool readout",
        )
    output = out if isinstance(out, Output) else Output(out)
    summand = check_average(output.average)
    return Traced(x, output, summand)


def _check_takes_one(net: Callable[[Any], Any]) -> None:
    try:
        takes = inspect.signature(net)
    except (TypeError, ValueError):  # a function of C code has none
        return
    try:
        takes.bind(None)
    except TypeError as error:
        raise BadParameter(
            f"a network that does not take one input: {error}",
            remedy="lambda x: net(x, ...) for a layer or a function of more",
        ) from None


def batch(x: Any, what: str = "X") -> np.ndarray:
    """Inputs as a float array, one per row.

    Raises
    ------
    BadParameter
        If there is no batch axis, a number is not finite, or fourth powers of an input overflow or underflow.
    """
    try:
        given = np.asarray(x)
        if given.dtype.kind not in "biufO" or np.any(np.ma.getmaskarray(x) if np.ma.isMaskedArray(x) else False):
            raise TypeError
        array = np.asarray(x, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise BadParameter(
            f"{what} is not an array of numbers", remedy="inputs of one shape, stacked along axis 0"
        ) from None
    if array.ndim < 2 or array.shape[0] == 0 or array.size == 0:
        raise BadParameter(
            f"{what} of shape {array.shape}", remedy="one input per row: shape (N, d), (N, T, d) or (N, H, W, d)"
        )
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))[0]
        raise BadParameter(f"{what} holds {array[tuple(bad)]} at {tuple(int(b) for b in bad)}", remedy="finite inputs")
    largest = np.max(np.abs(array), axis=tuple(range(1, array.ndim)))
    bad = np.flatnonzero((largest > _LARGEST) | ((largest > 0) & (largest < 1 / _LARGEST)))
    if len(bad):
        raise BadParameter(
            f"{what}[{bad[0]}] is of size {largest[bad[0]]:.3g}, whose fourth power is beyond the range of floats",
            remedy="scaled inputs, or zeros",
        )
    return array
