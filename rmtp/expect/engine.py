"""The expectation of a monomial: algebra first, then the cheapest method that answers.

Order of preference (theory, section 4): factor over independent groups; Isserlis; a closed form; quadrature in the
effective dimension; scrambled Sobol. Values are memoised by monomial, so that equal expectations are one number.

Errors travel with the numbers. An approximate value becomes an array whose last axis holds perturbed copies: entry 0
is the value, the others are shifted by its error with random signs, and every later number is computed for
all copies at once. When points are sampled the copies are the replicates. Rejected: interval arithmetic, which
overstates the error of a long recursion by orders of magnitude, and adding up local errors, which ignores what
the recursion does to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ensembles import Number
from ..errors import BudgetExceeded, DivergentExpectation, NotExact, UnsupportedOperation
from ..instructions import RandomMatrix
from ..laws import Continuous
from ..normal import ONE, Atoms, Draw, Form, Func, Hat, Initial, Mono, is_zero, mono_times, times
from ..ring import as_number
from . import quadrature
from .closed_forms import closed_form, is_rational, mehler_pair
from .gram import Gram
from .grid import singular
from .integrand import Integrand, integrands, number_of_components, numeric
from .multiprecision import integrate_mp
from .radial import radial
from .sobol import Sampler
from .stein import solve_batch
from .thresholds import resolved
from .wick import gaussian_moment

METHODS = ("exact", "closed form", "mehler", "quadrature", "sobol")
CHOICES = ("auto", "closed", "quadrature", "mehler", "sobol")
COPIES = 5  # the value and four perturbed copies
REPLICATES = 16
SAMPLED_POINTS = 2**17
NODES = 2**20
_DIMENSIONS = 3  # beyond, a product rule of any use exceeds the default budget
_SHORT_PRODUCT = 64  # terms; longer products are sampled whole
_GROWING = frozenset({"exp", "exp2", "expm1", "sinh", "cosh", "tan", "reciprocal", "log", "sqrt"})
_COMPONENTS = 256  # combinations of mixture components that are still enumerated
NESTED = 2
_ROUNDING = 1e-14


class NeedsSampling(Exception):
    """An expectation is beyond quadrature."""


@dataclass(frozen=True)
class Options:
    """How expectations are computed; see `limit` for the meaning of each."""

    method: str = "auto"
    rtol: float = 1e-8
    budget: int | None = None
    exact: bool = False
    dps: int | None = None
    zdot: str = "auto"
    seed: int = 0


class Expectations:
    """Expectations of monomials and forms over one table of atoms.

    Parameters
    ----------
    atoms : Atoms
    hat_variance : callable
        The factor of the rule Z-Hat, Cov(Zhat^{Wx}, Zhat^{Wx'}) = factor * E[Z^x Z^x'], of a matrix and its direction.
    options : Options
    number : callable
        Takes given numbers into the ring of the computation.
    points : int, optional
        Sample with this many points per replicate; without it sampling raises `NeedsSampling`.
    ctx : mpmath context, optional
        Compute in its precision.
    """

    def __init__(
        self,
        atoms: Atoms,
        hat_variance: Callable[[RandomMatrix, bool], Number],
        options: Options,
        number: Callable[[Number], Number],
        points: int | None = None,
        ctx: Any = None,
    ) -> None:
        self.atoms, self.options, self.ctx, self._number = atoms, options, ctx, number
        self._hat_variance = hat_variance
        self._families: dict[Any, list[int]] = {}
        self._memo: dict[Mono, tuple[Number, int]] = {}
        self._cov: dict[tuple[int, int], tuple[Number, int]] = {}
        self._wick: dict[Mono, Number] = {}
        self._hard: set[Mono] = set()
        self._gram = Gram(atoms, self.of)
        self._ranks: list[int] = [0]
        self._signs = np.random.default_rng(options.seed)
        self.sampler = None if points is None else Sampler(atoms, self.cov, REPLICATES, points, options.seed)

    # -- which methods a number rests on --------------------------------------------------------

    @contextmanager
    def record(self) -> Iterator[list[int]]:
        """Collect the highest method rank used inside the block."""
        self._ranks.append(0)
        try:
            yield self._ranks
        finally:
            used = self._ranks.pop()
            self.note(used)

    def note(self, rank: int) -> None:
        """Something of this method rank was used."""
        self._ranks[-1] = max(self._ranks[-1], rank)

    # -- covariances ------------------------------------------------------------------------------

    def cov(self, a: int, b: int) -> Number:
        """Covariance of two Gaussian atoms; what it rests on is computed first, without recursion."""
        key = (a, b) if a <= b else (b, a)
        found = self._cov.get(key)
        if found is None:
            self._resolve(key)
            found = self._cov[key]
        if found[1]:
            self.note(found[1])
        return found[0]

    def give_cov(self, a: int, b: int, value: Number) -> None:
        """Set a covariance that follows from a fixed point and not from the bases of the hats one by one."""
        self._cov[(a, b) if a <= b else (b, a)] = (value, METHODS.index("quadrature"))

    def _resolve(self, key: tuple[int, int]) -> None:
        stack = [key]
        while stack:
            pair = stack[-1]
            if pair in self._cov:
                stack.pop()
                continue
            first, second = self.atoms.table[pair[0]], self.atoms.table[pair[1]]
            match first, second:
                case Initial(g, i), Initial(h, j) if g is h:
                    self._cov[pair] = (self._number(g.cov[i][j]), 0)
                case Hat(W, s, m), Hat(V, t, k) if W is V and s == t:
                    if self.sampler is not None:
                        self._extend_family(W, s, pair[1])
                        continue
                    missing = self._prerequisites(m, k)
                    if missing:
                        stack.extend(missing)
                        continue
                    with self.record() as ranks:
                        value = self._hat_variance(W, s) * self._paired(m, k)
                        self._cov[pair] = (value, ranks[-1])
                case _:
                    self._cov[pair] = (0, 0)
            stack.pop()

    def _extend_family(self, matrix: Any, transposed: bool, upto: int) -> None:
        """Covariances of the hats of one family, one row after the other, when some must be sampled.

        A sampled row regresses the new vector on the earlier ones *on the points*, carries the coefficients to the covariance
        already there and adds the residual variance: the extended matrix is positive semidefinite by construction. Entries
        sampled one by one are not, beside exact ones, and conditioning on many nearly dependent hats would show it.
        """
        family = self._families.setdefault((matrix, transposed), [])
        for number in range(family[-1] + 1 if family else 0, upto + 1):
            atom = self.atoms.table[number]
            if not (isinstance(atom, Hat) and atom.matrix is matrix and atom.transposed == transposed):
                continue
            s2 = self._hat_variance(matrix, transposed)
            with self.record() as ranks:
                try:
                    row = [s2 * self._paired(atom.basis, self._basis(a)) for a in [*family, number]]
                except NeedsSampling:
                    members = [self._basis(a) for a in family]
                    row = self.sampled_row(atom.basis, members, lambda i, j: self._cov[family[j], family[i]][0], s2)
                for a, value in zip([*family, number], row, strict=True):
                    self._cov[a, number] = (value, ranks[-1])
            family.append(number)

    def _basis(self, number: int) -> Form:
        hat = self.atoms.table[number]
        assert isinstance(hat, Hat)
        return hat.basis

    def gram_row(self, target: Form, members: list[Form]) -> list[Number]:
        """E[target * f] for the members f and for the target itself; raises NeedsSampling."""
        return [self._paired(target, f) for f in [*members, target]]

    def sampled_row(
        self, target: Form, members: list[Form], known: Callable[[int, int], Number], factor: Number = 1
    ) -> list[Number]:
        """``factor * E[target * f]`` on the points, such that the Gram matrix `known` of the members stays semidefinite.

        ``known(i, j)`` is factor * E[members[i] * members[j]] for j <= i.
        """
        if self.sampler is None:
            raise NeedsSampling
        self.note(METHODS.index("sobol"))
        own, floor = self.sampler.expectation(target, target)
        if not members:
            return [as_number(float(factor) * (own + self._spread_of(floor)))]
        gram, vector = self.sampler.regression(members, target)
        a = solve_batch(gram, vector)
        residual = own - 2 * np.einsum("ri,ri->r", a, vector) + np.einsum("ri,rij,rj->r", a, gram, a)
        there = np.empty(gram.shape)
        for i in range(len(members)):
            for j in range(i + 1):
                there[:, i, j] = there[:, j, i] = np.asarray(known(i, j), dtype=float)
        cross = np.einsum("rij,rj->ri", there, a)
        total = np.einsum("ri,ri->r", cross, a) + float(factor) * np.maximum(residual, 0.0)
        return [*(as_number(cross[:, i]) for i in range(len(members))), as_number(total)]

    def settle(self, a: int, b: int, value: Number, rank: int) -> None:
        """The covariance of two hats of a matrix whose hats depend on all its uses, and the method rank it rests on."""
        self._cov[min(a, b), max(a, b)] = (value, rank)

    def _prerequisites(self, first: Form, second: Form) -> list[tuple[int, int]]:
        beneath = {*self.atoms.form_leaves(first), *self.atoms.form_leaves(second)}
        hats = [a for a in sorted(beneath) if isinstance(self.atoms.table[a], Hat)]
        return [(a, b) for i, a in enumerate(hats) for b in hats[i:] if (a, b) not in self._cov]

    # -- expectations -----------------------------------------------------------------------------

    def of_form(self, form: Form) -> Number:
        """E of a form.

        If some terms must be sampled there are two estimates, those terms beside the exact rest and the whole form on
        the points (what cancels between terms then cancels point by point): the replicates tell which is better.
        """
        total: Number = 0
        hard: dict[Mono, Number] = {}
        for mono, coefficient in form.terms.items():
            try:
                value = self.of(mono)
            except NeedsSampling:
                if self.sampler is None:
                    raise
                hard[mono] = coefficient
            else:
                if not _nothing(value):
                    total = total + coefficient * value
        if not hard:
            return total
        if len(hard) == len(form.terms):
            return total + self._sampled(form)
        whole = self._sampled(form)
        try:
            apart = total + self._sampled(Form(hard))
        except DivergentExpectation:
            if any(map(self._may_diverge, hard)):
                raise
            return whole  # what few points carry, and cannot be infinite, is a rare event: next to nothing in the whole
        return min(apart, whole, key=lambda v: float(np.std(v)))

    def inner(self, f: Form, g: Form) -> Number:
        """E[f g], by terms while the product is short."""
        if len(f.terms) * len(g.terms) > _SHORT_PRODUCT and not self.options.exact and self.ctx is None:
            found = self._gram.inner(f, g)
            if found is not None:
                return found
        if len(f.terms) * len(g.terms) <= _SHORT_PRODUCT or self.sampler is None:
            return self.of_form(times(f, g))
        return self._sampled(f, g)

    def _paired(self, f: Form, g: Form) -> Number:
        """E[f g] term by term, without forming the product."""
        total: Number = 0
        for m, c in f.terms.items():
            for k, d in g.terms.items():
                value = self.of(mono_times(m, k))
                if not _nothing(value):
                    total = total + c * d * value
        return total

    def _sampled(self, *forms: Form) -> Number:
        if self.sampler is None:
            raise NeedsSampling
        self.note(METHODS.index("sobol"))
        means, floor = self.sampler.expectation(*forms)
        return as_number(means + self._spread_of(floor))

    def _spread_of(self, error: float) -> np.ndarray:
        """Replicates with this standard error and the mean 0."""
        return error * np.sqrt(REPLICATES) * self._signs.permutation(np.repeat([-1.0, 1.0], REPLICATES // 2))

    def of(self, mono: Mono) -> Number:
        """E of a monomial."""
        if mono == ONE:
            return 1
        if len(mono) <= 2 and all(isinstance(self.atoms.table[a], Hat | Initial) for a, _ in mono):
            if sum(power for _, power in mono) == 1:
                return 0
            if sum(power for _, power in mono) == 2:
                return self.cov(mono[0][0], mono[-1][0])
        if mono in self._hard:
            raise NeedsSampling
        found = self._memo.get(mono)
        if found is None:
            try:
                with self.record() as ranks:
                    value = self._factored(mono)
                    found = self._memo[mono] = (value, ranks[-1])
            except NeedsSampling:
                self._hard.add(mono)
                raise
        else:
            self.note(found[1])
        return found[0]

    def _factored(self, mono: Mono) -> Number:
        groups = self._independent(mono)
        if len(groups) > 1:
            total: Number = 1
            for group in sorted(groups, key=self._cost):
                if is_zero(total) and not self._may_diverge(group):
                    continue  # 0 times a number; 0 times infinity is none
                total = total * self.of(group)
            return 0 if is_zero(total) else total
        kinds = [self.atoms.table[a] for a, _ in mono]
        if all(isinstance(k, Hat | Initial) for k in kinds):
            return gaussian_moment(mono, self.cov, self._wick)
        if len(mono) == 1 and isinstance(kinds[0], Draw):
            return self._number(self._moment(kinds[0], mono[0][1]))
        return self.choose(mono)

    def _may_diverge(self, mono: Mono) -> bool:
        """Whether the expectation of a group might not exist: poles, fast growth, laws with few moments, users' functions."""
        for a in self.atoms.closure(a for a, _ in mono):
            match self.atoms.table[a]:
                case Func(fn) if fn.name in _GROWING or singular(fn) or (fn.params and callable(fn.params[0])):
                    return True
                case Draw(source) if any(isinstance(part, Continuous) for part in source.law.components):
                    return True
        return False

    def _cost(self, mono: Mono) -> int:
        return sum(isinstance(self.atoms.table[a], Func) for a, _ in mono)

    def _moment(self, draw: Draw, power: int) -> Number:
        value = draw.source.law.moment(power)
        if self.options.exact and not is_rational(value):
            raise NotExact(
                "a moment of the initial law is not rational",
                remedy="use rmtp.Discrete or rmtp.Normal with ints and Fractions, or drop exact=True",
            )
        return value

    def _independent(self, mono: Mono) -> list[Mono]:
        """Split a monomial into factors that share no randomness."""
        if len(mono) == 1:
            return [mono]
        beneath = [self.atoms.leaves(((a, 1),)) for a, _ in mono]
        parent = list(range(len(mono)))

        def find(i: int) -> int:
            while parent[i] != i:
                i = parent[i]
            return i

        for i in range(len(mono)):
            for j in range(i):
                if find(i) != find(j) and self.dependent(beneath[i], beneath[j]):
                    parent[find(i)] = find(j)
        groups: dict[int, list[tuple[int, int]]] = {}
        for i, factor in enumerate(mono):
            groups.setdefault(find(i), []).append(factor)
        return [tuple(group) for group in groups.values()]

    def dependent(self, first: list[int], second: list[int]) -> bool:
        others = set(second)
        if any(a in others for a in first):
            return True
        return any(not is_zero(self.cov(a, b)) for a in first for b in second if self._family(a) == self._family(b))

    def _family(self, a: int) -> Any:
        match self.atoms.table[a]:
            case Hat(matrix, transposed):
                return (id(matrix), transposed)
            case Initial(group):
                return id(group)
            case _:
                return a

    # -- the chooser ------------------------------------------------------------------------------

    def choose(self, mono: Mono) -> Number:
        """The method for one irreducible monomial: closed form, then quadrature, then Sobol.

        Only "auto" goes on to Sobol points by itself; see `limit` for the other choices.
        """
        method = self.options.method
        if self.options.exact:
            return self._exactly(mono)
        if self.ctx is not None:
            return self._in_precision(mono)
        if method == "sobol" or number_of_components(self.atoms, mono) > _COMPONENTS:
            raise NeedsSampling
        if self.sampler is not None and method == "auto" and self.atoms.depth(mono) > NESTED:
            raise NeedsSampling  # hundreds of covariances, only to find that there are many dimensions
        if method in ("auto", "quadrature"):
            easier = resolved(self.atoms, mono)
            if easier is not None:
                return self._deterministic(easier)
        total: Number = 0
        for made in integrands(self.atoms, mono):
            value = closed_form(made, self.cov) if method in ("auto", "closed", "mehler") else None
            if value is not None:
                self.note(0 if is_rational(value) else 1)
            elif method == "closed":
                raise UnsupportedOperation(f"no closed form for {self.describe(mono)}", remedy='method="auto"')
            else:
                value = self._mehler(made) if method == "mehler" else self._radial(made) if method == "auto" else None
                if value is None:
                    try:
                        value = self._integrated(made)
                    except BudgetExceeded:
                        if method != "auto":
                            raise
                        raise NeedsSampling from None
            total = total + self._weight(made) * value
        return total

    def _weight(self, made: Integrand) -> Number:
        return self._number(made.weight) if isinstance(made.weight, np.ndarray) else made.weight

    def _integrated(self, made: Integrand) -> Number:
        sampling = self.sampler is not None
        if made.reduced is not None:
            made = made.reduced()
        problem = numeric(made, self.cov)
        dims = problem.rank + len(made.axes)
        budget = self.options.budget or NODES
        if self.options.method == "auto" and (dims > _DIMENSIONS or (sampling and dims + (problem.batch > 1) > 2)):
            raise BudgetExceeded(f"{dims} dimensions")
        # a loose rtol speaks of sampled results; quadrature that loose would cost more accuracy downstream than it saves
        rtol = min(max(self.options.rtol * 1e-2, 1e-13), 1e-6) if not sampling else 1e-8
        if not sampling and problem.shape[-1:] == (COPIES,):
            value, error = quadrature.integrate_copies(problem, COPIES, rtol, budget)
        else:
            value, error = quadrature.integrate(problem, rtol, budget)
        self.note(METHODS.index("quadrature") if dims or made.counted else 1)
        return self.spread(value.reshape(problem.shape), error.reshape(problem.shape))

    def _radial(self, made: Integrand) -> Number | None:
        found = radial(made, self.cov, self.options.rtol * 1e-2)
        if found is None:
            return None
        self.note(METHODS.index("quadrature"))
        return self.spread(*found)

    def _mehler(self, made: Integrand) -> Number | None:
        found = mehler_pair(made, self.cov, self.options.rtol * 1e-2)
        if found is None:
            return None
        self.note(METHODS.index("mehler"))
        return self.spread(*found)

    def spread(self, value: np.ndarray, error: np.ndarray) -> Number:
        """The value as perturbed copies, unless its error is rounding or replicates already tell it."""
        if self.sampler is not None or np.all(error <= _ROUNDING * np.abs(value)):
            return as_number(value)
        signs = np.concatenate([[0.0], self._signs.choice([-1.0, 1.0], COPIES - 1)])
        if not value.shape or value.shape[-1] not in (1, COPIES):
            value, error = value[..., None], error[..., None]
        return as_number(value + signs * error)

    def _exactly(self, mono: Mono) -> Number:
        total: Number = 0
        for made in integrands(self.atoms, mono):
            value = closed_form(made, self.cov)
            if value is None or not is_rational(value):
                raise NotExact(
                    f"E[{self.describe(mono)}] is not known to be rational",
                    remedy="drop exact=True, or ask for digits with dps=50",
                )
            total = total + made.weight * value
        return total

    def _in_precision(self, mono: Mono) -> Number:
        total: Number = 0
        for made in integrands(self.atoms, mono):
            value = integrate_mp(self.ctx, made.reduced() if made.reduced else made, self.cov)
            self.note(METHODS.index("quadrature"))
            total = total + self._number(made.weight) * value
        return total

    def describe(self, mono: Mono) -> str:
        """The functions of a monomial by name, for messages."""
        names = []
        for a, power in mono:
            atom = self.atoms.table[a]
            name = f"{atom.fn.name}(...)" if isinstance(atom, Func) else type(atom).__name__.lower()
            names.append(name + (f"^{power}" if power > 1 else ""))
        return " ".join(names)

    def _deterministic(self, form: Form) -> Number:
        total: Number = 0
        for mono, coefficient in form.terms.items():
            value = self.of(mono)
            if not _nothing(value):
                total = total + coefficient * value
        return total


def _nothing(value: Number) -> bool:
    """An exact zero; a zero that was computed keeps its method and its error."""
    return is_rational(value) and value == 0
