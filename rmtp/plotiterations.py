"""Figures of iterative algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import UnsupportedOperation
from .plots import PALETTE, drawing, plot_trajectory


def plot_evolution(trajectory: Any, simulation: Any = None, ax: Any = None) -> Any:
    """The mean squared error of a trajectory against the step, samples over it, the answer for fresh data dashed.

    Parameters
    ----------
    trajectory : Trajectory
    simulation : Simulation, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    UnsupportedOperation
        For a sweep; see `plot_phases`.

    Examples
    --------
    >>> import rmtp
    >>> from rmtp.amp import power_iteration, random_start, spiked_wigner
    >>> found = rmtp.state_evolution(power_iteration, random_start(spiked_wigner(2, [-1, 1])), 2)
    >>> plot_evolution(found).get_ylabel()
    'mean squared error per coordinate'
    """
    if np.ndim(trajectory.mse.value) > 1:
        raise UnsupportedOperation("the trajectory of a sweep", remedy="plot_phases of its last step")
    mse = np.asarray(trajectory.mse.value, dtype=float)
    name = trajectory.name.replace("_", " ")
    finite = None if simulation is None else {name: (simulation.mean(), simulation.se())}
    naive = None if trajectory.naive is None else np.asarray(trajectory.naive.mse.value, dtype=float)
    positive = mse[mse > 0]
    axes = plot_trajectory(
        range(len(mse)),
        {name: mse},
        finite,
        ax=ax,
        log=bool(len(positive) and positive.max() > 20 * positive.min()),
        ylabel="mean squared error per coordinate",
    )
    if naive is not None:
        axes.plot(range(len(mse)), naive, "--", color=PALETTE[1], label="fresh data at every step")
        axes.legend()
    return axes


def plot_phases(
    x: Any, y: Any, values: Any, ax: Any = None, *, xlabel: str, ylabel: str, label: str, curve: Any = None
) -> Any:
    """A quantity over two parameters, with a predicted boundary.

    Parameters
    ----------
    x, y : array (columns,), (rows,)
    values : array (rows, columns)
    ax : Axes, optional
    xlabel, ylabel, label : str
        Of the axes and of the colours.
    curve : (array, array, str), optional
        A boundary and its name.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> plot_phases([0, 1], [0, 1], np.eye(2), xlabel="a", ylabel="b", label="c").get_xlabel()
    'a'
    """
    with drawing(ax) as axes:
        mesh = axes.pcolormesh(x, y, values, cmap="viridis", shading="nearest")
        axes.figure.colorbar(mesh, ax=axes, label=label)
        if curve is not None:
            axes.plot(curve[0], curve[1], color=PALETTE[1], linewidth=2.5, label=curve[2])
            axes.legend()
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_xlim(np.min(x), np.max(x))
        axes.set_ylim(np.min(y), np.max(y))
        axes.grid(False)
    return axes


def plot_landscape(landscape: Any, ax: Any = None) -> Any:
    """The free energy of a Bayes-optimal problem over the error, its minima marked.

    Parameters
    ----------
    landscape : Landscape
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    with drawing(ax) as axes:
        axes.plot(landscape.error, landscape.free_energy, color=PALETTE[0])
        for name, at, colour, marker in (
            ("Bayes-optimal", landscape.bayes, PALETTE[2], "o"),
            ("reached by AMP", landscape.algorithmic, PALETTE[1], "s"),
        ):
            height = np.interp(at, landscape.error, landscape.free_energy)
            axes.plot([at], [height], marker, color=colour, ms=11, label=f"{name}: {at:.4g}")
        axes.set_xscale("log")
        axes.set_xlabel("mean squared error per coordinate")
        axes.set_ylabel("free energy per unknown (nats)")
        axes.legend()
    return axes
