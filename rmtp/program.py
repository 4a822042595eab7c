"""The program: instructions in static single assignment form.

A handle graph (see `handles`) is lowered to a `Program`, a tuple of `Line`s in which every line uses earlier
lines only and equal lines are one line. Lowering walks the graph with an explicit stack, so that programs of 10^4 lines need no
recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .arguments import shown
from .ensembles import Dim
from .errors import BadParameter, CyclicProgram, DimensionMismatch
from .instructions import Apply, Combine, Init, Line, MatVec
from .printing import line_text, program_latex, program_text


@dataclass(frozen=True)
class Program:
    """Lines in an order in which every line uses earlier ones only, and which of them were asked for.

    Attributes
    ----------
    lines : tuple of Line
    outputs : tuple of int
        Line numbers of what was asked for.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    >>> print(rmtp.program(np.mean(np.tanh(W @ x) ** 2)))
    program over n
       1  x = N(0, 1)  : n
       2  v2 = W @ x  : n
       3  c3 = mean(tanh(v2)**2)
    """

    lines: tuple[Line, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        for number, line in enumerate(self.lines):
            if any(not 0 <= arg < number for arg in line.args):
                raise CyclicProgram(
                    f"line {number} uses {line.args}, which are not all earlier lines",
                    remedy="a tensor program is a straight line; unroll the loop",
                )

        if any(not 0 <= number < len(self.lines) for number in self.outputs):
            raise BadParameter(f"outputs {self.outputs} of {len(self.lines)} lines", remedy="name lines that exist")

    def __str__(self) -> str:
        return program_text(self)

    def latex(self) -> str:
        """The program as a LaTeX align* environment."""
        return program_latex(self)

    def where(self, number: int) -> str:
        """How an error names a line."""
        return line_text(self, number)

    def dims(self) -> tuple[Dim, ...]:
        """The widths, in order of appearance."""
        seen: dict[Dim, None] = {}
        for line in self.lines:
            if line.dim is not None:
                seen.setdefault(line.dim)
        return tuple(seen)


def lower(handles: Sequence[Any]) -> Program:
    """The program that computes `handles`: topological order by an explicit stack, equal lines interned.

    Raises
    ------
    CyclicProgram
        If a handle is its own ancestor.
    DimensionMismatch
        If one name stands for two widths.
    """
    number: dict[int, int] = {}  # id(handle) -> line
    interned: dict[tuple[Any, ...], int] = {}
    lines: list[Line] = []
    open_: set[int] = set()
    for root in handles:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in number:
                continue
            if not ready:
                if id(node) in open_:
                    raise CyclicProgram(
                        "a handle is its own ancestor", remedy="a tensor program is a straight line; unroll the loop"
                    )
                open_.add(id(node))
                stack.append((node, True))
                stack.extend((parent, False) for parent in reversed(node.args) if id(parent) not in number)
                continue
            open_.discard(id(node))
            args = tuple(number[id(parent)] for parent in node.args)
            key = (node.op, args)
            if key not in interned:
                interned[key] = len(lines)
                lines.append(Line(node.op, args, node.dim, node.axes, node.name))
            number[id(node)] = interned[key]
    program = Program(tuple(lines), tuple(number[id(root)] for root in handles))
    by_name: dict[str, Dim] = {}
    for dim in program.dims():
        if by_name.setdefault(dim.name, dim) != dim:
            raise DimensionMismatch(
                f"two widths are called {dim.name!r}: ratios {by_name[dim.name].ratio} and {dim.ratio}",
                remedy="give them different names",
            )
    return program


# ---------------------------------------------------------------------------------------------
# common dimension classes


def width_classes(program: Program) -> tuple[tuple[int, ...], ...]:
    """The common dimension classes that the instructions alone force (TP III, Definition F.3).

    The smallest equivalence in which the arguments of one function agree, and the two ends of a matrix agree
    with every vector it multiplies or makes. Declared widths may be coarser, never finer.

    Parameters
    ----------
    program : Program

    Returns
    -------
    tuple of tuples of line numbers
        Vector lines only, each class in program order.

    Examples
    --------
    >>> import rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    >>> len(rmtp.width_classes(rmtp.program(W @ x)))      # n x n by declaration, not by necessity
    2
    >>> len(rmtp.width_classes(rmtp.program(W @ (W @ x))))
    1
    """
    if not isinstance(program, Program):
        raise BadParameter(f"program={shown(program)}", remedy="rmtp.program(expression)")
    parent: dict[Any, Any] = {}

    def find(item: Any) -> Any:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def unite(items: Iterable[Any]) -> None:
        first, *rest = (find(i) for i in items)
        for other in rest:
            parent[find(other)] = find(first)

    for number, line in enumerate(program.lines):
        vectors = [a for a in line.args if not program.lines[a].is_scalar]
        match line.op:
            case Init(source=source):
                unite([number, ("group", id(source))])
            case MatVec(matrix=matrix, transposed=transposed):
                left, right = ("rows", id(matrix)), ("cols", id(matrix))
                if matrix.ensemble.symmetric:
                    unite([left, right])
                out, into = (right, left) if transposed else (left, right)
                unite([number, out])
                unite([vectors[0], into])
            case Apply() | Combine() if not line.is_scalar:
                unite([number, *vectors])
    classes: dict[Any, list[int]] = {}
    for number, line in enumerate(program.lines):
        if not line.is_scalar:
            classes.setdefault(find(number), []).append(number)
    return tuple(tuple(members) for members in classes.values())
