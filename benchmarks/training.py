"""Linearised training on 1000 points, against neural-tangents and explicit iteration, all in double precision.

The environment variable NEURAL_TANGENTS names an interpreter that has neural-tangents; its times are of a second call.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import script, seconds, table

import rmtp
from rmtp.training import GradientDescent, HeavyBall, Linearised, from_kernels

TRAIN, TEST = 1000, 200
TIMES = np.geomspace(1e-3, 1e3, 10)
STEPS = np.array([1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000])
MISSING = "neural-tangents: skipped, it is not installed (see NEURAL_TANGENTS in training.py)."


def data(train: int, test: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both kernels of a two-layer ReLU network at all points, and targets."""
    rng, n = np.random.default_rng(0), rmtp.Dim("n")

    def net(x: Any) -> Any:
        for _ in range(2):
            x = rmtp.relu(rmtp.networks.dense(x, n, 2**0.5, 0.1))
        return rmtp.readout(x)

    x = rng.standard_normal((train + test, 10))
    k, th = rmtp.nngp_ntk(net, x)
    return np.asarray(k), np.asarray(th), rng.standard_normal((train, 1))


def model_of(k: np.ndarray, th: np.ndarray, y: np.ndarray) -> Linearised:
    n = len(y)
    return from_kernels(th[:n, :n], th[n:, :n], y, nngp=(k[:n, :n], k[n:, :n], k[n:, n:]))


def theirs(**given: Any) -> dict[str, Any] | None:
    """The answer of neural-tangents, or None."""
    python = os.environ.get("NEURAL_TANGENTS")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "asked.npz", Path(folder) / "answer.npz"
        np.savez(asked, **given)
        worker = Path(__file__).with_name("training_rival.py")
        done = subprocess.run([python, worker, asked, answer], capture_output=True, text=True, check=False)
        return dict(np.load(answer)) if done.returncode == 0 else None


def iterated(th: np.ndarray, y: np.ndarray, rate: float, beta: float, steps: np.ndarray) -> np.ndarray:
    """Training outputs from zero, one product with the kernel per step."""
    f, v, out = np.zeros_like(y), np.zeros_like(y), []
    for k in range(int(steps.max()) + 1):
        if k in steps:
            out.append(f)
        v = beta * v - rate * th[: len(y), : len(y)] @ (f - y)
        f = f + v
    return np.stack(out)


def main(quick: bool) -> str:
    k, th, y = data(TRAIN // 4 if quick else TRAIN, TEST // 4 if quick else TEST)
    n, repeats = len(y), 5
    eigh, _ = seconds(lambda: np.linalg.eigh(th[:n, :n]), repeats)

    def flow() -> Any:
        path = model_of(k, th, y).flow(TIMES)
        return path.mean, path.covariance

    def means() -> Any:
        return model_of(k, th, y).flow(TIMES).mean

    def ball() -> Any:
        model = model_of(k, th, y)
        path = model.heavy_ball(STEPS, 0.4 * model.max_learning_rate(), 0.9)
        return path.mean, path.covariance

    took, (mean, covariance) = seconds(flow, repeats)
    discrete, _ = seconds(ball, repeats)
    alone, _ = seconds(means, repeats)
    rows = [
        ("eigendecomposition of the kernel alone", eigh, "numpy.linalg.eigh"),
        ("flow: means, ten times", alone, "from kernels to answers"),
        ("flow: means and covariances, ten times", took, "the same"),
        ("heavy ball: means and covariances, ten numbers of steps to 30 000", discrete, "exact"),
    ]
    notes = []
    made = theirs(task="ensemble", k=k, th=th, y=y, times=TIMES)
    if made is None:
        notes.append(MISSING)
    else:
        gap = np.abs(made["mean"] - mean).max(), np.abs(made["cov"] - covariance).max()
        remark = f"means within {gap[0]:.1e}, covariances {gap[1]:.1e}"
        rows.append(("neural-tangents: the flow", float(made["seconds"]), remark))
    small = min(n, 100)
    part = th[:small, :small]
    rate, at = 0.4 * from_kernels(part, None, y[:small]).max_learning_rate(), np.arange(0, 101)
    for name, optimiser, beta in (
        ("gradient descent", GradientDescent(), 0.0),
        ("heavy ball 0.9", HeavyBall(0.9), 0.9),
    ):
        path = from_kernels(part, None, y[:small]).run(optimiser, at, rate).train_mean
        off = np.abs(path - iterated(part, y[:small], rate, beta, at)).max()
        line = f"{name}, {small} points, 100 steps at 0.4 of the critical rate: from explicit iteration {off:.1e}"
        made = theirs(task="steps", th=part, y=y[:small], rate=rate, momentum=beta, times=at)
        notes.append(
            line + ("." if made is None else f", neural-tangents' ODE {np.abs(made['mean'] - path).max():.2g}.")
        )
    return table(f"Linearised training: {n} training and {len(k) - n} test points", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
