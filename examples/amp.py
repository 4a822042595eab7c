"""Compressed sensing by approximate message passing, with soft thresholds and Bayes-optimal.

y = A x0 + w with a sparse x0. The Onsager term cancels the memory of A.T against A; nothing tells the engine so, it finds that
one Gaussian per step is left and needs no sampling.
"""

import sys
from functools import partial

import rmtp
from rmtp import amp

prior = amp.bernoulli_gauss(0.1)
problem = amp.linear_model(0.5, prior, 0.01)
denoisers = {"soft threshold 1.5 τ": amp.soft(1.5), "posterior mean": amp.posterior_mean(prior)}

found = {}
for name, denoiser in denoisers.items():
    method = partial(amp.amp, denoiser=denoiser)
    limit = rmtp.state_evolution(method, problem, 10)
    drawn = rmtp.simulate(method, problem, 10, width=2000, trials=8, rng=0)
    found[name] = limit, drawn
    print(f"{name} ({limit.mse.method}); at rest {amp.fixed_point(method, problem).mse}")
    for t in (1, 2, 4, 10):
        print(f"  step {t:2d}: mse {limit.mse.value[t]:.10f}, sampled {drawn.mean()[t]:.4f} ± {drawn.se()[t]:.4f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        plots.plot_trajectory(
            range(11),
            {name: limit.mse.value for name, (limit, _) in found.items()},
            {name: (drawn.mean(), drawn.se()) for name, (_, drawn) in found.items()},
            ax=ax,
            log=True,
            ylabel="mean squared error per coordinate",
        )
    fig.savefig(sys.argv[1])
