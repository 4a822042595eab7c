"""What goes wrong in other tools, and random expressions."""

from __future__ import annotations

import functools
import math
from fractions import Fraction as F

import law_oracles as oracle
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as hs

import rmtp
from rmtp.dyson.continuation import Branch

HALF = F(1, 2)
N, M = rmtp.Dim("n"), rmtp.Dim("m", 2)


def product_law(layers):
    J = rmtp.Gaussian(N, N)
    for _ in range(layers - 1):
        J = rmtp.Gaussian(N, N) @ J
    return rmtp.spectrum(J @ J.T)


products = functools.cache(product_law)


def diagonal(*values, dim=N, weights=None):
    return rmtp.diag(rmtp.IID(dim, rmtp.Discrete(list(values), weights)))


# ---------------------------------------------------------------------------------------------
# known failures


@pytest.mark.parametrize("layers", [4, 6])
def test_the_physical_root_need_not_have_the_largest_imaginary_part(layers):
    """A calculator that takes the root of largest imaginary part is wrong here; the points show that it would be."""
    it, law = oracle.fuss_catalan(layers), products(layers)
    z = [0.05 + 0.02j, 0.3 + 0.05j, 1 + 1j, -0.2 + 0.1j, 3 + 2j]
    fooled = 0
    for point in z:
        g = complex(it.branch.at(point))
        assert law.stieltjes(point) == pytest.approx(g, rel=1e-11)
        # B = z g solves B^(L+1) = z (B - 1): the candidates below the axis
        roots = np.roots([1, *[0] * (layers - 1), -point, point]) / point
        fooled += abs(min(roots, key=lambda r: r.imag) - g) > 1e-3 * abs(g)
    assert fooled >= 2


@pytest.mark.parametrize("layers", [1, 2, 3, 7])
def test_hard_edge_stays_on_its_sheet(layers):
    """x^(s/(s+1)) rho(x) -> sin(pi/(s+1))/pi at 0, with its own corrections; all points in one call."""
    x = np.array([1e-12, 1e-9, 1e-6, 1e-4, 1e-2, 0.5])
    it = oracle.fuss_catalan(layers)
    rho = products(layers).pdf(x)
    np.testing.assert_allclose(rho, [float(it.branch.density(v)) for v in x], rtol=1e-8)
    limit = math.sin(math.pi / (layers + 1)) / math.pi
    assert rho[0] * x[0] ** (layers / (layers + 1)) == pytest.approx(limit, rel=4 * x[0] ** (1 / (layers + 1)))
    alone = [float(products(layers).pdf(v)) for v in x]
    np.testing.assert_allclose(rho, alone, rtol=1e-11)


def _gram():
    W = rmtp.Gaussian(M, N)
    return W @ W.T


def _masked():
    D, W = diagonal(0, 1, weights=[F(3, 4), F(1, 4)]), rmtp.Gaussian(N, N)
    return D @ W @ W.T @ D


def _hermitised():
    W = rmtp.Gaussian(M, N)
    return rmtp.block([[0, W], [W.T, 0]])


def _projection():
    W = rmtp.Gaussian(N, M)
    return W.T @ rmtp.inv(W @ W.T) @ W


def _corner():
    D = [diagonal(0, 1, weights=[F(1, 5), F(4, 5)]) for _ in range(2)]
    J = D[0] @ rmtp.Haar(N) @ D[1]
    return J @ J.T


def _heavy():
    """3 on three quarters of the space, plus a projection of rank 1/2: 3 + 0 and 3 + 1 survive on 3/4 + 1/2 - 1 each."""
    P = rmtp.Invariant(N, rmtp.Discrete([0, 1]))
    return diagonal(3, 5, weights=[F(3, 4), F(1, 4)]) + P


def _corner_moved():
    return _corner() + rmtp.eye(N)


def _embedded():
    """The direct sum with the identity: the density of the semicircle does not feel the atom inside it."""
    return rmtp.block([[rmtp.GOE(N), 0], [0, rmtp.eye(N)]])


def _isometry():
    V = rmtp.Haar(M, N)
    return 3 * (V @ V.T)


RANKS = {
    "thin": (_gram, {0.0: HALF}),
    "masked": (_masked, {0.0: F(3, 4)}),
    "hermitisation": (_hermitised, {0.0: F(1, 3)}),
    "projection": (_projection, {0.0: HALF, 1.0: HALF}),
    "haar corner": (_corner, {0.0: F(1, 5), 1.0: F(3, 5)}),
    "heavy diagonal": (_heavy, {3.0: F(1, 4), 4.0: F(1, 4)}),
    "at a hard edge": (_corner_moved, {1.0: F(1, 5), 2.0: F(3, 5)}),
    "inside a bulk": (_embedded, {1.0: HALF}),
    "isometry": (_isometry, {0.0: HALF, 3.0: HALF}),
}


@pytest.mark.parametrize("name", RANKS)
def test_no_atom_is_forgotten(name):
    build, atoms = RANKS[name]
    law = rmtp.spectrum(build())
    found = {round(float(a.x), 9): float(a.mass) for a in law.atoms}
    assert found == {x: pytest.approx(float(w), abs=1e-12) for x, w in atoms.items()}
    continuous = 1 - sum(float(w) for w in atoms.values())
    nodes, weights = np.polynomial.legendre.leggauss(120)
    mass = 0.0
    for a, b in law.support():
        x = (a + b) / 2 + (b - a) / 2 * np.sin(np.pi / 2 * nodes)
        mass += np.sum(weights * law.pdf(x) * np.cos(np.pi / 2 * nodes)) * np.pi / 2 * (b - a) / 2
    # sin takes square roots out at both ends, of edges 1/2 and -1/2
    assert mass == pytest.approx(continuous, abs=1e-7)
    assert float(law.cdf(100)) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", ["product", "cubic", "sandwich", "rational"])
def test_shorter_steps_lead_to_the_same_branch(name):
    """Walks whose corrections are held to a fifth end at the same g: no accepted step has changed sheets."""
    X, Y, A, D = rmtp.GOE(N), rmtp.GOE(N), rmtp.Invariant(N, [0, 1, 5]), diagonal(1, 2)
    expression = {
        "product": products(5).expression,
        "cubic": X @ Y @ X + Y,
        "sandwich": A @ D @ A + rmtp.eye(N),
        "rational": rmtp.inv(A + rmtp.eye(N)) @ D @ rmtp.inv(A + rmtp.eye(N)),
    }[name]
    own = rmtp.spectrum(expression).resolvent
    rng = np.random.default_rng(0)
    x = own.mean + own.spread * rng.uniform(-3, 3, 200)
    z = np.concatenate([x + 0j, x + 1j * 10 ** rng.uniform(-8, 0, 200)])
    short = Branch(own.system, own.level, 5.0).at(z, own.anchor())
    usual = own.solve(z)
    assert short.good.all() and usual.good.all()
    np.testing.assert_allclose(own.mean_of(usual.g), own.mean_of(short.g), rtol=1e-7)


def test_a_point_where_the_equations_leave_a_direction_open():
    """At 0 the subordination equations of two free signs have a continuum of solutions; pdf(0) is 1 / (2 pi) all the same."""
    signs = [diagonal(-1, 1), diagonal(-1, 1)]
    Q = [rmtp.Haar(N), rmtp.Haar(N)]
    law = rmtp.spectrum(Q[0] @ signs[0] @ Q[0].T + Q[1] @ signs[1] @ Q[1].T)
    assert law.pdf(0.0) == pytest.approx(1 / (2 * math.pi), rel=1e-10)
    assert law.stieltjes(1e-7j) == pytest.approx(-1j / math.sqrt(4 + 1e-14), rel=1e-10)


def test_square_roots_of_a_product():
    """X.T T X, and R X X.T R with any square root R of T, of either sign: one law."""
    X = rmtp.Gaussian(N, N)
    laws = []
    for values in ([1, 2], [-1, 1, -2, 2], [-1, 2]):
        R = diagonal(*values)
        laws.append(rmtp.spectrum(R @ X @ X.T @ R))
    turned = rmtp.spectrum(X.T @ diagonal(1, 4) @ X)
    z = np.array([1 + 1j, 3 + 0.01j, -0.2 + 0.1j])
    for law in laws:
        np.testing.assert_allclose(law.stieltjes(z), turned.stieltjes(z), rtol=1e-12)
        assert [law.moment(k) for k in range(1, 7)] == [turned.moment(k) for k in range(1, 7)]


def test_newton_does_not_stall_at_an_edge():
    """Averaged Picard iteration needs 25,000 steps here; the density is a square root of the distance."""
    X, Y = rmtp.GOE(N), rmtp.GOE(N)
    law, it = rmtp.spectrum(X @ Y + Y @ X), oracle.anticommutator()
    edge = it.support[0][1]
    for d in (1e-3, 1e-5, 1e-7):
        x = float(edge) - d
        assert float(law.pdf(x)) == pytest.approx(float(it.branch.density(x)), rel=1e-7)
        x = float(edge) + d
        assert float(law.pdf(x)) == 0
        assert law.stieltjes(x + 0j) == pytest.approx(complex(it.branch.at(x)), rel=1e-9)
    near = float(edge) + np.array([1e-6j, -1e-6 + 1e-8j, 1e-8 + 1e-10j])
    np.testing.assert_allclose(law.stieltjes(near), [complex(it.branch.at(complex(v))) for v in near], rtol=1e-9)


@pytest.mark.parametrize("a", [F(101, 100), F(99, 100)])
def test_no_epsilon(a):
    """diag(+-a) + GOE at 0: a gap for a > 1, sqrt(1 - a^2)/pi for a < 1; smoothing by 1e-3 would give 0.04 for both."""
    law = rmtp.spectrum(diagonal(-a, a) + rmtp.GOE(N))
    if a > 1:
        assert float(law.pdf(0.0)) == 0
        assert len(law.support()) == 2
        assert float(law.cdf(0.0)) == pytest.approx(0.5, abs=1e-9)
        it = oracle.deformed_semicircle({-a: HALF, a: HALF})
        np.testing.assert_allclose(law.support(), [(float(x), float(y)) for x, y in it.support], atol=1e-10)
    else:
        assert float(law.pdf(0.0)) == pytest.approx(math.sqrt(1 - float(a) ** 2) / math.pi, rel=1e-11)
        assert len(law.support()) == 1


def test_cusp_is_recognised():
    """rho = 3^(1/2)/(2 pi) |x|^(1/3) at the critical strength."""
    law = rmtp.spectrum(diagonal(-1, 1) + rmtp.GOE(N))
    assert F(1, 3) in {F(float(e.exponent)).limit_denominator(1000) for e in law.edges if abs(e.x) < 1e-6}
    x = np.array([-1e-6, 1e-9])
    np.testing.assert_allclose(law.pdf(x), math.sqrt(3) / (2 * math.pi) * np.abs(x) ** (1 / 3), rtol=1e-3)
    assert float(law.pdf(0.0)) == pytest.approx(0, abs=1e-9)


def test_fifty_digits():
    """dps = 50 against the oracle's own Newton at 60 digits."""
    law, it = products(3), oracle.fuss_catalan(3)
    with mp.workdps(60):
        z = mp.mpc("0.3", "0.7")
        assert abs(law.stieltjes(z, dps=50) - it.branch.at(z, 60)) < mp.mpf(10) ** -48
    W = rmtp.Gaussian(N, N)
    rational = rmtp.spectrum(rmtp.inv(W @ W.T + rmtp.eye(N)))
    with mp.workdps(60):
        # x = 1/(1 + l), l Marchenko-Pastur: g(z) = 1/z - G(1/z - 1)/z^2
        y = 1 / z - 1
        expected = 1 / z - oracle.marchenko_pastur(F(1)).branch.at(y, 60) / z**2
        assert abs(rational.stieltjes(z, dps=50) - expected) < mp.mpf(10) ** -45


@pytest.mark.parametrize("order", [20, 40])
def test_high_moments_are_exact(order):
    X, Y = rmtp.GOE(N), rmtp.GOE(N)
    expected = oracle.moments_from_cumulants([F(0), F(2)] * (order // 2), order)
    assert rmtp.spectrum(X @ Y + Y @ X).moment(order) == expected[-1]
    assert products(3).moment(order) == math.comb(4 * order, order) // (3 * order + 1)


def test_rational_expression():
    """inv(W W.T) at ratio 1/2 turns the density over: rho(1/y)/y^2; and inv(inv(M)) is M."""
    m = rmtp.Dim("m", HALF)
    W = rmtp.Gaussian(m, N)
    law, it = rmtp.spectrum(rmtp.inv(W @ W.T)), oracle.marchenko_pastur(HALF)
    low, high = (float(x) for x in it.support[0])
    np.testing.assert_allclose(law.support(), [(1 / high, 1 / low)], rtol=1e-10)
    y = np.array([0.5, 1.0, 5.0])
    np.testing.assert_allclose(law.pdf(y), [float(it.branch.density(1 / v)) / v**2 for v in y], rtol=1e-9)
    assert float(law.mean()) == pytest.approx(2.0, rel=1e-9)  # 1/(1 - c)
    back = rmtp.spectrum(rmtp.inv(rmtp.inv(W @ W.T + rmtp.eye(m))))
    assert back.moment(2) == rmtp.spectrum(W @ W.T + rmtp.eye(m)).moment(2)


# ---------------------------------------------------------------------------------------------
# random expressions


def library():
    """The letters of random words; `numpy_letters` draws the same."""
    W = rmtp.Gaussian(N, N)
    V = rmtp.Gaussian(N, M, variance=HALF)
    return {
        "A": rmtp.GOE(N), "W": W, "Wt": W.T, "VVt": V @ V.T, "D": diagonal(-1, 2), "Q": rmtp.Haar(N),
    }  # fmt: skip


def numpy_letters(n, rng):
    W, V = oracle.gaussian(n, n, rng), oracle.gaussian(n, 2 * n, rng) / math.sqrt(2)
    D = np.diag(oracle.proportioned({-1: HALF, 2: HALF}, n))
    return {"A": oracle.goe(n, rng), "W": W, "Wt": W.T, "VVt": V @ V.T, "D": D, "Q": oracle.haar(n, rng)}


NORMS = {"A": 2.0, "W": 2.0, "Wt": 2.0, "VVt": 1.5, "D": 2.0, "Q": 1.0}  # (1 + sqrt(2))^2 / 4 < 1.5
WORDS = hs.lists(
    hs.tuples(
        hs.sampled_from([F(1), F(-1), HALF, F(3, 2)]), hs.lists(hs.sampled_from(sorted(NORMS)), min_size=1, max_size=3)
    ),
    min_size=1,
    max_size=3,
)


def assembled(letters, words):
    """sum c (w + w.T)."""
    total = None
    for c, word in words:
        product = letters[word[0]]
        for letter in word[1:]:
            product = product @ letters[letter]
        term = (float(c) if isinstance(product, np.ndarray) else c) * (product + product.T)
        total = term if total is None else total + term
    return total


def bound(words):
    return 2 * sum(abs(float(c)) * math.prod(NORMS[x] for x in word) for c, word in words)


def uses(words):
    return max(sum(1 + (x == "VVt") for x in word) for _, word in words)


def moments_of_program(expression, orders):
    v = rmtp.Normal(N)
    averages, x = [], v
    for _ in range(orders):
        x = expression @ x
        averages.append(np.mean(v * x))
    return [r.value for r in rmtp.limit(averages, exact=True)]


def check_expression(words):
    expression = assembled(library(), words)
    law = rmtp.spectrum(expression)
    orders = 4 if uses(words) <= 2 else 3
    exact = moments_of_program(expression, orders)
    found = [law.moment(k) for k in range(1, orders + 1)]
    assert found == exact
    radius, points = 2.0 * bound(words), 48
    z = radius * np.exp(2j * np.pi * (np.arange(points) + 0.5) / points)
    g = law.stieltjes(z)
    assert np.mean(g * z).real == pytest.approx(1, abs=1e-11)
    for k, m in enumerate(exact, start=1):
        assert np.mean(g * z ** (k + 1)).real == pytest.approx(float(m), abs=1e-11 * radius**k)
    # closer in: z g falls in modulus, and g has the sign of a Stieltjes transform
    inner = radius * np.array([0.3 + 0.05j, -0.2 + 0.02j, 0.01 + 0.1j])
    assert np.all(law.stieltjes(inner).imag < 0)
    return law


def check_draw(law, words, n=200):
    """Counts of a finite draw; traces of words of Haar and Gaussian matrices move counts by a few."""
    eigenvalues = np.linalg.eigvalsh(assembled(numpy_letters(n, np.random.default_rng(12)), words))
    at = (n * np.array([0.1, 0.3, 0.5, 0.7, 0.9])).astype(int)
    middle, gap = (eigenvalues[at] + eigenvalues[at + 1]) / 2, np.diff(eigenvalues)[at]
    clear = gap > 1e-9
    assert np.all(abs(n * law.cdf(middle[clear]) - at[clear] - 1) <= 8)


QUICK = settings(derandomize=True, max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DRAWN = settings(derandomize=True, max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(WORDS)
def test_random_expressions(words):
    check_expression(words)


@pytest.mark.slow
@MANY
@given(WORDS)
def test_many_random_expressions(words):
    check_expression(words)


@pytest.mark.slow
@DRAWN
@given(WORDS)
def test_draws_of_random_expressions(words):
    """Edges and atoms are found for these, which costs seconds each."""
    check_draw(rmtp.spectrum(assembled(library(), words)), words)


FIXED = [
    [(F(1), ["A", "W"]), (HALF, ["D"])],
    [(F(1), ["Q", "A"]), (F(-1), ["VVt"])],
    [(F(3, 2), ["W", "D", "Wt"])],
    [(F(1), ["W", "W"]), (F(1), ["Q"])],
]


@pytest.mark.parametrize("words", FIXED, ids=lambda w: "+".join("".join(x) for _, x in w))
def test_fixed_expressions(words):
    check_draw(check_expression(words), words)


@pytest.mark.parametrize("words", FIXED[:3], ids=lambda w: "+".join("".join(x) for _, x in w))
def test_rewriting_changes_nothing(words):
    """Terms in reverse, factors of 2 moved about, a term added and taken away, each word as a sum of halves."""
    first = rmtp.spectrum(assembled(library(), words))
    letters = library()
    again = assembled(letters, [(2 * c, w) for c, w in reversed(words)]) / 2
    extra = letters["A"] @ letters["D"]
    again = HALF * again + 3 * (extra + extra.T) + HALF * again - 3 * (extra.T + extra)
    second = rmtp.spectrum(again)
    assert [first.moment(k) for k in (1, 2, 3)] == [second.moment(k) for k in (1, 2, 3)]
    z = np.array([0.5 + 0.5j, 3 + 0.1j, -1 + 1e-3j])
    np.testing.assert_allclose(second.stieltjes(z), first.stieltjes(z), rtol=1e-11)


def test_transposed_and_relabelled():
    """W of m x n, variance s^2/n, is the transpose of one of n x m with variance (m/n) s^2/m."""
    W, V = rmtp.Gaussian(M, N, variance=3), rmtp.Gaussian(N, M, variance=6)
    D = rmtp.diag(rmtp.IID(M, rmtp.Discrete([1, 2])))
    one, two = rmtp.spectrum(W.T @ D @ W), rmtp.spectrum(V @ D @ V.T)
    assert [one.moment(k) for k in range(1, 7)] == [two.moment(k) for k in range(1, 7)]
    z = np.array([1 + 1j, 20 + 0.1j])
    np.testing.assert_allclose(one.stieltjes(z), two.stieltjes(z), rtol=1e-12)


def test_variance_profile():
    """Two widths and three strengths: g_i = 1/(z - sum_j s_ij g_j), by plain iteration far up (Girko)."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    A, B, W = rmtp.GOE(n, variance=2), rmtp.GOE(m, variance=F(1, 3)), rmtp.Gaussian(m, n)
    law = rmtp.spectrum(rmtp.block([[A, W.T], [W, B]]))
    for z in (3 + 2j, 4j, 2.5 + 1j):
        a = b = 1 / z
        for _ in range(400):
            a, b = 1 / (z - 2 * a - 2 * b), 1 / (z - a - b / 3)
        assert law.stieltjes(z) == pytest.approx((a + 2 * b) / 3, rel=1e-11)


def test_gaussian_diagonal_plus_goe():
    """Pastur: g = E 1/(z - d - g) with d normal; the density at 0 by the Voigt function."""
    from scipy.special import wofz

    law = rmtp.spectrum(rmtp.diag(rmtp.IID(N, scipy.stats.norm())) + rmtp.GOE(N))
    for x in (0.0, 1.0, 2.5):
        g = -0.3j
        for _ in range(4000):  # a contraction at a height, then down by halving the distance
            w = x - g
            g = 0.5 * g + 0.5 * (-1j * math.sqrt(math.pi / 2) * wofz(w / math.sqrt(2)))
        assert float(law.pdf(x)) == pytest.approx(-g.imag / math.pi, abs=1e-10)


@pytest.mark.slow
def test_a_hard_edge_away_from_zero():
    """(I + W).T (I + W) - I: w g (1 - g)**2 = 1 at w = z + 1 (Dozier, Silverstein), so g ~ w**(-1/3), and 27/4 at g = 1/3."""
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    law = rmtp.spectrum(W + W.T + W.T @ W)
    assert law.edges[0].x == -1
    assert law.edges[0].exponent == pytest.approx(-1 / 3, abs=1e-12)
    assert law.edges[1].x == pytest.approx(23 / 4, abs=1e-12)
    assert law.expect(np.ones_like) == pytest.approx(1, abs=1e-10)


def test_a_polynomial_where_its_words_vanish():
    """f(X) = X**4 - 3 X**2 + X/2 at 0: some traces of the system are 0 there, and what moves them is rounding."""
    n = rmtp.Dim("n")
    X = rmtp.GOE(n)
    law = rmtp.spectrum(X**4 - 3 * X**2 + F(1, 2) * X)
    x = np.array([-2.5, -1.0, 0.0, 0.01, 1.0])
    exact = []
    for v in x:
        roots = [r.real for r in np.roots([1, 0, -3, 0.5, -v]) if abs(r.imag) < 1e-9 and abs(r.real) < 2]
        exact.append(sum(np.sqrt(4 - r * r) / (2 * np.pi * abs(4 * r**3 - 6 * r + 0.5)) for r in roots))
    np.testing.assert_allclose(law.pdf(x), exact, rtol=0, atol=1e-11)
