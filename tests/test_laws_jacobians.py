"""Singular values of network Jacobians: S-transform oracles, published moments, explicit programs, real networks.

The gates come from a forward pass through the same matrices; that forward and backward pass are free is for the engine to find.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction as F

import law_networks as oracle
import numpy as np
import pytest
from law_checks import (
    CHECKS,
    COUNT,
    check_atoms,
    check_continuation,
    check_density,
    check_hard_edges,
    check_stieltjes,
    check_support,
)
from law_oracles import fuss_catalan, gaussian, haar, marchenko_pastur
from scipy.special import erf

import rmtp

HALF = F(1, 2)
N = rmtp.Dim("n")
GAIN = {
    "gaussian": lambda variance: rmtp.Gaussian(N, N, variance=variance),
    "haar": lambda v: math.sqrt(v) * rmtp.Haar(N),
}


def chain(gates, matrices):
    """D_L W_L .. D_1 W_1."""
    J = None
    for D, W in zip(gates, matrices, strict=True):
        J = D @ W if J is None else D @ W @ J
    return J


def iid_gates(atoms, layers, weights):
    gates = [rmtp.diag(rmtp.IID(N, rmtp.Discrete(list(atoms), list(atoms.values())))) for _ in range(layers)]
    return chain(gates, [weights() for _ in range(layers)])


def network(phi, dphi, layers, variance, ensemble="gaussian", start=1, bias=0):
    """The Jacobian of x -> phi(W x + b) repeated; x has coordinates of mean square `start`."""
    x = rmtp.Normal(N, cov=start)
    gates, matrices = [], []
    for _ in range(layers):
        W = GAIN[ensemble](variance)
        h = W @ x + (rmtp.Normal(N, cov=bias) if bias else 0)
        gates.append(rmtp.diag(dphi(h)))
        matrices.append(W)
        x = phi(h)
    return chain(gates, matrices)


def step(h):
    return np.heaviside(h, 0)


RELU = (rmtp.relu, step)
LEAKY = (lambda h: np.where(h > 0, h, h / 4), lambda h: 0.25 + 0.75 * step(h))
CASES = {
    "relu-2": (
        lambda: network(*RELU, 2, 2),
        lambda: oracle.jacobian({F(0): HALF, F(1): HALF}, 2, F(2), atoms={F(0): HALF}, hard={F(0): -HALF}),
    ),
    "relu-3": (
        lambda: network(*RELU, 3, 2),
        lambda: oracle.jacobian({F(0): HALF, F(1): HALF}, 3, F(2), atoms={F(0): HALF}, hard={F(0): -F(2, 3)}),
    ),
    "leaky-2": (
        lambda: network(*LEAKY, 2, 1),
        lambda: oracle.jacobian({F(1, 16): HALF, F(1): HALF}, 2, F(1), hard={F(0): -F(2, 3)}),
    ),
    "iid-1/3-2": (
        lambda: iid_gates({F(0): F(2, 3), F(1): F(1, 3)}, 2, lambda: rmtp.Gaussian(N, N, variance=3)),
        lambda: oracle.jacobian({F(0): F(2, 3), F(1): F(1, 3)}, 2, F(3), atoms={F(0): F(2, 3)}, hard={F(0): -HALF}),
    ),
    "iid-haar-2": (
        lambda: iid_gates({F(0): F(1, 5), F(1): F(4, 5)}, 2, lambda: rmtp.Haar(N)),
        lambda: oracle.jacobian(
            {F(0): F(1, 5), F(1): F(4, 5)}, 2, F(1), True, atoms={F(0): F(1, 5), F(1): F(3, 5)}, hard={F(0): -HALF}
        ),
    ),
    "iid-haar-3": (
        lambda: iid_gates({F(0): F(1, 10), F(1): F(9, 10)}, 3, lambda: rmtp.Haar(N)),
        lambda: oracle.jacobian(
            {F(0): F(1, 10), F(1): F(9, 10)},
            3,
            F(1),
            True,
            atoms={F(0): F(1, 10), F(1): F(7, 10)},
            hard={F(0): -F(2, 3)},
        ),
    ),
    "leaky-haar-3": (
        lambda: network(*LEAKY, 3, 1, "haar"),
        lambda: oracle.jacobian({F(1, 16): HALF, F(1): HALF}, 3, F(1), True),
    ),
}


NAMES = [n if n in ("relu-2", "leaky-2") else pytest.param(n, marks=pytest.mark.slow) for n in CASES]


@functools.cache
def law_of(name):
    J = CASES[name][0]()
    return rmtp.spectrum(J @ J.T)


@functools.cache
def oracle_of(name):
    return CASES[name][1]()


@pytest.mark.parametrize("name", NAMES)
def test_oracle(name):
    it = oracle_of(name)
    check_continuation(it, (0.3, 0.6, 0.9))


@pytest.mark.parametrize("check", CHECKS[1:], ids=lambda c: c.__name__[6:])
@pytest.mark.parametrize("name", NAMES)
def test_law(name, check):
    check(law_of(name), oracle_of(name))


@pytest.mark.parametrize("name", CASES)
def test_moments(name):
    """Rational as far as the engine's data are: a slope of 1/4 given as 0.25 is a float."""
    found, expected = [law_of(name).moment(k) for k in range(1, 11)], oracle_of(name).moments[:10]
    np.testing.assert_allclose([float(m) for m in found], [float(m) for m in expected], rtol=1e-12)
    if not name.startswith("leaky"):
        assert found == list(expected)


@pytest.mark.parametrize("name", ["relu-2", "leaky-2", pytest.param("leaky-haar-3", marks=pytest.mark.slow)])
def test_a_real_network(name):
    """J of a network of width 700 with its own forward pass, not of free factors."""
    layers = int(name[-1])
    orthogonal, leak = "haar" in name, 0.25 if name.startswith("leaky") else 0.0
    rng, n = np.random.default_rng(5), 700
    variance = 1.0 if leak else 2.0
    x, J = rng.standard_normal(n), np.eye(n)
    for _ in range(layers):
        W = math.sqrt(variance) * (haar(n, rng) if orthogonal else gaussian(n, n, rng))
        h = W @ x
        slope = np.where(h > 0, 1.0, leak)
        x, J = slope * h, slope[:, None] * (W @ J)
    eigenvalues = np.sort(np.linalg.eigvalsh(J @ J.T))
    # signs of h are n coin flips, so counts move by sqrt(n)/2 per layer; four standard deviations
    at = (n * np.linspace(0.6, 0.97, 8)).astype(int)
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.max(abs(n * law_of(name).cdf(middle) - at - 1)) <= 4 * math.sqrt(layers * n) / 2 + COUNT


# ---------------------------------------------------------------------------------------------
# gates with a density


def clip_square(q):
    """E clip(sqrt(q) z, -1, 1)^2."""
    a = 1 / math.sqrt(q)
    inside = erf(a / math.sqrt(2))
    return q * (inside - 2 * a * math.exp(-a * a / 2) / math.sqrt(2 * math.pi)) + 1 - inside


def stationary(phi, q, variance):
    """Start and bias with which every preactivation has variance q."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    start = float(np.sum(weights * phi(math.sqrt(q) * nodes) ** 2) / math.sqrt(2 * math.pi))
    return start, q - variance * start


SMOOTH = {
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2, lambda h, lib: (1 - lib.tanh(h) ** 2) ** 2, np.tanh),
    "erf": (
        None,
        lambda h: 2 / math.sqrt(math.pi) * np.exp(-(h**2)),
        lambda h, lib: 4 / lib.pi * lib.exp(-2 * h**2),
        erf,
    ),
}


@functools.cache
def smooth_law(name, layers, ensemble, q, variance):
    phi, dphi, _, finite = SMOOTH[name]
    if phi is None:
        import scipy.special

        phi = scipy.special.erf
    start, bias = stationary(finite, q, variance)
    J = network(phi, dphi, layers, variance, ensemble, start, bias)
    return rmtp.spectrum(J @ J.T)


SETTINGS = [
    ("tanh", 1, "gaussian"),
    ("erf", 1, "gaussian"),
    ("tanh", 2, "haar"),
    *(
        pytest.param(*s, marks=pytest.mark.slow)
        for s in [("erf", 2, "haar"), ("tanh", 3, "gaussian"), ("erf", 2, "gaussian")]
    ),
]


@pytest.mark.parametrize(("name", "layers", "ensemble"), SETTINGS)
def test_smooth_gates(name, layers, ensemble):
    """One density of gates; g and density through psi_D by quadrature, moments through the S-transform."""
    q, variance = 0.5, 1.25
    law = smooth_law(name, layers, ensemble, q, variance)
    it = oracle.Gates(SMOOTH[name][2], q, layers, variance, ensemble == "haar")
    moments = np.array([float(m) for m in it.moments(6)])
    np.testing.assert_allclose([float(law.moment(k)) for k in range(1, 7)], moments, rtol=1e-10)
    z = np.array([1 + 1j, -0.5 + 0.25j, 0.3 + 0.05j, 0.5 - 0.2j, 8 + 0j])
    np.testing.assert_allclose(law.stieltjes(z), [it.at(v) for v in z], rtol=1e-9)
    x = np.array([0.1, 0.3, 0.6, 1.0])
    np.testing.assert_allclose(law.pdf(x), [it.density(v) for v in x], rtol=1e-8, atol=1e-9)


@pytest.mark.slow
def test_a_density_that_dies_out_at_zero():
    """tanh'(h)^2 of a Gaussian h has no positive lower bound and falls faster than any power: no edge is invented."""
    law = smooth_law("tanh", 2, "haar", 0.5, 1.25)
    assert law.support()[0][0] == 0 and law.edges[0].exponent == math.inf
    assert law.cdf(10.0) == pytest.approx(1, abs=1e-8)
    for k in (1, 2, 3):
        assert law.expect(lambda x, k=k: x**k) == pytest.approx(float(law.moment(k)), rel=1e-8)


@pytest.mark.parametrize("ensemble", ["gaussian", "haar"])
@pytest.mark.parametrize("layers", [2, 3])
def test_hard_tanh(ensemble, layers):
    """p = erf(1/sqrt(2 q)) at a stationary q: Var/mean^2 = L/p, or L(1 - p)/p for Haar (Pennington et al. 2018)."""
    q, variance = 0.6, 1.2
    p, start = erf(1 / math.sqrt(2 * q)), clip_square(q)
    J = network(
        lambda h: np.clip(h, -1, 1), lambda h: step(1 - np.abs(h)), layers, variance, ensemble, start, q - variance * start
    )  # fmt: skip
    law = rmtp.spectrum(J @ J.T)
    assert float(law.mean()) == pytest.approx((variance * p) ** layers, rel=1e-12)
    spread = layers / p if ensemble == "gaussian" else layers * (1 - p) / p
    assert float(law.var()) / float(law.mean()) ** 2 == pytest.approx(spread, rel=1e-10)
    share = F(p).limit_denominator(10**9)
    atoms = {F(0): 1 - share}
    if ensemble == "haar" and 1 - layers * (1 - share) > 0:
        atoms[F(variance) ** layers] = 1 - layers * (1 - share)
    gates, hard = {F(0): 1 - share, F(1): share}, {F(0): -F(layers - 1, layers)}
    it = oracle.jacobian(gates, layers, F(variance), ensemble == "haar", atoms=atoms, hard=hard)
    near = [float(m) for m in it.moments[:10]]
    np.testing.assert_allclose(
        [float(law.moment(k)) for k in range(1, 11)], near, rtol=1e-7
    )  # share is rounded to 1e-9
    check = np.array([0.2, 0.4, 0.8])
    np.testing.assert_allclose(law.pdf(check), [float(it.branch.density(x)) for x in check], rtol=1e-6)
    assert sorted(float(a.mass) for a in law.atoms) == pytest.approx(sorted(float(w) for w in atoms.values()), abs=2e-8)


def test_published_moments():
    """ReLU, sigma_w^2 = 2: 1, 3, 11, 45 at depth 1 and 1, 7, 67, 741 at depth 3; m_2/m_1^2 = (L + p)/p."""
    for layers, values in [(1, [1, 3, 11, 45]), (3, [1, 7, 67, 741])]:
        J = network(*RELU, layers, 2)
        law = rmtp.spectrum(J.T @ J)
        assert [law.moment(k) for k in range(1, 5)] == values


# ---------------------------------------------------------------------------------------------
# rectangular, singular values, depth


def test_rectangular_network():
    """Widths 1 : 2 : 1/2 with gates of two values each, both sides, against S-transforms; they share nonzero eigenvalues."""
    d0, d1, d2 = rmtp.Dim("d0"), rmtp.Dim("d1", 2), rmtp.Dim("d2", HALF)
    first, second = {F(0): F(1, 4), F(1): F(3, 4)}, {F(1): F(1, 3), F(2): F(2, 3)}
    D1 = rmtp.diag(rmtp.IID(d1, rmtp.Discrete(list(first), list(first.values()))))
    D2 = rmtp.diag(rmtp.IID(d2, rmtp.Discrete(list(second), list(second.values()))))
    J = D2 @ rmtp.Gaussian(d2, d1, variance=F(3, 2)) @ D1 @ rmtp.Gaussian(d1, d0, variance=HALF)
    squares = [oracle.atomic_moments({x**2: w for x, w in g.items()}, 10) for g in (first, second)]
    expected = oracle.gaussian_jacobian_moments([F(1), F(2), HALF], [HALF, F(3, 2)], squares, 10)
    rows, cols = rmtp.spectrum(J @ J.T), rmtp.spectrum(J.T @ J)
    assert [rows.moment(k) for k in range(1, 11)] == expected
    assert [cols.moment(k) for k in range(1, 11)] == [m / 2 for m in expected]
    np.testing.assert_allclose(cols.support(), rows.support(), atol=1e-9)
    x = np.linspace(*rows.support()[0], 7)[1:-1]
    np.testing.assert_allclose(2 * cols.pdf(x), rows.pdf(x), rtol=1e-9)
    assert [(float(a.x), float(a.mass)) for a in cols.atoms] == [(0.0, pytest.approx(0.5, abs=1e-12))]


def test_rectangular_tanh():
    """Widths 1 : 2 : 1, sigma_w^2 = 1.3, Var h = 1.5, J = W2 D W1."""
    d0, d1 = rmtp.Dim("d0"), rmtp.Dim("d1", 2)
    W1, W2 = rmtp.Gaussian(d1, d0, variance=1.3), rmtp.Gaussian(d0, d1, variance=1.3)
    h = W1 @ rmtp.Normal(d0, cov=1.5 / 1.3)
    J = W2 @ rmtp.diag(1 - np.tanh(h) ** 2) @ W1
    squares = oracle.Gates(SMOOTH["tanh"][2], 1.5, 1, 1.0).gate_moments(5)
    expected = oracle.gaussian_jacobian_moments([F(1), F(2), F(1)], [1.3, 1.3], [squares, None], 5)
    law = rmtp.spectrum(J @ J.T)
    np.testing.assert_allclose([float(law.moment(k)) for k in range(1, 6)], [float(m) for m in expected], rtol=1e-10)


@pytest.mark.parametrize("ratio", [HALF, 1, 2])
def test_singular_values_of_a_gaussian(ratio):
    """min(rows, cols) of them, so no atom; density 2 s rho(s^2), for a square matrix the quarter circle."""
    law = rmtp.singular_values(rmtp.Gaussian(rmtp.Dim("m", ratio), N))
    it = marchenko_pastur(F(ratio))
    share = min(F(1), 1 / F(ratio))
    assert tuple(law.atoms) == ()
    low, high = (math.sqrt(abs(float(x))) for x in it.support[0])
    np.testing.assert_allclose(law.support(), [(low, high)], atol=1e-10)
    s = np.array([low + (high - low) * t for t in (0.1, 0.5, 0.9)])
    expected = [2 * v * float(it.branch.density(v * v)) / float(share) for v in s]
    np.testing.assert_allclose(law.pdf(s), expected, rtol=1e-9)
    np.testing.assert_allclose(float(law.moment(2)), float(it.moments[0] / share), rtol=1e-10)
    if ratio == 1:
        np.testing.assert_allclose(law.pdf(s), np.sqrt(4 - s**2) / np.pi, rtol=1e-9)
        assert float(law.cdf(1.0)) == pytest.approx((math.sqrt(3) / 2 + math.pi / 3) / math.pi, abs=1e-9)
        assert [float(e.exponent) for e in law.edges][-1] == 0.5


def test_singular_values_of_isometries():
    """Haar: all ones."""
    law = rmtp.singular_values(3 * rmtp.Haar(N))
    (atom,) = law.atoms
    assert (float(atom.x), float(atom.mass)) == (pytest.approx(3, rel=1e-12), pytest.approx(1, abs=1e-12))


@pytest.mark.slow
@pytest.mark.parametrize("layers", [16, 32])
def test_deep_linear(layers):
    """Against the trigonometric parametrisation, degree 33 in z."""
    J = chain([rmtp.eye(N)] * layers, [rmtp.Gaussian(N, N) for _ in range(layers)])
    law = rmtp.spectrum(J @ J.T)
    f = np.pi / (layers + 1) * np.array([0.2, 0.5, 0.8, 0.95])
    x = np.sin((layers + 1) * f) ** (layers + 1) / (np.sin(f) * np.sin(layers * f) ** layers)
    rho = np.sin(f) ** 2 * np.sin(layers * f) ** (layers - 1) / (np.pi * np.sin((layers + 1) * f) ** layers)
    np.testing.assert_allclose(law.pdf(x), rho, rtol=1e-8)
    assert [law.moment(k) for k in range(1, 5)] == list(fuss_catalan(layers).moments[:4])


@pytest.mark.slow
def test_deep_relu():
    """Depth 12; u z = 2^L (1 + u)(u + 1/2)^L has 13 roots."""
    it = oracle.jacobian({F(0): HALF, F(1): HALF}, 12, F(2), atoms={F(0): HALF}, hard={F(0): -F(11, 12)})
    J = network(*RELU, 12, 2)
    law = rmtp.spectrum(J @ J.T)
    for check in (check_stieltjes, check_density, check_hard_edges, check_support, check_atoms):
        check(law, it)


# ---------------------------------------------------------------------------------------------
# residual networks: forward passes through shared matrices, explicit programs as the other route


def residual(phi, dphi, layers, tied, variance):
    x, J = rmtp.Normal(N), rmtp.eye(N)
    shared = rmtp.Gaussian(N, N, variance=variance)
    for _ in range(layers):
        W = shared if tied else rmtp.Gaussian(N, N, variance=variance)
        h = W @ x
        J = (rmtp.eye(N) + rmtp.diag(dphi(h)) @ W) @ J
        x = x + phi(h)
    return J


def unrolled(J, orders):
    v = rmtp.Normal(N)
    out, x = [], v
    for _ in range(orders):
        x = J.T @ (J @ x)
        out.append(np.mean(v * x))
    return out


@pytest.mark.parametrize("tied", [False, True])
def test_residual_polynomial(tied):
    """phi(h) = h^2/2 has rational answers: the series of the fixed point against the unrolled program."""
    J = residual(lambda h: h * h / 2, lambda h: h, 2, tied, HALF)
    law = rmtp.spectrum(J.T @ J)
    exact = [r.value for r in rmtp.limit(unrolled(J, 2), exact=True)]
    assert [float(law.moment(k)) for k in (1, 2)] == pytest.approx([float(m) for m in exact], rel=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_residual_relu(tied):
    J = residual(*RELU, 2, tied, 1)
    law = rmtp.spectrum(J.T @ J)
    found = rmtp.limit(unrolled(J, 3))
    for k, r in enumerate(found, start=1):
        assert float(law.moment(k)) == pytest.approx(float(r.value), rel=1e-8, abs=5 * float(r.error))


@pytest.mark.parametrize("tied", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_residual_sample(tied):
    """Eigenvalues of the Jacobian of a residual network of width 600, gates from its own pass; the signs are coin flips."""
    rng, n, layers = np.random.default_rng(11), 600, 2
    x, J = rng.standard_normal(n), np.eye(n)
    shared = gaussian(n, n, rng)
    for _ in range(layers):
        W = shared if tied else gaussian(n, n, rng)
        h = W @ x
        J = J + (h > 0)[:, None] * (W @ J)
        x = x + np.maximum(h, 0)
    eigenvalues = np.sort(np.linalg.eigvalsh(J.T @ J))
    J = residual(*RELU, layers, tied, 1)
    law = rmtp.spectrum(J.T @ J)
    at = (n * np.linspace(0.05, 0.97, 10)).astype(int)
    middle = (eigenvalues[at] + eigenvalues[at + 1]) / 2
    assert np.max(abs(n * law.cdf(middle) - at - 1)) <= 4 * math.sqrt(layers * n) / 2 + COUNT
