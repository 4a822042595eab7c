"""Feature learning: the unrolled training program against recursions, brute force, particles and finite networks."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rmtp
from rmtp.errors import AxisError, BadParameter, BudgetExceeded, NotExact, UnsupportedOperation
from rmtp.training import ABC, draw_networks, feature_learning, limit_dynamics, named, unroll
from rmtp.verify import Verification

small = st.fractions(-2, 2, max_denominator=4)


# ---------------------------------------------------------------------------------------------
# exact


def test_the_published_linear_recursion():
    """TP IV, Corollary 6.2: four rational numbers."""
    x, y = [[1], [F(-1, 2)], [F(4, 5)], [F(6, 5)]], [1, F(3, 10), -1, F(1, 2)]
    run = feature_learning(x, y, phi="linear", learning_rate=F(1, 2), exact=True)
    A, B, C, D, seen = F(1), F(0), F(0), F(1), []
    for (xi,), target in zip(x, y, strict=True):
        seen.append((A * C + B * D) * xi)
        c = F(1, 2) * (seen[-1] - target) * xi
        A, B, C, D = A - c * C, B - c * D, C - c * A, D - c * B
    assert list(run.seen.value[:, 0]) == seen
    assert [round(float(f), 4) for f in seen] == [0, -0.5, 0.432, -0.3766]
    assert run.seen.method == "exact"
    assert not np.any(run.seen.error)


def linear_recursion(x, y, tests, rate, steps, batch):
    """One hidden layer, phi(h) = h: (v, U) stays a linear image M of its start, f = (M M.T)[0, 1:] . x."""
    d = len(x[0])
    M = [[F(i == j) for j in range(d + 1)] for i in range(d + 1)]

    def f(point):
        return sum(sum(M[0][k] * M[1 + j][k] for k in range(d + 1)) * point[j] for j in range(d))

    out = [[f(p) for p in tests]]
    for step in range(steps):
        chosen = [(step * batch + k) % len(x) for k in range(batch)]
        c = [F(0)] * d
        for i in chosen:
            g = rate * (f(x[i]) - y[i]) / batch
            c = [a + g * b for a, b in zip(c, x[i], strict=True)]
        top = [M[0][k] - sum(c[j] * M[1 + j][k] for j in range(d)) for k in range(d + 1)]
        M = [top, *([M[1 + j][k] - c[j] * M[0][k] for k in range(d + 1)] for j in range(d))]
        out.append([f(p) for p in tests])
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.data())
def test_linear_networks_of_any_input_and_batch(d, points, batch, steps, data):
    """More coordinates than points and fewer: U by its columns, or by its products with the inputs."""
    row = st.lists(small, min_size=d, max_size=d)
    x = data.draw(st.lists(row, min_size=points, max_size=points))
    y = data.draw(st.lists(small, min_size=points, max_size=points))
    tests = [data.draw(row)]
    run = feature_learning(
        x, y, tests, phi="linear", learning_rate=F(1, 3), steps=steps, batch=batch, exact=True
    )  # fmt: skip
    assert run.test.value.tolist() == linear_recursion(x, y, tests, F(1, 3), steps, batch)


class Poly(dict):
    """Polynomials in independent standard Gaussians; E by counting pairings (Isserlis)."""

    @classmethod
    def var(cls, k, size):
        return cls({tuple(int(i == k) for i in range(size)): F(1)})

    def __add__(self, other):
        out = Poly(self)
        for m, c in other.items():
            out[m] = out.get(m, F(0)) + c
        return out

    def __mul__(self, other):
        if not isinstance(other, Poly):
            return Poly({m: c * other for m, c in self.items()})
        out = Poly()
        for (m, c), (k, b) in product(self.items(), other.items()):
            key = tuple(i + j for i, j in zip(m, k, strict=True))
            out[key] = out.get(key, F(0)) + c * b
        return out

    def mean(self):
        return sum((c * prod(prod(range(p - 1, 0, -2)) if p % 2 == 0 else 0 for p in m) for m, c in self.items()), F(0))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_quadratic_networks_by_brute_force(steps):
    """One hidden layer, phi(h) = h^2, two inputs of two coordinates: v and U as polynomials in their start."""
    x, y, rate = [[F(1), F(0)], [F(1, 2), F(-1)]], [F(1), F(-1, 3)], F(1, 8)
    run = feature_learning(x, y, phi="quadratic", learning_rate=rate, steps=steps, exact=True)
    v, us = Poly.var(0, 3), [Poly.var(1, 3), Poly.var(2, 3)]

    def hidden(p):
        return us[0] * p[0] + us[1] * p[1]

    def outputs():
        return [(v * hidden(p) * hidden(p)).mean() for p in x]

    known = [outputs()]
    for step in range(steps):
        p, target = x[step % 2], y[step % 2]
        h, c = hidden(p), rate * (known[-1][step % 2] - target)
        dh = v * h * F(2)
        v = v + h * h * -c
        us = [u + dh * (-c * p[j]) for j, u in enumerate(us)]
        known.append(outputs())
    assert run.test.value.tolist() == known
    kernel = [[(hidden(p) * hidden(p) * hidden(q) * hidden(q)).mean() for q in x] for p in x]
    assert run.kernels.value[-1, 0].tolist() == kernel


@given(st.fractions(F(1, 4), 2, max_denominator=4), small, small)
@settings(max_examples=15, deadline=None)
def test_two_quadratic_layers_by_hand(xi, target, other):
    """One step, with the Z-Dot of W worked out on paper: Z^{W x1} = hat - 4 c xi^2 eta^2 dh0 .. in independent Gaussians."""
    rate = F(1, 8)
    run = feature_learning(
        [[xi]], [target], [[other]], depth=2, phi="quadratic", learning_rate=rate, steps=1, exact=True
    )
    c = -rate * target  # f_0 = E v E h^2 = 0
    # x0 = (u xi)^2, h0 = W x0 ~ N(0, q), dh0 = 2 v h0, W.T dh0 = z ~ N(0, 4 q), du = 2 u xi z
    q = 3 * xi**4
    u, z = Poly.var(0, 2), Poly.var(1, 2)  # z in units of 2 sqrt(q): only even powers are left
    scale = 4 * q

    def even_mean(poly):
        return Poly({(m[0], m[1]): k * scale ** F(m[1] // 2) for m, k in poly.items() if m[1] % 2 == 0}).mean()

    moved = u + u * z * (-2 * c * xi**2)  # u - c du xi
    h1 = moved * other
    x0, x1 = u * u * xi**2, h1 * h1
    overlap, norm = even_mean(x0 * x1), even_mean(x1 * x1)
    # E dx1/dz: x1 = other^2 u^2 (1 - 2 c xi^2 z)^2
    a = other**2 * -4 * c * xi**2
    v, g, w = (Poly.var(k, 3) for k in range(3))  # h0 = sqrt(q) g, hat of W x1 = overlap/q h0 + rest w
    rest = norm - overlap**2 / q
    dh = v * g * F(2)  # in units of sqrt(q)
    # everything is even in sqrt(q) and sqrt(rest) after the average: give g and w their variances there
    image = g * (overlap / q) + w + dh * (a - c * overlap)
    inside = (v + g * g * -c) * image * image

    def mean3(poly):
        fine = {m: k * q ** F(m[1] // 2) * rest ** F(m[2] // 2) for m, k in poly.items() if m[1] % 2 == m[2] % 2 == 0}
        return Poly(fine).mean()

    assert run.test.value[1, 0] == mean3(inside)
    assert run.kernels.value[1, 0, 0, 0] == norm
    assert run.overlaps[1].value[0, 0, 0] == a * 4 * q  # E Zdot dh0 = a E dh0^2


# ---------------------------------------------------------------------------------------------
# numbers known from elsewhere


def test_two_tanh_layers_and_one_step():
    """Computed independently by nested quadrature to six digits; the overlap is 0 under gradient independence."""
    run = feature_learning([[1]], [1], [[F(7, 10)]], depth=2, steps=1)
    assert abs(run.test.value[1, 0] - 0.518560) < 5 * run.test.error[1, 0] + 5e-7
    assert abs(run.overlaps[1].value[0, 0, 0] - 0.201682) < 5e-7
    before, after = run.unrolled.features[0][0][0], run.unrolled.features[1][0][0]
    (W,) = run.unrolled.matrices
    image = rmtp.limit(np.mean((W @ after) ** 2))
    assert abs(image.value - 0.407896) < 5e-7
    assert run.kernels.value[0, 0, 0, 0] == pytest.approx(rmtp.limit(np.mean(before**2)).value, rel=1e-10)


def test_first_layer_overlap_of_old_and_new_features():
    """x0 is that of the training point, x1 that of the test point: 0.314114."""
    run = unroll([[1]], [1], [[1], [F(7, 10)]], depth=2, steps=1)
    value = rmtp.limit(np.mean(run.features[0][0][0] * run.features[1][0][1]))
    assert abs(value.value - 0.314114) < 5e-7


def test_treating_the_transpose_as_independent_is_wrong():
    options = {"depth": 2, "steps": 1, "budget": 2**14, "rtol": 0.5}
    right = feature_learning([[1]], [1], [[0.7]], **options)
    naive = feature_learning([[1]], [1], [[0.7]], gradient_independence=True, **options)
    assert np.all(naive.overlaps[1].value == 0)
    assert abs(right.test.value[1, 0] - naive.test.value[1, 0]) > 100 * right.test.error[1, 0]


@pytest.mark.parametrize("phi", ["tanh", "relu", lambda h: h * np.tanh(h) - h / 2], ids=["tanh", "relu", "composite"])
def test_one_hidden_layer_against_particles(phi):
    """The mean-field limit by Monte Carlo: full batch, logistic loss. 12 values, Student's t of 63 degrees, 4.5: rate 4e-4."""
    x, y = [[1.0, 0.2], [-0.3, 0.8], [0.5, -0.9]], [1, -1, 1]
    run = feature_learning(x, y, phi=phi, loss="logistic", batch=3, steps=3, learning_rate=1.5)
    found = limit_dynamics("mf", x, y, phi=phi, steps=3, learning_rate=1.5, particles=2000, replicates=64, rng=1)
    error = np.hypot(np.asarray(run.test.error, float), found.error[:, 0]) + 1e-12
    assert np.all(np.abs(run.test.value - found.outputs[:, 0]) < 4.5 * error)


def test_methods_agree():
    """Quadrature and Sobol points, on what both can do."""
    x, y = [[1.0], [-0.6]], [1.0, 0.5]
    one, two = (feature_learning(x, y, steps=1, method=m) for m in ("quadrature", "sobol"))
    assert one.test.method == "quadrature"
    assert two.test.method == "sobol"
    assert np.all(np.abs(one.test.value - two.test.value) < 6 * two.test.error + one.test.error + 1e-12)


def test_mean_field_of_one_layer_is_mup():
    x, y = [[1], [F(1, 2)]], [1, -1]
    runs = [
        feature_learning(x, y, phi="quadratic", learning_rate=F(1, 10), scaling=s, exact=True).test.value.tolist()
        for s in ("mup", "mean field", ABC((0, 1), (0, 0), -1))
    ]
    assert runs[0] == runs[1] == runs[2]


def two_linear_layers(x, y, tests, rate, steps):
    """Mean field with two hidden layers and phi(h) = h, one coordinate, by numbers that an element of each layer is spanned by.

    Layer 1: w_t = alpha_t w_0. Layer 2: a_t = A_t a_0, and h_t(x) = H_t x a_0. The inner matrix is M_t a_0 w_0.T.
    """
    alpha, A, M, out = F(1), F(1), F(0), []
    out.append([A * M * alpha * p for p in tests])
    for step in range(steps):
        (xi,), target = x[step % len(x)], y[step % len(y)]
        g = rate * (A * M * alpha * xi - target) * xi
        alpha, A, M = alpha - g * A * M, A - g * M * alpha, M - g * A * alpha
        out.append([A * M * alpha * p for p in tests])
    return out


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(small, small), min_size=1, max_size=3), small, st.integers(1, 3))
def test_two_linear_layers_in_mean_field(data, other, steps):
    """w, a and the inner matrix are one number each: the dynamics of a product of three scalars, exactly."""
    x, y = [[p] for p, _ in data], [t for _, t in data]
    run = feature_learning(
        x, y, [[other]], depth=2, phi="linear", scaling="mean field", learning_rate=F(1, 3), steps=steps, exact=True
    )
    assert run.test.value.tolist() == two_linear_layers(x, y, [other], F(1, 3), steps)
    assert np.all(np.isfinite(run.feature_change))


@pytest.mark.parametrize("phi", ["tanh", lambda h: h * np.tanh(h) + h / 2], ids=["tanh", "composite"])
def test_two_hidden_layers_in_mean_field_against_particles(phi):
    """The engine against two interacting sets of particles; 12 values, Student's t of 63 degrees, 4.5: rate 4e-4."""
    x, y = [[1.0, 0.2], [-0.3, 0.8], [0.5, -0.9]], [1, -1, 1]
    common = {"phi": phi, "steps": 3, "learning_rate": 2.0}
    run = feature_learning(x, y, [[0.4, 0.7]], depth=2, scaling="mean field", loss="logistic", batch=3, **common)
    found = limit_dynamics(named("mean field", 2), x, y, [[0.4, 0.7]], particles=2000, replicates=64, rng=1, **common)
    error = np.hypot(np.asarray(run.test.error[:, 0], float), found.error[:, 0, 3]) + 1e-12
    assert np.all(np.abs(run.test.value[:, 0] - found.outputs[:, 0, 3]) < 4.5 * error)
    assert run.test.method == "quadrature"
    assert not run.unrolled.matrices
    assert run.feature_change[0] == 0
    assert np.all(np.diff(run.feature_change) > 0)


def test_mean_field_is_not_mup():
    """The initial inner matrix carries the signal in muP; without it one step is another function."""
    runs = [
        feature_learning([[1]], [1], [[F(7, 10)]], depth=2, phi="linear", scaling=s, exact=True)
        for s in ("mup", "mean field")
    ]
    values = [run.test.value[1, 0] for run in runs]
    # rate 1, f_0 = 0: v' = v + W u, W' = W + v u.T / n, u' = u + W.T v; E v' W' u' = |W.T v|^2 + |v|^2 + |W u|^2, or |v|^2
    assert values == [F(7, 10) * 3, F(7, 10)]


# ---------------------------------------------------------------------------------------------
# finite networks, written apart from programs


X = [[1.0, 0.3], [-0.5, 0.8], [0.8, -0.4], [0.2, 1.1]]
Y = [1.0, 0.3, -1.0, 0.5]
TESTS = [[0.6, 0.6], [1.0, -0.5]]


def trained(depth, phi, width, draws, rng, steps, batch, rate, entries="gaussian"):
    """Outputs and the last kernel's first entry after training, (draws,) each."""
    nets = draw_networks(named("mup", depth), width, 2, draws, rng, phi=phi, entries=entries)
    x, y = np.array(X), np.array(Y)
    for step in range(steps):
        chosen = [(step * batch + k) % len(x) for k in range(batch)]
        nets = nets.step(x[chosen], nets.outputs(x[chosen]) - y[chosen], rate)
    out, features = nets.outputs(np.array(TESTS)), nets.features(np.array(TESTS))
    return out[:, 0], out[:, 1], np.mean(features[:, :, 0] * features[:, :, 1], axis=1)


@pytest.mark.parametrize(
    ("depth", "phi", "widths", "options"),
    [
        (1, "relu", (250, 500, 1000, 2000), {"learning_rate": 0.5, "steps": 4}),
        (1, "quadratic", (500, 1000, 2000, 4000), {"learning_rate": 0.05, "steps": 2}),
        (2, "tanh", (50, 100, 200), {"learning_rate": 0.5, "steps": 3, "batch": 2}),
        (2, "relu", (50, 100, 200), {"learning_rate": 0.3, "steps": 3}),
        (2, "linear", (50, 100, 200), {"learning_rate": 0.4, "steps": 3}),
        (2, rmtp.gelu, (50, 100, 200), {"learning_rate": 0.4, "steps": 3}),
        (3, "tanh", (50, 100, 200), {"learning_rate": 0.5, "steps": 2}),
    ],
)
def test_finite_networks(depth, phi, widths, options):
    """Means extrapolated as L + c/n within 4.5 errors; spreads fall like n^(-1/2). 30 z-scores: false-alarm rate 2e-4."""
    run = feature_learning(X, Y, TESTS, depth=depth, phi=phi, budget=2**17, rtol=0.5, **options)
    limits = [run.test.value[-1, 0], run.test.value[-1, 1], run.kernels.value[-1, -1, 0, 1]]
    errors = [run.test.error[-1, 0], run.test.error[-1, 1], run.kernels.error[-1, -1, 0, 1]]
    rng = np.random.default_rng(depth)
    steps, batch, rate = options["steps"], options.get("batch", 1), options["learning_rate"]
    drawn = [trained(depth, phi, n, 200, rng, steps, batch, rate) for n in widths]
    for k in range(3):
        limit = rmtp.Estimate(float(limits[k]), float(errors[k]), "sobol")
        found = Verification(limit, widths, tuple(d[k] for d in drawn))
        assert abs(found.score) < 4.5
        slope, error = found.slope
        assert abs(slope + 0.5) < 4.5 * error


@pytest.mark.parametrize("entries", ["rademacher", "uniform"])
def test_a_training_run_does_not_ask_for_the_law_of_entries(entries):
    """Golikov & Yang 2022: the same limit for entries that are not Gaussian, after three steps; 3 scores at 4.5."""
    run = feature_learning(X, Y, TESTS, depth=2, learning_rate=0.5, steps=3, batch=2)
    widths = (50, 100, 200)
    rng = np.random.default_rng(7)
    drawn = [trained(2, "tanh", n, 200, rng, 3, 2, 0.5, entries) for n in widths]
    for k, value in enumerate((*run.test.value[-1], run.kernels.value[-1, -1, 0, 1])):
        assert (
            abs(Verification(rmtp.Estimate(float(value), 2e-4, "sobol"), widths, tuple(d[k] for d in drawn)).score)
            < 4.5
        )


def test_the_program_itself_runs_at_finite_width():
    """The unrolled program on arrays is the network trained with matrices: means of 300 draws of each agree."""
    run = unroll(X, Y, TESTS, depth=2, learning_rate=0.5, steps=2)
    one = rmtp.sample(run.test[2][0], 60, rng=0, trials=300)
    two = trained(2, "tanh", 60, 300, np.random.default_rng(1), 2, 1, 0.5)[0]
    z = (one.mean() - two.mean()) / np.hypot(one.std(), two.std()) * 300**0.5
    assert abs(z) < 4.5


# ---------------------------------------------------------------------------------------------
# properties


def test_shapes_and_order():
    run = feature_learning([[1], [2], [3]], [1, 2, 3], [[1], [2]], depth=2, phi="linear", batch=2, exact=True)
    assert run.seen.value.shape == (2, 2)
    assert run.test.value.shape == (3, 2)
    assert run.kernels.value.shape == (3, 2, 2, 2)
    assert [o.value.shape for o in run.overlaps] == [(1, 2, 0), (1, 2, 2), (1, 2, 4)]
    kernels = np.asarray(run.kernels.value, dtype=float)
    np.testing.assert_array_equal(kernels, np.swapaxes(kernels, 2, 3))
    assert run.feature_change[0] == 0
    assert run.feature_change[2] > 0


def test_what_is_printed():
    run = feature_learning([[1]], [1], [[1], [2]], phi="linear", learning_rate=F(1, 2), steps=2, exact=True)
    assert repr(run.unrolled).startswith("<Unrolled: 2 steps of SGD, 2 test points, ")
    assert str(run).splitlines()[2] == "  after 1: 1  2"
    assert "exact" in repr(run)


def test_nothing_moves_where_the_gradient_is_zero():
    run = feature_learning([[1], [2]], [0, 0], phi="quadratic", learning_rate=1, exact=True)
    assert not np.any(run.test.value)
    assert not np.any(run.feature_change)


# ---------------------------------------------------------------------------------------------
# refusals


def test_scalings_without_features():
    with pytest.raises(UnsupportedOperation, match="kernel is fixed"):
        feature_learning([[1]], [1], scaling="ntk")
    with pytest.raises(UnsupportedOperation, match="more than two hidden layers"):
        feature_learning([[1]], [1], depth=3, scaling="mean field")
    with pytest.raises(UnsupportedOperation, match="kink at 0"):
        feature_learning([[1]], [1], depth=2, phi="relu", scaling="mean field")
    with pytest.raises(UnsupportedOperation, match="IC-MF"):
        feature_learning([[1]], [1], depth=2, scaling="ic-mf")
    with pytest.raises(UnsupportedOperation):
        feature_learning([[1]], [1], scaling="ic-mf")
    with pytest.raises(UnsupportedOperation):
        feature_learning([[1]], [1], depth=2, scaling=named("mup", 3))


def test_budgets():
    with pytest.raises(BudgetExceeded, match="lines"):
        feature_learning([[1]], [1], steps=10, lines=50)
    with pytest.raises(NotExact):
        feature_learning([[1]], [1], phi="tanh", exact=True)
    with pytest.raises(BudgetExceeded, match="digits triple"):
        feature_learning([[1]], [1], phi="linear", learning_rate=F(1, 3), steps=8)
    floats = feature_learning([[1]], [1], phi="linear", learning_rate=1 / 3, steps=8)
    assert floats.test.method == "algebra"
    exact = [row[0] for row in linear_recursion([[F(1)]], [F(1)], [[F(1)]], F(1, 3), 8, 1)]
    np.testing.assert_allclose(floats.test.value[:, 0], np.array(exact, dtype=float), atol=1e-12)


@pytest.mark.slow
def test_polynomials_of_too_many_terms():
    with pytest.raises(BudgetExceeded, match="terms"):
        feature_learning([[1]], [1], phi="quadratic", learning_rate=F(1, 9), steps=5, exact=True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"x": [1.0], "y": [1.0]}, AxisError),
        ({"x": [[1.0]], "y": [1.0, 2.0]}, AxisError),
        ({"x": [[1.0]], "y": [1.0], "x_test": [[1.0, 2.0]]}, AxisError),
        ({"x": [[np.nan]], "y": [1.0]}, BadParameter),
        ({"x": [[1.0]], "y": [0.5], "loss": "logistic"}, BadParameter),
        ({"x": [[1.0]], "y": [1.0], "loss": "hinge"}, BadParameter),
        ({"x": [[1.0]], "y": [1.0], "steps": 0}, BadParameter),
        ({"x": [[1.0]], "y": [1.0], "batch": 0}, BadParameter),
        ({"x": [[1.0]], "y": [1.0], "depth": 0}, BadParameter),
        ({"x": [[1.0]], "y": [1.0], "phi": "cubic"}, BadParameter),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error):
        feature_learning(**arguments)


def test_derivatives_of_coordinates_only():
    n = rmtp.Dim("n")
    x, W = rmtp.Normal(n), rmtp.Gaussian(n, n)
    from rmtp.backprop import derivative

    with pytest.raises(UnsupportedOperation):
        derivative(W @ x, x)
    assert rmtp.limit(np.mean(derivative(x**2 * np.sin(x), x))).value == pytest.approx(2 * np.exp(-0.5), rel=1e-8)


# ---------------------------------------------------------------------------------------------
# what the program tells besides


def test_the_law_of_a_trained_preactivation():
    """Z^{W x1} = hat + c Z^{dh0}, with the published variance and overlap."""
    run = unroll([[1]], [1], [[F(7, 10)]], depth=2, steps=1)
    law = rmtp.limit(run.matrices[0] @ run.features[1][0][0])
    assert abs(law.var.value - 0.407896) < 5e-7
    (coefficient,) = law.zdot.values()
    z, w = np.polynomial.hermite_e.hermegauss(120)
    q = w @ np.tanh(z) ** 2 / w.sum()
    norm = w @ np.cosh(q**0.5 * z) ** -4.0 / w.sum()  # E dh0^2, the readout having variance 1
    assert coefficient.value * norm == pytest.approx(0.201682, abs=5e-7)


def test_inputs_seen_through_their_products():
    """Six coordinates, three points: the same as in coordinates of the plane they lie in, within both errors."""
    x, y, tests = [[1.0, 0.2], [-0.4, 0.9]], [1.0, -0.5], [[0.3, 0.6]]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 2)))[0].T
    low = feature_learning(x, y, tests, steps=3, learning_rate=0.5)
    high = feature_learning(x @ turn, y, tests @ turn, steps=3, learning_rate=0.5)
    gap = np.abs(low.test.value - high.test.value)
    assert np.all(gap < 5 * np.hypot(low.test.error, high.test.error) + 1e-9)


def test_repeated_inputs_are_one():
    run = feature_learning([[1], [1]], [1, 0], [[1], [1]], phi="linear", learning_rate=F(1, 2), exact=True)
    assert run.test.value[:, 0].tolist() == run.test.value[:, 1].tolist()
    assert run.test.value.tolist() == linear_recursion([[F(1)], [F(1)]], [F(1), F(0)], [[F(1)]] * 2, F(1, 2), 2, 1)


@pytest.mark.parametrize("entries", ["rademacher", "uniform"])
def test_kernels_do_not_ask_for_the_law_of_entries(entries):
    """Both kernels of two inputs; the threshold is that of the largest of all scores, false-alarm rate 6e-5."""
    net = rmtp.networks.mlp(rmtp.Dim("n"), 2, np.tanh)
    assert rmtp.networks.verify_kernels(
        net, np.array(X[:2]), widths=(64, 128, 256), trials=60, entries=entries
    ).passed()
