"""Limits of random programs against finite matrices, by z-score.

Programs use W and W.T and a second matrix, two widths, smooth and non-smooth functions, scalars. Each average is drawn
`TRIALS` times at width n by an evaluator of this test suite; its mean must be within

    4.5 standard errors + BIAS / n * scale

of the limit. For Student t with 23 degrees of freedom 4.5 standard errors are passed once in 6000 numbers; about 70 numbers are
tested with fixed seeds, so that one choice of the seeds in 80 would give a false alarm, and none comes back once it is absent.
The bias of an average is O(1/n); the constant allowed is BIAS times the root mean square of what is averaged.
"""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest
from oracles import evaluate

import rmtp

TRIALS = 24
BIAS = 12.0

SMOOTH = [np.tanh, np.sin, np.arctan, lambda v: v * np.exp(-(v**2) / 4)]
KINKED = [rmtp.relu, np.abs, np.sign]
KINKED += [lambda v: np.heaviside(v - 0.2, 0), lambda v: np.clip(v, -1, 1), lambda v: (v > 0) * v**2 / 3]
FUNCTIONS = SMOOTH + KINKED


def layer_norm(v):
    return (v - np.mean(v)) / np.sqrt(np.var(v) + 0.1)


def random_program(seed, steps):
    """Averages of a random program."""
    rng = np.random.default_rng(seed)
    ratio = [F(1), F(2), F(1, 2)][seed % 3]
    n, m = rmtp.Dim("n"), rmtp.Dim("m", ratio)
    W, V = rmtp.Gaussian(m, n, variance=F(3, 4)), rmtp.Gaussian(m, n, variance=F(1, 2))
    A = rmtp.GOE(n, variance=F(1, 2))
    x = rmtp.Normal(n, F(1, 4))
    y = rmtp.IID(m, rmtp.Discrete([-1, 0, 1])) if seed % 2 else rmtp.Normal(m, cov=F(1, 2))
    sides = [[x], [y]]
    side = 0
    for _ in range(steps):
        v = sides[side][-1]
        kind = rng.integers(10)
        if kind == 0 and side == 0:
            u = A @ v
        else:
            M = (W, W, W, V)[rng.integers(4)]
            u, side = (M @ v, 1) if side == 0 else (M.T @ v, 0)
        mate = sides[side][rng.integers(len(sides[side]))]
        if rng.integers(2):
            u = u + 0.5 * mate
        u = FUNCTIONS[rng.integers(len(FUNCTIONS))](u)
        if rng.integers(3) == 0:
            u = layer_norm(u)
        sides[side].append(u)
    return [np.mean(a * b) for s in sides for k, a in enumerate(s) for b in s[k:] if a is not x or b is not x][-4:]


def compare(averages, width, trials=TRIALS, seed=0):
    """The averages whose mean over finite draws is too far from the limit."""
    limits = rmtp.limit(averages, rtol=1e-4)
    program = rmtp.program(*averages)
    rng = np.random.default_rng(seed)
    draws = np.array([evaluate(program, width, rng) for _ in range(trials)], dtype=float)
    missed = []
    for k, estimate in enumerate(limits):
        error = math.hypot(np.std(draws[:, k], ddof=1) / math.sqrt(trials), estimate.error)
        scale = max(abs(float(estimate.value)), 0.1)
        if abs(draws[:, k].mean() - float(estimate.value)) > 4.5 * error + BIAS / width * scale:
            missed.append((k, estimate, draws[:, k].mean(), error))
    return missed


@pytest.mark.parametrize("seed", range(12))
def test_short_random_programs_against_samples(seed):
    assert not compare(random_program(seed, 2 + seed % 2), width=600, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_random_programs_against_samples(seed):
    assert not compare(random_program(seed, 2 + seed % 3), width=1500, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 210))
def test_deep_random_programs_against_samples(seed):
    assert not compare(random_program(seed, 6), width=1500, seed=seed)


def test_the_comparison_can_fail():
    """The naive answer, without Z-Dot, is refused by the same rule."""
    n = rmtp.Dim("n")
    W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    average = np.mean((W.T @ np.tanh(W @ x)) * x)
    naive = rmtp.limit(average, gradient_independence=True)
    rng = np.random.default_rng(0)
    draws = np.array([evaluate(rmtp.program(average), 600, rng)[0] for _ in range(TRIALS)])
    error = draws.std(ddof=1) / math.sqrt(TRIALS)
    assert abs(draws.mean() - naive.value) > 4.5 * error + BIAS / 600
    assert not compare([average], 600)


def test_the_samplers_of_the_library_and_of_the_tests_agree():
    """Two implementations of a finite draw: means within 4.5 standard errors, a false alarm once in 10^4."""
    averages = random_program(3, 3)
    program = rmtp.program(*averages)
    rng = np.random.default_rng(1)
    mine = np.array([evaluate(program, 300, rng) for _ in range(40)], dtype=float)
    theirs = np.array([np.asarray(rmtp.sample(averages, 300, rng=k), dtype=float).ravel() for k in range(40)])
    spread = np.sqrt(mine.var(axis=0, ddof=1) / 40 + theirs.var(axis=0, ddof=1) / 40)
    assert np.all(np.abs(mine.mean(axis=0) - theirs.mean(axis=0)) <= 4.5 * spread + 1e-12)


@pytest.mark.parametrize("body", ["goe", "memory", "layer norm", "sign", "mixture"])
def test_named_programs_against_samples(body):
    n, m = rmtp.Dim("n"), rmtp.Dim("m", 2)
    x, y = rmtp.Normal(n), rmtp.Normal(m, F(1, 2))
    W, A = rmtp.Gaussian(m, n), rmtp.GOE(n)
    match body:
        case "goe":
            h = A @ np.tanh(A @ np.sign(x))
            averages = [np.mean(h * x), np.mean(h * h), np.mean(np.abs(h))]
        case "memory":
            h1 = W @ x
            g1 = np.tanh(W.T @ rmtp.relu(h1 + y))
            h2 = W @ (g1 - x)
            averages = [np.mean(h2 * h1), np.mean(h2 * y), np.mean(np.abs(h2))]
        case "layer norm":
            h = layer_norm(rmtp.relu(W @ x + y))
            g = W.T @ h
            averages = [np.mean(g * x), np.mean(layer_norm(g) * np.tanh(g)), np.var(h)]
        case "sign":
            g = W.T @ np.sign(W @ x + 0.3)
            averages = [np.mean(g * x), np.mean(np.sign(g) * x), np.mean(g > 0.5)]
        case _:
            s = rmtp.IID(n, rmtp.Mixture([0, 2], [0.75, 0.25]))
            g = s + (W.T @ (W @ s)) / 2
            averages = [np.mean((rmtp.soft_threshold(g, 1.0) - s) ** 2), np.mean(g * s), np.mean(g > 1)]
    assert not compare(averages, width=500)
