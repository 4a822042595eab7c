"""Malformed files: whatever they hold, the answer is one paragraph and an exit code, or an error of rmtp; never a traceback."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rmtp
from rmtp.cli import main

START = "import numpy as np, rmtp\nn = rmtp.Dim('n')\nx = rmtp.Normal(n)\nW = rmtp.Gaussian(n, n)\n"

CONTENTS: dict[str, str | bytes] = {
    "empty": "",
    "blank": "\n\n  \n",
    "bytes": bytes(range(256)),
    "zeros": b"\0" * 100,
    "utf-16": "theta = 1".encode("utf-16"),
    "latin": "# caf\xe9\ntheta = 1".encode("latin-1"),
    "markdown": "# Title\n\nSome *text*.\n",
    "json": '{"theta": [1, 2',
    "half a line": START + "theta = np.mean(",
    "indentation": START + "  theta = 1",
    "tabs and spaces": "if True:\n\tx = 1\n        y = 2\n",
    "deep": "theta = " + "(" * 500 + "1" + ")" * 500,
    "unknown name": START + "theta = np.mean(z)",
    "unknown attribute": START + "theta = rmtp.nothing(x)",
    "unknown module": "import nothing_of_this_name",
    "its own name": "from program import theta",
    "raises": "raise ValueError('mine\\nin two lines')",
    "raises without a word": "raise Exception",
    "raises a class of its own": "class Odd(Exception):\n    def __str__(self):\n        return ''\nraise Odd",
    "exits": "import sys; sys.exit(3)",
    "quits": "quit()",
    "recursion": "def f():\n    return f()\nf()",
    "assertion": "assert False",
    "generator exit": "raise GeneratorExit",
    "stops": "raise StopIteration",
    "no theta": START,
    "None": "theta = None",
    "number": "theta = 1.5",
    "nan": "theta = float('nan')",
    "text": "theta = 'np.mean(x)'",
    "array": "import numpy as np\ntheta = np.ones(3)",
    "module": "import numpy as theta",
    "class": "class theta:\n    pass",
    "class with arguments": "class theta:\n    def __init__(self, a):\n        pass",
    "dict": START + "theta = {'a': np.mean(x)}",
    "set": "theta = {1}",
    "empty list": "theta = []",
    "mixed list": START + "theta = [np.mean(x), 1]",
    "nested list": START + "theta = [[np.mean(x)]]",
    "function of arguments": START + "def theta(a):\n    return np.mean(x)",
    "function of nothing": START + "def theta():\n    pass",
    "function that raises": START + "def theta():\n    return 1 / 0",
    "function of a function": START + "def theta():\n    return lambda: np.mean(x)",
    "matrix": START + "theta = W",
    "matrix expression": START + "theta = W @ W.T",
    "law": START + "theta = rmtp.spectrum(rmtp.GOE(n))",
    "width": START + "theta = n",
    "estimate": START + "theta = rmtp.limit(np.mean(x))",
    "program": START + "theta = rmtp.program(x)",
    "wrong width": START + "theta = np.mean(rmtp.Gaussian(rmtp.Dim('m', 2), n) @ (W @ x) + x)",
    "wrong side": START + "theta = rmtp.Gaussian(rmtp.Dim('m', 2), n).T @ x",
    "branch": START + "if x > 0:\n    theta = 1",
    "loop": START + "for v in x:\n    pass",
    "sum": START + "theta = np.sum(x)",
    "norm": START + "theta = np.linalg.norm(x)",
    "sort": START + "theta = np.sort(x)",
    "array of handle": START + "theta = np.asarray(x)",
    "division by zero": START + "theta = np.mean(x) / 0",
    "zero divisor": START + "theta = np.mean(x**2) / np.mean(x)",
    "divergent": START + "theta = np.mean(np.exp(x**2))",
    "log": START + "theta = np.mean(np.log(x))",
    "heavy tail": START + "import scipy.stats\ntheta = np.mean(rmtp.IID(n, scipy.stats.cauchy()) ** 2)",
    "negative variance": START + "theta = np.mean(rmtp.Normal(n, cov=-1))",
    "nan variance": START + "theta = np.mean(rmtp.Gaussian(n, n, std=float('nan')) @ x)",
    "two widths of one name": START + "theta = [np.mean(x), np.mean(rmtp.Normal(rmtp.Dim('n', 2)))]",
}
TARGETS = (
    "program.py:theta",
    "program.py:x y",
    "program.py:",
    "program.py",
    ":theta",
    "program.txt:theta",
    "nothing.py:theta",
    ".:theta",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("command", "content"), list(itertools.product(("limit", "verify"), CONTENTS)))
def test_malformed_programs(command, content, folder, capsys):
    held = CONTENTS[content]
    (folder / "program.py").write_bytes(held.encode() if isinstance(held, str) else held)
    options = ["--widths", "10", "20", "--trials", "3"] if command == "verify" else []
    code = main([command, "program.py:theta", *options])
    said = capsys.readouterr()
    assert code in (1, 2), said.out
    assert said.err.startswith("rmtp: ") and "Traceback" not in said.err and len(said.err) < 2000
    assert "nan" not in said.out.lower()


@pytest.mark.parametrize("target", TARGETS[1:])
def test_malformed_targets(target, folder, capsys):
    (folder / "program.py").write_text(START + "theta = np.mean(x)")
    (folder / "program.txt").write_text("theta = 1")
    assert main(["limit", target]) == 2
    assert capsys.readouterr().err.startswith("rmtp: ")


def test_the_same_file_without_a_fault(folder, capsys):
    (folder / "program.py").write_text(START + "theta = np.mean(x**2)")
    assert main(["limit", TARGETS[0]]) == 0 and "1 (exact)" in capsys.readouterr().out


DAMAGE = (b"", b"\x93NUMPY", bytes(range(256)), b"text", b"\x93NUMPY\x01\x00" + b"{'descr'}" * 20)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["k.npy", "k.progress"])
def test_damaged_files_of_kernels(name, damage, folder):
    net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, rmtp.Dim("n"))))  # noqa: E731
    rmtp.nngp(net, np.eye(3), out="k.npy")
    (folder / name).write_bytes(damage)
    with pytest.raises(rmtp.errors.BadParameter) as caught:
        rmtp.nngp(net, np.eye(3), out="k.npy")
    assert "k." in str(caught.value) and caught.value.remedy


def test_a_kernel_of_another_shape_is_refused(folder):
    net = lambda x: rmtp.readout(rmtp.relu(rmtp.networks.dense(x, rmtp.Dim("n"))))  # noqa: E731
    rmtp.nngp(net, np.eye(3), out="k.npy")
    for other in (np.zeros((2, 2)), np.zeros((3, 3), dtype=int), np.array(["a"])):
        np.save(folder / "k.npy", other)
        with pytest.raises(rmtp.errors.BadParameter):
            rmtp.nngp(net, np.eye(3), out="k.npy")
