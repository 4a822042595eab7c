"""State evolution of algorithms of rmtp.amp: a linear one, two with memory, and how the cost grows with the steps."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from common import sampled, script, seconds, table

import rmtp
from rmtp import amp

WIDTH = 10_000
NOISE = 0.1
descent = partial(amp.gradient_descent, step=0.5)
logistic = partial(amp.gradient_descent, step=1.0, loss=amp.logistic_loss)
ista = partial(amp.ista, step=0.3, penalty=0.05)
linear_problem = amp.linear_model(2, scipy.stats.norm(), NOISE)
sparse_problem = amp.linear_model(0.5, amp.bernoulli_gauss(0.1), 0.01)
labels_problem = amp.generalised_linear_model(3, scipy.stats.norm(), amp.logistic())


def last(method: Any, problem: Any, steps: int) -> rmtp.Trajectory:
    return rmtp.state_evolution(method, problem, steps)


def trial_of(method: Any, problem: Any, steps: int) -> Callable[[int, np.random.Generator], float]:
    """The mean squared error after the last step of one simulation."""

    def trial(n: int, rng: np.random.Generator) -> float:
        return float(rmtp.simulate(method, problem, steps, n, 1, rng).mse[0, -1])

    return trial


def by_density(steps: int) -> float:
    """The error of gradient descent by integrals against the Marchenko-Pastur density, as worked out on paper."""
    # eigenvalues of A.T A: Gauss-Chebyshev nodes of the second kind carry the density's square roots
    ratio, nodes = 0.5, 2000
    k = np.arange(1, nodes + 1) * np.pi / (nodes + 1)
    x = 1 + ratio + 2 * math.sqrt(ratio) * np.cos(k)
    weight = np.sin(k) ** 2 * 2 / (nodes + 1) / x
    P = (1 - 0.5 * x) ** steps
    return float(np.sum(weight * (P**2 + NOISE * (1 - P) ** 2 / x)))


def exponent(method: Any, problem: Any, counts: tuple[int, ...], repeats: int) -> tuple[list[float], float]:
    times = [seconds(lambda s=s: last(method, problem, s), repeats)[0] for s in counts]
    return times, float(np.polyfit(np.log(counts), np.log(times), 1)[0])


def main(quick: bool = False) -> str:
    repeats = 1 if quick else 3
    tables = []

    rows, notes = [], []
    for steps in (20, 200):
        ours, found = seconds(lambda s=steps: last(descent, linear_problem, s), repeats)
        paper, value = seconds(lambda s=steps: by_density(s), repeats)
        mine = float(found.mse.value[-1])
        rows.append((f"`state_evolution`, {steps} steps", ours, f"{mine:.12f}, {found.mse.method}"))
        rows.append(
            (
                f"Marchenko–Pastur integral worked out on paper, step {steps} only",
                paper,
                f"{abs(mine / value - 1):.0e} from it",
            )
        )
    cost = sampled(trial_of(descent, linear_problem, 20), quick, width=WIDTH)
    target = 1e-3 * float(last(descent, linear_problem, 20).mse.value[-1])
    trials, total = cost.to_reach(target)
    rows.append((f"simulation at n = {WIDTH} to 0.1%, 20 steps", total, f"{trials:.2g} trials"))
    notes.append(f"Simulation: {cost.how}.")
    tables.append(table("Gradient descent on least squares, m = 2n", rows, notes))

    for title, method, problem, accuracy in (
        ("ISTA without Onsager term, m = n/2", ista, sparse_problem, 3e-3),
        ("Gradient descent on logistic regression, m = 3n", logistic, labels_problem, 3e-3),
    ):
        ours, found = seconds(lambda m=method, p=problem: last(m, p, 20), repeats)
        value, error = float(found.mse.value[-1]), float(found.mse.error[-1])
        cost = sampled(trial_of(method, problem, 20), quick, width=WIDTH)
        rows = [
            ("`state_evolution`, 20 steps", ours, f"{value:.5f}, stated error {error / value:.2%} ({found.mse.method})")
        ]
        for goal in sorted({accuracy, error / value}, reverse=True):
            trials, total = cost.to_reach(goal * value)
            rows.append((f"simulation at n = {WIDTH} to {goal:.2%}", total, f"{trials:.2g} trials"))
        notes = [f"Simulation: {cost.how}; mean of the trials at hand {cost.mean:.5f}."]
        tables.append(table(title, rows, notes))

    counts = (10, 20, 40)
    rows = []
    for name, method, problem in (
        ("AMP", partial(amp.amp, denoiser=amp.soft(1.5)), sparse_problem),
        ("gradient descent, least squares", descent, linear_problem),
        ("ISTA", ista, sparse_problem),
        ("gradient descent, logistic", logistic, labels_problem),
    ):
        times, slope = exponent(method, problem, counts, repeats)
        rows += [(f"{name}, {s} steps", t, "") for s, t in zip(counts, times, strict=True)]
        rows[-1] = (rows[-1][0], rows[-1][1], f"exponent {slope:.2f}")
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg()[:2])
    tables.append(
        table(
            "Cost of state evolution against the number of steps",
            rows,
            [f"Load of the machine (1 and 5 minutes) at the end: {load}."],
        )
    )
    return "\n\n".join(tables)


if __name__ == "__main__":
    script(main, __doc__)
