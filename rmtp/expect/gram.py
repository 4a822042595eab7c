"""Averages of linear algorithms: E[f g] = c.T Cov d, with one covariance matrix of all Gaussians of a program."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..ensembles import Number
from ..normal import ONE, Atoms, Form, Hat, Initial
from .integrand import CovOf


class Gram:
    """The covariances of the Gaussians asked for so far, as an array that grows.

    Parameters
    ----------
    atoms : Atoms
    cov : callable
        Covariance of two Gaussian atoms.
    """

    def __init__(self, atoms: Atoms, cov: CovOf) -> None:
        self.atoms, self.cov = atoms, cov
        self._place: dict[int, int] = {}
        self._matrix = np.zeros((0, 0))

    def inner(self, f: Form, g: Form) -> float | None:
        """E[f g] of forms that are linear in Gaussians, with plain numbers throughout; None for others."""
        if not (self._linear(f) and self._linear(g)):
            return None
        rows = [{m[0][0]: float(c) for m, c in form.terms.items() if m != ONE} for form in (f, g)]
        if not self._extended({*rows[0], *rows[1]}):
            return None
        left, right = ([self._place[a] for a in row] for row in rows)
        c, d = (np.array(list(row.values())) for row in rows)
        return float(c @ self._matrix[np.ix_(left, right)] @ d) + float(f.constant) * float(g.constant)

    def _linear(self, form: Form) -> bool:
        return all(map(_plain, form.terms.values())) and all(
            m == ONE or (len(m) == 1 and m[0][1] == 1 and isinstance(self.atoms.table[m[0][0]], Hat | Initial))
            for m in form.terms
        )

    def _extended(self, atoms: set[int]) -> bool:
        for a in sorted(atoms - set(self._place)):
            row = [self.cov(a, b) for b in (*self._place, a)]
            if not all(map(_plain, row)):
                return False
            k = len(self._place)
            if k == len(self._matrix):
                grown = np.zeros((2 * k + 8, 2 * k + 8))
                grown[:k, :k] = self._matrix
                self._matrix = grown
            self._matrix[k, : k + 1] = self._matrix[: k + 1, k] = [float(v) for v in row]
            self._place[a] = k
        return True


def _plain(value: Number) -> bool:
    return isinstance(value, int | float | Fraction)
