"""Losses as data: value and gradient in the outputs, and which targets make sense. All are sums over samples and outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter
from ..likelihood import numbers
from ..special import expit

_STEP = 1e-5  # central differences: errors of 1e-10 relative to third derivatives
_AGREE = 1e-5


@dataclass(frozen=True, eq=False)
class Loss:
    """A differentiable loss of one sample, summed over samples.

    Attributes
    ----------
    value : callable
        ``value(f, y)``: outputs and targets (.., N, C) to losses (.., N).
    gradient : callable
        ``gradient(f, y)``: its derivative in f, (.., N, C).
    name : str
    check : callable, optional
        ``check(y)`` raises for targets outside their range.

    Examples
    --------
    >>> import numpy as np
    >>> quartic = Loss(lambda f, y: np.sum((f - y) ** 4, axis=-1) / 4, lambda f, y: (f - y) ** 3, "quartic")
    >>> quartic.gradient(np.array([[3.0]]), np.array([[1.0]]))
    array([[8.]])
    """

    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]
    name: str = "loss"
    check: Callable[[np.ndarray], None] | None = None

    def __repr__(self) -> str:
        return f"<Loss {self.name}>"


def _squared(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum((f - y) ** 2, axis=-1) / 2)


def _residual(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    return f - y


def _cross_entropy(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    top = f.max(axis=-1, keepdims=True)
    log = f - top - np.log(np.sum(np.exp(f - top), axis=-1, keepdims=True))
    return np.asarray(-np.sum(y * log, axis=-1))


def _softmax_residual(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    e = np.exp(f - f.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True) - y)


def _distributions(y: np.ndarray) -> None:
    if y.shape[-1] < 2 or np.any(y < 0) or np.any(np.abs(y.sum(axis=-1) - 1) > 1e-9):
        raise BadParameter(
            f"targets of shape {y.shape} that are no probabilities of classes",
            remedy="rows of numbers >= 0 that sum to 1, one column per class: rmtp.training.class_targets(labels)",
        )


def _log1pexp(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum(np.logaddexp(0.0, -y * f), axis=-1))


def _logistic_residual(f: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(-y * expit(-y * f))


def _signs(y: np.ndarray) -> None:
    if not np.all(np.abs(y) == 1):
        worst = float(y[np.abs(y) != 1][0])
        raise BadParameter(f"a logistic target of {worst:g}", remedy="labels -1 and 1: 2 * y - 1 for labels 0 and 1")


squared = Loss(_squared, _residual, "squared error")
softmax_cross_entropy = Loss(_cross_entropy, _softmax_residual, "softmax cross-entropy", _distributions)
logistic = Loss(_log1pexp, _logistic_residual, "logistic", _signs)


def huber(width: float = 1.0) -> Loss:
    """Squared error near the target and absolute error beyond: ``e**2/2`` for |e| <= width, else ``width (|e| - width/2)``.

    Examples
    --------
    >>> import numpy as np
    >>> huber(1.0).value(np.array([[0.5], [3.0]]), np.zeros((2, 1)))
    array([0.125, 2.5  ])
    """
    if isinstance(width, bool) or not isinstance(width, int | float | np.number) or not 0 < width < np.inf:
        raise BadParameter(f"width={width!r}", remedy="a finite number above 0")

    def value(f: np.ndarray, y: np.ndarray) -> np.ndarray:
        e = np.abs(f - y)
        near = np.minimum(e, width)
        return np.asarray(np.sum(near * (e - near / 2), axis=-1))

    return Loss(value, lambda f, y: np.clip(f - y, -width, width), f"Huber of width {width:g}")


def class_targets(labels: Any, classes: int | None = None) -> np.ndarray:
    """Labels 0, 1, .. as rows of probabilities for `softmax_cross_entropy`.

    Parameters
    ----------
    labels : array of int (N,)
    classes : int, optional
        C; by default the largest label and one.

    Returns
    -------
    ndarray (N, C)

    Raises
    ------
    BadParameter
        For labels that are no whole numbers, or outside 0 .. C - 1.

    Examples
    --------
    >>> class_targets([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    y = numbers(labels, "labels", (1,))
    if y.size == 0 or np.any(y != np.floor(y)) or np.any(y < 0):
        raise BadParameter(
            f"labels {y[:5]}", remedy="whole numbers 0, 1, .., C - 1; np.unique(.., return_inverse=True)"
        )
    count = int(y.max()) + 1 if classes is None else classes
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 2 or y.max() >= count:
        raise BadParameter(
            f"label {int(y.max())} of {count} classes", remedy="labels 0 .. classes - 1, two classes or more"
        )
    return np.asarray(np.eye(count)[y.astype(int)])


def check_loss(loss: Any, f: np.ndarray, y: np.ndarray) -> Loss:
    """A loss whose gradient is that of its value at some outputs f (N, C), for targets in its range.

    Raises
    ------
    BadParameter, AxisError

    Examples
    --------
    >>> import numpy as np
    >>> try:
    ...     check_loss(Loss(_squared, lambda f, y: 2 * (f - y), "mine"), np.zeros((1, 1)), np.ones((1, 1)))
    ... except BadParameter as error:
    ...     print(error.problem)
    the gradient of mine is not the derivative of its value: -1.966, by differences -0.983
    """
    if not isinstance(loss, Loss):
        raise BadParameter(
            f"{loss!r} is not a loss", remedy="training.squared, training.logistic, or Loss(value, gradient)"
        )
    if loss.check is not None:
        loss.check(y)
    # off the points given, where a loss may have a kink
    at = f[:8] + np.linspace(0.017, 0.093, f[:8].size).reshape(f[:8].shape)
    near = y[:8]
    value, gradient = np.asarray(loss.value(at, near)), np.asarray(loss.gradient(at, near))
    if value.shape != at.shape[:1] or gradient.shape != at.shape:
        raise AxisError(
            f"{loss.name}: value of shape {value.shape}, gradient {gradient.shape} for outputs {at.shape}",
            remedy="value (.., N), gradient (.., N, C) for outputs (.., N, C)",
        )
    direction = np.cos(np.arange(at.size)).reshape(at.shape)
    above, below = (np.sum(loss.value(at + step * direction, near)) for step in (_STEP, -_STEP))
    slope = float(above - below) / (2 * _STEP)
    stated = float(np.sum(gradient * direction))
    if not abs(slope - stated) <= _AGREE * (1 + abs(slope) + float(np.abs(gradient).sum())):
        raise BadParameter(
            f"the gradient of {loss.name} is not the derivative of its value: {stated:.6g}, by differences {slope:.6g}",
            remedy="the derivative of each sample's loss in its own outputs",
        )
    return loss
