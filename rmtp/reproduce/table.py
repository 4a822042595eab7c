"""What `rmtp reproduce` checks: claims, rows and derivations, as frozen data.

A `Claim` names a quantity, the program that computes it and what theory says. `check` asks the engine for the limit
and finite matrices for a sample; a `Row` holds the three numbers side by side and judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..comparison import Row, aligned, engine_text, formula_text, sampled_text
from ..limit import limit
from ..results import Estimate
from ..sample import sample
from ..verify import Verification

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

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> x = rmtp.Normal(rmtp.Dim("n"))
    >>> (row,) = check([Claim("fourth moment", np.mean(x**4), 3)], widths=(50, 100), trials=20)
    >>> row.engine.value, row.passed
    (Fraction(3, 1), True)
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
    return (
        row.quantity,
        engine_text(row),
        row.engine.method,
        formula_text(row),
        sampled_text(row),
        "" if row.z is None else f"{row.z:+.1f}",
        "ok" if row.passed else "FAIL",
    )


def table_text(rows: Sequence[Row]) -> str:
    """The rows as aligned columns.

    Examples
    --------
    >>> print(table_text(()))
      quantity  engine  method  analytic  sampled  z
    """
    return aligned([HEADER, *(cells(row) for row in rows)])
