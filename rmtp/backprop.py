"""Backpropagation: a program in, the program of its gradient out.

``W x`` gives ``W.T dh``, ``phi(h)`` gives ``phi'(h) * dh``, an average spreads its gradient over the width. The result is
made of the same instructions, so the master theorem needs no rule for gradients.

Normalisation: the gradient of a vector is ``dx = n * d theta / d x``, that of a scalar ``d theta / d c``, where theta is the
average that is differentiated and n the base width; all have limits. For a readout ``f = sqrt(n) * theta`` (random weights)
that is ``dx = sqrt(n) * df/dx`` (TP II, 2006.14548, Equation 12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from . import catalogue as nl
from .errors import BadParameter, UnsupportedOperation
from .handles import ADD, MULTIPLY, Node, Scalar, Vector, apply, divide, power
from .instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    IIDSource,
    Init,
    Input,
    InputMatrix,
    MatVec,
    NormalGroup,
    Parameter,
    RandomMatrix,
    Solve,
)
from .matrices import Matrix
from .nonlinearity import Nonlinearity
from .program import Program, lower


@dataclass(frozen=True, eq=False)
class MatrixUse:
    """One use of a matrix: its term of the gradient is ``rows cols.T / n``, one of the two being a gradient.

    ``W x`` gives (dh, x), ``W.T y`` gives (y, dh).
    """

    matrix: RandomMatrix
    rows: Vector
    cols: Vector


@dataclass(frozen=True, eq=False)
class InputUse:
    """One use of an `InputMatrix` U in ``U @ x``: the gradient ``dh x.T``."""

    matrix: InputMatrix
    rows: Vector
    x: Scalar


@dataclass(frozen=True, eq=False)
class VectorUse:
    """The whole gradient of one initial vector."""

    source: NormalGroup | IIDSource | ConstantSource
    index: int | None
    gradient: Vector


Use = MatrixUse | InputUse | VectorUse


def use_handles(use: Use) -> tuple[Any, ...]:
    """The handles whose values make the gradient of one use of a parameter.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> v, h = rmtp.Normal(rmtp.Dim("n"), name="v"), rmtp.Normal(rmtp.Dim("n"), name="h")
    >>> [use_handles(use) for use in rmtp.backprop(np.mean(v * h)).uses]
    [(v,), (h,)]
    """
    match use:
        case MatrixUse(rows=rows, cols=cols):
            return rows, cols
        case InputUse(rows=rows, x=x):
            return rows, x
        case VectorUse(gradient=gradient):
            return (gradient,)


def use_source(use: Use) -> Any:
    """The parameter that is used."""
    return use.source if isinstance(use, VectorUse) else use.matrix


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of an average, by handle and by parameter. Printing it prints the gradient program.

    Attributes
    ----------
    output : Scalar
        What was differentiated.
    uses : tuple of MatrixUse, InputUse, VectorUse
        One per use of a parameter, last used first.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> v, x = rmtp.Normal(rmtp.Dim("n"), cov=[[1, 0], [0, 1]], name=("v", "x"))
    >>> rmtp.backprop(np.mean(v * np.tanh(x))).of(x)
    (tanh'(x)*v)
    """

    output: Scalar
    uses: tuple[Use, ...]
    _by_id: dict[int, Node]

    def of(self, handle: Node) -> Node | None:
        """``n * d theta / d handle`` of a vector, ``d theta / d handle`` of a scalar; None if theta does not depend on it."""
        return self._by_id.get(id(handle))

    def program(self) -> Program:
        """Forward and backward lines together, every gradient that belongs to a parameter among the outputs."""
        return lower([self.output, *(handle for use in self.uses for handle in use_handles(use))])

    def __str__(self) -> str:
        return str(self.program())


def backprop(output: Scalar) -> Gradient:
    """The gradient program of an average.

    Law: with theta the average, dx = n d theta / dx; ``W x`` gives ``W.T dh``, ``phi(h)`` gives ``phi'(h) dh``.

    Parameters
    ----------
    output : Scalar
        Without finite axes: ``np.mean(v * x)``, or any function of averages.

    Returns
    -------
    Gradient
        ``.of(handle)``, ``.uses`` per parameter, ``print`` for the program.

    Raises
    ------
    UnsupportedOperation
        Where a function's derivative is not known, or the output is a vector.

    Notes
    -----
    Exact: a rewriting, no number is computed. The derivative of a jump is taken as 0, as automatic differentiation does.
    TP II (2006.14548), section 5 and Appendix B.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x, v = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x"), rmtp.Normal(n, name="v")
    >>> h = (W @ x).named("h")
    >>> print(rmtp.backprop(np.mean(v * np.tanh(h))))
    program over n
       1  v = N(0, 1)  : n
       2  x = N(0, 1)  : n
       3  h = W @ x  : n
       4  v4 = tanh(h)  : n
       5  c5 = mean(v*v4)
       6  v6 = tanh'(h)*v  : n
       7  v7 = W.T @ v6  : n
    """
    if not isinstance(output, Scalar) or output.axes:
        raise UnsupportedOperation(
            f"the gradient of {output!r}", remedy="differentiate one average, such as np.mean(v * x)"
        )
    order = ancestors(output)
    moving = _moving(order)
    gradients: dict[int, Node] = {id(output): Scalar(Parameter(1))}
    uses: list[Use] = []
    for node in reversed(order):
        g = gradients.get(id(node))
        if g is None:
            continue
        if isinstance(node.op, Init):
            uses.append(VectorUse(node.op.source, node.op.index, g))  # type: ignore[arg-type]
            continue
        if isinstance(node.op, MatVec):
            op = node.op
            x = node.args[0]
            uses.append(MatrixUse(op.matrix, x, g) if op.transposed else MatrixUse(op.matrix, g, x))  # type: ignore[arg-type]
        matrix = input_matrix(node)
        if matrix is not None:
            uses.append(InputUse(matrix, g, node.args[1]))  # type: ignore[arg-type]
            continue
        for k, arg in enumerate(node.args):
            if id(arg) in moving:
                part = _pulled(node, k, g)
                if part is not None:
                    old = gradients.get(id(arg))
                    gradients[id(arg)] = part if old is None else apply(ADD, old, part)
    uses = [u for u in uses if not (isinstance(u, VectorUse) and isinstance(u.source, ConstantSource))]
    return Gradient(output, tuple(uses), gradients)


def input_matrix(node: Node) -> InputMatrix | None:
    """U, if the node is ``U @ x`` with an `InputMatrix` and an array that does not depend on the parameters."""
    if not (isinstance(node.op, Combine) and node.op.kind == "matmul" and isinstance(node.args[0].op, Init)):
        return None
    source = node.args[0].op.source
    if isinstance(source, InputMatrix) and node.args[0].op.index is None:
        return source if all(isinstance(a.op, Parameter | Input | Combine) for a in ancestors(node.args[1])) else None
    return None


def ancestors(root: Node) -> list[Node]:
    """Everything beneath a handle, itself included, arguments first; without recursion."""
    done: dict[int, Node] = {}
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done[id(node)] = node
            continue
        stack.append((node, True))
        stack.extend((a, False) for a in reversed(node.args) if id(a) not in done)
    return list(done.values())


def _moving(order: Sequence[Node]) -> set[int]:
    """The handles that depend on a parameter of the network."""
    out: set[int] = set()
    for node in order:
        random = isinstance(node.op, Init) and not isinstance(node.op.source, ConstantSource)
        if random or isinstance(node.op, MatVec) or any(id(a) in out for a in node.args):
            out.add(id(node))
    return out


def _pulled(node: Node, k: int, g: Node) -> Node | None:
    """The gradient that reaches argument k from the gradient g of the node."""
    arg = node.args[k]
    match node.op:
        case MatVec(matrix=matrix, transposed=transposed):
            return Matrix(matrix, not transposed) @ g
        case Average():
            assert arg.dim is not None
            ones: Any = Vector(Init(ConstantSource(arg.dim, 1)), (), arg.dim)
            ones = ones[(slice(None), *[None] * len(arg.axes))] if arg.axes else ones
            share = g if arg.dim.ratio == 1 else divide(g, arg.dim.ratio)
            return ones if _is_one(share) and not arg.axes else apply(MULTIPLY, ones, share)
        case Apply(fn=Arithmetic() as fn):
            return _reduced(_arithmetic(fn, node, k, g), arg)
        case Apply(fn=Nonlinearity() as fn):
            slope = _slope(fn, k, node)
            return None if slope is None else _reduced(_product(slope, g), arg)
        case Combine(kind=kind, detail=detail):
            return _combined(kind, detail, node, k, g)
        case Solve():
            raise UnsupportedOperation(
                f"the gradient through {node!r}", remedy="unroll the equation into a fixed number of steps"
            )
    raise AssertionError(node.op)


def sensitivities(x: Vector, stops: Mapping[int, Sequence[tuple[Node, Node]]]) -> dict[int, Node]:
    """dx / du for some products u, coordinate by coordinate, scalars held at their limits.

    Parameters
    ----------
    x : Vector
    stops : mapping
        By id of a product u: what it holds besides its Gaussian part, as pairs (coefficient, vector); the derivative is the
        one with respect to the Gaussian part.

    Returns
    -------
    dict of id -> Node
        Of the products that x depends on.

    Raises
    ------
    UnsupportedOperation
        Where a derivative is not known, or is carried by jumps.
    """
    found: dict[int, Node] = {}
    gradients: dict[int, Node] = {id(x): Scalar(Parameter(Fraction(1)))}
    extra = {u: [v for _, v in held] for u, held in stops.items()}
    order = _ordered(x, extra)
    reaching = set(stops)  # only what depends on a product is differentiated: labels and batches may jump
    for node in order:
        beneath = extra[id(node)] if id(node) in extra else () if isinstance(node.op, MatVec) else node.args
        if any(id(a) in reaching for a in beneath):
            reaching.add(id(node))
    for node in reversed(order):
        g = gradients.get(id(node))
        if g is None or id(node) not in reaching:
            continue
        if id(node) in stops:
            found[id(node)] = g
            parts = [(v, apply(MULTIPLY, c, g)) for c, v in stops[id(node)]]
        elif isinstance(node.op, MatVec):
            continue
        else:
            if isinstance(node.op, Apply) and isinstance(node.op.fn, Nonlinearity) and node.op.fn.jumps:
                raise UnsupportedOperation(
                    f"{node.op.fn.name} jumps: its derivative is an average over a density",
                    where=repr(node),
                    remedy="a function without jumps, or an Onsager term of your own in Stein's form mean(u x) / mean(u**2)",
                )
            parts = [(a, _pulled(node, k, g)) for k, a in enumerate(node.args) if a.dim is not None]
        for arg, part in parts:
            if part is not None:
                old = gradients.get(id(arg))
                gradients[id(arg)] = part if old is None else apply(ADD, old, part)
    return found


def _ordered(root: Node, extra: Mapping[int, Sequence[Node]]) -> list[Node]:
    """`ancestors` over vectors, where products hold further vectors instead of what they multiply."""
    done: dict[int, Node] = {}
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done[id(node)] = node
            continue
        stack.append((node, True))
        beneath = extra[id(node)] if id(node) in extra else () if isinstance(node.op, MatVec) else node.args
        stack.extend((a, False) for a in beneath if a.dim is not None and id(a) not in done)
    return list(done.values())


def _is_one(x: Node) -> bool:
    return isinstance(x.op, Parameter) and not isinstance(x.op.value, np.ndarray) and x.op.value == 1


def _product(a: Node, g: Node) -> Node:
    """a * g, without the 1 that the output starts with, or the vector of ones that an average sends back."""
    if _is_one(g):
        return a
    if isinstance(g.op, Init) and isinstance(g.op.source, ConstantSource) and g.op.source.value == 1 and not g.axes:
        return a if a.dim is not None else apply(MULTIPLY, a, g)
    return apply(MULTIPLY, a, g)


def _arithmetic(fn: Arithmetic, node: Node, k: int, g: Node) -> Node:
    a = node.args
    match fn.name:
        case "add":
            return g
        case "subtract":
            return g if k == 0 else apply(MULTIPLY, -1, g)
        case "multiply":
            return _product(a[1 - k], g)
        case "divide":
            if k == 0:
                return divide(g, a[1])
            return apply(MULTIPLY, -1, divide(apply(MULTIPLY, g, a[0]), power(a[1], 2)))
        case "power":
            slope = apply(MULTIPLY, fn.exponent, power(a[0], fn.exponent - 1)) if fn.exponent != 2 else 2 * a[0]
            return apply(MULTIPLY, slope, g)
    raise AssertionError(fn)


def _slope(fn: Nonlinearity, k: int, node: Node) -> Node | None:
    """The k-th partial derivative at the arguments; None where it vanishes almost everywhere."""
    if fn.pieces is not None and all(len(row) <= 1 for row in fn.pieces.polys):
        return None
    if fn.name == nl.WHERE3.name and k == 0:
        return None
    partial = None if fn.partials is None else fn.partials()[k]
    if partial is None:
        raise UnsupportedOperation(
            f"the derivative of {fn.name} is not known", where=repr(node), remedy="rmtp.elementwise(f, derivative=...)"
        )
    if partial.pieces is not None and not partial.pieces.breaks and len(partial.pieces.polys[0]) == 1:
        value = partial.pieces.polys[0][0]
        return None if value == 0 else Scalar(Parameter(value))
    return apply(partial, *node.args)


def _reduced(g: Node, arg: Node) -> Node:
    """What an argument that was broadcast receives: sums over the axes it was spread along, an average over the width."""
    while len(g.axes) > len(arg.axes):
        g = g.sum(axis=int(g.dim is not None))
    for j, (have, want) in enumerate(zip(g.axes, arg.axes, strict=True)):
        if have[1] != want[1]:
            axis = j + (g.dim is not None)
            index: list[Any] = [slice(None)] * (g.ndim - 1)
            index.insert(axis, None)
            g = g.sum(axis=axis)[tuple(index)]
    if arg.dim is None and g.dim is not None:
        total = g.mean(axis=0)
        return total if g.dim.ratio == 1 else apply(MULTIPLY, total, g.dim.ratio)
    return g


def _combined(kind: str, detail: tuple[Any, ...], node: Node, k: int, g: Node) -> Node | None:
    """Transposes of the linear maps on finite axes."""
    arg = node.args[k]
    shift = int(node.dim is not None)
    shape = tuple(size for _, size in arg.axes)
    match kind:
        case "index":
            return type(arg)(Combine("scatter", (detail, shape)), (g,), arg.dim, arg.axes)
        case "scatter":
            index = tuple(slice(*d) if isinstance(d, tuple) else d for d in detail[0])
            return g[(slice(None),) * shift + index]
        case "sum":
            (at,) = detail
            place: list[Any] = [slice(None)] * g.ndim
            place.insert(at + shift, None)
            ones = np.ones([shape[j] if j == at else 1 for j in range(len(shape))], dtype=int)
            return apply(MULTIPLY, g[tuple(place)], ones)
        case "transpose":
            back = np.argsort(detail)
            turned: Any = np.transpose(g, (*range(shift), *(int(b) + shift for b in back)))
            return turned
        case "reshape":
            return type(arg)(Combine("reshape", (shape,)), (g,), arg.dim, arg.axes)
        case "stack":
            pick: list[Any] = [slice(None)] * g.ndim
            pick[detail[0] + shift] = k
            return g[tuple(pick)]
        case "matmul":
            return _matmul_pulled(node, k, g)
    raise AssertionError(kind)


def _matmul_pulled(node: Node, k: int, g: Node) -> Node:
    a, b = node.args
    if k == 0:
        if len(b.axes) == 2:
            return g @ np.transpose(b)
        return apply(MULTIPLY, g[(..., None)] if g.dim is None else g[(slice(None), ..., None)], b)
    shift = int(a.dim is not None)
    every = (slice(None),) * shift
    left = a[(*every, ..., None)] if len(b.axes) == 2 else a
    right = g[(*every, ..., None, slice(None))] if len(b.axes) == 2 else g[(*every, ..., None)]
    out = apply(MULTIPLY, left, right)
    while len(out.axes) > len(b.axes):
        out = out.sum(axis=shift)
    if out.dim is None:
        return out
    total = out.mean(axis=0)
    return total if out.dim.ratio == 1 else apply(MULTIPLY, total, out.dim.ratio)


def check_average(output: Any) -> Vector:
    """The vector y of an output ``np.mean(y)``.

    Raises
    ------
    BadParameter
        If the output is anything else.
    """
    if not (isinstance(output, Scalar) and isinstance(output.op, Average)) or output.axes:
        raise BadParameter(
            f"the output {output!r} of a network",
            remedy="end with rmtp.readout(h), or np.mean(h) for a mean-pool readout",
        )
    return output.args[0]  # type: ignore[return-value]


def derivative(y: Any, x: Vector) -> Any:
    """dy/dx, coordinate by coordinate, of ``y = phi(x)``; what lies beneath x is not looked at.

    Returns
    -------
    Vector or Scalar
        A number where the derivative is constant.

    Raises
    ------
    UnsupportedOperation
        If y is no coordinatewise function of x alone, or its derivative is not known.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> h = rmtp.Gaussian(n, n, name="W") @ rmtp.Normal(n, name="x")
    >>> round(float(rmtp.limit(np.mean(derivative(np.sin(h), h)))), 8)         # E cos h
    0.60653066
    """
    order = _between(y, x)
    beneath = {id(x)}
    for node in order:
        if any(id(a) in beneath for a in node.args):
            beneath.add(id(node))
    one = Scalar(Parameter(1))
    gradients: dict[int, Node] = {id(y): one}
    for node in reversed(order):
        g = gradients.get(id(node))
        if g is None or node is x:
            continue
        if not isinstance(node.op, Apply):
            raise UnsupportedOperation(f"the derivative of {y!r} by {x!r}", remedy="a coordinatewise function of it")
        for k, arg in enumerate(node.args):
            part = _pulled(node, k, g) if id(arg) in beneath else None
            if part is not None:
                old = gradients.get(id(arg))
                gradients[id(arg)] = part if old is None else apply(ADD, old, part)
    return gradients.get(id(x), Scalar(Parameter(0)))


def _between(y: Node, x: Node) -> list[Node]:
    """y and what it is made of, down to x, arguments first."""
    done: dict[int, Node] = {}
    stack = [(y, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready or node is x:
            done[id(node)] = node
            continue
        stack.append((node, True))
        stack.extend((a, False) for a in node.args)
    return list(done.values())
