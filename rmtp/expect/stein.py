"""What Stein's lemma needs: the affine Gaussian variables of a monomial, and a solver for singular systems."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..ensembles import Number
from ..normal import Atoms, Form, Func, Hat, Initial
from ..quantity import Quantity
from ..ring import as_number
from .closed_forms import is_rational
from .integrand import Linear

_PARALLEL = 1e-13


def gaussian_variables(atoms: Atoms, form: Form, rescale: bool) -> list[Linear]:
    """The affine Gaussian variables beneath a form (drawn vectors left out), its Gaussian factors included."""
    seen: dict[Any, Linear] = {}
    factors = [a for mono in form.terms for a, _ in mono]
    for a in factors:
        if isinstance(atoms.table[a], Hat | Initial):
            seen[((a, 1),)] = ((a, 1),)
    for number in atoms.closure(factors):
        atom = atoms.table[number]
        if not isinstance(atom, Func):
            continue
        for arg in atom.args:
            linear = list(_single_direction(atoms, arg))
            for m, c in arg.terms.items() if not linear else ():
                gaussians = [a for a, _ in m if isinstance(atoms.table[a], Hat | Initial)]
                if len(m) == 1 and m[0][1] == 1 and gaussians:
                    linear.append((m[0][0], c))
                else:
                    for a in gaussians:
                        seen[((a, 1),)] = ((a, 1),)
            if linear:
                linear.sort(key=lambda t: t[0])
                # relu(u) and relu(-u) see one variable
                head = linear[0][1] if rescale and np.all(np.asarray(linear[0][1] != 0)) else 1
                head = Fraction(head) if isinstance(head, int) else head
                linear = [(a, c / head) for a, c in linear]
                seen[Form({((a, 1),): c for a, c in linear}).key()] = tuple(linear)
    return list(seen.values())


def _single_direction(atoms: Atoms, form: Form) -> Linear:
    """u, if the form is a polynomial of degree two or more in one linear combination u of Gaussians; else nothing.

    The square of ``W x + b`` depends on the sum only. Its gradients are parallel, which a few integer points show.
    """
    gaussians = sorted({a for m in form.terms for a, _ in m})
    degree = max((sum(k for _, k in m) for m in form.terms), default=0)
    plain = all(isinstance(atoms.table[a], Hat | Initial) for a in gaussians)
    if degree < 2 or len(gaussians) < 2 or not plain or any(isinstance(c, np.ndarray) for c in form.terms.values()):
        return ()
    direction: list[Number] | None = None
    for trial in range(degree + len(gaussians)):
        point = {a: 1 + (7 * (k + 1) ** 2 + 3 * trial**2 + trial * k) % 11 for k, a in enumerate(gaussians)}
        gradient = [_derivative(form, a, point) for a in gaussians]
        head = next((g for g in gradient if g != 0), None)
        if head is None:
            continue
        unit = [Fraction(g) / head if is_rational(g) and is_rational(head) else g / head for g in gradient]
        if direction is None:
            direction = unit
        elif any(abs(x - y) > (0 if is_rational(x - y) else _PARALLEL) for x, y in zip(unit, direction, strict=True)):
            return ()
    return () if direction is None else tuple((a, c) for a, c in zip(gaussians, direction, strict=True) if c != 0)


def _derivative(form: Form, a: int, point: dict[int, int]) -> Number:
    total: Number = 0
    for m, c in form.terms.items():
        powers = dict(m)
        if a not in powers:
            continue
        term = c * powers[a]
        for b, k in m:
            term = term * point[b] ** (k - (b == a))
        total = total + term
    return total


def linked(families: list[set[Any]], start: set[Any]) -> list[int]:
    """Indices of variables connected to the families in `start` through shared families."""
    reached = set(start)
    while True:
        grown = reached.union(*(f for f in families if f & reached)) if families else reached
        if grown == reached:
            return [i for i, f in enumerate(families) if f & reached]
        reached = grown


def solve_batch(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Least-norm solutions of a batch of positive semidefinite systems."""
    # equilibrate: the cut-off must not depend on the units of a variable
    scale = np.sqrt(np.maximum(np.einsum("...ii->...i", matrix), 0.0))
    scale[scale == 0] = 1.0
    inverse = np.linalg.pinv(matrix / scale[..., :, None] / scale[..., None, :], rcond=1e-11, hermitian=True)
    return np.einsum("...ij,...j->...i", inverse, vector / scale) / scale


def solve_psd(cov: list[list[Number]], right: list[Number], ctx: Any = None) -> list[Number]:
    """A solution of a consistent positive semidefinite system, exact in an exact ring; singular is normal."""
    size = len(right)
    numbers = [*right, *(c for row in cov for c in row)]
    exact = all(is_rational(v) or isinstance(v, Quantity) for v in numbers)
    if not exact and ctx is None:
        shape = np.broadcast_shapes(*(np.shape(v) for v in numbers))
        matrix = np.empty((*shape, size, size))
        vector = np.empty((*shape, size))
        for i in range(size):
            vector[..., i] = right[i]
            for j in range(size):
                matrix[..., i, j] = cov[i][j]
        out = solve_batch(matrix, vector)
        return [as_number(out[..., i]) for i in range(size)]
    rows = [[*row, b] for row, b in zip(cov, right, strict=True)]
    if exact:
        rows = [[Fraction(v) if isinstance(v, int) else v for v in row] for row in rows]
    tolerance = 0 if exact else ctx.eps * 10**6
    pivots: list[int] = []
    for _ in range(size):
        best = max((i for i in range(size) if i not in pivots), key=lambda i: _pivot(rows[i][i]))
        if exact and rows[best][best] == 0:
            break
        if not exact and abs(rows[best][best]) <= tolerance * max(1, abs(cov[best][best])):
            break
        pivots.append(best)
        head = rows[best][best]
        rows[best] = [v / head for v in rows[best]]
        for i in range(size):
            if i != best and rows[i][best] != 0:
                factor = rows[i][best]
                rows[i] = [v - factor * w for v, w in zip(rows[i], rows[best], strict=True)]
    return [rows[i][size] if i in pivots else 0 for i in range(size)]


def _pivot(value: Number) -> Number:
    """By which pivots are chosen; any that is not zero serves an exact ring."""
    return 0 if is_rational(value) and value == 0 else 1 if isinstance(value, Quantity) else abs(value)
