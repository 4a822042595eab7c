"""Kernels of networks against neural-tangents, NTK4A and the recursions of the textbooks, typed again here.

The numbers in tests/data/networks_nt.json were printed by neural-tangents 0.6.5 (its version and inputs stand in the file); the
formulas below come from Tensor Programs II, Appendix E, and share no code with the library.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

import rmtp
from rmtp import networks as nets

DATA = Path(__file__).parent / "data"
n = rmtp.Dim("n")
EXACT = 1e-12
KINKED = 1e-7  # neural-tangents loses half the digits of relu' near correlation 1


def load(name):
    return json.loads((DATA / f"{name}.json").read_text())


def deviation(got, want):
    return float(np.max(np.abs(np.asarray(got) - np.asarray(want)) / np.maximum(np.abs(np.asarray(want)), 1e-3)))


# ---------------------------------------------------------------------------------------------
# neural-tangents

NT = load("networks_nt")
A = np.array(NT["adjacency"])  # neural-tangents: from row to column, transposed to ours


def D(x):
    return nets.dense(x, n, 1.3, 0.2)


def C(x, kernel, **kwargs):
    return nets.conv(x, n, kernel, 1.3, 0.2, **kwargs)


def out(h):
    return rmtp.readout(h, 1.1, 0.3)


def attention(x, bias=0, **kwargs):
    return nets.self_attention(x, n, 1.3, 0.9, bias, score_std=1.2, **kwargs)


relu = rmtp.relu


def leaky(h):
    return rmtp.leaky_relu(h, 0.2)


def layers(*functions):
    def net(x):
        for f in functions:
            x = f(x)
        return out(x)

    return net


def residual_nt(x):
    h = D(x)
    for _ in range(2):
        h = h + nets.dense(relu(nets.dense(relu(h), n, 0.9, 0.1)), n, 0.8, 0.1)
    return out(relu(h))


def densenet(x):
    h = relu(D(x))
    return out(relu(nets.dense(h, n, 0.8, 0.1) + nets.dense(relu(D(h)), n, 0.9, 0.1)))


def transformer_nt(x):
    h = D(x)
    h = h + attention(nets.layer_norm(h, 1e-3))
    h = h + D(relu(D(nets.layer_norm(h, 1e-3))))
    return out(nets.global_pool(nets.layer_norm(h, 1e-3)))


def resnet2d(x):
    h = C(x, 3)
    return out(nets.pool(relu(h + C(relu(h), 3)), 2, padding="SAME"))


def norm(h):
    return nets.layer_norm(h, 1e-3)


NETS = {
    "mlp_relu": layers(D, relu, D, relu, D, relu),
    "mlp_erf": layers(D, erf, D, erf, D, erf),
    "mlp_leaky": layers(D, leaky, D, leaky),
    "mlp_abs": layers(D, np.abs, D, np.abs),
    "mlp_sin": layers(D, np.sin, D, np.sin),
    "mlp_gelu": layers(D, rmtp.gelu, D, rmtp.gelu),
    "gate": layers(lambda x: relu(D(x)) * erf(D(x)), D, relu),
    "densenet": densenet,
    "layer_norm_mlp": layers(D, norm, relu, D, norm, erf),
    "residual": residual_nt,
    "conv1d_stride": layers(lambda x: C(x, 3, stride=2), relu, lambda x: C(x, 3), relu),
    "conv1d_valid": layers(lambda x: C(x, 3, stride=2, padding="VALID"), erf, lambda x: C(x, 2, padding="VALID"), erf),
    "conv1d_circular_gap": layers(
        lambda x: C(x, 3, padding="CIRCULAR"), relu, lambda x: C(x, 4, padding="CIRCULAR"), relu, nets.global_pool
    ),
    "conv1d_pool": layers(lambda x: C(x, 3), relu, nets.pool, lambda x: C(x, 3), relu),
    "conv2d_flatten": layers(lambda x: C(x, (3, 2)), relu, lambda x: C(x, (2, 3), stride=(2, 1)), relu),
    "conv2d_valid_gap": layers(lambda x: C(x, 3, padding="VALID"), relu, lambda x: C(x, 2), erf, nets.global_pool),
    "conv2d_resnet_pool": resnet2d,
    "attention_softmax": layers(D, relu, lambda x: attention(x, 0.2), relu, nets.global_pool),
    "attention_heads": layers(D, relu, lambda x: attention(x, heads=3), relu),
    "attention_linear": layers(D, relu, lambda x: attention(x, attention=nets.linear_scores), relu, nets.global_pool),
    "attention_many_heads": layers(
        D,
        relu,
        lambda x: nets.many_headed_attention(x, n, 1.3, 0.9, 0.2, query_std=0.7, key_std=1.2),
        relu,
        nets.global_pool,
    ),
    "transformer": transformer_nt,
    "aggregate": layers(D, relu, lambda x: nets.graph_conv(x, A.T, n, 1.3, 0.2), erf, nets.global_pool),
}
AT_CORRELATION_ONE = {"conv2d_flatten"}  # rounded there to just below 1, where arccos has a square root


def test_every_case_of_neural_tangents_is_used():
    assert set(NT["cases"]) == set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_neural_tangents(name):
    case = NT["cases"][name]
    x1, x2 = (np.array(NT["inputs"][case["input"]][k]) for k in ("x1", "x2"))
    K, T = rmtp.nngp_ntk(NETS[name], x1, x2)
    assert deviation(K, case["nngp"]) < EXACT
    assert deviation(T, case["ntk"]) < (KINKED if name in AT_CORRELATION_ONE else EXACT)


# ---------------------------------------------------------------------------------------------
# files of the shared reference collection

RESIDUAL, LOCAL, RNNS = load("nt_residual"), load("nt_conv1d"), load("ntk4a_rnn")


@pytest.mark.parametrize("name", RESIDUAL["cases"])
def test_residual_reference(name):
    case = RESIDUAL["cases"][name]
    phi = {"relu": relu, "erf": erf}[case["activation"]]

    def net(x):
        h = nets.dense(x, n, 1.4, 0.15)
        for _ in range(case["n_blocks"]):
            h = h + nets.dense(phi(nets.dense(phi(h), n, 0.9, 0.1)), n, 0.8, 0.1)
        return rmtp.readout(phi(h), 1.4, 0.15)

    K, T = rmtp.nngp_ntk(net, np.array(RESIDUAL["x1"]), np.array(RESIDUAL["x2"]))
    assert deviation(K, case["nngp_x1_x2"]) < EXACT
    assert deviation(T, case["ntk_x1_x2"]) < (EXACT if phi is erf else KINKED)


def locally_connected(x, std, bias):
    """A 3-tap layer with weights of its own at every position; zeros beyond the ends have weights that meet nothing."""
    is_vector = isinstance(x, rmtp.Vector)
    size = x.axes[0 if is_vector else -2][1]
    out = []
    for p in range(size):
        taps = [x[:, q] if is_vector else x[q] for q in (p - 1, p, p + 1) if 0 <= q < size]
        terms = [nets.linear(t, n, std / 3**0.5) for t in taps]
        out.append(nets.bias(sum(terms[1:], terms[0]), bias))
    return np.stack(out, axis=1)


@pytest.mark.parametrize("name", LOCAL["cases"])
def test_shared_and_unshared_convolutions(name):
    case = LOCAL["cases"][name]

    def layer(x):
        return locally_connected(x, 1.4, 0.15) if case["local_unshared_weights"] else nets.conv(x, n, 3, 1.4, 0.15)

    def net(x):
        h = erf(layer(relu(layer(x))))
        return rmtp.readout(nets.global_pool(h) if case["pooling"] == "gap" else h, 1.2, 0.1)

    K, T = rmtp.nngp_ntk(net, np.array(LOCAL["x1"]), np.array(LOCAL["x2"]))
    assert deviation(K, case["nngp_x1_x2"]) < 1e-8
    assert deviation(T, case["ntk_x1_x2"]) < KINKED


@pytest.mark.parametrize("name", RNNS["cases"])
def test_ntk4a_recurrent(name):
    case = RNNS["cases"][name]
    net = nets.recurrent_network(
        n,
        phi={"relu": relu, "erf": erf}[case["phi"]],
        weight_std=case["varw"] ** 0.5,
        input_std=case["varu"] ** 0.5,
        bias_std=case["varb"] ** 0.5,
        readout_std=case["varv"] ** 0.5,
        pooling="last" if name.endswith("last") else "average",
    )
    K, T = rmtp.nngp_ntk(net, np.array(RNNS["inputs"]), parametrization="yang")
    assert deviation(K, case["nngp"]) < EXACT
    assert deviation(T, case["ntk"]) < EXACT


@pytest.mark.parametrize("phi", ["relu", "erf"])
def test_a_matrix_and_its_transpose_in_one_network(phi):
    case = load("tp_transpose_gia")["cases"][f"tied_autoencoder_{phi}"]
    f = {"relu": relu, "erf": erf}[phi]

    def net(x):
        W = rmtp.Gaussian(n, n, variance=case["s2"])
        return rmtp.readout(W.T @ f(W @ nets.dense(x, n)))

    K = rmtp.nngp(net, [[case["q"] ** 0.5]])
    assert deviation(K, [[case["yy"]]]) < 1e-10


# ---------------------------------------------------------------------------------------------
# recursions of the papers


def v_relu(K, a, b):
    c = np.clip(K / np.sqrt(a * b), -1, 1)
    return np.sqrt(a * b) * (np.sqrt(1 - c**2) + c * (np.pi - np.arccos(c))) / (2 * np.pi)


def d_relu(K, a, b):
    return (np.pi - np.arccos(np.clip(K / np.sqrt(a * b), -1, 1))) / (2 * np.pi)


def v_erf(K, a, b):
    return 2 / np.pi * np.arcsin(K / np.sqrt((a + 0.5) * (b + 0.5)))


def d_erf(K, a, b):
    return 4 / np.pi / np.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * K**2)


V = {"relu": (relu, v_relu, d_relu), "erf": (erf, v_erf, d_erf)}
rng = np.random.default_rng(3)


@pytest.mark.parametrize("parametrization", ["ntk", "yang"])
@pytest.mark.parametrize("phi", V)
def test_mlp_equation_9(phi, parametrization):
    """Tensor Programs II, Equation 9, in both conventions; all pairs of two inputs at once."""
    f, v, d = V[phi]
    X, w, b, r = rng.standard_normal((2, 3)), (1.2, 0.9, 1.4), (0.3, 0.1, 0.2), 1.1
    S, T = X @ X.T / 3, np.zeros((2, 2))
    for wl, bl in zip(w, b, strict=True):
        weight, one = (wl**2, bl**2) if parametrization == "ntk" else (1, 1)
        T = wl**2 * T + weight * S + one
        S = wl**2 * S + bl**2
        a, c = np.diag(S)[:, None], np.diag(S)[None]
        S, T = v(S, a, c), T * d(S, a, c)
    T = r**2 * T + (r**2 if parametrization == "ntk" else 1) * S
    got = rmtp.nngp_ntk(nets.mlp(n, 3, f, list(w), list(b), r), X, parametrization=parametrization)
    tolerance = EXACT if phi == "erf" else KINKED  # at correlation 1 arccos keeps half the digits here
    assert deviation(got[0], r**2 * S) < EXACT
    assert deviation(got[1], T) < tolerance


@pytest.mark.parametrize("pooling", ["flatten", "average"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 2), (2, 1), (1, 3)])
def test_cnn_recursion(pooling, stride, dilation):
    """Appendix E.3 with strides and dilations, over zero-padded sequences, position by position."""
    X, w, b, taps = rng.standard_normal((2, 7, 2)), 1.3, 0.2, 2

    def convolved(K):
        size = K.shape[-1]
        reach = (taps - 1) * dilation + 1
        count = (size - reach) // stride + 1
        out = np.zeros((*K.shape[:2], count, count))
        for p in range(count):
            for q in range(count):
                for o in range(taps):
                    out[:, :, p, q] += K[:, :, stride * p + dilation * o, stride * q + dilation * o] / taps
        return out

    K = np.einsum("ipd,jqd->ijpq", X, X) / 2
    T = np.zeros_like(K)
    for _ in range(2):
        T = w**2 * convolved(T) + w**2 * convolved(K) + b**2
        K = w**2 * convolved(K) + b**2
        own = np.einsum("iipp->ip", K)
        a, c = own[:, None, :, None], own[None, :, None, :]
        K, T = v_erf(K, a, c), T * d_erf(K, a, c)
    mean = (
        (lambda M: M.mean(axis=(2, 3))) if pooling == "average" else (lambda M: np.einsum("ijpp->ij", M) / M.shape[-1])
    )

    def net(x):
        for _ in range(2):
            x = erf(nets.conv(x, n, taps, w, b, stride=stride, dilation=dilation, padding="VALID"))
        return rmtp.readout(nets.global_pool(x) if pooling == "average" else x)

    got = rmtp.nngp_ntk(net, X)
    assert deviation(got[0], mean(K)) < EXACT
    assert deviation(got[1], mean(K + T)) < EXACT


@pytest.mark.parametrize("phi", V)
def test_tied_residual_network(phi):
    """TP0 D.13-16, h <- h + W phi(h) with one W: forward covariances and the double sum of the tangent kernel."""
    f, v, d = V[phi]
    X, s2, depth = rng.standard_normal((2, 3)), 0.7, 3
    base = X @ X.T / 3
    K = np.zeros((2, 2, depth + 1, depth + 1))  # inputs, times
    S, D_ = np.zeros((2, 2, depth, depth)), np.zeros((2, 2, depth, depth))

    for m in range(depth + 1):  # all covariances of times up to m
        for i in range(m + 1):
            for t, u in ((i, m), (m, i)):
                K[:, :, t, u] = base + s2 * S[:, :, :t, :u].sum(axis=(2, 3))
        if m < depth:
            own = np.stack([np.diag(K[:, :, t, t]) for t in range(m + 1)], axis=1)
            for i in range(m + 1):
                for t, u in ((i, m), (m, i)):
                    a, c = own[:, t][:, None], own[:, u][None]
                    S[:, :, t, u], D_[:, :, t, u] = v(K[:, :, t, u], a, c), d(K[:, :, t, u], a, c)
    P = np.ones((2, 2, depth + 1, depth + 1))
    for t in range(depth, -1, -1):
        for u in range(depth, -1, -1):
            P[:, :, t, u] += s2 * np.sum(D_[:, :, t:, u:] * P[:, :, t + 1 :, u + 1 :], axis=(2, 3))
    ntk = K[:, :, depth, depth] + s2 * np.sum(S * P[:, :, 1:, 1:], axis=(2, 3)) + P[:, :, 0, 0] * base

    def net(x):
        W, h = rmtp.Gaussian(n, n, variance=s2), nets.dense(x, n)
        for _ in range(depth):
            h = h + W @ f(h)
        return rmtp.readout(h)

    got = rmtp.nngp_ntk(net, X)
    assert deviation(got[0], K[:, :, depth, depth]) < EXACT
    assert deviation(got[1], ntk) < (EXACT if phi == "erf" else KINKED)


def test_layer_norm_by_hand():
    """relu after layer normalisation of a post-activation h: K/(sqrt) with the mean removed, and a matrix behind it."""
    X, w, e = rng.standard_normal((3, 2)), 1.3, 1e-2
    S = X @ X.T / 2
    own = np.diag(S)
    mean = np.sqrt(own / (2 * np.pi))  # E relu
    h = v_relu(S, own[:, None], own[None]) - mean[:, None] * mean[None]
    h[np.diag_indices(3)] = own / 2 - mean**2
    scale = np.sqrt(np.diag(h) + e)
    h = w**2 * h / scale[:, None] / scale[None]
    a = np.diag(h)
    net = lambda x: rmtp.readout(erf(nets.dense(nets.layer_norm(relu(nets.dense(x, n)), e), n, w)))  # noqa: E731
    assert deviation(rmtp.nngp(net, X), v_erf(h, a[:, None], a[None])) < EXACT


def test_attention_by_hand():
    """softmax(S / n) with S a number in the limit: y = V x A, so K -> A K A'."""
    X = rng.standard_normal((2, 3, 2))
    K = np.einsum("ipd,jqd->ijpq", X, X) / 2
    weights = []
    mask = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    for i in range(2):
        e = np.exp(0.8**2 * K[i, i]) * mask
        weights.append(e / e.sum(axis=1, keepdims=True))
    want = np.array([[np.trace(a @ K[i, j] @ b.T) / 3 for j, b in enumerate(weights)] for i, a in enumerate(weights)])
    net = lambda x: rmtp.readout(nets.self_attention(nets.dense(x, n), n, score_std=0.8, mask=mask))  # noqa: E731
    assert deviation(rmtp.nngp(net, X), want) < EXACT


def test_one_step_of_gated_cells():
    """h_1 = z tanh(u): independent gates, so the kernel is a product of one-dimensional integrals."""
    t, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    gate, tanh = (1 / (1 + np.exp(-t))), np.tanh(t)
    gru = np.sum(w * gate**2) * np.sum(w * tanh**2)
    x = np.ones((1, 1, 1))
    assert deviation(rmtp.nngp(nets.recurrent_network(n, cell=nets.gru), x), gru) < 1e-10
    gt = gate[:, None] * tanh[None]
    lstm = np.sum(w * gate**2) * np.sum(w[:, None] * w[None] * np.tanh(gt) ** 2)
    assert deviation(rmtp.nngp(nets.recurrent_network(n, cell=nets.lstm), x), lstm) < 1e-8
