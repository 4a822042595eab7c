"""Polynomials of laws: the classical ones with symbols, and every one of them at points of the law itself."""

from __future__ import annotations

from fractions import Fraction

import pytest
import scipy.stats
import sympy

import rmtp
from rmtp.errors import UnsupportedOperation

g, z = sympy.symbols("g z")
rho, nu, s = (sympy.Symbol(name, positive=True) for name in ("rho", "nu", "s"))
POINTS = (0.3 + 0.7j, -1.2 + 0.05j, 2.5 + 1e-3j, 4 - 2j)


def same(found, expected):
    """Equal up to a constant factor."""
    ratio = sympy.cancel(found / expected)
    return ratio.is_number and ratio != 0


def test_the_semicircle_with_a_symbolic_variance():
    law = rmtp.spectrum(rmtp.GOE(rmtp.Dim("n"), variance=rmtp.symbol("s")))
    assert same(rmtp.derive(law).polynomial, s * g**2 - z * g + 1)


def test_marchenko_pastur_with_a_symbolic_ratio():
    """W.T W with W of shape rho n x n and entries of variance 1/n: z = 1/g + rho / (1 - g)."""
    W = rmtp.Gaussian(rmtp.Dim("m", ratio=rmtp.symbol("rho")), rmtp.Dim("n"))
    expected = sympy.numer(sympy.together(1 / g + rho / (1 - g) - z))
    assert same(rmtp.derive(rmtp.spectrum(W.T @ W)).polynomial, expected)


def test_a_product_of_two_wishart_factors_with_two_symbolic_ratios():
    """S-transforms: chi(y) = y / (1 + y) S(y), and chi(z g - 1) = 1 / z (Mueller 2002)."""
    n, m, k = rmtp.Dim("n"), rmtp.Dim("m", ratio=rmtp.symbol("rho")), rmtp.Dim("k", ratio=rmtp.symbol("nu"))
    W, V = rmtp.Gaussian(m, n), rmtp.Gaussian(k, m)
    y = z * g - 1
    expected = sympy.numer(sympy.together(y / (1 + y) * rho / ((rho + y) * (nu + y)) - 1 / z))
    found = rmtp.derive(rmtp.spectrum((V @ W).T @ (V @ W))).polynomial
    _, factors = sympy.factor_list(expected)
    assert any(same(found, f) for f, _ in factors)
    assert sympy.degree(found, g) == 3


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fuss_catalan(depth):
    """Products of square matrices: z^depth g^(depth + 1) = z g - 1 (Penson & Zyczkowski 2011)."""
    n = rmtp.Dim("n")
    M = rmtp.Gaussian(n, n)
    for _ in range(depth - 1):
        M = rmtp.Gaussian(n, n) @ M
    found = rmtp.derive(rmtp.singular_values(M))
    assert same(found.polynomial, z**depth * g ** (depth + 1) - z * g + 1)
    assert found.degree == depth + 1


def test_the_anticommutator():
    """Nica & Speicher 1998: z g^3 + g^2 - z g + 1 = 0."""
    X, Y = (rmtp.GOE(rmtp.Dim("n")) for _ in range(2))
    assert same(rmtp.derive(rmtp.spectrum(X @ Y + Y @ X)).polynomial, z * g**3 + g**2 - z * g + 1)


def test_the_arcsine_law():
    """Q + Q.T: density 1 / (pi sqrt(4 - x^2)), so (z^2 - 4) g^2 = 1."""
    Q = rmtp.Haar(rmtp.Dim("n"))
    assert same(rmtp.derive(rmtp.spectrum(Q + Q.T)).polynomial, (z**2 - 4) * g**2 - 1)


def pastur(values, weights):
    """Deformed semicircle, Pastur 1972: g = sum_k w_k / (z - d_k - g)."""
    total = sum(w / (z - d - g) for d, w in zip(values, weights, strict=True))
    return sympy.numer(sympy.together(total - g))


def test_a_deformed_semicircle_with_symbolic_atoms():
    n, h, p = rmtp.Dim("n"), rmtp.symbol("h"), rmtp.symbol("p")
    law = rmtp.spectrum(rmtp.GOE(n) + rmtp.diag(rmtp.IID(n, [-2, 0, 1])))
    assert same(rmtp.derive(law).polynomial, pastur([-2, 0, 1], [sympy.Rational(1, 3)] * 3))
    H, P = sympy.Symbol("h", positive=True), sympy.Symbol("p", positive=True)
    symbolic = rmtp.spectrum(rmtp.GOE(n) + rmtp.diag(rmtp.IID(n, rmtp.Discrete([0, h], [1 - p, p]))))
    assert same(rmtp.derive(symbolic).polynomial, pastur([0, H], [1 - P, P]))


def expressions():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=Fraction(3, 2))
    X, Y, W, Q = rmtp.GOE(n), rmtp.GOE(n, variance=2), rmtp.Gaussian(m, n), rmtp.Haar(n)
    D = rmtp.diag(rmtp.IID(n, [0, 1]))
    return {
        "semicircle": X,
        "wishart": W.T @ W,
        "wishart plus wigner": W.T @ W + X,
        "square plus wigner": X @ X + Y,
        "anticommutator": X @ Y + Y @ X,
        "diagonal": D @ X @ D,
        "haar": Q + Q.T + X,
        "affine": X @ X - 3 * X,
        "companion": W @ W.T,
        "ensemble": rmtp.Wishart(n, m) + X,
    }


@pytest.mark.parametrize("name", expressions())
def test_the_law_satisfies_its_polynomial(name):
    law = rmtp.spectrum(expressions()[name])
    found = rmtp.derive(law)
    terms = [(abs(float(c)), i, j) for (i, j), c in sympy.Poly(found.polynomial, g, z).terms()]
    for point in POINTS:
        value = complex(law.stieltjes(point))
        scale = sum(c * abs(value) ** i * abs(point) ** j for c, i, j in terms)
        assert abs(found.evaluate(value, point)) <= 1e-11 * scale
    assert abs(found.evaluate(0.371, 0.3 + 0.7j)) > 1e-3  # no polynomial that everything satisfies


@pytest.mark.parametrize("name", ["wishart plus wigner", "square plus wigner", "anticommutator", "companion"])
def test_the_series_at_infinity_has_the_exact_moments(name):
    """g = sum m_k / z^(k+1) put into P leaves only orders past the last moment."""
    law, order = rmtp.spectrum(expressions()[name]), 6
    polynomial = sympy.Poly(rmtp.derive(law).polynomial, g, z)
    w = sympy.Symbol("w")
    series = sum(sympy.Rational(law.moment(k)) * w ** (k + 1) for k in range(order + 1))
    top = max(j for _, j in polynomial.monoms())
    left = sympy.Poly(
        sum(c * series**i * w ** (top - j) for (i, j), c in polynomial.terms()), w
    )  # P(series, 1/w) w^top
    assert min(k for (k,) in left.monoms()) >= order + 1  # a wrong moment of order k shows at w^(k + 1)


def test_what_is_not_algebraic_is_refused():
    n = rmtp.Dim("n")
    for expression in (
        rmtp.GOE(n) + rmtp.diag(rmtp.Normal(n)),
        rmtp.Invariant(n, scipy.stats.uniform()) + rmtp.GOE(n),
    ):
        with pytest.raises(UnsupportedOperation):
            rmtp.derive(rmtp.spectrum(expression))
    X = rmtp.GOE(n)
    with pytest.raises(UnsupportedOperation):
        rmtp.derive(rmtp.spectrum(X @ X @ X))


def test_text_and_latex():
    W = rmtp.Gaussian(rmtp.Dim("m", ratio=rmtp.symbol("rho")), rmtp.Dim("n"), name="W")
    found = rmtp.derive(rmtp.spectrum(W.T @ W))
    assert "Theta_2 = rho*Phi_2" in str(found)
    assert str(found).endswith(f"eliminated: {found.polynomial} = 0")
    assert found.latex() == r"z g^{2} + \left(\rho - z - 1\right) g + 1 = 0"
    assert found.sympy()["g"] == sympy.Eq(found.polynomial, 0)
