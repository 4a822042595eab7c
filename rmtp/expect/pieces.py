"""Algebra of piecewise polynomials, exact whenever the numbers are."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from ..errors import BadParameter
from ..nonlinearity import Number, Pieces


def odd_factorial(n: int) -> int:
    """(n - 1)!! = E z^n for even n."""
    return math.prod(range(1, n, 2))


def _exact(x: Number) -> Number:
    return Fraction(x) if isinstance(x, int) else x


def compose(poly: Sequence[Number], slope: Number, offset: Number) -> tuple[Number, ...]:
    """Coefficients of u -> poly(slope u + offset); floats are the rationals they are."""
    inexact = any(isinstance(x, float) for x in (*poly, slope, offset))
    result: list[Fraction] = [Fraction(0)]
    a, b = Fraction(slope), Fraction(offset)
    for coefficient in reversed(poly):
        lifted = [b * x for x in result] + [Fraction(0)]
        for k, x in enumerate(result):
            lifted[k + 1] += a * x
        lifted[0] += Fraction(coefficient)
        result = lifted
    return tuple(float(x) for x in result) if inexact else tuple(result)


def _tidy(breaks: Sequence[Number], polys: Sequence[Sequence[Number]]) -> Pieces:
    """Drop zero leading coefficients, and breaks between equal polynomials."""
    trimmed: list[tuple[Number, ...]] = []
    for poly in polys:
        row = list(poly) or [0]
        while len(row) > 1 and row[-1] == 0:
            row.pop()
        trimmed.append(tuple(row))
    kept_breaks: list[Number] = []
    kept = [trimmed[0]]
    for point, poly in zip(breaks, trimmed[1:], strict=True):
        if poly != kept[-1]:
            kept_breaks.append(point)
            kept.append(poly)
    return Pieces(tuple(kept_breaks), tuple(kept))


def multiply_pieces(p: Pieces, q: Pieces) -> Pieces:
    """The product of two piecewise polynomials, on the union of their breaks.

    Examples
    --------
    >>> from rmtp.catalogue import ABS, SIGN
    >>> multiply_pieces(ABS.pieces, SIGN.pieces)
    Pieces(breaks=(), polys=((0, 1),))
    """
    breaks = sorted({*p.breaks, *q.breaks})
    rows = []
    for left in (-math.inf, *breaks):
        a, b = p.polys[bisect_right(p.breaks, left)], q.polys[bisect_right(q.breaks, left)]
        row: list[Number] = [0] * (len(a) + len(b) - 1)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                row[i + j] += x * y
        rows.append(row)
    return _tidy(breaks, rows)


def add_pieces(p: Pieces, q: Pieces) -> Pieces:
    """The sum of two piecewise polynomials.

    Examples
    --------
    >>> from rmtp.catalogue import ABS
    >>> add_pieces(ABS.pieces, Pieces((), ((0, 1),)))
    Pieces(breaks=(0,), polys=((0,), (0, 2)))
    """
    breaks = sorted({*p.breaks, *q.breaks})
    rows = []
    for left in (-math.inf, *breaks):
        a, b = p.polys[bisect_right(p.breaks, left)], q.polys[bisect_right(q.breaks, left)]
        width = max(len(a), len(b))
        padded = zip((*a, *[0] * (width - len(a))), (*b, *[0] * (width - len(b))), strict=True)
        rows.append([x + y for x, y in padded])
    return _tidy(breaks, rows)


def pieces_power(p: Pieces, k: int) -> Pieces:
    """p to the nonnegative integer power k.

    Examples
    --------
    >>> from rmtp.catalogue import ABS
    >>> pieces_power(ABS.pieces, 2)
    Pieces(breaks=(), polys=((0, 0, 1),))
    """
    if k < 0:
        raise BadParameter(f"Power {k} of a piecewise polynomial.", remedy="use a nonnegative integer")
    result = Pieces((), ((1,),))
    for _ in range(k):
        result = multiply_pieces(result, p)
    return result


def shift_scale_pieces(p: Pieces, scale: Number, shift: Number) -> Pieces:
    """u -> p(scale u + shift).

    A zero scale gives the constant p(shift), which must not sit on a jump.

    Examples
    --------
    >>> from rmtp.catalogue import RELU
    >>> shift_scale_pieces(RELU.pieces, -2, 1).breaks
    (Fraction(1, 2),)
    """
    rows = [compose(poly, scale, shift) for poly in p.polys]
    if scale == 0:
        here, before = bisect_right(p.breaks, shift), bisect_right(p.breaks, shift) - (shift in p.breaks)
        if rows[here][0] != rows[before][0]:
            raise BadParameter(f"A constant argument {shift} on a jump.", remedy="evaluate the function itself there")
        return _tidy((), [rows[here]])
    breaks = [(_exact(t) - shift) / _exact(scale) for t in p.breaks]
    return _tidy(breaks, rows) if scale > 0 else _tidy(breaks[::-1], rows[::-1])


def piecewise_poly_exact(pieces_product: Pieces, mean: Number, var: Number) -> Fraction | None:
    """E p(u) as a Fraction, u ~ N(mean, var), or None where it is not rational or not known to be.

    Known: a single polynomial; a constant u off the jumps; and one break, at the mean, where the
    odd moments of a half line are rational multiples of sqrt(var/(2 pi)) and must cancel.

    Examples
    --------
    >>> from rmtp.catalogue import RELU
    >>> piecewise_poly_exact(pieces_power(RELU.pieces, 4), 0, Fraction(2))
    Fraction(6, 1)
    >>> piecewise_poly_exact(RELU.pieces, 0, 1) is None
    True
    """
    p = _tidy(pieces_product.breaks, pieces_product.polys)
    if any(isinstance(x, float) for x in (mean, var, *p.breaks, *(c for poly in p.polys for c in poly))):
        return None
    m, v = Fraction(mean), Fraction(var)
    centred = [[Fraction(c) for c in compose(poly, 1, m)] for poly in p.polys]
    if v == 0:
        here = bisect_right(p.breaks, m)
        before = here - (m in p.breaks)
        return centred[here][0] if centred[here][0] == centred[before][0] else None
    if len(centred) == 1:
        return sum((c * odd_factorial(k) * v ** (k // 2) for k, c in enumerate(centred[0]) if k % 2 == 0), Fraction(0))
    if p.breaks != (m,):
        return None
    below, above = centred
    even = odd = Fraction(0)
    for sign, poly in ((1, above), (-1, below)):
        for k, c in enumerate(poly):
            if k % 2:
                odd += sign * c * math.prod(range(2, k, 2)) * v ** (k // 2)
            else:
                even += c * odd_factorial(k) * v ** (k // 2) / 2
    return even if odd == 0 else None
