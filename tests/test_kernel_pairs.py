"""Pairs over whole arrays of covariances, against formulas and integrals evaluated by mpmath at 30 digits.

Arrays come as kernels pass them: covariances (Q, n1, n2), variances (Q, n1, 1) and (Q, 1, n2).
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from mpmath.calculus.quadrature import GaussLegendre
from mpmath.ctx_mp import MPContext

import rmtp
from rmtp import catalogue as nl
from rmtp.errors import NotConverged
from rmtp.expect import closed, mehler, products
from rmtp.kernels import pairs
from rmtp.nonlinearity import user

MP = MPContext()
MP.dps = 30

X = nl.power(1)
LEAKY = nl.leaky_relu(Fraction(1, 10))
NONE = (None, None)
VARIANCES = np.array([1e-3, 0.25, 1.0, 7.0, 100.0])
NEAR = (1e-4, 1e-7, 1e-9, 1e-11, 1e-13, 1e-15)
CORRELATIONS = np.array([0.0, 0.3, -0.6, 0.95, -0.999, 1.0, -1.0, *(1 - e for e in NEAR), *(e - 1 for e in NEAR)])


def slope(f):
    return f.partials()[0]


def grid(variances=VARIANCES, correlations=CORRELATIONS):
    """All pairs of variances at all correlations; at +-1 with equal variances, the covariance is the variance."""
    vu, vv = variances[None, :, None], variances[None, None, :]
    cov = correlations[:, None, None] * np.sqrt(vu * vv)
    # rounding may not carry a covariance beyond the product of deviations: the definitions below need real angles
    cov = np.where((vu == vv) & (np.abs(correlations[:, None, None]) == 1), np.sign(cov) * vu, cov * (1 - 2.0**-52))
    return cov, np.broadcast_to(vu, (len(correlations), len(variances), 1)), vv


def entries(cov, vu, vv):
    """(index, covariance, variances), as numbers of 30 digits."""
    flat = (np.broadcast_to(x, cov.shape).ravel() for x in (cov, vu, vv))
    return zip(np.ndindex(cov.shape), *([MP.mpf(float(y)) for y in x] for x in flat), strict=True)


def density(z):
    return MP.exp(-z * z / 2) / MP.sqrt(2 * MP.pi)


def cumulative(z):
    return MP.erfc(-z / MP.sqrt(2)) / 2


# -- closed formulas ------------------------------------------------------------------------------


def angle(c, u, v):
    """pi - arccos(rho), from exact numbers."""
    return MP.atan2(MP.sqrt(max(u * v - c * c, 0)), -c)


def arc0(c, u, v):
    return angle(c, u, v) / (2 * MP.pi)


def arc1(c, u, v):
    """Cho and Saul (2009)."""
    return (MP.sqrt(max(u * v - c * c, 0)) + c * angle(c, u, v)) / (2 * MP.pi)


def wide(a, b):
    """u and v with independent unit noise: erf(u) = E sign(sqrt(2) u + z)."""
    return lambda c, u, v: (MP.sqrt(a * b) * c, a * u + 1, b * v + 1)


def arcsine(c, u, v):
    return 2 / MP.pi * MP.atan2(c, MP.sqrt(u * v - c * c))


ERF1, GAUSS1, NDTR1 = slope(nl.ERF), slope(nl.GAUSS), slope(nl.NDTR)
TENTH = MP.mpf(1) / 10

FORMULAS = {
    "relu": (nl.RELU, nl.RELU, arc1),
    "step": (nl.STEP, nl.STEP, arc0),
    "sign": (nl.SIGN, nl.SIGN, lambda c, u, v: 2 / MP.pi * MP.atan2(c, MP.sqrt(max(u * v - c * c, 0)))),
    "abs": (nl.ABS, nl.ABS, lambda c, u, v: 2 * arc1(c, u, v) + 2 * arc1(-c, u, v)),
    "leaky relu": (
        LEAKY, LEAKY,
        lambda c, u, v: (1 + TENTH**2) * arc1(c, u, v) - 2 * TENTH * arc1(-c, u, v),
    ),
    "leaky relu'": (
        slope(LEAKY), slope(LEAKY),
        lambda c, u, v: (1 + TENTH**2) * arc0(c, u, v) + 2 * TENTH * arc0(-c, u, v),
    ),
    "relu and identity": (nl.RELU, X, lambda c, u, v: c / 2),
    "identity": (X, X, lambda c, u, v: c),
    "erf": (nl.ERF, nl.ERF, lambda c, u, v: arcsine(*wide(2, 2)(c, u, v))),
    "erf'": (ERF1, ERF1, lambda c, u, v: 4 / MP.pi / MP.sqrt(1 + 2 * u + 2 * v + 4 * (u * v - c * c))),
    "ndtr": (nl.NDTR, nl.NDTR, lambda c, u, v: arc0(*wide(1, 1)(c, u, v))),
    "sin": (nl.SIN, nl.SIN, lambda c, u, v: MP.exp(-(u + v) / 2) * MP.sinh(c)),
    "cos": (nl.COS, nl.COS, lambda c, u, v: MP.exp(-(u + v) / 2) * MP.cosh(c)),
    "exp": (nl.EXP, nl.EXP, lambda c, u, v: MP.exp((u + v) / 2 + c)),
    "gauss": (nl.GAUSS, nl.GAUSS, lambda c, u, v: 1 / MP.sqrt((1 + u) * (1 + v) - c * c)),
    "gauss'": (GAUSS1, GAUSS1, lambda c, u, v: c / MP.sqrt((1 + u) * (1 + v) - c * c) ** 3),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_closed_forms_at_every_correlation(name):
    """To 1e-13 of the value itself; where its two terms have opposite signs, of sqrt(E f^2 E g^2)."""
    f, g, formula = FORMULAS[name]
    cov, vu, vv = grid()
    value = pairs.pair([(f, 1)], [(g, 1)], NONE, cov, vu, vv)
    assert value.shape == cov.shape
    for at, c, u, v in entries(cov, vu, vv):
        exact = formula(c, u, v)
        size = abs(exact)
        if name == "leaky relu":
            size = MP.sqrt(formula(u, u, u) * formula(v, v, v))
        assert abs(value[at] - exact) <= 1e-13 * size + 1e-307, (at, value[at], MP.nstr(exact, 20))


MONOMIALS = {
    (2, 2): lambda c, u, v: u * v + 2 * c * c,
    (3, 1): lambda c, u, v: 3 * u * c,
    (3, 3): lambda c, u, v: 9 * u * v * c + 6 * c**3,
    (4, 2): lambda c, u, v: 3 * u * u * v + 12 * u * c * c,
    (2, 0): lambda c, u, v: u,
    (3, 2): lambda c, u, v: MP.zero,
}


@pytest.mark.parametrize(("i", "j"), MONOMIALS)
def test_monomials(i, j):
    """As powers of one function, and as copies of it: both are moments by Isserlis' theorem."""
    cov, vu, vv = grid()
    many = pairs.pair([(X, 1)] * i, [(X, 1)] * j, NONE, cov, vu, vv)
    powers = pairs.pair([(X, i)], [(nl.power(j), 1)], NONE, cov, vu, vv)
    for at, c, u, v in entries(cov, vu, vv):
        exact = MONOMIALS[i, j](c, u, v)
        for value in (many, powers):
            assert abs(value[at] - exact) <= 1e-13 * abs(exact), (at, value[at])


def test_pairs_together_are_the_pairs():
    cov, vu, vv = grid()
    asked = [([(f, 1)], [(f, 1)]) for f in (nl.RELU, nl.STEP, nl.ERF, ERF1)] + [([(X, 2)], [(X, 2)])]
    for (f, g), value in zip(asked, pairs.together(asked, NONE, cov, vu, vv), strict=True):
        np.testing.assert_array_equal(value, pairs.pair(f, g, NONE, cov, vu, vv))


def test_identical_inputs_give_exact_halves():
    v = np.random.default_rng(0).uniform(1e-3, 1e2, 1000)
    np.testing.assert_allclose(closed.pair(nl.RELU, nl.RELU, v, v, v), v / 2, rtol=2.3e-16)
    np.testing.assert_array_equal(closed.pair(nl.STEP, nl.STEP, v, v, v), np.full(1000, 0.5))
    np.testing.assert_array_equal(closed.pair(nl.STEP, nl.STEP, -v, v, v), np.zeros(1000))


@pytest.mark.parametrize("shape", [(3, 40, 50), (300, 7, 9), (1, 20000), (2, 3, 130, 150)])
def test_blocks_are_invisible(shape):
    rng = np.random.default_rng(1)
    vu, vv = rng.uniform(0.5, 2, (*shape[:-1], 1)), rng.uniform(0.5, 2, (*shape[:-2], 1, shape[-1]))
    cov = rng.uniform(-1, 1, shape) * np.sqrt(vu * vv)
    flat = [np.broadcast_to(x, shape).ravel() for x in (cov, vu, vv)]
    some = rng.integers(0, cov.size, 50)
    for fs in ([(nl.RELU, 1)], [(ERF1, 1)], [(X, 1), (nl.NDTR, 1)], [(nl.HARD_TANH, 1)]):
        whole = pairs.pair(fs, fs, NONE, cov, vu, vv).ravel()[some]
        alone = [pairs.pair(fs, fs, NONE, *(x[k] for x in flat)) for k in some]
        np.testing.assert_allclose(whole, alone, rtol=1e-14, atol=1e-16)


# -- one integral, over u, of f(u) E[g(v) | u] ----------------------------------------------------


@cache
def legendre():
    return GaussLegendre(MP).calc_nodes(4, MP.prec)


def integral(f, conditional, c, vu, vv, mu=0, mv=0, kinks=()):
    """The expectation of g given u changes within std(v | u)/slope of where it meets a kink of g."""
    c, vu, vv, mu, mv = (MP.mpf(x) for x in (c, vu, vv, mu, mv))
    su, rest = MP.sqrt(vu), max(vv - c * c / vu, MP.zero)
    cuts = [MP.mpf(k) for k in (-12, -9, -6, -4, -2, 0, 2, 4, 6, 9, 12)] + [(k - mu) / su for k in kinks]
    if c:
        width = MP.sqrt(rest) * su / abs(c)
        cuts += [(k - mv) * su / c + x * width for k in kinks for x in (-12, -6, -3, 0, 3, 6, 12)]
    cuts = sorted(x for x in cuts if -12 <= x <= 12)
    total = MP.zero
    for a, b in itertools.pairwise(cuts):
        if b - a > MP.mpf(10) ** -26:
            for x, w in legendre():
                z = (a + b) / 2 + (b - a) / 2 * x
                total += w * (b - a) / 2 * density(z) * f(mu + su * z) * conditional(mv + c / su * z, rest)
    return total


def gelu_given(m, s2):
    r = MP.sqrt(1 + s2)
    return m * cumulative(m / r) + s2 / r * density(m / r)


def gelu_slope_given(m, s2):
    r = MP.sqrt(1 + s2)
    return cumulative(m / r) + m / r**3 * density(m / r)


def tail_given(b, k):
    """E (v - b)^k 1(v > b), k = 0 or 1."""

    def conditional(m, s2):
        if s2 <= 0:
            return MP.mpf(m > b) * (m - b) ** k
        s = MP.sqrt(s2)
        d = (m - b) / s
        return s * density(d) + (m - b) * cumulative(d) if k else cumulative(d)

    return conditional


def clip_given(lo, hi):
    return lambda m, s2: lo + tail_given(lo, 1)(m, s2) - tail_given(hi, 1)(m, s2)


def exp_below_given(m, s2):
    """E exp(v) 1(v < 0)."""
    if s2 <= 0:
        return MP.exp(m) if m < 0 else MP.zero
    return MP.exp(m + s2 / 2) * cumulative(-(m + s2) / MP.sqrt(s2))


def elu_given(m, s2):
    return tail_given(0, 1)(m, s2) - 1 + tail_given(0, 0)(m, s2) + exp_below_given(m, s2)


GELU, GELU1 = [[(X, 1), (nl.NDTR, 1)]], [[(nl.NDTR, 1)], [(X, 1), (NDTR1, 1)]]
CLIP, ELU = nl.clip(-0.5, 1.25), nl.elu()
ZERO = MP.zero

# name: the function as a sum of products, its definition, its conditional expectation, kinks (or where it turns), tolerance
INTEGRALS = {
    "gelu": (GELU, lambda x: x * cumulative(x), gelu_given, (-4, 0, 4), 1e-13),
    "gelu'": (GELU1, lambda x: cumulative(x) + x * density(x), gelu_slope_given, (-4, 0, 4), 1e-13),
    "hard tanh": ([[(nl.HARD_TANH, 1)]], lambda x: min(max(x, -1), 1), clip_given(-1, 1), (-1, 1), 1e-12),
    "hard tanh'": (
        [[(slope(nl.HARD_TANH), 1)]],
        lambda x: MP.mpf(-1 < x < 1),
        lambda m, s2: tail_given(-1, 0)(m, s2) - tail_given(1, 0)(m, s2),
        (-1, 1), 1e-12,
    ),
    "clip": ([[(CLIP, 1)]], lambda x: min(max(x, -0.5), 1.25), clip_given(-0.5, 1.25), (-0.5, 1.25), 1e-12),
    "elu": ([[(ELU, 1)]], lambda x: x if x > 0 else MP.expm1(x), elu_given, (0,), 1e-11),
    "elu'": (
        [[(slope(ELU), 1)]],
        lambda x: MP.one if x > 0 else MP.exp(x),
        lambda m, s2: tail_given(0, 0)(m, s2) + exp_below_given(m, s2),
        (0,), 1e-11,
    ),
    "relu": ([[(nl.RELU, 1)]], lambda x: max(x, ZERO), tail_given(0, 1), (0,), 1e-13),
}  # fmt: skip
CASES = [
    (1.0, 1.0, 0.3), (1.0, 1.0, 1 - 1e-4), (1.0, 1.0, 1.0), (1.0, 1.0, -1.0), (0.25, 4.0, -0.5), (100.0, 0.01, 0.95),
]  # fmt: skip
MORE = [
    (u, v, rho)
    for u, v in ((1.0, 1.0), (1e-3, 100.0), (0.25, 4.0), (100.0, 100.0), (1e-3, 1e-3))
    for rho in (0.0, 0.3, -0.5, 0.95, 1 - 1e-4, 1 - 1e-8, 1 - 1e-12, 1 - 1e-15, 1.0, -1.0, -1 + 1e-8)
]


def sums(functions, means, c, u, v):
    return sum(pairs.pair(f, g, means, c, u, v) for f in functions for g in functions)


def check_integrals(name, cases, mu=0.0, mv=0.0):
    functions, f, conditional, kinks, rtol = INTEGRALS[name]
    means = NONE if mu == mv == 0 else (mu, mv)
    arrays = np.array([(rho * math.sqrt(u) * math.sqrt(v), u, v) for u, v, rho in cases]).T
    values = sums(functions, means, *arrays)
    for value, c, u, v in zip(values, *arrays, strict=True):
        if MP.mpf(c) ** 2 > MP.mpf(u) * MP.mpf(v):
            continue
        sizes = [integral(f, conditional, w, w, w, m, m, kinks) for w, m in ((u, mu), (v, mv))]
        exact = integral(f, conditional, c, u, v, mu, mv, kinks)
        assert abs(value - exact) <= rtol * MP.sqrt(sizes[0] * sizes[1]), (c, u, v, value, MP.nstr(exact, 20))


@pytest.mark.parametrize("name", sorted(set(INTEGRALS) - {"relu"}))
def test_products_and_kinks_against_an_integral(name):
    check_integrals(name, CASES[::2] if name == "clip" else CASES)


@pytest.mark.parametrize("name", ["hard tanh", "elu", "relu"])
def test_shifted_means_against_an_integral(name):
    check_integrals(name, CASES[1:5:3], 0.5, -0.7)
    check_integrals(name, CASES[1:3], 0.25, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "means"),
    # products with means go through Mehler's series, which has its own tests
    [(name, means) for name in INTEGRALS for means in ((0.0, 0.0), (0.5, 0.3)) if "gelu" not in name or not any(means)],
)
def test_products_and_kinks_at_every_scale(name, means):
    check_integrals(name, MORE, *means)


def test_gelu_and_the_identity():
    """E gelu(u) v = cov E gelu'(u) = cov/2, by Stein's lemma and symmetry."""
    cov, vu, vv = grid()
    np.testing.assert_allclose(pairs.pair(*GELU, [(X, 1)], NONE, cov, vu, vv), cov / 2, rtol=1e-14)


def test_single_moments_are_pairs_with_themselves():
    v = VARIANCES
    for f in (nl.RELU, nl.ERF, nl.HARD_TANH, ELU, nl.TANH, GAUSS1):
        square = pairs.single([(f, 1), (f, 1)], None, v)
        np.testing.assert_allclose(square, pairs.pair([(f, 1)], [(f, 1)], NONE, v, v, v), rtol=2e-11)
    gelu2 = pairs.single([(X, 2), (nl.NDTR, 2)], None, v)
    np.testing.assert_allclose(gelu2, pairs.pair(*GELU, *GELU, NONE, v, v, v), rtol=1e-11)


# -- analytic functions: the trapezoid rule over two independent normals ----------------------------


def trapezoid(f, c, u, v, mu=0.0, mv=0.0):
    """(u, v) turned by 45 degrees in standard units, so that both integrals are over analytic functions."""
    z = np.linspace(-10, 10, 1601)
    w = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    rho = min(max(c / math.sqrt(u * v), -1.0), 1.0)
    a, b = math.sqrt((1 + rho) / 2) * z[:, None], math.sqrt((1 - rho) / 2) * z
    return float(w @ (f(mu + math.sqrt(u) * (a + b)) * f(mv + math.sqrt(v) * (a - b))) @ w)


ANALYTIC = {
    "tanh": [(nl.TANH, 1)],
    "tanh'": [(slope(nl.TANH), 1)],
    "sigmoid": [(nl.EXPIT, 1)],
    "softplus": [(nl.SOFTPLUS, 1)],
    "swish": [(X, 1), (nl.EXPIT, 1)],
    "a user's": [(user(lambda x: x / np.sqrt(1 + x * x), name="algebraic"), 1)],
}


def check_analytic(name, scales, correlations, mu=0.0, mv=0.0):
    functions = ANALYTIC[name]
    f = pairs.composite(functions)
    for u, v in scales:
        cov = correlations * math.sqrt(u * v)
        means = NONE if mu == mv == 0 else (mu, mv)
        values = pairs.pair(functions, functions, means, cov, u, v)
        size = math.sqrt(trapezoid(f, u, u, u, mu, mu) * trapezoid(f, v, v, v, mv, mv))
        for value, c in zip(values, cov, strict=True):
            assert abs(value - trapezoid(f, c, u, v, mu, mv)) <= 1e-11 * size, (c, u, v)


@pytest.mark.parametrize("name", ANALYTIC)
def test_analytic_functions_against_a_double_integral(name):
    scales = [(1.0, 1.0), (1e-3, 9.0)]
    check_analytic(name, scales, np.array([0.3, -1.0, 0.9999999]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ANALYTIC)
def test_analytic_functions_at_every_scale(name):
    scales = [(1e-3, 1e-3), (10.0, 10.0), (100.0, 1e-3), (30.0, 100.0), (100.0, 100.0)]
    check_analytic(name, scales, np.array([0, 0.3, -0.6, 0.9, 0.97, 0.99, 0.999, 0.9999999, 1.0, -1.0]))
    check_analytic(name, scales[1:3], np.array([0.3, 0.99, -1.0]), 0.5, -1.0)


def test_tanh_at_thirty_digits():
    """The same double integral by mpmath: tanh has poles at i pi/2, so steps of 1/5 leave exp(-49)."""
    nodes = [MP.mpf(k) / 5 for k in range(-55, 56)]
    weights = [density(z) / 5 for z in nodes]
    rho, std = MP.mpf(0.75), MP.sqrt(1 - MP.mpf(0.75) ** 2)
    inner = [sum(w * MP.tanh(rho * x + std * z) for z, w in zip(nodes, weights, strict=True)) for x in nodes]
    exact = sum(w * MP.tanh(x) * y for x, w, y in zip(nodes, weights, inner, strict=True))
    value = pairs.pair(ANALYTIC["tanh"], ANALYTIC["tanh"], NONE, 0.75, 1.0, 1.0)
    assert abs(value - exact) <= 1e-12 * exact


def test_the_series_settles_all_but_the_nearly_parallel():
    """tanh at variance 100 is nearly a sign: few entries are left to quadrature, not the array."""
    cov = 100 * np.array([0.0, 0.5, 0.8, 0.999, 1.0])
    f = np.tanh
    value, settled = mehler.pair(f, f, cov, 100.0, 100.0)
    assert settled.tolist() == [True, True, True, False, False]
    assert abs(value[1] - trapezoid(f, 50.0, 100.0, 100.0)) < 1e-11


def test_arrays_with_all_different_variances():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 20)) + rng.standard_normal(20)
    gram = x @ x.T / 20
    v = np.diag(gram)
    for fs in (ANALYTIC["tanh"], ANALYTIC["swish"]):
        whole = pairs.pair(fs, fs, NONE, gram[None], v[None, :, None], v[None, None, :])
        assert whole.shape == (1, 60, 60)
        np.testing.assert_allclose(whole[0], whole[0].T, rtol=1e-11, atol=1e-13)
        f = pairs.composite(fs)
        for i, j in ((0, 0), (3, 41), (59, 7)):
            assert abs(whole[0, i, j] - trapezoid(f, gram[i, j], v[i], v[j])) < 1e-11 * v[i]


# -- functions nobody knows -------------------------------------------------------------------------


def test_a_user_function_with_kinks():
    """|sin(2 u)| as a user would write it, between its kinks; with u = v it is a square, known in closed form."""
    kinks = tuple(k * math.pi / 2 for k in range(-4, 5))
    f = [(user(lambda x: np.abs(np.sin(2 * x)), kinks=kinks, name="ripple"), 1)]
    value = pairs.pair(f, f, NONE, np.array([0.25, -0.25, 0.0]), 0.25, 0.25)
    np.testing.assert_allclose(value[:2], 0.5 - 0.5 * math.exp(-2.0), rtol=1e-11)
    assert abs(value[2] - pairs.single(f, None, 0.25) ** 2) < 1e-11


def test_a_kinked_function_by_its_series():
    """Half a tanh is tanh of a relu: with its mirror image it makes tanh, at every pair of variances."""
    half = [(user(lambda x: np.tanh(np.maximum(x, 0)), kinks=(0.0,), name="half"), 1)]
    mirrored = [(user(lambda x: np.tanh(np.minimum(x, 0)), kinks=(0.0,), name="mirrored"), 1)]
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 8)) + rng.standard_normal(8)
    gram = x @ x.T / 8
    v = np.diag(gram)
    parts = [pairs.pair(f, g, NONE, gram, v[:, None], v) for f in (half, mirrored) for g in (half, mirrored)]
    np.testing.assert_allclose(sum(parts), pairs.pair(*[ANALYTIC["tanh"]] * 2, NONE, gram, v[:, None], v), atol=1e-11)


@pytest.mark.parametrize("var", [1.0, 12.0])
def test_elu_of_arrays_and_of_numbers(var):
    """At larger variances the exponential shift is refused, and the series and quadrature take over."""
    f = [(ELU, 1)]
    cov = var * np.linspace(-1, 1, 1001)
    value = pairs.pair(f, f, NONE, cov, var, var)
    for k in (0, 123, 500, 960, 1000):
        assert abs(value[k] - pairs.pair(f, f, NONE, cov[k], var, var)) < 1e-11 * var
    mirrored = [(user(lambda x: np.where(x < 0, x, -np.expm1(-np.maximum(x, 0))), kinks=(0.0,), name="-elu(-x)"), 1)]
    np.testing.assert_allclose(pairs.pair(mirrored, mirrored, NONE, cov, var, var), value, atol=1e-11 * var)


def test_a_kinked_and_a_smooth_function():
    """E relu(u) tanh(v) has the parity of tanh: E |u|/2 tanh(v) vanishes, and c/2 E tanh'(v) is left, by Stein."""
    cov = np.array([0.0, 0.3, 0.999, 1.0])
    value = pairs.pair([(nl.RELU, 1)], [(nl.TANH, 1)], NONE, cov, 1.0, 1.0)
    np.testing.assert_allclose(value, cov / 2 * pairs.single([(slope(nl.TANH), 1)], None, 1.0), rtol=1e-11, atol=1e-13)


def test_a_jump_that_was_not_declared_is_refused():
    f = [(user(lambda x: (x > 0.1234) * 1.0, name="hidden"), 1)]
    with pytest.raises(NotConverged):
        pairs.pair(f, f, NONE, 0.3, 1.0, 1.0)


@pytest.mark.parametrize(
    "functions",
    [[(nl.RELU, 1)], [(nl.STEP, 1)], [(nl.ERF, 1)], [(nl.COS, 1)], *GELU, [(nl.HARD_TANH, 1)], [(ELU, 1)], ANALYTIC["tanh"],
     ANALYTIC["sigmoid"]],
)  # fmt: skip
def test_zero_variance_is_a_constant(functions):
    vu, vv = np.array([0.0, 1.0, 0.0])[:, None], np.array([2.0, 0.0])
    value = pairs.pair(functions, functions, NONE, np.zeros((3, 2)), vu, vv)
    at_zero = float(pairs.composite(functions)(np.zeros(1))[0])
    mean = pairs.single(functions, None, np.array([2.0, 1.0]))
    expected = [
        [at_zero * mean[0], at_zero**2],
        [mean[0] * mean[1], mean[1] * at_zero],
        [at_zero * mean[0], at_zero**2],
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-15)


def test_products_that_are_not_closed_are_left_alone():
    assert products.terms([(nl.ERF, 2)]) is None
    assert products.terms([(X, 1), (nl.TANH, 1)]) is None
    assert closed.pair(ELU, ELU, 0.3, 1.0, 1.0) is None


# -- the words for them ---------------------------------------------------------------------------


def reference(name, x):
    return {
        "swish": lambda: x / (1 + MP.exp(-x)),
        "silu": lambda: x / (1 + MP.exp(-x)),
        "elu": lambda: x if x > 0 else MP.mpf(0.5) * MP.expm1(x),
        "selu": lambda: MP.mpf(1.0507009873554805) * (x if x > 0 else MP.mpf(1.6732632423543772) * MP.expm1(x)),
        "hard_tanh": lambda: min(max(x, -1), 1),
    }[name]()


@pytest.mark.parametrize("name", ["swish", "silu", "elu", "selu", "hard_tanh"])
def test_new_functions_on_arrays_and_in_programs(name):
    f = (lambda x: rmtp.elu(x, 0.5)) if name == "elu" else getattr(rmtp, name)
    x = np.array([-800.0, -2.0, -0.3, 0.0, 0.7, 3.0, 800.0])
    with np.errstate(over="raise"):
        np.testing.assert_allclose(f(x), [float(reference(name, MP.mpf(v))) for v in x], rtol=1e-15)
    exact = integral(lambda v: reference(name, v), lambda m, s2: 1, 0, 1.5, 1, 0.25, 0, (-1, 0, 1))
    mean = np.mean(f(rmtp.Normal(rmtp.Dim("n"), 0.25, 1.5)))
    assert abs(rmtp.limit(mean).value - exact) < 1e-12
    assert abs(rmtp.limit(mean, dps=22).value - exact) < 1e-20


def test_elu_slopes():
    """The slope of elu is continuous at alpha = 1 only; then it has a slope again."""
    assert slope(nl.elu()).partials is not None and slope(nl.elu(2)).partials is None
    x = np.array([-1.5, -0.2, 0.4])
    for order in (1, 2):
        f = nl.elu()
        for _ in range(order - 1):
            f = slope(f)
        difference = (f.fn(x + 1e-6) - f.fn(x - 1e-6)) / 2e-6
        np.testing.assert_allclose(slope(f).fn(x), difference, atol=1e-9)


@pytest.mark.parametrize("powers", [(1, 0), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (4, 2)])
def test_moments_of_homogeneous_functions_of_one_variable(powers):
    """relu^a leaky^b against an integral; E relu^2 and E step are halves to the last bit."""
    from rmtp.catalogue import RELU, STEP, leaky_relu
    from rmtp.kernels import pairs

    functions = [(f, p) for f, p in zip((RELU, leaky_relu(0.5)), powers, strict=True) if p]
    t, w = np.polynomial.legendre.leggauss(200)
    t, w = 6 * (t + 1), 6 * w * np.exp(-18 * (t + 1) ** 2) / np.sqrt(2 * np.pi)
    for var in (0.3, 2.0):
        u = var**0.5 * t
        sides = (u ** powers[0] * u ** powers[1], (powers[0] == 0) * (-0.5 * u) ** powers[1])
        assert pairs.single(functions, None, var) == pytest.approx(w @ (sides[0] + sides[1]), rel=1e-12)
    assert float(pairs.single([(RELU, 2)], None, np.array(0.7))) == 0.35
    assert float(pairs.single([(STEP, 3)], None, np.array(0.7))) == 0.5
