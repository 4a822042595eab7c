"""The law of Z: what `limit` returns for a vector."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from . import plots
from .arguments import function, order
from .ensembles import Number
from .errors import BadParameter, RmtpError, UnsupportedOperation
from .expect.closed_forms import is_rational
from .expect.sobol import Sampler
from .formtext import form_text, mono_text, source_names
from .instructions import MatVec
from .language import elementwise
from .laws import CoordinateLaw
from .normal import Form, Mono, add, is_zero
from .printing import matrix_names, printed
from .quantity import Quantity
from .results import Estimate


class ZLaw:
    """The limit law of one coordinate of a vector, Z = Zhat + Zdot.

    Built by `limit`. Numbers are `Estimate`s: they carry error and method, and ``law.mean()`` is ``law.mean``.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n, name="W"), rmtp.Normal(n, name="x")
    >>> law = rmtp.limit(W.T @ (W @ x))
    >>> print(law)
    Z = Zhat^{W.T hat(W x)} + Z^x
    mean 0 (exact), var 2 (exact)
    >>> law.zdot
    {'x': Estimate(1, error=0, method='exact')}
    """

    def __init__(
        self,
        theorem: Any,
        line: int,
        form: Form,
        handle: Any,
        index: tuple[int, ...] = (),
        ask: Callable[[Any], Estimate] | None = None,
    ) -> None:
        self._theorem, self._line, self._form, self._handle, self._index = theorem, line, form, handle, index
        self._ask = ask

    # -- numbers ----------------------------------------------------------------------------------

    def _estimate(self, compute: Callable[[], Number]) -> Estimate:
        with self._theorem.expect.record() as ranks:
            value = compute()
            rank = ranks[-1]
        return self._theorem.estimate(value, max(rank, self._theorem.methods[self._line]))

    @property
    def mean(self) -> Estimate:
        """E Z."""
        return self._estimate(lambda: self._theorem.expect.of_form(self._form))

    @property
    def var(self) -> Estimate:
        """Var Z."""

        def compute() -> Number:
            mean = self._theorem.expect.of_form(self._form)
            centred = add(self._form, Form({(): mean}), -1) if not is_zero(mean) else self._form
            return self._theorem.expect.inner(centred, centred)

        return self._estimate(compute)

    @property
    def std(self) -> Estimate:
        """The square root of `var`."""
        var = self.var
        root = np.sqrt(np.asarray(var.value, dtype=float))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(root > 0, np.asarray(var.error, float) / (2 * root), np.sqrt(np.asarray(var.error, float)))
        name = "algebra" if var.method == "exact" else var.method
        return Estimate(root[()], np.maximum(error, 1e-15 * root)[()], name, var.notes)

    def moment(self, k: int) -> Estimate:
        """E Z**k.

        Parameters
        ----------
        k : int
            >= 0.

        Raises
        ------
        BadParameter
            If k is not a natural number.
        """
        form = self._theorem.power(self._form, order(k))
        return self._estimate(lambda: self._theorem.expect.of_form(form))

    def expect(self, f: Callable[..., Any]) -> Estimate:
        """E f(Z), for f written in NumPy (or any function of arrays, then without known kinks).

        Parameters
        ----------
        f : callable
            ``np.tanh``, ``lambda z: np.maximum(z, 0)``, ...
        """
        function(f, "f")
        if self._handle is None or self._ask is None:
            raise UnsupportedOperation("expect of one entry along a finite axis", remedy="limit(np.mean(f(x[:, k])))")
        try:
            target = f(self._handle)
        except RmtpError:
            target = elementwise(f)(self._handle)
        return self._ask(np.mean(target))

    def cov(self, other: ZLaw) -> Estimate:
        """Cov(Z, Z') with another law from the same call of `limit`."""
        if not isinstance(other, ZLaw) or other._theorem is not self._theorem:
            raise BadParameter("the two laws come from different calls of limit", remedy="limit([a, b])")

        def compute() -> Number:
            expect = self._theorem.expect
            return expect.inner(self._form, other._form) - expect.of_form(self._form) * expect.of_form(other._form)

        return self._estimate(compute)

    # -- decomposition ----------------------------------------------------------------------------

    def _part(self, which: int) -> Form | None:
        pair = self._theorem.parts.get(self._line)
        if pair is None:
            return None
        part = pair[which]
        return part.array[self._index] if self._index else part

    @property
    def zhat(self) -> ZLaw | None:
        """The Gaussian part of ``W x`` (None for a vector that is not a matrix product)."""
        form = self._part(0)
        return None if form is None else ZLaw(self._theorem, self._line, form, None)

    @property
    def zdot(self) -> dict[str, Estimate]:
        """Zdot^{Wx} = sum_y coefficient * Z^y: the coefficients by the names of the vectors y.

        Named by the lines y of which ``W.T y`` is beneath x; the coefficients of linearly dependent y are not unique
        (their sum is), and if no such combination is found they go by monomials of Z.
        """
        form = self._part(1)
        if form is None or not form.terms:
            return {}
        named = self._by_lines(form)
        if named is None:
            named = [(self._mono(mono), c) for mono, c in form.terms.items()]
        return {name: self._theorem.estimate(c, self._theorem.methods[self._line]) for name, c in named}

    def _by_lines(self, form: Form) -> list[tuple[str, Number]] | None:
        program, values = self._theorem.program, self._theorem.values
        op = program.lines[self._line].op
        names = printed(program).texts
        candidates: dict[int, Form] = {}
        for number in range(self._line):
            line = program.lines[number]
            if isinstance(line.op, MatVec) and line.op.matrix is op.matrix:
                if op.matrix.ensemble.symmetric or line.op.transposed != op.transposed:
                    source = line.args[0]
                    if isinstance(values[source], Form) and values[source].terms:
                        candidates.setdefault(source, values[source])
        chosen = solve_over(form, candidates)
        if chosen is None:
            return None
        return [(names[k], c) for k, c in chosen]

    def _mono(self, mono: Mono) -> str:
        names = printed(self._theorem.program).names
        return mono_text(mono, self._theorem.atoms, source_names(self._theorem.program, names), self._matrices())

    def _matrices(self) -> dict[int, str]:
        return matrix_names(self._theorem.program)

    # -- samples ----------------------------------------------------------------------------------

    def rvs(self, size: int = 1, rng: np.random.Generator | int | None = None) -> np.ndarray:
        """Independent samples of Z.

        Parameters
        ----------
        size : int
        rng : Generator or seed

        Returns
        -------
        ndarray (size,)
        """
        generator = np.random.default_rng(rng)
        sampler = _PseudoRandom(self._theorem.atoms, self._cov_value, size, generator)
        return np.array(np.broadcast_to(sampler.form(self._form), (1, size))[0])

    def _cov_value(self, a: int, b: int) -> Number:
        return _value(self._theorem.expect.cov(a, b))

    # -- printing ---------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """Z in normal form."""
        return self._write(latex=False)

    @property
    def latex(self) -> str:
        """Z in normal form, for a paper."""
        return self._write(latex=True)

    def _write(self, latex: bool) -> str:
        program = self._theorem.program
        names = source_names(program, printed(program).names)
        return "Z = " + form_text(self._form, self._theorem.atoms, names, self._matrices(), latex)

    def __str__(self) -> str:
        text = self.text
        if len(text) > 400:
            text = text[:400] + f" ... ({len(self._form.terms)} terms)"
        return f"{text}\nmean {self.mean}, var {self.var}"

    def __repr__(self) -> str:
        return f"<ZLaw {self.text[:60]}{'...' if len(self.text) > 60 else ''}>"

    def plot(self, ax: Any = None, *, width: int | None = None, rng: Any = 0, **style: Any) -> Any:
        """The density of Z, over a histogram of one finite draw if `width` is given; returns the Axes."""
        return plots.plot_zlaw(self, ax=ax, width=width, rng=rng, **style)


class _PseudoRandom(Sampler):
    """The sampler of the expectation engine with pseudo-random columns."""

    def __init__(self, atoms: Any, cov: Any, points: int, rng: np.random.Generator) -> None:
        super().__init__(atoms, cov, 1, points, 0)
        self.rng = rng

    def _uniform(self) -> np.ndarray:
        return self.rng.random((1, self.points))

    def _from_law(self, number: int, law: CoordinateLaw) -> np.ndarray:
        return law.draw(self.rng, (1, self.points))  # without the likelihood ratios that an average would carry

    def form(self, form: Form) -> np.ndarray:
        return super().form(_valued(form))


def _value(number: Number) -> Number:
    """The value among its perturbed copies."""
    return float(np.ravel(number)[0]) if isinstance(number, np.ndarray) else number


def _valued(form: Form) -> Form:
    return Form({mono: _value(c) for mono, c in form.terms.items()})


def solve_over(form: Form, candidates: dict[int, Form]) -> list[tuple[int, Number]] | None:
    """Coefficients with form = sum_k c_k candidates[k]: elimination in an exact ring, least squares for floats."""
    keys = list(candidates)
    monos = sorted({m for f in [form, *candidates.values()] for m in f.terms})
    if not keys:
        return None
    everything = [c for f in [form, *candidates.values()] for c in f.terms.values()]
    if all(is_rational(c) or isinstance(c, Quantity) for c in everything):
        rows = [[candidates[k].terms.get(m, 0) for k in keys] + [form.terms.get(m, 0)] for m in monos]
        return _eliminate(rows, keys)
    table = np.array([[_float(candidates[k].terms.get(m, 0)) for k in keys] for m in monos])
    right = np.array([_float(form.terms.get(m, 0)) for m in monos])
    solution, *_ = np.linalg.lstsq(table, right, rcond=1e-12)
    if np.abs(table @ solution - right).max() > 1e-9 * max(1e-300, np.abs(right).max()):
        return None
    copies = np.broadcast_shapes(*(np.shape(c) for c in everything))
    if copies:
        full = np.stack([np.broadcast_to(np.asarray(form.terms.get(m, 0), float), copies) for m in monos])
        tables = np.stack(
            [
                np.stack([np.broadcast_to(np.asarray(candidates[k].terms.get(m, 0), float), copies) for k in keys])
                for m in monos
            ]
        )
        lhs, rhs = np.moveaxis(tables, (0, 1), (-2, -1)), np.moveaxis(full, 0, -1)
        exact = np.einsum("...km,...m->...k", np.linalg.pinv(lhs, rcond=1e-12), rhs)
        return [(k, exact[..., j]) for j, k in enumerate(keys) if np.abs(solution[j]) > 1e-14]
    return [(k, float(solution[j])) for j, k in enumerate(keys) if abs(solution[j]) > 1e-14]


def _float(value: Number) -> float:
    return float(np.ravel(np.asarray(value, float))[0])


def _eliminate(rows: list[list[Number]], keys: list[int]) -> list[tuple[int, Number]] | None:
    table = [[Fraction(c) if isinstance(c, int) else c for c in row] for row in rows]
    pivots: list[tuple[int, int]] = []
    row = 0
    for column in range(len(keys)):
        found = next((r for r in range(row, len(table)) if table[r][column]), None)
        if found is None:
            continue
        table[row], table[found] = table[found], table[row]
        table[row] = [c / table[row][column] for c in table[row]]
        for r in range(len(table)):
            if r != row and table[r][column]:
                factor = table[r][column]
                table[r] = [a - factor * b for a, b in zip(table[r], table[row], strict=True)]
        pivots.append((row, column))
        row += 1
    if any(table[r][-1] for r in range(row, len(table))):
        return None
    return [(keys[column], table[r][-1]) for r, column in pivots if table[r][-1]]
