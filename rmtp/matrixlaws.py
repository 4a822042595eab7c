"""Rotationally invariant random matrices: orthogonal ones, Wishart matrices, and any law of eigen- or singular values.

The master theorem sees only their free cumulants (theory, section 3); `sample` draws Haar eigenvectors around values that
stand at the quantiles of the law, so that an average over them is off by 1/n and does not fluctuate.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from .cumulants import FreePoisson, FromMoments, Listed, is_moment_sequence, moments_of
from .eigenlaws import (
    Expanded,
    FreeCumulants,
    RTransform,
    all_rational,
    as_eigenlaw,
    moments_of_law,
    read_number,
    refuse_negative,
    values_at_quantiles,
)
from .ensembles import Dim, Ensemble, Number, check_dim, draw_entries, draw_haar, variance_of
from .errors import BadParameter, UnsupportedOperation
from .instructions import RandomMatrix
from .laws import as_law
from .matrices import Matrix
from .quantity import is_symbolic

_CHECKED = 12  # moments that must be those of a law, where free cumulants are given

# ---------------------------------------------------------------------------------------------
# the matrices


def Haar(rows: Dim, cols: Dim | None = None, *, name: str = "") -> Matrix:
    """A random matrix with orthonormal columns or rows: all min(rows, cols) singular values are 1.

    Law: square, Haar orthogonal; rectangular, a uniformly random partial isometry. Entries have variance 1/max(rows, cols),
    without any other normalisation: ``W.T @ W`` is the identity for rows >= cols, ``W @ W.T`` for rows <= cols.

    Parameters
    ----------
    rows : Dim
    cols : Dim, optional
        As rows if left out.
    name : str, optional

    Returns
    -------
    Matrix

    Raises
    ------
    BadParameter
        If a width is no `Dim`, or its ratio is an array.

    Notes
    -----
    Exact: rectangular free cumulants 1, -1, 2, -5, .. (signed Catalan numbers) of a square one. Fan 2022 (2008.11892) has the
    theorem for symmetric and rectangular matrices.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> Q, x = rmtp.Haar(n), rmtp.Normal(n)
    >>> rmtp.limit(np.mean((Q.T @ (Q @ x) - x) ** 2)).value
    Fraction(0, 1)
    """
    cols = rows if cols is None else cols
    gamma, read = _aspect(rows, cols, "Haar")
    return Matrix(RandomMatrix(rows, cols, _bi_invariant("Haar", as_law(1), gamma, read, draw_haar), name))


def Wishart(dim: Dim, cols: Dim, std: Any = 1, *, variance: Any = None, name: str = "") -> Matrix:
    """The symmetric matrix ``X @ X.T``, X of shape dim x cols with iid entries of variance **std**2 / cols**.

    Law: eigenvalues follow Marchenko and Pastur with ratio gamma = dim/cols; free cumulants std**(2j) gamma**(j-1).

    Parameters
    ----------
    dim : Dim
        Rows and columns of the result.
    cols : Dim
        The number of columns of X ("samples").
    std : number
    variance : number, optional
        std**2 instead of std.
    name : str, optional

    Returns
    -------
    Matrix

    Raises
    ------
    BadParameter
        If std is negative, not finite or an array (``X = Gaussian(dim, cols, std)`` and ``X @ (X.T @ v)`` sweep).

    Notes
    -----
    Exact. One use of it is two of X: programs with ``X @ (X.T @ v)`` have the same limits.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, p = rmtp.Dim("n"), rmtp.Dim("p", ratio=2)
    >>> S, v = rmtp.Wishart(n, p), rmtp.Normal(n)
    >>> rmtp.limit(np.mean(v * (S @ (S @ v)))).value
    Fraction(3, 2)
    """
    gamma, read = _aspect(dim, cols, "Wishart")
    s2 = variance_of(std, variance, "Wishart")
    if isinstance(s2, np.ndarray):
        raise BadParameter(
            "Wishart: std is an array", remedy="X = Gaussian(dim, cols, std) and X @ (X.T @ v) for a sweep"
        )
    exact, fine = read_number(s2)
    rows_over_cols = gamma if fine else float(gamma)
    cumulants = FreePoisson(exact, rows_over_cols, read and isinstance(s2, int | Fraction))
    draw = partial(_draw_wishart, float(s2), float(gamma))
    return Matrix(RandomMatrix(dim, dim, _ensemble("Wishart", True, draw, None, cumulants), name))


def Invariant(dim: Dim, law: Any, *, name: str = "") -> Matrix:
    """A symmetric random matrix with a given law of eigenvalues and Haar eigenvectors.

    Law: ``Q @ diag(lambda) @ Q.T`` with Q Haar orthogonal and the lambda distributed like `law`, not rescaled.

    Parameters
    ----------
    dim : Dim
    law : law of the eigenvalues
        A list of atoms, `Discrete`, `Mixture`, a frozen scipy.stats law, a number; a spectral law (such as
        ``rmtp.spectrum`` returns); or `Moments`, `FreeCumulants`, `RTransform`, which have a limit but cannot be drawn.
    name : str, optional

    Returns
    -------
    Matrix

    Raises
    ------
    BadParameter
        If `law` is no law.
    DivergentExpectation
        If a moment that is needed does not exist.

    Notes
    -----
    Exact for atoms, Gaussian laws and given numbers; a continuous law enters by its moments, in floats. Theorem: Fan 2022
    (2008.11892). For unbounded laws, outside its assumptions, the answer is conjectural.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> P, v = rmtp.Invariant(n, [0, 1]), rmtp.Normal(n)  # a random projection of rank n/2
    >>> rmtp.limit(np.mean((P @ (P @ v) - P @ v) ** 2)).value
    Fraction(0, 1)
    """
    _aspect(dim, dim, "Invariant")
    law = as_eigenlaw(law, "Invariant")
    cumulants: Any
    match law:
        case FreeCumulants(values):
            cumulants = Listed(tuple(read_number(v)[0] for v in values), all_rational(values))
        case RTransform(function):
            cumulants = Expanded(function, 1)
        case _:
            of = moments_of_law(law)
            cumulants = FromMoments(of.moment, None, of.rational, of.readable)
    if isinstance(law, FreeCumulants | RTransform):
        _check_cumulants(law, cumulants, None)
    draw = partial(_draw_invariant, law)
    return Matrix(RandomMatrix(dim, dim, _ensemble("Invariant", True, draw, law, cumulants), name))


def BiInvariant(rows: Dim, cols: Dim, law: Any, *, name: str = "") -> Matrix:
    """A rectangular random matrix with a given law of singular values and Haar singular vectors.

    Law: ``U @ diag(s) @ V.T`` with independent Haar U and V and the min(rows, cols) values s distributed like `law`.

    Parameters
    ----------
    rows, cols : Dim
    law : law of the singular values
        As for `Invariant`, on [0, inf). `FreeCumulants` and `RTransform` are rectangular ones, of (1/rows) tr (W W.T)^k.
    name : str, optional

    Returns
    -------
    Matrix

    Raises
    ------
    BadParameter
        If `law` is no law, or gives weight to negative numbers.
    DivergentExpectation
        If a moment that is needed does not exist.

    Notes
    -----
    Cumulants from ``M(z) = R(z (gamma M(z) + 1)(M(z) + 1))``, gamma = rows/cols. Exactness as for `Invariant`.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    >>> W, v = rmtp.BiInvariant(m, n, [1, 3]), rmtp.Normal(n)
    >>> rmtp.limit(np.mean(v * (W.T @ (W @ v)))).value  # (1 + 9) / 2
    Fraction(5, 1)
    """
    gamma, read = _aspect(rows, cols, "BiInvariant")
    law = as_eigenlaw(law, "BiInvariant")
    refuse_negative(law)
    draw = partial(_draw_bi_invariant, law)
    return Matrix(RandomMatrix(rows, cols, _bi_invariant("BiInvariant", law, gamma, read, draw), name))


def _bi_invariant(kind: str, law: Any, gamma: Number, read: bool, draw: Callable[..., np.ndarray]) -> Ensemble:
    exact_gamma = Fraction(gamma)
    cumulants: Any
    match law:
        case FreeCumulants(values):
            if any(values[::2]):
                raise BadParameter(
                    f"rectangular free cumulants of odd order in {law!r}", remedy="[0, kappa_2, 0, kappa_4, ..]"
                )
            cumulants = Listed(tuple(read_number(v)[0] for v in values), all_rational(values))
        case RTransform(function):
            cumulants = Expanded(function, 2)
        case _:
            of = moments_of_law(law)
            share = min(Fraction(1), 1 / exact_gamma)  # singular values per row
            readable = of.readable and isinstance(gamma, Fraction)
            cumulants = FromMoments(lambda k: share * of.moment(2 * k), exact_gamma, of.rational and read, readable)
    if isinstance(law, FreeCumulants | RTransform):
        _check_cumulants(law, cumulants, exact_gamma)
    return _ensemble(kind, False, draw, law, cumulants)


def _check_cumulants(law: Any, cumulants: Any, gamma: Fraction | None) -> None:
    moments: list[Number] = list(moments_of(cumulants, _CHECKED, gamma))
    if not cumulants.rational:
        moments = [float(m) for m in moments]
    if not is_moment_sequence(moments, nonnegative=gamma is not None):
        raise BadParameter(f"no law has the free cumulants of {law!r}", remedy="the cumulants of a probability law")


def _ensemble(kind: str, symmetric: bool, draw: Callable[..., np.ndarray], law: Any, cumulants: Any) -> Ensemble:
    second = cumulants(2)
    return Ensemble(
        kind, second if cumulants.rational else float(second), symmetric, draw, law=law, cumulants=cumulants
    )


def _aspect(rows: Any, cols: Any, what: str) -> tuple[Number, bool]:
    """rows / cols (a Fraction where it can be read as one), and whether both ratios are rational as given."""
    for dim in (rows, cols):
        check_dim(dim)
        if isinstance(dim.ratio, np.ndarray):
            raise BadParameter(
                f"{what}: the ratio of width {dim.name!r} is an array",
                remedy="one ratio at a time; Gaussian takes arrays",
            )
    if rows == cols and is_symbolic(rows.ratio):
        return Fraction(1), True
    if is_symbolic(rows.ratio) or is_symbolic(cols.ratio):
        raise UnsupportedOperation(
            f"a rectangular {what} matrix whose aspect ratio is a symbol", remedy="a number, or a Gaussian matrix"
        )
    (top, fine), (bottom, also) = read_number(rows.ratio), read_number(cols.ratio)
    given = all(isinstance(d.ratio, int | Fraction) for d in (rows, cols))
    return (top / bottom if fine and also else float(rows.ratio) / float(cols.ratio)), given


# ---------------------------------------------------------------------------------------------
# finite matrices


def _draw_invariant(
    law: Any, rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str
) -> np.ndarray:
    values = values_at_quantiles(law, rows)
    q = draw_haar(rng, rows, rows, 1.0, entries)
    return (q * values) @ q.T


def _draw_bi_invariant(
    law: Any, rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str
) -> np.ndarray:
    size = min(rows, cols)
    values = values_at_quantiles(law, size)
    return (draw_haar(rng, rows, size, 1.0, entries) * values) @ draw_haar(rng, cols, size, 1.0, entries).T


def _draw_wishart(
    s2: float, gamma: float, rng: np.random.Generator, rows: int, cols: int, variance: float, entries: str
) -> np.ndarray:
    samples = max(1, round(rows / gamma))
    x = draw_entries(rng, (rows, samples), entries)
    return (x @ x.T) * (s2 / samples)
