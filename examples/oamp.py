"""Orthonormal rows against independent entries, at the same signal-to-noise ratio per observation.

For a matrix with orthonormal rows, orthogonal AMP sees the signal in less noise than AMP does with independent entries, and the
error falls faster.
"""

import sys
from functools import partial

import numpy as np

import rmtp
from rmtp import amp

delta, noise, steps = 0.5, 0.01, 5
prior = amp.bernoulli_gauss(0.2)
denoiser = amp.posterior_mean(prior)
iid = amp.linear_model(delta, prior, noise)
haar = amp.linear_model(delta, prior, delta * noise, matrix=rmtp.Haar)  # entries of variance 1/n, not 1/m
runs = {
    "AMP, independent entries": (partial(amp.amp, denoiser=denoiser), iid),
    "OAMP, orthonormal rows": (partial(amp.oamp, denoiser=denoiser, noise=delta * noise), haar),
}
found = {}
for name, (method, problem) in runs.items():
    limit = rmtp.state_evolution(method, problem, steps)
    drawn = rmtp.simulate(method, problem, steps, width=2000, trials=4, rng=0)
    found[name] = limit, drawn
    print(f"{name}: mse {np.round(limit.mse.value, 5)}")
    print(f"{'':{len(name)}}  sampled {np.round(drawn.mean(), 4)}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        plots.plot_trajectory(
            range(steps + 1),
            {name: limit.mse.value for name, (limit, _) in found.items()},
            {name: (drawn.mean(), drawn.se()) for name, (_, drawn) in found.items()},
            ax=ax,
            log=True,
            ylabel="mean squared error per coordinate",
        )
    fig.savefig(sys.argv[1])
