"""Eigenvalues that terms of low rank send out of the support, and what their eigenvectors keep of the signal.

A term ``u mean(v .)`` enters the linear program as a source u with an unknown strength theta. The strengths answer to
themselves, ``theta = Q(z) theta`` with ``Q_kl = E[v_k * (what is averaged in term k when only source l is on)]``, so
outliers are the real points off the support where 1 is an eigenvalue of Q(z) (Baik, Ben Arous & Peche 2005;
Benaych-Georges & Nadakuditi 2011 for the overlaps, which are residues of ``(1/n) a.T (z - M)^-1 a``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dyson.coefficients import scalar
from ..dyson.linear import Linear, Poly
from ..dyson.system import DOUBLE
from ..errors import UnsupportedOperation
from ..expect.engine import Expectations
from ..normal import Hat, constant, times
from .axis import recognised

if TYPE_CHECKING:
    from .spectral import SpectralLaw

_FAR = 60.0  # spreads from the mean to which outliers are looked for first
_POINTS = 160


@dataclass(frozen=True)
class Outlier:
    """One eigenvalue off the support.

    Attributes
    ----------
    x : float
        Where it tends to.
    overlaps : dict
        Per vector of the low-rank terms, by name (or ``"u0"``, ``"u1"``, .. in order): the squared cosine of the angle
        between it and the eigenvector.
    """

    x: float
    overlaps: dict[str, float]


class _Terms:
    """Q(z) and the transforms of the vectors of an expression with terms of rank one."""

    def __init__(self, law: SpectralLaw) -> None:
        self.law, self.own = law, law.resolvent
        self.system, self.program = self.own.system, self.own.system.program
        self.expect: Expectations = self.system.coefficients.expect
        used = {id(m) for m in self.program.matrices}
        for term in self.program.rank_ones:
            for k in (term.u, term.v):
                for a in self.expect.atoms.form_leaves(self.system.coefficients.forms[k]):
                    atom = self.expect.atoms.table[a]
                    if isinstance(atom, Hat) and id(atom.matrix) in used:
                        raise UnsupportedOperation(
                            f"outliers from a vector made with a matrix of the expression: "
                            f"{self.program.coefficients[k]!r}",
                            where=law.text,
                            remedy="a vector that is independent of the matrices around it",
                        )
        rows: dict[tuple[str, int], Linear] = {}
        for k, unknown in enumerate(self.program.unknowns):
            rows["u", k] = unknown.rest
        for a, use in enumerate(self.program.uses):
            rows["x", a] = {key: {m: -c for m, c in p.items()} for key, p in use.input.items()}
        # source l stands in these rows, moved to the right-hand side
        self.sources = [
            {v: {m: -c for m, c in form["t", k].items()} for v, form in rows.items() if ("t", k) in form}
            for k in range(len(self.program.rank_ones))
        ]

    def response(
        self, u: np.ndarray, z: np.ndarray, probes: Sequence[tuple[int, int]]
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Q of shape (P, K, K), and per probe (coefficient, outer unknown): G0 (P,), row (P, K), column (P, K)."""
        made = self.own.branch(self.own.fine).evaluate(u, z, 0 * z, slopes=False)
        terms = self.program.rank_ones
        inputs: list[tuple[int, Linear]] = [(t.v, t.input) for t in terms]
        sources = list(self.sources)
        for k, i in probes:
            inputs.append((k, {("u", i): {(): 1}}))
            sources.append({("u", i): {(k,): 1}})
        size = len(inputs)
        out = np.zeros((len(z), size, size), dtype=complex)
        for c in self.system.components:
            rows = [r for r, (v, _, _) in enumerate(c.rows) if any(v in s for s in sources)]
            if not rows:
                continue
            _, solved = self.system.solutions(c, made.theta, z, 0 * z, self.own.fine, DOUBLE, rows=rows)
            rule = self.system.rule(c, self.own.fine).floats()
            for col, source in enumerate(sources):
                for v, poly in source.items():
                    if v not in solved:
                        continue
                    for line, (k, form) in enumerate(inputs):
                        out[:, line, col] += self._paired(k, form, poly, solved[v], made.theta, rule, c.coefficients)
        for line, (k, form) in enumerate(inputs):  # what is averaged may hold another term directly
            for (kind, m), poly in form.items():
                if kind == "t":
                    out[:, line, m] += self._mean((k,), poly)
        n = len(terms)
        probed = [(out[:, j, j], out[:, j, :n], out[:, :n, j]) for j in range(n, size)]
        return out[:, :n, :n], probed

    def _paired(
        self, k: int, form: Linear, poly: Poly, answer: Any, theta: Any, rule: Any, own: tuple[int, ...]
    ) -> np.ndarray:
        """E[v_k * form of the solution * coefficient of the source]."""
        total: Any = 0.0
        for (kind, j), factor in form.items():
            if kind == "u":
                parts = [(1.0, answer.get(("u", j)))]
            elif kind == "y":
                parts = [(t, answer.get(("x", c))) for (b, c), t in theta.items() if b == j]
            else:
                continue
            for t, x in parts:
                if x is None:
                    continue
                for m1, c1 in factor.items():
                    for m2, c2 in poly.items():
                        total = total + float(c1) * float(c2) * t * self._average((k, *m1, *m2), x, rule, own)
        return total

    def _average(self, coefficients: tuple[int, ...], x: Any, rule: Any, own: tuple[int, ...]) -> np.ndarray:
        """E of a product of coefficients times a function of the component's own ones."""
        inside = [k for k in coefficients if k in rule.values]
        outside = [k for k in coefficients if k not in rule.values]
        leaves = [a for k in outside for a in self.expect.atoms.form_leaves(self.system.coefficients.forms[k])]
        beneath = [a for k in own for a in self.expect.atoms.form_leaves(self.system.coefficients.forms[k])]
        if leaves and beneath and self.expect.dependent(leaves, beneath):
            raise UnsupportedOperation(
                "outliers from a vector that depends on a diagonal of the expression",
                where=self.law.text,
                remedy="a vector independent of the diagonals, or diag(...) @ outer(u, v) written out",
            )
        weights = rule.weights
        for k in inside:
            weights = weights * rule.values[k]
        return (x * weights).sum(axis=-1) * self._mean(tuple(outside), {(): 1})

    def _mean(self, outside: tuple[int, ...], poly: Poly) -> float:
        total = 0.0
        for mono, factor in poly.items():
            form = constant(1)
            for k in (*outside, *mono):
                form = times(form, self.system.coefficients.forms[k])
            total += float(factor) * float(scalar(self.expect.of_form(form)))
        return total


def find_outliers(law: SpectralLaw) -> tuple[Outlier, ...]:
    """All outliers of a law, from left to right.

    Parameters
    ----------
    law : SpectralLaw

    Returns
    -------
    tuple of Outlier
        Several eigenvalues at one place are one outlier; its overlaps are those with their common space.

    Raises
    ------
    UnsupportedOperation
        If a vector of a low-rank term is made with the matrices of the expression.
    """
    program = law.resolvent.system.program
    if not program.rank_ones:
        return ()
    terms = _Terms(law)
    ends = sorted({e.x for e in law.edges} | {a.x for a in law.atoms})
    own = law.resolvent
    reach = _FAR * (own.spread + abs(own.mean)) + 10.0 * _strength(terms)
    gaps = list(zip([ends[0] - reach, *ends], [*ends, ends[-1] + reach], strict=True))
    inside = [(i.left.x, i.right.x) for i in law._structure[0]]
    found: list[float] = []
    for low, high in gaps:
        if high - low < 1e-9 * own.spread or any(a <= (low + high) / 2 <= b for a, b in inside):
            continue
        found += _crossings(terms, low, high)
    return tuple(Outlier(x, _overlaps(terms, x, ends, found)) for x in sorted(found))


def _strength(terms: _Terms) -> float:
    """A bound on how far the low-rank terms reach, from their entries at large |z|."""
    z = np.array([1e3j * (terms.own.spread + abs(terms.own.mean))])
    q, _ = terms.response(terms.own.solve(z).u, z, [])
    return float(np.abs(q * z[:, None, None]).sum())


def _gaps(terms: _Terms, x: np.ndarray) -> np.ndarray:
    """1 - eigenvalues of Q at real points, sorted; nan where the branch was lost."""
    z = x.astype(complex)
    made = terms.own.solve(z)
    q, _ = terms.response(made.u, z, [])
    out = np.full((len(x), q.shape[1]), np.nan)
    good = made.good & np.all(np.isfinite(q), axis=(1, 2))
    out[good] = 1 - np.sort(np.linalg.eigvals(q[good]).real, axis=1)
    return out


def _crossings(terms: _Terms, low: float, high: float) -> list[float]:
    """Points between two ends of the support where an eigenvalue of Q is 1."""
    t = (
        1 - np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    ) / 2  # dense next to both ends, where outliers are born
    x = np.unique(np.concatenate([low + (high - low) * t**2, high - (high - low) * t**2]))
    f = _gaps(terms, x)
    known = np.all(np.isfinite(f), axis=1)
    x, f = x[known], f[known]
    out: list[float] = []
    for j in range(f.shape[1]):
        for k in np.flatnonzero(np.sign(f[1:, j]) != np.sign(f[:-1, j])):
            if abs(f[k + 1, j] - f[k, j]) > 1e3 * (1 + abs(f[k, j])):
                continue  # a pole of Q, not a zero of 1 - Q
            root = _root(terms, j, float(x[k]), float(x[k + 1]))
            if not any(abs(root - r) <= 1e-9 * (abs(r) + terms.own.spread) for r in out):
                out.append(root)
    return out


def _root(terms: _Terms, j: int, low: float, high: float) -> float:
    for _ in range(60):
        x = np.linspace(low, high, 12)
        f = _gaps(terms, x)[:, j]
        k = np.flatnonzero((np.sign(f[1:]) != np.sign(f[:-1])) & np.isfinite(f[1:]) & np.isfinite(f[:-1]))
        if not len(k):
            break
        i = int(k[0])
        low, high = float(x[i]), float(x[i + 1])
        root = low - f[i] * (high - low) / (f[i + 1] - f[i])
        if high - low <= 1e-6 * (abs(low) + terms.own.spread):
            break
    return recognised(float(root), terms.own.spread)


def _overlaps(terms: _Terms, x: float, ends: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Residues of (1/n) a.T (z - M)^-1 a at an outlier, over E a**2, for every vector a of a term on the space of M."""
    program = terms.program
    distances = [abs(x - e) for e in ends] + [abs(x - o) for o in others if o != x]
    radius = 0.3 * min(distances)
    z = x + radius * np.exp(2j * np.pi * (np.arange(24) + 0.5) / 24)
    upper = np.where(z.imag < 0, z.conj(), z)
    u = terms.own.solve(upper).u
    u = np.where(z.imag < 0, u.conj(), u)
    probes: list[tuple[int, int]] = []
    for term in program.rank_ones:
        for k, dim in ((term.u, term.dims[0]), (term.v, term.dims[1])):
            for i, own in enumerate(program.space):
                if own == dim and (k, i) not in probes:
                    probes.append((k, i))
    q, rest = terms.response(u, z, probes)
    inverse = np.linalg.inv(np.eye(q.shape[1]) - q)
    out = {}
    for number, ((k, _), (g0, row, column)) in enumerate(zip(probes, rest, strict=True)):
        g = g0 + np.einsum("pk,pkl,pl->p", row, inverse, column)
        residue = float(np.mean(g * (z - x)).real)
        norm = terms._mean((k, k), {(): 1})
        out[program.coefficients[k].name or f"u{number}"] = residue / norm
    return out
