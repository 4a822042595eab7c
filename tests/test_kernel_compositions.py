"""Compositions of layers against recursions written here: joint covariances and tangent kernels of all positions of two inputs.

Expectations by the trapezoidal rule on a plane (smooth functions) or by arc-cosine formulas (kinks), in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import expit

import rmtp
from rmtp import networks as nets

n = rmtp.Dim("n")
dense, readout, relu = nets.dense, rmtp.readout, rmtp.relu
T, D = 4, 3
X = np.random.default_rng(5).standard_normal((2, D))
S = np.random.default_rng(6).standard_normal((2, T, D))
NODES = np.linspace(-9.0, 9.0, 361)
WEIGHTS = np.exp(-0.5 * NODES**2) * (NODES[1] - NODES[0]) / np.sqrt(2 * np.pi)


# ---------------------------------------------------------------------------------------------
# expectations


def plane(f, g, cov, u, v):
    """E f(a) g(b) of smooth f and g."""
    rho = cov / np.sqrt(u * v)
    inner = rho * NODES[:, None] + np.sqrt(max(1 - rho**2, 0.0)) * NODES
    return WEIGHTS @ (f(np.sqrt(u) * NODES) * (g(np.sqrt(v) * inner) @ WEIGHTS))


def arc(cov, u, v):
    """Cho and Saul's J_1 and J_0, over 2 pi."""
    size = np.sqrt(u * v)
    angle = np.arccos(np.clip(cov / size, -1, 1))
    return (size * np.sin(angle) + (np.pi - angle) * cov) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def smooth(f, slope):
    return lambda cov, u, v: (plane(f, f, cov, u, v), plane(slope, slope, cov, u, v))


def sech2(h):
    return 1 - np.tanh(h) ** 2


def silu(h):
    return h * expit(h)


def silu_slope(h):
    return expit(h) * (1 + h * (1 - expit(h)))


TANH, SILU, RELU = smooth(np.tanh, sech2), smooth(silu, silu_slope), arc
GATE = smooth(expit, lambda h: expit(h) * (1 - expit(h)))
CUBIC = smooth(lambda h: h - np.tanh(h), lambda h: np.tanh(h) ** 2)
WAVE = smooth(np.sin, np.cos)


# ---------------------------------------------------------------------------------------------
# layers as maps of covariances, over (input, position)


@dataclass(frozen=True)
class State:
    """E z z' of vectors, and the tangent kernel of one coordinate of them."""

    K: np.ndarray
    theta: np.ndarray

    def linear(self, *maps):
        """Independent matrices, one per map of positions, of one entry variance."""
        maps = [np.kron(np.eye(2), m) for m in maps]
        return replace(self, K=sum(m @ self.K @ m.T for m in maps), theta=sum(m @ self.theta @ m.T for m in maps))

    def dense(self, w=1.0, b=0.0, *maps):
        """With new weights, trained, and one bias for all positions."""
        size = len(self.K) // 2
        z = self.linear(*(maps or (np.eye(size),)))
        K = w**2 * z.K / max(len(maps), 1) + b**2
        return State(K, w**2 * z.theta / max(len(maps), 1) + K)

    def apply(self, pair):
        value, slope = np.empty(self.K.shape), np.empty(self.K.shape)
        for p, q in np.ndindex(*self.K.shape):
            value[p, q], slope[p, q] = pair(self.K[p, q], self.K[p, p], self.K[q, q])
        return State(value, slope * self.theta)

    def times(self, other):
        """A product of two independent vectors, coordinate by coordinate."""
        return State(self.K * other.K, self.theta * other.K + self.K * other.theta)

    def plus(self, other, a=1.0, b=1.0):
        """A sum of two independent vectors, or of a vector and another with new weights above it."""
        return State(a**2 * self.K + b**2 * other.K, a**2 * self.theta + b**2 * other.theta)

    def normalised(self):
        """By a layer norm with epsilon 0 of centred vectors: the mean of the gradient is 0, and of its product with y."""
        root = np.sqrt(np.diag(self.K))
        return State(self.K / np.outer(root, root), self.theta / np.outer(root, root))

    def answer(self, *readouts):
        """NNGP and tangent kernel between the inputs of a readout with weights at every position, or of averages of them."""
        size = len(self.K) // 2
        m = np.stack(readouts) if readouts else np.eye(size) / np.sqrt(size)
        K, theta = (np.einsum("op,iphq,oq->ih", m, x.reshape(2, size, 2, size), m) for x in (self.K, self.theta))
        return K, K + theta


def given(x):
    flat = x.reshape(-1, x.shape[-1])
    return State(flat @ flat.T / x.shape[-1], np.zeros((len(flat), len(flat))))


def shift(k, size=T, circular=False):
    out = np.eye(size, k=k)
    return out if not circular else np.roll(np.eye(size), k, axis=1)


AVERAGE = np.full(T, 1 / T)
LAST = np.eye(T)[-1]
MASK = np.tril(np.ones((T, T)))
A = np.random.default_rng(7).random((T, T)).round(2)


def circular_taps(*offsets):
    return [shift(o, circular=True) for o in offsets]


def softmaxed(state, mask):
    """Attention of two inputs: scores are E z_q z_p of an input with itself."""
    blocks = []
    for k in range(2):
        part = slice(k * T, (k + 1) * T)
        weights = np.exp(state.K[part, part]) * mask
        blocks.append(weights / weights.sum(axis=1, keepdims=True))
    whole = np.block([[blocks[0], np.zeros((T, T))], [np.zeros((T, T)), blocks[1]]])
    K, theta = whole @ state.K @ whole.T, whole @ state.theta @ whole.T
    # two matrices: values and outputs, each trained
    return State(K, theta + 2 * K)


def recurrent(x, pair, w, b, reverse=False):
    """A simple RNN of shared weights: all pairs of times, from those one step earlier."""
    x = x[:, ::-1] if reverse else x
    h = given(x).K.reshape(2, T, 2, T) + b**2
    out, theta = np.zeros(h.shape), np.zeros(h.shape)
    for t in range(T):
        for s in range(t + 1):
            if s:
                h[:, s, :, t] += w**2 * out[:, s - 1, :, t - 1]
            h[:, t, :, s] = h[:, s, :, t].T
        for s, i, j in np.ndindex(t + 1, 2, 2):
            value, slope = pair(h[i, s, j, t], h[i, s, i, s], h[j, t, j, t])
            tangent = slope * (h[i, s, j, t] + (w**2 * theta[i, s - 1, j, t - 1] if s else 0.0))
            out[i, s, j, t] = out[j, t, i, s] = value
            theta[i, s, j, t] = theta[j, t, i, s] = tangent
    turn = slice(None, None, -1 if reverse else 1)
    return State(*(z[:, turn][..., turn].reshape(2 * T, 2 * T) for z in (out, theta)))


def masked(state, rate):
    """Dropout, with masks of their own at every position of every input."""
    gain = 1 + np.eye(len(state.K)) * rate / (1 - rate)
    return State(state.K * gain, state.theta * gain)


def positioned(state, std):
    own = std**2 * np.kron(np.ones((2, 2)), np.eye(T))
    return State(state.K + own, state.theta + own)


def of_two_rows(phi, slope, epsilon):
    """phi of the first of two rows normalised as a batch: a function of half their difference."""

    def f(d):
        return phi(d / np.sqrt(d**2 + epsilon))

    def df(d):
        return slope(d / np.sqrt(d**2 + epsilon)) * epsilon / (d**2 + epsilon) ** 1.5

    return smooth(f, df)


# ---------------------------------------------------------------------------------------------
# the same networks twice


def strided(x):
    h = np.tanh(nets.conv(x, n, 3, 1.2, 0.3, padding="CIRCULAR"))
    return readout(nets.global_pool(relu(nets.conv(h, n, 3, 1.3, 0.2, stride=2, padding="CIRCULAR"))))


def strided_recursion():
    h = given(S).dense(1.2, 0.3, *circular_taps(-1, 0, 1)).apply(TANH)
    taps = [np.eye(T)[[k % T, (k + 2) % T]] for k in range(3)]
    return h.dense(1.3, 0.2, *taps).apply(RELU).answer(np.full(2, 0.5))


def gated(x):
    h = dense(x, n, 1.3, 0.2)
    return readout(relu(dense(relu(h) * expit(dense(x, n, 0.9)), n, 1.2)))


def gated_recursion():
    h, g = given(X).dense(1.3, 0.2).apply(RELU), given(X).dense(0.9).apply(GATE)
    return h.times(g).dense(1.2).apply(RELU).answer()


def connected(x):
    first = dense(x, n, 1.1, 0.2)
    second = dense(np.tanh(first), n, 0.8) + dense(relu(first), n, 0.7, 0.1)
    return readout(np.sin(dense(np.tanh(second), n) + dense(np.sin(first), n, 0.6)))


def connected_recursion():
    first = given(X).dense(1.1, 0.2)
    second = first.apply(TANH).dense(0.8).plus(first.apply(RELU).dense(0.7, 0.1))
    return second.apply(TANH).dense().plus(first.apply(WAVE).dense(0.6)).apply(WAVE).answer()


def scaled(x):
    h = dense(x, n, 1.2)
    for _ in range(2):
        h = 0.8 * h + 0.6 * dense(np.tanh(dense(relu(h), n, 1.4, 0.2)), n)
    return readout(h)


def scaled_recursion():
    h = given(X).dense(1.2)
    for _ in range(2):
        h = h.plus(h.apply(RELU).dense(1.4, 0.2).apply(TANH).dense(), 0.8, 0.6)
    return h.answer()


def normalised(x):
    h = nets.layer_norm(dense(x, n, 1.5, 0.4))
    h = nets.layer_norm(dense(h * expit(h), n, 1.2))
    return readout(nets.global_pool(relu(h)))


def normalised_recursion():
    h = given(S).dense(1.5, 0.4).normalised().apply(SILU)
    return h.dense(1.2).normalised().apply(RELU).answer(AVERAGE)


def attentive(x):
    h = nets.self_attention(np.tanh(dense(x, n, 1.5)), n, mask=MASK, heads=2)
    return readout(relu(h)[:, -1])


def attentive_recursion():
    return softmaxed(given(S).dense(1.5).apply(TANH), MASK).apply(RELU).answer(LAST)


def graph(x):
    h = np.tanh(nets.graph_conv(x, A, n, 1.1, 0.2))
    return readout(relu(nets.graph_conv(h, A, n, 0.8)))


def graph_recursion():
    return given(S).dense(1.1, 0.2, A).apply(TANH).dense(0.8, 0.0, A).apply(RELU).answer()


def two_ways(x):
    return readout(nets.bidirectional(nets.rnn)(x, n, np.tanh, 1.3, 1.0, 0.4)[:, -1])


def reversed_deep(x):
    h = nets.rnn(x, n, relu, 0.9, 1.0, 0.4, reverse=True)
    return readout(nets.global_pool(np.sin(dense(h, n, 1.3))))


def reversed_deep_recursion():
    return recurrent(S, RELU, 0.9, 0.4, reverse=True).dense(1.3).apply(WAVE).answer(AVERAGE)


def dropped(x):
    h = nets.dropout(np.tanh(dense(x, n, 1.4)), 0.3)
    return readout(nets.global_pool(nets.dropout(relu(dense(h, n, 1.2, 0.1)), 0.1)))


def dropped_recursion():
    h = masked(given(S).dense(1.4).apply(TANH), 0.3).dense(1.2, 0.1)
    return masked(h.apply(RELU), 0.1).answer(AVERAGE)


def cubic(x):
    for _ in range(3):
        h = dense(x, n, 2.0, 0.3)
        x = h - np.tanh(h)
    return readout(x)


def cubic_recursion():
    h = given(X)
    for _ in range(3):
        h = h.dense(2.0, 0.3).apply(CUBIC)
    return h.answer()


def pooled(x):
    h = nets.pool(np.sin(nets.embedding(x, n, 0.9)), 2, 1)
    return readout(relu(dense(h, n, 1.4, 0.2)))


def pooled_recursion():
    mean = 0.5 * (np.eye(3, T) + np.eye(3, T, k=1))
    unscaled = given(S * np.sqrt(D)).dense(0.9)
    return unscaled.apply(WAVE).linear(mean).dense(1.4, 0.2).apply(RELU).answer()


def placed(x):
    h = nets.positional(dense(x, n, 1.2), 0.7)
    return readout(nets.global_pool(relu(nets.conv(np.tanh(h), n, 2, padding="VALID"))))


def placed_recursion():
    taps = [np.eye(3, T), np.eye(3, T, k=1)]
    h = positioned(given(S).dense(1.2), 0.7).apply(TANH)
    return h.dense(1.0, 0.0, *taps).apply(RELU).answer(np.full(3, 1 / 3))


def two_rows(x):
    h = nets.batch_norm(dense(x, n, 1.3), 1.0)
    return readout(np.tanh(2 * h)[:, 0])


def two_rows_recursion():
    pair = of_two_rows(lambda y: np.tanh(2 * y), lambda y: 2 * sech2(2 * y), 1.0)
    return given(S[:, :2]).dense(1.3).linear(np.array([[0.5, -0.5]])).apply(pair).answer()


def dilated_twice(x):
    h = np.tanh(nets.conv(x, n, 3, 1.5, padding="CIRCULAR", dilation=2))
    return readout(relu(nets.conv(h, n, 3, 1.2, 0.2, padding="CIRCULAR")))


def dilated_twice_recursion():
    h = given(S).dense(1.5, 0.0, *circular_taps(-2, 0, 2)).apply(TANH)
    return h.dense(1.2, 0.2, *circular_taps(-1, 0, 1)).apply(RELU).answer()


COMPOSITIONS = {
    "conv, circular, strided, averaged": (strided, S, strided_recursion),
    "conv, circular, dilated, flattened": (dilated_twice, S, dilated_twice_recursion),
    "gate of another branch": (gated, X, gated_recursion),
    "dense connections": (connected, X, connected_recursion),
    "scaled residuals": (scaled, X, scaled_recursion),
    "layer norms around silu": (normalised, S, normalised_recursion),
    "masked attention, last position": (attentive, S, attentive_recursion),
    "graph convolutions": (graph, S, graph_recursion),
    "reversed rnn below a dense layer": (reversed_deep, S, reversed_deep_recursion),
    "dropout twice": (dropped, S, dropped_recursion),
    "h - tanh(h), three times": (cubic, X, cubic_recursion),
    "embedding, pool": (pooled, S, pooled_recursion),
    "positions of their own, valid conv": (placed, S, placed_recursion),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_composition_against_its_recursion(name):
    net, x, recursion = COMPOSITIONS[name]
    K, theta = recursion()
    found = rmtp.nngp_ntk(net, x)
    for kernel, right in zip(found, (K, theta), strict=True):
        root = np.sqrt(np.diag(right))
        assert np.max(np.abs(kernel - right) / np.outer(root, root)) <= max(kernel.error, 1e-9)


@pytest.mark.parametrize("tangent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_rows_normalised_before_a_smooth_function(tangent):
    x, right = S[:, :2], two_rows_recursion()[tangent]
    found = (rmtp.ntk if tangent else rmtp.nngp)(two_rows, x)
    assert np.max(np.abs(found - right)) <= 1e-8


@pytest.mark.slow
def test_a_batch_of_four_before_a_smooth_function():
    """Three dimensions and polynomials beside them: points, within their errors and those of finite networks.

    False alarms: 1e-3.
    """
    found = nets.verify_kernels(two_rows, S[:1], widths=(64, 128, 256), trials=100)
    K, theta = (kernel(two_rows, S[:1]) for kernel in (rmtp.nngp, rmtp.ntk))
    assert max(K.error, theta.error) < 0.01
    assert found.passed()


def test_two_directions():
    """Cells of their own in both directions, then the readout of their sum."""
    forward, back = recurrent(S, TANH, 1.3, 0.4), recurrent(S, TANH, 1.3, 0.4, reverse=True)
    sums = forward.plus(back).answer(LAST)
    for kernel, right in zip(rmtp.nngp_ntk(two_ways, S), sums, strict=True):
        np.testing.assert_allclose(kernel, right, rtol=1e-9)
