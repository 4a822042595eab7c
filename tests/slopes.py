"""Powers of the width from samples: a slope with its standard error, corrections fitted and not tolerated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def power(widths: Sequence[float], values: Sequence[np.ndarray], correction: float | None = 1.0) -> tuple[float, float]:
    """s of ``E value = C n^s (1 + B n^-correction)``, and its standard error; values are independent within a width.

    Weighted least squares of log means on 1, log n and n^-correction (not on the last for None). The standard errors are those
    of the means, by the delta method; the next term of the expansion is left out.
    """
    n = np.asarray(widths, dtype=float)
    means = np.array([np.mean(v) for v in values])
    errors = np.array([np.std(v, ddof=1) / len(v) ** 0.5 for v in values]) / means
    columns = [np.ones_like(n), np.log(n)] + ([] if correction is None else [n**-correction])
    design = np.stack(columns, axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    fit = covariance @ design.T @ (np.log(means) / errors)
    return float(fit[1]), float(covariance[1, 1] ** 0.5)
