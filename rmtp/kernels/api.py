"""`nngp` and `ntk`: kernels of any network over data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..backprop import InputUse, MatrixUse, Use, VectorUse
from ..ensembles import Number
from ..errors import AxisError, BadParameter
from ..instructions import InputMatrix, Isotropic, NormalGroup
from ..networks.network import Traced, batch, trace
from ..program import lower
from ..progress import progress
from .plan import Plan
from .run import Ready, Side, prepare, tile
from .trace import Tracer, _Draft

PARAMETRIZATIONS = ("ntk", "yang")
_TILE_BYTES = 1 << 19


def kernel_plan(traced: Traced, wanted: tuple[str, ...], parametrization: str = "ntk") -> Plan:
    """The plan of "nngp", "ntk" or both."""
    g = traced.gradient
    roots: list[Any] = [traced.summand]
    uses = g.uses if "ntk" in wanted else ()
    for use in uses:
        roots += [use.rows, use.cols] if isinstance(use, MatrixUse) else []
        roots += [use.rows, use.x] if isinstance(use, InputUse) else []
        roots += [use.gradient] if isinstance(use, VectorUse) else []
    tracer = Tracer(lower(roots))
    line = iter(tracer.program.outputs)
    y = next(line)
    placed = [_placed(use, line) for use in uses]
    zero = np.zeros(1, dtype=np.int64)
    drafts: dict[str, list[_Draft]] = {}
    if "nngp" in wanted:
        ratio = traced.summand.dim.ratio  # type: ignore[union-attr]
        drafts["nngp"] = [_Draft(1 / ratio, (tracer.ask([(y, 0), (y, 1)], [zero, zero]),), None)]
    if "ntk" in wanted:
        drafts["ntk"] = []
        for i, (first, a) in enumerate(placed):
            for j, (second, b) in enumerate(placed):
                drafts["ntk"] += _term(tracer, first, second, a, b, parametrization, i, j)
    return tracer.run(drafts)


def _placed(use: Use, line: Iterator[int]) -> tuple[Use, tuple[int, ...]]:
    return use, (next(line),) if isinstance(use, VectorUse) else (next(line), next(line))


def _term(
    tracer: Tracer,
    first: Use,
    second: Use,
    a: tuple[int, ...],
    b: tuple[int, ...],
    parametrization: str,
    i: int,
    j: int,
) -> list[_Draft]:
    """The part of the double sum over uses that one pair of uses of one parameter makes."""
    match first, second:
        case MatrixUse(matrix=matrix), MatrixUse() if second.matrix is matrix:
            s2 = matrix.ensemble.cumulant(2)
            gain = s2 if matrix.gain is None else matrix.gain
            weight = _share(s2, gain, parametrization) * matrix.rows.ratio
            p, q = np.nonzero(tracer.support.of(a[0], b[0]) & tracer.support.of(a[1], b[1]))
            if not len(p):
                return []
            rows = tracer.ask([(a[0], 0), (b[0], 1)], [p, q])
            cols = tracer.ask([(a[1], 0), (b[1], 1)], [p, q])
            return [_Draft(weight, (rows, cols), np.zeros(len(p), dtype=np.int64))]
        case InputUse(matrix=matrix), InputUse() if second.matrix is matrix:
            weight = _share(matrix.cov[0][0], matrix.gain, parametrization) * matrix.dim.ratio
            p, q = np.nonzero(tracer.support.of(a[0], b[0]))
            if not len(p):
                return []
            rows = tracer.ask([(a[0], 0), (b[0], 1)], [p, q])
            gram = tracer.ask_gram(a[1], b[1], p, q)
            return [_Draft(weight, (rows, gram), np.zeros(len(p), dtype=np.int64))]
        case VectorUse(source=NormalGroup() as group, index=k), VectorUse(source=other, index=m) if other is group:
            return _vector_term(tracer, group, k, m, a[0], b[0], parametrization)
    return []


def _vector_term(
    tracer: Tracer, group: NormalGroup, k: int | None, m: int | None, a: int, b: int, parametrization: str
) -> list[_Draft]:
    size = len(group.mean)
    rows = np.arange(size) if k is None else np.array([k])
    cols = np.arange(size) if m is None else np.array([m])
    if isinstance(group, InputMatrix):
        assert isinstance(group.cov, Isotropic)
        scale = _share(group.cov.variance, group.gain, parametrization) * group.dim.ratio
        each = np.zeros(size, dtype=np.int64)
        return [_Draft(scale, (tracer.ask([(a, 0), (b, 1)], [rows, cols]),), each)]
    drafts = []
    for p, i in enumerate(rows):
        for q, j in enumerate(cols):
            c = group.cov[int(i)][int(j)]
            if not np.any(np.asarray(c, dtype=float)):
                continue
            scale = _share(c, c, parametrization) * group.dim.ratio
            at = (np.array([p if k is None else 0]), np.array([q if m is None else 0]))
            drafts.append(_Draft(scale, (tracer.ask([(a, 0), (b, 1)], at),), None))
    return drafts


def _share(variance: Number, gain: Number, parametrization: str) -> Number:
    """The square of what a trained number is multiplied by: sigma included or not."""
    return variance if parametrization == "ntk" else variance / gain


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
    executor: Executor | None = None,
) -> dict[str, np.ndarray]:
    """Kernels as arrays; what `nngp` and `ntk` return."""
    if parametrization not in PARAMETRIZATIONS:
        raise BadParameter(f"parametrization={parametrization!r}", remedy=f"one of {', '.join(PARAMETRIZATIONS)}")
    first = batch(x1, "X1")
    second = None if x2 is None else batch(x2, "X2")
    if second is not None and second.shape[1:] != first.shape[1:]:
        raise AxisError(f"inputs of shapes {first.shape[1:]} and {second.shape[1:]}", remedy="inputs of one shape")
    traced = trace(net, first.shape[1:])
    plan = kernel_plan(traced, wanted, parametrization)
    ready = prepare(plan)
    bias = {"nngp": traced.bias_variance, "ntk": _bias_ntk(traced.bias_variance, parametrization)}
    left = Side(ready, first)
    right = left if second is None else Side(ready, second)
    out = _tiles(ready, left, right, second is None, executor)
    return {name: out[name] + np.asarray(bias[name], dtype=float)[..., None, None] for name in wanted}


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
