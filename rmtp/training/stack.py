r"""Programs of a network on many draws at once: `networks.evaluate` with two more axes in front, members and outputs.

Values are (S, C, width, N, \*axes) for vectors and (S, C, N, \*axes) for scalars: S draws of the parameters, C readouts of
each, N inputs. What does not depend on one of them has one entry there and broadcasts, so that C readouts share one body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backprop import InputUse, Use, VectorUse
from ..errors import RmtpError, UnsupportedOperation
from ..instructions import Apply, Average, Combine, Init, Input, Line, MatVec, NormalGroup, Parameter
from ..networks.evaluate import applied
from ..program import Program
from ..sample import combine_arrays, lifetimes

LEAD = 2  # members and outputs


def run_stack(program: Program, drawn: Mapping[int, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """The outputs of a network's program for many draws and a batch of inputs.

    Parameters
    ----------
    program : Program
    drawn : mapping
        By id of their source, the arrays of `rmtp.sample.draw` behind axes (S, C); initial vectors may have a third one
        behind these, the inputs.
    x : ndarray (N, \\*shape of one input)

    Returns
    -------
    list of ndarray

    Raises
    ------
    RmtpError
        Of the line that fails.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from rmtp.networks.network import trace
    >>> traced = trace(lambda x: np.mean(rmtp.constant(rmtp.Dim("n"), 2) * np.sum(x)), (3,))
    >>> program = rmtp.program(traced.output.average)
    >>> constant = program.lines[0].op.source
    >>> run_stack(program, {id(constant): np.full((1, 1, 4), 2.0)}, np.ones((5, 3)))[0].shape
    (1, 1, 5)
    """
    values: dict[int, Any] = {}
    outputs = set(program.outputs)
    dead, _ = lifetimes(program)
    for number, line in enumerate(program.lines):
        try:
            values[number] = _value(
                line, [program.lines[a] for a in line.args], [values[a] for a in line.args], drawn, x
            )
        except RmtpError as error:
            raise error.located(program.where(number)) from None
        for old in dead[number] - outputs:
            del values[old]
    return [values[number] for number in program.outputs]


def _value(line: Line, parents: Sequence[Line], args: Sequence[Any], drawn: Mapping[int, np.ndarray], x: Any) -> Any:
    vector = int(line.dim is not None)
    batch = LEAD + vector  # the axis of the inputs
    match line.op:
        case Init(source=NormalGroup() as group, index=index):
            array = drawn[id(group)]  # (S, C, size, members), or (S, C, size, N, members)
            array = array if array.ndim == LEAD + 3 else array[:, :, :, None]
            return array if index is None else array[..., index]
        case Init(source=source):
            return np.expand_dims(drawn[id(source)], batch)
        case MatVec(matrix=matrix, transposed=transposed):
            array = drawn[id(matrix)]
            v = args[0]
            flat = v.reshape(*v.shape[: LEAD + 1], -1)
            return np.matmul(np.swapaxes(array, -1, -2) if transposed else array, flat).reshape(
                *np.broadcast_shapes(array.shape[:LEAD], v.shape[:LEAD]), -1, *v.shape[LEAD + 1 :]
            )
        case Apply(fn=fn):
            return applied(fn, [_aligned(a, p, line) for a, p in zip(args, parents, strict=True)])
        case Average():
            return np.mean(args[0], axis=LEAD)
        case Parameter(value=value):
            return np.asarray(value, dtype=float)[None, None, None]
        case Input():
            return x[None, None]
        case Combine(kind="matmul"):
            return _matmul(args[0], args[1], vector)
        case Combine(kind="stack", detail=detail):
            lead = np.broadcast_shapes(*(a.shape[: batch + 1] for a in args))
            same = [np.broadcast_to(a, (*lead, *a.shape[batch + 1 :])) for a in args]
            return combine_arrays("stack", detail, same, batch + 1)
        case Combine(kind=kind, detail=detail):
            return combine_arrays(kind, detail, args, batch + 1)
    raise UnsupportedOperation(
        f"{type(line.op).__name__} in a network", remedy="unroll it into a fixed number of steps"
    )


def _aligned(array: np.ndarray, line: Line, result: Line) -> np.ndarray:
    """With an axis of width 1 for a scalar beside vectors, and axes of length 1 for finite axes that it does not have."""
    vector = int(line.dim is not None)
    lead, axes = array.shape[: LEAD + vector + 1], array.shape[LEAD + vector + 1 :]
    if result.dim is not None and not vector:
        lead = (*lead[:LEAD], 1, lead[LEAD])
    return array.reshape(*lead, *(1,) * (len(result.axes) - len(line.axes)), *axes)


def _matmul(a: np.ndarray, b: np.ndarray, vector: int) -> np.ndarray:
    """Last axis of a against the first finite axis of b; a is (S, C, [width,] N, .., k), b (S, C, N, k[, m])."""
    one = b.ndim == LEAD + 2
    right = b[..., None] if one else b
    if vector and a.shape[LEAD + 1] == 1:  # weights against a batch: one product for all inputs
        inputs = right.shape[LEAD]
        left = a[:, :, :, 0]  # (S, C, width, .., k)
        turned = np.moveaxis(right, LEAD, -2)  # (S, C, k, N, m)
        flat = turned.reshape(*turned.shape[:3], -1)
        out = np.matmul(left.reshape(*left.shape[:LEAD], -1, left.shape[-1]), flat)
        out = out.reshape(*out.shape[:LEAD], *left.shape[LEAD:-1], inputs, -1)
        out = np.moveaxis(out, -2, LEAD + 1)
    else:
        middle = a.ndim - LEAD - vector - 2
        if vector:
            right = right[:, :, None]
        if middle == 0:
            out = np.matmul(a[..., None, :], right)[..., 0, :]
        else:
            right = right.reshape(*right.shape[:-2], *(1,) * (middle - 1), *right.shape[-2:])
            out = np.matmul(a, right)
    return out[..., 0] if one else out


# ---------------------------------------------------------------------------------------------
# gradients


def total(
    uses: Sequence[tuple[Use, Sequence[np.ndarray]]], weights: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray | None:
    """n times the gradient of ``sum over inputs of weights * average`` with respect to one array, for every member and output.

    Parameters
    ----------
    uses : sequence of (use, values)
        What `run_stack` found at `use_handles`.
    weights : ndarray (S, C, N)
    shape : tuple
        Of the array as it is drawn, (rows, cols) or (size, members).

    Returns
    -------
    ndarray (S, C, \\*shape), or None if there is no use

    Examples
    --------
    >>> total([], np.ones((1, 1, 2)), (3, 1)) is None
    True
    """
    out: np.ndarray | None = None
    for use, arrays in uses:
        part = _part(use, arrays, weights, shape)
        if out is None:
            out = part
        else:
            out += part
    return out


def _part(use: Use, arrays: Sequence[np.ndarray], weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    s, c, n = weights.shape
    if isinstance(use, VectorUse):
        g = np.broadcast_to(arrays[0], (s, c, shape[0], n, *arrays[0].shape[LEAD + 2 :]))
        if use.index is None:
            return np.asarray(np.einsum("scn,scwnk->scwk", weights, g))
        out = np.zeros((s, c, *shape))
        out[..., use.index] = np.matmul(g, weights[..., None])[..., 0]
        return out
    rows, cols = arrays
    cols = np.moveaxis(cols, LEAD + 1, LEAD) if isinstance(use, InputUse) else cols
    axes = np.broadcast_shapes(rows.shape[LEAD + 2 :], cols.shape[LEAD + 2 :])
    weighed = rows * weights.reshape(s, c, 1, n, *(1,) * (rows.ndim - LEAD - 2))
    left = np.broadcast_to(weighed, (s, c, shape[0], n, *axes)).reshape(s, c, shape[0], -1)
    right = np.broadcast_to(cols, (*cols.shape[:LEAD], shape[1], n, *axes))
    right = right.reshape(*cols.shape[:LEAD], shape[1], -1)
    return np.matmul(left, np.swapaxes(right, -1, -2))
