"""Denoisers: functions of an observation r = x0 + N(0, tau2) and of tau2, with their slope in r."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import BadParameter
from ..handles import Node, apply
from ..language import soft_threshold
from ..laws import Atom, Continuous, CoordinateLaw, GaussianLaw, as_law
from ..nonlinearity import Nonlinearity, user
from .tabulated import tabulated


@dataclass(frozen=True, eq=False)
class Denoiser:
    """``f(r, tau2)`` and its derivative in r, on handles and on arrays.

    Attributes
    ----------
    function, derivative : callable
    name : str

    Examples
    --------
    >>> import rmtp
    >>> halved = rmtp.amp.Denoiser(lambda r, tau2: r / 2, lambda r, tau2: 0.5 + 0 * r, "halved")
    >>> halved(3.0, 1.0)
    1.5
    """

    function: Callable[[Any, Any], Any]
    derivative: Callable[[Any, Any], Any]
    name: str = ""

    def __call__(self, r: Any, tau2: Any) -> Any:
        return self.function(r, tau2)

    def __repr__(self) -> str:
        return f"Denoiser({self.name})"


def soft(alpha: Any) -> Denoiser:
    """Soft thresholding at ``alpha sqrt(tau2)``.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.amp.soft(1.5)(4.0, 1.0))
    2.5
    """

    def active(r: Any, tau2: Any) -> Any:
        return np.where(np.abs(r) > alpha * np.sqrt(tau2), 1, 0)

    return Denoiser(lambda r, tau2: soft_threshold(r, alpha * np.sqrt(tau2)), active, f"soft({alpha})")


def linear() -> Denoiser:
    """f(r) = r.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.linear()(2.0, 1.0)
    2.0
    """
    return Denoiser(lambda r, tau2: r, lambda r, tau2: 1 + 0 * r, "linear")


def normalised(scale: Any = 1) -> Denoiser:
    """f(r) = scale * r / sqrt(mean(r**2)): linear, with a fixed power.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.amp.normalised()(np.array([3.0, 4.0]), 1.0).round(4).tolist()
    [0.8485, 1.1314]
    """

    def slope(r: Any, tau2: Any) -> Any:
        return scale / np.sqrt(np.mean(r**2)) + 0 * r

    return Denoiser(lambda r, tau2: scale * r / np.sqrt(np.mean(r**2)), slope, "normalised")


def posterior_mean(prior: Any, snr: Any = 1) -> Denoiser:
    """E[x0 | r] for ``r = snr * x0 + N(0, tau2)``: the denoiser of least mean squared error.

    Its slope is Var[x0 | r] snr / tau2. By Bayes' rule within the components of the prior: closed for atoms and Gaussians, for
    continuous laws by Gauss-Legendre panels between quantiles of the prior and around what was observed (to 1e-10 where the
    density is smooth between its median and the ends of its support).

    Parameters
    ----------
    prior : law
    snr : number or callable
        The gain of the observation; ``snr(tau2)`` if it is known through tau2 alone.

    Returns
    -------
    Denoiser

    Examples
    --------
    >>> import rmtp, numpy as np
    >>> f = rmtp.amp.posterior_mean([-1, 1])
    >>> bool(np.isclose(f(0.3, 0.5), np.tanh(0.3 / 0.5)))
    True
    """
    law = as_law(prior)
    if not float(law.moment(2)) - float(law.moment(1)) ** 2 > 0:
        raise BadParameter("the posterior of a prior without variance", remedy="a law with more than one value")
    parts, smooth = _components(law)
    if not callable(snr) and (np.ndim(snr) or not isinstance(snr, int | float | Fraction | np.number)):
        raise BadParameter(f"snr={snr!r}", remedy="one number, or a function of tau2")

    def moments(r: Any, tau2: Any) -> tuple[np.ndarray, np.ndarray]:
        r, tau2 = np.broadcast_arrays(np.asarray(r, dtype=float), np.asarray(tau2, dtype=float))
        gain = float(snr) if not callable(snr) else snr(tau2)
        return _posterior(parts, smooth, r, tau2, gain)

    def mean(r: Any, tau2: Any) -> Any:
        return moments(r, tau2)[0]

    def slope(r: Any, tau2: Any) -> Any:
        gain = float(snr) if not callable(snr) else snr(tau2)
        return moments(r, tau2)[1] * gain / np.asarray(tau2, dtype=float)

    def features(tau2: Any) -> list[Any]:
        return _features(parts, tau2, float(snr) if not callable(snr) else snr(tau2))

    second = replace(user(slope, (None, None), arity=2, name="posterior'"), features=features)
    first = replace(user(mean, (second, None), arity=2, name="posterior"), features=features)
    return Denoiser(_either(first, mean), _either(second, slope), "posterior mean")


_SCALES = (-9.0, -6.0, -4.0, -2.5, -1.0, 0.0, 1.0, 2.5, 4.0, 6.0, 9.0)
_FEW = 8  # components; a law of many atoms has no scale of its own


def _features(parts: list[tuple[float, float, float]], tau2: Any, gain: Any) -> list[Any]:
    """Where the posterior turns from one component to another: around atoms, and between neighbouring ones."""
    if len(parts) > _FEW:
        return []
    tau = np.sqrt(tau2)
    atoms = sorted((mean, weight) for weight, mean, var in parts if not var)
    points = [gain * a + tau * s for a, _ in atoms for s in _SCALES]
    for (a, p), (b, q) in itertools.pairwise(atoms):
        width = tau2 / (gain * (b - a))
        points += [gain * (a + b) / 2 + width * (np.log(p / q) + 3 * s) for s in _SCALES]
    return points


def _either(symbolic: Nonlinearity, numeric: Callable[..., Any]) -> Callable[..., Any]:
    def call(r: Any, tau2: Any) -> Any:
        return apply(symbolic, r, tau2) if isinstance(r, Node) or isinstance(tau2, Node) else numeric(r, tau2)

    return call


def _components(law: CoordinateLaw) -> tuple[list[tuple[float, float, float]], list[tuple[float, Any]]]:
    """(weight, mean, variance) of Gaussians and atoms; (weight, frozen law) of continuous ones."""
    out: list[tuple[float, float, float]] = []
    smooth: list[tuple[float, Any]] = []
    for weight, part in zip(law.weights, law.components, strict=True):
        match part:
            case Atom(value):
                out.append((float(weight), float(value), 0.0))
            case GaussianLaw(mean, var):
                out.append((float(weight), float(mean), float(var)))
            case Continuous(frozen):
                smooth.append((float(weight), frozen))
    return out, smooth


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_LEVELS = (1e-300, 1e-150, 1e-70, 1e-30, 1e-14, 1e-8, 1e-4, 0.01, 0.1, 0.3, 0.5)
_AROUND = (-9.0, -6.5, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.5, 9.0)
_AT_ONCE = 2**20  # numbers


def _posterior(
    parts: list[tuple[float, float, float]],
    smooth: list[tuple[float, Any]],
    r: np.ndarray,
    tau2: np.ndarray,
    gain: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of x0 given r = gain x0 + N(0, tau2)."""
    if not smooth:
        return _of_gaussians(parts, r, tau2, gain)[1:]
    out = np.empty((2, *r.shape))
    gain = np.broadcast_to(np.asarray(gain, dtype=float), r.shape)
    levels = np.unique(np.stack([tau2.ravel(), gain.ravel()]), axis=1)
    for level, g in levels.T:  # few: one per point of a sweep
        here = (tau2 == level) & (gain == g)

        def moments(x: np.ndarray, level: float = level, g: float = g) -> np.ndarray:
            pieces: list[tuple[np.ndarray, ...]] = []
            if parts:
                pieces.append(_of_gaussians(parts, x, np.full(x.shape, level), g))
            step = max(1, _AT_ONCE // (len(_NODES) * (2 * len(_LEVELS) + len(_AROUND))))
            chunks = [x[k : k + step] for k in range(0, len(x), step)]
            pieces += [
                tuple(np.concatenate(c) for c in zip(*(_of_density(w, f, c, level, g) for c in chunks), strict=True))
                for w, f in smooth
            ]
            return np.stack(_mixed(pieces))

        finite = here & np.isfinite(r)
        out[:, here] = np.nan
        if finite.any():
            out[:, finite] = tabulated(moments, r[finite])
    return out[0], out[1]


def _mixed(pieces: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a mixture of pieces (log evidence, mean, variance)."""
    log, mean, var = (np.stack(column) for column in zip(*pieces, strict=True))
    share = np.exp(log - log.max(axis=0))
    share = share / share.sum(axis=0)
    first = np.sum(share * mean, axis=0)
    return first, np.sum(share * (var + (mean - first) ** 2), axis=0)


def _of_density(weight: float, law: Any, r: np.ndarray, tau2: float, gain: float) -> tuple[np.ndarray, ...]:
    """Log evidence, mean and variance within a continuous part, by panels between quantiles and around the observation."""
    quantiles = [q for level in _LEVELS for q in (law.ppf(level), law.isf(level))]
    low, high = law.support()
    quantiles = sorted({float(q) for q in quantiles if low <= q <= high and np.isfinite(q)})
    low, high = max(low, quantiles[0]), min(high, quantiles[-1])
    near = (r[:, None] + np.sqrt(tau2) * np.array(_AROUND)) / gain if gain else np.zeros((len(r), 0))
    fixed = np.broadcast_to(quantiles, (len(r), len(quantiles)))
    edges = np.sort(np.clip(np.concatenate([fixed, near], axis=1), low, high), axis=1)
    half = np.diff(edges, axis=1)[..., None] / 2
    x = edges[:, :-1, None] + half * (1 + _NODES)
    with np.errstate(all="ignore"):
        log = law.logpdf(x) - (r[:, None, None] - gain * x) ** 2 / (2 * tau2)
        log = np.where(np.isnan(log) | (log == np.inf), -np.inf, log)
        top = log.max(axis=(1, 2), keepdims=True)
        share = np.exp(log - top) * half * _WEIGHTS
    mass = share.sum(axis=(1, 2))
    mean = np.sum(share * x, axis=(1, 2)) / mass
    var = np.sum(share * (x - mean[:, None, None]) ** 2, axis=(1, 2)) / mass
    return np.log(weight) + top[:, 0, 0] + np.log(mass) - np.log(2 * np.pi * tau2) / 2, mean, var


def _of_gaussians(
    parts: list[tuple[float, float, float]], r: np.ndarray, tau2: np.ndarray, gain: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log evidence, mean and variance of x0 within its Gaussian parts and atoms."""
    shape = (-1,) + (1,) * r.ndim
    weight, mean, var = (np.array(column).reshape(shape) for column in zip(*parts, strict=True))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = gain * gain * var + tau2  # of r, given the component
        log = np.log(weight) - (r - gain * mean) ** 2 / (2 * total) - np.log(total) / 2
        top = log.max(axis=0)
        share = np.exp(log - top)
        mass = share.sum(axis=0)
        share = share / mass
        centre = mean + gain * var / total * (r - gain * mean)
        inside = var * tau2 / total
    first = np.sum(share * centre, axis=0)
    log_mass = top + np.log(mass) - np.log(2 * np.pi) / 2
    return log_mass, first, np.sum(share * (inside + (centre - first) ** 2), axis=0)
