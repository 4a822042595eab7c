"""Limit models run: kernel recursions, particles, initial functions; finite networks in abc form beside them."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from slopes import power

from rmtp import plots
from rmtp.errors import AxisError, BadParameter, DivergentExpectation, NoInfiniteWidth, UnsupportedOperation
from rmtp.plotscalings import AREAS, LINES, plot_comparisons, plot_plane, plot_training
from rmtp.training import ABC, classify, compare, draw_networks, finite_dynamics, limit_dynamics, measure, named
from rmtp.training.abcnets import activation, loss_gradient

X = np.array([[1.0, 0.2, -0.4], [-0.3, 0.8, 0.5], [0.6, -0.9, 0.1], [-0.7, -0.2, 1.1]])
Y = np.array([1.0, -1.0, 1.0, -1.0])
TEST = np.array([[0.4, 0.4, 0.4]])
BOTH = np.vstack([X, TEST])
CELLS = {
    "MF": (-1, 1),
    "NTK": ("-1/2", 0),
    "sym-default": ("-1/2", "1/2"),
    "MF-NTK": ("-3/4", "1/2"),
    "NTK-sym": ("-1/2", "1/4"),
    "sym-MF": ("-3/4", "3/4"),
    "post-MF": ("-3/2", "3/2"),
    "pre-sym": (0, 0),
    "post-NTK": (-1, "1/2"),
    "pre-NTK": (0, "-1/2"),
    "barycenter": ("-2/3", "1/2"),
    "post-MF-NTK": (-1, "3/4"),
    "pre-NTK-sym": (0, "-1/4"),
}


def logistic(f):
    return -Y / (1 + np.exp(Y * f))


def sign(f):
    return np.where(Y * f < 0, -Y, 0.0)


# ---------------------------------------------------------------------------------------------
# networks


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("phi", ["tanh", "relu", "quadratic", "erf"])
def test_a_step_is_the_gradient_of_the_loss(depth, phi):
    """Against differences of the loss along random directions of every layer; each layer moves by its own rate."""
    rng = np.random.default_rng(depth)
    scaling = ABC((F(-1, 4), *(F(1, 3),) * (depth - 1), F(1, 2)), (F(1, 4), *(F(1, 6),) * (depth - 1), F(0)), F(1, 5))
    nets = draw_networks(scaling, 12, 3, 2, rng, phi=phi, sigma=0.2, reference=3.0)
    assert not np.any(np.abs(np.concatenate([h.ravel() for h in nets.preactivations(X)])) < 1e-4)  # kinks are far
    g = loss_gradient("logistic", nets.outputs(X), Y)
    moved = nets.step(X, g, 0.7)
    factor = 0.7 * 4 ** (-1 / 5)

    def loss(weights):
        changed = type(nets)(nets.scaling, nets.width, tuple(weights), nets.phi, nets.sigma, nets.reference)
        return np.mean(np.logaddexp(0, -Y * changed.outputs(X)), axis=1)

    for layer, (new, old) in enumerate(zip(moved.weights, nets.weights, strict=True)):
        direction = rng.standard_normal(old.shape)
        eps = 1e-5
        up, down = list(nets.weights), list(nets.weights)
        up[layer], down[layer] = old + eps * direction, old - eps * direction
        expected = -factor * (loss(up) - loss(down)) / (2 * eps)
        found = np.sum((new - old) * direction, axis=tuple(range(1, old.ndim)))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_the_tangent_kernel_is_the_first_order_of_a_step():
    nets = draw_networks(named("mup", 2), 30, 3, 4, 0)
    g, small = loss_gradient("logistic", nets.outputs(X), Y), 1e-6
    moved = (nets.step(X, g, small).outputs(X) - nets.outputs(X)) / small
    expected = -np.einsum("dpq,dq->dp", nets.tangent_kernel(X), g) / len(X)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.fractions(-1, 1, max_denominator=4))
def test_equivalent_parametrisations_train_alike(depth, theta):
    one = named("mup", depth)
    nets = [draw_networks(s, 20, 3, 2, 5) for s in (one, one.shifted(theta))]
    for _ in range(3):
        nets = [net.step(X, loss_gradient("logistic", net.outputs(X), Y), 0.5) for net in nets]
    np.testing.assert_allclose(nets[0].outputs(X), nets[1].outputs(X), rtol=1e-9, atol=1e-12)


def test_derivatives_of_any_function():
    h = np.linspace(-2, 2, 7).reshape(7, 1) + 0.05
    np.testing.assert_allclose(activation("tanh").slope(h), 1 / np.cosh(h) ** 2)
    np.testing.assert_allclose(activation(lambda z: z * np.sin(z)).slope(h), np.sin(h) + h * np.cos(h))
    np.testing.assert_array_equal(activation("linear").slope(h), np.ones_like(h))
    np.testing.assert_array_equal(activation("relu").slope(h), (h > 0) * 1.0)


# ---------------------------------------------------------------------------------------------
# kernel models: independent recursions with kernels in closed form


def erf_kernels():
    """E phi phi' and Theta of erf with weights of unit variance, in closed form (Williams 1997)."""
    gram = BOTH @ BOTH.T
    norm = np.outer(1 + 2 * np.diag(gram), 1 + 2 * np.diag(gram))
    k = 2 / np.pi * np.arcsin(2 * gram / np.sqrt(norm))
    return k, k + gram * 4 / np.pi / np.sqrt(norm - 4 * gram**2)


@pytest.mark.parametrize(
    ("name", "first", "later", "keeps"),
    [
        ("NTK", logistic, logistic, True),
        ("MF-NTK", lambda f: -Y / 2, logistic, False),
        ("NTK-sym", logistic, sign, False),
        ("post-NTK", lambda f: -Y / 2, lambda f: -Y / 2, True),
        ("pre-NTK", sign, sign, True),
        ("barycenter", lambda f: -Y / 2, sign, False),
        ("post-MF-NTK", lambda f: -Y / 2, lambda f: -Y / 2, False),
        ("pre-NTK-sym", sign, sign, False),
    ],
)
def test_kernel_models_against_their_published_recursion(name, first, later, keeps):
    """The gradients of Golikov's table, written out here, with a kernel in closed form."""
    g0 = np.random.default_rng(1).standard_normal((3, 5))
    found = limit_dynamics(
        CELLS[name], X, Y, TEST, phi="erf", steps=6, learning_rate=0.7, sigma=0.8, reference=5.0, initial=g0
    )
    _, theta = erf_kernels()
    for draw in range(found.outputs.shape[1]):
        f = g0[draw].copy() if keeps else np.zeros(5)
        start = g0[draw][:4]
        for k in range(7):
            np.testing.assert_allclose(found.outputs[k, draw], f, rtol=1e-7, atol=1e-9)
            g = first(start) if k == 0 else later(f[:4])
            f = f - 0.7 * 0.8**2 * 5 * theta[:, :4] @ g / 4
    assert np.all(found.error == 0)


def test_two_hidden_layers_with_a_fixed_kernel():
    """The NTK recursion of erf in closed form; every layer's rate is that of the reference width."""
    g0 = np.random.default_rng(1).standard_normal((2, 5))
    found = limit_dynamics(
        named("ntk", 2), X, Y, TEST, phi="erf", steps=4, learning_rate=0.7, sigma=0.8, reference=3.0, initial=g0
    )
    k1, t1 = erf_kernels()
    norm = np.outer(1 + 2 * np.diag(k1), 1 + 2 * np.diag(k1))
    theta = 2 / np.pi * np.arcsin(2 * k1 / np.sqrt(norm)) + t1 * 4 / np.pi / np.sqrt(norm - 4 * k1**2)
    for draw, f in enumerate(g0):
        for k in range(5):
            np.testing.assert_allclose(found.outputs[k, draw], f, rtol=1e-7, atol=1e-9)
            f = f - 0.7 * 0.64 * 3 * theta[:, :4] @ logistic(f[:4]) / 4  # noqa: PLW2901


def slower(depth, layer):
    """The scaling "ntk", where all layers but one learn n^(-1/2) times as fast."""
    a, b = list(named("ntk", depth).a), list(named("ntk", depth).b)
    for k in range(depth + 1):
        if k != layer:
            a[k], b[k] = a[k] + F(1, 4), b[k] - F(1, 4)
    return ABC(tuple(a), tuple(b), 0)


def erf_layer(k):
    """E phi phi' and E phi' phi' of erf for a Gaussian of covariance k (Williams 1997)."""
    norm = np.outer(1 + 2 * np.diag(k), 1 + 2 * np.diag(k))
    return 2 / np.pi * np.arcsin(2 * k / np.sqrt(norm)), 4 / np.pi / np.sqrt(norm - 4 * k**2)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_one_layer_alone_in_the_kernel(layer):
    """Two hidden layers: what each contributes, in closed form; the others learn too slowly to be seen."""
    k0 = BOTH @ BOTH.T
    k1, d1 = erf_layer(k0)
    k2, d2 = erf_layer(k1)
    theta = [k0 * d1 * d2, k1 * d2, k2][layer]
    g0 = np.random.default_rng(2).standard_normal((1, 5))
    found = limit_dynamics(slower(2, layer), X, Y, TEST, phi="erf", steps=3, learning_rate=0.7, sigma=0.8, initial=g0)
    f = g0[0]
    for k in range(4):
        np.testing.assert_allclose(found.outputs[k, 0], f, rtol=1e-7, atol=1e-9)
        f = f - 0.7 * 0.64 * theta[:, :4] @ logistic(f[:4]) / 4


@pytest.mark.parametrize("depth", [1, 2])
def test_the_first_layer_does_not_move_in_standard(depth):
    k1, _ = erf_layer(BOTH @ BOTH.T)
    k2, d2 = erf_layer(k1)
    theta = [k1, k2 + k1 * d2][depth - 1]
    g0 = np.random.default_rng(2).standard_normal((1, 5))
    found = limit_dynamics("standard", X, Y, TEST, depth=depth, phi="erf", steps=1, initial=g0)
    expected = g0[0] - theta[:, :4] @ logistic(g0[0, :4]) / 4
    np.testing.assert_allclose(found.outputs[1, 0], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("phi", ["linear", "relu", "quadratic"])
def test_layers_of_a_kernel_add_up(phi):
    """Every layer alone, against the tangent kernel that has them all."""
    steps = {"steps": 1, "phi": phi, "initial": np.zeros((1, 5))}
    parts = [limit_dynamics(slower(3, k), X, Y, TEST, **steps).outputs[1] for k in range(4)]
    full = limit_dynamics("ntk", X, Y, TEST, depth=3, **steps).outputs[1]
    np.testing.assert_allclose(np.sum(parts, axis=0), full, rtol=1e-9)


def test_the_initial_function_is_the_nngp():
    """4000 draws: each entry of the covariance within 4.5 standard errors; 15 entries, false-alarm rate 1e-4."""
    g0 = limit_dynamics("ntk", X, Y, TEST, phi="erf", steps=1, sigma=0.5, reference=3.0, draws=4000, rng=2).initial
    k = 0.75 * erf_kernels()[0]
    error = np.sqrt((np.outer(np.diag(k), np.diag(k)) + k**2) / len(g0))
    assert np.all(np.abs(g0.T @ g0 / len(g0) - k) < 4.5 * error)


# ---------------------------------------------------------------------------------------------
# particle models


def linear_particles(first, later, steps, rate, sigma, reference, shift=0.0):
    """phi(h) = h: (a, w) is a linear image of its Gaussian start, so F is a quadratic form, without particles."""
    state, out = np.eye(4), []
    for k in range(steps + 1):
        f = sigma * reference * BOTH @ (state @ state.T)[0, 1:]
        out.append(f + shift)
        c = rate * sigma * X.T @ (first if k == 0 else later)((f + shift)[:4]) / len(X)
        state = (np.eye(4) - np.block([[np.zeros((1, 1)), c[None]], [c[:, None], np.zeros((3, 3))]])) @ state
    return np.array(out)


@pytest.mark.parametrize(
    ("name", "first", "later"),
    [("MF", lambda f: -Y / 2, logistic), ("post-MF", lambda f: -Y / 2, lambda f: -Y / 2)],
)
def test_particles_of_a_linear_network_against_its_quadratic_form(name, first, later):
    """z-scores of 5 x 5 values with Student's t of 31 degrees: false-alarm rate about 25 * 3e-5."""
    found = limit_dynamics(
        CELLS[name], X, Y, TEST, phi="linear", steps=4, learning_rate=0.5, sigma=0.9, reference=2.0,
        particles=1000, replicates=32, rng=3,
    )  # fmt: skip
    known = linear_particles(first, later, 4, 0.5, 0.9, 2.0)
    assert np.all(np.abs(found.outputs[0]) < 1e-12)
    assert np.all(np.abs(found.outputs[1:, 0] - known[1:]) < 5 * found.error[1:, 0])
    assert np.all(found.error[1:] < 0.05)


@pytest.mark.parametrize("name", ["sym-default", "IC-MF"])
def test_particles_that_start_from_an_initial_function(name):
    g0 = np.random.default_rng(4).standard_normal((2, 5))
    scaling = "ic-mf" if name == "IC-MF" else CELLS[name]
    found = limit_dynamics(
        scaling, X, Y, TEST, phi="linear", steps=3, learning_rate=0.5, initial=g0, particles=2000, replicates=32, rng=5
    )
    for draw in range(2):
        start, corrected = g0[draw], name == "IC-MF"
        known = linear_particles(
            lambda f, s=start: logistic(s[:4]),
            logistic if corrected else sign,
            3, 0.5, 1.0, 1.0, start if corrected else 0.0,
        )  # fmt: skip
        gap = np.abs(found.outputs[:, draw] - known)
        assert np.all(gap < 5 * found.error[:, draw] + 1e-12)


def linear_layers(later, steps, rate, sigma, reference, shift=0.0):
    """Two hidden layers, phi(h) = h: w_t = P w_0, a_t = A a_0, and the inner matrix is a_0 (q . w_0)."""
    P, A, q, out = np.eye(3), 1.0, np.zeros(3), []
    for k in range(steps + 1):
        signal = BOTH @ P @ q
        f = sigma * reference * A * signal + shift
        out.append(f)
        g = rate * sigma * (logistic(f[:4]) if k else later(f[:4])) / len(X)
        P, A, q = P - A * np.outer(g @ X, q), A - g @ signal[:4], q - A * P.T @ X.T @ g
    return np.array(out)


@pytest.mark.parametrize("name", ["mean field", "ic-mf"])
def test_two_layers_of_particles_against_a_linear_network(name):
    """2 x 3 x 5 values at 5, Student's t of 31 degrees: false-alarm rate about 30 * 3e-5."""
    g0 = np.random.default_rng(4).standard_normal((2, 5))
    found = limit_dynamics(
        name, X, Y, TEST, depth=2, phi="linear", steps=3, learning_rate=2.0, sigma=0.9, reference=2.0, initial=g0,
        particles=2000, replicates=32, rng=5,
    )  # fmt: skip
    for draw in range(found.outputs.shape[1]):
        start = g0[draw] if name == "ic-mf" else 0.0
        known = linear_layers(logistic, 3, 2.0, 0.9, 2.0, start)
        gap = np.abs(found.outputs[:, draw] - known)
        assert np.all(gap < 5 * found.error[:, draw] + 1e-12)
    assert np.abs(found.outputs[3] - found.outputs[0]).max() > 10 * found.error.max()


@pytest.mark.parametrize(
    ("scaling", "starts", "moves"),
    [("standard, constant rate", 0, 1), (ABC((F(-1, 2), F(1, 2)), (F(1, 2), F(1, 2)), 0), 1, 1),
     (ABC((F(-1, 2), F(3, 4)), (F(1, 2), F(1, 4)), 0), 1, 0)],
)  # fmt: skip
def test_readouts_that_start_at_zero_or_stay(scaling, starts, moves):
    """One hidden layer whose layers learn at rates of their own: a quadratic form of what is left of (a, w)."""
    g0 = np.random.default_rng(4).standard_normal((1, 5))
    model = classify(scaling).model
    found = limit_dynamics(
        scaling, X, Y, TEST, phi="linear", steps=3, learning_rate=0.5, initial=g0, particles=2000, replicates=32, rng=5
    )
    slopes = {"-y/2": lambda f: -Y / 2, "logistic": logistic, "sign": sign}
    state = np.eye(4)
    state[0, 0] = starts
    for k in range(4):
        f = BOTH @ (state @ state.T)[0, 1:]
        assert np.all(np.abs(found.outputs[k, 0] - f) < 5 * found.error[k, 0] + 1e-12)
        c = 0.5 * X.T @ (slopes[model.later_gradient](f[:4]) if k else slopes[model.first_gradient](g0[0, :4])) / 4
        step = np.block([[np.zeros((1, 1)), moves * c[None]], [c[:, None], np.zeros((3, 3))]])
        state = state - step @ state


def test_the_stated_error_is_that_of_monte_carlo():
    """Sixteen times the particles, a sixteenth of the variance: F(31, 31) of four values, false-alarm rate 8e-5."""
    small, large = (
        limit_dynamics("mf", X, Y, steps=3, particles=p, replicates=32, rng=6).error[3, 0] for p in (256, 4096)
    )
    p = stats.f(31, 31).cdf((small / large) ** 2 / 16)
    assert np.all((p > 1e-5) & (p < 1 - 1e-5))
    assert stats.f(31, 31).ppf(1 - 1e-5) < 16  # errors that do not fall, or as 1/particles, are seen


# ---------------------------------------------------------------------------------------------
# finite networks tend to the limit


def test_layers_left_out_set_the_rate():
    """A readout that learns n^(-1/4) times as fast as the first layer: the kernel without it, up to n^(-1/4)."""
    scaling = ABC((0, F(5, 8)), (0, F(-1, 8)), 0)
    assert (classify(scaling).model.name, classify(scaling).rate) == ("NTK", F(1, 4))
    check_rate_of_convergence(scaling, (64, 256, 1024, 4096))


@pytest.mark.parametrize("depth", [1, 2])
def test_corrected_networks_start_at_those_of_the_kernel_regime(depth):
    """IC-MF: the same normalised weights, which one seed draws in every scaling."""
    found = finite_dynamics(
        "ic-mf", X, Y, TEST, width=24, depth=depth, steps=1, draws=3, rng=8, sigma=0.7, reference=3.0
    )
    same = draw_networks(named("ntk", depth), 24, 3, 3, 8, sigma=0.7, reference=3.0).outputs(BOTH)
    np.testing.assert_allclose(found.outputs[0], same, rtol=1e-12)
    np.testing.assert_array_equal(found.initial, found.outputs[0])


def test_at_the_reference_width_all_scalings_are_one_network():
    """Powers of d / d* are 1 there: the models differ in what they take for large."""
    runs = [
        finite_dynamics(s, X, Y, TEST, width=32, reference=32.0, sigma=0.3, steps=4, draws=3, rng=1).outputs
        for s in (*CELLS.values(), "ic-mf")
    ]
    for other in runs[1:]:
        np.testing.assert_allclose(other, runs[0], rtol=1e-12)


SMOOTH = ("MF", "NTK", "MF-NTK", "post-MF", "post-NTK", "post-MF-NTK")  # their gradient is never a sign


def deviations(scaling, widths, **options):
    found = compare(scaling, X, Y, TEST, widths=widths, draws=64, steps=4, replicates=4, **options)
    return found, [s - found.monte_carlo**2 for s in found.squares]


def check_rate_of_convergence(scaling, widths, **options):
    """Distances fall, and like n^-rate: a rank test at 1e-5, a z-score at 4.5; squares are corrected by 1 + B n^-2rate."""
    found, squares = deviations(scaling, widths, **options)
    assert stats.mannwhitneyu(squares[-1], squares[0], alternative="less").pvalue < 1e-5
    slope, error = power(widths, squares, 2 * float(found.report.rate))
    assert error < 0.25
    assert abs(slope + 2 * float(found.report.rate)) < 4.5 * error


@pytest.mark.parametrize("name", SMOOTH)
def test_networks_tend_to_their_limit_at_the_rate_that_is_stated(name):
    check_rate_of_convergence(CELLS[name], (64, 256, 1024, 4096), particles=8192)


@pytest.mark.parametrize(
    "scaling",
    [named("ntk", 2), named("ntk", 3).shifted("1/4"), named("standard", 2)],
    ids=["ntk", "shifted", "standard"],
)
def test_deeper_networks_tend_to_their_kernel_regime(scaling):
    check_rate_of_convergence(scaling, (16, 32, 64, 128, 256), reference=2.0)


@pytest.mark.slow
def test_any_scaling_of_one_hidden_layer_tends_to_the_limit_that_is_named():
    """Twelve scalings at random, whatever their layers' rates: rank tests at 1e-5."""
    rng, quarters, seen = np.random.default_rng(3), lambda: F(int(rng.integers(-4, 5)), 4), set()
    while len(seen) < 12:
        first, c = quarters(), quarters()
        scaling = ABC((first, quarters()), (-first, quarters()), c)
        report = classify(scaling)
        if report.model is None or report.rate < F(1, 4) or scaling in seen:
            continue
        seen.add(scaling)
        _, squares = deviations(scaling, (64, 8192), particles=4096)
        assert stats.mannwhitneyu(squares[-1], squares[0], alternative="less").pvalue < 1e-5, scaling
    assert len({classify(s).model.name for s in seen}) > 5
    assert any(s.plane is None for s in seen)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth"), [("ic-mf", 1), ("mean field", 2), ("ic-mf", 2), ("standard", 1)], ids=str)
def test_more_limits_at_their_rate(name, depth):
    widths = (64, 256, 1024, 4096) if depth == 1 else (16, 32, 64, 128, 512)
    check_rate_of_convergence(name, widths, depth=depth, particles=4096)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(n for n in CELLS if n not in SMOOTH), "standard, constant rate"])
def test_distances_fall_where_the_gradient_is_a_sign(name):
    """Networks whose output is near the jump are off by their whole size: a rank test at 1e-5, no slope."""
    found, squares = deviations(CELLS.get(name, name), (64, 4096), particles=4096)
    assert stats.mannwhitneyu(squares[-1], squares[0], alternative="less").pvalue < 1e-5
    assert (name in ("NTK-sym", "sym-MF", "barycenter", "pre-NTK-sym")) == any("slow" in n for n in found.report.notes)


def test_what_is_printed():
    text = str(measure("mup", X, Y, depth=2, widths=(32, 64), draws=5))
    assert "features" in text
    assert "-1/2" in text
    assert repr(limit_dynamics("mf", X, Y, steps=2)) == "<Dynamics of MF, limit: 2 steps, 1 draws, 4 points>"
    assert "slope" in str(compare("ntk", X, Y, widths=(16, 32), draws=3, steps=2))


def test_why_deep_mean_field_stands_still():
    """The claims of the explanation: h^l ~ n^(-(l-1)/2); a layer's features and gradients overlap by n^(-1/2) only.

    4 z-scores at 4.5, corrections 1/n fitted.
    """
    sizes, overlaps, widths = [], [], (25, 50, 100, 200, 400)
    for n in widths:
        nets = draw_networks(named("mean field", 3), n, 3, 60, n)
        hidden = nets.preactivations(X)
        sizes.append([np.mean(h**2, axis=(1, 2)) for h in hidden])
        gradients = nets._backward(hidden, np.ones((60, 4)))
        x, dh = np.tanh(hidden[1]), gradients[1]
        overlaps.append(np.mean(np.sum(x * dh, axis=1) ** 2 / (np.sum(x**2, axis=1) * np.sum(dh**2, axis=1)), axis=1))
    known = classify("mean field", depth=3).exponents.hidden
    assert [float(e) for e in known] == [0, -0.5, -1]
    for values, exponent in zip([*zip(*sizes, strict=True), overlaps], [*known, F(-1, 2)], strict=True):
        slope, error = power(widths, values)
        assert error < 0.25
        assert abs(slope - 2 * float(exponent)) < 4.5 * error


def test_figures():
    with plots.style():
        ax = plot_plane(plots.figure(10, 8)[1])
        assert {text.get_text() for text in ax.texts} >= set(CELLS)
        found = [compare(CELLS[name], X, Y, widths=(16, 64), draws=4, steps=2) for name in ("MF", "barycenter")]
        labels = plot_comparisons(found, plots.figure()[1]).get_legend_handles_labels()[1]
        assert "too slow to be seen" in labels[1]
        assert "slow" not in labels[0]
        ax = measure("mf", X, Y, widths=(16, 32), draws=4).plot(plots.figure()[1])
        assert len(ax.get_legend_handles_labels()[1]) == 6
        limits = {"barycenter": limit_dynamics(CELLS["barycenter"], X, Y, steps=2)}
        ax = plot_training(limits, {}, 0, plots.figure()[1])
        assert "too slow" in ax.get_legend_handles_labels()[1][0]


def test_names_of_the_map_stand_on_their_cells():
    found = {name: classify(tuple(place[0])).model.name for name, place in LINES.items()}
    found |= {name: classify(place).model.name for name, place in AREAS.items()}
    assert found == {name: name for name in CELLS}


# ---------------------------------------------------------------------------------------------
# refusals


def test_no_limit_outside_the_band():
    with pytest.raises(NoInfiniteWidth, match="features grow"):
        limit_dynamics((1, 1), X, Y)
    with pytest.raises(NoInfiniteWidth, match="features grow"):
        measure((1, 1), X, Y)
    with pytest.raises(NoInfiniteWidth, match="vanish"):
        measure("mean field", X, Y, depth=3)
    with pytest.raises(NoInfiniteWidth, match="stagnates"):
        finite_dynamics((-1, -1), X, Y, width=10)


def test_labels_and_shapes():
    with pytest.raises(BadParameter, match="-1 and 1"):
        limit_dynamics("mf", X, [0, 1, 0, 1])
    with pytest.raises(AxisError, match="one target per input"):
        limit_dynamics("mf", X, [1, -1])
    with pytest.raises(AxisError, match="points of one length"):
        limit_dynamics("mf", X, Y, [[1.0]])
    with pytest.raises(AxisError, match="initial"):
        limit_dynamics("ntk", X, Y, initial=np.zeros((2, 3)))
    with pytest.raises(AxisError, match="points, d"):
        limit_dynamics("mf", [1.0, 2.0], [1, -1])
    with pytest.raises(BadParameter, match="not finite"):
        measure("mf", [[np.nan], [1.0]], [1, -1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"particles": 101}, "even"),
        ({"replicates": 1}, "two replicates"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"sigma": np.inf}, "sigma"),
        ({"phi": "sinus"}, "activation"),
    ],
)
def test_options(options, match):
    with pytest.raises(BadParameter, match=match):
        limit_dynamics("mf", X, Y, **options)


@pytest.mark.filterwarnings("error")
def test_never_a_number_that_is_none():
    huge = {"phi": "quadratic", "learning_rate": 1e30, "steps": 12}
    with pytest.raises(DivergentExpectation, match="overflow at step"):
        finite_dynamics("mf", X, Y, width=20, **huge)
    with pytest.raises(DivergentExpectation, match="overflow at step"):
        limit_dynamics("mf", X, Y, **huge)
    with pytest.raises(BadParameter, match="has no slope"):
        measure("mf", 0 * X, Y, widths=(8, 16), draws=3).slope("update")
    with pytest.raises(BadParameter, match="stays at zero"):
        compare("mf", 0 * X, Y, widths=(8, 16), draws=3)
    for call in (measure, compare):
        with pytest.raises(BadParameter, match="at least 2"):
            call("mf", X, Y, draws=1)


def test_what_has_no_dynamics_here():
    with pytest.raises(BadParameter, match="features that move in 2"):
        limit_dynamics(named("mup", 2), X, Y)
    with pytest.raises(NoInfiniteWidth, match="features grow like n"):
        limit_dynamics("standard, constant rate", X, Y, depth=2)
    with pytest.raises(UnsupportedOperation, match="kink at 0"):
        limit_dynamics("mean field", X, Y, depth=2, phi="relu")
    for name in ("mean field", "ic-mf"):
        with pytest.raises(NoInfiniteWidth, match="more than two hidden layers"):
            limit_dynamics(name, X, Y, depth=3)
    with pytest.raises(BadParameter, match="which it trains"):
        measure("ic-mf", X, Y)
