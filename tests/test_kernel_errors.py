"""Stated errors of kernels bound true ones: nearly parallel and antipodal inputs at kinks, against mpmath."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rmtp
from rmtp import networks as nets
from rmtp.catalogue import leaky_relu
from rmtp.kernels import gaps

n = rmtp.Dim("n")
ANGLES = (1e-2, 1e-3, 1e-5, 1e-7, 1e-8, 1e-9)
DIGITS = 60


def angle_of(c, u, v):
    rho = c / mp.sqrt(u * v)
    return mp.acos(min(max(rho, mp.mpf(-1)), mp.mpf(1)))


def relu_pair(c, u, v):
    t = angle_of(c, u, v)
    return mp.sqrt(u * v) * (mp.sin(t) + (mp.pi - t) * mp.cos(t)) / (2 * mp.pi), (mp.pi - t) / (2 * mp.pi)


def abs_pair(c, u, v):
    t = angle_of(c, u, v)
    return 2 * mp.sqrt(u * v) * (mp.sin(t) + (mp.pi / 2 - t) * mp.cos(t)) / mp.pi, (mp.pi - 2 * t) / mp.pi


def step_pair(c, u, v):
    return (mp.pi - angle_of(c, u, v)) / (2 * mp.pi), mp.mpf(0)


def erf_pair(c, u, v):
    size = mp.sqrt((1 + 2 * u) * (1 + 2 * v))
    return 2 / mp.pi * mp.asin(2 * c / size), 4 / mp.pi / mp.sqrt(size**2 - 4 * c**2)


def step(x):
    return np.heaviside(x, 0.0)


def erf(x):
    from scipy.special import erf as f

    return f(x)


PAIRS = {"relu": (rmtp.relu, relu_pair), "abs": (np.abs, abs_pair), "step": (step, step_pair), "erf": (erf, erf_pair)}


def recursion(layers, x, y, w2, b2):
    """Textbook NNGP and NTK of a fully connected network, DIGITS digits, from the inputs as the floats they are."""
    with mp.workdps(DIGITS):
        dots = [
            sum(mp.mpf(float(a)) * mp.mpf(float(b)) for a, b in zip(p, q, strict=True))
            for p, q in ((x, y), (x, x), (y, y))
        ]
        c, u, v = (w2 * d / len(x) + b2 for d in dots)
        theta = c
        for k, name in enumerate(layers):
            pair = PAIRS[name][1]
            value, slope = pair(c, u, v)
            same = pair(u, u, u)[0], pair(v, v, v)[0]
            if k == len(layers) - 1:
                return value, value + slope * theta, mp.sqrt(same[0] * same[1])
            theta = w2 * value + b2 + w2 * slope * theta
            c, u, v = w2 * value + b2, w2 * same[0] + b2, w2 * same[1] + b2
    raise AssertionError


def network(layers, weight, bias):
    def net(x):
        for name in layers:
            x = PAIRS[name][0](nets.dense(x, n, weight, bias))
        return rmtp.readout(x)

    return net


def two_inputs(angle, scale, seed=0):
    draw = np.random.default_rng(seed)
    x, p = draw.standard_normal((2, 5))
    p -= p @ x / (x @ x) * x
    return np.stack([x, scale * (x + angle * np.linalg.norm(x) / np.linalg.norm(p) * p)])


CASES = [
    (name, scale, bias) for name in ("relu", "abs", "step") for scale in (1.0, -1.0, 2.5, -0.3) for bias in (0.0, 0.5)
]


@pytest.mark.parametrize(("name", "scale", "bias"), CASES)
def test_kinks_keep_all_digits_of_nearly_parallel_and_antipodal_inputs(name, scale, bias):
    net = network([name] * 5, 1.5, bias)
    for angle in ANGLES:
        X = two_inputs(angle, scale)
        value, tangent, size = recursion([name] * 5, *X, mp.mpf(1.5) ** 2, mp.mpf(bias) ** 2)
        K = rmtp.nngp(net, X)
        assert K.error <= 1e-13
        assert abs(mp.mpf(float(K[0, 1])) - value) <= K.error * size
        assert abs(mp.mpf(float(K[0, 1])) / value - 1) <= 1e-13
        if name != "step":
            T = rmtp.ntk(net, X)
            assert T.error <= 1e-13
            assert abs(mp.mpf(float(T[0, 1])) / tangent - 1) <= 1e-13
            assert float(rmtp.ntk(net, X[:1], X[1:])[0, 0]) == pytest.approx(float(T[0, 1]), rel=1e-14)


@pytest.mark.parametrize("angle", ANGLES)
def test_one_layer_of_antipodal_inputs_is_small_and_right(angle):
    """relu: angle**3 / (3 pi), which covariances know to angle**2 * 1e16 digits only."""
    X = two_inputs(angle, -1.0)
    value, tangent, _ = recursion(["relu"], *X, mp.mpf(2), mp.mpf(0))
    K, T = rmtp.nngp_ntk(network(["relu"], 2**0.5, 0.0), X)
    assert abs(mp.mpf(float(K[0, 1])) / value - 1) <= 1e-13
    assert abs(mp.mpf(float(T[0, 1])) / tangent - 1) <= 1e-13


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("layers", [["erf", "relu", "relu"], ["relu", "erf", "abs", "relu"]])
def test_errors_where_angles_must_be_read_off_covariances(layers, angle):
    """A smooth function in between: the error grows like 1 / angle, bounds the true one and is not a hundred of it.

    Covariances resolve angles down to 8e-8: below, the error is that, whatever the angle.
    """
    true, stated = [], []
    for seed in range(12):
        X = two_inputs(angle, 1.0, seed)
        _, tangent, _ = recursion(layers, *X, mp.mpf(2.25), mp.mpf(0.25))
        T = rmtp.ntk(network(layers, 1.5, 0.5), X)
        true.append(float(abs(mp.mpf(float(T[0, 1])) / tangent - 1)))
        stated.append(T.error)
    assert all(t <= s for t, s in zip(true, stated, strict=True))
    if angle >= 1e-8:
        assert max(stated) <= 100 * max(true)


def test_exact_duplicates_and_multiples():
    X = two_inputs(1e-3, 1.0)
    X = np.concatenate([X, X[:1], 3 * X[:1], -X[:1]])
    T = rmtp.ntk(network(["relu"] * 3, 2**0.5, 0.0), X)
    assert T.error <= 1e-13
    assert T[0, 2] == T[0, 0]
    np.testing.assert_allclose(T[0, 3], 3 * T[0, 0], rtol=1e-14)
    np.testing.assert_array_equal(T, T.T)


# ---------------------------------------------------------------------------------------------
# positions


def sequence_oracle(x, y, w2):
    """Two layers of relu convolutions of three taps, "SAME", without a bias: E h h' and E phi' phi' at all positions."""
    with mp.workdps(DIGITS):
        inputs = [[[mp.mpf(float(v)) for v in row] for row in s] for s in (x, y)]
        T, d = len(x), len(x[0])

        def shifted(table, p, q):
            return sum(table[p + o][q + o] for o in (-1, 0, 1) if 0 <= p + o < T and 0 <= q + o < T) / 3

        def every(f):
            return [[f(p, q) for q in range(T)] for p in range(T)]

        pairs = ((0, 1), (0, 0), (1, 1))
        K = {
            (i, j): every(
                lambda p, q, a=inputs[i], b=inputs[j]: sum(s * t for s, t in zip(a[p], b[q], strict=True)) / d
            )
            for i, j in pairs
        }
        theta = [[mp.mpf(0)] * T for _ in range(T)]
        for _ in range(2):
            H = {ij: every(lambda p, q, t=K[ij]: w2 * shifted(t, p, q)) for ij in pairs}
            before = every(lambda p, q, t=theta, h=H[0, 1]: w2 * shifted(t, p, q) + h[p][q])
            made = {
                (i, j): every(lambda p, q, c=H[i, j], u=H[i, i], v=H[j, j]: relu_pair(c[p][q], u[p][p], v[q][q]))
                for i, j in pairs
            }
            K = {ij: every(lambda p, q, m=made[ij]: m[p][q][0]) for ij in pairs}
            theta = every(lambda p, q, m=made[0, 1], b=before: m[p][q][1] * b[p][q])
        return [[K[0, 1][p][q] + theta[p][q] for q in range(T)] for p in range(T)]


@pytest.mark.parametrize("angle", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_nearly_parallel_patches_of_convolutions(pooling, angle):
    """Patches inside a sequence, at its border, and of the two sequences; all of them nearly parallel."""
    draw = np.random.default_rng(3)
    first = 1 + angle * draw.standard_normal((4, 2))
    X = np.stack([first, first + angle * draw.standard_normal((4, 2))])
    T = rmtp.ntk(nets.cnn(n, 2, 3, pooling=pooling), X)
    for i, j in ((0, 1), (0, 0), (1, 1)):
        table = sequence_oracle(X[i], X[j], mp.mpf(2**0.5) ** 2)
        every = [(p, q) for p in range(4) for q in range(4)] if pooling == "average" else [(p, p) for p in range(4)]
        value = sum(table[p][q] for p, q in every) / (16 if pooling == "average" else 4)
        assert abs(mp.mpf(float(T[i, j])) / value - 1) <= min(T.error, 1e-13)


# ---------------------------------------------------------------------------------------------
# the recursion of gaps itself


@settings(max_examples=40, deadline=None)
@given(s=st.floats(-2, 2), exponent=st.floats(-9, 0), far=st.booleans(), ratio=st.floats(0.1, 10))
def test_gaps_of_a_homogeneous_function(s, exponent, far, ratio):
    """E f(u) f(v) of slopes (1, s), nearly parallel or antipodal, against mpmath."""
    angle = mp.mpf(10) ** exponent
    with mp.workdps(DIGITS):
        theta = mp.pi - angle if far else angle
        u, v = mp.mpf(1), mp.mpf(ratio)
        size = mp.sqrt(u * v)
        down, up = 2 * size * mp.sin(theta / 2) ** 2, 2 * size * mp.cos(theta / 2) ** 2
        near, away = (size * (mp.sin(t) + (mp.pi - t) * mp.cos(t)) / (2 * mp.pi) for t in (theta, mp.pi - theta))
        value = (1 + mp.mpf(s) ** 2) * near - 2 * mp.mpf(s) * away
        whole = (1 + mp.mpf(s) ** 2) / 2 * size
        expected = whole - value, whole + value
    arrays = [np.full((1, 1, 1), float(x)) for x in (u, v, u - v, down, up)]
    found = gaps.of_function(leaky_relu(s), gaps.Gap(*arrays))
    for name, right in zip(("short", "over"), expected, strict=True):
        made = mp.mpf(float(getattr(found, name)[0, 0, 0]))
        assert abs(made - right) <= 1e-13 * right


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), exponent=st.floats(-9, -1), far=st.booleans())
def test_gaps_of_sums_and_products(seed, exponent, far):
    """sum_i w_i a_i . b_i of nearly parallel vectors, and the product of two such sums."""
    draw = np.random.default_rng(seed)
    sign = -1 if far else 1
    with mp.workdps(DIGITS):
        made, exact = [], []
        for _ in range(2):
            parts, sums = [], [mp.mpf(0)] * 3
            for weight in draw.uniform(0.1, 2, 3):
                a = draw.standard_normal((1, 1, 4))
                b = sign * (a + 10**exponent * draw.standard_normal(a.shape))
                parts.append(gaps.weighted_part(float(weight), gaps.of_inputs(1.0, a, b), np.zeros(1, dtype=int), 1))
                x, y = ([mp.mpf(float(v)) for v in z.ravel()] for z in (a, b))
                for k, (p, q) in enumerate(((x, x), (y, y), (x, y))):
                    sums[k] += mp.mpf(float(weight)) * sum(s * t for s, t in zip(p, q, strict=True))
            made.append(gaps.total(parts))
            exact.append(sums)
        both = gaps.product(made)
        targets = [*zip(made, exact, strict=True), (both, [p * q for p, q in zip(*exact, strict=True)])]
        for gap, (aa, bb, ab) in targets:
            root = mp.sqrt(aa * bb)
            for name, right in (("short", root - ab), ("over", root + ab), ("excess", aa - bb)):
                assert abs(mp.mpf(float(getattr(gap, name)[0, 0, 0])) / right - 1) <= 1e-11


def test_a_resumed_kernel_keeps_its_error(tmp_path):
    net, X = network(["erf", "relu", "relu"], 1.5, 0.5), two_inputs(1e-6, 1.0)
    direct = rmtp.ntk(net, X)
    assert direct.error > 1e-11
    for _ in range(2):  # the second finds all blocks finished
        assert rmtp.ntk(net, X, out=tmp_path / "k.npy").error == direct.error
