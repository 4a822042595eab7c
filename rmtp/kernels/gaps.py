"""Covariances beside what they lack to +-1 as a correlation, without cancellation.

For ``K = E a b'`` the *gaps* are ``sqrt(E a^2 E b'^2) -+ K``. Their product is the determinant, so angles read off them keep
an absolute error of a few ulp, where those read off K have one of ulp / angle. They follow their own recursion: differences
of inputs at the first layer, Cauchy and Schwarz in sums, and the angle itself at a homogeneous function.

Rejected: ``E (a - b')^2 / 2``, which cancels again when two inputs of one direction differ in length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from ..expect import quadrants
from ..nonlinearity import Nonlinearity
from .places import mixed

TRAILING = 2  # pairs have the axes (.., entries, pair, 1)
PARALLEL = 16 * float(np.finfo(float).eps)  # 1 - |rho| that is rounding, for all that covariances say
DOUBTFUL = 0.02  # an angle beyond which a kink loses less than two digits
_SAME = 1e-12  # relative: a variance found here is the one of the plan, up to the order of its sums


@dataclass(frozen=True, eq=False)
class Gap:
    """Entries of ``E a b'``, a of the left input, b' of the right one: axes (.., entries, pair, 1).

    Attributes
    ----------
    first, second : ndarray
        E a^2 and E b'^2.
    excess : ndarray
        ``E a^2 - E b'^2``.
    short, over : ndarray
        ``sqrt(E a^2 E b'^2) - E a b'`` and ``sqrt(E a^2 E b'^2) + E a b'``.
    lost : float
        The absolute error of the worst angle, where some had to be read off covariances; else 0.
    """

    first: np.ndarray
    second: np.ndarray
    excess: np.ndarray
    short: np.ndarray
    over: np.ndarray
    lost: float = 0.0

    def at(self, entries: np.ndarray | None) -> Gap:
        """Some of the entries."""
        return self if entries is None else self.mapped(lambda x: x[..., entries, :, :])

    def mapped(self, f: Callable[[np.ndarray], np.ndarray]) -> Gap:
        """Every array by itself."""
        return Gap(f(self.first), f(self.second), f(self.excess), f(self.short), f(self.over), self.lost)

    def turned(self) -> Gap:
        """E b' a."""
        return Gap(self.second, self.first, -self.excess, self.short, self.over, self.lost)

    @cached_property
    def plane(self) -> quadrants.Plane:
        """The geometry that closed forms take their angles from."""
        c, vu, vv, det = np.broadcast_arrays(
            0.5 * (self.over - self.short), self.first, self.second, self.short * self.over
        )
        return quadrants.Plane(c, vu, vv, det)

    def belonging(self, var_u: Any, var_v: Any) -> np.ndarray:
        """Where these are the variances; elsewhere the sum was not over independent groups, or zeros met on one side."""
        near: np.ndarray = np.abs(self.first - var_u) <= _SAME * np.asarray(var_u)
        return near & (np.abs(self.second - var_v) <= _SAME * np.asarray(var_v))

    def where(self, condition: np.ndarray, other: Gap) -> Gap:
        """These where the condition holds, else the others."""
        arrays = (np.where(condition, getattr(self, name), getattr(other, name)) for name in NAMES)
        return Gap(*arrays, lost=max(self.lost, other.lost))  # type: ignore[misc]


NAMES = ("first", "second", "excess", "short", "over")


def of_inputs(variance: Any, a: np.ndarray, b: np.ndarray) -> Gap:
    """``variance * a . b`` along the last axis; axes (entries, pair, channel).

    The angle is that of b to its projection on a, whose remainder is exact before it is rounded.
    """

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sum(x * y, axis=-1, keepdims=True)

    aa, bb, ab = dot(a, a), dot(b, b), dot(a, b)
    safe = np.where(aa > 0, aa, 1.0)
    rest = quadrants.difference_of_products(b, np.ones_like(b), ab / safe, a)
    rest = rest - dot(rest, a) / safe * a
    square = np.minimum(dot(rest, rest) / np.where(bb > 0, bb, 1.0), 1.0)  # of the sine
    size = np.sqrt(aa) * np.sqrt(bb)
    cosine = np.sqrt(1 - square)
    small, large = size * square / (1 + cosine), size * (1 + cosine)
    short, over = np.where(ab > 0, small, large), np.where(ab > 0, large, small)
    excess = dot(a - b, a + b)
    return Gap(*(variance * x for x in (aa, bb, excess, short, over)))


def of_covariances(cov: np.ndarray, var_u: np.ndarray, var_v: np.ndarray, error: float, asked: np.ndarray) -> Gap:
    """What cancels here is lost; correlations of +-1 up to rounding are taken for exact.

    Parameters
    ----------
    cov, var_u, var_v : ndarray
    error : float
        Of the covariance, relative to the standard deviations.
    asked : ndarray of bool
        The entries that anyone will look at.
    """
    cov, var_u, var_v = np.broadcast_arrays(cov, var_u, var_v)
    edge = np.sqrt(var_u) * np.sqrt(var_v)
    short, over = np.maximum(edge - cov, 0.0), np.maximum(edge + cov, 0.0)
    short, over = (np.where(x <= PARALLEL * edge, 0.0, x) for x in (short, over))
    sine = np.sqrt(short * over) / np.where(edge > 0, edge, 1.0)
    worst = float(np.min(np.where(asked & (edge > 0), sine, 1.0), initial=1.0))
    lost = 0.0 if worst > DOUBTFUL else error / worst if worst > 0 else float(np.sqrt(2 * PARALLEL))
    return Gap(var_u, var_v, var_u - var_v, short, over, lost)


def of_numbers(left: np.ndarray, right: np.ndarray) -> Gap:
    """``left * right``, a number of one input times one of the other."""
    size, product = np.abs(left) * np.abs(right), left * right
    ones = np.ones_like(product)
    return Gap(left**2 * ones, right**2 * ones, (left - right) * (left + right), size - product, size + product)


def product(gaps: Sequence[Gap]) -> Gap:
    """Of independent factors."""
    total = gaps[0]
    for g in gaps[1:]:
        short = 0.5 * (total.short * g.over + total.over * g.short)
        over = 0.5 * (total.short * g.short + total.over * g.over)
        excess = total.excess * g.first + total.second * g.excess
        total = Gap(total.first * g.first, total.second * g.second, excess, short, over, max(total.lost, g.lost))
    return total


@dataclass(frozen=True, eq=False)
class Part:
    """``matrix @ gap``, a sparse matrix without negative entries (None: the identity)."""

    gap: Gap
    matrix: Any

    def into_rows(self, values: np.ndarray) -> np.ndarray:
        """matrix @ values."""
        return values if self.matrix is None else mixed(self.matrix, values, TRAILING)


def weighted_part(weight: Any, gap: Gap, rows: np.ndarray | None, size: int) -> Part:
    """``weight * gap``, added into rows (None: one to one)."""
    scaled = gap.mapped(lambda x: weight * x)
    if rows is None:
        return Part(scaled, None)
    return Part(scaled, sparse.csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), (size, len(rows))))


def total(parts: Sequence[Part]) -> Gap:
    """A sum over independent groups, ``sum_i w_i a_i`` against ``sum_i w_i b_i'``.

    ``|t| |s| - t . s = |t| |s| |t/|t| - s/|s||^2 / 2`` for the vectors t, s of standard deviations: what the angle between
    them adds to the gaps.
    """
    sums = {name: sum(p.into_rows(getattr(p.gap, name)) for p in parts) for name in NAMES}
    whole = Gap(**sums, lost=max(p.gap.lost for p in parts))  # type: ignore[arg-type]
    if np.max(sum(1 if p.matrix is None else np.diff(p.matrix.indptr) for p in parts)) <= 1:
        return whole
    roots = np.sqrt(whole.first) * np.sqrt(whole.second)
    angle = 0.5 * sum(_apart(p, whole) for p in parts) / np.where(roots > 0, roots, 1.0)
    return Gap(whole.first, whole.second, whole.excess, whole.short + angle, whole.over + angle, whole.lost)


def _apart(part: Part, whole: Gap) -> np.ndarray:
    """``sum_i w_i (t_i |s| - s_i |t|)^2`` from differences of variances, which do not cancel."""
    (few, root), (all_, size) = _difference(part.gap), _difference(whole)
    if part.matrix is None:
        return np.asarray((few * size - root * all_) ** 2)
    cols, counts = part.matrix.indices, np.diff(part.matrix.indptr)
    all_, size = (np.repeat(x, counts, axis=-1 - TRAILING) for x in (all_, size))
    few, root = (np.take(x, cols, axis=-1 - TRAILING) for x in (few, root))
    each = few * size
    each -= root * all_
    each *= each
    rows = sparse.csr_matrix((part.matrix.data, np.arange(len(cols)), part.matrix.indptr), (len(counts), len(cols)))
    return mixed(rows, each, TRAILING)


def _difference(gap: Gap) -> tuple[np.ndarray, np.ndarray]:
    """The difference of the two standard deviations, and the second."""
    root = np.sqrt(gap.second)
    sum_ = np.sqrt(gap.first) + root
    return gap.excess / np.where(sum_ > 0, sum_, 1.0), root


def has_gap(functions: Sequence[Any]) -> bool:
    """Whether ``E f(u) f(v)`` is of one positively homogeneous f, whose gaps follow from those of (u, v)."""
    first, other = functions
    if len(first) != 1 or len(other) != 1 or first[0] != other[0] or first[0][1] != 1:
        return False
    family = first[0][0].family
    return bool(family) and family[0] == "homogeneous" and family[1] in (0, 1)


def of_function(fn: Nonlinearity, gap: Gap) -> Gap:
    """``E f(u) f(v)`` of a positively homogeneous f.

    With S(x) = size (sin x - x cos x) / (2 pi): E relu(u) relu(v) = S(pi - angle), E relu(u) relu(-v) = S(angle), and
    S(pi - angle) - S(angle) is half the covariance.
    """
    at, short, over = gap.plane, gap.short, gap.over
    _, degree, plus, minus = fn.family
    half = 0.5 * float(plus**2 + minus**2)
    odd, even = ((float(plus) + sign * (-1) ** degree * float(minus)) ** 2 for sign in (-1, 1))  # of the parts of f
    if degree == 0:
        full = np.full(at.c.shape, half)
        down, up = odd / (2 * np.pi) * at.complement, 0.5 * even + odd / (2 * np.pi) * at.angle
        lost = gap.lost and gap.lost / float(np.sqrt(np.min(np.where(down > 0, down, 1.0), initial=1.0)))
        return Gap(full, full, np.zeros(full.shape), down, up, lost)
    far, near = (quadrants.arc(angle, at.size) for angle in (at.angle, at.complement))
    acute = half * short - even * near
    obtuse = 0.25 * odd * short + even * (0.25 * over - far)
    up = 0.25 * even * short + 0.25 * odd * over + even * far
    short = np.where(at.c >= 0, acute, obtuse)
    return Gap(half * at.vu, half * at.vv, half * gap.excess, short, up, gap.lost)
