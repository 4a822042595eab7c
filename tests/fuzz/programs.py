"""Random programs: two matrices over two widths and a symmetric one, reuse, transposes, functions smooth and not."""

from __future__ import annotations

from typing import Any

import numpy as np

import rmtp
from rmtp.results import Estimate

from .cases import Case, Comparison, Line, differ, off, pick

FUNCTIONS = (
    *(
        "np.tanh({})",
        "np.sin({})",
        "np.arctan({})",
        "np.exp(-({})**2 / 4)",
        "rmtp.relu({})",
        "np.abs({})",
        "np.sign({})",
    ),
    *("np.heaviside({} - 0.25, 0)", "np.clip({}, -1, 1)", "rmtp.gelu({})", "rmtp.soft_threshold({}, 0.5)"),
    *("np.where({0} > 0, {0}, np.tanh({0}))", "rmtp.leaky_relu({})", "rmtp.elu({})", "np.maximum({}, 0.5)"),
)
POLYNOMIALS = ("{}**2", "{0} - {0}**2", "3 * {} + 1", "{0} - np.mean({0})", "{0} * np.mean({0}**2)")
SCALED = "({0} - np.mean({0})) / np.sqrt(np.var({0}) + F(1, 10))"
FIXED = (
    'n, m = rmtp.Dim("n"), rmtp.Dim("m", {ratio})',
    "W, V = rmtp.Gaussian(m, n, variance=F(3, 4)), {V}",
    "A = {A}",
    "x0 = rmtp.Normal(n, F(1, 4))",
    "y0 = {y}",
)
RECTANGULAR = ("rmtp.Gaussian(m, n, variance=F(1, 2))",) * 3 + (
    "rmtp.Haar(m, n)",
    "rmtp.BiInvariant(m, n, [F(1, 2), 1])",
)
SYMMETRIC = ("rmtp.GOE(n, variance=F(1, 2))",) * 2 + ("rmtp.Wishart(n, m)", "rmtp.Invariant(n, [-1, 0, 1])")
INITIAL = ("rmtp.Normal(m, cov=F(1, 2))", "rmtp.IID(m, rmtp.Discrete([-1, 0, 1]))", "rmtp.constant(m, F(1, 2))")


def draw(seed: int) -> Case:
    """Two to five steps; a quarter of the programs are polynomial, with an exact answer."""
    rng = np.random.default_rng([seed, 1])
    polynomial = rng.random() < 0.25
    sides: tuple[list[str], list[str]] = (["x0"], ["y0"])
    lines: list[Line] = []
    side = int(rng.integers(2))
    for k in range(1, int(rng.integers(2, 4 if polynomial else 6)) + 1):
        v = sides[side][-1]
        if side == 0 and rng.integers(6) == 0:
            u = f"A @ {v}"
        else:
            u = f"{pick(rng, 'WWV')}{'' if side == 0 else '.T'} @ {v}"
            side = 1 - side
        name = f"{'xy'[side]}{k}"
        simpler = [u]
        if rng.integers(2):
            u = f"{u} {pick(rng, ('+', '-'))} {pick(rng, sides[side])}"
            simpler.append(u)
        if rng.random() < 0.8:
            u = pick(rng, POLYNOMIALS if polynomial else FUNCTIONS).format(f"({u})")
            simpler.append(u)
        if not polynomial and rng.integers(4) == 0:
            u = SCALED.format(f"({u})")
        elif rng.integers(6) == 0:
            u = f"({u}) * {pick(rng, sides[side])}"
        elif rng.integers(6) == 0:
            other = pick(rng, sides[1 - side])
            u = f"({u}) * np.mean({other} * {pick(rng, sides[1 - side])})"
        mates = [f"{name} = {s}" for s in (pick(rng, sides[side]), *simpler) if s != u]
        lines.append(Line(f"{name} = {u}", tuple(mates)))
        sides[side].append(name)
    asked = [(a, b) for s in sides for i, a in enumerate(s) for b in s[i:]][-3:]
    outs = [Line("out = []")] + [Line(f"out.append(np.mean({a} * {b}))") for a, b in asked]
    if rng.integers(3) == 0:
        outs.append(
            Line(f"out.append(np.mean({sides[side][-1]} > 0.25))" if not polynomial else f"out.append(np.mean({name}))")
        )
    ratio, y = pick(rng, ("1", "2", "F(1, 2)")), pick(rng, INITIAL)
    V, A = pick(rng, RECTANGULAR), pick(rng, SYMMETRIC)
    fixed = tuple(f.format(ratio=ratio, y=y, V=V, A=A) for f in FIXED)
    return Case("programs" if not polynomial else "polynomials", fixed, (*lines, *outs), (), "", seed)


def _other(**options: Any) -> Any:
    def run(names: dict[str, Any], attempt: int) -> str | None:
        seed = {"seed": 10 + attempt}
        return differ(
            rmtp.limit(names["out"], rtol=1e-6, **(seed if attempt else {})),
            rmtp.limit(names["out"], rtol=1e-6, **seed, **options),
        )

    return run


def _exact(names: dict[str, Any], attempt: int) -> str | None:
    exact = rmtp.limit(names["out"], exact=True)
    return differ(exact, rmtp.limit(names["out"], dps=25)) or differ(exact, rmtp.limit(names["out"]))


def _rewritten(case_source: str) -> str:
    """The same program with every product written as a difference of two."""
    for matrix, mate in (("W", "x0"), ("V", "x0"), ("A", "x0"), ("W.T", "y0"), ("V.T", "y0")):
        for k in range(9):
            for side in "xy":
                product = f"{matrix} @ {side}{k}"
                source = f"({matrix} @ (2 * {side}{k} + {mate}) - {matrix} @ {mate}) / 2"
                case_source = case_source.replace(product, f"({source})")
    return case_source


def _rewriting(names: dict[str, Any], attempt: int) -> str | None:
    made: dict[str, Any] = {}
    exec(_rewritten(names["__source__"]), made)
    seed = {"seed": attempt}
    return differ(rmtp.limit(names["out"], rtol=1e-6, **seed), rmtp.limit(made["out"], rtol=1e-6, seed=20 + attempt))


_UNTOLD = 3e-4


def _equations(names: dict[str, Any], attempt: int) -> str | None:
    """The printed equations, evaluated by themselves."""
    limits = rmtp.limit(names["out"], rtol=1e-6, **({"seed": attempt} if attempt else {}))
    values = rmtp.derive(names["out"]).evaluate()  # sampled where `limit` is not, with errors that are not told
    return differ(limits, [Estimate(float(v), limits[k].error, "") for k, v in enumerate(values)], rounding=_UNTOLD)


def _samples(names: dict[str, Any], attempt: int) -> str | None:
    widths, trials = ((150, 300), 48) if not attempt else ((400, 800), 96)
    return off(rmtp.verify(names["out"], widths, trials, attempt, rtol=1e-5))


SHOW = "print(rmtp.limit(out))\nprint(rmtp.limit(out, {}))"
COMPARISONS = [
    Comparison("auto / sobol", _other(method="sobol"), SHOW.format('method="sobol"')),
    Comparison("auto / mehler", _other(method="mehler"), SHOW.format('method="mehler"')),
    Comparison("auto / stein", _other(zdot="stein"), SHOW.format('zdot="stein"')),
    Comparison("auto / derivative", _other(zdot="derivative"), SHOW.format('zdot="derivative"')),
    Comparison("exact / digits / float", _exact, SHOW.format("dps=25"), lambda case: case.kind == "polynomials"),
    Comparison("equations / limit", _equations, "print(rmtp.derive(out).evaluate(), rmtp.limit(out))"),
    Comparison("rewriting", _rewriting, "# every product M @ v written as (M @ (2 * v + u) - M @ u) / 2"),
    Comparison("engine / samples", _samples, "for v in rmtp.verify(out, (400, 800), 96, 1):\n    print(v)"),
]


class WithSource(Case):
    """A case whose namespace knows its own text, so that it can be rewritten."""

    def namespace(self) -> dict[str, Any]:
        """What the code defines, and the code."""
        return super().namespace() | {"__source__": self.source}


def case(seed: int) -> Case:
    """The case of a seed."""
    drawn = draw(seed)
    return WithSource(**{name: getattr(drawn, name) for name in Case.__dataclass_fields__})
