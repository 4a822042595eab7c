"""A walk through malformed questions to laws: each is refused by an error of rmtp with a remedy, or has the right answer."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction as F

import numpy as np
import pytest
import scipy.stats

import rmtp
from rmtp.errors import (
    BadParameter,
    DimensionMismatch,
    DivergentExpectation,
    NotConverged,
    NotInvertible,
    NotSelfAdjoint,
    OnSpectrum,
    TracedBranch,
    UnsupportedOperation,
)

n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
A, W = rmtp.GOE(n), rmtp.Gaussian(m, n)


def diagonal(law):
    return rmtp.diag(rmtp.IID(n, law))


@pytest.fixture(scope="module")
def goe():
    return rmtp.spectrum(A)


@pytest.fixture(scope="module")
def gram():
    return rmtp.spectrum(W @ W.T)


@pytest.fixture(scope="module")
def singular():
    return rmtp.singular_values(W)


def refused(build, error):
    with warnings.catch_warnings(), pytest.raises(error) as caught:
        warnings.simplefilter("error")
        build()
    assert caught.value.remedy and caught.value.problem


OF_A_LAW = [
    (lambda x: x.pdf("a"), BadParameter),
    (lambda x: x.pdf(None), BadParameter),
    (lambda x: x.pdf([[1, 2], [3]]), BadParameter),
    (lambda x: x.pdf(10**400), BadParameter),
    (lambda x: x.pdf(1 + 1j), BadParameter),
    (lambda x: x.cdf(["a"]), BadParameter),
    (lambda x: x.sf({}), BadParameter),
    (lambda x: x.ppf([0.5, 1.1]), BadParameter),
    (lambda x: x.ppf(-1e-9), BadParameter),
    (lambda x: x.ppf(0.5j), BadParameter),
    (lambda x: x.ppf("half"), BadParameter),
    (lambda x: x.moment(-1), BadParameter),
    (lambda x: x.moment(2.5), BadParameter),
    (lambda x: x.moment([1, 2]), BadParameter),
    (lambda x: x.moment(math.nan), BadParameter),
    (lambda x: x.moment(10**9), BadParameter),
    (lambda x: x.free_cumulants("2"), BadParameter),
    (lambda x: x.stieltjes("a"), BadParameter),
    (lambda x: x.stieltjes(None), BadParameter),
    (lambda x: x.stieltjes(math.nan), BadParameter),
    (lambda x: x.stieltjes([1j, math.inf]), BadParameter),
    (lambda x: x.stieltjes(1.0), OnSpectrum),
    (lambda x: x.rvs(-1), BadParameter),
    (lambda x: x.rvs(1.5), BadParameter),
    (lambda x: x.rvs((2, 0)), BadParameter),
    (lambda x: x.rvs(3, rng="seed"), BadParameter),
    (lambda x: x.sample(0), BadParameter),
    (lambda x: x.sample(2.5), BadParameter),
    (lambda x: x.sample("a"), BadParameter),
    (lambda x: x.sample(10, 0, entries="cauchy"), BadParameter),
    (lambda x: x.expect("x"), BadParameter),
    (lambda x: x.expect(None), BadParameter),
    (lambda x: x.expect(lambda t: "a"), UnsupportedOperation),
    (lambda x: x.expect(lambda t: np.ones(3)), UnsupportedOperation),
    (lambda x: x.expect(lambda t: t * math.nan), NotConverged),
    (lambda x: x.expect(np.abs, tol=-1), BadParameter),
    (lambda x: x.expect(np.abs, tol=math.nan), BadParameter),
    (lambda x: x.expect(np.abs, tol="fine"), BadParameter),
    (lambda x: x / 0, UnsupportedOperation),
    (lambda x: x / "2", UnsupportedOperation),
    (lambda x: x / True, UnsupportedOperation),
    (lambda x: x**2, UnsupportedOperation),
    (lambda x: x @ x, UnsupportedOperation),
    (lambda x: x + None, BadParameter),
    (lambda x: x + "a", BadParameter),
    (lambda x: x + math.inf, BadParameter),
    (lambda x: x * math.nan, BadParameter),
    (lambda x: x * 1j, BadParameter),
    (lambda x: x.plot(width=-3), BadParameter),
]


@pytest.mark.parametrize("case", range(len(OF_A_LAW)))
@pytest.mark.parametrize("of", ["goe", "singular"])
def test_questions_to_a_law(case, of, request):
    ask, error = OF_A_LAW[case]
    refused(lambda: ask(request.getfixturevalue(of)), error)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda x: x.stieltjes(1j, dps=0), BadParameter),
        (lambda x: x.stieltjes(1j, dps=2.5), BadParameter),
        (lambda x: x.stieltjes(1j, dps="30"), BadParameter),
        (lambda x: x.stieltjes([1j, 2j], dps=20), BadParameter),
        (lambda x: x.stieltjes(0.5, dps=20), OnSpectrum),
        (lambda x: x.stieltjes(math.nan, dps=20), BadParameter),
        (lambda x: x.r_transform("a"), BadParameter),
        (lambda x: x.r_transform(math.nan), BadParameter),
        (lambda x: x.r_transform(5.0), OnSpectrum),
        (lambda x: x.s_transform(0.1), BadParameter),
        (lambda x: x.subordination(1j), UnsupportedOperation),
        (lambda x: (x + x).subordination(0.5), BadParameter),
        (lambda x: (x + x).subordination(math.nan), BadParameter),
        (lambda x: (x + x).subordination("a"), BadParameter),
        (lambda x: (x + x).subordination([1j, 1.0]), BadParameter),
        (lambda x: x * x, BadParameter),
        (lambda x: x.expect(lambda t: 1 / t), NotConverged),
        (lambda x: x.expect(lambda t: t / (t - 1) ** 2), NotConverged),
        (lambda x: x.expect(np.log), NotConverged),
    ],
)
def test_questions_to_the_semicircle(goe, ask, error):
    refused(lambda: ask(goe), error)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda x: x.stieltjes(0.0), OnSpectrum),
        (lambda x: x.s_transform(math.inf), BadParameter),
        (lambda x: x.s_transform(-2.0), OnSpectrum),
        (lambda x: x.expect(np.log), NotConverged),
        (lambda x: x.expect(lambda t: 1 / t), NotConverged),
    ],
)
def test_questions_beside_an_atom(gram, ask, error):
    """It lies at 0, with mass 1/2."""
    refused(lambda: ask(gram), error)


def test_singular_values_have_no_transform_at_an_atom():
    law = rmtp.singular_values(diagonal(rmtp.Discrete([0, 1])) @ rmtp.Gaussian(n, n))
    refused(lambda: law.stieltjes(0.0), OnSpectrum)
    refused(lambda: law.r_transform(0.1), UnsupportedOperation)
    assert abs(law.stieltjes(0.1j) - law.expect(lambda s: 1 / (0.1j - s))) < 1e-10


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: rmtp.spectrum(None), UnsupportedOperation),
        (lambda: rmtp.spectrum(np.eye(3)), UnsupportedOperation),
        (lambda: rmtp.spectrum(rmtp.Normal(n)), UnsupportedOperation),
        (lambda: rmtp.spectrum(sum([])), UnsupportedOperation),
        (lambda: rmtp.spectrum(n), UnsupportedOperation),
        (lambda: rmtp.singular_values("W"), UnsupportedOperation),
        (lambda: rmtp.spectrum(W), DimensionMismatch),
        (lambda: rmtp.spectrum(A @ rmtp.GOE(n)), NotSelfAdjoint),
        (lambda: rmtp.block([]), BadParameter),
        (lambda: rmtp.block([[]]), BadParameter),
        (lambda: rmtp.block([[A, A], [A]]), BadParameter),
        (lambda: rmtp.block([[A, 1], [1, A]]), UnsupportedOperation),
        (lambda: rmtp.block([[0, 0], [0, 0]]), DimensionMismatch),
        (lambda: rmtp.inv(np.eye(3)), UnsupportedOperation),
        (lambda: rmtp.spectrum(rmtp.inv(A - A)).atoms, NotInvertible),
        (lambda: rmtp.spectrum(rmtp.inv(rmtp.Invariant(n, [0, 1]))).atoms, NotInvertible),
        (lambda: A + 1, UnsupportedOperation),
        (lambda: A * math.nan, BadParameter),
        (lambda: A * 1j, UnsupportedOperation),
        (lambda: A / 0, BadParameter),
        (lambda: A**0.5, UnsupportedOperation),
        (lambda: W**2, DimensionMismatch),
        (lambda: A @ np.eye(4), UnsupportedOperation),
        (lambda: bool(A), TracedBranch),
        (lambda: rmtp.GOE(3), BadParameter),
        (lambda: rmtp.Gaussian(n, 3), BadParameter),
        (lambda: rmtp.GOE(n, -1), BadParameter),
        (lambda: rmtp.Dim("k", -1), BadParameter),
        (lambda: rmtp.Dim("k", math.nan), BadParameter),
        (lambda: rmtp.Invariant(n, []), BadParameter),
        (lambda: rmtp.Invariant(n, [1, math.inf]), BadParameter),
        (lambda: rmtp.Invariant(n, [1j]), BadParameter),
        (lambda: rmtp.BiInvariant(n, n, [-1, 1]), BadParameter),
        (lambda: rmtp.Discrete([1, 2], [0.5, 0.6]), BadParameter),
        (lambda: rmtp.IID(n, scipy.stats.uniform), BadParameter),
        (lambda: rmtp.IID(n, scipy.stats.beta(-1, 1)), BadParameter),
        (lambda: rmtp.diag([1, 2, 3]), UnsupportedOperation),
        (lambda: rmtp.diag(A), UnsupportedOperation),
        (lambda: rmtp.spectrum(diagonal(scipy.stats.uniform(0, 1))).support(), UnsupportedOperation),
        (lambda: rmtp.spectrum(A + diagonal(scipy.stats.norm())).support(), UnsupportedOperation),
        (lambda: rmtp.spectrum(A + diagonal(scipy.stats.cauchy())).cdf(0.0), UnsupportedOperation),
        (lambda: rmtp.spectrum(A + rmtp.Invariant(n, scipy.stats.cauchy())).stieltjes(1j), DivergentExpectation),
        (
            lambda: rmtp.spectrum(A + rmtp.diag(np.log(rmtp.IID(n, rmtp.Discrete([0, 1]))))).stieltjes(1j),
            NotInvertible,
        ),
        (
            lambda: rmtp.spectrum(A + rmtp.diag(np.sqrt(rmtp.IID(n, rmtp.Discrete([-1, 1]))))).stieltjes(1j),
            BadParameter,
        ),
    ],
)
def test_expressions(build, error):
    refused(build, error)


def test_empty_arrays(goe, singular):
    for law in (goe, singular):
        for ask in (law.pdf, law.cdf, law.ppf, law.sf, law.stieltjes):
            assert np.shape(ask([])) == (0,)
            assert np.shape(ask(np.zeros((2, 0)))) == (2, 0)
    assert [len(w) for w in (goe + goe).subordination([])] == [0, 0]


def test_matrices_without_randomness():
    """The zero matrix, the identity, a projection in a diagonal: atoms only, everything else consistent with them."""
    zero = rmtp.spectrum(A - A)
    assert [(a.x, a.mass) for a in zero.atoms] == [(0.0, 1.0)] and zero.support() == ()
    assert zero.moment(2) == 0 and zero.pdf(1.0) == 0 and zero.stieltjes(1j) == -1j
    assert list(zero.cdf([-1, 0, 1])) == [0, 1, 1] and list(zero.ppf([0, 0.5, 1])) == [0, 0, 0]
    assert zero.expect(lambda x: x + 3) == 3 and list(zero.rvs(2, rng=0)) == [0, 0]
    one = rmtp.spectrum(rmtp.inv(rmtp.eye(n)))
    assert [(a.x, a.mass) for a in one.atoms] == [(1.0, 1.0)]
    half = rmtp.spectrum(diagonal(rmtp.Discrete([0, 1])))
    assert [(a.x, a.mass) for a in half.atoms] == [(0.0, 0.5), (1.0, 0.5)]
    assert list(half.ppf([0, 0.5, 0.500001, 1])) == [0, 0, 1, 1]


def test_extreme_points(goe):
    assert goe.pdf(1e300) == 0 and goe.pdf(-math.inf) == 0
    assert goe.pdf(1e-300) == pytest.approx(1 / math.pi, rel=1e-14)
    assert goe.stieltjes(1e200j) == pytest.approx(-1e-200j, rel=1e-14)
    assert goe.stieltjes(1e-300j) == pytest.approx(-1j, rel=1e-14)
    assert list(goe.ppf([0, 1])) == [-2, 2]
    assert goe.moment(np.int64(4)) == 2 and goe.free_cumulants(0) == []


def test_arithmetic_with_numbers(goe):
    """Division, and subtraction from a number, are what they are for random variables."""
    assert (3 - goe).support()[0] == pytest.approx((1, 5)) and (goe / 2).support()[0] == pytest.approx((-1, 1))
    assert (goe / F(1, 3)).moment(2) == 9 and (1 - goe).moment(1) == 1 and (goe * 0).atoms[0].mass == 1


def test_conjugate_subordination(goe):
    two = goe + goe
    above, below = two.subordination(0.3 + 0.2j), two.subordination(0.3 - 0.2j)
    np.testing.assert_allclose(np.conj(above), below, rtol=1e-15)
    g = two.stieltjes(0.3 - 0.2j)
    assert abs(goe.stieltjes(complex(below[0])) - g) < 1e-12


def test_integrals_that_exist_conditionally_only(goe):
    """1/x over the semicircle vanishes by symmetry alone; 1/sqrt(|x|) and log|x| exist: E log|x| = -1/2."""
    refused(lambda: goe.expect(lambda x: 1 / x), NotConverged)
    assert goe.expect(lambda x: np.log(np.abs(x)), tol=1e-9) == pytest.approx(-0.5, abs=1e-8)
