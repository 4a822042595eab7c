"""State evolution: the trajectory of an algorithm in the limit of infinite size.

The algorithm is run on handles of a program, as it would run on arrays, and the master theorem does the rest. Nothing here
knows AMP from gradient descent: where an Onsager term cancels the memory, the walk finds that out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arguments import MOST, function
from ..axes import Along, stacked
from ..errors import BadParameter, RmtpError, UnsupportedOperation
from ..expect.engine import Options
from ..handles import Node, Vector
from ..instructions import MatVec, RandomMatrix
from ..language import program as program_of
from ..limit import answer, checked_options
from ..memory import Memory, hat_covariance, memory
from ..program import Program
from ..results import Estimate, with_error
from ..theorem import MasterTheorem
from .fresh import beneath, fresh
from .observed import check_unseen, shown
from .problems import Problem

Algorithm = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The limit of an algorithm, step by step; entry 0 of every array is the start.

    Attributes
    ----------
    mse : Estimate (steps + 1, \\*sweep)
        E (Z^{x_t} - Z^{x_0})**2, per coordinate of the signal (summed over the columns of a signal of several).
    overlap : Estimate (steps + 1, \\*sweep), or (steps + 1, k, k) for k columns
        E Z^{x_t} Z^{x_0}.
    power : Estimate (steps + 1, \\*sweep)
        E (Z^{x_t})**2.
    effective_noise : Estimate (steps, \\*sweep), or (steps, k, k) for k columns
        Var Zhat of the last product with A.T (of a symmetric matrix: with Y) on the way from x_t to x_{t+1}; None if some
        step has no such product.
    averages : dict of str to Estimate
        What was asked for with ``also=``.
    signal_power : float or array
        E (Z^{x_0})**2.
    naive : Trajectory or None
        The same with fresh data at every step.

    Examples
    --------
    >>> from functools import partial
    >>> import rmtp
    >>> from rmtp.amp import amp, linear_model, bernoulli_gauss, soft
    >>> found = rmtp.state_evolution(partial(amp, denoiser=soft(1.5)), linear_model(0.5, bernoulli_gauss(0.1), 0.01), 3)
    >>> [round(float(v), 6) for v in found.mse.value]
    [0.1, 0.042115, 0.023218, 0.015288]
    """

    name: str
    mse: Estimate
    overlap: Estimate
    power: Estimate
    effective_noise: Estimate | None
    averages: dict[str, Estimate]
    signal_power: Any
    naive: Trajectory | None = None
    _walk: MasterTheorem | None = field(default=None, repr=False)
    _names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.mse.value) - 1

    @property
    def cosine(self) -> Estimate:
        """overlap / sqrt(power * signal_power), the cosine of the angle to the signal; 0 for the zero vector."""
        overlap, power = (np.asarray(v, dtype=float) for v in (self.overlap.value, self.power.value))
        if overlap.ndim > power.ndim:
            raise UnsupportedOperation("the cosine of several columns", remedy="overlap, a matrix per step")
        scale = np.sqrt(power * np.asarray(self.signal_power, dtype=float))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(scale > 0, overlap / scale, 0.0)
            relative = np.hypot(
                np.asarray(self.overlap.error, dtype=float) / scale,
                value * np.asarray(self.power.error, dtype=float) / (2 * power),
            )
        return Estimate(value, np.where(scale > 0, relative, 0.0), self.overlap.method)

    @property
    def divergence(self) -> int | None:
        """The step from which the estimate only grows, past a hundred times the signal's power; None if it does not."""
        mse = np.asarray(self.mse.value, dtype=float).reshape(self.steps + 1, -1).max(axis=1)
        limit = 100 * max(float(np.max(self.signal_power)), 1e-300)
        if self.steps < 2 or mse[-1] <= max(limit, 10 * mse[0]):
            return None
        growing = [t for t in range(self.steps) if mse[t + 1] <= mse[t]]
        return growing[-1] + 1 if growing else 0

    def memory(self, transposed: bool = False, matrix: RandomMatrix | None = None) -> Memory:
        """How the products ``A @ x_t`` (transposed: ``A.T @ z_t``) split into a Gaussian part and earlier vectors.

        Parameters
        ----------
        transposed : bool
        matrix : RandomMatrix, optional
            One of several.

        Returns
        -------
        Memory

        Raises
        ------
        UnsupportedOperation
            For a sweep that was sampled point by point.
        """
        if self._walk is None:
            raise UnsupportedOperation("the memory of a sweep that was sampled", remedy="one value of the parameters")
        found = matrices(self._walk.program)
        if not found:
            raise UnsupportedOperation("an algorithm without products", remedy="one that uses its matrix")
        return memory(self._walk, matrix or found[0], transposed, self._names)

    # -- reports ----------------------------------------------------------------------------------

    def _columns(self) -> dict[str, Estimate]:
        shown = {"mse": self.mse, "overlap": self.overlap, **self.averages}
        if self.effective_noise is not None:
            shown["noise"] = self.effective_noise
        if self.naive is not None:
            shown["naive mse"] = self.naive.mse
        return {key: e for key, e in shown.items() if np.ndim(e.value) == 1}

    def to_markdown(self) -> str:
        """A table with one row per step."""
        columns = self._columns()
        if not columns:
            raise UnsupportedOperation("a table of a sweep", remedy="plot it, or one value of the parameters")
        rows = ["| step | " + " | ".join(columns) + " |", "| --: |" + " --: |" * len(columns)]
        for t in range(self.steps + 1):
            cells = [
                with_error(float(e.value[t]), float(_at(e.error, t))) if t < len(e.value) else ""
                for e in columns.values()
            ]
            rows.append(f"| {t} | " + " | ".join(cells) + " |")
        return "\n".join(rows)

    def __str__(self) -> str:
        if np.ndim(self.mse.value) > 1:
            return f"{self.name}: {self.steps} steps over a sweep of shape {np.shape(self.mse.value)[1:]}"
        lines = [f"{self.name}, {self.mse.method}", *self.to_markdown().splitlines()]
        if self.divergence is not None:
            lines.append(f"diverges from step {self.divergence}")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """The mean squared error against the step; returns the Axes."""
        from ..plotiterations import plot_evolution

        return plot_evolution(self, ax=ax)


def _at(error: Any, t: int) -> Any:
    return error[t] if np.ndim(error) else error


def state_evolution(
    algorithm: Algorithm,
    problem: Problem,
    steps: int,
    *,
    naive: bool = False,
    also: Mapping[str, Callable[..., Any]] | None = None,
    method: str = "auto",
    rtol: float = 1e-8,
    exact: bool = False,
    budget: int | None = None,
    seed: int = 0,
) -> Trajectory:
    """What an iterative algorithm does as the size goes to infinity, memory terms included.

    Law: every product is ``Z^{A x} = Zhat + Zdot`` (TP III, 2009.10685); averages over coordinates are expectations.

    Parameters
    ----------
    algorithm : callable
        ``algorithm(A, y, x, *extra)`` (or ``algorithm(Y, x)``) yields x, then one estimate per step; written in NumPy, so
        that it runs on arrays as it is. Set its parameters with functools.partial.
    problem : Problem
    steps : int
        Number of steps after the start.
    naive : bool
        Also compute what fresh data at every step would give (a new A, and y made with it), as ``trajectory.naive``.
    also : dict of str to callable, optional
        More averages per step: ``f(x, x0, *problem.data)`` returns a Scalar.
    method, rtol, exact, budget, seed
        See `limit`.

    Returns
    -------
    Trajectory
        Exact (Fractions) or by algebra for linear algorithms, closed forms or quadrature where only few Gaussians matter,
        else Sobol points with a standard error.

    Raises
    ------
    BadParameter
        If the algorithm reads the signal, stops early or yields something else than vectors of the signal's shape.
    DivergentExpectation
        If an estimate has no second moment.
    BudgetExceeded
        See `limit`.

    Notes
    -----
    A step too long for stability is not an error, since every finite step has a limit: see `Trajectory.divergence`.
    Bayati & Montanari 2011 for AMP; Celentano, Montanari & Wu 2020 for general first-order methods.

    Examples
    --------
    >>> from functools import partial
    >>> from fractions import Fraction
    >>> import rmtp, scipy.stats
    >>> from rmtp.amp import gradient_descent, linear_model
    >>> problem = linear_model(2, scipy.stats.norm(), Fraction(1, 10))
    >>> descent = partial(gradient_descent, step=0.5)
    >>> found = rmtp.state_evolution(descent, problem, 20, naive=True)
    >>> round(float(found.mse.value[-1]), 6), round(float(found.naive.mse.value[-1]), 6)
    (0.171866, 0.04)
    """
    options = checked_options(method, rtol, exact, None, budget, "auto", seed)
    run = trace(algorithm, problem, steps, also or {})
    found = _evolve(run, options, label(algorithm))
    if not naive:
        return found
    renewed = measured(problem, fresh(run.iterates, problem.observed), {})
    return replace(found, naive=_evolve(renewed, options, label(algorithm)))


@dataclass(frozen=True, eq=False)
class Run:
    """An algorithm that ran on handles: its iterates, and the averages that describe them."""

    problem: Problem
    iterates: tuple[Vector, ...]
    averages: dict[str, tuple[Any, ...]]
    signal_power: Any


def trace(algorithm: Algorithm, problem: Problem, steps: int, also: Mapping[str, Callable[..., Any]]) -> Run:
    """Run an algorithm on the handles of a problem."""
    function(algorithm, "algorithm")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 0 <= steps <= MOST:
        raise BadParameter(f"steps={steps!r}", remedy="an int >= 0")
    if not isinstance(problem, Problem):
        raise BadParameter(f"problem={problem!r}", remedy="rmtp.amp.linear_model(...), or rmtp.amp.Problem(A, x0, y)")
    seen, products = shown(problem.matrix)
    start = problem.start
    assert start is not None
    data = (seen, *problem.data[1:])
    try:
        made = algorithm(*data, start, *problem.extra)
    except RmtpError:
        raise
    except TypeError as error:
        raise BadParameter(
            f"{label(algorithm)} cannot be called with {len(data) + 1 + len(problem.extra)} arguments: {error}",
            remedy="algorithm(A, y, x, ...) for a linear model, algorithm(Y, x) for a spiked matrix",
        ) from error
    iterates = tuple(_taken(made, algorithm, steps, problem.signal))
    given = [start, *problem.extra, *(problem.data[1:])]
    check_unseen(iterates, problem.signal, given, products)
    return measured(problem, iterates, also)


def measured(problem: Problem, iterates: tuple[Vector, ...], also: Mapping[str, Callable[..., Any]]) -> Run:
    """The averages that describe some estimates."""
    x0 = problem.signal
    averages = {
        "mse": tuple(_total(np.mean((x - x0) ** 2, axis=0)) for x in iterates),
        "overlap": tuple(_products(x, x0) for x in iterates),
        "power": tuple(_total(np.mean(x**2, axis=0)) for x in iterates),
    }
    for key, f in also.items():
        averages[key] = tuple(f(x, x0, *problem.data) for x in iterates)
    return Run(problem, iterates, averages, _total(np.mean(x0**2, axis=0)))


def _taken(made: Any, algorithm: Algorithm, steps: int, signal: Vector) -> Iterator[Vector]:
    if not hasattr(made, "__iter__") or isinstance(made, Node):
        raise BadParameter(
            f"{label(algorithm)} returned {type(made).__name__}",
            remedy="a generator that yields the start, then one estimate per step: while True: yield x; x = ...",
        )
    count = 0
    for x in itertools.islice(iter(made), steps + 1):
        if not isinstance(x, Vector) or x.dim != signal.dim or len(x.axes) != len(signal.axes):
            raise BadParameter(
                f"estimate {count} of {label(algorithm)} is {x!r}",
                remedy=f"a vector of the signal's shape {signal.shape}",
            )
        count += 1
        yield x
    if count <= steps:
        raise BadParameter(f"{label(algorithm)} stopped after {count - 1} steps", remedy=f"yield {steps + 1} estimates")


def label(algorithm: Algorithm) -> str:
    """The name of an algorithm, its parameters set or not."""
    inner = getattr(algorithm, "func", algorithm)
    return str(getattr(inner, "__name__", type(inner).__name__))


def _total(x: Any) -> Any:
    return np.sum(x) if x.axes else x


def _products(x: Any, x0: Any) -> Any:
    if not x0.axes:
        return np.mean(x * x0)
    k = range(x0.axes[0][1])
    return np.stack([np.stack([np.mean(x[:, i] * x0[:, j]) for j in k]) for i in k])


def _evolve(run: Run, options: Options, name: str) -> Trajectory:
    handles = [a for column in run.averages.values() for a in column]
    asked = [*handles, run.signal_power]
    answers, walked = answer(program_of(*asked, *run.iterates), options, False, asked, run.iterates)
    rest = iter(answers)
    columns = {key: _joined([next(rest) for _ in column]) for key, column in run.averages.items()}
    return Trajectory(
        name,
        columns.pop("mse"),
        columns.pop("overlap"),
        columns.pop("power"),
        _effective_noise(walked, len(run.iterates)),
        columns,
        next(rest).value,
        None,
        walked,
        () if walked is None else _names(walked.program, run),
    )


def _joined(estimates: Sequence[Estimate]) -> Estimate:
    """Numbers, or sweeps, of one quantity along the steps; an early step may not know the sweep yet."""
    shape = np.broadcast_shapes(*(np.shape(e.value) for e in estimates))
    if not shape:
        return stacked(estimates, (len(estimates),))
    wide = [
        replace(
            e, value=np.broadcast_to(np.asarray(e.value, dtype=float), shape), error=np.broadcast_to(e.error, shape)
        )
        for e in estimates
    ]
    return stacked(wide, (len(wide),))


def matrices(program: Program) -> list[RandomMatrix]:
    """The random matrices of a program, in order of first use."""
    return list({id(line.op.matrix): line.op.matrix for line in program.lines if isinstance(line.op, MatVec)}.values())


def _last_products(program: Program, iterates: Sequence[int]) -> list[int | None]:
    """Per step, the last product on the way to the estimate: with A.T, or with a symmetric matrix."""
    out: list[int | None] = []
    for before, now in itertools.pairwise(iterates):
        lines = beneath(program, now) - beneath(program, before)
        products = [
            k
            for k in lines
            if isinstance(op := program.lines[k].op, MatVec)
            and op.matrix.cols == program.lines[now].dim
            and (op.transposed or op.matrix.rows == op.matrix.cols)
        ]
        out.append(max(products, default=None))
    return out


def _effective_noise(walked: MasterTheorem | None, count: int) -> Estimate | None:
    if walked is None:
        return None
    products = _last_products(walked.program, walked.program.outputs[-count:])
    if any(k is None for k in products) or not products:
        return None
    with walked.expect.record() as ranks:
        values = [hat_covariance(walked, k) for k in products if k is not None]
        rank = ranks[-1]
    return _joined([_entrywise(walked, v, rank) for v in values])


def _entrywise(walked: MasterTheorem, value: Any, rank: int) -> Estimate:
    if not isinstance(value, Along):
        return walked.estimate(value, rank)
    return stacked([walked.estimate(v, rank) for v in value.array.ravel()], value.array.shape)


def _names(program: Program, run: Run) -> tuple[str, ...]:
    """Estimates are x_0, x_1, ..; what else is multiplied is z_0, z_1, ..; the signal and named vectors keep their names."""
    names = [line.name or "" for line in program.lines]
    for t, k in enumerate(program.outputs[-len(run.iterates) :]):
        names[k] = f"x_{t}"
    operands = dict.fromkeys(line.args[0] for line in program.lines if isinstance(line.op, MatVec))
    for count, k in enumerate(k for k in operands if not names[k]):
        names[k] = f"z_{count}"
    return tuple(names)
