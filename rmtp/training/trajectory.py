"""What linearised training returns: the law of the outputs at every time asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter
from ..likelihood import numbers
from ..plotbands import plot_band
from ..prediction import Prediction
from ..regression import ensemble_covariance
from .optimisers import Flow, Optimiser

_BLOCK = 1 << 22  # numbers: times are taken together up to there


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The blocks of a linear model in the eigenbasis of its tangent kernel.

    Attributes
    ----------
    values : ndarray (N,)
    vectors : ndarray (N, N)
    cross : ndarray (M, N)
        ``Theta(test, train) @ vectors``.
    y, start : ndarray (N,) or (N, C)
        Targets and mean of f_0; where outputs are coupled, N counts points and outputs.
    kernels : tuple or None
        The NNGP of training points, test with training points, and test points, as it was given.
    """

    values: np.ndarray
    vectors: np.ndarray
    cross: np.ndarray
    y: np.ndarray
    start: np.ndarray
    kernels: tuple[np.ndarray, np.ndarray, np.ndarray] | None

    @cached_property
    def nngp(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The NNGP in the eigenbasis: ``(vectors.T K vectors, K(test, train) vectors, K(test, test))``."""
        if self.kernels is None:
            return None
        k, cross, test = self.kernels
        return self.vectors.T @ (k @ self.vectors), cross @ self.vectors, test

    def spread(self, modes: np.ndarray) -> np.ndarray:
        """The variance of f_0 in some of the eigenmodes."""
        assert self.kernels is not None
        some = self.vectors[:, modes]
        return np.einsum("nk,nk->k", some, self.kernels[0] @ some)

    def sensitivity(self, g: np.ndarray) -> np.ndarray:
        """How far mean outputs move when the kernel does, per unit of its norm, to first order (..).

        Law: ``|d mean| <= |d Theta| |g (y - f_0)| (1 + |Theta(x, X) g|)``; exact as a bound for g = 1/lambda.
        """
        flat = g.reshape(-1, len(self.values))
        with np.errstate(over="ignore", invalid="ignore"):  # infinite: refused
            pulled = np.sqrt(flat**2 @ _columns(self.y - self.start) ** 2).max(axis=1)
            weights = np.sqrt(flat**2 @ (self.cross**2).T).max(axis=1, initial=1.0)
            found = pulled * (1 + weights)
        return np.asarray(np.where(np.isnan(found), np.inf, found).reshape(g.shape[:-1]))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Outputs of an ensemble of networks during training. Axes in front: learning rates, times, as they were given.

    Law: ``f_t(X) - y = (1 - lambda g) (f_0 - y)`` per eigenmode, ``f_t(x) = f_0(x) + Theta(x, X) g (y - f_0)``; affine in f_0,
    which is Gaussian. Averages are over initialisations.

    Attributes
    ----------
    times, learning_rate : ndarray
    error : ndarray (..)
        Absolute, of mean outputs, to first order: what the error that the tangent kernel states (at least its rounding) can do.
    g, h : ndarray (.., N)
        The filters of the eigenmodes; see `rmtp.training.response`.

    Examples
    --------
    >>> import rmtp
    >>> model = rmtp.training.from_kernels([[2.0]], [[1.0]], [3.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
    >>> path = model.flow([0.0, 0.1, np.inf])
    >>> path.mean.ravel().round(4), path.std.ravel().round(4), path.loss.round(4)
    (array([0.    , 0.2719, 1.5   ]), array([1.    , 0.9579, 0.866 ]), array([5.    , 3.3516, 0.    ]))
    """

    spectrum: Spectrum
    optimiser: Optimiser
    times: np.ndarray
    learning_rate: np.ndarray
    ridge: float
    error: np.ndarray
    g: np.ndarray
    h: np.ndarray
    initial: tuple[np.ndarray, np.ndarray]
    inputs: np.ndarray | None
    train: tuple[np.ndarray, np.ndarray] | None

    @property
    def kept(self) -> np.ndarray:
        """The share of the residual that is left in each eigenmode (.., N)."""
        return self.h + self.ridge * self.g

    # -- means ------------------------------------------------------------------------------------

    @property
    def mean(self) -> np.ndarray:
        """Mean outputs at test points (.., M) or (.., M, C)."""
        s = self.spectrum
        return np.asarray(self.initial[1] + self._lifted(_through(s.cross, self.g, s.y - s.start)))

    @property
    def train_mean(self) -> np.ndarray:
        """Mean outputs at training points (.., N) or (.., N, C)."""
        s = self.spectrum
        return np.asarray(self.initial[0] + self._lifted(_through(s.vectors, s.values * self.g, s.y - s.start)))

    @property
    def dual(self) -> np.ndarray:
        """a of ``f_t = f_0 + Theta(., X) a`` for the mean of f_0, (.., N) or (.., N, C); weights move by ``grad f_0.T a``."""
        s = self.spectrum
        return self._lifted(_through(s.vectors, self.g, s.y - s.start))

    def outputs(self, f: Any, f_test: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Trained outputs of networks whose initial outputs are known.

        Parameters
        ----------
        f : array (\\*draws, N) or (\\*draws, N, C)
            f_0 at training points.
        f_test : array (\\*draws, M) or (\\*draws, M, C), optional
            f_0 at test points; only where there are none it may be left out.

        Returns
        -------
        ndarray (\\*draws, .., N), ndarray (\\*draws, .., M)
            At training and at test points.

        Raises
        ------
        BadParameter, AxisError

        Examples
        --------
        >>> import rmtp
        >>> path = rmtp.training.from_kernels([[2.0]], [[1.0]], [3.0]).gradient_descent([0, 1], 0.25)
        >>> [f.ravel() for f in path.outputs([1.0], [0.0])]
        [array([1., 2.]), array([0. , 0.5])]
        """
        s = self.spectrum
        shape, tests = self.initial[0].shape, self.initial[1].shape
        first = drawn_shape(f, shape, "f")
        draws = first.shape[: first.ndim - len(shape)]
        test = drawn_shape(np.zeros((*draws, *tests)) if f_test is None and not tests[0] else f_test, tests, "f_test")
        if test.shape[: test.ndim - len(tests)] != draws:
            raise AxisError(f"f of shape {first.shape} with f_test of shape {test.shape}", remedy="the same draws")
        lead = self.g.shape[:-1]
        train_out, test_out = np.empty((*draws, *lead, *shape)), np.empty((*draws, *lead, *tests))
        for d in np.ndindex(*draws):
            moved = s.y - s.vectors.T @ first[d].reshape(s.y.shape)
            train_out[d] = first[d] + self._lifted(_through(s.vectors, s.values * self.g, moved))
            test_out[d] = test[d] + self._lifted(_through(s.cross, self.g, moved))
        return train_out, test_out

    # -- covariances ------------------------------------------------------------------------------

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the outputs at test points (.., M, M); the same for each of C outputs."""
        test = self._nngp[2]
        if test.ndim == 1:
            raise BadParameter("covariances of test points of which only variances are known",
                               remedy="the kernel of all pairs of test points")  # fmt: skip
        found = [covariance for covariance, _ in self._spreads(test)]
        return np.concatenate(found).reshape(*self.g.shape[:-1], *test.shape)

    @cached_property
    def variance(self) -> np.ndarray:
        """At test points (.., M); much less work than covariances of many test points at many times."""
        test = self._nngp[2]
        own = test if test.ndim == 1 else np.diag(test)
        return np.concatenate([v for _, v in self._spreads(own)]).reshape(*self.g.shape[:-1], len(own))

    def _spreads(self, test: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Covariances and variances, as many times at once as fit a block."""
        k, cross, _ = self._nngp
        g = self.g.reshape(-1, 1, self.g.shape[-1])
        step = max(1, _BLOCK // max(cross.size, 1))
        cuts = range(0, len(g), step)
        return [ensemble_covariance(self.spectrum.cross * g[at : at + step], k, cross, test) for at in cuts]

    @property
    def std(self) -> np.ndarray:
        """At test points (.., M)."""
        return np.asarray(np.sqrt(self.variance))

    @cached_property
    def train_covariance(self) -> np.ndarray:
        """Of the outputs at training points (.., N, N)."""
        s, k, kept = self.spectrum, self._nngp[0], self.kept
        out = np.empty((*kept.shape, kept.shape[-1]))
        for at in np.ndindex(*kept.shape[:-1]):
            left = s.vectors * kept[at]
            out[at] = left @ k @ left.T / 2
        return out + np.swapaxes(out, -1, -2)

    @property
    def train_std(self) -> np.ndarray:
        """At training points (.., N)."""
        return np.asarray(np.sqrt(np.maximum(np.diagonal(self.train_covariance, axis1=-2, axis2=-1), 0.0)))

    # -- losses -----------------------------------------------------------------------------------

    @property
    def loss_of_mean(self) -> np.ndarray:
        """``1/2 sum (f - y)**2`` of the mean outputs over training points, (..)."""
        s = self.spectrum
        square = _columns(s.y - s.start) ** 2
        return np.asarray(self.kept**2 @ square.sum(axis=-1) / 2)

    @property
    def loss_by_mode(self) -> np.ndarray:
        """The share of each eigenmode in `loss` (.., N)."""
        s = self.spectrum
        square = _columns(s.y - s.start) ** 2
        spread = np.diag(self._nngp[0]) * square.shape[1]
        return np.asarray(self.kept**2 * (square.sum(axis=-1) + spread) / 2)

    @property
    def loss(self) -> np.ndarray:
        """The mean over initialisations of ``1/2 sum (f - y)**2`` over training points and outputs, (..)."""
        return np.asarray(self.loss_by_mode.sum(axis=-1))

    def test_loss(self, y: Any) -> np.ndarray:
        """The mean over initialisations of ``1/2 sum (f - y)**2`` over test points, (..), for test targets y (M,) or (M, C)."""
        mean = self.mean
        known = drawn_shape(y, mean.shape[self.g.ndim - 1 :], "y")
        gap = (known - mean).reshape(*self.g.shape[:-1], -1)
        outputs = 1 if known.ndim == 1 else known.shape[1]
        return np.asarray((np.sum(gap**2, axis=-1) + outputs * self.variance.sum(axis=-1)) / 2)

    # -- one time ---------------------------------------------------------------------------------

    def at(self, *index: int) -> Prediction:
        """The law at one time (and learning rate) as a `Prediction`, which can be sampled and drawn.

        Examples
        --------
        >>> import rmtp
        >>> model = rmtp.training.from_kernels([[2.0]], [[1.0]], [3.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
        >>> model.flow([0.1, np.inf]).at(-1).mean
        array([1.5])
        """
        if len(index) != self.g.ndim - 1:
            raise AxisError(f"the index {index} into axes {self.g.shape[:-1]}", remedy="one number per axis")
        s = self.spectrum
        mean = self.initial[1] + self._lifted(_through(s.cross, self.g[index], s.y - s.start))
        covariance, variance = None, None
        if s.nngp is not None:
            k, cross, test = s.nngp
            covariance, variance = ensemble_covariance(s.cross * self.g[index], k, cross, test)
        return Prediction(mean, covariance, variance, None, self.ridge, 0.0, self.inputs, self.train)

    def plot(self, x: Any = None, ax: Any = None, *, output: int = 0) -> Any:
        """Mean and band of two standard deviations at every time, over inputs on a line; returns the Axes.

        Parameters
        ----------
        x : array (M,) or (M, 1), optional
            Where the test points lie; by default the inputs that `linearised` was given.
        ax : Axes, optional
        output : int
            Which column of a mean with C outputs.

        Raises
        ------
        BadParameter
            For inputs that are not on a line, or without NNGP kernels.

        Examples
        --------
        >>> import rmtp
        >>> from rmtp import plots
        >>> model = rmtp.training.from_kernels([[2.0]], [[1.0]], [3.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
        >>> ax = model.flow([0.1, np.inf]).plot([0.5], plots.figure()[1])
        >>> [text.get_text() for text in ax.get_legend().get_texts()][::2]
        ['t = 0.1: mean', 't = inf: mean']
        """
        axes = ax
        sign = "t" if isinstance(self.optimiser, Flow) else "step"
        for index in np.ndindex(*self.g.shape[:-1]):
            rate = f"rate {self.learning_rate[index[:1]]:g}, " if self.learning_rate.ndim else ""
            when = float(self.times[index[self.learning_rate.ndim :]])
            axes = plot_band(self.at(*index), x, axes, output=output, label=f"{rate}{sign} = {when:g}")
        return axes

    def _lifted(self, a: np.ndarray) -> np.ndarray:
        """Coupled outputs, which are one axis in the eigenbasis, as an axis of their own."""
        return (
            a
            if self.spectrum.y.ndim == self.initial[0].ndim
            else a.reshape(*a.shape[:-1], -1, self.initial[0].shape[1])
        )

    @property
    def _nngp(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = self.spectrum.nngp
        if found is None:
            raise BadParameter("a spread over initialisations without its kernel",
                               remedy="nngp=(k_train, k_test_train, k_test)")  # fmt: skip
        return found


def _columns(a: np.ndarray) -> np.ndarray:
    return a if a.ndim == 2 else a[:, None]


def _through(left: np.ndarray, shares: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``left @ diag(shares) @ y`` for every vector of shares in front, as one product."""
    lead, (n, c) = shares.shape[:-1], _columns(y).shape
    flat = shares.reshape(-1, n).T[:, :, None] * _columns(y)[:, None, :]
    out = (left @ flat.reshape(n, -1)).reshape(len(left), flat.shape[1], c)
    return np.moveaxis(out, 0, 1).reshape(*lead, len(left), *y.shape[1:])


def drawn_shape(f: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """An array with the last axes given, and any axes of draws before them.

    Examples
    --------
    >>> drawn_shape([[1, 2], [3, 4], [5, 6]], (2,), "f").shape
    (3, 2)
    """
    out = numbers(f, what, tuple(range(32)))
    if out.ndim < len(shape) or out.shape[out.ndim - len(shape) :] != shape:
        raise AxisError(f"{what} of shape {out.shape}", remedy=f"last axes {shape}, draws before them")
    return out
