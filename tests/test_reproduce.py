"""`rmtp reproduce`: rows judge correctly, a quick part of the table passes, the report needs nothing but itself."""

from __future__ import annotations

import runpy
import sys
from fractions import Fraction
from html.parser import HTMLParser
from math import comb
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, npdf, quad, tanh

import rmtp
from rmtp import reproduce
from rmtp.cli import main
from rmtp.comparison import Z_BOUND
from rmtp.reproduce import DERIVATIONS, Claim, Derivation, Row, check, false_alarm_rate, oracles
from rmtp.results import Estimate

BY_NAME = {d.name: d for d in DERIVATIONS}
QUICK = ("transpose", "gradient-independence", "cdc", "marchenko-pastur-density", "stein")
EXAMPLES = Path(__file__).parents[1] / "examples"


def engine(value, error=0.0, method="quadrature"):
    return Estimate(value, error, method)


# ---------------------------------------------------------------------------------------------
# rows


def test_rationals_must_be_equal():
    assert Row("q", engine(Fraction(1, 3), 0, "exact"), Fraction(1, 3)).passed
    assert not Row("q", engine(Fraction(1, 3), 0, "exact"), Fraction(10**15, 3 * 10**15 + 1)).passed


def test_approximate_values_must_agree_within_stated_errors():
    assert Row("q", engine(1.0, 1e-6), 1.0 + 4e-6).passed
    assert not Row("q", engine(1.0, 1e-6), 1.0 + 6e-6).passed
    assert Row("q", engine(1.0, 0.0), 1.3, analytic_error=0.1).passed
    assert not Row("q", engine(1.0, 0.0), 1.6, analytic_error=0.1).passed


def test_nan_never_passes():
    assert not Row("q", engine(float("nan")), 1.0).passed
    assert not Row("q", engine(1.0), float("nan")).passed


def test_samples_that_disagree_fail_a_row():
    n = rmtp.Dim("n")
    square = np.mean(rmtp.Normal(n) ** 2)
    right, wrong = check([Claim("1", square, Fraction(1)), Claim("2", Estimate(Fraction(2), 0, "exact"), Fraction(2))])
    assert right.passed and right.exact and right.z is not None
    assert wrong.passed and wrong.z is None, "what the engine already said is not sampled"
    one = lambda n, rng, trials: rng.normal(1, 0.1, trials)  # noqa: E731
    off = check([Claim("2", Estimate(Fraction(2), 0, "exact"), Fraction(2), sampler=one)])[0]
    assert off.agrees and not off.passed


def test_bias_of_order_one_over_n_is_forgiven_and_a_constant_is_not():
    def biased(constant, slope):
        return lambda n, rng, trials: constant + slope / n + rng.normal(0, 0.01, trials)

    def row(constant, slope):
        one = Estimate(Fraction(1), 0, "exact")
        return check([Claim("q", one, Fraction(1), sampler=biased(constant, slope))])[0]

    assert row(1.0, 50.0).passed
    assert not row(1.05, 0.0).passed


def test_naive_claims_use_the_naive_limit_and_are_not_sampled():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    overlap = np.mean(x * (W.T @ (W @ x)))
    true, naive = check([Claim("t", overlap, Fraction(1)), Claim("n", overlap, Fraction(0), naive=True)], exact=True)
    assert true.passed and naive.passed
    assert naive.finite is None


def test_false_alarm_rate_is_that_of_independent_gaussian_rows():
    n = rmtp.Dim("n")
    row = check([Claim("1", np.mean(rmtp.Normal(n) ** 2), Fraction(1))])[0]
    one = float(mp.erfc(Z_BOUND / mp.sqrt(2)))
    assert false_alarm_rate([row]) == pytest.approx(one, rel=1e-9)
    assert false_alarm_rate([row] * 300) == pytest.approx(1 - (1 - one) ** 300, rel=1e-6)


# ---------------------------------------------------------------------------------------------
# oracles against other arithmetic


def test_narayana_against_brute_force_noncrossing_partitions():
    """Moments of the free Poisson law: ratio^(blocks - 1) over noncrossing partitions."""

    def partitions(points):
        if not points:
            yield []
            return
        first, rest = points[0], points[1:]
        for mask in range(1 << len(rest)):
            block = [first, *(p for k, p in enumerate(rest) if mask >> k & 1)]
            others = [p for p in rest if p not in block]
            for more in partitions(others):
                yield [block, *more]

    def noncrossing(partition):
        where = {p: k for k, block in enumerate(partition) for p in block}
        size = len(where)
        return not any(
            where[a] == where[c] != where[b] == where[d]
            for a in range(size)
            for b in range(a + 1, size)
            for c in range(b + 1, size)
            for d in range(c + 1, size)
        )

    ratio = Fraction(3, 2)
    for k in range(1, 6):
        brute = sum(ratio ** (len(p) - 1) for p in partitions(list(range(k))) if noncrossing(p))
        assert oracles.narayana_moment(ratio, k) == brute


def test_series_reversion_is_an_inverse():
    series = [0, Fraction(2), Fraction(-1), Fraction(3, 7), Fraction(5)]
    inverse = oracles.reversion(series, 5)
    composed, power = [Fraction(0)] * 5, [Fraction(1), 0, 0, 0, 0]
    for c in series[1:]:
        power = [sum(power[i] * inverse[k - i] for i in range(k + 1)) for k in range(5)]
        composed = [a + c * b for a, b in zip(composed, power)]
    assert composed == [0, 1, 0, 0, 0]


def test_jacobian_moments_reduce_to_known_laws():
    one = [Fraction(1)] * 6
    plain = oracles.jacobian_moments([(Fraction(1), Fraction(1), one)] * 2, 4)
    assert plain == [Fraction(comb(3 * k, k), 2 * k + 1) for k in range(1, 5)]
    single = oracles.jacobian_moments([(Fraction(1), Fraction(3), one)], 4)  # W.T W of ratio 3: moments 3 m_k / 1
    assert single == [3 * oracles.narayana_moment(Fraction(3), k) for k in range(1, 5)]
    assert oracles.jacobian_moments([(Fraction(2), Fraction(1), [Fraction(1, 2)] * 6)], 4) == [1, 3, 11, 45]


def test_quadrature_against_mpmath():
    with mp.workdps(30):
        for var in (0.3, 1.0, 4.0):
            exact = quad(lambda u, var=var: npdf(u) * tanh(mp.sqrt(var) * u) ** 2, [-30, -5, -1, 0, 1, 5, 30])
            assert oracles.gauss(lambda x: np.tanh(x) ** 2, var) == pytest.approx(float(exact), rel=1e-12)
    assert oracles.gauss(lambda x: abs(x - 0.3), 1.0, kinks=[0.3]) == pytest.approx(
        float(2 * npdf(0.3) + 0.3 * mp.erf(0.3 / mp.sqrt(2))), rel=1e-12
    )


@pytest.mark.parametrize("c", [-1.0, -0.4, 0.0, 0.9, 1.0])
def test_pair_quadrature_on_exponentials(c):
    value = oracles.gauss2(lambda x, y: np.exp(x / 2 + y / 3), 1.0, 1.0, c)
    assert value == pytest.approx(np.exp((1 / 4 + 1 / 9 + 2 * c / 6) / 2), rel=1e-12)


def test_soft_threshold_error_against_quadrature():
    tau, threshold, share = 0.4, 0.5, 0.2

    def soft(y):
        return np.sign(y) * max(abs(y) - threshold, 0.0)

    zero = oracles.gauss(lambda z: soft(tau * z) ** 2, kinks=[threshold / tau, -threshold / tau])
    x, w = np.polynomial.hermite_e.hermegauss(150)
    inner = [
        oracles.gauss(
            lambda z, a=a: (soft(a + tau * z) - a) ** 2, kinks=[(threshold - a) / tau, (-threshold - a) / tau]
        )
        for a in x
    ]
    expected = share * (w / w.sum()) @ inner + (1 - share) * zero
    assert reproduce.iterations.soft_error(tau, threshold, share) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------------------------------------
# the table


@pytest.mark.parametrize("name", QUICK)
def test_quick_derivations_pass(name):
    rows = BY_NAME[name].rows()
    assert rows
    assert [row.quantity for row in rows if not row.passed] == []


def test_published_values_of_amp():
    """tau^2 and mse of TP0, D.8: six digits."""
    tau2 = 0.01 + 2 * reproduce.iterations.RHO
    seen = []
    for _ in range(4):
        mse = reproduce.iterations.soft_error(tau2**0.5, 1.4 * tau2**0.5, reproduce.iterations.RHO)
        seen += [round(tau2, 6), round(mse, 6)]
        tau2 = 0.01 + 2 * mse
    assert seen == [0.327311, 0.080717, 0.171434, 0.052051, 0.114102, 0.038421, 0.086842, 0.031006]


def test_published_values_of_mup():
    assert np.round(reproduce.networks.mup_oracle(1.0, 0.7, -1.0), 6).tolist() == [
        0.51856,
        0.314114,
        0.407896,
        0.201682,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", [d.name for d in DERIVATIONS if d.name not in QUICK])
def test_every_derivation_passes(name):
    assert [row.quantity for row in BY_NAME[name].rows() if not row.passed] == []


def test_names_are_distinct_and_typeable():
    names = [d.name for d in DERIVATIONS]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


# ---------------------------------------------------------------------------------------------
# the command


class Links(HTMLParser):
    """What a page would load or point to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for key, value in attrs if key in ("src", "href", "data", "srcset", "poster")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file(tmp_path, capsys):
    out = tmp_path / "deep" / "report"
    assert main(["reproduce", "transpose", "cdc", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "false-alarm rate" in printed and "11 of 11 rows pass" in printed
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert page.open == []
    assert page.found and all(link.startswith(("data:image/png;base64,", "#")) for link in page.found)
    assert "http" not in text and "url(" not in text and "@import" not in text and "<script" not in text
    assert "probability" in text
    assert (out / "transpose.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "cdc.png").exists()


def test_list(capsys):
    assert main(["reproduce", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [d.name for d in DERIVATIONS]


def test_an_unknown_name_lists_the_names(capsys, tmp_path):
    assert main(["reproduce", "transpose", "semicirle", "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "semicirle" in err and "semicircle" in err
    assert not (tmp_path / "out").exists()


def test_a_failing_row_exits_with_1(monkeypatch, capsys, tmp_path):
    bad = Derivation("bad", "A law that is <not> so", "nobody", lambda: (Row("one", engine(1.0), 2.0),))
    monkeypatch.setattr(reproduce, "DERIVATIONS", (BY_NAME["cdc"], bad))
    assert main(["reproduce", "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "bad, one" in captured.err
    assert "FAIL" in captured.out
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'class="FAIL"' in text and "&lt;not&gt;" in text


def test_an_error_of_the_engine_exits_with_1(monkeypatch, capsys, tmp_path):
    def broken():
        raise rmtp.errors.BudgetExceeded("too much", remedy="less")

    monkeypatch.setattr(reproduce, "DERIVATIONS", (Derivation("bad", "t", "s", broken),))
    assert main(["reproduce", "--out", str(tmp_path)]) == 1
    assert "BudgetExceeded" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------
# examples


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_examples_run(path, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    figure = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", [str(path), str(figure)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    if "sys.argv" in path.read_text():
        assert figure.read_bytes().startswith(b"\x89PNG")
