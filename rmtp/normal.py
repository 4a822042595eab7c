"""The normal form of Z: a polynomial in atoms, over any ring of numbers.

An atom is a Gaussian (an initial vector, centred, or a hat), a draw from another law, or a function of
forms that is not a polynomial. A monomial is a sorted tuple of (atom, power); a form maps monomials to numbers.
Because a matrix acts linearly, hats belong to a *basis* of the forms it is applied to (`basis.Echelon`), not to lines:
``W(y + z)`` and ``Wy + Wz`` are then one form, and the linear dependencies of theory 2 never reach a numerical rank decision.
(Rejected: one hat per line, which needs a pseudo-inverse for what linearity already knows, and k^4 work for moments of order
k; one hat per monomial, whose number doubles at every step of ``x -> T*x + A @ x``.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from .ensembles import Number
from .errors import BudgetExceeded
from .instructions import IIDSource, NormalGroup, RandomMatrix
from .nonlinearity import Nonlinearity
from .nonlinearity import values as evaluate_floats
from .quantity import Quantity
from .ring import as_number

Mono = tuple[tuple[int, int], ...]
ONE: Mono = ()
_AT_ZERO = MappingProxyType({"exp": 1, "cos": 1, "sin": 0, "tanh": 0, "erf": 0, "sinh": 0, "cosh": 1, "arctan": 0})

CANCELLATION = 1e-13  # |a + b| below this share of |a| + |b| is rounding, hence zero
SPREAD = 1e-8  # only spreads this small, relatively, are read as errors and not as data
MAX_TERMS = 250_000  # a polynomial longer than this stays a product of unexpanded factors


@dataclass(frozen=True)
class Initial:
    """A centred coordinate of a jointly Gaussian group of initial vectors."""

    group: NormalGroup
    index: int


@dataclass(frozen=True)
class Draw:
    """A coordinate with a law that is not one Gaussian."""

    source: IIDSource


@dataclass(frozen=True)
class Hat:
    """Zhat^{W b} (or W.T b) for one element b of the basis: a centred Gaussian."""

    matrix: RandomMatrix
    transposed: bool
    basis: Form


@dataclass(frozen=True)
class Func:
    """fn(args), with args in normal form; interned by their contents."""

    fn: Nonlinearity
    args: tuple[Form, ...]


Atom = Initial | Draw | Hat | Func


class Form:
    """A polynomial in atoms, ``sum_m terms[m] * m``. Treat as immutable."""

    __slots__ = ("_key", "terms")

    def __init__(self, terms: dict[Mono, Number]) -> None:
        self.terms = terms
        self._key: Any = None

    def key(self) -> tuple[Any, ...]:
        """A hashable value: equal keys mean equal forms."""
        if self._key is None:
            self._key = tuple(sorted(((m, number_key(c)) for m, c in self.terms.items()), key=lambda t: t[0]))
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    @property
    def is_constant(self) -> bool:
        return not self.terms or (len(self.terms) == 1 and ONE in self.terms)

    @property
    def constant(self) -> Number:
        """The coefficient of 1."""
        return self.terms.get(ONE, 0)


def number_key(value: Number) -> Any:
    """A hashable stand-in for a number or an array of numbers."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return ("array", value.shape, tuple(value.ravel()))
        return ("array", value.shape, value.tobytes())
    return value


def is_zero(value: Number) -> bool:
    """Zero everywhere (over a sweep: at every point)."""
    return not np.any(value != 0) if isinstance(value, np.ndarray) else value == 0


def plus(a: Number, b: Number) -> Number:
    """a + b, exactly 0 where only rounding is left of a cancellation."""
    total = a + b
    if isinstance(total, Fraction | int | Quantity):
        return total
    if isinstance(total, np.ndarray):
        if total.dtype == object:
            return total if np.any(total != 0) else 0
        scale = np.abs(np.asarray(a, float)) + np.abs(np.asarray(b, float))
        # the last axis holds perturbed copies (expect/engine): a difference below its own spread is zero
        spread = np.abs(total - total[..., :1]).max(axis=-1, keepdims=True) if np.ndim(total) else 0.0
        fine = np.all(spread <= SPREAD * scale)
        return 0 if fine and np.all(np.abs(total) <= CANCELLATION * scale + 8 * spread) else total
    if isinstance(total, float):
        return 0 if abs(total) <= CANCELLATION * (abs(a) + abs(b)) else total
    eps = 1000 * total.context.eps if hasattr(total, "context") else 0
    return 0 if abs(total) <= eps * (abs(a) + abs(b)) else total


def mono_times(a: Mono, b: Mono) -> Mono:
    """The product of two monomials."""
    if not a:
        return b
    if not b:
        return a
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items()))


def mono_without(mono: Mono, atom: int) -> Mono:
    """The monomial divided once by one of its atoms."""
    return tuple((a, p - (a == atom)) for a, p in mono if a != atom or p > 1)


def constant(value: Number) -> Form:
    return Form({} if is_zero(value) else {ONE: value})


def add(f: Form, g: Form, factor: Number = 1) -> Form:
    """f + factor * g."""
    if is_zero(factor):
        return f
    terms = dict(f.terms)
    unit = isinstance(factor, int) and factor == 1
    for mono, coefficient in g.terms.items():
        value = coefficient if unit else coefficient * factor
        if mono in terms:
            value = plus(terms[mono], value)
            if is_zero(value):
                del terms[mono]
                continue
        terms[mono] = value
    return Form(terms)


def scale(f: Form, factor: Number) -> Form:
    """factor * f."""
    if is_zero(factor):
        return Form({})
    if isinstance(factor, int) and factor == 1:
        return f
    return Form({mono: c * factor for mono, c in f.terms.items()})


def times(f: Form, g: Form) -> Form:
    """f * g, expanded; raises BudgetExceeded past MAX_TERMS products."""
    if f.is_constant:
        return scale(g, f.constant)
    if g.is_constant:
        return scale(f, g.constant)
    if len(f.terms) * len(g.terms) > MAX_TERMS:
        raise BudgetExceeded(
            f"expanding a product of {len(f.terms)} and {len(g.terms)} terms",
            remedy="use a nonlinearity (np.square) on an unexpanded vector, or fewer terms",
        )
    terms: dict[Mono, Number] = {}
    for m1, c1 in f.terms.items():
        for m2, c2 in g.terms.items():
            mono = mono_times(m1, m2)
            value = c1 * c2
            terms[mono] = plus(terms[mono], value) if mono in terms else value
    return Form({mono: c for mono, c in terms.items() if not is_zero(c)})


class Atoms:
    """The table of atoms of one run: interning, ancestry, derivatives."""

    def __init__(self) -> None:
        self.table: list[Atom] = []
        self._index: dict[Atom, int] = {}

    def intern(self, atom: Atom) -> int:
        """The number of an atom; arguments always have smaller numbers, so numbers are a topological order."""
        number = self._index.get(atom)
        if number is None:
            number = self._index[atom] = len(self.table)
            self.table.append(atom)
        return number

    def form(self, atom: Atom) -> Form:
        """The form that is one atom."""
        return Form({((self.intern(atom), 1),): 1})

    def closure(self, atoms: Iterable[int]) -> list[int]:
        """All atoms that the given ones are functions of, themselves included, in topological order."""
        seen: set[int] = set()
        stack = list(atoms)
        while stack:
            number = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            atom = self.table[number]
            if isinstance(atom, Func):
                stack.extend(a for arg in atom.args for mono in arg.terms for a, _ in mono if a not in seen)
        return sorted(seen)

    def leaves(self, mono: Mono) -> list[int]:
        """The random atoms (Gaussian or drawn) beneath a monomial."""
        if not any(isinstance(self.table[a], Func) for a, _ in mono):
            return [a for a, _ in mono]
        return [a for a in self.closure(a for a, _ in mono) if not isinstance(self.table[a], Func)]

    def form_leaves(self, form: Form) -> list[int]:
        """The random atoms beneath a form."""
        beneath = self.closure(a for mono in form.terms for a, _ in mono)
        return [a for a in beneath if not isinstance(self.table[a], Func)]

    def depth(self, mono: Mono) -> int:
        """How deeply functions are nested in functions."""
        level: dict[int, int] = {}
        for number in self.closure(a for a, _ in mono):
            atom = self.table[number]
            if isinstance(atom, Func):
                below = (a for arg in atom.args for m in arg.terms for a, _ in m)
                level[number] = 1 + max((level.get(a, 0) for a in below), default=0)
        return max(level.values(), default=0)

    def smooth(self, mono: Mono) -> bool:
        """Whether every function beneath has a weak derivative that is known."""
        for number in self.closure(a for a, _ in mono):
            atom = self.table[number]
            if isinstance(atom, Func):
                partials = atom.fn.partials() if atom.fn.partials is not None else (None,) * len(atom.args)
                if atom.fn.jumps or any(
                    p is None and not arg.is_constant for p, arg in zip(partials, atom.args, strict=True)
                ):
                    return False
        return True

    def differentiable(self, mono: Mono, hat: int) -> bool:
        """Whether the functions between a Gaussian atom and a monomial have known weak derivatives in what depends on it."""
        moved = {hat}
        for number in self.closure(a for a, _ in mono):
            atom = self.table[number]
            if not isinstance(atom, Func):
                continue
            through = [k for k, arg in enumerate(atom.args) if any(a in moved for m in arg.terms for a, _ in m)]
            if through:
                moved.add(number)
                slopes = atom.fn.partials() if atom.fn.partials is not None else (None,) * len(atom.args)
                jumps = atom.fn.jumps and atom.fn.kink_arg in through
                if jumps or any(slopes[k] is None for k in through):
                    return False
        return True

    def derivative(self, mono: Mono, hat: int) -> Form:
        """d mono / d hat by Leibniz and the chain rule, through every Z beneath, scalars held fixed (theory 2)."""
        inner: dict[int, Form] = {}
        for number in self.closure(a for a, _ in mono):
            if number == hat:
                inner[number] = constant(1)
                continue
            atom = self.table[number]
            if not isinstance(atom, Func):
                continue
            total = Form({})
            for k, arg in enumerate(atom.args):
                slope = self._chain(arg, inner)
                if slope.terms:
                    assert atom.fn.partials is not None
                    partial = atom.fn.partials()[k]
                    assert partial is not None
                    total = add(total, times(slope, self.apply(partial, atom.args)))
            if total.terms:
                inner[number] = total
        return self._chain(Form({mono: 1}), inner)

    def _chain(self, form: Form, inner: dict[int, Form]) -> Form:
        total = Form({})
        for mono, coefficient in form.terms.items():
            for atom, power in mono:
                if atom in inner:
                    rest = Form({mono_without(mono, atom): coefficient * power})
                    total = add(total, times(rest, inner[atom]))
        return total

    def apply(self, fn: Nonlinearity, args: tuple[Form, ...]) -> Form:
        """fn of forms: a number if they are numbers, else an atom."""
        if all(arg.is_constant for arg in args):
            return constant(evaluate(fn, *(arg.constant for arg in args)))
        return self.form(Func(fn, args))


def put(atoms: Atoms, form: Form, atom: int, value: Number) -> Form:
    """The form with a number in place of one of the atoms beneath it."""
    made: dict[int, Form] = {atom: constant(value)}

    def replaced(f: Form) -> Form:
        total = Form({})
        for mono, c in f.terms.items():
            product = constant(1)
            for a, power in mono:
                for _ in range(power):
                    product = times(product, made.get(a, Form({((a, 1),): 1})))
            total = add(total, scale(product, c))
        return total

    for a in atoms.closure(b for mono in form.terms for b, _ in mono):
        node = atoms.table[a]
        if (
            a != atom
            and isinstance(node, Func)
            and any(b in made for arg in node.args for m in arg.terms for b, _ in m)
        ):
            made[a] = atoms.apply(node.fn, tuple(replaced(arg) for arg in node.args))
    return replaced(form)


def evaluate(fn: Nonlinearity, *values: Number) -> Number:
    """fn of numbers, exactly where the function is piecewise polynomial and the numbers are rational."""
    if any(hasattr(v, "context") for v in values):
        ctx = next(v.context for v in values if hasattr(v, "context"))
        if fn.mp is not None:
            return fn.mp(ctx, *(ctx.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in values))
    if len(values) == 1 and isinstance(values[0], Fraction | int) and fn.pieces is not None:
        x, pieces = Fraction(values[0]), fn.pieces
        if not any(x == b for b in pieces.breaks):
            row = pieces.polys[sum(x > b for b in pieces.breaks)]
            return sum((Fraction(c) if isinstance(c, int) else c) * x**k for k, c in enumerate(row))
        at_break = float(fn.fn(float(x)))
        return Fraction(at_break) if at_break == int(at_break) else at_break
    if len(values) == 1 and isinstance(values[0], Fraction | int):
        if values[0] == 0 and fn.name in _AT_ZERO:
            return Fraction(_AT_ZERO[fn.name])
        if fn.name == "sqrt" and values[0] >= 0:
            root = _rational_root(Fraction(values[0]))
            if root is not None:
                return root
    floats = [np.asarray(v, dtype=float) for v in values]
    with np.errstate(all="ignore"):  # the caller refuses what is not finite, with the line it stands in
        return as_number(evaluate_floats(fn, *floats))


def _rational_root(x: Fraction) -> Fraction | None:
    p, q = isqrt(x.numerator), isqrt(x.denominator)
    return Fraction(p, q) if p * p == x.numerator and q * q == x.denominator else None
