"""Neural networks: forward kernels, gradients, where gradient independence fails, and one step of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import erf, pi, sqrt
from typing import Any

import numpy as np

from ..ensembles import Dim
from ..language import Gaussian, Normal, constant, relu
from .figures import comparison
from .jacobians import sech2, step
from .oracles import gauss, grid
from .table import Claim, Derivation, Row, check

HALF = Fraction(1, 2)


def gradient_independence_rows() -> tuple[Row, ...]:
    n = Dim("n")
    W = Gaussian(n, n, name="W")
    h = W @ constant(n, 1)
    dx = W.T @ (2 * h)  # the gradient of mean(h**2), times n
    claims = [
        Claim("E dx", np.mean(dx), Fraction(2)),
        Claim("E dx^2", np.mean(dx**2), Fraction(8)),
        Claim("E dx^3", np.mean(dx**3), Fraction(32)),
        Claim("naive E dx", np.mean(dx), Fraction(0), naive=True),
        Claim("naive E dx^2", np.mean(dx**2), Fraction(4), naive=True),
        Claim("naive E dx^3", np.mean(dx**3), Fraction(0), naive=True),
    ]
    # TP0, section 6: f = sum phi(Wx), phi = x^2 / 2, so df/dx = W.T W x has the mean of x
    x = Normal(n, mean=Fraction(3, 2), name="x")
    gradient = np.mean(W.T @ (W @ x))
    claims += [
        Claim("mean of W.T W x", gradient, Fraction(3, 2)),
        Claim("naive mean of W.T W x", gradient, Fraction(0), naive=True),
    ]
    return check(claims, exact=True)


def forward_rows() -> tuple[Row, ...]:
    """q_l = s^2 E phi(h)^2 + b^2, for tanh by quadrature and for relu in rationals."""
    n = Dim("n")
    rows: list[Row] = []
    for name, phi in (("tanh", np.tanh), ("ReLU", relu)):
        h, claims = Normal(n, cov=1, name="h"), []
        q: Any = Fraction(1)
        for layer in range(2, 5):
            W = Gaussian(n, n, variance=Fraction(3, 2), name=f"W{layer}")
            h = W @ phi(h) + Normal(n, cov=Fraction(1, 10))
            q = (
                1.5 * gauss(lambda x: np.tanh(x) ** 2, q) + 0.1
                if phi is np.tanh
                else Fraction(3, 4) * q + Fraction(1, 10)
            )
            claims.append(Claim(f"{name}, Var h{layer}", np.mean(h * h), q))
        rows += check(claims, exact=phi is relu)
    return tuple(rows)


def relu_pair(x: float, y: float, c: float) -> tuple[float, float]:
    """E relu relu and E step step for a Gaussian pair with variances x, y and covariance c (Cho & Saul 2009)."""
    angle = float(np.arccos(np.clip(c / sqrt(x * y), -1, 1)))
    return sqrt(x * y) * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi), (pi - angle) / (2 * pi)


def ntk_rows() -> tuple[Row, ...]:
    """Theta = sum over parameters of E[dy dy'] E[z z']; an input xi in R^m enters as W xi."""
    claims = []
    for q in (Fraction(1), Fraction(7, 4), Fraction(3)):
        kernel = relu_ntk([[q, q], [q, q]], same=True)
        claims.append(Claim(f"Theta, |xi|^2/m = {q}", kernel, Fraction(3, 4) * q + Fraction(7, 4)))
    rows = check(claims, exact=True)
    first = 0.5  # xi . xi' / m for two inputs of norm 1
    forward, slope = relu_pair(2.0, 2.0, first + 1)
    second, slope2 = relu_pair(2.0, 2.0, forward + 1)
    theory = second + slope2 * (forward + 1) + slope2 * slope * (first + 1)
    pair = relu_ntk([[1, HALF], [HALF, 1]], same=False)
    return rows + check([Claim("Theta, xi.xi'/m = 1/2", pair, theory)], seed=1)


def relu_ntk(inputs: Sequence[Sequence[Any]], same: bool) -> Any:
    """The tangent kernel of f = v . relu(W relu(U xi + b1) + b2) / sqrt(n); `inputs` holds xi.xi'/m."""
    n = Dim("n")
    W, v = Gaussian(n, n, name="W"), Normal(n, name="v")
    first = Normal(n, mean=(0, 0), cov=inputs, name=("u", "u'"))
    bias, bias2 = Normal(n, name="b1"), Normal(n, name="b2")
    hidden, deltas = [], []
    for u in first:
        h1 = u + bias
        x1 = relu(h1)
        h2 = W @ x1 + bias2
        x2 = relu(h2)
        dh2 = v * step(h2)
        dh1 = (W.T @ dh2) * step(h1)
        hidden.append((x1, x2))
        deltas.append((dh1, dh2))
    (x1, x2), (y1, y2) = hidden[0], hidden[0 if same else 1]
    (dh1, dh2), (dg1, dg2) = deltas[0], deltas[0 if same else 1]
    return np.mean(x2 * y2) + np.mean(dh2 * dg2) * (np.mean(x1 * y1) + 1) + np.mean(dh1 * dg1) * (inputs[0][1] + 1)


def mean_pool_rows() -> tuple[Row, ...]:
    """f = mean phi(h3): dx2 = Zhat + a2 x2, dx1 = Zhat + a1 x1 with Z-Dot that gradient independence drops."""
    n, s2 = Dim("n"), Fraction(36, 25)
    phi, slope, bend = shifted_tanh()
    h1 = Normal(n, cov=Fraction(3, 2), name="h1")
    W2, W3 = Gaussian(n, n, variance=s2, name="W2"), Gaussian(n, n, variance=s2, name="W3")
    x1 = np.tanh(h1 + HALF)
    h2 = W2 @ x1
    x2 = np.tanh(h2 + HALF)
    h3 = W3 @ x2
    dh2 = sech2(h2 + HALF) * (W3.T @ sech2(h3 + HALF))
    dx1 = W2.T @ dh2
    dh1 = sech2(h1 + HALF) * dx1

    s = float(s2)
    q1 = 1.5
    q2 = s * gauss(lambda x: phi(x) ** 2, q1)
    q3 = s * gauss(lambda x: phi(x) ** 2, q2)
    last = s * gauss(lambda x: slope(x) ** 2, q3)  # Var of the hat of dx2
    a2 = s * gauss(bend, q3)
    naive2 = last * gauss(lambda x: slope(x) ** 2, q2)
    true2 = naive2 + a2**2 * gauss(lambda x: (phi(x) * slope(x)) ** 2, q2)
    a1 = s * a2 * gauss(lambda x: slope(x) ** 2 + phi(x) * bend(x), q2)
    true1 = s * true2 * gauss(lambda x: slope(x) ** 2, q1) + a1**2 * gauss(lambda x: (phi(x) * slope(x)) ** 2, q1)
    naive1 = s * naive2 * gauss(lambda x: slope(x) ** 2, q1)
    mean1 = a1 * gauss(phi, q1)
    claims = [
        Claim("E dh2^2", np.mean(dh2**2), true2),
        Claim("E dx1", np.mean(dx1), mean1),
        Claim("E dx1 x1", np.mean(dx1 * x1), a1 * q2 / s),
        Claim("E dh1^2", np.mean(dh1**2), true1),
        Claim("naive E dh2^2", np.mean(dh2**2), naive2, naive=True),
        Claim("naive E dx1", np.mean(dx1), 0.0, naive=True),
        Claim("naive E dh1^2", np.mean(dh1**2), naive1, naive=True),
    ]
    return check(claims, trials=200)


def shifted_tanh() -> tuple[Callable[[float], float], Callable[[float], float], Callable[[float], float]]:
    """tanh(x + 1/2), its slope and its second derivative."""
    return (
        lambda x: np.tanh(x + 0.5),
        lambda x: np.cosh(x + 0.5) ** -2,
        lambda x: -2 * np.tanh(x + 0.5) * np.cosh(x + 0.5) ** -2,
    )


def layernorm_rows() -> tuple[Row, ...]:
    """LayerNorm forward between W, W.T and W, and its backward pass."""
    n, eps = Dim("n"), Fraction(1, 100)
    W, x = Gaussian(n, n, name="W"), Normal(n, mean=HALF, name="x")
    h1 = W @ x
    r = relu(h1 + Fraction(3, 10))
    nu, va = np.mean(r), np.mean((r - np.mean(r)) ** 2)
    y1 = (r - nu) / np.sqrt(va + eps)
    g = W.T @ y1
    nu2, va2 = np.mean(g), np.mean((g - np.mean(g)) ** 2)
    y2 = np.tanh((g - nu2) / np.sqrt(va2 + eps))
    h2 = W @ y2
    dy = Normal(n, name="dy") + np.sin(h1)
    back = (dy - np.mean(dy) - y1 * np.mean(dy * y1)) / np.sqrt(va + eps)

    q, cut = 1.25, -0.3
    mean = gauss(lambda u: max(u + 0.3, 0.0), q, kinks=[cut])
    var = gauss(lambda u: max(u + 0.3, 0.0) ** 2, q, kinks=[cut]) - mean**2
    scale = sqrt(var + 0.01)
    c = 0.5 * (1 + erf(0.3 / sqrt(2 * q))) / scale  # E of the slope of y1
    var2 = var / scale**2 + c * c
    u2 = var2 / (var2 + 0.01)
    d = gauss(lambda u: np.cosh(u) ** -2, u2) / sqrt(var2 + 0.01)
    square = gauss(lambda u: np.tanh(u) ** 2, u2)

    def y(u: float) -> float:
        return (max(u + 0.3, 0.0) - mean) / scale

    m0 = gauss(np.sin, q)
    m1 = gauss(lambda u: np.sin(u) * y(u), q, kinks=[cut])
    through = 1 + gauss(lambda u: (np.sin(u) - m0 - m1 * y(u)) ** 2, q, kinks=[cut])
    claims = [
        Claim("nu", nu, mean),
        Claim("va", va, var),
        Claim("nu2", nu2, 0.5 * c),
        Claim("va2", va2, var2),
        Claim("E g x", np.mean(g * x), 1.25 * c),
        Claim("E h2^2", np.mean(h2**2), square + 2 * d * c * c * d + d * d * var / scale**2),
        Claim("E h2 y1", np.mean(h2 * y1), c * d * c + d * var / scale**2),
        Claim("backward, E dr^2", np.mean(back**2), through / scale**2),
        Claim("backward, E dr y1", np.mean(back * y1), m1 * (1 - var / scale**2) / scale),
    ]
    return check(claims)


def autoencoder_rows() -> tuple[Row, ...]:
    """Encoder W1, W2 and decoder W2.T, W1.T of widths 1 : 1/2 : 1/4, tanh inside and relu on the way back."""
    n0, n1, n2 = Dim("n0"), Dim("n1", Fraction(1, 2)), Dim("n2", Fraction(1, 4))
    s2 = Fraction(3, 2)
    W1, W2 = Gaussian(n1, n0, variance=s2, name="W1"), Gaussian(n2, n1, variance=s2, name="W2")
    tenth, twentieth = Fraction(1, 10), Fraction(1, 20)
    x, b1, b2 = Normal(n0, name="x"), Normal(n1, cov=tenth, name="b1"), Normal(n2, cov=tenth, name="b2")
    s0 = np.tanh(x)
    x1 = W1 @ s0 + b1
    s1 = np.tanh(x1)
    x2 = W2 @ s1 + b2
    back2 = W2.T @ relu(x2) + Normal(n1, cov=twentieth, name="v2")
    back1 = W1.T @ relu(back2) + Normal(n0, cov=twentieth, name="v1")

    e0 = gauss(lambda u: np.tanh(u) ** 2)
    q1 = 1.5 * e0 + 0.1
    e1 = gauss(lambda u: np.tanh(u) ** 2, q1)
    q2 = 1.5 * e1 + 0.1
    c = 0.75 / 2  # s^2 times the ratio 1/2, times P(x2 > 0)
    second = 0.75 * q2 / 2 + c * c * e1 + 0.05
    d = 0.75 * c / 2 * gauss(lambda u: np.cosh(u) ** -2, q1)
    first = 0.75 * second / 2 + d * d * e0 + 0.05
    claims = [
        Claim("E x1^2", np.mean(x1**2), q1),
        Claim("E x2^2", np.mean(x2**2), q2),
        Claim("E decoded2 . tanh x1", np.mean(back2 * s1), c * e1),
        Claim("E decoded2^2", np.mean(back2**2), second),
        Claim("E decoded1 . tanh x", np.mean(back1 * s0), d * e0),
        Claim("E decoded1^2", np.mean(back1**2), first),
        Claim("reconstruction error", np.mean((back1 - x) ** 2), first - 2 * d * gauss(lambda u: u * np.tanh(u)) + 1),
    ]
    return check(claims, trials=200)


def resnet_rows() -> tuple[Row, ...]:
    """h_l = W relu(h_{l-1}) + h_{l-1}, one W: K(l, m) accumulates s^2 E relu relu over all pairs of layers."""
    n, s2 = Dim("n"), Fraction(3, 5)
    W, h = Gaussian(n, n, variance=s2, name="W"), Normal(n, name="h0")
    hs = [h]
    for _ in range(3):
        h = W @ relu(h) + h
        hs.append(h)
    K = np.ones((4, 4))
    G = np.zeros((4, 4))
    for a in range(1, 4):
        for b in range(1, a + 1):
            G[a, b] = G[b, a] = float(s2) * relu_pair(K[a - 1, a - 1], K[b - 1, b - 1], K[a - 1, b - 1])[0]
        for b in range(a + 1):
            K[a, b] = K[b, a] = 1 + G[1 : a + 1, 1 : b + 1].sum()
    pairs = ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3))
    return check([Claim(f"K({a}, {b})", np.mean(hs[a] * hs[b]), float(K[a, b])) for a, b in pairs])


def linear_mup_rows() -> tuple[Row, ...]:
    """f = mean(u v) xi trained on four points, one after the other, at rate 1/2: the limit moves, in rationals."""
    n = Dim("n")
    u, v = Normal(n, name="u"), Normal(n, name="v")
    data = [
        (Fraction(1), Fraction(1)),
        (Fraction(-1, 2), Fraction(3, 10)),
        (Fraction(4, 5), Fraction(-1)),
        (Fraction(6, 5), HALF),
    ]
    A, B, C, D = Fraction(1), Fraction(0), Fraction(0), Fraction(1)
    claims = []
    for t, (xi, target) in enumerate(data):
        f = np.mean(u * v) * xi
        claims.append(Claim(f"linear, f at step {t}", f, (A * C + B * D) * xi))
        chi = HALF * (f - target)
        u, v = u - chi * xi * v, v - chi * xi * u
        known = HALF * ((A * C + B * D) * xi - target) * xi
        A, B, C, D = A - known * C, B - known * D, C - known * A, D - known * B
    return check(claims, exact=True)


def mup_rows() -> tuple[Row, ...]:
    """One SGD step of f = mean(v tanh(W tanh(u xi))) from xi = 1, y = 1, rate 1; then the forward pass of xi = 7/10."""
    n, old, new, chi = Dim("n"), Fraction(1), Fraction(7, 10), Fraction(-1)
    u, v, W = Normal(n, name="u"), Normal(n, name="v"), Gaussian(n, n, name="W")
    x0 = np.tanh(old * u)
    b0 = W @ x0
    db0 = v * sech2(b0)
    du = sech2(old * u) * (W.T @ db0) * old
    x1 = np.tanh(new * (u - chi * du))
    overlap = np.mean(x0 * x1)
    y = W @ x1
    b1 = y - chi * db0 * overlap
    f1 = np.mean((v - chi * np.tanh(b0)) * np.tanh(b1))
    known = mup_oracle(1.0, 0.7, -1.0)
    claims = [
        Claim("tanh, f after one step", f1, known[0]),
        Claim("tanh, E x0 x1", overlap, known[1]),
        Claim("tanh, E (W x1)^2", np.mean(y**2), known[2]),
        Claim("tanh, E W x1 . dh0", np.mean(y * db0), known[3]),
        Claim("naive, E W x1 . dh0", np.mean(y * db0), 0.0, naive=True),
    ]
    return linear_mup_rows() + check(claims, seed=1)


def mup_oracle(old: float, new: float, chi: float) -> tuple[float, float, float, float]:
    """The same four numbers by product rules over (u, hat of W.T dh0) and over (two hats, v)."""
    z, w = grid()

    def slope(x: Any) -> Any:
        return np.cosh(x) ** -2.0

    q0 = gauss(lambda a: np.tanh(a) ** 2, old**2)
    delta = gauss(lambda a: slope(a) ** 2, q0)
    u, hat = z[:, None], sqrt(delta) * z[None, :]
    h1 = new * (u - chi * old * slope(old * u) * hat)
    overlap = float(w @ (np.tanh(old * u) * np.tanh(h1)) @ w)
    q1 = float(w @ np.tanh(h1) ** 2 @ w)
    c = float(w @ (slope(h1) * -chi * old * new * slope(old * u)) @ w)
    a, b, v = z[:, None, None], z[None, :, None], z[None, None, :]
    g0, g1 = sqrt(q0) * a, overlap / sqrt(q0) * a + sqrt(q1 - overlap**2 / q0) * b
    inside = (v - chi * np.tanh(g0)) * np.tanh(g1 + (c - chi * overlap) * v * slope(g0))
    return float(w @ (inside @ w) @ w), overlap, q1 + c * c * delta, c * delta


NETWORKS = (
    Derivation(
        "gradient-independence",
        "Where treating W.T as independent is wrong",
        "TP II (2006.14548) section 6.3; TP0 (1902.04760) section 6",
        gradient_independence_rows,
        comparison,
        "TP III, appendix C, prints E dx = 1; it is 2.",
    ),
    Derivation(
        "mlp-forward",
        "Signal propagation in a multilayer perceptron",
        "TP0 (1902.04760) Eq. 1; TP III (2009.10685) Example 2.4",
        forward_rows,
        comparison,
    ),
    Derivation(
        "ntk-relu",
        "The tangent kernel of a two-hidden-layer ReLU network: 3/4 |xi|^2/m + 7/4",
        "TP II (2006.14548) appendix E.1; Cho & Saul 2009",
        ntk_rows,
        comparison,
    ),
    Derivation(
        "mean-pool",
        "Gradients under a mean-pool readout: gradient independence fails",
        "TP0 (1902.04760) appendix D.1, corrected",
        mean_pool_rows,
        comparison,
        "The printed recursion has V phi where V(phi phi') belongs; the samples decide for the latter.",
    ),
    Derivation(
        "layernorm",
        "LayerNorm, forward and backward: scalars inside the program",
        "TP II (2006.14548) appendix D, Eq. 30-34",
        layernorm_rows,
        comparison,
    ),
    Derivation(
        "tied-autoencoder",
        "An autoencoder whose decoder is the transpose of its encoder",
        "TP0 (1902.04760) Corollary D.12",
        autoencoder_rows,
        comparison,
        "Item 1 prints N(0, tau); tau is a standard deviation there, so the variance is tau^2.",
    ),
    Derivation(
        "tied-resnet-forward",
        "A residual network with one matrix for all layers",
        "TP0 (1902.04760) D.13-16",
        resnet_rows,
        comparison,
    ),
    Derivation(
        "mu-p",
        "Feature learning: a step of SGD in the maximal update parametrisation",
        "TP IV (2011.14522) Corollary 6.2 and section 6.3",
        mup_rows,
        comparison,
        "After one step W x is correlated with the old gradient through Z-Dot; the naive answer is 0.",
    ),
)
