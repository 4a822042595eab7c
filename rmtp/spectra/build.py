"""`spectrum` and `singular_values`: from an expression to its law."""

from __future__ import annotations

from typing import Any

from ..dense import is_symmetric
from ..errors import DimensionMismatch, NotSelfAdjoint, UnsupportedOperation
from ..matrices import Expression
from .images import ImageLaw, polynomial
from .spectral import SingularLaw, SpectralLaw


def spectrum(M: Any) -> SpectralLaw:
    """The limiting law of the eigenvalues of a self-adjoint matrix expression.

    Law: ``g(z) = lim (1/n) tr (z - M)^-1``, the coefficient of ``Z^v`` in the solution of the implicit program
    ``x = (z - M)^-1 v``; density, edges and atoms are read off it on the real axis.

    Parameters
    ----------
    M : Expression
        Sums, products, powers, inverses, blocks of random matrices and diagonals, equal to its transpose.

    Returns
    -------
    Law
        Nothing is computed until it is asked: ``pdf cdf ppf rvs sample moment mean var support() atoms edges stieltjes
        r_transform s_transform free_cumulants expect outliers equation() plot``.

    Raises
    ------
    NotSelfAdjoint
        If M is not its own transpose: `singular_values` then has an answer.
    NotInvertible
        If an inverse in M does not exist in the limit.
    DimensionMismatch
        If M is not square.

    Notes
    -----
    Normalisation: entries of `Gaussian` have variance std**2/cols, of `GOE` std**2/n; the trace is normalised by the size of M.
    Theory: the master theorem on implicit programs (Z-Hat and Z-Dot give the matrix Dyson equation); TP III (2009.10685),
    section 3 for the explicit route. Exact moments where all data are rational.

    Examples
    --------
    >>> import rmtp
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    >>> W = rmtp.Gaussian(m, n)
    >>> law = rmtp.spectrum(W @ W.T)
    >>> law.moment(3), round(law.atoms[0].mass, 12)
    (Fraction(11, 1), 0.5)
    >>> X, Y = rmtp.GOE(n), rmtp.GOE(n)
    >>> round(rmtp.spectrum(X @ Y + Y @ X).pdf(0.0), 12)
    0.318309886184
    """
    _check(M, "spectrum")
    if M.left != M.right:
        raise DimensionMismatch(
            f"spectrum of {M!r}, which is {M.rows} x {M.cols}", remedy="rmtp.singular_values(M), or M @ M.T"
        )
    if not is_symmetric(M):
        raise NotSelfAdjoint(
            "the matrix is not its own transpose, its eigenvalues are complex",
            where=repr(M),
            remedy="rmtp.singular_values(M), or the symmetric part (M + M.T) / 2",
        )
    power = polynomial(M)
    return SpectralLaw(M) if power is None else ImageLaw(M, SpectralLaw(power.generator), power.coefficients)


def singular_values(J: Any) -> SingularLaw:
    """The limiting law of the min(rows, cols) singular values of a matrix expression.

    Law: that of the square roots of the eigenvalues of the smaller of ``J.T @ J`` and ``J @ J.T``.

    Parameters
    ----------
    J : Expression
        For instance a network's Jacobian, ``diag(phi'(h2)) @ W2 @ diag(phi'(h1)) @ W1``.

    Returns
    -------
    Law
        ``law.square`` is the law of the squares.

    Raises
    ------
    UnsupportedOperation
        If J is no matrix expression.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> law = rmtp.singular_values(rmtp.Gaussian(n, n))
    >>> law.moment(2), round(law.pdf(0.0), 12), round(law.support()[0][1], 12)
    (Fraction(1, 1), 0.636619772368, 2.0)
    """
    _check(J, "singular_values")
    wide = sum(float(d.ratio) for d in J.right) > sum(float(d.ratio) for d in J.left)
    return SingularLaw(J, SpectralLaw(J @ J.T if wide else J.T @ J))


def _check(M: Any, what: str) -> None:
    if not isinstance(M, Expression):
        raise UnsupportedOperation(
            f"{what} of a {type(M).__name__}", remedy="a matrix expression: W @ W.T, A + rmtp.diag(x), ..."
        )
