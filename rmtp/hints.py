"""What a wrong formula may have got wrong: the usual slips of normalisation, each tried on every point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from .comparison import Row
from .grids import numeric

MOST = 3
POWERS = (Fraction(-1), Fraction(1), Fraction(-1, 2), Fraction(1, 2), Fraction(-2), Fraction(2))
SIMPLE: tuple[tuple[str, Any], ...] = (
    ("-1", Fraction(-1)),
    *((str(q), q) for p in (2, 3, 4, 6, 8) for q in (Fraction(p), Fraction(1, p), Fraction(-p), Fraction(-1, p))),
    *(("sqrt(2)", 2**0.5), ("1/sqrt(2)", 2**-0.5), ("pi", np.pi), ("1/pi", 1 / np.pi)),
    *(("2/pi", 2 / np.pi), ("pi/2", np.pi / 2), ("2 pi", 2 * np.pi), ("1/(2 pi)", 1 / (2 * np.pi))),
    *(("sqrt(2/pi)", (2 / np.pi) ** 0.5), ("sqrt(pi/2)", (np.pi / 2) ** 0.5)),
)
Again = Callable[[Mapping[str, Any]], Any]  # the claim at other parameters, or None where it has no value


def hints(rows: Sequence[Row], again: Again) -> tuple[str, ...]:
    """Simple changes of a claim that make it agree at every point; at most `MOST`, the simplest first.

    Parameters
    ----------
    rows : sequence of Row
        One quantity over a grid; the claim departs at one of them at least.
    again : callable
        The claim at a point of changed parameters, or None.

    Examples
    --------
    >>> from rmtp.results import Estimate
    >>> rows = [Row("", Estimate(Fraction(2 * k), 0, "exact"), Fraction(k), parameters={"k": k}) for k in (1, 2, 3)]
    >>> hints(rows, lambda point: None)
    ('2 * claim agrees at all 3 points: a factor that the normalisation misses?',)
    """
    if not all(np.isfinite(float(row.analytic)) for row in rows):
        return ()
    found: list[str] = []
    for text in (
        *_factors(rows),
        *_powers(rows),
        *_functions(rows),
        *_parameters(rows, again),
        *_turned(rows, again),
        *_offsets(rows),
    ):
        if text not in found:
            found.append(text)
    return tuple(found[:MOST])


def _holds(rows: Sequence[Row], claims: Sequence[Any]) -> bool:
    return all(
        c is not None and bool(np.isfinite(float(c))) and replace(row, analytic=c).agrees
        for row, c in zip(rows, claims)
    )


def _points(rows: Sequence[Row]) -> str:
    return "agrees at the only point" if len(rows) == 1 else f"agrees at all {len(rows)} points"


def _plain(value: Any) -> Any:
    """Fractions stay; anything else as a float: a hint needs no more digits."""
    return value if isinstance(value, Fraction) else Fraction(value) if isinstance(value, int) else float(value)


def _pairs(rows: Sequence[Row]) -> list[tuple[Any, Any]]:
    return [(_plain(row.engine.value), _plain(row.analytic)) for row in rows]


def _ratio(a: Any, b: Any) -> Any:
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else float(a) / float(b)


def _name(factor: Any, rows: Sequence[Row], scaled: Callable[[Any], list[Any]]) -> tuple[str, bool]:
    """A constant by its simplest name that still agrees, and whether it has one."""
    for text, value in SIMPLE:
        if abs(float(value) / float(factor) - 1) < 0.02 and _holds(rows, scaled(value)):
            return text, True
    return (str(factor) if isinstance(factor, Fraction) else f"{factor:.8g}"), False


def _factors(rows: Sequence[Row]) -> Iterator[str]:
    pairs = _pairs(rows)
    if any(e == 0 or c == 0 for e, c in pairs):
        return
    scaled = lambda factor: [factor * c if _exact(factor, c) else float(factor) * float(c) for _, c in pairs]  # noqa: E731
    factor = _ratio(*_sharpest(rows, pairs))
    if not _holds(rows, scaled(factor)):
        return
    text, simple = _name(factor, rows, scaled)
    if simple or len(rows) > 1:  # at one point every ratio is a constant
        kind = "a sign" if text == "-1" else "a factor that the normalisation misses"
        yield f"{text} * claim {_points(rows)}: {kind}?"


def _exact(*values: Any) -> bool:
    return all(isinstance(v, Fraction) for v in values)


def _sharpest(rows: Sequence[Row], pairs: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The pair whose engine value has the smallest relative error."""
    relative = [float(row.engine.error) / max(abs(float(e)), 1e-300) for row, (e, _) in zip(rows, pairs)]
    return pairs[int(np.argmin(relative))]


def _positive(rows: Sequence[Row]) -> list[tuple[str, list[Any]]]:
    """Parameters that are positive numbers of at least two values."""
    columns = {name: [row.parameters[name] for row in rows] for name in rows[0].parameters}
    return [
        (name, [_plain(v) for v in values])
        for name, values in columns.items()
        if numeric(values) and min(values) > 0 and len(set(values)) > 1
    ]


def _power(base: Any, exponent: Fraction) -> Any:
    return base**exponent if exponent.denominator == 1 else float(base) ** float(exponent)


def _powers(rows: Sequence[Row]) -> Iterator[str]:
    """constant * parameter**power * claim."""
    pairs = _pairs(rows)
    if any(e == 0 or c == 0 for e, c in pairs):
        return
    for name, values in _positive(rows):
        for exponent in POWERS:
            base = [_power(v, exponent) for v in values]
            weighted = [b * c if _exact(b, c) else float(b) * float(c) for b, (_, c) in zip(base, pairs)]

            def scaled(factor: Any, weighted: list[Any] = weighted) -> list[Any]:
                return [factor * w if _exact(factor, w) else float(factor) * float(w) for w in weighted]

            found = f"{name}**({exponent})" if exponent != 1 else name
            why = "1/rows for 1/columns, or an average over the other width"
            if _holds(rows, scaled(Fraction(1))):
                yield f"{found} * claim {_points(rows)}: {why}?"
                continue
            factor = _ratio(_sharpest(rows, pairs)[0], scaled(Fraction(1))[pairs.index(_sharpest(rows, pairs))])
            if _holds(rows, scaled(factor)):
                text, simple = _name(factor, rows, scaled)
                if simple or len(set(values)) > 2:
                    yield f"{text} * {found} * claim {_points(rows)}: {why}?"


def _functions(rows: Sequence[Row]) -> Iterator[str]:
    claims = [c for _, c in _pairs(rows)]
    trials: list[tuple[str, str, Callable[[Any], Any]]] = [
        ("claim**2", "a standard deviation where the engine has a variance", lambda c: c**2),
        ("sqrt(claim)", "a variance where the engine has a standard deviation", _root),
        ("1/claim", "the inverse", lambda c: 1 / c if c else None),
        ("1 - claim", "the complement", lambda c: 1 - c),
    ]
    for text, why, function in trials:
        if _holds(rows, [function(c) for c in claims]):
            yield f"{text} {_points(rows)}: {why}?"


def _root(value: Any) -> Any:
    if value < 0:
        return None
    if isinstance(value, Fraction):
        root = Fraction(round(value.numerator**0.5), round(value.denominator**0.5))
        if root**2 == value:
            return root
    return float(value) ** 0.5


def _parameters(rows: Sequence[Row], again: Again) -> Iterator[str]:
    """The claim with another meaning of a parameter."""
    trials: list[tuple[str, str, Callable[[Any], Any]]] = [
        ("1/{}", "the ratio the other way round", lambda v: 1 / v),
        ("{}**2", "a standard deviation where the claim wants a variance", lambda v: v**2),
        ("sqrt({})", "a variance where the claim wants a standard deviation", _root),
    ]
    for name, values in _positive(rows):
        for text, why, function in trials:
            claims = [again({**row.parameters, name: function(v)}) for row, v in zip(rows, values)]
            if _holds(rows, claims):
                yield f"the claim at {text.format(name)} in place of {name} {_points(rows)}: {why}?"


def _turned(rows: Sequence[Row], again: Again) -> Iterator[str]:
    """The claim with the sign of a parameter changed."""
    for name in rows[0].parameters:
        values = [row.parameters[name] for row in rows]
        if numeric(values) and any(values):
            if _holds(rows, [again({**row.parameters, name: -v}) for row, v in zip(rows, values)]):
                yield f"the claim at -{name} in place of {name} {_points(rows)}: a sign?"


def _offsets(rows: Sequence[Row]) -> Iterator[str]:
    pairs = _pairs(rows)
    if len(rows) < 2 or len({c for _, c in pairs}) < 2:  # one value, again and again: a factor says as much
        return
    gaps = [e - c if _exact(e, c) else float(e) - float(c) for e, c in pairs]
    best = gaps[int(np.argmin([float(row.engine.error) for row in rows]))]
    if _holds(rows, [c + best if _exact(c, best) else float(c) + float(best) for _, c in pairs]):
        text = str(best) if isinstance(best, Fraction) else f"{best:.8g}"
        yield f"claim + ({text}) {_points(rows)}: a mean or a constant that is subtracted on one side only?"
