"""Polynomials and homogeneous functions over powers of quadratic forms, which batch normalisation makes.

``(Q + e)^-k`` is the integral of ``exp(-s (Q + e))`` over s > 0 with the weight ``s^(k - 1) / Gamma(k)``, and that exponential
changes one Gaussian law into another. What is left beneath the integral over s, one for each of at most two quadratic forms, is
a polynomial times the signs of at most two Gaussians, whose mean Stein's lemma gives. So the dimension is that of s, whatever
the size of the batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ensembles import Number
from ..normal import Mono, is_zero, number_key
from .integrand import Argument, CovOf, Integrand, Linear, as_batch, broadcast_shape

Array = Any

_PARALLEL = 1e-12  # 1 - rho^2 below which two arguments are one
_ROUNDING = 1e-13
_ZERO = 1e-14  # of the largest eigenvalue
_STEPS = (0.36, 0.27, 0.2, 0.15)  # of log s: the error of the trapezoid rule is about |Gamma(k + 2 pi i / step)|
_COARSE = 1.5
_LEFT, _RIGHT = 40.0, 84.0
_SMALL = 1e-16
_NODES = 1 << 19


@dataclass(frozen=True)
class Root:
    """``coefficient * prod_r (Q_r + e_r)^exponent``."""

    coefficient: Number
    exponents: tuple[tuple[int, float], ...] = ()

    def times(self, other: Root) -> Root:
        """The product of two."""
        total = dict(self.exponents)
        for key, p in other.exponents:
            total[key] = total.get(key, 0.0) + p
        return Root(self.coefficient * other.coefficient, tuple(sorted((k, p) for k, p in total.items() if p)))

    def power(self, p: float) -> Root:
        """Its p-th power; the coefficient is positive."""
        base = self.coefficient if isinstance(self.coefficient, np.ndarray) else float(self.coefficient)
        return Root(base**p, tuple((key, p * q) for key, q in self.exponents))


@dataclass(frozen=True)
class Signed:
    """``u^degree (plus 1(u > 0) + minus 1(u < 0))`` of a linear u."""

    argument: Linear
    degree: int
    plus: Number
    minus: Number


@dataclass
class Radial:
    """``factor * prod g^p * prod signed * prod (Q_r + e_r)^-k_r``."""

    factor: Number
    gauss: dict[int, int]
    signed: list[Signed]
    forms: list[tuple[Number, dict[tuple[int, int], Number], float]] = field(default_factory=list)  # e, Q, k


def radial(made: Integrand, cov: CovOf, rtol: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(value, error) of an integrand of this kind, or None.

    Parameters
    ----------
    made : Integrand
    cov : callable
        Covariance of two Gaussian atoms.
    rtol : float
        Relative to the mean of the absolute value of the integrand over s.
    """
    found = recognised(made)
    return None if found is None else _integrated(found, made, cov, rtol)


# ---------------------------------------------------------------------------------------------
# recognising


def recognised(made: Integrand) -> Radial | None:
    """The integrand in the form above, or None."""
    if made.continuous or made.fixed or made.variances or any(made.shifts.values()):
        return None
    forms: list[tuple[Number, dict[tuple[int, int], Number]]] = []
    keys: dict[Any, int] = {}
    roots: dict[int, Root] = {}
    signed: dict[int, tuple[Root, Signed]] = {}
    for number in made.order:
        fn, args = made.calls[number]
        if len(args) != 1 or not fn.family:
            return None
        if fn.family[0] == "power":
            inner = _root_of(args[0], roots, forms, keys, made)
            if inner is None:
                return None
            _, scale, exponent = fn.family
            roots[number] = Root(scale).times(inner.power(exponent))
        elif fn.family[0] == "homogeneous":
            argument = _linear_of(args[0], roots, made)
            if argument is None:
                return None
            _, degree, plus, minus = fn.family
            multiplier, linear = argument
            signed[number] = (multiplier.power(degree) if degree else Root(1), Signed(linear, degree, plus, minus))
        else:
            return None
    if not forms:
        return None
    total, functions = Root(1), []
    for a, power in made.factors:
        if a in roots:
            for _ in range(power):
                total = total.times(roots[a])
        elif a in signed:
            for _ in range(power):
                total = total.times(signed[a][0])
                functions.append(signed[a][1])
        else:
            return None
    if len(total.exponents) > 2 or any(p > 0 for _, p in total.exponents):
        return None
    gauss: dict[int, int] = {}
    for a, power in made.gauss:
        gauss[a] = gauss.get(a, 0) + power
    return Radial(total.coefficient, gauss, functions, [(*forms[key], -p) for key, p in total.exponents])


def _root_of(
    arg: Argument,
    roots: dict[int, Root],
    forms: list[tuple[Number, dict[tuple[int, int], Number]]],
    keys: dict[Any, int],
    made: Integrand,
) -> Root | None:
    """A positive argument: a multiple of products of roots, or a new quadratic form and a constant."""
    if arg.var is not None:
        return None
    if is_zero(arg.const) and len(arg.rest) == 1:
        coefficient, mono = arg.rest[0]
        if all(a in roots for a, _ in mono):
            return _product(coefficient, mono, roots)
    form: dict[tuple[int, int], Number] = {}
    for coefficient, mono in arg.rest:
        pair = [a for a, power in mono for _ in range(power)]
        if len(pair) != 2 or any(a in made.calls or a not in made.node_var for a in pair):
            return None
        i, j = sorted(pair)
        form[i, j] = form.get((i, j), 0) + coefficient
    if not form or not np.all(np.asarray(arg.const, dtype=float) >= 0):
        return None
    key = (number_key(arg.const), *((ij, number_key(c)) for ij, c in sorted(form.items())))
    if key not in keys:
        keys[key] = len(forms)
        forms.append((arg.const, form))
    return Root(1, ((keys[key], 1.0),))


def _product(coefficient: Number, mono: Mono, roots: dict[int, Root]) -> Root | None:
    if not np.all(np.asarray(coefficient, dtype=float) > 0):
        return None
    total = Root(coefficient)
    for a, power in mono:
        for _ in range(power):
            total = total.times(roots[a])
    return total if np.all(np.asarray(total.coefficient, dtype=float) > 0) else None


def _linear_of(arg: Argument, roots: dict[int, Root], made: Integrand) -> tuple[Root, Linear] | None:
    """A linear form times a positive root common to its terms."""
    if not is_zero(arg.const):
        return None
    if arg.var is not None:
        return None if arg.rest else (Root(1), made.variables[arg.var])
    linear: dict[int, Number] = {}
    common: Mono | None = None
    for coefficient, mono in arg.rest:
        gauss = [(a, p) for a, p in mono if a not in roots]
        rest = tuple((a, p) for a, p in mono if a in roots)
        if len(gauss) != 1 or gauss[0][1] != 1 or gauss[0][0] in made.calls or (common is not None and rest != common):
            return None
        common = rest
        linear[gauss[0][0]] = linear.get(gauss[0][0], 0) + coefficient
    if common is None:
        return None
    root = _product(1, common, roots)
    return None if root is None else (root, tuple(sorted(linear.items())))


# ---------------------------------------------------------------------------------------------
# integrating


def _integrated(what: Radial, made: Integrand, cov: CovOf, rtol: float) -> tuple[np.ndarray, np.ndarray] | None:
    atoms = sorted(
        {a for _, form, _ in what.forms for ij in form for a in ij}
        | set(what.gauss)
        | {a for s in what.signed for a, _ in s.argument}
    )
    place = {a: k for k, a in enumerate(atoms)}
    entries = {(i, j): made.cov(cov, atoms[i], atoms[j]) for i in range(len(atoms)) for j in range(i + 1)}
    numbers = [*entries.values(), what.factor, *(e for e, _, _ in what.forms)]
    numbers += [c for _, form, _ in what.forms for c in form.values()]
    numbers += [c for s in what.signed for _, c in s.argument]
    shape = broadcast_shape(numbers)
    batch = int(np.prod(shape, dtype=int))
    sigma = np.zeros((batch, len(atoms), len(atoms)))
    for (i, j), value in entries.items():
        sigma[:, i, j] = sigma[:, j, i] = as_batch(value, shape)
    groups = _grouped(what.signed, place, sigma, shape)
    if groups is None:
        return None
    if any(not even.any() and not odd.any() for _, _, even, odd in groups):  # relu(u) relu(-u)
        return np.zeros(shape), np.zeros(shape)
    w, v = np.linalg.eigh(sigma)
    half = v * np.sqrt(np.where(w > _ZERO * w[:, -1:], w, 0.0))[:, None, :]
    matrices, shifts, powers = [], [], []
    for constant, form, k in what.forms:
        A = np.zeros((batch, len(atoms), len(atoms)))
        for (i, j), c in form.items():
            A[:, place[i], place[j]] += 0.5 * as_batch(c, shape)
            A[:, place[j], place[i]] += 0.5 * as_batch(c, shape)
        matrices.append(np.swapaxes(half, 1, 2) @ A @ half)
        shifts.append(as_batch(constant, shape))
        powers.append(k)
    lines = [np.broadcast_to(np.eye(len(atoms))[place[a]], (batch, len(atoms))) for a in what.gauss]
    lines += [g[0] for g in groups]
    rows = np.stack(lines, axis=1) @ half if lines else np.zeros((batch, 0, half.shape[2]))
    problem = _Problem(rows, matrices, shifts, powers, tuple(what.gauss.values()), [g[1:] for g in groups])
    factor = as_batch(what.factor, shape)
    if not what.forms:
        value = factor * problem.mean(rows[:, None], np.ones((batch, 1, rows.shape[2])))[:, 0]
        return value.reshape(shape), (1e-14 * np.abs(value)).reshape(shape)
    with np.errstate(all="ignore"):
        found = problem.integral(rtol)
    if found is None:
        return None
    return (factor * found[0]).reshape(shape), (np.abs(factor) * found[1]).reshape(shape)


Group = tuple[np.ndarray, int, np.ndarray, np.ndarray]  # direction, degree, even and odd amplitude


def _grouped(
    signed: Sequence[Signed], place: dict[int, int], sigma: Array, shape: tuple[int, ...]
) -> list[Group] | None:
    """Functions of one direction multiplied; None for more than two directions, or one that vanishes."""
    out: list[tuple[np.ndarray, int, np.ndarray, np.ndarray]] = []  # direction, degree, plus, minus
    for s in signed:
        direction = np.zeros(sigma.shape[:2])
        for a, c in s.argument:
            direction[:, place[a]] += as_batch(c, shape)
        variance = np.einsum("bi,bij,bj->b", direction, sigma, direction)
        if np.any(variance <= 0):
            return None
        plus, minus = (as_batch(x, shape) for x in (s.plus, s.minus))
        for k, (other, degree, p, m) in enumerate(out):
            size = np.einsum("bi,bij,bj->b", other, sigma, other)
            c = np.einsum("bi,bij,bj->b", direction, sigma, other)
            near = c * c >= (1 - _PARALLEL) * size * variance
            if near.any() and not near.all():
                return None
            if near.all():
                ratio = c / size
                turned = ratio < 0
                scale = ratio**s.degree
                up, down = (np.where(turned, minus, plus) * scale, np.where(turned, plus, minus) * scale)
                out[k] = (other, degree + s.degree, p * up, m * down)
                break
        else:
            out.append((direction, s.degree, plus, minus))
    if len(out) > 2:
        return None
    return [(d, degree, 0.5 * (p + m), 0.5 * (p - m)) for d, degree, p, m in out]


@dataclass
class _Problem:
    """Rows of a root of the covariance; forms in its columns; powers of Gaussians; signed directions, which come last."""

    rows: Array
    matrices: list[Array]
    shifts: list[Array]
    powers: list[float]
    exponents: tuple[int, ...]
    groups: list[tuple[int, Array, Array]]

    def mean(self, rows: Array, shrink: Array) -> Array:
        """E of the polynomial and the signs, for covariances ``rows diag(shrink) rows^T``: axes (batch, nodes)."""
        size = rows.shape[-2]
        cov = {
            (i, j): np.sum(rows[..., i, :] * shrink * rows[..., j, :], axis=-1)
            for i in range(size)
            for j in range(i + 1)
        }
        first = size - len(self.groups)
        total: Any = 0.0
        for signs in itertools.product((0, 1), repeat=len(self.groups)):
            amplitude: Any = 1.0
            for chosen, (_, even, odd) in zip(signs, self.groups, strict=True):
                amplitude = amplitude * (odd if chosen else even)
            if not np.any(amplitude):
                continue
            p = (*self.exponents, *(degree for degree, _, _ in self.groups))
            active = tuple(first + k for k, chosen in enumerate(signs) if chosen)
            value = Moments(cov, size).of(p, active)
            total = total + np.reshape(amplitude, (-1, *[1] * (shrink.ndim - 2))) * value
        return np.broadcast_to(total, shrink.shape[:-1])

    def integral(self, rtol: float) -> tuple[Array, Array] | None:
        """The integral over log s on a box found at a coarse step, at finer steps until two agree."""
        tops = [np.linalg.eigvalsh(m)[:, -1] for m in self.matrices]
        if any(np.any(t <= 0) for t in tops):
            return None
        scales = [1 / np.max(t) for t in tops]
        ends = []
        for scale, shift, k in zip(scales, self.shifts, self.powers, strict=True):
            least = float(np.min(shift))
            ends.append((-_LEFT / min(k, 1.0), min(_RIGHT, math.log(45 / (least * scale))) if least > 0 else _RIGHT))
        axes = [np.arange(a, b + _COARSE, _COARSE) for a, b in ends]
        size = np.max(np.abs(self._values(axes, scales)), axis=0)
        if not np.all(np.isfinite(size)) or not size.any():
            return None
        box = []
        for k, axis in enumerate(axes):
            along = np.max(size, axis=tuple(j for j in range(len(axes)) if j != k))
            seen = np.flatnonzero(along > _SMALL * np.max(along))
            if seen[-1] == len(axis) - 1 and np.min(self.shifts[k]) == 0:
                return None  # the tail does not fall: the mean may be infinite
            box.append((axis[seen[0]] - _COARSE, axis[seen[-1]] + _COARSE))
        before: Any = None
        for step in _STEPS:
            axes = [np.arange(a, b + step, step) for a, b in box]
            if np.prod([len(a) for a in axes]) * len(self.rows) > _NODES:
                return None
            values = self._values(axes, scales)
            inside = tuple(range(1, values.ndim))
            weight = step ** len(axes)
            now, norm = weight * np.sum(values, axis=inside), weight * np.sum(np.abs(values), axis=inside)
            if before is not None:
                error = np.abs(now - before) + 1e-13 * norm
                if np.all(error <= max(rtol, 1e-12) * norm):
                    return now, error
            before = now
        return None

    def _values(self, axes: Sequence[Array], scales: Sequence[float]) -> Array:
        """The integrand over log s: axes (batch, nodes of each form)."""
        s = scales[0] * np.exp(axes[0])
        lam, vectors = _spectrum(self.matrices[0])
        down = 1 / (1 + 2 * s[:, None] * lam[:, None, :])  # (batch, nodes, r)
        weight = self._weight(0, s, scales[0], axes[0]) * np.sqrt(np.prod(down, axis=-1))
        if len(axes) == 1:
            return weight * self.mean(_clean(self.rows @ vectors)[:, None], down)
        t = scales[1] * np.exp(axes[1])
        root = (vectors[:, None] * np.sqrt(down)[:, :, None, :]) @ np.swapaxes(vectors, 1, 2)[:, None]
        mu, turned = _spectrum(root @ self.matrices[1][:, None] @ root)
        inside = _clean(self.rows @ vectors)[:, None] * np.sqrt(down)[:, :, None, :]
        rows = _clean(inside @ (np.swapaxes(vectors, 1, 2)[:, None] @ turned))  # (batch, nodes, entries, r)
        second = 1 / (1 + 2 * t[:, None] * mu[..., None, :])  # (batch, nodes, nodes', r)
        inner = self._weight(1, t, scales[1], axes[1])[:, None, :] * np.sqrt(np.prod(second, axis=-1))
        return weight[:, :, None] * inner * self.mean(rows[:, :, None], second)

    def _weight(self, k: int, s: Array, scale: float, axis: Array) -> Array:
        power = self.powers[k]
        log = power * (math.log(scale) + axis) - math.lgamma(power)
        return np.exp(log - self.shifts[k][:, None] * s)


def _spectrum(matrix: Array) -> tuple[Array, Array]:
    lam, vectors = np.linalg.eigh(matrix)
    return np.where(lam > _ZERO * lam[..., -1:], lam, 0.0), vectors


def _clean(rows: Array) -> Array:
    """Components that are rounding made zero: along directions in which a form vanishes, its large s would enlarge them."""
    size = np.sqrt(np.sum(rows * rows, axis=-1, keepdims=True))
    return np.where(np.abs(rows) > _ROUNDING * size, rows, 0.0)


class Moments:
    """``E prod x_i^p_i prod sgn(x_j)`` of a centred Gaussian vector, by Stein's lemma.

    The derivative of a sign is twice a density: what it multiplies is a moment given that x_j = 0.

    Parameters
    ----------
    cov : dict (i, j), i >= j -> ndarray
    size : int

    Examples
    --------
    >>> cov = {(0, 0): np.ones(1), (1, 0): np.full(1, 0.5), (1, 1): np.ones(1)}
    >>> float(Moments(cov, 2).of((0, 0), (0, 1))[0] * 3), float(Moments(cov, 2).of((2, 2), ())[0])
    (1.0, 1.5)
    """

    def __init__(self, cov: dict[tuple[int, int], Array], size: int) -> None:
        self.cov, self.size = cov, size
        self._memo: dict[Any, Any] = {}
        self._given: dict[int, Moments] = {}

    def _c(self, i: int, j: int) -> Array:
        return self.cov[(i, j) if i >= j else (j, i)]

    def given_zero(self, k: int) -> Moments:
        """The law given x_k = 0."""
        if k not in self._given:
            variance = np.where(self._c(k, k) > 0, self._c(k, k), 1.0)
            cov = {}
            for i, j in self.cov:
                cov[i, j] = self._c(i, j) - self._c(i, k) * self._c(j, k) / variance
            self._given[k] = Moments(cov, self.size)
        return self._given[k]

    def of(self, powers: tuple[int, ...], signs: tuple[int, ...]) -> Array:
        """One moment."""
        if (sum(powers) + len(signs)) % 2:
            return 0.0
        key = powers, signs
        if key not in self._memo:
            self._memo[key] = self._found(powers, signs)
        return self._memo[key]

    def _found(self, powers: tuple[int, ...], signs: tuple[int, ...]) -> Array:
        a = next((k for k, p in enumerate(powers) if p), None)
        if a is None:
            if not signs:
                return 1.0
            i, j = signs
            c = self._c(i, j)
            rest = np.maximum(self._c(i, i) * self._c(j, j) - c * c, 0.0)
            return 2 / math.pi * np.arctan2(c, np.sqrt(rest))
        left = tuple(p - (k == a) for k, p in enumerate(powers))
        total: Any = 0.0
        for b, p in enumerate(left):
            if p:
                lower = tuple(q - (k == b) for k, q in enumerate(left))
                total = total + p * self._c(a, b) * self.of(lower, signs)
        for k in signs:
            if left[k]:
                continue
            variance = self._c(k, k)  # 0 where it has underflown: sgn(0) is 0
            density = np.where(variance > 0, 2 / np.sqrt(2 * math.pi * np.where(variance > 0, variance, 1.0)), 0.0)
            others = tuple(j for j in signs if j != k)
            total = total + self._c(a, k) * density * self.given_zero(k).of(left, others)
        return total


__all__ = ["Moments", "Radial", "radial", "recognised"]
