"""Finite width: the program run on real arrays.

The limit says what a program tends to; this module says what it does at width n. One instruction is one
NumPy operation, with the width as the first axis and the finite axes behind it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .arguments import MOST, option, shown
from .arrays import evaluate
from .ensembles import ENTRY_LAWS
from .errors import BadParameter, RmtpError, unbound
from .instructions import (
    Apply,
    Arithmetic,
    Average,
    Combine,
    ConstantSource,
    FreshSource,
    IIDSource,
    Init,
    Input,
    Isotropic,
    Line,
    MatVec,
    NormalGroup,
    Parameter,
    RandomMatrix,
    Solve,
)
from .language import program as program_of
from .nonlinearity import Nonlinearity
from .program import Program
from .progress import progress
from .sweeps import sweep_shape

Source = NormalGroup | IIDSource | ConstantSource | RandomMatrix


def sample(
    expr: Any,
    width: int,
    rng: np.random.Generator | int | None = None,
    trials: int = 1,
    *,
    entries: str | None = None,
) -> Any:
    """The value of an expression on random arrays of base width n.

    Law: a `Dim` of ratio r has ``max(1, round(r n))`` coordinates; iid matrix entries have variance std**2 / cols.

    Parameters
    ----------
    expr : Scalar, Vector, or list of them
        All members of a list come from the same draw.
    width : int
        The base width n >= 1.
    rng : Generator or int, optional
        Each trial has its own child of this generator, and in it each initial vector and matrix its own: trial k does
        not depend on how many trials run, nor do the vectors depend on the entry law of the matrices.
    trials : int
        Number of independent draws.
    entries : {"gaussian", "rademacher", "uniform", "sparse"}, optional
        The entry law of all matrices with iid entries (of X in a Wishart matrix X X.T), instead of the one each was made
        with; matrices with Haar singular vectors have no such law and ignore it. The limit is the same (universality).

    Returns
    -------
    float or ndarray, or a list of them for a list
        One trial: a float for a scalar, an array (size, \\*axes) for a vector (a scalar with finite axes: (\\*axes)).
        More than one: the same with the trials along a new first axis.

    Raises
    ------
    BadParameter
        If width or trials is not a positive int, rng is no seed, entries is unknown, or the program holds a sweep.

    Notes
    -----
    float64. A matrix is drawn once per trial, at its first use, and freed after its last. Values that are not finite
    are returned as they are, as NumPy would. Universality: Golikov & Yang 2022 (non-Gaussian tensor programs).

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n");  m = rmtp.Dim("m", ratio=2)
    >>> W, x = rmtp.Gaussian(m, n), rmtp.Normal(n)
    >>> rmtp.sample(W @ x, width=100, rng=0).shape
    (200,)
    >>> norms = rmtp.sample(np.mean((W @ x) ** 2), width=400, rng=0, trials=3)
    >>> norms.shape, bool(abs(norms.mean() - 1) < 0.2)
    ((3,), True)
    """
    many = isinstance(expr, list | tuple)
    program = program_of(*expr) if many else program_of(expr)
    width, trials = positive(width, "width"), positive(trials, "trials")
    if entries is not None:
        option(entries, ENTRY_LAWS, "entries")
    if sweep_shape(program):
        raise BadParameter(
            "a program with swept parameters has one draw per value",
            remedy="sample one value at a time, as a plain number",
        )
    draws = [run(program, width, child, entries) for child in progress(generator(rng).spawn(trials), f"n = {width}")]
    values: list[Any] = [np.stack(column) for column in zip(*draws, strict=True)]
    if trials == 1:
        values = [value[0] if value.ndim > 1 else float(value[0]) for value in values]
    return values if many else values[0]


def run(
    program: Program,
    width: int,
    rng: np.random.Generator,
    entries: str | None = None,
    given: Mapping[int, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """One trial: the outputs of the program, in order, all from one draw.

    Parameters
    ----------
    program : Program
    width : int
    rng : Generator
    entries : str, optional
        Entry law of all matrices.
    given : mapping, optional
        Draws that exist already, by id of their source.

    Returns
    -------
    list of ndarray
        (size, \\*axes) for vectors, (\\*axes) for scalars.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> p = rmtp.program(rmtp.constant(rmtp.Dim("n"), 3))
    >>> run(p, 2, np.random.default_rng(0))
    [array([3., 3.])]
    """
    listed = sources(program)
    streams = dict(zip(map(id, listed), rng.spawn(len(listed)), strict=True))
    drawn: dict[int, np.ndarray] = dict(given or {})
    values: dict[int, Any] = {}
    outputs = set(program.outputs)
    for number, (line, dead, spent) in enumerate(zip(program.lines, *lifetimes(program), strict=True)):
        for source in _sources(line):
            if id(source) not in drawn:
                drawn[id(source)] = draw(source, width, streams[id(source)], entries)
        try:
            values[number] = value_of(line, drawn, [values[a] for a in line.args], width)
        except RmtpError as error:
            raise error.located(program.where(number)) from None
        except Exception as error:  # a user's function that does not take arrays
            error.add_note(f"at   {program.where(number)}")
            raise
        for old in dead - outputs:
            del values[old]
        for old_source in spent:
            del drawn[old_source]
    return [np.array(values[number], dtype=float) for number in program.outputs]


# ---------------------------------------------------------------------------------------------
# sources of randomness


def sources(program: Program) -> list[Source]:
    """The initial laws and matrices of a program, in order of first use."""
    return list({id(s): s for line in program.lines for s in _sources(line)}.values())


def draw(source: Source, width: int, rng: np.random.Generator, entries: str | None = None) -> np.ndarray:
    """A finite draw: (rows, cols) of a matrix, (size, k) of a Gaussian group, (size,) of another law.

    Parameters
    ----------
    source : NormalGroup, IIDSource, ConstantSource or RandomMatrix
    width : int
        The base width.
    rng : Generator
    entries : str, optional
        Entry law of a matrix, instead of its own.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> group = rmtp.Normal(rmtp.Dim("n"), mean=(0, 1), cov=[[1, 1], [1, 1]])[0].op.source
    >>> x, y = draw(group, 5, np.random.default_rng(0)).T
    >>> bool(np.allclose(y, x + 1))
    True
    """
    match source:
        case RandomMatrix(rows=rows, cols=cols, ensemble=ensemble):
            variance = float(ensemble.variance)
            return ensemble.draw(rng, rows.size(width), cols.size(width), variance, entries or ensemble.entries)
        case NormalGroup(dim=dim, cov=Isotropic() as cov):
            return float(cov.variance) ** 0.5 * rng.standard_normal((dim.size(width), len(cov)))
        case NormalGroup(dim=dim, mean=mean, cov=cov):
            normals = rng.standard_normal((dim.size(width), len(mean)))
            return np.asarray(mean, dtype=float) + normals @ covariance_root(np.array(cov, dtype=float)).T
        case FreshSource(dim=dim, law=law, size=size):
            return law.draw(rng, (dim.size(width), size))
        case IIDSource(dim=dim, law=law):
            return law.draw(rng, dim.size(width))
        case ConstantSource(dim=dim, value=value):
            return np.full(dim.size(width), float(value))
    raise AssertionError(source)


def covariance_root(cov: np.ndarray) -> np.ndarray:
    """R with R R.T = cov; cov may be singular, hence no Cholesky."""
    eigenvalues, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.clip(eigenvalues, 0, None))


def _sources(line: Line) -> tuple[Source, ...]:
    match line.op:
        case Init(source=source):
            return (source,)
        case MatVec(matrix=matrix):
            return (matrix,)
        case Solve(system=system):
            return tuple(system.matrices)
    return ()


def lifetimes(program: Program) -> tuple[list[set[int]], list[set[int]]]:
    """Per line: the lines that nothing uses after it, and the sources (by id) that are used for the last time."""
    seen: set[int] = set()
    used: set[int] = set()
    dead: list[set[int]] = []
    spent: list[set[int]] = []
    for line in reversed(program.lines):
        sources = {id(s) for s in _sources(line)}
        dead.append({a for a in line.args if a not in seen})
        spent.append(sources - used)
        seen |= set(line.args)
        used |= sources
    return dead[::-1], spent[::-1]


# ---------------------------------------------------------------------------------------------
# instructions

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}


def value_of(line: Line, drawn: Mapping[int, np.ndarray], args: Sequence[Any], width: int) -> Any:
    """One instruction on arrays."""
    match line.op:
        case Init(source=NormalGroup() as group, index=index):
            array = drawn[id(group)]
            return array if index is None else array[:, index]
        case Init(source=source):
            return drawn[id(source)]
        case MatVec(matrix=matrix, transposed=transposed):
            array = drawn[id(matrix)]
            return np.tensordot(array.T if transposed else array, args[0], axes=1)
        case Solve(system=system, expression=expression):
            known = {id(node): value for node, value in zip(system.coefficients, args[1:], strict=True)}
            return np.linalg.solve(evaluate(expression, width, drawn, known), args[0])
        case Apply(fn=Arithmetic(name="power", exponent=exponent)):
            return args[0] ** exponent
        case Apply(fn=Arithmetic(name=name)):
            return ARITHMETIC[name](*args)
        case Apply(fn=Nonlinearity() as fn):
            shape = (() if line.dim is None else (line.dim.size(width),)) + tuple(size for _, size in line.axes)
            return broadcast_result(fn.name, fn.fn(*args), shape)  # a user's function may forget its argument
        case Average():
            return np.mean(args[0], axis=0)
        case Parameter(value=value):
            return np.asarray(value, dtype=float)[()]
        case Input(name=name):
            raise unbound(name)
        case Combine(kind=kind, detail=detail):
            return combine_arrays(kind, detail, args, 0 if line.is_scalar else 1)
    raise AssertionError(line.op)


def broadcast_result(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    value = np.asarray(value)
    if np.iscomplexobj(value):
        raise BadParameter(f"{name} returned complex numbers", remedy="a real function of real arrays")
    try:
        return np.broadcast_to(np.asarray(value, dtype=float), shape)[()]
    except ValueError:
        raise BadParameter(
            f"{name} returned an array of shape {value.shape} where {shape} was expected",
            remedy="a coordinatewise function broadcasts like a ufunc",
        ) from None


def combine_arrays(kind: str, detail: tuple[Any, ...], args: Sequence[Any], shift: int) -> Any:
    """The linear maps on finite axes; they lie behind `shift` width axes."""
    match kind:
        case "index":
            index = tuple(slice(*item) if isinstance(item, tuple) else item for item in detail)
            return args[0][(slice(None),) * shift + index]
        case "scatter":
            index, shape = detail
            out = np.zeros(args[0].shape[:shift] + shape)
            place = tuple(slice(*item) if isinstance(item, tuple) else item for item in index)
            out[(slice(None),) * shift + place] = args[0]
            return out
        case "sum":
            return np.sum(args[0], axis=detail[0] + shift)
        case "matmul":
            return np.matmul(args[0], args[1])
        case "transpose":
            return np.transpose(args[0], (*range(shift), *(k + shift for k in detail)))
        case "reshape":
            return np.reshape(args[0], args[0].shape[:shift] + detail[0])
        case "stack":
            return np.stack(args, axis=detail[0] + shift)
    raise AssertionError(kind)


# ---------------------------------------------------------------------------------------------
# arguments


def positive(value: Any, what: str) -> int:
    """A positive int, or an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MOST:
        raise BadParameter(f"{what}={shown(value)}", remedy="a positive int")
    return int(value)


def generator(rng: Any) -> np.random.Generator:
    """A Generator that can spawn: the one given, or a new one from a seed or (None) from the system's entropy."""
    remedy = "None, a seed (an int >= 0), or np.random.default_rng(seed)"
    if isinstance(rng, bool | float | str | np.random.RandomState):
        raise BadParameter(f"rng={rng!r}", remedy=remedy)
    try:
        made = np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise BadParameter(f"rng={rng!r}", remedy=remedy) from None
    if not isinstance(made.bit_generator.seed_seq, np.random.bit_generator.ISpawnableSeedSequence):
        raise BadParameter(f"rng={rng!r} cannot spawn independent children", remedy=remedy)
    return made
