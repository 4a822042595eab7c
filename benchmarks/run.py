"""All benchmarks, one after the other, into RESULTS.md.

python benchmarks/run.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import amp
import anticommutator
import exact_moments
import free_sum
import imports
import kernels
import lowering
import marchenko_pastur
import marchenko_pastur_density
import mixed
import numpy
import populations
import products
import scipy
import state_evolution
import training

import rmtp

BENCHMARKS = (
    lowering,
    marchenko_pastur,
    amp,
    state_evolution,
    mixed,
    exact_moments,
    anticommutator,
    products,
    free_sum,
    marchenko_pastur_density,
    populations,
    imports,
    kernels,
    training,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="All benchmarks, one after the other, into RESULTS.md.")
    parser.add_argument("--quick", action="store_true", help="smaller samples, scaled; the tables say so")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    start = time.perf_counter()
    tables = []
    for module in BENCHMARKS:
        tables.append(module.main(options.quick))
        print(tables[-1], flush=True)
        print()
    head = [
        "# Benchmarks",
        "",
        f"rmtp {rmtp.__version__}, Python {platform.python_version()}, numpy {numpy.__version__}, "
        f"scipy {scipy.__version__}, {os.cpu_count()} cores ({platform.machine()}), "
        f"OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'unset')}, "
        f"{'quick' if options.quick else 'full'} run of {time.perf_counter() - start:.0f} s. "
        "Every table is one run on one machine; compare ratios, not times.",
        "",
    ]
    options.out.write_text("\n".join(head) + "\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
