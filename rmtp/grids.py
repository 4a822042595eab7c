"""Grids of parameters: the points of a study, in order, with their axes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .errors import BadParameter

REMEDY = 'a dict of lists, as in {"rho": [1, 2]}, or a list of dicts, as in [{"rho": 1}, {"rho": 2}]'
POINT = "point"  # the one axis of a list of points


@dataclass(frozen=True)
class Grid:
    """Points of named parameters.

    Attributes
    ----------
    names : tuple of str
    points : tuple of dict
        In C order of the axes.
    axes : dict of str to tuple
        The values along each axis of a product; of a list of points, its numbers.
    """

    names: tuple[str, ...]
    points: tuple[dict[str, Any], ...]
    axes: dict[str, tuple[Any, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """One length per axis; () for the one point without parameters."""
        return tuple(len(values) for values in self.axes.values())


def grid(given: Any) -> Grid:
    """The grid that a user gave, a product or a list of points; None is the one point without parameters.

    Raises
    ------
    BadParameter
        If it is neither, is empty, or holds numbers that are not finite.

    Examples
    --------
    >>> grid({"a": [1, 2], "b": "x y".split()}).shape
    (2, 2)
    >>> grid([{"a": 1}, {"a": 3}]).points
    ({'a': 1}, {'a': 3})
    """
    match given:
        case None:
            return Grid((), ({},), {})
        case Mapping() if given:
            axes = {_name(name): _values(name, values) for name, values in given.items()}
            points = tuple(dict(zip(axes, values)) for values in itertools.product(*axes.values()))
            return Grid(tuple(axes), points, axes)
        case list() | tuple() if given and all(isinstance(p, Mapping) and p for p in given):
            names = tuple(_name(name) for name in given[0])
            for k, point in enumerate(given):
                if set(point) != set(names):
                    raise BadParameter(
                        f"point {k} has the parameters {', '.join(map(str, point))}, point 0 has {', '.join(names)}",
                        remedy="the same names at every point",
                    )
            points = tuple({name: _value(name, point[name]) for name in names} for point in given)
            return Grid(names, points, {POINT: tuple(range(len(points)))})
        case _:
            raise BadParameter(f"grid={given!r}", remedy=REMEDY)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise BadParameter(f"the parameter name {name!r}", remedy="a name that a function can have as an argument")
    return name


def _values(name: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise BadParameter(f"{name}: an array of shape {values.shape}", remedy="a sequence of values")
    if not isinstance(values, list | tuple | range | np.ndarray) or not len(values):
        raise BadParameter(f"{name}: {values!r}", remedy="a sequence of at least one value")
    return tuple(_value(name, v) for v in values)


def _value(name: str, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float | complex) and not np.isfinite(value):
        raise BadParameter(f"{name} = {value!r}", remedy="finite numbers")
    return value


def numeric(values: Any) -> bool:
    """Whether all values are real numbers (bool is none), so that an axis of a figure can be to scale."""
    return all(isinstance(v, int | float | Fraction) and not isinstance(v, bool) for v in values)


def place(point: Mapping[str, Any]) -> str:
    """A point for a reader.

    Examples
    --------
    >>> place({"rho": Fraction(1, 2), "depth": 3})
    'rho = 1/2, depth = 3'
    """
    return ", ".join(f"{name} = {short_value(value)}" for name, value in point.items())


def short_value(value: Any) -> str:
    """A value of a parameter in a few characters."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
