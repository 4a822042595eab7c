"""The words a user types: initial vectors, random matrices, coordinatewise functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import catalogue as nl
from .arguments import items, reals
from .ensembles import ENTRY_LAWS, Dim, Ensemble, Number, check_dim, draw_iid, draw_symmetric, variance_of
from .errors import BadParameter, NotPSD
from .handles import Node, Vector, apply, plain
from .instructions import ConstantSource, IIDSource, Init, NormalGroup, RandomMatrix
from .laws import as_law
from .matrices import Matrix
from .nonlinearity import Nonlinearity, Outcomes, user
from .program import Program, lower
from .quantity import is_symbolic
from .special import expit, ndtr

_PSD_TOLERANCE = 1e-10
# Klambauer et al. (2017): zero mean and unit variance are a fixed point.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def Normal(dim: Dim, mean: Any = 0, cov: Any = 1, *, axis: str | None = None, name: str | Sequence[str] = "") -> Any:
    """Initial vectors with iid jointly Gaussian coordinates.

    Law: coordinate i of (x, y, ..) is an independent copy of N(mean, cov).

    Parameters
    ----------
    dim : Dim
        The width.
    mean : number or sequence of k numbers
    cov : number or (k, k) array
        A variance, or a covariance (it may be singular); not a standard deviation.
    axis : str, optional
        Return one `Vector` with a finite axis of this name and length k instead of a tuple.
    name : str or sequence of str, optional
        For printing.

    Returns
    -------
    Vector, or tuple of Vector when mean or cov is a sequence

    Raises
    ------
    NotPSD
        If cov is not symmetric positive semidefinite.
    BadParameter
        If shapes disagree or a number is not finite.

    Notes
    -----
    Exact: ints and Fractions stay rational. Z-Init of TP III (2009.10685), Definition 2.2.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> x, y = rmtp.Normal(n, mean=(0, 0), cov=[[1, 0.5], [0.5, 1]])
    >>> rmtp.limit(np.mean(x * y)).value
    0.5
    """
    try:
        shapes = np.shape(mean), np.shape(cov)
    except ValueError:
        raise BadParameter("Normal: a mean or cov of unequal rows", remedy="k means and a k x k covariance") from None
    if len(shapes[0]) > 1 or len(shapes[1]) not in (0, 2):
        raise BadParameter(
            f"Normal: mean of shape {shapes[0]} and cov of shape {shapes[1]}", remedy="k means and a k x k covariance"
        )
    single = shapes == ((), ())
    k = 1 if single else max(np.size(mean), np.shape(cov)[0] if np.ndim(cov) else 1)
    means = tuple(mean) if np.ndim(mean) else (mean,) * k
    rows = [[cov]] if single else [list(row) for row in cov] if np.ndim(cov) == 2 else None
    if rows is None and np.ndim(cov) == 0:
        rows = [[cov if i == j else 0 for j in range(k)] for i in range(k)]
    if rows is None or len(means) != k or any(len(row) != k for row in rows) or len(rows) != k:
        raise BadParameter(
            f"Normal: mean of shape {np.shape(mean)} and cov of shape {np.shape(cov)}",
            remedy="k means and a k x k covariance",
        )
    exact = tuple(tuple(plain(c) for c in row) for row in rows)
    if any(map(is_symbolic, exact)):
        if any(exact[i][j] != exact[j][i] for i in range(k) for j in range(i)):
            raise NotPSD(f"the covariance {exact} is not symmetric", remedy="give a symmetric matrix")
        return _normal_group(dim, means, exact, axis, name, single)
    matrix = np.array(exact, dtype=float)
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
        raise NotPSD(f"the covariance {matrix.tolist()} is not symmetric", remedy="give a symmetric matrix")
    smallest = np.linalg.eigvalsh(matrix).min()
    if smallest < -_PSD_TOLERANCE * max(1e-300, np.abs(matrix).max()):
        raise NotPSD(
            f"the covariance {matrix.tolist()} has the eigenvalue {smallest:.3g}",
            remedy="a covariance is positive semidefinite; note that cov holds variances, not standard deviations",
        )
    return _normal_group(dim, means, exact, axis, name, single)


def _normal_group(dim: Dim, means: Sequence[Any], exact: Any, axis: str | None, name: Any, single: bool) -> Any:
    k = len(means)
    group = NormalGroup(check_dim(dim), tuple(plain(m) for m in means), exact)
    if axis is not None:
        return Vector(Init(group, None), (), group.dim, ((axis, k),), str(name))
    names = [name] * k if isinstance(name, str) else list(name)
    if not isinstance(name, str) and len(names) != k:
        raise BadParameter(f"Normal: {len(names)} names for {k} vectors", remedy="one name per vector")
    vectors = tuple(Vector(Init(group, i), (), group.dim, (), names[i]) for i in range(k))
    return vectors[0] if single else vectors


def IID(dim: Dim, law: Any, *, name: str = "") -> Vector:
    """An initial vector with iid coordinates of any law.

    Parameters
    ----------
    dim : Dim
    law : frozen scipy.stats law, list of atoms, `Discrete`, `Mixture`
    name : str, optional

    Returns
    -------
    Vector

    Raises
    ------
    BadParameter
        If `law` is not a law.

    Notes
    -----
    Atoms and Gaussian components are exact; a continuous law costs a dimension of quadrature.

    Examples
    --------
    >>> import numpy as np, rmtp, scipy.stats
    >>> n = rmtp.Dim("n")
    >>> sparse = rmtp.Mixture([0, scipy.stats.norm()], [0.9, 0.1])
    >>> round(float(rmtp.limit(np.mean(rmtp.IID(n, sparse) ** 4))), 12)
    0.3
    """
    return Vector(Init(IIDSource(check_dim(dim), as_law(law))), (), dim, (), name)


def constant(dim: Dim, value: Number, *, name: str = "") -> Vector:
    """The vector all of whose coordinates are `value`.

    Parameters
    ----------
    dim : Dim
    value : number
    name : str, optional

    Returns
    -------
    Vector

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rmtp.limit(np.mean(rmtp.constant(rmtp.Dim("n"), 3)), exact=True).value
    Fraction(3, 1)
    """
    return Vector(Init(ConstantSource(check_dim(dim), plain(value))), (), dim, (), name)


def Gaussian(
    rows: Dim, cols: Dim, std: Any = 1, *, variance: Any = None, entries: str = "gaussian", name: str = ""
) -> Matrix:
    """A random matrix with iid entries of mean 0 and variance **std**2 / cols**.

    Parameters
    ----------
    rows, cols : Dim
        ``W @ x`` takes width `cols` to width `rows`.
    std : number or array
        The entry std times sqrt(cols); an array is a sweep.
    variance : number or array, optional
        std**2 instead of std: ``variance=Fraction(6, 5)`` stays exact.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}
        The law that `sample` draws; the limit is the same for all of them (universality).
    name : str, optional

    Returns
    -------
    Matrix

    Raises
    ------
    BadParameter
        If std is negative or not finite, or entries is unknown.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    >>> W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    >>> rmtp.limit(np.mean((W.T @ (W @ x)) ** 2), exact=True).value
    Fraction(6, 1)
    """
    if entries not in ENTRY_LAWS:
        raise BadParameter(f"unknown entries={entries!r}", remedy=f"one of {', '.join(ENTRY_LAWS)}")
    s2 = variance_of(std, variance, "Gaussian")
    return Matrix(
        RandomMatrix(check_dim(rows), check_dim(cols), Ensemble("Gaussian", s2, False, draw_iid, entries), name)
    )


def GOE(dim: Dim, std: Any = 1, *, variance: Any = None, entries: str = "gaussian", name: str = "") -> Matrix:
    """A symmetric random matrix: off-diagonal variance **std**2 / n**, diagonal variance 2 std**2 / n.

    Parameters
    ----------
    dim : Dim
    std : number or array
        Entry std times sqrt(size); the spectrum fills [-2 std, 2 std].
    variance : number or array, optional
        std**2 instead of std.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}
        The law of the iid matrix X in ``(X + X.T) / sqrt(2)`` that `sample` draws.
    name : str, optional

    Returns
    -------
    Matrix

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> A, v = rmtp.GOE(n), rmtp.Normal(n)
    >>> rmtp.limit(np.mean((A @ (A @ v)) ** 2), exact=True).value
    Fraction(2, 1)
    """
    if entries not in ENTRY_LAWS:
        raise BadParameter(f"unknown entries={entries!r}", remedy=f"one of {', '.join(ENTRY_LAWS)}")
    s2 = variance_of(std, variance, "GOE")
    return Matrix(RandomMatrix(check_dim(dim), dim, Ensemble("GOE", s2, True, draw_symmetric, entries), name))


def elementwise(
    f: Callable[..., Any],
    derivative: Callable[..., Any] | Sequence[Callable[..., Any] | None] | None = None,
    kinks: Sequence[float] = (),
    *,
    name: str | None = None,
    outcomes: Outcomes | None = None,
) -> Callable[..., Any]:
    """Any coordinatewise function, usable on vectors of a program and on arrays.

    Parameters
    ----------
    f : callable
        Takes k arrays and broadcasts like a ufunc.
    derivative : callable, or k callables, optional
        The (weak) partial derivatives; None for one that is not known. Without it Z-Dot comes from Stein's lemma, which
        needs values only.
    kinks : sequence of float, optional
        Points of the first argument where f or its derivative is not smooth: quadrature splits there.
    name : str, optional
    outcomes : Outcomes, optional
        For a function that draws a count by its last argument, a uniform draw of its own: expectations are summed over the
        counts instead of sampled.

    Returns
    -------
    callable

    Raises
    ------
    BadParameter
        If f is not callable or a kink is not finite.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> swish = rmtp.elementwise(lambda x: x / (1 + np.exp(-x)))
    >>> x = rmtp.Normal(rmtp.Dim("n"))
    >>> round(float(rmtp.limit(np.mean(swish(x)))), 10)
    0.2066209641
    """
    places = tuple(items(kinks, "kinks"))
    if places:
        reals(places, "kinks", "finite numbers")
    if not (outcomes is None or isinstance(outcomes, Outcomes)):
        raise BadParameter(f"outcomes={outcomes!r}", remedy="rmtp.Outcomes(window, mass)")
    made: dict[int, Nonlinearity] = {}
    slopes: Any = tuple(derivative) if isinstance(derivative, list | tuple) else derivative

    def build(arity: int) -> Nonlinearity:
        return user(f, slopes, places, arity=arity, name=name, outcomes=outcomes)

    def function(*args: Any) -> Any:
        if not any(isinstance(a, Node) for a in args):
            return f(*args)
        if len(args) not in made:
            made[len(args)] = build(len(args))
        return apply(made[len(args)], *args)

    first = build(len(slopes) if isinstance(slopes, tuple) else 1)  # a bad argument is refused here, not at first use
    made[first.arity] = first
    function.__name__ = str(name or getattr(f, "__name__", "f"))
    return function


def program(*handles: Any) -> Program:
    """The program that computes `handles`: ``print`` it for its numbered lines, ``.latex()`` for LaTeX.

    Parameters
    ----------
    *handles : Vector or Scalar

    Returns
    -------
    Program

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> print(rmtp.program(rmtp.GOE(n, name="A") @ rmtp.Normal(n, name="v")))
    program over n
       1  v = N(0, 1)  : n
       2  v2 = A @ v  : n
    """
    flat = [h for handle in handles for h in (handle if isinstance(handle, list | tuple) else [handle])]
    for handle in flat:
        if not isinstance(handle, Node):
            raise BadParameter(
                f"{type(handle).__name__} is not an expression of a program",
                remedy="a vector or scalar built from rmtp.Normal, rmtp.Gaussian, np.mean, ...",
            )
    return lower(flat)


def relu(x: Any) -> Any:
    """max(x, 0), on vectors of a program and on arrays.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.relu(-2.0))
    0.0
    """
    return apply(nl.RELU, x) if isinstance(x, Node) else np.maximum(x, 0.0)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x for x > 0, else slope * x.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.leaky_relu(-2.0, 0.5))
    -1.0
    """
    return apply(nl.leaky_relu(plain(slope)), x) if isinstance(x, Node) else np.where(x > 0, x, slope * x)


def gelu(x: Any) -> Any:
    """x Phi(x), with Phi the standard normal distribution function (the exact GELU).

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.gelu(0.0))
    0.0
    """
    return x * ndtr(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    Examples
    --------
    >>> import rmtp
    >>> round(float(rmtp.softplus(0.0)), 12)
    0.69314718056
    """
    return apply(nl.SOFTPLUS, x) if isinstance(x, Node) else np.logaddexp(x, 0.0)


def swish(x: Any) -> Any:
    """x / (1 + exp(-x)), also called SiLU.

    Examples
    --------
    >>> import math, rmtp
    >>> round(float(rmtp.swish(math.log(3))) / math.log(3), 12)
    0.75
    """
    return x * expit(x)


def silu(x: Any) -> Any:
    """x / (1 + exp(-x)), the same as `swish`.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.silu(0.0))
    0.0
    """
    return swish(x)


def elu(x: Any, alpha: float = 1) -> Any:
    """x for x > 0, else alpha (exp(x) - 1).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> round(float(rmtp.elu(-np.log(2), 3)), 12)
    -1.5
    """
    return apply(nl.elu(plain(alpha)), x) if isinstance(x, Node) else nl.elu(alpha).fn(x)


def selu(x: Any) -> Any:
    """1.0507 elu(x, 1.6733): of a standard normal x, mean 0 and variance 1.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> x = rmtp.Normal(rmtp.Dim("n"))
    >>> round(float(rmtp.limit(np.mean(rmtp.selu(x) ** 2)).value), 12)
    1.0
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def hard_tanh(x: Any) -> Any:
    """x clipped to [-1, 1].

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.hard_tanh(3.0))
    1.0
    """
    return apply(nl.HARD_TANH, x) if isinstance(x, Node) else np.clip(x, -1.0, 1.0)


def soft_threshold(x: Any, threshold: Any) -> Any:
    """sign(x) max(|x| - threshold, 0), the proximal map of threshold * |x|.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.soft_threshold(-3.0, 1.0))
    -2.0
    """
    return relu(x - threshold) - relu(-x - threshold)


__all__ = [
    "GOE",
    "IID",
    "Gaussian",
    "Normal",
    "constant",
    "elementwise",
    "elu",
    "gelu",
    "hard_tanh",
    "leaky_relu",
    "program",
    "relu",
    "selu",
    "silu",
    "soft_threshold",
    "softplus",
    "swish",
]
