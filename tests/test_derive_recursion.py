"""State evolution as a recursion in t: the published ones, read off the algorithm; numbers from the equations alone."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from math import comb

import numpy as np
import pytest
import scipy.stats
import sympy

import rmtp
from rmtp import amp
from rmtp.errors import BadParameter, UnsupportedOperation

DELTA, NOISE, ALPHA, SHARE, STEP = (rmtp.symbol(s) for s in ("delta", "sigma2", "alpha", "rho", "eta"))
delta, noise, alpha, share, step = (sympy.Symbol(s, positive=True) for s in ("delta", "sigma2", "alpha", "rho", "eta"))


def soft_amp(**options):
    problem = amp.linear_model(DELTA, amp.three_point(SHARE), NOISE)
    return rmtp.derive_recursion(partial(amp.amp, denoiser=amp.soft(ALPHA)), problem, **options)


def test_soft_thresholding_is_the_recursion_of_donoho_maleki_and_montanari():
    """tau_t^2 = sigma^2 + mse_t / delta, mse_{t+1} = E (eta(x0 + tau_t G; alpha tau_t) - x0)^2."""
    found = soft_amp()
    assert found.closed
    assert (found.first, found.memory) == (0, 0)
    mse, tau = sympy.Symbol("mse_t", positive=True), sympy.Symbol("tau_t", positive=True)
    G, x0 = sympy.Symbol("G_t", real=True), sympy.Symbol("x0", real=True)
    soft, E, Cov = sympy.Function("soft", real=True), sympy.Function("E"), sympy.Function("Cov")
    rules = found.sympy()
    assert rules["tau_t**2"] == sympy.Eq(tau**2, noise + mse / delta)
    assert rules["Cov(G_t, G_t)"] == sympy.Eq(Cov(G, G), tau**2)
    assert rules["mse_{t+1}"].rhs == E((x0 - soft(G + x0, alpha * tau)) ** 2)
    assert len(rules) == 3


def test_no_onsager_term_is_left():
    """Neither an expectation of slopes nor a covariance between steps is in the rules."""
    text = str(soft_amp())
    assert "step" not in text
    assert "Cov" not in text


def test_the_recursion_goes_on_where_the_derivation_stopped():
    values = {"delta": 0.6, "sigma2": 0.02, "alpha": 1.3, "rho": 0.15}
    model = amp.linear_model(0.6, amp.three_point(0.15), 0.02)
    expected = rmtp.state_evolution(partial(amp.amp, denoiser=amp.soft(1.3)), model, 9).mse.value
    np.testing.assert_allclose(soft_amp(steps=3).evaluate(9, **values), expected, rtol=1e-8)


def test_more_steps_do_not_change_the_rules():
    assert soft_amp(steps=3).sympy() == soft_amp(steps=5).sympy()


def test_a_wrong_onsager_term_does_not_close():
    """The same algorithm with half the correction has memory."""

    def half(A, y, x):
        m, n = A.shape
        z = y - A @ x
        while True:
            yield x
            r = x + A.T @ z
            x = np.tanh(r)
            z = y - A @ x + n / m * np.mean(1 - np.tanh(r) ** 2) * z / 2

    problem = amp.linear_model(DELTA, [-1, 1], NOISE)
    found = rmtp.derive_recursion(half, problem, steps=3)
    assert not found.closed
    assert "no recursion" in str(found)
    with pytest.raises(UnsupportedOperation):
        found.evaluate(4, delta=1, sigma2=1)
    values = {"delta": 2.0, "sigma2": 0.1}
    expected = rmtp.state_evolution(half, amp.linear_model(2.0, [-1, 1], 0.1), 2).mse.value
    np.testing.assert_allclose(np.array(found.evaluate(2, **values), dtype=float), expected, rtol=1e-6)


def test_bayes_optimal_amp():
    """tau_t^2 = sigma^2 + mmse(tau_{t-1}^2) / delta with the posterior mean as denoiser."""
    algorithm = partial(amp.amp, denoiser=amp.posterior_mean([-1, 1]))
    found = rmtp.derive_recursion(algorithm, amp.linear_model(DELTA, [-1, 1], NOISE))
    assert found.closed
    assert found.first == 0
    expected = rmtp.state_evolution(algorithm, amp.linear_model(1.5, [-1, 1], 0.3), 5).mse.value
    np.testing.assert_allclose(np.array(found.evaluate(5, delta=1.5, sigma2=0.3), dtype=float), expected, rtol=1e-8)


def test_a_spiked_matrix():
    """x_t is overlap_t snr v + N(0, power_t): Deshpande & Montanari 2014, equations (14) and (15)."""
    snr, a = rmtp.symbol("snr"), rmtp.symbol("a")
    tanh = amp.Denoiser(lambda r, t: np.tanh(r), lambda r, t: 1 - np.tanh(r) ** 2, "tanh")
    algorithm = partial(amp.spiked_amp, denoiser=tanh)
    problem = amp.informed_start(amp.spiked_wigner(snr, [-1, 1]), a)
    found = rmtp.derive_recursion(algorithm, problem, averages=("overlap", "power"))
    assert found.closed
    rules = found.sympy()
    overlap, power = sympy.Symbol("overlap_t", real=True), sympy.Symbol("power_t", positive=True)
    G, v, s = sympy.Symbol("G_t", real=True), sympy.Symbol("v", real=True), sympy.Symbol("snr", positive=True)
    E = sympy.Function("E")
    assert rules["Cov(G_t, G_t)"].rhs == power
    assert rules["overlap_{t+1}"].rhs == E(v * sympy.tanh(G + overlap * s * v))
    assert rules["power_{t+1}"].rhs == E(sympy.tanh(G + overlap * s * v) ** 2)
    expected = rmtp.state_evolution(
        algorithm, amp.informed_start(amp.spiked_wigner(1.6, [-1, 1]), 0.2), 6
    ).overlap.value
    np.testing.assert_allclose(np.array(found.evaluate(6, snr=1.6, a=0.2), dtype=float), expected, rtol=1e-8)


def wishart_moment(k):
    """E of x^k under Marchenko-Pastur for A.T A, entries of variance 1/m: Narayana in 1/delta."""
    if k == 0:
        return sympy.Integer(1)
    return sum(sympy.Rational(comb(k, j) * comb(k, j - 1), k) * delta ** (j - k) for j in range(1, k + 1))


@pytest.mark.parametrize("t", range(4))
def test_gradient_descent_is_the_polynomial_of_marchenko_pastur(t):
    """mse_t = int (1 - eta x)^2t + sigma^2 x ((1 - (1 - eta x)^t) / x)^2 d mu(x), as a polynomial of all parameters."""
    problem = amp.linear_model(DELTA, scipy.stats.norm(), NOISE)
    found = rmtp.derive_recursion(partial(amp.gradient_descent, step=STEP), problem, steps=3)
    x = sympy.Symbol("x")
    bias = sympy.expand((1 - step * x) ** (2 * t))
    spread = sympy.expand(x * sympy.cancel((1 - (1 - step * x) ** t) / x) ** 2)
    integrand = sympy.Poly(bias + noise * spread, x)
    expected = sum(c * wishart_moment(k) for (k,), c in integrand.terms())
    assert sympy.expand(found.unrolled[f"mse_{t}"] - expected) == 0


def test_values_of_linear_algorithms_are_fractions():
    problem = amp.linear_model(DELTA, scipy.stats.norm(), NOISE)
    found = rmtp.derive_recursion(partial(amp.gradient_descent, step=STEP), problem, steps=3)
    given = {"eta": Fraction(1, 3), "delta": 2, "sigma2": Fraction(1, 10)}
    model = amp.linear_model(2, scipy.stats.norm(), Fraction(1, 10))
    descent = partial(amp.gradient_descent, step=Fraction(1, 3))
    assert found.evaluate(3, **given) == list(rmtp.state_evolution(descent, model, 3, exact=True).mse.value)


def test_the_first_steps_of_ista():
    """No Onsager term: the Gaussians of the steps are correlated, and the expectations go through all of them."""
    problem = amp.linear_model(DELTA, amp.three_point(SHARE), NOISE)
    found = rmtp.derive_recursion(partial(amp.ista, step=STEP, penalty=ALPHA), problem, steps=3)
    assert not found.closed
    values = {"delta": 0.5, "sigma2": 0.01, "alpha": 0.1, "rho": 0.1, "eta": 0.5}
    model = amp.linear_model(0.5, amp.three_point(0.1), 0.01)
    expected = rmtp.state_evolution(partial(amp.ista, step=0.5, penalty=0.1), model, 2).mse.value
    np.testing.assert_allclose(np.array(found.evaluate(2, **values), dtype=float), expected, rtol=1e-6)


def test_where_memory_grows_the_theorem_itself_is_printed():
    problem = amp.linear_model(DELTA, amp.three_point(SHARE), NOISE)
    found = rmtp.derive_recursion(partial(amp.gradient_descent, step=STEP), problem, steps=3)
    text = [row for row, _ in found.general]
    assert len(text) == 6
    assert text[1] == "E[G_s G_t] = 1/delta*E[Z^{x_s} Z^{x_t}]"
    assert text[4] == "E[H_s H_t] = E[Z^{z_s} Z^{z_t}]"
    assert r"\sum_s b_{ts} Z^{z_s}" in found.latex()
    assert str(found).endswith(text[-1])


def test_names_of_parameters_are_kept_apart():
    """A parameter that is called like a symbol of the equations."""
    q, tau = rmtp.symbol("q_0"), rmtp.symbol("tau_1")
    problem = amp.linear_model(q, amp.three_point(SHARE), tau)
    found = rmtp.derive_recursion(partial(amp.amp, denoiser=amp.soft(ALPHA)), problem)
    assert found.closed
    got = found.evaluate(4, q_0=0.6, tau_1=0.02, alpha=1.3, rho=0.15)
    np.testing.assert_allclose(got, soft_amp().evaluate(4, delta=0.6, sigma2=0.02, alpha=1.3, rho=0.15), rtol=1e-12)


def test_bad_questions():
    problem = amp.linear_model(2, [-1, 1])
    for options in ({"steps": 2}, {"steps": True}, {"averages": ()}, {"averages": ("error",)}):
        with pytest.raises(BadParameter):
            rmtp.derive_recursion(amp.gradient_descent, problem, **options)
