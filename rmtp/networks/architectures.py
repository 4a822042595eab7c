"""Ready architectures: functions that return a network, itself a function of one input.

A standard deviation is a number for all layers, a list or tuple with one per layer, or an ndarray: a sweep, whose axes
kernels have in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import ORDERS as MOST
from ..arguments import function, shown
from ..ensembles import Dim, check_dim
from ..errors import BadParameter
from ..handles import Vector
from ..language import relu
from .attention import Attention, self_attention, softmax
from .graphs import positional
from .layers import Output, conv, dense, global_pool, readout
from .norms import layer_norm
from .recurrent import rnn

Network = Callable[[Any], Output]
Phi = Callable[[Any], Any]


def mlp(
    width: Dim,
    depth: int = 3,
    phi: Phi = relu,
    weight_std: Any = 2**0.5,
    bias_std: Any = 0,
    readout_std: Any = 1,
) -> Network:
    """A fully connected network with `depth` hidden layers.

    Parameters
    ----------
    width : Dim
    depth : int
    phi : callable
    weight_std, bias_std : number, list with one per layer, or ndarray (a sweep)
    readout_std : number or ndarray

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If the width is no `rmtp.Dim`, or a list does not have `depth` entries.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = rmtp.networks.mlp(rmtp.Dim("n"), depth=2)
    >>> rmtp.ntk(net, [[1.0, 1.0]]).round(12)
    array([[3.]])
    >>> rmtp.nngp(rmtp.networks.mlp(rmtp.Dim("n"), weight_std=np.array([1.0, 1.5])), np.eye(3)).shape
    (2, 3, 3)
    """
    check_dim(width)
    function(phi, "phi")
    weights, biases = _per_layer(weight_std, depth, "weight_std"), _per_layer(bias_std, depth, "bias_std")

    def net(x: Any) -> Output:
        for w, b in zip(weights, biases, strict=True):
            x = phi(dense(x, width, w, b))
        return readout(x, readout_std)

    return net


def cnn(
    width: Dim,
    depth: int = 3,
    kernel: int | tuple[int, ...] = 3,
    phi: Phi = relu,
    weight_std: Any = 2**0.5,
    bias_std: Any = 0,
    readout_std: Any = 1,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str = "SAME",
    pooling: str = "flatten",
) -> Network:
    """A convolutional network with `depth` hidden layers, over sequences (T, channels) or images (H, W, channels).

    Parameters
    ----------
    width : Dim
        The channels.
    depth : int
    kernel, stride : int or one per axis
    phi : callable
    weight_std, bias_std : number, list with one per layer, or ndarray (a sweep)
    readout_std : number or ndarray
    padding : {"SAME", "VALID", "CIRCULAR"}
    pooling : {"flatten", "average"}
        What the readout sees: all positions, each with its own weights, or their average.

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If the width is no `rmtp.Dim`, or a list does not have `depth` entries, or a word is unknown.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = rmtp.networks.cnn(rmtp.Dim("n"), depth=1, padding="CIRCULAR", pooling="average")
    >>> rmtp.nngp(net, np.ones((1, 4, 4, 3))).round(12)
    array([[1.]])
    """
    check_dim(width)
    function(phi, "phi")
    weights, biases = _per_layer(weight_std, depth, "weight_std"), _per_layer(bias_std, depth, "bias_std")
    pool = _pooling(pooling, {"flatten": lambda h: h, "average": global_pool})

    def net(x: Any) -> Output:
        for w, b in zip(weights, biases, strict=True):
            x = phi(conv(x, width, kernel, w, b, stride=stride, padding=padding))
        return readout(pool(x), readout_std)

    return net


def resnet(
    width: Dim,
    depth: int = 3,
    phi: Phi = relu,
    weight_std: Any = 2**0.5,
    bias_std: Any = 0,
    readout_std: Any = 1,
    *,
    branch_std: Any = 1,
) -> Network:
    """A residual network with `depth` blocks ``h + W2 phi(W1 phi(h))`` after a first dense layer (pre-activation).

    Parameters
    ----------
    width : Dim
    depth : int
    phi : callable
    weight_std, bias_std : number, list with one per block, or ndarray (a sweep)
        Of W1; the first layer has weight_std 1 and no bias.
    readout_std : number or ndarray
    branch_std : number, list with one per block, or ndarray
        Of W2, without a bias: ``depth**-0.5`` keeps the sum of many blocks bounded.

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If the width is no `rmtp.Dim`, or a list does not have `depth` entries.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.nngp(rmtp.networks.resnet(rmtp.Dim("n"), depth=2), [[1.0]]).round(12)  # 2**depth / 2
    array([[1.125]])
    """
    check_dim(width)
    function(phi, "phi")
    weights, biases = _per_layer(weight_std, depth, "weight_std"), _per_layer(bias_std, depth, "bias_std")
    branches = _per_layer(branch_std, depth, "branch_std")

    def net(x: Any) -> Output:
        h = dense(x, width)
        for w, b, c in zip(weights, biases, branches, strict=True):
            h = h + dense(phi(dense(phi(h), width, w, b)), width, c)
        return readout(phi(h), readout_std)

    return net


def recurrent_network(
    width: Dim,
    depth: int = 1,
    cell: Callable[..., Vector] = rnn,
    readout_std: Any = 1,
    *,
    pooling: str = "last",
    **law: Any,
) -> Network:
    """A classifier of sequences (T, channels): `depth` recurrent layers, then the last state or the average of all.

    Parameters
    ----------
    width : Dim
    depth : int
    cell : callable
        `rnn`, `gru`, `lstm` or ``bidirectional(..)`` of one of them.
    readout_std : number or ndarray
    pooling : {"last", "average"}
    **law
        What the cell takes: ``phi=``, ``weight_std=``, ``input_std=``, ``bias_std=``, ``reverse=``.

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If the width is no `rmtp.Dim`, `pooling` is unknown, or depth is not positive.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = rmtp.networks.recurrent_network(rmtp.Dim("n"), phi=lambda h: h, weight_std=2)
    >>> rmtp.nngp(net, [[[1.0], [1.0]]]).round(12)
    array([[5.]])
    """
    check_dim(width)
    function(cell, "cell")
    pool = _pooling(pooling, {"last": lambda h: h[:, -1], "average": global_pool})
    layers = _per_layer(None, depth, "depth")

    def net(x: Any) -> Output:
        for _ in layers:
            x = cell(x, width, **law)
        return readout(pool(x), readout_std)

    return net


def transformer(
    width: Dim,
    depth: int = 1,
    heads: int = 1,
    phi: Phi = relu,
    weight_std: Any = 2**0.5,
    readout_std: Any = 1,
    *,
    score_std: Any = 1,
    position_std: Any = 0,
    attention: Attention = softmax,
    mask: Any = None,
    epsilon: Any = 0,
    pooling: str = "average",
) -> Network:
    """A transformer encoder over sequences (T, channels), layer normalisation first in every branch.

    Each of `depth` blocks is ``h + self_attention(layer_norm(h))``, then ``h + W2 phi(W1 layer_norm(h))``.

    Parameters
    ----------
    width : Dim
    depth, heads : int
    phi : callable
    weight_std : number, list with one per block, or ndarray (a sweep)
        Of W1; W2, values and outputs have 1.
    readout_std : number or ndarray
    score_std : number
    position_std : number
        Of positions that are learned; 0 for none.
    attention, mask
        As for `self_attention`.
    epsilon : number
        Of `layer_norm`.
    pooling : {"average", "first", "last"}

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If the width is no `rmtp.Dim`, or a list does not have `depth` entries, or `pooling` is unknown.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = rmtp.networks.transformer(rmtp.Dim("n"), depth=2, mask=np.tril(np.ones((3, 3))))
    >>> X = np.ones((1, 3, 2))  # three equal positions: their average keeps the second moment 1 of a normalised vector
    >>> rmtp.nngp(net, X).round(12)
    array([[1.]])
    """
    check_dim(width)
    function(phi, "phi")
    function(attention, "attention")
    weights = _per_layer(weight_std, depth, "weight_std")
    pool = _pooling(pooling, {"average": global_pool, "first": lambda h: h[:, 0], "last": lambda h: h[:, -1]})

    def net(x: Any) -> Output:
        h = dense(x, width)
        if np.any(position_std):
            h = positional(h, position_std)
        for w in weights:
            h = h + self_attention(
                layer_norm(h, epsilon), width, score_std=score_std, heads=heads, attention=attention, mask=mask
            )
            h = h + dense(phi(dense(layer_norm(h, epsilon), width, w)), width)
        return readout(pool(layer_norm(h, epsilon)), readout_std)

    return net


# ---------------------------------------------------------------------------------------------


def _per_layer(value: Any, depth: int, what: str) -> tuple[Any, ...]:
    if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= MOST:
        raise BadParameter(f"depth={shown(depth)}", remedy="a positive int")
    if not isinstance(value, list | tuple):
        return (value,) * depth
    if len(value) != depth:
        raise BadParameter(
            f"{what} has {len(value)} entries for {depth} layers", remedy="one per layer; a sweep is an ndarray"
        )
    return tuple(value)


def _pooling(word: str, known: dict[str, Callable[[Vector], Vector]]) -> Callable[[Vector], Vector]:
    if word not in known:
        raise BadParameter(f"pooling={word!r}", remedy=f"one of {', '.join(known)}")
    return known[word]


__all__ = ["cnn", "mlp", "recurrent_network", "resnet", "transformer"]
