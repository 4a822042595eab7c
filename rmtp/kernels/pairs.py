"""Expectations of functions of one or two Gaussians, for whole arrays of covariances.

Closed forms first (`expect.closed`); then Mehler's series for smooth functions, whose coefficients are computed once per
distinct variance; then Gauss panels in two dimensions, split at kinks, refined until two orders agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import NotConverged, UnsupportedOperation
from ..expect import closed, hermite
from ..nonlinearity import Nonlinearity
from ..nonlinearity import values as values_of

Functions = Sequence[tuple[Nonlinearity, int]]

RTOL = 1e-11
_REACH = 10.0  # standard deviations; beyond lies 1e-23 of the mass
_ORDERS = (16, 32, 64, 128, 256, 512)
_CHUNK = 1 << 21  # function values at a time


def expectation(functions: Sequence[Functions], means: Sequence[Any], second: dict[tuple[int, int], Any]) -> Any:
    """``E prod_i f_i(u_i)`` for one or two jointly Gaussian variables.

    Parameters
    ----------
    functions : per variable, functions with powers
    means : per variable, an array or None
    second : dict (i, j) -> array
        E u_i u_j; a missing pair means independence.

    Returns
    -------
    ndarray of the broadcast shape

    Raises
    ------
    UnsupportedOperation
        If there are more than two variables.
    NotConverged
        If the quadrature does not reach 1e-11.
    """

    def covariance(i: int, j: int) -> Any:
        raw = second.get((i, j))
        if raw is None:
            return 0.0
        if means[i] is None or means[j] is None:
            return raw
        return raw - means[i] * means[j]

    if len(functions) == 1:
        return single(functions[0], means[0], covariance(0, 0))
    if len(functions) == 2:
        return pair(functions[0], functions[1], means, covariance(0, 1), covariance(0, 0), covariance(1, 1))
    raise UnsupportedOperation(
        f"an expectation over {len(functions)} variables at every pair of inputs", remedy="rmtp.limit, input by input"
    )


def has_closed_form(functions: Sequence[Functions], means: Sequence[Any]) -> bool:
    """Whether `expectation` needs no quadrature."""
    if len(functions) == 1:
        return single_closed(functions[0], None if means[0] is None else 0.0, 1.0) is not None
    if any(m is not None for m in means) or any(len(f) > 1 or f[0][1] > 1 for f in functions):
        return False
    return closed.pair(functions[0][0][0], functions[1][0][0], 0.5, 1.0, 1.0) is not None


def single_closed(functions: Functions, mean: Any, var: Any) -> Any:
    """E f(u) in closed form, f being one function, or a product of two of a centred u; else None."""
    if len(functions) == 1 and functions[0][1] == 1:
        return closed.single(functions[0][0], 0.0 if mean is None else mean, var)
    if mean is None and len(functions) == 2 and all(power == 1 for _, power in functions):
        return closed.pair(functions[0][0], functions[1][0], var, var, var)
    return None


def single(functions: Functions, mean: Any, var: Any) -> Any:
    """E f(u) for u ~ N(mean, var)."""
    var = np.maximum(var, 0.0)
    value = single_closed(functions, mean, var)
    if value is not None:
        return value
    m, v = np.broadcast_arrays(0.0 if mean is None else np.asarray(mean, float), np.asarray(var, float))
    flat = np.stack([m.ravel(), v.ravel()])
    distinct, at = np.unique(flat, axis=1, return_inverse=True)
    value = _adaptive(lambda order, k: _one(functions, distinct[0][k], distinct[1][k], order), distinct.shape[1], 2)
    return value[at.ravel()].reshape(m.shape)


def pair(first: Functions, other: Functions, means: Sequence[Any], cov: Any, var_u: Any, var_v: Any) -> Any:
    """E f(u) g(v)."""
    plain = len(first) == len(other) == 1 and first[0][1] == other[0][1] == 1
    centred = means[0] is None and means[1] is None
    if plain and centred:
        value = closed.pair(first[0][0], other[0][0], cov, var_u, var_v)
        if value is not None:
            return value
    f, g = composite(first), composite(other)
    shape = np.broadcast_shapes(*(np.shape(x) for x in (cov, var_u, var_v)))
    if centred and not _kinks(first) and not _kinks(other):
        try:
            # the series relative to its own size: coefficients per distinct variance, so data of one norm cost nothing
            return hermite.pair(
                f, g, cov, np.broadcast_to(var_u, shape), np.broadcast_to(var_v, shape), RTOL, max_order=120
            )[0]
        except NotConverged:
            pass
    mu, mv = (np.broadcast_to(0.0 if m is None else m, shape).ravel() for m in means)
    c, vu, vv = (np.broadcast_to(np.asarray(x, float), shape).ravel() for x in (cov, var_u, var_v))
    vu, vv = np.maximum(vu, 0.0), np.maximum(vv, 0.0)
    value = _adaptive(lambda order, k: _two(first, other, mu[k], mv[k], c[k], vu[k], vv[k], order), len(c), order_of=2)
    return value.reshape(shape)


def composite(functions: Functions) -> Callable[[Any], Any]:
    """The product of functions of one variable."""

    def f(x: Any) -> Any:
        total: Any = 1.0
        for fn, power in functions:
            total = total * values_of(fn, x) ** power
        return total

    return f


def _kinks(functions: Functions) -> list[float]:
    return sorted({float(k) for fn, _ in functions for k in fn.kinks})


def _adaptive(rule: Callable[[int, np.ndarray], np.ndarray], size: int, order_of: int) -> np.ndarray:
    """A rule at doubled orders until two agree, entry by entry."""
    out = np.zeros(size)
    open_ = np.arange(size)
    before: np.ndarray | None = None
    for order in _ORDERS:
        block = max(1, _CHUNK // (4 * order**order_of))
        now = (
            np.concatenate([rule(order, open_[k : k + block]) for k in range(0, len(open_), block)])
            if len(open_)
            else out
        )
        if before is not None:
            size_ = np.maximum(np.abs(now), 1e-3 * np.max(np.abs(now), initial=0.0))
            done = np.abs(now - before) <= RTOL * size_
            out[open_[done]] = now[done]
            open_, now = open_[~done], now[~done]
        before = now
        if not len(open_):
            return out
    raise NotConverged(
        f"{len(open_)} expectations of {order_of - 1 or 1} dimensions did not settle at order {_ORDERS[-1]}",
        remedy="smaller variances, or kinks= of rmtp.elementwise",
    )


def _panels(kinks: Sequence[float], mean: np.ndarray, std: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and Gaussian weights in units of the standard deviation, split where a kink lies; axes (entry, node)."""
    x, w = np.polynomial.legendre.leggauss(order)
    safe = np.where(std > 0, std, 1.0)
    ends = [np.full(mean.shape, -_REACH)]
    ends += [np.clip((k - mean) / safe, -_REACH, _REACH) for k in kinks]
    ends.append(np.full(mean.shape, _REACH))
    if not kinks:
        ends.insert(1, np.zeros(mean.shape))
    nodes, weights = [], []
    for a, b in itertools.pairwise(ends):
        half = 0.5 * (b - a)
        t = 0.5 * (a + b)[..., None] + half[..., None] * x
        nodes.append(t)
        weights.append(half[..., None] * w * np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi))
    return np.concatenate(nodes, axis=-1), np.concatenate(weights, axis=-1)


def _one(functions: Functions, mean: np.ndarray, var: np.ndarray, order: int) -> np.ndarray:
    std = np.sqrt(var)
    t, w = _panels(_kinks(functions), mean, std, order)
    return np.sum(w * composite(functions)(mean[:, None] + std[:, None] * t), axis=-1)


def _two(
    first: Functions,
    other: Functions,
    mu: np.ndarray,
    mv: np.ndarray,
    c: np.ndarray,
    vu: np.ndarray,
    vv: np.ndarray,
    order: int,
) -> np.ndarray:
    """u outside, v given u inside, each split at its kinks."""
    su = np.sqrt(vu)
    slope = np.divide(c, su, out=np.zeros_like(c), where=su > 0)
    rest = np.sqrt(np.maximum(vv - slope**2, 0.0))
    t, w = _panels(_kinks(first), mu, su, order)
    outer = composite(first)(mu[:, None] + su[:, None] * t)
    centre = mv[:, None] + slope[:, None] * t
    spread = np.broadcast_to(rest[:, None], centre.shape)
    s, inner = _panels(_kinks(other), centre, spread, order)
    values = composite(other)(centre[..., None] + spread[..., None] * s)
    return np.sum(w * outer * np.sum(inner * values, axis=-1), axis=-1)
