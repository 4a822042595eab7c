"""Oracles for network Jacobians and conjugate kernels; see `law_oracles`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import mpmath as mp
import numpy as np
from law_numbers import (
    Series,
    add,
    atomic_moments,
    inverse_s,
    moments_from_cumulants,
    moments_from_s,
    mul,
    number,
    power,
    product,
    scale,
)
from law_oracles import ORDERS, Oracle, at, eig, gaussian, haar, proportioned, rational_law


def jacobian(
    gates: dict[F, F], layers: int, variance: F, orthogonal: bool = False, atoms: Any = (), hard: Any = ()
) -> Oracle:
    """J J.T for J = D_L W_L .. D_1 W_1, D^2 with atoms `gates`, square W of W W.T = variance (Haar) or entries variance/n.

    With u = psi_D(t) the S-transforms multiply to z = (1 + u)/u (variance u/t)^L, or (variance u/(t (1 + u)))^L for Haar
    (Pennington, Schoenholz & Ganguli 2018): a rational function of t.
    """
    kept = {F(d): F(w) for d, w in gates.items() if d}
    bottoms = [[F(1), -d] for d in kept]
    B = product(bottoms)
    U: Series = [F(0)]
    for k, (d, w) in enumerate(kept.items()):
        U = add(U, scale(w * d, product(bottoms[:k] + bottoms[k + 1 :])))
    tU = [F(0), *U]
    top = scale(F(variance) ** layers, power(U, layers - 1))
    if orthogonal:
        N, D = top, mul([F(0), F(1)], power(add(B, tU), layers - 1))
    else:
        N, D = mul(top, add(B, tU)), mul([F(0), F(1)], power(B, layers))
    D2 = inverse_s(atomic_moments(gates, ORDERS))
    one_over_s = product([scale(F(variance), mul(D2, [F(1)] if orthogonal else [F(1), F(1)], ORDERS))] * layers, ORDERS)
    moments = moments_from_s(one_over_s, ORDERS)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        d = np.sqrt(proportioned(gates, n))
        J = np.eye(n)
        for _ in range(layers):
            W = haar(n, rng) if orthogonal else gaussian(n, n, rng)
            J = math.sqrt(variance) * rng.permutation(d)[:, None] * (W @ J)
        return eig(J @ J.T)

    return rational_law(
        N, D, moments, start=lambda z: float(moments[0] / sum(w * d for d, w in kept.items())) / z, atoms=atoms, hard=hard,
        g=lambda t, z: (1 + t * at(U, t) / at(B, t)) / z, sample=sample,
    )  # fmt: skip


def gaussian_jacobian_moments(
    sizes: Sequence[F], variances: Sequence[Any], gates: Sequence[Any], orders: int
) -> list[Any]:
    """Per row of J = D_L W_L .. D_1 W_1 of any widths: S_(W B W.T)(u) = S_B(r u)/(v (1 + r u)), r = rows/cols; gates[l] are
    the moments of D_l^2 (None: no gate)."""  # fmt: skip
    one_over_s: Series = [F(1)]
    for rows, cols, variance, gate in zip(sizes[1:], sizes, variances, gates, strict=False):
        r = F(rows) / cols
        one_over_s = mul([c * r**k for k, c in enumerate(one_over_s)], [variance, variance * r], orders)
        if gate is not None:
            one_over_s = mul(one_over_s, inverse_s(gate[:orders]), orders)
    return moments_from_s(one_over_s, orders)


@dataclass(frozen=True, eq=False)
class Gates:
    """g(z) of J J.T for L square layers with a gate D^2 = d(h), h ~ N(0, q), smooth: psi_D by the trapezoid rule.

    The rule converges like exp(-2 pi distance/step), distance that of the pole in h from the real axis. `d(h, lib)` computes
    with numpy or mpmath.
    """

    d: Callable[[Any, Any], Any]
    q: float
    layers: int
    variance: float
    orthogonal: bool = False
    step: float = 0.004

    def _z(self, t: complex) -> tuple[complex, complex, complex]:
        """z, dz/dt and u at t."""
        h = np.arange(-9, 9, self.step)
        weights = np.exp(-(h**2) / 2) * self.step / math.sqrt(2 * math.pi)
        d = self.d(math.sqrt(self.q) * h, np)
        u = complex(np.sum(weights * t * d / (1 - t * d)))
        du = complex(np.sum(weights * d / (1 - t * d) ** 2))
        L, s = self.layers, self.layers if self.orthogonal else 0
        z = (1 + u) / u * (self.variance * u / t) ** L / (1 + u) ** s
        return z, z * (du / (1 + u) * (1 - s) + du / u * (L - 1) - L / t), u

    def gate_moments(self, orders: int) -> list[Any]:
        """E d^k by quadrature to 25 digits or so."""
        with mp.workdps(30):
            root = mp.sqrt(self.q)
            cuts = list(range(-12, 13, 2))
            return [mp.quad(lambda h, k=k: mp.npdf(h) * self.d(root * h, mp) ** k, cuts) for k in range(1, orders + 1)]

    def moments(self, orders: int) -> list[Any]:
        """S-transforms in floating point of 30 digits."""
        with mp.workdps(30):
            D2 = inverse_s(self.gate_moments(orders))
            layer = scale(mp.mpf(self.variance), mul(D2, [1] if self.orthogonal else [1, 1], orders))
            return moments_from_s(product([layer] * self.layers, orders), orders)

    def at(self, z: complex) -> complex:
        z = complex(z)
        if z.imag < 0:
            return self.at(z.conjugate()).conjugate()
        small = self._z(1e-8)[0].real * 1e-8  # t z for t -> 0
        height, factor = 200.0 * (abs(z) + small), 0.5
        t = self._newton(small / (z + 1j * height), z + 1j * height)
        assert t is not None
        while height > 0:
            lower = height * factor if height > 1e-3 * abs(z) else 0.0
            moved = self._newton(t, z + 1j * lower)
            if moved is None:
                factor = math.sqrt(factor) if lower else factor
                assert lower, f"the oracle lost its branch at {z}"
            else:
                t, height, factor = moved, lower, max(0.5, factor**2)
        return (1 + self._z(t)[2]) / z

    def density(self, x: float) -> float:
        return -self.at(x).imag / math.pi

    def _newton(self, t: complex, z: complex) -> complex | None:
        start = t
        for _ in range(40):
            value, slope, _ = self._z(t)
            step = (value - z) / slope
            t -= step
            if abs(t - start) > 0.3 * abs(start):
                return None
            if abs(step) < 1e-14 * abs(t):
                return t
        return None


def conjugate_kernel(linear: F, noise: F, data: F, ratio: F) -> Oracle:
    """F.T F/n1 per column, F = mu1 W X + mu* Theta of n1 x m; entries of W of variance 1/n0, of X (n0 x m) and Theta 1.

    Given X it is a sample covariance, of ratio m/n1, with population linear lambda + noise, lambda Marchenko-Pastur of ratio
    data = m/n0 (linear = mu1^2, noise = mu*^2). With h = g_MP(y), 1/g = linear y + noise: rational in h.
    """
    a, b, r, c = F(linear), F(noise), F(data), F(ratio)
    mp_moments = [F(1), *moments_from_cumulants([r**k for k in range(ORDERS)], ORDERS)]
    population = [
        sum(math.comb(k, j) * a**j * mp_moments[j] * b ** (k - j) for j in range(k + 1)) for k in range(1, ORDERS + 1)
    ]
    companion = moments_from_cumulants([c * m for m in population], ORDERS)
    E = [F(1), -r]
    Q = add(scale(a, [F(1), 1 - r]), scale(b, mul([F(0), F(1)], E)))  # 1/g = Q/(h E)
    N = add(scale(1 - c, mul(Q, E)), scale(c / a, mul(Q, Q)))
    D = mul([F(0), F(1)], mul(E, E))

    def g(h: Any, z: Any) -> Any:
        return (h * (1 - number(r) * h) / at(Q, h) - (1 - number(c)) / z) / number(c)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        m, n0 = round(float(c) * n), round(float(c / r) * n)
        f = math.sqrt(a) * gaussian(n, n0, rng) @ rng.standard_normal((n0, m))
        f += math.sqrt(b) * rng.standard_normal((n, m))
        return eig(f.T @ f / n)

    mass = 1 - 1 / c
    return rational_law(
        N, D, [m / c for m in companion], start=lambda z: float(a) / z, g=g, sample=sample,
        atoms={F(0): mass} if mass > 0 else {}, hard={F(0): F(-1, 2)} if mass == 0 else {},
    )  # fmt: skip
