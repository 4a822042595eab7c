"""Chains of smooth functions closed under differentiation.

`riccati` (tanh, expit, tan), `gaussian` (erf, ndtr), `algebraic` (the inverse functions), `monomial` (powers,
logarithms), `ridge` (functions of a linear combination): each rule yields derivatives of every order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .nonlinearity import Nonlinearity, Number, Pieces, constant, mpf


def horner(poly: Sequence[Any], x: Any) -> Any:
    value = poly[-1]
    for coefficient in poly[-2::-1]:
        value = value * x + coefficient
    return value


def poly_times(p: Sequence[Any], q: Sequence[Any]) -> tuple[Any, ...]:
    product = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            product[i + j] += a * b
    return tuple(product)


def poly_plus(p: Sequence[Any], q: Sequence[Any]) -> tuple[Any, ...]:
    width = max(len(p), len(q))
    padded = zip((*p, *[0] * (width - len(p))), (*q, *[0] * (width - len(q))), strict=True)
    return tuple(a + b for a, b in padded)


def poly_slope(p: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(k * c for k, c in enumerate(p))[1:] or (0,)


def roman(name: str) -> str:
    return rf"\operatorname{{{name}}}"


Unit = Callable[[Any], Any]  # an irrational constant, from `math` or from an mpmath context


def one(_: Any) -> int:
    return 1


def riccati(
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
        after = (
            poly_plus(poly_times(poly_slope(quadratic), poly), poly_times(quadratic, poly_slope(poly)))
            if order
            else (1,)
        )
        return (riccati(name, g, weight, mp_g, mp_weight, quadratic, order + 1, after, latex),)

    return Nonlinearity(
        name=name + "'" * order,
        fn=(lambda x: weight(x) * horner(poly, g(x))) if order else g,
        partials=derivative,
        mp=(lambda ctx, x: mp_weight(ctx, x) * horner(poly, mp_g(ctx, x))) if order else mp_g,
        latex=(latex or roman(name)) + "'" * order,
    )


def gaussian(name: str, order: int, rate: Fraction, poly: tuple[int, ...], unit: Unit, latex: str) -> Nonlinearity:
    """unit * poly(x) * exp(-rate x^2), whose derivative is again of this form."""
    after = tuple(int(c) for c in poly_plus(poly_slope(poly), poly_times((0, -2 * rate), poly)))
    scale, decay = float(unit(math)), float(rate)
    return Nonlinearity(
        name=name + "'" * order,
        fn=lambda x: scale * horner(poly, np.asarray(x)) * np.exp(-decay * np.square(x)),
        partials=lambda: (gaussian(name, order + 1, rate, after, unit, latex),),
        family=("gauss", decay, tuple(scale * c for c in poly)),
        mp=lambda ctx, x: unit(ctx) * horner(poly, x) * ctx.exp(-mpf(ctx, rate) * x * x),
        latex=latex + "'" * order,
    )


def algebraic(
    name: str, order: int, sign: int, square: int, power: Fraction, poly: tuple[Any, ...] = (1,)
) -> Nonlinearity:
    """poly(x) / w(x)^power with w(x) = sign + square x^2; (P w^-e)' = (P' w - e w' P) w^-(e+1)."""
    w = (sign, 0, square)
    after = poly_plus(poly_times(poly_slope(poly), w), poly_times((0, -2 * square * power), poly))
    exponent = float(power)

    def quadratic(x: Any) -> Any:
        if sign == square:
            return sign + square * x * x
        return sign * (1 - x) * (1 + x)  # 1 - x^2 cancels at the ends

    def fn(x: Any) -> Any:
        values = np.asarray(x, dtype=float)
        return horner([float(c) for c in poly], values) / np.power(quadratic(values), exponent)

    return Nonlinearity(
        name=name + "'" * order,
        fn=fn,
        partials=lambda: (algebraic(name, order + 1, sign, square, power + 1, after),),
        kinks=() if sign == square else (-1.0, 1.0),
        mp=lambda ctx, x: horner([mpf(ctx, c) for c in poly], x) / quadratic(x) ** mpf(ctx, power),
        latex=roman(name) + "'" * order,
    )


def monomial(
    name: str,
    scale: Number,
    power: Number,
    *,
    order: int = 0,
    shift: int = 0,
    unit: Unit = one,
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
            monomial(
                name, scale * power, power - 1, order=order + 1, shift=shift, unit=unit, params=params, latex=latex
            ),
        )

    edge = () if polynomial else (-float(shift),)
    return Nonlinearity(
        name=name + "'" * order,
        fn=fn or (lambda x: c * np.power(np.asarray(x, dtype=float) + shift, p)),
        partials=derivative,
        kinks=edge,
        jumps=edge if whole else (),
        family=() if polynomial or shift or unit is not one else ("power", c, p),
        pieces=(Pieces((), ((*[0] * int(p), scale),)) if polynomial and not shift and unit is one else None),
        mp=lambda ctx, x: unit(ctx) * mpf(ctx, scale) * (ctx.mpf(x) + shift) ** mpf(ctx, power),
        latex=(latex or roman(name)) + "'" * order,
        params=params,
    )


def ridge(f: Nonlinearity, scale: int, direction: tuple[int, ...]) -> Nonlinearity:
    """args -> scale * f(direction . args)."""

    def inner(args: tuple[Any, ...]) -> Any:
        return sum(d * x for d, x in zip(direction, args, strict=True))

    def derivative() -> tuple[Nonlinearity | None, ...]:
        (slope,) = f.partials() if f.partials else (None,)
        return tuple(None if slope is None else ridge(slope, scale * d, direction) for d in direction)

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
