"""The command line: ``rmtp reproduce``, ``rmtp limit FILE.py:NAME``, ``rmtp verify FILE.py:NAME``.

Exit codes: 0, all is well; 1, an answer is wrong or cannot be given; 2, the question is malformed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .errors import RmtpError
from .expect.engine import CHOICES
from .handles import Node
from .language import program
from .limit import limit
from .progress import progress
from .results import Estimate
from .verify import verify
from .zlaw import ZLaw

_DEFAULT_WIDTHS = (250, 500, 1000)


class UsageError(Exception):
    """The question is malformed; the message is one paragraph for stderr."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except UsageError as error:
        print(f"rmtp: {error}", file=sys.stderr)
        return 2
    except RmtpError as error:
        print(f"rmtp: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("rmtp: interrupted", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rmtp", description="Infinite-width limits of random computations.")
    parser.add_argument("--version", action="version", version=f"rmtp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    reproduce = commands.add_parser("reproduce", help="derive known laws again and compare with theory and samples")
    reproduce.add_argument("names", nargs="*", metavar="NAME", help="derivations; all of them by default")
    reproduce.add_argument("--out", type=Path, default=Path("reproduce"), metavar="DIR", help="default: ./reproduce")
    reproduce.add_argument("--list", action="store_true", help="names and titles of the derivations")
    reproduce.set_defaults(run=_reproduce)

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "target",
        metavar="FILE.py:NAME",
        help="NAME in FILE.py is an expression, a list of them, or a function without arguments that returns them",
    )
    asked = commands.add_parser("limit", parents=[shared], help="the infinite-width limit of a program of yours")
    asked.add_argument("--exact", action="store_true", help="rational arithmetic, or an error")
    asked.add_argument("--dps", type=int, metavar="N", help="decimal digits, by mpmath")
    asked.add_argument("--method", choices=CHOICES, default="auto", metavar="M", help=", ".join(CHOICES))
    asked.add_argument("--rtol", type=float, default=1e-8, metavar="R", help="relative tolerance, default 1e-8")
    asked.add_argument("--gradient-independence", action="store_true", help="the naive answer only")
    asked.set_defaults(run=_limit)

    checked = commands.add_parser("verify", parents=[shared], help="compare the limit with finite matrices")
    checked.add_argument("--widths", type=int, nargs="+", default=list(_DEFAULT_WIDTHS), metavar="N")
    checked.add_argument("--trials", type=int, metavar="N", help="draws per width")
    checked.add_argument("--seed", type=int, default=0)
    checked.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="for the figures; default: here")
    checked.set_defaults(run=_verify)
    return parser


# ---------------------------------------------------------------------------------------------
# rmtp reproduce


def _reproduce(arguments: argparse.Namespace) -> int:
    from . import reproduce  # half a second of imports that the other commands do not need

    known = {derivation.name: derivation for derivation in reproduce.DERIVATIONS}
    if arguments.list:
        width = max(map(len, known))
        print("\n".join(f"{name.ljust(width)}  {derivation.title}" for name, derivation in known.items()))
        return 0
    missing = [name for name in arguments.names if name not in known]
    if missing:
        raise UsageError(f"no derivation is called {', '.join(missing)}. The names are: {', '.join(known)}.")
    out = _folder(arguments.out)
    chosen = [known[name] for name in dict.fromkeys(arguments.names)] or list(known.values())
    results = []
    for derivation in progress(chosen, "reproduce", total=len(chosen)):
        rows = derivation.rows()
        results.append((derivation, rows))
    for derivation, rows in results:
        print(f"\n{derivation.name}: {derivation.title}\n{reproduce.table_text(rows)}")
    report = out / "report.html"
    report.write_text(
        reproduce.html_report(results, reproduce.save_figures(results, out), __version__), encoding="utf-8"
    )
    everything = [(derivation, row) for derivation, rows in results for row in rows]
    failed = [(derivation, row) for derivation, row in everything if not row.passed]
    rate = reproduce.false_alarm_rate([row for _, row in everything])
    print(f"\n{len(everything) - len(failed)} of {len(everything)} rows pass (false-alarm rate {rate:.1g}); {report}")
    for derivation, row in failed:
        print(f"rmtp: failed: {derivation.name}, {row.quantity}", file=sys.stderr)
    return 1 if failed else 0


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {path}: {error.strerror}. Give another folder with --out.") from None
    return path


# ---------------------------------------------------------------------------------------------
# a program of the user's own


def _load(target: str) -> list[Node]:
    """The expressions that FILE.py:NAME stands for."""
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise UsageError(f"{target!r} is not of the form FILE.py:NAME, as in network.py:loss.")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file}.")
    spec = importlib.util.spec_from_file_location(f"rmtp_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file; its name should end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # so that the file can import its neighbours
    try:
        _guarded(lambda: spec.loader.exec_module(module), path)  # type: ignore[union-attr]
        if not hasattr(module, name):
            found = [key for key, value in vars(module).items() if isinstance(value, Node)]
            raise UsageError(f"{file} defines no {name}." + (f" It has: {', '.join(found)}." if found else ""))
        value = getattr(module, name)
        if callable(value) and not isinstance(value, Node):
            value = _guarded(value, path)
    finally:
        sys.path.pop(0)
    return _expressions(value, target)


def _guarded(run: Callable[[], Any], path: Path) -> Any:
    """Run the user's code; whatever it raises becomes one paragraph that names the line."""
    try:
        return run()
    except RmtpError as error:
        line = _line(error, path)
        raise error.located(f"{path}, line {line}") if line else error from None
    except KeyboardInterrupt:
        raise
    except SyntaxError as error:
        raise UsageError(f"{error.filename or path}, line {error.lineno}: {error.msg}.") from None
    except BaseException as error:
        line = _line(error, path)
        where = f"{path}, line {line}" if line else str(path)
        reason = " ".join(str(error).split())
        raise UsageError(f"{where}: {type(error).__name__}{': ' + reason if reason else ''}.") from None


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the user's file on the way to the error."""
    full = path.resolve()
    frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == full]
    return frames[-1] if frames else None


def _expressions(value: Any, target: str) -> list[Node]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UsageError(f"{target} is an empty list; put vectors or scalars of a program in it.")
    for entry in values:
        if not isinstance(entry, Node):
            raise UsageError(
                f"{target} is of type {type(entry).__name__}, not an expression of a program: give a vector or a scalar "
                "built from rmtp.Normal, rmtp.Gaussian, np.mean, ..., a list of them, or a function that returns one."
            )
    return values


def _limit(arguments: argparse.Namespace) -> int:
    handles = _load(arguments.target)
    options = {"exact": arguments.exact, "dps": arguments.dps, "method": arguments.method, "rtol": arguments.rtol}
    print(program(*handles))
    if arguments.gradient_independence:
        _answers(handles, limit(handles, gradient_independence=True, **options), None)
        print("\nThese are the naive answers: W.T is taken as independent of W.")
        return 0
    answers = limit(handles, **options)
    try:
        naive = limit(handles, gradient_independence=True, **options)
    except RmtpError as error:
        naive = None
        print(f"\nno naive answer: {error.problem}")
    _answers(handles, answers, naive)
    return 0


def _answers(handles: Sequence[Node], answers: Sequence[Any], naive: Sequence[Any] | None) -> None:
    for k, (handle, answer) in enumerate(zip(handles, answers)):
        print(f"\nlimit of {handle!r}\n  {_indented(answer)}")
        if naive is not None and _differ(answer, naive[k]):
            print(f"naive, with W.T independent of W\n  {_indented(naive[k])}")
        for note in getattr(answer, "notes", ()):
            print(f"  note: {note}")


def _indented(answer: Any) -> str:
    if isinstance(answer, np.ndarray):
        return "\n  ".join(f"{list(index)}: {_indented(answer[index])}" for index in np.ndindex(answer.shape))
    return str(answer).replace("\n", "\n  ")


def _differ(answer: Any, naive: Any) -> bool:
    """Whether two answers differ by more than their errors."""
    if isinstance(answer, np.ndarray):
        return any(_differ(a, b) for a, b in zip(answer.ravel(), naive.ravel()))
    if isinstance(answer, ZLaw):
        return answer.text != naive.text or _differ(answer.mean, naive.mean) or _differ(answer.var, naive.var)
    assert isinstance(answer, Estimate)
    one, other = (np.asarray(v, dtype=float) for v in (answer.value, naive.value))
    allowed = 5 * (np.asarray(answer.error, dtype=float) + np.asarray(naive.error, dtype=float))
    return bool(np.any(np.abs(one - other) > allowed + 1e-14 * np.abs(one)))


def _verify(arguments: argparse.Namespace) -> int:
    handles = _load(arguments.target)
    out = _folder(arguments.out)
    print(program(*handles))
    checks = verify(handles, widths=tuple(arguments.widths), trials=arguments.trials, rng=arguments.seed)
    name = arguments.target.rpartition(":")[2]
    for k, found in enumerate(checks):
        print(f"\n{found.to_markdown()}")
        path = out / (f"{name}.png" if len(checks) == 1 else f"{name}-{k + 1}.png")
        _save(found, path)
        print(f"figure: {path}")
    return 0 if all(found.passed() for found in checks) else 1


def _save(found: Any, path: Path) -> None:
    from . import plots

    with plots.style():
        figure, axes = plots.figure()
        found.plot(ax=axes)
        figure.savefig(path)
