"""Figures of maps over two parameters, in the style of `plots`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .plots import PALETTE, drawing


def phase_map(weight_std: np.ndarray, bias_std: np.ndarray, chi: np.ndarray, ax: Any = None) -> Any:
    """log chi over (weight_std, bias_std), with the line chi = 1; returns the Axes.

    Parameters
    ----------
    weight_std, bias_std : ndarray
    chi : ndarray (bias_std, weight_std)
    ax : Axes, optional

    Examples
    --------
    >>> from rmtp.plots import figure
    >>> fig, ax = figure()
    >>> phase_map(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([[0.5, 2.0], [0.4, 1.5]]), ax).get_xlabel()
    'weight std $\\\\sigma_w$'
    """
    with drawing(ax) as drawn:
        shown = np.log10(np.maximum(chi, 1e-30))
        bound = max(0.1, float(np.max(np.abs(shown))))
        if min(chi.shape) > 1:
            mesh = drawn.pcolormesh(
                weight_std, bias_std, shown, cmap="RdBu_r", vmin=-bound, vmax=bound, shading="gouraud"
            )
            drawn.contour(weight_std, bias_std, shown, levels=[0.0], colors=PALETTE[6], linewidths=2.2)
        else:
            w, b = np.meshgrid(weight_std, bias_std)
            mesh = drawn.scatter(w, b, c=shown, cmap="RdBu_r", vmin=-bound, vmax=bound, s=80)
        drawn.figure.colorbar(mesh, ax=drawn, label=r"$\log_{10}\chi$ (gradient growth per layer)")
        drawn.set_xlabel(r"weight std $\sigma_w$")
        drawn.set_ylabel(r"bias std $\sigma_b$")
        drawn.grid(False)
    return drawn
