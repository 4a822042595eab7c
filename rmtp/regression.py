"""Regression with kernels of wide networks: Bayesian inference (NNGP) and ensembles trained by gradient descent (NTK).

The functions take plain arrays, so any kernel will do; `predict` computes rmtp's own first. Kernel matrices have training
points as columns: ``k_test_train`` is (M, N). Targets y are (N,), or (N, C) for C independent outputs of one kernel.

Nothing is added to a kernel unless asked. ``noise`` is part of the model: the variance of the observations, or the strength of
the ridge. ``jitter`` is not: it is the most that may be added where a factorisation fails in floating point, as a share of the
mean of the diagonal, and the result says how much it was. Without it such a matrix is an error that names the noise it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import AxisError, BadParameter, NotPSD
from .kernels import api
from .likelihood import (
    EPS,
    Factor,
    evidence,
    factor,
    log_marginal_likelihood,
    log_marginal_likelihood_gradient,
    numbers,
    singular,
    symmetric,
    targets_of,
    variances,
)
from .networks.network import batch
from .prediction import Prediction

KINDS = ("nngp", "ntk")
_DIAGONAL_BLOCK = 16  # a kernel is computed in square blocks; small ones waste little where only diagonals are wanted


# ---------------------------------------------------------------------------------------------
# inference with arrays


def posterior(k_train: Any, k_test_train: Any, k_test: Any, y: Any, *, noise: Any = 0, jitter: float = 0) -> Prediction:
    """The Gaussian process posterior: exact Bayesian inference for an infinitely wide network whose last layer is trained.

    Law: ``f* | y ~ N(K*X (K + noise)^-1 y, K** - K*X (K + noise)^-1 KX*)``, with prior mean 0: centre the targets first.

    Parameters
    ----------
    k_train : array (N, N)
    k_test_train : array (M, N)
    k_test : array (M, M), its diagonal (M,), or None
        For covariances, for variances alone, or for neither.
    y : array (N,) or (N, C)
        Outputs are independent and share the kernel.
    noise : float or array (N,)
        Variance of the observations, in the unit of y squared.
    jitter : float
        See `factor`; none by default.

    Returns
    -------
    Prediction

    Raises
    ------
    NotPSD
        If the kernel with its noise is singular, or the blocks are not of one covariance.
    BadParameter, AxisError

    Notes
    -----
    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), Eqs. 2.25 and 2.26; Lee et al., Deep
    Neural Networks as Gaussian Processes (2018), arXiv:1711.00165, Eqs. 8 and 9.

    Examples
    --------
    >>> import numpy as np
    >>> x, t = np.array([0.0, 1.0]), np.array([0.0, 0.5])
    >>> k = lambda a, b: np.minimum.outer(1 + a, 1 + b)  # Brownian motion from -1 on
    >>> p = posterior(k(x, x), k(t, x), k(t, t), [1.0, 2.0])
    >>> p.mean.round(12), p.variance.round(12)
    (array([1. , 1.5]), array([0.  , 0.25]))
    """
    f = factor(k_train, noise, jitter)
    size = len(f.lower)
    cross = _cross(k_test_train, size)
    targets = targets_of(y, size)
    test = _test(k_test, len(cross))
    mean = cross @ f.solve(targets)
    covariance, variance = (None, None) if test is None else conditional(f, cross, test)
    return Prediction(mean, covariance, variance, evidence(f, targets), noise, f.jitter)


def conditional(f: Factor, cross: np.ndarray, test: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Covariance and variance of a Gaussian process given its values, from a factor; see `posterior`.

    Examples
    --------
    >>> conditional(factor([[1.0]]), np.array([[0.5]]), np.array([1.0]))
    (None, array([0.75]))
    """
    half = f.half(cross.T)
    covariance = test - half.T @ half if test.ndim == 2 else None
    own = test if test.ndim == 1 else np.diag(test)
    variance = own - np.einsum("nm,nm->m", half, half)
    scale = float(np.max(np.einsum("ij,ij->i", f.lower, f.lower)))
    return covariance, _nonnegative(variance, own, lambda: f.solve(cross.T).T, scale)


def ntk_ensemble(
    ntk_train: Any,
    ntk_test_train: Any,
    y: Any,
    *,
    nngp: tuple[Any, Any, Any] | None = None,
    noise: Any = 0,
    jitter: float = 0,
    time: float = np.inf,
) -> Prediction:
    """Outputs of wide networks trained from random weights: all layers, by gradient flow on half the squared error.

    Law: ``f* ~ N(A y, K** + A K A.T - A KX* - K*X A.T)`` with ``A = T*X (T + noise)^-1 (1 - exp(-(T + noise) time))``, T the
    NTK and K the NNGP kernel. The covariance is over initialisations. `noise` is a ridge on the distance of the
    parameters from where they started; 0 is training without one.

    Parameters
    ----------
    ntk_train : array (N, N)
    ntk_test_train : array (M, N)
    y : array (N,) or (N, C)
    nngp : (array (N, N), array (M, N), array (M, M) or (M,)), optional
        Kernels of training points, of test with training points, of test points (or its diagonal); without them
        there is a mean only.
    noise : float or array (N,)
    jitter : float
        See `factor`; only used at infinite time, as finite times need no inverse.
    time : float > 0
        Learning rate times steps.

    Returns
    -------
    Prediction

    Raises
    ------
    NotPSD, BadParameter, AxisError

    Notes
    -----
    Lee, Xiao et al., Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent (2019),
    arXiv:1902.06720, Eqs. 14 and 15; Eq. 16 at infinite time.

    Examples
    --------
    >>> p = ntk_ensemble([[2.0]], [[1.0]], [3.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
    >>> p.mean, p.variance
    (array([1.5]), array([0.75]))
    """
    if isinstance(time, bool) or not isinstance(time, int | float | np.number) or not time > 0:
        raise BadParameter(
            f"time={time!r}", remedy="learning rate times steps, above 0; np.inf for the end of training"
        )
    theta = symmetric(ntk_train, "ntk_train")
    cross = _cross(ntk_test_train, len(theta))
    targets = targets_of(y, len(theta))
    used = 0.0
    if np.isinf(time):
        f = factor(theta, noise, jitter)
        weights, used = f.solve(cross.T).T, f.jitter
    else:
        weights = cross @ _trained(theta, noise, float(time))
    covariance, variance = None, None
    if nngp is not None:
        k, k_cross, k_test = _blocks(nngp, cross.shape)
        covariance, variance = ensemble_covariance(weights, k, k_cross, k_test)
    return Prediction(weights @ targets, covariance, variance, None, noise, used)


def _trained(theta: np.ndarray, noise: Any, time: float) -> np.ndarray:
    """``(1 - exp(-H time)) / H`` of H = theta + noise, also where H is singular."""
    noisy = theta + np.diag(variances(noise, len(theta)))
    values, vectors = np.linalg.eigh(noisy)
    floor = len(theta) * EPS * max(abs(values[0]), abs(values[-1]))
    if values[0] < -floor:
        raise singular(noisy, noise, 0.0)
    values = np.where(values > floor, values, 0.0)
    safe = np.where(values > 0, values, 1.0)
    shares = np.where(values > 0, -np.expm1(-safe * time) / safe, time)
    return np.asarray((vectors * shares) @ vectors.T)


def ensemble_covariance(
    weights: np.ndarray, k_train: np.ndarray, k_cross: np.ndarray, k_test: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Covariance (.., M, M) and variance (.., M) of ``f* - weights @ f(X)`` for a Gaussian process f; see `ntk_ensemble`.

    Parameters
    ----------
    weights : array (.., M, N)
    k_train : array (N, N)
        The covariance of f(X).
    k_cross : array (M, N)
    k_test : array (M, M) or (M,)

    Examples
    --------
    >>> one = np.array([[1.0]])
    >>> ensemble_covariance(one, one, 0.5 * one, np.array([1.0]))
    (None, array([1.]))
    """
    # one product for all weights, and no triangular one: that of another BLAS, whose threads would fight with NumPy's
    moved = (weights.reshape(-1, weights.shape[-1]) @ k_train).reshape(weights.shape)
    moved *= 0.5
    moved -= k_cross
    own = k_test if k_test.ndim == 1 else np.diag(k_test)
    variance = own + 2 * np.einsum("...mn,...mn->...m", moved, weights)
    covariance = None
    if k_test.ndim == 2:
        shared = moved @ np.swapaxes(weights, -1, -2)
        covariance = (k_test + k_test.T) / 2 + (shared + np.swapaxes(shared, -1, -2))
    return covariance, _nonnegative(variance, own, lambda: weights, float(np.max(np.diag(k_train), initial=0.0)))


def _nonnegative(variance: np.ndarray, own: np.ndarray, weights: Callable[[], np.ndarray], scale: float) -> np.ndarray:
    """Variances with rounding below zero removed.

    Rounding in a kernel of N points is like an error matrix of norm N eps max(K); a variance feels it squared weights strong.
    """
    if np.all(variance >= 0):
        return variance
    w = weights()
    slack = 10 * w.shape[-1] * EPS * (scale * (1 + np.einsum("...mn,...mn->...m", w, w)) + np.abs(own))
    worst = np.unravel_index(int(np.argmin(variance + slack)), variance.shape)
    if variance[worst] < -slack[worst]:
        raise NotPSD(
            f"a variance of {variance[worst]:.3g} at test point {worst[-1]}: the blocks are not of one covariance",
            remedy="one kernel for all blocks; k_test_train has test points as rows, and k_test holds no noise",
        )
    return np.maximum(variance, 0.0)


# ---------------------------------------------------------------------------------------------
# from a network


def predict(
    net: Callable[[Any], Any],
    x: Any,
    y: Any,
    x_test: Any,
    *,
    kind: str = "nngp",
    noise: Any = 0,
    jitter: float = 0,
    time: float = np.inf,
    covariance: bool = True,
    parametrization: str = "ntk",
) -> Prediction:
    """What an infinitely wide network predicts after training on (x, y).

    Law: `posterior` with the NNGP kernel, or `ntk_ensemble` with both kernels.

    Parameters
    ----------
    net : callable
        As for ``rmtp.nngp``.
    x, x_test : array (N, \\*shape of one input), (M, \\*shape of one input)
    y : array (N,) or (N, C)
    kind : {"nngp", "ntk"}
        Bayesian inference, or training by gradient flow.
    noise : float or array (N,)
    jitter : float
    time : float > 0
        For "ntk".
    covariance : bool
        False: variances only, without the kernel of all pairs of test points.
    parametrization : {"ntk", "yang"}

    Returns
    -------
    Prediction

    Raises
    ------
    rmtp.errors.RmtpError

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n, 2**0.5, 1)))
    >>> x = np.array([[-1.0], [0.0], [2.0]])
    >>> p = rmtp.regression.predict(net, x, np.abs(x[:, 0]), [[-1.0], [1.0]], kind="ntk")
    >>> p.mean.round(3), p.std.round(3)
    (array([1.   , 0.832]), array([0.  , 0.18]))
    """
    check_kind(kind)
    if kind == "nngp" and not np.isinf(time):
        raise BadParameter(f"time={time!r} of a posterior", remedy='kind="ntk", which is about training')
    inputs, tests = batch(x, "x"), batch(x_test, "x_test")
    wanted = ("nngp",) if kind == "nngp" else KINDS
    train = kernels(net, inputs, None, wanted, parametrization)
    cross = kernels(net, tests, inputs, wanted, parametrization)
    test = kernels(net, tests, None, ("nngp",))["nngp"] if covariance else kernel_diagonal(net, tests)
    if kind == "nngp":
        found = posterior(train["nngp"], cross["nngp"], test, y, noise=noise, jitter=jitter)
    else:
        blocks = (train["nngp"], cross["nngp"], test)
        found = ntk_ensemble(train["ntk"], cross["ntk"], y, nngp=blocks, noise=noise, jitter=jitter, time=time)
    return replace(found, inputs=tests, train=(inputs, np.asarray(y, dtype=float)))


def kernels(
    net: Callable[[Any], Any], x1: Any, x2: Any, wanted: tuple[str, ...], parametrization: str = "ntk"
) -> dict[str, np.ndarray]:
    """The kernels `wanted`, "nngp" or "ntk" or both, as plain arrays.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> kernels(lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n))), [[2.0]], [[1.0]], ("ntk",))
    {'ntk': array([[2.]])}
    """
    if set(wanted) == set(KINDS):
        both = api.nngp_ntk(net, x1, x2, parametrization=parametrization)
        return dict(zip(KINDS, map(np.asarray, both), strict=True))
    if wanted == ("nngp",):
        return {"nngp": np.asarray(api.nngp(net, x1, x2))}
    return {"ntk": np.asarray(api.ntk(net, x1, x2, parametrization=parametrization))}


def kernel_diagonal(
    net: Callable[[Any], Any], x: Any, kind: str = "nngp", *, parametrization: str = "ntk"
) -> np.ndarray:
    """``K(x, x)`` for each input alone (N,).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> kernel_diagonal(lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, n))), [[2.0], [4.0]])
    array([2., 8.])
    """
    check_kind(kind)
    inputs = batch(x, "x")
    parts = []
    for start in range(0, len(inputs), _DIAGONAL_BLOCK):
        rows = inputs[start : start + _DIAGONAL_BLOCK]
        block = kernels(net, rows, None, (kind,), parametrization)[kind]
        parts.append(np.diagonal(block, axis1=-2, axis2=-1))
    return np.concatenate(parts, axis=-1)


def one_hot(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Targets for classification by regression, one column per class, and the classes: 1 - 1/C for its own, -1/C for others.

    Columns of the targets sum to zero over classes, so that no class is preferred where the data are far away. The class
    predicted is that of the largest mean, ``classes[prediction.mean.argmax(axis=1)]``. These are no probabilities.

    Parameters
    ----------
    labels : sequence (N,)
        Numbers or strings.

    Returns
    -------
    ndarray (N, C), ndarray (C,)

    Raises
    ------
    BadParameter
        If there are fewer than two classes.

    Notes
    -----
    Lee et al. (2018), arXiv:1711.00165, section 3.

    Examples
    --------
    >>> targets, classes = one_hot(["cat", "dog", "cat"])
    >>> targets
    array([[ 0.5, -0.5],
           [-0.5,  0.5],
           [ 0.5, -0.5]])
    """
    names = np.asarray(labels)
    if names.ndim != 1:
        raise BadParameter(f"labels of shape {names.shape}", remedy="one label per training point")
    classes, which = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        raise BadParameter(f"{len(classes)} classes", remedy="labels of two classes at least")
    return np.eye(len(classes))[which] - 1 / len(classes), classes


# ---------------------------------------------------------------------------------------------
# arguments


def check_kind(kind: Any) -> str:
    """The name of a kernel, or BadParameter."""
    if kind not in KINDS:
        raise BadParameter(f"kind={kind!r}", remedy=f"one of {', '.join(KINDS)}")
    return str(kind)


def _cross(k: Any, size: int) -> np.ndarray:
    out = numbers(k, "k_test_train", (2,))
    if out.shape[1] != size:
        raise AxisError(f"k_test_train of shape {out.shape} for {size} training points", remedy=f"shape (M, {size})")
    return out


def _test(k: Any, size: int) -> np.ndarray | None:
    if k is None:
        return None
    out = numbers(k, "k_test", (1, 2))
    if out.shape not in ((size,), (size, size)):
        raise AxisError(
            f"k_test of shape {out.shape} for {size} test points", remedy=f"({size}, {size}) or its diagonal"
        )
    return out if out.ndim == 1 else symmetric(out, "k_test")


def _blocks(nngp: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(nngp, tuple | list) or len(nngp) != 3 or nngp[2] is None:
        raise BadParameter("nngp= is not three kernels", remedy="(k_train, k_test_train, k_test)")
    train, cross, test = symmetric(nngp[0], "the NNGP k_train"), _cross(nngp[1], shape[1]), _test(nngp[2], shape[0])
    if len(train) != shape[1] or len(cross) != shape[0]:
        raise AxisError(
            f"NNGP kernels of shapes {train.shape}, {cross.shape} beside an NTK of {shape}", remedy="the same points"
        )
    assert test is not None
    return train, cross, test


__all__ = [
    "Factor",
    "Prediction",
    "factor",
    "kernel_diagonal",
    "log_marginal_likelihood",
    "log_marginal_likelihood_gradient",
    "ntk_ensemble",
    "one_hot",
    "posterior",
    "predict",
]
