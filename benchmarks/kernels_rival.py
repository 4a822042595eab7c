"""Kernels by neural-tangents, run by kernels.py in an interpreter that has it (environment variable NEURAL_TANGENTS).

Reads one JSON request per line and answers each with one line, so that the two libraries can take turns in one run.
All functions are jitted, in double precision.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def peak() -> float:
    """The largest resident memory of this process so far, in MB (Linux); getrusage would count what it was forked from."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def activation(name: str) -> Any:
    if name == "relu":
        return stax.Relu()
    if name == "erf":
        return stax.Erf()
    return stax.ElementwiseNumerical(jnp.tanh, deg=25)


def network(given: dict[str, Any]) -> Any:
    w, b = given["weight_std"], given["bias_std"]
    layers: list[Any] = []
    for _ in range(given["depth"]):
        if given["kind"] == "dense":
            layers.append(stax.Dense(1, W_std=w, b_std=b))
        else:
            layers.append(stax.Conv(1, (3, 3), padding="SAME", W_std=w, b_std=b))
        layers.append(activation(given["phi"]))
    if given["kind"] == "flatten":
        layers.append(stax.Flatten())
    if given["kind"] == "average":
        layers.append(stax.GlobalAvgPool())
    layers.append(stax.Dense(1, W_std=w, b_std=b))
    return stax.serial(*layers)[2]


class Worker:
    """One network and its inputs at a time."""

    def prepare(self, given: dict[str, Any]) -> dict[str, Any]:
        """The first call: tracing, compiling and running."""
        x = np.random.default_rng(0).standard_normal(given["inputs"])
        self.x = jnp.asarray(x)
        kernel = network(given)
        self.kernel = jax.jit(lambda x: kernel(x, None, ("nngp", "ntk")))
        start = time.perf_counter()
        self.found = jax.block_until_ready(self.kernel(self.x))
        return {"seconds": time.perf_counter() - start}

    def run(self, given: dict[str, Any]) -> dict[str, Any]:
        """A further call."""
        start = time.perf_counter()
        self.found = jax.block_until_ready(self.kernel(self.x))
        return {"seconds": time.perf_counter() - start}

    def entries(self, given: dict[str, Any]) -> dict[str, Any]:
        """Some entries of both kernels."""
        rows, columns = np.array(given["pairs"]).T
        return {name: np.asarray(getattr(self.found, name))[rows, columns].tolist() for name in ("nngp", "ntk")}

    def about(self, given: dict[str, Any]) -> dict[str, Any]:
        """Version, import time, peak memory so far in MB."""
        return {"version": nt.__version__, "import": IMPORT, "peak": peak()}


def main() -> None:
    worker = Worker()
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps(getattr(worker, given["task"])(given)), flush=True)


if __name__ == "__main__":
    START = time.perf_counter()
    import jax
    import jax.numpy as jnp
    import neural_tangents as nt
    from neural_tangents import stax

    IMPORT = time.perf_counter() - START
    jax.config.update("jax_enable_x64", True)
    main()
