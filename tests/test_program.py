"""Programs: interning, order, width classes, and how they print."""

from __future__ import annotations

import sys
import textwrap
import time
from fractions import Fraction as F

import numpy as np
import pytest
import scipy.stats as st

import rmtp
from rmtp.instructions import Apply, Average, Init, MatVec, Parameter

n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)


def text(block):
    return textwrap.dedent(block).strip("\n")


# ---------------------------------------------------------------------------------------------
# lowering


def test_equal_lines_are_one_line():
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    one = rmtp.program(np.tanh(W @ x) + np.tanh(W @ x))
    assert [type(line.op) for line in one.lines] == [Init, MatVec, Apply, Apply]
    assert one.lines[-1].args == (2, 2)
    both = rmtp.program(np.mean(x * x), np.mean(x * x))
    assert both.outputs[0] == both.outputs[1]


def test_different_things_are_not_merged():
    W, U = rmtp.Gaussian(n, n), rmtp.Gaussian(n, n)
    x, y = rmtp.Normal(n), rmtp.Normal(n)
    for a, b in ((W @ x, U @ x), (W @ x, W.T @ x), (W @ x, W @ y), (x + 1, x + 2), (x**2, x**3), (x - y, y - x)):
        program = rmtp.program(a, b)
        assert program.outputs[0] != program.outputs[1]
    coins = [rmtp.IID(n, rmtp.Discrete([0, 1])) for _ in range(2)]
    assert rmtp.limit(np.mean(coins[0] * coins[1]), exact=True).value == F(1, 4)


def test_one_law_drawn_twice_is_two_vectors():
    law = st.uniform()
    a, b = rmtp.IID(n, law), rmtp.IID(n, law)
    assert float(rmtp.limit(np.mean(a * b))) == pytest.approx(0.25, abs=1e-12)
    assert float(rmtp.limit(np.mean(a * a))) == pytest.approx(1 / 3, abs=1e-12)


def test_numbers_of_equal_value_but_other_type_or_shape():
    x = rmtp.Normal(n, cov=np.eye(2), axis="k")
    a, b = x * np.array([1.0, 2.0]), x * np.array([2.0, 1.0])
    program = rmtp.program(a, b)
    assert program.outputs[0] != program.outputs[1]


def test_every_line_uses_earlier_lines():
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = x
    for _ in range(5):
        h = np.tanh(W @ h) + W.T @ h - np.mean(h)
    program = rmtp.program(h, np.mean(h))
    assert all(a < number for number, line in enumerate(program.lines) for a in line.args)
    assert {type(line.op) for line in program.lines} == {Init, MatVec, Apply, Average}


@pytest.mark.parametrize("length", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_long_programs_need_no_recursion(length):
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = x
    for k in range(length // 2):
        h = np.tanh(W @ h) if k % 2 else h + x
    assert len(rmtp.program(h).lines) > length // 2
    assert sys.getrecursionlimit() <= 10_000


def test_long_programs_have_limits():
    """3000 uses of one symmetric matrix: E h_k^2 = 1 exactly, as h is renormalised by its own size."""
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    h = x
    for _ in range(3000):
        h = W @ h
    assert rmtp.limit(np.mean(h * h), exact=True).value == 1


def test_long_programs_print():
    h = rmtp.Normal(n, name="x")
    W = rmtp.Gaussian(n, n, name="W")
    for _ in range(3000):
        h = np.tanh(W @ h)
    lines = str(rmtp.program(h)).splitlines()
    assert len(lines) > 3000
    assert repr(h)


def test_a_handle_used_many_times_is_visited_once():
    x = rmtp.Normal(n)
    h = x
    for _ in range(200):
        h = h + h  # 2^200 paths
    started = time.perf_counter()
    assert len(rmtp.program(h).lines) == 201
    assert rmtp.limit(np.mean(h * x), exact=True).value == 2**200
    assert time.perf_counter() - started < 60  # a walk over paths would not end


def test_parameters_compare_by_value_and_kind():
    assert Parameter(F(1, 2)) == Parameter(F(1, 2))
    assert Parameter(np.array([1.0, 2.0])) == Parameter(np.array([1.0, 2.0]))
    assert Parameter(np.array([1.0, 2.0]), swept=True) != Parameter(np.array([1.0, 2.0]))
    assert hash(Parameter(np.array([1.0]))) == hash(Parameter(np.array([1.0])))


# ---------------------------------------------------------------------------------------------
# width classes (TP II, example C.2; TP III, example F.4)


def named_classes(*handles):
    program = rmtp.program(*handles)
    return {frozenset(program.lines[k].name for k in members) - {""} for members in rmtp.width_classes(program)}


def test_width_classes_of_an_mlp():
    n1, n2 = rmtp.Dim("n1"), rmtp.Dim("n2", 2)
    W2 = rmtp.Gaussian(n2, n1, name="W2")
    g1, b1 = rmtp.Normal(n1, name="W1x"), rmtp.Normal(n1, name="b1")
    b2, v = rmtp.Normal(n2, name="b2"), rmtp.Normal(n2, name="v")
    x1 = np.tanh(g1 + b1).named("x1")
    x2 = np.tanh(W2 @ x1 + b2).named("x2")
    dh2 = (v * (1 - x2**2)).named("dh2")
    dx1 = (W2.T @ dh2).named("dx1")
    classes = named_classes(x2, dx1)
    assert frozenset({"b2", "v", "x2", "dh2"}) in classes
    assert frozenset({"W1x", "b1", "x1", "dx1"}) in classes
    assert len(classes) == 2


def test_width_classes_of_a_recurrent_network():
    """W maps a state to a state that is added to one: everything is one class."""
    W, U = rmtp.Gaussian(n, n, name="W"), rmtp.Gaussian(n, n, name="U")
    s, b = rmtp.Normal(n, name="s0"), rmtp.Normal(n, name="b")
    inputs = [rmtp.Normal(n, name=f"xi{k}") for k in range(3)]
    for xi in inputs:
        s = np.tanh(W @ s + U @ xi + b)
    classes = rmtp.width_classes(rmtp.program(s))
    program = rmtp.program(s)
    names = [{program.lines[k].name for k in members} - {""} for members in classes]
    assert {"s0", "b"} in names  # the state
    assert {"xi0", "xi1", "xi2"} in names  # the inputs of U have a width of their own


def test_width_classes_are_never_finer_than_declared():
    W, x, y = rmtp.Gaussian(m, n), rmtp.Normal(n), rmtp.Normal(m)
    program = rmtp.program(W.T @ np.tanh(W @ x + y) + x)
    for members in rmtp.width_classes(program):
        assert len({program.lines[k].dim for k in members}) == 1


def test_symmetric_matrices_have_one_class():
    A, x = rmtp.GOE(n), rmtp.Normal(n)
    assert len(rmtp.width_classes(rmtp.program(A @ x))) == 1


def test_initial_vectors_of_one_group_share_a_class():
    x, y = rmtp.Normal(n, (0, 0), [[1, 0], [0, 1]])
    assert len(rmtp.width_classes(rmtp.program(np.mean(x), np.mean(y)))) == 1


# ---------------------------------------------------------------------------------------------
# golden text, written by hand: what a reader would write on a board


def test_text_of_a_backward_pass():
    W = rmtp.Gaussian(m, n, name="W")
    x, b = rmtp.Normal(n, name="x"), rmtp.Normal(m, 0, F(1, 4), name="b")
    h = (W @ x + b).named("h")
    program = rmtp.program(np.mean((W.T @ np.tanh(h)) * x))
    assert str(program) == text("""
        program over n, m (ratio 2)
           1  x = N(0, 1)  : n
           2  v2 = W @ x  : m
           3  b = N(0, 1/4)  : m
           4  h = v2 + b  : m
           5  v5 = W.T @ tanh(h)  : n
           6  c6 = mean(v5*x)
    """)


def test_text_of_scalars_and_parentheses():
    x, y = rmtp.Normal(n, (0, F(1, 2)), [[1, 0], [0, 2]], name=("x", "y"))
    program = rmtp.program((x - (y - 1)) * (x + y) / (1 + np.mean(x**2)) ** 2, -(x**3), x - -2 * y)
    lines = str(program).splitlines()
    assert lines[1] == "   1  x = N(0, 1), member 1 of 2 with cov [1, 0]  : n"
    assert lines[2] == "   2  y = N(1/2, 2), member 2 of 2 with cov [0, 2]  : n"
    body = "\n".join(lines)
    assert "(x - (y - 1))*(x + y)/(1 + " in body
    assert "-x**3" in body
    assert "--" not in body


def test_text_of_division_and_reciprocal():
    x, y = rmtp.Normal(n, name="x"), rmtp.Normal(n, name="y")
    body = str(rmtp.program(x / (2 + np.cos(y))))
    assert "x/(2 + cos(y))" in body, body


def test_text_of_maximum_and_comparisons():
    x, y = rmtp.Normal(n, name="x"), rmtp.Normal(n, name="y")
    body = str(rmtp.program(np.where(x > 0, x, y) + np.maximum(x, y) + np.clip(x, -1, 1) + (x <= y)))
    assert "where(" in body
    assert "clip" in body


def test_text_of_axes():
    X = rmtp.Normal(n, cov=np.eye(3), axis="input", name="X")
    program = rmtp.program(X[:, 0] + np.sum(X, axis=1), X @ np.ones((3, 2)))
    lines = str(program).splitlines()
    assert lines[1] == "   1  X = N(mean[3], cov[3, 3])  : n, input[3]"
    assert "X[:, 0] + sum(X, axis=1)" in str(program)
    assert lines[-1].endswith(": n, axis[2]")


def test_text_of_laws_and_constants():
    program = rmtp.program(
        rmtp.IID(n, st.uniform(-1, 2), name="u")
        + rmtp.IID(n, rmtp.Discrete([-1, 1]), name="s")
        + rmtp.constant(n, F(1, 3), name="c")
        + rmtp.IID(n, rmtp.Mixture([0, st.norm()], [0.9, 0.1]), name="q")
    )
    body = str(program)
    assert "u = uniform(-1, 2)  : n" in body
    assert "s = 1/2 delta(-1) + 1/2 delta(1)  : n" in body
    assert "c = 1/3  : n" in body
    assert "q = 0.9 delta(0) + 0.1 N(0" in body


def test_latex_of_a_backward_pass():
    W = rmtp.Gaussian(m, n, name="W")
    x, b = rmtp.Normal(n, name="x"), rmtp.Normal(m, 0, F(1, 4), name="b")
    h = (W @ x + b).named("h")
    latex = rmtp.program(np.mean((W.T @ np.tanh(h)) * x / 2)).latex()
    assert latex == text(r"""
        \begin{align*}
          x &= \mathcal N(0, 1) \\
          v_{2} &= W x \\
          b &= \mathcal N(0, \tfrac{1}{4}) \\
          h &= v_{2} + b \\
          v_{5} &= W^\top \tanh\!\left(h\right) \\
          c_{6} &= \langle \frac{v_{5} x}{2} \rangle \\
        \end{align*}
    """)


def test_latex_is_balanced_and_has_no_program_text():
    W, A = rmtp.Gaussian(n, n), rmtp.GOE(n)
    x = rmtp.Normal(n)
    h = np.exp(-((W @ x) ** 2)) * rmtp.relu(A @ x) - np.sqrt(np.mean(np.abs(x)) + 1)
    h = h + np.where(x > 0, rmtp.gelu(x), np.cbrt(x)) + rmtp.elementwise(lambda v: v, name="my_f")(x)
    latex = rmtp.program(np.mean(h), W.T @ h).latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left(") == latex.count(r"\right)")
    body = latex.replace("align*", "")
    assert "**" not in body
    assert "*" not in body
    assert "@" not in body
    assert "_f" not in body.replace(r"\_f", "")


def test_matrices_without_names_are_numbered():
    W, U, A = rmtp.Gaussian(n, n), rmtp.Gaussian(n, n), rmtp.GOE(n)
    x = rmtp.Normal(n)
    body = str(rmtp.program(W @ x + U @ x + A @ x + W.T @ x))
    for fragment in ("W1 @ ", "W2 @ ", "A1 @ ", "W1.T @ "):
        assert fragment in body


def test_given_and_automatic_names_do_not_collide():
    """A user may call a vector v2; the line that would have been named so gets another name."""
    W = rmtp.Gaussian(n, n, name="W1")
    U = rmtp.Gaussian(n, n)
    x = rmtp.Normal(n, name="v2")
    lines = str(rmtp.program(U @ (W @ x))).splitlines()[1:]
    names = [line.split()[1] for line in lines]
    assert len(set(names)) == len(names), names
    assert "W1 @ v2" in lines[1]
    assert "W1 @" not in lines[2], "two matrices of one name"


def test_handles_print_as_expressions():
    W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    assert repr(np.tanh(W @ x)) == "tanh(W @ x)"
    assert repr(x) == "x"
    assert repr(W.T) == "W.T"
    assert repr(np.mean(x * x)) in ("mean(x*x)", "mean((x*x))")
    assert len(repr(np.tanh(np.tanh(np.tanh(np.tanh(np.tanh(x))))))) < 60


def test_where_names_the_printed_line():
    W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    program = rmtp.program(np.mean(np.tanh(W @ x) ** 2))
    assert program.where(0) == "line 1  x = N(0, 1)  : n"
    assert program.where(1) == "line 2  v2 = W @ x  : n"
    for number in range(2, len(program.lines)):
        assert program.where(number) == "line 3  c3 = mean(tanh(v2)**2)"
