"""Derived Onsager terms, simulations, fixed points, phase transitions, bad input."""

from __future__ import annotations

import itertools
from functools import partial

import mpmath
import numpy as np
import pytest
import scipy.stats
from amp_oracles import posterior_error, soft_error, transition
from scipy.optimize import brentq
from scipy.special import ndtr

import rmtp
from rmtp import errors
from rmtp.amp import (
    Channel,
    Problem,
    amp,
    bernoulli_gauss,
    compare,
    donoho_tanner,
    fista,
    fixed_point,
    gamp,
    generalised_linear_model,
    gradient_descent,
    heavy_ball,
    informed_start,
    invariant_amp,
    ista,
    landscape,
    lasso,
    linear_model,
    logistic,
    logistic_loss,
    minibatch_descent,
    minibatches,
    numerical,
    oamp,
    onsager,
    phase_retrieval,
    poisson,
    posterior_mean,
    power_iteration,
    probed,
    probit,
    random_start,
    rectified,
    simulate,
    soft,
    spectral_start,
    spiked_amp,
    spiked_wigner,
    spiked_wishart,
    spiked_wishart_amp,
    tanh_loss,
    three_point,
    vamp,
)
from rmtp.amp.simulation import drawn

GAUSS = scipy.stats.norm()
SENSING = linear_model(0.5, bernoulli_gauss(0.1), 0.01)
SIGNS = rmtp.Discrete([-1, 1])


def take(method, count):
    return [np.array(x) for x in itertools.islice(method, count)]


# ---------------------------------------------------------------------------------------------
# Onsager terms derived


def fixed_threshold_amp(A, y, x, *, penalty, gain=None):
    """Soft-threshold AMP as it is printed, with a threshold that stays."""
    m, n = A.shape
    gain = n / m if gain is None else gain
    z = y - A @ x
    while True:
        yield x
        r = x + A.T @ z
        x = rmtp.soft_threshold(r, penalty)
        z = y - A @ x + gain * np.mean(np.where(np.abs(r) > penalty, 1, 0)) * z


@pytest.mark.parametrize("delta", [0.5, 1.7])
def test_from_ista_comes_amp(delta):
    problem = linear_model(delta, bernoulli_gauss(0.1), 0.01)
    derived = rmtp.state_evolution(onsager(partial(ista, step=1, penalty=0.2)), problem, 8)
    printed = rmtp.state_evolution(partial(fixed_threshold_amp, penalty=0.2), problem, 8)
    assert np.all(derived.mse.value == printed.mse.value)
    assert derived.mse.method == "closed form"


def test_derived_terms_on_arrays():
    """The averages are empirical and s^2 is measured: with columns of unit length on average, AMP to rounding."""
    (A, y), start, _, _ = drawn(SENSING, 300, np.random.default_rng(0))
    A /= np.sqrt(np.mean(A * A) * len(A))
    derived = take(onsager(partial(ista, step=1, penalty=0.2))(A, y, start), 6)
    printed = take(fixed_threshold_amp(A, y, start, penalty=0.2), 6)
    for one, two in zip(derived, printed, strict=True):
        assert np.abs(one - two).max() < 1e-12


def test_coefficients_of_the_corrected_method():
    corrected = onsager(partial(ista, step=1, penalty=0.2))
    found = dict(corrected.coefficients(SENSING, 2))
    tau = np.sqrt(0.01 + 0.1 / 0.5)  # residual noise of step 0; active share of soft(X + tau Z, 0.2)
    active = 2 * (0.9 * ndtr(-0.2 / tau) + 0.1 * ndtr(-0.2 / np.hypot(1, tau)))
    assert float(found["b[1, 0]"]) == pytest.approx(active / 0.5, rel=1e-12)


def test_a_symmetric_matrix_has_one_family():
    """x <- tanh(Y x): corrected, it is the AMP of Bolthausen, r_t = Y f_t - mean(f') f_{t-1}."""

    def plain(Y, x):
        while True:
            yield x
            x = np.tanh(Y @ x)

    def corrected(Y, x):
        before, slope = None, 0
        while True:
            yield x
            r = Y @ x if before is None else Y @ x - slope * before
            before = x
            x = np.tanh(r)
            slope = np.mean(1 - x**2)

    problem = informed_start(spiked_wigner(1.5, SIGNS), 0.3)
    one = rmtp.state_evolution(onsager(plain), problem, 5)
    two = rmtp.state_evolution(corrected, problem, 5)
    assert np.abs(one.mse.value - two.mse.value).max() < 1e-13
    assert rmtp.state_evolution(plain, problem, 3).mse.value[3] != pytest.approx(one.mse.value[3], rel=1e-3)


def test_both_families_can_be_corrected():
    method = onsager(partial(gradient_descent, step=0.5, loss=tanh_loss), ("A", "A.T"))
    problem = generalised_linear_model(2, SIGNS, np.tanh)
    found = rmtp.state_evolution(method, problem, 2)
    raw = found.memory(transposed=True)
    assert str(method.__name__) == "corrected gradient_descent"
    # what A.T z_1 holds of x_1 is what the method subtracts: E d tanh_loss / dp = c
    coefficient = dict(method.coefficients(problem, 2))["c[1, 1]"]
    row = dict(zip(raw.vectors, raw.coefficients.value[1], strict=True))
    assert float(coefficient) == pytest.approx(row["x_1"], rel=1e-8)


def test_the_misprinted_normalisation_is_another_algorithm():
    """xi averaged over N instead of n (TP0, D.8) leaves h correlated with q; delta = n / N = 1/2."""

    def residual(factor):
        N, n = rmtp.Dim("N"), rmtp.Dim("n", 0.5)
        A, x0, w = rmtp.Gaussian(n, N, variance=2, name="A"), rmtp.Normal(N), rmtp.Normal(n, cov=0.25)
        q = -x0
        b = A @ q
        m = np.tanh(b) + w
        h = A.T @ m - factor * np.mean(1 - np.tanh(b) ** 2) * q
        return [float(v) for v in rmtp.limit([np.mean(h * q), np.mean(h * h)])]

    right, wrong = residual(1), residual(0.5)
    assert abs(right[0]) < 1e-14
    assert wrong[0] > 0.1 and wrong[1] > right[1] + 0.05


def test_jumps_have_no_derivative():
    def method(A, y, x):
        while True:
            yield x
            x = np.sign(x + A.T @ (y - A @ x))

    with pytest.raises(errors.UnsupportedOperation, match="Stein"):
        rmtp.state_evolution(onsager(method), SENSING, 2)


# ---------------------------------------------------------------------------------------------
# simulations; every trial has its own draw, |score| < 4.5 (two-sided 7e-6 per step)


def agrees(found):
    assert np.abs(found.scores()).max() < 4.5
    assert np.abs(found.scores("power")).max() < 4.5


def test_simulation_runs_the_same_function():
    agrees(compare(partial(amp, denoiser=soft(1.5)), SENSING, 5, widths=(250, 500), trials=60, rng=1))
    agrees(compare(partial(ista, step=0.3, penalty=0.05), SENSING, 4, widths=(250, 500), trials=60, rng=2))
    problem = informed_start(spiked_wigner(1.5, SIGNS), 0.3)
    agrees(compare(partial(spiked_amp, denoiser=posterior_mean(SIGNS, snr=1.5)), problem, 4, (200, 400), 60, rng=3))


def test_simulations_repeat():
    one, two = (simulate(partial(ista, step=0.3, penalty=0.05), SENSING, 2, 100, 3, rng=5) for _ in range(2))
    assert np.array_equal(one.mse, two.mse)
    first = simulate(partial(ista, step=0.3, penalty=0.05), SENSING, 2, 100, 1, rng=5)
    assert np.array_equal(first.mse[0], one.mse[0])


def power_of_rows(Y, x):
    """The power method for the columns of a rectangular matrix."""
    while True:
        yield x
        x = Y.T @ (Y @ x) / 4


METHODS = {
    "gradient descent": (partial(gradient_descent, step=0.3), linear_model(2, SIGNS, 0.1)),
    "heavy ball": (partial(heavy_ball, step=0.3, momentum=0.4), linear_model(1.5, SIGNS, 0.1)),
    "fista": (partial(fista, step=0.2, penalty=0.05), SENSING),
    "ista, many observations": (partial(ista, step=0.3, penalty=0.1), linear_model(2, three_point(0.2), 0.1)),
    "minibatches": (partial(minibatch_descent, step=0.2, count=2), minibatches(linear_model(2, SIGNS, 0.01), 2)),
    "logistic regression": (
        partial(gradient_descent, step=0.5, loss=logistic_loss),
        generalised_linear_model(2, GAUSS, logistic()),
    ),
    "tanh": (partial(gradient_descent, step=0.5, loss=tanh_loss), generalised_linear_model(0.7, GAUSS, np.tanh)),
    "wishart": (
        partial(
            spiked_wishart_amp, denoiser=posterior_mean(SIGNS, snr=1.5), row_denoiser=posterior_mean(GAUSS, snr=1.5)
        ),
        informed_start(spiked_wishart(1.5, 0.6, SIGNS), 0.4),
    ),
    "wishart of rank two": (power_of_rows, informed_start(spiked_wishart((2, 1.5), 0.5, GAUSS), 0.5)),
    "wigner of rank two": (power_iteration, informed_start(spiked_wigner((2, 1.5), GAUSS), 0.5)),
    "spectral": (
        partial(spiked_amp, denoiser=posterior_mean(SIGNS, snr=2)),
        spectral_start(spiked_wigner(2, SIGNS), iterations=8),
    ),
    "oamp": (
        partial(oamp, denoiser=posterior_mean(bernoulli_gauss(0.2)), noise=0.02),
        linear_model(0.5, bernoulli_gauss(0.2), 0.02, matrix=rmtp.Haar),
    ),
    "vamp": (
        partial(vamp, denoiser=posterior_mean(bernoulli_gauss(0.2)), noise=0.02, precision=5.0),
        probed(linear_model(0.8, bernoulli_gauss(0.2), 0.02)),
    ),
    "onsager of ista": (onsager(partial(ista, step=0.7, penalty=0.1)), SENSING),
}
for _channel in (probit(0.1), rectified(0.2), phase_retrieval(0.2), poisson(), logistic()):
    METHODS[f"gamp, {_channel.name}"] = (
        partial(gamp, denoiser=posterior_mean(GAUSS), channel=_channel, variance=0.75),
        informed_start(generalised_linear_model(2, GAUSS, _channel), 0.5, scale=0.5),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_limits_against_finite_matrices(name):
    method, problem = METHODS[name]
    agrees(compare(method, problem, 3, widths=(200, 400), trials=60, rng=11))


@pytest.mark.slow
def test_invariant_noise():
    W = rmtp.Invariant(rmtp.Dim("n"), SIGNS)
    problem = informed_start(spiked_wigner(1.5, SIGNS, noise=W), 0.4)
    method = partial(invariant_amp, denoiser=posterior_mean(SIGNS, snr=1.5), cumulants=W.source.ensemble.cumulant)
    agrees(compare(method, problem, 3, widths=(200, 400), trials=40, rng=4))


@pytest.mark.slow
@pytest.mark.parametrize("entries", ["rademacher", "uniform", "sparse"])
def test_universality(entries):
    agrees(compare(partial(amp, denoiser=soft(1.5)), SENSING, 4, (250, 500), 60, rng=6, entries=entries))
    agrees(compare(partial(ista, step=0.3, penalty=0.05), SENSING, 3, (250, 500), 60, rng=7, entries=entries))


@pytest.mark.slow
def test_fluctuations_fall_like_the_root_of_the_width():
    found = compare(partial(ista, step=0.3, penalty=0.05), SENSING, 3, widths=(125, 250, 500, 1000), trials=100, rng=8)
    slope, error = found.verification(3).slope
    assert abs(slope + 0.5) < 4 * error  # 6e-5


# ---------------------------------------------------------------------------------------------
# rest


def test_the_rest_of_amp():
    """tau^2 = noise + mse / delta solved for by itself."""
    alpha, delta, noise, share = 1.5, 0.5, 0.01, 0.1
    found = fixed_point(partial(amp, denoiser=soft(alpha)), SENSING)

    def gap(tau2):
        return noise + soft_error(np.sqrt(tau2), alpha * np.sqrt(tau2), share) / delta - tau2

    tau2 = brentq(gap, 0.01, 0.2, xtol=1e-15)
    assert float(found.effective_noise) == pytest.approx(tau2, rel=1e-10)
    step = 1e-4 * tau2
    assert found.rate == pytest.approx(1 + (gap(tau2 + step) - gap(tau2 - step)) / (2 * step), abs=1e-4)


@pytest.mark.slow
def test_the_rest_of_a_sampled_method():
    """ISTA with a small step comes to rest slowly: the same LASSO as lasso_amp, within the stated error."""
    problem, penalty = linear_model(2, bernoulli_gauss(0.3), 0.05), 0.2
    slow = fixed_point(partial(ista, step=0.5, penalty=penalty), problem, tol=1e-4)
    fast = lasso(problem, penalty)
    assert slow.mse.method == "sobol" and 0 < slow.rate < 1
    assert abs(float(slow.mse) - float(fast.mse)) < 5 * float(slow.mse.error) + 1e-3 * float(fast.mse)


def test_the_risk_of_the_lasso_is_calibrated():
    """penalty = theta (1 - active / delta), the stored answer for alpha = 1.5 (Bayati & Montanari)."""
    found = lasso(SENSING, 0.14187076626758852)
    assert float(found.mse) == pytest.approx(0.0075650307944900895, rel=1e-9)


@pytest.mark.slow
def test_the_lasso_of_scikit_learn():
    from sklearn.linear_model import Lasso

    penalty, n, trials = 0.15, 1000, 12
    expected = float(lasso(SENSING, penalty).mse)
    errors_found = []
    for stream in np.random.default_rng(3).spawn(trials):
        (A, y), _, _, x0 = drawn(SENSING, n, stream)
        fit = Lasso(alpha=penalty / len(y), fit_intercept=False, tol=1e-8, max_iter=20_000).fit(A, y)
        errors_found.append(np.mean((fit.coef_ - x0) ** 2))
    se = np.std(errors_found, ddof=1) / np.sqrt(trials)
    assert abs(np.mean(errors_found) - expected) < 4.5 * se + 2 * expected / n


def test_donoho_tanner_curve():
    for alpha in (0.3, 0.8, 1.5, 2.5):
        delta, rho = transition(alpha)
        assert donoho_tanner(delta) == pytest.approx(rho, rel=1e-9)
    curve = donoho_tanner(np.array([0.2, 0.5, 0.8]))
    assert np.all(np.diff(curve) > 0)


def test_amp_recovers_below_the_curve_and_not_above():
    delta = 0.5
    rho = donoho_tanner(delta)
    share = np.array([0.9, 1.1]) * rho * delta
    best = transition_threshold(delta)
    problem = linear_model(delta, bernoulli_gauss(share), 0)
    last = rmtp.state_evolution(partial(amp, denoiser=soft(best)), problem, 150).mse.value[-1]
    assert last[0] < 1e-5 and last[1] > 1e-3


def transition_threshold(delta):
    return brentq(lambda alpha: transition(alpha)[0] - delta, 0.05, 5)


def test_free_energy_of_signs():
    """I(snr) = snr - E log cosh(snr + sqrt(snr) Z) in nats, by mpmath."""
    delta, noise = 0.8, 0.2
    found = landscape(delta, SIGNS, noise, points=120)
    k = len(found.error) // 2
    E = float(found.error[k])
    tau2 = noise + E / delta
    snr = mpmath.mpf(1) / tau2
    information = snr - mpmath.quad(
        lambda z: mpmath.log(mpmath.cosh(snr + mpmath.sqrt(snr) * z)) * mpmath.npdf(z), [-10, -4, 0, 4, 10]
    )
    expected = information + delta / 2 * (mpmath.log(1 + E / (delta * noise)) - E / (delta * tau2))
    assert found.free_energy[k] == pytest.approx(float(expected), abs=1e-6)
    rest = fixed_point(partial(amp, denoiser=posterior_mean(SIGNS)), linear_model(delta, SIGNS, noise))
    assert found.algorithmic == pytest.approx(float(rest.mse), rel=1e-8)


def test_a_hard_phase():
    parts = [(0.6, 0.0, 0.0), (0.4, 0.0, 1.0)]
    found = landscape(0.55, bernoulli_gauss(0.4), 1e-6, points=80)
    assert found.hard and len(found.stationary) == 3
    for E in found.stationary:
        assert posterior_error(parts, 1e-6 + E / 0.55) == pytest.approx(E, rel=1e-8)
    assert not landscape(0.9, bernoulli_gauss(0.4), 1e-6, points=80).hard
    axes = found.plot()
    assert "Bayes" in axes.get_legend().get_texts()[0].get_text()


def test_channels_are_posteriors():
    """(E[z | y] - omega) / V and its slope, against integrals of the likelihood."""
    y, omega, V = 1.3, 0.4, 0.8
    channels: list[tuple[Channel, float, object]] = [
        (rectified(0.1), y, lambda z: mpmath.exp(-((y - max(z, 0)) ** 2) / 0.2)),
        (phase_retrieval(0.3), y, lambda z: mpmath.exp(-((y - abs(z)) ** 2) / 0.6)),
        (logistic(), -1.0, lambda z: 1 / (1 + mpmath.exp(z))),
        (poisson(), 2.0, lambda z: mpmath.exp(2 * z - mpmath.exp(z))),
        (probit(0.2), 1.0, lambda z: mpmath.ncdf(z / mpmath.sqrt(mpmath.mpf(2) / 10))),
    ]
    for channel, seen, likelihood in channels:

        def moment(k, likelihood=likelihood):
            return mpmath.quad(
                lambda z: z**k * likelihood(z) * mpmath.exp(-((z - omega) ** 2) / (2 * V)), [-8, -2, -1, 0, 1, 2, 3, 9]
            )

        mean = moment(1) / moment(0)
        var = moment(2) / moment(0) - mean**2
        assert float(channel.output(seen, omega, V)) == pytest.approx(float((mean - omega) / V), rel=1e-9)
        assert float(channel.slope(seen, omega, V)) == pytest.approx(float(var / V**2 - 1 / V), rel=1e-8)


# ---------------------------------------------------------------------------------------------
# bad input


def reads_the_signal(A, y, x):
    while True:
        yield x
        x = x + SENSING.signal


def branches(A, y, x):
    yield x
    yield x if np.mean(x) > 0 else y


BAD = {
    "delta": (lambda: linear_model(0, SIGNS), errors.BadParameter, "delta"),
    "delta below": (lambda: generalised_linear_model(-1, SIGNS, np.abs), errors.BadParameter, "delta"),
    "prior": (lambda: linear_model(1, [3]), errors.BadParameter, "variance"),
    "prior of the denoiser": (lambda: posterior_mean(2), errors.BadParameter, "variance"),
    "noise": (lambda: linear_model(1, SIGNS, -1), errors.BadParameter, "noise"),
    "gain": (lambda: posterior_mean(SIGNS, snr=np.ones(2)), errors.BadParameter, "snr"),
    "share": (lambda: bernoulli_gauss(1.5), errors.BadParameter, "share"),
    "channel": (lambda: generalised_linear_model(1, SIGNS, 3), errors.BadParameter, "channel"),
    "channel noise": (lambda: probit(0), errors.BadParameter, "noise"),
    "signal read": (lambda: rmtp.state_evolution(reads_the_signal, SENSING, 2), errors.BadParameter, "signal"),
    "branch": (lambda: rmtp.state_evolution(branches, SENSING, 1), errors.TracedBranch, "np.where"),
    "steps": (
        lambda: rmtp.state_evolution(partial(ista, step=1, penalty=1), SENSING, -1),
        errors.BadParameter,
        "steps",
    ),
    "problem": (lambda: rmtp.state_evolution(partial(ista, step=1, penalty=1), 3, 1), errors.BadParameter, "problem"),
    "no generator": (lambda: rmtp.state_evolution(lambda A, y, x: x, SENSING, 1), errors.BadParameter, "yield"),
    "stops": (lambda: rmtp.state_evolution(lambda A, y, x: [x], SENSING, 1), errors.BadParameter, "stopped"),
    "wrong width": (lambda: rmtp.state_evolution(lambda A, y, x: [x, y], SENSING, 1), errors.BadParameter, "shape"),
    "correlation": (lambda: informed_start(SENSING, 1.5), errors.BadParameter, "correlation"),
    "batches": (lambda: minibatches(SENSING, 0), errors.BadParameter, "count"),
    "spikes": (lambda: spiked_wigner((1, 2), [SIGNS, SIGNS, SIGNS]), errors.BadParameter, "strengths"),
    "spectral start": (lambda: spectral_start(SENSING), errors.UnsupportedOperation, "spike"),
    "penalty": (lambda: lasso(SENSING, 0), errors.BadParameter, "penalty"),
    "transition": (lambda: donoho_tanner(1.2), errors.BadParameter, "delta"),
    "landscape": (lambda: landscape(1, SIGNS, 0), errors.BadParameter, "noise"),
    "rest of a diverging method": (
        lambda: fixed_point(partial(gradient_descent, step=1.5), linear_model(0.5, SIGNS, 0.1)),
        errors.NotConverged,
        "diverges",
    ),
    "slow rest": (
        lambda: fixed_point(partial(gradient_descent, step=0.001), linear_model(2, SIGNS, 0.1), max_steps=10),
        errors.NotConverged,
        "max_steps",
    ),
    "products": (lambda: onsager(power_iteration, ("B",)), errors.BadParameter, "products"),
    "onsager of Haar": (
        lambda: rmtp.state_evolution(
            onsager(partial(ista, step=1, penalty=1)), linear_model(1, SIGNS, matrix=rmtp.Haar), 1
        ),
        errors.UnsupportedOperation,
        "invariant_amp",
    ),
    "no matrix": (lambda: Problem(3, SENSING.signal), errors.BadParameter, "matrix"),
    "other width": (lambda: Problem(SENSING.matrix.T, SENSING.signal), errors.DimensionMismatch, "width"),
    "trials": (
        lambda: compare(power_iteration, random_start(spiked_wigner(2, SIGNS)), 1, trials=1),
        errors.BadParameter,
        "2",
    ),
    "what": (
        lambda: simulate(power_iteration, random_start(spiked_wigner(2, SIGNS)), 1, 20, 2, rng=0).mean("loss"),
        errors.BadParameter,
        "loss",
    ),
    "fat denoiser": (
        lambda: rmtp.state_evolution(lambda A, y, x: [x, np.exp((A.T @ y) ** 2)], SENSING, 1),
        errors.DivergentExpectation,
        "infinite",
    ),
    "diverges on arrays": (
        lambda: simulate(partial(gradient_descent, step=1e200), linear_model(1, SIGNS), 5, 20, rng=0),
        errors.DivergentExpectation,
        "step",
    ),
    "sweep of a fixed point": (
        lambda: fixed_point(partial(amp, denoiser=soft(1.5)), linear_model(np.array([0.5, 0.7]), SIGNS, 0.1)),
        errors.BadParameter,
        "sweep",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, word = BAD[name]
    with pytest.raises(error, match=word):
        call()


def test_side_information_is_no_cheating():
    found = rmtp.state_evolution(partial(amp, denoiser=soft(1.5)), informed_start(SENSING, 0.5), 1)
    assert found.overlap.value[0] == pytest.approx(0.05)
    same = numerical("gauss", None, lambda y, z: -((y - z) ** 2) / 2)
    assert float(same.slope(1.0, 0.0, 1.0)) == pytest.approx(-0.5, rel=1e-12)


def test_descent_beyond_what_floats_hold():
    """Divergence is reported; numbers beyond 1e308 are an error, at once and not after minutes of infinities."""
    descent = partial(gradient_descent, step=1e6)
    assert rmtp.state_evolution(descent, SENSING, 5).divergence == 0
    for steps in (25, 60):
        with pytest.raises(rmtp.errors.DivergentExpectation, match="line"):
            rmtp.state_evolution(descent, SENSING, steps)
