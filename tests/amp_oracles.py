"""State evolutions by hand, with scipy and mpmath: they know no program and no master theorem."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from oracles import narayana_moment
from scipy.integrate import quad
from scipy.special import gammaln, log_ndtr, ndtr
from scipy.stats import norm

REFERENCE = Path(__file__).parent / "data" / "iterations"


def reference(name: str) -> Any:
    return json.loads((REFERENCE / f"{name}.json").read_text())


def gauss(f: Callable[[float], float], scale: float = 1.0, points: tuple[float, ...] = ()) -> float:
    """E f(scale Z) by adaptive quadrature, cut at given points."""
    cuts = sorted({-12.0, 12.0, *(p / scale for p in points if abs(p) < 12 * scale)})
    pieces = [
        quad(lambda z: f(scale * z) * norm.pdf(z), a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in pairwise(cuts)
    ]
    return float(sum(pieces))


def soft(r: float, t: float) -> float:
    return float(np.sign(r) * max(abs(r) - t, 0.0))


def soft_error(tau: float, t: float, share: float) -> float:
    """E (soft(X + tau Z, t) - X)^2 for Bernoulli-Gauss X: by the conditional law of X given X + tau Z."""
    zero = gauss(lambda r: soft(r, t) ** 2, tau, (-t, t))
    s2 = 1 + tau * tau
    mean, var = 1 / s2, tau * tau / s2  # of X given r, per unit of r
    one = gauss(lambda r: (soft(r, t) - mean * r) ** 2, float(np.sqrt(s2)), (-t, t)) + var
    return (1 - share) * zero + share * one


def posterior_error(parts: list[tuple[float, float, float]], tau2: float) -> float:
    """E Var[X | X + tau Z] for a mixture of (weight, mean, variance), by mpmath on the density of the observation."""

    def at(r: Any) -> Any:
        total, first, second = mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0)
        for w, m, v in parts:
            s2 = v + tau2
            p = w * mpmath.exp(-((r - m) ** 2) / (2 * s2)) / mpmath.sqrt(2 * mpmath.pi * s2)
            c = m + v / s2 * (r - m)
            total, first, second = total + p, first + p * c, second + p * (v * tau2 / s2 + c * c)
        return second - first**2 / total if total else mpmath.mpf(0)

    tau = float(np.sqrt(tau2))
    cuts = {m + s * k for _, m, v in parts for s in (tau, float(np.sqrt(v + tau2))) for k in (-9, -5, -2, 0, 2, 5, 9)}
    with mpmath.workdps(20):
        return float(mpmath.quad(at, sorted(cuts)))


def polynomial_error(P: np.polynomial.Polynomial, noise: Fraction, delta: Fraction) -> Fraction:
    """int P^2 + noise lambda Q^2, Q = (1 - P) / lambda, A of variance 1/rows, delta = rows/cols."""

    # A.T A has the nonzero eigenvalues of A A^T: W = sqrt(delta) A has variance 1/cols; tr over cols
    def moment(k: int) -> Fraction:
        return Fraction(1) if k == 0 else narayana_moment(k, delta) * delta / delta**k

    Q = np.polynomial.Polynomial([-c for c in P.coef[1:]] or [Fraction(0)])
    signal = sum((c * moment(k) for k, c in enumerate((P * P).coef)), Fraction(0))
    return signal + noise * sum((c * moment(k + 1) for k, c in enumerate((Q * Q).coef)), Fraction(0))


def linear(*coefficients: Fraction) -> np.polynomial.Polynomial:
    return np.polynomial.Polynomial([Fraction(c) for c in coefficients])


def transition(alpha: float) -> tuple[float, float]:
    """(delta, rho) of the l1 transition at its best threshold, from the formulas of Donoho, Maleki & Montanari 2009."""
    phi, tail = norm.pdf(alpha), ndtr(-alpha)
    delta = 2 * phi / (alpha + 2 * (phi - alpha * tail))
    return float(delta), float(1 - alpha * tail / phi)


def probit_gamp(alpha: float, noise: float, q: float, steps: int) -> list[float]:
    """Overlaps of Bayes-optimal GAMP for y = sign(z + N(0, noise)), standard Gaussian signal (Barbier et al. 2019)."""
    out = [q]
    for _ in range(steps):
        v = 1 - q + noise

        def integrand(x: float, q: float = q, v: float = v) -> float:
            u = np.sqrt(q / v) * x
            return float(np.exp(-u * u - np.log(2 * np.pi) - log_ndtr(u) - log_ndtr(-u)))

        fisher = gauss(integrand) / v
        q = alpha * fisher / (1 + alpha * fisher)
        out.append(float(q))
    return out


def bent_gamp(left: float, alpha: float, noise: float, q: float, steps: int) -> list[float]:
    """The same for y = h(z) + N(0, noise), h(z) = z for z > 0 and left * z below: Fisher information on a grid."""
    out = [q]
    for _ in range(steps):
        V = 1 - q
        omega = np.sqrt(q) * np.arange(-9, 9, 0.05)[:, None]
        y = np.sqrt(1 + noise) * np.arange(-10, 10, 0.02)[None]
        density, slope = np.zeros(np.broadcast_shapes(omega.shape, y.shape)), 0.0
        for a, side in ((1.0, 1.0), (left, -1.0)):
            T = a * a * V + noise
            c = side * (omega * noise + a * y * V) / np.sqrt(T * V * noise)
            bell, mass = np.exp(-((y - a * omega) ** 2) / (2 * T)) / np.sqrt(2 * np.pi * T), ndtr(c)
            density = density + bell * mass
            slope = slope + bell * (a * (y - a * omega) / T * mass + side * norm.pdf(c) * np.sqrt(noise / (T * V)))
        fisher = 0.05 * np.sum(norm.pdf(omega[:, 0] / np.sqrt(q)) * np.trapezoid(slope**2 / density, y[0], axis=1))
        q = float(alpha * fisher / (1 + alpha * fisher))
        out.append(q)
    return out


def poisson_gamp(alpha: float, q: float, steps: int) -> list[float]:
    """The same for y ~ Poisson(exp(z)): Fisher information sum_k p_k'(omega)^2 / p_k(omega) on grids of omega and z."""
    z, k = np.arange(-9, 7.6, 0.005)[:, None], np.arange(2200)[None]
    counts = np.exp(k * z - np.exp(z) - gammaln(k + 1))
    out = [q]
    for _ in range(steps):
        V = 1 - q
        omega = np.sqrt(q) * np.arange(-8, 8.01, 0.2)
        bell = 0.005 * norm.pdf((z[:, 0] - omega[:, None]) / np.sqrt(V)) / np.sqrt(V)
        p, slope = bell @ counts, (bell * (z[:, 0] - omega[:, None]) / V) @ counts
        information = np.sum(slope**2 / np.maximum(p, 1e-300), axis=1)
        fisher = 0.2 * np.sum(norm.pdf(omega / np.sqrt(q)) * information)
        q = float(alpha * fisher / (1 + alpha * fisher))
        out.append(q)
    return out


def laplace_error(tau2: float) -> float:
    """The least mean squared error of a Laplace signal in N(0, tau2): tau2 (1 - tau2 J), by Fisher information J."""
    tau = np.sqrt(tau2)

    def information(r: float) -> float:
        right = np.exp(-r + log_ndtr((r - tau2) / tau))
        left = np.exp(r + log_ndtr(-(r + tau2) / tau))
        scale = np.exp(tau2 / 2) / 2
        return float(scale * (left - right) ** 2 / (left + right))  # p'^2 / p: the Gaussian terms of p' cancel

    return float(
        tau2 * (1 - tau2 * 2 * quad(information, 0, 60, epsabs=1e-13, epsrel=1e-13, limit=400, points=[1, 5])[0])
    )
