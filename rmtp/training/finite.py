"""Networks of finite width, many draws at once: outputs, and the gradients that training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..backprop import use_handles
from ..errors import AxisError, BadParameter
from ..instructions import InputMatrix, RandomMatrix
from ..kernels.tangent import bias_metric, check_parametrization
from ..networks.evaluate import bytes_per_input
from ..networks.finite import FiniteNetwork, drawn
from ..networks.network import batch
from ..networks.tangents import Tangent, products, tangent
from ..networks.trained import OUTPUT_BIAS, Architecture, architecture, finite_metric
from ..progress import progress
from ..sample import draw, generator, positive
from .stack import run_stack, total

MEMORY = 1 << 28  # bytes that the intermediate arrays of one chunk of inputs may take
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Many draws of one network. Build it with `ensemble`.

    Attributes
    ----------
    architecture : Architecture
    width : int
        The base width n.
    outputs : int or None
        C readouts of one body; None for one output without an axis.
    arrays : mapping
        Name -> (members, C or 1, \\*shape of the array as it is drawn); only readouts have C of them.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
    >>> many = rmtp.training.ensemble(net, 100, 5, 0, (3,), outputs=2)
    >>> {name: array.shape for name, array in many.arrays.items()}
    {'v': (5, 2, 100, 1), 'U1': (5, 1, 100, 3)}
    >>> many.forward(np.ones((7, 3))).shape
    (5, 7, 2)
    """

    architecture: Architecture
    width: int
    outputs: int | None
    arrays: Arrays
    _data: Mapping[int, np.ndarray]

    def __len__(self) -> int:
        return int(next(iter(self.arrays.values())).shape[0])

    def forward(self, X: Any) -> np.ndarray:
        """The outputs (members, N), or (members, N, C).

        Raises
        ------
        BadParameter, AxisError
            If X is not finite, or holds inputs of another shape.
        """
        x = self.inputs(X, "X")
        out = np.empty((len(self), self.outputs or 1, len(x)))
        for cut in self._chunks(x):
            out[:, :, cut] = self._outputs(self.arrays, x[cut])
        return self._outside(out)

    def part(self, rows: slice) -> Ensemble:
        """Some of the members, sharing their arrays.

        Examples
        --------
        >>> import rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n")))
        >>> len(rmtp.training.ensemble(net, 10, 5, 0, (2,)).part(slice(1, 3)))
        2
        """
        arrays = {name: a[rows] for name, a in self.arrays.items()}
        return replace(self, arrays=frozen(arrays), _data={key: a[rows] for key, a in self._data.items()})

    def member(self, k: int) -> FiniteNetwork:
        """One draw of a network with one output, with its gradients and its empirical kernel.

        Raises
        ------
        BadParameter
            If there are several outputs, or no such member.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
        >>> many, X = rmtp.training.ensemble(net, 100, 5, 0, (3,)), np.eye(3)
        >>> bool(np.allclose(many.member(2).forward(X), many.forward(X)[2]))
        True
        """
        if self.outputs is not None:
            raise BadParameter(f"a member with {self.outputs} outputs", remedy="an ensemble with outputs=None")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not -len(self) <= k < len(self):
            raise BadParameter(f"member {k!r} of {len(self)}", remedy="an index within the ensemble")
        parameters = {}
        for name, array in self.arrays.items():
            one = array[k, 0]
            if name == OUTPUT_BIAS:
                parameters[name] = one.reshape(())
            else:
                alone = (
                    not isinstance(self.architecture.trained[name], RandomMatrix | InputMatrix) and one.shape[1] == 1
                )
                parameters[name] = one[:, 0] if alone else one
        data = {key: a[k, 0] for key, a in self._data.items()}
        return FiniteNetwork(self.architecture, self.width, MappingProxyType(parameters), data)

    def ntk(self, X1: Any, X2: Any = None, *, parametrization: str = "ntk") -> np.ndarray:
        """The empirical tangent kernels; see `FiniteNetwork.ntk`.

        Returns
        -------
        ndarray (members, N1, N2), or (members, N1, C, N2, C) with C outputs
            Outputs are coupled by the body that they share, less and less as the width grows.

        Examples
        --------
        >>> import numpy as np, rmtp
        >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
        >>> many = rmtp.training.ensemble(net, 4000, 1, 0, (2,), outputs=2)
        >>> kernel = many.ntk([[1.0, 0.0]])[0, 0, :, 0]
        >>> bool(np.allclose(kernel, rmtp.ntk(net, [[1.0, 0.0]])[0, 0] * np.eye(2), atol=0.05))
        True
        """
        if self.outputs is None:
            members = progress(range(len(self)), "kernels")
            return np.stack([self.member(k).ntk(X1, X2, parametrization=parametrization) for k in members])
        check_parametrization(parametrization)
        first = self.inputs(X1, "X1")
        second = first if X2 is None else self.inputs(X2, "X2")
        return np.stack(
            [self._coupled(k, first, second, parametrization) for k in progress(range(len(self)), "kernels")]
        )

    # -- parts ------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        return self.width**0.5 if self.architecture.random_readout else 1.0

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the readout's parameters."""
        found = (name for name, source in self.architecture.trained.items() if source in self.architecture.readout)
        return (*found, *(n for n in self.arrays if n == OUTPUT_BIAS))

    def inputs(self, X: Any, what: str) -> np.ndarray:
        """A batch of inputs of the shape that the network was made for."""
        x = batch(X, what)
        if x.shape[1:] != self.architecture.shape:
            raise AxisError(
                f"{what} holds inputs of shape {x.shape[1:]}",
                remedy=f"the network was made for {self.architecture.shape}",
            )
        return x

    def _outside(self, f: np.ndarray) -> np.ndarray:
        """(members, C, .., N) as users see it."""
        return f[:, 0] if self.outputs is None else np.moveaxis(f, 1, -1)

    def _chunks(self, x: np.ndarray) -> Iterator[slice]:
        per_input = bytes_per_input(self.architecture.backward, self.width) * len(self) * (self.outputs or 1)
        step = max(1, MEMORY // max(per_input, 1))
        for start in range(0, len(x), step):
            yield slice(start, min(start + step, len(x)))

    def _drawn(self, arrays: Arrays) -> dict[int, np.ndarray]:
        found = dict(self._data)
        for name, source in self.architecture.trained.items():
            found[id(source)] = arrays[name]
        return found

    def _outputs(self, arrays: Arrays, x: np.ndarray) -> np.ndarray:
        """(members, C, N)."""
        average = run_stack(self.architecture.forward, self._drawn(arrays), x)[0]
        return np.asarray(self._scale * average + arrays.get(OUTPUT_BIAS, 0.0))

    def _coupled(self, k: int, first: np.ndarray, second: np.ndarray, parametrization: str) -> np.ndarray:
        """The kernel of all outputs of one member."""
        made, c = self.architecture, self.outputs or 1
        metrics = self.metrics(parametrization)
        out = np.zeros((len(first), c, len(second), c))
        one = self.part(slice(k, k + 1))
        for rows in one._chunks(first):
            left = one._tangents(first[rows])
            for cols in one._chunks(second):
                right = one._tangents(second[cols])
                n1, n2 = len(first[rows]), len(second[cols])
                for name in made.trained:
                    found = products(left[name], right[name], metrics[name] / self.width)
                    if name in self.heads:
                        out[rows, :, cols] += np.einsum("ij,cd->icjd", found, np.eye(c))
                    else:
                        out[rows, :, cols] += found.reshape(c, n1, c, n2).transpose(1, 0, 3, 2)
        if OUTPUT_BIAS in self.arrays:
            out += metrics[OUTPUT_BIAS] * np.eye(c)[None, :, None, :]
        return out

    def _tangents(self, x: np.ndarray) -> dict[str, Tangent]:
        """n times the gradients of the averages of one member: of the readout for x, of the body for all outputs and x."""
        made, c = self.architecture, self.outputs or 1
        uses = made.uses(run_stack(made.backward, self._drawn(self.arrays), x))
        out = {}
        for name, source in made.trained.items():
            count = 1 if name in self.heads else c
            flat = [
                (use, [_merged(a, h.dim is not None, count, len(x)) for h, a in zip(use_handles(use), values)])
                for use, values in uses.get(id(source), [])
            ]
            rows, cols = self.arrays[name].shape[2:]
            out[name] = tangent(flat, count * len(x), (rows, cols))
        return out

    def metrics(self, parametrization: str) -> dict[str, Any]:
        """Name -> M M.T for the map M from omega to the array that the network multiplies with.

        Examples
        --------
        >>> import rmtp
        >>> net = lambda x: rmtp.readout(rmtp.networks.dense(x, rmtp.Dim("n"), 3, name="U"))
        >>> rmtp.training.ensemble(net, 10, 1, 0, (4,)).metrics("ntk")["U"]  # 3**2 / 4
        2.25
        """
        made = self.architecture
        out: dict[str, Any] = {n: finite_metric(made, s, self.width, parametrization) for n, s in made.trained.items()}
        if OUTPUT_BIAS in self.arrays:
            out[OUTPUT_BIAS] = float(bias_metric(made.bias_variance, parametrization))
        return out

    def descent(
        self, arrays: Arrays, x: np.ndarray, pull: Callable[[np.ndarray, slice], np.ndarray], metrics: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """``sum over inputs and outputs of pull * (M M.T) gradient of f`` for every array that is used, with W = M omega.

        Parameters
        ----------
        arrays : mapping
        x : ndarray (N, ..)
        pull : callable
            Of outputs (members, C, n) and the slice of the inputs that they belong to; of the same shape.
        metrics : mapping
            Name -> M M.T.

        Returns
        -------
        dict

        Notes
        -----
        One forward and one backward pass for all C outputs: the output is linear in its readout, so the weighted sum of C
        gradients of the body is one gradient, with the weighted sum of the readouts in their place.
        """
        made = self.architecture
        several = (self.outputs or 1) > 1
        out: dict[str, np.ndarray] = {}
        for cut in self._chunks(x):
            given = self._drawn(arrays)
            if several:
                weights = pull(self._outputs(arrays, x[cut]), cut)
                for name in self.heads:
                    if name != OUTPUT_BIAS:
                        mixed = np.einsum("scn,scwk->swnk", weights, arrays[name])
                        given[id(made.trained[name])] = mixed[:, None]
                found = run_stack(made.backward, given, x[cut])
            else:
                found = run_stack(made.backward, given, x[cut])
                average = np.broadcast_to(found[0], (len(self), 1, len(x[cut])))
                weights = pull(self._scale * average + arrays.get(OUTPUT_BIAS, 0.0), cut)
            uses = made.uses(found)
            body = np.ones_like(weights[:, :1]) if several else weights
            for name, source in made.trained.items():
                form = metrics[name]
                share = self._scale / self.width * (form if np.ndim(form) == 0 else 1.0)
                mine = weights if name in self.heads else body
                _add(out, name, total(uses.get(id(source), []), share * mine, arrays[name].shape[2:]))
            if OUTPUT_BIAS in arrays:
                _add(out, OUTPUT_BIAS, metrics[OUTPUT_BIAS] * weights.sum(axis=-1, keepdims=True))
        return {name: g if np.ndim(metrics[name]) == 0 else g @ metrics[name] for name, g in out.items()}


def _merged(array: np.ndarray, vector: bool, outputs: int, inputs: int) -> np.ndarray:
    """(1, C, [width,] N, ..) of one member as (width, C N, ..) or (C N, ..): outputs are so many more inputs."""
    at = 2 if vector else 1  # of the inputs, without the members
    one = array[0]
    shape = (outputs, *one.shape[1:at], inputs, *one.shape[at + 1 :])
    moved = np.moveaxis(np.broadcast_to(one, shape), 0, at - 1)
    return moved.reshape(*shape[1:at], outputs * inputs, *shape[at + 1 :])


def _add(out: dict[str, np.ndarray], name: str, part: np.ndarray | None) -> None:
    if part is not None and name in out:
        out[name] += part
    elif part is not None:
        out[name] = part


def ensemble(
    net: Callable[[Any], Any],
    width: int,
    members: int,
    rng: Any,
    shape: Any,
    *,
    outputs: int | None = None,
    entries: str | None = None,
) -> Ensemble:
    """Draw many networks of one width.

    Parameters
    ----------
    net : callable
        As for ``rmtp.networks.init``.
    width, members : int
    rng : Generator or int, optional
        Member k is ``rmtp.networks.init(net, width, generator.spawn(members)[k], shape)``.
    shape : tuple of int
        Of one input.
    outputs : int, optional
        C independent readouts on the same body; by default one output without an axis.
    entries : str, optional
        The entry law of the matrices.

    Returns
    -------
    Ensemble

    Raises
    ------
    BadParameter
        If there are to be several outputs of a network that does not end in ``rmtp.readout(h)``.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
    >>> f = rmtp.training.ensemble(net, 100, 200, 0, (1,)).forward([[1.0]])
    >>> bool(abs(f.var() - rmtp.nngp(net, [[1.0]])[0, 0]) < 0.1)
    True
    """
    made = architecture(net, shape)
    count = positive(members, "members")
    streams = generator(rng).spawn(count)
    networks = [drawn(made, width, stream, entries) for stream in progress(streams, "draws", count)]
    made_of_one = stacked(networks)
    if outputs is None:
        return made_of_one
    more = positive(outputs, "outputs") - 1
    if more and not made.readout:
        raise BadParameter(f"outputs={outputs} of a network without a readout", remedy="rmtp.readout(h)")
    arrays = dict(made_of_one.arrays)
    for name in made_of_one.heads:
        if name == OUTPUT_BIAS:
            drawn_more = [made.bias_variance**0.5 * s.spawn(1)[0].standard_normal((more, 1)) for s in streams]
        else:
            shape_more, source = (more, *arrays[name].shape[2:]), made.trained[name]
            drawn_more = [
                np.array([draw(source, width, extra, entries) for extra in s.spawn(more)]).reshape(shape_more)
                for s in streams
            ]
        arrays[name] = np.concatenate([arrays[name], np.array(drawn_more)], axis=1)
    return replace(made_of_one, outputs=outputs, arrays=frozen(arrays))


def _as_drawn(array: Any) -> np.ndarray:
    """A vector that stands alone with its axis of one member."""
    out = np.asarray(array)
    return out[:, None] if out.ndim == 1 else out


def frozen(arrays: Arrays) -> Arrays:
    """The arrays, read-only.

    Examples
    --------
    >>> frozen({"v": np.ones(2)})["v"].flags.writeable
    False
    """
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(dict(arrays))


def stacked(networks: Sequence[FiniteNetwork]) -> Ensemble:
    """Draws of one architecture and width as an ensemble.

    Raises
    ------
    BadParameter
        If they do not share their architecture and width.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
    >>> one = rmtp.networks.init(net, 10, 0, (2,))
    >>> bool(np.allclose(rmtp.training.stacked([one]).forward(np.eye(2))[0], one.forward(np.eye(2))))
    True
    """
    if not networks or len({(id(n.architecture), n.width) for n in networks}) > 1:
        raise BadParameter("networks of different architectures or widths", remedy="draws of one network at one width")
    first = networks[0]
    names = first.architecture.trained
    arrays = {name: np.stack([_as_drawn(n.parameters[name]) for n in networks])[:, None] for name in names}
    if OUTPUT_BIAS in first.parameters:
        arrays[OUTPUT_BIAS] = np.array([float(n.parameters[OUTPUT_BIAS]) for n in networks])[:, None, None]
    data = {key: np.stack([n._data[key] for n in networks])[:, None] for key in first._data}
    return Ensemble(first.architecture, first.width, None, frozen(arrays), data)
