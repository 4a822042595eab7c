"""From a walk with symbols to equations in the order in which a paper prints them.

An average that is no polynomial is one line, E of its own integrand; the symbols that the walk made for single monomials are
then eliminated one by one, so that "the noise of step t + 1 is sigma^2 + mse_t / delta" comes out of their cancellation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..axes import Along
from ..instructions import Average, MatVec
from ..normal import Form, Func, Hat, Initial, Mono, add, is_zero, mono_times, times
from ..printing import matrix_name, matrix_names, printed
from ..quantity import Quantity, Undecided, given, is_symbolic, of_symbol, sympy_module
from ..zlaw import solve_over
from .system import Covariance, Decomposition, Line, Mean, Value, z
from .walk import MeanOf, Symbolic
from .writing import number, short


class Presenter:
    """Equations of one walk.

    Parameters
    ----------
    walked : Symbolic
        After its run.
    names : mapping
        Line of the program to the name of its value; others are called theta_1, theta_2, ..
    linked : int
        A number is written as a multiple of an earlier line where that leaves at most this many terms: what a recursion is
        read from, and 0 where values are wanted written out.
    """

    def __init__(self, walked: Symbolic, names: Mapping[int, str], linked: int) -> None:
        self.walked, self.given_names, self.linked = walked, names, linked
        self.lines: list[Line] = []
        self._defined = walked.names.definitions
        self._in_terms: dict[Any, Any] = {}  # symbol of the walk -> expression in displayed symbols
        self._shown: list[tuple[Quantity, Any]] = []
        self._covered: set[tuple[Any, Any]] = set()
        self._taken = {s.name for v in walked.values if isinstance(v, Quantity) for s in v.symbols}
        self._count = 0

    # -- numbers ----------------------------------------------------------------------------------

    def express(self, value: Any) -> Any:
        """A number of the walk in the symbols of the equations; what is missing gets a line first."""
        return self._closed(self._known(value))

    def _known(self, value: Any) -> Any:
        q = self.reduced(value)
        for s in self._open(q):
            if s not in self._in_terms:
                self._introduce(s)
        q = self.reduced(q)
        if not isinstance(q, Quantity):
            return number(q)
        for old, symbol in reversed(self._shown):
            if q == old:
                return symbol
        if len(q.element.numer) > 1:
            for old, symbol in reversed(self._shown):
                ratio = q / old
                if not isinstance(ratio, Quantity) or _single(ratio):
                    return number(ratio) * symbol
            found = [
                (parts, symbol)
                for old, symbol in reversed(self._shown)
                if self.linked and (parts := _through(q, old)) is not None and _length(parts[1]) <= self.linked
            ]
            if found:
                (c, rest), symbol = min(found, key=lambda f: _length(f[0][1]))
                return number(c) * symbol + self._known(rest)
        return pretty(q)

    def reduced(self, q: Any) -> Any:
        """With the symbols of the walk replaced by displayed ones as far as these are known."""
        while isinstance(q, Quantity):
            pending = {s: self._in_terms[s] for s in q.symbols if s in self._in_terms}
            if not pending:
                return q
            q = given(q.expression.xreplace(pending))
        return q

    def _open(self, q: Any) -> list[Any]:
        """Means of the walk that have no displayed symbol, in the order in which they were made."""
        if not isinstance(q, Quantity):
            return []
        here = set(q.symbols)
        return [s for s, d in self._defined.items() if s in here and isinstance(d, MeanOf)]

    def _closed(self, expression: Any) -> Any:
        """An expression with no symbol of the walk left: means by displayed symbols, roots written out."""
        out = expression
        while True:
            free = out.free_symbols
            found = [s for s in self._defined if s in free]  # in the order in which they were made
            if not found:
                return out
            replacement = {}
            for s in found:
                definition = self._defined[s]
                if isinstance(definition, MeanOf):
                    replacement[s] = self._known(of_symbol(s))
                else:
                    args = [self.express(a) for a in definition.args]
                    replacement[s] = self.walked.variables.functions.call(definition.fn, args)
            out = out.xreplace(replacement)

    def _introduce(self, s: Any) -> None:
        definition = self._defined[s]
        assert isinstance(definition, MeanOf)
        self._in_terms[s] = self._mean(Form({definition.mono: 1}), self._free("E"), bool(s.is_positive))

    # -- lines ------------------------------------------------------------------------------------

    def _mean(self, form: Form, name: str, positive: bool) -> Any:
        variables = self.walked.variables
        raw = variables.form(self._without_independent(form))
        integrand = short(self._closed(raw), {*variables.gaussians, *variables.draws})
        shown = {v.right: v.symbol for v in self.lines if isinstance(v, Value) and v.right.is_Add}
        integrand = integrand.xreplace(shown)
        self.cover(integrand)
        symbol = symbol_of(name, positive or bool(integrand.is_nonnegative))
        self.lines.append(Mean(symbol, integrand))
        return symbol

    def _without_independent(self, form: Form) -> Form:
        """Gaussian factors that share no randomness with any function of the form, replaced by their moments."""
        expect, atoms = self.walked.expect, self.walked.atoms
        table = atoms.table
        inside = {a for m in form.terms for f, _ in m if isinstance(table[f], Func) for a in atoms.leaves(((f, 1),))}
        if not inside:
            return form
        apart = {
            a
            for m in form.terms
            for a, _ in m
            if isinstance(table[a], Hat | Initial) and not expect.dependent([a], list(inside))
        }
        out = Form({})
        for mono, c in form.terms.items():
            kept: Mono = ()
            factor = c
            for group in expect._independent(mono):
                if all(a in apart for a, _ in group):
                    factor = factor * expect.of(group)
                else:
                    kept = mono_times(kept, group)
            out = add(out, Form({} if is_zero(factor) else {kept: factor}))
        return out

    def cover(self, expression: Any) -> None:
        """Lines for the covariances of the Gaussians in an expression."""
        variables = self.walked.variables
        here = [g for g in variables.gaussians if g in expression.free_symbols]
        for i, g in enumerate(here):
            for h in [*here[:i], g]:
                if (h, g) in self._covered:
                    continue
                self._covered.add((h, g))
                value = self.walked.expect.covariance(variables.gaussians[h], variables.gaussians[g])  # type: ignore[attr-defined]
                if g == h or value != 0:
                    self.lines.append(Covariance(h, g, self.express(value)))

    def average(self, line: int) -> None:
        """A line of its own for an average that says more than a number or a product of parameters."""
        value = self.walked.values[line]
        q = self.reduced(value)
        if not isinstance(q, Quantity) or any(q == old for old, _ in self._shown):
            if line in self.given_names and not isinstance(value, Along):
                self.show(self.given_names[line], q)
            return
        chosen = next((s for s in reversed(self._open(q)) if _linear_in(q, s)), None)
        name = self._name(line)
        if chosen is not None:
            symbol = self._mean(self._form(line), name, _even(self._form(line)))
            slope, rest = _split(q, chosen)
            self._in_terms[chosen] = number((of_symbol(symbol) - rest) / slope)
            self._shown.append((of_symbol(symbol), symbol))
        elif line in self.given_names or len(q.element.numer) > 1:
            right = self.express(q)
            symbol = symbol_of(name, _sure(q))
            self.lines.append(Value(symbol, right))
            self._shown.append((self.reduced(q), symbol))

    def show(self, name: str, value: Any) -> Any:
        """A line for a number, under a name; its right-hand side."""
        right = self.express(value)
        symbol = symbol_of(name, bool(right.is_positive))
        self.lines.append(Value(symbol, right))
        q = self.reduced(value)
        if isinstance(q, Quantity) and len(q.element.numer) > 1:
            self._shown.append((q, symbol))
        return right

    def also(self, name: str, known: str) -> None:
        """A second name for a line, right below it."""
        for k, line in enumerate(self.lines):
            if isinstance(line, Mean | Value) and line.symbol.name == known:
                right = line.right if isinstance(line, Value) else line.symbol
                self.lines.insert(k + 1, Value(symbol_of(name, bool(right.is_positive)), right))
                return

    def _form(self, line: int) -> Form:
        argument = self.walked.values[self.walked.program.lines[line].args[0]]
        return argument if isinstance(argument, Form) else times(argument.first, argument.second)

    def decomposition(self, line: int) -> None:
        """Z^{W x} = Gaussian part + coefficients on earlier Z."""
        parts = self.walked.parts[line]
        if not all(isinstance(p, Form) for p in parts):
            return
        hat, dot = parts
        program = self.walked.program
        right = self._closed(self.walked.variables.form(hat))
        gaussian = right
        plain, latex = printed(program), printed(program, latex=True)
        memory = self._memory(line, dot)
        if memory is None:
            gaussian = right = right + self._closed(self.walked.variables.form(dot))
        for k, c in memory or ():
            label = plain.names[k] or plain.texts[k]
            right = right + self.express(c) * symbol_of(z(label), None)
        self.cover(gaussian)
        label, tex_label = _text(program, line, plain.texts), _text(program, line, latex.texts, True)
        own = bool(plain.names[line])
        self.lines.append(
            Decomposition(
                (plain.names[line], label) if own else (label,),
                (latex.texts[line], tex_label) if own else (tex_label,),
                right,
            )
        )

    def _memory(self, line: int, dot: Form) -> list[tuple[int, Any]] | None:
        if not dot.terms:
            return []
        program, values = self.walked.program, self.walked.values
        op = program.lines[line].op
        assert isinstance(op, MatVec)
        candidates: dict[int, Form] = {}
        # cumulants of odd order bring back the vector itself
        for k in range(line + (not op.matrix.ensemble.iid)):
            other = program.lines[k].op
            if isinstance(other, MatVec) and other.matrix is op.matrix:
                if op.matrix.ensemble.symmetric or other.transposed != op.transposed:
                    source = program.lines[k].args[0]
                    if isinstance(values[source], Form) and values[source].terms:
                        candidates.setdefault(source, values[source])
        return solve_over(dot, candidates)

    # -- names ------------------------------------------------------------------------------------

    def _name(self, line: int) -> str:
        name = self.given_names.get(line) or self.walked.program.lines[line].name
        if name:
            return name
        return self._free("theta")

    def _free(self, stem: str) -> str:
        while True:
            self._count += 1
            name = f"{stem}_{self._count}"
            if name not in self._taken:
                return name


def pretty(q: Quantity) -> Any:
    """A rational function as a sum, where it is one over a product of powers; else as a fraction."""
    sympy = sympy_module()
    expression = q.expression
    if len(q.element.denom) == 1:
        return sympy.expand(expression)
    return sympy.factor(expression)


def _through(q: Quantity, old: Quantity) -> tuple[Any, Any] | None:
    return q.through(old) if len(old.element.numer) > 1 else None


def _length(value: Any) -> int:
    return len(value.element.numer) if isinstance(value, Quantity) else int(value != 0)


def _single(q: Quantity) -> bool:
    return len(q.element.numer) == 1 and len(q.element.denom) == 1


def _linear_in(q: Quantity, s: Any) -> bool:
    k = q.element.field.symbols.index(s)
    return max(m[k] for m in q.element.numer.itermonoms()) == 1 and all(m[k] == 0 for m in q.element.denom.itermonoms())


def _split(q: Quantity, s: Any) -> tuple[Any, Any]:
    """q = slope * s + rest."""
    rest = given(q.expression.subs(s, 0))
    return given(q.expression.subs(s, 1)) - rest, rest


def _even(form: Form) -> bool:
    """Whether a form is one even monomial with a positive coefficient."""
    if len(form.terms) != 1:
        return False
    ((mono, c),) = form.terms.items()
    return all(power % 2 == 0 for _, power in mono) and not is_symbolic(c) and c > 0


def _sure(q: Quantity) -> bool:
    try:
        return q.sign() > 0
    except Undecided:
        return False


def symbol_of(name: str, positive: bool | None) -> Any:
    """A displayed symbol."""
    sympy = sympy_module()
    return sympy.Symbol(name, positive=True) if positive else sympy.Symbol(name, real=True)


def _text(program: Any, line: int, texts: Sequence[str], latex: bool = False) -> str:
    op = program.lines[line].op
    name = matrix_name(op, matrix_names(program), latex)
    body = texts[program.lines[line].args[0]]
    return f"{name} {body}" if latex else f"{name} @ {body}"


def presented(walked: Symbolic, names: Mapping[int, str], decompositions: bool, linked: int = 0) -> Presenter:
    """All lines of a program, in its order."""
    presenter = Presenter(walked, names, linked)
    for number_, line in enumerate(walked.program.lines):
        match line.op:
            case Average():
                presenter.average(number_)
            case _ if number_ in names and line.is_scalar:
                presenter.show(names[number_], walked.values[number_])
            case MatVec() if decompositions:
                presenter.decomposition(number_)
    return presenter
