"""Free arithmetic of laws: sums and products of free matrices, as expressions in rotation-invariant ones."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..ensembles import Dim
from ..errors import BadParameter
from ..instructions import RandomMatrix
from ..laws import CoordinateLaw
from ..matrices import Expression, Matrix, Product, Total, eye
from ..matrixlaws import Invariant
from .law import Law
from .spectral import SingularLaw, SpectralLaw


def as_law(value: Any) -> Law:
    """A `Law` as it is; atoms and coordinate laws as the law of an invariant matrix with these eigenvalues."""
    if isinstance(value, Law):
        return value
    return SpectralLaw(Invariant(Dim("n"), value))


def free_sum(parts: list[Any]) -> Law:
    """The law of a sum of free matrices with these laws; a number is a shift."""
    laws: list[Law] = []
    shift: Any = 0
    for part in parts:
        if isinstance(part, int | float | Fraction):
            shift = shift + part
            continue
        law = as_law(part)
        laws.extend(law.summands if isinstance(law, SpectralLaw) and law.summands else [law])
    n = Dim("n")
    expression: Expression = Invariant(n, laws[0])
    for law in laws[1:]:
        expression = expression + Invariant(n, law)
    if shift != 0:
        only = laws[0] if len(laws) == 1 else None
        if isinstance(only, SpectralLaw) and len(only.expression.left) == 1:
            return SpectralLaw(only.expression + shift * eye(only.expression.left[0]))
        return SpectralLaw(expression + shift * eye(n))
    return SpectralLaw(expression, tuple(laws))


def free_product(law: Law, other: Any) -> Law:
    """The law of A B with A and B free and one of them positive; a number is a scale."""
    if isinstance(other, int | float | Fraction):
        if isinstance(law, SingularLaw):
            if other < 0:
                raise BadParameter(f"singular values times {other}", remedy="a factor >= 0")
            return SingularLaw(law.expression * other, SpectralLaw(law.square.expression * other**2))
        assert isinstance(law, SpectralLaw)
        return SpectralLaw(law.expression * other)
    second = as_law(other)
    if not (_positive(law) or _positive(second)):
        raise BadParameter(
            "a free product of two laws that both have negative values is no law on the line",
            where=f"{law!r} * {second!r}",
            remedy="one of the two on [0, inf)",
        )
    n = Dim("n")
    return SpectralLaw(Invariant(n, law) @ Invariant(n, second), factors=(law, second))


@dataclass(frozen=True)
class _Values:
    """A law that is known by its values only."""

    law: Law

    def moment(self, k: int) -> Any:
        return self.law.moment(k)

    def ppf(self, q: Any) -> Any:
        return self.law.ppf(q)

    def support(self) -> Any:
        return self.law.support()

    def nodes(self, level: int) -> Any:
        return self.law.nodes(level)


def apart(law: SpectralLaw) -> tuple[Expression, list[RandomMatrix]]:
    """A free sum or product with one matrix per summand or factor, none replaced by what has its law; and the matrices."""
    n = law.expression.left[0]
    matrices = [Invariant(n, _values(part)) for part in law.summands or law.factors]
    whole = Product(tuple(matrices)) if law.factors else Total(tuple((1, m) for m in matrices))
    return whole, [m.source for m in matrices]


def _values(law: Law) -> Any:
    match getattr(law, "expression", None):
        case Matrix(source=source) if source.ensemble.symmetric and isinstance(source.ensemble.law, CoordinateLaw):
            return source.ensemble.law
    return _Values(law)


def _positive(law: Law) -> bool:
    return all(a >= 0 for a, _ in law.support()) and all(a.x >= 0 for a in law.atoms)
