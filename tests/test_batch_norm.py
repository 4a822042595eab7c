"""Batch normalisation: the formulas of TP II, polar coordinates, samples of the definition, and the integrals beneath."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

import rmtp
from rmtp import networks as nets
from rmtp.expect.radial import Moments

n = rmtp.Dim("n")


def network(epsilon, row=0):
    return lambda x: rmtp.readout(rmtp.relu(nets.batch_norm(nets.dense(x, n), epsilon))[:, row])


def batches(size, d=4, seed=0, count=2):
    return np.random.default_rng(seed).standard_normal((count, size, d))


def centred(x, y):
    """The covariance of centred preactivations, G x y.T G / d."""
    return (x - x.mean(axis=0)) @ (y - y.mean(axis=0)).T / x.shape[1]


def relu_pair(c, u, v):
    """Cho and Saul (2009), entry by entry."""
    t = np.arctan2(np.sqrt(np.maximum(u * v - c * c, 0)), c)
    return (np.sqrt(np.maximum(u * v - c * c, 0)) + (np.pi - t) * c) / (2 * np.pi)


@pytest.mark.parametrize("epsilon", [0, 1e-3, 0.3])
@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_one_batch_by_the_formula_of_the_paper(size, epsilon):
    """TP II, Equation 36: ``B int_0^inf V_relu(S (1 + 2 s S)^-1) det(1 + 2 s S)^-1/2 ds`` of the centred covariance S.

    With epsilon it has the factor exp(-B s epsilon).
    """
    x = batches(size)[0]
    S = centred(x, x)
    w, v = np.linalg.eigh(S)
    w = np.where(w > 1e-12 * w[-1], w, 0)

    def integrand(log):
        s = math.exp(log) / w[-1]
        c = (v * (w / (1 + 2 * s * w))) @ v.T
        value = np.prod(1 + 2 * s * w) ** -0.5 * math.exp(-size * s * epsilon) * size * s
        return value * relu_pair(c[0, 1], c[0, 0], c[1, 1]), value * c[0, 0] / 2

    limits = (-38, 80 if epsilon == 0 else math.log(60 * w[-1] / epsilon))
    expected = [quad(lambda t, k=k: integrand(t)[k], *limits, limit=400, epsabs=1e-14, epsrel=1e-12)[0] for k in (0, 1)]
    K = rmtp.nngp(network(epsilon), x[None])
    assert K.method == "quadrature" and K.error < 1e-11
    assert K[0, 0] == pytest.approx(expected[1], rel=1e-10)

    def of_two(x):
        return rmtp.relu(nets.batch_norm(nets.dense(x, n), epsilon))[:, :2]

    squares = rmtp.nngp(lambda x: rmtp.readout(of_two(x)), x[None])[0, 0]
    whole = rmtp.nngp(lambda x: rmtp.readout(of_two(x).sum(axis=1)), x[None])[0, 0]
    assert whole / 2 - squares == pytest.approx(expected[0], abs=1e-10)


@pytest.mark.parametrize(("size", "epsilon"), [(3, 0), (3, 0.1), (4, 0.1)])
def test_two_batches_by_the_formula_of_the_paper(size, epsilon):
    """TP II, Equations 38 and 39: ``B / pi int int (s t)^-1/2 det(1 + 2 S D)^-1/2 V_relu(..) ds dt``, D = diag(s, t).

    With s = exp(a) by the midpoint rule; determinants and inverses from eigenvalues of root(S) D root(S).
    """
    x, y = batches(size, seed=1)
    S = np.block([[centred(x, x), centred(x, y)], [centred(y, x), centred(y, y)]])
    w, v = np.linalg.eigh(S)
    root = (v * np.sqrt(np.where(w > 1e-12 * w[-1], w, 0))) @ v.T
    step, reach = 0.5, 60 if epsilon == 0 else 12
    axis = np.arange(-60, reach, step)
    total = 0.0
    for a in axis:
        s, t = np.exp(a), np.exp(axis)
        D = np.zeros((len(axis), 2 * size))
        D[:, :size], D[:, size:] = s, t[:, None]
        lam, vectors = np.linalg.eigh(root @ (D[:, :, None] * root))
        lam = np.where(lam > 1e-14 * lam[:, -1:], lam, 0)
        u, v = (root[k] @ vectors for k in (0, size))
        c, p, q = (np.sum(a * b / (1 + 2 * lam), axis=1) for a, b in ((u, v), (u, u), (v, v)))
        weight = np.sqrt(s * t) / np.sqrt(np.prod(1 + 2 * lam, axis=1)) * np.exp(-size * epsilon * (s + t))
        total += np.sum(weight * relu_pair(c, p, q)) * step**2
    K = rmtp.nngp(network(epsilon), x[None], y[None])
    assert K.error < 1e-10
    assert K[0, 0] == pytest.approx(size / np.pi * total, rel=1e-7)  # of the oracle's step


def test_two_rows_are_signs():
    """B = 2: a row is +-1 after normalisation; K = 1/2 within a batch, an arc-cosine between two."""
    X = batches(2, seed=2)
    differences = X[:, 0] - X[:, 1]
    K = rmtp.nngp(network(0), X)
    rho = differences[0] @ differences[1] / np.linalg.norm(differences, axis=1).prod()
    np.testing.assert_allclose(np.diag(K), 0.5, rtol=1e-12)
    assert K[0, 1] == pytest.approx((np.pi - np.arccos(rho)) / (2 * np.pi), rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_three_rows_in_polar_coordinates(seed):
    """B = 3: the radius integrates out, and the direction has the density sqrt(det) / (2 pi e' S^-1 e) on a circle."""
    x = batches(3, seed=seed)[0]
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    P = np.linalg.inv(plane @ centred(x, x) @ plane.T)

    def integrand(angle):
        e = np.array([math.cos(angle), math.sin(angle)])
        return max(3**0.5 * (e @ plane)[0], 0) ** 2 / (e @ P @ e) * np.linalg.det(P) ** 0.5 / (2 * np.pi)

    edges = sorted(np.arctan2(-plane[0, 0], plane[1, 0]) % np.pi + k * np.pi for k in (0, 1))
    expected = sum(
        quad(integrand, a, b, limit=400, epsrel=1e-12)[0] for a, b in itertools.pairwise([0, *edges, 2 * np.pi])
    )
    assert rmtp.nngp(network(0), x[None])[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("size", "epsilon"), [(2, 0.1), (3, 1e-2), (4, 0.1), (8, 0.1)])
def test_kernels_against_samples_of_the_definition(size, epsilon):
    """NNGP and NTK of one hidden layer, the gradient typed by hand, 400,000 draws: |z| < 4.5, four numbers a case.

    A right kernel fails once in 9,000 seeds.
    """
    X = batches(size, seed=3)
    draw = np.random.default_rng(4)
    d = X.shape[2]
    U = draw.standard_normal((400_000, d)) / d**0.5
    values, slopes = [], []
    for x in X:
        h = U @ x.T
        c = h - h.mean(axis=1, keepdims=True)
        root = np.sqrt(np.mean(c**2, axis=1) + epsilon)
        one = np.eye(size)[0] - 1 / size
        slope = one / root[:, None] - c[:, :1] * c / (size * root**3)[:, None]
        values.append(np.maximum(c[:, 0] / root, 0))
        slopes.append((c[:, 0] > 0)[:, None] * slope @ x / d**0.5)
    K, T = rmtp.nngp_ntk(network(epsilon), X[:1])
    C, S = rmtp.nngp_ntk(network(epsilon), X[:1], X[1:])
    for (i, j), kernel, tangent in (((0, 0), K, T), ((0, 1), C, S)):
        product = values[i] * values[j]
        total = product + np.sum(slopes[i] * slopes[j], axis=1)
        for samples, limit in ((product, kernel), (total, tangent)):
            assert limit.method == "quadrature" and limit.error < 1e-6
            assert abs(samples.mean() - limit[0, 0]) < 4.5 * samples.std() / len(samples) ** 0.5


def test_the_other_rows_may_be_permuted():
    x = batches(5, seed=5)[0]
    K = rmtp.nngp(network(0.1), np.stack([x, x[[0, 3, 1, 4, 2]]]))
    np.testing.assert_allclose(K, K[0, 0], rtol=1e-9)


def test_batch_norm_without_epsilon_has_no_gradient():
    X = batches(3)
    with pytest.raises(rmtp.errors.BadParameter, match=r"(?s)gradient of batch_norm.*epsilon > 0"):
        rmtp.ntk(network(0), X)
    for bad in (lambda: nets.batch_norm(rmtp.Normal(n)), lambda: rmtp.nngp(network(-1), X)):
        with pytest.raises(rmtp.errors.BadParameter):
            bad()


# ---------------------------------------------------------------------------------------------
# the integrals


def by_angle(powers, signs, rho, sizes):
    """E u^a v^b sgn(u)^i sgn(v)^j in polar coordinates."""
    order = sum(powers)
    L = np.array([[sizes[0], 0], [rho * sizes[1], (1 - rho**2) ** 0.5 * sizes[1]]])
    edges = sorted({0.0, 2 * np.pi, *(np.arctan2(-row[0], row[1]) % np.pi + k * np.pi for row in L for k in (0, 1))})

    def integrand(angle):
        x = L @ [math.cos(angle), math.sin(angle)]
        return np.prod(x ** np.array(powers)) * np.prod(np.sign(x) ** np.array(signs))

    total = sum(quad(integrand, a, b, epsabs=1e-13, epsrel=1e-11)[0] for a, b in itertools.pairwise(edges))
    return total / (2 * np.pi) * 2 ** (order / 2) * math.gamma(order / 2 + 1)


@settings(max_examples=40, deadline=None)
@given(
    powers=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    signs=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    rho=st.floats(-0.99, 0.99),
    sizes=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
)
def test_moments_with_signs(powers, signs, rho, sizes):
    cov = {(0, 0): sizes[0] ** 2, (1, 0): rho * sizes[0] * sizes[1], (1, 1): sizes[1] ** 2}
    cov = {k: np.array([v]) for k, v in cov.items()}
    found = np.broadcast_to(Moments(cov, 2).of(powers, tuple(k for k in (0, 1) if signs[k])), 1)[0]
    scale = sizes[0] ** powers[0] * sizes[1] ** powers[1] * 2 ** sum(powers) * math.gamma(sum(powers) / 2 + 1)
    assert found == pytest.approx(by_angle(powers, signs, rho, sizes), abs=1e-12 * scale)


RADIAL = {
    "one form": lambda u, v: rmtp.relu(u) * u / (u**2 + v**2 + 0.5),
    "a root": lambda u, v: np.abs(u - v) * rmtp.leaky_relu(u, 0.3) / np.sqrt(u**2 + u * v + v**2 + 1.0),
    "two forms": lambda u, v: np.sign(u) * v / np.sqrt(u**2 + 0.3) / (v**2 + 0.7),
    "inside": lambda u, v: rmtp.relu(u / np.sqrt(u**2 + v**2 + 0.1)) ** 2,
    "opposite": lambda u, v: rmtp.relu(u - v) * rmtp.relu(2 * v - 2 * u) + rmtp.relu(u - v) ** 2 / (u**2 + 1.0),
    "negative power": lambda u, v: u**2 * v**2 / (u**2 + 2 * v**2 + 0.4) ** 1.5,
}


def over_the_plane(f, cov):
    """E f(u, v) in polar coordinates of (u, v), cut where u, v or u - v vanishes; functions of rmtp take arrays."""
    P = np.linalg.inv(cov)
    t, w = np.polynomial.legendre.leggauss(80)
    r, weight = 9 * (t + 1), 9 * w
    total = 0.0
    for a, b in itertools.pairwise(np.pi / 4 * np.arange(9)):
        angle = a + (b - a) / 2 * (t + 1)
        u, v = r[:, None] * np.cos(angle), r[:, None] * np.sin(angle)
        density = np.exp(-0.5 * (P[0, 0] * u * u + 2 * P[0, 1] * u * v + P[1, 1] * v * v)) * r[:, None]
        total += weight @ (f(u, v) * density) @ (w * (b - a) / 2)
    return total / (2 * np.pi) * np.linalg.det(P) ** 0.5


@pytest.mark.parametrize("name", RADIAL)
def test_the_integral_over_s_is_the_integral(name):
    cov = [[1.5, 0.4], [0.4, 0.8]]
    value = rmtp.limit(np.mean(RADIAL[name](*rmtp.Normal(n, mean=(0, 0), cov=cov))))
    assert value.error <= 1e-9 * max(1, abs(value.value))
    assert float(value) == pytest.approx(over_the_plane(RADIAL[name], cov), rel=1e-9, abs=1e-10)


def test_three_forms_are_left_to_other_methods():
    u, v = rmtp.Normal(n, mean=(0, 0), cov=[[1, 0], [0, 1]])
    mean = np.mean(rmtp.relu(u) * rmtp.relu(v) / (u**2 + 1) / (v**2 + 1) / (u**2 + v**2 + 1))
    value = rmtp.limit(mean)
    t, w = np.polynomial.legendre.leggauss(120)
    t, w = 6 * (t + 1), 6 * w * np.exp(-18 * (t + 1) ** 2) / np.sqrt(2 * np.pi)
    table = np.outer(t / (t**2 + 1), t / (t**2 + 1)) / (t[:, None] ** 2 + t**2 + 1)
    assert float(value) == pytest.approx(w @ table @ w, abs=10 * value.error + 1e-9)
