"""The dynamics of every limit model: kernel recursions, the Gaussian initial function, McKean-Vlasov particles.

They describe a network with one hidden layer, ``f = sigma sum_r a_r phi(w_r x)``, with ``a, w ~ N(0, 1)``, trained by gradient
descent on the logistic loss; deeper ones where the kernel is fixed, and in mean field with two hidden layers. Outputs are
divided by ``(d / d*)^kappa``, the power of the width that they grow with, so that a network and its limit have the same units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backprop import derivative
from ..ensembles import Dim
from ..errors import AxisError, BadParameter, DivergentExpectation, NoInfiniteWidth
from ..handles import Vector
from ..kernels.api import nngp, nngp_ntk
from ..language import Normal
from ..networks.layers import dense, readout
from ..progress import progress
from ..sample import covariance_root, generator, positive
from .abcnets import Networks, draw_networks, loss_gradient
from .catalogue import LimitModel
from .parametrisations import ABC, deep_mean_field, named, plane
from .particles import Task, gradient, run_particles, task
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


def limit_dynamics(
    scaling: Any,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    depth: int = 1,
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
    """Training in the limit that a scaling has.

    Law: p < 0: ``F <- F - eta sigma^2 d* mean Theta g``, Theta constant; p = 0: particles ``a <- a - eta sigma mean g phi``,
    ``w <- w - eta sigma mean g a phi' x``; in full in `Report.equations`.

    Parameters
    ----------
    scaling : pair (q_sigma, q~), ABC, or name
        Of one hidden layer; of any number where the kernel is fixed; of two in "mean field" and "ic-mf". Layers whose part of
        the kernel vanishes beside that of others do not move, as the first layer in "standard".
    depth : int
        Hidden layers of a scaling given by its name.
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
    UnsupportedOperation
        For mean field with two hidden layers and an activation with a kink at 0.
    DivergentExpectation
        If outputs overflow.
    BadParameter, AxisError

    Notes
    -----
    Kernels come from the engine. Particles come in pairs (a, w), (-a, w), which makes F_0 = 0 without error; other errors are
    those of Monte Carlo, stated. Cost per step: points * particles * replicates * draws evaluations of phi; with two hidden
    layers, which have a set of particles each, as many times the number of steps so far and of training points.
    Golikov 2020 (2006.06574), sections 3 and 4, appendix C.

    Examples
    --------
    >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, -1])
    >>> limit_dynamics(("-3/4", "1/2"), x, y, steps=2, phi="linear").outputs[:, 0, 0].round(4)    # Theta = 2 x.x'
    array([0.    , 0.5   , 0.8775])
    """
    report = classify(scaling, depth=depth)
    model = _model(report)
    t = task(x, y, x_test, phi, steps, learning_rate, sigma, reference)
    stream = generator(rng)
    net = _layer(t, report.scaling.depth)
    given = _initial(model, t, net, draws, initial, stream)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        if model.evolves:
            outputs, error = run_particles(
                model, report.scaling.depth, report.layers, t, given, particles, replicates, stream
            )
        else:
            outputs = _kernel(model, t, tangent_kernel(report.scaling, t), given)
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
    if scaling.depth > 1 and model.evolves and not deep_mean_field(scaling):
        raise BadParameter(
            f"features that move in {scaling.depth} hidden layers",
            remedy='one hidden layer, or rmtp.training.feature_learning, which unrolls the training of "mup"',
        )
    return model


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


def _layer(t: Task, depth: int) -> Network:
    """A network of so many hidden layers, entries of unit variance."""
    return lambda x: readout(t.phi(_below(t, depth, x)))


def _below(t: Task, depth: int, x: Any) -> Any:
    n = Dim("n")
    h: Any = dense(x, n, t.x.shape[1] ** 0.5)
    for _ in range(depth - 1):
        h = dense(t.phi(h), n)
    return h


def _slope_kernel(t: Task, depth: int) -> Array:
    """``E phi' phi'`` of the last of so many hidden layers, between all points."""
    z = Normal(Dim("n"))
    if not isinstance(derivative(t.phi(z), z), Vector):  # a linear phi
        return np.full((len(t.everywhere),) * 2, float(t.phi.slope(np.zeros((1, 1)))[0, 0]) ** 2)

    def net(x: Any) -> Any:
        h = _below(t, depth, x)
        return readout(derivative(t.phi(h), h))

    return np.asarray(nngp(net, t.everywhere))


def tangent_kernel(scaling: ABC, t: Task) -> Array:
    """The kernel that trains f in the limit, of all points with training points (points, N), in units of sigma^2 d*.

    Law: the sum over the layers whose part has the largest power of the width; layer l has ``E x^(l-1) x^(l-1)'`` times
    ``E phi' phi'`` of every layer from l on.
    """
    parts = kernel_parts(scaling)
    moving = [part == max(parts) for part in parts]
    if all(moving):
        return np.asarray(nngp_ntk(_layer(t, scaling.depth), t.everywhere)[1])[:, : t.size]
    below = [t.everywhere @ t.everywhere.T]
    below += [np.asarray(nngp(_layer(t, k + 1), t.everywhere)) for k in range(scaling.depth)]
    total, back = np.zeros_like(below[0]), np.ones_like(below[0])
    for layer in reversed(range(scaling.depth + 1)):
        if moving[layer]:
            total = total + below[layer] * back
        if layer and any(moving[:layer]):
            back = back * _slope_kernel(t, layer)
    return total[:, : t.size]


def _kernel(model: LimitModel, t: Task, theta: Array, initial: Array | None) -> Array:
    strength = t.rate * t.sigma**2 * t.reference / t.size
    draws = 1 if initial is None else len(initial)
    f = initial if model.balanced and initial is not None else np.zeros((draws, len(t.everywhere)))
    out = [f]
    for k in range(t.steps):
        out.append(out[-1] - strength * gradient(model, k, out[-1], initial, t) @ theta.T)
    return np.stack(out)


def finite_dynamics(
    scaling: Any,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    width: int,
    depth: int = 1,
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
    scaling, x, y, x_test, depth, steps, learning_rate, phi, sigma, reference
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
    report = classify(scaling, depth=depth)
    model = _model(report)
    t = task(x, y, x_test, phi, steps, learning_rate, sigma, reference)
    where = report.scaling.plane
    form = report.scaling if where is None else plane(*where)
    nets = draw_networks(form, width, t.x.shape[1], draws, rng, phi=t.phi, sigma=t.sigma, reference=t.reference)
    scale = nets.width / t.reference
    first = nets.outputs(t.everywhere)
    shift = _as_ntk(nets).outputs(t.everywhere) - first if model.corrected else np.zeros_like(first)
    f = first + shift
    out = [f]
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        for _ in progress(range(t.steps), "steps"):
            nets = nets.step(t.x, loss_gradient("logistic", out[-1][:, : t.size], t.y), t.rate)
            out.append(nets.outputs(t.everywhere) + shift)
    outputs = _finite(np.stack(out)) / scale ** float(report.exponents.update)
    initial = f / scale ** float(report.exponents.initial) if model.needs_initial else None
    return Dynamics(report, outputs, np.zeros_like(outputs), initial, nets.width)


def _as_ntk(nets: Networks) -> Networks:
    """The same normalised weights in the scaling "ntk"."""
    form, scale = nets.scaling, nets.width / nets.reference
    weights = tuple(w * scale ** float(b) for w, b in zip(nets.weights, form.b, strict=True))
    return replace(nets, scaling=named("ntk", form.depth), weights=weights)
