"""Signal propagation: how lengths, correlations and gradients travel through the depth of a network.

One layer is ``h' = W phi(h) + b``, the entries of W of variance weight_std**2 / n, those of b of bias_std**2; its maps are
limits of that program.
Poole et al. 2016 (1606.05340), Schoenholz et al. 2017 (1611.01232).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import function, reals
from ..backprop import backprop
from ..ensembles import Dim
from ..errors import BadParameter, NotConverged
from ..handles import parameter
from ..language import Normal
from ..limit import limit
from ..plotmaps import phase_map
from ..progress import progress

Phi = Callable[[Any], Any]

_STEPS = 10_000
_TOLERANCE = 1e-13
_PART, _LIKE, _SMALL = 256, 10.0, 1e-3
_UNBOUNDED, _LONG = 1e12, 1e4
_SEARCH, _PATIENCE = 200, 60  # steps in all, and with extrapolation


def length_map(phi: Phi, q: Any, weight_std: float = 1.0, bias_std: float = 0.0) -> np.ndarray:
    """The variance of the next preactivation: ``q -> weight_std**2 E phi(sqrt(q) z)**2 + bias_std**2``.

    Parameters
    ----------
    phi : callable
        A coordinatewise function written in NumPy.
    q : number or array
        Variances, >= 0.
    weight_std, bias_std : float

    Returns
    -------
    ndarray of the shape of q

    Raises
    ------
    BadParameter
        For a negative variance.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.networks.length_map(rmtp.relu, [1.0, 2.0], 2**0.5).round(12)
    array([1., 2.])
    """
    q, phi = _variances(q), function(phi, "phi")
    weight_std, bias_std = _stds(weight_std, "weight_std"), _stds(bias_std, "bias_std")
    z = Normal(Dim("n"))
    value = limit(np.mean(phi(parameter(np.sqrt(np.atleast_1d(q))) * z) ** 2)).value
    return np.asarray(weight_std**2 * np.asarray(value, dtype=float) + bias_std**2).reshape(np.shape(q))


def correlation_map(phi: Phi, c: Any, q: float, weight_std: float = 1.0, bias_std: float = 0.0) -> np.ndarray:
    """The correlation of the next preactivations of two inputs of correlation c and variance q, the fixed point of lengths.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.networks.correlation_map(rmtp.relu, [1.0, 0.0], 1.0, 2**0.5).round(12)    # 1/pi: Cho & Saul 2009
    array([1.        , 0.31830989])
    """
    c = np.asarray(c, dtype=float)
    if np.any(np.abs(c) > 1):
        raise BadParameter(f"correlations {c}", remedy="numbers in [-1, 1]")
    u, v = Normal(Dim("n"), mean=(0, 0), cov=[[1, 0], [0, 1]])
    flat = np.atleast_1d(c)
    second = parameter(flat) * u + parameter(np.sqrt(1 - flat**2)) * v
    scale = float(np.sqrt(_variances(q)))
    both = limit(np.mean(phi(scale * u) * phi(scale * second))).value
    cov = weight_std**2 * np.asarray(both, dtype=float) + bias_std**2
    return np.asarray(cov / length_map(phi, q, weight_std, bias_std)).reshape(c.shape)


def chi(phi: Phi, q: Any, weight_std: float = 1.0) -> np.ndarray:
    """``weight_std**2 E phi'(sqrt(q) z)**2``: by how much a squared gradient, and a small angle, grows in one layer.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.networks.chi(rmtp.relu, 3.0, 2**0.5).round(12))
    1.0
    """
    q = _variances(q)
    n = Dim("n")
    z = Normal(n)
    h = parameter(np.sqrt(np.atleast_1d(q))) * z
    average: Any = np.mean(phi(h))
    slope: Any = backprop(average).of(h)
    if slope is None:
        return np.zeros(np.shape(q))
    value = limit(np.mean(slope**2)).value
    return np.asarray(weight_std**2 * np.asarray(value, dtype=float)).reshape(np.shape(q))


@dataclass(frozen=True)
class Propagation:
    """What happens to lengths and correlations at great depth.

    Attributes
    ----------
    q : float
        The variance that preactivations tend to.
    chi : float
        Slope of the correlation map at 1: below 1 "ordered", above 1 "chaotic".
    correlation : float
        The correlation that two different inputs tend to.
    depth_q, depth_c : float
        Depth scales: deviations of lengths and correlations decay like exp(-layers / depth); inf at the edge of chaos.
    """

    q: float
    chi: float
    correlation: float
    depth_q: float
    depth_c: float

    @property
    def phase(self) -> str:
        """ "ordered", "chaotic" or "critical"."""
        if abs(self.chi - 1) < 1e-9:
            return "critical"
        return "ordered" if self.chi < 1 else "chaotic"


def propagation(phi: Phi, weight_std: float, bias_std: float = 0.0, q: float = 1.0) -> Propagation:
    """Fixed points and depth scales of a deep network.

    Parameters
    ----------
    phi : callable
    weight_std, bias_std : float
    q : float
        The variance to start from.

    Returns
    -------
    Propagation

    Raises
    ------
    NotConverged
        If lengths grow without bound.

    Notes
    -----
    Schoenholz et al. 2017 (1611.01232), Equations 5, 8, 9.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> p = rmtp.networks.propagation(np.tanh, 1.5, 0.05**0.5)
    >>> p.phase, p.depth_c > 1
    ('chaotic', True)
    """
    start = np.array([float(_variances(q))])
    fixed = float(fixed_lengths(phi, np.array([float(weight_std)]), np.array([float(bias_std)]), start)[0])
    if fixed >= _UNBOUNDED:
        raise NotConverged("the lengths have no finite fixed point", remedy="a smaller weight_std")
    slope = float(chi(phi, fixed, weight_std))
    if slope > 1 + 1e-12 and fixed > 0:
        limit_c = _fixed_point(
            lambda c: float(correlation_map(phi, min(c, 1.0), fixed, weight_std, bias_std)), 0.0, "correlations"
        )
    else:
        limit_c = 1.0
    return Propagation(
        fixed,
        slope,
        limit_c,
        _depth(
            _derivative(lambda x: float(length_map(phi, max(x, 0.0), weight_std, bias_std)), fixed, max(fixed, 1e-3))
        ),
        _depth(
            slope
            if limit_c == 1.0 or fixed == 0
            else _derivative(
                lambda c: float(correlation_map(phi, c, fixed, weight_std, bias_std)), limit_c, 1 - limit_c
            )
        ),
    )


def edge_of_chaos(phi: Phi, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """The critical line chi = 1, with the fixed length q as its parameter.

    Law: ``weight_std = (E phi'^2)^(-1/2)``, ``bias_std^2 = q - weight_std^2 E phi^2``.

    Parameters
    ----------
    phi : callable
    q : array
        Fixed lengths > 0.

    Returns
    -------
    (weight_std, bias_std), arrays; NaN where no variance of the bias gives that length.

    Notes
    -----
    Pennington et al. 2017 (1711.04735), Figure 1.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> w, b = rmtp.networks.edge_of_chaos(np.tanh, [1e-8, 0.5])
    >>> w.round(6).tolist()[0], bool(b[1] > 0)
    (1.0, True)
    """
    q = np.atleast_1d(_variances(q))
    w2 = 1 / chi(phi, q)
    b2 = q - w2 * length_map(phi, q)
    with np.errstate(invalid="ignore"):
        return np.sqrt(w2), np.sqrt(np.where(b2 < -1e-12 * q, np.nan, np.maximum(b2, 0.0)))


def phase_diagram(phi: Phi, weight_std: Any, bias_std: Any, ax: Any = None) -> tuple[np.ndarray, Any]:
    """chi at the fixed length over a grid of (weight_std, bias_std), and its picture with the line chi = 1.

    Where lengths pass 1e4, chi is that of 1e4.

    Returns
    -------
    (ndarray (bias_std, weight_std), Axes)

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> grid, ax = rmtp.networks.phase_diagram(np.tanh, [0.8, 2.0], [0.1])
    >>> (grid > 1).tolist()
    [[False, True]]
    """
    ws, bs = np.atleast_1d(np.asarray(weight_std, float)), np.atleast_1d(np.asarray(bias_std, float))
    w, b = (x.ravel() for x in np.meshgrid(ws, bs))
    q = fixed_lengths(phi, w, b, np.ones(w.shape), _LONG)
    values = (w**2 * _sorted_parts(lambda part: chi(phi, part), q)).reshape(len(bs), len(ws))
    return values, phase_map(ws, bs, values, ax)


# ---------------------------------------------------------------------------------------------


def _variances(q: Any) -> np.ndarray:
    array = reals(q, "the variance", "finite variances >= 0")
    if np.any(array < 0):
        raise BadParameter(f"the variance {q!r}", remedy="finite variances >= 0")
    return array


def _stds(value: Any, what: str) -> Any:
    array = reals(value, what, "a standard deviation >= 0")
    if array.ndim or array < 0:
        raise BadParameter(f"{what}={value!r}", remedy="a standard deviation >= 0")
    return value


def fixed_lengths(
    phi: Phi, weight_std: np.ndarray, bias_std: np.ndarray, q: np.ndarray, bound: float = _UNBOUNDED
) -> np.ndarray:
    """The variances that preactivations tend to, starting from q; flat arrays, one entry per network.

    Aitken's extrapolation, kept between the points seen below and above the fixed point. Lengths that pass the bound are given
    as the bound.

    Raises
    ------
    NotConverged
        If some length does not settle.
    """
    x = np.array(q, dtype=float)
    low, high = np.zeros(x.shape), np.full(x.shape, np.inf)
    open_ = np.arange(x.size)
    for step in progress(range(_SEARCH), "fixed lengths"):
        w2, b2, now = weight_std[open_] ** 2, bias_std[open_] ** 2, x[open_]
        first = _lengths(phi, now, w2, b2)
        second = _lengths(phi, np.minimum(first, bound), w2, b2)
        rising = first > now
        beyond = rising & (now >= bound)
        done = beyond | (np.abs(second - now) <= _TOLERANCE * np.maximum(1.0, second))
        low[open_], high[open_] = np.where(rising, now, low[open_]), np.where(rising, high[open_], now)
        below, above = low[open_], high[open_]
        attracted = np.abs(second - first) < np.abs(first - now)
        with np.errstate(all="ignore"):
            aitken = now - (first - now) ** 2 / (second - 2 * first + now)
        new = np.where(attracted & np.isfinite(aitken), aitken, np.where(rising, bound, second))
        middle = np.where(np.isfinite(above), np.sqrt(np.maximum(below, 1e-9 * above)) * np.sqrt(above), bound)
        new = np.where((new <= below) | (new >= above) | (step > _PATIENCE) & np.isfinite(above), middle, new)
        x[open_] = np.where(done, np.where(beyond, bound, second), np.minimum(new, bound))
        open_ = open_[~done]
        if not len(open_):
            return x
    raise NotConverged(f"{len(open_)} lengths did not settle", remedy="another weight_std: they may circle")


def _lengths(phi: Phi, q: np.ndarray, w2: np.ndarray, b2: np.ndarray) -> np.ndarray:
    return w2 * _sorted_parts(lambda part: length_map(phi, part), q) + b2


def _sorted_parts(f: Callable[[np.ndarray], np.ndarray], q: np.ndarray) -> np.ndarray:
    """f of each entry, those of like size together: they need the same resolution."""
    distinct, where = np.unique(q, return_inverse=True)
    parts, start = [], 0
    while start < len(distinct):
        stop = int(np.searchsorted(distinct, max(_LIKE * distinct[start], _SMALL), side="right"))
        stop = min(max(stop, start + 1), start + _PART)
        parts.append(f(distinct[start:stop]))
        start = stop
    return np.asarray(np.concatenate(parts)[where])


def _fixed_point(f: Callable[[float], float], x: float, what: str) -> float:
    """Iterated with Aitken's extrapolation, since near the edge of chaos plain iteration needs thousands of layers."""
    for _ in range(_STEPS):
        a = f(x)
        b = f(a)
        if abs(b - x) <= _TOLERANCE * max(1.0, abs(b)):
            return b
        curvature = (b - a) - (a - x)
        attracted = abs(b - a) < abs(a - x)  # extrapolation from a repelling slope would find the wrong fixed point
        better = x - (a - x) ** 2 / curvature if curvature and attracted else b
        x = better if np.isfinite(better) and better >= 0 and abs(better) < 10 * (1 + abs(b)) else b
        if not np.isfinite(x) or x > 1e12:
            break
    raise NotConverged(f"the {what} have no finite fixed point", remedy="a smaller weight_std")


def _derivative(f: Callable[[float], float], x: float, scale: float) -> float:
    step = 1e-4 * scale
    if x - step < 0:
        return (f(x + step) - f(x)) / step
    return (f(x + step) - f(x - step)) / (2 * step)


def _depth(slope: float) -> float:
    if slope <= 0:
        return 0.0
    return float("inf") if abs(slope - 1) < 1e-9 else abs(float(1 / np.log(slope)))
