"""`nngp` and `ntk`: kernels of any network over data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..ensembles import Number
from ..errors import AxisError, BadParameter, NoInfiniteWidth, UnsupportedOperation
from ..networks.network import Traced, batch, trace
from ..progress import progress
from .entrywise import entrywise
from .gia import check
from .run import Ready, Side, prepare, tile
from .tangent import kernel_plan

PARAMETRIZATIONS = ("ntk", "yang")
RELATIVE = 1e-13  # of closed forms, propagated
QUADRATURE = 1e-10
_TILE_BYTES = 1 << 19


class Kernel(np.ndarray):
    """A kernel matrix that carries its error and how it was found; otherwise an ndarray.

    Attributes
    ----------
    error : ndarray
        Of the same shape: a bound for closed forms and quadrature, one standard error where points were sampled.
    method : str

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> K = rmtp.nngp(lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n))), np.eye(2))
    >>> K.method, bool(np.all(K.error < 1e-12))
    ('closed form', True)
    """

    error: np.ndarray
    method: str

    @classmethod
    def of(cls, value: np.ndarray, error: np.ndarray, method: str) -> Kernel:
        """From its parts."""
        out = np.asarray(value, dtype=float).view(cls)
        out.error, out.method = np.asarray(error), method
        return out

    def __array_finalize__(self, parent: Any) -> None:
        if parent is not None:
            self.error, self.method = getattr(parent, "error", np.zeros(())), getattr(parent, "method", "")

    def plus(self, bias: Number, diagonal: bool) -> Kernel:
        """With the variance of an output bias, which may be an array over a sweep, added."""
        extra = np.asarray(bias, dtype=float)[(..., *[None] * (1 if diagonal else 2))]
        value = np.asarray(self) + extra
        return Kernel.of(value, np.broadcast_to(self.error, value.shape), self.method)


# ---------------------------------------------------------------------------------------------
# over data sets


def kernel_arrays(
    net: Callable[[Any], Any],
    x1: Any,
    x2: Any,
    wanted: tuple[str, ...],
    *,
    parametrization: str = "ntk",
    diagonal: bool = False,
    gradient_independence: bool = False,
    executor: Executor | None = None,
) -> dict[str, Kernel]:
    """Kernels as arrays; what `nngp` and `ntk` return."""
    if parametrization not in PARAMETRIZATIONS:
        raise BadParameter(f"parametrization={parametrization!r}", remedy=f"one of {', '.join(PARAMETRIZATIONS)}")
    first = batch(x1, "X1")
    second = None if x2 is None else batch(x2, "X2")
    if second is not None and second.shape[1:] != first.shape[1:]:
        raise AxisError(f"inputs of shapes {first.shape[1:]} and {second.shape[1:]}", remedy="inputs of one shape")
    if diagonal and second is not None:
        raise BadParameter("diagonal=True with X2", remedy="the diagonal is that of X1 against itself")
    traced = trace(net, first.shape[1:])
    report = check(traced)
    if "nngp" in wanted and not report.random_readout:
        raise NoInfiniteWidth(
            "the output of this network tends to a constant: its readout has no random weights of its own",
            remedy="rmtp.readout(h) for a Gaussian process; the tangent kernel of a mean-pool readout is rmtp.ntk",
        )
    needs_zdot = not report.bp_like if "ntk" in wanted else report.transposed_forward
    bias = {"nngp": traced.bias_variance, "ntk": _bias_ntk(traced.bias_variance, parametrization)}
    if needs_zdot and not gradient_independence:
        out = _entrywise(traced, first, second, wanted, parametrization, diagonal)
    else:
        try:
            out = _on_arrays(traced, first, second, wanted, parametrization, diagonal, executor)
        except UnsupportedOperation:
            if gradient_independence and needs_zdot:
                raise
            out = _entrywise(traced, first, second, wanted, parametrization, diagonal)
    return {name: out[name].plus(bias[name], diagonal) for name in wanted}


def _entrywise(
    traced: Traced,
    first: np.ndarray,
    second: np.ndarray | None,
    wanted: Sequence[str],
    parametrization: str,
    diagonal: bool,
) -> dict[str, Kernel]:
    if diagonal:
        each = [entrywise(traced, x[None], None, wanted, parametrization) for x in first]
        return {
            name: Kernel.of(
                np.array([float(np.ravel(e[name].value)[0]) for e in each]),
                np.array([float(np.ravel(e[name].error)[0]) for e in each]),
                each[0][name].method,
            )
            for name in wanted
        }
    found = entrywise(traced, first, second, wanted, parametrization)
    return {
        k: Kernel.of(np.asarray(e.value, dtype=float), np.asarray(e.error, dtype=float), e.method)
        for k, e in found.items()
    }


def _on_arrays(
    traced: Traced,
    first: np.ndarray,
    second: np.ndarray | None,
    wanted: Sequence[str],
    parametrization: str,
    diagonal: bool,
    executor: Executor | None,
) -> dict[str, Kernel]:
    same = _diagonal(traced, first, wanted, parametrization)
    if diagonal:
        return {name: Kernel.of(value, RELATIVE * np.abs(value), "closed form") for name, value in same.items()}
    ready = prepare(kernel_plan(traced, wanted, parametrization))
    left = Side(ready, first)
    right = left if second is None else Side(ready, second)
    out = _tiles(ready, left, right, second is None, executor)
    for name, value in out.items():
        _put_equal(value, same[name], first, second)
    method = "quadrature" if ready.quadrature else "closed form"
    error = QUADRATURE if ready.quadrature else RELATIVE
    return {name: Kernel.of(value, error * np.abs(value), method) for name, value in out.items()}


def _diagonal(traced: Traced, x: np.ndarray, wanted: Sequence[str], parametrization: str) -> dict[str, np.ndarray]:
    """Kernels of each input with itself, where covariances equal variances exactly and not up to rounding."""
    ready = prepare(kernel_plan(traced, wanted, parametrization, 0))
    found = Side(ready, x).outputs()
    return {name: np.array(np.broadcast_to(v, (*v.shape[:-1], len(x)))) for name, v in found.items()}


def _put_equal(kernel: np.ndarray, same: np.ndarray, first: np.ndarray, second: np.ndarray | None) -> None:
    """The diagonal's values wherever two inputs are equal: an angle of 0 has an error of 1e-8 when read off a cosine."""
    where: dict[bytes, list[int]] = {}
    for i, x in enumerate(first):
        where.setdefault((x + 0.0).tobytes(), []).append(i)
    rows = first if second is None else second
    for j, x in enumerate(rows):
        for i in where.get((x + 0.0).tobytes(), ()):
            kernel[..., i, j] = same[..., i]


def _bias_ntk(variance: Number, parametrization: str) -> Number:
    if parametrization == "ntk":
        return variance
    return 1 if np.any(np.asarray(variance, dtype=float)) else 0


def _tiles(ready: Ready, left: Side, right: Side, symmetric: bool, executor: Executor | None) -> dict[str, np.ndarray]:
    n1, n2 = len(left.x), len(right.x)
    entries = max((m.size for m in ready.plan.moments if m.cross), default=1)
    side = int(np.clip((_TILE_BYTES // (8 * entries)) ** 0.5, 8, 512))
    starts = [(i, j) for i in range(0, n1, side) for j in range(0, n2, side) if not symmetric or j + side > i]
    lefts = {i: left.part(slice(i, i + side)) for i in range(0, n1, side)}
    rights = lefts if symmetric else {j: right.part(slice(j, j + side)) for j in range(0, n2, side)}
    out: dict[str, np.ndarray] = {}

    def work(at: tuple[int, int]) -> tuple[tuple[int, int], dict[str, np.ndarray]]:
        return at, tile(ready, lefts[at[0]], rights[at[1]])

    own = executor is None and len(starts) > 1
    pool = ThreadPoolExecutor(os.cpu_count() or 1) if own else executor
    try:
        done = map(work, starts) if pool is None else pool.map(work, starts)
        for (i, j), part in progress(done, "kernel", len(starts)):
            for name, value in part.items():
                if name not in out:
                    out[name] = np.empty((*value.shape[:-2], n1, n2))
                rows, cols = slice(i, i + side), slice(j, j + side)
                out[name][..., rows, cols] = value
                if symmetric and i != j:
                    out[name][..., cols, rows] = np.swapaxes(value, -1, -2)
    finally:
        if own and isinstance(pool, ThreadPoolExecutor):
            pool.shutdown()
    return out


def nngp(net: Callable[[Any], Any], X1: Any, X2: Any = None, *, executor: Executor | None = None) -> np.ndarray:
    """The covariance of a wide network's outputs at initialisation.

    Law: f(x) -> Gaussian process with ``K(x, x') = lim E f(x) f(x')``.

    Parameters
    ----------
    net : callable
        A function of one input that ends in ``rmtp.readout(h)``.
    X1, X2 : array (N, \\*shape of one input)
        X2 = None: X1 against itself, half the work.
    executor : concurrent.futures.Executor, optional
        Instead of threads.

    Returns
    -------
    ndarray (N1, N2)

    Raises
    ------
    rmtp.errors.RmtpError

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> rmtp.nngp(net, [[3.0, 0.0], [0.0, 2.0]]).round(12)
    array([[2.25      , 0.47746483],
           [0.47746483, 1.        ]])
    """
    return kernel_arrays(net, X1, X2, ("nngp",), executor=executor)["nngp"]


def ntk(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    *,
    parametrization: str = "ntk",
    executor: Executor | None = None,
) -> np.ndarray:
    """The neural tangent kernel of a wide network at initialisation.

    Law: ``Theta(x, x') = sum over parameters, over pairs of uses, of E[Z^dy Z^dy'] E[Z^z Z^z']``.

    Parameters
    ----------
    net : callable
    X1, X2 : array (N, \\*shape of one input)
    parametrization : {"ntk", "yang"}
    executor : concurrent.futures.Executor, optional

    Returns
    -------
    ndarray (N1, N2)

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> rmtp.ntk(net, [[1.0, 1.0]])
    array([[1.]])
    """
    return kernel_arrays(net, X1, X2, ("ntk",), parametrization=parametrization, executor=executor)["ntk"]


def nngp_ntk(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    *,
    parametrization: str = "ntk",
    executor: Executor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Both kernels, shared work done once.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> [float(k[0, 0]) for k in rmtp.nngp_ntk(net, [[1.0, 1.0]])]
    [0.5, 1.0]
    """
    out = kernel_arrays(net, X1, X2, ("nngp", "ntk"), parametrization=parametrization, executor=executor)
    return out["nngp"], out["ntk"]
