"""`solve`: implicit vectors against resolvent formulas, identities and samples.

Samples are judged by z-scores of 12 draws; |z| < 5 for each of about 25 numbers has a false-alarm rate of about 1e-2 under
Student's t with 11 degrees of freedom, and the seeds are fixed.
"""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

import rmtp


def marchenko_pastur(gamma: float, f) -> float:
    """int f dmu for X.T X, X of shape (gamma p) x p with entries of variance 1/p: closed-form density, mpmath quadrature."""
    low, high = (1 - gamma**0.5) ** 2, (1 + gamma**0.5) ** 2

    def density(x):
        return mpmath.sqrt((high - x) * (x - low)) / (2 * mpmath.pi * x)

    total = mpmath.quad(lambda x: f(x) * density(x), [low, (low + high) / 2, high])
    return float(total + max(0.0, 1 - gamma) * f(mpmath.mpf(0)))


def ridge(gamma: float, lam: float, noise: float):
    p = rmtp.Dim("p")
    n = rmtp.Dim("n", ratio=gamma)
    X, beta = rmtp.Gaussian(n, p), rmtp.Normal(p)
    y = X @ beta + rmtp.Normal(n, cov=noise)
    return X, beta, y, rmtp.solve(X.T @ X + lam * rmtp.eye(p), X.T @ y)


@pytest.mark.parametrize(("gamma", "lam", "noise"), [(1, 0.25, 0.25), (2, 0.1, 1.0), (0.5, 0.3, 0.5), (1, 1e-3, 0.1)])
def test_ridge_risk(gamma, lam, noise):
    X, beta, y, estimate = ridge(gamma, lam, noise)
    risk, overlap, residual = rmtp.limit(
        [np.mean((estimate - beta) ** 2), np.mean(estimate * beta), np.mean((y - X @ estimate) ** 2)]
    )
    assert float(risk) == pytest.approx(
        marchenko_pastur(gamma, lambda x: (lam**2 + noise * x) / (x + lam) ** 2), rel=1e-9
    )
    assert float(overlap) == pytest.approx(marchenko_pastur(gamma, lambda x: x / (x + lam)), rel=1e-9)
    # |y - X b|^2 / n: (lam/(x+lam))^2 (x + noise) on the p singular directions, noise on the n - p others
    inside = marchenko_pastur(gamma, lambda x: (lam / (x + lam)) ** 2 * (x + noise)) - max(0, 1 - gamma) * noise
    # a difference of averages of order one: its digits are absolute
    assert float(residual) == pytest.approx((inside + max(0, gamma - 1) * noise) / gamma, rel=1e-9, abs=1e-10)


def test_degrees_of_freedom():
    """tr X (X.T X + lam)^-1 X.T / p, by a probe."""
    p, n = rmtp.Dim("p"), rmtp.Dim("n", ratio=3)
    X, v = rmtp.Gaussian(n, p), rmtp.Normal(p)
    found = rmtp.limit(np.mean(v * (X.T @ (X @ rmtp.solve(X.T @ X + rmtp.eye(p) / 2, v)))))
    assert float(found) == pytest.approx(marchenko_pastur(3, lambda x: x / (x + 0.5)), rel=1e-10)


def test_the_equation_holds():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    T = rmtp.IID(m, rmtp.Discrete([1, 3]))
    M = W.T @ rmtp.diag(T) @ W + rmtp.eye(n) / 2
    right = v + W.T @ np.tanh(W @ v)
    x = rmtp.solve(M, right)
    assert abs(float(rmtp.limit(np.mean((M @ x - right) ** 2)))) < 1e-12
    A = rmtp.GOE(n)
    y = rmtp.solve(3 * rmtp.eye(n) - A, np.tanh(A @ v))
    assert abs(float(rmtp.limit(np.mean((3 * y - A @ y - np.tanh(A @ v)) ** 2)))) < 1e-12


def test_resolvent_of_goe_by_a_probe():
    """mean(v (z - A)^-1 v) = g(z) = (z - sqrt(z^2 - 4)) / 2."""
    n = rmtp.Dim("n")
    v = rmtp.Normal(n)
    x = rmtp.solve(3 * rmtp.eye(n) - rmtp.GOE(n), v)
    g, square = rmtp.limit([np.mean(v * x), np.mean(x**2)])
    assert float(g) == pytest.approx((3 - 5**0.5) / 2, rel=1e-12)
    assert float(square) == pytest.approx((3 / 5**0.5 - 1) / 2, rel=1e-10)  # -g'


def test_not_symmetric_is_least_squares():
    n = rmtp.Dim("n")
    W, v = rmtp.Gaussian(n, n, std=0.25), rmtp.Normal(n)
    M = rmtp.eye(n) + W
    x = rmtp.solve(M, v)
    assert abs(float(rmtp.limit(np.mean((M @ x - v) ** 2)))) < 1e-10
    # (1 + W)^-1 with W iid of spectral radius 1/4: E |x|^2 = 1 / (1 - std^2)
    assert float(rmtp.limit(np.mean(x**2))) == pytest.approx(16 / 15, rel=1e-9)


def _against_samples(quantities, width, seed, trials=12):
    expected = [float(e) for e in rmtp.limit(quantities)]
    drawn = np.array(rmtp.sample(quantities, width, seed, trials=trials))
    error = drawn.std(axis=1, ddof=1) / trials**0.5
    z = (drawn.mean(axis=1) - expected) / error
    assert np.all(np.abs(z) < 5), (expected, drawn.mean(axis=1), z)


def test_nonlinear_program_on_top_of_ridge():
    X, beta, y, estimate = ridge(2, 0.1, 0.5)
    rest = y - X @ estimate
    _against_samples(
        [
            np.mean(np.tanh(estimate) * np.tanh(beta)),
            np.mean((X.T @ np.tanh(rest)) * estimate),
            np.mean(np.tanh(X @ np.tanh(estimate)) * y),
        ],
        400,
        3,
    )


def test_weights_and_two_solves():
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=2)
    W, v = rmtp.Gaussian(m, n), rmtp.Normal(n)
    T = rmtp.IID(m, rmtp.Discrete([1, 3]))
    x = rmtp.solve(W.T @ rmtp.diag(T) @ W + rmtp.eye(n) / 2, v + W.T @ np.tanh(W @ v))
    w = rmtp.solve(W.T @ W + rmtp.eye(n), x)
    _against_samples(
        [
            np.mean(x * v),
            np.mean(x**2),
            np.mean((W @ x) * T * np.tanh(W @ v)),
            np.mean((W.T @ np.tanh(W @ x)) * x),
            np.mean(w * v),
            np.mean((W @ np.tanh(w)) * T * (W @ x)),
        ],
        400,
        1,
    )


def test_random_features_through_their_gaussian_equivalent():
    """Features mu1 W X / sqrt + mu* Theta for relu-like constants; risk against draws of the same expression."""
    d, n, p = rmtp.Dim("d"), rmtp.Dim("n", ratio=2), rmtp.Dim("p", ratio=1.5)
    X, W, noise = rmtp.Gaussian(n, d), rmtp.Gaussian(p, d), rmtp.Gaussian(n, p)
    beta = rmtp.Normal(d)
    F = X @ W.T / 2 + noise / 3
    y = X @ beta + rmtp.Normal(n, cov=0.2)
    a = rmtp.solve(F.T @ F + rmtp.eye(p) / 5, F.T @ y)
    _against_samples([np.mean((W.T @ a / 2 - beta) ** 2), np.mean(a**2), np.mean((y - F @ a) ** 2)], 250, 5)


def test_a_sweep_of_ridge_parameters_is_one_call():
    p, n = rmtp.Dim("p"), rmtp.Dim("n", ratio=2)
    X, beta = rmtp.Gaussian(n, p), rmtp.Normal(p)
    y = X @ beta + rmtp.Normal(n)
    lams = [0.5, 1.0, 2.0]
    estimate = rmtp.solve(X.T @ X + rmtp.parameter(lams) * rmtp.eye(p), X.T @ y)
    risks = rmtp.limit(np.mean((estimate - beta) ** 2)).value
    expected = [marchenko_pastur(2, lambda x, lam=lam: (lam**2 + x) / (x + lam) ** 2) for lam in lams]
    assert np.asarray(risks, dtype=float) == pytest.approx(expected, rel=1e-9)
    assert int(np.argmin(expected)) == 1  # the best ridge parameter is the noise variance


n_ = rmtp.Dim("n")
m_ = rmtp.Dim("m", ratio=2)
W_, A_, v_ = rmtp.Gaussian(m_, n_, name="W"), rmtp.GOE(n_, name="A"), rmtp.Normal(n_, name="v")
Q_, D_ = rmtp.Haar(n_), rmtp.diag(np.exp(np.tanh(A_ @ v_)))
BAD = {
    "spectrum reaches 0": (rmtp.errors.NotInvertible, lambda: rmtp.limit(np.mean(v_ * rmtp.solve(A_, v_)))),
    "singular Wishart": (rmtp.errors.NotInvertible, lambda: rmtp.limit(np.mean(rmtp.solve(W_ @ W_.T, W_ @ v_) ** 2))),
    "rectangular": (rmtp.errors.DimensionMismatch, lambda: rmtp.solve(W_, v_)),
    "wrong width": (rmtp.errors.DimensionMismatch, lambda: rmtp.solve(A_, W_ @ v_)),
    "an array": (rmtp.errors.UnsupportedOperation, lambda: rmtp.solve(np.eye(3), v_)),
    "no vector": (rmtp.errors.UnsupportedOperation, lambda: rmtp.solve(A_, 1.0)),
    "exact": (
        rmtp.errors.NotExact,
        lambda: rmtp.limit(np.mean(rmtp.solve(3 * rmtp.eye(n_) - A_, v_)), exact=True),
    ),
    "Haar": (
        rmtp.errors.UnsupportedOperation,
        lambda: rmtp.limit(np.mean(rmtp.solve(3 * rmtp.eye(n_) - Q_ - Q_.T, Q_ @ v_) * v_)),
    ),
    "swept variance": (
        rmtp.errors.BadParameter,
        lambda: rmtp.limit(
            np.mean(rmtp.solve(3 * rmtp.eye(n_) - rmtp.GOE(n_, variance=np.array([0.5, 1.0])), v_) * v_)
        ),
    ),
    "own diagonals": (
        rmtp.errors.UnsupportedOperation,
        lambda: rmtp.limit(np.mean(rmtp.solve(30 * rmtp.eye(n_) - D_ @ A_ @ D_, A_ @ v_))),
    ),
}


def _cases():
    n, m, k = rmtp.Dim("n"), rmtp.Dim("m", 2), rmtp.Dim("k", Fraction(1, 2))

    def gate(*values, dim=n):
        return rmtp.diag(rmtp.IID(dim, rmtp.Discrete(list(values))))

    one = rmtp.eye(n)
    Q, V, A, S = rmtp.Haar(n), rmtp.Haar(m, n), rmtp.Invariant(n, [0, 1, 5]), rmtp.Wishart(n, m)
    tall, wide = rmtp.BiInvariant(m, n, [1, 3]), rmtp.BiInvariant(k, n, [1, 2])
    cumulants, law = rmtp.Invariant(n, rmtp.FreeCumulants([1, 2])), rmtp.Invariant(n, rmtp.spectrum(rmtp.GOE(n)))
    return {
        "atoms": A + one,
        "two uses": A @ gate(1, 2) @ A + one,
        "tall": tall.T @ gate(1, 2, dim=m) @ tall + one,
        "wide": wide.T @ gate(1, 2, dim=k) @ wide + one,
        "rows": wide @ gate(1, 3) @ wide.T + rmtp.eye(k),
        "Haar": Q @ gate(1, 2) @ Q.T + gate(1, 3),
        "Haar and atoms": Q.T @ A @ Q + A + one,
        "isometry": V.T @ gate(1, 4, dim=m) @ V + gate(1, 2),
        "Wishart": S @ gate(1, 2) @ S + one,
        "cumulants": cumulants @ cumulants + one,
        "law": law @ gate(1, 2) @ law + one,
        "GOE": rmtp.GOE(n) + 3 * one,
        "inverse": rmtp.inv(A + one) @ gate(1, 2) @ rmtp.inv(A + one) + one,
    }


CASES = _cases()


@pytest.mark.parametrize("case", CASES)
def test_every_ensemble_against_the_law_of_the_matrix(case):
    """v . M^-1 v = -g(0) and |M^-1 v|^2 = -g'(0), by Cauchy's formula; g knows nothing of covariances. All M here are >= 1."""
    M = CASES[case]
    v = rmtp.Normal(M.left[0])
    x = rmtp.solve(M, v)
    found = [float(r.value) for r in rmtp.limit([np.mean(v * x), np.mean(x * x)])]
    z = 0.25 * np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)  # the lower half is the conjugate
    g = rmtp.spectrum(M).stieltjes(z)
    assert found == pytest.approx([-np.mean(g).real, -np.mean(g / z).real], rel=1e-11)


def test_a_nonlinear_function_of_a_solution_with_a_reused_haar_matrix():
    """Rectangular, a diagonal on either side of the isometry, against samples."""
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    V, v = rmtp.Haar(m, n), rmtp.Normal(n, mean=1)
    D = rmtp.diag(rmtp.IID(m, rmtp.Discrete([1, 4])))
    x = rmtp.solve(V.T @ D @ V + rmtp.eye(n) / 2, v)
    expr = [np.mean(np.tanh(3 * x)), np.mean(np.maximum(x - 0.3, 0) * v)]
    for limit, drawn in zip(rmtp.limit(expr), rmtp.sample(expr, width=500, rng=3, trials=12), strict=True):
        z = (np.mean(drawn) - float(limit.value)) / (np.std(drawn, ddof=1) / len(drawn) ** 0.5)
        assert abs(z) < 5


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    kind, act = BAD[case]
    with pytest.raises(kind) as caught:
        act()
    assert caught.value.remedy
