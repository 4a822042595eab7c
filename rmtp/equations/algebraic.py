"""The polynomial P(g, z) = 0 behind a law, by elimination from its Dyson system.

The system is the one that `Law.equation` prints. Averages over finitely many values are sums; unknowns that a line gives in
terms of others are put in, what is left goes by resultants. Of the irreducible factors one holds g: the one that vanishes on
g(z) ~ 1/z at infinity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..dyson.couplings import spectral
from ..errors import UnsupportedOperation
from ..laws import Atom, CoordinateLaw
from ..quantity import Quantity, sympy_module
from ..spectra.equation import Equation, Writer
from ..spectra.spectral import SingularLaw, SpectralLaw
from .writing import number

_DEGREE = 60  # of an intermediate polynomial: beyond, elimination takes longer than anyone waits
_UNKNOWNS = 4  # beside g, of a Groebner basis
_ENTRIES = 6  # equations beside an inverse matrix: its entries are long, and elimination multiplies lengths


@dataclass(frozen=True, eq=False)
class Algebraic:
    """The equations of a law of eigenvalues.

    Attributes
    ----------
    equation : Equation
        The fixed-point system.
    polynomial : sympy expression
        P in the symbols g and z, irreducible, with integer coefficients: P(g(z), z) = 0.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.derive(rmtp.spectrum(rmtp.GOE(rmtp.Dim("n")))).polynomial
    g**2 - g*z + 1
    """

    equation: Equation
    polynomial: Any

    @property
    def degree(self) -> int:
        """In g: how many branches there are."""
        return int(sympy_module().degree(self.polynomial, self.symbols[0]))

    @property
    def symbols(self) -> tuple[Any, Any]:
        """g and z."""
        sympy = sympy_module()
        return sympy.Symbol("g"), sympy.Symbol("z")

    def __str__(self) -> str:
        return f"{self.equation}\n  eliminated: {self.polynomial} = 0"

    def __repr__(self) -> str:
        return f"<Algebraic {self.polynomial} = 0>"

    def latex(self) -> str:
        """P = 0."""
        sympy = sympy_module()
        g, _ = self.symbols
        ordered = sympy.Poly(self.polynomial, g)
        powers = ["", " g", *(f" g^{{{k}}}" for k in range(2, self.degree + 1))]
        terms = " + ".join(f"{_wrapped(c, k > 0)}{powers[k]}".strip() for (k,), c in ordered.terms())
        return f"{terms.replace('+ -', '- ')} = 0"

    def sympy(self) -> dict[str, Any]:
        """``{"g": sympy.Eq(P, 0)}``."""
        return {"g": sympy_module().Eq(self.polynomial, 0)}

    def evaluate(self, g: complex, z: complex, **values: float) -> complex:
        """P at numbers."""
        sympy = sympy_module()
        symbols = self.symbols
        named = {s: values[s.name] for s in self.polynomial.free_symbols if s not in symbols}
        return complex(sympy.lambdify(symbols, self.polynomial.subs(named))(g, z))


def _wrapped(c: Any, factor: bool) -> str:
    """A coefficient, before a power or alone."""
    text = str(sympy_module().latex(c))
    if not factor:
        return text
    return "" if c == 1 else "-" if c == -1 else rf"\left({text}\right)" if c.is_Add else text


def algebraic(law: SpectralLaw | SingularLaw) -> Algebraic:
    """P(g, z) = 0 of a law.

    Parameters
    ----------
    law : SpectralLaw or SingularLaw
        Of singular values: g and z belong to their squares.

    Returns
    -------
    Algebraic

    Raises
    ------
    UnsupportedOperation
        If a coefficient or an ensemble has a law that is no finite set of values, or the elimination grows out of hand.

    Examples
    --------
    >>> import rmtp
    >>> rho = rmtp.symbol("rho")
    >>> W = rmtp.Gaussian(rmtp.Dim("m", ratio=rho), rmtp.Dim("n"))
    >>> algebraic(rmtp.spectrum(W.T @ W)).polynomial
    g**2*z + g*rho - g*z - g + 1
    """
    square = law.square if isinstance(law, SingularLaw) else law
    system = square.resolvent.system
    writer = Writer(system, square.text)
    equation = writer.written()
    names = {line.name for line in equation.lines}
    matrices = [line for line in equation.lines if line.right.startswith("[[")]
    if matrices and sum(not re.fullmatch(r"\w+", line.right) for line in equation.lines) > _ENTRIES:
        raise UnsupportedOperation(
            f"the elimination of {len(equation.lines)} equations with inverse matrices",
            remedy="law.equation(), the fixed-point system, which is what the law is computed from",
        )
    right = _parsed(equation, names, _values(writer))
    return Algebraic(equation, _eliminated(right))


# ---------------------------------------------------------------------------------------------


def _values(writer: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Joint values of the random names with their weights."""
    sympy = sympy_module()
    rows: list[tuple[Any, dict[str, Any]]] = [(sympy.Integer(1), {})]
    if writer.diagonals:
        rule = writer.system.coefficients.rule(list(writer.diagonals), 4)
        if not rule.finite:
            raise UnsupportedOperation(
                "the polynomial of a law with a diagonal that takes infinitely many values",
                remedy="law.equation(), the fixed-point system; a diagonal with finitely many values has a polynomial",
            )
        rows = [
            (_exact(w), {name: _exact(rule.values[k][i]) for k, name in writer.diagonals.items()})
            for i, w in enumerate(rule.weights)
        ]
    laws = [c.matrix.ensemble.law for c in writer.system.couplings if spectral(c.matrix)]
    if len(laws) > 1:
        raise UnsupportedOperation(
            "the polynomial of a law with several matrices of given eigenvalues", remedy="law.equation()"
        )
    for law in laws:
        if not isinstance(law, CoordinateLaw) or not all(isinstance(p, Atom) for p in law.components):
            raise UnsupportedOperation("the polynomial of eigenvalues that are no atoms", remedy="law.equation()")
        rows = [
            (weight * _exact(w), {**there, "s": _exact(part.value)})
            for weight, there in rows
            for w, part in zip(law.weights, law.components, strict=True)
            if isinstance(part, Atom)
        ]
    return rows


def _exact(value: Any) -> Any:
    if isinstance(value, Quantity | int | Fraction):
        return number(value)
    sympy = sympy_module()
    found = Fraction(float(value)).limit_denominator(10**6)
    if abs(float(found) - float(value)) > 1e-15 * max(1.0, abs(float(value))):
        raise UnsupportedOperation(f"the irrational number {float(value)!r} in a polynomial", remedy="rational data")
    return sympy.Rational(found.numerator, found.denominator)


def _parsed(equation: Equation, names: set[str], rows: list[tuple[Any, dict[str, Any]]]) -> dict[Any, Any]:
    """Right-hand sides by symbol; an average is a sum over the values."""
    sympy = sympy_module()
    words = {w for line in equation.lines for w in re.findall(r"[A-Za-z_]\w*", line.right)} - {"E", "inv", "I"}
    space: dict[str, Any] = {
        w: sympy.Symbol(w, positive=True) if w not in names and w != "z" else sympy.Symbol(w) for w in words
    }
    space["E"], space["inv"] = _Average(rows, space), lambda m: m.inv()
    out: dict[Any, Any] = {}
    for line in equation.lines:
        if "I " in line.right or "@" in line.right or "R(" in line.right:
            raise UnsupportedOperation(
                "the polynomial of a law with a matrix of responses", remedy="law.equation(), the fixed-point system"
            )
        found = _read(line.right, space)
        if line.right.startswith("[["):
            space[line.name] = sympy.Matrix(found)
        else:
            out[sympy.Symbol(line.name)] = found
    return out


def _read(text: str, space: dict[str, Any]) -> Any:
    from sympy.parsing.sympy_parser import parse_expr

    return parse_expr(text, local_dict=space)


class _Average:
    """``E[..]`` as the text writes it."""

    def __init__(self, rows: list[tuple[Any, dict[str, Any]]], space: dict[str, Any]) -> None:
        self.rows, self.space = rows, space

    def __getitem__(self, inner: Any) -> Any:
        total = sympy_module().Integer(0)
        for weight, values in self.rows:
            total = total + weight * inner.xreplace({self.space[k]: v for k, v in values.items() if k in self.space})
        return total


def _eliminated(right: dict[Any, Any]) -> Any:
    sympy = sympy_module()
    g, z = sympy.Symbol("g"), sympy.Symbol("z")
    left = dict(right)
    while True:
        ready = [v for v, e in left.items() if v != g and v not in e.free_symbols]
        if not ready:
            break
        v = min(ready, key=lambda s: (sympy.count_ops(left[s]), s.name))
        value = left.pop(v)
        left = {s: sympy.cancel(e.xreplace({v: value})) for s, e in left.items()}
    unknowns = [s for s in left if s != g]
    equations = [sympy.fraction(sympy.together(s - e)) for s, e in left.items()]
    candidates = _by_resultants([top for top, _ in equations], unknowns, g, z)
    if (
        len(candidates) != 1 and len(unknowns) <= _UNKNOWNS
    ):  # resultants of polynomials with common factors tell nothing
        candidates = _by_bases(equations, unknowns, g, z)
    if len(candidates) != 1:
        raise UnsupportedOperation(
            f"{len(candidates)} factors of the eliminated polynomial hold g ~ 1/z", remedy="law.equation()"
        )
    (best,) = candidates
    leading = sympy.Poly(best, g, z).coeffs()[0]
    return sympy.expand(-best if leading.could_extract_minus_sign() else best)


def _by_resultants(tops: list[Any], unknowns: list[Any], g: Any, z: Any) -> list[Any]:
    polynomials = [_primitive(top) for top in tops]
    for v in unknowns:
        polynomials = _without(v, polynomials)
    return _holding(polynomials[0], g, z) if polynomials else []


def _by_bases(equations: list[tuple[Any, Any]], unknowns: list[Any], g: Any, z: Any) -> list[Any]:
    """By a Groebner basis of the system with its denominators kept away from zero."""
    sympy = sympy_module()
    extra = sympy.Symbol("t_")
    below = sympy.Integer(1)
    for _, bottom in equations:
        below = sympy.lcm(below, bottom)
    ideal = [*(top for top, _ in equations), 1 - extra * below]
    basis = sympy.groebner(
        ideal, extra, *unknowns, g, domain=sympy.QQ.frac_field(*_others(ideal, [extra, *unknowns, g]))
    )
    only = [p for p in basis.exprs if not p.free_symbols & {extra, *unknowns}]
    return _holding(sympy.numer(sympy.together(only[-1])), g, z) if only else []


def _others(ideal: list[Any], variables: list[Any]) -> list[Any]:
    found = {s for p in ideal for s in p.free_symbols} - set(variables)
    return sorted(found, key=lambda s: s.name)


def _holding(polynomial: Any, g: Any, z: Any) -> list[Any]:
    """The irreducible factors that g ~ 1/z may belong to."""
    factors = sympy_module().factor_list(polynomial)[1]
    return [f for f, _ in factors if g in f.free_symbols and _at_infinity(f, g, z)]


def _without(v: Any, polynomials: list[Any]) -> list[Any]:
    """Resultants that no longer know v."""
    sympy = sympy_module()
    have = sorted((p for p in polynomials if v in p.free_symbols), key=lambda p: sympy.degree(p, v))
    rest = [p for p in polynomials if v not in p.free_symbols]
    if not have:
        return rest
    pivot, *others = have
    for p in others:
        if sympy.degree(pivot, v) * sympy.degree(p, v) > _DEGREE:
            raise UnsupportedOperation(
                "an elimination of too high a degree", remedy="law.equation(), the fixed-point system"
            )
        rest.append(_primitive(sympy.resultant(pivot, p, v)))
    return rest


def _primitive(p: Any) -> Any:
    """Without repeated factors."""
    sympy = sympy_module()
    out = sympy.Integer(1)
    for factor, _power in sympy.factor_list(p)[1]:
        out = out * factor
    return sympy.expand(out)


def _at_infinity(factor: Any, g: Any, z: Any) -> bool:
    """Whether a factor vanishes to leading order at g = 1/z, z -> infinity."""
    sympy = sympy_module()
    w, h = sympy.Symbol("w_"), sympy.Symbol("h_")
    p = sympy.Poly(sympy.numer(sympy.together(factor.subs({g: w * h, z: 1 / w}, simultaneous=True))), w)
    lowest = p.as_expr().as_independent(w)[0] if p.eval(0) != 0 else p.terms()[-1][1]
    return bool(sympy.simplify(sympy.sympify(lowest).subs(h, 1)) == 0)
