"""A user's formula as a function of the parameters of a grid: a number, a callable, a sympy expression, or several of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .arguments import reals, shown
from .errors import BadParameter, RmtpError
from .grids import Grid, place
from .results import Estimate

GUARD = 10  # digits beyond those asked for, with which a formula is evaluated
Number = tuple[Any, float]  # a value and its absolute error


@dataclass(frozen=True, eq=False)
class Formula:
    """What a user claims, callable with the parameters of a point.

    Attributes
    ----------
    text : str
    names : tuple of str
        The parameters of the grid that it uses.
    at : callable
        ``at(point)`` gives {quantity: (value, error)}.
    """

    text: str
    names: tuple[str, ...]
    at: Callable[[Mapping[str, Any]], dict[str, Number]]


def formula(given: Any, grid: Grid, dps: int | None) -> Formula:
    """The claim that a user gave, checked against the names of the grid.

    Raises
    ------
    BadParameter
        If it needs parameters that the grid lacks, or is nothing that has a value. Calling ``at`` raises it too, if the
        claim raises, or returns something that is not a finite real number.
    """
    if _symbolic(given):
        names = tuple(sorted(str(s) for s in _symbols(given)))
        _check_names(str(given), names, grid)
        call: Callable[..., Any] = lambda **chosen: _substituted(given, chosen, dps)  # noqa: E731
        return Formula(str(given), names, lambda point: _evaluate(str(given), call, names, point, dps))
    if callable(given) and not isinstance(given, Estimate):  # an Estimate calls itself
        names = accepted(given, grid, "the claim")
        text = getattr(given, "__name__", type(given).__name__)
        text = "the claim" if text == "<lambda>" else text
        call = lambda **chosen: _precisely(given, chosen, dps)  # noqa: E731
        return Formula(text, names, lambda point: _evaluate(text, call, names, point, dps))
    return Formula("the claim", (), lambda point: _evaluate("the claim", lambda: given, (), point, dps))


def accepted(function: Callable[..., Any], grid: Grid, what: str, extra: int = 0) -> tuple[str, ...]:
    """The parameters of the grid that a function takes by name, after `extra` positional arguments.

    Raises
    ------
    BadParameter
        If it needs others.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise BadParameter(
            f"{what} {function!r} does not say its parameters",
            remedy=f"a function with named arguments, as in lambda {grid.names[0] if grid.names else 'x'}: ...",
        ) from None
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)][extra:]
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return grid.names
    lacking = [p.name for p in named if p.default is p.empty and p.name not in grid.names]
    lacking += [p.name for p in parameters[extra:] if p.kind == p.POSITIONAL_ONLY]
    _refuse_lacking(what, lacking, grid)
    return tuple(name for name in grid.names if name in {p.name for p in named})


def check_used(grid: Grid, *used: tuple[str, ...]) -> None:
    """Every parameter of the grid must reach something."""
    for name in grid.names:
        if not any(name in names for names in used):
            raise BadParameter(
                f"no function here takes the parameter {name}", remedy=f"an argument {name}, or a grid without it"
            )


def quantities(value: Any) -> dict[str, Any]:
    """One value, a sequence or a dict of them, by name; the name of a single one is empty."""
    match value:
        case Mapping():
            return {str(name): each for name, each in value.items()}
        case list() | tuple():
            return {f"[{k}]": each for k, each in enumerate(value)}
        case np.ndarray() if value.ndim == 1:
            return {f"[{k}]": each for k, each in enumerate(value)}
        case _:
            return {"": value}


def number(value: Any, what: str, dps: int | None = None) -> Number:
    """A finite real number, exact where its type is, and its error."""
    if isinstance(value, Estimate):
        inner, error = number(value.value, what, dps)
        return inner, float(np.hypot(error, number(value.error, what)[0]))
    if _symbolic(value):
        value = _substituted(value, {}, dps)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        reals(value, what, "a number that a float can hold")
        return Fraction(value), 0.0
    if isinstance(value, float) and np.isfinite(value):
        return value, 0.0
    if hasattr(value, "_mpf_") and np.isfinite(float(value)):
        digits = dps or 15
        return value, float(abs(value) * 10.0 ** (1 - digits)) + 10.0 ** (-2 * digits)
    raise BadParameter(
        f"{what} is {shown(value)}", remedy="a finite real number: int, Fraction, float, mpf, or an Estimate"
    )


# ---------------------------------------------------------------------------------------------
# evaluation


def _evaluate(
    text: str, call: Callable[..., Any], names: tuple[str, ...], point: Mapping[str, Any], dps: int | None
) -> dict[str, Number]:
    where = place(point)
    try:
        found = call(**{name: point[name] for name in names})
    except RmtpError:
        raise
    except Exception as error:
        raise BadParameter(
            f"{text} raises {type(error).__name__}: {error}", where=where, remedy="a formula defined on the whole grid"
        ) from error
    try:
        return {name: number(value, f"{text}{name}", dps) for name, value in quantities(found).items()}
    except BadParameter as error:
        raise error.located(where) from None


def _precisely(call: Callable[..., Any], point: Mapping[str, Any], dps: int | None) -> Any:
    if dps is None:
        return call(**point)
    import mpmath

    with mpmath.workdps(dps + GUARD):
        return call(**{name: _precise(value, mpmath) for name, value in point.items()})


def _precise(value: Any, mpmath: Any) -> Any:
    """A fraction or float in the working precision. An int stays one: it may count something, and powers of it are mpf's."""
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value) if isinstance(value, float) else value


def _check_names(text: str, names: tuple[str, ...], grid: Grid) -> None:
    _refuse_lacking(text, [name for name in names if name not in grid.names], grid)


def _refuse_lacking(what: str, lacking: list[str], grid: Grid) -> None:
    if lacking:
        has = f"the grid has {', '.join(grid.names)}" if grid.names else "there is no grid"
        raise BadParameter(
            f"{what} needs {', '.join(lacking)}; {has}", remedy=f'grid={{"{lacking[0]}": [...]}}, or another name'
        )


# ---------------------------------------------------------------------------------------------
# sympy


def _symbolic(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_symbolic(v) for v in value)
    if isinstance(value, Mapping):
        return any(_symbolic(v) for v in value.values())
    return hasattr(value, "free_symbols") and hasattr(value, "subs")


def _symbols(value: Any) -> set[Any]:
    if isinstance(value, list | tuple):
        return {s for v in value for s in _symbols(v)}
    if isinstance(value, Mapping):
        return _symbols(list(value.values()))
    return set(getattr(value, "free_symbols", ()))


def _substituted(value: Any, point: Mapping[str, Any], dps: int | None) -> Any:
    """A sympy expression at a point, as a number of Python."""
    if isinstance(value, list | tuple):
        return [_substituted(v, point, dps) for v in value]
    if isinstance(value, Mapping):
        return {name: _substituted(v, point, dps) for name, v in value.items()}
    if not _symbolic(value):
        return value
    import sympy  # the caller has it: the expression is sympy's

    exact = value.subs({s: _rational(point[str(s)], sympy) for s in value.free_symbols})
    if exact.is_Rational:
        return Fraction(int(exact.p), int(exact.q))
    digits = 17 if dps is None else dps + GUARD
    return _real(sympy.N(exact, digits), dps, exact)


def _rational(value: Any, sympy: Any) -> Any:
    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    return sympy.Rational(value) if isinstance(value, float) else value  # a float is the rational that it is


def _real(value: Any, dps: int | None, shown: Any) -> Any:
    if not value.is_real or not value.is_finite:
        raise BadParameter(f"{shown} has no finite real value", remedy="a formula that is real on the whole grid")
    if dps is None:
        return float(value)
    import mpmath

    with mpmath.workdps(dps + GUARD):
        return mpmath.mpf(value._mpf_)
