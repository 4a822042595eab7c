"""Layers on tokens and on graphs: one-hot inputs, positions that are learned, aggregation over neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ensembles import Dim, check_dim, variance_of
from ..errors import BadParameter
from ..handles import Scalar, Vector, as_node
from ..instructions import Init, InputMatrix, Isotropic
from .layers import check_vector, dense
from .recurrent import length


def embedding(x: Any, width: Dim, std: Any = 1, *, name: str = "") -> Vector:
    """One vector per word: ``U @ x`` for one-hot x.

    Law: entries of U are N(0, std**2); unlike `dense`, not divided by the size of the vocabulary.

    Parameters
    ----------
    x : the input (\\*positions, vocabulary)
    width : Dim
    std : number
    name : str, optional

    Returns
    -------
    Vector (width, \\*positions)

    Raises
    ------
    BadParameter
        If x is not an input.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.networks.embedding(x, n)[:, 0])
    >>> rmtp.nngp(net, np.eye(3)[[[0, 1], [2, 1]]]).round(12)
    array([[1., 0.],
           [0., 1.]])
    """
    if not isinstance(x, Scalar) or not x.axes:
        raise BadParameter(f"an embedding of {type(x).__name__}", remedy="the input, one-hot along its last axis")
    *positions, words = (size for _, size in x.axes)
    U = _free_weights(width, words, variance_of(std, None, "embedding"), name)
    if not positions:
        return U @ x
    flat = x.reshape(int(np.prod(positions)), words)
    return (U @ flat.T).reshape(width, *positions)


def positional(x: Vector, std: Any = 1, *, name: str = "") -> Vector:
    """x plus a vector for every position, learned, the same for all inputs.

    Law: independent N(0, std**2) at every position.

    Parameters
    ----------
    x : Vector (width, T)
    std : number
    name : str, optional

    Returns
    -------
    Vector (width, T)

    Raises
    ------
    AxisError
        If x is not a sequence.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, nets = rmtp.Dim("n"), rmtp.networks
    >>> net = lambda x: rmtp.readout(nets.positional(nets.dense(x, n), 2)[:, 0])
    >>> rmtp.nngp(net, [[[1.0], [0.0]]]).round(12)
    array([[5.]])
    """
    x = check_vector(x, "positional")
    size = length(x, "positional")
    assert x.dim is not None
    return x + _free_weights(x.dim, size, variance_of(std, None, "positional"), name)


def graph_conv(x: Any, adjacency: Any, width: Dim, weight_std: Any = 1, bias_std: Any = 0) -> Vector:
    """A graph convolution: ``y_p = W sum_q A[p, q] x_q + b`` with one W for all nodes.

    Law: entry variance weight_std**2 / fan_in; the adjacency is taken as it is. Normalise it first, for instance to
    ``D^(-1/2) (A + 1) D^(-1/2)`` (Kipf and Welling 2017).

    Parameters
    ----------
    x : Vector (width', nodes), or the input (nodes, channels)
    adjacency : array (nodes, nodes)
    width : Dim
    weight_std, bias_std : number

    Returns
    -------
    Vector (width, nodes)

    Raises
    ------
    AxisError
        If x has no axis of nodes.
    BadParameter
        If the adjacency does not fit.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, path = rmtp.Dim("n"), np.array([[0, 1], [1, 0]])
    >>> net = lambda x: rmtp.readout(rmtp.networks.graph_conv(x, path, n)[:, 0])
    >>> rmtp.nngp(net, [[[3.0], [2.0]]]).round(12)
    array([[4.]])
    """
    nodes = length(x, "graph_conv")
    A = np.asarray(adjacency)
    if A.shape != (nodes, nodes) or not np.all(np.isfinite(A)):
        raise BadParameter(f"an adjacency of shape {A.shape} for {nodes} nodes", remedy=f"numbers ({nodes}, {nodes})")
    mixed = x @ A.T if isinstance(x, Vector) else as_node(A) @ x
    return dense(mixed, width, weight_std, bias_std)


def _free_weights(width: Dim, columns: int, variance: Any, name: str) -> Vector:
    """Columns with entry variance `variance`, not divided by their number."""
    source = InputMatrix(check_dim(width), (0,) * int(columns), Isotropic(variance, int(columns)), name, variance)
    return Vector(Init(source, None), (), width, (("", int(columns)),), name)


__all__ = ["embedding", "graph_conv", "positional"]
