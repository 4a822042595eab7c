"""Eleven laws with answers of 32 digits (tests/data/laws.json): moments, g, density, support, atoms.

The answers were made by closed forms, resultants and mpmath, and carry the polynomial P(G, z) = 0 where there is one; the
oracles of these tests must reproduce them too.
"""

from __future__ import annotations

import functools
import json
import math
import re
from fractions import Fraction as F
from pathlib import Path

import law_networks as networks
import law_oracles as oracle
import mpmath as mp
import numpy as np
import pytest
from law_numbers import Branch
from law_oracles import information_plus_noise, separable

import rmtp

REFERENCE = {law["id"]: law for law in json.loads((Path(__file__).parent / "data" / "laws.json").read_text())["laws"]}
HALF = F(1, 2)
N = rmtp.Dim("n")


def diagonal(dim, values):
    return rmtp.diag(rmtp.IID(dim, rmtp.Discrete(values)))


def marchenko_pastur():
    X = rmtp.Gaussian(rmtp.Dim("p", 2), N)
    return X @ X.T


def fuss_catalan():
    J = rmtp.Gaussian(N, N) @ rmtp.Gaussian(N, N) @ rmtp.Gaussian(N, N)
    return J @ J.T


def anticommutator():
    X, Y = rmtp.GOE(N), rmtp.GOE(N)
    return X @ Y + Y @ X


def companion():
    p = rmtp.Dim("p", F(1, 10))
    X = rmtp.Gaussian(p, N)
    return X.T @ diagonal(p, [1, 7]) @ X


def information():
    """A = [D 0], X = [X1 X2] with p/n = 1/2."""
    p = rmtp.Dim("p")
    X1, X2 = rmtp.Gaussian(p, p, variance=HALF), rmtp.Gaussian(p, p, variance=HALF)
    Y = diagonal(p, [math.sqrt(0.5), 2]) + X1
    return Y @ Y.T + X2 @ X2.T


def information_invariant():
    """A with Haar singular vectors: X is bi-invariant, so nothing changes."""
    p, n = rmtp.Dim("p"), rmtp.Dim("n", 2)
    Y = rmtp.BiInvariant(p, n, rmtp.Discrete([math.sqrt(0.5), 2])) + rmtp.Gaussian(p, n)
    return Y @ Y.T


def cusp():
    return diagonal(N, [-1, 1]) + rmtp.GOE(N)


def manova():
    """p/n1 = 1/2, p/n2 = 1/3, entries of X1 and X2 of one variance."""
    p, n1, n2 = rmtp.Dim("p"), rmtp.Dim("n1", 2), rmtp.Dim("n2", 3)
    X1, X2 = rmtp.Gaussian(p, n1, variance=2), rmtp.Gaussian(p, n2, variance=3)
    return X1.T @ rmtp.inv(X1 @ X1.T + X2 @ X2.T) @ X1


def relu():
    x, J = rmtp.Normal(N), rmtp.eye(N)
    for _ in range(2):
        W = rmtp.Gaussian(N, N, variance=2)
        h = W @ x
        x, J = rmtp.relu(h), rmtp.diag(np.heaviside(h, 0)) @ W @ J
    return J @ J.T


def hard_tanh():
    """Scaled by 5/4 per squared layer, so that the Haar matrices stay rational."""
    gates = [rmtp.diag(rmtp.IID(N, rmtp.Discrete([0, 1], [F(1, 5), F(4, 5)]))) for _ in range(2)]
    J = gates[1] @ rmtp.Haar(N) @ gates[0] @ rmtp.Haar(N)
    return F(25, 16) * (J @ J.T)


def separable_covariance():
    p = rmtp.Dim("p", HALF)
    X, root = rmtp.Gaussian(p, N), diagonal(p, [1, 2])
    return root @ X @ diagonal(N, [1, 3]) @ X.T @ root


def erf_jacobian():
    h = rmtp.Normal(N)
    J = rmtp.diag(np.exp(-(h**2) / 2)) @ rmtp.Gaussian(N, N, variance=math.sqrt(3))
    return J @ J.T


# expression, and (share, rest): the law of the expression is share * reference + rest * delta_0
LAWS = {
    "mp_c2": (marchenko_pastur, 1),
    "fuss_catalan_3": (fuss_catalan, 1),
    "anticommutator": (anticommutator, 1),
    "silverstein_1_7_c0.1": (companion, F(1, 10)),
    "info_plus_noise": (information, 1),
    "deformed_goe_pm1_critical": (cusp, 1),
    "wachter": (manova, HALF),
    "relu_jacobian_L2": (relu, 1),
    "hardtanh_jacobian_orth_L2": (hard_tanh, 1),
    "separable_covariance": (separable_covariance, 1),
    "erf_jacobian_L1": (erf_jacobian, 1),
}
INEXACT = {"info_plus_noise", "erf_jacobian_L1"}


@functools.cache
def law_of(name):
    return rmtp.spectrum(LAWS[name][0]())


def complex_of(pair):
    return complex(float(pair[0]), float(pair[1]))


def pairs_of(name):
    """(z, g) for the law of the expression."""
    share = float(LAWS[name][1])
    for point in REFERENCE[name]["stieltjes"]:
        z = complex_of(point["z"])
        yield z, share * complex_of(point["G"]) + (1 - share) / z


@pytest.mark.parametrize("name", LAWS)
def test_moments(name):
    share, exact = LAWS[name][1], REFERENCE[name]["moments_exact"]
    found = [law_of(name).moment(k) for k in range(1, len(exact) + 1)]
    if name in INEXACT or name == "wachter":  # an inverse has its moments by integration
        np.testing.assert_allclose([float(m) for m in found], [float(F(m)) * float(share) for m in exact], rtol=1e-11)
    else:
        assert found == [share * F(m) for m in exact]
        assert all(isinstance(m, F) for m in found)


@pytest.mark.parametrize("name", LAWS)
def test_stieltjes(name):
    z, g = map(np.array, zip(*pairs_of(name), strict=True))
    np.testing.assert_allclose(law_of(name).stieltjes(z), g, rtol=1e-10)


@pytest.mark.parametrize("name", [n for n in LAWS if n not in INEXACT])
def test_stieltjes_to_thirty_digits(name):
    share = LAWS[name][1]
    with mp.workdps(40):
        for point in REFERENCE[name]["stieltjes"][:2]:
            z, g = mp.mpc(*point["z"]), mp.mpc(*point["G"])
            expected = g * share.numerator / share.denominator + (1 - mp.mpf(share.numerator) / share.denominator) / z
            found = law_of(name).stieltjes(z, dps=40)
            assert abs(found - expected) < mp.mpf(10) ** -30 * abs(expected)


@pytest.mark.parametrize("name", LAWS)
def test_density(name):
    """Up to a thousandth of an interval from its edges, and at the cusp itself."""
    share, points = float(LAWS[name][1]), REFERENCE[name]["density"]
    x = np.array([float(p["x"]) for p in points])
    rho = share * np.array([float(p["rho"]) for p in points])
    tight = 1e-9 if name == "erf_jacobian_L1" else 1e-10  # the file has 10 digits there
    np.testing.assert_allclose(law_of(name).pdf(x), rho, rtol=1e-10, atol=tight)


@pytest.mark.parametrize("name", LAWS)
def test_support(name):
    ends = [x for pair in law_of(name).support() for x in pair]
    found = np.reshape([x for x in ends if ends.count(x) == 1], (-1, 2))  # intervals may touch, at a cusp
    expected = [(float(a), float(b)) for a, b in REFERENCE[name]["support"]]
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 if name == "erf_jacobian_L1" else 1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_atoms(name):
    share = LAWS[name][1]
    expected = {float(F(a["x"])): share * F(a["mass"]) for a in REFERENCE[name]["atoms"]}
    if share != 1:
        expected[0.0] = expected.get(0.0, 0) + 1 - share
    found = sorted((float(a.x), float(a.mass)) for a in law_of(name).atoms)
    assert len(found) == len(expected)
    for (x, mass), (y, exact) in zip(found, sorted(expected.items()), strict=True):
        assert x == pytest.approx(y, abs=1e-10)
        assert mass == pytest.approx(float(exact), abs=1e-12)


# logarithms at 0 defeat a fixed rule; what the law says of its own mass is in test_density
@pytest.mark.parametrize("name", [name for name in LAWS if name != "erf_jacobian_L1"])
def test_total_mass(name):
    """Twelve pieces of r, x = edge + length s(r): s doubles the order of soft edges, and is like r^4 (erf: r^3) at 0."""
    law = law_of(name)
    t, w = np.polynomial.legendre.leggauss(24)
    pieces = np.arange(12)[:, None]
    nodes, weights = ((2 * pieces + 1 + t) / 12 - 1).ravel(), np.tile(w / 12, 12)
    r, mass = (nodes + 1) / 2, sum(float(a.mass) for a in law.atoms)
    for a, b in law.support():
        if 0 in (a, b):
            root, p = 1 - (1 - r) ** 2, 3 if name == "erf_jacobian_L1" else 4
            s, ds = root**p, 2 * p * (1 - r) * root ** (p - 1)
            x = (a + b) * s
        else:
            s, ds = r**2 * (3 - 2 * r), 6 * r * (1 - r)
            x = a + (b - a) * s
        mass += np.sum(weights / 2 * law.pdf(x) * (b - a) * ds)
    assert mass == pytest.approx(1, abs=1e-6 if name == "erf_jacobian_L1" else 1e-8)  # logarithms at 0
    assert float(law.cdf(1e6)) == pytest.approx(1, abs=1e-8)


def test_information_with_haar_vectors():
    law, same = rmtp.spectrum(information_invariant()), law_of("info_plus_noise")
    z = np.array([z for z, _ in pairs_of("info_plus_noise")])
    np.testing.assert_allclose(law.stieltjes(z), same.stieltjes(z), rtol=1e-11)
    x = np.array([0.3, 1.5, 2.66, 5.0])
    np.testing.assert_allclose(law.pdf(x), same.pdf(x), atol=1e-11)


# ---------------------------------------------------------------------------------------------
# the oracles against the same numbers


ORACLES = {
    "mp_c2": lambda: oracle.marchenko_pastur(F(2)),
    "fuss_catalan_3": lambda: oracle.fuss_catalan(3),
    "anticommutator": oracle.anticommutator,
    "silverstein_1_7_c0.1": lambda: oracle.silverstein({F(1): HALF, F(7): HALF}, F(1, 10)),
    "info_plus_noise": lambda: information_plus_noise({HALF: HALF, F(4): HALF}, HALF),
    "deformed_goe_pm1_critical": lambda: oracle.deformed_semicircle({F(-1): HALF, F(1): HALF}, hard={F(0): F(1, 3)}),
    "wachter": None,
    "relu_jacobian_L2": lambda: networks.jacobian({F(0): HALF, F(1): HALF}, 2, F(2), hard={F(0): -HALF}),
    "hardtanh_jacobian_orth_L2": lambda: networks.jacobian(
        {F(0): F(1, 5), F(1): F(4, 5)}, 2, F(5, 4), True, hard={F(0): -HALF}
    ),
    "separable_covariance": lambda: separable({F(1): HALF, F(4): HALF}, {F(1): HALF, F(3): HALF}, HALF),
}


def polynomial(text):
    """{(power of G, power of z): coefficient} from a sum of products."""
    P = {}
    for sign, term in re.findall(r"([+-]?)\s*([^+-]+)", text):
        powers, coefficient = {"G": 0, "z": 0}, F(-1 if sign == "-" else 1)
        for factor in re.findall(r"(?:\d+|[Gz](?:\*\*\d+)?)", term):
            if factor[0] in powers:
                powers[factor[0]] += int(factor[3:] or 1)
            else:
                coefficient *= int(factor)
        P[powers["G"], powers["z"]] = coefficient
    return P


@pytest.mark.parametrize("name", [n for n, o in ORACLES.items() if o])
def test_oracles(name):
    """Moments of this suite's power series, and g from its own polynomial and from that of the file, to 25 digits."""
    it, law = ORACLES[name](), REFERENCE[name]
    assert list(it.moments[:10]) == [F(m) for m in law["moments_exact"]]
    branches = [Branch(polynomial(law["polynomial_P_of_G_z"]), reach=25.0)] + ([it.branch] if it.branch else [])
    with mp.workdps(32):
        for branch in branches:
            for point in law["stieltjes"]:
                z, g = mp.mpc(*point["z"]), mp.mpc(*point["G"])
                assert abs(branch.at(z) - g) < mp.mpf(10) ** -25 * abs(g), (z, branch)
            for point in law["density"]:
                if not (name == "deformed_goe_pm1_critical" and float(point["x"]) == 0):
                    assert abs(branch.density(mp.mpf(point["x"])) - mp.mpf(point["rho"])) < mp.mpf(10) ** -15


def test_smooth_gates():
    """The quadrature oracle for gates with a density."""
    law = REFERENCE["erf_jacobian_L1"]
    it = networks.Gates(lambda h, lib: lib.exp(-(h**2)), 1.0, 1, math.sqrt(3))
    np.testing.assert_allclose([float(m) for m in it.moments(10)], [float(m) for m in law["moments_exact"]], rtol=1e-13)
    for point in law["stieltjes"][:4]:
        assert it.at(complex_of(point["z"])) == pytest.approx(complex_of(point["G"]), rel=1e-11)
    for point in law["density"][::3]:
        assert it.density(float(point["x"])) == pytest.approx(float(point["rho"]), rel=1e-10)
