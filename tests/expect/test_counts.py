"""Functions that draw a count: expectations are sums over its law, against integrals over mpmath and against coins."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.stats
from scipy.special import ndtr

import rmtp
from rmtp import errors

n = rmtp.Dim("n")
z, e = rmtp.Normal(n, name="z"), rmtp.Normal(n, name="e")
mixed = 0.5 * z + 0.3 * e


def draw(law):
    def window(v):
        return law(v).ppf(1e-17), law(v).ppf(1 - 1e-12) * 1.3 + 20

    return rmtp.elementwise(
        lambda v, u: law(v).ppf(u),
        (None, None),
        name="count",
        outcomes=rmtp.Outcomes(window, lambda k, v: law(v).pmf(k)),
    )


def uniform():
    return rmtp.IID(n, scipy.stats.uniform(), name="u")


poisson = draw(lambda v: scipy.stats.poisson(np.exp(v)))
coin = draw(lambda v: scipy.stats.bernoulli(ndtr(v)))
saturate = rmtp.elementwise(lambda k, w: np.tanh(0.3 * k - w), (None, lambda k, w: np.tanh(0.3 * k - w) ** 2 - 1))


def test_factorial_moments():
    """E y (y - 1) .. (y - r + 1) = E exp(r z) = exp(r^2 / 2)."""
    y = poisson(z, uniform())
    for form, r in ((y, 1), (y * (y - 1), 2), (y * (y - 1) * (y - 2), 3)):
        found = rmtp.limit(np.mean(form))
        assert found.method == "quadrature"
        assert float(found) == pytest.approx(np.exp(r * r / 2), rel=1e-10)


def test_a_function_of_the_count_and_another_variable():
    y = poisson(z, uniform())

    def expected(power):
        """100 Gauss-Hermite points for each of z and e, a sum over counts between them."""
        t, w = np.polynomial.hermite_e.hermegauss(100)
        w, total = w / w.sum(), 0.0
        for at, weight in zip(t, w, strict=True):
            if weight > 1e-22:
                k = np.arange(int(np.exp(at) + 12 * np.exp(at / 2) + 60))
                inner = w @ np.tanh(0.3 * k - (0.5 * at + 0.3 * t[:, None]))
                total += weight * at**power * float(scipy.stats.poisson(np.exp(at)).pmf(k) @ inner)
        return total

    assert float(rmtp.limit(np.mean(saturate(y, mixed)))) == pytest.approx(expected(0), abs=1e-10)
    assert float(rmtp.limit(np.mean(z * saturate(y, mixed)))) == pytest.approx(expected(1), abs=1e-10)


def test_a_coin_is_two_smooth_terms():
    y = coin(z, uniform())
    share = rmtp.elementwise(ndtr, scipy.stats.norm.pdf, name="ndtr")(z)
    zero, one = rmtp.constant(n, 0), rmtp.constant(n, 1)
    smooth = share * saturate(one, mixed) + (1 - share) * saturate(zero, mixed)
    for weight in (1, z, mixed**2):
        counted, split = (rmtp.limit(np.mean(weight * form)) for form in (saturate(y, mixed), smooth))
        assert float(counted) == pytest.approx(float(split), abs=1e-11)


def test_memory_through_a_count():
    """Z-Dot of A.T g(y, A x) by Stein's lemma: E[d/dz E[g | z, w]], which two smooth terms have as derivatives."""
    m = rmtp.Dim("m", 2)
    A, x = rmtp.Gaussian(m, n, name="A"), rmtp.Normal(n, name="x")
    h = A @ x
    y = coin(h, rmtp.IID(m, scipy.stats.uniform()))
    share = rmtp.elementwise(ndtr, scipy.stats.norm.pdf, name="ndtr")(h)
    zero, one = rmtp.constant(m, 0), rmtp.constant(m, 1)
    smooth = share * saturate(one, h) + (1 - share) * saturate(zero, h)
    counted, split = (rmtp.limit(np.mean(x * (A.T @ form))) for form in (saturate(y, h), smooth))
    assert abs(float(split)) > 0.1
    assert float(counted) == pytest.approx(float(split), abs=1e-10)


def test_two_counts_given_the_same_rate():
    """Two coins of probability Phi(z): E y y' = P(z1 < z, z2 < z) = 1/3; Poisson counts in pairs are too many, and sampled."""
    found = rmtp.limit(np.mean(coin(z, uniform()) * coin(z, uniform())))
    assert found.method == "quadrature"
    assert float(found) == pytest.approx(1 / 3, abs=1e-11)
    sampled = rmtp.limit(np.mean(poisson(z, uniform()) * poisson(z, uniform())))
    assert abs(float(sampled) - np.exp(2)) < 5 * float(sampled.error)  # 6e-7


def test_a_rate_without_a_gaussian():
    """Given a sign: E tanh(y) over Poisson(e) and Poisson(1 / e)."""
    s = rmtp.Discrete([-1, 1])
    y = poisson(rmtp.IID(n, s), uniform())
    found = rmtp.limit(np.mean(np.tanh(y)))
    expected = mpmath.mpf(0)
    for rate in (mpmath.e, 1 / mpmath.e):
        expected += mpmath.nsum(lambda k, r=rate: mpmath.exp(-r) * r**k / mpmath.factorial(k) * mpmath.tanh(k), [0, 80])
    assert float(found) == pytest.approx(float(expected / 2), rel=1e-12)


def test_a_uniform_that_something_else_reads():
    """E u y = E[p - p^2 / 2] for a coin: the joint law is not that of the count alone, and is sampled. (6e-7)"""
    u = uniform()
    found = rmtp.limit(np.mean(u * coin(z, u)))
    assert abs(float(found) - (1 / 2 - 1 / 6)) < 5 * float(found.error)


def test_samples():
    y = poisson(z, uniform())
    assert rmtp.verify(np.mean(saturate(y, mixed)), widths=(200, 400, 800), trials=60, rng=3).passed()


def short_window():
    law = rmtp.Outcomes(lambda v: (0 * v, 0 * v + 3), lambda k, v: scipy.stats.poisson(np.exp(v)).pmf(k))
    count = rmtp.elementwise(lambda v, u: scipy.stats.poisson(np.exp(v)).ppf(u), (None, None), outcomes=law)
    return rmtp.limit(np.mean(count(z, uniform())))


def no_window():
    law = rmtp.Outcomes(lambda v: 5, lambda k, v: k)
    count = rmtp.elementwise(lambda v, u: 0 * u, (None, None), outcomes=law)
    return rmtp.limit(np.mean(count(z, uniform())))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: rmtp.elementwise(np.exp, outcomes=3), "outcomes"),
        (lambda: rmtp.Outcomes(3, lambda k, v: k), "window=3"),
        (lambda: rmtp.Outcomes(lambda v: (v, v), None), "mass=None"),
        (short_window, "add up to 0.8"),
        (no_window, "window of counts is 5"),
        (
            lambda: rmtp.limit(np.mean(draw(lambda v: scipy.stats.randint(0, 3, loc=0.5 + 0 * v))(z, uniform()))),
            "add up",
        ),
        (lambda: rmtp.amp.discrete("x", scipy.stats.norm), "not a discrete"),
        (lambda: rmtp.amp.discrete("x", 5), "not a discrete"),
    ],
)
def test_bad_input(make, match):
    with pytest.raises(errors.BadParameter, match=match):
        make()
