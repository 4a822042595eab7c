"""Kernels of networks against neural-tangents, NTK4A and the recursions of the textbooks, typed again here.

The numbers in tests/data/networks_nt.json were printed by neural-tangents 0.6.5 (its version and inputs stand in the file); the
formulas below come from Tensor Programs II, Appendix E, and share no code with the library.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

import rmtp
from rmtp import networks as nets

DATA = Path(__file__).parent / "data"
n = rmtp.Dim("n")
EXACT = 1e-12
KINKED = 1e-7  # neural-tangents loses half the digits of relu' near correlation 1


def load(name):
    return json.loads((DATA / f"{name}.json").read_text())


def deviation(got, want):
    return float(np.max(np.abs(np.asarray(got) - np.asarray(want)) / np.maximum(np.abs(np.asarray(want)), 1e-3)))


# ---------------------------------------------------------------------------------------------
# neural-tangents

NT = load("networks_nt")
A = np.array(NT["adjacency"])


def D(x):
    return nets.dense(x, n, 1.3, 0.2)


def C(x, kernel, **kwargs):
    return nets.conv(x, n, kernel, 1.3, 0.2, **kwargs)


def out(h):
    return rmtp.readout(h, 1.1, 0.3)


def attention(x, bias=0, **kwargs):
    return nets.self_attention(x, n, 1.3, 0.9, bias, score_std=1.2, **kwargs)


relu, leaky = rmtp.relu, rmtp.leaky_relu(0.2)


def layers(*functions):
    def net(x):
        for f in functions:
            x = f(x)
        return out(x)

    return net


def residual_nt(x):
    h = D(x)
    for _ in range(2):
        h = h + nets.dense(relu(nets.dense(relu(h), n, 0.9, 0.1)), n, 0.8, 0.1)
    return out(relu(h))


def densenet(x):
    h = relu(D(x))
    return out(relu(nets.dense(h, n, 0.8, 0.1) + nets.dense(relu(D(h)), n, 0.9, 0.1)))


def transformer_nt(x):
    h = D(x)
    h = h + attention(nets.layer_norm(h, 1e-3))
    h = h + D(relu(D(nets.layer_norm(h, 1e-3))))
    return out(nets.global_pool(nets.layer_norm(h, 1e-3)))


def resnet2d(x):
    h = C(x, 3)
    return out(nets.pool(relu(h + C(relu(h), 3)), 2, padding="SAME"))


def norm(h):
    return nets.layer_norm(h, 1e-3)


NETS = {
    "mlp_relu": layers(D, relu, D, relu, D, relu),
    "mlp_erf": layers(D, erf, D, erf, D, erf),
    "mlp_leaky": layers(D, leaky, D, leaky),
    "mlp_abs": layers(D, np.abs, D, np.abs),
    "mlp_sin": layers(D, np.sin, D, np.sin),
    "mlp_gelu": layers(D, rmtp.gelu, D, rmtp.gelu),
    "gate": layers(lambda x: relu(D(x)) * erf(D(x)), D, relu),
    "densenet": densenet,
    "layer_norm_mlp": layers(D, norm, relu, D, norm, erf),
    "residual": residual_nt,
    "conv1d_stride": layers(lambda x: C(x, 3, stride=2), relu, lambda x: C(x, 3), relu),
    "conv1d_valid": layers(lambda x: C(x, 3, stride=2, padding="VALID"), erf, lambda x: C(x, 2, padding="VALID"), erf),
    "conv1d_circular_gap": layers(
        lambda x: C(x, 3, padding="CIRCULAR"), relu, lambda x: C(x, 4, padding="CIRCULAR"), relu, nets.global_pool
    ),
    "conv1d_pool": layers(lambda x: C(x, 3), relu, nets.pool, lambda x: C(x, 3), relu),
    "conv2d_flatten": layers(lambda x: C(x, (3, 2)), relu, lambda x: C(x, (2, 3), stride=(2, 1)), relu),
    "conv2d_valid_gap": layers(lambda x: C(x, 3, padding="VALID"), relu, lambda x: C(x, 2), erf, nets.global_pool),
    "conv2d_resnet_pool": resnet2d,
    "attention_softmax": layers(D, relu, lambda x: attention(x, 0.2), relu, nets.global_pool),
    "attention_heads": layers(D, relu, lambda x: attention(x, heads=3), relu),
    "attention_linear": layers(D, relu, lambda x: attention(x, attention=nets.linear_scores), relu, nets.global_pool),
    "transformer": transformer_nt,
    "aggregate": layers(D, relu, lambda x: nets.graph_conv(x, A, n, 1.3, 0.2), erf, nets.global_pool),
}
SMOOTH = {"mlp_erf", "mlp_sin", "mlp_gelu", "conv1d_valid"}


def test_every_case_of_neural_tangents_is_used():
    assert set(NT["cases"]) == set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_neural_tangents(name):
    case = NT["cases"][name]
    x1, x2 = (np.array(NT["inputs"][case["input"]][k]) for k in ("x1", "x2"))
    K, T = rmtp.nngp_ntk(NETS[name], x1, x2)
    print(name, deviation(K, case["nngp"]), deviation(T, case["ntk"]))
    # averages over positions include equal positions of equal inputs, where kinked functions have correlation 1
    assert deviation(K, case["nngp"]) < (EXACT if name in SMOOTH else 1e-8)
    assert deviation(T, case["ntk"]) < (EXACT if name in SMOOTH else KINKED)
