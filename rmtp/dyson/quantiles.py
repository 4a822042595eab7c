"""Quantiles of a drawn coefficient as a function of a standard normal, with relative accuracy next to an end at 0.

There the reciprocals of small values are integrated, and scipy.stats rounds some quantiles (of a truncated normal law, those of
1/2 + q). Where a probability does not come back from its quantile, ``log F(x) = log q`` is solved by Newton's method in
log x, with F from the density, ``F(x) = x int_0^1 f(x v**8) 8 v**7 dv``: analytic in v for a density like a common power of x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..special import ndtr

_FAITHFUL = 1e-10  # relative, of a probability that comes back
_NEAR = 1e-3  # the probability below which quantiles are solved for
_POWER = 8
_T, _W = np.polynomial.legendre.leggauss(64)
_V = (1 + _T) / 2
_SHARES, _SHARE_WEIGHTS = _V**_POWER, _POWER * _V ** (_POWER - 1) * _W / 2


def at_normal(frozen: Any, t: np.ndarray) -> np.ndarray:
    """x with F(x) = Phi(t), from the nearer tail."""
    low = t < 0
    below, above = ndtr(np.where(low, t, -1)), ndtr(np.where(low, -1, -t))
    x = np.where(low, frozen.ppf(below), frozen.isf(above))
    left, right = (float(end) for end in frozen.support())
    for end, q, side, quantile in ((left, below, low, frozen.ppf), (right, above, ~low, frozen.isf)):
        near = side & (q < _NEAR)
        if end == 0 and near.any():
            sign = 1.0 if side is low else -1.0
            x[near] = (
                _faithful(lambda y, s=sign: frozen.pdf(s * y), sign * quantile(_NEAR), q[near], sign * x[near]) * sign
            )
    return x


def _faithful(density: Any, start: float, q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Distances x from the end with probabilities q: as they are if all are faithful, else solved for from `start`."""
    with np.errstate(all="ignore"):
        wrong = ~(np.abs(_mass(density, x) / q - 1) <= _FAITHFUL)
    if not wrong.any():
        return x
    goal, y = np.log(q), np.full(q.shape, np.log(start))
    with np.errstate(all="ignore"):
        y += (goal - np.log(_NEAR)) * _NEAR / (density(start) * start)
        for _ in range(60):
            mass, place = _mass(density, np.exp(y)), np.exp(y)
            step = (np.log(mass) - goal) * mass / (density(place) * place)
            y = y - step
            if np.all(np.abs(step) <= 1e-15 * np.abs(y)):
                break
        solved = np.exp(y)
        good = wrong & (np.abs(_mass(density, solved) / q - 1) <= _FAITHFUL)
    return np.where(good, solved, x)


def _mass(density: Any, x: np.ndarray) -> np.ndarray:
    return x * (density(x[:, None] * _SHARES) @ _SHARE_WEIGHTS)
