"""Kernels of networks as a recursion in the depth: NNGP and tangent kernel of two inputs known by their inner products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backprop import MatrixUse, Use, VectorUse, backprop, use_handles
from ..ensembles import Dim
from ..errors import BadParameter, UnsupportedOperation
from ..handles import Node, Vector, parameter
from ..instructions import NormalGroup
from ..kernels.tangent import metric
from ..language import Normal
from ..networks.layers import Output
from ..quantity import symbol
from .iterations import REPEATS, Recursion, recursion

KERNELS = ("K11", "K12", "K22")


def derive_kernel(net: Callable[[int], Callable[[Any], Output]], *, tangent: bool = True, depth: int = 4) -> Recursion:
    """The kernels of a family of networks as a recursion in the depth.

    Law: the NNGP kernel is E y y' of the readout; the tangent kernel (of sigma omega, omega ~ N(0, 1) is trained) is the
    sum over uses of parameters of E of products of gradients.

    Parameters
    ----------
    net : callable
        ``net(l)`` is the network with l hidden layers, for l = 1, 2, ..; it must act on vectors, so that the inputs are known
        by x . x' / d alone, the symbols x11, x12, x22.
    tangent : bool
        The tangent kernel too.
    depth : int
        How many depths are compared, at least 3.

    Returns
    -------
    Recursion
        In t, the number of hidden layers: K11, K12, K22, and ntk of the pair. At t = 0 they are the inputs'.

    Raises
    ------
    BadParameter
        If a network does not end in `readout`.
    UnsupportedOperation
        For parameters that are neither Gaussian matrices nor normal vectors.

    Notes
    -----
    Exact. Lee et al. 2018 (1711.00165), equations (4) and (5); Jacot, Gabriel & Hongler 2018 (1806.07572), theorem 1.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> width, s, b = rmtp.Dim("n"), rmtp.symbol("sigma"), rmtp.symbol("beta")
    >>> found = rmtp.derive_kernel(lambda l: rmtp.networks.mlp(width, l, np.sin, s, b))
    >>> print(found)
    K11_0 = x11
    K12_0 = x12
    ntk_0 = x12
    K22_0 = x22
    for t = 0, 1, ..
      G_t ~ N(0, K11_t*sigma**2 + beta**2)
      K11_{t+1} = E[sin(G_t)**2]
      Cov(G_t, H_t) = K12_t*sigma**2 + beta**2
      H_t ~ N(0, K22_t*sigma**2 + beta**2)
      K12_{t+1} = E[sin(G_t)*sin(H_t)]
      K22_{t+1} = E[sin(H_t)**2]
      q_t = E[cos(G_t)*cos(H_t)]
      ntk_{t+1} = K12_{t+1} + beta**2*q_t + ntk_t*q_t*sigma**2
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < REPEATS + 1:
        raise BadParameter(
            f"depth={depth!r}", remedy=f"an int >= {REPEATS + 1}: layers are found to repeat by comparison"
        )
    n = Dim("n_in")
    x11, x12, x22 = (symbol(name, positive=name != "x12") for name in ("x11", "x12", "x22"))
    first, other = Normal(n, mean=(0, 0), cov=[[x11, x12], [x12, x22]], name=("x", "x'"))
    titles = [*KERNELS, "ntk"] if tangent else list(KERNELS)
    start = [parameter(x) for x in (x11, x12, x22, x12)][: len(titles)]
    handles = start + [h for k in range(1, depth + 1) for h in _kernels(net(k), first, other, tangent)]
    names = [f"{title}_{k}" for k in range(depth + 1) for title in titles]
    return recursion("kernels", handles, names, titles, depth)


def _kernels(network: Callable[[Any], Output], x: Vector, other: Vector, tangent: bool) -> list[Any]:
    output = network(x)
    if not isinstance(output, Output):
        raise BadParameter(f"the network returned {type(output).__name__}", remedy="end with rmtp.readout(h)")
    (y,) = output.average.args
    swap = _Swapped(x, other)
    z = swap(y)
    b2 = output.bias_variance
    out = [np.mean(f * g) if b2 == 0 else np.mean(f * g) + b2 for f, g in ((y, y), (y, z), (z, z))]
    if tangent:
        total: Any = b2
        uses = [u for u in backprop(output.average).uses if not (isinstance(u, VectorUse) and u.source is x.op.source)]  # type: ignore[union-attr]
        for use in uses:
            for partner in uses:
                total = total + _term(use, partner, swap)
        out.append(total)
    return out


def _term(use: Use, partner: Use, swap: _Swapped) -> Any:
    """The part of the sum over uses that a pair of uses of one parameter makes."""
    match use, partner:
        case MatrixUse(matrix=matrix), MatrixUse() if partner.matrix is matrix:
            pairs = zip(use_handles(use), use_handles(partner), strict=True)
            a, b = (np.mean(f * swap(g)) for f, g in pairs)
            return metric(matrix, "ntk", frozenset()) * a * b
        case VectorUse(source=NormalGroup() as group, index=i), VectorUse(index=j) if partner.source is group:
            if i is None or j is None:
                raise UnsupportedOperation("the tangent kernel of weights along a finite axis", remedy="rmtp.ntk")
            return metric(group, "ntk", frozenset(), (i, j)) * np.mean(use.gradient * swap(partner.gradient))
    return 0


class _Swapped:
    """The same handles of another input."""

    def __init__(self, old: Node, new: Node) -> None:
        self._known: dict[int, Any] = {id(old): new}
        self._kept: list[Node] = [old]

    def __call__(self, handle: Any) -> Any:
        stack = [handle]
        while stack:
            node = stack[-1]
            missing = [a for a in node.args if id(a) not in self._known]
            if id(node) in self._known:
                stack.pop()
            elif missing:
                stack.extend(missing)
            else:
                args = tuple(self._known[id(a)] for a in node.args)
                same = all(a is b for a, b in zip(args, node.args, strict=True))
                self._known[id(node)] = node if same else type(node)(node.op, args, node.dim, node.axes, "")
                self._kept.append(node)
                stack.pop()
        return self._known[id(handle)]
