"""Training of wide networks: linearised dynamics against matrix formulas, explicit iteration and trained finite networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.special import erf

from ..ensembles import Dim
from ..networks import dense, readout
from ..results import Estimate
from ..training import (
    Flow,
    GradientDescent,
    HeavyBall,
    Linearised,
    Nesterov,
    Trajectory,
    ensemble,
    evolve,
    from_kernels,
    linearised,
    logistic,
    train,
)
from ..training.optimisers import Discrete
from .figures import comparison
from .oracles import newton
from .table import Claim, Derivation, Row, check

_N = Dim("n")
_X = np.array([[1.0, -0.5], [0.3, 0.8], [-1.2, 0.4]])
_Y = np.array([1.0, -0.5, 0.3])
_TEST = np.array([[0.6, 0.9]])
_RATE, _STEPS, _BETA = 0.15, 8, 0.6
_W, _B = 1.4, 0.3


def _net(x: Any) -> Any:
    for _ in range(2):
        x = erf(dense(x, _N, _W, _B))
    return readout(x, _W, _B)


def _recursion() -> tuple[np.ndarray, np.ndarray]:
    """(NNGP, NTK) of all four points, training points first (Williams 1997; Lee et al. 2019, Eqs. S7 and S8)."""
    x = np.vstack([_X, _TEST])
    k = _W**2 * x @ x.T / 2 + _B**2
    theta = k
    for _ in range(2):
        norm = np.multiply.outer(1 + 2 * np.diag(k), 1 + 2 * np.diag(k))
        slope = 4 / np.pi / np.sqrt(norm - 4 * k * k)
        k = _W**2 * 2 / np.pi * np.arcsin(2 * k / np.sqrt(norm)) + _B**2
        theta = k + _W**2 * slope * theta
    return k, theta


def _moments(mean: float, variance: float) -> tuple[float, float]:
    return mean, mean**2 + variance


def _iterated(optimiser: Discrete) -> tuple[float, float]:
    """Mean and second moment of the output at the test point: all outputs and their velocities, step by step."""
    k, theta = _recursion()
    beta = getattr(optimiser, "momentum", 0.0)
    start = np.hstack([np.eye(4), np.zeros((4, 1))])  # how outputs depend on the first outputs, and their constant part
    f, v = start, np.zeros_like(start)
    for _ in range(_STEPS):
        seen = f + beta * v if isinstance(optimiser, Nesterov) else f
        error = seen[:3].copy()
        error[:, 4] -= _Y
        v = beta * v - _RATE * theta[:, :3] @ error
        f = f + v
    row = f[3, :4]
    return _moments(float(f[3, 4]), float(row @ k @ row))


def _estimates(path: Trajectory) -> list[Estimate]:
    mean, variance = float(path.mean[0]), float(path.variance[0])
    return [Estimate(v, 1e-11 * max(1.0, abs(v)), "eigenmodes") for v in _moments(mean, variance)]


def _trained(optimiser: Discrete, power: int) -> Callable[[int, np.random.Generator, int], np.ndarray]:
    def sampler(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        many = ensemble(_net, width, trials, rng, (2,))
        return np.asarray(train(many, _X, _Y, optimiser, _STEPS, _RATE, x_test=_TEST).test[:, 0] ** power)

    return sampler


def descent_rows() -> tuple[Row, ...]:
    model = linearised(_net, _X, _Y, _TEST)
    claims = []
    for name, optimiser in (
        ("gradient descent", GradientDescent()),
        ("heavy ball", HeavyBall(_BETA)),
        ("Nesterov", Nesterov(_BETA)),
    ):
        engine, known = _estimates(model.run(optimiser, _STEPS, _RATE)), _iterated(optimiser)
        for power, (label, e, k) in enumerate(zip(("E f", "E f^2"), engine, known), 1):
            claims.append(Claim(f"{name}, {label}", e, k, sampler=_trained(optimiser, power)))
    return check(claims, widths=(64, 128), trials=256, seed=11)


def _flow(theta: np.ndarray, k: np.ndarray, time: float) -> tuple[float, float]:
    """Lee et al. 2019, Eqs. 14 and 15, as printed, for one test point."""
    inner, cross = theta[:3, :3], theta[3, :3]
    decayed = np.eye(3) - expm(-inner * time)
    weights = cross @ np.linalg.inv(inner) @ decayed
    variance = k[3, 3] + weights @ k[:3, :3] @ weights - 2 * weights @ k[:3, 3]
    return _moments(float(weights @ _Y), float(variance))


def flow_rows() -> tuple[Row, ...]:
    model = linearised(_net, _X, _Y, _TEST)
    k, theta = _recursion()
    claims = []
    for time in (0.5, 3.0):
        engine = _estimates(model.flow(time))
        claims += [
            Claim(f"all layers, t = {time:g}, {label}", e, a)
            for label, e, a in zip(("E f", "E f^2"), engine, _flow(theta, k, time))
        ]
    end = _estimates(model.readout_only().flow(np.inf))
    solved = np.linalg.solve(k[:3, :3], k[:3, 3])
    posterior = _moments(float(solved @ _Y), float(k[3, 3] - solved @ k[:3, 3]))
    claims += [Claim(f"readout, t = inf, {label}", e, a) for label, e, a in zip(("E f", "E f^2"), end, posterior)]
    claims.append(_logistic())
    return check(claims)


def _logistic() -> Claim:
    """One point of kernel 2 and label 1 from f = 0: f + exp f = 1 + 2 t."""
    one: Linearised = from_kernels([[2.0]], None, [1.0])
    found = evolve(one, logistic, Flow(), 2.0, 1.0)
    known = newton(lambda f: f + np.exp(f) - 5, 1.0 + 0j).real
    return Claim("logistic loss, one point, t = 2", Estimate(float(found.train[0]), found.error, "ODE"), float(known))


TRAINING = (
    Derivation(
        "linearised-flow",
        "Gradient flow of an infinitely wide network: mean and spread, and the readout's posterior",
        "Lee et al. 2019 (1902.06720) Eqs. 14-16",
        flow_rows,
        comparison,
    ),
    Derivation(
        "linearised-descent",
        "Eight steps of gradient descent, heavy ball and Nesterov, over random initialisations",
        "Lee et al. 2019 (1902.06720), with steps in the place of the flow",
        descent_rows,
        comparison,
        "Samples are finite networks, all layers trained; their 1/n bias is extrapolated away.",
    ),
)
