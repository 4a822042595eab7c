"""Sweeps: which parameters of a program are arrays, and the program at one point of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .ensembles import Dim, Number
from .errors import BadParameter
from .instructions import (
    ConstantSource,
    IIDSource,
    Init,
    Isotropic,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
    RandomMatrix,
    Solve,
)
from .program import Program


def _swept(program: Program) -> Iterator[np.ndarray]:
    for line in program.lines:
        match line.op:
            case Parameter(value=value, swept=True):
                yield value
            case MatVec(matrix=matrix):
                yield from (value for value in _data(matrix) if isinstance(value, np.ndarray))
            case Init(source=NormalGroup() as group):
                yield from (value for value in _swept_cov(group))
            case Init(source=IIDSource(law=law)):
                yield from (w for w in law.weights if isinstance(w, np.ndarray))
            case Solve(system=system):
                for matrix in system.matrices:
                    if any(isinstance(value, np.ndarray) for value in _data(matrix)):
                        raise BadParameter(
                            "a swept variance or ratio in a solve",
                            remedy="one call per value; swept scalars, as in solve(M + lam * eye, v), are fine",
                        )


def _swept_cov(group: NormalGroup) -> list[np.ndarray]:
    if isinstance(group.cov, Isotropic):
        return [group.cov.variance] if isinstance(group.cov.variance, np.ndarray) else []
    return [c for row in group.cov for c in row if isinstance(c, np.ndarray)]


def _data(matrix: RandomMatrix) -> tuple[Number, ...]:
    return matrix.ensemble.variance, matrix.rows.ratio, matrix.cols.ratio


def sweep_shape(program: Program) -> tuple[int, ...]:
    """The broadcast shape of all parameters that are arrays; () without a sweep."""
    shapes = [value.shape for value in _swept(program)]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise BadParameter(
            f"parameters of shapes {shapes} do not broadcast", remedy="give sweeps NumPy-compatible shapes"
        ) from None


def at_point(program: Program, shape: tuple[int, ...], index: tuple[int, ...]) -> Program:
    """The program with every array replaced by its number at one point; shared objects stay shared."""
    made: dict[int, Any] = {}

    def pick(value: Number) -> Number:
        if isinstance(value, np.ndarray):
            picked = np.broadcast_to(value, shape)[index]
            return picked.item() if isinstance(picked, np.generic) else picked
        return value

    def dim(d: Dim) -> Dim:
        return Dim(d.name, pick(d.ratio)) if isinstance(d.ratio, np.ndarray) else d

    def matrix(m: RandomMatrix) -> RandomMatrix:
        if not any(isinstance(v, np.ndarray) for v in _data(m)):
            return m  # the same object: a solve of the program may hold it too
        if id(m) not in made:
            ensemble = replace(m.ensemble, variance=pick(m.ensemble.variance))
            made[id(m)] = replace(m, rows=dim(m.rows), cols=dim(m.cols), ensemble=ensemble)
        return made[id(m)]

    def source(s: NormalGroup | IIDSource | ConstantSource) -> Any:
        if id(s) not in made:
            made[id(s)] = replace(s, dim=dim(s.dim))
            if isinstance(s, IIDSource) and any(isinstance(w, np.ndarray) for w in s.law.weights):
                law = replace(s.law, weights=tuple(map(pick, s.law.weights)))
                made[id(s)] = replace(s, dim=dim(s.dim), law=law)
            if isinstance(s, NormalGroup) and _swept_cov(s):
                cov = (
                    replace(s.cov, variance=pick(s.cov.variance))
                    if isinstance(s.cov, Isotropic)
                    else tuple(tuple(map(pick, row)) for row in s.cov)
                )
                made[id(s)] = replace(s, dim=dim(s.dim), cov=cov)
        return made[id(s)]

    lines: list[Line] = []
    for line in program.lines:
        op = line.op
        match op:
            case Parameter(value=value, swept=True):
                op = Parameter(pick(value))
            case MatVec(matrix=m):
                op = replace(op, matrix=matrix(m))
            case Init(source=s):
                op = replace(op, source=source(s))
        lines.append(replace(line, op=op, dim=None if line.dim is None else dim(line.dim)))
    return Program(tuple(lines), program.outputs)
