"""The ring a limit is computed in: numbers as they come, rationals only, or mpmath to any precision."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from .ensembles import Number
from .errors import BadParameter, NotExact, UnsupportedOperation
from .quantity import rational


class Copies(np.ndarray):
    """Floats over a sweep, with a last axis of perturbed copies or replicates.

    A Fraction that meets them becomes a float; a plain array would become an array of objects.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [float(v) if isinstance(v, Fraction) else np.asarray(v) if isinstance(v, Copies) else v for v in inputs]
        if "out" in kwargs:
            kwargs["out"] = tuple(v.view(np.ndarray) if isinstance(v, Copies) else v for v in kwargs["out"])
        result = getattr(ufunc, method)(*plain, **kwargs)
        return result.view(Copies) if isinstance(result, np.ndarray) and result.dtype == float else result


def as_number(value: Any) -> Number:
    """A computed value as a number of the engine: a float, or `Copies`."""
    array = np.asarray(value)
    if array.dtype == object:
        return value
    return float(array) if array.ndim == 0 else np.ascontiguousarray(array, dtype=float).view(Copies)


MOST_DIGITS = 100_000
_GUARD_DIGITS = 10


def precision(dps: int) -> Any:
    """An mpmath context of its own, with guard digits."""
    if isinstance(dps, bool) or not isinstance(dps, int) or not 1 <= dps <= MOST_DIGITS:
        raise BadParameter(f"dps={dps!r}", remedy=f"a number of decimal digits, 1 to {MOST_DIGITS}")
    import mpmath  # only dps= needs it

    ctx = mpmath.MPContext()
    ctx.dps = dps + _GUARD_DIGITS
    return ctx


def converter(exact: bool, ctx: Any) -> Callable[[Number], Number]:
    """The map from given numbers to numbers of the ring; sweeps get a last axis for perturbed copies."""

    def convert(value: Number) -> Number:
        if isinstance(value, np.ndarray) and value.ndim:
            if ctx is not None:
                raise UnsupportedOperation("a sweep with dps=", remedy="one call of limit per value, or drop dps=")
            if exact or value.dtype == object:
                flat = [rational(v) if exact else _simple(v) for v in value.ravel()]
                out = np.empty(len(flat), dtype=object)
                out[:] = flat
                return out.reshape(value.shape)[..., None]
            return as_number(value.astype(float)[..., None])
        if ctx is not None:
            return _mpf(ctx, value)
        return rational(value) if exact else _simple(value)

    return convert


def _simple(value: Number) -> Number:
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    return Fraction(value) if isinstance(value, int) else value


def _mpf(ctx: Any, value: Number) -> Number:
    if hasattr(value, "_mpf_"):
        return ctx.mpf(value)
    try:
        value = rational(value)
    except NotExact:
        return ctx.mpf(float(value))
    return ctx.mpf(value.numerator) / value.denominator
