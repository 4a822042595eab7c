"""The law of Z: numbers, names, samples, text."""

from __future__ import annotations

import math
from fractions import Fraction as F

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st
from oracles import gauss, gauss2

import rmtp

n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)


def example():
    """Z^g = Zhat + c Z^x with c = 2 E sech^2(N(0, 1)), for W of 2n rows."""
    W, x = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="x")
    return rmtp.limit(W.T @ np.tanh(W @ x))


C = 2 * gauss(lambda v: mp.sech(v) ** 2)
HAT = 2 * gauss(lambda v: mp.tanh(v) ** 2)


def test_parts_of_z():
    law = example()
    assert law.mean.value == pytest.approx(0, abs=1e-12)
    assert law.var.value == pytest.approx(float(HAT + C**2), rel=1e-9)
    assert law.std.value == pytest.approx(math.sqrt(HAT + C**2), rel=1e-9)
    assert law.zhat.var.value == pytest.approx(float(HAT), rel=1e-9)
    assert list(law.zdot) == ["x"]
    assert law.zdot["x"].value == pytest.approx(float(C), rel=1e-9)
    assert law.zdot["x"].error < 1e-7


def test_numbers_carry_their_errors_and_may_be_called():
    law = example()
    for estimate in (law.mean, law.var, law.std, law.moment(3), law.moment(4)):
        assert isinstance(estimate, rmtp.Estimate)
        assert estimate.error >= 0
    assert law.var().value == law.var.value
    assert law.mean() == law.mean


def test_moments_of_a_gaussian_law():
    """Z^g is Gaussian here: E Z^4 = 3 Var^2."""
    law = example()
    assert law.moment(0).value == 1
    assert law.moment(1).value == pytest.approx(0, abs=1e-12)
    assert law.moment(2).value == pytest.approx(law.var.value, rel=1e-12)
    assert law.moment(4).value == pytest.approx(3 * law.var.value**2, rel=1e-9)


def test_exact_laws():
    A, v = rmtp.GOE(n, name="A"), rmtp.Normal(n, F(1, 2), name="v")
    law = rmtp.limit(A @ (A @ v), exact=True)
    assert law.mean.value == F(1, 2)
    assert law.var.value == F(5, 4) + 1  # Var Zhat = E (A v)^2 = E v^2 = 5/4, and Z^v
    assert law.zdot["v"].value == 1
    assert law.zhat.var.value == F(5, 4)
    assert isinstance(law.var.value, F)
    assert law.moment(3).value == F(1, 8) + 3 * F(1, 2) * F(9, 4)


def test_constants_and_initial_vectors():
    one = rmtp.limit(rmtp.constant(n, F(2, 3)))
    assert one.mean.value == F(2, 3)
    assert one.var.value == 0
    assert one.zhat is None
    assert one.zdot == {}
    x = rmtp.limit(rmtp.Normal(n, F(1, 2), F(3, 4)))
    assert (x.mean.value, x.var.value) == (F(1, 2), F(3, 4))


def test_law_of_a_discrete_vector():
    law = rmtp.limit(rmtp.IID(n, rmtp.Discrete([0, 1, 4], [F(1, 2), F(1, 4), F(1, 4)])))
    assert law.mean.value == F(5, 4)
    assert law.var.value == F(17, 4) - F(25, 16)
    assert law.moment(3).value == F(65, 4)
    assert set(np.unique(law.rvs(200, rng=0))) == {0.0, 1.0, 4.0}


@pytest.mark.parametrize(
    ("f", "definition", "kinks"),
    [
        (np.tanh, mp.tanh, []),
        (lambda z: np.maximum(z, 0.5), lambda z: max(z, mp.mpf(1) / 2), [0.5]),
        (np.abs, abs, [0]),
        (lambda z: z > 1, lambda z: mp.mpf(z > 1), [1]),
        (lambda z: z**4, lambda z: z**4, []),
        (lambda z: math.pi * z**2, lambda z: mp.pi * z**2, []),
    ],
)
def test_expect_of_functions(f, definition, kinks):
    law = example()
    truth = float(gauss(definition, HAT + C**2, 0, kinks))
    estimate = law.expect(f)
    assert abs(estimate.value - truth) <= 5 * estimate.error + 1e-9


def test_expect_of_a_function_that_is_not_numpy():
    """A table, which no handle can enter: f is used by its values."""
    grid = np.linspace(-40, 40, 4001)
    estimate = rmtp.limit(rmtp.Normal(n)).expect(lambda z: np.interp(z, grid, grid**2))
    step = grid[1] - grid[0]
    assert abs(estimate.value - 1) <= step**2 + 5 * estimate.error  # linear interpolation of z^2


def test_covariances_of_laws_of_one_call():
    W, x, y = rmtp.Gaussian(n, n), *rmtp.Normal(n, (0, 0), [[1, F(1, 2)], [F(1, 2), 2]])
    a, b, c = rmtp.limit([W @ x, W @ y, x], exact=True)
    assert a.cov(b).value == F(1, 2)
    assert a.cov(c).value == 0
    assert a.cov(a).value == a.var.value == 1
    g, h = rmtp.limit([np.tanh(W @ x), rmtp.relu(W @ y)])
    truth = gauss2(lambda u, v: np.tanh(u) * np.maximum(v, 0), [[1, 0.5], [0.5, 2]], kink2=[0])
    assert g.cov(h).value == pytest.approx(truth, rel=1e-8)


def test_zdot_by_the_names_of_the_vectors():
    """Two uses of W.T beneath: the theorem's coefficients 1*E d/dZhat, by name."""
    W = rmtp.Gaussian(n, n, name="W")
    u, v = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]], name=("u", "v"))
    a, b = W.T @ u, W.T @ v
    law = rmtp.limit(W @ (a + 2 * b + a * a), exact=True)
    assert {k: e.value for k, e in law.zdot.items()} == {"u": 1, "v": 2}
    nonlinear = rmtp.limit(W @ np.tanh(a + 2 * b))
    slope = float(gauss(lambda t: mp.sech(t) ** 2, 5))
    assert nonlinear.zdot["u"].value == pytest.approx(slope, rel=1e-9)
    assert nonlinear.zdot["v"].value == pytest.approx(2 * slope, rel=1e-9)


def test_zdot_of_unnamed_vectors_uses_the_names_of_the_print():
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = W @ x
    g = W.T @ np.tanh(h)
    k = W @ np.tanh(g)
    law = rmtp.limit(k)
    assert "tanh(v2)" in str(rmtp.program(k))
    assert list(law.zdot) == ["tanh(v2)"]


def test_without_zdot_there_is_none():
    W, V, x = rmtp.Gaussian(n, n), rmtp.Gaussian(n, n), rmtp.Normal(n)
    assert rmtp.limit(V @ np.tanh(W @ x)).zdot == {}
    assert rmtp.limit(W @ np.tanh(W @ x)).zdot == {}
    naive = rmtp.limit(W.T @ np.tanh(W @ x), gradient_independence=True)
    assert naive.zdot == {}


@pytest.mark.parametrize("size", [40_000])
def test_samples_follow_the_law(size):
    """Kolmogorov-Smirnov against the normal law; a false alarm once in 10^4."""
    law = example()
    draws = law.rvs(size, rng=1)
    assert draws.shape == (size,)
    assert st.kstest(draws, "norm", args=(0, float(law.std))).pvalue > 1e-4


def test_samples_of_a_nonlinear_law():
    """Z-scores of four averages of non-Gaussian Z; 4.5 standard errors, a false alarm once in 10^5."""
    W, x = rmtp.Gaussian(n, n), rmtp.IID(n, st.laplace())
    h = W @ x
    z = np.tanh(W.T @ (np.sign(h) + h * np.abs(h)) * 0.3 + x) * x
    law = rmtp.limit(z)
    draws = law.rvs(40_000, rng=2)
    for value, sample in (
        (law.mean, draws),
        (law.moment(2), draws**2),
        (law.expect(np.abs), np.abs(draws)),
        (law.expect(lambda t: t > 1), draws > 1),
    ):
        error = math.hypot(np.std(sample) / math.sqrt(len(draws)), value.error)
        assert abs(np.mean(sample) - value.value) < 4.5 * error


def test_samples_repeat_by_seed():
    law = example()
    np.testing.assert_array_equal(law.rvs(5, rng=3), law.rvs(5, rng=np.random.default_rng(3)))
    assert not np.array_equal(law.rvs(5, rng=3), law.rvs(5, rng=4))


def test_text_and_latex():
    W, x = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="x")
    law = rmtp.limit(W.T @ (W @ x))
    assert law.text.startswith("Z = Zhat^{W.T ")
    assert law.text.endswith("} + 2 Z^x")
    assert law.latex.count("{") == law.latex.count("}")
    assert r"\hat Z" in law.latex
    assert "2 Z^{x}" in law.latex
    assert "mean 0 (exact), var 6 (exact)" in str(law)
    assert len(repr(law)) < 90


def test_variance_of_the_text_example():
    """Var = s^2 (m/n) E Z^{Wx}^2 + c^2 = 2 + 4."""
    W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    assert rmtp.limit(W.T @ (W @ x), exact=True).var.value == 6


def test_laws_along_axes():
    X = rmtp.Normal(n, (0, 1), [[1, F(1, 2)], [F(1, 2), 2]], axis="k", name="X")
    W = rmtp.Gaussian(n, n, name="W")
    laws = rmtp.limit(W.T @ (W @ X), exact=True)
    assert laws.shape == (2,)
    assert laws[0].var.value == 2
    assert laws[1].mean.value == 1
    assert laws[1].var.value == 3 + 2  # E (W x)^2 = E x^2 = 3, and Var x = 2


def test_laws_over_a_sweep():
    stds = np.array([0.5, 1.0, 2.0])
    W, x = rmtp.Gaussian(n, n, stds), rmtp.Normal(n)
    law = rmtp.limit(W.T @ np.tanh(W @ x))
    slopes = np.array([s**2 * float(gauss(lambda v: mp.sech(v) ** 2, s**2)) for s in stds])
    hats = np.array([s**2 * float(gauss(lambda v: mp.tanh(v) ** 2, s**2)) for s in stds])
    np.testing.assert_allclose(law.var.value, hats + slopes**2, rtol=1e-8)


def test_samples_of_a_mixture_follow_its_weights():
    """The engine's own points over-represent rare components; samples of the law must not (z below 4.5: 1 in 10^5)."""
    x = rmtp.IID(n, rmtp.Mixture([0, 3], [0.9, 0.1]))
    share = (rmtp.limit(x + 0).rvs(20_000, rng=1) > 1).mean()
    assert abs(share - 0.1) < 4.5 * (0.1 * 0.9 / 20_000) ** 0.5
