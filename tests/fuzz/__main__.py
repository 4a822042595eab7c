"""``python -m tests.fuzz --minutes N [--seed S] [--kind programs|spectra|networks|algorithms|all]``."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from . import algorithms, networks, programs, spectra
from .cases import Case, Comparison, OutOfTime, Tally, as_code, judge, shrunk

KINDS: dict[str, tuple[Callable[[int], Case], Sequence[Comparison]]] = {
    name: (module.case, module.COMPARISONS)
    for name, module in (
        ("programs", programs),
        ("spectra", spectra),
        ("networks", networks),
        ("algorithms", algorithms),
    )
}
SECONDS = 60  # for one case


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """OutOfTime after so many seconds; without alarms (Windows), no limit."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(kinds: Sequence[str], seed: int, minutes: float, most: int | None = None, out: Any = print) -> Tally:
    """Cases of these kinds in turn, until time or number is out."""
    tally, end = Tally(), time.monotonic() + 60 * minutes
    for number in itertools.count():
        if time.monotonic() > end or (most is not None and number >= most):
            return tally
        kind = kinds[number % len(kinds)]
        make, comparisons = KINDS[kind]
        case = make(seed + number)
        found: list[tuple[Comparison, str]] = []
        try:
            with time_limit(SECONDS):
                found = list(judge(case, comparisons, tally))
        except OutOfTime:
            tally.add(tally.slow, case.kind)
        for comparison, text in found:
            least = shrunk(case, comparison, text)
            tally.failures.append((least, comparison, text))
            out(as_code(least, comparison, text) + "\n")
    raise AssertionError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if anything disagrees."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--cases", type=int, default=None, help="at most so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    given = parser.parse_args(arguments)
    kinds = list(KINDS) if given.kind == "all" else [given.kind]
    tally = fuzz(kinds, given.seed, given.minutes, given.cases, partial(print, flush=True))
    print(tally)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
