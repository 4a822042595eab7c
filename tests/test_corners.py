"""Where quantile functions of continuous laws are not smooth, found on their own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats as st
from scipy.special import ndtri

import rmtp
from rmtp.laws import Continuous

n = rmtp.Dim("n")


@pytest.mark.parametrize(
    ("law", "levels"),
    [
        (st.laplace(1.0, 0.2), [0.5]),
        (st.triang(0.3), [0.3]),
        (st.laplace_asymmetric(2.0), [0.8]),  # P(x < 0) = kappa^2 / (1 + kappa^2)
        (st.trapezoid(0.2, 0.6), [0.2 / 1.4, 1 - 0.4 / 1.4]),  # area below and above the plateau, height 2 / 1.4
    ],
)
def test_kinks_of_densities(law, levels):
    found = sorted(Continuous(law).corners)
    assert len(found) == len(levels)
    assert np.abs(np.array(found) - ndtri(levels)).max() < 1e-4


@pytest.mark.parametrize(
    "law",
    [
        st.norm(),
        st.uniform(),
        st.logistic(),
        st.gamma(2),
        st.beta(2, 3),
        st.t(8),
        st.lognorm(0.5),
        st.arcsine(),
        st.expon(),
    ],
    ids=lambda law: law.dist.name,
)
def test_smooth_laws_have_none(law):
    assert Continuous(law).corners == ()


@pytest.mark.parametrize("law", [st.laplace(), st.triang(0.3, -0.5, 2)], ids=lambda law: law.dist.name)
def test_expectations_across_a_kink(law):
    x = rmtp.IID(n, law)
    found = rmtp.limit(np.mean(np.tanh(x + rmtp.Normal(n)) * x))

    def given(t):
        inner = scipy.integrate.quad(lambda z: np.tanh(t + z) * st.norm.pdf(z), -12, 12, epsabs=1e-13)[0]
        return t * inner * law.pdf(t)

    low, high = np.clip(law.support(), -40, 40)
    mode = 0.0 if law.dist.name == "laplace" else -0.5 + 0.3 * 2
    expected = sum(scipy.integrate.quad(given, a, b, epsabs=1e-12)[0] for a, b in ((low, mode), (mode, high)))
    assert float(found) == pytest.approx(expected, abs=1e-10)
    assert float(found.error) < 1e-9
