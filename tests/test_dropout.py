"""Dropout: masks that are new for every input, against the recursion by hand, the theorem pair by pair and finite networks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import rmtp
from rmtp import networks as nets
from rmtp.kernels.entrywise import entrywise
from rmtp.networks.network import trace

n = rmtp.Dim("n")
X = np.random.default_rng(0).standard_normal((3, 4))
S = np.random.default_rng(1).standard_normal((2, 3, 2))


def mlp(rates, w=1.5, b=0.3):
    def net(x):
        for rate in rates:
            x = nets.dropout(rmtp.relu(nets.dense(x, n, w, b)), rate)
        return rmtp.readout(x)

    return net


def before(x):
    """Masks inside the nonlinearity, where they are not products on the outside."""
    return rmtp.readout(rmtp.relu(nets.dropout(nets.dense(x, n, 1.5, 0.3), 0.25)))


def convolution(x):
    h = nets.dropout(rmtp.relu(nets.conv(x, n, 3)), 0.25)
    return rmtp.readout(nets.global_pool(nets.dropout(rmtp.relu(nets.conv(h, n, 3)), 0.5)))


def by_hand(rates, X, w=1.5, b=0.3):
    """Cho and Saul layer by layer; a mask divides each diagonal by the share that is kept, in both kernels."""
    K = w**2 * X @ X.T / X.shape[1] + b**2
    theta = K
    for k, rate in enumerate(rates):
        size = np.sqrt(np.outer(np.diag(K), np.diag(K)))
        t = np.arccos(np.clip(K / size, -1, 1))
        value, slope = size * (np.sin(t) + (np.pi - t) * np.cos(t)) / (2 * np.pi), (np.pi - t) / (2 * np.pi)
        index = np.diag_indices(len(X))
        value[index], slope[index] = np.diag(K) / 2 / (1 - rate), 0.5 / (1 - rate)
        if k == len(rates) - 1:
            return value, value + slope * theta
        K = w**2 * value + b**2
        theta = K + w**2 * slope * theta
    raise AssertionError


@pytest.mark.parametrize("rates", [(0.5,), (0.25, 0.5), (0.1, 0.0, 0.9)])
def test_the_recursion_by_hand(rates):
    K, T = rmtp.nngp_ntk(mlp(rates), X)
    assert K.method == "closed form"
    for found, expected in zip((K, T), by_hand(rates, X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(rmtp.ntk(mlp(rates), X, diagonal=True), np.diag(T), rtol=1e-14)


def test_equal_inputs_in_two_places_have_two_masks():
    twice = np.concatenate([X, X[:1]])
    K = rmtp.nngp(mlp((0.25, 0.5)), twice)
    assert K[3, 3] == K[0, 0] and K[0, 3] < 0.5 * K[0, 0]
    rows = rmtp.nngp(mlp((0.25, 0.5)), X, X)
    assert rows[0, 0] == pytest.approx(K[0, 3], rel=1e-14)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(rows[off], K[:3, :3][off], rtol=1e-14)


@pytest.mark.parametrize("net", [mlp((0.25, 0.5)), convolution])
def test_arrays_agree_with_the_theorem_pair_by_pair(net):
    x = X[:2] if net is not convolution else S
    k = rmtp.kernel_function(net, x.shape[1:])
    found, pairs = k(x), entrywise(trace(net, x.shape[1:]), x, None, ("nngp", "ntk"), "ntk", False, k.report.readout)
    for name in ("nngp", "ntk"):
        np.testing.assert_allclose(pairs[name].value, found[name], rtol=1e-11)


@pytest.mark.parametrize(("net", "x"), [(mlp((0.25, 0.5)), X[:2]), (before, X[:2]), (convolution, S)])
def test_finite_networks(net, x):
    """z-scores of the extrapolated mean of 40 draws, threshold for one false alarm in a thousand cases; three cases."""
    assert nets.verify_kernels(net, x, widths=(64, 128, 256), trials=40, rng=2).passed()


def test_a_finite_network_meets_input_k_with_mask_k():
    drawn = nets.init(mlp((0.5,)), 32, 0, (4,))
    same = np.repeat(X[:1], 3, axis=0)
    out = drawn.forward(same)
    assert len(set(out)) == 3
    np.testing.assert_array_equal(out, drawn.forward(same))
    np.testing.assert_array_equal(out[:2], drawn.forward(same[:2]))
    flat = np.hstack([g.reshape(3, -1) for g in drawn.gradients(same).values()])
    np.testing.assert_allclose(flat @ flat.T, drawn.ntk(same), rtol=1e-12)
    assert drawn.ntk(same[:1], same[:1])[0, 0] == pytest.approx(drawn.ntk(same)[0, 1], rel=1e-12)
    assert not np.array_equal(out, nets.init(mlp((0.5,)), 32, 1, (4,)).forward(same))


def test_a_mask_in_a_program():
    h = rmtp.Normal(n)
    y = nets.dropout(h, Fraction(1, 4))
    assert rmtp.limit([np.mean(y**2), np.mean(y * h), np.mean(y**4)], exact=True)[0].value == Fraction(4, 3)
    assert rmtp.limit(np.mean(y**4), exact=True).value == 3 * Fraction(4, 3) ** 3
    assert "anew for every input" in str(rmtp.program(y))
    pair = nets.dropout(np.stack([h, h], axis=1), Fraction(1, 2))
    second = rmtp.limit(np.mean(pair[:, :, None] * pair[:, None, :], axis=0), exact=True).value
    assert second.tolist() == [[2, 1], [1, 2]]  # masks of positions are independent
    assert rmtp.verify(np.mean(nets.dropout(h, 0.25) ** 2), widths=(200, 400), trials=20).passed()


def test_no_dropout_is_nothing():
    h = rmtp.Normal(n)
    assert nets.dropout(h, 0) is h


@pytest.mark.parametrize("rate", [1, -0.1, 1.5, np.nan, [0.5], True, "half"])
def test_bad_rates(rate):
    with pytest.raises(rmtp.errors.BadParameter, match="rate"):
        nets.dropout(rmtp.Normal(n), rate)


def test_dropout_of_an_input_is_refused():
    with pytest.raises(rmtp.errors.UnsupportedOperation, match="layer"):
        rmtp.nngp(lambda x: rmtp.readout(nets.dense(nets.dropout(x, 0.5), n)), X)
