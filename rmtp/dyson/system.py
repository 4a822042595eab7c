"""The Dyson equation of a linear program: residual, Jacobian and Stieltjes transform, on a whole grid at once.

Coordinatewise ``L(d) s = source`` with ``y_b = Zhat_b + sum_c Theta_bc x_c`` put in, so that the responses are

    Phi_ab = E_d[x_a of the solution whose source is Zhat_b],        g_i = E_d[u_i of the solution whose source is v_i],

and the couplings give Theta back from Phi (theory, section 6). Which Theta can be non-zero follows from the graph of
the program, and the coordinates then fall apart into small components: a chain of any depth is a row of 2 x 2 blocks,
each with its own coefficients. That is where linear cost comes from, and why independent diagonals never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..ensembles import Dim, Number
from . import elimination
from .coefficients import Coefficients, Rule
from .couplings import Coupling, Pair, closure, finite, spectral
from .linear import LinearProgram, Poly
from .panels import Fit, Table, fitted

Var = tuple[str, int]  # ("u", i) or ("x", a)


@dataclass
class Component:
    """Variables of one width that meet in one coordinate, with the coefficients they meet through."""

    variables: list[Var]
    rows: list[tuple[Var, dict[Var, Poly], dict[int, Poly]]]  # diagonal variable, terms in variables, terms in y
    hats: list[int]
    coefficients: tuple[int, ...]
    rule: Rule | None = None
    terms: dict[Any, Any] = field(default_factory=dict)
    plan: Any = None
    order: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """Residual r(u) = Phi_W(u) - Phi(Theta(u)), its Jacobian, and g with its derivatives."""

    residual: list[Any]
    jacobian: dict[Pair, Any]
    by_z: list[Any]  # -dr/dz
    by_zeta: list[Any]
    g: list[Any]
    g_by_u: list[dict[int, Any]]
    g_by_z: list[Any]
    theta: dict[Pair, Any]
    size: list[Any]  # E |x_a|: what a response would be without cancellation


@dataclass(frozen=True)
class Ring:
    """The numbers of a computation: how data enter, and arrays of them.

    Attributes
    ----------
    name : str
        Under which values at the nodes are kept.
    number : callable
        Takes a datum into the ring.
    array : callable
        Takes an array of data into it.
    epsilon : float
        Its unit of rounding.
    """

    name: str
    number: Callable[[Number], Any]
    array: Callable[[np.ndarray], np.ndarray]
    epsilon: float


DOUBLE = Ring("double", float, lambda x: x.astype(float), 2.3e-16)
# three more digits, for points next to a hard edge where a double runs out of them
LONG = Ring(
    "long",
    lambda x: np.longdouble(float(x)),
    lambda x: x.astype(float).astype(np.longdouble),
    float(np.finfo(np.longdouble).eps),
)


class System:
    """The Dyson equation.

    Parameters
    ----------
    program : LinearProgram
    coefficients : Coefficients
        Their joint law.
    """

    def __init__(self, program: LinearProgram, coefficients: Coefficients) -> None:
        self.program, self.coefficients = program, coefficients
        self._rows = _equations(program)
        self.couplings = _couplings(program, self._rows)
        self.pairs: list[Pair] = [pair for c in self.couplings for pair in c.pairs]
        self.theta_pattern = _theta_pattern(self.couplings)
        self.components = _components(program, self._rows, self.theta_pattern)
        self._component_of = {v: k for k, c in enumerate(self.components) for v in c.variables}
        number = {pair: k for k, pair in enumerate(self.pairs)}
        self.number = number
        self._structure = self._jacobian_structure()
        self.elimination = elimination.plan(len(self.pairs), self._structure)
        sizes = [Fraction(d.ratio) if isinstance(d.ratio, int | Fraction) else d.ratio for d in program.space]
        self.shares = [s / sum(sizes) for s in sizes]

    @property
    def finite(self) -> bool:
        """Whether the resolution of quadrature rules plays no part."""
        return all(self.rule(c, 4).finite for c in self.components) and all(finite(m) for m in self.program.matrices)

    def rule(self, c: Component, level: int) -> Rule:
        """The joint law of the coefficients of a component."""
        key = ("rule", level)
        if key not in c.terms:
            c.terms[key] = self.coefficients.rule(c.coefficients, level)
        return c.terms[key]

    def terms(self, c: Component, level: int, ring: Ring) -> Any:
        """Values of the coefficients of every row at the nodes, and the weights."""
        key = (level, ring.name)
        if key not in c.terms:
            rule, number = self.rule(c, level), ring.number
            values = {k: ring.array(v) for k, v in rule.values.items()}
            weights = ring.array(rule.weights)
            weights = weights / weights.sum()
            c.terms[key] = weights, *_at_nodes(c, values, weights, number)
        return c.terms[key]

    @cached_property
    def fits(self) -> bool:
        """Whether every continuous coordinate is a function of one variable, so that panels can be fitted to points."""
        smooth = [c for c in self.components if not self.rule(c, 4).finite]
        return all(map(finite, (m for m in self.program.matrices))) and all(self.table(c) is not None for c in smooth)

    def table(self, c: Component) -> Table | None:
        """The panels of the coefficients of a component; None if there are finitely many values, or several variables."""
        if "table" not in c.terms:
            lines = None if self.rule(c, 4).finite else self.coefficients.lines(c.coefficients)
            c.terms["table"] = lines and Table(lines)
        return c.terms["table"]

    def sums(
        self, c: Component, theta: dict[Pair, Any], z: Any, zeta: Any, level: int | Fit, ring: Ring
    ) -> tuple[Callable[[Any], Any], dict[Var, dict[Var, Any]]]:
        """The mean over the nodes of one component, and its solutions there."""
        table = self.table(c) if isinstance(level, Fit) else None
        if table is None:
            common = level if isinstance(level, int) else 0  # finitely many values, at any level
            weights, solved = self.solutions(c, theta, z, zeta, common, ring)
            return lambda x: (x * weights).sum(axis=-1), solved

        def solve(owner: np.ndarray, values: dict[int, Any], weights: Any) -> dict[Var, dict[Var, Any]]:
            terms = weights, *_at_nodes(c, values, weights, ring.number)
            own = {pair: t[owner] for pair, t in theta.items()}
            return self._solved(c, terms, own, z[owner], zeta[owner], ring)

        assert isinstance(level, Fit)
        made, solved = fitted(table, level, len(z), solve, ring.array)
        return made.mean, solved

    # -- evaluation -----------------------------------------------------------------------------

    def evaluate(
        self,
        u: Sequence[Any],
        z: Any,
        zeta: Any,
        level: int | Fit,
        slopes: bool = True,
        ring: Ring = DOUBLE,
    ) -> Evaluation:
        """All quantities at unknowns `u` (one array of points each), spectral parameter z and shift zeta of the inverses."""
        number = ring.number
        theta: dict[Pair, Any] = {}
        phi: dict[Pair, Any] = {}
        dtheta: dict[Pair, dict[int, Any]] = {}
        residual: list[Any] = []
        jacobian: dict[Pair, Any] = {}
        start = 0
        at = level if isinstance(level, int) else 0  # panels are fitted only where no ensemble has a resolution
        for coupling in self.couplings:
            own = coupling.coupled(u[start : start + len(coupling.pairs)], at, number, slopes)
            theta |= own.theta
            phi |= own.phi
            for (pair, k), x in own.dtheta.items():
                dtheta.setdefault(pair, {})[start + k] = x
            for (pair, k), x in own.dphi.items():
                jacobian[self.number[pair], start + k] = x
            start += len(coupling.pairs)
        zero = 0 * z
        environment: dict[Pair, Any] = {}
        by_z = [zero] * len(self.pairs)
        by_zeta = [zero] * len(self.pairs)
        size = [abs(zero)] * len(self.pairs)
        outer = [k for k, unknown in enumerate(self.program.unknowns) if unknown.outer]
        g, g_by_z = [zero] * len(outer), [zero] * len(outer)
        g_by_u: list[dict[int, Any]] = [{} for _ in outer]
        for c in self.components:
            mean, solved = self.sums(c, theta, z, zeta, level, ring)
            shifts = [v for v in c.variables if v[0] == "u"]
            inputs = [v[1] for v in c.variables if v[0] == "x"]
            couples = [(i, j) for i in c.hats for j in inputs if (i, j) in theta] if slopes else []
            for a in inputs:
                for b in c.hats:
                    if (a, b) not in self.number:
                        continue
                    row = self.number[a, b]
                    environment[a, b] = mean(solved["y", b]["x", a])
                    if not slopes:
                        continue
                    size[row] = mean(abs(solved["y", b]["x", a]))
                    for i, j in couples:
                        self._chain(
                            jacobian, row, dtheta, (i, j), -mean(solved["y", i]["x", a] * solved["y", b]["x", j])
                        )
                    for v in shifts:
                        change = -mean(solved[v]["x", a] * solved["y", b][v])
                        if self.program.unknowns[v[1]].outer:
                            by_z[row] = by_z[row] + change
                        else:
                            by_zeta[row] = by_zeta[row] - change
            for v in shifts:
                if not self.program.unknowns[v[1]].outer:
                    continue
                i = v[1]
                g[i] = mean(solved[v][v])
                for p, q in couples:
                    factor = mean(solved["y", p][v] * solved[v]["x", q])
                    for k, x in dtheta.get((p, q), {}).items():
                        g_by_u[i][k] = g_by_u[i].get(k, 0) + factor * x
                if slopes:
                    g_by_z[i] = -sum(
                        mean(solved[w][v] * solved[v][w]) for w in shifts if self.program.unknowns[w[1]].outer
                    )
        for k, pair in enumerate(self.pairs):
            residual.append(phi.get(pair, zero) - environment.get(pair, zero))
            jacobian.setdefault((k, k), zero)
        return Evaluation(residual, jacobian, by_z, by_zeta, g, g_by_u, g_by_z, theta, size)

    def _chain(self, jacobian: dict[Pair, Any], row: int, dtheta: Any, pair: Pair, factor: Any) -> None:
        for k, x in dtheta.get(pair, {}).items():
            jacobian[row, k] = jacobian[row, k] + factor * x if (row, k) in jacobian else factor * x

    def solutions(
        self,
        c: Component,
        theta: dict[Pair, Any],
        z: Any,
        zeta: Any,
        level: int,
        ring: Ring,
        rows: Sequence[int] | None = None,
    ) -> tuple[Any, dict[Var, dict[Var, Any]]]:
        """Weights of common nodes, and the solutions of one component there.

        With a source at every hat and at every unknown's equation (or at the rows given).
        """
        terms = self.terms(c, level, ring)
        return terms[0], self._solved(c, terms, theta, z, zeta, ring, rows)

    def _solved(
        self,
        c: Component,
        terms: Any,
        theta: dict[Pair, Any],
        z: Any,
        zeta: Any,
        ring: Ring,
        rows: Sequence[int] | None = None,
    ) -> dict[Var, dict[Var, Any]]:
        number = ring.number
        weights, constant, into = terms
        place = {v: k for k, v in enumerate(c.variables)}
        matrix: dict[Pair, Any] = {}
        zero = 0 * z[..., None] + 0 * weights
        for (r, k), x in constant.items():
            matrix[r, k] = x + zero
        for r, (diagonal, _, _) in enumerate(c.rows):
            shift: Any = number(1)
            if diagonal[0] == "u":
                shift = z[..., None] if self.program.unknowns[diagonal[1]].outer else -zeta[..., None]
            matrix[r, r] = matrix[r, r] + shift if (r, r) in matrix else shift + zero
        for (r, b), x in into.items():
            for (i, j), t in theta.items():
                if i == b and ("x", j) in place:
                    k = place["x", j]
                    term = x * t[..., None]
                    matrix[r, k] = matrix[r, k] + term if (r, k) in matrix else term + zero
        sources: list[tuple[Var, list[Any]]] = []
        for b in c.hats if rows is None else ():
            sources.append((("y", b), [-into[r, b] + zero if (r, b) in into else zero for r in range(len(c.rows))]))
        for r, (diagonal, _, _) in enumerate(c.rows):
            if diagonal[0] == "u" if rows is None else r in rows:
                sources.append((diagonal, [zero + number(1) if k == r else zero for k in range(len(c.rows))]))
        if c.plan is None:
            c.order = _pivots(len(c.rows), matrix)
            swapped = {(c.order[r], k) for r, k in matrix}
            # the pivot of an unknown is z (or 0), the pivot of an x is 1: divide by z first and digits go when z is small
            late = {k for k, v in enumerate(c.variables) if v[0] == "u"}
            c.plan = elimination.plan(len(c.rows), swapped, late)
        moved = {(c.order[r], k): x for (r, k), x in matrix.items()}
        right = []
        for _, side in sources:
            turned: list[Any] = [None] * len(side)
            for r, x in enumerate(side):
                turned[c.order[r]] = x
            right.append(turned)
        with np.errstate(all="ignore"):
            columns = elimination.solve(c.plan, moved, right)
        return {
            name: dict(zip(c.variables, column, strict=True))
            for (name, _), column in zip(sources, columns, strict=True)
        }

    def pointwise(
        self, c: Component, values: dict[int, np.ndarray], theta: dict[Pair, Any], z: Any = 0.0
    ) -> dict[Var, dict[Var, Any]]:
        """Solutions of one component where its coefficients have the given values, at points z (0 if none) and zeta = 0."""
        size = len(next(iter(values.values())))
        rule = Rule(values, np.full(size, 1.0 / size), True)
        copy = Component(
            c.variables, c.rows, c.hats, c.coefficients, terms={("rule", -1): rule}, plan=c.plan, order=c.order
        )
        points = np.atleast_1d(z)
        return self.solutions(copy, theta, points, np.zeros(points.shape), -1, DOUBLE)[1]

    def _jacobian_structure(self) -> set[Pair]:
        entries: set[Pair] = {(k, k) for k in range(len(self.pairs))}
        reach: dict[Pair, set[int]] = {}
        for coupling in self.couplings:
            dense = spectral(coupling.matrix) or coupling.matrix.ensemble.kind not in ("Gaussian", "GOE")
            own = [self.number[p] for p in coupling.pairs]
            for pair in coupling.pairs:
                reach[pair] = set(own) if dense else {self.number[pair]}
                if dense:
                    entries |= {(self.number[pair], k) for k in own}
        for pair in self.theta_pattern - set(reach):
            reach[pair] = {self.number[p] for c in self.couplings if pair[0] in c.transposed for p in c.pairs}
        for c in self.components:
            inputs = [v[1] for v in c.variables if v[0] == "x"]
            couples = [(i, j) for i in c.hats for j in inputs if (i, j) in self.theta_pattern]
            for a in inputs:
                for b in c.hats:
                    if (a, b) in self.number:
                        entries |= {(self.number[a, b], k) for pair in couples for k in reach[pair]}
        return entries

    def mean(self, g: Sequence[Any], number: Callable[[Number], Any] = float) -> Any:
        """The normalised trace from the traces of the widths."""
        return sum(number(s) * x for s, x in zip(self.shares, g, strict=True))


# ---------------------------------------------------------------------------------------------
# structure


def _at_nodes(c: Component, values: dict[int, Any], weights: Any, number: Callable[[Number], Any]) -> tuple[Any, Any]:
    """The polynomials of the rows where the coefficients have the given values."""

    def at_nodes(poly: Poly) -> Any:
        total: Any = number(0) * weights
        for mono, factor in poly.items():
            term: Any = number(factor)
            for k in mono:
                term = term * values[k]
            total = total + term
        return total

    matrix, into = {}, {}
    place = {v: k for k, v in enumerate(c.variables)}
    for r, (_, variables, images) in enumerate(c.rows):
        for v, poly in variables.items():
            matrix[r, place[v]] = at_nodes(poly)
        for b, poly in images.items():
            into[r, b] = at_nodes(poly)
    return matrix, into


def _equations(program: LinearProgram) -> list[tuple[Dim, Var, dict[Var, Poly], dict[int, Poly]]]:
    """One row per variable, all terms on the left; y_b stays apart, to be replaced by Zhat_b + Theta x."""
    rows = []
    for k, unknown in enumerate(program.unknowns):
        variables: dict[Var, Poly] = {("u", j): p for (kind, j), p in unknown.rest.items() if kind == "u"}
        rows.append((unknown.dim, ("u", k), variables, {j: p for (kind, j), p in unknown.rest.items() if kind == "y"}))
    for a, use in enumerate(program.uses):
        negative = {key: {m: -c for m, c in p.items()} for key, p in use.input.items()}
        variables = {("u", j): p for (kind, j), p in negative.items() if kind == "u"}
        rows.append((use.into, ("x", a), variables, {j: p for (kind, j), p in negative.items() if kind == "y"}))
    return rows


def _couplings(program: LinearProgram, rows: list[Any]) -> list[Coupling]:
    """Per matrix, the pairs of uses whose response can be non-zero: a fixed point on the graph of the program."""
    groups: dict[Any, list[int]] = {}
    for a, use in enumerate(program.uses):
        groups.setdefault(use.matrix, []).append(a)
    bare = {m: Coupling(m, {a: program.uses[a].transposed for a in uses}, ()) for m, uses in groups.items()}
    needs: dict[Any, set[Any]] = {}  # variable or image -> what it is made of
    for _, diagonal, variables, images in rows:
        needs.setdefault(diagonal, set()).update(v for v in variables if v != diagonal)
        needs[diagonal].update(("y", b) for b in images)
    found: dict[Any, set[Pair]] = {m: set() for m in groups}
    while True:
        theta = {m: _theta_of(bare[m], pairs) for m, pairs in found.items()}
        edges = {node: set(below) for node, below in needs.items()}
        for pairs in theta.values():
            for b, c in pairs:
                edges.setdefault(("y", b), set()).add(("x", c))
        reached = {a: _reach(("x", a), edges) for uses in groups.values() for a in uses}
        grown = {}
        for m, uses in groups.items():
            pairs = {(a, b) for a in uses for b in uses if bare[m].joins(a, b) and ("y", b) in reached[a]}
            if m.ensemble.kind not in ("Gaussian", "GOE"):
                pairs = closure(pairs, uses)
                if m.ensemble.symmetric:  # kappa_1 couples a use with itself, whatever the response
                    pairs |= {(a, a) for a in uses}
            grown[m] = pairs | found[m]
        if grown == found:
            break
        found = grown
    return [
        Coupling(m, bare[m].transposed, tuple(sorted(p for p in pairs if bare[m].joins(*p))))
        for m, pairs in found.items()
        if pairs
    ]


def _theta_of(bare: Coupling, pairs: set[Pair]) -> set[Pair]:
    if bare.matrix.ensemble.kind in ("Gaussian", "GOE"):
        return set(pairs)
    full = closure(pairs, bare.transposed)
    if bare.matrix.ensemble.symmetric:
        full |= {(a, a) for a in bare.transposed}
    return {p for p in full if bare.joins(*p)}


def _theta_pattern(couplings: list[Coupling]) -> set[Pair]:
    return {p for c in couplings for p in _theta_of(c, set(c.pairs))}


def _reach(start: Any, edges: dict[Any, set[Any]]) -> set[Any]:
    seen: set[Any] = set()
    stack = [start]
    while stack:
        for node in edges.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen


def _components(program: LinearProgram, rows: list[Any], theta: set[Pair]) -> list[Component]:
    parent: dict[Var, Var] = {diagonal: diagonal for _, diagonal, _, _ in rows}

    def find(v: Var) -> Var:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    for _, diagonal, variables, images in rows:
        others = [*variables, *(("x", c) for b in images for i, c in theta if i == b)]
        for other in others:
            parent[find(other)] = find(diagonal)
    groups: dict[Var, list[Any]] = {}
    for row in rows:
        groups.setdefault(find(row[1]), []).append(row[1:])
    out = []
    for members in groups.values():
        hats = sorted({b for _, _, images in members for b in images})
        polys = [p for _, variables, images in members for p in [*variables.values(), *images.values()]]
        numbers = tuple(sorted({k for p in polys for mono in p for k in mono}))
        out.append(Component([diagonal for diagonal, _, _ in members], members, hats, numbers))
    return out


def _pivots(size: int, matrix: dict[Pair, Any]) -> list[int]:
    """For every row the column to pivot on: the assignment with the largest product of entries."""
    from scipy.optimize import linear_sum_assignment  # a fifth of a second that most programs never need

    cost = np.full((size, size), 1e6)
    for (r, k), x in matrix.items():
        entry = float(np.median(np.abs(np.asarray(x, dtype=complex))))
        if entry > 0:
            cost[r, k] = -np.log(entry) - (0.5 if r == k else 0.0)
    rows, columns = linear_sum_assignment(cost)
    return [int(c) for _, c in sorted(zip(rows, columns, strict=True))]
