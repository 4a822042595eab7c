"""All uses of one rotationally invariant matrix: what the theorem makes of its free cumulants (theory, section 3).

With the uses W x_1, W x_2, .. in order, Delta_ab = E[Z^{x_a} Z^{x_b}] and Phi_ab = E[dZ^{x_a}/dZhat_b],

    Z^{W x_a} = Zhat_a + sum_b B_ab Z^{x_b},      B   = sum_j     kappa_{j+1}   Phi^j
                                                  Cov = sum_{j,k} kappa_{j+k+2} Phi^j Delta (Phi^k)^T

(Fan 2022, 2008.11892). For a rectangular matrix W and W.T are listed together; Phi is then zero between equal directions, Delta
between opposite ones, and the rows of W.T carry the factor gamma = rows/cols. Phi is strictly lower triangular, so a new use
adds a row to everything and changes nothing that stands. Rejected: one covariance at a time on demand, as for iid entries
where it is kappa_2 Delta_ab; here every entry needs all earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .cumulants import FromMoments
from .ensembles import Number
from .errors import UnsupportedOperation
from .expect.engine import COPIES, NeedsSampling
from .expect.gradients import Gradients
from .instructions import RandomMatrix
from .normal import Form, Hat, add, is_zero, scale
from .quantity import Quantity
from .ring import as_number

_ROUNDING = 1e-13  # a conditional variance below this share of the terms it is the sum of is none
_DIGITS = 10**6  # the same in mpmath, in units of its epsilon

Row = dict[int, Number]  # the entries of a row that are not structurally zero


class Uses:
    """The uses of one matrix so far, one row of Phi, Delta, Cov each.

    Parameters
    ----------
    matrix : RandomMatrix
    expect : Gradients
        Computes the entries, and is told the covariances of the hats.
    number : callable
        Takes given numbers into the ring of the computation.
    exact : bool
        Take every cumulant as the rational number it is read as.
    naive : bool
        Treat every use as one of a fresh copy: Phi = 0.
    """

    def __init__(
        self,
        matrix: RandomMatrix,
        expect: Gradients,
        number: Callable[[Number], Number],
        exact: bool = False,
        naive: bool = False,
    ) -> None:
        self.matrix, self.expect, self.naive = matrix, expect, naive
        self._number, self._exact = number, exact
        self.elements: list[Form] = []
        self.transposed: list[bool] = []
        self.hats: list[int] = []
        self._place: dict[int, int] = {}  # of a hat in the lists
        self._phi: list[Row] = []
        self._powers: list[list[Row]] = []  # rows of Phi^0, Phi^1, ..
        self._delta: list[Row] = []
        self._sums: list[list[Row]] = []  # rows of S_m = sum_{j+k=m} Phi^j Delta (Phi^k)^T
        self._cov: list[Row] = []
        self._factor: list[tuple[Row, Number]] = []  # Cov = L D L^T: a row of L and the conditional variance
        self._ranks: list[int] = []

    def append(self, transposed: bool, x: Form) -> tuple[Form, Form]:
        """Zhat and Zdot of one more use, linearly independent of the earlier ones."""
        new = len(self.elements)
        with self.expect.record() as ranks:
            phi = {} if self.naive else self._couplings(transposed, x)
            powers = self._powers_row(new, phi)
            delta = self._delta_row(transposed, x, phi)
            sums = self._sums_row(new, phi, powers, delta)
            cov, size = self._covariances(new, transposed, sums)
            memory = self._memory(transposed, x, powers)
            chained = {b for row in powers for b in row if b != new}
            for b in chained:
                self.expect.note(self._ranks[b])
            rank = ranks[-1]
        factor, variance = self._conditioned(new, cov)
        if self._is_rounding(variance, size):  # this hat is a combination of earlier ones
            return self._combination(factor), memory
        number = self.expect.atoms.intern(Hat(self.matrix, transposed, x))
        self.elements.append(x)
        self.transposed.append(transposed)
        self.hats.append(number)
        self._place[number] = new
        self._phi.append(phi)
        self._powers.append(powers)
        self._delta.append(delta)
        self._sums.append(sums)
        self._cov.append(cov)
        self._factor.append((factor, variance))
        self._ranks.append(rank)
        for b in self._alike(transposed):
            self.expect.settle(self.hats[b], number, cov.get(b, 0), max(rank, self._ranks[b]))
        return self.expect.atoms.form(Hat(self.matrix, transposed, x)), memory

    # -- cumulants --------------------------------------------------------------------------------

    def cumulant(self, order: int, transposed: bool) -> Number:
        """kappa_order in the ring, times gamma for a use of W.T."""
        ensemble = self.matrix.ensemble
        given, value = ensemble.cumulants, ensemble.cumulant(order)
        if self.expect.ctx is not None and isinstance(value, float) and not ensemble.rational:
            raise UnsupportedOperation(
                f"the cumulants of {ensemble.kind} are known in double precision only",
                remedy="give atoms or rational cumulants, or drop dps=",
            )
        if self._exact or ensemble.rational or self.expect.ctx is not None:
            value = self._number(value)
        elif self.expect.sampler is None and isinstance(given, FromMoments) and given.rounded(order):
            # differences of rounded moments: the copies carry what that does to the limit
            value = as_number(np.array([float(k) for k in given.perturbed(order, COPIES)]))
        else:
            value = float(value)
        if transposed:
            value = value * (self._number(self.matrix.rows.ratio) / self._number(self.matrix.cols.ratio))
        return value

    # -- rows -------------------------------------------------------------------------------------

    def _alike(self, transposed: bool) -> list[int]:
        """The uses in this direction."""
        return [b for b, t in enumerate(self.transposed) if t == transposed]

    def _couplings(self, transposed: bool, x: Form) -> Row:
        """Phi: how Z^x depends on the hats that come out where x goes in."""
        symmetric = self.matrix.ensemble.symmetric
        places = {a: self._place[a] for a in self.expect.atoms.form_leaves(x) if a in self._place}
        hats = [a for a, b in places.items() if symmetric or self.transposed[b] != transposed]
        slopes = self.expect.orthogonal_gradient(x, hats) if hats else {}
        return {places[a]: slope for a, slope in slopes.items() if not is_zero(slope)}

    def _powers_row(self, new: int, phi: Row) -> list[Row]:
        """The new row of Phi^0, Phi^1, ..: Phi^{j+1} = Phi Phi^j."""
        rows: list[Row] = [{new: 1}]
        depth = max((len(self._powers[c]) for c in phi), default=0)
        for j in range(depth):
            row: Row = {}
            for c, slope in phi.items():
                if j < len(self._powers[c]):
                    _accumulate(row, self._powers[c][j], slope)
            rows.append(row)
        return rows

    def _delta_row(self, transposed: bool, x: Form, phi: Row) -> Row:
        alike = self._alike(transposed)
        try:
            row = self.expect.gram_row(x, [self.elements[b] for b in alike])
        except NeedsSampling:
            row = self._sampled_delta(alike, x, phi)
        return {b: value for b, value in zip([*alike, len(self.elements)], row, strict=True) if not _absent(value)}

    def _sampled_delta(self, alike: list[int], x: Form, phi: Row) -> list[Number]:
        """Delta from the residuals r_a = Z^{x_a} - sum_b Phi_ab Zhat_b, which are orthogonal to the hats.

        Delta = Phi Cov Phi^T + E[r r^T] with a second part that is semidefinite on the points: there is a program with
        this Delta and this Phi, hence Cov is a covariance, whatever the points got wrong.
        """
        explained = {b: self._through_hats(phi, self._phi[b]) for b in alike}

        def known(i: int, j: int) -> Number:
            b, c = alike[i], alike[j]
            return self._delta[b].get(c, 0) - self._through_hats(self._phi[b], self._phi[c])

        residuals = [self._residual(self.elements[b], self._phi[b]) for b in alike]
        row = self.expect.sampled_row(self._residual(x, phi), residuals, known)
        own = self._through_hats(phi, phi)
        return [r + e for r, e in zip(row, [*explained.values(), own], strict=True)]

    def _residual(self, x: Form, phi: Row) -> Form:
        for b, slope in phi.items():
            x = add(x, self.expect.atoms.form(self.expect.atoms.table[self.hats[b]]), -slope)
        return x

    def _through_hats(self, phi: Row, psi: Row) -> Number:
        """phi Cov psi^T."""
        total: Number = 0
        for b, f in phi.items():
            for c, g in psi.items():
                total = total + f * g * self._cov[max(b, c)].get(min(b, c), 0)
        return total

    def _sums_row(self, new: int, phi: Row, powers: list[Row], delta: Row) -> list[Row]:
        """The new row of S_m = Phi S_{m-1} + Delta (Phi^m)^T; S_m is symmetric."""
        deepest = max([len(powers), *(len(p) for p in self._powers)]) - 1
        rows = [delta]
        every = [*self._powers, powers]
        for m in range(1, len(powers) + deepest):
            row: Row = {}
            for b in range(new + 1):
                total: Number = 0
                for c, slope in phi.items():
                    total = total + slope * self._entry(rows, new, m - 1, c, b)
                if m < len(every[b]):
                    for d, power in every[b][m].items():
                        if d in delta:
                            total = total + delta[d] * power
                if not _absent(total):
                    row[b] = total
            rows.append(row)
        return rows

    def _entry(self, fresh: list[Row], new: int, m: int, c: int, b: int) -> Number:
        """S_m[c, b] = S_m[b, c], with the row of the new use not stored yet."""
        last = max(b, c)
        rows = fresh if last == new else self._sums[last]
        return rows[m].get(min(b, c), 0) if m < len(rows) else 0

    def _covariances(self, new: int, transposed: bool, sums: list[Row]) -> tuple[Row, Number]:
        """The new row of Cov = sum_m kappa_{m+2} S_m, and the size of the terms of the last entry."""
        row: Row = {}
        size: Number = 0
        alike = {*self._alike(transposed), new}
        for m, entries in enumerate(sums):
            here = {b: s for b, s in entries.items() if b in alike}
            if not here:
                continue
            kappa = self.cumulant(m + 2, transposed)
            if not is_zero(kappa):
                _accumulate(row, here, kappa)
                term = kappa * here.get(new, 0)
                size = size + (0 if isinstance(term, Quantity) else abs(term))  # symbols do not round
        return row, size

    def _memory(self, transposed: bool, x: Form, powers: list[Row]) -> Form:
        """sum_b B_ab Z^{x_b}."""
        total = Form({})
        for j, row in enumerate(powers):
            kappa = self.cumulant(j + 1, transposed) if row else 0
            for b, power in row.items():
                if not is_zero(kappa):
                    total = add(total, x if b == len(self.elements) else self.elements[b], kappa * power)
        return total

    # -- hats that are combinations of earlier ones --------------------------------------------------

    def _conditioned(self, new: int, cov: Row) -> tuple[Row, Number]:
        """A row of L in Cov = L D L^T and the variance given the earlier hats."""
        row: Row = {}
        rest = cov.get(new, 0)
        for b, (factor, variance) in enumerate(self._factor):
            value = cov.get(b, 0)
            for c in row.keys() & factor.keys():
                value = value - row[c] * self._factor[c][1] * factor[c]
            if not _absent(value):
                row[b] = _ratio(value, variance)
                rest = rest - row[b] * value
        return row, rest

    def _combination(self, factor: Row) -> Form:
        """The hat whose row of L is `factor`, by back substitution through the earlier rows."""
        left = dict(factor)
        total = Form({})
        for b in reversed(range(len(self.hats))):
            coefficient = left.get(b, 0)
            if is_zero(coefficient):
                continue
            total = add(total, scale(self.expect.atoms.form(self.expect.atoms.table[self.hats[b]]), coefficient))
            for c, entry in self._factor[b][0].items():
                left[c] = left.get(c, 0) - coefficient * entry
        return total

    def _is_rounding(self, variance: Number, size: Number) -> bool:
        """Whether a variance is zero, as far as the ring can tell."""
        if is_zero(variance):
            return True
        if self.expect.ctx is not None:
            return bool(variance <= _DIGITS * self.expect.ctx.eps * size)
        inexact = isinstance(variance, float) or (isinstance(variance, np.ndarray) and variance.dtype != object)
        return inexact and bool(np.all(variance <= _ROUNDING * size))


def _absent(value: Number) -> bool:
    """An exact scalar zero: a term that need not be written."""
    return not isinstance(value, np.ndarray) and value == 0


def _accumulate(row: Row, other: Row, factor: Number) -> None:
    """row += factor * other."""
    for b, value in other.items():
        row[b] = row.get(b, 0) + factor * value


def _ratio(a: Number, b: Number) -> Number:
    """a / b, and 0 where b is zero at some points of a sweep."""
    if not isinstance(b, np.ndarray):
        return a / b
    there: Any = np.where(b == 0, 1, b)
    return a * np.where(b == 0, 0, 1) / (there.view(type(b)) if b.dtype != object else there)
