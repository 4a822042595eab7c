"""A parameter study that survives interruption: risk of ridge regression over penalty and noise, points kept on disk.

Run it with a folder as second argument, stop it whenever you like, and run it again: finished points are not computed
twice. Threads share the work; processes or a cluster would by ``executor=``. The best penalty is the variance of the noise,
where the ridge estimate is the posterior mean.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import rmtp


def risk(penalty, noise):
    """Squared error per coefficient of n = 2p samples, and its mean over twelve draws at p = 200."""
    p = rmtp.Dim("p")
    X, beta = rmtp.Gaussian(rmtp.Dim("n", 2), p, name="X"), rmtp.Normal(p, name="beta")
    y = X @ beta + rmtp.Normal(X.rows, cov=noise, name="noise")
    estimate = rmtp.solve(X.T @ X + penalty * rmtp.eye(p), X.T @ y)
    error = np.mean((estimate - beta) ** 2)
    return {"limit": rmtp.limit(error), "sampled": np.mean(rmtp.sample(error, width=200, rng=0, trials=12))}


grid = {"penalty": [float(v) for v in np.geomspace(0.02, 5, 9)], "noise": [0.1, 0.3, 1.0]}
with ThreadPoolExecutor(2) as pool:
    study = rmtp.sweep(risk, grid, executor=pool, path=sys.argv[2] if len(sys.argv) > 2 else None)
print(study)
best = [grid["penalty"][k] for k in study["limit"].argmin(axis=0)]
print("best penalty on the grid:", dict(zip(grid["noise"], [round(b, 3) for b in best], strict=True)))

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        study.plot("limit", ax)
        for k in range(len(grid["noise"])):
            ax.plot(grid["penalty"], study["sampled"][:, k], "k.", ms=10, label="12 draws, p = 200" if k == 0 else None)
        for k, noise in enumerate(grid["noise"]):
            ax.axvline(noise, color=plots.PALETTE[k], linestyle=":", linewidth=1.6)
        ax.set_xscale("log")
        ax.set_xlabel("penalty (dotted: the variance of the noise)")
        ax.set_ylabel("squared error per coefficient")
        ax.legend()
    fig.savefig(sys.argv[1])
