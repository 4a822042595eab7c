"""Free cumulants, R- and S-transforms: g inverted along a path that starts at infinity.

K(w), with g(K(w)) = w, is followed from w = 0, where K(w) ~ 1/w + mean, by Newton's method on the Dyson equation with z as
one more unknown. A fold is no obstacle to that path, which runs through it and on to another sheet, so the answer is compared
with g as it is solved for at K(w) alone: a w that g never takes is refused. Next to w = 0, where K(w) - 1/w is a difference of
large numbers, the series of R in free cumulants takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cumulants import FromMoments
from ..dyson.continuation import Branch
from ..dyson.resolvent import Resolvent
from ..ensembles import Number
from ..errors import BadParameter, OnSpectrum, UnsupportedOperation
from .arguments import complex_points

_TERMS = 20  # of the series next to 0
_TAIL = 1e-17  # what its last terms may amount to, relative to the standard deviation
_CIRCLE = 64
_SMALL = (
    0.02  # of 1 / (|mean| + spread): where paths start, and the circle of the series of an expression with an inverse
)
_FIRST, _CONTRACTION = 0.12, 0.2  # as for `Branch.newton`
_SMALLEST_STEP = 1e-6
_SAME = 1e-7  # to which g must be found at K(w)
_FLAT = 1e-10  # |mean| / spread of a law that has mean 0


def free_cumulants(moments: Sequence[Number]) -> list[Number]:
    """Free cumulants kappa_1..kappa_k of the law with moments m_0 = 1, m_1, .., m_k; rational when these are.

    Examples
    --------
    >>> from fractions import Fraction
    >>> [int(k) for k in free_cumulants([Fraction(m) for m in (1, 1, 2, 5, 14, 42)])]
    [1, 1, 1, 1, 1]
    """
    kappa = FromMoments(lambda k: moments[k], None)
    return [kappa(j) for j in range(1, len(moments))]


def r_transform(resolvent: Resolvent, w: Any) -> Any:
    """``R(w) = K(w) - 1/w``, ``g(K(w)) = w``.

    Parameters
    ----------
    resolvent : Resolvent
        Of a law of compact support.
    w : complex or array of them

    Returns
    -------
    complex, or array of w's shape

    Raises
    ------
    OnSpectrum
        If g takes no such value off the support, on the branch that comes from w = 0.
    UnsupportedOperation
        If the support is not compact.

    Notes
    -----
    Relative error about 1e-13 of ``|R| + std``. Free convolution adds R (Voiculescu 1986).

    Examples
    --------
    >>> import rmtp
    >>> law = rmtp.spectrum(rmtp.GOE(rmtp.Dim("n")))
    >>> round(law.r_transform(0.5).real, 12), law.free_cumulants(4)[1]
    (0.5, Fraction(1, 1))
    """
    array, flat = _points(w, "r_transform", resolvent)
    series = _Series(resolvent)
    out, known = series.at(flat)
    far = np.flatnonzero(~known)
    if len(far):
        z = _inverted(resolvent, flat[far], _G)
        out[far] = z - 1 / flat[far]
    return _shaped(out, flat, array)


def s_transform(resolvent: Resolvent, y: Any) -> Any:
    """``S(y) = (1 + y) / (y z)`` at the z with ``z g(z) - 1 = y``.

    Parameters
    ----------
    resolvent : Resolvent
        Of a law of compact support whose mean is not 0.
    y : complex or array of them
        For a law on [0, inf) with mass m at 0 all of (m - 1, 0] can be had.

    Returns
    -------
    complex, or array of y's shape

    Raises
    ------
    BadParameter
        If the mean is 0.
    OnSpectrum
        If z g(z) - 1 takes no such value off the support, on the branch that comes from y = 0.
    UnsupportedOperation
        If the support is not compact.

    Notes
    -----
    Free products multiply S (Voiculescu 1987). At y = 0 it is 1 / mean.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> law = rmtp.spectrum(rmtp.Wishart(n, n))
    >>> round(law.s_transform(-0.5).real, 12)  # 1 / (1 + y)
    2.0
    """
    array, flat = _points(y, "s_transform", resolvent)
    if abs(_mean(resolvent)) <= _FLAT * resolvent.spread:
        raise BadParameter(
            "the S-transform of a law of mean 0",
            where=repr(resolvent.expression),
            remedy="r_transform(w), or the law of the square",
        )
    out, known = _Series(resolvent).reverted(flat)
    far = np.flatnonzero(~known)
    if len(far):
        z = _inverted(resolvent, flat[far], _ZG)
        out[far] = (1 + flat[far]) / (flat[far] * z)
    return _shaped(out, flat, array)


def _points(values: Any, what: str, resolvent: Resolvent) -> tuple[np.ndarray, np.ndarray]:
    array = complex_points(values, what)
    if resolvent.unbounded:
        raise UnsupportedOperation(
            f"{what} of a law whose support is not compact",
            where=repr(resolvent.expression),
            remedy="bounded diagonals; stieltjes(z) needs no compact support",
        )
    return array, array.ravel()


def _shaped(out: np.ndarray, given: np.ndarray, array: np.ndarray) -> Any:
    out = np.where(given.imag == 0, out.real + 0j, out)
    return out.reshape(array.shape) if array.ndim else complex(out[0])


def _mean(resolvent: Resolvent) -> float:
    rational = resolvent.system.program.rational
    return resolvent.mean if rational else float(resolvent.moments(1)[1])


# ---------------------------------------------------------------------------------------------
# next to 0


class _Series:
    """``R(w) = sum kappa_{j+1} w**j``, from moments, or by Cauchy's formula where M has an inverse."""

    def __init__(self, resolvent: Resolvent) -> None:
        self.spread = resolvent.spread
        if not resolvent.system.program.rational:
            self.kappa = np.array(free_cumulants(resolvent.moments(_TERMS)), dtype=float)
        else:
            radius = _SMALL / (abs(resolvent.mean) + resolvent.spread)
            w = radius * np.exp(2j * np.pi * np.arange(_CIRCLE) / _CIRCLE)
            r = _inverted(resolvent, w, _G) - 1 / w
            self.kappa = (np.fft.fft(r).real / _CIRCLE)[:_TERMS] / radius ** np.arange(_TERMS)

    def at(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R, and where the series is as good as a number can be."""
        total = np.zeros(w.shape, dtype=complex)
        for kappa in self.kappa[::-1]:
            total = total * w + kappa
        tail = np.zeros(w.shape)
        for j in range(_TERMS - 4, _TERMS):
            tail = tail + np.abs(self.kappa[j]) * np.abs(w) ** j
        # moments of any law grow at least like powers of the spread, whatever the last cumulants happen to be
        near = np.abs(w) * self.spread <= _SMALL
        return total, near & (tail <= _TAIL * (self.spread + np.abs(total)))

    def reverted(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S from ``S = 1 / R(y S)``."""
        s = np.full(y.shape, 1 / self.kappa[0], dtype=complex)
        old = s
        for _ in range(200):
            with np.errstate(all="ignore"):
                old, s = s, 1 / self.at(y * s)[0]
            if np.all((np.abs(s - old) <= 1e-16 * np.abs(s)) | ~np.isfinite(s)):
                break
        with np.errstate(all="ignore"):
            settled = np.abs(s - old) <= 4e-16 * np.abs(s)
            return s, settled & self.at(y * s)[1]


# ---------------------------------------------------------------------------------------------
# the path


@dataclass(frozen=True)
class _Map:
    """A function F of z and g that is to take given values: its slopes by g and by z, and where it is small and given.

    Attributes
    ----------
    value, by_g, by_z : callable
        Of (z, g).
    far : callable
        ``far(value, mean)``: a z with F there, to first order at infinity.
    """

    value: Callable[[Any, Any], Any]
    by_g: Callable[[Any, Any], Any]
    by_z: Callable[[Any, Any], Any]
    far: Callable[[Any, float], Any]
    name: str


_G = _Map(lambda z, g: g, lambda z, g: 1.0, lambda z, g: 0.0, lambda w, mean: 1 / w + mean, "g(z)")
_ZG = _Map(lambda z, g: z * g - 1, lambda z, g: z, lambda z, g: g, lambda y, mean: mean / y, "z g(z) - 1")


def _inverted(resolvent: Resolvent, values: np.ndarray, of: _Map) -> np.ndarray:
    """z with F(z, g(z)) = values, on the physical sheet."""
    # g(conj z) = conj g(z), and the continuation knows the upper half plane
    down = of.far(values, _mean(resolvent)).imag < 0
    if of is _G:
        down = values.imag > 0
    goal = np.where(down, values.conj(), values)
    z, reached = _Path(resolvent, of).to(goal)
    real = goal.imag == 0
    z = np.where(real, z.real + 0j, z)
    reached &= np.isfinite(z) & (z.imag >= 0) & (real | (z.imag > 0))
    z = _confirmed(resolvent, z, goal, reached, of)
    return np.where(down, z.conj(), z)


def _confirmed(resolvent: Resolvent, z: np.ndarray, goal: np.ndarray, reached: np.ndarray, of: _Map) -> np.ndarray:
    """z polished with g as it is found from infinity, at every resolution it needs; refused where that is another g."""
    z, polish = z.copy(), not resolvent.finite
    for last in (not polish, True):
        which = np.flatnonzero(reached)
        out = resolvent.solve(z[which])
        g = resolvent.mean_of(out.g)
        miss = goal[which] - of.value(z[which], g)
        with np.errstate(all="ignore"):
            outside = (goal[which].imag != 0) | (np.abs(g.imag) <= 3e-9 * np.abs(g))
            reached[which] = out.good & outside & (np.abs(miss) <= _SAME * np.abs(goal[which]))
        if not reached.all():
            bad = goal[~reached][0]
            shown = bad.real if bad.imag == 0 else bad
            raise OnSpectrum(
                f"{of.name} = {shown} is not reached off the support, on the branch that comes from infinity",
                where=repr(resolvent.expression),
                remedy="a value nearer 0",
            )
        if polish:
            slope = resolvent.slope(out)
            z[which] = z[which] + miss / (of.by_g(z[which], g) * slope + of.by_z(z[which], g))
            z = np.where(goal.imag == 0, z.real + 0j, z)
        if last:
            break
    return z


class _Path:
    """Solutions (u, z) of the Dyson equation with F given, along ``F = t goal`` from small t to 1."""

    def __init__(self, resolvent: Resolvent, of: _Map) -> None:
        self.own, self.of = resolvent, of
        self.branch: Branch = resolvent.branch()

    def to(self, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z at the goal, and whether the path arrived."""
        own, mean = self.own, _mean(self.own)
        size = abs(mean) + own.spread
        unit = np.abs(goal) * (size if self.of is _G else size / max(abs(mean), 1e-300))
        t = np.minimum(1.0, 0.1 * _SMALL / unit)
        z = self.of.far(goal * t, mean)
        z = np.where(z.imag < 0, z.real + 0j, z)  # rounding
        start = self.branch.at(z, own.anchor())
        u, z, arrived, _ = self._newton(start.u, z, goal * t)
        arrived &= start.good
        step = np.full(goal.shape, 0.5)
        while True:
            which = np.flatnonzero(arrived & (t < 1))
            if not len(which):
                break
            after = np.minimum(1.0, t[which] * np.exp(step[which]))
            guess_u, guess_z = self._predicted(u[:, which], z[which], after / t[which])
            new_u, new_z, good, first = self._newton(guess_u, guess_z, goal[which] * after)
            taken, failed = which[good], which[~good]
            u[:, taken], z[taken], t[taken] = new_u[:, good], new_z[good], after[good]
            step[taken] *= np.where(first[good] < 0.02, 2.0, 1.0)
            step[failed] *= 0.4
            arrived[failed[step[failed] < _SMALLEST_STEP]] = False
        if arrived.any():
            for _ in range(3):
                u, z, _, _ = self._newton(u, z, goal)
        return z, arrived

    def _tangent(self, u: np.ndarray, z: np.ndarray) -> tuple[Any, ...]:
        """(residual move, move per dz, F, slope of F along the latter, slope along the former)."""
        made = self.branch.evaluate(u, z, 0 * z)
        inner = self.branch.step(made, [-r for r in made.residual])
        outer = self.branch.step(made, list(made.by_z))
        g = self.own.mean_of(np.array([np.broadcast_to(x, z.shape) for x in made.g]))

        def along(d: np.ndarray) -> np.ndarray:
            parts = [sum((x * d[k] for k, x in by_u.items()), np.zeros(z.shape)) for by_u in made.g_by_u]
            return self.own.mean_of(np.array(parts))

        direct = self.own.mean_of(np.array([np.broadcast_to(x, z.shape) for x in made.g_by_z]))
        by_g = self.of.by_g(z, g)
        rate = by_g * (along(outer) + direct) + self.of.by_z(z, g)
        return made, inner, outer, self.of.value(z, g), rate, by_g * along(inner)

    def _newton(
        self, u: np.ndarray, z: np.ndarray, goal: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        accepted = np.ones(z.shape, dtype=bool)
        first = previous = np.zeros(z.shape)
        for k in range(4):
            with np.errstate(all="ignore"):
                made, inner, outer, value, rate, moved = self._tangent(u, z)
                dz = (goal - value - moved) / rate
                du = inner + outer * dz
                change = np.maximum(np.abs(dz) / (np.abs(z) + self.own.spread), self.branch.relative(du, u, made))
            bad = ~np.isfinite(change)
            change = np.where(bad, np.inf, change)
            if k == 0:
                first = change
                accepted &= change <= _FIRST
            elif k == 1:
                accepted &= (change <= _CONTRACTION * previous) | (change <= 1e-9)
            keep = accepted & ~bad
            u, z = u + np.where(keep, du, 0), z + np.where(keep, dz, 0)
            if k >= 1 and np.all((change <= 1e-8) | ~accepted):
                break
            previous = change
        return u, z, accepted, first

    def _predicted(self, u: np.ndarray, z: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A power-law step in F, which is what u and z do next to infinity."""
        with np.errstate(all="ignore"):
            _, _, outer, value, rate, _ = self._tangent(u, z)
            dz = value / rate
            du = outer * dz
            curved = u * np.exp(du / u * np.log(factor)), z * np.exp(dz / z * np.log(factor))
            power = np.abs(du / u), np.abs(dz / z)
            straight = u + du * (factor - 1), z + dz * (factor - 1)
        chosen = [
            np.where(np.isfinite(c) & (p < 4), c, np.where(np.isfinite(s), s, x))
            for c, p, s, x in zip(curved, power, straight, (u, z), strict=True)
        ]
        return chosen[0], chosen[1]
