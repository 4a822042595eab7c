"""Layers and architectures: arrays against the master theorem pair by pair, sharing, invariances, random compositions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit

import rmtp
from rmtp import networks as nets
from rmtp.errors import AxisError, BadParameter, UnsupportedOperation
from rmtp.kernels.entrywise import entrywise
from rmtp.kernels.gia import check
from rmtp.kernels.tangent import kernel_plan
from rmtp.networks.network import trace

n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
rng = np.random.default_rng(11)
X, X2 = rng.standard_normal((3, 2)), rng.standard_normal((2, 2))
S, S2 = rng.standard_normal((2, 3, 2)), rng.standard_normal((1, 3, 2))
I1 = rng.standard_normal((2, 3, 2, 2))
A = rng.random((3, 3)).round(2)
CAUSAL = np.tril(np.ones((3, 3), dtype=int))
relu, dense, readout = rmtp.relu, nets.dense, rmtp.readout
BOTH = ("nngp", "ntk")


def by_arrays_and_by_pairs(net, x, x2=None, parametrization="ntk"):
    """The largest deviation of both kernels; fails if the arrays cannot do it."""
    traced = trace(net, x.shape[1:])
    kernel_plan(traced, BOTH, parametrization)
    assert check(traced, traced.gradient.uses).bp_like
    on_arrays = rmtp.nngp_ntk(net, x, x2, parametrization=parametrization)
    pairs = entrywise(traced, x, x2, BOTH, parametrization)
    bias = float(traced.bias_variance)
    extra = (bias, bias if parametrization == "ntk" else float(bias > 0))
    return max(
        np.max(np.abs(np.asarray(k) - b - np.asarray(pairs[name].value, dtype=float)))
        for k, b, name in zip(on_arrays, extra, BOTH, strict=True)
    )


# ---------------------------------------------------------------------------------------------
# every layer


def gate(x):
    h = dense(x, n, 1.3, 0.2)
    return readout(relu(h) * erf(dense(h, n)))


def bare_attention(x):
    h = relu(dense(x, n))
    return readout(erf(dense(h @ nets.softmax(nets.scores(h)).T, n)))


def own_gate(x):
    h = dense(x, n, 1.3, 0.2)
    return readout(relu(h) * erf(h))


LAYERS = {
    "dense, two widths": (lambda x: readout(relu(dense(relu(dense(x, m, 1.3, 0.2)), n, 1.2, 0.1)), 1.1, 0.3), X),
    "conv": (lambda x: readout(relu(nets.conv(erf(nets.conv(x, n, 3, 1.2, 0.1)), n, 2, padding="CIRCULAR"))), S),
    "conv 2d": (lambda x: readout(nets.global_pool(relu(nets.conv(x, n, (2, 2), 1.2, 0.1, stride=(2, 1))))), I1),
    "conv dilated": (lambda x: readout(nets.global_pool(relu(nets.conv(x, n, 2, dilation=2)))), S),
    "pool": (lambda x: readout(erf(nets.conv(nets.pool(relu(dense(x, n)), 2, 1), n, 2))), S),
    "rnn": (lambda x: readout(nets.rnn(x, n, relu, 1.2, 0.9, 0.3)[:, -1], 1, 0.2), S),
    "rnn flattened": (lambda x: readout(nets.rnn(x, m, erf, 1.2)), S),
    "rnn deep, reversed": (lambda x: readout(nets.rnn(nets.rnn(x, m, erf), n, relu, reverse=True)[:, 0]), S),
    "bidirectional": (lambda x: readout(nets.global_pool(nets.bidirectional(nets.rnn)(x, n, relu))), S),
    "layer_norm": (lambda x: readout(relu(nets.layer_norm(dense(relu(dense(x, n)), n), 1e-2))), X),
    "layer_norm after relu": (lambda x: readout(dense(nets.layer_norm(relu(dense(x, n))), n)), X),
    "layer_norm at the end": (lambda x: readout(nets.layer_norm(relu(dense(x, n)), 1e-2)), X),
    "rms_norm": (lambda x: readout(nets.global_pool(nets.rms_norm(relu(dense(x, n)), 1e-2))), S),
    "attention": (lambda x: readout(relu(nets.self_attention(erf(dense(x, n)), n, bias_std=0.3, heads=2))), S),
    "attention, masked": (lambda x: readout(nets.self_attention(dense(x, n), n, mask=CAUSAL)[:, -1]), S),
    "attention, linear": (
        lambda x: readout(nets.self_attention(relu(dense(x, n)), m, attention=nets.linear_scores, mask=CAUSAL)),
        S,
    ),
    "attention, many heads": (lambda x: readout(nets.many_headed_attention(relu(dense(x, n)), n, mask=CAUSAL)), S),
    "attention twice": (lambda x: readout(nets.self_attention(nets.self_attention(dense(x, n), n), n)), S),
    "attention without values": (bare_attention, S),
    "gelu with biases": (lambda x: readout(rmtp.gelu(dense(rmtp.gelu(dense(x, n, 1.3, 0.2)), n, 1.2, 0.3))), X[:2]),
    "embedding": (lambda x: readout(relu(nets.embedding(x, n, 1.3))), S),
    "positional": (lambda x: readout(relu(nets.positional(dense(x, n), 0.7))), S),
    "graph_conv": (
        lambda x: readout(nets.global_pool(relu(nets.graph_conv(relu(nets.graph_conv(x, A, n)), A, n, 1.2, 0.3)))),
        S,
    ),
    "gate": (gate, X),
    "gate of itself": (own_gate, X),
    "mlp": (nets.mlp(n, 2, erf, [1.1, 1.2], 0.1), X),
    "cnn": (nets.cnn(n, 2, padding="CIRCULAR", pooling="average", bias_std=0.2), S),
    "resnet": (nets.resnet(n, 2, bias_std=0.1, branch_std=[0.5, 0.7]), X),
    "recurrent_network": (nets.recurrent_network(n, 2, phi=erf, pooling="average"), S),
    "transformer": (nets.transformer(n, 2, 2, position_std=0.4, epsilon=1e-3), S),
}


@pytest.mark.parametrize("name", LAYERS)
def test_arrays_agree_with_the_theorem_pair_by_pair(name):
    net, x = LAYERS[name]
    assert by_arrays_and_by_pairs(net, x) < 1e-11


@pytest.mark.parametrize("name", ["dense, two widths", "rnn", "attention", "graph_conv", "embedding", "positional"])
def test_yang_parametrization_pair_by_pair(name):
    net, x = LAYERS[name]
    assert by_arrays_and_by_pairs(net, x, parametrization="yang") < 1e-11


def test_rectangular_blocks():
    assert by_arrays_and_by_pairs(LAYERS["rnn"][0], S, S2) < 1e-11
    assert by_arrays_and_by_pairs(LAYERS["mlp"][0], X, X2) < 1e-11


# ---------------------------------------------------------------------------------------------
# sharing


def mlp_of(phi):
    return lambda x: readout(phi(dense(x, n)))


def test_a_layer_called_twice_has_two_sets_of_parameters():
    def shared(x):
        W, h = rmtp.Gaussian(n, n), dense(x, n)
        return readout(W @ relu(h) + W @ erf(h))

    def unshared(x):
        h = dense(x, n)
        return readout(nets.linear(relu(h), n) + nets.linear(erf(h), n))

    # E (relu + erf)(u) (relu + erf)(u') with W shared, without the mixed terms otherwise
    a, b = np.asarray(rmtp.nngp(shared, X)), np.asarray(rmtp.nngp(unshared, X))
    mixed, alone, other = (rmtp.nngp(mlp_of(f), X) for f in (lambda h: relu(h) + erf(h), relu, erf))
    np.testing.assert_allclose(a, mixed, rtol=1e-12)
    np.testing.assert_allclose(b, alone + other, rtol=1e-12)
    assert np.max(np.abs(a - b)) > 0.05


def test_the_tangent_kernel_of_a_shared_matrix_is_a_double_sum():
    """Against gradients of one wide tied network: sum over t, u of (dh_t . dh_u) (phi_t . phi_u), all of one W."""

    def net(x):
        W, h = rmtp.Gaussian(n, n, 0.9), dense(x, n)
        for _ in range(3):
            h = h + W @ erf(h)
        return readout(h)

    size, x, wants, singles = 600, X[0], [], []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        U, v = draw.standard_normal((size, 2)), draw.standard_normal(size)
        W = 0.9 * draw.standard_normal((size, size)) / size**0.5
        h, states, g, gradients = U @ x / 2**0.5, [], v, []
        for _ in range(3):
            states.append(h)
            h = h + W @ erf(h)
        for state in states[::-1]:
            gradients.append(g)
            g = g + 2 / np.pi**0.5 * np.exp(-(state**2)) * (W.T @ g)
        f, d = np.array([erf(s) for s in states]), np.array(gradients[::-1])
        terms = 0.81 * (d @ d.T / size) * (f @ f.T / size)
        wants.append(h @ h / size + terms.sum() + (g @ g / size) * (x @ x / 2))
        singles.append(terms.sum() - np.trace(terms))
    error = np.std(wants) / 7**0.5
    got = float(rmtp.ntk(net, X[:1])[0, 0])
    assert abs(got - np.mean(wants)) < 5 * error
    assert np.mean(singles) > 10 * error  # the terms off the diagonal would be missed


def test_tied_and_untied_recurrent_networks_with_one_input_have_one_forward_law():
    """TP0 Corollary D.11: input at the first step only."""

    def untied(x):
        h = np.tanh(dense(x[0], n))
        for _ in range(2):
            h = np.tanh(dense(h, n, 1.3))
        return readout(h)

    one = np.zeros((2, 3, 2))
    one[:, 0] = rng.standard_normal((2, 2))
    tied = nets.recurrent_network(n, weight_std=1.3)
    np.testing.assert_allclose(rmtp.nngp(tied, one), rmtp.nngp(untied, one), rtol=1e-9)


# ---------------------------------------------------------------------------------------------
# invariances

INVARIANT = {
    "mlp": (nets.mlp(n, 2), (4, 3)),
    "cnn": (nets.cnn(n, 2, pooling="average"), (4, 5, 2)),
    "resnet": (nets.resnet(n, 2, erf), (4, 3)),
    "rnn": (nets.recurrent_network(n, phi=relu), (4, 3, 2)),
    "transformer": (nets.transformer(n), (4, 3, 2)),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_kernels_are_kernels(name):
    net, shape = INVARIANT[name]
    x = np.random.default_rng(5).standard_normal(shape)
    x[3] = x[0]
    order = [2, 0, 3, 1]
    for kernel, permuted, blocks in zip(
        rmtp.nngp_ntk(net, x),
        rmtp.nngp_ntk(net, x[order]),
        rmtp.nngp_ntk(net, x[:1], x),
        strict=True,
    ):
        k = np.asarray(kernel)
        np.testing.assert_allclose(k, k.T, rtol=1e-12)
        np.testing.assert_allclose(k[3], k[0], rtol=1e-12)
        assert np.linalg.eigvalsh(k).min() > -1e-10 * np.trace(k)
        np.testing.assert_allclose(np.asarray(permuted), k[np.ix_(order, order)], rtol=1e-12)
        np.testing.assert_allclose(np.asarray(blocks), k[:1], rtol=1e-12)
    one_by_one = [[float(rmtp.ntk(net, a[None], b[None])[0, 0]) for b in x[:2]] for a in x[:2]]
    np.testing.assert_allclose(rmtp.ntk(net, x[:2]), one_by_one, rtol=1e-9)


def test_positions_do_not_matter_to_circular_convolutions_with_averages():
    net = nets.cnn(n, 2, padding="CIRCULAR", pooling="average")
    x = rng.standard_normal((2, 5, 2))
    shifted = np.stack([x[0], np.roll(x[1], 2, axis=0)])
    np.testing.assert_allclose(rmtp.ntk(net, shifted), rmtp.ntk(net, x), rtol=1e-12)


def test_positions_do_not_matter_to_attention_without_a_mask():
    net = nets.transformer(n)
    x = rng.standard_normal((2, 4, 2))
    np.testing.assert_allclose(rmtp.ntk(net, x[:, [2, 0, 3, 1]]), rmtp.ntk(net, x), rtol=1e-12)
    learned = nets.transformer(n, position_std=1)
    moved = np.stack([x[0], x[1][[2, 0, 3, 1]]])
    assert np.max(np.abs(rmtp.ntk(learned, moved) - rmtp.ntk(learned, x))) > 1e-3


def test_a_causal_mask_hides_what_comes_later():
    net = lambda x: readout(nets.self_attention(relu(dense(x, n)), n, mask=CAUSAL)[:, 1])  # noqa: E731
    changed = S.copy()
    changed[:, 2] += 1
    np.testing.assert_allclose(rmtp.ntk(net, changed), rmtp.ntk(net, S), rtol=1e-13)


def test_graph_convolution_commutes_with_renaming_nodes():
    order = [2, 0, 1]

    def net(adjacency):
        return lambda x: readout(nets.global_pool(relu(nets.graph_conv(x, adjacency, n))))

    renamed = rmtp.ntk(net(A[np.ix_(order, order)]), S[:, order])
    np.testing.assert_allclose(renamed, rmtp.ntk(net(A), S), rtol=1e-12)


def test_heads_do_not_change_kernels():
    def net(heads):
        return lambda x: readout(nets.self_attention(dense(x, n), n, heads=heads))

    for one, three in zip(rmtp.nngp_ntk(net(1), S), rmtp.nngp_ntk(net(3), S), strict=True):
        np.testing.assert_allclose(three, one, rtol=1e-12)


def test_layer_norm_takes_the_scale_away():
    for w in (0.5, 3):
        net = lambda x, w=w: readout(relu(nets.layer_norm(dense(x, n, w))))  # noqa: E731
        np.testing.assert_allclose(np.diag(rmtp.nngp(net, X)), 0.5, rtol=1e-12)


# ---------------------------------------------------------------------------------------------
# sweeps, lists per layer, refusals


def transposed(w):
    def net(x):
        W = rmtp.Gaussian(n, n, w)
        return readout(W.T @ relu(W @ dense(x, n)))

    return net


SWEPT = {
    "mlp": (lambda w: nets.mlp(n, 2, weight_std=w, bias_std=0.1), X),
    "mlp, bias": (lambda w: nets.mlp(n, 2, bias_std=w), X),
    "mlp, one layer": (lambda w: nets.mlp(n, 2, weight_std=[1.0, w]), X),
    "mlp, readout": (lambda w: nets.mlp(n, 2, readout_std=w), X),
    "cnn": (lambda w: nets.cnn(n, 2, weight_std=w), S),
    "resnet": (lambda w: nets.resnet(n, 1, branch_std=w), X),
    "recurrent_network": (lambda w: nets.recurrent_network(n, phi=erf, weight_std=w), S),
    "transformer": (lambda w: nets.transformer(n, weight_std=w), S),
    "transformer, scores": (lambda w: nets.transformer(n, score_std=w), S),
    "transposed": (transposed, X),
}


@pytest.mark.parametrize("name", SWEPT)
def test_a_sweep_is_the_separate_calls(name):
    make, x = SWEPT[name]
    values = np.array([1.0, 1.5])
    for k, kernel in enumerate(rmtp.nngp_ntk(make(values), x)):
        assert kernel.shape == (2, len(x), len(x))
        for value, got in zip(values, kernel, strict=True):
            np.testing.assert_allclose(got, rmtp.nngp_ntk(make(float(value)), x)[k], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["mlp", "transposed"])
def test_the_diagonal_of_a_sweep(name):
    make, x = SWEPT[name]
    net = make(np.array([1.0, 1.5]))
    want = np.einsum("sii->si", np.asarray(rmtp.nngp(net, x)))
    np.testing.assert_allclose(rmtp.nngp(net, x, diagonal=True), want, rtol=1e-12)


def test_sweeps_broadcast_into_a_phase_diagram():
    net = nets.mlp(n, 2, np.tanh, np.array([[1.0], [1.5], [2.0]]), np.array([0.1, 0.3]))
    assert rmtp.nngp(net, X).shape == (3, 2, 3, 3)


REFUSED = [
    (lambda: nets.mlp(n, 3, weight_std=[1, 2]), BadParameter),
    (lambda: nets.mlp(n, 0), BadParameter),
    (lambda: nets.cnn(n, pooling="max"), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.rnn(x, n)), X), AxisError),
    (lambda: rmtp.nngp(lambda x: readout(nets.self_attention(dense(x, n), n, heads=0)), S), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.self_attention(dense(x, n), n, mask=np.eye(2))), S), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.self_attention(dense(x, n), n, mask=np.zeros((3, 3)))), S), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.self_attention(x, n)), S), UnsupportedOperation),
    (lambda: rmtp.nngp(lambda x: readout(nets.layer_norm(x)), X), UnsupportedOperation),
    (lambda: rmtp.nngp(lambda x: readout(nets.layer_norm(dense(x, n), -1)), X), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.graph_conv(x, np.eye(2), n)), S), BadParameter),
    (lambda: rmtp.nngp(lambda x: readout(nets.embedding(dense(x, n), n)), S), BadParameter),
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_refusals(k):
    call, error = REFUSED[k]
    with pytest.raises(error):
        call()


WIDTHS = [
    (dense, X),
    (lambda x, w: dense(dense(x, n), w), X),
    (nets.linear, X),
    (lambda x, w: nets.input_weights(w, 3) @ x, X),
    (nets.conv, S),
    (lambda x, w: nets.conv(dense(x, n), w), S),
    (nets.embedding, S),
    (lambda x, w: nets.graph_conv(x, np.eye(3), w), S),
    (lambda x, w: nets.graph_conv(dense(x, n), np.eye(3), w), S),
    (nets.rnn, S),
    (nets.gru, S),
    (lambda x, w: nets.lstm(dense(x, n), w), S),
    (nets.bidirectional(nets.rnn), S),
    (lambda x, w: nets.self_attention(dense(x, n), w), S),
    (lambda x, w: nets.many_headed_attention(dense(x, n), w), S),
]
ARCHITECTURES = [nets.mlp, nets.cnn, nets.resnet, nets.recurrent_network, nets.transformer]


@pytest.mark.parametrize("width", [64, 64.0, "n", None])
@pytest.mark.parametrize("k", range(len(WIDTHS)))
def test_a_width_that_is_none_is_refused_with_what_to_write(k, width):
    layer, x = WIDTHS[k]
    with pytest.raises(BadParameter, match=r'(?s)is not a width.*rmtp\.Dim\("n"\)'):
        rmtp.nngp(lambda z: readout(layer(z, width)), x)


@pytest.mark.parametrize("make", ARCHITECTURES)
def test_an_architecture_looks_at_its_width_at_once(make):
    with pytest.raises(BadParameter, match=r'(?s)64 is not a width.*rmtp\.Dim\("n"\)'):
        make(64)


@pytest.mark.parametrize(
    "layer",
    [nets.pool, nets.global_pool, lambda x: nets.bias(x, 1), lambda x: nets.conv([1.0], n)],
)
def test_layers_of_what_is_no_vector(layer):
    with pytest.raises((BadParameter, UnsupportedOperation), match="layer"):
        rmtp.nngp(lambda x: readout(layer(x)), S)


def test_every_name_a_module_of_networks_exports_is_its_own():
    from rmtp.networks import layers

    for name in layers.__all__:
        assert getattr(layers, name).__module__ == layers.__name__


# ---------------------------------------------------------------------------------------------
# gated cells, whose states are not Gaussian


def simulated_gru(x, y, size, seeds, std):
    """E h h' of the last states of a finite GRU, typed in NumPy."""
    out = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        W, Z, R = (std * draw.standard_normal((size, size)) / size**0.5 for _ in range(3))
        u, uz, ur = (draw.standard_normal((size, x.shape[1])) / x.shape[1] ** 0.5 for _ in range(3))
        states = []
        for sequence in (x, y):
            h = np.zeros(size)
            for row in sequence:
                z, r = expit(Z @ h + uz @ row), expit(R @ h + ur @ row)
                h = (1 - z) * h + z * np.tanh(W @ (r * h) + u @ row)
            states.append(h)
        out.append([np.mean(a * b) for a in states for b in states])
    return np.mean(out, axis=0).reshape(2, 2), np.std(out, axis=0).reshape(2, 2) / (seeds - 1) ** 0.5


def test_a_gated_network_of_two_steps():
    got = rmtp.nngp(nets.recurrent_network(n, cell=nets.gru, weight_std=1.5), S[:, :2])
    want, error = simulated_gru(S[0, :2], S[1, :2], 800, 12, 1.5)
    assert np.all(np.abs(np.asarray(got) - want) < 5 * error + 2 / 800)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [nets.gru, nets.lstm])
def test_gated_networks_of_three_steps(cell):
    net = nets.recurrent_network(n, cell=cell, weight_std=1.5)
    K, T = rmtp.nngp_ntk(net, S)
    for kernel in (K, T):
        assert np.linalg.eigvalsh(np.asarray(kernel)).min() > 0
    if cell is nets.gru:
        want, error = simulated_gru(S[0], S[1], 1500, 30, 1.5)
        assert np.all(np.abs(np.asarray(K) - want) < 5 * error + 2 / 1500)


# ---------------------------------------------------------------------------------------------
# random compositions

PHI = {"relu": relu, "erf": erf, "abs": np.abs}
STEP = st.tuples(
    st.sampled_from(["dense", "residual", "gate", "own gate", "layer_norm", "shared", "shared residual", "skip"]),
    st.sampled_from(sorted(PHI)),
    st.sampled_from(sorted(PHI)),
)


def composed(steps, pooling):
    """Steps from a Gaussian vector to a Gaussian vector, so that functions act on Gaussians."""

    def net(x):
        W = rmtp.Gaussian(n, n, 0.8)
        h = first = dense(x, n, 1.1, 0.2)
        for kind, a, b in steps:
            f, g = PHI[a], PHI[b]
            match kind:
                case "dense":
                    h = dense(f(h), n, 1.2, 0.1)
                case "residual":
                    h = h + dense(f(h), n, 0.7)
                case "gate":
                    h = dense(f(h) * g(dense(h, n)), n)
                case "own gate":
                    h = dense(f(h) * g(h), n)
                case "layer_norm":
                    h = nets.layer_norm(h, 1e-2)
                case "shared":
                    h = W @ f(h)
                case "shared residual":
                    h = h + W @ f(h)
                case "skip":
                    h = dense(f(h), n, 0.6) + dense(g(first), n, 0.6)
        h = erf(h)
        return readout(nets.global_pool(h) if pooling else h, 1.1, 0.2)

    return net


def check_composition(steps, pooling, seed):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((2, 2, 2) if pooling else (2, 2))
    assert by_arrays_and_by_pairs(composed(steps, pooling), x) < 1e-9


SETTINGS = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=25, **SETTINGS)
@given(st.lists(STEP, min_size=1, max_size=3), st.booleans(), st.integers(0, 100))
def test_random_architectures(steps, pooling, seed):
    check_composition(steps, pooling, seed)


@pytest.mark.slow
@settings(max_examples=150, **SETTINGS)
@given(st.lists(STEP, min_size=2, max_size=5), st.booleans(), st.integers(0, 1000))
def test_random_architectures_at_length(steps, pooling, seed):
    check_composition(steps, pooling, seed)
