"""Truncated power series: the Taylor coefficients at 0 of a function written with + - * / ** and np.sqrt, exp, log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import exp, isqrt, log, sqrt
from numbers import Real
from typing import Any

from .errors import BadParameter

Number = Any

_SPARE = 8  # coefficients that divisions by z may use up


class PowerSeries:
    """``sum_k coefficients[k] z^k``, truncated; rational where its data are."""

    __slots__ = ("coefficients",)

    def __init__(self, coefficients: Sequence[Number]) -> None:
        self.coefficients = [Fraction(c) if isinstance(c, int) else c for c in coefficients]

    def _of(self, other: Any) -> PowerSeries:
        if isinstance(other, PowerSeries):
            return other
        if not isinstance(other, Real):
            raise TypeError(f"a power series and {other!r}")
        value = other if isinstance(other, int | Fraction) else float(other)
        return PowerSeries([value] + [0] * (len(self.coefficients) - 1))

    def __add__(self, other: Any) -> PowerSeries:
        return PowerSeries([a + b for a, b in zip(self.coefficients, self._of(other).coefficients, strict=False)])

    def __neg__(self) -> PowerSeries:
        return PowerSeries([-a for a in self.coefficients])

    def __sub__(self, other: Any) -> PowerSeries:
        return self + (-self._of(other))

    def __rsub__(self, other: Any) -> PowerSeries:
        return self._of(other) - self

    def __mul__(self, other: Any) -> PowerSeries:
        a, b = self.coefficients, self._of(other).coefficients
        return PowerSeries([sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(min(len(a), len(b)))])

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Any) -> PowerSeries:
        a, b = list(self.coefficients), list(self._of(other).coefficients)
        while b and b[0] == 0:  # a common power of z
            if a[0] != 0:
                raise ZeroDivisionError("a pole at 0")
            a, b = a[1:], b[1:]
        if not b:
            raise ZeroDivisionError("a division by the series 0")
        out: list[Number] = []
        for k in range(min(len(a), len(b))):
            out.append((a[k] - sum(out[i] * b[k - i] for i in range(k))) / b[0])
        return PowerSeries(out)

    def __rtruediv__(self, other: Any) -> PowerSeries:
        return self._of(other) / self

    def __pow__(self, exponent: Any) -> PowerSeries:
        if float(exponent).is_integer():
            out = self._of(1)
            for _ in range(abs(int(exponent))):
                out = out * self
            return out if exponent >= 0 else 1 / out
        return self.sqrt() if exponent == 0.5 else (self.log() * exponent).exp()

    def sqrt(self) -> PowerSeries:
        """The root with a positive constant term."""
        a = self.coefficients
        if not a[0] > 0:
            raise ZeroDivisionError("a square root that is not analytic at 0")
        out: list[Number] = [_root(a[0])]
        for k in range(1, len(a)):
            out.append((a[k] - sum(out[i] * out[k - i] for i in range(1, k))) / (2 * out[0]))
        return PowerSeries(out)

    def exp(self) -> PowerSeries:
        """k e_k = sum_i i a_i e_{k-i}."""
        a = self.coefficients
        out: list[Number] = [1 if a[0] == 0 else exp(a[0])]
        for k in range(1, len(a)):
            out.append(sum(i * a[i] * out[k - i] for i in range(1, k + 1)) / Fraction(k))
        return PowerSeries(out)

    def log(self) -> PowerSeries:
        """k a_0 l_k = k a_k - sum_{0<i<k} i l_i a_{k-i}."""
        a = self.coefficients
        if not a[0] > 0:
            raise ZeroDivisionError("a logarithm that is not analytic at 0")
        out: list[Number] = [0 if a[0] == 1 else log(a[0])]
        for k in range(1, len(a)):
            out.append((k * a[k] - sum(i * out[i] * a[k - i] for i in range(1, k))) / (k * a[0]))
        return PowerSeries(out)


def _root(value: Number) -> Number:
    if isinstance(value, Fraction):
        p, q = isqrt(value.numerator), isqrt(value.denominator)
        if p * p == value.numerator and q * q == value.denominator:
            return Fraction(p, q)
    return sqrt(value)


def taylor(f: Callable[[Any], Any], order: int) -> list[Number]:
    """The coefficients of z^0 .. z^order of f at 0.

    Raises
    ------
    BadParameter
        If f cannot be expanded: it does something else to its argument, or is singular at 0.

    Examples
    --------
    >>> import numpy as np
    >>> [int(c) for c in taylor(lambda z: (1 - np.sqrt(1 - 4 * z)) / (2 * z), 5)]
    [1, 1, 2, 5, 14, 42]
    """
    size = order + 1 + _SPARE
    try:
        out = f(PowerSeries([0, 1] + [0] * (size - 2)))
    except (TypeError, ZeroDivisionError, AttributeError, ValueError, OverflowError) as error:
        raise BadParameter(
            f"no Taylor series at 0: {error}",
            remedy="write the function with + - * / **, np.sqrt, np.exp, np.log, analytic at 0, or list the coefficients",
        ) from None
    if isinstance(out, Real):
        out = PowerSeries([out if isinstance(out, int | Fraction) else float(out)] + [0] * order)
    if not isinstance(out, PowerSeries) or len(out.coefficients) <= order:
        raise BadParameter("no Taylor series at 0", remedy="return a number or an expression in the argument")
    return out.coefficients[: order + 1]
