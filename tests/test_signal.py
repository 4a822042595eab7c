"""Signal propagation against closed forms of erf and ReLU networks, and against a deep finite network."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.special import erf

import rmtp
from rmtp import networks as nets
from rmtp.networks.signal import fixed_lengths

Q = np.array([0.3, 1.0, 4.0])


def test_erf_maps_are_williams_formulas():
    """E erf(sqrt(q) z)^2 = (2/pi) asin(2q/(1+2q)); E erf'^2 = (4/pi)/sqrt(1+4q) (Williams 1997)."""
    expected = 1.7**2 * 2 / np.pi * np.arcsin(2 * Q / (1 + 2 * Q)) + 0.3**2
    assert np.allclose(nets.length_map(erf, Q, 1.7, 0.3), expected, rtol=1e-13)
    assert np.allclose(nets.chi(erf, Q, 1.7), 1.7**2 * 4 / np.pi / np.sqrt(1 + 4 * Q), rtol=1e-13)
    c = np.array([-1.0, -0.4, 0.0, 0.9, 1.0])
    value = 1.7**2 * 2 / np.pi * np.arcsin(2 * 0.5 * c / 2.0) + 0.09
    assert np.allclose(
        nets.correlation_map(erf, c, 0.5, 1.7, 0.3), value / nets.length_map(erf, 0.5, 1.7, 0.3), rtol=1e-12
    )


def test_relu_is_critical_at_two():
    p = nets.propagation(rmtp.relu, 2**0.5)
    assert p.phase == "critical" and p.q == pytest.approx(1, rel=1e-12) and p.depth_c == np.inf
    assert nets.propagation(rmtp.relu, 1.2).phase == "ordered"
    with pytest.raises(rmtp.errors.NotConverged):
        nets.propagation(rmtp.relu, 1.6)  # lengths grow without bound


def test_fixed_points_and_depth_scales_of_erf_by_mpmath():
    """Roots and slopes of the closed maps at 30 digits."""
    w, b = 2.5, 0.3

    def length(q):
        return w**2 * 2 / mpmath.pi * mpmath.asin(2 * q / (1 + 2 * q)) + mpmath.mpf(b) ** 2

    with mpmath.workdps(30):
        q = mpmath.findroot(lambda x: length(x) - x, 4)

        def correlation(c):
            return (w**2 * 2 / mpmath.pi * mpmath.asin(2 * q * c / (1 + 2 * q)) + mpmath.mpf(b) ** 2) / q

        c = mpmath.findroot(lambda x: correlation(x) - x, 0.1)
        depth_q = -1 / mpmath.log(mpmath.diff(length, q))
        depth_c = -1 / mpmath.log(mpmath.diff(correlation, c))
    p = nets.propagation(erf, w, b)
    assert p.phase == "chaotic"
    assert p.q == pytest.approx(float(q), rel=1e-11)
    assert p.correlation == pytest.approx(float(c), rel=1e-9)
    assert p.depth_q == pytest.approx(float(depth_q), rel=1e-6)
    assert p.depth_c == pytest.approx(float(depth_c), rel=1e-6)


def test_the_edge_of_chaos_is_where_both_conditions_hold():
    w, b = nets.edge_of_chaos(np.tanh, Q)
    for q, std, bias in zip(Q, w, b, strict=True):
        assert float(nets.chi(np.tanh, q, std)) == pytest.approx(1, rel=1e-10)
        assert float(nets.length_map(np.tanh, q, std, bias)) == pytest.approx(q, rel=1e-10)
        assert nets.propagation(np.tanh, std, bias, q).chi == pytest.approx(1, abs=1e-6)
    w, b = nets.edge_of_chaos(erf, [0.5])  # chi = w^2 (4/pi)/sqrt(3)
    assert w[0] == pytest.approx(np.sqrt(np.pi * 3**0.5 / 4), rel=1e-12)


def test_correlations_of_a_deep_network_approach_the_fixed_point():
    """The kernel of 30 erf layers against the map iterated 30 times: two routes through the library that share no code path."""
    n = rmtp.Dim("n")
    x = np.array([[1.0, 0.0], [0.6, 0.8]])
    k = rmtp.nngp(nets.mlp(n, 30, erf, weight_std=2.5, bias_std=0.3), x)
    q, c = 2.5**2 / 2 + 0.09, (2.5**2 * 0.6 / 2 + 0.09) / (2.5**2 / 2 + 0.09)
    for _ in range(29):
        # correlation_map divides by the new length, which holds away from the fixed point too
        q, c = float(nets.length_map(erf, q, 2.5, 0.3)), float(nets.correlation_map(erf, c, q, 2.5, 0.3))
    last = 2 / np.pi * np.arcsin(2 * q * np.array([c, 1.0]) / (1 + 2 * q))
    assert k[0, 1] / k[0, 0] == pytest.approx(last[0] / last[1], rel=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nets.length_map(np.tanh, -1.0),
        lambda: nets.length_map(np.tanh, np.nan),
        lambda: nets.correlation_map(np.tanh, 1.5, 1.0),
    ],
)
def test_bad_input(call):
    with pytest.raises(rmtp.errors.BadParameter):
        call()


@pytest.mark.parametrize("phi", [np.tanh, np.sin, rmtp.gelu])
def test_the_phase_diagram_is_that_of_plain_iteration(phi):
    """Three hundred layers, network by network, away from the lines where lengths converge like 1 / depth or not at all."""
    ws, bs = np.array([0.6, 0.9, 1.3]), np.array([0.0, 0.2, 0.7])
    grid, _ = nets.phase_diagram(phi, ws, bs)
    q = np.ones((3, 3))
    for _ in range(300):
        q = ws**2 * nets.length_map(phi, q) + bs[:, None] ** 2
    assert np.allclose(grid, ws**2 * nets.chi(phi, q), rtol=1e-12, atol=1e-14)


def test_fixed_lengths_of_erf_by_mpmath():
    """The map of Williams: roots at 25 digits on a grid that has both phases and the two axes."""
    w, b = (x.ravel() for x in np.meshgrid([0.5, 1.0, 1.7, 3.0, 9.0], [0.05, 0.5, 2.0]))
    found = fixed_lengths(erf, w, b, np.ones(w.shape))
    with mpmath.workdps(25):
        for s, t, q in zip(w, b, found, strict=True):
            left = s**2 * 2 / mpmath.pi * mpmath.asin(2 * mpmath.mpf(q) / (1 + 2 * mpmath.mpf(q))) + mpmath.mpf(t) ** 2
            slope = s**2 * 4 / mpmath.pi / ((1 + 2 * mpmath.mpf(q)) * mpmath.sqrt(1 + 4 * mpmath.mpf(q)))
            assert abs(left - q) / abs(1 - slope) <= 1e-12 * max(1, q)


def test_lengths_of_relu():
    """q = b^2 / (1 - w^2 / 2) below the edge; beyond and with a bias on it no bound."""
    w, b = np.array([0.5, 1.0, 1.4, 2**0.5, 1.5, 1.5]), np.array([0.3, 1.0, 0.1, 0.1, 0.0, 0.2])
    found = fixed_lengths(rmtp.relu, w, b, np.ones(6))
    assert np.allclose(found[:3], b[:3] ** 2 / (1 - w[:3] ** 2 / 2), rtol=1e-11)
    assert np.all(found[3:] >= 1e12)
    with pytest.raises(rmtp.errors.NotConverged, match="no finite fixed point"):
        nets.propagation(rmtp.relu, 2**0.5, 0.1)


def test_a_fine_phase_diagram_takes_a_moment():
    """A grid of 31 x 41: the search runs over all of it at once."""
    calls = []

    def phi(x):
        calls.append(0)
        return np.tanh(x)

    grid, ax = nets.phase_diagram(phi, np.linspace(0.5, 3, 41), np.linspace(0, 1, 31))
    assert grid.shape == (31, 41) and len(calls) < 400
    assert ax.get_xlabel()
