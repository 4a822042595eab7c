"""A law on the line, speaking scipy.stats: everything that follows from its intervals, atoms and density."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..arguments import function, on_points, reals, shown, sizes
from ..dyson.coefficients import composite_rule
from ..errors import BadParameter, NotConverged, UnsupportedOperation
from ..sample import generator, positive
from . import transforms
from .arguments import moment_order, probabilities, real_points, shaped
from .axis import Atom, Edge, Interval
from .density import Panel, evaluate_cdf, from_series, integrate, invert_cdf


class Law:
    """A probability law on the line, as `spectrum` and `singular_values` return it.

    Normalisation: total mass 1; an n x n matrix has n eigenvalues of mass 1/n each (a block matrix: all widths together).

    Attributes
    ----------
    text : str
        What it is the law of.

    Examples
    --------
    >>> import rmtp
    >>> law = rmtp.spectrum(rmtp.GOE(rmtp.Dim("n")))
    >>> law.moment(8), law.support(), round(law.cdf(0.0), 12)
    (Fraction(14, 1), ((-2.0, 2.0),), 0.5)
    """

    text: str
    label: str = "eigenvalue"  # what a figure calls x

    @property
    def bounded(self) -> bool:
        """Whether the support is bounded; else only pdf, stieltjes, moment and sample have answers."""
        return True

    # -- what a kind of law provides ------------------------------------------------------------

    def _found(self) -> tuple[list[Interval], list[Atom], list[Panel]]:
        raise NotImplementedError

    def _density(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def stieltjes(self, z: Any, dps: int | None = None) -> Any:
        """``g(z) = int mu(dx) / (z - x)``."""
        raise NotImplementedError

    def moment(self, k: int) -> Any:
        """``int x**k mu(dx)``."""
        raise NotImplementedError

    def sample(self, width: int, rng: Any = None) -> np.ndarray:
        """The values of one finite draw, in rising order."""
        raise NotImplementedError

    # -- where it lives ---------------------------------------------------------------------------

    @cached_property
    def _nodes(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        return {}

    @cached_property
    def _structure(self) -> tuple[list[Interval], list[Atom], list[Panel]]:
        return self._found()

    def support(self) -> tuple[tuple[float, float], ...]:
        """The intervals of the continuous part. Atoms are in `atoms`.

        Edges are accurate to about 1e-12 (soft ones are folds of the fixed point, found by Newton's method).
        """
        return tuple((float(i.left.x), float(i.right.x)) for i in self._structure[0])

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All ends of intervals with their exponents: 1/2 soft, -s/(s+1) hard, 1/3 a cusp."""
        return tuple(e for i in self._structure[0] for e in (i.left, i.right))

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Points of positive mass, from left to right."""
        return tuple(self._structure[1])

    # -- densities and distribution functions -----------------------------------------------------

    def pdf(self, x: Any) -> Any:
        """Density of the continuous part (it has mass 1 minus the atoms), without any smoothing.

        Law: ``-Im g(x + i0) / pi``, solved on the real axis itself.

        Raises
        ------
        NotConverged
            Where the branch could not be followed; never a guess.
        """
        flat, shape = real_points(x)
        fresh = self.bounded and "_structure" not in self.__dict__
        if fresh and np.all(np.isfinite(flat)):  # edges and atoms cost more than a thousand points
            value = self._at_once(flat)
            if not np.isnan(value).any():
                return shaped(value, shape)
        out = np.zeros(flat.shape)
        inside = np.zeros(flat.shape, dtype=bool)
        if not self.bounded:
            inside[:] = True
        for i in self._structure[0] if self.bounded else ():
            inside |= (flat > i.left.x) & (flat < i.right.x)
            for e in (i.left, i.right):
                out[flat == e.x] = np.inf if e.exponent < 0 else 0.0
                if e.exponent == 0:  # a density that is finite up to its end
                    out[flat == e.x] = self._end_value(e.x)
        if inside.any():
            value = self._density(flat[inside])
            lost = np.isnan(value)
            if lost.any() and self.bounded:  # at a singularity the panels know what no single point can tell
                value[lost] = from_series(self._structure[2], flat[inside][lost])
                lost = np.isnan(value)
            if lost.any():
                raise NotConverged(
                    f"the branch could not be followed to x = {flat[inside][lost][0]!r}",
                    where=self.text,
                    remedy="a point that is not a singularity of the density",
                )
            out[inside] = value
        return shaped(out, shape)

    def _at_once(self, x: np.ndarray) -> np.ndarray:
        """The density at points of which nothing is known yet; nan where that takes knowing the edges."""
        return np.full(x.shape, np.nan)

    def _end_value(self, x: float) -> float:
        panel = next(p for p in self._structure[2] if x in p.ends)
        left = x == panel.a
        slope = (panel.b - panel.a) * (panel.qb if left else panel.qa)  # dx/du at an end whose own power is 1
        return float(np.polynomial.legendre.legval(-1.0 if left else 1.0, panel.series) / slope)

    def cdf(self, x: Any) -> Any:
        """``mu((-inf, x])``, atoms included."""
        flat, shape = real_points(x)
        _, atoms, panels = self._structure
        out = evaluate_cdf(panels, flat)
        for a in atoms:
            out = out + a.mass * (flat >= a.x)
        return shaped(np.clip(out, 0.0, 1.0), shape)

    def sf(self, x: Any) -> Any:
        """``mu((x, inf))``."""
        return 1 - self.cdf(x)

    def ppf(self, q: Any) -> Any:
        """The smallest x with ``cdf(x) >= q``."""
        flat, shape = probabilities(q)
        _, atoms, panels = self._structure
        total = (panels[-1].below + panels[-1].mass if panels else 0.0) + sum(a.mass for a in atoms)
        goal = flat * total
        out = np.full(flat.shape, np.nan)
        rest = goal.copy()
        for a in atoms:
            below = float(evaluate_cdf(panels, np.array([a.x]))[0]) + sum(b.mass for b in atoms if b.x < a.x)
            hit = (goal > below) & (goal <= below + a.mass)
            out[hit] = a.x
            rest = np.where(goal > below + a.mass, rest - a.mass, rest)
        open_ = np.isnan(out)
        if panels and open_.any():
            out[open_] = invert_cdf(panels, rest[open_])
        ends = [a.x for a in atoms] + [panels[0].ends[0]] if panels else [a.x for a in atoms]
        out[open_ & ((flat == 0) | (not panels))] = min(ends)
        out[flat == 1] = max([*(a.x for a in atoms), *(p.ends[1] for p in panels)])
        return shaped(out, shape)

    def median(self) -> float:
        """``ppf(1/2)``."""
        return float(self.ppf(0.5))

    def rvs(self, size: Any = None, rng: Any = None) -> Any:
        """Independent draws from the limiting law (eigenvalues of a finite matrix repel: see `sample`)."""
        shape = () if size is None else size if isinstance(size, int | np.integer) else sizes(size, "size")
        if isinstance(shape, int | np.integer):
            shape = (positive(shape, "size"),)
        return self.ppf(generator(rng).random(shape))

    # -- integrals ----------------------------------------------------------------------------------

    def expect(self, f: Callable[[np.ndarray], Any], tol: float = 1e-11) -> Any:
        """``int f dmu``, atoms included.

        The density is known as a series on its panels; f is sampled until the rules on a piece and on its halves agree to
        `tol`.

        Raises
        ------
        NotConverged
            If f is too singular for that, or not finite on the support.
        """
        function(f, "f")
        tol = float(reals(tol, "tol", "a number > 0, say 1e-11"))
        if tol <= 0:
            raise BadParameter(f"tol={tol}", remedy="a number > 0, say 1e-11")
        _, atoms, panels = self._structure
        with np.errstate(all="ignore"):
            values = [on_points(f, np.array([a.x]))[0] for a in atoms]
        if not np.all(np.isfinite(values)):
            raise NotConverged("the function is not finite at an atom", remedy="a function finite on the support")
        total: Any = sum((a.mass * v for a, v in zip(atoms, values, strict=True)), 0.0)
        for p in panels:
            total = total + integrate(p, f, tol)
        return total.item() if isinstance(total, np.generic) else total

    def mean(self) -> Any:
        """The first moment."""
        return self.moment(1)

    def var(self) -> Any:
        """The variance."""
        return self.moment(2) - self.moment(1) ** 2

    def std(self) -> float:
        """The standard deviation."""
        return float(self.var()) ** 0.5

    def nodes(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """About 2**level Gauss nodes and weights of the whole law, atoms among them."""
        if level not in self._nodes:
            _, atoms, panels = self._structure
            xs, ws = [np.array([a.x for a in atoms])], [np.array([a.mass for a in atoms])]
            for p in panels:
                t, w = composite_rule(max(8, (1 << level) // len(panels)))
                xs.append(p.place((t + 1) / 2))
                ws.append(np.polynomial.legendre.legval(t, p.series) * w / 2)
            x, weights = np.concatenate(xs), np.concatenate(ws)
            self._nodes[level] = x, weights / weights.sum()
        return self._nodes[level]

    # -- transforms ---------------------------------------------------------------------------------

    def free_cumulants(self, k: int) -> list[Any]:
        """Free cumulants kappa_1..kappa_k, rational when the moments are."""
        order = moment_order(k)
        return transforms.free_cumulants([self.moment(j) for j in range(order + 1)])

    def r_transform(self, w: Any) -> Any:
        """``R(w) = K(w) - 1/w``, the free analogue of the logarithm of a characteristic function."""
        raise UnsupportedOperation(f"r_transform of {self!r}", remedy="law.square.r_transform(w), or free_cumulants(k)")

    def s_transform(self, y: Any) -> Any:
        """``S(y) = (1 + y) / (y z)`` at the z with ``z g(z) - 1 = y``."""
        raise UnsupportedOperation(f"s_transform of {self!r}", remedy="law.square.s_transform(y)")

    def __repr__(self) -> str:
        return f"<Law of {self.text}>"

    def plot(self, ax: Any = None, width: int | None = 1000, rng: Any = 0) -> Any:
        """The density with its atoms, over a histogram of one finite draw (width=None: without)."""
        from .. import plots

        return plots.spectral_law(self, ax=ax, width=width, rng=rng)

    # -- free arithmetic ----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Law:
        from .free import free_sum

        return free_sum([self, other])

    __radd__ = __add__

    def __neg__(self) -> Law:
        return self * -1

    def __sub__(self, other: Any) -> Law:
        from .free import as_law

        return self + (-other if isinstance(other, Law | int | float | Fraction) else as_law(other) * -1)

    def __rsub__(self, other: Any) -> Law:
        return -self + other

    def __truediv__(self, other: Any) -> Law:
        if isinstance(other, bool) or not isinstance(other, int | float | Fraction) or other == 0:
            raise UnsupportedOperation(
                f"{self!r} / {shown(other)}", remedy="a law is divided by a number that is not 0"
            )
        return self * (Fraction(1) / other)

    def __pow__(self, other: Any) -> Law:
        raise UnsupportedOperation(
            f"{self!r} ** {shown(other)}", remedy="law * law is the free product, M @ M the square"
        )

    def __matmul__(self, other: Any) -> Law:
        raise UnsupportedOperation(
            f"{self!r} @ {shown(other)}", remedy="law1 * law2 is the law of a product of free matrices"
        )

    def __mul__(self, other: Any) -> Law:
        from .free import free_product

        return free_product(self, other)

    __rmul__ = __mul__
