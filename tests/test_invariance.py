"""Rewriting a program changes no limit.

Programs are drawn by hypothesis: two widths, W and W.T and a second matrix, smooth and non-smooth functions, scalars. Each is
compared with an equivalent one, within five stated errors of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as hs

import rmtp

QUICK = settings(derandomize=True, max_examples=24, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

SMOOTH = {"tanh": np.tanh, "sin": np.sin, "arctan": np.arctan, "square": lambda v: v * v, "id": lambda v: v}
KINKED = {
    "relu": rmtp.relu,
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda v: np.heaviside(v - 0.2, 0),
    "clip": lambda v: np.clip(v, -1, 1),
}
FUNCTIONS = SMOOTH | KINKED
POLYNOMIAL = {"square": lambda v: v * v, "id": lambda v: v, "affine": lambda v: 2 * v - 1}


@dataclass(frozen=True)
class Step:
    """One line: a use of matrix `matrix` (None: a combination), on vector number `at`, with function `fn` after it."""

    matrix: int | None
    at: int
    other: int
    fn: str
    scalar: bool


@dataclass(frozen=True)
class Recipe:
    ratio: F
    variances: tuple[F, F]
    steps: tuple[Step, ...]


def recipes(functions, steps=3):
    step = hs.builds(
        Step,
        matrix=hs.sampled_from([0, 0, 0, 1, None]),
        at=hs.integers(0, 5),
        other=hs.integers(0, 5),
        fn=hs.sampled_from(sorted(functions)),
        scalar=hs.booleans(),
    )
    return hs.builds(
        Recipe,
        ratio=hs.sampled_from([F(1), F(2), F(1, 3)]),
        variances=hs.tuples(hs.sampled_from([F(1), F(1, 2)]), hs.just(F(1))),
        steps=hs.lists(step, min_size=2, max_size=steps).map(tuple),
    )


def run(recipe, functions, relabelled=False, expanded=False, late=False):
    """The vectors of a recipe by side, and its averages.

    relabelled: matrix 0 is the transpose of one of size n x m with variance s^2 m/n (so that entries keep their variance).
    expanded: W(y + z) as W y + W z.    late: the sum's other summand is built first.
    """
    n, m = rmtp.Dim("n"), rmtp.Dim("m", recipe.ratio)
    x, y = rmtp.Normal(n, F(1, 4), name="x"), rmtp.Normal(m, cov=F(1, 2), name="y")
    s0, s1 = recipe.variances
    W = rmtp.Gaussian(n, m, variance=s0 * recipe.ratio).T if relabelled else rmtp.Gaussian(m, n, variance=s0)
    matrices = [W, rmtp.Gaussian(m, n, variance=s1)]
    sides = [[x], [y]]
    flat = [(x, 0), (y, 1)]
    for step in recipe.steps:
        v, side = flat[step.at % len(flat)]
        mates = sides[side]
        other = mates[step.other % len(mates)]
        if step.matrix is None:
            out = functions[step.fn](other + v) if late else functions[step.fn](v + other)
        else:
            M = matrices[step.matrix] if side == 0 else matrices[step.matrix].T
            total = (M @ other + M @ v if late else M @ v + M @ other) if expanded else M @ (v + other)
            out, side = functions[step.fn](total), 1 - side
        if step.scalar:
            out = out - np.mean(out)
        sides[side].append(out)
        flat.append((out, side))
    averages = [np.mean(a * b) for side in sides for i, a in enumerate(side) for b in side[i:]]
    return matrices, sides, averages[-6:]


def answers(averages, **options):
    return rmtp.limit(averages, rtol=1e-6, budget=None, **options)


def assert_same(first, second, rounding=2e-9):
    for a, b in zip(first, second, strict=True):
        room = 5 * math.hypot(a.error, b.error) + rounding * max(1.0, abs(float(a.value)))
        assert abs(float(a.value) - float(b.value)) <= room, (a, b)


def check(recipe, functions, **how):
    assert_same(answers(run(recipe, functions)[2]), answers(run(recipe, functions, **how)[2]))


def check_exact(recipe, **how):
    try:
        plain = rmtp.limit(run(recipe, POLYNOMIAL)[2], exact=True)
        other = rmtp.limit(run(recipe, POLYNOMIAL, **how)[2], exact=True)
    except rmtp.errors.BudgetExceeded:  # the expanded form of four squarings has 10^5 terms
        assume(False)
    assert [a.value for a in plain] == [b.value for b in other]


HOW = [{"relabelled": True}, {"expanded": True}, {"late": True, "expanded": True}]
IDS = ["transpose relabelled", "W(y+z) expanded", "another order"]


@pytest.mark.parametrize("how", HOW, ids=IDS)
@QUICK
@given(recipe=recipes(POLYNOMIAL, 4))
def test_polynomial_programs_are_invariant_exactly(recipe, how):
    check_exact(recipe, **how)


@pytest.mark.parametrize("how", HOW, ids=IDS)
@settings(QUICK, max_examples=10)
@given(recipe=recipes(FUNCTIONS, 2))
def test_programs_are_invariant(recipe, how):
    check(recipe, FUNCTIONS, **how)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW, ids=IDS)
@MANY
@given(recipe=recipes(POLYNOMIAL, 5))
def test_many_polynomial_programs_are_invariant_exactly(recipe, how):
    check_exact(recipe, **how)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW, ids=IDS)
@settings(MANY, max_examples=40)
@given(recipe=recipes(FUNCTIONS, 3))
def test_many_programs_are_invariant(recipe, how):
    check(recipe, FUNCTIONS, **how)


# ---------------------------------------------------------------------------------------------
# the adjunction identity (TP III, L.3): E Z^y Z^{Wx} = (n/m) E Z^{W^T y} Z^x for W of m rows and n columns


def adjunction(recipe, functions, matrix, **options):
    matrices, sides, _ = run(recipe, functions)
    W = matrices[matrix]
    pairs = []
    for a in sides[0][-2:]:
        for b in sides[1][-2:]:
            pairs += [np.mean(b * (W @ a)), np.mean((W.T @ b) * a)]
    return rmtp.limit(pairs, **options)


@pytest.mark.parametrize("matrix", [0, 1])
@QUICK
@given(recipe=recipes(POLYNOMIAL, 4))
def test_adjunction_exactly(recipe, matrix):
    values = [e.value for e in adjunction(recipe, POLYNOMIAL, matrix, exact=True)]
    assert [v * recipe.ratio for v in values[::2]] == values[1::2]


@settings(QUICK, max_examples=12)
@given(recipe=recipes(FUNCTIONS, 2))
def test_adjunction(recipe):
    got = adjunction(recipe, FUNCTIONS, 0, rtol=1e-6)
    ratio = float(recipe.ratio)
    scaled = [replace(e, value=float(e.value) * ratio, error=e.error * ratio) for e in got[::2]]
    assert_same(scaled, got[1::2])


# ---------------------------------------------------------------------------------------------
# simple symmetries


@settings(QUICK, max_examples=12)
@given(recipe=recipes(FUNCTIONS, 2))
def test_a_list_is_its_entries_in_any_order(recipe):
    averages = run(recipe, FUNCTIONS)[2]
    together = answers(averages)
    backwards = answers(averages[::-1])[::-1]
    assert_same(together, backwards)
    assert_same(together, [answers([a])[0] for a in averages])


@pytest.mark.parametrize("c", [F(2), F(-1), F(1, 7)])
def test_scaling_a_vector_scales_what_is_linear(c):
    n, m = rmtp.Dim("n"), rmtp.Dim("m", F(3, 2))
    W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    for f, degree in ((rmtp.relu, 1), (np.abs, 1), (np.sign, 0), (lambda v: v**3, 3)):
        if c < 0 and f is rmtp.relu:
            continue
        sign = -1 if c < 0 and f is np.sign else 1
        size = abs(c) if f is np.abs else c
        one = rmtp.limit(np.mean((W.T @ f(W @ x)) * x))
        scaled = rmtp.limit(np.mean((W.T @ f(W @ (c * x))) * x))
        expected = sign * float(size) ** degree * float(one.value)
        assert abs(float(scaled.value) - expected) <= 5 * (size**2 * one.error + scaled.error) + 1e-12


@pytest.mark.parametrize("f", [np.tanh, rmtp.relu, np.sign, lambda v: v * v - v])
def test_std_of_the_matrix_is_a_scale_of_its_product(f):
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    x, y = rmtp.Normal(n), rmtp.Normal(m)
    W, U = rmtp.Gaussian(m, n, variance=F(9, 4)), rmtp.Gaussian(m, n)
    c = F(3, 2)
    first = rmtp.limit([np.mean((W.T @ f(W @ x + y)) * x), np.mean((W.T @ f(W @ x + y)) ** 2)])
    second = rmtp.limit([np.mean(c * (U.T @ f(c * (U @ x) + y)) * x), np.mean((c * (U.T @ f(c * (U @ x) + y))) ** 2)])
    assert_same(first, second)


def test_a_symmetric_matrix_is_w_plus_its_transpose():
    n = rmtp.Dim("n")
    A, W, x = rmtp.GOE(n), rmtp.Gaussian(n, n, variance=F(1, 2)), rmtp.Normal(n, F(1, 3))
    for f in (np.tanh, np.sign, rmtp.relu, lambda v: v * v):

        def body(apply, f=f, x=x):
            h = apply(x)
            g = apply(f(h) + x)
            return [np.mean(g * x), np.mean(g * h), np.mean(g * g), np.mean(g * f(h))]

        assert_same(rmtp.limit(body(lambda v: A @ v)), rmtp.limit(body(lambda v: W @ v + W.T @ v)))


def test_dependent_queries_change_nothing():
    """Rem. 2.11 and P09: hats that are linear combinations of others, and lines written twice."""
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    x, y = rmtp.Normal(n, (0, 0), [[1, F(1, 2)], [F(1, 2), 2]])
    a, b = W @ x, W @ y
    for f in (np.tanh, np.sign, rmtp.relu, lambda v: v**3):
        written = [f(W @ (2 * x - y)), f(2 * a - b), f(2 * (W @ x) - W @ y), f(W @ (x - y) + a)]
        values = [
            rmtp.limit([np.mean((W.T @ w) * x), np.mean((W.T @ w) * y), np.mean((W.T @ w) ** 2)]) for w in written
        ]
        for other in values[1:]:
            assert_same(values[0], other)


def test_zdot_as_a_vector_is_unique_where_its_coefficients_are_not():
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    y, z = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]])
    one = W.T @ np.tanh(W @ (y + z))
    two = W.T @ np.tanh(W @ y + W @ z)
    slope = rmtp.limit(np.mean(one * y))
    difference = rmtp.limit(np.mean((one - two) ** 2))
    assert slope.value > 0.3
    assert abs(difference.value) <= 5 * difference.error + 1e-12


def test_an_orthogonal_change_of_the_initial_vectors():
    """(x, y) and ((x + y), (x - y))/sqrt 2 have one law."""
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    x, y = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]])

    def body(p, q):
        g = W.T @ np.tanh(W @ p + 0.5 * q)
        return [np.mean(g * p), np.mean(g * q), np.mean(np.abs(g))]

    r = math.sqrt(0.5)
    assert_same(rmtp.limit(body(x, y)), rmtp.limit(body(r * (x + y), r * (x - y))))


def test_two_columns_of_one_axis_are_two_vectors():
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n)
    cov = [[1, F(1, 3)], [F(1, 3), 2]]
    X = rmtp.Normal(n, (0, 1), cov, axis="input")
    x, y = rmtp.Normal(n, (0, 1), cov)
    G = W.T @ np.tanh(W @ X)
    g, h = W.T @ np.tanh(W @ x), W.T @ np.tanh(W @ y)
    along = rmtp.limit(np.mean(G * X, axis=0))
    np.testing.assert_allclose(
        along.value, [rmtp.limit(np.mean(g * x)).value, rmtp.limit(np.mean(h * y)).value], rtol=1e-9
    )
