"""What `limit` returns for a scalar: a value that carries its error and its method."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .ensembles import Number
from .errors import DivergentExpectation


@dataclass(frozen=True, eq=False)
class Estimate:
    """A limit, its error and how it was found.

    Attributes
    ----------
    value : Fraction, float, mpf or ndarray
        Fraction where the answer is exact; an array over a sweep or over finite axes.
    error : float or ndarray
        0 for "exact"; a bound on rounding for "algebra" and "closed form"; the propagated difference of two resolutions
        for "quadrature" and "mehler"; one standard error over independent replicates for "sobol".
    method : str
        The least exact method that the value rests on.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> x = rmtp.Normal(rmtp.Dim("n"))
    >>> rmtp.limit(np.mean(x ** 4))
    Estimate(3, error=0, method='exact')
    >>> float(rmtp.limit(np.mean(x ** 4)))
    3.0
    """

    value: Any
    error: Any
    method: str
    notes: tuple[str, ...] = ()

    def __float__(self) -> float:
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.value, dtype=dtype or (float if np.ndim(self.value) == 0 else None))

    def __call__(self) -> Estimate:
        """Itself, so that scipy.stats' spelling ``law.mean()`` works beside ``law.mean``."""
        return self

    def __eq__(self, other: object) -> Any:
        """Equality of values; an inexact estimate equals a number only if it is that number."""
        value = other.value if isinstance(other, Estimate) else other
        return self.value == value

    def __hash__(self) -> int:
        return hash(self.value) if np.ndim(self.value) == 0 else hash(self.value.tobytes())

    def __str__(self) -> str:
        if np.ndim(self.value):
            return f"{self.value} ± {self.error} ({self.method})"
        if isinstance(self.value, Fraction):
            return f"{self.value} ({self.method})"
        return f"{with_error(self.value, self.error)} ({self.method})"

    def __repr__(self) -> str:
        value = str(self.value) if isinstance(self.value, Fraction) else repr(self.value)
        error = f"{float(self.error):.2g}" if np.ndim(self.error) == 0 else repr(self.error)
        return f"Estimate({value}, error={error}, method={self.method!r})"


def with_error(value: Number, error: Number) -> str:
    """A number to the digits that its error leaves, then the error."""
    if not isinstance(value, float | int | np.floating):
        return f"{value} ± {float(error):.1g}"
    if not error:
        return f"{value:.12g}"
    digits = int(np.clip(1 - np.floor(np.log10(float(error))), 0, 15))
    return f"{float(value):.{digits}f} ± {float(error):.1g}"


def conclude(
    value: Number, method: str, points: int, operations: int, dps: int | None, notes: tuple[str, ...] = ()
) -> Estimate:
    """A number of the engine as an `Estimate`: rational and exact, mpmath to its digits, or a float with its copies.

    Or with its replicates, of so many `points` in all (0: nothing was sampled).
    """
    name = "algebra" if method == "exact" else method
    rounding = 1e-15 * operations
    if isinstance(value, int | Fraction):
        return Estimate(Fraction(value), 0, "exact", notes)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return Estimate(value[..., 0], np.zeros(value.shape[:-1]), method, notes)
        centre, spread = centre_and_spread(value, points > 0)
        _refuse_infinite(centre)
        if points:
            # an event that no point meets, or none misses, is known to one point
            unanimous = (spread == 0) & ((centre == 0) | (centre == 1))
            spread = np.where(unanimous, 1 / points, spread)
        error = np.sqrt(spread**2 + (rounding * centre) ** 2)
        if centre.ndim == 0:
            return Estimate(float(centre), float(error), name, notes)
        return Estimate(centre, error, name, notes)
    if dps is not None:
        digits = value.context.mpf(10) ** (-dps)
        return Estimate(value, float(digits * max(abs(value), digits)), name, notes)
    _refuse_infinite(value)
    return Estimate(float(value), float(rounding * abs(value)), name, notes)


def _refuse_infinite(value: Any) -> None:
    if not np.all(np.isfinite(value)):
        raise DivergentExpectation(
            f"the limit is not finite: {value}", remedy="check the moments and the growth that the program needs"
        )


def centre_and_spread(value: np.ndarray, sampled: bool) -> tuple[np.ndarray, np.ndarray]:
    """The value and its error, from a last axis of replicates (sampled) or of perturbed copies."""
    value = np.asarray(value)
    copies = value.shape[-1]
    if copies == 1:
        return value[..., 0], np.zeros(value.shape[:-1])
    if sampled:
        return value.mean(axis=-1), value.std(axis=-1, ddof=1) / np.sqrt(copies)
    return value[..., 0], 2 * np.abs(value - value[..., :1]).max(axis=-1)
