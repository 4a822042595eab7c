"""Iterative soft thresholding: AMP without its Onsager term.

Every step remembers all earlier ones through Z-Dot. No scalar recursion describes it, yet its limit is as definite; that of
fresh data at every step is another.
"""

import sys
from functools import partial

import rmtp
from rmtp import amp

problem = amp.linear_model(0.5, amp.bernoulli_gauss(0.1), 0.01)
method = partial(amp.ista, step=0.3, penalty=0.05)

limit = rmtp.state_evolution(method, problem, 12, naive=True)
drawn = rmtp.simulate(method, problem, 12, width=2000, trials=8, rng=0)
for t in (1, 2, 4, 8, 12):
    print(
        f"step {t:2d}: mse {limit.mse.value[t]:.5f} ± {limit.mse.error[t]:.0e}, sampled {drawn.mean()[t]:.4f}, "
        f"fresh data {limit.naive.mse.value[t]:.5f}"
    )
print("what the product with x_3 remembers:", str(limit.memory()).splitlines()[4])

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotiterations import plot_evolution

    with plots.style():
        fig, ax = plots.figure()
        plot_evolution(limit, drawn, ax=ax)
    fig.savefig(sys.argv[1])
