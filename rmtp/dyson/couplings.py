"""How a random matrix couples the uses of it: Theta as a function of the responses, for every ensemble.

In an implicit program ``Z^{W x_a} = Zhat_a + sum_b Theta_ab Z^{x_b}`` with Theta the R-transform of the matrix of responses
``Phi_ab = E[dZ^{x_a} / dZhat_b]`` (theory, section 3). Where R is known on matrices (iid, GOE, Wishart, finitely many free
cumulants) the unknowns are Phi itself. Where a law of eigenvalues or singular values is given, R is a choice among roots;
then the unknowns are Omega, the response of the surroundings to one eigendirection, in which everything is rational:

    T = E_s[s (I - s Omega)^-1],  S = I + T Omega,  Theta = S^-1 T,  Phi = Omega S.

Rejected: matrix square roots and eigenvectors of Phi, which have branches and fail where Phi is nilpotent (large |z|).
Numbers are arrays over a grid of points, matrices are dicts of their non-zero entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..ensembles import Number
from ..errors import UnsupportedOperation
from ..instructions import RandomMatrix
from ..laws import Atom, Continuous, CoordinateLaw, GaussianLaw
from ..special import ndtr
from .coefficients import normal_rule
from .elimination import plan, solve

Pair = tuple[int, int]
Entries = dict[Pair, Any]


@dataclass(frozen=True)
class Coupled:
    """Theta and Phi at the unknowns, with their derivatives by unknown number k."""

    theta: Entries
    phi: Entries
    dtheta: dict[tuple[Pair, int], Any]
    dphi: dict[tuple[Pair, int], Any]


@dataclass(frozen=True, eq=False)
class Coupling:
    """The uses of one matrix.

    Attributes
    ----------
    matrix : RandomMatrix
    transposed : dict
        Per use (its number in the program): whether it is of W.T.
    pairs : tuple of (int, int)
        Where Phi (or Omega) may be non-zero: the unknowns.
    """

    matrix: RandomMatrix
    transposed: Mapping[int, bool]
    pairs: tuple[Pair, ...]

    def coupled(self, u: Sequence[Any], level: int, number: Callable[[Number], Any], slopes: bool = True) -> Coupled:
        """Theta and Phi where the unknowns are `u`, one array of points each."""
        ensemble = self.matrix.ensemble
        matrix = dict(zip(self.pairs, u, strict=True))
        if ensemble.kind in ("Gaussian", "GOE"):
            s2 = {a: number(ensemble.variance) * self.gain(a, number) for a in self.transposed}
            theta: Entries = {(a, b): s2[a] * x for (a, b), x in matrix.items()}
            dtheta = {(pair, k): s2[pair[0]] + 0 * u[k] for k, pair in enumerate(self.pairs)}
            return Coupled(theta, matrix, dtheta, {(pair, k): 1 + 0 * u[k] for k, pair in enumerate(self.pairs)})
        if spectral(self.matrix):
            return self._spectral(matrix, level, number, slopes)
        return self._cumulants(matrix, number, slopes)

    def gain(self, a: int, number: Callable[[Number], Any]) -> Any:
        """1, or gamma = rows/cols for a use of W.T: the factor of the rows of Theta (theory, section 3)."""
        if not self.transposed[a] or self.matrix.ensemble.symmetric:
            return number(1)
        return number(quotient(number(self.matrix.rows.ratio), number(self.matrix.cols.ratio)))

    def joins(self, a: int, b: int) -> bool:
        """Theta joins opposite directions, or any two uses of a symmetric matrix."""
        return self.matrix.ensemble.symmetric or self.transposed[a] != self.transposed[b]

    # -- R known on matrices --------------------------------------------------------------------

    def _cumulants(self, phi: Entries, number: Callable[[Number], Any], slopes: bool) -> Coupled:
        """Theta = R(Phi) for a Wishart matrix, kappa_j = s^2j gamma^(j-1), or finitely many free cumulants."""
        ensemble = self.matrix.ensemble
        zero = 0 * next(iter(phi.values()))
        one = {(a, a): 1 + zero for a in self.transposed}
        directions = [{pair: 1 + zero} for pair in self.pairs] if slopes else []
        if ensemble.kind == "Wishart":
            s2 = number(ensemble.cumulant(1))
            ratio = number(ensemble.cumulant(2)) / s2
            theta = scaled(inverse(self.transposed, added(one, phi, -ratio)), s2)
            moved = [scaled(multiplied(multiplied(theta, d), theta), ratio / s2) for d in directions]
        elif callable(getattr(ensemble.law, "derivative", None)) and len(self.transposed) == 1:
            (pair,) = self.pairs
            theta = {pair: ensemble.law(phi[pair])}
            moved = [{pair: ensemble.law.derivative(phi[pair])} for _ in directions]
        else:
            cumulants = getattr(ensemble.law, "values", None)
            if cumulants is None:
                raise UnsupportedOperation(
                    f"the spectrum of an expression with several uses of {ensemble.kind} given by {ensemble.law!r}",
                    remedy="give the law itself: atoms, a scipy.stats law, a Law",
                )
            theta, moved = {}, [{} for _ in directions]
            for kappa in reversed(cumulants):  # Horner's rule, on matrices
                moved = [
                    added(multiplied(d, theta), multiplied(phi, m)) for d, m in zip(directions, moved, strict=True)
                ]
                theta = added(multiplied(phi, theta), one, number(kappa))
        dtheta = {(pair, k): x for k, m in enumerate(moved) for pair, x in m.items()}
        return Coupled(theta, phi, dtheta, {(pair, k): 1 + zero for k, pair in enumerate(self.pairs)})

    # -- eigenvalues or singular values given ---------------------------------------------------

    def _spectral(self, omega: Entries, level: int, number: Callable[[Number], Any], slopes: bool) -> Coupled:
        values, weights = law_nodes(self.matrix.ensemble.law, level)
        s, w = (np.array([number(v) for v in row]) for row in (values, weights))  # a new last axis: eigenvalues
        zero = 0 * next(iter(omega.values()))
        one = {(a, a): 1 + zero for a in self.transposed}
        wide = {pair: x[..., None] * s for pair, x in omega.items()}
        wide_one = {pair: x[..., None] + 0 * s for pair, x in one.items()}
        resolvent = inverse(self.transposed, added(wide_one, wide, -1))
        share = {a: self.share(a, number) for a in self.transposed}
        t = {(a, b): share[a] * (x * (s * w)).sum(axis=-1) for (a, b), x in resolvent.items() if self.joins(a, b)}
        big = added(one, multiplied(t, omega))
        inner = inverse(self.transposed, big)
        theta, phi = multiplied(inner, t), multiplied(omega, big)
        dtheta: dict[tuple[Pair, int], Any] = {}
        dphi: dict[tuple[Pair, int], Any] = {}
        for k, (c, d) in enumerate(self.pairs if slopes else ()):
            dt = {
                (a, b): share[a] * (resolvent[a, c] * resolvent[d, b] * (s * s * w)).sum(axis=-1)
                for a in self.transposed
                for b in self.transposed
                if self.joins(a, b) and (a, c) in resolvent and (d, b) in resolvent
            }
            do = {(c, d): 1 + zero}
            ds = added(multiplied(dt, omega), multiplied(t, do))
            for pair, x in multiplied(inner, added(dt, multiplied(ds, theta), -1)).items():
                dtheta[pair, k] = x
            for pair, x in added(multiplied(do, big), multiplied(omega, ds)).items():
                dphi[pair, k] = x
        return Coupled(theta, phi, dtheta, dphi)

    def share(self, a: int, number: Callable[[Number], Any]) -> Any:
        """The law counts min(rows, cols) singular values; the others, on the longer side, are zero and leave no trace in T."""
        if self.matrix.ensemble.symmetric:
            return number(1)
        rows, cols = number(self.matrix.rows.ratio), number(self.matrix.cols.ratio)
        return number(quotient(min(rows, cols), cols if self.transposed[a] else rows))


def quotient(a: Number, b: Number) -> Number:
    """a / b, rational if both are."""
    return Fraction(a) / b if isinstance(a, int | Fraction) and isinstance(b, int | Fraction) else a / b


def spectral(matrix: RandomMatrix) -> bool:
    """Whether the ensemble is given by the law of its eigenvalues or singular values."""
    law = matrix.ensemble.law
    return isinstance(law, CoordinateLaw) or hasattr(law, "nodes")


def law_nodes(law: Any, level: int) -> tuple[Sequence[Number], Sequence[Number]]:
    """Nodes and weights of a law; the atoms themselves where there are only atoms."""
    if not isinstance(law, CoordinateLaw):
        return law.nodes(level)
    values: list[Number] = []
    weights: list[Number] = []
    for share, part in zip(law.weights, law.components, strict=True):
        match part:
            case Atom(value):
                values.append(value)
                weights.append(share)
            case GaussianLaw(mean, var):
                t, w = normal_rule([], level)
                values.extend(float(mean) + float(var) ** 0.5 * t)
                weights.extend(float(share) * w)
            case Continuous(frozen):
                t, w = normal_rule([], level)
                values.extend(np.where(t < 0, frozen.ppf(ndtr(t)), frozen.isf(ndtr(-t))))
                weights.extend(float(share) * w)
    return values, weights


def finite(matrix: RandomMatrix) -> bool:
    """Whether no resolution enters the coupling of this matrix."""
    law: Any = matrix.ensemble.law
    if isinstance(law, CoordinateLaw):
        return all(isinstance(p, Atom) for p in law.components)
    return not hasattr(law, "nodes") or not law.support()


# ---------------------------------------------------------------------------------------------
# small matrices as dicts of entries


def added(a: Entries, b: Entries, factor: Any = 1) -> Entries:
    """a + factor b."""
    out = dict(a)
    for pair, x in b.items():
        out[pair] = out[pair] + factor * x if pair in out else factor * x
    return out


def scaled(a: Entries, factor: Any) -> Entries:
    """factor a."""
    return {pair: factor * x for pair, x in a.items()}


def multiplied(a: Entries, b: Entries) -> Entries:
    """a b."""
    out: Entries = {}
    for (i, j), x in a.items():
        for (k, m), y in b.items():
            if j == k:
                out[i, m] = out[i, m] + x * y if (i, m) in out else x * y
    return out


def inverse(uses: Iterable[int], a: Entries) -> Entries:
    """The inverse of I plus something nilpotent or small; entries that are structurally zero are absent."""
    numbers = {use: k for k, use in enumerate(uses)}
    names = list(numbers)
    entries = {(numbers[i], numbers[j]): x for (i, j), x in a.items()}
    how = plan(len(names), entries)
    zero = 0 * next(iter(a.values()))
    unit = [[(1 + zero if r == c else zero) for r in range(len(names))] for c in range(len(names))]
    columns = solve(how, entries, unit)
    pattern = closure(a, numbers)
    return {(i, j): columns[numbers[j]][numbers[i]] for i in numbers for j in numbers if i == j or (i, j) in pattern}


def closure(pairs: Iterable[Pair], uses: Iterable[int]) -> set[Pair]:
    """The transitive closure."""
    out = set(pairs)
    for k in uses:
        into = [i for i, j in out if j == k]
        onto = [j for i, j in out if i == k]
        out |= {(i, j) for i in into for j in onto}
    return out
