"""Linearised training by neural-tangents, run by training.py in an interpreter that has it.

Arguments: an .npz file with the kernels k and th of all points, targets y, and what to compute; and where to put the answer.
Time is counted for a second call, after whatever is compiled at the first.
"""

from __future__ import annotations

import sys
import time
from collections import namedtuple
from typing import Any

import numpy as np


def ensemble(d: Any) -> dict[str, Any]:
    """Mean and covariance of the flow at d["times"], all points of the training set first."""
    k, th, y = d["k"], d["th"], d["y"]
    n = len(y)

    def kernel_fn(x1: Any, x2: Any, get: Any = None, **_: Any) -> Any:
        i, j = (np.asarray(x)[:, 0].astype(int) for x in (x1, x1 if x2 is None else x2))
        found = {"nngp": jnp.asarray(k[np.ix_(i, j)]), "ntk": jnp.asarray(th[np.ix_(i, j)])}
        return found[get] if isinstance(get, str) else namedtuple("Kernels", get)(*(found[g] for g in get))

    points = np.arange(len(k), dtype=float)[:, None]
    start = time.perf_counter()
    predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, points[:n], y)
    # its loss is a mean over samples and outputs
    made = [predict(t=float(t) * y.size, x_test=points[n:], get="ntk", compute_cov=True) for t in d["times"]]
    jax.block_until_ready(made)
    took = time.perf_counter() - start
    return {"seconds": took, "mean": np.stack([m.mean for m in made]), "cov": np.stack([m.covariance for m in made])}


def steps(d: Any) -> dict[str, Any]:
    """Outputs at training points after d["times"] steps, as its ODE has them."""
    th, y, rate, beta = d["th"], d["y"], float(d["rate"]), float(d["momentum"])
    n = len(y)
    momentum = {"momentum": beta} if beta else {}
    start = time.perf_counter()

    def loss(f: Any, y: Any) -> Any:
        return 0.5 * jnp.sum((f - y) ** 2)

    predict = nt.predict.gradient_descent(loss, jnp.asarray(th[:n, :n]), jnp.asarray(y), rate, **momentum)
    at = np.asarray(d["times"], dtype=float)
    made = np.asarray(predict(jnp.asarray(at), jnp.zeros_like(jnp.asarray(y))))
    return {"seconds": time.perf_counter() - start, "mean": made}


if __name__ == "__main__":
    import jax
    import jax.numpy as jnp
    import neural_tangents as nt

    jax.config.update("jax_enable_x64", True)
    given = np.load(sys.argv[1])
    work = {"ensemble": ensemble, "steps": steps}[str(given["task"])]
    work(given)
    np.savez(sys.argv[2], **work(given))
