"""What the language and the rules of the theorem promise: identities that hold for every program, shown on some."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import exp, pi, sqrt
from typing import Any

import numpy as np
from scipy.special import ndtr

from ..ensembles import ENTRY_LAWS, Dim
from ..handles import Node
from ..language import Gaussian, Normal, program, relu
from ..limit import limit
from ..program import width_classes
from ..results import Estimate
from ..sample import sample
from .figures import comparison
from .jacobians import sech2, step
from .oracles import gauss
from .table import Claim, Derivation, Row, check

HALF = Fraction(1, 2)


def transpose_rows() -> tuple[Row, ...]:
    """Z^{W.T W v} = Zhat + Z^v."""
    n = Dim("n")
    W, v = Gaussian(n, n, name="W"), Normal(n, name="v")
    z = W.T @ (W @ v)
    claims = [
        Claim("E Z^v Z", np.mean(v * z), Fraction(1)),
        Claim("E Z^2", np.mean(z * z), Fraction(2)),
        Claim("E Z^4", np.mean(z**4), Fraction(12)),
        Claim("Zdot coefficient of v", limit(z, exact=True).zdot["v"], Fraction(1)),
        Claim("naive E Z^v Z", np.mean(v * z), Fraction(0), naive=True),
        Claim("naive E Z^2", np.mean(z * z), Fraction(1), naive=True),
    ]
    return check(claims, exact=True)


def stein_rows() -> tuple[Row, ...]:
    """sign, step and relu between W and W.T: the derivatives of Z-Dot exist by Stein's lemma only."""
    n = Dim("n")
    W, x, y = Gaussian(n, n, name="W"), Normal(n, name="x"), Normal(n, mean=Fraction(2, 5), name="y")
    h1 = W @ x
    s1 = np.sign(h1)
    g1 = W.T @ s1
    s2 = np.heaviside(g1 + y - Fraction(1, 5), 0)
    h2 = W @ s2

    slope = sqrt(2 / pi)  # E sign'(h) for h ~ N(0, 1)
    spread = sqrt(2 + slope**2)  # of g1 + y
    density = exp(-((0.2 / spread) ** 2) / 2) / (sqrt(2 * pi) * spread)
    share = float(ndtr(0.2 / spread))
    both = density * slope * slope  # E hat(h2) sign(h1)
    claims = [
        Claim("E g1 x", np.mean(g1 * x), slope),
        Claim("E g1^2", np.mean(g1 * g1), 1 + slope**2),
        Claim("P(s2 = 1)", np.mean(s2), share),
        Claim("E h2 s1", np.mean(h2 * s1), density + both),
        Claim("E h2^2", np.mean(h2 * h2), share + 2 * density * both + density**2),
    ]
    return check(claims) + form_rows()


def form_rows() -> tuple[Row, ...]:
    """Z-Dot through derivatives equals Z-Dot through Stein's lemma (TP III, Remark 2.12)."""
    n = Dim("n")
    W, x = Gaussian(n, n, name="W"), Normal(n, name="x")
    h = W @ x
    g = W.T @ (np.tanh(h) + h**2 / 4)
    average = np.mean((W @ np.tanh(g)) * np.sin(h))
    derivative, stein = (limit(average, zdot=form) for form in ("derivative", "stein"))
    return (Row("derivative form = Stein form", derivative, float(stein), analytic_error=float(stein.error)),)


def rectangular_rows() -> tuple[Row, ...]:
    """A of m/n = 2, alternating with its transpose and nonlinearities."""
    n, m = Dim("n"), Dim("m", 2)
    A, v = Gaussian(m, n, name="A"), Normal(m, name="v")
    u1 = A.T @ v
    a1 = np.tanh(u1)
    v1 = A @ a1
    c1 = np.tanh(v1 + HALF * v) + Fraction(1, 5) * v
    u2 = A.T @ c1

    b = gauss(lambda u: np.cosh(u) ** -2, 2.0)
    square = gauss(lambda u: np.tanh(u) ** 2, 2.0)
    w = square + (b + 0.5) ** 2  # the variance of v1 + v/2
    kappa = gauss(lambda u: np.cosh(u) ** -2, w)
    hats = 2 * ((b + 0.5) * kappa + 0.2)  # Cov of the hats of u2 and u1
    c_square = gauss(lambda u: np.tanh(u) ** 2, w) + 0.4 * (b + 0.5) * kappa + 0.04
    claims = [
        Claim("E u1^2", np.mean(u1**2), 2.0),
        Claim("E v1 v", np.mean(v1 * v), b),
        Claim("E v1^2", np.mean(v1**2), square + b * b),
        Claim("E u2 u1", np.mean(u2 * u1), hats + 4 * kappa * b),
        Claim("E u2^2", np.mean(u2**2), 2 * c_square + 4 * kappa * hats * b + 4 * kappa**2 * square),
    ]
    return check(claims)


def adjunction_rows() -> tuple[Row, ...]:
    """E Z^y Z^{Wx} = E Z^{W.T y} Z^x / ratio, for vectors that saw W before (TP III, Lemma L.3)."""
    rows: list[Row] = []
    for ratio in (Fraction(2), Fraction(1, 3), Fraction(3, 2)):
        n, m = Dim("n"), Dim("m", ratio)
        W, u, v = Gaussian(m, n, name="W"), Normal(n, name="u"), Normal(m, name="v")
        x = (W.T @ v) ** 2 * u + W.T @ (W @ u)
        y = (W @ u) ** 2 + v * (W @ (W.T @ v))
        left, right = limit([np.mean(y * (W @ x)), np.mean((W.T @ y) * x)], exact=True)
        rows += check([Claim(f"ratio {ratio}, polynomial", np.mean(y * (W @ x)), right.value / ratio)], exact=True)
        x, y = relu(W.T @ v) + u, np.tanh(W @ u) + v
        left, right = limit([np.mean(y * (W @ x)), np.mean((W.T @ y) * x)])
        allowed = float(right.error) / float(ratio)
        rows.append(Row(f"ratio {ratio}, relu and tanh", left, float(right) / float(ratio), analytic_error=allowed))
    return tuple(rows)


def rewriting_rows() -> tuple[Row, ...]:
    """Equal functions written differently have one limit, though single derivatives differ (TP III, Remark 2.11)."""
    n = Dim("n")
    W = Gaussian(n, n, name="W")
    y, z = Normal(n, mean=(0, 0), cov=[[1, HALF], [HALF, 2]], name=("y", "z"))
    joint, split = W.T @ (W @ (y + z)) ** 3, W.T @ (W @ y + W @ z) ** 3
    rows = check([Claim("cubic: E g (y + z)", np.mean(split * (y + z)), Fraction(48))], exact=True)
    first, second = limit([np.mean(joint**2), np.mean(split**2)], exact=True)
    rows += (Row("cubic: E g^2, W(y + z) = Wy + Wz", first, second.value),)
    first, second = limit([np.mean((W.T @ np.tanh(W @ (y + z))) * y), np.mean((W.T @ np.tanh(W @ y + W @ z)) * y)])
    theory = 1.5 * gauss(lambda u: np.cosh(u) ** -2, 4.0)
    rows += (Row("tanh: W(y + z)", first, theory), Row("tanh: Wy + Wz", second, theory))
    # the same arrays with W renamed as a transpose: ratio r -> 1/r, variance s^2 -> r s^2
    m = Dim("m", 2)
    V, V_renamed, u = Gaussian(m, n, name="V"), Gaussian(n, m, variance=2, name="V'"), Normal(n, name="u")
    first, second = limit(
        [np.mean((V.T @ (V @ u) ** 3) ** 2), np.mean((V_renamed @ (V_renamed.T @ u) ** 3) ** 2)], exact=True
    )
    return (*rows, Row("W renamed as W.T", first, second.value))


def cdc_rows() -> tuple[Row, ...]:
    """Common dimension classes: hidden widths of an MLP are free of each other, those of a recurrent net are not."""
    n1, n2 = Dim("n1"), Dim("n2", 2)
    W, v = Gaussian(n2, n1, name="W"), Normal(n2, name="v")
    x1 = relu(Normal(n1, name="h1"))
    x2 = relu(W @ x1)
    dh2 = v * step(x2)
    dx1 = W.T @ dh2
    classes = classes_of(x2, dx1)
    n = Dim("n")
    U, s = Gaussian(n, n, name="U"), Normal(n, name="s0")
    for _ in range(3):
        s = np.tanh(U @ s + Normal(n))
    recurrent = classes_of(s)
    return (
        _count("MLP: number of classes", classes(None), 2),
        _count("MLP: x1 and dx1 share a class", classes((x1, dx1)), 1),
        _count("MLP: x2 and dh2 share a class", classes((x2, dh2)), 1),
        _count("MLP: x1 and x2 share a class", classes((x1, x2)), 0),
        _count("RNN: number of classes", recurrent(None), 1),
    )


def classes_of(*handles: Node) -> Callable[[tuple[Node, Node] | None], int]:
    """Questions to the inferred classes: how many (None), or whether two vectors share one (1 or 0)."""

    def answer(pair: tuple[Node, Node] | None) -> int:
        if pair is None:
            return len(width_classes(program(*handles)))
        lowered = program(*pair, *handles)
        first, second = lowered.outputs[:2]
        return int(any(first in group and second in group for group in width_classes(lowered)))

    return answer


def _count(quantity: str, found: int, expected: int) -> Row:
    return Row(quantity, Estimate(Fraction(found), 0, "union-find"), Fraction(expected))


def coordinates_rows() -> tuple[Row, ...]:
    """Different coordinates are asymptotically independent (TP III, Theorem A.6): products of coordinates 1 and 2."""
    n = Dim("n")
    W, x = Gaussian(n, n, name="W"), Normal(n, name="x")
    g = W.T @ np.tanh(W @ x)

    def product(f: Callable[[Any], Any]) -> Callable[[int, np.random.Generator, int], np.ndarray]:
        def draw(width: int, rng: np.random.Generator, trials: int) -> np.ndarray:
            values = np.asarray(sample(g, width, rng=rng, trials=trials))
            left, right = f(values[:, 0::2]), f(values[:, 1::2])
            return np.mean(left * right, axis=1)

        return draw

    var = gauss(lambda u: np.tanh(u) ** 2, 1.0) + gauss(lambda u: np.cosh(u) ** -2, 1.0) ** 2
    rows = []
    for name, f, one in (
        ("g1^2 g2^2", np.square, var),
        ("|g1| |g2|", np.abs, sqrt(2 * var / pi)),
        ("1[g1 > 1] 1[g2 > 1]", lambda z: np.where(z > 1, 1, 0), float(ndtr(-1 / sqrt(var)))),
    ):
        mean = limit(np.mean(f(g)))
        value = float(mean) ** 2
        engine = Estimate(value, 2 * abs(float(mean)) * float(mean.error), mean.method)
        rows.append(Claim(f"E {name}", engine, one**2, sampler=product(f)))
    return check(rows)


def universality_rows() -> tuple[Row, ...]:
    """Entries of any law with the same variance have the same limits (Golikov & Yang 2022)."""
    rows: list[Row] = []
    theory = gauss(lambda u: np.cosh(u) ** -2, 1.0)
    for k, entries in enumerate(ENTRY_LAWS):
        n = Dim("n")
        W, x = Gaussian(n, n, entries=entries, name="W"), Normal(n, name="x")
        g = W.T @ np.tanh(W @ x)
        square = gauss(lambda u: np.tanh(u) ** 2, 1.0) + theory**2
        claims = [
            Claim(f"{entries}, E g x", np.mean(g * x), theory),
            Claim(f"{entries}, E g^2", np.mean(g * g), square),
        ]
        rows += check(claims, seed=k)
    return tuple(rows)


def detransposition_rows() -> tuple[Row, ...]:
    """The coefficient of Z-Dot in the backward pass of a two-layer network is C^+ b / ratio (TP0, Definition 6.2)."""
    n, m = Dim("n"), Dim("m", 2)
    W, x = Gaussian(m, n, name="W"), Normal(n, name="x")
    x1 = np.tanh(x).named("x1")
    h = W @ x1
    dh = sech2(h + HALF)
    back = W.T @ dh
    q = gauss(lambda u: np.tanh(u) ** 2)
    stein = 2 * gauss(lambda u: u * np.cosh(u + 0.5) ** -2, q) / q  # s^2 ratio E[h dh] / Var h
    return (
        *check([Claim("E (W.T dh) x1", np.mean(back * x1), stein * q)]),
        Row("Zdot coefficient of x1", limit(back).zdot["x1"], stein),
        Row("the same from values alone", limit(back, zdot="stein").zdot["x1"], stein),
    )


LANGUAGE = (
    Derivation(
        "transpose", "W.T W v = Zhat + Z^v", "TP III (2009.10685) Examples 2.5 and 2.8", transpose_rows, comparison
    ),
    Derivation(
        "stein",
        "Functions with jumps: Z-Dot by Stein's lemma",
        "TP III (2009.10685) Remark 2.12",
        stein_rows,
        comparison,
    ),
    Derivation(
        "rectangular",
        "Rectangular matrices: the ratio in Z-Hat and Z-Dot",
        "TP III (2009.10685) Definition F.6 and Remark F.7",
        rectangular_rows,
        comparison,
    ),
    Derivation(
        "detransposition",
        "Backpropagation through a rectangular layer",
        "TP0 (1902.04760) Definition 6.2 and section B.1",
        detransposition_rows,
        comparison,
    ),
    Derivation(
        "adjunction",
        "Moving a matrix from one side of an average to the other",
        "TP III (2009.10685) Lemma L.3",
        adjunction_rows,
        comparison,
        "The analytic column of these rows is the other side of the identity.",
    ),
    Derivation(
        "rewriting",
        "The limit does not depend on how a program is written",
        "TP III (2009.10685) Remark 2.11",
        rewriting_rows,
        comparison,
    ),
    Derivation(
        "cdc",
        "Common dimension classes",
        "TP II (2006.14548) Example C.2; TP III (2009.10685) Example F.4",
        cdc_rows,
    ),
    Derivation(
        "coordinates",
        "Different coordinates become independent",
        "TP III (2009.10685) Theorem A.6",
        coordinates_rows,
        comparison,
    ),
    Derivation(
        "universality",
        "Gaussian, Rademacher, uniform and sparse entries have one limit",
        "Golikov & Yang, Non-Gaussian Tensor Programs (2022), Theorem 2",
        universality_rows,
        comparison,
    ),
)
