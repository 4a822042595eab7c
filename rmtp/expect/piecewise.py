"""Piecewise polynomials of one Gaussian variable: a calculus in floats, batched.

Sums, products and compositions of piecewise linear functions (relu, abs, sign, clip, thresholds, and whatever is
written with them) are piecewise polynomials again, so their expectations are truncated Gaussian moments, in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..nonlinearity import Pieces

MAX_DEGREE = 10
_FAR = 4.0  # beyond so many standard deviations the terms of a truncated moment cancel


@dataclass(frozen=True)
class Piecewise:
    """coef[k] (B, D) are the coefficients, lowest first, between breaks[k - 1] and breaks[k] (B,), sorted."""

    breaks: np.ndarray  # (K, B)
    coef: np.ndarray  # (K + 1, B, D)


def linear(const: np.ndarray, slope: np.ndarray) -> Piecewise:
    """const + slope * w."""
    return Piecewise(np.zeros((0, len(const))), np.stack([const, slope], axis=-1)[None])


def _midpoints(breaks: np.ndarray) -> np.ndarray:
    if not len(breaks):
        return np.zeros((1, breaks.shape[1]))
    return np.concatenate([breaks[:1] - 1.0, 0.5 * (breaks[1:] + breaks[:-1]), breaks[-1:] + 1.0])


def _refine(p: Piecewise, breaks: np.ndarray) -> np.ndarray:
    """Coefficients of p on the intervals of finer breaks."""
    points = _midpoints(breaks)
    which = (points[:, None, :] > p.breaks[None]).sum(axis=1)
    return np.take_along_axis(p.coef, which[:, :, None], axis=0)


def _multiply_coefficients(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((*np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), a.shape[-1] + b.shape[-1] - 1))
    for k in range(a.shape[-1]):
        out[..., k : k + b.shape[-1]] += a[..., k, None] * b
    return out


def multiply(p: Piecewise, q: Piecewise) -> Piecewise:
    """p * q."""
    breaks = np.sort(np.concatenate([p.breaks, q.breaks]), axis=0)
    return Piecewise(breaks, _multiply_coefficients(_refine(p, breaks), _refine(q, breaks)))


def add(p: Piecewise, q: Piecewise, factor: np.ndarray) -> Piecewise:
    """p + factor * q."""
    breaks = np.sort(np.concatenate([p.breaks, q.breaks]), axis=0)
    a, b = _refine(p, breaks), _refine(q, breaks) * factor[:, None]
    out = np.zeros((*a.shape[:-1], max(a.shape[-1], b.shape[-1])))
    out[..., : a.shape[-1]] += a
    out[..., : b.shape[-1]] += b
    return Piecewise(breaks, out)


def compose(outer: Pieces, inner: Piecewise) -> Piecewise | None:
    """outer(inner(w)) for a piecewise linear inner function, else None."""
    if inner.coef.shape[-1] > 2 and np.any(inner.coef[..., 2:] != 0):
        return None
    c0, c1 = inner.coef[..., 0], inner.coef[..., 1] if inner.coef.shape[-1] > 1 else np.zeros(inner.coef.shape[:-1])
    low = np.concatenate([np.full((1, c0.shape[1]), -np.inf), inner.breaks])
    high = np.concatenate([inner.breaks, np.full((1, c0.shape[1]), np.inf)])
    found = [inner.breaks]
    for level in outer.breaks:
        with np.errstate(divide="ignore", invalid="ignore"):
            root = (float(level) - c0) / c1
        inside = np.isfinite(root) & (root > low) & (root < high)
        used = np.any(inside, axis=1)
        # a root missing in part of the batch repeats a neighbour: an empty interval
        spare = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
        found.append(np.where(inside, root, spare)[used])
    breaks = np.sort(np.concatenate(found), axis=0)
    points = _midpoints(breaks)
    coefficients = _refine(inner, breaks)
    a0 = coefficients[..., 0]
    a1 = coefficients[..., 1] if coefficients.shape[-1] > 1 else np.zeros(a0.shape)
    values = a0 + a1 * points
    which = np.zeros(values.shape, dtype=int)
    for level in outer.breaks:
        which += values > float(level)
    degree = max(len(row) for row in outer.polys)
    table = np.array([[float(c) for c in row] + [0.0] * (degree - len(row)) for row in outer.polys])
    rows = table[which]
    out = rows[..., -1:]
    step = np.stack([a0, a1], axis=-1)
    for k in range(degree - 2, -1, -1):
        out = _multiply_coefficients(out, step)
        out[..., 0] += rows[..., k]
    return Piecewise(breaks, out)


def expectation(p: Piecewise, variance: np.ndarray) -> np.ndarray | None:
    """E p(w), w ~ N(0, variance) with variance > 0; None where the truncated moments would cancel."""
    std = np.sqrt(variance)
    z = p.breaks / std
    size = p.coef.shape[-1]
    if size > MAX_DEGREE + 1 or (z.size and np.abs(z).max() > _FAR):
        return None
    batch = len(std)
    edge = np.full((1, batch), np.inf)
    z = np.concatenate([-edge, z, edge])
    with np.errstate(invalid="ignore"):
        density = np.where(np.isfinite(z), np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), 0.0)
    finite = np.where(np.isfinite(z), z, 0.0)
    below = ndtr(z)
    # the upper tail from its own side, so that far intervals keep their digits
    above = ndtr(-z)
    mass = np.where(z[:-1] > 0, above[:-1] - above[1:], below[1:] - below[:-1])
    moments = [mass, density[:-1] - density[1:]]
    for k in range(2, size):
        edge_term = finite[1:] ** (k - 1) * density[1:] - finite[:-1] ** (k - 1) * density[:-1]
        moments.append((k - 1) * moments[k - 2] - edge_term)
    total = np.zeros(batch)
    for k in range(size):
        total = total + np.sum(p.coef[..., k] * moments[k], axis=0) * std**k
    return total
