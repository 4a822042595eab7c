"""`solve`: the solution of a linear system as a vector of a program."""

from __future__ import annotations

from typing import Any

from .dense import is_symmetric
from .dyson.linear import equation
from .errors import DimensionMismatch, UnsupportedOperation
from .handles import Vector
from .instructions import Solve
from .matrices import Diagonal, Expression, Identity, Product


def solve(M: Any, v: Any) -> Vector:
    """The vector x with ``M @ x = v``, usable inside any program.

    Law: Z-Hat and Z-Dot on the implicit program. ``Z^x`` is a combination, coordinate by coordinate, of Z^v, of Gaussians whose
    covariance solves a linear fixed point, and of Z-Dot terms; v may depend on the matrices of M.

    Parameters
    ----------
    M : Expression
        Square. If it is not its own transpose, ``x = (M.T M)^-1 M.T v``.
    v : Vector
        Without finite axes.

    Returns
    -------
    Vector

    Raises
    ------
    DimensionMismatch
        If the widths do not fit.
    NotInvertible
        When the limit is asked for, if the spectrum of M reaches 0.
    UnsupportedOperation
        For block matrices; in the limit also for ensembles other than iid and GOE that v or a diagonal depends on.

    Notes
    -----
    Approximate to about 1e-12 (coefficients with finitely many values) or 1e-9; no exact=True. Theory: section "Solve".

    Examples
    --------
    Ridge regression: the risk of ``beta_hat = (X.T X + lam)^-1 X.T y`` with as many samples as parameters.

    >>> import numpy as np, rmtp
    >>> n, p = rmtp.Dim("n"), rmtp.Dim("p")
    >>> X, beta = rmtp.Gaussian(n, p), rmtp.Normal(p)
    >>> y = X @ beta + rmtp.Normal(n, cov=0.25)
    >>> beta_hat = rmtp.solve(X.T @ X + rmtp.eye(p) / 4, X.T @ y)
    >>> round(float(rmtp.limit(np.mean((beta_hat - beta) ** 2))), 6)
    0.390388
    """
    if not isinstance(M, Expression) or not isinstance(v, Vector) or v.axes:
        raise UnsupportedOperation(
            f"solve({M!r}, {v!r})", remedy="a square matrix expression and a vector without finite axes"
        )
    if len(M.left) > 1 or len(M.right) > 1:
        raise UnsupportedOperation(
            f"solve with the block matrix {M!r}", remedy="eliminate one block: solve(A - B @ inv(D) @ C, v)"
        )
    if M.left != M.right or v.dim != M.left[0]:
        raise DimensionMismatch(
            f"solve({M!r}, {v!r}): {M.rows} x {M.cols} and a vector of width {v.dim}",
            remedy="a square matrix and a vector of its width; M.T @ M + lam * eye for least squares",
        )
    if isinstance(M, Identity):
        return v
    if isinstance(M, Diagonal):
        return v / M.vector
    if not is_symmetric(M):
        M, v = Product((M.T, M)), M.T @ v
    system = equation(M, is_symmetric)
    return Vector(Solve(system, M), (v, *system.coefficients), v.dim)
