"""Forms of Z, and functions of them, as expressions of sympy, and such expressions as handles of a program again."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..ensembles import Number
from ..errors import UnsupportedOperation
from ..handles import apply
from ..language import soft_threshold
from ..nonlinearity import Nonlinearity
from ..normal import Atoms, Draw, Form, Func, Hat, Initial, Mono, number_key
from ..quantity import Quantity, sympy_module

Linear = tuple[tuple[int, Number], ...]
_KNOWN = ("exp", "log", "tanh", "sinh", "cosh", "sin", "cos", "tan", "erf", "sqrt", "Abs", "sign")
_UFUNCS = ("exp", "log", "tanh", "sinh", "cosh", "sin", "cos", "tan", "sqrt", "sign")


def number(value: Number) -> Any:
    """A number of the ring as an expression."""
    if isinstance(value, Quantity):
        return value.expression
    sympy = sympy_module()
    return (
        sympy.Rational(value.numerator, value.denominator) if isinstance(value, int | Fraction) else sympy.Float(value)
    )


@dataclass
class Functions:
    """The functions of some equations by the names they are printed with."""

    by_name: dict[str, Nonlinearity] = field(default_factory=dict)

    def call(self, fn: Nonlinearity, args: list[Any]) -> Any:
        """fn of expressions."""
        sympy = sympy_module()
        match fn.name:
            case "product":
                return args[0] * args[1]
            case "reciprocal":
                return 1 / args[0]
            case "abs":
                return sympy.Abs(args[0])
            case "where":
                return args[2] + args[0] * (args[1] - args[2])
        if fn.name in _KNOWN:
            return getattr(sympy, fn.name)(*args)
        stem = {"heaviside[0]": "step", "heaviside[1]": "step_closed"}.get(fn.name, fn.name)
        name, count = stem, 1
        while self.by_name.setdefault(name, fn) != fn:
            count += 1
            name = f"{stem}_{count}"
        return sympy.Function(name, real=True)(*args)


@dataclass
class Variables:
    """The random variables that integrands are written in: Gaussians by their linear combination of atoms, and draws.

    Attributes
    ----------
    gaussians : dict
        Symbol to linear combination of Gaussian atoms with the first coefficient 1.
    draws : dict
        Symbol to atom.
    """

    atoms: Atoms
    names: Mapping[Any, str]
    functions: Functions
    label: Callable[[int], str]  # of a hat
    gaussians: dict[Any, Linear] = field(default_factory=dict)
    draws: dict[Any, int] = field(default_factory=dict)
    _seen: dict[Any, Any] = field(default_factory=dict)

    def form(self, form: Form) -> Any:
        """A form as a polynomial in variables and functions."""
        return sum((number(c) * self.mono(m) for m, c in form.terms.items()), sympy_module().Integer(0))

    def mono(self, mono: Mono) -> Any:
        out = sympy_module().Integer(1)
        for a, power in mono:
            out = out * self._atom(a) ** power
        return out

    def _atom(self, a: int) -> Any:
        match self.atoms.table[a]:
            case Hat() | Initial():
                return self._gaussian(((a, 1),))
            case Draw():
                return self._drawn(a)
            case Func(fn, args):
                return self.functions.call(fn, [self._argument(arg) for arg in args])
        raise AssertionError

    def _argument(self, form: Form) -> Any:
        """An argument of a function, its linear Gaussian part as one variable."""
        plain = {
            m[0][0]: c
            for m, c in form.terms.items()
            if len(m) == 1 and m[0][1] == 1 and isinstance(self.atoms.table[m[0][0]], Hat | Initial)
        }
        if len(plain) < 2:
            return self.form(form)
        linear = sorted(plain.items())
        first = linear[0][1]
        head = first.unit if isinstance(first, Quantity) else Fraction(first)
        rest = Form({m: c for m, c in form.terms.items() if not (len(m) == 1 and m[0][1] == 1 and m[0][0] in plain)})
        return number(head) * self._gaussian(tuple((a, c / head) for a, c in linear)) + self.form(rest)

    def _gaussian(self, linear: Linear) -> Any:
        key = tuple((a, number_key(c)) for a, c in linear)
        if key not in self._seen:
            atom = self.atoms.table[linear[0][0]]
            if len(linear) == 1 and isinstance(atom, Initial):
                name = self.names.get((id(atom.group), atom.index), "") or self._free("x")
            elif len(linear) == 1:
                name = self.label(linear[0][0])
            else:
                name = self._free("U")
            self._seen[key] = symbol = self._symbol(name)
            self.gaussians[symbol] = linear
        return self._seen[key]

    def _drawn(self, a: int) -> Any:
        if a not in self._seen:
            atom = self.atoms.table[a]
            assert isinstance(atom, Draw)
            self._seen[a] = symbol = self._symbol(self.names.get((id(atom.source), 0), "") or self._free("x"))
            self.draws[symbol] = a
        return self._seen[a]

    def _symbol(self, name: str) -> Any:
        taken = {s.name for s in self._seen.values()}
        while name in taken:
            name += "_"
        return sympy_module().Symbol(name, real=True)

    def _free(self, stem: str) -> str:
        taken = {s.name for s in self._seen.values()}
        count = 1
        while f"{stem}_{count}" in taken:
            count += 1
        return f"{stem}_{count}"


def folded(expression: Any, random: Container[Any]) -> Any:
    """relu(x - t) - relu(-x - t) as soft(x, t), and for t > 0 step(x - t) + step(-x - t) as step(|x| - t); t not random."""
    sympy = sympy_module()
    relu, step, soft = (sympy.Function(name, real=True) for name in ("relu", "step", "soft"))

    def softened(a: Any, b: Any, level: Any) -> Any:
        x = sympy.expand((a.args[0] - b.args[0]) / 2)
        return -soft(-x, level) if x.could_extract_minus_sign() else soft(x, level)

    def indicated(a: Any, b: Any, level: Any) -> Any:
        x = sympy.expand((a.args[0] - b.args[0]) / 2)
        return step(sympy.Abs(-x if x.could_extract_minus_sign() else x) - level)

    def pairs(total: Any) -> Any:
        for fn, sign, made in ((relu, -1, softened), (step, 1, indicated)):
            for a in (c for c in total.args if isinstance(c, fn)):
                for b in (sign * c for c in total.args if isinstance(sign * c, fn)):
                    level = -sympy.expand(a.args[0] + b.args[0]) / 2
                    fixed = not any(s in random for s in level.free_symbols)
                    if a != b and fixed and (fn is relu or level.is_positive):
                        left = total - a - sign * b + made(a, b, level)
                        return pairs(left) if left.is_Add else left
        return total

    return expression.replace(lambda e: e.is_Add, pairs)


def short(expression: Any, random: Container[Any]) -> Any:
    """Factored where that makes an integrand shorter."""
    sympy = sympy_module()
    expanded = sympy.expand(expression)
    found = [folded(e, random) for e in (sympy.factor(expanded), expanded)]
    return min((_outward(_paired(e)) for e in found), key=sympy.count_ops)


def _paired(e: Any) -> Any:
    """(x - 1) (x + 1) as x**2 - 1."""
    sympy = sympy_module()

    def once(product: Any) -> Any:
        for a in product.args:
            if a.is_Add and a - 2 in product.args:
                rest = product / (a * (a - 2))
                square = sympy.expand(a * (a - 2))
                return once(rest * square) if rest.is_Mul else rest * square
        return product

    return e.replace(lambda x: x.is_Mul, once)


def _outward(e: Any) -> Any:
    """An even power of what begins with a minus sign, without it."""
    if e.is_Pow and e.exp.is_Integer and e.exp % 2 == 0 and e.base.could_extract_minus_sign():
        return (-e.base) ** e.exp
    return e


def handle(expression: Any, values: Mapping[Any, Any], functions: Mapping[str, Nonlinearity]) -> Any:
    """An expression as handles or numbers, its symbols standing for `values`."""
    sympy = sympy_module()

    def go(e: Any) -> Any:
        if e in values:
            return values[e]
        if e.is_Rational:
            return Fraction(int(e.p), int(e.q))
        if e.is_number:
            return float(e)
        parts = [go(a) for a in e.args]
        if e.is_Add or e.is_Mul:
            total = parts[0]
            for p in parts[1:]:
                total = total + p if e.is_Add else total * p
            return total
        if e.is_Pow:
            return _power(*parts)
        name = type(e).__name__
        if name == "soft":
            return soft_threshold(*parts)
        if isinstance(e, sympy.Abs):
            return np.abs(parts[0])
        if name in functions:
            symbolic = any(hasattr(p, "op") for p in parts)
            return apply(functions[name], *parts) if symbolic else float(functions[name].fn(*map(float, parts)))
        if name in _UFUNCS:
            return getattr(np, name)(*(p if hasattr(p, "op") else float(p) for p in parts))
        if name == "erf":
            from ..special import erf

            return erf(*(p if hasattr(p, "op") else float(p) for p in parts))
        raise UnsupportedOperation(f"a number for {e}", remedy="give a value for every symbol")

    return go(expression)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = int(exponent)
    if isinstance(base, Fraction) and not isinstance(exponent, int):
        base = float(base)
    return base ** (float(exponent) if isinstance(base, float) and not isinstance(exponent, int) else exponent)
