"""Which integrands have a closed form: the bridge from the cut to `closed`.

Each rule is tried on one `Integrand`; None means that it does not apply. Rational data stay rational.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ..ensembles import Number
from ..nonlinearity import Pieces
from ..normal import evaluate, is_zero
from ..ring import as_number
from . import closed, hermite, pieces, piecewise
from .integrand import CovOf, Integrand, Linear
from .wick import conditional_polynomial

Rule = Callable[[Integrand, CovOf], Number | None]


def is_rational(value: Number) -> bool:
    return isinstance(value, int | Fraction)


def closed_form(made: Integrand, cov: CovOf) -> Number | None:
    """E of an integrand (weight excluded) in closed form, or None."""
    if made.continuous or made.node_var or any(number not in made.calls for number, _ in made.factors):
        return None
    nested = any(arg.rest for _, args in made.calls.values() for arg in args)
    for rule in (_piecewise_floats,) if nested else (_constants, _piecewise, _piecewise_floats, _single, _pair, _stein):
        value = rule(made, cov)
        if value is not None:
            return value
    return None


def _constants(made: Integrand, cov: CovOf) -> Number | None:
    """Functions of numbers only: arguments without variables, or with variables that vanish identically."""
    if made.gauss or any(not is_zero(made.variance(cov, i)) for i in range(len(made.variables))):
        return None
    total: Number = 1
    values = {number: evaluate(fn, *(arg.const for arg in args)) for number, (fn, args) in made.calls.items()}
    for number, power in made.factors:
        total = total * values[number] ** power
    return total


def _ratio(u: Linear, v: Linear) -> Number | None:
    """c with v = c u, if there is one."""
    if len(u) != len(v) or any(a != b for (a, _), (b, _) in zip(u, v, strict=True)):
        return None
    if any(isinstance(c, np.ndarray) for _, c in (*u, *v)):
        return 1 if all(np.array_equal(c, d) for (_, c), (_, d) in zip(u, v, strict=True)) else None
    factors = {
        Fraction(d, c) if is_rational(c) and is_rational(d) else d / c for (_, c), (_, d) in zip(u, v, strict=True)
    }
    return factors.pop() if len(factors) == 1 else None


def _piecewise(made: Integrand, cov: CovOf) -> Number | None:
    """Piecewise polynomials of one Gaussian, times Gaussian factors regressed on it, in rationals."""
    if not made.variables or any(fn.arity != 1 or fn.pieces is None for fn, _ in made.calls.values()):
        return None
    if not all(is_rational(args[0].const) for _, args in made.calls.values()):
        return None
    base, variance = made.variables[0], made.variance(cov, 0)
    if not is_rational(variance) or variance == 0:
        return None  # a number: only the function itself knows its value at a break
    product = Pieces((), ((1,),))
    for number, power in made.factors:
        fn, (arg,) = made.calls[number]
        assert fn.pieces is not None
        slope = None if arg.var is None else _ratio(base, made.variables[arg.var])
        if slope is None or not is_rational(slope):
            return None
        piece = pieces.shift_scale_pieces(pieces.pieces_power(fn.pieces, power), slope, arg.const)
        product = pieces.multiply_pieces(product, piece)
    polynomial = _regressed(made, cov, base, variance)
    if not all(is_rational(c) for c in polynomial):
        return None
    return pieces.piecewise_poly_exact(pieces.multiply_pieces(product, Pieces((), (tuple(polynomial),))), 0, variance)


def _regressed(made: Integrand, cov: CovOf, base: Linear, variance: Number) -> list[Number]:
    """The Gaussian factors as a polynomial in the base variable."""
    if not made.gauss:
        return [1]
    gauss: list[Linear] = [((a, 1),) for a, _ in made.gauss]
    with_base = [made.linear_cov(cov, g, base) for g in gauss]
    slopes = [_divide(c, variance) for c in with_base]
    residual = [
        [made.linear_cov(cov, g, h) - s * c for h, c in zip(gauss, with_base, strict=True)]
        for g, s in zip(gauss, slopes, strict=True)
    ]
    return conditional_polynomial([p for _, p in made.gauss], slopes, residual)


def _piecewise_floats(made: Integrand, cov: CovOf) -> Number | None:
    """The same in floats, over a batch, functions of functions included."""
    if not made.variables or any(fn.arity != 1 or fn.pieces is None for fn, _ in made.calls.values()):
        return None
    base, variance = made.variables[0], made.variance(cov, 0)
    slopes = [_ratio(base, v) for v in made.variables]
    if any(s is None for s in slopes) or not np.all(np.asarray(variance, dtype=float) > 0):
        return None
    nodes: dict[int, piecewise.Piecewise] = {}
    try:
        for number in made.order:
            fn, (arg,) = made.calls[number]
            slope = 0.0 if arg.var is None else _float(slopes[arg.var])
            inner = piecewise.linear(_float(arg.const), slope)
            for coefficient, mono in arg.rest:
                term = piecewise.linear(1.0, 0.0)
                for a, power in mono:
                    if a not in nodes:
                        return None
                    for _ in range(power):
                        term = piecewise.multiply(term, nodes[a])
                inner = piecewise.add(inner, term, _float(coefficient))
            composed = piecewise.compose(fn, inner)
            if composed is None:
                return None
            nodes[number] = composed
        polynomial = tuple(_float(c) for c in _regressed(made, cov, base, variance))
        total = piecewise.Piecewise((), (polynomial,))
        for number, power in made.factors:
            for _ in range(power):
                total = piecewise.multiply(total, nodes[number])
        value = piecewise.expectation(total, _float(variance))
    except piecewise.Crossing:
        return None
    return None if value is None else as_number(value)


def _divide(a: Number, b: Number) -> Number:
    if isinstance(b, np.ndarray):
        b = np.where(b == 0, 1.0, b)  # the covariance vanishes with the variance
    return Fraction(a) / b if isinstance(a, int) else a / b


def _float(value: Number) -> Number:
    return np.asarray(value, dtype=float) if isinstance(value, np.ndarray) else float(value)


def _result(value: Number | None) -> Number | None:
    return None if value is None else as_number(value)


def _single(made: Integrand, cov: CovOf) -> Number | None:
    """E phi(u) for a Gaussian u of any mean."""
    if made.gauss or len(made.factors) != 1 or made.factors[0][1] != 1:
        return None
    fn, args = made.calls[made.factors[0][0]]
    if fn.arity != 1:
        return None
    return _result(closed.single(fn, _float(args[0].const), _float(made.variance(cov, 0))))


def _pair(made: Integrand, cov: CovOf) -> Number | None:
    """E phi(u) psi(v) for centred u, v."""
    if made.gauss or sum(power for _, power in made.factors) != 2:
        return None
    members = [number for number, power in made.factors for _ in range(power)]
    (phi, args_u), (psi, args_v) = (made.calls[number] for number in members)
    if phi.arity != 1 or psi.arity != 1 or not (is_zero(args_u[0].const) and is_zero(args_v[0].const)):
        return None
    i, j = args_u[0].var, args_v[0].var
    if i is None or j is None:
        return None
    c = made.linear_cov(cov, made.variables[i], made.variables[j])
    return _result(closed.pair(phi, psi, _float(c), _float(made.variance(cov, i)), _float(made.variance(cov, j))))


def _stein(made: Integrand, cov: CovOf) -> Number | None:
    """E g phi(u) = Cov(g, u) E phi'(u)."""
    if len(made.gauss) != 1 or made.gauss[0][1] != 1 or len(made.factors) != 1 or made.factors[0][1] != 1:
        return None
    fn, args = made.calls[made.factors[0][0]]
    if fn.arity != 1 or fn.jumps or fn.partials is None or fn.partials()[0] is None:
        return None
    slope = fn.partials()[0]
    assert slope is not None
    value = _result(closed.single(slope, _float(args[0].const), _float(made.variance(cov, 0))))
    if value is None:
        return None
    return value * made.linear_cov(cov, ((made.gauss[0][0], 1),), made.variables[0])


def mehler_pair(made: Integrand, cov: CovOf, rtol: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(value, error) of E phi(u) psi(v) by Mehler's series for smooth functions, or None."""
    if made.gauss or made.continuous or made.node_var or sum(power for _, power in made.factors) != 2:
        return None
    members = [number for number, power in made.factors for _ in range(power)]
    if any(number not in made.calls for number in members) or len(made.calls) != len(set(members)):
        return None
    (phi, args_u), (psi, args_v) = (made.calls[number] for number in members)
    if phi.arity != 1 or psi.arity != 1 or phi.kinks or psi.kinks or args_u[0].rest or args_v[0].rest:
        return None
    i, j, shift_u, shift_v = args_u[0].var, args_v[0].var, args_u[0].const, args_v[0].const
    if i is None or j is None or isinstance(shift_u, np.ndarray) or isinstance(shift_v, np.ndarray):
        return None
    a, b = float(shift_u), float(shift_v)
    c = made.linear_cov(cov, made.variables[i], made.variables[j])
    value, error = hermite.pair(
        lambda x: phi.fn(x + a),
        lambda x: psi.fn(x + b),
        _float(c),
        _float(made.variance(cov, i)),
        _float(made.variance(cov, j)),
        rtol=rtol,
    )
    return np.asarray(value), np.asarray(error)
