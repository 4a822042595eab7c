"""Finite width: every instruction against the same NumPy code on the arrays that were drawn."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from scipy import special

import rmtp
from rmtp import ensembles
from rmtp.errors import BadParameter
from rmtp.sample import draw, run, sources

SEED = 20240607
WIDTH = 40


def arrays(handles, width=WIDTH, seed=SEED, entries=None):
    """What `sample` draws in its only trial: {source: array}, by the documented spawning of generators."""
    program = rmtp.program(*handles)
    (trial,) = np.random.default_rng(seed).spawn(1)
    listed = sources(program)
    return {id(s): draw(s, width, g, entries) for s, g in zip(listed, trial.spawn(len(listed)), strict=True)}


def setting():
    """Two widths, two matrices, a symmetric one, a correlated pair, a group along an axis."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=Fraction(3, 2))
    W, V = rmtp.Gaussian(m, n, std=2), rmtp.Gaussian(n, n)
    A = rmtp.GOE(n)
    x, y = rmtp.Normal(n, mean=(0, 1), cov=[[1, 0.5], [0.5, 2]])
    X = rmtp.Normal(n, cov=np.eye(3), mean=(0, 0, 0), axis="input")
    return W, V, A, x, y, X


# each is run on handles and on arrays, unchanged
PROGRAMS = {
    "matvec": lambda W, V, A, x, y, X: W @ x,
    "transpose": lambda W, V, A, x, y, X: W.T @ (W @ x),
    "symmetric": lambda W, V, A, x, y, X: A @ (A.T @ x),
    "reuse": lambda W, V, A, x, y, X: V @ np.tanh(V @ x) + V.T @ y,
    "matvec on an axis": lambda W, V, A, x, y, X: W.T @ (W @ X),
    "arithmetic": lambda W, V, A, x, y, X: (x + 2 * y - x * y / 3) ** 3 - 1 / (2 + x**2),
    "divide by a scalar": lambda W, V, A, x, y, X: x / np.sqrt(np.mean(x**2) + 1),
    "negative power of a scalar": lambda W, V, A, x, y, X: np.mean(y**2) ** -2,
    "ufuncs": lambda W, V, A, x, y, X: np.exp(-(x**2)) * np.sin(y) + np.arctan(x) + special.erf(y) + special.ndtr(x),
    "kinks": lambda W, V, A, x, y, X: np.maximum(x, y) - np.minimum(x, 0) + np.clip(y, -1, 1) + np.abs(x) + np.sign(y),
    "where": lambda W, V, A, x, y, X: np.where(x > y, x, 2 * y),
    "comparison": lambda W, V, A, x, y, X: x * (y > 0.5),
    "heaviside": lambda W, V, A, x, y, X: np.heaviside(x, 0.5),
    "own functions": lambda W, V, A, x, y, X: rmtp.relu(x) + rmtp.gelu(y) + rmtp.softplus(x) + rmtp.leaky_relu(y, 0.2),
    "soft threshold": lambda W, V, A, x, y, X: rmtp.soft_threshold(x, np.mean(y)),
    "average": lambda W, V, A, x, y, X: np.mean(np.tanh(W @ x) * (W @ y)),
    "scalar arithmetic": lambda W, V, A, x, y, X: np.exp(np.mean(x)) / (1 + np.mean(y) ** 2) - np.mean(x * y),
    "layer norm": lambda W, V, A, x, y, X: (y - np.mean(y)) / np.std(y),
    "index": lambda W, V, A, x, y, X: X[:, 1] + x,
    "slice": lambda W, V, A, x, y, X: X[:, ::2],
    "new axis": lambda W, V, A, x, y, X: x[:, None] * X,
    "sum": lambda W, V, A, x, y, X: np.sum(X**2, axis=1),
    "mean over an axis": lambda W, V, A, x, y, X: np.mean(X, axis=1),
    "average along an axis": lambda W, V, A, x, y, X: np.mean(X**2, axis=0),
    "matmul": lambda W, V, A, x, y, X: X @ np.arange(6.0).reshape(3, 2),
    "matmul with a vector": lambda W, V, A, x, y, X: X @ np.array([1.0, -2.0, 0.5]),
    "stack": lambda W, V, A, x, y, X: np.stack([x, y, x * y], axis=1),
    "transpose axes": lambda W, V, A, x, y, X: np.transpose(X[:, :, None] * np.array([1.0, 2.0]), (0, 2, 1)),
    "kernel of averages": lambda W, V, A, x, y, X: np.mean(X[:, :, None] * np.tanh(X)[:, None, :], axis=0),
    "stack of scalars": lambda W, V, A, x, y, X: np.stack([np.mean(x), np.mean(y)]),
    "attention": lambda W, V, A, x, y, X: X @ np.exp(np.mean(X[:, :, None] * X[:, None, :], axis=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_instruction_is_numpys(name):
    handles = setting()
    f = PROGRAMS[name]
    asked = f(*handles)
    drawn = arrays([asked])

    def given(handle):
        source = handle.source if isinstance(handle, rmtp.Matrix) else handle.op.source
        if id(source) not in drawn:
            return np.full(1, np.nan)  # not in this program, so nothing may depend on it
        array = drawn[id(source)]
        return array if isinstance(handle, rmtp.Matrix) or handle.op.index is None else array[:, handle.op.index]

    expected = f(*(given(h) for h in handles))
    value = rmtp.sample(asked, WIDTH, SEED)
    assert np.shape(value) == np.shape(expected)
    assert np.allclose(value, expected, rtol=1e-11, atol=1e-11)


def test_shapes_and_types():
    W, _, _, x, _, X = setting()
    assert isinstance(rmtp.sample(np.mean(x), 10, 0), float)
    assert rmtp.sample(W @ x, 10, 0).shape == (15,)
    assert rmtp.sample(W @ X, 10, 0).shape == (15, 3)
    assert rmtp.sample(np.mean(X, axis=0), 10, 0).shape == (3,)
    assert rmtp.sample(np.mean(x), 10, 0, 4).shape == (4,)
    assert rmtp.sample(W @ X, 10, 0, 4).shape == (4, 15, 3)
    both = rmtp.sample([np.mean(x), x], 10, 0)
    assert isinstance(both, list) and both[0] == np.mean(both[1])
    many = rmtp.sample((np.mean(x), x), 10, 0, 3)
    assert np.array_equal(many[0], many[1].mean(axis=1))


def test_width_one_and_rounded_sizes():
    n, p = rmtp.Dim("n"), rmtp.Dim("p", ratio=0.01)
    assert rmtp.sample(rmtp.Normal(n), 1, 0).shape == (1,)
    assert rmtp.sample(rmtp.Gaussian(p, n) @ rmtp.Normal(n), 3, 0).shape == (1,)


def test_reproducible_by_seed():
    W, _, A, x, y, _ = setting()
    asked = np.mean(np.tanh(W.T @ (W @ x)) * (A @ y))
    first = rmtp.sample(asked, 30, 7, trials=6)
    assert np.array_equal(first, rmtp.sample(asked, 30, 7, trials=6))
    assert np.array_equal(first, rmtp.sample(asked, 30, np.random.default_rng(7), trials=6))
    assert len(set(first)) == 6
    assert not np.array_equal(first, rmtp.sample(asked, 30, 8, trials=6))
    # trial k does not depend on how many trials run
    assert np.array_equal(first[:2], rmtp.sample(asked, 30, 7, trials=2))
    assert first[0] == rmtp.sample(asked, 30, 7)
    # one generator, two calls: two draws
    rng = np.random.default_rng(7)
    assert rmtp.sample(asked, 30, rng) != rmtp.sample(asked, 30, rng)
    assert rmtp.sample(asked, 30) != rmtp.sample(asked, 30)


def test_the_global_generator_is_left_alone():
    W, _, _, x, _, _ = setting()
    before = np.random.get_state()[1].copy()
    rmtp.sample(np.mean(W @ x), 20, 0)
    assert np.array_equal(before, np.random.get_state()[1])


def test_vectors_do_not_depend_on_the_entry_law():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    plain = rmtp.sample([x, W @ x], 20, 3)
    signs = rmtp.sample([x, W @ x], 20, 3, entries="rademacher")
    assert np.array_equal(plain[0], signs[0])
    assert not np.array_equal(plain[1], signs[1])


def test_one_draw_of_a_matrix_however_often_it_is_used(monkeypatch):
    n = rmtp.Dim("n")
    W, x, y = rmtp.Gaussian(n, n), rmtp.Normal(n), rmtp.Normal(n)
    # W(x + y) - Wx - Wy vanishes only if all three are the same matrix
    difference = W @ (x + y) - W @ x - W @ y
    assert np.abs(rmtp.sample(difference, 100, 0)).max() < 1e-12
    calls = []
    honest = ensembles.draw_entries
    monkeypatch.setattr(ensembles, "draw_entries", lambda *a: calls.append(a[1]) or honest(*a))
    rmtp.sample(np.mean(W.T @ np.tanh(W @ (W @ x))), 10, 0, trials=3)
    assert calls == [(10, 10)] * 3


def test_matrices_are_freed_after_their_last_use():
    """Twenty matrices in a row never take the memory of three."""
    n = rmtp.Dim("n")
    h = rmtp.Normal(n)
    for _ in range(20):
        h = np.tanh(rmtp.Gaussian(n, n) @ h)
    one = 300 * 300 * 8
    tracemalloc.start()
    rmtp.sample(np.mean(h), 300, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one < peak < 4 * one  # the matrix itself, the unscaled one while it is drawn, and the vectors


def test_symmetric_matrices_are_symmetric_with_their_variances():
    n = rmtp.Dim("n")
    A = rmtp.GOE(n, variance=Fraction(3, 2)).source
    size = 400
    for entries in ensembles.ENTRY_LAWS:
        a = draw(A, size, np.random.default_rng(5), entries)
        assert np.array_equal(a, a.T)
        off = a[np.triu_indices(size, 1)] ** 2 * size / 1.5
        diagonal = np.diag(a) ** 2 * size / 1.5
        for squares, mean in ((off, 1), (diagonal, 2)):
            assert abs(squares.mean() - mean) <= 4.5 * max(squares.std(), 1e-12) / math.sqrt(len(squares))


def test_iid_entries_have_variance_over_the_columns():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=3)
    W = rmtp.Gaussian(m, n, std=2).source
    for entries in ensembles.ENTRY_LAWS:
        w = draw(W, 200, np.random.default_rng(6), entries)
        assert w.shape == (600, 200)
        squares = w**2 * 200 / 4
        error = max(squares.std(), 1e-12) / math.sqrt(squares.size)
        assert abs(squares.mean() - 1) < 4.5 * error
        assert abs(w.mean()) < 4.5 * w.std() / math.sqrt(w.size)


def test_singular_covariances():
    n = rmtp.Dim("n")
    x, y, z = rmtp.Normal(n, mean=(0, 1, 5), cov=[[1, 2, 0], [2, 4, 0], [0, 0, 0]])
    a, b, c = rmtp.sample([x, y, z], 500, 0)
    assert np.allclose(b, 2 * a + 1, atol=1e-12)
    assert np.allclose(c, 5, atol=1e-12)
    assert abs(a.mean()) < 4.5 / math.sqrt(500)


def test_gaussian_groups_have_their_covariance():
    n = rmtp.Dim("n")
    cov = np.array([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 0.7]])
    X = rmtp.Normal(n, mean=(0, 1, -1), cov=cov, axis="k")
    size = 40_000
    values = rmtp.sample(X, size, 1) - np.array([0, 1, -1])
    found = values.T @ values / size
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / size)
    assert np.all(np.abs(found - cov) < 4.5 * error)


def test_initial_laws():
    n = rmtp.Dim("n")
    sparse = rmtp.IID(n, rmtp.Mixture([0, scipy.stats.norm()], [0.75, 0.25]))
    flat = rmtp.IID(n, scipy.stats.uniform(0, 2))
    signs = rmtp.IID(n, [-1, 1])
    s, u, r, c = rmtp.sample([sparse, flat, signs, rmtp.constant(n, Fraction(1, 3))], 10_000, 2)
    assert abs(np.mean(s == 0) - 0.75) < 4.5 * math.sqrt(0.75 * 0.25 / 10_000)
    assert u.min() >= 0 and u.max() <= 2 and scipy.stats.kstest(u / 2, "uniform").pvalue > 1e-5
    assert set(r) == {-1.0, 1.0}
    assert np.array_equal(c, np.full(10_000, 1 / 3))


def test_user_functions_may_forget_their_argument():
    x = rmtp.Normal(rmtp.Dim("n"))
    one = rmtp.elementwise(lambda x: 1.0)
    assert np.array_equal(rmtp.sample(one(x), 5, 0), np.ones(5))


def test_a_function_that_is_not_coordinatewise_is_named():
    x = rmtp.Normal(rmtp.Dim("n"), name="x")
    bad = rmtp.elementwise(lambda x: np.concatenate([x, x]), name="twice")
    with pytest.raises(BadParameter, match="twice") as caught:
        rmtp.sample(bad(x), 5, 0)
    assert caught.value.where and "ufunc" in caught.value.remedy
    fails = rmtp.elementwise(lambda x: 1 / 0, name="fails")
    with pytest.raises(ZeroDivisionError) as raw:
        rmtp.sample(fails(x), 5, 0)
    assert any("fails" in note for note in raw.value.__notes__)


@pytest.mark.parametrize("width", [0, -3, 2.5, "10", True, None, math.nan])
def test_width_must_be_a_positive_int(width):
    with pytest.raises(BadParameter, match="width"):
        rmtp.sample(rmtp.Normal(rmtp.Dim("n")), width)


@pytest.mark.parametrize("trials", [0, -1, 1.5, False])
def test_trials_must_be_a_positive_int(trials):
    with pytest.raises(BadParameter, match="trials"):
        rmtp.sample(rmtp.Normal(rmtp.Dim("n")), 10, 0, trials)


@pytest.mark.parametrize("rng", [-1, 0.5, "seed", True, np.random.RandomState(0)])
def test_rng_must_be_a_seed_or_a_generator(rng):
    with pytest.raises(BadParameter, match="rng"):
        rmtp.sample(rmtp.Normal(rmtp.Dim("n")), 10, rng)


def test_sweeps_and_unknown_entries_are_refused():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    for swept in (rmtp.parameter([1, 2]) * x, rmtp.Gaussian(n, n, std=[1.0, 2.0]) @ x):
        with pytest.raises(BadParameter) as caught:
            rmtp.sample(np.mean(swept), 10)
        assert "one value at a time" in caught.value.remedy
    with pytest.raises(BadParameter, match="cauchy"):
        rmtp.sample(np.mean(x), 10, entries="cauchy")
    with pytest.raises(BadParameter):
        rmtp.sample(3.0, 10)


def test_long_programs_need_no_recursion_and_no_memory():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    h = x
    for _ in range(3000):
        h = h + x
    (value,), (start,) = ([v[0]] for v in run(rmtp.program(h, x), 1, np.random.default_rng(0)))
    assert math.isclose(value, 3001 * start, rel_tol=1e-10)
