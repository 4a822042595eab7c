"""Where "treat W.T as independent of W" gives the wrong gradient.

x = 1, h = W x, f = mean(h**2). The gradient is dx = W.T (2 h), and its coordinates have mean 2, not 0.
"""

import sys

import numpy as np

import rmtp

n = rmtp.Dim("n")
W = rmtp.Gaussian(n, n, name="W")
h = W @ rmtp.constant(n, 1, name="x")
dx = (W.T @ (2 * h)).named("dx")

true, naive = rmtp.limit(dx), rmtp.limit(dx, gradient_independence=True)
print(true.text)
for k in (1, 2, 3):
    drawn = rmtp.sample(np.mean(dx**k), width=1000, rng=0, trials=20)
    print(
        f"E dx^{k}: {true.moment(k)}, naive {naive.moment(k)}, sampled {drawn.mean():.2f} ± {drawn.std() / 20**0.5:.2f}"
    )

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        true.plot(ax=ax, width=4000, label="limit")
        naive.plot(ax=ax, color=plots.PALETTE[1], linestyle="--", label="if W.T were independent")
        ax.set_xlim(-7.5, 14)
        ax.set_xlabel("a coordinate of the gradient")
        ax.legend(loc="upper right")
    fig.savefig(sys.argv[1])
