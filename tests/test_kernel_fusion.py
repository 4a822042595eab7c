"""Functions of functions: closed forms, the catalogue's own members and integrals on a line as oracles."""

import itertools

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit

import rmtp
from rmtp import catalogue as nl
from rmtp import networks as nets
from rmtp.errors import DivergentExpectation, NotConverged
from rmtp.instructions import Arithmetic
from rmtp.kernels.fusion import VARIABLE, Formula, composite, derivative

n = rmtp.Dim("n")
X = np.array([[1.0, -0.4, 0.3], [0.2, 2.0, 1.1], [-0.7, 0.1, 0.6], [3.0, 1.0, -5.0]])


def layer(phi, bias_std=0.3):
    return lambda x: rmtp.readout(phi(nets.dense(x, n, 2**0.5, bias_std)))


SAME = {
    "relu": (lambda h: (h + np.abs(h)) / 2, rmtp.relu),
    "leaky relu": (lambda h: np.where(h > 0, h, 0.5 * h), lambda h: rmtp.leaky_relu(h, 0.5)),
    "hard tanh": (lambda h: np.minimum(np.maximum(h, -1), 1), rmtp.hard_tanh),
    "hard tanh by cases": (lambda h: np.where(np.abs(h) < 1, h, np.sign(h)), rmtp.hard_tanh),
    "elu": (lambda h: np.where(h > 0, h, np.exp(h) - 1), rmtp.elu),
    "sigmoid": (lambda h: 1 / (1 + np.exp(-h)), expit),
    "softplus": (lambda h: np.log(1 + np.exp(h)), rmtp.softplus),
    "tanh": (lambda h: (np.exp(h) - np.exp(-h)) / (np.exp(h) + np.exp(-h)), np.tanh),
    "silu": (lambda h: h / (1 + np.exp(-h)), rmtp.silu),
}


@pytest.mark.parametrize("name", SAME)
def test_a_function_written_out_is_the_function(name):
    written, known = (rmtp.nngp_ntk(layer(phi), X) for phi in SAME[name])
    for a, b in zip(written, known, strict=True):
        size = np.sqrt(np.outer(np.diag(b), np.diag(b)))
        assert a.method != "sobol"
        assert np.max(np.abs(a - b) / size) < 1e-11


@pytest.mark.parametrize("variance", [1e-3, 1.0, 100.0])
def test_a_gaussian_in_closed_form(variance):
    # E exp(-u^2/2) exp(-v^2/2) = det(1 + C)^(-1/2); its derivative by the covariance is E f'(u) f'(v)
    x = np.sqrt(variance) * np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.0, 1.0]])
    C = x @ x.T
    v = np.diag(C)
    det = np.outer(1 + v, 1 + v) - C**2
    K, T = rmtp.nngp_ntk(layer(lambda h: np.exp(-(h**2) / 2), 0), x)
    assert K.method == T.method == "closed form"
    np.testing.assert_allclose(K, det**-0.5, rtol=1e-12)
    np.testing.assert_allclose(T, det**-0.5 + C * C * det**-1.5, rtol=1e-11)


@pytest.mark.parametrize("phi", [rmtp.elu, rmtp.selu, rmtp.hard_tanh, lambda h: np.clip(h, -0.5, 2)])
@pytest.mark.parametrize("scales", [(0.03, 0.03), (1.0, 1.0), (0.5, 3.0), (10.0, 10.0)])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_exactly_parallel_and_antipodal_inputs(phi, scales, sign):
    s, t = scales
    K = rmtp.nngp(layer(phi, 0), np.array([[s, 0.0], [sign * t, 0.0]]))

    def integrand(z):
        return float(phi(np.array(s * z)) * phi(np.array(sign * t * z))) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    cuts = sorted({0.0} | {k / q for k in (-1, -0.5, 1, 2) for q in (s, t, -s, -t) if abs(k / q) < 12})
    ends = [-12.0, *cuts, 12.0]
    exact = sum(integrate.quad(integrand, a, b, epsabs=1e-14)[0] for a, b in itertools.pairwise(ends))
    assert abs(K[0, 1] - exact) < 1e-11 * np.sqrt(K[0, 0] * K[1, 1])


def test_a_root_that_was_sampled_is_an_integral():
    K, T = rmtp.nngp_ntk(layer(lambda h: np.sqrt(1 + h**2), 0), np.eye(2) * 10)
    assert (K.method, T.method) == ("quadrature", "quadrature")

    def integrand(z):
        return np.sqrt(1 + 100 * z * z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    mean = integrate.quad(integrand, 0, 0.5, epsabs=1e-14)[0] + integrate.quad(integrand, 0.5, 12, epsabs=1e-14)[0]
    assert abs(K[0, 1] / (4 * mean**2) - 1) < 1e-10
    assert abs(K[0, 0] / 101 - 1) < 1e-12


def test_a_function_of_a_multiple_beside_the_line_itself():
    # beta -> x expit(beta x) is silu on another scale
    K = rmtp.nngp(layer(lambda h: h * expit(2 * h), 0), X)
    again = rmtp.nngp(layer(rmtp.silu, 0), 2 * X)
    np.testing.assert_allclose(4 * K, again, rtol=1e-10)
    assert K.method == "quadrature"


def test_equal_inputs_stay_exact():
    K, T = rmtp.nngp_ntk(layer(lambda h: np.exp(-np.abs(h))), np.vstack([X[:2], X[:2]]))
    for k in (K, T):
        assert k[0, 0] == k[0, 2] == k[2, 2]


def apply(fn, *args):
    return Formula(fn, args)


def test_kinks_of_a_composition():
    square = apply(Arithmetic("power", 2), VARIABLE)
    assert composite(apply(nl.RELU, apply(nl.SIN, VARIABLE))) is None  # kinks at all multiples of pi
    assert composite(apply(nl.SQRT, square)) is None
    assert composite(apply(nl.SQRT, apply(Arithmetic("add"), Formula(1.0), square))).kinks == ()
    moved = apply(nl.RELU, apply(Arithmetic("subtract"), apply(nl.ABS, VARIABLE), Formula(2.0)))
    assert composite(moved).kinks == (-2.0, 0.0, 2.0)
    assert composite(moved).pieces.polys == ((-2.0, -1.0), (0.0,), (0.0,), (-2.0, 1.0))
    steps = apply(nl.STEP, apply(nl.ABS, VARIABLE))
    assert composite(steps).jumps == ()
    assert composite(apply(nl.EXP, apply(nl.SIGN, VARIABLE))).jumps == (0.0,)


@pytest.mark.parametrize("outer", [nl.EXP, nl.TANH, nl.SIN, nl.SOFTPLUS])
def test_derivatives_by_differences(outer):
    inner = apply(Arithmetic("multiply"), Formula(0.3), apply(nl.TANH, apply(Arithmetic("power", 3), VARIABLE)))
    formula = apply(outer, apply(Arithmetic("subtract"), inner, VARIABLE))
    x = np.linspace(-2, 2, 41)
    step = 1e-5
    slope = derivative(formula)(x)
    np.testing.assert_allclose(slope, (formula(x + step) - formula(x - step)) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(composite(formula).partials()[0].fn(x), slope, atol=1e-15)


def test_hyperparameters_of_a_composition():
    family = lambda w: lambda x: rmtp.readout(np.exp(-(nets.dense(x, n, w) ** 2) / 2))  # noqa: E731
    K, dK = rmtp.kernel_gradients(family, [1.3], X[:2])
    G = X[:2] @ X[:2].T / 3
    v = np.diag(G)

    def exact(w):
        return (np.outer(1 + w**2 * v, 1 + w**2 * v) - (w**2 * G) ** 2) ** -0.5

    step = 1e-3
    slope = (8 * (exact(1.3 + step) - exact(1.3 - step)) - exact(1.3 + 2 * step) + exact(1.3 - 2 * step)) / (12 * step)
    np.testing.assert_allclose(K, exact(1.3), rtol=1e-12)
    np.testing.assert_allclose(dK[0], slope, rtol=1e-9)
    assert dK.method == "derivative of the plan"


@pytest.mark.parametrize("phi", [rmtp.hard_tanh, lambda h: np.clip(h, 0, 2), rmtp.selu])
def test_the_error_of_inputs_that_rounding_cannot_tell_apart(phi):
    # of an angle below sqrt(eps) covariances know nothing, and a jump of the slope at a has the density of |phi'| there
    _, T = rmtp.nngp_ntk(layer(phi, 0), np.array([[1.0, 0.0], [1.0, 1e-8]]))
    assert T.error > 1e-9
    _, T = rmtp.nngp_ntk(layer(phi, 0), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert T.error <= 1e-10


def test_a_growing_gaussian_below_its_threshold():
    growing = lambda c: layer(lambda h: np.exp(c * h**2), 0)  # noqa: E731
    x = 0.6 * np.array([[1.0, 0.0, 0.0]])
    v = 2 * 0.36 / 3
    assert abs(rmtp.nngp(growing(0.5), x)[0, 0] * (1 - 2 * v) ** 0.5 - 1) < 1e-9


@pytest.mark.parametrize("f", [lambda x: np.exp(x), lambda x: np.exp(x * x)])  # noqa: PLW0108
def test_growth_beyond_the_nodes_is_refused(f):
    with pytest.raises(NotConverged):
        rmtp.nngp(layer(rmtp.elementwise(f), 0), 20 * X[:2])


def test_a_vector_that_is_zero_has_no_layer_norm():
    net = lambda x: rmtp.readout(nets.layer_norm(nets.dense(x, n)))  # noqa: E731
    with pytest.raises(DivergentExpectation, match="epsilon in layer_norm"):
        rmtp.nngp(net, [[0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(DivergentExpectation):
        rmtp.ntk(net, [[0.0, 0.0]], diagonal=True)
