"""Gradient descent on least squares, and what it would do if every step saw new data.

With twice as many observations as unknowns the same data again and again let descent fit the noise: the true error has a
minimum, that of fresh data falls four times lower. With half as many, a part of the signal is never seen.
"""

import sys
from functools import partial

import scipy.stats

import rmtp
from rmtp import amp

settings = {"m = 2n, step 0.5": (2, 0.5), "m = n/2, step 0.3": (0.5, 0.3)}
found = {}
for name, (delta, step) in settings.items():
    problem = amp.linear_model(delta, scipy.stats.norm(), 0.1)
    method = partial(amp.gradient_descent, step=step)
    limit = rmtp.state_evolution(method, problem, 20, naive=True)
    drawn = rmtp.simulate(method, problem, 20, width=1000, trials=8, rng=0)
    found[name] = limit, drawn
    true, fresh = limit.mse.value[-1], limit.naive.mse.value[-1]
    print(f"{name}: mse after 20 steps {true:.6f}, sampled {drawn.mean()[-1]:.4f} ± {drawn.se()[-1]:.4f}")
    print(f"  fresh data {fresh:.6f}, off by a factor {true / fresh:.1f}")

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotiterations import plot_evolution

    with plots.style():
        fig, axes = plots.figure(12.5, 5, 1, 2)
        for ax, (name, (limit, drawn)) in zip(axes, found.items()):
            plot_evolution(limit, drawn, ax=ax).set_title(name, loc="left")
    fig.savefig(sys.argv[1])
