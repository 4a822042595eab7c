"""Laws of eigenvalues from matrix expressions, against published formulas and finite matrices.

Density, edges with their exponents, atoms, moments and g(z); what is an average over eigenvalues is sampled too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import plots
from ..ensembles import Dim
from ..language import GOE, IID, Gaussian, Normal, relu
from ..laws import Discrete
from ..limit import limit
from ..matrices import Expression, block, diag, eye, inv, outer
from ..matrixlaws import Haar, Invariant
from ..results import Estimate
from ..spectra.build import singular_values, spectrum
from ..spectra.law import Law
from ..verify import Verification
from . import oracles
from .table import Derivation, Row

HALF = Fraction(1, 2)
SOLVED, REAL = 1e-12, 2e-11  # stated errors: g(z) and moments in floating point; edges, densities and atoms
WIDTHS, TRIALS = (100, 200), 48


@dataclass(frozen=True)
class Fact:
    """One number of a law, what the literature says, and what it is for the eigenvalues of one matrix."""

    quantity: str
    value: Any
    error: float
    theory: Any
    statistic: Callable[[np.ndarray], float] | None = None


def moment(law: Law, k: int, theory: Any) -> Fact:
    """Exact where both sides are rational."""
    value = law.moment(k)
    return Fact(
        f"moment {k}", value, 0.0 if isinstance(value, Fraction) else SOLVED, theory, lambda x: float(np.mean(x**k))
    )


def stieltjes(law: Law, z: complex, theory: complex) -> list[Fact]:
    """Real and imaginary part of g(z)."""
    g, name = law.stieltjes(z), f"g({z.real:g} + {z.imag:g}i)"
    return [
        Fact(f"Re {name}", g.real, SOLVED, theory.real, lambda x: float(np.mean(1 / (z - x)).real)),
        Fact(f"Im {name}", g.imag, SOLVED, theory.imag, lambda x: float(np.mean(1 / (z - x)).imag)),
    ]


def edges(law: Law, theory: Sequence[float]) -> list[Fact]:
    """All ends of the support, in rising order."""
    found = [x for pair in law.support() for x in pair]
    return [Fact(f"edge {k}", x, REAL, t) for k, (x, t) in enumerate(zip(found, theory, strict=True), start=1)]


def exponent(law: Law, k: int, theory: float) -> Fact:
    """The power of the density at edge k, counted from 1."""
    return Fact(f"exponent at edge {k}", law.edges[k - 1].exponent, REAL, theory)


def density(law: Law, x: float, theory: float) -> Fact:
    """The density at a point."""
    return Fact(f"density at {x:.6g}", law.pdf(x), REAL, theory)


def atom(law: Law, at: float, theory: float) -> Fact:
    """The mass at a point."""
    mass = sum(a.mass for a in law.atoms if abs(a.x - at) < 1e-9)
    return Fact(f"mass at {at:.6g}", mass, REAL, theory)


def checked(
    name: str,
    law: Law,
    facts: Sequence[Fact],
    widths: tuple[int, int] = WIDTHS,
    sampler: Callable[[int, np.random.Generator], np.ndarray] | None = None,
) -> list[Row]:
    """The rows of one law; what is an average over eigenvalues is also sampled, all of it from the same matrices."""
    sampler = sampler or law.sample
    sampled = [f for f in facts if f.statistic is not None]
    draws: list[np.ndarray] = []
    for width in widths if sampled else ():
        rng = np.random.default_rng([*name.encode(), width])
        spectra = [sampler(width, rng) for _ in range(TRIALS)]
        draws.append(np.array([[f.statistic(x) for x in spectra] for f in sampled if f.statistic is not None]))
    rows = []
    for fact in facts:
        quantity = f"{name}: {fact.quantity}"
        engine = Estimate(fact.value, fact.error, "exact" if isinstance(fact.value, Fraction) else "fixed point")
        finite = None
        if fact.statistic is not None:
            k = sampled.index(fact)
            finite = Verification(engine, widths, tuple(d[k] for d in draws), quantity)
        rows.append(Row(quantity, engine, fact.theory, finite=finite))
    return rows


def drawn(make: Callable[[], Any], title: str, singular: bool = False) -> Callable[[Sequence[Row]], Any]:
    """The figure of one law: density over a histogram."""

    def draw(rows: Sequence[Row]) -> Any:
        with plots.style():
            fig, ax = plots.figure()
            law = singular_values(make()) if singular else spectrum(make())
            plots.spectral_law(law, ax).set_title(title)
        return fig

    return draw


# ---------------------------------------------------------------------------------------------
# the expressions


def wishart(ratio: Any) -> Expression:
    A = Gaussian(Dim("m", ratio), Dim("n"), name="A")
    return A @ A.T


def gaussian_product(depth: int) -> Expression:
    n = Dim("n")
    J: Expression = eye(n)
    for k in range(depth):
        J = Gaussian(n, n, name=f"W{k + 1}") @ J
    return J


def population(dim: Dim, values: Sequence[Any], weights: Sequence[Any]) -> Expression:
    return diag(IID(dim, Discrete(list(values), list(weights))))


def deformed(std: Any) -> Expression:
    n = Dim("n")
    return population(n, [-1, 1], [HALF, HALF]) + std * GOE(n)


def haar_sum(terms: int) -> Expression:
    n = Dim("n")
    us = [Haar(n, name=f"U{k + 1}") for k in range(terms)]
    total = us[0] + us[0].T
    for u in us[1:]:
        total = total + u + u.T
    return total


def corner(alpha: Any, beta: Any) -> Expression:
    """V.T P V, P a projection of rank alpha n and V an isometry onto beta n dimensions."""
    n, k = Dim("n"), Dim("k", beta)
    V = Haar(n, k, name="V")
    return V.T @ population(n, [0, 1], [1 - alpha, alpha]) @ V


def anticommutator() -> Expression:
    n = Dim("n")
    X, Y = GOE(n, name="X"), GOE(n, name="Y")
    return X @ Y + Y @ X


def relu_network(depth: int, orthogonal: bool) -> Expression:
    """D_L W_L .. D_1 W_1, the Jacobian of a critical ReLU network, with the D_l of its own forward pass."""
    n = Dim("n")
    x, J = Normal(n, name="x"), eye(n)
    for _ in range(depth):
        W = 2**0.5 * Haar(n) if orthogonal else Gaussian(n, n, variance=2)
        h = W @ x
        x, J = relu(h), diag(np.heaviside(h, 0)) @ W @ J
    return J


def gated(depth: int, share: Any) -> Expression:
    """D_L W_L .. D_1 W_1 with Haar matrices and gates that are open with probability `share`: hard tanh."""
    n = Dim("n")
    J: Expression = eye(n)
    for _ in range(depth):
        J = population(n, [0, 1], [1 - share, share]) @ Haar(n) @ J
    return J


# ---------------------------------------------------------------------------------------------
# rows


def classical_rows() -> tuple[Row, ...]:
    law, z = spectrum(GOE(Dim("n"))), 1 + 1j
    facts = [moment(law, k, Fraction(oracles.catalan(k // 2))) for k in (2, 4, 6)]
    facts += [*edges(law, [-2, 2]), density(law, 0.5, np.sqrt(4 - 0.25) / (2 * np.pi))]
    rows = checked("semicircle", law, facts + stieltjes(law, z, oracles.semicircle_stieltjes(z)))
    for ratio in (Fraction(1, 4), Fraction(1), Fraction(3)):
        law, c = spectrum(wishart(ratio)), float(ratio)
        a, b = (1 - c**0.5) ** 2, (1 + c**0.5) ** 2
        facts = [moment(law, k, oracles.narayana_moment(ratio, k)) for k in (2, 4)]
        facts += [*edges(law, [a, b]), exponent(law, 1, -0.5 if ratio == 1 else 0.5), atom(law, 0, max(0, 1 - 1 / c))]
        facts.append(density(law, 1.0, np.sqrt((b - 1) * (1 - a)) / (2 * np.pi * c)))
        rows += checked(f"MP({ratio})", law, facts + stieltjes(law, z, oracles.marchenko_pastur_stieltjes(z, c)))
    return tuple(rows)


def product_rows() -> tuple[Row, ...]:
    rows: list[Row] = []
    for depth in (2, 3, 5, 10):
        J = gaussian_product(depth)
        law = spectrum(J @ J.T)
        facts = [
            moment(law, k, Fraction(oracles.fuss_catalan(depth, k))) for k in (1, 2)
        ]  # higher ones have heavy tails
        facts.append(Fact("moment 20", law.moment(20), 0.0, Fraction(oracles.fuss_catalan(depth, 20))))
        facts += [*edges(law, [0, (depth + 1) ** (depth + 1) / depth**depth]), exponent(law, 1, -depth / (depth + 1))]
        facts += [density(law, *oracles.fuss_catalan_point(depth, share)) for share in (0.3, 0.8, 0.97)]
        rows += checked(f"{depth} factors", law, facts)
    return tuple(rows)


def covariance_rows() -> tuple[Row, ...]:
    n, p, z = Dim("n"), Dim("p", Fraction(1, 10)), 2 + 1j
    A, t, w = Gaussian(p, n, name="A"), [1, 9], [HALF, HALF]
    root = population(p, [1, 3], w)
    law = spectrum(root @ A @ A.T @ root)
    facts = [*edges(law, oracles.silverstein_edges(t, [0.5, 0.5], 0.1))]
    facts += [density(law, x, -oracles.silverstein(x, t, [0.5, 0.5], 0.1).imag / np.pi) for x in (1.0, 8.0)]
    facts += stieltjes(law, z, oracles.silverstein(z, t, [0.5, 0.5], 0.1))
    rows = checked("population {1, 9}", law, facts, (400, 800))

    s, ws = [HALF, 3], [Fraction(4, 5), Fraction(1, 5)]
    law = spectrum(root @ A @ population(n, s, ws) @ A.T @ root)
    theory = oracles.separable(z, (t, [0.5, 0.5]), ([0.5, 3], [0.8, 0.2]), 0.1)
    rows += checked("separable", law, stieltjes(law, z, theory), (400, 800))

    wide = Dim("p", HALF)
    noisy = population(wide, [0, 2], [Fraction(3, 4), Fraction(1, 4)]) @ Haar(wide, n) + Gaussian(wide, n)
    law = spectrum(noisy @ noisy.T)
    theory = oracles.information_plus_noise(z, [0, 4], [0.75, 0.25], 0.5)
    rows += checked("information plus noise", law, [moment(law, 1, Fraction(2)), *stieltjes(law, z, theory)])
    return tuple(rows)


def rational_rows() -> tuple[Row, ...]:
    p, n1, n2 = Dim("p"), Dim("n1", 2), Dim("n2", 3)
    X1, X2 = Gaussian(p, n1, variance=2, name="X1"), Gaussian(p, n2, variance=3, name="X2")
    a, b, height = oracles.wachter(0.3, 0.4, 0.2)
    law = spectrum(X1.T @ inv(X1 @ X1.T + X2 @ X2.T) @ X1)
    facts = [*edges(law, [a, b]), density(law, 0.3, height * 5 / 2), atom(law, 0, 0.5)]
    rows = checked("MANOVA", law, facts)

    law = spectrum(corner(Fraction(1, 5), Fraction(2, 5)))
    facts = [*edges(law, [a, b]), density(law, 0.3, height * 5 / 2), atom(law, 0, 0.5)]
    rows += checked("corner of a projection", law, [moment(law, 1, Fraction(1, 5)), *facts])
    law = spectrum(corner(Fraction(2, 5), Fraction(4, 5)))
    a, b, height = oracles.wachter(0.5, 0.4, 0.8)
    facts = [*edges(law, [a, b]), density(law, 0.5, height / 0.8), atom(law, 0, 0.5), atom(law, 1, 0.25)]
    rows += checked("corner with two atoms", law, facts)

    W1, W2 = Gaussian(p, n1, name="W1"), Gaussian(p, Dim("n2", 4), name="W2")
    a, b, height = oracles.fisher(1.0, 0.5, 0.25)
    law = spectrum(W1.T @ inv(W2 @ W2.T) @ W1)
    facts = [*edges(law, [a, b]), density(law, 1.0, height / 2), atom(law, 0, 0.5)]
    return tuple(rows + checked("F matrix", law, facts))


def haar_rows() -> tuple[Row, ...]:
    rows: list[Row] = []
    walks = {2: (2, 6, 20), 4: (4, 28, 232)}  # closed walks of length 2, 4, 6 from a vertex of the regular tree
    for degree, counts in walks.items():
        law = spectrum(haar_sum(degree // 2))
        facts = [moment(law, 2 * k, Fraction(c)) for k, c in enumerate(counts, start=1)]
        end = 2 * (degree - 1) ** 0.5
        facts += [*edges(law, [-end, end]), exponent(law, 1, -0.5 if degree == 2 else 0.5)]
        facts.append(density(law, 1.0, oracles.kesten_mckay(1.0, degree)))
        rows += checked(f"degree {degree}", law, facts)
    return tuple(rows)


def deformed_rows() -> tuple[Row, ...]:
    """g = (z - g) / ((z - g)^2 - 1) for diag(+-1) + GOE: a cubic, with one root in the lower half plane on the support."""
    law, x = spectrum(deformed(1)), 0.5
    g = oracles.lower(np.polynomial.Polynomial([-x, x * x, -2 * x, 1]).roots())
    end = 27**0.5 / 2
    facts = [moment(law, 2, Fraction(2)), moment(law, 4, Fraction(7)), *edges(law, [-end, 0, 0, end])]
    facts += [exponent(law, 2, 1 / 3), density(law, x, -g.imag / np.pi)]
    return tuple(checked("diag(±1) + GOE", law, facts))


def disguise_rows() -> tuple[Row, ...]:
    n = Dim("n")
    X, Y, V, W = GOE(n, name="X"), GOE(n, name="Y"), Gaussian(n, n, name="V"), Gaussian(n, n, name="W")
    end = ((11 + 5 * 5**0.5) / 2) ** 0.5
    rows: list[Row] = []
    for M in (X @ Y + Y @ X, W @ W.T - W.T @ W, W @ W + W.T @ W.T, V @ W + (V @ W).T, X @ X - Y @ Y):
        law = spectrum(M)
        facts = [moment(law, 2, Fraction(2)), moment(law, 4, Fraction(10)), moment(law, 6, Fraction(66))]
        rows += checked(repr(M), law, [*facts, *edges(law, [-end, end]), density(law, 1.0, oracles.tetilla(1.0))])
    return tuple(rows)


def spike_rows() -> tuple[Row, ...]:
    n, m = Dim("n"), Dim("m", HALF)
    u, v = Normal(n, name="u"), Normal(m, name="v")
    theta, c = 2.5, 0.5
    law = spectrum(GOE(n) + Fraction(5, 2) * outer(u, u))
    facts = [Fact("outlier", law.outliers[0].x, REAL, theta + 1 / theta)]
    facts.append(Fact("squared cosine", law.outliers[0].overlaps["u"], REAL, 1 - theta**-2))
    rows = checked("GOE + 5/2 u u.T/n", law, facts)
    law = spectrum(GOE(n) + HALF * outer(u, u))
    rows += checked("GOE + 1/2 u u.T/n", law, [Fact("outliers", Fraction(len(law.outliers)), 0.0, Fraction(0))])
    X, root = Gaussian(m, n, name="X"), eye(m) + outer(v, v)  # (I + v v.T/m)^2 = I + 3 v v.T/m
    law = spectrum(root @ X @ X.T @ root)
    facts = [Fact("outlier", law.outliers[0].x, REAL, 4 * (1 + c / 3))]
    facts.append(Fact("squared cosine", law.outliers[0].overlaps["v"], REAL, (1 - c / 9) / (1 + c / 3)))
    return tuple(rows + checked("covariance, one variance of 4", law, facts))


def kernel_equivalent(linear: Any, noise: Any, data: Any, ratio: Any) -> Expression:
    """F.T F, F = sqrt(linear) W X + sqrt(noise) N, per neuron."""
    neurons, columns, inputs = Dim("neurons"), Dim("data", ratio), Dim("inputs", ratio / data)
    W, X = Gaussian(neurons, inputs, name="W"), Gaussian(inputs, columns, variance=linear * ratio, name="X")
    F = W @ X + Gaussian(neurons, columns, variance=noise * ratio, name="N")
    return F.T @ F


def kernel_rows() -> tuple[Row, ...]:
    """relu less its mean: mu1 = 1/2, mu2 = 1/4 - 1/(2 pi), both limits of programs; samples are of the nonlinear matrix."""

    def nonlinear(neurons: int, rng: np.random.Generator) -> np.ndarray:
        columns, inputs = round(2 / 3 * neurons), 2 * neurons
        before = rng.standard_normal((neurons, inputs)) @ rng.standard_normal((inputs, columns)) / inputs**0.5
        after = np.maximum(before, 0) - 1 / np.sqrt(2 * np.pi)
        return np.linalg.eigvalsh(after.T @ after / neurons)

    h = Normal(Dim("n"), name="h")
    slope = limit(np.mean(h * relu(h)))
    second = limit(np.mean((relu(h) - float(limit(np.mean(relu(h))))) ** 2))
    rows = [Row("E h relu(h)", slope, 0.5), Row("Var relu(h)", second, 0.5 - 1 / (2 * np.pi))]
    linear, noise = HALF**2, float(second.value) - 0.25
    law, z = spectrum(kernel_equivalent(linear, noise, Fraction(1, 3), Fraction(2, 3))), 0.5 + 0.5j
    theory = oracles.kernel_equivalent(z, 0.25, 0.25 - 1 / (2 * np.pi), 1 / 3, 2 / 3)
    return tuple(rows + checked("relu(W X)", law, stieltjes(law, z, theory), (150, 300), sampler=nonlinear))


def network_rows() -> tuple[Row, ...]:
    half = [HALF] * 8
    rows: list[Row] = []
    for depth in (2, 5):
        J = relu_network(depth, False)
        law = spectrum(J @ J.T)
        theory = oracles.jacobian_moments([(Fraction(2), Fraction(1), half)] * depth, 4)
        facts = [moment(law, 1, theory[0]), Fact("moment 4", law.moment(4), 0.0, theory[3]), atom(law, 0, 0.5)]
        facts += [exponent(law, 1, -depth / (depth + 1)), *edges(law, [0, oracles.relu_edge(depth, 0.5, 2)])]
        rows += checked(f"ReLU, Gaussian, L = {depth}", law, [f for f in facts if f.quantity != "exponent at edge 1"])
    J = relu_network(3, True)
    law = spectrum(J @ J.T)
    spread = float(law.var() / law.mean() ** 2)
    rows += checked("ReLU, orthogonal, L = 3", law, [Fact("var/mean^2", spread, SOLVED, 3.0), atom(law, 0, 0.5)])
    depth, share = 3, Fraction(9, 10)
    J = gated(depth, share)
    law = spectrum(J @ J.T)
    spread = law.var() / law.mean() ** 2
    facts = [Fact("var/mean^2", spread, 0.0, depth * (1 - share) / share)]
    facts += [atom(law, 0, 0.1), atom(law, 1, 1 - depth * 0.1)]
    return tuple(rows + checked("gates of 9/10, orthogonal, L = 3", law, facts))


def free_sum_rows() -> tuple[Row, ...]:
    n, z, sizes = Dim("n"), 40 + 2j, range(1, 11)
    parts = [spectrum(Invariant(n, Discrete([0, k], [Fraction(1, 3), Fraction(2, 3)]))) for k in sizes]
    law: Any = sum(parts[1:], parts[0])
    mean, var = Fraction(2, 3) * sum(sizes), Fraction(2, 9) * sum(k * k for k in sizes)
    facts = [Fact("moment 1", law.moment(1), 0.0, mean), moment(law, 2, mean**2 + var)]
    facts += stieltjes(law, z, oracles.two_atom_sum(z, list(sizes), 2 / 3))
    return tuple(checked("ten laws", law, facts, (90, 180)))  # thirds of a width are whole


def profile_rows() -> tuple[Row, ...]:
    """Entries of block ij of variance s_ij / (size of the first group); groups of sizes 1, 1/2, 2."""
    sizes, z = [Fraction(1), HALF, Fraction(2)], 0.5 + 0.5j
    variances: list[list[Any]] = [[1, 3, 0], [3, 2, Fraction(1, 4)], [0, Fraction(1, 4), HALF]]
    dims = [Dim(f"group{k}", size) for k, size in enumerate(sizes, start=1)]
    grid: list[list[Any]] = [[0] * 3 for _ in dims]
    for i, rows in enumerate(dims):
        grid[i][i] = GOE(rows, variance=variances[i][i] * sizes[i])
        for j in range(i):
            if variances[i][j]:
                grid[i][j] = Gaussian(rows, dims[j], variance=variances[i][j] * sizes[j])
                grid[j][i] = grid[i][j].T
    law = spectrum(block(grid))
    theory = oracles.variance_profile(z, [float(c) for c in sizes], np.array(variances, dtype=float))
    second = sum(a * b * s for a, row in zip(sizes, variances) for b, s in zip(sizes, row)) / sum(sizes)
    return tuple(checked("three groups", law, [moment(law, 2, Fraction(second)), *stieltjes(law, z, theory)]))


LAWS = (
    Derivation(
        "laws-classical",
        "Semicircle and Marchenko-Pastur: density, edges, atom, g(z)",
        "Wigner 1958; Marchenko & Pastur 1967",
        classical_rows,
        drawn(lambda: wishart(Fraction(3)), "X X.T, three times as many rows as columns"),
    ),
    Derivation(
        "laws-products",
        "Products of Gaussian matrices: Fuss-Catalan laws and their hard edges",
        "Penson & Zyczkowski 2011; Banica, Belinschi, Capitaine & Collins 2011",
        product_rows,
        drawn(lambda: gaussian_product(3), "product of three Gaussian matrices", singular=True),
    ),
    Derivation(
        "laws-covariance",
        "Sample covariance, separable covariance, information plus noise",
        "Silverstein & Choi 1995; Paul & Silverstein 2009; Dozier & Silverstein 2007",
        covariance_rows,
    ),
    Derivation(
        "laws-rational",
        "Expressions with inverses: MANOVA, F matrix; and the free Jacobi law",
        "Wachter 1980; Silverstein 1985",
        rational_rows,
        drawn(lambda: corner(Fraction(2, 5), Fraction(4, 5)), "a corner of a projection"),
    ),
    Derivation(
        "laws-haar",
        "Arcsine and Kesten-McKay: sums of Haar matrices and their transposes",
        "Kesten 1959; McKay 1981",
        haar_rows,
        drawn(lambda: haar_sum(2), "U + U.T + V + V.T"),
    ),
    Derivation(
        "laws-deformed",
        "A deformed Wigner matrix at its cusp",
        "Pastur 1972; Biane 1997",
        deformed_rows,
        drawn(lambda: deformed(1), "diag(±1) + GOE"),
    ),
    Derivation(
        "laws-anticommutator",
        "One law in five disguises",
        "Nica & Speicher 1998; Deya & Nourdin 2012",
        disguise_rows,
        drawn(anticommutator, "X Y + Y X"),
    ),
    Derivation(
        "laws-spikes",
        "Outliers and the overlaps of their eigenvectors",
        "Baik, Ben Arous & Peche 2005; Paul 2007; Benaych-Georges & Nadakuditi 2011",
        spike_rows,
    ),
    Derivation(
        "laws-conjugate-kernel",
        "The conjugate kernel of a layer through its Gaussian equivalent",
        "Pennington & Worah 2017; Fan & Wang 2020",
        kernel_rows,
    ),
    Derivation(
        "laws-jacobians",
        "Network Jacobians: atoms, edges, spread",
        "Pennington, Schoenholz & Ganguli 2017 and 2018",
        network_rows,
        drawn(lambda: relu_network(3, False), "ReLU network of depth 3", singular=True),
    ),
    Derivation(
        "laws-free-sum",
        "A free sum of ten two-atom laws",
        "Voiculescu 1986: R-transforms add",
        free_sum_rows,
    ),
    Derivation(
        "laws-variance-profile",
        "A block matrix with a variance profile",
        "Girko 1990; Ajanki, Erdos & Kruger 2017",
        profile_rows,
    ),
)
