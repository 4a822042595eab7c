"""The walk of the theorem over the field of rational functions of symbols.

Polynomials go by Isserlis as they are. Whatever else the ring lacks becomes one more symbol with a definition: an expectation
of functions, or a function of numbers such as a root. Equal definitions are one symbol, so that what cancels, cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..catalogue import TANH
from ..ensembles import Number
from ..errors import NotExact, UnsupportedOperation
from ..expect.closed_forms import is_rational
from ..expect.engine import Options
from ..expect.gradients import Gradients
from ..formtext import source_names
from ..instructions import Arithmetic
from ..nonlinearity import Nonlinearity
from ..normal import Atoms, Draw, Form, Func, Hat, Initial, Mono, evaluate, is_zero, number_key
from ..printing import printed
from ..program import Program
from ..quantity import Quantity, Undecided, given, of_symbol, rational, sympy_module
from ..theorem import MasterTheorem
from .writing import Functions, Linear, Variables


@dataclass(frozen=True)
class MeanOf:
    """A symbol for E of a monomial."""

    mono: Mono


@dataclass(frozen=True)
class Value:
    """A symbol for a function of numbers: `expression` in the symbols of `args`."""

    fn: Nonlinearity
    args: tuple[Number, ...]


class Names:
    """The symbols that a walk introduces, with their definitions, in order."""

    def __init__(self) -> None:
        self.definitions: dict[Any, MeanOf | Value] = {}
        self._known: dict[Any, Number] = {}

    def name(self, key: Any, stem: str, definition: MeanOf | Value, positive: bool) -> Number:
        """The symbol of a definition; an equal one is the same symbol."""
        if key not in self._known:
            sympy = sympy_module()
            title = f"{stem}_{len(self.definitions)}"
            symbol = sympy.Symbol(title, positive=True) if positive else sympy.Symbol(title, real=True)
            self.definitions[symbol] = definition
            self._known[key] = of_symbol(symbol)
        return self._known[key]

    def value(self, fn: Nonlinearity, args: Sequence[Number]) -> Number:
        """fn of numbers: rational if it is known to be, else a symbol."""
        args = tuple(Fraction(a) if isinstance(a, int) else a for a in args)
        if fn.name == "reciprocal":
            return 1 / args[0]
        if fn.name == "sqrt" and isinstance(args[0], Quantity):
            root = _root(args[0])
            if root is not None:
                return root
        if not any(isinstance(a, Quantity) for a in args):
            found = evaluate(fn, *args)
            if isinstance(found, float) and np.isfinite(found):
                return self.name((fn, args), "_f", Value(fn, args), found > 0)
            return rational(found)
        return self.name((fn, args), "_f", Value(fn, args), fn.name in ("sqrt", "exp", "cosh"))


class SymbolicAtoms(Atoms):
    """Functions of numbers are symbols, or numbers."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def apply(self, fn: Nonlinearity, args: tuple[Form, ...]) -> Form:
        if all(arg.is_constant for arg in args):
            value = self._names.value(fn, [arg.constant for arg in args])
            return Form({} if is_zero(value) else {(): value})
        if fn.name.startswith("tanh'") and set(fn.name[4:]) == {"'"}:
            return self._in_tanh(fn.name.count("'"), args)
        return super().apply(fn, args)

    def _in_tanh(self, order: int, args: tuple[Form, ...]) -> Form:
        """A derivative of tanh as a polynomial in tanh: one function, so that Onsager terms cancel."""
        row = [0, 1]
        for _ in range(order):  # d/dx p(T) = p'(T) (1 - T^2)
            slope = [k * c for k, c in enumerate(row)][1:]
            row = [a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
        tanh = self.intern(Func(TANH, args))
        return Form({((tanh, k),) if k else (): Fraction(c) for k, c in enumerate(row) if c})


class SymbolicExpectations(Gradients):
    """Expectations that are no polynomials are symbols."""

    names: Names
    variables: Variables

    def choose(self, mono: Mono) -> Number:
        """A closed form in the ring, or a symbol."""
        value = self._homogeneous(mono)
        if value is not None:
            return value
        fresh = Variables(self.atoms, {}, self.variables.functions, lambda a: "g")
        key: list[Any] = [fresh.mono(mono)]
        gaussians = list(fresh.gaussians.values())
        key += [number_key(self.covariance(u, v)) for i, u in enumerate(gaussians) for v in gaussians[: i + 1]]
        key += [self.atoms.table[a] for a in fresh.draws.values()]
        positive = all(power % 2 == 0 for _, power in mono)
        return self.names.name(tuple(key), "_e", MeanOf(mono), positive)

    def covariance(self, u: Linear, v: Linear) -> Number:
        """Of two linear combinations of Gaussian atoms."""
        total: Number = 0
        for a, c in u:
            for b, d in v:
                total = total + c * d * self.cov(a, b)
        return total

    def _homogeneous(self, mono: Mono) -> Number | None:
        """E of positively homogeneous functions and powers of one Gaussian, of even degree: (a+ + a-) / 2 (k-1)!! v^(k/2)."""
        direction: Linear | None = None
        linear: Linear
        degree = 0
        sides = [Fraction(1), Fraction(1)]
        for a, power in mono:
            atom = self.atoms.table[a]
            match atom:
                case Hat() | Initial():
                    linear, k, slopes = ((a, 1),), 1, (1, -1)
                case Func(fn, (arg,)) if fn.family and fn.family[0] == "homogeneous":
                    if any(len(m) != 1 or m[0][1] != 1 for m in arg.terms) or not all(
                        isinstance(self.atoms.table[m[0][0]], Hat | Initial) for m in arg.terms
                    ):
                        return None
                    linear = tuple(sorted((m[0][0], c) for m, c in arg.terms.items()))
                    k = fn.family[1]
                    slopes = tuple(rational(s) for s in fn.family[2:])
                case _:
                    return None
            head = linear[0][1]
            unit = tuple((b, Fraction(c) / head if isinstance(c, int) else c / head) for b, c in linear)
            if direction is not None and unit != direction:
                return None
            direction = unit
            try:
                flipped = head < 0
            except Undecided:
                return None
            size = abs(head) ** k
            here = [s * size for s in (reversed(slopes) if flipped else slopes)]
            sides = [s * h**power for s, h in zip(sides, here, strict=True)]
            degree += k * power
        if degree % 2 or direction is None:
            return None
        total = (sides[0] + sides[1]) / 2
        for j in range(1, degree, 2):
            total = total * j
        return total * self.covariance(direction, direction) ** (degree // 2)

    def _moment(self, draw: Draw, power: int) -> Number:
        value = draw.source.law.moment(power)
        try:
            return rational(value)
        except NotExact:
            mono = ((self.atoms.intern(draw), power),)
            return self.names.name(mono, "_e", MeanOf(mono), power % 2 == 0)

    def _term_gradient(self, mono: Mono, hats: list[int]) -> dict[int, Number]:
        if self.atoms.smooth(mono):
            return {h: self.of_form(self.atoms.derivative(mono, h)) for h in hats}
        return super()._term_gradient(mono, hats)


class Symbolic(MasterTheorem):
    """The limit of every line of a program in the field of its symbols.

    Parameters
    ----------
    program : Program
    naive : bool
        Drop Z-Dot.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> a, x = rmtp.symbol("a"), rmtp.Normal(rmtp.Dim("n"))
    >>> walked = Symbolic(rmtp.program(np.mean((a * x) ** 4))).run()
    >>> walked.values[-1]
    3*a**4
    """

    def __init__(self, program: Program, naive: bool = False) -> None:
        super().__init__(program, Options(exact=True), naive)
        self.names = Names()
        self.atoms = SymbolicAtoms(self.names)
        expect = SymbolicExpectations(self.atoms, self.z_hat, self.options, self.number)
        expect.names = self.names
        self.labels: dict[int, str] = {}
        expect.variables = self.variables = Variables(
            self.atoms, source_names(program, printed(program).names), Functions(), self._label
        )
        self.expect = expect

    def _label(self, hat: int) -> str:
        return self.labels.setdefault(hat, f"G_{len(self.labels) + 1}")

    def z_nonlin(self, fn: Nonlinearity | Arithmetic, args: Sequence[Form]) -> Form:
        try:
            return super().z_nonlin(fn, args)
        except Undecided:  # an identity whose condition the symbols leave open
            assert isinstance(fn, Nonlinearity)
            return self.atoms.apply(fn, tuple(args))

    def scalar(self, fn: Nonlinearity | Arithmetic, args: Sequence[Number]) -> Number:
        if isinstance(fn, Nonlinearity):
            return self.names.value(fn, args)
        return super().scalar(fn, args)

    def given(self, value: Number, swept: bool) -> Any:
        if swept:
            raise UnsupportedOperation("equations over a sweep", remedy="rmtp.symbol in place of the array")
        return super().given(value, swept)

    def z_solve(self, system: Any, index: int, args: Sequence[Form]) -> Form:
        raise UnsupportedOperation("solve in equations", remedy="law.equation() prints the fixed point of a spectrum")

    def _check_vanishing(self, fn: Nonlinearity, args: Sequence[Form]) -> None:
        if not isinstance(args[fn.kink_arg].constant, Quantity):
            super()._check_vanishing(fn, args)

    def _check_number(self, fn: Nonlinearity, value: Number, args: Sequence[Number]) -> None:
        if not isinstance(value, Quantity):
            super()._check_number(fn, value, args)

    def _vanishes(self, value: Number) -> bool:
        return is_rational(value) and value == 0


def _root(q: Quantity) -> Number | None:
    """The root of a square of something positive."""
    sympy = sympy_module()
    root = sympy.sqrt(sympy.factor(q.expression))
    if any(not p.exp.is_Integer for p in root.atoms(sympy.Pow)) or root.atoms(sympy.Abs):
        return None
    found = given(root)
    try:
        return abs(found)
    except Undecided:
        return None
