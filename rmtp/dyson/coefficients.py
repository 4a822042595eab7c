"""The joint law of the coefficients of one coordinate, as nodes and weights.

Coefficients that take finitely many values (atoms, phi' of a piecewise linear phi) give an exact finite rule, rational when
the data are. Others are functions of a few Gaussian or drawn variables and get a quadrature rule whose resolution the caller
doubles until the answer stands still. Independent groups of coefficients are never crossed unless one coordinate needs both.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ..catalogue import STEP
from ..ensembles import Number
from ..errors import BudgetExceeded
from ..expect.closed_forms import is_rational
from ..expect.engine import Expectations
from ..expect.stein import gaussian_variables
from ..laws import Atom, Component, Continuous, GaussianLaw
from ..nonlinearity import Nonlinearity, values
from ..normal import Atoms, Draw, Form, Func, add, constant, times
from ..normal import evaluate as value_of
from ..quantity import Quantity
from .quantiles import at_normal

_MAX_NODES = 1 << 17
RANGE = 10.0  # standard deviations; beyond lies 1e-23 of the mass
_RANK = 1e-12
_PIECE = 64
_MAX_LINES = 64


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes of the joint law of some coefficients.

    Attributes
    ----------
    values : dict
        Number of a coefficient -> its values at the nodes.
    weights : ndarray
        They sum to 1. Fractions (dtype object) if `exact`.
    finite : bool
        Whether the law has finitely many atoms, so that no resolution enters.
    """

    values: dict[int, np.ndarray]
    weights: np.ndarray
    finite: bool

    @property
    def exact(self) -> bool:
        """Whether all numbers are rational."""
        return all(is_rational(x) for a in (self.weights, *self.values.values()) for x in a.tolist())

    def floats(self) -> Rule:
        """The same rule in float64."""
        return Rule({k: v.astype(float) for k, v in self.values.items()}, self.weights.astype(float), self.finite)


@dataclass(frozen=True, eq=False)
class Line:
    """A part of the joint law of some coefficients on which they are functions of one standard normal t.

    Attributes
    ----------
    share : float
        The probability of this part.
    breaks : tuple of float
        Where the functions have kinks.
    values : callable
        t -> {number of a coefficient: its values}.
    """

    share: float
    breaks: tuple[float, ...]
    values: Callable[[np.ndarray], dict[int, np.ndarray]]


class Coefficients:
    """Rules for subsets of the coefficients of a linear program.

    Parameters
    ----------
    forms : sequence of Form
        The limits Z of the coefficients.
    expect : Expectations
        The engine they belong to.
    """

    negligible: Number = 1e-15  # a joint probability below it is rounding

    def __init__(self, forms: Sequence[Form], expect: Expectations) -> None:
        self.forms, self.expect, self.atoms = list(forms), expect, expect.atoms
        self._leaves = [self.atoms.form_leaves(f) for f in self.forms]

    def rule(self, wanted: Sequence[int], level: int) -> Rule:
        """The joint law of the coefficients `wanted`: about 2**level nodes for one continuous variable, fewer for several."""
        groups = self._independent(wanted)
        smooth = sum(finite_leaves(self.atoms, [self.forms[k] for k in group]) is None for group in groups)
        rules = [self._joint(group, max(1, level - 2 * max(0, smooth - 1))) for group in groups]
        size = int(np.prod([len(r.weights) for r in rules])) if rules else 1
        if size > _MAX_NODES:
            raise BudgetExceeded(
                f"one coordinate depends on {len(rules)} independent diagonals with {size} joint values",
                remedy="diagonals with fewer atoms, or multiplied into one vector first: diag(a * b)",
            )
        weights = np.array([1], dtype=object)
        values: dict[int, np.ndarray] = {}
        for r in rules:
            values = {k: np.repeat(v, len(r.weights)) for k, v in values.items()}
            values |= {k: np.tile(v, len(weights)) for k, v in r.values.items()}
            weights = np.outer(weights, r.weights).ravel()
        return Rule(values, weights, all(r.finite for r in rules))

    def dimensions(self, wanted: Sequence[int]) -> int:
        """How many independent groups of the coefficients `wanted` take infinitely many values."""
        groups = [[self.forms[k] for k in group] for group in self._independent(wanted)]
        return sum(finite_leaves(self.atoms, own) is None for own in groups)

    def lines(self, wanted: Sequence[int]) -> list[Line] | None:
        """The joint law of the coefficients `wanted` as lines; None if it needs several continuous variables at once."""
        groups = self._independent(wanted)
        forms = [[self.forms[k] for k in group] for group in groups]
        smooth = [k for k, own in enumerate(forms) if finite_leaves(self.atoms, own) is None]
        if len(smooth) != 1:
            return None
        (k,) = smooth
        own = self._lines(groups[k], forms[k])
        rest = self.rule([a for j, group in enumerate(groups) if j != k for a in group], 1).floats()
        if own is None or len(own) * len(rest.weights) > _MAX_LINES:
            return None
        fixed = [({a: v[j] for a, v in rest.values.items()}, w) for j, w in enumerate(rest.weights.tolist())]
        return [
            Line(line.share * w, line.breaks, partial(_beside, line.values, others))
            for line in own
            for others, w in fixed
        ]

    def array(self, rows: Sequence[Sequence[Number]]) -> list[np.ndarray]:
        """Rows of numbers as arrays: of Fractions where all are rational."""
        return _array(rows)

    def _independent(self, wanted: Sequence[int]) -> list[list[int]]:
        groups: list[tuple[list[int], list[int]]] = []
        for k in wanted:
            members, leaves = [k], list(self._leaves[k])
            rest = []
            for other, beneath in groups:
                if self.expect.dependent(leaves, beneath):
                    members, leaves = other + members, beneath + leaves
                else:
                    rest.append((other, beneath))
            groups = [*rest, (members, leaves)]
        return [sorted(members) for members, _ in groups]

    def _joint(self, group: list[int], level: int) -> Rule:
        forms = [self.forms[k] for k in group]
        if all(f.is_constant for f in forms):
            made = self.array([[scalar(f.constant)] for f in forms])
            return Rule(dict(zip(group, made, strict=True)), np.array([Fraction(1)], dtype=object), True)
        leaves = finite_leaves(self.atoms, forms)
        if leaves is not None:
            weights, table = self._finite(leaves)
            values = [evaluate_form(self.atoms, f, table) for f in forms]
            return Rule(dict(zip(group, values, strict=True)), weights, True)
        weights_, values_ = self._quadrature(forms, level)
        return Rule(dict(zip(group, values_, strict=True)), weights_, False)

    # -- finitely many values -------------------------------------------------------------------

    def _finite(self, leaves: list[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Joint probabilities of draws of atoms and of step functions of Gaussians."""
        options: list[list[tuple[Number, Form]]] = []  # per leaf: a value and the indicator that it is taken
        draws: list[list[tuple[Number, Number]]] = []
        for a in leaves:
            atom = self.atoms.table[a]
            if isinstance(atom, Draw):
                law = atom.source.law
                draws.append([(p.value, w) for p, w in zip(law.components, law.weights, strict=True)])  # type: ignore[union-attr]
            else:
                assert isinstance(atom, Func) and atom.fn.pieces is not None
                options.append(self._indicators(atom))
        steps = [a for a in leaves if isinstance(self.atoms.table[a], Func)]
        drawn = [a for a in leaves if isinstance(self.atoms.table[a], Draw)]
        weights: list[Number] = []
        rows: list[list[Number]] = []
        for combination in itertools.product(*options):
            indicator = constant(Fraction(1))
            for _, form in combination:
                indicator = times(indicator, form)
            probability = scalar(self.expect.of_form(indicator))
            if not is_rational(probability) and probability < self.negligible:
                continue
            for atoms in itertools.product(*draws):
                weight = probability
                for _, w in atoms:
                    weight = weight * w
                if weight != 0:
                    weights.append(weight)
                    rows.append([value for value, _ in combination] + [value for value, _ in atoms])
        columns = self.array([[row[j] for row in rows] for j in range(len(leaves))])
        total = sum(weights)
        share = [w / total for w in weights] if not all(map(is_rational, weights)) else weights
        return self.array([share])[0], dict(zip([*steps, *drawn], columns, strict=True))

    def _indicators(self, atom: Func) -> list[tuple[Number, Form]]:
        pieces = atom.fn.pieces
        assert pieces is not None
        above = [constant(Fraction(1))]
        for b in pieces.breaks:
            above.append(self.atoms.apply(STEP, (add(atom.args[0], constant(Fraction(b)), -1),)))
        above.append(Form({}))
        return [
            (_rational(row[0] if row else 0), add(above[j], above[j + 1], -1)) for j, row in enumerate(pieces.polys)
        ]

    # -- quadrature -----------------------------------------------------------------------------

    def _parts(self, forms: list[Form]) -> tuple[dict[int, np.ndarray], int, list[tuple[float, dict[int, Component]]]]:
        """Gaussian leaves by standard normals, how many of these, and the choices of a component per drawn leaf."""
        leaves = sorted({a for f in forms for a in self.atoms.form_leaves(f)})
        draws = [a for a in leaves if isinstance(self.atoms.table[a], Draw)]
        laws = [self.atoms.table[a].source.law for a in draws]  # type: ignore[union-attr]
        roots = self._roots(forms, [a for a in leaves if a not in draws])
        choices = []
        for parts in itertools.product(*(zip(law.weights, law.components, strict=True) for law in laws)):
            share = float(np.prod([float(w) for w, _ in parts])) if parts else 1.0
            choices.append((share, dict(zip(draws, (p for _, p in parts), strict=True))))
        return roots, next(iter(roots.values())).size if roots else 0, choices

    def _lines(self, group: list[int], forms: list[Form]) -> list[Line] | None:
        roots, rank, choices = self._parts(forms)
        lines = []
        for share, parts in choices:
            if rank + sum(not isinstance(p, Atom) for p in parts.values()) > 1:
                return None

            def values(t: np.ndarray, parts: dict[int, Component] = parts) -> dict[int, np.ndarray]:
                flat = t.ravel()
                nodes = _leaves(roots, rank, parts, [flat], flat.shape)
                found = {k: evaluate_form(self.atoms, f, nodes) for k, f in zip(group, forms, strict=True)}
                return {k: np.broadcast_to(v, flat.shape).astype(float).reshape(t.shape) for k, v in found.items()}

            lines.append(Line(share, tuple(self._cuts(forms, roots, rank, parts)), values))
        return lines

    def _quadrature(self, forms: list[Form], level: int) -> tuple[np.ndarray, list[np.ndarray]]:
        roots, rank, choices = self._parts(forms)
        weights: list[np.ndarray] = []
        values: list[list[np.ndarray]] = []
        for share, parts in choices:
            nodes, shares = self._nodes(forms, roots, rank, parts, level)
            values.append([np.broadcast_to(evaluate_form(self.atoms, f, nodes), shares.shape) for f in forms])
            weights.append(share * shares)
        return _merged(np.concatenate(weights), [np.concatenate([v[k] for v in values]) for k in range(len(forms))])

    def _roots(self, forms: list[Form], gaussians: list[int]) -> dict[int, np.ndarray]:
        """Every Gaussian leaf as a combination of as few standard normals as the forms can see."""
        if not gaussians:
            return {}
        seen: dict[Any, None] = {}
        for f in forms:
            for v in gaussian_variables(self.atoms, f, True):
                seen[tuple((a, scalar(c)) for a, c in v)] = None
        columns = {a: j for j, a in enumerate(gaussians)}
        mix = np.zeros((len(seen), len(gaussians)))
        for i, v in enumerate(seen):
            for a, c in v:
                mix[i, columns[a]] = float(c)
        cov = np.array([[float(scalar(self.expect.cov(a, b))) for b in gaussians] for a in gaussians])
        variables = mix @ cov @ mix.T
        scale = np.sqrt(np.diag(variables))
        eigenvalues, vectors = np.linalg.eigh(variables / np.outer(scale, scale))
        kept = eigenvalues > _RANK * eigenvalues.max()
        basis = scale[:, None] * vectors[:, kept] * np.sqrt(eigenvalues[kept])  # variables = basis @ t
        # only the projection of a leaf on the variables is seen
        loading = cov @ mix.T @ np.linalg.pinv(variables, rcond=_RANK, hermitian=True) @ basis
        return {a: loading[j] for a, j in columns.items()}

    def _nodes(
        self, forms: list[Form], roots: dict[int, np.ndarray], rank: int, parts: dict[int, Component], level: int
    ) -> tuple[dict[int, np.ndarray], np.ndarray]:
        moving = [a for a, p in parts.items() if not isinstance(p, Atom)]
        dims = rank + len(moving)
        if dims > 3:
            raise BudgetExceeded(
                f"the coefficients of one coordinate depend on {dims} continuous variables",
                remedy="piecewise linear nonlinearities, discrete laws, or fewer layers through one width",
            )
        breaks = self._cuts(forms, roots, rank, parts) if dims == 1 else []
        lines = [normal_rule(breaks, level if dims == 1 else min(level, 16 // max(dims, 1)))] * dims
        grids = np.meshgrid(*(t for t, _ in lines), indexing="ij") if lines else []
        shares: np.ndarray = np.ones(())
        for _, w in lines:
            shares = np.multiply.outer(shares, w)
        t = [g.ravel() for g in grids]
        shares = shares.ravel()
        return _leaves(roots, rank, parts, t, shares.shape), shares

    def _cuts(
        self, forms: list[Form], roots: dict[int, np.ndarray], rank: int, parts: dict[int, Component]
    ) -> list[float]:
        """Where functions of one variable, Gaussian or drawn, are not smooth."""
        if rank:
            return self._breaks(forms, roots)
        with warnings.catch_warnings():  # of searches that SciPy gives up where no mass is left
            warnings.simplefilter("ignore", RuntimeWarning)
            return [t for p in parts.values() if isinstance(p, Continuous) for t in p.corners]

    def _breaks(self, forms: list[Form], roots: dict[int, np.ndarray]) -> list[float]:
        """Where a function of the single normal variable has kinks; those of functions of functions are left to the level."""
        out: set[float] = set()
        for number in self.atoms.closure(a for f in forms for mono in f.terms for a, _ in mono):
            atom = self.atoms.table[number]
            if not isinstance(atom, Func) or not atom.fn.kinks:
                continue
            arg = atom.args[atom.fn.kink_arg]
            if any(mono and (len(mono) > 1 or mono[0][1] > 1 or mono[0][0] not in roots) for mono in arg.terms):
                continue
            slope = sum(float(scalar(c)) * roots[m[0][0]][0] for m, c in arg.terms.items() if m)
            if slope:
                out |= {(k - float(scalar(arg.constant))) / slope for k in atom.fn.kinks}
        return sorted(b for b in out if abs(b) < RANGE)


def _leaves(
    roots: dict[int, np.ndarray],
    rank: int,
    parts: dict[int, Component],
    t: Sequence[np.ndarray],
    shape: tuple[int, ...],
) -> dict[int, np.ndarray]:
    """Leaves where the standard normals are t: first those of the Gaussian leaves, then one per drawn leaf."""
    moving = [a for a, p in parts.items() if not isinstance(p, Atom)]
    nodes = {a: np.asarray(sum(c * t[k] for k, c in enumerate(root))) for a, root in roots.items()}
    for a, part in parts.items():
        match part:
            case Atom(value):
                nodes[a] = np.full(shape, float(value))
            case GaussianLaw(mean, var):
                nodes[a] = float(mean) + float(var) ** 0.5 * t[rank + moving.index(a)]
            case Continuous(frozen):
                nodes[a] = at_normal(frozen, t[rank + moving.index(a)])
    return nodes


def _merged(weights: np.ndarray, values: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Nodes with equal values as one: an even function of a symmetric variable takes every value twice."""
    rows, place = np.unique(np.stack(values, axis=1).astype(float), axis=0, return_inverse=True)
    if 3 * len(rows) > 2 * len(weights):
        return weights, values
    return np.bincount(place.ravel(), weights, len(rows)), list(rows.T)


def _beside(
    values: Callable[[np.ndarray], dict[int, np.ndarray]], others: dict[int, float], t: np.ndarray
) -> dict[int, np.ndarray]:
    return values(t) | {a: np.full(t.shape, v) for a, v in others.items()}


def normal_rule(breaks: Sequence[float], level: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a function of a standard normal: trapezoid if it is smooth, Gauss panels between breaks."""
    if not breaks:
        t = np.linspace(-RANGE, RANGE, (1 << level) + 1)
        w = np.exp(-t * t / 2)
        return t, w / w.sum()
    x, w = composite_rule(1 << max(2, level - 1))
    ends = [-RANGE, *breaks, RANGE]
    t = np.concatenate([(a + b) / 2 + (b - a) / 2 * x for a, b in itertools.pairwise(ends)])
    weights = np.concatenate([(b - a) / 2 * w for a, b in itertools.pairwise(ends)]) * np.exp(-t * t / 2)
    return t, weights / weights.sum()


def composite_rule(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre on [-1, 1] with `size` nodes, in pieces of 64: nodes of high order cost their cube."""
    pieces = max(1, size // _PIECE)
    t, w = np.polynomial.legendre.leggauss(min(size, _PIECE))
    middle = (2 * np.arange(pieces) + 1) / pieces - 1
    return (middle[:, None] + t / pieces).ravel(), np.tile(w / pieces, pieces)


def finite_leaves(atoms: Atoms, forms: Sequence[Form]) -> list[int] | None:
    """The atoms with finitely many values that the forms are functions of; None if there are others."""
    found: set[int] = set()
    stack = [a for f in forms for mono in f.terms for a, _ in mono]
    while stack:
        a = stack.pop()
        atom = atoms.table[a]
        if isinstance(atom, Draw) and all(isinstance(p, Atom) for p in atom.source.law.components):
            found.add(a)
        elif isinstance(atom, Func):
            inner = finite_leaves(atoms, atom.args)
            if inner is not None:
                found.update(inner)
            elif atom.fn.pieces is not None and all(len(row) <= 1 for row in atom.fn.pieces.polys):
                found.add(a)
            else:
                return None
        else:
            return None
    return sorted(found)


def evaluate_form(atoms: Atoms, form: Form, known: dict[int, np.ndarray]) -> np.ndarray:
    """A form at nodes where some atoms are known; exact where the nodes are and the form is a polynomial."""
    total: Any = 0
    for mono, c in form.terms.items():
        term: Any = scalar(c)
        for a, power in mono:
            if a not in known:
                atom = atoms.table[a]
                assert isinstance(atom, Func)
                args = np.broadcast_arrays(*(evaluate_form(atoms, arg, known) for arg in atom.args))
                known[a] = _values(atom.fn, args)
            term = term * known[a] ** power
        total = total + term
    shape = next((np.shape(v) for v in known.values()), ())
    return np.broadcast_to(np.asarray(total, dtype=object if not isinstance(total, np.ndarray) else None), shape)


def _values(fn: Nonlinearity, args: Sequence[np.ndarray]) -> np.ndarray:
    if all(a.dtype == object for a in args):
        return _array([[value_of(fn, *point) for point in zip(*(a.ravel() for a in args), strict=True)]])[0]
    return values(fn, *(a.astype(float) for a in args))


def scalar(value: Number) -> Number:
    """The number itself, of perturbed copies the first."""
    return value.ravel()[0].item() if isinstance(value, np.ndarray) else value


def _rational(value: Number) -> Number:
    return Fraction(value) if isinstance(value, int | Fraction) else value


def _array(rows: Sequence[Sequence[Number]]) -> list[np.ndarray]:
    out = []
    for row in rows:
        array = np.empty(len(row), dtype=object)
        array[:] = [_rational(x) for x in row]
        kept = all(is_rational(x) or isinstance(x, Quantity) or hasattr(x, "context") for x in row)
        out.append(array if kept else array.astype(float))
    return out
