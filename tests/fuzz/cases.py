"""A case is source code: it is drawn, run, compared, shrunk and printed as such."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import rmtp
from rmtp.errors import RmtpError
from rmtp.verify import Verification

ERRORS = 6.0  # stated errors (hypotenuse of both) that two methods may differ by
ROUNDING = 1e-9  # relative, and absolute at scale one
Z = 5.0  # of the engine against samples: 5.7e-7 for one number, before it is drawn again
HEAD = "from fractions import Fraction as F\nimport numpy as np\nimport rmtp"


@dataclass(frozen=True)
class Line:
    """A statement, and simpler ones that may take its place."""

    text: str
    simpler: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Source code: fixed statements, lines that may be shrunk, and what closes them."""

    kind: str
    fixed: tuple[str, ...]
    lines: tuple[Line, ...]
    closing: tuple[str, ...] = ()
    indent: str = ""
    seed: int = 0

    @property
    def source(self) -> str:
        """The code that defines what is compared."""
        return "\n".join([HEAD, *self.fixed, *(self.indent + line.text for line in self.lines), *self.closing])

    def namespace(self) -> dict[str, Any]:
        """What the code defines."""
        names: dict[str, Any] = {}
        exec(compile(self.source, f"<{self.kind}>", "exec"), names)
        return names


@dataclass(frozen=True)
class Comparison:
    """Two ways to one list of numbers.

    Attributes
    ----------
    name : str
    run : callable
        ``run(names, attempt)`` gives None if they agree, else what they said; attempt 1 confirms with fresh randomness.
    code : str
        Statements that show both, given the case's names.
    applies : callable
        ``applies(case)``.
    """

    name: str
    run: Callable[[dict[str, Any], int], str | None]
    code: str
    applies: Callable[[Case], bool] = lambda case: True


@dataclass
class Tally:
    """What a run came to."""

    cases: dict[str, int] = field(default_factory=dict)
    compared: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    unconfirmed: dict[tuple[str, str], int] = field(default_factory=dict)
    failures: list[tuple[Case, Comparison, str]] = field(default_factory=list)
    slow: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)  # of refusals: a refusal may be an error, too

    def add(self, table: dict[Any, int], key: Any) -> None:
        table[key] = table.get(key, 0) + 1

    def __str__(self) -> str:
        lines = [f"{'kind':12} {'comparison':22} {'compared':>9} {'refused':>8} {'withdrawn':>9} {'disagree':>8}"]
        for key in sorted({*self.compared, *self.refused}):
            wrong = sum((c.kind, k.name) == key for c, k, _ in self.failures)
            counts = self.compared.get(key, 0), self.refused.get(key, 0), self.unconfirmed.get(key, 0), wrong
            lines.append(f"{key[0]:12} {key[1]:22} {counts[0]:9d} {counts[1]:8d} {counts[2]:9d} {counts[3]:8d}")
        total = ", ".join(f"{count} {kind}" for kind, count in self.cases.items())
        slow = sum(self.slow.values())
        lines.append(f"cases: {total}; given up for time: {slow}; disagreements: {len(self.failures)}")
        lines += [
            f"refused {count} times: {why}" for why, count in sorted(self.reasons.items(), key=lambda t: -t[1])[:12]
        ]
        return "\n".join(lines)


class OutOfTime(BaseException):
    """A case took too long."""


# ---------------------------------------------------------------------------------------------
# judging


def differ(left: Sequence[Any], right: Sequence[Any], rounding: float = ROUNDING) -> str | None:
    """Where two lists of Estimates are apart by more than their errors; NaN is always apart."""
    for k, (a, b) in enumerate(zip(left, right, strict=True)):
        x, y = (np.asarray(e.value, dtype=float) for e in (a, b))
        error = np.hypot(np.asarray(a.error, dtype=float), np.asarray(b.error, dtype=float))
        allowed = ERRORS * error + rounding * np.maximum(1.0, np.maximum(np.abs(x), np.abs(y)))
        if not np.all(np.abs(x - y) <= allowed):
            return f"[{k}] {a} against {b}"
    return None


def off(checks: Sequence[Verification], z: float = Z) -> str | None:
    """Which limit the samples refuse."""
    for k, check in enumerate(checks):
        score = check.score
        if not abs(score) < z:
            mean, error = check.extrapolated
            return f"[{k}] limit {check.limit}, sampled {mean:.8g} ± {error:.1g}: z = {score:+.1f}"
    return None


def said(names: dict[str, Any], comparison: Comparison, attempt: int) -> str | None:
    """What a comparison finds; an error that is none of rmtp's is a finding."""
    try:
        with np.errstate(all="ignore"):
            return comparison.run(names, attempt)
    except RmtpError:
        raise
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"


def judge(case: Case, comparisons: Sequence[Comparison], tally: Tally) -> Iterator[tuple[Comparison, str]]:
    """The comparisons of a case that fail, confirmed by a second attempt."""
    tally.add(tally.cases, case.kind)
    try:
        names = case.namespace()
    except RmtpError:
        tally.add(tally.refused, (case.kind, "the case itself"))
        return
    for comparison in comparisons:
        if not comparison.applies(case):
            continue
        key = (case.kind, comparison.name)
        try:
            found = said(names, comparison, 0)
            if found is not None:
                again = said(names, comparison, 1)
                if again is None:
                    tally.add(tally.unconfirmed, key)
                    found = None
        except RmtpError as error:
            tally.add(tally.refused, key)
            tally.add(tally.reasons, f"{case.kind}, {comparison.name}: {type(error).__name__}: {error.problem[:60]}")
            continue
        tally.add(tally.compared, key)
        if found is not None:
            yield comparison, found


# ---------------------------------------------------------------------------------------------
# shrinking


def smaller(case: Case) -> Iterator[Case]:
    """Cases with one line less, or one simpler line."""
    for k in reversed(range(len(case.lines))):
        yield replace(case, lines=case.lines[:k] + case.lines[k + 1 :])
    for k, line in enumerate(case.lines):
        for text in line.simpler:
            rest = tuple(s for s in line.simpler if len(s) < len(text))
            yield replace(case, lines=(*case.lines[:k], Line(text, rest), *case.lines[k + 1 :]))


def shrunk(case: Case, comparison: Comparison, found: str, seconds: float = 60.0) -> Case:
    """A case that fails the comparison in the same way, and no smaller one does (or time is out)."""
    end = time.monotonic() + seconds
    while True:
        for candidate in smaller(case):
            if time.monotonic() > end:
                return case
            if _fails(candidate, comparison, _way(found)):
                case = candidate
                break
        else:
            return case


def _way(found: str) -> str:
    """The class of the exception; empty for numbers that are apart."""
    return found.split(":", maxsplit=1)[0] if found.startswith("raises ") else ""


def _fails(case: Case, comparison: Comparison, way: str) -> bool:
    try:
        names = case.namespace()
        found = [said(names, comparison, attempt) for attempt in (0, 1)]
    except Exception:  # a line that others need, or a program that is refused
        return False
    return all(text is not None and _way(text) == way for text in found)


def as_code(case: Case, comparison: Comparison, found: str) -> str:
    """What a reader runs to see it."""
    return "\n".join([f"# {case.kind}, {comparison.name}, seed {case.seed}: {found}", case.source, comparison.code])


def pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def estimate(value: Any, error: float = 0.0) -> rmtp.Estimate:
    """A number with an error."""
    return rmtp.Estimate(value, error, "given")
