"""Scalings of initialisation and learning rate with the width.

An abc-parametrisation of a network with L hidden layers, ``h^1 = W^1 x``, ``x^l = phi(h^l)``, ``f = W^(L+1) x^L``, is
``W^l = n^(-a_l) w^l``, ``w^l ~ N(0, n^(-2 b_l))``, and the trained w^l move at the learning rate ``eta n^-c``
(Yang & Hu 2021, 2011.14522, section 3). The plane of Golikov (2020, 2006.06574) is its case of one hidden layer with
``f = sigma sum_r a_r phi(w_r x)``, ``sigma ~ n^q_sigma``, and rates ``n^q~`` for a and w of unit variance:
``a_2 = -q_sigma``, ``c = -q~``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import BadParameter

HALF = Fraction(1, 2)
NAMED = ("ntk", "mean field", "sym-default", "standard", "standard, constant rate", "mup", "ic-mf")
_ALIASES = {
    "mf": "mean field",
    "mfp": "mean field",
    "ntp": "ntk",
    "sp": "standard",
}
POINTS = {  # of the plane, one for each of the other limit models
    "mf-ntk": ("-3/4", "1/2"),
    "ntk-sym": ("-1/2", "1/4"),
    "sym-mf": ("-3/4", "3/4"),
    "post-mf": ("-3/2", "3/2"),
    "pre-sym": (0, 0),
    "post-ntk": (-1, "1/2"),
    "pre-ntk": (0, "-1/2"),
    "barycenter": ("-2/3", "1/2"),
    "post-mf-ntk": (-1, "3/4"),
    "pre-ntk-sym": (0, "-1/4"),
}


@dataclass(frozen=True)
class ABC:
    """An abc-parametrisation of a network with L hidden layers.

    Attributes
    ----------
    a, b : tuple of L + 1 Fractions
        Layer by layer, the readout last.
    c : Fraction

    Raises
    ------
    BadParameter
        If a and b are not of one length >= 2, or an exponent is no finite number.

    Examples
    --------
    >>> ABC(a=("-1/2", 0, "1/2"), b=("1/2", "1/2", "1/2"), c=0)
    ABC(a=(-1/2, 0, 1/2), b=(1/2, 1/2, 1/2), c=0)
    """

    a: tuple[Fraction, ...]
    b: tuple[Fraction, ...]
    c: Fraction

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise BadParameter(f"{name}={value!r}", remedy="one exponent per layer, the readout last")
            object.__setattr__(self, name, tuple(exponent(v) for v in value))
        object.__setattr__(self, "c", exponent(self.c))
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise BadParameter(
                f"a of {len(self.a)} and b of {len(self.b)} layers", remedy="as many of one as of the other, at least 2"
            )

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return len(self.a) - 1

    def shifted(self, theta: Any) -> ABC:
        """The equivalent ``a + theta, b - theta, c - 2 theta``: the same network and the same training.

        Examples
        --------
        >>> ABC((0, 1), (0, 0), -1).shifted("-1/2")
        ABC(a=(-1/2, 1/2), b=(1/2, 1/2), c=0)
        """
        t = exponent(theta)
        return ABC(tuple(x + t for x in self.a), tuple(x - t for x in self.b), self.c - 2 * t)

    @property
    def plane(self) -> tuple[Fraction, Fraction] | None:
        """(q_sigma, q~) of a network with one hidden layer whose layers learn at one rate; None for any other.

        Examples
        --------
        >>> named("mup").plane == named("mean field").plane
        True
        """
        if self.depth != 1 or self.a[0] + self.b[0] != 0 or self.a[0] + self.b[1] != 0:
            return None
        return -(self.a[1] + self.b[1]), -(self.c + 2 * self.a[0])

    def __repr__(self) -> str:
        a, b = (f"({', '.join(map(str, row))})" for row in (self.a, self.b))
        return f"ABC(a={a}, b={b}, c={self.c})"


def exponent(value: Any) -> Fraction:
    """A power of the width: an int, a Fraction, a string as "-1/2", or a float, taken as the simple fraction it is close to.

    Raises
    ------
    BadParameter
        For anything else, or a number that is not finite.

    Examples
    --------
    >>> exponent("-1/2"), exponent(-2 / 3), exponent(0.1)
    (Fraction(-1, 2), Fraction(-2, 3), Fraction(1, 10))
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, int | str | Fraction):
            return Fraction(value)
        exact = Fraction(float(value))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise BadParameter(f"the exponent {value!r}", remedy='a finite number such as -1, 0.25 or "-1/2"') from None
    simple = exact.limit_denominator(1000)
    return simple if abs(simple - exact) < Fraction(1, 10**12) else exact


def plane(q_sigma: Any, q_tilde: Any) -> ABC:
    """The scaling ``sigma ~ n^q_sigma``, rates ``~ n^q~``, of one hidden layer.

    Examples
    --------
    >>> plane("-1/2", 0)
    ABC(a=(0, 1/2), b=(0, 0), c=0)
    """
    return ABC((Fraction(0), -exponent(q_sigma)), (Fraction(0), Fraction(0)), -exponent(q_tilde))


def named(name: str, depth: int = 1) -> ABC:
    """A scaling by its name, with `depth` hidden layers.

    "ntk": NTK parametrisation. "mean field": averages instead of sums, each layer at the rate at which it moves (Golikov 2020,
    section 4): the rates of "mup", with inner matrices of variance n^-2. "sym-default": the initialisation of "ntk" and a rate
    n^(1/2), the largest at which features stay finite. "standard": variances 1/n and the rate 1/n, the largest stable one.
    "standard, constant rate": the same without that factor. "mup": the maximal update parametrisation. "ic-mf": "mean field"
    with the initial function of "ntk" added. Any other of the thirteen limit models by its own name, for one
    hidden layer: a point of the plane that has it.

    Raises
    ------
    BadParameter
        If the name is unknown, or depth no positive int (for points of the plane: not 1).

    Examples
    --------
    >>> named("mup", 2)
    ABC(a=(-1/2, 0, 1/2), b=(1/2, 1/2, 1/2), c=0)
    """
    key = key_of(name)
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise BadParameter(f"depth={depth!r}", remedy="the number of hidden layers, at least 1")
    zero, inner = Fraction(0), depth - 1
    zeros = (zero,) * (depth + 1)
    match key:
        case "ntk":
            return ABC((zero, *(HALF,) * depth), zeros, zero)
        case "sym-default":
            return ABC((zero, *(HALF,) * depth), zeros, -HALF)
        case "mean field" | "ic-mf" if depth == 1:
            return ABC((zero, Fraction(1)), zeros, Fraction(-1))
        case "mean field" | "ic-mf":
            return ABC((-HALF, *(zero,) * inner, HALF), (HALF, *(Fraction(1),) * inner, HALF), zero)
        case "standard":
            return ABC(zeros, (zero, *(HALF,) * depth), Fraction(1))
        case "standard, constant rate":
            return ABC(zeros, (zero, *(HALF,) * depth), zero)
        case "mup":
            return ABC((-HALF, *(zero,) * inner, HALF), (HALF,) * (depth + 1), zero)
    if depth != 1:
        raise BadParameter(f'"{key}" with {depth} hidden layers', remedy="one hidden layer, for which it is defined")
    return plane(*POINTS[key])


def deep_mean_field(scaling: ABC) -> bool:
    """Whether a scaling is "mean field" with several hidden layers, up to a shift.

    Examples
    --------
    >>> deep_mean_field(named("mean field", 2).shifted(1)), deep_mean_field(named("mup", 2))
    (True, False)
    """
    known = named("mean field", scaling.depth)
    return scaling.depth > 1 and scaling.shifted(known.a[0] - scaling.a[0]) == known


def key_of(name: Any) -> str:
    text = str(name).strip().lower().replace("μ", "mu").replace("_", "-")
    key = _ALIASES.get(text, "mean field" if text == "mean-field" else text)
    if key not in NAMED and key not in POINTS:
        raise BadParameter(
            f"the scaling {name!r}", remedy=f"one of {', '.join(NAMED)}, a pair (q_sigma, q~), or an ABC"
        )
    return key
