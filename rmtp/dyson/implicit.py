"""The solution of a linear program as a vector of a larger program.

In ``M x = v`` with v and the coefficients known, every use a of a random matrix obeys

    Z^{y_a} = Zhat_a + sum_b Theta_ab Z^{x_b} + sum_e T_ae Z^{x_e},

b over the uses within M and e over the uses of the same matrix in the program so far. Theta solves the Dyson equation and knows
nothing of v; then everything is linear: ``x_a = sum_b K_ab (Zhat_b + sum_e T_be Z^{x_e}) + K_av Z^v`` with K(d) the
coordinatewise inverse, first T (``T_ae = s^2 E[dx_a/dZhat_e]``), then the covariances of the new hats with the earlier
ones, then with each other. The result are ordinary hats and forms: later lines use them as they use any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..basis import Echelon
from ..errors import NotConverged, NotInvertible, UnsupportedOperation
from ..expect.gradients import Gradients
from ..nonlinearity import Nonlinearity
from ..normal import Form, Hat, add, constant, is_zero, scale, times
from .closure import covariance_map
from .coefficients import Coefficients, scalar
from .continuation import Branch
from .couplings import Pair
from .linear import LinearProgram, Use
from .system import DOUBLE, Component, System, Var

_LEVELS = (8, 10)
_AGREE = 1e-9
_NOTHING = 1e-12


class Knot(Form):
    """A form that is told what it is after hats have been made of it; compared by identity."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def key(self) -> tuple[Any, ...]:
        return ("knot", id(self))


@dataclass(frozen=True)
class Solution:
    """Forms of the unknowns, and per use its input with its Zhat and Zdot."""

    unknowns: list[Form]
    uses: list[tuple[Use, Form, Form, Form]]


def solve_forms(
    program: LinearProgram, sources: Sequence[Form], coefficients: Sequence[Form], expect: Gradients
) -> Solution:
    """Z of every unknown and use of ``M x = v``.

    Parameters
    ----------
    program : LinearProgram
        Of a self-adjoint M.
    sources : sequence of Form
        Z^v, one per width of M.
    coefficients : sequence of Form
    expect : Gradients

    Returns
    -------
    Solution
        Approximate: doubles, with quadrature rules that two resolutions agree on to 1e-9.

    Raises
    ------
    NotInvertible
        If the spectrum of M reaches 0.
    UnsupportedOperation
        For ensembles other than iid and GOE that the program has used before, for low-rank terms, and where a coefficient
        depends on M's own matrices together with v.
    """
    for matrix in program.matrices:
        met = any(isinstance(atom, Hat) and atom.matrix is matrix for atom in expect.atoms.table)
        if matrix.ensemble.kind not in ("Gaussian", "GOE") and met:
            raise UnsupportedOperation(
                f"solve with a matrix of the ensemble {matrix.ensemble.kind} that the program has used before",
                remedy="iid or GOE matrices, or a right-hand side and diagonals without this matrix",
            )
    if program.rank_ones:
        raise UnsupportedOperation(
            "solve with a term of low rank", remedy="the Sherman-Morrison formula, on two solves"
        )
    system = System(program, Coefficients(coefficients, expect))
    return _Solver(system, list(sources), expect).run()


def couplings(system: System) -> tuple[dict[Pair, float], np.ndarray, int]:
    """Theta of M itself, the unknowns behind it, and the resolution: the branch of (M - zeta) x = v from large zeta to 0."""
    found: dict[Pair, float] | None = None
    unknowns = np.zeros(0)
    for level in (0,) if system.finite else _LEVELS:
        branch = Branch(system, level)
        z = np.zeros(1, dtype=complex)
        made = None
        for height in (1e2, 1e4, 1e6):
            u = np.zeros((branch.size, 1), dtype=complex)
            zeta = np.full(1, 1j * height)
            for _ in range(60):
                made = branch.evaluate(u, z, zeta)
                d = branch.step(made, [-r for r in made.residual])
                if not np.all(np.isfinite(d)):
                    break
                u = u + d
                if not branch.size or np.max(branch.relative(d, u, made)) < 1e-12:
                    break
            landed = branch.close(u, z, zeta) if np.all(np.isfinite(u)) else None
            if landed is not None:
                landed, good, _, _ = branch.newton(landed, z, 0 * z, final=True)
                made = branch.evaluate(landed, z, 0 * z) if good.all() else None
                break
        else:
            made = None
        if made is None or any(abs(complex(t[0]).imag) > 1e-7 * (1 + abs(t[0])) for t in made.theta.values()):
            raise NotInvertible(
                "the matrix has no bounded inverse in the limit: its spectrum reaches 0",
                remedy="a ridge: M + lam * rmtp.eye(n)",
            )
        theta = {pair: float(np.real(t[0])) for pair, t in made.theta.items()}
        if found is not None:
            gap = max((abs(theta[p] - found[p]) / (1e-300 + abs(theta[p])) for p in theta), default=0.0)
            if gap > _AGREE:
                raise NotConverged(
                    f"the couplings of solve differ by {gap:.1e} between two quadrature rules",
                    remedy="coefficients with fewer kinks or smaller range",
                )
        assert landed is not None
        found, unknowns = theta, landed[:, 0].real
    assert found is not None
    return found, unknowns, 0 if system.finite else _LEVELS[-1]


def tell(basis: Echelon, images: dict[int, tuple[Form, Form]], x: Form, hat: Form, dot: Form) -> None:
    """Let the basis of a matrix know Zhat and Zdot of its use on x."""
    coordinates = dict(basis.coordinates(x))
    new = [k for k in coordinates if k not in images]
    for k, c in coordinates.items():
        if k in images:
            hat, dot = add(hat, images[k][0], -c), add(dot, images[k][1], -c)
    for k in new:
        images[k] = scale(hat, 1 / coordinates[k]), scale(dot, 1 / coordinates[k])


class _Solver:
    def __init__(self, system: System, sources: list[Form], expect: Gradients) -> None:
        self.system, self.sources, self.expect, self.atoms = system, sources, expect, expect.atoms
        self.program = system.program
        self.theta, self.unknowns, self.level = couplings(system)
        self.kernel = self._kernels()
        matrices = {id(m) for m in self.program.matrices}
        self.earlier = [k for k, a in enumerate(self.atoms.table) if isinstance(a, Hat) and id(a.matrix) in matrices]

    # -- K(d), as forms -------------------------------------------------------------------------

    def _kernels(self) -> dict[Var, dict[Var, Form]]:
        """K[variable][source]: numbers, or functions of the coefficients of the component."""
        out: dict[Var, dict[Var, Form]] = {}
        z = np.zeros(1, dtype=complex)
        theta = {pair: np.array([t], dtype=complex) for pair, t in self.theta.items()}
        forms = self.system.coefficients.forms
        for c in self.system.components:
            fixed = all(forms[k].is_constant for k in c.coefficients)
            _, solved = self.system.solutions(c, theta, z, 0 * z, self.level, DOUBLE)
            for source, answer in solved.items():
                for v, x in answer.items():
                    entry = out.setdefault(v, {})
                    if fixed:
                        value = float(np.real(x[0, 0]))
                        entry[source] = constant(value) if abs(value) > _NOTHING else Form({})
                    elif np.any(x != 0):
                        fn = self._entry(c, v, source)
                        entry[source] = self.atoms.apply(fn, tuple(forms[k] for k in c.coefficients))
        return out

    def _entry(self, c: Component, v: Var, source: Var) -> Nonlinearity:
        theta = {pair: np.array([t]) for pair, t in self.theta.items()}

        def fn(*d: np.ndarray) -> np.ndarray:
            arrays = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in d))
            values = {k: a.ravel() for k, a in zip(c.coefficients, arrays, strict=True)}
            answer = self.system.pointwise(c, values, theta)
            return np.asarray(answer[source][v][0], dtype=float).reshape(arrays[0].shape)

        return Nonlinearity(
            name=f"K[{v[0]}{v[1]},{source[0]}{source[1]}]",
            fn=fn,
            arity=len(c.coefficients),
            partials=lambda: (None,) * len(c.coefficients),
            params=("solve", id(self.system), v, source),
        )

    # -- the linear equations -------------------------------------------------------------------

    def run(self) -> Solution:
        uses = self.program.uses
        number = range(len(uses))
        rooted = [self._rooted(("x", a)) for a in number]  # K_av Z^v
        self._check_coefficients(rooted)
        t = self._onsager(rooted)
        known = [self._with_earlier(rooted[a], ("x", a), t) for a in number]
        knots = [Knot({}) for _ in number]
        hats = [self.atoms.intern(Hat(use.matrix, use.transposed, knots[a])) for a, use in enumerate(uses)]
        for a in number:
            total = known[a]
            for b in number:
                total = add(total, self._times_hat(("x", a), b, hats[b]))
            knots[a].terms = total.terms
        cross = self._cross(known)
        own = self._covariances(known, cross)
        for (a, e), value in cross.items():
            self.expect.give_cov(self.earlier[e], hats[a], value)
        for (a, b), value in own.items():
            if a <= b:
                self.expect.give_cov(hats[a], hats[b], value)
        unknowns = []
        for k in range(len(self.program.unknowns)):
            total = self._with_earlier(self._rooted(("u", k)), ("u", k), t)
            for b in number:
                total = add(total, self._times_hat(("u", k), b, hats[b]))
            unknowns.append(total)
        out = []
        for a, use in enumerate(uses):
            dot = Form({})
            for (i, j), value in self.theta.items():
                if i == a:
                    dot = add(dot, Form(knots[j].terms), value)
            for (i, e), value in t.items():
                if i == a:
                    dot = add(dot, self._basis(e), value)
            out.append((use, Form(knots[a].terms), self.atoms.form(self.atoms.table[hats[a]]), dot))
        return Solution(unknowns, out)

    def _basis(self, e: int) -> Form:
        hat = self.atoms.table[self.earlier[e]]
        assert isinstance(hat, Hat)
        return Form(hat.basis.terms)

    def _rooted(self, v: Var) -> Form:
        """The part of a variable that comes from the right-hand side."""
        total = Form({})
        for i, source in enumerate(self.sources):
            kernel = self.kernel.get(v, {}).get(("u", i))
            if kernel is not None and kernel.terms:
                total = add(total, times(kernel, source))
        return total

    def _times_hat(self, v: Var, b: int, hat: int) -> Form:
        kernel = self.kernel.get(v, {}).get(("y", b))
        if kernel is None or not kernel.terms:
            return Form({})
        return times(kernel, Form({((hat, 1),): 1}))

    def _with_earlier(self, total: Form, v: Var, t: dict[tuple[int, int], float]) -> Form:
        for (b, e), value in t.items():
            kernel = self.kernel.get(v, {}).get(("y", b))
            if kernel is not None and kernel.terms:
                total = add(total, times(kernel, self._basis(e)), value)
        return total

    def _factor(self, a: int) -> float:
        """s^2, times gamma for W.T."""
        use = self.program.uses[a]
        s2 = float(use.matrix.ensemble.variance)
        if use.transposed and not use.matrix.ensemble.symmetric:
            s2 *= float(use.matrix.rows.ratio) / float(use.matrix.cols.ratio)
        return s2

    def _opposite(self, a: int, e: int) -> bool:
        use, hat = self.program.uses[a], self.atoms.table[self.earlier[e]]
        assert isinstance(hat, Hat)
        symmetric = use.matrix.ensemble.symmetric
        return hat.matrix is use.matrix and (symmetric or hat.transposed != use.transposed)

    def _alike(self, a: int, e: int) -> bool:
        use, hat = self.program.uses[a], self.atoms.table[self.earlier[e]]
        assert isinstance(hat, Hat)
        return hat.matrix is use.matrix and (use.matrix.ensemble.symmetric or hat.transposed == use.transposed)

    def _check_coefficients(self, rooted: list[Form]) -> None:
        """Coefficients made with M's own matrices are fine for a right-hand side that does not feel these matrices."""
        own = set(self.earlier)
        entangled = [
            k
            for c in self.system.components
            for k in c.coefficients
            if own & set(self.atoms.form_leaves(self.system.coefficients.forms[k]))
        ]
        if not entangled:
            return
        for a, form in enumerate(rooted):
            for e in range(len(self.earlier)):
                touched = 0.0
                if self._alike(a, e):
                    touched += abs(self._mean(times(form, self._basis(e))))
                if self._opposite(a, e):
                    slope = self.expect.gradient(form, [self.earlier[e]]).get(self.earlier[e], 0)
                    touched += abs(float(scalar(slope)))
                if touched > 1e-10:
                    raise UnsupportedOperation(
                        "solve with diagonals made from the matrices of M, for a right-hand side that depends on them too",
                        remedy="diagonals from other matrices, or a fresh right-hand side",
                    )

    def _mean(self, form: Form) -> float:
        return float(scalar(self.expect.of_form(form)))

    def _slopes(self, form: Form) -> dict[int, float]:
        """E[d form / d hat] for the earlier hats, by their place."""
        found = self.expect.gradient(form, self.earlier)
        place = {a: e for e, a in enumerate(self.earlier)}
        return {place[a]: float(scalar(x)) for a, x in found.items() if not is_zero(x)}

    def _onsager(self, rooted: list[Form]) -> dict[tuple[int, int], float]:
        """T_ae = s^2 E[dx_a / dZhat_e]: a linear system, since x_a holds sum_b K_ab sum_e T_be Z^{x_e}."""
        uses, earlier = range(len(self.program.uses)), range(len(self.earlier))
        pairs = [(a, e) for a in uses for e in earlier if self._opposite(a, e)]
        if not pairs:
            return {}
        place = {p: k for k, p in enumerate(pairs)}
        matrix, right = np.eye(len(pairs)), np.zeros(len(pairs))
        for a in uses:
            s2 = self._factor(a)
            for e, slope in self._slopes(rooted[a]).items():
                if (a, e) in place:
                    right[place[a, e]] += s2 * slope
            for b in uses:
                kernel = self.kernel.get(("x", a), {}).get(("y", b))
                if kernel is None or not kernel.terms:
                    continue
                for other in earlier:
                    if (b, other) not in place:
                        continue
                    for e, slope in self._slopes(times(kernel, self._basis(other))).items():
                        if (a, e) in place:
                            matrix[place[a, e], place[b, other]] -= s2 * slope
        solved = np.linalg.solve(matrix, right)
        return {p: float(x) for p, x in zip(pairs, solved, strict=True) if abs(x) > _NOTHING}

    def _cross(self, known: list[Form]) -> dict[tuple[int, int], float]:
        """Covariances of the new hats with the earlier ones: C_ae = s^2 E[x_a Z^{x_e}], linear in themselves by Stein."""
        uses, earlier = range(len(self.program.uses)), range(len(self.earlier))
        pairs = [(a, e) for a in uses for e in earlier if self._alike(a, e)]
        if not pairs:
            return {}
        place = {p: k for k, p in enumerate(pairs)}
        matrix, right = np.eye(len(pairs)), np.zeros(len(pairs))
        for a, e in pairs:
            s2, row = self._factor(a), place[a, e]
            right[row] = s2 * self._mean(times(known[a], self._basis(e)))
            for b in uses:
                kernel = self.kernel.get(("x", a), {}).get(("y", b))
                if kernel is None or not kernel.terms:
                    continue
                for f, slope in self._slopes(times(kernel, self._basis(e))).items():
                    if (b, f) in place:
                        matrix[row, place[b, f]] -= s2 * slope
        solved = np.linalg.solve(matrix, right)
        return {p: float(x) for p, x in zip(pairs, solved, strict=True)}

    def _covariances(self, known: list[Form], cross: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
        """Covariances of the new hats: linear in the second moments of the uses, and these in the covariances."""
        uses = range(len(self.program.uses))
        pairs = [(a, b) for a in uses for b in uses if self._together(a, b)]
        place = {p: k for k, p in enumerate(pairs)}
        second, fixed = np.zeros((len(pairs), len(pairs))), np.zeros(len(pairs))
        kernels = {a: {b: self.kernel.get(("x", a), {}).get(("y", b), Form({})) for b in uses} for a in uses}
        for a, b in pairs:
            row = place[a, b]
            total = self._mean(times(known[a], known[b]))
            for x, y in ((a, b), (b, a)):
                for c in uses:
                    if not kernels[x][c].terms:
                        continue
                    for e, slope in self._slopes(times(kernels[x][c], known[y])).items():
                        total += cross.get((c, e), 0.0) * slope
            fixed[row] = total
            for c in uses:
                for d in uses:
                    if (c, d) in place and kernels[a][c].terms and kernels[b][d].terms:
                        second[row, place[c, d]] += self._mean(times(kernels[a][c], kernels[b][d]))
        rule = self._covariance_rule(place)
        solved = np.linalg.solve(np.eye(len(pairs)) - rule @ second, rule @ fixed)
        return {p: float(x) for p, x in zip(pairs, solved, strict=True)}

    def _covariance_rule(self, place: dict[tuple[int, int], int]) -> np.ndarray:
        """Covariances of the hats from second moments of the uses: s^2 times them for iid matrices."""
        rule = np.diag([self._factor(a) for a, _ in place])
        start = 0
        for coupling in self.system.couplings:
            own = list(map(float, self.unknowns[start : start + len(coupling.pairs)]))
            start += len(coupling.pairs)
            pairs, matrix = covariance_map(coupling, own, self.level)
            rows = [place[p] for p in pairs]
            rule[np.ix_(rows, rows)] = matrix
        return rule

    def _together(self, a: int, b: int) -> bool:
        x, y = self.program.uses[a], self.program.uses[b]
        return x.matrix is y.matrix and (x.matrix.ensemble.symmetric or x.transposed == y.transposed)
