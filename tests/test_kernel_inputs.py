"""Bad input of kernels: a class of rmtp.errors with a remedy, or the limit that is right there; never a number that is none.

The limits stand in the table as numbers: of zero inputs, where correlations are undefined, of equal rows in a batch, of
weights without variance.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

import rmtp
from rmtp import networks as nets
from rmtp.errors import (
    AxisError,
    BadParameter,
    DimensionMismatch,
    DivergentExpectation,
    NoInfiniteWidth,
    NotConverged,
    TracedBranch,
    UnsupportedOperation,
    ZeroDivisor,
)

n, k = rmtp.Dim("n"), rmtp.Dim("k")
dense, readout, relu, ntk, nngp = nets.dense, rmtp.readout, rmtp.relu, rmtp.ntk, rmtp.nngp
X = np.array([[1.0, 1.0], [1.0, -0.5], [0.2, 2.0]])
ZERO = np.zeros((1, 2))
WITH_ZERO = np.concatenate([X, ZERO])
BATCHES = np.random.default_rng(0).standard_normal((2, 4, 3))


def one_layer(phi=relu, *law):
    return lambda x: readout(phi(dense(x, n, *law)))


def of_last(layer):
    return lambda x: readout(layer(x)[:, -1])


def normalised(phi=relu, epsilon=0.1):
    return lambda x: readout(phi(nets.batch_norm(dense(x, n), epsilon))[:, 0])


def autoencoder(phi):
    def net(x):
        W = rmtp.Gaussian(n, n)
        return readout(W.T @ phi(W @ dense(x, n)))

    return net


def attention(**options):
    return lambda x: readout(nets.self_attention(dense(x, n), n, **options))


def layer_normed(x):
    return readout(relu(nets.layer_norm(dense(x, n))))


def family(w):
    return nets.mlp(n, 2, weight_std=w)


REFUSED = {
    "no batch axis": (AxisError | BadParameter, lambda: ntk(one_layer(), np.ones(3))),
    "a number": (BadParameter, lambda: ntk(one_layer(), 3.0)),
    "nothing": (BadParameter, lambda: ntk(one_layer(), None)),
    "no inputs": (BadParameter, lambda: ntk(one_layer(), np.zeros((0, 2)))),
    "no second inputs": (BadParameter, lambda: ntk(one_layer(), X, np.zeros((0, 2)))),
    "no channels": (BadParameter, lambda: ntk(one_layer(), np.zeros((3, 0)))),
    "second inputs of another size": (AxisError, lambda: ntk(one_layer(), X, np.ones((2, 3)))),
    "second inputs with positions": (AxisError, lambda: ntk(one_layer(), X, np.ones((2, 2, 2)))),
    "nan": (BadParameter, lambda: ntk(one_layer(), [[1.0, np.nan]])),
    "inf": (BadParameter, lambda: nngp(one_layer(), [[1.0, np.inf]])),
    "nan on the other side": (BadParameter, lambda: ntk(one_layer(), X, [[np.nan, 1.0]])),
    "text": (BadParameter, lambda: ntk(one_layer(), [["a", "b"]])),
    "digits": (BadParameter, lambda: ntk(one_layer(), [["1", "2"]])),
    "objects": (BadParameter, lambda: ntk(one_layer(), np.array([[object(), 1]], dtype=object))),
    "dates": (BadParameter, lambda: ntk(one_layer(), np.array([["2020-01-01"]], dtype="datetime64[D]"))),
    "complex": (BadParameter, lambda: ntk(one_layer(), X + 1j)),
    "ragged": (BadParameter, lambda: ntk(one_layer(), [[1, 2], [3]])),
    "masked": (BadParameter, lambda: ntk(one_layer(), np.ma.masked_array(X, X > 1))),
    "an integer beyond floats": (BadParameter, lambda: ntk(one_layer(), [[10**400, 1]])),
    "squares overflow": (BadParameter, lambda: ntk(one_layer(), 1e200 * X)),
    "determinants overflow": (BadParameter, lambda: ntk(one_layer(), 1e100 * X)),
    "determinants underflow": (BadParameter, lambda: ntk(one_layer(), 1e-100 * X)),
    "variances beyond quadrature": (NotConverged, lambda: ntk(nets.mlp(n, 2, np.tanh), 1e6 * X)),
    "negative weight_std": (BadParameter, lambda: ntk(one_layer(relu, -1.0), X)),
    "negative bias_std": (BadParameter, lambda: ntk(one_layer(relu, 1.0, -1.0), X)),
    "nan weight_std": (BadParameter, lambda: ntk(one_layer(relu, np.nan), X)),
    "empty sweep": (BadParameter, lambda: ntk(nets.mlp(n, 2, weight_std=np.ones(0)), X)),
    "nan in a sweep": (BadParameter, lambda: ntk(nets.mlp(n, 2, weight_std=np.array([1.0, np.nan])), X)),
    "sweeps of two lengths": (
        BadParameter,
        lambda: ntk(nets.mlp(n, 2, weight_std=np.ones(3), bias_std=np.ones(2)), X),
    ),
    "a list of the wrong length": (BadParameter, lambda: ntk(nets.mlp(n, 2, weight_std=[1.0, 2.0, 3.0]), X)),
    "depth 0": (BadParameter, lambda: ntk(nets.mlp(n, 0), X)),
    "no nonlinearity": (BadParameter, lambda: nets.mlp(n, 2, None)),
    "a name for a nonlinearity": (BadParameter, lambda: nets.cnn(n, 2, phi="relu")),
    "a name for a cell": (BadParameter, lambda: nets.recurrent_network(n, 2, cell="gru")),
    "readout of the input": (BadParameter, lambda: ntk(readout, X)),
    "sum over the input": (BadParameter, lambda: ntk(np.sum, X)),
    "a number for an output": (BadParameter, lambda: ntk(lambda x: 3.0, X)),
    "a vector for an output": (BadParameter, lambda: ntk(lambda x: relu(dense(x, n)), X)),
    "two outputs": (BadParameter, lambda: ntk(lambda x: (one_layer()(x), one_layer()(x)), X)),
    "no function": (BadParameter, lambda: ntk(3, X)),
    "a function of two": (BadParameter, lambda: ntk(lambda x, y: one_layer()(x), X)),
    "a layer for a network": (BadParameter, lambda: ntk(nets.dense, X)),
    "a branch": (TracedBranch, lambda: ntk(lambda x: one_layer()(x if x[0] > 0 else 2 * x), X)),
    "a layer of an array": (BadParameter, lambda: ntk(lambda x: readout(dense(np.ones(2), n)), X)),
    "two widths added": (DimensionMismatch, lambda: ntk(lambda x: readout(dense(x, n) + dense(x, k)), X)),
    "an array as a vector": (AxisError, lambda: ntk(lambda x: readout(dense(x, n) + np.ones(5)), X)),
    "unknown axis": (AxisError, lambda: ntk(lambda x: readout(np.mean(dense(x, n), axis=3)), X)),
    "position that is not there": (AxisError, lambda: ntk(lambda x: readout(nets.rnn(x, n)[:, 9]), BATCHES)),
    "index into the width": (AxisError, lambda: ntk(lambda x: readout(nets.rnn(x, n)[3]), BATCHES)),
    "padding": (BadParameter, lambda: ntk(lambda x: readout(nets.conv(x, n, padding="FULL")), BATCHES)),
    "window beyond the input": (
        BadParameter,
        lambda: ntk(lambda x: readout(nets.conv(x, n, 9, padding="VALID")), BATCHES),
    ),
    "stride 0": (BadParameter, lambda: ntk(lambda x: readout(nets.conv(x, n, 3, stride=0)), BATCHES)),
    "convolution without positions": (AxisError, lambda: ntk(nets.cnn(n, 2), X)),
    "recurrence without time": (AxisError, lambda: ntk(nets.recurrent_network(n), X)),
    "attention without positions": (AxisError, lambda: ntk(attention(), X)),
    "no heads": (BadParameter, lambda: ntk(attention(heads=0), BATCHES)),
    "mask of another size": (BadParameter, lambda: ntk(attention(mask=np.ones((3, 3))), BATCHES)),
    "mask without a one": (BadParameter, lambda: ntk(attention(mask=np.zeros((4, 4))), BATCHES)),
    "adjacency of another size": (
        BadParameter,
        lambda: ntk(lambda x: readout(nets.graph_conv(x, np.ones((3, 3)), n)), BATCHES),
    ),
    "dropout of everything": (BadParameter, lambda: ntk(lambda x: readout(nets.dropout(dense(x, n), 1.0)), X)),
    "batch of one": (BadParameter, lambda: ntk(normalised(), BATCHES[:, :1])),
    "no batch": (BadParameter, lambda: ntk(lambda x: readout(nets.batch_norm(dense(x, n))), X)),
    "backward without epsilon": (BadParameter, lambda: ntk(normalised(epsilon=0.0), BATCHES)),
    "equal rows without epsilon": (ZeroDivisor, lambda: nngp(normalised(epsilon=0.0), np.ones((1, 4, 3)))),
    "negative epsilon": (BadParameter, lambda: ntk(normalised(epsilon=-0.1), BATCHES)),
    "nan epsilon": (BadParameter, lambda: ntk(normalised(epsilon=np.nan), BATCHES)),
    "text for epsilon": (BadParameter, lambda: ntk(normalised(epsilon="small"), BATCHES)),
    "no epsilon": (BadParameter, lambda: ntk(normalised(epsilon=None), BATCHES)),
    "zero input normalised": (DivergentExpectation, lambda: ntk(layer_normed, WITH_ZERO)),
    "exp exp": (DivergentExpectation, lambda: nngp(one_layer(lambda h: np.exp(np.exp(h))), X)),
    "exp exp, tangent": (DivergentExpectation, lambda: ntk(one_layer(lambda h: np.exp(np.exp(h))), X)),
    "exp of a square": (DivergentExpectation, lambda: nngp(one_layer(lambda h: np.exp(h**2)), X)),
    "exp of a square, tied": (DivergentExpectation, lambda: nngp(autoencoder(lambda h: np.exp(h**2)), X[:1])),
    "exp of a cube": (DivergentExpectation, lambda: nngp(one_layer(lambda h: np.exp(h**3)), X)),
    "exp of a squared relu": (DivergentExpectation, lambda: nngp(one_layer(lambda h: np.exp(relu(h) ** 2)), X)),
    "towers of exp": (DivergentExpectation, lambda: nngp(nets.mlp(n, 4, np.exp), X)),
    "pole": (DivergentExpectation | NotConverged, lambda: nngp(one_layer(lambda h: 1 / h), X)),
    "pole of second order": (DivergentExpectation, lambda: nngp(one_layer(lambda h: h**-2), X)),
    "poles everywhere": (NotConverged, lambda: nngp(one_layer(np.tan), X)),
    "log of negative numbers": (NotConverged, lambda: nngp(one_layer(np.log), X)),
    "root of negative numbers": (NotConverged, lambda: nngp(one_layer(np.sqrt), X)),
    "a function with holes": (
        NotConverged,
        lambda: nngp(one_layer(rmtp.elementwise(lambda h: np.where(h > 1, np.nan, h))), X),
    ),
    "a function of another shape": (
        UnsupportedOperation,
        lambda: nngp(one_layer(rmtp.elementwise(lambda h: np.zeros(3))), X),
    ),
    "no derivative": (UnsupportedOperation, lambda: ntk(one_layer(rmtp.elementwise(lambda h: h**2)), X)),
    "mean readout of a process": (NoInfiniteWidth, lambda: nngp(lambda x: np.mean(relu(dense(x, n))), X)),
    "GOE trained": (UnsupportedOperation, lambda: ntk(lambda x: readout(rmtp.GOE(n) @ dense(x, n)), X)),
    "parametrization": (BadParameter, lambda: ntk(one_layer(), X, parametrization="lazy")),
    "kernels": (BadParameter, lambda: rmtp.kernel_function(one_layer(), (2,), ("gram",))),
    "a shape of text": (BadParameter, lambda: rmtp.kernel_function(one_layer(), "ab")),
    "an empty shape": (BadParameter, lambda: rmtp.kernel_function(one_layer(), (0,))),
    "diagonal of two batches": (BadParameter, lambda: ntk(one_layer(), X, X, diagonal=True)),
    "no executor": (BadParameter, lambda: ntk(one_layer(), X, executor=3)),
    "no folder": (BadParameter, lambda: ntk(one_layer(), X, out="/no/such/folder/k.npy")),
    "hyperparameter 0": (BadParameter, lambda: rmtp.kernel_gradients(family, [0.0], X)),
    "hyperparameter nan": (BadParameter, lambda: rmtp.kernel_gradients(family, [np.nan], X)),
    "hyperparameter of text": (BadParameter, lambda: rmtp.kernel_gradients(family, "a", X)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    kind, call = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind.__args__ if hasattr(kind, "__args__") else kind) as caught:
            call()
    assert len(caught.value.remedy) > 3


def test_a_network_that_does_not_travel():
    with ProcessPoolExecutor(1) as pool, pytest.raises(BadParameter) as caught:
        ntk(one_layer(), X, executor=pool)
    assert "threads" in caught.value.remedy


# ---------------------------------------------------------------------------------------------
# limits


def last_row(kernel):
    return np.asarray(kernel)[-1]


LIMITS = {
    # correlations with zero are undefined; phi(0) is what its function is there
    "zero, relu": (lambda: last_row(nngp(nets.mlp(n, 2), WITH_ZERO)), [0, 0, 0, 0]),
    "zero, relu, tangent": (lambda: last_row(ntk(nets.mlp(n, 2), WITH_ZERO)), [0, 0, 0, 0]),
    "zero, tanh": (lambda: last_row(ntk(nets.mlp(n, 2, np.tanh), WITH_ZERO)), [0, 0, 0, 0]),
    "zero, with biases": (lambda: ntk(nets.mlp(n, 1, bias_std=1.0), ZERO), [[1.0]]),  # 1/2 + 1/2
    "zero, cos": (lambda: last_row(nngp(one_layer(np.cos), ZERO)), [1.0]),
    "zero, sign": (lambda: last_row(nngp(one_layer(np.sign), WITH_ZERO)), [0, 0, 0, 0]),
    "zero, step of 1/2 at 0": (lambda: nngp(one_layer(lambda h: np.heaviside(h, 0.5)), ZERO), [[0.25]]),
    "zero, tied": (lambda: ntk(autoencoder(np.tanh), ZERO), [[0.0]]),
    "zero, attention": (lambda: ntk(attention(), np.zeros((1, 4, 3))), [[0.0]]),
    "zero, gated": (lambda: nngp(of_last(lambda x: nets.gru(x, n)), np.zeros((1, 2, 3))), [[0.0]]),
    "zero batch": (lambda: ntk(normalised(), np.zeros((1, 4, 3))), [[0.0]]),
    "equal rows": (lambda: ntk(normalised(), np.ones((1, 4, 3))), [[0.0]]),
    "no variance": (lambda: ntk(nets.mlp(n, 2, weight_std=0.0), X[:1]), [[0.0]]),
    "no variance, readout of cos": (lambda: nngp(one_layer(np.cos, 0.0), X[:2]), np.ones((2, 2))),
    "a function that is 0": (lambda: ntk(one_layer(lambda h: 0 * h), X[:1]), [[0.0]]),
    # kinds of numbers: |x|^2 / 2 of the NNGP, ReLU takes half, the tangent kernel is twice that
    "integers": (lambda: ntk(one_layer(), np.array([[2**62, 0]])), [[2.0**123]]),
    "python integers": (lambda: ntk(one_layer(), [[2**70, 0]]), [[2.0**139]]),
    "small integers": (lambda: ntk(one_layer(), np.array([[127, 127]], dtype=np.int8)), [[127.0**2]]),
    "booleans": (lambda: ntk(one_layer(), np.array([[True, False]])), [[0.5]]),
    "fractions": (lambda: ntk(one_layer(), np.array([[Fraction(1, 2), 1]], dtype=object)), [[0.625]]),
    "single precision": (lambda: ntk(one_layer(), np.array([[0.5, 1.5]], dtype=np.float32)), [[1.25]]),
    "half precision": (lambda: ntk(one_layer(), np.array([[0.5, 1.5]], dtype=np.float16)), [[1.25]]),
    "every third column": (lambda: ntk(one_layer(), np.arange(6.0)[None][:, ::3]), [[4.5]]),
    "Fortran order": (lambda: ntk(one_layer(), np.asfortranarray([[1.0, 3.0]])), [[5.0]]),
    "read only": (lambda: ntk(one_layer(), np.broadcast_to(2.0, (1, 2))), [[4.0]]),
    "negative zeros": (lambda: ntk(one_layer(), [[1.0, 0.0], [1.0, -0.0]]), 0.5 * np.ones((2, 2))),
    "nothing masked": (lambda: ntk(one_layer(), np.ma.masked_array([[1.0, 1.0]])), [[1.0]]),
    "sweep of a sweep": (lambda: ntk(one_layer(relu, np.ones((2, 2))), [[1.0, 1.0]]), np.ones((2, 2, 1, 1))),
    "large but in range": (lambda: ntk(one_layer(), 1e69 * X) / 1e138, ntk(one_layer(), X)),
    "small but in range": (lambda: ntk(one_layer(), 1e-69 * X) * 1e138, ntk(one_layer(), X)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    call, expected = LIMITS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = np.asarray(call())
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
