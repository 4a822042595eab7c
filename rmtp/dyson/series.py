"""Moments as the power series of the fixed point in w = 1/z, exact where the data are rational.

Order k of every quantity needs only lower orders, except for couplings that are there at z = infinity already; those are
nilpotent (the program is a straight line), so a few sweeps within one order close it. The cost of order 40 is some thousands of
multiplications of numbers, where unrolling the program costs a polynomial in as many hats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ensembles import Number
from ..errors import NotConverged, UnsupportedOperation
from .couplings import Coupling, Pair
from .system import Component, System, Var

Series = list[Any]


def moments(system: System, order: int, level: int, exact: bool) -> list[Number]:
    """``lim (1/n) tr M^k`` for k = 0..order.

    Parameters
    ----------
    system : System
        Of a polynomial expression: with inverses there is no such series.
    order : int
    level : int
        Resolution of coefficients that are not finite.
    exact : bool
        Rational arithmetic.

    Returns
    -------
    list of numbers
        Fractions if `exact`.
    """
    if system.program.rational:
        raise UnsupportedOperation(
            "exact moments of an expression with an inverse", remedy="law.moment(k) computes them by integration"
        )
    return _Solver(system, order, level, exact).run()


class _Solver:
    def __init__(self, system: System, order: int, level: int, exact: bool) -> None:
        self.system, self.order, self.level, self.exact = system, order, level, exact
        self.number: Callable[[Number], Any] = _plain if exact else float
        self.theta: dict[Pair, Series] = {pair: [0] * (order + 1) for pair in system.theta_pattern}
        self.phi: dict[Pair, Series] = {pair: [0] * (order + 1) for pair in system.pairs}
        self.parts = [_Part(self, c) for c in system.components]
        self.rules = [_rule(self, c) for c in system.couplings]

    def run(self) -> list[Number]:
        for k in range(self.order + 1):
            for part in self.parts:
                part.prepare(k)
            for rule in self.rules:
                rule.prepare(k)
            for _ in range(4 * len(self.system.program.uses) + 4):
                changed = False
                for part in self.parts:
                    changed |= part.advance(k)
                for rule in self.rules:
                    changed |= rule.advance(k)
                if not changed:
                    break
            else:
                raise NotConverged(
                    f"the couplings at z = infinity do not close at order {k}",
                    remedy="a polynomial in the matrices closes; report this expression",
                )
        traces: list[Any] = [0] * (self.order + 1)
        for i, share in enumerate(self.system.shares):
            for part in self.parts:
                if ("u", i) in part.place:
                    for k, x in enumerate(part.trace(i)):
                        traces[k] = traces[k] + self.number(share) * x
        return traces


class _Part:
    """The solutions of one component, one for every source, as series of arrays over its nodes."""

    def __init__(self, solver: _Solver, c: Component) -> None:
        self.solver, self.c = solver, c
        rule = solver.system.rule(c, solver.level)
        if not solver.exact:
            rule = rule.floats()
        single = len(rule.weights) == 1
        self.weights = rule.weights[0] if single else rule.weights
        values = {k: (v[0] if single else v) for k, v in rule.values.items()}

        def at_nodes(poly: Any) -> Any:
            total: Any = 0
            for mono, factor in poly.items():
                term: Any = solver.number(factor)
                for j in mono:
                    term = term * values[j]
                total = total + term
            return _tidy(total) if single and solver.exact else total

        self.place = {v: k for k, v in enumerate(c.variables)}
        self.rows: list[tuple[Var, list[tuple[Var, Any]], list[tuple[int, Any]]]] = [
            (d, [(v, at_nodes(p)) for v, p in vs.items()], [(b, at_nodes(p)) for b, p in ys.items()])
            for d, vs, ys in c.rows
        ]
        outer = [d for d, _, _ in c.rows if d[0] == "u"]
        self.sources: list[Var] = [*(("y", b) for b in c.hats), *outer]
        size = solver.order + 1
        self.x: dict[Var, dict[Var, Series]] = {s: {v: [0] * size for v in c.variables} for s in self.sources}
        self.y: dict[Var, dict[int, Series]] = {s: {b: [0] * size for b in c.hats} for s in self.sources}
        self.into = {b: [j for i, j in solver.theta if i == b and ("x", j) in self.place] for b in c.hats}
        self._done: dict[tuple[Var, int], Any] = {}

    def prepare(self, k: int) -> None:
        """The part of every convolution Theta x that lower orders determine."""
        for s in self.sources:
            for b, inputs in self.into.items():
                total: Any = 1 if s == ("y", b) and k == 0 else 0
                for j in inputs:
                    total = total + convolved(self.solver.theta[b, j], self.x[s]["x", j], k)
                self._done[s, b] = total

    def advance(self, k: int) -> bool:
        """Order k of all solutions from what is known; whether anything changed."""
        changed = False
        theta = self.solver.theta
        for s in self.sources:
            x, y = self.x[s], self.y[s]
            for b, inputs in self.into.items():
                total = self._done[s, b]
                for j in inputs:
                    other = x["x", j]
                    total = total + theta[b, j][0] * other[k]
                    if k:
                        total = total + theta[b, j][k] * other[0]
                changed |= _store(y[b], k, total)
            for d, variables, images in self.rows:
                # u = w (source - rest): its order k needs order k - 1; x has no such delay
                at = k - 1 if d[0] == "u" else k
                total = 1 if d == s and k == 1 else 0
                if at >= 0:
                    for v, factor in variables:
                        total = total - factor * x[v][at]
                    for b, factor in images:
                        total = total - factor * y[b][at]
                changed |= _store(x[d], k, total)
        for s in self.sources:
            if s[0] == "y":
                for a in (v[1] for v in self.c.variables if v[0] == "x"):
                    if (a, s[1]) in self.solver.phi:
                        changed |= _store(self.solver.phi[a, s[1]], k, self._mean(self.x[s]["x", a][k]))
        return changed

    def _mean(self, x: Any) -> Any:
        return np.sum(self.weights * x) if isinstance(self.weights, np.ndarray) else x

    def trace(self, i: int) -> Series:
        """(1/n) tr M^k on width i, k = 0..: the coefficient of w^(k+1)."""
        solution = self.x["u", i]["u", i]
        last = self.solver.order
        done = [self._mean(solution[k + 1]) for k in range(last)]
        # order + 1 of u needs one more multiplication by M, which order `last` of all else knows
        for d, variables, images in self.rows:
            if d == ("u", i):
                total: Any = 0
                for v, factor in variables:
                    total = total - factor * self.x[d][v][last]
                for b, factor in images:
                    total = total - factor * self.y[d][b][last]
                done.append(self._mean(total) if last else 1)
        return done


def _rule(solver: _Solver, coupling: Coupling) -> Any:
    kind = coupling.matrix.ensemble.kind
    return (_Linear if kind in ("Gaussian", "GOE") else _Cumulants)(solver, coupling)


class _Linear:
    """Theta = s^2 Phi, times gamma for W.T."""

    def __init__(self, solver: _Solver, coupling: Coupling) -> None:
        self.solver, self.coupling = solver, coupling
        s2 = solver.number(coupling.matrix.ensemble.variance)
        self.factor = {pair: s2 * coupling.gain(pair[0], solver.number) for pair in coupling.pairs}

    def prepare(self, k: int) -> None:
        pass

    def advance(self, k: int) -> bool:
        changed = False
        for pair, factor in self.factor.items():
            changed |= _store(self.solver.theta[pair], k, factor * self.solver.phi[pair][k])
        return changed


class _Cumulants:
    """Theta = sum kappa_{j+1} Phi^j, rows of W.T times gamma; powers of Phi as series of small matrices."""

    def __init__(self, solver: _Solver, coupling: Coupling) -> None:
        self.solver, self.coupling = solver, coupling
        self.uses = list(coupling.transposed)
        self.gain = {a: coupling.gain(a, solver.number) for a in self.uses}
        self.powers: list[dict[Pair, Series]] = []
        self.cumulants: list[Any] = []
        size = solver.order + 1
        one = {(a, a): [1] + [0] * (size - 1) for a in self.uses}
        self.powers.append(one)
        self._extend()

    def _extend(self) -> None:
        ensemble, size = self.coupling.matrix.ensemble, self.solver.order + 1
        # Phi is nilpotent at z = infinity: powers beyond (order + 1) * uses have no term left
        for j in range((self.solver.order + 1) * len(self.uses)):
            self.cumulants.append(self.solver.number(ensemble.cumulant(j + 1)))
            if j:
                self.powers.append({(a, b): [0] * size for a in self.uses for b in self.uses})

    def prepare(self, k: int) -> None:
        self._known = []
        phi = self.solver.phi
        for j in range(1, len(self.powers)):
            known: dict[Pair, Any] = {}
            for (a, c), series in phi.items():
                if a not in self.coupling.transposed:
                    continue
                for b in self.uses:
                    if (c, b) in self.powers[j - 1]:
                        value = convolved(series, self.powers[j - 1][c, b], k)
                        known[a, b] = known.get((a, b), 0) + value
            self._known.append(known)

    def advance(self, k: int) -> bool:
        phi = self.solver.phi
        total: dict[Pair, Any] = {}
        changed = False
        for j, power in enumerate(self.powers):
            if j:
                done = self._known[j - 1]
                for a in self.uses:
                    for b in self.uses:
                        value = done.get((a, b), 0)
                        for c in self.uses:
                            below = self.powers[j - 1].get((c, b))
                            if (a, c) in phi and below is not None:
                                value = value + phi[a, c][0] * below[k]
                                if k:
                                    value = value + phi[a, c][k] * below[0]
                        changed |= _store(power[a, b], k, value)
            if self.cumulants[j] != 0:
                for pair, series in power.items():
                    total[pair] = total.get(pair, 0) + self.cumulants[j] * series[k]
        for (a, b), series in self.solver.theta.items():
            if a in self.coupling.transposed and b in self.coupling.transposed:
                changed |= _store(series, k, self.gain[a] * total.get((a, b), 0))
        return changed


def convolved(a: Series, b: Series, k: int) -> Any:
    """sum of a[i] b[k-i] over 0 < i < k."""
    total: Any = 0
    for i in range(1, k):
        x, y = a[i], b[k - i]
        if (isinstance(x, int) and x == 0) or (isinstance(y, int) and y == 0):
            continue
        total = total + x * y
    return total


def _store(series: Series, k: int, value: Any) -> bool:
    old = series[k]
    series[k] = value
    same = old is value or bool(np.all(old == value))
    if not same and not isinstance(value, int) and not np.any(np.asarray(value, dtype=object) != 0):
        series[k] = 0
        return bool(np.any(old != 0))
    return not same


def _plain(value: Number) -> Number:
    """Integers as ints: they multiply ten times faster than Fractions."""
    return _tidy(value)


def _tidy(value: Any) -> Any:
    if hasattr(value, "denominator") and value.denominator == 1:
        return int(value)
    return value


def is_rational_system(system: System, level: int) -> bool:
    """Whether all data are rational: coefficients, variances, cumulants, ratios."""
    for c in system.components:
        if not system.rule(c, level).exact:
            return False
        for _, variables, images in c.rows:
            for poly in [*variables.values(), *images.values()]:
                if any(isinstance(f, float) for f in poly.values()):
                    return False
    for coupling in system.couplings:
        ensemble = coupling.matrix.ensemble
        data = [ensemble.cumulant(2), coupling.matrix.rows.ratio, coupling.matrix.cols.ratio]
        if not ensemble.rational:
            return False
        if any(not hasattr(x, "denominator") for x in data):
            return False
    return not any(not hasattr(s, "denominator") for s in system.shares)
