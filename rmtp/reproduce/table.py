"""What `rmtp reproduce` checks: claims, rows and derivations, as frozen data.

A `Claim` names a quantity, the program that computes it and what theory says. `check` asks the engine for the limit
and finite matrices for a sample; a `Row` holds the three numbers side by side and judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import ndtr

from ..limit import limit
from ..results import Estimate, with_error
from ..sample import sample
from ..verify import Verification

Z_BOUND = 4.5  # per row; two-sided false-alarm rate 6.8e-6
ERRORS_ALLOWED = 5  # |engine - analytic| in units of the stated error
WIDTHS = (200, 400)
TRIALS = 128


@dataclass(frozen=True)
class Claim:
    """A quantity, the program that computes it, and its published or independently computed value.

    Attributes
    ----------
    quantity : str
    expr : Scalar, Estimate or callable
        A scalar of a program; or something the engine already said, which is then not sampled.
    analytic : Fraction or float
    analytic_error : float
        Absolute error of the analytic number: 0 for a closed formula, a standard error for an independent simulation.
    naive : bool
        The value under gradient independence (``W.T`` an independent matrix); not sampled, because it is not the truth.
    sampler : callable, optional
        ``sampler(width, rng, trials)`` gives the finite-width numbers where they are no scalar of the program.
    """

    quantity: str
    expr: Any
    analytic: Any
    analytic_error: float = 0.0
    naive: bool = False
    sampler: Callable[[int, np.random.Generator, int], np.ndarray] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Row:
    """One line of the table: what the engine, theory and finite matrices say about one quantity.

    Attributes
    ----------
    quantity : str
    engine : Estimate
    analytic : Fraction or float
    analytic_error : float
    finite : Verification or None
        Samples at two widths; their mean is extrapolated as limit + c/n. None if the quantity was not sampled.
    """

    quantity: str
    engine: Estimate
    analytic: Any
    analytic_error: float = 0.0
    finite: Verification | None = None

    @property
    def exact(self) -> bool:
        """Engine and theory both rational: then only equality will do."""
        return isinstance(self.engine.value, Fraction | int) and isinstance(self.analytic, Fraction | int)

    @property
    def agrees(self) -> bool:
        """Engine against theory."""
        if self.exact:
            return bool(self.engine.value == self.analytic)
        rounding = 1e-12 * max(1.0, abs(float(self.analytic)))
        allowed = ERRORS_ALLOWED * float(np.hypot(float(self.engine.error), self.analytic_error)) + rounding
        return abs(float(self.engine.value) - float(self.analytic)) <= allowed

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
    def passed(self) -> bool:
        """Both comparisons."""
        return self.agrees and (self.z is None or abs(self.z) < Z_BOUND)


@dataclass(frozen=True)
class Derivation:
    """A law, where it was published, and how to derive it again.

    Attributes
    ----------
    name : str
        What a user types.
    title, source : str
    rows : callable
        ``rows()`` gives the rows.
    figure : callable, optional
        ``figure(rows)`` gives a matplotlib Figure.
    note : str
        What a reader should know, such as a misprint in the paper.
    """

    name: str
    title: str
    source: str
    rows: Callable[[], tuple[Row, ...]]
    figure: Callable[[Sequence[Row]], Any] | None = None
    note: str = ""


def check(
    claims: Sequence[Claim],
    *,
    widths: tuple[int, int] = WIDTHS,
    trials: int = TRIALS,
    seed: int = 0,
    **options: Any,
) -> tuple[Row, ...]:
    """Derive, sample and compare.

    Law: a mean at width n is limit + c/n + O(n**-2), so (n2 m2 - n1 m1)/(n2 - n1) has a bias O(n**-2) only.

    Parameters
    ----------
    claims : sequence of Claim
    widths : pair of int
        Base widths; both are drawn `trials` times.
    trials : int
    seed : int
    **options
        Passed to `limit`: ``exact=True``, ``rtol=...``.

    Returns
    -------
    tuple of Row
        In the order of the claims.
    """
    engine: dict[int, Estimate] = {k: c.expr for k, c in enumerate(claims) if isinstance(c.expr, Estimate)}
    for naive in (False, True):
        asked = [k for k, c in enumerate(claims) if c.naive == naive and k not in engine]
        if asked:
            answers = limit([claims[k].expr for k in asked], gradient_independence=naive, **options)
            engine.update(zip(asked, answers))
    drawn = [k for k, c in enumerate(claims) if not c.naive and (c.sampler or not isinstance(c.expr, Estimate))]
    draws = [_draw(claims, drawn, width, trials, np.random.default_rng([seed, width])) for width in widths]
    rows = []
    for k, claim in enumerate(claims):
        finite = Verification(engine[k], widths, tuple(d[k] for d in draws), claim.quantity) if k in drawn else None
        rows.append(Row(claim.quantity, engine[k], claim.analytic, claim.analytic_error, finite))
    return tuple(rows)


def _draw(
    claims: Sequence[Claim], drawn: Sequence[int], width: int, trials: int, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    out: dict[int, np.ndarray] = {}
    together = [k for k in drawn if claims[k].sampler is None]
    if together:
        values = sample([claims[k].expr for k in together], width, rng=rng, trials=trials)
        out.update((k, np.asarray(v, dtype=float).reshape(trials)) for k, v in zip(together, values))
    for k in drawn:
        sampler = claims[k].sampler
        if sampler is not None:
            out[k] = np.asarray(sampler(width, rng, trials), dtype=float)
    return out


# ---------------------------------------------------------------------------------------------
# the table as text

HEADER = ("quantity", "engine", "method", "analytic", "sampled", "z", "")


def cells(row: Row) -> tuple[str, ...]:
    """A row as the seven strings of `HEADER`."""
    value = row.engine.value
    shown = str(value) if isinstance(value, Fraction | int) else with_error(float(value), float(row.engine.error))
    return (
        row.quantity,
        shown,
        row.engine.method,
        _analytic(row),
        "" if row.sampled is None or row.se is None else with_error(row.sampled, row.se),
        "" if row.z is None else f"{row.z:+.1f}",
        "ok" if row.passed else "FAIL",
    )


def _analytic(row: Row) -> str:
    if isinstance(row.analytic, Fraction | int):
        return str(row.analytic)
    return with_error(float(row.analytic), row.analytic_error) if row.analytic_error else f"{float(row.analytic):.12g}"


def table_text(rows: Sequence[Row]) -> str:
    """The rows as aligned columns."""
    lines = [HEADER, *(cells(row) for row in rows)]
    size = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    return "\n".join("  " + "  ".join(c.ljust(s) for c, s in zip(line, size)).rstrip() for line in lines)


def false_alarm_rate(rows: Sequence[Row]) -> float:
    """Probability that a correct table shows at least one sampled row beyond the bound."""
    sampled = sum(row.z is not None for row in rows)
    return float(-np.expm1(sampled * np.log1p(-2 * ndtr(-Z_BOUND))))
