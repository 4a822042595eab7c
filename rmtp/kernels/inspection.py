"""Inside a network: kernels of its named vectors, norms of its gradients, derivatives by its hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import reals
from ..backprop import MatrixUse, ancestors
from ..errors import BadParameter, UnsupportedOperation
from ..handles import Node, Vector
from ..limit import limit
from ..networks.network import batch, trace
from ..program import lower
from .api import Kernel, KernelFunction, kernel_function, method_of, on_batches, on_equal, put_same
from .careful import listed
from .duals import STENCIL, WEIGHTS, slopes
from .entrywise import bound
from .run import prepare, single_moments, single_outputs
from .trace import Draft, Tracer

_STEP = 2e-3  # of a hyperparameter, relative
_LOST = 20.0  # a derivative's error over the kernel's
_TRUNCATED = 1e-9


def layer_kernels(net: Callable[[Any], Any], X1: Any, X2: Any = None) -> dict[str, Kernel]:
    """``E Z^h(x) Z^h(x')`` of every named vector h of a network, averaged over equal positions.

    Parameters
    ----------
    net : callable
        A network in which vectors have been given names: ``h = dense(x, n).named("h1")``.
    X1, X2 : array (N, \\*shape of one input)

    Returns
    -------
    dict of Kernel (N1, N2)
        By name, from the input to the output, each with the error of the worst.

    Raises
    ------
    BadParameter
        If no vector has a name of its own.
    UnsupportedOperation
        If a kernel is beyond what is done on arrays.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> def net(x):
    ...     for layer in (1, 2, 3):
    ...         x = rmtp.relu(rmtp.networks.dense(x, n, 2**0.5).named(f"h{layer}"))
    ...     return rmtp.readout(x)
    >>> {name: k.round(3).tolist() for name, k in rmtp.layer_kernels(net, [[1.0, 1.0], [1.0, -1.0]]).items()}["h3"]
    [[2.0, 0.987], [0.987, 2.0]]
    """
    first = batch(X1, "X1")
    second = first if X2 is None else batch(X2, "X2")
    traced = trace(net, first.shape[1:])
    named = {
        node.name: node for node in ancestors(traced.summand) if isinstance(node, Vector) and node.name and node.args
    }
    if not named:
        raise BadParameter("no vector of the network has a name", remedy='h = rmtp.networks.dense(x, n).named("h")')
    plans = {}
    for side in (1, 0):
        tracer = Tracer(lower(list(named.values())))
        sums = {}
        for name, line in zip(named, tracer.program.outputs, strict=True):
            at = np.arange(tracer.sizes[line])
            pairs = tracer.ask([(line, 0), (line, side)], [at, at])
            sums[name] = [Draft(1 / len(at), (pairs,), np.zeros(len(at), dtype=np.int64))]
        plans[side] = prepare(tracer.run(sums, side == 1))
    found, error = on_batches(plans[1], plans[0], first, None if X2 is None else second)
    return {name: Kernel.of(v, error, method_of(plans[1])) for name, v in found.items()}


def gradient_norms(net: Callable[[Any], Any], x: Any) -> dict[str, float]:
    """``lim |sqrt(n) df/dh|^2 / n`` at every matrix product h = W z of a network, last used first: in depth, or in time.

    Parameters
    ----------
    net : callable
    x : array, shape of one input

    Returns
    -------
    dict
        "h1", "h2", .. in the order in which backpropagation meets the products, from the output; one matrix used at T times
        has T of them.

    Notes
    -----
    By the theorem itself, Z-Dot included. TP0 (1902.04760), Figure 1.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = rmtp.networks.mlp(n, 4, rmtp.relu, weight_std=2**0.5)
    >>> [round(v, 12) for v in rmtp.gradient_norms(net, [1.0, 1.0]).values()]      # critical: neither grows nor shrinks
    [0.5, 0.5, 0.5]
    """
    (point,) = batch([x], "x")
    traced = trace(net, point.shape)
    uses = [u for u in traced.gradient.uses if isinstance(u, MatrixUse)]
    handles: list[Node] = [u.rows for u in uses]
    gradients = bound(handles, traced.input, point)
    asked = [_total(np.mean(g * g, axis=0)) for g in gradients]
    values = [float(e) for e in limit(asked)] if asked else []
    return {f"h{k + 1}": v for k, v in enumerate(values)}


def kernel_gradients(
    family: Callable[..., Callable[[Any], Any]],
    theta: Sequence[float],
    X1: Any,
    X2: Any = None,
    *,
    wanted: str = "nngp",
) -> tuple[Kernel, Kernel]:
    """A kernel and its derivatives by hyperparameters.

    Law: forward differentiation of the plan, d/dc E f(u) g(v) = E f' g' (Price 1958). Differences of fourth order of the
    weights (variances, mostly) give their slopes; of the kernel itself they serve where the plan has no derivative (a kernel
    found pair by pair, kinks that are not at 0, means) and for pairs that are nearly parallel or antipodal at a kink.

    Parameters
    ----------
    family : callable
        ``family(*theta)`` is a network; a hyperparameter is used as a weight_std or bias_std, so that it may be an array.
    theta : sequence of float
        Not 0.
    X1, X2 : array (N, \\*shape of one input)
    wanted : {"nngp", "ntk"}

    Returns
    -------
    (Kernel (N1, N2), Kernel (parameters, N1, N2))
        The derivatives have an error and a method of their own: relative to sqrt(K(x, x) K(x', x')) / theta, 20 times that of
        the kernel, or a thousand times where the kernel itself was differenced.

    Raises
    ------
    BadParameter
        If theta holds 0 or no numbers, or the family does not depend on it through standard deviations.

    Notes
    -----
    Tile by tile, in threads; where the kernel itself is differenced, five of it are alive at a time.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> family = lambda w: lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n, w)))
    >>> K, dK = rmtp.kernel_gradients(family, [1.5], [[1.0, 1.0]])
    >>> float(K[0, 0]), round(float(dK[0, 0, 0]), 9)                               # w^2 / 2 and w
    (1.125, 1.5)
    """
    values = list(map(float, reals(theta, "hyperparameters", "finite numbers that are not 0").ravel()))
    if not values or not np.all(np.isfinite(values)) or any(t == 0 for t in values):
        raise BadParameter(f"hyperparameters {theta!r}", remedy="finite numbers that are not 0")
    first = batch(X1, "X1")
    second = None if X2 is None else batch(X2, "X2")
    shape = first.shape[1:]
    K = kernel_function(family(*values), shape, (wanted,))(first, X2)[wanted]
    found = []
    for k, t in enumerate(values):
        step = _STEP * abs(t)
        stencil = t + step * STENCIL
        made = kernel_function(family(*(stencil if j == k else v for j, v in enumerate(values))), shape, (wanted,))
        try:
            slope = _by_duals(made, wanted, first, second, step)
            found.append((slope, _LOST * K.error, "derivative of the plan"))
        except UnsupportedOperation:
            swept = np.asarray(made(first, X2)[wanted])
            found.append((_differences(swept, k, step), 2 * K.error / _STEP + _TRUNCATED, "differences"))
    methods = [method for _, _, method in found]
    return K, Kernel.of(np.stack([s for s, _, _ in found]), max(e for _, e, _ in found), max(methods))


def _by_duals(made: KernelFunction, name: str, first: np.ndarray, second: np.ndarray | None, step: float) -> np.ndarray:
    if made.pairs is None or made.singles is None:
        raise UnsupportedOperation("a derivative pair by pair", remedy="differences")
    wide, alone, doubtful = slopes(made.pairs, made.singles, first, second, step)
    out, diagonal = wide[name], np.array(np.broadcast_to(alone[name], len(first)))
    i, j = np.nonzero(doubtful)
    if len(i):
        left, _ = single_moments(made.pairs, first)
        right = left if second is None else single_moments(made.pairs, second)[0]
        again, _ = listed(made.pairs, left.part(i), right.part(j))
        out[i, j] = _differences(again[name], 0, step)
    swept, lost = single_outputs(made.singles, first)
    if lost:
        swept, _ = on_equal(made.pairs, made.singles, first)
        diagonal = _differences(np.broadcast_to(swept[name], (len(STENCIL), len(first))), 0, step)
    put_same(made.pairs, {name: out}, {name: diagonal}, first, second)
    bias = np.asarray(made.bias(name))
    return out + (np.tensordot(WEIGHTS, bias, axes=1) / step if bias.ndim else 0.0)


def _differences(swept: np.ndarray, number: int, step: float) -> np.ndarray:
    if len(swept) != len(STENCIL):
        raise BadParameter(
            f"hyperparameter {number} gives kernels of shape {swept.shape}", remedy="use it as a weight_std or bias_std"
        )
    return np.asarray(np.tensordot(WEIGHTS, swept, axes=1) / step)


def _total(x: Any) -> Any:
    return np.sum(x) if getattr(x, "axes", ()) else x
