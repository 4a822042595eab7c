"""Every catalogue entry against its mpmath counterpart, its derivatives, its pieces."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath.ctx_mp import MPContext
from scipy import special

from rmtp import catalogue as nl
from rmtp.errors import BadParameter
from rmtp.nonlinearity import Nonlinearity, Pieces, user

LINE, POSITIVE, INSIDE, ABOVE_ONE, SMALL = (-4.0, 4.0), (0.05, 6.0), (-0.95, 0.95), (1.05, 6.0), (-1.4, 1.4)

ENTRIES: list[tuple[Nonlinearity, tuple[float, float]]] = [
    (nl.RELU, LINE), (nl.ABS, LINE), (nl.SIGN, LINE), (nl.STEP, LINE), (nl.STEP_CLOSED, LINE),
    (nl.heaviside(Fraction(1, 2)), LINE), (nl.leaky_relu(Fraction(1, 10)), LINE), (nl.leaky_relu(0.3), LINE),
    (nl.clip(-1, 2), LINE), (nl.clip(0.5, math.inf), LINE), (nl.clip(-math.inf, Fraction(1, 3)), LINE),
    (nl.clip(2, 2), LINE), (nl.HARD_TANH, LINE), (nl.constant(Fraction(3, 7)), LINE),
    (nl.TANH, LINE), (nl.EXPIT, LINE), (nl.TAN, SMALL), (nl.GAUSS, LINE), (nl.ERF, LINE), (nl.ERFC, LINE),
    (nl.NDTR, LINE), (nl.SOFTPLUS, LINE), (nl.LOG_EXPIT, LINE), (nl.EXP, LINE), (nl.EXPM1, LINE),
    (nl.EXP2, LINE), (nl.SIN, LINE), (nl.COS, LINE), (nl.SINH, LINE), (nl.COSH, LINE),
    (nl.RECIPROCAL, LINE), (nl.SQRT, POSITIVE), (nl.CBRT, LINE), (nl.power(1.5), POSITIVE),
    (nl.power(Fraction(-1, 3)), POSITIVE), (nl.power(3), LINE), (nl.power(-2), LINE), (nl.LOG, POSITIVE),
    (nl.LOG1P, (-0.9, 5.0)), (nl.LOG2, POSITIVE), (nl.LOG10, POSITIVE), (nl.ARCTAN, LINE), (nl.ARCTANH, INSIDE),
    (nl.ARCSIN, INSIDE), (nl.ARCCOS, INSIDE), (nl.ARCSINH, LINE), (nl.ARCCOSH, ABOVE_ONE),
    (nl.LOGADDEXP, LINE), (nl.ARCTAN2, LINE), (nl.HYPOT, LINE), (nl.WHERE3, LINE),
]  # fmt: skip
IDS = [f.name for f, _ in ENTRIES]


def context(dps: int = 40) -> MPContext:
    ctx = MPContext()
    ctx.dps = dps
    return ctx


def points(f: Nonlinearity, interval: tuple[float, float], count: int = 6) -> list[tuple[float, ...]]:
    """Random points of the domain, a little away from the kinks."""
    rng = np.random.default_rng(7)
    found: list[tuple[float, ...]] = []
    while len(found) < count:
        x = tuple(float(t) for t in rng.uniform(*interval, size=f.arity))
        if all(abs(x[f.kink_arg] - k) > 0.02 for k in f.kinks):
            found.append(x)
    return found


def derivatives(f: Nonlinearity, depth: int) -> list[tuple[Nonlinearity, int, Nonlinearity]]:
    """(function, argument, its partial) down to `depth`."""
    if depth == 0 or f.partials is None:
        return []
    known = [(f, i, g) for i, g in enumerate(f.partials()) if g is not None]
    return known + [step for _, _, g in known for step in derivatives(g, depth - 1)]


def close(value: object, reference: object, rtol: float) -> bool:
    return abs(float(value) - float(reference)) <= rtol * max(abs(float(reference)), 1e-30)  # type: ignore[arg-type]


@pytest.mark.parametrize(("f", "interval"), ENTRIES, ids=IDS)
def test_values_and_all_derivatives_agree_with_mpmath(f: Nonlinearity, interval: tuple[float, float]) -> None:
    ctx = context()
    for g in {h.name: h for h in [f, *(d for _, _, d in derivatives(f, 3))]}.values():
        assert g.mp is not None
        columns = [np.array(c) for c in zip(*points(g, interval), strict=True)]
        values = np.asarray(g.fn(*columns))
        assert values.shape == columns[0].shape and values.dtype == float
        for value, *x in zip(values, *columns, strict=True):
            reference = g.mp(ctx, *map(ctx.mpf, x))
            # Polynomials of degree 3 in tanh, x/sqrt(1 - x^2), ... lose a few digits at their zeros.
            scale = max(abs(reference), ctx.mpf("0.05") if "'" in g.name else 0)
            assert abs(value - reference) <= 2e-14 * scale, (g, x)


@pytest.mark.parametrize(("f", "interval"), ENTRIES, ids=IDS)
def test_partials_are_the_derivatives(f: Nonlinearity, interval: tuple[float, float]) -> None:
    ctx = context()
    for parent, i, slope in derivatives(f, 3):
        assert parent.mp is not None and slope.mp is not None
        order = tuple(int(i == j) for j in range(parent.arity))
        for x in points(parent, interval, 3):
            numeric = ctx.diff(lambda *a, h=parent: h.mp(ctx, *a), tuple(map(ctx.mpf, x)), order)
            assert abs(slope.mp(ctx, *map(ctx.mpf, x)) - numeric) <= ctx.mpf(10) ** -15 * (1 + abs(numeric)), (
                parent, slope, x,
            )  # fmt: skip


def test_which_derivatives_are_unknown() -> None:
    """None exactly for jumps, and where the next derivative is not locally integrable."""
    unknown = {
        g.name
        for f, _ in ENTRIES
        for g in [f, *(d for _, _, d in derivatives(f, 3))]
        if g.partials is None or None in g.partials()
    }
    assert unknown == {
        "sign", "heaviside[0]", "heaviside[1]", "heaviside[1/2]", "leaky_relu[1/10]'", "leaky_relu[0.3]'",
        "clip[-1, 2]'", "clip[0.5, inf]'", "clip[-inf, 1/3]'", "clip[-1, 1]'", "cbrt'", "arctan2", "arctan2_x",
        "hypot_xx", "hypot_xy", "hypot_yx", "hypot_yy", "where", "where_a", "where_b",
    }  # fmt: skip


@pytest.mark.parametrize("f", [f for f, _ in ENTRIES if f.pieces is not None], ids=lambda f: f.name)
def test_pieces_are_the_function(f: Nonlinearity) -> None:
    for g in [f, *(d for _, _, d in derivatives(f, 2) if d.pieces is not None)]:
        pieces = g.pieces
        assert pieces is not None and len(pieces.polys) == len(pieces.breaks) + 1
        assert list(pieces.breaks) == sorted(set(pieces.breaks))
        assert tuple(map(float, pieces.breaks)) == g.kinks
        for x in np.linspace(-3.7, 4.1, 41):
            poly = pieces.polys[sum(x > b for b in pieces.breaks)]
            assert close(sum(float(c) * x**k for k, c in enumerate(poly)), g.fn(x), 1e-14)


def test_every_piecewise_polynomial_has_pieces() -> None:
    names = {f.name for f, _ in ENTRIES if f.pieces is not None}
    assert names >= {"relu", "abs", "sign", "heaviside[0]", "leaky_relu[1/10]", "clip[-1, 2]", "power[3]"}


@pytest.mark.parametrize(("f", "interval"), ENTRIES, ids=IDS)
def test_kinks_and_jumps_are_seen_by_finite_differences(f: Nonlinearity, interval: tuple[float, float]) -> None:
    assert set(f.jumps) <= set(f.kinks) and 0 <= f.kink_arg < f.arity
    if f.arity > 1 or f in (nl.RECIPROCAL, nl.power(-2)):
        return
    for k in f.kinks:
        with np.errstate(invalid="ignore"):
            left, right = float(f.fn(k - 1e-9)), float(f.fn(k + 1e-9))
        if np.isfinite([left, right]).all():
            assert (abs(right - left) > 1e-2) == (k in f.jumps)


def test_jumps_of_several_arguments() -> None:
    assert nl.WHERE3.jumps == nl.ARCTAN2.jumps == (0.0,)
    assert nl.HYPOT.jumps == () and nl.LOGADDEXP.kinks == ()


def test_values_at_the_kinks() -> None:
    at = np.zeros(())
    expected = {
        nl.STEP: 0.0, nl.STEP_CLOSED: 1.0, nl.heaviside(0.25): 0.25, nl.SIGN: 0.0, nl.RELU: 0.0, nl.ABS: 0.0,
    }  # fmt: skip
    for f, value in expected.items():
        assert float(f.fn(at)) == value == float(f.mp(context(), context().zero))  # type: ignore[misc]
    assert nl.WHERE3.fn(0.0, 5.0, 7.0) == 7.0 and nl.WHERE3.fn(1e-300, 5.0, 7.0) == 5.0


def test_exact_parameters_stay_exact() -> None:
    pieces = nl.leaky_relu(Fraction(1, 10)).pieces
    assert pieces == Pieces((0,), ((0, Fraction(1, 10)), (0, 1)))
    assert all(isinstance(c, (int, Fraction)) for poly in pieces.polys for c in poly)
    clipped = nl.clip(-1, Fraction(1, 2)).pieces
    assert clipped == Pieces((-1, Fraction(1, 2)), ((-1,), (0, 1), (Fraction(1, 2),)))
    assert isinstance(nl.leaky_relu(np.float64(0.5)).pieces.polys[0][1], float)  # type: ignore[union-attr]
    assert isinstance(nl.leaky_relu(np.int64(2)).pieces.polys[0][1], int)  # type: ignore[union-attr]


def test_equality_is_by_name_and_parameters() -> None:
    assert nl.leaky_relu(0.1) == nl.leaky_relu(0.1) != nl.leaky_relu(Fraction(1, 10))
    assert nl.TANH.partials() == nl.TANH.partials()  # type: ignore[misc]
    assert hash(nl.clip(0, 1)) == hash(nl.clip(0, 1)) and nl.clip(0, 1) != nl.clip(0, 2)
    assert len({nl.STEP, nl.STEP_CLOSED, nl.heaviside(0), nl.heaviside(1)}) == 2
    everything = [g for f, _ in ENTRIES for g in [f, *(d for _, _, d in derivatives(f, 2))]]
    at = np.array([0.31, 0.62])
    for f, g in itertools.combinations(everything, 2):
        if f == g:
            with np.errstate(all="ignore"):
                values = f.fn(*[at] * f.arity), g.fn(*[at] * g.arity)
            assert f.arity == g.arity and np.array_equal(*values, equal_nan=True), (f, g)


@pytest.mark.parametrize(
    ("ufunc", "argument"),
    [(u, 0.37) for u in (
        np.tanh, np.absolute, np.fabs, np.sign, np.sinh, np.cosh, np.sin, np.cos, np.tan, np.arctan, np.arcsin,
        np.arccos, np.arctanh, np.arcsinh, np.exp, np.expm1, np.exp2, np.log, np.log1p, np.log2, np.log10,
        np.sqrt, np.cbrt, np.reciprocal, special.erf, special.erfc, special.ndtr, special.expit,
        special.log_expit, special.expm1, special.exp2, special.log1p, special.cbrt,
    )] + [(np.arccosh, 1.7)],
    ids=lambda x: getattr(x, "__name__", ""),
)  # fmt: skip
def test_from_ufunc_is_the_same_function(ufunc: np.ufunc, argument: float) -> None:
    f = nl.from_ufunc(ufunc)
    assert f is not None and close(f.fn(argument), ufunc(argument), 1e-15)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(f.fn(-argument), ufunc(-argument), rtol=1e-15)


def test_from_ufunc_of_two_arguments() -> None:
    for ufunc in (np.logaddexp, np.arctan2, np.hypot):
        f = nl.from_ufunc(ufunc)
        assert f is not None and f.arity == 2 and f.fn(0.3, -1.2) == ufunc(0.3, -1.2)


@pytest.mark.parametrize(
    "ufunc",
    [np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.square, np.power, np.maximum,
     np.minimum, np.heaviside, np.less, np.equal, np.logical_and, np.floor, np.isnan, special.gammaln, len, None],
    ids=lambda u: getattr(u, "__name__", "None"),
)  # fmt: skip
def test_from_ufunc_leaves_arithmetic_and_strangers_alone(ufunc: object) -> None:
    assert nl.from_ufunc(ufunc) is None


def test_extreme_arguments_do_not_overflow() -> None:
    x = np.array([-800.0, -40.0, 40.0, 800.0])
    with np.errstate(over="raise", invalid="raise"):
        assert np.array_equal(nl.TANH.partials()[0].fn(x)[[0, 3]], [0.0, 0.0])  # type: ignore[misc,union-attr]
        assert np.array_equal(nl.SOFTPLUS.fn(x)[[0, 3]], [0.0, 800.0])
        # sech(40)^2 = 4 exp(-80) (1 - 2 exp(-80) + ...): 1 - tanh^2 would give 0.
        assert close(nl.TANH.partials()[0].fn(40.0), 4 * math.exp(-80), 1e-14)  # type: ignore[misc,union-attr]
        assert close(nl.EXPIT.partials()[0].fn(-40.0), math.exp(-40), 1e-14)  # type: ignore[misc,union-attr]


def test_user_functions() -> None:
    def cube(x: object) -> object:
        return x**3  # type: ignore[operator]

    bare = user(cube, kinks=[1, -2])
    assert bare.name == "cube" and bare.partials is None
    assert bare.kinks == bare.jumps == (-2.0, 1.0)
    smooth = user(cube, lambda x: 3 * x**2, kinks=(0.0,), name="c")
    (slope,) = smooth.partials()  # type: ignore[misc]
    assert smooth.jumps == () and slope is not None and slope.fn(2.0) == 12.0
    assert slope.jumps == (0.0,) and slope.partials is None and slope.name == "c'"
    assert smooth.mp(context(), context().mpf(2)) == 8  # type: ignore[misc]
    assert user(cube) == user(cube) and user(cube) != user(lambda x: x**3, name="cube")
    assert user(np.tanh, name="tanh") != nl.TANH


def test_user_functions_of_two_arguments() -> None:
    f = user(lambda x, y: x * y, (lambda x, y: y, None), arity=2, name="xy")
    first, second = f.partials()  # type: ignore[misc]
    assert second is None and first is not None and first.fn(2.0, 5.0) == 5.0 and first.arity == 2
    twice = user(np.square, nl.power(1))
    assert twice.partials() == (nl.power(1),)  # type: ignore[misc]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: user(3),  # type: ignore[arg-type]
        lambda: user(np.tanh, derivative=2.0),  # type: ignore[arg-type]
        lambda: user(np.tanh, kinks=(math.nan,)),
        lambda: user(np.tanh, kinks=(math.inf,)),
        lambda: user(np.tanh, kinks=("a",)),  # type: ignore[arg-type]
        lambda: user(np.hypot, derivative=np.tanh, arity=2),
        lambda: user(np.tanh, arity=0),
        lambda: nl.clip(1, -1),
        lambda: nl.clip(math.nan, 1),
        lambda: nl.clip(math.inf, math.inf),
        lambda: nl.leaky_relu(math.nan),
        lambda: nl.leaky_relu(1j),
        lambda: nl.power(math.inf),
        lambda: nl.heaviside("x"),
        lambda: nl.constant(math.nan),
    ],
)
def test_bad_parameters(bad: object) -> None:
    with pytest.raises(BadParameter):
        bad()  # type: ignore[operator]
