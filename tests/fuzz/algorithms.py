"""Random first-order methods: state evolution by one method against another, and against simulations."""

from __future__ import annotations

from typing import Any

import numpy as np

import rmtp

from .cases import Case, Comparison, Line, differ, off, pick

FIXED = (
    "from rmtp.amp import bernoulli_gauss, linear_model",
    "problem = linear_model({delta}, {prior}, {noise})",
    "def method(A, y, x):",
    "    p, s = x, -y",
    "    while True:",
    "        yield x",
)
PRIORS = ("bernoulli_gauss(0.25)", "rmtp.Discrete([-1, 1])", "rmtp.Discrete([0, 1, 2])")
LOSS = ("{}", "np.tanh({})", "np.clip({}, -1, 1)", "np.arctan({})")
PROX = ("{}", "{}", "rmtp.soft_threshold({}, 0.25)", "np.tanh({})", "rmtp.relu({})", "np.clip({}, -2, 2)")
STEPS = 3


def case(seed: int) -> Case:
    """x <- prox(x - step A.T loss(A x - y) + momentum), with memory of residuals or iterates now and then."""
    rng = np.random.default_rng([seed, 4])
    step, share = pick(rng, ("0.25", "0.5", "0.3")), pick(rng, ("0.5", "0.25"))
    residual = "r = A @ x - y"
    with_memory = f"r = A @ x - y + {share} * s"
    momentum = f"q = x - {step} * (A.T @ g) + {share} * (x - p)"
    plain = f"q = x - {step} * (A.T @ g)"
    loss, prox = pick(rng, LOSS).format("r"), pick(rng, PROX).format("q")
    lines = (
        Line(pick(rng, (residual, residual, with_memory)), (residual,)),
        Line(f"g = {loss}", ("g = r",) if loss != "r" else ()),
        Line("s = r"),
        Line(pick(rng, (plain, plain, momentum)), (plain,)),
        Line("p = x"),
        Line(f"x = {prox}", ("x = q",) if prox != "q" else ()),
    )
    fixed = tuple(
        f.format(delta=pick(rng, ("F(1, 2)", "1", "2")), prior=pick(rng, PRIORS), noise=pick(rng, ("0", "F(1, 10)")))
        for f in FIXED
    )
    return Case("algorithms", fixed, lines, (), "        ", seed)


def _columns(found: Any) -> list[Any]:
    return [found.mse, found.overlap, found.power]


def _sobol(names: dict[str, Any], attempt: int) -> str | None:
    run = lambda **options: rmtp.state_evolution(names["method"], names["problem"], STEPS, **options)  # noqa: E731
    return differ(_columns(run(rtol=1e-6)), _columns(run(method="sobol", seed=5 + attempt)))


def _samples(names: dict[str, Any], attempt: int) -> str | None:
    return _simulated(names["method"], names["problem"], attempt)


def _corrected(names: dict[str, Any], attempt: int) -> str | None:
    """With its Onsager terms derived: the effective signal is Gaussian, and simulations subtract the same terms."""
    return _simulated(rmtp.onsager(names["method"]), names["problem"], attempt)


def _simulated(method: Any, problem: Any, attempt: int) -> str | None:
    widths, trials = ((200, 400), 32) if not attempt else ((500, 1000), 48)
    found = rmtp.compare(method, problem, STEPS, widths=widths, trials=trials, rng=attempt, rtol=1e-5)
    return off([found.verification(t, what) for what in ("mse", "overlap") for t in range(1, STEPS + 1)])


COMPARISONS = [
    Comparison(
        "auto / sobol",
        _sobol,
        'print(rmtp.state_evolution(method, problem, 3))\nprint(rmtp.state_evolution(method, problem, 3, method="sobol"))',
    ),
    Comparison(
        "evolution / simulation", _samples, "print(rmtp.compare(method, problem, 3, widths=(500, 1000), trials=48))"
    ),
    Comparison(
        "derived correction",
        _corrected,
        "print(rmtp.compare(rmtp.onsager(method), problem, 3, widths=(500, 1000), trials=48))",
    ),
]
