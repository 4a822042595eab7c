"""The laws of eigenvalues and of singular values of an expression, read off its Dyson equation."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..arguments import shown
from ..dense import dense, is_symmetric
from ..dyson.precision import digits
from ..dyson.resolvent import Resolvent
from ..dyson.system import DOUBLE
from ..errors import BadParameter, NotConverged, OnSpectrum, UnsupportedOperation
from ..instructions import RandomMatrix
from ..matrices import Expression
from ..sample import positive
from . import transforms
from .arguments import complex_points, moment_order
from .atoms import missing as missing_atoms
from .axis import Atom, Axis, Edge, Interval
from .density import Panel, Stub, build
from .equation import Equation, describe
from .law import Law
from .outliers import Outlier, find_outliers
from .support import find

_MASS_ERROR = 1e-8
_REFINEMENTS = 3
_SURE = 1e-11
_REACH = 1e-9  # of a support: how near 0 an edge with logarithms is followed
_FADING = 2e-5  # and one where the density dies out
_DROWNED = 1e-6  # and one where a density may drown in the pole of an atom


class SpectralLaw(Law):
    """The law of the eigenvalues of a self-adjoint expression.

    Parameters
    ----------
    expression : Expression
    summands, factors : tuple of Law
        Of which free sum or product it is, if it is one.
    """

    def __init__(self, expression: Expression, summands: tuple[Law, ...] = (), factors: tuple[Law, ...] = ()) -> None:
        self.expression, self.text = expression, repr(expression)
        self.summands, self.factors = summands, factors

    @cached_property
    def resolvent(self) -> Resolvent:
        """The Dyson equation behind the law."""
        return Resolvent(self.expression)

    @property
    def bounded(self) -> bool:
        """Whether all coefficients and given laws are bounded."""
        return self.resolvent.finite or not self.resolvent.unbounded

    def _found(self) -> tuple[list[Interval], list[Atom], list[Panel]]:
        atoms = self._diagonal_atoms()
        if atoms is not None:
            return [], atoms, []
        if not self.bounded:
            raise UnsupportedOperation(
                "the support of the law is unbounded, and its far tails are beyond a quadrature rule",
                where=self.text,
                remedy="pdf, stieltjes, moment and sample work; truncate the entries (np.clip) for edges, cdf and integrals",
            )
        missing = 1.0
        for refine in range(_REFINEMENTS):
            intervals, atoms = find(self.resolvent, refine)
            try:
                panels = build(intervals, self._density, self._stub(intervals, atoms))
            except NotConverged:
                if refine == _REFINEMENTS - 1:
                    raise
                continue
            continuous = sum(p.mass for p in panels)
            missing = 1 - continuous - sum(a.mass for a in atoms)
            if missing > _MASS_ERROR:
                atoms = missing_atoms(Axis(self.resolvent), intervals, atoms, missing)
                missing = 1 - continuous - sum(a.mass for a in atoms)
            if abs(missing) <= _MASS_ERROR:
                return intervals, atoms, panels
        raise NotConverged(
            f"the intervals and atoms that were found have mass {1 - missing:.10f}, not 1",
            where=self.text,
            remedy="stieltjes(z) off the real axis is still right; report the expression",
        )

    def _stub(self, intervals: list[Interval], atoms: list[Atom]) -> Callable[[Interval, bool], Stub] | None:
        """Mass next to 0 from the half circle around it, ``(1/pi) Im int_0^pi g(z) i z d theta``."""
        if self.resolvent.finite:
            return None
        at_zero = sum(a.mass for a in atoms if a.x == 0)
        both = any(i.left.x == 0 for i in intervals) and any(i.right.x == 0 for i in intervals)

        def stub(i: Interval, right: bool) -> Stub:
            edge, width = (i.left if right else i.right), i.right.x - i.left.x
            if at_zero and 0 < edge.exponent < np.inf:
                return self._beside_atom(edge.exponent, width, right)
            # on both sides of an atom at 0 the density drowns sooner
            reach = (_REACH if edge.exponent <= 0 and not (both and at_zero) else _FADING) * width
            t, w = np.polynomial.legendre.leggauss(32)
            z = reach * np.exp(1j * np.pi * (t + 1) / 2)
            g = self.resolvent.mean_of(self.resolvent.solve(z).g)
            mass = float((g * 1j * z * w).imag.sum() / 2) - at_zero
            if both:
                sides = self._density(np.array([reach, -reach]))
                mass *= sides[0 if right else 1] / sides.sum()
            return Stub(reach, mass)

        return stub

    def _beside_atom(self, exponent: float, width: float, right: bool) -> Stub:
        """Mass next to an atom at 0 of a density that starts there like a power: from where it shows, for the mass of the atom
        drowns its own."""
        reach = width * _DROWNED * 2.0 ** np.arange(14)
        rho = self._density(reach if right else -reach)
        dark = np.flatnonzero(~(rho > 0))
        first = int(dark[-1]) + 1 if len(dark) else 0
        if first == len(reach):
            raise NotConverged(
                "the density next to the atom at 0 is too small to be seen", remedy="stieltjes(z) off the real axis"
            )
        return Stub(float(reach[first]), float(rho[first] * reach[first] / (1 + exponent)))

    def _diagonal_atoms(self) -> list[Atom] | None:
        """An expression without random matrices is a diagonal, whose law is that of its entries."""
        system = self.resolvent.system
        if system.program.uses:
            return None
        if not self.resolvent.finite or len(system.program.unknowns) > 1:
            raise UnsupportedOperation(
                f"the spectrum of {self.text}, which has no random matrix but entries of a continuous law",
                remedy="rmtp.limit(x) is the law of the entries of a diagonal",
            )
        (c,) = system.components
        weights, matrix, _ = system.terms(c, 0, DOUBLE)
        merged: dict[float, float] = {}
        for x, w in zip(np.broadcast_to(-matrix.get((0, 0), 0 * weights), weights.shape), weights, strict=True):
            merged[float(x)] = merged.get(float(x), 0.0) + float(w)
        return [Atom(x, w) for x, w in sorted(merged.items()) if w > 0]

    def _density(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(Axis(self.resolvent).density(x), 0.0)

    def _at_once(self, x: np.ndarray) -> np.ndarray:
        if not self.resolvent.system.program.uses:
            return np.full(x.shape, np.nan)
        axis = Axis(self.resolvent)
        g, inside, known, out = axis.look(x)
        sure = known & (out.error <= _SURE * np.abs(g)) & ~axis.halved(x, g)
        return np.where(sure, np.where(inside, -g.imag / np.pi, 0.0), np.nan)

    def stieltjes(self, z: Any, dps: int | None = None) -> Any:
        """The Stieltjes transform ``g(z) = int mu(dx) / (z - x)``; ``Im g < 0`` for ``Im z > 0``.

        Parameters
        ----------
        z : complex or array of them
            Off the support. Real points outside the support are allowed.
        dps : int, optional
            Significant digits at one point, by mpmath; numbers of the expression are read as `rmtp.limit` reads them.

        Returns
        -------
        complex, or array of z's shape; an mpmath mpc with `dps`

        Raises
        ------
        OnSpectrum
            If a real z lies in the support, where g has two boundary values.
        NotConverged
            If the branch could not be followed.
        NotExact, BudgetExceeded
            If `dps` is given and a law or function has no digits beyond double precision, or needs several dimensions.

        Notes
        -----
        Relative error about 1e-14 when all coefficients have finitely many values, else 1e-11.
        """
        if dps is not None:
            return digits(self.resolvent, z, dps, self._refuse_on_spectrum)
        array = complex_points(z, "stieltjes")
        flat = array.ravel()
        upper = np.where(flat.imag < 0, flat.conj(), flat)
        real = flat.imag == 0
        if real.any():
            self._refuse_on_spectrum(flat[real].real)
        made = self.resolvent.solve(upper)
        g = self.resolvent.mean_of(made.g)
        self._refuse_lost(flat, made.good)
        g = np.where(flat.imag < 0, g.conj(), np.where(real, g.real + 0j, g))
        return g.reshape(array.shape) if array.ndim else complex(g[0])

    def _refuse_lost(self, z: np.ndarray, good: np.ndarray) -> None:
        if not np.all(good):
            raise NotConverged(
                f"the branch could not be followed to z = {z[~good][0]}",
                where=self.text,
                remedy="a point farther from the spectrum",
            )

    def _refuse_on_spectrum(self, points: Any) -> None:
        points = np.asarray(points, dtype=float)
        hit, known = np.zeros(points.shape, dtype=bool), np.ones(points.shape, dtype=bool)
        decided = "_structure" in self.__dict__
        if not decided:  # edges cost more than a look
            _, hit, known, _ = Axis(self.resolvent).look(points)
        if decided or (self.bounded and not known.all()):
            intervals, atoms, _ = self._structure
            hit = np.isin(points, [a.x for a in atoms])
            for i in intervals:
                hit |= (points >= i.left.x) & (points <= i.right.x)
        for x, on in zip(points, hit, strict=True):
            if on:
                raise OnSpectrum(
                    f"z = {float(x)!r} lies on the spectrum, where g has two boundary values",
                    where=self.text,
                    remedy="pdf(x) for the density, or z off the real axis",
                )

    def moment(self, k: int) -> Any:
        """``lim (1/n) tr M**k``: a Fraction when all data are rational, else a float.

        By the power series of the fixed point at infinity (exact), or by integration if M has an inverse.
        """
        order = moment_order(k)
        if order == 0:
            return Fraction(1)
        if self.resolvent.system.program.rational:
            return self.expect(lambda x: x**order)
        value = self.resolvent.moments(order)[order]
        return Fraction(value) if isinstance(value, int | Fraction) else float(value)

    def sample(self, width: int, rng: Any = None, entries: str | None = None) -> np.ndarray:
        """Eigenvalues of one draw of the matrix at base width n, in rising order."""
        (matrix,) = dense([self.expression], positive(width, "width"), rng, entries)
        if is_symmetric(self.expression):
            return np.linalg.eigvalsh((matrix + matrix.T) / 2)
        # a free product: A B with A >= 0 has the real eigenvalues of the square root of A around B
        return np.sort(np.linalg.eigvals(matrix).real)

    def r_transform(self, w: Any) -> Any:
        """``R(w) = K(w) - 1/w`` with ``g(K(w)) = w``; the series is ``sum kappa_{j+1} w**j``.

        Raises
        ------
        OnSpectrum
            If w is not in the image of the branch continued from w = 0.
        """
        return transforms.r_transform(self.resolvent, w)

    def s_transform(self, y: Any) -> Any:
        """``S(y) = (1 + y) / (y z)`` at the z with ``z g(z) - 1 = y``; it needs a mean that is not 0."""
        return transforms.s_transform(self.resolvent, y)

    def subordination(self, z: Any) -> tuple[Any, ...]:
        """Subordination functions of a free sum or product at z off the real axis.

        Of ``law_1 + law_2 + ..``: the z_i with ``g_i(z_i) = g(z)``. Of ``law_1 * law_2``: those with
        ``z_i g_i(z_i) = z g(z)``. At the complex conjugate of z they are conjugate.

        Raises
        ------
        BadParameter
            If z is real: there they are limits from above that differ from those from below.
        NotConverged
            If the branch could not be followed.
        """
        if not (self.summands or self.factors):
            raise UnsupportedOperation(
                f"subordination functions of {self.text}",
                remedy="a free sum or product of laws: law1 + law2, law1 * law2",
            )
        array = complex_points(z, "subordination")
        flat = array.ravel()
        if np.any(flat.imag == 0):
            raise BadParameter(f"subordination at {shown(z)}", remedy="points off the real axis: z + 1e-9j")
        own, matrices = self._apart
        made = own.solve(np.where(flat.imag < 0, flat.conj(), flat))
        self._refuse_lost(flat, made.good)
        pair_of = {c.matrix: c.pairs[0] for c in own.system.couplings}
        rows = [1 / made.u[own.system.number[pair_of[m]]] for m in matrices]
        rows = [np.where(flat.imag < 0, row.conj(), row) for row in rows]
        return tuple(row.reshape(array.shape)[()] for row in rows)

    @cached_property
    def _apart(self) -> tuple[Resolvent, list[RandomMatrix]]:
        """The system in which each summand or factor is one matrix with one unknown, and not a copy of what is behind it."""
        from .free import apart

        expression, matrices = apart(self)
        return Resolvent(expression), matrices

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Eigenvalues that low-rank terms send out of the support, with the overlaps of their eigenvectors."""
        return find_outliers(self)

    def equation(self) -> Equation:
        """The fixed-point system that defines g: print it, or take its ``.latex``."""
        return describe(self.resolvent.system, self.text)


class SingularLaw(Law):
    """The law of the min(rows, cols) singular values of an expression J.

    Parameters
    ----------
    expression : Expression
        J itself.
    square : Law
        The law of the smaller of ``J.T J`` and ``J J.T``.
    """

    label = "singular value"

    def __init__(self, expression: Expression, square: SpectralLaw) -> None:
        self.expression, self.square, self.text = expression, square, f"singular values of {expression!r}"

    @property
    def bounded(self) -> bool:
        """Whether the square is bounded."""
        return self.square.bounded

    def _found(self) -> tuple[list[Interval], list[Atom], list[Panel]]:
        intervals, atoms, _ = self.square._structure
        roots = []
        for i in intervals:
            left = Edge(max(i.left.x, 0.0) ** 0.5, 2 * i.left.exponent + 1 if i.left.x <= 0 else i.left.exponent)
            roots.append(Interval(left, Edge(i.right.x**0.5, i.right.exponent)))
        square = self.square._stub(intervals, atoms)
        squared = {root.right.x: i for root, i in zip(roots, intervals, strict=True)}
        panels = build(roots, self._density, square and (lambda i, right: _rooted(square(squared[i.right.x], True))))
        return roots, [Atom(max(a.x, 0.0) ** 0.5, a.mass) for a in atoms], panels

    def _density(self, x: np.ndarray) -> np.ndarray:
        return 2 * x * self.square._density(x * x)

    def moment(self, k: int) -> Any:
        """``int s**k``: even ones are moments of the square and exact where those are."""
        order = moment_order(k)
        return self.square.moment(order // 2) if order % 2 == 0 else self.expect(lambda s: s**order)

    def stieltjes(self, z: Any, dps: int | None = None) -> Any:
        """``int nu(ds) / (z - s)``, by integration over the density; z must keep off the support.

        Raises
        ------
        OnSpectrum
            If z is real and within the support.
        """
        if dps is not None:
            raise UnsupportedOperation(
                "digits of the transform of singular values", remedy="law.square.stieltjes(z, dps)"
            )
        array = complex_points(z, "stieltjes")
        for point in array.ravel().tolist():
            at_atom = any(point == a.x for a in self.atoms)
            if at_atom or (point.imag == 0 and any(a <= point.real <= b for a, b in self.support())):
                raise OnSpectrum(f"z = {point.real!r} lies on the spectrum", where=self.text, remedy="pdf(x)")
        flat = [complex(self.expect(_resolvent_at(point))) for point in array.ravel()]
        return np.array(flat, dtype=complex).reshape(array.shape) if array.ndim else flat[0]

    def sample(self, width: int, rng: Any = None, entries: str | None = None) -> np.ndarray:
        """Singular values of one draw of J at base width n, in rising order."""
        (matrix,) = dense([self.expression], positive(width, "width"), rng, entries)
        return np.linalg.svd(matrix, compute_uv=False)[::-1]

    def equation(self) -> Equation:
        """The fixed-point system of the squared singular values."""
        return self.square.equation()


def _resolvent_at(z: complex) -> Callable[[np.ndarray], np.ndarray]:
    return lambda s: 1 / (z - s)


def _rooted(small: Stub) -> Stub:
    return Stub(small.reach**0.5, small.mass)
