"""What regression with a kernel returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import BadParameter
from .plotbands import plot_band
from .sample import generator, positive


@dataclass(frozen=True, eq=False)
class Prediction:
    """Outputs at test points: mean and covariance, and what was assumed.

    Attributes
    ----------
    mean : ndarray (M,) or (M, C)
    covariance : ndarray (M, M) or None
        Of the function, without observation noise; the same for each of the C outputs.
    variance : ndarray (M,) or None
        Its diagonal, with what is negative by rounding set to 0.
    log_marginal_likelihood : float or None
        Natural logarithm, summed over outputs; None for trained ensembles, whose law is no posterior.
    noise : float or ndarray (N,)
    jitter : float
        What was added to the diagonal because the factorisation failed without it; 0 unless it was allowed.
    inputs, train : arrays
        Test inputs, and training inputs with targets, where `predict` knew them.

    Examples
    --------
    >>> import rmtp
    >>> p = rmtp.regression.posterior([[1.0]], [[0.5]], [[1.0]], [2.0])
    >>> p.mean, p.variance, p.jitter
    (array([1.]), array([0.75]), 0.0)
    """

    mean: np.ndarray
    covariance: np.ndarray | None
    variance: np.ndarray | None
    log_marginal_likelihood: float | None
    noise: Any
    jitter: float
    inputs: np.ndarray | None = None
    train: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def std(self) -> np.ndarray:
        """Standard deviations (M,).

        Raises
        ------
        BadParameter
            If no kernel of the test points was given.
        """
        if self.variance is None:
            raise BadParameter("a prediction without variances", remedy="give the kernel of the test points too")
        return np.asarray(np.sqrt(self.variance))

    def sample(self, size: int = 1, rng: Any = None) -> np.ndarray:
        """Functions drawn at the test points, of shape (size, M) or (size, M, C).

        Examples
        --------
        >>> import rmtp
        >>> rmtp.regression.posterior([[1.0]], [[0.5]], [[1.0]], [2.0]).sample(3, rng=0).shape
        (3, 1)
        """
        if self.covariance is None:
            raise BadParameter(
                "samples of a prediction without covariances", remedy="give the kernel of all pairs of test points"
            )
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        shape = (positive(size, "size"), *self.mean.shape)
        return np.asarray(self.mean + np.einsum("ij,sj...->si...", root, generator(rng).standard_normal(shape)))

    def plot(
        self, x: Any = None, ax: Any = None, *, samples: int = 0, rng: Any = 0, output: int = 0, label: str = ""
    ) -> Any:
        """Mean and a band of two standard deviations over inputs on a line.

        Parameters
        ----------
        x : array (M,) or (M, 1), optional
            Where the test points lie; by default the inputs that `predict` was given.
        ax : Axes, optional
        samples : int
            How many functions to draw into the band.
        rng : Generator or int, optional
        output : int
            Which column of an (M, C) mean.
        label : str, optional

        Returns
        -------
        Axes

        Examples
        --------
        >>> from rmtp import plots, regression
        >>> p = regression.posterior([[1.0]], [[0.5], [0.2]], [1.0, 1.0], [2.0])
        >>> p.plot([0.0, 1.0], plots.figure()[1]).get_xlabel()
        'input x'
        """
        return plot_band(self, x, ax, samples=samples, rng=rng, output=output, label=label)
