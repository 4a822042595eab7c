"""The lines of a network's program before moments are taken: rewritten without division, and which of them are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import catalogue as nl
from ..instructions import Apply, Arithmetic, Average, Combine, FreshSource, Init, Input, Line, MatVec, Parameter
from ..laws import CoordinateLaw
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


def fresh_sources(lines: Sequence[Line]) -> frozenset[int]:
    """What is drawn anew for every input, by id."""
    ops = (line.op for line in lines)
    return frozenset(id(op.source) for op in ops if isinstance(op, Init) and isinstance(op.source, FreshSource))


def fresh_law(lines: Sequence[Line]) -> CoordinateLaw | None:
    """The law of coordinates of one fresh source, if all lines are that; else None."""
    sources = [line.op.source for line in lines if isinstance(line.op, Init)]
    if len(sources) == len(lines) and isinstance(sources[0], FreshSource):
        return sources[0].law
    return None


def independent_moments(law: CoordinateLaw, positions: Sequence[np.ndarray]) -> np.ndarray:
    """``E prod_k x[p_k]`` of independent coordinates, for many tuples of positions p."""
    moments = [float(law.moment(k)) for k in range(len(positions) + 1)]
    table = np.sort(np.stack(positions), axis=0)
    steps, which = np.unique((np.diff(table, axis=0) != 0).T, axis=0, return_inverse=True)
    runs = [np.diff(np.flatnonzero([True, *step, True])) for step in steps]
    return np.array([np.prod([moments[k] for k in run]) for run in runs])[which.ravel()]


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


def origins(lines: Sequence[Line], shapes: Sequence[tuple[int, ...]], number: int) -> tuple[int, np.ndarray] | None:
    """The input that a line (channel, position) only picks positions of, and which (-1: zeros); None for other lines."""
    chain = []
    while isinstance(lines[number].op, Combine) and len(lines[number].args) == 1:
        chain.append(number)
        (number,) = lines[number].args
    if not isinstance(lines[number].op, Input) or not shapes[number]:
        return None
    channels = shapes[number][-1]
    table = np.arange(int(np.prod(shapes[number]))).reshape(shapes[number])
    for k in reversed(chain):
        op = lines[k].op
        assert isinstance(op, Combine)
        match op.kind:
            case "index":
                table = table[_index(op.detail)]
            case "scatter":
                index, shape = op.detail
                wide = np.full(shape, -1)
                wide[_index(index)] = table
                table = wide
            case "transpose":
                table = np.transpose(table, op.detail)
            case "reshape":
                table = table.reshape(op.detail[0])
            case _:
                return None
    flat = table.reshape(table.shape[0], -1) if table.ndim else table.reshape(1, 1)
    empty = flat[0] < 0
    whole = flat.shape[0] == channels and np.all((flat < 0) == empty)
    if (
        not whole
        or np.any((flat - np.arange(channels)[:, None] != flat[0]) & ~empty)
        or np.any(flat[0] % channels * ~empty)
    ):
        return None
    return number, np.where(empty, -1, flat[0] // channels)


def _index(detail: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(*d) if isinstance(d, tuple) else d for d in detail)
