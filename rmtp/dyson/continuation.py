"""The physical branch of the Dyson equation, followed from large |z|.

At large |z| the solution is a convergent series and unique (z g -> 1); from there every point of a grid walks down its own
vertical line with Newton's method, step by step in log height, and touches down on the real axis itself where the solution is
analytic: a density without an epsilon. A step is accepted when Newton's corrections are small against the solution and
contract (the monotonicity test that makes the root the predicted one); else it is halved. Rejected: damped Picard
iteration, which stalls like a random walk near edges, and choosing among the roots of a polynomial, which no rule does
rightly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import NotConverged
from . import elimination
from .panels import Fit
from .system import DOUBLE, LONG, Evaluation, Ring, System

_FIRST = 0.12  # largest first correction, relative to the solution, of an accepted step
_CONTRACTION = 0.2
_MOST_CARE = 5.0
_NOISE = (
    1e-6  # corrections this small need not contract: where the Jacobian is singular and g is not, they are rounding
)
_LEAP = 0.4  # largest relative change from the last height to the axis
_DROP = 1e-6  # by which the height falls at most between two attempts to land
_SMALLEST_STEP = 1e-7
_SLOWEST = 0.98  # of the height, to which it falls in the shortest step
_SMALLEST_FITTED, _SLOWEST_FITTED = 1e-4, 0.7  # with panels of its own a point has no bands to pass between
_SINGULAR = 0.15  # the power of the height from which an unknown counts as singular below
_CHUNK = 1 << 18  # points times nodes that are held at once
_PANELS = 1 << 10  # nodes of fitted panels, about
_EPS = 1e-15
_ROUGH = 1e-13
_OPEN = 1e10  # amplification of rounding from which a direction counts as undetermined
_NEGLIGIBLE = 1e-10
_ROUNDED = 3e-14  # what rounding moves such a number by
_NOISY = 4.0  # units of rounding that an equation may be off by
_SHEET = 1e-9  # Im g / |g| that may be rounding


@dataclass(frozen=True, eq=False)
class Solved:
    """Solutions at points z: unknowns (E, P), the Stieltjes transform per width (D, P), where it converged.

    Where `fitted`, the coefficients were resolved by panels of the point's own.
    """

    z: np.ndarray
    u: np.ndarray
    g: np.ndarray
    good: np.ndarray
    error: np.ndarray
    fitted: np.ndarray | None = None


class Branch:
    """The branch of a system at one resolution.

    Parameters
    ----------
    system : System
    level : int or Fit
        Quadrature rules of the coefficients have about 2**level nodes, or panels fitted to each point.
    care : float
        By what the largest corrections of an accepted step are divided.
    """

    def __init__(self, system: System, level: int | Fit, care: float = 1.0) -> None:
        self.system, self.level, self.care = system, level, care
        fitted = isinstance(level, Fit)
        self.smallest, self.slowest = (_SMALLEST_FITTED, _SLOWEST_FITTED) if fitted else (_SMALLEST_STEP, _SLOWEST)
        self.size = len(system.pairs)
        opposite = [(b, a) for a, b in system.pairs]
        self.paired = np.array([p in system.number for p in opposite], dtype=bool)
        self.partners = np.array([system.number.get(p, 0) for p in opposite], dtype=int)
        self.chunk = max(16, _CHUNK // max(1, self._nodes()))

    def _nodes(self) -> int:
        if isinstance(self.level, Fit):
            return _PANELS
        rules = [self.system.rule(c, self.level) for c in self.system.components]
        return max((len(r.weights) for r in rules), default=1)

    # -- Newton -----------------------------------------------------------------------------------

    def evaluate(
        self, u: np.ndarray, z: np.ndarray, zeta: np.ndarray, slopes: bool = True, ring: Ring = DOUBLE
    ) -> Evaluation:
        """The system at points z with unknowns u of shape (E, P)."""
        with np.errstate(all="ignore"):
            return self.system.evaluate(list(u), z, zeta, self.level, slopes, ring)

    def step(self, made: Evaluation, right: list[Any]) -> np.ndarray:
        """Solutions of J d = right; where elimination without pivots fails, a dense solve with them."""
        shape = np.shape((made.g or made.residual or [0.0])[0])
        with np.errstate(all="ignore"):
            (d,) = elimination.solve(self.system.elimination, made.jacobian, [right])
            out = np.array([np.broadcast_to(x, shape) for x in d]).reshape(self.size, *shape)
        bad = ~np.all(np.isfinite(out), axis=0)
        if bad.any():
            out[:, bad] = self._dense(made, right, bad)
        return out

    def _dense(self, made: Evaluation, right: list[Any], which: np.ndarray) -> np.ndarray:
        matrix = self.dense(made, which)
        rhs = np.stack([np.broadcast_to(r, which.shape)[which] for r in right], axis=-1)
        out = np.full((self.size, len(matrix)), np.nan, dtype=complex)
        fine = np.all(np.isfinite(matrix), axis=(1, 2)) & np.all(np.isfinite(rhs), axis=1)
        for k in np.flatnonzero(fine):
            try:
                out[:, k] = np.linalg.solve(matrix[k], rhs[k])
            except np.linalg.LinAlgError:
                continue
        return out

    def dense(self, made: Evaluation, which: Any = slice(None)) -> np.ndarray:
        """The Jacobian as (P, E, E)."""
        shape = np.shape(made.residual[0])
        count = np.zeros(shape)[which].shape
        out = np.zeros((*count, self.size, self.size), dtype=complex)
        for (i, j), x in made.jacobian.items():
            out[..., i, j] = np.broadcast_to(x, shape)[which]
        return out

    def newton(
        self, u: np.ndarray, z: np.ndarray, zeta: np.ndarray, final: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Evaluation | None]:
        """Newton's method with the acceptance test.

        Returns the solution, whether each point passed, the first relative correction, and the last evaluation (of all points).
        """
        accepted = np.ones(z.shape, dtype=bool)
        first = previous = np.zeros(z.shape)
        frozen = np.zeros(z.shape, dtype=bool)
        made = None
        for k in range(40 if final else 3):
            made = self.evaluate(u, z, zeta)
            d = self.step(made, [-r for r in made.residual])
            size = self.relative(d, u, made)
            bad = ~np.isfinite(size)
            size = np.where(bad, np.inf, size)
            if k == 0:
                first = size
                accepted &= size <= _FIRST / self.care
            else:
                # rounding reached: the corrections no longer shrink, and along a null direction they would wander
                frozen |= (size <= _NOISE) & (size >= 0.5 * previous)
            if k == 1:
                accepted &= (size <= _CONTRACTION / self.care * previous) | (size <= _NOISE)
            u = u + np.where(bad | frozen | ~accepted, 0, d)
            if not final and k >= 1 and np.all((size <= 1e-6) | ~accepted):
                break
            if final and k >= 1:
                if np.all((size <= 4 * _EPS) | (size >= 0.5 * previous) | frozen | ~accepted):
                    accepted &= size <= 1e-5
                    break
            previous = size
        return u, accepted, first, made

    def relative(self, d: np.ndarray, u: np.ndarray, made: Evaluation) -> np.ndarray:
        """The largest correction, each against the natural size of its unknown (they span many decades near a hard edge)."""
        if not self.size:
            return np.zeros(d.shape[1:])
        scale = np.maximum(np.abs(u), np.array([np.broadcast_to(x, u.shape[1:]) for x in made.size]))
        # Theta_ab Phi_ba is a pure number: where it is next to nothing, so is the entry, and its digits are rounding
        with np.errstate(all="ignore"):
            pure = 1 / scale[self.partners]
        pure = np.where(np.isfinite(pure) & self.paired[:, None], pure, 0.0).reshape(scale.shape)
        scale = np.maximum(scale, _NEGLIGIBLE * pure)
        moved = np.maximum(np.abs(d) - _ROUNDED * pure, 0.0)
        return np.max(np.where(np.isnan(d), np.nan, moved) / (scale + 1e-150 * scale.max(axis=0) + 1e-300), axis=0)

    # -- the anchor -------------------------------------------------------------------------------

    def anchor(self) -> tuple[complex, np.ndarray, float, float]:
        """(z0, u0, mean, spread): a solution far up the imaginary axis and the first two moments it shows."""
        height = 1e4
        for _ in range(12):
            found = self._far(height)
            if found is not None:
                u, mean, spread = found
                if 1e3 * (abs(mean) + spread) <= height:
                    return complex(0, height), u, mean, spread
                height = max(30 * height, 1e4 * (abs(mean) + spread))
            else:
                height *= 100
        raise NotConverged(
            "no solution with z g(z) -> 1 was found at large |z|",
            remedy="the expression may have no limiting law (moments that do not exist)",
        )

    def _far(self, height: float) -> tuple[np.ndarray, float, float] | None:
        z = np.array([1j * height, 2j * height])
        u = np.zeros((self.size, 2), dtype=complex)
        rational = self.system.program.rational
        zeta = np.full(2, 1j * height if rational else 0)
        for _ in range(60):
            made = self.evaluate(u, z, zeta)
            d = self.step(made, [-r for r in made.residual])
            if not np.all(np.isfinite(d)):
                return None
            u = u + d
            if not self.size or np.max(self.relative(d, u, made)) < 1e-13:
                break
        else:
            return None
        if rational:
            landed = self.close(u, z, zeta)
            if landed is None:
                return None
            u = landed
        g = self.system.mean(self.evaluate(u, z, 0 * zeta, slopes=False).g)
        excess = z * (z * g - 1)  # m1 + m2 / z + ..
        if not np.all(np.isfinite(excess)) or np.max(np.abs(excess / z)) > 0.1:
            return None
        mean = float(excess[0].real)
        second = float(max(0.0, (excess[0] * z[0] - mean * z[0]).real))
        return u[:, :1], mean, float(np.sqrt(abs(second))) + 1e-12

    def close(self, u: np.ndarray, z: np.ndarray, zeta: np.ndarray) -> np.ndarray | None:
        """Take the shift of the inverses from far up to 0: down in log height, landing as soon as the way is short."""
        factor, current = 0.5, zeta
        for _ in range(400):
            made = self.evaluate(u, z, current)
            rate = self.step(made, list(made.by_zeta))
            landing = -rate * current
            if np.max(self.relative(landing, u, made)) <= _LEAP:
                new, good, _, _ = self.newton(u + landing, z, 0 * current)
                if good.all():
                    return new
            goal = current * factor
            new, good, first, _ = self.newton(_power_step(u, rate, current, goal), z, goal)
            if good.all():
                u, current = new, goal
                factor = factor**1.6 if np.max(first) < 0.02 else factor
            else:
                factor = factor**0.5
            if factor > 0.9999 or np.max(np.abs(current)) < 1e-250:
                return None
        return None

    # -- paths ------------------------------------------------------------------------------------

    def follow(self, u: np.ndarray, start: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solutions at `goal` from those at `start`: straight in Re z, geometric in Im z (both heights positive)."""
        u = np.array(u)
        t = np.zeros(start.shape)
        step = np.full(start.shape, 0.25)
        alive = np.ones(start.shape, dtype=bool)
        ratio = np.log(goal.imag / start.imag)
        slope = goal.real - start.real
        last, last_t = np.full(u.shape, np.nan, dtype=complex), np.zeros(start.shape)

        def place(t: np.ndarray, which: np.ndarray) -> np.ndarray:
            height = np.where(t >= 1, goal[which].imag, start[which].imag * np.exp(ratio[which] * t))
            return start[which].real + slope[which] * t + 1j * height

        while True:
            which = np.flatnonzero(alive & (t < 1))
            if not len(which):
                return u, alive
            now = place(t[which], which)
            after = np.minimum(1.0, t[which] + step[which])
            then = place(after, which)
            guess = self._predict(u[:, which], now, then, last[:, which], place(last_t[which], which))
            new, good, first, made = self.newton(guess, then, 0 * then)
            good &= self._physical(made)
            taken = which[good]
            last[:, taken], last_t[taken] = u[:, taken], t[taken]
            u[:, taken] = new[:, good]
            t[taken] = after[good]
            step[taken] *= np.where(first[good] < 0.02, 2.0, 1.0)
            failed = which[~good]
            step[failed] *= 0.4
            alive[failed[step[failed] < self.smallest]] = False

    def _physical(self, made: Evaluation | None) -> np.ndarray:
        """Whether every trace is that of a measure, Im g <= 0 up to rounding: next to an edge the sheets lie close together."""
        assert made is not None
        g = np.array(made.g)
        with np.errstate(all="ignore"):
            return np.asarray(np.all(g.imag <= _SHEET * np.abs(g), axis=0))

    def _predict(
        self, u: np.ndarray, now: np.ndarray, then: np.ndarray, last: np.ndarray, before: np.ndarray
    ) -> np.ndarray:
        """A step with the model that would have led back to the `last` solution best.

        Powers of z are right far out and next to a hard edge at 0, powers of the height above a point next to any other
        edge or atom, straight lines elsewhere. One model for all entries: their products are what the equations hold fixed.
        """
        made = self.evaluate(u, now, 0 * now)
        rate = self.step(made, list(made.by_z))
        foot = now.real + 0j
        models = [lambda z: _power_step(u, rate, now, z), lambda z: _power_step(u, rate, now, z, foot, _SINGULAR)]
        models.append(lambda z: u + rate * (z - now))
        with np.errstate(all="ignore"):
            misses = np.array([np.max(np.abs(model(before) / last - 1), axis=0, initial=0.0) for model in models])
            best = np.argmin(np.where(np.isfinite(misses), misses, np.inf), axis=0)
            guess = np.choose(best, [model(then) for model in models])
        return np.where(np.isfinite(guess), guess, u)

    # -- points -----------------------------------------------------------------------------------

    def at(self, targets: np.ndarray, anchor: tuple[complex, np.ndarray, float, float]) -> Solved:
        """Solutions at complex targets of the closed upper half plane."""
        blocks = np.array_split(targets, max(1, -(-len(targets) // self.chunk)))
        parts = [self._retried(self._at(block, anchor), anchor) for block in blocks]
        names = ("z", "u", "g", "good", "error")
        return Solved(*(np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in names))

    def _retried(self, out: Solved, anchor: tuple[complex, np.ndarray, float, float]) -> Solved:
        """Lost points once more, in shorter steps: next to an edge a step that is just accepted may change sheets."""
        lost = np.flatnonzero(~out.good)
        if not len(lost) or self.care >= _MOST_CARE:
            return out
        careful = Branch(self.system, self.level, _MOST_CARE)
        again = careful._at(out.z[lost], anchor)
        u, g, good, error = (np.array(x) for x in (out.u, out.g, out.good, out.error))
        u[:, lost], g[:, lost], good[lost], error[lost] = again.u, again.g, again.good, again.error
        return Solved(out.z, u, g, good, error)

    def _at(self, targets: np.ndarray, anchor: tuple[complex, np.ndarray, float, float]) -> Solved:
        z0, u0, mean, spread = anchor
        scale = spread + abs(mean)
        high = 1j * max(8 * scale, 4 * float(np.max(np.abs(targets), initial=0.0)))
        size = len(targets)
        u, good = self.follow(u0, np.array([z0]), np.array([high]))
        if not good.all():
            raise NotConverged("the branch broke off at large |z|", remedy="check that the law exists")
        u = np.repeat(u, size, axis=1)
        start = np.full(size, high)
        real = targets.imag == 0
        height = 0.25 * max(scale, 1e-300)
        # across where g is smooth, then straight down: a slanted path would skirt whatever lies on the axis
        first = targets.real + 1j * np.where(real, height, np.clip(targets.imag, height, high.imag))
        u, good = self.follow(u, start, first)
        below = np.flatnonzero(~real & good & (targets.imag < first.imag))
        if len(below):
            u[:, below], good[below] = self.follow(u[:, below], first[below], targets[below])
        if np.any(real & good):
            landed = real & good
            u[:, landed], ok = self._touch_down(u[:, landed], first[landed], targets.real[landed])
            good[np.flatnonzero(landed)] = ok
        u, fine, _, _ = self.newton(u, targets, 0 * targets, final=True)
        return self.conclude(u, targets, good & fine)

    def conclude(self, u: np.ndarray, z: np.ndarray, good: np.ndarray) -> Solved:
        """g with an error from the last Newton correction carried to it.

        On the axis the conjugate of a solution is one; where the density drowns beside an atom the path may come down on it.
        """
        made = self.evaluate(u, z, 0 * z)
        turned = (z.imag == 0) & (np.imag(self.system.mean(made.g)) > 0)
        if turned.any():
            u = np.where(turned, u.conj(), u)
            made = self.evaluate(u, z, 0 * z)
        d = self.step(made, [-r for r in made.residual])
        g = np.array([np.broadcast_to(x, z.shape) for x in made.g])
        change = np.zeros(z.shape)
        for slopes in made.g_by_u:
            change = change + np.abs(sum((x * d[k] for k, x in slopes.items()), np.zeros(z.shape)))
        change = change + self._shaken(made, u, z, g, DOUBLE)
        rough = good & (change > _ROUGH * np.abs(g).max(axis=0))
        if rough.any():
            g[:, rough], change[rough] = self._longer(u[:, rough], z[rough])
        good = good & np.all(np.isfinite(g), axis=0) & (change <= 1e-4 * np.abs(g).max(axis=0))
        return Solved(z, u, g, good, change)

    def _shaken(self, made: Evaluation, u: np.ndarray, z: np.ndarray, g: np.ndarray, ring: Ring) -> np.ndarray:
        """How far g moves when every equation is off by rounding; inf where the equations leave a direction open.

        There (0 in the arcsine law as a sum of two signs) they have solutions other than the limit from above.
        """
        if not self.size:
            return np.zeros(z.shape)
        unit = _NOISY * ring.epsilon
        sign = [np.cos(1.7 * k) for k in range(self.size)]
        rounding = [unit * c * np.maximum(np.abs(u[k]), made.size[k]) for k, c in enumerate(sign)]
        probe = [unit * c * made.size[k] for k, c in enumerate(sign)]
        with np.errstate(all="ignore"):
            solved = elimination.solve(self.system.elimination, made.jacobian, [rounding, probe])
            d, probed = (np.array([np.broadcast_to(x, z.shape) for x in side]) for side in solved)
            moved = self.evaluate(u + d, z, 0 * z, slopes=False, ring=ring)
            shift = np.abs(np.array([np.broadcast_to(x, z.shape) for x in moved.g]) - g).max(axis=0)
            open_ = self.relative(probed, u, made) > _OPEN * unit
        return np.where(np.isfinite(shift) & ~open_, shift, np.inf).astype(float)

    def _longer(self, u: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """g in extended precision, for points so near a hard edge that z g is a difference of equal numbers."""
        v, w = u.astype(np.clongdouble), z.astype(np.clongdouble)
        change = np.full(z.shape, np.inf)
        g = np.full((len(self.system.program.space), len(z)), np.nan, dtype=complex)
        for _ in range(8):
            made = self.evaluate(v, w, 0 * w, ring=LONG)
            with np.errstate(all="ignore"):
                (step,) = elimination.solve(self.system.elimination, made.jacobian, [[-r for r in made.residual]])
                d = np.array([np.broadcast_to(x, z.shape) for x in step])
                moved = sum(
                    np.abs(sum((x * d[k] for k, x in slopes.items()), np.zeros(z.shape))) for slopes in made.g_by_u
                )
            better = np.asarray(moved, dtype=float) < 0.5 * change
            if not better.any():
                break
            for i, x in enumerate(made.g):
                g[i, better] = np.broadcast_to(x, z.shape)[better].astype(complex)
            change = np.where(better, np.asarray(moved, dtype=float), change)
            v = v + np.where(better, d, 0)
        final = self.evaluate(v, w, 0 * w, ring=LONG)
        return g, change + self._shaken(final, v, w, np.array([np.broadcast_to(x, z.shape) for x in final.g]), LONG)

    def _touch_down(self, u: np.ndarray, z: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From x + i h to the real axis: tried at every height, and further down where it does not hold."""
        u, z = np.array(u), np.array(z)
        done = np.zeros(x.shape, dtype=bool)
        factor = np.full(x.shape, 0.1)
        alive = np.ones(x.shape, dtype=bool)
        while True:
            which = np.flatnonzero(alive & ~done)
            if not len(which):
                return u, done
            goal = x[which] + 0j
            with np.errstate(all="ignore"):
                made = self.evaluate(u[:, which], z[which], 0 * goal)
                move = self.step(made, [r * (goal - z[which]) for r in made.by_z])
                short = self.relative(move, u[:, which], made) <= _LEAP
            guess = np.where(np.isfinite(move) & short, u[:, which] + move, u[:, which])
            new, good, first, _ = self.newton(guess, goal, 0 * goal)
            good &= short & (first <= 0.5 * _FIRST / self.care)
            g = self.system.mean(self.evaluate(new, goal, 0 * goal, slopes=False).g)
            good &= np.isfinite(g) & (np.imag(g) <= _SHEET * np.abs(g))
            hit = which[good]
            u[:, hit], done[hit] = new[:, good], True
            rest = which[~good]
            if not len(rest):
                continue
            then = x[rest] + 1j * z[rest].imag * factor[rest]
            moved, ok = self.follow(u[:, rest], z[rest], then)
            u[:, rest[ok]], z[rest[ok]] = moved[:, ok], then[ok]
            factor[rest] = np.where(ok, np.maximum(factor[rest] ** 1.3, _DROP), factor[rest] ** 0.5)
            tiny = (z[rest].imag < 1e-280) | (z[rest].imag < 1e-15 * np.maximum(np.abs(x[rest]), 1e-290))
            alive[rest[tiny | (factor[rest] > self.slowest)]] = False


def _power_step(
    u: np.ndarray, rate: np.ndarray, now: np.ndarray, then: np.ndarray, foot: Any = 0, least: float = 0.0
) -> np.ndarray:
    """u at `then` from its slope at `now`, as a power of z - foot entry by entry; a straight line where that makes no sense.

    A power smaller than `least` is taken for the slope of a function that is smooth at the foot.
    """
    with np.errstate(all="ignore"):
        power = rate * (now - foot) / u
        curved = u * np.exp(power * np.log((then - foot) / (now - foot)))
        straight = u + rate * (then - now)
    use = np.isfinite(curved) & (np.abs(power) < 4) & (np.abs(power) >= least)
    return np.where(use, curved, np.where(np.isfinite(straight), straight, u))
