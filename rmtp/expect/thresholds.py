"""A draw that is only asked on which side of a threshold it lies is integrated by its distribution function.

``y = sign(z + w)`` with logistic w has two values; given z they have the probabilities F(z) and 1 - F(z), so a monomial in
functions of y is a sum of two monomials without w, and one dimension less.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..catalogue import SIGN, STEP, STEP_CLOSED
from ..laws import Continuous
from ..nonlinearity import Nonlinearity
from ..normal import Atoms, Draw, Form, Func, Mono, add, constant, put, times


def resolved(atoms: Atoms, mono: Mono) -> Form | None:
    """The monomial with its first draw of this kind integrated out, or None if there is none."""
    closure = atoms.closure(a for a, _ in mono)
    direct = {a for a, _ in mono}
    for d in closure:
        atom = atoms.table[d]
        if not isinstance(atom, Draw) or d in direct or len(atom.source.law.components) != 1:
            continue
        (part,) = atom.source.law.components
        users = [a for a in closure if isinstance(atoms.table[a], Func) and _holds(atoms.table[a], d)]
        if len(users) != 1 or not isinstance(part, Continuous):
            continue
        func = atoms.table[users[0]]
        assert isinstance(func, Func)
        found = _threshold(func, d)
        if found is not None:
            above = _upper_tail(part, found[0])
            share = atoms.apply(above, (found[1],))
            high, low = _sides(func.fn)
            return add(
                times(put(atoms, Form({mono: 1}), users[0], high), share),
                times(put(atoms, Form({mono: 1}), users[0], low), add(constant(1), share, -1)),
            )
    return None


def _holds(func: Any, draw: int) -> bool:
    return any(a == draw for arg in func.args for m in arg.terms for a, _ in m)


def _threshold(func: Func, draw: int) -> tuple[float, Form] | None:
    """(c, g) if the function is a threshold of c * draw + g with a plain number c."""
    if func.fn not in (SIGN, STEP, STEP_CLOSED):
        return None
    (arg,) = func.args
    slope = arg.terms.get(((draw, 1),))
    rest = Form({m: c for m, c in arg.terms.items() if m != ((draw, 1),)})
    if slope is None or isinstance(slope, np.ndarray) or any(a == draw for m in rest.terms for a, _ in m):
        return None
    return float(slope), rest


def _upper_tail(part: Continuous, slope: float) -> Nonlinearity:
    """P(slope * w + g > 0) as a function of g."""
    law, sign = part.frozen, np.sign(slope)
    tail = law.sf if slope > 0 else law.cdf

    def density(g: Any) -> Any:
        return law.pdf(-g / slope) / abs(slope)

    bell = Nonlinearity(name="density", fn=density, params=(law, slope))
    return Nonlinearity(
        name="tail",
        fn=lambda g: tail(-g / slope),
        partials=lambda: (bell,),
        params=(law, slope, sign),
    )


def _sides(fn: Nonlinearity) -> tuple[int, int]:
    return (1, -1) if fn == SIGN else (1, 0)
