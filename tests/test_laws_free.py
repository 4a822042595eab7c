"""Free additive and multiplicative convolution, transforms, and what a law offers like a scipy.stats law."""

from __future__ import annotations

import functools
import math
from fractions import Fraction as F

import law_oracles as oracle
import mpmath as mp
import numpy as np
import pytest
from law_checks import check_atoms, check_density, check_hard_edges, check_moments, check_stieltjes, check_support
from law_numbers import cumulants_from_moments, inverse_s, moments_from_cumulants, moments_from_s, mul

import rmtp

HALF = F(1, 2)
N = rmtp.Dim("n")
M = rmtp.Dim("m", 2)
Z = np.array([1 + 1j, -0.4 + 0.3j, 2 + 1e-3j, 0.2 - 0.5j, 70 + 0j])


def atoms(values, weights=None):
    return rmtp.spectrum(rmtp.diag(rmtp.IID(N, rmtp.Discrete(values, weights))))


def semicircle(variance=1):
    return rmtp.spectrum(rmtp.GOE(N, variance=variance))


def marchenko_pastur(ratio=1):
    X = rmtp.Gaussian(rmtp.Dim("m", ratio), N)
    return rmtp.spectrum(X @ X.T)


LAWS = {
    "semicircle": semicircle,
    "mp-1": marchenko_pastur,
    "mp-2": lambda: marchenko_pastur(2),
    "mp-1/2": lambda: marchenko_pastur(HALF),
    "two": lambda: atoms([-1, 2], [F(1, 3), F(2, 3)]),
    "three": lambda: atoms([0, 1, 3]),
}
law = functools.cache(lambda name: LAWS[name]())


def agree(a, b, orders=8, tolerance=1e-12, at=Z):
    assert [a.moment(k) for k in range(1, orders + 1)] == [b.moment(k) for k in range(1, orders + 1)]
    np.testing.assert_allclose(a.stieltjes(at), b.stieltjes(at), rtol=tolerance)
    x = np.array([a.ppf(q) for q in (0.3, 0.6, 0.9)])
    np.testing.assert_allclose(a.pdf(x), b.pdf(x), rtol=1e-10, atol=tolerance)


# ---------------------------------------------------------------------------------------------
# sums


SUMS = [("semicircle", "two"), ("mp-2", "three"), ("mp-1/2", "semicircle"), ("two", "three"), ("mp-1", "mp-2")]


@pytest.mark.parametrize(("a", "b"), SUMS)
def test_sum_commutes_and_cumulants_add(a, b):
    total = law(a) + law(b)
    agree(total, law(b) + law(a))
    kappa = [x + y for x, y in zip(law(a).free_cumulants(8), law(b).free_cumulants(8), strict=True)]
    assert total.free_cumulants(8) == kappa
    assert [total.moment(k) for k in range(1, 9)] == moments_from_cumulants(kappa, 8)


def test_sum_associates():
    a, b, c = law("two"), law("mp-1/2"), law("three")
    agree((a + b) + c, a + (b + c))


def test_semicircles_add_variances():
    agree(semicircle(1) + semicircle(3), semicircle(4))
    check_density(semicircle(1) + semicircle(3), oracle.semicircle(F(4)))


def test_sum_is_the_sum_of_free_matrices():
    agree(law("two") + law("semicircle"), rmtp.spectrum(rmtp.GOE(N) + rmtp.Invariant(N, law("two"))))
    agree(law("three") + law("mp-1/2"), rmtp.spectrum(rmtp.Invariant(N, law("mp-1/2")) + rmtp.Invariant(N, [0, 1, 3])))


def test_signs_make_the_arcsine_law():
    both = atoms([-1, 1]) + atoms([-1, 1])
    for check in (check_moments, check_stieltjes, check_density, check_hard_edges, check_support, check_atoms):
        check(both, oracle.arcsine())


@pytest.mark.parametrize("terms", [4, 10])
def test_ten_signs_make_a_regular_tree(terms):
    """q free signs +-1: adjacency of the q-regular tree (Kesten 1959); an elimination would have degree 2^q."""
    total = sum(atoms([-1, 1]) for _ in range(terms - 1)) + atoms([-1, 1])
    x = 2 * math.sqrt(terms - 1) * np.array([-0.999, -0.5, 0.0, 0.3, 0.9])
    rho = terms * np.sqrt(4 * (terms - 1) - x**2) / (2 * np.pi * (terms**2 - x**2))
    np.testing.assert_allclose(total.pdf(x), rho, rtol=1e-10)
    np.testing.assert_allclose(total.support(), [(-2 * math.sqrt(terms - 1), 2 * math.sqrt(terms - 1))], rtol=1e-11)
    if terms == 4:
        check_moments(total, oracle.kesten_mckay(2))


def test_ten_different_two_atom_laws():
    """Moments by adding cumulants; a draw of ten random projections, counts within a few."""
    parts = [([-k, 3], [F(k, k + 4), F(4, k + 4)]) for k in range(1, 11)]
    total = sum((atoms(*p) for p in parts[1:]), atoms(*parts[0]))
    kappa = [F(0)] * 8
    for values, weights in parts:
        own = cumulants_from_moments(oracle.atomic_moments(dict(zip(values, weights, strict=True)), 8))
        kappa = [x + y for x, y in zip(kappa, own, strict=True)]
    assert [total.moment(k) for k in range(1, 9)] == moments_from_cumulants(kappa, 8)
    rng, n = np.random.default_rng(4), 400
    M = np.zeros((n, n))
    for values, weights in parts:
        q = oracle.haar(n, rng)
        M += (q * oracle.proportioned(dict(zip(values, weights, strict=True)), n)) @ q.T
    eigenvalues = np.linalg.eigvalsh(M)
    at = (n * np.linspace(0.05, 0.95, 9)).astype(int)
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.max(abs(n * total.cdf(middle) - at - 1)) <= 6  # each spectrum is rounded to whole eigenvalues


def test_atom_of_a_sum():
    """Atoms of masses that exceed 1 together leave one at their sum, of mass the excess (Bercovici & Voiculescu 1998)."""
    total = atoms([0, 1], [F(3, 4), F(1, 4)]) + atoms([0, 5], [F(2, 3), F(1, 3)])
    found = [(float(a.x), float(a.mass)) for a in total.atoms]
    assert [x for x, _ in found] == pytest.approx([0, 5], abs=1e-10)
    assert [w for _, w in found] == pytest.approx([5 / 12, 1 / 12], abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [("semicircle", "two"), ("mp-1/2", "three")])
def test_subordination_of_a_sum(a, b):
    """g(z) = g_a(w_a) = g_b(w_b) and w_a + w_b = z + 1/g(z); each w is above z (Biane 1998)."""
    total, z = law(a) + law(b), np.array([1 + 1j, -0.4 + 0.3j, 2 + 0.05j])
    w_a, w_b = total.subordination(z)
    g = total.stieltjes(z)
    np.testing.assert_allclose(law(a).stieltjes(w_a), g, rtol=1e-11)
    np.testing.assert_allclose(law(b).stieltjes(w_b), g, rtol=1e-11)
    np.testing.assert_allclose(w_a + w_b, z + 1 / g, rtol=1e-11)
    assert np.all(np.imag(w_a) >= z.imag) and np.all(np.imag(w_b) >= z.imag)


# ---------------------------------------------------------------------------------------------
# products


@pytest.mark.parametrize(("a", "b"), [("mp-1", "mp-1/2"), ("mp-2", "three"), ("three", "mp-1"), ("mp-1/2", "two")])
def test_product_commutes_and_s_transforms_multiply(a, b):
    both = law(a) * law(b)
    agree(both, law(b) * law(a), orders=6)
    parts = [inverse_s([law(x).moment(k) for k in range(1, 7)]) for x in (a, b)]
    assert [both.moment(k) for k in range(1, 7)] == moments_from_s(mul(*parts, 6), 6)


def test_product_associates():
    a, b, c = law("mp-1"), law("mp-1/2"), law("three")
    agree((a * b) * c, a * (b * c), orders=6, tolerance=1e-11)


def test_products_of_marchenko_pastur_are_fuss_catalan():
    for check in (check_moments, check_stieltjes, check_density, check_hard_edges, check_support):
        check(law("mp-1") * law("mp-1"), oracle.fuss_catalan(2))
    check_density(law("mp-1") * law("mp-1") * law("mp-1"), oracle.fuss_catalan(3))


def test_product_of_projections():
    """Traces 1/2 and 1/4: the free Jacobi law on a quarter of the space, and an atom."""
    both = atoms([0, 1]) * atoms([0, 1], [F(3, 4), F(1, 4)])
    corner = oracle.projections(HALF, F(1, 4))
    x = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(both.pdf(x), [float(corner.branch.density(v)) / 4 for v in x], rtol=1e-10)
    assert [(float(a.x), float(a.mass)) for a in both.atoms] == [(0.0, pytest.approx(0.75, abs=1e-12))]
    assert [both.moment(k) for k in range(1, 11)] == [m / 4 for m in corner.moments[:10]]


def test_product_with_an_indefinite_law():
    """T^(1/2) X T^(1/2), X a semicircle: even free cumulants of the product of T with a symmetric law; no square root taken."""
    product = law("semicircle") * law("three")
    root = rmtp.diag(rmtp.IID(N, rmtp.Discrete([0, 1, math.sqrt(3)])))
    same = rmtp.spectrum(root @ rmtp.GOE(N) @ root)
    np.testing.assert_allclose(product.stieltjes(Z), same.stieltjes(Z), rtol=1e-11)
    np.testing.assert_allclose(
        [float(product.moment(k)) for k in range(1, 9)],
        [float(same.moment(k)) for k in range(1, 9)],
        rtol=1e-12,
        atol=1e-14,
    )
    # tr (T X)^2 = (tr T)^2, tr (T X)^4 = 2 (tr T)^2 tr T^2 for free X
    t1, t2 = F(4, 3), F(10, 3)
    assert [product.moment(k) for k in (1, 2, 3, 4)] == [0, t1**2, 0, 2 * t1**2 * t2]


def test_product_of_two_indefinite_laws_is_refused():
    with pytest.raises(rmtp.errors.RmtpError):
        (law("semicircle") * law("two")).moment(4)


@pytest.mark.parametrize(("a", "b"), [("mp-1", "mp-1/2"), ("mp-2", "three")])
def test_subordination_of_a_product(a, b):
    """z g(z) = w g_a(w) for either factor."""
    both, z = law(a) * law(b), np.array([1 + 1j, -0.4 + 0.3j, 2 + 0.05j])
    w_a, w_b = both.subordination(z)
    h = z * both.stieltjes(z)
    np.testing.assert_allclose(w_a * law(a).stieltjes(w_a), h, rtol=1e-10)
    np.testing.assert_allclose(w_b * law(b).stieltjes(w_b), h, rtol=1e-10)
    np.testing.assert_allclose(w_a * w_b, z * h / (h - 1), rtol=1e-10)


def test_scale_and_shift():
    base = marchenko_pastur(2)
    moved = 3 * base + 1
    x = np.array([0.3, 1.0, 4.0])
    np.testing.assert_allclose(moved.pdf(3 * x + 1), base.pdf(x) / 3, rtol=1e-11)
    np.testing.assert_allclose(moved.stieltjes(3 * Z + 1), base.stieltjes(Z) / 3, rtol=1e-11)
    np.testing.assert_allclose((base * -1).cdf(-x), 1 - base.cdf(x), atol=1e-9)
    assert moved.moment(1) == 3 * base.moment(1) + 1
    assert [float(a.x) for a in moved.atoms] == [pytest.approx(1.0, abs=1e-12)]


# ---------------------------------------------------------------------------------------------
# transforms


W = np.array([0.1, -0.2, 0.05 + 0.1j, -0.1j])


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda: semicircle(3), lambda w: 3 * w),
        (lambda: marchenko_pastur(2), lambda w: 1 / (1 - 2 * w)),
        (lambda: atoms([-1, 1]), lambda w: (np.sqrt(1 + 4 * w**2) - 1) / (2 * w)),
    ],
    ids=["semicircle", "mp", "signs"],
)
def test_r_transform(make, formula):
    np.testing.assert_allclose(make().r_transform(W), formula(W), rtol=1e-10)


def test_r_transform_inverts_g():
    for name in ("three", "mp-1/2", "two"):
        z = np.array([9.0, 12 + 3j, -20 + 1j])
        g = law(name).stieltjes(z)
        np.testing.assert_allclose(law(name).r_transform(g) + 1 / g, z, rtol=1e-10)


@pytest.mark.parametrize("ratio", [HALF, 1, 2])
def test_s_transform_of_marchenko_pastur(ratio):
    y = np.array([0.1, -0.2, 0.05 + 0.1j])
    np.testing.assert_allclose(marchenko_pastur(ratio).s_transform(y), 1 / (1 + float(ratio) * y), rtol=1e-10)


def test_s_transform_of_a_product():
    y = np.array([0.1, -0.2])
    both = law("mp-1") * law("mp-1/2")
    expected = law("mp-1").s_transform(y) * law("mp-1/2").s_transform(y)
    np.testing.assert_allclose(both.s_transform(y), expected, rtol=1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_free_cumulants(name):
    kappa = law(name).free_cumulants(8)
    assert all(isinstance(k, F) for k in kappa)
    assert kappa == cumulants_from_moments([law(name).moment(k) for k in range(1, 9)])


def test_free_cumulants_of_the_classics():
    assert semicircle(F(1, 3)).free_cumulants(6) == [0, F(1, 3), 0, 0, 0, 0]
    assert marchenko_pastur(2).free_cumulants(5) == [1, 2, 4, 8, 16]
    X, Y = rmtp.GOE(N), rmtp.GOE(N)
    assert rmtp.spectrum(X @ Y + Y @ X).free_cumulants(8) == [0, 2] * 4
    assert atoms([-1, 1]).free_cumulants(8) == [0, 1, 0, -1, 0, 2, 0, -5]


# ---------------------------------------------------------------------------------------------
# like scipy.stats


SHAPES = {
    "semicircle": semicircle,
    "mp-2": lambda: marchenko_pastur(2),
    "mp-1": marchenko_pastur,
    "gap": lambda: atoms([-2, 2]) + semicircle(),
    "arcsine": lambda: atoms([-1, 1]) + atoms([-1, 1]),
}
shape = functools.cache(lambda name: SHAPES[name]())


@pytest.mark.parametrize("name", SHAPES)
def test_cdf_and_ppf_invert_each_other(name):
    it = shape(name)
    q = np.array([0.51, 0.6, 0.75, 0.9, 0.99])
    np.testing.assert_allclose(it.cdf(it.ppf(q)), q, atol=1e-10)
    low = np.array([0.01, 0.2, 0.4])
    x = it.ppf(low)
    mass = float(it.atoms[0].mass) if it.atoms else 0.0
    assert np.all(x == 0) if mass else np.allclose(it.cdf(x), low, atol=1e-10)
    assert np.all(np.diff(it.ppf(np.linspace(0, 1, 41))) >= 0)


@pytest.mark.parametrize("name", SHAPES)
def test_moments_by_integration(name):
    """expect, by the density, against the series."""
    it = shape(name)
    for k in (1, 2, 5):
        assert it.expect(lambda x, k=k: x**k) == pytest.approx(float(it.moment(k)), rel=1e-9, abs=1e-9)
    assert it.mean() == it.moment(1)
    assert float(it.var()) == pytest.approx(float(it.moment(2) - it.moment(1) ** 2), rel=1e-12)
    assert float(it.std()) == pytest.approx(math.sqrt(float(it.var())), rel=1e-12)


def test_log_determinant():
    """E log lambda = -1 - (1 - c)/c log(1 - c) for ratio c < 1, -1 for c = 1 (Bai & Silverstein 2004)."""
    for c in (HALF, F(1, 4)):
        expected = -1 - float((1 - c) / c) * math.log(1 - c)
        assert marchenko_pastur(c).expect(np.log) == pytest.approx(expected, abs=1e-9)
    assert marchenko_pastur().expect(np.log) == pytest.approx(-1, abs=1e-7)


@pytest.mark.parametrize("name", SHAPES)
def test_rvs(name):
    """Kolmogorov: sup |F_n - F| <= 1.95/sqrt(n) but for once in 1000 (fixed seed)."""
    it = shape(name)
    draws = np.sort(it.rvs(2000, np.random.default_rng(1)))
    assert draws.shape == (2000,)
    clear = np.abs(draws) > 1e-9
    off = np.abs(it.cdf(draws[clear]) - (np.flatnonzero(clear) + 0.5) / 2000)
    assert off.max() <= 1.95 / math.sqrt(2000)
    if it.atoms:
        assert abs(np.mean(draws == 0) - 0.5) < 4 * 0.5 / math.sqrt(2000)


@pytest.mark.parametrize("name", ["mp-2", "product"])
def test_sample(name):
    """Eigenvalues of one draw of the library's own matrices, where the cdf says."""
    X, Y = rmtp.Gaussian(rmtp.Dim("m", 2), N), rmtp.Gaussian(N, N)
    it = rmtp.spectrum(X @ X.T if name == "mp-2" else X @ Y @ Y.T @ X.T)
    eigenvalues = np.sort(it.sample(300, np.random.default_rng(2)))
    assert len(eigenvalues) == 600
    at = np.array([310, 400, 500, 590])
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.max(abs(600 * it.cdf(middle) - at - 1)) <= 6


@pytest.mark.parametrize("scale", [1, 2])
def test_sample_of_a_free_product(scale):
    """A B is not symmetric; its eigenvalues are drawn all the same, not those of its symmetric part."""
    it = scale * (marchenko_pastur(HALF) * (semicircle() + 3))
    eigenvalues = it.sample(300, np.random.default_rng(5))
    at = np.array([10, 50, 150, 250, 290])
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.max(abs(300 * it.cdf(middle) - at - 1)) <= 6


def test_equation():
    text = rmtp.spectrum(rmtp.GOE(N)).equation()
    assert "z" in str(text) and "g" in str(text)
    assert "\\" in text.latex


@pytest.mark.parametrize("ratio", [HALF, 1, 2])
def test_wishart_is_the_product(ratio):
    m = rmtp.Dim("m", ratio)
    agree(rmtp.spectrum(rmtp.Wishart(m, N)), marchenko_pastur(ratio))


def test_wishart_used_twice():
    """S T S with one Wishart S is X (X.T T X) X.T."""
    m = rmtp.Dim("m", HALF)
    X, S = rmtp.Gaussian(m, N), rmtp.Wishart(m, N)
    T = rmtp.diag(rmtp.IID(m, rmtp.Discrete([1, 3])))
    agree(rmtp.spectrum(S @ T @ S), rmtp.spectrum(X @ X.T @ T @ X @ X.T), tolerance=1e-11)


def test_bi_invariant_with_gaussian_singular_values():
    """BiInvariant with the quarter circle is the Gaussian matrix, in a sum with another."""
    quarter = rmtp.singular_values(rmtp.Gaussian(N, N))
    W = rmtp.BiInvariant(N, N, quarter) + rmtp.Gaussian(N, N)
    law_ = rmtp.spectrum(W @ W.T)
    np.testing.assert_allclose(law_.stieltjes(2 * Z), marchenko_pastur().stieltjes(Z) / 2, rtol=1e-8)


# ---------------------------------------------------------------------------------------------
# laws of expressions inside other expressions


COPIED = {
    "wigner": lambda: rmtp.spectrum(rmtp.GOE(N, variance=2)),
    "covariance": lambda: rmtp.spectrum(_covariance(rmtp.Dim("a", F(3, 2)), rmtp.Dim("b", 3))),
    "deformed": lambda: rmtp.spectrum(rmtp.GOE(N) + rmtp.diag(rmtp.IID(N, rmtp.Discrete([-1, 0, 3])))),
    "inverse": lambda: rmtp.spectrum(rmtp.inv(rmtp.GOE(N) ** 2 + rmtp.eye(N))),
    "atoms": lambda: atoms([2, 3]),
}


def _covariance(a, b):
    W, T = rmtp.Gaussian(a, b), rmtp.diag(rmtp.IID(b, rmtp.Discrete([1, 2])))
    return W @ T @ W.T


@pytest.mark.parametrize("name", COPIED)
def test_a_law_inside_an_expression_is_a_free_copy(name):
    """Free cumulants add, on another width too; with the diagonal of the other summand it must not share its eigenvectors."""
    it, n = COPIED[name](), rmtp.Dim("k", F(5, 2))
    D = rmtp.diag(rmtp.IID(n, rmtp.Discrete([0, 4])))
    total = rmtp.spectrum(rmtp.Invariant(n, it) + D)
    own = cumulants_from_moments([it.moment(k) for k in range(1, 7)])
    other = cumulants_from_moments([F(4) ** k / 2 for k in range(1, 7)])
    kappa = [x + y for x, y in zip(own, other, strict=True)]
    expected = [float(m) for m in moments_from_cumulants(kappa, 6)]
    z = 40 * np.exp(1j * np.pi * (np.arange(64) + 0.5) / 64)  # contour moments, the lower half is the conjugate
    g = total.stieltjes(z)
    found = [np.mean(g * z ** (k + 1)).real for k in range(1, 7)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_two_uses_of_a_copied_law():
    """A B A with A given by a law of an expression, against the same with the expression written out."""
    A, B, W = rmtp.Invariant(N, marchenko_pastur(HALF)), rmtp.GOE(N), rmtp.Gaussian(N, M)
    z = np.array([1 + 1j, -0.5 + 0.1j, 3 + 0.01j])
    written = W @ W.T @ B @ W @ W.T
    mine = rmtp.spectrum(A @ B @ A).stieltjes(z)
    S = rmtp.Wishart(N, M)
    np.testing.assert_allclose(mine, rmtp.spectrum(S @ B @ S).stieltjes(z), rtol=1e-10)
    np.testing.assert_allclose(mine, rmtp.spectrum(written).stieltjes(z), rtol=1e-10)


def test_expectations_with_singularities():
    """log against a hard edge, a square root at 0, a kink inside: adaptive pieces settle on all of them."""
    it = marchenko_pastur()
    assert it.expect(np.log) == pytest.approx(-1, abs=1e-11)
    assert it.expect(np.sqrt) == pytest.approx(8 / (3 * math.pi), rel=1e-11)
    assert it.expect(lambda x: np.abs(x - 1)) == pytest.approx(_kink(), rel=1e-10)


def _kink():
    """int |x - 1| sqrt(x (4 - x)) / (2 pi x) dx by mpmath, x = 4 sin(t)^2."""
    with mp.workdps(25):
        f = lambda t: abs(4 * mp.sin(t) ** 2 - 1) * 4 * mp.cos(t) ** 2 / mp.pi  # noqa: E731
        return float(mp.quad(f, [0, mp.pi / 6, mp.pi / 2]))
