"""What an algorithm may look at: the data, and nothing behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import BadParameter
from ..handles import Node, Vector
from ..matrices import Expression, Matrix


class Observed(Expression):
    """A matrix expression whose products hide what they are made of: a spike is in Y, but only ``Y @ x`` is seen.

    Parameters
    ----------
    inner : Expression
    products : dict, optional
        id of a product -> (product, the vector that was multiplied); shared with the transpose.
    """

    __slots__ = ("inner", "products")

    def __init__(self, inner: Expression, products: dict[int, tuple[Node, Node]] | None = None) -> None:
        self.inner, self.left, self.right = inner, inner.left, inner.right
        self.products = {} if products is None else products

    @property
    def T(self) -> Expression:
        return Observed(self.inner.T, self.products)

    def applied(self, x: tuple[Vector, ...]) -> tuple[Vector, ...]:
        out = self.inner.applied(x)
        for image in out:
            self.products[id(image)] = (image, x[0])
        return out

    def _text(self) -> str:
        return repr(self.inner)


def shown(matrix: Expression) -> tuple[Any, dict[int, tuple[Node, Node]]]:
    """The matrix as an algorithm sees it, and the record of its products; a plain random matrix has nothing to hide."""
    if isinstance(matrix, Matrix):
        return matrix, {}
    seen = Observed(matrix)
    return seen, seen.products


def check_unseen(
    iterates: Iterable[Node], signal: Node, given: Iterable[Node], products: dict[int, tuple[Node, Node]]
) -> None:
    """Raise if an iterate knows the signal otherwise than through what was given and the products with the matrix.

    Raises
    ------
    BadParameter
    """
    hidden = {id(signal), *(id(a) for a in signal.args)} - {id(g) for g in given}
    done = {id(g) for g in given}
    for t, iterate in enumerate(iterates):
        stack: list[Node] = [iterate]
        while stack:
            node = stack.pop()
            if id(node) in done:
                continue
            done.add(id(node))
            if id(node) in hidden:
                raise BadParameter(
                    f"the algorithm reads the signal itself: estimate {t} depends on {signal!r} beside the data",
                    remedy="use only the arguments of the algorithm; side information is rmtp.amp.informed_start(problem, a)",
                )
            stack.extend([products[id(node)][1]] if id(node) in products else node.args)
