"""Where a law lives: intervals of its density, edges with their exponents, atoms.

All of it is read off the branch on the real axis. Outside the support g is real and falls; 1/g rises through 0 at an atom only.
An edge of square-root type is a fold of the Dyson equation, a real point where its Jacobian is singular, and Newton's
method finds folds to rounding. Other edges (hard ones, cusps) are found by the power law next to them. Whether anything
was missed shows in the total mass, which the caller checks.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..dyson.resolvent import Resolvent
from ..errors import NotConverged
from .atoms import Zero, at_zero, in_gaps, located, measured
from .axis import NEAR, Atom, Axis, Edge, Interval, recognised, wynn

_RISING = 0.05
_STEEPER = 0.4  # from afar than nearby: what is nearby is rounding
_SLOPES = 6


def find(resolvent: Resolvent, refine: int = 0) -> tuple[list[Interval], list[Atom]]:
    """Intervals and atoms of the law.

    Parameters
    ----------
    resolvent : Resolvent
    refine : int
        How many times the first grid is doubled; for laws with parts too narrow to meet it.

    Returns
    -------
    list of Interval, list of Atom
    """
    axis = Axis(resolvent)
    if resolvent.spread <= 1e-9 * max(1e-300, abs(resolvent.mean)) or resolvent.spread <= 1e-9:
        scale = abs(resolvent.mean) + resolvent.spread
        return [], measured(axis, [], located(axis, np.array([resolvent.mean]), np.array([scale])))
    x, g, inside = _grid(axis, refine)
    hidden = resolvent.grounded
    dying = any(_fades(b, resolvent.spread) for b in _brackets(x, inside))
    touched = np.any(inside & (np.abs(x) <= (NEAR if hidden and not dying else 1e-6) * resolvent.spread))
    zero = at_zero(axis) if touched else Zero(0.0, 0.0)
    if zero.mass:
        axis = Axis(resolvent, zero.mass)
        inside = axis.inside(x, g)
        if hidden and not zero.exponent:  # beside an atom a density that tends to 0 drowns before it ends
            inside &= np.abs(x) > 1e-5 * resolvent.spread
    brackets = _brackets(x, inside)
    hard = [b for b in brackets if zero.exponent and min(map(abs, b)) <= 3e-9 * resolvent.spread]
    veiled = hidden and zero.mass > 0
    fading = (
        [] if veiled or resolvent.finite else [b for b in brackets if b not in hard and _fades(b, resolvent.spread)]
    )
    edges = [(Edge(0.0, _nice(zero.exponent)), b > a) for a, b in hard]
    edges += [(Edge(0.0, _power_at_zero(axis, (a, b)) if zero.mass else np.inf), b > a) for a, b in fading]
    grounded = [b for b in brackets if veiled and b not in hard and _touches(b, resolvent.spread)]
    edges += [(Edge(0.0, _power_at_zero(axis, b)), b[1] > b[0]) for b in grounded]
    edges += _edges(axis, zero, [b for b in brackets if b not in hard and b not in fading and b not in grounded])
    edges += _extremes(axis, zero, x, g, inside)
    edges.sort(key=lambda e: (e[0].x, e[1]))
    intervals = _paired(edges, resolvent)
    atoms = in_gaps(axis, intervals, x, g, inside)
    if zero.mass and any(i.left.x <= 0 <= i.right.x for i in intervals):
        atoms = [a for a in atoms if abs(a.x) > 1e-9 * resolvent.spread] + [Atom(0.0, zero.mass)]
    return intervals, sorted(atoms, key=lambda a: a.x)


def _fades(bracket: tuple[float, float], spread: float) -> bool:
    """Whether a density of continuous coefficients dies out towards 0 (tanh' of a Gaussian): there is no power."""
    outside, inside = map(abs, bracket)
    return outside <= 1e-6 * spread and inside <= 1e-4 * spread


def _touches(bracket: tuple[float, float], spread: float) -> bool:
    """Whether a density that tends to 0 at 0 may drown within this bracket beside an atom there."""
    outside, inside = bracket
    return abs(inside) <= NEAR * spread and (outside * inside <= 0 or abs(outside) < abs(inside))


def _power_at_zero(axis: Axis, bracket: tuple[float, float]) -> float:
    """The exponent of a density that starts at 0, from its slopes where it shows beside the atom; inf if they go on rising."""
    own = axis.resolvent
    least = min(2 * abs(bracket[1]), NEAR * own.spread / 4)
    for first in (8, 4):
        x = np.sign(bracket[1]) * own.spread * 2.0 ** (-np.arange(first, 34) / 2)
        rho = axis.density(x[np.abs(x) >= least])
        rho = rho[: int(np.argmin(rho > 0)) if not np.all(rho > 0) else None]
        if len(rho) >= _SLOPES:
            break
    else:
        raise NotConverged(
            "the density next to the atom at 0 is too small to be seen", remedy="stieltjes(z) off the real axis"
        )
    slopes = -2 * np.diff(np.log2(rho))
    bends = np.diff(slopes)[2:]
    if bends[-1] > _RISING and bends[-1] > 0.7 * bends[0]:  # those of a power settle
        return float(np.inf)
    limit = wynn(slopes)
    return _nice(limit, abs(slopes[-1] - slopes[-3]) + abs(slopes[-1] - limit))


# ---------------------------------------------------------------------------------------------
# the first look


def _grid(axis: Axis, refine: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    own = axis.resolvent
    size = 321 * 2**refine
    x = own.mean + 0.5 * own.spread * np.sinh(np.linspace(-10, 10, size))
    near = own.spread * np.logspace(-9, -1, 17 * 2**refine)
    x = np.unique(np.concatenate([x, near, -near]))
    g, inside, known, out = axis.look(x)
    slope = own.slope(out)
    x, g, inside, slope = (a[known] for a in (x, g, inside, slope))
    for _ in range(12):  # cells outside the support in which g falls less than its slopes say hide something
        h = np.diff(x)
        with np.errstate(all="ignore"):
            secant = -np.diff(g.real) / h
            mean = np.sqrt(np.maximum(-slope.real[1:], 0) * np.maximum(-slope.real[:-1], 0))
            odd = ~inside[1:] & ~inside[:-1] & (mean - secant > 0.05 * mean) & (h > 1e-6 * own.spread)
        # next to the support g is not smooth on the scale of a cell; there a bracket is refined anyway
        touching = np.convolve(inside, [1, 1, 1], "same")[:-1] + np.convolve(inside, [1, 1, 1], "same")[1:] > 0
        odd &= ~touching
        if not odd.any():
            break
        middle = (x[:-1] + x[1:])[odd] / 2
        more, in_, known, out = axis.look(middle)
        slopes = own.slope(out)
        order = np.argsort(np.concatenate([x, middle[known]]), kind="stable")
        x, g, inside, slope = (
            np.concatenate([a, b[known]])[order] for a, b in ((x, middle), (g, more), (inside, in_), (slope, slopes))
        )
    return x, g, inside


def _brackets(x: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    """(point outside, point inside) at every change."""
    out = []
    for k in np.flatnonzero(inside[1:] != inside[:-1]):
        out.append((x[k + 1], x[k]) if inside[k] else (x[k], x[k + 1]))
    return out


def _narrow(axis: Axis, brackets: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Brackets 64 times narrower, all at once."""
    out = np.array(brackets, dtype=float).reshape(-1, 2)
    for _ in range(2):
        if not len(out):
            break
        share = np.arange(1, 8) / 8
        points = out[:, :1] + (out[:, 1:] - out[:, :1]) * share
        _, inside, known, _ = axis.look(points.ravel())
        inside, known = inside.reshape(points.shape), known.reshape(points.shape)
        for k, row in enumerate(points):
            hits = np.flatnonzero(inside[k])
            first = hits[0] if len(hits) else 7
            if first < 7:
                out[k, 1] = row[first]
            clear = [row[j] for j in range(first) if known[k, j]]
            if clear:
                out[k, 0] = clear[-1]
    return [(float(a), float(b)) for a, b in out]


# ---------------------------------------------------------------------------------------------
# edges


def _edges(axis: Axis, zero: Zero, brackets: list[tuple[float, float]]) -> list[tuple[Edge, bool]]:
    """The edges between points outside and points inside, and whether the support lies to the right of each.

    Folds first, from wide brackets: the points next to an edge cost more than Newton's method does.
    """
    done: list[tuple[Edge, bool]] = []
    for narrowed in range(2):
        left = []
        for outside, inside in (brackets := _narrow(axis, brackets)):
            rising = inside > outside
            if zero.exponent and min(abs(inside), abs(outside)) <= 3e-9 * axis.resolvent.spread:
                done.append((Edge(0.0, _nice(zero.exponent)), rising))
            elif (folded := _fold(axis, outside, inside)) is not None:
                done.append((Edge(folded, 0.5), rising))
            elif narrowed:
                edge = _square_root_edge(axis, outside, inside) or _power_edge(axis, outside, inside)
                if edge.exponent > 0.5 or _slope(axis, outside, inside) > edge.exponent + _STEEPER:
                    edge = _end(axis, edge, outside - inside)
                done.append((edge, rising))
            else:
                left.append((outside, inside))
        brackets = left
    return done


def _fold(axis: Axis, outside: float, inside: float) -> float | None:
    """Newton's method for F(u, x) = 0, J(u, x) v = 0, |v| = 1 over the reals, with derivatives by complex steps."""
    _, _, known, out = axis.look(np.array([inside]))
    branch = axis.resolvent.rule_of(out, 0)
    if not known[0] or not branch.size:
        return None
    size = branch.size
    scale = np.abs(out.u[:, 0]) + 1e-12 * np.abs(out.u[:, 0]).max()
    u, v = out.u[:, 0].real / scale, out.u[:, 0].imag / scale
    if not np.linalg.norm(v):
        return None
    v = v / np.linalg.norm(v)
    probe, x, unit = v.copy(), inside, abs(inside - outside)
    step, last = 1e-30, np.inf
    for _ in range(25):
        points = np.repeat((u * scale)[:, None].astype(complex), size + 2, axis=1)
        points[np.arange(size), np.arange(size)] += 1j * step * scale
        z = np.full(size + 2, complex(x))
        z[size] += 1j * step * unit
        made = branch.evaluate(points, z, 0 * z)
        jacobian = branch.dense(made) * scale
        residual = np.array([np.broadcast_to(r, z.shape) for r in made.residual])
        by_x = -np.array([np.broadcast_to(r, z.shape)[-1] for r in made.by_z]).real * unit
        moved = np.einsum("pij,j->pi", jacobian, v)
        base = jacobian[-1].real
        big = np.zeros((2 * size + 1, 2 * size + 1))
        big[:size, :size] = base
        big[:size, -1] = by_x
        big[size : 2 * size, :size] = moved[:size].imag.T / step
        big[size : 2 * size, size : 2 * size] = base
        big[size : 2 * size, -1] = moved[size].imag / step
        big[-1, size : 2 * size] = probe
        right = -np.concatenate([residual[:, -1].real, base @ v, [probe @ v - 1]])
        # equations of very different size are one equation each: only their balance matters
        rows = np.abs(big).max(axis=1)
        if not np.all(np.isfinite(big)) or not np.all(rows > 0):
            return None
        try:
            d = np.linalg.solve(big / rows[:, None], right / rows)
        except np.linalg.LinAlgError:
            return None
        u, v, x = u + d[:size], v + d[size : 2 * size], x + d[-1] * unit
        if not np.isfinite(x) or abs(d[-1]) > 50:
            return None
        if abs(d[-1]) * unit <= 1e-14 * max(abs(x), unit) and abs(d[:size]).max() < 1e-6:
            low, high = sorted((outside, inside))
            return float(x) if low - 2 * unit <= x <= high + 2 * unit else None
        last = min(last, abs(d[-1]))
    return None


def _square_root_edge(axis: Axis, outside: float, inside: float) -> Edge | None:
    """An edge of exponent 1/2 or -1/2 from a polynomial through rho**2 or 1/rho**2, which are analytic across it.

    (At a branch point of order two Im g is the odd part of a real series in the root, so its square is a series in x.)
    """
    unit = inside - outside
    t = np.polynomial.chebyshev.chebpts1(14)
    for length in (400.0, 100.0, 25.0, 6.0):
        low, high = sorted((inside, inside + length * unit))
        x = (low + high) / 2 + (high - low) / 2 * t
        rho = axis.density(x)
        if not np.all(rho > 0):
            continue
        near, far = (0, -1) if unit > 0 else (-1, 0)
        for power, exponent in ((2, 0.5), (-2, -0.5)):
            if (rho[near] < rho[far]) != (power > 0):
                continue
            series = np.polynomial.chebyshev.Chebyshev.fit(x, rho**power, 13, domain=[low, high])
            if np.abs(series.coef[-2:]).max() > 1e-12 * np.abs(series.coef).max():
                continue
            roots = [
                float(r.real) for r in np.atleast_1d(series.roots()).astype(complex) if abs(r.imag) <= 1e-6 * abs(unit)
            ]
            ends = sorted((outside - unit, inside + 0.5 * unit))
            inner = [r for r in roots if ends[0] <= r <= ends[1]]
            if len(inner) == 1:
                return Edge(recognised(float(inner[0]), axis.resolvent.spread), exponent)
    return None


def _power_edge(axis: Axis, outside: float, inside: float) -> Edge:
    """An edge from the power law next to it: rho**(1/p) is linear there, and p a fraction of small denominator."""
    rising = inside > outside
    sign = 1.0 if rising else -1.0
    edge, distance = outside, abs(inside - outside)
    exponent = 0.5
    for _ in range(14):
        x = edge + sign * distance * np.array([1.0, 2.0, 4.0])
        rho = axis.density(x)
        if not np.all(rho > 0):
            _, in_, _, _ = axis.look(x)
            edge = edge + sign * distance * (0.5 if not in_[0] else 0.0)
            distance *= 0.7
            continue
        edge, exponent = _fit(x, rho, edge, sign)
        if abs(x[0] - edge) < 1e-13 * max(abs(edge), 1e-300):
            break
        distance = max(abs(x[0] - edge) / 8, 1e-14 * abs(edge))
    p = _nice(exponent)
    for _ in range(6):
        x = edge + sign * distance * np.array([1.0, 2.0])
        rho = axis.density(x)
        if not np.all(rho > 0):
            break
        s = rho ** (1 / p)
        if s[0] == s[1]:
            break
        better = float((x[0] * s[1] - x[1] * s[0]) / (s[1] - s[0]))
        if abs(better - edge) > distance:
            break
        edge = better
    return Edge(_hard(edge, abs(inside - outside)) if p < 0 else edge, p)


def _slope(axis: Axis, outside: float, inside: float) -> float:
    """The power with which the density falls towards an edge from afar; one fitted to its rounding would not tell."""
    rho = axis.density(inside + np.sign(inside - outside) * axis.resolvent.spread * np.array([1e-3, 1e-2]))
    return float(np.log10(rho[1] / rho[0])) if np.all(rho > 0) else 0.0


def _end(axis: Axis, edge: Edge, bracket: float) -> Edge:
    """An edge at which the law follows a coefficient to its end, as Beta(1, 3) ends at 1: from outside, where all is real.

    Its density falls too fast to be followed; that of the coefficient has its pole exactly there.
    """
    own = axis.resolvent
    for reach in (1e-5, 1e-4, 1e-3):  # a density that falls fast ends beyond what was seen of it
        end = _pole(axis, edge.x, np.sign(bracket) * own.spread * reach)
        if end is None or abs(end - edge.x) >= max(10 * abs(bracket), reach * own.spread):
            continue
        nearer = _pole(axis, end, np.sign(bracket) * own.spread * 1e-6)
        if nearer is not None and abs(nearer - end) < 1e-6 * own.spread:
            end = nearer
        end = recognised(end, own.spread)
        return Edge(end, _power_at(axis, end, -float(np.sign(bracket)), edge.exponent))
    return edge


def _pole(axis: Axis, x: float, step: float) -> float | None:
    """Where the answer of the end of a coefficient has its pole, from points outside the support that begin a step from x."""
    from scipy.interpolate import BarycentricInterpolator  # a fifth of a second that most programs never need

    points = x + step * np.geomspace(1, 40, 9)
    _, inside, known, out = axis.look(points)
    if inside.any() or not known.all():
        return None
    roots = [
        float(BarycentricInterpolator(pole, points)(0.0))
        for pole in axis.resolvent.poles(out)
        if np.all(np.isfinite(pole)) and len(set(np.sign(pole))) == 1 and np.abs(pole[0]) < 0.5 * np.abs(pole[-1])
    ]
    return min(roots, key=lambda r: abs(r - x), default=None)


def _power_at(axis: Axis, end: float, sign: float, otherwise: float) -> float:
    """The exponent at an edge whose place is known, from slopes where the density shows."""
    distance = axis.resolvent.spread * 2.0 ** (-np.arange(8, 34) / 2)
    rho = axis.density(end + sign * distance)
    rho = rho[: int(np.argmin(rho > 0)) if not np.all(rho > 0) else None]
    slopes = -2 * np.diff(np.log2(rho))
    if len(slopes) < _SLOPES:
        return otherwise
    limit = wynn(slopes)
    power = _nice(limit, abs(slopes[-1] - limit))
    return power if power > 0.5 else otherwise  # digits ran out


def _hard(edge: float, bracket: float) -> float:
    """A divergence lies where a matrix becomes singular: at a simple number, if there is one within what powers can tell."""
    simple = float(Fraction(edge).limit_denominator(60))
    return simple if abs(simple - edge) <= 1e-3 * bracket else float(edge)


def _fit(x: np.ndarray, rho: np.ndarray, edge: float, sign: float) -> tuple[float, float]:
    """(e, p) with rho = c |x - e|**p through three points, by bisection in e."""
    log = np.log(rho)

    def mismatch(e: float) -> float:
        with np.errstate(all="ignore"):
            d = np.log(sign * (x - e))
        return float((log[1] - log[0]) / (d[1] - d[0]) - (log[2] - log[1]) / (d[2] - d[1]))

    span = abs(x[2] - x[0])
    low, high = x[0] - sign * 2 * span, x[0] - sign * 1e-12 * span
    a, b = mismatch(low), mismatch(high)
    if a * b > 0:
        d = np.log(sign * (x - edge)) if sign * (x[0] - edge) > 0 else np.log(sign * (x - low))
        return edge, float((log[1] - log[0]) / (d[1] - d[0]))
    for _ in range(80):
        middle = (low + high) / 2
        c = mismatch(middle)
        low, a, high = (middle, c, high) if a * c > 0 else (low, a, middle)
    d = np.log(sign * (x - low))
    return float(low), float((log[1] - log[0]) / (d[1] - d[0]))


def _nice(p: float, unsure: float = 0.0) -> float:
    """The fraction of smallest denominator that is within what a fitted slope is worth; a half if the slope is `unsure`.

    A slope near 0 is that of a logarithm: the density jumps there, as it does for a population with mass down to 0.
    """
    if abs(p) < 0.05:
        return 0.0
    for denominator in range(1, 130):
        near = round(p * denominator) / denominator
        worth = max(0.1 / (denominator + 1) ** 2, unsure if denominator <= 2 else 0.0)
        if abs(near - p) < worth and near != 0:
            return float(Fraction(near).limit_denominator(200))
    return p


def _extremes(axis: Axis, zero: Zero, x: np.ndarray, g: np.ndarray, inside: np.ndarray) -> list[tuple[Edge, bool]]:
    """Points within the support where the density vanishes or diverges: a pair of edges each, found by zooming."""
    found: list[tuple[Edge, bool]] = []
    if inside[0] or inside[-1]:
        raise NotConverged(
            "the support reaches beyond any bound that was tried", remedy="a law with finite moments of all orders"
        )
    rho = np.where(inside, -g.imag, 0.0)
    own = axis.resolvent
    peaks = []
    for k in range(1, len(x) - 1):
        if not (inside[k - 1] and inside[k] and inside[k + 1]):
            continue
        if rho[k] < rho[k - 1] and rho[k] <= rho[k + 1]:
            peaks.append((x[k - 1], x[k + 1], -1.0))
        elif rho[k] > rho[k - 1] and rho[k] >= rho[k + 1]:
            peaks.append((x[k - 1], x[k + 1], 1.0))
    near = 3e-9 * own.spread
    if zero.exponent and np.any(inside & (x > 0) & (x < near)) and np.any(inside & (x < 0) & (x > -near)):
        p = _nice(zero.exponent)
        found += [(Edge(0.0, p), False), (Edge(0.0, p), True)]
        peaks = [
            (low, high, sign) for low, high, sign in peaks if not low <= 1e-7 * own.spread or high < -1e-7 * own.spread
        ]
    for low, high, sign in peaks:
        found += _zoom(axis, zero, low, high, sign)
    return found


def _zoom(axis: Axis, zero: Zero, low: float, high: float, sign: float) -> list[tuple[Edge, bool]]:
    best = None
    for _ in range(14):
        x = np.linspace(low, high, 19)[1:-1]
        g, inside, known, _ = axis.look(x)
        if np.any(known & ~inside):  # a gap after all
            return _edges(axis, zero, _brackets(x[known], inside[known]))
        if not known.any():
            break
        rho = np.where(known, -g.imag, np.nan)
        k = int(np.nanargmax(sign * rho))
        if best is not None and abs(rho[k] - best) <= 0.02 * abs(best):
            return []
        best, width = float(rho[k]), x[1] - x[0]
        low, high = x[k] - width, x[k] + width
        if width < 1e-13 * max(abs(x[k]), 1e-300):
            break
    centre = (low + high) / 2
    width = max((high - low), 1e-12 * abs(centre))
    x = centre + width * np.array([1e2, 1e4])
    rho = axis.density(x)
    p = _nice(float(np.log(rho[1] / rho[0]) / np.log(1e2)))
    if abs(centre) < 1e-10 * axis.resolvent.spread:
        centre = 0.0
    return [(Edge(centre, p), False), (Edge(centre, p), True)]


def _paired(edges: list[tuple[Edge, bool]], own: Resolvent) -> list[Interval]:
    """Left and right edges in turn."""
    out, left = [], None
    for edge, rising in edges:
        if rising:
            left = edge
        elif left is not None:
            if edge.x - left.x > 1e-13 * max(abs(edge.x), abs(left.x)):
                out.append(Interval(left, edge))
            left = None
    return out
