"""Lowering a program of 10^4 instructions to lines, against the topological sort of the standard library."""

from __future__ import annotations

from graphlib import TopologicalSorter

import numpy as np
from common import script, seconds, table

import rmtp

STEPS = 5000


def build() -> rmtp.Scalar:
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    for _ in range(STEPS):
        x = np.tanh(W @ x)
    return np.mean(x)


def sort(root: rmtp.Scalar) -> list[int]:
    """The same graph in topological order, without making equal lines one line."""
    graph, stack = {}, [root]
    while stack:
        node = stack.pop()
        if id(node) not in graph:
            graph[id(node)] = [id(parent) for parent in node.args]
            stack.extend(node.args)
    return list(TopologicalSorter(graph).static_order())


def main(quick: bool = False) -> str:
    repeats = 1 if quick else 5
    writing, root = seconds(build, repeats)
    lowering, program = seconds(lambda: rmtp.program(root), repeats)
    sorting, order = seconds(lambda: sort(root), repeats)
    printing, _ = seconds(lambda: str(program), repeats)
    assert len(order) == len(program.lines)
    rows = [
        ("`rmtp.program`: lower, intern and check", lowering, f"{len(program.lines)} lines"),
        ("`graphlib.TopologicalSorter`", sorting, "order only"),
        ("writing the program in NumPy notation", writing, f"{STEPS} times `x = np.tanh(W @ x)`"),
        ("printing it as numbered lines", printing, ""),
    ]
    return table("Lowering 10^4 instructions", rows)


if __name__ == "__main__":
    script(main, __doc__)
