"""Density of laws with continuous coefficients: fixed-point iteration needs a distance from the axis, samples need sizes.

One law is a sample covariance with a uniform population on [0, 1] at ratio 1/2, whose equation of Silverstein has a closed
integral; the other the Jacobian of one layer with tanh, whose integral is a sum over Gauss nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from common import script, seconds, table

import rmtp

POINTS = 1000
TOLERANCE = 1e-10
MOST = 50_000
SIZE = 2000
GAIN = 1.5  # variance of the weights


def population() -> rmtp.Law:
    """W D W.T, half as many rows as columns, entries of D uniform."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 0.5)
    W = rmtp.Gaussian(m, n)
    return rmtp.spectrum(W @ rmtp.diag(rmtp.IID(n, scipy.stats.uniform(0, 1))) @ W.T)


def jacobian() -> rmtp.Law:
    """J J.T of J = diag(phi'(W x)) W, phi = tanh."""
    n = rmtp.Dim("n")
    W = rmtp.Gaussian(n, n, variance=GAIN)
    J = rmtp.diag(1 - np.tanh(W @ rmtp.Normal(n)) ** 2) @ W
    return rmtp.spectrum(J @ J.T)


def uniform_response(g: np.ndarray) -> np.ndarray:
    """E[d / (1 - c d g)] of the uniform law, c = 1/2."""
    a = 0.5 * g
    return -1 / a - np.log(1 - a) / a**2


def gate_response(g: np.ndarray) -> np.ndarray:
    """E[d / (1 - d g)] of d = v phi'(h)**2, h ~ N(0, v): the eigenvalues are those of W.T diag(phi'**2) W."""
    t, w = np.polynomial.hermite_e.hermegauss(200)
    d = GAIN * (1 - np.tanh(np.sqrt(GAIN) * t) ** 2) ** 2
    return (w / w.sum() * d / (1 - d * g[:, None])).sum(axis=1)


def iterated(response: Callable[[np.ndarray], np.ndarray], z: np.ndarray) -> tuple[np.ndarray, int]:
    """g = 1 / (z - response(g)), averaged with the last iterate, until all points stand still."""
    g = 1 / z
    steps = 0
    for steps in range(1, MOST + 1):  # noqa: B007
        new = 0.5 * g + 0.5 / (z - response(g))
        moved = np.abs(new - g).max()
        g = new
        if moved <= TOLERANCE:
            break
    return g, steps


def drawn(law: rmtp.Law, x: np.ndarray) -> np.ndarray:
    """A histogram of one draw, read at x."""
    values = law.sample(SIZE, rng=0)
    height, ends = np.histogram(values, bins=60, range=(0, float(x.max()) * 1.02), density=True)
    return height[np.clip(np.searchsorted(ends, x) - 1, 0, len(height) - 1)]


def rows_of(
    name: str, law: rmtp.Law, response: Callable[[np.ndarray], np.ndarray], x: np.ndarray, heights: Sequence[float]
) -> list[tuple[str, float, str]]:
    """One law, by its density, by iteration above the axis, and by one draw."""
    first, density = seconds(lambda: law.pdf(x))
    again, _ = seconds(lambda: law.pdf(x))
    rows = [
        (f"{name}: `law.pdf`, {POINTS} points of a new law", first, ""),
        (f"{name}: {POINTS} further points", again, ""),
    ]

    def worst(seen: np.ndarray) -> str:
        return f"{np.max(np.abs(seen - density)):.1g} from it"

    for height in heights:
        took, (g, steps) = seconds(lambda h=height: iterated(response, x + 1j * h))
        remark = f"{worst(-g.imag / np.pi)}; {steps} steps" + ("" if steps < MOST else ", not converged")
        rows.append((f"{name}: averaged fixed-point iteration in NumPy, Im z = {height:g}", took, remark))
    took, seen = seconds(lambda: drawn(law, x))
    rows.append((f"{name}: one draw at n = {SIZE}, 60 bins", took, worst(seen)))
    return rows


def main(quick: bool = False) -> str:
    x, heights = np.linspace(0.06, 1.4, POINTS), (1e-3, 1e-6)
    rows = rows_of("uniform population", population(), uniform_response, x, heights)
    heights = (1e-2,) if quick else (1e-2, 1e-3)  # over the axis
    rows += rows_of("tanh Jacobian", jacobian(), gate_response, np.linspace(0.01, 3.5, POINTS), heights)
    again = next(t for what, t, _ in rows if what.startswith("tanh") and "further" in what)
    notes = [
        "The iteration is that of an equation worked out on paper, its integral closed for the uniform population and 200 "
        "Gauss nodes for the gates; it stays off the axis, and is off by about the square root of Im z next to an edge.",
        f"With the closed integral it is {rows[1][1] / rows[2][1]:.0f} times faster than `law.pdf`; with nodes it takes "
        f"{rows[-2][1] / again:.1f} times as long at Im z = {heights[-1]:g}.",
    ]
    return table(f"{POINTS} density points of laws with continuous coefficients", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
