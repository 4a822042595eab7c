"""What an algorithm is run on: a data matrix, what is observed, and the signal it does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..arguments import reals
from ..ensembles import Dim, Number
from ..errors import BadParameter, DimensionMismatch
from ..handles import Vector, parameter
from ..instructions import ConstantSource, IIDSource, Init
from ..language import GOE, IID, Gaussian, Normal, constant
from ..laws import Atom, CoordinateLaw, Discrete, GaussianLaw, Mixture
from ..matrices import Expression, outer
from ..quantity import given, is_symbolic


@dataclass(frozen=True, eq=False)
class Problem:
    """Data for a first-order method: handles of a program, drawn as arrays by `simulate`.

    An algorithm sees ``algorithm(*problem.data, start, *extra)``: (A, y, x) for a regression, (Y, x) for a spiked matrix.

    Attributes
    ----------
    matrix : Expression
        A, or the observed matrix Y.
    signal : Vector (n,) or (n, k)
        What is to be found. Only the averages of a trajectory look at it.
    observed : Vector (m,), optional
        y; None if the matrix is all there is.
    start : Vector, optional
        The first estimate; the zero vector if None.
    extra : tuple of Vector
        Further arguments of the algorithm, such as the batches of `minibatches`.
    name : str

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    >>> A, x0 = rmtp.Gaussian(m, n), rmtp.Normal(n)
    >>> own = rmtp.amp.Problem(A, x0, np.abs(A @ x0))
    >>> len(own.data), own.start.shape
    (2, (Dim('n'),))
    """

    matrix: Expression
    signal: Vector
    observed: Vector | None = None
    start: Vector | None = None
    extra: tuple[Vector, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.matrix, Expression) or not isinstance(self.signal, Vector):
            raise BadParameter(
                f"a problem of {type(self.matrix).__name__} and {type(self.signal).__name__}",
                remedy="a random matrix and a signal: Problem(A, x0, A @ x0)",
            )
        if len(self.matrix.right) > 1 or self.matrix.cols != self.signal.dim:
            raise DimensionMismatch(
                f"the signal has width {self.signal.dim}, the matrix {self.matrix!r} takes {self.matrix.cols}",
                remedy="one width for the signal and the columns of the matrix",
            )
        if self.start is None:
            zero = constant(self.signal.dim, 0)
            sizes = [size for _, size in self.signal.axes]
            object.__setattr__(self, "start", np.stack([zero] * sizes[0], axis=1) if sizes else zero)
        if self.start.dim != self.signal.dim:  # type: ignore[union-attr]
            raise DimensionMismatch(
                "the start has another width than the signal", remedy="a vector of the signal's width"
            )

    @property
    def width(self) -> Dim:
        """Of the signal."""
        assert self.signal.dim is not None
        return self.signal.dim

    @property
    def data(self) -> tuple[Any, ...]:
        """What the algorithm is given before the start."""
        return (self.matrix,) if self.observed is None else (self.matrix, self.observed)


def linear_model(
    delta: Number,
    prior: Any,
    noise: Number = 0,
    *,
    entries: str = "gaussian",
    matrix: Callable[[Dim, Dim], Expression] | None = None,
) -> Problem:
    """y = A x0 + w, m observations of n unknowns, **A_ij ~ N(0, 1/m)** (unit columns), w ~ N(0, noise).

    Law: m/n -> delta; x0 has iid coordinates with the law `prior`.

    Parameters
    ----------
    delta : number or array
        Observations per unknown; an array is a sweep.
    prior : law
        A number of `rmtp.Mixture`, `rmtp.Discrete`, a frozen scipy.stats law; see `bernoulli_gauss`.
    noise : number or array
        The **variance** of w.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}
        What `simulate` draws; the limit is the same (universality).
    matrix : callable, optional
        ``matrix(rows, cols)`` makes another A, such as ``rmtp.Haar``.

    Returns
    -------
    Problem

    Raises
    ------
    BadParameter
        If delta <= 0, noise < 0 or the prior is constant.

    Notes
    -----
    Exact in the ring of the data. Donoho, Maleki & Montanari 2009; TP0 (1902.04760), appendix D.8.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> from fractions import Fraction
    >>> p = rmtp.amp.linear_model(Fraction(1, 2), [-1, 1], Fraction(1, 100))
    >>> rmtp.limit(np.mean(p.observed ** 2), exact=True).value
    Fraction(201, 100)
    """
    n, m = _widths(delta)
    A = Gaussian(m, n, variance=_inverse(m.ratio), entries=entries, name="A") if matrix is None else matrix(m, n)
    x0 = _signal(n, prior)
    y = A @ x0
    noise = given(noise)
    if is_symbolic(noise) or np.any(np.asarray(_variance(noise, "noise"), dtype=float)):
        y = y + _scaled(Normal(m, name="w"), noise)
    return Problem(A, x0, y, name="linear model")


def generalised_linear_model(
    delta: Number,
    prior: Any,
    channel: Any,
    *,
    entries: str = "gaussian",
    matrix: Callable[[Dim, Dim], Expression] | None = None,
) -> Problem:
    """y ~ P(. | z) with z = A x0 and **A_ij ~ N(0, 1/n)**, so that Var z = E x0**2.

    Parameters
    ----------
    delta : number or array
        m/n, observations per unknown.
    prior : law
    channel : Channel or callable
        ``channel.observe(z)``, or a function of z: ``np.abs`` is phase retrieval.
    entries, matrix
        See `linear_model`; the entry variance of the default differs: 1/n, not 1/m.

    Returns
    -------
    Problem

    Raises
    ------
    BadParameter
        If delta <= 0 or the prior is constant.

    Examples
    --------
    >>> import numpy as np, rmtp, scipy.stats
    >>> p = rmtp.amp.generalised_linear_model(2, scipy.stats.norm(), rmtp.amp.probit(0.1))
    >>> rmtp.limit(np.mean(p.observed ** 2)).value
    1.0
    """
    n, m = _widths(delta)
    A = Gaussian(m, n, entries=entries, name="A") if matrix is None else matrix(m, n)
    x0 = _signal(n, prior)
    observe = getattr(channel, "observe", channel)
    if not callable(observe):
        raise BadParameter(f"channel={channel!r}", remedy="rmtp.amp.probit(0.1), or a function of z such as np.abs")
    return Problem(A, x0, observe(A @ x0), name=f"{getattr(channel, 'name', 'generalised linear model')}")


def spiked_wigner(snr: Any, prior: Any, *, entries: str = "gaussian", noise: Expression | None = None) -> Problem:
    """Y = sum_k snr_k v_k v_k.T / n + W, W a GOE matrix with spectrum [-2, 2].

    Law: v_k has iid coordinates with the law `prior`; with E v**2 = 1 the spikes leave the bulk at snr > 1 (BBP).

    Parameters
    ----------
    snr : number, array or sequence of k numbers
        A tuple or list has one strength per spike, an array is a sweep.
    prior : law, or a sequence of k laws
    entries : str
    noise : Expression, optional
        Another symmetric matrix in place of W, such as ``rmtp.Invariant(n, law)``.

    Returns
    -------
    Problem
        The signal has shape (n,) for one spike, (n, k) for k.

    Raises
    ------
    BadParameter
        If the numbers of strengths and laws differ, or a prior is constant.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.spiked_wigner(1.5, [-1, 1]).matrix
    1.5*outer(v, v) + W
    """
    n = Dim("n") if noise is None else noise.rows
    strengths, spikes, signal = _spikes(n, snr, prior, "v")
    Y: Any = GOE(n, entries=entries, name="W") if noise is None else noise
    for s, v in zip(strengths, spikes, strict=True):
        Y = s * outer(v, v) + Y
    return Problem(Y, signal, name="spiked Wigner")


def spiked_wishart(snr: Any, delta: Number, prior: Any, row_prior: Any = None, *, entries: str = "gaussian") -> Problem:
    """Y = sum_k snr_k u_k v_k.T / n + W, m x n, **W_ij ~ N(0, 1/n)**; the signal is v.

    Law: m/n -> delta; with unit second moments the spike leaves the bulk at snr**4 delta > 1.

    Parameters
    ----------
    snr : number, array or sequence of k numbers
    delta : number or array
    prior : law of v, or a sequence of k laws
    row_prior : law of u
        Standard normal by default.
    entries : str

    Returns
    -------
    Problem

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.spiked_wishart(2, 1, [-1, 1]).matrix.shape
    (Dim('m'), Dim('n'))
    """
    n, m = _widths(delta)
    strengths, spikes, signal = _spikes(n, snr, prior, "v")
    Y: Any = Gaussian(m, n, entries=entries, name="W")
    for k, (s, v) in enumerate(zip(strengths, spikes, strict=True)):
        name = "u" if len(spikes) == 1 else f"u{k + 1}"
        u = Normal(m, name=name) if row_prior is None else _signal(m, row_prior, name)
        Y = s * outer(u, v) + Y
    return Problem(Y, signal, name="spiked Wishart")


# ---------------------------------------------------------------------------------------------
# priors and starts


def bernoulli_gauss(share: Any, variance: Any = 1) -> CoordinateLaw:
    """Zero with probability 1 - share, else N(0, variance).

    Examples
    --------
    >>> import rmtp
    >>> from fractions import Fraction
    >>> rmtp.amp.bernoulli_gauss(Fraction(1, 10)).moment(2)
    Fraction(1, 10)
    """
    gauss = CoordinateLaw((GaussianLaw(0, _variance(variance, "variance")),), (1,))
    part = _share(share)
    return Mixture([CoordinateLaw((Atom(Fraction(0)),), (1,)), gauss], [1 - part, part])


def three_point(share: Any, size: Any = 1) -> CoordinateLaw:
    """Zero with probability 1 - share, else +size or -size.

    Examples
    --------
    >>> import rmtp
    >>> from fractions import Fraction
    >>> rmtp.amp.three_point(Fraction(1, 10), 2).moment(2)
    Fraction(2, 5)
    """
    return Discrete([0, size, -size], [1 - _share(share), _share(share) / 2, _share(share) / 2])


def random_start(problem: Problem, variance: Number = 1) -> Problem:
    """The same problem from iid N(0, variance) coordinates, independent of everything.

    Examples
    --------
    >>> import rmtp
    >>> p = rmtp.amp.random_start(rmtp.amp.spiked_wigner(2, [-1, 1]))
    >>> [float(v) for v in rmtp.state_evolution(rmtp.amp.power_iteration, p, 1).overlap.value]
    [0.0, 0.0]
    """
    drawn = [_scaled(Normal(problem.width, name="g"), variance) for _ in range(_columns(problem.signal))]
    return replace(problem, start=_joined(drawn, problem.signal))


def informed_start(problem: Problem, correlation: Number, scale: Number = 1) -> Problem:
    """The same problem from ``scale (a x0 + sqrt(1 - a**2) sqrt(E x0**2) g)`` with a the correlation with the signal.

    With scale = a it is the mean of a Gaussian signal given a side observation. A small a stands for what breaks the
    symmetry at finite size.

    Raises
    ------
    BadParameter
        If the correlation is not in [-1, 1].

    Examples
    --------
    >>> import rmtp
    >>> p = rmtp.amp.informed_start(rmtp.amp.spiked_wigner(1.5, [-1, 1]), 0.1)
    >>> rmtp.amp.state_evolution(rmtp.amp.power_iteration, p, 0).cosine.value
    array([0.1])
    """
    correlation = given(correlation)
    if is_symbolic(correlation):
        rest = 1 - correlation**2
    else:
        a = np.asarray(correlation, dtype=float)
        if not np.all(np.abs(a) <= 1):
            raise BadParameter(f"correlation={correlation!r}", remedy="a number in [-1, 1]")
        exact = isinstance(correlation, int | Fraction)
        rest = 1 - Fraction(correlation) ** 2 if exact else 1 - a**2
    columns = (
        [problem.signal[:, k] for k in range(_columns(problem.signal))] if problem.signal.axes else [problem.signal]
    )
    mixed = [
        parameter(scale) * (parameter(correlation) * x + np.sqrt(parameter(rest) * np.mean(x**2)) * _noise(problem))
        for x in columns
    ]
    return replace(problem, start=_joined(mixed, problem.signal))


def _noise(problem: Problem) -> Vector:
    return Normal(problem.width, name="g")


def probed(problem: Problem) -> Problem:
    """The same problem with one more argument for the algorithm: a vector N(0, 1) that measures traces.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.probed(rmtp.amp.linear_model(2, [-1, 1])).extra[0].name
    'probe'
    """
    return replace(problem, extra=(*problem.extra, Normal(problem.width, name="probe")))


def minibatches(problem: Problem, count: int) -> Problem:
    """The same problem with the rows in `count` random batches: the algorithm's last argument is the batch of each row.

    Law: an iid vector of width m, uniform on 0, .., count - 1.

    Raises
    ------
    BadParameter
        If count is not an int >= 1.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.minibatches(rmtp.amp.linear_model(2, [-1, 1]), 4).extra[0].name
    'batch'
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadParameter(f"count={count!r}", remedy="an int >= 1")
    return replace(problem, extra=(*problem.extra, IID(problem.matrix.rows, list(range(count)), name="batch")))


# ---------------------------------------------------------------------------------------------


def _widths(delta: Number) -> tuple[Dim, Dim]:
    delta = given(delta)
    if is_symbolic(delta):
        return Dim("n"), Dim("m", delta)
    values = reals(delta, "delta", "observations per unknown, a number > 0")
    if not np.all(values > 0):
        raise BadParameter(f"delta={delta!r} observations per unknown", remedy="a number > 0")
    return Dim("n"), Dim(
        "m", Fraction(delta) if isinstance(delta, int | Fraction) else delta if np.ndim(delta) == 0 else values
    )


def _inverse(ratio: Number) -> Number:
    return 1 / Fraction(ratio) if isinstance(ratio, int | Fraction) else 1 / ratio


def _variance(value: Number, what: str) -> Number:
    value = given(value)
    if is_symbolic(value):
        return value
    if np.any(reals(value, what, "a variance >= 0") < 0):
        raise BadParameter(f"{what}={value!r}", remedy="a variance >= 0")
    return value


def _scaled(x: Vector, variance: Number) -> Any:
    """x times the root of a variance; a number stays in the law of x, where it is exact."""
    _variance(variance, "variance")
    if np.ndim(variance):
        return np.sqrt(parameter(np.asarray(variance, dtype=float))) * x
    assert x.dim is not None
    return Normal(x.dim, cov=variance, name=x.name)


def _share(share: Any) -> Any:
    share = given(share)
    if is_symbolic(share):
        return share
    values = reals(share, "share", "a probability > 0, or an array of them")
    if not np.all((values > 0) & (values <= 1)):
        raise BadParameter(f"share={share!r}", remedy="a probability > 0, or an array of them")
    return share if np.ndim(share) == 0 else values


def _signal(dim: Dim, prior: Any, name: str = "x0") -> Vector:
    x = prior if isinstance(prior, Vector) else IID(dim, prior, name=name)
    if isinstance(prior, Vector) and prior.dim != dim:
        raise DimensionMismatch(f"a signal of width {prior.dim}", remedy=f"a vector of width {dim}")
    op = x.op
    if isinstance(op, Init) and (
        isinstance(op.source, ConstantSource) or (isinstance(op.source, IIDSource) and not _spread(op.source.law))
    ):
        raise BadParameter(
            "a prior without variance", remedy="a law with more than one value: there is nothing to find"
        )
    return x


def _spread(law: CoordinateLaw) -> bool:
    variance = law.moment(2) - law.moment(1) ** 2
    return is_symbolic(variance) or bool(np.all(np.asarray(variance, dtype=float) > 0))


def _spikes(n: Dim, snr: Any, prior: Any, name: str) -> tuple[list[Any], list[Vector], Vector]:
    several = isinstance(snr, list | tuple)
    strengths = [given(s) for s in (snr if several else [snr])]
    many = isinstance(prior, list | tuple) and any(not isinstance(p, int | float | Fraction | np.number) for p in prior)
    priors = list(prior) if many else [prior] * len(strengths)
    if len(priors) != len(strengths) or not strengths:
        raise BadParameter(
            f"{len(strengths)} strengths and {len(priors)} priors", remedy="one law per spike, or one for all"
        )
    for s in strengths:
        if not is_symbolic(s):
            reals(s, "snr", "finite numbers")
    names = [name] if len(strengths) == 1 else [f"{name}{k + 1}" for k in range(len(strengths))]
    spikes = [_signal(n, p, label) for p, label in zip(priors, names, strict=True)]
    factors = [parameter(np.asarray(s)) if np.ndim(s) else s for s in strengths]
    signal: Any = np.stack(spikes, axis=1) if several else spikes[0]
    return factors, spikes, signal


def _columns(signal: Vector) -> int:
    return signal.axes[0][1] if signal.axes else 1


def _joined(columns: Sequence[Any], signal: Vector) -> Any:
    return np.stack(columns, axis=1) if signal.axes else columns[0]
