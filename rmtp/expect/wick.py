"""Isserlis' theorem: Gaussian moments by pairings, in any ring.

Theory, section 4.1. ``gaussian_moment`` is exact whenever the covariances are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ensembles import Number
from ..normal import Mono, mono_without

MAX_DEGREE = 400  # the recursion is as deep as half the degree


def gaussian_moment(mono: Mono, cov: Callable[[int, int], Number], memo: dict[Mono, Number]) -> Number:
    """E of a product of centred Gaussian atoms: E[g rest] = sum_j cov(g, g_j) E[rest without g_j]."""
    degree = sum(power for _, power in mono)
    if degree % 2:
        return 0
    if not mono:
        return 1
    if mono in memo:
        return memo[mono]
    first = mono[0][0]
    rest = mono_without(mono, first)
    total: Number = 0
    for atom, power in rest:
        c = cov(first, atom)
        total = total + power * c * gaussian_moment(mono_without(rest, atom), cov, memo)
    memo[mono] = total
    return total


def conditional_polynomial(
    powers: Sequence[int], slopes: Sequence[Number], residual: Sequence[Sequence[Number]]
) -> list[Number]:
    """E[prod_i g_i^p_i | w] as a polynomial in w, for g_i = slopes_i w + e_i with Cov(e) = residual.

    Coefficients, lowest power of w first. The regression of polynomial Gaussian factors onto the
    one variable a nonlinearity sees: it keeps E[g phi(u)] a one-dimensional integral.
    """
    memo: dict[tuple[int, ...], list[Number]] = {}

    def expand(p: tuple[int, ...]) -> list[Number]:
        if p in memo:
            return memo[p]
        if not any(p):
            return [1]
        first = next(i for i, k in enumerate(p) if k)
        rest = tuple(k - (i == first) for i, k in enumerate(p))
        out: list[Number] = [0, *(slopes[first] * c for c in expand(rest))]
        for j, power in enumerate(rest):
            if power:
                lower = tuple(k - (i == j) for i, k in enumerate(rest))
                for degree, c in enumerate(expand(lower)):
                    out[degree] = out[degree] + power * residual[first][j] * c
        memo[p] = out
        return out

    return expand(tuple(powers))
