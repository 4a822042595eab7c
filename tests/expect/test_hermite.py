"""Mehler's series against closed forms and an independent double integral; its stated error; its refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from rmtp.errors import BadParameter, NotConverged
from rmtp.expect import hermite

CORRELATIONS = np.array([-1.0, -0.999999, -0.5, 0.0, 0.3, 0.999999, 1.0])


def erf_erf(cov: np.ndarray, vu: float, vv: float) -> np.ndarray:
    """Williams (1997)."""
    return 2 / math.pi * np.arcsin(2 * cov / np.sqrt((1 + 2 * vu) * (1 + 2 * vv)))


def double_integral(f: object, g: object, rho: float, su: float, sv: float) -> float:
    """E f g over independent normals on a product of Legendre panels of unit width."""
    x, w = np.polynomial.legendre.leggauss(30)
    z = np.concatenate([0.5 * x + 0.5 + k for k in range(-10, 10)])
    weights = np.tile(0.5 * w, 20) * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    u, v = su * z[:, None], sv * (rho * z[:, None] + math.sqrt(1 - rho * rho) * z)
    return float(weights @ (f(u) * g(v)) @ weights)  # type: ignore[operator]


def test_coefficients_of_known_functions() -> None:
    """exp(s x) has a_k = exp(s^2/2) s^k / sqrt(k!); He_3 = x^3 - 3x is its own expansion."""
    a, energy = hermite.coefficients(np.exp, 0.49, 20)
    expected = [math.exp(0.245) * 0.7**k / math.sqrt(math.factorial(k)) for k in range(21)]
    np.testing.assert_allclose(a, expected, rtol=1e-12, atol=1e-15)
    assert energy == pytest.approx(math.exp(0.98), rel=1e-13)
    a, energy = hermite.coefficients(lambda x: x**3 - 3 * x, 1.0, 6)
    np.testing.assert_allclose(a, [0, 0, 0, math.sqrt(6), 0, 0, 0], atol=1e-13)
    assert energy == pytest.approx(6.0, rel=1e-14)


def test_coefficients_of_high_order_are_orthonormal() -> None:
    """sin(s x): |a_k| = exp(-s^2/2) s^k / sqrt(k!) for odd k, up to the order where it is 1e-9."""
    a, _ = hermite.coefficients(np.sin, 100.0, 200)
    k = np.arange(1, 201, 2)
    expected = (-1) ** (k // 2) * np.exp(-50 + k * math.log(10) - 0.5 * special.gammaln(k + 1))
    np.testing.assert_allclose(a[1::2], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(a[0::2], 0.0, atol=1e-14)
    assert expected.max() > 0.1


@pytest.mark.parametrize("var", [1e-3, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("ratio", [1.0, 0.2])
def test_erf_pairs_within_the_stated_error(var: float, ratio: float) -> None:
    vu, vv = var, var * ratio
    cov = CORRELATIONS * math.sqrt(vu * vv)
    value, error = hermite.pair(special.erf, special.erf, cov, vu, vv)
    exact = erf_erf(cov, vu, vv)
    rounding = 1e-15 * np.abs(exact)  # of arcsin and its argument
    assert np.all(np.abs(value - exact) <= error + rounding)
    assert np.all(error <= 1e-12 * math.sqrt(erf_erf(np.array(vu), vu, vu) * erf_erf(np.array(vv), vv, vv)))


def test_the_error_is_not_vacuous_when_the_series_is_cut() -> None:
    """With 12 terms the truncation is visible, and the bound covers it without being wild."""
    for rho in (0.5, 0.9, 1.0):
        value, error = hermite.pair(special.erf, special.erf, rho, 1.0, 1.0, rtol=1.0, max_order=12)
        wrong = abs(value - erf_erf(np.array(rho), 1.0, 1.0))
        assert 1e-9 < wrong <= error < 100 * wrong


@pytest.mark.parametrize(("su", "sv"), [(1.0, 1.0), (0.5, 2.0), (2.0**-5, 1.0)])
def test_tanh_against_a_double_integral(su: float, sv: float) -> None:
    for rho in (-0.999999, -0.5, 0.3, 0.999999):
        value, error = hermite.pair(np.tanh, np.tanh, rho * su * sv, su**2, sv**2)
        reference = double_integral(np.tanh, np.tanh, rho, su, sv)
        assert abs(value - reference) <= error + 1e-13 * abs(reference)
    mixed, _ = hermite.pair(np.tanh, special.expit, 0.3 * su * sv, su**2, sv**2)
    assert mixed == pytest.approx(double_integral(np.tanh, special.expit, 0.3, su, sv), rel=1e-12)


def test_whole_arrays_with_several_variances() -> None:
    vu, vv = np.array([0.5, 1.0, 0.0])[:, None], np.array([1.0, 2.0])
    cov = 0.4 * np.sqrt(vu * vv)
    value, error = hermite.pair(np.cos, np.cos, cov, vu, vv)
    assert value.shape == error.shape == (3, 2)
    exact = np.exp(-0.5 * (vu + vv)) * np.cosh(cov)
    assert np.all(np.abs(value - exact) <= error + 1e-15)
    scalar, _ = hermite.pair(np.cos, np.cos, cov[1, 1], 1.0, 2.0)
    assert isinstance(scalar, float) and scalar == pytest.approx(exact[1, 1], rel=1e-13)


def test_growing_functions() -> None:
    """E exp(u) exp(v) = exp((vu + vv)/2 + c), with most of its mass several deviations out."""
    value, error = hermite.pair(np.exp, np.exp, 4.0, 4.0, 4.0)
    assert abs(value - math.exp(8.0)) <= error
    assert error <= 1e-12 * math.exp(8.0)


@pytest.mark.parametrize("f", [np.abs, np.sign, lambda x: np.maximum(x, 0.0)])
def test_kinks_are_refused(f: object) -> None:
    for rho in (0.3, 1.0):
        with pytest.raises(NotConverged, match="order"):
            hermite.pair(f, f, rho, 1.0, 1.0)  # type: ignore[arg-type]


def test_kinks_are_bounded_honestly() -> None:
    """E |u||v| = (2/pi)(sqrt(1 - r^2) + r arcsin r): a loose tolerance is met, and the bound holds."""
    for rho in (0.3, 1.0):
        value, error = hermite.pair(np.abs, np.abs, rho, 1.0, 1.0, rtol=1e-2)
        exact = 2 / math.pi * (math.sqrt(1 - rho**2) + rho * math.asin(rho))
        assert abs(value - exact) <= error <= 1e-2


def test_steep_functions_are_refused_only_at_strong_correlation() -> None:
    with pytest.raises(NotConverged):
        hermite.pair(special.erf, special.erf, 100.0, 100.0, 100.0)
    value, error = hermite.pair(special.erf, special.erf, 50.0, 100.0, 100.0)
    assert abs(value - erf_erf(np.array(50.0), 100.0, 100.0)) <= error


def test_infinite_energy_is_refused() -> None:
    with pytest.raises(NotConverged, match="second moment"):
        hermite.pair(lambda x: np.exp(x * x), np.tanh, 0.1, 1.0, 1.0)


def test_a_bad_budget() -> None:
    with pytest.raises(BadParameter):
        hermite.coefficients(np.tanh, 1.0, 10, nodes=100)
