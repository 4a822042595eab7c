"""Regression with kernels: against dense formulas, scikit-learn, finite networks, and what must not change an answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

import rmtp
from rmtp import plots, regression
from rmtp.errors import AxisError, BadParameter, NotPSD
from rmtp.regression import factor, log_marginal_likelihood, log_marginal_likelihood_gradient, ntk_ensemble, posterior

N = rmtp.Dim("n")


def relu_net(x):
    for _ in range(2):
        x = rmtp.relu(rmtp.networks.dense(x, N, 2**0.5, 0.3))
    return rmtp.readout(x)


def erf_net(x):
    return rmtp.readout(erf(rmtp.networks.dense(x, N, 2, 1)), 1, 0.5)


NETS = {"relu": relu_net, "erf": erf_net}


@pytest.fixture(scope="module", params=NETS)
def data(request):
    """Both kernels of 12 training and 7 test points in 3 dimensions, as dense blocks."""
    rng = np.random.default_rng(3)
    x, t, y = rng.standard_normal((12, 3)), rng.standard_normal((7, 3)), rng.standard_normal((12, 2))
    return x, t, y, *(blocks(NETS[request.param], kind, x, t) for kind in (rmtp.nngp, rmtp.ntk))


def blocks(net, kernel, x, t):
    return tuple(np.asarray(k) for k in (kernel(net, x), kernel(net, t, x), kernel(net, t)))


def brownian(x, t):
    k = np.minimum.outer
    return k(x, x), k(t, x), k(t, t)


# ---------------------------------------------------------------------------------------------
# dense formulas


@pytest.mark.parametrize("noise", [0, 0.3, np.linspace(0.1, 0.5, 12)], ids=["none", "one", "each"])
def test_posterior_is_the_conditional_of_a_joint_gaussian(data, noise):
    _, _, y, (k, kc, kt), _ = data
    p = posterior(k, kc, kt, y, noise=noise)
    noisy = k + np.diag(np.broadcast_to(noise, 12))
    assert np.allclose(p.mean, kc @ np.linalg.solve(noisy, y), rtol=1e-9, atol=1e-9)
    assert np.allclose(p.covariance, kt - kc @ np.linalg.solve(noisy, kc.T), rtol=1e-9, atol=1e-9)
    assert np.allclose(p.variance, np.diag(p.covariance), atol=1e-12)
    assert np.allclose(posterior(k, kc, np.diag(kt), y, noise=noise).std, p.std, atol=1e-7)
    assert p.jitter == 0


def test_evidence_is_a_gaussian_density(data):
    from scipy.stats import multivariate_normal

    _, _, y, (k, kc, kt), _ = data
    direct = sum(multivariate_normal(np.zeros(12), k + 0.2 * np.eye(12)).logpdf(column) for column in y.T)
    assert np.isclose(log_marginal_likelihood(k, y, noise=0.2), direct, rtol=1e-12)
    assert np.isclose(posterior(k, kc, kt, y, noise=0.2).log_marginal_likelihood, direct, rtol=1e-12)


@pytest.mark.parametrize("noise", [0, 0.1])
def test_ensemble_is_lee_et_al_equation_16(data, noise):
    _, _, y, (k, kc, kt), (theta, cross, _) = data
    p = ntk_ensemble(theta, cross, y, nngp=(k, kc, kt), noise=noise)
    inv = np.linalg.inv(theta + noise * np.eye(12))
    direct = kt + cross @ inv @ k @ inv @ cross.T - (cross @ inv @ kc.T + kc @ inv @ cross.T)
    assert np.allclose(p.mean, cross @ inv @ y, rtol=1e-9, atol=1e-9)
    assert np.allclose(p.covariance, direct, rtol=1e-8, atol=1e-8)
    assert np.array_equal(p.covariance, p.covariance.T)
    assert np.linalg.eigvalsh(p.covariance)[0] > -1e-12
    assert np.allclose(
        ntk_ensemble(theta, cross, y, nngp=(k, kc, np.diag(kt)), noise=noise).variance, p.variance, atol=1e-12
    )
    assert ntk_ensemble(theta, cross, y, noise=noise).variance is None
    assert p.log_marginal_likelihood is None


@pytest.mark.parametrize("noise", [0, 0.2])
def test_training_time_solves_the_differential_equation(noise):
    """df(X)/dt = -T (f(X) - y) - noise (f(X) - f0(X)), step by step, for functions drawn at the start."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((4, 2)), rng.standard_normal((3, 2))
    both, targets = np.vstack([x, t]), rng.standard_normal(4)
    k, theta = (np.asarray(kernel(erf_net, both)) for kernel in (rmtp.nngp, rmtp.ntk))
    steps, time = 40_000, 1.5
    moved = np.eye(7)  # f = moved @ f0 + shift
    shift = np.zeros(7)
    h = time / steps
    for _ in range(steps):
        moved, shift = (
            moved - h * (theta[:, :4] @ moved[:4] + noise * (moved - np.eye(7))),
            shift - h * (theta[:, :4] @ (shift[:4] - targets) + noise * shift),
        )
    p = ntk_ensemble(
        theta[:4, :4], theta[4:, :4], targets, nngp=(k[:4, :4], k[4:, :4], k[4:, 4:]), noise=noise, time=time
    )
    assert np.allclose(p.mean, shift[4:], atol=2e-4)
    assert np.allclose(p.covariance, (moved @ k @ moved.T)[4:, 4:], atol=2e-4)


def test_time_interpolates_between_the_prior_and_the_end(data):
    _, _, y, (k, kc, kt), (theta, cross, _) = data
    early, late, end = (ntk_ensemble(theta, cross, y, nngp=(k, kc, kt), time=time) for time in (1e-12, 1e7, np.inf))
    assert np.allclose(early.mean, 0, atol=1e-9)
    assert np.allclose(early.covariance, kt, atol=1e-9)
    assert np.allclose(late.mean, end.mean, atol=1e-6)
    assert np.allclose(late.covariance, end.covariance, atol=1e-6)


def test_a_singular_kernel_can_be_trained_for_a_finite_time():
    p = ntk_ensemble([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0]], [1.0, 3.0], time=50.0)
    assert np.allclose(p.mean, 2.0)
    with pytest.raises(NotPSD):
        ntk_ensemble([[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0]], [1.0, 3.0], time=1.0)


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_gradient_of_the_evidence_is_its_finite_difference(data, outputs):
    _, _, _, (k, _, _), _ = data
    y = np.random.default_rng(1).standard_normal(12 if outputs is None else (12, outputs))
    value, gradient = log_marginal_likelihood_gradient(k, y, noise=0.2)
    assert value == log_marginal_likelihood(k, y, noise=0.2)
    rng, h = np.random.default_rng(2), 1e-5
    for _ in range(5):
        d = rng.standard_normal(k.shape)
        d = d + d.T
        slope = (
            log_marginal_likelihood(k + h * d, y, noise=0.2) - log_marginal_likelihood(k - h * d, y, noise=0.2)
        ) / (2 * h)
        assert np.isclose(np.sum(gradient * d), slope, rtol=1e-6)
    slope = (log_marginal_likelihood(k, y, noise=0.2 + h) - log_marginal_likelihood(k, y, noise=0.2 - h)) / (2 * h)
    assert np.isclose(np.trace(gradient), slope, rtol=1e-6)


@pytest.mark.parametrize("kernel", [RBF(0.7), ConstantKernel(2.0) * Matern(1.3, nu=1.5)], ids=["rbf", "matern"])
def test_scikit_learn_agrees(kernel):
    rng = np.random.default_rng(5)
    x, t, y = rng.standard_normal((20, 2)), rng.standard_normal((9, 2)), rng.standard_normal((20, 3))
    gp = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(x, y)
    p = posterior(kernel(x), kernel(t, x), kernel(t), y, noise=0.1)
    mean, std = gp.predict(t, return_std=True)
    _, cov = gp.predict(t, return_cov=True)
    assert np.allclose(p.mean, mean, rtol=1e-10, atol=1e-12)
    assert np.allclose(p.std, std[:, 0], rtol=1e-10)
    assert np.allclose(p.covariance, cov[..., 0], atol=1e-12)
    assert np.isclose(p.log_marginal_likelihood, gp.log_marginal_likelihood_value_, rtol=1e-12)
    # d/d log(parameter): the gradient with respect to the kernel, chained
    _, dk = kernel(x, eval_gradient=True)
    _, by_theta = gp.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    _, by_kernel = log_marginal_likelihood_gradient(kernel(x), y, noise=0.1)
    assert np.allclose(np.einsum("ij,ijp->p", by_kernel, dk), by_theta, rtol=1e-8)


# ---------------------------------------------------------------------------------------------
# invariances


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_order_of_training_points_does_not_matter(data, kind):
    x, t, y, *_ = data
    order = np.random.default_rng(0).permutation(len(x))
    a = regression.predict(relu_net, x, y, t, kind=kind, noise=0.1)
    b = regression.predict(relu_net, x[order], y[order], t, kind=kind, noise=0.1)
    assert np.allclose(a.mean, b.mean, atol=1e-10)
    assert np.allclose(a.covariance, b.covariance, atol=1e-10)


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_training_points_are_met_exactly_without_noise(data, kind):
    x, _, y, *_ = data
    p = regression.predict(relu_net, x, y, x, kind=kind)
    assert np.allclose(p.mean, y, atol=1e-8)
    assert np.all(p.variance >= 0)
    assert np.allclose(p.variance, 0, atol=1e-10)
    assert np.allclose(p.sample(3, rng=0), y, atol=1e-4)


def test_two_observations_of_one_point_are_one_of_half_the_noise():
    x, t = np.array([0.3, 0.3, 1.0]), np.array([0.2, 0.6, 2.0])
    twice = posterior(*brownian(x, t), [1.0, 2.0, 0.0], noise=0.4)
    once = posterior(*brownian(x[1:], t), [1.5, 0.0], noise=[0.2, 0.4])
    assert np.allclose(twice.mean, once.mean)
    assert np.allclose(twice.covariance, once.covariance)


def test_far_apart_a_posterior_is_the_prior():
    p = posterior(np.eye(2), np.zeros((1, 2)), [[3.0]], [1.0, 2.0])
    assert p.mean == 0
    assert p.variance == 3


def test_outputs_are_independent(data):
    _, _, y, (k, kc, kt), _ = data
    both, first = posterior(k, kc, kt, y, noise=0.1), posterior(k, kc, kt, y[:, 0], noise=0.1)
    assert np.allclose(both.mean[:, 0], first.mean)
    assert np.allclose(both.covariance, first.covariance)


def test_predict_needs_no_kernel_of_all_pairs(data):
    x, t, y, *_ = data
    for kind in ("nngp", "ntk"):
        full = regression.predict(erf_net, x, y, t, kind=kind)
        diagonal = regression.predict(erf_net, x, y, t, kind=kind, covariance=False)
        assert diagonal.covariance is None
        assert np.allclose(full.variance, diagonal.variance, atol=1e-10)


def test_diagonal_is_that_of_the_kernel():
    x = np.random.default_rng(0).standard_normal((37, 3))
    for kind, kernel in (("nngp", rmtp.nngp), ("ntk", rmtp.ntk)):
        assert np.allclose(regression.kernel_diagonal(relu_net, x, kind), np.diag(kernel(relu_net, x)), rtol=1e-12)


def test_samples_have_the_stated_moments(data):
    _, _, y, (k, kc, kt), _ = data
    p = posterior(k, kc, kt, y, noise=0.1)
    drawn = p.sample(40_000, rng=0)
    assert drawn.shape == (40_000, 7, 2)
    assert np.allclose(drawn.mean(axis=0), p.mean, atol=5 * np.sqrt(p.variance.max() / 40_000))
    for c in range(2):
        assert np.allclose(np.cov(drawn[..., c].T), p.covariance, atol=0.05 * p.variance.max())
    assert np.array_equal(p.sample(2, rng=7), p.sample(2, rng=7))


@pytest.mark.slow
@pytest.mark.parametrize("time", [0.5, 4.0])
def test_finite_networks_trained_by_gradient_descent(time):
    """300 erf networks of width 1500, all layers trained: mean and variance of their outputs at two new points."""
    rng = np.random.default_rng(1)
    x, t = np.array([[-1.0], [0.2], [0.9]]), np.array([[-0.4], [1.8]])
    y, width, members, rate = np.array([0.5, -0.5, 0.8]), 1500, 300, 0.02
    outputs = []
    for _ in range(members):
        W, b, v = rng.standard_normal((3, width))
        c = rng.standard_normal()

        for _ in range(round(time / rate)):
            h = 2 * np.outer(x[:, 0], W) + b
            a = erf(h)
            gap = a @ v / np.sqrt(width) + 0.5 * c - y
            back = gap[:, None] * v / np.sqrt(width) * 2 / np.sqrt(np.pi) * np.exp(-(h**2))
            W = W - rate * 2 * (x[:, 0] @ back)
            b = b - rate * back.sum(axis=0)
            v = v - rate * gap @ a / np.sqrt(width)
            c = c - rate * 0.5 * gap.sum()
        outputs.append(erf(2 * np.outer(t[:, 0], W) + b) @ v / np.sqrt(width) + 0.5 * c)
    p = regression.predict(erf_net, x, y, t, kind="ntk", time=time)
    outputs = np.array(outputs)
    assert np.all(np.abs(outputs.mean(axis=0) - p.mean) < 4 * p.std / np.sqrt(members) + 0.02)
    assert np.allclose(outputs.var(axis=0), p.variance, rtol=4 * np.sqrt(2 / members) + 0.05)


# ---------------------------------------------------------------------------------------------
# jitter, and what is refused


def singular():
    return brownian(np.array([0.5, 0.5, 1.0]), np.array([0.7]))


def stated_noise(error):
    return float(error.remedy.split(" or more")[0].split("noise=")[1])


def test_the_noise_that_an_error_names_is_enough():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((30, 8))
    for k in (singular()[0], a @ a.T, a @ a.T - 0.1 * np.eye(30), np.zeros((2, 2))):
        for noise in (0, 1e-20 * k[0, 0]):
            with pytest.raises(NotPSD, match="eigenvalues reach from") as caught:
                factor(k, noise)
            factor(k, stated_noise(caught.value))


def test_an_error_about_many_noises_says_what_to_add():
    noises = np.array([0.0, 0.0, 0.1])
    with pytest.raises(NotPSD) as caught:
        factor(singular()[0], noises)
    added = float(caught.value.remedy.split(" or more")[0].split("noise + ")[1])
    factor(singular()[0], noises + added)


def test_jitter_is_not_used_unless_needed_and_stated_if_used():
    k, kc, kt = singular()
    p = posterior(k, kc, kt, [1.0, 1.0, 2.0], jitter=1e-8)
    assert 0 < p.jitter <= 1e-8 * np.mean(np.diag(k))
    assert np.allclose(p.mean, 1.4, atol=1e-6)
    regular = brownian(np.array([0.5, 0.6, 1.0]), np.array([0.7]))
    assert posterior(*regular, [1.0, 1.0, 2.0], jitter=1e-8).jitter == 0
    assert ntk_ensemble(k, kc, [1.0, 1.0, 2.0], jitter=1e-8).jitter == p.jitter


def test_jitter_does_not_hide_what_is_no_kernel():
    with pytest.raises(NotPSD, match=r"jitter up to 1e-06.*-1 to 3"):
        factor([[1.0, 2.0], [2.0, 1.0]], jitter=1e-6)


def test_a_factorisation_that_succeeds_by_luck_is_refused():
    """Rounding may leave a positive pivot where the matrix is singular; answers would then be noise."""
    x = np.linspace(0, 1, 25)
    k = np.exp(-((x[:, None] - x) ** 2) / 2)
    with pytest.raises(NotPSD, match="25 training points"):
        factor(k)


def test_blocks_of_different_kernels_are_noticed():
    k, kc, _ = brownian(np.array([0.5, 1.0]), np.array([0.7]))
    with pytest.raises(NotPSD, match="test point 0"):
        posterior(k, 10 * kc, [[0.7]], [1.0, 2.0])
    with pytest.raises(NotPSD, match="transpose"):
        posterior([[1.0, 0.5], [0.2, 1.0]], kc, [[0.7]], [1.0, 2.0])


ONE = ([[1.0]], [[0.5]], [[1.0]], [1.0])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: posterior([[np.nan]], *ONE[1:]), BadParameter, r"k_train holds nan at \(0, 0\)"),
        (lambda: posterior([[1.0]], [[np.inf]], *ONE[2:]), BadParameter, "k_test_train holds inf"),
        (lambda: posterior(*ONE[:3], [np.nan]), BadParameter, "y holds nan"),
        (lambda: posterior(*ONE[:3], ["cat"]), BadParameter, "one_hot"),
        (lambda: posterior(*ONE[:3], [1.0, 2.0]), AxisError, "y of shape"),
        (lambda: posterior([[1.0, 0.5]], *ONE[1:]), AxisError, "square"),
        (lambda: posterior(np.ones((2, 1, 1)), *ONE[1:]), AxisError, "loop over a sweep"),
        (lambda: posterior([[1.0]], [[0.5, 0.5]], *ONE[2:]), AxisError, "k_test_train of shape"),
        (lambda: posterior(*ONE[:2], [[1.0, 0.0]], ONE[3]), AxisError, "k_test of shape"),
        (lambda: posterior(*ONE, noise=-1), BadParameter, "noise=-1"),
        (lambda: posterior(*ONE, noise=[1, 2]), AxisError, "noise of shape"),
        (lambda: posterior(*ONE, jitter=2), BadParameter, "jitter=2"),
        (lambda: posterior(*ONE, jitter="auto"), BadParameter, "jitter='auto'"),
        (lambda: ntk_ensemble([[1.0]], [[0.5]], [1.0], time=0), BadParameter, "time=0"),
        (lambda: ntk_ensemble([[1.0]], [[0.5]], [1.0], nngp=([[1.0]], [[0.5]])), BadParameter, "three kernels"),
        (lambda: ntk_ensemble([[1.0]], [[0.5]], [1.0], nngp=(np.eye(2), [[0.5]], [[1.0]])), AxisError, "same points"),
        (lambda: regression.predict(relu_net, [[1.0]], [1.0], [[1.0]], kind="gp"), BadParameter, "nngp, ntk"),
        (lambda: regression.predict(relu_net, [[1.0]], [1.0], [[1.0]], time=2), BadParameter, "training"),
        (lambda: regression.predict(relu_net, [1.0], [1.0], [[1.0]]), BadParameter, "one input per row"),
        (lambda: regression.one_hot(["a", "a"]), BadParameter, "1 classes"),
        (lambda: regression.one_hot([["a"]]), BadParameter, "labels of shape"),
        (lambda: posterior(*ONE[:2], None, ONE[3]).std, BadParameter, "without variances"),
        (lambda: posterior(*ONE[:2], [1.0], ONE[3]).sample(), BadParameter, "without covariances"),
        (lambda: posterior(*ONE).plot(), BadParameter, "without inputs"),
        (lambda: posterior(*ONE).plot([1.0, 2.0]), BadParameter, "on a line"),
    ],
)  # fmt: skip
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---------------------------------------------------------------------------------------------
# figures


def test_band_shows_the_prediction():
    with plots.style():
        ax = plots.figure()[1]
    x, y, grid = np.array([[-1.0], [1.0]]), [1.0, -1.0], np.array([[2.0], [0.0], [-2.0]])
    p = regression.predict(relu_net, x, y, grid)
    assert p.plot(ax=ax, samples=2, label="NNGP") is ax
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert np.array_equal(lines["NNGP: mean"].get_xdata(), [-2, 0, 2])
    assert np.allclose(lines["NNGP: mean"].get_ydata(), p.mean[::-1])
    assert np.array_equal(lines["training points"].get_ydata(), y)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert np.isclose(band.max(), np.max(p.mean + 2 * p.std))
    assert np.isclose(band.min(), np.min(p.mean - 2 * p.std))
    p.plot(ax=ax, label="again")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names.count("training points") == 1
    assert "again: mean" in names
    colours = {line.get_color() for line in ax.get_lines() if line.get_label().endswith("mean")}
    assert len(colours) == 2
    assert ax.xaxis.label.get_size() >= 14


def test_band_of_one_output_of_many():
    p = posterior([[1.0]], [[0.5], [0.2]], [1.0, 1.0], [[2.0, -2.0]])
    ax = p.plot([0.0, 1.0], plots.figure()[1], output=1)
    assert np.allclose(ax.get_lines()[0].get_ydata(), [-1.0, -0.4])
