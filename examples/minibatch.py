"""Gradient descent on two batches in turn: one pass is as if data were fresh, later passes remember.

In the first pass every batch is new, and the true error is that of fresh data, to the last digit. From the second pass on
they part, because a batch meets the estimate that it has made.
"""

import sys
from functools import partial

import numpy as np
import scipy.stats

import rmtp
from rmtp import amp

batches = amp.minibatches(amp.linear_model(2, scipy.stats.norm(), 0.1), 2)
method = partial(amp.minibatch_descent, step=0.3, count=2)
limit = rmtp.state_evolution(method, batches, 6, naive=True)
drawn = rmtp.simulate(method, batches, 6, width=1000, trials=8, rng=0)
for t in range(7):
    print(
        f"step {t}: mse {limit.mse.value[t]:.6f}, sampled {drawn.mean()[t]:.4f} ± {drawn.se()[t]:.4f}, "
        f"fresh data {limit.naive.mse.value[t]:.6f}"
    )
print("one pass equals fresh data:", bool(np.allclose(limit.mse.value[:3], limit.naive.mse.value[:3], rtol=1e-12)))

if len(sys.argv) > 1:
    from rmtp import plots
    from rmtp.plotiterations import plot_evolution

    with plots.style():
        fig, ax = plots.figure()
        plot_evolution(limit, drawn, ax=ax)
        ax.axvline(2, linestyle=":", color=plots.GREY)
        ax.annotate("second pass", (2.1, 0.92), xycoords=("data", "axes fraction"))
    fig.savefig(sys.argv[1])
