"""Random matrices as frozen data: free cumulants, and how to draw one.

An ensemble knows two things about itself: the cumulants by which the master theorem sees it
(theory, section 3) and the way to draw a finite matrix. Everything else is the theorem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .arguments import reals, shown
from .errors import BadParameter
from .quantity import Quantity, given

Number = Any  # int, Fraction, float, mpf or an array of them: the engine is generic over the ring

ENTRY_LAWS = ("gaussian", "rademacher", "uniform", "sparse")
_SPARSE_DENSITY = 0.05


class Sweep(np.ndarray):
    """An array whose entries are values of one parameter, not entries along a finite axis; arithmetic keeps it one."""


@dataclass(frozen=True, eq=False)
class Dim:
    """A width (common dimension class): size ``ratio * n``, going to infinity with n.

    Parameters
    ----------
    name : str
        How the width prints. Two `Dim` objects with the same name and ratio are the same width.
    ratio : number, optional
        Size over the base width; an int, Fraction or float > 0, or an array for a sweep. Default 1.

    Raises
    ------
    BadParameter
        If the ratio is not a positive finite number.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.Dim("m", ratio=2)
    Dim('m', ratio=2)
    """

    name: str
    ratio: Number = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", given(self.ratio))
        remedy = "give a name (str) and a ratio that is a positive finite number"
        if not isinstance(self.name, str) or not (
            isinstance(self.ratio, Quantity) or np.all(reals(self.ratio, "ratio", remedy) > 0)
        ):
            raise BadParameter(f"Dim({self.name!r}, ratio={self.ratio!r}) is not a width", remedy=remedy)
        if isinstance(self.ratio, list | tuple):
            object.__setattr__(self, "ratio", np.asarray(self.ratio))
        elif isinstance(self.ratio, np.generic):
            object.__setattr__(self, "ratio", self.ratio.item())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.name == other.name and np.array_equal(self.ratio, other.ratio)

    def __hash__(self) -> int:
        return hash(self.name)

    def size(self, width: int) -> int:
        """Number of coordinates at base width `width`."""
        if isinstance(self.ratio, np.ndarray):
            raise BadParameter(
                f"the ratio of width {self.name!r} is an array", remedy="sample one ratio of the sweep at a time"
            )
        return max(1, round(float(self.ratio) * width))

    def __truediv__(self, other: object) -> Number:
        """``n / m``, the limit of the ratio of the sizes: ``A.shape`` then reads like that of an array."""
        if not isinstance(other, Dim):
            return NotImplemented
        if isinstance(self.ratio, int) and isinstance(other.ratio, int):
            return Fraction(self.ratio, other.ratio)
        ratio = self.ratio / other.ratio
        return ratio.view(Sweep) if isinstance(ratio, np.ndarray) else ratio

    def __repr__(self) -> str:
        return f"Dim({self.name!r})" if np.all(self.ratio == 1) else f"Dim({self.name!r}, ratio={self.ratio!r})"


def check_dim(dim: Any) -> Dim:
    """A width, or an error for whatever else a user gave for one."""
    if not isinstance(dim, Dim):
        raise BadParameter(f"{shown(dim)} is not a width", remedy='n = rmtp.Dim("n")')
    return dim


@dataclass(frozen=True)
class Ensemble:
    """What the theorem needs to know of a random matrix, and how to draw it.

    Attributes
    ----------
    kind : str
        "Gaussian" (iid entries), "GOE", "Haar", "Wishart", "Invariant" or "BiInvariant".
    variance : number
        kappa_2. For iid entries s^2: entry variance times the number of columns (off-diagonal entries for GOE).
    symmetric : bool
        One family of hats instead of two.
    draw : callable
        ``draw(rng, rows, cols, variance, entries)`` gives a finite matrix.
    entries : str
        The entry law of iid ensembles.
    law : CoordinateLaw, spectral law, Moments, FreeCumulants, RTransform or None
        Of the eigenvalues of a symmetric matrix, of the min(rows, cols) singular values of a rectangular one;
        None where the cumulants say it all (Gaussian, GOE, Wishart).
    cumulants : callable, optional
        ``cumulants(order)``, with an attribute `rational`; None for iid entries, which have kappa_2 only.
    """

    kind: str
    variance: Number
    symmetric: bool
    draw: Callable[..., np.ndarray]
    entries: str = "gaussian"
    law: Any = None
    cumulants: Any = None

    @property
    def iid(self) -> bool:
        """Independent entries: kappa_2 is the only cumulant."""
        return self.cumulants is None

    @property
    def rational(self) -> bool:
        """Whether the cumulants come from ints and Fractions; else they mean floats even where they are read exactly."""
        return self.iid or self.cumulants.rational

    def cumulant(self, order: int) -> Number:
        """Free cumulant kappa_order of a symmetric ensemble, rectangular free cumulant of a rectangular one."""
        if self.cumulants is not None:
            return self.cumulants(order)
        return self.variance if order == 2 else 0


def draw_entries(rng: np.random.Generator, shape: tuple[int, ...], entries: str) -> np.ndarray:
    """Independent entries of mean 0 and variance 1 with the named law.

    ``sparse`` has a fixed share (5 %) of non-zero Gaussian entries, so all moments stay bounded
    as universality asks (Golikov & Yang 2022, Theorem 2).
    """
    match entries:
        case "gaussian":
            return rng.standard_normal(shape)
        case "rademacher":
            return 2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0
        case "uniform":
            return rng.uniform(-math.sqrt(3), math.sqrt(3), shape)
        case "sparse":
            return rng.standard_normal(shape) * (rng.random(shape) < _SPARSE_DENSITY) / math.sqrt(_SPARSE_DENSITY)
        case _:
            raise BadParameter(f"unknown entries={entries!r}", remedy=f"one of {', '.join(ENTRY_LAWS)}")


def draw_iid(rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str) -> np.ndarray:
    """A rows x cols matrix of iid entries with variance ``variance / cols``."""
    return draw_entries(rng, (rows, cols), entries) * math.sqrt(variance / cols)


def draw_symmetric(rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str) -> np.ndarray:
    """``(X + X.T) / sqrt(2)`` with X iid: off-diagonal variance ``variance / cols``, diagonal twice that."""
    x = draw_entries(rng, (rows, cols), entries)
    return (x + x.T) * math.sqrt(variance / (2 * cols))


def draw_haar(rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str) -> np.ndarray:
    """Haar orthogonal, or for rows != cols a uniform partial isometry: all min(rows, cols) singular values are 1."""
    tall, wide = max(rows, cols), min(rows, cols)
    q, r = np.linalg.qr(rng.standard_normal((tall, wide)))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # QR alone prefers signs and is not uniform
    return q if rows >= cols else q.T


def variance_of(std: Number, variance: Number | None, what: str) -> Number:
    """s^2 from ``std=`` or ``variance=``; the latter keeps rationals such as 6/5 exact."""
    value = given(std if variance is None else variance)
    if variance is not None and not (isinstance(std, int) and std == 1):
        raise BadParameter(f"{what}: std={std!r} and variance={variance!r} are both given", remedy="give one of them")
    if isinstance(value, Quantity):
        return value * value if variance is None else value
    name = f"{what}: {'std' if variance is None else 'variance'}"
    remedy = "a finite number >= 0, or an array of them for a sweep"
    if np.any(reals(value, name, remedy) < 0):
        raise BadParameter(f"{name}={value!r}", remedy=remedy)
    if isinstance(value, int | Fraction):
        value = Fraction(value)
    elif isinstance(value, list | tuple | np.ndarray):
        value = np.asarray(value)
    return value * value if variance is None else value
