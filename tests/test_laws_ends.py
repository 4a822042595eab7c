"""Populations with kinks, laws that follow them to their ends, atoms beside steep densities, two smooth layers of one width.

Oracles: free cumulants c**(k-1) E d**k of W D W.T on Fractions, x(g) = 1/g + E[D/(1 - c D g)] at the end of the population,
means over finite matrices by z-scores.
"""

from __future__ import annotations

from fractions import Fraction as F

import law_oracles as oracle
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mpmath import mp

import rmtp
from rmtp.dyson.coefficients import _merged
from rmtp.spectra.atoms import at_zero
from rmtp.spectra.axis import Axis

n = rmtp.Dim("n")


def covariance(population, ratio):
    W = rmtp.Gaussian(rmtp.Dim("m", ratio), n)
    return rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, population)) @ W.T)


def triangle(k):
    """E d**k of density 4 d below 1/2 and 4 (1 - d) above."""
    half = F(1, 2)
    return 4 * (half ** (k + 2) / (k + 2) + (1 - half ** (k + 1)) / (k + 1) - (1 - half ** (k + 2)) / (k + 2))


def trapezium(k):
    """Of density 5/8 * min(d / 0.2, 1, (1 - d) / 0.2) * 2: the height is 1 / 0.8."""
    low, high, height = F(1, 5), F(4, 5), F(5, 4)
    rising = height / low * low ** (k + 2) / (k + 2)
    flat = height * (high ** (k + 1) - low ** (k + 1)) / (k + 1)
    falling = height / low * ((1 - high ** (k + 1)) / (k + 1) - (1 - high ** (k + 2)) / (k + 2))
    return rising + flat + falling


KINKED = [
    ("triangle", 0.3),
    ("triangle", 1.0),
    ("trapezium", 0.3),
    *(pytest.param(*c, marks=pytest.mark.slow) for c in [("triangle", 1.5), ("trapezium", 1.0), ("trapezium", 1.5)]),
]


@pytest.mark.parametrize(("name", "ratio"), KINKED)
def test_kinks_in_a_density(name, ratio):
    """Moments of order 1 to 6 two ways, mass one and the atom."""
    population, moment = {
        "triangle": (scipy.stats.triang(0.5), triangle),
        "trapezium": (scipy.stats.trapezoid(0.2, 0.8), trapezium),
    }[name]
    law, c = covariance(population, ratio), F(ratio)
    exact = oracle.moments_from_cumulants([c ** (k - 1) * moment(k) for k in range(1, 7)], 6)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)
    for k in range(1, 7):
        assert float(law.moment(k)) == pytest.approx(float(exact[k - 1]), rel=1e-11)
        assert law.expect(lambda x, k=k: x**k) == pytest.approx(float(exact[k - 1]), rel=1e-10)
    assert [a.mass for a in law.atoms] == pytest.approx([1 - 1 / ratio] if ratio > 1 else [], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 1.5, 3.0])
def test_an_end_beyond_what_shows_of_the_density(ratio):
    """Beta(1/2, 3): E[D/(1 - D)] = 1/4, so that the law ends at c + 1/4."""
    edge = covariance(scipy.stats.beta(0.5, 3), ratio).edges[-1]
    assert edge.x == pytest.approx(ratio + 0.25, abs=1e-10)
    assert edge.exponent == pytest.approx(2, abs=1e-9)


@pytest.mark.slow
def test_a_lower_end_of_the_population():
    """1 + cos(d - 4) on [4 - pi, 4 + pi]; at ratio c = 3 the law ends at c d + d E[D/(d - D)], d = 4 - pi, like a square."""
    with mp.workdps(25):
        d = 4 - mp.pi
        f = lambda x: (1 + mp.cos(x - 4)) / (2 * mp.pi)  # noqa: E731
        expected = float(3 * d + d * mp.quad(lambda x: x * f(x) / (d - x), [d, 4, 4 + mp.pi]))
    edge = covariance(scipy.stats.cosine(loc=4), 3).edges[0]
    assert edge.x == pytest.approx(expected, abs=1e-9)
    assert edge.exponent == pytest.approx(2, abs=1e-9)


@pytest.mark.slow
def test_a_density_that_drowns_far_from_the_atom():
    """Beta(5, 1) at ratio 3: like x**4 at 0, below rounding of the pole within a fiftieth of the support."""
    law = covariance(scipy.stats.beta(5, 1), 3)
    assert [e.exponent for e in law.edges] == [4.0, 0.5]
    exact = oracle.moments_from_cumulants([F(3) ** (k - 1) * F(5, k + 5) for k in range(1, 5)], 4)
    assert [law.expect(lambda x, k=k: x**k) for k in range(1, 5)] == pytest.approx([float(m) for m in exact], rel=1e-10)
    assert law.atoms[0].mass == pytest.approx(2 / 3, abs=1e-12)


def test_a_density_below_the_rounding_of_a_pole():
    """Beta(3, 3) at ratio 3: the conjugate solution is as near as a billionth of g."""

    def mean(a):
        """E[D/(1 - a D)] by long division of 30 d**3 (1 - d)**2 by d - 1/a."""
        s = 1 / a
        whole = sum(c * sum(s ** (k - 1 - j) / (j + 1) for j in range(k)) for k, c in ((3, 1), (4, -2), (5, 1)))
        return -30 * s * (whole + s**3 * (1 - s) ** 2 * mp.log(1 - a))

    x = np.array([2e-4, 4e-4, 8e-4, 2e-3])
    expected = []
    with mp.workdps(40):
        for v in x:
            g = None
            for k in range(130):
                z = mp.mpf(v) + 1j * mp.mpf(10) ** (1 - k / mp.mpf(5))
                f = lambda g, z=z: g * (z - mean(3 * g)) - 1  # noqa: E731
                g = mp.findroot(f, 1 / z if g is None else g, tol=1e-50, maxsteps=60, verify=False)
            expected.append(float(-mp.im(g) / mp.pi))
    law = covariance(scipy.stats.beta(3, 3), 3)
    assert np.all(np.array(expected) > 1e-8)
    np.testing.assert_allclose(Axis(law.resolvent).density(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_an_atom_beside_a_steep_power(ratio):
    """Beta(0.2, 0.7): i h g tends to the mass like h**0.2 only."""
    found = at_zero(Axis(covariance(scipy.stats.beta(0.2, 0.7), ratio).resolvent))
    assert found.mass == pytest.approx(1 - 1 / ratio, abs=1e-12)
    assert found.exponent == pytest.approx(-0.8, abs=0.02)


@pytest.mark.slow
def test_a_population_of_both_signs_beside_an_atom():
    """U(-1, 1) at ratio 3/2: the density is finite at 0 from both sides, (2/3) * 2 * f_D(0) = 2/3."""
    law = covariance(scipy.stats.uniform(-1, 2), 1.5)
    assert [(e.x, e.exponent) for e in law.edges[1:3]] == [(0, 0), (0, 0)]
    assert law.pdf([-1e-4, 1e-4]) == pytest.approx([2 / 3] * 2, rel=1e-5)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)


def test_two_free_signs():
    """One of them a diagonal: at 0 the equations leave a direction open. The arcsine law on [-2, 2]."""
    law = rmtp.spectrum(rmtp.Invariant(n, rmtp.Discrete([-1, 1])) + rmtp.diag(rmtp.IID(n, rmtp.Discrete([-1, 1]))))
    x = np.array([-1.8, -0.4, 0.0, 0.4, 1.8])
    np.testing.assert_allclose(law.pdf(x), 1 / np.pi / np.sqrt(4 - x * x), rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.support(), [(-2, 2)], atol=1e-10)


def residual(layers):
    h, J = rmtp.Normal(n), rmtp.eye(n)
    for _ in range(layers):
        W = rmtp.Gaussian(n, n)
        pre = W @ h
        h, J = h + np.tanh(pre), (rmtp.eye(n) + rmtp.diag(1 - np.tanh(pre) ** 2) @ W) @ J
    return J


@pytest.fixture(scope="module")
def two_layers():
    return rmtp.singular_values(residual(2)).square


def gaussian_mean(f, std):
    value, _ = scipy.integrate.quad(
        lambda x: f(std * x) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi), -12, 12, epsabs=1e-14
    )
    return value


def test_two_smooth_residual_layers(two_layers):
    """(1 + E phi'(h_1)**2) (1 + E phi'(h_2)**2), and moments from contours of g, which rest on other nodes."""
    slope = lambda x: np.cosh(x) ** -4  # noqa: E731
    second = 1 + gaussian_mean(lambda x: np.tanh(x) ** 2, 1)
    exact = (1 + gaussian_mean(slope, 1)) * (1 + gaussian_mean(slope, second**0.5))
    assert float(two_layers.moment(1)) == pytest.approx(exact, rel=1e-12)
    z = 40 * np.exp(1j * np.pi * (np.arange(12) + 0.5) / 12)
    g = two_layers.stieltjes(z)
    for k in (1, 2, 3):
        assert np.mean(g * z ** (k + 1)).real == pytest.approx(float(two_layers.moment(k)), rel=1e-9)


def test_two_smooth_residual_layers_at_finite_width(two_layers):
    """Traces of the resolvent of 24 draws at n = 200; |z| > 4.5 has a probability of 1e-5 per number, four of them."""
    rng, width, points = np.random.default_rng(5), 200, np.array([1 + 1j, 4 + 2j])
    found = []
    for _ in range(24):
        h, J = rng.standard_normal(width), np.eye(width)
        for _ in range(2):
            W = rng.standard_normal((width, width)) / width**0.5
            pre = W @ h
            h, J = h + np.tanh(pre), J + ((1 - np.tanh(pre) ** 2)[:, None] * W) @ J
        squares = np.linalg.svd(J, compute_uv=False) ** 2
        found.append([np.mean(1 / (z - squares)) for z in points])
    draws = np.array([[x.real, x.imag] for row in found for x in row]).reshape(24, 4)
    exact = two_layers.stieltjes(points)
    expected = np.array([exact[0].real, exact[0].imag, exact[1].real, exact[1].imag])
    score = (draws.mean(axis=0) - expected) / (draws.std(axis=0, ddof=1) / 24**0.5 + 1 / width**2)
    assert np.all(np.abs(score) < 4.5), score


def test_density_of_two_smooth_residual_layers(two_layers):
    """On the axis itself: the limit of g from above, extrapolated from three heights."""
    for x in (0.3, 2.0):
        heights = np.array([4e-3, 2e-3, 1e-3])
        a, b, c = -two_layers.stieltjes(x + 1j * heights).imag / np.pi
        assert two_layers.pdf(x) == pytest.approx((8 * c - 6 * b + a) / 3, rel=1e-6)


def test_equal_nodes_are_one():
    t = np.linspace(-2, 2, 9)
    weights, (values,) = _merged(np.full(9, 1 / 9), [t * t])
    assert list(values) == [0, 0.25, 1, 2.25, 4] and list(weights * 9) == pytest.approx([1, 2, 2, 2, 2])
    kept, (same,) = _merged(np.full(9, 1 / 9), [t])
    assert len(kept) == 9 and same is t
