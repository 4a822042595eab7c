"""g(z) to any number of digits: the same Dyson equation over mpmath numbers.

A point of the right branch is found in double precision; Newton's method then doubles its digits. The coefficients are
computed again from the program in the same precision, so nothing that was once rounded enters. An answer is given when two
computations agree to the digits asked for: two working precisions where all laws are finite, two resolutions of the
quadrature rules otherwise.

Numbers of the program are read as `rmtp.limit` reads them with dps=: Fractions as they are, 0.3 as 3/10. The point z is a
number of its own, a float at its binary value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Any

import numpy as np

from ..errors import BadParameter, BudgetExceeded, NotConverged, NotExact, OnSpectrum
from ..expect.engine import Options
from ..expect.stein import gaussian_variables
from ..laws import Atom, CoordinateLaw, GaussianLaw
from ..normal import Draw, Form, Func
from ..ring import converter, precision
from . import elimination
from .coefficients import Coefficients, evaluate_form, scalar
from .resolvent import Resolvent, program_of
from .system import Evaluation, Ring, System

_GUARDS = (20, 60, 160)  # digits beyond those asked for
_FIRST, _LAST = 30, 52  # rules have 2**(level / 4) nodes: finer steps than doubling, where a node costs so much
_ITERATIONS = 40
_SAME = 1e-6  # the digits must continue those of a double
_INSIDE = 3e-9  # -Im g / |g| on the real axis from which a point is on the spectrum


def digits(resolvent: Resolvent, z: Any, dps: int, refuse: Callable[[list[float]], None] | None = None) -> Any:
    """``g(z)`` to `dps` significant digits.

    Parameters
    ----------
    resolvent : Resolvent
    z : number
        One point off the spectrum: int, float, Fraction, complex or mpmath number.
    dps : int
    refuse : callable, optional
        Called with real points; raises where they are on the spectrum.

    Returns
    -------
    mpc
        Of an mpmath context of its own.

    Raises
    ------
    OnSpectrum
        If z is real and on the spectrum.
    NotExact
        If a function or a law of the expression is known in double precision only.
    BudgetExceeded
        If the coefficients of one coordinate need quadrature in more than one dimension.
    NotConverged
        If the digits were not reached.

    Examples
    --------
    >>> import rmtp
    >>> g = rmtp.spectrum(rmtp.GOE(rmtp.Dim("n"))).stieltjes(3, dps=30)  # (3 - sqrt(5)) / 2
    >>> g.context.nstr(g.real, 30)
    '0.381966011250105151795413165634'
    """
    out = precision(dps)
    where = _point(precision(dps + max(_GUARDS)), z)
    rough = complex(where)
    if rough.imag < 0:
        return digits(resolvent, where.conjugate(), dps).conjugate()
    if where.imag != 0 and rough.imag == 0:
        raise BadParameter(f"z = {z!r}: an imaginary part that no double can hold", remedy="a point farther up")
    if rough.imag == 0 and refuse is not None:
        refuse([rough.real])
    start = resolvent.solve(np.array([rough]))
    if not start.good[0]:
        raise NotConverged(
            f"the branch could not be followed to z = {rough}", remedy="a point farther from the spectrum"
        )
    (coarse,) = resolvent.mean_of(start.g)
    if rough.imag == 0 and -coarse.imag > _INSIDE * abs(coarse):
        raise OnSpectrum(
            f"z = {rough.real!r} lies on the spectrum, where g has two boundary values",
            remedy="pdf(x) for the density, or z off the real axis",
        )
    for guard in _GUARDS:
        own = _Precise(resolvent, dps, guard)
        found = own.at(where, start.u[:, 0])
        if found is None:
            if own.system.finite:
                continue
            break  # more working digits do not help a quadrature rule
        if abs(complex(found) - coarse) > _SAME * abs(coarse):
            break
        return out.mpc(found)
    raise NotConverged(
        f"{dps} digits of g at z = {rough} were not reached",
        remedy="fewer digits, or a point farther from the spectrum",
    )


def _point(ctx: Any, z: Any) -> Any:
    if isinstance(z, np.generic):
        z = z.item()
    try:
        if isinstance(z, np.ndarray | str | bool):
            raise TypeError
        where = ctx.mpc(ctx.convert(z))
    except (TypeError, ValueError, NotImplementedError):
        raise BadParameter(f"z = {z!r} with dps=", remedy="one finite complex number at a time") from None
    if not (ctx.isfinite(where.real) and ctx.isfinite(where.imag)):
        raise BadParameter(f"z = {z!r}", remedy="a finite complex number")
    return where


class _Precise:
    """The Dyson equation over the numbers of one mpmath context."""

    def __init__(self, resolvent: Resolvent, dps: int, guard: int) -> None:
        self.resolvent, self.dps = resolvent, dps
        self.most = dps + guard
        program, known = program_of(resolvent.expression, Options(dps=self.most))
        for matrix in program.matrices:
            law = getattr(matrix.ensemble, "law", None)
            listed = law is None or getattr(law, "values", None) is not None
            if not listed and not (isinstance(law, CoordinateLaw) and all(isinstance(p, Atom) for p in law.components)):
                raise NotExact(
                    f"the law of the {matrix.ensemble.kind} matrix {matrix.name} is known in double precision only",
                    remedy="drop dps=, or give atoms, or one expression instead of a law of another",
                )
        self.ctx = known.expect.ctx
        self.number = converter(False, self.ctx)
        self.system = System(program, _MpCoefficients(known, self.most))
        ratios = [self.number(d.ratio) for d in program.space]
        self.shares = [r / sum(ratios) for r in ratios]

    def at(self, where: Any, start: np.ndarray) -> Any:
        """g, or None if two computations do not agree."""
        ctx = self.ctx
        take = (lambda x: ctx.mpf(x.real)) if where.imag == 0 else ctx.mpc
        z = np.array([take(where)], dtype=object)
        old = self.resolvent.system.pairs
        first = {pair: take(complex(x)) for pair, x in zip(old, start, strict=True)}
        u = [np.array([first[pair]], dtype=object) for pair in self.system.pairs]
        try:
            return self._settled(u, z) if self.system.finite else self._resolved(u, z)
        except ZeroDivisionError:
            return None

    def _settled(self, u: list[Any], z: Any) -> Any:
        """g of finite laws, in two working precisions."""
        self.ctx.dps = (self.most + self.dps) // 2
        u, before = self._newton(u, z, 0)
        self.ctx.dps = self.most
        _, g = self._newton(u, z, 0)
        return g if self._agree(g, before) else None

    def _resolved(self, u: list[Any], z: Any) -> Any:
        """g at two resolutions. Digits come in proportion to the nodes, so the first two tell how many will be needed."""
        level, before, at = _FIRST, None, _FIRST
        while level <= _LAST:
            u, g = self._newton(u, z, level)
            if before is None:
                at, before, level = level, g, level + 2
                continue
            if self._agree(g, before):
                return g
            known = max(1.0, -float(self.ctx.log10(abs(g - before) / abs(g))))
            wanted = ceil(at + 4 * log2((self.dps + 3) / known))
            at, before, level = level, g, min(max(level + 1, wanted), level + 6)
        return None

    def _agree(self, g: Any, before: Any) -> bool:
        return bool(abs(g - before) <= self.ctx.mpf(10) ** -self.dps * abs(g) / 2)

    def _newton(self, u: list[Any], z: Any, level: int) -> tuple[list[Any], Any]:
        """Newton's method until the corrections stop shrinking; g there."""
        ctx = self.ctx
        ring = Ring(f"mp{ctx.dps}", self.number, lambda a: _mapped(self.number, a), float(ctx.eps))
        g, goal, last = ctx.zero, ctx.mpf(10) ** -(0.55 * ctx.dps), ctx.inf  # the step after it squares that
        for _ in range(_ITERATIONS):
            made = self.system.evaluate(u, z, 0 * z, level, ring=ring)
            d = self._step(made)
            sizes = [abs(x) + abs(s) + ctx.mpf(10) ** (-3 * ctx.dps) for x, s in zip(u, made.size, strict=True)]
            change = max((x[0] for x in (abs(a) / s for a, s in zip(d, sizes, strict=True))), default=ctx.zero)
            u = [x + a for x, a in zip(u, d, strict=True)]
            g = ctx.zero
            for share, value, slopes in zip(self.shares, made.g, made.g_by_u, strict=True):
                g = g + share * (value + sum(x * d[k] for k, x in slopes.items()))[0]
            if change <= goal or (change < 1e-10 and change >= last / 2):
                break
            last = change
        return u, g

    def _step(self, made: Evaluation) -> list[Any]:
        right = [-r for r in made.residual]
        try:
            (d,) = elimination.solve(self.system.elimination, made.jacobian, [right])
            return d
        except ZeroDivisionError:  # a pivot that vanishes exactly
            size = len(right)
            matrix = self.ctx.zeros(size)
            for (i, j), x in made.jacobian.items():
                matrix[i, j] = x[0]
            solved = self.ctx.lu_solve(matrix, self.ctx.matrix([r[0] for r in right]))
            return [np.array([x], dtype=object) for x in solved]


def _mapped(number: Any, array: np.ndarray) -> np.ndarray:
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [number(x) for x in array.ravel().tolist()]
    return out


class _MpCoefficients(Coefficients):
    """Rules whose nodes and weights are mpmath numbers."""

    def __init__(self, known: Coefficients, dps: int) -> None:
        super().__init__(known.forms, known.expect)
        self.ctx, self.dps = known.expect.ctx, dps
        self.number = converter(False, self.ctx)
        self.negligible = self.ctx.mpf(10) ** -dps

    def array(self, rows: Sequence[Sequence[Any]]) -> list[np.ndarray]:
        """Rows of numbers as arrays of mpmath numbers."""
        out = []
        for row in rows:
            array = np.empty(len(row), dtype=object)
            array[:] = [self.number(x) for x in row]
            out.append(array)
        return out

    def _quadrature(self, forms: list[Form], level: int) -> tuple[np.ndarray, list[np.ndarray]]:
        leaves = sorted({a for f in forms for a in self.atoms.form_leaves(f)})
        draws = [a for a in leaves if isinstance(self.atoms.table[a], Draw)]
        gaussians = [a for a in leaves if a not in draws]
        self._check_functions(forms)
        loading = self._loading(forms, gaussians)
        laws = [self.atoms.table[a].source.law for a in draws]  # type: ignore[union-attr]
        weights: list[np.ndarray] = []
        values: list[list[np.ndarray]] = []
        for parts in itertools.product(*(zip(law.weights, law.components, strict=True) for law in laws)):
            moving = [part for _, part in parts if not isinstance(part, Atom)]
            if not all(isinstance(part, GaussianLaw) for part in moving):
                raise NotExact(
                    "a continuous scipy.stats law has double precision only",
                    remedy="drop dps=, or use Normal, Discrete or Mixture",
                )
            if len(moving) + bool(loading) > 1:
                raise self._too_many(len(moving) + bool(loading))
            t, shares = self._normal(self._places(forms, loading), level) if moving or loading else self._one()
            nodes = {a: x * t for a, x in loading.items()}
            share = self.number(1)
            for a, (weight, part) in zip(draws, parts, strict=True):
                share = share * self.number(weight)
                match part:
                    case Atom(value):
                        nodes[a] = 0 * t + self.number(value)
                    case GaussianLaw(mean, var):
                        nodes[a] = self.number(mean) + self.ctx.sqrt(self.number(var)) * t
            values.append([np.broadcast_to(self._values(f, nodes), t.shape) for f in forms])
            weights.append(share * shares)
        return np.concatenate(weights), [np.concatenate([v[k] for v in values]) for k in range(len(forms))]

    def _values(self, form: Form, nodes: dict[int, np.ndarray]) -> np.ndarray:
        try:
            return evaluate_form(self.atoms, form, nodes)
        except (TypeError, ValueError, AttributeError) as failure:
            raise NotExact(
                f"a function beneath a diagonal does not take mpmath numbers ({failure})",
                remedy="write it with operators only, or drop dps=",
            ) from failure

    def _check_functions(self, forms: list[Form]) -> None:
        for number in self.atoms.closure(a for f in forms for mono in f.terms for a, _ in mono):
            atom = self.atoms.table[number]
            if isinstance(atom, Func) and atom.fn.mp is None:
                raise NotExact(
                    f"{atom.fn.name} has no arbitrary-precision version", remedy="drop dps=, or use mpmath functions"
                )

    def _too_many(self, dims: int) -> BudgetExceeded:
        return BudgetExceeded(
            f"digits with coefficients that depend on {dims} continuous variables of one coordinate",
            remedy="drop dps=, or independent diagonals that each depend on one",
        )

    def _loading(self, forms: list[Form], gaussians: list[int]) -> dict[int, Any]:
        """Every Gaussian leaf as a multiple of the one standard normal that the forms see of it."""
        if not gaussians:
            return {}
        expect, number = self.expect, self.number
        seen = [v for f in forms for v in gaussian_variables(self.atoms, f, False)]
        cov = {(a, b): number(scalar(expect.cov(a, b))) for a in gaussians for b in gaussians}

        def between(u: Any, v: Any) -> Any:
            return sum(number(scalar(c)) * number(scalar(e)) * cov[a, b] for a, c in u for b, e in v)

        head = max(seen, key=lambda v: between(v, v))
        variance = between(head, head)
        tolerance = self.ctx.mpf(10) ** -(self.dps // 2)
        for v in seen:
            apart = between(v, v) - between(v, head) ** 2 / variance
            if apart > tolerance * between(v, v):
                raise self._too_many(2)
        std = self.ctx.sqrt(variance)
        return {a: between(((a, 1),), head) / std for a in gaussians}

    def _places(self, forms: list[Form], loading: dict[int, Any]) -> list[Any]:
        """Where a function of the normal variable has kinks; kinks of functions of functions are left to the resolution."""
        out: set[Any] = set()
        for number in self.atoms.closure(a for f in forms for mono in f.terms for a, _ in mono):
            atom = self.atoms.table[number]
            if not isinstance(atom, Func) or not atom.fn.kinks:
                continue
            arg = atom.args[atom.fn.kink_arg]
            if any(mono and (len(mono) > 1 or mono[0][1] > 1 or mono[0][0] not in loading) for mono in arg.terms):
                continue
            slope = sum(self.number(scalar(c)) * loading[m[0][0]] for m, c in arg.terms.items() if m)
            if slope:
                kinks = atom.fn.pieces.breaks if atom.fn.pieces is not None else atom.fn.kinks
                out |= {(self.ctx.convert(k) - self.number(scalar(arg.constant))) / slope for k in kinks}
        return sorted(out)

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([self.ctx.zero], dtype=object), np.array([self.ctx.one], dtype=object)

    def _normal(self, breaks: list[Any], level: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of a standard normal: the trapezoid rule, or panels of tanh-sinh between breaks."""
        ctx = self.ctx
        reach = ctx.sqrt(2 * (self.dps + 5) * ctx.ln(10)) + 2
        count = 2 * round(2 ** (level / 4 - 1))
        ends = [-reach, *(b for b in breaks if -reach < b < reach), reach]
        if len(ends) == 2:
            t = [reach * (2 * k - count) / count for k in range(count + 1)]
            w = [ctx.exp(-x * x / 2) for x in t]
        else:
            far = ctx.asinh((self.dps + 5) * ctx.ln(10) / ctx.pi)
            line = []
            for k in range(count + 1):
                s = far * (2 * k - count) / count
                inner = ctx.pi / 2 * ctx.sinh(s)
                line.append((ctx.tanh(inner), ctx.cosh(s) / ctx.cosh(inner) ** 2))
            panels = list(itertools.pairwise(ends))
            t = [(a + b) / 2 + (b - a) / 2 * x for a, b in panels for x, _ in line]
            w = [(b - a) * v for a, b in panels for _, v in line]
            w = [v * ctx.exp(-x * x / 2) for v, x in zip(w, t, strict=True)]
        total = ctx.fsum(w)
        return np.array(t, dtype=object), np.array([x / total for x in w], dtype=object)
