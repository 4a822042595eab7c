"""Layers: plain functions that emit instructions.

A layer called twice has two sets of parameters. Sharing is using one matrix twice: ``W = rmtp.Gaussian(n, n)``, then ``W @ x``
wherever it belongs. Arrays keep their positions behind the width: a vector over a sequence has the shape (n, T), over an image
(n, H, W); an input has its channels last, (T, d) or (H, W, d), as data come.

Normalisation: weights have the entry variance weight_std**2 / fan_in, where fan_in counts channels and the taps of a
convolution; biases have the variance bias_std**2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import shown
from ..ensembles import Dim, Number, check_dim, variance_of
from ..errors import AxisError, BadParameter, UnsupportedOperation
from ..handles import Scalar, Vector, parameter
from ..instructions import Combine, Init, InputMatrix, Isotropic, NormalGroup, RandomMatrix
from ..language import Gaussian
from ..matrices import Matrix
from ..quantity import is_symbolic

PADDINGS = ("SAME", "VALID", "CIRCULAR")


@dataclass(frozen=True, eq=False)
class Output:
    """What a network ends with: ``f = sqrt(n) * average + b`` for a random readout, b ~ N(0, bias_variance).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> v, h = rmtp.Normal(n, name="v"), rmtp.Normal(n, name="h")
    >>> rmtp.Output(np.mean(v * h))
    Output(average=mean((v*h)), bias_variance=0)
    """

    average: Scalar
    bias_variance: Number = 0


def input_weights(
    width: Dim, columns: int, std: Any = 1, *, variance: Any = None, share: int = 1, name: str = ""
) -> Vector:
    """A weight matrix U whose columns do not grow with the width: ``U @ x`` for an array x of length `columns`.

    Law: entries N(0, std**2 / (columns * share)).

    Parameters
    ----------
    width : Dim
    columns : int
    std, variance : number
        One or the other.
    share : int
        How many such matrices make up one layer (the taps of a convolution).
    name : str, optional

    Returns
    -------
    Vector (width, columns)

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> h = rmtp.networks.input_weights(n, 3) @ [1, 2, 2]
    >>> rmtp.limit(np.mean(h**2)).value
    Fraction(3, 1)
    """
    if isinstance(columns, bool) or not isinstance(columns, int | np.integer) or columns < 1:
        raise BadParameter(f"columns={shown(columns)}", remedy="the number of channels of the input, at least 1")
    s2 = variance_of(std, variance, "input_weights")
    each = s2 / (int(columns) * share)
    source = InputMatrix(check_dim(width), (0,) * int(columns), Isotropic(each, int(columns)), name, s2)
    return Vector(Init(source, None), (), width, (("", int(columns)),), name)


def linear(x: Any, width: Dim, weight_std: Any = 1, *, share: int = 1, name: str = "") -> Vector:
    """``W @ x`` with a new W, for a vector of any width or an input array with its channels last.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> y = rmtp.networks.linear(rmtp.Normal(n), n, 2)
    >>> rmtp.limit(np.mean(y**2)).value
    Fraction(4, 1)
    """
    if isinstance(x, Vector):
        assert x.dim is not None
        s2 = variance_of(weight_std, None, "linear")
        W = Gaussian(width, x.dim, variance=s2 / share, name=name)
        if share > 1:
            source = W.source
            W = Matrix(RandomMatrix(source.rows, source.cols, source.ensemble, source.name, s2))
        out: Vector = W @ x
        return out
    _check_layered(x)
    *positions, channels = (size for _, size in x.axes)
    U = input_weights(width, channels, weight_std, share=share, name=name)
    if not positions:
        return U @ x
    flat = x.reshape(int(np.prod(positions)), channels)
    out = (U @ flat.T).reshape(width, *positions)
    return out


def bias(x: Vector, std: Any = 0, name: str = "") -> Vector:
    """x + b with a new b ~ N(0, std**2), the same at every position.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.limit(np.mean(rmtp.networks.bias(rmtp.Normal(n), 2) ** 2)).value
    Fraction(5, 1)
    """
    variance = variance_of(std, None, "bias")
    x = check_vector(x, "bias")
    if not is_symbolic(variance) and not np.any(np.asarray(variance, dtype=float)):
        return x
    assert x.dim is not None
    b = weights_vector(x.dim, variance, name)
    return x + (b[(slice(None), *[None] * len(x.axes))] if x.axes else b)


def dense(x: Any, width: Dim, weight_std: Any = 1, bias_std: Any = 0, *, name: str = "") -> Vector:
    """``W @ x + b``, position by position.

    Parameters
    ----------
    x : Vector (width', \\*positions), or the input (\\*positions, channels)
    width : Dim
        The width of the result.
    weight_std, bias_std : number
        Entry variance of W: weight_std**2 / fan_in; of b: bias_std**2.
    name : str, optional

    Returns
    -------
    Vector (width, \\*positions)

    Raises
    ------
    BadParameter
        If x is no vector and no input, or the width is no `rmtp.Dim`.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n, 2**0.5)))
    >>> rmtp.nngp(net, np.eye(2)).round(12)
    array([[0.5       , 0.15915494],
           [0.15915494, 0.5       ]])
    """
    return bias(linear(x, width, weight_std, name=name), bias_std, name and f"b_{name}")


def conv(
    x: Any,
    width: Dim,
    kernel: int | Sequence[int] = 3,
    weight_std: Any = 1,
    bias_std: Any = 0,
    *,
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    dilation: int | Sequence[int] = 1,
) -> Vector:
    """A convolution over all positions (one axis, two, or more), width playing the part of the channels.

    Law: ``y[p] = sum_o W_o x[stride * p + dilation * o] + b``, each W_o with entry variance weight_std**2 / (taps * fan_in).

    Parameters
    ----------
    x : Vector (width', \\*positions), or the input (\\*positions, channels)
    width : Dim
    kernel, stride, dilation : int or one per axis
    weight_std, bias_std : number
    padding : {"SAME", "VALID", "CIRCULAR"}
        Zeros around, none, or periodic; "SAME" puts the odd zero behind, as TensorFlow and JAX do.

    Returns
    -------
    Vector (width, \\*new positions)

    Raises
    ------
    BadParameter
        If the kernel does not fit, or a word is unknown.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.networks.conv(rmtp.networks.linear(np.ones((8, 8, 3)) * rmtp.parameter(1), n), n, 3, stride=2).axes
    (('', 4), ('', 4))
    """
    is_vector = isinstance(x, Vector)
    if not is_vector:
        _check_layered(x)
    sizes = [size for _, size in x.axes] if is_vector else [size for _, size in x.axes[:-1]]
    rank = len(sizes)
    if rank == 0:
        raise AxisError("a convolution without positions", remedy="an input of shape (T, channels) or (H, W, channels)")
    kernels, strides, dilations = (_each(v, rank, what) for v, what in
                                   ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation")))  # fmt: skip
    windows = [_window(*args, padding) for args in zip(sizes, kernels, strides, dilations, strict=True)]
    padded = _padded(x, [w[0] for w in windows], padding, is_vector)
    taps = int(np.prod(kernels))
    total: Any = None
    for offset in np.ndindex(*kernels):
        cut = tuple(
            slice(o * d, o * d + (count - 1) * s + 1, s)
            for o, d, s, (_, count) in zip(offset, dilations, strides, windows, strict=True)
        )
        piece = padded[(slice(None), *cut)] if is_vector else padded[cut]
        term = linear(piece, width, weight_std, share=taps)
        total = term if total is None else total + term
    return bias(total, bias_std)


def pool(
    x: Vector, window: int | Sequence[int] = 2, stride: int | Sequence[int] | None = None, *, padding: str = "VALID"
) -> Vector:
    """The average over windows of positions (zeros count where "SAME" pads).

    Parameters
    ----------
    x : Vector (width, \\*positions)
    window, stride : int or one per axis
        The stride is the window by default.
    padding : {"VALID", "SAME", "CIRCULAR"}

    Returns
    -------
    Vector (width, \\*new positions)

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = np.stack([rmtp.Normal(n), rmtp.Normal(n), rmtp.Normal(n), rmtp.Normal(n)], axis=1)
    >>> rmtp.limit(np.mean(rmtp.networks.pool(x, 2) ** 2)).value
    Fraction(1, 2)
    """
    sizes = [size for _, size in check_vector(x, "pool").axes]
    windows = _each(window, len(sizes), "window")
    strides = windows if stride is None else _each(stride, len(sizes), "stride")
    cuts = [_window(size, k, s, 1, padding) for size, k, s in zip(sizes, windows, strides, strict=True)]
    padded = _padded(x, [c[0] for c in cuts], padding, True)
    total: Any = None
    for offset in np.ndindex(*windows):
        cut = (slice(o, o + (count - 1) * s + 1, s) for o, s, (_, count) in zip(offset, strides, cuts, strict=True))
        piece = padded[(slice(None), *cut)]
        total = piece if total is None else total + piece
    return total / int(np.prod(windows))


def global_pool(x: Vector) -> Vector:
    """The average over all positions.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.networks.global_pool(np.stack([rmtp.Normal(n), rmtp.Normal(n)], axis=1)).axes
    ()
    """
    for _ in check_vector(x, "global_pool").axes:
        x = x.mean(axis=1)
    return x


def readout(
    x: Vector, weight_std: Any = 1, bias_std: Any = 0, *, weights: Vector | None = None, name: str = "v"
) -> Output:
    """The scalar output ``f = v . x / sqrt(m) + b``; over positions, ``sum_p v_p . x_p / sqrt(m P)`` (a flattened readout).

    Law: m is the size of x; v has iid entries N(0, weight_std**2), b is N(0, bias_std**2).

    Parameters
    ----------
    x : Vector (width, \\*positions)
    weight_std, bias_std : number
    weights : Vector, optional
        v itself, to share it or to use it twice; then weight_std is not looked at.
    name : str

    Returns
    -------
    Output

    Raises
    ------
    BadParameter
        If x is not a vector.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> rmtp.readout(rmtp.Normal(n, name="h"), 2)
    Output(average=mean((v*h)), bias_variance=Fraction(0, 1))
    """
    if not isinstance(x, Vector) or x.dim is None:
        raise BadParameter(f"a readout of {type(x).__name__}", remedy="a vector: rmtp.readout(np.tanh(h))")
    b2 = variance_of(bias_std, None, "readout")
    if weights is not None:
        return Output(np.mean(_by_own_width(weights * x, x.dim)), b2)
    s2 = variance_of(weight_std, None, "readout")
    if not x.axes:
        return Output(np.mean(_by_own_width(weights_vector(x.dim, s2, name) * x, x.dim)), b2)
    positions = int(np.prod([size for _, size in x.axes]))
    flat = x.reshape(x.dim, positions)
    source = InputMatrix(x.dim, (0,) * positions, Isotropic(s2 / positions, positions), name, s2)
    v = Vector(Init(source, None), (), x.dim, (("", positions),), name)
    return Output(np.mean(_by_own_width(np.sum(v * flat, axis=1), x.dim)), b2)


def _by_own_width(y: Any, width: Dim) -> Any:
    """y * sqrt(ratio): f = sqrt(n) mean(y) divides by the root of the base width, a readout by that of its own."""
    return y if np.all(width.ratio == 1) else np.sqrt(parameter(width.ratio)) * y


# ---------------------------------------------------------------------------------------------


def weights_vector(width: Dim, variance: Number, name: str = "") -> Vector:
    """An initial vector N(0, variance); the variance may be an array, a sweep."""
    return Vector(Init(NormalGroup(width, (0,), ((variance,),)), 0), (), width, (), name)


def _each(value: Any, rank: int, what: str) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * rank
    if len(values) != rank or any(isinstance(v, bool) or not isinstance(v, int | np.integer) or v < 1 for v in values):
        raise BadParameter(f"{what}={value!r} over {rank} axes", remedy="a positive int, or one per axis")
    return tuple(int(v) for v in values)


def _window(size: int, kernel: int, stride: int, dilation: int, padding: str) -> tuple[tuple[int, int], int]:
    """(zeros before, zeros after) and the number of windows along one axis."""
    if padding not in PADDINGS:
        raise BadParameter(f"padding={padding!r}", remedy=f"one of {', '.join(PADDINGS)}")
    reach = (kernel - 1) * dilation + 1
    if padding == "VALID":
        if reach > size:
            raise BadParameter(
                f"a window of {reach} over {size} positions", remedy='padding="SAME", or a smaller window'
            )
        return (0, 0), (size - reach) // stride + 1
    count = -(-size // stride)
    total = max((count - 1) * stride + reach - size, 0)
    return (total // 2, total - total // 2), count


def _padded(x: Any, pads: Sequence[tuple[int, int]], padding: str, is_vector: bool) -> Any:
    if not any(a or b for a, b in pads):
        return x
    if padding == "CIRCULAR":
        return _wrapped(x, pads, is_vector)
    rest = () if is_vector else x.axes[-1:]
    sizes = [size for _, size in (x.axes if is_vector else x.axes[:-1])]
    shape = tuple(size + a + b for size, (a, b) in zip(sizes, pads, strict=True)) + tuple(s for _, s in rest)
    place = tuple((a, a + size, None) for size, (a, _) in zip(sizes, pads, strict=True)) + ((None, None, None),) * len(
        rest
    )
    return type(x)(Combine("scatter", (place, shape)), (x,), x.dim, tuple(("", s) for s in shape))


def _wrapped(x: Any, pads: Sequence[tuple[int, int]], is_vector: bool) -> Any:
    shift = int(is_vector)
    for j, (a, b) in enumerate(pads):
        if not (a or b):
            continue
        size = x.axes[j][1]
        table = np.zeros((size, size + a + b), dtype=int)
        table[np.arange(-a, size + b) % size, np.arange(size + a + b)] = 1
        order = list(range(x.ndim))
        order.append(order.pop(j + shift))
        back = list(np.argsort(order))
        x = np.transpose(np.transpose(x, order) @ table, [int(k) for k in back])
    return x


def _check_layered(x: Any) -> None:
    if not isinstance(x, Scalar) or not x.axes:
        raise BadParameter(
            f"a layer of {type(x).__name__}", remedy="a vector, or the input with its channels as last axis"
        )


def check_vector(x: Any, what: str) -> Vector:
    """x, if it is a vector.

    Raises
    ------
    UnsupportedOperation
        If it is not.
    """
    if not isinstance(x, Vector):
        raise UnsupportedOperation(f"{what} of {type(x).__name__}", remedy="first a layer such as dense(x, n)")
    return x


__all__ = [
    "Output",
    "bias",
    "conv",
    "dense",
    "global_pool",
    "input_weights",
    "linear",
    "pool",
    "readout",
]
