"""Exact identities that turn a function of forms into a sum of simpler ones, before any expectation is taken.

``np.where(np.abs(r) > theta, 1, 0)`` is one indicator nested in another function; as ``1(r > theta) + 1(r < -theta)`` it has a
closed form, and no quadrature has to search for its jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .catalogue import ABS, RELU, STEP, STEP_CLOSED, WHERE3
from .ensembles import Number
from .nonlinearity import Nonlinearity
from .normal import ONE, Atoms, Form, Func, add, constant, scale

Apply = Callable[[Nonlinearity, Form], Form]


def simpler(atoms: Atoms, fn: Nonlinearity, args: Sequence[Form]) -> Form | None:
    """fn(args) as a sum of simpler functions, or None if no identity applies."""
    if fn == WHERE3 and args[1].is_constant and args[2].is_constant:  # the condition is 0 or 1
        a, b = args[1].constant, args[2].constant
        return add(constant(b), scale(args[0], a - b))
    if fn in (STEP, STEP_CLOSED, RELU):
        found = _of_absolute_value(atoms, args[0])
        if found is not None:
            return _folded(lambda g, x: atoms.apply(g, (x,)), fn, *found)
    return None


def _of_absolute_value(atoms: Atoms, form: Form) -> tuple[Number, Form, Number] | None:
    """(a, g, b) if the form is a |g| + b."""
    rest = [(mono, c) for mono, c in form.terms.items() if mono != ONE]
    if len(rest) != 1 or len(rest[0][0]) != 1 or rest[0][0][0][1] != 1:
        return None
    atom = atoms.table[rest[0][0][0][0]]
    if not isinstance(atom, Func) or atom.fn != ABS:
        return None
    return rest[0][1], atom.args[0], form.constant


def _folded(apply: Apply, fn: Nonlinearity, a: Number, g: Form, b: Number) -> Form | None:
    """step or relu of a |g| + b."""
    if _all(a > 0) and _all(b <= 0):  # two branches that exclude each other
        return add(*(apply(fn, add(scale(g, s), constant(b))) for s in (a, -a)))
    if _all(a < 0) and _all(b >= 0):  # its complement: f(y) = y 1(y > 0) = y + f(-y)
        other = {STEP: STEP_CLOSED, STEP_CLOSED: STEP}.get(fn, fn)
        sides = [apply(other, add(scale(g, s), constant(-b))) for s in (a, -a)]
        if fn == RELU:
            whole = add(scale(apply(ABS, g), a), constant(b))
            return add(add(whole, sides[0]), sides[1])
        return add(add(constant(1), sides[0], -1), sides[1], -1)
    return None


def _all(condition: Any) -> bool:
    return bool(np.all(condition))
