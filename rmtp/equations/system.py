"""Equations in dependence order: as text, as LaTeX, as objects of sympy, and as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..ensembles import Dim
from ..errors import BadParameter
from ..handles import parameter
from ..language import IID, Normal
from ..laws import Atom, Continuous, CoordinateLaw, GaussianLaw, describe
from ..limit import limit
from ..nonlinearity import Nonlinearity
from ..quantity import Quantity, sympy_module
from .writing import handle, number


@dataclass(frozen=True)
class Decomposition:
    """Z of a product with a matrix, by its name and as it is written: a Gaussian part and earlier vectors."""

    names: tuple[str, ...]
    latex: tuple[str, ...]
    right: Any


@dataclass(frozen=True)
class Covariance:
    """Of two centred Gaussians; a variance if they are one."""

    first: Any
    second: Any
    right: Any


@dataclass(frozen=True)
class Mean:
    """symbol = E[integrand]."""

    symbol: Any
    integrand: Any


@dataclass(frozen=True)
class Value:
    """symbol = right."""

    symbol: Any
    right: Any


Line = Decomposition | Covariance | Mean | Value


@dataclass(frozen=True, eq=False)
class Equations:
    """The equations of a limit.

    Attributes
    ----------
    lines : tuple
        Decompositions of Z, covariances, means and values; what a line uses stands above it.
    value : sympy expression, or tuple of them
        What was asked for, in the symbols of the lines: of a scalar its limit, of a vector its Z.
    parameters : tuple of sympy.Symbol
        The symbols that were given.
    draws : dict
        Laws of variables that are not Gaussian.
    functions : dict
        Nonlinearities by the names in the equations.
    program : str
        What the equations are the limit of.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> sigma = rmtp.symbol("sigma")
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n, std=sigma, name="W"), rmtp.Normal(n, name="x")
    >>> found = rmtp.derive(np.mean(np.tanh(W @ x) ** 2))
    >>> print(found)
    G_1 ~ N(0, sigma**2)
    Z^{v2} = Z^{W @ x} = G_1
    theta = E[tanh(G_1)**2]
    >>> round(found.evaluate(sigma=1), 6)
    0.394294
    """

    lines: tuple[Line, ...]
    value: Any
    parameters: tuple[Any, ...] = ()
    draws: Mapping[Any, CoordinateLaw] = field(default_factory=dict)
    functions: Mapping[str, Nonlinearity] = field(default_factory=dict)
    program: str = ""

    def __str__(self) -> str:
        return "\n".join([*self._laws(), *map(line_text, self.lines)]) or str(self.value)

    def __repr__(self) -> str:
        return f"<Equations {self.value}>"

    def _laws(self) -> Iterator[str]:
        for symbol, law in self.draws.items():
            yield f"{symbol} ~ {describe(law)}"

    def latex(self) -> str:
        """An ``align*`` environment."""
        rows = [*law_lines(self.draws), *map(line_latex, self.lines)]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def _repr_latex_(self) -> str:
        return self.latex()

    def sympy(self) -> dict[str, Any]:
        """``sympy.Eq`` per line, by the name of its left-hand side; E[..] is an undefined function of its integrand."""
        sympy = sympy_module()
        out: dict[str, Any] = {}
        for line in self.lines:
            match line:
                case Decomposition():
                    head = z(line.names[0])
                    out[head] = sympy.Eq(sympy.Symbol(head, real=True), line.right, evaluate=False)
                case Covariance():
                    pair = sympy.Function("Cov")(line.first, line.second)
                    out[str(pair)] = sympy.Eq(pair, line.right, evaluate=False)
                case Mean():
                    out[str(line.symbol)] = sympy.Eq(line.symbol, sympy.Function("E")(line.integrand), evaluate=False)
                case Value():
                    out[str(line.symbol)] = sympy.Eq(line.symbol, line.right, evaluate=False)
        return out

    def __getitem__(self, key: str) -> Any:
        """The right-hand side of a symbol, or the integrand of its mean."""
        for line in self.lines:
            if isinstance(line, Mean | Value) and line.symbol.name == key:
                return line.integrand if isinstance(line, Mean) else line.right
        names = ", ".join(line.symbol.name for line in self.lines if isinstance(line, Mean | Value))
        raise BadParameter(f"no equation for {key!r}", remedy=f"one of {names}" if names else "the value itself")

    def numbers(self, **values: Any) -> dict[str, Any]:
        """The value of every line at given parameters, computed from the equations alone.

        Parameters
        ----------
        **values : number
            One per parameter.

        Returns
        -------
        dict of str to Fraction or float
            Fractions where ints and Fractions are given and no mean or root is needed.

        Raises
        ------
        BadParameter
            If a parameter is missing or unknown.
        """
        return {s.name: v for s, v in self._run(values).env.items() if s not in self.parameters}

    def evaluate(self, **values: Any) -> Any:
        """`value` at given parameters: means by `limit`, the rest by arithmetic; for a vector, the law of its Z."""
        numbers = self._run(values)
        answers = [numbers.answer(v) for v in (self.value if isinstance(self.value, tuple) else (self.value,))]
        return tuple(answers) if isinstance(self.value, tuple) else answers[0]

    def _run(self, values: Mapping[str, Any]) -> Numbers:
        numbers = Numbers(parameters(self.parameters, values), {}, self.draws, self.functions)
        for line in self.lines:
            match line:
                case Covariance(first, second, right):
                    numbers.set_covariance(first, second, right)
                case Value(symbol, right):
                    numbers.set_value(symbol, right)
                case Mean(symbol, integrand):
                    numbers.env[symbol] = numbers.mean(integrand)
        return numbers


def parameters(wanted: Sequence[Any], values: Mapping[str, Any]) -> dict[Any, Any]:
    """Numbers for symbols.

    Raises
    ------
    BadParameter
        If one is missing or unknown.
    """
    names = {s.name: s for s in wanted}
    if set(values) != set(names):
        raise BadParameter(
            f"values for {', '.join(sorted(values)) or 'nothing'}", remedy=f"one each for {', '.join(sorted(names))}"
        )
    return {names[k]: Fraction(v) if isinstance(v, int | Fraction) else float(v) for k, v in values.items()}


@dataclass
class Numbers:
    """Equations at given parameters: numbers of symbols, and covariances of Gaussians."""

    env: dict[Any, Any]
    cov: dict[Any, Any]
    draws: Mapping[Any, CoordinateLaw]
    functions: Mapping[str, Nonlinearity]

    def value(self, expression: Any) -> Any:
        """An expression without random variables."""
        return handle(expression, self.env, self.functions)

    def set_covariance(self, first: Any, second: Any, right: Any) -> None:
        """Of two Gaussians."""
        self.cov[first, second] = self.cov[second, first] = self.value(right)

    def set_value(self, left: Any, right: Any) -> None:
        """Of a symbol, or of the square of a positive one."""
        value = self.value(right)
        self.env[left if left.is_Symbol else left.base] = value if left.is_Symbol else float(value) ** 0.5

    def mean(self, integrand: Any) -> float:
        """E of an expression in random variables, by `limit`."""
        return float(limit(np.mean(self.vector(integrand))))

    def answer(self, expression: Any) -> Any:
        """A number, or the law of an expression in random variables."""
        random = any((s, s) in self.cov or s in self.draws for s in expression.free_symbols)
        return limit(self.vector(expression)) if random else self.value(expression)

    def vector(self, integrand: Any) -> Any:
        """A program whose Z is the integrand."""
        n = Dim("n")
        free = sorted(integrand.free_symbols, key=lambda s: s.name)
        gaussians = [s for s in free if (s, s) in self.cov]
        here: dict[Any, Any] = {s: parameter(v) for s, v in self.env.items()}
        if gaussians:
            matrix = [[self.cov.get((a, b), 0) for b in gaussians] for a in gaussians]
            vectors = Normal(n, mean=[0] * len(gaussians), cov=matrix)
            here.update(zip(gaussians, vectors, strict=True))
        for s in free:
            if s in self.draws:
                here[s] = IID(n, numeric(self.draws[s], lambda q: self.value(number(q))))
        return handle(integrand, here, self.functions)


def numeric(law: CoordinateLaw, value: Any) -> CoordinateLaw:
    """A law with numbers in place of symbols."""

    def plain(q: Any) -> Any:
        return value(q) if isinstance(q, Quantity) else q

    parts: list[Any] = []
    for part in law.components:
        match part:
            case Atom(v):
                parts.append(Atom(plain(v)))
            case GaussianLaw(mean, var):
                parts.append(GaussianLaw(plain(mean), plain(var)))
            case Continuous():
                parts.append(part)
    return CoordinateLaw(tuple(parts), tuple(plain(w) for w in law.weights))


# ---------------------------------------------------------------------------------------------
# printing


def name(expression: Any) -> str:
    """LaTeX of an expression; words of several letters are upright."""
    sympy = sympy_module()
    known = {s: shown for s in expression.free_symbols if (shown := _upright(s.name))}
    return str(sympy.latex(expression, symbol_names=known))


def _upright(text: str) -> str:
    """A name that is neither a letter nor a Greek letter, its index set below."""
    stem, _, index = text.partition("_")
    stem = stem.rstrip("0123456789")
    if len(stem) < 2 or not stem.isalpha() or stem.lower() in greek_letters():
        return ""
    digits = text.partition("_")[0][len(stem) :]
    below = ",".join(part.strip("{}") for part in (digits, index) if part)
    return rf"\mathrm{{{stem}}}" + (f"_{{{below}}}" if below else "")


def greek_letters() -> frozenset[str]:
    """The names that LaTeX knows as letters."""
    from sympy.printing.latex import greek_letters_set

    return frozenset(greek_letters_set)


def law_latex(law: CoordinateLaw) -> str:
    """A law as a mixture of point masses and Gaussians."""

    def shown(value: Any) -> str:
        return name(number(value)) if isinstance(value, int | Fraction | Quantity) else f"{float(value):.6g}"

    parts = []
    for weight, part in zip(law.weights, law.components, strict=True):
        match part:
            case Atom(value):
                body = rf"\delta_{{{shown(value)}}}"
            case GaussianLaw(mean, var):
                body = rf"\mathcal{{N}}\left({shown(mean)}, {shown(var)}\right)"
            case _:
                body = rf"\text{{{describe(part)}}}"
        factor = shown(weight)
        wide = isinstance(weight, Quantity) and weight.expression.is_Add
        parts.append(body if weight == 1 else (rf"\left({factor}\right)" if wide else factor) + body)
    return " + ".join(parts)


def law_lines(draws: Mapping[Any, CoordinateLaw]) -> list[str]:
    """Rows of an align environment."""
    return [rf"{name(s)} &\sim {law_latex(law)}" for s, law in draws.items()]


def z(vector: str) -> str:
    """Z of a vector."""
    return f"Z^{{{vector}}}" if len(vector) > 1 else f"Z^{vector}"


def line_text(line: Line) -> str:
    """A line as text."""
    match line:
        case Decomposition(names, _, right):
            return " = ".join([*map(z, names), str(right)])
        case Covariance(first, second, right) if first == second:
            return f"{first} ~ N(0, {right})"
        case Covariance(first, second, right):
            return f"Cov({first}, {second}) = {right}"
        case Mean(symbol, integrand):
            return f"{symbol} = E[{integrand}]"
        case Value(symbol, right):
            return f"{symbol} = {right}"
    raise AssertionError


def line_latex(line: Line) -> str:
    """A line of an align environment."""
    match line:
        case Decomposition(_, names, right):
            return " = ".join(f"Z^{{{n}}}" for n in names) + f" &= {name(right)}"
        case Covariance(first, second, right) if first == second:
            return rf"{name(first)} &\sim \mathcal{{N}}\left(0, {name(right)}\right)"
        case Covariance(first, second, right):
            return rf"\operatorname{{Cov}}\left({name(first)}, {name(second)}\right) &= {name(right)}"
        case Mean(symbol, integrand):
            return rf"{name(symbol)} &= \mathbb{{E}}\left[{name(integrand)}\right]"
        case Value(symbol, right):
            return f"{name(symbol)} &= {name(right)}"
    raise AssertionError


def symbols_of(line: Line) -> set[Any]:
    """What the right-hand side of a line uses."""
    match line:
        case Mean(_, right) | Value(_, right) | Decomposition(_, _, right):
            return set(right.free_symbols)
        case Covariance(_, _, right):
            return set(right.free_symbols)
    raise AssertionError


def rescaled(lines: Sequence[Line], gaussians: Sequence[Any]) -> list[Line]:
    """Gaussians that occur only as c G, with one and the same c, take the factor into their variance."""
    out = list(lines)
    for g in gaussians:
        integrands = [line.integrand for line in out if isinstance(line, Mean) and g in line.integrand.free_symbols]
        if any(isinstance(line, Decomposition) and g in line.right.free_symbols for line in out):
            continue
        factors = {m.as_coefficient(g) for e in integrands for m in sympy_module().preorder_traversal(e) if m.is_Mul}
        factors = {
            -c if c.could_extract_minus_sign() else c for c in factors if c is not None and g not in c.free_symbols
        }
        if len(factors) != 1 or factors == {1}:
            continue
        c = factors.pop()
        put = {c * g: g, -c * g: -g}
        gone = dict.fromkeys(put, 0)
        if any(s in gaussians for s in c.free_symbols) or any(g in e.xreplace(gone).free_symbols for e in integrands):
            continue
        for k, line in enumerate(out):
            match line:
                case Covariance(a, b, right) if g in (a, b):
                    factor = c ** ((a == g) + (b == g))
                    out[k] = Covariance(a, b, sympy_module().expand(factor * right))
                case Mean(symbol, integrand):
                    out[k] = Mean(symbol, integrand.xreplace(put))
    return out


def pruned(lines: Sequence[Line], wanted: set[Any]) -> tuple[Line, ...]:
    """The lines that some symbols rest on, in order. Decompositions stay, and what they use."""
    kept: list[Line] = []
    for line in reversed(lines):
        match line:
            case Decomposition():
                fine = True
            case Covariance(first, second, _):
                fine = {first, second} <= wanted
            case Mean(symbol, _) | Value(symbol, _):
                fine = symbol.free_symbols <= wanted
        if fine:
            kept.append(line)
            wanted = wanted | symbols_of(line)
    return tuple(reversed(kept))
