"""What `limit` returns for a scalar: a value that carries its error and its method."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .ensembles import Number


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
