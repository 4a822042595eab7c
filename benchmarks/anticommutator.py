"""1000 density points of XY + YX for two GOE matrices, against an averaged fixed-point iteration, samples and other packages.

The law is algebraic of degree three, z g^3 + g^2 - z g + 1 = 0, so that a formula exists; the comparison shows what not knowing
it costs.
"""

from __future__ import annotations

import numpy as np
from common import Rival, duration, rival, script, seconds, table

import rmtp

POINTS = 1000
EDGE = np.sqrt((11 + 5 * np.sqrt(5)) / 2)  # of the cubic's discriminant
OFFSET = 1e-6
TOLERANCE = 1e-10


def grid(points: int = POINTS) -> np.ndarray:
    """Points between the edges; the outermost are 0.003 from them."""
    return np.linspace(-EDGE, EDGE, points + 2)[1:-1]


def law() -> rmtp.Law:
    n = rmtp.Dim("n")
    X, Y = rmtp.GOE(n), rmtp.GOE(n)
    return rmtp.spectrum(X @ Y + Y @ X)


def formula(x: np.ndarray) -> np.ndarray:
    """The density by Cardano's formula, the equation of g worked out on paper."""
    a, b, c = 1 / x, -np.ones_like(x), 1 / x
    p, q = b - a * a / 3, 2 * a**3 / 27 - a * b / 3 + c
    root = np.sqrt(np.maximum(q * q / 4 + p**3 / 27, 0))
    u, v = np.cbrt(-q / 2 + root), np.cbrt(-q / 2 - root)
    return np.sqrt(3) / 2 * np.abs(u - v) / np.pi


def averaged(x: np.ndarray) -> tuple[np.ndarray, int, float]:
    """G <- (G + (z - L0 - eta(G))^-1) / 2 on the linearisation of size three: density, most steps and mean steps of a point."""
    mix = np.array(
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=complex
    )  # where X stands; Y stands in the other two corners
    other = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=complex)
    constant = np.array([[0, 0, 0], [0, 0, -1], [0, -1, 0]], dtype=complex)
    base = np.zeros((len(x), 3, 3), dtype=complex) - constant + 1j * OFFSET * np.eye(3)
    base[:, 0, 0] += x
    G = np.tile(-1j * np.eye(3), (len(x), 1, 1))
    steps = np.zeros(len(x), dtype=int)
    open_ = np.arange(len(x))
    for _ in range(200_000):
        g = G[open_]
        new = (g + np.linalg.inv(base[open_] - mix @ g @ mix - other @ g @ other)) / 2
        G[open_] = new
        steps[open_] += 1
        open_ = open_[np.abs(new - g).max(axis=(1, 2)) > TOLERANCE]
        if not len(open_):
            break
    return -G[:, 0, 0].imag / np.pi, int(steps.max()), float(steps.mean())


def eigenvalues(n: int, rng: np.random.Generator) -> np.ndarray:
    X, Y = (rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(2))
    X, Y = (X + X.T) / np.sqrt(2), (Y + Y.T) / np.sqrt(2)
    XY = X @ Y
    return np.linalg.eigvalsh(XY + XY.T)


def histogram(values: np.ndarray) -> float:
    """The largest error of a histogram of 40 bins, a fair density from a sample."""
    heights, ends = np.histogram(values, bins=40, range=(-EDGE, EDGE), density=True)
    fine = np.linspace(-EDGE, EDGE, 40 * 50 + 1)
    exact = formula(np.where(fine == 0, 1e-9, fine)[1:-1])
    middle = np.clip(np.searchsorted(ends, fine[1:-1], side="right") - 1, 0, 39)
    mean = np.array([exact[middle == k].mean() for k in range(40)])
    return float(np.max(np.abs(heights - mean)))


def main(quick: bool = False) -> str:
    x = grid()
    exact = formula(x)

    def worst(density: np.ndarray) -> str:
        return f"largest error {np.max(np.abs(np.asarray(density) - exact)):.1g}"

    own = law()
    first, density = seconds(lambda: own.pdf(x))
    again, _ = seconds(lambda: own.pdf(x + 1e-9), 3)
    rows = [
        (
            f"`law.pdf`, {POINTS} points of a new law",
            first,
            worst(density),
        ),
        (f"`law.pdf`, {POINTS} further points", again, ""),
    ]
    points = x[:: 10 if quick else 1]
    took, (density, most, mean) = seconds(lambda: averaged(points))
    error = np.max(np.abs(density - formula(points)))
    rows.append(
        (
            f"averaged fixed-point iteration, {len(points)} points at once",
            took,
            f"largest error {error:.1g} (z = x + {OFFSET:g}i, until steps are below {TOLERANCE:g}); "
            f"{mean:.0f} steps per point, at most {most}",
        )
    )
    rng = np.random.default_rng(0)
    for n in (500, 1000) if quick else (2000, 4000):
        took, values = seconds(lambda n=n: eigenvalues(n, rng))
        rows.append((f"one sample of n = {n}, diagonalised", took, f"largest error of 40 bins {histogram(values):.1g}"))
    notes = []
    sample = list(eigenvalues(500 if quick else 1000, rng))
    others: list[tuple[str, Rival]] = [
        (
            "rmtool 1.0.0, from the free difference of two squares",
            rival("rmtool_anticommutator", {"x": list(x)}),
        ),
        (
            f"freealg 0.12.2, a curve of degree (3, 1) fitted to a sample of {len(sample)}",
            rival("freealg_fit", {"x": list(x), "eigenvalues": sample}, 300),
        ),
    ]
    for what, made in others:
        if made.missing:
            notes.append(made.missing)
        else:
            rows.append((what, made.seconds, worst(made.value)))
    took, density = seconds(lambda: formula(x), 50)
    rows.append(("Cardano's formula in NumPy", took, worst(density) + "; needs the derivation"))
    notes.append(
        "rmtool needs the user to see that the law is that of a difference; freealg needs a sample and the degrees of "
        "the curve. "
        f"The formula is {again / took:.0f} times faster than `law.pdf` on further points, {duration(took)} for all."
    )
    return table(f"{POINTS} density points of the anticommutator of two GOE matrices", rows, notes)


if __name__ == "__main__":
    script(main, __doc__)
