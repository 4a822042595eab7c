r"""Mehler's series for whole arrays: coefficients once per distinct variance, as many terms as each entry needs.

E f(u) g(v) = sum_k rho^k a_k b_k in normalised Hermite coefficients, with a tail below
|rho|^(K+1) sqrt((E f^2 - sum a_k^2)(E g^2 - sum b_k^2)). So K terms settle all entries with |rho| below a number that the
coefficients tell; most entries share one order, few are close to +-1 and take more, and those that no order settles
are left to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .quadrants import blocks, collapsed

Array = Any
Function = Callable[[Any], Any]

_EPS = float(np.finfo(float).eps)
_REACH = 38.0  # exp(-38^2/2) is the last normal double
_COARSE = 129
_ORDERS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_MAX_NODES = 1 << 12
_PANEL_NODES = (128, 192)  # a Hermite function of degree 256 has 256 zeros on all panels together
_BLOCK = 1 << 14  # entries that stay in the cache while terms are added
_ONE_THREAD = 1 << 18  # multiplications, of OpenBLAS
_MOST_BLOCKS = 256
_CHUNK = 1 << 22  # function values at a time


@dataclass(frozen=True)
class Expansion:
    """Normalised Hermite coefficients of x -> fn(mean + sqrt(var) x) for several (mean, var).

    Attributes
    ----------
    rows : ndarray (K + 1, n)
    energy : ndarray (n,)
        E fn^2.
    rest : ndarray (K + 1,)
        The largest (E fn^2 - sum_(j <= k) a_j^2) / E fn^2, from above.
    fine : bool
        Whether the quadrature settled.
    nodes : int
        How many it took.
    """

    rows: Array
    energy: Array
    rest: Array
    fine: bool
    nodes: int


def expansion(
    fn: Function,
    mean: Array,
    var: Array,
    order: int,
    tolerance: float = 1e-13,
    nodes: int = 129,
    kinks: Sequence[float] = (),
) -> Expansion:
    """Coefficients up to a degree, by the trapezoid rule at doubled numbers of nodes, or by panels between kinks.

    Parameters
    ----------
    fn : callable
    mean, var : ndarray (n,)
    order : int
    tolerance : float
        Relative to sqrt(E fn^2).
    nodes : int
        To begin with.
    kinks : sequence of float
        Where fn is not smooth.

    Examples
    --------
    >>> made = expansion(np.sin, np.zeros(1), np.ones(1), 9)
    >>> bool(abs(made.rows[1, 0] - np.exp(-0.5)) < 1e-15), made.fine
    (True, True)
    """
    std = np.sqrt(var)
    reach = _reach(fn, mean, std)
    change = math.inf
    while True:
        if kinks:
            rows, energy, drift = _by_panels(fn, mean, std, order, reach, kinks)
            nodes = _MAX_NODES
        else:
            rows, energy, drift = _trapezoid(fn, mean, std, order, reach, nodes)
        with np.errstate(all="ignore"):
            scale = np.where(energy > 0, np.sqrt(energy), 1.0)
            before, change = change, float(np.max(drift / scale, initial=0.0))
        # Halving the step squares the error of an analytic function, and does less for others: what the last halving
        # did, once more. Without a last one, something in between.
        gain = 10 * change / before if math.isfinite(before) and before > 0 else math.sqrt(change)
        fine = bool(np.all(np.isfinite(energy))) and change * min(1.0, gain) <= tolerance
        if fine or nodes >= _MAX_NODES or not np.all(np.isfinite(energy)):
            break
        nodes = 2 * nodes - 1
    safe = np.where(energy > 0, energy, 1.0)
    caught = np.cumsum(rows**2, axis=0) / safe
    rest = np.max(np.maximum((energy > 0) - caught, 0.0), axis=1, initial=0.0) + 8 * _EPS
    return Expansion(rows, energy, rest, fine, nodes)


def _extremes(mean: Array, std: Array) -> Array:
    """The numbers of the entries with the largest and smallest means and deviations: where a series is worst."""
    return np.unique([np.argmin(std), np.argmax(std), np.argmin(mean), np.argmax(mean)])


def _reach(fn: Function, mean: Array, std: Array) -> float:
    """Where the function times exp(-x^2/4) has fallen by 1e-18, for the largest and the smallest variances."""
    x = np.linspace(-_REACH, _REACH, _COARSE)
    chosen = _extremes(mean, std)
    with np.errstate(all="ignore"):
        size = np.abs(fn(mean[chosen, None] + std[chosen, None] * x)) * np.exp(-0.25 * x * x)
    big = np.any(size > 1e-18 * np.max(size, axis=1, keepdims=True), axis=0)
    return min(_REACH, float(np.max(np.abs(x[big]), initial=6.0)) + 2 * _REACH / (_COARSE - 1))


def _trapezoid(
    fn: Function, mean: Array, std: Array, order: int, reach: float, nodes: int
) -> tuple[Array, Array, Array]:
    """Coefficients (k, n), energies, and the largest change against every second node."""
    x = np.linspace(-reach, reach, nodes)
    root = math.sqrt((x[1] - x[0]) / math.sqrt(2 * math.pi)) * np.exp(-0.25 * x * x)
    # Hermite functions, not polynomials: their recursion is stable and stays representable.
    basis = np.empty((order + 1, nodes))
    before, current = np.zeros(nodes), root
    for k in range(order + 1):
        basis[k] = current
        before, current = current, (x * current - math.sqrt(k) * before) / math.sqrt(k + 1)
    rows, energy, drift = np.empty((order + 1, len(std))), np.empty(len(std)), np.empty(len(std))
    step = max(1, _CHUNK // nodes)
    for start in range(0, len(std), step):
        part = slice(start, start + step)
        with np.errstate(all="ignore"):
            values = root * np.asarray(fn(mean[part, None] + std[part, None] * x), dtype=float)
            rows[:, part] = _product(basis, values.T)
            coarse = 2 * _product(basis[:, ::2].copy(), values[:, ::2].T)
            energy[part] = np.einsum("vx,vx->v", values, values)
            drift[part] = np.max(np.abs(rows[:, part] - coarse), axis=0)
            doubt = np.abs(energy[part] - 2 * np.einsum("vx,vx->v", values[:, ::2], values[:, ::2]))
            drift[part] = np.maximum(drift[part], doubt / np.sqrt(energy[part], where=energy[part] > 0, out=doubt + 1))
    return rows, energy, np.where(energy > 0, drift, 0.0)


def _product(a: Array, b: Array) -> Array:
    """a @ b by blocks for which BLAS wakes no threads: waiting for them takes longer than products of this size."""
    cols = min(b.shape[1], 32)
    rows = max(1, _ONE_THREAD // (a.shape[1] * max(cols, 1)))
    cuts = [(i, j) for i in range(0, len(a), rows) for j in range(0, b.shape[1], cols)]
    if not 1 < len(cuts) <= _MOST_BLOCKS:
        return a @ b
    out = np.empty((len(a), b.shape[1]))
    for i, j in cuts:
        out[i : i + rows, j : j + cols] = a[i : i + rows] @ b[:, j : j + cols]
    return out


def _by_panels(
    fn: Function, mean: Array, std: Array, order: int, reach: float, kinks: Sequence[float]
) -> tuple[Array, Array, Array]:
    """The same by Gauss-Legendre panels that end at the kinks, and the largest change against fewer nodes."""
    made = []
    for nodes in _PANEL_NODES:
        t, w = np.polynomial.legendre.leggauss(nodes)
        rows, energy = np.empty((order + 1, len(std))), np.empty(len(std))
        step = max(1, _CHUNK // (8 * nodes * (len(kinks) + 1)))
        for start in range(0, len(std), step):
            part = slice(start, start + step)
            m, s = mean[part, None], np.maximum(std[part, None], 1e-300)
            inner = np.clip((np.asarray(kinks) - m) / s, -reach, reach)
            ends = np.concatenate([np.full_like(s, -reach), inner, np.full_like(s, reach)], axis=1)[..., None]
            half = 0.5 * (ends[:, 1:] - ends[:, :-1])
            x = (0.5 * (ends[:, 1:] + ends[:, :-1]) + half * t).reshape(len(s), -1)
            root = np.sqrt(half * w / math.sqrt(2 * math.pi)).reshape(x.shape) * np.exp(-0.25 * x * x)
            with np.errstate(all="ignore"):
                values = root * np.asarray(fn(m + std[part, None] * x), dtype=float)
                energy[part] = np.einsum("vx,vx->v", values, values)
                before, current = np.zeros(x.shape), root
                for k in range(order + 1):
                    rows[k, part] = np.einsum("vx,vx->v", values, current)
                    before, current = current, (x * current - math.sqrt(k) * before) / math.sqrt(k + 1)
        made.append((rows, energy))
    (coarse, _), (rows, energy) = made
    return rows, energy, np.max(np.abs(rows - coarse), axis=0)


def pair(
    f: Function,
    g: Function,
    cov: Array,
    var_u: Array,
    var_v: Array,
    mean_u: Array = 0.0,
    mean_v: Array = 0.0,
    tolerance: float = 1e-13,
    max_order: int = 256,
    kinks: tuple[Sequence[float], Sequence[float]] = ((), ()),
) -> tuple[Array, Array]:
    """E f(u) g(v) over arrays, and which entries the series has settled.

    Parameters
    ----------
    f, g : callable
        On float arrays.
    cov, var_u, var_v, mean_u, mean_v : array_like
        Broadcast together; variances and means that repeat along an axis are best passed unbroadcast.
    tolerance : float
        Relative to sqrt(E f^2 E g^2).
    max_order : int
    kinks : pair of sequences of float
        Of f and of g.

    Returns
    -------
    (values, settled) : arrays of the common shape

    Examples
    --------
    >>> value, settled = pair(np.sin, np.sin, np.array([0.5, 1.0]), 1.0, 1.0)
    >>> np.round(value - np.exp(-1) * np.sinh([0.5, 1.0]), 14) + 0, settled
    (array([0., 0.]), array([ True,  True]))
    """
    shape = np.broadcast_shapes(*(np.shape(x) for x in (cov, var_u, var_v, mean_u, mean_v)))
    cov = np.broadcast_to(np.asarray(cov, dtype=float), shape)
    (mu, su, at_u), (mv, sv, at_v) = (_distinct(m, v, len(shape)) for m, v in ((mean_u, var_u), (mean_v, var_v)))
    same = f is g and np.array_equal(mu, mv) and np.array_equal(su, sv)
    rho = cov / np.maximum(np.sqrt(su)[at_u], 1e-300)
    rho = rho / np.maximum(np.sqrt(sv)[at_v], 1e-300)
    rho = np.clip(rho, -1.0, 1.0)
    size = np.abs(rho)
    value, settled = np.zeros(shape), np.zeros(shape, dtype=bool)
    order, counts = _budget(f, g, (mu, su), (mv, sv), size, tolerance, max_order, kinks)
    if not order:
        return value, settled
    a = expansion(f, mu, su, order, tolerance, counts[0], kinks[0])
    b = a if same else expansion(g, mv, sv, order, tolerance, counts[1], kinks[1])
    if not (a.fine and b.fine):
        return value, settled
    limits = _limits(a, b, tolerance)
    _sum(value, settled, rho, size, a.rows, b.rows, at_u, at_v, limits, order)
    return value, settled


def _budget(
    f: Function, g: Function, u: tuple[Array, Array], v: tuple[Array, Array],
    size: Array, tolerance: float, max_order: int, kinks: tuple[Sequence[float], Sequence[float]],
) -> tuple[int, tuple[int, int]]:  # fmt: skip
    """The order that settles all entries, or the last one; found with the extreme variances alone. 0: hopeless."""
    (mu, su), (mv, sv) = ((m[k], s[k]) for (m, s), k in ((u, _extremes(*u)), (v, _extremes(*v))))
    largest, order, counts = float(np.max(size, initial=0.0)), 64, (129, 129)
    same = f is g and np.array_equal(mu, mv) and np.array_equal(su, sv)
    while True:
        order = min(order, max_order)
        a = expansion(f, mu, su, order, tolerance, counts[0], kinks[0])
        b = a if same else expansion(g, mv, sv, order, tolerance, counts[1], kinks[1])
        if not (a.fine and b.fine):
            return 0, counts
        counts = (a.nodes, b.nodes)
        if order == max_order or largest <= _limits(a, b, tolerance)[order]:
            return order, counts
        order *= 2


def _distinct(mean: Array, var: Array, axes: int) -> tuple[Array, Array, Array]:
    """Distinct (mean, var), and the number of its own for each entry, with the given number of axes."""
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=float), np.maximum(np.asarray(var, dtype=float), 0.0))
    strides = [m.strides[k] or v.strides[k] for k in range(m.ndim)]
    keep = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in strides)
    m, v = m[keep], v[keep]
    m, v = (x.reshape((1,) * (axes - x.ndim) + x.shape) for x in (m, v))
    if np.all(m == m.flat[0]):
        distinct, at = np.unique(v, return_inverse=True)
        return np.full(len(distinct), m.flat[0]), distinct, at.reshape(v.shape)
    both, at = np.unique(np.stack([m.ravel(), v.ravel()]), axis=1, return_inverse=True)
    return both[0], both[1], at.reshape(v.shape)


def _limits(a: Expansion, b: Expansion, tolerance: float) -> Array:
    """For each order the |rho| up to which its tail is below the tolerance."""
    rest = np.sqrt(a.rest * b.rest)
    k = np.arange(1, len(rest) + 1)
    return np.where(rest <= tolerance, 1.0, (tolerance / rest) ** (1.0 / k))


def _sum(
    value: Array, settled: Array, rho: Array, size: Array,
    a: Array, b: Array, at_u: Array, at_v: Array, limits: Array, last: int,
) -> None:  # fmt: skip
    """Most entries at one order, over blocks; those nearer to +-1 gathered, order by order."""
    orders = [k for k in _ORDERS if k < last] + [last]
    above = [np.count_nonzero(size > limits[k]) for k in orders]
    costs = [k * size.size + 8 * last * count for k, count in zip(orders, above, strict=True)]
    common = int(np.argmin(costs))
    degrees = _live(a, b)
    _horner(value, rho, a[:, at_u], b[:, at_v], degrees[degrees <= orders[common]])
    bound = limits[orders[common]]
    settled[...] = size <= bound
    for k in range(common + 1, len(orders)):
        chosen = (size > bound) & (size <= limits[orders[k]])
        bound = max(bound, limits[orders[k]])
        if chosen.any():
            u, v = (np.broadcast_to(at, size.shape)[chosen] for at in (at_u, at_v))
            part = np.zeros(len(u))
            for cut in range(0, len(u), 1 << 13):
                s = slice(cut, cut + (1 << 13))
                _horner(part[s], rho[chosen][s], a[:, u[s]], b[:, v[s]], degrees[degrees <= orders[k]])
            value[chosen] = part
            settled |= chosen


def _live(a: Array, b: Array) -> Array:
    """Degrees whose terms are not rounding errors: half of them, for even and odd functions."""
    largest = (np.max(np.abs(x) / np.maximum(np.sqrt(np.sum(x * x, axis=0)), 1e-300), axis=1) for x in (a, b))
    first, second = largest
    return np.flatnonzero((first > 4 * _EPS) & (second > 4 * _EPS))


def _horner(value: Array, rho: Array, a: Array, b: Array, degrees: Array) -> None:
    """sum_k rho^k a_k b_k into `value`; a and b broadcast to it behind their first axis."""
    if not len(degrees):
        return
    gaps = set(np.diff(degrees) % 2)
    stride = 2 if gaps <= {0} else 1
    first = int(degrees[0])
    steps = range(int(degrees[-1]), first - 1, -stride)
    a, b = (np.broadcast_to(x, (len(x), *value.shape)) for x in (a, b))
    for index in blocks(value.shape, _BLOCK):
        r = rho[index]
        x = r * r if stride == 2 else r
        left, right = (collapsed(y[(slice(None), *index)]) for y in (a, b))
        total = np.zeros(np.shape(r))
        term = np.empty(np.shape(r))
        for k in steps:
            total *= x
            total += np.multiply(left[k], right[k], out=term if np.ndim(left[k]) == total.ndim else None)
        value[index] = total * r**first if first else total
