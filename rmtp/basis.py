"""A basis of the forms that one matrix is applied to, in echelon form.

Every element has a pivot, a monomial with coefficient 1 that no later element contains. A new form is reduced by the
elements there are; what remains is one new element. So a matrix used k times has at most k hats, and forms that depend
linearly on earlier ones have none of their own.
"""

from __future__ import annotations

import heapq
import operator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .ensembles import Number
from .normal import Form, Mono, add, is_zero
from .quantity import Quantity

NEGLIGIBLE = 1e-12  # what reduction leaves of a monomial, relative to what met there, when only rounding is left


@dataclass
class Echelon:
    """Basis elements with their pivots."""

    elements: list[Form] = field(default_factory=list)
    pivots: list[Mono] = field(default_factory=list)
    _index: dict[Mono, int] = field(default_factory=dict)

    def coordinates(self, form: Form) -> list[tuple[int, Number]]:
        """form = sum_k c_k elements[k], extending the basis where needed."""
        out: dict[int, Number] = {}
        peak: dict[Mono, float] = {}  # the largest term that met in a monomial: what is left is measured by it
        rest = form
        queue = [self._index[m] for m in rest.terms if m in self._index]
        heapq.heapify(queue)
        done = -1
        while queue:
            k = heapq.heappop(queue)
            if k <= done:
                continue
            done = k
            element = self.elements[k]
            factor = rest.terms.get(self.pivots[k])
            if factor is None or is_zero(factor):
                continue
            out[k] = factor
            for mono, c in element.terms.items():
                peak[mono] = max(peak.get(mono, 0.0), _size(rest.terms.get(mono, 0)), _size(c * factor))
            rest = add(rest, element, -factor)
            for mono in element.terms:
                later = self._index.get(mono, -1)
                if later > k:
                    heapq.heappush(queue, later)
        rest = Form({m: c for m, c in rest.terms.items() if not _negligible(c, peak.get(m, 0.0))})
        for pivot, element, factor in _normalised(rest):
            k = self._index[pivot] = len(self.elements)
            self.elements.append(element)
            self.pivots.append(pivot)
            out[k] = factor
        return list(out.items())


def _size(c: Number) -> float:
    if isinstance(c, Quantity):
        return 1.0
    return float(np.max(np.abs(np.asarray(c, dtype=float))))


def _least(c: Number) -> float:
    """The smallest size over a sweep. A symbol is no pivot while there is a number: elements stay polynomials."""
    return 1e-300 if isinstance(c, Quantity) else float(np.min(np.abs(np.asarray(c, dtype=float))))


def _negligible(c: Number, peak: float) -> bool:
    return isinstance(c, float | np.ndarray) and _size(c) <= NEGLIGIBLE * peak


def _normalised(rest: Form) -> list[tuple[Mono, Form, Number]]:
    """Pivot, element and factor: the remainder over its largest coefficient.

    Over a sweep in which every coefficient vanishes somewhere, each monomial is an element.
    """
    if not rest.terms:
        return []
    smallest = {m: _least(c) for m, c in rest.terms.items()}
    pivot = max(smallest, key=lambda m: smallest[m])
    if smallest[pivot] == 0.0:
        return [(m, Form({m: 1}), c) for m, c in rest.terms.items()]
    factor = rest.terms[pivot]
    # int / int would be a float, and a Fraction beside mpf's is a number of another ring
    divided = Fraction if isinstance(factor, int) else operator.truediv
    others = {m: divided(c, factor) if isinstance(c, int) else c / factor for m, c in rest.terms.items() if m != pivot}
    return [(pivot, Form({pivot: 1, **others}), factor)]
