"""Where a formula exists: 1000 density points of Marchenko and Pastur's law."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from common import rival, script, seconds, table

import rmtp

POINTS = 1000
RATIO = Fraction(1, 2)


def formula(x: np.ndarray) -> np.ndarray:
    """Density of the eigenvalues of A A.T, A with variance 1/cols and rows/cols = 1/2."""
    c = float(RATIO)
    low, high = (1 - np.sqrt(c)) ** 2, (1 + np.sqrt(c)) ** 2
    return np.sqrt((high - x) * (x - low)) / (2 * np.pi * c * x)


def main(quick: bool = False) -> str:
    c = float(RATIO)
    x = np.linspace((1 - np.sqrt(c)) ** 2, (1 + np.sqrt(c)) ** 2, POINTS + 2)[1:-1]
    exact = formula(x)
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RATIO)
    A = rmtp.Gaussian(m, n)
    law = rmtp.spectrum(A @ A.T)

    def worst(density: object) -> str:
        return f"largest error {np.max(np.abs(np.asarray(density) - exact)):.1g}"

    first, density = seconds(lambda: law.pdf(x))
    again, _ = seconds(lambda: law.pdf(x), 3)
    rows = [
        (f"`law.pdf`, {POINTS} points of a new law", first, worst(density)),
        (f"`law.pdf`, {POINTS} further points", again, ""),
    ]
    notes = []
    made = rival("skrmt_marchenko_pastur", {"x": list(x), "ratio": c})
    if made.missing:
        notes.append(made.missing)
    else:
        rows.append(("scikit-rmt 2.1.1, its formula", made.seconds, worst(made.value)))
    took, density = seconds(lambda: formula(x), 50)
    rows.append(("the formula in NumPy", took, worst(density)))
    notes.append(f"The formula is {again / took:.0f} times faster than `law.pdf` on further points.")
    return table(f"{POINTS} density points of Marchenko–Pastur, ratio {RATIO}", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
