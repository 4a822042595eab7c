"""Onsager terms derived: from a method whose products remember, the one whose products are Gaussian.

Z-Dot of ``A @ x_t`` is ``sum_s b_ts z_s`` with b_ts = s^2 E[dZ^{x_t} / dZhat^{A.T z_s}]. The derivative is a coordinatewise
function of the program, so its average is a scalar of the program, and subtracting ``b_ts z_s`` is one more line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..arguments import function
from ..arrays import leaves
from ..backprop import sensitivities
from ..ensembles import Dim, Number
from ..errors import BadParameter, UnsupportedOperation
from ..handles import Node, Vector, parameter
from ..instructions import IIDSource, Init, Line, RandomMatrix
from ..language import GOE, Gaussian
from ..laws import Discrete
from ..limit import limit
from ..matrices import Expression
from ..sample import value_of
from .evolution import Algorithm, label
from .observed import Observed
from .problems import Problem

PRODUCTS = ("A", "A.T")


@dataclass(frozen=True)
class Corrected:
    """An algorithm whose products have lost their memory; call it like the one it was made from.

    Attributes
    ----------
    algorithm : callable
    products : tuple of {"A", "A.T"}
        The products that are corrected.
    """

    algorithm: Algorithm
    products: tuple[str, ...] = ("A",)

    @property
    def __name__(self) -> str:  # what reports call it
        return f"corrected {label(self.algorithm)}"

    def __call__(self, A: Any, *rest: Any) -> Iterator[Any]:
        """The estimates, on handles or on arrays."""
        if isinstance(A, Expression):
            return iter(self.algorithm(_Memoryless(A, _Ledger(_random(A), self.products)), *rest))
        return _on_arrays(self, np.asarray(A, dtype=float), rest)

    def coefficients(self, problem: Problem, steps: int) -> tuple[tuple[str, Any], ...]:
        """The Onsager coefficients of the first steps, as (name, Estimate): ``b[t, s]`` multiplies z_s in ``A @ x_t``.

        Parameters
        ----------
        problem : Problem
        steps : int

        Examples
        --------
        >>> from functools import partial
        >>> import rmtp
        >>> from rmtp.amp import bernoulli_gauss, ista, linear_model
        >>> corrected = rmtp.onsager(partial(ista, step=1, penalty=0.5))
        >>> [name for name, _ in corrected.coefficients(linear_model(0.5, bernoulli_gauss(0.1)), 2)]
        ['b[1, 0]']
        """
        assert problem.start is not None
        ledger = _Ledger(_random(problem.matrix), self.products)
        made = self.algorithm(_Memoryless(problem.matrix, ledger), *problem.data[1:], problem.start, *problem.extra)
        for _ in itertools.islice(iter(made), steps + 1):
            pass
        found = limit([scalar for _, scalar in ledger.coefficients])
        return tuple((name, estimate) for (name, _), estimate in zip(ledger.coefficients, found, strict=True))


def onsager(algorithm: Algorithm, products: Sequence[str] = ("A",)) -> Corrected:
    """The method with the Onsager terms that make its products Gaussian.

    Law: ``A @ x_t`` becomes ``A @ x_t - sum_s b_ts z_s``, b_ts = s^2 mean(dx_t / d(A.T z_s)), the derivative taken through what
    earlier products hold. From ISTA with step 1 this is approximate message passing with soft thresholds: what ``A.T z_t``
    remembers is then cancelled by the x_t that ISTA adds.

    Parameters
    ----------
    algorithm : callable
        Of the form that `state_evolution` takes.
    products : sequence of {"A", "A.T"}
        Which products lose their memory. With ("A", "A.T") both families are Gaussian, as in the general recursion of
        Bayati & Montanari 2011; a symmetric matrix has one family, "A".

    Returns
    -------
    Corrected

    Raises
    ------
    BadParameter
        If `products` names anything else.
    UnsupportedOperation
        When it runs: for functions that jump, and for matrices without independent entries (`invariant_amp` is theirs).

    Notes
    -----
    Exact: a rewriting. On arrays the averages are empirical, and s^2 is measured on the matrix.

    Examples
    --------
    >>> from functools import partial
    >>> import rmtp
    >>> from rmtp.amp import bernoulli_gauss, ista, linear_model
    >>> problem = linear_model(0.5, bernoulli_gauss(0.1), 0.01)
    >>> method = partial(ista, step=1, penalty=0.5)
    >>> [rmtp.state_evolution(m, problem, 4).mse.method for m in (method, rmtp.onsager(method))]
    ['sobol', 'closed form']
    """
    function(algorithm, "algorithm")
    if not products or any(not isinstance(p, str) or p not in PRODUCTS for p in products):
        raise BadParameter(f"products={products!r}", remedy=f"one or both of {PRODUCTS}")
    return Corrected(algorithm, tuple(products))


@dataclass
class _Ledger:
    """The products so far, per direction: what was multiplied, the result, and what the result holds besides its hat."""

    matrix: RandomMatrix
    corrected: tuple[str, ...]
    entries: dict[bool, list[tuple[Node, Node, list[tuple[Any, Node]]]]] = field(
        default_factory=lambda: {False: [], True: []}
    )
    coefficients: list[tuple[str, Any]] = field(default_factory=list)

    def factor(self, transposed: bool) -> Number:
        """s^2 of the rule Z-Dot."""
        s2 = self.matrix.ensemble.cumulant(2)
        return s2 * (self.matrix.rows / self.matrix.cols) if transposed else s2

    def multiplied(self, raw: Vector, x: Vector, transposed: bool) -> Vector:
        """The product as the algorithm gets it."""
        symmetric = self.matrix.ensemble.symmetric
        others = self.entries[False if symmetric else not transposed]
        slopes = sensitivities(x, {id(u): held for _, u, held in others})
        memory: list[tuple[Any, Node]] = []
        for s, (operand, product, _) in enumerate(others):
            if id(product) in slopes:
                slope = slopes[id(product)]
                b = parameter(self.factor(transposed)) * (np.mean(slope) if slope.dim is not None else slope)
                memory.append((b, operand))
                name = f"{'c' if transposed else 'b'}[{len(self.entries[transposed])}, {s}]"
                if PRODUCTS[transposed] in self.corrected:
                    self.coefficients.append((name, b))
        out: Any = raw
        if PRODUCTS[transposed] in self.corrected:
            for b, operand in memory:
                out = out - b * operand
            memory = []
        self.entries[transposed].append((x, out, memory))
        return out


class _Memoryless(Expression):
    __slots__ = ("inner", "ledger", "turned")

    def __init__(self, inner: Expression, ledger: _Ledger, turned: bool = False) -> None:
        self.inner, self.ledger, self.turned = inner, ledger, turned
        self.left, self.right = inner.left, inner.right

    @property
    def T(self) -> Expression:
        symmetric = self.ledger.matrix.ensemble.symmetric
        return _Memoryless(self.inner.T, self.ledger, not self.turned and not symmetric)

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        return (self.ledger.multiplied(self.inner.applied(x)[0], x[0], self.turned),)

    def _text(self) -> str:
        return repr(self.inner)


def _random(matrix: Expression) -> RandomMatrix:
    found: dict[int, RandomMatrix] = {}
    leaves(matrix.inner if isinstance(matrix, Observed) else matrix, {}, found)
    if len(found) != 1 or not next(iter(found.values())).ensemble.iid:
        raise UnsupportedOperation(
            f"Onsager terms for {matrix!r}",
            remedy="one random matrix with independent entries; invariant_amp for others",
        )
    return next(iter(found.values()))


# ---------------------------------------------------------------------------------------------
# on arrays: the same handles, with the given arrays at their leaves


def _on_arrays(corrected: Corrected, A: np.ndarray, rest: Sequence[Any]) -> Iterator[np.ndarray]:
    rows, cols = A.shape
    n = Dim("n")
    variance = float(np.mean(A * A) * cols)
    symmetric = rows == cols and np.array_equal(A, A.T)
    m = n if rows == cols else Dim("m", Fraction(rows, cols))  # of a square matrix, y may carry either width
    matrix: Any = GOE(n, variance=variance) if symmetric else Gaussian(m, n, variance=variance)
    drawn: dict[int, np.ndarray] = {id(matrix.source): A}
    handles = []
    for given in rest:
        array = np.asarray(given, dtype=float)
        if array.ndim != 1 or len(array) not in (rows, cols):
            raise BadParameter(f"an array of shape {array.shape}", remedy="vectors of the lengths of the matrix")
        dim = n if len(array) == cols else m
        source = IIDSource(dim, Discrete([0, 1]))
        drawn[id(source)] = array
        handles.append(Vector(Init(source), (), dim))
    values: dict[int, Any] = {}
    kept: list[Node] = []  # ids are keys, so the handles must live
    for x in corrected(matrix, *handles):
        kept.append(x)
        yield _computed(x, values, drawn, cols)


def _computed(root: Node, values: dict[int, Any], drawn: dict[int, np.ndarray], width: int) -> np.ndarray:
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in values:
            continue
        if not ready:
            stack.append((node, True))
            stack.extend((a, False) for a in node.args)
            continue
        line = Line(node.op, (), node.dim, node.axes)
        values[id(node)] = value_of(line, drawn, [values[id(a)] for a in node.args], width)
    return np.asarray(values[id(root)], dtype=float)
