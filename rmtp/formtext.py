"""Normal forms of Z as text and LaTeX."""

from __future__ import annotations

from typing import Any

import numpy as np

from .instructions import Init, MatVec, NormalGroup
from .normal import ONE, Atoms, Draw, Form, Func, Hat, Initial, Mono, add
from .printing import matrix_name, number_text, tex
from .program import Program


def source_names(program: Program, names: tuple[str, ...]) -> dict[Any, str]:
    """The names of initial vectors, keyed as atoms are."""
    out: dict[Any, str] = {}
    for number, line in enumerate(program.lines):
        match line.op:
            case Init(source=NormalGroup() as source, index=None):
                out.update({(id(source), i): f"{names[number]}[{i}]" for i in range(len(source.mean))})
            case Init(source=source, index=index):
                out[id(source), index] = names[number]
    return out


def form_text(
    form: Form, atoms: Atoms, names: dict[Any, str], matrices: dict[int, str], latex: bool = False, inside: bool = False
) -> str:
    """A form as a sum of monomials; `inside` a hat, vectors go by their own names instead of their Z."""
    form = _with_means(form, atoms)
    if not form.terms:
        return "0"
    parts = []
    for mono, coefficient in form.terms.items():
        if len(mono) == 1 and mono[0][1] == 1 and isinstance(atoms.table[mono[0][0]], Initial):
            body = atom_text(mono[0][0], atoms, names, matrices, latex, inside, centred=False)
        else:
            body = mono_text(mono, atoms, names, matrices, latex, inside)
        value = float(np.ravel(np.asarray(coefficient, float))[0])
        sign = "-" if value < 0 else "+"
        size = number_text(abs(coefficient) if not isinstance(coefficient, np.ndarray) else abs(value), latex)
        if mono == ONE:
            parts.append((sign, size))
        else:
            parts.append((sign, body if size == "1" else f"{size} {body}"))
    head = ("-" if parts[0][0] == "-" else "") + parts[0][1]
    return head + "".join(f" {sign} {body}" for sign, body in parts[1:])


def _with_means(form: Form, atoms: Atoms) -> Form:
    """A linear term c (Z^x - mean) prints as c Z^x, so its c mean leaves the constant."""
    out = form
    for mono, coefficient in form.terms.items():
        if len(mono) == 1 and mono[0][1] == 1:
            atom = atoms.table[mono[0][0]]
            if isinstance(atom, Initial) and atom.group.mean[atom.index]:
                out = add(out, Form({ONE: coefficient * atom.group.mean[atom.index]}), -1)
    return out


def mono_text(
    mono: Mono, atoms: Atoms, names: dict[Any, str], matrices: dict[int, str], latex: bool = False, inside: bool = False
) -> str:
    """A monomial as a product of named atoms."""
    out = []
    for a, power in mono:
        body = atom_text(a, atoms, names, matrices, latex, inside)
        out.append(body if power == 1 else f"{body}^{{{power}}}" if latex else f"{body}**{power}")
    return " ".join(out) or "1"


def atom_text(
    a: int,
    atoms: Atoms,
    names: dict[Any, str],
    matrices: dict[int, str],
    latex: bool = False,
    inside: bool = False,
    centred: bool = True,
) -> str:
    """Z^x, Zhat^{W x}, phi(...); inside a hat x, hat(W x), phi(...)."""

    def z(name: str) -> str:
        shown = tex(name) if latex else name
        if inside:
            return shown
        return f"Z^{{{shown}}}" if latex or len(name) > 1 else f"Z^{name}"

    match atoms.table[a]:
        case Initial(group, index):
            name = names.get((id(group), index), "x")
            return (
                z(name) if not centred or not group.mean[index] else f"({z(name)} - {number_text(group.mean[index])})"
            )
        case Draw(source):
            return z(names.get((id(source), 0), "x"))
        case Hat(matrix, transposed, basis):
            inner = form_text(basis, atoms, names, matrices, latex, inside=True)
            inner = f"({inner})" if len(_with_means(basis, atoms).terms) > 1 else inner
            product = f"{matrix_name(MatVec(matrix, transposed), matrices, latex)} {inner}"
            if latex:
                return rf"\widehat{{{product}}}" if inside else rf"\hat Z^{{{product}}}"
            return f"hat({product})" if inside else f"Zhat^{{{product}}}"
        case Func(fn, args):
            inner = ", ".join(form_text(arg, atoms, names, matrices, latex, inside) for arg in args)
            return rf"{fn.latex or fn.name}\!\left({inner}\right)" if latex else f"{fn.name}({inner})"
    raise AssertionError
