"""Training: exponents of scalings, limit models, and networks that learn features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import asin, pi, sqrt
from typing import Any

import numpy as np

from .. import plots
from ..plotscalings import plot_plane
from ..results import Estimate
from ..training import classify, draw_networks, feature_learning, finite_dynamics, limit_dynamics, measure, named
from ..verify import Verification
from .figures import comparison
from .networks import mup_oracle
from .table import Claim, Derivation, Row, check

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
_X = np.array([[1.0, 0.2, -0.4], [-0.3, 0.8, 0.5], [0.6, -0.9, 0.1], [-0.7, -0.2, 1.1]])
_Y = np.array([1.0, -1.0, 1.0, -1.0])
_BATCHES = 40

Sampler = Callable[[int, np.random.Generator, int], np.ndarray]


# ---------------------------------------------------------------------------------------------
# exponents


def slopes(scaling: Any, depth: int, widths: Sequence[int], seed: int) -> list[dict[str, np.ndarray]]:
    """Per width n: log of the ratio of root mean squares at 4 n and n over log 4, of batches of eight networks."""
    found = []
    for width, rng in zip(widths, np.random.default_rng(seed).spawn(len(widths))):
        pair = measure(scaling, _X, _Y, depth=depth, widths=(width, 4 * width), draws=8 * _BATCHES, rng=rng).squares
        batches = {name: values.reshape(2, _BATCHES, 8).mean(axis=2) for name, values in pair.items()}
        found.append({name: np.log(b[1] / b[0]) / (2 * np.log(4.0)) for name, b in batches.items()})
    return found


def exponent_rows() -> tuple[Row, ...]:
    """Golikov's example points and two layers in abc form: f_0, tangent kernel, one update, features."""
    table: tuple[tuple[str, Any, int, tuple[Fraction | int, ...]], ...] = (
        ("MF", (-1, 1), 1, (-HALF, 0, 0, 0)),
        ("NTK", (-HALF, 0), 1, (0, 0, 0, -HALF)),
        ("sym-default", (-HALF, HALF), 1, (0, HALF, HALF, 0)),
        ("MF-NTK", (-3 * QUARTER, HALF), 1, (-QUARTER, 0, 0, -QUARTER)),
        ("muP, two layers", "mup", 2, (-HALF, 0, 0, 0)),
        ("NTK, two layers", "ntk", 2, (0, 0, 0, -HALF)),
    )
    rows = []
    for seed, (name, scaling, depth, known) in enumerate(table):
        widths = (500, 1000) if depth == 1 else (40, 80)
        e, drawn = classify(scaling, depth=depth).exponents, slopes(scaling, depth, widths, seed)
        found = {"f_0": e.initial, "kernel": e.kernel, "update": e.update, "features": e.features}
        for (quantity, value), analytic in zip(found.items(), known):
            engine = Estimate(value, 0, "exact")
            finite = Verification(engine, widths, tuple(d[quantity] for d in drawn), quantity)
            rows.append(Row(f"{name}, exponent of {quantity}", engine, Fraction(analytic), 0.0, finite))
    return tuple(rows)


def plane_figure(rows: Sequence[Row]) -> Any:
    with plots.style():
        fig, ax = plots.figure(10, 8)
        plot_plane(ax)
    return fig


# ---------------------------------------------------------------------------------------------
# limit models


def _arcsine_kernels() -> np.ndarray:
    """E phi phi' + E phi' phi' x.x' of erf with weights of unit variance (Williams 1997)."""
    out = np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            u, v, c = (1 + 2 * _X[i] @ _X[i], 1 + 2 * _X[j] @ _X[j], _X[i] @ _X[j])
            out[i, j] = 2 / pi * asin(2 * c / sqrt(u * v)) + c * 4 / (pi * sqrt(u * v - 4 * c * c))
    return out


def _quadratic_form(steps: int, rate: float) -> np.ndarray:
    """Mean field with phi(h) = h: (a, w) is a linear image M of its Gaussian start and F = x . (M M.T)[1:, 0]."""
    state = np.eye(4)
    for k in range(steps):
        f = _X @ (state @ state.T)[0, 1:]
        g = -_Y / 2 if k == 0 else -_Y / (1 + np.exp(_Y * f))
        c = rate * _X.T @ g / 4
        move = np.zeros((4, 4))
        move[0, 1:], move[1:, 0] = c, c
        state = state - move @ state
    return np.asarray(_X @ (state @ state.T)[0, 1:])


def model_rows() -> tuple[Row, ...]:
    """Particles, and kernel recursions with a gradient that is constant, logistic and a sign."""
    steps, rate = 4, 0.5
    particles = limit_dynamics("mf", _X, _Y, steps=steps, learning_rate=rate, phi="linear", replicates=32, rng=1)

    def trained(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        found = finite_dynamics(
            "mf", _X, _Y, width=width, steps=steps, learning_rate=rate, phi="linear", draws=trials, rng=rng
        )
        return found.outputs[-1, :, 0]

    value = Estimate(float(particles.outputs[-1, 0, 0]), float(particles.error[-1, 0, 0]), "particles")
    claims = [Claim("MF, F_4", value, float(_quadratic_form(steps, rate)[0]), sampler=trained)]
    theta = _arcsine_kernels()
    gradients: dict[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]] = {
        "post-MF-NTK": ((-1, 3 * QUARTER), lambda f: -_Y / 2),
        "MF-NTK": ((-3 * QUARTER, HALF), lambda f: -_Y / (1 + np.exp(_Y * f))),
        "barycenter": ((Fraction(-2, 3), HALF), lambda f: -_Y * (_Y * f < 0)),
    }
    for name, (scaling, later) in gradients.items():
        f = np.zeros(4)
        for k in range(steps):
            f = f - rate * theta @ (-_Y / 2 if k == 0 else later(f)) / 4
        found = limit_dynamics(scaling, _X, _Y, steps=steps, learning_rate=rate, phi="erf")
        got = float(found.outputs[-1, 0, 0])
        claims.append(Claim(f"{name}, F_4", Estimate(got, 1e-8 * abs(got), "quadrature"), float(f[0])))
    return check(claims, seed=4)


# ---------------------------------------------------------------------------------------------
# features


def _one_step(entries: str) -> Sampler:
    """f at 7/10 of networks trained with matrices, one step from xi = 1, y = 1 at rate 1."""

    def sampler(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        nets = draw_networks(named("mup", 2), width, 1, trials, rng, entries=entries)
        x = np.array([[1.0]])
        return nets.step(x, nets.outputs(x) - 1, 1.0).outputs(np.array([[0.7]]))[:, 0]

    return sampler


def _several_steps(steps: int, data: Sequence[tuple[Fraction, Fraction]]) -> Sampler:
    def sampler(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        nets = draw_networks(named("mup"), width, 1, trials, rng, phi="linear")
        for xi, y in data[:steps]:
            x = np.array([[float(xi)]])
            nets = nets.step(x, nets.outputs(x) - float(y), 0.5)
        return nets.outputs(np.array([[float(data[steps][0])]]))[:, 0]

    return sampler


def _two_layers(data: Sequence[tuple[Fraction, Fraction]]) -> Claim:
    """Mean field, two linear layers: w, the inner matrix and a are one number each, and f is their product times the input."""
    x, y = [[xi] for xi, _ in data], [target for _, target in data]
    found = feature_learning(x, y, depth=2, phi="linear", learning_rate=HALF, scaling="mean field", exact=True)
    w, m, a = Fraction(1), Fraction(0), Fraction(1)
    for xi, target in data:
        c = HALF * (a * m * w * xi - target) * xi
        w, m, a = w - c * a * m, m - c * a * w, a - c * m * w

    def sampler(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        nets = draw_networks(named("mean field", 2), width, 1, trials, rng, phi="linear")
        for xi, target in data:
            one = np.array([[float(xi)]])
            nets = nets.step(one, nets.outputs(one) - float(target), 0.5)
        return nets.outputs(np.ones((1, 1)))[:, 0]

    value = Estimate(found.test.value[-1, 0], 0, "exact")
    return Claim(f"mean field, two linear layers, f after step {len(data)}", value, a * m * w, sampler=sampler)


def feature_rows() -> tuple[Row, ...]:
    """The unrolled programs of `feature_learning`; samples are networks trained with matrices, apart from programs."""
    data = [
        (Fraction(1), Fraction(1)),
        (-HALF, Fraction(3, 10)),
        (Fraction(4, 5), Fraction(-1)),
        (Fraction(6, 5), HALF),
    ]
    linear = feature_learning(
        [[xi] for xi, _ in data], [y for _, y in data], phi="linear", learning_rate=HALF, exact=True
    )
    A, B, C, D, claims = Fraction(1), Fraction(0), Fraction(0), Fraction(1), []
    for t, (xi, y) in enumerate(data):
        f = (A * C + B * D) * xi
        value = Estimate(linear.seen.value[t, 0], 0, "exact")
        claims.append(Claim(f"linear, f at step {t}", value, f, sampler=_several_steps(t, data)))
        c = HALF * (f - y) * xi
        A, B, C, D = A - c * C, B - c * D, C - c * A, D - c * B
    claims.append(_two_layers(data[:2]))
    run = feature_learning([[1]], [1], [[Fraction(7, 10)]], depth=2, steps=1)
    known = mup_oracle(1.0, 0.7, -1.0)
    f1 = Estimate(float(run.test.value[1, 0]), float(run.test.error[1, 0]), run.test.method)
    claims += [
        Claim(f"two tanh layers, f, {law} entries", f1, known[0], sampler=_one_step(law))
        for law in ("gaussian", "rademacher", "uniform")
    ]
    dot = run.overlaps[1]
    overlap = Estimate(float(dot.value[0, 0, 0]), float(dot.error[0, 0, 0]), dot.method)
    claims.append(Claim("two tanh layers, E W x1 . dh0", overlap, known[3]))
    return check(claims, widths=(100, 200), trials=256, seed=5)


SCALING = (
    Derivation(
        "scaling-exponents",
        "Scalings of initialisation and learning rate: what grows with which power of the width",
        "Golikov 2020 (2006.06574) section 3; TP IV (2011.14522) Theorem 3.3",
        exponent_rows,
        plane_figure,
        "Samples are slopes of log size between two widths, a factor of four apart.",
    ),
    Derivation(
        "limit-models",
        "Limits of training with the logistic loss: particles and kernel recursions",
        "Golikov 2020 (2006.06574) Table 1",
        model_rows,
        comparison,
        "Barycenter: networks reach the sign limit like d^-1/6 only, so it is not sampled; nor are d^-1/4 corrections.",
    ),
    Derivation(
        "feature-learning",
        "Networks that learn features: training unrolled as a program, with entries of three laws",
        "TP IV (2011.14522) section 6; Golikov & Yang 2022",
        feature_rows,
        comparison,
    ),
)
