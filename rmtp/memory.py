"""What a program remembers: the Z-Dot of every product with a matrix, as coefficients on the vectors of the program.

    Z^{W x_t} = Zhat_t + sum_s b_ts Z^{y_s},     Cov(Zhat_t, Zhat_t'),

with y_s the vectors that ``W.T`` was applied to. The walk of the theorem keeps Z-Dot in an echelon basis; here it is
carried back to the vectors as they were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axes import Along
from .expect.engine import METHODS
from .instructions import MatVec, RandomMatrix
from .normal import Form
from .results import Estimate, centre_and_spread
from .theorem import MasterTheorem


@dataclass(frozen=True, eq=False)
class Memory:
    """The products of one matrix in one direction.

    Attributes
    ----------
    products : tuple of str (T,)
        The products, in program order.
    vectors : tuple of str (S,)
        The vectors that the other direction was applied to (of a symmetric matrix: this one).
    coefficients : Estimate (T, S)
        b_ts: how much of the vector s the product t holds besides its Gaussian part.
    covariance : Estimate (T, T)
        Of the Gaussian parts.
    """

    products: tuple[str, ...]
    vectors: tuple[str, ...]
    coefficients: Estimate
    covariance: Estimate

    def __str__(self) -> str:
        if np.ndim(self.coefficients.value) > 2:
            sweep = np.shape(self.coefficients.value)[2:]
            return f"{len(self.products)} products over a sweep of shape {sweep}"
        lines = []
        for t, name in enumerate(self.products):
            text = f"{name} = N(0, {float(self.covariance.value[t, t]):.6g})"
            for s, vector in enumerate(self.vectors):
                b = float(self.coefficients.value[t, s])
                if abs(b) > 1e-12:
                    text += f" {'+' if b > 0 else '-'} {abs(b):.6g} {vector}"
            lines.append(text)
        return "\n".join(lines)


def memory(walked: MasterTheorem, matrix: RandomMatrix, transposed: bool, names: Sequence[str]) -> Memory:
    """The memory of the uses of one matrix in one direction.

    Parameters
    ----------
    walked : MasterTheorem
        After its run.
    matrix : RandomMatrix
    transposed : bool
    names : sequence of str
        Of the lines of the program.

    Notes
    -----
    A product along finite axes counts once per entry.
    """
    mine = _uses(walked, matrix, transposed)
    theirs = _uses(walked, matrix, transposed != (not matrix.ensemble.symmetric))
    basis = walked._bases.get((matrix, transposed if matrix.ensemble.symmetric else not transposed))
    size = 0 if basis is None else len(basis[0].elements)
    with walked.expect.record() as ranks:
        rows = [_coordinates(basis, _form(walked.parts[k][1], at), size) for k, at in mine]
        columns = [_coordinates(basis, _form(walked.values[_operand(walked, k)], at), size) for k, at in theirs]
        hats = [_form(walked.parts[k][0], at) for k, at in mine]
        covariance = [[walked.expect.inner(f, g) for g in hats[: i + 1]] for i, f in enumerate(hats)]
        rank = ranks[-1]
    coefficients = _on_vectors(rows, columns, mine, theirs)
    full = _stacked([[covariance[max(i, j)][min(i, j)] for j in range(len(hats))] for i in range(len(hats))])
    symbol = f"{matrix.name or matrix.ensemble.kind}{'.T' if transposed else ''}"
    return Memory(
        tuple(f"{symbol} @ {names[_operand(walked, k)]}{list(at) if at else ''}" for k, at in mine),
        tuple(f"{names[_operand(walked, k)]}{list(at) if at else ''}" for k, at in theirs),
        _estimate(walked, coefficients, rank),
        _estimate(walked, full, rank),
    )


def hat_covariance(walked: MasterTheorem, line: int) -> Any:
    """Var Zhat of a product, the noise that it brings; of a product with k columns their covariances along axes (k, k)."""
    value = walked.parts[line][0]
    if not isinstance(value, Along):
        return walked.expect.inner(value, value)
    forms = list(value.array.ravel())
    return Along.of([walked.expect.inner(f, g) for f in forms for g in forms], (len(forms), len(forms)))


Use = tuple[int, tuple[int, ...]]  # a line, and an entry along its finite axes


def _uses(walked: MasterTheorem, matrix: RandomMatrix, transposed: bool) -> list[Use]:
    out: dict[Use, Use] = {}
    for k, line in enumerate(walked.program.lines):
        if isinstance(line.op, MatVec) and line.op.matrix is matrix and line.op.transposed == transposed:
            for at in np.ndindex(*(size for _, size in line.axes)):
                out.setdefault((line.args[0], at), (k, at))
    return list(out.values())


def _operand(walked: MasterTheorem, line: int) -> int:
    return walked.program.lines[line].args[0]


def _form(value: Any, at: tuple[int, ...]) -> Form:
    form = value.array[at] if isinstance(value, Along) else value
    assert isinstance(form, Form)
    return form


def _coordinates(basis: Any, form: Form, size: int) -> dict[int, Any]:
    if basis is None or not form.terms:
        return {}
    return {k: c for k, c in basis[0].coordinates(form) if k < size}  # beyond: rounding that reduction left


def _on_vectors(
    rows: list[dict[int, Any]], columns: list[dict[int, Any]], mine: list[Use], theirs: list[Use]
) -> np.ndarray:
    """b with b @ columns = rows, row t on the vectors that were there before it."""
    size = 1 + max((k for c in (*rows, *columns) for k in c), default=-1)
    right = _stacked([[r.get(k, 0) for k in range(size)] for r in rows], (len(rows), size))
    left = _stacked([[c.get(k, 0) for k in range(size)] for c in columns], (len(columns), size))
    copies = np.broadcast_shapes(right.shape[2:], left.shape[2:])
    right, left = (
        np.broadcast_to(v if v.ndim > 2 or not copies else v[..., None], v.shape[:2] + copies) for v in (right, left)
    )
    out = np.zeros((len(rows), len(columns), *copies))
    for index in np.ndindex(copies):
        at = (slice(None), slice(None), *index)
        for t, (line, _) in enumerate(mine):
            there = [s for s, (other, _) in enumerate(theirs) if other <= line]
            if there and np.any(right[at][t]):
                out[(t, there, *index)] = np.linalg.lstsq(left[at][there].T, right[at][t], rcond=1e-11)[0]
    return out


def _stacked(grid: list[list[Any]], shape: tuple[int, int] | None = None) -> np.ndarray:
    flat = [np.asarray(v, dtype=float) for row in grid for v in row]
    outer = shape or (len(grid), len(grid[0]) if grid else 0)
    tail = np.broadcast_shapes(*(v.shape for v in flat)) if flat else ()
    return np.array([np.broadcast_to(v, tail) for v in flat]).reshape(outer + tail)


def _estimate(walked: MasterTheorem, array: np.ndarray, rank: int) -> Estimate:
    if array.ndim == 2:
        return Estimate(array, 1e-15 * np.abs(array) * len(walked.values), "algebra" if rank == 0 else METHODS[rank])
    value, spread = centre_and_spread(array, walked.expect.sampler is not None)
    return Estimate(value, np.hypot(spread, 1e-15 * value * len(walked.values)), METHODS[rank])
