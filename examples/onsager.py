"""From ISTA to approximate message passing: the correction is derived, and what it does is seen in the observation.

`rmtp.onsager` subtracts from every product with A what Z-Dot says it remembers. The corrected method sees the signal in
Gaussian noise at every step, r = x + A.T z = x0 + N(0, tau2); ISTA with the same step does not.
"""

import sys
from functools import partial

import numpy as np

import rmtp
from rmtp import amp

PENALTY = 0.6


def observations(A, y, x, penalty):
    """Soft thresholding with step 1; yields what is thresholded instead of the result."""
    while True:
        r = x + A.T @ (y - A @ x)
        yield r
        x = rmtp.soft_threshold(r, penalty)


problem = amp.linear_model(0.5, amp.bernoulli_gauss(0.1), 0.01)
ista = partial(amp.ista, step=1, penalty=PENALTY)
methods = {"ISTA": ista, "corrected": rmtp.onsager(ista)}
print("coefficients:", {k: round(float(b), 6) for k, b in methods["corrected"].coefficients(problem, 4) if float(b)})

found = {}
for name, method in methods.items():
    limit = rmtp.state_evolution(method, problem, 5)
    found[name] = limit, rmtp.simulate(method, problem, 5, width=2000, trials=8, rng=0)
    print(f"{name} ({limit.mse.method}): mse {np.round(limit.mse.value, 4)}")

# the error of the observation at the fourth step, where the signal is not zero
n, m = 8000, 4000
rng = np.random.default_rng(1)
A = rng.standard_normal((m, n)) / np.sqrt(m)
x0 = rng.standard_normal(n) * (rng.random(n) < 0.1)
y = A @ x0 + 0.1 * rng.standard_normal(m)
errors = {}
for name, seen in (("ISTA", observations), ("corrected", rmtp.onsager(partial(observations, penalty=PENALTY)))):
    run = seen(A, y, np.zeros(n), *((PENALTY,) if name == "ISTA" else ()))
    for _ in range(4):
        r = next(run)
    errors[name] = (r - x0)[x0 != 0]
    print(f"{name}: correlation of the error with the signal {np.corrcoef(errors[name], x0[x0 != 0])[0, 1]:+.3f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, axes = plots.figure(12.5, 5, 1, 2)
        plots.plot_trajectory(
            range(6),
            {name: limit.mse.value for name, (limit, _) in found.items()},
            {name: (drawn.mean(), drawn.se()) for name, (_, drawn) in found.items()},
            ax=axes[0],
            log=True,
            ylabel="mean squared error per coordinate",
        )
        axes[0].set_ylim(0.02, 0.3)
        for (name, error), colour in zip(errors.items(), plots.PALETTE):
            axes[1].plot(x0[x0 != 0], error, ".", ms=5, color=colour, label=name)
        axes[1].set_xlabel("signal x0 where it is not zero")
        axes[1].set_ylabel("error r - x0 of the observation, step 4")
        axes[1].legend(markerscale=2.5)
    fig.savefig(sys.argv[1])
