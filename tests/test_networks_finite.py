"""Networks of finite width: gradients against finite differences, kernels against their limits.

Seeds are fixed. Checks of limits pass with probability 1 - 1e-3 each, were the seeds drawn anew (`KernelVerification.passed`).
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import rmtp
from rmtp.errors import AxisError, BadParameter, DivergentExpectation, UnsupportedOperation
from rmtp.networks import KernelVerification, evaluate, finite, init, layers, tangents, verify_kernels
from rmtp.networks.network import trace

N = rmtp.Dim("n")
WIDE = rmtp.Dim("wide", Fraction(3, 2))
NARROW = rmtp.Dim("narrow", Fraction(1, 2))
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((5, 3))
SEQUENCES = RNG.standard_normal((4, 3, 2))
IMAGES = RNG.standard_normal((3, 4, 4, 2))


def mlp(x):
    h = np.tanh(layers.dense(x, N, 1.5, 0.3, name="U"))
    return rmtp.readout(np.tanh(layers.dense(h, N, 1.2, 0.2, name="W")), 1.1, 0.4)


def rectangular(x):
    h = np.tanh(layers.dense(x, WIDE, 1.3, 0.2))
    h = np.tanh(layers.dense(h, NARROW, 1.1, 0.5))
    return rmtp.readout(h, 0.9)


def rnn(x):
    """Weights shared over time: U and W are used at every step."""
    U, W, b = layers.input_weights(N, 2, name="U"), rmtp.Gaussian(N, N, 1.2, name="W"), rmtp.Normal(N, name="b")
    h = np.tanh(U @ x[0] + b)
    for t in (1, 2):
        h = np.tanh(W @ h + U @ x[t] + b)
    return rmtp.readout(h, bias_std=0.3)


def cnn(x):
    h = np.tanh(layers.conv(x, N, 3, 1.4, 0.2))
    h = np.tanh(layers.conv(h, N, (2, 3), 1.2, padding="CIRCULAR"))
    return rmtp.readout(layers.pool(h, 2))


def flattened(x):
    return rmtp.readout(np.tanh(layers.conv(x, N, 3, stride=2, padding="VALID")))


def strided(x):
    return rmtp.readout(layers.global_pool(np.tanh(layers.conv(x, NARROW, 2, 1.5, 0.3, dilation=2))))


def residual(x):
    h = layers.dense(x, N, 1.3)
    return rmtp.readout(h + layers.dense(np.tanh(h), N, 0.8) / 2)


def layernorm(x):
    h = layers.dense(x, N, 1.3, 0.2)
    centred = h - np.mean(h)
    y = centred / np.sqrt(np.mean(centred**2) + 0.1)
    return rmtp.readout(np.tanh(layers.dense(y, N, 1.4)) + np.var(h) * y)


def autoencoder(x):
    """W and W.T forward."""
    W = rmtp.Gaussian(NARROW, N, 1.3, name="W")
    h = np.tanh(layers.dense(x, N))
    return rmtp.readout(np.tanh(W.T @ np.tanh(W @ h) + h))


def meanpool(x):
    h = np.tanh(layers.dense(x, N, 1.5, 0.3))
    return np.mean(np.tanh(layers.dense(h, WIDE, 1.2, 0.6)))


def tied_meanpool(x):
    W = rmtp.Gaussian(N, N, name="W")
    h = rmtp.elementwise(lambda t: t**2 / 2 + t, derivative=lambda t: t + 1)(layers.dense(x, N))
    return np.mean((W.T @ (W @ h)) ** 2)


def correlated(x):
    """Jointly Gaussian readout weights, and a bias that is one of them scaled."""
    v, w = rmtp.Normal(N, cov=[[2, 1], [1, 1]], name=("v", "w"))
    h = layers.dense(x, N)
    return rmtp.Output(np.mean(v * np.tanh(h) + w * np.tanh(2 * h)), 1)


def attention(x):
    """Queries, keys and values of width n; scores are averages over the width."""
    Q, K, V = (layers.dense(x, N, 1.2) for _ in range(3))
    scores = np.stack([np.stack([np.mean(Q[:, s] * K[:, t]) for t in range(3)]) for s in range(3)])
    weights = np.exp(scores) / np.sum(np.exp(scores), axis=1)[:, None]
    mixed = np.stack([np.sum(V * weights[s], axis=1) for s in range(3)], axis=1)
    return rmtp.readout(np.tanh(mixed))


def gated(x):
    """Input weights that are multiplied with x and looked at as vectors too."""
    U = layers.input_weights(N, 3, 1.2, name="U")
    return rmtp.readout(np.tanh(U @ x + U[:, 1] * np.sum(x**2)))


ZOO = [
    (mlp, VECTORS), (rectangular, VECTORS), (rnn, SEQUENCES), (cnn, IMAGES), (flattened, IMAGES), (strided, IMAGES),
    (residual, VECTORS), (layernorm, VECTORS), (autoencoder, VECTORS), (meanpool, VECTORS), (tied_meanpool, VECTORS),
    (correlated, VECTORS), (attention, SEQUENCES), (gated, VECTORS),
]  # fmt: skip
zoo = pytest.mark.parametrize("net, X", ZOO, ids=lambda a: getattr(a, "__name__", ""))


def made(net, X, width=12, **options):
    return init(net, width, 1, X.shape[1:], **options)


# ---------------------------------------------------------------------------------------------
# outputs and gradients


def test_forward_is_numpy():
    network = made(mlp, VECTORS)
    p = network.parameters
    h = np.tanh(p["U"] @ VECTORS.T + p["b_U"][:, None])
    h = np.tanh(p["W"] @ h + p["b_W"][:, None])
    np.testing.assert_allclose(network.forward(VECTORS), p["v"] @ h / 12**0.5 + p["output bias"], rtol=1e-12)


def test_forward_of_an_rnn_is_numpy():
    network = made(rnn, SEQUENCES)
    p = network.parameters
    h = np.tanh(p["U"] @ SEQUENCES[:, 0].T + p["b"][:, None])
    for t in (1, 2):
        h = np.tanh(p["W"] @ h + p["U"] @ SEQUENCES[:, t].T + p["b"][:, None])
    np.testing.assert_allclose(network.forward(SEQUENCES), p["v"] @ h / 12**0.5 + p["output bias"], rtol=1e-12)


@zoo
def test_a_batch_is_its_inputs_one_by_one(net, X):
    network = made(net, X)
    alone = [network.forward(x[None])[0] for x in X]
    np.testing.assert_allclose(network.forward(X), alone, rtol=1e-11, atol=1e-13)
    kernel = network.ntk(X)
    np.testing.assert_allclose(network.ntk(X[:1], X[1:2])[0, 0], kernel[0, 1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("parametrization", ["ntk", "yang"])
@zoo
def test_gradients_are_those_of_forward(net, X, parametrization):
    """Central differences of fourth order along a random direction in every parameter."""
    network, rng = made(net, X), np.random.default_rng(2)
    gradients = network.gradients(X, parametrization=parametrization)
    assert set(gradients) == set(network.parameters)
    for name, gradient in gradients.items():
        assert gradient.shape == (len(X), *network.parameters[name].shape)
        direction = rng.standard_normal(network.parameters[name].shape)

        def moved(step, name=name, direction=direction):
            return network.updated({name: step * direction}, parametrization=parametrization).forward(X)

        step = 1e-3
        slope = (8 * (moved(step) - moved(-step)) - moved(2 * step) + moved(-2 * step)) / (12 * step)
        exact = np.sum(gradient * direction, axis=tuple(range(1, gradient.ndim)))
        np.testing.assert_allclose(exact, slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max() + 1e-12, err_msg=name)


@pytest.mark.parametrize("parametrization", ["ntk", "yang"])
@zoo
def test_the_tangent_kernel_is_the_product_of_gradients(net, X, parametrization):
    network = made(net, X)
    gradients = network.gradients(X, parametrization=parametrization)
    flat = np.hstack([g.reshape(len(X), -1) for g in gradients.values()])
    factor = 1 if network.architecture.random_readout else network.width
    kernel = network.ntk(X, parametrization=parametrization)
    np.testing.assert_allclose(kernel, factor * flat @ flat.T, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(kernel, network.ntk(X, X.copy(), parametrization=parametrization), rtol=1e-11)


@zoo
def test_weighted_gradients_are_sums(net, X):
    network = made(net, X)
    weights = np.linspace(-1, 2, len(X))
    each = network.gradients(X)
    for name, total in network.gradients(X, weights).items():
        np.testing.assert_allclose(total, np.tensordot(weights, each[name], 1), rtol=1e-10, atol=1e-13)


@zoo
def test_chunks_change_nothing(net, X, monkeypatch):
    network = made(net, X)
    whole = network.forward(X), network.ntk(X), network.ntk(X[:2], X), network.gradients(X)
    per_input = evaluate.bytes_per_input(network.architecture.backward, network.width)
    for module in (finite, tangents):
        monkeypatch.setattr(module, "MEMORY", 2 * per_input)
    np.testing.assert_allclose(network.forward(X), whole[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(network.ntk(X), whole[1], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(network.ntk(X[:2], X), whole[2], rtol=1e-11, atol=1e-13)
    for name, gradient in network.gradients(X).items():
        np.testing.assert_allclose(gradient, whole[3][name], rtol=1e-11, atol=1e-13)


@zoo
def test_inputs_in_another_order(net, X):
    network, order = made(net, X), np.random.default_rng(3).permutation(len(X))
    np.testing.assert_allclose(network.ntk(X[order]), network.ntk(X)[np.ix_(order, order)], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(network.forward(X[order]), network.forward(X)[order], rtol=1e-11, atol=1e-13)


def test_parametrizations_differ_by_the_gain_of_each_layer():
    network = made(mlp, VECTORS)
    ntk, yang = (network.gradients(VECTORS, parametrization=p) for p in ("ntk", "yang"))
    gains = {"U": 1.5, "W": 1.2, "v": 1.1, "b_U": 0.3, "b_W": 0.2, "output bias": 0.4}
    for name, gain in gains.items():
        np.testing.assert_allclose(ntk[name], gain * yang[name], rtol=1e-12)
    conv = made(cnn, IMAGES)
    ntk, yang = (conv.gradients(IMAGES, parametrization=p) for p in ("ntk", "yang"))
    np.testing.assert_allclose(ntk["U1"], 1.4 * yang["U1"], rtol=1e-12)  # not 1.4 / taps
    np.testing.assert_allclose(ntk["W1"], 1.2 * yang["W1"], rtol=1e-12)


def test_gradient_descent_lowers_the_loss():
    network, y = made(mlp, VECTORS, 64), np.linspace(-1, 1, 5)
    losses = []
    for _ in range(30):
        error = network.forward(VECTORS) - y
        losses.append(float(error @ error) / 2)
        step = network.gradients(VECTORS, -0.05 * error)
        network = network.updated(step)
    assert losses[-1] < 0.2 * losses[0] and all(b < a for a, b in itertools.pairwise(losses))


# ---------------------------------------------------------------------------------------------
# draws


def test_draws_have_streams_of_their_own():
    a, b = made(mlp, VECTORS), made(mlp, VECTORS)
    assert np.array_equal(a.forward(VECTORS), b.forward(VECTORS))
    other = made(mlp, VECTORS, entries="rademacher")
    assert set(np.unique(np.abs(other.parameters["W"]))) == {1.2 / 12**0.5}
    for name in ("v", "U", "b_W", "output bias"):
        assert np.array_equal(a.parameters[name], other.parameters[name])
    assert not np.array_equal(a.forward(VECTORS), init(mlp, 12, 2, (3,)).forward(VECTORS))


def test_moments_of_parameters():
    """Five standard errors: one in 10^6."""
    p = init(rectangular, 200, 0, (3,)).parameters
    for name, variance in {"W1": 1.21 / 300, "U1": 1.69 / 3, "v": 0.81, "b1": 0.04, "b2": 0.25}.items():
        x = p[name].ravel()
        assert abs(x.mean()) < 5 * (variance / x.size) ** 0.5
        assert abs(x.var() / variance - 1) < 5 * (2 / x.size) ** 0.5


def test_parameters_are_immutable_and_named_once():
    network = made(cnn, IMAGES)
    with pytest.raises(ValueError, match="read-only"):
        network.parameters["v"][0] = 1
    with pytest.raises(TypeError):
        network.parameters["v"] = np.zeros(12)
    assert sum(name.startswith("U") for name in network.parameters) == 9
    assert sum(name.startswith("W") for name in network.parameters) == 6

    def twice(x):
        h = layers.dense(np.tanh(layers.dense(x, N, name="A")), N, name="A")
        return rmtp.readout(h)

    assert set(init(twice, 4, 0, (2,)).parameters) == {"v", "A", "A_2"}


def test_iid_vectors_are_data():
    coin = rmtp.IID(N, rmtp.Discrete([-1, 1]), name="signs")
    net = lambda x: rmtp.readout(layers.dense(x, N, name="U"), weights=coin)  # noqa: E731
    network = init(net, 6, 0, (2,))
    assert set(network.parameters) == set(network.gradients(np.eye(2))) == {"U"}


def test_layers_without_gradient():
    """A step has derivative 0 almost everywhere: what is beneath it is not moved."""
    net = lambda x: rmtp.readout(np.sign(layers.dense(x, N, name="U")))  # noqa: E731
    network = init(net, 20, 0, (2,))
    assert not np.any(network.gradients(np.eye(2))["U"])
    np.testing.assert_allclose(network.ntk(np.eye(2)), network.conjugate_kernel(np.eye(2)))


# ---------------------------------------------------------------------------------------------
# conjugate kernels


@pytest.mark.parametrize("net, X", [(mlp, VECTORS), (flattened, IMAGES), (correlated, VECTORS), (rectangular, VECTORS)])
def test_conjugate_kernels_are_the_covariance_over_readouts(net, X):
    """Products of outputs over 4000 draws of the readout alone; five standard errors."""
    network = made(net, X)
    name = next(k for k in network.parameters if k.startswith("v"))
    K = network.conjugate_kernel(X)
    rng = np.random.default_rng(5)
    basis = network.gradients(X)[name].reshape(len(X), -1)
    outputs = rng.standard_normal((4000, basis.shape[1])) @ basis.T
    if "output bias" in network.parameters:
        outputs += float(network.architecture.bias_variance) ** 0.5 * rng.standard_normal((4000, 1))
    products = outputs[:, :, None] * outputs[:, None, :]
    z = (products.mean(0) - K) / (products.std(0) / 4000**0.5)
    assert np.abs(z).max() < 5


def test_a_linear_network_has_one_readout():
    """y = v * (U x + b): b is linear too, but v alone is what the output is linear in without rest."""
    net = lambda x: rmtp.readout(layers.dense(x, N, 1, 0.5, name="U"))  # noqa: E731
    network, X = init(net, 10, 0, (2,)), np.eye(2)
    h = network.parameters["U"] @ X.T + network.parameters["b_U"][:, None]
    np.testing.assert_allclose(network.conjugate_kernel(X), h.T @ h / 10)


def test_no_conjugate_kernel_without_readout_weights():
    with pytest.raises(UnsupportedOperation, match="linear"):
        made(meanpool, VECTORS).conjugate_kernel(VECTORS)

    def shared(x):
        v = rmtp.Normal(N, name="v")
        return rmtp.readout(np.tanh(layers.dense(x, N) + v), weights=v)

    with pytest.raises(UnsupportedOperation, match="linear"):
        init(shared, 8, 0, (3,)).conjugate_kernel(VECTORS)


# ---------------------------------------------------------------------------------------------
# limits

QUICK = {"widths": (32, 64, 128), "trials": 60}


@pytest.mark.parametrize(
    "net, X",
    [
        (mlp, VECTORS[:3]),
        (rectangular, VECTORS[:3]),
        (rnn, SEQUENCES[:3]),
        (residual, VECTORS[:3]),
        (correlated, VECTORS[:2]),
    ],
    ids=lambda a: getattr(a, "__name__", ""),
)
def test_kernels_are_the_limits(net, X):
    check = verify_kernels(net, X, **QUICK)
    assert check.sampled_as == "conjugate kernels"
    assert check.passed(), str(check)
    for kernel in check.limits:
        slope, error = check.slope(kernel)
        assert abs(slope + 0.5) < 0.15 + 4 * error, kernel


@pytest.mark.parametrize(
    "net, X", [(cnn, IMAGES[:2, :3, :3]), (flattened, IMAGES[:2])], ids=lambda a: getattr(a, "__name__", "")
)
def test_kernels_of_convolutions(net, X):
    check = verify_kernels(net, X, widths=(24, 48), trials=40)
    assert check.passed(), str(check)


@pytest.mark.parametrize("net", [mlp, rectangular])
def test_the_other_parametrization(net):
    check = verify_kernels(net, VECTORS[:2], VECTORS[2:], **QUICK, parametrization="yang", kernels="ntk")
    assert check.passed(), str(check)
    other = rmtp.ntk(net, VECTORS[:2], VECTORS[2:])
    assert not verify_kernels(
        net, VECTORS[:2], VECTORS[2:], **QUICK, parametrization="yang", kernels="ntk", claims={"ntk": other}
    ).passed()


@pytest.mark.parametrize("entries", ["rademacher", "uniform"])
def test_entries_of_other_laws_have_the_same_limit(entries):
    check = verify_kernels(mlp, VECTORS[:2], **QUICK, entries=entries)
    assert check.passed(), str(check)


def test_single_uses_are_not_enough():
    """Trap 15: an output that looks at all times has gradients that correlate between times, so pairs of uses count."""

    def recurrent(x, U, W):
        states = [np.tanh(U[0] @ x[0])]
        for t in (1, 2):
            states.append(np.tanh(W[t] @ states[-1] + U[t] @ x[t]))
        return rmtp.readout(sum(states[1:], states[0]))

    def tied(x):
        return recurrent(x, [layers.input_weights(N, 2)] * 3, [rmtp.Gaussian(N, N, 1.2)] * 3)

    def untied(x):
        return recurrent(
            x, [layers.input_weights(N, 2) for _ in range(3)], [rmtp.Gaussian(N, N, 1.2) for _ in range(3)]
        )

    X = SEQUENCES[:2]
    assert verify_kernels(tied, X, **QUICK).passed()
    wrong = {"ntk": rmtp.ntk(untied, X)}
    assert not verify_kernels(tied, X, **QUICK, kernels="ntk", claims=wrong).passed()


@pytest.mark.slow
@pytest.mark.parametrize(
    "net, X", [(mlp, VECTORS), (rnn, SEQUENCES), (cnn, IMAGES)], ids=lambda a: getattr(a, "__name__", "")
)
def test_deviations_fall_like_the_root_of_the_width(net, X):
    check = verify_kernels(net, X, widths=(128, 256, 512), trials=40)
    assert check.passed(), str(check)
    for kernel in check.limits:
        slope, error = check.slope(kernel)
        assert abs(slope + 0.5) < 0.05 + 4 * error


@pytest.mark.parametrize("net", [layernorm, autoencoder, meanpool, tied_meanpool], ids=lambda net: net.__name__)
def test_kernels_with_averages_transposes_and_mean_pools(net):
    """Where W and W.T meet, and where gradients are not independent of the weights (trap 15)."""
    check = verify_kernels(net, VECTORS[:2], widths=(64, 128, 256), trials=60)
    assert check.passed(), str(check)


def test_the_gradient_of_one_position_has_a_limit():
    """Its other positions are zero, and it is a vector like any other."""
    a, v = np.stack([rmtp.Normal(N), rmtp.Normal(N)], axis=1), rmtp.Normal(N)
    gradient = rmtp.backprop(np.mean(v * a[:, 1])).of(a)
    assert list(rmtp.limit(np.mean(gradient**2, axis=0)).value) == [0, 1]


# ---------------------------------------------------------------------------------------------
# the report


def gaussian_report(limit, true, widths=(50, 100, 200), trials=50, seed=0, bias=0.0):
    rng = np.random.default_rng(seed)
    samples = tuple(true + bias / n + rng.standard_normal((trials, *true.shape)) / n**0.5 for n in widths)
    return KernelVerification({"ntk": limit}, widths, {"ntk": samples}, False)


def test_the_rate_of_false_alarms():
    """300 right reports at 10 %: Bonferroni allows at most 30 on average; 45 is 3 sigma."""
    limit = np.arange(1.0, 5.0).reshape(2, 2)
    alarms = sum(not gaussian_report(limit, limit, trials=10, seed=s, bias=3.0).passed(0.1) for s in range(300))
    assert 10 <= alarms <= 45
    assert not gaussian_report(limit, limit + 0.2).passed()


def test_deviation_and_slope_of_known_samples():
    limit = np.eye(3)
    report = gaussian_report(limit, limit, widths=(100, 400, 1600), trials=400)
    mean, error = report.deviation("ntk")
    expected = 2.9155 / np.sqrt(3) / np.array([10, 20, 40])  # E |9 normals| = sqrt(2) Gamma(5) / Gamma(9/2)
    assert np.all(np.abs(mean - expected) < 4 * error)
    slope, slope_error = report.slope("ntk")
    assert abs(slope + 0.5) < 4 * slope_error and slope_error < 0.02
    assert np.all(report.deviation_of_mean("ntk") < mean / 5)


def test_reports_in_words_and_figures():
    check = verify_kernels(mlp, VECTORS[:2], widths=(16, 32), trials=5)
    text, table = str(check), check.to_markdown()
    assert "agrees" in text and "false alarms 0.001" in text and "ntk" in text
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 6 and {row.count("|") for row in rows} == {7}
    from rmtp import plots

    ax = check.plot(plots.figure()[1])
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_xlabel() == "width n"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["slope $-1/2$", "NNGP", "NTK"]
    ax.figure.savefig("/dev/null", format="png")


def test_one_draw_more_does_not_change_the_others():
    few, many = (verify_kernels(mlp, VECTORS[:2], widths=(16, 32), trials=k, kernels="ntk") for k in (3, 5))
    assert np.array_equal(few.samples["ntk"][1], many.samples["ntk"][1][:3])


def test_outputs_are_sampled_where_nothing_else_is_left():
    """The readout weights are used twice: products of outputs, which have the right mean all the same."""

    def net(x):
        v = rmtp.Normal(N, name="v")
        return rmtp.Output(np.mean(v * np.tanh(layers.dense(x, N)) + v**3 * layers.dense(x, N)))

    claim = {"nngp": np.zeros((2, 2))}
    check = verify_kernels(net, np.eye(2), widths=(16, 32), trials=20, kernels="nngp", claims=claim)
    assert check.sampled_as == "outputs" and "outputs" in str(check)


# ---------------------------------------------------------------------------------------------
# bad input


@pytest.mark.parametrize("width", [0, -3, 2.5, True, "8"])
def test_widths_are_positive_ints(width):
    with pytest.raises(BadParameter, match="width"):
        init(mlp, width, 0, (3,))


def test_widths_make_whole_numbers_of_coordinates():
    with pytest.raises(BadParameter, match=r"'narrow' has 3\.5 coordinates|'wide' has 10\.5 coordinates"):
        init(rectangular, 7, 0, (3,))


@pytest.mark.parametrize("shape", [(), 0, (3, -1), (2.0,), "ab", None])
def test_shapes_are_positive_ints(shape):
    with pytest.raises(BadParameter, match="shape"):
        init(mlp, 8, 0, shape)


def test_bad_inputs_are_named():
    network = made(mlp, VECTORS)
    nan = VECTORS.copy()
    nan[1, 2] = np.nan
    for call in (network.forward, network.gradients, network.ntk, network.conjugate_kernel):
        with pytest.raises(AxisError, match=r"shape \(4,\)"):
            call(np.ones((2, 4)))
        with pytest.raises(BadParameter, match=r"nan at \(1, 2\)"):
            call(nan)
        with pytest.raises(BadParameter, match="one input per row"):
            call(np.ones(3))
    with pytest.raises(BadParameter, match="parametrization"):
        network.ntk(VECTORS, parametrization="jacot")
    with pytest.raises(BadParameter, match="weights of shape"):
        network.gradients(VECTORS, [1.0])
    with pytest.raises(BadParameter, match="no parameter 'X'"):
        network.updated({"X": 0})
    with pytest.raises(BadParameter, match="shape"):
        network.updated({"v": np.zeros(3)})
    with pytest.raises(BadParameter, match="entries"):
        made(mlp, VECTORS, entries="cauchy")
    with pytest.raises(BadParameter, match="rng"):
        init(mlp, 8, 1.5, (3,))
    with pytest.raises(BadParameter, match="not a network"):
        init(3, 8, 0, (3,))


def test_sweeps_are_refused():
    with pytest.raises(BadParameter, match="swept"):
        init(lambda x: rmtp.readout(layers.dense(x, N, np.array([1.0, 2.0]))), 8, 0, (3,))
    with pytest.raises(BadParameter, match="swept"):
        init(lambda x: rmtp.readout(layers.dense(x, N), bias_std=np.array([1.0, 2.0])), 8, 0, (3,))


def test_matrices_with_dependent_entries_are_not_trained():
    net = lambda x: rmtp.readout(np.tanh(rmtp.Haar(N, N, name="Q") @ layers.dense(x, N)))  # noqa: E731
    network = init(net, 8, 0, (3,))
    assert network.forward(VECTORS).shape == (5,)
    with pytest.raises(UnsupportedOperation, match=r"Haar matrix Q"):
        network.ntk(VECTORS)


def test_bad_checks_are_named():
    for options, text in [
        ({"widths": (8, 8)}, "repeats"), ({"widths": ()}, "widths"), ({"trials": 1}, "trials"),
        ({"kernels": "ckn"}, "kernels"), ({"kernels": ()}, "kernels"), ({"parametrization": "jacot"}, "parametrization"),
        ({"claims": {"nngp": np.eye(3)}}, "claim for nngp"),
    ]:  # fmt: skip
        with pytest.raises(BadParameter, match=text):
            verify_kernels(mlp, VECTORS[:2], **{"widths": (8, 16), "trials": 2, **options})
    with pytest.raises(BadParameter, match="false_alarm"):
        gaussian_report(np.eye(2), np.eye(2)).passed(0)
    with pytest.raises(AxisError):
        verify_kernels(mlp, VECTORS, np.ones((2, 4)), widths=(8, 16), trials=2, claims={})


def test_kernels_that_are_not_finite():
    net = lambda x: rmtp.readout(np.log(layers.dense(x, N)))  # noqa: E731
    with pytest.raises(DivergentExpectation, match="nngp kernel is not finite"), np.errstate(all="ignore"):
        verify_kernels(net, np.eye(2), widths=(8, 16), trials=2, kernels="nngp", claims={"nngp": np.eye(2)})


def test_the_trace_says_which_kind_of_output():
    assert made(mlp, VECTORS).architecture.random_readout and not made(meanpool, VECTORS).architecture.random_readout
    assert trace(meanpool, (3,)).bias_variance == 0
