"""Kernels of networks as recursions in the depth: the published ones, and the numbers of `nngp` and `ntk`."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

import rmtp
from rmtp.errors import BadParameter

N = rmtp.Dim("n")
SIGMA, BETA = rmtp.symbol("sigma"), rmtp.symbol("beta")
sigma, beta = sympy.Symbol("sigma", positive=True), sympy.Symbol("beta", positive=True)
E, Cov = sympy.Function("E"), sympy.Function("Cov")
X = np.array([[1.0, 0.5, 0.25], [-0.5, 1.0, 0.75]])
INPUTS = dict(zip(("x11", "x12", "x22"), (X @ X.T / 3)[np.triu_indices(2)], strict=True))


def mlp(phi, std=SIGMA, bias=BETA):
    return lambda depth: rmtp.networks.mlp(N, depth, phi, std, bias)


def named(rules):
    return {s.name: s for e in rules.values() for s in e.free_symbols}


def test_the_recursion_of_lee_and_of_jacot():
    """K_{t+1} = E phi phi', Theta_{t+1} = K_{t+1} + (sigma^2 Theta_t + beta^2) E phi' phi': the biases are trained too."""
    found = rmtp.derive_kernel(mlp(np.sin))
    assert found.closed
    assert (found.first, found.memory) == (0, 0)
    rules = found.sympy()
    s = named(rules)
    G, H, q = s["G_t"], s["H_t"], s["q_t"]
    assert sympy.expand(rules[f"Cov({G}, {G})"].rhs - sigma**2 * s["K11_t"] - beta**2) == 0
    assert sympy.expand(rules[f"Cov({G}, {H})"].rhs - sigma**2 * s["K12_t"] - beta**2) == 0
    assert rules["K12_{t+1}"].rhs == E(sympy.sin(G) * sympy.sin(H))
    assert rules["q_t"].rhs == E(sympy.cos(G) * sympy.cos(H))
    expected = s["K12_{t+1}"] + q * (sigma**2 * s["ntk_t"] + beta**2)
    assert sympy.expand(rules["ntk_{t+1}"].rhs - expected) == 0


def test_relu_keeps_its_variance_in_closed_form():
    """He et al. 2015: half of what goes in."""
    rules = rmtp.derive_kernel(mlp(rmtp.relu)).sympy()
    s = named(rules)
    for name in ("K11", "K22"):
        expected = (sigma**2 * s[f"{name}_t"] + beta**2) / 2
        assert sympy.expand(rules[f"{name}_{{t+1}}"].rhs - expected) == 0


@pytest.mark.parametrize(("name", "phi"), [("sin", np.sin), ("relu", rmtp.relu), ("tanh", np.tanh)])
def test_the_equations_give_nngp_and_ntk_at_any_depth(name, phi):
    found = rmtp.derive_kernel(mlp(phi))
    assert found.closed
    depth = 6
    got = found.numbers(depth, sigma=1.3, beta=0.4, **INPUTS)
    for k in (1, 2, depth):
        net = mlp(phi, 1.3, 0.4)(k)
        assert got["K12"][k] == pytest.approx(rmtp.nngp(net, X)[0, 1], rel=1e-7)
        assert got["K22"][k] == pytest.approx(rmtp.nngp(net, X)[1, 1], rel=1e-7)
        assert got["ntk"][k] == pytest.approx(rmtp.ntk(net, X)[0, 1], rel=1e-7)


def test_without_the_tangent_kernel():
    found = rmtp.derive_kernel(mlp(np.sin), tangent=False, depth=3)
    assert found.closed
    assert not any("ntk" in key or "q_t" in key for key in found.sympy())


def test_shared_weights_are_a_double_sum_over_their_uses():
    """One matrix in every layer but the first: the numbers of `ntk`, which sums over pairs of uses too."""
    W = rmtp.Gaussian(N, N, std=SIGMA)

    def net(depth):
        def run(x):
            h = rmtp.networks.dense(x, N, SIGMA)
            for _ in range(depth - 1):
                h = W @ np.sin(h)
            return rmtp.readout(np.sin(h))

        return run

    found = rmtp.derive_kernel(net, depth=3)
    for k in (1, 2):
        values = found.numbers(k, sigma=1.2, **INPUTS)
        W = rmtp.Gaussian(N, N, std=1.2)
        one = rmtp.Gaussian(N, N, std=1.2)

        def plain(x, depth=k, first=one, shared=W):
            h = rmtp.networks.dense(x, N, 1.2)
            for _ in range(depth - 1):
                h = shared @ np.sin(h)
            return rmtp.readout(np.sin(h))

        assert values["ntk"][k] == pytest.approx(rmtp.ntk(plain, X)[0, 1], rel=1e-6)


def test_bad_questions():
    for depth in (2, True, 1.5):
        with pytest.raises(BadParameter):
            rmtp.derive_kernel(mlp(np.sin), depth=depth)
    with pytest.raises(BadParameter):
        rmtp.derive_kernel(lambda k: lambda x: x)
