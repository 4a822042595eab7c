"""Networks of finite width: parameters drawn, outputs, gradients and the empirical tangent kernel.

The programs that the limit is derived from are run on arrays, forward and backward: a kernel and its check share the program
and no other step. With dx = n d theta / dx (n the base width, theta the average the network ends with) the gradient of theta
with respect to a matrix is ``sum over uses of rows cols.T / n``, that with respect to an initial vector ``dv / n``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..ensembles import ENTRY_LAWS
from ..errors import AxisError, BadParameter, UnsupportedOperation
from ..instructions import FreshSource, InputMatrix, RandomMatrix
from ..kernels.tangent import bias_metric, check_parametrization
from ..sample import covariance_root, draw, generator, positive
from .evaluate import bytes_per_input, run_batch
from .network import batch
from .tangents import MEMORY, Tangent, products, tangent
from .trained import OUTPUT_BIAS, Architecture, architecture, finite_metric

HOMOGENEOUS = 1e-9  # relative: an output is linear in its readout weights up to rounding


@dataclass(frozen=True, eq=False)
class FiniteNetwork:
    """One draw of a network at base width n. Immutable; `updated` takes a step.

    Law: ``f = sqrt(n) * average + b`` for a network that ends with an `rmtp.Output`, ``f = average`` for one that ends with
    ``np.mean(y)``. A matrix has the entry variance s**2 / fan-in.

    Attributes
    ----------
    architecture : Architecture
        The programs; shared by all draws.
    width : int
        The base width n.
    parameters : mapping
        Name -> array as the network multiplies with it (not the omega of a parametrization): (rows, cols) of a matrix,
        (width, d) of input weights and of jointly Gaussian vectors, (width,) of one vector, () of the output bias. Names are
        those given to layers; without one W1, W2, .. are matrices, U1, .. input weights, b1, .. biases. Vectors made by
        `rmtp.IID` and constants are data, and are not here. Masks of dropout belong to the draw and to the number of the
        input in its batch (X2 counts on from X1): to see others, draw another network.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n, name="U")))
    >>> drawn = rmtp.networks.init(net, 1000, 0, (2,))
    >>> {name: array.shape for name, array in drawn.parameters.items()}
    {'v': (1000,), 'U': (1000, 2)}
    >>> bool(abs(drawn.ntk([[1.0, 1.0]]) - rmtp.ntk(net, [[1.0, 1.0]])) < 0.2)
    True
    """

    architecture: Architecture
    width: int
    parameters: Mapping[str, np.ndarray]
    _data: Mapping[int, np.ndarray]
    _fresh: Mapping[FreshSource, np.random.SeedSequence] = field(default_factory=dict)

    # -- outputs ----------------------------------------------------------------------------------

    def forward(self, X: Any) -> np.ndarray:
        """The outputs.

        Parameters
        ----------
        X : array (N, \\*shape of one input)

        Returns
        -------
        ndarray (N,)

        Raises
        ------
        BadParameter, AxisError
            If X is not finite, or holds inputs of another shape.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: np.mean(rmtp.networks.dense(x, rmtp.Dim("n"), 0, 0) + 2)
        >>> rmtp.networks.init(net, 10, 0, (3,)).forward(np.ones((2, 3)))
        array([2., 2.])
        """
        x = self._inputs(X)
        program = self.architecture.forward
        out = np.empty(len(x))
        for cut in self._chunks(len(x), bytes_per_input(program, self.width)):
            out[cut] = run_batch(program, self.width, self._arrays(cut), x[cut])[0]
        return self._scale * out + float(self.parameters.get(OUTPUT_BIAS, 0.0))

    # -- gradients --------------------------------------------------------------------------------

    def gradients(self, X: Any, weights: Any = None, *, parametrization: str = "ntk") -> dict[str, np.ndarray]:
        """Gradients of the outputs with respect to the trained numbers omega.

        Law: "ntk": W = s omega / sqrt(fan-in), omega of unit variance; "yang": W = omega / sqrt(fan-in).

        Parameters
        ----------
        X : array (N, \\*shape of one input)
        weights : array (N,), optional
            Then ``sum_i weights[i] * gradient of f(x_i)``, which is what a loss needs and takes N times less memory.
        parametrization : {"ntk", "yang", "standard", "mup"}

        Returns
        -------
        dict
            Name -> (N, \\*shape of the parameter), or the shape of the parameter with `weights`.

        Raises
        ------
        BadParameter
            If X or weights do not fit.
        UnsupportedOperation
            If a matrix has dependent entries.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), name="U"))
        >>> drawn = rmtp.networks.init(net, 10, 0, (3,))
        >>> {name: g.shape for name, g in drawn.gradients(np.ones((2, 3))).items()}
        {'v': (2, 10), 'U': (2, 10, 3)}
        """
        check_parametrization(parametrization)
        x = self._inputs(X)
        w = None if weights is None else _weights(weights, len(x))
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in self.architecture.trained}
        for cut in self._chunks(len(x), self._backward_bytes):
            _, tangents = self._tangents(x, cut)
            for name, found in tangents.items():
                part = found.each() if w is None else found.total(w[cut])
                old = pieces[name]
                pieces[name] = [old[0] + part] if w is not None and old else [*old, part]
        out = {}
        for name, source in self.architecture.trained.items():
            count = () if w is not None else (len(x),)
            whole = np.concatenate(pieces[name]) if w is None else pieces[name][0]
            lifted = _to_omega(
                whole * (self._scale / self.width),
                finite_metric(self.architecture, source, self.width, parametrization),
            )
            out[name] = lifted.reshape(*count, *self.parameters[name].shape)
        if OUTPUT_BIAS in self.parameters:
            one = float(bias_metric(self.architecture.bias_variance, parametrization)) ** 0.5
            out[OUTPUT_BIAS] = np.full(len(x), one) if w is None else np.asarray(one * w.sum())
        return out

    def updated(self, deltas: Mapping[str, Any], *, parametrization: str = "ntk") -> FiniteNetwork:
        """The network after the step omega + delta; parameters that are not named stay.

        Parameters
        ----------
        deltas : mapping
            Name -> array of the shape of the parameter, as `gradients` names them.
        parametrization : {"ntk", "yang", "standard", "mup"}

        Returns
        -------
        FiniteNetwork

        Raises
        ------
        BadParameter
            If a name is unknown, or an array has another shape or is not finite.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), name="U"))
        >>> drawn, X = rmtp.networks.init(net, 10, 0, (3,)), np.ones((1, 3))
        >>> step = {name: -0.01 * g for name, g in drawn.gradients(X, [1.0]).items()}
        >>> change = drawn.updated(step).forward(X) - drawn.forward(X)
        >>> bool(np.allclose(change, -0.01 * drawn.ntk(X)[0], rtol=0.1))
        True
        """
        check_parametrization(parametrization)
        new = dict(self.parameters)
        for name, delta in deltas.items():
            if name not in new:
                raise BadParameter(f"no parameter {name!r}", remedy=f"one of {', '.join(map(repr, new))}")
            step = np.asarray(delta, dtype=float)
            if step.shape != new[name].shape or not np.all(np.isfinite(step)):
                raise BadParameter(
                    f"a step of {name!r} of shape {step.shape}", remedy=f"finite numbers of shape {new[name].shape}"
                )
            if name == OUTPUT_BIAS:
                moved = step * float(bias_metric(self.architecture.bias_variance, parametrization)) ** 0.5
            else:
                source = self.architecture.trained[name]
                shaped = step.reshape(_drawn_shape(step))
                moved = _from_omega(
                    shaped, finite_metric(self.architecture, source, self.width, parametrization)
                ).reshape(step.shape)
            new[name] = _frozen(new[name] + moved)
        return replace(self, parameters=MappingProxyType(new))

    # -- kernels ----------------------------------------------------------------------------------

    def ntk(self, X1: Any, X2: Any = None, *, parametrization: str = "ntk") -> np.ndarray:
        """The empirical tangent kernel.

        Law: ``<grad f(x), grad f(x')>`` over all parameters; n times that for a network that ends with ``np.mean(y)``, whose
        gradients are sqrt(n) times smaller.

        Parameters
        ----------
        X1, X2 : array (N, \\*shape of one input)
            X2 = None: X1 against itself.
        parametrization : {"ntk", "yang", "standard", "mup"}

        Returns
        -------
        ndarray (N1, N2)

        Raises
        ------
        BadParameter
        UnsupportedOperation
            If a matrix has dependent entries.

        Notes
        -----
        float64. The gradients are not formed: a matrix gives (rows . rows')(cols . cols'), summed over pairs of uses.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), name="U"))
        >>> drawn, X = rmtp.networks.init(net, 50, 0, (3,)), np.eye(3)
        >>> flat = np.hstack([g.reshape(3, -1) for g in drawn.gradients(X).values()])
        >>> bool(np.allclose(flat @ flat.T, drawn.ntk(X)))
        True
        """
        check_parametrization(parametrization)
        names = tuple(self.architecture.trained)
        bias = float(bias_metric(self.architecture.bias_variance, parametrization))
        return self._kernel(X1, X2, names, parametrization) + bias

    def conjugate_kernel(self, X1: Any, X2: Any = None) -> np.ndarray:
        """The covariance of the outputs given everything but the readout weights: E over v of ``f(x) f(x')``.

        Law: for ``rmtp.readout(h)``, ``weight_std**2 h . h' / n + bias_std**2``. Its mean over draws is that of f(x) f(x').

        Parameters
        ----------
        X1, X2 : array (N, \\*shape of one input)

        Returns
        -------
        ndarray (N1, N2)

        Raises
        ------
        UnsupportedOperation
            If the output is not linear in centred Gaussian vectors of its own.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), name="U"))
        >>> drawn, X = rmtp.networks.init(net, 50, 0, (3,)), np.eye(3)
        >>> bool(np.allclose(drawn.conjugate_kernel(X), (drawn.parameters["U"].T @ drawn.parameters["U"]) / 50))
        True
        """
        probe = self._inputs(X1)[:4]
        for names in self.architecture.readouts():
            if self._linear_in(names, probe):
                return self._kernel(X1, X2, names, "ntk") + self.architecture.bias_variance
        raise UnsupportedOperation(
            "the output is not linear in readout weights of its own",
            remedy="average forward(X) products over draws, or end with rmtp.readout(h)",
        )

    def _linear_in(self, names: tuple[str, ...], x: np.ndarray) -> bool:
        average, tangents = self._tangents(x, slice(0, len(x)))
        arrays = self._arrays(slice(0, 0))
        total, size = np.zeros(len(x)), np.abs(average)
        for name in names:
            gradients = tangents[name].each()
            terms = gradients * arrays[id(self.architecture.trained[name])] / self.width
            total = total + terms.sum(axis=(1, 2))
            size = size + np.abs(terms).sum(axis=(1, 2))
        return bool(np.all(np.abs(total - average) <= HOMOGENEOUS * size))

    def _kernel(self, X1: Any, X2: Any, names: tuple[str, ...], parametrization: str) -> np.ndarray:
        first = self._inputs(X1, "X1")
        second = first if X2 is None else self._inputs(X2, "X2")
        metrics = {
            name: finite_metric(self.architecture, self.architecture.trained[name], self.width, parametrization)
            for name in names
        }
        after = 0 if X2 is None else len(first)
        out = np.empty((len(first), len(second)))
        for rows in self._chunks(len(first), self._backward_bytes):
            _, left = self._tangents(first, rows)
            for cols in self._chunks(len(second), self._backward_bytes):
                if X2 is None and cols.start < rows.start:
                    continue  # symmetric: its mirror image is done
                right = left if X2 is None and cols == rows else self._tangents(second, cols, after)[1]
                part = sum(products(left[name], right[name], metrics[name]) for name in names) / self.width
                out[rows, cols] = part
                if X2 is None and cols != rows:
                    out[cols, rows] = np.transpose(part)
        return out

    # -- parts ------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        return self.width**0.5 if self.architecture.random_readout else 1.0

    @property
    def _backward_bytes(self) -> int:
        return bytes_per_input(self.architecture.backward, self.width)

    def _inputs(self, X: Any, what: str = "X") -> np.ndarray:
        x = batch(X, what)
        if x.shape[1:] != self.architecture.shape:
            raise AxisError(
                f"{what} holds inputs of shape {x.shape[1:]}",
                remedy=f"the network was made for {self.architecture.shape}",
            )
        return x

    def _chunks(self, count: int, per_input: int) -> Iterator[slice]:
        step = max(1, MEMORY // max(per_input, 1))
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def _arrays(self, rows: slice, after: int = 0) -> dict[int, np.ndarray]:
        """All arrays by id of their source; what is drawn anew for every input for inputs of these numbers."""
        arrays = dict(self._data)
        for fresh, seed in self._fresh.items():
            streams = (_child(seed, after + k) for k in range(rows.start, rows.stop))
            each = [draw(fresh, self.width, np.random.default_rng(stream)) for stream in streams]
            arrays[id(fresh)] = (
                np.stack(each, axis=1) if each else np.zeros((fresh.dim.size(self.width), 0, fresh.size))
            )
        for name, source in self.architecture.trained.items():
            array = self.parameters[name]
            arrays[id(source)] = array.reshape(_drawn_shape(array))
        return arrays

    def _tangents(self, x: np.ndarray, rows: slice, after: int = 0) -> tuple[np.ndarray, dict[str, Tangent]]:
        """The averages at some inputs, and n times their gradients with respect to every trained array."""
        count = rows.stop - rows.start
        values = run_batch(self.architecture.backward, self.width, self._arrays(rows, after), x[rows])
        uses = self.architecture.uses(values)
        out = {
            name: tangent(uses.get(id(source), []), count, _drawn_shape(self.parameters[name]))
            for name, source in self.architecture.trained.items()
        }
        return np.broadcast_to(values[0], count), out


def init(
    net: Callable[[Any], Any],
    width: int,
    rng: np.random.Generator | int | None,
    shape: Any,
    *,
    entries: str | None = None,
) -> FiniteNetwork:
    """Draw all parameters of a network.

    Law: matrices have iid entries of variance s**2 / fan-in, input weights, biases and readouts are Gaussian.

    Parameters
    ----------
    net : callable
        A function of one input that ends in ``rmtp.readout(h)`` or ``np.mean(y)``.
    width : int
        The base width n; a `Dim` of ratio r has r n coordinates.
    rng : Generator or int, optional
        Every array has its own child stream.
    shape : tuple of int
        The shape of one input, (d,), (T, d) or (H, W, d).
    entries : {"gaussian", "rademacher", "uniform", "sparse"}, optional
        The entry law of the matrices. Arrays with a finite side stay Gaussian: the limit depends on their law.

    Returns
    -------
    FiniteNetwork

    Raises
    ------
    BadParameter
        If an argument is none such, the network holds a sweep, or r n is not a whole number: the gradient program divides by
        r where the finite average divides by the number of coordinates.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), 1, 1))
    >>> rmtp.networks.init(net, 16, 0, (3,)).parameters["U1"].shape
    (16, 3)
    """
    return drawn(architecture(net, shape), width, rng, entries)


def drawn(made: Architecture, width: int, rng: Any, entries: str | None = None) -> FiniteNetwork:
    """`init` of a network that is traced already.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> made = architecture(lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"))), (3,))
    >>> [drawn(made, n, 0).parameters["v"].size for n in (8, 16)]
    [8, 16]
    """
    width = positive(width, "width")
    if entries is not None and entries not in ENTRY_LAWS:
        raise BadParameter(f"unknown entries={entries!r}", remedy=f"one of {', '.join(ENTRY_LAWS)}")
    for dim in made.backward.dims():
        if abs(dim.size(width) - float(dim.ratio) * width) > 1e-9 * width:
            raise BadParameter(
                f"width {dim.name!r} has {float(dim.ratio) * width:g} coordinates at n = {width}",
                remedy="a base width n for which ratio * n is a whole number",
            )
    found = made.sources()
    *streams, last = generator(rng).spawn(len(found) + 1)
    arrays: dict[int, np.ndarray] = {}
    fresh: dict[FreshSource, Any] = {}
    for source, stream in zip(found, streams, strict=True):
        if isinstance(source, FreshSource):
            fresh[source] = stream.bit_generator.seed_seq
        else:
            arrays[id(source)] = _frozen(draw(source, width, stream, entries))
    parameters = {}
    for name, source in made.trained.items():
        array = arrays.pop(id(source))
        alone = not isinstance(source, RandomMatrix | InputMatrix) and array.shape[1] == 1
        parameters[name] = array[:, 0] if alone else array
    if made.bias_variance:
        parameters[OUTPUT_BIAS] = _frozen(np.asarray(made.bias_variance**0.5 * last.standard_normal()))
    return FiniteNetwork(made, width, MappingProxyType(parameters), arrays, MappingProxyType(fresh))


# ---------------------------------------------------------------------------------------------


def _child(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """The stream of one input: the same whatever the batch around it."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number))


def _to_omega(gradient: np.ndarray, form: Any) -> np.ndarray:
    return gradient * form**0.5 if np.ndim(form) == 0 else gradient @ covariance_root(form)


def _from_omega(step: np.ndarray, form: Any) -> np.ndarray:
    return step * form**0.5 if np.ndim(form) == 0 else step @ covariance_root(form).T


def _drawn_shape(array: np.ndarray) -> tuple[int, int]:
    """(size, members) of an initial vector that stands alone; other arrays have their shape."""
    return (array.shape[0], array.shape[1] if array.ndim == 2 else 1)


def _weights(weights: Any, count: int) -> np.ndarray:
    w = np.asarray(weights, dtype=float)
    if w.shape != (count,) or not np.all(np.isfinite(w)):
        raise BadParameter(f"weights of shape {w.shape}", remedy=f"finite numbers, one per input: ({count},)")
    return w


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
