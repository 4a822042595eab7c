"""What all draws of a network share: its programs, which arrays are trained, and in which coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backprop import InputUse, MatrixUse, Use, VectorUse
from ..errors import BadParameter, UnsupportedOperation
from ..instructions import Init, InputMatrix, Isotropic, NormalGroup, RandomMatrix
from ..program import Program, lower
from ..sample import Source, sources
from ..sweeps import sweep_shape
from .layers import Output
from .network import Traced, trace

PARAMETRIZATIONS = ("ntk", "yang")
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
        Its outputs are the average and, use by use, the handles of `parts`.
    trained : dict
        Name -> source, of every matrix with iid Gaussian-like entries and every Gaussian initial vector.
    """

    traced: Traced
    random_readout: bool
    forward: Program
    backward: Program
    trained: dict[str, Trained]

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
            found.setdefault(id(_source(use)), []).append((use, [next(rest) for _ in parts(use)]))
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
    handles = [handle for use in traced.gradient.uses for handle in parts(use)]
    backward = lower([traced.output.average, *handles])
    if sweep_shape(backward) or np.ndim(traced.bias_variance):
        raise BadParameter("a network with swept parameters", remedy="one value at a time, as a plain number")
    return Architecture(traced, isinstance(ends[0], Output), lower([traced.output.average]), backward, _named(backward))


def parts(use: Use) -> tuple[Any, ...]:
    """The handles that make the gradient of one use of a parameter.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> v, h = rmtp.Normal(rmtp.Dim("n"), name="v"), rmtp.Normal(rmtp.Dim("n"), name="h")
    >>> [parts(use) for use in rmtp.backprop(np.mean(v * h)).uses]
    [(v,), (h,)]
    """
    match use:
        case MatrixUse(rows=rows, cols=cols):
            return rows, cols
        case InputUse(rows=rows, x=x):
            return rows, x
        case VectorUse(gradient=gradient):
            return (gradient,)


def _source(use: Use) -> Any:
    return use.source if isinstance(use, VectorUse) else use.matrix


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


# ---------------------------------------------------------------------------------------------
# parametrizations


def check_parametrization(parametrization: str) -> None:
    """Raise `BadParameter` unless it is one.

    Examples
    --------
    >>> check_parametrization("ntk")
    """
    if parametrization not in PARAMETRIZATIONS:
        raise BadParameter(f"parametrization={parametrization!r}", remedy=f"one of {', '.join(PARAMETRIZATIONS)}")


def metric(source: Trained, width: int, parametrization: str) -> Any:
    """M M.T for the linear map M from the trained numbers omega to the array that the network uses.

    "ntk": omega has unit variance, so M carries sigma; "yang": omega has variance sigma**2, so M is 1/sqrt(fan-in) alone.

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
    >>> W = rmtp.Gaussian(rmtp.Dim("n"), rmtp.Dim("m", 2), std=3).source
    >>> metric(W, 50, "ntk"), metric(W, 50, "yang")
    (0.09, 0.01)
    """
    match source:
        case RandomMatrix(ensemble=ensemble):
            if ensemble.kind != "Gaussian":
                raise UnsupportedOperation(
                    f"the gradient with respect to the {ensemble.kind} matrix {source.name or ''}".rstrip(),
                    remedy="a trained matrix has independent entries: rmtp.Gaussian",
                )
            s2, gain = ensemble.variance, source.gain
            return _share(s2, s2 if gain is None else gain, parametrization) / source.cols.size(width)
        case NormalGroup(cov=Isotropic(variance=variance)):
            return _share(variance, source.gain if isinstance(source, InputMatrix) else variance, parametrization)
        case NormalGroup(cov=cov):
            covariance = np.array(cov, dtype=float)
            return covariance if parametrization == "ntk" else np.diag((np.diag(covariance) > 0).astype(float))
    raise AssertionError(source)


def _share(variance: Any, gain: Any, parametrization: str) -> float:
    if parametrization == "ntk" or not variance:
        return float(variance)
    return float(variance / gain)
