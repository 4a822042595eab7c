"""Inside a network: kernels of its named vectors, norms of its gradients, derivatives by its hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backprop import MatrixUse, ancestors
from ..errors import BadParameter
from ..handles import Node, Vector
from ..limit import limit
from ..networks.network import batch, trace
from ..program import lower
from .api import Kernel, KernelFunction, kernel_function
from .entrywise import bound
from .run import Side, prepare, tile
from .trace import Draft, Tracer

_STENCIL = (-2, -1, 1, 2)
_WEIGHTS = np.array([1.0, -8.0, 8.0, -1.0]) / 12
_STEP = 2e-3


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
        By name, from the input to the output.

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
    out: dict[str, np.ndarray] = {}
    for side in (1, 0):
        tracer = Tracer(lower(list(named.values())))
        sums = {}
        for name, line in zip(named, tracer.program.outputs, strict=True):
            at = np.arange(tracer.sizes[line])
            pairs = tracer.ask([(line, 0), (line, side)], [at, at])
            sums[name] = [Draft(1 / len(at), (pairs,), np.zeros(len(at), dtype=np.int64))]
        ready = prepare(tracer.run(sums, side == 1))
        left = Side(ready, first)
        if side:
            found = tile(ready, left, left if X2 is None else Side(ready, second))
            shape = (len(first), len(second))
            out = {name: np.array(np.broadcast_to(v, (*v.shape[:-2], *shape))) for name, v in found.items()}
        elif X2 is None:
            for name, v in left.outputs().items():
                index = np.arange(len(first))
                out[name][..., index, index] = v
    return {name: Kernel.of(v, 1e-10, "array") for name, v in out.items()}


def gradient_norms(net: Callable[[Any], Any], x: Any) -> dict[str, float]:
    """``lim |sqrt(n) df/dh|^2 / n`` at every matrix product h = W z of a network, last used first: in depth, or in time.

    Parameters
    ----------
    net : callable
    x : array, shape of one input

    Returns
    -------
    dict
        By the name of h, or "h1", "h2", .. counted from the output; repeated names get their number behind.

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
) -> tuple[Kernel, np.ndarray]:
    """A kernel and its derivatives by hyperparameters.

    Law: the plan runs once on a stencil of each hyperparameter, a sweep; central differences of fourth order.

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
    (Kernel (N1, N2), ndarray (parameters, N1, N2))
        Derivatives with a relative error of about 1e-10.

    Raises
    ------
    BadParameter
        If theta holds 0 or no numbers, or the family does not depend on it through standard deviations.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> family = lambda w: lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n, w)))
    >>> K, dK = rmtp.kernel_gradients(family, [1.5], [[1.0, 1.0]])
    >>> float(K[0, 0]), round(float(dK[0, 0, 0]), 9)                               # w^2 / 2 and w
    (1.125, 1.5)
    """
    values = [float(t) for t in theta]
    if not values or not np.all(np.isfinite(values)) or any(t == 0 for t in values):
        raise BadParameter(f"hyperparameters {theta!r}", remedy="finite numbers that are not 0")
    first = batch(X1, "X1")

    def run(*parameters: Any) -> Kernel:
        made: KernelFunction = kernel_function(family(*parameters), first.shape[1:], (wanted,))
        return made(first, X2)[wanted]

    slopes = []
    for k, t in enumerate(values):
        step = _STEP * abs(t)
        stencil = np.array([t + s * step for s in _STENCIL])
        swept = np.asarray(run(*(stencil if j == k else v for j, v in enumerate(values))))
        if swept.ndim != 3 or len(swept) != len(_STENCIL):
            raise BadParameter(
                f"hyperparameter {k} gives kernels of shape {swept.shape}", remedy="use it as a weight_std or bias_std"
            )
        slopes.append(np.tensordot(_WEIGHTS, swept, axes=1) / step)
    return run(*values), np.stack(slopes)


def _total(x: Any) -> Any:
    return np.sum(x) if getattr(x, "axes", ()) else x
