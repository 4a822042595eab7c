"""Scalings of initialisation and learning rate with the width, and what exponents alone say about training.

An abc-parametrisation of a network with L hidden layers, ``h^1 = W^1 x``, ``x^l = phi(h^l)``, ``f = W^(L+1) x^L``, is
``W^l = n^(-a_l) w^l``, ``w^l ~ N(0, n^(-2 b_l))``, and the trained w^l move at the learning rate ``eta n^-c``
(Yang & Hu 2021, 2011.14522, section 3). The plane of Golikov (2020, 2006.06574) is its case of one hidden layer with
``f = sigma sum_r a_r phi(w_r x)``, ``sigma ~ n^q_sigma``, and rates ``n^q~`` for a and w of unit variance:
``a_2 = -q_sigma``, ``c = -q~``.

Exponents are Fractions and mean powers of the width. They are those of features Theta(1) at initialisation and of a loss
gradient Theta(1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..errors import BadParameter
from .catalogue import IC_MF, LimitModel

HALF = Fraction(1, 2)
SLOW = Fraction(1, 4)  # a correction n^-1/4 is halved by sixteen times the width
NAMED = ("ntk", "mean field", "sym-default", "standard", "standard, constant rate", "mup", "ic-mf")
_ALIASES = {
    "mf": "mean field",
    "mean-field": "mean field",
    "sym_default": "sym-default",
    "ic_mf": "ic-mf",
    "sp": "standard",
}

MIDDLE_LAYERS = (
    "with more than two hidden layers plain gradient descent has no non-trivial mean-field limit (Golikov, ICML 2020): "
    "at initialisation averages over the width leave h^l ~ n^(-(l-1)/2), so that only the rank-one updates of inner matrices "
    "carry a signal; the update of W^l maps along u^l v^l.T, and v^(l+1) = phi(h^l), u^l = dh^l are independent directions, "
    "whose overlap vanishes like n^(-1/2); two inner matrices in a row transmit nothing"
)


@dataclass(frozen=True)
class ABC:
    """An abc-parametrisation of a network with L hidden layers.

    Attributes
    ----------
    a, b : tuple of L + 1 Fractions
        Layer by layer, the readout last.
    c : Fraction

    Raises
    ------
    BadParameter
        If a and b are not of one length >= 2, or an exponent is no finite number.

    Examples
    --------
    >>> ABC(a=("-1/2", 0, "1/2"), b=("1/2", "1/2", "1/2"), c=0)
    ABC(a=(-1/2, 0, 1/2), b=(1/2, 1/2, 1/2), c=0)
    """

    a: tuple[Fraction, ...]
    b: tuple[Fraction, ...]
    c: Fraction

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise BadParameter(f"{name}={value!r}", remedy="one exponent per layer, the readout last")
            object.__setattr__(self, name, tuple(exponent(v) for v in value))
        object.__setattr__(self, "c", exponent(self.c))
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise BadParameter(
                f"a of {len(self.a)} and b of {len(self.b)} layers", remedy="as many of one as of the other, at least 2"
            )

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return len(self.a) - 1

    def shifted(self, theta: Any) -> ABC:
        """The equivalent ``a + theta, b - theta, c - 2 theta``: the same network and the same training.

        Examples
        --------
        >>> ABC((0, 1), (0, 0), -1).shifted("-1/2")
        ABC(a=(-1/2, 1/2), b=(1/2, 1/2), c=0)
        """
        t = exponent(theta)
        return ABC(tuple(x + t for x in self.a), tuple(x - t for x in self.b), self.c - 2 * t)

    @property
    def plane(self) -> tuple[Fraction, Fraction] | None:
        """(q_sigma, q~) of a network with one hidden layer whose layers learn at one rate; None for any other.

        Examples
        --------
        >>> named("mup").plane == named("mean field").plane
        True
        """
        if self.depth != 1 or self.a[0] + self.b[0] != 0 or self.a[0] + self.b[1] != 0:
            return None
        return -(self.a[1] + self.b[1]), -(self.c + 2 * self.a[0])

    def __repr__(self) -> str:
        a, b = (f"({', '.join(map(str, row))})" for row in (self.a, self.b))
        return f"ABC(a={a}, b={b}, c={self.c})"


def exponent(value: Any) -> Fraction:
    """A power of the width: an int, a Fraction, a string as "-1/2", or a float, taken as the simple fraction it is close to.

    Raises
    ------
    BadParameter
        For anything else, or a number that is not finite.

    Examples
    --------
    >>> exponent("-1/2"), exponent(-2 / 3), exponent(0.1)
    (Fraction(-1, 2), Fraction(-2, 3), Fraction(1, 10))
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, int | str | Fraction):
            return Fraction(value)
        exact = Fraction(float(value))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise BadParameter(f"the exponent {value!r}", remedy='a finite number such as -1, 0.25 or "-1/2"') from None
    simple = exact.limit_denominator(1000)
    return simple if abs(simple - exact) < Fraction(1, 10**12) else exact


def plane(q_sigma: Any, q_tilde: Any) -> ABC:
    """The scaling ``sigma ~ n^q_sigma``, rates ``~ n^q~``, of one hidden layer.

    Examples
    --------
    >>> plane("-1/2", 0)
    ABC(a=(0, 1/2), b=(0, 0), c=0)
    """
    return ABC((Fraction(0), -exponent(q_sigma)), (Fraction(0), Fraction(0)), -exponent(q_tilde))


def named(name: str, depth: int = 1) -> ABC:
    """A scaling by its name, with `depth` hidden layers.

    "ntk": NTK parametrisation. "mean field": averages instead of sums. "sym-default": the initialisation of "ntk" and a rate
    n^(1/2), the largest at which features stay finite. "standard": variances 1/n and the rate 1/n, the largest stable one.
    "standard, constant rate": the same without that factor. "mup": the maximal update parametrisation. "ic-mf":
    "mean field", its initial function replaced by that of "ntk".

    Raises
    ------
    BadParameter
        If the name is unknown, or depth no positive int (for "ic-mf": not 1).

    Examples
    --------
    >>> named("mup", 2)
    ABC(a=(-1/2, 0, 1/2), b=(1/2, 1/2, 1/2), c=0)
    """
    key = _key(name)
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise BadParameter(f"depth={depth!r}", remedy="the number of hidden layers, at least 1")
    zero, inner = Fraction(0), depth - 1
    zeros = (zero,) * (depth + 1)
    match key:
        case "ntk":
            return ABC((zero, *(HALF,) * depth), zeros, zero)
        case "sym-default":
            return ABC((zero, *(HALF,) * depth), zeros, -HALF)
        case "mean field":
            return ABC((zero, *(Fraction(1),) * depth), zeros, Fraction(-1))
        case "standard":
            return ABC(zeros, (zero, *(HALF,) * depth), Fraction(1))
        case "standard, constant rate":
            return ABC(zeros, (zero, *(HALF,) * depth), zero)
        case "mup":
            return ABC((-HALF, *(zero,) * inner, HALF), (HALF,) * (depth + 1), zero)
    if depth != 1:
        raise BadParameter(f'"ic-mf" with {depth} hidden layers', remedy="one hidden layer, for which it is defined")
    return named("mean field")


def _key(name: Any) -> str:
    text = str(name).strip().lower().replace("μ", "mu")
    key = _ALIASES.get(text, text)
    if key not in NAMED:
        raise BadParameter(
            f"the scaling {name!r}", remedy=f"one of {', '.join(NAMED)}, a pair (q_sigma, q~), or an ABC"
        )
    return key


@dataclass(frozen=True)
class Exponents:
    """Powers of the width, of one network; at initialisation and in the first steps.

    Attributes
    ----------
    hidden : tuple
        The preactivations h^1 .. h^L at initialisation; 0 in every scaling of interest.
    initial : Fraction
        f_0.
    kernel : Fraction
        The tangent kernel, learning rate included.
    update : Fraction
        The change of f in one step (kappa): the larger of what the readout and what the features contribute.
    features : Fraction
        The relative change of the features: -r.
    kernel_change : Fraction
        The relative change of the kernel: its first order is odd in the readout and averages out to n^(-1/2).
    weights : tuple
        The relative change of each layer's entries in the first step.
    """

    hidden: tuple[Fraction, ...]
    initial: Fraction
    kernel: Fraction
    update: Fraction
    features: Fraction
    kernel_change: Fraction
    weights: tuple[Fraction, ...]


def exponents(scaling: ABC) -> Exponents:
    """The exponents of a scaling, by the arithmetic of coherent and incoherent sums over the width.

    Law: ``r = min(a + b, 2 a + c) + c - 1 + min_l (2 a_l + [l = 1])`` with a, b of the readout; f_0 ~ n^(1/2 - a - b), its
    update ~ n^max(1 - 2 a - c, 1 - a - b - r).

    Notes
    -----
    TP IV (2011.14522), Definition 3.2 and Theorem 3.3; Golikov 2020 (2006.06574), Equation 8 for one hidden layer.

    Examples
    --------
    >>> e = exponents(plane(-1, 1))
    >>> str(e.initial), str(e.kernel), str(e.update), str(e.features)
    ('-1/2', '0', '0', '0')
    """
    *a, last = scaling.a
    *b, last_b = scaling.b
    c = scaling.c
    hidden, size = [], Fraction(0)
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        size += (HALF if k else 0) - x - y
        hidden.append(size)
    lowest = c - 1 + min(2 * x + (k == 0) for k, x in enumerate(a))
    first, r = last + last_b + lowest, min(last + last_b, 2 * last + c) + lowest
    readout, total = 1 - 2 * last - c, 1 - last - last_b
    backward = last + last_b
    weights = (*(y - x - c - backward for x, y in zip(a, b, strict=True)), last_b - last - c)
    return Exponents(
        tuple(hidden),
        HALF - last - last_b,
        max(readout, total - first),
        max(readout, total - r),
        -r,
        max(-2 * r, -r - HALF),
        weights,
    )


@dataclass(frozen=True)
class Report:
    """What a scaling does to a wide network. Made by `classify`; printing it prints everything.

    Attributes
    ----------
    scaling : ABC
    exponents : Exponents
    model : LimitModel or None
        The limit; None outside the band.
    stability : str
        "stable": outputs and features stay finite and move; "trivial": the output does not move; "exploding".
        Theorem 3.3 and 3.4 of TP IV.
    explanation : str
        How it explodes or stagnates, or what the limit is.
    notes : tuple of str
    """

    scaling: ABC
    exponents: Exponents
    model: LimitModel | None
    stability: str
    explanation: str
    notes: tuple[str, ...] = ()

    @property
    def r(self) -> Fraction:
        """Features change by n^-r."""
        return -self.exponents.features

    @property
    def in_band(self) -> bool:
        """Whether training has a limit after dividing the output by a power of the width (dynamical stability)."""
        return self.model is not None

    @property
    def learns_features(self) -> bool:
        """r = 0, within the band."""
        return self.in_band and self.r == 0

    @property
    def properties(self) -> dict[str, str | bool]:
        """The property row of the limit model; empty outside the band."""
        return {} if self.model is None else self.model.properties

    @property
    def equations(self) -> str:
        """The limit equations as text; empty outside the band, and where features of several layers are learned.

        The latter have no closed form: `feature_learning` unrolls them.
        """
        if self.model is None or (self.scaling.depth > 1 and self.model.evolves):
            return ""
        lines = self.model.equations.splitlines()
        if self.scaling.depth > 1:
            lines = [
                "Theta: the tangent kernel, learning rates included, constant" if x[:5] == "Theta" else x for x in lines
            ]
        return "\n".join(lines)

    def latex(self) -> str:
        """The limit equations of one hidden layer as LaTeX; empty for any other network and outside the band."""
        return "" if self.model is None or self.scaling.depth > 1 else self.model.latex()

    @property
    def rate(self) -> Fraction:
        """Corrections to the limit vanish like n^-rate: the slowest of all exponents that the limit takes for infinite.

        Examples
        --------
        >>> str(classify("ntk").rate), str(classify(("-2/3", "1/2")).rate)
        ('1/2', '1/6')
        """
        e, found = self.exponents, [HALF]
        if self.model is not None and not self.model.corrected:
            found += [abs(x) for x in (e.initial, e.update, e.update - e.initial) if x != 0]
            if not self.model.evolves:
                found.append(-e.kernel_change)
        return min(found)

    def __str__(self) -> str:
        e = self.exponents
        rows = [(f"h^{k + 1} at initialisation", size) for k, size in enumerate(e.hidden) if any(e.hidden)] or [
            ("f_0", e.initial),
            ("tangent kernel", e.kernel),
            ("update of f", e.update),
            ("features, relative change", e.features),
            ("kernel, relative change", e.kernel_change),
            *((f"weights of layer {k + 1}, relative change", w) for k, w in enumerate(e.weights)),
        ]
        where = self.scaling.plane
        head = [repr(self.scaling) + ("" if where is None else f" = (q_sigma, q~) = ({where[0]}, {where[1]})")]
        head.append(f"{self.stability}: {self.explanation}")
        table = [f"  {name:<36} n^{value}" for name, value in rows]
        tail = ["", *(f"  {line}" for line in self.equations.splitlines())] if self.equations else []
        row = [] if self.model is None else ["  " + ", ".join(f"{k}: {_word(v)}" for k, v in self.properties.items())]
        return "\n".join([*head, *row, *table, *tail, *self.notes])


def _word(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"


def classify(scaling: Any, *, depth: int = 1) -> Report:
    """What happens when a network of a given scaling becomes wide: exponents, stability, and which limit it has.

    Law: with ``p = -r`` the exponent of the features, m0 that of f_0 and kappa that of the update of f, training has a limit
    iff p <= 0 and m0 <= kappa; the kernel evolves iff p = 0; f_0 is not lost iff m0 = kappa.

    Parameters
    ----------
    scaling : ABC, pair (q_sigma, q~), or name
        See `ABC`, `plane`, `named`.
    depth : int
        Hidden layers of a scaling given by its name.

    Returns
    -------
    Report
        Outside the band as well: it then says how training explodes or stagnates.

    Raises
    ------
    BadParameter
        If the scaling is no such thing.

    Notes
    -----
    Exact arithmetic. TP IV (2011.14522), Theorems 3.3-3.8; Golikov 2020 (2006.06574). The thirteen models are named after
    networks with one hidden layer; a deeper one is given the name of the model with its signs.

    Examples
    --------
    >>> classify("mup", depth=3).model.name, classify("ntk", depth=3).model.name
    ('MF', 'NTK')
    >>> print(classify((1, 1)).explanation)
    features grow like n^4: the learning rate is too large by a power of the width
    """
    if isinstance(scaling, str):
        key = _key(scaling)
        found = named(key, depth)
        if key == "mean field" and depth > 1:
            return _deep_mean_field(found)
        return _corrected(found) if key == "ic-mf" else classify(found)
    if isinstance(scaling, Sequence) and len(scaling) == 2:
        return classify(plane(*scaling))
    if not isinstance(scaling, ABC):
        raise BadParameter(
            f"the scaling {scaling!r}", remedy=f"an ABC, a pair (q_sigma, q~), or one of {', '.join(NAMED)}"
        )
    e = exponents(scaling)
    for k, size in enumerate(e.hidden):
        if size:
            how = "explode" if size > 0 else "vanish"
            stability = "exploding" if size > 0 else "trivial"
            text = f"preactivations of layer {k + 1} {how} like n^{size} at initialisation: {_init_remedy(k)}"
            return Report(scaling, e, None, stability, text)
    if e.features > 0:
        text = f"features grow like n^{e.features}: the learning rate is too large by a power of the width"
        return Report(scaling, e, None, "exploding", text)
    if e.update < e.initial:
        text = (
            f"the output stagnates: f_0 ~ n^{e.initial}, and a step changes it by n^{e.update} only; "
            "no finite number of steps is seen beside it"
        )
        return Report(scaling, e, None, "exploding" if e.initial > 0 else "trivial", text)
    model = LimitModel(_sign(e.initial), _sign(e.update), e.features == 0, e.update == e.initial)
    return _noted(Report(scaling, e, model, _stability(e), _limit_text(model, e)))


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _init_remedy(layer: int) -> str:
    return "a_1 + b_1 = 0 keeps them finite" if layer == 0 else f"a + b = 1/2 in layer {layer + 1} keeps them finite"


def _stability(e: Exponents) -> str:
    if e.initial > 0 or e.update > 0:
        return "exploding"
    return "trivial" if e.update < 0 else "stable"


def _limit_text(model: LimitModel, e: Exponents) -> str:
    what = {-1: f"f vanishes like n^{e.update}", 0: "f is finite", 1: f"f grows like n^{e.update}"}[model.kernel]
    learns = "features are learned" if model.evolves else f"the kernel is fixed, features move by n^{e.features}"
    return f"{what}, {learns}; the limit is {model.name} ({model.state})"


def _noted(report: Report) -> Report:
    return replace(report, notes=tuple(_notes(report)))


def _notes(report: Report) -> Iterator[str]:
    if report.exponents.weights[-1] > 0:
        yield f"the readout outgrows its initial value by n^{report.exponents.weights[-1]} in one step: its limit starts at 0"
    if report.rate > SLOW:
        return
    logits = 0 < report.exponents.update <= SLOW
    how = "too slow to be seen" if logits else "slow"
    note = f"; the logits grow like n^{report.exponents.update}, and the gradient is a sign only where they are large"
    yield (
        f"convergence is {how}: corrections vanish like n^-{report.rate}, "
        f"and to halve them takes {2 ** float(1 / report.rate):.0f} times the width{note if logits else ''}"
    )


def _corrected(scaling: ABC) -> Report:
    e = exponents(scaling)
    moved = Exponents(e.hidden, Fraction(0), e.kernel, e.update, e.features, e.kernel_change, e.weights)
    text = (
        "f_t - f_0 of mean field plus the initial function of NTK: finite from the start, and features are learned; "
        f"the limit is {IC_MF.name} ({IC_MF.state})"
    )
    return Report(scaling, moved, IC_MF, "stable", text)


def _deep_mean_field(scaling: ABC) -> Report:
    e = exponents(scaling)
    sizes = ", ".join(f"h^{k + 1} ~ n^{size}" for k, size in enumerate(e.hidden))
    if scaling.depth > 2:
        text = f"{sizes}; {MIDDLE_LAYERS}. Use mup, which keeps a matrix of variance 1/n in every inner layer"
    else:
        text = (
            f"{sizes}: averages over the width vanish at initialisation, and one learning rate for all layers does not make up "
            "for it; rates of their own, n^(q~ + q_sigma) inside and n^(q~ + 2 q_sigma) at the readout, do"
        )
    return Report(scaling, e, None, "trivial", text)
