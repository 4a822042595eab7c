"""Finite networks in any abc-parametrisation, many at once: arrays have the draws in front.

Nothing here knows a limit. Forward and backward passes are written out on arrays, apart from the engine and its programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backprop import backprop
from ..ensembles import Dim, draw_entries
from ..errors import AxisError, BadParameter
from ..language import Normal, relu
from ..program import lower
from ..sample import generator, positive, run
from ..special import erf, expit
from .parametrisations import ABC

Array = np.ndarray
LOSSES = ("logistic", "mse")
_NAMES: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": relu,
    "erf": erf,
    "linear": lambda h: h,
    "quadratic": lambda h: h**2,
}


@dataclass(frozen=True, eq=False)
class Activation:
    """A coordinatewise function and its derivative.

    Attributes
    ----------
    phi : callable
        On vectors of a program and on arrays.
    """

    phi: Callable[[Any], Any]
    _source: Any
    _derivative: Any

    def __call__(self, h: Any) -> Any:
        return self.phi(h)

    def slope(self, h: Array) -> Array:
        """The derivative on arrays, by the engine's own rules.

        Examples
        --------
        >>> activation("quadratic").slope(np.array([[1.0, -3.0]]))
        array([[ 2., -6.]])
        """
        if self._derivative is None:
            return np.zeros_like(h)
        given = {id(self._source): h.reshape(-1, 1)}
        (out,) = run(self._derivative, h.size, np.random.default_rng(0), given=given)
        return np.broadcast_to(out, (h.size,)).reshape(h.shape)


def activation(phi: Any) -> Activation:
    """An activation by its name, or any coordinatewise function written in NumPy.

    Parameters
    ----------
    phi : {"tanh", "relu", "erf", "linear", "quadratic"}, or callable

    Raises
    ------
    BadParameter

    Examples
    --------
    >>> activation(lambda h: h * np.tanh(h)).slope(np.zeros(2))
    array([0., 0.])
    """
    if isinstance(phi, Activation):
        return phi
    if not callable(phi) and phi not in _NAMES:
        raise BadParameter(
            f"the activation {phi!r}", remedy=f"one of {', '.join(_NAMES)}, or a function written in NumPy"
        )
    function = phi if callable(phi) else _NAMES[phi]
    x = Normal(Dim("n"))
    derivative: Any = backprop(np.mean(function(x))).of(x)
    return Activation(function, x.op.source, None if derivative is None else lower([derivative]))


def loss_gradient(loss: str, f: Any, y: Any) -> Any:
    """The derivative of the loss by the output: ``-y / (1 + exp(y f))``, or ``f - y`` of half the square.

    Examples
    --------
    >>> float(loss_gradient("logistic", np.float64(0), np.float64(1))), float(loss_gradient("mse", 3.0, 1.0))
    (-0.5, 2.0)
    """
    match loss:
        case "logistic":
            return -y * expit(-y * f)
        case "mse":
            return f - y
    raise BadParameter(f"loss={loss!r}", remedy=f"one of {', '.join(LOSSES)}")


@dataclass(frozen=True, eq=False)
class Networks:
    """Independent networks of one width. Immutable; `step` gives the trained ones.

    Law: ``h^1 = m_1 w^1 x``, ``h^l = m_l w^l phi(h^(l-1))``, ``f = m w . phi(h^L)``, ``m_l ~ (n / reference)^(-a_l)``; where
    a + b = 1/2 the entries of an inner layer have variance 1/n; those of the first layer have variance 1.

    Attributes
    ----------
    scaling : ABC
    width : int
    weights : tuple of ndarray
        w^1 (draws, n, d), inner ones (draws, n, n), the readout (draws, n).
    phi : Activation
    sigma : float
        Multiplies the output.
    reference : float
        The width at which all powers of the width are 1.

    Examples
    --------
    >>> from rmtp.training import named
    >>> nets = draw_networks(named("ntk"), 100, inputs=3, draws=5, rng=0)
    >>> nets.outputs(np.eye(3)).shape
    (5, 3)
    """

    scaling: ABC
    width: int
    weights: tuple[Array, ...]
    phi: Activation
    sigma: float = 1.0
    reference: float = 1.0

    def multiplier(self, layer: int) -> float:
        """m_l of layer 0 .. L, the readout last."""
        gain = self.sigma if layer == self.scaling.depth else 1.0 if layer == 0 else self.reference**-0.5
        return gain * float((self.width / self.reference) ** -float(self.scaling.a[layer]))

    def preactivations(self, x: Array) -> list[Array]:
        """h^1 .. h^L of inputs (points, d), each (draws, n, points)."""
        out, signal = [], np.ascontiguousarray(x.T)
        for layer in range(self.scaling.depth):
            out.append(self.multiplier(layer) * (self.weights[layer] @ signal))
            signal = self.phi(out[-1])
        return out

    def features(self, x: Array) -> Array:
        """The last hidden layer, (draws, n, points)."""
        return np.asarray(self.phi(self.preactivations(x)[-1]))

    def outputs(self, x: Array) -> Array:
        """f, (draws, points)."""
        return self._read(self.features(x))

    def _read(self, features: Array) -> Array:
        return self.multiplier(self.scaling.depth) * np.matmul(self.weights[-1][:, None, :], features)[:, 0]

    def _backward(self, hidden: list[Array], gradient: Array) -> list[Array]:
        """Derivatives of ``sum gradient f`` by h^1 .. h^L; gradient (draws, points)."""
        out: list[Array] = []
        top = self.multiplier(self.scaling.depth) * self.weights[-1][:, :, None] * gradient[:, None, :]
        for layer in reversed(range(self.scaling.depth)):
            out.append(top * self.phi.slope(hidden[layer]))
            if layer:
                top = self.multiplier(layer) * (np.swapaxes(self.weights[layer], 1, 2) @ out[-1])
        return out[::-1]

    def step(self, x: Array, gradient: Array, learning_rate: float) -> Networks:
        """One step of gradient descent, ``w^l - rate n^-c mean over points [ gradient df/dw^l ]``.

        Parameters
        ----------
        x : ndarray (points, d)
        gradient : ndarray (draws, points)
            Of the loss by the output.
        learning_rate : float
        """
        hidden = self.preactivations(x)
        each = gradient * (learning_rate * (self.width / self.reference) ** -float(self.scaling.c) / len(x))
        below = [np.broadcast_to(x.T, (len(each), *x.T.shape)), *(np.asarray(self.phi(h)) for h in hidden)]
        moved = [
            w - self.multiplier(layer) * (dh @ np.swapaxes(below[layer], 1, 2))
            for layer, (w, dh) in enumerate(zip(self.weights, self._backward(hidden, each)))
        ]
        readout = self.weights[-1] - self.multiplier(self.scaling.depth) * np.einsum("dnp,dp->dn", below[-1], each)
        return replace(self, weights=(*moved, readout))

    def tangent_kernel(self, x: Array) -> Array:
        """``rate n^-c <df/dw, df'/dw>`` at unit rate, (draws, points, points)."""
        hidden = self.preactivations(x)
        ones = np.ones((len(self.weights[0]), len(x)))
        below = [np.broadcast_to(x.T, (len(ones), *x.T.shape)), *(np.asarray(self.phi(h)) for h in hidden)]
        total = self.multiplier(self.scaling.depth) ** 2 * _gram(below[-1])
        for layer, dh in enumerate(self._backward(hidden, ones)):
            total = total + self.multiplier(layer) ** 2 * _gram(dh) * _gram(below[layer])
        return total * (self.width / self.reference) ** -float(self.scaling.c)


def _gram(x: Array) -> Array:
    return np.swapaxes(x, 1, 2) @ x


def draw_networks(
    scaling: ABC,
    width: int,
    inputs: int,
    draws: int,
    rng: Any = None,
    *,
    phi: Any = "tanh",
    sigma: float = 1.0,
    reference: float = 1.0,
    entries: str = "gaussian",
) -> Networks:
    """Independent networks with random weights.

    Parameters
    ----------
    scaling : ABC
    width : int
    inputs : int
        Length of one input.
    draws : int
    rng : Generator or int, optional
    phi : name or callable
    sigma, reference : float
        See `Networks`.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}
        The law of the inner matrices' entries; first layer and readout are Gaussian, as their law is seen in the limit.

    Returns
    -------
    Networks

    Raises
    ------
    BadParameter

    Examples
    --------
    >>> from rmtp.training import named
    >>> f = draw_networks(named("mup", 2), 400, 2, 50, 0, entries="rademacher").outputs(np.eye(2))
    >>> bool(f.std() < 0.1)                              # f_0 ~ n^-1/2
    True
    """
    stream = generator(rng)
    size, count = positive(width, "width"), positive(draws, "draws")
    scale = size / reference
    shapes = [(size, positive(inputs, "inputs")), *((size, size),) * (scaling.depth - 1), (size,)]
    weights = []
    for layer, shape in enumerate(shapes):
        inner = 0 < layer < scaling.depth
        unit = draw_entries(stream, (count, *shape), entries) if inner else stream.standard_normal((count, *shape))
        weights.append(unit * scale ** -float(scaling.b[layer]))
    return Networks(scaling, size, tuple(weights), activation(phi), sigma, reference)


def data(x: Any, y: Any) -> tuple[Array, Array]:
    """Inputs (points, d) and targets (points,) as floats.

    Raises
    ------
    AxisError, BadParameter
    """
    inputs = matrix(x, "x")
    targets = np.asarray(y, dtype=float)
    if targets.shape != inputs.shape[:1]:
        raise AxisError(f"y of shape {targets.shape} for {len(inputs)} inputs", remedy="one target per input")
    if not np.all(np.isfinite(targets)):
        raise BadParameter("y is not finite", remedy="finite numbers")
    return inputs, targets


def matrix(x: Any, what: str) -> Array:
    """Inputs (points, d) as floats."""
    inputs = np.asarray(x, dtype=float)
    if inputs.ndim != 2 or not inputs.size:
        raise AxisError(f"{what} of shape {inputs.shape}", remedy="an array (points, d)")
    if not np.all(np.isfinite(inputs)):
        raise BadParameter(f"{what} is not finite", remedy="finite numbers")
    return inputs


def labels(y: Array) -> Array:
    """Labels of the logistic loss, -1 or 1.

    Raises
    ------
    BadParameter
        For any other.
    """
    if not np.all(np.abs(y) == 1):
        raise BadParameter(f"labels {sorted(set(y.tolist()))[:5]}", remedy="-1 and 1 for the logistic loss")
    return y
