"""Feature learning by the master theorem: training, unrolled, is a program, and the engine takes its limit.

In the maximal update parametrisation a step of SGD changes a matrix by averages: ``W_t x = W x - sum_s c_s dh_s mean(x_s x)``
and ``W_t.T dh = W.T dh - sum_s c_s x_s mean(dh_s dh)`` with ``c_s = eta chi_s``. W meets its own transpose, so that Z-Dot does
not vanish after the first step, and the features of the trained network are not those of a kernel.
Yang & Hu 2021 (2011.14522), section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..axes import stacked
from ..backprop import ancestors, derivative
from ..ensembles import Dim
from ..errors import AxisError, BadParameter, BudgetExceeded, UnsupportedOperation
from ..handles import Scalar, apply, plain
from ..instructions import Apply
from ..language import Gaussian, Normal, program
from ..limit import limit
from ..matrices import Matrix
from ..nonlinearity import Nonlinearity, user
from ..program import lower
from ..results import Estimate, with_error
from ..sample import positive, run
from .abcnets import activation, loss_gradient
from .parametrisations import ABC, deep_mean_field, named
from .particles import check_smooth
from .scaling import classify

EXACT_STEPS = 7  # the digits of rational numbers triple in every step
LINES = 3000  # of a program; sampled on 2^17 points that takes some ten seconds


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Training as a program, at any width: everything is an average, to be given to `limit`, `sample` or `verify`.

    Attributes
    ----------
    seen : tuple of tuples of Scalar
        f of the samples of each step, before the step: (steps, batch).
    test : tuple of tuples of Scalar
        f at the test points after 0 .. steps steps: (steps + 1, M).
    kernels : tuple
        ``mean(x x')`` of the features of each hidden layer: (steps + 1, depth, M, M).
    overlaps : tuple
        ``mean(W x_t dh_s)`` for the initial W of each inner layer, over test points and all earlier samples s: entry t is
        (depth - 1, M, t * batch). Its limit is a Z-Dot term: zero if W and W.T were independent.
    hidden, features : tuple of Vector
        h and x = phi(h) of each hidden layer at the test points: (steps + 1, depth, M). For averages of your own.
    matrices : tuple of Matrix
        The initial W of the inner layers; none in mean field.
    """

    seen: tuple[tuple[Scalar, ...], ...]
    test: tuple[tuple[Scalar, ...], ...]
    kernels: tuple[Any, ...]
    overlaps: tuple[Any, ...]
    hidden: tuple[Any, ...]
    features: tuple[Any, ...]
    matrices: tuple[Matrix, ...]

    def scalars(self) -> list[Scalar]:
        """Everything, in one list."""
        return list(_flat((self.seen, self.test, self.kernels, self.overlaps)))

    @property
    def lines(self) -> int:
        """Of the whole program; about ``3 depth (steps batch)^2`` for one test point."""
        return len(program(*self.scalars()).lines)

    def __repr__(self) -> str:
        return f"<Unrolled: {len(self.seen)} steps of SGD, {len(self.test[0])} test points, {self.lines} lines>"


@dataclass(frozen=True, eq=False)
class FeatureLearning:
    """The infinite-width limit of a training run that learns features.

    Attributes
    ----------
    seen : Estimate (steps, batch)
        Outputs at the samples of each step, before it.
    test : Estimate (steps + 1, M)
    kernels : Estimate (steps + 1, depth, M, M)
        ``E Z^x Z^x'`` of every hidden layer at the test points.
    overlaps : tuple of Estimate (depth - 1, M, t * batch), t = 0 .. steps
        ``E Z^(W x_t) Z^(dh_s)`` with the initial W: the Z-Dot terms.
    unrolled : Unrolled
        The program.

    Examples
    --------
    >>> from fractions import Fraction
    >>> run = feature_learning([[1]], [1], [[1]], phi="linear", learning_rate=Fraction(1, 2), steps=2, exact=True)
    >>> [str(f) for f in run.test.value[:, 0]]
    ['0', '1', '1']
    """

    seen: Estimate
    test: Estimate
    kernels: Estimate
    overlaps: tuple[Estimate, ...]
    unrolled: Unrolled

    @property
    def feature_change(self) -> np.ndarray:
        """``|K_t - K_0|_F / |K_0|_F`` of the last hidden layer's kernel, (steps + 1,).

        Relative to the largest |K_t|_F where K_0 is zero, as in mean field with two layers.
        """
        k = np.asarray(self.kernels.value, dtype=float)[:, -1]
        sizes = np.linalg.norm(k, axis=(1, 2))
        return np.asarray(np.linalg.norm(k - k[0], axis=(1, 2)) / (sizes[0] or sizes.max() or 1.0))

    def __str__(self) -> str:
        head = f"{len(self.seen.value)} steps of SGD at infinite width ({self.test.method}): outputs at the test points"
        rows = [
            f"  after {t}: " + "  ".join(with_error(float(v), float(e)) for v, e in zip(values, errors, strict=True))
            for t, (values, errors) in enumerate(zip(self.test.value, self.test.error, strict=True))
        ]
        moved = ", ".join(f"{change:.3f}" for change in self.feature_change)
        return "\n".join([head, *rows, f"relative change of the feature kernel: {moved}"])

    def __repr__(self) -> str:
        return f"<FeatureLearning: {self.unrolled!r}, {self.test.method}>"

    def plot(self, ax: Any = None) -> Any:
        """Outputs at the test points in the course of training, with two errors; returns the Axes."""
        from ..plotscalings import plot_features

        return plot_features(self, ax)


def feature_learning(
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    depth: int = 1,
    phi: Any = "tanh",
    learning_rate: Any = 1,
    steps: int | None = None,
    batch: int = 1,
    loss: str = "mse",
    scaling: Any = "mup",
    lines: int = LINES,
    **options: Any,
) -> FeatureLearning:
    """A network that learns features, trained by SGD at infinite width.

    Law: ``f = mean(v phi(h^L))``, ``h^l = W^l phi(h^(l-1))``, ``h^1 = U x``; entries of U, v have variance 1, those of W 1/n;
    U and v move by eta n times their gradient, W by eta times its own: the maximal update parametrisation.

    Parameters
    ----------
    x : array (N, d)
        Training inputs; ints and Fractions stay exact. U has entries of variance 1: scale the inputs.
    y : array (N,)
    x_test : array (M, d), optional
        Where outputs and kernels are asked for; x itself if not given.
    depth : int
        Hidden layers.
    phi : name or callable
        "tanh", "relu", "erf", "linear", "quadratic", or a function written in NumPy.
    learning_rate : number
    steps : int, optional
        Of SGD; by default one pass over x.
    batch : int
        Samples per step, taken in order, over and over; their gradients are averaged.
    loss : {"mse", "logistic"}
        Half the square, or the logistic loss with labels -1 and 1.
    scaling : name or ABC
        "mup", "mean field" for one or two hidden layers, or an equivalent abc-parametrisation. In mean field the initial W has
        entries of variance n^-2 and averages out: its updates alone join the layers.
    lines : int
        The most lines that the program may have.
    **options
        Passed to `limit`: ``exact=True``, ``budget=`` (points) with ``rtol=``, ``gradient_independence=True``, ...

    Returns
    -------
    FeatureLearning

    Raises
    ------
    BudgetExceeded
        If the program has more lines than that, polynomials have too many terms, or rational numbers too many digits: after
        seven steps give floats.
    UnsupportedOperation
        For a scaling that learns no features, mean field with more than two layers, or with two and a phi that has a kink at 0.
    BadParameter, AxisError

    Notes
    -----
    Exact (rational) for polynomial phi and rational data: Wick's theorem; the degree multiplies in every step. Otherwise
    quadrature up to three effective dimensions, then 2^17 Sobol points; errors are stated. Cost: a step adds about 8 depth
    batch lines, and 2 depth averages for each pair of a sample or test point with an earlier sample, so T steps make O(T^2)
    lines; a line costs one pass over the points, a hat one covariance with every earlier hat of its matrix. Two layers and two
    test points: six steps take a second, twelve take nine. Quadrature integrates every product by itself and takes longer than
    that after five steps or so: ``method="sobol"``. Yang & Hu 2021 (2011.14522), section 6.

    Examples
    --------
    >>> run = feature_learning([[1.0]], [1.0], [[0.7]], depth=2, steps=1)
    >>> bool(abs(run.test.value[1, 0] - 0.518560) < 0.0005)
    True
    """
    unrolled = unroll(
        x,
        y,
        x_test,
        depth=depth,
        phi=phi,
        learning_rate=learning_rate,
        steps=steps,
        batch=batch,
        loss=loss,
        scaling=scaling,
    )
    count = unrolled.lines
    if count > lines:
        raise BudgetExceeded(
            f"a program of {count} lines", remedy=f"fewer steps, samples or test points, or lines={count}"
        )
    found = iter(limit(unrolled.scalars(), **options))
    parts = (unrolled.seen, unrolled.test, unrolled.kernels)
    seen, test, kernels = (_gathered(found, part) for part in parts)
    overlaps = tuple(_gathered(found, part) for part in unrolled.overlaps)
    return FeatureLearning(seen, test, kernels, overlaps, unrolled)


def unroll(
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    depth: int = 1,
    phi: Any = "tanh",
    learning_rate: Any = 1,
    steps: int | None = None,
    batch: int = 1,
    loss: str = "mse",
    scaling: Any = "mup",
    entries: str = "gaussian",
) -> Unrolled:
    """The program of a training run; see `feature_learning` for its arguments.

    Parameters
    ----------
    entries : {"gaussian", "rademacher", "uniform", "sparse"}
        Of the inner matrices, at finite width.

    Examples
    --------
    >>> import rmtp
    >>> run = unroll([[1]], [1], [[2]], depth=2, phi="linear", learning_rate=1)
    >>> rmtp.limit(run.test[1][0], exact=True).value
    Fraction(6, 1)
    """
    form = check_scaling(scaling, depth)
    inputs, targets = _numbers(x, 2, "x"), _numbers(y, 1, "y")
    if len(inputs) != len(targets):
        raise AxisError(f"{len(targets)} targets for {len(inputs)} inputs", remedy="one target per input")
    tests = inputs if x_test is None else _numbers(x_test, 2, "x_test")
    if len({len(row) for row in (*inputs, *tests)}) != 1:
        raise AxisError("inputs of several lengths", remedy="x (N, d) and x_test (M, d)")
    if loss == "logistic" and any(abs(t) != 1 for t in targets):
        raise BadParameter(f"labels {sorted(set(targets))[:5]}", remedy="-1 and 1 for the logistic loss")
    size = positive(batch, "batch")
    total = positive(-(-len(inputs) // size) if steps is None else steps, "steps")
    rate = plain(learning_rate) / size
    if total > EXACT_STEPS and loss == "mse" and _rational(phi, rate, *targets, *(c for row in inputs for c in row)):
        raise BudgetExceeded(
            f"{total} steps in rational numbers, whose digits triple in every one",
            remedy="floats, as in learning_rate=0.5",
        )
    points = list(dict.fromkeys(tuple(row) for row in (*inputs, *tests)))  # an input that is repeated is one vector
    train, shown = ([points.index(tuple(row)) for row in rows] for rows in (inputs, tests))
    made = activation(phi)
    if deep_mean_field(form):
        check_smooth(made)
    net = _start(points, form, single(made.phi), entries)
    seen, test, kernels, overlaps, hidden, features = [], [], [], [], [], []
    for step in range(total + 1):
        passes = [net.forward(p) for p in shown]
        test.append(tuple(p.output for p in passes))
        hidden.append(tuple(tuple(p.hidden[k] for p in passes) for k in range(depth)))
        features.append(tuple(tuple(p.features[k] for p in passes) for k in range(depth)))
        kernels.append(
            tuple(
                tuple(tuple(np.mean(p.features[k] * q.features[k]) for q in passes) for p in passes)
                for k in range(depth)
            )
        )
        overlaps.append(
            tuple(
                tuple(tuple(np.mean((w @ p.features[k]) * u.gradients[k + 1]) for u in net.updates) for p in passes)
                for k, w in enumerate(net.matrices)
            )
        )
        if step == total:
            break
        chosen = [(step * size + k) % len(inputs) for k in range(size)]
        runs = [net.forward(train[i]) for i in chosen]
        seen.append(tuple(r.output for r in runs))
        moved = [
            net.backward(r, rate * loss_gradient(loss, r.output, targets[i])) for i, r in zip(chosen, runs, strict=True)
        ]
        net = replace(net, updates=(*net.updates, *moved))
    return Unrolled(
        tuple(seen), tuple(test), tuple(kernels), tuple(overlaps), tuple(hidden), tuple(features), net.matrices
    )


def check_scaling(scaling: Any, depth: int) -> ABC:
    """The scaling, if it is the maximal update parametrisation, or mean field with at most two hidden layers."""
    report = classify(scaling, depth=depth)
    known, given = named("mup", depth), report.scaling
    maximal = given.depth == depth and given.shifted(known.a[0] - given.a[0]) == known
    averaged = given.depth == depth and deep_mean_field(given)
    if report.model is not None and not report.model.corrected and (maximal or averaged):
        return given
    raise UnsupportedOperation(
        f"the scaling {scaling!r} with {depth} hidden layers: {report.explanation}",
        remedy='scaling="mup", which has a limit at any depth; kernel regimes are rmtp.training.limit_dynamics',
    )


def single(phi: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """phi as one instruction; polynomials, and what is one instruction already, stay as they are.

    Written out, ``h * tanh(h)`` of a sum h is a sum of products, whose number multiplies in every step. Derivatives are
    those of the expression, up to the third, and none of a function that jumps: Stein's lemma takes over there.

    Examples
    --------
    >>> h = Normal(Dim("n"), name="h")
    >>> single(lambda z: z**2)(h), single(np.tanh)(h), single(lambda z: z * np.tanh(z))(h)
    (h**2, tanh(h), phi(h))
    """
    x = Normal(Dim("n"))
    y = phi(x)
    made = [node.op.fn for node in ancestors(y) if isinstance(node.op, Apply) and node.dim is not None]
    if len(made) == 1 or not any(isinstance(fn, Nonlinearity) for fn in made):
        return phi
    fn = _folded(y, x, "phi", 3)
    return lambda h: apply(fn, h)


def _folded(y: Any, x: Any, name: str, orders: int) -> Nonlinearity:
    """The expression y(x) as one function with its derivatives."""
    code, source = lower([y]), x.op.source
    kinks, jumps = set(), False
    for node in ancestors(y):
        if isinstance(node.op, Apply) and isinstance(node.op.fn, Nonlinearity):
            jumps = jumps or bool(node.op.fn.jumps)
            if node.args[node.op.fn.kink_arg] is x:
                kinks |= set(node.op.fn.kinks)

    def fn(h: Any) -> np.ndarray:
        array = np.asarray(h, dtype=float)
        (out,) = run(code, array.size, np.random.default_rng(0), given={id(source): array.reshape(-1, 1)})
        return np.broadcast_to(out, (array.size,)).reshape(array.shape)

    slope = None if jumps or not orders else _folded(derivative(y, x), x, f"{name}'", orders - 1)
    return replace(user(fn, slope, sorted(kinks), name=name), mp=None)


# ---------------------------------------------------------------------------------------------
# the network as handles


@dataclass(frozen=True, eq=False)
class _Pass:
    """Input number, preactivations h^1 .. h^L, features x^1 .. x^L, output."""

    point: int
    hidden: tuple[Any, ...]
    features: tuple[Any, ...]
    output: Any


@dataclass(frozen=True, eq=False)
class _Update:
    """What one sample does to all arrays: the scalar c, its features, its gradients dh^1 .. dh^L, its input's number."""

    c: Any
    point: int
    features: tuple[Any, ...]
    gradients: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class _Net:
    first: tuple[Any, ...]  # U x of every input, before training
    gram: tuple[tuple[Any, ...], ...]  # inner products of inputs
    depth: int
    matrices: tuple[Matrix, ...]  # none in mean field, where they average out
    readout: Any
    phi: Callable[[Any], Any]
    updates: tuple[_Update, ...] = ()

    def forward(self, point: int) -> _Pass:
        h = self.first[point]
        for u in self.updates:
            if self.gram[u.point][point]:
                h = h - u.c * self.gram[u.point][point] * u.gradients[0]
        hidden, features = [h], [self.phi(h)]
        for k in range(self.depth - 1):
            x = features[-1]
            h = self.matrices[k] @ x if self.matrices else 0 * x
            for u in self.updates:
                h = h - u.c * np.mean(u.features[k] * x) * u.gradients[k + 1]
            hidden.append(h)
            features.append(self.phi(h))
        return _Pass(point, tuple(hidden), tuple(features), np.mean(self.top() * features[-1]))

    def top(self) -> Any:
        """The readout as trained so far."""
        v = self.readout
        for u in self.updates:
            v = v - u.c * u.features[-1]
        return v

    def backward(self, run: _Pass, c: Any) -> _Update:
        """c = eta times the loss gradient; dh = n df/dh."""
        g = self.top() * derivative(run.features[-1], run.hidden[-1])
        gradients = [g]
        for k in reversed(range(self.depth - 1)):
            dx = self.matrices[k].T @ g if self.matrices else 0 * g
            for u in self.updates:
                dx = dx - u.c * np.mean(u.gradients[k + 1] * g) * u.features[k]
            g = dx * derivative(run.features[k], run.hidden[k])
            gradients.append(g)
        return _Update(c, run.point, run.features, tuple(gradients[::-1]))


def _start(points: Sequence[Any], form: ABC, phi: Callable[[Any], Any], entries: str) -> _Net:
    n = Dim("n")
    gram = tuple(tuple(sum((a * b for a, b in zip(p, q)), 0) for q in points) for p in points)
    d = len(points[0])
    if d <= len(points):
        columns = [Normal(n, name=f"u{j + 1}" if d > 1 else "u") for j in range(d)]
        first = [_combined(columns, p) for p in points]
    else:  # U is seen through its products with the inputs only
        first = list(Normal(n, mean=(0,) * len(points), cov=gram, name="h"))
    inner = 0 if deep_mean_field(form) else form.depth - 1
    matrices = tuple(Gaussian(n, n, entries=entries, name=f"W{k + 2}") for k in range(inner))
    return _Net(tuple(first), gram, form.depth, matrices, Normal(n, name="v"), phi)


def _combined(columns: Sequence[Any], point: Sequence[Any]) -> Any:
    terms = [c * u for c, u in zip(point, columns) if c]
    return sum(terms[1:], terms[0]) if terms else 0 * columns[0]


def _numbers(values: Any, ndim: int, what: str) -> list[Any]:
    """Nested lists of plain numbers: ints become Fractions."""
    array = np.asarray(values, dtype=object)
    if array.ndim != ndim or not array.size:
        raise AxisError(f"{what} of shape {array.shape}", remedy="x (N, d), y (N,), x_test (M, d)")
    return [[plain(v) for v in row] for row in array] if ndim == 2 else [plain(v) for v in array]


def _rational(phi: Any, *values: Any) -> bool:
    """Whether all numbers of the training run are rational: a polynomial of rational data."""
    x = Normal(Dim("n"))
    nodes = ancestors(activation(phi).phi(x))
    smooth = any(isinstance(node.op, Apply) and isinstance(node.op.fn, Nonlinearity) for node in nodes)
    return not smooth and all(isinstance(v, Fraction) for v in values)


def _flat(nested: Any) -> Iterator[Scalar]:
    if isinstance(nested, tuple):
        for item in nested:
            yield from _flat(item)
    else:
        yield nested


def _shape(nested: Any) -> tuple[int, ...]:
    if not isinstance(nested, tuple):
        return ()
    return (len(nested), *(_shape(nested[0]) if nested else ()))


def _gathered(found: Iterator[Estimate], part: Any) -> Estimate:
    values = [next(found) for _ in _flat(part)]
    if not values:
        return Estimate(np.empty(_shape(part)), np.empty(_shape(part)), "exact")
    return stacked(values, _shape(part))


__all__ = ["FeatureLearning", "Unrolled", "feature_learning", "unroll"]
