"""Sample covariances of continuous populations, down to populations with mass at 0, against Silverstein's equation.

W D W.T of ratio c = rows / cols has z = 1/g + E[D/(1 - c D g)] (Silverstein 1995, with 1/cols in place of 1/rows), a
closed form for all populations here: no quadrature enters the oracle, nor code of the package.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction as F

import law_oracles as oracle
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

import rmtp
from rmtp.dyson.quantiles import at_normal
from rmtp.spectra.axis import Edge, Interval
from rmtp.spectra.density import Stub, build

n = rmtp.Dim("n")


def uniform(low):
    """E[D/(1 - a D)] of the uniform law on [low, 1]; one logarithm of a ratio, real for real a outside the cut."""
    return lambda a: (-(1 - low) / a - mp.log((1 - a) / (1 - a * low)) / a**2) / (1 - low)


def beta31(a):
    return -3 * ((mp.mpf(1) / 3 + 1 / (2 * a) + 1 / a**2) / a + mp.log(1 - a) / a**4)


def exponential(a):
    """Of the law with density like exp(-d) on [0, 3]; the two exponential integrals are on one side of the cut."""
    share, pole = 1 - mp.exp(-3), 1 / a
    inner = -pole * mp.exp(-pole) * (mp.e1(-pole) - mp.e1(3 - pole))
    return pole * (inner / share - 1)


TRANSFORMS = {
    "uniform(0, 1)": uniform(mp.mpf(0)),
    "gap": uniform(mp.mpf("0.001")),
    "beta(2, 1)": lambda a: -1 / a - 2 / a**2 - 2 * mp.log(1 - a) / a**3,
    "beta(3, 1)": beta31,
    "arcsine": lambda a: (1 / mp.sqrt(1 - a) - 1) / a,
    "mixed": lambda a: 1 / (1 - a) / 2 + (-1 / a - mp.log(1 - a) / a**2) / 2,
    "exponential": exponential,
}
POPULATIONS = {
    "uniform(0, 1)": scipy.stats.uniform(0, 1),
    "gap": scipy.stats.uniform(0.001, 0.999),
    "beta(2, 1)": scipy.stats.beta(2, 1),
    "beta(3, 1)": scipy.stats.beta(3, 1),
    "arcsine": scipy.stats.beta(0.5, 0.5),
    "mixed": rmtp.Mixture([rmtp.Discrete([1.0]), scipy.stats.uniform(0, 1)], [0.5, 0.5]),
    "exponential": scipy.stats.truncexpon(3),
}
MOMENTS = {
    "uniform(0, 1)": lambda k: F(1, k + 1),
    "gap": lambda k: (1 - F(1, 1000) ** (k + 1)) / (k + 1) / F(999, 1000),
    "beta(2, 1)": lambda k: F(2, k + 2),
    "beta(3, 1)": lambda k: F(3, k + 3),
    "arcsine": lambda k: F(math.comb(2 * k, k), 4**k),
    "mixed": lambda k: (1 + F(1, k + 1)) / 2,
}
TOP = {"exponential": 3}
CASES = [
    ("uniform(0, 1)", 0.5),
    ("uniform(0, 1)", 1.0),
    ("uniform(0, 1)", 1.5),
    ("beta(3, 1)", 1.5),
    ("arcsine", 1.0),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [
            ("beta(2, 1)", 1.5),
            ("beta(3, 1)", 3.0),
            ("arcsine", 0.5),
            ("arcsine", 1.5),
            ("mixed", 0.5),
            ("mixed", 1.0),
            ("mixed", 1.5),
            ("gap", 1.0),
            ("gap", 1.5),
            ("exponential", 1.5),
        ]
    ),
]


@functools.cache
def law_of(name, ratio):
    W = rmtp.Gaussian(rmtp.Dim("m", ratio), n)
    return rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, POPULATIONS[name])) @ W.T)


def silverstein(name, ratio, z):
    """g(z), or g(x + i0) for real z, by Newton's method from above at 30 digits."""
    with mp.workdps(30):
        c, x, end = mp.mpf(ratio), mp.re(z), mp.im(z)
        heights = [mp.mpf(10) ** (1 - k / mp.mpf(6)) for k in range(140)]
        g = None
        for height in [h for h in heights if h > end] + [end]:
            w = x + 1j * height

            def residual(g, w=w):
                return g * (w - TRANSFORMS[name](c * g)) - 1

            g = mp.findroot(residual, 1 / w if g is None else g, tol=1e-50, maxsteps=60, verify=False)
        return complex(g)


def critical_value(name, ratio, low, high):
    """x(g) = 1/g + E[D/(1 - c D g)] where its derivative vanishes, by bisection between two real g."""
    with mp.workdps(40):
        c, ends = mp.mpf(ratio), [mp.mpf(low), mp.mpf(high)]

        def place(g):
            return mp.re(1 / g + TRANSFORMS[name](c * g))

        signs = [mp.sign(mp.diff(place, g)) for g in ends]
        assert signs[0] != signs[1]
        for _ in range(80):
            middle = (ends[0] + ends[1]) / 2
            ends[int(mp.sign(mp.diff(place, middle)) == signs[1])] = middle
        return float(place(ends[0]))


@pytest.mark.parametrize(("name", "ratio"), CASES)
def test_stieltjes_density_and_atoms(name, ratio):
    law = law_of(name, ratio)
    z = np.array([0.3 + 0.5j, 0.1 + 0.01j, 1 + 0.001j, -0.2 + 0.1j])
    np.testing.assert_allclose(law.stieltjes(z), [silverstein(name, ratio, v) for v in z], rtol=1e-10)
    low, high = law.support()[0]
    x = low + (high - low) * np.array([0.003, 0.02, 0.1, 0.4, 0.8])
    np.testing.assert_allclose(law.pdf(x), [-silverstein(name, ratio, v).imag / np.pi for v in x], rtol=0, atol=1e-10)
    assert [a.x for a in law.atoms] == ([0.0] if ratio > 1 else [])
    assert [a.mass for a in law.atoms] == pytest.approx([1 - 1 / ratio] if ratio > 1 else [], abs=1e-12)


@pytest.mark.parametrize(("name", "ratio"), CASES)
def test_mass_and_moments(name, ratio):
    """Free cumulants c**(k-1) E d**k, on Fractions."""
    law = law_of(name, ratio)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)
    if name in MOMENTS:
        c = F(ratio)
        exact = oracle.moments_from_cumulants([c ** (k - 1) * MOMENTS[name](k) for k in range(1, 7)], 6)
        for k in range(1, 7):
            assert float(law.moment(k)) == pytest.approx(float(exact[k - 1]), rel=1e-10)
            assert law.expect(lambda x, k=k: x**k) == pytest.approx(float(exact[k - 1]), rel=1e-10)
    atom = max(0, 1 - 1 / ratio)
    for p in (atom + 0.1, atom + 0.3):
        assert law.cdf(law.ppf(p)) == pytest.approx(p, abs=1e-10)


@pytest.mark.parametrize(("name", "ratio"), CASES)
def test_edges(name, ratio):
    low, high = law_of(name, ratio).support()[0]
    top = 1 / (ratio * TOP.get(name, 1))
    assert high == pytest.approx(critical_value(name, ratio, 0.05 * top, 0.98 * top), abs=1e-10)
    if ratio < 1:
        assert low == pytest.approx(critical_value(name, ratio, -200, -0.1), abs=1e-10)
    elif name == "gap" and ratio > 1:  # between 0 and the small eigenvalues g exceeds 1/(c d) of all d
        assert low == pytest.approx(critical_value(name, ratio, 1.001e3 / ratio, 1e6 / ratio), abs=1e-10)
    elif ratio > 1 or name != "gap":
        assert low == 0


NEAR = [
    ("uniform(0, 1)", 1.0, -0.5),
    ("uniform(0, 1)", 1.5, 0.0),
    ("arcsine", 1.0, -2 / 3),
    pytest.param("arcsine", 1.5, -0.5, marks=pytest.mark.slow),
    pytest.param("mixed", 1.5, 0.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "ratio", "exponent"), NEAR)
def test_hard_edges(name, ratio, exponent):
    """z g = E[1/(1 - d g)] at ratio 1, so g is like z**(-1/2) with logarithms for U(0, 1), like z**(-2/3) for the arcsine law.

    At ratio 3/2 the density starts like that of the population; beside the atom a double of g, 1/(3 x), rounds it.
    """
    law = law_of(name, ratio)
    x = np.array([1e-9, 1e-7, 1e-5, 1e-3])
    expected = np.array([-silverstein(name, ratio, v).imag / np.pi for v in x])
    rounding = np.finfo(float).eps * max(1 - 1 / ratio, 0) / x
    assert np.all(np.abs(law.pdf(x) - expected) <= 1e-8 * expected + rounding)
    assert law.edges[0].exponent == pytest.approx(exponent, abs=0.02)


def test_the_density_jumps_where_the_population_reaches_zero():
    """Ratio 3/2: small eigenvalues are d / E tr (W.T W)^-1 = d (3/2 - 1), so the density tends to (2/3) * 2 * f_D(0)."""
    assert law_of("uniform(0, 1)", 1.5).pdf(1e-9) == pytest.approx(4 / 3, rel=1e-6)


@pytest.mark.slow
def test_a_density_that_tends_to_zero_beside_an_atom():
    """Beta(2, 1): 2/3 * 2 * f_D(2 x) = 16/3 x, hidden by the pole of the atom long before it ends."""
    law = law_of("beta(2, 1)", 1.5)
    assert [e.exponent for e in law.edges] == [1.0, 0.5]
    for x in (1e-9, 1e-7, 1e-5, 1e-4):
        assert law.pdf(x) == pytest.approx(-silverstein("beta(2, 1)", 1.5, x).imag / np.pi, rel=0, abs=1e-7)


def test_densities_that_fall_fast_beside_an_atom():
    """Beta(3, 1) at ratio 3/2: 2/3 * 2 * f_D(2 x) = 16 x**2 (1 + O(x log x)), to one part in 1e13 of the pole."""
    law = law_of("beta(3, 1)", 1.5)
    assert [e.exponent for e in law.edges] == [2.0, 0.5]
    for x in (1e-6, 1e-5, 1e-4, 1e-3):
        assert law.pdf(x) == pytest.approx(-silverstein("beta(3, 1)", 1.5, x).imag / np.pi, rel=0, abs=1e-10)
    assert law.pdf(1e-3) == pytest.approx(16e-6, rel=0.03)


def test_quantiles_that_scipy_rounds():
    """Of |N(0, 1)| below 3, Phi(x) - 1/2 = q (Phi(3) - 1/2): scipy.stats solves for Phi(x), which is 1/2 + rounding."""
    t = np.array([-9.5, -7, -4, -2, -1, 0, 2])
    with mp.workdps(40):
        share = mp.ncdf(3) - mp.mpf(1) / 2
        exact = [mp.sqrt(2) * mp.erfinv(2 * share * mp.ncdf(v)) for v in t]
    np.testing.assert_allclose(at_normal(scipy.stats.truncnorm(0, 3), t), np.array(exact, dtype=float), rtol=1e-13)
    np.testing.assert_allclose(at_normal(scipy.stats.truncnorm(-3, 0), -t), -np.array(exact, dtype=float), rtol=1e-13)


@pytest.mark.slow
def test_a_truncated_normal_population_beside_an_atom():
    """Free cumulants c**(k-1) E d**k; the density at 0 is (2/3) * 2 * f_D(0), as for every population with mass there."""
    population = scipy.stats.truncnorm(0, 3)
    W = rmtp.Gaussian(rmtp.Dim("m", 1.5), n)
    law = rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, population)) @ W.T)
    d = [population.expect(lambda x, k=k: x**k) for k in range(1, 5)]
    exact = oracle.moments_from_cumulants([1.5 ** (k - 1) * d[k - 1] for k in range(1, 5)], 4)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)
    for k in range(1, 5):
        assert law.expect(lambda x, k=k: x**k) == pytest.approx(exact[k - 1], rel=1e-9)
    assert law.pdf(1e-7) == pytest.approx(4 / 3 * population.pdf(0), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_a_law_that_ends_with_its_population(ratio):
    """Beta(1, 3): x(g) = 1/g + E[D/(1 - c D g)] has no critical point below g = 1/c, where it is c + E[D/(1 - D)] = c + 1/2."""
    W = rmtp.Gaussian(rmtp.Dim("m", ratio), n)
    law = rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, scipy.stats.beta(1, 3))) @ W.T)
    assert law.edges[-1].x == pytest.approx(ratio + 0.5, abs=1e-10)
    assert law.edges[-1].exponent == pytest.approx(2, abs=0.01)


def test_an_atom_is_not_smeared_over_a_density():
    """Mass next to 0 that the density there cannot hold is an atom that was not seen."""
    interval = Interval(Edge(0.0, np.inf), Edge(1.0, 0.5))
    density = lambda x: x**3 * np.sqrt(1 - x)  # noqa: E731
    held = Stub(1e-3, 1e-12 / 4)
    assert build([interval], density, lambda i, right: held)[0].mass == pytest.approx(held.mass)
    with pytest.raises(rmtp.errors.NotConverged, match="mass next to 0"):
        build([interval], density, lambda i, right: Stub(1e-3, 1 / 3))


def test_a_sample_has_the_law():
    """Eigenvalues of one draw, n = 800: the largest distance of the distribution functions is O(1/n) of linear statistics."""
    law = law_of("uniform(0, 1)", 1.5)
    values = np.sort(law.sample(800, rng=3))
    inside = values[values > 1e-9]
    assert len(inside) == 800
    x = np.quantile(inside, [0.1, 0.3, 0.5, 0.7, 0.9])
    empirical = np.array([np.mean(values <= v) for v in x])
    assert np.max(np.abs(empirical - law.cdf(x))) < 0.01  # population noise: 0.5 / sqrt(1200), one draw, fixed seed


def test_singular_values_of_one_smooth_layer():
    """Their density is finite at 0, with logarithms."""
    h = rmtp.Gaussian(n, n) @ rmtp.Normal(n)
    gate = rmtp.diag(1 - np.tanh(h) ** 2)
    law = rmtp.singular_values(gate @ rmtp.Gaussian(n, n))
    gates = float(rmtp.limit(np.mean((1 - np.tanh(h) ** 2) ** 2)))
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)
    assert law.expect(lambda s: s**2) == pytest.approx(gates, rel=1e-9)


@pytest.mark.slow
def test_smooth_diagonals_on_both_sides_of_an_orthogonal_matrix():
    """Mass one and the second moment, where poles come near the coefficients in part of the bulk."""
    Q, h = rmtp.Haar(n), rmtp.Normal(n, cov=0.5)
    J = rmtp.diag(1 - np.tanh(Q @ h) ** 2) @ Q @ rmtp.diag(1 - np.tanh(h) ** 2)
    law = rmtp.singular_values(J)
    s2 = float(rmtp.limit(np.mean((1 - np.tanh(h) ** 2) ** 2)))
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-8)
    assert law.expect(lambda x: x**2) == pytest.approx(s2**2, rel=1e-9)  # the two diagonals are free of each other
