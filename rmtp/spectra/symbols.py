"""Polynomials in named quantities as Python and as LaTeX."""

from __future__ import annotations

import re
from fractions import Fraction

from ..ensembles import Number
from ..quantity import Quantity, quantity_text

Symbols = dict[tuple[str, ...], Number]  # sorted names -> factor
_GREEK = ("Theta", "Phi", "Omega")
_FIRST = ("d", "s", "z")  # within a product


def number_text(value: Number, latex: bool = False) -> str:
    """A number that Python reads back."""
    if isinstance(value, int | Fraction):
        value = Fraction(value)
        if latex and value.denominator != 1:
            sign = "-" if value < 0 else ""
            return rf"{sign}\tfrac{{{abs(value.numerator)}}}{{{value.denominator}}}"
        return str(value)
    if isinstance(value, Quantity):
        return quantity_text(value, latex)
    return repr(float(value))


def tex_name(name: str) -> str:
    """``Theta_1`` as ``\\Theta_{1}``.

    Examples
    --------
    >>> print(tex_name("Theta_12"), tex_name("d2"), tex_name("g"))
    \\Theta_{12} d_{2} g
    """
    stem, digits = re.fullmatch(r"([A-Za-z]+)_?(\d*)", name).groups()  # type: ignore[union-attr]
    shown = "\\" + stem if stem in _GREEK else stem
    return f"{shown}_{{{digits}}}" if digits else shown


def symbol(name: str, factor: Number = 1) -> Symbols:
    """factor times one name."""
    return {(name,): factor}


def number(value: Number) -> Symbols:
    """A constant."""
    return {(): value}


def times(p: Symbols, q: Symbols) -> Symbols:
    """p q."""
    out: Symbols = {}
    for a, x in p.items():
        for b, y in q.items():
            name = tuple(sorted((*a, *b)))
            out[name] = out.get(name, 0) + x * y
    return {name: x for name, x in out.items() if x != 0}


def plus(p: Symbols, q: Symbols, factor: Number = 1) -> Symbols:
    """p + factor q."""
    out = dict(p)
    for name, x in q.items():
        out[name] = out.get(name, 0) + factor * x
    return {name: x for name, x in out.items() if x != 0}


def poly_text(p: Symbols, latex: bool = False) -> str:
    """A polynomial: the constant first, then what has a z, then the rest."""
    if not p:
        return "0"
    text = ""
    for names in _ordered(p):
        x = p[names]
        size, negative = abs(x), x < 0
        counts = {n: names.count(n) for n in sorted(names, key=rank)}
        if latex:
            body = " ".join(tex_name(n) + (f"^{{{k}}}" if k > 1 else "") for n, k in counts.items())
        else:
            body = "*".join(n + (f"**{k}" if k > 1 else "") for n, k in counts.items())
        if not names or size != 1:
            body = number_text(size, latex) + (("" if not names else " " if latex else "*") + body)
        text += (" - " if negative else " + ") + body if text else ("-" if negative else "") + body
    return text


def _ordered(p: Symbols) -> list[tuple[str, ...]]:
    return sorted(p, key=lambda names: (bool(names), "z" not in names, len(names), [rank(n) for n in names]))


def rank(name: str) -> tuple[int, str, int]:
    """By which names are sorted."""
    stem, digits = re.fullmatch(r"([A-Za-z]+)_?(\d*)", name).groups()  # type: ignore[union-attr]
    return (_FIRST.index(stem) if stem in _FIRST else len(_FIRST), stem, int(digits or 0))


def ratio_text(top: Symbols, bottom: Symbols, latex: bool = False) -> str:
    """top / bottom, with as few minus signs in front as can be."""
    if not top:
        return "0"
    negative = all(x < 0 for x in top.values())
    if negative or (bottom[_ordered(bottom)[0]] < 0 and not all(x > 0 for x in top.values())):
        top, bottom = times(top, {(): -1}), times(bottom, {(): -1})
    if bottom == {(): 1}:
        return poly_text(top, latex)
    above, below = poly_text(top, latex), poly_text(bottom, latex)
    if latex:
        return rf"\frac{{{above}}}{{{below}}}"
    above = f"({above})" if len(top) > 1 else above
    single = len(bottom) == 1 and "*" not in below and "/" not in below
    return f"{above}/{below}" if single else f"{above}/({below})"


def mean_text(inner: str, random: bool, latex: bool = False) -> str:
    """E[..] if something in it is random."""
    if not random:
        return inner
    return rf"\mathbb{{E}}\left[{inner}\right]" if latex else f"E[{inner}]"


def scaled(factor: Symbols, text: str, latex: bool = False) -> str:
    """factor times something written already."""
    if factor == {(): 1}:
        return text
    if factor == {(): -1}:
        return f"-{text}"
    inner = poly_text(factor, latex)
    inner = f"({inner})" if len(factor) > 1 else inner
    return f"{inner} {text}" if latex else f"{inner}*{text}"


def grid_text(m: list[list[Symbols]]) -> tuple[str, str]:
    """A matrix in Python and in LaTeX."""
    text = "[" + ", ".join("[" + ", ".join(map(poly_text, row)) + "]" for row in m) + "]"
    body = r" \\ ".join(" & ".join(poly_text(p, True) for p in row) for row in m)
    return text, rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
