"""Marks and labels that figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BadParameter

# Okabe & Ito: distinct under every common colour blindness, and in grey
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def limit_line(ax: Any, limit: Any) -> None:
    value, error = float(limit.value), float(limit.error)
    name = "claim" if limit.method == "claim" else f"limit ({limit.method})"
    ax.axhline(value, color=PALETTE[6], linewidth=1.8, label=f"{name}: {value:.6g}")
    if error:
        ax.axhspan(value - 2 * error, value + 2 * error, color=PALETTE[6], alpha=0.12, linewidth=0)


def numbers(values: Any, steps: Sequence[Any], label: str) -> np.ndarray:
    row = np.array([float(value) for value in values])
    if len(row) != len(steps):
        raise BadParameter(f"{label}: {len(row)} values for {len(steps)} points", remedy="one value per point")
    return row


def short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def stems(ax: Any, law: Any) -> None:
    heights = ax.get_xaxis_transform()  # x in data, height in shares of the axis
    for k, atom in enumerate(law.atoms):
        label = "atoms: height is mass" if k == 0 else None
        ax.plot([atom.x, atom.x], [0, atom.mass], "-", color=PALETTE[1], linewidth=3, transform=heights, label=label)
        ax.plot([atom.x], [atom.mass], "o", color=PALETTE[1], transform=heights, clip_on=False)
        ax.annotate(
            f"mass {atom.mass:.4g}", (atom.x, atom.mass), xycoords=heights, xytext=(8, -4), textcoords="offset points"
        )  # fmt: skip
    outliers = [o.x for o in getattr(law, "outliers", ())]
    if outliers:
        ax.plot(
            outliers, np.full(len(outliers), 0.03), "v", color=PALETTE[2], ms=11, transform=heights, label="outliers"
        )
    ax.margins(x=0.06)


def spectral_names(ax: Any, law: Any) -> None:
    ax.set_xlabel(law.label)
    ax.set_ylabel("density" if law.edges else "mass")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend()


def deviations(ax: Any, curves: Mapping[str, tuple[Any, Any, Any]]) -> None:
    """Deviations against widths with two standard errors, each over a dotted line of slope -1/2 of its own height."""
    for k, (label, (widths, values, errors)) in enumerate(curves.items()):
        n, colour = np.array(widths, dtype=float), PALETTE[k % len(PALETTE)]
        d = numbers(values, widths, label)
        slope = "slope $-1/2$" if k == len(curves) - 1 else None
        height = np.exp(np.mean(np.log(d[d > 0] * n[d > 0] ** 0.5))) if np.any(d > 0) else np.nan
        ax.plot(n, height * n**-0.5, ":", color=colour, linewidth=1.6, label=slope)
        marker = MARKERS[k % len(MARKERS)]
        ax.errorbar(n, d, 2 * numbers(errors, widths, label), fmt=marker, color=colour, capsize=4, label=label)
    ax.set_yscale("log")
    ax.set_ylabel(r"$\|K_n - K\|_F \;/\; \|K\|_F$")
