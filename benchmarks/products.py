"""Chains of matrices: Fuss-Catalan 3, what depth costs, and Jacobians of depth 32."""

from __future__ import annotations

import numpy as np
from common import rival, script, seconds, table

import rmtp

POINTS = 1000
DEPTH = 32


# ---------------------------------------------------------------------------------------------
# programs


def linear(layers: int) -> rmtp.Law:
    """J J.T for a product of square Gaussian matrices."""
    n = rmtp.Dim("n")
    J = rmtp.Gaussian(n, n)
    for _ in range(layers - 1):
        J = rmtp.Gaussian(n, n) @ J
    return rmtp.spectrum(J @ J.T)


def relu(layers: int) -> rmtp.Law:
    """J J.T for the input-output Jacobian of a ReLU network, written as the network is."""
    n = rmtp.Dim("n")
    h, J = rmtp.Normal(n), None
    for _ in range(layers):
        W = rmtp.Gaussian(n, n, variance=2)
        pre = W @ h
        h, layer = rmtp.relu(pre), rmtp.diag(np.heaviside(pre, 0)) @ W
        J = layer if J is None else layer @ J
    return rmtp.spectrum(J @ J.T)


# ---------------------------------------------------------------------------------------------
# what paper says


def fuss_catalan(layers: int, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, density) by the parameter phi of 0..pi/(layers + 1)."""
    p = layers
    log = (p + 1) * np.log(np.sin((p + 1) * phi)) - np.log(np.sin(phi)) - p * np.log(np.sin(p * phi))
    x = np.exp(log)
    return x, np.sin((p + 1) * phi) * np.sin(phi) / np.sin(p * phi) / np.pi / x


def relu_by_hand(layers: int, x: np.ndarray) -> np.ndarray:
    """Newton's method down from large |z| on z = (1 + y)(1 + 2y)^L / y, the S-transform worked out on paper."""
    height = 1e3 * (1 + x.max())
    z = x + 1j * height
    y = 1 / z

    def newton(y: np.ndarray, z: np.ndarray) -> np.ndarray:
        for _ in range(6):
            value = np.log1p(y) + layers * np.log1p(2 * y) - np.log(y * z)
            value = value.real + 1j * (np.remainder(value.imag + np.pi, 2 * np.pi) - np.pi)
            y = y - value / (1 / (1 + y) + 2 * layers / (1 + 2 * y) - 1 / y)
        return y

    for h in height * np.logspace(0, -14, 60 * layers):
        y = newton(y, x + 1j * h)
    y = newton(y, x + 0j)
    return -((1 + y) / x).imag / np.pi


def relative(density: object, exact: np.ndarray) -> str:
    """Largest relative error, and the share of points that are off by more than one per cent."""
    off = np.abs(np.asarray(density, dtype=float) / exact - 1)
    wrong = np.mean(~(off < 0.01))
    return f"largest relative error {np.nanmax(off):.1g}" + (
        f", {wrong:.0%} of the points off by over 1%" if wrong else ""
    )


# ---------------------------------------------------------------------------------------------
# tables


def three(quick: bool) -> str:
    phi = np.linspace(0, np.pi / 4, POINTS + 2)[1:-1]
    x, exact = fuss_catalan(3, phi)
    law = linear(3)
    first, density = seconds(lambda: law.pdf(x))
    again, _ = seconds(lambda: law.pdf(x * (1 - 1e-9)), 3)
    rows = [
        (f"`law.pdf`, {POINTS} points of a new law", first, relative(density, exact)),
        (f"`law.pdf`, {POINTS} further points", again, f"x from {x.min():.0e} to {x.max():.3g}"),
    ]
    notes = []
    for what, task in (
        ("rmtool 1.0.0, largest root", "rmtool_fuss_catalan"),
        ("freealg 0.12.2, its Fuss-Catalan law", "freealg_fuss_catalan"),
    ):
        made = rival(task, {"x": list(x), "layers": 3})
        if made.missing:
            notes.append(made.missing)
        else:
            rows.append((what, made.seconds, relative(made.value, exact)))
            if task.startswith("freealg"):
                far = x > 0.1
                notes.append(
                    f"freealg takes the density at x + 2e-4i; for x > 0.1: {relative(np.array(made.value)[far], exact[far])}."
                )
    n = 500 if quick else 2000
    rng = np.random.default_rng(0)

    def diagonalised() -> np.ndarray:
        J = np.eye(n)
        for _ in range(3):
            J = rng.standard_normal((n, n)) @ J / np.sqrt(n)
        return np.linalg.eigvalsh(J @ J.T)

    took, _ = seconds(diagonalised)
    rows.append((f"one sample of n = {n}, diagonalised", took, ""))
    took, _ = seconds(lambda: fuss_catalan(3, phi), 20)
    rows.append(("parametric formula in NumPy", took, "at its own points; needs the derivation"))
    return table(f"{POINTS} density points of Fuss–Catalan 3", rows, notes)


def depth(quick: bool) -> str:
    layers = (4, 8, 16) if quick else (4, 8, 16, 32)
    z = np.linspace(0.1, 3, 100) + 0.5j
    rows, times = [], []
    for count in layers:
        law = linear(count)
        took, g = seconds(lambda law=law: law.stieltjes(z))
        w = z * g  # = 1 + y
        residual = np.max(np.abs((w - 1) * z / w ** (count + 1) - 1))
        times.append(took)
        rows.append((f"L = {count}: g at 100 complex points", took, f"residual of its polynomial {residual:.0e}"))
    slope = np.polyfit(np.log(layers), np.log(times), 1)[0]
    return table(
        "What depth costs: products of L Gaussian matrices",
        rows,
        [f"Slope in log-log: {slope:.2f} (1 is linear in depth)."],
    )


def jacobians(quick: bool) -> str:
    count, points = (8, 50) if quick else (DEPTH, 200)
    rows, notes = [], []
    phi = np.linspace(0, np.pi / (count + 1), points + 2)[1:-1]
    phi = phi[: np.argmin(np.abs(fuss_catalan(count, phi)[0] - 1e-9)) + 1]
    x, exact = fuss_catalan(count, phi)
    x_relu = relu_edge(count) * np.logspace(-4, -0.001, points)
    exact_relu = relu_by_hand(count, x_relu)
    cases = (
        (f"linear, depth {count}", linear, x, exact, ("rmtool_fuss_catalan", "freealg_fuss_catalan")),
        (f"ReLU, depth {count}", relu, x_relu, exact_relu, ("rmtool_relu",)),
    )
    for name, build, at, truth, others in cases:
        law = build(count)
        took, _ = seconds(lambda law=law, at=at: law.stieltjes(at + 0.5j))
        rows.append((f"{name}: g at {len(at)} complex points", took, "includes writing the program's equations"))
        took, density = seconds(lambda law=law, at=at: law.pdf(at))
        rows.append((f"{name}: `law.pdf` at {len(at)} points", took, relative(density, truth)))
        took, _ = seconds(lambda law=law, at=at: law.pdf(at * (1 - 1e-9)))
        rows.append((f"{name}: `law.pdf` at {len(at)} further points", took, ""))
        for task in others:
            made = rival(task, {"x": list(at), "layers": count})
            if made.missing:
                notes.append(f"{name}: {made.missing}")
            else:
                package = task.partition("_")[0]
                rows.append((f"{name}: {package}", made.seconds, relative(made.value, truth)))
    took, _ = seconds(lambda: relu_by_hand(count, x_relu))
    rows.append((f"ReLU, depth {count}: Newton on the S-transform worked out on paper", took, "needs the derivation"))
    made = rival("rmtool_relu", {"x": list(np.linspace(0.05, 0.95, 19) * relu_edge(3)), "layers": 3})
    if not made.missing:
        truth = relu_by_hand(3, np.linspace(0.05, 0.95, 19) * relu_edge(3))
        notes.append(f"rmtool on a ReLU Jacobian of depth 3: {relative(made.value, truth)}.")
    return table(f"Squared singular values of Jacobians of depth {count}", rows, notes)


def relu_edge(layers: int) -> float:
    """The right end of the support: the least value of z(y) = (1 + y)(1 + 2y)^L / y on y > 0."""
    low, high = 1e-9, 10.0
    for _ in range(200):
        y = (low + high) / 2
        slope = 1 / (1 + y) + 2 * layers / (1 + 2 * y) - 1 / y
        low, high = (y, high) if slope < 0 else (low, y)
    return (1 + low) * (1 + 2 * low) ** layers / low


def main(quick: bool = False) -> str:
    return "\n\n".join((three(quick), depth(quick), jacobians(quick)))


if __name__ == "__main__":
    script(main, __doc__)
