"""Limits that are rational numbers: equality, nothing less."""

from __future__ import annotations

import json
from fractions import Fraction as F
from pathlib import Path

import numpy as np
import pytest
from oracles import (
    Brute,
    BruteMatrix,
    Term,
    Width,
    brute_limit,
    brute_normal,
    catalan,
    double_factorial,
    expectation,
    fuss_catalan,
    narayana_moment,
    wick_moment,
)
from reference_programs import build

import rmtp

DATA = Path(__file__).parent / "data"


def exact(expr, **options):
    """The limit in rational arithmetic; the type is part of the claim."""
    estimate = rmtp.limit(expr, exact=True, **options)
    assert isinstance(estimate.value, F)
    assert estimate.method == "exact"
    assert estimate.error == 0
    return estimate.value


# ---------------------------------------------------------------------------------------------
# the oracle itself, against published finite-n polynomials


def test_brute_force_reproduces_the_known_finite_n_moments():
    n, m = Width("n"), Width("m", F(2))
    (v,) = brute_normal(n, [0], [[1]])
    A = BruteMatrix(n, n, symmetric=True)
    assert expectation(((A @ v) ** 2).mean()) == {0: 1, -1: 1}  # E tr A^2 / n = 1 + 1/n
    assert expectation(((A @ (A @ v)) ** 2).mean()) == {0: 2, -1: 5, -2: 5}  # E tr A^4 / n = 2 + 5/n + 5/n^2
    (u,) = brute_normal(m, [0], [[1]])
    W = BruteMatrix(m, n)
    assert expectation(((W @ (W.T @ u)) ** 2).mean()) == {0: 3, -1: 1}  # Wishart: 1 + ratio + 1/n


def test_wick_moments_of_one_variable_are_double_factorials():
    assert [wick_moment([[F(3)]], [2 * k]) for k in range(5)] == [3**k * double_factorial(2 * k - 1) for k in range(5)]


# ---------------------------------------------------------------------------------------------
# random matrix laws


def test_semicircle_moments_are_catalan_numbers():
    n = rmtp.Dim("n")
    A, v = rmtp.GOE(n), rmtp.Normal(n)
    powers, x = [], v
    for _ in range(12):
        x = A @ x
        powers.append(np.mean(v * x))
    values = [e.value for e in rmtp.limit(powers, exact=True)]
    assert values == [0 if k % 2 else catalan(k // 2) for k in range(1, 13)]


def test_semicircle_from_w_plus_its_transpose():
    n = rmtp.Dim("n")
    W, v = rmtp.Gaussian(n, n, variance=F(1, 2)), rmtp.Normal(n)
    x, values = v, []
    for _ in range(8):
        x = W @ x + W.T @ x
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [0, 1, 0, 2, 0, 5, 0, 14]


def test_goe_variance_scales_moments():
    n = rmtp.Dim("n")
    A, v = rmtp.GOE(n, variance=F(3, 2)), rmtp.Normal(n)
    assert exact(np.mean((A @ (A @ (A @ v))) ** 2)) == 5 * F(3, 2) ** 3


@pytest.mark.parametrize("ratio", [F(1), F(2), F(1, 2), F(3, 2), F(7, 3)])
def test_marchenko_pastur_moments_are_narayana_polynomials(ratio):
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(m)
    x, values = v, []
    for _ in range(9):
        x = W @ (W.T @ x)
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [narayana_moment(k, ratio) for k in range(1, 10)]


def test_marchenko_pastur_published_values():
    """TP III, appendix H: 1, 3, 11, 45, 197 at ratio 2."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(m)
    x, values = v, []
    for _ in range(5):
        x = W @ (W.T @ x)
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [1, 3, 11, 45, 197]


def test_the_other_trace_differs_by_the_ratio():
    """(1/n) tr (W^T W)^k = (m/n) (1/m) tr (W W^T)^k."""
    ratio = F(5, 2)
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    x = v
    for k in range(1, 6):
        x = W.T @ (W @ x)
        assert exact(np.mean(v * x)) == ratio * narayana_moment(k, ratio)


def test_moments_to_order_sixty():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", F(3, 2))
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(m)
    x, values = v, {}
    for k in range(1, 61):
        x = W @ (W.T @ x)
        if k in (30, 59, 60):
            values[k] = np.mean(v * x)
    answers = rmtp.limit(list(values.values()), exact=True)
    assert [a.value for a in answers] == [narayana_moment(k, F(3, 2)) for k in values]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_products_of_gaussian_matrices_are_fuss_catalan(layers):
    n = rmtp.Dim("n")
    Ws, v = [rmtp.Gaussian(n, n) for _ in range(layers)], rmtp.Normal(n)
    x, values = v, []
    for _ in range(4):
        for W in Ws:
            x = W.T @ x
        for W in reversed(Ws):
            x = W @ x
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [fuss_catalan(layers, k) for k in range(1, 5)]


def test_power_of_one_matrix_is_r_diagonal():
    """(1/n) tr (W^2 (W^T)^2): W^2 of one Ginibre matrix has the moments of a product of two."""
    n = rmtp.Dim("n")
    W, v = rmtp.Gaussian(n, n), rmtp.Normal(n)
    x, values = v, []
    for _ in range(3):
        x = W @ (W @ (W.T @ (W.T @ x)))
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [fuss_catalan(2, k) for k in (1, 2, 3)]


def test_jacobian_moments_of_relu_layers():
    """sigma^2 = 2: 1, 3, 11, 45 for one layer (Pennington et al. 2017); the mask is Bernoulli(1/2)."""
    n = rmtp.Dim("n")
    h, v, W = rmtp.Normal(n), rmtp.Normal(n), rmtp.Gaussian(n, n, variance=2)
    mask = np.heaviside(h, 0)
    x, values = v, []
    for _ in range(4):
        x = mask * (W @ (W.T @ (mask * x)))
        values.append(np.mean(v * x))
    assert [e.value for e in rmtp.limit(values, exact=True)] == [1, 3, 11, 45]


# ---------------------------------------------------------------------------------------------
# Z-Dot


def test_adjoint_twice_keeps_the_vector():
    """TP III, example 2.5: Z^{A^T A v} = Z^v + N(0, 1)."""
    n = rmtp.Dim("n")
    A, v = rmtp.Gaussian(n, n, name="A"), rmtp.Normal(n, name="v")
    z = A.T @ (A @ v)
    assert exact(np.mean(v * z)) == 1
    assert exact(np.mean(z * z)) == 2
    assert exact(np.mean((z - v) ** 4)) == 3
    assert exact(np.mean((z - v) * v)) == 0
    assert exact(np.mean(v * z), gradient_independence=True) == 0


def test_gradient_independence_counterexample():
    """TP II, 6.3: x1 = 1, h = W x1, dx = W^T (2 h)."""
    n = rmtp.Dim("n")
    W, one = rmtp.Gaussian(n, n), rmtp.constant(n, 1)
    dx = W.T @ (2 * (W @ one))
    moments = [np.mean(dx**k) for k in (1, 2, 3)]
    assert [e.value for e in rmtp.limit(moments, exact=True)] == [2, 8, 32]
    assert [e.value for e in rmtp.limit(moments, exact=True, gradient_independence=True)] == [0, 4, 0]


def test_two_hidden_layer_relu_ntk():
    """TP II, E.1: Theta(x, x) = 3/4 |xi|^2 / m + 7/4 with unit weights and biases, from its definition as inner products."""
    for square in (F(1), F(5, 4)):
        n = rmtp.Dim("n")
        W1 = rmtp.Gaussian(n, n, variance=1)
        W2 = rmtp.Gaussian(n, n, variance=1)
        xi, b1, b2, readout = rmtp.Normal(n, cov=square), rmtp.Normal(n), rmtp.Normal(n), rmtp.Normal(n)
        del W1  # the input layer is a Gaussian vector of variance |xi|^2/m
        h1 = xi + b1
        x1 = rmtp.relu(h1)
        h2 = W2 @ x1 + b2
        x2 = rmtp.relu(h2)
        dh2 = readout * np.heaviside(h2, 0)
        dx1 = W2.T @ dh2
        dh1 = dx1 * np.heaviside(h1, 0)
        e = lambda v: np.mean(v * v)  # noqa: E731
        ntk = e(dh1) * square + e(dh1) + e(dh2) * e(x1) + e(dh2) + e(x2)
        assert exact(ntk) == F(3, 4) * square + F(7, 4)


def test_every_rational_closed_form_stays_a_fraction():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]])
    assert exact(np.mean(rmtp.relu(x) ** 2)) == F(1, 2)
    assert exact(np.mean(np.heaviside(x, 0) * np.heaviside(y, 0))) == F(1, 4)
    assert exact(np.mean(np.abs(x) ** 2)) == 1
    assert exact(np.mean(np.sign(x) ** 2)) == 1
    assert exact(np.mean(np.abs(x) * rmtp.relu(x))) == F(1, 2)
    assert exact(np.mean(rmtp.relu(x) ** 4)) == F(3, 2)


def test_discrete_laws_and_their_mixtures():
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    coin = rmtp.IID(n, rmtp.Discrete([-1, 1]))
    skew = rmtp.IID(n, rmtp.Discrete([0, 3], [F(2, 3), F(1, 3)]))
    assert exact(np.mean(coin**4)) == 1
    assert exact(np.mean(skew**3)) == 9
    assert exact(np.mean((W @ skew) ** 4)) == 3 * 9  # (E skew^2)^2 = 9
    assert exact(np.mean((W.T @ ((W @ skew) ** 2 * (W @ coin))) * coin)) == 3  # E d/dh_c [h_s^2 h_c] = E h_s^2 = 3


# ---------------------------------------------------------------------------------------------
# polynomial programs against brute force


def ones(width):
    return Brute((Term(F(1), 0, (), (width,), 0),), width)


def reuse(W, V, x, y):
    h = W @ x
    g = W.T @ (h * h + y)
    return (g * x).mean(), (g * g).mean()


def twice(W, V, x, y):
    h = W @ (W.T @ (y * y))
    return (h * y).mean(), (h * y * y).mean()


def two_matrices(W, V, x, y):
    a = V @ (W @ x)
    b = W.T @ (V.T @ (a * y))
    return (b * x).mean(), (b * x * x).mean()


def memory(W, V, x, y):
    h1 = W @ x
    g1 = W.T @ (h1 + y)
    h2 = W @ (g1 * x)
    return (h2 * h1).mean(), (h2 * y).mean(), (h2 * h1 * y).mean()


def scalar_feedback(W, V, x, y):
    h = W @ x
    theta = (h * h).mean()
    g = W.T @ (h * theta)
    return (g * x).mean(), (theta * theta), (g * x).mean() * theta


def cubic(W, V, x, y):
    h = W @ x
    g = W.T @ (h**3)
    return (g * x).mean(), (g**2).mean()


def linear_combination(W, V, x, y):
    h = W @ (x * x - 1) + 2 * y
    g = W.T @ (h * h) - x
    return (g * x).mean(), (g * x * x).mean(), g.mean()


PROGRAMS = [reuse, twice, two_matrices, memory, scalar_feedback, cubic, linear_combination]
RATIOS = [F(1), F(2), F(1, 3)]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("body", PROGRAMS)
def test_polynomial_programs_against_brute_force(body, ratio):
    """W of size m x n and V of size m x m; x on n, y on m; every word is expanded over the matrix entries."""
    cov = F(3, 2)
    bn, bm = Width("n"), Width("m", ratio)
    (bx,), (by,) = brute_normal(bn, [F(1, 2)], [[1]]), brute_normal(bm, [0], [[cov]])
    expected = body(BruteMatrix(bm, bn, F(2, 3)), BruteMatrix(bm, bm), bx, by)
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio)
    x, y = rmtp.Normal(n, F(1, 2)), rmtp.Normal(m, cov=cov)
    got = body(rmtp.Gaussian(m, n, variance=F(2, 3)), rmtp.Gaussian(m, m), x, y)
    assert [e.value for e in rmtp.limit(list(got), exact=True)] == [brute_limit(e) for e in expected]


def symmetric_reuse(A, x):
    a = A @ x
    b = A @ (a * a)
    return (b * x).mean(), (b * a * x).mean(), (a * a).mean(), (A @ (A @ (a * x)) * x).mean()


def test_symmetric_programs_against_brute_force():
    n = Width("n")
    (v,) = brute_normal(n, [F(1, 3)], [[1]])
    expected = symmetric_reuse(BruteMatrix(n, n, F(1, 2), symmetric=True), v)
    d = rmtp.Dim("n")
    got = symmetric_reuse(rmtp.GOE(d, variance=F(1, 2)), rmtp.Normal(d, F(1, 3)))
    assert [e.value for e in rmtp.limit(list(got), exact=True)] == [brute_limit(e) for e in expected]


def random_word(rng, matrices, vectors, steps):
    """A random polynomial program of low degree; handles, brute-force objects and arrays all understand it."""
    pool = dict(vectors)  # name -> (vector, side)
    for k in range(steps):
        names = list(pool)
        name = names[rng.integers(len(names))]
        vector, side = pool[name]
        if rng.integers(3):
            W = matrices[rng.integers(len(matrices))]
            pool[f"u{k}"] = ((W @ vector) if side == 0 else (W.T @ vector), 1 - side)
        else:
            partners = [v for v, s in pool.values() if s == side]
            other = partners[rng.integers(len(partners))]
            pool[f"u{k}"] = (vector * other if rng.integers(2) else vector - 2 * other, side)
    (last, side) = pool[f"u{steps - 1}"]
    return [(last * v).mean() for v, s in list(pool.values())[-4:] if s == side]


def _compare_random(seed, steps=5):
    ratio = F(*[(1, 1), (3, 2), (1, 2)][seed % 3])
    bn, bm = Width("n"), Width("m", ratio)
    b_inputs = {"x": (brute_normal(bn, [F(1, 2)], [[1]])[0], 0), "y": (brute_normal(bm, [0], [[2]])[0], 1)}
    expected = random_word(
        np.random.default_rng(seed), [BruteMatrix(bm, bn), BruteMatrix(bm, bn, F(1, 2))], b_inputs, steps
    )
    if any(len(t.entries) > 12 for e in expected for t in e.terms):
        return False
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio)
    inputs = {"x": (rmtp.Normal(n, F(1, 2)), 0), "y": (rmtp.Normal(m, cov=2), 1)}
    matrices = [rmtp.Gaussian(m, n), rmtp.Gaussian(m, n, variance=F(1, 2))]
    got = random_word(np.random.default_rng(seed), matrices, inputs, steps)
    assert [e.value for e in rmtp.limit(got, exact=True)] == [brute_limit(e) for e in expected]
    return True


def test_random_polynomial_programs_against_brute_force():
    compared = sum(_compare_random(seed) for seed in range(40))
    assert compared >= 25  # the others were too long to enumerate


@pytest.mark.slow
def test_many_random_polynomial_programs_against_brute_force():
    assert sum(_compare_random(seed, 6) for seed in range(100, 400)) >= 100


@pytest.mark.parametrize("name", ["Q01_poly", "Q06_poly"])
def test_reference_programs_with_rational_limits(name):
    spec = json.loads((DATA / f"{name}.json").read_text())
    outputs = build(spec, rational=True)
    answers = rmtp.limit(list(outputs.values()), exact=True)
    assert {k: e.value for k, e in zip(outputs, answers, strict=True)} == {
        k: F(r["rational"]) for k, r in spec["results"].items()
    }


# ---------------------------------------------------------------------------------------------
# where numbers come from


def test_floats_that_are_short_decimals_are_read_as_written():
    n = rmtp.Dim("n")
    assert exact(np.mean((0.1 * rmtp.Normal(n)) ** 2)) == F(1, 100)


def test_without_exact_polynomials_of_rationals_are_still_rational():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    estimate = rmtp.limit(np.mean(x**4))
    assert estimate.value == 3
    assert isinstance(estimate.value, F)
    assert estimate.error == 0


def test_isserlis_for_correlated_vectors():
    n = rmtp.Dim("n")
    cov = [[F(2), F(1, 2), F(-1, 3)], [F(1, 2), F(1), F(1, 4)], [F(-1, 3), F(1, 4), F(3)]]
    x, y, z = rmtp.Normal(n, (0, 0, 0), cov)
    for powers in [(2, 2, 0), (1, 1, 2), (3, 1, 2), (2, 2, 2), (4, 0, 2), (1, 2, 0)]:
        p, q, r = powers
        assert exact(np.mean(x**p * y**q * z**r)) == wick_moment(cov, powers)
