"""Laws of one coordinate of an initial vector, as frozen data.

`Atoms`, `GaussianLaw` and `Continuous` are the three elementary laws; a `MixtureLaw` has them as
components. The expectation engine conditions on the component: an atom is then a number, a Gaussian joins the
other Gaussians, and only a continuous law costs a dimension of quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .arguments import items, reals
from .errors import BadParameter, DivergentExpectation
from .quantity import Quantity, given, is_symbolic, quantity_text
from .special import ndtr

Number = Any


@dataclass(frozen=True)
class Atom:
    """The constant `value`."""

    value: Number

    def moment(self, k: int) -> Number:
        return self.value**k


@dataclass(frozen=True)
class GaussianLaw:
    """N(mean, var); var > 0."""

    mean: Number
    var: Number

    def moment(self, k: int) -> Number:
        """E x^k by the recursion m_k = mean m_{k-1} + (k-1) var m_{k-2}, exact in the ring of the data."""
        previous, current = 0, 1
        for j in range(1, k + 1):
            previous, current = current, self.mean * current + (j - 1) * self.var * previous
        return current


@dataclass(frozen=True, eq=False)
class Continuous:
    """A frozen scipy.stats distribution with a density."""

    frozen: Any

    @property
    def is_standard_uniform(self) -> bool:
        return self.frozen.dist.name == "uniform" and self.frozen.support() == (0.0, 1.0)

    @cached_property
    def corners(self) -> tuple[float, ...]:
        """Where the quantile at Phi(t), as a function of t, is not smooth: jumps and kinks of the density."""
        values = _quantiles(self.frozen, _SCAN)
        least = _BEND * float(np.ptp(values))
        coarse = np.abs(np.diff(values, 3))
        fine = np.abs(np.diff(_quantiles(self.frozen, np.linspace(_SCAN[0], _SCAN[-1], 2 * len(_SCAN) - 1)), 3))
        within = np.max([fine[k : len(fine) - 3 + k : 2][: len(coarse)] for k in range(4)], axis=0)
        found: list[float] = []
        for k in np.flatnonzero((within > 0.2 * coarse) & (coarse > least)):  # the cube of the step would leave 1/8
            corner = _corner(self.frozen, _SCAN[k], _SCAN[k + 3], least)
            if corner is not None and all(abs(corner - t) > 1e-3 for t in found):
                found.append(corner)
        return tuple(found)

    def moment(self, k: int) -> float:
        """E x^k from scipy.stats; raises where it is infinite or undefined."""
        if k == 0:
            return 1.0
        value = float(self.frozen.moment(k))
        # a formula for the moment may go on where the moment has ceased to exist, so the tails are asked themselves
        near, far = 1e-8, 1e-14
        law = self.frozen
        tails = ((abs(law.isf(near)), abs(law.isf(far))), (abs(law.ppf(near)), abs(law.ppf(far))))
        heavy = any(b > 1 and b**k * far >= 0.9 * a**k * near for a, b in tails)
        if heavy or not math.isfinite(value):
            raise DivergentExpectation(
                f"the moment of order {k} of {describe(self)} does not exist",
                remedy="the theorem needs all moments that the program uses; truncate the law or bound the function",
            )
        return value


_SCAN = np.linspace(-6.4, 6.4, 321)
_BEND = 1e-9  # of the range: third differences below are rounding


def _quantiles(law: Any, t: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(t < 0, law.ppf(ndtr(np.minimum(t, 0.0))), law.isf(ndtr(-np.maximum(t, 0.0))))


def _corner(law: Any, low: float, high: float, least: float) -> float | None:
    """The one point between two where third differences do not fade; None if they are spread out: a smooth function."""
    while high - low > 1e-7:
        t = np.linspace(low, high, 13)
        bend = np.abs(np.diff(_quantiles(law, t), 3))
        if bend.max() < 1e-3 * least:
            break
        at = int(np.argmax(bend))
        if bend[at] < 0.25 * bend.sum():
            return None
        low, high = float(t[at]), float(t[at + 3])
    return (low + high) / 2


Component = Atom | GaussianLaw | Continuous


@dataclass(frozen=True, eq=False)
class CoordinateLaw:
    """A finite mixture of elementary laws; identity is the object, so two draws never merge by accident."""

    components: tuple[Component, ...]
    weights: tuple[Number, ...]

    def moment(self, k: int) -> Number:
        """E x^k."""
        total: Number = 0
        for weight, part in zip(self.weights, self.components, strict=True):
            total = total + weight * part.moment(k)
        return total

    def draw(self, rng: np.random.Generator, size: Any) -> np.ndarray:
        """Independent samples."""
        if len(self.components) == 1:
            return _draw(self.components[0], rng, size)
        if any(isinstance(w, np.ndarray) for w in self.weights):
            raise BadParameter(
                "a law whose weights are arrays has one draw per value", remedy="sample one value at a time"
            )
        weights = np.array([float(w) for w in self.weights])
        which = rng.choice(len(weights), size=size, p=weights / weights.sum())
        out = np.empty(which.shape)
        for index, part in enumerate(self.components):
            chosen = which == index
            out[chosen] = _draw(part, rng, int(chosen.sum()))
        return out


def _draw(part: Component, rng: np.random.Generator, size: Any) -> np.ndarray:
    match part:
        case Atom(value):
            return np.full(size, float(value))
        case GaussianLaw(mean, var):
            return float(mean) + math.sqrt(float(var)) * rng.standard_normal(size)
        case Continuous(frozen):
            return np.asarray(frozen.rvs(size=size, random_state=rng), float)


def describe(law: CoordinateLaw | Component) -> str:
    """The law as a printed program shows it."""
    match law:
        case Atom(value):
            return f"delta({value})"
        case GaussianLaw(mean, var):
            return f"N({mean}, {var})"
        case Continuous(frozen):
            args = [*map(str, frozen.args), *(f"{k}={v}" for k, v in frozen.kwds.items())]
            return f"{frozen.dist.name}({', '.join(args)})"
        case CoordinateLaw(components, weights) if len(components) == 1:
            return describe(components[0])
        case CoordinateLaw(components, weights):
            return " + ".join(f"{_weight_text(w)} {describe(p)}" for w, p in zip(weights, components, strict=True))


def _weight_text(weight: Number) -> str:
    return quantity_text(weight) if isinstance(weight, Quantity) else str(weight)


def Discrete(values: Sequence[Number], weights: Sequence[Number] | None = None) -> CoordinateLaw:
    """The law of finitely many atoms: P(x = values[i]) = weights[i].

    Parameters
    ----------
    values : sequence of numbers
        The atoms. Ints and Fractions stay exact.
    weights : sequence of numbers, optional
        Probabilities >= 0 that sum to 1; uniform by default.

    Returns
    -------
    CoordinateLaw

    Raises
    ------
    BadParameter
        If the list is empty, a value is not finite, or the weights are no probabilities.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.Discrete([-1, 1]).moment(2)
    Fraction(1, 1)
    """
    values = items(values, "Discrete: the atoms")
    if weights is None:
        weights = [Fraction(1, len(values))] * len(values) if values else []
    return _mixture([_atom(v) for v in values], items(weights, "Discrete: the weights"), "Discrete")


def Mixture(laws: Sequence[Any], weights: Sequence[Number]) -> CoordinateLaw:
    """A mixture: with probability weights[i] the coordinate is drawn from laws[i].

    A Bernoulli-Gauss prior is ``Mixture([0, scipy.stats.norm()], [0.9, 0.1])``.

    Parameters
    ----------
    laws : sequence
        Numbers (atoms), frozen scipy.stats laws, `Discrete` or `Mixture` laws.
    weights : sequence of numbers or arrays
        Probabilities >= 0 that sum to 1; arrays are a sweep.

    Returns
    -------
    CoordinateLaw

    Raises
    ------
    BadParameter
        If the weights are no probabilities or an entry is not a law.

    Examples
    --------
    >>> import rmtp, scipy.stats
    >>> rmtp.Mixture([0, scipy.stats.norm()], [0.75, 0.25]).moment(2)
    0.25
    """
    laws, weights = items(laws, "Mixture: the laws"), _probabilities(items(weights, "Mixture: the weights"), "Mixture")
    if len(laws) != len(weights):
        raise BadParameter(f"Mixture: {len(laws)} laws and {len(weights)} weights", remedy="one weight per law")
    parts: list[Component] = []
    shares: list[Number] = []
    for law, weight in zip(laws, weights, strict=True):
        inner = as_law(law)
        parts.extend(inner.components)
        shares.extend(_rational(weight) * w for w in inner.weights)
    return _mixture(parts, shares, "Mixture")


def as_law(law: Any) -> CoordinateLaw:
    """A number, a list of atoms, a frozen scipy.stats distribution or a `CoordinateLaw`, as a `CoordinateLaw`."""
    if isinstance(law, CoordinateLaw):
        return law
    if isinstance(law, int | float | Fraction | np.integer | np.floating):
        return _mixture([_atom(law)], [1], "IID")
    if isinstance(law, list | tuple | np.ndarray):
        return Discrete(list(law))
    if not (hasattr(law, "dist") and hasattr(law, "rvs") and hasattr(law, "args")):
        raise BadParameter(
            f"{law!r} is not the law of a coordinate",
            remedy="a frozen scipy.stats law such as scipy.stats.norm(0, 1), rmtp.Discrete, rmtp.Mixture, or a list of atoms",
        )
    if hasattr(law.dist, "pdf"):
        if law.dist.name == "norm":
            mean, std = (float(v) for v in (law.mean(), law.std()))
            if not std > 0:
                raise BadParameter(f"the law {law.dist.name} has std {std}", remedy="give a positive scale")
            return CoordinateLaw((GaussianLaw(mean, std * std),), (1,))
        if np.isnan(law.support()).any() or np.isnan(law.median()):
            raise BadParameter(f"the parameters of {describe(Continuous(law))} are invalid", remedy="check its scale")
        return CoordinateLaw((Continuous(law),), (1,))
    low, high = (float(v) for v in law.support())
    if not (math.isfinite(low) and math.isfinite(high)) or high - low > 10_000:
        low, high = float(law.ppf(1e-15)), float(law.isf(1e-15))  # mass beyond is below rounding
        if not (math.isfinite(low) and math.isfinite(high)) or high - low > 10_000:
            raise BadParameter("the discrete law has too many atoms", remedy="give Discrete(values, weights)")
    points = np.arange(low, high + 1)
    mass = law.pmf(points)
    kept = mass > 0
    return _mixture([Atom(float(p)) for p in points[kept]], list(mass[kept] / mass.sum()), "IID")


def _atom(value: Any) -> Atom:
    value = given(value)
    if is_symbolic(value) and not np.ndim(value):
        return Atom(value)
    if reals(value, "an atom", "give finite numbers").ndim:
        raise BadParameter(f"the atom {value!r}", remedy="one number per atom")
    return Atom(_rational(value))


def _probabilities(weights: Sequence[Any], what: str) -> list[Any]:
    """The weights, lists as arrays: a sweep."""
    weights = [given(w) for w in weights]
    for weight in weights:
        if not is_symbolic(weight) and np.any(reals(weight, f"{what}: a weight", "weights >= 0 that sum to 1") < 0):
            raise BadParameter(f"{what}: the weight {weight!r}", remedy="weights >= 0 that sum to 1")
    return [np.asarray(w) if isinstance(w, list | tuple) else w for w in weights]


def _rational(value: Number) -> Number:
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    return Fraction(value) if isinstance(value, int | Fraction) else value


def _mixture(parts: list[Component], weights: list[Number], what: str) -> CoordinateLaw:
    if is_symbolic([given(w) for w in weights]):
        weights = [_rational(given(w)) for w in weights]
        if len(parts) != len(weights) or sum(weights) != 1:
            raise BadParameter(f"{what}: the weights {weights!r} of {len(parts)} atoms", remedy="weights that sum to 1")
        return CoordinateLaw(tuple(parts), tuple(weights))
    weights = [_rational(w) for w in _probabilities(weights, what)]
    if not parts or len(parts) != len(weights):
        raise BadParameter(f"{what}: {len(parts)} atoms and {len(weights)} weights", remedy="one weight per atom")
    total = sum(weights)
    if not np.all(np.abs(total - 1) <= 1e-12):
        raise BadParameter(f"{what}: the weights {weights!r} are no probabilities", remedy="weights >= 0 that sum to 1")
    kept = [(p, w) for p, w in zip(parts, weights, strict=True) if np.any(w != 0)]
    return CoordinateLaw(tuple(p for p, _ in kept), tuple(w for _, w in kept))
