"""State evolution of the algorithms of `rmtp.amp`: derived corrections, channels, spikes, the LASSO, transitions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from scipy.optimize import brentq
from scipy.special import ndtr

from ..amp.algorithms import gamp, gradient_descent, ista, lasso_amp, power_iteration
from ..amp.channels import probit
from ..amp.correction import onsager
from ..amp.denoisers import posterior_mean
from ..amp.evolution import state_evolution, trace
from ..amp.fixedpoints import donoho_tanner, lasso
from ..amp.problems import (
    bernoulli_gauss,
    generalised_linear_model,
    informed_start,
    linear_model,
    spiked_wigner,
    spiked_wishart,
)
from ..amp.simulation import simulate
from ..amp.spectral import spectral_start
from ..results import Estimate
from .figures import comparison, trajectory
from .iterations import soft_error
from .oracles import gauss
from .table import Claim, Derivation, Row, check

DELTA, SHARE, NOISE = Fraction(1, 2), Fraction(1, 10), Fraction(1, 100)


def active(tau: float, threshold: float) -> float:
    """P(|X + tau Z| > threshold) for the Bernoulli-Gauss signal."""
    share = float(SHARE)
    return 2 * share * float(ndtr(-threshold / np.sqrt(1 + tau * tau))) + 2 * (1 - share) * float(
        ndtr(-threshold / tau)
    )


def onsager_rows() -> tuple[Row, ...]:
    """Thresholds are fixed, and so is the recursion: tau^2 = noise + mse / delta, b = P(|r| > threshold) / delta."""
    threshold, steps = 0.5, 4
    problem = linear_model(DELTA, bernoulli_gauss(SHARE), NOISE)
    corrected = onsager(partial(ista, step=1, penalty=Fraction(1, 2)))
    errors = trace(corrected, problem, steps, {}).averages["mse"]
    claims, weights = [], []
    tau2 = float(NOISE + SHARE / DELTA)
    for t in range(1, steps + 1):
        tau = float(np.sqrt(tau2))
        mse = soft_error(tau, threshold, float(SHARE))
        claims.append(Claim(f"mse, step {t}", errors[t], mse))
        weights.append(active(tau, threshold) / float(DELTA))
        tau2 = float(NOISE) + mse / float(DELTA)
    found = dict(corrected.coefficients(problem, steps))
    claims += [Claim(f"b[{t}, {t - 1}]", found[f"b[{t}, {t - 1}]"], weights[t - 1]) for t in range(1, steps)]
    claims += [Claim("b[2, 0]", found["b[2, 0]"], 0.0)]
    return check(claims, widths=(500, 1000), trials=40)


def fresh_rows() -> tuple[Row, ...]:
    """With fresh data A.T A e is e and independent noise: mse <- (1 - s)^2 mse + s^2 (mse / delta + noise)."""
    steps, size, noise, delta = 10, Fraction(1, 2), Fraction(1, 10), Fraction(2)
    problem = linear_model(delta, scipy.stats.norm(), noise)
    found = state_evolution(partial(gradient_descent, step=size), problem, steps, naive=True, exact=True)
    assert found.naive is not None
    claims, mse = [], Fraction(1)
    for t in range(1, steps + 1):
        mse = (1 - size) ** 2 * mse + size**2 * (mse / delta + noise)
        claims.append(Claim(f"fresh data, step {t}", Estimate(found.naive.mse.value[t], 0.0, "exact"), mse))
    return check(claims)


def probit_rows() -> tuple[Row, ...]:
    """Overlaps of Bayes-optimal GAMP: q <- h / (1 + h) for a Gaussian signal, h = delta E g^2 the information of a label.

    With s^2 = 1 - q + noise and u = w / s for w ~ N(0, q), the two labels give E g^2 = 2 E phi(u)^2 / (Phi(u) s^2).
    """
    delta, noise, q, steps = 2, 0.1, 0.01, 6
    channel, signal = probit(noise), scipy.stats.norm()
    start = float(np.sqrt(q))
    problem = informed_start(generalised_linear_model(delta, signal, channel), start, scale=start)
    method = partial(gamp, denoiser=posterior_mean(signal), channel=channel, variance=1 - q)
    found = trace(method, problem, steps, {}).averages
    claims = []
    for t in range(1, steps + 1):
        s2 = 1 - q + noise

        def squared(w: float, s2: float = s2) -> float:
            u = w / float(np.sqrt(s2))
            return float(np.exp(-u * u) / (2 * np.pi) / ndtr(u) / s2)

        h = delta * 2 * gauss(squared, q)
        q = h / (1 + h)
        claims += [Claim(f"overlap, step {t}", found["overlap"][t], q), Claim(f"mse, step {t}", found["mse"][t], 1 - q)]
    claims.sort(key=lambda claim: claim.quantity.split(",")[0], reverse=True)
    return check(claims, widths=(400, 800), trials=40)


def power_rows() -> tuple[Row, ...]:
    """v . Y^t v for Y = snr v v.T + W has the generating function S / (1 - snr u S), S that of the semicircle."""
    snr, a, steps = Fraction(3, 2), 0.1, 10
    found = trace(power_iteration, informed_start(spiked_wigner(snr, [-1, 1]), a), steps, {}).averages
    catalan = [Fraction(0)] * (2 * steps + 1)
    catalan[0] = Fraction(1)
    for k in range(2, 2 * steps + 1, 2):
        catalan[k] = sum((catalan[i] * catalan[k - 2 - i] for i in range(0, k, 2)), Fraction(0))
    moments: list[Fraction] = []
    for k in range(2 * steps + 1):
        moments.append(catalan[k] + snr * sum((catalan[i] * moments[k - 1 - i] for i in range(k)), Fraction(0)))
    claims = []
    for t in range(1, steps + 1):
        power = a * a * float(moments[2 * t]) + (1 - a * a) * float(catalan[2 * t])
        cosine = a * float(moments[t]) / float(np.sqrt(power))
        claims.append(Claim(f"cosine, step {t}", found["overlap"][t] / np.sqrt(found["power"][t]), cosine))
    return check(claims, widths=(500, 1000), trials=40)


def spike_rows() -> tuple[Row, ...]:
    """Squared cosines of leading eigenvectors and right singular vectors with their spikes."""
    claims = []
    for snr in (1.5, 2.0, 3.0):
        found = leading(spiked_wigner(snr, [-1, 1]))
        claims.append(Claim(f"Wigner, snr {snr}", found, 1 - 1 / snr**2, sampler=drawn_cosine(snr, None)))
    for snr, delta in ((2.0, 0.5), (1.5, 2.0)):
        theta2 = snr**2 * delta  # of the rank-one term with unit vectors, squared
        value = 1 - (delta + theta2) / (theta2 * (theta2 + 1))
        found = leading(spiked_wishart(snr, delta, [-1, 1]))
        claims.append(Claim(f"Wishart, snr {snr}, m/n = {delta}", found, value, sampler=drawn_cosine(snr, delta)))
    return check(claims, widths=(150, 300), trials=32)


def leading(problem: Any) -> Estimate:
    """The squared cosine of the spectral start with the signal."""
    overlap = state_evolution(power_iteration, spectral_start(problem, 80), 0).overlap
    value = float(overlap.value[0])
    return Estimate(value**2, 2 * abs(value) * float(np.max(overlap.error)), overlap.method)


def drawn_cosine(snr: float, delta: float | None) -> Callable[[int, np.random.Generator, int], np.ndarray]:
    """The same number of finite matrices, by diagonalisation."""

    def one(n: int, rng: np.random.Generator) -> float:
        v = rng.choice([-1.0, 1.0], n)
        if delta is None:
            G = rng.standard_normal((n, n))
            Y = snr / n * np.outer(v, v) + (G + G.T) / np.sqrt(2 * n)
        else:
            m = round(delta * n)
            X = snr / n * np.outer(rng.standard_normal(m), v) + rng.standard_normal((m, n)) / np.sqrt(n)
            Y = X.T @ X
        return float((np.linalg.eigh(Y)[1][:, -1] @ v) ** 2 / n)

    return lambda n, rng, trials: np.array([one(n, rng) for _ in range(trials)])


def lasso_rows() -> tuple[Row, ...]:
    """tau^2 = noise + mse(tau, alpha tau) / delta solved in one number, penalty = alpha tau (1 - active / delta)."""
    delta, noise, share = float(DELTA), float(NOISE), float(SHARE)
    problem = linear_model(delta, bernoulli_gauss(share), noise)
    claims = []
    for alpha in (1.1, 1.5, 2.0):

        def gap(tau: float, alpha: float = alpha) -> float:
            return noise + soft_error(tau, alpha * tau, share) / delta - tau * tau

        tau = brentq(gap, 0.05, 1.0, xtol=1e-15)
        penalty = alpha * tau * (1 - active(tau, alpha * tau) / delta)

        def sampler(n: int, rng: np.random.Generator, trials: int, penalty: float = penalty) -> np.ndarray:
            return simulate(partial(lasso_amp, penalty=penalty), problem, 40, n, trials, rng).mse[:, -1]

        risk = soft_error(tau, alpha * tau, share)
        claims.append(Claim(f"risk, penalty {penalty:.6f}", lasso(problem, penalty).mse, risk, sampler=sampler))
    return check(claims, widths=(500, 1000), trials=32)


def recovery_rows() -> tuple[Row, ...]:
    """delta = 2 phi / (a + 2 (phi - a Phi(-a))) and rho = 1 - a Phi(-a) / phi, with the threshold a as parameter."""
    claims = []
    for a in (2.2, 1.6, 1.2, 0.9, 0.5):
        phi, tail = scipy.stats.norm.pdf(a), scipy.stats.norm.sf(a)
        delta = 2 * phi / (a + 2 * (phi - a * tail))
        found = Estimate(donoho_tanner(float(delta)), 1e-12, "closed form")
        claims.append(Claim(f"rho at delta = {delta:.6f}", found, float(1 - a * tail / phi)))
    return check(claims)


EVOLUTION = (
    Derivation(
        "onsager",
        "The Onsager term of iterative soft thresholding, derived: AMP",
        "Donoho, Maleki & Montanari 2009; Bayati & Montanari 2011",
        onsager_rows,
        trajectory({"mse": "mse"}, ylabel="mean squared error per coordinate"),
        "rmtp.onsager subtracts what Z-Dot says; thresholds are fixed at 1/2. b[t, s] multiplies z_s in A @ x_t.",
    ),
    Derivation(
        "fresh-data",
        "Gradient descent if every step saw new data",
        "one line: A.T A e is e and independent noise",
        fresh_rows,
        None,
        "Not the truth, and not sampled: gradient-descent is. After 20 steps the true error is 4.3 times as large.",
    ),
    Derivation(
        "gamp-probit",
        "Bayes-optimal generalised AMP for probit labels",
        "Rangan 2011; Barbier, Krzakala, Macris, Miolane & Zdeborova 2019 (1708.03395)",
        probit_rows,
        trajectory({"overlap": "overlap", "mse": "mse"}, ylabel="overlap, mean squared error"),
        "m = 2n labels sign(z + N(0, 0.1)), a Gaussian signal, a start of overlap 1/100.",
    ),
    Derivation(
        "spiked-power",
        "Power iteration on a spiked Wigner matrix, Z-Dot kept",
        "generating function of moments with a rank-one term",
        power_rows,
        trajectory({"cosine": "cosine with the spike"}, ylabel="cosine with the spike"),
    ),
    Derivation(
        "bbp",
        "Leading eigenvectors of spiked matrices as the rest of linear AMP",
        "Baik, Ben Arous & Peche 2005; Benaych-Georges & Nadakuditi 2011, 2012",
        spike_rows,
        comparison,
    ),
    Derivation(
        "lasso",
        "The risk of the LASSO as the rest of AMP",
        "Bayati & Montanari 2012 (1008.2581)",
        lasso_rows,
        comparison,
        "delta = 1/2, Bernoulli-Gauss with a tenth of non-zeros, noise .01; penalties of thresholds 1.1, 1.5, 2 tau.",
    ),
    Derivation(
        "donoho-tanner",
        "Where l1 minimisation stops to recover sparse signals",
        "Donoho & Tanner 2005; Donoho, Maleki & Montanari 2009",
        recovery_rows,
        None,
        "Not sampled: a transition has no finite-size mean to extrapolate.",
    ),
)
