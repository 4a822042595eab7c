"""The plan of a kernel: which arrays to compute from which, made once and run on any data.

Values belong to *moments*, expectations of products of lines, each line at one of two inputs. A moment of lines at one input
is an array (entries, N), of lines at two inputs (entries, N1, N2); entries are the positions, or pairs of positions, that
somebody asked for. A plan pickles, so that it runs in threads, processes or on a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nonlinearity import Nonlinearity

LEFT, RIGHT, CROSS = 0, 1, 2


@dataclass(frozen=True)
class Ref:
    """Some entries of a moment: its number, the side it is taken at, and which entries (None: all, in order)."""

    moment: int
    side: int
    entries: np.ndarray | None = None


@dataclass(frozen=True)
class Term:
    """``weight * product of the references``, added into rows (None: one to one)."""

    weight: Any
    factors: tuple[Ref, ...]
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class Algebra:
    """A sum of terms: what linearity, independence and Wick's theorem leave."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Gram:
    """``variance * sum_d X[i, d] X'[j, d]`` of two lines that depend on the input alone, at pairs of positions."""

    variance: Any
    lines: tuple[int, int]
    positions: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Given:
    """Entries of a scalar line that depends on the input alone."""

    line: int
    positions: np.ndarray


@dataclass(frozen=True)
class Constant:
    """Numbers that no input changes."""

    values: np.ndarray


@dataclass(frozen=True)
class Function:
    """A function of scalars."""

    fn: Any
    args: tuple[Ref, ...]


@dataclass(frozen=True)
class Expectation:
    """``E prod_i f_i(u_i)`` over jointly Gaussian variables u_1, .., u_k.

    Attributes
    ----------
    functions : tuple of tuples of (Nonlinearity, power)
        Per variable.
    means : tuple of Ref or None
    covariances : dict (i, j) -> Ref, i <= j
        A missing pair is 0.
    """

    functions: tuple[tuple[tuple[Nonlinearity, int], ...], ...]
    means: tuple[Ref | None, ...]
    covariances: tuple[tuple[tuple[int, int], Ref], ...]


Op = Algebra | Gram | Given | Constant | Function | Expectation


@dataclass(frozen=True)
class Moment:
    """One operation, how many entries it has, and whether it joins two inputs."""

    op: Op
    size: int
    cross: bool
    text: str = ""

    def refs(self) -> tuple[Ref, ...]:
        """What it is computed from."""
        match self.op:
            case Algebra(terms=terms):
                return tuple(r for t in terms for r in t.factors)
            case Function(args=args):
                return args
            case Expectation(means=means, covariances=covariances):
                return (*(m for m in means if m is not None), *(r for _, r in covariances))
        return ()


@dataclass(frozen=True)
class Plan:
    """Moments in an order in which each uses earlier ones only.

    Attributes
    ----------
    moments : tuple of Moment
    outputs : dict name -> Ref
    program : Program
        Whose lines the data references name.
    """

    moments: tuple[Moment, ...]
    outputs: tuple[tuple[str, Ref], ...]
    program: Any

    def __str__(self) -> str:
        return "\n".join(
            f"{k:>4}  {'x,x' if m.cross else 'x  '} [{m.size}]  {type(m.op).__name__:<11}  {m.text}"
            for k, m in enumerate(self.moments)
        )
