"""Kernels of architectures: derived from networks as functions, against the papers' recursions and finite networks."""

from __future__ import annotations

from collections.abc import Callable
from math import acos, asin, pi, sqrt
from typing import Any

import numpy as np
from scipy.special import erf

from ..ensembles import Dim
from ..handles import Vector
from ..kernels.api import Kernel, nngp, ntk
from ..language import Gaussian, Normal, relu
from ..networks import conv, dense, global_pool, init, input_weights, readout
from ..results import Estimate
from .figures import comparison
from .table import Claim, Derivation, Row, check

_N = Dim("n")
_PAIR = np.array([[1.0, 2.0, -1.0, 0.5], [0.5, -1.0, 1.0, 1.5]])
_SEQUENCES = np.array([[[1.0, -0.5], [0.3, 0.8], [-1.2, 0.4]], [[0.2, 1.1], [-0.7, 0.6], [0.9, 0.1]]])

Net = Callable[[Any], Any]


def _estimate(kernel: Kernel, i: int = 0, j: int = 1) -> Estimate:
    value = float(kernel[i, j])
    return Estimate(value, kernel.error * abs(value), kernel.method)


def _tangent(quantity: str, net: Net, x: np.ndarray, analytic: float, parametrization: str = "ntk") -> Claim:
    """One entry of the tangent kernel, with empirical kernels of finite networks as samples."""

    def sampler(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
        return np.array(
            [
                init(net, width, child, x.shape[1:]).ntk(x, parametrization=parametrization)[0, 1]
                for child in rng.spawn(trials)
            ]
        )

    return Claim(quantity, _estimate(ntk(net, x, parametrization=parametrization)), analytic, sampler=sampler)


# ---------------------------------------------------------------------------------------------
# the papers' recursions


def _arc(c: float, u: float, v: float) -> tuple[float, float]:
    """E relu relu and E step step (Cho & Saul 2009, Equations 6 and 7)."""
    angle = acos(max(-1.0, min(1.0, c / sqrt(u * v))))
    return sqrt(u * v) * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi), (pi - angle) / (2 * pi)


def _arcsine(c: float, u: float, v: float) -> tuple[float, float]:
    """E erf erf and E erf' erf' (Williams 1997; TP II, E.2)."""
    a, b = 1 + 2 * u, 1 + 2 * v
    return 2 / pi * asin(2 * c / sqrt(a * b)), 4 / (pi * sqrt(a * b - 4 * c * c))


def _mlp(x: np.ndarray, depth: int, sw: float, sb: float) -> tuple[float, float]:
    """(NNGP, NTK) of a ReLU network: K -> sw^2 V(K) + sb^2, Theta -> K + sw^2 V'(K) Theta (Lee et al. 2019)."""
    gram = sw**2 * x @ x.T / x.shape[1] + sb**2
    c, u, v = (float(gram[ij]) for ij in ((0, 1), (0, 0), (1, 1)))
    theta = c
    for _ in range(depth):
        value, slope = _arc(c, u, v)
        c, u, v = sw**2 * value + sb**2, sw**2 * u / 2 + sb**2, sw**2 * v / 2 + sb**2
        theta = c + sw**2 * slope * theta
    return c, theta


def _rnn(x: np.ndarray, vw: float, vu: float, vb: float) -> float:
    """The tangent kernel of an averaged erf RNN, parameters unscaled (TP II, E.2)."""
    steps = x.shape[1]
    gram = np.einsum("atd,bsd->abts", x, x) / x.shape[2]
    state = np.zeros((2, 2, steps + 1, steps + 1))
    h = np.zeros((2, 2, steps, steps))
    variance = np.zeros((2, steps))
    for t in range(steps):
        for a in (0, 1):
            before = _arcsine(variance[a, t - 1], variance[a, t - 1], variance[a, t - 1])[0] if t else 0.0
            variance[a, t] = vu * gram[a, a, t, t] + vb + vw * before
    for t in range(steps):
        for s in range(steps):
            for a, b in ((0, 0), (1, 1), (0, 1), (1, 0)):
                h[a, b, t, s] = vu * gram[a, b, t, s] + vb + vw * state[a, b, t, s]
                state[a, b, t + 1, s + 1] = _arcsine(h[a, b, t, s], variance[a, t], variance[b, s])[0]
    back = np.zeros((steps + 1, steps + 1))
    total = float(np.mean(state[0, 1, 1:, 1:]))
    for t in reversed(range(steps)):
        for s in reversed(range(steps)):
            back[t, s] += 1 / steps**2
            slope = _arcsine(h[0, 1, t, s], h[0, 0, t, t], h[1, 1, s, s])[1]
            gradient = slope * back[t, s]
            total += gradient * (gram[0, 1, t, s] + state[0, 1, t, s] + 1)
            if t and s:
                back[t - 1, s - 1] += vw * gradient
    return total


def _cnn(x: np.ndarray, s2: float, pooled: bool) -> float:
    """The tangent kernel of relu(circular convolution of 3 taps) twice, pooled or flattened (TP II, E.3)."""
    size = x.shape[1]

    def shifted(k: np.ndarray) -> np.ndarray:
        return np.asarray(s2 / 3 * sum(np.roll(k, (o, o), (-2, -1)) for o in (-1, 0, 1)))

    k = {(a, b): shifted(x[a] @ x[b].T / x.shape[2]) for a in (0, 1) for b in (0, 1)}
    theta = k[0, 1].copy()
    for layer in range(2):
        pairs = {}
        slope = np.zeros((size, size))
        for (a, b), table in k.items():
            pairs[a, b] = np.empty((size, size))
            for p, q in np.ndindex(size, size):
                value, step = _arc(*map(float, (table[p, q], k[a, a][p, p], k[b, b][q, q])))
                pairs[a, b][p, q] = value
                if (a, b) == (0, 1):
                    slope[p, q] = step
        theta = slope * theta
        if layer == 0:
            k = {ab: shifted(table) for ab, table in pairs.items()}
            theta = k[0, 1] + shifted(theta)
        else:
            total = pairs[0, 1] + theta
            return float(np.mean(total)) if pooled else float(np.mean(np.diagonal(total)))
    raise AssertionError


# ---------------------------------------------------------------------------------------------
# derivations


def mlp_rows() -> tuple[Row, ...]:
    def net(x: Any) -> Any:
        for _ in range(3):
            x = relu(dense(x, _N, 1.4, 0.3))
        return readout(x, 1.4, 0.3)

    k, theta = _mlp(_PAIR, 3, 1.4, 0.3)
    return check([Claim("NNGP", _estimate(nngp(net, _PAIR)), k), _tangent("NTK", net, _PAIR, theta)], seed=3)


def rnn_rows() -> tuple[Row, ...]:
    def net(x: Any) -> Any:
        U, W, b = input_weights(_N, 2, variance=1.5), Gaussian(_N, _N, variance=1.2), Normal(_N, cov=0.2)
        state: Any = None
        total: Any = 0
        for t in range(3):
            h: Vector = U @ x[t] + b
            state = erf(h if state is None else h + W @ state)
            total = total + state
        return readout(total / 3)

    return check(
        [_tangent("NTK, average of three states", net, _SEQUENCES, _rnn(_SEQUENCES, 1.2, 1.5, 0.2), "yang")], seed=4
    )


def cnn_rows() -> tuple[Row, ...]:
    x = np.concatenate([_SEQUENCES, _SEQUENCES[:, :1] + 0.5], axis=1)

    def net(pooled: bool) -> Net:
        def f(x: Any) -> Any:
            for _ in range(2):
                x = relu(conv(x, _N, 3, 1.4, padding="CIRCULAR"))
            return readout(global_pool(x) if pooled else x)

        return f

    return check(
        [
            _tangent(f"NTK, {name}", net(pooled), x, _cnn(x, 1.96, pooled))
            for name, pooled in (("flattened", False), ("global average pool", True))
        ],
        widths=(64, 128),
        trials=64,
        seed=5,
    )


KERNELS = (
    Derivation(
        "mlp-kernels",
        "NNGP and tangent kernel of a three-layer ReLU network with biases",
        "Lee et al. 2019 (1902.06720) Eq. S7; Cho & Saul 2009",
        mlp_rows,
        comparison,
    ),
    Derivation(
        "rnn-ntk",
        "The tangent kernel of a recurrent network: one matrix, used at every step",
        "TP II (2006.14548) appendix E.2",
        rnn_rows,
        comparison,
    ),
    Derivation(
        "cnn-ntk",
        "The tangent kernel of a convolutional network, flattened and pooled",
        "TP II (2006.14548) appendix E.3",
        cnn_rows,
        comparison,
        "TP0, Corollary D.17, exchanges phi and phi'.",
    ),
)
