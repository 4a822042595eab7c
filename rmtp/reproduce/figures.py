"""Figures of the report, each made from rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import plots
from .table import Row


def prefixed(rows: Sequence[Row], start: str) -> list[Row]:
    """The rows whose quantity begins with `start`."""
    return [row for row in rows if row.quantity.startswith(start)]


def _spread(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [float("nan") if r.sampled is None else r.sampled for r in rows], [r.se or 0.0 for r in rows]


def moments(start: str, title: str = "") -> Callable[[Sequence[Row]], Any]:
    """A figure of the rows that begin with `start`, as moments of order 1, 2, ..."""

    def draw(rows: Sequence[Row]) -> Any:
        chosen = prefixed(rows, start)
        with plots.style():
            fig, ax = plots.figure()
            orders = range(1, len(chosen) + 1)
            plots.plot_moments(
                orders, [r.engine for r in chosen], [r.analytic for r in chosen], *_spread(chosen), ax=ax
            )
            ax.set_title(title or start)
        return fig

    return draw


def trajectory(
    labels: dict[str, str], xlabel: str = "step", ylabel: str = "limit", log: bool = False
) -> Callable[[Sequence[Row]], Any]:
    """Curves over steps: `labels` takes the beginning of the quantities of a curve to its label."""

    def draw(rows: Sequence[Row]) -> Any:
        curves = {label: prefixed(rows, start) for start, label in labels.items()}
        steps = range(1, len(next(iter(curves.values()))) + 1)
        with plots.style():
            fig, ax = plots.figure()
            plots.plot_trajectory(
                steps,
                {label: [r.engine for r in chosen] for label, chosen in curves.items()},
                {label: _spread(chosen) for label, chosen in curves.items()},
                ax=ax,
                xlabel=xlabel,
                ylabel=ylabel,
                log=log,
            )
        return fig

    return draw


def comparison(rows: Sequence[Row]) -> Any:
    """Engine, analytic and sampled value of every row, one below the other, in units of the analytic value."""
    shown = [r for r in rows if float(r.analytic) != 0]
    with plots.style():
        fig, ax = plots.figure(8.4, 1.6 + 0.42 * len(shown))
        heights = np.arange(len(shown))[::-1]
        scale = np.array([float(r.analytic) for r in shown])
        ax.axvline(1.0, color=plots.GREY, linewidth=1.2, label="analytic")
        ax.plot(
            np.array([float(r.engine) for r in shown]) / scale, heights, "o", mfc="none", ms=10, mew=2, label="engine"
        )
        means, errors = _spread(shown)
        ax.errorbar(
            np.array(means) / scale,
            heights,
            xerr=2 * np.array(errors) / np.abs(scale),
            fmt="s",
            ms=4,
            capsize=4,
            color=plots.PALETTE[1],
            label="sampled ± 2 se",
        )
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0.98), max(high, 1.02))  # rounding is no axis
        ax.set_yticks(heights, [r.quantity for r in shown])
        ax.set_xlabel("value / analytic value")
        fig.legend(loc="outside lower center", ncols=3)
    return fig


def spectrum(
    eigenvalues: Callable[[], np.ndarray], density: Callable[[np.ndarray], np.ndarray], title: str
) -> Callable[[Sequence[Row]], Any]:
    """A histogram of the eigenvalues of one finite matrix under the density with the derived moments."""

    def draw(rows: Sequence[Row]) -> Any:
        values = eigenvalues()
        grid = np.linspace(values.min(), values.max(), 400)
        with plots.style():
            fig, ax = plots.figure()
            ax.hist(values, bins=60, density=True, color=plots.PALETTE[5], alpha=0.6, label="one finite matrix")
            ax.plot(grid, density(grid), color=plots.PALETTE[6], label="density with the derived moments")
            ax.set_xlabel("eigenvalue")
            ax.set_ylabel("density")
            ax.set_title(title)
            ax.legend()
        return fig

    return draw
