"""The program of a network on real arrays, a whole batch of inputs at a time.

`sample` runs a program once; here every value has one more axis, the inputs, behind the width and before the finite axes:
(width, inputs, \\*axes) for vectors, (inputs, \\*axes) for scalars. What does not depend on the input has one entry there and
broadcasts, so that parameters are stored once and a matrix meets all inputs in one product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import RmtpError, UnsupportedOperation
from ..instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    FreshSource,
    Init,
    Input,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
)
from ..nonlinearity import Nonlinearity
from ..program import Program
from ..sample import ARITHMETIC, broadcast_result, combine_arrays, lifetimes


def run_batch(program: Program, width: int, drawn: Mapping[int, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """The outputs of a network's program for a batch of inputs.

    Parameters
    ----------
    program : Program
    width : int
        The base width n.
    drawn : mapping
        The arrays of the initial vectors and matrices, by id of their source, as `rmtp.sample.draw` makes them; of sources
        that are drawn anew for every input, (size, N, members).
    x : ndarray (N, \\*shape of one input)

    Returns
    -------
    list of ndarray
        Vectors (size, N, \\*axes), scalars (N, \\*axes); 1 instead of N for what does not depend on the input.

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
    >>> run_batch(program, 4, {id(constant): np.full(4, 2.0)}, np.ones((5, 3)))
    [array([6., 6., 6., 6., 6.])]
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
        except Exception as error:  # a user's function that does not take arrays
            error.add_note(f"at   {program.where(number)}")
            raise
        for old in dead[number] - outputs:
            del values[old]
    return [values[number] for number in program.outputs]


def bytes_per_input(program: Program, width: int) -> int:
    """The largest number of bytes that live at one time during `run_batch`, for each input of the batch.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from rmtp.networks.network import trace
    >>> traced = trace(lambda x: np.mean(rmtp.constant(rmtp.Dim("n"), 2) * np.sum(x)), (3,))
    >>> bytes_per_input(rmtp.program(traced.output.average), 100)     # the product, the sum and the average
    808
    """
    sizes: list[int] = []
    for line in program.lines:
        fresh = isinstance(line.op, Init) and isinstance(line.op.source, FreshSource)
        depends = fresh or isinstance(line.op, Input) or any(sizes[a] for a in line.args)
        entries = int(np.prod([size for _, size in line.axes])) * (1 if line.dim is None else line.dim.size(width))
        sizes.append(8 * entries if depends else 0)
    outputs = set(program.outputs)
    live = most = 0
    for size, dead in zip(sizes, lifetimes(program)[0], strict=True):
        live += size
        most = max(most, live)
        live -= sum(sizes[old] for old in dead - outputs)
    return most


def _value(line: Line, parents: Sequence[Line], args: Sequence[Any], drawn: Mapping[int, np.ndarray], x: Any) -> Any:
    """One instruction on arrays with a batch axis."""
    vector = int(line.dim is not None)
    match line.op:
        case Init(source=NormalGroup() as group, index=index):
            array = drawn[id(group)]
            return array[:, None] if index is None else array[:, index][:, None]
        case Init(source=FreshSource() as source):
            return drawn[id(source)]
        case Init(source=source):
            return drawn[id(source)][:, None]
        case MatVec(matrix=matrix, transposed=transposed):
            array = drawn[id(matrix)]
            return np.tensordot(array.T if transposed else array, args[0], axes=1)
        case Apply(fn=fn):
            aligned = [_aligned(a, p, len(line.axes)) for a, p in zip(args, parents, strict=True)]
            return applied(fn, aligned)
        case Average():
            return np.mean(args[0], axis=0)
        case Parameter(value=value):
            return np.asarray(value, dtype=float)[None]
        case Input():
            return x
        case Combine(kind="matmul"):
            return _matmul(args[0], args[1], vector)
        case Combine(kind="stack", detail=detail):
            inputs = max(a.shape[vector] for a in args)
            same = [np.broadcast_to(a, (*a.shape[:vector], inputs, *a.shape[vector + 1 :])) for a in args]
            return combine_arrays("stack", detail, same, vector + 1)
        case Combine(kind=kind, detail=detail):
            return combine_arrays(kind, detail, args, vector + 1)
    raise UnsupportedOperation(
        f"{type(line.op).__name__} in a network", remedy="unroll it into a fixed number of steps"
    )


def _aligned(array: np.ndarray, line: Line, rank: int) -> np.ndarray:
    """With axes of length 1 between the batch and the axes of a scalar: NumPy would align the batch with a finite axis."""
    missing = rank - len(line.axes)
    if not missing:
        return array
    at = 1 if line.dim is None else 2
    return array.reshape(*array.shape[:at], *(1,) * missing, *array.shape[at:])


def applied(fn: Nonlinearity | Arithmetic, args: Sequence[np.ndarray]) -> Any:
    """A function of arrays that broadcast."""
    match fn:
        case Arithmetic(name="power", exponent=exponent):
            return args[0] ** exponent
        case Arithmetic(name=name):
            return ARITHMETIC[name](*args)
    shape = np.broadcast_shapes(*(a.shape for a in args))
    return broadcast_result(fn.name, fn.fn(*args), shape)  # a user's function may forget its argument


def _matmul(a: np.ndarray, b: np.ndarray, vector: int) -> np.ndarray:
    """Last axis of a against the first finite axis of b; a is (width, inputs, .., k) or (inputs, .., k), b (inputs, k[, m])."""
    if b.shape[0] == 1:
        return np.matmul(a, b[0])
    if a.shape[vector] == 1:  # weights against a batch: one product for all inputs
        alone = a[:, 0] if vector else a[0]
        return np.moveaxis(np.tensordot(alone, b, axes=(-1, 1)), alone.ndim - 1, vector)
    first = np.moveaxis(a, vector, 0)
    right = b if b.ndim == 3 else b[:, :, None]
    out = np.matmul(first.reshape(len(first), -1, first.shape[-1]), right)
    out = out.reshape(*first.shape[:-1], *((b.shape[2],) if b.ndim == 3 else ()))
    return np.moveaxis(out, 0, vector)
