"""Laws of polynomials in one self-adjoint expression: images of its law.

``(z - p(Y))^-1 = sum_i (t_i - Y)^-1 / p'(t_i)`` over the roots t_i of p(t) = z, so that the eigenvalues of p(Y) are p of those
of Y, and the law of p(Y) is the image of the law of Y. Its density diverges at images of critical points of p, in the middle
of the support as a rule: a matter of p alone, which the fixed point of p(Y) shows only as a singularity like any other, at
the cost of a path down to it for every point. Everything here is therefore taken from the law of Y but moments, which remain
those of the Dyson equation of p(Y) and check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..arguments import on_points
from ..dense import is_symmetric
from ..dyson.linear import expression_key
from ..ensembles import Number
from ..matrices import Expression, Identity, Product, Total
from .arguments import complex_points, probabilities, real_points, shaped
from .axis import Atom, Edge, Interval
from .density import Panel, evaluate_cdf
from .spectral import SpectralLaw

_MOST = 24  # the degree up to which critical points are looked for
_SAME = 1e-11  # of the size of a law: points that are one point
_BISECTIONS = 70
_REAL = 1e-9  # the imaginary part of a real root
_POLISHED = 3
_LOST = 0.1  # of the moduli: terms that cancel
_DOUBLE = 1e-3  # p' at a root, relative to the sum of its moduli, below which digits of the sum are lost


@dataclass(frozen=True)
class Polynomial:
    """``sum c_k Y**k`` with Y a self-adjoint expression."""

    generator: Expression
    coefficients: tuple[Number, ...]


def polynomial(m: Expression) -> Polynomial | None:
    """An expression as a polynomial of degree two or more in one self-adjoint product; None if it is none.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> W = rmtp.Gaussian(n, n)
    >>> polynomial(W @ W.T @ W @ W.T - 3 * W @ W.T).coefficients
    (0, Fraction(-3, 1), 1)
    """
    words = [_word(c, term) for c, term in (m.terms if isinstance(m, Total) else ((1, m),))]
    if not all(isinstance(c, int | float | Fraction) for c, _ in words):
        return None
    named = [(c, tuple(map(expression_key, word))) for c, word in words]
    longer = [k for k, (_, word) in enumerate(words) if word]
    if not longer:
        return None
    letters = min((words[k][1] for k in longer), key=len)
    for length in range(1, len(letters) + 1):
        root = letters[:length]
        key = tuple(map(expression_key, root))
        powers = [len(word) // length for _, word in named]
        if max(powers) > _MOST or any(word != key * p for p, (_, word) in zip(powers, named, strict=True)):
            continue
        generator = Product(root) if length > 1 else root[0]
        if not is_symmetric(generator):
            continue
        coefficients: list[Number] = [0] * (max(powers) + 1)
        for p, (c, _) in zip(powers, named, strict=True):
            coefficients[p] += c
        while coefficients and coefficients[-1] == 0:
            coefficients.pop()
        return Polynomial(generator, tuple(coefficients)) if len(coefficients) > 2 else None
    return None


def _word(c: Any, term: Expression) -> tuple[Any, tuple[Expression, ...]]:
    """A term as a number times a product of letters; ``(2 * A) @ B`` has its number in a factor."""
    match term:
        case Identity():
            return c, ()
        case Product(factors=factors):
            parts = [_word(1, f) for f in factors]
            for d, _ in parts:
                c = c * d
            return c, tuple(letter for _, word in parts for letter in word)
        case Total(terms=((d, inner),)):
            return _word(c * d, inner)
    return c, (term,)


@dataclass(frozen=True)
class Piece:
    """Part of the support of Y on which p is monotone.

    Attributes
    ----------
    low, high : float
        Its ends.
    at_low, at_high : float
        p there.
    power_low, power_high : float
        Exponents of the density of p(Y) at these.
    """

    low: float
    high: float
    at_low: float
    at_high: float
    power_low: float
    power_high: float


class ImageLaw(SpectralLaw):
    """The law of a polynomial in a self-adjoint expression.

    Parameters
    ----------
    expression : Expression
    law : SpectralLaw
        Of Y.
    coefficients : tuple of Number
        p, from the constant term on.
    """

    def __init__(self, expression: Expression, law: SpectralLaw, coefficients: tuple[Number, ...]) -> None:
        super().__init__(expression)
        self.law, self.coefficients = law, coefficients

    @cached_property
    def _p(self) -> np.ndarray:
        return np.array([float(c) for c in self.coefficients])

    @cached_property
    def _slope(self) -> np.ndarray:
        return np.polynomial.polynomial.polyder(self._p)

    def _at(self, t: Any) -> Any:
        return np.polynomial.polynomial.polyval(t, self._p)

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        intervals, atoms, _ = self.law._structure
        ends = [e.x for i in intervals for e in (i.left, i.right)]
        size = max(map(abs, [*ends, *(a.x for a in atoms)]), default=1.0)
        critical = [(_nearest(t, ends, _SAME * size), k) for t, k in critical_points(self.coefficients)]
        order = dict(critical)
        out = []
        for i in intervals:
            edges = {i.left.x: i.left.exponent, i.right.x: i.right.exponent}
            cuts = sorted({*edges, *(t for t, _ in critical if i.left.x < t < i.right.x)})
            values = [exactly(self.coefficients, t) for t in cuts]
            powers = [(edges.get(t, 0.0) - order.get(t, 0)) / (order.get(t, 0) + 1) for t in cuts]
            for k in range(len(cuts) - 1):
                out.append(Piece(*cuts[k : k + 2], *values[k : k + 2], *powers[k : k + 2]))
        return tuple(out)

    def _found(self) -> tuple[list[Interval], list[Atom], list[Panel]]:
        if not self.bounded:
            return super()._found()
        merged: dict[float, float] = {}
        pieces = self._pieces
        size = max([abs(x) for p in pieces for x in (p.at_low, p.at_high)], default=1.0)
        for a in self.law.atoms:
            x = _nearest(exactly(self.coefficients, a.x), list(merged), _SAME * max(size, 1e-300))
            merged[x] = merged.get(x, 0.0) + a.mass
        atoms = [Atom(x, w) for x, w in sorted(merged.items())]
        return _united(pieces, _SAME * size), atoms, []

    def _preimages(self, x: np.ndarray, piece: Piece) -> np.ndarray:
        """t in the piece with p(t) = x, or the end that is nearer to it."""
        rising = piece.at_high > piece.at_low
        low, high = np.full(x.shape, piece.low), np.full(x.shape, piece.high)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            left = (self._at(middle) < x) == rising
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        t = (low + high) / 2
        with np.errstate(all="ignore"):
            better = t - (self._at(t) - x) / np.polynomial.polynomial.polyval(t, self._slope)
        near = np.abs(better - t) <= 1e-12 * (piece.high - piece.low)
        return np.where(near, np.clip(better, piece.low, piece.high), t)

    def _density(self, x: np.ndarray) -> np.ndarray:
        out = np.zeros(x.shape)
        for piece in self._pieces:
            a, b = sorted((piece.at_low, piece.at_high))
            inside = (x > a) & (x < b)
            if inside.any():
                t = self._preimages(x[inside], piece)
                slope = np.abs(np.polynomial.polynomial.polyval(t, self._slope))
                with np.errstate(all="ignore"):
                    out[inside] += np.asarray(self.law.pdf(t)) / slope
        return out

    def pdf(self, x: Any) -> Any:
        """Density of the continuous part, ``sum rho_Y(t) / |p'(t)|`` over the t with p(t) = x; inf where it diverges."""
        if not self.bounded:
            return super().pdf(x)
        flat, shape = real_points(x)
        out = self._density(flat)
        for i in self._structure[0]:
            for e in (i.left, i.right):
                if e.exponent < 0:
                    out[flat == e.x] = np.inf
        return shaped(out, shape)

    def stieltjes(self, z: Any, dps: int | None = None) -> Any:
        """``g(z) = sum g_Y(t) / p'(t)`` over all t with p(t) = z; with `dps`, or next to a double root, of the Dyson equation.

        Raises
        ------
        OnSpectrum
            If a real z lies in the support.
        """
        if dps is not None:
            return super().stieltjes(z, dps)
        array = complex_points(z, "stieltjes")
        flat = array.ravel()
        if np.any(flat.imag == 0):
            self._refuse_on_spectrum(flat[flat.imag == 0].real)
        degree = len(self._p) - 1
        companion = np.zeros((len(flat), degree, degree), dtype=complex)
        companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1
        companion[:, :, -1] = -self._p[:-1] / self._p[-1]
        companion[:, 0, -1] += flat / self._p[-1]
        t = np.linalg.eigvals(companion)
        for _ in range(_POLISHED):
            with np.errstate(all="ignore"):
                step = (self._at(t) - flat[:, None]) / np.polynomial.polynomial.polyval(t, self._slope)
            t = t - np.where(np.abs(step) <= 1e-6 * np.abs(t), step, 0)
        slope = np.polynomial.polynomial.polyval(t, self._slope)
        # of p(t) - z every root is the limit of one for z above the axis
        t = np.where((flat.imag == 0)[:, None] & (np.abs(t.imag) <= _REAL * np.abs(t)), t.real + 0j, t)
        with np.errstate(all="ignore"):
            terms = np.reshape(self.law.stieltjes(t), t.shape) / slope
            g = terms.sum(axis=1)
        size = np.polynomial.polynomial.polyval(np.abs(t), np.abs(self._slope))
        near = np.min(np.abs(slope) / size, axis=1)
        double = (near < _DOUBLE) & ~(np.abs(g) >= _LOST * np.abs(terms).sum(axis=1)) | (near < _DOUBLE**2)
        if double.any():
            g[double] = super().stieltjes(flat[double])
        return g.reshape(array.shape) if array.ndim else complex(g[0])

    def cdf(self, x: Any) -> Any:
        """``mu((-inf, x])``, atoms included: the mass of Y where p is no more than x."""
        flat, shape = real_points(x)
        _, atoms, _ = self._structure
        return shaped(np.clip(self._below(flat) + sum(a.mass * (flat >= a.x) for a in atoms), 0.0, 1.0), shape)

    def _below(self, x: np.ndarray) -> np.ndarray:
        panels = self.law._structure[2]
        out = np.zeros(x.shape)
        for piece in self._pieces:
            rising = piece.at_high > piece.at_low
            t = self._preimages(np.clip(x, min(piece.at_low, piece.at_high), max(piece.at_low, piece.at_high)), piece)
            t = np.where(x >= max(piece.at_low, piece.at_high), piece.high if rising else piece.low, t)
            t = np.where(x <= min(piece.at_low, piece.at_high), piece.low if rising else piece.high, t)
            start, end = (np.full(t.shape, piece.low), t) if rising else (t, np.full(t.shape, piece.high))
            out += evaluate_cdf(panels, end) - evaluate_cdf(panels, start)
        return out

    def ppf(self, q: Any) -> Any:
        """The smallest x with ``cdf(x) >= q``."""
        flat, shape = probabilities(q)
        intervals, atoms, _ = self._structure
        ends = [*(a.x for a in atoms), *(e.x for i in intervals for e in (i.left, i.right))]
        low, high = np.full(flat.shape, min(ends)), np.full(flat.shape, max(ends))
        total = float(self.cdf(max(ends)))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            reached = np.asarray(self.cdf(middle)) >= flat * total
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        for a in atoms:
            high = np.where(np.abs(high - a.x) <= 1e-14 * (max(ends) - min(ends)), a.x, high)
        high = np.where(flat == 0, min(ends), np.where(flat == 1, max(ends), high))
        return shaped(high, shape)

    def rvs(self, size: Any = None, rng: Any = None) -> Any:
        """Independent draws from the limiting law: p of draws from that of Y."""
        drawn = self._at(np.asarray(self.law.rvs(size, rng)))
        return drawn if drawn.shape else float(drawn)

    def expect(self, f: Any, tol: float = 1e-11) -> Any:
        """``int f dmu``, atoms included, by integration over the law of Y."""
        return self.law.expect(lambda t: on_points(f, self._at(t)), tol) if callable(f) else self.law.expect(f, tol)

    def nodes(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Gauss nodes of Y, moved, and their weights."""
        x, weights = self.law.nodes(level)
        return self._at(x), weights


def _united(pieces: Sequence[Piece], same: float) -> list[Interval]:
    """Intervals of the image, parted where the density diverges or vanishes."""
    spans: list[list[tuple[float, float]]] = [
        sorted([(p.at_low, p.power_low), (p.at_high, p.power_high)]) for p in pieces
    ]
    points: list[float] = []
    for x in sorted(x for span in spans for x, _ in span):
        if not points or x - points[-1] > same:
            points.append(x)
    sides: dict[float, tuple[float | None, float | None]] = {}
    for x in points:
        ending = [e for (_, _), (b, e) in spans if abs(b - x) <= same]
        starting = [e for (a, e), (_, _) in spans if abs(a - x) <= same]
        through = [0.0 for (a, _), (b, _) in spans if a < x - same and b > x + same]
        sides[x] = min(ending + through, default=None), min(starting + through, default=None)
    out: list[Interval] = []
    start: Edge | None = None
    for x in points:
        left, right = sides[x]
        parts = left is not None and right is not None and (min(left, right) < 0 or (left > 0 and right > 0))
        if left is not None and start is not None and (right is None or parts):
            out.append(Interval(start, Edge(x, left)))
            start = None
        if right is not None and start is None:
            start = Edge(x, right)
    return out


def _nearest(x: float, others: Sequence[float], same: float) -> float:
    return next((y for y in others if abs(x - y) <= same), x)


def exactly(coefficients: Sequence[Number], t: float) -> float:
    """p(t), rounded once."""
    total, point = Fraction(0), Fraction(t)
    for c in reversed(coefficients):
        total = total * point + Fraction(c)
    return float(total)


def critical_points(coefficients: Sequence[Number]) -> list[tuple[float, int]]:
    """Real zeros of p' with their multiplicities, by square-free factors over the rationals (Yun's algorithm).

    Examples
    --------
    >>> critical_points((0, 0, 0, 0, 1))
    [(0.0, 3)]
    """
    slope = [k * Fraction(c) for k, c in enumerate(coefficients)][1:]
    found: list[tuple[float, int]] = []
    common = _gcd(slope, _derived(slope))
    rest, _ = _divided(slope, common)
    order = 1
    while len(rest) > 1:
        shared = _gcd(rest, common)
        factor, _ = _divided(rest, shared)
        for root in _real_roots(factor):
            found.append((root, order))
        rest = shared
        common, _ = _divided(common, shared)
        order += 1
    return sorted(found)


def _real_roots(simple: Sequence[Fraction]) -> list[float]:
    if len(simple) < 2:
        return []
    largest = max(map(abs, simple))
    p = np.polynomial.Polynomial([float(c / largest) for c in simple])
    roots = p.roots()
    size = float(np.abs(roots).max())
    out = []
    for start in roots[np.abs(roots.imag) <= _REAL * max(size, 1e-300)].real.tolist():
        root = float(start)
        for _ in range(_POLISHED):
            root -= exactly(simple, root) / (exactly(_derived(simple), root) or np.inf)
        out.append(0.0 if simple[0] == 0 and abs(root) <= _REAL * size else root)
    return out


def _derived(p: Sequence[Fraction]) -> list[Fraction]:
    return [k * c for k, c in enumerate(p)][1:]


def _divided(p: Sequence[Fraction], q: Sequence[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Quotient and remainder."""
    rest, out = list(p), [Fraction(0)] * max(1, len(p) - len(q) + 1)
    while len(rest) >= len(q):
        factor = rest[-1] / q[-1]
        out[len(rest) - len(q)] = factor
        for k, c in enumerate(q):
            rest[len(rest) - len(q) + k] -= factor * c
        rest.pop()
    while rest and rest[-1] == 0:
        rest.pop()
    return out, rest


def _gcd(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
    a, b = list(p), list(q)
    while b:
        a, b = b, _divided(a, b)[1]
    return [c / a[-1] for c in a]
