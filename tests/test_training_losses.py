"""General losses: against solvable equations, the closed forms of the squared error, and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from test_training_linearised import iterated, model_of, random_kernels

from rmtp import training
from rmtp.errors import AxisError, BadParameter, BudgetExceeded, DivergentExpectation
from rmtp.training import (
    Flow,
    GradientDescent,
    HeavyBall,
    Loss,
    Nesterov,
    class_targets,
    evolve,
    from_kernels,
    huber,
    logistic,
    softmax_cross_entropy,
    squared,
)

DISCRETE = [GradientDescent(), HeavyBall(0.9), Nesterov(0.9)]


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_squared_error_is_its_closed_form(ridge):
    k, theta, y = random_kernels(1, 6, 4)
    model = model_of(k, theta, y, ridge)
    f, f_test = model.sample_initial(3, 0)
    times = [0.0, 0.5, 6.0, 0.5]
    path = evolve(model, squared, Flow(), times, 0.8, initial=(f, f_test))
    train, test = model.flow(times, 0.8).outputs(f, f_test)
    assert path.train.shape == (3, 4, 6, 2)
    assert 0 < path.error < 1e-5
    assert np.abs(path.train - train).max() < min(path.error, 1e-7)
    assert np.abs(path.test - test).max() < min(path.error, 1e-7)
    for optimiser in DISCRETE:
        rate = 0.7 * model.max_learning_rate(optimiser)
        steps = [7, 0, 60]
        path = evolve(model, squared, optimiser, steps, rate, initial=(f, f_test))
        closed = model.run(optimiser, steps, rate)
        train, test = closed.outputs(f, f_test)
        assert np.allclose(path.train, train, atol=1e-12)
        assert np.allclose(path.test, test, atol=1e-12)
        assert np.allclose(path.loss, np.sum((train - y) ** 2, axis=(-1, -2)) / 2, atol=1e-12)
        alone = evolve(model, squared, optimiser, steps, rate)
        assert np.allclose(alone.dual, closed.dual, atol=1e-12)
        assert path.error == 0


def test_the_logistic_flow_of_one_point():
    """f + exp f = rate theta t + 1 for y = 1, from f = 0: Lambert's function."""
    times = np.array([0.1, 1.0, 30.0])
    path = evolve(from_kernels([[2.0]], [[1.0]], [1.0]), logistic, Flow(), times, 0.5)
    c = times + 1
    known = c - np.real(special.lambertw(np.exp(c)))
    assert np.allclose(path.train[:, 0], known, rtol=1e-8)
    assert np.allclose(path.test[:, 0], known / 2, rtol=1e-8)
    assert np.allclose(path.loss, np.log1p(np.exp(-known)), rtol=1e-8)


@pytest.mark.parametrize("optimiser", [Flow(), *DISCRETE], ids=str)
def test_two_classes_are_a_logistic_difference(optimiser):
    """f_1 - f_0 under softmax moves twice as fast as one output under the logistic loss."""
    _, theta, _ = random_kernels(2, 5, 2)
    labels = np.array([0, 1, 1, 0, 1])
    both = from_kernels(theta[:5, :5], theta[5:, :5], class_targets(labels))
    one = from_kernels(theta[:5, :5], theta[5:, :5], 2 * labels - 1)
    a = evolve(both, softmax_cross_entropy, optimiser, [3, 20], 0.1)
    b = evolve(one, logistic, optimiser, [3, 20], 0.2)
    assert np.allclose(a.train[..., 1] - a.train[..., 0], b.train, atol=1e-8)
    assert np.allclose(a.test[..., 1] - a.test[..., 0], b.test, atol=1e-8)
    assert np.allclose(a.train.sum(axis=-1), 0, atol=1e-12)
    assert np.allclose(a.loss, b.loss, atol=1e-8)


def test_a_huber_flow_is_a_line_and_then_an_exponential():
    path = evolve(from_kernels([[2.0]], None, [3.0]), huber(1.0), Flow(), [0.5, 1.0, 2.0], 1.0)
    assert np.allclose(path.train[:, 0], [1.0, 2.0, 3 - np.exp(-2.0)], atol=1e-7)
    wide, plain = (
        evolve(from_kernels([[2.0]], None, [3.0]), loss, HeavyBall(0.5), [4], 0.1) for loss in (huber(100.0), squared)
    )
    assert np.allclose(wide.train, plain.train, atol=1e-14)


def test_the_flow_of_a_loss_of_ones_own():
    """Quartic: e' = -e^3 has the solution e = e_0 / sqrt(1 + 2 e_0^2 t)."""
    quartic = Loss(lambda f, y: np.sum((f - y) ** 4, axis=-1) / 4, lambda f, y: (f - y) ** 3, "quartic")
    times = np.array([0.0, 1.0, 100.0])
    path = evolve(from_kernels([[1.0]], None, [2.0]), quartic, Flow(), times, 1.0)
    assert np.allclose(2 - path.train[:, 0], 2 / np.sqrt(1 + 8 * times), rtol=1e-7)


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_steps_are_a_plain_loop(optimiser):
    """Outputs and their velocities, one point and class at a time, for cross-entropy with a ridge."""
    _, theta, _ = random_kernels(3, 4, 3)
    y = class_targets([0, 2, 1, 2])
    rng = np.random.default_rng(0)
    start = rng.standard_normal((7, 3))
    model = from_kernels(theta[:4, :4], theta[4:, :4], y, ridge=0.2)
    path = evolve(model, softmax_cross_entropy, optimiser, [25], 0.3, initial=(start[:4], start[4:]))
    beta, f, v = getattr(optimiser, "momentum", 0.0), start.copy(), np.zeros_like(start)
    for _ in range(25):
        seen = f + beta * v if isinstance(optimiser, Nesterov) else f
        new = np.empty_like(v)
        for i in range(7):
            for c in range(3):
                pull = 0.2 * (seen[i, c] - start[i, c])
                for j in range(4):
                    weights = np.exp(seen[j]) / np.exp(seen[j]).sum()
                    pull += theta[i, j] * (weights[c] - y[j, c])
                new[i, c] = beta * v[i, c] - 0.3 * pull
        f, v = f + new, new
    assert np.allclose(path.train[0], f[:4], atol=1e-12)
    assert np.allclose(path.test[0], f[4:], atol=1e-12)


def test_draws_together_are_draws_alone():
    k, theta, _ = random_kernels(4, 5, 3)
    model = model_of(k, theta, class_targets([0, 1, 2, 1, 0]))
    f, f_test = model.sample_initial(4, 2)
    for optimiser, times in ((Flow(), [0.0, 2.0]), (HeavyBall(0.5), [3, 9])):
        whole = evolve(model, softmax_cross_entropy, optimiser, times, 0.2, initial=(f, f_test))
        for d in range(4):
            one = evolve(model, softmax_cross_entropy, optimiser, times, 0.2, initial=(f[d], f_test[d]))
            assert np.allclose(whole.train[d], one.train, atol=1e-7)
            assert np.allclose(whole.test[d], one.test, atol=1e-7)
            assert np.allclose(whole.loss[d], one.loss, atol=1e-7)
    single = evolve(model, softmax_cross_entropy, GradientDescent(), 3, 0.2)
    assert single.train.shape == (5, 3)


def test_a_test_point_that_is_a_training_point_moves_with_it():
    _, theta, _ = random_kernels(6, 4, 1)
    model = from_kernels(theta[:4, :4], theta[:4, :4], [1.0, -1.0, 1.0, 1.0])
    path = evolve(model, logistic, Flow(), [0.3, 9.0], 1.0)
    assert np.array_equal(path.train, path.test)


@pytest.mark.parametrize("loss", [squared, softmax_cross_entropy, logistic, huber(0.7)], ids=repr)
def test_gradients_are_derivatives(loss):
    rng = np.random.default_rng(0)
    f = 3 * rng.standard_normal((20, 3))
    y = {"logistic": np.sign(rng.standard_normal((20, 3)))}.get(loss.name, rng.dirichlet(np.ones(3), 20))
    gradient = loss.gradient(f, y)
    for c in range(3):
        e = np.zeros(3)
        e[c] = 1e-6
        assert np.allclose((loss.value(f + e, y) - loss.value(f - e, y)) / 2e-6, gradient[:, c], atol=1e-8)


def test_losses_do_not_overflow():
    y, big = class_targets([0, 1]), np.array([[1e4, -1e4], [1e4, -1e4]])
    assert np.array_equal(softmax_cross_entropy.value(big, y), [0.0, 2e4])
    assert np.array_equal(logistic.value(big, np.array([[1.0, 1.0], [-1.0, -1.0]])), [1e4, 1e4])


def test_explosions_are_errors():
    _, theta, y = random_kernels(1, 4, 1)
    model = from_kernels(theta[:4, :4], None, y)
    with pytest.raises(DivergentExpectation, match="explodes") as caught:
        evolve(model, squared, GradientDescent(), 10**5, 1.5 * model.max_learning_rate())
    assert f"{model.max_learning_rate():.4g}"[:4] in caught.value.remedy
    moved = iterated(GradientDescent(), theta, 4, (30,), 1.5 * model.max_learning_rate())[0]  # finite, and huge
    path = evolve(model, squared, GradientDescent(), 30, 1.5 * model.max_learning_rate())
    assert np.allclose(path.train, (moved[1] @ y)[:4], rtol=1e-9)
    with pytest.raises(BudgetExceeded, match="time"):
        evolve(model, squared, Flow(), 1e9, 1.0, budget=5000)


M1, M3 = from_kernels([[1.0]], None, [1.0]), from_kernels(np.eye(2), None, class_targets([0, 1]))
BAD = {
    "labels 0 and 1": (lambda: evolve(from_kernels(np.eye(2), None, [0.0, 1.0]), logistic, Flow(), 1, 1), "-1 and 1"),
    "no distribution": (lambda: evolve(from_kernels(np.eye(2), None, np.ones((2, 2))), softmax_cross_entropy, Flow(), 1, 1),
                        "sum to 1"),
    "one class": (lambda: evolve(M1, softmax_cross_entropy, Flow(), 1, 1), "one column per class"),
    "a negative label": (lambda: class_targets([0, -1]), "whole numbers"),
    "half a label": (lambda: class_targets([0, 0.5]), "whole numbers"),
    "a label too many": (lambda: class_targets([0, 3], classes=3), "0 .. classes - 1"),
    "nan label": (lambda: class_targets([0, np.nan]), "finite"),
    "infinite time": (lambda: evolve(M1, logistic, Flow(), np.inf, 1), "finite time"),
    "two rates": (lambda: evolve(M1, logistic, Flow(), 1, [1, 2]), "one number"),
    "not a loss": (lambda: evolve(M1, "mse", Flow(), 1, 1), "Loss(value, gradient)"),
    "a false gradient": (lambda: evolve(M1, Loss(squared.value, lambda f, y: 2 * (f - y)), Flow(), 1, 1), "derivative"),
    "a value per output": (lambda: evolve(M3, Loss(lambda f, y: (f - y) ** 2 / 2, squared.gradient), Flow(), 1, 1), "(.., N)"),
    "other draws": (lambda: evolve(M1, logistic, Flow(), 1, 1, initial=(np.ones((2, 1)), np.ones((3, 0)))), "draws"),
    "tolerance of zero": (lambda: evolve(M1, logistic, Flow(), 1, 1, rtol=0), "1e-13"),
    "huber of zero": (lambda: huber(0), "above 0"),
    "no optimiser": (lambda: evolve(M1, logistic, None, 1, 1), "Flow()"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_is_refused(case):
    work, words = case
    with pytest.raises((BadParameter, AxisError)) as caught:
        work()
    assert words in caught.value.remedy


def test_the_bound_of_stability_is_that_of_the_iteration():
    """The general machinery on the squared error, just below and above the bound, for every optimiser."""
    _, theta, y = random_kernels(8, 4, 1)
    model = from_kernels(theta[:4, :4], None, y)
    for optimiser in DISCRETE:
        bound = model.max_learning_rate(optimiser)
        below, above = (evolve(model, squared, optimiser, 1500, s * bound).loss for s in (0.99, 1.01))
        assert below < training.evolve(model, squared, optimiser, 0, bound).loss
        assert above > 1e3 * below
