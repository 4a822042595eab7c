"""Bad input to spectra: an error that names the expression and a remedy, never a plausible wrong density."""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest
import scipy.stats

import rmtp
from rmtp.errors import DimensionMismatch, NotInvertible, NotSelfAdjoint, OnSpectrum, RmtpError

HALF = F(1, 2)
N, M = rmtp.Dim("n"), rmtp.Dim("m", 2)


def diagonal(*values):
    return rmtp.diag(rmtp.IID(N, rmtp.Discrete(list(values))))


def bad(build):
    """An error of rmtp with a remedy, wherever the tool chooses to look."""
    with pytest.raises(RmtpError) as caught:
        build()
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    "build",
    [
        lambda W, A: W,
        lambda W, A: W @ W,
        lambda W, A: A @ rmtp.GOE(N),
        lambda W, A: W - W.T,
        lambda W, A: A @ diagonal(1, 2),
        lambda W, A: rmtp.outer(rmtp.Normal(N), rmtp.Normal(N)) + A,
        lambda W, A: rmtp.Haar(N),
        lambda W, A: rmtp.inv(W + 3 * rmtp.eye(N)),
        lambda W, A: rmtp.block([[A, W], [W, A]]),
    ],
)
def test_not_self_adjoint(build):
    """Among them a product that is self-adjoint in law only, and an antisymmetric matrix."""
    with pytest.raises(NotSelfAdjoint) as caught:
        rmtp.spectrum(build(rmtp.Gaussian(N, N), rmtp.GOE(N))).moment(2)
    assert "singular_values" in str(caught.value)


def test_rectangular_spectrum():
    with pytest.raises(RmtpError, match="singular_values"):
        rmtp.spectrum(rmtp.Gaussian(M, N))


@pytest.mark.parametrize(
    "build",
    [
        lambda W: W @ W,
        lambda W: W + rmtp.GOE(N),
        lambda W: W @ rmtp.diag(rmtp.Normal(M)),
        lambda W: rmtp.block([[W, W.T]]),
        rmtp.inv,
    ],
)
def test_mismatched_dimensions(build):
    with pytest.raises(DimensionMismatch):
        build(rmtp.Gaussian(M, N))


@pytest.mark.parametrize(
    "build",
    [
        lambda: rmtp.inv(rmtp.GOE(N)),
        lambda: _inverse_gram(1),
        lambda: _inverse_gram(2),
        lambda: rmtp.inv(diagonal(-1, 1) + rmtp.GOE(N)),
        lambda: rmtp.inv(rmtp.GOE(N) ** 2),
        lambda: _sandwiched(rmtp.inv(_wishart(1))),
    ],
)
def test_inverse_that_does_not_exist(build):
    """The spectrum reaches 0: 0 in the bulk, an edge, an atom, a cusp at 0."""
    with pytest.raises(NotInvertible) as caught:
        rmtp.spectrum(build()).stieltjes(1j)
    assert "inv" in caught.value.where


def test_inverse_of_a_diagonal_with_zeros():
    with pytest.raises(NotInvertible) as caught:
        rmtp.spectrum(rmtp.inv(diagonal(0, 1)) + rmtp.GOE(N)).stieltjes(1j)
    assert caught.value.remedy


def _gram(ratio):
    W = rmtp.Gaussian(rmtp.Dim("m", ratio), N)
    return W @ W.T


def _inverse_gram(ratio):
    return rmtp.inv(_gram(ratio))


def _sandwiched(A):
    return rmtp.GOE(N) + A @ rmtp.GOE(N) @ A


def _wishart(ratio):
    return rmtp.Wishart(N, rmtp.Dim("m", ratio))


def test_inverse_that_exists():
    """Near misses: ratio 1/2, a gap around 0, a ridge."""
    for M_ in (
        _inverse_gram(HALF),
        rmtp.inv(diagonal(-3, 3) + rmtp.GOE(N)),
        rmtp.inv(rmtp.GOE(N) ** 2 + F(1, 10) * rmtp.eye(N)),
    ):
        assert np.isfinite(rmtp.spectrum(M_).stieltjes(1 + 1j))


@pytest.mark.parametrize("x", [0.0, 1.9, -1.0])
def test_stieltjes_on_the_spectrum(x):
    law = rmtp.spectrum(rmtp.GOE(N))
    for z in (x, complex(x), np.array([3.0, x])):
        with pytest.raises(OnSpectrum) as caught:
            law.stieltjes(z)
        assert "pdf" in caught.value.remedy
    assert law.stieltjes(2.5) == pytest.approx(0.5, rel=1e-12)


def test_stieltjes_at_an_atom():
    with pytest.raises(OnSpectrum):
        rmtp.spectrum(_gram(2)).stieltjes(0.0)


@pytest.mark.parametrize("z", [math.nan, math.inf, complex(0, math.nan), np.array([1j, np.inf])])
def test_stieltjes_of_no_number(z):
    bad(lambda: rmtp.spectrum(rmtp.GOE(N)).stieltjes(z))


@pytest.mark.parametrize("k", [-1, 1.5, True, "2", None])
def test_bad_orders(k):
    law = rmtp.spectrum(rmtp.GOE(N))
    bad(lambda: law.moment(k))
    bad(lambda: law.free_cumulants(k))


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_bad_probabilities(q):
    bad(lambda: rmtp.spectrum(rmtp.GOE(N)).ppf(q))


def test_nan_points():
    law = rmtp.spectrum(rmtp.GOE(N))
    bad(lambda: law.pdf(math.nan))
    bad(lambda: law.cdf([0.0, math.nan]))
    bad(lambda: law.pdf(1j))
    assert float(law.pdf(math.inf)) == 0 and float(law.cdf(-math.inf)) == 0
    assert float(law.cdf(math.inf)) == pytest.approx(1, abs=1e-12)


def test_transforms_of_unbounded_laws():
    """A Gaussian diagonal: the series of R and S at 0 do not converge; g and the density exist."""
    law = rmtp.spectrum(rmtp.diag(rmtp.IID(N, scipy.stats.norm())) + rmtp.GOE(N))
    bad(lambda: law.r_transform(0.1))
    bad(lambda: rmtp.spectrum(rmtp.diag(rmtp.Normal(N) ** 2) @ rmtp.eye(N) + rmtp.Wishart(N, N)).s_transform(0.1))


def test_heavy_tails_have_no_moments():
    law_of = lambda: rmtp.spectrum(rmtp.diag(rmtp.IID(N, scipy.stats.cauchy())) + rmtp.GOE(N))  # noqa: E731
    bad(lambda: law_of().moment(2))
