"""Figures of predictions over inputs on a line."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import BadParameter
from .plots import PALETTE, drawing


def plot_band(
    prediction: Any,
    x: Any = None,
    ax: Any = None,
    *,
    samples: int = 0,
    rng: Any = 0,
    output: int = 0,
    label: str = "",
) -> Any:
    """Mean, band of two standard deviations, drawn functions and training points.

    Parameters
    ----------
    prediction : Prediction
    x : array (M,) or (M, 1), optional
    ax : Axes, optional
        Bands in one Axes get one colour after the other.
    samples : int
    rng : Generator or int, optional
    output : int
    label : str

    Returns
    -------
    Axes

    Raises
    ------
    BadParameter
        If the inputs are not on a line, or there are no variances.

    Examples
    --------
    >>> from rmtp import plots, regression
    >>> p = regression.posterior([[1.0]], [[0.5], [0.2]], [1.0, 1.0], [2.0])
    >>> ax = plot_band(p, [0.0, 1.0], plots.figure()[1], label="NNGP")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['NNGP: mean', 'NNGP: ± 2 sd']
    """
    at = _line(prediction.inputs if x is None else x, len(prediction.mean))
    std = prediction.std
    mean = _column(prediction.mean, output)
    order = np.argsort(at, kind="stable")
    at, mean, std = at[order], mean[order], std[order]
    drawn = prediction.sample(samples, rng) if samples else None
    start = f"{label}: " if label else ""
    with drawing(ax) as axes:
        colour = PALETTE[len(axes.collections) % (len(PALETTE) - 1)]
        axes.fill_between(at, mean - 2 * std, mean + 2 * std, color=colour, alpha=0.2, linewidth=0)
        axes.plot(at, mean, color=colour, label=f"{start}mean")
        axes.fill([], [], color=colour, alpha=0.2, label=f"{start}± 2 sd")
        for k, f in enumerate(() if drawn is None else drawn):
            name = f"{start}samples" if k == 0 else None
            axes.plot(at, _column(f, output)[order], color=colour, linewidth=0.9, alpha=0.7, label=name)
        if prediction.train is not None and prediction.train[0][0].size == 1:
            known, y = prediction.train
            # above every band, and named once
            have = "training points" in axes.get_legend_handles_labels()[1]
            axes.plot(known.reshape(-1), _column(y, output), "o", color="black", zorder=5,
                      label=None if have else "training points")  # fmt: skip
        axes.set_xlabel("input x")
        axes.set_ylabel("output f(x)")
        axes.legend()
    return axes


def _line(x: Any, count: int) -> np.ndarray:
    if x is None:
        raise BadParameter("a band without inputs", remedy="plot(x), one number per test point")
    at = np.asarray(x, dtype=float)
    if at.size != count or len(at) != count:
        raise BadParameter(f"inputs of shape {at.shape} for {count} test points", remedy="inputs on a line, x=(M,)")
    return at.reshape(-1)


def _column(values: np.ndarray, output: int) -> np.ndarray:
    return values if values.ndim == 1 else values[:, output]
