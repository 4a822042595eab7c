"""From a monomial to a function of few variables: the affine-Gaussian cut.

A product of functions of forms depends on its Gaussians only through the affine parts of their
arguments. Those affine parts are the variables; their covariance has the effective dimension as its rank. A draw from
a mixture is conditioned on its component first: an atom becomes a number, a Gaussian joins the variables, and only a
continuous law remains a variable of its own. Polynomial Gaussian factors are regressed on the variables and cost nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..ensembles import Number
from ..laws import Atom, Component, Continuous, GaussianLaw
from ..nonlinearity import Nonlinearity, values
from ..normal import Atoms, Draw, Form, Func, Mono, is_zero, number_key
from .essential import Linear, essential

RANK_TOLERANCE = 1e-12  # a conditional variance below this share of the variance is exactly zero
MAX_COMPONENTS = 4096

CovOf = Callable[[int, int], Number]


@dataclass(frozen=True)
class Argument:
    """const + variables[var] + sum coefficient * product of node values."""

    const: Number
    var: int | None
    rest: tuple[tuple[Number, Mono], ...]


@dataclass
class Integrand:
    """prod of functions and draws, times a Gaussian polynomial to be regressed, given the components of the draws."""

    weight: Number
    factors: list[tuple[int, int]] = field(default_factory=list)  # (function or variable-like node, power)
    gauss: list[tuple[int, int]] = field(default_factory=list)  # polynomial Gaussian factors
    order: list[int] = field(default_factory=list)  # functions, topologically
    calls: dict[int, tuple[Nonlinearity, tuple[Argument, ...]]] = field(default_factory=dict)
    variables: list[Linear] = field(default_factory=list)
    node_var: dict[int, int] = field(default_factory=dict)  # atom -> variable that is this atom alone
    sums: dict[int, int] = field(
        default_factory=dict
    )  # nodes below 0 -> variable: sums of Gaussians in whose stead they are
    fixed: dict[int, Number] = field(default_factory=dict)  # draws that are atoms
    shifts: dict[int, Number] = field(default_factory=dict)  # means of draws that are Gaussian
    variances: dict[int, Number] = field(default_factory=dict)  # variances of draws that are Gaussian
    continuous: list[tuple[int, Continuous]] = field(default_factory=list)
    counted: dict[int, int] = field(
        default_factory=dict
    )  # function that draws a count -> the uniform draw it alone uses
    reduced: Callable[[], Integrand] | None = None  # the same in as few variables as it depends on
    _variances: dict[int, Number] = field(default_factory=dict)

    @property
    def axes(self) -> list[tuple[int, Continuous]]:
        """The continuous draws that need a coordinate of their own."""
        return [(a, part) for a, part in self.continuous if a not in self.counted.values()]

    def variance(self, base: CovOf, index: int) -> Number:
        """Variance of a variable, computed once."""
        if index not in self._variances:
            self._variances[index] = self.linear_cov(base, self.variables[index], self.variables[index])
        return self._variances[index]

    def cov(self, base: CovOf, a: int, b: int) -> Number:
        """Covariance of two Gaussian atoms, drawn Gaussians included."""
        if a in self.variances or b in self.variances:
            return self.variances[a] if a == b else 0
        return base(a, b)

    def linear_cov(self, base: CovOf, u: Linear, v: Linear) -> Number:
        """Covariance of two linear combinations of Gaussian atoms."""
        total: Number = 0
        for a, ca in u:
            for b, cb in v:
                c = self.cov(base, a, b)
                if not (isinstance(c, int) and c == 0):
                    total = total + ca * cb * c
        return total


def integrands(atoms: Atoms, mono: Mono) -> Iterator[Integrand]:
    """One integrand for every choice of components of the draws beneath `mono`; the weights sum to 1."""
    draws = [a for a in atoms.leaves(mono) if isinstance(atoms.table[a], Draw)]
    laws = [atoms.table[a].source.law for a in draws]  # type: ignore[union-attr]
    choices = [list(zip(law.weights, law.components, strict=True)) for law in laws]
    for combination in itertools.islice(itertools.product(*choices), MAX_COMPONENTS):
        weight: Number = 1
        for w, _ in combination:
            weight = weight * w
        compiled = partial(_compile, atoms, mono, weight, {a: p for a, (_, p) in zip(draws, combination, strict=True)})
        made = compiled(_as_written)
        made.reduced = partial(compiled, essential)
        yield made


def number_of_components(atoms: Atoms, mono: Mono) -> int:
    """How many integrands `mono` has."""
    count = 1
    for a in atoms.leaves(mono):
        atom = atoms.table[a]
        if isinstance(atom, Draw):
            count *= len(atom.source.law.components)
    return count


Reduction = Callable[[dict[Mono, Number]], list[tuple[int, Linear]] | None]


def _as_written(polynomial: dict[Mono, Number]) -> None:
    """Polynomials of Gaussians stay as they are: closed forms know them by their terms."""
    return None


def _compile(atoms: Atoms, mono: Mono, weight: Number, parts: dict[int, Component], reduction: Reduction) -> Integrand:
    made = Integrand(weight)
    for number, part in parts.items():
        match part:
            case Atom(value):
                made.fixed[number] = value
            case GaussianLaw(mean, var):
                made.shifts[number], made.variances[number] = mean, var
            case Continuous():
                made.continuous.append((number, part))
    made.order = [a for a in atoms.closure(a for a, _ in mono) if isinstance(atoms.table[a], Func)]
    functions, seen = set(made.order), dict[Any, int]()

    def variable(linear: Linear) -> int:
        key = tuple((a, number_key(c)) for a, c in linear)
        if key not in seen:
            seen[key] = len(made.variables)
            made.variables.append(linear)
        return seen[key]

    def is_gaussian(a: int) -> bool:
        return a not in made.fixed and a not in functions and not any(a == c for c, _ in made.continuous)

    def node(a: int) -> None:
        if is_gaussian(a) and a not in made.node_var:
            made.node_var[a] = variable(((a, 1),))

    # variables that only a count reads come last, where quadrature sums over them before it asks what the count does
    calls = [(a, atom) for a in made.order if isinstance(atom := atoms.table[a], Func)]
    for number, func in sorted(calls, key=lambda call: (call[1].fn.outcomes is not None, call[0])):
        args = tuple(_argument(arg, made, variable, node, is_gaussian, reduction) for arg in func.args)
        made.calls[number] = (func.fn, args)
    for a, power in mono:
        if a in made.fixed:
            made.weight = made.weight * made.fixed[a] ** power
        elif is_gaussian(a) and not made.shifts.get(a):
            made.gauss.append((a, power))
        else:
            if a in made.variances:
                node(a)
            made.factors.append((a, power))
    made.counted = _counted(made)
    return made


def _counted(made: Integrand) -> dict[int, int]:
    """Functions that draw a count from a uniform variable that nothing else reads."""
    uses = Counter(a for a, _ in made.factors)
    uses.update(a for _, args in made.calls.values() for arg in args for _, mono in arg.rest for a, _ in mono)
    uniform = {a for a, part in made.continuous if part.is_standard_uniform}
    out: dict[int, int] = {}
    for number, (fn, args) in made.calls.items():
        read = [mono for _, mono in args[-1].rest]
        alone = args[-1].var is None and number_key(args[-1].const) == number_key(0) and len(read) == 1
        if fn.outcomes is not None and alone and len(read[0]) == 1:
            (a, power), (coefficient, _) = read[0][0], args[-1].rest[0]
            if a in uniform and uses[a] == power == 1 and number_key(coefficient) == number_key(1):
                out[number] = a
    return out


def _argument(
    arg: Form,
    made: Integrand,
    variable: Callable[[Linear], int],
    node: Callable[[int], None],
    is_gaussian: Callable[[int], bool],
    reduction: Reduction,
) -> Argument:
    const: Number = 0
    linear: dict[int, Number] = {}
    rest: list[tuple[Number, Mono]] = []
    polynomials: dict[Mono, dict[Mono, Number]] = {}  # of Gaussians, by what they multiply
    for mono, given in arg.terms.items():
        coefficient, kept = given, []
        for a, power in mono:
            if a in made.fixed:
                coefficient = coefficient * made.fixed[a] ** power
            else:
                kept.append((a, power))
        if not kept:
            const = const + coefficient
        elif len(kept) == 1 and kept[0][1] == 1 and is_gaussian(kept[0][0]):
            a = kept[0][0]
            linear[a] = linear.get(a, 0) + coefficient
            const = const + coefficient * made.shifts.get(a, 0)
        else:
            gauss = tuple((a, power) for a, power in kept if is_gaussian(a))
            others = tuple((a, power) for a, power in kept if not is_gaussian(a))
            terms = polynomials.setdefault(others, {})  # two terms may be one, once a draw is a number
            terms[gauss] = terms.get(gauss, 0) + coefficient
    for others, polynomial in polynomials.items():
        # gelu(u + v) is (u + v) ndtr(u + v): one variable, not three
        means = any(a in made.shifts for gauss in polynomial for a, _ in gauss)
        forms = None if means else reduction(polynomial)
        place = {}
        for a, form in forms or ():
            place[a] = -1 - len(made.sums)
            made.node_var[place[a]] = made.sums[place[a]] = variable(form)
        for gauss, coefficient in polynomial.items():
            if forms is None:
                for a, _ in gauss:
                    node(a)
                rest.append((coefficient, tuple(sorted(gauss + others))))
            elif all(a in place for a, _ in gauss):
                rest.append((coefficient, tuple(sorted((*((place[a], q) for a, q in gauss), *others)))))
    ordered = tuple((a, linear[a]) for a in sorted(linear) if not is_zero(linear[a]))
    return Argument(const, variable(ordered) if ordered else None, tuple(rest))


# ---------------------------------------------------------------------------------------------
# numerical form: floats, batched over every array-valued number


@dataclass
class Numeric:
    """An integrand in floats: batch B, V variables = mean + L xi, plus continuous draws."""

    integrand: Integrand
    shape: tuple[int, ...]  # the sweep, flattened to B
    batch: int
    mean: np.ndarray  # (B, V)
    factor: np.ndarray  # (B, V, r)
    gauss_slope: np.ndarray  # (B, G, r): E[g | xi] = slope @ xi
    gauss_residual: np.ndarray  # (B, G, G)
    rows: np.ndarray  # which of the flattened sweep are here

    @property
    def rank(self) -> int:
        return self.factor.shape[2]

    def given(self, value: Number) -> np.ndarray:
        """A coefficient of the integrand as (B,) floats."""
        return as_batch(value, self.shape)[self.rows]

    def part(self, rows: np.ndarray) -> Numeric:
        """Some rows of the batch."""
        return replace(
            self,
            batch=len(rows),
            mean=self.mean[rows],
            factor=self.factor[rows],
            gauss_slope=self.gauss_slope[rows],
            gauss_residual=self.gauss_residual[rows],
            rows=self.rows[rows],
        )


def broadcast_shape(values: list[Number]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(np.shape(v) for v in values if isinstance(v, np.ndarray)))


def numeric(made: Integrand, base: CovOf) -> Numeric:
    """Covariance of the variables, its Cholesky factor with exact zeros, and the regression of the Gaussian factors."""
    variables = made.variables
    gauss: list[Linear] = [((a, 1),) for a, _ in made.gauss]
    everything = variables + gauss
    size = len(everything)
    entries: dict[tuple[int, int], Number] = {}
    for i in range(size):
        for j in range(i + 1):
            entries[i, j] = made.linear_cov(base, everything[i], everything[j])
    means = [sum((c * made.shifts[a] for a, c in v if a in made.shifts), 0) for v in variables]
    numbers = [*entries.values(), *means, *_coefficients(made)]
    shape = broadcast_shape(numbers)
    batch = int(np.prod(shape, dtype=int))
    cov = np.zeros((batch, size, size))
    for (i, j), value in entries.items():
        cov[:, i, j] = cov[:, j, i] = as_batch(value, shape)
    v = len(variables)
    # an argument carries its mean in Argument.const; here only variables used as nodes need one
    mean = np.zeros((batch, v))
    for a, index in made.node_var.items():
        mean[:, index] = as_batch(made.shifts.get(a, 0), shape)
    factor, slope, residual = cholesky(cov, v)
    return Numeric(made, shape, batch, mean, factor, slope, residual, np.arange(batch))


def _coefficients(made: Integrand) -> list[Number]:
    out: list[Number] = []
    for _, args in made.calls.values():
        for arg in args:
            out.append(arg.const)
            out.extend(c for c, _ in arg.rest)
    return out


def as_batch(value: Number, shape: tuple[int, ...]) -> np.ndarray:
    """A number or array as floats of shape (B,)."""
    return np.broadcast_to(np.asarray(value, dtype=float), shape).reshape(-1)


def cholesky(cov: np.ndarray, v: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cholesky rows of the first v variables with one column per direction that is new anywhere in the batch.

    Past `v`: slopes of the remaining variables on those columns, and their residual covariance. A conditional variance
    below RANK_TOLERANCE of the variance is exactly zero, never jittered: sign(0) must stay sign(0).
    """
    batch, size, _ = cov.shape
    rows = np.zeros((batch, size, 0))
    for i in range(v):
        variance = cov[:, i, i] - np.einsum("br,br->b", rows[:, i], rows[:, i])
        variance[variance <= RANK_TOLERANCE * np.abs(cov[:, i, i])] = 0.0
        if not variance.any():
            continue
        std = np.sqrt(variance)
        column = cov[:, :, i] - np.einsum("bsr,br->bs", rows, rows[:, i])
        with np.errstate(divide="ignore", invalid="ignore"):
            column = np.where(std[:, None] > 0, column / std[:, None], 0.0)
        column[:, :i] = 0.0
        column[:, i] = std
        # what the earlier variables already fix must not leak rounding into a new direction
        done = np.abs(column) <= np.sqrt(RANK_TOLERANCE) * 1e-2 * np.sqrt(np.abs(np.einsum("bii->bi", cov)))
        column[done] = 0.0
        rows = np.concatenate([rows, column[:, :, None]], axis=2)
    residual = cov[:, v:, v:] - np.einsum("bsr,btr->bst", rows[:, v:], rows[:, v:])
    return rows[:, :v], rows[:, v:], residual


def variable_values(problem: Numeric, xi: np.ndarray) -> np.ndarray:
    """(V, B, N) values of the variables at points xi (r, B, N), without the means of arguments."""
    return (
        np.einsum("bvr,rbn->vbn", problem.factor, xi)
        if problem.rank
        else np.zeros((problem.factor.shape[1], problem.batch, xi.shape[-1]))
    )


class Evaluator:
    """Node values at a set of points: variables (V, B, N) and continuous draws (B, N)."""

    def __init__(
        self,
        problem: Numeric,
        values: np.ndarray,
        draws: dict[int, np.ndarray],
        counts: dict[int, np.ndarray] | None = None,
    ) -> None:
        self.problem, self.made, self.values, self.draws = problem, problem.integrand, values, draws
        self.node: dict[int, np.ndarray] = dict(counts or {})

    def _atom(self, a: int) -> np.ndarray:
        if a in self.made.calls:
            return self.node[a]
        if a in self.draws:
            return self.draws[a]
        index = self.made.node_var[a]
        return self.values[index] + self.problem.mean[:, index, None]

    def argument(self, arg: Argument) -> np.ndarray:
        total = self.problem.given(arg.const)[:, None]
        if arg.var is not None:
            total = total + self.values[arg.var]
        for coefficient, mono in arg.rest:
            term = self.problem.given(coefficient)[:, None]
            for a, power in mono:
                value = self._atom(a)
                term = term * (value if power == 1 else value**power)
            total = total + term
        return total

    def run(self, upto: int | None = None) -> None:
        """Evaluate functions in topological order, all or those numbered at most `upto`."""
        for number in self.made.order:
            if upto is not None and number > upto:
                break
            self.call(number)

    def call(self, number: int) -> np.ndarray:
        """One function, those that it reads being known."""
        if number not in self.node:
            fn, args = self.made.calls[number]
            arguments = [self.argument(arg) for arg in args]
            # overflow to inf is a symptom the quadrature reads (divergence), not a warning to the user
            with np.errstate(all="ignore"):
                self.node[number] = values(fn, *arguments)
        return self.node[number]

    def product(self) -> np.ndarray:
        """The product of the factors (the Gaussian polynomial excepted)."""
        self.run()
        out = np.ones((self.problem.batch, 1))
        with np.errstate(all="ignore"):
            for a, power in self.made.factors:
                value = self._atom(a)
                out = out * (value if power == 1 else value**power)
        return out


def gaussian_polynomial(problem: Numeric, xi: np.ndarray) -> np.ndarray | float:
    """E[prod g_i^p_i | xi]: Isserlis with conditional means and covariances, at every point."""
    if not problem.integrand.gauss:
        return 1.0
    powers = tuple(power for _, power in problem.integrand.gauss)
    means = (
        np.einsum("bgr,rbn->gbn", problem.gauss_slope, xi)
        if problem.rank
        else np.zeros((len(powers), problem.batch, 1))
    )
    residual = problem.gauss_residual
    memo: dict[tuple[int, ...], np.ndarray | float] = {}

    def expand(p: tuple[int, ...]) -> np.ndarray | float:
        if not any(p):
            return 1.0
        if p not in memo:
            first = next(i for i, k in enumerate(p) if k)
            rest = tuple(k - (i == first) for i, k in enumerate(p))
            total = means[first] * expand(rest)
            for j, power in enumerate(rest):
                if power:
                    lower = tuple(k - (i == j) for i, k in enumerate(rest))
                    total = total + power * residual[:, first, j, None] * expand(lower)
            memo[p] = total
        return memo[p]

    return expand(powers)
