"""The plan of a network's kernels: E y y' of its output, and the double sum over uses that is the tangent kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backprop import InputUse, MatrixUse, Use, VectorUse
from ..ensembles import Number
from ..errors import UnsupportedOperation
from ..instructions import InputMatrix, NormalGroup
from ..networks.network import Traced
from ..program import lower
from .plan import Plan
from .trace import Draft, Factor, Tracer


def kernel_plan(traced: Traced, wanted: Sequence[str], parametrization: str = "ntk", second: int = 1) -> Plan:
    """The plan of "nngp", "ntk" or both; with `second` = 0 of their diagonals, both inputs being the same."""
    uses = trained_uses(traced.gradient.uses) if "ntk" in wanted else ()
    roots: list[Any] = [traced.summand]
    for use in uses:
        roots += use_handles(use)
    tracer = Tracer(lower(roots))
    line = iter(tracer.program.outputs)
    y = next(line)
    placed = [(use, tuple(next(line) for _ in use_handles(use))) for use in uses]
    zero = np.zeros(1, dtype=np.int64)
    sums: dict[str, list[Draft]] = {}
    if "nngp" in wanted:
        assert traced.summand.dim is not None
        sums["nngp"] = [Draft(1 / traced.summand.dim.ratio, (tracer.ask([(y, 0), (y, second)], [zero, zero]),), None)]
    if "ntk" in wanted:
        sums["ntk"] = []
        for first, a in placed:
            for other, b in placed:
                lines = [(k, 0) for k in a], [(k, second) for k in b]
                sums["ntk"] += _term(tracer, first, other, *lines, parametrization)
    return tracer.run(sums, second == 1)


def trained_uses(uses: Sequence[Use]) -> tuple[Use, ...]:
    """The uses, if what is trained has coordinates of its own.

    Raises
    ------
    UnsupportedOperation
        For symmetric or orthogonal matrices, whose entries are not free, and for input weights used in two ways.
    """
    contracted = {use.matrix for use in uses if isinstance(use, InputUse)}
    for use in uses:
        if isinstance(use, MatrixUse) and use.matrix.ensemble.kind != "Gaussian":
            raise UnsupportedOperation(
                f"the tangent kernel of a {use.matrix.ensemble.kind} matrix, whose entries are not free parameters",
                remedy="rmtp.Gaussian matrices, or (W + W.T) / 2**0.5 for a symmetric one",
            )
        if isinstance(use, VectorUse) and use.source in contracted:
            raise UnsupportedOperation(
                f"input weights {use.source.name or 'U'} that meet an input and stand alone elsewhere",
                remedy="use U only in U @ x",
            )
    return tuple(uses)


def use_handles(use: Use) -> list[Any]:
    """The vectors whose products make a term of the tangent kernel."""
    match use:
        case MatrixUse(rows=rows, cols=cols):
            return [rows, cols]
        case InputUse(rows=rows, x=x):
            return [rows, x]
        case VectorUse(gradient=gradient):
            return [gradient]


def _term(
    tracer: Tracer, first: Use, other: Use, a: Sequence[Factor], b: Sequence[Factor], parametrization: str
) -> list[Draft]:
    """The part of the double sum over uses that one pair of uses of one parameter makes."""
    match first, other:
        case MatrixUse(matrix=matrix), MatrixUse() if other.matrix is matrix:
            s2 = matrix.ensemble.cumulant(2)
            gain = s2 if matrix.gain is None else matrix.gain
            weight = share(s2, gain, parametrization) * matrix.rows.ratio
            p, q = np.nonzero(tracer.support.of(a[0][0], b[0][0]) & tracer.support.of(a[1][0], b[1][0]))
            if not len(p):
                return []
            parts = tuple(tracer.ask([f, g], [p, q]) for f, g in zip(a, b, strict=True))
            return [Draft(weight, parts, np.zeros(len(p), dtype=np.int64))]
        case InputUse(matrix=matrix), InputUse() if other.matrix is matrix:
            weight = share(matrix.cov[0][0], matrix.gain, parametrization) * matrix.dim.ratio
            p, q = np.nonzero(tracer.support.of(a[0][0], b[0][0]))
            if not len(p):
                return []
            return tracer.gram(weight, a[1], b[1], p, q, [a[0], b[0]])
        case VectorUse(source=NormalGroup() as group, index=k), VectorUse(source=same, index=m) if same is group:
            return _vector_term(tracer, group, (k, m), a[0], b[0], parametrization)
    return []


def _vector_term(
    tracer: Tracer,
    group: NormalGroup,
    members: tuple[int | None, int | None],
    a: Factor,
    b: Factor,
    parametrization: str,
) -> list[Draft]:
    size = len(group.mean)
    rows, cols = (np.arange(size) if k is None else np.array([k]) for k in members)
    if isinstance(group, InputMatrix):
        scale = share(group.cov[0][0], group.gain, parametrization) * group.dim.ratio
        return [Draft(scale, (tracer.ask([a, b], [rows, cols]),), np.zeros(size, dtype=np.int64))]
    drafts = []
    for p, i in enumerate(rows):
        for q, j in enumerate(cols):
            c = group.cov[int(i)][int(j)]
            # trained directly, two correlated vectors are two parameters; as a mixture of normals they share some
            if np.any(np.asarray(c, dtype=float)) and (parametrization == "ntk" or i == j):
                at = [np.array([p]), np.array([q])]
                scale = share(c, c, parametrization) * group.dim.ratio
                drafts.append(Draft(scale, (tracer.ask([a, b], at),), None))
    return drafts


def share(variance: Number, gain: Number, parametrization: str) -> Number:
    """The square of what a trained number is multiplied by: sigma included or not."""
    return variance if parametrization == "ntk" else variance / gain
