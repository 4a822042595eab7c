"""Special functions of SciPy, imported on first use: that import takes longer than the rest of rmtp together."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def deferred(name: str) -> Callable[..., Any]:
    """The function of this name in scipy.special."""

    def function(*args: Any) -> Any:
        return getattr(import_module("scipy.special"), name)(*args)

    function.__name__ = name
    return function


digamma, polygamma, stdtr = deferred("digamma"), deferred("polygamma"), deferred("stdtr")
erf, erfc, expit, ndtr, ndtri = (deferred(name) for name in ("erf", "erfc", "expit", "ndtr", "ndtri"))
erfcx, owens_t = deferred("erfcx"), deferred("owens_t")
gammaln, log_ndtr = deferred("gammaln"), deferred("log_ndtr")
