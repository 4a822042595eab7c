"""One quantity by several routes: the engine's limit, a formula's value and samples, side by side and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from . import special
from .results import Estimate, with_error
from .verify import Verification

Z_BOUND = 4.5  # per row; two-sided false-alarm rate 6.8e-6
ERRORS_ALLOWED = 5  # |engine - formula| in units of the stated error
ROUNDING = 1e-12  # of a formula in float64, relative to its value
ABSOLUTE = 1e-15  # of a formula in float64 whose terms are of order one and cancel


@dataclass(frozen=True)
class Row:
    """One line of a table: what the engine, a formula and finite matrices say about one quantity.

    Attributes
    ----------
    quantity : str
    engine : Estimate
    analytic : Fraction, float or mpf
        The formula's value.
    analytic_error : float
    finite : Verification or None
        Samples; their mean is extrapolated as limit + c/n. None if the quantity was not sampled.
    parameters : mapping
        The point of a grid that the row belongs to.
    """

    quantity: str
    engine: Estimate
    analytic: Any
    analytic_error: float = 0.0
    finite: Verification | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Engine and formula both rational: then only equality will do."""
        return isinstance(self.engine.value, Fraction | int) and isinstance(self.analytic, Fraction | int)

    @property
    def difference(self) -> Any:
        """formula - engine, a Fraction: every float and every mpf is one; nan if either is."""
        claim, engine = exactly(self.analytic), exactly(self.engine.value)
        return float("nan") if claim is None or engine is None else claim - engine

    @property
    def unit(self) -> float:
        """What one unit of difference is: the stated errors together; 0 between rationals."""
        return 0.0 if self.exact else float(np.hypot(float(self.engine.error), float(self.analytic_error)))

    @property
    def _rounding(self) -> float:
        if not isinstance(self.analytic, float) and not isinstance(self.engine.value, float):
            return 0.0
        return ROUNDING * max(abs(float(self.analytic)), abs(float(self.engine.value))) + ABSOLUTE

    @property
    def distance(self) -> float:
        """The difference in units of error (of rounding, where that is larger); 0 or infinite between rationals."""
        allowed = max(self.unit, self._rounding / ERRORS_ALLOWED)
        gap = float(self.difference)
        return gap / allowed if allowed else (0.0 if gap == 0 else float(np.copysign(np.inf, gap)))

    @property
    def agrees(self) -> bool:
        """Engine against formula."""
        return bool(abs(self.difference) <= ERRORS_ALLOWED * self.unit + (0.0 if self.exact else self._rounding))

    @property
    def sampled(self) -> float | None:
        """The mean of the samples, its 1/n bias extrapolated away."""
        return None if self.finite is None else self.finite.extrapolated[0]

    @property
    def se(self) -> float | None:
        """The standard error of `sampled`."""
        return None if self.finite is None else self.finite.extrapolated[1]

    @property
    def z(self) -> float | None:
        """Engine against samples, as a Gaussian score."""
        return None if self.finite is None else self.finite.score

    @property
    def sound(self) -> bool:
        """Engine against samples; true if there are none."""
        return self.z is None or abs(self.z) < Z_BOUND

    @property
    def passed(self) -> bool:
        """Both comparisons."""
        return self.agrees and self.sound


def exactly(value: Any) -> Fraction | None:
    """A finite number as the rational that it is; None for anything else."""
    if isinstance(value, Fraction | int):
        return Fraction(value)
    if hasattr(value, "_mpf_"):  # sign, mantissa, exponent, bits
        sign, mantissa, exponent, _ = value._mpf_
        if not mantissa and exponent:  # inf and nan
            return None
        return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** exponent
    number = float(value)
    return Fraction(number) if np.isfinite(number) else None


def engine_text(row: Row) -> str:
    """The engine's value: a fraction, or digits with their error."""
    value = row.engine.value
    if isinstance(value, Fraction | int):
        return str(value)
    if isinstance(value, float):
        return with_error(value, float(row.engine.error))
    return f"{value} ± {float(row.engine.error):.1g}"


def formula_text(row: Row) -> str:
    """The formula's value, likewise."""
    if isinstance(row.analytic, Fraction | int):
        return str(row.analytic)
    if not isinstance(row.analytic, float):
        return str(row.analytic)
    return with_error(row.analytic, row.analytic_error) if row.analytic_error else f"{row.analytic:.12g}"


def sampled_text(row: Row) -> str:
    """The samples' mean with its standard error."""
    return "" if row.sampled is None or row.se is None else with_error(row.sampled, row.se)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text."""
    size = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join("  " + "  ".join(c.ljust(s) for c, s in zip(line, size)).rstrip() for line in lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table, the first line its head."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + " --: |" * len(lines[0]), *rows[1:]])


def false_alarm_rate(rows: Sequence[Row]) -> float:
    """Probability that a correct table shows at least one sampled row beyond the bound, 6.8e-6 for each of them.

    Examples
    --------
    >>> false_alarm_rate([])
    0.0
    """
    sampled = sum(row.z is not None for row in rows)
    return float(-np.expm1(sampled * np.log1p(-2 * special.ndtr(-Z_BOUND))))
