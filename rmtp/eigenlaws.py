"""What a rotationally invariant matrix needs of a law: moments or free cumulants, and values to draw it with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .arguments import items, reals
from .cumulants import is_moment_sequence
from .ensembles import Number
from .errors import BadParameter, NotExact, UnsupportedOperation
from .laws import Atom, Continuous, CoordinateLaw, GaussianLaw, as_law
from .powerseries import taylor
from .ring import rational
from .special import ndtr, ndtri

_STEP = 1e-3
_REACH, _NODES = 8.5, 1025
_AGREE, _NEAR = 1e-13, 1e-6

# ---------------------------------------------------------------------------------------------
# laws without a density


@dataclass(frozen=True)
class Moments:
    """The law with the moments m_1, m_2, .. given; a limit that needs a later one is refused.

    Parameters
    ----------
    given : sequence of numbers
        At least m_1 and m_2. For `BiInvariant` the moments of the singular values, odd ones included.

    Raises
    ------
    BadParameter
        If fewer than two are given, one is not finite, or no law has them.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> A, v = rmtp.Invariant(n, rmtp.Moments([0, 1, 0, 2])), rmtp.Normal(n)
    >>> rmtp.limit(np.mean((A @ (A @ v)) ** 2)).value
    Fraction(2, 1)
    """

    given: tuple[Number, ...]

    def __init__(self, given: Iterable[Number]) -> None:
        object.__setattr__(self, "given", _numbers(given, "Moments"))
        if len(self.given) < 2:
            raise BadParameter(f"Moments: {len(self.given)} given", remedy="at least the first two")
        if not is_moment_sequence(self.given):
            raise BadParameter(f"no law has the moments {list(self.given)}", remedy="the moments of a probability law")

    def moment(self, k: int) -> Number:
        """m_k."""
        if k > len(self.given):
            raise BadParameter(
                f"the moment of order {k} is needed, and {len(self.given)} are given",
                remedy="give more moments, or the law itself",
            )
        return self.given[k - 1]


@dataclass(frozen=True)
class FreeCumulants:
    """The law with the free cumulants kappa_1, kappa_2, .. given, and no others.

    Parameters
    ----------
    values : sequence of numbers
        At least one. For `BiInvariant` the rectangular ones; there kappa_1, kappa_3, .. are 0.

    Raises
    ------
    BadParameter
        If the list is empty or holds a number that is not finite. `Invariant` refuses cumulants that are no law's,
        as far as the first twelve moments tell.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> A, v = rmtp.Invariant(n, rmtp.FreeCumulants([1, 2])), rmtp.Normal(n)  # 1 + sqrt(2) GOE
    >>> rmtp.limit(np.mean((A @ v) ** 2)).value
    Fraction(3, 1)
    """

    values: tuple[Number, ...]

    def __init__(self, values: Iterable[Number]) -> None:
        object.__setattr__(self, "values", _numbers(values, "FreeCumulants"))
        if not self.values:
            raise BadParameter("FreeCumulants: an empty list", remedy="at least kappa_1")


@dataclass(frozen=True)
class RTransform:
    """The law with this R-transform, ``R(z) = sum_j kappa_{j+1} z^j``.

    Parameters
    ----------
    function : callable
        Written with + - * / ** and np.sqrt, np.exp, np.log, analytic at 0. For `BiInvariant` the rectangular one,
        ``R(z) = sum_j kappa_{2j} z^j`` with R(0) = 0.

    Notes
    -----
    Expanded at 0 exactly, by arithmetic on power series.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> A, v = rmtp.Invariant(n, rmtp.RTransform(lambda z: 1 / (1 - z))), rmtp.Normal(n)  # Marchenko-Pastur
    >>> rmtp.limit(np.mean((A @ v) ** 2)).value
    Fraction(2, 1)
    """

    function: Callable[[Any], Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise BadParameter(f"RTransform: {self.function!r}", remedy="a function of z")

    def __call__(self, z: Any) -> Any:
        """R(z), for numbers or complex arrays."""
        return self.function(z)

    def derivative(self, z: Any) -> Any:
        """R'(z) by central differences of fourth order: to about ten digits, away from singularities."""
        h = _STEP * (1 + abs(z))
        f = self.function
        return (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)


class Expanded:
    """Cumulants as Taylor coefficients, expanded as far as they are asked for."""

    def __init__(self, function: Callable[[Any], Any], step: int) -> None:
        self.function, self.step = function, step
        self._known: list[Number] = taylor(function, 8)
        self.rational = all(isinstance(c, Fraction) for c in self._known)

    def __call__(self, order: int) -> Number:
        if order % self.step:
            return 0
        power = order - 1 if self.step == 1 else order // 2
        if power >= len(self._known):
            self._known = taylor(self.function, 2 * power)
        return self._known[power]


def _numbers(values: Iterable[Number], what: str) -> tuple[Number, ...]:
    listed = [v.item() if isinstance(v, np.generic) else v for v in items(values, what)]
    if any(reals(v, what, "a list of finite numbers").ndim for v in listed):
        raise BadParameter(f"{what}: {values!r}", remedy="a list of finite numbers")
    return tuple(Fraction(v) if isinstance(v, int) else v for v in listed)


def read_number(value: Number) -> tuple[Number, bool]:
    """A Fraction if the number can be read as one (0.3 is 3/10), else the float; and whether it can."""
    try:
        return rational(value), True
    except NotExact:
        return float(value), False


def as_eigenlaw(law: Any, what: str) -> Any:
    """What was given as a law: a spectral law or one of the three classes above as they are, else a `CoordinateLaw`."""
    if isinstance(law, Moments | FreeCumulants | RTransform):
        return law
    spectral = all(callable(getattr(law, n, None)) for n in ("moment", "ppf", "support"))
    if spectral and not hasattr(law, "dist"):
        return law
    try:
        return as_law(law)
    except BadParameter as error:
        raise BadParameter(
            f"{what}: {error.problem}",
            remedy=f"{error.remedy}, a spectral law, rmtp.Moments, rmtp.FreeCumulants or rmtp.RTransform",
        ) from None


@dataclass(frozen=True)
class LawMoments:
    """The moments of a law: Fractions, or floats where they are integrals.

    Attributes
    ----------
    moment : callable
    rational : bool
        The law is given by ints and Fractions.
    readable : bool
        Its numbers can be read as rationals without doubt (0.3 is 3/10; 2**0.5 is a float and no more).
    """

    moment: Callable[[int], Number]
    rational: bool
    readable: bool = True


def moments_of_law(law: Any) -> LawMoments:
    """The moments of a law of eigenvalues or singular values; computed over the rationals where it has atoms only."""
    match law:
        case Moments(given):
            return LawMoments(lambda k: read_number(law.moment(k))[0], all_rational(given))
        case CoordinateLaw(components=components, weights=weights):
            if any(isinstance(part, Continuous) for part in components):
                summands = [
                    (float(w), _Quadrature(part) if isinstance(part, Continuous) else part)
                    for w, part in zip(weights, components, strict=True)
                ]
                return LawMoments(lambda k: float(sum(w * float(part.moment(k)) for w, part in summands)), False)
            data = [*weights, *(v for part in components for v in vars(part).values())]
            parts = tuple(type(part)(*(_exactly(v) for v in vars(part).values())) for part in components)
            exact = CoordinateLaw(parts, tuple(_exactly(w) for w in weights))
            return LawMoments(exact.moment, all_rational(data), all(read_number(v)[1] for v in data))
    return LawMoments(law.moment, all_rational([law.moment(1), law.moment(2)]))


class _Quadrature:
    """Moments of a continuous law through x = quantile(Phi(t)), by the trapezoid rule in t.

    Where two resolutions agree: the moments are then, to rounding, those of one law with finitely many atoms, and cumulants
    computed from them belong together. Moments integrated one by one (scipy's) are the fallback, and the proof of existence
    where the law has tails.
    """

    def __init__(self, law: Continuous) -> None:
        self.law = law
        self.bounded = bool(np.all(np.isfinite(law.frozen.support())))

    @cached_property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and weights."""
        t, step = np.linspace(-_REACH, _REACH, _NODES, retstep=True)
        values = np.where(t < 0, self.law.frozen.ppf(ndtr(t)), self.law.frozen.isf(ndtr(-t)))
        return values, np.exp(-t * t / 2) * step / math.sqrt(2 * math.pi)

    def moment(self, k: int) -> float:
        """E x^k."""
        x, w = self.nodes
        terms = w * x**k
        fine, coarse, size = float(np.sum(terms)), float(2 * np.sum(terms[::2])), float(np.sum(np.abs(terms)))
        if abs(fine - coarse) <= _AGREE * size and self.bounded:
            return fine
        known = self.law.moment(k)
        return fine if abs(fine - coarse) <= _AGREE * size and abs(fine - known) <= _NEAR * size else known


def _exactly(value: Number) -> Fraction:
    return Fraction(read_number(value)[0])


def all_rational(values: Sequence[Number]) -> bool:
    """Whether all are ints or Fractions."""
    return all(isinstance(v, int | Fraction) for v in values)


def refuse_negative(law: Any) -> None:
    """Singular values are >= 0."""
    negative = False
    match law:
        case FreeCumulants() | RTransform():
            return
        case Moments(given):
            negative = not is_moment_sequence(given, nonnegative=True)
        case CoordinateLaw(components=components):
            for part in components:
                match part:
                    case Atom(value):
                        negative |= bool(value < 0)
                    case GaussianLaw():
                        negative = True
                    case Continuous(frozen):
                        negative |= bool(frozen.support()[0] < 0)
        case _:
            lowest = [a for a, _ in law.support()] if np.ndim(law.support()) > 1 else list(law.support())[:1]
            negative = any(a < -1e-12 for a in [*lowest, *(atom.x for atom in getattr(law, "atoms", ()))])
    if negative:
        raise BadParameter("BiInvariant: singular values are >= 0", remedy="a law on [0, inf)")


# ---------------------------------------------------------------------------------------------
# quantiles


def values_at_quantiles(law: Any, size: int) -> np.ndarray:
    """`size` numbers whose average of any function is that of the law, up to O(1/size): quantiles, part by part.

    Raises
    ------
    UnsupportedOperation
        If the law is known by numbers that do not say where its mass is.

    Examples
    --------
    >>> import rmtp
    >>> values_at_quantiles(rmtp.Discrete([-1, 1]), 4)
    array([-1., -1.,  1.,  1.])
    """
    if isinstance(law, Moments | FreeCumulants | RTransform):
        raise UnsupportedOperation(
            f"a matrix with {type(law).__name__} cannot be drawn",
            remedy="give the law itself: atoms, a scipy.stats law or a spectral law",
        )
    if not isinstance(law, CoordinateLaw):
        return np.asarray(law.ppf((np.arange(size) + 0.5) / size), dtype=float)
    shares = np.array([float(w) for w in law.weights])
    edges = np.rint(np.cumsum(shares / shares.sum()) * size).astype(int)
    counts = np.diff(edges, prepend=0)
    return np.concatenate([_quantiles(part, n) for part, n in zip(law.components, counts, strict=True)])


def _quantiles(part: Atom | GaussianLaw | Continuous, size: int) -> np.ndarray:
    q = (np.arange(size) + 0.5) / max(size, 1)
    match part:
        case Atom(value):
            return np.full(size, float(value))
        case GaussianLaw(mean, var):
            return float(mean) + math.sqrt(float(var)) * np.asarray(ndtri(q))
        case Continuous(frozen):
            return np.asarray(frozen.ppf(q), dtype=float)
