"""Classical laws, each three lines of matrices, against oracles that know no engine.

Every law is checked for exact moments 1..10, g at complex points, density, hard edges, cdf, support, exponents, atoms, and a
NumPy draw; the oracles themselves are checked first, by contour integrals and by their own draws.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction as F

import law_networks as networks
import law_oracles as oracle
import mpmath as mp
import numpy as np
import pytest
from law_checks import (
    CHECKS,
    check_continuation,
    check_density,
    check_moments,
    check_outside,
    check_stieltjes,
    check_support,
)

import rmtp

HALF = F(1, 2)
N = rmtp.Dim("n")


def semicircle():
    return rmtp.GOE(N, variance=4)


def wishart(ratio):
    W = rmtp.Gaussian(rmtp.Dim("m", F(ratio)), N)
    return W @ W.T


def gaussian_product(*ratios):
    dims = [rmtp.Dim(f"d{k}", F(r)) for k, r in enumerate(ratios)]
    J = rmtp.Gaussian(dims[1], dims[0])
    for rows, cols in zip(dims[2:], dims[1:], strict=False):
        J = rmtp.Gaussian(rows, cols) @ J
    return J @ J.T


def population(dim, atoms, root=False):
    values = [F(math.isqrt(int(t))) if root else t for t in atoms]
    assert not root or all(v * v == t for v, t in zip(values, atoms, strict=True))
    return rmtp.diag(rmtp.IID(dim, rmtp.Discrete(values, list(atoms.values()))))


def sample_covariance(atoms, ratio):
    """T^(1/2) X X.T T^(1/2), by its square roots."""
    m = rmtp.Dim("m", F(ratio))
    X, root = rmtp.Gaussian(m, N), population(m, atoms, root=True)
    return root @ X @ X.T @ root


def deformed(atoms, variance=1):
    return population(N, atoms) + rmtp.GOE(N, variance=variance)


def manova(p, n1, n2):
    """X1 and X2 with entries of one variance."""
    rows, first, second = rmtp.Dim("p", F(p)), rmtp.Dim("n1", F(n1)), rmtp.Dim("n2", F(n2))
    X1, X2 = rmtp.Gaussian(rows, first, variance=F(n1)), rmtp.Gaussian(rows, second, variance=F(n2))
    return X1.T @ rmtp.inv(X1 @ X1.T + X2 @ X2.T) @ X1


def f_matrix(c1, c2):
    p, first, second = rmtp.Dim("p"), rmtp.Dim("n1", 1 / F(c1)), rmtp.Dim("n2", 1 / F(c2))
    W1, W2 = rmtp.Gaussian(p, first), rmtp.Gaussian(p, second)
    return W1.T @ rmtp.inv(W2 @ W2.T) @ W1


def free_jacobi(alpha, beta):
    """A corner of a free projection: V.T P V with V an isometry onto beta of the space."""
    n, k = rmtp.Dim("n"), rmtp.Dim("k", F(beta))
    V = rmtp.Haar(n, k)
    return V.T @ rmtp.diag(rmtp.IID(n, rmtp.Discrete([0, 1], [1 - F(alpha), F(alpha)]))) @ V


def signs():
    return rmtp.Invariant(N, rmtp.Discrete([-1, 1])) + rmtp.diag(rmtp.IID(N, rmtp.Discrete([-1, 1])))


def haar_sum(terms):
    us = [rmtp.Haar(N) for _ in range(terms)]
    return sum(u + u.T for u in us)


def conjugate_kernel(linear, noise, data, ratio):
    """F.T F with F = mu1 W X + mu* Theta over the root of its rows: widths n1 = 1, m = ratio, n0 = ratio/data."""
    n1, m, n0 = rmtp.Dim("n1"), rmtp.Dim("m", F(ratio)), rmtp.Dim("n0", F(ratio) / F(data))
    W, X = rmtp.Gaussian(n1, n0), rmtp.Gaussian(n0, m, variance=F(linear) * F(ratio))
    K = W @ X + rmtp.Gaussian(n1, m, variance=F(noise) * F(ratio))
    return K.T @ K


ANTICOMMUTATORS = {
    "XY+YX": lambda X, Y, V, W: X @ Y + Y @ X,
    "WWt-WtW": lambda X, Y, V, W: W @ W.T - W.T @ W,
    "WW+WtWt": lambda X, Y, V, W: W @ W + W.T @ W.T,
    "VW+(VW)t": lambda X, Y, V, W: V @ W + (V @ W).T,
    "XX-YY": lambda X, Y, V, W: X @ X - Y @ Y,
}


def anticommutator(name):
    return ANTICOMMUTATORS[name](rmtp.GOE(N), rmtp.GOE(N), rmtp.Gaussian(N, N), rmtp.Gaussian(N, N))


SPIKY = {F(0): F(1, 4), F(1): HALF, F(4): F(1, 4)}
CASES = {
    "semicircle": (semicircle, lambda: oracle.semicircle(F(4))),
    **{
        f"mp-{r}": (lambda r=r: wishart(r), lambda r=r: oracle.marchenko_pastur(F(r)))
        for r in ("1/4", "1/2", "1", "2", "5")
    },
    **{
        f"fuss-catalan-{L}": (lambda L=L: gaussian_product(*[1] * (L + 1)), lambda L=L: oracle.fuss_catalan(L))
        for L in (2, 3)
    },
    "product-1-2-1/2": (lambda: gaussian_product(1, 2, HALF), lambda: oracle.gaussian_product(F(1), F(2), HALF)),
    "product-1/2-2-1": (lambda: gaussian_product(HALF, 2, 1), lambda: oracle.gaussian_product(HALF, F(2), F(1))),
    "product-1-2-1-1": (lambda: gaussian_product(1, 2, 1, 1), lambda: oracle.gaussian_product(F(1), F(2), F(1), F(1))),
    "covariance-gap": (
        lambda: sample_covariance({F(1): HALF, F(9): HALF}, F(1, 10)),
        lambda: oracle.silverstein({F(1): HALF, F(9): HALF}, F(1, 10)),
    ),
    "covariance-atom": (lambda: sample_covariance(SPIKY, 2), lambda: oracle.silverstein(SPIKY, F(2))),
    "covariance-critical": (lambda: sample_covariance(SPIKY, F(4, 3)), lambda: oracle.silverstein(SPIKY, F(4, 3))),
    "deformed-gap": (
        lambda: deformed({F(-2): HALF, F(2): HALF}),
        lambda: oracle.deformed_semicircle({F(-2): HALF, F(2): HALF}),
    ),
    "deformed-cusp": (
        lambda: deformed({F(-1): HALF, F(1): HALF}),
        lambda: oracle.deformed_semicircle({F(-1): HALF, F(1): HALF}, hard={F(0): F(1, 3)}),
    ),
    "deformed-three": (
        lambda: deformed({F(-3): F(1, 5), F(0): F(2, 5), F(2): F(2, 5)}, F(1, 4)),
        lambda: oracle.deformed_semicircle({F(-3): F(1, 5), F(0): F(2, 5), F(2): F(2, 5)}, F(1, 4)),
    ),
    "manova": (lambda: manova(1, 2, 3), lambda: oracle.projections(F(1, 5), F(2, 5))),
    "manova-short": (lambda: manova(2, 1, 3), lambda: oracle.projections(HALF, F(1, 4))),
    "f-matrix": (lambda: f_matrix(HALF, F(1, 4)), lambda: oracle.f_matrix(HALF, F(1, 4))),
    "f-matrix-square": (lambda: f_matrix(1, F(1, 4)), lambda: oracle.f_matrix(F(1), F(1, 4))),
    "f-matrix-tall": (lambda: f_matrix(2, F(1, 3)), lambda: oracle.f_matrix(F(2), F(1, 3))),
    "free-jacobi": (lambda: free_jacobi(HALF, F(1, 4)), lambda: oracle.projections(HALF, F(1, 4))),
    "free-jacobi-atoms": (lambda: free_jacobi(F(2, 5), F(4, 5)), lambda: oracle.projections(F(2, 5), F(4, 5))),
    "free-jacobi-arcsine": (lambda: free_jacobi(HALF, HALF), lambda: oracle.projections(HALF, HALF)),
    "arcsine-haar": (lambda: haar_sum(1), oracle.arcsine),
    "arcsine-signs": (signs, oracle.arcsine),
    "kesten-mckay-2": (lambda: haar_sum(2), lambda: oracle.kesten_mckay(2)),
    "kesten-mckay-3": (lambda: haar_sum(3), lambda: oracle.kesten_mckay(3)),
    "conjugate-kernel": (
        lambda: conjugate_kernel(HALF, F(1, 4), HALF, F(2, 3)),
        lambda: networks.conjugate_kernel(HALF, F(1, 4), HALF, F(2, 3)),
    ),
    "conjugate-kernel-square": (
        lambda: conjugate_kernel(HALF, F(1, 4), 2, 1),
        lambda: networks.conjugate_kernel(HALF, F(1, 4), F(2), F(1)),
    ),
    "anticommutator": (lambda: anticommutator("XY+YX"), oracle.anticommutator),
}


DEFAULT = {
    "mp-1/2", "mp-2", "fuss-catalan-3", "product-1-2-1-1", "covariance-gap", "covariance-critical", "deformed-gap",
    "deformed-cusp", "manova", "f-matrix-square", "free-jacobi-atoms", "arcsine-haar", "kesten-mckay-2", "conjugate-kernel",
    "anticommutator",
}  # fmt: skip
NAMES = [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@functools.cache
def law_of(name):
    return rmtp.spectrum(CASES[name][0]())


@functools.cache
def oracle_of(name):
    return CASES[name][1]()


@pytest.mark.parametrize("name", NAMES)
def test_oracle(name):
    """The oracle is sound, and its density has the exponents it states."""
    it = oracle_of(name)
    check_continuation(it, (0.2, 0.5, 0.9))
    for edge, exponent in it.exponents.items():
        inside = 1 if any(float(a) - 1e-12 <= edge < float(b) - 1e-12 for a, b in it.support) else -1
        with mp.workdps(40):
            exact = min([*(x for pair in it.support for x in pair), mp.mpf(edge)], key=lambda x: abs(x - edge))
            d = 9 if edge else 12  # the continuation runs in double precision
            near, far = (it.branch.density(exact + inside * mp.mpf(10) ** -k, 40) for k in (d, d - 1))
            assert abs(mp.log10(far / near) - exponent) < 1e-3, edge


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
@pytest.mark.parametrize("name", NAMES)
def test_law(name, check):
    check(law_of(name), oracle_of(name))


@pytest.mark.slow
@pytest.mark.parametrize("layers", range(1, 11))
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_fuss_catalan(layers, check):
    check(_fuss_catalan(layers), oracle.fuss_catalan(layers))


@functools.cache
def _fuss_catalan(layers):
    return rmtp.spectrum(gaussian_product(*[1] * (layers + 1)))


@pytest.mark.parametrize("layers", [5, pytest.param(10, marks=pytest.mark.slow)])
def test_deep_product(layers):
    """The physical root is not the one of largest imaginary part; its density is that of the trigonometric parametrisation
    x = sin((L+1)f)^(L+1)/(sin f sin(Lf)^L) (Penson & Zyczkowski 2011)."""  # fmt: skip
    law = _fuss_catalan(layers)
    angles = np.pi / (layers + 1) * np.array([0.02, 0.2, 0.4, 0.6, 0.8, 0.95])
    x = np.sin((layers + 1) * angles) ** (layers + 1) / (np.sin(angles) * np.sin(layers * angles) ** layers)
    rho = (
        np.sin(angles) ** 2
        * np.sin(layers * angles) ** (layers - 1)
        / (np.pi * np.sin((layers + 1) * angles) ** layers)
    )
    np.testing.assert_allclose(law.pdf(x), rho, rtol=1e-9)
    assert [law.moment(k) for k in range(1, 11)] == list(oracle.fuss_catalan(layers).moments[:10])
    assert law.edges[-1].x == pytest.approx((layers + 1) ** (layers + 1) / layers**layers, rel=1e-12)
    assert float(law.edges[0].exponent) == pytest.approx(-layers / (layers + 1), rel=1e-12)


@pytest.mark.parametrize("disguise", list(ANTICOMMUTATORS)[1:])
def test_one_law_in_five_disguises(disguise):
    """Different programs, one free cumulant series 0, 2, 0, 2, ...: moments equal, g and density to 1e-12."""
    law, same = rmtp.spectrum(anticommutator(disguise)), law_of("anticommutator")
    assert [law.moment(k) for k in range(1, 13)] == [same.moment(k) for k in range(1, 13)]
    z = np.array([1 + 1j, 0.3 + 0.01j, 2 - 0.5j, 5 + 0j, 1e-3 + 1e-6j])
    np.testing.assert_allclose(law.stieltjes(z), same.stieltjes(z), rtol=1e-12)
    x = np.array([-3.3, -1.0, 1e-6, 0.0, 0.5, 2.5, 3.33])
    np.testing.assert_allclose(law.pdf(x), same.pdf(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.array(law.support()), np.array(same.support()), rtol=1e-11)


@pytest.mark.parametrize("check", [check_moments, check_stieltjes, check_density, check_outside, check_support])
@pytest.mark.parametrize("form", ["columns", "rows"])
def test_covariance_written_otherwise(form, check):
    """T^(1/2) X X.T T^(1/2), and X.T T X with moments times the ratio and another atom."""
    atoms, ratio = {F(1): HALF, F(9): HALF}, F(1, 10)
    rows = oracle.silverstein(atoms, ratio)
    if form == "rows":
        check(_covariance("rows"), rows)
        return
    g = lambda t, z: t  # noqa: E731  the companion is the parameter itself
    branch = oracle.Branch(rows.branch.P, g=g, reach=rows.branch.reach)
    moments = tuple(ratio * m for m in rows.moments)
    check(_covariance("columns"), oracle.Oracle(moments, branch, rows.support, {F(0): 1 - ratio}, {}))


@functools.cache
def _covariance(form):
    m = rmtp.Dim("m", F(1, 10))
    T = {F(1): HALF, F(9): HALF}
    if form == "rows":
        return rmtp.spectrum(sample_covariance(T, F(1, 10)))
    X = rmtp.Gaussian(m, N)
    return rmtp.spectrum(X.T @ population(m, T) @ X)


def test_continuous_population():
    """A uniform population on [1, 3]: moments by the companion's cumulants c E t^k, density by its own equation."""
    import scipy.stats

    c = F(1, 4)
    m = rmtp.Dim("m", c)
    X = rmtp.Gaussian(m, N)
    law = rmtp.spectrum(X.T @ rmtp.diag(rmtp.IID(m, scipy.stats.uniform(1, 2))) @ X)
    kappa = [c * F(3 ** (k + 1) - 1, 2 * (k + 1)) for k in range(1, 11)]
    expected = oracle.moments_from_cumulants(kappa, 10)
    np.testing.assert_allclose([float(law.moment(k)) for k in range(1, 11)], [float(e) for e in expected], rtol=1e-10)
    for x in (0.5, 1.0, 2.0, 3.5):
        # E t/(1 - t g) = (-2 g - log((1 - 3 g)/(1 - g)))/(2 g^2)
        with mp.workdps(25):
            g = mp.mpc(complex(law.stieltjes(x + 1e-9j)))
            rate = mp.mpf(c.numerator) / c.denominator
            root = mp.findroot(
                lambda g, x=x, rate=rate: 1 / g + rate * (-2 * g - mp.log(1 - 3 * g) + mp.log(1 - g)) / (2 * g * g) - x,
                g,
            )
            assert abs(root - g) < 1e-6
            assert float(law.pdf(x)) == pytest.approx(float(-mp.im(root) / mp.pi), rel=1e-9)


# ---------------------------------------------------------------------------------------------
# spikes


@pytest.mark.parametrize("theta", [F(3, 2), 2, F(-5, 2)])
def test_goe_spike(theta):
    """BBP: theta + 1/theta beyond |theta| = 1, overlap 1 - 1/theta^2 (Benaych-Georges & Nadakuditi 2011)."""
    u = rmtp.Normal(N, name="u")
    law = rmtp.spectrum(rmtp.GOE(N) + theta * rmtp.outer(u, u))
    (outlier,) = law.outliers
    assert float(outlier.x) == pytest.approx(float(theta + 1 / F(theta)), abs=1e-10)
    assert outlier.overlaps == {"u": pytest.approx(float(1 - 1 / F(theta) ** 2), abs=1e-9)}
    check_density(law, oracle.semicircle())
    check_support(law, oracle.semicircle())


@pytest.mark.parametrize("theta", [F(1, 2), F(-9, 10), 1])
def test_weak_spike_has_no_outlier(theta):
    u = rmtp.Normal(N)
    assert tuple(rmtp.spectrum(rmtp.GOE(N) + theta * rmtp.outer(u, u)).outliers) == ()


def test_two_goe_spikes():
    u, v = rmtp.Normal(N), rmtp.Normal(N)
    law = rmtp.spectrum(rmtp.GOE(N) + 3 * rmtp.outer(u, u) - 2 * rmtp.outer(v, v))
    assert sorted(float(o.x) for o in law.outliers) == pytest.approx([-2.5, 10 / 3], abs=1e-10)


@pytest.mark.parametrize("spike", [2, 5])
def test_covariance_spike(spike):
    """(1 + l)(1 + c/l), overlap (1 - c/l^2)/(1 + c/l) (Paul 2007): population I + l u u.T with l > sqrt(c)."""
    c = F(1, 2)
    m = rmtp.Dim("m", c)
    u, X = rmtp.Normal(m, name="u"), rmtp.Gaussian(m, N)
    # (I + a u u.T/m)^2 = I + l u u.T/m for a = sqrt(1 + l) - 1
    root = rmtp.eye(m) + (math.sqrt(1 + spike) - 1) * rmtp.outer(u, u)
    law = rmtp.spectrum(root @ X @ X.T @ root)
    (outlier,) = law.outliers
    assert float(outlier.x) == pytest.approx(float((1 + spike) * (1 + c / spike)), abs=1e-9)
    expected = float((1 - c / spike**2) / (1 + c / spike))
    assert outlier.overlaps == {"u": pytest.approx(expected, abs=1e-8)}
