"""Exact rewritings before an expectation, and draws that only decide a side of a threshold."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

import rmtp
from rmtp.expect.essential import essential

n = rmtp.Dim("n")
x = rmtp.Normal(n)


def test_an_indicator_of_an_absolute_value_has_a_closed_form():
    for theta in (0.3, 1.7):
        outside = rmtp.limit(np.mean(np.where(np.abs(x) > theta, 1, 0)))
        assert outside.method == "closed form"
        assert float(outside) == pytest.approx(2 * ndtr(-theta), rel=1e-14)
        inside = rmtp.limit(np.mean(np.where(np.abs(x) <= theta, 3, -1)))
        assert float(inside) == pytest.approx(3 - 8 * ndtr(-theta), rel=1e-13)
        shrunk = rmtp.limit(
            np.mean(np.sign(x) * np.maximum(np.abs(x) - theta, 0) * x)
        )  # soft threshold, as users write it
        assert float(shrunk) == pytest.approx(2 * ndtr(-theta), rel=1e-13)
        hat = rmtp.limit(np.mean(np.maximum(theta - np.abs(x), 0)))
        expected = theta * (1 - 2 * ndtr(-theta)) - 2 * (scipy.stats.norm.pdf(0) - scipy.stats.norm.pdf(theta))
        assert float(hat) == pytest.approx(expected, rel=1e-12)


def test_atoms_exactly_on_the_threshold_stay_on_their_side():
    s = rmtp.IID(n, [-2, -1, 0, 1, 2])
    for condition, share in (
        (np.abs(s) > 1, Fraction(2, 5)),
        (np.abs(s) >= 1, Fraction(4, 5)),
        (np.abs(s) < 1, Fraction(1, 5)),
        (np.abs(s) <= 1, Fraction(3, 5)),
        (1 - np.abs(s) > 0, Fraction(1, 5)),
    ):
        assert rmtp.limit(np.mean(np.where(condition, 1, 0)), exact=True).value == share


@settings(max_examples=25, deadline=None)
@given(a=st.floats(-3, 3).filter(lambda v: abs(v) > 0.1), b=st.floats(-2, 2), c=st.floats(-1, 1))
def test_relu_of_a_bent_argument(a, b, c):
    y = x + c
    found = float(rmtp.limit(np.mean(rmtp.relu(a * np.abs(y) + b))))

    def f(z):
        return mpmath.npdf(z) * max(a * abs(z + c) + b, 0)

    kinks = [-c] + ([-c - b / a, -c + b / a] if -b / a > 0 else [])
    points = sorted({-9.0, 9.0, *(k for k in kinks if abs(k) < 9)})
    assert found == pytest.approx(float(mpmath.quad(f, points)), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("noise", [scipy.stats.logistic(), scipy.stats.laplace(0.3, 0.5), scipy.stats.t(3)])
@pytest.mark.parametrize("slope", [1, -2])
def test_labels_from_a_threshold_with_noise(noise, slope):
    """E f(sign(z + c w), z) = E[f(1, z) P(w > -z / c) + f(-1, z) P(w < -z / c)]."""
    w = rmtp.IID(n, noise)
    y = np.sign(x + slope * w)
    found = rmtp.limit(np.mean(np.tanh(y * x + 0.3 * y) * x))
    assert found.method == "quadrature"

    def f(z):
        up = float(noise.sf(-float(z) / slope) if slope > 0 else noise.cdf(-float(z) / slope))
        one, two = mpmath.tanh(z + 0.3), mpmath.tanh(-z - 0.3)
        return mpmath.npdf(z) * z * (one * up + two * (1 - up))

    cuts = [-9, -0.3 * abs(slope), 0, 0.3, 0.3 * abs(slope), 9] if noise.dist.name == "laplace" else [-9, -1, 0, 1, 9]
    assert float(found) == pytest.approx(float(mpmath.quad(f, sorted(set(cuts)))), abs=1e-9)


def test_z_dot_through_a_noisy_label():
    """Stein: E[dy/dz] of the label's mean is the density of the noise."""
    m = rmtp.Dim("m", 2)
    A, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    z = A @ v
    y = np.sign(z + rmtp.IID(m, scipy.stats.logistic()))
    back = rmtp.limit(np.mean((A.T @ y) * v))  # (m/n) E[d E[y|z] / dz] E v^2, m/n = 2
    expected = 2 * mpmath.quad(lambda t: mpmath.npdf(t) * 2 * mpmath.exp(-t) / (1 + mpmath.exp(-t)) ** 2, [-9, 0, 9])
    assert float(back) == pytest.approx(float(expected), rel=1e-9)


def test_slopes_on_points_agree_with_regression():
    """Two estimates of one Z-Dot in a program of many hats; |difference| < 5 errors (6e-7 each, one alarm in 1.7 million)."""
    W, v = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = v
    for _ in range(4):
        h = np.tanh(W @ h) * np.cos(W.T @ h) + v / 2
    asked = [np.mean(h * v), np.mean(h**2)]
    points = rmtp.limit(asked)
    stein = rmtp.limit(asked, zdot="stein")
    for one, two in zip(points, stein, strict=True):
        assert one.method == two.method == "sobol"
        assert abs(float(one) - float(two)) < 5 * np.hypot(float(one.error), float(two.error))


@pytest.mark.parametrize("small", [0.3, 0.03, 0.003])
def test_a_jump_blurred_by_a_narrow_variable(small):
    """P(small g + gelu(h) > 1/4) and E relu of the same: given h, elementary, and almost a jump in h."""
    h, g = rmtp.Normal(n), rmtp.Normal(n)
    y = small * g + rmtp.gelu(h) - 0.25

    def above(t):
        return (t * mpmath.ncdf(t) - mpmath.mpf("0.25")) / small

    cuts = [-9, -6, -3, -1, 0, *(0.4024 + s * small * w for w in (9, 4, 1) for s in (-1, 1)), 1.5, 3, 6, 9]
    for f, inner in (
        (np.where(y > 0, 1, 0), mpmath.ncdf),
        (np.maximum(y, 0), lambda u: small * (u * mpmath.ncdf(u) + mpmath.npdf(u))),
    ):
        expected = mpmath.quad(lambda t, inner=inner: mpmath.npdf(t) * inner(above(t)), sorted(cuts))
        found = rmtp.limit(np.mean(f))
        assert found.method == "quadrature"
        assert float(found) == pytest.approx(float(expected), rel=1e-10)


def test_a_function_of_a_product_with_its_own_argument():
    """gelu(u + v + w) is a function of one variable, however many Gaussians its argument sums."""
    W, V = rmtp.Gaussian(n, n), rmtp.Gaussian(n, n)
    h = W @ rmtp.Normal(n) + V @ rmtp.Normal(n) + rmtp.Normal(n) / 2

    def mean(f, *kinks):
        kinks = sorted({-8.0, -3.0, 0.0, 3.0, 8.0, *(k / 1.5 for k in kinks)})
        return float(mpmath.quad(lambda t: f(1.5 * t) * mpmath.npdf(t), kinks))

    def gelu(t):
        return t * mpmath.ncdf(t)

    root = float(mpmath.findroot(lambda t: gelu(t) - 0.25, 0.4))
    turn = float(mpmath.findroot(lambda t: t * mpmath.tanh(t) - 1, 1.2))
    for f, expected in (
        (np.tanh(rmtp.gelu(h)), mean(lambda t: mpmath.tanh(gelu(t)))),
        (np.where(rmtp.gelu(h) > 0.25, 1, 0), float(mpmath.ncdf(-root / 1.5))),
        (np.maximum(h * np.tanh(h) - 1, 0), mean(lambda t: max(t * mpmath.tanh(t) - 1, 0), turn, -turn)),
    ):
        assert float(rmtp.limit(np.mean(f))) == pytest.approx(expected, rel=1e-9)
    digits = rmtp.limit(np.mean(np.tanh(rmtp.gelu(h))), dps=30)
    with mpmath.workdps(40):
        exact = mpmath.quad(
            lambda t: mpmath.tanh(gelu(3 * t / 2)) * mpmath.npdf(t), [-14, -8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8, 14]
        )
    assert abs(digits.value - exact) < 1e-28


def test_jumps_in_many_variables_are_no_divergence():
    """P(relu(g1) g2 + |g3| tanh(g4) > 1/10), bounded though no two levels agree; against samples. (6e-7)"""
    g = [rmtp.Normal(n) for _ in range(4)]
    found = rmtp.limit(np.mean(np.maximum(g[0], 0) * g[1] + np.abs(g[2]) * np.tanh(g[3]) > 0.1))
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4, 2_000_000))
    drawn = np.maximum(z[0], 0) * z[1] + np.abs(z[2]) * np.tanh(z[3]) > 0.1
    assert abs(float(found) - drawn.mean()) < 5 * np.hypot(found.error, drawn.std() / np.sqrt(drawn.size))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6), st.integers(-2, 2))
def test_a_polynomial_in_few_variables(coefficients, c):
    """(a.x + c) (b.x) of three Gaussians depends on a.x and b.x; along their pivots it is itself, exactly."""
    a, b = np.array(coefficients[:3]), np.array(coefficients[3:])
    polynomial: dict = {}
    for i in range(3):
        polynomial[((i, 1),)] = polynomial.get(((i, 1),), 0) + c * int(b[i])
        for j in range(3):
            mono = ((min(i, j), 1), (max(i, j), 1)) if i != j else ((i, 2),)
            polynomial[mono] = polynomial.get(mono, 0) + int(a[i] * b[j])
    polynomial = {m: v for m, v in polynomial.items() if v}
    atoms = sorted({k for m in polynomial for k, _ in m})
    forms = essential(polynomial)
    rank = np.linalg.matrix_rank(np.array([a, b])) if c or np.linalg.matrix_rank(np.array([a, b])) == 2 else 1
    if not polynomial:
        return
    assert (forms is None) == (len(atoms) <= rank)
    for x in itertools.product((-1, 0, 2), repeat=3) if forms is not None else ():
        at = {p: sum(v * x[k] for k, v in form) for p, form in forms}
        value = sum(v * math.prod(at.get(k, 0) ** q for k, q in m) for m, v in polynomial.items())
        assert value == (a @ x + c) * (b @ x)


def test_a_function_of_a_product_of_sums():
    """E f((x + y/2) (x - y + z)): two variables of covariance 1/2, against the integral over both."""
    x, y, z = (rmtp.Normal(n) for _ in range(3))
    found = rmtp.limit(np.mean(1 / (1 + ((x + y / 2) * (x - y + z)) ** 2)))
    step = 0.01
    t = np.arange(-9, 9, step)
    w = step * np.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    u = math.sqrt(1.25) * t[:, None]
    v = 0.5 / math.sqrt(1.25) * t[:, None] + math.sqrt(3 - 0.2) * t[None]
    assert found.method == "quadrature"
    assert float(found) == pytest.approx(float(w @ (1 / (1 + (u * v) ** 2)) @ w), abs=1e-8)


def test_a_part_that_is_a_rare_event():
    """E max(|u v| - 1/2, 0): u v < -1/2 is so rare that points cannot tell its part alone; the whole they can. (6e-7)"""
    x = [rmtp.Normal(n) for _ in range(3)]
    z = np.random.default_rng(0).standard_normal((3, 2_000_000))

    def f(x):
        return np.maximum(np.abs((x[1] - 0.9 * x[0] - 0.5 * x[2] - 0.2) * (x[2] + 1.5 * x[0] - x[1])) - 0.5, 0)

    found, drawn = rmtp.limit(np.mean(f(x))), f(z)
    assert abs(float(found) - drawn.mean()) < 5 * np.hypot(found.error, drawn.std() / np.sqrt(drawn.size))


@pytest.mark.parametrize("mean", [Fraction(1, 4), Fraction(-2, 3)])
@pytest.mark.parametrize("var", [Fraction(51, 128), Fraction(9, 25), Fraction(2, 7)])
def test_two_kinks_of_one_argument_are_both_found_to_the_last_digit(mean, var):
    """P(exp(-u^2 / 4) > 1/4) = P(|u| < 2 sqrt(log 4)): one root is found early and has to stay while the other is sought."""
    u = rmtp.Normal(n, cov=var) + rmtp.Normal(n, mean)
    end, std = 2 * math.sqrt(math.log(4)), math.sqrt(float(1 + var))
    exact = ndtr((end - float(mean)) / std) - ndtr((-end - float(mean)) / std)
    assert float(rmtp.limit(np.mean(np.exp(-(u**2) / 4) > 0.25))) == pytest.approx(exact, abs=1e-14)


def test_draws_that_are_numbers_merge_terms():
    """P(gelu(h + s + 1/2) > 1/4), s a sign: given s two terms of the product have one factor, and both count."""
    h, s = rmtp.Normal(n), rmtp.IID(n, [-1, 0, 1])
    root = float(mpmath.findroot(lambda t: t * mpmath.ncdf(t) - 0.25, 0.4))
    exact = sum(ndtr(k + 0.5 - root) for k in (-1, 0, 1)) / 3
    assert float(rmtp.limit(np.mean(rmtp.gelu(h + s + 0.5) > 0.25))) == pytest.approx(exact, abs=1e-13)
    both = sum(ndtr((k + 0.5 - root) / math.sqrt(2)) for k in (-1, 0, 1)) / 3
    assert float(rmtp.limit(np.mean(rmtp.gelu(h + rmtp.Normal(n) + s + 0.5) > 0.25))) == pytest.approx(both, abs=1e-13)


def test_an_event_that_no_point_meets():
    """P(x > 7) = 1e-12 and its complement: points that all agree know it to one point."""
    x = rmtp.Normal(n)
    for event, exact in ((x > 7, ndtr(-7)), (x < 7, ndtr(7))):
        found = rmtp.limit(np.mean(event), method="sobol")
        assert 0 < found.error < 1e-4
        assert abs(float(found) - exact) <= found.error


def test_a_part_that_is_infinite_is_not_lost_in_the_whole():
    """E (u v)^2 + 1e-9 E exp(u^2 v^2 + w^2): points see nothing of the second term, which is infinite."""
    u, v, w = (rmtp.Normal(n) for _ in range(3))
    with pytest.raises(rmtp.errors.DivergentExpectation):
        rmtp.limit(np.mean((u * v) ** 2 * np.tanh(w * u + v) ** 2 + 1e-9 * np.exp(u**2 * v**2 + w**2)))
