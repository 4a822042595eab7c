"""Twenty steps of soft-threshold AMP, against state evolution by hand and against simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.stats
from common import sampled, script, seconds, table
from scipy.integrate import quad
from scipy.special import ndtr

import rmtp
from rmtp import amp

DELTA, SPARSITY, NOISE, ALPHA, STEPS = 0.5, 0.1, 0.01, 1.5, 20
WIDTH = 10_000


method = partial(amp.amp, denoiser=amp.soft(ALPHA))
problem = amp.linear_model(DELTA, amp.bernoulli_gauss(SPARSITY), NOISE)


def by_theorem() -> rmtp.Trajectory:
    return rmtp.state_evolution(method, problem, STEPS)


def shrinkage_error(tau2: float) -> float:
    """E (soft(X0 + tau Z, alpha tau) - X0)^2 for the Bernoulli-Gauss prior, integrated on paper."""
    a, phi = ALPHA, math.exp(-(ALPHA**2) / 2) / math.sqrt(2 * math.pi)
    zero = 2 * tau2 * ((1 + a * a) * ndtr(-a) - a * phi)
    s2 = 1 + tau2  # the variance of X0 + tau Z for a Gaussian X0
    c = a * math.sqrt(tau2 / s2)
    tail, density = ndtr(-c), math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
    square = 2 * s2 * ((1 + c * c) * tail - c * density)  # E soft(h)^2
    cross = 2 * tail  # E X0 soft(h) = E soft'(h)
    return (1 - SPARSITY) * zero + SPARSITY * (square - 2 * cross + 1)


def soft(h: float, threshold: float) -> float:
    return math.copysign(max(abs(h) - threshold, 0.0), h)


def shrinkage_error_by_quad(tau2: float) -> float:
    """The same expectation by two calls of `scipy.integrate.quad`, one per component of the prior."""
    density, tau = scipy.stats.norm.pdf, math.sqrt(tau2)
    s = math.sqrt(1 + tau2)
    rest = tau2 / (1 + tau2)  # the variance of X0 given h, whose mean is h / s^2
    kink = ALPHA * tau / s

    def zero(z: float) -> float:
        return soft(tau * z, ALPHA * tau) ** 2 * density(z)

    def signal(g: float) -> float:
        return ((soft(s * g, ALPHA * tau) - g / s) ** 2 + rest) * density(g)

    return (1 - SPARSITY) * quad(zero, -12, 12, points=[-ALPHA, ALPHA], epsabs=1e-13)[0] + (
        SPARSITY * quad(signal, -12, 12, points=[-kink, kink], epsabs=1e-13)[0]
    )


def state_evolution(error: Callable[[float], float]) -> list[float]:
    """tau^2 -> error -> tau^2, by hand."""
    tau2, errors = NOISE + SPARSITY / DELTA, []
    for _ in range(STEPS):
        errors.append(error(tau2))
        tau2 = NOISE + errors[-1] / DELTA
    return errors


def trial(n: int, rng: np.random.Generator) -> float:
    """The mean squared error after the last step of one simulation."""
    return float(rmtp.simulate(method, problem, STEPS, n, 1, rng).mse[0, -1])


def main(quick: bool = False) -> str:
    repeats = 1 if quick else 12
    ours, found = seconds(by_theorem, repeats)
    limits, stated = found.mse.value[1:], float(found.mse.error[-1])
    paper, closed = seconds(lambda: state_evolution(shrinkage_error), repeats)
    numeric, integrated = seconds(lambda: state_evolution(shrinkage_error_by_quad), repeats)
    drawn = sampled(trial, quick, width=WIDTH)
    last = float(limits[-1])
    gap = max(abs(e - c) / c for e, c in zip(limits, closed, strict=True))
    other = max(abs(q - c) / c for q, c in zip(integrated, closed, strict=True))
    rows = [
        ("`state_evolution`, algorithm as written", ours, f"stated error {stated / last:.0e}, {found.mse.method}"),
        ("state evolution, integrals on paper", paper, f"{gap:.0e} from the line above; Onsager term trusted"),
        ("state evolution, `scipy.integrate.quad`", numeric, f"{other:.0e} from the line above"),
    ]
    for accuracy in (1e-2, 1e-3, 1e-4):
        trials, cost = drawn.to_reach(accuracy * last)
        rows.append((f"simulation at n = {WIDTH} to {accuracy:g}", cost, f"{trials:.2g} trials"))
    notes = [
        f"Mean squared error after {STEPS} steps: {last:.10f} (rmtp), {closed[-1]:.10f} (by hand), "
        f"{drawn.mean:.5f} (mean of the simulations at hand).",
        "",
        f"Simulation: {drawn.how}. Its bias of order 1/n is not charged.",
    ]
    return table(f"{STEPS} steps of soft-threshold AMP", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
