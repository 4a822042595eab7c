"""The risk of the LASSO over its penalty: the rest of an AMP algorithm, beside scikit-learn's Lasso at n = 2000.

scikit-learn divides the squares by the number m of observations, so that alpha = penalty / m.
"""

import sys

import numpy as np
from sklearn.linear_model import Lasso

from rmtp import amp

delta, share, noise, n = 0.5, 0.1, 0.01, 2000
problem = amp.linear_model(delta, amp.bernoulli_gauss(share), noise)
penalties = np.geomspace(0.02, 0.6, 18)
risks = np.array([float(amp.lasso(problem, float(p), tol=1e-8).mse) for p in penalties])
best = penalties[np.argmin(risks)]
print(f"least risk {risks.min():.6f} at penalty {best:.3f}; power of the signal {share}")

m, rng = int(delta * n), np.random.default_rng(0)
chosen, draws = penalties[1::4], 6
drawn = []
for _ in range(draws):
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    x0 = np.where(rng.permutation(n) < share * n, rng.standard_normal(n), 0)
    y = A @ x0 + np.sqrt(noise) * rng.standard_normal(m)
    fits = [Lasso(alpha=p / m, fit_intercept=False, tol=1e-4, max_iter=5000).fit(A, y).coef_ for p in chosen]
    drawn.append([np.mean((fit - x0) ** 2) for fit in fits])
for p, risk, values in zip(chosen, risks[1::4], np.transpose(drawn)):
    print(f"penalty {p:.3f}: risk {risk:.5f}, scikit-learn {values.mean():.5f} ± {values.std(ddof=1) / draws**0.5:.5f}")

if len(sys.argv) > 1:
    from rmtp import plots

    with plots.style():
        fig, ax = plots.figure()
        ax.plot(penalties, risks, label="limit")
        error = np.std(drawn, axis=0, ddof=1) / draws**0.5
        ax.errorbar(
            chosen, np.mean(drawn, axis=0), 2 * error, fmt="o", color=plots.PALETTE[1], label="scikit-learn, n = 2000"
        )
        ax.set_xscale("log")
        ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
        ax.set_xticks([], minor=True)
        ax.set_xlabel("penalty")
        ax.set_ylabel("risk per coordinate")
        ax.legend()
    fig.savefig(sys.argv[1])
