"""`nngp` and `ntk`: kernels of any network over data sets."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import executor as checked_executor
from ..arguments import items
from ..errors import AxisError, BadParameter, NoInfiniteWidth, UnsupportedOperation
from ..networks.network import Traced, batch, trace
from ..progress import progress
from ..results import Estimate
from . import rounding
from .careful import careful_list, careful_tile, is_fresh, listed
from .entrywise import entrywise
from .gia import GIAReport, check
from .kernel import Kernel, finite, raised, relative_error
from .places import Batch, Grid, equal_rows, products
from .run import Ready, prepare, single_moments, single_outputs
from .store import Files, Memory
from .tangent import bias_metric, check_parametrization, kernel_plan, trained_uses

RELATIVE = 1e-13  # of closed forms, propagated
QUADRATURE = 1e-10
_TILE_BYTES = 1 << 19
_MANY = 1 << 12  # pairs of positions of two inputs
_LIST = 1 << 20  # the same, of several pairs of inputs at a time
_PRODUCT_BYTES = 1 << 28
_BLOCK = 1024  # inputs along a side of what an executor gets at a time


# ---------------------------------------------------------------------------------------------
# one network, inputs of one shape


@dataclass(frozen=True, eq=False)
class KernelFunction:
    """Kernels of one network for inputs of one shape: the plan is made once. Build it with `kernel_function`.

    Attributes
    ----------
    report : GIAReport
        Whether treating W.T as independent is right, and what breaks it.
    method : str
        "closed form" or "quadrature" on arrays, "pair by pair" where the full theorem runs for each pair.
    """

    net: Callable[[Any], Any]
    shape: tuple[int, ...]
    wanted: tuple[str, ...]
    parametrization: str
    traced: Traced
    report: GIAReport
    naive: bool
    pairs: Ready | None
    singles: Ready | None

    @property
    def method(self) -> str:
        """How expectations are found."""
        return "pair by pair" if self.pairs is None else method_of(self.pairs)

    def __call__(
        self, X1: Any, X2: Any = None, *, executor: Executor | None = None, out: str | Path | None = None
    ) -> dict[str, Kernel]:
        """The kernels by name; see `nngp` for the arguments."""
        first, second = self._batches(X1, X2)
        if self.pairs is None:
            if out is not None or executor is not None:
                raise BadParameter(
                    "executor= or out= for a kernel that is computed pair by pair", remedy="leave it out"
                )
            return self._entrywise(first, second)
        found, error = self._blocks(first, second, executor, out)
        return {name: Kernel.of(v, error, self.method) for name, v in found.items()}

    def diagonal(self, X: Any) -> dict[str, Kernel]:
        """The kernels of each input with itself: axes (N,)."""
        x, _ = self._batches(X, None)
        if self.singles is None:
            each = [self._entrywise(row[None], None) for row in x]
            return {
                name: Kernel.of(
                    np.stack([np.asarray(e[name])[..., 0, 0] for e in each], axis=-1),
                    max(e[name].error for e in each),
                    each[0][name].method,
                )
                for name in self.wanted
            }
        found, error = self._equal(x)
        return {name: Kernel.of(v, error, self.method) for name, v in found.items()}

    def _batches(self, X1: Any, X2: Any) -> tuple[np.ndarray, np.ndarray | None]:
        first = batch(X1, "X1")
        second = None if X2 is None else batch(X2, "X2")
        for x in (first, second):
            if x is not None and x.shape[1:] != self.shape:
                raise AxisError(
                    f"inputs of shape {x.shape[1:]} for a kernel of shape {self.shape}", remedy="inputs of one shape"
                )
        return first, second

    def bias(self, name: str) -> np.ndarray:
        """What the output bias adds to a kernel."""
        variance = self.traced.bias_variance
        return np.asarray(variance if name == "nngp" else bias_metric(variance, self.parametrization), dtype=float)

    def _entrywise(self, first: np.ndarray, second: np.ndarray | None) -> dict[str, Kernel]:
        found = self._estimates(first, second)
        out = {}
        for name, e in found.items():
            value = raised(np.array(e.value, dtype=float), self.bias(name)[..., None, None])
            error = relative_error(value, np.asarray(e.error, dtype=float), self._scales(name, first, second))
            out[name] = Kernel.of(value, error, e.method)
        return out

    def _estimates(self, first: np.ndarray, second: np.ndarray | None) -> dict[str, Estimate]:
        arguments = self.wanted, self.parametrization, self.naive, self.report.readout
        return entrywise(self.traced, first, second, *arguments)

    def _scales(self, name: str, first: np.ndarray, second: np.ndarray | None) -> Callable[[], list[np.ndarray]] | None:
        """K(x, x) of both sides, asked for where entries are too small to be what errors are relative to."""
        if second is None:
            return None

        def diagonals() -> list[np.ndarray]:
            each = ([self._estimates(row[None], None)[name].value for row in side] for side in (first, second))
            bias = self.bias(name)
            return [np.stack([np.asarray(e, dtype=float)[..., 0, 0] + bias for e in side], axis=-1) for side in each]

        return diagonals

    def _equal(self, x: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
        assert self.singles is not None and self.pairs is not None
        found, error = on_equal(self.pairs, self.singles, x)
        return {name: raised(v, self.bias(name)[..., None]) for name, v in found.items()}, error

    def block(self, first: np.ndarray, second: np.ndarray | None) -> tuple[dict[str, np.ndarray], float]:
        """The kernels of two batches, tile by tile in this thread's pool of threads, and their error."""
        assert self.singles is not None and self.pairs is not None
        found, error = on_batches(self.pairs, self.singles, first, second)
        return {name: raised(v, self.bias(name)[..., None, None]) for name, v in found.items()}, error

    def _blocks(
        self, first: np.ndarray, second: np.ndarray | None, executor: Executor | None, out: str | Path | None
    ) -> tuple[dict[str, np.ndarray], float]:
        assert self.pairs is not None
        other = first if second is None else second
        if executor is None and out is None:
            return self.block(first, second)
        starts = [
            (i, j)
            for i in range(0, len(first), _BLOCK)
            for j in range(0, len(other), _BLOCK)
            if second is not None or j >= i
        ]
        points = len(first), len(other)
        key = b"" if out is None else self._fingerprint(first, other)
        store = Memory() if out is None else Files(out, self.wanted, len(starts), key, points)
        todo = [k for k in range(len(starts)) if not store.done(k)]
        parts = ((k, first[starts[k][0] :][:_BLOCK], other[starts[k][1] :][:_BLOCK]) for k in todo)
        for k, (value, error) in progress(self._run(parts, executor, second is None, starts), "kernel", len(todo)):
            i, j = starts[k]
            for name, v in value.items():
                shape = (*v.shape[:-2], len(first), len(other))
                rows, cols = slice(i, i + v.shape[-2]), slice(j, j + v.shape[-1])
                store.put(k, name, shape, rows, cols, v)
                if second is None and i != j:
                    store.put(k, name, shape, cols, rows, np.swapaxes(v, -1, -2))
            store.finish(k, error)
        return store.arrays, max(store.error, floor_of(self.pairs))

    def _run(
        self,
        parts: Iterator[tuple[int, np.ndarray, np.ndarray]],
        executor: Executor | None,
        symmetric: bool,
        starts: list[Any],
    ) -> Iterator[tuple[int, tuple[dict[str, np.ndarray], float]]]:
        same = [symmetric and i == j for i, j in starts]
        if checked_executor(executor) is None:
            for k, a, b in parts:
                yield k, self.block(a, None if same[k] else b)
            return
        # a process or a remote worker makes the plan again: functions of networks travel, plans full of lambdas do not
        recipe = (self.net, self.shape, self.wanted, self.parametrization, self.naive)
        assert executor is not None
        waiting = {executor.submit(remote_block, recipe, a, None if same[k] else b): k for k, a, b in parts}
        for future in as_completed(waiting):
            yield waiting[future], _result(future)

    def _fingerprint(self, first: np.ndarray, other: np.ndarray) -> bytes:
        """Data, and what the network makes of some of it: hyperparameters included."""
        probe, _ = self.block(first[:2], other[:2])
        return b"".join([first.tobytes(), other.tobytes(), *(probe[name].tobytes() for name in self.wanted)])


def _result(future: Any) -> Any:
    try:
        return future.result()
    except (pickle.PicklingError, AttributeError) as error:
        if "pickle" not in str(error).lower():
            raise
        raise BadParameter(
            f"this executor cannot be sent the network: {error}",
            remedy="a network that is a function of a module, or threads",
        ) from None


def remote_block(
    recipe: tuple[Any, ...], first: np.ndarray, second: np.ndarray | None
) -> tuple[dict[str, np.ndarray], float]:
    """One block, from what a process can be sent."""
    net, shape, wanted, parametrization, naive = recipe
    made = kernel_function(net, shape, wanted, parametrization=parametrization, gradient_independence=naive)
    return made.block(first, second)


def kernel_function(
    net: Callable[[Any], Any],
    shape: Sequence[int],
    wanted: Sequence[str] = ("nngp", "ntk"),
    *,
    parametrization: str = "ntk",
    gradient_independence: bool = False,
) -> KernelFunction:
    """The kernels of a network as a function of inputs: traced and planned once, called often.

    Parameters
    ----------
    net : callable
        A function of one input that ends in ``rmtp.readout(h)``.
    shape : sequence of int
        Of one input.
    wanted : sequence of {"nngp", "ntk"}
    parametrization : {"ntk", "yang", "standard", "mup"}
        See `ntk`.
    gradient_independence : bool
        Treat W.T as independent of W even where that is wrong: the naive answer.

    Returns
    -------
    KernelFunction
        ``k(X1, X2)`` is a dict of kernels, ``k.diagonal(X)`` of their diagonals.

    Raises
    ------
    NoInfiniteWidth
        If the NNGP kernel is wanted of a network whose output tends to a constant.
    BadParameter
        If a word is unknown.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> k = rmtp.kernel_function(lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n))), (2,))
    >>> k.diagonal([[1.0, 1.0], [2.0, 0.0]])["ntk"]
    Kernel([1., 2.])
    """
    check_parametrization(parametrization)
    names = tuple(items(wanted, "wanted"))
    if not names or any(not isinstance(name, str) or name not in ("nngp", "ntk") for name in names):
        raise BadParameter(f"wanted={names!r}", remedy='"nngp", "ntk" or both')
    traced = trace(net, shape)
    uses = trained_uses(traced.gradient.uses) if "ntk" in names else ()
    report = check(traced, uses)
    if "nngp" in names and not report.random_readout:
        raise NoInfiniteWidth(
            "the output of this network tends to a constant: its readout has no random weights of its own",
            remedy="rmtp.readout(h) for a Gaussian process; the tangent kernel of a mean-pool readout is rmtp.ntk",
        )
    needs_zdot = not report.bp_like if "ntk" in names else report.transposed_forward
    pairs = singles = None
    if gradient_independence or not needs_zdot:
        try:
            pairs = prepare(kernel_plan(traced, names, parametrization, 1, report.readout))
            singles = prepare(kernel_plan(traced, names, parametrization, 0, report.readout))
        except UnsupportedOperation:
            pairs = singles = None
    return KernelFunction(
        net, tuple(shape), names, parametrization, traced, report, gradient_independence, pairs, singles
    )


# ---------------------------------------------------------------------------------------------
# plans on batches


def method_of(pairs: Ready) -> str:
    """How the expectations of a plan are found."""
    return "quadrature" if pairs.quadrature else "closed form"


def floor_of(pairs: Ready) -> float:
    """The error of a plan where no kink adds to it."""
    return QUADRATURE if pairs.quadrature else RELATIVE


def on_equal(pairs: Ready, singles: Ready, x: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Outputs of each input with itself, where covariances equal variances exactly and not up to rounding; their error."""
    found, lost = single_outputs(singles, x)
    cancelled = rounding.lost(singles, x)
    if lost:  # two positions of one input are nearly parallel
        alone, _ = single_moments(pairs, x)
        found, lost = listed(pairs, alone, alone)
    spread = {name: np.array(np.broadcast_to(v, (*v.shape[:-1], len(x)))) for name, v in found.items()}
    finite(*spread.values())
    return spread, max(lost, cancelled, floor_of(pairs))


def on_batches(
    pairs: Ready, singles: Ready, first: np.ndarray, second: np.ndarray | None
) -> tuple[dict[str, np.ndarray], float]:
    """Outputs for all pairs of two batches, or of one with itself; their error."""
    left, lost = single_moments(pairs, first)
    right, error = (left, 0.0) if second is None else single_moments(pairs, second)
    kernels, missed = _tiles(pairs, left, right, second is None)
    same, unequal = on_equal(pairs, singles, first)
    put_same(pairs, kernels, same, first, second)
    return kernels, max(error, lost, missed, unequal)


def put_same(
    pairs: Ready,
    kernels: dict[str, np.ndarray],
    same: dict[str, np.ndarray],
    first: np.ndarray,
    second: np.ndarray | None,
) -> None:
    """The values of inputs with themselves, where they belong: at equal inputs, or, with masks, on the diagonal.

    An angle of 0 has an error of 1e-8 when read off a cosine.
    """
    index = np.arange(len(first))
    if second is None:
        for name, kernel in kernels.items():
            kernel[..., index, index] = same[name]
    if is_fresh(pairs):
        return
    i, j = equal_rows(first, first if second is None else second)
    for name, kernel in kernels.items():
        kernel[..., i, j] = same[name][..., i]


def _mirrored(tile: np.ndarray) -> np.ndarray:
    """The upper triangle on both sides: a symmetric kernel to the last bit."""
    return np.where(np.tri(tile.shape[-1], dtype=bool), np.swapaxes(tile, -1, -2), tile)


def _tiles(ready: Ready, left: Batch, right: Batch, symmetric: bool) -> tuple[dict[str, np.ndarray], float]:
    """Kernels by tiles that fit the cache, in threads, the upper triangle of a symmetric one; what kinks make of the error.

    Threads write their tiles themselves: nothing of N^2 is left for the one that waits for them.
    """
    n1, n2 = len(left.x), len(right.x)
    entries = max((m.size for m in ready.plan.moments if m.cross), default=1)
    if entries >= _MANY:
        return _lists(ready, left, right, symmetric, entries)
    side = int(np.clip((_TILE_BYTES // (8 * entries)) ** 0.5, 8, 512))
    starts = [(i, j) for i in range(0, n1, side) for j in range(0, n2, side) if not symmetric or j + side > i]
    lefts = {i: left.part(slice(i, i + side)) for i in range(0, n1, side)}
    rights = lefts if symmetric else {j: right.part(slice(j, j + side)) for j in range(0, n2, side)}
    whole = products(ready.plan, left, right, _PRODUCT_BYTES) if len(starts) > 1 else {}
    kernels: dict[str, np.ndarray] = {}

    def work(at: tuple[int, int]) -> float:
        i, j = at
        parts = {key: value[:, i : i + side, j : j + side] for key, value in whole.items()}
        found, lost = careful_tile(ready, Grid(lefts[i], rights[j], parts), symmetric and i == j)
        rows, cols = slice(i, i + side), slice(j, j + side)
        for name, whole_or_half in found.items():
            finite(whole_or_half)
            value = _mirrored(whole_or_half) if symmetric and i == j else whole_or_half
            if at == starts[0]:
                kernels[name] = np.empty((*value.shape[:-2], n1, n2))
            kernels[name][..., rows, cols] = value
            if symmetric and i != j:
                kernels[name][..., cols, rows] = np.swapaxes(value, -1, -2)
        return lost

    error = work(starts[0])
    if len(starts) > 1:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            error = max(error, *progress(pool.map(work, starts[1:]), "kernel", len(starts) - 1))
    return kernels, error


def _lists(
    ready: Ready, left: Batch, right: Batch, symmetric: bool, entries: int
) -> tuple[dict[str, np.ndarray], float]:
    """The same for pairs of positions so many that a few pairs of inputs fill the cache: each pair once."""
    n1, n2 = len(left.x), len(right.x)
    rows, cols = np.triu_indices(n1) if symmetric else (a.ravel() for a in np.indices((n1, n2)))

    threads = os.cpu_count() or 1
    rounds = -(-len(rows) * entries // (_LIST * threads))
    step = -(-len(rows) // (rounds * threads))

    def work(start: int) -> tuple[dict[str, np.ndarray], float]:
        part = slice(start, start + step)
        return careful_list(ready, left.part(rows[part]), right.part(cols[part]))

    starts = range(0, len(rows), step)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(progress(pool.map(work, starts), "kernel", len(starts)))
    kernels = {}
    for name in parts[0][0]:
        value = np.concatenate([found[name] for found, _ in parts], axis=-1)
        finite(value)
        kernels[name] = np.empty((*value.shape[:-1], n1, n2))
        kernels[name][..., rows, cols] = value
        if symmetric:
            kernels[name][..., cols, rows] = value
    return kernels, max(lost for _, lost in parts)


# ---------------------------------------------------------------------------------------------
# the verbs


def nngp(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    *,
    diagonal: bool = False,
    executor: Executor | None = None,
    out: str | Path | None = None,
) -> Kernel:
    """The covariance of a wide network's outputs at initialisation.

    Law: f tends to a Gaussian process with ``K(x, x') = lim E f(x) f(x')``.

    Parameters
    ----------
    net : callable
        A function of one input that ends in ``rmtp.readout(h)``.
    X1, X2 : array (N, \\*shape of one input)
        X2 = None: X1 against itself, half the work.
    diagonal : bool
        Only K(x, x) of X1: axes (N,).
    executor : concurrent.futures.Executor, optional
        Instead of threads; a process pool needs a network that pickles (a function of a module, say).
    out : path, optional
        A .npy file for the result, block by block; an interrupted call with the same arguments goes on where it stopped.

    Returns
    -------
    Kernel (N1, N2)
        An ndarray with ``.error`` (relative) and ``.method``; arrays of weight_std etc. become leading axes.

    Raises
    ------
    NoInfiniteWidth
        If the readout has no random weights of its own.
    BadParameter, AxisError
        For inputs that are not finite or not of one shape.

    Notes
    -----
    Normalisation: weights have the entry variance weight_std**2 / fan_in. Exact up to the stated error: closed forms where
    they exist, else quadrature; a matrix and its transpose both used forward get their Z-Dot, pair by pair.
    Yang 2019 (1910.12478), Theorem 5.4; TP II (2006.14548).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> rmtp.nngp(net, [[3.0, 0.0], [0.0, 2.0]]).round(12)
    array([[2.25      , 0.47746483],
           [0.47746483, 1.        ]])
    """
    return _kernels(net, X1, X2, ("nngp",), "ntk", False, diagonal, executor, out)["nngp"]


def ntk(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    *,
    parametrization: str = "ntk",
    gradient_independence: bool = False,
    diagonal: bool = False,
    executor: Executor | None = None,
    out: str | Path | None = None,
) -> Kernel:
    """The neural tangent kernel of a wide network at initialisation.

    Law: ``Theta(x, x') = sum over parameters, over pairs of their uses, of E[Z^dy Z^dy'] E[Z^z Z^z']``.

    Parameters
    ----------
    net : callable
        Ends in ``rmtp.readout(h)``, or in an average ``np.mean(h)``; of that the kernel is n <grad f, grad f'>.
    X1, X2 : array (N, \\*shape of one input)
    parametrization : {"ntk", "yang", "standard", "mup"}
        What is trained. "ntk" (Lee et al., neural-tangents): omega ~ N(0, 1) with W = weight_std omega / sqrt(fan_in) and
        b = bias_std beta. "yang": omega ~ N(0, weight_std**2) with W = omega / sqrt(fan_in), and b itself.
        "standard": W itself, the limit of the kernel over n. "mup": W itself, with a readout over n.
    gradient_independence : bool
        The naive answer that treats W.T as independent of W.
    diagonal, executor, out
        As for `nngp`.

    Returns
    -------
    Kernel (N1, N2)

    Raises
    ------
    BadParameter, AxisError, UnsupportedOperation

    Notes
    -----
    The true limit: where the gradient-independence checks fail (`gia_check`), Z-Dot is kept, pair by pair.
    Jacot et al. 2018 (1806.07572); TP II (2006.14548), Theorem 7.2.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> rmtp.ntk(net, [[1.0, 1.0]])
    Kernel([[1.]])
    """
    return _kernels(net, X1, X2, ("ntk",), parametrization, gradient_independence, diagonal, executor, out)["ntk"]


def nngp_ntk(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    *,
    parametrization: str = "ntk",
    diagonal: bool = False,
    executor: Executor | None = None,
    out: str | Path | None = None,
) -> tuple[Kernel, Kernel]:
    """Both kernels, shared work done once; arguments as for `nngp` and `ntk`.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n)))
    >>> [float(k[0, 0]) for k in rmtp.nngp_ntk(net, [[1.0, 1.0]])]
    [0.5, 1.0]
    """
    found = _kernels(net, X1, X2, ("nngp", "ntk"), parametrization, False, diagonal, executor, out)
    return found["nngp"], found["ntk"]


def _kernels(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any,
    wanted: tuple[str, ...],
    parametrization: str,
    naive: bool,
    diagonal: bool,
    executor: Executor | None,
    out: str | Path | None,
) -> dict[str, Kernel]:
    first = batch(X1, "X1")
    k = kernel_function(net, first.shape[1:], wanted, parametrization=parametrization, gradient_independence=naive)
    if diagonal:
        if X2 is not None:
            raise BadParameter("diagonal=True with X2", remedy="the diagonal is that of X1 against itself")
        return k.diagonal(first)
    return k(first, X2, executor=executor, out=out)
