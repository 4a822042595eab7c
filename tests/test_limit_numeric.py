"""Limits that are real numbers: against mpmath, against each other, and their stated errors against the truth."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction as F
from functools import partial
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st
from oracles import gauss, gauss2
from reference_programs import build
from scipy.integrate import quad

import rmtp

DATA = Path(__file__).parent / "data"
REFERENCES = ["P03_rect_ratio", "P05_nonsmooth", "P06_layernorm", "P09_singular", "P12_order"]
REFERENCES += ["P14_tied_autoencoder", "R04_random"]


def load(name):
    return json.loads((DATA / f"{name}.json").read_text())


def within(estimate, truth, factor=5.0, rounding=2e-13):
    """The honesty of an error: |value - truth| <= factor * error, with room for the rounding of the truth itself."""
    return abs(estimate.value - truth) <= factor * estimate.error + rounding * max(1.0, abs(truth))


# ---------------------------------------------------------------------------------------------
# programs computed by others: quadrature where `se` is 0, else 3.2e7 Monte Carlo samples of Z


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_programs(name):
    spec = load(name)
    outputs = build(spec)
    # 4.5 standard errors: one false alarm in 150 000 per number, and there are about 60 numbers.
    answers = rmtp.limit(list(outputs.values()), rtol=1e-7)
    missed = []
    for key, estimate in zip(outputs, answers, strict=True):
        claim = spec["results"][key]
        # the stored "exact" numbers are quadratures of their own, good to 1e-7
        allowed = 4.5 * math.hypot(claim["se"], estimate.error) + 2e-7 * max(1, abs(claim["limit"]))
        if abs(estimate.value - claim["limit"]) > allowed:
            missed.append((key, estimate, claim["limit"], allowed))
    assert not missed


def test_reference_by_quadrature_of_our_own():
    """P03 and P12 in one-dimensional integrals, by hand from the rules."""
    sech2 = lambda v: mp.sech(v) ** 2  # noqa: E731
    p03 = rmtp.limit([build(load("P03_rect_ratio"))[k] for k in ("E_u1_sq", "E_v1_v", "E_v1_sq")])
    slope, second = gauss(sech2, 2), gauss(lambda v: mp.tanh(v) ** 2, 2)
    for estimate, truth in zip(p03, (2, slope, second + slope**2), strict=True):
        assert within(estimate, float(truth))
    p12 = rmtp.limit([build(load("P12_order"))[k] for k in ("E_h2_y1", "E_h2_h1", "h4_minus_h1")])
    slope = gauss(sech2, mp.mpf("2.09"))  # tanh(g1 + x), Var g1 = E y1^2 = 1.09
    for estimate, truth in zip(p12, (slope * mp.mpf("1.09"), slope, 0), strict=True):
        assert within(estimate, float(truth))


def test_naive_answers_of_reference_programs():
    """gradient_independence=True drops Z-Dot: within the noise of an independent simulation (2e6 samples)."""
    for name, keys in (("P03_rect_ratio", ["E_v1_sq"]), ("P05_nonsmooth", ["E_g1_sq", "P_s2"])):
        spec = load(name)
        outputs = build(spec)
        for key in keys:
            estimate = rmtp.limit(outputs[key], gradient_independence=True)
            assert abs(estimate.value - spec["results"][key]["naive"]) < 5e-3
            assert abs(estimate.value - rmtp.limit(outputs[key]).value) > 5e-3


# ---------------------------------------------------------------------------------------------
# closed forms and their published values


def test_relu_arc_cosine_kernel_at_all_correlations():
    n = rmtp.Dim("n")
    for rho in (-1.0, -0.7, 0.0, 0.3, 0.999, 1.0):
        for a, b in ((1.0, 1.0), (0.5, 2.0)):
            c = rho * math.sqrt(a * b)
            x, y = rmtp.Normal(n, (0, 0), [[a, c], [c, b]])
            angle = math.acos(rho)
            truth = math.sqrt(a * b) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
            assert within(rmtp.limit(np.mean(rmtp.relu(x) * rmtp.relu(y))), truth)
            step = (math.pi - angle) / (2 * math.pi)
            assert within(rmtp.limit(np.mean(np.heaviside(x, 0) * np.heaviside(y, 0))), step)


def test_erf_arcsine_kernel():
    n = rmtp.Dim("n")
    for a, b, c in ((1.0, 1.0, 0.5), (0.3, 2.0, -0.7), (1.0, 1.0, 1.0), (1.5, 1.5, -1.5)):
        x, y = rmtp.Normal(n, (0, 0), [[a, c], [c, b]])
        truth = 2 / math.pi * math.asin(2 * c / math.sqrt((1 + 2 * a) * (1 + 2 * b)))
        assert within(rmtp.limit(np.mean(sp.erf(x) * sp.erf(y))), truth)


def test_exponentials_and_waves():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0.3, -0.2), [[0.5, 0.2], [0.2, 0.7]])
    truth = math.exp(0.3 - 0.2 + (0.5 + 0.7 + 0.4) / 2)
    assert within(rmtp.limit(np.mean(np.exp(x) * np.exp(y))), truth)
    truth = math.cos(0.5) * math.exp(-(0.5 + 0.7 - 0.4) / 2) / 2 + math.cos(0.1) * math.exp(-(0.5 + 0.7 + 0.4) / 2) / 2
    assert within(rmtp.limit(np.mean(np.cos(x) * np.cos(y))), truth)


@pytest.mark.parametrize("corr", [-1.0, -0.999, -0.5, 0.0, 0.6, 0.97, 1.0])
@pytest.mark.parametrize(
    ("f", "g", "kf", "kg"),
    [
        (np.tanh, np.tanh, (), ()),
        (np.tanh, lambda v: np.maximum(v, 0), (), (0.0,)),
        (np.abs, np.sin, (0.0,), ()),
        (lambda v: np.where(v > 0.3, 1.0, 0.0), lambda v: np.maximum(v, 0), (0.3,), (0.0,)),
        (lambda v: np.clip(v, -0.5, 1.0), np.sign, (-0.5, 1.0), (0.0,)),
        (lambda v: np.exp(-(v**2)), lambda v: v**2, (), ()),
    ],
)
def test_pairs_against_panel_quadrature(corr, f, g, kf, kg):
    a, b = 1.3, 0.6
    c = corr * math.sqrt(a * b)
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0, 0), [[a, c], [c, b]])
    split = tuple(kf) + tuple(k * math.sqrt(a / b) * np.sign(corr) for k in kg if abs(corr) == 1)
    truth = gauss2(lambda u, v: f(u) * g(v), [[a, c], [c, b]], kink1=split, kink2=kg)
    # near |corr| = 1 the inner conditional law is narrow, and the outer panels feel the inner kink
    slack = 1e-6 if 0.99 < abs(corr) < 1 and kg else 1e-10
    assert within(rmtp.limit(np.mean(f(x) * g(y))), truth, rounding=slack)


# ---------------------------------------------------------------------------------------------
# all methods agree


def smooth_pair():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0.0, 0.0), [[1.0, 0.4], [0.4, 0.8]])
    return np.mean(np.tanh(x) * np.arctan(y))


def closed_pair():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0.0, 0.0), [[1.0, 0.4], [0.4, 0.8]])
    return np.mean(sp.erf(x) * sp.erf(y))


def kinked_pair():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0.0, 0.0), [[1.0, 0.4], [0.4, 0.8]])
    return np.mean(rmtp.relu(x) * rmtp.relu(y))


def deep():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    return np.mean(np.tanh(W.T @ np.tanh(W @ x)) * x)


@pytest.mark.parametrize(
    ("make", "methods"),
    [
        (smooth_pair, ("auto", "mehler", "quadrature", "sobol")),
        (closed_pair, ("auto", "closed", "mehler", "quadrature", "sobol")),
        (kinked_pair, ("auto", "closed", "quadrature", "sobol")),
        (deep, ("auto", "quadrature", "sobol")),
    ],
)
def test_methods_agree_within_their_errors(make, methods):
    answers = {m: rmtp.limit(make(), method=m) for m in methods}
    for a in answers.values():
        for b in answers.values():
            assert abs(a.value - b.value) <= 5 * math.hypot(a.error, b.error) + 1e-14
    assert answers["sobol"].method == "sobol"
    assert answers["sobol"].error > answers["auto"].error


def test_sobol_seeds_differ_and_repeat():
    expr = deep()
    first, again, other = (rmtp.limit(expr, method="sobol", seed=s) for s in (1, 1, 2))
    assert first.value == again.value
    assert first.value != other.value
    assert abs(first.value - other.value) <= 5 * math.hypot(first.error, other.error)


def test_sobol_error_is_calibrated():
    """Thirty seeds against the truth: the standard error is neither far too small nor far too large.

    With 16 replicates z is a Student t of 15 degrees: its mean square is 1.15, and for 30 draws it lies in (0.45, 2.6) but for
    one case in 10^4.
    """
    n = rmtp.Dim("n")
    x, y, z, w = rmtp.Normal(n, (0,) * 4, np.eye(4).tolist())
    expr = np.mean(np.tanh(x + y * z + w) ** 2 * np.cos(w + x * y))
    truth = rmtp.limit(expr, method="sobol", budget=2**21, rtol=1e-3, seed=12345)
    scores = []
    for seed in range(30):
        e = rmtp.limit(expr, method="sobol", seed=seed, budget=2**13, rtol=0.5)
        scores.append((e.value - truth.value) / math.hypot(e.error, truth.error))
    assert 0.45 < np.mean(np.square(scores)) < 2.6


# ---------------------------------------------------------------------------------------------
# precision


def test_fifty_digits_against_mpmath():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    value = rmtp.limit(np.mean((W.T @ np.tanh(W @ x)) * x), dps=50).value
    truth = gauss(lambda v: mp.sech(v) ** 2, dps=60)
    with mp.workdps(60):
        assert abs(value - truth) < mp.mpf(10) ** -48
    value = rmtp.limit(np.mean(rmtp.relu(x + F(1, 3))), dps=50).value
    with mp.workdps(60):
        truth = gauss(lambda v: max(v, 0), 1, mp.mpf(1) / 3, [0], dps=60)
        assert abs(value - truth) < mp.mpf(10) ** -48


@pytest.mark.parametrize("dps", [15, 30, pytest.param(100, marks=pytest.mark.slow)])
def test_digits_that_are_asked_for(dps):
    n = rmtp.Dim("n")
    value = rmtp.limit(np.mean(np.exp(-(rmtp.Normal(n) ** 2))), dps=dps).value
    with mp.workdps(dps + 10):
        assert abs(value - 1 / mp.sqrt(3)) < mp.mpf(10) ** (2 - dps)


def test_precision_is_not_global():
    before = mp.mp.dps
    rmtp.limit(np.mean(np.tanh(rmtp.Normal(rmtp.Dim("n"))) ** 2), dps=40)
    assert mp.mp.dps == before


# ---------------------------------------------------------------------------------------------
# sweeps


def pointwise(make, values):
    return np.array([float(rmtp.limit(make(v)).value) for v in values])


@pytest.mark.parametrize("f", [np.tanh, rmtp.relu, np.sign, lambda v: v**3], ids=["tanh", "relu", "sign", "cube"])
def test_a_sweep_over_the_std(f):
    n = rmtp.Dim("n")

    def make(std):
        W, x = rmtp.Gaussian(n, n, std), rmtp.Normal(n)
        return np.mean(f(W.T @ f(W @ x)) * x)

    stds = np.array([0.0, 0.5, 1.0, 1.7])
    sweep = rmtp.limit(make(stds))
    assert sweep.value.shape == (4,)
    np.testing.assert_allclose(np.asarray(sweep.value, float), pointwise(make, stds), rtol=1e-7, atol=1e-9)


def test_a_sweep_over_a_parameter_and_a_grid():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)

    def make(t, s):
        return np.mean(np.tanh(rmtp.parameter(t) * (W @ x) + rmtp.parameter(s) * x) ** 2)

    ts, ss = np.array([[0.1], [1.0], [2.0]]), np.array([[0.0, 0.5]])
    sweep = rmtp.limit(make(ts, ss))
    assert sweep.value.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            assert sweep.value[i, j] == pytest.approx(rmtp.limit(make(ts[i, 0], ss[0, j])).value, rel=1e-8)
            truth = gauss(lambda v: mp.tanh(v) ** 2, ts[i, 0] ** 2 + ss[0, j] ** 2)
            assert sweep.value[i, j] == pytest.approx(float(truth), rel=1e-8)


def test_a_sweep_over_the_ratio():
    n = rmtp.Dim("n")

    def make(ratio):
        m = rmtp.Dim("m", ratio)
        W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
        return np.mean(np.tanh(W.T @ np.tanh(W @ x)) * x)

    ratios = np.array([0.25, 1.0, 3.0])
    np.testing.assert_allclose(rmtp.limit(make(ratios)).value, pointwise(make, ratios), rtol=1e-8)


# ---------------------------------------------------------------------------------------------
# derivative form equals Stein form


def zdot_programs():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    W, x, b = rmtp.Gaussian(m, n), rmtp.Normal(n, 0.2), rmtp.Normal(m, 0.3)
    h = W @ x
    g = W.T @ np.tanh(h + b)
    h2 = W @ np.tanh(g + x)
    yield np.mean(g * x)
    yield np.mean(h2 * h)
    yield np.mean(h2 * np.tanh(h + b))
    yield np.mean((W.T @ (np.arctan(h2) * h)) * x)
    yield np.mean((W.T @ (rmtp.relu(h2 + 0.1))) * x)
    A = rmtp.GOE(n)
    a = A @ np.sin(A @ x + x)
    yield np.mean(a * np.cos(x))


def test_derivative_form_equals_stein_form():
    for expr in zdot_programs():
        derivative, stein = (rmtp.limit(expr, zdot=z) for z in ("derivative", "stein"))
        assert abs(derivative.value - stein.value) <= 5 * math.hypot(derivative.error, stein.error) + 1e-10


def test_stein_for_functions_with_jumps():
    """E d sign(h)/dh = sqrt(2/pi)/sigma, E d step(h - c)/dh = density at c."""
    n = rmtp.Dim("n")
    for var in (0.5, 1.0, 3.0):
        W, x = rmtp.Gaussian(n, n, variance=var), rmtp.Normal(n)
        h = W @ x
        got = rmtp.limit([np.mean((W.T @ f) * x) for f in (np.sign(h), np.heaviside(h - 0.7, 0), (h > 0.7) * h)])
        density = math.exp(-0.49 / (2 * var)) / math.sqrt(2 * math.pi * var)
        tail = 0.5 * math.erfc(0.7 / math.sqrt(2 * var))
        truths = (math.sqrt(2 / math.pi / var), density, tail + 0.7 * density)
        for estimate, truth in zip(got, truths, strict=True):
            assert within(estimate, var * truth)


# ---------------------------------------------------------------------------------------------
# other laws


LAWS = [
    st.uniform(-1, 2),
    st.laplace(),
    st.logistic(),
    st.gamma(2.0),
    st.beta(2, 3),
    st.norm(1, 2),
    st.t(9),
    st.expon(),
    st.poisson(1.5),
    st.binom(4, 0.3),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.dist.name)
@pytest.mark.parametrize(
    "f", [np.tanh, lambda v: np.maximum(v - 0.5, 0), lambda v: np.exp(-(v**2))], ids=["tanh", "relu", "bump"]
)
def test_averages_over_other_laws(law, f):
    n = rmtp.Dim("n")
    estimate = rmtp.limit(np.mean(f(rmtp.IID(n, law))))
    kinks = [0.5] if float(law.support()[0]) < 0.5 < float(law.support()[1]) else []
    if hasattr(law.dist, "pdf"):
        low, high = (float(v) for v in law.support())
        cuts = sorted(
            {max(low, -60.0), min(high, 60.0), *(c for c in (-8.0, -2.0, 0.0, *kinks, 2.0, 8.0) if low < c < high)}
        )
        truth = 0.0
        x, w = np.polynomial.legendre.leggauss(20)
        for edges in (np.linspace(a, b, 31) for a, b in itertools.pairwise(cuts)):
            half = np.diff(edges)[:, None] / 2
            nodes = edges[:-1, None] + half + half * x
            truth += float(np.sum(half * w * law.pdf(nodes) * f(nodes)))
        slack = float(law.sf(60) + law.cdf(-60)) * 70 + 1e-12
    else:
        k = np.arange(0, 80)
        truth, slack = float(np.sum(law.pmf(k) * f(k.astype(float)))), 1e-13
    assert within(estimate, truth, rounding=slack)


def test_bernoulli_gauss_mixture():
    n = rmtp.Dim("n")
    x = rmtp.IID(n, rmtp.Mixture([0, st.norm()], [0.9, 0.1]))
    noise = rmtp.Normal(n, cov=0.25)
    estimate = rmtp.limit(np.mean((rmtp.soft_threshold(x + noise, 0.5) - x) ** 2))
    soft = lambda v: mp.sign(v) * max(abs(v) - mp.mpf(1) / 2, 0)  # noqa: E731
    zero = gauss(lambda v: soft(v) ** 2, 0.25, 0, [-0.5, 0.5])
    signal = gauss2(
        lambda s, v: (np.sign(v) * np.maximum(np.abs(v) - 0.5, 0) - s) ** 2, [[1, 1], [1, 1.25]], kink2=[-0.5, 0.5]
    )
    assert within(estimate, float(mp.mpf("0.9") * zero) + 0.1 * signal, rounding=1e-10)


# ---------------------------------------------------------------------------------------------
# the honesty of the error: known truths


def _battery():
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]])
    yield "E exp(0.4 g^2)", np.mean(np.exp(0.4 * x**2)), 1 / math.sqrt(0.2)
    yield "E exp(0.45 g^2)", np.mean(np.exp(0.45 * x**2)), 1 / math.sqrt(0.1)
    yield "E exp(0.49 g^2)", np.mean(np.exp(0.49 * x**2)), 1 / math.sqrt(0.02)
    yield "E exp(x y / 2)", np.mean(np.exp(x * y / 2)), 1 / math.sqrt(0.75)
    yield "E |g|^1/2", np.mean(np.abs(x) ** 0.5), 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi)
    yield "E |g|^-1/2", np.mean(np.abs(x) ** -0.5), 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)
    yield "E log|g|", np.mean(np.log(np.abs(x))), -(np.euler_gamma + math.log(2)) / 2
    yield "E log g^2", np.mean(np.log(x**2)), -(np.euler_gamma + math.log(2))
    yield "E |g|^3", np.mean(np.abs(x) ** 3), 2 * math.sqrt(2 / math.pi)
    yield "E max(x, y)", np.mean(np.maximum(x, y)), 1 / math.sqrt(math.pi)
    yield "E hypot(x, y)", np.mean(np.hypot(x, y)), math.sqrt(math.pi / 2)
    yield "E cos(5 g)", np.mean(np.cos(5 * x)), math.exp(-12.5)
    yield "E cos(20 g)", np.mean(np.cos(20 * x) * x**2), (1 - 400) * math.exp(-200)
    yield "E Phi(3 g + 1)", np.mean(sp.ndtr(3 * x + 1)), 0.5 * math.erfc(-1 / math.sqrt(10) / math.sqrt(2))
    yield (
        "E tanh(50 g) g",
        np.mean(np.tanh(50 * x) * x),
        float(gauss(lambda v: v * mp.tanh(50 * v), 1, 0, [-0.1, 0, 0.1])),
    )
    yield "E 1/(1 + g^2)", np.mean(1 / (1 + x**2)), math.sqrt(math.pi / 2) * math.exp(0.5) * math.erfc(math.sqrt(0.5))
    yield "E bump", np.mean(np.exp(-1000 * (x - 1) ** 2)), math.exp(-1000 / 2001) / math.sqrt(2001)
    yield "P(xy > 1/2)", np.mean(x * y > 0.5), float(mp.quad(lambda t: mp.besselk(0, t), [0.5, 2, 8, 60]) / mp.pi)
    yield "E |x y|", np.mean(np.abs(x * y)), 2 / math.pi
    yield "E sqrt(relu)", np.mean(np.sqrt(np.maximum(x, 0))), 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi) / 2
    e = rmtp.IID(n, st.expon())
    yield "E exp(0.4 e)", np.mean(np.exp(0.4 * e)), 1 / 0.6
    yield "E sqrt e", np.mean(np.sqrt(e)), math.sqrt(math.pi) / 2
    t3, t5 = rmtp.IID(n, st.t(3)), rmtp.IID(n, st.t(5))
    yield "E |t_3|", np.mean(np.abs(t3)), 2 * math.sqrt(3) / math.pi
    yield (
        "E |t_5|^3",
        np.mean(np.abs(t5) ** 3),
        5**1.5 * math.gamma(2) * math.gamma(1) / math.sqrt(math.pi) / math.gamma(2.5),
    )
    c = rmtp.IID(n, st.cauchy())
    yield "E |cauchy|^1/2", np.mean(np.abs(c) ** 0.5), math.sqrt(2)
    yield "E log |cauchy|", np.mean(np.log(np.abs(c))), 0.0
    yield "E 1/(1 + cauchy^2)", np.mean(1 / (1 + c**2)), 0.5
    b = rmtp.IID(n, st.beta(0.5, 0.5))
    yield "E beta^2", np.mean(np.abs(b) ** 2.0), 3 / 8
    yield "E arcsine tanh", np.mean(np.sqrt(b)), 2 / math.pi


BATTERY = list(_battery())
HEAVY = {"E |t_5|^3", "E |t_3|", "E |cauchy|^1/2"}  # a share of these lies so far out that eight digits may be refused


@pytest.mark.parametrize(("name", "expr", "truth"), BATTERY, ids=[b[0] for b in BATTERY])
def test_the_error_covers_the_truth(name, expr, truth):
    try:
        estimate = rmtp.limit(expr)
    except rmtp.errors.NotConverged:
        if name in HEAVY:
            return
        raise
    assert within(estimate, truth), f"{name}: {estimate!r}, truth {truth!r}"


def test_the_error_covers_the_truth_at_loose_tolerances():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    truth = float(gauss(lambda v: mp.tanh(3 * v) ** 2))
    for rtol in (1e-2, 1e-4, 1e-6, 1e-10):
        assert within(rmtp.limit(np.mean(np.tanh(3 * x) ** 2), rtol=rtol), truth)


def test_errors_propagate_through_scalars():
    """theta with a stated error feeds 1/theta^4 times a large number."""
    n = rmtp.Dim("n")
    x, y, z, w = rmtp.Normal(n, (0,) * 4, np.eye(4).tolist())
    hard = np.mean(np.tanh(x + y * z + w) ** 2 * np.cos(w + x * y))
    theta, scaled = rmtp.limit([hard, 1000 / hard**4])
    assert scaled.error >= 0.5 * 4 * 1000 / theta.value**5 * theta.error
    assert scaled.method == "sobol"


@pytest.mark.parametrize("variance", [0.3, 1.0, 2.2736, 4.0])
@pytest.mark.parametrize("c", [0.05, 0.2, 0.4, 0.7])
def test_roots_beside_a_jump_are_found(variance, c):
    """|sin x - c sign x| has kinks close to the jump at 0; two resolutions that both miss one must not agree."""
    x = rmtp.Normal(rmtp.Dim("n"), cov=variance)
    estimate = rmtp.limit(np.mean(np.abs(np.sin(x) - c * np.sign(x))))
    s = variance**0.5
    first = np.arcsin(c)
    ends = sorted(
        {0.0, 12.0, *(r / s for k in range(6) for r in (first + 2 * np.pi * k, np.pi - first + 2 * np.pi * k))}
    )
    ends = [e for e in ends if e <= 12.0]
    truth = 0.0
    for a, b in itertools.pairwise(ends):
        truth += (
            2 * quad(lambda t: abs(np.sin(s * t) - c) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi), a, b, epsabs=1e-14)[0]
        )
    assert abs(float(estimate) - truth) <= 5 * estimate.error + 1e-12


def test_functions_of_a_plateau_take_their_value_there():
    """sign(soft(x)) vanishes on a whole interval: its mean square is P(|x| > t), in closed form and by points."""
    x, t = rmtp.Normal(rmtp.Dim("n"), cov=F(3, 2)), 0.5
    soft = np.sign(x) * np.maximum(np.abs(x) - t, 0)
    truth = 2 * sp.ndtr(-t / math.sqrt(1.5))
    for square in (np.sign(soft) ** 2, np.sign(rmtp.soft_threshold(x, t)) ** 2, np.abs(np.sign(soft))):
        for method in ("auto", "quadrature", "sobol"):
            estimate = rmtp.limit(np.mean(square), method=method)
            assert abs(float(estimate) - truth) <= 5 * estimate.error + 1e-12, (method, estimate, truth)
    half = np.heaviside(soft, 0.25)
    assert abs(float(rmtp.limit(np.mean(half))) - (truth / 2 + 0.25 * (1 - truth))) < 1e-12


@pytest.mark.parametrize("name", ["|x|^5", "|x|^7", "exp(2x)|y|", "(x^2-1)^4|y|"])
def test_sobol_error_under_heavy_tails(name):
    """Where single points carry the mean, the spread of replicates alone was too small by factors of up to six.

    Fixed seeds; a calibrated error gives a root mean square z near 1, and |z| > 4.5 once in 10^5 draws.
    """
    n = rmtp.Dim("n")
    x, y = rmtp.Normal(n), rmtp.Normal(n)
    expr, truth = {
        "|x|^5": (np.abs(x) ** 5, 2**2.5 * math.gamma(3) / math.sqrt(math.pi)),
        "|x|^7": (np.abs(x) ** 7, 2**3.5 * math.gamma(4) / math.sqrt(math.pi)),
        "exp(2x)|y|": (np.exp(2 * x) * np.abs(y), math.exp(2) * math.sqrt(2 / math.pi)),
        "(x^2-1)^4|y|": ((x**2 - 1) ** 4 * np.abs(y), 60 * math.sqrt(2 / math.pi)),
    }[name]
    scores = []
    for seed in range(12):
        try:
            estimate = rmtp.limit(np.mean(expr), method="sobol", seed=seed)
        except rmtp.errors.DivergentExpectation:
            continue  # too heavy for these points: refused
        scores.append((float(estimate) - truth) / estimate.error)
    if scores:
        assert max(np.abs(scores)) < 4.5
        assert np.sqrt(np.mean(np.square(scores))) < 2


def test_what_cancels_is_known_to_the_rounding_of_its_terms():
    """E (tanh x - tanh((1 + e) x))^2 = e^2 E (x / cosh^2 x)^2 + O(e^3): the terms are 0.4, and their rounding is stated."""
    x = rmtp.Normal(rmtp.Dim("n"))
    small = 2.0**-20
    found = rmtp.limit(np.mean((np.tanh(x) - np.tanh((1 + small) * x)) ** 2))
    expected = small**2 * float(mp.quad(lambda t: mp.npdf(t) * (t * mp.sech(t) ** 2) ** 2, [-9, 0, 9]))
    assert 1e-17 < found.error < 1e-9
    assert abs(float(found) - expected) < 2 * found.error
    signal = rmtp.amp.bernoulli_gauss(0.1)
    method = partial(rmtp.amp.amp, denoiser=rmtp.amp.posterior_mean(signal))
    trajectory = rmtp.state_evolution(method, rmtp.amp.linear_model(0.6, signal, 0), 8)
    assert trajectory.mse.value[-1] < 1e-5
    assert trajectory.mse.error[-1] > 1e-17


def test_next_to_nothing_between_copies():
    """A mean that vanishes by symmetry, of terms with errors of their own, is one number."""
    n = rmtp.Dim("n")
    g, h = rmtp.Normal(n), rmtp.Normal(n)
    found = rmtp.limit(np.mean(rmtp.soft_threshold(1e-17 * np.exp(-(g**2)) - 0.4 * h, 0.5)))
    assert np.ndim(found.value) == 0
    assert abs(float(found)) < 1e-15
