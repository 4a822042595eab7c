"""Training of wide networks on the squared error, exactly: a linear model in function space, one eigendecomposition.

Everything is about the loss ``1/2 sum over samples and outputs of (f - y)**2``, a *sum*. For the mean over N samples divide the
learning rate by N; for the mean over samples and C outputs without the 1/2 (mean squared error), multiply it by 2/(N C); for
half of that, by 1/(N C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg

from ..errors import AxisError, BadParameter, NotPSD
from ..kernels.api import Kernel, nngp, nngp_ntk
from ..likelihood import EPS, numbers, symmetric, targets_of
from ..networks.finite import FiniteNetwork
from ..networks.network import batch
from ..regression import kernel_diagonal
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
        C outputs that share the kernel.
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
        """The eigendecomposition of the tangent kernel, made once, and all blocks in its basis."""
        values, vectors = linalg.eigh(self.ntk, driver="evd", check_finite=False)
        size = float(max(abs(values[0]), abs(values[-1])))
        floor = max(len(values) * EPS, self.error) * size
        if values[0] < -floor:
            raise NotPSD(
                f"the tangent kernel of {len(values)} training points has the eigenvalue {values[0]:.3g}; its largest is "
                f"{values[-1]:.3g}",
                remedy="a kernel: tangent kernels are positive semi-definite",
            )
        values = np.where(values > floor, values, 0.0)
        y = vectors.T @ self.y
        start = np.zeros_like(y) if self.initial is None else vectors.T @ self.initial[0]
        k = None
        if self.nngp is not None:
            k = vectors.T @ self.nngp[0] @ vectors, self.nngp[1] @ vectors, self.nngp[2]
        return Spectrum(values, vectors, self.ntk_test_train @ vectors, y, start, k)

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
        >>> from_kernels([[2.0]], None, [1.0]).flow([0.5, np.inf]).train_mean.ravel().round(6)
        array([0.632121, 1.      ])
        """
        return self.run(Flow(), times, learning_rate)

    def gradient_descent(self, steps: Any, learning_rate: Any) -> Trajectory:
        """Gradient descent, step by step and not its flow; see `run`.

        Examples
        --------
        >>> from_kernels([[2.0]], None, [1.0]).gradient_descent(3, 0.25).train_mean
        array([0.875])
        """
        return self.run(GradientDescent(), steps, learning_rate)

    def heavy_ball(self, steps: Any, learning_rate: Any, momentum: float) -> Trajectory:
        """Gradient descent with momentum; see `run` and `HeavyBall`.

        Examples
        --------
        >>> from_kernels([[2.0]], None, [1.0]).heavy_ball([1, 2, 3], 0.25, 0.5).train_mean.ravel()
        array([0.5 , 1.  , 1.25])
        """
        return self.run(HeavyBall(momentum), steps, learning_rate)

    def nesterov(self, steps: Any, learning_rate: Any, momentum: float) -> Trajectory:
        """Nesterov's accelerated gradient with constant momentum; see `run` and `Nesterov`.

        Examples
        --------
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
        return np.zeros_like(self.y), np.zeros((len(self.ntk_test_train), *self.y.shape[1:]))

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
        spread = 0.0 if s.nngp is None else float(np.diag(s.nngp[0])[null].max())
        scale = 0.0 if s.nngp is None else float(np.diag(s.nngp[0]).max())
        if gap > slack * size or spread > max(slack, 10 * self.error) * scale:
            raise NotPSD(
                f"the tangent kernel is singular ({int(null.sum())} of {len(null)} eigenvalues are 0 up to its error) and the "
                f"residual has a part of size {gap:.2g} in these directions, which never decays",
                remedy="a finite time, ridge= above 0, or drop inputs that repeat (with other targets)",
            )


def from_kernels(
    ntk_train: Any,
    ntk_test_train: Any,
    y: Any,
    *,
    nngp: tuple[Any, Any, Any] | None = None,
    ridge: float = 0.0,
    initial: tuple[Any, Any] | None = None,
) -> Linearised:
    """Linearised training with kernels of any origin.

    Parameters
    ----------
    ntk_train : array (N, N)
        Theta at training points.
    ntk_test_train : array (M, N) or None
        None: no test points.
    y : array (N,) or (N, C)
    nngp : (array (N, N), array (M, N), array (M, M) or (M,)), optional
        Covariance of f_0; of test points the diagonal is enough for variances. Without it there are means only.
    ridge : float
        In the unit of the kernel.
    initial : (array (N,) or (N, C), array (M,) or (M, C)), optional
        The mean of f_0, or f_0 itself where there is one network; zero by default.

    Returns
    -------
    Linearised

    Raises
    ------
    NotPSD
        If a kernel is not symmetric.
    BadParameter, AxisError
        For numbers that are not finite and shapes that do not fit.

    Examples
    --------
    >>> from_kernels([[2.0, 0.0], [0.0, 1.0]], None, [1.0, -1.0]).flow(1.0).train_mean.round(4)
    array([ 0.8647, -0.6321])
    """
    theta = symmetric(ntk_train, "ntk_train")
    theta = (theta + theta.T) / 2
    size = len(theta)
    cross = np.zeros((0, size)) if ntk_test_train is None else _block(ntk_test_train, "ntk_test_train", (None, size))
    targets = targets_of(y, size)
    if isinstance(ridge, bool) or not isinstance(ridge, int | float | np.number) or not 0 <= ridge < np.inf:
        raise BadParameter(f"ridge={ridge!r}", remedy="a finite number >= 0")
    k = None
    if nngp is not None:
        if not isinstance(nngp, tuple | list) or len(nngp) != 3:
            raise BadParameter("nngp= is not three kernels", remedy="(k_train, k_test_train, k_test)")
        k = _nngp(nngp, cross.shape)
    first = None
    if initial is not None:
        if not isinstance(initial, tuple | list) or len(initial) != 2:
            raise BadParameter("initial= is not a pair", remedy="(f_0 at training points, f_0 at test points)")
        test = np.zeros((0, *targets.shape[1:])) if initial[1] is None else initial[1]
        first = (
            _block(initial[0], "initial outputs at training points", targets.shape),
            _block(test, "initial outputs at test points", (len(cross), *targets.shape[1:])),
        )
    kernels = (ntk_train, *(() if nngp is None else nngp[:1]))
    error = max((part.error for part in kernels if isinstance(part, Kernel)), default=0.0)
    return Linearised(theta, cross, targets, k, float(ridge), first, error)


def linearised(
    net: Callable[[Any], Any],
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    ridge: float = 0.0,
    parametrization: str = "ntk",
    covariance: bool = True,
) -> Linearised:
    """What training does to an infinitely wide network, with its own kernels.

    Parameters
    ----------
    net : callable
        As for ``rmtp.ntk``.
    x, x_test : array (N, \\*shape of one input), (M, \\*shape of one input)
    y : array (N,) or (N, C)
    ridge : float
    parametrization : {"ntk", "yang", "standard", "mup"}
        What is trained; see ``rmtp.ntk``.
    covariance : bool
        False: variances at test points only, without the kernel of all their pairs.

    Returns
    -------
    Linearised

    Raises
    ------
    rmtp.errors.RmtpError

    Notes
    -----
    Lee, Xiao et al., Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent (2019), arXiv:1902.06720.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, rmtp.Dim("n"), 2**0.5, 1)))
    >>> x = np.array([[-1.0], [0.0], [2.0]])
    >>> model = rmtp.training.linearised(net, x, np.abs(x[:, 0]), [[1.0]])
    >>> descent = model.gradient_descent([10, 100, np.inf], learning_rate=0.1)
    >>> descent.mean.ravel().round(3), descent.std.ravel().round(3)
    (array([0.997, 0.833, 0.832]), array([0.224, 0.18 , 0.18 ]))
    """
    inputs = batch(x, "x")
    targets = targets_of(y, len(inputs))
    k, theta = nngp_ntk(net, inputs, parametrization=parametrization)
    if x_test is None:
        empty = np.zeros((0, len(inputs)))
        made = from_kernels(theta, None, targets, nngp=(k, empty, np.zeros((0, 0))), ridge=ridge)
        return replace(made, train=(inputs, targets))
    tests = batch(x_test, "x_test")
    k_cross, cross = nngp_ntk(net, tests, inputs, parametrization=parametrization)
    k_test = nngp(net, tests) if covariance else kernel_diagonal(net, tests)
    made = from_kernels(theta, cross, targets, nngp=(k, k_cross, k_test), ridge=ridge)
    return replace(made, inputs=tests, train=(inputs, targets))


def linearise(
    network: FiniteNetwork,
    x: Any,
    y: Any,
    x_test: Any = None,
    *,
    ridge: float = 0.0,
    parametrization: str = "ntk",
) -> Linearised:
    """One network of finite width, to first order in its parameters around where they are.

    Law: ``f_lin(x, theta) = f(x, theta_0) + grad f(x, theta_0) . (theta - theta_0)``.

    Parameters
    ----------
    network : FiniteNetwork
    x, x_test : array (N, \\*shape of one input), (M, \\*shape of one input)
    y : array (N,)
    ridge : float
    parametrization : {"ntk", "yang", "standard", "mup"}

    Returns
    -------
    Linearised
        With the empirical kernel, and the network's outputs as `initial`. `Trajectory.dual` gives the parameters:
        ``network.updated(network.gradients(x, dual))``.

    Raises
    ------
    BadParameter, AxisError

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, rmtp.Dim("n"))))
    >>> network = rmtp.networks.init(net, 50, 0, (2,))
    >>> model = rmtp.training.linearise(network, np.eye(2), [1.0, -1.0])
    >>> bool(np.allclose(model.flow(0).train_mean, network.forward(np.eye(2))))
    True
    """
    inputs = batch(x, "x")
    tests = None if x_test is None else batch(x_test, "x_test")
    cross = None if tests is None else network.ntk(tests, inputs, parametrization=parametrization)
    first = network.forward(inputs), None if tests is None else network.forward(tests)
    targets = numbers(y, "y", (1,))
    own = network.ntk(inputs, parametrization=parametrization)
    made = from_kernels(own, cross, targets, ridge=ridge, initial=first)
    return replace(made, inputs=tests, train=(inputs, targets))


# ---------------------------------------------------------------------------------------------
# arguments


def _block(k: Any, what: str, shape: tuple[int | None, ...]) -> np.ndarray:
    out = numbers(k, what, (len(shape),))
    if any(want is not None and have != want for have, want in zip(out.shape, shape)):
        wanted = ", ".join("M" if s is None else str(s) for s in shape)
        raise AxisError(f"{what} of shape {out.shape}", remedy=f"shape ({wanted})")
    return out


def _nngp(k: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tests, size = shape
    train = symmetric(k[0], "the NNGP k_train")
    if len(train) != size:
        raise AxisError(f"an NNGP k_train of shape {train.shape}", remedy=f"the points of the NTK: ({size}, {size})")
    test = numbers(np.zeros((tests, tests)) if k[2] is None and not tests else k[2], "the NNGP k_test", (1, 2))
    if test.shape not in ((tests,), (tests, tests)):
        raise AxisError(f"an NNGP k_test of shape {test.shape}", remedy=f"({tests}, {tests}) or its diagonal")
    if test.ndim == 2 and tests:
        test = symmetric(test, "the NNGP k_test")
    cross = np.zeros((0, size)) if k[1] is None and not tests else k[1]
    return train, _block(cross, "the NNGP k_test_train", (tests, size)), test
