"""Three programs, three limits: a spectrum, a gradient with memory, an algorithm and its correction. The figure of the README.

Left: eigenvalues of X T X + Y. Middle: coordinates of the gradient of mean((W 1)^2), which treating W.T as independent of
W gets wrong. Right: iterative soft thresholding, as it is written and with its Onsager term derived.
"""

import sys

import numpy as np

import rmtp
from rmtp import amp

n = rmtp.Dim("n")
X, Y, T = rmtp.GOE(n), rmtp.GOE(n), rmtp.diag(rmtp.IID(n, rmtp.Discrete([1, 7])))
law = rmtp.spectrum(X @ T @ X + Y)
print("moments of X T X + Y:", *(law.moment(k) for k in range(1, 5)))

W = rmtp.Gaussian(n, n)
gradient = W.T @ (2 * (W @ rmtp.constant(n, 1)))
true, naive = rmtp.limit(gradient), rmtp.limit(gradient, gradient_independence=True)
print("mean of a coordinate of the gradient:", true.moment(1), "and not", naive.moment(1))


def ista(A, y, x):
    while True:
        yield x
        x = rmtp.soft_threshold(x + A.T @ (y - A @ x), 0.6)


problem = amp.linear_model(0.5, amp.bernoulli_gauss(0.1), 0.01)
methods = {"ISTA": ista, "corrected": rmtp.onsager(ista)}
limits = {name: rmtp.state_evolution(method, problem, 6).mse.value for name, method in methods.items()}
runs = {name: rmtp.simulate(method, problem, 6, width=2000, trials=8, rng=0) for name, method in methods.items()}
for name, mse in limits.items():
    print(f"{name}: mean squared errors", np.round(mse, 4))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, (left, middle, right) = plots.figure(16, 4.6, 1, 3)
        law.plot(ax=left).set_title("eigenvalues of X T X + Y", loc="left")
        true.plot(ax=middle, width=3000, label="limit")
        naive.plot(ax=middle, color=plots.PALETTE[1], linestyle="--", label="if W.T were independent")
        middle.set(xlim=(-7, 14), ylim=(0, 0.29), xlabel="a coordinate of Wᵀ 2 W 1")
        middle.set_title("a gradient", loc="left")
        middle.legend(loc="upper right")
        samples = {name: (run.mean(), run.se()) for name, run in runs.items()}
        plots.plot_trajectory(range(7), limits, samples, ax=right, log=True, ylabel="mean squared error")
        right.set_ylim(0.02, 0.4)
        right.set_title("an algorithm, and its derived correction", loc="left")
    fig.savefig(sys.argv[1], dpi=70)
