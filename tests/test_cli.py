"""The command line: exit codes, what is printed, and malformed questions answered in one paragraph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rmtp
from rmtp.cli import main

GOOD = """
import numpy as np, rmtp
n = rmtp.Dim("n")
W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
g = W.T @ (W @ x)
overlap = np.mean(g * x)
plain = np.mean(x ** 4)
rough = np.mean(np.tanh(W @ x) ** 2)
both = [overlap, plain]
jump = np.mean(np.sign(W @ x - W @ x + 0 * x))
nothing = []
mixed = [overlap, 3]
number = 3.0
array = np.zeros(3)
divergent = np.mean(np.exp(x ** 2))
pair = rmtp.Normal(n, cov=[[1, 0], [0, 4]], axis="k")

def make():
    return overlap

def makes_list():
    return [overlap, g]

def returns_none():
    pass

def needs_argument(x):
    return x

def raises():
    raise ValueError("two\\nlines")

def exits():
    raise SystemExit(7)

def wrong_width():
    m = rmtp.Dim("m", 2)
    return np.mean(rmtp.Gaussian(m, n) @ rmtp.Normal(rmtp.Dim("k", 3)))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(GOOD)
    return path


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = main([str(a) for a in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_limit_prints_program_answer_and_naive_answer(capsys, program):
    code, out, err = run(capsys, "limit", f"{program}:overlap")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "program over n"
    assert lines[1].split() == ["1", "x", "=", "N(0,", "1)", ":", "n"]
    at = next(k for k, line in enumerate(lines) if line.startswith("limit of"))
    assert lines[at + 1] == "  1 (exact)"
    assert lines[at + 2].startswith("naive")
    assert lines[at + 3] == "  0 (exact)"


def test_no_naive_answer_where_it_is_the_same(capsys, program):
    code, out, _ = run(capsys, "limit", f"{program}:plain")
    assert code == 0
    assert "3 (exact)" in out
    assert "naive" not in out


def test_gradient_independence_gives_the_naive_answer_only(capsys, program):
    code, out, _ = run(capsys, "limit", f"{program}:overlap", "--gradient-independence")
    assert code == 0
    assert "0 (exact)" in out
    assert "1 (exact)" not in out


@pytest.mark.parametrize("name", ["both", "make", "makes_list", "g", "pair"])
def test_lists_functions_and_vectors(capsys, program, name):
    code, out, err = run(capsys, "limit", f"{program}:{name}")
    assert (code, err) == (0, "")
    assert "limit of" in out


def test_vectors_show_their_law_and_its_naive_law(capsys, program):
    _, out, _ = run(capsys, "limit", f"{program}:g")
    assert "var 2 (exact)" in out
    assert "var 1 (exact)" in out.split("naive")[1]


def test_every_digit_that_was_asked_for(capsys, program):
    _, out, _ = run(capsys, "limit", f"{program}:rough", "--dps", "30")
    from mpmath import mp, npdf, quad, tanh

    with mp.workdps(35):
        value = quad(lambda u: npdf(u) * tanh(u) ** 2, [-20, -5, -1, 0, 1, 5, 20])
        digits = mp.nstr(value, 32)[:27]
    assert digits in out


def test_exact_refuses_what_is_not_rational(capsys, program):
    code, _, err = run(capsys, "limit", f"{program}:rough", "--exact")
    assert code == 1
    assert "NotExact" in err
    assert "Traceback" not in err


def test_errors_of_the_engine_exit_with_1(capsys, program):
    code, _, err = run(capsys, "limit", f"{program}:divergent")
    assert code == 1
    assert "DivergentExpectation" in err
    assert "try" in err


def test_errors_of_the_language_name_the_line_of_the_file(capsys, program):
    line = next(k for k, text in enumerate(GOOD.splitlines(), start=1) if 'rmtp.Dim("k", 3)' in text)
    code, _, err = run(capsys, "limit", f"{program}:wrong_width")
    assert code == 1
    assert "DimensionMismatch" in err
    assert f"line {line}" in err


MALFORMED_TARGETS = {
    "no colon": ("{path}", "FILE.py:NAME"),
    "empty name": ("{path}:", "FILE.py:NAME"),
    "no file name": (":overlap", "FILE.py:NAME"),
    "name is an expression": ("{path}:overlap + 1", "FILE.py:NAME"),
    "attribute": ("{path}:np.mean", "FILE.py:NAME"),
    "no such file": ("{path}x:overlap", "no file"),
    "a folder": ("{folder}:overlap", "no file"),
    "no such name": ("{path}:missing", "missing"),
    "a number": ("{path}:number", "type float"),
    "an array": ("{path}:array", "type ndarray"),
    "a module": ("{path}:np", "type module"),
    "a matrix": ("{path}:W", "type Matrix"),
    "a width": ("{path}:n", "type Dim"),
    "an empty list": ("{path}:nothing", "empty list"),
    "a list with a number": ("{path}:mixed", "type int"),
    "a function that returns None": ("{path}:returns_none", "type NoneType"),
    "a function with an argument": ("{path}:needs_argument", "TypeError"),
    "a function that raises": ("{path}:raises", "ValueError: two lines"),
    "a function that exits": ("{path}:exits", "SystemExit: 7"),
}


@pytest.mark.parametrize("command", ["limit", "verify"])
@pytest.mark.parametrize("case", MALFORMED_TARGETS)
def test_malformed_targets(capsys, program, command, case):
    target, says = MALFORMED_TARGETS[case]
    code, out, err = run(capsys, command, target.format(path=program, folder=program.parent))
    assert code == 2
    assert out == ""
    assert says in err
    assert err.startswith("rmtp: ")
    assert err.count("\n") == 1, "one paragraph"


MALFORMED_FILES = {
    "syntax error": ("x = (1\n", "line 1"),
    "indentation": ("def f():\nreturn 1\n", "line 2"),
    "import of nothing": ("import no_such_module_at_all\n", "ModuleNotFoundError"),
    "name error": ("a = 1\nb = a + c\n", "line 2: NameError"),
    "division by zero": ("\n\nx = 1 / 0\n", "line 3: ZeroDivisionError"),
    "exit": ("import sys\nsys.exit()\n", "SystemExit"),
    "recursion": ("def f(): return f()\nx = f()\n", "RecursionError"),
    "not utf-8": (b"x = '\xff\xfe'\n", "utf-8"),
    "null bytes": (b"\x00\x01\x02", "null bytes"),
    "empty": ("", "defines no x"),
    "not Python": ("<html></html>", "invalid syntax"),
    "assertion": ("assert False\n", "line 1: AssertionError"),
}


@pytest.mark.parametrize("case", MALFORMED_FILES)
def test_malformed_files(capsys, tmp_path, case):
    text, says = MALFORMED_FILES[case]
    path = tmp_path / "bad.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, err = run(capsys, "limit", f"{path}:x")
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_file_of_another_kind(capsys, tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("overlap")
    code, _, err = run(capsys, "limit", f"{path}:overlap")
    assert code == 2
    assert ".py" in err


def test_a_file_may_import_its_neighbour(capsys, tmp_path, program):
    (tmp_path / "user.py").write_text("from program import overlap as mine\n")
    before = list(sys.path)
    code, out, _ = run(capsys, "limit", f"{tmp_path / 'user.py'}:mine")
    sys.modules.pop("program", None)
    assert code == 0
    assert "1 (exact)" in out
    assert sys.path == before


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["unknown"],
        ["limit"],
        ["limit", "f.py:x", "--method", "guess"],
        ["limit", "f.py:x", "--dps", "many"],
        ["verify", "f.py:x", "--widths"],
        ["verify", "f.py:x", "--widths", "wide"],
        ["reproduce", "--no-such-option"],
    ],
)
def test_malformed_options_exit_with_2(capsys, argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--dps", "-3"], ["--rtol", "0"], ["--rtol", "nan"], ["--exact", "--dps", "20"]])
def test_options_out_of_range(capsys, program, options):
    code, _, err = run(capsys, "limit", f"{program}:overlap", *options)
    assert code == 1
    assert "BadParameter" in err


def test_verify_prints_a_table_and_saves_a_figure(capsys, program, tmp_path):
    out_dir = tmp_path / "a" / "b"
    argv = ["verify", f"{program}:overlap", "--widths", "50", "100", "200", "--trials", "40", "--out", out_dir]
    code, out, _ = run(capsys, *argv)
    assert code == 0  # fixed seed; one correct limit in 16000 would fail
    assert "| n |" in out
    assert (out_dir / "overlap.png").read_bytes().startswith(b"\x89PNG")
    assert run(capsys, *argv)[1] == out, "the same seed, the same table"
    assert run(capsys, *argv, "--seed", "1")[1] != out


@pytest.mark.parametrize("widths", [["-5"], ["100", "100"], ["0"]])
def test_verify_refuses_impossible_widths(capsys, program, widths, tmp_path):
    argv = ["verify", f"{program}:overlap", "--out", tmp_path, "--trials", "5", "--widths", *widths]
    code, _, err = run(capsys, *argv)
    assert code == 1
    assert "BadParameter" in err


def test_verify_of_a_vector(capsys, program, tmp_path):
    code, _, err = run(capsys, "verify", f"{program}:g", "--out", tmp_path)
    assert code == 1
    assert "np.mean" in err


def test_a_folder_that_cannot_be_made(capsys, program):
    code, _, err = run(capsys, "verify", f"{program}:overlap", "--out", program / "below-a-file")
    assert code == 2
    assert "--out" in err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"rmtp {rmtp.__version__}"


def test_python_dash_m(program):
    done = subprocess.run(
        [sys.executable, "-m", "rmtp", "limit", f"{program}:missing"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "rmtp", "limit", f"{program}:overlap"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "1 (exact)" in done.stdout
