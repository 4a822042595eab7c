"""Polynomials in one matrix: densities that diverge within the support, at images of critical points.

The oracle is the change of variables on the semicircle, with roots of p(t) = x from mpmath; the other route of the package is
the Dyson equation of p(Y), whose g and exact moments know nothing of images.
"""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import rmtp
from rmtp.spectra.images import ImageLaw, critical_points, polynomial

n = rmtp.Dim("n")
X = rmtp.GOE(n)
POLYNOMIALS = {
    "quartic": (0, F(1, 2), -3, 0, 1),
    "cubic": (0, -1, 0, 1),
    "square": (0, -1, 1),
    "even": (0, 0, -2, 0, 1),
    "Chebyshev": (0, 5, 0, -5, 0, 1),
    "at the edge": (0, -4, 1),
}


def of(coefficients, Y=X):
    total = coefficients[0] * rmtp.eye(n)
    for k, c in enumerate(coefficients[1:], 1):
        total = total + c * Y**k
    return total


@pytest.fixture(scope="module", params=POLYNOMIALS)
def case(request):
    coefficients = POLYNOMIALS[request.param]
    return coefficients, rmtp.spectrum(of(coefficients))


def semicircle(coefficients, x):
    """Density and mass below x of p of a semicircular variable, at 30 digits."""
    with mp.workdps(30):
        slope = [k * mp.mpf(F(c).numerator) / F(c).denominator for k, c in enumerate(coefficients)][1:]
        p = [mp.mpf(c.numerator) / c.denominator for c in map(F, coefficients)]
        shifted = [p[0] - mp.mpf(x), *p[1:]]
        roots = mp.polyroots(shifted[::-1], maxsteps=500, extraprec=300)
        real = sorted(mp.re(t) for t in roots if abs(mp.im(t)) < mp.mpf("1e-20") and abs(mp.re(t)) < 2)
        density = sum(mp.sqrt(4 - t * t) / (2 * mp.pi) / abs(mp.polyval(slope[::-1], t)) for t in real)
        ends = [mp.mpf(-2), *real, mp.mpf(2)]
        mass = mp.mpf(0)
        for a, b in itertools.pairwise(ends):
            if mp.polyval(shifted[::-1], (a + b) / 2) < 0:
                mass += primitive(b) - primitive(a)
        return float(density), float(mass)


def primitive(t):
    return (t * mp.sqrt(4 - t * t) / 2 + 2 * mp.asin(t / 2)) / (2 * mp.pi)


def critical(coefficients):
    """(t, p(t)) where p' vanishes, by mpmath; simple zeros here."""
    with mp.workdps(40):
        slope = [k * mp.mpf(F(c).numerator) / F(c).denominator for k, c in enumerate(coefficients)][1:]
        roots = [mp.re(t) for t in mp.polyroots(slope[::-1], maxsteps=500, extraprec=300) if abs(mp.im(t)) < 1e-20]
        p = [mp.mpf(F(c).numerator) / F(c).denominator for c in coefficients]
        return [(float(t), float(mp.polyval(p[::-1], t))) for t in roots]


def points(law, count=7):
    shares = (np.arange(count) + 0.37) / count
    return np.concatenate([a + (b - a) * shares for a, b in law.support()])


def test_density_and_distribution(case):
    coefficients, law = case
    x = points(law)
    exact = np.array([semicircle(coefficients, v) for v in x])
    np.testing.assert_allclose(law.pdf(x), exact[:, 0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.cdf(x), exact[:, 1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.ppf(law.cdf(x)), x, rtol=0, atol=1e-9)


def test_next_to_a_divergence(case):
    """Relative 1e-8 from 1e-5 on: nearer, rounding of x itself is a larger share of the distance."""
    coefficients, law = case
    for edge in law.edges:
        if edge.exponent < 0:
            for x in (edge.x - 1e-5, edge.x + 1e-5):
                assert law.pdf(x) == pytest.approx(semicircle(coefficients, x)[0], rel=1e-8, abs=1e-10)
            assert law.pdf(edge.x) == np.inf


def test_edges(case):
    """Every critical value of a point within (-2, 2) is an edge of exponent -1/2, of at least one interval."""
    coefficients, law = case
    inner = sorted({round(v, 9) for t, v in critical(coefficients) if abs(t) < 2 - 1e-9})
    found = sorted({round(e.x, 9) for e in law.edges if e.exponent == -0.5})
    np.testing.assert_allclose(found, inner, rtol=0, atol=1e-9)
    exact = [v for t, v in critical(coefficients) if abs(t) < 2 - 1e-9]
    for e in law.edges:
        if e.exponent == -0.5:
            assert min(abs(e.x - v) for v in exact) <= 1e-13


def test_moments_by_two_routes(case):
    """Exact ones from the power series of the Dyson equation of p(X), integrals over images, free cumulants by hand."""
    coefficients, law = case
    catalan = {0: 1, 2: 1, 4: 2, 6: 5, 8: 14, 10: 42, 12: 132, 14: 429, 16: 1430, 18: 4862, 20: 16796}
    power = {0: F(1)}
    for k in range(1, 5):
        grown: dict[int, F] = {}
        for j, c in power.items():
            for i, d in enumerate(coefficients):
                grown[i + j] = grown.get(i + j, F(0)) + c * F(d)
        power = grown
        exact = sum(c * catalan.get(j, 0) for j, c in power.items())
        assert law.moment(k) == exact
        assert law.expect(lambda x, k=k: x**k) == pytest.approx(float(exact), rel=1e-11, abs=1e-12)


def test_transform(case):
    """g is the integral of 1/(z - x), at complex points, in the lower half plane and outside the support."""
    _, law = case
    outside = law.support()[-1][1] + 0.5
    z = np.array([1 + 1j, -2 + 0.3j, 0.1 + 0.05j, 1 - 1j, outside])
    expected = [law.expect(lambda x, w=w: 1 / (w - x)) for w in z]
    np.testing.assert_allclose(law.stieltjes(z), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["cubic", "square", "even", "at the edge"])
def test_transform_by_the_dyson_equation(name):
    """The fixed point of p(X) knows no roots."""
    law = rmtp.spectrum(of(POLYNOMIALS[name]))
    z = np.array([10 + 3j, 1 + 2j, -3 + 1j])
    out = law.resolvent.solve(z)
    assert out.good.all()
    np.testing.assert_allclose(law.resolvent.mean_of(out.g), law.stieltjes(z), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("slope", "z"), [(-9, 6 * 3**0.5 + 1e-6j), (-27, 54 + 1e-7j), (-27, 54 + 1e-9)])
def test_next_to_a_double_root(slope, z):
    """X^3 + s X: at images of critical points within the semicircle g diverges; of points outside it two terms cancel."""
    law = rmtp.spectrum(of((0, slope, 0, 1)))
    with mp.workdps(40):
        total = mp.mpc(0)
        for t in mp.polyroots([1, 0, slope, -mp.mpmathify(z)], maxsteps=500, extraprec=400):
            g = (t - mp.sqrt(t - 2) * mp.sqrt(t + 2)) / 2
            total += g / (3 * t * t + slope)
        exact = complex(total)
    assert abs(law.stieltjes(z) - exact) <= 1e-9 * abs(exact)


def test_at_a_double_root():
    """Where both roots are one, -3, g goes on as the analytic function that it is."""
    law = rmtp.spectrum(of((0, -27, 0, 1)))
    around = law.stieltjes(54 + 0.5 * np.exp(2j * np.pi * np.arange(16) / 16))
    assert abs(law.stieltjes(54.0) - np.mean(around)) <= 1e-12


def test_sample(case):
    """Eigenvalues of one matrix of n = 600, displaced by a few places: rigid, and p stretches nothing in counts."""
    _, law = case
    eigenvalues = law.sample(600, np.random.default_rng(11))
    at = np.arange(20, 600, 40)
    x = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.abs(600 * law.cdf(x) - at - 1).max() <= 12


def test_critical_point_at_an_edge():
    """X^2 - 4 X at t = 2, where the semicircle ends: exponent (1/2 - 1)/2."""
    law = rmtp.spectrum(of((0, -4, 1)))
    assert [(round(e.x, 12), e.exponent) for e in law.edges] == [(-4, -0.25), (12, 0.5)]


def test_atoms_move_and_merge():
    """Of a projection in a polynomial that takes both of its atoms to one place, and of a Gram matrix with an atom at 0."""
    P = rmtp.Invariant(n, [0, 1])
    law = rmtp.spectrum(P @ P - P)
    assert [(a.x, round(a.mass, 12)) for a in law.atoms] == [(0.0, 1.0)] and law.support() == ()
    W = rmtp.Gaussian(rmtp.Dim("m", 2), n)
    S = W @ W.T
    law = rmtp.spectrum(S @ S - 3 * S)
    assert isinstance(law, ImageLaw)
    assert [(a.x, round(a.mass, 12)) for a in law.atoms] == [(0.0, 0.5)]
    assert law.cdf(0.0) - law.cdf(-1e-9) == pytest.approx(0.5, abs=1e-6) and law.ppf(law.cdf(-1e-9) + 0.2) == 0
    assert law.edges[0].x == -2.25 and law.edges[0].exponent == -0.5
    assert law.moment(2) == pytest.approx(law.expect(lambda x: x**2), rel=1e-11)
    assert list(law.ppf([0, 1])) == pytest.approx([-2.25, (3 + 8**0.5) ** 2 - 3 * (3 + 8**0.5)], rel=1e-12)


def test_what_is_recognised():
    W, Y = rmtp.Gaussian(n, n), rmtp.GOE(n)
    D = rmtp.diag(rmtp.IID(n, rmtp.Discrete([1, 2])))
    assert polynomial(W.T @ W @ W.T @ W + 2 * W.T @ W).coefficients == (0, 2, 1)
    assert polynomial((X + Y) @ (X + Y) @ (X + Y)).coefficients == (0, 0, 0, 1)
    assert polynomial(W.T @ D @ W @ W.T @ D @ W - rmtp.eye(n)).coefficients == (-1, 0, 1)
    for other in (X, X + Y, X @ Y + Y @ X, X @ X + Y, W @ W.T, W @ W.T + W.T @ W, X @ D @ X, X @ X - X @ X + X):
        assert polynomial(other) is None
    assert polynomial(np.mean(rmtp.Normal(n) ** 2) * X @ X + X) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.fractions(-3, 3, max_denominator=4), st.integers(1, 3)), min_size=1, max_size=3))
def test_critical_points_with_multiplicities(roots):
    """p' = prod (t - r)^k from given roots."""
    orders: dict[F, int] = {}
    for r, k in roots:
        orders[r] = orders.get(r, 0) + k
    slope = [F(1)]
    for r, k in orders.items():
        for _ in range(k):
            slope = [a - r * b for a, b in zip([F(0), *slope], [*slope, F(0)], strict=True)]
    found = critical_points([F(0), *(c / (k + 1) for k, c in enumerate(slope))])
    assert [k for _, k in found] == [orders[r] for r in sorted(orders)]
    np.testing.assert_allclose([t for t, _ in found], [float(r) for r in sorted(orders)], rtol=0, atol=1e-12)
