"""Parameter studies: a function over a grid, on any executor, with finished points kept on disk."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import executor as checked_executor
from .checkpoints import Checkpoints, key_of
from .comparison import aligned, markdown
from .errors import BadParameter, PointsFailed, UnsupportedOperation
from .formulas import accepted, check_used
from .grids import Grid, grid, place, short_value
from .progress import progress
from .records import record
from .results import Estimate, with_error

SHOWN = 5  # failures that a message lists


@dataclass(frozen=True)
class Failure:
    """A point that has no value, and why.

    Attributes
    ----------
    parameters : dict
    kind, message : str
        The class of the exception and what it said.
    traceback : str
        Where it was raised, as text: it may have been on another machine.
    """

    parameters: dict[str, Any]
    kind: str
    message: str
    traceback: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{place(self.parameters) or 'the only point'}: {self.kind}: {self.message}"


@dataclass(frozen=True, eq=False)
class Study:
    """The values of a function over a grid.

    ``study[name]`` is an array over the axes of the grid; it exists if every point has a value. `masked` shows what stands.

    Attributes
    ----------
    grid : Grid
    results : tuple of (dict of str to Estimate) or None
        One per point, in the order of the grid; None where the point failed.
    failures : tuple of Failure

    Examples
    --------
    >>> import rmtp
    >>> study = rmtp.sweep(lambda a, b: {"sum": a + b, "ratio": a / b}, {"a": [1, 2, 3], "b": [1, 2]})
    >>> study.names, study["sum"].tolist()
    (('sum', 'ratio'), [[2.0, 3.0], [3.0, 4.0], [4.0, 5.0]])
    >>> study = rmtp.sweep(lambda b: 1 / b, {"b": [0, 2]})
    >>> study.masked().tolist(), study.failures[0].kind
    ([None, 0.5], 'ZeroDivisionError')
    """

    grid: Grid
    results: tuple[dict[str, Estimate] | None, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What was computed; one empty name if the function returned single numbers."""
        return tuple(dict.fromkeys(name for found in self.results if found is not None for name in found))

    def only(self, name: str | None = None) -> str:
        """The name given, or the only one."""
        names = self.names
        if not names:
            self.raise_failures()
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            raise BadParameter(
                f"the study has no {name!r}" if name else "which one?", remedy=f"one of {', '.join(names)}"
            )
        return name

    def raise_failures(self) -> None:
        """Nothing if every point has a value.

        Raises
        ------
        PointsFailed
            Naming the points, with the first traceback as a note.
        """
        if not self.failures:
            return
        listed = "\n  ".join(str(f) for f in self.failures[:SHOWN])
        more = f"\n  and {len(self.failures) - SHOWN} more: see .failures" if len(self.failures) > SHOWN else ""
        pickled = "pickle" in self.failures[0].message.lower() or self.failures[0].kind == "PicklingError"
        remedy = "a function that stands in a module, so that processes can import it" if pickled else ""
        error = PointsFailed(
            f"{len(self.failures)} of {len(self.results)} points have no value\n  {listed}{more}",
            remedy=remedy
            or "study.masked() shows the points that stand; with path=, another call runs the others alone",
        )
        if self.failures[0].traceback:
            error.add_note(self.failures[0].traceback)
        raise error

    def estimates(self, name: str | None = None) -> np.ndarray:
        """Estimates over the grid (fractions stay fractions); None where a point failed."""
        key = self.only(name)
        out = np.empty(len(self.results), dtype=object)
        for k, found in enumerate(self.results):
            if found is not None and key not in found:
                raise PointsFailed(
                    f"{key!r} is missing at {place(self.grid.points[k])}",
                    remedy="a function that returns the same names",
                )
            out[k] = None if found is None else found[key]
        return out.reshape(self.grid.shape)

    def masked(self, name: str | None = None) -> np.ma.MaskedArray:
        """Values over the grid, with further axes for those of an array; failed points are masked."""
        return self._array(name, lambda e: e.value)

    def error(self, name: str | None = None) -> np.ma.MaskedArray:
        """Their errors, likewise; 0 for numbers that state none."""
        return self._array(name, lambda e: np.broadcast_to(np.asarray(e.error, dtype=float), np.shape(e.value)))

    def _array(self, name: str | None, part: Callable[[Estimate], Any]) -> np.ma.MaskedArray:
        found = self.estimates(name).ravel()
        kept = {k: np.asarray(part(e)) for k, e in enumerate(found) if e is not None}
        kept = {k: v.astype(float) if v.dtype == object else v for k, v in kept.items()}
        shapes = {v.shape for v in kept.values()}
        if len(shapes) > 1:
            raise UnsupportedOperation(
                f"values of shapes {sorted(shapes)} in one array", remedy="study.estimates(), one entry per point"
            )
        shape = shapes.pop()
        kind = np.result_type(float, *kept.values())
        values = np.ma.masked_all((len(found), *shape), dtype=kind)
        for k, value in kept.items():
            values[k] = value
        return values.reshape(self.grid.shape + shape)

    def __getitem__(self, name: str) -> np.ndarray:
        self.raise_failures()
        return np.asarray(self.masked(name).data)

    @property
    def value(self) -> np.ndarray:
        """The only number of a study, over the grid."""
        return self[self.only()]

    # -- reports ----------------------------------------------------------------------------------

    def _table(self) -> list[tuple[str, ...]]:
        names = self.names
        lines = [(*self.grid.names, *(name or "value" for name in names))]
        for point, found in zip(self.grid.points, self.results, strict=True):
            cells = ["failed" if found is None else _cell(found.get(name)) for name in names]
            lines.append((*(short_value(point[name]) for name in self.grid.names), *cells))
        return lines

    def to_markdown(self) -> str:
        """A table with one row per point."""
        return "\n".join([markdown(self._table()), *(f"\nfailed at {f}" for f in self.failures)])

    def __str__(self) -> str:
        return "\n".join([aligned(self._table()), *(f"failed at {f}" for f in self.failures[:SHOWN])])

    def __repr__(self) -> str:
        axes = ", ".join(f"{name}: {len(values)}" for name, values in self.grid.axes.items())
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"<Study of {', '.join(n or 'one number' for n in self.names)} over {axes}{failed}>"

    def plot(self, name: str | None = None, ax: Any = None) -> Any:
        """One number over the grid: curves, or a map if the second axis is long; returns the Axes."""
        from .plotstudies import plot_study

        return plot_study(self, name, ax=ax)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if np.ndim(estimate.value):
        return f"array {np.shape(estimate.value)}"
    value, error = estimate.value, estimate.error
    return with_error(value, float(error)) if isinstance(value, float) or error else str(value)


# ---------------------------------------------------------------------------------------------
# running


def sweep(
    f: Callable[..., Any],
    grid: Any,
    *,
    path: str | Path | None = None,
    version: str | None = None,
    executor: Executor | None = None,
) -> Study:
    """A function over a grid of parameters.

    Law: ``study[name][i, j, ...]`` is what ``f(a=axis_a[i], b=axis_b[j], ...)`` returned under that name.

    Parameters
    ----------
    f : callable
        Takes the parameters by name; returns a finite number, an Estimate, an array, or a dict of them by name.
    grid : dict of sequences (their product), or list of dicts
    path : str or Path, optional
        A folder for finished points, one small file each, written whole or not at all. A run that was interrupted, at
        whatever moment, is taken up by the same call; points that failed run again.
    version : str, optional
        With `path`: a word of yours for everything the values depend on besides the grid. Without it the code of f (and of
        functions in its closure) stands for that; functions that f calls by a global name are not looked at.
    executor : concurrent.futures.Executor, optional
        Threads, processes, a cluster (``client.get_executor()`` of dask.distributed). f and the parameters must travel to it.

    Returns
    -------
    Study
        Points whose call raised are in ``failures``; arrays exist if there are none, masked arrays always.

    Raises
    ------
    BadParameter
        If f lacks or needs parameters, the folder belongs to another study, or a file of it is damaged.
    concurrent.futures.BrokenExecutor
        If the executor died; with `path`, finished points are kept.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> def gain(std, depth):
    ...     x = h = rmtp.Normal(rmtp.Dim("n"))
    ...     for _ in range(depth):
    ...         h = rmtp.relu(rmtp.Gaussian(x.dim, x.dim, std=std) @ h)
    ...     return rmtp.limit(np.mean(h**2))
    >>> study = rmtp.sweep(gain, {"std": [1, 2], "depth": [1, 2, 3]})
    >>> study.value.tolist()
    [[0.5, 0.25, 0.125], [2.0, 4.0, 8.0]]
    """
    made = make_grid(grid)
    if grid is None:
        raise BadParameter("grid=None", remedy='{"rho": [1, 2]}, or a list of dicts')
    if not callable(f):
        raise BadParameter(f"f={f!r}", remedy="a function of the parameters")
    check_used(made, accepted(f, made, "f"))
    checked_executor(executor)
    if version is not None and path is None:
        raise BadParameter("version= without path=", remedy="a folder, or no version")
    store = None if path is None else Checkpoints(path, made, key_of(f, version))
    results: list[dict[str, Estimate] | None] = [None] * len(made.points)
    if store is not None:
        results = [store.load(k) for k in range(len(made.points))]
    failures: dict[int, Failure] = {}
    left = [k for k, found in enumerate(results) if found is None]
    done = _in_turn(f, made, left) if executor is None else _spread(f, made, left, executor)
    for k, outcome in progress(done, "sweep", total=len(left)):
        if isinstance(outcome, Failure):
            failures[k] = outcome
            continue
        results[k] = outcome
        if store is not None:
            store.save(k, outcome)
    return Study(made, tuple(results), tuple(failures[k] for k in sorted(failures)))


make_grid = grid  # `grid` is the name of sweep's argument
Outcome = dict[str, Estimate] | Failure


def _task(f: Callable[..., Any], point: dict[str, Any]) -> Outcome:
    """One point, here or on a worker; whatever the function raises is an outcome."""
    try:
        return record(f(**point))
    except Exception as error:
        return _failure(point, error)


def _failure(point: dict[str, Any], error: BaseException) -> Failure:
    text = "".join(traceback.format_exception(error))
    return Failure(point, type(error).__name__, str(error).splitlines()[0] if str(error) else "", text)


def _in_turn(f: Callable[..., Any], grid: Grid, left: list[int]) -> Iterator[tuple[int, Outcome]]:
    for k in left:
        yield k, _task(f, grid.points[k])


def _spread(f: Callable[..., Any], grid: Grid, left: list[int], executor: Executor) -> Iterator[tuple[int, Outcome]]:
    futures = {executor.submit(_task, f, grid.points[k]): k for k in left}
    try:
        for future in as_completed(futures):
            k, error = futures[future], future.exception()
            if isinstance(error, BrokenExecutor):
                error.add_note(
                    "the executor died; with path= the finished points are kept, and another call takes up the rest"
                )
                raise error
            yield k, future.result() if error is None else _failure(grid.points[k], error)
    finally:
        for future in futures:
            future.cancel()
