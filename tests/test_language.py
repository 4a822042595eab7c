"""The language: one Python function, on handles and on arrays.

Every function of the language is lowered and the lowered program evaluated on drawn arrays; the same function applied by NumPy
to the same arrays must give the same numbers. For functions of one vector, the limit of the average is then compared
with an mpmath integral of an independent definition.
"""

from __future__ import annotations

from fractions import Fraction as F

import mpmath as mp
import numpy as np
import pytest
import scipy.special as sp
from oracles import evaluate, gauss

import rmtp

N = rmtp.Dim("n")

UNARY = {
    "negative": lambda x: -x,
    "positive": lambda x: +x,
    "absolute": np.abs,
    "builtin abs": abs,
    "fabs": np.fabs,
    "sign": np.sign,
    "square": np.square,
    "square root of |x|": lambda x: np.sqrt(np.abs(x)),
    "cube root": np.cbrt,
    "reciprocal": lambda x: np.reciprocal(x + 30),
    "conjugate": np.conjugate,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sin": np.sin,
    "cos": np.cos,
    "tan": lambda x: np.tan(np.tanh(x)),
    "arctan": np.arctan,
    "arcsin": lambda x: np.arcsin(np.tanh(x)),
    "arccos": lambda x: np.arccos(np.tanh(x)),
    "arctanh": lambda x: np.arctanh(np.tanh(x) / 2),
    "arcsinh": np.arcsinh,
    "arccosh": lambda x: np.arccosh(1.5 + x**2),
    "exp": np.exp,
    "expm1": np.expm1,
    "exp2": np.exp2,
    "log": lambda x: np.log(1.5 + x**2),
    "log1p": lambda x: np.log1p(x**2),
    "log2": lambda x: np.log2(1.5 + x**2),
    "log10": lambda x: np.log10(1.5 + x**2),
    "erf": sp.erf,
    "erfc": sp.erfc,
    "ndtr": sp.ndtr,
    "expit": sp.expit,
    "log_expit": sp.log_expit,
    "scipy expm1": sp.expm1,
    "scipy cbrt": sp.cbrt,
    "relu": rmtp.relu,
    "leaky_relu": lambda x: rmtp.leaky_relu(x, 0.1),
    "gelu": rmtp.gelu,
    "softplus": rmtp.softplus,
    "soft_threshold": lambda x: rmtp.soft_threshold(x, 0.7),
    "heaviside 0": lambda x: np.heaviside(x, 0.0),
    "heaviside 1": lambda x: np.heaviside(x - 0.3, 1.0),
    "heaviside of zeros": lambda x: np.heaviside(x * 0, 0.25),
    "clip": lambda x: np.clip(x, -0.5, 1.25),
    "clip below": lambda x: np.clip(x, -0.5, None),
    "clip above": lambda x: np.clip(x, None, 0.5),
    "clip crossed": lambda x: np.clip(x, 1.0, -1.0),
    "clip method arguments": lambda x: np.clip(x, a_min=-1, a_max=1),
    "maximum number": lambda x: np.maximum(x, 0.2),
    "number maximum": lambda x: np.maximum(0.2, x),
    "minimum number": lambda x: np.minimum(x, 0.2),
    "fmax": lambda x: np.fmax(x, -0.1),
    "fmin": lambda x: np.fmin(x, -0.1),
    "integer power": lambda x: x**3,
    "power 0": lambda x: x**0,
    "power 1": lambda x: x**1,
    "negative power": lambda x: (x + 30) ** -2,
    "half power": lambda x: (x**2 + 1) ** 0.5,
    "fractional power": lambda x: (x**2 + 1) ** 1.7,
    "negative fractional power": lambda x: (x**2 + 1) ** -0.3,
    "base power": lambda x: 2.0**x,
    "np.power": lambda x: np.power(x, 2),
    "float_power": lambda x: np.float_power(x, 2),
    "greater": lambda x: (x > 0.1) * 1.0,
    "less": lambda x: (x < 0.1) * 1.0,
    "greater_equal": lambda x: (x >= 0.1) * 1.0,
    "less_equal": lambda x: (x <= 0.1) * 1.0,
    "number greater": lambda x: (x < 0.1) * 1.0,
    "logical_and": lambda x: np.logical_and(x > -1, x < 1) * 1.0,
    "logical_or": lambda x: np.logical_or(x < -1, x > 1) * 1.0,
    "logical_xor": lambda x: np.logical_xor(x < 1, x > -1) * 1.0,
    "logical_not": lambda x: np.logical_not(x > 0.5) * 1.0,
    "and operator": lambda x: ((x > -1) & (x < 1)) * 1.0,
    "or operator": lambda x: ((x < -1) | (x > 1)) * 1.0,
    "xor operator": lambda x: ((x < 1) ^ (x > -1)) * 1.0,
    "not operator": lambda x: ~(x > 0.5) * 1.0,
    "where": lambda x: np.where(x > 0.4, x**2, np.sin(x)),
    "where numbers": lambda x: np.where(x < 0.4, 1.0, -2.0),
    "nested where": lambda x: np.where(x > 1, 1.0, np.where(x < -1, -1.0, x)),
    "where guards a branch": lambda x: np.where(x > 0, np.log(np.abs(x) + 1), x),
    "number minus": lambda x: 2 - x,
    "number over": lambda x: 2 / (x + 30),
    "over number": lambda x: x / 4,
    "np.divide": lambda x: np.divide(x, 4),
    "true_divide": lambda x: np.true_divide(x, 4),
    "fraction": lambda x: x * 0.75,
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "full_like": lambda x: np.full_like(x, 2.5),
    "real": np.real,
    "centred": lambda x: x - np.mean(x),
    "layer norm": lambda x: (x - np.mean(x)) / np.sqrt(np.var(x) + 0.01),
    "standardised": lambda x: (x - x.mean()) / np.std(x),
    "adaptive": lambda x: x / (1 + np.sqrt(np.mean(x**2))) ** 2,
    "softmax weights": lambda x: np.exp(x) / np.mean(np.exp(x)),
    "threshold by scalar": lambda x: rmtp.soft_threshold(x, 0.5 * np.sqrt(np.mean(x**2))),
    "clip by scalars": lambda x: np.clip(x, -np.mean(x**2), np.mean(np.abs(x))),
    "scalar ufuncs": lambda x: x * np.tanh(np.mean(x**2)) + np.maximum(np.mean(x), 0.1),
    "scalar power": lambda x: x * np.mean(x**2) ** -1.5,
}

BINARY = {
    "add": lambda x, y: x + y,
    "subtract": np.subtract,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (2 + np.cos(y)),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "logaddexp": np.logaddexp,
    "arctan2": np.arctan2,
    "hypot": np.hypot,
    "greater": lambda x, y: (x > y) * 1.0,
    "where": lambda x, y: np.where(x > y, x, 2 * y),
    "where on a third": lambda x, y: np.where(x * y > 0, x, y),
    "clip between": lambda x, y: np.clip(x, -np.abs(y), np.abs(y)),
    "user function": lambda x, y: USER(x, y),  # noqa: PLW0108
    "polynomial": lambda x, y: (x + 2 * y) ** 3 - x * y**2 / 5,
}

SLOPES = (lambda a, b: np.exp(-(b**2)), lambda a, b: -2 * a * b * np.exp(-(b**2)))
USER = rmtp.elementwise(lambda a, b: a * np.exp(-(b**2)), SLOPES)


def draw(handles, width=200, seed=0):
    return evaluate(rmtp.program(*handles), width, np.random.default_rng(seed))


def vectors():
    return rmtp.Normal(N, mean=(0.2, -0.1), cov=[[1.3, 0.4], [0.4, 0.8]], name=("x", "y"))


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_vector_is_the_numpy_function(name):
    f = UNARY[name]
    x, _ = vectors()
    lowered, drawn = draw([f(x), x])
    np.testing.assert_allclose(np.broadcast_to(lowered, drawn.shape), f(drawn), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_vectors_is_the_numpy_function(name):
    f = BINARY[name]
    x, y = vectors()
    lowered, a, b = draw([f(x, y), x, y])
    np.testing.assert_allclose(lowered, f(a, b), rtol=1e-12, atol=1e-13)


def test_ties_follow_numpy():
    """Coordinates that sit exactly on a kink."""
    z = rmtp.IID(N, rmtp.Discrete([-1, 0, 1]))
    for f in (
        np.sign,
        lambda z: (z > 0) * 1.0,
        lambda z: (z >= 0) * 1.0,
        lambda z: (z < 0) * 1.0,
        lambda z: (z <= 0) * 1.0,
        lambda z: np.heaviside(z, 0.3),
        lambda z: np.where(z >= 0, 2.0, 5.0),
        lambda z: np.where(z > 0, 2.0, 5.0),
        lambda z: np.logical_or(z >= 1, z <= -1) * 1.0,
    ):
        expected = float(np.mean([f(np.array(v)) for v in (-1.0, 0.0, 1.0)]))
        assert float(rmtp.limit(np.mean(f(z)))) == pytest.approx(expected, abs=1e-14)


# name -> (f, independent mpmath definition, kinks of it)
DEFINITIONS = {
    "absolute": (np.abs, abs, [0]),
    "sign": (np.sign, mp.sign, [0]),
    "cube root": (np.cbrt, lambda x: mp.sign(x) * mp.cbrt(abs(x)), [0]),
    "tanh": (np.tanh, mp.tanh, []),
    "tanh squared": (lambda x: np.tanh(x) ** 2, lambda x: mp.tanh(x) ** 2, []),
    "cosh": (np.cosh, mp.cosh, []),
    "sinh": (np.sinh, mp.sinh, []),
    "sin": (np.sin, mp.sin, []),
    "cos": (np.cos, mp.cos, []),
    "arctan": (np.arctan, mp.atan, []),
    "arcsinh": (np.arcsinh, mp.asinh, []),
    "exp": (np.exp, mp.exp, []),
    "expm1": (np.expm1, mp.expm1, []),
    "exp2": (np.exp2, lambda x: mp.mpf(2) ** x, []),
    "log": (lambda x: np.log(1.5 + x**2), lambda x: mp.log(mp.mpf(3) / 2 + x**2), []),
    "log1p": (lambda x: np.log1p(x**2), lambda x: mp.log1p(x**2), []),
    "log2": (lambda x: np.log2(1 + x**2), lambda x: mp.log(1 + x**2, 2), []),
    "log10": (lambda x: np.log10(1 + x**2), lambda x: mp.log10(1 + x**2), []),
    "erf": (sp.erf, mp.erf, []),
    "erfc": (sp.erfc, mp.erfc, []),
    "ndtr": (sp.ndtr, mp.ncdf, []),
    "expit": (sp.expit, lambda x: 1 / (1 + mp.exp(-x)), []),
    "log_expit": (sp.log_expit, lambda x: -mp.log1p(mp.exp(-x)), []),
    "softplus": (rmtp.softplus, lambda x: mp.log1p(mp.exp(x)), []),
    "relu": (rmtp.relu, lambda x: max(x, 0), [0]),
    "leaky_relu": (lambda x: rmtp.leaky_relu(x, 0.125), lambda x: x if x > 0 else x / 8, [0]),
    "gelu": (rmtp.gelu, lambda x: x * mp.ncdf(x), []),
    "soft_threshold": (lambda x: rmtp.soft_threshold(x, 0.5), lambda x: mp.sign(x) * max(abs(x) - 0.5, 0), [-0.5, 0.5]),
    "heaviside": (lambda x: np.heaviside(x - 0.5, 0), lambda x: mp.mpf(x > 0.5), [0.5]),
    "clip": (lambda x: np.clip(x, -0.5, 1), lambda x: min(max(x, -0.5), 1), [-0.5, 1]),
    "maximum": (lambda x: np.maximum(x, 0.25), lambda x: max(x, 0.25), [0.25]),
    "minimum": (lambda x: np.minimum(x, 0.25), lambda x: min(x, 0.25), [0.25]),
    "power 1.5": (lambda x: (x**2 + 1) ** 1.5, lambda x: (x**2 + 1) ** mp.mpf(1.5), []),
    "power -1": (lambda x: (x**2 + 1) ** -1, lambda x: 1 / (x**2 + 1), []),
    "interval": (lambda x: ((x > -1) & (x < 0.5)) * x, lambda x: x if -1 < x < 0.5 else mp.mpf(0), [-1, 0.5]),
    "complement": (lambda x: ~(x > 0.5) * x**2, lambda x: x**2 if x <= 0.5 else mp.mpf(0), [0.5]),
    "where": (lambda x: np.where(x > 0.25, x**2, np.sin(x)), lambda x: x**2 if x > 0.25 else mp.sin(x), [0.25]),
    "where with an unsafe branch": (
        lambda x: np.where(x > 0.25, np.log(np.maximum(x, 0.25)), 0.0),
        lambda x: mp.log(x) if x > 0.25 else mp.mpf(0),
        [0.25],
    ),
    "arccosh": (lambda x: np.arccosh(1 + x**2), lambda x: mp.acosh(1 + x**2), [0]),
    "square root": (lambda x: np.sqrt(np.abs(x)), lambda x: mp.sqrt(abs(x)), [0]),
}


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize(("mean", "var"), [(0.0, 1.0), (0.25, 0.5), (-0.5, 2.25)])
def test_limit_of_an_average_is_the_gaussian_integral(name, mean, var):
    f, definition, kinks = DEFINITIONS[name]
    truth = float(gauss(definition, var, mean, kinks, dps=15))
    estimate = rmtp.limit(np.mean(f(rmtp.Normal(N, mean, var))))
    assert abs(estimate.value - truth) <= max(5 * estimate.error, 1e-12 * max(1, abs(truth)))
    assert estimate.error <= 1e-7 * max(1, abs(truth))


# ---------------------------------------------------------------------------------------------
# comparisons are 0/1, and logical functions mean what NumPy means


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.logical_and(x, x > 0) * 1.0,
        lambda x: np.logical_or(x, x > 0) * 1.0,
        lambda x: np.logical_not(x) * 1.0,
        lambda x: np.where(x, 1.0, 0.0),
        lambda x: np.where(x - 1, x, 0.0),
    ],
)
def test_truth_of_a_number_is_numpys_or_an_error(f):
    """In NumPy every number but 0 is true: a condition that is no comparison must mean that, or be refused."""
    x, _ = vectors()
    try:
        handle = f(x)
    except rmtp.errors.RmtpError:
        return
    lowered, drawn = draw([handle, x])
    np.testing.assert_allclose(lowered, f(drawn), rtol=1e-12)


# ---------------------------------------------------------------------------------------------
# finite axes


def axes_vector(k=3):
    return rmtp.Normal(N, mean=np.arange(k) / 4, cov=np.eye(k) + 0.25, axis="input", name="X")


AXES = {
    "index": lambda x: x[:, 0],
    "negative index": lambda x: x[:, -1],
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[:, ::2],
    "new axis": lambda x: x[:, None, :] * x[:, :, None],
    "ellipsis": lambda x: x[..., 1],
    "sum": lambda x: np.sum(x, axis=1),
    "sum method": lambda x: x.sum(axis=1),
    "sum last": lambda x: np.sum(x, axis=-1),
    "mean over the axis": lambda x: np.mean(x, axis=1),
    "mean over the width": lambda x: x * np.mean(x, axis=0),
    "mean of everything": lambda x: x * np.mean(x),
    "variance over the axis": lambda x: np.var(x, axis=1),
    "std over the axis": lambda x: np.std(x, axis=1),
    "mean kept": lambda x: x - np.mean(x, axis=1, keepdims=True),
    "mean method kept": lambda x: x * x.mean(axis=-1, keepdims=True),
    "sum kept": lambda x: np.sum(x, axis=1, keepdims=True),
    "sum method kept": lambda x: x / (3 + x.sum(axis=1, keepdims=True) ** 2),
    "variance kept": lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(np.var(x, axis=1, keepdims=True) + 0.5),
    "std kept": lambda x: x * np.std(x, axis=-1, keepdims=True),
    "not kept": lambda x: np.mean(x, axis=1, keepdims=False),
    "softmax": lambda x: np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True),
    "kept twice": lambda x: (
        x[:, None, :] * np.mean(np.sum(x[:, None, :] * x[:, :, None], 1, keepdims=True), 2, keepdims=True)
    ),
    "scalars kept": lambda x: (
        x[:, None, :] * np.mean(np.mean(x[:, :, None] * x[:, None, :], axis=0), axis=0, keepdims=True)
    ),
    "all scalars kept": lambda x: x[:, None, :] * np.mean(np.mean(x[:, None] * x[:, :, None], axis=0), keepdims=True),
    "variance of scalars kept": lambda x: x * np.var(np.mean(x, axis=0), keepdims=True),
    "variance over the width from the end": lambda x: x * np.var(x, axis=-2),
    "matmul": lambda x: x @ np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]),
    "matmul vector": lambda x: x @ np.array([1.0, -1.0, 0.5]),
    "scalar matrix": lambda x: x @ (np.mean(x[:, :, None] * x[:, None, :], axis=0)),
    "attention": lambda x: x @ np.exp(np.mean(x[:, :, None] * x[:, None, :], axis=0)),
    "transpose": lambda x: np.transpose(x[:, None, :] * np.tanh(x)[:, :, None], (0, 2, 1)),
    "stack": lambda x: np.stack([x[:, 0], np.tanh(x[:, 1])], axis=1),
    "stack last": lambda x: np.stack([x, x**2], axis=-1),
    "constants along the axis": lambda x: x * np.array([1.0, 2.0, 3.0]),
    "scalars along the axis": lambda x: (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 0.1),
    "batch norm": lambda x: (x - np.mean(x, axis=1)[:, None]) / np.sqrt(np.var(x, axis=1)[:, None] + 0.5),
    "pooling": lambda x: rmtp.relu(x[:, 1:] + x[:, :-1]),
    "ones_like": lambda x: np.ones_like(x),  # noqa: PLW0108
    "scalar transpose": lambda x: x @ np.mean(x[:, :, None] * np.tanh(x)[:, None, :], axis=0).T,
}


@pytest.mark.parametrize("name", AXES)
def test_finite_axes_follow_numpy(name):
    f = AXES[name]
    X = axes_vector()
    lowered, drawn = draw([f(X), X])
    expected = f(drawn)
    assert lowered.shape == expected.shape
    assert f(X).shape[1:] == expected.shape[1:]
    np.testing.assert_allclose(lowered, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("f", [np.mean, np.var, np.std])
@pytest.mark.parametrize("axis", [0, -2, None])
def test_keepdims_over_the_width_is_refused(f, axis):
    with pytest.raises(rmtp.errors.UnsupportedOperation, match=r"(?s)keepdims over the width.*leave it out"):
        f(axes_vector(), axis=axis, keepdims=True)


@pytest.mark.parametrize("f", [np.mean, np.sum, np.var, np.std])
def test_other_arguments_of_reductions_are_refused(f):
    with pytest.raises(rmtp.errors.UnsupportedOperation, match="where"):
        f(axes_vector(), axis=1, where=np.array([True, False, True]))


def test_limits_along_axes_are_the_limits_one_by_one():
    X = axes_vector()
    W = rmtp.Gaussian(N, N, name="W")
    h = np.tanh(W @ X)
    kernel = rmtp.limit(np.mean(h[:, :, None] * h[:, None, :], axis=0))
    assert kernel.value.shape == (3, 3)
    for i in range(3):
        for j in range(3):
            one = rmtp.limit(np.mean(np.tanh(W @ X[:, i]) * np.tanh(W @ X[:, j])))
            assert kernel.value[i, j] == pytest.approx(one.value, abs=1e-10)


def test_a_group_along_an_axis_is_the_group():
    X = rmtp.Normal(N, mean=(1, 2), cov=[[2, F(1, 2)], [F(1, 2), 1]], axis="k")
    second = rmtp.limit(np.mean(X[:, :, None] * X[:, None, :], axis=0), exact=True).value
    assert second.tolist() == [[3, F(5, 2)], [F(5, 2), 5]]


# ---------------------------------------------------------------------------------------------
# the same function on arrays


def network(W, V, x, b):
    h = np.tanh(W @ x + b)
    h = (h - np.mean(h)) / np.sqrt(np.var(h) + 0.1)
    g = W.T @ np.where(h > 0, h, 0.1 * h)
    u = rmtp.relu(V @ np.clip(g, -2, 2)) + rmtp.gelu(h) - rmtp.softplus(b)
    return np.mean(u * h), np.mean(np.abs(g) ** 1.5), np.mean(rmtp.soft_threshold(u, np.mean(np.abs(u))) > 0)


def test_one_python_function_runs_on_handles_and_on_arrays():
    m = rmtp.Dim("m", 2)
    W, V = rmtp.Gaussian(m, N), rmtp.Gaussian(m, N, 0.5)
    x, b = rmtp.Normal(N), rmtp.Normal(m, 0, 0.25)
    h, u = W @ x, V @ x
    lowered = evaluate(rmtp.program(*network(W, V, x, b), x, b, h, u), 40, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    Wa, Va = rng.standard_normal((80, 40)) / np.sqrt(40), rng.standard_normal((80, 40)) / np.sqrt(40)
    on_arrays = network(Wa, Va, rng.standard_normal(40), rng.standard_normal(80))
    assert all(np.ndim(v) == 0 for v in on_arrays)
    assert all(np.ndim(v) == 0 for v in lowered[:3])


def test_elementwise_on_arrays_is_the_function_itself():
    f = rmtp.elementwise(np.tanh, name="squash")
    np.testing.assert_array_equal(f(np.array([0.5, 1.0])), np.tanh([0.5, 1.0]))
    assert f.__name__ == "squash"


def test_elementwise_with_and_without_derivative_agree():
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = W @ x
    known = rmtp.limit(np.mean((W.T @ np.tanh(h)) * x))
    truth = float(gauss(lambda v: mp.sech(v) ** 2))
    for f in (
        rmtp.elementwise(np.tanh),
        rmtp.elementwise(np.tanh, lambda v: 1 / np.cosh(v) ** 2),
        rmtp.elementwise(lambda v: np.tanh(v)),  # noqa: PLW0108
    ):
        got = rmtp.limit(np.mean((W.T @ f(h)) * x))
        assert abs(got.value - truth) <= 5 * got.error + 1e-12
    assert abs(known.value - truth) <= 5 * known.error + 1e-12


def test_derivatives_of_several_arguments_come_as_any_sequence():
    x, y = vectors()
    values = [rmtp.limit(np.mean(rmtp.elementwise(USER, kind(SLOPES))(x, y))).value for kind in (tuple, list)]
    assert values[0] == values[1]


def test_matrix_orientations():
    m = rmtp.Dim("m", 3)
    W, x, u = rmtp.Gaussian(m, N), rmtp.Normal(N), rmtp.Normal(m)
    assert (W @ x).dim == m
    assert (W.T @ u).dim == N
    assert (u @ W).dim == N
    assert (x @ W.T).dim == m
    assert W.T.T @ x is not None
    first, second = rmtp.limit([np.mean((u @ W) ** 2), np.mean((W.T @ u) ** 2)], exact=True)
    assert first.value == second.value == 3
    A = rmtp.GOE(N)
    assert exactly_equal_lines(A @ x, A.T @ x)


def exactly_equal_lines(a, b):
    program = rmtp.program(a, b)
    return program.outputs[0] == program.outputs[1]
