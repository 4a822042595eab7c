"""The dynamics of every limit model: kernel recursions, the Gaussian initial function, McKean-Vlasov particles.

They describe a network with one hidden layer, ``f = sigma sum_r a_r phi(w_r x)``, with ``a, w ~ N(0, 1)``, trained by gradient
descent on the logistic loss; where the kernel is fixed, deeper ones as well. Outputs are divided by ``(d / d*)^kappa``, the
power of the width that they grow with, so that a network and its limit have the same units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ensembles import Dim
from ..errors import AxisError, BadParameter, DivergentExpectation, NoInfiniteWidth
from ..kernels.api import nngp, nngp_ntk
from ..networks.layers import dense, readout
from ..progress import progress
from ..sample import covariance_root, generator, positive
from .abcnets import Activation, activation, data, draw_networks, labels, loss_gradient, matrix
from .catalogue import LimitModel
from .parametrisations import HALF, plane
from .scaling import Report, classify, kernel_parts

Array = np.ndarray
Network = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Outputs in the course of training, of a limit or of finite networks.

    Attributes
    ----------
    report : Report
    outputs : ndarray (steps + 1, draws, points)
        ``f / (d / d*)^kappa``; the training points first, then those of x_test. A limit that does not depend on the initial
        function has one draw.
    error : ndarray of the same shape
        One standard error, over independent sets of particles; 0 for kernels, which are integrated to 1e-8, and for networks.
    initial : ndarray (draws, points) or None
        The initial function in the limit's units, ``f_0 / (d / d*)^m0``; None where the limit does not ask for it.
    width : int or None
        None for the limit.
    """

    report: Report
    outputs: Array
    error: Array
    initial: Array | None
    width: int | None = None

    @property
    def mean(self) -> Array:
        """Over draws, (steps + 1, points)."""
        return self.outputs.mean(axis=1)

    def __repr__(self) -> str:
        assert self.report.model is not None
        steps, draws, points = self.outputs.shape
        who = "limit" if self.width is None else f"networks of width {self.width}"
        return f"<Dynamics of {self.report.model.name}, {who}: {steps - 1} steps, {draws} draws, {points} points>"


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned, and by which steps."""

    x: Array
    y: Array
    everywhere: Array
    phi: Activation
    steps: int
    rate: float
    sigma: float
    reference: float

    @property
    def size(self) -> int:
        """Training points."""
        return len(self.x)


def task(
    x: Any, y: Any, x_test: Any, phi: Any, steps: int, learning_rate: float, sigma: float, reference: float
) -> Task:
    inputs, targets = data(x, y)
    tests = inputs[:0] if x_test is None else matrix(x_test, "x_test")
    if tests.shape[1] != inputs.shape[1]:
        raise AxisError(f"x_test of shape {tests.shape} beside x of {inputs.shape}", remedy="points of one length")
    for name, value in (("learning_rate", learning_rate), ("sigma", sigma), ("reference", reference)):
        if not (isinstance(value, int | float) and 0 < value < np.inf):
            raise BadParameter(f"{name}={value!r}", remedy="a positive number")
    return Task(
        inputs,
        labels(targets),
        np.concatenate([inputs, tests]),
        activation(phi),
        positive(steps, "steps"),
        float(learning_rate),
        float(sigma),
        float(reference),
    )


def limit_dynamics(
    scaling: Any,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    steps: int = 20,
    learning_rate: float = 1.0,
    phi: Any = "tanh",
    sigma: float = 1.0,
    reference: float = 1.0,
    draws: int = 1,
    initial: Any = None,
    particles: int = 2048,
    replicates: int = 8,
    rng: Any = 0,
) -> Dynamics:
    """Training in the limit that a scaling of one hidden layer has.

    Law: p < 0: ``F <- F - eta sigma^2 d* mean Theta g``, Theta constant; p = 0: particles ``a <- a - eta sigma mean g phi``,
    ``w <- w - eta sigma mean g a phi' x``; in full in `LimitModel.equations`.

    Parameters
    ----------
    scaling : pair (q_sigma, q~), ABC, or name
        Of one hidden layer; of several where the kernel is fixed and all layers contribute to it, as in ``named("ntk", 3)``.
    x : array (points, d)
    y : array (points,)
        Labels -1 and 1.
    x_test : array (M, d), optional
    steps : int
        Of full-batch gradient descent.
    learning_rate, sigma : float
        At the reference width, the rate of a and w of unit variance.
    phi : name or callable
    reference : float
        d*.
    draws : int
        Draws of the initial function, where the limit depends on it.
    initial : array (draws, points), optional
        The initial function on (x, x_test) in place of drawn ones, such as that of finite networks.
    particles, replicates : int
        Particles of one set, even; and independent sets, at least 2, whose spread is the error.
    rng : Generator or int, optional

    Returns
    -------
    Dynamics

    Raises
    ------
    NoInfiniteWidth
        Outside the band; the message says how training explodes or stagnates.
    DivergentExpectation
        If outputs overflow.
    BadParameter, AxisError

    Notes
    -----
    Kernels come from the engine. Particles come in pairs (a, w), (-a, w), which makes F_0 = 0 without error; other errors are
    those of Monte Carlo, stated. Cost per step: points * particles * replicates * draws evaluations of phi.
    Golikov 2020 (2006.06574), section 3 and appendix C.

    Examples
    --------
    >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, -1])
    >>> limit_dynamics(("-3/4", "1/2"), x, y, steps=2, phi="linear").outputs[:, 0, 0].round(4)    # Theta = 2 x.x'
    array([0.    , 0.5   , 0.8775])
    """
    report = classify(scaling)
    model = _model(report)
    t = task(x, y, x_test, phi, steps, learning_rate, sigma, reference)
    stream = generator(rng)
    net = _network(t, report.scaling.depth)
    given = _initial(model, t, net, draws, initial, stream)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        if model.evolves:
            outputs, error = _particles(model, t, given, particles, replicates, stream)
        else:
            outputs = _kernel(model, t, net, given)
            error = np.zeros_like(outputs)
    return Dynamics(report, _finite(outputs), error, given)


def _finite(outputs: Array) -> Array:
    bad = ~np.all(np.isfinite(outputs), axis=(1, 2))
    if np.any(bad):
        raise DivergentExpectation(f"outputs overflow at step {int(np.argmax(bad))}", remedy="a smaller learning_rate")
    return outputs


def _model(report: Report) -> LimitModel:
    scaling, model = report.scaling, report.model
    if model is None:
        raise NoInfiniteWidth(
            f"this scaling has no limit: {report.explanation}",
            remedy="-1/2 <= q_sigma + q~ <= 0, as rmtp.training.classify says",
        )
    if scaling.depth > 1 and model.evolves:
        raise BadParameter(
            f"features that move in {scaling.depth} hidden layers",
            remedy="rmtp.training.feature_learning, which unrolls training",
        )
    if scaling.plane is None and len(set(kernel_parts(scaling))) > 1:
        raise BadParameter(
            "layers that learn at different rates", remedy="a scaling (q_sigma, q~), or named(name, depth)"
        )
    return model


def _network(t: Task, depth: int) -> Network:
    n, scale = Dim("n"), t.x.shape[1] ** 0.5  # entries of unit variance

    def net(x: Any) -> Any:
        h = t.phi(dense(x, n, scale))
        for _ in range(depth - 1):
            h = t.phi(dense(h, n))
        return readout(h)

    return net


def _initial(
    model: LimitModel, t: Task, net: Network, draws: int, initial: Any, rng: np.random.Generator
) -> Array | None:
    if not model.needs_initial:
        return None
    if initial is not None:
        given = np.asarray(initial, dtype=float)
        if given.ndim != 2 or given.shape[1] != len(t.everywhere) or not np.all(np.isfinite(given)):
            raise AxisError(
                f"initial of shape {given.shape}", remedy=f"finite numbers (draws, {len(t.everywhere)}): x, then x_test"
            )
        return given
    cov = t.sigma**2 * t.reference * np.asarray(nngp(net, t.everywhere))
    return rng.standard_normal((positive(draws, "draws"), len(cov))) @ covariance_root(cov).T


def _slopes(which: str, f: Array, y: Array) -> Array:
    """The gradient of the loss as the limit sees it."""
    match which:
        case "-y/2":
            return np.broadcast_to(-y / 2, f.shape)
        case "sign":
            return -y * (y * f < 0)
    return np.asarray(loss_gradient("logistic", f, y))


def _gradient(model: LimitModel, k: int, output: Array, initial: Array | None, t: Task) -> Array:
    """At step k, on the training points, which lead the last axis."""
    if k == 0 and initial is not None:
        return _slopes(model.first_gradient, initial[..., : t.size], t.y)
    f = output[..., : t.size]
    if model.corrected and initial is not None:
        f = f + initial[..., : t.size]
    return _slopes(model.first_gradient if k == 0 else model.later_gradient, f, t.y)


def _kernel(model: LimitModel, t: Task, net: Network, initial: Array | None) -> Array:
    theta = np.asarray(nngp_ntk(net, t.everywhere)[1])[:, : t.size]
    strength = t.rate * t.sigma**2 * t.reference / t.size
    draws = 1 if initial is None else len(initial)
    f = initial if model.balanced and initial is not None else np.zeros((draws, len(t.everywhere)))
    out = [f]
    for k in range(t.steps):
        out.append(out[-1] - strength * _gradient(model, k, out[-1], initial, t) @ theta.T)
    return np.stack(out)


def _particles(
    model: LimitModel, t: Task, initial: Array | None, particles: int, replicates: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    if positive(particles, "particles") % 2 or positive(replicates, "replicates") < 2:
        raise BadParameter(
            f"particles={particles}, replicates={replicates}",
            remedy="an even number of particles, two replicates or more",
        )
    draws = 1 if initial is None else len(initial)
    found = []
    for child in progress(rng.spawn(replicates), "sets of particles"):
        half = (
            child.standard_normal((draws, particles // 2)),
            child.standard_normal((draws, particles // 2, t.x.shape[1])),
        )
        a, w = np.concatenate([half[0], -half[0]], axis=1), np.concatenate([half[1], half[1]], axis=1)
        found.append(_one_set(model, t, initial, a, w))
    runs = np.stack(found)
    if model.corrected and initial is not None:
        runs = runs + initial
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) / replicates**0.5


def _one_set(model: LimitModel, t: Task, initial: Array | None, a: Array, w: Array) -> Array:
    """F of one set of particles; a (draws, particles), w (draws, particles, d)."""
    strength = t.rate * t.sigma / t.size
    out = []
    for k in range(t.steps + 1):
        h = w @ t.everywhere.T
        x = np.asarray(t.phi(h))
        out.append(t.sigma * t.reference * np.einsum("dn,dnp->dp", a, x) / a.shape[1])
        if k == t.steps:
            break
        g = strength * np.broadcast_to(_gradient(model, k, out[-1], initial, t), (len(a), t.size))
        back = (a[:, :, None] * t.phi.slope(h[..., : t.size])) * g[:, None, :]
        a = a - np.einsum("dnp,dp->dn", x[..., : t.size], g)
        w = w - back @ t.x
    return np.stack(out)


def finite_dynamics(
    scaling: Any,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    width: int,
    steps: int = 20,
    learning_rate: float = 1.0,
    phi: Any = "tanh",
    sigma: float = 1.0,
    reference: float = 1.0,
    draws: int = 8,
    rng: Any = 0,
) -> Dynamics:
    """The same training of finite networks, all draws at once; outputs in the units of the limit.

    Parameters
    ----------
    scaling, x, y, x_test, steps, learning_rate, phi, sigma, reference
        As for `limit_dynamics`.
    width : int
        d, the number of hidden neurons.
    draws : int
    rng : Generator or int, optional

    Returns
    -------
    Dynamics

    Raises
    ------
    NoInfiniteWidth
        Outside the band.
    DivergentExpectation
        If outputs overflow.
    BadParameter, AxisError

    Notes
    -----
    IC-MF: ``f_MF(theta_t) - f_MF(theta_0) + f_NTK(theta_0)``, its gradient taken with respect to theta_t.

    Examples
    --------
    >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, -1])
    >>> finite_dynamics("mf", x, y, width=100, steps=3, draws=4).outputs.shape
    (4, 4, 2)
    """
    report = classify(scaling)
    model = _model(report)
    t = task(x, y, x_test, phi, steps, learning_rate, sigma, reference)
    where = report.scaling.plane
    form = report.scaling if where is None else plane(*where)
    nets = draw_networks(form, width, t.x.shape[1], draws, rng, phi=t.phi, sigma=t.sigma, reference=t.reference)
    scale = nets.width / t.reference
    first = nets.outputs(t.everywhere)
    shift = first * (scale ** float(HALF) - 1) if model.corrected else np.zeros_like(first)  # f_NTK = n^(1/2) f_MF
    f = first + shift
    out = [f]
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        for _ in progress(range(t.steps), "steps"):
            nets = nets.step(t.x, loss_gradient("logistic", out[-1][:, : t.size], t.y), t.rate)
            out.append(nets.outputs(t.everywhere) + shift)
    outputs = _finite(np.stack(out)) / scale ** float(report.exponents.update)
    initial = f / scale ** float(report.exponents.initial) if model.needs_initial else None
    return Dynamics(report, outputs, np.zeros_like(outputs), initial, nets.width)
