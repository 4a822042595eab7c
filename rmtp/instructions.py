"""The closed set of instructions, and the sources of randomness they name.

Five instructions act on vectors (`Init`, `MatVec`, `Apply`, `Combine`, `Solve`), three make scalars (`Parameter`, `Input`,
`Average`), and `Apply` on scalars is arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .ensembles import Dim, Ensemble, Number
from .laws import CoordinateLaw
from .nonlinearity import Nonlinearity

# ---------------------------------------------------------------------------------------------
# sources of randomness (compared by identity: two draws are two objects)


@dataclass(frozen=True, eq=False)
class NormalGroup:
    """Initial vectors whose coordinates are iid copies of one Gaussian vector N(mean, cov)."""

    dim: Dim
    mean: tuple[Number, ...]
    cov: Sequence[Sequence[Number]]


@dataclass(frozen=True)
class Isotropic(Sequence[Sequence[Number]]):
    """variance * identity as nested sequences, or one row of it: the covariance of a first layer of a thousand inputs
    is one number, not a million."""

    variance: Number
    size: int
    row: int | None = None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if not -self.size <= index < self.size:
            raise IndexError(index)
        if self.row is None:
            return Isotropic(self.variance, self.size, index % self.size)
        return self.variance if index % self.size == self.row else 0


@dataclass(frozen=True, eq=False)
class InputMatrix(NormalGroup):
    """A random matrix with a width of rows and a fixed number of columns: independent initial vectors N(0, variance)."""

    name: str = ""
    gain: Number = 1  # sigma^2 of the trained omega; the variance is a share of it


@dataclass(frozen=True, eq=False)
class IIDSource:
    """One initial vector with iid coordinates of the given law."""

    dim: Dim
    law: CoordinateLaw


@dataclass(frozen=True, eq=False)
class FreshSource(IIDSource):
    """`size` such vectors along a finite axis, drawn anew for every input of a network."""

    size: int = 1

    @cached_property
    def members(self) -> tuple[IIDSource, ...]:
        """One source for each."""
        return tuple(IIDSource(self.dim, self.law) for _ in range(self.size))


@dataclass(frozen=True, eq=False)
class ConstantSource:
    """The vector all of whose coordinates are `value` (a number or a scalar handle's parameter)."""

    dim: Dim
    value: Number


@dataclass(frozen=True, eq=False)
class RandomMatrix:
    """One random matrix; using the same object twice is weight sharing."""

    rows: Dim
    cols: Dim
    ensemble: Ensemble
    name: str = ""
    gain: Number | None = (
        None  # sigma^2 of the trained omega, if that is not the whole of s^2 (a share of a convolution)
    )


# ---------------------------------------------------------------------------------------------
# instructions


@dataclass(frozen=True)
class Init:
    """An initial vector: member `index` of a group, or the whole group along one finite axis (index None)."""

    source: NormalGroup | IIDSource | ConstantSource
    index: int | None = 0


@dataclass(frozen=True)
class MatVec:
    """``W x``, or ``W.T y`` if transposed."""

    matrix: RandomMatrix
    transposed: bool = False


@dataclass(frozen=True)
class Arithmetic:
    """The operations that keep polynomials polynomial: add, subtract, multiply, divide, power."""

    name: str
    exponent: int = 0


@dataclass(frozen=True)
class Apply:
    """A coordinatewise function of vectors and scalars; of scalars alone, a scalar."""

    fn: Nonlinearity | Arithmetic


@dataclass(frozen=True)
class Average:
    """``(1/n) sum_i x_i`` over the width: a scalar."""


@dataclass(frozen=True)
class Parameter:
    """A given number, or an array of numbers."""

    value: Number
    swept: bool = False

    def _key(self) -> tuple[Any, ...]:
        if isinstance(self.value, np.ndarray):
            if self.value.dtype == object:
                return (self.swept, self.value.shape, tuple(self.value.ravel()))
            return (self.swept, self.value.shape, self.value.dtype.str, self.value.tobytes())
        return (self.swept, type(self.value), self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameter) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True, eq=False)
class Input:
    """An array that is given later: what a network is applied to."""

    name: str = "x"


@dataclass(frozen=True)
class Combine:
    """A linear map on the finite axes: index, sum, matmul, stack, transpose, reshape (NumPy's, past the width axis).

    "scatter" is the transpose of "index": the detail is the index and the shape it is taken from.
    """

    kind: str
    detail: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Solve:
    """Unknown `index` of the linear program `system`; the arguments are its right-hand side and its coefficients.

    `expression` is the matrix M of ``M x = v`` as it acts at finite width.
    """

    system: Any
    expression: Any
    index: int = 0


Instruction = Init | MatVec | Apply | Average | Parameter | Input | Combine | Solve


@dataclass(frozen=True)
class Line:
    """One instruction, the numbers of the lines it uses, and the type of its result."""

    op: Instruction
    args: tuple[int, ...]
    dim: Dim | None  # None: a scalar
    axes: tuple[tuple[str, int], ...] = ()
    name: str = ""

    @property
    def is_scalar(self) -> bool:
        return self.dim is None
