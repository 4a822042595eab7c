"""A nonlinear program of thirty instructions that reuses W and W.T, to 1e-4, against sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from common import WIDTH, sampled, script, seconds, table

import rmtp

RATIO, ROUNDS, ACCURACY = 1.5, 4, 1e-4


def program(W: Any, x: Any) -> Any:
    """Runs on handles and on arrays."""
    a = x
    for k in range(ROUNDS):
        c = W.T @ np.tanh(W @ a)
        a = (rmtp.relu(c) if k % 2 else np.sin(c)) + 0.3 * x
    theta = np.mean(a * a)
    return np.mean(np.tanh(a / np.sqrt(1 + theta)) * x)


def handles() -> Any:
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RATIO)
    return program(rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="x"))


def trial(n: int, rng: np.random.Generator) -> float:
    W = rng.standard_normal((int(RATIO * n), n)) / math.sqrt(n)
    return float(program(W, rng.standard_normal(n)))


def main(quick: bool = False) -> str:
    lines = len(rmtp.program(handles()).lines)
    default, rough = seconds(lambda: rmtp.limit(handles()), 2)
    budget, ours, fine = 2**17, default, rough
    while fine.error > ACCURACY * abs(fine.value):
        budget *= 2
        try:
            ours, fine = seconds(lambda points=budget: rmtp.limit(handles(), budget=points, rtol=ACCURACY))
        except rmtp.errors.BudgetExceeded:
            if budget >= 2**24:
                raise
    rows = [
        (
            f"`rmtp.limit(..., rtol={ACCURACY:g}, budget={budget})`",
            ours,
            f"{fine.value:.6f}, stated error {fine.error / fine.value:.1e}",
        ),
        ("`rmtp.limit`, default budget", default, f"{rough.value:.6f}, stated error {rough.error / rough.value:.1e}"),
    ]
    found = sampled(trial, quick)
    trials, cost = found.to_reach(fine.error)
    rows.append((f"simulation at n = {WIDTH} to the same accuracy", cost, f"{trials:.2g} trials"))
    notes = [f"Simulation: {found.how}; mean of the trials at hand {found.mean:.5f}."]
    return table(f"A nonlinear program of {lines} instructions with W and W.T", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
