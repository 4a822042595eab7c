"""Training of wide networks on the squared error, exactly: a linear model in function space, one eigendecomposition.

Everything is about the loss ``1/2 sum over samples and outputs of (f - y)**2``, a *sum*. For the mean over N samples divide the
learning rate by N; for the mean over samples and C outputs without the 1/2 (mean squared error), multiply it by 2/(N C); for
half of that, by 1/(N C).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import BadParameter, NotPSD
from ..likelihood import EPS
from ..sample import generator, positive
from .optimisers import (
    Flow,
    GradientDescent,
    HeavyBall,
    Nesterov,
    Optimiser,
    bound,
    check_rate,
    check_times,
    response,
)
from .trajectory import Spectrum, Trajectory

_UNCERTAIN = 1e-3  # of the targets: no answer beyond


@dataclass(frozen=True, eq=False)
class Linearised:
    """A wide network as the linear model that training makes of it. Build it with `linearised` or `from_kernels`.

    Law: ``f_t = f_0 + Theta(., X) a_t``, where a follows the residual ``y - f_t(X)`` as an optimiser does; f_0 is Gaussian with
    the NNGP covariance.

    Attributes
    ----------
    ntk : ndarray (N, N)
    ntk_test_train : ndarray (M, N)
    y : ndarray (N,) or (N, C)
        C outputs that share the kernel, or are coupled by it: then it is (N C, N C), outputs last.
    nngp : tuple of ndarray or None
        Of training points (N, N), test with training points (M, N), test points (M, M) or their diagonal (M,).
    ridge : float
        Strength of ``ridge/2 |theta - theta_0|**2`` beside the loss.
    error : float
        Of the kernels of training points, relative to their entries, where they state one.
    initial : tuple of ndarray or None
        The mean of f_0 at training and test points, shaped like y; None: zero.
    inputs, train : arrays or None
        Test inputs; training inputs and targets, where they are known.

    Examples
    --------
    >>> from rmtp.training import from_kernels
    >>> model = from_kernels([[2.0]], [[1.0]], [3.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
    >>> end = model.flow(np.inf)
    >>> end.mean, end.variance
    (array([1.5]), array([0.75]))
    """

    ntk: np.ndarray
    ntk_test_train: np.ndarray
    y: np.ndarray
    nngp: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    ridge: float
    initial: tuple[np.ndarray, np.ndarray] | None
    error: float
    inputs: np.ndarray | None = None
    train: tuple[np.ndarray, np.ndarray] | None = None

    # -- the spectrum -----------------------------------------------------------------------------

    @cached_property
    def spectrum(self) -> Spectrum:
        """The eigendecomposition of the tangent kernel, made once; other blocks are turned into its basis when asked for."""
        values, vectors = np.linalg.eigh(self.ntk)
        size = float(max(abs(values[0]), abs(values[-1])))
        floor = max(len(values) * EPS, self.error) * size
        if values[0] < -floor:
            raise NotPSD(
                f"the tangent kernel of {len(values)} training points has the eigenvalue {values[0]:.3g}; its largest is "
                f"{values[-1]:.3g}",
                remedy="a kernel: tangent kernels are positive semi-definite",
            )
        values = np.where(values > floor, values, 0.0)
        y, start = (vectors.T @ (f.ravel() if self.coupled else f) for f in (self.y, self.start[0]))
        return Spectrum(values, vectors, self.ntk_test_train @ vectors, y, start, self.nngp)

    @property
    def coupled(self) -> bool:
        """Whether the kernel couples outputs, as that of a finite network does."""
        return len(self.ntk) > len(self.y)

    def act(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What dual numbers a (.., N, C) move the outputs at training and test points by.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> from_kernels([[2.0]], [[1.0], [3.0]], [1.0]).act(np.array([[0.5]]))
        (array([[1.]]), array([[0.5],
               [1.5]]))
        """
        if not self.coupled:
            return self.ntk @ a, self.ntk_test_train @ a
        lead, (n, c) = a.shape[:-2], a.shape[-2:]
        flat = a.reshape(*lead, n * c)
        train, test = flat @ self.ntk.T, flat @ self.ntk_test_train.T
        return train.reshape(a.shape), test.reshape(*lead, len(self.ntk_test_train) // c, c)

    @property
    def eigenvalues(self) -> np.ndarray:
        """Of the tangent kernel, ascending (N,); below its own error they are 0."""
        return self.spectrum.values

    def max_learning_rate(self, optimiser: Optimiser | None = None) -> float:
        """The supremum of the stable learning rates.

        Law: 2/lambda for gradient descent, 2 (1 + beta)/lambda for heavy ball, 2 (1 + beta)/((1 + 2 beta) lambda) for Nesterov,
        with lambda the largest eigenvalue of the tangent kernel plus the ridge.

        Parameters
        ----------
        optimiser : GradientDescent, HeavyBall or Nesterov
            By default gradient descent.

        Returns
        -------
        float

        Notes
        -----
        This is where training stops being stable. Theorem 2.1 of Lee et al. (2019) asks for less,
        ``2/(lambda_min + lambda_max)``.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> model = from_kernels([[4.0]], None, [1.0])
        >>> model.max_learning_rate(), model.max_learning_rate(HeavyBall(0.5))
        (0.5, 0.75)
        """
        chosen = GradientDescent() if optimiser is None else optimiser
        largest = float(self.eigenvalues[-1]) + self.ridge
        return bound(chosen) / largest if largest > 0 else np.inf

    # -- training ---------------------------------------------------------------------------------

    def run(self, optimiser: Optimiser, times: Any, learning_rate: Any) -> Trajectory:
        """The ensemble of networks at the times given, for any optimiser.

        Parameters
        ----------
        optimiser : Flow, GradientDescent, HeavyBall or Nesterov
        times : float or array (T,)
            Times of a flow, numbers of steps of the others; np.inf for the end of training.
        learning_rate : float or array (R,)
            Of the gradient of the *sum* over samples.

        Returns
        -------
        Trajectory
            With the axes of learning_rate, then those of times, in front.

        Raises
        ------
        BadParameter
            If a learning rate is beyond stability; the message names the bound.
        NotPSD
            At infinite time, if the kernel is singular and there is something to learn in the directions where it is; at any
            time, if the error of the kernel makes the outputs uncertain by more than a thousandth of the targets.
        AxisError

        Notes
        -----
        Exact up to rounding. Lee, Xiao et al. (2019), arXiv:1902.06720, Eqs. 8-11, 14, 15 for flows; the discrete ones have
        the same algebra with another function of the kernel.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> model = from_kernels([[2.0]], None, [1.0])
        >>> model.run(GradientDescent(), [0, 1, 2], 0.25).train_mean.ravel()
        array([0.  , 0.5 , 0.75])
        """
        at = check_times(optimiser, times)
        s = self.spectrum
        rates = check_rate(optimiser, learning_rate, float(s.values[-1]) + self.ridge)
        if np.any(np.isinf(at)):
            self._check_end()
        found = [response(optimiser, s.values + self.ridge, at.reshape(-1), float(r)) for r in rates.reshape(-1)]
        shape = (*rates.shape, *at.shape, len(s.values))
        g, h = (np.stack(part).reshape(shape) for part in zip(*found, strict=True))
        error = max(self.error, EPS) * float(s.values[-1]) * s.sensitivity(g)
        self._check_digits(error)
        return Trajectory(s, optimiser, at, rates, self.ridge, error, g, h, self.start, self.inputs, self.train)

    def flow(self, times: Any, learning_rate: Any = 1.0) -> Trajectory:
        """Gradient flow; see `run`.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> from_kernels([[2.0]], None, [1.0]).flow([0.5, np.inf]).train_mean.ravel().round(6)
        array([0.632121, 1.      ])
        """
        return self.run(Flow(), times, learning_rate)

    def gradient_descent(self, steps: Any, learning_rate: Any) -> Trajectory:
        """Gradient descent, step by step and not its flow; see `run`.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> from_kernels([[2.0]], None, [1.0]).gradient_descent(3, 0.25).train_mean
        array([0.875])
        """
        return self.run(GradientDescent(), steps, learning_rate)

    def heavy_ball(self, steps: Any, learning_rate: Any, momentum: float) -> Trajectory:
        """Gradient descent with momentum; see `run` and `HeavyBall`.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> from_kernels([[2.0]], None, [1.0]).heavy_ball([1, 2, 3], 0.25, 0.5).train_mean.ravel()
        array([0.5 , 1.  , 1.25])
        """
        return self.run(HeavyBall(momentum), steps, learning_rate)

    def nesterov(self, steps: Any, learning_rate: Any, momentum: float) -> Trajectory:
        """Nesterov's accelerated gradient with constant momentum; see `run` and `Nesterov`.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> from_kernels([[2.0]], None, [1.0]).nesterov([1, 2], 0.25, 0.5).train_mean.ravel()
        array([0.5  , 0.875])
        """
        return self.run(Nesterov(momentum), steps, learning_rate)

    def readout_only(self) -> Linearised:
        """The same network with only its last layer trained: the NNGP kernel in the place of the tangent kernel.

        Law: the end of training is the NNGP posterior, of noise 0, or with a ridge its mean.

        Raises
        ------
        BadParameter
            Without NNGP kernels.

        Notes
        -----
        Lee et al. (2019), section 2.3.2.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> k = ([[1.0]], [[0.5]], [[1.0]])
        >>> end = from_kernels([[2.0]], [[1.0]], [2.0], nngp=k).readout_only().flow(np.inf)
        >>> end.mean, end.variance
        (array([1.]), array([0.75]))
        """
        if self.nngp is None:
            raise BadParameter("a readout without its kernel", remedy="nngp=(k_train, k_test_train, k_test)")
        return replace(self, ntk=self.nngp[0], ntk_test_train=self.nngp[1])

    def sample_initial(self, size: int, rng: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Outputs of untrained networks at training points (size, \\*y.shape) and at test points, drawn together.

        Raises
        ------
        BadParameter
            Without NNGP kernels of all pairs.

        Examples
        --------
        >>> from rmtp.training import from_kernels
        >>> model = from_kernels([[2.0]], [[1.0]], [2.0], nngp=([[1.0]], [[0.5]], [[1.0]]))
        >>> [f.shape for f in model.sample_initial(3, 0)]
        [(3, 1), (3, 1)]
        """
        if self.nngp is None or self.nngp[2].ndim == 1:
            raise BadParameter("samples of f_0 without its covariance", remedy="nngp= with the kernel of all pairs")
        k, cross, test = self.nngp
        values, vectors = np.linalg.eigh(np.block([[k, cross.T], [cross, test]]))
        root = vectors * np.sqrt(np.clip(values, 0, None))
        shape = (positive(size, "size"), len(k) + len(test), *self.y.shape[1:])
        drawn = np.einsum("ij,sj...->si...", root, generator(rng).standard_normal(shape))
        f, f_test = drawn[:, : len(k)], drawn[:, len(k) :]
        return f + self.start[0], f_test + self.start[1]

    # -- parts ------------------------------------------------------------------------------------

    @property
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of f_0 at training and at test points, shaped like y."""
        if self.initial is not None:
            return self.initial
        tests = len(self.ntk_test_train) * len(self.y) // len(self.ntk)
        return np.zeros_like(self.y), np.zeros((tests, *self.y.shape[1:]))

    def _check_digits(self, error: np.ndarray) -> None:
        size = float(np.abs(self.y - self.start[0]).max())
        if np.any(error > _UNCERTAIN * size):
            raise NotPSD(
                f"the tangent kernel is too close to a singular one: its error of {max(self.error, EPS):.1g} makes outputs "
                f"uncertain by {float(error.max()):.2g}",
                remedy="a shorter time, ridge= above 0, or drop inputs that (nearly) repeat",
            )

    def _check_end(self) -> None:
        """At infinite time a mode of eigenvalue 0 never moves; then the end is one only if there is nothing to learn in it."""
        s = self.spectrum
        null = s.values + self.ridge == 0
        if not np.any(null):
            return
        gap = np.abs(s.y - s.start)[null].max()
        size = np.abs(self.y).max() + np.abs(self.start[0]).max()
        slack = 100 * len(s.values) * EPS
        spread = 0.0 if s.kernels is None else float(s.spread(null).max())
        scale = 0.0 if s.kernels is None else float(np.linalg.norm(s.kernels[0]))
        if gap > slack * size or spread > max(slack, 10 * self.error) * scale:
            raise NotPSD(
                f"the tangent kernel is singular up to its error ({int(null.sum())} of {len(null)} eigenvalues), and what "
                f"there is to learn in these directions, of size {gap:.2g}, is learnt never or beyond its digits",
                remedy="a finite time, ridge= above 0, or drop inputs that repeat with other targets",
            )
