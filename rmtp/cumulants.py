"""Free cumulants from moments, and back, over the rationals.

One recursion serves symmetric and rectangular matrices. With T = M for a symmetric matrix, M(z) = 1 + sum m_k z^k, and
T = (gamma M + 1)(M + 1) for a rectangular one, M(z) = sum m_k z^k with m_k = lim (1/m) tr (W W.T)^k and gamma = m/n,

    m_n = sum_{s <= n} kappa_s [z^{n-s}] T(z)^s

(Voiculescu; Benaych-Georges 2009 for rectangular matrices, whose kappa_{2s} is kappa_s here). Moments are read as
rationals even where they are floats: the subtraction loses digits like 4^n, while exact cumulants of rounded moments
give limits that are off by no more than the moments are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Number = Any
OfOrder = Callable[[int], Number]

_UNIT, _SIGNS = Fraction(1, 2**51), 512
_TOLERANCE = Fraction(1, 10**9)  # of a pivot of a Hankel matrix of rounded moments


@dataclass(eq=False)
class _Powers:
    """[z^k] T^s for the T above, known as far as the moments are."""

    gamma: Number | None
    moments: list[Fraction] = field(default_factory=list)
    _series: list[Fraction] = field(default_factory=lambda: [Fraction(1)])
    _table: list[list[Fraction]] = field(default_factory=list)

    def push(self, moment: Fraction) -> None:
        """One more moment, hence one more coefficient of T."""
        m = self.moments
        m.append(moment)
        if self.gamma is None:
            self._series.append(moment)
        else:
            pairs = sum((a * b for a, b in zip(m[:-1], reversed(m[:-1]), strict=True)), Fraction(0))
            self._series.append(self.gamma * pairs + (self.gamma + 1) * moment)

    def diagonal(self, n: int) -> list[Fraction]:
        """[z^{n-s}] T^s for s = 1..n; needs n - 1 moments."""
        while len(self._table) < n:
            self._table.append([])
        before: list[Fraction] = []
        for s in range(1, n + 1):
            row = self._table[s - 1]
            for k in range(len(row), n - s + 1):
                if s == 1:
                    row.append(self._series[k])
                else:
                    row.append(sum((before[k - i] * self._series[i] for i in range(k + 1)), Fraction(0)))
            before = row
        return [self._table[s - 1][n - s] for s in range(1, n + 1)]


class FromMoments:
    """Free cumulants of a law given by its moments, computed as far as they are asked for.

    Parameters
    ----------
    moment : callable
        ``moment(k)``: of the eigenvalues, or for a rectangular matrix lim (1/rows) tr (W W.T)^k.
        A Fraction, or a float where it is rounded.
    gamma : Fraction, optional
        rows / cols of a rectangular matrix, whose cumulants are the rectangular ones: kappa_2, kappa_4, ...
    rational : bool
        Whether the law was given by ints and Fractions.
    readable : bool
        Whether its numbers stand for rationals; if not, a cumulant is computed from them exactly and is then a float.

    Examples
    --------
    >>> signs = FromMoments(lambda k: Fraction(1 - k % 2))
    >>> [int(signs(order)) for order in range(1, 9)]
    [0, 1, 0, -1, 0, 2, 0, -5]
    """

    def __init__(
        self, moment: OfOrder, gamma: Fraction | None = None, rational: bool = True, readable: bool = True
    ) -> None:
        self.moment, self.gamma, self.rational, self.readable = moment, gamma, rational, readable
        self._powers = _Powers(gamma)
        self._known: list[Fraction] = []
        self._copies: list[FromMoments] = []
        self._exact = 0  # cumulants that rest on exact moments only

    def __call__(self, order: int) -> Number:
        if self.gamma is not None and order % 2:
            return 0
        order = self._index(order)
        while len(self._known) < order:
            n = len(self._known) + 1
            given = self.moment(n)
            if self._exact == n - 1 and isinstance(given, int | Fraction):
                self._exact = n
            moment = Fraction(given)
            *lower, _ = self._powers.diagonal(n)
            self._known.append(moment - sum((k * p for k, p in zip(self._known, lower, strict=True)), Fraction(0)))
            self._powers.push(moment)
        value = self._known[order - 1]
        return value if self.readable and order <= self._exact else float(value)

    def _index(self, order: int) -> int:
        return order if self.gamma is None else order // 2

    def rounded(self, order: int) -> bool:
        """Whether a moment that was given as a float is in a cumulant that was asked for."""
        return self._index(order) > self._exact

    def perturbed(self, order: int, copies: int) -> list[Number]:
        """The cumulant, then of the same law with its moments off by a unit of rounding, each copy by its own signs."""
        while len(self._copies) < copies - 1:
            signs = random.Random(len(self._copies))
            off = [1 + _UNIT * signs.choice((-1, 1)) for _ in range(_SIGNS)]
            self._copies.append(FromMoments(_shifted(self.moment, off), self.gamma))
        return [self(order), *(copy(order) for copy in self._copies[: copies - 1])]


def _shifted(moment: OfOrder, off: Sequence[Fraction]) -> OfOrder:
    return lambda k: Fraction(moment(k)) * off[k % _SIGNS]


@dataclass(frozen=True)
class Listed:
    """The given cumulants kappa_1, kappa_2, ...; the rest are 0."""

    values: tuple[Number, ...]
    rational: bool = True

    def __call__(self, order: int) -> Number:
        return self.values[order - 1] if order <= len(self.values) else 0


@dataclass(frozen=True)
class FreePoisson:
    """kappa_j = s2^j gamma^(j-1): the cumulants of X X.T, X iid of variance s2/cols with gamma = rows/cols."""

    s2: Number
    gamma: Number
    rational: bool = True

    def __call__(self, order: int) -> Number:
        return self.s2**order * self.gamma ** (order - 1)


def moments_of(cumulant: OfOrder, order: int, gamma: Fraction | None = None) -> list[Fraction]:
    """m_1 .. m_order of the law with these free (with gamma: rectangular) cumulants.

    Examples
    --------
    >>> [int(m) for m in moments_of(Listed((0, 1)), 8)]
    [0, 1, 0, 2, 0, 5, 0, 14]
    """
    powers, step = _Powers(gamma), 1 if gamma is None else 2
    kappa: list[Fraction] = []
    for n in range(1, order + 1):
        kappa.append(Fraction(cumulant(step * n)))
        powers.push(sum((k * p for k, p in zip(kappa, powers.diagonal(n), strict=True)), Fraction(0)))
    return powers.moments


def is_moment_sequence(moments: Sequence[Number], nonnegative: bool = False) -> bool:
    """Whether m_1, m_2, .. may be the moments of a law (Hamburger), or of one on [0, inf) (Stieltjes).

    Examples
    --------
    >>> is_moment_sequence([0, 1, 0, 2]), is_moment_sequence([0, 1, 0, Fraction(1, 2)])
    (True, False)
    """
    full = [Fraction(1), *(Fraction(m) for m in moments)]
    exact = all(isinstance(m, int | Fraction) for m in moments)
    shifts = (0, 1) if nonnegative else (0,)
    return all(_semidefinite(_hankel(full, shift), exact) for shift in shifts)


def _hankel(moments: list[Fraction], shift: int) -> list[list[Fraction]]:
    size = (len(moments) - shift + 1) // 2
    return [[moments[i + j + shift] for j in range(size)] for i in range(size)]


def _semidefinite(matrix: list[list[Fraction]], exact: bool) -> bool:
    """By elimination: no pivot is negative, and beneath a zero pivot stands nothing."""
    rows = [list(row) for row in matrix]
    for k, row in enumerate(rows):
        slack = Fraction(0) if exact else _TOLERANCE * abs(matrix[k][k])
        pivot = row[k]
        if pivot < -slack:
            return False
        if pivot <= slack:
            if exact and any(row[k + 1 :]):
                return False
            continue
        for below in rows[k + 1 :]:
            factor = below[k] / pivot
            if factor:
                below[k:] = [b - factor * r for b, r in zip(below[k:], row[k:], strict=True)]
    return True
