"""Derivatives of kernels by hyperparameters: the plan differentiated, against mpmath and against differences."""

from __future__ import annotations

import tracemalloc

import mpmath as mp
import numpy as np
import pytest
from test_kernel_errors import network, recursion, two_inputs

import rmtp
from rmtp import networks as nets

n = rmtp.Dim("n")
X = np.random.default_rng(0).standard_normal((3, 4))
S = np.random.default_rng(1).standard_normal((2, 4, 2))


def exact(layers, x, y, w, b, which, tangent):
    """d/dw or d/db of the textbook recursion, by mpmath's differences at 60 digits."""
    with mp.workdps(60):

        def kernel(p, q):
            return recursion(layers, x, y, p**2, q**2)[int(tangent)]

        orders = (1, 0) if which == 0 else (0, 1)
        return float(mp.diff(kernel, (mp.mpf(w), mp.mpf(b)), orders, h=mp.mpf(10) ** -25))


@pytest.mark.parametrize("layers", [["relu"] * 3, ["abs", "relu"], ["erf", "erf"], ["erf", "relu"]])
@pytest.mark.parametrize("wanted", ["nngp", "ntk"])
def test_against_mpmath(layers, wanted):
    family = lambda w, b: network(layers, w, b)  # noqa: E731
    K, dK = rmtp.kernel_gradients(family, (1.4, 0.4), X, wanted=wanted)
    assert dK.method == "derivative of the plan" and dK.error < 1e-11
    np.testing.assert_allclose(K, rmtp.nngp(family(1.4, 0.4), X) if wanted == "nngp" else rmtp.ntk(family(1.4, 0.4), X))
    for k in (0, 1):
        for i, j in ((0, 0), (0, 1), (1, 2)):
            size = (K[i, i] * K[j, j]) ** 0.5 / (1.4, 0.4)[k]
            right = exact(layers, X[i], X[j], 1.4, 0.4, k, wanted == "ntk")
            assert abs(dK[k, i, j] - right) <= dK.error * size
    np.testing.assert_allclose(dK, np.swapaxes(dK, 1, 2), rtol=1e-12)


def test_a_step_network():
    K, dK = rmtp.kernel_gradients(lambda w, b: network(["step", "step"], w, b), (1.4, 0.4), X)
    for k in (0, 1):
        right = exact(["step", "step"], X[0], X[1], 1.4, 0.4, k, False)
        assert abs(dK[k, 0, 1] - right) <= dK.error * K[0, 0] / 0.4
    np.testing.assert_allclose(np.diagonal(dK, axis1=1, axis2=2), 0, atol=1e-12)  # E step^2 = 1/2


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_nearly_parallel_inputs(angle, scale):
    close = two_inputs(angle, scale)
    _, dT = rmtp.kernel_gradients(lambda w, b: network(["relu"] * 2, w, b), (1.4, 0.4), close, wanted="ntk")
    for k in (0, 1):
        right = exact(["relu"] * 2, *close, 1.4, 0.4, k, True)
        assert dT[k, 0, 1] == pytest.approx(right, rel=1e-10)


FAMILIES = {
    "tanh": (lambda w, b, v: nets.mlp(n, 2, np.tanh, w, b, v), X),
    "gelu": (lambda w, b, v: nets.mlp(n, 2, rmtp.gelu, w, b, v), X),
    "sin": (lambda w, b, v: nets.mlp(n, 2, np.sin, w, b, v), X),
    "resnet": (lambda w, b, v: nets.resnet(n, 2, rmtp.relu, w, b, v), X),
    "cnn": (lambda w, b, v: nets.cnn(n, 2, 3, rmtp.relu, w, b, v), S),
    "pooled": (lambda w, b, v: nets.cnn(n, 2, 3, rmtp.relu, w, b, v, pooling="average"), S),
    "layer norm": (
        lambda w, b, v: (
            lambda x: rmtp.readout(rmtp.relu(nets.dense(nets.layer_norm(nets.dense(x, n, w, b), 0.1), n, w)), v)
        ),
        X,
    ),
    "dropout": (
        lambda w, b, v: lambda x: rmtp.readout(nets.dropout(rmtp.relu(nets.dense(x, n, w, b)), 0.5), v, b),
        np.concatenate([X, X[:1]]),
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("wanted", ["nngp", "ntk"])
def test_against_differences_of_the_kernel(name, wanted):
    """Sixth order, of steps of 2 %: right to 1e-8 for kernels that are analytic in their standard deviations."""
    family, x = FAMILIES[name]
    theta = (1.3, 0.4, 0.9)
    kernel = rmtp.nngp if wanted == "nngp" else rmtp.ntk
    K, dK = rmtp.kernel_gradients(family, theta, x, wanted=wanted)
    assert dK.method == "derivative of the plan"
    for k in range(3):
        total = 0.0
        for s, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
            up, down = (
                np.asarray(kernel(family(*(t * (1 + (j == k) * sign * s * 0.02) for j, t in enumerate(theta))), x))
                for sign in (1, -1)
            )
            total = total + weight * (up - down)
        np.testing.assert_allclose(dK[k], total / (0.02 * theta[k]), rtol=2e-8, atol=2e-8 * np.max(K))


def test_what_has_no_derivative_is_differenced():
    """Kinks that are not at 0, and kernels found pair by pair; the error says so."""
    _, dK = rmtp.kernel_gradients(lambda w: nets.mlp(n, 1, rmtp.hard_tanh, w), (1.3,), X)
    assert dK.method == "differences" and dK.error > 1e-10
    up, down = (rmtp.nngp(nets.mlp(n, 1, rmtp.hard_tanh, 1.3 * (1 + s)), X) for s in (1e-3, -1e-3))
    np.testing.assert_allclose(dK[0], (up - down) / 2.6e-3, rtol=1e-5)


def test_two_batches():
    family = lambda w: nets.mlp(n, 2, rmtp.relu, w)  # noqa: E731
    both, alone = (rmtp.kernel_gradients(family, (1.3,), X, *rest, wanted="ntk")[1] for rest in ((X[:2],), ()))
    np.testing.assert_allclose(both[0], alone[0][:, :2], rtol=1e-12)


def family_of_two(w, b):
    return nets.mlp(n, 2, rmtp.relu, weight_std=w, bias_std=b)


def test_tiles_are_the_pairs_one_by_one():
    """More inputs than a tile has, some of them equal; rows and columns across the borders of tiles."""
    x = np.random.default_rng(8).standard_normal((400, 3))
    x[390] = x[5]
    _, whole = rmtp.kernel_gradients(family_of_two, [1.4, 0.3], x, wanted="ntk")
    rows, cols = [0, 5, 180, 200, 399], [2, 390, 181, 200, 3]
    _, some = rmtp.kernel_gradients(family_of_two, [1.4, 0.3], x[rows], x[cols], wanted="ntk")
    np.testing.assert_allclose(whole[:, rows][:, :, cols], some, rtol=1e-12)
    np.testing.assert_array_equal(whole, np.swapaxes(whole, 1, 2))


def test_memory_is_that_of_the_results_and_some_tiles():
    x = np.random.default_rng(8).standard_normal((700, 3))
    tracemalloc.start()
    try:
        rmtp.kernel_gradients(lambda w: family_of_two(w, 0.3), [1.4], x, wanted="ntk")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 8 * len(x) ** 2
