"""Where algorithms come to rest: convergence, LASSO risk, transitions, free energies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..ensembles import Dim
from ..errors import BadParameter, NotConverged
from ..handles import parameter
from ..language import IID, Normal, relu, soft_threshold
from ..laws import as_law
from ..limit import limit
from ..results import Estimate
from .algorithms import lasso_amp
from .denoisers import posterior_mean
from .evolution import Algorithm, Trajectory, label, state_evolution
from .problems import Problem, linear_model

_FIRST, _FEWEST = 24, 6


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """The rest of an algorithm.

    Attributes
    ----------
    mse, overlap : Estimate
        At rest, extrapolated geometrically from the last steps; the error holds the extrapolation.
    effective_noise : Estimate or None
    rate : float
        The largest eigenvalue of the iteration at rest, from the ratio of successive changes: stable below 1. 0 if the
        algorithm comes to rest faster than the changes can be told from rounding.
    trajectory : Trajectory
    """

    mse: Estimate
    overlap: Estimate
    effective_noise: Estimate | None
    rate: float
    trajectory: Trajectory

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self.trajectory.steps

    def __str__(self) -> str:
        return f"{self.trajectory.name} at rest after {self.steps} steps: mse {self.mse}, rate {self.rate:.6g}"


def fixed_point(
    algorithm: Algorithm, problem: Problem, *, tol: float = 1e-10, max_steps: int = 800, **options: Any
) -> FixedPoint:
    """Run state evolution until the mean squared error changes by less than `tol` of itself.

    Parameters
    ----------
    algorithm : callable
    problem : Problem
        Without sweeps.
    tol : float
        Relative change of the last step.
    max_steps : int
    **options
        Passed to `state_evolution`.

    Returns
    -------
    FixedPoint

    Raises
    ------
    NotConverged
        If the algorithm diverges, or still moves after `max_steps`; the message says which.

    Examples
    --------
    >>> from functools import partial
    >>> from rmtp.amp import amp, bernoulli_gauss, fixed_point, linear_model, soft
    >>> found = fixed_point(partial(amp, denoiser=soft(1.5)), linear_model(0.5, bernoulli_gauss(0.1), 0.01))
    >>> round(float(found.mse), 10), round(found.rate, 4)
    (0.0075650308, 0.5395)
    """
    if not 0 < tol < 1:
        raise BadParameter(f"tol={tol!r}", remedy="a number between 0 and 1")
    steps = min(_FIRST, max_steps)
    while True:
        found = state_evolution(algorithm, problem, steps, **options)
        mse = np.asarray(found.mse.value, dtype=float)
        if mse.ndim > 1:
            raise BadParameter("the fixed point of a sweep", remedy="state_evolution with many steps, or one value")
        if found.divergence is not None:
            raise NotConverged(
                f"{label(algorithm)} diverges from step {found.divergence}: mse {mse[-1]:.3g} after {steps}",
                remedy="a smaller step",
            )
        error = float(np.max(found.mse.error))
        if steps >= _FEWEST:
            rate = _rate(mse, error)
            left = abs(mse[-1] - mse[-2]) * (rate / (1 - rate) if 0 < rate < 1 else 1.0)
            if left <= max(tol * abs(mse[-1]), error):
                return _at_rest(found, rate)
        if steps >= max_steps:
            raise NotConverged(
                f"{label(algorithm)} still changes by {abs(mse[-1] - mse[-2]):.2g} after {steps} steps",
                remedy="a larger max_steps=, or a looser tol=",
            )
        steps = min(2 * steps, max_steps)


def _at_rest(found: Trajectory, rate: float) -> FixedPoint:
    def last(estimate: Estimate) -> Estimate:
        value = np.asarray(estimate.value, dtype=float)
        change = value[-1] - value[-2]
        rest = change * rate / (1 - rate) if abs(rate) < 1 else 0.0
        own = np.broadcast_to(np.asarray(estimate.error, dtype=float), value.shape)[-1]
        error = np.abs(rest) + np.abs(change) + own
        return Estimate(value[-1] + rest, error, estimate.method if estimate.method != "exact" else "algebra")

    noise = None if found.effective_noise is None else last(found.effective_noise)
    return FixedPoint(last(found.mse), last(found.overlap), noise, rate, found)


def _rate(mse: np.ndarray, error: float) -> float:
    """The ratio of successive changes, as late as rounding (or what points differ by) lets it be seen."""
    change = np.diff(mse)
    sampled = error > 1e-9 * float(np.max(np.abs(mse)))
    floor = (20 if sampled else 1e4) * max(error, 1e-16 * float(np.max(np.abs(mse))))
    seen = np.flatnonzero((np.abs(change[1:]) > floor) & (np.abs(change[:-1]) > floor))
    return float(change[seen[-1] + 1] / change[seen[-1]]) if len(seen) else 0.0


def lasso(problem: Problem, penalty: float, **options: Any) -> FixedPoint:
    """The risk of ``argmin 1/2 |y - A x|^2 + penalty |x|_1``, columns of A of unit length.

    Law: AMP with the threshold of `lasso_amp` comes to rest at the minimiser (Bayati & Montanari 2012, 1008.2581).

    Parameters
    ----------
    problem : Problem
        From `linear_model`.
    penalty : float
        > 0. scikit-learn's `Lasso` divides the squares by the number m of observations: alpha = penalty / m.
    **options
        Passed to `fixed_point`.

    Returns
    -------
    FixedPoint

    Raises
    ------
    BadParameter
        If the penalty is not positive.

    Examples
    --------
    >>> from rmtp.amp import bernoulli_gauss, lasso, linear_model
    >>> round(float(lasso(linear_model(0.5, bernoulli_gauss(0.1), 0.01), 0.14187076626758852).mse), 9)
    0.007565031
    """
    if not (np.isfinite(penalty) and penalty > 0):
        raise BadParameter(f"penalty={penalty!r}", remedy="a number > 0")
    return fixed_point(partial(lasso_amp, penalty=penalty), problem, **options)


def donoho_tanner(delta: Any) -> Any:
    """The sparsity per observation below which l1 minimisation recovers the signal from noiseless data.

    Law: at weak noise soft thresholding at alpha tau has the error tau^2 M with ``M = (1 - eps) E soft(g, alpha)^2 +
    eps E (g - alpha)^2``; it falls to zero iff M < delta for some alpha, and rho = eps / delta.

    Parameters
    ----------
    delta : number or array in (0, 1)
        Observations per unknown.

    Returns
    -------
    float or ndarray
        rho(delta), the number of non-zeros per observation.

    Raises
    ------
    BadParameter
        If delta is not in (0, 1).

    Notes
    -----
    The stationary alpha is a parameter of the curve; expectations by the engine, in closed form. Donoho, Maleki & Montanari
    2009; Donoho & Tanner 2005 (the weak threshold of the cross-polytope).

    Examples
    --------
    >>> import rmtp
    >>> round(rmtp.amp.donoho_tanner(0.5), 4)
    0.3857
    """
    from scipy.optimize import brentq

    wanted = np.asarray(delta, dtype=float)
    if not np.all((wanted > 0) & (wanted < 1)):
        raise BadParameter(f"delta={delta!r}", remedy="numbers between 0 and 1")

    def gap(alpha: float, target: float) -> float:
        return _transition(np.array([alpha]))[0][0] - target

    def rho(target: float) -> float:
        alpha = brentq(gap, 1e-4, 12.0, args=(target,), xtol=1e-13)
        found, share = _transition(np.array([alpha]))
        return float(share[0] / found[0])

    out = np.array([rho(float(d)) for d in wanted.ravel()]).reshape(wanted.shape)
    return out if wanted.ndim else float(out)


def _transition(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(delta, eps) where alpha is the best threshold and M = delta."""
    g, a = Normal(Dim("n")), parameter(alpha)
    zero, slope, spike = limit(
        [np.mean(soft_threshold(g, a) ** 2), np.mean(relu(g - a) + relu(-g - a)), np.mean((g - a) ** 2)]
    )
    # d/dalpha: E soft^2 falls by twice E |soft|, E (g - alpha)^2 grows by 2 alpha
    share = 2 * slope.value / (2 * slope.value + 2 * alpha)
    return (1 - share) * zero.value + share * spike.value, share


# ---------------------------------------------------------------------------------------------
# Bayes-optimal error


@dataclass(frozen=True, eq=False)
class Landscape:
    """The free energy of Bayes-optimal estimation as a function of the error it supposes.

    Attributes
    ----------
    error : ndarray
        Mean squared errors, increasing.
    free_energy : ndarray
        Per unknown, in nats; its stationary points are the fixed points of AMP, its lowest the Bayes-optimal error.
    stationary : tuple of float
        The errors at rest, increasing; every second one is unstable.
    algorithmic, bayes : float
        What AMP reaches from no information, and the minimum over all algorithms.
    """

    error: np.ndarray
    free_energy: np.ndarray
    stationary: tuple[float, ...]
    algorithmic: float
    bayes: float

    @property
    def hard(self) -> bool:
        """Whether AMP stays above the Bayes-optimal error."""
        return self.algorithmic > self.bayes * (1 + 1e-6)

    def plot(self, ax: Any = None) -> Any:
        """The free energy over the error; returns the Axes."""
        from ..plotiterations import plot_landscape

        return plot_landscape(self, ax=ax)


def landscape(delta: float, prior: Any, noise: float, points: int = 200) -> Landscape:
    """Bayes-optimal against algorithmic error of ``y = A x0 + w``.

    Law: with tau^2(E) = noise + E / delta and I the mutual information of the scalar channel x0 + N(0, tau^2), by
    I-MMSE ``I = 1/2 int_0^{1/tau^2} mmse``, the free energy is
    ``F(E) = I(1/tau^2(E)) + delta/2 (log(1 + E / (delta noise)) - E / (delta tau^2(E)))`` and F' = 0 where E = mmse(tau^2(E)).

    Parameters
    ----------
    delta : float
    prior : law
    noise : float
        > 0, the variance of w.
    points : int
        Of the grid.

    Returns
    -------
    Landscape
        mmse by closed forms or quadrature; the fixed points to 1e-10, the free energy by a spline to about 1e-6.

    Raises
    ------
    BadParameter
        If noise <= 0.

    Notes
    -----
    Barbier, Dia, Macris & Krzakala 2016; Reeves & Pfister 2016 (proof that the minimum is the Bayes-optimal error).

    Examples
    --------
    >>> from rmtp.amp import bernoulli_gauss, landscape
    >>> [landscape(delta, bernoulli_gauss(0.4), 1e-6, points=60).hard for delta in (0.55, 0.9)]
    [True, False]
    """
    from scipy.interpolate import CubicSpline
    from scipy.optimize import brentq

    if not (np.isfinite(noise) and noise > 0):
        raise BadParameter(f"noise={noise!r}", remedy="a variance > 0; without noise the free energy has no lower end")
    problem = linear_model(delta, prior, noise)
    law = as_law(prior)
    top = float(law.moment(2)) - float(law.moment(1)) ** 2
    denoise = posterior_mean(law)

    def tau2(E: Any) -> np.ndarray:
        return _effective(problem, np.atleast_1d(E))

    def mmse(t: np.ndarray) -> np.ndarray:
        x = IID(problem.width, law)
        level = parameter(t)
        r = x + np.sqrt(level) * Normal(problem.width)
        # E Var[x0 | r], where E (f - x0)^2 would cancel; the slope of the posterior mean is Var / tau^2
        return t * np.asarray(limit(np.mean(denoise.derivative(r, level))).value, dtype=float)

    def gap(E: float) -> float:
        return float(mmse(tau2(E))[0]) - E

    grid = np.geomspace(1e-4 * min(noise * min(delta, 1.0), top), top, points)
    level = tau2(grid)
    values = mmse(level) - grid
    crossings = np.flatnonzero(np.sign(values[1:]) * np.sign(values[:-1]) < 0)
    rests = tuple(float(brentq(gap, grid[k], grid[k + 1], xtol=1e-300, rtol=1e-12)) for k in crossings)
    if not rests:
        raise NotConverged("no fixed point between the grid's ends", remedy="more points=")
    # I-MMSE on a grid of its own, from no information on
    snr = np.concatenate([[0.0], np.geomspace(1e-8 / top, 1.0 / level.min(), 2 * points)])
    curve = np.concatenate([[top], mmse(1 / snr[1:])])
    information = CubicSpline(snr, curve).antiderivative()
    share = grid / (delta * noise)
    energy = information(1 / level) / 2 + delta / 2 * (np.log1p(share) - grid / (delta * level))
    at = np.interp(rests, grid, energy)
    return Landscape(grid, energy, rests, rests[-1], rests[int(np.argmin(at))])


def _effective(problem: Problem, error: np.ndarray) -> np.ndarray:
    """The noise behind ``x + A.T z`` when x is off by `error`: the power of the residual."""
    assert problem.observed is not None
    guess = problem.signal + np.sqrt(parameter(error)) * Normal(problem.width)
    seen = limit(np.mean((problem.observed - problem.matrix @ guess) ** 2))
    return np.asarray(seen.value, dtype=float)
