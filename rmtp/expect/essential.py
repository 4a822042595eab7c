"""The variables that a polynomial in Gaussians really depends on.

A product of sums, written out, has as many Gaussians as its factors together, but is a function of as many variables as there
are factors: of those that the coefficients of its gradient span. Row reduction finds them, over any numbers: along the pivots
the polynomial is itself with all other Gaussians set to zero.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..ensembles import Number
from ..normal import Mono

Linear = tuple[tuple[int, Number], ...]  # (Gaussian atom, coefficient)
_NOTHING = 1e-11  # of what a row was, below which what is left of it is rounding
_EVERYWHERE = 1e-6  # of it, above which a pivot has to be at every point of a sweep


def essential(polynomial: dict[Mono, Number]) -> list[tuple[int, Linear]] | None:
    """Fewer linear forms through which the polynomial depends on its Gaussians, each with the Gaussian it stands for.

    In the terms that hold no other Gaussian than these, the form takes the Gaussian's place; all other terms go. None if
    there are not fewer.

    Examples
    --------
    >>> square = {((3, 2),): 1, ((3, 1), (7, 1)): 2, ((7, 2),): 1}
    >>> essential(square)
    [(3, ((3, 1), (7, Fraction(1, 1))))]
    >>> essential({((3, 2),): 1, ((7, 2),): 1}) is None
    True
    """
    atoms = sorted({a for mono in polynomial for a, _ in mono})
    rows = [(row, size) for row in _gradients(polynomial, atoms) if (size := max(map(_most, row))) > 0]
    if len(atoms) < 2 or (len(rows) > 1 and any(hasattr(c, "context") for c in polynomial.values())):
        return None  # in high precision a rank is not decided by rounding of doubles
    forms: list[tuple[int, list[Number]]] = []
    while rows:
        row, size = max(rows, key=lambda r: max(map(_least, r[0])) / r[1])
        column = int(np.argmax([_least(c) for c in row]))
        if _least(row[column]) <= _EVERYWHERE * size or len(forms) + 1 == len(atoms):
            return None
        by = Fraction(row[column]) if isinstance(row[column], int) else row[column]
        pivot = [1 if i == column else c / by for i, c in enumerate(row)]
        forms = [(i, _reduced(other, pivot, column)) for i, other in forms] + [(column, pivot)]
        left = [(_reduced(r, pivot, column), s) for r, s in rows]
        rows = [(r, s) for r, s in left if max(map(_most, r)) > _NOTHING * s]
    return [(atoms[i], tuple((a, c) for a, c in zip(atoms, row, strict=True) if _most(c) > 0)) for i, row in forms]


def _gradients(polynomial: dict[Mono, Number], atoms: list[int]) -> list[list[Number]]:
    """For every monomial of the gradient, its coefficients in the derivatives."""
    rows: dict[Mono, list[Number]] = {}
    for mono, coefficient in polynomial.items():
        for a, power in mono:
            left = tuple((b, q - (b == a)) for b, q in mono if q > (b == a))
            row = rows.setdefault(left, [0] * len(atoms))
            row[atoms.index(a)] = row[atoms.index(a)] + power * coefficient
    return list(rows.values())


def _reduced(row: list[Number], pivot: list[Number], column: int) -> list[Number]:
    factor: Any = row[column]
    return [0 if i == column else c - factor * p for i, (c, p) in enumerate(zip(row, pivot, strict=True))]


def _least(c: Number) -> float:
    return float(np.min(np.abs(np.asarray(c, dtype=float))))


def _most(c: Number) -> float:
    return float(np.max(np.abs(np.asarray(c, dtype=float))))
