"""Training of networks of finite width: what the limits are held against.

Parameters move in the coordinates omega of a parametrization; the arrays are those that the network multiplies with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter, DivergentExpectation
from ..kernels.tangent import check_parametrization
from ..likelihood import targets_of
from ..progress import progress
from ..sample import generator, positive
from .finite import Arrays, Ensemble, frozen
from .losses import Loss, check_loss, squared
from .optimisers import Discrete, Flow, GradientDescent, HeavyBall, Nesterov, check_times, rates_of, unknown

GROUP = 1 << 25  # bytes of parameters that are trained together


@dataclass(frozen=True, eq=False)
class Training:
    """What training did to an ensemble. Axes in front: members, then those of `steps`.

    Attributes
    ----------
    steps : ndarray (..)
    train : ndarray (members, .., N) or (members, .., N, C)
        Outputs at training points.
    test : ndarray (members, .., M) or (members, .., M, C)
    loss : ndarray (members, ..)
        Summed over training points.
    movement : mapping
        Name of a parameter -> ``|W_t - W_0| / |W_0|`` (members, ..), Frobenius norms.
    ensemble : Ensemble
        After the last step.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from rmtp.training import GradientDescent, ensemble, train
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
    >>> many = ensemble(net, 400, 3, 0, (2,))
    >>> done = train(many, np.eye(2), [1.0, -1.0], GradientDescent(), [0, 200], 0.5)
    >>> bool(np.allclose(done.train[:, 1], [1.0, -1.0], atol=1e-6)), done.movement["U1"].shape
    (True, (3, 2))
    """

    steps: np.ndarray
    train: np.ndarray
    test: np.ndarray
    loss: np.ndarray
    movement: Mapping[str, np.ndarray]
    ensemble: Ensemble


def train(
    networks: Ensemble,
    x: Any,
    y: Any,
    optimiser: Discrete,
    steps: Any,
    learning_rate: float,
    *,
    loss: Loss = squared,
    x_test: Any = None,
    batch_size: int | None = None,
    rng: Any = 0,
    parametrization: str = "ntk",
) -> Training:
    """Train every member of an ensemble, all parameters, on the same data.

    Law: the optimiser on ``sum over samples of loss(f(x), y)`` in the coordinates omega, as in `rmtp.training.linearised`.

    Parameters
    ----------
    networks : Ensemble
    x, x_test : array (N, \\*shape of one input), (M, \\*shape of one input)
    y : array (N,) or (N, C)
    optimiser : GradientDescent, HeavyBall or Nesterov
    steps : int or array (T,)
        When to record; training ends at the last one.
    learning_rate : float
        Of the gradient of the *sum* over samples. For a network that ends in ``np.mean(h)``, whose tangent kernel is n times
        the product of its gradients, n times the rate of the kernel's dynamics.
    loss : Loss
    batch_size : int, optional
        SGD: every epoch in a new order, the same for all members; the gradient of B samples is multiplied by N/B, so that its
        mean is that of all samples.
    rng : Generator or int, optional
        For the order of the samples.
    parametrization : {"ntk", "yang", "standard", "mup"}

    Returns
    -------
    Training

    Raises
    ------
    DivergentExpectation
        If the outputs explode; names the step.
    BadParameter, AxisError
        For a flow (take small steps), and data that do not fit.

    Notes
    -----
    float64. Members run together, one product of stacked matrices for each line of the program, in groups whose parameters
    fit a cache. Memory: the parameters before and after, and what is recorded.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from rmtp.training import HeavyBall, ensemble, logistic, train
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, rmtp.Dim("n"), 1, 1)))
    >>> many = ensemble(net, 100, 2, 0, (2,))
    >>> done = train(many, np.eye(2), [1, -1], HeavyBall(0.9), 100, 0.1, loss=logistic, batch_size=1)
    >>> np.sign(done.train)
    array([[ 1., -1.],
           [ 1., -1.]])
    """
    check_parametrization(parametrization)
    if not isinstance(networks, Ensemble):
        raise BadParameter(
            f"{type(networks).__name__} is no ensemble",
            remedy="rmtp.training.ensemble(net, width, members, rng, shape)",
        )
    if isinstance(optimiser, Flow):
        raise BadParameter("the flow of a finite network", remedy="GradientDescent() with small steps")
    if not isinstance(optimiser, GradientDescent | HeavyBall | Nesterov):
        raise unknown(optimiser)
    at = check_times(optimiser, steps)
    if np.any(np.isinf(at)):
        raise BadParameter("infinitely many steps of a finite network", remedy="a finite number")
    rate = rates_of(learning_rate)
    if rate.ndim:
        raise AxisError(f"learning_rate of shape {rate.shape}", remedy="one number: train once for each")
    inputs = networks.inputs(x, "x")
    tests = None if x_test is None else networks.inputs(x_test, "x_test")
    targets = targets_of(y, len(inputs))
    if targets.shape[1:] != (() if networks.outputs is None else (networks.outputs,)):
        raise AxisError(f"y of shape {targets.shape} for outputs={networks.outputs}", remedy="one column per output")
    known = targets.reshape(len(inputs), -1)
    check_loss(loss, np.zeros_like(known), known)
    size = len(inputs) if batch_size is None else positive(batch_size, "batch_size")
    if size > len(inputs):
        raise BadParameter(f"batch_size={size} of {len(inputs)} samples", remedy=f"at most {len(inputs)}")
    (order,) = generator(rng).spawn(1)
    one = sum(a[0].nbytes for a in networks.arrays.values())
    group = max(1, GROUP // one)
    parts = []
    for start in range(0, len(networks), group):
        part = networks.part(slice(start, start + group))
        run = _Run(part, inputs, tests, known, loss, optimiser, float(rate), parametrization)
        parts.append(run.record(at, size, deepcopy(order)))
    return parts[0] if len(parts) == 1 else _joined(networks, parts)


def _joined(networks: Ensemble, parts: Sequence[Training]) -> Training:
    """Groups of members as one."""
    train_out, test_out, loss = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("train", "test", "loss")
    )
    movement = {name: np.concatenate([p.movement[name] for p in parts]) for name in networks.arrays}
    arrays = {name: np.concatenate([p.ensemble.arrays[name] for p in parts]) for name in networks.arrays}
    after = replace(networks, arrays=frozen(arrays))
    return Training(parts[0].steps, train_out, test_out, loss, MappingProxyType(movement), after)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Outputs and movement at one step."""

    train: np.ndarray
    test: np.ndarray
    movement: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Run:
    networks: Ensemble
    x: np.ndarray
    x_test: np.ndarray | None
    y: np.ndarray
    loss: Loss
    optimiser: Discrete
    rate: float
    parametrization: str

    def record(self, at: np.ndarray, size: int, rng: np.random.Generator) -> Training:
        steps = at.reshape(-1).astype(int)
        last = int(steps.max())
        first = self.networks.arrays
        metrics = self.networks.metrics(self.parametrization)
        arrays = {name: np.array(a) for name, a in first.items()}
        velocity: dict[str, np.ndarray] = {}
        kept: dict[int, _Seen] = {}
        batches = _batches(len(self.x), size, rng)
        for k in progress(range(last + 1), f"training at n = {self.networks.width}"):
            if k in steps:
                kept[k] = self._look(arrays, first, k)
            if k < last:
                self._step(arrays, velocity, next(batches), metrics)
        found = [kept[int(k)] for k in steps]
        shape = (len(self.networks), *at.shape)
        train_out, test_out = np.stack([f.train for f in found], axis=1), np.stack([f.test for f in found], axis=1)
        loss = np.sum(self.loss.value(_columns(train_out, self.networks.outputs), self.y), axis=-1)
        return Training(
            at.astype(int),
            train_out.reshape(*shape, *train_out.shape[2:]),
            test_out.reshape(*shape, *test_out.shape[2:]),
            loss.reshape(shape),
            MappingProxyType({n: np.stack([f.movement[n] for f in found], axis=1).reshape(shape) for n in first}),
            replace(self.networks, arrays=frozen(arrays)),
        )

    def _step(
        self, arrays: dict[str, np.ndarray], velocity: dict[str, np.ndarray], rows: np.ndarray, metrics: dict[str, Any]
    ) -> None:
        beta = getattr(self.optimiser, "momentum", 0.0)
        seen: Arrays = arrays
        if isinstance(self.optimiser, Nesterov) and beta:
            seen = {name: a + beta * velocity[name] if name in velocity else a for name, a in arrays.items()}
        x, y = self.x[rows], self.y[rows]
        share = len(self.x) / len(rows)

        def pull(f: np.ndarray, cut: slice) -> np.ndarray:
            gradient = self.loss.gradient(np.moveaxis(f, 1, -1), y[cut])
            return np.asarray(-self.rate * share * np.moveaxis(gradient, -1, 1))

        with np.errstate(over="ignore", invalid="ignore"):
            force = self.networks.descent(seen, x, pull, metrics)
            for name, step in force.items():
                if beta:
                    velocity[name] = step if name not in velocity else np.add(step, beta * velocity[name], out=step)
                np.add(arrays[name], step, out=arrays[name])

    def _look(self, arrays: Arrays, first: Arrays, k: int) -> _Seen:
        now = replace(self.networks, arrays=arrays)
        with np.errstate(over="ignore", invalid="ignore"):
            f = now.forward(self.x)
            f_test = f[:, :0] if self.x_test is None else now.forward(self.x_test)
        if not np.all(np.isfinite(f)) or not np.all(np.isfinite(f_test)):
            raise DivergentExpectation(
                f"training explodes: outputs are not finite after {k} steps",
                remedy=f"a learning rate below {self.rate:g}",
            )
        moved = {}
        for name, a in arrays.items():
            gap = (a - first[name]).reshape(len(a), -1)
            start = first[name].reshape(len(a), -1)
            square, size = np.einsum("si,si->s", gap, gap), np.einsum("si,si->s", start, start)
            moved[name] = np.sqrt(square / np.where(size > 0, size, 1.0))
        return _Seen(f, f_test, moved)


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    whole = np.arange(count)
    while True:
        order = whole if size == count else rng.permutation(count)
        for start in range(0, count, size):
            yield order[start : start + size]


def _columns(f: np.ndarray, outputs: int | None) -> np.ndarray:
    return f[..., None] if outputs is None else f
