"""Data that jump beneath a derived Onsager term; rational parameters on arrays; reports of sweeps."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import scipy.stats

import rmtp
from rmtp import amp, errors

STEP = 0.25
labels = amp.generalised_linear_model(2, scipy.stats.norm(), amp.logistic())


def held_by_the_products(method, problem, steps):
    """b[t, s] as the theorem has it: what the raw products of the corrected method hold, by Z-Dot of the whole walk."""
    found = rmtp.state_evolution(method, problem, steps).memory()
    rows = {name: t for t, name in enumerate(found.products)}
    return {
        f"b[{t}, {s}]": float(found.coefficients.value[rows[f"A @ x_{t}"], found.vectors.index(f"z_{s}")])
        for t in range(1, steps)
        for s in range(t)
    }


@pytest.mark.parametrize("name", ["labels", "batches"])
def test_data_may_jump(name):
    loss = partial(amp.gradient_descent, step=STEP, loss=amp.logistic_loss)
    batches = amp.minibatches(amp.linear_model(2, scipy.stats.norm(), 0.1), 2)
    method, problem = {
        "labels": (loss, labels),
        "batches": (partial(amp.minibatch_descent, step=STEP, count=2), batches),
    }[name]
    corrected = rmtp.onsager(method)
    found = {key: float(b) for key, b in corrected.coefficients(problem, 4)}
    expected = held_by_the_products(corrected, problem, 4)
    assert max(abs(b) for b in expected.values()) > 0.1
    for key, b in expected.items():
        assert found.pop(key) == pytest.approx(b, abs=1e-9)
    assert not found


def test_a_product_inside_a_jump_is_still_refused():
    method = rmtp.onsager(partial(amp.gradient_descent, step=STEP, loss=lambda y, p: np.sign(p - y)), ("A", "A.T"))
    with pytest.raises(errors.UnsupportedOperation, match="jumps"):
        rmtp.state_evolution(method, amp.linear_model(2, scipy.stats.norm(), 0.1), 2)


def test_rational_parameters_run_on_arrays():
    problem = amp.linear_model(2, scipy.stats.norm(), Fraction(1, 10))
    exact, floats = (
        rmtp.simulate(partial(amp.gradient_descent, step=s), problem, 3, 40, rng=0).mse for s in (Fraction(1, 4), 0.25)
    )
    assert exact.dtype == float and np.array_equal(exact, floats)

    def own(A, y, x):
        while True:
            yield x
            x = x - Fraction(1, 4) * (A.T @ (A @ x - y))

    with pytest.raises(errors.BadParameter, match="Python objects"):
        rmtp.simulate(own, problem, 3, 40, rng=0)


def test_the_memory_of_a_sweep_prints():
    problem = amp.linear_model(np.array([0.5, 2.0]), scipy.stats.norm(), 0.1)
    found = rmtp.state_evolution(partial(amp.gradient_descent, step=0.25), problem, 3).memory()
    assert found.coefficients.value.shape == (4, 3, 2)
    assert "sweep of shape (2,)" in str(found)
