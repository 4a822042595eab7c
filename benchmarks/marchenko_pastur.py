"""Moments of A A.T to order 60, exactly, against a recursion typed by hand and against samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from common import WIDTH, sampled, script, seconds, table

import rmtp

RATIO = Fraction(1, 2)
ORDER = 60


def by_theorem() -> list[Fraction]:
    """E v (A A.T)^k v from the unrolled program, which knows nothing of Wishart matrices."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RATIO)
    A, v = rmtp.Gaussian(m, n, name="A"), rmtp.Normal(m, name="v")
    x, moments = v, []
    for _ in range(ORDER):
        x = A @ (A.T @ x)
        moments.append(np.mean(v * x))
    return [estimate.value for estimate in rmtp.limit(moments, exact=True)]


def by_hand() -> list[Fraction]:
    """Z-Hat and Z-Dot worked out on paper for this one program: u_i = A.T v_{i-1}, v_i = A u_i.

    a[i][j] = dZ^{u_i}/dZhat^{u_j} and b[i][j] = dZ^{v_i}/dZhat^{v_j}; the moments are b[k][0].
    """
    one = Fraction(1)
    a: list[dict[int, Fraction]] = [{}]
    b: list[dict[int, Fraction]] = [{0: one}]
    for i in range(1, ORDER + 1):
        a.append({k: RATIO * sum(b[i - 1][j] * a[j][k] for j in range(k, i)) for k in range(1, i)} | {i: one})
        b.append({k: sum(a[i][j] * b[j - 1][k] for j in range(k + 1, i + 1)) for k in range(i)} | {i: one})
    return [b[k][0] for k in range(1, ORDER + 1)]


def trial(n: int, rng: np.random.Generator) -> float:
    """The moment of order 60 of one sample, relative to its limit, by one random probe."""
    m = int(RATIO * n)
    A, v = rng.standard_normal((m, n)) / np.sqrt(n), rng.standard_normal(m)
    x = v
    for _ in range(ORDER // 2):
        x = A @ (A.T @ x)
    return float(x @ x / m) / float(LIMIT)


LIMIT = by_hand()[-1]


def main(quick: bool = False) -> str:
    ours, moments = seconds(by_theorem, 1 if quick else 5)
    hand, recursion = seconds(by_hand, 1 if quick else 5)
    assert moments == recursion
    rows = [
        (f"`rmtp.limit(..., exact=True)`, orders 1 to {ORDER}", ours, "exact rationals"),
        ("recursion worked out on paper, in Fractions", hand, "the same rationals; needs the derivation"),
    ]
    found = sampled(trial, quick)
    for accuracy in (1e-2, 1e-3):
        trials, cost = found.to_reach(accuracy)
        rows.append((f"sampling at n = {WIDTH}, order {ORDER} to {accuracy:g}", cost, f"{trials:.2g} trials"))
    notes = [f"Sampling: {found.how}; mean / limit of the trials at hand {found.mean:.3f}. It never becomes exact."]
    return table(f"Marchenko–Pastur moments to order {ORDER} (ratio {RATIO})", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
