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
from .laws import Atom
from .nonlinearity import Nonlinearity, Pieces
from .nonlinearity import constant as zero
from .normal import ONE, Atoms, Draw, Form, Func, add, constant, put, scale

Apply = Callable[[Nonlinearity, Form], Form]


def simpler(atoms: Atoms, fn: Nonlinearity, args: Sequence[Form]) -> Form | None:
    """fn(args) as a sum of simpler functions, or None if no identity applies."""
    if fn == WHERE3 and args[1].is_constant and args[2].is_constant:  # the condition is 0 or 1
        a, b = args[1].constant, args[2].constant
        return add(constant(b), scale(args[0], a - b))
    if fn in (STEP, STEP_CLOSED):
        sides = _of_a_draw(atoms, fn, args[0])
        if sides is not None:
            return sides
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


# ---------------------------------------------------------------------------------------------
# indicators of a draw with finitely many values: 1_u 1_v = 0 and 1_v 1_v = 1_v keep products of batches short

_VALUES = 64


def indicator(value: Number) -> Nonlinearity:
    """1(x = value), of a draw from atoms."""
    at = float(value)
    return Nonlinearity(
        name=_NAME,
        fn=lambda x: np.where(np.asarray(x) == at, 1.0, 0.0),
        partials=lambda: (zero(0),),
        pieces=Pieces((value,), ((0,), (0,))),
        params=(value,),
    )


_NAME = "is"


def _of_a_draw(atoms: Atoms, fn: Nonlinearity, form: Form) -> Form | None:
    """A threshold of one draw from finitely many atoms, as the sum of the indicators of the values above it."""
    leaves = atoms.form_leaves(form)
    if len(leaves) != 1 or not isinstance(draw := atoms.table[leaves[0]], Draw):
        return None
    law = draw.source.law
    if len(law.components) > _VALUES or not all(isinstance(part, Atom) for part in law.components):
        return None
    total = Form({})
    one = atoms.form(draw)
    for part in law.components:
        assert isinstance(part, Atom)
        inside = put(atoms, form, leaves[0], part.value)
        if not inside.is_constant or isinstance(inside.constant, np.ndarray):
            return None
        level = float(inside.constant)
        if level > 0 or (level == 0 and fn == STEP_CLOSED):
            total = add(total, atoms.apply(indicator(part.value), (one,)))
    return total


def idempotent(atoms: Atoms, form: Form) -> Form:
    """A form without powers of indicators, nor products of two of one draw."""
    if not any(_is_indicator(atoms, a) for mono in form.terms for a, _ in mono):
        return form
    out = Form({})
    for mono, c in form.terms.items():
        seen: dict[Any, int] = {}
        kept: list[tuple[int, int]] = []
        empty = False
        for a, power in mono:
            if not _is_indicator(atoms, a):
                kept.append((a, power))
                continue
            func = atoms.table[a]
            assert isinstance(func, Func)
            empty = empty or seen.setdefault(func.args[0], a) != a
            kept.append((a, 1))
        if not empty:
            out = add(out, Form({tuple(kept): c}))
    return out


def _is_indicator(atoms: Atoms, a: int) -> bool:
    atom = atoms.table[a]
    return isinstance(atom, Func) and atom.fn.name == _NAME
