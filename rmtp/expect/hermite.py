r"""Mehler's series: E phi(u) psi(v) = sum_k rho^k a_k b_k in normalised Hermite coefficients.

One pair of coefficient rows serves a whole array of covariances. What the series leaves out is
bounded by Cauchy-Schwarz with the energy the coefficients have not caught,
|rho|^(K+1) sqrt((E phi^2 - sum a_k^2)(E psi^2 - sum b_k^2)), so smooth functions are certified at every
correlation and kinked ones are refused near rho = +-1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BadParameter, NotConverged

Array = Any
Function = Callable[[Any], Any]

# exp(-38^2/2) is the last normal double: no node that counts is left out, whatever the growth of fn.
_REACH = 38.0
_EPS = float(np.finfo(float).eps)


def coefficients(fn: Function, var: float, order: int, nodes: int = 4097) -> tuple[Array, float]:
    """Normalised Hermite coefficients of x -> fn(sqrt(var) x), and its energy E fn^2.

    The trapezoid rule on the line, spectrally accurate for analytic functions.

    Parameters
    ----------
    fn : callable
        On float arrays.
    var : float
    order : int
        The last degree.
    nodes : int
        Of the trapezoid rule on (-38, 38).

    Returns
    -------
    (array of order + 1 numbers E fn(sqrt(var) x) He_k(x) / sqrt(k!), float)

    Examples
    --------
    >>> a, energy = coefficients(lambda x: x**2, 1.0, 3)
    >>> np.abs(np.round(a**2, 12)).tolist(), round(energy, 12)
    ([1.0, 0.0, 2.0, 0.0], 3.0)
    """
    rows, energies = _rows(fn, np.array([var], dtype=float), order, nodes)
    return rows[0, 0], float(energies[0, 0])


def _rows(fn: Function, variances: Array, order: int, nodes: int) -> tuple[Array, Array]:
    """Coefficients and energies for each variance, by all nodes and by every second one: axes (rule, variance, k)."""
    if order < 0 or nodes < 3 or nodes % 2 == 0:
        raise BadParameter(f"Order {order} with {nodes} nodes.", remedy="use order >= 0 and an odd number of nodes")
    x = np.linspace(-_REACH, _REACH, nodes)
    root = np.sqrt((x[1] - x[0]) / math.sqrt(2 * math.pi)) * np.exp(-0.25 * x * x)
    with np.errstate(all="ignore"):
        values = root * np.asarray(fn(np.sqrt(variances)[:, None] * x), dtype=float)
    coarse = np.where(np.arange(nodes) % 2 == 0, 2.0, 0.0)
    with np.errstate(all="ignore"):
        weighted = np.stack([values, coarse * values])
        energies = np.einsum("rvx,vx->rv", weighted, values)
    if not np.all(np.isfinite(energies)):
        raise NotConverged("A second moment is infinite, or overflows.", remedy="use the quadrature backend")
    # Hermite functions, not polynomials: their recursion is stable and stays representable.
    before, current = np.zeros(nodes), root
    out = np.empty((2, len(variances), order + 1))
    for k in range(order + 1):
        out[:, :, k] = weighted @ current
        before, current = current, (x * current - math.sqrt(k) * before) / math.sqrt(k + 1)
    return out, energies


def pair(
    fn1: Function,
    fn2: Function,
    cov: ArrayLike,
    var_u: ArrayLike,
    var_v: ArrayLike,
    rtol: float = 1e-12,
    *,
    max_order: int = 400,
    nodes: int = 4097,
) -> tuple[Array, Array]:
    """E fn1(u) fn2(v) and a bound on its error, for centred jointly Gaussian (u, v).

    Parameters
    ----------
    fn1, fn2 : callable
        On float arrays.
    cov, var_u, var_v : array_like
        Broadcast together; coefficients are computed once per distinct variance.
    rtol : float
        The error allowed, relative to sqrt(E fn1^2 E fn2^2); with ``math.inf`` the stated error is all.
    max_order, nodes : int
        The budget.

    Returns
    -------
    (value, error), arrays of the common shape

    Raises
    ------
    NotConverged
        If some entry's error cannot be bounded within `rtol`: kinks, poles close to the real
        line, or energies that are not finite.

    Examples
    --------
    >>> value, error = pair(np.sin, np.sin, 0.5, 1.0, 1.0)
    >>> bool(abs(value - np.exp(-1) * np.sinh(0.5)) < error)
    True
    """
    c, vu, vv = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (cov, var_u, var_v)))
    (rows_u, energy_u, at_u), (rows_v, energy_v, at_v) = (
        _by_variance(fn1, vu, max_order, nodes), _by_variance(fn2, vv, max_order, nodes)
    )  # fmt: skip
    spread = np.sqrt(vu) * np.sqrt(vv)
    rho = np.clip(c / np.where(spread > 0, spread, 1.0), -1.0, 1.0) * (spread > 0)
    size = np.sqrt(energy_u[0][at_u] * energy_v[0][at_v])

    rest_u, rest_v = _remainder(rows_u, energy_u), _remainder(rows_v, energy_v)
    order = max_order
    for candidate in range(16, max_order, 16):
        tail = np.abs(rho) ** (candidate + 1) * np.sqrt(rest_u[at_u, candidate] * rest_v[at_v, candidate])
        if np.all(tail <= _EPS * size):
            order = candidate
            break

    value, wrong = np.zeros(c.shape), np.zeros(c.shape)
    drift_u, drift_v = (np.abs(rows[0] - rows[1]) for rows in (rows_u, rows_v))
    for k in range(order, -1, -1):
        a, b, da, db = rows_u[0][at_u, k], rows_v[0][at_v, k], drift_u[at_u, k], drift_v[at_v, k]
        value = value * rho + a * b
        wrong = wrong * np.abs(rho) + np.abs(a) * db + da * np.abs(b) + da * db
    tail = np.abs(rho) ** (order + 1) * np.sqrt(rest_u[at_u, order] * rest_v[at_v, order])
    error = tail + wrong + 16 * _EPS * size
    if np.any(error > rtol * size):
        worst = float(np.max(error / np.where(size > 0, size, 1.0)))
        raise NotConverged(
            f"The Hermite series is known to {worst:.1e} at order {order}, not to {rtol:.1e}.",
            remedy="raise rtol or max_order, or use the quadrature backend",
        )
    return value[()], error[()]


def _by_variance(fn: Function, var: Array, order: int, nodes: int) -> tuple[Array, Array, Array]:
    distinct, at = np.unique(var, return_inverse=True)
    rows, energies = _rows(fn, distinct, order, nodes)
    return rows, energies, at.reshape(var.shape)


def _remainder(rows: Array, energies: Array) -> Array:
    """E fn^2 - sum_(j <= k) a_j^2 from above: with the doubt of the quadrature and of the subtraction."""
    doubt = (np.abs(energies[0] - energies[1]) + 8 * _EPS * energies[0])[:, None]
    doubt = doubt + np.cumsum(2 * np.abs(rows[0]) * np.abs(rows[0] - rows[1]), axis=-1)
    return np.maximum(energies[0][:, None] - np.cumsum(rows[0] ** 2, axis=-1), 0.0) + doubt
