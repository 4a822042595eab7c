"""Linear models of training, from networks and from kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import AxisError, BadParameter
from ..kernels.api import Kernel, nngp, nngp_ntk
from ..likelihood import numbers, symmetric, targets_of
from ..networks.finite import FiniteNetwork
from ..networks.network import batch
from ..regression import kernel_diagonal
from .finite import Ensemble, stacked
from .model import Linearised


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
    ntk_train : array (N, N) or (N, C, N, C)
        Theta at training points; with four axes, of C outputs that it couples.
    ntk_test_train : array (M, N) or (M, C, N, C), or None
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
    if np.ndim(ntk_train) == 4:
        theta, cross, targets = _coupled(ntk_train, ntk_test_train, y)
        tests = len(cross) // targets.shape[1]
        if nngp is not None:
            raise BadParameter(
                "nngp= of coupled outputs", remedy="initial=(f_0 at training points, f_0 at test points)"
            )
    else:
        theta = symmetric(ntk_train, "ntk_train")
        size = len(theta)
        cross = (
            np.zeros((0, size)) if ntk_test_train is None else _block(ntk_test_train, "ntk_test_train", (None, size))
        )
        targets, tests = targets_of(y, size), len(cross)
    theta = (theta + theta.T) / 2
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
            _block(test, "initial outputs at test points", (tests, *targets.shape[1:])),
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
    network: FiniteNetwork | Ensemble,
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
    network : FiniteNetwork, or an Ensemble of one member
        An ensemble may have C outputs, which its empirical kernel couples.
    x, x_test : array (N, \\*shape of one input), (M, \\*shape of one input)
    y : array (N,) or (N, C)
    ridge : float
    parametrization : {"ntk", "yang", "standard", "mup"}

    Returns
    -------
    Linearised
        With the empirical kernel, and the network's outputs as `initial`. `Trajectory.dual` gives the parameters of a network
        with one output: ``network.updated(network.gradients(x, dual))``.

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
    many = stacked([network]) if isinstance(network, FiniteNetwork) else network
    if not isinstance(many, Ensemble) or len(many) != 1:
        raise BadParameter(
            "a linearisation of several networks", remedy="one at a time: ensemble.part(slice(k, k + 1))"
        )
    first = many.forward(inputs)[0], None if tests is None else many.forward(tests)[0]
    cross = None if tests is None else many.ntk(tests, inputs, parametrization=parametrization)[0]
    own = many.ntk(inputs, parametrization=parametrization)[0]
    targets = targets_of(y, len(inputs))
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


def _coupled(train: Any, cross: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernels of points and outputs, these as one axis, and targets."""
    theta = numbers(train, "ntk_train", (4,))
    n, c = theta.shape[:2]
    if theta.shape != (n, c, n, c) or not theta.size:
        raise AxisError(f"ntk_train of shape {theta.shape}", remedy="(N, C, N, C): points and outputs, twice")
    targets = _block(targets_of(y, n), "y", (n, c))
    tests = np.zeros((0, c, n, c)) if cross is None else _block(cross, "ntk_test_train", (None, c, n, c))
    return symmetric(theta.reshape(n * c, n * c), "ntk_train"), tests.reshape(-1, n * c), targets


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
