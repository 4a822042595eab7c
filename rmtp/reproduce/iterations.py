"""State evolution: approximate message passing, and first-order methods without the Onsager term."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from scipy.special import ndtr

from ..amp.algorithms import gradient_descent, ista
from ..amp.evolution import trace
from ..amp.problems import bernoulli_gauss, linear_model
from ..ensembles import Dim
from ..language import Gaussian, Normal, soft_threshold
from .figures import comparison, trajectory
from .oracles import gauss, narayana_moment
from .table import Claim, Derivation, Row, check

RHO = float(ndtr(-1))  # the share of non-zero coordinates: a Gaussian beyond one standard deviation


def soft_error(tau: float, threshold: float, share: float) -> float:
    """E (soft(X + tau Z) - X)^2 for the Bernoulli-Gauss prior, in closed form.

    With Y = X + tau Z of variance s^2 the error of the non-zero part is E soft^2 - 2 E soft X + E X^2, and E[X | Y] = Y / s^2.
    """

    def second(s: float) -> float:
        a = threshold / s
        density = float(np.exp(-a * a / 2) / np.sqrt(2 * np.pi))
        return 2 * s * s * ((1 + a * a) * float(ndtr(-a)) - a * density)

    s = float(np.sqrt(1 + tau * tau))
    overlap = 2 * float(ndtr(-threshold / s))  # E soft(Y) Y / s^2 = P(|Y| > threshold) by Stein
    return share * (second(s) - 2 * overlap + 1) + (1 - share) * second(tau)


def amp_rows() -> tuple[Row, ...]:
    alpha, steps = Fraction(7, 5), 4
    problem = linear_model(Fraction(1, 2), bernoulli_gauss(RHO), Fraction(1, 100))
    A, x0, y = problem.matrix, problem.signal, problem.observed
    z: Any = y
    x: Any = 0
    tau2 = 0.01 + 2 * RHO
    claims: list[Claim] = []
    for t in range(1, steps + 1):
        seen = np.mean(z * z)
        r, threshold = x + A.T @ z, alpha * np.sqrt(seen)
        x = soft_threshold(r, threshold)
        error = soft_error(float(np.sqrt(tau2)), 1.4 * float(np.sqrt(tau2)), RHO)
        claims += [
            Claim(f"tau^2, step {t}", seen, tau2),
            Claim(f"mse, step {t}", np.mean((x - x0) ** 2), error),
            Claim(f"residual . x0, step {t}", np.mean((r - x0) * x0), 0.0),
        ]
        tau2 = 0.01 + 2 * error
        z = y - A @ x + 2 * np.mean(np.where(abs(r) > threshold, 1, 0)) * z
    ordered = sorted(claims, key=lambda claim: claim.quantity.split(",")[0], reverse=True)
    return check(ordered, widths=(500, 1000), trials=40)


def recursion_rows() -> tuple[Row, ...]:
    """b = A q - lambda m, h = A.T m - xi q with Onsager coefficients in Stein's form: no derivative of f or g is needed."""
    ratio = Fraction(1, 2)
    N, n = Dim("N"), Dim("n", ratio)
    A, x0, w = Gaussian(n, N, variance=2, name="A"), Normal(N, name="x0"), Normal(n, cov=Fraction(1, 4), name="w")

    def g(b: Any) -> Any:
        return b + w + np.sign(b) / 2

    def f(h: Any) -> Any:
        return np.tanh(h) - x0

    h: Any = None
    m_before: Any = None
    tau2_before: Any = None
    q = -x0
    claims: list[Claim] = []
    tau2 = sigma2 = 0.0
    for t in range(1, 4):
        b = A @ q
        if h is not None:
            b = b - np.mean(h * q) / (ratio * tau2_before) * m_before
        m = g(b)
        seen = np.mean(b * b)
        h_next = A.T @ m - np.mean(b * m) / seen * q
        sigma2 = 2.0 if t == 1 else 2 * (gauss(lambda u: np.tanh(u) ** 2, tau2) + 1)
        tau2 = sigma2 + 0.25 + 0.25 + float(np.sqrt(2 * sigma2 / np.pi))
        claims += [
            Claim(f"Var b, step {t}", seen, sigma2),
            Claim(f"Var h, step {t}", np.mean(h_next * h_next), tau2),
            Claim(f"h . x0, step {t}", np.mean(h_next * x0), 0.0),
        ]
        if h is None:
            claims.append(Claim("h . q, step 1", np.mean(h_next * q), 0.0))
        h, m_before, tau2_before = h_next, m, np.mean(h_next * h_next)
        q = f(h)
    return check(claims)


# MSE per step of x <- soft(x + s A.T (y - A x), s lambda), delta = 1/2, Bernoulli(1/10)-Gauss, noise 1/100, s = 3/10,
# lambda = 1/20, and standard errors: an independent computation (a Monte Carlo of the effective dynamics)
ISTA_REFERENCE = (
    (0.06662276810566034, 0.00025472106595274925),
    (0.05850612959348985, 0.00023060261782865865),
    (0.053891490970869906, 0.00021757140557319992),
    (0.050720154739730884, 0.00021045388630564602),
    (0.048181117062719006, 0.00020488654074123243),
    (0.046041727709023705, 0.0001998771651111895),
    (0.04415527719514409, 0.00019593512045647737),
    (0.042458284793500944, 0.00019191799469873096),
    (0.04090346238701475, 0.0001876040877956909),
    (0.039464886807931525, 0.0001834494140127033),
)


def ista_rows() -> tuple[Row, ...]:
    problem = linear_model(Fraction(1, 2), bernoulli_gauss(Fraction(1, 10)), Fraction(1, 100))
    method = partial(ista, step=Fraction(3, 10), penalty=Fraction(1, 20))
    errors = trace(method, problem, len(ISTA_REFERENCE), {}).averages["mse"]
    claims = [
        Claim(f"mse, step {t}", errors[t], value, analytic_error=error)
        for t, (value, error) in enumerate(ISTA_REFERENCE, start=1)
    ]
    return check(claims, widths=(500, 1000), trials=40)


def descent_rows() -> tuple[Row, ...]:
    """Least squares by gradient descent: E over the Marchenko-Pastur law of squared polynomials, in rationals."""
    steps, size, noise, delta = 20, Fraction(1, 2), Fraction(1, 10), Fraction(2)
    problem = linear_model(delta, scipy.stats.norm(), noise)
    errors = trace(partial(gradient_descent, step=size), problem, steps, {}).averages["mse"]
    claims = [Claim(f"mse, step {t}", errors[t], descent_error(t, size, noise, 1 / delta)) for t in range(1, steps + 1)]
    return check(claims, exact=True)


def descent_error(steps: int, size: Fraction, noise: Fraction, ratio: Fraction) -> Fraction:
    """int P^2 + noise * lambda Q^2, with P = (1 - s lambda)^t for the signal and Q = (1 - P) / lambda for the noise."""
    P = np.polynomial.Polynomial([Fraction(1)])
    for _ in range(steps):
        P = P * np.polynomial.Polynomial([Fraction(1), -size])
    signal = (P * P).coef
    Q = np.polynomial.Polynomial([-c for c in P.coef[1:]])
    through = (Q * Q).coef
    total = sum((c * narayana_moment(ratio, k) for k, c in enumerate(signal)), Fraction(0))
    return total + noise * sum((c * narayana_moment(ratio, k + 1) for k, c in enumerate(through)), Fraction(0))


ITERATIONS = (
    Derivation(
        "amp",
        "Soft-threshold AMP: the Onsager term cancels Z-Dot",
        "Donoho, Maleki & Montanari 2009; Bayati & Montanari 2011; TP0 (1902.04760) appendix D.8",
        amp_rows,
        trajectory({"tau^2": "tau²", "mse": "mse"}, ylabel="effective noise, mean squared error"),
        "The threshold follows the measured residual. delta = 1/2, noise variance .01, threshold 1.4 tau, "
        "Bernoulli-Gauss signal with the share P(N(0,1) > 1) = .1587.",
    ),
    Derivation(
        "amp-general",
        "The general recursion for functions with jumps, Onsager coefficients by Stein's lemma",
        "Bayati & Montanari 2011; TP0 (1902.04760) Corollary D.18",
        recursion_rows,
        comparison,
        "TP0 prints 1/N in the coefficient of h; it is 1/n, the length of b.",
    ),
    Derivation(
        "ista",
        "Iterative soft thresholding without the Onsager term: Z-Dot stays",
        "independent Monte Carlo of the effective dynamics, with its standard errors",
        ista_rows,
        trajectory({"mse": "mse"}, ylabel="mean squared error per coordinate"),
        "The analytic column is itself a simulation; its error is stated.",
    ),
    Derivation(
        "gradient-descent",
        "Gradient descent for least squares, exactly",
        "polynomial filters under the Marchenko-Pastur law",
        descent_rows,
        trajectory({"mse": "mse"}, ylabel="mean squared error per coordinate"),
    ),
)
