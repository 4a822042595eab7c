"""Finite networks: many draws at once against one at a time, training against its limit and its linearisation.

Seeds are fixed. Slopes in the width are judged by their standard errors over networks, at 4.5 of them: false alarms 7e-6 each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import erf
from slopes import power
from test_networks_finite import SEQUENCES, VECTORS, ZOO, meanpool, mlp, tied_meanpool

import rmtp
from rmtp import networks, training
from rmtp.errors import AxisError, BadParameter, DivergentExpectation
from rmtp.networks import dense, evaluate
from rmtp.networks.trained import OUTPUT_BIAS, finite_metric
from rmtp.training import (
    Flow,
    GradientDescent,
    HeavyBall,
    Loss,
    Nesterov,
    class_targets,
    ensemble,
    evolve,
    linearise,
    logistic,
    softmax_cross_entropy,
    squared,
    stacked,
    train,
    trainer,
)
from rmtp.verify import Verification

N = rmtp.Dim("n")
zoo = pytest.mark.parametrize("net, X", ZOO, ids=lambda a: getattr(a, "__name__", ""))
DISCRETE = [GradientDescent(), HeavyBall(0.6), Nesterov(0.6)]


def erf_net(x):
    for _ in range(2):
        x = erf(dense(x, N, 1.5, 0.1))
    return rmtp.readout(x)


def with_data(x):
    """An iid vector that is not trained."""
    return rmtp.readout(np.tanh(dense(x, N, 1.1, 0.4)) * (2 + rmtp.IID(N, rmtp.Discrete([-1, 1]))), 1, 0.3)


# ---------------------------------------------------------------------------------------------
# many at once are one at a time


@zoo
def test_members_are_networks(net, X):
    """Outputs, and the steps of two networks, one drawn by `init` from the same stream."""
    many = ensemble(net, 12, 2, 5, X.shape[1:])
    alone = [networks.init(net, 12, stream, X.shape[1:]) for stream in np.random.default_rng(5).spawn(2)]
    np.testing.assert_allclose(many.forward(X), [one.forward(X) for one in alone], rtol=1e-11, atol=1e-13)
    y, rate = np.linspace(-1, 1, len(X)), 1e-4
    done = train(many, X, y, GradientDescent(), [0, 3], rate, x_test=X[:2] * 0.5)
    for k, start in enumerate(alone):
        one = three_steps(start, X, y, rate)
        np.testing.assert_allclose(done.train[k, 1], one.forward(X), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(done.test[k, 1], one.forward(X[:2] * 0.5), rtol=1e-9, atol=1e-12)
        after = done.ensemble.member(k)
        assert set(after.parameters) == set(one.parameters)
        for name, array in one.parameters.items():
            np.testing.assert_allclose(after.parameters[name], array, rtol=1e-9, atol=1e-12)
            begun = start.parameters[name]
            moved = np.linalg.norm(array - begun) / np.linalg.norm(begun)
            np.testing.assert_allclose(done.movement[name][k, 1], moved, rtol=1e-8)
        np.testing.assert_allclose(many.member(k).ntk(X), start.ntk(X), rtol=1e-12)
    np.testing.assert_allclose(stacked(many_of(many)).forward(X), many.forward(X), rtol=1e-12)


def three_steps(network, X, y, rate):
    for _ in range(3):
        network = network.updated(network.gradients(X, rate * (y - network.forward(X))))
    return network


def many_of(many):
    return [many.member(k) for k in range(len(many))]


@zoo
def test_chunks_change_nothing(net, X, monkeypatch):
    many = ensemble(net, 12, 2, 0, X.shape[1:])
    y = np.linspace(-1, 1, len(X))
    whole = train(many, X, y, HeavyBall(0.5), 3, 1e-4, batch_size=2, rng=1)
    per_input = evaluate.bytes_per_input(many.architecture.backward, many.width)
    monkeypatch.setattr(training.finite, "MEMORY", 2 * per_input)
    monkeypatch.setattr(trainer, "GROUP", 1)
    cut = train(many, X, y, HeavyBall(0.5), 3, 1e-4, batch_size=2, rng=1)
    np.testing.assert_allclose(cut.train, whole.train, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(cut.ensemble.forward(X), whole.ensemble.forward(X), rtol=1e-10, atol=1e-12)
    for name, moved in whole.movement.items():
        np.testing.assert_allclose(cut.movement[name], moved, rtol=1e-7)


@pytest.mark.parametrize("parametrization", ["ntk", "yang", "standard", "mup"])
def test_steps_are_in_the_coordinates_of_a_parametrization(parametrization):
    many = ensemble(mlp, 12, 1, 0, (3,))
    y = np.linspace(-1, 1, 5)
    done = train(many, VECTORS, y, GradientDescent(), 1, 1e-3, parametrization=parametrization)
    one = many.member(0)
    step = one.gradients(VECTORS, 1e-3 * (y - one.forward(VECTORS)), parametrization=parametrization)
    moved = one.updated(step, parametrization=parametrization)
    np.testing.assert_allclose(done.train[0], moved.forward(VECTORS), rtol=1e-11)


def test_members_have_the_entries_asked_for():
    many = ensemble(mlp, 12, 2, 5, (3,), entries="rademacher")
    assert np.allclose(np.abs(many.arrays["W"]), 1.2 / 12**0.5)
    alone = networks.init(mlp, 12, np.random.default_rng(5).spawn(2)[1], (3,), entries="rademacher")
    np.testing.assert_allclose(many.forward(VECTORS)[1], alone.forward(VECTORS), rtol=1e-12)


def test_one_output_with_an_axis_is_one_without():
    y = np.linspace(-1, 1, 5)
    a = train(ensemble(mlp, 8, 2, 1, (3,), outputs=1), VECTORS, y[:, None], HeavyBall(0.5), [0, 5], 0.02)
    b = train(ensemble(mlp, 8, 2, 1, (3,)), VECTORS, y, HeavyBall(0.5), [0, 5], 0.02)
    np.testing.assert_array_equal(a.train[..., 0], b.train)
    np.testing.assert_array_equal(a.loss, b.loss)


@pytest.mark.parametrize("net", [mlp, with_data], ids=["mlp", "data"])
def test_several_outputs_are_gradients_by_differences(net):
    """One step of three readouts on one body under cross-entropy, against central differences in every number."""
    many = ensemble(net, 6, 2, 3, (3,), outputs=3)
    y = class_targets([0, 1, 2, 1, 0])
    f = many.forward(VECTORS)
    assert f.shape == (2, 5, 3)
    rate = 1e-2
    done = train(many, VECTORS, y, GradientDescent(), 1, rate, loss=softmax_cross_entropy, parametrization="yang")
    np.testing.assert_allclose(done.train, done.ensemble.forward(VECTORS), rtol=1e-12)
    for name, array in many.arrays.items():
        made = many.architecture
        metric = 1.0 if name == OUTPUT_BIAS else finite_metric(made, made.trained[name], 6, "yang")
        step = (done.ensemble.arrays[name] - array) / (-rate * metric)
        for index in np.ndindex(array.shape[1:]):
            slopes = np.zeros(2)
            for sign in (1, -1):
                moved = array.copy()
                moved[(slice(None), *index)] += sign * 1e-5
                g = replace(many, arrays={**many.arrays, name: moved}).forward(VECTORS)
                slopes += sign * softmax_cross_entropy.value(g, y).sum(axis=1) / 2e-5
            np.testing.assert_allclose(step[(slice(None), *index)], slopes, rtol=1e-5, atol=1e-8, err_msg=name)


def test_one_readout_of_several_is_one_alone():
    """With targets that the other readouts meet already, the first trains as if it were alone."""
    many = ensemble(mlp, 10, 2, 3, (3,), outputs=2)
    alone = ensemble(mlp, 10, 2, 3, (3,))
    np.testing.assert_allclose(many.forward(VECTORS)[..., 0], alone.forward(VECTORS), rtol=1e-12)
    y = np.linspace(-1, 1, 5)
    half = Loss(
        lambda f, y: (f[..., 0] - y[..., 0]) ** 2 / 2,
        lambda f, y: np.stack([f[..., 0] - y[..., 0] + 0 * f[..., 0], 0 * f[..., 0]], axis=-1),
    )
    a = train(many, VECTORS, np.stack([y, y], 1), Nesterov(0.5), [0, 7], 0.02, loss=half)
    b = train(alone, VECTORS, y, Nesterov(0.5), [0, 7], 0.02)
    np.testing.assert_allclose(a.train[..., 0], b.train, rtol=1e-10)
    assert np.all(a.movement["U"][:, 1] > 0)


def test_draws_have_the_law_of_their_kernel():
    """400 networks: variances of 5 outputs, covariances of two readouts, within 5 standard errors (false alarms 1e-5)."""
    f = ensemble(mlp, 64, 400, 2, (3,), outputs=2).forward(VECTORS)
    k = np.diag(rmtp.nngp(mlp, VECTORS))
    for c in (0, 1):
        assert np.all(np.abs(f[..., c].var(axis=0) / k - 1) < 5 * np.sqrt(2 / 400) + 4 / 64)
    assert np.all(np.abs(np.mean(f[..., 0] * f[..., 1], axis=0)) < 5 * k / np.sqrt(400))


# ---------------------------------------------------------------------------------------------
# optimisers


def linear(x):
    """f = v . U x."""
    return rmtp.readout(dense(x, N, name="U"))


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_optimisers_are_their_definition(optimiser):
    """theta and v in plain NumPy for f = v . U x / sqrt(n d), both layers trained."""
    many = ensemble(linear, 8, 1, 0, (3,))
    U, v = many.member(0).parameters["U"].copy(), many.member(0).parameters["v"].copy()
    y, rate, beta = np.linspace(-1, 1, 5), 0.05, getattr(optimiser, "momentum", 0.0)
    dU, dv = np.zeros_like(U), np.zeros_like(v)
    for _ in range(6):
        ahead = beta if isinstance(optimiser, Nesterov) else 0.0
        u, w = U + ahead * dU, v + ahead * dv
        error = w @ u @ VECTORS.T / 8**0.5 - y
        # U = omega / sqrt(3), v = omega: the metric of U is 1/3
        dU, dv = (
            beta * dU - rate * np.outer(w, error @ VECTORS) / 8**0.5 / 3,
            beta * dv - rate * (u @ VECTORS.T @ error) / 8**0.5,
        )
        U, v = U + dU, v + dv
    done = train(many, VECTORS, y, optimiser, 6, rate)
    np.testing.assert_allclose(done.ensemble.member(0).parameters["U"], U, rtol=1e-10)
    np.testing.assert_allclose(done.ensemble.member(0).parameters["v"], v, rtol=1e-10)


def test_batches_are_the_data():
    """Every epoch each sample once; a batch of B stands for N/B of them."""
    many = ensemble(mlp, 10, 2, 0, (3,))
    y = np.linspace(-1, 1, 5)
    whole = train(many, VECTORS, y, GradientDescent(), 4, 0.01)
    full = train(many, VECTORS, y, GradientDescent(), 4, 0.01, batch_size=5)
    np.testing.assert_array_equal(whole.train, full.train)
    seen = [next(b) for b in [trainer._batches(5, 2, np.random.default_rng(1))] for _ in range(6)]
    assert [len(rows) for rows in seen] == [2, 2, 1, 2, 2, 1]
    assert sorted(np.concatenate(seen[:3])) == sorted(np.concatenate(seen[3:])) == list(range(5))
    # to first order in the rate an epoch of single samples is five steps of a fifth, each worth all samples
    rate = 1e-6
    start = many.forward(VECTORS)
    one = train(many, VECTORS, y, GradientDescent(), 5, rate, batch_size=1, rng=3).train - start
    all_ = train(many, VECTORS, y, GradientDescent(), 5, rate).train - start
    np.testing.assert_allclose(one, all_, rtol=1e-3, atol=1e-3 * np.abs(all_).max())
    a, b = (train(many, VECTORS, y, HeavyBall(0.5), 9, 0.01, batch_size=2, rng=s).train for s in (3, 3))
    np.testing.assert_array_equal(a, b)


def test_recording_does_not_disturb():
    many, y = ensemble(mlp, 10, 2, 0, (3,)), np.linspace(-1, 1, 5)
    dense_, sparse = (train(many, VECTORS, y, HeavyBall(0.9), s, 0.01) for s in ([0, 1, 2, 3, 8], 8))
    np.testing.assert_array_equal(dense_.train[:, -1], sparse.train)
    assert sparse.loss.shape == (2,) and sparse.train.shape == (2, 5)
    np.testing.assert_allclose(sparse.loss, np.sum((sparse.train - y) ** 2, axis=1) / 2, rtol=1e-12)
    assert all(np.all(m[:, 0] == 0) for m in dense_.movement.values())
    np.testing.assert_array_equal(many.forward(VECTORS), dense_.train[:, 0])


def test_mean_pool_outputs_move_n_times_slower():
    """The tangent kernel of an average is n <grad f, grad f'>: a rate of n times that of the kernel's dynamics."""
    rate = 1e-5
    for width in (16, 32):
        many = ensemble(meanpool, width, 1, 0, (3,))
        y = np.linspace(-1, 1, 5)
        start = many.forward(VECTORS)[0]
        moved = train(many, VECTORS, y, GradientDescent(), 1, width * rate).train[0] - start
        kernel = many.member(0).ntk(VECTORS)
        np.testing.assert_allclose(moved, rate * kernel @ (y - start), rtol=1e-2)


# ---------------------------------------------------------------------------------------------
# linearisation


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_a_linearised_network_is_one_whose_gradient_is_frozen(optimiser):
    """Explicit steps of omega with the gradients at omega_0, in the space of all parameters."""
    network = networks.init(mlp, 9, 0, (3,))
    y, tests = np.linspace(-1, 1, 5), VECTORS[:2] + 0.3

    def flat(x):
        return np.hstack([g.reshape(len(x), -1) for g in network.gradients(x).values()])

    J, J_test = flat(VECTORS), flat(tests)
    model = linearise(network, VECTORS, y, tests)
    rate, beta = 0.5 * model.max_learning_rate(optimiser), getattr(optimiser, "momentum", 0.0)
    omega = np.zeros(J.shape[1])
    v = np.zeros_like(omega)
    for _ in range(20):
        seen = omega + beta * v if isinstance(optimiser, Nesterov) else omega
        v = beta * v - rate * J.T @ (network.forward(VECTORS) + J @ seen - y)
        omega = omega + v
    path = model.run(optimiser, 20, rate)
    np.testing.assert_allclose(path.train_mean, network.forward(VECTORS) + J @ omega, atol=1e-11)
    np.testing.assert_allclose(path.mean, network.forward(tests) + J_test @ omega, atol=1e-11)
    np.testing.assert_allclose(J.T @ path.dual, omega, atol=1e-11)
    general = evolve(model, squared, optimiser, 20, rate)
    np.testing.assert_allclose(general.test, path.mean, atol=1e-11)


@pytest.mark.parametrize("parametrization", ["ntk", "yang"])
@zoo
def test_kernels_of_coupled_outputs_are_their_first_steps(net, X, parametrization):
    """A tiny step on a linear loss, whose gradient is a weight per sample and output, is the kernel times these weights."""
    outputs = 2 if net not in (meanpool, tied_meanpool) else 1
    many = ensemble(net, 12, 2, 1, X.shape[1:], outputs=outputs)
    weights = np.random.default_rng(0).standard_normal((len(X), outputs))
    tests = 0.7 * X[:2]
    kernel, cross = (many.ntk(*at, parametrization=parametrization) for at in ((X,), (tests, X)))
    assert kernel.shape == (2, len(X), outputs, len(X), outputs)
    np.testing.assert_allclose(kernel, kernel.transpose(0, 3, 4, 1, 2), rtol=1e-10, atol=1e-12)
    pulled = Loss(lambda f, y: -np.sum(f * y, axis=-1), lambda f, y: -y + 0 * f)
    rate, options = 1e-6, {"loss": pulled, "x_test": tests, "parametrization": parametrization}
    sides = [train(many, X, s * weights, GradientDescent(), 1, rate, **options) for s in (1, -1)]
    for k, found in ((kernel, [s.train for s in sides]), (cross, [s.test for s in sides])):
        slope = (found[0] - found[1]) / (2 * rate)
        factor = 1 if many.architecture.random_readout else many.width
        known = np.einsum("sicjd,jd->sic", k, weights) / factor
        np.testing.assert_allclose(slope, known, rtol=1e-6, atol=1e-6 * np.abs(known).max())


@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_a_linearised_network_of_three_classes(optimiser):
    """Explicit steps in the space of all parameters, gradients by differences, squared error and cross-entropy."""
    many = ensemble(mlp, 7, 1, 3, (3,), outputs=3)
    y, tests = class_targets([0, 1, 2, 1, 0]), VECTORS[:2] + 0.3
    names = list(many.arrays)

    def gradients(x):
        columns = []
        for name in names:
            scale = float(np.ravel(many.metrics("ntk")[name])[0]) ** 0.5
            for index in np.ndindex(many.arrays[name].shape):
                sides = []
                for sign in (1, -1):
                    moved = many.arrays[name].copy()
                    moved[index] += sign * 1e-5 * scale
                    sides.append(replace(many, arrays={**many.arrays, name: moved}).forward(x)[0])
                columns.append((sides[0] - sides[1]) / 2e-5)
        return np.stack(columns, axis=-1)  # (N, C, P)

    J, J_test = gradients(VECTORS), gradients(tests)
    model = linearise(many, VECTORS, y, tests)
    rate, beta = 0.5 * model.max_learning_rate(optimiser), getattr(optimiser, "momentum", 0.0)
    for loss in (squared, softmax_cross_entropy):
        omega = np.zeros(J.shape[-1])
        v = np.zeros_like(omega)
        for _ in range(15):
            seen = omega + beta * v if isinstance(optimiser, Nesterov) else omega
            v = beta * v - rate * np.einsum("ncp,nc->p", J, loss.gradient(many.forward(VECTORS)[0] + J @ seen, y))
            omega = omega + v
        path = evolve(model, loss, optimiser, [0, 15], rate)
        np.testing.assert_allclose(path.train[1], many.forward(VECTORS)[0] + J @ omega, atol=1e-7)
        np.testing.assert_allclose(path.test[1], many.forward(tests)[0] + J_test @ omega, atol=1e-7)
        if loss is squared:
            closed = model.run(optimiser, [0, 15], rate)
            np.testing.assert_allclose(closed.train_mean, path.train, atol=1e-11)
            np.testing.assert_allclose(closed.mean, path.test, atol=1e-11)
            np.testing.assert_allclose(closed.dual, path.dual, atol=1e-11)
            np.testing.assert_allclose(closed.loss_of_mean, path.loss, atol=1e-11)
            draws = many.forward(VECTORS) + 1, many.forward(tests) + 1
            again = closed.outputs(*draws)
            known = evolve(model, loss, optimiser, [0, 15], rate, initial=draws)
            np.testing.assert_allclose(again[0], known.train, atol=1e-11)
            np.testing.assert_allclose(again[1], known.test, atol=1e-11)


def test_small_rates_follow_the_linearisation():
    """For one small step the two agree to second order in the rate: a tenth of the rate, a hundredth of the gap."""
    network = networks.init(erf_net, 30, 0, (3,))
    y = np.linspace(-1, 1, 5)
    gaps = []
    for rate in (1e-2, 1e-3):
        step = linearise(network, VECTORS, y).gradient_descent(1, rate)
        moved = train(stacked([network]), VECTORS, y, GradientDescent(), 1, rate).train[0]
        gaps.append(np.abs(moved - step.train_mean).max())
    assert 80 < gaps[0] / gaps[1] < 125


@pytest.mark.parametrize("parametrization", ["yang", "standard"])
def test_linearisations_are_in_the_coordinates_of_a_parametrization(parametrization):
    network, y, rate = networks.init(mlp, 9, 0, (3,)), np.linspace(-1, 1, 5), 1e-5
    step = linearise(network, VECTORS, y, parametrization=parametrization).gradient_descent(1, rate)
    real = train(stacked([network]), VECTORS, y, GradientDescent(), 1, rate, parametrization=parametrization)
    start = network.forward(VECTORS)
    np.testing.assert_allclose(step.train_mean - start, real.train[0] - start, rtol=2e-3)


def rates_in_width(widths, members, steps=200):
    """Squares per width and member: of sup|f - f_lin|, movement per parameter, kernel change and distance from the limit."""
    rng = np.random.default_rng(4)
    x, t = rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    y = np.sin(2 * x[:, 0])
    limit = rmtp.ntk(erf_net, np.vstack([x, t]))
    rate = 0.25 * 2 / np.linalg.eigvalsh(limit[:6, :6])[-1]
    at = np.arange(0, steps + 1, 10)
    out = {name: [] for name in ("gap", "U1", "W1", "v", "change", "deviation")}
    for width, count in zip(widths, members):
        many = ensemble(erf_net, width, count, 7, (3,))
        done = train(many, x, y, GradientDescent(), at, rate, x_test=t)
        gaps, changes, deviations = [], [], []
        for k in range(count):
            path = linearise(many.member(k), x, y, t).gradient_descent(at, rate)
            gaps.append(max(np.abs(done.train[k] - path.train_mean).max(), np.abs(done.test[k] - path.mean).max()))
            before = many.member(k).ntk(x)
            after = done.ensemble.member(k).ntk(x)
            changes.append(np.linalg.norm(after - before) / np.linalg.norm(before))
            deviations.append(np.linalg.norm(before - limit[:6, :6]) / np.linalg.norm(limit[:6, :6]))
        for name, values in (("gap", gaps), ("change", changes), ("deviation", deviations)):
            out[name].append(np.array(values) ** 2)
        for name in ("U1", "W1", "v"):
            out[name].append(done.movement[name][:, -1] ** 2)
    return out


EXPECTED = {"gap": -1.0, "U1": -0.5, "W1": -1.0, "v": -0.5, "change": -1.0, "deviation": -0.5}


@pytest.mark.slow
def test_rates_of_the_theorem():
    """Lee et al. 2019, Theorem 2.1, whose bounds are n^-1/2: distance and kernel change fall like 1/n, as is seen there.

    Corrections of 1/n to mean squares are fitted. 6 z-scores at 4.5: false-alarm rate 4e-5.
    """
    widths = (64, 128, 256, 512)
    found = rates_in_width(widths, (60, 40, 30, 20))
    for name, expected in EXPECTED.items():
        measured, error = power(widths, found[name])
        assert error < 0.5
        assert abs(measured - 2 * expected) < 4.5 * error, name


def test_movement_falls_with_the_width():
    """The same on few networks: powers of the movements, and the bounds of the theorem. 5 z-scores at 4.5."""
    widths = (24, 48, 96, 192)
    found = rates_in_width(widths, (40, 40, 30, 20), steps=60)
    for name in ("U1", "W1", "v"):
        measured, error = power(widths, found[name])
        assert error < 0.3
        assert abs(measured - 2 * EXPECTED[name]) < 4.5 * error, name
    for name in ("gap", "change"):
        measured, error = power(widths, found[name], None)
        assert error < 0.2
        assert measured < -1 + 4.5 * error, name


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", DISCRETE, ids=str)
def test_ensembles_have_the_law_of_the_limit(optimiser):
    """Means and variances of 12 outputs at three widths, their bias c/n extrapolated away: 72 z-scores at 4.5, rate 5e-4.

    After eight steps: later the spread at training points is that of rates (it is exp of a random kernel), and no c/n.
    """
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((5, 3)), rng.standard_normal((7, 3))
    y = np.sin(2 * x[:, 0])
    model = training.linearised(erf_net, x, y, t)
    rate, steps, widths = 0.3 * model.max_learning_rate(optimiser), 8, (64, 128, 256)
    path = model.run(optimiser, steps, rate)
    mean = np.concatenate([path.train_mean, path.mean])
    variance = np.concatenate([path.train_std, path.std]) ** 2
    draws = []
    for width in widths:
        done = train(ensemble(erf_net, width, 200, width, (3,)), x, y, optimiser, steps, rate, x_test=t)
        draws.append(np.concatenate([done.train, done.test], axis=1))
    for point in range(12):
        samples = [f[:, point] for f in draws]
        squares = tuple((f - mean[point]) ** 2 for f in samples)
        for value, drawn in ((mean[point], tuple(samples)), (variance[point], squares)):
            exact = rmtp.Estimate(float(value), float(1e-10 * np.sqrt(variance[point])), "eigenmodes")
            assert abs(Verification(exact, widths, drawn).score) < 4.5


def test_cross_entropy_of_a_wide_network_is_its_limit():
    """Three classes: outputs against the same initial functions evolved by the limit kernel, whose distance is n^-1/2.

    A rank test at 1e-5 and a z-score at 4.5; the correction of 1/n to mean squares is fitted.
    """
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((6, 3)), rng.standard_normal((3, 3))
    y = class_targets([0, 1, 2, 0, 1, 2])
    model = training.linearised(erf_net, x, y, t)
    widths, squares = (16, 32, 64, 128, 256), []
    for width in widths:
        many = ensemble(erf_net, width, 24, 1, (3,), outputs=3)
        done = train(many, x, y, GradientDescent(), 60, 0.4, loss=softmax_cross_entropy, x_test=t)
        path = evolve(
            model, softmax_cross_entropy, GradientDescent(), 60, 0.4, initial=(many.forward(x), many.forward(t))
        )
        squares.append(np.mean((done.test - path.test) ** 2, axis=(1, 2)))
        assert np.all(done.loss < 6 * np.log(3))
    check_distance(widths, squares)


def check_distance(widths, squares):
    assert stats.mannwhitneyu(squares[-1], squares[0], alternative="less", method="exact").pvalue < 1e-5
    measured, error = power(widths, squares)
    assert error < 0.4
    assert abs(measured + 1) < 4.5 * error


@pytest.mark.slow
def test_digits_approach_their_limit():
    """Real images, ten classes, cross-entropy with momentum: outputs from the limit's at the same start, falling like n^-1/2.

    A rank test at 1e-5 and a z-score at 4.5; the correction of 1/n to mean squares is fitted.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x, t = images[:80] / 8, images[80:180] / 8
    y = class_targets(labels[:80], 10)

    def net(x):
        return rmtp.readout(rmtp.relu(dense(rmtp.relu(dense(x, N, 2**0.5, 0.1)), N, 2**0.5, 0.1)))

    model = training.linearised(net, x, y, t, covariance=False)
    rate, steps = 0.2 * model.max_learning_rate(), 40
    widths, squares = (60, 120, 240, 480), []
    for width, members in zip(widths, (16, 12, 10, 10), strict=True):
        many = ensemble(net, width, members, 1, (64,), outputs=10)
        done = train(many, x, y, HeavyBall(0.9), steps, rate, loss=softmax_cross_entropy, x_test=t)
        first = many.forward(x), many.forward(t)
        path = evolve(model, softmax_cross_entropy, HeavyBall(0.9), steps, rate, initial=first)
        squares.append(np.mean((done.test - path.test) ** 2, axis=(1, 2)))
        assert np.mean(done.train.argmax(axis=-1) == labels[:80]) > 0.9
    check_distance(widths, squares)


# ---------------------------------------------------------------------------------------------
# bad input

MANY = ensemble(mlp, 6, 2, 0, (3,))
TWO = ensemble(mlp, 6, 2, 0, (3,), outputs=2)
OTHER = ensemble(mlp, 6, 1, 0, (3,))
Y5 = np.ones(5)
REFUSED = {
    "a flow": (lambda: train(MANY, VECTORS, Y5, Flow(), 1, 0.1), BadParameter, "small steps"),
    "no optimiser": (lambda: train(MANY, VECTORS, Y5, "sgd", 1, 0.1), BadParameter, "GradientDescent()"),
    "a single network": (lambda: train(MANY.member(0), VECTORS, Y5, GradientDescent(), 1, 0.1), BadParameter, "ensemble"),
    "inputs of another shape": (lambda: train(MANY, np.ones((5, 2)), Y5, GradientDescent(), 1, 0.1), AxisError, "(3,)"),
    "nan inputs": (lambda: train(MANY, np.full((5, 3), np.nan), Y5, GradientDescent(), 1, 0.1), BadParameter, "finite"),
    "too few targets": (lambda: train(MANY, VECTORS, Y5[:4], GradientDescent(), 1, 0.1), AxisError, "(5,)"),
    "targets for two outputs": (lambda: train(TWO, VECTORS, Y5, GradientDescent(), 1, 0.1), AxisError, "one column per"),
    "labels 0 and 1": (
        lambda: train(MANY, VECTORS, [0, 1, 0, 1, 1], GradientDescent(), 1, 0.1, loss=logistic), BadParameter, "-1 and 1"),
    "forever": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), np.inf, 0.1), BadParameter, "finite"),
    "half a step": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), 0.5, 0.1), BadParameter, "whole numbers"),
    "negative rate": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), 1, -0.1), BadParameter, "above 0"),
    "a batch too large": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), 1, 0.1, batch_size=6), BadParameter, "at most"),
    "an empty batch": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), 1, 0.1, batch_size=0), BadParameter, "positive"),
    "explosion": (lambda: train(MANY, VECTORS, Y5, GradientDescent(), [1, 400], 50.0), DivergentExpectation, "below 50"),
    "no members": (lambda: ensemble(mlp, 6, 0, 0, (3,)), BadParameter, "positive"),
    "outputs of an average": (lambda: ensemble(meanpool, 6, 1, 0, (3,), outputs=2), BadParameter, "readout"),
    "a member of two outputs": (lambda: TWO.member(0), BadParameter, "outputs=None"),
    "a linearisation of two": (lambda: linearise(MANY, VECTORS, Y5), BadParameter, "one at a time"),
    "no such member": (lambda: MANY.member(2), BadParameter, "index"),
    "two architectures": (lambda: stacked([MANY.member(0), OTHER.member(0)]), BadParameter, "one network"),
    "sequences": (lambda: MANY.forward(SEQUENCES), AxisError, "(3,)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(case):
    work, error, words = case
    with pytest.raises(error) as caught:
        work()
    assert words in caught.value.remedy
