"""Recurrent layers: one set of parameters, used at every step.

Inputs are sequences, (T, channels) or a vector (width, T); results are the states at all times, (width, T). The first state is
zero. ``h[:, -1]`` is the last state, ``h.mean(axis=1)`` their average.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from ..arguments import function
from ..ensembles import Dim
from ..errors import AxisError
from ..handles import Scalar, Vector
from ..language import Gaussian
from .layers import bias, linear


def rnn(
    x: Any,
    width: Dim,
    phi: Callable[[Any], Any] = np.tanh,
    weight_std: Any = 1,
    input_std: Any = 1,
    bias_std: Any = 0,
    *,
    reverse: bool = False,
) -> Vector:
    """A simple recurrent layer: ``h_t = phi(W h_{t-1} + U x_t + b)``.

    Law: entry variances weight_std**2 / width of W, input_std**2 / fan_in of U, bias_std**2 of b.

    Parameters
    ----------
    x : Vector (width', T), or the input (T, channels)
    width : Dim
    phi : callable
    weight_std, input_std, bias_std : number
    reverse : bool
        From the last step to the first; states stay at their own times.

    Returns
    -------
    Vector (width, T)

    Raises
    ------
    AxisError
        If x is not a sequence.

    Notes
    -----
    TP II (2006.14548), Appendix E.2.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.networks.rnn(x, n, rmtp.relu, 2**0.5)[:, -1])
    >>> rmtp.nngp(net, [[[1.0], [1.0]]]).round(12)
    array([[1.]])
    """
    function(phi, "phi")
    W = Gaussian(width, width, weight_std)
    driven = _driven(x, width, input_std, bias_std, "rnn")

    def step(before: Vector | None, t: int) -> Vector:
        now = driven[:, t]
        return phi(now if before is None else W @ before + now)

    return _unrolled(step, x, reverse)


def gru(
    x: Any, width: Dim, weight_std: Any = 1, input_std: Any = 1, bias_std: Any = 0, *, reverse: bool = False
) -> Vector:
    """A gated recurrent unit: ``h_t = (1 - z) h_{t-1} + z tanh(W (r h_{t-1}) + U x_t + b)``.

    Law: gates z and r are ``expit(W' h_{t-1} + U' x_t + b')`` with parameters of their own, and variances as of `rnn`.

    Parameters
    ----------
    x : Vector (width', T), or the input (T, channels)
    width : Dim
    weight_std, input_std, bias_std : number
    reverse : bool

    Returns
    -------
    Vector (width, T)

    Raises
    ------
    AxisError
        If x is not a sequence.

    Notes
    -----
    Cho et al. 2014 (1406.1078): the reset gate acts before the matrix. States are not Gaussian: from the second step on,
    kernels need integrals over the gates of two inputs, found pair by pair with the error that `Kernel.error` states.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.networks.gru(x, n)[:, -1])
    >>> rmtp.nngp(net, np.ones((1, 1, 1))).round(12)
    array([[0.1156...]])
    """
    W, gate_z, gate_r = (Gaussian(width, width, weight_std) for _ in range(3))
    u, u_z, u_r = (_driven(x, width, input_std, bias_std, "gru") for _ in range(3))

    def step(before: Vector | None, t: int) -> Vector:
        if before is None:
            return expit(u_z[:, t]) * np.tanh(u[:, t])
        z = expit(gate_z @ before + u_z[:, t])
        r = expit(gate_r @ before + u_r[:, t])
        return (1 - z) * before + z * np.tanh(W @ (r * before) + u[:, t])

    return _unrolled(step, x, reverse)


def lstm(
    x: Any, width: Dim, weight_std: Any = 1, input_std: Any = 1, bias_std: Any = 0, *, reverse: bool = False
) -> Vector:
    """A long short-term memory: ``c_t = f c_{t-1} + i g, h_t = o tanh(c_t)``.

    Law: i, f, o are ``expit(W' h_{t-1} + U' x_t + b')``, g is tanh of the like, with parameters of their own each and
    variances as of `rnn`.

    Parameters
    ----------
    x : Vector (width', T), or the input (T, channels)
    width : Dim
    weight_std, input_std, bias_std : number
    reverse : bool

    Returns
    -------
    Vector (width, T)
        The states h; the cells c start at zero as well.

    Raises
    ------
    AxisError
        If x is not a sequence.

    Notes
    -----
    Kernels cost what those of `gru` cost, with one dimension of integration more per step.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.networks.lstm(np.ones((2, 1)) * rmtp.parameter(1), n).shape
    (Dim('n'), 2)
    """
    matrices = [Gaussian(width, width, weight_std) for _ in range(4)]
    inputs = [_driven(x, width, input_std, bias_std, "lstm") for _ in range(4)]
    cell: list[Vector] = []

    def step(before: Vector | None, t: int) -> Vector:
        i, f, o, g = (
            u[:, t] if before is None else W @ before + u[:, t] for W, u in zip(matrices, inputs, strict=True)
        )
        new = expit(i) * np.tanh(g)
        cell.append(new if not cell else expit(f) * cell[-1] + new)
        return expit(o) * np.tanh(cell[-1])

    return _unrolled(step, x, reverse)


def bidirectional(cell: Callable[..., Vector]) -> Callable[..., Vector]:
    """Forward states plus backward states, each direction with its own parameters.

    Concatenated directions are read by a matrix for each: ``dense(rnn(x, n), n) + dense(rnn(x, n, reverse=True), n)``.

    Parameters
    ----------
    cell : callable
        `rnn`, `gru`, `lstm`, or any layer with the keyword `reverse`.

    Returns
    -------
    callable
        A layer with the cell's arguments.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, nets = rmtp.Dim("n"), rmtp.networks
    >>> net = lambda x: rmtp.readout(nets.bidirectional(nets.rnn)(x, n, lambda h: h)[:, 0])
    >>> rmtp.nngp(net, [[[1.0], [1.0]]]).round(12)
    array([[3.]])
    """

    def layer(x: Any, width: Dim, *args: Any, **kwargs: Any) -> Vector:
        return cell(x, width, *args, **kwargs) + cell(x, width, *args, **kwargs, reverse=True)

    return layer


# ---------------------------------------------------------------------------------------------


def length(x: Any, what: str) -> int:
    """The number of positions of a sequence.

    Raises
    ------
    AxisError
        If x has no position axis, or more than one.
    """
    axes = x.axes if isinstance(x, Vector) else x.axes[:-1] if isinstance(x, Scalar) else ()
    if len(axes) != 1:
        raise AxisError(f"{what} of {x!r}", remedy="a sequence: an input of shape (T, channels), a vector (width, T)")
    return int(axes[0][1])


def _driven(x: Any, width: Dim, input_std: Any, bias_std: Any, what: str) -> Vector:
    """``U x_t + b`` at all times."""
    length(x, what)
    return bias(linear(x, width, input_std), bias_std)


def _unrolled(step: Callable[[Vector | None, int], Vector], x: Any, reverse: bool) -> Vector:
    steps = range(length(x, "a recurrent layer"))
    states: list[Vector] = []
    for t in reversed(steps) if reverse else steps:
        states.append(step(states[-1] if states else None, t))
    return np.stack(states[::-1] if reverse else states, axis=1)  # type: ignore[return-value]


__all__ = ["bidirectional", "gru", "lstm", "rnn"]
