"""What cancellation makes of a relative error: differences of moments that nearly agree, ``E (h - tanh h)^2`` of a small h.

Kernels of inputs with themselves tell, since errors are relative to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..instructions import Arithmetic
from .pairs import has_closed_form
from .places import Alone, Batch, Values, given_lines, mixed, placed, weighted
from .plan import Expectation, Function, Moment, Ref
from .run import EPS, START, Ready, centred, evaluate, sums_of
from .simplify import Mixed

_QUADRATURE = 1e-12  # what series and panels settle to
_GROWTH = 4.0  # a function like u^2 makes four of a relative error of the variance


def lost(singles: Ready, x: np.ndarray) -> float:
    """The relative error of the outputs of single inputs; 0 where nothing is subtracted."""
    if not singles.subtracts:
        return 0.0
    batch = Batch(singles.plan, x, given_lines(singles.plan, x), {})
    place, values, errors = Alone(batch), batch.values, Values()
    worst = 0.0
    with np.errstate(all="ignore"):
        for k, moment in enumerate(singles.plan.moments):
            values[k] = evaluate(moment, values, place)
            errors[k] = np.broadcast_to(_error(moment, values[k], values, errors, place), values[k].shape)
        for _, ref in singles.plan.outputs:
            value, error = np.abs(place.fetch(ref, values)), place.fetch(ref, errors)
            worst = max(worst, float(np.max(np.where(value > 0, error / value, 0.0), initial=0.0)))
    return worst


def _error(moment: Moment, value: np.ndarray, values: Values, errors: Values, place: Alone) -> np.ndarray:
    """Absolute errors of a moment, entry by entry, from those it is computed from; to first order."""

    def sides(ref: Ref) -> tuple[np.ndarray, np.ndarray]:
        return np.abs(place.fetch(ref, values)), place.fetch(ref, errors)

    match moment.op:
        case Mixed(mixtures=mixtures, terms=terms):
            total: Any = np.zeros((moment.size, 1))
            for m in mixtures:
                size, error = sides(Ref(m.moment, m.side))
                total = total + mixed(abs(m.matrix), error + EPS * size, place.trailing)
            for term in terms:
                factors = [sides(r) for r in term.factors]
                count = moment.size if term.rows is None else len(term.rows)
                part = np.abs(weighted(term.weight, place.trailing)) * np.ones((count, 1)) * _of_product(factors)
                total = total + (part if term.rows is None else placed(part, term.rows, moment.size, place.trailing))
            return np.asarray(total)
        case Function(fn=Arithmetic(name="add" | "subtract"), args=args):
            return np.asarray(sum(error + EPS * size for size, error in map(sides, args)))
        case Function(args=args):
            return np.asarray(np.abs(value) * (START + sum(_relative(error, size) for size, error in map(sides, args))))
        case Expectation() as op:
            return np.asarray(
                np.abs(value) * (_base(op, values, place) + _GROWTH * _of_variances(op, errors, place, values))
            )
    return START * np.abs(value)


def _of_product(factors: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    whole, error = 1.0, EPS
    for size, own in factors:
        whole, error = whole * size, error * size + whole * own  # type: ignore[assignment]
    return error


def _relative(error: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.where(size > 0, error / np.where(size > 0, size, 1.0), 0.0)


def _of_variances(op: Expectation, errors: Values, place: Alone, values: Values) -> Any:
    """The relative error of the variances, their means taken off."""
    worst: Any = 0.0
    second = centred(op, values, place)
    for (i, j), ref in op.covariances:
        if i == j:
            mean, error = op.means[i], place.fetch(ref, errors)
            if mean is not None:
                error = error + 2 * np.abs(place.fetch(mean, values)) * place.fetch(mean, errors)
            worst = np.maximum(worst, _relative(error, second[i, j]))
    return worst


def _base(op: Expectation, values: Values, place: Alone) -> float:
    """The relative error of an expectation whose variances are exact."""
    base = START if has_closed_form(op.functions, op.means) else _QUADRATURE
    refs = dict(op.covariances)
    for k, side in enumerate(op.functions):
        for formula in sums_of(side):
            std = np.sqrt(np.max(place.fetch(refs[k, k], values), initial=0.0, axis=-1)).ravel()
            low = np.sqrt(np.min(place.fetch(refs[k, k], values), initial=np.inf, axis=-1)).ravel()
            x = np.concatenate([-std, std, -low, low])
            value, size = np.abs(formula(x)), formula.size(x)
            base += EPS * float(np.max(_relative(size, value), initial=0.0))
    return base
