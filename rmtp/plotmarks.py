"""Marks and labels that figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BadParameter
from .normal import Hat, Initial

# Okabe & Ito: distinct under every common colour blindness, and in grey
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_CURVE_SAMPLES = 400_000
_BINS = 600
_ATOM_SHARE = 1e-3  # a value that comes back in more than this share of the samples is an atom
SPECTRAL_POINTS = 400
_STEEP = 0.01  # next to an infinite density, this share of an interval does not decide on the height of the axis
_FLUCTUATION = 0.05  # of an interval's length: so far do finite matrices reach beyond its ends
_LEGEND = 0.55  # the width of a legend, as a share of the axis


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


def zlaw_density(law: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    """Points and density of the continuous part of Z, and its atoms (value, probability)."""
    mean, std = float(law.mean), float(law.std)
    if std == 0:
        return np.empty(0), np.empty(0), [(mean, 1.0)]
    if _is_gaussian(law):
        points = mean + std * np.linspace(-4, 4, 401)
        return points, np.exp(-(((points - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi)), []
    values = law.rvs(_CURVE_SAMPLES, rng)
    distinct, counts = np.unique(values, return_counts=True)
    heavy = counts > _ATOM_SHARE * len(values)
    atoms = [(float(v), float(c) / len(values)) for v, c in zip(distinct[heavy], counts[heavy], strict=True)]
    smooth = values[~np.isin(values, distinct[heavy])]
    if len(smooth) < _ATOM_SHARE * len(values):
        return np.empty(0), np.empty(0), atoms
    low, high = np.quantile(smooth, [5e-4, 1 - 5e-4])
    bandwidth = max(min(smooth.std(), (high - low) / 4) * len(smooth) ** -0.2, (high - low) / _BINS)
    # the samples' own ends are reflected, which keeps the density of a law with a hard edge (tanh) up to the edge
    first, last = max(smooth.min(), low - 5 * bandwidth), min(smooth.max(), high + 5 * bandwidth)
    counts, edges = np.histogram(smooth, bins=_BINS, range=(first, last))
    bins = bandwidth * _BINS / (last - first)
    from scipy import ndimage  # nothing but a figure needs it

    density = ndimage.gaussian_filter1d(counts / (len(values) * np.diff(edges)), bins, mode="reflect")
    points = (edges[:-1] + edges[1:]) / 2
    shown = (points >= low) & (points <= high)
    return points[shown], density[shown], atoms


def _is_gaussian(law: Any) -> bool:
    """Whether Z is an affine function of Gaussians."""
    table = law._theorem.atoms.table
    return all(
        sum(power for _, power in mono) <= 1 and all(isinstance(table[a], Hat | Initial) for a, _ in mono)
        for mono in law._form.terms
    )


def stems(ax: Any, law: Any) -> None:
    heights = ax.get_xaxis_transform()  # x in data, height in shares of the axis
    outliers = [o.x for o in getattr(law, "outliers", ())]
    places = [*(e.x for e in law.edges), *(a.x for a in law.atoms), *outliers]
    masses = {f"{atom.mass:.4g}" for atom in law.atoms}
    alike = len(masses) == 1
    one = "atom of mass" if len(law.atoms) == 1 else "atoms, each of mass"
    name = f"{one} {next(iter(masses))}" if alike else "atoms: height is mass"
    for k, atom in enumerate(law.atoms):
        label = name if k == 0 else None
        ax.plot([atom.x, atom.x], [0, atom.mass], "-", color=PALETTE[1], linewidth=3, transform=heights, label=label)
        ax.plot([atom.x], [atom.mass], "o", color=PALETTE[1], transform=heights, clip_on=False)
        if not alike:
            right = atom.x > 0.7 * max(places) + 0.3 * min(places) and atom.x > min(places)
            ax.annotate(
                f"mass {atom.mass:.4g}", (atom.x, atom.mass), xycoords=heights, xytext=(-8 if right else 8, 0),
                textcoords="offset points", ha="right" if right else "left", va="center", zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
            )  # fmt: skip
    if outliers:
        ax.plot(
            outliers, np.full(len(outliers), 0.03), "v", color=PALETTE[2], ms=11, transform=heights, label="outliers"
        )
    ax.margins(x=0.06)


def spectral_curves(law: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per interval of the support: points, density, and whether a point decides on the height of the axis."""
    edges = law.edges
    curves = []
    for left, right in zip(edges[::2], edges[1::2]):
        a, b = left.x, right.x
        x = np.concatenate([a + (b - a) * _graded(left.exponent), b - (b - a) * _graded(right.exponent)[::-1]])
        x = x[(x > a) & (x < b)]
        rho, seen = law.pdf(x), np.ones(len(x), dtype=bool)
        if left.exponent < 0:
            seen &= x - a > _STEEP * (b - a)
        if right.exponent < 0:
            seen &= b - x > _STEEP * (b - a)
        if left.exponent > 0:
            x, rho, seen = np.append(a, x), np.append(0.0, rho), np.append(False, seen)
        if right.exponent > 0:
            x, rho, seen = np.append(x, b), np.append(rho, 0.0), np.append(seen, False)
        curves.append((x, rho, seen))
    return curves


def _graded(exponent: float) -> np.ndarray:
    """Distances from an edge up to half of the interval, closer next to it; equal masses next to an infinite density."""
    u = (np.arange(SPECTRAL_POINTS // 2) + 0.5) / (SPECTRAL_POINTS // 2)
    return u ** (1 / (1 + exponent) if exponent < -0.5 else 2) / 2


def bars(ax: Any, law: Any, values: np.ndarray, total: int) -> None:
    """A histogram on each interval of the support, of area their share; what lies outside of all of them is marked."""
    ends = [e.x for e in law.edges]
    intervals = list(zip(ends[::2], ends[1::2])) if np.all(np.isfinite(ends)) else [(-np.inf, np.inf)]
    left = np.sort(values)
    label: str | None = f"one matrix, {total} values"
    for a, b in intervals:
        margin = _FLUCTUATION * (b - a) if np.isfinite(b - a) else 0.0
        near = (left >= a - margin) & (left <= b + margin)
        if np.any(near):
            bins = int(np.clip(near.sum() / 20, 8, 60))  # eigenvalues repel, so that bins of twenty are smooth
            counts, edges = np.histogram(left[near], bins=bins)
            heights = counts / (total * np.diff(edges))
            ax.stairs(heights, edges, fill=True, color=PALETTE[5], alpha=0.45, label=label)
            left, label = left[~near], None
    if len(left):
        ax.plot(
            left, np.full(len(left), 0.03), "v", color=PALETTE[2], mfc="none", mew=1.8, ms=15,
            transform=ax.get_xaxis_transform(), label="outlier of the matrix",
        )  # fmt: skip


def headroom(curves: Sequence[tuple[np.ndarray, np.ndarray]], rows: int) -> float:
    """How high the vertical axis must go for a legend of so many rows to stand beside or above the curves."""
    x, rho = (np.concatenate([c[k] for c in curves]) for k in (0, 1))
    low, high = x.min(), x.max()
    sides = (x < low + _LEGEND * (high - low), x > high - _LEGEND * (high - low))
    beside = min(float(np.max(rho[side], initial=0.0)) for side in sides)
    return max(1.2 * float(rho.max(initial=0.0)), 1.08 * beside / (0.94 - 0.09 * rows))


def spectral_names(ax: Any, law: Any) -> None:
    ax.set_xlabel(law.label)
    ax.set_ylabel("density" if law.edges else "mass")
    if ax.get_xscale() == "linear":
        ax.locator_params(axis="x", nbins=6)
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
