"""Handles: writing a program is writing NumPy.

`Vector` and `Scalar` speak the NumPy protocols, so ``np.tanh(W @ x)``, ``np.mean(a * b)`` or
``np.where(x > 0, a, b)`` build a graph of instructions, and the same function runs unchanged on real arrays.
A handle is immutable. Shapes follow NumPy: a vector has the shape (width, *finite axes*), and the finite axes
broadcast as trailing axes do. Rejected: axes aligned by name alone, because the same code would then not run on arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from . import catalogue as nl
from .arguments import reals
from .ensembles import Dim, Number, Sweep
from .errors import AxisError, BadParameter, DimensionMismatch, TracedBranch, UnsupportedOperation
from .instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    Init,
    Instruction,
    Parameter,
)
from .nonlinearity import Nonlinearity
from .printing import handle_text
from .quantity import Quantity, given, is_symbolic
from .shapes import Axes, broadcast, indexed

_LOGICAL = ("add", "subtract", "multiply")  # what &, |, ^ and ~ are made of
ADD, SUBTRACT, MULTIPLY, DIVIDE = (Arithmetic(name) for name in ("add", "subtract", "multiply", "divide"))


def _traced(*_: Any, **__: Any) -> Any:
    raise TracedBranch(
        "Python asked for the value of a symbolic vector or scalar (if, while, float(), len(), a loop, np.asarray)",
        remedy="use np.where, np.maximum or rmtp.elementwise; a loop over a fixed number of steps is fine",
    )


class Node(np.lib.mixins.NDArrayOperatorsMixin):
    """What `Vector` and `Scalar` share: an instruction, its arguments, a width and finite axes."""

    __slots__ = ("args", "axes", "dim", "name", "op")
    __array_priority__ = 1000
    _op_priority = 1000.0  # by which sympy lets ``symbol * vector`` be ours

    def __init__(
        self, op: Instruction, args: tuple[Node, ...] = (), dim: Dim | None = None, axes: Axes = (), name: str = ""
    ) -> None:
        self.op, self.args, self.dim, self.axes, self.name = op, args, dim, axes, name

    __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = __complex__ = __contains__ = _traced
    __array__ = _traced
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(hasattr(i, "applied") for i in inputs):  # a matrix expression, which takes it from here
            return NotImplemented
        if method != "__call__" or kwargs:
            raise UnsupportedOperation(
                f"np.{ufunc.__name__}{'.' + method if method != '__call__' else ''} with {sorted(kwargs) or 'a reduction'}",
                remedy="plain calls such as np.tanh(x); averages over the width are np.mean(x)",
            )
        return apply_ufunc(ufunc, inputs)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        handler = ARRAY_FUNCTIONS.get(func)
        if handler is None:
            hint = _ADVICE.get(
                func.__name__, "the docs list the functions of the language; rmtp.elementwise takes any other"
            )
            raise UnsupportedOperation(f"np.{func.__name__} is not an instruction of a tensor program", remedy=hint)
        return handler(*args, **kwargs)

    @property
    def ndim(self) -> int:
        """Number of axes, the width included."""
        return len(self.axes) + (self.dim is not None)

    def named(self, name: str) -> Any:
        """The same handle under another name, for printing and for the names of Z-Dot coefficients."""
        return type(self)(self.op, self.args, self.dim, self.axes, name)

    def mean(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        """``np.mean(self, axis)``; keepdims over finite axes."""
        return _mean(self, axis, keepdims)

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        """``np.sum(self, axis)`` over finite axes."""
        return _sum(self, axis, keepdims)

    def __repr__(self) -> str:
        return handle_text(self)

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        if self.dim is not None:
            if index and index[0] is Ellipsis:
                index = (slice(None), *index)
            if not index or not isinstance(index[0], slice) or index[0] != slice(None):
                raise AxisError(
                    f"{self!r}: the width axis cannot be indexed",
                    remedy="index finite axes only, as in x[:, 0]; the limit describes one generic coordinate",
                )
            index = index[1:]
        axes, static = indexed(repr(self), self.axes, index)
        return type(self)(Combine("index", static), (self,), self.dim, axes)

    def reshape(self, *shape: Any) -> Any:
        """``np.reshape``: of finite axes, the width staying first."""
        return _reshape(self, shape[0] if len(shape) == 1 else shape)

    @property
    def shape(self) -> tuple[Any, ...]:
        """(width, finite axes); the width is a `Dim`."""
        return (() if self.dim is None else (self.dim,)) + tuple(size for _, size in self.axes)


class Vector(Node):
    """A random vector of one width, with optional finite named axes. Build it with `Normal`, `IID`, `constant`.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> y = np.tanh(rmtp.Gaussian(n, n) @ rmtp.Normal(n))
    >>> isinstance(y, rmtp.Vector), y.shape
    (True, (Dim('n'),))
    """

    __slots__ = ()

    def __matmul__(self, other: Any) -> Any:
        if hasattr(other, "applied"):  # a matrix expression, which takes it from here
            return NotImplemented
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        raise UnsupportedOperation(
            f"a {type(other).__name__} times {self!r}",
            remedy="random matrices come from rmtp.Gaussian or rmtp.GOE; constants contract finite axes as in x @ A",
        )


class Scalar(Node):
    """A number that converges to a constant: an average, a parameter, arithmetic on them.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> norm = np.sqrt(np.mean(rmtp.Normal(rmtp.Dim("n"), cov=4) ** 2))
    >>> isinstance(norm, rmtp.Scalar), rmtp.limit(norm).value
    (True, Fraction(2, 1))
    """

    __slots__ = ()

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other)

    @property
    def T(self) -> Scalar:
        """Transposed finite axes."""
        return _transpose(self)


# ---------------------------------------------------------------------------------------------
# coordinatewise functions


def number_like(value: Any) -> bool:
    """A number, or an array of numbers, that may stand in a program."""
    return isinstance(value, int | float | Fraction | Quantity | np.number | np.ndarray | list | tuple | np.bool_)


def as_node(value: Any) -> Node:
    """A handle as it is; a number or an array as a `Parameter`."""
    if isinstance(value, Node):
        return value
    value = given(value)
    if hasattr(value, "applied"):
        raise UnsupportedOperation(
            f"a coordinatewise function of the matrix {value!r}", remedy="act on vectors: np.tanh(W @ x)"
        )
    if not number_like(value):
        raise UnsupportedOperation(
            f"{type(value).__name__} in a program", remedy="numbers, arrays over finite axes, or handles"
        )
    if isinstance(value, list | tuple | np.ndarray) and _check_finite(value).ndim:
        array = np.asarray(value)
        if isinstance(value, Sweep):
            return Scalar(Parameter(array, swept=True))
        return Scalar(Parameter(array), (), None, tuple(("", size) for size in array.shape))
    return Scalar(Parameter(plain(value)))


def plain(value: Any) -> Number:
    """A Python number: integers as Fractions, NumPy scalars unpacked, symbols as they are."""
    value = given(value)
    if is_symbolic(value) and not np.ndim(value):
        return value
    if _check_finite(value).ndim:
        raise BadParameter(f"{value!r} where one number belongs", remedy="give one number")
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    return Fraction(value) if isinstance(value, int | Fraction) else value


def _check_finite(value: Any) -> np.ndarray:
    if is_symbolic(value):
        return np.asarray(value)
    return reals(value, "a number of the program", "give finite real numbers")


def parameter(value: Any) -> Scalar:
    """A number of the program; an array of numbers is a sweep, answered by one call of `limit`.

    Parameters
    ----------
    value : number or array
        Arrays of several parameters broadcast against each other by NumPy's rules.

    Returns
    -------
    Scalar

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = rmtp.Normal(n)
    >>> rmtp.limit(np.mean((rmtp.parameter([1, 2, 3]) * x) ** 2)).value
    array([1., 4., 9.])
    """
    value = given(value)
    if not _check_finite(value).ndim:
        return Scalar(Parameter(plain(value)))
    return Scalar(Parameter(np.asarray(value), swept=True))


def apply(fn: Nonlinearity | Arithmetic, *args: Any) -> Any:
    """One coordinatewise instruction: a vector if any argument is one, else a scalar."""
    nodes = tuple(as_node(a) for a in args)
    dims = {node.dim for node in nodes if node.dim is not None}
    if len(dims) > 1:
        name = fn.name
        raise DimensionMismatch(
            f"{name} of vectors of widths {' and '.join(sorted(d.name for d in dims))}: {', '.join(map(repr, nodes))}",
            remedy="only vectors of one width have joint coordinates; a matrix takes one width to another",
        )
    dim = dims.pop() if dims else None
    return (Vector if dim is not None else Scalar)(Apply(fn), nodes, dim, _broadcast(fn, nodes))


def _broadcast(fn: Any, nodes: tuple[Node, ...]) -> Axes:
    if not any(node.axes for node in nodes):
        return ()
    vectors = [node.axes for node in nodes if node.dim is not None]
    return broadcast(fn.name, vectors, [node.axes for node in nodes if node.dim is None])


def power(base: Any, exponent: Any) -> Any:
    """``base ** exponent``: polynomial for natural exponents, else a nonlinearity."""
    if isinstance(exponent, Node):
        if isinstance(base, Node) or float(base) <= 0:
            raise UnsupportedOperation(
                "a power with a symbolic exponent", remedy="np.exp(y * np.log(x)), or elementwise"
            )
        return apply(nl.EXP, apply(MULTIPLY, exponent, float(np.log(base))))
    exponent = plain(exponent)
    if exponent == int(exponent) and abs(exponent) < 10_000:
        k = int(exponent)
        if k >= 0:
            return apply(Arithmetic("power", k), base)
        positive = base if k == -1 else power(base, -k)
        return apply(DIVIDE, 1, positive) if _scalar(base) else apply(nl.RECIPROCAL, positive)
    return apply(nl.SQRT, base) if exponent == Fraction(1, 2) else apply(nl.power(exponent), base)


def _scalar(x: Any) -> bool:
    return not isinstance(x, Vector)


def divide(a: Any, b: Any) -> Any:
    """a / b; division by a scalar is linear, by a vector it is multiplication by the reciprocal."""
    b = given(b)
    if not isinstance(b, Node) and number_like(b) and np.any(_check_finite(b) == 0):
        raise BadParameter(f"division of {a!r} by {b!r}", remedy="divide by something that is not zero")
    return apply(DIVIDE, a, b) if _scalar(b) else apply(MULTIPLY, a, apply(nl.RECIPROCAL, b))


def maximum(a: Any, b: Any) -> Any:
    """max(a, b) = b + relu(a - b): one kink, on a - b."""
    if _is_nil(a) or _is_nil(b):
        return apply(nl.RELU, a if _is_nil(b) else b)
    return b + apply(nl.RELU, a - b) if isinstance(a, Node) else a + apply(nl.RELU, b - a)


def minimum(a: Any, b: Any) -> Any:
    """min(a, b) = a - relu(a - b)."""
    if _is_nil(a) or _is_nil(b):
        return -apply(nl.RELU, -(a if _is_nil(b) else b))
    return a - apply(nl.RELU, a - b)


def _is_nil(x: Any) -> bool:
    return isinstance(x, int | float | Fraction | np.number) and bool(x == 0)


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """np.clip: one piecewise linear function for numbers, relus for symbolic bounds."""
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    for bound in (low, high):
        if bound is not None:
            as_node(bound)  # or an error
    if low is not None and high is not None and not isinstance(low, Node) and not isinstance(high, Node):
        if np.ndim(low) == 0 and np.ndim(high) == 0 and low <= high:
            return apply(nl.clip(plain(low), plain(high)), x)
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """np.where: the branch not taken is never looked at."""
    if a is None or b is None:
        raise UnsupportedOperation("np.where with one argument", remedy="np.where(condition, a, b)")
    return apply(nl.WHERE3, _truth(condition, "np.where"), a, b)


def _is_truth(node: Any) -> bool:
    """A comparison, or comparisons joined by &, |, ~, known by how they were made."""
    stack = [node]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node):
            if not np.all(np.isin(node, (0, 1))):
                return False
        elif isinstance(node.op, Combine):
            stack.extend(node.args)
        elif isinstance(node.op, Parameter):
            if not np.all(np.isin(np.asarray(node.op.value, dtype=float), (0, 1))):
                return False
        elif isinstance(node.op, Apply) and node.op.fn.name in _LOGICAL:
            stack.extend(node.args)
        elif not (isinstance(node.op, Apply) and node.op.fn in (nl.STEP, nl.STEP_CLOSED)):
            return False
    return True


def _truth(node: Any, what: str) -> Any:
    if not _is_truth(node):
        raise UnsupportedOperation(
            f"{what} of {node!r}, which is not a comparison", remedy="write the comparison out, as in x > 0"
        )
    return node


def _logical(what: str, combine: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *operands: combine(*(_truth(x, what) for x in operands))


def _heaviside(x: Any, at_zero: Any) -> Any:
    if isinstance(at_zero, Node):
        raise UnsupportedOperation("np.heaviside with a symbolic value at 0", remedy="give a number")
    return apply(nl.heaviside(plain(at_zero)), x)


def apply_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """The instruction for a NumPy or scipy.special ufunc."""
    handler = ARITHMETIC.get(ufunc.__name__)
    if handler is not None:
        return handler(*inputs)
    fn = nl.from_ufunc(ufunc)
    if fn is None:
        raise UnsupportedOperation(
            f"{ufunc.__name__} is not in the catalogue of nonlinearities",
            remedy=f"rmtp.elementwise({ufunc.__name__}, derivative=..., kinks=(...)) takes any coordinatewise function",
        )
    return apply(fn, *inputs)


# ---------------------------------------------------------------------------------------------
# averages and finite axes


def _axis(x: Node, axis: int) -> int:
    if not isinstance(axis, int) or not -x.ndim <= axis < x.ndim:
        raise AxisError(f"{x!r} has no axis {axis!r}", remedy=f"its axes are numbered 0..{x.ndim - 1}, the width first")
    return axis % x.ndim


def _mean(x: Node, axis: int | None = None, keepdims: bool = False, **kwargs: Any) -> Any:
    if kwargs:
        raise UnsupportedOperation(f"np.mean with {sorted(kwargs)}", remedy="np.mean(x) or np.mean(x, axis=k)")
    if keepdims:
        return _kept(_mean, x, axis)
    if axis is None:
        if x.dim is not None and x.axes:
            return _mean(_mean(x, 0))
        axis = 0 if x.dim is not None else -1
        if x.dim is None:
            for _ in x.axes:
                x = _mean(x, 0)
            return x
    position = _axis(x, axis)
    if x.dim is not None and position == 0:
        return Scalar(Average(), (x,), None, x.axes)
    total = _sum(x, position)
    return total / x.axes[position - (x.dim is not None)][1]


def _kept(reduced: Callable[..., Any], x: Node, axis: int | None) -> Any:
    """A reduction over finite axes that keeps them with length one."""
    if _over_width(x, axis):
        raise UnsupportedOperation(
            f"keepdims over the width of {x!r}",
            remedy="leave it out: a scalar meets a vector at every coordinate, finite axis by finite axis",
        )
    made = reduced(x, axis)
    if axis is not None:
        return _expand(made, axis)
    return made[(None,) * len(x.axes)] if x.axes else made


def _over_width(x: Node, axis: int | None) -> bool:
    return x.dim is not None and (axis is None or _axis(x, axis) == 0)


def _sum(x: Node, axis: int | None = None, keepdims: bool = False, **kwargs: Any) -> Any:
    if kwargs:
        raise UnsupportedOperation(f"np.sum with {sorted(kwargs)}", remedy="np.sum(x, axis=k) over a finite axis")
    if _over_width(x, axis):
        raise UnsupportedOperation(
            f"a sum of {x!r} over its width grows with the width", remedy="np.mean(x), times a number if you need one"
        )
    if keepdims:
        return _kept(_sum, x, axis)
    if axis is None:
        for _ in x.axes:
            x = _sum(x, 0)
        return x
    at = _axis(x, axis) - (x.dim is not None)
    return type(x)(Combine("sum", (at,)), (x,), x.dim, x.axes[:at] + x.axes[at + 1 :])


def _matmul(a: Any, b: Any) -> Any:
    a, b = as_node(a), as_node(b)
    if b.dim is not None:
        advice = "np.mean(x * y) is the average; x @ y would grow with the width"
        raise UnsupportedOperation(f"{a!r} @ {b!r}", remedy=advice)
    if not a.axes or not 1 <= len(b.axes) <= 2 or a.axes[-1][1] != b.axes[0][1]:
        raise AxisError(
            f"{a!r} @ array of shape {tuple(s for _, s in b.axes)}: no finite axis to contract",
            remedy="x @ A contracts the last finite axis of x with the first of A; average over the width by np.mean(x * y)",
        )
    return type(a)(Combine("matmul"), (a, b), a.dim, a.axes[:-1] + b.axes[1:])


def _transpose(x: Node, axes: Any = None) -> Any:
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(_axis(x, int(k)) for k in axes)
    if x.dim is not None and order[0] != 0:
        raise AxisError(f"transposing the width of {x!r}", remedy="the width stays the first axis")
    shift = int(x.dim is not None)
    finite = tuple(k - shift for k in order[shift:])
    return type(x)(Combine("transpose", finite), (x,), x.dim, tuple(x.axes[k] for k in finite))


def _reshape(x: Node, shape: Any, **kwargs: Any) -> Any:
    if kwargs:
        raise UnsupportedOperation(f"np.reshape with {sorted(kwargs)}", remedy="np.reshape(x, shape)")
    wanted = list(shape) if isinstance(shape, list | tuple) else [shape]
    if x.dim is not None:
        if not wanted or wanted[0] != x.dim:
            raise AxisError(
                f"reshaping {x!r} to {tuple(wanted)}", remedy="the width stays first: np.reshape(x, (x.dim, ...))"
            )
        wanted = wanted[1:]
    sizes = [size for _, size in x.axes]
    try:
        new = np.empty(sizes, dtype=np.int8).reshape(wanted).shape
    except (ValueError, TypeError):
        raise AxisError(f"reshaping finite axes {sizes} to {wanted}", remedy="the same number of entries") from None
    return type(x)(Combine("reshape", (new,)), (x,), x.dim, tuple(("", size) for size in new))


def _stack(arrays: Any, axis: int = 0, name: str = "") -> Any:
    nodes = [as_node(a) for a in arrays]
    vectors = [node for node in nodes if node.dim is not None]
    if vectors and len(vectors) != len(nodes):
        raise AxisError("np.stack of vectors and scalars", remedy="stack vectors with vectors")
    if len({(node.dim, tuple(s for _, s in node.axes)) for node in nodes}) != 1:
        raise AxisError(f"np.stack of shapes {[node.shape for node in nodes]}", remedy="stack equal shapes")
    first = nodes[0]
    position = axis % (first.ndim + 1)
    if first.dim is not None and position == 0:
        raise AxisError("np.stack along axis 0 would move the width", remedy="np.stack(vectors, axis=1)")
    at = position - (first.dim is not None)
    axes = (*first.axes[:at], (name, len(nodes)), *first.axes[at:])
    return type(first)(Combine("stack", (at,)), tuple(nodes), first.dim, axes)


def _variance(x: Node, axis: int | None = None, keepdims: bool = False, **kwargs: Any) -> Any:
    if kwargs:
        raise UnsupportedOperation(f"np.var with {sorted(kwargs)}", remedy="np.var(x) or np.var(x, axis=k)")
    centre = _mean(x, axis, keepdims=not _over_width(x, axis))
    return _mean((x - centre) ** 2, axis, keepdims)


def _expand(x: Node, axis: int) -> Any:
    index: list[Any] = [slice(None)] * x.ndim
    index.insert(axis % (x.ndim + 1), None)
    return x[tuple(index)]


def _like(value: Any) -> Callable[..., Any]:
    def make(x: Node, *fill: Any, **_: Any) -> Any:
        number = fill[0] if fill else value
        if x.dim is None:
            return as_node(number)
        return Vector(Init(ConstantSource(x.dim, plain(number))), (), x.dim) if not x.axes else x * 0 + number

    return make


# comparisons give the 0/1 vector; <= and >= differ from < and > only on exact ties
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: apply(ADD, a, b),
    "subtract": lambda a, b: apply(SUBTRACT, a, b),
    "multiply": lambda a, b: apply(MULTIPLY, a, b),
    "divide": divide,
    "true_divide": divide,
    "negative": lambda a: apply(MULTIPLY, -1, a),
    "positive": lambda a: a,
    "conjugate": lambda a: a,
    "square": lambda a: power(a, 2),
    "reciprocal": lambda a: divide(1, a),
    "power": power,
    "float_power": power,
    "maximum": maximum,
    "minimum": minimum,
    "fmax": maximum,
    "fmin": minimum,
    "clip": clip,
    "heaviside": _heaviside,
    "greater": lambda a, b: apply(nl.STEP, apply(SUBTRACT, a, b)),
    "less": lambda a, b: apply(nl.STEP, apply(SUBTRACT, b, a)),
    "greater_equal": lambda a, b: apply(nl.STEP_CLOSED, apply(SUBTRACT, a, b)),
    "less_equal": lambda a, b: apply(nl.STEP_CLOSED, apply(SUBTRACT, b, a)),
    "logical_and": _logical("&", lambda a, b: a * b),
    "bitwise_and": _logical("&", lambda a, b: a * b),
    "logical_or": _logical("|", lambda a, b: a + b - a * b),
    "bitwise_or": _logical("|", lambda a, b: a + b - a * b),
    "logical_xor": _logical("^", lambda a, b: a + b - 2 * (a * b)),
    "bitwise_xor": _logical("^", lambda a, b: a + b - 2 * (a * b)),
    "logical_not": _logical("~", lambda a: 1 - a),
    "invert": _logical("~", lambda a: 1 - a),
    "matmul": _matmul,
}


ARRAY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.mean: _mean,
    np.sum: _sum,
    np.where: where,
    np.clip: clip,
    np.var: _variance,
    np.std: lambda x, *a, **k: apply(nl.SQRT, _variance(x, *a, **k)),
    np.stack: _stack,
    np.transpose: _transpose,
    np.reshape: _reshape,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.full_like: _like(None),
    np.real: lambda x: x,
}

_ADVICE = {
    "dot": "np.mean(x * y): a sum over the width would grow with it",
    "vdot": "np.mean(x * y): a sum over the width would grow with it",
    "inner": "np.mean(x * y): a sum over the width would grow with it",
    "norm": "np.sqrt(np.mean(x ** 2))",
    "median": "averages only; quantiles of one coordinate come from samples, rmtp.limit(x).rvs(size)",
    "max": "the maximum over the width has no limit of this kind",
    "sort": "the order of the coordinates has no meaning in the limit",
    "concatenate": "np.stack along a finite axis",
}
