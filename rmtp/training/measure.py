"""Finite networks beside what exponents and limit models say: slopes in the width, and distances from the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import BadParameter, NoInfiniteWidth
from ..progress import progress
from ..sample import generator, positive
from ..verify import check_widths, line_fit
from .abcnets import Networks, activation, data, draw_networks, labels, loss_gradient
from .limits import finite_dynamics, limit_dynamics
from .scaling import Report, classify, first_step

Array = np.ndarray
QUANTITIES = ("f_0", "kernel", "update", "weights", "features", "kernel change")
_ROOM = 1 << 21  # numbers that one batch of draws may hold


@dataclass(frozen=True, eq=False)
class Slopes:
    """Powers of the width as measured, beside the predicted ones.

    Attributes
    ----------
    report : Report
    widths : tuple of int
    squares : dict
        Quantity -> ndarray (widths, draws): the mean square of one network's f_0 over points, of the entries of its tangent
        kernel, of the change of f in one step, and squared relative changes in that step of the first layer's weights, of the
        last hidden layer, and of the kernel.

    Examples
    --------
    >>> found = measure("ntk", [[1.0, 0.0], [0.0, 1.0]], [1, -1], widths=(64, 256, 1024), draws=40)
    >>> abs(found.slope("f_0")[0]) < 0.2
    True
    """

    report: Report
    widths: tuple[int, ...]
    squares: dict[str, Array]

    def size(self, quantity: str) -> tuple[Array, Array]:
        """Root mean square over draws, and its standard error, per width."""
        values = self.squares[quantity]
        root = np.sqrt(values.mean(axis=1))
        error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
        return root, np.divide(error, 2 * root, out=np.zeros_like(error), where=root > 0)

    def slope(self, quantity: str) -> tuple[float, float]:
        """The slope of log size against log width, and its standard error.

        Raises
        ------
        BadParameter
            If the quantity is zero in all networks of one width.
        """
        value, error = self.size(quantity)
        if not np.all(value > 0):
            raise BadParameter(f"{quantity} is zero, and has no slope", remedy="inputs that are not zero, more draws")
        fit = line_fit(np.log(self.widths), np.log(value), error / value)
        return fit.slope, fit.slope_error

    def predicted(self, quantity: str) -> Fraction:
        """The exponent of the arithmetic, of the first step."""
        e, (features, kernel_change) = self.report.exponents, first_step(self.report.scaling)
        known = (e.initial, e.kernel, e.update, e.weights[0], features, kernel_change)
        return dict(zip(QUANTITIES, known, strict=True))[quantity]

    def __str__(self) -> str:
        rows = [f"{'quantity':<14} {'measured':>16} {'predicted':>10}"]
        for name in QUANTITIES:
            slope, error = self.slope(name)
            rows.append(f"{name:<14} {slope:>+8.3f} ± {error:.3f} {self.predicted(name)!s:>10}")
        return "\n".join([repr(self.report.scaling), *rows, *self.report.notes])

    def plot(self, ax: Any = None) -> Any:
        """Sizes against the width over lines of the predicted slopes; returns the Axes."""
        from ..plotscalings import plot_slopes

        return plot_slopes(self, ax)


def measure(
    scaling: Any,
    x: Any,
    y: Any,
    *,
    depth: int = 1,
    widths: Sequence[int] = (128, 256, 512, 1024),
    draws: int = 20,
    learning_rate: float = 1.0,
    phi: Any = "tanh",
    rng: Any = 0,
) -> Slopes:
    """How outputs, kernels and features of finite networks scale with the width in the first step of training.

    Parameters
    ----------
    scaling, depth
        As for `classify`; any depth in abc form.
    x : array (points, d)
    y : array (points,)
        Labels -1 and 1 of the logistic loss.
    widths : sequence of int
    draws : int
        Networks per width.
    learning_rate : float
    phi : name or callable
    rng : Generator or int, optional

    Returns
    -------
    Slopes

    Raises
    ------
    NoInfiniteWidth
        If features do not stay of one size at initialisation and in the first steps.
    BadParameter, AxisError

    Notes
    -----
    A slope carries the corrections of small widths besides its standard error, which is over draws only.

    Examples
    --------
    >>> found = measure("mup", np.eye(2), [1, -1], depth=2, widths=(32, 64), draws=10)
    >>> found.squares["features"].shape
    (2, 10)
    """
    report = classify(scaling, depth=depth)
    if report.model is not None and report.model.corrected:
        raise BadParameter('slopes of "ic-mf"', remedy='"mf", which it trains, and "ntk", from which its f_0 is')
    if report.exponents.features > 0 or any(report.exponents.hidden):
        raise NoInfiniteWidth(f"no power laws: {report.explanation}", remedy="a scaling whose features stay finite")
    inputs, targets = data(x, y)
    labels(targets)
    sizes, fn = check_widths(widths), activation(phi)
    found: dict[str, list[Array]] = {name: [] for name in QUANTITIES}
    for width, stream in zip(progress(sizes, "widths"), generator(rng).spawn(len(sizes))):
        room = width * (width if report.scaling.depth > 1 else inputs.size)
        batches = _batches(_several(draws), max(1, _ROOM // room))
        parts = [
            _first_step(
                draw_networks(report.scaling, width, inputs.shape[1], count, child, phi=fn),
                inputs,
                targets,
                learning_rate,
            )
            for count, child in zip(batches, stream.spawn(len(batches)))
        ]
        for name in QUANTITIES:
            found[name].append(np.concatenate([part[name] for part in parts]))
    return Slopes(report, sizes, {name: np.stack(values) for name, values in found.items()})


def _several(draws: Any) -> int:
    if positive(draws, "draws") < 2:
        raise BadParameter(f"draws={draws}", remedy="at least 2, or there is no standard error")
    return int(draws)


def _batches(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]


def _first_step(nets: Networks, x: Array, y: Array, rate: float) -> dict[str, Array]:
    before, kernel, features = nets.outputs(x), nets.tangent_kernel(x), nets.features(x)
    after = nets.step(x, loss_gradient("logistic", before, y), rate)
    return {
        "f_0": np.mean(before**2, axis=1),
        "kernel": np.mean(kernel**2, axis=(1, 2)),
        "update": np.mean((after.outputs(x) - before) ** 2, axis=1),
        "weights": _relative(after.weights[0], nets.weights[0]),
        "features": _relative(after.features(x), features),
        "kernel change": _relative(after.tangent_kernel(x), kernel),
    }


def _relative(new: Array, old: Array) -> Array:
    axes = tuple(range(1, old.ndim))
    change, size = np.sum((new - old) ** 2, axis=axes), np.sum(old**2, axis=axes)
    return np.divide(change, size, out=np.zeros_like(size), where=size > 0)


# ---------------------------------------------------------------------------------------------
# distance from the limit


@dataclass(frozen=True, eq=False)
class Comparison:
    """Finite networks against the limit model, at growing width.

    Attributes
    ----------
    report : Report
    widths : tuple of int
    squares : tuple of ndarray (draws,)
        Per width and network: the squared distance of its outputs from the limit of the same initial function, averaged
        over steps and points, relative to the mean square of the limit's outputs.
    monte_carlo : float
        The same of the limit's own standard error.

    Examples
    --------
    >>> x, y = [[1.0, 0.0], [0.0, 1.0]], [1, -1]
    >>> found = compare("ntk", x, y, widths=(64, 1024), draws=20, steps=5)
    >>> bool(found.deviation[1] < found.deviation[0])
    True
    """

    report: Report
    widths: tuple[int, ...]
    squares: tuple[Array, ...]
    monte_carlo: float

    @property
    def deviation(self) -> Array:
        """Root mean square relative distance, per width."""
        return np.sqrt([s.mean() for s in self.squares])

    @property
    def median(self) -> Array:
        """The median over draws of one network's relative distance, per width.

        Where the gradient is a sign, a few networks near its jump are off by their whole size, and the mean square is theirs.
        """
        return np.sqrt([np.median(s) for s in self.squares])

    @property
    def error(self) -> Array:
        """The standard error of `deviation`, over draws."""
        return np.array([s.std(ddof=1) / len(s) ** 0.5 for s in self.squares]) / (2 * self.deviation)

    @property
    def slope(self) -> tuple[float, float]:
        """Of log deviation against log width, with its standard error."""
        fit = line_fit(np.log(self.widths), np.log(self.deviation), self.error / self.deviation)
        return fit.slope, fit.slope_error

    @property
    def name(self) -> str:
        """Of the limit model."""
        assert self.report.model is not None
        return self.report.model.name

    def __str__(self) -> str:
        rows = [f"  d = {n}: {d:.3f} ± {e:.3f}" for n, d, e in zip(self.widths, self.deviation, self.error)]
        slope = "{:+.2f} ± {:.2f}".format(*self.slope)
        head = f"{self.name}: relative distance of networks from the limit, slope {slope}, its own error {self.monte_carlo:.1g}"
        return "\n".join([head, *rows, *self.report.notes])


def compare(
    scaling: Any,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    widths: Sequence[int] = (128, 512, 2048),
    draws: int = 16,
    rng: Any = 0,
    particles: int = 4096,
    replicates: int = 8,
    **options: Any,
) -> Comparison:
    """Train finite networks and their limit side by side.

    Law: ``f_k / (d / d*)^kappa -> F_k``, where each network's limit starts at its own initial function.

    Parameters
    ----------
    scaling, x, y, x_test
        As for `limit_dynamics`.
    widths : sequence of int
    draws : int
        Networks per width, at least 2.
    rng : Generator or int, optional
    particles, replicates : int
        Of the limit.
    **options
        ``depth=``, ``steps=``, ``learning_rate=``, ``phi=``, ``sigma=``, ``reference=``.

    Returns
    -------
    Comparison
        Its ``report.notes`` say so where convergence is too slow to be seen.

    Raises
    ------
    NoInfiniteWidth, BadParameter, AxisError

    Examples
    --------
    >>> print(compare(("-2/3", "1/2"), [[1.0], [-1.0]], [1, -1], widths=(64, 256), draws=4).report.notes[0][:38])
    convergence is too slow to be seen: co
    """
    sizes = check_widths(widths)
    _several(draws)
    squares, errors = [], []
    for width, stream in zip(progress(sizes, "widths"), generator(rng).spawn(len(sizes))):
        finite_rng, limit_rng = stream.spawn(2)
        finite = finite_dynamics(scaling, x, y, x_test, width=width, draws=draws, rng=finite_rng, **options)
        limit = limit_dynamics(
            scaling,
            x,
            y,
            x_test,
            initial=finite.initial,
            particles=particles,
            replicates=replicates,
            rng=limit_rng,
            **options,
        )
        unit = float(np.mean(limit.outputs**2))
        if not unit:
            raise BadParameter(
                "the limit stays at zero: nothing to compare with", remedy="inputs that are not zero, more draws"
            )
        squares.append(np.mean((finite.outputs - limit.outputs) ** 2, axis=(0, 2)) / unit)
        errors.append(float(np.mean(limit.error**2)) / unit)
    return Comparison(finite.report, sizes, tuple(squares), float(np.sqrt(np.mean(errors))))


__all__ = ["QUANTITIES", "Comparison", "Slopes", "compare", "measure"]
