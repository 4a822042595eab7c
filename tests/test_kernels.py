"""Kernels of networks: gradient programs, gradient independence, storage, executors, bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.special import erf

import rmtp
from rmtp.instructions import InputMatrix
from rmtp.kernels import api
from rmtp.networks import conv, dense, global_pool, init, input_weights, layer_norm, mlp, readout
from rmtp.networks.network import trace

n = rmtp.Dim("n")
X = np.random.default_rng(5).standard_normal((7, 3))
Z = np.random.default_rng(6).standard_normal((4, 3))


def relu_net(x):
    for _ in range(2):
        x = rmtp.relu(dense(x, n, 1.3, 0.2))
    return readout(x, 1.1, 0.3)


def mean_pool(phi):
    def net(x):
        return np.mean(phi(dense(phi(dense(x, n)), n)))

    return net


def tied_autoencoder(x):
    W = rmtp.Gaussian(n, n, variance=1.7, name="W")
    return readout(W.T @ rmtp.relu(W @ dense(x, n)))


# ---------------------------------------------------------------------------------------------
# the gradient program


def test_gradient_program_of_a_shared_matrix():
    W, x, v = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x"), rmtp.Normal(n, name="v")
    h1 = (W @ x).named("h1")
    h2 = (W @ np.tanh(h1)).named("h2")
    gradient = rmtp.backprop(np.mean(v * np.tanh(h2)))
    assert str(gradient) == "\n".join(
        [
            "program over n",
            "   1  v = N(0, 1)  : n",
            "   2  x = N(0, 1)  : n",
            "   3  h1 = W @ x  : n",
            "   4  v4 = tanh(h1)  : n",
            "   5  h2 = W @ v4  : n",
            "   6  v6 = tanh(h2)  : n",
            "   7  c7 = mean(v*v6)",
            "   8  v8 = tanh'(h2)*v  : n",
            "   9  v9 = W.T @ v8  : n",
            "  10  v10 = tanh'(h1)*v9  : n",
            "  11  v11 = W.T @ v10  : n",
        ]
    )
    assert [type(u).__name__ for u in gradient.uses] == ["MatrixUse", "MatrixUse", "VectorUse", "VectorUse"]


def test_gradients_of_scalars_stop_nowhere():
    """d mean(x)^2 / dx_i = 2 mean(x) / n, through an average; widths of ratio 2 share out as they should."""
    m = rmtp.Dim("m", 2)
    x = rmtp.Normal(m, mean=Fraction(3, 2))
    theta = np.mean(x) ** 2
    gradient = rmtp.backprop(theta).of(x)
    assert rmtp.limit(np.mean(gradient), exact=True) == Fraction(3, 2)  # 2 * 3/2, over the ratio 2


def test_gradient_of_a_vector_is_refused():
    with pytest.raises(rmtp.errors.UnsupportedOperation):
        rmtp.backprop(rmtp.Normal(n))
    unknown = rmtp.elementwise(lambda x: x**3)
    with pytest.raises(rmtp.errors.UnsupportedOperation, match="derivative"):
        rmtp.backprop(np.mean(unknown(rmtp.Normal(n))))


# ---------------------------------------------------------------------------------------------
# gradient independence


def test_mean_pool_of_relu_keeps_its_z_dot():
    """TP0, D.1 with the misprint corrected, typed here: E dx = a, and V(phi phi') in the recursion (phi phi' = relu)."""
    x = np.array([[1.0, 2.0, 2.0]])
    q = float(x[0] @ x[0]) / 3
    s2 = q / 2  # E relu^2, the variance of h2
    a = 1 / np.sqrt(2 * np.pi * s2)  # E phi'' with phi'' = delta at 0
    # dx1 = W.T phi'(h2): Zhat of variance E phi'^2 = 1/2, and Zdot = a * phi(h1)
    dx1 = rmtp.limit(_after(a, q))
    expected = s2 / 2 + dx1.value * q  # W2 and U; a mean-pool readout has no weights
    assert float(rmtp.ntk(mean_pool(rmtp.relu), x)[0, 0]) == pytest.approx(expected, rel=1e-9)
    naive = s2 / 2 + q / 4
    assert float(rmtp.ntk(mean_pool(rmtp.relu), x, gradient_independence=True)[0, 0]) == pytest.approx(naive, rel=1e-9)
    assert abs(expected - naive) > 0.01


def _after(a, q):
    """E (phi'(h1) (Zhat + a phi(h1)))^2 by the engine's elementary expectations: no transposed matrix in it."""
    h, z = rmtp.Normal(n, mean=(0, 0), cov=[[q, 0], [0, 0.5]])
    return np.mean((np.heaviside(h, 0) * (z + a * rmtp.relu(h))) ** 2)


def test_the_squared_mean_pool():
    """f = mean((W W' x)^2): dh2 = 2 h2, dh1 = W.T 2 W h1 has E dh1^2 = 4 (1 + 1) q = 8 q; the naive answer is 4 q."""
    q = 1.5
    x = np.array([[np.sqrt(q)]])

    def net(x):
        return np.mean(dense(dense(x, n), n) ** 2)

    # layer 2: E dh2^2 E h1^2 = 4 q q; layer 1: E dh1^2 (x.x/d) = 8 q q
    assert float(rmtp.ntk(net, x)[0, 0]) == pytest.approx(12 * q * q, rel=1e-12)
    assert float(rmtp.ntk(net, x, gradient_independence=True)[0, 0]) == pytest.approx(8 * q * q, rel=1e-12)


def test_gia_reports():
    assert rmtp.gia_check(relu_net, (3,)).simple
    report = rmtp.gia_check(mean_pool(rmtp.relu), (3,))
    assert not report and "readout" in str(report) and "line" in str(report)
    report = rmtp.gia_check(tied_autoencoder, (3,))
    assert not report.bp_like and report.transposed_forward and report.random_readout
    assert "W.T" in str(report)

    def own_readout(x):  # the readout is used in the interior
        v = rmtp.Normal(n, name="v")
        return readout(np.tanh(dense(x, n) + v), weights=v)

    assert not rmtp.gia_check(own_readout, (3,)).simple

    def two_readouts(x):
        h, g = np.tanh(dense(x, n)), np.tanh(dense(x, n))
        v, w = rmtp.Normal(n), rmtp.Normal(n)
        return rmtp.Output(np.mean(v * h + w * g))

    assert rmtp.gia_check(two_readouts, (3,)).simple
    both = float(rmtp.nngp(two_readouts, X[:1])[0, 0])
    assert both == pytest.approx(2 * float(rmtp.nngp(lambda x: readout(np.tanh(dense(x, n))), X[:1])[0, 0]), rel=1e-10)


def test_the_readout_of_a_linear_network_is_not_its_first_layer():
    """f = v . U x / sqrt(n) is as odd in U as in v; trained by entries, the kernel over n is that of v, E (U x)^2, alone."""
    x = np.array([[0.6, -1.1, 0.3]])
    nets = [lambda x: readout(dense(x, n, 3, name="U")) for _ in range(8)]
    kept = [rmtp.Normal(n, name="kept") for _ in range(8)]  # objects at other addresses: the choice must not see them
    for net, _ in zip(nets, kept, strict=True):
        assert not any(isinstance(source, InputMatrix) for source in rmtp.gia_check(net, (3,)).readout)
        assert float(rmtp.ntk(net, x, parametrization="standard")[0, 0]) == pytest.approx(
            9 * np.sum(x**2) / 3, rel=1e-13
        )


def test_tied_autoencoder_closed_form():
    """Z^y = Zhat + s2 E phi'(z) Z^x with Var Zhat = s2 E phi(z)^2: 1.7^2 q / 2 + (1.7 / 2)^2 q at relu."""
    q = 0.8
    x = np.array([[np.sqrt(q)]])
    expected = 1.7 * 1.7 * q / 2 + (1.7 / 2) ** 2 * q
    assert float(rmtp.nngp(tied_autoencoder, x)[0, 0]) == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------------------------------------
# agreement of routes, invariances


def test_equal_inputs_have_exact_diagonals():
    """Theta(x, x) of a ReLU network is rational in |x|^2: no 1e-8 from the arc cosine of a rounded 1."""
    x = X[[0, 1, 0, 2]]

    def net(x):
        for _ in range(3):
            x = rmtp.relu(dense(x, n, 2**0.5))
        return readout(x, 2**0.5)

    q = 2 * np.sum(x**2, axis=1) / 3
    theta = rmtp.ntk(net, x)
    assert np.allclose(np.diag(theta), 4 * q, rtol=1e-14, atol=0)  # every layer adds q
    assert theta[0, 2] == theta[0, 0] == rmtp.ntk(net, x, x[[2]])[0, 0]
    assert np.allclose(rmtp.ntk(net, x, diagonal=True), 4 * q, rtol=1e-14, atol=0)


@pytest.mark.parametrize("net", [relu_net, mlp(n, 2, np.tanh), lambda x: readout(erf(layer_norm(dense(x, n, 1, 0.1))))])
def test_blocks_symmetry_and_diagonals(net):
    whole = rmtp.nngp_ntk(net, np.concatenate([X, Z]))
    for k, kernel in enumerate(whole):
        assert np.array_equal(kernel, kernel.T)
        assert np.linalg.eigvalsh(kernel).min() > -1e-12
        assert np.allclose(kernel[:7, 7:], rmtp.nngp_ntk(net, X, Z)[k], rtol=1e-12, atol=1e-14)
        assert np.allclose(np.diag(kernel), rmtp.nngp_ntk(net, np.concatenate([X, Z]), diagonal=True)[k], rtol=1e-13)
        order = [3, 0, 6, 5, 1, 2, 4]
        assert np.allclose(
            kernel[:7, :7][np.ix_(order, order)], rmtp.nngp_ntk(net, X[order])[k], rtol=1e-12, atol=1e-14
        )


def test_one_layer_against_mpmath():
    """E relu relu at 30 digits, by the arc-cosine formula in mpmath; variances and correlation of generic inputs."""
    with mpmath.workdps(30):
        x, y = (mpmath.matrix([mpmath.mpf(float(v)) for v in row]) for row in X[:2])
        u, v, c = ((a.T * b)[0] / 3 for a, b in ((x, x), (y, y), (x, y)))
        angle = mpmath.acos(c / mpmath.sqrt(u * v))
        value = mpmath.sqrt(u * v) * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / (2 * mpmath.pi)
        slope = (mpmath.pi - angle) / (2 * mpmath.pi)
        expected = float(value), float(value + c * slope)
    found = rmtp.nngp_ntk(lambda x: readout(rmtp.relu(dense(x, n))), X[:2])
    assert [float(k[0, 1]) for k in found] == pytest.approx(expected, rel=1e-13)


def test_parametrizations_differ_by_the_variances():
    """Yang's trains omega with the std inside: each term over its std^2 (trap 14)."""

    def net(x):
        return readout(erf(dense(x, n, 1.5, 0.4)), 0.7, 0.2)

    K, T = rmtp.nngp_ntk(net, X)
    gram = X @ X.T / 3
    cov = 1.5**2 * gram + 0.4**2
    var = np.diag(cov)
    root = np.sqrt(np.outer(1 + 2 * var, 1 + 2 * var))
    value, slope = 2 / np.pi * np.arcsin(2 * cov / root), 4 / (np.pi * np.sqrt(root**2 - 4 * cov**2))
    assert np.allclose(K, 0.49 * value + 0.04, rtol=1e-13)
    assert np.allclose(T, 0.49 * value + 0.04 + 0.49 * slope * cov, rtol=1e-13)
    yang = value + 1 + 0.49 * slope * (gram + 1)
    assert np.allclose(rmtp.ntk(net, X, parametrization="yang"), yang, rtol=1e-13)


def test_a_sweep_is_a_leading_axis():
    stds = np.array([0.5, 1.0, 2.0])
    net = lambda std: lambda x: readout(rmtp.relu(dense(rmtp.relu(dense(x, n, std, 0.1)), n, std)))  # noqa: E731
    swept = rmtp.ntk(net(stds), X)
    assert swept.shape == (3, 7, 7)
    for k, std in enumerate(stds):
        assert np.allclose(swept[k], rmtp.ntk(net(float(std)), X), rtol=1e-13)


def test_positions_only_where_they_matter():
    """A flattened readout needs equal positions only: no moment of the plan has more entries than there are positions."""
    images = np.random.default_rng(0).standard_normal((2, 6, 6, 1))

    def net(pooled):
        def f(x):
            for _ in range(2):
                x = rmtp.relu(conv(x, n, 3))
            return readout(global_pool(x) if pooled else x)

        return f

    flat, pooled = (rmtp.kernel_function(net(p), (6, 6, 1)) for p in (False, True))
    assert max(m.size for m in flat.pairs.plan.moments) <= 36
    assert max(m.size for m in pooled.pairs.plan.moments) == 36**2
    k = flat(images)["ntk"]
    assert np.allclose(k, k.T)


# ---------------------------------------------------------------------------------------------
# executors and files


def test_executors_give_the_same(monkeypatch):
    monkeypatch.setattr(api, "_BLOCK", 3)
    expected = rmtp.ntk(relu_net, X)
    with ThreadPoolExecutor(2) as pool:
        assert np.allclose(rmtp.ntk(relu_net, X, executor=pool), expected, rtol=1e-14)
        assert np.allclose(rmtp.ntk(relu_net, X, Z, executor=pool), rmtp.ntk(relu_net, X, Z), rtol=1e-14)


SCRIPT = """
import numpy as np
import rmtp
from concurrent.futures import ProcessPoolExecutor
from rmtp.kernels import api
from rmtp.networks import dense, readout

X = np.random.default_rng(5).standard_normal((7, 3))


def net(x):
    return readout(rmtp.relu(dense(x, rmtp.Dim("n"))))


if __name__ == "__main__":
    api._BLOCK = 4
    expected = rmtp.nngp(net, X)
    with ProcessPoolExecutor(1) as pool:
        assert np.allclose(rmtp.nngp(net, X, executor=pool), expected, rtol=1e-14)
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        assert np.allclose(rmtp.nngp(net, X, executor=client.get_executor()), expected, rtol=1e-14)
    print("equal")
"""


def test_processes_and_a_local_cluster(tmp_path):
    """A process pool, and dask.distributed's executor on workers of its own: the network travels, a worker makes the plan."""
    path = tmp_path / "cluster.py"
    path.write_text(SCRIPT)
    folder = str(Path(rmtp.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]


def test_the_naive_answer_by_an_executor():
    with ThreadPoolExecutor(1) as pool:
        naive = rmtp.ntk(mean_pool(rmtp.relu), X, gradient_independence=True, executor=pool)
    assert np.allclose(naive, rmtp.ntk(mean_pool(rmtp.relu), X, gradient_independence=True), rtol=1e-14)


def test_nngp_needs_no_derivatives():
    square = rmtp.elementwise(lambda x: x * np.abs(x), kinks=(0.0,))  # E (x|x|)^2 = 3 q^2
    net = lambda x: readout(square(dense(x, n)))  # noqa: E731
    q = np.sum(X**2, axis=1) / 3
    assert np.allclose(np.diag(rmtp.nngp(net, X)), 3 * q**2, rtol=1e-10)
    with pytest.raises(E.UnsupportedOperation, match="derivative"):
        rmtp.ntk(net, X)


def test_files_resume_and_refuse(tmp_path, monkeypatch):
    monkeypatch.setattr(api, "_BLOCK", 3)
    path = tmp_path / "k.npy"
    expected = rmtp.ntk(relu_net, X)

    broken = api.KernelFunction.block
    calls = []

    def interrupted(self, first, second):
        calls.append(len(first))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return broken(self, first, second)

    monkeypatch.setattr(api.KernelFunction, "block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rmtp.ntk(relu_net, X, out=path)
    done = len(calls) - 2  # without the probe and the one that failed
    calls.clear()
    monkeypatch.setattr(api.KernelFunction, "block", lambda self, a, b: calls.append(0) or broken(self, a, b))
    assert np.allclose(rmtp.ntk(relu_net, X, out=path), expected, rtol=1e-14)
    assert len(calls) == 1 + 6 - done  # the probe, and the blocks of the upper triangle that were missing
    assert np.allclose(np.load(path), expected, rtol=1e-14)
    with pytest.raises(rmtp.errors.BadParameter, match="another"):
        rmtp.ntk(relu_net, X + 1, out=path)
    with pytest.raises(rmtp.errors.BadParameter, match="another"):
        rmtp.ntk(mlp(n, 1), X, out=path)
    K, T = rmtp.nngp_ntk(relu_net, X, out=tmp_path / "both")
    assert sorted(p.name for p in tmp_path.glob("both*.npy")) == ["both.nngp.npy", "both.ntk.npy"]
    assert np.allclose(T, expected) and K.shape == (7, 7)


# ---------------------------------------------------------------------------------------------
# bad input

E = rmtp.errors

BAD = [
    ("no batch axis", lambda: rmtp.nngp(relu_net, [1.0, 2.0]), E.BadParameter),
    ("NaN", lambda: rmtp.nngp(relu_net, [[1.0, np.nan]]), E.BadParameter),
    ("empty", lambda: rmtp.nngp(relu_net, np.zeros((0, 3))), E.BadParameter),
    ("text", lambda: rmtp.nngp(relu_net, [["a", "b"]]), E.BadParameter),
    ("shapes differ", lambda: rmtp.nngp(relu_net, X, X[:, :2]), E.AxisError),
    ("complex", lambda: rmtp.nngp(relu_net, X * 1j), E.BadParameter),
    (
        "an executor, pair by pair",
        lambda: rmtp.nngp(tied_autoencoder, X, executor=ThreadPoolExecutor(1)),
        E.BadParameter,
    ),
    ("no network", lambda: rmtp.nngp(3, X), E.BadParameter),
    ("a vector", lambda: rmtp.ntk(lambda x: dense(x, n), X), E.BadParameter),
    ("no average", lambda: rmtp.ntk(lambda x: rmtp.Output(np.mean(dense(x, n)) ** 2), X), E.BadParameter),
    ("NNGP of a mean pool", lambda: rmtp.nngp(mean_pool(np.tanh), X), E.NoInfiniteWidth),
    ("parametrization", lambda: rmtp.ntk(relu_net, X, parametrization="jacot"), E.BadParameter),
    ("unknown kernel", lambda: rmtp.kernel_function(relu_net, (3,), ("ntks",)), E.BadParameter),
    ("diagonal of two sets", lambda: rmtp.ntk(relu_net, X, Z, diagonal=True), E.BadParameter),
    ("a GOE is trained", lambda: rmtp.ntk(lambda x: readout(rmtp.GOE(n) @ dense(x, n)), X), E.UnsupportedOperation),
    ("a convolution of a point", lambda: rmtp.ntk(lambda x: readout(conv(x, n)), X), E.AxisError),
    ("kernel too large", lambda: conv(rmtp.parameter(1) * np.ones((4, 2)), n, 9, padding="VALID"), E.BadParameter),
    ("negative std", lambda: dense(rmtp.Normal(n), n, -1), E.BadParameter),
    (
        "an unbound input",
        lambda: rmtp.limit(trace(relu_net, (3,)).output.average),
        E.UnboundInput,
    ),
]


@pytest.mark.parametrize("call, error", [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(call, error):
    with pytest.raises(error) as caught:
        call()
    assert "try" in str(caught.value)


def test_zero_inputs_have_kernels():
    """The correlation of a zero input is undefined, its kernel is not."""
    x = np.vstack([np.zeros(3), X[0]])
    for net in (relu_net, lambda x: readout(rmtp.relu(dense(x, n))), lambda x: readout(np.tanh(dense(x, n)))):
        for kernel in rmtp.nngp_ntk(net, x):
            assert np.all(np.isfinite(kernel))


# ---------------------------------------------------------------------------------------------
# finite networks


def test_the_tied_autoencoder_at_finite_width():
    """20 draws at n = 400; two entries at 4 standard errors: a false alarm once in 8,000 seeds."""
    x = X[:2]
    limit = rmtp.ntk(tied_autoencoder, x)
    rng = np.random.default_rng(11)
    draws = np.array([init(tied_autoencoder, 400, child, (3,)).ntk(x) for child in rng.spawn(20)])
    error = draws.std(axis=0, ddof=1) / np.sqrt(20)
    z = (draws.mean(axis=0) - limit) / error
    assert np.all(np.abs(z[np.triu_indices(2)]) < 4)


def test_input_weights_are_used_in_one_way():
    def net(x):
        U = input_weights(n, 3)
        return readout(U @ x + U[:, 0])

    with pytest.raises(E.UnsupportedOperation, match="stand alone"):
        rmtp.ntk(net, X)


# ---------------------------------------------------------------------------------------------
# inside a network


def test_kernels_of_layers_follow_the_recursion():
    def net(x):
        for layer in (1, 2):
            x = rmtp.relu(dense(x, n, 1.3, 0.2).named(f"h{layer}"))
        return readout(x)

    kernels = rmtp.layer_kernels(net, X)
    assert list(kernels) == ["h1", "h2"]
    first = 1.69 * X @ X.T / 3 + 0.04
    assert np.allclose(kernels["h1"], first, rtol=1e-13)
    norm = np.sqrt(np.outer(np.diag(first), np.diag(first)))
    angle = np.arccos(np.clip(first / norm, -1, 1))
    second = 1.69 * norm * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi) + 0.04
    assert np.allclose(kernels["h2"], second, rtol=1e-7)  # arccos near 1 loses half the digits in the oracle
    assert np.allclose(rmtp.layer_kernels(net, X, Z)["h1"], 1.69 * X @ Z.T / 3 + 0.04, rtol=1e-13)
    with pytest.raises(E.BadParameter, match="name"):
        rmtp.layer_kernels(relu_net, X)


def test_kernels_of_layers_state_their_own_method_and_error():
    def net(phi):
        def f(x):
            for layer in (1, 2, 3):
                x = phi(dense(x, n, 1.3, 0.2).named(f"h{layer}"))
            return readout(x)

        return f

    close = X[:1] + np.array([[0.0], [1e-7]]) * X[1:2]
    for phi, method, error in ((rmtp.relu, "closed form", 1e-13), (np.tanh, "quadrature", 1e-10)):
        found = rmtp.layer_kernels(net(phi), close)
        assert {(k.method, k.error) for k in found.values()} == {(method, error)}
        whole = rmtp.nngp(net(phi), close)
        assert (whole.method, whole.error) == (method, error)
    one = rmtp.layer_kernels(net(rmtp.relu), X, X[:1])
    np.testing.assert_array_equal(one["h3"][0, 0], rmtp.layer_kernels(net(rmtp.relu), X)["h3"][0, 0])


def test_derivatives_by_hyperparameters():
    """erf, one layer: K = v^2 (2/pi) asin(2 c / r), differentiated in mpmath at 30 digits."""
    family = lambda w, b, v: lambda x: readout(erf(dense(x, n, w, b)), v)  # noqa: E731
    theta = (1.4, 0.3, 0.8)
    K, dK = rmtp.kernel_gradients(family, theta, X[:2])
    gram = X[:2] @ X[:2].T / 3

    def entry(w, b, v):
        c, u, s = (w**2 * mpmath.mpf(float(g)) + b**2 for g in (gram[0, 1], gram[0, 0], gram[1, 1]))
        return v**2 * 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt((1 + 2 * u) * (1 + 2 * s)))

    with mpmath.workdps(30):
        for k in range(3):
            order = tuple(int(j == k) for j in range(3))
            expected = float(mpmath.diff(entry, tuple(mpmath.mpf(t) for t in theta), order))
            assert dK[k, 0, 1] == pytest.approx(expected, rel=1e-9)
        assert K[0, 1] == pytest.approx(float(entry(*map(mpmath.mpf, theta))), rel=1e-13)
    with pytest.raises(E.BadParameter):
        rmtp.kernel_gradients(family, (0.0, 1.0, 1.0), X[:2])


def test_gradient_norms_in_depth_and_in_time():
    """A ReLU network multiplies squared gradients by weight_std^2 / 2 per layer; an identity RNN by vw per step."""
    norms = list(rmtp.gradient_norms(mlp(n, 5, rmtp.relu, weight_std=1.2), X[0]).values())
    assert norms == pytest.approx([0.5 * 0.72**k for k in range(4)], rel=1e-12)
    named = rmtp.gradient_norms(lambda x: readout(rmtp.relu(dense(dense(x, n), n).named("own"))), X[0])
    assert list(named) == ["h1"]

    def linear_rnn(x):
        U, W = input_weights(n, 1), rmtp.Gaussian(n, n, variance=0.8)
        h = U @ x[0]
        for t in (1, 2, 3):
            h = W @ h + U @ x[t]
        return readout(h)

    assert list(rmtp.gradient_norms(linear_rnn, np.ones((4, 1))).values()) == pytest.approx([1, 0.8, 0.64], rel=1e-12)


# ---------------------------------------------------------------------------------------------
# what is trained, and by which width


def _erf_parts(sw, sb):
    gram = X @ X.T / 3
    cov = sw**2 * gram + sb**2
    root = np.sqrt(np.outer(1 + 2 * np.diag(cov), 1 + 2 * np.diag(cov)))
    return gram, cov, 2 / np.pi * np.arcsin(2 * cov / root), 4 / (np.pi * np.sqrt(root**2 - 4 * cov**2))


def test_standard_and_mup_by_hand():
    """Two layers f = v . erf(W erf(U x + b) + b') with kernels typed: what moves, and at which weight."""

    def net(x):
        x = erf(dense(x, n, 1.5, 0.4))
        return readout(erf(dense(x, n, 1.2, 0.3)), 0.7, 0.2)

    gram, _, first, slope1 = _erf_parts(1.5, 0.4)
    cov = 1.44 * first + 0.09
    root = np.sqrt(np.outer(1 + 2 * np.diag(cov), 1 + 2 * np.diag(cov)))
    second, slope2 = 2 / np.pi * np.arcsin(2 * cov / root), 4 / (np.pi * np.sqrt(root**2 - 4 * cov**2))
    d2 = 0.49 * slope2
    d1 = 1.44 * d2 * slope1
    standard = second + d2 * first
    assert np.allclose(rmtp.ntk(net, X, parametrization="standard"), standard, rtol=1e-12)
    mup = standard + d2 + d1 * (3 * gram + 1) + 1  # biases, input weights without 1/d, the output bias
    assert np.allclose(rmtp.ntk(net, X, parametrization="mup"), mup, rtol=1e-12)


def test_a_readout_divides_by_the_size_of_its_own_vector():
    """f = v . x / sqrt(m): the ratio of the last width is invisible, in both kernels and at finite width."""
    m = rmtp.Dim("m", 3)
    nets = [lambda x, w=w: readout(erf(dense(erf(dense(x, n)), w, 1.3, 0.1)), 0.8) for w in (n, m)]
    for a, b in zip(*(rmtp.nngp_ntk(net, X) for net in nets), strict=True):
        assert np.allclose(a, b, rtol=1e-13)
    for p in ("ntk", "yang", "standard", "mup"):
        draws = np.array([init(nets[1], 64, s, (3,)).ntk(X[:1], parametrization=p)[0, 0] for s in range(60)])
        error = draws.std(ddof=1) / np.sqrt(60)
        assert abs(draws.mean() - rmtp.ntk(nets[1], X[:1], parametrization=p)[0, 0]) < 4.5 * error + 2 / 64


def test_equal_patches_are_exactly_parallel():
    """On a constant image a circular convolution is a dense layer: pooled kernels are those of a perceptron, kinks and all."""
    colour = np.array([[0.3, -1.1, 0.7], [1.0, 0.2, -0.4]])
    image = np.broadcast_to(colour[:, None, :], (2, 5, 3))

    def cnn(x):
        for _ in range(3):
            x = rmtp.relu(conv(x, n, 3, 1.3, 0.2, padding="CIRCULAR"))
        return readout(global_pool(x))

    def perceptron(x):
        for _ in range(3):
            x = rmtp.relu(dense(x, n, 1.3, 0.2))
        return readout(x)

    for a, b in zip(rmtp.nngp_ntk(cnn, image), rmtp.nngp_ntk(perceptron, colour), strict=True):
        assert np.allclose(a, b, rtol=1e-13, atol=0)
    # of period two, three times over: most equal patches meet across positions; read off a cosine this is 1e-9 off
    patches = np.random.default_rng(0).standard_normal((2, 2, 3))
    for a, b in zip(rmtp.nngp_ntk(cnn, np.tile(patches, (1, 3, 1))), rmtp.nngp_ntk(cnn, patches), strict=True):
        assert np.allclose(a, b, rtol=1e-13, atol=0)
