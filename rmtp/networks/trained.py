"""What all draws of a network share: its programs, which arrays are trained, and in which coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backprop import Use, VectorUse, use_handles, use_source
from ..errors import BadParameter
from ..instructions import Init, InputMatrix, Isotropic, NormalGroup, RandomMatrix
from ..kernels.gia import check
from ..kernels.tangent import metric
from ..program import Program, lower
from ..sample import Source, sources
from ..sweeps import sweep_shape
from .layers import Output
from .network import Traced, trace

OUTPUT_BIAS = "output bias"
Trained = RandomMatrix | NormalGroup


@dataclass(frozen=True, eq=False)
class Architecture:
    """A traced network, lowered.

    Attributes
    ----------
    traced : Traced
    random_readout : bool
        Whether the network ends with an `Output`: f = sqrt(n) * average + b, instead of f = average.
    forward : Program
        Its output is the average.
    backward : Program
        Its outputs are the average and, use by use, the handles of `use_handles`.
    trained : dict
        Name -> source, of every matrix with iid Gaussian-like entries and every Gaussian initial vector.
    readout : frozenset
        The sources of readout weights.
    """

    traced: Traced
    random_readout: bool
    forward: Program
    backward: Program
    trained: dict[str, Trained]
    readout: frozenset[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return tuple(size for _, size in self.traced.input.axes)

    @property
    def bias_variance(self) -> float:
        """Variance of the output bias; 0: there is none."""
        return float(self.traced.bias_variance)

    def sources(self) -> list[Source]:
        """All sources, in order of first use forward."""
        return sources(self.backward)

    def uses(self, values: Sequence[Any]) -> dict[int, list[tuple[Use, list[Any]]]]:
        """The uses of each source (by id) with their values, which follow the average in the outputs of `backward`."""
        rest = iter(values[1:])
        found: dict[int, list[tuple[Use, list[Any]]]] = {}
        for use in self.traced.gradient.uses:
            found.setdefault(id(use_source(use)), []).append((use, [next(rest) for _ in use_handles(use)]))
        return found

    def readouts(self) -> list[tuple[str, ...]]:
        """Sets of initial vectors in which the output may be linear: the gradient of none depends on any of them."""
        reach = self._reach()
        fine = [
            name
            for name, source in self.trained.items()
            if id(source) in reach and not any(source.mean) and id(source) not in reach[id(source)]  # type: ignore[union-attr]
        ]
        found = []
        for start in fine:
            chosen = [start]
            for name in fine:
                ids = {id(self.trained[k]) for k in (*chosen, name)}
                if name not in chosen and not any(ids & reach[i] for i in ids):
                    chosen.append(name)
            found.append(tuple(chosen))
        return found

    def _reach(self) -> dict[int, set[int]]:
        """The initial vectors that the gradient of each initial vector depends on, all by id."""
        below: list[set[int]] = []
        for line in self.backward.lines:
            own = {id(line.op.source)} if isinstance(line.op, Init) else set()
            below.append(own.union(*(below[a] for a in line.args)))
        reach = {
            key: set().union(*(below[lines[0]] for _, lines in uses))
            for key, uses in self.uses(self.backward.outputs).items()
            if all(isinstance(use, VectorUse) and isinstance(use.source, NormalGroup) for use, _ in uses)
        }
        return reach


def architecture(net: Callable[[Any], Any], shape: Any) -> Architecture:
    """Trace a network and name its parameters.

    Raises
    ------
    BadParameter
        If the shape is none, or the network holds a sweep.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, n, 1, 1, name="U")))
    >>> list(architecture(net, (3,)).trained)
    ['v', 'U', 'b_U']
    """
    sizes = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    if not sizes or any(isinstance(s, bool) or not isinstance(s, int | np.integer) or s < 1 for s in sizes):
        raise BadParameter(
            f"shape={shape!r}", remedy="the shape of one input, a tuple of positive ints such as (28, 28, 1)"
        )
    ends: list[Any] = []

    def watched(x: Any) -> Any:
        ends.append(net(x))
        return ends[-1]

    traced = trace(watched if callable(net) else net, sizes)
    handles = [handle for use in traced.gradient.uses for handle in use_handles(use)]
    backward = lower([traced.output.average, *handles])
    if sweep_shape(backward) or np.ndim(traced.bias_variance):
        raise BadParameter("a network with swept parameters", remedy="one value at a time, as a plain number")
    readout = check(traced, traced.gradient.uses).readout
    forward = lower([traced.output.average])
    return Architecture(traced, isinstance(ends[0], Output), forward, backward, _named(backward), readout)


def _named(program: Program) -> dict[str, Trained]:
    """Names of the trained sources: those given, else W1, U1, b1 by kind; a second one of a name gets a number."""
    given: dict[int, list[str]] = {}
    for line in program.lines:
        if isinstance(line.op, Init) and line.name:
            given.setdefault(id(line.op.source), []).append(line.name)
    named: dict[str, Trained] = {}
    for source in sources(program):
        match source:
            case RandomMatrix(name=name):
                kind = "W"
            case InputMatrix(name=name):
                kind = "U"
            case NormalGroup():
                kind, name = "b", ",".join(dict.fromkeys(given.get(id(source), [])))
            case _:  # IID vectors and constants are data
                continue
        named[_free(name or kind, bool(name), named)] = source
    return named


def _free(stem: str, bare: bool, taken: Iterable[str]) -> str:
    if bare and stem not in taken:
        return stem
    k, joint = (2, "_") if bare else (1, "")
    while f"{stem}{joint}{k}" in taken:
        k += 1
    return f"{stem}{joint}{k}"


def finite_metric(made: Architecture, source: Trained, width: int, parametrization: str) -> Any:
    """M M.T for the linear map M from the trained numbers omega to the array that the network uses.

    The factor of the limit (`kernels.tangent.metric`), by the sizes that inner products have at this width.

    Returns
    -------
    float, or for initial vectors with a covariance of their own an array (k, k)

    Raises
    ------
    UnsupportedOperation
        For a matrix without independent entries, which has no such coordinates.

    Examples
    --------
    >>> import rmtp
    >>> m = rmtp.Dim("m", 2)
    >>> made = architecture(lambda x: rmtp.readout(rmtp.networks.dense(x, m, 3, name="U")), (4,))
    >>> [finite_metric(made, made.trained["U"], 50, p) for p in ("ntk", "yang", "mup")]      # 3**2 / 4, 1 / 4, 1
    [2.25, 0.25, 1.0]
    """
    if isinstance(source, RandomMatrix):
        entries = source.rows.size(width) * source.cols.size(width)
        return float(metric(source, parametrization, made.readout)) * width / entries
    share = width / source.dim.size(width)
    if isinstance(source.cov, Isotropic):
        return float(metric(source, parametrization, made.readout)) * share
    k = range(len(source.mean))
    return share * np.array([[float(metric(source, parametrization, made.readout, (i, j))) for j in k] for i in k])
