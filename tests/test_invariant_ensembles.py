"""Haar, Wishart, Invariant, BiInvariant: free cumulants, exact identities, equal laws reached without them, samples.

Samples: a number passes if it is within 5 standard errors of the limit (32 trials, so 2e-5 each under the t-law); with the
about 60 numbers compared here a false alarm has probability 1.2e-3, once, for the seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction as F
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scipy.stats
from oracles import catalan, gauss, narayana_moment

import rmtp
from rmtp.cumulants import FromMoments, is_moment_sequence, moments_of
from rmtp.errors import BadParameter, DivergentExpectation, NotExact, UnsupportedOperation
from rmtp.powerseries import taylor

SIGMAS = 5.0


@pytest.fixture
def n():
    return rmtp.Dim("n")


@pytest.fixture
def m():
    return rmtp.Dim("m", ratio=2)


@pytest.fixture
def half():
    return rmtp.Dim("half", ratio=F(1, 2))


class Even:
    """A law on [0, inf) known by its even moments alone, with the methods of a spectral law."""

    def __init__(self, even):
        self.even = [F(1), *even]

    def moment(self, k):
        return self.even[k // 2] if k % 2 == 0 else F(0)

    def ppf(self, q):
        raise NotImplementedError

    def support(self):
        return ((0.0, 9.0),)


def cumulants(W, order):
    return [W.source.ensemble.cumulant(k) for k in range(1, order + 1)]


# ---------------------------------------------------------------------------------------------
# cumulants


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for smaller in partitions(rest):
        yield [[first], *smaller]
        for k, block in enumerate(smaller):
            yield [*smaller[:k], [first, *block], *smaller[k + 1 :]]


def noncrossing(blocks):
    """No a < b < c < d with a, c in one block and b, d in another."""
    home = {i: k for k, block in enumerate(blocks) for i in block}
    points = sorted(home)
    return not any(
        home[a] == home[c] != home[b] == home[d]
        for i, a in enumerate(points)
        for j, b in enumerate(points[i + 1 :], i + 1)
        for k, c in enumerate(points[j + 1 :], j + 1)
        for d in points[k + 1 :]
    )


def test_moments_are_sums_over_noncrossing_partitions():
    kappa = [F(1, 2), F(3), F(-1, 3), F(2), F(1, 7), F(5)]
    listed = moments_of(lambda k: kappa[k - 1], 6)
    for order in range(1, 7):
        brute = sum(
            math.prod((kappa[len(b) - 1] for b in blocks), start=F(1))
            for blocks in partitions(list(range(order)))
            if noncrossing(blocks)
        )
        assert listed[order - 1] == brute


def test_rectangular_moments_are_sums_over_even_noncrossing_partitions():
    """Benaych-Georges: blocks of even size; one that begins at a column index carries gamma."""
    kappa, gamma = {2: F(1, 2), 4: F(-3), 6: F(2, 5), 8: F(7)}, F(3, 2)
    listed = moments_of(lambda k: kappa.get(k, F(0)), 4, gamma)
    for order in range(1, 5):
        brute = sum(
            math.prod((kappa[len(b)] * gamma ** (min(b) % 2) for b in blocks), start=F(1))
            for blocks in partitions(list(range(2 * order)))
            if all(len(b) % 2 == 0 for b in blocks) and noncrossing(blocks)
        )
        assert listed[order - 1] == brute


@pytest.mark.parametrize("gamma", [None, F(1), F(2), F(2, 7)])
def test_cumulants_invert_moments(gamma):
    kappa = [F(k % 3 - 1, k + 1) for k in range(1, 13)]
    step = 1 if gamma is None else 2
    moments = moments_of(lambda k: kappa[k // step - 1], 12, gamma)
    back = FromMoments(lambda k: moments[k - 1], gamma)
    assert [back(step * k) for k in range(1, 13)] == kappa


def test_cumulants_of_known_laws(n, m, half):
    signed = [F((-1) ** k * catalan(k)) for k in range(8)]
    assert cumulants(rmtp.Haar(n), 16)[1::2] == signed
    assert not any(cumulants(rmtp.Haar(n), 16)[::2])
    assert cumulants(rmtp.Haar(m, n), 4) == [0, F(1, 2), 0, F(-1, 4)]  # 1/gamma, -1/gamma^2
    assert cumulants(rmtp.Haar(half, n), 2) == [0, 1]
    assert cumulants(rmtp.Invariant(n, [-1, 1]), 16)[1::2] == signed
    assert cumulants(rmtp.Invariant(n, 3), 4) == [3, 0, 0, 0]
    assert cumulants(rmtp.Wishart(n, m, variance=3), 4) == [3, F(9, 2), F(27, 4), F(81, 8)]
    assert cumulants(rmtp.Invariant(n, rmtp.Moments([0, 1, 0, 2, 0, 5])), 6) == [0, 1, 0, 0, 0, 0]
    assert cumulants(rmtp.Invariant(n, scipy.stats.norm()), 6) == [0, 1, 0, 1, 0, 4]  # indecomposable pairings


@pytest.mark.parametrize("gamma", [F(1), F(2), F(1, 3)])
def test_a_gaussian_matrix_is_one_rectangular_cumulant(gamma):
    """Marchenko-Pastur squares of singular values: kappa_2 = 1 and nothing else."""
    rows, cols = rmtp.Dim("r", ratio=gamma), rmtp.Dim("c")
    share = min(F(1), 1 / gamma)
    law = Even([narayana_moment(k, gamma) / share for k in range(1, 7)])
    assert cumulants(rmtp.BiInvariant(rows, cols, law), 12) == [0, 1] + [0] * 10


def test_r_transform_of_the_signs(n):
    made = rmtp.Invariant(n, rmtp.RTransform(lambda z: 2 * z / (1 + np.sqrt(1 + 4 * z**2))))
    assert cumulants(made, 30) == cumulants(rmtp.Invariant(n, [-1, 1]), 30)


def test_taylor_coefficients():
    assert taylor(np.exp, 5) == [F(1, math.factorial(k)) for k in range(6)]
    assert taylor(lambda z: np.log(1 + z) / z, 4) == [F((-1) ** k, k + 1) for k in range(5)]
    assert taylor(lambda z: (1 - z) ** -2, 4) == [1, 2, 3, 4, 5]
    assert taylor(lambda z: (1 - z) ** 0.5 * (1 - z) ** F(1, 2), 3) == [1, -1, 0, 0]
    assert taylor(lambda z: 3, 2) == [3, 0, 0]
    root = mpmath.taylor(lambda z: mpmath.sqrt(2 + z), 0, 3)
    assert [float(c) for c in taylor(lambda z: np.sqrt(2 + z), 3)] == pytest.approx([float(c) for c in root], rel=1e-12)


def test_moment_sequences():
    assert is_moment_sequence([F(1, k + 1) for k in range(1, 12)], nonnegative=True)
    assert is_moment_sequence([F(1, 2)] * 8, nonnegative=True)  # a fair coin: singular Hankel matrices
    assert not is_moment_sequence([F(1, 2), F(1, 2), F(1, 2), F(1, 3)])
    assert is_moment_sequence([-1, 2]) and not is_moment_sequence([-1, 2], nonnegative=True)


# ---------------------------------------------------------------------------------------------
# what holds for the matrices themselves holds for Z, with nothing left over


def the_same(a, b):
    return rmtp.limit(np.mean((a - b) ** 2)).value


def test_orthogonal_matrices_are_undone_by_their_transposes(n, m, half):
    x = rmtp.Normal(n)
    Q, V, U = rmtp.Haar(n), rmtp.Haar(m, n), rmtp.Haar(half, n)
    for made in (Q.T @ (Q @ x), Q @ (Q.T @ x), V.T @ (V @ x)):
        value = the_same(made, x)
        assert value == 0 and isinstance(value, F | int)
        z = rmtp.limit(made)
        assert "Zhat" not in str(z)
    assert rmtp.limit(np.mean((V @ x) ** 2)).value == F(1, 2)
    y = rmtp.Normal(half)
    assert the_same(U @ (U.T @ y), y) == 0
    projected = U.T @ (U @ x)
    assert the_same(U.T @ (U @ projected), projected) == 0
    assert rmtp.limit(np.mean(projected * x)).value == F(1, 2)


def test_orthogonal_matrices_keep_nonlinear_vectors(n):
    """Q.T Q f = f for an f that is nonlinear and depends on earlier uses of Q and Q.T."""
    Q, x = rmtp.Haar(n), rmtp.Normal(n)
    f = np.square(Q.T @ ((Q @ x) ** 2)) + x
    assert the_same(Q.T @ (Q @ f), f) == 0
    g = np.tanh(Q.T @ np.tanh(Q @ x))
    assert abs(float(the_same(Q.T @ (Q @ g), g))) < 1e-13
    assert float(rmtp.limit(np.mean((Q @ g) ** 2) - np.mean(g**2))) == pytest.approx(0, abs=1e-14)


def test_eigenvalues_fulfil_their_equation(n):
    x = rmtp.Normal(n)
    P, S, T = rmtp.Invariant(n, [0, 1]), rmtp.Invariant(n, rmtp.Discrete([-1, 1])), rmtp.Invariant(n, [F(1, 2), 1, -3])
    y = (S @ x) ** 2 + x
    assert the_same(P @ (P @ y), P @ y) == 0
    assert the_same(S @ (S @ y), y) == 0
    t1, t2 = T @ y, T @ (T @ y)
    assert the_same(T @ t2, F(-3, 2) * t2 + 4 * t1 - F(3, 2) * y) == 0  # (t - 1/2)(t - 1)(t + 3) = 0
    assert the_same(rmtp.Invariant(n, 3) @ y, 3 * y) == 0


def test_moments_of_the_matrix_are_moments_of_the_law(n):
    law = rmtp.Discrete([-1, 0, 2], [F(1, 2), F(1, 4), F(1, 4)])
    A, v = rmtp.Invariant(n, law), rmtp.Normal(n)
    powers = [v]
    for _ in range(6):
        powers.append(A @ powers[-1])
    averages = [np.mean(powers[k // 2] * powers[k - k // 2]) for k in range(13)]
    assert [e.value for e in rmtp.limit(averages)] == [law.moment(k) for k in range(13)]


def test_a_hat_that_is_a_combination_of_earlier_ones(n):
    """The minimal polynomial of degree 3 at order 3: the third hat has coefficients on both others."""
    A, v = rmtp.Invariant(n, rmtp.Discrete([-1, 0, 2], [F(1, 2), F(1, 4), F(1, 4)])), rmtp.Normal(n)
    x1 = A @ v
    x2 = A @ x1
    assert the_same(A @ x2, x2 + 2 * x1) == 0


def test_moments_of_wishart_are_narayana_polynomials(n):
    for ratio in (F(1), F(2), F(1, 3)):
        S, v = rmtp.Wishart(n, rmtp.Dim("p", ratio=1 / ratio)), rmtp.Normal(n)
        a = S @ (S @ (S @ v))
        assert rmtp.limit(np.mean(v * a)).value == narayana_moment(3, ratio)
        assert rmtp.limit(np.mean(a * a)).value == narayana_moment(6, ratio)


def test_the_sum_of_two_sign_matrices_is_arcsine(n):
    A, B, v = rmtp.Invariant(n, [-1, 1]), rmtp.Invariant(n, [1, -1]), rmtp.Normal(n)
    norms, x = [], v
    for _ in range(6):
        x = A @ x + B @ x
        norms.append(np.mean(x * x))
    assert [e.value for e in rmtp.limit(norms)] == [math.comb(2 * k, k) for k in range(1, 7)]


def test_a_sum_of_orthogonal_matrices_and_their_inverses_is_kesten(n):
    """Q + Q.T + R + R.T: closed walks on the free group of two letters, 4, 28, 232, 2092."""
    Q, R, v = rmtp.Haar(n), rmtp.Haar(n), rmtp.Normal(n)

    def step(x):
        return Q @ x + Q.T @ x + R @ x + R.T @ x

    x = [v]
    for _ in range(4):
        x.append(step(x[-1]))
    assert [rmtp.limit(np.mean(y * y)).value for y in x[1:]] == [4, 28, 232, 2092]


def test_a_continuous_law_in_floats(n):
    """Order 20 of the uniform law on [0, 1] and of the semicircle, within the stated errors."""
    for law, exact in ((scipy.stats.uniform(), 1 / 21), (scipy.stats.semicircular(scale=2), catalan(10))):
        A, x = rmtp.Invariant(n, law), rmtp.Normal(n)
        for _ in range(10):
            x = A @ x
        found = rmtp.limit(np.mean(x * x))
        assert abs(found.value - exact) <= max(found.error, 1e-13 * exact)
        assert found.error <= 1e-11 * exact


# ---------------------------------------------------------------------------------------------
# the same matrix by its cumulants and by iid matrices alone: exactly the same limits


def symmetric_program(A, x):
    """Uses that depend on each other through squares, three deep, and all that can be averaged of them."""
    a = A(x)
    b = A(a * a - 2 * x)
    c = A(b * x + a)
    vectors = [x, a, b, c]
    out = [np.mean(p * q) for k, p in enumerate(vectors) for q in vectors[k:]]
    return [*out, np.mean(b * b * a), np.mean(c * a * x)]


@pytest.mark.parametrize("ratio", [F(1), F(2, 3)])
def test_wishart_is_two_uses_of_a_gaussian_matrix(n, ratio):
    p = rmtp.Dim("p", ratio=ratio)
    S, X, x = rmtp.Wishart(n, p, variance=F(1, 2)), rmtp.Gaussian(n, p, variance=F(1, 2)), rmtp.Normal(n, mean=1)
    by_cumulants = rmtp.limit(symmetric_program(lambda v: S @ v, x))
    by_theorem = rmtp.limit(symmetric_program(lambda v: X @ (X.T @ v), x))
    assert [e.value for e in by_cumulants] == [e.value for e in by_theorem]
    assert all(isinstance(e.value, F) for e in by_theorem if e.value)


def test_a_polynomial_of_a_gaussian_matrix_is_an_invariant_matrix(n):
    G, v = rmtp.GOE(n), rmtp.Normal(n)
    x = rmtp.Normal(n, mean=1)

    def polynomial(y):
        return G @ (G @ y) + G @ y - y

    powers = [v]
    for _ in range(4):
        powers.append(polynomial(powers[-1]))
    moments = [e.value for e in rmtp.limit([np.mean(powers[k // 2] * powers[k - k // 2]) for k in range(1, 9)])]
    A = rmtp.Invariant(n, rmtp.Moments(moments))
    direct = rmtp.limit(symmetric_program(polynomial, x))
    assert [e.value for e in rmtp.limit(symmetric_program(lambda y: A @ y, x))] == [e.value for e in direct]


def rectangular_program(W, Wt, x):
    a = W(x)
    b = Wt(a * a - 1 + a)
    c = W(b + b * x)
    d = Wt(c + a)
    left, right = [a, c], [x, b, d]
    out = [np.mean(p * q) for side in (left, right) for k, p in enumerate(side) for q in side[k:]]
    return [*out, np.mean(b * b * x), np.mean(c * c * a)]


@pytest.mark.parametrize(("rows", "middle"), [(F(1), F(1)), (F(2), F(1)), (F(1, 2), F(3)), (F(3), F(1, 2))])
def test_a_product_of_gaussian_matrices_is_bi_invariant(n, rows, middle):
    r, p = rmtp.Dim("r", ratio=rows), rmtp.Dim("p", ratio=middle)
    G, H, x, v = rmtp.Gaussian(r, p), rmtp.Gaussian(p, n), rmtp.Normal(n, mean=1), rmtp.Normal(r)

    def W(y):
        return G @ (H @ y)

    def Wt(y):
        return H.T @ (G.T @ y)

    powers = [v]
    for _ in range(3):
        powers.append(W(Wt(powers[-1])))
    moments = [e.value for e in rmtp.limit([np.mean(powers[k // 2] * powers[k - k // 2]) for k in range(1, 7)])]
    share = min(F(1), 1 / rows)
    B = rmtp.BiInvariant(r, n, Even([mk / share for mk in moments]))
    by_cumulants = rmtp.limit(rectangular_program(lambda y: B @ y, lambda y: B.T @ y, x))
    direct = rmtp.limit(rectangular_program(W, Wt, x))
    assert [e.value for e in by_cumulants] == [e.value for e in direct]
    assert B.source.ensemble.cumulant(4) != 0


@pytest.mark.parametrize("wrong", [1, 2])
def test_the_comparison_would_see_a_wrong_cumulant(n, wrong):
    p = rmtp.Dim("p", ratio=2)
    X, x = rmtp.Gaussian(n, p), rmtp.Normal(n, mean=1)
    kappa = [F(1), F(1, 2), F(1, 4), F(1, 8), F(1, 16), F(1, 32)]
    kappa[wrong + 2] += F(1, 100)
    A = rmtp.Invariant(n, rmtp.FreeCumulants(kappa))
    direct = rmtp.limit(symmetric_program(lambda v: X @ (X.T @ v), x))
    assert [e.value for e in rmtp.limit(symmetric_program(lambda v: A @ v, x))] != [e.value for e in direct]


def test_one_cumulant_is_goe(n):
    A, G, x = rmtp.Invariant(n, rmtp.FreeCumulants([0, 1])), rmtp.GOE(n), rmtp.Normal(n, mean=1)
    for program in (symmetric_program, lambda M, v: [np.mean(M(np.tanh(M(v)) * v) ** 2)]):
        one = rmtp.limit(program(lambda v: A @ v, x))
        two = rmtp.limit(program(lambda v: G @ v, x))
        assert [e.value for e in one] == [e.value for e in two]


def test_a_mean_adds_a_multiple_of_the_vector(n):
    A, G, x = rmtp.Invariant(n, rmtp.FreeCumulants([F(2), F(3)])), rmtp.GOE(n, variance=3), rmtp.Normal(n, mean=1)
    one = rmtp.limit(symmetric_program(lambda v: A @ v, x))
    two = rmtp.limit(symmetric_program(lambda v: 2 * v + G @ v, x))
    assert [e.value for e in one] == [e.value for e in two]


def test_a_matrix_and_its_transpose_change_places(n, m):
    """W.T of shape n x m is a matrix of its own: exchanging the names changes nothing."""
    W, V = rmtp.BiInvariant(m, n, [1, 3]), rmtp.BiInvariant(n, m, [1, 3])
    x = rmtp.Normal(n, mean=1)
    one = rmtp.limit(rectangular_program(lambda y: W @ y, lambda y: W.T @ y, x))
    two = rmtp.limit(rectangular_program(lambda y: V.T @ y, lambda y: V @ y, x))
    assert [e.value for e in one] == [e.value for e in two]


# ---------------------------------------------------------------------------------------------
# functions, rings and options


def test_functions_with_jumps_go_by_stein(n, m):
    """E[Z^x Z^{Q.T sign(Q x)}] = E|g|, and for the isometry the same with variance 1/2, by adjointness."""
    x = rmtp.Normal(n)
    Q, V = rmtp.Haar(n), rmtp.Haar(m, n)
    assert float(rmtp.limit(np.mean(x * (Q.T @ np.sign(Q @ x))))) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)
    wide = float(rmtp.limit(np.mean(x * (V.T @ np.sign(V @ x)))))
    assert wide == pytest.approx(2 * math.sqrt(2 / math.pi) * math.sqrt(0.5), rel=1e-12)
    assert float(rmtp.limit(np.mean((Q.T @ np.sign(Q @ x)) ** 2))) == pytest.approx(1, rel=1e-12)
    h = np.tanh(Q @ x)
    values = [float(rmtp.limit(np.mean(np.tanh(Q.T @ h) * x), zdot=how)) for how in ("derivative", "stein")]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_naive_answers_take_fresh_copies(n):
    x, Q, A = rmtp.Normal(n), rmtp.Haar(n), rmtp.Invariant(n, [0, 1])
    naive = {"gradient_independence": True}
    assert rmtp.limit(np.mean(x * (Q.T @ (Q @ x))), **naive).value == 0
    assert rmtp.limit(np.mean((Q.T @ (Q @ x)) ** 2), **naive).value == 1
    # A x = x/2 + g and A g = g/2 + h with g, h of variance 1/4 and 1/16, so A A x = x/4 + g + h
    assert rmtp.limit(np.mean(x * (A @ (A @ x))), **naive).value == F(1, 4)
    assert rmtp.limit(np.mean((A @ (A @ x)) ** 2), **naive).value == F(1, 16) + F(1, 4) + F(1, 16)


def test_digits(n):
    """E[x Z^{Q.T tanh(Q x)}] = E tanh'(g), to thirty digits."""
    Q, x = rmtp.Haar(n), rmtp.Normal(n)
    found = rmtp.limit(np.mean(x * (Q.T @ np.tanh(Q @ x))), dps=30).value
    with mpmath.workdps(40):
        assert abs(found - gauss(lambda g: mpmath.sech(g) ** 2, dps=35)) < mpmath.mpf(10) ** -29


def test_exact_mode_reads_short_decimals_and_refuses_the_rest(n):
    x = rmtp.Normal(n)
    A = rmtp.Invariant(n, [0.1, 1])
    average = np.mean((A @ (A @ x)) ** 2)
    assert rmtp.limit(average, exact=True).value == (F(1, 10**4) + 1) / 2
    assert isinstance(rmtp.limit(average).value, float)
    B = rmtp.Invariant(n, [2**0.5, 1])
    assert float(rmtp.limit(np.mean((B @ (B @ x)) ** 2))) == pytest.approx(2.5, rel=1e-14)
    with pytest.raises(NotExact):
        rmtp.limit(np.mean((B @ (B @ x)) ** 2), exact=True)
    with pytest.raises(UnsupportedOperation, match="double precision"):
        rmtp.limit(np.mean((rmtp.Invariant(n, scipy.stats.uniform()) @ x) ** 2), dps=30)


def test_sweeps_of_other_parameters(n):
    Q, x, s = rmtp.Haar(n), rmtp.Normal(n), rmtp.parameter(np.array([0.5, 1.0, 2.0]))
    swept = rmtp.limit(np.mean((Q @ np.tanh(Q.T @ np.tanh(s * (Q @ x)))) ** 2))
    for k, value in enumerate((0.5, 1.0, 2.0)):
        alone = rmtp.limit(np.mean((Q @ np.tanh(Q.T @ np.tanh(value * (Q @ x)))) ** 2))
        assert swept.value[k] == pytest.approx(alone.value, rel=1e-7)
    variance = np.array([F(1), F(0), F(2)], dtype=object)
    y = rmtp.Gaussian(n, n, variance=variance) @ x
    assert list(rmtp.limit(np.mean((Q.T @ (Q @ y)) ** 2)).value) == [1, 0, 2]


def test_sampled_points_agree_with_quadrature(n, m):
    for W in (rmtp.Haar(m, n), rmtp.BiInvariant(m, n, [0.5, 2])):
        x = rmtp.Normal(n)
        y = np.tanh(W @ x)
        averages = [np.mean((W.T @ y) * x), np.mean(np.tanh(W.T @ y) ** 2), np.mean((W @ np.tanh(W.T @ y)) * y)]
        for fine, coarse in zip(rmtp.limit(averages), rmtp.limit(averages, method="sobol"), strict=True):
            assert coarse.method == "sobol"
            assert abs(fine.value - coarse.value) <= 5 * coarse.error


# ---------------------------------------------------------------------------------------------
# against samples


def compare(averages, width, seed):
    limits = rmtp.limit(averages)
    draws = np.array(rmtp.sample(averages, width=width, rng=seed, trials=32))
    for found, row in zip(limits, draws, strict=True):
        error = math.hypot(row.std(ddof=1) / math.sqrt(row.size), found.error)
        assert abs(row.mean() - found.value) <= SIGMAS * error, (row.mean(), error, found)


def forth_and_back(W, x):
    y1 = np.tanh(2 * (W @ x))
    x2 = np.tanh(W.T @ y1 + x)
    y2 = np.tanh(W @ x2 + 0.5 * y1)
    x3 = np.tanh(2 * (W.T @ y2))
    y3 = W @ x3
    return [np.mean(x2 * x), np.mean(y2 * y1), np.mean(x3 * x2), np.mean(y3 * y1), np.mean(y3 * y3)]


@pytest.mark.parametrize("ratio", [F(1), F(2), F(1, 2)])
def test_a_reused_haar_matrix_in_a_nonlinear_program(n, ratio):
    W = rmtp.Haar(rmtp.Dim("r", ratio=ratio), n)
    compare(forth_and_back(W, rmtp.Normal(n)), 250, 1)


@pytest.mark.parametrize("ratio", [pytest.param(F(2), marks=pytest.mark.slow), F(1, 2)])
def test_a_bi_invariant_matrix_in_a_nonlinear_program(n, ratio):
    W = rmtp.BiInvariant(rmtp.Dim("r", ratio=ratio), n, rmtp.Discrete([0, 1, 2]))
    compare(forth_and_back(W, rmtp.Normal(n)), 200, 2)


def again_and_again(A, x):
    h1 = np.tanh(A @ x + 0.5 * x)
    h2 = np.tanh(2 * (A @ h1))
    h3 = np.tanh(A @ h2 + h1)
    return [np.mean(h2 * x), np.mean(h3 * x), np.mean((A @ h2) * h1), np.mean((A @ h2) ** 2)]


@pytest.mark.parametrize(
    "made",
    [
        lambda n: rmtp.Invariant(n, rmtp.Discrete([-1, 0, 2], [F(1, 2), F(1, 4), F(1, 4)])),
        lambda n: rmtp.Invariant(n, scipy.stats.uniform()),
        lambda n: rmtp.Invariant(n, rmtp.Mixture([1, scipy.stats.beta(2, 3)], [0.5, 0.5])),
        lambda n: rmtp.Wishart(n, rmtp.Dim("p", ratio=2)),
    ],
    ids=["atoms", "uniform", "atom and beta", "Wishart"],
)
def test_a_reused_symmetric_matrix_in_a_nonlinear_program(n, made):
    compare(again_and_again(made(n), rmtp.Normal(n)), 250, 3)


def test_a_sign_between_two_uses(n, m):
    x, V = rmtp.Normal(n), rmtp.Haar(m, n)
    g = V.T @ np.sign(V @ x)
    compare([np.mean(g * x), np.mean(np.tanh(g) ** 2), np.mean(np.sign(V @ np.tanh(g)) * (V @ x))], 300, 4)


@pytest.mark.slow
def test_many_uses_on_sampled_points(n, m):
    for W, seed in ((rmtp.Haar(n), 5), (rmtp.Haar(m, n), 6)):
        x = a = rmtp.IID(n, [-1, 1])
        y, out = None, []
        for _ in range(4):
            y = np.tanh(1.5 * (W @ a)) + (0 if y is None else 0.3 * y)
            a = np.tanh(W.T @ y + 0.5 * a)
            out += [np.mean(y * y), np.mean(a * x)]
        compare(out, 800, seed)


def test_draws_have_the_values_they_say(n, m, half):
    x = rmtp.Normal(n)

    def matrix(W, width=60):
        return rmtp.sample(W @ x, width, rng=0), W.source

    rng = np.random.default_rng(0)
    for W, size in ((rmtp.Haar(n), 60), (rmtp.Haar(m, n), 60), (rmtp.Haar(half, n), 30)):
        _, source = matrix(W)
        drawn = source.ensemble.draw(rng, source.rows.size(60), source.cols.size(60), 1.0, "gaussian")
        assert drawn.shape == (source.rows.size(60), source.cols.size(60))
        assert np.linalg.svd(drawn, compute_uv=False) == pytest.approx(np.ones(size), abs=1e-12)
    _, source = matrix(rmtp.Invariant(n, rmtp.Discrete([-1, 2], [F(1, 3), F(2, 3)])))
    values = np.linalg.eigvalsh(source.ensemble.draw(rng, 60, 60, 1.0, "gaussian"))
    assert values == pytest.approx(np.repeat([-1.0, 2.0], [20, 40]), abs=1e-12)
    _, source = matrix(rmtp.BiInvariant(m, n, scipy.stats.uniform()))
    values = np.linalg.svd(source.ensemble.draw(rng, 120, 60, 1.0, "gaussian"), compute_uv=False)
    assert np.sort(values) == pytest.approx((np.arange(60) + 0.5) / 60, abs=1e-12)
    _, source = matrix(rmtp.Wishart(n, m, std=3))
    drawn = source.ensemble.draw(rng, 60, 60, 1.0, "gaussian")
    assert np.all(np.linalg.eigvalsh(drawn) > 0) and np.trace(drawn) / 60 == pytest.approx(9, rel=0.1)


def test_haar_is_uniform_and_not_what_qr_returns(n):
    """E Q_ii = 0; the Q of a Householder QR has E Q_11 = -E|Q_11|."""
    draw = rmtp.Haar(n).source.ensemble.draw
    first = [np.diagonal(draw(np.random.default_rng(k), 5, 5, 1.0, "gaussian")) for k in range(400)]
    error = math.sqrt(1 / 5 / 400)
    assert np.all(np.abs(np.mean(first, axis=0)) < SIGMAS * error)


# ---------------------------------------------------------------------------------------------
# bad input


def test_moments_run_out(n):
    A, x = rmtp.Invariant(n, rmtp.Moments([0, 1, 0, 2])), rmtp.Normal(n)
    assert rmtp.limit(np.mean((A @ (A @ x)) ** 2)).value == 2
    with pytest.raises(BadParameter, match=r"order 5 is needed, and 4 are given[\s\S]*at "):
        rmtp.limit(np.mean((A @ (A @ (A @ x))) ** 2))


@pytest.mark.parametrize("law", [rmtp.Moments([0, 1]), rmtp.FreeCumulants([0, 1]), rmtp.RTransform(lambda z: z)])
def test_numbers_cannot_be_drawn(n, law):
    with pytest.raises(UnsupportedOperation, match="cannot be drawn"):
        rmtp.sample(np.mean(rmtp.Invariant(n, law) @ rmtp.Normal(n)), width=10)


BAD = {
    "no moments": lambda n, m: rmtp.Moments([]),
    "one moment": lambda n, m: rmtp.Moments([1]),
    "a moment that is not finite": lambda n, m: rmtp.Moments([0, math.nan]),
    "moments of no law": lambda n, m: rmtp.Moments([1, F(1, 2)]),
    "no cumulants": lambda n, m: rmtp.FreeCumulants([]),
    "cumulants of no law": lambda n, m: rmtp.Invariant(n, rmtp.FreeCumulants([0, -1])),
    "cumulants of no law, later": lambda n, m: rmtp.Invariant(n, rmtp.FreeCumulants([0, 1, 2])),
    "odd rectangular cumulants": lambda n, m: rmtp.BiInvariant(n, m, rmtp.FreeCumulants([1, 1])),
    "no function": lambda n, m: rmtp.RTransform(3),
    "a pole": lambda n, m: rmtp.Invariant(n, rmtp.RTransform(lambda z: 1 / z)),
    "an unknown function": lambda n, m: rmtp.Invariant(n, rmtp.RTransform(lambda z: np.log10(1 + z))),
    "no atoms": lambda n, m: rmtp.Invariant(n, []),
    "no law": lambda n, m: rmtp.Invariant(n, "semicircle"),
    "negative singular values": lambda n, m: rmtp.BiInvariant(n, m, [-1, 1]),
    "singular values below zero": lambda n, m: rmtp.BiInvariant(n, m, scipy.stats.norm()),
    "moments of negative singular values": lambda n, m: rmtp.BiInvariant(n, m, rmtp.Moments([-1, 2])),
    "a swept width": lambda n, m: rmtp.Haar(rmtp.Dim("k", ratio=[1, 2]), n),
    "no width": lambda n, m: rmtp.Haar(n, 3),
    "a negative std": lambda n, m: rmtp.Wishart(n, m, std=-1),
    "a swept std": lambda n, m: rmtp.Wishart(n, m, std=[1, 2]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_a_remedy(n, m, case):
    with pytest.raises(BadParameter) as caught:
        BAD[case](n, m)
    assert caught.value.remedy


def test_a_law_without_moments_is_refused(n):
    with pytest.raises(DivergentExpectation, match="cauchy"):
        rmtp.Invariant(n, scipy.stats.cauchy())
    A, x = rmtp.Invariant(n, scipy.stats.t(df=7)), rmtp.Normal(n)  # six moments
    assert float(rmtp.limit(np.mean((A @ x) ** 2))) == pytest.approx(7 / 5, rel=1e-9)
    with pytest.raises(DivergentExpectation, match="order 7"):
        rmtp.limit(np.mean((A @ (A @ (A @ (A @ x)))) ** 2))


def test_names_in_print(n, m):
    x, Q, A = rmtp.Normal(n, name="x"), rmtp.Haar(m, n), rmtp.Wishart(n, m)
    text = str(rmtp.program(Q @ (A @ x)))
    assert "Q1 @" in text and "A1 @" in text
    assert all(a != b for a, b in pairwise(sorted(text.splitlines())))
