"""The master theorem, and nothing else.

The program is walked once, line by line. Every vector becomes its Z in normal form (`normal`),
every scalar its limit; the rules below carry their names from the theorem (theory, section 2; TP III, 2009.10685, Box 1).
The walk runs over any ring: the same code gives Fractions, floats, mpf, and arrays of them for a sweep.

Rejected: compiling the theorem to a fixed plan of scalar operations before any number is known. Which terms cancel and which
rank a covariance has decides the structure of everything downstream, and only numbers decide that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from .axes import Along, combine, over_axes
from .basis import Echelon
from .dyson.implicit import Solution, solve_forms, tell
from .dyson.linear import LinearProgram
from .ensembles import Number
from .errors import (
    BudgetExceeded,
    DivergentExpectation,
    NotExact,
    RmtpError,
    UnsupportedOperation,
    ZeroDivisor,
    unbound,
)
from .expect.closed_forms import is_rational
from .expect.engine import METHODS, NeedsSampling, Options
from .expect.gradients import Gradients
from .identities import idempotent, simpler
from .instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    FreshSource,
    IIDSource,
    Init,
    Input,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
    RandomMatrix,
    Solve,
)
from .laws import Atom, GaussianLaw
from .nonlinearity import Nonlinearity
from .normal import Atoms, Draw, Form, Func, Hat, Initial, add, constant, is_zero, scale, times
from .program import Program
from .progress import progress
from .quantity import is_symbolic
from .results import Estimate, centre_and_spread, conclude
from .ring import as_number, converter, precision
from .uses import Uses

_MAX_DEGREE = 60  # beyond this, floats lose more in an expanded polynomial than in quadrature
_MAX_POWER_TERMS = 3000
_CANCELLED = 1e-2  # an expectation below is compared with its terms
_ROUNDING = 1e-16

_FIRST = Nonlinearity(name="first", fn=lambda a, b: a + 0 * b, arity=2, mp=lambda ctx, a, b: a)
_SECOND = Nonlinearity(name="second", fn=lambda a, b: b + 0 * a, arity=2, mp=lambda ctx, a, b: b)
PRODUCT = Nonlinearity(
    name="product", fn=np.multiply, arity=2, partials=lambda: (_SECOND, _FIRST), mp=lambda ctx, a, b: a * b
)


@dataclass(frozen=True)
class _Product:
    """A product that is averaged and nothing else: a linear algorithm of T steps would expand it into T^2 terms."""

    first: Form
    second: Form


def _only_averaged(program: Program) -> frozenset[int]:
    """The products of two vectors, squares included, whose every use is an average."""
    users: dict[int, list[int]] = {}
    for number, line in enumerate(program.lines):
        for a in line.args:
            users.setdefault(a, []).append(number)
    found = []
    for number, line in enumerate(program.lines):
        match line.op:
            case Apply(fn=Arithmetic(name="multiply")) if len(line.args) == 2:
                fine = not any(program.lines[a].is_scalar for a in line.args)
            case Apply(fn=Arithmetic(name="power", exponent=2)):
                fine = not line.is_scalar
            case _:
                fine = False
        if fine and number not in program.outputs:
            if all(isinstance(program.lines[k].op, Average) for k in users.get(number, ())):
                found.append(number)
    return frozenset(found)


class MasterTheorem:
    """The limit of every line of a program.

    Parameters
    ----------
    program : Program
    options : Options
    gradient_independence : bool
        Drop Z-Dot: treat W.T as an independent copy (the naive answer).
    points : int, optional
        Allow sampled expectations, with this many Sobol points per replicate. Without it, lines that need
        them are left unresolved (None), and so is what uses them.

    Attributes
    ----------
    values : list
        Per line: the Form of Z for a vector, the limit for a scalar, an object array of them over finite axes.
    methods : list of int
        Per line: the rank in `METHODS` of the least exact expectation it rests on.
    """

    def __init__(
        self,
        program: Program,
        options: Options,
        gradient_independence: bool = False,
        points: int | None = None,
    ) -> None:
        self.program, self.options, self.naive = program, options, gradient_independence
        self.ctx = None if options.dps is None else precision(options.dps)
        self.number = converter(options.exact, self.ctx)
        self.atoms = Atoms()
        self.expect = Gradients(self.atoms, self.z_hat, options, self.number, points, self.ctx)
        self.values: list[Any] = []
        self.methods: list[int] = []
        self.parts: dict[int, tuple[Any, Any]] = {}  # line -> (Zhat, Zdot) of a MatVec
        self.notes: list[str] = []
        self._only_averaged = _only_averaged(program)
        self._bases: dict[tuple[RandomMatrix, bool], tuple[Echelon, dict[int, tuple[Form, Form]]]] = {}
        self._solved: dict[Any, Solution] = {}
        self._uses: dict[RandomMatrix, Uses] = {}
        self._groups: dict[IIDSource, NormalGroup] = {}

    def run(self) -> MasterTheorem:
        """Walk the lines in order."""
        for number, line in enumerate(progress(self.program.lines, "lines")):
            value, rank = None, 0
            try:
                if all(self.values[a] is not None for a in line.args):
                    with self.expect.record() as ranks:
                        value = self.rule(number, line)
                        rank = ranks[-1]
            except NeedsSampling:
                pass
            except RmtpError as error:
                raise error.located(self.program.where(number)) from None
            self.values.append(value)
            self.methods.append(max([rank, *(self.methods[a] for a in line.args)]))
        return self

    def rule(self, number: int, line: Line) -> Any:
        """The rule of the theorem for one instruction."""
        args = [self.values[a] for a in line.args]
        match line.op:
            case Init(source=source, index=index):
                return self.z_init(source, index)
            case MatVec(matrix=matrix, transposed=transposed):
                pairs = over_axes(lambda x: self.z_matvec(matrix, transposed, x), args)
                self.parts[number] = (over_axes(lambda p: p[0], [pairs]), over_axes(lambda p: p[1], [pairs]))
                return over_axes(lambda p: add(*p), [pairs])
            case Apply(fn=fn) if number in self._only_averaged and not any(isinstance(a, Along) for a in args):
                return _Product(args[0], args[-1])
            case Apply(fn=fn):
                scalars = [self.program.lines[a].is_scalar for a in line.args]
                if line.is_scalar:
                    return over_axes(lambda *x: self.scalar(fn, x), args)
                return over_axes(lambda *x: self.z_nonlin(fn, _as_forms(x, scalars)), args)
            case Average():
                return over_axes(self.z_average, args)
            case Parameter(value=value, swept=swept):
                return self.given(value, swept)
            case Input():
                raise unbound(line.op.name)
            case Combine(kind=kind, detail=detail):
                return combine(kind, detail, args)
            case Solve(system=system, index=index):
                scalars = [self.program.lines[a].is_scalar for a in line.args]
                return self.z_solve(system, index, _as_forms(args, scalars))

    # -- Z-Init ---------------------------------------------------------------------------------

    def z_init(self, source: NormalGroup | IIDSource | ConstantSource, index: int | None) -> Any:
        """Z^x is what the initial law says."""
        match source:
            case ConstantSource(value=value):
                return constant(self.number(value))
            case NormalGroup(mean=mean):
                if index is None:
                    return Along.of([self._gaussian(source, i) for i in range(len(mean))], (len(mean),))
                return self._gaussian(source, index)
            case FreshSource(members=members):
                return Along.of([self.z_init(member, None) for member in members], (len(members),))
            case IIDSource(law=law):
                match law.components:
                    case (Atom(value),):
                        return constant(self.number(value))
                    case (GaussianLaw(mean, var),):
                        group = self._as_group(source, mean, var)
                        return self._gaussian(group, 0)
                return self.atoms.form(Draw(source))

    def _gaussian(self, group: NormalGroup, index: int) -> Form:
        mean = constant(self.number(group.mean[index]))
        if is_zero(group.cov[index][index]):
            return mean
        return add(mean, self.atoms.form(Initial(group, index)))

    def _as_group(self, source: IIDSource, mean: Number, var: Number) -> NormalGroup:
        return self._groups.setdefault(source, NormalGroup(source.dim, (mean,), ((var,),)))

    # -- Z-Nonlin -------------------------------------------------------------------------------

    def z_nonlin(self, fn: Nonlinearity | Arithmetic, args: Sequence[Form]) -> Form:
        """Z^{phi(x; theta)} = phi(Z^x; theta): polynomials are expanded, anything else is a new atom."""
        match fn:
            case Arithmetic(name="add"):
                return add(args[0], args[1])
            case Arithmetic(name="subtract"):
                return add(args[0], args[1], -1)
            case Arithmetic(name="multiply"):
                return self.product(args[0], args[1])
            case Arithmetic(name="divide"):
                return scale(args[0], self.inverse(args[1].constant))
            case Arithmetic(name="power", exponent=exponent):
                return self.power(args[0], exponent)
            case Nonlinearity():
                self._check_vanishing(fn, args)
                easier = simpler(self.atoms, fn, args)
                if easier is not None:
                    return easier
                out = self.atoms.apply(fn, tuple(args))
                if out.is_constant:
                    self._check_number(fn, out.constant, [a.constant for a in args])
                return out
        raise AssertionError(fn)

    def product(self, f: Form, g: Form) -> Form:
        """Expanded while that is exact and cheap; else one atom, integrated unexpanded."""
        if f.is_constant or g.is_constant:
            return times(f, g)
        short = len(f.terms) * len(g.terms) == 1
        if self.options.exact or short or _degree(f) + _degree(g) <= _MAX_DEGREE:
            try:
                return idempotent(self.atoms, times(f, g))
            except BudgetExceeded:
                if self.options.exact:
                    raise
        return self.atoms.form(Func(PRODUCT, (f, g)))

    def power(self, f: Form, k: int) -> Form:
        """f**k."""
        if f.is_constant:
            return constant(f.constant**k)
        if not self.options.exact and comb(len(f.terms) + k - 1, k) > _MAX_POWER_TERMS and len(f.terms) > 1:
            inside = self.atoms.form(Func(PRODUCT, (f, constant(1))))
            return self.power(inside, k)
        out = constant(self.number(1))
        for _ in range(k):
            out = self.product(out, f)
        return out

    def _check_vanishing(self, fn: Nonlinearity, args: Sequence[Form]) -> None:
        arg = args[fn.kink_arg]
        if fn.jumps and arg.is_constant and any(np.any(np.asarray(arg.constant, float) == j) for j in fn.jumps):
            self.notes.append(
                f"{fn.name} jumps exactly where the limit of its argument lies; at finite width its sign is rounding noise"
            )

    # -- Z-Average ------------------------------------------------------------------------------

    def z_average(self, x: Form | _Product) -> Number:
        """theta = E Z^x."""
        if not isinstance(x, _Product):
            return self._rounded(self.expect.of_form(x), x, constant(1))
        value = self._rounded(self.expect.inner(x.first, x.second), x.first, x.second)
        if x.first is x.second and not self.options.exact and self.ctx is None and not is_rational(value):
            return as_number(
                np.where(np.asarray(value) < 0, 0.0, value)
            )  # what cancels to nothing must not end below it
        return value

    def _rounded(self, value: Number, f: Form, g: Form) -> Number:
        """E f g: what cancels to next to nothing is known to the rounding of what cancelled (Cauchy-Schwarz)."""
        exact = self.options.exact or self.ctx is not None or self.expect.sampler is not None or is_symbolic(value)
        if exact or is_rational(value) or not np.any(np.abs(value) <= _CANCELLED):
            return value
        sizes = [
            sum(abs(_floats(c)) * np.sqrt(abs(_floats(self.expect.inner(t, t)))) for c, t in _terms(h)) for h in (f, g)
        ]
        value, error = _floats(value), _floats(_ROUNDING * sizes[0] * sizes[1])
        return self.expect.spread(*np.broadcast_arrays(value, error if value.shape else error.max()))

    # -- Z-MatVec = Z-Hat + Z-Dot ---------------------------------------------------------------

    def z_matvec(self, matrix: RandomMatrix, transposed: bool, x: Form) -> tuple[Form, Form]:
        """Z^{Wx} = Zhat^{Wx} + Zdot^{Wx}, linear in x: known on a basis, known everywhere."""
        hat, dot = Form({}), Form({})
        if matrix.ensemble.iid and is_zero(matrix.ensemble.variance):
            return hat, dot
        basis, images = self._bases.setdefault((matrix, transposed), (Echelon(), {}))
        for k, coefficient in basis.coordinates(x):
            if isinstance(coefficient, float) and not math.isfinite(coefficient):
                raise DivergentExpectation(
                    "the numbers of the program grow beyond what floats hold",
                    remedy="fewer steps, or a stable algorithm",
                )
            if k not in images:
                images[k] = self._image(matrix, transposed, basis.elements[k])
            h, d = images[k]
            hat, dot = add(hat, h, coefficient), add(dot, d, coefficient)
        return hat, dot

    def _image(self, matrix: RandomMatrix, transposed: bool, element: Form) -> tuple[Form, Form]:
        """Zhat and Zdot of one element of the basis."""
        if not matrix.ensemble.iid:
            exact = self.options.exact
            uses = self._uses.setdefault(matrix, Uses(matrix, self.expect, self.number, exact, self.naive))
            return uses.append(transposed, element)
        number = self.atoms.intern(Hat(matrix, transposed, element))
        image = self.atoms.form(self.atoms.table[number]), self.z_dot(matrix, transposed, element)
        if self.expect.sampler is not None:
            self.expect.cov(number, number)  # in program order, so that nothing recurses later
        return image

    def z_hat(self, matrix: RandomMatrix, transposed: bool) -> Number:
        """The factor in Cov(Zhat^{Wx}, Zhat^{Wx'}) = s^2 E[Z^x Z^x'], and in Z-Dot: s^2 for W, s^2 m/n for W.T.

        For iid entries; the hats of other ensembles depend on all uses together (`uses`).
        It is the entry variance times the size of the vector that is multiplied.
        """
        s2 = self.number(matrix.ensemble.cumulant(2))
        if transposed and matrix.rows != matrix.cols:
            s2 = s2 * (self.number(matrix.rows.ratio) / self.number(matrix.cols.ratio))
        return s2

    def z_dot(self, matrix: RandomMatrix, transposed: bool, x: Form) -> Form:
        """Zdot^{Wx} = s^2 sum_y Z^y E[dZ^x / dZhat^{W.T y}] over the W.T y beneath x."""
        total = Form({})
        if self.naive:
            return total
        hats: dict[int, Hat] = {}
        for a in self.atoms.form_leaves(x):
            atom = self.atoms.table[a]
            if isinstance(atom, Hat) and atom.matrix is matrix:
                if matrix.ensemble.symmetric or atom.transposed != transposed:
                    hats[a] = atom
        if not hats:
            return total
        s2 = self.z_hat(matrix, transposed)
        for a, slope in self.expect.gradient(x, list(hats)).items():
            if not is_zero(slope):
                total = add(total, hats[a].basis, s2 * slope)
        return total

    # -- Z-Solve --------------------------------------------------------------------------------

    def z_solve(self, system: LinearProgram, index: int, args: Sequence[Form]) -> Form:
        """The implicit program M x = v: its uses become hats like any others (`dyson.implicit`)."""
        if self.options.exact:
            raise NotExact("solve is computed in floating point", remedy="drop exact=True")
        if self.options.dps is not None or self.naive or self.expect.sampler is not None:
            raise UnsupportedOperation(
                "solve with dps=, gradient_independence=True, or in a program that needs sampled points",
                remedy="plain floats and expectations within reach of quadrature",
            )
        key = (system, tuple(form.key() for form in args))
        if key not in self._solved:
            width = len(system.space)
            found = solve_forms(system, args[:width], args[width:], self.expect)
            for use, x, hat, dot in found.uses:
                known = self._bases.setdefault((use.matrix, use.transposed), (Echelon(), {}))
                tell(*known, x, hat, dot)
            self._solved[key] = found
        return self._solved[key].unknowns[index]

    # -- scalars --------------------------------------------------------------------------------

    def given(self, value: Number, swept: bool) -> Any:
        """A parameter: a number, a sweep, or numbers along finite axes."""
        if swept or not isinstance(value, np.ndarray):
            return self.number(value)
        return Along.of([self.number(v) for v in value.ravel()], value.shape)

    def scalar(self, fn: Nonlinearity | Arithmetic, args: Sequence[Number]) -> Number:
        """Arithmetic on limits."""
        match fn:
            case Arithmetic(name="add"):
                return args[0] + args[1]
            case Arithmetic(name="subtract"):
                return args[0] - args[1]
            case Arithmetic(name="multiply"):
                return args[0] * args[1]
            case Arithmetic(name="divide"):
                return args[0] * self.inverse(args[1])
            case Arithmetic(name="power", exponent=exponent):
                return args[0] ** exponent
            case Nonlinearity():
                value = self.atoms.apply(fn, tuple(constant(a) for a in args)).constant
                self._check_number(fn, value, args)
                return value
        raise AssertionError(fn)

    def inverse(self, value: Number) -> Number:
        """1 / value, unless the limit of value cannot be told from zero."""
        if self._vanishes(value):
            raise ZeroDivisor(
                f"a divisor tends to zero (its limit is {_show(value)})",
                remedy="add an epsilon to the divisor, as LayerNorm does, or rescale the program",
            )
        return 1 / value if not isinstance(value, int) else self.number(1) / value

    def _vanishes(self, value: Number) -> bool:
        if not isinstance(value, np.ndarray):
            return bool(abs(value) < 1e-300)
        if value.dtype == object:
            return bool(np.any(value == 0))
        centre, spread = centre_and_spread(value, self.expect.sampler is not None)
        return bool(np.any(np.abs(centre) <= np.maximum(4 * spread, 1e-300)))

    def _check_number(self, fn: Nonlinearity, value: Number, args: Sequence[Number]) -> None:
        if self.options.exact and not is_rational(value) and not _all_rational(value):
            raise NotExact(
                f"{fn.name}({', '.join(_show(a) for a in args)}) is not known to be rational",
                remedy="drop exact=True, or ask for digits with dps=50",
            )
        finite = np.isfinite(np.asarray(value, dtype=float))
        if not np.all(finite):
            zero = fn.name == "reciprocal"
            bad = int(np.argmin(finite))
            raise (ZeroDivisor if zero else DivergentExpectation)(
                f"{fn.name}({', '.join(_show(a, np.shape(finite), bad) for a in args)}) is not finite",
                remedy="a variance has vanished to rounding in part of the sweep: add a little noise, or take fewer steps"
                if np.any(np.isnan(np.asarray(args[0], dtype=float)))
                else "the limit of the argument lies outside the domain; add an epsilon or clip it",
            )

    # -- results --------------------------------------------------------------------------------

    def estimate(self, value: Number, rank: int) -> Estimate:
        """The value, its error from the perturbed copies or replicates, and the method."""
        if is_symbolic(value):
            raise UnsupportedOperation(f"the limit {value}, which has symbols", remedy="rmtp.derive, which keeps them")
        sampler = self.expect.sampler
        points = sampler.replicates * sampler.points if sampler is not None else 0
        return conclude(
            value, METHODS[rank], points, 4 + len(self.values), self.options.dps, tuple(dict.fromkeys(self.notes))
        )


def _all_rational(value: Number) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object and all(is_rational(v) for v in value.ravel())


def _show(value: Number, shape: tuple[int, ...] = (), at: int = 0) -> str:
    """A number in a message; of a sweep, the entry that is to blame."""
    if isinstance(value, np.ndarray):
        return f"{float(np.ravel(np.broadcast_to(value, shape or value.shape))[at]):.6g}"
    return str(value) if is_rational(value) else f"{float(value):.6g}"


def _terms(f: Form) -> list[tuple[Number, Form]]:
    return [(c, Form({mono: 1})) for mono, c in f.terms.items()]


def _floats(value: Number) -> np.ndarray:
    return np.asarray(value, dtype=float)


def _degree(f: Form) -> int:
    return max((sum(p for _, p in m) for m in f.terms), default=0)


def _as_forms(values: Sequence[Any], scalars: Sequence[bool]) -> list[Form]:
    return [constant(v) if is_scalar else v for v, is_scalar in zip(values, scalars, strict=True)]
