"""Figures of scalings: the plane with its thirteen cells, measured slopes, networks beside their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .plotmarks import MARKERS, PALETTE
from .plots import drawing

_BAND = ((-1.75, 0.4), (-0.95, 2.05))
LINES = {  # cells of dimension 0 and 1: a place on each, where its name goes, and its alignment
    "post-MF": ((-1.375, 1.375), (12, 6), "left"),
    "MF": ((-1.0, 1.0), (14, 8), "left"),
    "sym-MF": ((-0.75, 0.75), (12, 6), "left"),
    "sym-default": ((-0.5, 0.5), (14, 8), "left"),
    "pre-sym": ((-0.1, 0.1), (12, 6), "left"),
    "post-NTK": ((-1.125, 0.625), (-12, -6), "right"),
    "NTK": ((-0.5, 0.0), (-14, -8), "right"),
    "pre-NTK": ((-0.05, -0.45), (-12, -6), "right"),
    "MF-NTK": ((-0.75, 0.5), (-46, -40), "right"),
    "NTK-sym": ((-0.5, 0.25), (-46, -40), "right"),
}
AREAS = {"post-MF-NTK": (-1.2, 0.95), "barycenter": (-0.622, 0.455), "pre-NTK-sym": (-0.17, -0.08)}


def plot_plane(ax: Any = None) -> Any:
    """The plane of (q_sigma, q~): the band in which training has a limit, and its thirteen cells by name.

    Thick lines and dots are cells of their own. Above the band features diverge, below it the output stagnates.

    Parameters
    ----------
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Golikov 2020 (2006.06574), Figure 1.

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> plot_plane(figure(9, 7)[1]).get_ylabel()
    'exponent of the learning rate, $\\\\tilde q$'
    """
    (left, right), (low, high) = _BAND
    with drawing(ax) as axes:
        areas = {
            "post-MF-NTK": ([(left, -left), (-1, 1), (-0.5, 0), (left, -0.5 - left)], PALETTE[5]),
            "barycenter": ([(-1, 1), (-0.5, 0.5), (-0.5, 0)], PALETTE[4]),
            "pre-NTK-sym": ([(-0.5, 0.5), (right, -right), (right, -0.5 - right), (-0.5, 0)], PALETTE[3]),
        }
        for corners, colour in areas.values():
            axes.fill(*zip(*corners), color=colour, alpha=0.3, linewidth=0)
        for ends, colour, label in (
            ([(left, -left), (right, -right)], PALETTE[0], "A: the kernel evolves"),
            ([(left, -0.5 - left), (right, -0.5 - right)], PALETTE[2], "B: $f_0$ is as large as an update"),
            ([(-1, 1), (-0.5, 0)], PALETTE[1], "C: the kernel is finite"),
            ([(-0.5, 0.5), (-0.5, 0)], PALETTE[6], "D: $f_0$ is finite"),
        ):
            axes.plot(*zip(*ends), color=colour, linewidth=3.5, label=label)
        for x, y in ((-1, 1), (-0.5, 0.5), (-0.5, 0)):
            axes.plot(
                [x], [y], "o", color="white", markeredgecolor=PALETTE[6], markeredgewidth=2.5, markersize=12, zorder=5
            )
        for name, (point, shift, side) in LINES.items():
            far = max(map(abs, shift)) > 20
            arrow = {"arrowstyle": "-", "color": "#555555", "linewidth": 1.2} if far else None
            axes.annotate(
                name, point, shift, textcoords="offset points", ha=side, va="center", fontsize=13,
                fontweight="bold", arrowprops=arrow, zorder=6,
            )  # fmt: skip
        for name, point in AREAS.items():
            axes.text(
                *point, name, ha="center", va="center", fontsize=11 if name == "barycenter" else 13, style="italic"
            )
        grey = {"color": "#555555", "fontsize": 12, "ha": "left"}
        axes.text(-0.6, 1.05, "features diverge", **grey)
        axes.text(-1.68, -0.35, "the output stagnates", **grey)
        axes.legend(loc="upper right")
        axes.set(xlim=(left, right), ylim=(low, high))
        axes.set_xlabel(r"exponent of the initial output weights, $q_\sigma$")
        axes.set_ylabel(r"exponent of the learning rate, $\tilde q$")
        axes.grid(False)
    return axes


def _pace(report: Any) -> str:
    """What a reader must know of a limit that networks are slow to reach."""
    note = next((n for n in report.notes if n.startswith("convergence")), "")
    return f" ($d^{{-{report.rate}}}${': too slow to be seen' if 'too slow' in note else ''})" if note else ""


def _width_ticks(axes: Any, widths: Sequence[int]) -> None:
    axes.set_xticks(list(widths), [str(n) for n in widths])
    axes.minorticks_off()


def _legend_below(axes: Any, **options: Any) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=11, **options)


def plot_slopes(slopes: Any, ax: Any = None) -> Any:
    """Measured sizes against the width with two standard errors, over dotted lines of the predicted slope.

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> from rmtp.training import measure
    >>> found = measure("mf", [[1.0], [-1.0]], [1, -1], widths=(32, 64), draws=4)
    >>> plot_slopes(found, figure()[1]).get_xlabel()
    'width n'
    """
    with drawing(ax) as axes:
        n = np.array(slopes.widths, dtype=float)
        for k, name in enumerate(slopes.squares):
            value, error = slopes.size(name)
            colour = PALETTE[k % len(PALETTE)]
            power = float(slopes.predicted(name))
            height = np.exp(np.mean(np.log(value) - power * np.log(n)))
            axes.plot(n, height * n**power, ":", color=colour, linewidth=1.8)
            label = f"{name}: {slopes.slope(name)[0]:+.2f} ({slopes.predicted(name)})"
            axes.errorbar(n, value, 2 * error, fmt=MARKERS[k % len(MARKERS)], color=colour, capsize=4, label=label)
        axes.set(xscale="log", yscale="log", xlabel="width n", ylabel="root mean square over draws")
        _width_ticks(axes, slopes.widths)
        _legend_below(axes, ncols=2, title="measured slope (predicted)")
    return axes


def plot_comparisons(found: Sequence[Any], ax: Any = None) -> Any:
    """Relative distances of networks from their limits against the width.

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> from rmtp.training import compare
    >>> found = compare("mf", [[1.0], [-1.0]], [1, -1], widths=(32, 64), draws=4, steps=2)
    >>> plot_comparisons([found], figure()[1]).get_xlabel()
    'width d'
    """
    with drawing(ax) as axes:
        for k, one in enumerate(found):
            slow = bool(_pace(one.report))
            label = f"{one.name}, slope {one.slope[0]:+.2f}{_pace(one.report)}"
            axes.errorbar(
                one.widths, one.deviation, 2 * one.error, fmt=("--" if slow else "-") + MARKERS[k % len(MARKERS)],
                color=PALETTE[k % len(PALETTE)], capsize=4, label=label,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="width d", ylabel="relative distance from the limit")
        _width_ticks(axes, found[0].widths)
        _legend_below(axes, ncols=1 if len(found) < 3 else 2)
    return axes


def plot_training(limits: Mapping[str, Any], finite: Mapping[str, Any], point: int, ax: Any = None) -> Any:
    """The output at one point in the course of training: limits as lines, means of finite networks as points.

    Bars are two standard errors of the mean over draws.

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> from rmtp.training import finite_dynamics, limit_dynamics
    >>> x, y = [[1.0], [-1.0]], [1, -1]
    >>> limit, finite = limit_dynamics("mf", x, y, steps=2), finite_dynamics("mf", x, y, width=50, steps=2)
    >>> plot_training({"MF": limit}, {"MF": finite}, 0, figure()[1]).get_xlabel()
    'step of gradient descent'
    """
    with drawing(ax) as axes:
        for k, (name, limit) in enumerate(limits.items()):
            colour = PALETTE[k % len(PALETTE)]
            axes.plot(limit.mean[:, point], color=colour, label=name + _pace(limit.report))
            if name in finite:
                values = finite[name].outputs[:, :, point]
                error = 2 * values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
                axes.errorbar(
                    np.arange(len(values)), values.mean(axis=1), error, fmt=MARKERS[k % len(MARKERS)], color=colour,
                    capsize=3, linestyle="none", markersize=5,
                )  # fmt: skip
        axes.set(xlabel="step of gradient descent", ylabel=r"output / $(d/d^*)^\kappa$")
        axes.legend(fontsize=11)
    return axes


def plot_features(run: Any, ax: Any = None) -> Any:
    """Outputs at the test points after each step of training in infinite width, with two errors.

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> from rmtp.training import feature_learning
    >>> run = feature_learning([[1]], [1], phi="linear", steps=2, exact=True)
    >>> plot_features(run, figure()[1]).get_ylabel()
    'output $f_t$'
    """
    values = np.asarray(run.test.value, dtype=float)
    errors = np.asarray(run.test.error, dtype=float)
    with drawing(ax) as axes:
        steps = np.arange(len(values))
        for k in range(values.shape[1]):
            colour = PALETTE[k % len(PALETTE)]
            axes.errorbar(steps, values[:, k], 2 * errors[:, k], color=colour, label=f"test point {k}", capsize=3)
        axes.set(xlabel="steps of SGD", ylabel="output $f_t$")
        axes.legend()
    return axes
