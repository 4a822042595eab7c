"""Coordinatewise functions as frozen data.

A `Nonlinearity` is everything the engine may know about one function: its values on arrays, its
partial derivatives, where it is not smooth, whether it is piecewise polynomial, which closed-form
family it belongs to, its mpmath counterpart, how it is printed. Nothing here is an expectation.

The smooth entries come in chains closed under differentiation: `_riccati` (tanh, expit, tan),
`_gaussian` (erf, ndtr), `_algebraic` (the inverse functions), `_monomial` (powers, logarithms).
Each rule yields derivatives of every order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import special

from rmtp.errors import BadParameter

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
    >>> RELU.pieces
    Pieces(breaks=(0,), polys=((0,), (0, 1)))
    """

    breaks: tuple[Number, ...]
    polys: tuple[tuple[Number, ...], ...]


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
        ``("exp", rate, amplitude, offset)`` or ``("wave", kind, rate, amplitude)``.
    mp : callable, optional
        ``mp(ctx, *args)``: the same function on an mpmath context.
    latex : str
        How it prints in LaTeX.
    params : tuple
        What distinguishes it from others of the same name.

    Examples
    --------
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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Nonlinearity):
            return NotImplemented
        return self.name == other.name and self.params == other.params

    # Parameters stay out of the hash: a user's callable need not be hashable.
    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Nonlinearity({self.name})"


# Parameters and polynomials ---------------------------------------------------------------------


def _number(value: Any, what: str, *, finite: bool = True) -> Number:
    """Ints and Fractions stay exact; everything else becomes a float."""
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, Fraction):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise BadParameter(f"{what} is {value!r}, not a real number.") from error
    if math.isnan(number) or (finite and math.isinf(number)):
        raise BadParameter(f"{what} is {value!r}.", remedy="pass a finite real number")
    return number


def _mpf(ctx: Any, value: Number) -> Any:
    if isinstance(value, Fraction):
        return ctx.mpf(value.numerator) / value.denominator
    return ctx.mpf(value)


def _horner(poly: Sequence[Any], x: Any) -> Any:
    value = poly[-1]
    for coefficient in poly[-2::-1]:
        value = value * x + coefficient
    return value


def _times(p: Sequence[Any], q: Sequence[Any]) -> tuple[Any, ...]:
    product = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            product[i + j] += a * b
    return tuple(product)


def _plus(p: Sequence[Any], q: Sequence[Any]) -> tuple[Any, ...]:
    width = max(len(p), len(q))
    padded = zip((*p, *[0] * (width - len(p))), (*q, *[0] * (width - len(q))), strict=True)
    return tuple(a + b for a, b in padded)


def _slope(p: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(k * c for k, c in enumerate(p))[1:] or (0,)


def _roman(name: str) -> str:
    return rf"\operatorname{{{name}}}"


# Chains closed under differentiation ------------------------------------------------------------

Unit = Callable[[Any], Any]  # an irrational constant, from `math` or from an mpmath context


def _one(_: Any) -> int:
    return 1


def constant(value: Any, arity: int = 1) -> Nonlinearity:
    """The constant function of `arity` arguments.

    Examples
    --------
    >>> constant(2).fn([5.0, 7.0])
    array([2., 2.])
    """
    c = _number(value, "The constant")
    return Nonlinearity(
        name=f"constant[{c}]",
        fn=lambda *args: np.full(np.broadcast_shapes(*map(np.shape, args)), float(c)),
        arity=arity,
        partials=lambda: (constant(0, arity),) * arity,
        pieces=Pieces((), ((c,),)) if arity == 1 else None,
        family=("homogeneous", 0, c, c) if arity == 1 else (),
        mp=lambda ctx, *args: _mpf(ctx, c),
        latex=str(c),
        params=(c, arity),
    )


def _riccati(
    name: str,
    g: Callable[..., Any],
    weight: Callable[..., Any],
    mp_g: Callable[..., Any],
    mp_weight: Callable[..., Any],
    quadratic: tuple[int, ...],
    order: int = 0,
    poly: tuple[int, ...] = (1,),
    latex: str = "",
) -> Nonlinearity:
    """Derivative number `order` of a g with g' = w(g), w quadratic.

    Every derivative is w(g) P(g), and (w P)' = w (w' P + w P'). The weight w(g(x)) is passed
    as a function of x because 1 - tanh(x)^2 would cancel.
    """

    def derivative() -> tuple[Nonlinearity]:
        after = _plus(_times(_slope(quadratic), poly), _times(quadratic, _slope(poly))) if order else (1,)
        return (_riccati(name, g, weight, mp_g, mp_weight, quadratic, order + 1, after, latex),)

    return Nonlinearity(
        name=name + "'" * order,
        fn=(lambda x: weight(x) * _horner(poly, g(x))) if order else g,
        partials=derivative,
        mp=(lambda ctx, x: mp_weight(ctx, x) * _horner(poly, mp_g(ctx, x))) if order else mp_g,
        latex=(latex or _roman(name)) + "'" * order,
    )


def _gaussian(name: str, order: int, rate: Fraction, poly: tuple[int, ...], unit: Unit, latex: str) -> Nonlinearity:
    """unit * poly(x) * exp(-rate x^2), whose derivative is again of this form."""
    after = tuple(int(c) for c in _plus(_slope(poly), _times((0, -2 * rate), poly)))
    scale, decay = float(unit(math)), float(rate)
    return Nonlinearity(
        name=name + "'" * order,
        fn=lambda x: scale * _horner(poly, np.asarray(x)) * np.exp(-decay * np.square(x)),
        partials=lambda: (_gaussian(name, order + 1, rate, after, unit, latex),),
        family=("gauss", decay, tuple(scale * c for c in poly)),
        mp=lambda ctx, x: unit(ctx) * _horner(poly, x) * ctx.exp(-_mpf(ctx, rate) * x * x),
        latex=latex + "'" * order,
    )


def _algebraic(
    name: str, order: int, sign: int, square: int, power: Fraction, poly: tuple[Any, ...] = (1,)
) -> Nonlinearity:
    """poly(x) / w(x)^power with w(x) = sign + square x^2; (P w^-e)' = (P' w - e w' P) w^-(e+1)."""
    w = (sign, 0, square)
    after = _plus(_times(_slope(poly), w), _times((0, -2 * square * power), poly))
    exponent = float(power)

    def quadratic(x: Any) -> Any:
        if sign == square:
            return sign + square * x * x
        return sign * (1 - x) * (1 + x)  # 1 - x^2 cancels at the ends

    def fn(x: Any) -> Any:
        values = np.asarray(x, dtype=float)
        return _horner([float(c) for c in poly], values) / np.power(quadratic(values), exponent)

    return Nonlinearity(
        name=name + "'" * order,
        fn=fn,
        partials=lambda: (_algebraic(name, order + 1, sign, square, power + 1, after),),
        kinks=() if sign == square else (-1.0, 1.0),
        mp=lambda ctx, x: _horner([_mpf(ctx, c) for c in poly], x) / quadratic(x) ** _mpf(ctx, power),
        latex=_roman(name) + "'" * order,
    )


def _monomial(
    name: str,
    scale: Number,
    power: Number,
    *,
    order: int = 0,
    shift: int = 0,
    unit: Unit = _one,
    fn: Callable[..., Any] | None = None,
    params: tuple[Any, ...] = (),
    latex: str = "",
) -> Nonlinearity:
    """unit * scale * (x + shift)^power."""
    c, p = float(scale * unit(math)), float(power)
    whole = p == int(p)
    polynomial = whole and p >= 0

    def derivative() -> tuple[Nonlinearity]:
        if scale * power == 0:
            return (constant(0),)
        return (
            _monomial(name, scale * power, power - 1, order=order + 1, shift=shift, unit=unit,
                      params=params, latex=latex),
        )

    edge = () if polynomial else (-float(shift),)
    return Nonlinearity(
        name=name + "'" * order,
        fn=fn or (lambda x: c * np.power(np.asarray(x, dtype=float) + shift, p)),
        partials=derivative,
        kinks=edge,
        jumps=edge if whole else (),
        pieces=(
            Pieces((), ((*[0] * int(p), scale),)) if polynomial and not shift and unit is _one else None
        ),
        mp=lambda ctx, x: unit(ctx) * _mpf(ctx, scale) * (ctx.mpf(x) + shift) ** _mpf(ctx, power),
        latex=(latex or _roman(name)) + "'" * order,
        params=params,
    )


def _ridge(f: Nonlinearity, scale: int, direction: tuple[int, ...]) -> Nonlinearity:
    """args -> scale * f(direction . args)."""

    def inner(args: tuple[Any, ...]) -> Any:
        return sum(d * x for d, x in zip(direction, args, strict=True))

    def derivative() -> tuple[Nonlinearity | None, ...]:
        (slope,) = f.partials() if f.partials else (None,)
        return tuple(None if slope is None else _ridge(slope, scale * d, direction) for d in direction)

    mp = f.mp
    assert mp is not None
    letters = "xyz"[: len(direction)]
    terms = "".join(f" {'+-'[d < 0]} {x}" for d, x in zip(direction, letters, strict=True))
    argument = terms.removeprefix(" + ").replace(" - ", "-", 1) if terms.startswith(" -") else terms[3:]
    front = {1: "", -1: "-"}[scale]
    return Nonlinearity(
        name=f"{front}{f.name}({argument})",
        fn=lambda *args: scale * f.fn(inner(tuple(np.asarray(x, dtype=float) for x in args))),
        arity=len(direction),
        partials=derivative,
        mp=lambda ctx, *args: scale * mp(ctx, inner(args)),
        latex=f"{front}{f.latex}({argument})",
    )


# Piecewise polynomials --------------------------------------------------------------------------


def _mp_sign(ctx: Any, x: Any) -> Any:
    return ctx.mpf((x > 0) - (x < 0))


def heaviside(value: Any) -> Nonlinearity:
    """0 below zero, 1 above, `value` at zero.

    Examples
    --------
    >>> heaviside(0.5).fn(np.array([-1.0, 0.0, 1.0]))
    array([0. , 0.5, 1. ])
    """
    v = _number(value, "The value at zero")
    return Nonlinearity(
        name=f"heaviside[{v}]",
        fn=lambda x: np.heaviside(x, float(v)),
        kinks=(0.0,),
        jumps=(0.0,),
        pieces=Pieces((0,), ((0,), (1,))),
        family=("homogeneous", 0, 1, 0),
        mp=lambda ctx, x: _mpf(ctx, v) if x == 0 else ctx.mpf(int(x > 0)),
        latex=r"\theta",
        params=(v,),
    )


STEP = heaviside(0)
STEP_CLOSED = heaviside(1)

SIGN = Nonlinearity(
    name="sign",
    fn=np.sign,
    kinks=(0.0,),
    jumps=(0.0,),
    pieces=Pieces((0,), ((-1,), (1,))),
    family=("homogeneous", 0, 1, -1),
    mp=_mp_sign,
    latex=_roman("sign"),
)

RELU = Nonlinearity(
    name="relu",
    fn=lambda x: np.maximum(x, 0.0),
    partials=lambda: (STEP,),
    kinks=(0.0,),
    pieces=Pieces((0,), ((0,), (0, 1))),
    family=("homogeneous", 1, 1, 0),
    mp=lambda ctx, x: ctx.mpf(x) if x > 0 else ctx.zero,
    latex=_roman("relu"),
)

ABS = Nonlinearity(
    name="abs",
    fn=np.abs,
    partials=lambda: (SIGN,),
    kinks=(0.0,),
    pieces=Pieces((0,), ((0, -1), (0, 1))),
    family=("homogeneous", 1, 1, -1),
    mp=lambda ctx, x: abs(ctx.mpf(x)),
    latex=_roman("abs"),
)


def leaky_relu(slope: Any = Fraction(1, 100)) -> Nonlinearity:
    """x above zero, ``slope * x`` below.

    Examples
    --------
    >>> leaky_relu(Fraction(1, 10)).fn(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """
    s = _number(slope, "The slope of leaky_relu")
    name, below = f"leaky_relu[{s}]", float(s)
    steps = Nonlinearity(
        name=name + "'",
        fn=lambda x: np.where(np.asarray(x) > 0, 1.0, below),
        kinks=(0.0,),
        jumps=(0.0,),
        pieces=Pieces((0,), ((s,), (1,))),
        family=("homogeneous", 0, 1, s),
        mp=lambda ctx, x: ctx.one if x > 0 else _mpf(ctx, s),
        latex=_roman("leakyrelu") + "'",
        params=(s,),
    )
    return Nonlinearity(
        name=name,
        fn=lambda x: np.where(np.asarray(x) > 0, x, below * np.asarray(x)),
        partials=lambda: (steps,),
        kinks=(0.0,),
        pieces=Pieces((0,), ((0, s), (0, 1))),
        family=("homogeneous", 1, 1, s),
        mp=lambda ctx, x: ctx.mpf(x) if x > 0 else _mpf(ctx, s) * x,
        latex=_roman("leakyrelu"),
        params=(s,),
    )


def clip(lo: Any, hi: Any) -> Nonlinearity:
    """The constants `lo` and `hi` outside [lo, hi], the identity inside; either may be infinite.

    Examples
    --------
    >>> clip(-1, 1).fn(np.array([-3.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    a, b = _number(lo, "The lower bound", finite=False), _number(hi, "The upper bound", finite=False)
    if a > b or a == math.inf or b == -math.inf:
        raise BadParameter(f"clip to [{a}, {b}].", remedy="order the bounds: clip(lo, hi) with lo <= hi")
    if a == b:
        return constant(a)
    bounds = [c for c in (a, b) if not math.isinf(c)]
    left, right = [(a,)] * (a in bounds), [(b,)] * (b in bounds)
    kinks, name = tuple(map(float, bounds)), f"clip[{a}, {b}]"
    inside = Nonlinearity(
        name=name + "'",
        fn=lambda x: ((np.asarray(x) > float(a)) & (np.asarray(x) < float(b))) * 1.0,
        kinks=kinks,
        jumps=kinks,
        pieces=Pieces(tuple(bounds), (*[(0,)] * len(left), (1,), *[(0,)] * len(right))),
        mp=lambda ctx, x: ctx.mpf(int(_mpf(ctx, a) < x < _mpf(ctx, b))),
        latex=_roman("clip") + "'",
        params=(a, b),
    )
    return Nonlinearity(
        name=name,
        fn=lambda x: np.clip(x, float(a), float(b)),
        partials=lambda: (inside,),
        kinks=kinks,
        pieces=Pieces(tuple(bounds), (*left, (0, 1), *right)),
        mp=lambda ctx, x: min(max(ctx.mpf(x), _mpf(ctx, a)), _mpf(ctx, b)),
        latex=_roman("clip"),
        params=(a, b),
    )


HARD_TANH = clip(-1, 1)

# Sigmoids ---------------------------------------------------------------------------------------


def _sech2(x: Any) -> Any:
    decay = np.exp(-2.0 * np.abs(x))
    return 4.0 * decay / np.square(1.0 + decay)


TANH = _riccati(
    "tanh", np.tanh, _sech2, lambda ctx, x: ctx.tanh(x), lambda ctx, x: ctx.sech(x) ** 2, (1, 0, -1),
    latex=r"\tanh",
)
EXPIT = _riccati(
    "expit",
    special.expit,
    lambda x: 0.25 * _sech2(0.5 * np.asarray(x)),
    lambda ctx, x: 1 / (1 + ctx.exp(-x)),
    lambda ctx, x: ctx.sech(ctx.mpf(x) / 2) ** 2 / 4,
    (0, 1, -1),
)
TAN = _riccati(
    "tan", np.tan, lambda x: 1.0 + np.square(np.tan(x)), lambda ctx, x: ctx.tan(x),
    lambda ctx, x: 1 + ctx.tan(x) ** 2, (1, 0, 1), latex=r"\tan",
)

GAUSS = _gaussian("gauss", 0, Fraction(1, 2), (1,), _one, _roman("gauss"))
ERF = Nonlinearity(
    name="erf",
    fn=special.erf,
    partials=lambda: (_gaussian("erf", 1, Fraction(1), (1,), lambda m: 2 / m.sqrt(m.pi), _roman("erf")),),
    family=("erf", 1.0, 1.0, 0.0),
    mp=lambda ctx, x: ctx.erf(x),
    latex=_roman("erf"),
)
ERFC = Nonlinearity(
    name="erfc",
    fn=special.erfc,
    partials=lambda: (_gaussian("erfc", 1, Fraction(1), (1,), lambda m: -2 / m.sqrt(m.pi), _roman("erfc")),),
    family=("erf", 1.0, -1.0, 1.0),
    mp=lambda ctx, x: ctx.erfc(x),
    latex=_roman("erfc"),
)
NDTR = Nonlinearity(
    name="ndtr",
    fn=special.ndtr,
    partials=lambda: (_gaussian("ndtr", 1, Fraction(1, 2), (1,), lambda m: 1 / m.sqrt(2 * m.pi), r"\Phi"),),
    family=("erf", math.sqrt(0.5), 0.5, 0.5),
    mp=lambda ctx, x: ctx.erfc(-x / ctx.sqrt(2)) / 2,
    latex=r"\Phi",
)
SOFTPLUS = Nonlinearity(
    name="softplus",
    fn=lambda x: np.logaddexp(0.0, x),
    partials=lambda: (EXPIT,),
    mp=lambda ctx, x: max(ctx.mpf(x), ctx.zero) + ctx.log1p(ctx.exp(-abs(ctx.mpf(x)))),
    latex=_roman("softplus"),
)
LOG_EXPIT = Nonlinearity(
    name="log_expit",
    fn=lambda x: -np.logaddexp(0.0, -np.asarray(x)),
    partials=lambda: (_ridge(EXPIT, 1, (-1,)),),
    mp=lambda ctx, x: min(ctx.mpf(x), ctx.zero) - ctx.log1p(ctx.exp(-abs(ctx.mpf(x)))),
    latex=_roman("logexpit"),
)

# Exponentials and waves -------------------------------------------------------------------------

EXP: Nonlinearity = Nonlinearity(
    name="exp", fn=np.exp, partials=lambda: (EXP,), family=("exp", 1.0, 1.0, 0.0),
    mp=lambda ctx, x: ctx.exp(x), latex=r"\exp",
)
EXPM1 = Nonlinearity(
    name="expm1", fn=np.expm1, partials=lambda: (EXP,), family=("exp", 1.0, 1.0, -1.0),
    mp=lambda ctx, x: ctx.expm1(x), latex=_roman("expm1"),
)


def _exp2(order: int) -> Nonlinearity:
    amplitude = math.log(2) ** order
    return Nonlinearity(
        name="exp2" + "'" * order,
        fn=lambda x: amplitude * np.exp2(x),
        partials=lambda: (_exp2(order + 1),),
        family=("exp", math.log(2), amplitude, 0.0),
        mp=lambda ctx, x: ctx.log(2) ** order * ctx.power(2, x),
        latex=_roman("exp2") + "'" * order,
    )


EXP2 = _exp2(0)


def _wave(kind: str, sign: int, after: Callable[[], Nonlinearity]) -> Nonlinearity:
    ufunc = {"sin": np.sin, "cos": np.cos, "sinh": np.sinh, "cosh": np.cosh}[kind]
    front = "-" if sign < 0 else ""
    return Nonlinearity(
        name=front + kind,
        fn=ufunc if sign > 0 else lambda x: -ufunc(x),
        partials=lambda: (after(),),
        family=("wave", kind, 1.0, float(sign)),
        mp=lambda ctx, x: sign * getattr(ctx, kind)(x),
        latex=f"{front}\\{kind}",
    )


SIN: Nonlinearity = _wave("sin", 1, lambda: COS)
COS: Nonlinearity = _wave("cos", 1, lambda: _MINUS_SIN)
_MINUS_SIN: Nonlinearity = _wave("sin", -1, lambda: _MINUS_COS)
_MINUS_COS: Nonlinearity = _wave("cos", -1, lambda: SIN)
SINH: Nonlinearity = _wave("sinh", 1, lambda: COSH)
COSH: Nonlinearity = _wave("cosh", 1, lambda: SINH)

# Powers, logarithms, inverse functions ----------------------------------------------------------

RECIPROCAL = _monomial("reciprocal", 1, -1)
SQRT = _monomial("sqrt", 1, Fraction(1, 2), fn=np.sqrt)


def power(p: Any) -> Nonlinearity:
    """x to the constant real power `p`; NaN at negative x unless `p` is a whole number.

    Examples
    --------
    >>> power(1.5).fn(np.array([1.0, 4.0]))
    array([1., 8.])
    """
    exponent = _number(p, "The exponent")
    return _monomial(f"power[{exponent}]", 1, exponent, params=(exponent,), latex=rf"(\cdot)^{{{exponent}}}")


def _logarithm(
    name: str, ufunc: Callable[..., Any], mp: Callable[..., Any], shift: int = 0, unit: Unit = _one
) -> Nonlinearity:
    return Nonlinearity(
        name=name,
        fn=ufunc,
        partials=lambda: (_monomial(name, 1, -1, order=1, shift=shift, unit=unit),),
        kinks=(-float(shift),),
        mp=mp,
        latex=_roman(name),
    )


LOG = _logarithm("log", np.log, lambda ctx, x: ctx.log(x))
LOG1P = _logarithm("log1p", np.log1p, lambda ctx, x: ctx.log1p(x), shift=1)
LOG2 = _logarithm("log2", np.log2, lambda ctx, x: ctx.log(x, 2), unit=lambda m: 1 / m.log(2))
LOG10 = _logarithm("log10", np.log10, lambda ctx, x: ctx.log10(x), unit=lambda m: 1 / m.log(10))

# The second derivative |x|^(-5/3) sign(x) is not integrable: the chain ends at the first.
CBRT = Nonlinearity(
    name="cbrt",
    fn=np.cbrt,
    partials=lambda: (
        Nonlinearity(
            name="cbrt'",
            fn=lambda x: 1.0 / (3.0 * np.square(np.cbrt(x))),
            kinks=(0.0,),
            mp=lambda ctx, x: 1 / (3 * ctx.cbrt(abs(ctx.mpf(x))) ** 2),
            latex=_roman("cbrt") + "'",
        ),
    ),
    kinks=(0.0,),
    mp=lambda ctx, x: _mp_sign(ctx, x) * ctx.cbrt(abs(ctx.mpf(x))),
    latex=_roman("cbrt"),
)


def _inverse(
    name: str, ufunc: Callable[..., Any], mp: str, w: tuple[int, int], exponent: Fraction, scale: int = 1
) -> Nonlinearity:
    """An inverse function with derivative scale * w(x)^-exponent."""
    sign, square = w
    return Nonlinearity(
        name=name,
        fn=ufunc,
        partials=lambda: (_algebraic(name, 1, sign, square, exponent, (scale,)),),
        kinks=() if sign == square else (1.0,) if square > 0 else (-1.0, 1.0),
        mp=lambda ctx, x: getattr(ctx, mp)(x),
        latex=_roman(name),
    )


_HALF = Fraction(1, 2)
ARCTAN = _inverse("arctan", np.arctan, "atan", (1, 1), Fraction(1))
ARCTANH = _inverse("arctanh", np.arctanh, "atanh", (1, -1), Fraction(1))
ARCSIN = _inverse("arcsin", np.arcsin, "asin", (1, -1), _HALF)
ARCCOS = _inverse("arccos", np.arccos, "acos", (1, -1), _HALF, -1)
ARCSINH = _inverse("arcsinh", np.arcsinh, "asinh", (1, 1), _HALF)
ARCCOSH = _inverse("arccosh", np.arccosh, "acosh", (-1, 1), _HALF)

# Several arguments ------------------------------------------------------------------------------

LOGADDEXP = Nonlinearity(
    name="logaddexp",
    fn=np.logaddexp,
    arity=2,
    partials=lambda: (_ridge(EXPIT, 1, (1, -1)), _ridge(EXPIT, 1, (-1, 1))),
    mp=lambda ctx, x, y: max(x, y) + ctx.log1p(ctx.exp(-abs(ctx.mpf(x) - y))),
    latex=_roman("logaddexp"),
)

# Across the cut (y = 0, x < 0) the angle jumps, so only its derivative in x is a function.
ARCTAN2 = Nonlinearity(
    name="arctan2",
    fn=np.arctan2,
    arity=2,
    partials=lambda: (
        None,
        Nonlinearity(
            name="arctan2_x",
            fn=lambda y, x: -np.asarray(y) / (np.square(x) + np.square(y)),
            arity=2,
            kinks=(0.0,),
            mp=lambda ctx, y, x: -y / (ctx.mpf(x) ** 2 + ctx.mpf(y) ** 2),
            latex=r"\partial_x\operatorname{arctan2}",
        ),
    ),
    kinks=(0.0,),
    jumps=(0.0,),
    mp=lambda ctx, y, x: ctx.atan2(y, x),
    latex=_roman("arctan2"),
)


def _unit_vector(which: int) -> Nonlinearity:
    """The coordinate args[which] / hypot(args), with its derivatives: delta/r - a b/r^3."""

    def second(other: int) -> Nonlinearity:
        sign = 1 if which == other else -1

        def value(x: Any, y: Any, r: Any) -> Any:
            u = y if which == other == 0 else x if which == other else x * y
            return sign * (u * u if which == other else u) / r**3

        return Nonlinearity(
            name=f"hypot_{'xy'[which]}{'xy'[other]}",
            fn=lambda x, y: value(np.asarray(x), np.asarray(y), np.hypot(x, y)),
            arity=2,
            kinks=(0.0,),
            mp=lambda ctx, x, y: value(ctx.mpf(x), ctx.mpf(y), ctx.hypot(x, y)),
            latex=rf"\partial_{'xy'[which]}\partial_{'xy'[other]}\operatorname{{hypot}}",
        )

    return Nonlinearity(
        name=f"hypot_{'xy'[which]}",
        fn=lambda x, y: (x, y)[which] / np.hypot(x, y),
        arity=2,
        partials=lambda: (second(0), second(1)),
        kinks=(0.0,),
        mp=lambda ctx, x, y: ctx.mpf((x, y)[which]) / ctx.hypot(x, y),
        latex=rf"\partial_{'xy'[which]}\operatorname{{hypot}}",
    )


HYPOT = Nonlinearity(
    name="hypot",
    fn=np.hypot,
    arity=2,
    partials=lambda: (_unit_vector(0), _unit_vector(1)),
    kinks=(0.0,),
    mp=lambda ctx, x, y: ctx.hypot(x, y),
    latex=_roman("hypot"),
)


def _chosen(name: str, when_positive: float) -> Nonlinearity:
    """The slope of where(c, a, b) in one of a, b."""
    values = (1.0 - when_positive, when_positive)
    return Nonlinearity(
        name=name,
        fn=lambda c, a, b: np.where(np.broadcast_arrays(c, a, b)[0] > 0, values[1], values[0]),
        arity=3,
        partials=lambda: (None, constant(0, 3), constant(0, 3)),
        kinks=(0.0,),
        jumps=(0.0,),
        mp=lambda ctx, c, a, b: ctx.mpf(values[int(c > 0)]),
        latex=r"1_{c>0}" if when_positive else r"1_{c\leq 0}",
    )


WHERE3 = Nonlinearity(
    name="where",
    fn=lambda c, a, b: np.where(np.asarray(c) > 0, a, b),
    arity=3,
    partials=lambda: (None, _chosen("where_a", 1.0), _chosen("where_b", 0.0)),
    kinks=(0.0,),
    jumps=(0.0,),
    mp=lambda ctx, c, a, b: ctx.mpf(a if c > 0 else b),
    latex=_roman("where"),
)
where3 = WHERE3

# From NumPy and from users ----------------------------------------------------------------------

_UFUNCS: Mapping[Any, Nonlinearity] = MappingProxyType(
    {
        np.absolute: ABS, np.fabs: ABS, np.sign: SIGN,
        np.tanh: TANH, np.sinh: SINH, np.cosh: COSH, np.sin: SIN, np.cos: COS, np.tan: TAN,
        np.arctan: ARCTAN, np.arcsin: ARCSIN, np.arccos: ARCCOS,
        np.arctanh: ARCTANH, np.arcsinh: ARCSINH, np.arccosh: ARCCOSH,
        np.exp: EXP, np.expm1: EXPM1, np.exp2: EXP2,
        np.log: LOG, np.log1p: LOG1P, np.log2: LOG2, np.log10: LOG10,
        np.sqrt: SQRT, np.cbrt: CBRT, np.reciprocal: RECIPROCAL,
        np.logaddexp: LOGADDEXP, np.arctan2: ARCTAN2, np.hypot: HYPOT,
    }
)  # fmt: skip

# scipy.special has its own copies of some NumPy ufuncs, and not every release has all of these.
_SPECIAL: Mapping[str, Nonlinearity] = MappingProxyType(
    {
        "erf": ERF, "erfc": ERFC, "ndtr": NDTR, "expit": EXPIT, "log_expit": LOG_EXPIT, "softplus": SOFTPLUS,
        "expm1": EXPM1, "exp2": EXP2, "log1p": LOG1P, "cbrt": CBRT,
    }
)  # fmt: skip


def from_ufunc(ufunc: Any) -> Nonlinearity | None:
    """The catalogue entry of a NumPy or SciPy ufunc; None for arithmetic and unknown ones.

    Examples
    --------
    >>> from_ufunc(np.tanh), from_ufunc(np.add)
    (Nonlinearity(tanh), None)
    """
    if not isinstance(ufunc, np.ufunc):
        return None
    if ufunc in _UFUNCS:
        return _UFUNCS[ufunc]
    entry = _SPECIAL.get(ufunc.__name__)
    return entry if entry is not None and ufunc is getattr(special, ufunc.__name__, None) else None


Derivative = Callable[..., Any] | Nonlinearity | None


def user(
    fn: Callable[..., Any],
    derivative: Derivative | tuple[Derivative, ...] = None,
    kinks: Sequence[float] = (),
    arity: int = 1,
    name: str | None = None,
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

    Examples
    --------
    >>> gelu = user(lambda x: x * special.ndtr(x), name="gelu")
    >>> gelu, gelu.partials
    (Nonlinearity(gelu), None)
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
    points = tuple(sorted({float(_number(k, "A kink")) for k in kinks}))
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
    )
