"""The fuzzer finds planted errors, shrinks them to what matters, and passes what is right; a short run of every kind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction as F
from functools import partial
from pathlib import Path

import mpmath
import numpy as np
import pytest
from fuzz import algorithms, networks, programs, spectra
from fuzz.__main__ import KINDS, fuzz
from fuzz.cases import Case, Comparison, Line, Tally, as_code, differ, judge, shrunk, smaller

import rmtp
from rmtp import amp

EXACT = rmtp.Estimate(1.0, 0.0, "given")
LINES = (
    Line("x = rmtp.Normal(n)"),
    Line("y = W @ np.tanh(x)", ("y = W @ x", "y = x")),
    Line("z = W.T @ np.sin(y)", ("z = W.T @ y", "z = x")),
    Line("u = z + x", ("u = z",)),
    Line("out = [np.mean(u * x)]", ("out = [np.mean(x * x)]",)),
)
CASE = Case("programs", ('n = rmtp.Dim("n")', "W = rmtp.Gaussian(n, n)"), LINES)


def naive(names, attempt):
    """The planted error: an engine that forgets Z-Dot."""
    return differ(rmtp.limit(names["out"]), rmtp.limit(names["out"], gradient_independence=True))


PLANTED = Comparison("planted", naive, "print(rmtp.limit(out, gradient_independence=True))")


def test_a_planted_error_is_found_and_shrunk_to_a_matrix_and_its_transpose():
    tally = Tally()
    (found,) = list(judge(CASE, [PLANTED], tally))
    least = shrunk(CASE, PLANTED, found[1])
    assert [line.text for line in least.lines] == [
        "x = rmtp.Normal(n)",
        "y = W @ x",
        "z = W.T @ y",
        "u = z",
        "out = [np.mean(u * x)]",
    ]
    assert all(not list(judge(c, [PLANTED], Tally())) for c in smaller(least) if "out" in c.source and runs(c))
    code = as_code(least, PLANTED, found[1])
    exec(code.replace("print(", "shown = ("), names := {})
    assert names["shown"][0].value == 0 and rmtp.limit(names["out"])[0].value == 1


def runs(case):
    try:
        return "out" in case.namespace()
    except Exception:
        return False


def test_what_passes_and_what_does_not():
    near = replace(EXACT, value=1.0 + 5e-10)
    assert differ([EXACT], [near]) is None and differ([EXACT], [replace(EXACT, value=1.0 + 1e-8)])
    assert differ([EXACT], [replace(EXACT, value=1.5, error=0.1)]) is None
    assert differ([EXACT], [replace(EXACT, value=1.7, error=0.1)])
    assert differ([EXACT], [replace(EXACT, value=float("nan"))])


def test_errors_of_rmtp_are_refusals_and_others_are_findings():
    def refused(names, attempt):
        raise rmtp.errors.BadParameter("no")

    def crash(names, attempt):
        raise KeyError("oops")

    def once(names, attempt):
        return None if attempt else "by chance"

    tally = Tally()
    plans = [Comparison(name, run, "") for name, run in (("refused", refused), ("crash", crash), ("once", once))]
    found = list(judge(CASE, plans, tally))
    assert [text for _, text in found] == ["raises KeyError: 'oops'"]
    assert tally.refused == {("programs", "refused"): 1} and tally.unconfirmed == {("programs", "once"): 1}


def test_samples_find_a_wrong_limit(monkeypatch):
    names = {"out": [np.mean(rmtp.Normal(rmtp.Dim("n")) ** 2)]}
    assert programs._samples(names, 0) is None
    monkeypatch.setattr(rmtp, "verify", lambda out, *a, **k: [check_of(out, *a)])
    check_of = lambda out, *a: RIGHT(out[0], *a[:3], claim=1.2)  # noqa: E731
    assert "z = " in programs._samples(names, 0)


RIGHT = rmtp.verify


@pytest.mark.parametrize("kind", KINDS)
def test_cases_are_a_function_of_the_seed_and_most_of_them_run(kind):
    module = {"programs": programs, "spectra": spectra, "networks": networks, "algorithms": algorithms}[kind]
    cases = [module.case(seed) for seed in range(8)]
    assert [c.source for c in cases] == [module.case(seed).source for seed in range(8)]
    assert len({c.source for c in cases}) > 4
    for case in cases:
        case.namespace()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_cases_of_every_kind(kind):
    tally = fuzz([kind], seed=11, minutes=1, most=2, out=lambda text: None)
    assert not tally.failures and sum(tally.compared.values()) >= 4, tally


@pytest.mark.slow
def test_more_cases():
    tally = fuzz(list(KINDS), seed=500, minutes=0.4, out=lambda text: None)
    assert not tally.failures and len(tally.cases) == 5, tally


def test_the_command():
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "1", "--kind", "networks", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120, check=False)
    assert done.returncode == 0 and "disagreements: 0" in done.stdout, done.stderr


# ---------------------------------------------------------------------------------------------
# what the fuzzer found, and what must not come back


def test_digits_where_a_form_has_integer_and_high_precision_coefficients():
    """Seed 7003: the second element of a basis divided an int by itself and left a Fraction among mpf's."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m")
    W, V = rmtp.Gaussian(m, n, variance=F(3, 4)), rmtp.Gaussian(m, n, variance=F(1, 2))
    g = W @ rmtp.Normal(n, F(1, 4)) + rmtp.IID(m, rmtp.Discrete([-1, 0, 1]))
    second = np.mean((V.T @ (g - g**2)) ** 2)
    a, b = F(3, 4) * F(17, 16), F(2, 3)  # variances of W x and of the atoms
    expected = (a + b + 3 * a**2 + 6 * a * b + b) / 2
    assert rmtp.limit(second, exact=True).value == expected
    with mpmath.workdps(30):
        assert abs(rmtp.limit(second, dps=25).value - mpmath.mpf(expected.numerator) / expected.denominator) < 1e-23


def test_derived_corrections_on_square_arrays():
    """Refused in 39 of 125 algorithms: for as many observations as unknowns, x was taken to have the width of y."""
    method = rmtp.onsager(partial(amp.ista, step=0.5, penalty=0.3))
    found = rmtp.compare(method, amp.linear_model(1, [-1, 1], F(1, 10)), 3, widths=(150, 300), trials=24)
    assert found.passed()
