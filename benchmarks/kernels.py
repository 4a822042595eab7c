"""Kernels of networks over data sets, against neural-tangents and a recursion by hand, all in double precision.

The environment variable NEURAL_TANGENTS names an interpreter that has neural-tangents; the two libraries take turns.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import script, seconds, table
from imports import fresh
from scipy.special import erf

import rmtp
from rmtp import networks as nets

WEIGHT_STD, BIAS_STD, DEPTH = 1.5, 0.3, 5
PIXELS = 784
PHI: dict[str, Callable[[Any], Any]] = {"relu": rmtp.relu, "erf": erf, "tanh": np.tanh}
IMAGES = (8, 16, 16, 3)
PAIRS = [[0, 0], [0, 1], [2, 5], [7, 3]]
MEMORY = """
import sys
sys.path.insert(0, {folder!r})
import kernels
from kernels_rival import peak
before = peak()
k = kernels.ours("dense", "relu", ({size}, kernels.PIXELS))(kernels.data(({size}, kernels.PIXELS)))
print(before, peak())
"""
SINGLE = """
import sys
sys.path.insert(0, {folder!r})
import kernels
from common import seconds
x = kernels.data({inputs})
k = kernels.ours({kind!r}, {phi!r}, {inputs}, {depth})
k(x)
print(seconds(lambda: k(x), {repeats})[0])
"""


# ---------------------------------------------------------------------------------------------
# the contenders


def data(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def ours(kind: str, phi: str, inputs: Sequence[int], depth: int = DEPTH) -> Any:
    """A plan for inputs of one shape."""

    def dense_net(x: Any) -> Any:
        for _ in range(depth):
            x = PHI[phi](nets.dense(x, n, WEIGHT_STD, BIAS_STD))
        return rmtp.readout(x, WEIGHT_STD, BIAS_STD)

    def image_net(x: Any) -> Any:
        for _ in range(depth):
            x = PHI[phi](nets.conv(x, n, (3, 3), WEIGHT_STD, BIAS_STD))
        return rmtp.readout(nets.global_pool(x) if kind == "average" else x, WEIGHT_STD, BIAS_STD)

    n = rmtp.Dim("n")
    return rmtp.kernel_function(dense_net if kind == "dense" else image_net, tuple(inputs[1:]))


def by_hand(phi: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """The recursions of Cho & Saul, Williams and Jacot in NumPy, without a thought for rounding."""
    w, b = WEIGHT_STD**2, BIAS_STD**2
    k = w * x @ x.T / x.shape[1] + b
    theta = k
    for _ in range(DEPTH):
        d = np.diag(k)
        if phi == "relu":
            norm = np.sqrt(d[:, None] * d[None])
            angle = np.arccos(np.clip(k / norm, -1, 1))
            value = norm * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
            slope = (np.pi - angle) / (2 * np.pi)
        else:
            norm = (1 + 2 * d[:, None]) * (1 + 2 * d[None])
            value = 2 / np.pi * np.arcsin(np.clip(2 * k / np.sqrt(norm), -1, 1))
            slope = 4 / np.pi / np.sqrt(norm - 4 * k * k)
        k = w * value + b
        theta = k + w * slope * theta
    return {"nngp": k, "ntk": theta}


def tanh_reference(x: np.ndarray) -> dict[str, float]:
    """One entry of both kernels, by the trapezoidal rule on 601 x 601 points, which converges exponentially here."""
    w, b = WEIGHT_STD**2, BIAS_STD**2
    gram = w * x[:2] @ x[:2].T / x.shape[1] + b
    u, v, c = gram[0, 0], gram[1, 1], gram[0, 1]
    theta = c
    z = np.linspace(-14, 14, 601)
    p = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    for _ in range(DEPTH):
        left = math.sqrt(u) * z[:, None]
        right = c / math.sqrt(u) * z[:, None] + math.sqrt(v - c * c / u) * z[None]
        value = float(p @ (np.tanh(left) * np.tanh(right)) @ p)
        slope = float(p @ ((1 / np.cosh(left) ** 2) * (1 / np.cosh(right) ** 2)) @ p)
        u, v = (w * float(p @ np.tanh(math.sqrt(q) * z) ** 2) + b for q in (u, v))
        c = w * value + b
        theta = c + w * slope * theta
    return {"nngp": c, "ntk": theta}


def one_blas_thread(kind: str, phi: str, inputs: Sequence[int], depth: int, repeats: int) -> float:
    """Seconds of a further call where matrix products do not start threads of their own beside ours."""
    folder = str(Path(__file__).parent)
    code = SINGLE.format(folder=folder, kind=kind, phi=phi, inputs=tuple(inputs), depth=depth, repeats=repeats)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return float(made.stdout)


class NeuralTangents:
    """A process that computes kernels with neural-tangents, or the lack of it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.about: dict[str, Any] = {}
        if python := os.environ.get("NEURAL_TANGENTS"):
            self.process = subprocess.Popen(
                [python, str(Path(__file__).with_name("kernels_rival.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            try:
                self.about = self.ask("about")
            except (json.JSONDecodeError, BrokenPipeError):
                self.process = None

    def ask(self, task: str, **given: Any) -> Any:
        assert self.process and self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"task": task, **given}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def prepare(self, kind: str, phi: str, inputs: Sequence[int], depth: int) -> float:
        """Seconds of the first call."""
        stds = {"weight_std": WEIGHT_STD, "bias_std": BIAS_STD}
        return float(self.ask("prepare", kind=kind, phi=phi, inputs=list(inputs), depth=depth, **stds)["seconds"])

    def close(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait()

    def __bool__(self) -> bool:
        return self.process is not None


# ---------------------------------------------------------------------------------------------
# tables

MISSING = "neural-tangents: skipped, it is not installed (see NEURAL_TANGENTS in kernels.py)."


def entries(found: Any) -> dict[str, list[float]]:
    return {name: [float(found[name][i, j]) for i, j in PAIRS] for name in ("nngp", "ntk")}


def deviation(a: dict[str, list[float]], b: dict[str, list[float]], among: Sequence[int] = range(len(PAIRS))) -> float:
    return max(abs(a[name][k] / b[name][k] - 1) for name in a for k in among)


def diagonal(x: np.ndarray) -> dict[str, list[float]]:
    """Both ReLU kernels of one input with itself, where E relu(u)^2 = q / 2 and E step(u)^2 = 1 / 2."""
    w, b = WEIGHT_STD**2, BIAS_STD**2
    theta = q = w * float(x @ x) / len(x) + b
    for _ in range(DEPTH):
        q = w * q / 2 + b
        theta = q + w * theta / 2
    return {"nngp": [q], "ntk": [theta]}


def contest(
    nt: NeuralTangents, kind: str, phi: str, inputs: Sequence[int], depth: int = DEPTH, repeats: int = 5
) -> tuple[list[tuple[str, float, str]], dict[str, Any]]:
    """Rows of one network: warm and cold, the two libraries taking turns; and entries of both."""
    x = data(inputs)
    planning, kernel = seconds(lambda: ours(kind, phi, inputs, depth))
    first, found = seconds(lambda: kernel(x))
    compiling = nt.prepare(kind, phi, inputs, depth) if nt else math.nan
    warm, theirs = first, math.inf
    for _ in range(repeats):
        warm = min(warm, seconds(lambda: kernel(x))[0])
        if nt:
            theirs = min(theirs, nt.ask("run")["seconds"])
    rows = [
        ("rmtp: `kernel_function`, called again", warm, kernel.method),
        ("rmtp: planning and first call", planning + first, f"planning {planning * 1e3:.3g} ms"),
    ]
    values: dict[str, Any] = {"rmtp": entries(found), "warm": warm}
    single = one_blas_thread(kind, phi, inputs, depth, repeats)
    values["single"] = single
    rows.append(("rmtp: called again, OPENBLAS_NUM_THREADS=1", single, "in a process of its own"))
    if nt:
        values["nt"] = nt.ask("entries", pairs=PAIRS)
        values["theirs"] = theirs
        rows += [
            ("neural-tangents: jitted, called again", theirs, ""),
            ("neural-tangents: compiling and first call", compiling, ""),
        ]
    return rows, values


def dense(nt: NeuralTangents, phi: str, size: int) -> str:
    inputs = (size, PIXELS)
    rows, values = contest(nt, "dense", phi, inputs)
    took, hand = seconds(lambda: by_hand(phi, data(inputs)), 3)
    differences = f"largest relative difference of some entries to rmtp {deviation(entries(hand), values['rmtp']):.0e}"
    rows.append(("the recursion in NumPy, written out", took, f"needs the derivation; {differences}"))
    notes = [] if nt else [MISSING]
    if nt:
        elsewhere = deviation(values["nt"], values["rmtp"], range(1, len(PAIRS)))
        notes.append(f"The libraries differ by {elsewhere:.0e} off the diagonal.")
        if phi == "relu":
            exact = diagonal(data(inputs)[0])
            off = {name: deviation(values[name], exact, [0]) for name in ("rmtp", "nt")}
            notes[0] += f" On it, where kernels are exact halves, rmtp is off by {off['rmtp']:.0e}"
            notes[0] += f" and neural-tangents by {off['nt']:.0e}."
    title = f"NNGP and NTK of {DEPTH} {'ReLU' if phi == 'relu' else phi} layers, {size} inputs of {PIXELS} numbers"
    return table(title, rows, notes)


def numerical(nt: NeuralTangents, size: int) -> str:
    inputs = (size, PIXELS)
    rows, values = contest(nt, "dense", "tanh", inputs)
    exact = tanh_reference(data(inputs))
    at = PAIRS.index([0, 1])

    def off(found: dict[str, list[float]]) -> str:
        return ", ".join(f"{name.upper()} {abs(found[name][at] / exact[name] - 1):.0e}" for name in exact)

    rows[0] = (*rows[0][:2], f"{rows[0][2]}; relative error {off(values['rmtp'])}")
    if nt:
        rows[3] = (*rows[3][:2], f"`ElementwiseNumerical`, deg=25; relative error {off(values['nt'])}")
    notes = ["Errors at one pair of inputs, against the trapezoidal rule on 601 × 601 points."]
    return table(f"NNGP and NTK of {DEPTH} tanh layers, {size} inputs", rows, notes + ([] if nt else [MISSING]))


def images(nt: NeuralTangents, kind: str, inputs: Sequence[int]) -> str:
    rows, values = contest(nt, kind, "relu", inputs, 3)
    end = "flattened" if kind == "flatten" else "global average"
    shape = " × ".join(map(str, inputs[1:]))
    note = f"Largest relative difference {deviation(values['nt'], values['rmtp']):.0e}." if nt else MISSING
    return table(f"NNGP and NTK of 3 convolutions 3 × 3, {end}, {inputs[0]} images {shape}", rows, [note])


def growth(nt: NeuralTangents, sizes: Sequence[int]) -> str:
    rows: list[tuple[str, float, str]] = []
    single = "rmtp, OPENBLAS_NUM_THREADS=1"
    times: dict[str, list[float]] = {"rmtp": [], single: [], "neural-tangents": []}
    for size in sizes:
        _, values = contest(nt, "dense", "relu", (size, PIXELS), repeats=5)
        times["rmtp"].append(values["warm"])
        times[single].append(values["single"])
        times["neural-tangents"].append(values.get("theirs", math.nan))
    for name, found in times.items():
        if name != "neural-tangents" or nt:
            slope = np.polyfit(np.log(sizes), np.log(found), 1)[0]
            remark = f"exponent of N over all sizes {slope:.2f}"
            rows += [(f"{name}, N = {s}", t, remark if s == sizes[-1] else "") for s, t in zip(sizes, found)]
    return table(f"Growth with the number of inputs, {DEPTH} ReLU layers, called again", rows, [] if nt else [MISSING])


def memory(size: int) -> str:
    """Peak memory of fresh processes."""
    code = MEMORY.format(folder=str(Path(__file__).parent), size=size)
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    before, peak = map(float, made.split())
    lines = [
        f"### Peak memory, {DEPTH} ReLU layers, {size} inputs",
        "",
        "| | after importing | peak | more than importing |",
        "|---|---:|---:|---:|",
        f"| rmtp | {before:.0f} MB | {peak:.0f} MB | {peak - before:.0f} MB |",
    ]
    nt = NeuralTangents()
    if nt:
        nt.prepare("dense", "relu", (size, PIXELS), DEPTH)
        before, peak = nt.about["peak"], nt.ask("about")["peak"]
        lines.append(f"| neural-tangents | {before:.0f} MB | {peak:.0f} MB | {peak - before:.0f} MB |")
        nt.close()
    lines += ["", f"The data take {size * PIXELS * 8 / 1e6:.0f} MB, the two kernels {2 * size**2 * 8 / 1e6:.0f} MB."]
    return "\n".join(lines if nt else [*lines, MISSING])


def importing(nt: NeuralTangents) -> str:
    rows = [("`import rmtp`", min(fresh("import rmtp") for _ in range(3)), "")]
    if nt:
        rows.append(("`import jax, neural_tangents`", nt.about["import"], f"neural-tangents {nt.about['version']}"))
    return table("Import time of kernel libraries", rows, [] if nt else [MISSING])


def main(quick: bool = False) -> str:
    size = 500 if quick else 2000
    load = os.getloadavg()[0]
    nt = NeuralTangents()
    tables = [
        dense(nt, "relu", size),
        dense(nt, "erf", size),
        numerical(nt, 100 if quick else 200),
        images(nt, "flatten", IMAGES),
        images(nt, "average", IMAGES),
        growth(nt, [k * size // 4 for k in (1, 2, 4)]),
        importing(nt),
    ]
    nt.close()
    tables.append(memory(size))
    last = (
        f"Kernels: load of the machine (one minute) {load:.1f} before and {os.getloadavg()[0]:.1f} after these tables."
    )
    return "\n\n".join([*tables, last])


if __name__ == "__main__":
    script(main, __doc__)
