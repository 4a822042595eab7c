"""R, S, free cumulants, digits of g, and printed equations, against closed forms and polynomial roots."""

from __future__ import annotations

import math
from fractions import Fraction as F

import mpmath as mp
import numpy as np
import pytest
import scipy.stats

import rmtp
from rmtp import errors

N, M = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)


def gram(rows=N, cols=M, std=1):
    W = rmtp.Gaussian(rows, cols, std, name="W")
    return W @ W.T


def atoms(*values):
    return rmtp.diag(rmtp.IID(N, rmtp.Discrete(list(values))))


def sandwich(*values):
    D = atoms(*values)
    return D @ gram() @ D


def anticommutator():
    X, Y = rmtp.GOE(N, name="X"), rmtp.GOE(N, name="Y")
    return X @ Y + Y @ X


def slope_of_tanh():
    return rmtp.diag(1 - np.tanh(rmtp.Normal(N)) ** 2)


# ---------------------------------------------------------------------------------------------
# free cumulants


CUMULANTS = {
    "semicircle": (lambda: rmtp.GOE(N, 2), lambda j: 4 if j == 2 else 0),
    "marchenko-pastur": (gram, lambda j: F(1, 2) ** (j - 1)),
    "wishart": (lambda: rmtp.Wishart(M, N, 3), lambda j: F(9) ** j * 2 ** (j - 1)),
    # K(w) = 1/w + 2w/(1 - w^2): a difference of two free Poisson laws (Nica & Speicher 1998)
    "anticommutator": (anticommutator, lambda j: 0 if j % 2 else 2),
    "signs": (lambda: rmtp.Invariant(N, [-1, 1]), lambda j: 0 if j % 2 else (-1) ** (j // 2 - 1) * catalan(j // 2 - 1)),
    "shifted": (lambda: gram() - 3 * rmtp.eye(N), lambda j: F(1, 2) ** (j - 1) - 3 * (j == 1)),
    "sum": (lambda: gram() + rmtp.GOE(N), lambda j: F(1, 2) ** (j - 1) + (j == 2)),
}


def catalan(k):
    return math.comb(2 * k, k) // (k + 1)


@pytest.mark.parametrize("name", CUMULANTS)
def test_free_cumulants_are_exact(name):
    make, kappa = CUMULANTS[name]
    found = rmtp.spectrum(make()).free_cumulants(8)
    assert found == [kappa(j) for j in range(1, 9)]
    assert all(isinstance(k, F) for k in found)


def test_free_cumulants_of_nothing_and_of_singular_values():
    assert rmtp.spectrum(rmtp.GOE(N)).free_cumulants(0) == []
    # the quarter circle: m1 = 8/(3 pi), m2 = 1
    mean, variance = rmtp.singular_values(rmtp.Gaussian(N, N)).free_cumulants(2)
    assert mean == pytest.approx(8 / (3 * math.pi), abs=1e-10)
    assert variance == pytest.approx(1 - (8 / (3 * math.pi)) ** 2, abs=1e-10)


# ---------------------------------------------------------------------------------------------
# R


W = np.array([0.1, -0.2, 0.3 + 0.2j, 0.3 - 0.2j, 0.05j, 0.02, 1e-3, 1e-9, 0.0])

R = {
    "semicircle": (lambda: rmtp.GOE(N), lambda w: w),
    "marchenko-pastur": (gram, lambda w: 1 / (1 - w / 2)),
    "wide": (lambda: gram(N, rmtp.Dim("k", ratio=F(1, 2))), lambda w: 1 / (1 - 2 * w)),
    # g = (z - 1/2) / (z (z - 1)), a quadratic for z
    "projection": (lambda: rmtp.Invariant(N, [0, 1]), lambda w: (1 + w / (1 + np.sqrt(1 + w * w))) / 2),
    "anticommutator": (anticommutator, lambda w: 2 * w / (1 - w * w)),
    "sum": (lambda: gram() + rmtp.GOE(N) + 2 * rmtp.eye(N), lambda w: 1 / (1 - w / 2) + w + 2),
}


@pytest.mark.parametrize("name", R)
def test_r_transform_is_the_closed_form(name):
    make, exact = R[name]
    found = rmtp.spectrum(make()).r_transform(W)
    assert found.shape == W.shape
    np.testing.assert_allclose(found, exact(W), rtol=1e-12, atol=1e-300)


def test_projection_formula_of_this_file():
    """The closed form above is the inverse of g of two atoms."""
    z = (R["projection"][1](W[:-1]) * W[:-1] + 1) / W[:-1]
    np.testing.assert_allclose(0.5 / z + 0.5 / (z - 1), W[:-1], rtol=1e-6)


def test_r_transform_keeps_shapes_and_conjugates():
    law = rmtp.spectrum(gram())
    w = np.array([[0.1 + 0.2j, 0.3], [-0.5, -0.2 - 0.4j]])
    assert law.r_transform(w).shape == (2, 2)
    np.testing.assert_allclose(law.r_transform(w.conj()), law.r_transform(w).conj(), rtol=1e-15)
    assert isinstance(law.r_transform(0.25), complex)
    assert law.r_transform(0.25).imag == 0


def test_r_transform_up_to_the_fold_and_not_beyond():
    """K' = 0 at w = +-1 for the semicircle; for Marchenko-Pastur at the edges of ratio 1/2, with z < 0 on the way."""
    law = rmtp.spectrum(rmtp.GOE(N))
    for w in (0.999, -0.999, -0.95j):
        assert law.r_transform(w) == pytest.approx(w, rel=1e-12)
    for w in (1.001, -1.001, 3.0, 2j, 1 + 1j, -1.2 + 0.01j):
        with pytest.raises(errors.OnSpectrum, match="not reached"):
            law.r_transform(w)
    pastur = rmtp.spectrum(gram())
    fold = 1 / (0.5 - math.sqrt(0.5))  # -1/w^2 + (1/2) / (1 - w/2)^2 = 0
    for w in (-1.999, -2.0, -2.001, 0.999 * fold):
        assert pastur.r_transform(w) == pytest.approx(1 / (1 - w / 2), rel=1e-11)
    with pytest.raises(errors.OnSpectrum):
        pastur.r_transform(1.001 * fold)
    with pytest.raises(errors.OnSpectrum):
        pastur.r_transform(np.array([0.1, 1.0]))


@pytest.mark.parametrize(
    "make", [lambda: rmtp.inv(rmtp.GOE(N) + 3 * rmtp.eye(N)), lambda: atoms(-1, 2) + rmtp.GOE(N), lambda: atoms(1, 4)]
)
def test_g_of_k_is_w(make):
    """The definition, also where the series next to 0 comes from an inverse."""
    law = rmtp.spectrum(make())
    w = np.array([1e-4, 1e-3, 0.05, 0.3, -0.1, 0.1 - 0.2j])
    np.testing.assert_allclose(law.stieltjes(law.r_transform(w) + 1 / w), w, rtol=1e-11)


def test_r_transform_of_an_inverse_next_to_zero():
    """kappa_1 = E 1/(3 + x) = g_semicircle(3); kappa_2 = -g'(3) - g(3)^2."""
    law = rmtp.spectrum(rmtp.inv(rmtp.GOE(N) + 3 * rmtp.eye(N)))
    g = (3 - math.sqrt(5)) / 2
    slope = (1 - 3 / math.sqrt(5)) / 2
    w = 1e-5
    assert law.r_transform(w).real == pytest.approx(g + (-slope - g * g) * w, rel=1e-9)
    assert law.r_transform(0).real == pytest.approx(g, rel=1e-12)


@pytest.mark.slow
def test_g_of_k_is_w_with_a_continuous_law():
    J = slope_of_tanh() @ rmtp.Gaussian(N, N)
    law = rmtp.spectrum(J @ J.T)
    w = np.array([1e-3, 0.05, 0.3, -2.0])
    np.testing.assert_allclose(law.stieltjes(law.r_transform(w) + 1 / w), w, rtol=1e-10)


# ---------------------------------------------------------------------------------------------
# S


Y = np.array([-0.3, -0.45, -1e-3, -1e-9, 0.0, 0.05, 0.1, 0.1 + 0.1j, 0.1 - 0.1j, -0.2 + 0.1j])


def covariance():
    """S of the population times 1/(1 + y/2): atoms 1 and 4, y (z - 1)(z - 4) = (5 z - 8) / 2."""

    def population(y):
        b = 5 * y + 2.5
        z = (b + np.sqrt(b * b - 4 * y * (4 * y + 4))) / 2  # y times the large root
        return (1 + y) / z

    return sandwich(1, 2), lambda y: population(y) / (1 + y / 2)


def catalan_product():
    A = rmtp.Gaussian(N, N) @ rmtp.Gaussian(N, N)
    return A @ A.T, lambda y: 1 / (1 + y) ** 2


S = {
    "marchenko-pastur": lambda: (gram(), lambda y: 1 / (1 + y / 2)),
    "wide": lambda: (gram(M, N), lambda y: 1 / (1 + 2 * y)),
    "scaled": lambda: (-3 * gram(), lambda y: -1 / (3 + 1.5 * y)),
    "covariance": covariance,
    "product": catalan_product,
    "projection": lambda: (rmtp.Invariant(N, [0, 1]), lambda y: (1 + y) / (0.5 + y)),
}


@pytest.mark.parametrize("name", S)
def test_s_transform_is_the_closed_form(name):
    expression, exact = S[name]()
    np.testing.assert_allclose(rmtp.spectrum(expression).s_transform(Y), exact(Y), rtol=1e-11)


def test_s_transforms_multiply():
    D = atoms(1, 2, 3)
    law = rmtp.spectrum(D @ rmtp.Invariant(N, [1, 5]) @ D)
    y = np.array([-0.9, -0.5, -0.1, 0.2, 0.1 - 0.2j])
    one, two = (rmtp.spectrum(rmtp.Invariant(N, x)).s_transform(y) for x in ([1, 4, 9], [1, 5]))
    np.testing.assert_allclose(law.s_transform(y), one * two, rtol=1e-11)


def test_s_transform_stops_at_the_mass_at_zero():
    """W W.T of ratio 2 has mass 1/2 at 0: z g(z) - 1 > -1/2 for z < 0."""
    law = rmtp.spectrum(gram(M, N))
    assert law.s_transform(-0.499) == pytest.approx(1 / (1 - 0.998), rel=1e-9)
    with pytest.raises(errors.OnSpectrum, match=r"z g\(z\) - 1"):
        law.s_transform(-0.55)


def test_transforms_that_do_not_exist():
    for mean_zero in (rmtp.GOE(N), anticommutator(), gram() - rmtp.eye(N)):
        with pytest.raises(errors.BadParameter, match="mean 0"):
            rmtp.spectrum(mean_zero).s_transform(0.1)
    unbounded = rmtp.spectrum(rmtp.diag(rmtp.Normal(N)) + rmtp.GOE(N))
    with pytest.raises(errors.UnsupportedOperation, match="not compact"):
        unbounded.r_transform(0.1)
    with pytest.raises(errors.UnsupportedOperation, match="not compact"):
        unbounded.s_transform(0.1)
    quarter = rmtp.singular_values(rmtp.Gaussian(N, N))
    for transform in (quarter.r_transform, quarter.s_transform):
        with pytest.raises(errors.UnsupportedOperation, match=r"law\.square"):
            transform(0.1)
    semicircle = rmtp.spectrum(rmtp.GOE(N))
    for bad in (float("nan"), "a", np.array([0.1, np.inf])):
        with pytest.raises(errors.BadParameter):
            semicircle.r_transform(bad)


# ---------------------------------------------------------------------------------------------
# digits


def root(coefficients, z):
    """The root w(z) of a polynomial that is 1/z at infinity: to nearest roots along a ray, then Newton's method."""
    z = mp.mpmathify(z)
    w = None
    for k in range(240, -1, -1):
        here = complex(z) * 10 ** (k / 80)
        target = 1 / here if w is None else w
        found = np.roots(np.array([complex(c) for c in coefficients(mp.mpmathify(here))]))
        w = found[np.argmin(np.abs(found - target))]
    w, exact = mp.mpc(complex(w)), coefficients(z)
    for _ in range(9):
        value = slope = mp.mpf(0)
        for c in exact:
            value, slope = value * w + c, slope * w + value
        w -= value / slope
    return w


def silverstein(z, population, ratio):
    """z = 1/h + ratio E t/(1 - t h) for h = ratio g + (1 - ratio)/z (Silverstein & Bai 1995), as a polynomial in h."""

    def coefficients(z):
        total = [mp.mpf(0)] * (len(population) + 2)
        for k in range(-1, len(population)):  # k = -1: the terms 1 - z h, else ratio weight t h
            head = [-z, mp.mpf(1)] if k < 0 else [ratio * population[k][0] * population[k][1], mp.mpf(0)]
            for j, (t, _) in enumerate(population):
                if j != k:
                    head = product(head, [-t, mp.mpf(1)])
            total = [a + b for a, b in zip(total, [mp.mpf(0)] * (len(total) - len(head)) + head, strict=True)]
        return total

    h = root(coefficients, z)
    return (h - (1 - ratio) / mp.mpmathify(z)) / ratio


def product(p, q):
    out = [mp.mpf(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            out[i + j] += a * b
    return out


def semicircle(z):
    return (z - mp.sqrt(z - 2) * mp.sqrt(z + 2)) / 2


def pastur(z, c=F(1, 2)):
    c = mp.mpf(c.numerator) / c.denominator
    low, high = (1 - mp.sqrt(c)) ** 2, (1 + mp.sqrt(c)) ** 2
    return (z - (1 - c) - mp.sqrt(z - low) * mp.sqrt(z - high)) / (2 * c * z)


def kesten(z, d=4):
    edge = 2 * mp.sqrt(d - 1)
    return (d * mp.sqrt(z - edge) * mp.sqrt(z + edge) - (d - 2) * z) / (2 * (z * z - d * d))


def relu_jacobian():
    """y = z g - 1 solves y z = (1 + y)(1 + 2 y)^2: S-transforms of two projections and two Gaussian matrices of variance 2."""
    W1, W2 = rmtp.Gaussian(N, N, variance=2), rmtp.Gaussian(N, N, variance=2)
    h1 = W1 @ rmtp.Normal(N)
    h2 = W2 @ rmtp.relu(h1)
    J = rmtp.diag(np.heaviside(h2, 0)) @ W2 @ rmtp.diag(np.heaviside(h1, 0)) @ W1

    def g(z):
        return (1 + root(lambda z: [4, 8, 5 - z, 1], z)) / z

    return J @ J.T, g


def hard_tanh_jacobian():
    """A projection of irrational rank P(|h| < 1) = erf(1/sqrt 2)."""
    h = rmtp.Normal(N)
    J = rmtp.diag(np.heaviside(h + 1, 0) - np.heaviside(h - 1, 0)) @ rmtp.Gaussian(N, N)
    return J @ J.T, lambda z: silverstein(z, [(mp.mpf(1), mp.erf(1 / mp.sqrt(2)))], mp.mpf(1))


def haar_sum():
    A, B = rmtp.Haar(N), rmtp.Haar(N)
    return A + A.T + B + B.T, kesten


DIGITS = {
    "semicircle": lambda: (rmtp.GOE(N), semicircle),
    "marchenko-pastur": lambda: (gram(), pastur),
    "wishart": lambda: (rmtp.Wishart(M, N), lambda z: pastur(z, F(2))),
    "third": lambda: (gram(N, rmtp.Dim("k", ratio=3)), lambda z: pastur(z, F(1, 3))),
    "decimal": lambda: (rmtp.GOE(N, 0.3), lambda z: semicircle(z / mp.mpf("0.3")) / mp.mpf("0.3")),
    "anticommutator": lambda: (anticommutator(), lambda z: root(lambda z: [z, 1, -z, 1], z)),
    "haar": haar_sum,
    "relu": relu_jacobian,
    "hard tanh": hard_tanh_jacobian,
    "covariance": lambda: (
        sandwich(1, F(1, 3)),
        lambda z: silverstein(z, [(mp.mpf(1), mp.mpf("0.5")), (mp.mpf(1) / 9, mp.mpf("0.5"))], mp.mpf("0.5")),
    ),
}


def check_digits(name, *points):
    expression, exact = DIGITS[name]()
    law = rmtp.spectrum(expression)
    for z in points:
        found = law.stieltjes(z, dps=50)
        with mp.workdps(75):
            expected = exact(mp.mpmathify(z))
            assert abs(found - expected) < mp.mpf(10) ** -50 * abs(expected)


@pytest.mark.parametrize("name", DIGITS)
def test_fifty_digits(name):
    check_digits(name, 0.75 + 0.5j, -0.3 - 0.01j)


@pytest.mark.parametrize("name", ["semicircle", "third"])
def test_fifty_digits_on_the_real_axis(name):
    check_digits(name, 4, -3.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_fifty_digits_right_of_all_laws(name):
    check_digits(name, 40, 30.5 - 1e-3j)


def test_digits_at_exact_points():
    """The point may be a Fraction, a string of digits read by mpmath, far down, or next to an edge."""
    law = rmtp.spectrum(rmtp.GOE(N))
    with mp.workdps(80):
        for z in (F(10, 3), mp.mpc("0.1", "1e-20"), mp.mpf("2.0001"), -3):
            exact = semicircle(mp.mpf(z.numerator) / z.denominator if isinstance(z, F) else mp.mpmathify(z))
            assert abs(law.stieltjes(z, dps=60) - exact) < mp.mpf(10) ** -60 * abs(exact)
        hard = rmtp.spectrum(gram(N, N))
        z = mp.mpc("1e-12", "1e-13")
        assert abs(hard.stieltjes(z, dps=40) / pastur(z, F(1)) - 1) < mp.mpf(10) ** -40


def test_digits_with_a_continuous_law():
    """sech(h)^2 W: g put back into Silverstein's equation, its expectation by mpmath's own quadrature."""
    J = slope_of_tanh() @ rmtp.Gaussian(N, N)
    z = 0.5 + 2j
    g = rmtp.spectrum(J @ J.T).stieltjes(z, dps=30)
    with mp.workdps(45):
        g = mp.mpc(g.real, g.imag)
        mean = 2 * mp.quad(lambda t: mp.npdf(t) / (mp.cosh(t) ** 4 - g), list(range(16)))
        assert abs(1 / g + mean - z) < mp.mpf(10) ** -29  # ratio 1: h = g


def test_digits_touch_no_global_precision():
    before = mp.mp.dps
    g = rmtp.spectrum(rmtp.GOE(N)).stieltjes(1j, dps=40)
    assert mp.mp.dps == before
    assert g.context is not mp.mp


def test_digits_that_are_refused():
    semicircle_law = rmtp.spectrum(rmtp.GOE(N))
    for z in (0.5, 2, F(-1, 3), mp.mpf("1.99")):
        with pytest.raises(errors.OnSpectrum):
            semicircle_law.stieltjes(z, dps=30)
    with pytest.raises(errors.OnSpectrum):
        rmtp.spectrum(gram(M, N)).stieltjes(0, dps=30)  # an atom
    for z in (np.array([1j, 2j]), "a", float("nan"), None):
        with pytest.raises(errors.BadParameter):
            semicircle_law.stieltjes(z, dps=30)
    for dps in (0, 2.5):
        with pytest.raises(errors.BadParameter):
            semicircle_law.stieltjes(1j, dps=dps)
    uniform = rmtp.diag(rmtp.IID(N, scipy.stats.uniform())) + rmtp.GOE(N)
    with pytest.raises(errors.NotExact, match="double precision"):
        rmtp.spectrum(uniform).stieltjes(1 + 1j, dps=30)
    of_law = rmtp.GOE(N) + rmtp.Invariant(N, rmtp.singular_values(rmtp.Gaussian(N, N)))
    with pytest.raises(errors.NotExact, match="double precision"):
        rmtp.spectrum(of_law).stieltjes(1 + 1j, dps=30)
    two = np.tanh(rmtp.Normal(N)) * np.sin(rmtp.Normal(N))
    with pytest.raises(errors.BudgetExceeded, match="2 continuous"):
        rmtp.spectrum(rmtp.diag(two) + rmtp.GOE(N)).stieltjes(1 + 1j, dps=30)
    with pytest.raises(errors.UnsupportedOperation):
        rmtp.singular_values(rmtp.Gaussian(N, N)).stieltjes(1j, dps=30)


# ---------------------------------------------------------------------------------------------
# printed equations


def lines(expression):
    return [str(line) for line in rmtp.spectrum(expression).equation().lines]


def test_printed_semicircle():
    assert lines(rmtp.GOE(N, 2)) == ["g = 1/(z - Theta)", "Theta = 4*g"]


def test_printed_marchenko_pastur():
    assert lines(gram()) == ["g = 1/(z - Theta_2)", "Phi_2 = 1/(1 - Theta_1)", "Theta_1 = 1/2*g", "Theta_2 = Phi_2"]


def test_printed_deformed_wigner():
    equation = rmtp.spectrum(atoms(-1, 1) + rmtp.GOE(N, name="X")).equation()
    assert [str(x) for x in equation.lines] == ["g = E[1/(z - d1 - Theta)]", "Theta = g"]
    assert equation.latex.splitlines()[1:-1] == [
        r"g &= \mathbb{E}\left[\frac{1}{z - d_{1} - \Theta}\right] \\",
        r"\Theta &= g",
    ]
    text = str(equation)
    assert "d1: 1/2 delta(-1) + 1/2 delta(1)" in text
    assert "Theta, Phi: X @ x <- X @ x" in text
    assert equation._repr_latex_() == f"$${equation.latex}$$"


def test_printed_sum_of_projections():
    P, Q = (rmtp.Invariant(N, [0, 1], name=name) for name in "PQ")
    assert lines(P + Q)[:5] == [
        "g = 1/(z - Theta_1 - Theta_2)",
        "T_1 = E[s/(1 - s*Omega_1)]",
        "S_1 = 1 + Omega_1*T_1",
        "Theta_1 = T_1/S_1",
        "Omega_1 = g/S_1",
    ]


def test_matrices_have_the_names_of_their_uses():
    text = str(rmtp.spectrum(anticommutator()).equation())
    assert "Theta_2, Phi_2: X @ (Y @ x) <- X @ x" in text


class Mean:
    """E[..] over equally likely values in the last axis."""

    def __getitem__(self, values):
        return np.mean(values)


def four_products():
    A = rmtp.Gaussian(N, N)
    return A @ A + A.T @ A.T


def cube():
    X, Y = rmtp.GOE(N), rmtp.GOE(N)
    return X @ Y @ X @ Y @ X + rmtp.GOE(N)


def isometry():
    V = rmtp.Haar(M, N)
    return V @ atoms(1, 5) @ V.T + rmtp.GOE(M)


def profile():
    A = rmtp.Gaussian(N, M)
    return rmtp.block([[rmtp.GOE(N), A], [A.T, 0]])


PRINTED = {
    "semicircle": (lambda: rmtp.GOE(N, F(3, 2)), {}),
    "marchenko-pastur": (gram, {}),
    "wishart": (lambda: rmtp.Wishart(N, M, 2), {}),
    "anticommutator": (anticommutator, {}),
    "same matrix": (four_products, {}),
    "five factors": (cube, {}),
    "covariance": (lambda: sandwich(1, 2), {"d1": np.array([1, 2])}),
    "deformed wigner": (lambda: atoms(-1, 3) + rmtp.GOE(N), {"d1": np.array([-1, 3])}),
    "projections": (lambda: rmtp.Invariant(N, [0, 1]) + rmtp.Invariant(N, [0, 1]), {"s": np.array([0, 1])}),
    "isometry": (isometry, {"s": 1, "d1": np.array([1, 5])}),
    "haar": (lambda: haar_sum()[0], {"s": 1}),
    "block": (profile, {}),
    "inverse": (lambda: rmtp.inv(gram() + rmtp.eye(N)), {}),
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_printed_system_is_the_one_that_is_solved(name):
    """Its lines, run as Python assignments until they stand still at large |z|, give g."""
    make, known = PRINTED[name]
    law = rmtp.spectrum(make())
    system = law.equation().lines
    z = 6 + 9j
    values = {line.name: 1.0 if line.name.startswith("S") else 0.0 for line in system}
    fixed = {"z": z, "E": Mean(), "inv": np.linalg.inv, **known}
    for _ in range(400):
        for line in system:
            values[line.name] = eval(line.right, {"__builtins__": {}}, {**values, **fixed})
    assert values["g"] == pytest.approx(law.stieltjes(z), rel=1e-12)
