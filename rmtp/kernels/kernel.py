"""Kernel matrices with their errors, and what is never one: numbers that are not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DivergentExpectation

_SMALL = 100.0  # an entry of less than so many errors says little about its scale


class Kernel(np.ndarray):
    """A kernel matrix that carries its error and how it was found; otherwise an ndarray.

    Attributes
    ----------
    error : float
        Of the worst entry, relative to sqrt(K(x, x) K(x', x')): a bound for closed forms and quadrature, one standard error
        where points were sampled. Kinked functions keep 1e-13 for nearly parallel and antipodal inputs where all functions
        beneath are positively homogeneous; elsewhere their tangent kernels lose 1e-15 / angle, which the error says.
    method : str

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> K = rmtp.nngp(lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n))), np.eye(2))
    >>> K.method, K.error < 1e-12
    ('closed form', True)
    """

    error: float
    method: str

    @classmethod
    def of(cls, value: np.ndarray, error: float, method: str) -> Kernel:
        """From its parts."""
        out = np.asarray(value, dtype=float).view(cls)
        out.error, out.method = float(error), method
        return out

    def __array_finalize__(self, parent: Any) -> None:
        if parent is not None:
            self.error, self.method = getattr(parent, "error", 0.0), getattr(parent, "method", "")


def finite(*arrays: np.ndarray) -> None:
    """That all numbers are.

    Raises
    ------
    DivergentExpectation
        If one is not.
    """
    for array in arrays:
        if not np.isfinite(np.sum(array)) and not np.all(np.isfinite(array)):
            raise DivergentExpectation(
                "a kernel or its error is not finite: something is divided by zero, or grows beyond what numbers hold",
                remedy="an epsilon in layer_norm for inputs of zeros, smaller variances",
            )


def raised(kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """kernel + bias, in its own memory where there is room: a second array of that size costs a third of the time."""
    if np.broadcast_shapes(kernel.shape, bias.shape) != kernel.shape:
        return np.asarray(kernel + bias)
    if np.any(bias):
        kernel += bias
    return kernel


def relative_error(value: np.ndarray, error: np.ndarray, scales: Callable[[], Sequence[np.ndarray]] | None) -> float:
    """The largest error over sqrt(K(x, x) K(x', x')), or over the largest entry where that is 0.

    Parameters
    ----------
    value, error : ndarray (.., N1, N2)
    scales : callable, optional
        K(x, x) of both sides; None: those of the diagonal of `value`. Called only if some error is above a hundredth of
        its entry, whose size bounds the geometric mean from below.

    Examples
    --------
    >>> relative_error(np.array([[4.0, 0.0], [0.0, 1.0]]), np.full((2, 2), 1e-12), None)
    1e-12
    """
    error = np.broadcast_to(error, value.shape)
    finite(value, error)
    size = np.abs(value)
    if np.any(_SMALL * error > size) or scales is None:
        first, second = [np.diagonal(value, axis1=-2, axis2=-1)] * 2 if scales is None else scales()
        size = np.sqrt(np.maximum(first, 0.0))[..., :, None] * np.sqrt(np.maximum(second, 0.0))[..., None, :]
    largest = np.max(np.abs(value), initial=0.0) or 1.0
    return float(np.max(error / np.where(size > 0, size, largest), initial=0.0))
