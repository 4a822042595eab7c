"""Spectral starts: the leading eigenvector as the rest of a linear algorithm."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..ensembles import Number
from ..errors import BadParameter, UnsupportedOperation
from .algorithms import linearised_gamp, spiked_amp, spiked_wishart_amp
from .denoisers import normalised
from .problems import Problem, informed_start


def spectral_start(
    problem: Problem,
    iterations: int = 30,
    correlation: Number = 0.3,
    *,
    weight: Callable[[Any], Any] | None = None,
) -> Problem:
    """The same problem from the leading eigenvector of Y (of a rectangular Y: the right singular vector), of power 1.

    Law: linear AMP ``x <- (Y x) / |Y x| - Onsager`` comes to rest at the eigenvector of the spike, at the rate
    1/snr**2 (1/(snr**4 delta) for rectangular Y); with a spike inside the bulk it forgets the start. The sign is that of the
    start.

    Parameters
    ----------
    problem : Problem
        From `spiked_wigner` or `spiked_wishart`, one spike; or from `generalised_linear_model`, with a `weight`.
    iterations : int
        What is left of the start after k iterations is about rate**k.
    correlation : number
        Of the start of these iterations with the signal; it breaks the symmetry and is forgotten.

    weight : callable, optional
        Of the observations y: then the eigenvector is that of A.T diag(T(y)) A; see `linearised_gamp`.

    Returns
    -------
    Problem

    Raises
    ------
    UnsupportedOperation
        For several spikes, or a problem with observations and no weight.

    Notes
    -----
    Montanari & Venkataramanan 2021 (1711.01682), whose proof replaces the eigenvector by such iterations.

    Examples
    --------
    >>> import rmtp
    >>> start = rmtp.amp.spectral_start(rmtp.amp.spiked_wigner(2, [-1, 1]))
    >>> found = rmtp.state_evolution(rmtp.amp.power_iteration, start, 0)
    >>> round(float(found.overlap.value[0]) ** 2, 10)      # 1 - 1 / snr**2
    0.75
    """
    if problem.signal.axes or (problem.observed is None) != (weight is None):
        raise UnsupportedOperation(
            "a spectral start of this problem",
            remedy="one spike: spiked_wigner(snr, prior), or observations and a bounded weight=np.tanh of them",
        )
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise BadParameter(f"iterations={iterations!r}", remedy="an int >= 1")
    first = informed_start(problem, correlation).start
    scaled = normalised()
    rectangular = problem.matrix.rows != problem.matrix.cols
    if weight is not None:
        eigenvector = linearised_gamp(problem.matrix, problem.observed, first, weight=weight)
        return replace(problem, start=next(itertools.islice(eigenvector, iterations, None)))
    method: Any = (
        spiked_wishart_amp(problem.matrix, first, denoiser=scaled, row_denoiser=scaled)
        if rectangular
        else spiked_amp(problem.matrix, first, denoiser=scaled)
    )
    return replace(problem, start=next(itertools.islice(method, iterations, None)))
