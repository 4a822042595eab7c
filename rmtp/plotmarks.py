"""Marks and labels that figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import BadParameter

# Okabe & Ito: distinct under every common colour blindness, and in grey
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


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
