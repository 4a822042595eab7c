"""Import time in a fresh interpreter, against the libraries that rmtp stands on."""

from __future__ import annotations

import subprocess
import sys

from common import script, table

STATEMENTS = {
    "`import rmtp`": "import rmtp",
    "`import numpy`": "import numpy",
    "`import numpy, scipy.special`": "import numpy, scipy.special",
    "`import numpy, scipy.stats`": "import numpy, scipy.stats",
    "`import matplotlib.pyplot`": "import matplotlib.pyplot",
}


def fresh(statement: str) -> float:
    """Seconds that one statement takes in a new process."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main(quick: bool = False) -> str:
    times = {name: float("inf") for name in STATEMENTS}
    for _ in range(2 if quick else 7):
        for name, statement in STATEMENTS.items():
            times[name] = min(times[name], fresh(statement))
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, rmtp; print('matplotlib' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    remark = "matplotlib is loaded" if loaded == "True" else "matplotlib is not loaded"
    return table("Import time", [(name, t, remark if "rmtp" in name else "") for name, t in times.items()])


if __name__ == "__main__":
    script(main, __doc__)
