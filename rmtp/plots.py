"""Figures. The only module that imports matplotlib, and only inside functions.

Every function takes an Axes or makes a figure, and returns the Axes. Without ``ax`` the figure belongs to pyplot, so
that ``plt.show()`` shows it; reports use `figure`, which leaves no global state behind.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import BadParameter
from .plotmarks import (
    MARKERS,
    PALETTE,
    SPECTRAL_POINTS,
    bars,
    deviations,
    headroom,
    limit_line,
    numbers,
    short,
    spectral_curves,
    spectral_names,
    stems,
    zlaw_density,
)
from .sample import generator, positive, sample

GREY = "#777777"


@contextmanager
def style() -> Iterator[None]:
    """Fonts for a talk and a palette safe for colour blindness, for the figures made inside.

    Examples
    --------
    >>> with style():
    ...     fig, ax = figure()
    >>> ax.xaxis.label.get_size()
    15.0
    """
    import matplotlib as mpl
    from matplotlib.rcsetup import cycler

    settings: Any = {
        "font.size": 14,
        "axes.labelsize": 15,
        "axes.titlesize": 15,
        "legend.fontsize": 12,
        "xtick.labelsize": 13,
        "ytick.labelsize": 13,
        "lines.linewidth": 2.2,
        "lines.markersize": 7,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "legend.framealpha": 0.85,
        "legend.edgecolor": "none",
        "savefig.dpi": 120,
        "figure.dpi": 100,
    }
    with mpl.rc_context(settings):
        yield


def figure(width: float = 7.2, height: float = 4.8, rows: int = 1, cols: int = 1) -> tuple[Any, Any]:
    """A figure of its own (inches), outside pyplot's list of open figures, with one Axes or an array of rows x cols.

    Examples
    --------
    >>> fig, ax = figure()
    >>> to_png_base64(fig)[:8]
    'iVBORw0K'
    """
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(rows, cols)


def to_png_base64(fig: Any) -> str:
    """The figure as base64 text of a PNG, for ``<img src="data:image/png;base64,...">``.

    Examples
    --------
    >>> to_png_base64(figure()[0])[:8]
    'iVBORw0K'
    """
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


@contextmanager
def drawing(ax: Any) -> Iterator[Any]:
    """The Axes given, or a new one, in our style.

    Examples
    --------
    >>> with drawing(figure()[1]) as ax:
    ...     lines = ax.plot([0, 1])
    """
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
        yield ax


# ---------------------------------------------------------------------------------------------
# the law of Z


def plot_zlaw(law: Any, ax: Any = None, *, width: int | None = None, rng: Any = 0, **line: Any) -> Any:
    """The density of Z; with `width`, over a histogram of the coordinates of one finite draw.

    Exact where Z is Gaussian; else a smoothed histogram of 400 000 samples of Z, which rounds corners off over about
    one part in a hundred of the range. Atoms are drawn as stems whose height is their probability.

    Parameters
    ----------
    law : ZLaw
    ax : Axes, optional
    width : int, optional
        Base width of a draw of the vector itself.
    rng : Generator or int, optional
        For the samples and the draw.
    **line
        Passed to ``ax.plot`` for the curve.

    Returns
    -------
    Axes

    Raises
    ------
    BadParameter
        If `width` is given for a part of a vector (``law.zhat``, one entry of a finite axis).

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    >>> ax = plot_zlaw(rmtp.limit(W @ x), figure()[1], width=500)
    >>> ax.get_ylabel()
    'probability density'
    """
    for_curve, for_draw = generator(rng).spawn(2)
    drawn = None
    if width is not None:
        if law._handle is None:
            raise BadParameter("a part of a vector has no draw of its own", remedy="plot it without width=")
        drawn = sample(law._handle, positive(width, "width"), for_draw)
    points, density, atoms = zlaw_density(law, for_curve)
    with drawing(ax) as axes:
        if drawn is not None and len(points):
            smooth = drawn[~np.isin(drawn, [value for value, _ in atoms])]
            bins = min(60, max(12, int(2 * len(drawn) ** (1 / 3))))
            counts, edges = np.histogram(smooth, bins=bins, range=(points[0], points[-1]))
            heights, name = counts / (len(drawn) * np.diff(edges)), f"one draw, {len(drawn)} coordinates"
            axes.stairs(heights, edges, fill=True, color=PALETTE[5], alpha=0.45, label=name)
        if len(points):
            axes.plot(points, density, **{"color": PALETTE[0], "label": "limit Z", **line})
        for k, (value, mass) in enumerate(atoms):
            label = "atoms of Z" if k == 0 else None
            axes.vlines(value, 0, mass, color=PALETTE[1], linewidth=3, label=label)
            axes.plot([value], [mass], "o", color=PALETTE[1])
        if drawn is not None and atoms:
            values = [value for value, _ in atoms]
            shares = [float(np.mean(drawn == value)) for value in values]
            axes.plot(
                values,
                shares,
                "o",
                mfc="none",
                mew=2,
                ms=13,
                color=PALETTE[5],
                label=f"shares in a draw of {len(drawn)}",
            )
        axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
        axes.set_xlabel("value of one coordinate")
        what = ["probability density"] * bool(len(points)) + ["probability of atoms"] * bool(atoms)
        axes.set_ylabel("\n".join(what))
        if drawn is not None or atoms:
            axes.legend()
    return axes


# ---------------------------------------------------------------------------------------------
# laws of eigenvalues and singular values


def spectral_law(
    law: Any, ax: Any = None, width: int | None = 1000, rng: Any = 0, *, label: str = "limit", **line: Any
) -> Any:
    """The density of a spectral law with its atoms, over a histogram of one finite matrix.

    Curve and histogram show the continuous part, both of area 1 minus the mass of the atoms. The points of the curve are as
    dense as its edges need; where the density is infinite the vertical axis is cut. An atom is a stem, and a stem as high as
    the axis would be mass 1. Outliers are triangles.

    Parameters
    ----------
    law : Law
    ax : Axes, optional
    width : int or None
        Base width of the matrix drawn; None draws none.
    rng : Generator or int, optional
        For the matrix.
    label : str
        Of the curve.
    **line
        Passed to ``ax.plot`` for the curve.

    Returns
    -------
    Axes

    Raises
    ------
    UnsupportedOperation
        If no matrix can be drawn because its law is known by moments or cumulants only; ``width=None`` helps.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> ax = spectral_law(rmtp.spectrum(rmtp.GOE(n)), figure()[1], width=200)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('eigenvalue', 'density')
    """
    curves, drawn = spectral_curves(law), None if width is None else _apart_from_atoms(law, width, rng)
    with drawing(ax) as axes:
        top = axes.get_ylim()[1] if axes.has_data() else 0.0
        if drawn is not None and len(drawn[0]):
            bars(axes, law, *drawn)
        _spectral_lines(axes, [(x, rho) for x, rho, _ in curves], label, line)
        stems(axes, law)
        rows = len(axes.get_legend_handles_labels()[0])
        top = max(top, headroom([(x[seen], rho[seen]) for x, rho, seen in curves], rows) if curves else 0.0)
        axes.set_ylim(0, top or 1.0)
        spectral_names(axes, law)
    return axes


def spectral_law_loglog(
    law: Any, ax: Any = None, width: int | None = 1000, rng: Any = 0, *, label: str = "limit", **line: Any
) -> Any:
    """The density of a law on the positive axis, both axes logarithmic: a hard edge is a straight line of its exponent.

    The histogram has bins of equal ratio. Atoms have no place here, and only values above 1e-6 of
    the largest (singular values: 1e-4) are shown.

    Parameters
    ----------
    law : Law
    ax : Axes, optional
    width : int or None
    rng : Generator or int, optional
    label : str
    **line
        As for `spectral_law`.

    Returns
    -------
    Axes

    Raises
    ------
    BadParameter
        If the law has no density on the positive axis.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> ax = spectral_law_loglog(rmtp.singular_values(rmtp.Gaussian(n, n)), figure()[1], width=None)
    >>> ax.get_xlabel(), ax.get_xscale()
    ('singular value', 'log')
    """
    least = 1e-4 if law.label == "singular value" else 1e-6
    ends = [(max(a, least * b), b) for a, b in law.support() if b > 0]
    if not ends or not np.isfinite(ends[-1][1]):
        raise BadParameter(f"{law!r} has no bounded density on the positive axis", remedy="spectral_law(law)")
    shares = (1 - np.cos(np.pi * (np.arange(SPECTRAL_POINTS) + 0.5) / SPECTRAL_POINTS)) / 2
    points = [a * (b / a) ** shares for a, b in ends]
    drawn = None if width is None else _apart_from_atoms(law, width, rng)
    with drawing(ax) as axes:
        axes.set_xscale("log")
        axes.set_yscale("log")
        if drawn is not None and np.any(drawn[0] > ends[0][0]):
            values, total = drawn
            shown = values[values > ends[0][0]]
            counts, edges = np.histogram(shown, bins=np.geomspace(shown.min(), shown.max(), _spectral_bins(values) + 1))
            _histogram(axes, counts, edges, total)
        _spectral_lines(axes, [(x, law.pdf(x)) for x in points], label, line)
        spectral_names(axes, law)
    return axes


def _apart_from_atoms(law: Any, width: int, rng: Any) -> tuple[np.ndarray, int]:
    """The values of one finite matrix that are not at atoms, and how many there were with them."""
    values = law.sample(positive(width, "width"), rng)
    scale = np.abs(values).max(initial=0.0)
    apart = np.ones(len(values), dtype=bool)
    for atom in law.atoms:
        apart &= np.abs(values - atom.x) > 1e-10 * scale
    return values[apart], len(values)


def _spectral_bins(values: np.ndarray) -> int:
    return int(np.clip(len(values) / 20, 12, 60))  # eigenvalues repel, so that bins of twenty are smooth


def _histogram(ax: Any, counts: np.ndarray, edges: np.ndarray, total: int) -> None:
    heights, name = counts / (total * np.diff(edges)), f"one matrix, {total} values"
    ax.stairs(heights, edges, fill=True, color=PALETTE[5], alpha=0.45, label=name)


def _spectral_lines(ax: Any, curves: list[tuple[np.ndarray, np.ndarray]], label: str, line: Mapping[str, Any]) -> None:
    for k, (x, rho) in enumerate(curves):
        ax.plot(x, rho, **{"color": PALETTE[0], "label": label if k == 0 else None, **line})


# ---------------------------------------------------------------------------------------------
# finite widths against limits


def plot_verification(v: Any, ax: Any = None) -> Any:
    """Finite means with two standard errors against the width n, over the limit and its error.

    Parameters
    ----------
    v : Verification
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> x = rmtp.Normal(rmtp.Dim("n"))
    >>> plot_verification(rmtp.verify(np.mean(x**2), widths=(50, 100), trials=20), figure()[1]).get_xlabel()
    'width n (coordinates)'
    """
    with drawing(ax) as axes:
        limit_line(axes, v.limit)
        if len(v.widths) > 1:
            n = np.geomspace(v.widths[0], v.widths[-1], 100)
            axes.plot(n, v.fitted(n), ":", color=PALETTE[0], linewidth=1.6, label=r"fit $L + c/n$")
        axes.errorbar(
            v.widths, v.mean, 2 * v.se, fmt="o", color=PALETTE[0], capsize=4, label="mean ± 2 standard errors"
        )
        width_axis(axes, v.widths)
        axes.set_ylabel(short(v.expression) or "average")
        axes.set_title(f"z = {v.score:+.2f} at infinite width", loc="left")
        axes.legend()
    return axes


def plot_universality(checks: Mapping[str, Any], ax: Any = None) -> Any:
    """One colour per entry law of the matrices, slightly apart; all tend to one limit.

    Parameters
    ----------
    checks : dict of Verification by entry law
        As `verify` returns it for several laws.
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> average = np.mean((rmtp.Gaussian(n, n) @ rmtp.Normal(n)) ** 2)
    >>> checks = rmtp.verify(average, widths=(50, 100), trials=20, entries=("gaussian", "uniform"))
    >>> len(plot_universality(checks, figure()[1]).containers)
    2
    """
    if not checks:
        raise BadParameter("no verifications to plot", remedy='verify(..., entries=("gaussian", "rademacher"))')
    first = next(iter(checks.values()))
    with drawing(ax) as axes:
        limit_line(axes, first.limit)
        shift = np.linspace(-0.06, 0.06, len(checks)) if len(checks) > 1 else [0.0]
        for k, (law, v) in enumerate(checks.items()):
            marker, colour = MARKERS[k % len(MARKERS)], PALETTE[k % len(PALETTE)]
            n = np.array(v.widths) * np.exp(shift[k])
            axes.errorbar(n, v.mean, 2 * v.se, fmt=marker, color=colour, capsize=4, label=f"{law} entries")
        width_axis(axes, first.widths)
        axes.set_ylabel(short(first.expression) or "average")
        axes.legend()
    return axes


def plot_kernel_deviation(curves: Mapping[str, tuple[Any, Any, Any]], ax: Any = None) -> Any:
    """Relative deviations of kernels at finite width, both axes logarithmic, over lines of slope -1/2.

    Parameters
    ----------
    curves : dict of (widths, deviations, standard errors)
        By label; errors are drawn doubled.
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> plot_kernel_deviation({"NTK": ([64, 256], [0.2, 0.1], [0.01, 0.01])}, figure()[1]).get_xlabel()
    'width n'
    """
    if not curves:
        raise BadParameter("no deviations to plot", remedy="{label: (widths, deviations, errors)}")
    with drawing(ax) as axes:
        deviations(axes, curves)
        width_axis(axes, sorted({int(n) for widths, _, _ in curves.values() for n in widths}))
        axes.set_xlabel("width n")
        axes.legend()
    return axes


def plot_trajectory(
    steps: Sequence[float],
    curves: Mapping[str, Any],
    finite: Mapping[str, tuple[Any, Any]] | None = None,
    naive: Mapping[str, Any] | None = None,
    ax: Any = None,
    *,
    log: bool = False,
    xlabel: str = "step",
    ylabel: str = "average over the width",
) -> Any:
    """Limits over the steps of an algorithm as lines, samples as points, naive answers dashed.

    Parameters
    ----------
    steps : sequence of numbers
    curves : dict
        Label to the limits at each step (numbers or Estimates).
    finite : dict, optional
        Label to (means, standard errors); drawn with two standard errors, in the colour of the curve of that label.
    naive : dict, optional
        Label to what is claimed without Z-Dot; dashed, in the colour of the curve of that label.
    ax : Axes, optional
    log : bool
        A logarithmic vertical axis.
    xlabel, ylabel : str

    Returns
    -------
    Axes

    Raises
    ------
    BadParameter
        If a curve has another length than `steps`.

    Examples
    --------
    >>> ax = plot_trajectory([1, 2], {"mse": [1.0, 0.5]}, {"mse": ([0.9, 0.6], [0.1, 0.1])}, ax=figure()[1])
    >>> ax.get_xlabel()
    'step'
    """
    finite, naive = dict(finite or {}), dict(naive or {})
    labels = list(dict.fromkeys([*curves, *finite, *naive]))
    colour = {label: PALETTE[k % len(PALETTE)] for k, label in enumerate(labels)}
    with drawing(ax) as axes:
        for label, values in curves.items():
            axes.plot(steps, numbers(values, steps, label), color=colour[label], label=f"{label}: limit")
        for label, values in naive.items():
            row = numbers(values, steps, label)
            axes.plot(steps, row, "--", color=colour[label], alpha=0.8, label=f"{label}: naive (no Z-Dot)")
        for k, (label, (means, errors)) in enumerate(finite.items()):
            rows = numbers(means, steps, label), 2 * numbers(errors, steps, label)
            marker = MARKERS[k % len(MARKERS)]
            axes.errorbar(steps, *rows, fmt=marker, color=colour[label], capsize=3, label=f"{label}: sampled ± 2 se")
        if log:
            axes.set_yscale("log")
        if all(float(s).is_integer() for s in steps):
            integer_axis(axes)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.legend()
    return axes


def plot_moments(
    ks: Sequence[int],
    engine: Sequence[Any],
    analytic: Sequence[Any] | None = None,
    sampled: Sequence[float] | None = None,
    errors: Sequence[float] | None = None,
    *,
    ax: Any = None,
    ylabel: str = r"$k$-th moment",
) -> Any:
    """Moments of order k: the engine's, the analytic ones, and those of samples.

    Parameters
    ----------
    ks : sequence of int
    engine, analytic : sequence of numbers or Estimates
    sampled, errors : sequence of float, optional
        Means and standard errors (drawn doubled).
    ax : Axes, optional
    ylabel : str

    Returns
    -------
    Axes

    Notes
    -----
    The vertical axis is logarithmic if all values are positive and span more than a factor of 50.

    Examples
    --------
    >>> plot_moments([1, 2, 3], [1, 2, 5], [1, 2, 5], ax=figure()[1]).get_xlabel()
    'order $k$'
    """
    computed = numbers(engine, ks, "engine")
    with drawing(ax) as axes:
        if analytic is not None:
            known = numbers(analytic, ks, "analytic")
            axes.plot(ks, known, "-", color=GREY, linewidth=1.6, label="analytic")
        axes.plot(ks, computed, "o", mfc="none", mew=2, ms=10, color=PALETTE[0], label="engine")
        if sampled is not None:
            means = numbers(sampled, ks, "sampled")
            spread = np.zeros(len(ks)) if errors is None else 2 * numbers(errors, ks, "errors")
            axes.errorbar(ks, means, spread, fmt="s", ms=4, color=PALETTE[1], capsize=4, label="sampled ± 2 se")
        if np.all(computed > 0) and computed.max() > 50 * computed.min():
            axes.set_yscale("log")
        integer_axis(axes)
        axes.set_xlabel(r"order $k$")
        axes.set_ylabel(ylabel)
        axes.legend()
    return axes


# ---------------------------------------------------------------------------------------------
# parts


def width_axis(ax: Any, widths: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.set_xticks(list(widths), [str(n) for n in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("width n (coordinates)")


def integer_axis(ax: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


__all__ = [
    "GREY",
    "MARKERS",
    "PALETTE",
    "drawing",
    "figure",
    "plot_kernel_deviation",
    "plot_moments",
    "plot_trajectory",
    "plot_universality",
    "plot_verification",
    "plot_zlaw",
    "spectral_law",
    "spectral_law_loglog",
    "style",
    "to_png_base64",
]
