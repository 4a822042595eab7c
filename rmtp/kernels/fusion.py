"""Compositions of coordinatewise functions of one Gaussian line, as one function of it.

``exp(-h**2 / 2)``, ``h / (1 + abs(h))``, ``h * expit(1.7 * h)``: the rules of a trace know functions of a Gaussian line alone,
so a function of a function becomes one, and functions of multiples of a line become functions of that line where both
stand. Sums and products stay as they are, for the sake of closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import catalogue as nl
from ..expect import piecewise
from ..expect.pieces import compose
from ..expect.piecewise import Piecewise
from ..instructions import Apply, Arithmetic, Line
from ..networks.evaluate import applied
from ..nonlinearity import Nonlinearity, Pieces
from ..program import Program
from .lines import is_number

_GRID = np.concatenate([-np.geomspace(1e3, 1e-6, 400), [0.0], np.geomspace(1e-6, 1e3, 400)])
_ROUNDING = 1e-12
_SIDES = (nl.STEP, Nonlinearity("not_step", lambda x: 1.0 - nl.STEP.fn(x), pieces=Pieces((0,), ((1,), (0,)))))
_SLOPES = tuple(fn for fn in (nl.WHERE3.partials or tuple)() if fn is not None)
_CLEAR = 1e-3  # how far the values of an inner function must stay from a kink of the outer one


@dataclass(frozen=True)
class Formula:
    """A function of one variable: the variable (head None), a number, or a function of formulas."""

    head: Nonlinearity | Arithmetic | float | None = None
    args: tuple[Formula, ...] = ()

    def __call__(self, x: Any) -> Any:
        """Its values."""
        match self.head:
            case None:
                return x
            case float():
                return np.full(np.shape(x), self.head)
        return applied(self.head, [np.asarray(a(x)) for a in self.args])

    @property
    def adds(self) -> bool:
        """Whether a sum or a difference is in it."""
        own = isinstance(self.head, Arithmetic) and self.head.name in ("add", "subtract")
        return own or any(a.adds for a in self.args)

    def size(self, x: Any) -> Any:
        """Its values with every sum one of absolute values: what roundings are relative to."""
        match self.head:
            case Arithmetic(name="add" | "subtract"):
                return sum(a.size(x) for a in self.args)
            case Arithmetic(name="multiply"):
                return self.args[0].size(x) * self.args[1].size(x)
        return np.abs(self(x))

    def __str__(self) -> str:
        match self.head:
            case None:
                return "x"
            case float():
                return repr(self.head)
            case Arithmetic(name="power", exponent=k):
                return f"power{k}({self.args[0]})"
        return f"{self.head.name}({', '.join(map(str, self.args))})"


VARIABLE = Formula()


def polynomial(f: Formula) -> tuple[float, ...] | None:
    """Coefficients, lowest degree first; None for what is no polynomial.

    Examples
    --------
    >>> square = Formula(Arithmetic("power", 2), (VARIABLE,))
    >>> polynomial(Formula(Arithmetic("add"), (square, Formula(3.0))))
    (3.0, 0.0, 1.0)
    """
    found = _polynomial(f)
    return None if found is None else tuple(map(float, found.coef))


def _polynomial(f: Formula) -> np.polynomial.Polynomial | None:
    match f.head:
        case None:
            return np.polynomial.Polynomial([0.0, 1.0])
        case float():
            return np.polynomial.Polynomial([f.head])
        case Nonlinearity(pieces=Pieces(breaks=(), polys=(row,))):
            inner = _polynomial(f.args[0])
            return None if inner is None else np.polynomial.Polynomial([float(c) for c in row] or [0.0])(inner)
        case Nonlinearity():
            return None
    parts = [p for a in f.args if (p := _polynomial(a)) is not None]
    if len(parts) < len(f.args):
        return None
    a, *rest = parts
    match f.head:
        case Arithmetic(name="add"):
            return a + rest[0]
        case Arithmetic(name="subtract"):
            return a - rest[0]
        case Arithmetic(name="multiply"):
            return a * rest[0]
        case Arithmetic(name="divide"):
            return a / rest[0].coef[0] if len(rest[0].coef) == 1 else None
        case Arithmetic(name="power", exponent=k) if k >= 0:
            return a**k
    return None


def derivative(f: Formula) -> Formula | None:
    """The derivative, or None if that of a function in it is not known."""
    match f.head:
        case None:
            return Formula(1.0)
        case float():
            return Formula(0.0)
    inner = [d for a in f.args if (d := derivative(a)) is not None]
    if len(inner) < len(f.args):
        return None
    da, *rest = inner
    a = f.args[0]
    match f.head:
        case Arithmetic(name="add" | "subtract"):
            return Formula(f.head, (da, rest[0]))
        case Arithmetic(name="multiply"):
            b = f.args[1]
            return Formula(Arithmetic("add"), (_times(da, b), _times(a, rest[0])))
        case Arithmetic(name="divide"):
            return Formula(f.head, (da, f.args[1])) if isinstance(f.args[1].head, float) else None
        case Arithmetic(name="power", exponent=k):
            return _times(_times(Formula(float(k)), Formula(Arithmetic("power", k - 1), (a,))), da)
        case Nonlinearity() if f.head == nl.WHERE3:
            return Formula(f.head, (a, *rest))
        case Nonlinearity(partials=partials) if partials is not None:
            (slope,) = partials()
            return None if slope is None else _times(Formula(slope, f.args), da)
    return None


def _times(a: Formula, b: Formula) -> Formula:
    return Formula(Arithmetic("multiply"), (a, b))


# ---------------------------------------------------------------------------------------------
# one function


def composite(f: Formula) -> Nonlinearity | None:
    """A formula as one function; None where it is not known where it is smooth.

    Examples
    --------
    >>> square = Formula(Arithmetic("power", 2), (VARIABLE,))
    >>> bell = composite(Formula(nl.EXP, (Formula(Arithmetic("multiply"), (Formula(-0.5), square)),)))
    >>> bell.family, bell.kinks, composite(Formula(nl.RELU, (Formula(nl.SIN, (VARIABLE,)),)))
    (('gauss', 0.5, (1.0,)), (), None)
    """
    broken = _piecewise(f)
    corners = _corners(f) if broken is None else _edges(broken)
    if corners is None or (broken is None and not _integrable(f)):
        return None

    def partials() -> tuple[Nonlinearity | None, ...]:
        slope = derivative(f)
        return (None if slope is None else composite(slope),)

    kinks, jumps = corners
    family, pieces = _known(f) if broken is None else (_homogeneous(broken), broken)
    return Nonlinearity(
        str(f), f, partials=partials, kinks=kinks, jumps=jumps, family=family, pieces=pieces, params=(f,)
    )


def _corners(f: Formula) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Kinks and jumps. Those of a function of a function are known only where they are not met."""
    kinks: set[float] = set()
    jumps: set[float] = set()
    stack = [f]
    while stack:
        at = stack.pop()
        stack += at.args
        if not isinstance(at.head, Nonlinearity):
            continue
        if at.head == nl.WHERE3:
            condition = _made_of_pieces(Formula(nl.STEP, at.args[:1]))
            if condition is None:
                return None
            kinks |= set(map(float, condition.breaks))
            jumps |= {float(b) for b in condition.breaks if _jumps_at(at, float(b))}
            continue
        inner = polynomial(at.args[0])
        if inner is not None and len(inner) == 2 and inner[1]:
            kinks |= {(float(k) - inner[0]) / inner[1] for k in at.head.kinks}
            jumps |= {(float(k) - inner[0]) / inner[1] for k in at.head.jumps}
        elif at.head.kinks and not _clear(at):
            return None
    return tuple(sorted(kinks)), tuple(sorted(jumps))


def _integrable(f: Formula) -> bool:
    """Whether it grows slower than exp(c x^2) for every c: the logarithm does not quadruple where x doubles."""
    x = np.geomspace(1.0, 1e6, 120)
    with np.errstate(all="ignore"):
        for side in (x, -x):
            near, far = (np.log(np.maximum(np.abs(np.asarray(f(s * side), dtype=float)), 1.0)) for s in (1.0, 2.0))
            fine = np.isfinite(near) & np.isfinite(far) & (far > 20)
            if np.any(far[fine] > 2.9 * near[fine] + 2.0):
                return False
    return True


def _jumps_at(f: Formula, x: float) -> bool:
    step = 1e-9 * max(1.0, abs(x))
    left, middle, right = (float(v) for v in f(x + step * np.array([-1.0, 0.0, 1.0])))
    return not abs(right - left) <= 1e-6 * max(1.0, abs(middle))


def _clear(f: Formula) -> bool:
    """Whether the inner function stays on one side of all kinks of the outer one."""
    assert isinstance(f.head, Nonlinearity)
    with np.errstate(all="ignore"):
        inner = np.asarray(f.args[0](_GRID), dtype=float)
    if np.any(np.isnan(inner)):
        return False
    return all(np.all(inner - k > _CLEAR) or np.all(inner - k < -_CLEAR) for k in map(float, f.head.kinks))


def _piecewise(f: Formula) -> Pieces | None:
    """A piecewise polynomial made of piecewise linear functions; None for anything else, a plain polynomial included."""
    found = _made_of_pieces(f)
    if found is None or not found.breaks:
        return None
    return Pieces(tuple(map(float, found.breaks)), tuple(tuple(map(float, row)) for row in found.polys))


def _made_of_pieces(f: Formula) -> Piecewise | None:
    match f.head:
        case None:
            return piecewise.linear(0.0, 1.0)
        case float():
            return Piecewise((), ((f.head,),))
        case Arithmetic(name="divide"):
            number = f.args[1].head
            if not isinstance(number, float):
                return None
            return _made_of_pieces(_times(f.args[0], Formula(1 / number)))
        case Nonlinearity() if f.head == nl.WHERE3:
            chosen, other = (_times(Formula(fn, f.args[:1]), a) for fn, a in zip(_SIDES, f.args[1:], strict=True))
            return _made_of_pieces(Formula(Arithmetic("add"), (chosen, other)))
        case Nonlinearity(pieces=None):
            return None
    args = [p for a in f.args if (p := _made_of_pieces(a)) is not None]
    if len(args) < len(f.args):
        return None
    p, *rest = args
    match f.head:
        case Arithmetic(name="add"):
            return piecewise.add(p, rest[0], 1.0)
        case Arithmetic(name="subtract"):
            return piecewise.add(p, rest[0], -1.0)
        case Arithmetic(name="multiply"):
            return _short(piecewise.multiply(p, rest[0]))
        case Arithmetic(exponent=k):
            total = Piecewise((), ((1.0,),))
            for _ in range(min(k, piecewise.MAX_DEGREE + 1)):
                total = piecewise.multiply(total, p)
            return _short(total)
        case Nonlinearity():
            return piecewise.compose(f.head, p)
    return None


def _short(p: Piecewise) -> Piecewise | None:
    return p if max(map(len, p.polys)) <= piecewise.MAX_DEGREE + 1 else None


def _edges(p: Pieces) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Breaks, and those at which the value changes."""
    jumps = []
    for b, left, right in zip(p.breaks, p.polys[:-1], p.polys[1:], strict=True):
        ends = [np.polynomial.Polynomial(row)(float(b)) for row in (left, right)]
        if abs(ends[1] - ends[0]) > _ROUNDING * max(map(abs, ends)):
            jumps.append(float(b))
    return tuple(map(float, p.breaks)), tuple(jumps)


def _homogeneous(p: Pieces) -> tuple[Any, ...]:
    """The family of ``a x`` and of steps, with other coefficients on either side of zero."""
    rows = [np.trim_zeros(np.array(row, dtype=float), "b") for row in p.polys]
    degrees = {len(row) - 1 for row in rows if len(row)}
    if p.breaks != (0.0,) or len(degrees) != 1 or any(np.count_nonzero(np.array(row)) > 1 for row in rows):
        return ()
    (k,) = degrees
    minus, plus = (float(row[-1]) if len(row) else 0.0 for row in rows)
    return ("homogeneous", k, plus, minus) if k in (0, 1) else ()


def _known(f: Formula) -> tuple[tuple[Any, ...], Pieces | None]:
    """The closed-form family and the pieces of a function of a polynomial, where it has them."""
    if not isinstance(f.head, Nonlinearity):
        return (), None
    inner = polynomial(f.args[0])
    if inner is None:
        return (), None
    if f.head == nl.EXP and len(inner) == 3 and inner[2] < 0 and inner[1] == 0:
        return ("gauss", -inner[2], (float(np.exp(inner[0])),)), None
    if len(inner) != 2 or inner[1] == 0:
        return (), None
    offset, a = inner
    return _stretched(f.head.family, a) if offset == 0 else (), _moved(f.head.pieces, a, offset)


def _stretched(family: tuple[Any, ...], a: float) -> tuple[Any, ...]:
    """The family of x -> f(a x)."""
    match family:
        case ("homogeneous", k, plus, minus):
            ends = (plus, minus) if a > 0 else (minus, plus)
            return ("homogeneous", k, *(float(e) * a**k for e in ends))
        case ("erf", scale, amplitude, offset):
            return ("erf", float(scale) * abs(a), float(amplitude) * np.sign(a), offset)
        case ("gauss", rate, row):
            return ("gauss", float(rate) * a**2, tuple(float(c) * a**k for k, c in enumerate(row)))
        case ("exp", rate, amplitude, offset):
            return ("exp", float(rate) * a, amplitude, offset)
        case ("wave", kind, rate, amplitude):
            return ("wave", kind, float(rate) * abs(a), float(amplitude) * (np.sign(a) if kind[0] == "s" else 1.0))
    return ()


def _moved(pieces: Pieces | None, a: float, offset: float) -> Pieces | None:
    """The pieces of x -> p(a x + offset)."""
    if pieces is None:
        return None
    breaks = [(float(b) - offset) / a for b in pieces.breaks]
    rows = [tuple(float(c) for c in compose(row, a, offset)) for row in pieces.polys]
    return Pieces(tuple(breaks), tuple(rows)) if a > 0 else Pieces(tuple(breaks[::-1]), tuple(rows[::-1]))


# ---------------------------------------------------------------------------------------------
# the lines of a program


def fused(program: Program, gaussian: Sequence[bool]) -> Program:
    """The same lines; functions of functions of a Gaussian line are functions of that line.

    Parameters
    ----------
    program : Program
        Without division by vectors.
    gaussian : sequence of bool
        Which lines are affine in Gaussians.
    """
    lines = list(program.lines)
    formulas = _formulas(lines, gaussian)
    used = _arguments(lines, formulas, gaussian)
    for k, line in enumerate(lines):
        found = formulas[k]
        if found is None or not (_is_function(line) or _is_difference(line)):
            continue
        root, formula = found
        if _is_difference(line):
            if not gaussian[k] and _needs_quadrature(formula):
                fn = composite(formula)
                if fn is not None and not fn.kinks:
                    lines[k] = replace(line, op=Apply(fn), args=(root,))
            continue
        a = line.args[0]
        if len(line.args) == 1 and gaussian[a] and (a == root or len(used[root]) == 1):
            continue
        fn = composite(formula)
        if fn is not None:
            lines[k] = replace(line, op=Apply(fn), args=(root,))
    return Program(tuple(lines), program.outputs)


def _is_function(line: Line) -> bool:
    return isinstance(line.op, Apply) and isinstance(line.op.fn, Nonlinearity)


def _is_difference(line: Line) -> bool:
    """A sum or difference of vectors, whose parts may cancel: ``h - tanh(h)`` of a small h."""
    return isinstance(line.op, Apply) and line.op.fn in (Arithmetic("add"), Arithmetic("subtract"))


def _needs_quadrature(f: Formula) -> bool:
    """Whether a part of it is smooth without a closed form: then one integral of the whole costs no more than many."""
    if isinstance(f.head, Nonlinearity) and f.head.pieces is None and not f.head.family:
        return not f.head.kinks
    return any(map(_needs_quadrature, f.args))


def _formulas(lines: Sequence[Line], gaussian: Sequence[bool]) -> list[tuple[int, Formula] | None]:
    """Per line the Gaussian line it is a function of, coordinate by coordinate, and that function."""
    out: list[tuple[int, Formula] | None] = []
    for k, line in enumerate(lines):
        found = None if line.is_scalar else _formula(lines, out, line)
        if found is None and gaussian[k] and not line.is_scalar:
            found = (k, VARIABLE)
        out.append(found)
    return out


def _formula(
    lines: Sequence[Line], known: Sequence[tuple[int, Formula] | None], line: Line
) -> tuple[int, Formula] | None:
    if not isinstance(line.op, Apply):
        return None
    fn = line.op.fn
    if isinstance(fn, Nonlinearity) and fn.arity != 1 and fn not in (nl.WHERE3, *_SLOPES):
        return None
    roots, args = set(), []
    for a in line.args:
        other = lines[a]
        if other.is_scalar:
            if not is_number(other) or other.op.swept or not np.isfinite(float(other.op.value)):  # type: ignore[union-attr]
                return None
            args.append(Formula(float(other.op.value)))  # type: ignore[union-attr]
            continue
        found = known[a]
        if found is None or other.axes != line.axes or other.dim != line.dim:
            return None
        roots.add(found[0])
        args.append(found[1])
    if len(roots) != 1:
        return None
    if fn in _SLOPES:
        fn, args = nl.WHERE3, [args[0], *(Formula(float(fn == slope)) for slope in _SLOPES)]
    return roots.pop(), Formula(fn, tuple(args))


def _arguments(
    lines: Sequence[Line], formulas: Sequence[tuple[int, Formula] | None], gaussian: Sequence[bool]
) -> dict[int, set[int]]:
    """Per Gaussian line those of its multiples that functions are taken of, or that meet a function in a product."""
    out: dict[int, set[int]] = {}
    for line in lines:
        moving = [(a, formulas[a]) for a in line.args if not lines[a].is_scalar]
        functions = _is_function(line)
        product = line.op == Apply(Arithmetic("multiply")) and len(moving) == 2
        if not (functions or product):
            continue
        for a, found in moving:
            if found is None:
                continue
            root = found[0]
            if not gaussian[a]:
                if functions:
                    out.setdefault(root, set()).add(root)
            elif functions or any(o is not None and o[0] == root and not gaussian[b] for b, o in moving):
                out.setdefault(root, set()).add(a)
    return out
