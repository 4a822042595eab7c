"""McKean-Vlasov particles: the limits in which features move, and the gradients of the loss that limits see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter, UnsupportedOperation
from ..progress import progress
from ..sample import positive
from .abcnets import Activation, activation, data, labels, loss_gradient, matrix
from .catalogue import Layers, LimitModel

Array = np.ndarray
_KINK = 1e-9  # a slope that differs on both sides of 0


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


def _slopes(which: str, f: Array, y: Array) -> Array:
    """The gradient of the loss as the limit sees it."""
    match which:
        case "-y/2":
            return np.broadcast_to(-y / 2, f.shape)
        case "sign":
            return -y * (y * f < 0)
    return np.asarray(loss_gradient("logistic", f, y))


def gradient(model: LimitModel, k: int, output: Array, initial: Array | None, t: Task) -> Array:
    """At step k, on the training points, which lead the last axis."""
    if k == 0 and initial is not None:
        return _slopes(model.first_gradient, initial[..., : t.size], t.y)
    f = output[..., : t.size]
    if model.corrected and initial is not None:
        f = f + initial[..., : t.size]
    return _slopes(model.first_gradient if k == 0 else model.later_gradient, f, t.y)


def run_particles(
    model: LimitModel,
    depth: int,
    layers: Layers,
    t: Task,
    initial: Array | None,
    particles: int,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Outputs (steps + 1, draws, points) and their standard errors, over independent sets of particles.

    Raises
    ------
    UnsupportedOperation
        With two hidden layers, if phi has a kink at 0, where the second one starts.
    BadParameter
    """
    if positive(particles, "particles") % 2 or positive(replicates, "replicates") < 2:
        raise BadParameter(
            f"particles={particles}, replicates={replicates}",
            remedy="an even number of particles, two replicates or more",
        )
    if depth == 2:
        check_smooth(t.phi)
    draws = 1 if initial is None else len(initial)
    found = []
    for child in progress(rng.spawn(replicates), "sets of particles"):
        half = child.standard_normal((draws, particles // 2))
        a = np.concatenate([half, -half], axis=1)
        if depth == 2:
            w = child.standard_normal((draws, particles, t.x.shape[1]))
            found.append(_two_layers(model, t, initial, a, w))
        else:
            half = child.standard_normal((draws, particles // 2, t.x.shape[1]))
            w = np.concatenate([half, half], axis=1)
            found.append(_one_layer(model, layers, t, initial, a, w))
    runs = np.stack(found)
    if model.corrected and initial is not None:
        runs = runs + initial
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) / replicates**0.5


def check_smooth(phi: Activation) -> None:
    """Refuse a kink at 0, where the second hidden layer of mean field starts: its slope there is that of a random sign.

    Examples
    --------
    >>> check_smooth(activation("tanh"))
    """
    below, above = phi.slope(np.array([[-_KINK], [_KINK]]))[:, 0]
    if abs(above - below) > 1e-3 * max(1.0, abs(above), abs(below)):
        raise UnsupportedOperation(
            "mean field with two hidden layers and a kink at 0, where the second one starts",
            remedy='an activation that is smooth there, such as "tanh" or rmtp.gelu',
        )


def _one_layer(model: LimitModel, layers: Layers, t: Task, initial: Array | None, a: Array, w: Array) -> Array:
    """F of one set of particles; a (draws, particles), w (draws, particles, d)."""
    strength = t.rate * t.sigma / t.size
    a = a if layers.starts else np.zeros_like(a)
    out = []
    for k in range(t.steps + 1):
        h = w @ t.everywhere.T
        x = np.asarray(t.phi(h))
        out.append(t.sigma * t.reference * np.einsum("dn,dnp->dp", a, x) / a.shape[1])
        if k == t.steps:
            break
        g = strength * np.broadcast_to(gradient(model, k, out[-1], initial, t), (len(a), t.size))
        back = (a[:, :, None] * t.phi.slope(h[..., : t.size])) * g[:, None, :]
        if layers.readout:
            a = a - np.einsum("dnp,dp->dn", x[..., : t.size], g)
        w = w - back @ t.x
    return np.stack(out)


def _two_layers(model: LimitModel, t: Task, initial: Array | None, a: Array, w: Array) -> Array:
    """F of one set of particles of each layer; a (draws, particles), w (draws, particles, d).

    The initial inner matrix averages out, so that layers meet in its updates ``- eta sigma g_s u_s phi(w_s.x)`` only.
    """
    strength, count, size = t.rate * t.sigma / t.size, a.shape[1], t.size
    out = []
    past: list[tuple[Array, Array]] = []  # phi(w_s.x), and eta sigma/N g_s u_s, of training points
    for k in range(t.steps + 1):
        first = w @ t.everywhere.T
        x = np.asarray(t.phi(first))
        h = np.zeros((*a.shape, len(t.everywhere)))
        for x_s, u_s in past:
            h = h - u_s @ (np.swapaxes(x_s, 1, 2) @ x / count)
        top = np.asarray(t.phi(h))
        out.append(t.sigma * t.reference * np.einsum("dn,dnp->dp", a, top) / count)
        if k == t.steps:
            break
        g = strength * np.broadcast_to(gradient(model, k, out[-1], initial, t), (len(a), size))
        u = a[:, :, None] * t.phi.slope(h[..., :size])
        back = np.zeros_like(first[..., :size])
        for x_s, u_s in past:
            back = back - x_s @ (np.swapaxes(u_s, 1, 2) @ u / count)
        past.append((x[..., :size], u * g[:, None, :]))
        a = a - np.einsum("dnp,dp->dn", top[..., :size], g)
        w = w - (back * t.phi.slope(first[..., :size]) * g[:, None, :]) @ t.x
    return np.stack(out)
