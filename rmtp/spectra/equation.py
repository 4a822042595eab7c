"""The Dyson equation of an expression, written out for a reader.

Coordinates that are solved by a division, or by Cramer's rule for two unknowns, are printed solved; larger ones as a
matrix. Nothing is derived here: the rows are those that `dyson.system` evaluates, with names instead of numbers, and the
text is Python, so that a reader can paste it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..dyson.coefficients import scalar
from ..dyson.couplings import Coupling, Pair, quotient, spectral
from ..dyson.linear import Linear, Poly
from ..dyson.system import Component, System, Var
from ..ensembles import Number
from ..handles import Node
from ..instructions import IIDSource, Init, RandomMatrix
from ..laws import CoordinateLaw
from ..laws import describe as law_text
from ..printing import handle_text
from .symbols import (
    Symbols,
    grid_text,
    mean_text,
    number,
    number_text,
    plus,
    poly_text,
    rank,
    ratio_text,
    scaled,
    symbol,
    tex_name,
    times,
)

_DEPTH = 12  # of a printed diagonal


@dataclass(frozen=True)
class Line:
    """``name = right``, in Python and in LaTeX."""

    name: str
    right: str
    right_latex: str

    def __str__(self) -> str:
        return f"{self.name} = {self.right}"


@dataclass(frozen=True)
class Equation:
    """The fixed-point system that defines g(z).

    Attributes
    ----------
    title : str
        What it is the law of.
    lines : tuple of Line
    legend : tuple of str
        What the names mean.
    """

    title: str
    lines: tuple[Line, ...]
    legend: tuple[str, ...]

    def __str__(self) -> str:
        head = f"g(z) = lim (1/n) tr (z - M)^-1 of M = {self.title}"
        body = "\n".join(f"    {line}" for line in self.lines)
        tail = "".join(f"\n  {note}" for note in self.legend)
        return f"{head}\n{body}{tail}"

    @property
    def latex(self) -> str:
        """The system as an aligned environment."""
        rows = (rf"{tex_name(line.name)} &= {line.right_latex}" for line in self.lines)
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"


def describe(system: System, text: str) -> Equation:
    """The system of equations of an expression.

    Parameters
    ----------
    system : System
    text : str
        The expression.

    Returns
    -------
    Equation
        Its `str` is text, `.latex` an aligned environment.

    Examples
    --------
    >>> import rmtp
    >>> print(rmtp.spectrum(rmtp.GOE(rmtp.Dim("n"), 2, name="X")).equation())
    g(z) = lim (1/n) tr (z - M)^-1 of M = X
        g = 1/(z - Theta)
        Theta = 4*g
      Theta, Phi: X @ x <- X @ x
      Phi = E[d(input of the left) / d(Gaussian part of the right)]; the left contains Theta * (input of the right)
    """
    return Writer(system, text).written()


# ---------------------------------------------------------------------------------------------


class Writer:
    """The lines of one system, and what their names stand for."""

    def __init__(self, system: System, text: str) -> None:
        self.system, self.text = system, text
        self.program = system.program
        coupled = sorted(set(system.theta_pattern) | set(system.pairs))
        single = len(coupled) == 1
        self.suffix = {pair: "" if single else f"_{k + 1}" for k, pair in enumerate(coupled)}
        self.constants = {k: scalar(f.constant) for k, f in enumerate(system.coefficients.forms) if f.is_constant}
        random = [k for k in range(len(self.program.coefficients)) if k not in self.constants]
        used = {k for c in system.components for k in c.coefficients}
        self.diagonals = {k: f"d{j + 1}" for j, k in enumerate(k for k in random if k in used)}
        self.matrices = _matrix_names(self.program.matrices)
        self.grids: list[Line] = []
        self.legend: list[str] = []

    def name(self, kind: str, pair: Pair) -> str:
        return kind + self.suffix[pair]

    def written(self) -> Equation:
        """The equations; once per writer."""
        solutions = [self._component(c) for c in self.system.components]
        averages = {key: value for part in solutions for key, value in part.items()}
        outer = [("u", k) for k, u in enumerate(self.program.unknowns) if u.outer]
        first: dict[tuple[str, str], str] = {}  # what is printed already
        head: list[Line] = []
        if len(outer) == 1:
            head.append(Line("g", *averages[outer[0]]))
            first[averages[outer[0]]] = "g"
        else:
            parts: Symbols = {(f"g_{k + 1}",): share for k, share in enumerate(self.system.shares)}
            head.append(Line("g", poly_text(parts), poly_text(parts, True)))
            for k, key in enumerate(outer):
                head.append(Line(f"g_{k + 1}", *averages[key]))
                first.setdefault(averages[key], f"g_{k + 1}")
        responses: list[Line] = []
        alias: dict[Pair, str] = {}
        entries = {pair for c in self.system.couplings if _on_matrices(c) for pair in c.pairs}
        for pair in sorted(self.system.pairs):
            value = averages[pair]
            alias[pair] = self.name("Phi", pair)
            known = first.setdefault(value, alias[pair])
            if known == alias[pair]:
                responses.append(Line(known, *value))
            elif pair in entries:
                responses.append(Line(alias[pair], known, tex_name(known)))
            else:
                alias[pair] = known
        linear = [c for c in self.system.couplings if c.matrix.ensemble.kind in ("Gaussian", "GOE")]
        relations = sorted((line for c in linear for line in self._linear(c, alias)), key=lambda x: rank(x.name))
        relations += [line for c in self.system.couplings if c not in linear for line in self._coupling(c, alias)]
        self._explain()
        return Equation(self.text, (*self.grids, *head, *responses, *relations), tuple(self.legend))

    # -- coordinates ------------------------------------------------------------------------------

    def poly(self, p: Poly) -> Symbols:
        """A polynomial of coefficients, by name."""
        out: Symbols = {}
        for mono, factor in p.items():
            x: Number = factor
            names = []
            for k in mono:
                if k in self.constants:
                    x = x * self.constants[k]
                else:
                    names.append(self.diagonals[k])
            out = plus(out, {tuple(sorted(names)): x})
        return out

    def _component(self, c: Component) -> dict[Any, tuple[str, str]]:
        """E of the entries of one coordinate: per pair (a, b) the response Phi_ab, per outer unknown its g."""
        place = {v: k for k, v in enumerate(c.variables)}
        size = len(c.rows)
        a: list[dict[int, Symbols]] = [{} for _ in range(size)]
        into: dict[tuple[int, int], Symbols] = {}
        for r, (diagonal, variables, images) in enumerate(c.rows):
            shift: Symbols = number(1)
            if diagonal[0] == "u":
                shift = symbol("z") if self.program.unknowns[diagonal[1]].outer else {}
            a[r][r] = shift
            for v, p in variables.items():
                a[r][place[v]] = plus(a[r].get(place[v], {}), self.poly(p))
            for b, p in images.items():
                into[r, b] = self.poly(p)
                for i, j in self.system.theta_pattern:
                    if i == b and ("x", j) in place:
                        k = place["x", j]
                        term = times(into[r, b], symbol(self.name("Theta", (i, j))))
                        a[r][k] = plus(a[r].get(k, {}), term)
        a = [{k: x for k, x in row.items() if x} for row in a]
        sources: dict[Var, dict[int, Symbols]] = {
            ("y", b): {r: times(into[r, b], number(-1)) for r in range(size) if (r, b) in into} for b in c.hats
        }
        for r, (diagonal, _, _) in enumerate(c.rows):
            if diagonal[0] == "u":
                sources[diagonal] = {r: number(1)}
        made = self._copies(c, a, {r for r, _ in into})
        kept = [k for k in range(size) if k not in made]
        rows = [r for r in range(size) if r not in made]
        solve = self._cramer(a, rows, kept) if len(kept) <= 2 else self._grid(a, rows, kept)

        def average(source: dict[int, Symbols], k: int) -> tuple[str, str]:
            return solve(source, made.get(k, {k: number(1)}))

        out: dict[Any, tuple[str, str]] = {}
        for v, k in place.items():
            if v[0] == "x":
                for b in c.hats:
                    if (v[1], b) in self.system.number:
                        out[v[1], b] = average(sources["y", b], k)
            elif self.program.unknowns[v[1]].outer:
                out[v] = average(sources[v], k)
        return out

    def _copies(self, c: Component, a: list[dict[int, Symbols]], driven: set[int]) -> dict[int, dict[int, Symbols]]:
        """Variables that are only names for combinations of others, put into the other rows."""
        made: dict[int, dict[int, Symbols]] = {}
        for k, (diagonal, _, _) in enumerate(c.rows):
            if diagonal[0] != "x" or k in driven or a[k].get(k) != number(1):
                continue
            value = {j: times(p, number(-1)) for j, p in a[k].items() if j != k}
            made[k] = value
            for row in [*a, *made.values()]:
                if row is a[k] or k not in row:
                    continue
                factor = row.pop(k)
                for j, p in value.items():
                    row[j] = plus(row.get(j, {}), times(factor, p))
                    if not row[j]:
                        del row[j]
        return made

    def _random(self, *polys: Symbols) -> bool:
        return any(name in self.diagonals.values() for p in polys for names in p for name in names)

    def _cramer(self, a: list[dict[int, Symbols]], rows: list[int], kept: list[int]) -> Any:
        """Solutions of one or two equations."""
        m = [[a[r].get(k, {}) for k in kept] for r in rows]
        if len(m) == 1:
            determinant, adjugate = m[0][0], [[number(1)]]
        else:
            determinant = plus(times(m[0][0], m[1][1]), times(m[0][1], m[1][0]), -1)
            adjugate = [[m[1][1], times(m[0][1], number(-1))], [times(m[1][0], number(-1)), m[0][0]]]

        def solve(source: dict[int, Symbols], of: dict[int, Symbols]) -> tuple[str, str]:
            top: Symbols = {}
            for k, factor in of.items():
                for r, p in source.items():
                    entry = adjugate[kept.index(k)][rows.index(r)]
                    top = plus(top, times(times(factor, p), entry))
            random = self._random(top, determinant)
            text, latex = (mean_text(ratio_text(top, determinant, x), random, x) for x in (False, True))
            return text, latex

        return solve

    def _grid(self, a: list[dict[int, Symbols]], rows: list[int], kept: list[int]) -> Any:
        """More equations: the matrix, and entries of its inverse."""
        name = f"A{len(self.grids) + 1}" if len(self.system.components) > 1 else "A"
        m = [[a[r].get(k, {}) for k in kept] for r in rows]
        self.grids.append(Line(name, *grid_text(m)))
        random = self._random(*(p for row in m for p in row))

        def solve(source: dict[int, Symbols], of: dict[int, Symbols]) -> tuple[str, str]:
            parts: list[tuple[str, str]] = []
            chance = random
            for k, factor in of.items():
                for r, p in source.items():
                    i, j = kept.index(k), rows.index(r)
                    both = times(factor, p)
                    chance = chance or self._random(both)
                    entry = f"inv({name})[{i}, {j}]", rf"({tex_name(name)}^{{-1}})_{{{i + 1}{j + 1}}}"
                    parts.append((scaled(both, entry[0]), scaled(both, entry[1], True)))
            texts = (" + ".join(p[x] for p in parts).replace("+ -", "- ") or "0" for x in (0, 1))
            text, latex = (mean_text(t, chance, bool(x)) for x, t in enumerate(texts))
            return text, latex

        return solve

    # -- couplings ----------------------------------------------------------------------------------

    def _linear(self, coupling: Coupling, alias: dict[Pair, str]) -> list[Line]:
        s2 = coupling.matrix.ensemble.variance
        return [
            self._line(self.name("Theta", pair), {(alias[pair],): s2 * coupling.gain(pair[0], _exact)})
            for pair in coupling.pairs
        ]

    def _coupling(self, coupling: Coupling, alias: dict[Pair, str]) -> list[Line]:
        if not _on_matrices(coupling):
            if not spectral(coupling.matrix):
                return self._one_series(coupling, alias)
            one = len(coupling.transposed) == 1
            return self._one_eigenlaw(coupling, alias) if one else self._two_singular(coupling, alias)
        ensemble = coupling.matrix.ensemble
        if spectral(coupling.matrix):
            kept = "" if ensemble.symmetric else "; T keeps entries between W and W.T, times min(rows, cols) / size"
            self.legend.append(
                f"T, Theta, Phi: matrices over the uses of {self._of(coupling)}, entries as in Omega{kept}"
            )
            self.legend.append(f"s: {self._law(coupling)}")
            return [
                self._matrix("Omega", coupling),
                Line("T", "E[s*inv(I - s*Omega)]", r"\mathbb{E}\left[s (I - s \Omega)^{-1}\right]"),
                Line("Theta", "inv(I + T @ Omega) @ T", r"(I + T \Omega)^{-1} T"),
                Line("Phi", "Omega @ (I + T @ Omega)", r"\Omega (I + T \Omega)"),
            ]
        self.legend.append(f"Theta: a matrix over the uses of {self._of(coupling)}, entries as in Phi")
        if ensemble.kind == "Wishart":
            s2, ratio = ensemble.cumulant(1), quotient(ensemble.cumulant(2), ensemble.cumulant(1))
            text = scaled(number(s2), f"inv(I - {scaled(number(ratio), 'Phi')})")
            latex = scaled(number(s2), rf"(I - {scaled(number(ratio), tex_name('Phi'), True)})^{{-1}}", True)
        else:
            text, latex = "R(Phi)", r"R(\Phi)"
            known = ", ".join(number_text(ensemble.cumulant(k)) for k in range(1, 7))
            self.legend.append(f"R(Phi) = sum kappa_(j+1) Phi^j, free cumulants {known}, ..")
        return [self._matrix("Phi", coupling), Line("Theta", text, latex)]

    def _line(self, name: str, p: Symbols) -> Line:
        return Line(name, poly_text(p), poly_text(p, True))

    def _ratio(self, name: str, top: Symbols, bottom: Symbols, random: bool = False) -> Line:
        text, latex = (mean_text(ratio_text(top, bottom, x), random, x) for x in (False, True))
        return Line(name, text, latex)

    def _matrix(self, kind: str, coupling: Coupling) -> Line:
        uses = list(coupling.transposed)
        entries = [[symbol(self.name(kind, (i, j))) if (i, j) in coupling.pairs else {} for j in uses] for i in uses]
        return Line(kind, *grid_text(entries))

    def _one_series(self, coupling: Coupling, alias: dict[Pair, str]) -> list[Line]:
        ensemble, (pair,) = coupling.matrix.ensemble, coupling.pairs
        phi = alias[pair]
        theta = self.name("Theta", pair)
        if ensemble.kind == "Wishart":
            s2, ratio = ensemble.cumulant(1), quotient(ensemble.cumulant(2), ensemble.cumulant(1))
            return [self._ratio(theta, number(s2), {(): 1, (phi,): -ratio})]
        values = getattr(ensemble.law, "values", None)
        if values is not None:
            return [self._line(theta, {(phi,) * j: x for j, x in enumerate(values) if x != 0})]
        self.legend.append(f"R: the R-transform of {self._of(coupling)}")
        return [Line(theta, f"R({phi})", f"R({tex_name(phi)})")]

    def _one_eigenlaw(self, coupling: Coupling, alias: dict[Pair, str]) -> list[Line]:
        (pair,) = coupling.pairs
        t, s, omega = (self.name(kind, pair) for kind in ("T", "S", "Omega"))
        self.legend.append(f"s: {self._law(coupling)}")
        return [
            self._ratio(t, symbol("s"), {(): 1, ("s", omega): -1}, True),
            self._line(s, {(): 1, tuple(sorted((t, omega))): 1}),
            self._ratio(self.name("Theta", pair), symbol(t), symbol(s)),
            self._ratio(omega, symbol(alias[pair]), symbol(s)),
        ]

    def _two_singular(self, coupling: Coupling, alias: dict[Pair, str]) -> list[Line]:
        a, b = coupling.transposed
        there = {pair: symbol(self.name("Omega", pair)) for pair in coupling.pairs}
        loop = times(there.get((a, b), {}), there.get((b, a), {}))
        below = plus(number(1), times({("s", "s"): 1}, loop), -1)
        lines = []
        for i, j in coupling.pairs:
            share = coupling.share(i, _exact)
            t = self.name("T", (i, j))
            top = times({("s", "s"): 1}, there[i, j])
            text, latex = (mean_text(ratio_text(top, below, x), True, x) for x in (False, True))
            lines.append(Line(t, scaled(number(share), text), scaled(number(share), latex, True)))
        for i, j in coupling.pairs:
            size = self._stretch(i, j, there)
            other = self._stretch(j, i, there)
            lines.append(self._ratio(self.name("Theta", (i, j)), symbol(self.name("T", (i, j))), size))
            lines.append(self._ratio(self.name("Omega", (i, j)), symbol(alias[i, j]), other))
        self.legend.append(f"s: {self._law(coupling)}")
        return lines

    def _stretch(self, i: int, j: int, there: dict[Pair, Symbols]) -> Symbols:
        """S_ii = 1 + T_ij Omega_ji."""
        if (i, j) not in there or (j, i) not in there:
            return number(1)
        return plus(number(1), times(symbol(self.name("T", (i, j))), there[j, i]))

    # -- names ------------------------------------------------------------------------------------

    def _of(self, coupling: Coupling) -> str:
        return self.matrices[id(coupling.matrix)]

    def _law(self, coupling: Coupling) -> str:
        what = "eigenvalues" if coupling.matrix.ensemble.symmetric else "singular values"
        law = coupling.matrix.ensemble.law
        shown = law_text(law) if isinstance(law, CoordinateLaw) else repr(law)
        return f"{what} of {self._of(coupling)}, {shown}"

    def _explain(self) -> None:
        notes = []
        for pair, suffix in self.suffix.items():
            a, b = (self._use(k) for k in pair)
            notes.append(f"Theta{suffix}, Phi{suffix}: {a} <- {b}")
        if notes:
            notes.append(
                "Phi = E[d(input of the left) / d(Gaussian part of the right)]; "
                "the left contains Theta * (input of the right)"
            )
        for k, name in self.diagonals.items():
            notes.append(f"{name}: {_node_text(self.program.coefficients[k])}")
        if self.program.rank_ones:
            notes.append("terms of rank one do not move g")
        self.legend = [*notes, *dict.fromkeys(self.legend)]

    def _use(self, k: int) -> str:
        use = self.program.uses[k]
        inner = self._form(use.input)
        return f"{self.matrices[id(use.matrix)]}{'.T' if use.transposed else ''} @ {inner}"

    def _form(self, form: Linear) -> str:
        parts = []
        for (kind, k), p in form.items():
            if kind == "t":
                continue
            inner = self._unknown(k) if kind == "u" else f"({self._use(k)})"
            parts.append(scaled(self.poly(p), inner))
        text = " + ".join(parts).replace("+ -", "- ")
        return f"({text})" if len(parts) > 1 or ("*" in text and not text.startswith("(")) else text

    def _unknown(self, k: int) -> str:
        outer = self.program.unknowns[k].outer
        several = sum(u.outer == outer for u in self.program.unknowns) > 1
        return ("x" if outer else "u") + (str(k + 1) if several else "")


def _on_matrices(coupling: Coupling) -> bool:
    """Whether the relations are too many to be written entry by entry."""
    ensemble, uses = coupling.matrix.ensemble, len(coupling.transposed)
    if ensemble.kind in ("Gaussian", "GOE") or uses == 1:
        return False
    return not (uses == 2 and not ensemble.symmetric and spectral(coupling.matrix))


def _exact(value: Number) -> Number:
    return Fraction(value) if isinstance(value, int) else value


def _node_text(node: Node) -> str:
    match node.op:
        case Init(source=IIDSource(law=law)):
            return law_text(law)
    return handle_text(node, _DEPTH)


def _matrix_names(matrices: Iterable[RandomMatrix]) -> dict[int, str]:
    """Names by identity; those without one get a letter, numbered if it is taken."""
    out: dict[int, str] = {}
    taken: set[str] = {m.name for m in matrices if m.name}
    for m in matrices:
        if m.name:
            out[id(m)] = m.name
            continue
        stem = {"Haar": "Q", "GOE": "X", "Gaussian": "W", "BiInvariant": "B"}.get(m.ensemble.kind, "A")
        count = 1
        name = stem
        while name in taken:
            count += 1
            name = f"{stem}{count}"
        taken.add(name)
        out[id(m)] = name
    return out
