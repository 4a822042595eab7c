"""Expectations of functions of one or two Gaussians, for whole arrays of covariances.

Closed forms first, of single functions, of products of polynomials with Gaussians and erf, of piecewise polynomials; then
Mehler's series for smooth functions, whose coefficients are computed once per distinct variance; then quadrature, for the
entries that are left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UnsupportedOperation
from ..expect import closed, mehler, onesided, products
from ..nonlinearity import Nonlinearity
from . import panels
from .panels import composite

Functions = Sequence[tuple[Nonlinearity, int]]

_FEW = 500  # entries for which coefficients are not worth their while
_FEW_HALVES = 150  # the same where the plane is cut into sectors
_TOLERANCE = 1e-12  # of the series, relative to sqrt(E f^2 E g^2)


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
    if any(m is not None for m in means):
        return (
            len(functions) == 1 and _is_plain(functions[0]) and closed.single(functions[0][0][0], 0.5, 1.0) is not None
        )
    if all(products.terms(f) is not None for f in functions):
        return True
    if len(functions) == 1:
        return _single_closed(functions[0], None, np.ones(())) is not None
    plain = all(map(_is_plain, functions))
    return plain and closed.pair(functions[0][0][0], functions[1][0][0], 0.5, 1.0, 1.0) is not None


def _single_closed(functions: Functions, mean: Any, var: Any) -> Any:
    """E f(u) in closed form, f being one function, or a product of two of a centred u; else None."""
    if _is_plain(functions):
        return closed.single(functions[0][0], 0.0 if mean is None else mean, var)
    if mean is None and all(fn.family and fn.family[0] == "homogeneous" for fn, _ in functions):
        return _homogeneous(functions, np.asarray(var, dtype=float))
    if mean is None and len(functions) == 2 and all(power == 1 for _, power in functions):
        return closed.pair(functions[0][0], functions[1][0], var, var, var)
    return None


def _homogeneous(functions: Functions, var: np.ndarray) -> Any:
    """``E prod f_i(u)^p_i`` of a centred u: absolute moments of the degree, one half on either side."""
    degree, plus, minus = 0, 1.0, 1.0
    for fn, power in functions:
        _, k, a, b = fn.family
        degree, plus, minus = degree + k * power, plus * float(a) ** power, minus * float(b) ** power
    half = degree // 2
    even = math.factorial(degree) // (2**half * math.factorial(half)) if degree % 2 == 0 else 0
    moment = even or math.sqrt(2 / math.pi) * 2**half * math.factorial(half)
    value = 0.5 * (plus + (-1) ** degree * minus) * moment * (np.sqrt(var) if degree % 2 else 1.0) * var**half
    return np.where(var == 0, composite(functions)(np.zeros(())), value) if np.any(var == 0) else value


def together(
    functions: Sequence[tuple[Functions, Functions]], means: Sequence[Any], cov: Any, var_u: Any, var_v: Any
) -> list[Any]:
    """Several `pair` at the same covariances: closed forms share their angle.

    Examples
    --------
    >>> from rmtp.catalogue import RELU, STEP
    >>> value, slope = together([([(f, 1)], [(f, 1)]) for f in (RELU, STEP)], (None, None), 0.0, 1.0, 1.0)
    >>> round(float(value * 2 * np.pi), 12), float(slope)
    (1.0, 0.25)
    """
    out: list[Any] = [None] * len(functions)
    if means[0] is None and means[1] is None:
        plain = [k for k, (f, g) in enumerate(functions) if _is_plain(f) and _is_plain(g)]
        found = closed.pairs([(functions[k][0][0][0], functions[k][1][0][0]) for k in plain], cov, var_u, var_v)
        for k, value in zip(plain, found, strict=True):
            out[k] = value
    return [
        pair(f, g, means, cov, var_u, var_v) if value is None else value
        for value, (f, g) in zip(out, functions, strict=True)
    ]


def single(functions: Functions, mean: Any, var: Any) -> Any:
    """E f(u) for u ~ N(mean, var)."""
    var = np.maximum(var, 0.0)
    value = _single_closed(functions, mean, var)
    if value is not None:
        return value
    if mean is None:
        terms = products.terms(functions)
        if terms is not None:
            return products.single(terms, var)
    m, v = np.broadcast_arrays(0.0 if mean is None else np.asarray(mean, float), np.asarray(var, float))
    known = onesided.onesided(functions)
    if known is not None:
        return _at_rest(onesided.single(known, m, np.where(v > 0, v, 1.0)), functions, m, v)
    panels.check_reach(functions, m, v)
    distinct, at = np.unique(np.stack([m.ravel(), v.ravel()]), axis=1, return_inverse=True)
    return panels.one(functions, *distinct)[at.ravel()].reshape(m.shape)


def pair(first: Functions, other: Functions, means: Sequence[Any], cov: Any, var_u: Any, var_v: Any) -> Any:
    """E f(u) g(v); means None, None when both are centred.

    Examples
    --------
    >>> from rmtp.catalogue import TANH
    >>> value = pair([(TANH, 1)], [(TANH, 1)], (None, None), np.array([0.5, -0.5, 0.0]), 1.0, 2.0)
    >>> bool(abs(value[0] + value[1]) < 1e-15), float(value[2])
    (True, 0.0)
    """
    centred = means[0] is None and means[1] is None
    if centred and _is_plain(first) and _is_plain(other):
        value = closed.pair(first[0][0], other[0][0], cov, var_u, var_v)
        if value is not None:
            return value
    shape = np.broadcast_shapes(*(np.shape(x) for x in (cov, var_u, var_v, *means) if x is not None))
    var_u, var_v = np.maximum(var_u, 0.0), np.maximum(var_v, 0.0)
    if centred:
        terms = products.terms(first), products.terms(other)
        if terms[0] is not None and terms[1] is not None:
            return products.pair(terms[0], terms[1], cov, var_u, var_v)
    mu, mv = (0.0 if m is None else m for m in means)
    value, settled = np.zeros(shape), np.zeros(shape, dtype=bool)
    sides = onesided.onesided(first), onesided.onesided(other)
    if sides[0] is not None and sides[1] is not None:
        value, settled = onesided.pair(sides[0], sides[1], mu, mv, cov, var_u, var_v)
        value = np.array(_degenerate(value, first, other, mu, mv, var_u, var_v))
        settled = settled | (var_u == 0) | (var_v == 0)
    left = np.count_nonzero(~settled)
    if left:
        panels.check_reach(first, mu, var_u)
        panels.check_reach(other, mv, var_v)
    halves = panels.around_zero(first, other, mu, mv)
    if left > (_FEW_HALVES if halves else 0 if left == settled.size else _FEW):
        f = composite(first)
        g = f if tuple(first) == tuple(other) else composite(other)
        kinks = panels.kinks(first), panels.kinks(other)
        series, fine = mehler.pair(f, g, cov, var_u, var_v, mu, mv, _TOLERANCE, kinks=kinks)
        value, settled = np.where(settled, value, series), settled | fine
    if not settled.all():
        arrays = (np.broadcast_to(np.asarray(x, float), shape)[~settled] for x in (mu, mv, cov, var_u, var_v))
        value[~settled] = _by_quadrature(first, other, *arrays)
    return value


def _is_plain(functions: Functions) -> bool:
    return len(functions) == 1 and functions[0][1] == 1


def _by_quadrature(
    first: Functions, other: Functions, mu: np.ndarray, mv: np.ndarray, c: np.ndarray, vu: np.ndarray, vv: np.ndarray
) -> np.ndarray:
    moving = (vu > 0) & (vv > 0)
    value = np.zeros(c.shape)
    if moving.any() and panels.around_zero(first, other, mu, mv):
        value[moving] = panels.halves(first, other, *(x[moving] for x in (c, vu, vv)))
    elif moving.any():
        value[moving] = panels.two(first, other, *(x[moving] for x in (mu, mv, c, vu, vv)))
    return _degenerate(value, first, other, mu, mv, vu, vv)


def _degenerate(value: Any, first: Functions, other: Functions, mu: Any, mv: Any, var_u: Any, var_v: Any) -> Any:
    """Where one variable is a number, its function's value times the expectation of the other."""
    for f, g, m, n, var, rest in ((first, other, mu, mv, var_u, var_v), (other, first, mv, mu, var_v, var_u)):
        if np.any(np.asarray(var) == 0):
            value = np.where(var == 0, composite(f)(np.asarray(m, float)) * single(g, n, rest), value)
    return value


def _at_rest(value: Any, functions: Functions, mean: np.ndarray, var: np.ndarray) -> Any:
    return np.where(var == 0, composite(functions)(mean), value) if np.any(var == 0) else value
