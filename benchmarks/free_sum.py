"""The free sum of ten laws with two atoms each, without eliminating anything."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from common import rival, script, seconds, table

import rmtp

POINTS = 1000
# positions of the two atoms, mass of the first
LAWS = [((-k % 3 - 1, k % 4 + 1), Fraction(1, 2 + k % 3)) for k in range(10)]


def law(count: int = 10) -> rmtp.Law:
    n = rmtp.Dim("n")
    parts = [
        rmtp.Invariant(n, rmtp.Discrete([a, b], [p, 1 - p]), name=f"A{k}") for k, ((a, b), p) in enumerate(LAWS[:count])
    ]
    return rmtp.spectrum(sum(parts))


def sample(n: int, rng: np.random.Generator) -> np.ndarray:
    total = np.zeros((n, n))
    for (a, b), p in LAWS:
        values = np.where(np.arange(n) < float(p) * n, float(a), float(b))
        q, r = np.linalg.qr(rng.standard_normal((n, n)))
        q = q * np.sign(np.diag(r))
        total += (q * values) @ q.T
    return np.linalg.eigvalsh(total)


def main(quick: bool = False) -> str:
    own = law()

    def points() -> np.ndarray:
        (low, high), *_ = own.support()
        return own.pdf(np.linspace(low, high, POINTS + 2)[1:-1])

    first, _ = seconds(points)
    again, _ = seconds(points, 3)
    exact, numeric = own.moment(12), own.expect(lambda x: x**12)
    rows = [
        (
            f"`law.support`, then `law.pdf` at {POINTS} points of a new law",
            first,
            f"moment 12 by integration: relative error {abs(numeric / float(exact) - 1):.0e}",
        ),
        (f"`law.pdf`, {POINTS} further points", again, ""),
    ]
    took, _ = seconds(lambda: law().moment(12))
    rows.append(("moment 12, exactly", took, "a Fraction"))
    n = 300 if quick else 1000
    took, _ = seconds(lambda: sample(n, np.random.default_rng(0)))
    rows.append((f"one sample of n = {n}: ten Haar matrices, diagonalised", took, ""))
    notes = []
    for count in (2, 3, 4) if quick else (2, 3, 4, 5, 6, 10):
        given = {"laws": [[[int(a), int(b)], str(p)] for (a, b), p in LAWS[:count]]}
        made = rival("rmtool_free_sum", given, 30 if quick else 120)
        if made.missing:
            notes.append(f"{count} laws: {made.missing}")
            break
        rows.append((f"rmtool 1.0.0, the polynomial of {count} of them", made.seconds, f"degree {made.value} in m"))
    return table("The free sum of ten laws with two atoms each", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
