"""The question a user asks: the limit of a program, its options, sweeps, and when points must be sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arguments import option, shown
from .axes import Along, stacked
from .errors import BadParameter, BudgetExceeded, RmtpError, UnsupportedOperation
from .expect.engine import CHOICES, REPLICATES, SAMPLED_POINTS, Options
from .handles import Node, Scalar
from .instructions import Solve
from .language import program as program_of
from .program import Program
from .progress import progress
from .results import Estimate
from .ring import precision
from .sweeps import at_point, sweep_shape
from .theorem import MasterTheorem
from .zlaw import ZLaw


def limit(
    expr: Any,
    *,
    method: str = "auto",
    rtol: float = 1e-8,
    exact: bool = False,
    dps: int | None = None,
    gradient_independence: bool = False,
    budget: int | None = None,
    zdot: str = "auto",
    seed: int = 0,
) -> Any:
    """The infinite-width limit of a scalar or a vector, or of a list of them with shared work done once.

    Law: averages converge almost surely, ``(1/n) sum_i psi(x_i) -> E psi(Z^x)``, with Z from the master theorem.

    Parameters
    ----------
    expr : Scalar, Vector, or list of them
    method : {"auto", "closed", "quadrature", "mehler", "sobol"}
        How expectations that are not polynomial are computed. "auto" takes a closed form if there is one, then
        quadrature up to three effective dimensions, then Sobol points. "closed" and "quadrature" are that method or an error,
        "sobol" samples whatever is not a polynomial, "mehler" takes Mehler's series for pairs of smooth functions of one
        Gaussian each and quadrature for what is no such pair.
    rtol : float
        What two resolutions of a quadrature must agree to. Sampled results state their error instead.
    exact : bool
        Rational arithmetic; raises where a number would be approximate.
    dps : int, optional
        Decimal digits, by mpmath.
    gradient_independence : bool
        The naive answer that treats ``W.T`` as an independent copy of ``W``'s transpose (Z-Dot dropped).
    budget : int, optional
        Function evaluations per expectation (default 2**20 for quadrature, 2**17 points for sampling). If given, a sampled
        result that does not reach `rtol` within it raises.
    zdot : {"auto", "derivative", "stein"}
        How Z-Dot coefficients are found; the two agree.
    seed : int
        Of the Sobol scrambles.

    Returns
    -------
    Estimate for a scalar, ZLaw for a vector, a list for a list
        With value, error and method.

    Raises
    ------
    rmtp.errors.RmtpError
        One class per cause, naming the line of the program.

    Notes
    -----
    Matrices have entry variance std**2 / cols. TP III (2009.10685), Theorems 2.10 and E.15, Definition F.6 for rectangular
    matrices; functions with jumps through Stein's lemma, Remark 2.12. Functions that grow faster than polynomially are outside
    the theorem's assumptions; where their expectations exist the answer is conjectural.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    >>> rmtp.limit(np.mean(W.T @ (W @ x) * x), exact=True).value
    Fraction(1, 1)
    >>> rmtp.limit(np.mean(W.T @ (W @ x) * x), gradient_independence=True).value
    Fraction(0, 1)
    """
    options = checked_options(method, rtol, exact, dps, budget, zdot, seed)
    many = isinstance(expr, list | tuple)
    handles: list[Node] = list(expr) if many else [expr]
    answers, _ = answer(program_of(*handles), options, gradient_independence, handles)
    return answers if many else answers[0]


def checked_options(
    method: str, rtol: float, exact: bool, dps: int | None, budget: int | None, zdot: str, seed: int
) -> Options:
    """The options of a limit, or an error that names the one at fault."""
    option(method, CHOICES, "method")
    option(zdot, ("auto", "derivative", "stein"), "zdot")
    if not (isinstance(rtol, float | int) and 0 < rtol < 1):
        raise BadParameter(f"rtol={rtol!r}", remedy="a number between 0 and 1")
    if budget is not None and not (isinstance(budget, int) and 2**8 <= budget <= 2**40):
        raise BadParameter(f"budget={shown(budget)}", remedy="an integer number of evaluations, 256 to 2**40")
    if exact and dps is not None:
        raise BadParameter("exact=True and dps= together", remedy="choose one")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadParameter(f"seed={shown(seed)}", remedy="an integer >= 0")
    if dps is not None:
        precision(dps)
    return Options(method, rtol, budget, exact, dps, zdot, seed)


def _points(options: Options) -> int:
    total = options.budget or SAMPLED_POINTS
    return max(16, 2 ** int(np.log2(total / REPLICATES)))


def answer(
    program: Program, options: Options, naive: bool, handles: Sequence[Node], kept: Sequence[Node] = ()
) -> tuple[list[Any], MasterTheorem | None]:
    """The limits of the first outputs of a program, one per handle, and the last walk, whose program ends with `kept`.

    Over a sweep that takes one run per point there is no such walk.
    """
    shape = sweep_shape(program)
    if shape and any(isinstance(line.op, Solve) for line in program.lines):
        return _one_by_one(program, options, naive, handles, shape), None
    walked: MasterTheorem | None = MasterTheorem(program, options, naive).run()
    assert walked is not None
    wanted = program.outputs[: len(handles)]
    open_ = [k for k, number in enumerate(wanted) if walked.values[number] is None]
    out = [
        None if k in open_ else _answer(walked, number, handle, shape)
        for k, (number, handle) in enumerate(zip(wanted, handles, strict=True))
    ]
    if open_:
        rest = [handles[k] for k in open_]
        part = program_of(*rest, *kept) if len(open_) < len(handles) else program
        if shape:
            sampled, walked = _pointwise(part, options, naive, rest, shape), None
        else:
            walked = MasterTheorem(part, options, naive, _points(options)).run()
            sampled = [_answer(walked, number, handle, ()) for number, handle in zip(part.outputs, rest, strict=False)]
        for k, found in zip(open_, sampled, strict=True):
            out[k] = found
    if options.budget is not None:
        _check_reached(out, options)
    return out, walked


def _one_by_one(
    program: Program, options: Options, naive: bool, handles: Sequence[Node], shape: tuple[int, ...]
) -> list[Any]:
    """A sweep of a program with a solve: one fixed point per value."""
    if any(not isinstance(h, Scalar) for h in handles):
        raise UnsupportedOperation("the law of a vector over a sweep with a solve", remedy="ask for averages")
    columns = [
        answer(at_point(program, shape, index), options, naive, handles)[0]
        for index in progress(list(np.ndindex(shape)), "sweep")
    ]
    return [stacked([column[k] for column in columns], shape) for k in range(len(handles))]


def _answer(walked: MasterTheorem, number: int, handle: Node, shape: tuple[int, ...]) -> Any:
    value, rank = walked.values[number], walked.methods[number]
    if walked.program.lines[number].is_scalar:
        try:
            if isinstance(value, Along):
                return stacked([walked.estimate(v, rank) for v in value.array.ravel()], value.array.shape)
            return walked.estimate(value, rank)
        except RmtpError as error:
            raise error.located(walked.program.where(number)) from None
    if isinstance(value, Along):
        forms: Any = value.array
        return Along.of(
            [ZLaw(walked, number, forms[k], None, k) for k in np.ndindex(value.array.shape)], value.array.shape
        ).array
    return ZLaw(
        walked, number, value, handle, ask=lambda h: answer(program_of(h), walked.options, walked.naive, [h])[0][0]
    )


def _pointwise(
    program: Program, options: Options, naive: bool, handles: Sequence[Node], shape: tuple[int, ...]
) -> list[Any]:
    """A sweep on sampled points: one run per point, since every point needs its own samples."""
    if any(not isinstance(h, Scalar) for h in handles):
        raise UnsupportedOperation(
            "the law of a vector over a sweep that needs sampled points", remedy="ask for averages, or for one value"
        )
    columns: list[list[Estimate]] = []
    for index in progress(list(np.ndindex(shape)), "sweep"):
        part = at_point(program, shape, index)
        walked = MasterTheorem(part, options, naive, _points(options)).run()
        columns.append([_answer(walked, k, handle, ()) for k, handle in zip(part.outputs, handles, strict=False)])
    return [stacked([column[k] for column in columns], shape) for k in range(len(handles))]


def _check_reached(answers: Sequence[Any], options: Options) -> None:
    for answer in answers:
        if isinstance(answer, Estimate) and answer.method == "sobol":
            if np.any(np.asarray(answer.error) > options.rtol * np.abs(np.asarray(answer.value, dtype=float))):
                raise BudgetExceeded(
                    f"{options.budget} points give the error {np.max(answer.error):.2g}, not rtol={options.rtol:.2g}",
                    remedy="a larger budget= (the error falls about like 1/points), or a larger rtol=",
                )
