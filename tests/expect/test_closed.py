"""Closed forms against mpmath quadrature of the definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from mpmath.calculus.quadrature import GaussLegendre
from mpmath.ctx_mp import MPContext

import rmtp
from rmtp import catalogue as nl
from rmtp.errors import BadParameter
from rmtp.expect import closed, pieces
from rmtp.nonlinearity import Nonlinearity, Pieces

CTX = MPContext()
CTX.dps = 32

# Standard deviations are binary fractions, so that correlations of +-1 are exactly representable.
TINY, HUGE = 2.0**-5, 10.0
CORRELATIONS = (-1.0, -0.999999, -0.5, 0.0, 0.3, 0.999999, 1.0)
LEAKY, STEEP = nl.leaky_relu(Fraction(1, 10)), nl.leaky_relu(-3.0)
(ERF1,) = nl.ERF.partials()  # type: ignore[misc]
(ERF2,) = ERF1.partials()  # type: ignore[misc,union-attr]
(ERF3,) = ERF2.partials()  # type: ignore[misc,union-attr]
(NDTR1,) = nl.NDTR.partials()  # type: ignore[misc]
(NDTR2,) = NDTR1.partials()  # type: ignore[misc,union-attr]
(LEAKY1,) = LEAKY.partials()  # type: ignore[misc]
(MINUS_SIN,) = nl.COS.partials()  # type: ignore[misc]
(EXP2_SLOPE,) = nl.EXP2.partials()  # type: ignore[misc]
HOMOGENEOUS: tuple[Nonlinearity, ...] = (nl.RELU, LEAKY, STEEP, nl.ABS, nl.SIGN, nl.STEP, LEAKY1)  # type: ignore[assignment]


def mp(f: Nonlinearity, x: Any) -> Any:
    assert f.mp is not None
    return f.mp(CTX, x)


def normal(z: Any) -> Any:
    return CTX.exp(-z * z / 2) / CTX.sqrt(2 * CTX.pi)


def assert_relative(value: Any, reference: Any, rtol: float, label: object) -> None:
    assert abs(CTX.mpf(float(value)) - reference) <= rtol * abs(reference), (label, value, CTX.nstr(reference, 20))


@cache
def legendre() -> list[tuple[Any, Any]]:
    """24 nodes on (-1, 1): enough for entire functions on panels of unit scale."""
    return GaussLegendre(CTX).calc_nodes(4, CTX.prec)


# Homogeneous pairs: the plane in polar coordinates leaves one integral over the angle ------------


def polar(f: Nonlinearity, g: Nonlinearity, cov: float, su: float, sv: float) -> Any:
    """u = su r cos t, v = sv r cos(t - theta), with cos theta the correlation; f, g homogeneous."""
    degree = f.family[1] + g.family[1]
    theta = CTX.acos(CTX.mpf(cov) / (CTX.mpf(su) * sv))
    quarter, turn = CTX.pi / 2, 2 * CTX.pi
    zeros = sorted(t % turn for t in (quarter, 3 * quarter, theta + quarter, theta - quarter))
    cuts = [zeros[-1] - turn, *zeros]
    total = CTX.zero
    for a, b in itertools.pairwise(cuts):
        for x, weight in legendre() if b - a > CTX.mpf(10) ** -30 else ():
            t = (a + b) / 2 + (b - a) / 2 * x
            total += weight * (b - a) / 2 * mp(f, su * CTX.cos(t)) * mp(g, sv * CTX.cos(t - theta))
    return total / turn * 2 ** (CTX.mpf(degree) / 2) * CTX.gamma(CTX.mpf(degree) / 2 + 1)


def check_homogeneous(scales: Sequence[tuple[float, float]]) -> None:
    for f, g in itertools.combinations_with_replacement(HOMOGENEOUS, 2):
        for su, sv in scales:
            cov = np.array(CORRELATIONS) * su * sv
            values = closed.pair(f, g, cov, su**2, sv**2)
            swapped = closed.pair(g, f, cov, sv**2, su**2)
            for value, other, c in zip(values, swapped, cov, strict=True):
                reference = polar(f, g, c, su, sv)
                if abs(reference) < 1e-25:  # exactly zero by symmetry
                    assert value == other == 0.0, (f, g, c)
                else:
                    assert_relative(value, reference, 1e-13, (f, g, c, su, sv))
                    assert_relative(other, reference, 1e-13, (g, f, c, sv, su))


def test_homogeneous_pairs_against_quadrature() -> None:
    check_homogeneous([(1.0, 1.0), (TINY, HUGE)])


@pytest.mark.slow
def test_homogeneous_pairs_at_all_scales() -> None:
    check_homogeneous(list(itertools.product((TINY, 0.75, 3.0, HUGE), repeat=2)))


def test_angles_survive_correlations_next_to_one() -> None:
    """At rho = -1 + 2^-40, theta' = 1.3e-6: E relu relu = theta'^3/(6 pi) to leading order."""
    rho = -1 + 2.0**-40
    for f, g in itertools.combinations_with_replacement((nl.RELU, nl.STEP, nl.SIGN), 2):
        assert_relative(closed.pair(f, g, rho, 1.0, 1.0), polar(f, g, rho, 1.0, 1.0), 1e-13, (f, g))
        assert_relative(closed.pair(f, g, -rho, 1.0, 1.0), polar(f, g, -rho, 1.0, 1.0), 1e-13, (f, g))


# Smooth second factor: its conditional mean is known, and one integral over u is left ------------


def conditional(name: str) -> Callable[[Any, Any], Any]:
    """(m, s2) -> E psi(m + sqrt(s2) z), from tables of Gaussian integrals; itself tested below."""
    exp, sqrt, pi = CTX.exp, CTX.sqrt, CTX.pi
    ln2 = CTX.log(2)

    def bell(m: Any, s2: Any) -> Any:
        return 2 / sqrt(pi * (1 + 2 * s2)) * exp(-m * m / (1 + 2 * s2))

    def phi(m: Any, s2: Any) -> Any:
        return normal(m / sqrt(1 + s2)) / sqrt(1 + s2)

    return {
        "erf": lambda m, s2: CTX.erf(m / sqrt(1 + 2 * s2)),
        "erfc": lambda m, s2: CTX.erfc(m / sqrt(1 + 2 * s2)),
        "ndtr": lambda m, s2: CTX.erfc(-m / sqrt(2 * (1 + s2))) / 2,
        "gauss": lambda m, s2: sqrt(2 * pi) * phi(m, s2),
        "erf'": bell,
        "erf''": lambda m, s2: -2 * m / (1 + 2 * s2) * bell(m, s2),
        "erf'''": lambda m, s2: (4 * m * m / (1 + 2 * s2) ** 2 - 2 / (1 + 2 * s2)) * bell(m, s2),
        "ndtr'": phi,
        "ndtr''": lambda m, s2: -m / (1 + s2) * phi(m, s2),
        "exp": lambda m, s2: exp(m + s2 / 2),
        "expm1": lambda m, s2: CTX.expm1(m + s2 / 2),
        "exp2": lambda m, s2: exp(ln2 * m + ln2**2 * s2 / 2),
        "exp2'": lambda m, s2: ln2 * exp(ln2 * m + ln2**2 * s2 / 2),
        "sin": lambda m, s2: exp(-s2 / 2) * CTX.sin(m),
        "-sin": lambda m, s2: -exp(-s2 / 2) * CTX.sin(m),
        "cos": lambda m, s2: exp(-s2 / 2) * CTX.cos(m),
        "sinh": lambda m, s2: exp(s2 / 2) * CTX.sinh(m),
        "cosh": lambda m, s2: exp(s2 / 2) * CTX.cosh(m),
    }[name]


SMOOTH: tuple[Nonlinearity, ...] = (
    nl.ERF, nl.ERFC, nl.NDTR, nl.GAUSS, ERF1, ERF2, ERF3, NDTR1, NDTR2, nl.EXP, nl.EXPM1, nl.EXP2, EXP2_SLOPE,
    nl.SIN, MINUS_SIN, nl.COS, nl.SINH, nl.COSH,
)  # type: ignore[assignment]  # fmt: skip
WAVES = {"exp", "expm1", "exp2", "exp2'", "sin", "-sin", "cos", "sinh", "cosh"}


@cache
def grid() -> tuple[list[Any], list[Any]]:
    """Gauss-Legendre panels on the line, finer around zero, with the normal density in the weights."""
    edges = [0, *(CTX.mpf(k) / 8 for k in (1, 2, 4, 6, 8, 12, 16, 24)), *range(4, 19)]
    x, w = [], []
    for a, b in itertools.pairwise(edges):
        for t, weight in legendre():
            z = (a + b) / CTX.mpf(2) + (b - a) / CTX.mpf(2) * t
            x += [z, -z]
            w += [weight * (b - a) / CTX.mpf(2) * normal(z)] * 2
    return x, w


@cache
def weighted(f: Nonlinearity, std: float) -> list[Any]:
    x, w = grid()
    return [weight * mp(f, std * z) for z, weight in zip(x, w, strict=True)]


@cache
def smoothed(name: str, cov: float, su: float, sv: float) -> list[Any]:
    mean = conditional(name)
    slope = CTX.mpf(cov) / su
    rest = max(CTX.mpf(sv) ** 2 - slope**2, CTX.zero)
    return [mean(slope * z, rest) for z in grid()[0]]


def test_the_grid_integrates_polynomials() -> None:
    x, w = grid()
    for k, moment in ((0, 1), (2, 1), (4, 3), (6, 15)):
        assert abs(CTX.fdot(w, [z**k for z in x]) - moment) < 1e-25


@pytest.mark.parametrize("f", SMOOTH, ids=lambda f: f.name)
def test_the_conditional_means_of_this_file(f: Nonlinearity) -> None:
    x, w = grid()
    for m, s in ((CTX.mpf("0.7"), CTX.mpf("0.4")), (CTX.mpf(-2), CTX.mpf("1.5"))):
        reference = CTX.fdot(w, [mp(f, m + s * z) for z in x])
        assert abs(conditional(f.name)(m, s * s) - reference) < 1e-22 * (1 + abs(reference))


def allowed(f: Nonlinearity, std: float) -> float:
    """exp(10 u) has its mass outside the grid."""
    return min(std, 3.0) if f.name in WAVES else std


def check_smooth(f: Nonlinearity, scales: Sequence[tuple[float, float]], correlations: Sequence[float]) -> set[str]:
    """Compare E f(u) g(v) for every smooth g; the names of those without a closed form."""
    unknown = set()
    for g in SMOOTH:
        for scale_u, scale_v in scales:
            su, sv = allowed(f, scale_u), allowed(g, scale_v)
            cov = np.array(correlations) * su * sv
            values = closed.pair(f, g, cov, su**2, sv**2)
            swapped = closed.pair(g, f, cov, sv**2, su**2)
            if values is None:
                assert swapped is None
                unknown.add(g.name)
                continue
            for value, other, c in zip(values, swapped, cov, strict=True):
                reference = CTX.fdot(weighted(f, su), smoothed(g.name, c, su, sv))
                if abs(reference) < 1e-22:
                    assert value == other == 0.0, (f, g, c)
                elif any(h.family[0] == "gauss" and len(h.family[2]) > 1 for h in (f, g)):
                    size = CTX.sqrt(energy(f, su) * energy(g, sv))
                    assert max(abs(value - reference), abs(other - reference)) <= 1e-14 * size, (f, g, c)
                else:
                    assert_relative(value, reference, 1e-13, (f, g, c, su, sv))
                    assert_relative(other, reference, 1e-13, (g, f, c, sv, su))
    return unknown


@cache
def energy(f: Nonlinearity, std: float) -> Any:
    return CTX.fdot(weighted(f, std), [mp(f, std * z) for z in grid()[0]])


# Pairs for which no formula is claimed, by the first factor; all others must have one.
ODD_WAVES = {"sin", "-sin"}
KINKED = {"cos", "erf'''", "expm1"}
STEPS = ODD_WAVES | {"erf''", "ndtr''", "sinh", "expm1"}
NOT_CLOSED: dict[str, set[str]] = {
    "relu": KINKED, LEAKY.name: KINKED, STEEP.name: KINKED, "abs": KINKED,
    "heaviside[0]": STEPS, "leaky_relu[1/10]'": STEPS, "sign": ODD_WAVES | {"erf''", "ndtr''"},
    "erf": ODD_WAVES, "erfc": ODD_WAVES | {"expm1", "sinh"}, "ndtr": ODD_WAVES | {"expm1", "sinh"},
    "erf''": ODD_WAVES | {"sinh"}, "ndtr''": ODD_WAVES | {"sinh"}, "erf'''": {"cos", "cosh", "expm1"},
    "expm1": {"cos", "erf'''", "erfc", "ndtr"},
    "sin": {"erf", "erfc", "ndtr", "erf''", "ndtr''"}, "-sin": {"erf", "erfc", "ndtr", "erf''", "ndtr''"},
    "cos": {"erf'''", "expm1"}, "cosh": {"erf'''"}, "sinh": {"erfc", "ndtr", "erf''", "ndtr''"},
}  # fmt: skip


@pytest.mark.parametrize("f", (*HOMOGENEOUS, *SMOOTH), ids=lambda f: f.name)
def test_smooth_pairs_against_quadrature(f: Nonlinearity) -> None:
    for scales, rho in (((1.0, 1.0), 0.999999), ((TINY, HUGE), -0.5)):
        assert check_smooth(f, [scales], [rho]) == NOT_CLOSED.get(f.name, set())


@pytest.mark.slow
@pytest.mark.parametrize("f", (*HOMOGENEOUS, *SMOOTH), ids=lambda f: f.name)
def test_smooth_pairs_at_all_scales(f: Nonlinearity) -> None:
    check_smooth(f, list(itertools.product((TINY, 1.0, HUGE), repeat=2)), CORRELATIONS)


def test_a_few_pairs_by_a_double_integral() -> None:
    """The definition itself: independent normals on a product of Legendre panels, no conditional means."""
    x, w = (np.array([float(t) for t in column]) for column in zip(*legendre(), strict=True))
    z = np.concatenate([0.5 * x + 0.5 + k for k in range(-10, 10)])
    weights = np.tile(0.5 * w, 20) * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    rho, su, sv = 0.3, 1.5, 0.5
    u, v = su * z[:, None], sv * (rho * z[:, None] + math.sqrt(1 - rho * rho) * z)
    for f, g in ((nl.RELU, nl.NDTR), (nl.STEP, ERF1), (nl.ERF, NDTR2), (nl.ABS, nl.EXP), (nl.GAUSS, nl.COS)):
        reference = weights @ (f.fn(u) * g.fn(v)) @ weights
        assert closed.pair(f, g, rho * su * sv, su**2, sv**2) == pytest.approx(reference, rel=1e-13)


def test_erf_erf_is_the_arcsine_kernel() -> None:
    """Williams (1997): (2/pi) arcsin(2 c / sqrt((1 + 2 vu)(1 + 2 vv))); at c = vu = vv = 1/2, arcsin(1/2)."""
    assert closed.pair(nl.ERF, nl.ERF, 0.5, 0.5, 0.5) == pytest.approx(1 / 3, rel=1e-15)
    assert closed.pair(nl.STEP, nl.STEP, 0.5, 1.0, 1.0) == pytest.approx(1 / 3, rel=1e-15)
    assert closed.pair(nl.NDTR, nl.NDTR, -1e8, 1e8, 1e8) == pytest.approx(
        math.atan2(math.sqrt(1 + 2e8), 1e8) / (2 * math.pi), rel=1e-14
    )


def test_zero_variance_uses_the_value_at_zero() -> None:
    relu_mean = 1 / math.sqrt(2 * math.pi)
    at_zero = ((nl.STEP, 0.0), (nl.STEP_CLOSED, 1.0), (nl.heaviside(0.25), 0.25), (nl.GAUSS, 1.0), (nl.NDTR, 0.5))
    for f, value in at_zero:
        for rho in (0.0, 1e-9):  # a covariance left over by rounding
            assert closed.pair(f, nl.RELU, rho, 0.0, 1.0) == pytest.approx(value * relu_mean, rel=1e-15)
            assert closed.pair(nl.RELU, f, rho, 1.0, 0.0) == pytest.approx(value * relu_mean, rel=1e-15)
    assert closed.pair(nl.STEP_CLOSED, nl.STEP_CLOSED, 0.0, 0.0, 0.0) == 1.0
    assert closed.pair(nl.STEP, nl.STEP_CLOSED, 0.0, 0.0, 0.0) == 0.0


def test_correlations_beyond_one_by_rounding_are_clipped() -> None:
    over = 1 + 2.0**-50
    for f in (nl.RELU, nl.ABS, nl.SIGN, nl.ERF):
        exact = closed.pair(f, f, 1.0, 1.0, 1.0)
        assert closed.pair(f, f, over, 1.0, 1.0) == pytest.approx(exact, rel=1e-14)
        assert closed.pair(f, f, -over, 1.0, 1.0) == pytest.approx(closed.pair(f, f, -1.0, 1.0, 1.0), abs=1e-14)


def test_pairs_broadcast_and_scalars_stay_scalars() -> None:
    cov = np.linspace(-0.5, 0.5, 12).reshape(3, 1, 4)
    var = np.array([1.0, 2.0])[:, None]
    values = closed.pair(nl.RELU, nl.NDTR, cov, var, 3.0)
    assert values is not None and values.shape == (3, 2, 4)
    one = closed.pair(nl.RELU, nl.NDTR, cov[2, 0, 1], 2.0, 3.0)
    assert isinstance(one, float) and one == values[2, 1, 1]
    assert closed.single(nl.ERF, np.zeros((2, 1)), np.ones(3)).shape == (2, 3)  # type: ignore[union-attr]
    assert isinstance(closed.single(nl.ERF, 0.5, 1.0), float)


def test_no_closed_form_is_none() -> None:
    assert closed.pair(nl.TANH, nl.TANH, 0.1, 1.0, 1.0) is None
    assert closed.pair(nl.RELU, nl.HARD_TANH, 0.1, 1.0, 1.0) is None
    assert closed.pair(nl.HYPOT, nl.RELU, 0.1, 1.0, 1.0) is None
    assert closed.single(nl.TANH, 0.0, 1.0) is None
    assert closed.single(nl.constant(1, arity=2), 0.0, 1.0) is None


# Singles ----------------------------------------------------------------------------------------


@cache
def panelled(cuts: tuple[Any, ...], lo: Any, hi: Any) -> list[tuple[Any, Any]]:
    """Nodes on (lo, hi) with density times weight, on panels refined around each cut."""
    offsets = [CTX.mpf(k) / 32 for k in (0, 1, 2, 4, 8, 16)] + list(range(1, 29, 2))
    edges = {lo, hi} | {cut + sign * t for cut in cuts for t in offsets for sign in (1, -1)}
    kept = [e for e in sorted(edges) if lo <= e <= hi]
    nodes = []
    for a, b in itertools.pairwise(kept):
        for x, weight in legendre() if b - a > CTX.mpf(10) ** -20 else ():
            z = (a + b) / 2 + (b - a) / 2 * x
            nodes.append((z, weight * (b - a) / 2 * normal(z)))
    return nodes


def panels(h: Callable[[Any], Any], cuts: Sequence[Any], lo: Any = -14, hi: Any = 14) -> Any:
    """The integral of h times the normal density over (lo, hi)."""
    return CTX.fsum(w * h(z) for z, w in panelled(tuple(map(CTX.mpf, cuts)), CTX.mpf(lo), CTX.mpf(hi)))


SINGLES = (*HOMOGENEOUS, *SMOOTH, nl.clip(-1, 2), nl.clip(-1, 2).partials()[0], nl.power(3))  # type: ignore[misc]


@pytest.mark.parametrize("f", SINGLES, ids=lambda f: f.name)
def test_singles_against_quadrature(f: Nonlinearity) -> None:
    """Means measured in standard deviations, far into both tails."""
    for scale, z in ((1.0, 0.0), (1.0, -6.0), (TINY, 1.75), (HUGE, -2.5)):
        std = allowed(f, scale)
        mean = z * std
        cuts = [-CTX.mpf(mean) / std, *((k - CTX.mpf(mean)) / std for k in f.kinks)]
        reference = panels(lambda x, m=mean, s=std: mp(f, m + s * x), cuts)
        value = closed.single(f, mean, std**2)
        if abs(reference) < 1e-24:
            assert value == 0.0
        else:
            assert_relative(value, reference, 1e-13, (f, mean, std))


def test_singles_at_zero_variance_are_values() -> None:
    for f in (*SINGLES, nl.STEP_CLOSED):
        for mean in (-0.75, 0.0, 1.25):
            assert closed.single(f, mean, 0.0) == f.fn(np.asarray(mean))


# Polynomials on intervals -----------------------------------------------------------------------

INTERVALS = [
    (0.0, 1.0, 0.0, math.inf), (-5.0, 0.5, 0.0, math.inf), (-20.0, 1.0, 0.0, math.inf), (0.25, 1.5, -1.0, 1.0),
    (5.0, 0.5, -1.0, 1.0), (0.0, HUGE, -1.0, 2.0), (0.0, TINY, -1.0, 2.0), (2.0, 1.0, -math.inf, -1.0),
    (0.0, 1.0, 5.0, 5.0009765625), (3.0, HUGE, -math.inf, 1.0), (-2.0, 1.0, -math.inf, math.inf),
]  # fmt: skip


@pytest.mark.parametrize(("mean", "std", "lo", "hi"), INTERVALS)
def test_truncated_moments_against_quadrature(mean: float, std: float, lo: float, hi: float) -> None:
    values = closed.truncated_moments(6, mean, std**2, lo, hi)
    assert values.shape == (7,)
    low, high = (min(max((CTX.mpf(end) - mean) / std, -99), 99) for end in (lo, hi))
    nearest = min(max(CTX.zero, low), high)
    low, high = max(low, -abs(nearest) - 12), min(high, abs(nearest) + 12)
    for k, value in enumerate(values):
        reference = panels(lambda z, k=k: (mean + std * z) ** k, [nearest, -CTX.mpf(mean) / std], low, high)
        size = panels(lambda z, k=k: abs(mean + std * z) ** k, [nearest, -CTX.mpf(mean) / std], low, high)
        assert abs(value - reference) <= 1e-13 * size, (k, value, reference)


def test_truncated_moments_broadcast_and_degenerate() -> None:
    values = closed.truncated_moments(2, np.array([0.5, 2.0]), np.array([[0.0], [1.0]]), 0.0, 1.0)
    assert values.shape == (3, 2, 2)
    assert values[:, 0, 0].tolist() == [1.0, 0.5, 0.25] and values[:, 0, 1].tolist() == [0.0, 0.0, 0.0]
    assert np.array_equal(closed.truncated_moments(1, 3.0, 1.0, 2.0, 2.0), [0.0, 0.0])
    whole = closed.truncated_moments(4, 0.0, 4.0, -np.inf, np.inf)
    assert whole.tolist() == [1.0, 0.0, 4.0, 0.0, 48.0]


def test_piecewise_polynomials_against_quadrature() -> None:
    clip = nl.clip(-1, 2)
    assert clip.pieces is not None and nl.RELU.pieces is not None
    squared = pieces.pieces_power(clip.pieces, 2)
    hinge = pieces.pieces_power(pieces.shift_scale_pieces(nl.RELU.pieces, 1, -5), 4)
    for mean, std in ((0.0, 1.0), (0.5, 3.0), (-3.0, 0.5), (1.0, TINY)):
        cuts = [(k - CTX.mpf(mean)) / std for k in (-1, 2, 5)] + [CTX.zero]
        value = closed.piecewise_poly(squared.polys, squared.breaks, (1, 0, 3), mean, std**2)
        reference = panels(lambda z, m=mean, s=std: mp(clip, u := m + s * z) ** 2 * (1 + 3 * u * u), cuts)
        assert_relative(value, reference, 1e-13, ("clip", mean, std))
        value = closed.piecewise_poly(hinge.polys, hinge.breaks, (1,), mean, std**2)
        reference = panels(lambda z, m=mean, s=std: mp(nl.RELU, m + s * z - 5) ** 4, cuts)
        if abs(reference) > 1e-60:
            assert_relative(value, reference, 1e-13, ("hinge", mean, std))
    values = closed.piecewise_poly(squared.polys, squared.breaks, (1,), np.array([-4.0, 0.5]), 0.0)
    assert values.tolist() == [1.0, 0.25]


# Exact ------------------------------------------------------------------------------------------

HALF, V = Fraction(1, 2), Fraction(3, 5)
RELU_P, ABS_P, SIGN_P, STEP_P = (f.pieces for f in (nl.RELU, nl.ABS, nl.SIGN, nl.STEP))
LEAKY_P = LEAKY.pieces


def monomial(k: int) -> Pieces:
    return Pieces((), ((0,) * k + (1,),))


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (pieces.pieces_power(RELU_P, 2), V / 2),
        (pieces.pieces_power(RELU_P, 4), 3 * V**2 / 2),
        (pieces.pieces_power(RELU_P, 6), 15 * V**3 / 2),
        (pieces.pieces_power(ABS_P, 2), V),
        (pieces.multiply_pieces(ABS_P, pieces.multiply_pieces(SIGN_P, monomial(3))), 3 * V**2),
        (pieces.multiply_pieces(RELU_P, monomial(1)), V / 2),
        (pieces.pieces_power(LEAKY_P, 2), Fraction(101, 200) * V),
        (STEP_P, HALF),
        (pieces.multiply_pieces(STEP_P, STEP_P), HALF),
        (pieces.multiply_pieces(SIGN_P, SIGN_P), Fraction(1)),
        (SIGN_P, Fraction(0)),
        (monomial(3), Fraction(0)),
        (RELU_P, None),
        (ABS_P, None),
        (pieces.multiply_pieces(RELU_P, monomial(2)), None),
        (nl.HARD_TANH.pieces, None),
        (nl.leaky_relu(0.5).pieces, None),
    ],
)  # fmt: skip
def test_exact_moments_of_half_lines(product: Pieces, expected: Fraction | None) -> None:
    value = pieces.piecewise_poly_exact(product, 0, V)
    assert value == expected and (value is None or isinstance(value, Fraction))
    if value is not None:
        # Quadrature of a rational number: rounding only.
        floating = closed.piecewise_poly(product.polys, product.breaks, (1,), 0.0, float(V))
        assert floating == pytest.approx(float(value), rel=1e-14, abs=1e-15)


def test_odd_moments_may_cancel() -> None:
    """E u^3 1(u>0) = 2 v^(3/2)/sqrt(2 pi) and E 2 u 1(u<0) = -2 v^(1/2)/sqrt(2 pi): rational only at v = 1."""
    p = Pieces((0,), ((0, 2), (0, 0, 0, 1)))
    assert pieces.piecewise_poly_exact(p, 0, 1) == 0
    assert pieces.piecewise_poly_exact(p, 0, 2) is None


def test_exact_with_a_mean() -> None:
    assert pieces.piecewise_poly_exact(monomial(2), Fraction(3), V) == 9 + V
    assert pieces.piecewise_poly_exact(monomial(4), 1, 2) == 1 + 6 * 2 + 3 * 4
    hinge = pieces.shift_scale_pieces(RELU_P, 2, -6)
    assert pieces.piecewise_poly_exact(pieces.pieces_power(hinge, 2), 3, V) == 2 * V
    assert pieces.piecewise_poly_exact(pieces.pieces_power(hinge, 2), 0, V) is None
    assert pieces.piecewise_poly_exact(monomial(2), 0.5, V) is None


def test_exact_at_zero_variance() -> None:
    assert pieces.piecewise_poly_exact(RELU_P, Fraction(2, 3), 0) == Fraction(2, 3)
    assert pieces.piecewise_poly_exact(RELU_P, 0, 0) == 0
    assert pieces.piecewise_poly_exact(STEP_P, -1, 0) == 0
    assert pieces.piecewise_poly_exact(STEP_P, 0, 0) is None  # Pieces do not know the value on a jump


def test_pieces_algebra_matches_the_functions() -> None:
    x = np.array([-3.3, -1.1, -0.4, 0.2, 0.7, 1.9, 4.4])
    f, g = nl.clip(-1, 2), nl.leaky_relu(Fraction(1, 10))

    def at(p: Pieces) -> list[float]:
        rows = [p.polys[sum(t > b for b in p.breaks)] for t in x]
        return [float(sum(c * Fraction(t) ** k for k, c in enumerate(r))) for r, t in zip(rows, x, strict=True)]

    np.testing.assert_allclose(at(pieces.multiply_pieces(f.pieces, g.pieces)), f.fn(x) * g.fn(x), rtol=1e-15)
    np.testing.assert_allclose(at(pieces.add_pieces(f.pieces, g.pieces)), f.fn(x) + g.fn(x), rtol=1e-14)
    np.testing.assert_allclose(at(pieces.pieces_power(f.pieces, 3)), f.fn(x) ** 3, rtol=1e-14)
    for scale, shift in ((2, 1), (-3, Fraction(1, 2)), (Fraction(-1, 4), 0), (0, Fraction(1, 3))):
        moved = pieces.shift_scale_pieces(f.pieces, scale, shift)
        np.testing.assert_allclose(at(moved), f.fn(float(scale) * x + float(shift)), rtol=1e-14)
        assert all(isinstance(b, Fraction) for b in moved.breaks)
    assert pieces.multiply_pieces(RELU_P, pieces.shift_scale_pieces(RELU_P, -1, 0)) == Pieces((), ((0,),))
    assert pieces.pieces_power(f.pieces, 0) == Pieces((), ((1,),))


def test_pieces_refuse_what_they_cannot_know() -> None:
    with pytest.raises(BadParameter):
        pieces.shift_scale_pieces(STEP_P, 0, 0)
    with pytest.raises(BadParameter):
        pieces.pieces_power(RELU_P, -1)


def test_a_polynomial_of_one_sum_is_one_direction():
    """(W x + b)^2 depends on W x + b alone, so functions of it need quadrature in one dimension and reach its accuracy."""
    n = rmtp.Dim("n")
    h = rmtp.Gaussian(n, n) @ rmtp.Normal(n) + rmtp.Normal(n, cov=3)
    found = rmtp.limit(np.mean(np.exp(-h * h) * np.cos(h)))
    assert found.method != "sobol"
    # E exp(-a h^2) cos(h), h ~ N(0, 4): the Gaussian integral of variance 4 / (1 + 8 a)
    assert abs(float(found.value) - math.exp(-2 / 9) / 3) < 1e-12
