"""The lines of a network's program before moments are taken: rewritten without division, and which of them are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import catalogue as nl
from ..instructions import Apply, Arithmetic, Average, Input, Line, Parameter
from ..program import Program


def without_division(program: Program) -> Program:
    """Division by a scalar of the program as multiplication by its reciprocal; line numbers change."""
    lines: list[Line] = []
    number: list[int] = []
    for line in program.lines:
        args = tuple(number[a] for a in line.args)
        divided = isinstance(line.op, Apply) and line.op.fn == Arithmetic("divide")
        if divided and not line.is_scalar and not is_number(lines[args[1]]):
            lines.append(Line(Apply(nl.RECIPROCAL), (args[1],), None, lines[args[1]].axes))
            number.append(len(lines))
            lines.append(replace(line, op=Apply(Arithmetic("multiply")), args=(args[0], len(lines) - 1)))
            continue
        number.append(len(lines))
        lines.append(replace(line, args=args))
    return Program(tuple(lines), tuple(number[k] for k in program.outputs))


def is_number(line: Line) -> bool:
    return isinstance(line.op, Parameter) and (line.op.swept or not isinstance(line.op.value, np.ndarray))


def given(program: Program) -> list[bool]:
    """Whether a scalar line depends on the inputs and on given numbers alone."""
    out: list[bool] = []
    for line in program.lines:
        if isinstance(line.op, Parameter):
            out.append(not line.op.swept)
        elif isinstance(line.op, Input):
            out.append(True)
        else:
            out.append(line.is_scalar and not isinstance(line.op, Average) and all(out[a] for a in line.args))
    return out
