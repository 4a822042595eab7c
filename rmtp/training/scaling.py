"""What exponents alone say about training: how networks of a given scaling behave as they become wide.

Exponents are Fractions and mean powers of the width. They are those of features Theta(1) at initialisation and of a loss
gradient Theta(1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import BadParameter
from .catalogue import IC_MF, Layers, LimitModel
from .parametrisations import ABC, HALF, NAMED, deep_mean_field, key_of, named, plane

SLOW = Fraction(1, 4)  # a correction n^-1/4 is halved by sixteen times the width

MIDDLE_LAYERS = (
    "with more than two hidden layers plain gradient descent has no non-trivial mean-field limit (Golikov, ICML 2020): "
    "at initialisation averages over the width leave h^l ~ n^(-(l-1)/2), so that only the rank-one updates of inner matrices "
    "carry a signal; the update of W^l maps along u^l v^l.T, and v^(l+1) = phi(h^l), u^l = dh^l are independent directions, "
    "whose overlap vanishes like n^(-1/2); two inner matrices in a row transmit nothing"
)


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
        The relative change of the kernel: what is odd in the initial readout averages out to n^(-1/2).
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
    odd = max(-HALF, min(weights[-1], Fraction(0)))  # features move along the readout, whose initial values average out
    return Exponents(
        tuple(hidden),
        HALF - last - last_b,
        max(readout, total - first),
        max(readout, total - r),
        -r,
        max(-2 * r, odd - r, _by_readout(scaling)),
        weights,
    )


def first_step(scaling: ABC) -> tuple[Fraction, Fraction]:
    """The relative changes of features and of the kernel in the first step alone, where the readout is still random.

    Later ones, which `exponents` has, are larger where the readout outgrows its initial values.

    Examples
    --------
    >>> [str(e) for e in first_step(named("standard, constant rate"))]
    ['-1/2', '0']
    """
    *a, last = scaling.a
    r = last + scaling.b[-1] + scaling.c - 1 + min(2 * x + (k == 0) for k, x in enumerate(a))
    return -r, max(-2 * r, -r - HALF, _by_readout(scaling))


def _by_readout(scaling: ABC) -> Fraction:
    """The relative change of the kernel that the readout makes, in whose square the part of the other layers is."""
    parts, moved = kernel_parts(scaling), scaling.b[-1] - scaling.a[-1] - scaling.c
    return max(parts[:-1]) - max(parts) + max(2 * moved, moved - HALF)


def kernel_parts(scaling: ABC) -> tuple[Fraction, ...]:
    """The powers of the width of what each layer's weights contribute to the tangent kernel, the readout's last.

    Examples
    --------
    >>> [str(e) for e in kernel_parts(named("ntk", 2))], [str(e) for e in kernel_parts(named("standard", 2))]
    (['0', '0', '0'], ['-1', '0', '0'])
    """
    last, total = scaling.a[-1], scaling.a[-1] + scaling.b[-1]
    inner = (2 - 2 * total - scaling.c - 2 * a - (k == 0) for k, a in enumerate(scaling.a[:-1]))
    return (*inner, 1 - 2 * last - scaling.c)


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
        """The limit equations as text; empty outside the band, and in "mup" with several layers: see `feature_learning`."""
        if self.model is None:
            return ""
        if self.scaling.depth == 1:
            return self.model.text(self.layers)
        if self.model.evolves:
            return self.model.two_layers if deep_mean_field(self.scaling) else ""
        lines = self.model.equations.splitlines()
        words = {
            "Theta": f"Theta: the tangent kernel, learning rates included, constant{_moving(self.scaling)}",
            "g_0 ~": f"g_0 ~ GP(0, sigma^2 d* K),  K the NNGP of a network with {self.scaling.depth} hidden layers",
        }
        return "\n".join(words.get(line[:5], line) for line in lines)

    @property
    def layers(self) -> Layers:
        """What the limit of a network with one hidden layer has of either layer."""
        first, readout = (part == max(kernel_parts(self.scaling)) for part in kernel_parts(self.scaling)[-2:])
        if self.model is None or not self.model.evolves:
            return Layers(first, readout)
        start, move = self.scaling.a[-1] + self.scaling.b[-1], 2 * self.scaling.a[-1] + self.scaling.c
        return Layers(True, move <= start, start <= move)

    def latex(self) -> str:
        """The limit equations of one hidden layer as LaTeX; empty for any other network and outside the band."""
        return "" if self.model is None or self.scaling.depth > 1 else self.model.latex(self.layers)

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
        return min([*found, *_gaps(self)])

    def __str__(self) -> str:
        e = self.exponents
        rows = [(f"h^{k + 1} at initialisation", size) for k, size in enumerate(e.hidden) if any(e.hidden)]
        if self.in_band or not rows:
            rows += [
                ("f_0", e.initial),
                ("tangent kernel", e.kernel),
                ("update of f", e.update),
                ("features, relative change" if not rows else "features, change", e.features),
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


def _gaps(report: Report) -> Iterator[Fraction]:
    """By which powers of the width layers that the limit leaves out are smaller than those in it."""
    if report.model is None or deep_mean_field(report.scaling):
        return
    if report.model.evolves:
        last, start = 2 * report.scaling.a[-1] + report.scaling.c, report.scaling.a[-1] + report.scaling.b[-1]
        parts: tuple[Fraction, ...] = (last, start)
    else:
        parts = kernel_parts(report.scaling)
    yield from (max(parts) - part for part in set(parts) if part < max(parts))


def _moving(scaling: ABC) -> str:
    parts = kernel_parts(scaling)
    left_out = [str(k + 1) for k, part in enumerate(parts) if part < max(parts)]
    return f", without layer {', '.join(left_out)}" if left_out else ""


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
        key = key_of(scaling)
        found = classify(named(key, depth))
        return _corrected(found) if key == "ic-mf" and found.model is not None else found
    if isinstance(scaling, Sequence | np.ndarray) and len(scaling) == 2:
        return classify(plane(*scaling))
    if not isinstance(scaling, ABC):
        raise BadParameter(
            f"the scaling {scaling!r}", remedy=f"an ABC, a pair (q_sigma, q~), or one of {', '.join(NAMED)}"
        )
    if deep_mean_field(scaling):
        return _deep_mean_field(scaling)
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


def _corrected(report: Report) -> Report:
    text = (
        "f_t - f_0 of mean field plus the initial function of NTK: finite from the start, and features are learned; "
        f"the limit is {IC_MF.name} ({IC_MF.state})"
    )
    moved = replace(report.exponents, initial=Fraction(0))
    return Report(report.scaling, moved, IC_MF, "stable", text)


def _deep_mean_field(scaling: ABC) -> Report:
    """Beyond `exponents`, whose features are Theta(1): here h^2 ~ n^(-1/2), and nothing reaches the first layer at step 0.

    For phi(0) = 0; otherwise f_0 ~ n^(-1/2), and the readout moves by its own size, as with one hidden layer.
    """
    e = exponents(scaling)
    if scaling.depth > 2:
        sizes = ", ".join(f"h^{k + 1} ~ n^{size}" for k, size in enumerate(e.hidden))
        text = f"{sizes}; {MIDDLE_LAYERS}. Use mup, which keeps a matrix of variance 1/n in every inner layer"
        return Report(scaling, e, None, "trivial", text)
    zero = Fraction(0)
    first = Exponents(e.hidden, Fraction(-1), zero, zero, zero, zero, (-HALF, zero, -HALF))
    text = (
        "f is finite, features are learned: the initial inner matrix averages out, h^2 starts at 0 like n^-1/2, and all that "
        "joins the two layers of particles is its rank-one updates; the limit is MF (particles)"
    )
    return Report(scaling, first, LimitModel(-1, 0, True, False), "stable", text)
