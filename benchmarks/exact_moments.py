"""Moments to order 40, exactly: the power series of the fixed point against the unrolled program."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from common import Rival, rival, script, seconds, table

import rmtp

ORDER = 40


def marchenko_pastur() -> Any:
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=Fraction(1, 2))
    W = rmtp.Gaussian(m, n)
    return W @ W.T


def anticommutator() -> Any:
    n = rmtp.Dim("n")
    X, Y = rmtp.GOE(n), rmtp.GOE(n)
    return X @ Y + Y @ X


def silverstein() -> Any:
    """X.T T X with a population T of two values."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    X, T = rmtp.Gaussian(m, n), rmtp.diag(rmtp.IID(m, rmtp.Discrete([1, 7])))
    return X.T @ T @ X


def unrolled(M: Any, order: int) -> list[Any]:
    """E v (M^k v) for k = 1..order by the rules for explicit programs."""
    v = rmtp.Normal(M.left[0])
    x, moments = v, []
    for _ in range(order):
        x = M @ x
        moments.append(np.mean(v * x))
    return [e.value for e in rmtp.limit(moments, exact=True)]


def main(quick: bool = False) -> str:
    cases: list[tuple[str, Callable[[], Any], int]] = [
        ("Marchenko–Pastur, ratio 1/2", marchenko_pastur, ORDER),
        ("anticommutator of two GOE", anticommutator, 20 if quick else ORDER),
        ("Silverstein, two populations", silverstein, 20 if quick else ORDER),
    ]
    rows = []
    for name, build, order in cases:
        took, last = seconds(lambda build=build: rmtp.spectrum(build()).moment(ORDER), 1 if quick else 3)
        rows.append((f"{name}: `law.moment({ORDER})`", took, f"a Fraction of {len(str(last))} characters"))
        slow, moments = seconds(lambda build=build, order=order: unrolled(build(), order))
        law = rmtp.spectrum(build())
        same = moments == [law.moment(k) for k in range(1, order + 1)]
        rows.append((f"{name}: `rmtp.limit(..., exact=True)` to order {order}", slow, "equal" if same else "NOT EQUAL"))
    made: Rival = rival("rmtool_moments_mp", {"order": ORDER + 1}, 120)
    notes = []
    if made.missing:
        notes.append(made.missing)
    else:
        same = made.value[ORDER] == str(rmtp.spectrum(marchenko_pastur()).moment(ORDER))
        rows.append(("Marchenko–Pastur, ratio 1/2: rmtool 1.0.0", made.seconds, "equal" if same else "NOT EQUAL"))
    return table(f"Moments to order {ORDER}, exactly", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
