"""The folder of a study: one file per finished point, and one that says which study it is."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

import numpy as np

from .errors import BadParameter
from .files import replace_file
from .grids import Grid
from .records import dumps, loads
from .results import Estimate

MARK = "study.json"
FORMAT = 1


class Checkpoints:
    """Finished points on disk.

    Parameters
    ----------
    path : str or Path
        A folder, made if it is not there.
    grid : Grid
    key : str
        What else the values depend on; see `key_of`.

    Raises
    ------
    BadParameter
        If the folder belongs to another study, or holds files of another kind.
    """

    def __init__(self, path: str | Path, grid: Grid, key: str) -> None:
        self.folder = Path(path)
        self.digits = len(str(len(grid.points) - 1))
        names = [{name: stable(value) for name, value in point.items()} for point in grid.points]
        shown = {"format": FORMAT, "key": key, "axes": {k: len(v) for k, v in grid.axes.items()}, "points": names}
        mark, content = self.folder / MARK, json.dumps(shown, indent=1).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = mark.read_bytes() if mark.exists() else None
            others = [p.name for p in self.folder.iterdir()] if found is None else []
        except OSError as error:
            raise BadParameter(f"path={str(path)!r}: {error}", remedy="a folder that can be written") from None
        if found is None:
            if [name for name in others if not name.endswith(".new")]:
                raise BadParameter(f"{self.folder} holds other files", remedy="a new folder")
            replace_file(mark, content)
        elif found != content:
            raise BadParameter(
                f"{self.folder} belongs to another study: {_changed(found, shown)}",
                remedy="another path=, or remove the folder",
            )

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:0{self.digits}d}.json"

    def load(self, number: int) -> dict[str, Estimate] | None:
        """A finished point; None if it is not."""
        file = self._file(number)
        if not file.exists():
            return None
        try:
            return loads(file.read_bytes())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadParameter(f"{file} is damaged: {error}", remedy="remove it, and its point runs again") from None

    def save(self, number: int, values: Mapping[str, Estimate]) -> None:
        """One more finished point."""
        replace_file(self._file(number), dumps(values))


def _changed(found: bytes, wanted: Mapping[str, Any]) -> str:
    try:
        old = json.loads(found)
        differ = [name for name in wanted if old.get(name) != wanted[name]]
    except (ValueError, AttributeError):
        return f"its {MARK} is damaged"
    if "axes" in differ or "points" in differ:
        return "its grid differs"
    return "its function or version= differs" if "key" in differ else "its format differs"


def stable(value: Any) -> str:
    """A text that names a value of a parameter in every run.

    Raises
    ------
    BadParameter
        If there is none: the address of an object changes from run to run.

    Examples
    --------
    >>> stable((1, Fraction(1, 2), "relu")), stable(np.tanh)
    ("(1,Fraction(1, 2),'relu',)", 'tanh')
    """
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | Fraction():
            return repr(value)
        case tuple() | list():
            return f"({''.join(stable(v) + ',' for v in value)})"
        case np.ndarray():
            return f"array({value.dtype.str}, {value.shape}, {hashlib.sha256(value.tobytes()).hexdigest()})"
        case np.ufunc():
            return value.__name__
        case type() | BuiltinFunctionType() | FunctionType() if "<" not in value.__qualname__:
            return f"{value.__module__}.{value.__qualname__}"
    raise BadParameter(
        f"a file cannot name the value {value!r} of a parameter",
        remedy="numbers, strings or named functions in the grid; f turns a name into the object",
    )


def key_of(f: Callable[..., Any], version: str | None) -> str:
    """What the values of a study depend on besides its grid: the user's word, or else the function's code.

    Raises
    ------
    BadParameter
        If the function has no code, or holds what cannot be named; a version then speaks for it.
    """
    if version is not None:
        if not isinstance(version, str) or not version:
            raise BadParameter(f"version={version!r}", remedy='a text, as in version="2, with biases"')
        return f"version {version}"
    try:
        return f"code {hashlib.sha256(_code(f).encode()).hexdigest()}"
    except BadParameter:
        raise BadParameter(
            f"a file cannot name what {f!r} depends on", remedy='version="1", changed whenever the function changes'
        ) from None


def _code(f: Any) -> str:
    if isinstance(f, functools.partial):
        bound = [(k, stable(v)) for k, v in sorted(f.keywords.items())]
        return f"partial({_code(f.func)}, {stable(f.args)}, {bound})"
    if not isinstance(f, FunctionType):
        raise BadParameter("not a function")
    held = [cell.cell_contents for cell in f.__closure__ or ()]
    closure = [_code(v) if isinstance(v, FunctionType) else stable(v) for v in held]
    return f"{_text(f.__code__)}|{stable(f.__defaults__ or ())}|{closure}"


def _text(code: CodeType) -> str:
    constants = [_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()}{constants}{code.co_names}{code.co_varnames}"
