"""May W.T be treated as independent of W? The gradient-independence checks, with the lines that break them.

TP II (2006.14548), Condition 1 (Simple GIA Check) and Definition A.3 (BP-like). Where BP-like holds every Z-Dot vanishes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import catalogue as nl
from ..backprop import Use, use_handles
from ..instructions import (
    Apply,
    Arithmetic,
    Combine,
    ConstantSource,
    Init,
    InputMatrix,
    MatVec,
    NormalGroup,
    RandomMatrix,
)
from ..networks.network import Traced, trace
from ..program import Program, lower

_CANDIDATES = 10
_ODD = frozenset(
    {"tanh", "sin", "erf", "arctan", "arcsinh", "sinh", "tan", "arctanh", "arcsin", "sign", "cbrt", "identity"}
)


@dataclass(frozen=True)
class GIAReport:
    """What the checks found.

    Attributes
    ----------
    simple : bool
        The Simple GIA Check holds.
    bp_like : bool
        The gradient program is BP-like: treating W.T as independent gives the right limit. Weaker than `simple`.
    random_readout : bool
        The output is a sum over random weights of its own.
    transposed_forward : bool
        Some matrix and its transpose are both used forward.
    problems : tuple of str
        Which lines break it.
    program : Program
        Forward and backward lines, whose numbers the problems name.
    readout : frozenset
        The sources of the readout weights.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: np.mean(rmtp.networks.dense(rmtp.networks.dense(x, n), n) ** 2)
    >>> print(rmtp.gia_check(net, (1,)))
    gradient independence is not guaranteed
      the readout is not made of random weights of its own: line 5  c5 = mean(v4**2)
      a matrix meets its transpose on a vector that is not odd in the readout weights: line 8  v8 = W1.T @ v7  : n
    """

    simple: bool
    bp_like: bool
    random_readout: bool
    transposed_forward: bool
    problems: tuple[str, ...]
    program: Program
    readout: frozenset[Any]

    def __bool__(self) -> bool:
        return self.bp_like

    def __str__(self) -> str:
        if self.simple:
            return "gradient independence holds (Simple GIA Check)"
        head = "gradient independence holds (BP-like)" if self.bp_like else "gradient independence is not guaranteed"
        return "\n".join([head, *(f"  {p}" for p in self.problems)])


def gia_check(net: Callable[[Any], Any], shape: Sequence[int] = (1,)) -> GIAReport:
    """Whether W.T may be treated as independent of W in the gradient of a network, and which line says no.

    Parameters
    ----------
    net : callable
        A network, as for `ntk`.
    shape : sequence of int
        Of one input.

    Returns
    -------
    GIAReport
        True in a condition if gradient independence holds.

    Notes
    -----
    Sufficient, not necessary. `ntk` gives the right limit either way. TP II (2006.14548), Condition 1, Definition A.3.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> print(rmtp.gia_check(lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, n)))))
    gradient independence holds (Simple GIA Check)
    """
    traced = trace(net, shape)
    return check(traced, traced.gradient.uses)


def check(traced: Traced, uses: Sequence[Use]) -> GIAReport:
    """The checks on a traced network and some uses of its parameters: all for a gradient, none for what goes forward alone."""
    roots: list[Any] = [traced.output.average]
    for use in uses:
        roots += use_handles(use)
    program = lower(roots)
    forward = _forward(program, program.outputs[0])
    readout, problems = _readout(program, forward)
    random = not problems
    both = _both_ways(program, forward)
    problems += [f"a matrix and its transpose are both used forward: {program.where(k)}" for k in both]
    simple = not problems
    broken = _not_bp_like(program, readout)
    problems += [f"{why}: {program.where(k)}" for k, why in broken]
    return GIAReport(simple, not broken, random, bool(both), tuple(problems), program, frozenset(readout))


def _forward(program: Program, root: int) -> list[int]:
    seen: set[int] = set()
    stack = [root]
    while stack:
        k = stack.pop()
        if k not in seen:
            seen.add(k)
            stack.extend(program.lines[k].args)
    return sorted(seen)


def _both_ways(program: Program, lines: Sequence[int]) -> list[int]:
    first: dict[RandomMatrix, bool] = {}
    out = []
    for k in lines:
        op = program.lines[k].op
        if isinstance(op, MatVec):
            if first.setdefault(op.matrix, op.transposed) != op.transposed or (
                op.matrix.ensemble.symmetric and op.matrix in first
            ):
                out.append(k)
    return out


def _readout(program: Program, forward: Sequence[int]) -> tuple[set[Any], list[str]]:
    """The sources of readout weights: centred initial vectors that only multiply the summand of the output."""
    lines = program.lines
    average = forward[-1]
    direct: set[int] = set()  # initial vectors reached from the output by linear maps and products alone
    stack = [lines[average].args[0]]
    inside: set[int] = set()
    while stack:
        k = stack.pop()
        line = lines[k]
        if isinstance(line.op, Init):
            direct.add(k)
        elif isinstance(line.op, Combine) or (isinstance(line.op, Apply) and isinstance(line.op.fn, Arithmetic)):
            inside.add(k)
            stack.extend(a for a in line.args if not lines[a].is_scalar)
    sources: set[Any] = set()
    for k in direct:
        op = lines[k].op
        assert isinstance(op, Init)
        users = [u for u in forward if k in lines[u].args]
        if isinstance(op.source, NormalGroup) and _centred(op.source) and all(u in inside for u in users):
            sources.add(op.source)
    used = {lines[k].op.source for k in forward if isinstance(lines[k].op, Init) and k not in direct}  # type: ignore[union-attr]
    # a linear network is odd in every layer's weights; those that meet the input are the first layer, not the readout
    met = {lines[a].op.source for k in inside for a in lines[k].args if _meets_input(program, k, a)}  # type: ignore[union-attr]
    born = {lines[k].op.source: k for k in sorted(direct, reverse=True)}  # type: ignore[union-attr]
    candidates = sorted(sources - used, key=lambda source: (source in met, born[source]))[:_CANDIDATES]
    root = lines[average].args[0]
    # the fewest vectors in which the summand is odd: in v * (W x + b) v and not b, of v1 * h1 + v2 * h2 both
    for size in range(1, len(candidates) + 1):
        for chosen in itertools.combinations(candidates, size):
            if _parities(program, set(chosen), inside | direct)[root] == "odd":
                return set(chosen), []
    return set(), [f"the readout is not made of random weights of its own: {program.where(average)}"]


def _meets_input(program: Program, k: int, a: int) -> bool:
    line = program.lines[k]
    return isinstance(program.lines[a].op, Init) and any(program.lines[b].is_scalar for b in line.args)


def _centred(group: NormalGroup) -> bool:
    return isinstance(group, InputMatrix) or not any(np.any(np.asarray(m, dtype=float)) for m in group.mean)


def _not_bp_like(program: Program, readout: set[Any]) -> list[tuple[int, str]]:
    """Matrices used in both directions where neither direction is odd in the readout with the other free of it."""
    parity = _parities(program, readout)
    uses: dict[RandomMatrix, dict[bool, list[int]]] = {}
    for k, line in enumerate(program.lines):
        if isinstance(line.op, MatVec):
            uses.setdefault(line.op.matrix, {}).setdefault(line.op.transposed, []).append(k)
    out: list[tuple[int, str]] = []
    for matrix, by in uses.items():
        symmetric = matrix.ensemble.symmetric
        if not symmetric and len(by) < 2:
            continue
        operands = {t: [(k, parity[program.lines[k].args[0]]) for k in ks] for t, ks in by.items()}
        if symmetric:
            everything = [k for ks in by.values() for k in ks]
            if len(everything) > 1:
                out.append((everything[-1], "a symmetric matrix is used more than once"))
            continue
        split = any(
            all(p == "free" for _, p in operands[t]) and all(p == "odd" for _, p in operands[not t])
            for t in (False, True)
        )
        if not split:
            late = [k for ks in operands.values() for k, p in ks if p != "free"] or [
                k for ks in operands.values() for k, _ in ks
            ]
            out.append((max(late), "a matrix meets its transpose on a vector that is not odd in the readout weights"))
    return out


def _parities(program: Program, readout: set[Any], inside: set[int] | None = None) -> list[str]:
    """Per line: "free" of the readout weights, "odd" in them, "even", or "mixed"; lines outside a given set are free."""
    out: list[str] = []
    for number, line in enumerate(program.lines):
        if inside is not None and number not in inside:
            out.append("free")
            continue
        args = [out[a] for a in line.args]
        match line.op:
            case Init(source=ConstantSource()):
                out.append("free")
            case Init(source=source):
                out.append("odd" if source in readout else "free")
            case Apply(fn=Arithmetic(name="multiply" | "divide")):
                out.append(_product(args))
            case Apply(fn=Arithmetic(name="power", exponent=k)):
                out.append(_product(args * k) if k else "free")
            case Combine(kind="matmul"):
                out.append(_product(args))
            case Apply(fn=fn) if not isinstance(fn, Arithmetic):
                out.append(_of_function(fn, args))
            case _:
                out.append(_sum(args))
    return out


def _product(args: list[str]) -> str:
    if "mixed" in args:
        return "mixed"
    odd = args.count("odd") % 2
    return "odd" if odd else "free" if all(a == "free" for a in args) else "even"


def _sum(args: list[str]) -> str:
    kinds = set(args)
    if not kinds:
        return "free"
    if len(kinds) == 1:
        return kinds.pop()
    return "even" if kinds == {"free", "even"} else "mixed"


def _of_function(fn: nl.Nonlinearity, args: list[str]) -> str:
    if all(a == "free" for a in args):
        return "free"
    if all(a in ("free", "even") for a in args):
        return "even"
    return "odd" if args == ["odd"] and fn.name in _ODD else "mixed"
