"""The lines of a network's program before moments are taken: rewritten without division, and which of them are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import catalogue as nl
from ..instructions import Apply, Arithmetic, Average, Combine, Input, Line, MatVec, Parameter
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


def zeros(program: Program, centred: Sequence[bool], families: Sequence[frozenset[Any]]) -> list[bool]:
    """Lines whose limit is 0 for structural reasons: an average with a centred and independent factor, and what it multiplies.

    Such are the gradients of scores and of statistics under a random readout, so that nothing need be asked about them.
    """
    lines = program.lines
    zero: list[bool] = []
    mean_zero: list[bool] = []  # E Z = 0
    for k, line in enumerate(lines):
        args = line.args
        nothing, means = [zero[a] for a in args], [mean_zero[a] for a in args]
        alone = len(args) == 2 and not families[args[0]] & families[args[1]]
        match line.op:
            case Parameter(value=value):
                gone = mean = not np.any(np.asarray(value, dtype=float))
            case Average():
                gone = mean = means[0]
            case Apply(fn=Arithmetic(name="add" | "subtract")):
                gone, mean = all(nothing), all(means)
            case Apply(fn=Arithmetic(name="divide")):
                gone, mean = nothing[0], means[0]
            case Apply(fn=Arithmetic(name="multiply")) | Combine(kind="matmul"):
                gone, mean = any(nothing), alone and any(means)
            case Combine():
                gone, mean = all(nothing), all(means)
            case MatVec():
                gone, mean = nothing[0], True
            case _:
                gone = mean = False
        zero.append(gone)
        mean_zero.append(gone or mean or centred[k])
    return zero
