"""The catalogue of nonlinearities, and the NumPy and SciPy functions they answer to."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from . import special
from .chains import Unit, algebraic, gaussian, monomial, one, riccati, ridge, roman
from .errors import BadParameter
from .nonlinearity import Nonlinearity, Number, Pieces, checked_number, constant, mpf

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
    v = checked_number(value, "The value at zero")
    return Nonlinearity(
        name=f"heaviside[{v}]",
        fn=lambda x: np.heaviside(x, float(v)),
        kinks=(0.0,),
        jumps=(0.0,),
        pieces=Pieces((0,), ((0,), (1,))),
        family=("homogeneous", 0, 1, 0),
        mp=lambda ctx, x: mpf(ctx, v) if x == 0 else ctx.mpf(int(x > 0)),
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
    latex=roman("sign"),
)

RELU = Nonlinearity(
    name="relu",
    fn=lambda x: np.maximum(x, 0.0),
    partials=lambda: (STEP,),
    kinks=(0.0,),
    pieces=Pieces((0,), ((0,), (0, 1))),
    family=("homogeneous", 1, 1, 0),
    mp=lambda ctx, x: ctx.mpf(x) if x > 0 else ctx.zero,
    latex=roman("relu"),
)

ABS = Nonlinearity(
    name="abs",
    fn=np.abs,
    partials=lambda: (SIGN,),
    kinks=(0.0,),
    pieces=Pieces((0,), ((0, -1), (0, 1))),
    family=("homogeneous", 1, 1, -1),
    mp=lambda ctx, x: abs(ctx.mpf(x)),
    latex=roman("abs"),
)


def leaky_relu(slope: Any = Fraction(1, 100)) -> Nonlinearity:
    """x above zero, ``slope * x`` below.

    Examples
    --------
    >>> leaky_relu(Fraction(1, 10)).fn(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """
    s = checked_number(slope, "The slope of leaky_relu")
    name, below = f"leaky_relu[{s}]", float(s)
    steps = Nonlinearity(
        name=name + "'",
        fn=lambda x: np.where(np.asarray(x) > 0, 1.0, below),
        kinks=(0.0,),
        jumps=(0.0,),
        pieces=Pieces((0,), ((s,), (1,))),
        family=("homogeneous", 0, 1, s),
        mp=lambda ctx, x: ctx.one if x > 0 else mpf(ctx, s),
        latex=roman("leakyrelu") + "'",
        params=(s,),
    )
    return Nonlinearity(
        name=name,
        fn=lambda x: np.where(np.asarray(x) > 0, x, below * np.asarray(x)),
        partials=lambda: (steps,),
        kinks=(0.0,),
        pieces=Pieces((0,), ((0, s), (0, 1))),
        family=("homogeneous", 1, 1, s),
        mp=lambda ctx, x: ctx.mpf(x) if x > 0 else mpf(ctx, s) * x,
        latex=roman("leakyrelu"),
        params=(s,),
    )


def clip(lo: Any, hi: Any) -> Nonlinearity:
    """The constants `lo` and `hi` outside [lo, hi], the identity inside; either may be infinite.

    Examples
    --------
    >>> clip(-1, 1).fn(np.array([-3.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    a, b = checked_number(lo, "The lower bound", finite=False), checked_number(hi, "The upper bound", finite=False)
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
        mp=lambda ctx, x: ctx.mpf(int(mpf(ctx, a) < x < mpf(ctx, b))),
        latex=roman("clip") + "'",
        params=(a, b),
    )
    return Nonlinearity(
        name=name,
        fn=lambda x: np.clip(x, float(a), float(b)),
        partials=lambda: (inside,),
        kinks=kinks,
        pieces=Pieces(tuple(bounds), (*left, (0, 1), *right)),
        mp=lambda ctx, x: min(max(ctx.mpf(x), mpf(ctx, a)), mpf(ctx, b)),
        latex=roman("clip"),
        params=(a, b),
    )


HARD_TANH = clip(-1, 1)


def elu(alpha: Any = 1) -> Nonlinearity:
    """x above zero, ``alpha (exp(x) - 1)`` below.

    Examples
    --------
    >>> elu(2).fn(np.array([-np.log(2), 0.0, 3.0]))
    array([-1.,  0.,  3.])
    """
    return _elu(checked_number(alpha, "The alpha of elu"), 0)


def _elu(alpha: Number, order: int) -> Nonlinearity:
    """Derivative number `order`: alpha exp(x) below zero, and the derivative of x above."""
    a, name = float(alpha), f"elu[{alpha}]" + "'" * order

    def fn(x: Any) -> Any:
        below = np.minimum(x, 0.0)  # exp of large arguments, where it is not chosen, would overflow
        if order == 0:
            return np.where(np.asarray(x) > 0, x, a * np.expm1(below))
        return np.where(np.asarray(x) > 0, 1.0 if order == 1 else 0.0, a * np.exp(below))

    def mp(ctx: Any, x: Any) -> Any:
        if x > 0:
            return ctx.mpf(x) if order == 0 else ctx.mpf(int(order == 1))
        return mpf(ctx, alpha) * (ctx.expm1(x) if order == 0 else ctx.exp(x))

    smooth = order == 0 or (order == 1 and alpha == 1)  # otherwise it jumps, and its derivative is no function
    return Nonlinearity(
        name=name,
        fn=fn,
        partials=(lambda: (_elu(alpha, order + 1),)) if smooth else None,
        kinks=(0.0,),
        jumps=() if smooth else (0.0,),
        family=("onesided", Pieces((0,), ((-alpha,), (0, 1)) if order == 0 else ((0,), (int(order == 1),))), alpha, 1),
        mp=mp,
        latex=roman("elu") + "'" * order,
        params=(alpha,),
    )


# Sigmoids ---------------------------------------------------------------------------------------


def _sech2(x: Any) -> Any:
    decay = np.exp(-2.0 * np.abs(x))
    return 4.0 * decay / np.square(1.0 + decay)


TANH = riccati(
    "tanh",
    np.tanh,
    _sech2,
    lambda ctx, x: ctx.tanh(x),
    lambda ctx, x: ctx.sech(x) ** 2,
    (1, 0, -1),
    latex=r"\tanh",
)
EXPIT = riccati(
    "expit",
    special.expit,
    lambda x: 0.25 * _sech2(0.5 * np.asarray(x)),
    lambda ctx, x: 1 / (1 + ctx.exp(-x)),
    lambda ctx, x: ctx.sech(ctx.mpf(x) / 2) ** 2 / 4,
    (0, 1, -1),
)
TAN = riccati(
    "tan",
    np.tan,
    lambda x: 1.0 + np.square(np.tan(x)),
    lambda ctx, x: ctx.tan(x),
    lambda ctx, x: 1 + ctx.tan(x) ** 2,
    (1, 0, 1),
    latex=r"\tan",
)

GAUSS = gaussian("gauss", 0, Fraction(1, 2), (1,), one, roman("gauss"))
ERF = Nonlinearity(
    name="erf",
    fn=special.erf,
    partials=lambda: (gaussian("erf", 1, Fraction(1), (1,), lambda m: 2 / m.sqrt(m.pi), roman("erf")),),
    family=("erf", 1.0, 1.0, 0.0),
    mp=lambda ctx, x: ctx.erf(x),
    latex=roman("erf"),
)
ERFC = Nonlinearity(
    name="erfc",
    fn=special.erfc,
    partials=lambda: (gaussian("erfc", 1, Fraction(1), (1,), lambda m: -2 / m.sqrt(m.pi), roman("erfc")),),
    family=("erf", 1.0, -1.0, 1.0),
    mp=lambda ctx, x: ctx.erfc(x),
    latex=roman("erfc"),
)
NDTR = Nonlinearity(
    name="ndtr",
    fn=special.ndtr,
    partials=lambda: (gaussian("ndtr", 1, Fraction(1, 2), (1,), lambda m: 1 / m.sqrt(2 * m.pi), r"\Phi"),),
    family=("erf", math.sqrt(0.5), 0.5, 0.5),
    mp=lambda ctx, x: ctx.erfc(-x / ctx.sqrt(2)) / 2,
    latex=r"\Phi",
)
SOFTPLUS = Nonlinearity(
    name="softplus",
    fn=lambda x: np.logaddexp(0.0, x),
    partials=lambda: (EXPIT,),
    mp=lambda ctx, x: max(ctx.mpf(x), ctx.zero) + ctx.log1p(ctx.exp(-abs(ctx.mpf(x)))),
    latex=roman("softplus"),
)
LOG_EXPIT = Nonlinearity(
    name="log_expit",
    fn=lambda x: -np.logaddexp(0.0, -np.asarray(x)),
    partials=lambda: (ridge(EXPIT, 1, (-1,)),),
    mp=lambda ctx, x: min(ctx.mpf(x), ctx.zero) - ctx.log1p(ctx.exp(-abs(ctx.mpf(x)))),
    latex=roman("logexpit"),
)

# Exponentials and waves -------------------------------------------------------------------------

EXP: Nonlinearity = Nonlinearity(
    name="exp",
    fn=np.exp,
    partials=lambda: (EXP,),
    family=("exp", 1.0, 1.0, 0.0),
    mp=lambda ctx, x: ctx.exp(x),
    latex=r"\exp",
)
EXPM1 = Nonlinearity(
    name="expm1",
    fn=np.expm1,
    partials=lambda: (EXP,),
    family=("exp", 1.0, 1.0, -1.0),
    mp=lambda ctx, x: ctx.expm1(x),
    latex=roman("expm1"),
)


def _exp2(order: int) -> Nonlinearity:
    amplitude = math.log(2) ** order
    return Nonlinearity(
        name="exp2" + "'" * order,
        fn=lambda x: amplitude * np.exp2(x),
        partials=lambda: (_exp2(order + 1),),
        family=("exp", math.log(2), amplitude, 0.0),
        mp=lambda ctx, x: ctx.log(2) ** order * ctx.power(2, x),
        latex=roman("exp2") + "'" * order,
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

RECIPROCAL = monomial("reciprocal", 1, -1)
SQRT = monomial("sqrt", 1, Fraction(1, 2), fn=np.sqrt)


def power(p: Any) -> Nonlinearity:
    """x to the constant real power `p`; NaN at negative x unless `p` is a whole number.

    Examples
    --------
    >>> power(1.5).fn(np.array([1.0, 4.0]))
    array([1., 8.])
    """
    exponent = checked_number(p, "The exponent")
    return monomial(f"power[{exponent}]", 1, exponent, params=(exponent,), latex=rf"(\cdot)^{{{exponent}}}")


def _logarithm(
    name: str, ufunc: Callable[..., Any], mp: Callable[..., Any], shift: int = 0, unit: Unit = one
) -> Nonlinearity:
    return Nonlinearity(
        name=name,
        fn=ufunc,
        partials=lambda: (monomial(name, 1, -1, order=1, shift=shift, unit=unit),),
        kinks=(-float(shift),),
        mp=mp,
        latex=roman(name),
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
            latex=roman("cbrt") + "'",
        ),
    ),
    kinks=(0.0,),
    mp=lambda ctx, x: _mp_sign(ctx, x) * ctx.cbrt(abs(ctx.mpf(x))),
    latex=roman("cbrt"),
)


def _inverse(
    name: str, ufunc: Callable[..., Any], mp: str, w: tuple[int, int], exponent: Fraction, scale: int = 1
) -> Nonlinearity:
    """An inverse function with derivative scale * w(x)^-exponent."""
    sign, square = w
    return Nonlinearity(
        name=name,
        fn=ufunc,
        partials=lambda: (algebraic(name, 1, sign, square, exponent, (scale,)),),
        kinks=() if sign == square else (1.0,) if square > 0 else (-1.0, 1.0),
        mp=lambda ctx, x: getattr(ctx, mp)(x),
        latex=roman(name),
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
    partials=lambda: (ridge(EXPIT, 1, (1, -1)), ridge(EXPIT, 1, (-1, 1))),
    mp=lambda ctx, x, y: max(x, y) + ctx.log1p(ctx.exp(-abs(ctx.mpf(x) - y))),
    latex=roman("logaddexp"),
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
    latex=roman("arctan2"),
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
    latex=roman("hypot"),
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
    latex=roman("where"),
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
    home = sys.modules.get("scipy.special")  # a ufunc of scipy.special has imported it
    return entry if entry is not None and ufunc is getattr(home, ufunc.__name__, None) else None
