"""The naive answer: the same algorithm with fresh data at every step."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from ..handles import Node, Scalar, Vector
from ..instructions import MatVec, RandomMatrix
from ..language import program as program_of
from ..program import Program


def fresh(iterates: tuple[Vector, ...], observed: Vector | None) -> tuple[Vector, ...]:
    """The estimates of an algorithm that sees new matrices, and observations made with them, at every step.

    A line belongs to the first step whose estimate needs it; the lines of the observation belong to all steps.
    """
    program = program_of(*iterates, *(() if observed is None else (observed,)))
    outputs = program.outputs[: len(iterates)]
    seen = set() if observed is None else beneath(program, program.outputs[-1])
    step: dict[int, int] = {}
    for t, k in enumerate(outputs):
        for line in beneath(program, k) - seen:
            step.setdefault(line, t)
    copies: dict[tuple[int, int], RandomMatrix] = {}
    made: dict[tuple[int, int], Node] = {}

    def at(line: int, t: int) -> Node:
        key = (line, t if line in seen else step[line])
        return made[key]

    def write(line: int, t: int) -> None:
        found = program.lines[line]
        op: Any = found.op
        if isinstance(op, MatVec):
            matrix = copies.setdefault((id(op.matrix), t), replace(op.matrix, name=f"{op.matrix.name}{t}"))
            op = replace(op, matrix=matrix)
        args = tuple(at(a, t) for a in found.args)
        made[(line, t)] = (Scalar if found.is_scalar else Vector)(op, args, found.dim, found.axes, found.name)

    for line, t in itertools.product(sorted(seen), range(len(outputs))):
        write(line, t)
    for line in sorted(step):
        write(line, step[line])
    return tuple(at(k, t) for t, k in enumerate(outputs))  # type: ignore[misc]


def beneath(program: Program, line: int) -> set[int]:
    """A line and all it depends on."""
    found: set[int] = set()
    stack = [line]
    while stack:
        k = stack.pop()
        if k not in found:
            found.add(k)
            stack.extend(program.lines[k].args)
    return found
