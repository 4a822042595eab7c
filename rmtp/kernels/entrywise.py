"""Kernels by the master theorem itself, one pair of inputs at a time: with Z-Dot, for any program of the language.

For networks whose transposed matrices are not independent (a transpose used forward, a mean-pool readout), and for
expectations beyond what is done on arrays. Costs a run of `limit` per pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..axes import stacked
from ..backprop import InputUse, MatrixUse, Use, VectorUse, use_handles
from ..handles import Node, Scalar, parameter
from ..instructions import FreshSource, Init, InputMatrix, NormalGroup, Parameter
from ..limit import limit
from ..networks.network import Traced
from ..progress import progress
from ..results import Estimate
from .tangent import metric, trained_uses


def bound(handles: Sequence[Node], input: Node, x: np.ndarray) -> list[Any]:
    """The same handles with the input replaced by numbers; parameters stay the same objects."""
    value = (
        Scalar(Parameter(np.asarray(x, dtype=float)), (), None, input.axes, input.name)
        if input.axes
        else Scalar(Parameter(float(x)))
    )
    return _rebuilt(handles, {id(input): value}, lambda node: node)


def renewed(handles: Sequence[Node]) -> list[Any]:
    """The same handles for another input: what is drawn anew for every input is another source."""
    sources: dict[int, FreshSource] = {}

    def other(node: Node) -> Node:
        source = getattr(node.op, "source", None)
        if not isinstance(source, FreshSource):
            return node
        new = sources.setdefault(id(source), replace(source))
        return type(node)(Init(new, None), (), node.dim, node.axes, node.name)

    return _rebuilt(handles, {}, other)


def _rebuilt(handles: Sequence[Node], made: dict[int, Node], leaf: Callable[[Node], Node]) -> list[Any]:
    for root in handles:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in made:
                continue
            if not ready:
                stack.append((node, True))
                stack.extend((a, False) for a in node.args if id(a) not in made)
                continue
            if not node.args:
                made[id(node)] = leaf(node)
                continue
            args = tuple(made[id(a)] for a in node.args)
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            made[id(node)] = node if same else type(node)(node.op, args, node.dim, node.axes, node.name)
    return [made[id(h)] for h in handles]


def entrywise(
    traced: Traced,
    x1: np.ndarray,
    x2: np.ndarray | None,
    wanted: Sequence[str],
    parametrization: str,
    naive: bool = False,
    readout: frozenset[Any] = frozenset(),
) -> dict[str, Estimate]:
    """Kernels over two batches as estimates, pair by pair."""
    other = x1 if x2 is None else x2
    pairs = [(i, j) for i in range(len(x1)) for j in range(len(other)) if x2 is not None or j >= i]
    found: dict[str, dict[tuple[int, int], Estimate]] = {name: {} for name in wanted}
    for i, j in progress(pairs, "kernel, pair by pair", len(pairs)):
        second = list if x2 is None and i == j else renewed
        expressions = pair_expressions(traced, x1[i], other[j], parametrization, "ntk" in wanted, readout, second)
        answers = limit([expressions[name] for name in wanted], gradient_independence=naive)
        for name, answer in zip(wanted, answers, strict=True):
            found[name][i, j] = answer
    out = {}
    for name, table in found.items():
        flat = [table[i, j] if (i, j) in table else table[j, i] for i in range(len(x1)) for j in range(len(other))]
        out[name] = _sweep_first(stacked(flat, (len(x1), len(other))))
    return out


def _sweep_first(estimate: Estimate) -> Estimate:
    """Axes (sweep, N1, N2), as kernels on arrays have them, from (N1, N2, sweep)."""
    value, error = (np.moveaxis(np.asarray(a), (0, 1), (-2, -1)) for a in (estimate.value, estimate.error))
    return Estimate(value, error, estimate.method, estimate.notes)


def pair_expressions(
    traced: Traced,
    x: np.ndarray,
    x2: np.ndarray,
    parametrization: str,
    tangent: bool = True,
    readout: frozenset[Any] = frozenset(),
    second_input: Callable[[Sequence[Any]], list[Any]] = list,
) -> dict[str, Any]:
    """The kernels of two inputs, without the output's bias, as expressions for `limit` and `verify`."""
    uses = trained_uses(traced.gradient.uses) if tangent else ()
    flat: list[Node] = [traced.summand, *(h for use in uses for h in use_handles(use))]
    first, second = bound(flat, traced.input, x), second_input(bound(flat, traced.input, x2))
    assert traced.summand.dim is not None
    nngp = np.mean(first[0] * second[0]) / traced.summand.dim.ratio
    total: Any = 0
    starts = np.cumsum([1, *(len(use_handles(use)) for use in uses)])
    for k, use in enumerate(uses):
        for m, other in enumerate(uses):
            a = first[starts[k] : starts[k + 1]]
            b = second[starts[m] : starts[m + 1]]
            total = total + _term(use, other, a, b, parametrization, readout)
    return {"nngp": nngp, "ntk": total}


def _term(
    use: Use, other: Use, a: Sequence[Any], b: Sequence[Any], parametrization: str, readout: frozenset[Any]
) -> Any:
    match use, other:
        case MatrixUse(matrix=matrix), MatrixUse() if other.matrix is matrix:
            weight = metric(matrix, parametrization, readout)
            return parameter(weight) * _total(_cross(a[0], b[0]) * _cross(a[1], b[1]))
        case InputUse(matrix=matrix), InputUse() if other.matrix is matrix:
            weight = metric(matrix, parametrization, readout)
            return parameter(weight) * _total(_cross(a[0], b[0]) * _gram(a[1], b[1]))
        case VectorUse(source=NormalGroup() as group, index=k), VectorUse(source=same, index=m) if same is group:
            if isinstance(group, InputMatrix):
                weight = metric(group, parametrization, readout)
                return parameter(weight) * np.sum(np.mean(a[0] * b[0], axis=0))
            rows = range(len(group.mean)) if k is None else [k]
            cols = range(len(group.mean)) if m is None else [m]
            total: Any = 0
            for p, i in enumerate(rows):
                for q, j in enumerate(cols):
                    if np.any(np.asarray(group.cov[i][j], dtype=float)):
                        left = a[0] if k is not None else a[0][:, p]
                        right = b[0] if m is not None else b[0][:, q]
                        weight = metric(group, parametrization, readout, (i, j))
                        total = total + parameter(weight) * np.mean(left * right)
            return total
    return 0


def _cross(u: Any, v: Any) -> Any:
    """E u_p v_q over all pairs of positions."""
    if not u.axes:
        return np.mean(u * v)
    size = int(np.prod([s for _, s in u.axes]))
    u, v = u.reshape(u.dim, size), v.reshape(v.dim, int(np.prod([s for _, s in v.axes])))
    return np.mean(u[:, :, None] * v[:, None, :], axis=0)


def _gram(x: Any, y: Any) -> Any:
    if len(x.axes) == 1:
        return np.sum(x * y)
    return x.T @ y


def _total(x: Any) -> Any:
    return np.sum(x) if getattr(x, "axes", ()) else x
