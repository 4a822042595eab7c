"""Scrambled Sobol points shared by a whole program, with an error from independent replicates.

Every atom is evaluated once on one set of points: hats are drawn conditionally on the hats of their family as they
appear, functions are applied to what is there. Each of the R replicates has its own scramble *and its own covariances*, so the
spread of a result over replicates contains everything that sampling did to the numbers upstream of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import BudgetExceeded, DivergentExpectation
from ..laws import Atom, Continuous, CoordinateLaw, GaussianLaw
from ..nonlinearity import values as evaluate_floats
from ..normal import Atoms, Draw, Form, Func, Hat, Initial, is_zero
from ..special import ndtri
from .integrand import RANK_TOLERANCE, CovOf

_MAX_DIMENSION = 21201
_DOMINANT = 0.3
_HATS = 12  # slopes in so many directions are averaged over all points
_HEAVY = 4.0
_MAX_BYTES = 6 * 2**30


class Sampler:
    """Values (R, N) of every atom asked for.

    Parameters
    ----------
    atoms : Atoms
    cov : callable
        Covariance of two Gaussian atoms: a number, or R numbers.
    replicates, points : int
        R independent scrambles of N (a power of two) points each.
    seed : int
    """

    def __init__(self, atoms: Atoms, cov: CovOf, replicates: int, points: int, seed: int) -> None:
        self.atoms, self.cov, self.replicates, self.points = atoms, cov, replicates, points
        self.rng = np.random.default_rng(seed)
        self.values: dict[int, np.ndarray] = {}
        self.columns: list[np.ndarray] = []  # uniforms not used yet
        self.dimension = 0
        self.families: dict[Any, _Family] = {}
        self.weights: dict[int, np.ndarray] = {}  # of draws whose components are sampled with other probabilities
        self._linear: dict[Any, np.ndarray] = {}
        self._moments: dict[Any, np.ndarray] = {}
        self._slopes: dict[tuple[int, int, int], np.ndarray] = {}  # partial derivatives of functions, on the points

    def _uniform(self) -> np.ndarray:
        """The next Sobol coordinate, (R, N); coordinates come in blocks that double."""
        if not self.columns:
            total = max(8, 2 * self.dimension)
            if total > _MAX_DIMENSION:
                raise BudgetExceeded(
                    f"more than {self.dimension} sampled dimensions", remedy="fewer steps, or sample() at finite width"
                )
            from scipy.stats import qmc  # half a second that most limits never need

            seeds = self.rng.spawn(self.replicates)
            # a block's columns continue the same point set: scrambling acts on every coordinate by itself
            block = [qmc.Sobol(total, scramble=True, rng=s).random(self.points)[:, self.dimension :] for s in seeds]
            stacked = np.stack(block)
            self.columns = [np.ascontiguousarray(stacked[:, :, k]) for k in range(stacked.shape[2])][::-1]
            self.dimension = total
        return np.clip(self.columns.pop(), 1e-16, 1 - 1e-16)

    def _normal(self) -> np.ndarray:
        return np.asarray(ndtri(self._uniform()))

    def value(self, number: int) -> np.ndarray:
        """Samples of an atom, (R, N)."""
        if number not in self.values:
            for a in self.atoms.closure([number]):
                if a not in self.values:
                    if len(self.values) * self.replicates * self.points * 8 > _MAX_BYTES:
                        raise BudgetExceeded(
                            f"{len(self.values)} sampled vectors of {self.replicates * self.points} points",
                            remedy="a smaller budget=, or fewer steps",
                        )
                    self.values[a] = self._draw(a)
        return self.values[number]

    def _draw(self, number: int) -> np.ndarray:
        match self.atoms.table[number]:
            case Func(fn, args):
                with np.errstate(all="ignore"):
                    out = evaluate_floats(fn, *(self.form(arg) for arg in args))
                return np.broadcast_to(out, (self.replicates, self.points))
            case Draw(source):
                return self._from_law(number, source.law)
            case Hat(matrix, transposed):
                return self._gaussian(number, (id(matrix), transposed))
            case Initial(group):
                return self._gaussian(number, id(group))

    def _from_law(self, number: int, law: CoordinateLaw) -> np.ndarray:
        values, self.weights[number] = _inverse(law, self._uniform())
        return values

    def _gaussian(self, number: int, family: Any) -> np.ndarray:
        drawn = self.families.setdefault(family, _Family())
        return drawn.extend(number, self.cov, self._normal, self.replicates)

    def form(self, form: Form) -> np.ndarray:
        """Samples of a form, (R, N) or broadcastable to it; linear combinations are kept, they come back often."""
        linear = len(form.terms) > 1 and all(sum(p for _, p in mono) <= 1 for mono in form.terms)
        if linear and form.key() in self._linear:
            return self._linear[form.key()]
        total: Any = np.zeros((self.replicates, 1))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused with its line
            for mono, coefficient in form.terms.items():
                term = _column(coefficient)
                for a, power in mono:
                    value = self.value(a)
                    term = term * (value if power == 1 else value**power)
                total = total + term
        if linear:
            self._linear[form.key()] = total
        return total

    def _draws(self, *forms: Form) -> frozenset[int]:
        beneath = self.atoms.closure(a for form in forms for mono in form.terms for a, _ in mono)
        for a in beneath:
            self.value(a)
        return frozenset(a for a in beneath if a in self.weights)

    def _mean(self, f: np.ndarray, g: np.ndarray, draws: frozenset[int]) -> np.ndarray:
        """Means over the points of f g, weighted by the likelihood ratio of some draws."""
        shape = (self.replicates, self.points)
        for a in draws:
            f = f * self.weights[a]
        return np.asarray(np.einsum("rn,rn->r", np.broadcast_to(f, shape), np.broadcast_to(g, shape)) / self.points)

    def expectation(self, *forms: Form) -> tuple[np.ndarray, float]:
        """R sample means of a product of one or two forms, and an error below which their spread is not believed.

        Replicates of a stratified set can agree to less than half a point's weight. And where single points carry the
        mean, the spread is itself seen through those points: the floor grows with the square of their share, calibrated
        on moments up to order nine and on log-normals.
        """
        draws = self._draws(*forms)
        product = self.form(forms[0]) * (self.form(forms[1]) if len(forms) > 1 else np.ones((self.replicates, 1)))
        for a in draws:
            product = product * self.weights[a]
        product = np.broadcast_to(product, (self.replicates, self.points))
        with np.errstate(invalid="ignore"):
            means = self._checked(product.mean(axis=1))
        size = np.abs(product)
        total = size.sum(axis=1)
        share = size.max(axis=1) / np.where(total > 0, total, 1.0)
        if np.any(share > _DOMINANT) and self.points > 1000:
            raise DivergentExpectation(
                "a sampled expectation is carried by single points: it is infinite, or too heavy-tailed for so few",
                remedy="check for poles and fast growth (exp(x**2), high powers); if it is finite, a larger budget=",
            )
        heavy = _HEAVY * float(share.mean()) ** 2 * float(total.mean()) / self.points
        return means, max(0.5 * float(np.sqrt(np.mean(product * product))) / self.points, heavy)

    def regression(self, variables: list[Form], target: Form) -> tuple[np.ndarray, np.ndarray]:
        """Sample second moments of variables (R, v, v) and with the target (R, v), all on the same points.

        Moments are kept: a family of hats that grows by one asks for one new row.
        """
        draws = self._draws(target, *variables)
        everything = [*variables, target]
        keys = [form.key() for form in everything]
        gram = np.empty((self.replicates, len(everything), len(variables)))
        for i, f in enumerate(everything):
            for j in range(min(i + 1, len(variables))):
                key = (keys[i], keys[j], draws)
                if key not in self._moments:
                    self._moments[key] = self._mean(self.form(f), self.form(everything[j]), draws)
                gram[:, i, j] = self._moments[key]
                if i < len(variables):
                    gram[:, j, i] = gram[:, i, j]
        self._checked(gram)
        return gram[:, :-1], gram[:, -1]

    def gradient(self, form: Form, hats: list[int]) -> dict[int, np.ndarray]:
        """E[d form / d hat] per replicate, by derivatives carried back through every function beneath, point by point.

        Beyond a few hats on fewer points: T of them are reached through T functions of T terms, and the cost of T steps stays
        quadratic.
        """
        draws = self._draws(form)
        count = self.points >> max(0, int(np.log2(max(len(hats), 1) / _HATS)) + 1) if len(hats) > _HATS else self.points
        beneath = self.atoms.closure(a for mono in form.terms for a, _ in mono)
        wanted = self._leading_to(set(hats), beneath)
        adjoints: dict[int, np.ndarray] = {}
        self._pull(form, np.ones((self.replicates, count)), adjoints, wanted)
        for number in reversed(beneath):
            atom = self.atoms.table[number]
            if number not in adjoints or not isinstance(atom, Func):
                continue
            assert atom.fn.partials is not None
            for k, arg in enumerate(atom.args):
                partial = atom.fn.partials()[k]
                if arg.is_constant or partial is None:
                    continue
                key = (number, k, count)
                if key not in self._slopes:
                    args = (self.form(a)[:, :count] for a in atom.args)
                    self._slopes[key] = evaluate_floats(partial, *args)
                self._pull(arg, adjoints[number] * self._slopes[key], adjoints, wanted)
        weights = np.ones((self.replicates, count))
        for a in draws:
            weights = weights * self.weights[a][:, :count]
        return {h: np.einsum("rn,rn->r", adjoints[h], weights) / count for h in hats if h in adjoints}

    def _leading_to(self, hats: set[int], beneath: list[int]) -> set[int]:
        """The atoms that are, or are functions of, some hats."""
        found = set(hats)
        for number in beneath:
            atom = self.atoms.table[number]
            if isinstance(atom, Func) and any(a in found for arg in atom.args for m in arg.terms for a, _ in m):
                found.add(number)
        return found

    def _pull(self, form: Form, adjoint: np.ndarray, adjoints: dict[int, np.ndarray], wanted: set[int]) -> None:
        """Add what reaches the wanted atoms of a form from the adjoint of the form."""
        count = adjoint.shape[1]
        for mono, coefficient in form.terms.items():
            for a, power in mono:
                if a not in wanted:
                    continue
                slope = adjoint * np.asarray(_column(coefficient))
                for b, p in mono:
                    q = p - (b == a)
                    if q:
                        value = self.value(b)[:, :count]
                        slope *= (power if b == a else 1) * (value if q == 1 else value**q)
                if a in adjoints:
                    adjoints[a] += slope
                else:
                    adjoints[a] = slope

    def _checked(self, values: np.ndarray) -> np.ndarray:
        if not np.all(np.isfinite(values)):
            raise DivergentExpectation(
                "a sampled expectation is infinite or undefined",
                remedy="check the domain (log, sqrt, division) at the limit of the argument",
            )
        return values


def _column(value: Any) -> Any:
    """A number per replicate as a column."""
    return value[..., None] if isinstance(value, np.ndarray) else float(value)


class _Family:
    """Correlated centred Gaussians drawn one after the other: a Cholesky factor that grows, one per replicate."""

    def __init__(self) -> None:
        self.members: list[int] = []
        self.pivot: list[int] = []  # the members that brought a direction of their own
        self.rows = np.zeros((0, 0, 0))  # (R, members, directions)
        self.normals: list[np.ndarray] = []

    def extend(self, number: int, cov: CovOf, normal: Callable[[], np.ndarray], replicates: int) -> np.ndarray:
        k = len(self.normals)
        row = np.zeros((replicates, k + 1))
        variance = np.broadcast_to(np.asarray(cov(number, number), float), (replicates,)).copy()
        rest = variance.copy()
        if k:
            target = np.stack(
                [np.broadcast_to(np.asarray(cov(number, m), float), (replicates,)) for m in self.members], axis=1
            )
            # forward substitution; members without a direction of their own are determined by the others
            pivots = np.stack([self.rows[:, i, p] for p, i in enumerate(self.pivot)], axis=1)
            for p, i in enumerate(self.pivot):
                done = np.einsum("rk,rk->r", self.rows[:, i, :p], row[:, :p])
                with np.errstate(divide="ignore", invalid="ignore"):
                    entry = (target[:, i] - done) / pivots[:, p]
                row[:, p] = np.where(pivots[:, p] > 0, entry, 0.0)
            rest = variance - np.einsum("rk,rk->r", row, row)
        rest[rest <= RANK_TOLERANCE**0.75 * variance] = 0.0
        out = np.einsum("rk,krn->rn", row[:, :k], np.stack(self.normals)) if k else 0.0
        if not is_zero(rest):
            fresh = normal()
            row[:, k] = np.sqrt(rest)
            out = out + row[:, k, None] * fresh
            self.normals.append(fresh)
            self.pivot.append(len(self.members))
        else:
            row = row[:, :k]
            out = out + np.zeros((replicates, normal().shape[1])) if k == 0 else out
        width = len(self.normals)
        grown = np.zeros((replicates, len(self.members) + 1, width))
        if self.members:
            grown[:, :-1, : self.rows.shape[2]] = self.rows
        grown[:, -1, : row.shape[1]] = row
        self.rows = grown
        self.members.append(number)
        return np.asarray(out)


def _inverse(law: CoordinateLaw, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a mixture and their weights, from one uniform coordinate that picks the component and the value.

    Half of the points follow the law, half visit all components alike: a sparse prior would else spend nine points
    in ten on zero.
    """
    weights = np.array([float(w) for w in law.weights])
    used = 0.5 * weights + 0.5 / len(weights)
    edges = np.concatenate([[0.0], np.cumsum(used)])
    edges[-1] = 1.0
    which = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(weights) - 1)
    inside = np.clip((u - edges[which]) / used[which], 1e-16, 1 - 1e-16)
    out = np.empty_like(u)
    for index, part in enumerate(law.components):
        chosen = which == index
        match part:
            case Atom(value):
                out[chosen] = float(value)
            case GaussianLaw(mean, var):
                out[chosen] = float(mean) + np.sqrt(float(var)) * ndtri(inside[chosen])
            case Continuous(frozen):
                out[chosen] = frozen.ppf(inside[chosen])
    return out, (weights / used)[which]
