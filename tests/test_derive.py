"""Equations of limits: exact polynomials, named expectations that agree with `limit`, symbols that are never frozen."""

from __future__ import annotations

import operator
import sys
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import scipy.stats
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import rmtp
from rmtp.errors import BadParameter, NotExact, NotPSD, UnsupportedOperation, ZeroDivisor
from rmtp.quantity import Undecided, of_symbol

RHO, SIGMA = rmtp.symbol("rho"), rmtp.symbol("sigma")
rho, sigma = sympy.Symbol("rho", positive=True), sympy.Symbol("sigma", positive=True)


def powers(M, v, k):
    for _ in range(k):
        v = M @ v
    return v


# -- the ring ------------------------------------------------------------------------------------


OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.sampled_from(["a", "b", "c", 2, Fraction(-3, 4)])), max_size=7))
def test_quantities_compute_as_sympy_does(steps):
    names = {s: sympy.Symbol(s, positive=True) for s in "abc"}
    mine, theirs = rmtp.symbol("a") + 1, names["a"] + 1
    for op, other in steps:
        q = rmtp.symbol(other) if isinstance(other, str) else other
        e = names[other] if isinstance(other, str) else sympy.Rational(other)
        mine, theirs = OPERATIONS[op](mine, q), OPERATIONS[op](theirs, e)
    written = mine.expression if hasattr(mine, "expression") else sympy.Rational(mine)
    assert sympy.cancel(written - theirs) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(-4, 4))
def test_equal_quantities_have_equal_hashes(i, j, k):
    """Whatever other symbols a computation has passed through, and whichever way it went."""
    a, b, c = (rmtp.symbol(s) for s in "abc")
    one, other = (a**i - b**j) / (a + k + 7 * b), (a**i * c - b**j * c) / (c * a + k * c + 7 * b * c)
    assert one == other
    assert hash(one) == hash(other)


def test_what_cancels_is_a_fraction():
    assert Fraction(2) == (RHO + 2) - RHO
    assert isinstance(RHO / RHO, Fraction)
    assert (RHO - RHO) == 0
    assert Fraction(3, 10) * RHO == 0.3 * RHO


def test_no_symbol_is_frozen_to_a_number():
    x = rmtp.Normal(rmtp.Dim("n"))
    slope = lambda q: rmtp.leaky_relu(x, q)  # noqa: E731
    for use in (float, lambda q: np.asarray(q, dtype=float), np.sqrt, np.tanh, slope):
        with pytest.raises((UnsupportedOperation, BadParameter)):
            use(RHO)
    with pytest.raises(UnsupportedOperation):
        rmtp.limit(np.mean((RHO * rmtp.Normal(rmtp.Dim("n"))) ** 2))
    with pytest.raises(Undecided):
        bool(RHO > 1)
    with pytest.raises(ZeroDivisor):
        RHO / 0
    with pytest.raises(UnsupportedOperation):
        RHO ** Fraction(1, 2)
    assert RHO > 0
    assert -RHO - 1 < 0
    assert RHO + 1 > 1
    assert abs(-RHO * SIGMA) == RHO * SIGMA


def test_bad_symbols():
    for name in ("", "1a", "a b", 3):
        with pytest.raises(BadParameter):
            rmtp.symbol(name)
    with pytest.raises(BadParameter):
        of_symbol(sympy.Symbol("x")) + rmtp.symbol("x")
    with pytest.raises(UnsupportedOperation):
        rmtp.Dim("n", ratio=sympy.sqrt(rho))
    with pytest.raises(NotPSD):
        rmtp.Normal(rmtp.Dim("n"), cov=[[1, RHO], [SIGMA, 1]])
    with pytest.raises(BadParameter):
        rmtp.Discrete([0, 1], [RHO, RHO])


# -- polynomials ---------------------------------------------------------------------------------


def narayana(k, ratio):
    return sum(sympy.Rational(comb(k, j) * comb(k, j - 1), k) * ratio**j for j in range(1, k + 1))


@pytest.mark.parametrize("k", range(1, 7))
def test_moments_of_marchenko_pastur_are_narayana_polynomials(k):
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RHO)
    W, v = rmtp.Gaussian(m, n, std=SIGMA), rmtp.Normal(n)
    found = rmtp.derive(np.mean(v * powers(W.T @ W, v, k))).value
    assert sympy.expand(found - sigma ** (2 * k) * narayana(k, rho)) == 0


@pytest.mark.parametrize("k", range(1, 5))
def test_moments_of_the_semicircle_are_catalan_numbers(k):
    n = rmtp.Dim("n")
    A, v = rmtp.GOE(n, variance=SIGMA), rmtp.Normal(n)
    catalan = Fraction(comb(2 * k, k), k + 1)
    assert rmtp.derive(np.mean(v * powers(A, v, 2 * k))).value == catalan * sigma**k
    assert rmtp.derive(np.mean(v * powers(A, v, 2 * k - 1))).value == 0


@pytest.mark.parametrize("k", range(1, 4))
def test_moments_of_a_product_with_two_ratios(k):
    """Two free Poisson laws: M_k = sum over Fuss-Narayana numbers, by S-transforms: multiply 1/(1 + r1 ..) series."""
    n, m, p = rmtp.Dim("n"), rmtp.Dim("m", ratio=RHO), rmtp.Dim("p", ratio=SIGMA)
    W, V, v = rmtp.Gaussian(m, n), rmtp.Gaussian(p, m), rmtp.Normal(n)
    found = rmtp.derive(np.mean(v * powers(W.T @ V.T @ V @ W, v, k))).value
    # psi(chi(y)) = y with chi(y) = y / (1 + y) S(y); S = 1 / ((rho + y) (sigma / rho + y / rho)): widths n -> m -> p
    y, w = sympy.symbols("y w")
    S = 1 / ((rho + y) * (sigma / rho + y / rho))
    inverse = sympy.series(y / (1 + y) * S, y, 0, k + 2).removeO()
    coefficients = sympy.symbols(f"c1:{k + 1}")
    psi = sum(c * w ** (j + 1) for j, c in enumerate(coefficients))
    residual = sympy.expand(inverse.subs(y, psi) - w)
    solved = {}
    for j, c in enumerate(coefficients):
        solved[c] = sympy.solve(residual.coeff(w, j + 1).subs(solved), c)[0]
    assert sympy.simplify(found - solved[coefficients[-1]]) == 0


def test_correlated_vectors_and_means_as_symbols():
    n = rmtp.Dim("n")
    a, b, c, mu = (rmtp.symbol(s) for s in ("a", "b", "c", "mu"))
    x, y = rmtp.Normal(n, mean=(mu, 0), cov=[[a, c], [c, b]])
    A, B, C, M = (sympy.Symbol(s, positive=True) for s in ("a", "b", "c", "mu"))
    assert sympy.expand(rmtp.derive(np.mean(x**2 * y**2)).value - (A * B + 2 * C**2 + M**2 * B)) == 0


def test_laws_with_symbolic_weights_and_atoms():
    n, p, h = rmtp.Dim("n"), rmtp.symbol("p"), rmtp.symbol("h")
    x = rmtp.IID(n, rmtp.Discrete([0, h], [1 - p, p]))
    P, H = sympy.Symbol("p", positive=True), sympy.Symbol("h", positive=True)
    assert rmtp.derive(np.mean(x**3)).value == P * H**3


def test_gradient_independence_drops_the_memory():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, variance=SIGMA), rmtp.Normal(n)
    program = np.mean(W.T @ (W @ x) * x)
    assert rmtp.derive(program).value == sigma
    assert rmtp.derive(program, gradient_independence=True).value == 0


def test_plain_symbols_of_sympy_serve():
    r = sympy.Symbol("r")
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=r)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    found = rmtp.derive(np.mean((sympy.Symbol("q") * (W.T @ (W @ v))) ** 2))
    assert sympy.expand(found.value - sympy.Symbol("q") ** 2 * (r**2 + r)) == 0


def test_numbers_that_are_not_rational_are_refused():
    x = rmtp.Normal(rmtp.Dim("n"))
    with pytest.raises(NotExact):
        rmtp.derive(np.mean(2**0.5 * x**2))
    with pytest.raises(UnsupportedOperation):
        rmtp.derive(np.mean((rmtp.parameter([1, 2]) * x) ** 2))
    with pytest.raises(UnsupportedOperation):
        rmtp.derive(3)


def test_values_of_polynomials_are_fractions():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RHO)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    found = rmtp.derive(np.mean((W.T @ (W @ v)) ** 2))
    one = rmtp.Gaussian(rmtp.Dim("m", 3), n)
    assert rmtp.limit(np.mean((one.T @ (one @ v)) ** 2), exact=True).value == 12
    assert found.evaluate(rho=3) == 12
    assert isinstance(found.evaluate(rho=Fraction(1, 2)), Fraction)
    for wrong in ({}, {"rho": 1, "x": 2}, {"x": 2}):
        with pytest.raises(BadParameter):
            found.evaluate(**wrong)


# -- expectations by name ------------------------------------------------------------------------


def transposed(f):
    """The program of Z-Dot: W.T f(W x), x known again."""

    def build(ratio, std, gain):
        n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=ratio)
        W, b, x = rmtp.Gaussian(m, n, std=std), rmtp.Normal(m, cov=gain), rmtp.Normal(n)
        return np.mean((W.T @ f(W @ x + b)) ** 2 * x)

    return build


def plus_transposed(f):
    def build(ratio, std, gain):
        n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=ratio)
        W, b, x = rmtp.Gaussian(m, n, std=std), rmtp.Normal(m, cov=gain), rmtp.Normal(n)
        y = W.T @ f(W @ x + b) + gain * x
        return np.mean(f(W @ y) * (W @ x) ** 2) / (1 + np.sqrt(np.mean(y**2)))

    return build


FUNCTIONS = {
    "tanh": np.tanh,
    "relu": rmtp.relu,
    "exp": lambda x: np.exp(-x),
    "sin": np.sin,
    "abs": np.abs,
    "clip": lambda x: np.clip(x, -1, 1),
    "soft": lambda x: rmtp.soft_threshold(x, 0.5),
    "sign": np.sign,
    "square": lambda x: x**2,
    "where": lambda x: np.where(x > 0, x**2, 0),
    "user": rmtp.elementwise(lambda x: x / (1 + x**2), name="rational"),
}


@pytest.mark.parametrize(
    ("build", "name"),
    [(transposed, name) for name in FUNCTIONS] + [(plus_transposed, name) for name in FUNCTIONS if name != "where"],
    ids=lambda f: getattr(f, "__name__", f),
)
def test_the_equations_alone_give_the_limit(name, build):
    """Without the one program that `limit` must sample."""
    program = build(FUNCTIONS[name])
    found = rmtp.derive(program(RHO, SIGMA, rmtp.symbol("b")))
    values = {"rho": 1.5, "sigma": 0.8, "b": 0.25}
    expected = rmtp.limit(program(1.5, 0.8, 0.25))
    assert found.evaluate(**values) == pytest.approx(float(expected), rel=1e-6, abs=1e-9)


def test_mixtures_with_symbols():
    share = rmtp.symbol("s")

    def program(p, noise):
        n = rmtp.Dim("n")
        x = rmtp.IID(n, rmtp.Mixture([0, scipy.stats.norm()], [1 - p, p]))
        return np.mean(np.tanh(x + rmtp.Normal(n, cov=noise)) * x)

    found = rmtp.derive(program(share, SIGMA))
    assert found.evaluate(s=0.2, sigma=0.5) == pytest.approx(float(rmtp.limit(program(0.2, 0.5))), rel=1e-7)


def test_homogeneous_functions_of_even_degree_are_closed():
    """He et al. 2015: E relu(u)^2 is half the variance."""
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, std=SIGMA), rmtp.Normal(n, cov=RHO)
    h = rmtp.relu(W @ x)
    assert rmtp.derive(np.mean(h**2)).value == rho * sigma**2 / 2
    assert rmtp.derive(np.mean(np.abs(W @ x) * h**3)).value == 3 * (rho * sigma**2) ** 2 / 2


def test_equal_expectations_are_one_symbol():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, cov=SIGMA), rmtp.Normal(n, cov=SIGMA)
    assert rmtp.derive(np.mean(np.tanh(x) ** 2) - np.mean(np.tanh(y) ** 2)).value == 0


def test_roots_of_squares_are_not_symbols():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n, cov=SIGMA**2)
    assert rmtp.derive(np.mean(x / np.sqrt(np.mean(x**2)) * x)).value == sigma


def test_a_layer_of_a_network_reads_as_in_a_paper():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, std=SIGMA, name="W"), rmtp.Normal(n, name="x")
    found = rmtp.derive(np.mean((W.T @ np.tanh(W @ x)) * x))
    lines = str(found).splitlines()
    assert lines[:2] == ["G_1 ~ N(0, sigma**2)", "Z^{v2} = Z^{W @ x} = G_1"]
    assert "E_1 = E[tanh(G_1)**2]" in lines
    assert "G_2 ~ N(0, E_1*sigma**2)" in lines
    assert r"\mathbb{E}\left[\tanh^{2}{\left(G_{1} \right)}\right]" in found.latex()
    equations = found.sympy()
    E_1 = equations["E_1"].lhs
    assert sympy.expand(equations["theta"].rhs - sigma**2 * (1 - E_1)) == 0
    z, G_2 = sympy.Symbol("Z^x", real=True), sympy.Symbol("G_2", real=True)
    assert sympy.expand(equations["Z^{v3}"].rhs - G_2 - sigma**2 * (1 - E_1) * z) == 0


def test_the_law_of_a_vector():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, std=SIGMA), rmtp.Normal(n)
    found = rmtp.derive(W.T @ np.tanh(W @ x))
    one = rmtp.Gaussian(n, n, std=0.5)
    law, expected = found.evaluate(sigma=0.5), rmtp.limit(one.T @ np.tanh(one @ x))
    assert float(law.var) == pytest.approx(float(expected.var), rel=1e-9)
    assert float(law.moment(4)) == pytest.approx(float(expected.moment(4)), rel=1e-9)


def test_several_outputs_share_their_lines():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n, cov=SIGMA)
    found = rmtp.derive([np.mean(np.tanh(x) ** 2), np.mean(np.tanh(x) ** 2) + np.mean(x**2)])
    assert sum("E[" in line for line in str(found).splitlines()) == 1
    one, other = found.evaluate(sigma=0.3)
    assert other - one == pytest.approx(0.3, rel=1e-12)


def test_other_ensembles():
    """Haar and invariant matrices, whose memory goes through all uses; the vector itself comes back by kappa_1."""
    n = rmtp.Dim("n")
    Q, A = rmtp.Haar(n), rmtp.Invariant(n, rmtp.Discrete([0, 1]))

    def haar(variance, factor):
        x = Q @ rmtp.Normal(n, cov=variance)
        return np.mean((Q @ (Q.T @ (x**2 + factor * x))) ** 2 * x)

    def projection(variance, factor):
        v = rmtp.Normal(n, cov=variance)
        return np.mean((A @ (np.tanh(A @ v) + factor * v)) ** 2)

    exact = rmtp.limit(haar(2, Fraction(1, 3)), exact=True).value
    assert rmtp.derive(haar(SIGMA, RHO)).evaluate(sigma=2, rho=Fraction(1, 3)) == exact
    found = rmtp.derive(projection(SIGMA, RHO))
    assert found.evaluate(sigma=1.5, rho=0.5) == pytest.approx(float(rmtp.limit(projection(1.5, 0.5))), rel=1e-7)
    with pytest.raises(UnsupportedOperation):
        rmtp.Haar(rmtp.Dim("m", ratio=RHO), n)


def test_without_sympy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(UnsupportedOperation, match="equations"):
        rmtp.symbol("x")
    with pytest.raises(UnsupportedOperation, match="equations"):
        rmtp.derive(np.mean(rmtp.Normal(rmtp.Dim("n")) ** 2))
