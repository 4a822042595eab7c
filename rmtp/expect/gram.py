"""Averages of linear algorithms: E[f g] = c.T M d, with one matrix of second moments of all variables of a program."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ..ensembles import Number
from ..normal import ONE, Atoms, Draw, Form, Hat, Initial, Mono, mono_times


class Gram:
    """The second moments of the Gaussians and draws asked for so far, as an array that grows.

    Parameters
    ----------
    atoms : Atoms
    moment : callable
        E of a monomial.
    """

    def __init__(self, atoms: Atoms, moment: Callable[[Mono], Number]) -> None:
        self.atoms, self.moment = atoms, moment
        self._place: dict[Mono, int] = {}
        self._matrix = np.zeros((0, 0))

    def inner(self, f: Form, g: Form) -> float | None:
        """E[f g] of forms that are linear in Gaussians and draws, with plain numbers throughout; None for others."""
        if not (self._linear(f) and self._linear(g)):
            return None
        rows = [{m: float(c) for m, c in form.terms.items()} for form in (f, g)]
        if not self._extended({*rows[0], *rows[1]}):
            return None
        left, right = ([self._place[m] for m in row] for row in rows)
        c, d = (np.array(list(row.values())) for row in rows)
        with np.errstate(over="ignore", invalid="ignore"):  # a divergence is reported with its step
            return float(c @ self._matrix[np.ix_(left, right)] @ d)

    def _linear(self, form: Form) -> bool:
        return all(map(_plain, form.terms.values())) and all(
            m == ONE or (len(m) == 1 and m[0][1] == 1 and isinstance(self.atoms.table[m[0][0]], Hat | Initial | Draw))
            for m in form.terms
        )

    def _extended(self, monos: set[Mono]) -> bool:
        for m in sorted(monos - set(self._place)):
            row = [self.moment(mono_times(m, k)) for k in (*self._place, m)]
            if not all(map(_plain, row)):
                return False
            k = len(self._place)
            if k == len(self._matrix):
                grown = np.zeros((2 * k + 8, 2 * k + 8))
                grown[:k, :k] = self._matrix
                self._matrix = grown
            self._matrix[k, : k + 1] = self._matrix[: k + 1, k] = [float(v) for v in row]
            self._place[m] = k
        return True


def _plain(value: Number) -> bool:
    return isinstance(value, int | float | Fraction)
