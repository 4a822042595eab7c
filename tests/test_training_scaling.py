"""Scalings of initialisation and learning rate: exponents, cells of the plane, limit models, their dynamics."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtp.errors import BadParameter
from rmtp.training import ABC, classify, exponents, named, plane
from rmtp.training.scaling import first_step

# Golikov 2020 (2006.06574), Table 1; columns 1-4 are its properties, then the gradient of the loss at step 0 and later
TABLE = """
MF            -1   1    0   finite   yes no   -y/2     logistic  particles
NTK           -1/2 0    finite finite no  yes  logistic logistic  kernel + g_0
sym-default   -1/2 1/2  finite infinite yes no logistic sign      particles
MF-NTK        -3/4 1/2  0   finite   no  no   -y/2     logistic  kernel
NTK-sym       -1/2 1/4  finite infinite no no  logistic sign      kernel
sym-MF        -3/4 3/4  0   infinite yes no   -y/2     sign      particles
post-MF       -3/2 3/2  0   0        yes no   -y/2     -y/2      non-interacting particles
pre-sym       0    0    infinite infinite yes no sign  sign      particles
post-NTK      -1   1/2  0   0        no  yes  -y/2     -y/2      kernel + g_0
pre-NTK       0    -1/2 infinite infinite no yes sign  sign      kernel + g_0
barycenter    -2/3 1/2  0   infinite no  no   -y/2     sign      kernel
post-MF-NTK   -1   3/4  0   0        no  no   -y/2     -y/2      kernel
pre-NTK-sym   0    -1/4 infinite infinite no no sign   sign      kernel
"""
ROWS = [line.split(maxsplit=9 - 1) for line in TABLE.strip().splitlines()]
rationals = st.fractions(min_value=-3, max_value=3, max_denominator=12)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_of_the_published_table(row):
    name, q_sigma, q_tilde, f0, k0, evolves, balanced, gradients = *row[:7], row[7:]
    report = classify((q_sigma, q_tilde))
    assert report.model.name == name
    assert report.properties == {
        "f_0": f0,
        "K_0": k0,
        "kernel evolves": evolves == "yes",
        "f_0 ~ update": balanced == "yes",
    }
    first, rest = gradients[0], gradients[1].split(maxsplit=1)
    assert [report.model.first_gradient, report.model.later_gradient, report.model.state] == [first, *rest]


def test_the_fourteenth_model_is_reached_by_no_scaling():
    model = classify("ic-mf").model
    assert (model.name, model.state) == ("IC-MF", "particles + g_0")
    assert model.properties == {"f_0": "finite", "K_0": "finite", "kernel evolves": True, "f_0 ~ update": True}
    assert classify("ic-mf").exponents.initial == 0 == classify("ntk").exponents.initial


def test_the_band_has_thirteen_cells():
    grid = [F(k, 12) for k in range(-24, 25)]
    found = {report.model for q in grid for t in grid if (report := classify((q, t))).model}
    assert len(found) == 13
    assert len({model.name for model in found}) == 13


@settings(deadline=None)
@given(rationals, rationals)
def test_exponents_of_one_hidden_layer_are_those_of_the_plane(q, t):
    """f_0, K and Delta f, weights and kernel by Golikov's own arithmetic, in p and kappa."""
    e, p, kappa = exponents(plane(q, t)), q + t, 1 + 2 * q + t
    assert e.initial == q + F(1, 2)
    assert e.kernel == kappa
    assert e.weights == (p, p)
    if p <= 0:
        assert e.update == kappa
        assert e.features == p
        assert e.kernel_change == max(2 * p, p - F(1, 2))


@settings(deadline=None)
@given(rationals, rationals)
def test_the_band_is_between_two_lines(q, t):
    report, p = classify((q, t)), q + t
    assert report.in_band == (F(-1, 2) <= p <= 0)
    assert report.learns_features == (p == 0)
    if p > 0:
        assert report.stability == "exploding"
        assert "features grow" in report.explanation
    if p < F(-1, 2):
        assert "stagnates" in report.explanation


def theorem_3_3(a, b, c):
    """Yang & Hu 2021, Theorems 3.3 to 3.8, as printed: (r, stable, non-trivial, feature learning)."""
    depth = len(a) - 1
    r = min(a[-1] + b[-1], 2 * a[-1] + c) + c - 1 + min(2 * a[k] + (1 if k == 0 else 0) for k in range(depth))
    fine = a[0] + b[0] == 0 and all(a[k] + b[k] == F(1, 2) for k in range(1, depth)) and a[-1] + b[-1] >= F(1, 2)
    stable = fine and r >= 0 and 2 * a[-1] + c >= 1 and a[-1] + b[-1] + r >= 1
    tight = 2 * a[-1] + c == 1 or a[-1] + b[-1] + r == 1
    return r, stable, stable and tight, stable and tight and r == 0


halves = st.fractions(min_value=-1, max_value=2, max_denominator=4)


@settings(deadline=None)
@given(st.integers(1, 4), st.data())
def test_any_depth_against_the_printed_theorem(depth, data):
    a = [data.draw(halves) for _ in range(depth + 1)]
    b = [-a[0], *(F(1, 2) - x for x in a[1:-1]), data.draw(halves)]
    c = data.draw(halves)
    r, stable, moving, learning = theorem_3_3(a, b, c)
    report = classify(ABC(tuple(a), tuple(b), c))
    assert report.r == r
    assert (report.stability == "stable") == moving
    assert (report.stability == "exploding") == (not stable)
    assert (report.stability == "stable" and report.learns_features) == learning


@settings(deadline=None)
@given(st.integers(1, 4), st.data(), rationals)
def test_shifted_parametrisations_are_one(depth, data, theta):
    rows = [tuple(data.draw(halves) for _ in range(depth + 1)) for _ in range(2)]
    if data.draw(st.booleans()):
        rows[1] = (-rows[0][0], *(F(1, 2) - x for x in rows[0][1:-1]), rows[1][-1])
    one = ABC(*rows, data.draw(halves))
    two = one.shifted(theta)
    assert exponents(one) == exponents(two)
    assert classify(one).model == classify(two).model
    assert one.plane == two.plane
    assert two.shifted(-theta) == one


def test_every_model_by_its_name():
    for row in ROWS:
        assert classify(row[0]).model.name == row[0]
    assert classify("MF-NTK").scaling.plane == (F(-3, 4), F(1, 2))
    for alias, name in {"mean_field": "MF", "mean-field": "MF", "NTP": "NTK", "muP": "MF", "IC_MF": "IC-MF"}.items():
        assert classify(alias).model.name == name
    with pytest.raises(BadParameter, match="one hidden layer"):
        classify("barycenter", depth=2)


def test_named_parametrisations_at_any_depth():
    for depth in (1, 2, 3, 7):
        assert (classify("ntk", depth=depth).r, classify("mup", depth=depth).r) == (F(1, 2), 0)
        assert classify("mup", depth=depth).stability == classify("ntk", depth=depth).stability == "stable"
        assert classify("standard", depth=depth).stability == "stable"
        assert classify("standard, constant rate", depth=depth).stability == "exploding"
    assert classify("standard", depth=2).r == F(1, 2)
    assert named("mup").shifted(F(1, 2)) == named("mean field")


def test_cells_with_growing_logits_are_too_slow_to_be_seen():
    for name in (("-1/2", "1/4"), ("-3/4", "3/4"), ("-2/3", "1/2")):
        (note,) = classify(name).notes
        assert "too slow to be seen" in note
        assert "logits grow" in note
    for name in ("mf", "ntk", "sym-default", "ic-mf"):
        assert not classify(name).notes
    for name in (("-3/4", "1/2"), (-1, "3/4"), (0, "-1/4")):
        assert classify(name).notes[0].startswith("convergence is slow: corrections vanish like n^-1/4")


def test_neighbours_of_a_point_are_other_models():
    """On the upper line the five cells follow each other, no two alike."""
    names = [classify((q, -q)).model.name for q in (F(-5, 4), -1, F(-3, 4), F(-1, 2), 0)]
    assert names == ["post-MF", "MF", "sym-MF", "sym-default", "pre-sym"]
    assert all(x != y for x, y in pairwise(names))


def test_equations_name_what_the_model_needs():
    for q in (F(-3, 2), -1, F(-3, 4), F(-1, 2), F(-1, 4), 0):
        for p in (F(-1, 2), F(-1, 4), 0):
            report = classify((q, p - q))
            text, latex = report.equations, report.latex()
            assert ("Theta" in text) == (not report.model.evolves)
            assert ("g_0 ~ GP" in text) == report.model.needs_initial
            assert ("1[y F_k < 0]" in text) == (report.model.later_gradient == "sign")
            assert ("n^kappa" in text) == (report.exponents.update != 0)
            assert latex.count("{") == latex.count("}")
            assert latex.startswith("\\begin{aligned}")
    assert "rmtp" not in classify("mup", depth=2).equations
    assert "tangent kernel" in classify("ntk", depth=2).equations


def test_readouts_that_outgrow_their_start():
    """What later steps add to the first: features follow the readout, which is no longer random, and so does the kernel."""
    scaling = ABC((F(1, 4), F(-1, 4)), (F(-1, 4), F(3, 4)), F(1, 4))
    e = exponents(scaling)
    assert (e.weights[-1], e.features, e.kernel_change) == (F(3, 4), F(-1, 2), F(-1, 2))
    assert first_step(scaling) == (F(-5, 4), F(-1, 2))
    assert classify(scaling).rate == F(1, 2)
    for row in ROWS:  # where layers learn at one rate, both are one
        plain = classify((row[1], row[2])).scaling
        assert first_step(plain) == (exponents(plain).features, exponents(plain).kernel_change)


def test_equations_of_layers_that_learn_at_rates_of_their_own():
    """What is lost in the limit is not in its equations."""
    standard = classify("standard")
    assert "Theta(x, x') = E[phi(w.x) phi(w.x')],  constant" in standard.equations
    assert "x \\cdot x'" not in standard.latex()
    first = classify(ABC((0, F(5, 8)), (0, F(-1, 8)), 0))
    assert "Theta(x, x') = E[phi'(w.x) phi'(w.x')] x.x',  constant" in first.equations
    grown = classify("standard, constant rate")
    assert "a_0 = 0, w_0 ~ N(0, I)" in grown.equations
    assert "a_0 = 0" in grown.latex()
    frozen = classify(ABC((F(-1, 2), F(3, 4)), (F(1, 2), F(1, 4)), 0))
    assert "a_k = a_0" in frozen.equations.splitlines()
    assert "a_k+1" not in frozen.equations
    deep = classify("standard", depth=3).equations
    assert "without layer 1\n" in deep
    assert "NNGP of a network with 3 hidden layers" in deep
    assert "without" not in classify("ntk", depth=3).equations


def test_deep_mean_field_is_explained():
    report = classify("mean field", depth=3)
    assert report.model is None
    assert report.stability == "trivial"
    assert "more than two hidden layers" in report.explanation
    with pytest.raises(BadParameter, match="hidden layers"):
        classify("mean field", depth=0)
    assert classify("ic-mf", depth=3).explanation == report.explanation
    one_rate = classify(ABC((0, 1, 1), (0, 0, 0), -1))
    assert one_rate.model is None
    assert "layer 2 vanish like n^-1/2" in one_rate.explanation


def test_mean_field_with_two_hidden_layers():
    """The rates of normalised weights are n^q~, n^(q~ - q_sigma) inside (Golikov 2020, section 4), for (-1, 1): 1, 2, 1."""
    form = named("mean field", 2)
    sigma = (0, -1, -1)  # W^l = sigma_l times normalised weights
    assert tuple(a + b for a, b in zip(form.a, form.b, strict=True)) == tuple(-s for s in sigma)
    rates = tuple(-form.c - 2 * a for a in form.a)  # of W^l
    assert tuple(r - 2 * s for r, s in zip(rates, sigma, strict=True)) == (1, 2, 1)
    for theta in (0, F(1, 3), -2):
        report = classify(form.shifted(theta))
        assert (report.model.name, report.stability, report.learns_features) == ("MF", "stable", True)
    assert "sum_{s<k}" in report.equations
    assert not report.latex()
    corrected = classify("ic-mf", depth=2)
    assert corrected.model == classify("ic-mf").model
    assert corrected.exponents.initial == 0
    assert "g_0 ~ GP" in corrected.equations
    assert classify("mean field", depth=2).model == classify("mean field").model


def test_preactivations_that_leave_their_scale():
    assert "explode like n^1/2" in classify(ABC((0, 0, F(1, 2)), (0, 0, 0), 0)).explanation
    assert "vanish like n^-1/2" in classify(ABC((F(1, 2), F(1, 2)), (0, 0), 0)).explanation


@pytest.mark.parametrize(
    "bad",
    ["nonsense", (1, 2, 3), (float("nan"), 0), ("x", 0), 3, (float("inf"), 0), (True, 0), None],
)
def test_no_scaling(bad):
    with pytest.raises(BadParameter):
        classify(bad)


def test_bad_parametrisations():
    with pytest.raises(BadParameter, match="as many"):
        ABC((0, 1), (0, 0, 0), 0)
    with pytest.raises(BadParameter, match="one exponent per layer"):
        ABC(0, (0, 0), 0)
    with pytest.raises(BadParameter, match="one hidden layer"):
        named("barycenter", 2)
    with pytest.raises(BadParameter, match="hidden layers"):
        named("mup", 0)
