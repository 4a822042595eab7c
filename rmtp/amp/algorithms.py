"""First-order methods as they are written on paper; each runs on handles of a program and on arrays.

An algorithm yields its start and then one estimate per step. Parameters are set with functools.partial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..language import soft_threshold
from ..matrices import Expression
from ..matrices import eye as matrix_eye
from ..solving import solve


def squared_loss(y: Any, p: Any) -> Any:
    """d/dp (y - p)**2 / 2.

    Examples
    --------
    >>> squared_loss(1.0, 3.0)
    2.0
    """
    return p - y


def logistic_loss(y: Any, p: Any) -> Any:
    """d/dp log(1 + exp(-y p)) for labels y = +-1.

    Examples
    --------
    >>> float(logistic_loss(1.0, 0.0))
    -0.5
    """
    return -y * (1 - np.tanh(y * p / 2)) / 2


def tanh_loss(y: Any, p: Any) -> Any:
    """d/dp (y - tanh p)**2 / 2.

    Examples
    --------
    >>> float(tanh_loss(1.0, 0.0))
    -1.0
    """
    t = np.tanh(p)
    return (t - y) * (1 - t**2)


def gradient_descent(A: Any, y: Any, x: Any, *, step: Any, loss: Callable[..., Any] = squared_loss) -> Iterator[Any]:
    """x <- x - step A.T loss(y, A x), with `loss` the slope in its second argument.

    Examples
    --------
    >>> import numpy as np
    >>> descent = gradient_descent(np.eye(2), np.ones(2), np.zeros(2), step=0.5)
    >>> [next(descent).tolist() for _ in range(3)]
    [[0.0, 0.0], [0.5, 0.5], [0.75, 0.75]]
    """
    while True:
        yield x
        x = x - step * (A.T @ loss(y, A @ x))


def proximal_gradient(
    A: Any, y: Any, x: Any, *, step: Any, prox: Callable[..., Any], loss: Callable[..., Any] = squared_loss
) -> Iterator[Any]:
    """x <- prox(x - step A.T loss(y, A x), step).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> prox = lambda r, step: rmtp.soft_threshold(r, step / 4)
    >>> method = proximal_gradient(np.eye(1), np.ones(1), np.zeros(1), step=1.0, prox=prox)
    >>> [next(method).tolist() for _ in range(2)]
    [[0.0], [0.75]]
    """
    while True:
        yield x
        x = prox(x - step * (A.T @ loss(y, A @ x)), step)


def ista(A: Any, y: Any, x: Any, *, step: Any, penalty: Any) -> Iterator[Any]:
    """Iterative soft thresholding for 1/2 |y - A x|^2 + penalty |x|_1; no Onsager term.

    Examples
    --------
    >>> import numpy as np
    >>> method = ista(np.eye(1), np.ones(1), np.zeros(1), step=0.5, penalty=0.5)
    >>> [next(method).tolist() for _ in range(2)]
    [[0.0], [0.25]]
    """
    while True:
        yield x
        x = soft_threshold(x + step * (A.T @ (y - A @ x)), step * penalty)


def heavy_ball(
    A: Any, y: Any, x: Any, *, step: Any, momentum: Any, loss: Callable[..., Any] = squared_loss
) -> Iterator[Any]:
    """x <- x - step A.T loss(y, A x) + momentum (x - x_before), from rest (Polyak).

    Examples
    --------
    >>> import numpy as np
    >>> method = heavy_ball(np.eye(1), np.ones(1), np.zeros(1), step=0.5, momentum=0.5)
    >>> [next(method).tolist() for _ in range(3)]
    [[0.0], [0.5], [1.0]]
    """
    before = x
    while True:
        yield x
        x, before = x - step * (A.T @ loss(y, A @ x)) + momentum * (x - before), x


def nesterov(
    A: Any, y: Any, x: Any, *, step: Any, momentum: Any, loss: Callable[..., Any] = squared_loss
) -> Iterator[Any]:
    """The gradient at the extrapolated point u = x + momentum (x - x_before).

    Examples
    --------
    >>> import numpy as np
    >>> method = nesterov(np.eye(1), np.ones(1), np.zeros(1), step=0.5, momentum=0.5)
    >>> [next(method).tolist() for _ in range(3)]
    [[0.0], [0.5], [0.875]]
    """
    before = x
    while True:
        yield x
        u = x + momentum * (x - before)
        x, before = u - step * (A.T @ loss(y, A @ u)), x


def fista(A: Any, y: Any, x: Any, *, step: Any, penalty: Any) -> Iterator[Any]:
    """ISTA at extrapolated points, with the momenta of Beck & Teboulle 2009.

    Examples
    --------
    >>> import numpy as np
    >>> method = fista(np.eye(1), np.ones(1), np.zeros(1), step=0.5, penalty=0.5)
    >>> [next(method).tolist() for _ in range(2)]
    [[0.0], [0.25]]
    """
    u, t = x, 1.0
    while True:
        yield x
        before, x = x, soft_threshold(u + step * (A.T @ (y - A @ u)), step * penalty)
        later = (1 + float(np.sqrt(1 + 4 * t * t))) / 2
        u = x + (t - 1) / later * (x - before)
        t = later


def minibatch_descent(
    A: Any, y: Any, x: Any, batch: Any, *, step: Any, count: int, loss: Callable[..., Any] = squared_loss
) -> Iterator[Any]:
    """Gradient descent on one batch of rows after the other, `count` of them in turn; see `minibatches`.

    The step is divided by the share of rows in a batch. The first `count` steps are one pass.

    Examples
    --------
    >>> import numpy as np
    >>> method = minibatch_descent(np.eye(2), np.ones(2), np.zeros(2), np.array([0, 1]), step=0.25, count=2)
    >>> [next(method).tolist() for _ in range(3)]
    [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]
    """
    t = 0
    while True:
        yield x
        taken = np.where(np.abs(batch - t % count) < 0.5, 1, 0)
        x = x - step * count * (A.T @ (taken * loss(y, A @ x)))
        t += 1


# ---------------------------------------------------------------------------------------------
# approximate message passing


def amp(A: Any, y: Any, x: Any, *, denoiser: Any) -> Iterator[Any]:
    """Approximate message passing for y = A x0 + w, columns of A of unit length (entries of variance 1/m).

    r = x + A.T z is x0 plus Gaussian noise of variance tau2 = mean(z**2); x = denoiser(r, tau2).

    Parameters
    ----------
    denoiser : Denoiser
        With a `derivative`: `soft`, `posterior_mean`, or your own.

    Notes
    -----
    Donoho, Maleki & Montanari 2009; the Onsager term is (n/m) mean(denoiser') z.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> method = amp(np.eye(1), np.ones(1), np.zeros(1), denoiser=rmtp.amp.soft(0.5))
    >>> [next(method).tolist() for _ in range(2)]
    [[0.0], [0.5]]
    """
    m, n = A.shape
    z = y - A @ x
    while True:
        yield x
        tau2 = np.mean(z**2)
        r = x + A.T @ z
        x = denoiser(r, tau2)
        z = y - A @ x + n / m * np.mean(denoiser.derivative(r, tau2)) * z


def lasso_amp(A: Any, y: Any, x: Any, *, penalty: Any) -> Iterator[Any]:
    """AMP whose fixed point is the minimiser of 1/2 |y - A x|^2 + penalty |x|_1.

    Notes
    -----
    The threshold is theta <- penalty + theta (n/m) mean(soft'), so that penalty = theta (1 - active share / delta) at rest
    (Donoho, Maleki & Montanari 2011; Bayati & Montanari 2012).

    Examples
    --------
    >>> import numpy as np
    >>> method = lasso_amp(np.eye(1), np.ones(1), np.zeros(1), penalty=0.25)
    >>> [next(method).tolist() for _ in range(2)]
    [[0.0], [0.75]]
    """
    m, n = A.shape
    z, theta = y - A @ x, penalty
    while True:
        yield x
        r = x + A.T @ z
        x = soft_threshold(r, theta)
        active = n / m * np.mean(np.where(np.abs(r) > theta, 1, 0))
        z = y - A @ x + active * z
        theta = penalty + active * theta


def gamp(A: Any, y: Any, x: Any, *, denoiser: Any, channel: Any, variance: Any) -> Iterator[Any]:
    """Generalised AMP for y ~ P(. | A x0), entries of A of variance 1/n.

    Parameters
    ----------
    denoiser : Denoiser
        Of r = x0 + N(0, sigma2).
    channel : Channel
        ``channel.output(y, omega, V)`` is (E[z | y] - omega) / V for z ~ N(omega, V), and `slope` its derivative in omega.
    variance : number
        V of the start: E (x - x0)**2 as the algorithm believes it.

    Notes
    -----
    A channel that is even in z (phase retrieval) has no slope at zero: start from `informed_start` or `spectral_start`.
    Rangan 2011 with scalar variances; Barbier et al. 2019 (1708.03395), Algorithm 1.

    Examples
    --------
    >>> import numpy as np, rmtp, scipy.stats
    >>> gauss = rmtp.amp.posterior_mean(scipy.stats.norm())
    >>> method = gamp(np.eye(1), np.ones(1), np.zeros(1), denoiser=gauss, channel=rmtp.amp.gaussian(1), variance=1.0)
    >>> [round(float(next(method)[0]), 12) for _ in range(2)]
    [0.0, 0.333333333333]
    """
    m, n = A.shape
    omega, V = A @ x, variance
    while True:
        yield x
        g = channel.output(y, omega, V)
        sigma2 = -1 / (m / n * np.mean(channel.slope(y, omega, V)))
        r = x + sigma2 * (A.T @ g)
        x = denoiser(r, sigma2)
        V = sigma2 * np.mean(denoiser.derivative(r, sigma2))
        omega = A @ x - V * g


def vamp(A: Any, y: Any, x: Any, probe: Any, *, denoiser: Any, noise: Any, precision: Any) -> Iterator[Any]:
    """Vector AMP: a linear estimate and the denoiser in turn, each made free of divergence.

    Parameters
    ----------
    probe : vector
        N(0, 1), independent of everything: ``mean(probe * M^{-1} probe)`` is the trace of the linear estimate (see `probed`).
    denoiser : Denoiser
    noise : number
        Variance of w, > 0.
    precision : number
        1 / E (x - x0)**2 of the start, as the algorithm believes it.

    Notes
    -----
    Rangan, Schniter & Fletcher 2019; Ma & Ping 2017. Two linear systems per step.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> gauss = rmtp.amp.posterior_mean([-1, 1])
    >>> method = vamp(np.eye(2), np.ones(2), np.zeros(2), np.ones(2), denoiser=gauss, noise=1.0, precision=1.0)
    >>> [next(method).round(4).tolist() for _ in range(2)]
    [[0.0, 0.0], [0.7616, 0.7616]]
    """
    symbolic = isinstance(A, Expression)
    eye, inverse = (matrix_eye(A.cols), solve) if symbolic else (np.eye(A.shape[1]), np.linalg.solve)
    r, estimate = x, x
    while True:
        yield estimate
        M = A.T @ A * (1 / noise) + precision * eye
        linear = inverse(M, (A.T @ y) * (1 / noise) + precision * r)
        share = precision * np.mean(probe * inverse(M, probe))
        back = precision * (1 - share) / share
        r = (linear - share * r) / (1 - share)
        estimate = denoiser(r, 1 / back)
        slope = np.mean(denoiser.derivative(r, 1 / back))
        precision = back * (1 - slope) / slope
        r = (estimate - slope * r) / (1 - slope)


def oamp(A: Any, y: Any, x: Any, *, denoiser: Any, noise: Any) -> Iterator[Any]:
    """Orthogonal AMP for a matrix with orthonormal rows, where the linear estimate is A.T itself.

    r = x + (n/m) A.T (y - A x) is x0 plus Gaussian noise; the denoiser loses its part along r before it is used again.

    Parameters
    ----------
    denoiser : Denoiser
    noise : number
        Variance of w.

    Notes
    -----
    Ma & Ping 2017 (1602.06509), section IV. Yields the denoiser's estimate.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> A = np.array([[1.0, 0.0]])
    >>> method = oamp(A, np.ones(1), np.zeros(2), denoiser=rmtp.amp.posterior_mean([-1, 1]), noise=0.5)
    >>> [next(method).round(4).tolist() for _ in range(2)]
    [[0.0, 0.0], [0.8701, 0.0]]
    """
    m, n = A.shape
    extrinsic, estimate = x, x
    while True:
        yield estimate
        z = y - A @ extrinsic
        error = np.mean(z**2) - noise  # of the estimate, since |A e|^2 / m = |e|^2 / n
        r = extrinsic + n / m * (A.T @ z)
        tau2 = (n / m - 1) * error + n / m * noise
        estimate = denoiser(r, tau2)
        slope = np.mean(denoiser.derivative(r, tau2))
        extrinsic = (estimate - slope * r) / (1 - slope)


def linearised_gamp(A: Any, y: Any, x: Any, *, weight: Callable[[Any], Any]) -> Iterator[Any]:
    """Generalised AMP linearised at zero: its rest is an eigenvector of A.T diag(T) A, entries of A of variance 1/n.

    With d = weight(y): g = d omega, s = A.T g - (m/n) mean(d) x, x = s / |s| and omega = A x - g / |s|, |s|**2 = mean(s**2), so
    that at rest T = d / (1 + d / |s|).

    Parameters
    ----------
    weight : callable
        Bounded. ``lambda y: channel.slope(y, 0 * y, V)`` is the choice that GAMP itself linearises to.

    Notes
    -----
    Maillard, Krzakala, Lu & Zdeborova 2022 (2012.04524); spectral methods: Lu & Li 2017, Mondelli & Montanari 2019.

    Examples
    --------
    >>> import numpy as np
    >>> method = linearised_gamp(np.eye(2), np.array([2.0, 0.5]), np.ones(2), weight=np.tanh)
    >>> [next(method).round(4).tolist() for _ in range(2)]
    [[1.0, 1.0], [1.0, -1.0]]
    """
    m, n = A.shape
    d = weight(y)
    omega = A @ x
    while True:
        yield x
        g = d * omega
        s = A.T @ g - m / n * np.mean(d) * x
        scale = np.sqrt(np.mean(s**2))
        x = s / scale
        omega = A @ x - g / scale


def spiked_amp(Y: Any, x: Any, *, denoiser: Any) -> Iterator[Any]:
    """AMP for a symmetric spiked matrix: x <- Y f(x) - mean(f'(x)) f_before(x_before).

    Parameters
    ----------
    denoiser : Denoiser
        ``f(x, tau2)`` with tau2 = mean(f_before**2), the variance of the noise in x (W has entries of variance 1/n).

    Notes
    -----
    Yields f(x), the estimate, and starts from it. Deshpande & Montanari 2014; Montanari & Venkataramanan 2021 (1711.01682).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> method = spiked_amp(np.zeros((1, 1)), np.ones(1), denoiser=rmtp.amp.linear())
    >>> [next(method).tolist() for _ in range(3)]
    [[1.0], [0.0], [-1.0]]
    """
    f, onsager = x, 0
    before = None
    while True:
        yield f
        r = Y @ f if before is None else Y @ f - onsager * before
        tau2 = np.mean(f**2)
        before = f
        f, onsager = denoiser(r, tau2), np.mean(denoiser.derivative(r, tau2))


def spiked_wishart_amp(Y: Any, x: Any, *, denoiser: Any, row_denoiser: Any) -> Iterator[Any]:
    """AMP for Y = snr u v.T / n + W: estimates of u and v in turn.

    Parameters
    ----------
    denoiser, row_denoiser : Denoiser
        Of v from ``Y.T f`` and of u from ``Y g``, their arguments the observation and the variance of its noise.

    Notes
    -----
    Montanari & Venkataramanan 2021 (1711.01682), section 3.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> method = spiked_wishart_amp(np.eye(1), np.ones(1), denoiser=rmtp.amp.linear(), row_denoiser=rmtp.amp.linear())
    >>> [next(method).tolist() for _ in range(2)]
    [[1.0], [0.0]]
    """
    m, n = Y.shape
    g, f, onsager = x, None, 0
    while True:
        yield g
        a = Y @ g if f is None else Y @ g - onsager * f
        noise = np.mean(g**2)
        f, slope = row_denoiser(a, noise), np.mean(row_denoiser.derivative(a, noise))
        b = Y.T @ f - m / n * slope * g
        noise = m / n * np.mean(f**2)
        g, onsager = denoiser(b, noise), np.mean(denoiser.derivative(b, noise))


def invariant_amp(Y: Any, x: Any, *, denoiser: Any, cumulants: Callable[[int], Any]) -> Iterator[Any]:
    """AMP for a spike in rotationally invariant symmetric noise: every earlier estimate is subtracted.

    x_{t+1} = f(r_t), r_t = Y x_t - sum_s b_ts x_s with b_ts = kappa_{t-s+1} prod_{s < i <= t} mean(f_i').

    Parameters
    ----------
    denoiser : Denoiser
        ``f(r, tau2)`` with tau2 = mean(x_t**2).
    cumulants : callable
        ``cumulants(j)`` is the free cumulant kappa_j of the noise: `Ensemble.cumulant` of an `rmtp.Invariant` matrix.

    Notes
    -----
    Opper, Cakmak & Winther 2016; Fan 2022 (2008.11892), section 3.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> method = invariant_amp(np.zeros((1, 1)), np.ones(1), denoiser=rmtp.amp.linear(), cumulants=lambda j: int(j == 2))
    >>> [next(method).tolist() for _ in range(3)]
    [[1.0], [0.0], [-1.0]]
    """
    history, slopes = [x], [0]
    while True:
        yield history[-1]
        r, chain = Y @ history[-1], 1
        for back, (earlier, slope) in enumerate(zip(reversed(history), reversed(slopes), strict=True)):
            kappa = cumulants(back + 1)
            if not (isinstance(kappa, int) and kappa == 0):
                r = r - kappa * chain * earlier
            if isinstance(slope, int) and slope == 0:  # the start depends on no product
                break
            chain = chain * slope
        tau2 = np.mean(history[-1] ** 2)
        history.append(denoiser(r, tau2))
        slopes.append(np.mean(denoiser.derivative(r, tau2)))


def power_iteration(Y: Any, x: Any) -> Iterator[Any]:
    """x <- Y x, without an Onsager term and without normalisation.

    Examples
    --------
    >>> import numpy as np
    >>> method = power_iteration(2 * np.eye(1), np.ones(1))
    >>> [next(method).tolist() for _ in range(3)]
    [[1.0], [2.0], [4.0]]
    """
    while True:
        yield x
        x = Y @ x
