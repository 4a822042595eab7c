"""What the benchmarks share: timing, and one table per claim.

Each script times the same work done by rmtp and by what one would use instead, in one process, one after the
other. Where the alternative samples finite matrices, it is charged for reaching the accuracy that rmtp states:
(spread of one trial / accuracy)^2 trials. The bias of a finite width, of order 1/n, is not charged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 8000
SMALL = 1000


def seconds(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The shortest wall time of `repeats` calls, and the last result."""
    best, result = math.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


@dataclass(frozen=True)
class Sampling:
    """What finite matrices cost: seconds per trial, spread of one trial, and how the two were found."""

    width: int
    per_trial: float
    spread: float
    mean: float
    how: str

    def to_reach(self, error: float) -> tuple[float, float]:
        """(trials, seconds) for a standard error `error`."""
        trials = max(1.0, (self.spread / error) ** 2)
        return trials, trials * self.per_trial


def sampled(
    trial: Callable[[int, np.random.Generator], float], quick: bool, trials: int = 32, width: int = WIDTH
) -> Sampling:
    """Cost of sampling at `width`.

    The spread of one trial is measured at width 1000 and scaled by n^(-1/2). The time of one trial is measured at
    `width` itself, or, if `quick`, at width 1000 and scaled by n^2, the work of drawing and multiplying a matrix.
    """
    rng = np.random.default_rng(0)
    took, values = seconds(lambda: [trial(SMALL, rng) for _ in range(trials)])
    spread = float(np.std(values, ddof=1)) * math.sqrt(SMALL / width)
    if quick:
        per_trial = took / trials * (width / SMALL) ** 2
        how = f"time and spread from {trials} trials at n = {SMALL}, scaled by n^2 and n^(-1/2)"
        return Sampling(width, per_trial, spread, float(np.mean(values)), how)
    took, values = seconds(lambda: [trial(width, rng) for _ in range(2)])
    how = f"time from 2 trials at n = {width}; spread from {trials} trials at n = {SMALL}, scaled by n^(-1/2)"
    return Sampling(width, took / 2, spread, float(np.mean(values)), how)


@dataclass(frozen=True)
class Rival:
    """What another package made of a task: seconds and a value, or a line that says why there is none."""

    seconds: float
    value: Any
    missing: str = ""


def rival(task: str, given: dict[str, Any], budget: float = 60.0) -> Rival:
    """A task of rivals.py, in the first interpreter that has the package.

    Interpreters are those of the environment variable RIVALS (a list of paths to python, joined by os.pathsep; packages whose
    requirements exclude each other need one each), then this one.
    """
    module = task.partition("_")[0]
    package = "scikit-rmt" if module == "skrmt" else module
    listed = [p for p in os.environ.get("RIVALS", "").split(os.pathsep) if p]
    for python in [*listed, sys.executable]:
        worker = Path(__file__).with_name("rivals.py")
        try:
            done = subprocess.run(
                [python, worker, task],
                input=json.dumps(given),
                capture_output=True,
                text=True,
                timeout=budget,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Rival(math.nan, None, f"{package}: no answer within {budget:.0f} s.")
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
            return Rival(math.nan, None, f"{package}: failed with {reason[0][:100]}.")
        made = json.loads(done.stdout)
        if "missing" not in made:
            return Rival(made["seconds"], made["value"])
    return Rival(math.nan, None, f"{package}: skipped, it is not installed (see RIVALS in common.py).")


def duration(value: float) -> str:
    """A time to two digits, in the unit a reader thinks in."""
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 0.9995:
        return f"{value * 1e3:.3g} ms"
    if value < 600:
        return f"{value:.3g} s"
    if value < 48 * 3600:
        return f"{value / 3600:.2g} h"
    if value < 2 * 365 * 86400:
        return f"{value / 86400:.2g} days"
    return f"{value / (365.25 * 86400):.2g} years"


def ratio(value: float, reference: float) -> str:
    """value / reference to two digits."""
    r = value / reference
    if r >= 1e4:
        return f"{r:.1e}"
    return f"{r:.0f}" if r >= 10 else f"{r:.2g}"


def table(title: str, rows: Sequence[tuple[str, float, str]], notes: Sequence[str] = ()) -> str:
    """A markdown table of (what, seconds, remark); ratios are to the first row."""
    reference = rows[0][1]
    lines = [f"### {title}", "", "| | time | time / first row | |", "|---|---:|---:|---|"]
    lines += [f"| {what} | {duration(t)} | {ratio(t, reference)} | {remark} |" for what, t, remark in rows]
    if notes:
        lines += ["", *notes]
    return "\n".join(lines)


def script(main: Callable[[bool], str], description: str | None) -> None:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller samples, scaled; the table says so")
    print(main(parser.parse_args().quick))
