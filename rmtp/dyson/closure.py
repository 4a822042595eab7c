"""The covariance of the images of one matrix from the second moments of what it is applied to, for every ensemble.

In an implicit program ``Cov = sum_jk kappa_(j+k+2) Phi^j Delta (Phi^k)^T`` (theory, section 3) is the upper right block of
R at ``[[Phi, Delta], [0, Phi^T]]``, so the parametrisations of `couplings` carry over: with

    T = E[s (I - s Omega)^-1],  S = I + T Omega,  Theta = S^-1 T,  Phi = Omega S

on 2 x 2 blocks, a step omega of the upper right block of Omega gives Delta and Cov, both linearly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import UnsupportedOperation
from .couplings import Coupling, law_nodes, spectral


def covariance_map(
    coupling: Coupling, unknowns: Sequence[float], level: int
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """(pairs, L) with ``Cov_p = sum_q L_pq Delta_q`` over the pairs p, q of uses in equal directions.

    Parameters
    ----------
    coupling : Coupling
    unknowns : sequence of float
        Its Phi or Omega at the solution, in the order of ``coupling.pairs``.
    level : int
        Resolution of a continuous law.

    Raises
    ------
    UnsupportedOperation
        For an R-transform that is only known on numbers.
    """
    uses = list(coupling.transposed)
    place = {a: k for k, a in enumerate(uses)}
    given = np.zeros((len(uses), len(uses)))
    for (a, b), x in zip(coupling.pairs, unknowns, strict=True):
        given[place[a], place[b]] = x
    symmetric = coupling.matrix.ensemble.symmetric
    pairs = [(a, b) for a in uses for b in uses if symmetric or coupling.transposed[a] == coupling.transposed[b]]
    steps = np.zeros((len(pairs), len(uses), len(uses)))
    for k, (a, b) in enumerate(pairs):
        steps[k, place[a], place[b]] = 1.0
    if spectral(coupling.matrix):
        delta, cov = _by_omega(coupling, given, steps, level)
    else:
        gain = np.array([float(coupling.gain(a, float)) for a in uses])
        delta, cov = steps, gain[:, None] * _by_phi(coupling, given, steps)
    rows = [place[a] for a, _ in pairs], [place[b] for _, b in pairs]
    into, onto = delta[:, rows[0], rows[1]].T, cov[:, rows[0], rows[1]].T
    return pairs, np.linalg.solve(into.T, onto.T).T


def _by_phi(coupling: Coupling, phi: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Upper right blocks of R, where it is known on matrices."""
    ensemble, one = coupling.matrix.ensemble, np.eye(len(phi))
    if ensemble.kind in ("Gaussian", "GOE"):
        return float(ensemble.variance) * steps
    if ensemble.kind == "Wishart":
        s2 = float(ensemble.cumulant(1))
        ratio = float(ensemble.cumulant(2)) / s2
        inverse = np.linalg.inv(one - ratio * phi)
        return s2 * ratio * inverse @ steps @ inverse.T
    cumulants = getattr(ensemble.law, "values", None)
    if cumulants is None:
        raise UnsupportedOperation(
            f"solve with {ensemble.kind} given by {ensemble.law!r}",
            remedy="give the law itself: atoms, a scipy.stats law, a Law",
        )
    lower, upper = 0 * one, 0 * steps  # R at Phi^T and the block above it, by Horner's rule
    for kappa in reversed([float(k) for k in cumulants]):
        upper = phi @ upper + steps @ lower
        lower = phi.T @ lower + kappa * one
    return upper


def _by_omega(coupling: Coupling, omega: np.ndarray, steps: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Delta and Cov for steps of Omega, where a law of eigenvalues or singular values is given.

    The lower block counts every use in the other direction, so that Delta joins opposite ones as Phi does.
    """
    values, weights = (np.array([float(v) for v in row]) for row in law_nodes(coupling.matrix.ensemble.law, level))
    uses, one = list(coupling.transposed), np.eye(len(omega))
    turned = Coupling(coupling.matrix, {a: not t for a, t in coupling.transposed.items()}, coupling.pairs)
    share, share_below = (np.array([[float(c.share(a, float))] for a in uses]) for c in (coupling, turned))
    gain, gain_below = (np.array([[float(c.gain(a, float))] for a in uses]) for c in (coupling, turned))
    joined = np.array([[coupling.joins(a, b) for b in uses] for a in uses])
    alike = np.ones_like(joined) if coupling.matrix.ensemble.symmetric else ~joined
    s = values[:, None, None]

    def mean(x: np.ndarray) -> np.ndarray:
        return np.tensordot(weights, x, axes=(0, 0))

    left = np.linalg.inv(one - s * omega)
    t = joined * share * mean(s * left)
    big = one + t @ omega
    theta, phi = np.linalg.solve(big, t), omega @ big
    # the lower block belongs to Phi^T, where R is the transpose; Omega = Phi (I + Theta Phi)^-1
    theta_below = gain_below * (theta / gain).T
    below = phi.T @ np.linalg.inv(one + theta_below @ phi.T)
    right = np.linalg.inv(one - s * below)
    t_above = np.array([alike * share * mean(s * s * (left @ step @ right)) for step in steps])
    big_above = t @ steps + t_above @ below
    big_below = one + (joined * share_below * mean(s * right)) @ below
    delta = omega @ big_above + steps @ big_below
    return delta, np.linalg.solve(big, t_above - big_above @ theta_below)
