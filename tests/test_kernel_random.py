"""Random compositions of all layers against finite networks: NNGP and tangent kernel, extrapolated to infinite width.

A network is drawn from its seed, so that a failure can be repeated. False alarms: 1e-3 for each seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import erf, expit

import rmtp
from rmtp import networks as nets
from rmtp.kernels.entrywise import entrywise
from rmtp.kernels.gia import check
from rmtp.networks.network import trace

n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
dense, relu = nets.dense, rmtp.relu
A = np.random.default_rng(7).random((3, 3)).round(2)
PHI = {
    "relu": relu,
    "leaky": lambda h: rmtp.leaky_relu(h, 0.2),
    "abs": np.abs,
    "erf": erf,
    "sin": np.sin,
    "cos": np.cos,
    "gelu": rmtp.gelu,
    "tanh": np.tanh,
    "expit": expit,
    "softplus": lambda h: np.logaddexp(0, h),
    "silu": lambda h: h * expit(h),
    "elu": lambda h: np.where(h > 0, h, np.expm1(h)),
    "hardtanh": lambda h: np.clip(h, -1, 1),
    "softsign": lambda h: h / (1 + np.abs(h)),
    "cubic": lambda h: h - np.tanh(h),
    "bell": lambda h: np.exp(-(h**2) / 2),
    "square": lambda h: (h**2 - 1) / 2,
    "step": lambda h: np.heaviside(h, 0.5),
    "sum": lambda h: relu(h) + np.tanh(h),
}
EVERYWHERE = [
    "dense",
    "wide",
    "residual",
    "scaled",
    "skip",
    "layer_norm",
    "rms_norm",
    "gate",
    "own gate",
    "shared",
    "dropout",
]
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "vector": (["dense"], []),
    "sequence": (["dense", "embedding", "rnn", "conv"], ["conv", "attention", "heads", "rnn", "bidirectional", "pool"]),
    "image": (["dense", "conv"], ["conv", "pool"]),
    "graph": (["graph"], ["graph", "graph"]),
}
SHAPES = {"vector": (3,), "sequence": (3, 2), "image": (3, 4, 2), "graph": (3, 2)}


def layer(name: str, h: Any, f: Any, g: Any, std: float, bias: float, first: Any, W: Any, extra: dict[str, Any]) -> Any:
    """One step, from a Gaussian vector to a Gaussian vector."""
    match name:
        case "dense":
            return dense(f(h), n, std, bias)
        case "wide":
            return dense(g(dense(f(h), m, std, bias)), n)
        case "residual":
            return h + dense(f(h), n, std, bias)
        case "scaled":
            return 0.8 * h + 0.6 * dense(f(dense(g(h), n)), n, std)
        case "skip":
            return dense(f(h), n, 0.7) + (dense(g(first), n, 0.7) if first.axes == h.axes else h)
        case "layer_norm":
            return nets.layer_norm(h, 1e-2)
        case "rms_norm":
            return nets.rms_norm(h, 1e-2)
        case "gate":
            return dense(f(h) * g(dense(h, n, std)), n)
        case "own gate":
            return dense(f(h) * g(h), n, std)
        case "shared":
            return W @ f(h)
        case "dropout":
            return dense(nets.dropout(f(h), 0.2), n, std)
        case "conv":
            return nets.conv(f(h), n, 2, std, bias, **extra)
        case "attention":
            size = h.shape[1]
            return nets.self_attention(
                f(h), n, std, 1, bias, score_std=0.8, heads=2, mask=np.tril(np.ones((size, size)))
            )
        case "heads":
            return nets.many_headed_attention(f(h), n, std)
        case "rnn":
            return dense(nets.rnn(g(h), n, f, std, 1, bias, reverse=True), n)
        case "bidirectional":
            return dense(nets.bidirectional(nets.rnn)(g(h), n, f, std), n)
        case "pool":
            small = min(size for _, size in h.axes) < 2
            return dense(f(h) if small else nets.pool(f(h), 2, 1), n, std)
        case "graph":
            return nets.graph_conv(f(h), A, n, std, bias)
    raise AssertionError(name)


def entrance(name: str, x: Any, std: float, bias: float) -> Any:
    match name:
        case "dense":
            return dense(x, n, std, bias)
        case "embedding":
            return nets.positional(nets.embedding(x, n, std), 0.4)
        case "rnn":
            return dense(nets.rnn(x, n, np.tanh, std, 1, bias), n)
        case "conv":
            return nets.conv(x, n, 2, std, bias)
        case "graph":
            return nets.graph_conv(x, A, n, std, bias)
    raise AssertionError(name)


def drawn(seed: int) -> tuple[Any, np.ndarray, str, str]:
    """Network, inputs, parametrisation, and what it is, in words."""
    rng = np.random.default_rng(seed)
    kind = list(KINDS)[seed % len(KINDS)]
    doors, own = KINDS[kind]
    door = doors[rng.integers(len(doors))]
    menu = EVERYWHERE + 2 * own
    steps = []
    for _ in range(rng.integers(1, 4)):
        f, g = (list(PHI)[k] for k in rng.integers(len(PHI), size=2))
        extra = {
            "stride": int(rng.integers(1, 3)),
            "padding": ["SAME", "CIRCULAR"][rng.integers(2)],
            "dilation": int(rng.integers(1, 3)),
        }
        name = menu[rng.integers(len(menu))]
        steps.append((name, f, g, round(rng.uniform(0.6, 1.6), 2), [0.0, 0.3][rng.integers(2)], extra))
    last, pooled = list(PHI)[rng.integers(len(PHI))], kind != "vector" and bool(rng.integers(2))
    std, parametrization = round(rng.uniform(0.6, 1.6), 2), ["ntk", "yang", "standard", "mup"][rng.integers(4)]

    def net(x: Any) -> Any:
        W = rmtp.Gaussian(n, n, 0.9)
        h = first = entrance(door, x, 1.2, 0.2)
        for name, f, g, w, b, extra in steps:
            h = layer(name, h, PHI[f], PHI[g], w, b, first, W, extra)
        h = PHI[last](h)
        return rmtp.readout(nets.global_pool(h) if pooled else h, std, 0.3)

    words = f"{kind}, {door}, {[s[:5] for s in steps]}, {last}, pooled={pooled}, {parametrization}"
    return net, rng.standard_normal((2, *SHAPES[kind])), parametrization, words


def test_a_factor_that_is_zero():
    """Some moments of this plan are zero identically, and factors of others."""
    net, X, parametrization, _ = drawn(14)
    K, T = rmtp.nngp_ntk(net, X, parametrization=parametrization)
    traced = trace(net, X.shape[1:])
    pairs = entrywise(traced, X[:1], X[1:], ("nngp", "ntk"), parametrization, False, check(traced, ()).readout)
    for name, kernel, bias in (("nngp", K, 0.09), ("ntk", T, 0.0)):
        assert abs(kernel[0, 1] - bias - float(pairs[name].value[0, 0])) <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [s for s in range(22) if s != 7])
def test_a_random_network_against_finite_ones(seed):
    net, X, parametrization, words = drawn(seed)
    found = nets.verify_kernels(net, X, widths=(64, 128, 256), trials=24, rng=seed, parametrization=parametrization)
    assert found.passed(1e-3), (words, found.score)
