"""A researcher's own formula against the engine and against samples, over a grid of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from .comparison import Row, aligned, engine_text, false_alarm_rate, formula_text, markdown, sampled_text
from .errors import BadParameter, RmtpError, UnsupportedOperation
from .formulas import Formula, accepted, check_used, formula, number, quantities
from .grids import Grid, grid, place, short_value
from .handles import Node, Scalar
from .hints import hints
from .limit import limit
from .matrices import Expression
from .progress import progress
from .results import Estimate
from .ring import precision
from .sample import generator
from .verify import Verification, check_scalar, check_trials, check_widths, finite_columns, verify

NAIVE = "gradient_independence"


@dataclass(frozen=True, eq=False)
class Check:
    """A claim beside the engine and samples, point by point.

    Attributes
    ----------
    rows : tuple of Row
        One per point and quantity, in the order of the grid: ``parameters quantity engine analytic difference distance
        agrees finite z sound``.
    hints : tuple of str
        Simple changes that would make a departing claim agree at every point.
    grid : Grid
    claim : str
        What was claimed, for a reader.
    formula : Formula or None
        The claim itself: ``formula.at(point)`` gives {quantity: (value, error)}.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x = rmtp.Normal(n)
    >>> found = rmtp.check(lambda k: 2 * k - 1, lambda k: np.mean(x ** (2 * k)), grid={"k": [1, 2, 3]}, widths=None)
    >>> found.passed(), found.worst.parameters, found.worst.difference
    (False, {'k': 3}, Fraction(-10, 1))
    """

    rows: tuple[Row, ...]
    hints: tuple[str, ...]
    grid: Grid
    claim: str = "the claim"
    formula: Formula | None = field(default=None, repr=False)

    @property
    def departures(self) -> tuple[Row, ...]:
        """The rows where claim and engine differ by more than five stated errors (between rationals: at all)."""
        return tuple(row for row in self.rows if not row.agrees)

    @property
    def unsound(self) -> tuple[Row, ...]:
        """The rows where engine and samples differ by 4.5 standard errors or more."""
        return tuple(row for row in self.rows if not row.sound)

    @property
    def worst(self) -> Row:
        """The row that is furthest off: a departure before any other, by the difference relative to the values."""
        return max(self.rows, key=lambda row: (not row.agrees, _relative(row), abs(row.z or 0.0)))

    def passed(self) -> bool:
        """Whether the claim agrees with the engine at every point, and the engine with the samples.

        A right claim about a right limit fails with the probability `false_alarm`.
        """
        return all(row.passed for row in self.rows)

    @property
    def false_alarm(self) -> float:
        """The probability that at least one sampled row of a right table shows ``|z| > 4.5`` (6.8e-6 per row)."""
        return false_alarm_rate(self.rows)

    # -- reports ----------------------------------------------------------------------------------

    def _table(self) -> list[tuple[str, ...]]:
        named = any(row.quantity for row in self.rows)
        sampled = any(row.finite is not None for row in self.rows)
        head = [*self.grid.names, *(["quantity"] if named else []), "engine", "method", "claim", "claim - engine"]
        head += ["in errors", *(["sampled", "z"] if sampled else []), ""]
        lines = [tuple(head)]
        for row in self.rows:
            cells = [short_value(row.parameters[name]) for name in self.grid.names]
            cells += [row.quantity] if named else []
            cells += [engine_text(row), row.engine.method, formula_text(row), _gap(row), _errors(row)]
            if sampled:
                cells += [sampled_text(row), "" if row.z is None else f"{row.z:+.1f}"]
            lines.append((*cells, _verdict(row)))
        return lines

    def _summary(self) -> list[str]:
        total = len(self.rows)
        lines = [f"{self.claim} agrees with the engine in all {total} rows" if total > 1 else f"{self.claim} agrees"]
        if self.departures:
            worst = self.worst
            where = ", ".join(filter(None, (place(worst.parameters), worst.quantity))) or "the only point"
            lines = [
                f"{self.claim} DEPARTS from the engine in {len(self.departures)} of {total} rows; worst: {where}: "
                f"claim {formula_text(worst)}, engine {engine_text(worst)}"
            ]
        lines += self._on_samples()
        if any(isinstance(r.analytic, float) and not isinstance(r.engine.value, float | Fraction) for r in self.rows):
            lines.append("the claim returns float64: compared to 12 digits only (mpmath functions give all of dps=)")
        return lines + [f"hint: {text}" for text in self.hints]

    def _on_samples(self) -> list[str]:
        sampled = [row for row in self.rows if row.z is not None]
        if not sampled:
            return ["not sampled"]
        largest = max(abs(row.z or 0.0) for row in sampled)
        if self.unsound:
            first = self.unsound[0]
            return [
                f"engine and samples DISAGREE in {len(self.unsound)} of {len(sampled)} rows, first at "
                f"{place(first.parameters) or 'the only point'}: larger widths= tell slow convergence from an error"
            ]
        text = f"samples agree with the engine: largest |z| {largest:.1f}, false alarms 1 in {1 / self.false_alarm:.0f}"
        departed = [row for row in self.departures if row.finite is not None]
        refused = [row for row in departed if abs(claim_score(row)) > 4]
        if departed:
            text += f"; they refuse the claim in {len(refused)} of the {len(departed)} rows where it departs"
        return [text]

    def to_markdown(self) -> str:
        """A table with one row per point and quantity, then the verdict and the hints."""
        return "\n".join([markdown(self._table()), "", *(line + "  " for line in self._summary())])

    def __str__(self) -> str:
        return "\n".join([aligned(self._table()), *self._summary()])

    def __repr__(self) -> str:
        return f"<Check of {self.claim}: {len(self.departures)} of {len(self.rows)} rows depart>"

    def plot(self, ax: Any = None) -> Any:
        """The claim as a line, the engine as points with error, samples with two standard errors; returns the Axes."""
        from .plotstudies import plot_check

        return plot_check(self, ax=ax)


def _relative(row: Row) -> float:
    scale = max(abs(float(row.analytic)), abs(float(row.engine.value)), 1e-300)
    return abs(float(row.difference)) / scale


def _gap(row: Row) -> str:
    return "0" if row.difference == 0 else str(row.difference) if row.exact else f"{float(row.difference):+.2g}"


def _errors(row: Row) -> str:
    if row.exact:
        return "equal" if row.agrees else "not equal"
    return f"{row.distance:+.1f}" if abs(row.distance) < 1000 else f"{row.distance:+.0e}"


def _verdict(row: Row) -> str:
    if not row.agrees:
        return "DEPARTS" if row.sound else "DEPARTS, UNSOUND"
    return "ok" if row.sound else "UNSOUND"


def claim_score(row: Row) -> float:
    """The claim against samples, as a Gaussian score."""
    assert row.finite is not None
    return replace(row.finite, limit=Estimate(float(row.analytic), row.analytic_error, "claim")).score


# ---------------------------------------------------------------------------------------------
# asking


def check(
    claim: Any,
    expr: Any,
    *,
    grid: Any = None,
    widths: Sequence[int] | None = (250, 500),
    trials: int | Sequence[int] | None = None,
    rng: np.random.Generator | int | None = 0,
    simulate: Callable[..., Any] | None = None,
    **limit_options: Any,
) -> Check:
    """Your own formula against the engine and against samples.

    Law: claim = limit; between rationals as equality, else within five stated errors and float64's 12 digits.

    Parameters
    ----------
    claim : number, Estimate, callable or sympy expression, or a list or dict of them
        A callable takes parameters of the grid by name; of a sympy expression they are the free symbols. A number with an
        error of its own is an ``Estimate(value, error, "claim")``.
    expr : Scalar, Estimate or number, a list or dict of them, or callable
        What the engine says: an average of a program, or e.g. ``spectrum(M).moment(3)``. A callable takes parameters of the
        grid by name and returns one of these; sequences and dicts must match the claim's.
    grid : dict of sequences (their product), or list of dicts, optional
        Named parameters; a claim and an expression may ignore some, not both the same.
    widths : sequence of int or None
        Base widths at which Scalars are sampled; None leaves sampling out.
    trials : int or one int per width, optional
        See `verify`.
    rng : Generator or int, optional
        Points have independent children.
    simulate : callable, optional
        ``simulate(width, rng, **parameters)``: one trial of your own experiment, in place of samples of the program, and for an
        expr that is no program. Returns what the claim returns.
    **limit_options
        Passed to `limit`: ``dps=`` (claims then get mpf's, in a working precision of mpmath), ``rtol=``, ``method=``, ...

    Returns
    -------
    Check
        Prints as a table, with the verdict and hints at usual slips: constant factors, powers of a parameter, a variance for
        a standard deviation, a ratio the other way round, the answer under gradient independence.

    Raises
    ------
    BadParameter
        If the claim raises or is not a finite real number, if names or shapes of claim and expression do not match, or if a
        parameter reaches neither.
    UnsupportedOperation
        If the expression has no single number as its limit.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from fractions import Fraction
    >>> def fourth(rho):
    ...     m, n = rmtp.Dim("m", ratio=rho), rmtp.Dim("n")
    ...     W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    ...     return np.mean((W.T @ (W @ x)) ** 2)
    >>> grid = {"rho": [1, 2, Fraction(1, 2)]}
    >>> print(rmtp.check(lambda rho: 1 + rho, fourth, grid=grid, widths=None))
      rho  engine  method  claim  claim - engine  in errors
      1    2       exact   2      0               equal      ok
      2    6       exact   3      -3              not equal  DEPARTS
      1/2  3/4     exact   3/2    3/4             not equal  DEPARTS
    the claim DEPARTS from the engine in 2 of 3 rows; worst: rho = 2: claim 3, engine 6
    not sampled
    hint: rho * claim agrees at all 3 points: 1/rows for 1/columns, or an average over the other width?
    >>> rmtp.check(lambda rho: rho * (1 + rho), fourth, grid=grid, widths=(100, 200), trials=50).passed()
    True
    """
    made = make_grid(grid)
    dps = limit_options.get("dps")
    if dps is not None:
        precision(dps)
    claimed = formula(claim, made, dps)
    if isinstance(expr, Expression):
        raise UnsupportedOperation("a matrix expression has no single number", remedy="rmtp.spectrum(M).moment(k)")
    building = callable(expr) and not isinstance(expr, Node | Estimate)
    used = accepted(expr, made, "the expression") if building else ()
    simulated = () if simulate is None else accepted(simulate, made, "simulate", extra=2)
    check_used(made, claimed.names, used, simulated)
    sizes = None if widths is None else check_widths(widths)
    if sizes is not None:
        check_trials(trials, widths, sizes)
    elif simulate is not None:
        raise BadParameter("simulate= without widths", remedy="widths=(250, 500), or no simulate=")
    rows: list[Row] = []
    naive: list[Any] = []
    for point, stream in zip(progress(made.points, "check"), generator(rng).spawn(len(made.points)), strict=True):
        claims = claimed.at(point)
        values = quantities(_built(expr, building, used, point))
        if claims.keys() != values.keys():
            raise BadParameter(
                f"the claim has {_listing(claims)}, the expression {_listing(values)}",
                where=place(point),
                remedy="a claim and an expression of one shape: a number, a list, or a dict with the same keys",
            )
        asked = _Point(point, values, sizes, widths, trials, stream, limit_options)
        try:
            found, finite = asked.engine(simulate is None)
            if simulate is not None:
                finite = asked.simulated(simulate, simulated, found)
        except RmtpError as error:
            if point:
                error.add_note(f"at {place(point)}")
            raise
        new = [Row(q, found[q], value, error, finite.get(q), point) for q, (value, error) in claims.items()]
        rows += new
        naive.append((values, new))
    return Check(tuple(rows), _hints(rows, naive, claimed, limit_options), made, claimed.text, claimed)


make_grid = grid  # `grid` is the name of check's argument


def _built(expr: Any, building: bool, used: tuple[str, ...], point: Mapping[str, Any]) -> Any:
    if not building:
        return expr
    try:
        return expr(**{name: point[name] for name in used})
    except Exception as error:
        error.add_note(f"the expression at {place(point) or 'no parameters'}")
        raise


def _listing(values: Mapping[str, Any]) -> str:
    return "one value" if list(values) == [""] else f"{len(values)} values ({', '.join(values)})"


@dataclass(frozen=True)
class _Point:
    """What is asked at one point."""

    point: Mapping[str, Any]
    values: dict[str, Any]
    sizes: tuple[int, ...] | None
    widths: Any
    trials: Any
    rng: np.random.Generator
    options: dict[str, Any]

    def engine(self, sampling: bool) -> tuple[dict[str, Estimate], dict[str, Verification]]:
        """The engine's numbers, and samples of those that are averages of a program."""
        handles = {name: value for name, value in self.values.items() if isinstance(value, Node)}
        for handle in handles.values():
            check_scalar(handle)
        found = {name: self._given(value) for name, value in self.values.items() if name not in handles}
        idle = [name for name in self.options if name != "dps"]
        if idle and not handles:
            raise BadParameter(f"{', '.join(idle)}: the expression is a number already", remedy="options of the limit")
        if not handles:
            return found, {}
        if not sampling or self.sizes is None:
            answers = dict(zip(handles, limit(list(handles.values()), **self.options), strict=True))
            if any(np.ndim(e.value) for e in answers.values()):
                raise BadParameter("a program with swept parameters", remedy="grid= with the values, one point each")
            return found | answers, {}
        finite = verify(list(handles.values()), self.widths, self.trials, self.rng, **self.options)
        checked = dict(zip(handles, finite, strict=True))
        return found | {name: v.limit for name, v in checked.items()}, checked

    def _given(self, value: Any) -> Estimate:
        if hasattr(value, "stieltjes"):
            raise UnsupportedOperation("a law has no single number", remedy="law.moment(k), law.pdf(x), law.cdf(x)")
        kept, error = number(value, "the expression", self.options.get("dps"))
        method = value.method if isinstance(value, Estimate) else "exact" if isinstance(kept, Fraction) else "given"
        return Estimate(kept, error, method)

    def simulated(
        self, simulate: Callable[..., Any], names: tuple[str, ...], engine: Mapping[str, Estimate]
    ) -> dict[str, Verification]:
        """The user's own experiment."""
        assert self.sizes is not None
        chosen = {name: self.point[name] for name in names}
        counts = check_trials(self.trials, self.widths, self.sizes)
        columns: dict[str, list[np.ndarray]] = {name: [] for name in engine}
        for n, count, stream in zip(self.sizes, counts, self.rng.spawn(len(self.sizes)), strict=True):
            children = progress(stream.spawn(count), f"n = {n}")
            drawn = [_simulated(simulate, n, child, chosen) for child in children]
            if drawn[0].keys() != engine.keys():
                raise BadParameter(
                    f"simulate returns {_listing(drawn[0])}, the claim has {_listing(engine)}",
                    remedy="one shape for claim, expression and simulation",
                )
            for name, column in columns.items():
                column.append(np.array([_drawn(trial[name]) for trial in drawn]))
        return {
            name: Verification(engine[name], self.sizes, finite_columns(column, self.sizes, "simulate"), "simulate")
            for name, column in columns.items()
        }


def _simulated(
    simulate: Callable[..., Any], n: int, rng: np.random.Generator, chosen: dict[str, Any]
) -> dict[str, Any]:
    try:
        return quantities(simulate(n, rng, **chosen))
    except Exception as error:
        raise BadParameter(
            f"simulate raises {type(error).__name__} at width {n}: {error}", remedy="simulate(width, rng, **parameters)"
        ) from error


def _drawn(value: Any) -> float:
    if np.ndim(value) or isinstance(value, str | complex):
        raise BadParameter(f"simulate returns {value!r}", remedy="a real number per trial, or a list or dict of them")
    return float(value)


# ---------------------------------------------------------------------------------------------
# hints


def _hints(rows: Sequence[Row], asked: Sequence[Any], claimed: Formula, options: dict[str, Any]) -> tuple[str, ...]:
    out: list[str] = []
    for name in dict.fromkeys(row.quantity for row in rows):
        own = [row for row in rows if row.quantity == name]
        if all(row.agrees for row in own):
            continue

        def again(point: Mapping[str, Any], name: str = name) -> Any:
            try:
                return claimed.at(point)[name][0]
            except (RmtpError, KeyError):
                return None

        prefix = f"{name}: " if name else ""
        if _independent(own, [values[name] for values, _ in asked], options):
            out.append(
                f"{prefix}the claim is the answer under gradient independence: W.T is no independent copy of W here"
            )
        out += [prefix + text for text in hints(own, again)]
    return tuple(out)


def _independent(rows: Sequence[Row], handles: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether the claim is what the engine says with Z-Dot dropped."""
    if options.get(NAIVE) or not all(isinstance(h, Scalar) for h in handles):
        return False
    try:
        naive = [limit(h, **{**options, NAIVE: True}) for h in handles]
    except RmtpError:  # without Z-Dot there may be no limit
        return False
    return all(replace(row, engine=e).agrees for row, e in zip(rows, naive))
