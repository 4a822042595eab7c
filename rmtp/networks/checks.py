"""Do the kernels hold? Limits beside networks of growing width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import special
from ..errors import BadParameter, DivergentExpectation, UnsupportedOperation
from ..kernels.api import nngp, ntk
from ..kernels.tangent import check_parametrization
from ..progress import progress
from ..results import Estimate
from ..sample import generator
from ..verify import Verification, check_trials, check_widths, line_fit
from .finite import FiniteNetwork, drawn
from .network import batch
from .trained import Architecture, architecture

KERNELS = ("nngp", "ntk")
TRIALS = 40
LIMIT_ERROR = 1e-9  # relative to the largest entry: quadrature of kernels
FALSE_ALARM = 1e-3
_HEAD = ("kernel", "n", "trials", "relative deviation", "of the mean", "largest |z|")


@dataclass(frozen=True, eq=False)
class KernelVerification:
    """Kernels of networks of growing width, beside their limits.

    Law: the mean over draws is ``K + C/n + O(n**-2)``; one draw deviates by a multiple of n**(-1/2).

    Attributes
    ----------
    limits : mapping
        "nngp", "ntk" -> ndarray (N1, N2).
    widths : tuple of int
        Base widths, increasing.
    samples : mapping
        Kernel -> per width an ndarray (trials, N1, N2).
    symmetric : bool
        Whether X2 = X1, so that entries below the diagonal repeat those above.
    sampled_as : str
        How the NNGP was sampled: "conjugate kernels" (covariance given all but the readout weights) or "outputs"
        (products f(x) f(x') alone, which do not concentrate as n grows).
    parametrization, entries : str or None

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, n, 2)))
    >>> check = rmtp.networks.verify_kernels(net, np.eye(2), widths=(50, 100), trials=20)
    >>> check.passed(), sorted(check.limits), check.deviation("ntk")[0].shape
    (True, ['nngp', 'ntk'], (2,))
    """

    limits: Mapping[str, np.ndarray]
    widths: tuple[int, ...]
    samples: Mapping[str, tuple[np.ndarray, ...]]
    symmetric: bool
    sampled_as: str = "conjugate kernels"
    parametrization: str = "ntk"
    entries: str | None = None

    # -- size of the deviation --------------------------------------------------------------------

    def deviation(self, kernel: str) -> tuple[np.ndarray, np.ndarray]:
        """``|K_n - K|_F / |K|_F`` of one draw: its mean over draws, per width, and the standard error of that mean."""
        each = [self._relative(kernel, s) for s in self.samples[kernel]]
        return np.array([d.mean() for d in each]), np.array([d.std(ddof=1) / len(d) ** 0.5 for d in each])

    def deviation_of_mean(self, kernel: str) -> np.ndarray:
        """``|mean of K_n - K|_F / |K|_F``, per width."""
        return np.array([float(self._relative(kernel, s.mean(axis=0))) for s in self.samples[kernel]])

    def slope(self, kernel: str) -> tuple[float, float] | None:
        """The slope of log deviation of one draw against log n, and its standard error; -1/2 for large n.

        None for fewer than two widths, or without any deviation.
        """
        mean, error = self.deviation(kernel)
        if len(self.widths) < 2 or np.any(mean <= 0) or np.any(error <= 1e-12 * mean):
            return None
        fit = line_fit(np.log(self.widths), np.log(mean), error / mean)
        return fit.slope, fit.slope_error

    def _relative(self, kernel: str, values: np.ndarray) -> Any:
        limit = self.limits[kernel]
        size = float(np.linalg.norm(limit))
        return np.linalg.norm(values - limit, axis=(-2, -1)) / (size or 1.0)

    # -- agreement --------------------------------------------------------------------------------

    @cached_property
    def scores(self) -> Mapping[str, np.ndarray]:
        """Kernel -> z-score of each entry (N1, N2): the limit against means extrapolated to infinite width by K + C/n.

        Student's t as the normal deviate of the same tail, so that few draws cost no false alarms; see `Verification.score`.
        """
        out = {}
        for name, limit in self.limits.items():
            error = LIMIT_ERROR * float(np.abs(limit).max())
            table = np.empty(limit.shape)
            for i, j in np.ndindex(*limit.shape):
                if self.symmetric and j < i:
                    table[i, j] = table[j, i]
                    continue
                entry = tuple(np.ascontiguousarray(s[:, i, j]) for s in self.samples[name])
                table[i, j] = Verification(Estimate(limit[i, j], error, "claim"), self.widths, entry).score
            out[name] = table
        return out

    @property
    def score(self) -> float:
        """The largest |z| of all entries of all kernels."""
        return max(float(np.abs(z).max()) for z in self.scores.values())

    def threshold(self, false_alarm: float = FALSE_ALARM) -> float:
        """The |z| that the largest of all entries passes with at most this probability if the limits are right.

        Bonferroni over the distinct entries, which holds however much they depend on each other.
        """
        if not 0 < false_alarm < 1:
            raise BadParameter(f"false_alarm={false_alarm!r}", remedy="a probability, such as 1e-3")
        distinct = sum(int(np.triu(np.ones(k.shape)).sum()) if self.symmetric else k.size for k in self.limits.values())
        return float(-special.ndtri(false_alarm / (2 * distinct)))

    def passed(self, false_alarm: float = FALSE_ALARM) -> bool:
        """Whether every entry of every kernel agrees with its samples.

        Right limits fail in at most this share of all checks (as far as means of draws are Gaussian and the bias is C/n; one
        width alone has its bias counted against it). A wrong entry is found if it is off by more than about `threshold()`
        standard errors of its extrapolated mean.
        """
        return self.score < self.threshold(false_alarm)

    # -- reports ----------------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for name in self.limits:
            mean, error = self.deviation(name)
            for n, s, d, e, m in zip(
                self.widths, self.samples[name], mean, error, self.deviation_of_mean(name), strict=True
            ):
                spread = s.std(axis=0, ddof=1) / len(s) ** 0.5
                floor = LIMIT_ERROR * float(np.abs(self.limits[name]).max()) or 1e-300
                z = float(np.abs((s.mean(axis=0) - self.limits[name]) / np.hypot(spread, floor)).max())
                rows.append((name, str(n), str(len(s)), f"{d:.4f} ± {e:.4f}", f"{m:.4f}", f"{z:.2f}"))
        return rows

    def _summary(self) -> list[str]:
        lines = []
        for name in self.limits:
            fit = self.slope(name)
            rate = "not resolved" if fit is None else f"n^({fit[0]:.2f} ± {fit[1]:.2f})"
            note = f", sampled from {self.sampled_as}" if name == "nngp" else ""
            lines.append(f"{name}: deviation of one draw ~ {rate}{note}")
        verdict = "agrees" if self.passed() else "DISAGREES"
        lines.append(
            f"extrapolated to infinite width: largest |z| = {self.score:.2f}, "
            f"threshold {self.threshold():.2f} (false alarms {FALSE_ALARM:g}): {verdict}"
        )
        return lines

    @property
    def _title(self) -> str:
        shape = " x ".join(map(str, next(iter(self.limits.values())).shape))
        law = f", {self.entries} entries" if self.entries else ""
        return f"kernels of {shape} inputs, {self.parametrization} parametrization{law}"

    def to_markdown(self) -> str:
        """A table with one row per kernel and width; rates and the verdict below it."""
        head = ["| " + " | ".join(_HEAD) + " |", "|" + " --: |" * len(_HEAD)]
        rows = ["| " + " | ".join(row).replace("largest |z|", "largest abs z") + " |" for row in self._rows()]
        head[0] = head[0].replace("|z|", "abs z")
        return "\n".join([f"`{self._title}`", "", *head, *rows, "", *(line + "  " for line in self._summary())])

    def __str__(self) -> str:
        table = [_HEAD, *self._rows()]
        sizes = [max(len(row[k]) for row in table) for k in range(len(_HEAD))]
        lines = ["  " + "  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True)) for row in table]
        return "\n".join([self._title, *lines, *self._summary()])

    def __repr__(self) -> str:
        return f"<KernelVerification of {', '.join(self.limits)}: largest |z| = {self.score:.2f} over widths {self.widths}>"

    def plot(self, ax: Any = None) -> Any:
        """Relative deviation of one draw against n with a line of slope -1/2, both logarithmic; returns the Axes."""
        from .. import plots

        return plots.plot_kernel_deviation({name.upper(): self._curve(name) for name in self.limits}, ax=ax)

    def _curve(self, kernel: str) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
        return (self.widths, *self.deviation(kernel))


def verify_kernels(
    net: Callable[[Any], Any],
    X1: Any,
    X2: Any = None,
    widths: Sequence[int] = (64, 128, 256, 512),
    trials: int | Sequence[int] = TRIALS,
    rng: np.random.Generator | int | None = 0,
    *,
    kernels: Sequence[str] | None = None,
    parametrization: str = "ntk",
    entries: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> KernelVerification:
    """`rmtp.nngp` and `rmtp.ntk` beside networks drawn at growing widths.

    Law: the mean of finite kernels is ``K + C/n``, and K is the limit.

    Parameters
    ----------
    net : callable
    X1, X2 : array (N, \\*shape of one input)
    widths : sequence of int
        Base widths n, all different; every ratio times n is a whole number.
    trials : int or one int per width
        Draws, at least 2.
    rng : Generator or int, optional
        Widths and draws have independent children.
    kernels : sequence of "nngp", "ntk", optional
        By default both; for a network that ends with ``np.mean(y)``, whose outputs tend to a constant, "ntk".
    parametrization : {"ntk", "yang", "standard", "mup"}
        Of the tangent kernel.
    entries : str, optional
        The entry law of the matrices; see `init`.
    claims : mapping, optional
        Kernel -> matrix to check instead of the library's.

    Returns
    -------
    KernelVerification

    Raises
    ------
    BadParameter, AxisError
        If an argument is none such.
    DivergentExpectation
        If a sampled kernel is not finite.

    Notes
    -----
    The NNGP is sampled as E f(x) f(x') given all but the readout weights, which has the same mean and deviates like n**(-1/2)
    where f(x) f(x') deviates by its own size; if the output is not linear in weights of its own, from outputs.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> net = lambda x: rmtp.readout(np.tanh(rmtp.networks.dense(x, n, 2)))
    >>> options = dict(widths=(50, 100, 200), trials=40, kernels=("ntk",))
    >>> rmtp.networks.verify_kernels(net, np.eye(2), **options).passed()
    True
    >>> wrong = rmtp.ntk(net, np.eye(2)) * 1.2
    >>> rmtp.networks.verify_kernels(net, np.eye(2), **options, claims={"ntk": wrong}).passed()
    False
    """
    first = batch(X1, "X1")
    second = None if X2 is None else batch(X2, "X2")
    check_parametrization(parametrization)
    sizes = check_widths(widths)
    counts = check_trials(trials, widths, sizes)
    made = architecture(net, first.shape[1:])
    wanted = _wanted(kernels, made)
    limits = {name: _limit(name, net, first, second, parametrization, claims) for name in wanted}
    sampled_as = "conjugate kernels"
    samples: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for n, count, stream in zip(sizes, counts, generator(rng).spawn(len(sizes)), strict=True):
        draws: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for child in progress(stream.spawn(count), f"kernels at n = {n}", count):
            network = drawn(made, n, child, entries)
            if "nngp" in wanted:
                covariance, sampled_as = _covariance(network, first, second)
                draws["nngp"].append(covariance)
            if "ntk" in wanted:
                draws["ntk"].append(network.ntk(first, second, parametrization=parametrization))
        for name, values in draws.items():
            samples[name].append(_stacked(values, name, n))
    kept = {name: tuple(values) for name, values in samples.items()}
    return KernelVerification(limits, sizes, kept, second is None, sampled_as, parametrization, entries)


def _wanted(kernels: Any, made: Architecture) -> tuple[str, ...]:
    if kernels is None:
        return KERNELS if made.random_readout else ("ntk",)
    chosen = (kernels,) if isinstance(kernels, str) else tuple(kernels)
    if not chosen or any(name not in KERNELS for name in chosen):
        raise BadParameter(f"kernels={kernels!r}", remedy=f"some of {', '.join(KERNELS)}")
    return tuple(name for name in KERNELS if name in chosen)


def _limit(name: str, net: Any, x1: Any, x2: Any, parametrization: str, claims: Mapping[str, Any] | None) -> np.ndarray:
    if claims is None or name not in claims:
        found = nngp(net, x1, x2) if name == "nngp" else ntk(net, x1, x2, parametrization=parametrization)
        return np.array(found, dtype=float)
    claim = np.array(claims[name], dtype=float)
    shape = (len(x1), len(x1 if x2 is None else x2))
    if claim.shape != shape or not np.all(np.isfinite(claim)):
        raise BadParameter(f"a claim for {name} of shape {claim.shape}", remedy=f"finite numbers of shape {shape}")
    return claim


def _covariance(network: FiniteNetwork, x1: np.ndarray, x2: np.ndarray | None) -> tuple[np.ndarray, str]:
    try:
        return network.conjugate_kernel(x1, x2), "conjugate kernels"
    except UnsupportedOperation:
        f1 = network.forward(x1)
        f2 = f1 if x2 is None else network.forward(x2)
        return np.outer(f1, f2), "outputs"


def _stacked(values: list[np.ndarray], name: str, width: int) -> np.ndarray:
    out = np.stack(values)
    bad = ~np.all(np.isfinite(out), axis=(1, 2))
    if np.any(bad):
        raise DivergentExpectation(
            f"the {name} kernel is not finite in {bad.sum()} of {len(out)} draws at width {width}",
            remedy="keep arguments inside the domain (clip, or add an epsilon to divisors)",
        )
    out.setflags(write=False)
    return out
