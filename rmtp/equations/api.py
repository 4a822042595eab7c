"""`derive`: the equations of a limit."""

from __future__ import annotations

from typing import Any

from ..axes import Along
from ..errors import UnsupportedOperation
from ..handles import Node, Scalar, Vector
from ..language import program as program_of
from ..normal import Draw
from ..quantity import Quantity, sympy_module
from ..spectra.spectral import SingularLaw, SpectralLaw
from .algebraic import algebraic
from .present import Presenter, presented
from .system import Equations, Mean, Value, pruned, rescaled, symbols_of
from .walk import Symbolic


def derive(expr: Any, *, gradient_independence: bool = False) -> Any:
    """The equations that `limit` solves, with the symbols of the program kept.

    Law: the master theorem over the rational functions of the symbols: polynomials by Isserlis, whatever else is expected as
    ``E[..]`` of named Gaussians.

    Parameters
    ----------
    expr : Scalar, Vector, or list of them; or Law
        Of a law, the polynomial P(g, z) = 0 is eliminated from the Dyson system.
    gradient_independence : bool
        See `limit`.

    Returns
    -------
    Equations, or Algebraic for a law
        Text by `str`, ``.latex()``, ``.sympy()``, numbers by ``.evaluate(..)``.

    Raises
    ------
    UnsupportedOperation
        For sweeps and `solve`, or if sympy is not installed (extra ``sympy``).
    NotExact
        If the program holds a number that is not rational: give it a symbol.

    Notes
    -----
    Exact in the ring of the symbols; nothing is approximated before ``evaluate``. TP III (2009.10685), Theorem 2.10.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> rho = rmtp.symbol("rho")
    >>> n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio=rho)
    >>> W, v = rmtp.Gaussian(m, n, name="W"), rmtp.Normal(n, name="v")
    >>> print(rmtp.derive(np.mean(v * (W.T @ (W @ (W.T @ (W @ v)))))).value)     # Narayana: Marchenko-Pastur, second moment
    rho**2 + rho
    """
    sympy_module()
    if isinstance(expr, SpectralLaw | SingularLaw):
        return algebraic(expr)
    many = isinstance(expr, list | tuple)
    handles: list[Any] = list(expr) if many else [expr]
    for h in handles:
        if not isinstance(h, Node):
            raise UnsupportedOperation(
                f"the equations of a {type(h).__name__}", remedy="a scalar or a vector of a program"
            )
    program = program_of(*handles)
    walked = Symbolic(program, gradient_independence)
    walked.run()
    names = {
        k: h.name or _title(j, len(handles)) for j, (k, h) in enumerate(zip(program.outputs, handles, strict=True))
    }
    scalars = {k: name for k, name in names.items() if program.lines[k].is_scalar}
    presenter = presented(walked, scalars, decompositions=True)
    values = tuple(_value(presenter, h, k) for h, k in zip(handles, program.outputs, strict=True))
    return assembled(presenter, values if many else values[0], str(program))


def _title(j: int, count: int) -> str:
    return "theta" if count == 1 else f"theta^({j + 1})"


def _value(presenter: Presenter, h: Any, k: int) -> Any:
    value = presenter.walked.values[k]
    if isinstance(value, Along):
        raise UnsupportedOperation("equations along a finite axis", remedy="one entry, or a list of them")
    if isinstance(h, Vector):
        z = presenter._closed(presenter.walked.variables.form(value))
        presenter.cover(z)
        return z
    assert isinstance(h, Scalar)
    name = presenter.given_names[k]
    for line in presenter.lines:
        if isinstance(line, Value | Mean) and line.symbol.name == name:
            return line.right if isinstance(line, Value) else line.symbol
    return presenter.show(name, value)


def assembled(presenter: Presenter, value: Any, text: str) -> Equations:
    """The lines that a value rests on."""
    walked = presenter.walked
    wanted = {s for v in (value if isinstance(value, tuple) else (value,)) for s in v.free_symbols}
    names = set(presenter.given_names.values())
    wanted |= {line.symbol for line in presenter.lines if isinstance(line, Value) and line.symbol.name in names}
    lines = pruned(presenter.lines, wanted)
    lines = tuple(rescaled(lines, [*walked.variables.gaussians]))
    used = wanted.union(*(symbols_of(line) for line in lines))
    variables = walked.variables
    draws = {}
    for s, a in variables.draws.items():
        atom = walked.atoms.table[a]
        assert isinstance(atom, Draw)
        if s in used:
            draws[s] = atom.source.law
    own = {line.symbol for line in lines if hasattr(line, "symbol")} | set(variables.gaussians) | set(draws)
    parameters = {s for s in used if s not in own and not s.name.startswith("Z^")}
    parameters |= {s for law in draws.values() for s in _law_symbols(law)}
    return Equations(
        lines, value, tuple(sorted(parameters, key=lambda s: s.name)), draws, dict(variables.functions.by_name), text
    )


def _law_symbols(law: Any) -> set[Any]:
    numbers = [*law.weights]
    for part in law.components:
        numbers += [getattr(part, key) for key in ("value", "mean", "var") if hasattr(part, key)]
    return {s for q in numbers if isinstance(q, Quantity) for s in q.symbols}
