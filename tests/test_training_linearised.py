"""Linearised training: against explicit iteration, matrix exponentials, multiprecision and the NNGP posterior."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from scipy.special import erf

import rmtp
from rmtp import plots, training
from rmtp.errors import AxisError, BadParameter, NotPSD
from rmtp.regression import ntk_ensemble, posterior
from rmtp.training import Flow, GradientDescent, HeavyBall, Nesterov, from_kernels, response

N = rmtp.Dim("n")
DISCRETE = [GradientDescent(), HeavyBall(0.9), Nesterov(0.9), HeavyBall(0.3), Nesterov(0.0)]


def net(x):
    for _ in range(2):
        x = erf(rmtp.networks.dense(x, N, 1.5, 0.3))
    return rmtp.readout(x, 1, 0.2)


@pytest.fixture(scope="module")
def data():
    """Both kernels of 9 training and 5 test points as one matrix each, and two outputs."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((9, 3)), rng.standard_normal((5, 3))
    both = np.vstack([x, t])
    k, theta = (np.asarray(kernel(net, both)) for kernel in (rmtp.nngp, rmtp.ntk))
    return x, t, rng.standard_normal((9, 2)), k, theta


def model_of(k, theta, y, ridge=0.0, diagonal=False, **options):
    n = len(y)
    test = np.diag(k)[n:] if diagonal else k[n:, n:]
    return from_kernels(theta[:n, :n], theta[n:, :n], y, nngp=(k[:n, :n], k[n:, :n], test), ridge=ridge, **options)


def iterated(optimiser, theta, n, steps, rate, ridge=0.0):
    """f_t = moved @ f_0 + pulled @ y over all points, by stepping outputs and their velocities (no eigenvalues)."""
    beta = getattr(optimiser, "momentum", 0.0)
    size = len(theta)
    # columns: f_0 of all points, then y; the ridge pulls every output towards f_0
    start = np.hstack([np.eye(size), np.zeros((size, n))])
    goal = np.hstack([np.zeros((n, size)), np.eye(n)])
    f, v, out = start, np.zeros_like(start), []
    for k in range(max(steps) + 1):
        if k in steps:
            out.append(f)
        seen = f + beta * v if isinstance(optimiser, Nesterov) else f
        v = beta * v - rate * (theta[:, :n] @ (seen[:n] - goal) + ridge * (seen - start))
        f = f + v
    return [(f[:, :size], f[:, size:]) for f in out]


def check_law(path, index, moved, pulled, k, y, tol=1e-12):
    n = len(y)
    scale = np.abs(y).max()
    assert np.allclose(path.mean[index], (pulled @ y)[n:], atol=tol * scale)
    assert np.allclose(path.train_mean[index], (pulled @ y)[:n], atol=tol * scale)
    law = moved @ k @ moved.T
    assert np.allclose(path.covariance[index], law[n:, n:], atol=tol)
    assert np.allclose(path.train_covariance[index], law[:n, :n], atol=tol)
    assert np.allclose(path.variance[index], np.diag(law)[n:], atol=tol)
    residual = (pulled @ y)[:n] - y
    assert np.isclose(path.loss_of_mean[index], np.sum(residual**2) / 2, rtol=1e-9, atol=tol)
    expected = np.sum(residual**2) / 2 + y.shape[1] * np.trace(law[:n, :n]) / 2
    assert np.isclose(path.loss[index], expected, rtol=1e-9, atol=tol)
    # per mode: the residual along one eigenvector of the tangent kernel
    vectors = path.spectrum.vectors
    along = np.sum((vectors.T @ residual) ** 2, axis=1) + y.shape[1] * np.diag(vectors.T @ law[:n, :n] @ vectors)
    assert np.allclose(path.loss_by_mode[index], along / 2, rtol=1e-8, atol=tol)
    one = path.at(index)
    assert np.allclose(one.variance, path.variance[index], atol=1e-13)
    assert np.allclose(one.mean, path.mean[index], atol=1e-13)


# ---------------------------------------------------------------------------------------------
# brute force


@pytest.mark.parametrize("ridge", [0.0, 0.2])
@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_discrete_optimisers_are_their_iteration(data, optimiser, ridge):
    _, _, y, k, theta = data
    steps = (0, 1, 2, 7, 100)
    model = model_of(k, theta, y, ridge)
    rate = 0.9 * model.max_learning_rate(optimiser)
    path = model.run(optimiser, steps, rate)
    for index, (moved, pulled) in enumerate(iterated(optimiser, theta, 9, steps, rate, ridge)):
        check_law(path, index, moved, pulled, k, y)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_flow_is_a_matrix_exponential(data, ridge):
    """Of (f - f_0, y - f_0(X)) as one linear system over all points."""
    _, _, y, k, theta = data
    path = model_of(k, theta, y, ridge).flow([0.0, 0.3, 4.0], 0.7)
    n, size = 9, 14
    for index, time in enumerate((0.0, 0.3, 4.0)):
        pull = np.zeros((size, size))
        pull[:, :n] = theta[:, :n]
        generator = np.zeros(
            (size + n, size + n)
        )  # d = f - f_0; d' = -(pull + ridge) d + Theta(., X) e, e = y - f_0(X)
        generator[:size, :size], generator[:size, size:] = -(pull + ridge * np.eye(size)), theta[:, :n]
        grown = linalg.expm(0.7 * time * generator)[:size, size:]
        moved = np.eye(size) - np.hstack([grown, np.zeros((size, size - n))])
        check_law(path, index, moved, grown, k, y)


def test_flow_is_the_existing_ensemble(data):
    _, _, y, k, theta = data
    nngp = (k[:9, :9], k[9:, :9], k[9:, 9:])
    path = model_of(k, theta, y, 0.1).flow([0.5, np.inf])
    for index, time in enumerate((0.5, np.inf)):
        other = ntk_ensemble(theta[:9, :9], theta[9:, :9], y, nngp=nngp, noise=0.1, time=time)
        assert np.allclose(path.mean[index], other.mean, atol=1e-11)
        assert np.allclose(path.covariance[index], other.covariance, atol=1e-11)
        assert np.allclose(path.at(index).std, other.std, atol=1e-11)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_readout_alone_ends_at_the_posterior(data, ridge):
    """Without noise the whole law; with noise the mean, as a ridge does not add noise to f_0."""
    _, _, y, k, theta = data
    nngp = (k[:9, :9], k[9:, :9], k[9:, 9:])
    ensemble, bayes = model_of(k, theta, y, ridge).readout_only().flow(np.inf), posterior(*nngp, y, noise=ridge)
    assert np.allclose(ensemble.mean, bayes.mean, atol=1e-9)
    if not ridge:
        assert np.allclose(ensemble.covariance, bayes.covariance, atol=1e-10)
        half = model_of(k, theta, y).readout_only().flow(0.4, 0.7)
        decay = np.eye(9) - linalg.expm(-2 * 0.7 * 0.4 * k[:9, :9])
        known = k[9:, 9:] - k[9:, :9] @ np.linalg.solve(k[:9, :9], decay) @ k[9:, :9].T
        assert np.allclose(half.covariance, known, atol=1e-12)


@pytest.mark.parametrize("optimiser", [Flow(), *DISCRETE], ids=str)
def test_filters_in_fifty_digits(optimiser):
    """g relative to itself, over 18 orders of magnitude of eigenvalues and up to a million steps."""
    rate = 0.5
    top = 0.999 * (4.0 if isinstance(optimiser, Flow) else training.optimisers.bound(optimiser) / rate)
    values = np.array([1e-18, 1e-9, 1e-3, 0.3, 1.0, 1.7, top])
    times = [0, 1, 2, 13, 1000, 10**6]
    g, h = response(optimiser, values, times, rate)
    travels = 1 / (1 - getattr(optimiser, "momentum", 0.0))  # the steps over which an error of the velocity is felt
    with mpmath.workdps(50):
        for i, value in enumerate(values):
            for j, time in enumerate(times):
                known = exact(optimiser, mpmath.mpf(float(value)), time, mpmath.mpf(rate))
                slack = min(
                    2.3e-16 * (4 + 2 * time) * travels, 1e-9
                )  # a few roundings per step, at worst all of one sign
                assert abs(g[j, i] - known) <= slack * abs(known)
                lost = mpmath.mpf(float(value)) * known
                assert abs(h[j, i] - (1 - lost)) <= slack * (1 + abs(lost))


def exact(optimiser, lam, time, rate):
    """(1 - h)/lambda from the roots of the characteristic polynomial."""
    x = rate * lam
    match optimiser:
        case Flow():
            return -mpmath.expm1(-x * time) / lam
        case GradientDescent():
            return (1 - (1 - x) ** time) / lam
        case HeavyBall(beta):
            p, q = 1 + mpmath.mpf(beta) - x, mpmath.mpf(beta)
        case Nesterov(beta):
            p, q = (1 + mpmath.mpf(beta)) * (1 - x), mpmath.mpf(beta) * (1 - x)
    root = mpmath.sqrt(mpmath.mpc(p * p - 4 * q))
    a, b = (p + root) / 2, (p - root) / 2
    first, second = mpmath.mpf(1), 1 - x  # h_0, h_1 = h_0 - x, from rest
    left = (second - b * first) / (a - b)
    return (1 - (left * a**time + (first - left) * b**time).real) / lam


@pytest.mark.parametrize("optimiser", [Flow(), *DISCRETE], ids=str)
def test_a_mode_of_eigenvalue_zero_never_moves(optimiser):
    g, h = response(optimiser, [0.0, 0.5], [0, 7, np.inf], 0.1)
    assert np.array_equal(h[:, 0], [1, 1, 1])
    assert np.array_equal(g[[0, 2], 0], [0, 0])
    assert np.isclose(g[1, 0], response(optimiser, [1e-13], [7], 0.1)[0][0, 0], rtol=1e-10)
    assert (g[2, 1], h[2, 1]) == (2.0, 0.0)


def test_steps_in_rational_numbers():
    """Binary fractions within 53 bits: floats are exact, so the filters equal the recursion in rationals."""
    rate, beta, lam = Fraction(1, 4), Fraction(1, 2), Fraction(3)
    for optimiser in (HeavyBall(0.5), Nesterov(0.5)):
        h, w, s, q = Fraction(1), Fraction(0), Fraction(0), Fraction(0)
        known = [(s, h)]
        for _ in range(8):
            ahead = beta if isinstance(optimiser, Nesterov) else 0
            w = beta * w - rate * lam * (h + ahead * w)
            q = beta * q + rate * (1 - lam * (s + ahead * q))
            h, s = h + w, s + q
            known.append((s, h))
        g, kept = response(optimiser, [3.0], range(9), 0.25)
        assert [(Fraction(a), Fraction(b)) for a, b in zip(g[:, 0], kept[:, 0])] == known


# ---------------------------------------------------------------------------------------------
# limits and properties


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_stability_is_where_powers_stop_decaying(optimiser):
    """The spectral radius of the iteration of (f, v), from its matrix, on both sides of the stated bound."""
    limit, beta = training.optimisers.bound(optimiser), getattr(optimiser, "momentum", 0.0)
    for x, stable in (
        (limit * (1 - 1e-6), True),
        (limit * (1 + 1e-6), False),
        (limit * 0.5, True),
        (limit * 0.01, True),
    ):
        b = beta * (1 - x) if isinstance(optimiser, Nesterov) else beta
        radius = np.abs(np.linalg.eigvals([[1 - x, b], [-x, b]])).max()
        assert (radius < 1) == stable


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_rates_at_the_bound_are_refused(data, optimiser):
    _, _, y, k, theta = data
    model = model_of(k, theta, y, 0.1)
    top = np.linalg.eigvalsh(theta[:9, :9])[-1] + 0.1
    limit = model.max_learning_rate(optimiser)
    assert np.isclose(limit * top, training.optimisers.bound(optimiser), rtol=1e-12)
    model.run(optimiser, 3, 0.999 * limit)
    with pytest.raises(BadParameter, match="beyond stability") as caught:
        model.run(optimiser, 3, 1.001 * limit)
    assert f"{limit:.4g}"[:4] in caught.value.remedy
    with pytest.raises(BadParameter, match="beyond stability"):
        model.run(optimiser, 3, [0.5 * limit, 1.001 * limit])


def test_small_steps_are_the_flow(data):
    """Gradient descent deviates from its flow in proportion to the rate: halving it halves the deviation."""
    _, _, y, k, theta = data
    model = model_of(k, theta, y)
    end = model.flow(1.0, 0.1)
    gaps = []
    for steps in (200, 400, 800):
        path = model.gradient_descent(steps, 0.1 / steps)
        gaps.append(np.abs(path.mean - end.mean).max())
        assert np.abs(path.covariance - end.covariance).max() < 0.01
    assert np.allclose(np.divide(gaps[:-1], gaps[1:]), 2, rtol=0.02)


@pytest.mark.parametrize("optimiser", [Flow(), *DISCRETE], ids=str)
def test_the_end_of_training_is_one_for_all(data, optimiser):
    _, _, y, k, theta = data
    model = model_of(k, theta, y, 0.5)
    rate = 0.5 if isinstance(optimiser, Flow) else 0.8 * model.max_learning_rate(optimiser)
    path = model.run(optimiser, [20_000, np.inf], rate)
    known = theta[9:, :9] @ np.linalg.solve(theta[:9, :9] + 0.5 * np.eye(9), y)
    assert np.allclose(path.mean, known, atol=1e-10)
    assert np.allclose(path.covariance[0], path.covariance[1], atol=1e-10)


def test_times_and_rates_at_once_are_each_alone(data):
    _, _, y, k, theta = data
    model = model_of(k, theta, y)
    rates = np.array([0.3, 0.6]) * model.max_learning_rate(HeavyBall(0.8))
    path = model.heavy_ball([50, 3, 3], rates, 0.8)
    assert path.mean.shape == (2, 3, 5, 2)
    assert path.covariance.shape == (2, 3, 5, 5)
    assert path.loss.shape == (2, 3)
    for i, rate in enumerate(rates):
        for j, steps in enumerate((50, 3, 3)):
            one = model.heavy_ball(steps, rate, 0.8)
            assert one.mean.shape == (5, 2)
            for name in ("mean", "train_mean", "covariance", "train_covariance", "loss", "dual", "variance"):
                assert np.allclose(getattr(path, name)[i, j], getattr(one, name), atol=1e-13)
            assert np.allclose(path.at(i, j).mean, one.at().mean, atol=1e-13)


def test_variances_need_the_diagonal_alone(data):
    _, _, y, k, theta = data
    full, diagonal = (model_of(k, theta, y, diagonal=d).flow([0.1, 2.0]) for d in (False, True))
    assert np.allclose(full.variance, diagonal.variance, atol=1e-13)
    with pytest.raises(BadParameter, match="variances"):
        _ = diagonal.covariance


def test_targets_may_be_one_column_or_a_vector(data):
    _, _, y, k, theta = data
    both, one = model_of(k, theta, y).flow([1.0, 2.0]), model_of(k, theta, y[:, 0]).flow([1.0, 2.0])
    assert one.mean.shape == (2, 5)
    assert np.allclose(both.mean[..., 0], one.mean, atol=1e-14)
    assert np.allclose(both.covariance, one.covariance, atol=1e-14)
    second = model_of(k, theta, y[:, 1]).flow([1.0, 2.0])
    assert np.allclose(both.loss, one.loss + second.loss, rtol=1e-12)


def test_a_given_initial_function_moves_by_the_same_map(data):
    _, _, y, k, theta = data
    model = model_of(k, theta, y, 0.1)
    f, f_test = model.sample_initial(4, 1)
    assert f.shape, f_test.shape == ((4, 9, 2), (4, 5, 2))
    rate = 0.5 * model.max_learning_rate()
    path = model.gradient_descent([0, 5, 40], rate)
    train_out, test_out = path.outputs(f, f_test)
    for index, (moved, pulled) in enumerate(iterated(GradientDescent(), theta, 9, (0, 5, 40), rate, 0.1)):
        for d in range(4):
            known = moved @ np.concatenate([f[d], f_test[d]]) + pulled @ y
            assert np.allclose(train_out[d, index], known[:9], atol=1e-12)
            assert np.allclose(test_out[d, index], known[9:], atol=1e-12)
    again = model_of(k, theta, y, 0.1, initial=(np.ones_like(y), np.full((5, 2), 2.0))).sample_initial(4, 1)
    assert np.allclose(again[0], f + 1, atol=1e-14) and np.allclose(again[1], f_test + 2, atol=1e-14)
    shifted = model_of(k, theta, y, 0.1, initial=(f[0], f_test[0])).gradient_descent([0, 5, 40], rate)
    assert np.allclose(shifted.mean, test_out[0], atol=1e-12)
    assert np.allclose(shifted.train_mean, train_out[0], atol=1e-12)
    assert np.allclose(shifted.train_mean, f[0] + np.einsum("ij,tjc->tic", theta[:9, :9], shifted.dual), atol=1e-12)
    assert np.allclose(shifted.covariance, path.covariance, atol=1e-13)


def test_sampled_functions_have_the_stated_law(data):
    """2000 draws of f_0, trained: every mean and variance within 5 standard errors (28 numbers: false alarms 2e-5)."""
    _, _, y, k, theta = data
    model = model_of(k, theta, y[:, 0])
    path = model.flow(0.5)
    outputs = np.concatenate(path.outputs(*model.sample_initial(2000, 3)), axis=1)
    mean = np.concatenate([path.train_mean, path.mean])
    variance = np.concatenate([path.train_std, path.std]) ** 2
    assert np.all(np.abs(outputs.mean(axis=0) - mean) < 5 * np.sqrt(variance / 2000))
    assert np.all(np.abs(outputs.var(axis=0, ddof=1) / variance - 1) < 5 * np.sqrt(2 / 1999))


def random_kernels(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n + m, n + m + 2))
    return a @ a.T / (n + m), b @ b.T / (n + m), rng.standard_normal((n, 2))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 4), st.floats(0.01, 0.95), st.floats(0, 0.95))
def test_order_of_points_does_not_matter(seed, n, m, share, beta):
    k, theta, y = random_kernels(seed, n, m)
    order = np.random.default_rng(seed).permutation(n)
    whole = np.concatenate([order, np.arange(n, n + m)])
    a = model_of(k, theta, y)
    b = model_of(k[np.ix_(whole, whole)], theta[np.ix_(whole, whole)], y[order])
    for optimiser in (Flow(), GradientDescent(), HeavyBall(beta), Nesterov(beta)):
        rate = share if isinstance(optimiser, Flow) else share * a.max_learning_rate(optimiser) * (1 - 1e-9)
        one, two = a.run(optimiser, [1, 30], rate), b.run(optimiser, [1, 30], rate)
        assert np.allclose(one.mean, two.mean, atol=1e-9)
        assert np.allclose(one.covariance, two.covariance, atol=1e-9)
        assert np.allclose(one.train_mean[:, order], two.train_mean, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0.01, 3.0), st.floats(0.01, 3.0), st.integers(0, 40))
def test_training_goes_on_where_it_stopped(seed, n, first, second, steps):
    """Without momentum the outputs are the whole state: two stretches are one, also of the spread."""
    k, theta, y = random_kernels(seed, n, 3)
    model = model_of(k, theta, y)
    f, f_test = model.sample_initial(2, seed)
    rate = 0.4 * model.max_learning_rate()
    for run, a, b in ((model.flow, first, second), (lambda t: model.gradient_descent(t, rate), steps, 7)):
        stop = run(a).outputs(f, f_test)
        gone_on, whole = run(b).outputs(*stop), run(a + b).outputs(f, f_test)
        assert np.allclose(gone_on[0], whole[0], atol=1e-9)
        assert np.allclose(gone_on[1], whole[1], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(-3, 3))
def test_means_are_linear_in_the_targets(seed, a, b):
    k, theta, y = random_kernels(seed, 4, 2)
    path = model_of(k, theta, y).flow([0.2, 5.0])
    mixed = model_of(k, theta, y @ [a, b]).flow([0.2, 5.0])
    assert np.allclose(path.mean @ [a, b], mixed.mean, atol=1e-10)


def test_losses_at_test_points(data):
    _, _, y, k, theta = data
    path = model_of(k, theta, y).flow([0.0, 1.0])
    known = np.arange(10.0).reshape(5, 2)
    direct = [np.sum((m - known) ** 2) / 2 + np.trace(c) for m, c in zip(path.mean, path.covariance)]
    assert np.allclose(path.test_loss(known), direct, rtol=1e-12)


# ---------------------------------------------------------------------------------------------
# singular kernels


def doubled():
    """A kernel of three points, the first twice."""
    k, theta, y = random_kernels(5, 3, 2)
    at = [0, 0, 1, 2, 3, 4]
    return k[np.ix_(at, at)], theta[np.ix_(at, at)], y[[0, 0, 1, 2]]


def test_points_given_twice_weigh_twice():
    """At any finite time: the iteration needs no inverse; contradicting targets pull to their mean."""
    k, theta, y = doubled()
    y[1] += 1.0
    model = model_of(k, theta, y)
    rate = 0.5 * model.max_learning_rate()
    path = model.gradient_descent([1, 50, 3000], rate)
    for index, (moved, pulled) in enumerate(iterated(GradientDescent(), theta, 4, (1, 50, 3000), rate)):
        check_law(path, index, moved, pulled, k, y, 1e-11)
    late = model.gradient_descent(10**7, rate)
    assert np.allclose(late.train_mean[:2], y[:2].mean(axis=0), atol=1e-9)


def test_the_end_of_training_on_repeated_points():
    k, theta, y = doubled()
    end = model_of(k, theta, y).flow(np.inf)
    once = [0, 2, 3]
    direct = theta[4:, once] @ np.linalg.solve(theta[np.ix_(once, once)], y[once])
    assert np.allclose(end.mean, direct, atol=1e-9)
    assert np.allclose(end.train_mean, y, atol=1e-9)
    y[1] += 1e-3
    model = model_of(k, theta, y)
    for optimiser in (Flow(), GradientDescent(), HeavyBall(0.5), Nesterov(0.5)):
        with pytest.raises(NotPSD, match="singular") as caught:
            model.run(optimiser, [1.0, np.inf], 0.01)
        assert "ridge" in caught.value.remedy
    ridged = model_of(k, theta, y, 0.1).flow(np.inf)
    assert np.allclose(ridged.mean, theta[4:, :4] @ np.linalg.solve(theta[:4, :4] + 0.1 * np.eye(4), y), atol=1e-10)


def test_initial_functions_that_are_never_forgotten():
    """Targets agree where the tangent kernel is singular, initial outputs differ there: no end, unless they do not either."""
    k, theta, y = doubled()
    apart = k + np.diag([0.0, 0.1, 0.0, 0.0, 0.0, 0.0])
    assert np.all(model_of(k, theta, y).flow(np.inf).variance >= 0)
    model = model_of(apart, theta, y)
    assert np.all(model.flow(1e3).variance > 0)
    with pytest.raises(NotPSD, match="singular"):
        model.flow(np.inf)


def test_a_kernel_is_no_better_than_its_error():
    """rmtp's kernels state an error; eigenvalues below it are no directions to learn in."""
    x = np.array([[0.5], [0.5 + 1e-7], [2.0]])
    model = training.linearised(net, x, [0.0, 1.0, 0.0], x)
    assert model.eigenvalues[0] == 0
    with pytest.raises(NotPSD, match="singular"):
        model.flow(np.inf)


@pytest.mark.parametrize("optimiser", [Flow(), GradientDescent(), HeavyBall(0.5), Nesterov(0.5)], ids=str)
def test_the_error_bounds_what_a_perturbed_kernel_does(optimiser):
    """50 random relative perturbations of 1e-7, all blocks: never beyond the stated error, and it is no idle bound."""
    k, theta, y = random_kernels(11, 6, 4)
    model = model_of(k, theta, y)
    stated = from_kernels(rmtp.Kernel.of(theta[:6, :6], 1e-7, "perturbed"), theta[6:, :6], y)
    rate, times = 0.3 * model.max_learning_rate(), [3, 300, np.inf]
    path = stated.run(optimiser, times, rate)
    rng, worst = np.random.default_rng(0), np.zeros(3)
    for _ in range(50):
        noise = 1e-7 * np.sign(rng.standard_normal(theta.shape))
        moved = theta * (1 + np.triu(noise) + np.triu(noise, 1).T)
        other = model_of(k, moved, y).run(optimiser, times, rate)
        worst = np.maximum(worst, np.abs(other.mean - path.mean).max(axis=(1, 2)))
    assert np.all(worst < path.error)
    assert np.all(path.error < 300 * worst)
    assert np.all(model_of(k, theta, y).run(optimiser, times, rate).error < 1e-12)


def test_a_kernel_that_is_singular_to_its_digits_is_refused():
    """An eigenvalue of 1e-9 where the error is 1e-10: what is divided by it in the end has no digit worth showing."""
    theta = rmtp.Kernel.of(np.diag([1.0, 1.0, 1e-9]), 1e-10, "quadrature")
    model = from_kernels(theta, np.full((1, 3), 1e-5), [1.0, -1.0, 1.0])
    early = model.flow(100.0)
    assert np.isclose(early.mean[0], 100 * 1e-5, rtol=1e-6)
    for late in (1e8, np.inf):
        with pytest.raises(NotPSD, match="uncertain") as caught:
            model.flow([1.0, late])
        assert "ridge" in caught.value.remedy


# ---------------------------------------------------------------------------------------------
# from a network


def test_linearised_computes_the_kernels(data):
    x, t, y, k, theta = data
    made, direct = training.linearised(net, x, y, t, ridge=0.1), model_of(k, theta, y, 0.1)
    assert np.allclose(made.flow([1.0]).mean, direct.flow([1.0]).mean, atol=1e-12)
    assert np.allclose(made.flow([1.0]).covariance, direct.flow([1.0]).covariance, atol=1e-12)
    fewer = training.linearised(net, x, y, t, ridge=0.1, covariance=False)
    assert np.allclose(fewer.flow([1.0]).variance, direct.flow([1.0]).variance, atol=1e-12)
    none = training.linearised(net, x, y, ridge=0.1).flow([1.0])
    assert none.mean.shape == (1, 0, 2)
    assert np.allclose(none.train_mean, direct.flow([1.0]).train_mean, atol=1e-12)
    assert np.allclose(none.train_covariance, direct.flow([1.0]).train_covariance, atol=1e-12)


def test_bands_are_drawn_over_a_line():
    x = np.linspace(-1, 1, 5)[:, None]
    grid = np.linspace(-2, 2, 31)[:, None]
    path = training.linearised(net, x, np.sin(x[:, 0]), grid).gradient_descent([1, 10], 0.1)
    ax = path.plot(ax=plots.figure()[1])
    lines = [line for line in ax.lines if line.get_label().endswith("mean")]
    assert [line.get_label() for line in lines] == ["step = 1: mean", "step = 10: mean"]
    for line, mean in zip(lines, path.mean):
        assert np.allclose(line.get_ydata(), mean, atol=1e-13)
    assert ax.get_xlabel() == "input x"


# ---------------------------------------------------------------------------------------------
# bad input

K2, C2, Y2 = np.eye(2) + 0.5, np.ones((1, 2)), [1.0, 2.0]
NNGP2 = (K2, C2, [[3.0]])

REFUSED = {
    "not square": (lambda: from_kernels(np.ones((2, 3)), C2, Y2), AxisError, "square"),
    "not symmetric": (lambda: from_kernels([[1.0, 0.5], [0.2, 1.0]], C2, Y2), NotPSD, "transpose"),
    "negative eigenvalue": (lambda: from_kernels([[1.0, 2.0], [2.0, 1.0]], C2, Y2).flow(1.0), NotPSD, "eigenvalue -1"),
    "nan in the kernel": (lambda: from_kernels([[np.nan, 0], [0, 1]], C2, Y2), BadParameter, "nan"),
    "complex numbers": (lambda: from_kernels(1j * np.eye(2), None, Y2), BadParameter, "complex"),
    "nan in the targets": (lambda: from_kernels(K2, C2, [1.0, np.nan]), BadParameter, "nan"),
    "too few targets": (lambda: from_kernels(K2, C2, [1.0]), AxisError, "training points"),
    "cross kernel turned": (lambda: from_kernels(K2, C2.T, Y2), AxisError, "ntk_test_train"),
    "two NNGP blocks": (lambda: from_kernels(K2, C2, Y2, nngp=(K2, C2)), BadParameter, "three"),
    "NNGP of other points": (lambda: from_kernels(K2, C2, Y2, nngp=([[1.0]], C2, [[1.0]])), AxisError, "NNGP k_train"),
    "NNGP test of other points": (lambda: from_kernels(K2, C2, Y2, nngp=(K2, C2, np.eye(2))), AxisError, "NNGP k_test"),
    "blocks of two kernels": (
        lambda: from_kernels(K2, C2, Y2, nngp=(K2, 5 * C2, [[0.1]])).flow(1.0).std,
        NotPSD,
        "one covariance",
    ),
    "negative ridge": (lambda: from_kernels(K2, C2, Y2, ridge=-1.0), BadParameter, "ridge"),
    "initial of another shape": (lambda: from_kernels(K2, C2, Y2, initial=([1.0], [1.0])), AxisError, "initial"),
    "negative time": (lambda: from_kernels(K2, C2, Y2).flow(-1.0), BadParameter, "times"),
    "half a step": (lambda: from_kernels(K2, C2, Y2).gradient_descent(1.5, 0.1), BadParameter, "steps"),
    "nan time": (lambda: from_kernels(K2, C2, Y2).flow(np.nan), BadParameter, "times"),
    "no times": (lambda: from_kernels(K2, C2, Y2).flow([]), AxisError, "times"),
    "rate of zero": (lambda: from_kernels(K2, C2, Y2).flow(1.0, 0.0), BadParameter, "learning_rate"),
    "momentum of one": (lambda: from_kernels(K2, C2, Y2).heavy_ball(1, 0.1, 1.0), BadParameter, "momentum"),
    "no optimiser": (lambda: from_kernels(K2, C2, Y2).run("adam", 1, 0.1), BadParameter, "optimiser"),
    "spread without NNGP": (lambda: from_kernels(K2, C2, Y2).flow(1.0).std, BadParameter, "spread"),
    "loss without NNGP": (lambda: from_kernels(K2, C2, Y2).flow(1.0).loss, BadParameter, "spread"),
    "draws without NNGP": (lambda: from_kernels(K2, C2, Y2).sample_initial(1), BadParameter, "covariance"),
    "readout without NNGP": (lambda: from_kernels(K2, C2, Y2).readout_only(), BadParameter, "readout"),
    "outputs of other points": (
        lambda: from_kernels(K2, C2, Y2).flow(1.0).outputs([1.0, 2.0, 3.0], [1.0]),
        AxisError,
        "last axes",
    ),
    "coupled kernel of another shape": (
        lambda: from_kernels(np.ones((2, 3, 2, 2)), None, np.ones((2, 3))),
        AxisError,
        "(N, C, N, C)",
    ),
    "targets of other outputs": (lambda: from_kernels(np.ones((2, 3, 2, 3)), None, np.ones((2, 2))), AxisError, "y of"),
    "NNGP of coupled outputs": (
        lambda: from_kernels(np.ones((2, 3, 2, 3)), None, np.ones((2, 3)), nngp=NNGP2),
        BadParameter,
        "coupled",
    ),
    "an index too many": (lambda: from_kernels(K2, C2, Y2, nngp=NNGP2).flow(1.0).at(0), AxisError, "index"),
    "band in two dimensions": (
        lambda: from_kernels(K2, C2, Y2, nngp=NNGP2).flow(1.0).plot([[1.0, 2.0]]),
        BadParameter,
        "line",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(case):
    work, error, words = case
    with pytest.raises(error) as caught:
        work()
    assert words in str(caught.value)
    assert caught.value.remedy
