"""Points of positive mass: isolated ones, ones at an edge, ones inside the continuous part.

Above a point of mass m the transform is ``m / (z - a)`` and something weaker. Its position is found by Newton's method for a
simple pole, from complex points that come down to it; an isolated one is then measured by contour integrals, which are exact
to rounding, and one that touches the continuous part by the limit of ``i h g(a + i h)``. None hides between the points of a
grid: ``-h Im g(x + i h)`` is at least m/2 wherever |x - a| <= h, so halving the intervals that pass this test finds them all.
Rejected: fits to 1/g on the axis, which take a wrong mass where the fit reaches past an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dyson.resolvent import Resolvent
from .axis import Atom, Axis, Interval, recognised, wynn

MASS = 1e-11  # below which a mass is rounding
_CELLS = 4000
_LEAST = 1e-3  # the smallest share of the mass that is searched for everywhere
_CIRCLE = 48
_DEPTHS = (8, 14, 24, 40, 70, 120)  # decades of heights above 0
_ARRIVED = 1e-11  # the step of z g at which no more of its limit shows
_OF_WIDTHS = 1e-8  # how near a number made of widths a mass at 0 is taken for it, with continuous coefficients
_DEEPEST = 1e-12  # how near a point that touches the continuous part is approached, in spreads


def in_gaps(axis: Axis, intervals: Sequence[Interval], x: np.ndarray, g: np.ndarray, inside: np.ndarray) -> list[Atom]:
    """Atoms off the support, between neighbouring points of the grid where g rises."""
    with np.errstate(all="ignore"):
        f = 1 / g.real
    rising = ~inside[:-1] & ~inside[1:] & (f[:-1] < 0) & (f[1:] > 0)
    covered = np.zeros(len(rising), dtype=bool)
    for i in intervals:
        covered |= (x[:-1] < i.right.x) & (x[1:] > i.left.x)
    cells = np.flatnonzero(rising & ~covered)
    return measured(axis, intervals, located(axis, (x[cells] + x[cells + 1]) / 2, np.diff(x)[cells]))


def missing(axis: Axis, intervals: Sequence[Interval], atoms: Sequence[Atom], share: float) -> list[Atom]:
    """All atoms, where a `share` of the total mass has not been found: those that are known, and what the search adds."""
    own = axis.resolvent
    least = max(0.5 * share, _LEAST)
    ends = own.mean + 0.5 * own.spread * np.sinh(np.linspace(-10, 10, 161))
    centre, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    while len(centre) and half.max() > 1e-9 * own.spread:
        made = own.solve(centre + 1j * half)
        g = own.mean_of(made.g)
        keep = ~made.good | (-g.imag * half >= 0.5 * least)
        centre, half = centre[keep], half[keep] / 2
        centre = np.concatenate([centre - half, centre + half])
        half = np.concatenate([half, half])
        if len(centre) > _CELLS:
            return list(atoms)
    found = located(axis, centre, 4 * half)
    new = [c for c in found if all(abs(c - a.x) > 1e-7 * own.spread for a in atoms)]
    return sorted([*atoms, *measured(axis, intervals, new, atoms)], key=lambda a: a.x)


def located(axis: Axis, x: np.ndarray, h: np.ndarray) -> list[float]:
    """Centres of simple poles near the points x, distinct ones, by ``a = z + g / g'`` from heights h downwards."""
    own = axis.resolvent
    x, h = np.array(x, dtype=float), np.array(h, dtype=float)
    alive = np.ones(len(x), dtype=bool)
    closing = np.zeros(len(x), dtype=bool)  # the last step stayed within its height, as it does at a pole
    for _ in range(30):
        which = np.flatnonzero(alive)
        if not len(which):
            break
        made = own.solve(x[which] + 1j * h[which])
        slope = own.slope(made)
        with np.errstate(all="ignore"):
            guess = (made.z + own.mean_of(made.g) / slope).real
        fine = made.good & np.isfinite(guess)
        alive[which[~fine]] = False
        which, guess = which[fine], guess[fine]
        step = guess - x[which]
        near = np.abs(step) <= h[which]
        x[which] += np.clip(step, -2 * h[which], 2 * h[which])
        closing[which] = near
        h[which[near]] *= 0.1
        alive[which[h[which] < _DEEPEST * own.spread]] = False
        alive[which[np.abs(step) > 1e4 * own.spread]] = False
    out: list[float] = []
    for c in np.sort(x[closing]):
        if not out or c - out[-1] > 1e-8 * own.spread:
            out.append(recognised(float(c), own.spread))
    return out


def measured(
    axis: Axis, intervals: Sequence[Interval], centres: Sequence[float], others: Sequence[Atom] = ()
) -> list[Atom]:
    """Atoms at the given places: from a circle that keeps off everything else, or from straight above."""
    own = axis.resolvent
    points = [*(a.x for a in others), *centres]
    out = []
    for c in centres:
        distances = [abs(e.x - c) for i in intervals for e in (i.left, i.right)]
        distances += [abs(f - c) for f in points if f != c]
        radius = 0.4 * min(distances, default=own.spread + abs(own.mean - c))
        if any(i.left.x < c < i.right.x for i in intervals) or radius <= 1e-8 * own.spread:
            found = Atom(c, _above(axis, c))
        else:
            found = _circle(axis, c, radius)
        if found.mass > (MASS if own.finite else 1e-7):
            out.append(found)
    return out


def _circle(axis: Axis, centre: float, radius: float) -> Atom:
    """The one pole in a circle, by the trapezoid rule (the lower half is the conjugate)."""
    own = axis.resolvent
    z = centre + radius * np.exp(1j * np.pi * (np.arange(_CIRCLE) + 0.5) / _CIRCLE)
    made = own.solve(z)
    if not made.good.all():
        return Atom(centre, _above(axis, centre))
    weighed = own.mean_of(made.g) * (z - centre)
    mass = float(np.mean(weighed.real))
    if mass <= MASS:
        return Atom(centre, 0.0)
    return Atom(recognised(centre + float(np.mean((weighed * (z - centre)).real)) / mass, own.spread), mass)


def _above(axis: Axis, centre: float) -> float:
    """lim i h g(centre + i h): the mass, plus powers of h that Wynn's algorithm takes away."""
    own = axis.resolvent
    h = own.spread * 10.0 ** -np.arange(1, 13)
    made = own.solve(centre + 1j * h)
    count = int(np.argmin(made.good)) if not made.good.all() else len(h)
    if count < 5:
        return 0.0
    weight = (1j * h * own.mean_of(made.g)).real[:count]
    clear = np.flatnonzero(np.abs(np.diff(weight)) < 1e-12)
    mass = wynn(weight[: max(5, int(clear[0]) + 2)] if len(clear) else weight)
    return mass if mass <= weight[-1] + 1e-10 else 0.0  # i h g falls to the mass of the point


def _of_widths(own: Resolvent, mass: float) -> float:
    """The mass at 0, to rounding where it is what widths leave over: one minus a width, or a difference of two, over the size.

    Beside a density like x**(-4/5), i h g approaches the mass like h**(1/5), and extrapolation leaves ten digits of it.
    """
    if own.finite:
        return mass
    program = own.system.program
    size = sum(float(d.ratio) for d in program.space)
    widths = {float(d.ratio) for m in program.matrices for d in (m.rows, m.cols)} | {size, 0.0}
    ranks = {abs(a - b) / size for a in widths for b in widths}
    return min((r for r in ranks if abs(r - mass) <= _OF_WIDTHS), key=lambda r: abs(r - mass), default=mass)


@dataclass(frozen=True)
class Zero:
    """What g(i h) does as h -> 0: the mass at 0, and the exponent of the rest (0 if it stays finite)."""

    mass: float
    exponent: float


def at_zero(axis: Axis) -> Zero:
    """Hard edges and atoms at 0, from 120 decades of h on the imaginary axis, or as many as there are digits for.

    h g tends to the mass as a constant plus powers of h, a sequence of geometric terms, which Wynn's epsilon algorithm sums
    exactly; the slopes of what is left tend to the exponent in the same way.
    """
    own = axis.resolvent
    h = own.spread * 10.0 ** -np.arange(1, 121)
    z = 1j * h
    for depth in _DEPTHS if own.finite else _DEPTHS[:2]:  # where digits end, the way on is long and leads nowhere
        out = own.solve(z[:depth])
        arrived = np.abs(np.diff((out.z * own.mean_of(out.g)).real)) < _ARRIVED
        if not out.good.all() or arrived.any():
            break
    count = int(np.argmin(out.good)) if not out.good.all() else len(out.z)
    g, z = own.mean_of(out.g)[:count], z[:count]
    if count < 6:
        return Zero(0.0, 0.0)
    weight = (z * g).real
    # digits go as z g approaches its limit: stop where the steps drown in rounding
    steps = np.abs(np.diff(weight))
    clear = np.flatnonzero(steps < _ARRIVED)
    last = int(clear[0]) + 1 if len(clear) else count
    mass = wynn(weight[: max(last, 6)])
    # where the walk ends early, what is extrapolated beyond the last step is a mass only if it outweighs that step
    least = MASS if own.finite else max(1e-7, 10 * float(steps[max(last, 6) - 2]))
    mass = _of_widths(own, mass) if mass > least else 0.0
    rest = np.abs(g - mass / z)[: max(last, 6)]
    with np.errstate(all="ignore"):
        slopes = np.diff(np.log(rest)) / np.diff(np.log(h[: len(rest)]))
    slopes = slopes[np.isfinite(slopes)]
    if mass:
        slopes = slopes[: max(4, len(slopes) - 3)]
    exponent = wynn(slopes) if len(slopes) > 4 else 0.0
    return Zero(mass, exponent if 0.02 < abs(exponent) < 0.995 else 0.0)
