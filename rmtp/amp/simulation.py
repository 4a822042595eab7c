"""Algorithms on real arrays, and the comparison with their limit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ..arrays import evaluate, leaves
from ..errors import BadParameter, DivergentExpectation
from ..handles import Node
from ..instructions import RandomMatrix
from ..language import program as program_of
from ..progress import progress
from ..results import Estimate, with_error
from ..sample import draw, generator, positive, run
from ..verify import Verification, check_widths
from .evolution import Algorithm, Trajectory, label, state_evolution
from .problems import Problem


@dataclass(frozen=True, eq=False)
class Simulation:
    """What an algorithm did on drawn data.

    Attributes
    ----------
    width : int
        The size n of the signal.
    mse, overlap, power : ndarray (trials, steps + 1), overlap (.., k, k) for a signal of k columns
        Averages over coordinates, as in `Trajectory`.
    averages : dict of str to ndarray

    Examples
    --------
    >>> import rmtp
    >>> from rmtp.amp import informed_start, power_iteration, simulate, spiked_wigner
    >>> found = simulate(power_iteration, informed_start(spiked_wigner(2, [-1, 1]), 0.5), 3, width=200, trials=2, rng=0)
    >>> found.overlap.shape
    (2, 4)
    """

    name: str
    width: int
    mse: np.ndarray
    overlap: np.ndarray
    power: np.ndarray
    averages: dict[str, np.ndarray]

    def mean(self, what: str = "mse") -> np.ndarray:
        """Mean over trials, per step."""
        return self._column(what).mean(axis=0)

    def se(self, what: str = "mse") -> np.ndarray:
        """Standard error of the mean, per step."""
        column = self._column(what)
        return column.std(axis=0, ddof=1) / np.sqrt(len(column))

    def _column(self, what: str) -> np.ndarray:
        columns = {"mse": self.mse, "overlap": self.overlap, "power": self.power, **self.averages}
        if what not in columns:
            raise BadParameter(f"{what!r} was not measured", remedy=f"one of {', '.join(columns)}")
        return columns[what]


def simulate(
    algorithm: Algorithm,
    problem: Problem,
    steps: int,
    width: int,
    trials: int = 1,
    rng: np.random.Generator | int | None = None,
    *,
    entries: str | None = None,
    also: Mapping[str, Callable[..., Any]] | None = None,
) -> Simulation:
    """The same algorithm on real arrays.

    Parameters
    ----------
    algorithm : callable
        See `state_evolution`; here it gets arrays.
    problem : Problem
    steps : int
    width : int
        The size n of the signal; other sizes follow by their ratios.
    trials : int
    rng : Generator or int, optional
        Each trial has its own child.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}, optional
        The entry law of all matrices with independent entries.
    also : dict of str to callable, optional
        ``f(x, x0, *data)``.

    Returns
    -------
    Simulation

    Raises
    ------
    DivergentExpectation
        If an estimate is not finite, with the step.

    Examples
    --------
    >>> from functools import partial
    >>> from rmtp.amp import amp, bernoulli_gauss, linear_model, simulate, soft
    >>> found = simulate(partial(amp, denoiser=soft(1.5)), linear_model(0.5, bernoulli_gauss(0.1), 0.01), 5, 1000, 2, rng=0)
    >>> bool(abs(found.mean()[-1] - 0.0097) < 0.003)
    True
    """
    width, trials = positive(width, "width"), positive(trials, "trials")
    algorithm = _in_floats(algorithm)
    columns: dict[str, list[np.ndarray]] = {}
    for stream in progress(generator(rng).spawn(trials), f"{label(algorithm)}, n = {width}", trials):
        found = _trial(algorithm, problem, steps, width, stream, entries, also or {})
        for key, value in found.items():
            columns.setdefault(key, []).append(value)
    stacked = {key: np.stack(value) for key, value in columns.items()}
    return Simulation(
        label(algorithm), width, stacked.pop("mse"), stacked.pop("overlap"), stacked.pop("power"), stacked
    )


def _in_floats(algorithm: Algorithm) -> Algorithm:
    """The same with its rational parameters as floats, which arrays need to stay arrays of floats."""
    if not isinstance(algorithm, partial):
        return algorithm
    keywords = {key: float(v) if isinstance(v, Fraction) else v for key, v in algorithm.keywords.items()}
    return partial(algorithm.func, *algorithm.args, **keywords)


def _trial(
    algorithm: Algorithm,
    problem: Problem,
    steps: int,
    width: int,
    rng: np.random.Generator,
    entries: str | None,
    also: Mapping[str, Callable[..., Any]],
) -> dict[str, np.ndarray]:
    data, start, extra, x0 = drawn(problem, width, rng, entries)
    columns: dict[str, list[Any]] = {"mse": [], "overlap": [], "power": [], **{key: [] for key in also}}
    with np.errstate(over="ignore", invalid="ignore"):
        for t, x in enumerate(itertools.islice(iter(algorithm(*data, start, *extra)), steps + 1)):
            if x.dtype == object:
                raise BadParameter(
                    f"estimate {t} of {label(algorithm)} is an array of Python objects",
                    remedy="floats as parameters, or rationals set by functools.partial",
                )
            if not np.all(np.isfinite(x)):
                raise DivergentExpectation(
                    f"{label(algorithm)} is not finite at step {t} (n = {width})",
                    remedy="a smaller step; state_evolution(..).divergence tells where the limit diverges",
                )
            columns["mse"].append(np.sum(np.mean((x - x0) ** 2, axis=0)))
            columns["overlap"].append(x.T @ x0 / len(x0))
            columns["power"].append(np.sum(np.mean(x * x, axis=0)))
            for key, f in also.items():
                columns[key].append(f(x, x0, *data))
    if len(columns["mse"]) != steps + 1:
        raise BadParameter(f"{label(algorithm)} stopped after {len(columns['mse']) - 1} steps", remedy="a longer loop")
    return {key: np.array(value, dtype=float) for key, value in columns.items()}


def drawn(
    problem: Problem, width: int, rng: np.random.Generator, entries: str | None = None
) -> tuple[tuple[np.ndarray, ...], np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    """One draw of a problem: (the data, the start, what else the algorithm gets, the signal), as arrays."""
    vectors: dict[int, Node] = {}
    matrices: dict[int, RandomMatrix] = {}
    leaves(problem.matrix, vectors, matrices)
    assert problem.start is not None
    observed = () if problem.observed is None else (problem.observed,)
    asked: list[Node] = [problem.signal, problem.start, *observed, *problem.extra, *vectors.values()]
    streams = rng.spawn(len(matrices) + 1)
    arrays = {key: draw(m, width, s, entries) for (key, m), s in zip(matrices.items(), streams[1:], strict=True)}
    program = program_of(*asked)
    # matrices outlive their last line: the algorithm goes on with them
    values = run(program, width, streams[0], entries, arrays)
    x0, start, *rest = values
    given, rest = rest[: len(observed)], rest[len(observed) :]
    extra, inside = rest[: len(problem.extra)], rest[len(problem.extra) :]
    A = evaluate(problem.matrix, width, arrays, dict(zip(vectors, inside, strict=True)))
    return (A, *given), start, tuple(extra), x0


# ---------------------------------------------------------------------------------------------
# the comparison


@dataclass(frozen=True, eq=False)
class Comparison:
    """A trajectory beside simulations at growing sizes.

    Attributes
    ----------
    trajectory : Trajectory
    simulations : tuple of Simulation
        By increasing width.
    """

    trajectory: Trajectory
    simulations: tuple[Simulation, ...]

    def verification(self, step: int, what: str = "mse") -> Verification:
        """The samples of one average at one step against its limit."""
        estimate = _quantity(self.trajectory, what)
        value, error = np.asarray(estimate.value)[step], np.broadcast_to(estimate.error, np.shape(estimate.value))[step]
        claim = Estimate(float(value), float(error), estimate.method)
        samples = tuple(s._column(what)[:, step] for s in self.simulations)
        return Verification(claim, tuple(s.width for s in self.simulations), samples, f"{what}, step {step}")

    def scores(self, what: str = "mse") -> np.ndarray:
        """Per step, the z-score of the limit against the means extrapolated to infinite size."""
        return np.array([self._score(t, what) for t in range(self.trajectory.steps + 1)])

    def _score(self, step: int, what: str) -> float:
        return self.verification(step, what).score

    def passed(self, threshold: float = 4.0) -> bool:
        """Whether all steps agree; steps share their draws, so the false-alarm rate is at most steps times 6e-5."""
        return bool(np.all(np.abs(self.scores()) < threshold))

    def to_markdown(self) -> str:
        """A table with one row per step."""
        head = ["step", "limit", *(f"n = {s.width}" for s in self.simulations), "z"]
        rows = ["| " + " | ".join(head) + " |", "|" + " --: |" * len(head)]
        mse, scores = self.trajectory.mse, self.scores()
        errors = np.broadcast_to(mse.error, np.shape(mse.value))
        for t in range(self.trajectory.steps + 1):
            cells = [with_error(float(s.mean()[t]), float(s.se()[t])) for s in self.simulations]
            limit_text = with_error(float(mse.value[t]), float(errors[t]))
            rows.append(f"| {t} | {limit_text} | " + " | ".join(cells) + f" | {scores[t]:+.2f} |")
        return "\n".join(rows)

    def __str__(self) -> str:
        verdict = "agrees" if self.passed() else "DISAGREES"
        return f"{self.trajectory.name}, mean squared error\n{self.to_markdown()}\n{verdict}"

    def plot(self, ax: Any = None) -> Any:
        """The limit as a line, the means of the largest size over it; returns the Axes."""
        from ..plotiterations import plot_evolution

        return plot_evolution(self.trajectory, self.simulations[-1], ax=ax)


def compare(
    algorithm: Algorithm,
    problem: Problem,
    steps: int,
    widths: Sequence[int] = (500, 1000),
    trials: int = 32,
    rng: np.random.Generator | int | None = 0,
    *,
    entries: str | None = None,
    **options: Any,
) -> Comparison:
    """State evolution beside simulations, with z-scores.

    Law: the mean of a trial at size n is limit + c/n.

    Parameters
    ----------
    algorithm, problem, steps
        See `state_evolution`.
    widths : sequence of int
    trials : int
        At each width.
    rng : Generator or int, optional
    entries : str, optional
        See `simulate`.
    **options
        Passed to `state_evolution`.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> from functools import partial
    >>> from rmtp.amp import compare, gradient_descent, linear_model
    >>> import scipy.stats
    >>> problem = linear_model(2, scipy.stats.norm(), 0.1)
    >>> compare(partial(gradient_descent, step=0.5), problem, 5, widths=(100, 200), trials=30).passed()
    True
    """
    sizes = check_widths(widths)
    if positive(trials, "trials") < 2:
        raise BadParameter(f"trials={trials!r}", remedy="at least 2, or there is no standard error")
    trajectory = state_evolution(algorithm, problem, steps, **options)
    streams = generator(rng).spawn(len(sizes))
    found = [
        simulate(algorithm, problem, steps, n, trials, stream, entries=entries)
        for n, stream in zip(sizes, streams, strict=True)
    ]
    return Comparison(trajectory, tuple(found))


def _quantity(trajectory: Trajectory, what: str) -> Estimate:
    columns = {
        "mse": trajectory.mse,
        "overlap": trajectory.overlap,
        "power": trajectory.power,
        **trajectory.averages,
    }
    if what not in columns:
        raise BadParameter(f"{what!r} is not in the trajectory", remedy=f"one of {', '.join(columns)}")
    return columns[what]
