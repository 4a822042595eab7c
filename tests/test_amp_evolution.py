"""State evolution against recursions by hand, exact moments and reference trajectories."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from amp_oracles import (
    bent_gamp,
    gauss,
    laplace_error,
    linear,
    poisson_gamp,
    polynomial_error,
    posterior_error,
    probit_gamp,
    reference,
    soft_error,
)

import rmtp
from rmtp.amp import (
    amp,
    bernoulli_gauss,
    fista,
    gamp,
    generalised_linear_model,
    gradient_descent,
    heavy_ball,
    informed_start,
    invariant_amp,
    ista,
    linear_model,
    linearised_gamp,
    minibatch_descent,
    minibatches,
    nesterov,
    oamp,
    phase_retrieval,
    poisson,
    posterior_mean,
    power_iteration,
    probed,
    probit,
    random_start,
    rectified,
    sign,
    soft,
    spectral_start,
    spiked_amp,
    spiked_wigner,
    spiked_wishart,
    spiked_wishart_amp,
    three_point,
    vamp,
)
from rmtp.amp.tabulated import tabulated

GAUSS = scipy.stats.norm()
SENSING = linear_model(0.5, bernoulli_gauss(0.1), 0.01)


# ---------------------------------------------------------------------------------------------
# linear methods: rational numbers


@pytest.mark.parametrize("delta", [Fraction(2), Fraction(1, 2), Fraction(3, 2)])
def test_gradient_descent_is_a_polynomial_of_marchenko_pastur(delta):
    step, noise = Fraction(1, 5), Fraction(1, 10)
    found = rmtp.state_evolution(
        partial(gradient_descent, step=step), linear_model(delta, rmtp.Discrete([-1, 1]), noise), 8, exact=True
    )
    for t in range(9):
        assert found.mse.value[t] == polynomial_error(linear(1, -step) ** t, noise, delta)


def test_momentum_is_a_polynomial_too():
    delta, step, beta, noise = Fraction(3, 2), Fraction(1, 4), Fraction(1, 3), Fraction(1, 10)
    problem = linear_model(delta, rmtp.Discrete([-1, 1]), noise)
    ball = rmtp.state_evolution(partial(heavy_ball, step=step, momentum=beta), problem, 6, exact=True)
    ahead = rmtp.state_evolution(partial(nesterov, step=step, momentum=beta), problem, 6, exact=True)
    # residual polynomials: x_t - x0 = P_t(A.T A)(-x0) + Q_t(..) A.T w
    b0 = b1 = n0 = n1 = linear(1)
    descent = linear(1, -step)
    for t in range(7):
        assert ball.mse.value[t] == polynomial_error(b1, noise, delta)
        assert ahead.mse.value[t] == polynomial_error(n1, noise, delta)
        b0, b1 = b1, descent * b1 + beta * (b1 - b0)
        n0, n1 = n1, descent * (n1 + beta * (n1 - n0))


def test_references():
    """Trajectories computed elsewhere (Marchenko-Pastur integral, closed form, generating function)."""
    stored = reference("lin_gd_delta2")
    found = rmtp.state_evolution(
        partial(gradient_descent, step=0.5),
        linear_model(2, GAUSS, 0.1),
        20,
        also={"residual": lambda x, x0, A, y: np.mean((y - A @ x) ** 2)},
    )
    assert np.abs(found.mse.value - stored["mse"]).max() < 1e-13
    assert np.abs(found.averages["residual"].value - stored["train_residual"]).max() < 1e-13
    stored = reference("amp_lasso_bg")
    found = rmtp.state_evolution(partial(amp, denoiser=soft(1.5)), SENSING, 20)
    assert np.abs(found.mse.value - stored["mse"]).max() < 1e-13
    assert np.abs(found.effective_noise.value - stored["tau2"][:20]).max() < 1e-13
    assert found.mse.method == "closed form"  # Z-Dot cancels to the last bit, and one Gaussian is left
    stored = reference("spiked_goe_power_iteration")
    found = rmtp.state_evolution(power_iteration, informed_start(spiked_wigner(1.5, [-1, 1]), 0.1), 20)
    assert np.abs(found.cosine.value - stored["overlap"]).max() < 1e-13
    assert np.abs(np.sqrt(found.power.value) / stored["norm"] - 1).max() < 1e-12
    stored = reference("ista_lasso_bg")
    found = rmtp.state_evolution(partial(ista, step=0.3, penalty=0.05), SENSING, 20)
    error = np.hypot(found.mse.error, stored["mse_standard_error"])
    assert np.abs((found.mse.value - stored["mse"]) / error).max() < 4.5  # 21 values of one run: below 2e-4 by chance
    assert (found.mse.error / found.mse.value).max() < 3e-3


def test_two_hundred_steps_of_gradient_descent():
    """(1 - s lambda)^t under the Marchenko-Pastur density, by Gauss-Chebyshev points: exact for polynomials of this degree."""
    delta, step, noise, steps = 2.0, 0.5, 0.1, 200
    low, high = (1 - delta**-0.5) ** 2, (1 + delta**-0.5) ** 2
    k = np.arange(1, 801)
    u = np.cos(k * np.pi / 801)  # second kind, weight sqrt(1 - u^2)
    lam = (low + high) / 2 + (high - low) / 2 * u
    weight = np.pi / 801 * np.sin(k * np.pi / 801) ** 2 * ((high - low) / 2) ** 2 * delta / (2 * np.pi * lam)
    P = (1 - step * lam) ** steps
    expected = np.sum(weight * (P**2 + noise * (1 - P) ** 2 / lam))
    found = rmtp.state_evolution(partial(gradient_descent, step=step), linear_model(delta, GAUSS, noise), steps)
    assert abs(found.mse.value[-1] / expected - 1) < 1e-12


def test_fresh_data_hide_the_memory():
    """With fresh data mse <- (1 - s)^2 mse + s^2 (noise + mse / delta); the truth is four times as large after twenty steps."""
    delta, step, noise = Fraction(2), Fraction(1, 2), Fraction(1, 10)
    problem = linear_model(delta, rmtp.Discrete([-1, 1]), noise)
    found = rmtp.state_evolution(partial(gradient_descent, step=step), problem, 20, naive=True, exact=True)
    mse = Fraction(1)
    for value in found.naive.mse.value:
        assert value == mse
        mse = (1 - step) ** 2 * mse + step**2 * (noise + mse / delta)
    assert 4.2 < float(found.mse.value[-1] / found.naive.mse.value[-1]) < 4.4


def test_fresh_data_change_nothing_for_amp():
    found = rmtp.state_evolution(partial(amp, denoiser=soft(1.5)), SENSING, 3)
    z = rmtp.state_evolution(partial(_amp_without_memory, alpha=1.5), SENSING, 3, naive=True)
    assert np.abs(found.mse.value - z.naive.mse.value).max() < 1e-14
    assert np.abs(found.mse.value - z.mse.value)[2:].min() > 1e-3


def _amp_without_memory(A, y, x, *, alpha):
    """AMP with its Onsager term left out: right for fresh data, wrong for one matrix."""
    while True:
        yield x
        z = y - A @ x
        x = rmtp.soft_threshold(x + A.T @ z, alpha * np.sqrt(np.mean(z**2)))


# ---------------------------------------------------------------------------------------------
# message passing: scalar recursions


def test_soft_threshold_amp_by_quadrature():
    delta, share, noise, alpha = 0.3, 0.15, 0.02, 1.2
    found = rmtp.state_evolution(
        partial(amp, denoiser=soft(alpha)), linear_model(delta, bernoulli_gauss(share), noise), 6
    )
    mse = share
    for t in range(6):
        tau2 = noise + mse / delta
        assert found.effective_noise.value[t] == pytest.approx(tau2, rel=1e-11)
        mse = soft_error(np.sqrt(tau2), alpha * np.sqrt(tau2), share)
        assert found.mse.value[t + 1] == pytest.approx(mse, rel=1e-10)


@pytest.mark.parametrize(
    ("prior", "parts"),
    [
        (bernoulli_gauss(0.2), [(0.8, 0.0, 0.0), (0.2, 0.0, 1.0)]),
        (rmtp.Discrete([-1, 1]), [(0.5, -1.0, 0.0), (0.5, 1.0, 0.0)]),
        (three_point(0.3, 2), [(0.7, 0.0, 0.0), (0.15, 2.0, 0.0), (0.15, -2.0, 0.0)]),
        (
            rmtp.Mixture([scipy.stats.norm(-1, 0.3), scipy.stats.norm(2, 1)], [0.25, 0.75]),
            [(0.25, -1.0, 0.09), (0.75, 2.0, 1.0)],
        ),
    ],
    ids=["bernoulli-gauss", "rademacher", "three-point", "two gaussians"],
)
def test_bayes_amp_against_mpmath(prior, parts):
    delta, noise = 0.7, 0.05
    found = rmtp.state_evolution(partial(amp, denoiser=posterior_mean(prior)), linear_model(delta, prior, noise), 4)
    mse = sum(w * (m * m + v) for w, m, v in parts)
    for t in range(4):
        mse = posterior_error(parts, noise + mse / delta)
        assert found.mse.value[t + 1] == pytest.approx(mse, rel=1e-10)


def test_posterior_of_a_narrow_atom_is_not_missed():
    """tau = 1e-3: the posterior turns within a thousandth of the range."""
    parts = [(0.6, 0.0, 0.0), (0.4, 0.0, 1.0)]
    level = rmtp.parameter(np.array([1e-6, 1e-4, 1e-2]))
    n = rmtp.Dim("n")
    x = rmtp.IID(n, bernoulli_gauss(0.4))
    r = x + np.sqrt(level) * rmtp.Normal(n)
    slope = rmtp.limit(np.mean(posterior_mean(bernoulli_gauss(0.4)).derivative(r, level)))
    for tau2, value in zip((1e-6, 1e-4, 1e-2), slope.value, strict=True):
        assert tau2 * value == pytest.approx(posterior_error(parts, tau2), rel=1e-9)


def test_a_continuous_prior():
    """Bayes-optimal AMP of a Laplace signal, by Tweedie's formula; the density has a kink."""
    problem = linear_model(1.5, scipy.stats.laplace(), 0.2)
    found = rmtp.state_evolution(partial(amp, denoiser=posterior_mean(scipy.stats.laplace())), problem, 2)
    errors = [2.0]
    for _ in range(2):
        errors.append(laplace_error(0.2 + errors[-1] / 1.5))
    assert np.abs(found.mse.value - errors).max() < 1e-10


@pytest.mark.parametrize("prior", [scipy.stats.laplace(), scipy.stats.uniform(-1, 2), scipy.stats.gamma(2.0)])
@pytest.mark.parametrize("tau2", [1e-4, 0.3, 20.0])
def test_posteriors_of_continuous_priors(prior, tau2):
    """At every scale of the noise, against adaptive quadrature; also where few observations lie."""
    f = posterior_mean(prior)
    for x0 in prior.ppf([1e-6, 0.2, 0.7, 1 - 1e-6]):
        r, tau = x0 + 0.5 * np.sqrt(tau2), np.sqrt(tau2)
        low, high = prior.support()
        edges = sorted(
            {*np.clip(r + tau * np.array([-12, -5, -2, 0, 2, 5, 12]), low, high), *np.clip([0, 1, 5, 20], low, high)}
        )

        def moment(k, r=r, edges=edges, tau=tau):
            top = np.max(prior.logpdf(r - 0.5 * tau) - (0.5 * tau) ** 2 / (2 * tau2))
            inside = lambda x: x**k * np.exp(prior.logpdf(x) - (r - x) ** 2 / (2 * tau2) - top)  # noqa: E731
            return sum(
                scipy.integrate.quad(inside, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in itertools.pairwise(edges)
            )

        mean = moment(1) / moment(0)
        assert float(f(r, tau2)) == pytest.approx(mean, rel=1e-9, abs=1e-10)


def test_a_table_is_the_function():
    calls = []

    def f(x):
        calls.append(len(x))
        return np.stack([np.tanh(3 * x), np.exp(-x * x)])

    x = np.random.default_rng(0).normal(size=50_000) * 3
    assert np.abs(tabulated(f, x) - [np.tanh(3 * x), np.exp(-x * x)]).max() < 1e-12
    assert sum(calls) < len(x) / 2
    kinked = tabulated(lambda x: np.abs(x)[None], x)  # no table resolves it: the function itself is asked
    assert np.array_equal(kinked[0], np.abs(x))


def test_gamp_probit_against_quadrature_and_reference():
    stored = reference("gamp_probit_gauss")
    q0 = stored["params"]["q0"]
    problem = informed_start(generalised_linear_model(2, GAUSS, probit(0.1)), np.sqrt(q0), scale=np.sqrt(q0))
    method = partial(gamp, denoiser=posterior_mean(GAUSS), channel=probit(0.1), variance=1 - q0)
    found = rmtp.state_evolution(method, problem, 8)
    assert np.abs(found.overlap.value - stored["q"][:9]).max() < 1e-10
    assert np.abs(found.mse.value - stored["mse"][:9]).max() < 1e-10
    assert np.abs(found.overlap.value - probit_gamp(2.0, 0.1, q0, 8)).max() < 1e-10


def test_gamp_through_a_sign():
    """A likelihood that jumps: Z-Dot by Stein's lemma."""
    problem = informed_start(generalised_linear_model(1.5, GAUSS, sign()), 0.5, scale=0.5)
    method = partial(gamp, denoiser=posterior_mean(GAUSS), channel=sign(), variance=0.75)
    found = rmtp.state_evolution(method, problem, 4)
    assert np.abs(found.overlap.value - probit_gamp(1.5, 0.0, 0.25, 4)).max() < 1e-10


@pytest.mark.parametrize(("channel", "left"), [(rectified, 0.0), (phase_retrieval, -1.0)])
def test_gamp_through_a_kink_and_noise(channel, left):
    """Three variables at once, the observation with its noise and the estimate: quadrature, and as exact as in one."""
    problem = informed_start(generalised_linear_model(2, GAUSS, channel(0.1)), 0.3, scale=0.3)
    method = partial(gamp, denoiser=posterior_mean(GAUSS), channel=channel(0.1), variance=0.91)
    found = rmtp.state_evolution(method, problem, 4)
    assert found.overlap.method == "quadrature"
    assert np.abs(found.overlap.value - bent_gamp(left, 2.0, 0.1, 0.09, 4)).max() < 1e-10


def test_gamp_of_counts():
    """Observations that are drawn by a likelihood: summed over, given z."""
    problem = informed_start(generalised_linear_model(2, GAUSS, poisson()), 0.5, scale=0.5)
    method = partial(gamp, denoiser=posterior_mean(GAUSS), channel=poisson(), variance=0.75)
    found = rmtp.state_evolution(method, problem, 2)
    assert found.overlap.method == "quadrature"
    assert np.abs(found.overlap.value - poisson_gamp(2.0, 0.25, 2)).max() < 1e-10


def test_spiked_amp_is_the_scalar_recursion():
    """gamma <- snr^2 E tanh(gamma + sqrt(gamma) Z), the overlap of Bayes-optimal AMP for a sign vector."""
    snr, q = 1.5, 0.3**2
    start = informed_start(spiked_wigner(snr, [-1, 1]), 0.3, scale=0.3)
    method = partial(spiked_amp, denoiser=_matched(snr))
    found = rmtp.state_evolution(method, start, 6)
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    for t in range(7):
        assert found.overlap.value[t] == pytest.approx(q, rel=1e-10)
        assert found.power.value[t] == pytest.approx(q, rel=1e-10)  # Nishimori: E x^2 = E x x0
        gamma = snr**2 * q
        q = float(np.sum(w * np.tanh(gamma + np.sqrt(gamma) * z)))


def _matched(snr):
    """E[x0 | snr q x0 + sqrt(q) Z]: the gain of the observation is snr tau2."""
    return posterior_mean([-1, 1], snr=lambda tau2: snr * tau2)


def test_spectral_starts_are_the_eigenvectors():
    found = rmtp.state_evolution(power_iteration, spectral_start(spiked_wigner(2, [-1, 1])), 1)
    assert found.overlap.value[0] ** 2 == pytest.approx(0.75, rel=1e-12)
    assert found.overlap.value[1] == pytest.approx(2.5 * found.overlap.value[0], rel=1e-9)  # Y x = (snr + 1/snr) x
    delta, snr = 0.5, 2.0
    linear_step = partial(spiked_wishart_amp, denoiser=_identity(), row_denoiser=_identity())
    found = rmtp.state_evolution(linear_step, spectral_start(spiked_wishart(snr, delta, [-1, 1]), iterations=40), 0)
    s4 = snr**4 * delta
    assert found.overlap.value[0] ** 2 == pytest.approx(
        (s4 - 1) / (s4 + snr**2), rel=1e-10
    )  # Benaych-Georges & Nadakuditi
    below = rmtp.state_evolution(power_iteration, spectral_start(spiked_wigner(0.8, [-1, 1]), iterations=60), 0)
    assert below.overlap.value[0] < 1e-3


def test_spectral_start_of_phase_retrieval():
    """The overlap of Lu & Li 2017 and Mondelli & Montanari 2019 for the weights T that the iteration rests at.

    With T = d / (1 + d / s) their condition E[T (Z^2 - 1) / (s - T)] = 1 / delta reads s = delta E[d (Z^2 - 1)].
    """
    delta = 3.0

    def weight(y):
        return (y - 1) / (y + 1)

    start = spectral_start(generalised_linear_model(delta, GAUSS, lambda z: z**2), iterations=40, weight=weight)
    found = rmtp.state_evolution(partial(linearised_gamp, weight=weight), start, 0)

    def mean(f):
        return gauss(lambda z: f(weight(z * z), z))

    s = delta * mean(lambda d, z: d * (z * z - 1))
    share = 1 / delta - mean(lambda d, z: d * d) / s**2
    expected = share / (1 / delta + mean(lambda d, z: d * d * (z * z - 1)) / s**2)
    assert found.overlap.value[0] ** 2 == pytest.approx(expected, rel=1e-8)
    assert found.power.value[0] == pytest.approx(1, rel=1e-9)


def _identity():
    return rmtp.amp.linear()


def test_oamp_is_the_scalar_recursion():
    """tau2 = (1/delta - 1) v + noise / delta and v the error of the denoiser freed of its part along r (Ma & Ping 2017)."""
    delta, noise, share = 0.5, 0.01, 0.1
    parts = [(1 - share, 0.0, 0.0), (share, 0.0, 1.0)]
    problem = linear_model(delta, bernoulli_gauss(share), noise, matrix=rmtp.Haar)
    found = rmtp.state_evolution(
        partial(oamp, denoiser=posterior_mean(bernoulli_gauss(share)), noise=noise), problem, 8
    )
    v = share
    for t in range(8):
        tau2 = (1 / delta - 1) * v + noise / delta
        mmse = posterior_error(parts, tau2)
        assert found.mse.value[t + 1] == pytest.approx(mmse, rel=1e-9)
        v = 1 / (1 / mmse - 1 / tau2)
    assert found.mse.method == "quadrature"


def test_vamp_and_amp_come_to_rest_together():
    """For Gaussian matrices both are Bayes-optimal where the fixed point is unique."""
    prior = bernoulli_gauss(0.1)
    method = partial(vamp, denoiser=posterior_mean(prior), noise=0.01, precision=10.0)
    found = rmtp.state_evolution(method, probed(SENSING), 9)
    rest = rmtp.amp.fixed_point(partial(amp, denoiser=posterior_mean(prior)), SENSING)
    assert abs(float(found.mse.value[-1]) / float(rest.mse) - 1) < 5e-3
    assert np.all(np.diff(found.mse.value) < 0)
    assert found.effective_noise is None and "nan" not in str(found)  # its products stand inside linear systems


def test_invariant_amp_reduces_to_spiked_amp():
    snr = 1.5
    goe = informed_start(spiked_wigner(snr, [-1, 1]), 0.3)
    one = rmtp.state_evolution(partial(spiked_amp, denoiser=posterior_mean([-1, 1], snr=snr)), goe, 4)
    kappa = goe.matrix.terms[-1][1].source.ensemble.cumulant
    two = rmtp.state_evolution(
        partial(invariant_amp, denoiser=posterior_mean([-1, 1], snr=snr), cumulants=kappa), goe, 4
    )
    assert np.abs(one.mse.value - two.mse.value).max() < 1e-14


def test_random_start_of_power_iteration_stays_blind():
    found = rmtp.state_evolution(power_iteration, random_start(spiked_wigner(2, [-1, 1])), 3, exact=True)
    assert list(found.overlap.value) == [0, 0, 0, 0]


# ---------------------------------------------------------------------------------------------
# memory, rewriting, sweeps


def test_memory_of_gradient_descent():
    """x_1 = s A.T y and z_t = A x_t - y: b_10 = -s / delta; c_tt = 1; A.T z_1 holds -(1 - s / delta) x0."""
    delta, step, noise = Fraction(2), Fraction(1, 2), Fraction(1, 10)
    problem = linear_model(delta, rmtp.Discrete([-1, 1]), noise)
    found = rmtp.state_evolution(partial(gradient_descent, step=step), problem, 3)
    forward, backward = found.memory(), found.memory(transposed=True)
    assert forward.products == ("A @ x_0", "A @ x0", "A @ x_1", "A @ x_2")
    assert forward.coefficients.value[2, 0] == pytest.approx(-0.25, abs=1e-14)
    row = dict(zip(backward.vectors, backward.coefficients.value[1], strict=True))
    assert row["x0"] == pytest.approx(-0.75, abs=1e-14)
    assert row["x_1"] == pytest.approx(1, abs=1e-14)
    # Var Zhat of A @ x_t is s^2 E x_t^2
    diagonal = np.diag(forward.covariance.value)
    assert diagonal[2:] == pytest.approx(np.asarray(found.power.value, dtype=float)[1:3] / 2, rel=1e-13)
    assert str(backward).splitlines()[0] == "A.T @ z_0 = N(0, 0.6) - 1 x0"


def test_amp_holds_what_its_onsager_term_takes_away():
    found = rmtp.state_evolution(partial(amp, denoiser=soft(1.5)), SENSING, 4)
    b = found.memory().coefficients.value
    last = dict(zip(found.memory().vectors, b[-1], strict=True))
    assert sum(abs(v) > 1e-13 for v in last.values()) == 1  # A @ x_t remembers z_{t-1} alone


def test_rewriting_the_algorithm_changes_nothing():
    def rewritten(A, y, x, *, step):
        while True:
            yield x
            x = x + step * (A.T @ y) - (step * (A.T @ (A @ (x / 2))) + step * ((A.T @ (A @ x)) / 2))

    problem = linear_model(Fraction(3, 2), rmtp.Discrete([-1, 1]), Fraction(1, 10))
    step = Fraction(1, 4)
    one = rmtp.state_evolution(partial(gradient_descent, step=step), problem, 6, exact=True)
    two = rmtp.state_evolution(partial(rewritten, step=step), problem, 6, exact=True)
    assert np.all(one.mse.value == two.mse.value) and np.all(one.overlap.value == two.overlap.value)

    def other_order(A, y, x, *, step, penalty):
        while True:
            yield x
            gradient = A.T @ (A @ x) - A.T @ y
            x = rmtp.soft_threshold(-(step * gradient - x), step * penalty)

    one = rmtp.state_evolution(partial(ista, step=0.3, penalty=0.05), SENSING, 5)
    two = rmtp.state_evolution(partial(other_order, step=0.3, penalty=0.05), SENSING, 5)
    assert np.abs((one.mse.value - two.mse.value) / np.hypot(one.mse.error, two.mse.error)).max() < 4.5


def test_a_sweep_is_its_points():
    delta, share = np.array([[0.3, 0.5, 0.8]]), np.array([[0.05], [0.2]])
    method = partial(amp, denoiser=soft(1.4))
    swept = rmtp.state_evolution(method, linear_model(delta, bernoulli_gauss(share), 0.01), 6)
    assert swept.mse.value.shape == (7, 2, 3)
    for i, j in np.ndindex(2, 3):
        one = rmtp.state_evolution(
            method, linear_model(float(delta[0, j]), bernoulli_gauss(float(share[i, 0])), 0.01), 6
        )
        assert np.abs(swept.mse.value[:, i, j] - one.mse.value).max() < 1e-15
        assert np.abs(swept.effective_noise.value[:, i, j] - one.effective_noise.value).max() < 1e-14


def test_one_pass_of_minibatches():
    """x_1 = s b A.T (1_0 y), b batches of m / b rows: mse = (1 - s)^2 + s^2 (b / delta + noise b) for signs."""
    step, count, noise, delta = Fraction(1, 5), 2, Fraction(1, 100), Fraction(2)
    problem = minibatches(linear_model(delta, rmtp.Discrete([-1, 1]), noise), count)
    found = rmtp.state_evolution(partial(minibatch_descent, step=step, count=count), problem, 1, exact=True)
    # A.T 1_0 A x0 = x0 / b + noise of variance E y^2 / b per unit of s b
    power = noise + 1 / delta
    assert found.mse.value[1] == (1 - step) ** 2 + step**2 * count * power
    plain = linear_model(delta, rmtp.Discrete([-1, 1]), noise)
    whole = rmtp.state_evolution(partial(minibatch_descent, step=step, count=1), minibatches(plain, 1), 4, exact=True)
    descent = rmtp.state_evolution(partial(gradient_descent, step=step), plain, 4, exact=True)
    assert np.all(whole.mse.value == descent.mse.value)


def test_passes_over_minibatches_are_passes_over_blocks():
    """Rows in random batches are the rows of independent matrices; several passes, in rationals."""
    step, count, noise, steps = Fraction(1, 10), 2, Fraction(1, 100), 6
    problem = minibatches(linear_model(2, rmtp.Discrete([-1, 1]), noise), count)
    found = rmtp.state_evolution(partial(minibatch_descent, step=step, count=count), problem, steps, exact=True)
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 1)  # half of 2 n rows, entries of variance 1 / (2 n)
    x0 = rmtp.IID(n, rmtp.Discrete([-1, 1]))
    blocks = [rmtp.Gaussian(m, n, variance=Fraction(1, 2)) for _ in range(count)]
    seen = [A @ x0 + rmtp.Normal(m, cov=noise) for A in blocks]
    x = rmtp.constant(n, 0)
    for t in range(steps):
        A, y = blocks[t % count], seen[t % count]
        x = x + step * count * (A.T @ (y - A @ x))
        assert found.mse.value[t + 1] == rmtp.limit(np.mean((x - x0) ** 2), exact=True).value


def test_several_spikes():
    problem = informed_start(spiked_wigner((2, Fraction(3, 2)), rmtp.Discrete([-1, 1])), Fraction(3, 5))
    found = rmtp.state_evolution(power_iteration, problem, 2)
    assert found.overlap.value.shape == (3, 2, 2)
    assert found.overlap.value[1] == pytest.approx(np.diag([1.2, 0.9]), abs=1e-13)
    assert found.overlap.value[2] == pytest.approx(np.diag([3.0, 1.95]), abs=1e-13)  # a (snr^2 + 1)
    assert found.memory().coefficients.value.shape == (4, 4)


def test_divergence_is_reported():
    found = rmtp.state_evolution(partial(gradient_descent, step=0.5), linear_model(0.5, [-1, 1], 0.1), 20)
    assert found.divergence is not None and "diverges" in str(found)
    calm = rmtp.state_evolution(partial(gradient_descent, step=0.2), linear_model(2, [-1, 1], 0.1), 20)
    assert calm.divergence is None


def test_reports(tmp_path):
    found = rmtp.state_evolution(partial(fista, step=0.2, penalty=0.05), SENSING, 2, naive=True)
    assert found.to_markdown().splitlines()[0] == "| step | mse | overlap | noise | naive mse |"
    axes = found.plot()
    assert axes.get_xlabel() == "step" and any("fresh" in t.get_text() for t in axes.get_legend().get_texts())


def test_long_sums_of_gaussians_and_draws():
    """A prior with a mean and a noise with one: 24 steps in floats, by one matrix of second moments, are those in fractions."""
    prior = rmtp.Mixture([rmtp.Discrete([0]), rmtp.Discrete([1, 3])], [Fraction(1, 2), Fraction(1, 2)])
    trajectories = [
        rmtp.state_evolution(
            partial(heavy_ball, step=step, momentum=step), linear_model(2, prior, step), 24, exact=exact
        )
        for step, exact in ((Fraction(1, 4), True), (0.25, False))
    ]
    fractions, floats = (t.mse.value for t in trajectories)
    assert all(isinstance(v, Fraction) for v in fractions)
    np.testing.assert_allclose(floats, [float(v) for v in fractions], rtol=1e-12)
