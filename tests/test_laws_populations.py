"""Sample covariances of continuous populations, down to populations with mass at 0, against Silverstein's equation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.stats

import rmtp

n = rmtp.Dim("n")
POPULATIONS = {
    "uniform(0, 1)": scipy.stats.uniform(0, 1),
    "uniform(1, 2)": scipy.stats.uniform(1, 1),
    "beta": scipy.stats.beta(2, 3),
}


def sample_covariance(population, ratio):
    m = rmtp.Dim("m", ratio)
    W = rmtp.Gaussian(m, n)
    return rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, population)) @ W.T)


def silverstein(x, ratio):
    """g(x + i0) for the uniform population on [0, 1]: g = 1/(z - E[D/(1 - ratio D g)]), continued down from z = x + 10 i.

    E D/(1 - a D) = -(1/a) - log(1 - a)/a^2, so no quadrature enters (Silverstein 1995, with 1/cols in place of 1/rows).
    """
    with mpmath.workdps(30):
        g = None
        for height in [mpmath.mpf(10) ** (1 - k / mpmath.mpf(4)) for k in range(0, 60)] + [mpmath.mpf(0)]:
            z = mpmath.mpf(x) + 1j * height

            def residual(g, z=z):
                a = mpmath.mpf(ratio) * g
                return g * (z + 1 / a + mpmath.log(1 - a) / a**2) - 1

            g = mpmath.findroot(residual, 1 / z if g is None else g, tol=1e-40, maxsteps=60, verify=False)
        return complex(g)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5])
def test_density_and_atom_of_the_uniform_population(ratio):
    law = sample_covariance(POPULATIONS["uniform(0, 1)"], ratio)
    low, high = law.support()[0]
    x = low + (high - low) * np.array([1e-5, 1e-3, 0.02, 0.1, 0.4, 0.8])
    expected = [-silverstein(v, ratio).imag / np.pi for v in x]
    assert np.allclose(law.pdf(x), expected, rtol=1e-9)
    masses = [atom.mass for atom in law.atoms]
    assert masses == pytest.approx([1 - 1 / ratio] if ratio > 1 else [], abs=1e-12)


def test_the_density_jumps_where_the_population_reaches_zero():
    """Ratio 3/2: small eigenvalues are d / E tr (W.T W)^-1 = d (3/2 - 1), so the density tends to (2/3) * 2 * f_D(0)."""
    law = sample_covariance(POPULATIONS["uniform(0, 1)"], 1.5)
    assert law.pdf(1e-9) == pytest.approx(4 / 3, rel=1e-6)
    assert [e.exponent for e in law.edges] == [0.0, 0.5]


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("ratio", [0.5, 1.5])
def test_moments_and_quantiles(name, ratio):
    law = sample_covariance(POPULATIONS[name], ratio)
    for k in (1, 2, 4):
        assert law.expect(lambda x, k=k: x**k) == pytest.approx(float(law.moment(k)), rel=1e-10)
    for p in (0.4, 0.9):
        assert law.cdf(law.ppf(p)) == pytest.approx(p, abs=1e-10)


def test_a_sample_has_the_law():
    """Eigenvalues of one draw, n = 800: the largest distance of the distribution functions is O(1/n) of linear statistics."""
    law = sample_covariance(POPULATIONS["uniform(0, 1)"], 1.5)
    values = np.sort(law.sample(800, rng=3))
    inside = values[values > 1e-9]
    assert len(inside) == 800
    x = np.quantile(inside, [0.1, 0.3, 0.5, 0.7, 0.9])
    empirical = np.array([np.mean(values <= v) for v in x])
    assert np.max(np.abs(empirical - law.cdf(x))) < 0.01  # population noise: 0.5 / sqrt(1200), one draw, fixed seed


@pytest.mark.slow
def test_smooth_diagonals_on_both_sides_of_an_orthogonal_matrix():
    """Mass one and the second moment, where poles come near the coefficients in part of the bulk."""
    Q, h = rmtp.Haar(n), rmtp.Normal(n, cov=0.5)
    J = rmtp.diag(1 - np.tanh(Q @ h) ** 2) @ Q @ rmtp.diag(1 - np.tanh(h) ** 2)
    law = rmtp.singular_values(J)
    s2 = float(rmtp.limit(np.mean((1 - np.tanh(h) ** 2) ** 2)))
    assert law.expect(lambda x: x**2) == pytest.approx(s2**2, rel=1e-9)  # the two diagonals are free of each other
    assert law.pdf(0.865) > 0.5
