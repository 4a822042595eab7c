"""Answers that owe nothing to the engine: Wick's theorem by brute force, classical numbers, quadrature, a tiny evaluator.

The brute-force part knows no master theorem. It expands a polynomial program over matrix entries, sums over all pairings of
the Gaussian factors and counts free indices, so that the expected average comes out as a polynomial in 1/n. Its
constant term is the limit.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

# ---------------------------------------------------------------------------------------------
# classical numbers


def catalan(k: int) -> int:
    return math.comb(2 * k, k) // (k + 1)


def narayana_moment(k: int, ratio: Fraction) -> Fraction:
    """lim (1/m) tr (W W^T)^k for W of m rows and n columns, variance 1/n, m/n -> ratio."""
    return sum(
        (Fraction(math.comb(k, j) * math.comb(k, j - 1), k) * ratio ** (j - 1) for j in range(1, k + 1)), Fraction(0)
    )


def fuss_catalan(layers: int, k: int) -> Fraction:
    """lim (1/n) tr (P P^T)^k for a product P of `layers` square Gaussian matrices of variance 1/n."""
    return Fraction(math.comb((layers + 1) * k, k), layers * k + 1)


def double_factorial(k: int) -> int:
    return math.prod(range(k, 0, -2)) if k > 0 else 1


# ---------------------------------------------------------------------------------------------
# Wick's theorem by enumeration


def pairings(items: Sequence[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """All ways to split `items` into pairs."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for k in range(len(rest)):
        for others in pairings(rest[:k] + rest[k + 1 :]):
            yield [(first, rest[k]), *others]


def wick_moment(cov: Sequence[Sequence[Any]], powers: Sequence[int]) -> Any:
    """E prod_i x_i^powers[i] for a centred Gaussian vector: the sum over all pairings."""
    items = [i for i, p in enumerate(powers) for _ in range(p)]
    if len(items) % 2:
        return 0
    return sum(math.prod((cov[a][b] for a, b in pairs), start=Fraction(1)) for pairs in pairings(items))


@dataclass(frozen=True)
class Width:
    name: str
    ratio: Fraction = Fraction(1)


@dataclass(frozen=True)
class Term:
    """coefficient * n^-power * (product of entries), summed over all its indices but `out`.

    An entry is ("W", matrix, row, column) or ("x", source, member, index); `widths` gives the width of every index.
    """

    coefficient: Fraction
    power: int
    entries: tuple[tuple[Any, ...], ...]
    widths: tuple[Width, ...]
    out: int | None

    def shifted(self, by: int) -> tuple[tuple[Any, ...], ...]:
        return tuple((e[0], e[1], e[2] + by, e[3] + by) if e[0] == "W" else (*e[:3], e[3] + by) for e in self.entries)


def _multiply(a: Term, b: Term) -> Term:
    shift = len(a.widths)
    entries, out = b.shifted(shift), None if b.out is None else b.out + shift
    widths = a.widths + b.widths
    if a.out is not None and out is not None:  # one coordinate: glue the two free indices
        glued = {out: a.out}
        entries = tuple(
            (e[0], e[1], glued.get(e[2], e[2]), glued.get(e[3], e[3]))
            if e[0] == "W"
            else (*e[:3], glued.get(e[3], e[3]))
            for e in entries
        )
        return _compact(
            Term(a.coefficient * b.coefficient, a.power + b.power, a.entries + entries, widths, a.out), {out}
        )
    return Term(
        a.coefficient * b.coefficient, a.power + b.power, a.entries + entries, widths, a.out if out is None else out
    )


def _compact(term: Term, dropped: set[int]) -> Term:
    kept = [i for i in range(len(term.widths)) if i not in dropped]
    new = {old: k for k, old in enumerate(kept)}
    entries = tuple((e[0], e[1], new[e[2]], new[e[3]]) if e[0] == "W" else (*e[:3], new[e[3]]) for e in term.entries)
    return Term(term.coefficient, term.power, entries, tuple(term.widths[i] for i in kept), new.get(term.out))


@dataclass(frozen=True)
class Brute:
    """A vector (or scalar, width None) of a polynomial program as a sum of terms; the operators of the language."""

    terms: tuple[Term, ...]
    width: Width | None

    def _as(self, other: Any) -> Brute:
        return other if isinstance(other, Brute) else Brute((Term(Fraction(other), 0, (), (), None),), None)

    def __add__(self, other: Any) -> Brute:
        other = self._as(other)
        width = self.width or other.width
        return Brute(_with_index(self, width) + _with_index(other, width), width)

    __radd__ = __add__

    def __neg__(self) -> Brute:
        return self * -1

    def __sub__(self, other: Any) -> Brute:
        return self + self._as(other) * -1

    def __rsub__(self, other: Any) -> Brute:
        return self._as(other) + self * -1

    def __mul__(self, other: Any) -> Brute:
        other = self._as(other)
        width = self.width or other.width
        return Brute(tuple(_multiply(a, b) for a in self.terms for b in other.terms), width)

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Brute:
        return self * (1 / Fraction(number))

    def __pow__(self, k: int) -> Brute:
        out = self._as(1)
        for _ in range(k):
            out = out * self
        return out if k else Brute(_with_index(out, self.width), self.width)

    def mean(self) -> Brute:
        assert self.width is not None
        ratio = self.width.ratio
        return Brute(
            tuple(Term(t.coefficient / ratio, t.power + 1, t.entries, t.widths, None) for t in self.terms), None
        )


def _with_index(v: Brute, width: Width | None) -> tuple[Term, ...]:
    if width is None:
        return v.terms
    return tuple(
        t if t.out is not None else Term(t.coefficient, t.power, t.entries, (*t.widths, width), len(t.widths))
        for t in v.terms
    )


@dataclass(frozen=True, eq=False)
class BruteMatrix:
    rows: Width
    cols: Width
    variance: Fraction = Fraction(1)
    symmetric: bool = False
    transposed: bool = False
    source: Any = field(default=None)

    def _source(self) -> Any:
        return self if self.source is None else self.source

    @property
    def T(self) -> BruteMatrix:
        return BruteMatrix(self.rows, self.cols, self.variance, self.symmetric, not self.transposed, self._source())

    def __matmul__(self, x: Brute) -> Brute:
        out_width = self.cols if self.transposed else self.rows
        terms = []
        for t in _with_index(x, self.rows if self.transposed else self.cols):
            new = len(t.widths)
            row, col = (t.out, new) if self.transposed else (new, t.out)
            entry = ("W", self._source(), row, col)
            terms.append(Term(t.coefficient, t.power, (*t.entries, entry), (*t.widths, out_width), new))
        return Brute(tuple(terms), out_width)


@dataclass(frozen=True, eq=False)
class BruteGroup:
    mean: tuple[Fraction, ...]
    cov: tuple[tuple[Fraction, ...], ...]


def brute_normal(width: Width, mean: Sequence[Any], cov: Sequence[Sequence[Any]]) -> tuple[Brute, ...]:
    """Jointly Gaussian initial vectors."""
    group = BruteGroup(tuple(map(Fraction, mean)), tuple(tuple(map(Fraction, row)) for row in cov))
    out = []
    for k, mu in enumerate(group.mean):
        terms = [Term(Fraction(1), 0, (("x", group, k, 0),), (width,), 0)]
        if mu:
            terms.append(Term(mu, 0, (), (width,), 0))
        out.append(Brute(tuple(terms), width))
    return tuple(out)


def expectation(scalar: Brute) -> dict[int, Fraction]:
    """E of a scalar at width n, exactly: {k: coefficient of n^k}."""
    total: Counter[int] = Counter()
    for term in scalar.terms:
        for power, value in _expected_term(term).items():
            total[power] += value
    return {power: Fraction(value) for power, value in total.items() if value}


def _expected_term(term: Term) -> dict[int, Fraction]:
    families: dict[int, list[tuple[Any, ...]]] = {}
    for entry in term.entries:
        families.setdefault(id(entry[1]), []).append(entry)
    if any(len(f) % 2 for f in families.values()):
        return {}
    total: Counter[int] = Counter()
    choices = [list(_links(f)) for f in families.values()]
    for choice in itertools.product(*choices):
        coefficient, power = term.coefficient, -term.power
        parent = list(range(len(term.widths)))

        def find(i: int, parent: list[int] = parent) -> int:
            while parent[i] != i:
                i = parent[i]
            return i

        for weight, lost, links in choice:
            coefficient *= weight
            power -= lost
            for a, b in links:
                parent[find(a)] = find(b)
        if not coefficient:
            continue
        for i in range(len(parent)):
            if find(i) == i:
                coefficient *= term.widths[i].ratio
                power += 1
        total[power] += coefficient
    return dict(total)


def _links(family: list[tuple[Any, ...]]) -> Iterator[tuple[Fraction, int, list[tuple[int, int]]]]:
    """Every pairing of the entries of one source: its weight, the powers of 1/n, the indices it identifies."""
    for pairs in pairings(family):
        if family[0][0] == "x":
            group = family[0][1]
            weight = math.prod((group.cov[a[2]][b[2]] for a, b in pairs), start=Fraction(1))
            yield weight, 0, [(a[3], b[3]) for a, b in pairs]
            continue
        matrix = family[0][1]
        weight = (matrix.variance / matrix.cols.ratio) ** len(pairs)
        straight = [[(a[2], b[2]), (a[3], b[3])] for a, b in pairs]
        if not matrix.symmetric:
            yield weight, len(pairs), [link for links in straight for link in links]
            continue
        crossed = [[(a[2], b[3]), (a[3], b[2])] for a, b in pairs]
        for chosen in itertools.product(*zip(straight, crossed, strict=True)):
            yield weight, len(pairs), [link for links in chosen for link in links]


def brute_limit(scalar: Brute) -> Fraction:
    """The limit of E: the constant term; a positive power of n would mean that there is no limit."""
    polynomial = expectation(scalar)
    assert all(power <= 0 for power in polynomial)
    return polynomial.get(0, Fraction(0))


# ---------------------------------------------------------------------------------------------
# Gaussian expectations by mpmath


def gauss(f: Callable[[Any], Any], var: Any = 1, mean: Any = 0, points: Sequence[Any] = (), dps: int = 25) -> Any:
    """E f(mean + sqrt(var) g), g ~ N(0, 1), by mpmath; `points` are the kinks of f."""
    with mpmath.workdps(dps + 10):
        mean, std = mpmath.mpf(mean), mpmath.sqrt(mpmath.mpf(var))
        reach = mpmath.sqrt(2 * mpmath.log(10) * (dps + 10)) + 2
        cuts = [mean - reach * std, mean - 2 * std, mean, mean + 2 * std, mean + reach * std, *map(mpmath.mpf, points)]
        cuts = sorted({c for c in cuts if mean - reach * std <= c <= mean + reach * std})
        density = lambda x: mpmath.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * mpmath.sqrt(2 * mpmath.pi))  # noqa: E731
        return mpmath.quad(lambda x: f(x) * density(x), cuts)


def panels(kinks: Sequence[float], reach: float, order: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Composite Gauss-Legendre nodes and weights on [-reach, reach], split at the kinks."""
    x, w = np.polynomial.legendre.leggauss(order)
    cuts = sorted({-reach, reach, *(float(k) for k in kinks if abs(k) < reach), *np.linspace(-reach, reach, 11)[1:-1]})
    nodes, weights = [], []
    for a, b in itertools.pairwise(cuts):
        nodes.append((a + b) / 2 + (b - a) / 2 * x)
        weights.append((b - a) / 2 * w)
    return np.concatenate(nodes), np.concatenate(weights)


def gauss2(
    f: Callable[[Any, Any], Any],
    cov: Any,
    mean: Any = (0.0, 0.0),
    kink1: Sequence[float] = (),
    kink2: Sequence[float] = (),
) -> float:
    """E f(u, v) for a Gaussian pair, panels split where u (outer) and v (inner) have kinks; 1e-13 for smooth pieces."""
    (a, c), (_, b) = np.asarray(cov, dtype=float)
    s = math.sqrt(a)
    outer, weights = panels([(k - mean[0]) / s for k in kink1], 10.0)
    total, slope, rest = 0.0, c / a, math.sqrt(max(b - c * c / a, 0.0))
    for g, w in zip(outer, weights, strict=True):
        u = mean[0] + s * g
        centre = mean[1] + slope * s * g
        if rest == 0.0:
            inner = f(u, np.array([centre]))[0]
        else:
            h, wh = panels([(k - centre) / rest for k in kink2], 10.0)
            inner = np.sum(wh * np.exp(-h * h / 2) * f(u, centre + rest * h)) / math.sqrt(2 * math.pi)
        total += w * math.exp(-g * g / 2) / math.sqrt(2 * math.pi) * inner
    return float(total)


# ---------------------------------------------------------------------------------------------
# a program on real arrays


def evaluate(program: Any, width: int, rng: np.random.Generator) -> list[Any]:
    """One draw of a lowered program at base width `width`, line by line; one value per output."""
    drawn: dict[int, Any] = {}
    values: list[Any] = []
    for line in program.lines:
        args = [values[a] for a in line.args]
        values.append(_evaluated(line, args, width, rng, drawn))
    return [values[k] for k in program.outputs]


def _evaluated(line: Any, args: list[Any], width: int, rng: np.random.Generator, drawn: dict[int, Any]) -> Any:
    op = line.op
    size = round(float(line.dim.ratio) * width) if line.dim is not None else 0
    match type(op).__name__:
        case "Init":
            source = op.source
            if hasattr(source, "cov"):
                if id(source) not in drawn:
                    cov = np.array([[float(c) for c in row] for row in source.cov])
                    values, vectors = np.linalg.eigh(cov)
                    root = vectors * np.sqrt(np.maximum(values, 0))
                    drawn[id(source)] = rng.standard_normal((size, len(cov))) @ root.T + np.array(
                        source.mean, dtype=float
                    )
                return drawn[id(source)] if op.index is None else drawn[id(source)][:, op.index]
            if hasattr(source, "law"):
                if id(source) not in drawn:
                    drawn[id(source)] = source.law.draw(rng, size)
                return drawn[id(source)]
            return np.full(size, float(source.value))
        case "MatVec":
            matrix = op.matrix
            if id(matrix) not in drawn:
                rows, cols = (round(float(d.ratio) * width) for d in (matrix.rows, matrix.cols))
                entries = rng.standard_normal((rows, cols))
                if matrix.ensemble.symmetric:
                    entries = (entries + entries.T) / math.sqrt(2)
                drawn[id(matrix)] = entries * math.sqrt(float(matrix.ensemble.variance) / cols)
            W = drawn[id(matrix)]
            return (W.T if op.transposed else W) @ args[0]
        case "Average":
            return np.mean(args[0], axis=0)
        case "Parameter":
            return np.asarray(op.value, dtype=float)
        case "Combine":
            return _combined(op, args, line.dim is not None)
    name = op.fn.name
    two = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}
    if name in two:
        return two[name](*args)
    return args[0] ** op.fn.exponent if hasattr(op.fn, "exponent") else op.fn.fn(*args)


def _combined(op: Any, args: list[Any], vector: bool) -> Any:
    shift = int(vector)
    match op.kind:
        case "index":
            index = tuple(slice(*d) if isinstance(d, tuple) else d for d in op.detail)
            return args[0][(slice(None), *index) if vector else index]
        case "sum":
            return np.sum(args[0], axis=op.detail[0] + shift)
        case "matmul":
            return args[0] @ args[1]
        case "transpose":
            return np.transpose(args[0], (0, *(k + 1 for k in op.detail)) if vector else op.detail)
        case "stack":
            return np.stack(args, axis=op.detail[0] + shift)
    raise AssertionError(op.kind)
