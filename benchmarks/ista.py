"""Twenty steps of ISTA without Onsager term: every step remembers all earlier ones. Against simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.stats
from common import WIDTH, sampled, script, seconds, table

import rmtp

DELTA, SPARSITY, NOISE, STEP, PENALTY, STEPS = 0.5, 0.1, 0.01, 0.3, 0.05, 20


def ista(A: Any, x0: Any, w: Any) -> Any:
    """The mean squared error after the last step; runs on handles and on arrays."""
    y = A @ x0 + w
    x = 0 * x0
    for _ in range(STEPS):
        x = rmtp.soft_threshold(x + STEP * (A.T @ (y - A @ x)), STEP * PENALTY)
    return np.mean((x - x0) ** 2)


def by_theorem() -> rmtp.Estimate:
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=DELTA)
    A = rmtp.Gaussian(m, n, variance=1 / DELTA, name="A")
    x0 = rmtp.IID(n, rmtp.Mixture([0, scipy.stats.norm()], [1 - SPARSITY, SPARSITY]), name="x0")
    return rmtp.limit(ista(A, x0, rmtp.Normal(m, cov=NOISE, name="w")))


def trial(n: int, rng: np.random.Generator) -> float:
    m = int(DELTA * n)
    A = rng.standard_normal((m, n)) / math.sqrt(m)
    x0 = rng.standard_normal(n) * (rng.random(n) < SPARSITY)
    return float(ista(A, x0, math.sqrt(NOISE) * rng.standard_normal(m)))


def main(quick: bool = False) -> str:
    ours, limit = seconds(by_theorem)
    found = sampled(trial, quick)
    relative = limit.error / limit.value
    rows = [("`rmtp.limit`", ours, f"{limit.value:.5f}, stated error {relative:.1%} ({limit.method})")]
    for accuracy in (3e-3, relative):
        trials, cost = found.to_reach(accuracy * limit.value)
        rows.append((f"simulation at n = {WIDTH} to {accuracy:.2%}", cost, f"{trials:.2g} trials"))
    notes = [f"Simulation: {found.how}; mean of the trials at hand {found.mean:.5f}."]
    return table(f"{STEPS} steps of ISTA without Onsager term", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
