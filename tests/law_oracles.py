"""Spectral laws that owe nothing to the engine: exact moments, g(z), support, atoms, exponents and a NumPy sample of each.

Moments come from free cumulants, S-transforms and rectangular cumulants over the rationals; g(z) is the root of a polynomial
that is continued from large |z| (`law_numbers.Branch`); edges are critical values of z(t). Conventions: g(z) is the mean of
1/(z - x); a Gaussian matrix has entries of variance 1/cols; each docstring names the matrix.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import mpmath as mp
import numpy as np
from law_numbers import (
    Branch,
    Polynomial,
    Series,
    add,
    atomic_moments,
    cumulants_from_moments,
    derivative,
    inverse_s,
    moments_from_cumulants,
    moments_from_rectangular,
    moments_from_s,
    mul,
    number,
    on_other_side,
    product,
    reciprocal,
    rectangular_from_moments,
    roots,
    scale,
    square_free,
    value,
)

ORDERS = 12

# ---------------------------------------------------------------------------------------------
# laws


@dataclass(frozen=True, eq=False)
class Oracle:
    """All that a test may ask of a law.

    `moments` m_1..; `support` intervals of the continuous part; `hard` maps the edges (or cusps) that are no soft edges to
    their exponents; `atoms` maps positions to masses; `sample(n, rng)` gives eigenvalues of one draw.
    """

    moments: tuple[Any, ...]
    branch: Any
    support: tuple[tuple[Any, Any], ...]
    atoms: dict[Any, Any]
    hard: dict[Any, Any]
    sample: Callable[[int, np.random.Generator], np.ndarray] | None = None

    def cdf(self, x: Any) -> float:
        """Mass to the left of x, atoms included: Im/pi of the integral of g over a half circle from x round the leftmost
        point of mass; g is analytic there, and continues through an inner point of the support."""
        centre = min(float(a) for a in [*self.atoms, *(p for p, _ in self.support)])
        radius = float(x) - centre
        nodes, weights = np.polynomial.legendre.leggauss(40)
        s = (nodes + 1) / 2
        turn = np.exp(1j * math.pi * s**2)  # slow at x, where an edge may be near
        values = np.array([complex(self.branch.at(complex(centre + radius * e), 15)) for e in turn])
        return float(np.imag(np.sum(weights * s * values * radius * 1j * turn)))

    @property
    def exponents(self) -> dict[float, float]:
        """Edge (or cusp) -> exponent of the density there."""
        soft = {float(x): 0.5 for pair in self.support for x in pair}
        return soft | {float(x): float(e) for x, e in self.hard.items()}


def rational_law(
    N: Series, D: Series, moments: Sequence[Any], *, start: Any = None, g: Any = None, reach: Any = None, atoms: Any = (),
    hard: Any = (), sample: Any = None,
) -> Oracle:  # fmt: skip
    """The law with z = N(t)/D(t); its soft edges are critical values of that function (Silverstein & Choi 1995)."""
    P: Polynomial = {(i, 0): F(c) for i, c in enumerate(N) if c}
    P |= {(i, 1): -F(c) for i, c in enumerate(D) if c}
    size = max((abs(float(m)) ** (1 / k) for k, m in enumerate(moments, 1)), default=1.0)
    branch = Branch(P, *(() if start is None else (start,)), **({} if g is None else {"g": g}), reach=reach or 2 * size)
    hard = dict(hard)
    slope = add(mul(derivative(N), D), scale(-1, mul(N, derivative(D))))
    return Oracle(tuple(moments), branch, support_of(branch, slope, N, D, hard), dict(atoms), hard, sample)


def support_of(branch: Branch, slope: Series, N: Series, D: Series, hard: dict[Any, Any]) -> tuple[Any, ...]:
    """Intervals where the density is positive, between critical values and the given hard edges."""
    with mp.workdps(60):
        points = [number(x) for x in hard]
        for t in roots(square_free(slope)):
            bottom = at(D, t)
            if abs(mp.im(t)) < mp.mpf(10) ** -20 * abs(t) and abs(bottom) > mp.mpf(10) ** -30:
                x = mp.re(at(N, t) / bottom)
                if all(abs(x - y) > mp.mpf(10) ** -15 for y in points):
                    points.append(x)
        out: list[tuple[Any, Any]] = []
        for a, b in itertools.pairwise(sorted(points)):
            positive = branch.density((a + b) / 2) > mp.mpf(10) ** -12
            if positive and out and out[-1][1] == a:
                out[-1] = (out[-1][0], b)
            elif positive:
                out.append((a, b))
    return tuple(out)


def at(a: Series, t: Any) -> Any:
    """A rational polynomial at t, in the working precision."""
    return value([number(c) for c in a], t)


# ---------------------------------------------------------------------------------------------
# the classical list


def gaussian(rows: int, cols: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((rows, cols)) / math.sqrt(cols)


def goe(n: int, rng: np.random.Generator) -> np.ndarray:
    x = gaussian(n, n, rng)
    return (x + x.T) / math.sqrt(2)


def haar(n: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def proportioned(atoms: dict[Any, Any], n: int) -> np.ndarray:
    """n numbers with the exact shares of the atoms."""
    counts = [round(float(w) * n) for w in atoms.values()]
    counts[-1] = n - sum(counts[:-1])
    return np.repeat([float(x) for x in atoms], counts)


eig = np.linalg.eigvalsh


def semicircle(variance: F = F(1)) -> Oracle:
    return rational_law(
        [F(1), F(0), variance], [F(0), F(1)], moments_from_cumulants([F(0), variance], ORDERS),
        sample=lambda n, rng: math.sqrt(variance) * eig(goe(n, rng)),
    )  # fmt: skip


def gaussian_product(*ratios: F) -> Oracle:
    """J J.T for J = W_L ... W_1, W_l of ratios[l] x ratios[l-1] widths: S = prod 1/(1 + u ratios[L]/ratios[l-1])."""
    shares = [ratios[-1] / F(r) for r in ratios[:-1]]
    one_over_s = product([[F(1), a] for a in shares])
    top = max(shares)
    atoms = {F(0): 1 - 1 / top} if top > 1 else {}
    root = max(top, F(1))  # z = (1 + u) prod (1 + a u) / u vanishes at u = -1/root
    order = [*shares, F(1)].count(root)
    hard = {F(0): -F(order - 1, order)} if order > 1 else {}

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        sizes = [round(float(r) * n) for r in ratios]
        J = np.eye(sizes[0])
        for rows, cols in zip(sizes[1:], sizes, strict=False):
            J = gaussian(rows, cols, rng) @ J
        return eig(J @ J.T)

    N = product([[1 - a / root, a] for a in [F(1), *shares]])  # in v = u + 1/root, small near z = 0
    return rational_law(
        N, [-1 / root, F(1)], moments_from_s(one_over_s, ORDERS), start=lambda z: float(1 / root) + 1 / z,
        g=lambda v, z: (1 - number(1 / root) + v) / z, atoms=atoms, hard=hard, sample=sample,
    )  # fmt: skip


def marchenko_pastur(ratio: F) -> Oracle:
    """W W.T for W of ratio * n rows and n columns."""
    return gaussian_product(F(1), F(ratio))


def fuss_catalan(layers: int) -> Oracle:
    return gaussian_product(*[F(1)] * (layers + 1))


def silverstein(population: dict[F, F], ratio: F) -> Oracle:
    """T^(1/2) X X.T T^(1/2), X of ratio * n rows and n columns: the n x n companion has z = 1/g + ratio E t/(1 - t g)."""
    ratio, kept = F(ratio), {F(t): F(w) for t, w in population.items() if t}
    bottoms = [[F(1), -t] for t in kept]
    D = mul([F(0), F(1)], product(bottoms))
    N = product(bottoms)
    for k, (t, w) in enumerate(kept.items()):
        N = add(N, scale(ratio * w * t, mul([F(0), F(1)], product(bottoms[:k] + bottoms[k + 1 :]))))
    companion = moments_from_cumulants([ratio * m for m in atomic_moments(kept, ORDERS)], ORDERS)
    mass = max(1 - sum(kept.values()), 1 - 1 / ratio)
    share = sum(kept.values()) * ratio
    return rational_law(
        N, D, [m / ratio for m in companion], g=lambda g, z: (g - (1 - number(ratio)) / z) / number(ratio),
        atoms={F(0): mass} if mass > 0 else {}, hard={F(0): F(-1, 2)} if share == 1 else {},
        sample=lambda n, rng: _sample_covariance(population, ratio, n, rng),
    )  # fmt: skip


def _sample_covariance(population: dict[F, F], ratio: F, n: int, rng: np.random.Generator) -> np.ndarray:
    rows = round(float(ratio) * n)
    x = np.sqrt(proportioned(population, rows))[:, None] * gaussian(rows, n, rng)
    return eig(x @ x.T)


def deformed_semicircle(atoms: dict[F, F], variance: F = F(1), hard: Any = ()) -> Oracle:
    """diag(d) + sqrt(variance) GOE: z = w + variance E 1/(w - d) with g = (z - w)/variance (Pastur 1972)."""
    bottoms = [[-F(d), F(1)] for d in atoms]
    N = mul([F(0), F(1)], product(bottoms))
    for k, w in enumerate(atoms.values()):
        N = add(N, scale(F(variance) * w, product(bottoms[:k] + bottoms[k + 1 :])))
    kappa = cumulants_from_moments(atomic_moments(atoms, ORDERS))
    kappa[1] += variance
    return rational_law(
        N, product(bottoms), moments_from_cumulants(kappa, ORDERS), start=lambda z: z, hard=hard,
        g=lambda w, z: (z - w) / number(F(variance)),
        sample=lambda n, rng: eig(np.diag(proportioned(atoms, n)) + math.sqrt(variance) * goe(n, rng)),
    )  # fmt: skip


def anticommutator() -> Oracle:
    """X Y + Y X of two semicirculars: R(g) = 2 g/(1 - g^2)."""
    return rational_law(
        [F(1), F(0), F(1)], [F(0), F(1), F(0), F(-1)], moments_from_cumulants([F(0), F(2)] * (ORDERS // 2), ORDERS),
        sample=_anticommutator_sample,
    )  # fmt: skip


def _anticommutator_sample(n: int, rng: np.random.Generator) -> np.ndarray:
    product_ = goe(n, rng) @ goe(n, rng)
    return eig(product_ + product_.T)


def projections(alpha: F, beta: F) -> Oracle:
    """Q P Q restricted to the range of Q (trace beta), P of trace alpha: 1/S = (alpha + u)(beta + u)/(1 + u)^2.

    The free Jacobi law; MANOVA X1.T inv(X1 X1.T + X2 X2.T) X1 with alpha = rows/(n1 + n2), beta = n1/(n1 + n2).
    """
    alpha, beta = F(alpha), F(beta)
    whole = moments_from_s(
        mul([alpha * beta, alpha + beta, F(1)], reciprocal([F(1), F(2), F(1)], ORDERS), ORDERS), ORDERS
    )
    atoms = {F(1): (alpha + beta - 1) / beta, F(0): 1 - alpha / beta}
    hard = {}
    if alpha + beta == 1:
        hard[F(1)] = F(-1, 2)
    if alpha == beta:
        hard[F(0)] = F(-1, 2)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        q = haar(n, rng)[: round(float(beta) * n), : round(float(alpha) * n)]
        return eig(q @ q.T)

    return rational_law(
        mul([alpha, F(1)], [beta, F(1)]), [F(0), F(1), F(1)], [m / beta for m in whole], reach=2.0,
        start=lambda z: float(alpha * beta) / z, hard=hard, atoms={x: w for x, w in atoms.items() if w > 0},
        g=lambda u, z: (1 / z + u / z / number(beta)), sample=sample,
    )  # fmt: skip


def f_matrix(c1: F, c2: F) -> Oracle:
    """W1.T inv(W2 W2.T) W1, law per column of W1; c_i = rows/cols_i, c2 < 1: 1/S = (1 + c1 u)/(1 - c2 - c2 u)."""
    c1, c2 = F(c1), F(c2)
    rows = moments_from_s(mul([F(1), c1], reciprocal([1 - c2, -c2], ORDERS), ORDERS), ORDERS)
    mass = 1 - c1

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        p = round(float(c1) * n)
        W1, W2 = gaussian(p, n, rng), gaussian(p, round(p / float(c2)), rng)
        return eig(W1.T @ np.linalg.solve(W2 @ W2.T, W1))

    return rational_law(
        mul([F(1), F(1)], [F(1), c1]), [F(0), 1 - c2, -c2], on_other_side(rows, c1), reach=40.0,
        start=lambda z: 1 / float(1 - c2) / z, atoms={F(0): mass} if mass > 0 else {},
        hard={F(0): F(-1, 2)} if mass == 0 else {}, g=lambda u, z: (1 + number(c1) * u) / z, sample=sample,
    )  # fmt: skip


def arcsine() -> Oracle:
    """A free sum of two signs +-1 (or u + u^-1 for a Haar u): g = 1/sqrt(z^2 - 4)."""
    moments = [F(math.comb(k, k // 2)) if k % 2 == 0 else F(0) for k in range(1, ORDERS + 1)]
    branch = Branch({(2, 2): F(1), (2, 0): F(-4), (0, 0): F(-1)}, reach=4.0)
    hard = {F(-2): F(-1, 2), F(2): F(-1, 2)}

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        u = haar(n, rng)
        return eig(u + u.T)

    return Oracle(tuple(moments), branch, ((mp.mpf(-2), mp.mpf(2)),), {}, hard, sample)


def kesten_mckay(terms: int) -> Oracle:
    """Sum of `terms` free copies of u + u^-1: the tree of degree q = 2 terms (Kesten 1959); moments count closed walks."""
    q = 2 * terms
    walks: list[F] = []
    state = [F(1)] + [F(0)] * (ORDERS + 1)
    for _ in range(ORDERS):
        up = [F(0), *(s * (q if k == 0 else q - 1) for k, s in enumerate(state[:-1]))]
        down = [*state[1:], F(0)]
        state = [a + b for a, b in zip(up, down, strict=True)]
        walks.append(state[0])
    P = {(2, 2): F(1), (1, 1): F(q - 2), (0, 0): F(1 - q), (2, 0): F(-q * q)}  # g = 1/(z - q h), h = 1/(z - (q - 1) h)
    edge = 2 * mp.sqrt(q - 1)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        us = [haar(n, rng) for _ in range(terms)]
        return eig(sum(u + u.T for u in us))

    return Oracle(tuple(walks), Branch(P, reach=2.0 * q), ((-edge, edge),), {}, {}, sample)


def separable(rows: dict[F, F], cols: dict[F, F], ratio: F) -> Oracle:
    """A^(1/2) X B X.T A^(1/2): X B X.T is free compound Poisson (kappa_k = ratio^(k-1) E b^k), free of A; moments only."""
    X = moments_from_cumulants(
        [ratio ** (k - 1) * m for k, m in enumerate(atomic_moments(cols, ORDERS), start=1)], ORDERS
    )
    one_over_s = mul(inverse_s(X), inverse_s(atomic_moments(rows, ORDERS)), ORDERS)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        p = round(float(ratio) * n)
        x = np.sqrt(proportioned(rows, p))[:, None] * gaussian(p, n, rng) * np.sqrt(proportioned(cols, n))
        return eig(x @ x.T)

    return Oracle(tuple(moments_from_s(one_over_s, ORDERS)), None, (), {}, {}, sample)


def information_plus_noise(signal: dict[F, F], ratio: F) -> Oracle:
    """(A + X)(A + X).T, A A.T with the given atoms: rectangular cumulants add; moments only."""
    kappa = rectangular_from_moments(atomic_moments(signal, ORDERS), ratio)
    kappa[0] += 1

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        p = round(float(ratio) * n)
        y = gaussian(p, n, rng)
        y[range(p), range(p)] += np.sqrt(proportioned(signal, p))
        return eig(y @ y.T)

    return Oracle(tuple(moments_from_rectangular(kappa, ratio, ORDERS)), None, (), {}, {}, sample)
