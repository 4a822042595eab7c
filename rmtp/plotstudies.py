"""Figures of checks and of parameter studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import RmtpError, UnsupportedOperation
from .grids import numeric, place, short_value
from .plotiterations import plot_phases
from .plots import MARKERS, PALETTE, drawing, integer_axis

FINE = 161  # points of a formula's curve
LINES = 7  # more curves than that are a map


def plot_check(check: Any, ax: Any = None) -> Any:
    """The claim as a line, the engine as circles with error, samples with two standard errors, departures crossed.

    Parameters
    ----------
    check : Check
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    The first parameter of the grid with several numbers runs along the axis; others, and quantities, have colours of their
    own. A claim without such a parameter has its rows side by side.
    """
    name = _along(check.grid.names, check.rows)
    with drawing(ax) as axes:
        if name is None:
            _side_by_side(axes, check.rows)
        else:
            series: dict[str, list[Any]] = {}
            for row in check.rows:
                others = place({k: v for k, v in row.parameters.items() if k != name})
                series.setdefault(", ".join(filter(None, (row.quantity, others))), []).append(row)
            for k, (label, rows) in enumerate(series.items()):
                _curve(axes, check, name, label, sorted(rows, key=lambda r: r.parameters[name]), k)
            axes.set_xlabel(name)
            if _counts(check.rows, name):
                integer_axis(axes)
        _marks(axes, check.rows, name)
        axes.set_ylabel("limit of the average")
        total, off = len(check.rows), len(check.departures)
        axes.set_title(f"departs in {off} of {total}" if off else f"agrees in all {total}", loc="left")
        axes.legend()
    return axes


def _along(names: Sequence[str], rows: Sequence[Any]) -> str | None:
    for name in names:
        values = [row.parameters[name] for row in rows]
        if numeric(values) and len(set(values)) > 1:
            return name
    return None


def _curve(ax: Any, check: Any, name: str, label: str, rows: Sequence[Any], k: int) -> None:
    colour, tail = PALETTE[k % len(PALETTE)], f" ({label})" if label else ""
    x = np.array([float(row.parameters[name]) for row in rows])
    fine, values = _formula(check, name, rows)
    ax.plot(fine, values, color=colour, label=f"claim{tail}")
    engine = [float(row.engine.value) for row in rows]
    error = [2 * float(row.engine.error) for row in rows]
    ax.errorbar(x, engine, error, fmt="o", mfc="none", mew=2, ms=11, color=colour, label=f"engine{tail}")
    drawn = [row for row in rows if row.finite is not None]
    if drawn:
        means, errors = [row.sampled for row in drawn], [2 * row.se for row in drawn]
        at = [float(row.parameters[name]) for row in drawn]
        marker = MARKERS[(k + 1) % len(MARKERS)]
        text = f"samples ± 2 se{tail}"
        ax.errorbar(at, means, errors, fmt=marker, ms=5, color="black", ecolor=colour, capsize=4, label=text)


def _formula(check: Any, name: str, rows: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The claim between the points of the grid where it has values there, else at the points alone."""
    x = np.array([float(row.parameters[name]) for row in rows])
    known = x, np.array([float(row.analytic) for row in rows])
    if check.formula is None or _counts(rows, name):
        return known
    fine = np.linspace(x[0], x[-1], FINE)
    try:
        values = [check.formula.at({**rows[0].parameters, name: float(v)})[rows[0].quantity][0] for v in fine]
    except RmtpError:
        return known
    return fine, np.array([float(v) for v in values])


def _counts(rows: Sequence[Any], name: str) -> bool:
    """Whether a parameter is an integer at every point, as an order or a depth is."""
    return all(isinstance(row.parameters[name], int) for row in rows)


def _side_by_side(ax: Any, rows: Sequence[Any]) -> None:
    x = np.arange(len(rows))
    ax.plot(x, [float(row.analytic) for row in rows], "_", ms=34, mew=2.5, color=PALETTE[0], label="claim")
    engine = [float(row.engine.value) for row in rows]
    error = [2 * float(row.engine.error) for row in rows]
    ax.errorbar(x, engine, error, fmt="o", mfc="none", mew=2, ms=11, color=PALETTE[0], label="engine")
    drawn = [(k, row) for k, row in enumerate(rows) if row.finite is not None]
    if drawn:
        means, errors = [row.sampled for _, row in drawn], [2 * row.se for _, row in drawn]
        ax.errorbar(
            [k for k, _ in drawn], means, errors, fmt="s", ms=5, color="black", capsize=4, label="samples ± 2 se"
        )
    names = [" ".join(filter(None, (row.quantity, place(row.parameters)))) or "the average" for row in rows]
    ax.set_xticks(x, names)
    ax.set_xlim(-0.6, len(rows) - 0.4)


def _marks(ax: Any, rows: Sequence[Any], name: str | None) -> None:
    off = [(k, row) for k, row in enumerate(rows) if not row.agrees]
    if off:
        x = [k if name is None else float(row.parameters[name]) for k, row in off]
        ax.plot(x, [float(row.analytic) for _, row in off], "X", color=PALETTE[1], ms=11, label="claim departs")


# ---------------------------------------------------------------------------------------------
# studies


def plot_study(study: Any, name: str | None = None, ax: Any = None) -> Any:
    """One number of a study over its grid: curves over one axis or two, a map if the second axis is long.

    Parameters
    ----------
    study : Study
    name : str, optional
        Which number, if there are several.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    UnsupportedOperation
        If the grid has no axis or more than two, or the number is an array at each point.
    """
    key = study.only(name)
    values, errors = study.masked(key), study.error(key)
    axes_of = list(study.grid.axes.items())
    if values.shape != study.grid.shape or not 1 <= len(axes_of) <= 2:
        raise UnsupportedOperation(
            f"a figure of {key or 'values'} of shape {values.shape}", remedy="an axis or two, and one number per point"
        )
    with drawing(ax) as axes:
        (xname, xs), *rest = axes_of
        if not rest:
            _line(axes, xs, values, errors, None, 0)
        else:
            (yname, ys) = rest[0]
            if len(ys) > LINES and numeric(xs) and numeric(ys):
                x, y = ([float(v) for v in values_] for values_ in (xs, ys))
                return plot_phases(x, y, values.T, axes, xlabel=xname, ylabel=yname, label=key or "value")
            for k, y in enumerate(ys):
                _line(axes, xs, values[:, k], errors[:, k], f"{yname} = {short_value(y)}", k)
            axes.legend()
        axes.set_xlabel(xname)
        axes.set_ylabel(key or "value")
    return axes


def _line(ax: Any, xs: Sequence[Any], values: Any, errors: Any, label: str | None, k: int) -> None:
    scale = numeric(xs)
    x = np.array([float(v) for v in xs]) if scale else np.arange(len(xs))
    style: Mapping[str, Any] = {"color": PALETTE[k % len(PALETTE)], "label": label, "capsize": 4}
    ax.errorbar(x, values, 2 * errors, fmt=f"{MARKERS[k % len(MARKERS)]}-", **style)
    if not scale:
        ax.set_xticks(x, [short_value(v) for v in xs])
