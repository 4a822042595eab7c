"""What other packages do of the same work; run by `common.rival` in whatever interpreter has them.

    python rivals.py TASK < numbers.json

Prints one JSON object: seconds, and what came out. `numbers.json` holds the points (and, where a package works from a sample,
eigenvalues). Import times are not counted.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

# ---------------------------------------------------------------------------------------------
# rmtool 1.0.0: polynomials in (m, z), which the user puts together


def rmtool_anticommutator(given: dict[str, Any]) -> list[float]:
    """As the free difference of two squared semicirculars, which the user has to know."""
    import rmtool

    square = rmtool.squareA(rmtool.wignerpol())
    polynomial = rmtool.AplusB(square, rmtool.scaleA(square, -1))
    return list(rmtool.Lmz2pdf(polynomial, given["x"]).best_density())


def rmtool_fuss_catalan(given: dict[str, Any]) -> list[float]:
    import rmtool

    polynomial = rmtool.wishartpol(1)
    for _ in range(given["layers"] - 1):
        polynomial = rmtool.AtimesWish(polynomial, 1)
    return list(rmtool.Lmz2pdf(polynomial, given["x"]).best_density())


def rmtool_relu(given: dict[str, Any]) -> list[float]:
    """D W ... D W with D a projection of rank n/2 taken to be free, which the user has to know."""
    import rmtool
    import sympy

    half = sympy.Rational(1, 2)
    layer = rmtool.scaleA(rmtool.wishartpol(1), 2)
    mask = rmtool.atomLmz([0, 1], [half, half])
    polynomial = rmtool.AtimesB(layer, mask)
    for _ in range(given["layers"] - 1):
        polynomial = rmtool.AtimesB(rmtool.AtimesB(polynomial, layer), mask)
    return list(rmtool.Lmz2pdf(polynomial, given["x"]).best_density())


def rmtool_free_sum(given: dict[str, Any]) -> int:
    """The degree in m of the polynomial of the sum."""
    import rmtool
    import sympy

    total = None
    for (a, b), p in given["laws"]:
        share = sympy.nsimplify(p, rational=True)
        law = rmtool.atomLmz([a, b], [share, 1 - share])
        total = law if total is None else rmtool.AplusB(total, law)
    return int(sympy.degree(total, rmtool.m))


def rmtool_moments_mp(given: dict[str, Any]) -> list[str]:
    import rmtool
    import sympy

    return [str(k) for k in rmtool.Lmz2MomS(rmtool.wishartpol(sympy.Rational(1, 2)), given["order"])]


# ---------------------------------------------------------------------------------------------
# freealg 0.12.2: named laws, and curves fitted to eigenvalues


def freealg_fuss_catalan(given: dict[str, Any]) -> list[float]:
    from freealg.distributions import FussCatalan

    return list(FussCatalan(given["layers"]).density(np.array(given["x"])))


def freealg_fit(given: dict[str, Any]) -> list[float]:
    """The spectral curve of degree (3, 1) in (m, z) fitted to the eigenvalues of a sample."""
    import freealg

    form = freealg.AlgebraicForm(np.array(given["eigenvalues"]))
    form.fit(deg_m=3, deg_z=1)
    return list(np.asarray(form.density(np.array(given["x"]))))


# ---------------------------------------------------------------------------------------------
# scikit-rmt 2.1.1: closed forms of three laws


def skrmt_marchenko_pastur(given: dict[str, Any]) -> list[float]:
    from skrmt.ensemble.spectral_law import MarchenkoPasturDistribution

    return list(MarchenkoPasturDistribution(ratio=given["ratio"]).pdf(np.array(given["x"])))


TASKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    work.__name__: work
    for work in (
        rmtool_anticommutator,
        rmtool_fuss_catalan,
        rmtool_relu,
        rmtool_free_sum,
        rmtool_moments_mp,
        freealg_fuss_catalan,
        freealg_fit,
        skrmt_marchenko_pastur,
    )
}


def main() -> None:
    warnings.simplefilter("ignore")
    given = json.load(sys.stdin)
    task = sys.argv[1]
    package = task.split("_")[0]
    try:
        __import__({"skrmt": "skrmt.ensemble.spectral_law"}.get(package, package))
    except ImportError:
        print(json.dumps({"missing": package}))
        return
    start = time.perf_counter()
    value = TASKS[task](given)
    print(json.dumps({"seconds": time.perf_counter() - start, "value": value}))


if __name__ == "__main__":
    main()
