"""The continuous part of a law as panels of Gauss nodes: what cdf, ppf, rvs and every integral are made of.

On an interval with edges of exponents p_a and p_b the density is a series in (x - a)**(1/q_a) and (b - x)**(1/q_b), q the
denominators of the exponents. With x = a + (b - a) I_u(q_a, q_b), I the regularised incomplete beta function, the integrand
rho(x(u)) x'(u) is analytic in u up to both ends, and Gauss-Legendre converges geometrically: hard edges of any power cost nothing extra.
A panel that does not converge (a singularity that was not recognised) is cut in two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import special

from ..errors import NotConverged
from .support import Interval

_ORDERS = (20, 40, 80, 160)
_TOLERANCE = 3e-11
_ROUGH = 1e-9  # next to a hard edge with logarithms
_CUTS = 45
_MAX_PANELS = 400
_SMOOTH = 6
_SHALLOW = 1e-16  # nearer to a hard edge with logarithms there are no digits left


@dataclass(frozen=True, eq=False)
class Panel:
    """One piece of an interval: x = a + (b - a) I_u(qa, qb), with rho x' as a Legendre series in 2u - 1.

    Attributes
    ----------
    x, rho, weights : ndarray
        Nodes, density there, and weights so that ``sum(f(x) * weights) = int f rho dx``.
    series : ndarray
        Coefficients of rho x'(u).
    below : float
        Mass left of the panel, atoms not counted.
    """

    a: float
    b: float
    qa: float
    qb: float
    x: np.ndarray
    rho: np.ndarray
    weights: np.ndarray
    series: np.ndarray
    below: float

    @property
    def mass(self) -> float:
        return float(self.weights.sum())

    def place(self, u: np.ndarray) -> np.ndarray:
        """x(u), relative to the nearer end."""
        return placed(self.a, self.b, self.qa, self.qb, u)

    def where(self, x: np.ndarray) -> np.ndarray:
        """u(x)."""
        share = np.clip((x - self.a) / (self.b - self.a), 0.0, 1.0)
        rest = np.clip((self.b - x) / (self.b - self.a), 0.0, 1.0)
        low = special.betaincinv(self.qa, self.qb, np.minimum(share, 0.5))
        high = 1 - special.betaincinv(self.qb, self.qa, np.minimum(rest, 0.5))
        return np.where(share < 0.5, low, high)

    def mass_below(self, u: np.ndarray) -> np.ndarray:
        """Mass of the panel left of x(u)."""
        primitive = np.polynomial.legendre.legint(self.series, lbnd=-1) / 2
        return np.polynomial.legendre.legval(2 * u - 1, primitive)


def placed(a: float, b: float, qa: float, qb: float, u: np.ndarray) -> np.ndarray:
    """a + (b - a) I_u(qa, qb), without cancellation at the nearer end."""
    low = a + (b - a) * special.betainc(qa, qb, u)
    high = b - (b - a) * special.betainc(qb, qa, 1 - u)
    return np.where(u < 0.5, low, high)


def build(intervals: list[Interval], density: Callable[[np.ndarray], np.ndarray], pure: bool = True) -> list[Panel]:
    """Panels for all intervals.

    Parameters
    ----------
    intervals : list of Interval
    density : callable
        rho at points inside; nan where it is not known.
    pure : bool
        Whether edges are pure powers. Coefficients of a continuous law put logarithms next to a hard edge; a higher power of u
        then leaves a function smooth enough.

    Returns
    -------
    list of Panel, from left to right

    Raises
    ------
    NotConverged
        If the density does not become smooth in pieces.
    """
    jobs = [(i.left.x, i.right.x, _power(i.left.exponent, pure), _power(i.right.exponent, pure), 0, 0) for i in intervals]
    done: list[tuple[Any, ...]] = []
    while jobs:
        made = _tried(jobs, density, _TOLERANCE if pure else _ROUGH)
        jobs = []
        for job, panel in made:
            a, b, qa, qb, order, cuts = job
            if panel is not None:
                done.append(panel)
            elif order + 1 < len(_ORDERS):
                jobs.append((a, b, qa, qb, order + 1, cuts))
            elif cuts < _CUTS and len(done) + len(jobs) < _MAX_PANELS:
                middle = (a + b) / 2
                jobs += [(a, middle, qa, 1.0, 1, cuts + 1), (middle, b, 1.0, qb, 1, cuts + 1)]
            else:
                raise NotConverged(
                    f"the density near {a:.6g} has a singularity that was not resolved",
                    remedy="stieltjes(z) off the real axis is still right; report the expression",
                )
    out, below = [], 0.0
    for a, b, qa, qb, x, rho, weights, series in sorted(done, key=lambda p: p[0]):
        out.append(Panel(a, b, qa, qb, x, rho, weights, series, below))
        below += float(weights.sum())
    return out


def _tried(
    jobs: list[Any], density: Callable[[np.ndarray], np.ndarray], tolerance: float
) -> list[tuple[Any, Any]]:
    rules = [np.polynomial.legendre.leggauss(_ORDERS[job[4]]) for job in jobs]
    us = [(t + 1) / 2 for t, _ in rules]
    xs = [placed(job[0], job[1], job[2], job[3], u) for job, u in zip(jobs, us, strict=True)]
    flat = np.concatenate(xs)
    reach = _SHALLOW * max(abs(job[1]) for job in jobs) if tolerance > _TOLERANCE else 0.0
    values_ = np.full(flat.shape, np.nan)
    near = np.abs(flat) >= reach
    values_[near] = density(flat[near])
    rho = np.split(values_, np.cumsum([len(x) for x in xs])[:-1])
    out = []
    for job, (t, w), u, x, r in zip(jobs, rules, us, xs, rho, strict=True):
        a, b, qa, qb = job[:4]
        slope = (b - a) * u ** (qa - 1) * (1 - u) ** (qb - 1) / special.beta(qa, qb)
        values = r * slope
        if np.isnan(values).any():  # next to a singularity digits run out before the mass does: the power law goes on
            lost = np.isnan(values)
            known = np.flatnonzero(~lost)
            if len(known) < order_needed(len(t)) or np.any(lost[known[0] : known[-1]]):
                out.append((job, None))
                continue
            r = _continued(x, r, lost, a, b)
            values = r * slope
        order = len(t)
        basis = np.polynomial.legendre.legvander(t, order - 1)
        series = (basis * (w * values)[:, None]).sum(axis=0) * (2 * np.arange(order) + 1) / 2
        tail = np.abs(series[-order // 5 :]).max()
        size = np.abs(series).max()
        fine = tail <= tolerance * size or tail <= 1e-14
        panel = (a, b, qa, qb, x, r, values * w / 2, series) if fine else None
        out.append((job, panel))
    return out


def order_needed(order: int) -> int:
    """How many nodes of a panel must be known."""
    return order - order // 4


def _continued(x: np.ndarray, rho: np.ndarray, lost: np.ndarray, a: float, b: float) -> np.ndarray:
    """A density known in the middle of a panel, continued to its ends by the power laws (with a drift) it shows there."""
    known = np.flatnonzero(~lost)
    out = rho.copy()
    sides = ((a, known[[0, 2, 5]], np.arange(known[0])), (b, known[[-1, -3, -6]], np.arange(known[-1] + 1, len(x))))
    for end, inner, side in sides:
        if len(side):
            d, r = np.log(np.abs(x[inner] - end)), np.log(np.maximum(rho[inner], 1e-300))
            drift = np.polyfit(d - d[0], r, 2)
            out[side] = np.exp(np.polyval(drift, np.log(np.maximum(np.abs(x[side] - end), 1e-300)) - d[0]))
    return out


def _power(exponent: float, pure: bool) -> float:
    """The q in which the density is a series: the denominator of the exponent, or a multiple."""
    if not np.isfinite(exponent):
        return 1.0
    q = max(1, Fraction(exponent).limit_denominator(200).denominator)
    if exponent < 0 and not pure:
        q *= -(-_SMOOTH // q)
    return float(q)


def evaluate_cdf(panels: list[Panel], x: np.ndarray) -> np.ndarray:
    """Mass of the continuous part left of x."""
    out = np.zeros(x.shape)
    for p in panels:
        inside = (x > p.a) & (x < p.b)
        out = np.where(x >= p.b, p.below + p.mass, out)
        if inside.any():
            out[inside] = p.below + np.clip(p.mass_below(p.where(x[inside])), 0.0, p.mass)
    return out


def invert_cdf(panels: list[Panel], mass: np.ndarray) -> np.ndarray:
    """x with the given mass of the continuous part left of it."""
    out = np.full(mass.shape, panels[0].a)
    for p in panels:
        mine = (mass > p.below) & (mass <= p.below + p.mass)
        if not mine.any():
            continue
        goal = mass[mine] - p.below
        low, high = np.zeros(goal.shape), np.ones(goal.shape)
        u = goal / p.mass
        for _ in range(80):
            value = p.mass_below(u)
            low, high = np.where(value < goal, u, low), np.where(value < goal, high, u)
            slope = np.polynomial.legendre.legval(2 * u - 1, p.series)
            with np.errstate(all="ignore"):
                new = u - (value - goal) / slope
            inside = (new > low) & (new < high)
            new = np.where(inside, new, (low + high) / 2)
            if np.all(np.abs(new - u) <= 1e-16 + 4e-16 * u):
                break
            u = new
        out[mine] = p.place(u)
    out[mass > panels[-1].below + panels[-1].mass] = panels[-1].b
    return out
