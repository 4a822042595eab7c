"""Wide networks inside scikit-learn: its own checks of estimators, its Gaussian processes, and real data."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import rmtp
from rmtp import regression
from rmtp.errors import BadParameter, NotPSD
from rmtp.sklearn import NetworkClassifier, NetworkKernel, NetworkRegressor, relu_network

N = rmtp.Dim("n")
KINDS = ("nngp", "ntk")
# They check nothing unless pandas is there and SciPy was started in array API mode; both pass then.
NEED_MORE = {"check_array_api_input", "check_regressor_data_not_an_array", "check_classifier_data_not_an_array"}


def tanh_like(x):
    from scipy.special import erf

    return rmtp.readout(erf(rmtp.networks.dense(x, N, 1.5, 0.5)), 1, 0.2)


def convolutional(x):
    h = rmtp.relu(rmtp.networks.conv(x.reshape(4, 4, 1), N, 3, 2**0.5, 0.1))
    return rmtp.readout(h)


def checks(*estimators):
    """Like sklearn.utils.estimator_checks.parametrize_with_checks, without those that would be skipped."""
    found = []
    for estimator in estimators:
        for one, check in estimator_checks_generator(estimator):
            name = check.func.__name__ if isinstance(check, functools.partial) else check.__name__
            if name not in NEED_MORE:
                found.append(pytest.param(one, check, id=f"{one}-{name}"))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks(NetworkRegressor(kind="ntk"), NetworkClassifier()))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), checks(NetworkRegressor(), NetworkClassifier(kind="ntk")))
def test_scikit_learn_checks_of_the_other_kernel(estimator, check):
    check(estimator)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((15, 3)), rng.standard_normal(15), rng.standard_normal((8, 3))


# ---------------------------------------------------------------------------------------------
# the kernel


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_is_the_network_kernel(data, kind):
    x, _, t = data
    kernel, direct = NetworkKernel(tanh_like, kind), {"nngp": rmtp.nngp, "ntk": rmtp.ntk}[kind]
    assert np.array_equal(kernel(t, x), direct(tanh_like, t, x))
    assert np.allclose(kernel.diag(x), np.diag(kernel(x)), rtol=1e-12)
    k, gradient = kernel(x, eval_gradient=True)
    assert np.array_equal(k, kernel(x))
    assert gradient.shape == (15, 15, 0)
    assert not kernel.is_stationary()
    with pytest.raises(BadParameter, match="leave Y out"):
        kernel(x, t, eval_gradient=True)


def test_kernel_has_parameters_but_none_to_optimise():
    kernel = NetworkKernel(tanh_like, "ntk")
    assert kernel.get_params() == {"net": tanh_like, "kind": "ntk"}
    assert clone(kernel) == kernel
    assert kernel != NetworkKernel(tanh_like)
    assert kernel.set_params(kind="nngp") == NetworkKernel(tanh_like)
    assert (kernel.n_dims, len(kernel.theta), len(kernel.bounds)) == (0, 0, 0)
    assert repr(NetworkKernel(tanh_like)) == "NetworkKernel(net=tanh_like, kind='nngp')"
    assert pickle.loads(pickle.dumps(NetworkKernel(relu_network))) == NetworkKernel(relu_network)
    with pytest.raises(BadParameter, match="kind='gp'"):
        NetworkKernel(kind="gp")([[1.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_gaussian_process_regressor_agrees(data, kind):
    x, y, t = data
    gp = GaussianProcessRegressor(NetworkKernel(tanh_like, kind), alpha=0.1, optimizer=None).fit(x, y)
    mean, std = gp.predict(t, return_std=True)
    kernel = NetworkKernel(tanh_like, kind)
    p = regression.posterior(kernel(x), kernel(t, x), kernel(t), y, noise=0.1)
    assert np.allclose(mean, p.mean, rtol=1e-9)
    assert np.allclose(std, p.std, rtol=1e-9)
    assert np.isclose(gp.log_marginal_likelihood_value_, p.log_marginal_likelihood)


def test_scale_and_noise_beside_the_network_are_optimised(data):
    x, _, _ = data
    y = x @ [1.0, -2.0, 0.5] + 0.3 * np.random.default_rng(1).standard_normal(15)
    kernel = ConstantKernel(1.0) * NetworkKernel(tanh_like) + WhiteKernel(0.1)
    gp = GaussianProcessRegressor(kernel, alpha=1e-10).fit(x, y)
    start = GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=None).fit(x, y)
    assert gp.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_
    assert len(gp.kernel_.theta) == 2


# ---------------------------------------------------------------------------------------------
# estimators


@pytest.mark.parametrize("kind", KINDS)
def test_regressor_is_predict(data, kind):
    x, y, t = data
    model = NetworkRegressor(tanh_like, kind, noise=0.1, normalize_y=False).fit(x, y)
    mean, std = model.predict(t, return_std=True)
    p = regression.predict(tanh_like, x, y, t, kind=kind, noise=0.1)
    assert np.allclose(mean, p.mean, rtol=1e-10)
    assert np.allclose(std, p.std, rtol=1e-8)
    assert np.allclose(model.X_fit_, x)


@pytest.mark.parametrize("kind", KINDS)
def test_regressor_follows_the_unit_of_its_targets(data, kind):
    x, y, t = data
    y = np.stack([y, y**2], axis=1)
    plain, moved = (NetworkRegressor(kind=kind).fit(x, targets) for targets in (y, 1000 * y + 5))
    (mean, std), (other, wider) = (m.predict(t, return_std=True) for m in (plain, moved))
    assert mean.shape == std.shape == (8, 2)
    assert np.allclose(1000 * mean + 5, other)
    assert np.allclose(1000 * std, wider)


def test_noise_of_zero_interpolates_or_says_why_not(data):
    x, y, _ = data
    assert np.allclose(NetworkRegressor(noise=0).fit(x, y).predict(x), y, atol=1e-8)
    with pytest.raises(NotPSD, match="16 training points"):
        NetworkRegressor(noise=0).fit(np.vstack([x, x[:1]]), np.append(y, 0.0))
    assert NetworkRegressor(noise=0, jitter=1e-8).fit(np.vstack([x, x[:1]]), np.append(y, y[0])).factor_.jitter > 0


@pytest.mark.parametrize("kind", KINDS)
def test_classifier_of_two_and_of_three_classes(data, kind):
    x, y, t = data
    two = NetworkClassifier(kind=kind).fit(x, np.where(y > 0, "up", "down"))
    assert two.classes_.tolist() == ["down", "up"]
    assert np.array_equal(two.predict(t) == "up", two.decision_function(t) > 0)
    three = NetworkClassifier(kind=kind, noise=1e-6).fit(x, np.digitize(y, [-0.5, 0.5]))
    assert three.decision_function(t).shape == (8, 3)
    assert np.allclose(three.decision_function(t).sum(axis=1), 0, atol=1e-12)
    assert three.score(x, np.digitize(y, [-0.5, 0.5])) == 1
    assert not hasattr(three, "predict_proba")


def test_a_network_may_reshape_its_input():
    x, y = load_digits(return_X_y=True)
    x = x[:40].reshape(-1, 8, 8)[:, ::2, ::2].reshape(-1, 16) / 16
    model = NetworkClassifier(convolutional, noise=1e-3).fit(x[:30], y[:30])
    images = x.reshape(-1, 4, 4, 1)

    def on_images(z):
        return rmtp.readout(rmtp.relu(rmtp.networks.conv(z, N, 3, 2**0.5, 0.1)))

    direct = rmtp.nngp(on_images, images[30:], images[:30]) @ model.dual_coef_
    assert np.allclose(model.decision_function(x[30:]), direct, rtol=1e-9, atol=1e-12)


def test_networks_are_searched_like_any_parameter(data):
    x, y, _ = data
    search = GridSearchCV(NetworkRegressor(), {"net": [None, tanh_like], "noise": [0.1, 1.0]}, cv=3).fit(x, y)
    assert search.best_params_["net"] in (None, tanh_like)


def test_without_scikit_learn_the_error_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import rmtp; print('fine'); import rmtp.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n"
    assert "pip install rmtp[sklearn]" in done.stderr


# ---------------------------------------------------------------------------------------------
# real data


def digits(size, seed=0):
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order] / 16, y[order]
    return x[:size], y[:size], x[1000:], y[1000:]


def test_digits_from_few_images():
    x, y, x_test, y_test = digits(300)
    assert NetworkClassifier(noise=1e-3).fit(x, y).score(x_test, y_test) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_digits(kind):
    x, y, x_test, y_test = digits(1000)
    model = NetworkClassifier(kind=kind, noise=1e-3).fit(x, y)
    assert model.score(x_test, y_test) > 0.985


@pytest.mark.parametrize("kind", KINDS)
def test_diabetes_beside_ridge(kind):
    """Noise by cross-validation inside, as for ridge; equal within the scatter over folds."""
    x, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 20)))
    model = make_pipeline(StandardScaler(), NetworkRegressor(tanh_like, kind, noise=1.0))
    ours, theirs = (cross_val_score(m, x, y, cv=folds, scoring="r2").mean() for m in (model, ridge))
    assert ours > theirs - 0.01
    assert ours > 0.48


def test_bands_of_diabetes_are_calibrated():
    """With the noise of the largest evidence, 95 % bands hold what they say."""
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), (y - y.mean()) / y.std()
    k = rmtp.nngp(tanh_like, x)
    noises = np.geomspace(0.1, 2, 12)
    noise = noises[np.argmax([regression.log_marginal_likelihood(k, y, noise=v) for v in noises])]
    model = NetworkRegressor(tanh_like, noise=noise, normalize_y=False)
    mean = cross_val_predict(model, x, y, cv=KFold(5, shuffle=True, random_state=0))
    sd = np.sqrt(model.fit(x, y).predict(x, return_std=True)[1] ** 2 + noise)
    inside = np.mean(np.abs(mean - y) < 1.96 * sd)
    assert 0.92 < inside < 0.98
