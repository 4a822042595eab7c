"""rmtp.sweep: arrays over grids, failures, folders that resume after any interruption, executors that lose workers."""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from fractions import Fraction as F
from pathlib import Path

import mpmath
import numpy as np
import pytest

import rmtp
from rmtp import errors as E
from rmtp.checkpoints import MARK, key_of, stable
from rmtp.records import dumps, loads, record
from rmtp.results import Estimate

GRID = {"a": [1, 2, 3], "b": [F(1, 2), 2.0]}


def product(a, b):
    return a * b


# ---------------------------------------------------------------------------------------------
# values


def test_numbers_arrays_dicts_and_estimates():
    assert rmtp.sweep(product, GRID).value.tolist() == [[0.5, 2.0], [1.0, 4.0], [1.5, 6.0]]
    assert rmtp.sweep(product, GRID).estimates()[2, 0].value == F(3, 2)
    both = rmtp.sweep(lambda a, b: {"sum": a + b, "row": np.arange(4) * a}, GRID)
    assert both.names == ("sum", "row") and both["row"].shape == (3, 2, 4)
    assert np.array_equal(both["row"][2, 1], 3.0 * np.arange(4))
    x = rmtp.Normal(rmtp.Dim("n"))
    limits = rmtp.sweep(lambda s: rmtp.limit(np.mean(np.tanh(s * x) ** 2)), {"s": [1, 2]})
    swept = rmtp.limit(np.mean(np.tanh(rmtp.parameter([1, 2]) * x) ** 2))
    assert np.allclose(limits.value, swept.value, rtol=1e-13) and np.all(limits.error() > 0)
    assert rmtp.sweep(lambda a: 1j * a, {"a": [1]}).value.tolist() == [1j]


def test_lists_of_points_and_names_as_values():
    study = rmtp.sweep(
        lambda name, depth: len(name) * depth, [{"name": "relu", "depth": 2}, {"name": "erf", "depth": 1}]
    )
    assert study.value.tolist() == [8, 3] and study.grid.names == ("name", "depth")
    assert rmtp.sweep(lambda f: float(f(0.5)), {"f": [np.tanh, np.sin]}).value.tolist() == [
        math.tanh(0.5),
        math.sin(0.5),
    ]


def test_points_that_fail_are_kept_apart():
    def f(a, b):
        if a == 2:
            raise ValueError(f"no value at {b}")
        return a * b

    study = rmtp.sweep(f, GRID)
    assert [x.parameters for x in study.failures] == [{"a": 2, "b": F(1, 2)}, {"a": 2, "b": 2.0}]
    assert study.masked().mask.tolist() == [[False, False], [True, True], [False, False]]
    assert study.masked()[2, 1] == 6.0
    for read in (lambda: study.value, lambda: study[""], study.raise_failures):
        with pytest.raises(E.PointsFailed, match="2 of 6") as caught:
            read()
        assert "a = 2, b = 1/2: ValueError: no value at 1/2" in str(caught.value)
        assert "in f" in caught.value.__notes__[0]
    assert "failed at a = 2" in str(study) and "failed" in study.to_markdown()


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, None, "text", {}, {"": 1}, {1: 1}, [1, [2]], [1, math.nan], object(), mpmath.nan]
)
def test_results_that_are_no_numbers_fail_their_point(bad):
    study = rmtp.sweep(lambda a: bad if a else 1, {"a": [0, 1]})
    assert [f.kind for f in study.failures] == ["BadParameter"] and study.masked()[0] == 1


def test_every_point_fails():
    study = rmtp.sweep(lambda a: 1 / 0, {"a": [0, 1]})
    with pytest.raises(E.PointsFailed, match="2 of 2"):
        study.value  # noqa: B018
    with pytest.raises(E.PointsFailed):
        study.masked()


def test_reading_what_is_not_there():
    study = rmtp.sweep(lambda a: {"x": np.ones(a), "y": a} if a < 3 else {"y": a}, {"a": [1, 2, 3]})
    assert study["y"].tolist() == [1, 2, 3]
    with pytest.raises(E.BadParameter):
        study["z"]
    with pytest.raises(E.BadParameter, match="which one"):
        study.value  # noqa: B018
    with pytest.raises(E.PointsFailed, match="missing at a = 3"):
        study["x"]
    ragged = rmtp.sweep(lambda a: np.ones(a) * 2, {"a": [1, 2]})
    with pytest.raises(E.UnsupportedOperation):
        ragged.value  # noqa: B018
    assert ragged.estimates()[1].value.shape == (2,)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: rmtp.sweep(product, None), "grid"),
        (lambda: rmtp.sweep(product, {"a": [1]}), "needs b"),
        (lambda: rmtp.sweep(product, {"a": [1], "b": [1], "c": [1]}), "parameter c"),
        (lambda: rmtp.sweep(3, GRID), "f=3"),
        (lambda: rmtp.sweep(product, GRID, executor="threads"), "executor"),
        (lambda: rmtp.sweep(product, GRID, version="1"), "version"),
        (lambda: rmtp.sweep(product, {"a": [], "b": [1]}), "a: "),
        (lambda: rmtp.sweep(product, {"a": [math.inf], "b": [1]}), "inf"),
        (lambda: rmtp.sweep(product, GRID, path="/proc/none"), "path"),
        (lambda: rmtp.sweep(product, GRID, path=__file__), "path"),
    ],
)
def test_bad_arguments(call, match):
    with pytest.raises(E.BadParameter, match=match) as caught:
        call()
    assert caught.value.remedy


# ---------------------------------------------------------------------------------------------
# on disk


def test_records_come_back_bit_by_bit():
    with mpmath.workdps(40):
        values = {
            "a": Estimate(F(10**30, 7), 0, "exact"),
            "b": Estimate(0.1, 1e-17, "quadrature", ("a note",)),
            "c": Estimate(mpmath.pi / -3, 1e-40, "quadrature"),
            "d": np.random.default_rng(0).standard_normal((2, 3)),
            "e": np.array([True, False]),
            "f": 2**100,
            "g": 0.1 + 0.3j,
        }
        first = record(values)
        again = loads(dumps(first))
        assert list(again) == list(first)
        for name, e in first.items():
            back = again[name]
            assert np.array_equal(e.value, back.value) and e.error == back.error
            assert (type(e.value), e.method, e.notes) == (type(back.value), back.method, back.notes)
        assert again["d"].value.dtype == float and again["e"].value.dtype == bool


class Counted:
    """A function that counts its calls, and fails at some points."""

    def __init__(self, failing=()):
        self.calls, self.failing = [], failing

    def __call__(self, a, b):
        self.calls.append((a, b))
        if a in self.failing:
            raise RuntimeError("not yet")
        return a * b


def test_finished_points_are_not_run_again(tmp_path):
    first = Counted(failing=[2])
    study = rmtp.sweep(first, GRID, path=tmp_path / "study", version="1")
    assert len(first.calls) == 6 and len(study.failures) == 2
    second = Counted()
    study = rmtp.sweep(second, GRID, path=tmp_path / "study", version="1")
    assert second.calls == [(2, F(1, 2)), (2, 2.0)] and not study.failures
    assert study.value.tolist() == rmtp.sweep(product, GRID).value.tolist()
    assert study.estimates()[0, 0].value == F(1, 2)


def test_folders_of_another_study_are_refused(tmp_path):
    rmtp.sweep(product, GRID, path=tmp_path)
    rmtp.sweep(product, GRID, path=str(tmp_path))
    refused = [
        (lambda a, b: a * b + 0, GRID, None, "function"),
        (product, GRID, "1", "function"),
        (product, {**GRID, "a": [1, 2]}, None, "grid"),
        (product, {**GRID, "a": [1.0, 2, 3]}, None, "grid"),
        (product, [{"a": 1, "b": 2}], None, "grid"),
    ]
    for f, grid, version, what in refused:
        with pytest.raises(E.BadParameter, match=f"its {what}") as caught:
            rmtp.sweep(f, grid, path=tmp_path, version=version)
        assert caught.value.remedy


def test_damaged_and_foreign_folders(tmp_path):
    rmtp.sweep(product, GRID, path=tmp_path / "a")
    for text in (b"", b"{}x", b'{"": {"value": {"float": "zz"}}}', b"[]", b'{"": 1}', b"\xff\xfe"):
        (tmp_path / "a" / "3.json").write_bytes(text)
        with pytest.raises(E.BadParameter, match="damaged"):
            rmtp.sweep(product, GRID, path=tmp_path / "a")
    for text in (b"", b"[]", b"\xff"):
        (tmp_path / "a" / MARK).write_bytes(text)
        with pytest.raises(E.BadParameter, match="another study"):
            rmtp.sweep(product, GRID, path=tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(E.BadParameter, match="other files"):
        rmtp.sweep(product, GRID, path=tmp_path / "b")


def test_what_a_study_depends_on():
    def with_depth(depth):
        return lambda a, b: a * b + depth

    assert key_of(with_depth(1), None) == key_of(with_depth(1), None) != key_of(with_depth(2), None)
    assert key_of(functools.partial(product, a=1), None) != key_of(functools.partial(product, a=2), None)
    assert key_of(product, "1") != key_of(product, "2") != key_of(product, None)
    for f in (Counted(), with_depth(object())):
        with pytest.raises(E.BadParameter) as caught:
            key_of(f, None)
        assert "version" in caught.value.remedy
    for value in (object(), lambda x: x, [object()]):
        with pytest.raises(E.BadParameter):
            stable(value)
    with pytest.raises(E.BadParameter):
        key_of(product, 3)


SLOW = """
import sys, time
from pathlib import Path
import rmtp

def f(a):
    with open(sys.argv[1] + ".log", "a") as log:
        log.write(f"{a}\\n")
    time.sleep(0.1)
    return a * a

print(rmtp.sweep(f, {"a": list(range(20))}, path=sys.argv[1]).value.tolist())
"""


def environment():
    folder = str(Path(rmtp.__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}


def test_a_killed_run_is_taken_up_where_it_was(tmp_path):
    """SIGKILL in the middle; the next run repeats at most the point that was running."""
    script, folder = tmp_path / "slow.py", tmp_path / "study"
    script.write_text(SLOW)
    command = [sys.executable, str(script), str(folder)]
    log = Path(f"{folder}.log")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        while not log.exists() or len(log.read_text().split()) < 5:
            assert process.poll() is None
        process.kill()
    started = log.read_text().split()
    finished = sorted(p.stem for p in folder.glob("*.json") if p.name != MARK)
    assert 4 <= len(finished) < 20 and len(started) - len(finished) <= 1
    assert all(json.loads((folder / f"{name}.json").read_text()) for name in finished)
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment(), check=True)
    assert done.stdout.strip() == str([float(a * a) for a in range(20)])
    again = log.read_text().split()[len(started) :]
    assert len(again) == 20 - len(finished) and not {f"{int(a):02d}" for a in again} & set(finished)


# ---------------------------------------------------------------------------------------------
# executors


def test_threads_give_the_same(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        study = rmtp.sweep(product, GRID, executor=pool, path=tmp_path)
        failing = rmtp.sweep(lambda a: 1 / (a - 2), {"a": [1, 2, 3]}, executor=pool)
    assert study.value.tolist() == rmtp.sweep(product, GRID).value.tolist()
    assert [f.parameters["a"] for f in failing.failures] == [2] and failing.masked()[2] == 1


class Dying:
    """An executor that does two tasks, then breaks."""

    def __init__(self):
        self.done = 0

    def submit(self, f, *args):
        future = Future()
        self.done += 1
        if self.done > 2:
            future.set_exception(BrokenExecutor("gone"))
        else:
            future.set_result(f(*args))
        return future


def test_an_executor_that_dies_keeps_what_is_done(tmp_path):
    with pytest.raises(BrokenExecutor) as caught:
        rmtp.sweep(product, GRID, executor=Dying(), path=tmp_path)
    assert (
        len(list(tmp_path.glob("*.json"))) <= 3
    )  # finished futures come in any order: up to two points beside the mark
    assert "kept" in caught.value.__notes__[0]
    assert rmtp.sweep(product, GRID, path=tmp_path).value.shape == (3, 2)


CLUSTER = """
import os, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
import rmtp

def local(a):
    return a + 1

if __name__ == "__main__":
    LOG = sys.argv[1]
    with ProcessPoolExecutor(1) as pool:
        assert rmtp.sweep(local, {"a": [1, 2]}, executor=pool).value.tolist() == [2, 3]
        study = rmtp.sweep(lambda a: a, {"a": [1, 2]}, executor=pool)
        assert len(study.failures) == 2
        try:
            study.value
        except rmtp.errors.PointsFailed as error:
            assert "module" in error.remedy, error
    from distributed import Client, LocalCluster

    def work(a, log=LOG):
        with open(log, "a") as file:
            file.write(f"{a} {os.getpid()}\\n")
        time.sleep(0.15)
        return {"square": a * a, "worker": os.getpid()}

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        victim = sorted(client.run(os.getpid).values())[0]

        def kill():
            while not os.path.exists(LOG) or sum(str(victim) in line for line in open(LOG)) < 3:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        study = rmtp.sweep(work, {"a": list(range(24))}, executor=client.get_executor(), path=sys.argv[2], version="1")
        killer.join()
    assert not study.failures, study.failures
    assert study["square"].tolist() == [float(a * a) for a in range(24)]
    ran = [line.split() for line in open(LOG)]
    assert any(int(pid) == victim for _, pid in ran)
    print("lost", len(ran) - 24, "finished", len(set(a for a, _ in ran)))
"""


def test_a_cluster_that_loses_a_worker_loses_no_point(tmp_path):
    """dask.distributed on two workers of its own; one is killed while it computes, and its tasks go to others."""
    script, log = tmp_path / "cluster.py", tmp_path / "log"
    script.write_text(CLUSTER)
    done = subprocess.run(
        [sys.executable, str(script), str(log), str(tmp_path / "study")],
        capture_output=True,
        text=True,
        timeout=150,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lost, finished = int(done.stdout.split()[1]), int(done.stdout.split()[3])
    assert lost >= 1 and finished == 24, done.stdout  # the victim's work was repeated
    assert len(list((tmp_path / "study").glob("*.json"))) == 25


# ---------------------------------------------------------------------------------------------
# reports


def test_tables_and_figures():
    study = rmtp.sweep(lambda a, b: {"x": a * b, "y": np.ones(2)}, GRID)
    rows = [line for line in study.to_markdown().splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 6 and "array (2,)" in rows[2] and "3/2" in study.to_markdown()
    ax = study.plot("x")
    assert ax.get_xlabel() == "a" and ax.get_ylabel() == "x"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["b = 1/2", "b = 2"]
    with pytest.raises(E.UnsupportedOperation):
        study.plot("y")
    big = rmtp.sweep(product, {"a": range(1, 5), "b": range(1, 10)}).plot()
    assert (big.get_xlabel(), big.get_ylabel()) == ("a", "b")
    mesh = big.collections[0].get_array()
    assert np.asarray(mesh).reshape(9, 4)[8, 3] == 36
    named = rmtp.sweep(lambda f: float(f(0.5)), {"f": [np.tanh, np.sin]}).plot()
    assert named.get_xlabel() == "f"
