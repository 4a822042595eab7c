"""Verification: right limits pass at the stated rate, wrong ones fail, rates are what theory says.

Seeds are fixed. Thresholds of 4 to 4.5 standard errors fail one correct case in 16 000 to 150 000.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import rmtp
from rmtp.errors import BadParameter, DivergentExpectation, UnsupportedOperation, VanishingVector
from rmtp.verify import _normal_deviate, check_trials, line_fit

WIDTHS = (50, 100, 200)


def wishart():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    return W.T @ (W @ x), x


def made(means, spreads, widths, trials, limit, *, seed=0):
    """A Verification of Gaussian trials with known mean and spread at each width."""
    rng = np.random.default_rng(seed)
    samples = tuple(m + s * rng.standard_normal(trials) for m, s in zip(means, spreads, strict=True))
    return rmtp.Verification(rmtp.Estimate(limit, 0, "claim"), tuple(widths), samples)


def test_known_limits_pass():
    h, x = wishart()
    first, second = rmtp.verify([np.mean(h * x), np.mean(h**2)], WIDTHS, 200)
    assert first.limit.value == Fraction(1) and second.limit.value == Fraction(2)
    assert first.passed() and second.passed()
    n = rmtp.Dim("n")
    A, z = rmtp.GOE(n), rmtp.Normal(n)
    assert rmtp.verify(np.mean((A @ (A @ z)) * z), WIDTHS, 200).passed()


def test_the_naive_answer_fails():
    h, x = wishart()
    naive = rmtp.verify(np.mean(h * x), WIDTHS, 100, gradient_independence=True)
    assert naive.limit.value == 0 and not naive.passed()


def test_wrong_claims_fail_and_the_right_one_passes():
    h, x = wishart()
    claims = [1.1, 0.9, -1, 0, 1]
    checks = rmtp.verify([np.mean(h * x)] * 5, WIDTHS, 400, claim=claims)
    assert [check.limit.method for check in checks] == ["claim"] * 5
    assert [check.passed() for check in checks] == [False] * 4 + [True]


def test_a_claim_with_an_error_of_its_own():
    h, x = wishart()
    loose = rmtp.Estimate(1.1, 0.1, "sobol")
    assert rmtp.verify(np.mean(h * x), WIDTHS, 400, claim=loose).passed()


def test_statistics_by_hand():
    check = made([1.2, 1.1], [0.3, 0.2], (10, 20), 5, Fraction(1))
    for k, row in enumerate(check.samples):
        mean, spread = sum(row) / 5, math.sqrt(sum((v - sum(row) / 5) ** 2 for v in row) / 4)
        assert math.isclose(check.mean[k], mean)
        assert math.isclose(check.spread[k], spread)
        assert math.isclose(check.se[k], spread / math.sqrt(5))
        assert math.isclose(check.bias[k], mean - 1)
        assert math.isclose(check.z[k], (mean - 1) / (spread / math.sqrt(5)), rel_tol=1e-9)
    # two widths: L + c/n goes through both means, so L = 2 mean(20) - mean(10)
    value, error = check.extrapolated
    assert math.isclose(value, 2 * check.mean[1] - check.mean[0])
    assert math.isclose(error, math.hypot(2 * check.se[1], check.se[0]), rel_tol=1e-9)


def test_z_includes_the_error_of_the_limit():
    exact = made([1.0], [0.1], (10,), 50, 1.05)
    vague = dataclasses.replace(exact, limit=rmtp.Estimate(1.05, 0.2, "sobol"))
    ratio = math.hypot(exact.se[0], 0.2) / exact.se[0]
    assert math.isclose(exact.z[0] / vague.z[0], ratio, rel_tol=1e-9)


def test_a_bias_of_order_one_over_n_is_allowed_for_and_one_that_stays_is_not():
    widths = (50, 100, 200, 400)
    fading = made([1 + 3 / n for n in widths], [0.01] * 4, widths, 100, 1.0)
    assert np.all(fading.z > 4) and fading.passed()
    slope, error = fading.bias_slope
    assert abs(slope + 1) < 4 * error < 0.5
    staying = made([1.02] * 4, [0.01] * 4, widths, 100, 1.0)
    assert not staying.passed()
    slope, error = staying.bias_slope
    assert abs(slope) < 4 * error
    assert made([1.0] * 4, [0.01] * 4, widths, 100, 1.0).bias_slope is None


def test_false_alarms_come_at_the_stated_rate():
    """At threshold 2 the rate is 4.55 %: of 2000 right claims with 8 trials a width, 91 ± 4 * 9.3 alarms."""
    alarms = 0
    for seed in range(2000):
        check = made([1 + 1 / n for n in WIDTHS], [n**-0.5 for n in WIDTHS], WIDTHS, 8, 1.0, seed=seed)
        alarms += not check.passed(2)
    assert abs(alarms - 91) < 4 * 9.3


def test_student_is_turned_into_a_normal_deviate():
    for t, freedom in ((2.5, 7), (-4.0, 15.5), (1.0, 3)):
        density = lambda u, d=freedom: (1 + u**2 / d) ** (-(d + 1) / 2)  # noqa: E731
        tail = mpmath.quad(density, [abs(t), 10, mpmath.inf]) / (2 * mpmath.quad(density, [0, 1, 10, mpmath.inf]))
        z = _normal_deviate(t, freedom)
        assert math.isclose(float(mpmath.ncdf(-abs(z))), float(tail), rel_tol=1e-6)
        assert math.copysign(1, z) == math.copysign(1, t)
    assert _normal_deviate(80.0, 1e6) > 35  # no overflow to infinity, no zero


def test_weighted_least_squares_against_the_normal_equations():
    rng = np.random.default_rng(0)
    x, error = rng.random(6), 0.1 + rng.random(6)
    y = 2 - 3 * x + error * rng.standard_normal(6)
    w = 1 / error**2
    system = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
    intercept, slope = np.linalg.solve(system, [(w * y).sum(), (w * x * y).sum()])
    covariance = np.linalg.inv(system)
    fit = line_fit(x, y, error)
    assert math.isclose(fit.slope, slope) and math.isclose(fit.intercept_shares @ y, intercept)
    assert math.isclose(fit.slope_error, math.sqrt(covariance[1, 1]))
    assert math.isclose(np.sum((fit.intercept_shares * error) ** 2), covariance[0, 0])


def test_an_average_spreads_like_the_root_of_the_width():
    h, x = wishart()
    slope, error = rmtp.verify(np.mean(h * x), (32, 64, 128, 256), 400).slope
    assert abs(slope + 0.5) < 4 * error and error < 0.03


def test_a_linear_statistic_spreads_like_the_width():
    """Given |x|^2/n, x.T W x/n has spread 1/sqrt(n); its square is a product of averages and has 1/n."""
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    check = rmtp.verify(np.mean((W @ x) * x) ** 2, (32, 64, 128, 256), 400)
    slope, error = check.slope
    assert check.limit.value == 0
    assert abs(slope + 1) < 4 * error < 0.6
    # E = E(|x|^2/n)^2 / n = (1 + 2/n)/n: the bias is 1/n, and the extrapolated mean is 0 all the same
    assert check.passed() and check.z[0] > 4
    bias, error = check.bias_slope
    assert abs(bias + 1) < 4 * error


def test_slopes_of_made_data():
    widths = (50, 100, 200, 400)
    for power in (-0.5, -1.0, 0.0):
        slope, error = made([1.0] * 4, [n**power for n in widths], widths, 400, 1.0).slope
        assert abs(slope - power) < 4 * error < 0.2


def test_deterministic_averages():
    n = rmtp.Dim("n")
    check = rmtp.verify(np.mean(rmtp.constant(n, Fraction(1, 3)) ** 2), (10, 20), 3)
    assert check.slope is None and check.bias_slope is None and check.passed()
    assert np.all(np.abs(check.z) < 1)
    assert not rmtp.verify(np.mean(rmtp.constant(n, 3)), (10, 20), 3, claim=3.0001).passed()


def test_rounding_noise_around_an_exact_zero():
    n = rmtp.Dim("n")
    W, x, y = rmtp.Gaussian(n, n), rmtp.Normal(n), rmtp.Normal(n)
    residue = W @ (x + y) - W @ x - W @ y
    check = rmtp.verify(np.mean(residue**2), (20, 40), 10)
    assert check.limit.value == 0 and 0 < check.mean[0] < 1e-28
    assert check.passed()


def test_a_jump_at_the_limit_is_not_compared_with_rounding_noise():
    n = rmtp.Dim("n")
    W, x, y = rmtp.Gaussian(n, n), rmtp.Normal(n), rmtp.Normal(n)
    residue = W @ (x + y) - W @ x - W @ y
    with pytest.raises(VanishingVector):
        rmtp.verify(np.mean(np.sign(residue) ** 2), (20, 40))


def test_universality():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = W.T @ np.tanh(W @ x)
    checks = rmtp.verify(np.mean(h**2), WIDTHS, 200, entries=rmtp.ensembles.ENTRY_LAWS)
    assert tuple(checks) == rmtp.ensembles.ENTRY_LAWS
    for law, check in checks.items():
        assert check.entries == law and check.passed()
        assert check.limit is checks["gaussian"].limit
    # the laws differ at finite width: sparse entries at n = 50 have 2.5 to a row
    assert checks["sparse"].mean[0] != checks["gaussian"].mean[0]
    lists = rmtp.verify([np.mean(h), np.mean(h**2)], (20, 40), 5, entries=("uniform", "sparse"))
    assert [len(v) for v in lists.values()] == [2, 2]
    single = rmtp.verify(np.mean(h), (20, 40), 5, entries="uniform")
    assert single.entries == "uniform"


def test_lists_share_their_draws():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    a, b = rmtp.verify([np.mean(x), 2 * np.mean(x)], (20, 40), 5)
    assert all(np.array_equal(2 * p, q) for p, q in zip(a.samples, b.samples, strict=True))


def test_reproducible_by_seed_and_widths_in_any_order():
    h, x = wishart()
    a = rmtp.verify(np.mean(h * x), (20, 40), (8, 4), rng=3)
    b = rmtp.verify(np.mean(h * x), (40, 20), (4, 8), rng=np.random.default_rng(3))
    assert a.widths == b.widths == (20, 40) and a.trials == b.trials == (8, 4)
    assert all(np.array_equal(p, q) for p, q in zip(a.samples, b.samples, strict=True))
    c = rmtp.verify(np.mean(h * x), (20, 40), (8, 4), rng=4)
    assert not np.array_equal(a.samples[0], c.samples[0])


def test_default_trials_cost_about_the_same_per_width():
    assert check_trials(None, None, (250, 500, 1000, 2000)) == [512, 128, 32, 8]
    assert check_trials(None, None, (10, 100_000)) == [512, 8]


def test_frozen():
    check = made([1.0], [0.1], (10,), 5, 1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        check.widths = (1,)
    h, x = wishart()
    real = rmtp.verify(np.mean(h * x), (10, 20), 3)
    with pytest.raises(ValueError):
        real.samples[0][0] = 0


def test_reports():
    h, x = wishart()
    check = rmtp.verify(np.mean(h * x), (20, 40), 50)
    text, table = str(check), check.to_markdown()
    assert "limit 1 (exact)" in text and "agrees" in text
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(check.widths)
    assert {row.count("|") for row in rows} == {7}
    assert "DISAGREES" in str(rmtp.verify(np.mean(h * x), (20, 40), 50, claim=7))


def test_one_width_is_judged_by_its_mean():
    h, x = wishart()
    check = rmtp.verify(np.mean(h * x), (200,), 60)
    assert check.extrapolated[0] == pytest.approx(check.mean[0]) and check.slope is None
    assert check.passed()


@pytest.mark.parametrize(
    "options",
    [
        {"widths": ()},
        {"widths": (10, 10)},
        {"widths": (10, 0)},
        {"widths": 100},
        {"widths": (10.5,)},
        {"trials": 1},
        {"trials": 0},
        {"trials": (5, 5, 5)},
        {"trials": 2.5},
        {"claim": math.nan},
        {"claim": "one"},
        {"claim": [1, 2]},
        {"claim": 1, "rtol": 1e-3},
        {"entries": "cauchy"},
        {"entries": ()},
        {"rng": -1},
        {"rtol": 2},
    ],
)
def test_bad_arguments(options):
    x = rmtp.Normal(rmtp.Dim("n"))
    with pytest.raises(BadParameter) as caught:
        rmtp.verify(np.mean(x), **{"widths": (10, 20), "trials": 4, **options})
    assert caught.value.remedy


def test_vectors_axes_and_sweeps_are_refused():
    n = rmtp.Dim("n")
    x, X = rmtp.Normal(n), rmtp.Normal(n, mean=(0, 0), cov=np.eye(2), axis="k")
    with pytest.raises(UnsupportedOperation) as caught:
        rmtp.verify(x)
    assert "np.mean(f(x))" in caught.value.remedy
    with pytest.raises(UnsupportedOperation):
        rmtp.verify(np.mean(X, axis=0))
    with pytest.raises(BadParameter):
        rmtp.verify(np.mean(rmtp.parameter([1, 2]) * x))


def test_samples_that_are_not_finite_are_an_error():
    n = rmtp.Dim("n")
    x = rmtp.Normal(n)
    with pytest.raises(DivergentExpectation, match="width 20"), np.errstate(invalid="ignore"):
        rmtp.verify(np.mean(np.log(x)), (20, 40), 3, claim=0)


def test_an_event_that_no_coordinate_met():
    """P(x > 6) = 1e-9: samples that are all 0 do not contradict it, nor those that are all 1 the other side."""
    x = rmtp.Normal(rmtp.Dim("n"))
    for rare in (np.mean(x > 6), np.mean(x < 6)):
        check = rmtp.verify(rare, widths=(100, 200), trials=20, rng=0)
        assert np.all(check.spread == 0) and abs(check.score) < 1e-3
