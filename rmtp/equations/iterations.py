"""The state evolution of an iteration as a recursion in t.

A few steps are derived and written with indices relative to the step. If every step past the first few reads the same, that is
the recursion; nothing is assumed about the algorithm. If they do not repeat, its memory grows and the steps are all there is.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..amp.evolution import Algorithm, label, trace
from ..amp.problems import Problem
from ..errors import BadParameter, UnsupportedOperation
from ..instructions import MatVec, RandomMatrix
from ..language import program as program_of
from ..laws import describe
from ..quantity import Quantity, quantity_text, sympy_module
from .api import assembled
from .present import presented
from .system import (
    Covariance,
    Equations,
    Line,
    Mean,
    Numbers,
    Value,
    law_lines,
    line_latex,
    line_text,
    parameters,
    pruned,
)
from .system import name as written
from .walk import Symbolic
from .writing import number

_ROOTS = ("tau", "nu", "omega", "xi")
_LETTERS = ("q", "p", "r", "a", "b", "c", "d", "e")
_GAUSSIANS = ("G", "H", "K", "L", "M")
_LINKED = 2  # terms beside a multiple of an earlier line: sigma^2 ntk_t q_t + K_t + beta^2 q_t has two
_CHARACTERS = 3000  # of derived steps that are printed
REPEATS = 2  # steps that must read the same


@dataclass(frozen=True, eq=False)
class Recursion:
    """State evolution, closed or not.

    Attributes
    ----------
    name : str
    start : tuple
        Lines before the recursion takes over.
    rules : tuple
        Lines with index t, for t = first, first + 1, ..; empty if the steps do not repeat.
    first : int
    unrolled : Equations
        The derived steps.
    averages : tuple of str
    memory : int
        How many steps back the rules look.
    general : tuple of (text, LaTeX)
        What holds where the memory grows: every product with the matrix, as a Gaussian and a sum over all earlier vectors.

    Examples
    --------
    >>> from functools import partial
    >>> import rmtp
    >>> from rmtp.amp import amp, linear_model, soft, three_point
    >>> delta, sigma2, alpha, rho = (rmtp.symbol(s) for s in ("delta", "sigma2", "alpha", "rho"))
    >>> problem = linear_model(delta, three_point(rho), sigma2)
    >>> found = rmtp.derive_recursion(partial(amp, denoiser=soft(alpha)), problem)
    >>> print(found)
    x0 ~ (1 - rho) delta(0) + rho/2 delta(1) + rho/2 delta(-1)
    mse_0 = rho
    for t = 0, 1, ..
      tau_t**2 = sigma2 + mse_t/delta
      G_t ~ N(0, tau_t**2)
      mse_{t+1} = E[(x0 - soft(G_t + x0, alpha*tau_t))**2]
    >>> [round(v, 6) for v in found.evaluate(2, delta=0.5, sigma2=0.01, alpha=1.5, rho=0.1)]
    [0.1, 0.060305, 0.043759]
    """

    name: str
    start: tuple[Line, ...]
    rules: tuple[Line, ...]
    first: int
    unrolled: Equations
    averages: tuple[str, ...]
    memory: int = 0
    general: tuple[tuple[str, str], ...] = ()

    @property
    def closed(self) -> bool:
        """Whether there is a recursion of fixed memory."""
        return bool(self.rules)

    def __str__(self) -> str:
        laws = [f"{s} ~ {describe(law)}" for s, law in self.unrolled.draws.items()]
        if not self.closed:
            head = f"no recursion of fixed memory; the first {self._steps} steps of {self.name}:"
            shown: list[str] = []
            size = 0
            for row in map(line_text, self.unrolled.lines):
                size += len(row)
                if size > _CHARACTERS:
                    shown.append(f"and {len(self.unrolled.lines) - len(shown)} more lines in .unrolled")
                    break
                shown.append(row)
            general = ["in general"] + [f"  {text}" for text, _ in self.general] if self.general else []
            return "\n".join([head, *laws, *shown, *general])
        head = f"for t = {self.first}, {self.first + 1}, .."
        return "\n".join([*laws, *map(line_text, self.start), head, *(f"  {line_text(r)}" for r in self.rules)])

    __repr__ = __str__

    @property
    def _steps(self) -> int:
        return (
            sum(isinstance(v, Mean | Value) and str(v.symbol).startswith(self.averages[0]) for v in self.unrolled.lines)
            - 1
        )

    def latex(self) -> str:
        """An ``align*`` environment: the rules, for every t from `first` on, or the general form where there are none."""
        if not self.closed and self.general:
            return "\\begin{align*}\n" + " \\\\\n".join(row for _, row in self.general) + "\n\\end{align*}"
        if not self.closed:
            return self.unrolled.latex()
        rows = [*law_lines(self.unrolled.draws), *(line_latex(line) for line in (*self.start, *self.rules))]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def _repr_latex_(self) -> str:
        return self.latex()

    def sympy(self) -> dict[str, Any]:
        """``sympy.Eq`` per rule (of the derived steps, if there is none), by the name of its left-hand side."""
        return replace(self.unrolled, lines=self.rules or self.unrolled.lines).sympy()

    def evaluate(self, steps: int, **values: Any) -> list[Any]:
        """The first average along the steps, from the equations alone; see `numbers`."""
        return self.numbers(steps, **values)[self.averages[0]]

    def numbers(self, steps: int, **values: Any) -> dict[str, list[Any]]:
        """Every average along the steps, from the equations alone.

        Parameters
        ----------
        steps : int
            As many as wanted if the recursion is closed; else at most those that were derived.
        **values : number
            One per parameter.

        Returns
        -------
        dict of str to list of length steps + 1

        Raises
        ------
        UnsupportedOperation
            For more steps than were derived of a recursion that does not close.
        """
        names = {a: [f"{a}_{t}" for t in range(steps + 1)] for a in self.averages}
        if self.closed:
            by_name = self._continued(steps, values)
        elif steps > self._steps:
            raise UnsupportedOperation(
                f"{steps} steps of a recursion that does not close", remedy=f"derive_recursion(.., steps={steps})"
            )
        else:
            every = {name for column in names.values() for name in column}
            wanted = {v.symbol for v in self.unrolled.lines if isinstance(v, Mean | Value) and str(v.symbol) in every}
            by_name = replace(self.unrolled, lines=pruned(self.unrolled.lines, wanted)).numbers(**values)
        return {a: [by_name[name] for name in column] for a, column in names.items()}

    def _continued(self, steps: int, values: Mapping[str, Any]) -> dict[str, Any]:
        numbers = Numbers(
            parameters(self.unrolled.parameters, values), {}, self.unrolled.draws, self.unrolled.functions
        )
        fixed = {*self.unrolled.parameters, *self.unrolled.draws}
        lines = [*self.start, *(_at(line, t, fixed) for t in range(self.first, steps) for line in self.rules)]
        for line in lines:
            match line:
                case Covariance(first, second, right):
                    numbers.set_covariance(first, second, right)
                case Value(left, right):
                    numbers.set_value(left, right)
                case Mean(symbol, integrand):
                    numbers.env[symbol] = numbers.mean(integrand)
        return {s.name: v for s, v in numbers.env.items()}


def derive_recursion(
    algorithm: Algorithm, problem: Problem, *, averages: Sequence[str] = ("mse",), steps: int = 4
) -> Recursion:
    """The state evolution of an iterative algorithm as a recursion in t.

    Law: as `state_evolution`; the Onsager term is not assumed but cancels, or stays.

    Parameters
    ----------
    algorithm : callable
        See `state_evolution`; its parameters may be symbols.
    problem : Problem
    averages : sequence of {"mse", "overlap", "power"}
        What is followed; the first is what `Recursion.evaluate` returns.
    steps : int
        How many steps are derived and compared, at least 3.

    Returns
    -------
    Recursion
        ``closed`` tells whether the steps repeat.

    Raises
    ------
    BadParameter
        If `steps` or `averages` make no sense.

    Notes
    -----
    Exact. That the pattern goes on beyond the derived steps is read off, not proved. Bayati & Montanari 2011, equation (1.4).

    Examples
    --------
    >>> from functools import partial
    >>> import rmtp, scipy.stats
    >>> from rmtp.amp import gradient_descent, linear_model
    >>> step, delta, noise = (rmtp.symbol(s) for s in ("eta", "delta", "sigma2"))
    >>> problem = linear_model(delta, scipy.stats.norm(), noise)
    >>> found = rmtp.derive_recursion(partial(gradient_descent, step=step), problem)
    >>> found.closed, found.unrolled["mse_1"]
    (False, eta**2*sigma2 + eta**2 - 2*eta + 1 + eta**2/delta)
    """
    known = ("mse", "overlap", "power")
    if not averages or any(a not in known for a in averages):
        raise BadParameter(f"averages={averages!r}", remedy=f"some of {', '.join(known)}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < REPEATS + 1:
        raise BadParameter(
            f"steps={steps!r}", remedy=f"an int >= {REPEATS + 1}: steps are found to repeat by comparison"
        )
    run = trace(algorithm, problem, steps, {})
    handles = [run.averages[a][t] for t in range(steps + 1) for a in averages]
    titles = [f"{a}_{t}" for t in range(steps + 1) for a in averages]
    return recursion(label(algorithm), handles, titles, tuple(averages), steps)


def recursion(
    title: str, handles: Sequence[Any], titles: Sequence[str], averages: Sequence[str], steps: int
) -> Recursion:
    """A recursion in the averages `averages` that several steps of a program show.

    Parameters
    ----------
    title : str
    handles : sequence of Scalar
        All averages of step 0, then all of step 1, ..
    titles : sequence of str
        Their names, ``average_t``.
    averages : sequence of str
    steps : int

    Returns
    -------
    Recursion
    """
    program = program_of(*handles)
    walked = Symbolic(program)
    walked.run()
    names: dict[int, str] = {}
    for k, name in zip(program.outputs, titles, strict=True):
        names.setdefault(k, name)
    presenter = presented(walked, names, decompositions=False, linked=_LINKED)
    for k, name in zip(program.outputs, titles, strict=True):
        if name != names[k]:
            presenter.also(name, names[k])
    value = tuple(
        next(v.symbol for v in presenter.lines if isinstance(v, Mean | Value) and v.symbol.name == t) for t in titles
    )
    unrolled = assembled(presenter, value, str(program))
    fixed = frozenset([*unrolled.parameters, *unrolled.draws])
    renamed = _renamed(_chunks(unrolled.lines, averages, steps), averages, {s.name for s in fixed})
    unrolled = replace(unrolled, lines=tuple(line for chunk in renamed for line in chunk))
    first = _first(renamed, fixed)
    if first is None:
        return Recursion(title, (), (), 0, unrolled, tuple(averages), 0, _general(walked))
    rules = _relative(renamed[first], first - 1, fixed)
    start = tuple(line for chunk in renamed[:first] for line in chunk)
    if first == 2 and _starts(renamed, rules, fixed):
        first, start = 1, tuple(renamed[0])
    reach = max((first_ for r in rules for first_ in _lags(r)), default=0)
    return Recursion(title, start, rules, first - 1, unrolled, tuple(averages), reach)


def _general(walked: Symbolic) -> tuple[tuple[str, str], ...]:
    """The theorem for all products with the one matrix of a program, entries independent."""
    matrices = {line.op.matrix for line in walked.program.lines if isinstance(line.op, MatVec)}
    if len(matrices) != 1 or not next(iter(matrices)).ensemble.iid:
        return ()
    (matrix,) = matrices
    plain = matrix.name or ("W" if not matrix.ensemble.symmetric else "A")
    if matrix.ensemble.symmetric:
        return _family(walked, matrix, False, plain, ("x", "G", "b"), ("x", "G"))
    rows = _family(walked, matrix, False, plain, ("x", "G", "b"), ("z", "H"))
    return rows + _family(walked, matrix, True, plain, ("z", "H", "c"), ("x", "G"))


def _family(
    walked: Symbolic,
    matrix: RandomMatrix,
    transposed: bool,
    title: str,
    own: tuple[str, str, str],
    other: tuple[str, str],
) -> tuple[tuple[str, str], ...]:
    """Z of the product t, the covariance of the Gaussian parts, the coefficients on the vectors of the other direction."""
    x, hat, b = own
    z, partner = other
    factor = walked.z_hat(matrix, transposed)
    scale = "" if factor == 1 else f"{factor}*" if not isinstance(factor, Quantity) else f"{quantity_text(factor)}*"
    tex = "" if factor == 1 else f"{written(number(factor))} "
    product, tex_product = (f"{title}.T", rf"{title}^\top") if transposed else (title, title)
    return (
        (
            f"Z^{{{product} {x}_t}} = {hat}_t + sum_s {b}_ts Z^{{{z}_s}}, over the {z}_s before {x}_t",
            rf"Z^{{{tex_product} {x}_t}} &= {hat}_t + \sum_s {b}_{{ts}} Z^{{{z}_s}}",
        ),
        (
            f"E[{hat}_s {hat}_t] = {scale}E[Z^{{{x}_s}} Z^{{{x}_t}}]",
            rf"\mathbb{{E}}\left[{hat}_s {hat}_t\right] &= {tex}\mathbb{{E}}\left[Z^{{{x}_s}} Z^{{{x}_t}}\right]",
        ),
        (
            f"{b}_ts = {scale}E[dZ^{{{x}_t}} / d{partner}_s]",
            rf"{b}_{{ts}} &= {tex}\mathbb{{E}}\left[\partial Z^{{{x}_t}} / \partial {partner}_s\right]",
        ),
    )


# ---------------------------------------------------------------------------------------------
# steps


def _chunks(lines: Sequence[Line], averages: Sequence[str], steps: int) -> list[list[Line]]:
    """The lines of step 0, 1, ..: up to the last average of each."""
    out: list[list[Line]] = [[] for _ in range(steps + 1)]
    t = 0
    missing = {f"{a}_0" for a in averages}
    for line in lines:
        if not missing and t < steps:
            t += 1
            missing = {f"{a}_{t}" for a in averages}
        out[t].append(line)
        if isinstance(line, Mean | Value):
            missing.discard(line.symbol.name)
    return out


def _renamed(chunks: Sequence[Sequence[Line]], averages: Sequence[str], taken: set[str]) -> list[list[Line]]:
    """Names by step: Gaussians G_t, variances under roots tau_t**2, other numbers q_t, ..; averages keep theirs."""
    sympy = sympy_module()
    everything = [line for chunk in chunks for line in chunk]
    rooted = {
        p.base
        for line in everything
        for p in _right(line).atoms(sympy.Pow)
        if p.exp.is_Rational and abs(p.exp) == sympy.Rational(1, 2)
    }
    titles: dict[Any, str] = {}
    for c, chunk in enumerate(chunks):
        roots, letters, gaussians = (_stems(first, c - 1, taken) for first in (_ROOTS, _LETTERS, _GAUSSIANS))
        for line in chunk:
            match line:
                case Covariance(g, h, _) if g == h:
                    titles[g] = next(gaussians)
                case Value(symbol, _) if symbol in rooted and _stem(symbol.name) not in averages:
                    titles[symbol] = next(roots)
                case Value(symbol, _) | Mean(symbol, _):
                    titles[symbol] = symbol.name if _stem(symbol.name) in averages else next(letters)
    # one flag for all steps: the symbol of a rule is that of every step
    unsure = {_stem(title) for symbol, title in titles.items() if not symbol.is_positive}
    new = {}
    for symbol, title in titles.items():
        root = _stem(title) in _ROOTS
        positive = root or _stem(title) not in unsure
        fresh = sympy.Symbol(title, positive=True) if positive else sympy.Symbol(title, real=True)
        new[symbol] = fresh**2 if root else fresh
    return [[_substituted(line, new) for line in chunk] for chunk in chunks]


def _stem(title: str) -> str:
    return title.rpartition("_")[0]


def _stems(first: Sequence[str], t: int, taken: set[str]) -> Iterator[str]:
    """Names with index t that no parameter has."""
    numbered = (f"{stem}{k}" for k in itertools.count(1) for stem in first)
    return (name for stem in itertools.chain(first, numbered) if (name := f"{stem}_{t}") not in taken)


def _flag(symbol: Any) -> dict[str, bool]:
    return {"positive": True} if symbol.is_positive else {"real": True}


def _right(line: Line) -> Any:
    return line.integrand if isinstance(line, Mean) else line.right


def _substituted(line: Line, new: Mapping[Any, Any]) -> Line:
    def put(e: Any) -> Any:
        return e.subs(new, simultaneous=True)

    match line:
        case Covariance(g, h, right):
            return Covariance(put(g), put(h), put(right))
        case Mean(symbol, integrand):
            return Mean(put(symbol), put(integrand))
        case Value(symbol, right):
            return Value(put(symbol), put(right))
    raise AssertionError(line)


def _index(symbol: Any) -> tuple[str, int] | None:
    stem, _, digits = symbol.name.rpartition("_")
    return (stem, int(digits)) if stem and digits.lstrip("-").isdigit() else None


def _relative(chunk: Sequence[Line], t: int, fixed: Container[Any]) -> tuple[Line, ...]:
    """Indices relative to t, of the symbols that the equations themselves introduced."""
    return tuple(_shifted(line, t, fixed) for line in chunk)


def _shifted(line: Line, t: int, fixed: Container[Any]) -> Line:
    sympy = sympy_module()
    new = {}
    for s in _symbols(line):
        found = _index(s)
        if found is not None and s not in fixed:
            new[s] = sympy.Symbol(_at_t(found[0], found[1] - t), **_flag(s))
    return _substituted(line, new)


def _at_t(stem: str, lag: int) -> str:
    return f"{stem}_t" if lag == 0 else f"{stem}_{{t{lag:+d}}}"


def _symbols(line: Line) -> set[Any]:
    out = set(_right(line).free_symbols)
    match line:
        case Covariance(g, h, _):
            out |= {g, h}
        case Mean(symbol, _) | Value(symbol, _):
            out |= set(symbol.free_symbols)
    return out


def _lags(line: Line) -> list[int]:
    out = []
    for s in _symbols(line):
        if "{t-" in s.name:
            out.append(int(s.name.split("{t-")[1].rstrip("}")))
    return out


def _first(chunks: Sequence[Sequence[Line]], fixed: Container[Any]) -> int | None:
    """The first step from which all derived steps read the same, if there are enough of them to tell."""
    relative = [_relative(chunk, c - 1, fixed) for c, chunk in enumerate(chunks)]
    last = len(chunks) - 1
    first = last
    while first > 1 and relative[first - 1] == relative[last]:
        first -= 1
    return first if last - first + 1 >= REPEATS else None


def _starts(chunks: Sequence[Sequence[Line]], rules: Sequence[Line], fixed: Container[Any]) -> bool:
    """Whether step 1 is the rule too, once the values of step 0 are put in."""
    sympy = sympy_module()
    zero = {line.symbol: line.right for line in chunks[0] if isinstance(line, Value)}
    if any(_lags(r) for r in rules) or len(chunks[1]) != len(rules):
        return False
    for have, rule in zip(chunks[1], rules, strict=True):
        should = _at(rule, 0, fixed)
        if type(have) is not type(should):
            return False
        if _left(have) != _left(should) or sympy.expand(_right(have).subs(zero) - _right(should).subs(zero)) != 0:
            return False
    return True


def _left(line: Line) -> Any:
    return (line.first, line.second) if isinstance(line, Covariance) else line.symbol  # type: ignore[union-attr]


def _at(line: Line, t: int, fixed: Container[Any]) -> Line:
    """A rule at a step."""
    sympy = sympy_module()
    new = {}
    for s in _symbols(line):
        stem, _, index = s.name.rpartition("_")
        if s not in fixed and (index == "t" or index.startswith("{t")):
            lag = 0 if index == "t" else int(index[2:-1])
            new[s] = sympy.Symbol(f"{stem}_{t + lag}", **_flag(s))
    return _substituted(line, new)
