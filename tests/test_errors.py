"""Bad input: one class of error, a message that names the place and a remedy, and never a number instead.

Every entry is (name, class, function). The function may build a program, ask for its limit, or use the law it gets.
"""

from __future__ import annotations

import copy
import math
import warnings
from fractions import Fraction as F

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

import rmtp
from rmtp import errors as e
from rmtp.instructions import Apply, Arithmetic, Init, Line
from rmtp.program import Program

n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
x, y, z, u = rmtp.Normal(n, name="x"), rmtp.Normal(n, name="y"), rmtp.Normal(n, name="z"), rmtp.Normal(m, name="u")
W, V, A = rmtp.Gaussian(m, n, name="W"), rmtp.Gaussian(n, n, name="V"), rmtp.GOE(n, name="A")
NAN, INF = float("nan"), float("inf")


def mean_limit(expr, **options):
    return rmtp.limit(np.mean(expr), **options)


def iid(law):
    return rmtp.IID(n, law)


def call(f, v):
    return rmtp.elementwise(f)(v)


TRACED = {
    "if": lambda: 1 if x > 0 else 0,
    "if scalar": lambda: 1 if np.mean(x) > 0 else 0,
    "while": lambda: [0 for _ in iter(lambda: bool(x), False)],
    "and": lambda: x > 0 and x < 1,
    "chained comparison": lambda: 0 < x < 1,
    "float": lambda: float(x),
    "float of a scalar": lambda: float(np.mean(x)),
    "int": lambda: int(x),
    "complex": lambda: complex(x),
    "math.tanh": lambda: math.tanh(x),
    "math.sqrt of a scalar": lambda: math.sqrt(np.mean(x * x)),
    "np.asarray": lambda: np.asarray(x),
    "np.array of handles": lambda: np.array([x, y]),
    "np.float64": lambda: np.float64(x),
    "len": lambda: len(x),
    "loop": lambda: list(x),
    "sum": lambda: sum(x),
    "max": lambda: max(x, y),
    "in": lambda: 1 in x,
    "bool of a matrix": lambda: bool(W),
}

UNSUPPORTED = {
    "sort": lambda: np.sort(x),
    "median": lambda: np.median(x),
    "percentile": lambda: np.percentile(x, 5),
    "max": lambda: np.max(x),
    "argmax": lambda: np.argmax(x),
    "any": lambda: np.any(x > 0),
    "cumsum": lambda: np.cumsum(x),
    "prod": lambda: np.prod(x),
    "dot": lambda: np.dot(x, y),
    "inner": lambda: np.inner(x, y),
    "einsum": lambda: np.einsum("i,i", x, y),
    "norm": lambda: np.linalg.norm(x),
    "concatenate": lambda: np.concatenate([x, y]),
    "round": lambda: np.round(x),
    "imag": lambda: np.imag(x),
    "select": lambda: np.select([x > 0], [x]),
    "nan_to_num": lambda: np.nan_to_num(x),
    "interp": lambda: np.interp(x, [0, 1], [0, 1]),
    "sum over the width": lambda: np.sum(x),
    "sum over axis 0": lambda: np.sum(x, axis=0),
    "x @ y": lambda: x @ y,
    "out": lambda: np.tanh(x, out=np.zeros(3)),
    "where=": lambda: np.tanh(x, where=np.array([True])),
    "reduce": lambda: np.add.reduce(x),
    "accumulate": lambda: np.add.accumulate(x),
    "outer": lambda: np.multiply.outer(x, y),
    "at": lambda: np.add.at(x, 0, 1),
    "keepdims": lambda: np.mean(x, keepdims=True),
    "dtype": lambda: np.mean(x, dtype=float),
    "ddof": lambda: np.std(x, ddof=1),
    "floor": lambda: np.floor(x),
    "mod": lambda: x % 2,
    "floor divide": lambda: x // 2,
    "shift": lambda: x << 1,
    "equal": lambda: x == y,
    "not equal": lambda: x != 0,
    "isnan": lambda: np.isnan(x),
    "gammaln": lambda: sp.gammaln(x),
    "symbolic exponent": lambda: x**y,
    "negative base": lambda: (-2) ** x,
    "symbolic heaviside": lambda: np.heaviside(x, y),
    "W * W": lambda: W * W,
    "W * x": lambda: W * x,
    "W ** 0.5": lambda: (W.T @ W) ** 0.5,
    "W + 1": lambda: W + 1,
    "W @ array": lambda: V @ np.ones(3),
    "array @ x": lambda: np.ones((3, 3)) @ x,
    "W @ scalar": lambda: V @ np.mean(x),
    "x + matrix": lambda: x + V,
    "x + str": lambda: x + "a",
    "x + None": lambda: x + None,
    "x + complex": lambda: x + 1j,
    "no closed form": lambda: mean_limit(np.tanh(x) ** 2, method="closed"),
    "tanh of a matrix": lambda: np.tanh(W),
    "where with one argument": lambda: np.where(x > 0),
}

DIMENSIONS = {
    "wrong side": (e.WrongSide, lambda: W @ u),
    "wrong side, transposed": (e.WrongSide, lambda: W.T @ x),
    "wrong side from the left": (e.WrongSide, lambda: x @ W),
    "third width": (e.DimensionMismatch, lambda: W @ rmtp.Normal(rmtp.Dim("k", 3))),
    "sum of two widths": (e.DimensionMismatch, lambda: x + u),
    "maximum of two widths": (e.DimensionMismatch, lambda: np.maximum(x, u)),
    "where of two widths": (e.DimensionMismatch, lambda: np.where(x > 0, u, 0)),
    "user function of two widths": (e.DimensionMismatch, lambda: rmtp.elementwise(np.hypot)(x, u)),
    "one name, two ratios": (
        e.DimensionMismatch,
        lambda: rmtp.limit([np.mean(x), np.mean(rmtp.Normal(rmtp.Dim("n", 3)))]),
    ),
    "one name, two ratios, one matrix": (
        e.DimensionMismatch,
        lambda: rmtp.limit(rmtp.Gaussian(rmtp.Dim("n", 2), n) @ x),
    ),
    "index of the width": (e.AxisError, lambda: x[0]),
    "slice of the width": (e.AxisError, lambda: x[1:]),
    "index of a missing axis": (e.AxisError, lambda: x[:, 0]),
    "mean over a missing axis": (e.AxisError, lambda: np.mean(x, axis=1)),
    "stack along the width": (e.AxisError, lambda: np.stack([x, y])),
    "stack of two widths": (e.AxisError, lambda: np.stack([x, u], axis=1)),
    "stack of vector and scalar": (e.AxisError, lambda: np.stack([x, np.mean(x)], axis=1)),
    "contraction of nothing": (e.AxisError, lambda: x @ np.ones(3)),
    "array on a bare vector": (e.AxisError, lambda: x + np.array([1.0, 2.0])),
    "array in where on a bare vector": (e.AxisError, lambda: np.where(np.array([True, False]), x, y)),
    "axes of two lengths": (
        e.AxisError,
        lambda: rmtp.Normal(n, cov=np.eye(2), axis="a") + rmtp.Normal(n, cov=np.eye(3), axis="a"),
    ),
    "axes of two names": (
        e.AxisError,
        lambda: rmtp.Normal(n, cov=np.eye(2), axis="a") + rmtp.Normal(n, cov=np.eye(2), axis="b"),
    ),
    "boolean index": (e.AxisError, lambda: rmtp.Normal(n, cov=np.eye(2), axis="a")[:, np.array([True, False])]),
}

PARAMETERS = {
    "ratio 0": lambda: rmtp.Dim("k", 0),
    "negative ratio": lambda: rmtp.Dim("k", -1),
    "NaN ratio": lambda: rmtp.Dim("k", NAN),
    "ratio str": lambda: rmtp.Dim("k", "2"),
    "ratio complex": lambda: rmtp.Dim("k", 1j),
    "name of a width": lambda: rmtp.Dim(3),
    "NaN std": lambda: rmtp.Gaussian(n, n, NAN),
    "negative std": lambda: rmtp.Gaussian(n, n, -1),
    "infinite std": lambda: rmtp.GOE(n, INF),
    "std None": lambda: rmtp.Gaussian(n, n, None),
    "std str": lambda: rmtp.GOE(n, "1"),
    "complex std": lambda: rmtp.Gaussian(n, n, 1j),
    "NaN in a sweep of std": lambda: rmtp.Gaussian(n, n, np.array([1.0, NAN])),
    "negative in a sweep of std": lambda: rmtp.Gaussian(n, n, [1.0, -1.0]),
    "negative variance": lambda: rmtp.GOE(n, variance=-1),
    "std and variance": lambda: rmtp.Gaussian(n, n, 2, variance=3),
    "entries": lambda: rmtp.Gaussian(n, n, entries="cauchy"),
    "GOE of an int": lambda: rmtp.GOE(5),
    "width of a vector": lambda: rmtp.Normal("n"),
    "NaN mean": lambda: rmtp.Normal(n, NAN),
    "mean str": lambda: rmtp.Normal(n, "a"),
    "NaN cov": lambda: rmtp.Normal(n, cov=NAN),
    "means and cov": lambda: rmtp.Normal(n, (0, 0, 0), [[1, 0], [0, 1]]),
    "ragged cov": lambda: rmtp.Normal(n, cov=[[1, 0], [0]]),
    "empty cov": lambda: rmtp.Normal(n, cov=np.zeros((0, 0))),
    "three axes of cov": lambda: rmtp.Normal(n, cov=np.ones((1, 1, 1))),
    "names": lambda: rmtp.Normal(n, (0, 0), np.eye(2), name=["a"]),
    "law str": lambda: iid("normal"),
    "law not frozen": lambda: iid(st.norm),
    "law of vectors": lambda: iid(st.multivariate_normal()),
    "no atoms": lambda: iid([]),
    "NaN atom": lambda: iid([0.0, NAN]),
    "weights beyond 1": lambda: rmtp.Discrete([1, 2], [0.5, 0.6]),
    "negative weight": lambda: rmtp.Discrete([1, 2], [1.5, -0.5]),
    "NaN weight": lambda: rmtp.Discrete([1, 2], [NAN, 0.5]),
    "weights and atoms": lambda: rmtp.Discrete([1, 2], [1]),
    "laws and weights": lambda: rmtp.Mixture([0], [0.5, 0.5]),
    "law with negative scale": lambda: iid(st.norm(0, -1)),
    "law with NaN parameters": lambda: iid(st.gamma(-1)),
    "NaN constant": lambda: rmtp.constant(n, NAN),
    "constant of an array": lambda: rmtp.constant(n, [1, 2]),
    "constant of a str": lambda: rmtp.constant(n, "a"),
    "x + NaN": lambda: x + NAN,
    "x inf": lambda: x * INF,
    "x / 0": lambda: x / 0,
    "NaN parameter": lambda: rmtp.parameter([1, NAN]),
    "parameter str": lambda: rmtp.parameter("a"),
    "NaN in clip": lambda: np.clip(x, NAN, 1),
    "NaN exponent": lambda: x**NAN,
    "exponent None": lambda: x**None,
    "heaviside of an array": lambda: np.heaviside(x, np.array([0.0, 1.0])),
    "elementwise of a number": lambda: rmtp.elementwise(3),
    "derivative is a number": lambda: rmtp.elementwise(np.tanh, derivative=3),
    "NaN kink": lambda: rmtp.elementwise(np.tanh, kinks=[NAN]),
    "limit of a number": lambda: rmtp.limit(3),
    "limit of None": lambda: rmtp.limit(None),
    "limit of a matrix": lambda: rmtp.limit(W),
    "limit of an array": lambda: rmtp.limit(np.ones(3)),
    "program of a number": lambda: rmtp.program(x, 3),
    "method": lambda: mean_limit(x, method="guess"),
    "negative rtol": lambda: mean_limit(x, rtol=-1),
    "NaN rtol": lambda: mean_limit(x, rtol=NAN),
    "rtol str": lambda: mean_limit(x, rtol="1e-8"),
    "budget": lambda: mean_limit(x, budget=3),
    "budget float": lambda: mean_limit(x, budget=1e5),
    "zdot": lambda: mean_limit(x, zdot="newton"),
    "exact and dps": lambda: mean_limit(x, exact=True, dps=30),
    "dps 0": lambda: mean_limit(x, dps=0),
    "dps str": lambda: mean_limit(x, dps="a"),
    "seed str": lambda: mean_limit(np.tanh(x), method="sobol", seed="a"),
    "negative seed": lambda: mean_limit(np.tanh(x), method="sobol", seed=-1),
    "negative moment": lambda: rmtp.limit(x).moment(-1),
    "fractional moment": lambda: rmtp.limit(x).moment(1.5),
    "laws of two calls": lambda: rmtp.limit(x).cov(rmtp.limit(y)),
    "shapes of sweeps": lambda: mean_limit(rmtp.parameter([1, 2]) * x * rmtp.parameter([1, 2, 3]) * x),
    "kernel that is not PSD": lambda: rmtp.Normal(n, cov=-1),
}

NOT_PSD = {
    "eigenvalue": lambda: rmtp.Normal(n, cov=[[1, 2], [2, 1]]),
    "not symmetric": lambda: rmtp.Normal(n, cov=[[1, 0.5], [0.2, 1]]),
    "negative variance": lambda: rmtp.Normal(n, cov=-1),
    "negative on the diagonal": lambda: rmtp.Normal(n, cov=[[1, 0], [0, -1e-3]]),
}
del PARAMETERS["kernel that is not PSD"]

NOT_EXACT = {
    "tanh": lambda: mean_limit(np.tanh(x) ** 2, exact=True),
    "irrational std": lambda: mean_limit((rmtp.Gaussian(n, n, math.sqrt(2)) @ x) ** 2, exact=True),
    "shifted sign": lambda: mean_limit(np.sign(x + 1), exact=True),
    "absolute value": lambda: mean_limit(np.abs(x), exact=True),
    "sign of a matrix product": lambda: mean_limit((V.T @ np.sign(V @ x)) * x, exact=True),
    "correlated relu": lambda: mean_limit(rmtp.relu(V @ x + y) * rmtp.relu(y), exact=True),
    "square root of two": lambda: rmtp.limit(np.sqrt(np.mean(2 * x * x)), exact=True),
    "exponential": lambda: mean_limit(np.exp(x), exact=True),
    "continuous law": lambda: mean_limit(iid(st.uniform()), exact=True),
    "user function": lambda: mean_limit(call(lambda v: v * v, x), exact=True),
    "scipy atoms": lambda: mean_limit(iid(st.poisson(1.0)), exact=True),
    "dps with a NumPy function": lambda: mean_limit(call(lambda v: np.tanh(v), x) ** 2, dps=30),  # noqa: PLW0108
}

DIVERGENT = {
    "exp(x^2)": lambda: mean_limit(np.exp(x**2)),
    "exp(x^2) at the edge": lambda: mean_limit(np.exp(x**2 / 2)),
    "exp(x^2) beyond the edge": lambda: mean_limit(np.exp(0.51 * x**2)),
    "exp(x^2) beneath a matrix": lambda: mean_limit((V @ np.exp(0.3 * x**2)) ** 2),
    "x exp(x^2)": lambda: mean_limit(x * np.exp(x**2)),
    "exp(x^2) tanh x": lambda: mean_limit(np.exp(x**2 / 2) * np.tanh(x)),
    "exp(x^3)": lambda: mean_limit(np.exp(x**3)),
    "exp exp": lambda: mean_limit(np.exp(np.exp(x))),
    "exp(2 x y)": lambda: mean_limit(np.exp(2 * x * y)),
    "cosh(x^2)": lambda: mean_limit(np.cosh(x**2)),
    "user exp(x^2)": lambda: mean_limit(call(lambda v: np.exp(v * v), x)),
    "exp(x^2) by dps": lambda: mean_limit(np.exp(x**2), dps=20),
    "exp(0.51 x^2) by dps": lambda: mean_limit(np.exp(F(51, 100) * x**2), dps=20),
    "exp(x^2) by sampling": lambda: mean_limit(np.exp(x**2), method="sobol"),
    "exp(x^2) at one point of a sweep": lambda: mean_limit(np.exp((rmtp.parameter([0.1, 0.5, 1.0]) * x) ** 2)),
    "1/x": lambda: mean_limit(1 / x),
    "1/x by reciprocal": lambda: mean_limit(np.reciprocal(x)),
    "1/x by power": lambda: mean_limit(x**-1),
    "1/x by division of vectors": lambda: mean_limit(y / x),
    "1/x times an independent factor": lambda: mean_limit(np.tanh(y) / x),
    "1/(x - 0.3)": lambda: mean_limit(1 / (x - 0.3)),
    "1/|x|": lambda: mean_limit(1 / np.abs(x)),
    "1/x^2": lambda: mean_limit(1 / x**2),
    "|x|^-1.5": lambda: mean_limit(np.abs(x) ** -1.5),
    "1/(x y)": lambda: mean_limit(1 / (x * y)),
    "1/(x^2 - 1)": lambda: mean_limit(1 / (x**2 - 1)),
    "1/tanh": lambda: mean_limit(1 / np.tanh(x)),
    "tanh(x)/(1 + x)": lambda: mean_limit(np.tanh(x) / (1 + x)),
    "1/(x + 2y + 0.5)": lambda: mean_limit(1 / (x + 2 * y + 0.5)),
    "user 1/x": lambda: mean_limit(call(lambda v: 1 / v, x)),
    "1/x by dps": lambda: mean_limit(1 / x, dps=20),
    "1/(x - 0.3) by sampling": lambda: mean_limit(1 / (x - 0.3), method="sobol"),
    "variance of 1/x": lambda: rmtp.limit(1 / x).var,
    "variance of W(1/x)": lambda: rmtp.limit(V @ (1 / x)).var,
    "tan": lambda: mean_limit(np.tan(x)),
    "tan^2": lambda: mean_limit(np.tan(x) ** 2),
    "tan(x + 1)": lambda: mean_limit(np.tan(x + 1)),
    "log x": lambda: mean_limit(np.log(x)),
    "log x by dps": lambda: mean_limit(np.log(x), dps=20),
    "log x by sampling": lambda: mean_limit(np.log(x), method="sobol"),
    "log(x + y^2)": lambda: mean_limit(np.log(x + y * y)),
    "log1p x": lambda: mean_limit(np.log1p(x)),
    "sqrt x": lambda: mean_limit(np.sqrt(x)),
    "x^0.5": lambda: mean_limit(x**0.5),
    "x^1.5": lambda: mean_limit(x**1.5),
    "arcsin x": lambda: mean_limit(np.arcsin(x)),
    "arctanh x": lambda: mean_limit(np.arctanh(x)),
    "arccosh x": lambda: mean_limit(np.arccosh(x)),
    "log 0": lambda: rmtp.limit(np.log(np.mean(x))),
    "sqrt of a negative scalar": lambda: rmtp.limit(np.sqrt(np.mean(x) - 1)),
    "user NaN": lambda: mean_limit(call(lambda v: np.where(v > 1, np.nan, v), x)),
    "user inf": lambda: mean_limit(call(lambda v: np.where(v > 1, np.inf, v), x)),
    "expect of log": lambda: rmtp.limit(x).expect(np.log),
    "variance of t_2": lambda: mean_limit(iid(st.t(2)) ** 2),
    "|t_2|^2": lambda: mean_limit(np.abs(iid(st.t(2))) ** 2),
    "t_2 |t_2|": lambda: mean_limit(call(lambda t: t * abs(t), iid(st.t(2)))),
    "relu(t_1.5)^2": lambda: mean_limit(rmtp.relu(iid(st.t(1.5))) ** 2),
    "mean of Cauchy": lambda: mean_limit(iid(st.cauchy())),
    "|Cauchy|": lambda: mean_limit(np.abs(iid(st.cauchy()))),
    "relu of Cauchy": lambda: mean_limit(rmtp.relu(iid(st.cauchy()))),
    "fourth moment of t_3": lambda: mean_limit(iid(st.t(3)) ** 4),
    "variance of Pareto(1.5)": lambda: mean_limit(iid(st.pareto(1.5)) ** 2),
    "W times Pareto(1.5)": lambda: mean_limit((V @ iid(st.pareto(1.5))) ** 2),
    "W times t_2": lambda: mean_limit((V @ iid(st.t(2))) ** 2),
    "tanh(W times Cauchy)": lambda: mean_limit(np.tanh(V @ iid(st.cauchy())) ** 2),
    "W times Cauchy": lambda: rmtp.limit(V @ iid(st.cauchy())).var,
    "exp of a lognormal": lambda: mean_limit(np.exp(iid(st.lognorm(1)))),
    "exp(2 e) of an exponential": lambda: mean_limit(np.exp(2 * iid(st.expon()))),
    "exp(e) of an exponential": lambda: mean_limit(np.exp(iid(st.expon()))),
    "exp of Laplace": lambda: mean_limit(np.exp(1.5 * iid(st.laplace()))),
    "1/uniform": lambda: mean_limit(1 / iid(st.uniform())),
    "overflow": lambda: mean_limit(np.exp(40 * x)),
    "overflow of a variance": lambda: mean_limit((rmtp.Gaussian(n, n, 1e200) @ x) ** 2),
}

ZERO = {
    "x / mean": lambda: rmtp.limit(x / np.mean(x)),
    "1 / E xy": lambda: rmtp.limit(1 / np.mean(x * y)),
    "1 / E tanh": lambda: rmtp.limit(1 / np.mean(np.tanh(x))),
    "1 / difference": lambda: rmtp.limit(1 / (np.mean(np.tanh(x) ** 2) - np.mean(np.tanh(y) ** 2))),
    "1 / sampled zero": lambda: rmtp.limit(1 / np.mean(np.tanh(x * y + V @ x)), method="sobol"),
    "0 / 0": lambda: rmtp.limit(np.mean(x) / np.mean(x)),
    "negative power": lambda: rmtp.limit(np.mean(x) ** -1),
    "vector that is zero": lambda: mean_limit(1 / (x - x)),
    "standardised zero": lambda: rmtp.limit((x - x) / np.std(x - x)),
    "one point of a sweep": lambda: rmtp.limit(1 / (rmtp.parameter([1.0, 0.0]) * np.mean(x * x))),
    "exact": lambda: rmtp.limit(1 / np.mean(x * y), exact=True),
    "reciprocal of a scalar": lambda: rmtp.limit(np.reciprocal(np.mean(x * y))),
}


def deep():
    return np.tanh(x + np.tanh(y + np.tanh(V @ x) * rmtp.Normal(n)) * rmtp.Normal(n)) ** 2


OTHERS = {
    "budget of points": (e.BudgetExceeded, lambda: mean_limit(deep(), budget=1024, rtol=1e-8)),
    "budget of quadrature": (e.BudgetExceeded, lambda: mean_limit(deep(), method="quadrature")),
    "exact polynomial too long": (
        e.BudgetExceeded,
        lambda: mean_limit(sum((rmtp.Normal(n) for _ in range(12)), x) ** 16, exact=True),
    ),
    "digits in high dimension": (e.NotConverged, lambda: mean_limit(deep(), dps=30)),
    "1/x^2 to twenty digits": (e.RmtpError, lambda: mean_limit(1 / x**2, dps=20)),  # diverges, or never settles
    "digits with an unknown kink": (e.RmtpError, lambda: mean_limit(call(lambda v: abs(v - 1), x), dps=15)),
}


def _cases():
    for cls, table in (
        (e.TracedBranch, TRACED),
        (e.UnsupportedOperation, UNSUPPORTED),
        (e.BadParameter, PARAMETERS),
        (e.NotPSD, NOT_PSD),
        (e.NotExact, NOT_EXACT),
        (e.DivergentExpectation, DIVERGENT),
        (e.ZeroDivisor, ZERO),
    ):
        for name, f in table.items():
            yield pytest.param(cls, f, id=f"{cls.__name__}: {name}")
    for table in (DIMENSIONS, OTHERS):
        for name, (cls, f) in table.items():
            yield pytest.param(cls, f, id=f"{cls.__name__}: {name}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "f"), list(_cases()))
def test_bad_input_raises_its_class(cls, f):
    with pytest.raises(cls) as caught:
        answer = f()
        pytest.fail(f"no error, but {answer!r}")
    error = caught.value
    assert error.problem
    assert error.remedy, "an error says what to do"
    assert error.problem in str(error)
    assert error.remedy in str(error)


LOCATED = {
    "divergent": (DIVERGENT["exp(x^2)"], "exp(x**2)"),
    "divergent in two lines": (lambda: rmtp.limit(np.mean(np.tanh(x)) + np.mean(np.log(x))), "log(x)"),
    "zero divisor": (ZERO["x / mean"], "x/"),
    "not exact": (NOT_EXACT["tanh"], "tanh(x)"),
    "vector": (lambda: mean_limit((V @ iid(st.t(2))) ** 2), "**2"),
    "budget": (OTHERS["budget of quadrature"][1], "tanh("),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LOCATED)
def test_errors_of_limit_name_the_line(name):
    f, fragment = LOCATED[name]
    with pytest.raises(e.RmtpError) as caught:
        f()
    assert caught.value.where.startswith("line "), str(caught.value)
    assert fragment in caught.value.where


def test_a_sweep_names_the_value_that_fails():
    with pytest.raises(e.RmtpError) as caught:
        rmtp.limit(np.log(rmtp.parameter([2.5, 0.0]) * np.mean(x * x)))
    assert "2.5" not in caught.value.problem


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "f",
    [
        lambda v: np.ones(3),
        lambda v: 1 / 0,
        lambda v: math.tanh(v),  # noqa: PLW0108
        lambda v: None,
        lambda v: "a",
        lambda v: (v + 1j) ** 2,
        lambda v: v[0],
    ],
    ids=["shape", "raises", "scalars only", "None", "str", "complex", "one entry"],
)
def test_user_functions_that_misbehave(f):
    """E (g + i)^2 is 0 in its real part: a function that is not real must not be averaged."""
    with pytest.raises(e.RmtpError):
        answer = mean_limit(call(f, x))
        pytest.fail(f"no error, but {answer!r}")


def test_a_finite_expectation_of_a_growing_function_is_a_number():
    for var in (0.1, 0.25, 0.4, 0.45):
        estimate = mean_limit(np.exp(rmtp.Normal(n, cov=var) ** 2))
        assert abs(estimate.value - 1 / math.sqrt(1 - 2 * var)) <= 5 * estimate.error + 1e-12


def test_close_to_divergence_either_the_truth_or_an_error():
    for var in (0.48, 0.49, 0.495, 0.499):
        truth = 1 / math.sqrt(1 - 2 * var)
        try:
            estimate = mean_limit(np.exp(rmtp.Normal(n, cov=var) ** 2))
        except e.RmtpError:
            continue
        assert abs(estimate.value - truth) <= 5 * estimate.error + 1e-12


def test_integrable_singularities_are_no_errors():
    truths = [
        (np.log(np.abs(x)), -(np.euler_gamma + math.log(2)) / 2),
        (np.abs(x) ** -0.5, 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)),
        (np.tanh(x) / x, None),
        (x / x, 1.0),
        (np.sqrt(np.maximum(x, 0)), 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi) / 2),
    ]
    for expr, truth in truths:
        estimate = mean_limit(expr)
        if truth is not None:
            assert abs(estimate.value - truth) <= 5 * estimate.error + 1e-12


VANISHING = {
    "sign(x - x)": lambda: np.sign(x - x),
    "step(x - x)": lambda: np.heaviside(x - x, 0.5),
    "sign(W(x + y) - Wx - Wy)": lambda: np.sign(V @ (x + y) - V @ x - V @ y),
    "sign of W 0": lambda: np.sign(V @ np.zeros_like(x)),
    "where(x - x > 0)": lambda: np.where(x - x > 0, 1, 2),
    "sign(0 x)": lambda: np.sign(0 * x),
    "sign(W(tanh x - tanh x))": lambda: np.sign(V @ (np.tanh(x) - np.tanh(x))),
    "sign of the limit of a scalar": lambda: np.sign(x * 0 + np.mean(y)),
}


@pytest.mark.parametrize("name", VANISHING)
def test_a_vanishing_vector_at_a_jump_is_pointed_out(name):
    """At finite width the sign of such a coordinate is rounding noise: the limit says so, or refuses."""
    try:
        estimate = mean_limit(VANISHING[name]())
    except e.VanishingVector as error:
        assert error.remedy
        return
    assert any("jump" in note for note in estimate.notes)


def test_no_note_without_a_vanishing_vector():
    assert mean_limit(np.sign(x - y)).notes == ()
    assert mean_limit(np.sign(x - x + 1)).notes == ()


def test_a_method_that_does_not_apply():
    """Asked for one method, the answer is by that method or an error; Mehler's series leaves to quadrature what is no pair."""
    for method, answers in (("closed", ()), ("mehler", ("quadrature",)), ("quadrature", ("quadrature",))):
        try:
            estimate = mean_limit(np.tanh(x * y + V @ x) * np.tanh(x), method=method)
        except e.RmtpError:
            assert "quadrature" not in answers
        else:
            assert estimate.method in answers


def test_cycles_by_tampering():
    a = np.tanh(x)
    b = a + 1
    a.args = (b,)
    with pytest.raises(e.CyclicProgram) as caught:
        rmtp.limit(np.mean(b))
    assert caught.value.remedy


def test_programs_whose_lines_look_ahead():
    lines = rmtp.program(x, y).lines
    ahead = Line(Apply(Arithmetic("add")), (0, 2), n)
    with pytest.raises(e.CyclicProgram):
        Program((*lines, ahead), (2,))
    with pytest.raises(e.CyclicProgram):
        Program((*lines, Line(Apply(Arithmetic("add")), (0, -1), n)), (2,))
    assert isinstance(lines[0].op, Init)


def test_programs_whose_outputs_do_not_exist():
    lines = rmtp.program(x).lines
    for outputs in ((1,), (-1,)):
        with pytest.raises(e.RmtpError):
            Program(lines, outputs)


def test_one_base_class_and_the_builtin_relatives():
    for name in e.__all__:
        assert issubclass(getattr(e, name), e.RmtpError)
    assert issubclass(e.BadParameter, ValueError)
    assert issubclass(e.DimensionMismatch, ValueError)
    assert issubclass(e.UnsupportedOperation, TypeError)
    assert issubclass(e.TracedBranch, TypeError)
    assert issubclass(e.ZeroDivisor, ZeroDivisionError)
    assert issubclass(e.WrongSide, e.DimensionMismatch)


def test_errors_survive_copying():
    error = e.ZeroDivisor("a", where="line 1", remedy="b")
    again = copy.copy(error)
    assert (again.problem, again.where, again.remedy, str(again)) == ("a", "line 1", "b", str(error))


def test_good_programs_warn_about_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h = V @ np.tanh(V.T @ np.sign(V @ x))
        rmtp.limit([np.mean(h * h), np.mean(np.exp(x)), np.mean(np.where(x > 0, np.log(np.abs(x) + 1), 0))])


def test_a_number_with_a_hidden_infinity_is_refused():
    """np.errstate is not touched, and nothing infinite comes back in an array."""
    answers = mean_limit(rmtp.parameter([0.5, 2.0]) * np.abs(x))
    assert np.all(np.isfinite(answers.value))
    assert np.all(np.isfinite(answers.error))
