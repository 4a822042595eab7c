"""Small variances, kinks at 0, entries that are 0: values against mpmath and SciPy, and errors that bound what is wrong."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import dblquad

import rmtp
from rmtp import networks as nets
from rmtp.errors import RmtpError
from rmtp.kernels import sectors

n = rmtp.Dim("n")


def softsign(h):
    return h / (1 + np.abs(h))


def network(phi, std=1.0):
    return lambda x: rmtp.readout(phi(nets.dense(x, n, std)))


def autoencoder(phi):
    def net(x):
        W = rmtp.Gaussian(n, n)
        return rmtp.readout(W.T @ phi(W @ nets.dense(x, n)))

    return net


def on_line(f, var):
    """E f(u) of u ~ N(0, var), 40 digits."""
    return mp.quad(lambda z: f(mp.sqrt(var) * z) * mp.npdf(z), [-15, -8, -4, -1, 0, 1, 4, 8, 15])


def by_quadrants(f, g, cov):
    """E f(u) g(v), quadrant by quadrant, by SciPy's nested adaptive rule."""
    inverse, size = np.linalg.inv(cov), 2 * np.pi * np.sqrt(np.linalg.det(cov))
    reach = 9 * np.sqrt(np.diag(cov))

    def density(v, u):
        x = np.array([u, v])
        return f(u) * g(v) * np.exp(-0.5 * x @ inverse @ x) / size

    return sum(
        dblquad(density, *sorted((0.0, a * reach[0])), *sorted((0.0, b * reach[1])), epsabs=1e-13, epsrel=1e-11)[0]
        for a in (-1, 1)
        for b in (-1, 1)
    )


# ---------------------------------------------------------------------------------------------
# differences that cancel


@pytest.mark.parametrize("var", [1e-6, 1e-4, 1e-3, 1e-2, 1.0, 1e2])
def test_a_small_difference_of_large_terms_is_right_to_its_error(var):
    """h - tanh(h) of a small h is h^3 / 3; its slope tanh(h)^2 is found as 1 - tanh'(h)."""
    net, X = network(lambda h: h - np.tanh(h), var**0.5), np.array([[1.0, 1.0]])
    with mp.workdps(40):
        v = mp.mpf(float(var**0.5)) ** 2
        value = on_line(lambda h: (h - mp.tanh(h)) ** 2, v)
        tangent = value + v * on_line(lambda h: mp.tanh(h) ** 4, v)
    K, T = rmtp.nngp(net, X), rmtp.ntk(net, X)
    wrong = [float(abs(mp.mpf(float(k[0, 0])) / right - 1)) for k, right in ((K, value), (T, tangent))]
    assert wrong[0] <= K.error
    assert wrong[1] <= T.error
    if var >= 1e-3:
        assert max(wrong) <= 1e-10
        assert K.error <= 1e-10


def test_the_slope_of_a_cancelling_function_says_how_little_is_left():
    T = rmtp.ntk(network(lambda h: h - np.tanh(h), 1e-3), [[1.0, 1.0]])
    assert T.error > 1e-6


def test_sums_that_do_not_cancel_keep_their_error():
    T = rmtp.ntk(network(lambda h: h + np.tanh(h)), [[1.0, 1.0], [0.3, -1.0]])
    assert T.error == 1e-10


# ---------------------------------------------------------------------------------------------
# kinks at 0


@pytest.mark.parametrize("var", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("rho", [0.5, -0.95])
def test_softsign_against_nested_quadrature(var, rho):
    cov = var * np.array([[1.0, rho], [rho, 1.0]])
    X = np.array([[1.0, 0.0], [rho, (1 - rho**2) ** 0.5]]) * 2**0.5
    K, T = rmtp.nngp_ntk(network(softsign, var**0.5), X)
    value = by_quadrants(softsign, softsign, cov)
    slope = by_quadrants(*[lambda h: (1 + abs(h)) ** -2] * 2, cov)
    assert abs(K[0, 1] - value) <= 1e-10 * K[0, 0]
    assert abs(T[0, 1] - value - cov[0, 1] * slope) <= 1e-10 * T[0, 0]


@pytest.mark.parametrize("var", [1e-3, 1.0, 1e3])
def test_softsign_of_one_input_and_of_opposite_ones(var):
    net = network(softsign, var**0.5)
    K = rmtp.nngp(net, [[1.0, 1.0], [-1.0, -1.0]])
    with mp.workdps(40):
        value = on_line(lambda h: (h / (1 + abs(h))) ** 2, mp.mpf(float(var**0.5)) ** 2)
    for entry, sign in ((K[0, 0], 1), (K[0, 1], -1)):
        assert abs(mp.mpf(float(entry)) * sign / value - 1) <= 1e-10


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.7, 0.999999, -0.999999, 1.0, -1.0])
def test_sectors_of_functions_with_a_closed_form(rho):
    """relu(u) relu(v), whose closed form knows nothing of sectors."""
    u, v = 2.0, 0.3
    angle = np.arccos(rho)
    right = np.sqrt(u * v) * (np.sin(angle) + (np.pi - angle) * rho) / (2 * np.pi)
    relu = [lambda h: np.maximum(h, 0.0)] * 2
    found = sectors.rule(*relu, np.array([rho * np.sqrt(u * v)]), np.array([u]), np.array([v]), 24)
    assert abs(found[0] - right) <= 1e-13


# ---------------------------------------------------------------------------------------------
# entries that are 0, and numbers that are none


@pytest.mark.parametrize("kernel", [rmtp.nngp, rmtp.ntk])
def test_errors_are_relative_to_diagonals_where_an_entry_is_zero(kernel):
    """Pair by pair, since a matrix and its transpose stand forward; orthogonal inputs of an odd function."""
    net, X = autoencoder(np.tanh), np.eye(2)
    together, apart = kernel(net, X), kernel(net, X[:1], X[1:])
    assert abs(together[0, 1]) < 1e-30
    assert together.error < 1e-10
    assert apart.error < 1e-10


def growing(h):
    return np.exp(0.5 * h**2)


@pytest.mark.parametrize("make", [network, autoencoder])
@pytest.mark.parametrize("size", [0.71, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("kernel", [rmtp.nngp, rmtp.ntk])
def test_beyond_the_threshold_of_a_growing_function_there_is_no_kernel(make, size, kernel):
    """E exp(h^2) of h ~ N(0, v) is infinite from v = 1/2 on."""
    with pytest.raises(RmtpError) as caught:
        kernel(make(growing), [[size, size]])
    assert caught.value.remedy


@pytest.mark.parametrize("size", [0.1, 0.3])
def test_below_the_threshold_it_is_right(size):
    v = size**2
    K = rmtp.nngp(network(growing), [[size, size], [size, -size]])
    assert float(K[0, 0]) == pytest.approx((1 - 2 * v) ** -0.5, rel=1e-10)
    assert float(K[0, 1]) == pytest.approx(1 / (1 - v), rel=1e-10)
