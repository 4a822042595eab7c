"""The resolvent of a matrix expression: from the expression to g(z), at any accuracy."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..dense import is_symmetric
from ..errors import BadParameter, BudgetExceeded, NotConverged, NotExact, NotInvertible, RmtpError
from ..expect.engine import Options
from ..matrices import Expression, Grid, Inverse, Matrix, Product, Total
from ..normal import Form, constant
from ..printing import handle_text
from ..program import Program, lower
from ..quantity import is_symbolic
from ..sweeps import sweep_shape
from ..theorem import MasterTheorem
from .coefficients import RANGE, Coefficients
from .continuation import Branch, Solved
from .copies import behind
from .couplings import finite, law_nodes
from .linear import LinearProgram
from .linear import resolvent as written
from .panels import Fit
from .series import is_rational_system, moments
from .system import System

_LEVELS = range(8, 14)
_CONFIRM = 1e-5  # to which two independent walks must agree
_COARSE, _FINE = Fit(1e-7), Fit(1e-10)
_FALLING = 0.9
_LAST = 37.0  # standard deviations, beyond which a probability is no double
_TRIALS = 3  # levels at which points are walked to before they get panels of their own
_AGREE = 2e-12  # what two resolutions must agree to, relative to g
_AGREE_INSIDE, _NOISE = 1e-9, 3e-15  # likewise of its imaginary part, down to rounding


class Resolvent:
    """``g(z) = lim (1/n) tr (z - M)^-1`` of an expression.

    Parameters
    ----------
    expression : Expression
        Square; for the branch to be the physical one, with real spectrum.
    """

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        for inner in inverses(expression):
            check_invertible(inner)
        self.system = System(*program_of(expression, Options()))
        self._refuse_infinite_diagonals()
        self.finite = self.system.finite
        smooth = all(self.system.rule(c, _LEVELS[0]).finite for c in self.system.components)
        # where paths are walked: Gauss nodes of a law reach further than the trapezoid of a coefficient
        several = any(self.system.coefficients.dimensions(c.coefficients) > 1 for c in self.system.components)
        self.level = 0 if self.finite else _LEVELS[0] - (2 if smooth or several else 0)
        self.fine = self.level  # what the points met so far needed
        self.fits = not self.finite and self.system.fits  # whether points may have panels of their own
        self.fitted = False  # whether they have: from the first point on that common nodes did not settle
        self._branches: dict[int | Fit, Branch] = {}
        self._anchors: dict[int | Fit, Any] = {}
        self._exact: System | None = None
        self._moments: list[Any] = []

    # -- g ----------------------------------------------------------------------------------------

    def branch(self, level: int | Fit | None = None) -> Branch:
        level = self.level if level is None else level
        if level not in self._branches:
            self._branches[level] = Branch(self.system, level)
        return self._branches[level]

    def anchor(self, level: int | Fit | None = None) -> Any:
        """Where the continuation starts; with the mean and the spread of the law."""
        level = self.level if level is None else level
        if level not in self._anchors:
            self._anchors[level] = self.branch(level).anchor()
        return self._anchors[level]

    @property
    def mean(self) -> float:
        """The first moment, to the accuracy of a start value."""
        return float(self.anchor()[2])

    @property
    def spread(self) -> float:
        """The standard deviation, to the accuracy of a start value."""
        return float(self.anchor()[3])

    def solve(self, z: np.ndarray) -> Solved:
        """Solutions at points of the closed upper half plane, at a resolution that no longer matters."""
        z = np.asarray(z, dtype=complex)
        if self.fitted:
            return self._panelled(z)
        out = self.branch().at(z, self.anchor())
        if self.finite or not len(z):
            return out
        out = self.settle(out)
        lost = ~out.good
        if not self.fits or not lost.any():
            return out
        self.fitted, self.fine = True, _LEVELS[-1] - 2
        made = self._panelled(z[lost])
        out.u[:, lost], out.g[:, lost], out.good[lost], out.error[lost] = made.u, made.g, made.good, made.error
        return replace(out, fitted=lost)

    def _panelled(self, z: np.ndarray) -> Solved:
        """Solutions with panels fitted to every point, where a second walk with finer panels arrives at the same."""
        one = self.branch(_COARSE).at(z, self.anchor(_COARSE))
        u, g, good, error = (np.array(x) for x in (one.u, one.g, one.good, one.error))
        kept = np.flatnonzero(good)
        if len(kept):
            two = self.branch(_FINE).at(z[kept], self.anchor(_FINE))
            change = np.abs(self.mean_of(two.g) - self.mean_of(one.g[:, kept]))
            u[:, kept], g[:, kept], error[kept] = two.u, two.g, two.error + change
            with np.errstate(all="ignore"):
                good[kept] = two.good & (change <= _CONFIRM * np.abs(self.mean_of(two.g)))
        return Solved(z, u, g, good, error, np.ones(z.shape, dtype=bool))

    def settle(self, out: Solved) -> Solved:
        """Solutions at resolutions that no longer matter, point by point.

        Two walks from infinity at different resolutions must agree before one of them is polished at finer ones: near a hard
        edge a coarse rule is a law with bands and gaps of its own, whose branch a finer rule would follow to a wrong root.
        """
        u, all_g, good, error = (np.array(x) for x in (out.u, out.g, out.good, out.error))
        size = len(out.z)
        at_level = np.full(size, self.level)
        confirmed = np.zeros(size, dtype=bool)
        last = self.level + _TRIALS if self.fits else _LEVELS[-1]
        for level in range(self.level + 1, last):
            open_ = np.flatnonzero(~confirmed)
            if not len(open_) or (level > _LEVELS[0] and not self._affordable(level)):
                break
            again = self.branch(level).at(out.z[open_], self.anchor(level))
            before, now = self.mean_of(all_g[:, open_]), self.mean_of(again.g)
            agree = good[open_] & again.good & (np.abs(now - before) <= _CONFIRM * np.abs(now))
            u[:, open_], all_g[:, open_] = again.u, again.g
            good[open_], error[open_], at_level[open_] = again.good, again.error, level
            confirmed[open_] = agree
        good &= confirmed
        settled = np.zeros(size, dtype=bool)
        for level in range(self.level + 1, _LEVELS[-1] + 1):
            if level > _LEVELS[0] and not self._affordable(level):  # errors say how far it went
                break
            finer = self.branch(level)
            open_ = np.flatnonzero(good & ~settled & (at_level < level))
            for block in np.array_split(open_, max(1, -(-len(open_) // finer.chunk))):
                if not len(block):
                    continue
                before = self.mean_of(all_g[:, block])
                new, fine, _, _ = finer.newton(u[:, block], out.z[block], 0 * out.z[block], final=True)
                done = finer.conclude(new, out.z[block], fine)
                change = np.abs(self.mean_of(done.g) - before)
                kept = done.good & (change <= _CONFIRM * np.abs(before))
                u[:, block[kept]], all_g[:, block[kept]] = done.u[:, kept], done.g[:, kept]
                error[block[kept]] = (done.error + change)[kept]
                good[block] = kept
                close = change <= np.maximum(_AGREE * np.abs(before), 4 * done.error)
                if self.fits:
                    close &= _still(self.mean_of(done.g), before)
                settled[block] = close & kept
                if (kept & ~close).any():
                    self.fine = max(self.fine, min(level, _LEVELS[-1] - 2))
        if self.fits:
            good &= settled
        return Solved(out.z, u, all_g, good, error)

    def _affordable(self, level: int) -> bool:
        try:
            self.branch(level)
        except BudgetExceeded:
            return False
        return True

    def mean_of(self, g: np.ndarray) -> np.ndarray:
        """The normalised trace from the traces on the widths."""
        return np.asarray(self.system.mean(list(g)))

    def rule_of(self, out: Solved, k: int) -> Branch:
        """The branch of the resolution at which a point was solved."""
        return self.branch(self.fine if out.fitted is None or not out.fitted[k] else _FINE)

    def slope(self, out: Solved) -> np.ndarray:
        """dg/dz at solved points."""
        rate = np.zeros((len(out.g), len(out.z)), dtype=complex)
        fitted = np.zeros(out.z.shape, dtype=bool) if out.fitted is None else out.fitted
        for which in (np.flatnonzero(~fitted), np.flatnonzero(fitted)):
            if len(which):
                rate[:, which] = _slopes(self.rule_of(out, which[0]), out.u[:, which], out.z[which])
        return self.mean_of(rate)

    def poles(self, out: Solved) -> list[np.ndarray]:
        """Reciprocals of what a coordinate answers where its coefficients end, at solved points: 0 at the edge of a law that
        follows its coefficients there. One array per end."""
        if not self.fits:
            return []
        found = []
        theta = self.rule_of(out, 0).evaluate(out.u, out.z, 0 * out.z).theta
        for c in self.system.components:
            table = self.system.table(c)
            for line in table.lines if table is not None else ():
                values = line.values(np.array([-_LAST, _LAST]))
                made = self.system.pointwise(c, values, theta, out.z)
                largest = max((x for row in made.values() for x in row.values()), key=lambda x: np.abs(x[0]).max())
                found += list((1 / np.broadcast_to(largest, (len(out.z), 2))).T.real)
        return found

    def _refuse_infinite_diagonals(self) -> None:
        for c in self.system.components:
            for k, values in self.system.rule(c, _LEVELS[0]).values.items():
                if is_symbolic(values):
                    continue
                where = f"diag({handle_text(self.system.program.coefficients[k])}) in {self.expression!r}"
                if np.any(np.isnan(values.astype(float))):
                    raise BadParameter(
                        "a diagonal has entries that are no numbers: a function outside its domain",
                        where=where,
                        remedy="a function that is real on all values of its vector: np.sqrt(x**2), np.log(1 + x**2)",
                    )
                if not np.all(np.isfinite(values.astype(float))):
                    raise NotInvertible(
                        "a diagonal has infinite entries: it divides by a vector that has zeros",
                        where=where,
                        remedy="a vector that stays away from 0, or a ridge: x / (x**2 + lam)",
                    )

    @cached_property
    def grounded(self) -> bool:
        """Whether a coefficient has mass down to 0 at an end of its range: there its extreme values go on falling."""
        ends = np.array([-RANGE, 1 - RANGE, RANGE - 1, RANGE])
        tables = [t for c in self.system.components if (t := self.system.table(c)) is not None] if self.fits else []
        for values in (v for t in tables for line in t.lines for v in line.values(ends).values()):
            low, lower, upper, high = np.abs(values)
            if low < _FALLING * lower or high < _FALLING * upper:
                return True
        return False

    @property
    def unbounded(self) -> bool:
        """Whether a coefficient or a given law has no bound: its extreme nodes go on growing where no mass is left."""
        rules = [self.system.rule(c, _LEVELS[0]) for c in self.system.components]
        laws = [(v, r.weights) for r in rules if not r.finite for v in r.values.values()]
        for matrix in self.system.program.matrices:
            if not finite(matrix):
                nodes, shares = law_nodes(matrix.ensemble.law, _LEVELS[0])
                laws.append((np.asarray(nodes, dtype=float), np.asarray(shares, dtype=float)))
        for values, weights in laws:
            size, share = np.abs(values.astype(float)), weights.astype(float)
            if size.max() > 1.2 * size[share > 1e-9].max():
                return True
        return False

    # -- exact moments ----------------------------------------------------------------------------

    def moments(self, order: int) -> list[Any]:
        """Moments 0..order by the power series; rational when the data are."""
        if len(self._moments) <= order:
            system = self.exact_system()
            if system is not None:
                self._moments = moments(system, order, 0, True)
            else:
                self._moments = self._settled_moments(order)
        return self._moments[: order + 1]

    def _settled_moments(self, order: int) -> list[Any]:
        previous = moments(self.system, order, _LEVELS[0], False)
        if self.finite:
            return previous
        for level in _LEVELS[1:]:
            current = moments(self.system, order, level, False)
            if all(abs(a - b) <= 1e-13 * max(abs(a), 1.0) for a, b in zip(current, previous, strict=True)):
                return current
            previous = current
        raise NotConverged(
            f"the moment of order {order} is beyond the resolution of the quadrature rules", remedy="a lower order"
        )

    def exact_system(self) -> System | None:
        """The system over the rationals, if all data are rational."""
        if self._exact is None:
            try:
                system = System(*program_of(self.expression, Options(exact=True)))
                if is_rational_system(system, 0):
                    self._exact = system
            except NotExact:
                return None
        return self._exact


def _still(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Whether the imaginary part stands still by itself: next to an atom all that shows of the density."""
    return np.abs(now.imag - before.imag) <= np.maximum(_AGREE_INSIDE * np.abs(now.imag), _NOISE * np.abs(now))


def _slopes(branch: Branch, u: np.ndarray, z: np.ndarray) -> np.ndarray:
    made = branch.evaluate(u, z, 0 * z)
    rate = branch.step(made, list(made.by_z))
    total = []
    for own, by_u in zip(made.g_by_z, made.g_by_u, strict=True):
        total.append(own + sum((x * rate[k] for k, x in by_u.items()), np.zeros(z.shape)))
    return np.array(total)


def program_of(expression: Expression, options: Options) -> tuple[LinearProgram, Coefficients]:
    """The linear program of the resolvent, and the law of its coefficients in the ring of `options`."""
    program = written(expression, is_symmetric)
    lines: Program = lower(list(program.coefficients))
    if sweep_shape(lines):
        raise BadParameter("a sweep in a matrix expression has one law per value", remedy="one spectrum per value")
    walked = MasterTheorem(lines, options).run()
    forms = [walked.values[k] for k in lines.outputs]
    for form, k in zip(forms, lines.outputs, strict=True):
        if form is None:
            raise NotConverged(
                "a diagonal of the expression rests on an expectation of too many dimensions",
                where=lines.where(k),
                remedy="fewer dependent layers beneath the diagonal",
            )
    return program, Coefficients([f if isinstance(f, Form) else constant(f) for f in forms], walked.expect)


def inverses(m: Expression) -> list[Inverse]:
    """The inverses of an expression, innermost first."""
    match m:
        case Matrix(source=source):
            known = behind(source)
            return [] if known is None else inverses(known)
        case Inverse(inner=inner):
            return [*inverses(inner), m]
        case Product(factors=factors):
            return [i for f in factors for i in inverses(f)]
        case Total(terms=terms):
            return [i for _, t in terms for i in inverses(t)]
        case Grid(blocks=blocks):
            return [i for row in blocks for b in row if b is not None for i in inverses(b)]
    return []


def check_invertible(m: Inverse) -> None:
    """Refuse an inverse whose matrix has spectrum at 0 in the limit (of M.T M, if M is not symmetric).

    Near 0 the transform of a law that stays away from it is real: Im g(i h) = -h E[1/x^2], so Im g / h settles; it grows
    like a power of 1/h if the support touches 0.
    """
    inner = m.inner if is_symmetric(m.inner) else Product((m.inner.T, m.inner))
    own = Resolvent(inner)
    heights = own.spread * np.array([1e-4, 1e-6, 1e-8]) + 1e-300
    try:
        made = own.solve(1j * heights)
    except RmtpError as error:
        raise error.located(repr(m)) from None
    rate = -np.imag(own.mean_of(made.g)) / heights
    if not made.good.all() or not np.all(np.isfinite(rate)) or rate[2] > 2 * rate[1] or rate[1] > 30 * rate[0]:
        raise NotInvertible(
            "the matrix has no bounded inverse in the limit: its spectrum reaches 0",
            where=repr(m),
            remedy="a ridge: inv(M + lam * rmtp.eye(n)), or the smaller of M @ M.T and M.T @ M",
        )
