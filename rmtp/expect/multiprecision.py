"""Quadrature to any number of digits, on an mpmath context of its own (never the global one)."""

from __future__ import annotations

from typing import Any

from ..ensembles import Number
from ..errors import DivergentExpectation, NotConverged, NotExact, RmtpError
from .grid import singular
from .integrand import Argument, CovOf, Integrand, Linear

_LOST = 3  # digits of the context given up to rounding before an answer is refused


def integrate_mp(ctx: Any, made: Integrand, cov: CovOf) -> Number:
    """E of an integrand (weight excluded) to the digits of the context, in at most two effective dimensions.

    Raises
    ------
    NotConverged
        In more dimensions, or if the digits are not reached.
    NotExact
        If a function or a law has no arbitrary-precision counterpart.
    """
    if made.continuous:
        raise NotExact(
            "a continuous scipy.stats law has double precision only",
            remedy="drop dps=, or use Normal, Discrete or Mixture",
        )
    problem = _Problem(ctx, made, cov)
    if problem.rank > 2:
        raise NotConverged(f"an expectation in {problem.rank} dimensions to {ctx.dps} digits", remedy="drop dps=")
    for fn, _ in made.calls.values():
        if fn.mp is None:
            raise NotExact(f"{fn.name} has no arbitrary-precision version", remedy="drop dps=, or use mpmath functions")
    try:
        value, error = problem.integrate()
    except RmtpError:
        raise
    except (TypeError, ValueError, AttributeError) as failure:
        raise NotExact(
            f"a function of the program does not take mpmath numbers ({failure})",
            remedy="write it with operators only, or drop dps=",
        ) from failure
    if error > ctx.mpf(10) ** (_LOST - ctx.dps) * max(1, abs(value)):
        raise NotConverged(
            f"quadrature reached {ctx.nstr(error, 3)} instead of {ctx.dps} digits",
            remedy="give the kinks of the function (elementwise(..., kinks=...)), or drop dps=",
        )
    return value


def _diverges(why: str) -> DivergentExpectation:
    return DivergentExpectation(
        f"an expectation is infinite or undefined: {why}",
        remedy="the theorem needs functions bounded by exp(|x|^a), a < 2, without poles",
    )


class _Problem:
    def __init__(self, ctx: Any, made: Integrand, cov: CovOf) -> None:
        self.ctx, self.made = ctx, made
        self.singular = any(singular(fn) for fn, _ in made.calls.values())
        gauss: list[Linear] = [((a, 1),) for a, _ in made.gauss]
        everything = made.variables + gauss
        size, count = len(everything), len(made.variables)
        c = [[ctx.mpf(0)] * size for _ in range(size)]
        for i in range(size):
            for j in range(i + 1):
                c[i][j] = c[j][i] = self.number(made.linear_cov(cov, everything[i], everything[j]))
        rows: list[list[Any]] = [[] for _ in range(size)]
        tolerance = ctx.eps * 10**6
        for i in range(count):
            variance = c[i][i] - sum(v * v for v in rows[i])
            if variance <= tolerance * c[i][i]:
                continue
            std = ctx.sqrt(variance)
            column = [(c[s][i] - sum(a * b for a, b in zip(rows[s], rows[i], strict=True))) / std for s in range(size)]
            for s in range(size):
                rows[s].append(ctx.mpf(0) if s < i else column[s])
        self.rows, self.gauss_rows = rows[:count], rows[count:]
        self.rank = len(rows[0]) if rows else 0
        self.residual = [
            [
                c[count + i][count + j] - sum(a * b for a, b in zip(u, v, strict=True))
                for j, v in enumerate(self.gauss_rows)
            ]
            for i, u in enumerate(self.gauss_rows)
        ]

    def number(self, value: Number) -> Any:
        if hasattr(value, "context"):
            return value
        if hasattr(value, "numerator") and not isinstance(value, float):
            return self.ctx.mpf(int(value.numerator)) / int(value.denominator)
        return self.ctx.mpf(float(value))

    def argument(self, arg: Argument, xi: list[Any], node: dict[int, Any]) -> Any:
        total = self.number(arg.const)
        if arg.var is not None:
            total += self.ctx.fdot(self.rows[arg.var], xi)
        for coefficient, mono in arg.rest:
            term = self.number(coefficient)
            for a, power in mono:
                term *= self.atom(a, xi, node) ** power
            total += term
        return total

    def atom(self, a: int, xi: list[Any], node: dict[int, Any]) -> Any:
        if a in node:
            return node[a]
        return self.number(self.made.shifts.get(a, 0)) + self.ctx.fdot(self.rows[self.made.node_var[a]], xi)

    def nodes(self, xi: list[Any], below: int | None = None) -> dict[int, Any]:
        """Values of the functions, all or those with smaller numbers than `below`."""
        node: dict[int, Any] = {}
        for number in self.made.order:
            if below is not None and number >= below:
                break
            fn, args = self.made.calls[number]
            assert fn.mp is not None
            try:
                value = fn.mp(self.ctx, *(self.argument(arg, xi, node) for arg in args))
            except ZeroDivisionError:
                raise _diverges(f"{fn.name} has a pole within its range") from None
            if not self.ctx.isfinite(value) or self.ctx.im(value) != 0:
                raise _diverges(f"{fn.name} is infinite or not real within its range")
            node[number] = self.ctx.mpf(value)
        return node

    def value(self, xi: list[Any]) -> Any:
        node = self.nodes(xi)
        out = self.polynomial(xi)
        for a, power in self.made.factors:
            out *= self.atom(a, xi, node) ** power
        return out

    def polynomial(self, xi: list[Any]) -> Any:
        means = [self.ctx.fdot(row, xi) for row in self.gauss_rows]

        def expand(p: tuple[int, ...]) -> Any:
            if not any(p):
                return self.ctx.mpf(1)
            first = next(i for i, k in enumerate(p) if k)
            rest = tuple(k - (i == first) for i, k in enumerate(p))
            total = means[first] * expand(rest)
            for j, power in enumerate(rest):
                if power:
                    total += power * self.residual[first][j] * expand(tuple(k - (i == j) for i, k in enumerate(rest)))
            return total

        return expand(tuple(power for _, power in self.made.gauss))

    def breaks(self, xi: list[Any]) -> list[Any]:
        """Points of the next coordinate where a kink lies, given the coordinates before it."""
        ctx, j = self.ctx, len(xi)
        after = [ctx.mpf(0)] * (self.rank - j - 1)
        found: list[Any] = []
        for number in self.made.order:
            fn, args = self.made.calls[number]
            if not fn.kinks:
                continue
            arg = args[fn.kink_arg]

            def at(t: Any, arg: Argument = arg, number: int = number) -> Any:
                point = [*xi, t, *after]
                return self.argument(arg, point, self.nodes(point, number))

            for kink in fn.kinks:
                found += self.roots(at, ctx.mpf(kink), bool(arg.rest), found)
        return found

    def roots(self, f: Any, level: Any, search: bool, known: list[Any]) -> list[Any]:
        ctx = self.ctx
        if not search:
            base, one = f(ctx.mpf(0)), f(ctx.mpf(1))
            return [] if one == base else [(level - base) / (one - base)]
        grid = sorted([ctx.mpf(k) / 3 for k in range(-30, 31)] + known)
        values = [f(t) - level for t in grid]
        out = []
        for left, right, a, b in zip(grid, grid[1:], values, values[1:], strict=False):
            if a * b < 0:
                out.append(ctx.findroot(lambda t: f(t) - level, (left, right), solver="anderson", tol=ctx.eps**2 * 4))
        return out

    def check_tails(self, density: Any, reach: Any) -> None:
        """The integrand must have died out at the ends of the range."""
        ctx = self.ctx
        middle = max(abs(density(reach * k / 40)) for k in (-7, -3, 1, 5))
        ends = max(abs(density(-reach)), abs(density(reach)))
        if ends > ctx.mpf(10) ** (_LOST - ctx.dps) * max(middle, 1) * reach:
            raise _diverges("the integrand does not die out within the range of the precision")

    def integrate(self) -> tuple[Any, Any]:
        ctx = self.ctx
        if self.rank == 0:
            return self.value([]), ctx.mpf(0)
        reach = ctx.sqrt(2 * (ctx.dps + 5) * ctx.ln(10)) + 4
        norm = 1 / ctx.sqrt(2 * ctx.pi)
        errors: list[Any] = []

        def along(xi: list[Any]) -> Any:
            cuts = [t for t in self.breaks(xi) if -reach < t < reach]
            edges = sorted({-reach, reach, ctx.mpf(0), *(ctx.mpf(k) * reach / 4 for k in range(-3, 4)), *cuts})

            def density(t: Any) -> Any:
                inner = along([*xi, t]) if len(xi) + 1 < self.rank else self.value([*xi, t])
                return inner * norm * ctx.exp(-t * t / 2)

            value, error = ctx.quad(density, edges, error=True, method="gauss-legendre")
            errors.append(error)
            self.check_tails(density, reach)
            if self.singular:
                size, size_error = ctx.quad(lambda t: abs(density(t)), edges, error=True, method="gauss-legendre")
                if size_error > ctx.mpf(10) ** -3 * size:
                    raise _diverges("the integral of the absolute value does not settle")
            return value

        return along([]), max(errors)
