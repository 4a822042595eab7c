"""The plan of a network's kernels: E y y' of its output, and the double sum over uses that is the tangent kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import option
from ..backprop import InputUse, MatrixUse, Use, VectorUse, use_handles
from ..ensembles import Number
from ..errors import BadParameter, UnsupportedOperation
from ..instructions import InputMatrix, NormalGroup, RandomMatrix
from ..networks.network import Traced
from ..program import lower
from .plan import Plan
from .trace import Draft, Factor, Tracer


def kernel_plan(
    traced: Traced,
    wanted: Sequence[str],
    parametrization: str = "ntk",
    second: int = 1,
    readout: frozenset[Any] = frozenset(),
) -> Plan:
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
                sums["ntk"] += _term(tracer, first, other, *lines, parametrization, readout)
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
        if isinstance(use, MatrixUse):
            _check_free(use.matrix)
        if isinstance(use, VectorUse) and use.source in contracted:
            raise UnsupportedOperation(
                f"input weights {use.source.name or 'U'} that meet an input and stand alone elsewhere",
                remedy="use U only in U @ x",
            )
    return tuple(uses)


def _term(
    tracer: Tracer,
    first: Use,
    other: Use,
    a: Sequence[Factor],
    b: Sequence[Factor],
    parametrization: str,
    readout: frozenset[Any],
) -> list[Draft]:
    """The part of the double sum over uses that one pair of uses of one parameter makes."""
    match first, other:
        case MatrixUse(matrix=matrix), MatrixUse() if other.matrix is matrix:
            weight = metric(matrix, parametrization, readout)
            if not np.any(np.asarray(weight, dtype=float)):
                return []
            p, q = np.nonzero(tracer.support.of(a[0][0], b[0][0]) & tracer.support.of(a[1][0], b[1][0]))
            if not len(p):
                return []
            parts = tuple(tracer.ask([f, g], [p, q]) for f, g in zip(a, b, strict=True))
            return [Draft(weight, parts, np.zeros(len(p), dtype=np.int64))]
        case InputUse(matrix=matrix), InputUse() if other.matrix is matrix:
            weight = metric(matrix, parametrization, readout)
            if not np.any(np.asarray(weight, dtype=float)):
                return []
            p, q = np.nonzero(tracer.support.of(a[0][0], b[0][0]))
            if not len(p):
                return []
            return tracer.gram(weight, a[1], b[1], p, q, [a[0], b[0]])
        case VectorUse(source=NormalGroup() as group, index=k), VectorUse(source=same, index=m) if same is group:
            return _vector_term(tracer, group, (k, m), a[0], b[0], parametrization, readout)
    return []


def _vector_term(
    tracer: Tracer,
    group: NormalGroup,
    members: tuple[int | None, int | None],
    a: Factor,
    b: Factor,
    parametrization: str,
    readout: frozenset[Any],
) -> list[Draft]:
    size = len(group.mean)
    rows, cols = (np.arange(size) if k is None else np.array([k]) for k in members)
    if isinstance(group, InputMatrix):
        scale = metric(group, parametrization, readout)
        return [Draft(scale, (tracer.ask([a, b], [rows, cols]),), np.zeros(size, dtype=np.int64))]
    drafts = []
    for p, i in enumerate(rows):
        for q, j in enumerate(cols):
            if not np.any(np.asarray(group.cov[int(i)][int(j)], dtype=float)):
                continue
            scale = metric(group, parametrization, readout, (int(i), int(j)))
            if np.any(np.asarray(scale, dtype=float)):
                at = [np.array([p]), np.array([q])]
                drafts.append(Draft(scale, (tracer.ask([a, b], at),), None))
    return drafts


PARAMETRIZATIONS = ("ntk", "yang", "standard", "mup")


def check_parametrization(parametrization: str) -> None:
    """Raise `BadParameter` unless it is one.

    Examples
    --------
    >>> check_parametrization("ntk")
    """
    option(parametrization, PARAMETRIZATIONS, "parametrization")


def metric(
    source: RandomMatrix | NormalGroup, parametrization: str, readout: frozenset[Any], members: tuple[int, int] = (0, 0)
) -> Number:
    """What a term ``E rows rows' E cols cols'`` (or ``E g g'``) of one parameter is multiplied by.

    "ntk" trains omega ~ N(0, 1), "yang" omega with its sigma. "standard" trains the entries themselves at a learning rate
    that falls like 1/n: only matrices between widths and the readout move, the kernel is over n. "mup" trains the entries with
    a readout over n in place of sqrt(n) (abc-parametrisation of TP IV, 2011.14522): everything moves.
    """
    if isinstance(source, RandomMatrix):
        _check_free(source)
        s2 = source.ensemble.cumulant(2)
        if parametrization in ("standard", "mup"):
            return source.rows.ratio * source.cols.ratio
        gain = s2 if source.gain is None else source.gain
        return source.rows.ratio * (s2 if parametrization == "ntk" else _share(s2, gain))
    i, j = members
    c, ratio = source.cov[i][j], source.dim.ratio
    if parametrization == "ntk":
        return c * ratio
    if i != j:  # trained directly, two correlated vectors are two parameters; as mixtures of normals they share some
        return 0
    if parametrization == "yang":
        return ratio * _share(c, source.gain if isinstance(source, InputMatrix) else c)
    if source in readout:
        return ratio * ratio
    return ratio if parametrization == "mup" else 0


def bias_metric(variance: Number, parametrization: str) -> Number:
    """The term of the output bias in the tangent kernel."""
    if parametrization == "ntk":
        return variance
    return 1 if parametrization != "standard" and np.any(np.asarray(variance, dtype=float)) else 0


def _check_free(matrix: RandomMatrix) -> None:
    if matrix.ensemble.kind != "Gaussian":
        raise UnsupportedOperation(
            f"the gradient with respect to the {matrix.ensemble.kind} matrix {matrix.name}".rstrip()
            + ", whose entries are not free parameters",
            remedy="rmtp.Gaussian matrices; (W + W.T) / 2**0.5 for a symmetric one",
        )


def _share(variance: Number, gain: Number) -> Number:
    if not np.all(np.asarray(gain, dtype=float)):
        raise BadParameter(
            "a standard deviation of 0 is trained", remedy='parametrization="ntk", or leave the term out'
        )
    return variance / gain
