"""Training of wide networks on any differentiable loss: outputs of given initial functions, by an ODE or step by step.

The state is a of ``f_t = f_0 + Theta(., X) a``, driven by the loss's gradient at training points; every other output follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter, BudgetExceeded, DivergentExpectation
from ..progress import progress
from .losses import Loss, check_loss
from .model import Linearised
from .optimisers import Discrete, Flow, GradientDescent, HeavyBall, Nesterov, Optimiser, check_times, rates_of, unknown
from .trajectory import drawn_shape

_LOOSER = 100.0  # the second run of an ODE, from which the error is read off


@dataclass(frozen=True, eq=False)
class Path:
    """Outputs of networks during training, for each initial function and time.

    Attributes
    ----------
    times : ndarray (..)
        Of a flow, or numbers of steps.
    train : ndarray (\\*draws, .., N) or (\\*draws, .., N, C)
    test : ndarray (\\*draws, .., M) or (\\*draws, .., M, C)
    loss : ndarray (\\*draws, ..)
        Summed over training points.
    dual : ndarray (\\*draws, .., N) or (\\*draws, .., N, C)
        a of ``f_t = f_0 + Theta(., X) a``.
    error : float
        Absolute, of the outputs: for a flow the largest difference from a run with a hundred times the tolerance, which is
        an overestimate; 0 for steps, which are exact up to rounding.

    Examples
    --------
    >>> import rmtp
    >>> from rmtp.training import GradientDescent, evolve, from_kernels, logistic
    >>> path = evolve(from_kernels([[2.0]], None, [1.0]), logistic, GradientDescent(), [0, 1, 10], 0.5)
    >>> path.train.ravel().round(4), path.error
    (array([0.    , 0.5   , 2.2632]), 0.0)
    """

    times: np.ndarray
    train: np.ndarray
    test: np.ndarray
    loss: np.ndarray
    dual: np.ndarray
    error: float


def evolve(
    model: Linearised,
    loss: Loss,
    optimiser: Optimiser,
    times: Any,
    learning_rate: float,
    *,
    initial: tuple[Any, Any] | None = None,
    rtol: float = 1e-9,
    budget: int = 200_000,
) -> Path:
    """Train on any differentiable loss.

    Law: flow ``d a/dt = -rate (loss'(f, y) + ridge a)``, ``f = f_0 + Theta a``; steps: this gradient through the optimiser.

    Parameters
    ----------
    model : Linearised
        Its targets are the labels.
    loss : Loss
        `squared`, `softmax_cross_entropy`, `logistic`, `huber(width)` or your own; the sum over samples is minimised.
    optimiser : Flow, GradientDescent, HeavyBall or Nesterov
    times : float or array (T,)
        Finite: most of these losses have their end at infinity.
    learning_rate : float
        Of the gradient of the *sum* over samples.
    initial : (array (\\*draws, N[, C]), array (\\*draws, M[, C])), optional
        f_0 at training and at test points, for all draws at once; by default the model's, which is zero if not given. For draws
        from the prior, ``model.sample_initial(size, rng)``.
    rtol : float
        Tolerance of the ODE, relative to the largest output.
    budget : int
        The most evaluations of the gradient that an ODE may take.

    Returns
    -------
    Path

    Raises
    ------
    BadParameter
        For targets outside the range of the loss, and for a gradient that is not the derivative of its value.
    DivergentExpectation
        If the steps explode.
    BudgetExceeded
        If the flow is too stiff for the budget.

    Notes
    -----
    No closed form and no average over initialisations: each f_0 has its own path. Flow: explicit Runge-Kutta of order 8, so
    about ``rate time lambda_max`` evaluations. Lee et al. (2019), section 2.4 and Eq. S45.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from rmtp.training import Flow, evolve, from_kernels, squared
    >>> model = from_kernels([[2.0]], [[1.0]], [3.0])
    >>> path = evolve(model, squared, Flow(), [0.1, 1.0], 1.0)
    >>> bool(np.allclose(path.test, model.flow([0.1, 1.0]).mean, rtol=0, atol=path.error + 1e-9))
    True
    """
    at = check_times(optimiser, times)
    if np.any(np.isinf(at)):
        raise BadParameter(
            "infinite time on a general loss", remedy="a finite time; closed forms are for the squared error"
        )
    rate = rates_of(learning_rate)
    if rate.ndim:
        raise AxisError(f"learning_rate of shape {rate.shape}", remedy="one number: evolve once for each")
    problem = _Problem.of(model, loss, initial)
    order = at.reshape(-1)
    error = 0.0
    match optimiser:
        case Flow():
            states, error = _flow(problem, order, float(rate), rtol, budget)
        case GradientDescent() | HeavyBall() | Nesterov():
            states = _steps(problem, optimiser, order.astype(int), float(rate))
        case _:
            raise unknown(optimiser)
    return problem.path(at, states, error)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Draws and outputs as one axis each: f (D, N, C)."""

    model: Linearised
    loss: Loss
    y: np.ndarray
    start: np.ndarray
    start_test: np.ndarray
    draws: tuple[int, ...]

    @staticmethod
    def of(model: Linearised, loss: Any, initial: Any) -> _Problem:
        first = model.start if initial is None else initial
        if not isinstance(first, tuple | list) or len(first) != 2:
            raise BadParameter("initial= is not a pair", remedy="(f_0 at training points, f_0 at test points)")
        shape, tests = model.y.shape, len(model.start[1])
        f = drawn_shape(first[0], shape, "initial outputs at training points")
        draws = f.shape[: f.ndim - len(shape)]
        empty = np.zeros((*draws, tests, *shape[1:])) if first[1] is None and not tests else first[1]
        test = drawn_shape(empty, (tests, *shape[1:]), "initial outputs at test points")
        if test.shape[: test.ndim - len(shape)] != draws:
            raise AxisError(f"initial outputs of shapes {f.shape} and {test.shape}", remedy="the same draws")
        n, c = shape[0], int(np.prod(shape[1:]))
        y = model.y.reshape(n, c)
        count = int(np.prod(draws))
        start = f.reshape(count, n, c)
        return _Problem(model, check_loss(loss, start[0], y), y, start, test.reshape(count, tests, c), draws)

    def force(self, a: np.ndarray) -> np.ndarray:
        """Minus the gradient in a, in the metric of the kernel."""
        return -self.loss.gradient(self.outputs(a), self.y) - self.model.ridge * a

    def outputs(self, a: np.ndarray) -> np.ndarray:
        return self.start + self.model.act(a)[0]

    def path(self, at: np.ndarray, states: np.ndarray, error: float) -> Path:
        """From states (T, D, N, C)."""
        moved, moved_test = self.model.act(states)
        train, test = self.start + moved, self.start_test + moved_test
        with np.errstate(over="ignore", invalid="ignore"):
            loss = np.sum(self.loss.value(train, self.y), axis=-1)
        if not np.all(np.isfinite(loss)):
            raise DivergentExpectation(
                "training explodes: the loss overflows", remedy="a smaller learning rate, or fewer steps"
            )

        def shaped(a: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
            return np.moveaxis(a, 0, 1).reshape((*self.draws, *at.shape, *tail))

        shape = self.model.y.shape
        tests = (self.start_test.shape[1], *shape[1:])
        return Path(at, shaped(train, shape), shaped(test, tests), shaped(loss, ()), shaped(states, shape), error)


def _steps(problem: _Problem, optimiser: Discrete, steps: np.ndarray, rate: float) -> np.ndarray:
    beta = getattr(optimiser, "momentum", 0.0)
    ahead = beta if isinstance(optimiser, Nesterov) else 0.0
    a = np.zeros_like(problem.start)
    v = np.zeros_like(a)
    out = np.empty((len(steps), *a.shape))
    last = int(steps.max())
    for k in progress(range(last + 1), "steps"):
        out[steps == k] = a
        if k < last:
            with np.errstate(over="ignore", invalid="ignore"):
                v = beta * v + rate * problem.force(a + ahead * v)
                a = a + v
            if not np.all(np.isfinite(a)):
                raise DivergentExpectation(
                    f"training explodes: outputs are not finite after {k + 1} steps",
                    remedy=f"a learning rate below {rate:g}; the squared error allows "
                    f"{problem.model.max_learning_rate(optimiser):.6g}",
                )
    return out


def _flow(problem: _Problem, times: np.ndarray, rate: float, rtol: float, budget: int) -> tuple[np.ndarray, float]:
    if isinstance(rtol, bool) or not isinstance(rtol, int | float | np.number) or not 1e-13 <= rtol <= 1e-2:
        raise BadParameter(f"rtol={rtol!r}", remedy="between 1e-13 and 1e-2")
    fine = _solve(problem, times, rate, rtol, budget)
    rough = _solve(problem, times, rate, min(_LOOSER * rtol, 1e-2), budget)
    error = max(float(np.abs(gap).max(initial=0.0)) for gap in problem.model.act(fine - rough))
    return fine, error


def _solve(problem: _Problem, times: np.ndarray, rate: float, rtol: float, budget: int) -> np.ndarray:
    from scipy import integrate  # which takes longer to import than most flows to solve

    shape = problem.start.shape
    top = float(problem.model.eigenvalues[-1]) + problem.model.ridge
    size = max(1.0, float(np.abs(problem.start).max()), float(np.abs(problem.y).max()))
    distinct, where = np.unique(times, return_inverse=True)
    if distinct[-1] == 0:
        return np.zeros((len(times), *shape))
    solved = integrate.solve_ivp(
        _counted(problem, rate, budget),
        (0.0, float(distinct[-1])),
        np.zeros(problem.start.size),
        "DOP853",
        distinct,
        rtol=rtol,
        atol=rtol * size / top if top > 0 else rtol,
    )
    if not solved.success:
        raise DivergentExpectation(f"the flow has no solution: {solved.message}", remedy="a loss with a bounded slope")
    return np.asarray(solved.y.T.reshape(-1, *shape)[where])


def _counted(problem: _Problem, rate: float, budget: int) -> Callable[[float, np.ndarray], np.ndarray]:
    shape = problem.start.shape
    calls = iter(range(budget))

    def slope(t: float, a: np.ndarray) -> np.ndarray:
        if next(calls, None) is None:
            raise BudgetExceeded(
                f"the flow took {budget} evaluations to reach time {t:.4g}",
                remedy="GradientDescent, a shorter time, or a larger budget=",
            )
        return rate * problem.force(a.reshape(shape)).ravel()

    return slope
