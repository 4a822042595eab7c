"""Optimisers as scalar filters: what each makes of one eigenmode of a kernel.

On the squared error of a linear model every optimiser is a recursion of vectors whose only matrix is the kernel H. So the
residual after time t is ``h_t(H)`` times the first one, and its integral, which moves every other point, is ``g_t(H)`` times
it: two functions of an eigenvalue, with ``h = 1 - lambda g``. `response` gives both, g also where lambda is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter


@dataclass(frozen=True)
class Flow:
    """Gradient flow: ``d theta / dt = -rate * gradient``; times are real numbers.

    Law: ``h = exp(-rate lambda t)``, ``g = (1 - h) / lambda``.

    Examples
    --------
    >>> response(Flow(), [2.0, 0.0], [1.0], 0.5)[0]
    array([[0.31606028, 0.5       ]])
    """


@dataclass(frozen=True)
class GradientDescent:
    """``theta <- theta - rate * gradient``; times are steps.

    Law: ``h = (1 - rate lambda)**k``; stable for ``rate lambda < 2``.

    Examples
    --------
    >>> response(GradientDescent(), [2.0, 0.0], [2], 0.25)
    (array([[0.375, 0.5  ]]), array([[0.25, 1.  ]]))
    """


@dataclass(frozen=True)
class HeavyBall:
    """``v <- momentum v - rate * gradient(theta)``, ``theta <- theta + v``, from rest (Polyak 1964).

    Law: ``h_{k+1} = (1 + momentum - rate lambda) h_k - momentum h_{k-1}``; stable for ``rate lambda < 2 (1 + momentum)``.

    Attributes
    ----------
    momentum : float in [0, 1)

    Examples
    --------
    >>> response(HeavyBall(0.5), [2.0], [0, 1, 2], 0.25)[1].ravel()
    array([1. , 0.5, 0. ])
    """

    momentum: float

    def __post_init__(self) -> None:
        _momentum(self.momentum)


@dataclass(frozen=True)
class Nesterov:
    """``v <- momentum v - rate * gradient(theta + momentum v)``, ``theta <- theta + v``, from rest (Nesterov 1983).

    Law: ``h_{k+1} = (1 - rate lambda) ((1 + momentum) h_k - momentum h_{k-1})``; stable for ``rate lambda < 2 (1 + momentum) /
    (1 + 2 momentum)``.

    Attributes
    ----------
    momentum : float in [0, 1)

    Examples
    --------
    >>> response(Nesterov(0.5), [2.0], [0, 1, 2], 0.25)[1].ravel()
    array([1.   , 0.5  , 0.125])
    """

    momentum: float

    def __post_init__(self) -> None:
        _momentum(self.momentum)


Discrete = GradientDescent | HeavyBall | Nesterov
Optimiser = Flow | GradientDescent | HeavyBall | Nesterov


def bound(optimiser: Optimiser) -> float:
    """The supremum of rate times eigenvalue for which an optimiser converges.

    Examples
    --------
    >>> bound(GradientDescent()), bound(HeavyBall(0.5)), bound(Nesterov(0.5)), bound(Flow())
    (2.0, 3.0, 1.5, inf)
    """
    match optimiser:
        case Flow():
            return np.inf
        case GradientDescent():
            return 2.0
        case HeavyBall(momentum):
            return 2 * (1 + momentum)
        case Nesterov(momentum):
            return 2 * (1 + momentum) / (1 + 2 * momentum)
    raise unknown(optimiser)


def response(optimiser: Optimiser, values: Any, times: Any, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """g and h of every eigenvalue at every time.

    Law: ``f_t - y = h_t(H) (f_0 - y)`` on training points, ``f_t(x) - f_0(x) = H(x, X) g_t(H) (y - f_0)`` anywhere.

    Parameters
    ----------
    optimiser : Flow, GradientDescent, HeavyBall or Nesterov
    values : array (N,)
        Eigenvalues, >= 0.
    times : array (T,)
        Times of a flow, numbers of steps of the others; np.inf is the end of training: g = 1/lambda, or 0 for lambda = 0.
    rate : float
        Within the bound of stability, which is not checked here.

    Returns
    -------
    ndarray (T, N), ndarray (T, N)

    Notes
    -----
    Exact up to rounding, of g relative to g also for tiny eigenvalues. Steps are jumped over by powers of a 2 x 2 matrix: the
    cost of a time is the logarithm of the steps since the last one.

    Examples
    --------
    >>> g, h = response(GradientDescent(), [1e-9], [10**6], 0.5)
    >>> bool(np.isclose(g[0, 0], -np.expm1(1e6 * np.log1p(-5e-10)) / 1e-9, rtol=1e-14))
    True
    """
    lam, at = np.asarray(values, dtype=float), np.asarray(times, dtype=float)
    x = rate * lam
    finite = np.isfinite(at)
    g, h = np.empty((len(at), len(lam))), np.empty((len(at), len(lam)))
    g[~finite] = np.where(lam > 0, 1 / np.where(lam > 0, lam, 1.0), 0.0)
    h[~finite] = np.where(lam > 0, 0.0, 1.0)
    match optimiser:
        case Flow():
            h[finite] = np.exp(-np.outer(at[finite], x))
            g[finite] = _divided(-np.expm1(-np.outer(at[finite], x)), lam, rate * at[finite])
        case GradientDescent():
            h[finite], lost = _powers(x, at[finite])
            g[finite] = _divided(lost, lam, rate * at[finite])
        case HeavyBall(momentum):
            g[finite], h[finite] = _jumps(x, np.full_like(x, momentum), at[finite].astype(int), rate)
        case Nesterov(momentum):
            g[finite], h[finite] = _jumps(x, momentum * (1 - x), at[finite].astype(int), rate)
        case _:
            raise unknown(optimiser)
    return g, h


def _divided(lost: np.ndarray, lam: np.ndarray, start: np.ndarray) -> np.ndarray:
    """``(1 - h) / lambda``, and its limit where lambda is 0."""
    return np.where(lam > 0, lost / np.where(lam > 0, lam, 1.0), start[:, None])


def _powers(x: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(1 - x)**k`` and ``1 - (1 - x)**k``; x - 2 and 1 - x are exact where they cancel."""
    k = steps[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(x < 1, np.log1p(-np.minimum(x, 1)), np.log1p(np.maximum(x, 1) - 2))
        exponent = np.where(k > 0, k * log, 0.0)
    odd = (x > 1) & (k % 2 == 1)
    size = np.exp(exponent)
    return np.where(odd, -size, size), np.where(odd, 1 + size, -np.expm1(exponent))


def _jumps(x: np.ndarray, b: np.ndarray, steps: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Both recursions, with one matrix A: ``(s, q) <- A (s, q) + rate (1, 1)`` of g, ``(r, w) <- A (r, w)`` of h."""
    order = np.argsort(steps, kind="stable")
    g, h = np.empty((len(steps), len(x))), np.empty((len(steps), len(x)))
    power = np.stack([np.stack([1 - x, b], -1), np.stack([-x, b], -1)], -2)
    table = [(power, np.full((len(x), 2), rate))]
    s, r = np.zeros((len(x), 2)), np.zeros((len(x), 2))
    r[:, 0] = 1.0
    done = 0
    for k in order:
        gap, bit = int(steps[k]) - done, 0
        while gap >> bit:
            if bit == len(table):
                a, c = table[-1]
                table.append((a @ a, _apply(a, c) + c))
            if gap >> bit & 1:
                a, c = table[bit]
                s, r = _apply(a, s) + c, _apply(a, r)
            bit += 1
        done = int(steps[k])
        g[k], h[k] = s[:, 0], r[:, 0]
    return g, h


def _apply(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray((a @ v[..., None])[..., 0])


# ---------------------------------------------------------------------------------------------
# arguments


def check_times(optimiser: Optimiser, times: Any) -> np.ndarray:
    """Times of any shape of at most one axis, or an error that says which numbers they are.

    Examples
    --------
    >>> check_times(GradientDescent(), [0, 10, np.inf])
    array([ 0., 10., inf])
    """
    what, cure = ("times", "numbers >= 0") if isinstance(optimiser, Flow) else ("steps", "whole numbers >= 0")
    remedy = f"{cure}, or np.inf for the end of training"
    try:
        at = np.asarray(times, dtype=float)
    except (TypeError, ValueError):
        raise BadParameter(f"{what}={times!r}", remedy=remedy) from None
    if at.ndim > 1 or at.size == 0:
        raise AxisError(f"{what} of shape {at.shape}", remedy="one number, or a list of them")
    whole = isinstance(optimiser, Flow) or np.all((at == np.floor(at)) & ((at < 2**53) | np.isinf(at)))
    if np.any(np.isnan(at)) or np.any(at < 0) or not whole:
        raise BadParameter(f"{what}={times!r}", remedy=remedy)
    return at


def check_rate(optimiser: Optimiser, learning_rate: Any, largest: float) -> np.ndarray:
    """Learning rates of at most one axis, all stable where the largest curvature is `largest`.

    Examples
    --------
    >>> try:
    ...     check_rate(GradientDescent(), 0.5, 4.0)
    ... except BadParameter as error:
    ...     print(error)
    learning_rate=0.5 is beyond stability: the outputs would explode
      try  below 0.5, 2 over the largest eigenvalue 4
    """
    rates = rates_of(learning_rate)
    limit = bound(optimiser)
    if largest > 0 and np.any(rates * largest >= limit):
        worst = float(rates.max())
        raise BadParameter(
            f"learning_rate={worst:g} is beyond stability: the outputs would explode",
            remedy=f"below {limit / largest:.6g}, {limit:g} over the largest eigenvalue {largest:.6g}",
        )
    return rates


def rates_of(learning_rate: Any) -> np.ndarray:
    """Positive numbers, of at most one axis.

    Examples
    --------
    >>> rates_of(0.1)
    array(0.1)
    """
    remedy = "a finite number above 0, or a list of them; it multiplies the gradient of the sum over samples"
    try:
        rates = np.asarray(learning_rate, dtype=float)
    except (TypeError, ValueError):
        raise BadParameter(f"learning_rate={learning_rate!r}", remedy=remedy) from None
    if rates.ndim > 1 or rates.size == 0 or not np.all(np.isfinite(rates)) or np.any(rates <= 0):
        raise BadParameter(f"learning_rate={learning_rate!r}", remedy=remedy)
    return rates


def unknown(optimiser: Any) -> BadParameter:
    """The error for what is no optimiser."""
    return BadParameter(
        f"{optimiser!r} is not an optimiser", remedy="Flow(), GradientDescent(), HeavyBall(0.9) or Nesterov(0.9)"
    )


def _momentum(beta: Any) -> None:
    if isinstance(beta, bool) or not isinstance(beta, int | float | np.number) or not 0 <= beta < 1:
        raise BadParameter(f"momentum={beta!r}", remedy="a number in [0, 1)")
