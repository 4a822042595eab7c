"""Programs and their lines as text and LaTeX.

Coordinatewise expressions used once are written into the line that uses them, so a program reads as it was typed; every
other instruction is a numbered line, and errors name these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .ensembles import Dim, Number
from .instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    FreshSource,
    IIDSource,
    Init,
    Input,
    InputMatrix,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
    RandomMatrix,
    Solve,
)
from .laws import describe
from .nonlinearity import Nonlinearity
from .quantity import Quantity, quantity_text

Program = Any  # rmtp.program.Program, which is built on this module

_LONG = 90  # an inlined expression longer than this gets a line of its own
_SYMBOL = {"add": (" + ", 1), "subtract": (" - ", 1), "multiply": ("*", 2), "divide": ("/", 2)}


@dataclass(frozen=True)
class Printed:
    """The printed lines of a program, and the printed line in which each instruction appears."""

    names: tuple[str, ...]
    texts: tuple[str, ...]  # the name, or the expression where it is inlined
    rows: tuple[tuple[int, str], ...]  # (instruction, right-hand side)
    home: tuple[int, ...]  # instruction -> index into rows


def number_text(value: Number, latex: bool = False) -> str:
    """A number as a reader writes it."""
    if isinstance(value, np.ndarray):
        flat = value.ravel()
        return f"[{number_text(flat[0])}..{number_text(flat[-1])}]" if len(flat) > 1 else number_text(flat[0])
    if isinstance(value, Fraction):
        if latex and value.denominator != 1:
            return rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Quantity):
        return quantity_text(value, latex)
    return f"{float(value):.6g}"


def _uses(program: Program) -> list[int]:
    uses = [0] * len(program.lines)
    for line in program.lines:
        for a in line.args:
            uses[a] += 1
    for k in program.outputs:
        uses[k] += 2
    return uses


def printed(program: Program, latex: bool = False) -> Printed:
    """Decide what is inlined and write every line."""
    uses = _uses(program)
    names: list[str] = []
    rows: list[tuple[int, str]] = []
    home = [-1] * len(program.lines)
    text: list[tuple[str, int]] = []  # expression and precedence with which a user embeds it
    matrices = matrix_names(program)
    given = {line.name for line in program.lines if line.name}
    for number, line in enumerate(program.lines):
        right, level = _right_hand_side(program, line, text, names, matrices, latex)
        parameter = isinstance(line.op, Parameter)
        inline = isinstance(line.op, Apply | Combine) and not line.name and uses[number] == 1 and len(right) <= _LONG
        if (parameter and not line.name) or inline:
            text.append((right, level))
            names.append("")
            continue
        name = line.name or f"{'c' if line.is_scalar else 'v'}{len(rows) + 1}"
        while not line.name and name in given:
            name += "'"
        names.append(name)
        home[number] = len(rows)
        rows.append((number, right))
        text.append((tex(name) if latex else name, 9))
    for number in range(len(program.lines) - 1, -1, -1):
        if home[number] >= 0:
            for a in program.lines[number].args:
                if not names[a]:
                    home[a] = home[number]
        elif home[number] == -1:
            home[number] = max(0, len(rows) - 1)
    # arguments of inlined lines belong to the same row; lines are in order, so one backward sweep is enough
    for number in range(len(program.lines) - 1, -1, -1):
        for a in program.lines[number].args:
            if not names[a]:
                home[a] = home[number]
    return Printed(tuple(names), tuple(body for body, _ in text), tuple(rows), tuple(home))


def matrix_names(program: Program) -> dict[int, str]:
    """Names of the matrices of a program by identity; unnamed ones are numbered in order of use."""
    matrices = {id(line.op.matrix): line.op.matrix for line in program.lines if isinstance(line.op, MatVec)}
    taken = {matrix.name for matrix in matrices.values()}
    out: dict[int, str] = {}
    for key, matrix in matrices.items():
        stem, count = _stem(matrix), 1
        while not matrix.name and f"{stem}{count}" in taken:
            count += 1
        out[key] = matrix.name or f"{stem}{count}"
        taken.add(out[key])
    return out


def _stem(matrix: RandomMatrix) -> str:
    if matrix.ensemble.kind == "Haar":
        return "Q"
    return "A" if matrix.ensemble.symmetric else "W"


def matrix_name(op: MatVec, matrices: dict[int, str], latex: bool) -> str:
    """The name of a matrix or its transpose."""
    name = matrices.get(id(op.matrix), op.matrix.name or _stem(op.matrix))
    if latex:
        return tex(name) + (r"^\top" if op.transposed else "")
    return name + (".T" if op.transposed else "")


def _inlined(program: Program, number: int, names: list[str], ops: tuple[str, ...]) -> bool:
    """Whether a line is one of the named operations and stands in the line that uses it."""
    op = program.lines[number].op
    return isinstance(op, Apply) and op.fn.name in ops and not names[number]


def _roman(name: str) -> str:
    escaped = "".join("\\" + c if c in "_&%#${}" else c for c in name)
    return rf"\mathrm{{{escaped}}}"


def _right_hand_side(
    program: Program,
    line: Line,
    text: list[tuple[str, int]],
    names: list[str],
    matrices: dict[int, str],
    latex: bool,
) -> tuple[str, int]:
    def arg(k: int, level: int = 0) -> str:
        body, own = text[line.args[k]]
        return body if own > level else f"({body})"

    match line.op:
        case Init(source=source, index=index):
            return _source_text(source, index, latex), 9
        case MatVec():
            name = matrix_name(line.op, matrices, latex)
            return (f"{name} {arg(0, 2)}", 2) if latex else (f"{name} @ {arg(0, 2)}", 2)
        case Solve(expression=expression):
            shown = r"\mathrm{solve}" if latex else "solve"
            return f"{shown}({expression!r}, {arg(0)})", 9
        case Average():
            return (rf"\langle {arg(0)} \rangle" if latex else f"mean({arg(0)})"), 9
        case Input(name=name):
            return (rf"\mathrm{{input}}\,{tex(name)}" if latex else f"input {name}"), 0
        case Parameter(value=value):
            shown = number_text(value, latex)
            return shown, 9 if not shown.startswith("-") and "/" not in shown else 1
        case Combine(kind=kind, detail=detail):
            parts = ", ".join(arg(k) for k in range(len(line.args)))
            if kind == "index":
                shown = ", ".join(_index_text(d) for d in detail)
                return f"{arg(0, 8)}[{'' if line.is_scalar else ':, '}{shown}]", 9
            if kind == "matmul":
                return f"{arg(0, 2)} @ {arg(1, 2)}", 2
            if kind == "scatter":
                return f"scatter({arg(0)}, [{', '.join(_index_text(d) for d in detail[0])}])", 9
            if kind == "reshape":
                return f"reshape({arg(0)}, {', '.join(map(str, detail[0]))})", 9
            shift = 0 if line.is_scalar else 1
            where = f", axis={detail[0] + shift}" if kind in ("sum", "stack") else ""
            return f"{kind}({parts}{where})", 9
        case Apply(fn=Arithmetic(name="power", exponent=k)):
            return (f"{arg(0, 3)}^{{{k}}}" if latex else f"{arg(0, 3)}**{k}"), 3
        case Apply(fn=Arithmetic(name="multiply")) if _inlined(program, line.args[1], names, ("reciprocal",)):
            body, own = text[program.lines[line.args[1]].args[0]]
            if latex:
                return rf"\frac{{{arg(0)}}}{{{body}}}", 9
            return f"{arg(0, 1)}/{body if own > 2 else f'({body})'}", 2
        case Apply(fn=Arithmetic(name=name)):
            symbol, level = _SYMBOL[name]
            if name == "multiply" and text[line.args[0]][0] == "-1":
                return f"-{arg(1, 1)}", 1
            if latex:
                if name == "divide":
                    return rf"\frac{{{arg(0)}}}{{{arg(1)}}}", 9
                symbol = r" " if name == "multiply" else symbol
            left = arg(0, level - 1)
            return f"{left}{symbol}{arg(1, level if name != 'add' else level - 1)}", level
        case Apply(fn=Nonlinearity(name="heaviside[0]" | "heaviside[1]") as fn) if _inlined(
            program, line.args[0], names, ("subtract",)
        ):
            left, right = (text[a][0] for a in program.lines[line.args[0]].args)
            signs = (">", r"\geq " if latex else ">=")
            return f"{left} {signs[fn.name.endswith('[1]')]} {right}", 0
        case Apply(fn=Nonlinearity(name="reciprocal")):
            return (rf"\frac{{1}}{{{arg(0)}}}", 9) if latex else (f"1/{arg(0, 2)}", 2)
        case Apply(fn=fn):
            parts = ", ".join(arg(k) for k in range(len(line.args)))
            assert isinstance(fn, Nonlinearity)
            head = (fn.latex or _roman(fn.name)) if latex else fn.name
            return (rf"{head}\!\left({parts}\right)" if latex else f"{head}({parts})"), 9
    raise AssertionError(line.op)


def _index_text(item: Any) -> str:
    if isinstance(item, tuple):
        start, stop, step = ("" if v is None else str(v) for v in item)
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return str(item)


def _source_text(source: NormalGroup | IIDSource | ConstantSource, index: int | None, latex: bool) -> str:
    head = r"\mathcal N" if latex else "N"
    match source:
        case ConstantSource(value=value):
            return number_text(value, latex)
        case FreshSource(law=law, size=size):
            return f"{describe(law)}[{size}], anew for every input"
        case IIDSource(law=law):
            return describe(law)
        case InputMatrix(cov=cov) if index is None:
            return f"{head}(0, {number_text(cov[0][0], latex)})[{len(cov)}]"
        case NormalGroup(mean=mean, cov=cov) if index is None:
            return f"{head}(mean[{len(mean)}], cov[{len(mean)}, {len(mean)}])"
        case NormalGroup(mean=mean, cov=cov):
            assert index is not None
            own = f"{head}({number_text(mean[index], latex)}, {number_text(cov[index][index], latex)})"
            if len(mean) > 1:
                own += f", member {index + 1} of {len(mean)} with cov {_row(cov[index])}"
            return own
    raise AssertionError(source)


def _row(row: Sequence[Number]) -> str:
    return "[" + ", ".join(number_text(c) for c in row) + "]"


def _dims_text(dims: tuple[Dim, ...]) -> str:
    return ", ".join(d.name if np.all(d.ratio == 1) else f"{d.name} (ratio {number_text(d.ratio)})" for d in dims)


def program_text(program: Program) -> str:
    """Numbered lines."""
    table = printed(program)
    out = [f"program over {_dims_text(program.dims())}"]
    for k, (number, right) in enumerate(table.rows, start=1):
        out.append(_line(table, program, number, k, right))
    return "\n".join(out)


def _line(table: Printed, program: Program, number: int, k: int, right: str) -> str:
    line = program.lines[number]
    axes = "".join(f", {name or 'axis'}[{size}]" for name, size in line.axes)
    kind = f"  : {line.dim.name}{axes}" if line.dim is not None else f"  : {axes[2:]}" if axes else ""
    return f"{k:>4}  {table.names[number]} = {right}{kind}"


def line_text(program: Program, number: int) -> str:
    """The printed line in which an instruction stands."""
    table = printed(program)
    row = table.home[number]
    own, right = table.rows[row]
    return "line " + _line(table, program, own, row + 1, right).strip()


def program_latex(program: Program) -> str:
    """An align* environment."""
    table = printed(program, latex=True)
    body = [rf"  {tex(table.names[number])} &= {right} \\" for number, right in table.rows]
    return "\n".join([r"\begin{align*}", *body, r"\end{align*}"])


def tex(name: str) -> str:
    """A name with its digits as a subscript."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    stem = stem if len(stem) == 1 else rf"\mathrm{{{stem.replace('_', chr(92) + '_')}}}"
    return f"{stem}_{{{digits}}}" if digits and stem else name


def handle_text(handle: Any, depth: int = 3) -> str:
    """A handle in an error message: its name, or its expression cut off at some depth."""
    if handle.name:
        return str(handle.name)
    if depth == 0:
        return "..."
    parts = [handle_text(a, depth - 1) for a in handle.args]
    match handle.op:
        case Init(source=source):
            return f"{type(source).__name__.removesuffix('Group').removesuffix('Source')}({handle.dim.name})"
        case Input(name=name):
            return name
        case Parameter(value=value):
            return number_text(value)
        case MatVec():
            return f"{matrix_name(handle.op, {}, False)} @ {parts[0]}"
        case Solve(expression=expression):
            return f"solve({expression!r}, {parts[0]})"
        case Average():
            return f"mean({parts[0]})"
        case Apply(fn=Arithmetic(name="power", exponent=k)):
            return f"{parts[0]}**{k}"
        case Apply(fn=Arithmetic(name=name)):
            return f"({parts[0]}{_SYMBOL[name][0]}{parts[1]})"
        case Apply(fn=fn):
            return f"{fn.name}({', '.join(parts)})"
        case Combine(kind=kind):
            return f"{kind}({', '.join(parts)})"
    return type(handle).__name__
