"""The Gaussian law of targets under a kernel: the Cholesky factor of its covariance, and its likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from .errors import AxisError, BadParameter, NotPSD

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor of ``k + noise + jitter`` and the jitter, an absolute number.

    Examples
    --------
    >>> f = factor([[2.0]], noise=2.0)
    >>> f.lower, f.solve([8.0]), f.jitter
    (array([[2.]]), array([2.]), 0.0)
    """

    lower: np.ndarray
    jitter: float

    def solve(self, b: Any) -> np.ndarray:
        """``(k + noise + jitter)^-1 b``."""
        return np.asarray(linalg.cho_solve((self.lower, True), np.asarray(b, dtype=float), check_finite=False))

    def half(self, b: Any) -> np.ndarray:
        """``lower^-1 b``, whose squared columns are quadratic forms of the inverse."""
        return np.asarray(linalg.solve_triangular(self.lower, b, lower=True, check_finite=False))

    @property
    def logdet(self) -> float:
        """Natural logarithm of the determinant."""
        return float(2 * np.sum(np.log(np.diag(self.lower))))


def factor(k_train: Any, noise: Any = 0, jitter: float = 0) -> Factor:
    """The Cholesky factor of a kernel matrix plus noise.

    A matrix counts as singular if the factorisation breaks down, or if LAPACK's estimate of its reciprocal condition number is
    below the rounding unit 2.2e-16: then no digit of a solution would be right.

    Parameters
    ----------
    k_train : array (N, N)
        Symmetric, positive semi-definite.
    noise : float or array (N,)
        Added to the diagonal; >= 0, in the unit of the kernel.
    jitter : float in [0, 1)
        The most that may be added beyond the noise, as a share of the mean of the diagonal. Powers of ten from the rounding
        unit upwards are tried, only where the matrix is singular as it is.

    Returns
    -------
    Factor

    Raises
    ------
    NotPSD
        If the matrix is not symmetric, or singular with all the jitter allowed; names the noise that would do.
    BadParameter, AxisError
        For numbers out of range and shapes that do not fit.

    Examples
    --------
    >>> try:
    ...     factor([[3.0, 4.0], [4.0, 3.0]])
    ... except NotPSD as error:
    ...     print(error)
    the kernel of 2 training points with noise 0 is not positive definite: its eigenvalues reach from -1 to 7
      try  noise=1.1e+00 or more; or check the kernel: a covariance has no eigenvalue as negative as this
    >>> factor([[1.0, 1.0], [1.0, 1.0]], jitter=1e-10).jitter < 1e-14
    True
    """
    k = symmetric(k_train, "k_train")
    most = _jitter(jitter)
    a = k.copy()
    a[np.diag_indices(len(a))] += variances(noise, len(k))
    mean = float(np.mean(np.diag(a)))
    lower = _cholesky(a)
    if lower is not None:
        return Factor(lower, 0.0)
    for share in _shares(most):
        lower = _cholesky(a, share * mean)
        if lower is not None:
            return Factor(lower, share * mean)
    raise singular(a, noise, most)


def _shares(most: float) -> list[float]:
    ladder = []
    share = 10 * EPS
    while share < most:
        ladder.append(share)
        share *= 10
    return [*ladder, most] if most > 0 else []


def _cholesky(a: np.ndarray, shift: float = 0.0) -> np.ndarray | None:
    """The lower factor of a + shift, or None if that is singular to working precision."""
    if shift:
        a = a.copy()
        a[np.diag_indices(len(a))] += shift
    try:
        lower = linalg.cholesky(a, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    norm = float(np.max(np.sum(np.abs(a), axis=0)))
    rcond, _ = linalg.lapack.dpocon(lower, norm, uplo="L")
    return lower if rcond > EPS else None


def singular(a: np.ndarray, noise: Any, most: float) -> NotPSD:
    """The error, with a noise that was tried and found to be enough."""
    values = np.linalg.eigvalsh(a)
    low, high = float(values[0]), float(max(abs(values[0]), abs(values[-1])))
    needed = max(-low, 0.0) + len(a) * EPS * high
    while needed and _cholesky(a, needed) is None:
        needed *= 2
    given = np.asarray(noise, dtype=float)
    least = float(np.min(given))
    enough = 1.05 * ((least if given.ndim == 0 else 0.0) + (needed or 1.0))  # so that two digits are rounded up
    allowed = f" and jitter up to {most:g} of its diagonal" if most else ""
    cures = [f"noise={enough:.1e} or more" if given.ndim == 0 else f"noise + {enough:.1e} or more"]
    if low >= -1e-10 * high:
        cures += [f"jitter={max(1e-10, 100 * most):g} if only rounding is to blame", "or drop inputs that repeat"]
    else:
        cures += ["or check the kernel: a covariance has no eigenvalue as negative as this"]
    return NotPSD(
        f"the kernel of {len(a)} training points with noise {least:g}{allowed} is not positive definite: "
        f"its eigenvalues reach from {low:.3g} to {float(values[-1]):.3g}",
        remedy="; ".join(cures),
    )


# ---------------------------------------------------------------------------------------------
# marginal likelihood


def log_marginal_likelihood(k_train: Any, y: Any, *, noise: Any = 0, jitter: float = 0) -> float:
    """The evidence for a kernel: ``log N(y; 0, K + noise)`` in natural units, summed over outputs.

    Parameters
    ----------
    k_train : array (N, N)
    y : array (N,) or (N, C)
    noise : float or array (N,)
    jitter : float

    Returns
    -------
    float

    Raises
    ------
    NotPSD, BadParameter, AxisError

    Notes
    -----
    Rasmussen and Williams (2006), Eq. 2.30.

    Examples
    --------
    >>> round(log_marginal_likelihood([[1.0]], [0.0]), 6)  # -log(2 pi)/2
    -0.918939
    """
    f = factor(k_train, noise, jitter)
    return evidence(f, targets_of(y, len(f.lower)))


def log_marginal_likelihood_gradient(
    k_train: Any, y: Any, *, noise: Any = 0, jitter: float = 0
) -> tuple[float, np.ndarray]:
    """The evidence and G, its gradient with respect to the kernel matrix.

    Law: ``dL = sum(G * dK)`` with ``G = (a a.T - C K^-1) / 2``, ``a = K^-1 y``, K with its noise. For a hyperparameter t
    this is ``sum(G * dK/dt)``; the derivative by the noise is ``trace(G)``.

    Parameters
    ----------
    k_train, y, noise, jitter
        As for `log_marginal_likelihood`.

    Returns
    -------
    float, ndarray (N, N)

    Raises
    ------
    NotPSD, BadParameter, AxisError

    Notes
    -----
    Rasmussen and Williams (2006), Eq. 5.9.

    Examples
    --------
    >>> value, gradient = log_marginal_likelihood_gradient([[2.0]], [2.0])
    >>> round(float(gradient[0, 0]), 12)  # (y^2/k^2 - 1/k)/2
    0.25
    """
    f = factor(k_train, noise, jitter)
    targets = targets_of(y, len(f.lower))
    a = f.solve(targets.reshape(len(targets), -1))
    return evidence(f, targets), (a @ a.T - a.shape[1] * f.solve(np.eye(len(a)))) / 2


def evidence(f: Factor, targets: np.ndarray) -> float:
    half = f.half(targets.reshape(len(targets), -1))
    n, outputs = half.shape
    return float(-np.sum(half**2) / 2 - outputs * (f.logdet + n * np.log(2 * np.pi)) / 2)


# ---------------------------------------------------------------------------------------------
# arguments


def numbers(a: Any, what: str, ranks: tuple[int, ...]) -> np.ndarray:
    try:
        if np.iscomplexobj(a):
            raise BadParameter(f"{what} holds complex numbers", remedy="real ones: .real, if the rest is rounding")
        if np.asarray(a).dtype.kind not in "biufO":  # text that looks like numbers is none
            raise TypeError
        out = np.asarray(a, dtype=float)
    except BadParameter:
        raise
    except (TypeError, ValueError, OverflowError):
        raise BadParameter(f"{what} is not an array of numbers", remedy="for labels, rmtp.regression.one_hot") from None
    if out.ndim not in ranks:
        remedy = "one kernel at a time: loop over a sweep" if out.ndim > 2 else "rows and columns are points"
        raise AxisError(f"{what} of shape {out.shape}", remedy=remedy)
    if not np.all(np.isfinite(out)):
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
        raise BadParameter(f"{what} holds {out[bad]} at {bad}", remedy="finite numbers")
    return out


def symmetric(k: Any, what: str) -> np.ndarray:
    out = numbers(k, what, (2,))
    if out.shape[0] != out.shape[1] or not len(out):
        raise AxisError(f"{what} of shape {out.shape}", remedy="a square matrix, one row and column per point")
    gap = float(np.max(np.abs(out - out.T)))
    if gap > 1e-8 * float(np.max(np.abs(out))):
        raise NotPSD(f"{what} differs from its transpose by {gap:.3g}", remedy="a kernel of the same points twice")
    return out


def targets_of(y: Any, size: int) -> np.ndarray:
    out = numbers(y, "y", (1, 2))
    if len(out) != size or out.size == 0:
        raise AxisError(f"y of shape {out.shape} for {size} training points", remedy=f"shape ({size},) or ({size}, C)")
    return out


def variances(noise: Any, size: int) -> np.ndarray:
    out = numbers(noise, "noise", (0, 1))
    if out.shape not in ((), (size,)):
        raise AxisError(f"noise of shape {out.shape} for {size} training points", remedy="one number, or one per point")
    if np.any(out < 0):
        raise BadParameter(f"noise={float(out.min()):g}", remedy="a variance, at least 0")
    return np.broadcast_to(out, (size,))


def _jitter(jitter: Any) -> float:
    if isinstance(jitter, bool) or not isinstance(jitter, int | float | np.number) or not 0 <= jitter < 1:
        raise BadParameter(
            f"jitter={jitter!r}", remedy="the largest share of the mean diagonal, such as 1e-10; 0 for none"
        )
    return float(jitter)
