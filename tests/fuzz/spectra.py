"""Random self-adjoint expressions: exact moments, density, high precision, the explicit program, and eigenvalues."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

import rmtp
from rmtp.verify import Verification

from .cases import Case, Comparison, Line, estimate, off, pick

FIXED = (
    'n, m = rmtp.Dim("n"), rmtp.Dim("m", {ratio})',
    "X, Y = rmtp.GOE(n), rmtp.GOE(n, variance=F(1, 2))",
    "W = rmtp.Gaussian(m, n)",
    "H = rmtp.Haar(n, n)",
    "D = rmtp.diag(rmtp.IID(n, rmtp.Discrete({values})))",
    "E = rmtp.diag(rmtp.IID(m, rmtp.Discrete([1, 3])))",
    "I = rmtp.eye(n)",
)
ATOMS = ("X", "Y", "W.T @ W", "X @ D @ X", "W.T @ E @ W", "X @ Y + Y @ X", "D", "H @ D @ H.T", "H + H.T", "X @ X")
ORDERS = range(1, 5)
POINTS = (0.3 + 0.7j, -1.5 + 0.4j, 4.0 + 1.0j)


def case(seed: int) -> Case:
    """One to three steps from one or two atoms."""
    rng = np.random.default_rng([seed, 2])
    lines, names = [], []
    for k in range(int(rng.integers(1, 3))):
        lines.append(Line(f"S{k} = {pick(rng, ATOMS)}", ("S0 = X",) if k == 0 else (f"S{k} = D", f"S{k} = X")))
        names.append(f"S{k}")
    for k in range(len(names), len(names) + int(rng.integers(0, 3))):
        a, b = names[-1], pick(rng, names)
        forms = (
            f"{a} + {b}",
            f"{a} - F(1, 2) * ({pick(rng, ATOMS)})",
            f"{a} + {pick(rng, ATOMS)}",
            f"{a} - I / 2",
            f"D @ {a} @ D",
        )
        lines.append(Line(f"S{k} = {pick(rng, forms)}", (f"S{k} = {a}",)))
        names.append(f"S{k}")
    fixed = tuple(
        f.format(ratio=pick(rng, ("1", "2", "F(1, 2)")), values=pick(rng, ("[1, 2]", "[-1, 1]", "[0, 1, 3]")))
        for f in FIXED
    )
    lines.append(Line(f"M = {names[-1]}", tuple(f"M = {name}" for name in names[:-1])))
    return Case("spectra", fixed, tuple(lines), ("law = rmtp.spectrum(M)",), "", seed)


def _by_program(names: dict[str, Any], attempt: int) -> str | None:
    v = rmtp.Normal(names["n"])
    u, asked = v, []
    for _ in ORDERS:
        u = names["M"] @ u
        asked.append(np.mean(v * u))
    program = rmtp.limit(asked, exact=True)
    law = [estimate(names["law"].moment(k)) for k in ORDERS]
    wrong = [k for k, (a, b) in enumerate(zip(program, law, strict=True)) if a.value != b.value]
    return f"moment {wrong[0] + 1}: {program[wrong[0]]} against {law[wrong[0]]}" if wrong else None


def _by_density(names: dict[str, Any], attempt: int) -> str | None:
    law = names["law"]
    size = max(abs(float(law.moment(2))) ** 0.5, 1e-3)
    for k in range(5):
        found, known = law.expect(lambda x, k=k: (x / size) ** k), float(law.moment(k)) / size**k
        if not abs(found - known) < 1e-8 * max(1.0, abs(known)):
            return f"int x^{k} of the density, over {size}^{k}: {found!r}; moment: {known!r}"
    return None


def _by_digits(names: dict[str, Any], attempt: int) -> str | None:
    for z in POINTS:
        low, high = complex(names["law"].stieltjes(z)), complex(names["law"].stieltjes(mpmath.mpc(z), dps=22))
        if not abs(low - high) < 1e-9:
            return f"g({z}) = {low} against {high}"
    return None


def _samples(names: dict[str, Any], attempt: int) -> str | None:
    widths, trials = ((60, 120), 32) if not attempt else ((150, 300), 64)
    law, rng = names["law"], np.random.default_rng([attempt, 7])
    drawn = [[law.sample(n, child) for child in rng.spawn(trials)] for n in widths]
    checks = [
        Verification(estimate(law.moment(k)), widths, tuple(np.array([np.mean(e**k) for e in d]) for d in drawn))
        for k in ORDERS
    ]
    return off(checks)


ORDERS_CODE = "for k in range(5):\n    print(k, law.moment(k), {})"
COMPARISONS = [
    Comparison("law / program, exact", _by_program, "print([law.moment(k) for k in range(1, 5)])"),
    Comparison("density / moments", _by_density, ORDERS_CODE.format("law.expect(lambda x: x**k)")),
    Comparison("float / digits", _by_digits, "z = 0.3 + 0.7j\nprint(law.stieltjes(z), law.stieltjes(z, dps=22))"),
    Comparison("law / eigenvalues", _samples, ORDERS_CODE.format("np.mean(law.sample(1500, 0) ** k)")),
]
