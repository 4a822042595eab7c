"""rmtp.check: claims that are right, claims that are wrong in the usual ways, and claims that are none.

Statistical tests use fixed seeds; a right row fails at |z| > 4.5 once in 1.5e5, and fewer than 20 rows are sampled here.
"""

from __future__ import annotations

import math
from fractions import Fraction as F

import mpmath
import numpy as np
import pytest
import sympy

import rmtp
from rmtp import errors as E
from rmtp.comparison import Row, exactly
from rmtp.hints import hints
from rmtp.results import Estimate

GRID = {"rho": [1, 2, F(1, 2)]}


def second(rho):
    """E (Z^{W.T W x})^2 = rho + rho^2 at entries of variance 1/columns."""
    m, n = rmtp.Dim("m", ratio=rho), rmtp.Dim("n")
    W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    return np.mean((W.T @ (W @ x)) ** 2)


def tanh_square(s):
    n = rmtp.Dim("n")
    return np.mean(np.tanh(s * rmtp.Normal(n)) ** 2)


def arcsine(s):
    """E erf(s x / sqrt 2)^2 of a standard Gaussian x."""
    return 2 / mpmath.pi * mpmath.asin(s**2 / (1 + s**2))


def erf_square(s):
    from scipy.special import erf

    half = rmtp.Normal(rmtp.Dim("n"), cov=F(1, 2))  # x / sqrt 2 to all digits, which np.sqrt(2) would not be
    return np.mean(erf(s * half) ** 2)


def rowlike(engine, claim, **parameters):
    return Row("", Estimate(F(engine), 0, "exact"), F(claim), parameters=parameters)


# ---------------------------------------------------------------------------------------------
# right claims


def test_a_right_claim_in_every_form():
    rho = sympy.Symbol("rho")
    for claim in (lambda rho: rho + rho**2, rho + rho**2, sympy.Lambda(rho, rho + rho**2).expr):
        found = rmtp.check(claim, second, grid=GRID, widths=None)
        assert found.passed() and found.hints == () and all(row.exact for row in found.rows)
    assert rmtp.check(F(2), second(1), widths=None).passed()
    assert rmtp.check(Estimate(2.0, 1e-9, "claim"), second(1), widths=None).passed()


def test_samples_beside_a_right_claim():
    found = rmtp.check(lambda rho: rho + rho**2, second, grid=GRID, widths=(100, 200), trials=60)
    assert found.passed() and found.unsound == () and len(found.rows) == 3
    assert 0 < found.false_alarm < 1e-4
    assert "samples agree" in str(found)


def test_forty_digits():
    found = rmtp.check(arcsine, erf_square, grid={"s": [F(1, 2), F(2)]}, widths=None, dps=40)
    assert found.passed()
    assert all(abs(row.difference) < F(1, 10**38) for row in found.rows)
    off = rmtp.check(lambda s: arcsine(s) + mpmath.mpf(10) ** -36, erf_square, grid={"s": [F(2)]}, widths=None, dps=40)
    assert not off.passed() and float(off.rows[0].difference) == pytest.approx(1e-36, rel=1e-3)
    s = sympy.Symbol("s")
    claim = 2 / sympy.pi * sympy.asin(s**2 / (1 + s**2))
    assert rmtp.check(claim, erf_square, grid={"s": [F(1, 2)]}, widths=None, dps=40).passed()


def test_a_float_claim_at_forty_digits_is_compared_to_what_it_has():
    found = rmtp.check(
        lambda s: 2 / math.pi * math.asin(s**2 / (1 + s**2)), erf_square, grid={"s": [F(1, 2)]}, widths=None, dps=40
    )
    assert found.passed() and "12 digits" in str(found)


def test_laws_lists_and_dicts():
    def moments(rho):
        m, n = rmtp.Dim("m", ratio=rho), rmtp.Dim("n")
        W = rmtp.Gaussian(m, n)
        law = rmtp.spectrum(W @ W.T)
        return {"mean": law.moment(1), "second": law.moment(2), "density": law.pdf(1.0)}

    def claim(rho):
        edges = (1 - math.sqrt(rho)) ** 2, (1 + math.sqrt(rho)) ** 2
        inside = max((edges[1] - 1) * (1 - edges[0]), 0)
        return {"mean": 1, "second": 1 + rho, "density": math.sqrt(inside) / (2 * math.pi * rho)}

    found = rmtp.check(claim, moments, grid={"rho": [F(1, 2), 1, 2]}, widths=None)
    assert found.passed() and len(found.rows) == 9
    x = rmtp.Normal(rmtp.Dim("n"))
    assert rmtp.check([1, 3], [np.mean(x**2), np.mean(x**4)], widths=None).passed()
    assert rmtp.check(np.array([1, 3]), lambda: (np.mean(x**2), np.mean(x**4)), widths=None).passed()


def test_parameters_that_only_one_side_takes():
    found = rmtp.check(
        lambda s: 1, lambda n: np.mean(rmtp.Normal(rmtp.Dim("n")) ** 2), grid={"n": [1], "s": [1, 2]}, widths=None
    )
    assert found.passed() and len(found.rows) == 2
    points = [{"rho": 1}, {"rho": 3}]
    assert [r.parameters for r in rmtp.check(lambda rho: rho + rho**2, second, grid=points, widths=None).rows] == points


def test_ones_own_simulation():
    def experiment(width, rng, rho):
        W = rng.standard_normal((round(rho * width), width)) / math.sqrt(width)
        return np.sum((W.T @ W) ** 2) / width

    law = lambda rho: rho + rho**2  # noqa: E731
    for expr in (second, law):
        found = rmtp.check(law, expr, grid=GRID, widths=(50, 100), trials=40, simulate=experiment)
        assert found.passed() and all(row.finite is not None for row in found.rows)
    wrong = rmtp.check(
        law, law, grid=GRID, widths=(50, 100), trials=40, simulate=lambda width, rng, rho: 9 + rng.random()
    )
    assert not wrong.passed() and len(wrong.unsound) == 3 and "DISAGREE" in str(wrong)


# ---------------------------------------------------------------------------------------------
# wrong claims


@pytest.mark.parametrize(
    ("claim", "hint"),
    [
        (lambda rho: 1 + rho, "rho * claim"),
        (lambda rho: 2 * (rho + rho**2), "1/2 * claim"),
        (lambda rho: -rho - rho**2, "a sign"),
        (lambda rho: F(1, rho) + F(1, rho**2), "1/rho in place of rho"),
        (lambda rho: 1 / F(rho + rho**2), "1/claim"),
        (lambda rho: math.sqrt(rho + rho**2), "claim**2"),
        (lambda rho: (rho + rho**2) ** 2, "sqrt(claim)"),
        (lambda rho: rho + rho**2 - 7, "claim + (7)"),
        (lambda rho: 3 * (1 + rho), "1/3 * rho * claim"),
        (lambda rho: math.sqrt(rho) + rho, "rho**2 in place of rho"),
        (lambda rho: (rho + rho**2) * math.pi / 2, "2/pi * claim"),
        (lambda rho: (rho + rho**2) * 1.2345, "0.81004455 * claim"),
    ],
)
def test_usual_slips_are_named(claim, hint):
    found = rmtp.check(claim, second, grid=GRID, widths=None)
    assert not found.passed() and found.departures
    assert any(hint in text for text in found.hints), found.hints
    assert f"hint: {found.hints[0]}" in str(found)


def test_the_sign_of_a_parameter_is_named():
    def third(mean):
        return np.mean(rmtp.Normal(rmtp.Dim("n"), mean) ** 3)

    found = rmtp.check(lambda mean: -(mean**3) - 3 * mean, third, grid={"mean": [-1, 2, 3]}, widths=None)
    assert any("at -mean in place of mean" in text for text in found.hints)


def test_gradient_independence_is_named():
    def overlap(s):
        n = rmtp.Dim("n")
        W, x = rmtp.Gaussian(n, n, std=s), rmtp.Normal(n)
        return np.mean((W.T @ (W @ x)) ** 2)

    found = rmtp.check(lambda s: s**4, overlap, grid={"s": [1, 2]}, widths=None)
    assert "gradient independence" in found.hints[0]


def test_no_hint_without_a_reason():
    assert rmtp.check(lambda rho: math.exp(rho) + 1, second, grid=GRID, widths=None).hints == ()
    assert hints([rowlike(7, 3)], lambda point: None) == ()  # at one point any number is a factor
    assert "the only point" in hints([rowlike(6, 3)], lambda point: None)[0]
    assert hints([rowlike(2, 1, k=1), rowlike(5, 2, k=2)], lambda point: None) == ()


def test_a_claim_that_is_wrong_at_one_point_in_the_last_digits():
    found = rmtp.check(lambda rho: rho + rho**2 + (F(1, 10**18) if rho == 2 else 0), second, grid=GRID, widths=None)
    assert [row.parameters["rho"] for row in found.departures] == [2]
    assert found.worst.parameters == {"rho": 2} and found.worst.difference == F(1, 10**18)


def test_a_float_claim_must_agree_to_twelve_digits():
    exact = rmtp.limit(tanh_square(1), dps=20).value
    assert rmtp.check(float(exact), tanh_square(1), widths=None, rtol=1e-13).passed()
    assert not rmtp.check(float(exact) * (1 + 1e-9), tanh_square(1), widths=None, rtol=1e-13).passed()


def test_samples_refuse_a_wrong_claim():
    found = rmtp.check(lambda rho: 1 + rho, second, grid=GRID, widths=(100, 200), trials=60)
    assert found.unsound == () and "refuse the claim in 2 of the 2 rows" in str(found)


def test_exactly():
    assert exactly(0.1) == F(0.1) and exactly(mpmath.mpf(-3) / 4) == F(-3, 4) and exactly(7) == 7
    assert exactly(math.inf) is exactly(mpmath.nan) is exactly(mpmath.mpf("inf")) is None
    assert exactly(mpmath.mpf(0)) == 0


# ---------------------------------------------------------------------------------------------
# reports


def test_reports():
    found = rmtp.check(lambda rho: 1 + rho, second, grid=GRID, widths=(50, 100), trials=10)
    rows = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3 and {row.count("|") for row in rows} == {rows[0].count("|")}
    assert "DEPARTS" in found.to_markdown() and "2 of 3 rows depart" in repr(found)
    assert "samples" in found.plot().get_legend().get_texts()[-1].get_text() or len(found.plot().lines) > 3


@pytest.mark.parametrize("grid", [GRID, {"rho": [1, 2]}, {"rho": [2]}, {"rho": [F(1, 2), 1, 2], "unused": ["a", "b"]}])
def test_figures_show_every_row(grid):
    claim = lambda rho, unused=None: rho + rho**2  # noqa: E731
    found = rmtp.check(claim, second, grid=grid, widths=None)
    ax = found.plot()
    circles = [line for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in circles) == len(found.rows)
    assert ax.get_ylabel() and ax.get_xlabel() in ("rho", "")


# ---------------------------------------------------------------------------------------------
# no claims


def raising(rho):
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("claim", "match"),
    [
        (raising, "raises ZeroDivisionError"),
        (lambda rho: math.nan, "nan"),
        (lambda rho: math.inf, "inf"),
        (lambda rho: 1j, "1j"),
        (lambda rho: "two", "two"),
        (lambda rho: None, "None"),
        (lambda rho: True, "True"),
        (lambda rho: [1, 2], "2 values"),
        (lambda rho: {"a": 1}, "1 values"),
        (lambda rho: np.ones((2, 2)), "array"),
        (lambda rho: mpmath.nan, "nan"),
        (lambda rho: sympy.zoo, "real"),
        (lambda rho: sympy.sqrt(-1), "real"),
        (lambda rho, sigma: rho, "sigma"),
        (lambda r: r, "needs r"),
        (sympy.Symbol("r"), "needs r"),
        (lambda *rho: 1, None),
        (math.nan, "nan"),
        ("one", "one"),
        (None, "None"),
    ],
)
def test_claims_that_are_none(claim, match):
    if match is None:
        assert not rmtp.check(claim, second, grid=GRID, widths=None).passed()
        return
    with pytest.raises(E.BadParameter, match=match) as caught:
        rmtp.check(claim, second, grid=GRID, widths=None)
    assert caught.value.remedy


def test_an_error_names_the_point():
    with pytest.raises(E.BadParameter) as caught:
        rmtp.check(lambda rho: 1 if rho == 1 else math.nan, second, grid=GRID, widths=None)
    assert "rho = 2" in str(caught.value)


@pytest.mark.parametrize(
    ("expr", "error"),
    [
        (rmtp.Normal(rmtp.Dim("n")), E.UnsupportedOperation),
        (rmtp.GOE(rmtp.Dim("n")), E.UnsupportedOperation),
        (rmtp.spectrum(rmtp.GOE(rmtp.Dim("n"))), E.UnsupportedOperation),
        (np.mean(rmtp.Normal(rmtp.Dim("n"), mean=(0, 0), cov=np.eye(2), axis="k"), axis=0), E.UnsupportedOperation),
        ("text", E.BadParameter),
        (None, E.BadParameter),
        (math.nan, E.BadParameter),
    ],
)
def test_expressions_that_are_no_number(expr, error):
    with pytest.raises(error):
        rmtp.check(1, expr, widths=None)


@pytest.mark.parametrize(
    "options",
    [
        {"grid": {}},
        {"grid": {"rho": []}},
        {"grid": {"rho": 2}},
        {"grid": {"rho": "12"}},
        {"grid": {"rho": [math.nan]}},
        {"grid": {"rho": np.ones((2, 2))}},
        {"grid": {2: [1]}},
        {"grid": [{"rho": 1}, {"sigma": 1}]},
        {"grid": 3},
        {"grid": []},
        {"grid": {"rho": [1], "unused": [1]}},
        {"grid": None},
        {"widths": ()},
        {"widths": (0,)},
        {"trials": 1, "widths": (10,)},
        {"rng": "seed"},
        {"dps": 0},
        {"dps": 2.5},
        {"method": "guess"},
        {"simulate": lambda width, rng, rho: 1.0, "widths": None},
        {"simulate": lambda width, rng, rho: "x", "widths": (10,), "trials": 2},
        {"simulate": lambda width, rng, rho: [1.0, 2.0], "widths": (10,), "trials": 2},
    ],
)
def test_bad_options(options):
    with pytest.raises(E.BadParameter) as caught:
        rmtp.check(lambda rho: 1, second, **{"grid": GRID, "widths": None, **options})
    assert caught.value.remedy


@pytest.mark.parametrize("widths", [None, (10, 20)])
def test_a_program_that_is_a_sweep_itself_is_refused(widths):
    swept = np.mean((rmtp.parameter([1, 2]) * rmtp.Normal(rmtp.Dim("n"))) ** 2)
    with pytest.raises(E.BadParameter, match="swept"):
        rmtp.check(1, swept, widths=widths, trials=3)


def test_errors_of_the_users_program_pass_through_with_the_point():
    def broken(rho):
        raise KeyError("typo")

    with pytest.raises(KeyError) as caught:
        rmtp.check(lambda rho: 1, broken, grid=GRID, widths=None)
    assert "rho = 1" in caught.value.__notes__[0]
