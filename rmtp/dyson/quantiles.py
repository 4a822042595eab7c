"""Quantiles of a drawn coefficient as a function of a standard normal, with relative accuracy next to an end at 0.

There the reciprocals of small values are integrated, and scipy.stats rounds some quantiles (of a truncated normal law, those of
1/2 + q). Where a probability does not come back from its quantile, ``log F(x) = log q`` is solved by Newton's method in
log x, with F from the density, ``F(x) = x int_0^1 f(x v**8) 8 v**7 dv``: analytic in v for a density like a common power of x.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..special import ndtr

_PROBES = np.array([1e-4, 1e-8, 1e-12, 1e-16, 1e-20])
_FAITHFUL = 1e-11  # relative, of a probability that comes back
_NEAR = 0.02  # the probability below which quantiles are solved for
_POWER = 8
_T, _W = np.polynomial.legendre.leggauss(64)
_V = (1 + _T) / 2
_SHARES, _SHARE_WEIGHTS = _V**_POWER, _POWER * _V ** (_POWER - 1) * _W / 2


def at_normal(frozen: Any, t: np.ndarray) -> np.ndarray:
    """x with F(x) = Phi(t), from the nearer tail."""
    with warnings.catch_warnings():  # of searches that SciPy gives up where no mass is left
        warnings.simplefilter("ignore", RuntimeWarning)
        return _quantiles(frozen, t)


def _quantiles(frozen: Any, t: np.ndarray) -> np.ndarray:
    low = t < 0
    below, above = ndtr(np.where(low, t, -1)), ndtr(np.where(low, -1, -t))
    x = np.where(low, frozen.ppf(below), frozen.isf(above))
    left, right = (float(end) for end in frozen.support())
    for end, q, side, sign, quantile in ((left, below, low, 1.0, frozen.ppf), (right, above, ~low, -1.0, frozen.isf)):
        near = side & (q < _NEAR)
        if end == 0 and near.any():
            found = _solved(lambda y, s=sign: frozen.pdf(s * y), lambda p, s=sign, f=quantile: s * f(p), q[near])
            x[near] = x[near] if found is None else sign * found
    return x


def _solved(density: Any, quantile: Any, q: np.ndarray) -> np.ndarray | None:
    """Distances from the end with probabilities q; None if those of SciPy are faithful, or the density no help."""
    with np.errstate(all="ignore"):
        if np.all(np.abs(_mass(density, quantile(_PROBES)) / _PROBES - 1) <= _FAITHFUL):
            return None
        goal, start = np.log(q), float(quantile(_NEAR))
        y = np.log(start) + (goal - np.log(_NEAR)) * _NEAR / (density(start) * start)
        for _ in range(60):
            place = np.exp(y)
            mass = _mass(density, place)
            step = (np.log(mass) - goal) * mass / (density(place) * place)
            y = y - step
            if np.all(np.abs(step) <= 1e-15 * np.abs(y)):
                break
        solved = np.exp(y)
        good = np.abs(_mass(density, solved) / q - 1) <= _FAITHFUL
    return solved if np.all(good) else None


def _mass(density: Any, x: np.ndarray) -> np.ndarray:
    return x * (density(x[:, None] * _SHARES) @ _SHARE_WEIGHTS)
