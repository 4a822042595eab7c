"""The continuous part of a law as panels of Gauss nodes: what cdf, ppf, rvs and every integral are made of.

On an interval with edges of exponents p_a and p_b the density is a series in (x - a)**(1/q_a) and (b - x)**(1/q_b), q the
denominators of the exponents. With x = a + (b - a) I_u(q_a, q_b), I the regularised incomplete beta function, the integrand
rho(x(u)) x'(u) is analytic in u up to both ends, and Gauss-Legendre converges geometrically: hard edges of any power cost
nothing extra. A panel that does not converge (a singularity that was not recognised) is cut in two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import special

from ..arguments import on_points
from ..errors import NotConverged
from .axis import Edge, Interval

_ORDERS = (20, 40, 80, 160)
_PROMISING = 1e-5  # a tail this small at one order will be gone at the next; a longer one is cut
_TOLERANCE = 3e-11
_CUTS = 45
_BLIND_CUTS = 8  # of a piece in which the density is not known somewhere
_MAX_PANELS = 200
_SMOOTH = 6.0
_RISEN = 5.0
_NEAREST = 10
_HALVINGS = 60
_MAX_PIECES = 1 << 14
_BLURRED = 2.0**-44  # the width of a piece relative to where it lies
_STEADY = 1e-2  # to which the modulus of an integrand must be integrated


@dataclass(frozen=True, eq=False)
class Panel:
    """One piece of an interval: x = a + (b - a) I_v(qa, qb), v = v0 + (v1 - v0) u, with rho x'(u) a Legendre series in 2u - 1.

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
    span: tuple[float, float] = (0.0, 1.0)

    @property
    def mass(self) -> float:
        return float(self.weights.sum())

    def place(self, u: np.ndarray) -> np.ndarray:
        """x(u), relative to the nearer end."""
        v0, v1 = self.span
        return placed(self.a, self.b, self.qa, self.qb, v0 + (v1 - v0) * u)

    def slope(self, u: np.ndarray) -> np.ndarray:
        """dx/du."""
        v0, v1 = self.span
        v = v0 + (v1 - v0) * u
        power = v ** (self.qa - 1) * (1 - v) ** (self.qb - 1) / special.beta(self.qa, self.qb)
        return (v1 - v0) * (self.b - self.a) * power

    @property
    def ends(self) -> tuple[float, float]:
        """The x at u = 0 and u = 1."""
        x = self.place(np.array([0.0, 1.0]))
        return float(x[0]), float(x[1])

    def where(self, x: np.ndarray) -> np.ndarray:
        """u(x)."""
        share = np.clip((x - self.a) / (self.b - self.a), 0.0, 1.0)
        rest = np.clip((self.b - x) / (self.b - self.a), 0.0, 1.0)
        low = special.betaincinv(self.qa, self.qb, np.minimum(share, 0.5))
        high = 1 - special.betaincinv(self.qb, self.qa, np.minimum(rest, 0.5))
        v0, v1 = self.span
        return np.clip((np.where(share < 0.5, low, high) - v0) / (v1 - v0), 0.0, 1.0)

    def mass_below(self, u: np.ndarray) -> np.ndarray:
        """Mass of the panel left of x(u)."""
        primitive = np.polynomial.legendre.legint(self.series, lbnd=-1) / 2
        return np.polynomial.legendre.legval(2 * u - 1, primitive)


def placed(a: float, b: float, qa: float, qb: float, u: np.ndarray) -> np.ndarray:
    """a + (b - a) I_u(qa, qb), without cancellation at the nearer end."""
    share = special.betainc(qa, qb, u)
    high = b - (b - a) * special.betainc(qb, qa, 1 - u)
    return np.where(share < 0.5, a + (b - a) * share, high)


@dataclass(frozen=True)
class Stub:
    """The part of an interval within `reach` of a hard edge at 0, known by its mass (atom not counted) and its end only."""

    reach: float
    mass: float


def build(
    intervals: list[Interval],
    density: Callable[[np.ndarray], np.ndarray],
    stub: Callable[[Interval, bool], Stub] | None = None,
) -> list[Panel]:
    """Panels for all intervals.

    Parameters
    ----------
    intervals : list of Interval
    density : callable
        rho at points inside; nan where it is not known.
    stub : callable, optional
        Coefficients of a continuous law put logarithms next to a hard edge at 0, and no power of u makes that analytic. Then
        this gives, for an interval and the side of 0 it lies on, a neighbourhood of 0 to be treated as a
        power law of the right mass.

    Returns
    -------
    list of Panel, from left to right

    Raises
    ------
    NotConverged
        If the density does not become smooth in pieces.
    """
    jobs, done = [], []
    for i in intervals:
        a, b, qa, qb = i.left.x, i.right.x, _power(i.left.exponent), _power(i.right.exponent)
        span = (0.0, 1.0)
        if stub is not None and ((a == 0 and _strange(i.left)) or (b == 0 and _strange(i.right))):
            right = a == 0
            small = stub(i, right)
            if right:
                qa = max(qa, _SMOOTH)
                span = (float(special.betaincinv(qa, qb, small.reach / (b - a))), 1.0)
            else:
                qb = max(qb, _SMOOTH)
                span = (0.0, 1 - float(special.betaincinv(qb, qa, small.reach / (b - a))))
            rho = float(density(np.array([small.reach if right else -small.reach]))[0])
            exponent = (i.left if right else i.right).exponent
            # what falls faster than any power at 0 may still rise towards it at this distance
            most = _RISEN if exponent > 10 else 2 / (1 + exponent)
            if not small.mass <= most * rho * small.reach:
                raise NotConverged(
                    f"the mass next to 0 is {small.mass:.3g}, more than the density there lets expect",
                    remedy="stieltjes(z) off the real axis is still right; report the expression",
                )
            done.append(_power_law(small, rho, right))
        jobs.append((a, b, qa, qb, span, 0, 0))
    while jobs:
        made = _tried(jobs, density)
        jobs = []
        for job, panel, tail in made:
            a, b, qa, qb, span, order, cuts = job
            if panel is not None:
                done.append(panel)
            elif order == 0 or (order + 1 < len(_ORDERS) and tail <= _PROMISING):
                jobs.append((a, b, qa, qb, span, order + 1, cuts))
            elif cuts < (_CUTS if np.isfinite(tail) else _BLIND_CUTS) and len(done) + len(jobs) < _MAX_PANELS:
                if span == (0.0, 1.0):
                    middle = (a + b) / 2
                    jobs += [(a, middle, qa, 1.0, span, 1, cuts + 1), (middle, b, 1.0, qb, span, 1, cuts + 1)]
                else:
                    middle = sum(span) / 2
                    jobs += [(a, b, qa, qb, s, 1, cuts + 1) for s in ((span[0], middle), (middle, span[1]))]
            else:
                raise NotConverged(
                    f"the density near {a:.6g} has a singularity that was not resolved",
                    remedy="stieltjes(z) off the real axis is still right; report the expression",
                )
    out, below = [], 0.0
    for panel in sorted(done, key=lambda p: p.ends[0]):
        out.append(replace(panel, below=below))
        below += panel.mass
    return out


def _strange(edge: Edge) -> bool:
    """Edges at 0 that continuous coefficients make: hard, or with the density of the coefficients, and with logarithms; or
    falling faster than any power. Soft edges that happen to lie at 0 have none."""
    return edge.exponent != 0.5


def _power_law(small: Stub, rho: float, right: bool) -> Panel:
    """c x**p on (0, reach] with the given mass and density at its end: in x = reach u**(1/(p+1)) it is uniform."""
    q = max(small.mass / max(rho * small.reach, 1e-300), 1e-3)
    t, w = np.polynomial.legendre.leggauss(_ORDERS[0])
    u = (t + 1) / 2
    a, b, qa, qb = (0.0, small.reach, q, 1.0) if right else (-small.reach, 0.0, 1.0, q)
    x = placed(a, b, qa, qb, u)
    share = np.abs(x) / small.reach
    return Panel(a, b, qa, qb, x, rho * share ** (1 / q - 1), small.mass * w / 2, np.array([small.mass]), 0.0)


def _tried(jobs: list[Any], density: Callable[[np.ndarray], np.ndarray]) -> list[tuple[Any, Panel | None, float]]:
    """Per job the panel, if its series has converged, and the size of the last coefficients relative to the first."""
    rules = [np.polynomial.legendre.leggauss(_ORDERS[job[5]]) for job in jobs]
    us = [job[4][0] + (job[4][1] - job[4][0]) * (t + 1) / 2 for job, (t, _) in zip(jobs, rules, strict=True)]
    xs = [placed(job[0], job[1], job[2], job[3], u) for job, u in zip(jobs, us, strict=True)]
    rhos = np.split(density(np.concatenate(xs)), np.cumsum([len(x) for x in xs])[:-1])
    out: list[tuple[Any, Panel | None, float]] = []
    for job, (t, w), u, x, seen in zip(jobs, rules, us, xs, rhos, strict=True):
        a, b, qa, qb, span = job[:5]
        slope = (span[1] - span[0]) * (b - a) * u ** (qa - 1) * (1 - u) ** (qb - 1) / special.beta(qa, qb)
        rho, order = seen, len(t)
        values = rho * slope
        lost = np.isnan(values)
        if lost.any():  # next to a singularity digits run out before the mass does, but rho x' is analytic in u
            known = np.flatnonzero(~lost)
            if len(known) < order - order // 4 or np.any(lost[known[0] : known[-1]]):
                out.append((job, None, np.inf))
                continue
            values = _continued(t, values, lost)
            rho = values / slope
        basis = np.polynomial.legendre.legvander(t, order - 1)
        series = (basis * (w * values)[:, None]).sum(axis=0) * (2 * np.arange(order) + 1) / 2
        tail, size = np.abs(series[-order // 5 :]).max(), np.abs(series).max()
        fine = tail <= _TOLERANCE * size or tail <= 1e-14
        panel = Panel(a, b, qa, qb, x, rho, values * w / 2, series, 0.0, span) if fine else None
        out.append((job, panel, float(tail / max(size, 1e-300))))
    return out


def _continued(t: np.ndarray, values: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Values of an analytic function known in the middle, continued to both ends by polynomials through the nearest nodes."""
    from scipy.interpolate import BarycentricInterpolator  # a fifth of a second that most programs never need

    known = np.flatnonzero(~lost)
    out = values.copy()
    for inner, side in (
        (known[:_NEAREST], np.arange(known[0])),
        (known[-_NEAREST:], np.arange(known[-1] + 1, len(t))),
    ):
        if len(side):
            out[side] = BarycentricInterpolator(t[inner], values[inner])(t[side])
    return out


def _power(exponent: float) -> float:
    """The q in which the density is a series: the denominator of the exponent."""
    if not np.isfinite(exponent):
        return 1.0
    return float(max(1, Fraction(exponent).limit_denominator(200).denominator))


def evaluate_cdf(panels: list[Panel], x: np.ndarray) -> np.ndarray:
    """Mass of the continuous part left of x."""
    out = np.zeros(x.shape)
    for p in panels:
        low, high = p.ends
        inside = (x > low) & (x < high)
        out = np.where(x >= high, p.below + p.mass, out)
        if inside.any():
            out[inside] = p.below + np.clip(p.mass_below(p.where(x[inside])), 0.0, p.mass)
    return out


def from_series(panels: list[Panel], x: np.ndarray) -> np.ndarray:
    """The density as the panels know it, for points of which the equation itself tells too little; nan outside all panels."""
    out = np.full(x.shape, np.nan)
    for p in panels:
        low, high = p.ends
        here = (x > low) & (x < high)
        if here.any():
            u = p.where(x[here])
            out[here] = np.polynomial.legendre.legval(2 * u - 1, p.series) / p.slope(u)
    return out


def invert_cdf(panels: list[Panel], mass: np.ndarray) -> np.ndarray:
    """x with the given mass of the continuous part left of it."""
    out = np.full(mass.shape, panels[0].ends[0])
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
    out[mass > panels[-1].below + panels[-1].mass] = panels[-1].ends[1]
    return out


def integrate(p: Panel, f: Callable[[np.ndarray], Any], tol: float) -> Any:
    """int f rho dx over one panel: pieces of u are halved where the rule on a piece and on its halves disagree."""
    t, w = np.polynomial.legendre.leggauss(24)

    def on(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * t
        density = np.polynomial.legendre.legval(2 * u - 1, p.series) * w * (high - low)[:, None] / 2
        with np.errstate(all="ignore"):
            values = on_points(f, p.place(u.ravel())).reshape(u.shape)
            return (values * density).sum(axis=1), np.abs(values * density).sum(axis=1)

    low, high = np.array([0.0]), np.array([1.0])
    whole, modulus = on(low, high)
    total: Any = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        left, first = on(low, middle)
        right, second = on(middle, high)
        if not np.all(np.isfinite(left + right)):
            raise NotConverged("the function is not finite on the support", remedy="a function finite on the support")
        size = max(abs(total) + float((first + second).sum()), 1e-300)
        # by symmetry the parts of an integral that does not exist may cancel; those of its modulus do not
        close = (np.abs(left + right - whole) <= 0.1 * tol * size) & (
            np.abs(first + second - modulus) <= _STEADY * size
        )
        # pieces of which the nodes hardly differ converge whatever the function does there
        blurred = high - low < _BLURRED * low
        if np.any((first + second)[blurred] > tol * size):
            break
        total = total + (left + right)[close].sum()
        open_ = ~close & ~blurred
        if not open_.any():
            return total
        low, high = np.concatenate([low[open_], middle[open_]]), np.concatenate([middle[open_], high[open_]])
        whole = np.concatenate([left[open_], right[open_]])
        modulus = np.concatenate([first[open_], second[open_]])
        if len(low) > _MAX_PIECES:
            break
    raise NotConverged(
        "the integral against the density does not settle", remedy="a smoother function, or a larger tol="
    )
