"""Output channels y ~ P(. | z): how an observation is made, and what generalised AMP needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadParameter
from ..handles import Node
from ..language import IID, Normal, elementwise
from ..nonlinearity import Outcomes
from ..special import expit, log_ndtr


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel, as data.

    Attributes
    ----------
    name : str
    observe : callable
        ``observe(z)``: a vector of the program from a vector.
    output, slope : callable
        ``output(y, omega, V)`` is (E[z | y] - omega) / V for a prior z ~ N(omega, V), and `slope` its derivative in omega,
        Var[z | y] / V**2 - 1 / V.

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.gaussian(0.5).output(1.0, 0.0, 0.5)
    1.0
    """

    name: str
    observe: Callable[[Any], Any]
    output: Callable[[Any, Any, Any], Any]
    slope: Callable[[Any, Any, Any], Any]

    def __repr__(self) -> str:
        return f"Channel({self.name})"


def gaussian(noise: Any) -> Channel:
    """y = z + N(0, noise).

    Examples
    --------
    >>> import rmtp
    >>> rmtp.amp.gaussian(1).slope(1.0, 0.0, 1.0)
    -0.5
    """
    _positive(noise)
    return Channel(
        f"z + N(0, {noise})",
        lambda z: z + Normal(z.dim, cov=noise, name="w"),
        lambda y, omega, V: (y - omega) / (V + noise),
        lambda y, omega, V: -1 / (V + noise) + 0 * omega,
    )


def probit(noise: Any = 1) -> Channel:
    """y = sign(z + N(0, noise)).

    Examples
    --------
    >>> import rmtp
    >>> round(float(rmtp.amp.probit(1).output(1.0, 0.0, 1.0)), 12)    # sqrt(2 / pi) / sqrt(2)
    0.564189583548
    """
    _positive(noise)

    def observe(z: Any) -> Any:
        return np.sign(z + Normal(z.dim, cov=noise, name="w"))

    return _sign_channel(f"sign(z + N(0, {noise}))", observe, noise)


def sign() -> Channel:
    """y = sign(z).

    Examples
    --------
    >>> import rmtp
    >>> round(float(rmtp.amp.sign().output(1.0, 0.0, 1.0)), 12)       # sqrt(2 / pi)
    0.797884560803
    """
    return _sign_channel("sign(z)", np.sign, 0)


def _sign_channel(name: str, observe: Callable[[Any], Any], noise: Any) -> Channel:
    def mills(u: Any) -> Any:
        """phi(u) / Phi(u), without underflow."""
        return np.exp(-u * u / 2 - log_ndtr(u)) / np.sqrt(2 * np.pi)

    def mills_slope(u: Any) -> Any:
        ratio = mills(u)
        return -ratio * (u + ratio)

    def third(u: Any) -> Any:
        ratio = mills(u)
        return ratio * ((u + ratio) * (u + 2 * ratio) - 1)

    first = elementwise(mills, mills_slope, name="mills")
    second = elementwise(mills_slope, third, name="mills'")

    def output(y: Any, omega: Any, V: Any) -> Any:
        scale = np.sqrt(V + noise)
        return y * first(y * omega / scale) / scale

    def slope(y: Any, omega: Any, V: Any) -> Any:
        scale = np.sqrt(V + noise)
        return second(y * omega / scale) / scale**2

    return Channel(name, observe, output, slope)


def logistic() -> Channel:
    """y = +-1 with P(y = 1 | z) = 1 / (1 + exp(-z)).

    Examples
    --------
    >>> import rmtp
    >>> round(float(rmtp.amp.logistic().output(1.0, 0.0, 1e-8)), 6)
    0.5
    """
    import scipy.stats  # half a second that most programs never need

    return numerical(
        "logistic",
        lambda z: np.sign(z + IID(z.dim, scipy.stats.logistic(), name="w")),
        lambda y, z: np.log(expit(y * z)),
    )


def rectified(noise: Any) -> Channel:
    """y = max(z, 0) + N(0, noise).

    Examples
    --------
    >>> import rmtp
    >>> bool(rmtp.amp.rectified(0.1).output(2.0, 0.0, 1.0) > 0)
    True
    """
    inf = float("inf")
    return _bent(f"relu(z) + N(0, {noise})", lambda z: np.maximum(z, 0), ((-inf, 0, 0.0), (0, inf, 1.0)), noise)


def phase_retrieval(noise: Any) -> Channel:
    """y = |z| + N(0, noise): the sign is lost.

    Examples
    --------
    >>> import rmtp
    >>> float(rmtp.amp.phase_retrieval(0.1).output(1.0, 0.0, 1.0))       # by symmetry
    0.0
    """
    inf = float("inf")
    return _bent(f"|z| + N(0, {noise})", np.abs, ((-inf, 0, -1.0), (0, inf, 1.0)), noise)


def _bent(name: str, bend: Callable[[Any], Any], pieces: Any, noise: Any) -> Channel:
    """y = h(z) + N(0, noise), h(z) = slope * z on pieces (low, high, slope): given y, z is a mixture of truncated Gaussians."""
    _positive(noise)

    def moments(y: Any, omega: Any, V: Any) -> tuple[Any, Any]:
        y, omega, V = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (y, omega, V)))
        logs, means, seconds = [], [], []
        for low, high, a in pieces:
            spread = a * a * V + noise
            var = V * noise / spread
            centre = (omega * noise + a * y * V) / spread
            std = np.sqrt(var)
            # one end of every piece is infinite: turned so that the piece is z > cut
            side = 1.0 if high == np.inf else -1.0
            u = side * (centre - (low if side > 0 else high)) / std
            mass = log_ndtr(u)
            hazard = np.exp(-u * u / 2 - mass) / np.sqrt(2 * np.pi)
            mean = centre + side * std * hazard
            logs.append(-((y - a * omega) ** 2) / (2 * spread) - np.log(spread) / 2 + mass)
            means.append(mean)
            seconds.append(var * (1 - hazard * (u + hazard)) + mean**2)
        share = np.exp(np.stack(logs) - np.max(logs, axis=0))
        share = share / share.sum(axis=0)
        mean = np.sum(share * np.stack(means), axis=0)
        return mean, np.sum(share * np.stack(seconds), axis=0) - mean**2

    def output(y: Any, omega: Any, V: Any) -> Any:
        return (moments(y, omega, V)[0] - omega) / V

    def slope(y: Any, omega: Any, V: Any) -> Any:
        return (moments(y, omega, V)[1] / V - 1) / V

    def observe(z: Any) -> Any:
        return bend(z) + Normal(z.dim, cov=noise, name="w")

    return _channel(name, observe, output, slope)


def _channel(name: str, observe: Any, output: Callable[..., Any], slope: Callable[..., Any]) -> Channel:
    """A channel from functions of arrays; the engine differentiates `output` in omega alone."""
    first = elementwise(output, (None, slope, None), name="output")
    second = elementwise(slope, (None, None, None), name="output'")
    return Channel(name, observe, _either(first, output), _either(second, slope))


def poisson() -> Channel:
    """y ~ Poisson(exp(z)).

    Examples
    --------
    >>> import rmtp
    >>> bool(rmtp.amp.poisson().output(3.0, 0.0, 1.0) > 0)
    True
    """
    import scipy.stats

    channel = discrete("Poisson(exp(z))", lambda z: scipy.stats.poisson(np.exp(z)))
    output, slope = _posterior(lambda y, z: y * z - np.exp(z), 64, _poisson_mode)
    return _channel(channel.name, channel.observe, output, slope)


def discrete(name: str, law: Callable[[Any], Any]) -> Channel:
    """A count y ~ law(z) of scipy.stats: expectations over y are summed, not sampled.

    While it has some thousand values at most, as a Poisson or a binomial law does: where the tail is a power of a number
    (negative binomial with rates like exp(z)) the sums exceed the budget, and points take their place, with their error.
    Posterior moments are exact to about 1e-10 for a likelihood log-concave in z.

    Parameters
    ----------
    name : str
    law : callable
        ``law(z)``: a frozen discrete distribution for an array z.

    Raises
    ------
    BadParameter
        If ``law(0.0)`` is not a discrete distribution of scipy.stats.

    Examples
    --------
    >>> import numpy as np, rmtp, scipy.stats
    >>> votes = rmtp.amp.discrete("Binomial(5)", lambda z: scipy.stats.binom(5, 1 / (1 + np.exp(-z))))
    >>> bool(votes.output(5.0, 0.0, 1.0) > 0 > votes.output(0.0, 0.0, 1.0))
    True
    """
    import scipy.stats

    frozen = law(np.zeros(1)) if callable(law) else None
    if not isinstance(getattr(frozen, "dist", None), scipy.stats.rv_discrete):
        raise BadParameter(
            f"law(z) is {frozen!r}, not a discrete distribution", remedy="as lambda z: scipy.stats.poisson(np.exp(z))"
        )
    counts = Outcomes(lambda z: _window(law(z)), lambda k, z: law(z).pmf(k))
    drawn = elementwise(lambda z, u: law(z).ppf(u), (None, None), name=name, outcomes=counts)
    output, slope = _posterior(lambda y, z: law(z).logpmf(y), 64, _prior, _PASSES)
    return _channel(name, lambda z: drawn(z, IID(z.dim, scipy.stats.uniform(), name="u")), output, slope)


def _window(frozen: Any) -> tuple[Any, Any]:
    """The first and the last count that matter."""
    centre, end = frozen.median(), frozen.support()[1]
    last = frozen.ppf(1 - 1e-12)
    while np.any(far := frozen.sf(last) > _NO_MASS):
        last = np.where(far, np.ceil(last + 0.2 * (last - centre) + 1), last)
    return np.maximum(frozen.ppf(_NO_MASS), frozen.support()[0]), np.minimum(last, end)


def numerical(name: str, observe: Callable[[Any], Any], log_likelihood: Callable[[Any, Any], Any]) -> Channel:
    """A channel from its log-likelihood log p(y | z): posterior moments by Gauss-Hermite points around N(omega, V).

    Exact to about 1e-10 while V does not exceed the scale on which the likelihood changes by much.

    Parameters
    ----------
    name : str
    observe : callable
    log_likelihood : callable
        ``log_likelihood(y, z)`` on arrays; constants do not matter.

    Examples
    --------
    >>> import rmtp
    >>> same = rmtp.amp.numerical("gauss", None, lambda y, z: -((y - z) ** 2) / 2)
    >>> round(float(same.output(1.0, 0.0, 1.0)), 10)
    0.5
    """
    output, slope = _posterior(log_likelihood, 80, _prior)
    return _channel(name, observe, output, slope)


_PASSES = 3
_NO_MASS = 1e-17
_BLOCK = 1 << 12  # what fits a cache


def _posterior(
    log_likelihood: Callable[[Any, Any], Any], hermite: int, locate: Callable[..., tuple[Any, Any]], passes: int = 1
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`output` and `slope` by Gauss-Hermite points around a place of a width, in further passes around what the last one found.

    ``locate(y, omega, V)`` has place and width in units of the prior, (z - omega) / sqrt(V), as have all nodes here.
    """
    t, w = np.polynomial.hermite_e.hermegauss(hermite)
    least = np.min(np.diff(t)) / 2
    standard, weights = t[:, None], (np.log(w) + t**2 / 2)[:, None]

    def block(y: Any, omega: Any, V: Any) -> tuple[Any, Any]:
        mean, spread = locate(y, omega, V)
        for _ in range(passes):
            nodes = mean + spread * standard
            with np.errstate(divide="ignore"):
                log = weights - nodes**2 / 2 + log_likelihood(y, omega + np.sqrt(V) * nodes)
            share = np.exp(log - log.max(axis=0))
            share = share / share.sum(axis=0)
            mean = np.sum(share * nodes, axis=0)
            variance = np.sum(share * (nodes - mean) ** 2, axis=0)
            spread = np.sqrt(np.maximum(variance, (least * spread) ** 2))
        return mean, variance

    def moments(*given: Any) -> tuple[Any, Any]:
        arrays = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in given))
        flat = [v.ravel() for v in arrays]
        parts = [block(*(v[k : k + _BLOCK] for v in flat)) for k in range(0, max(flat[0].size, 1), _BLOCK)]
        mean, variance = (np.concatenate(column).reshape(arrays[0].shape) for column in zip(*parts, strict=True))
        return mean, variance

    def output(y: Any, omega: Any, V: Any) -> Any:
        return moments(y, omega, V)[0] / np.sqrt(V)

    def slope(y: Any, omega: Any, V: Any) -> Any:
        return (moments(y, omega, V)[1] - 1) / V

    return output, slope


def _prior(y: Any, omega: Any, V: Any) -> tuple[Any, Any]:
    return np.zeros(np.shape(y)), np.ones(np.shape(y))


def _poisson_mode(y: Any, omega: Any, V: Any) -> tuple[Any, Any]:
    """Where y - exp(z) = (z - omega) / V, by the Wright omega function, and the width of the posterior there."""
    from scipy.special import wrightomega

    shift = omega + V * y
    rate = wrightomega(shift + np.log(V))  # V exp(z)
    return (shift - rate - omega) / np.sqrt(V), 1 / np.sqrt(1 + rate)


def _either(symbolic: Callable[..., Any], numeric: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return symbolic(*args) if any(isinstance(a, Node) for a in args) else numeric(*args)

    return call


def _positive(noise: Any) -> None:
    if not np.all(np.asarray(noise, dtype=float) > 0):
        raise BadParameter(f"noise={noise!r}", remedy="a variance > 0")
