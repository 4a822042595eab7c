"""What every spectral law must satisfy, against an oracle of `law_oracles`; shared by the tests of laws."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import mpmath as mp
import numpy as np
from law_oracles import Oracle

BULK = (0.05, 0.2, 0.4, 0.5, 0.6, 0.8, 0.95)
RIM = (0.001, 0.999)
COUNT = 6.0  # eigenvalues of a sample that may be out of place


def scale_of(oracle: Oracle) -> float:
    return max(abs(float(x)) for x in [*oracle.atoms, *(x for pair in oracle.support for x in pair)])


def inner(oracle: Oracle, shares: Any = BULK) -> list[float]:
    """Points of every interval of the support; cusps are left out."""
    points = [float(a + (b - a) * mp.mpf(s)) for a, b in oracle.support for s in shares]
    return [x for x in points if all(abs(x - e) > 1e-3 for e in oracle.hard)]


def complex_points(oracle: Oracle) -> list[complex]:
    """Far, near, next to the real axis, in the lower half plane, right of all mass, next to a hard edge or atom at 0."""
    size = scale_of(oracle)
    points = [size * z for z in (1 + 1j, -0.5 + 0.25j, 0.3 + 0.05j, 0.4 + 1e-5j, 10j, 0.7 - 0.6j, 1.5 + 0j)]
    return [*points, 1e-6 + 1e-6j, -1e-9 + 1e-10j]


def check_continuation(oracle: Oracle, shares: Any) -> None:
    """Of the oracle itself: contour moments of the continued g are exact, eigenvalues of a draw are where its cdf says."""
    radius = 1.7 * oracle.branch.reach
    z = radius * np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)
    g = np.array([complex(oracle.branch.at(complex(x), 20)) for x in z])
    for k, m in enumerate([1, *oracle.moments[:10]]):
        assert abs(np.mean(g * z ** (k + 1)).real - float(m)) <= 1e-11 * oracle.branch.reach**k
    eigenvalues = np.sort(oracle.sample(400, np.random.default_rng(3)))
    for q in shares:
        at = int(q * len(eigenvalues))
        x = (eigenvalues[at] + eigenvalues[at + 1]) / 2
        if all(abs(x - float(a)) > 1e-6 for a in oracle.atoms):
            assert abs(len(eigenvalues) * oracle.cdf(x) - at - 1) <= COUNT


def check_moments(law: Any, oracle: Oracle) -> None:
    """Fractions for polynomial expressions of rational data; an inverse has its moments by integration."""
    found = [law.moment(k) for k in range(1, 11)]
    if "inv(" in law.text:
        np.testing.assert_allclose(found, np.array(oracle.moments[:10], float), rtol=1e-10)
    elif all(isinstance(m, F) for m in oracle.moments):
        assert all(isinstance(m, F) for m in found), found
        assert found == list(oracle.moments[:10])
    else:
        np.testing.assert_allclose(np.array(found, float), np.array(oracle.moments[:10], float), rtol=1e-12)


def check_stieltjes(law: Any, oracle: Oracle) -> None:
    z = np.array(complex_points(oracle))
    exact = [oracle.branch.at(complex(x), 25) for x in z]
    found = law.stieltjes(z)
    assert found.shape == z.shape
    np.testing.assert_allclose(found, np.array(exact, complex), rtol=1e-10)
    np.testing.assert_allclose(complex(law.stieltjes(complex(z[1]))), complex(exact[1]), rtol=1e-10)


def check_density(law: Any, oracle: Oracle) -> None:
    """1e-10 in the bulk; at the rim the position of an edge enters by its root, hence relative 1e-8."""
    bulk, rim = inner(oracle), inner(oracle, RIM)
    expected = np.array([float(oracle.branch.density(x)) for x in bulk])
    np.testing.assert_allclose(law.pdf(np.array(bulk)), expected, rtol=0, atol=1e-10 * max(1.0, expected.max()))
    expected = np.array([float(oracle.branch.density(x)) for x in rim])
    np.testing.assert_allclose(law.pdf(np.array(rim)), expected, rtol=1e-8, atol=1e-10)


def check_outside(law: Any, oracle: Oracle) -> None:
    """No density in the gaps: an epsilon would leave some."""
    edges = [float(x) for pair in oracle.support for x in pair]
    size = scale_of(oracle)
    gaps = [(a + b) / 2 for a, b in zip(edges[1::2], edges[2::2], strict=False)]
    points = np.array([edges[0] - 0.1 * size, edges[-1] + 0.1 * size, edges[-1] + 1e-6 * size, *gaps])
    assert np.all(law.pdf(points) == 0)


def check_hard_edges(law: Any, oracle: Oracle) -> None:
    """Relative 1e-8 down to 1e-9 of a hard edge at 0; elsewhere rounding of x itself limits the distance to 1e-5."""
    for edge, exponent in oracle.hard.items():
        inside = 1 if any(float(a) - 1e-12 <= float(edge) < float(b) - 1e-12 for a, b in oracle.support) else -1
        steps = np.array([1e-9, 1e-7, 1e-4, 1e-2] if edge == 0 else [1e-5, 1e-3, 1e-2])
        if exponent > 0:
            steps = steps[-2:]
        x = float(edge) + inside * steps
        expected = np.array([float(oracle.branch.density(v)) for v in x])
        np.testing.assert_allclose(law.pdf(x), expected, rtol=1e-8)


def check_cdf(law: Any, oracle: Oracle) -> None:
    edges = [float(x) for pair in oracle.support for x in pair]
    size = scale_of(oracle)
    low, high = min([*edges, *map(float, oracle.atoms)]), max([*edges, *map(float, oracle.atoms)])
    assert law.cdf(low - 0.1 * size) == 0
    assert abs(law.cdf(high + 0.1 * size) - 1) <= 1e-8
    gaps = [(a + b) / 2 for a, b in zip(edges[1::2], edges[2::2], strict=False)]
    x = np.array(inner(oracle, (0.05, 0.5, 0.95)) + gaps)
    np.testing.assert_allclose(law.cdf(x), [oracle.cdf(v) for v in x], rtol=0, atol=1e-8)


def check_ppf(law: Any, oracle: Oracle) -> None:
    x = np.array(inner(oracle, (0.1, 0.5, 0.9)))
    np.testing.assert_allclose(law.ppf(law.cdf(x)), x, rtol=1e-6, atol=1e-6 * scale_of(oracle))


def check_pdf_integrates(law: Any, oracle: Oracle) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(48)
    for a, b in oracle.support:
        low, high = float(a + (b - a) * mp.mpf("0.2")), float(a + (b - a) * mp.mpf("0.45"))
        x = low + (high - low) * (nodes + 1) / 2
        mass = np.sum(weights * law.pdf(x)) * (high - low) / 2
        assert abs(law.cdf(high) - law.cdf(low) - mass) <= 1e-8


def check_support(law: Any, oracle: Oracle) -> None:
    """Intervals that touch (at a cusp, say) count as one."""
    ends = [x for pair in law.support() for x in pair]
    touching = {k for k in range(1, len(ends) - 2, 2) if abs(ends[k + 1] - ends[k]) <= 1e-10 * scale_of(oracle)}
    found = np.reshape([x for k, x in enumerate(ends) if k not in touching and k - 1 not in touching], (-1, 2))
    expected = np.array([[float(a), float(b)] for a, b in oracle.support])
    assert found.shape == expected.shape, found
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * max(1.0, scale_of(oracle)))


def check_exponents(law: Any, oracle: Oracle) -> None:
    """A cusp may be named once or from both sides."""
    expected = sorted(oracle.exponents.items())
    found = []
    for x, e in sorted((float(e.x), float(e.exponent)) for e in law.edges):
        if not found or abs(x - found[-1][0]) > 1e-10 * scale_of(oracle) or e != found[-1][1]:
            found.append((x, e))
    assert len(found) == len(expected), found
    np.testing.assert_allclose([x for x, _ in found], [x for x, _ in expected], rtol=0, atol=1e-10 * scale_of(oracle))
    np.testing.assert_allclose([e for _, e in found], [e for _, e in expected], rtol=1e-12)


def check_atoms(law: Any, oracle: Oracle) -> None:
    found = sorted((float(a.x), float(a.mass)) for a in law.atoms)
    expected = sorted((float(x), float(w)) for x, w in oracle.atoms.items())
    assert len(found) == len(expected), found
    np.testing.assert_allclose(found, np.reshape(expected, (-1, 2)) if expected else found, rtol=0, atol=1e-12)


def check_sample(law: Any, oracle: Oracle, size: int = 800) -> None:
    """Counts of eigenvalues of a NumPy draw: rigidity keeps them within O(log n) of n * cdf, and the bias is O(1)."""
    assert oracle.sample is not None
    ratio = len(oracle.sample(40, np.random.default_rng(7))) / 40
    eigenvalues = np.sort(oracle.sample(40 * round(size / ratio / 40), np.random.default_rng(7)))
    at = (len(eigenvalues) * np.linspace(0.02, 0.98, 25)).astype(int)
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    clear = np.min([abs(middle - float(a)) for a in [*oracle.atoms, np.inf]], axis=0) > 1e-6
    # what LAPACK returns below this is rounding, and products of ten matrices have eigenvalues there
    clear &= abs(middle) > 1e-12 * np.max(abs(eigenvalues)) if 0 in oracle.hard else True
    off = len(eigenvalues) * law.cdf(middle[clear]) - (at[clear] + 1)
    assert np.max(abs(off), initial=0.0) <= COUNT


CHECKS = (
    check_moments,
    check_stieltjes,
    check_density,
    check_outside,
    check_hard_edges,
    check_cdf,
    check_ppf,
    check_pdf_integrates,
    check_support,
    check_exponents,
    check_atoms,
    check_sample,
)
