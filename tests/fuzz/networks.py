"""Random networks: kernels of a batch against pairs, permutations and independence, and against finite networks."""

from __future__ import annotations

from typing import Any

import numpy as np

import rmtp

from .cases import Case, Comparison, Line, pick

FIXED = (
    "from rmtp.networks import conv, dense, layer_norm, verify_kernels",
    'n = rmtp.Dim("n")',
    'W = rmtp.Gaussian(n, n, std={std}, name="W")',
    "X = np.random.default_rng({seed}).standard_normal({shape})",
    "def net(x):",
)
FUNCTIONS = (
    "np.tanh({})",
    "rmtp.relu({})",
    "rmtp.gelu({})",
    "np.sin({})",
    "np.abs({})",
    "rmtp.leaky_relu({})",
    "rmtp.elu({})",
)
CLOSE = 1e-7  # relative to the largest entry: kernels are asked to 1e-8 or better


def case(seed: int) -> Case:
    """One to four layers, some residual, some with one matrix used twice, some normalised."""
    rng = np.random.default_rng([seed, 3])
    positions = rng.random() < 0.3  # a convolutional network
    layer = "conv({}, n, 3, {}, {})" if positions else "dense({}, n, {}, {})"
    lines = [Line("h0 = " + layer.format("x", pick(rng, ("1", "1.5")), pick(rng, ("0", "0.5"))))]
    for k in range(1, int(rng.integers(1, 4 if positions else 5)) + 1):
        before = f"h{k - 1}"
        active = pick(rng, FUNCTIONS).format(before)
        fresh = (layer.format(active, 1, 0), layer.format(active, 1.2, 0.3))
        product = pick(rng, (*fresh, f"W @ {active}", f"W @ {active}"))
        simpler = [f"h{k} = {before}", f"h{k} = {product}"]
        text = pick(rng, (product, product, f"{before} + {product}", f"layer_norm({product})"))
        lines.append(Line(f"h{k} = {text}", tuple(s for s in simpler if s != f"h{k} = {text}")))
        last = f"h{k}"
    closing = (f"    return rmtp.readout({pick(rng, FUNCTIONS).format(last)})",)
    std = pick(rng, ("1", "1.25"))
    fixed = tuple(f.format(seed=seed % 1000, std=std, shape="(4, 3, 2)" if positions else "(4, 3)") for f in FIXED)
    return Case("networks", fixed, tuple(lines), closing, "    ", seed)


def _apart(left: Any, right: Any, what: str) -> str | None:
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    gap = np.abs(left - right).max()
    return None if gap <= CLOSE * max(np.abs(left).max(), 1e-3) else f"{what}: {left.tolist()} against {right.tolist()}"


def _pairs(names: dict[str, Any], attempt: int) -> str | None:
    net, X = names["net"], names["X"]
    K, T = rmtp.nngp_ntk(net, X)
    for i, j in ((0, 0), (0, 1), (2, 1)):
        k, t = rmtp.nngp_ntk(net, X[i : i + 1], X[j : j + 1])
        found = _apart([K[i, j], T[i, j]], [k[0, 0], t[0, 0]], f"(nngp, ntk) of {i}, {j}")
        if found:
            return found
    return None


def _order(names: dict[str, Any], attempt: int) -> str | None:
    net, X = names["net"], names["X"]
    turn = [2, 0, 3, 1]
    K, T = rmtp.nngp_ntk(net, X)
    P, Q = rmtp.nngp_ntk(net, X[turn], X)
    if np.linalg.eigvalsh(np.asarray(K, dtype=float)).min() < -1e-9 * np.abs(K).max():
        return f"NNGP with a negative eigenvalue: {np.asarray(K).tolist()}"
    return _apart(K[turn], P, "NNGP of permuted inputs") or _apart(T[turn], Q, "NTK of permuted inputs")


def _independence(names: dict[str, Any], attempt: int) -> str | None:
    net, X = names["net"], names["X"]
    if not rmtp.gia_check(net, X.shape[1:]):
        return None
    return _apart(rmtp.ntk(net, X), rmtp.ntk(net, X, gradient_independence=True), "NTK where independence holds")


def _samples(names: dict[str, Any], attempt: int) -> str | None:
    widths, trials = ((64, 128), 24) if not attempt else ((256, 512), 32)
    found = rmtp.networks.verify_kernels(names["net"], names["X"][:2], widths=widths, trials=trials, rng=attempt)
    return None if found.score < 5.5 else str(found)


SHOW = "K, T = rmtp.nngp_ntk(net, X)\nprint(K, T)"
COMPARISONS = [
    Comparison("batch / pairs", _pairs, SHOW + "\nprint(rmtp.nngp_ntk(net, X[:1], X[1:2]))"),
    Comparison("order of inputs", _order, SHOW + "\nprint(rmtp.nngp_ntk(net, X[[2, 0, 3, 1]], X))"),
    Comparison(
        "true / independent", _independence, "print(rmtp.ntk(net, X), rmtp.ntk(net, X, gradient_independence=True))"
    ),
    Comparison("limit / networks", _samples, "print(verify_kernels(net, X[:2], widths=(256, 512), trials=32, rng=1))"),
]
