"""Coordinatewise functions as frozen data.

A `Nonlinearity` is everything the engine may know about one function: its values on arrays, its
partial derivatives, where it is not smooth, whether it is piecewise polynomial, which closed-form
family it belongs to, its mpmath counterpart, how it is printed. Nothing here is an expectation; the functions
themselves are in `catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .errors import BadParameter, RmtpError, UnsupportedOperation

Number = int | Fraction | float


@dataclass(frozen=True)
class Pieces:
    """A piecewise polynomial: ``polys[i]`` holds between ``breaks[i-1]`` and ``breaks[i]``.

    Parameters
    ----------
    breaks : tuple of numbers
        Strictly increasing. Values exactly at a break are not recorded.
    polys : tuple of tuples of numbers
        ``len(breaks) + 1`` rows of coefficients, lowest degree first.

    Examples
    --------
    >>> from rmtp.catalogue import RELU
    >>> RELU.pieces
    Pieces(breaks=(0,), polys=((0,), (0, 1)))
    """

    breaks: tuple[Number, ...]
    polys: tuple[tuple[Number, ...], ...]


@dataclass(frozen=True)
class Outcomes:
    """The whole numbers that a function of (..., u) takes for a uniform u, as a law given its other arguments.

    A function that draws a count is a staircase in u, which no quadrature follows; its conditional law can be summed.

    Parameters
    ----------
    window : callable
        ``window(*others)``: the first and the last number that matter.
    mass : callable
        ``mass(k, *others)``: the probability of k.

    Raises
    ------
    BadParameter
        If one is not callable.

    Examples
    --------
    >>> coin = Outcomes(lambda z: (0 * z, 0 * z + 1), lambda k, z: np.where(k == 1, z, 1 - z))
    >>> [float(coin.mass(k, np.array(0.25))) for k in (0, 1)]
    [0.75, 0.25]
    """

    window: Callable[..., tuple[Any, Any]]
    mass: Callable[..., Any]

    def __post_init__(self) -> None:
        for name, given in (("window", self.window), ("mass", self.mass)):
            if not callable(given):
                raise BadParameter(f"{name}={given!r}", remedy="a function of arrays")

    def ends(self, *others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The window as floats of the shape of the arguments."""
        found = self.window(*others)
        try:
            first, last = (np.broadcast_to(np.asarray(v, dtype=float), others[0].shape) for v in found)
        except (TypeError, ValueError):
            raise BadParameter(
                f"the window of counts is {found!r}", remedy="the first and the last count for every argument"
            ) from None
        return first, last


@dataclass(frozen=True, eq=False, repr=False)
class Nonlinearity:
    """One coordinatewise function and what is known about it.

    Two are equal when name and parameters agree; the parameters of a user function include its
    callable, so user functions are equal when they share it.

    Parameters
    ----------
    name : str
        How it prints: ``"tanh"``, ``"leaky_relu[0.1]"``.
    fn : callable
        On float arrays; broadcasts like a ufunc.
    arity : int
        How many arguments.
    partials : callable, optional
        Lazily, the tuple of partial derivatives (weak ones at kinks), each a function of the same
        arguments. None, for all or for one of them, means unknown.
    kinks : tuple of float
        Points of ``args[kink_arg]`` where the function or its derivative is not smooth.
    kink_arg : int
        The argument the kinks belong to.
    jumps : tuple of float
        The kinks at which the function itself jumps.
    pieces : Pieces, optional
        The function as a piecewise polynomial (one argument only).
    family : tuple
        Closed-form family and its parameters: ``("homogeneous", k, a_plus, a_minus)``,
        ``("erf", scale, amplitude, offset)``, ``("gauss", rate, coefficients)``,
        ``("exp", rate, amplitude, offset)``, ``("wave", kind, rate, amplitude)``, ``("power", scale, exponent)`` or
        ``("onesided", pieces, amplitude, rate)``, which is pieces(x) + amplitude exp(rate x) 1(x < 0).
    mp : callable, optional
        ``mp(ctx, *args)``: the same function on an mpmath context.
    latex : str
        How it prints in LaTeX.
    params : tuple
        What distinguishes it from others of the same name.
    features : callable, optional
        ``features(*others)`` of the other arguments: points of ``args[kink_arg]`` where quadrature should cut, for a
        function that is smooth but varies on scales that the other arguments set.
    outcomes : Outcomes, optional
        For a function that draws a count by its last argument.

    Examples
    --------
    >>> from rmtp.catalogue import TANH, leaky_relu
    >>> TANH.partials()[0]
    Nonlinearity(tanh')
    >>> leaky_relu(0.5) == leaky_relu(0.5), leaky_relu(0.5) == leaky_relu(0.25)
    (True, False)
    """

    name: str
    fn: Callable[..., Any]
    arity: int = 1
    partials: Callable[[], tuple[Nonlinearity | None, ...]] | None = None
    kinks: tuple[float, ...] = ()
    kink_arg: int = 0
    jumps: tuple[float, ...] = ()
    pieces: Pieces | None = None
    family: tuple[Any, ...] = ()
    mp: Callable[..., Any] | None = None
    latex: str = ""
    params: tuple[Any, ...] = ()
    features: Callable[..., Sequence[Any]] | None = None
    outcomes: Outcomes | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Nonlinearity):
            return NotImplemented
        return self.name == other.name and self.params == other.params

    # Parameters stay out of the hash: a user's callable need not be hashable.
    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Nonlinearity({self.name})"


def values(fn: Nonlinearity, *args: Any) -> np.ndarray:
    """fn on float arrays. What users wrote is called on flat arrays and must answer with real ones of the same shape.

    Raises
    ------
    UnsupportedOperation
        If a user's function fails, or returns another shape or anything but real numbers.
    """
    if not (fn.params and callable(fn.params[0])):
        return np.asarray(fn.fn(*args), dtype=float)
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in args))
    flat = [a.ravel() for a in arrays]
    try:
        out = np.asarray(fn.fn(*flat))
        fine = out.shape == flat[0].shape and out.dtype.kind in "fiub"
        problem = f"returned {type(out).__name__} of shape {out.shape} and type {out.dtype} for shape {flat[0].shape}"
    except RmtpError:
        raise
    except Exception as failure:  # any exception of a user's function means that it does not take arrays
        fine, problem = False, f"failed on an array ({type(failure).__name__}: {failure})"
    if not fine:
        raise UnsupportedOperation(
            f"the function {fn.name} {problem}", remedy="a function of arrays, coordinate by coordinate, real-valued"
        )
    return out.astype(float).reshape(arrays[0].shape)


# Parameters ---------------------------------------------------------------------------------


def checked_number(value: Any, what: str, *, finite: bool = True) -> Number:
    """Ints and Fractions stay exact; everything else becomes a float."""
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, Fraction):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise BadParameter(f"{what} is {value!r}, not a real number", remedy="one finite number") from error
    if math.isnan(number) or (finite and math.isinf(number)):
        raise BadParameter(f"{what} is {value!r}.", remedy="pass a finite real number")
    return number


def mpf(ctx: Any, value: Number) -> Any:
    if isinstance(value, Fraction):
        return ctx.mpf(value.numerator) / value.denominator
    return ctx.mpf(value)


def constant(value: Any, arity: int = 1) -> Nonlinearity:
    """The constant function of `arity` arguments.

    Examples
    --------
    >>> constant(2).fn([5.0, 7.0])
    array([2., 2.])
    """
    c = checked_number(value, "The constant")
    return Nonlinearity(
        name=f"constant[{c}]",
        fn=lambda *args: np.full(np.broadcast_shapes(*map(np.shape, args)), float(c)),
        arity=arity,
        partials=lambda: (constant(0, arity),) * arity,
        pieces=Pieces((), ((c,),)) if arity == 1 else None,
        family=("homogeneous", 0, c, c) if arity == 1 else (),
        mp=lambda ctx, *args: mpf(ctx, c),
        latex=str(c),
        params=(c, arity),
    )


Derivative = Callable[..., Any] | Nonlinearity | None


def user(
    fn: Callable[..., Any],
    derivative: Derivative | tuple[Derivative, ...] = None,
    kinks: Sequence[float] = (),
    arity: int = 1,
    name: str | None = None,
    outcomes: Outcomes | None = None,
) -> Nonlinearity:
    """A function the catalogue does not know.

    Parameters
    ----------
    fn : callable
        On float arrays, broadcasting; on mpmath numbers too if high precision is wanted.
    derivative : callable or Nonlinearity, or a tuple of `arity` of them, optional
        The partial derivatives. With None the function is not differentiated, and its kinks count as
        possible jumps; a Nonlinearity brings its own derivatives along.
    kinks : sequence of float
        Points of the first argument where `fn` or its derivative is not smooth.
    arity : int
        How many arguments.
    name : str, optional
        How it prints; by default the name of `fn`.
    outcomes : Outcomes, optional
        For a function that draws a count by its last argument.

    Examples
    --------
    >>> shrink = user(lambda x: x - np.tanh(x), name="shrink")
    >>> shrink, shrink.partials
    (Nonlinearity(shrink), None)
    """
    if not callable(fn):
        raise BadParameter(f"{fn!r} is not callable.", remedy="pass a function of arrays")
    if isinstance(arity, bool) or not isinstance(arity, int) or arity < 1:
        raise BadParameter(f"The arity is {arity!r}.", remedy="pass a positive integer")
    given = derivative if isinstance(derivative, tuple) else (derivative,)
    if derivative is not None and len(given) != arity:
        raise BadParameter(f"{len(given)} derivatives for {arity} arguments.", remedy="one derivative per argument")
    for slope in given:
        if not (slope is None or callable(slope) or isinstance(slope, Nonlinearity)):
            raise BadParameter(f"The derivative {slope!r} is not callable.", remedy="pass a function of arrays")
    points = tuple(sorted({float(checked_number(k, "A kink")) for k in kinks}))
    title = name or getattr(fn, "__name__", "") or type(fn).__name__

    def partial(i: int, slope: Derivative) -> Nonlinearity | None:
        if slope is None or isinstance(slope, Nonlinearity):
            return slope
        return user(slope, kinks=points, arity=arity, name=f"{title}'" if arity == 1 else f"{title}_{i}")

    return Nonlinearity(
        name=title,
        fn=fn,
        arity=arity,
        partials=None if derivative is None else lambda: tuple(partial(i, s) for i, s in enumerate(given)),
        kinks=points,
        jumps=points if derivative is None else (),
        mp=lambda ctx, *args: fn(*args),
        params=(fn, *given, points, arity),
        outcomes=outcomes,
    )
