r"""Gaussian expectations in closed form.

Three rules cover the table. *Quadrants* (`quadrants`): positively homogeneous functions and erf meet in an angle.
*Reweighting*: exp(-a u^2) changes the covariance, and polynomials then have Isserlis moments. *Shift*: exp(r u) moves
every mean by its covariance with r u.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import special
from ..nonlinearity import Nonlinearity, Number, Pieces
from . import quadrants
from .pieces import compose, multiply_pieces, odd_factorial

Array = Any  # float arrays and np.float64 scalars alike


# Pairs ------------------------------------------------------------------------------------------


def pair(phi: Nonlinearity, psi: Nonlinearity, cov: ArrayLike, var_u: ArrayLike, var_v: ArrayLike) -> Array | None:
    """E phi(u) psi(v) for centred jointly Gaussian (u, v); None when no closed form is known.

    The relative error stays below 1e-13 at every correlation; with a polynomial times a Gaussian it is
    relative to sqrt(E phi^2 E psi^2), because the polynomial's moments cancel.

    Parameters
    ----------
    phi, psi : Nonlinearity
    cov, var_u, var_v : array_like
        Broadcast together. A covariance beyond sqrt(var_u var_v) by rounding is clipped to it.

    Examples
    --------
    >>> from rmtp.catalogue import RELU, SIGN
    >>> float(pair(RELU, RELU, 2.0, 2.0, 2.0)), float(pair(SIGN, SIGN, 0.5, 1.0, 1.0) * 3)
    (1.0, 1.0)
    """
    return pairs([(phi, psi)], cov, var_u, var_v)[0]


def pairs(
    functions: Sequence[tuple[Nonlinearity, Nonlinearity]], cov: ArrayLike, var_u: ArrayLike, var_v: ArrayLike
) -> list[Array | None]:
    """Several `pair` at the same covariances, which share their angle: relu and its derivative, say.

    Parameters
    ----------
    functions : sequence of (Nonlinearity, Nonlinearity)
    cov, var_u, var_v : array_like

    Returns
    -------
    list of arrays; None where no closed form is known

    Examples
    --------
    >>> from rmtp.catalogue import RELU, STEP
    >>> [float(x) for x in pairs([(RELU, RELU), (STEP, STEP)], 2.0, 2.0, 2.0)]
    [1.0, 0.5]
    """
    shape = np.broadcast_shapes(np.shape(cov), np.shape(var_u), np.shape(var_v))
    c, vu, vv = (np.broadcast_to(np.asarray(x, dtype=float), shape) for x in (cov, var_u, var_v))
    known = [k for k, pair_ in enumerate(functions) if all(f.family and f.arity == 1 and not _beyond(f) for f in pair_)]
    cuts = list(quadrants.blocks(shape))
    whole = len(cuts) == 1
    out: list[Array | None] = [np.empty(0 if whole else shape) if k in known else None for k in range(len(functions))]
    still = np.any(np.asarray(var_u) == 0) or np.any(np.asarray(var_v) == 0)
    for index in cuts:
        with np.errstate(all="ignore"):
            at = quadrants.plane_at(index, c, vu, vv, bool(still))
        for k in list(known):
            value = on_plane(*functions[k], at, bool(still))
            if value is None:
                out[k] = None
                known.remove(k)
                continue
            if whole:
                out[k] = value.reshape(shape)
                continue
            out[k][index] = value.reshape(np.shape(out[k][index]))  # type: ignore[index]
    return [None if x is None else x[()] for x in out]


def on_plane(phi: Nonlinearity, psi: Nonlinearity, at: quadrants.Plane, still: bool = False) -> Array | None:
    """E phi(u) psi(v) from the geometry of (u, v), however that was found; None when no closed form is known.

    Parameters
    ----------
    phi, psi : Nonlinearity
        With families.
    at : Plane
    still : bool
        Whether some variance is zero.
    """
    with np.errstate(all="ignore"):
        value = _on_plane(phi, psi, at)
        if value is not None and still and quadrants.is_homogeneous(phi) and quadrants.is_homogeneous(psi):
            value = _at_rest(phi, psi, value, at)
    return value


def _beyond(f: Nonlinearity) -> bool:
    """Families of other modules: `onesided`, accurate relative to the function only, and `radial`."""
    return bool(f.family) and f.family[0] in ("onesided", "power")


def _on_plane(phi: Nonlinearity, psi: Nonlinearity, at: quadrants.Plane) -> Array | None:
    if _parity(phi) * _parity(psi) == -1:
        return np.zeros(at.c.shape)
    if quadrants.is_homogeneous(phi) and quadrants.is_homogeneous(psi):
        return quadrants.homogeneous_pair(phi, psi, at)
    c, vu, vv, det = at.c, at.vu, at.vv, at.det
    if np.any(det == 0):
        c = np.where(det == 0, np.clip(c, -at.size, at.size), c)
    families = (phi.family[0], psi.family[0])
    if families == ("gauss", "gauss"):
        return _gauss_gauss(phi, psi, c, vu, vv, det)
    if families == ("wave", "wave"):
        return _wave_wave(phi, psi, c, vu, vv)
    # A shift by a pure exponential first: it leaves the other's expm1 intact.
    orders = sorted(((phi, psi, vu, vv), (psi, phi, vv, vu)), key=lambda t: _preference(t[0]))
    for f, g, vf, vg in orders:
        value = _by_rule(f, g, c, vf, vg, det)
        if value is not None:
            return np.broadcast_to(value, c.shape)
    return None


def _at_rest(phi: Nonlinearity, psi: Nonlinearity, value: Array, at: quadrants.Plane) -> Array:
    """At zero variance a homogeneous function takes its value at zero, whatever the slopes beside it."""
    if phi.family[0] != "erf":
        value = np.where(at.vu == 0, phi.fn(np.zeros(())) * _required(psi, 0.0, at.vv), value)
    if psi.family[0] != "erf":
        value = np.where(at.vv == 0, psi.fn(np.zeros(())) * _required(phi, 0.0, at.vu), value)
    return value


def _preference(f: Nonlinearity) -> int:
    return 0 if f.family[0] == "exp" and f.family[3] == 0 else 1


def _by_rule(f: Nonlinearity, g: Nonlinearity, c: Array, vf: Array, vg: Array, det: Array) -> Array | None:
    """f disappears: by the parity of g's parts, in a shift, or in a reweighting."""
    kind, other = f.family[0], g.family[0]
    if other in ("homogeneous", "erf") and _parity(f):
        degree, (plus, minus), _, _ = quadrants.widened(g)
        if degree == 0 and _parity(f) == 1:  # the even part of g is a constant
            return 0.5 * float(plus + minus) * _required(f, 0.0, vf)
        if degree == 1 and _parity(f) == -1 and f.partials is not None:  # its odd part is linear: Stein
            (slope,) = f.partials()
            assert slope is not None
            return 0.5 * float(plus + minus) * c * _required(slope, 0.0, vf)
    if kind == "exp":
        _, rate, amplitude, offset = f.family
        if other == "exp" and offset == 0 and g.family[3] == 0:
            _, s, b, _ = g.family
            return amplitude * b * np.exp(0.5 * (rate**2 * vf + s**2 * vg) + rate * s * c)
        if other == "exp" and offset != 0:
            _, s, b, _ = g.family
            covariance = np.exp(0.5 * (rate**2 * vf + s**2 * vg)) * np.expm1(rate * s * c)
            return amplitude * b * covariance + _required(f, 0.0, vf) * _required(g, 0.0, vg)
        if offset and _parity(g) != -1:
            return None  # the shifted mean and the offset's would cancel at small variance
        return amplitude * np.exp(0.5 * rate**2 * vf) * _required(g, rate * c, vg)
    if kind == "wave" and f.family[1] in ("sinh", "cosh") and other != "gauss":
        _, _, rate, amplitude = f.family
        growth = amplitude * np.exp(0.5 * rate**2 * vf)
        if _parity(g):  # the same as f's, or the expectation was zero
            return growth * _required(g, rate * c, vg)
        if f.family[1] == "cosh":
            return growth * 0.5 * (_required(g, rate * c, vg) + _required(g, -rate * c, vg))
        return None
    if kind == "gauss":
        _, rate, coefficients = f.family
        scale = 1 + 2 * rate * vf
        if other == "erf":
            return _gauss_erf(f, g, c, vf, vg, det)
        if len(coefficients) == 1:
            return coefficients[0] / np.sqrt(scale) * _required(g, 0.0, (vg + 2 * rate * det) / scale)
    return None


def _parity(f: Nonlinearity) -> int:
    """+1 for even functions, -1 for odd ones, 0 for neither."""
    match f.family:
        case ("homogeneous", k, plus, minus):
            return _sign_of(minus == plus * (-1) ** k, minus == -plus * (-1) ** k)
        case ("erf", _, _, offset):
            return -1 if offset == 0 else 0
        case ("wave", kind, _, _):
            return -1 if kind in ("sin", "sinh") else 1
        case ("gauss", _, poly):
            return _sign_of(not any(poly[1::2]), not any(poly[0::2]))
    return 0


def _sign_of(even: bool, odd: bool) -> int:
    return 1 if even else -1 if odd else 0


def _gauss_gauss(phi: Nonlinearity, psi: Nonlinearity, c: Array, vu: Array, vv: Array, det: Array) -> Array:
    (_, a, p), (_, b, q) = phi.family, psi.family
    scale = 4 * a * b * det
    scale += 1 + 2 * a * vu
    scale += 2 * b * vv
    if len(p) == len(q) == 1:
        return float(p[0] * q[0]) / np.sqrt(scale)
    moments = _isserlis(p, q, c / scale, (vu + 2 * b * det) / scale, (vv + 2 * a * det) / scale)
    return moments / np.sqrt(scale)


def _isserlis(p: Sequence[float], q: Sequence[float], c: Array, vu: Array, vv: Array) -> Array:
    """E p(u) q(v) for polynomials of a centred Gaussian pair."""
    total = np.zeros(np.shape(c))
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            if a == 0 or b == 0 or (i - j) % 2:
                continue
            for m in range(i % 2, min(i, j) + 1, 2):
                ways = math.comb(i, m) * math.comb(j, m) * math.factorial(m)
                ways *= odd_factorial(i - m) * odd_factorial(j - m)
                term: Array = a * b * ways
                for base, exponent in ((c, m), (vu, (i - m) // 2), (vv, (j - m) // 2)):
                    if exponent:
                        term = term * base**exponent
                total += term
    return total


def _gauss_erf(gauss: Nonlinearity, erf: Nonlinearity, c: Array, vg: Array, ve: Array, det: Array) -> Array:
    """Stein's lemma lowers the degree of the polynomial until only Gaussian pairs remain."""
    (_, rate, poly), (_, s, amplitude, offset) = gauss.family, erf.family
    scale = 1 + 2 * rate * vg
    wide, v, cov = (ve + 2 * rate * det) / scale, vg / scale, c / scale
    # Reweighting keeps det/(1 + 2 rate var): the new determinant, without cancellation.
    new_det = det / scale
    bell = 1 + 2 * s**2 * wide
    inner = (v + 2 * s**2 * new_det) / bell  # variance of the polynomial's variable under erf'
    moments: list[Array] = []
    for j in range(len(poly)):
        if j % 2 == 0:
            moments.append(np.zeros(np.shape(c)))
            continue
        slope = 2 * s / math.sqrt(math.pi) / np.sqrt(bell) * odd_factorial(j - 1) * inner ** ((j - 1) // 2)
        lower = (j - 1) * v * moments[j - 2] if j >= 2 else 0.0
        moments.append(lower + cov * slope)
    odd = sum(a * t for a, t in zip(poly, moments, strict=True)) * amplitude / np.sqrt(scale)
    return odd + offset * _required(gauss, 0.0, vg) if offset else odd


def _wave_wave(phi: Nonlinearity, psi: Nonlinearity, c: Array, vu: Array, vv: Array) -> Array:
    (_, f, r, a), (_, g, s, b) = phi.family, psi.family
    hyperbolic = f.endswith("h"), g.endswith("h")
    sign_u, sign_v = (1 if h else -1 for h in hyperbolic)
    exponent = 0.5 * (sign_u * r**2 * vu + sign_v * s**2 * vv)
    x = r * s * c
    odd = f.startswith("s")
    if hyperbolic[0] != hyperbolic[1]:
        return a * b * np.exp(exponent) * (np.sin(x) if odd else np.cos(x))
    # exp(exponent) sinh(x) with the exponents added first: neither factor need be representable.
    grown = 0.5 * a * b * np.exp(exponent + np.abs(x))
    return grown * (-np.sign(x) * np.expm1(-2 * np.abs(x)) if odd else 1 + np.exp(-2 * np.abs(x)))


# Singles ----------------------------------------------------------------------------------------


def single(phi: Nonlinearity, mean: ArrayLike, var: ArrayLike) -> Array | None:
    """E phi(u) for u ~ N(mean, var); None when no closed form is known.

    Parameters
    ----------
    phi : Nonlinearity
        Of a known family, or piecewise polynomial.
    mean, var : array_like
        Broadcast together; at zero variance the value is phi(mean).

    Examples
    --------
    >>> from rmtp.catalogue import ABS, COS
    >>> float(single(ABS, 0.0, np.pi / 2)), float(single(COS, 0.0, 2.0) * np.e)
    (1.0, 1.0)
    """
    if phi.arity != 1 or not (phi.family or phi.pieces) or _beyond(phi):
        return None
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(var, dtype=float))
    if not phi.family:
        assert phi.pieces is not None
        value = piecewise_poly(phi.pieces.polys, phi.pieces.breaks, (1,), m, v)
    else:
        with np.errstate(all="ignore"):
            value = _single(phi, m, v)
    if np.any(v == 0):
        value = np.where(v == 0, phi.fn(m), value)
    return np.asarray(value)[()]


def _required(phi: Nonlinearity, mean: ArrayLike, var: ArrayLike) -> Array:
    value = single(phi, mean, var)
    assert value is not None
    return value


def _single(phi: Nonlinearity, m: Array, v: Array) -> Array:
    match phi.family:
        case ("exp", rate, amplitude, offset):
            x = rate * m + 0.5 * rate**2 * v
            return amplitude * np.expm1(x) if offset == -amplitude else amplitude * np.exp(x) + offset
        case ("wave", kind, rate, amplitude):
            x = rate * m
            exponent = 0.5 * rate**2 * v * (1 if kind.endswith("h") else -1)
            if kind in ("sin", "cos"):
                return amplitude * np.exp(exponent) * (np.sin(x) if kind == "sin" else np.cos(x))
            grown = 0.5 * amplitude * np.exp(exponent + np.abs(x))
            decayed = -2 * np.abs(x)
            return grown * (-np.sign(x) * np.expm1(decayed) if kind == "sinh" else 1 + np.exp(decayed))
        case ("gauss", rate, poly):
            scale = 1 + 2 * rate * v
            moments = _line_moments(len(poly) - 1, m / scale, v / scale)
            return np.exp(-rate * m * m / scale) / np.sqrt(scale) * np.tensordot(poly, moments, 1)
    k, (plus, minus), alpha, noise = quadrants.widened(phi)
    std = np.sqrt(alpha * v + noise)
    z = math.sqrt(alpha) * m / np.where(std == 0, 1.0, std)
    opposite = (-1) ** k * minus
    if k == 0:
        return quadrants.fold(
            plus, opposite, special.ndtr(z), special.ndtr(-z), 0.5, 0.5 * special.erf(z / math.sqrt(2))
        )
    even = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) + 0.5 * z * special.erf(z / math.sqrt(2))
    return std * quadrants.fold(plus, opposite, _relu_mean(z), _relu_mean(-z), even, 0.5 * z)


def _relu_mean(z: Array) -> Array:
    """E relu(z + x) = phi(z) + z Phi(z) for standard normal x.

    Below -2 the terms cancel; there the truncated moments J_n = n-th moment of (x + z) above zero obey
    J_n = n J_(n-1) / (|z| + J_(n+1)/J_n), a continued fraction.
    """
    t = np.maximum(-z, 2.0)
    ratio = np.sqrt(0.25 * t * t + 120) - 0.5 * t
    for n in range(120, 0, -1):
        ratio = n / (t + ratio)
    direct = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) + z * special.ndtr(z)
    return np.where(z < -2, special.ndtr(-t) * ratio, direct)


# Polynomials on intervals -----------------------------------------------------------------------

# Fejer's rule on (0, 1): explicit, so its weights are right to rounding, which those of computed Legendre
# nodes are not; and sin^2, cos^2 are the distances to both ends without cancellation.
_ANGLES = (2 * np.arange(200) + 1) * (math.pi / 400)
_FROM_LEFT, _FROM_RIGHT = np.sin(0.5 * _ANGLES) ** 2, np.cos(0.5 * _ANGLES) ** 2
_HARMONICS = np.arange(1, 101)
_WEIGHTS = (1 - 2 * np.cos(2 * np.outer(_ANGLES, _HARMONICS)) @ (1 / (4.0 * _HARMONICS**2 - 1))) / 200
for _table in (_FROM_LEFT, _FROM_RIGHT, _WEIGHTS):
    _table.setflags(write=False)


def _line_moments(kmax: int, mean: Array, var: Array) -> Array:
    """E u^k, k = 0..kmax, on the whole line."""
    moments = [np.ones(np.broadcast_shapes(np.shape(mean), np.shape(var)))]
    for k in range(1, kmax + 1):
        moments.append(mean * moments[-1] + ((k - 1) * var * moments[-2] if k > 1 else 0.0))
    return np.stack(moments)


def _interval(mean: Array, std: Array, lo: Array, hi: Array, degree: int) -> tuple[Array, Array, Array, Array]:
    """Nodes u on (lo, hi), distances u - lo and hi - u, and weights with the density, for std > 0.

    The Gaussian is entire and the interval is cut where the density times u^degree has fallen by
    exp(-40) from its largest value, so 200 nodes reach rounding; and the weights are positive, so nothing
    cancels in the tails, where the usual recursion fails.
    """
    left, right = (lo - mean) / std, (hi - mean) / std
    nearest = np.minimum(np.maximum(np.maximum(left, -right), 0.0), 1e3)
    reach = np.sqrt(nearest**2 + 80) + math.sqrt(2 * degree)
    a, b = np.maximum(left, -reach), np.minimum(right, reach)
    length = np.maximum(b - a, 0.0)
    column = [x[..., None] for x in (a, b, length, left, right, std)]
    a1, b1, length1, left1, right1, std1 = column
    z = np.where(np.abs(a1) < np.abs(b1), a1 + length1 * _FROM_LEFT, b1 - length1 * _FROM_RIGHT)
    weights = length1 * _WEIGHTS * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    above = std1 * ((a1 - left1) + length1 * _FROM_LEFT)
    below = std1 * ((right1 - b1) + length1 * _FROM_RIGHT)
    lo1, hi1, mean1 = np.broadcast_arrays(lo[..., None], hi[..., None], mean[..., None])[:3]
    u = np.where(np.isfinite(lo1), lo1 + above, np.where(np.isfinite(hi1), hi1 - below, mean1 + std1 * z))
    return u, above, below, weights


def truncated_moments(kmax: int, mean: ArrayLike, var: ArrayLike, lo: ArrayLike, hi: ArrayLike) -> Array:
    """E u^k 1(lo < u < hi) for k = 0..kmax, stacked along a new first axis.

    Parameters
    ----------
    kmax : int
    mean, var : array_like
        Of the Gaussian u.
    lo, hi : array_like
        The interval; either end may be infinite. All broadcast together.

    Examples
    --------
    >>> truncated_moments(2, 0.0, 4.0, 0.0, np.inf)[::2]
    array([0.5, 2. ])
    """
    m, v, a, b = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (mean, var, lo, hi)))
    whole = np.isneginf(a) & np.isposinf(b)
    powers = np.arange(kmax + 1).reshape(-1, *[1] * m.ndim)
    atom = m**powers * ((a < m) & (m < b))
    line = _line_moments(kmax, m, v)
    if np.all(whole | (v == 0)):
        return np.where(v == 0, atom, line)
    std = np.where(v > 0, np.sqrt(v), 1.0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        u, _, _, weights = _interval(m, std, a, b, kmax)
        moments = np.stack([np.sum(weights * u**k, axis=-1) for k in range(kmax + 1)])
    return np.where(v == 0, atom, np.where(whole, line, moments))


def piecewise_poly(
    polys: Sequence[Sequence[Number]],
    breaks: Sequence[Number],
    extra_poly: Sequence[Number],
    mean: ArrayLike,
    var: ArrayLike,
) -> Array:
    """E p(u) q(u) for p piecewise polynomial (as in `Pieces`), q = `extra_poly`, u ~ N(mean, var).

    At zero variance with the mean on a break, p is taken from the left.

    Examples
    --------
    >>> float(piecewise_poly([(0,), (0, 1)], [0], (0, 1), 0.0, 3.0))
    1.5
    """
    m, v = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(var, dtype=float))
    pieces = multiply_pieces(Pieces(tuple(breaks), tuple(map(tuple, polys))), Pieces((), (tuple(extra_poly),)))
    if len(pieces.polys) == 1:
        (poly,) = pieces.polys
        return np.tensordot([float(x) for x in poly], _line_moments(len(poly) - 1, m, v), 1)[()]
    std = np.where(v > 0, np.sqrt(v), 1.0)
    ends = [-math.inf, *map(float, pieces.breaks), math.inf]
    exact_ends = [None, *pieces.breaks, None]
    total, atom = np.zeros(m.shape), np.zeros(m.shape)
    for i, poly in enumerate(pieces.polys):
        if not any(poly):
            continue
        lo, hi = np.full(m.shape, ends[i]), np.full(m.shape, ends[i + 1])
        coefficients = [float(x) for x in poly]
        atom = np.where((lo < m) & (m <= hi), np.polynomial.polynomial.polyval(m, coefficients), atom)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            u, above, below, weights = _interval(m, std, lo, hi, len(poly) - 1)
            expansions = [(u, coefficients)]
            for end, distance in ((exact_ends[i], above), (exact_ends[i + 1], -below)):
                if end is not None:
                    expansions.append((distance, [float(x) for x in compose(poly, 1, end)]))
            total = total + np.sum(weights * _least_cancelling(expansions), axis=-1)
    return np.where(v == 0, atom, total)[()]


def _least_cancelling(expansions: Sequence[tuple[Array, list[float]]]) -> Array:
    """One polynomial expanded about several points: per node, the expansion with the smallest terms."""
    polyval = np.polynomial.polynomial.polyval
    values = np.stack([polyval(x, c) for x, c in expansions])
    sizes = np.stack([polyval(np.abs(x), np.abs(c)) for x, c in expansions])
    return np.take_along_axis(values, np.argmin(sizes, axis=0)[None], axis=0)[0]
