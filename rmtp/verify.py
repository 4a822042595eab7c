"""Does the limit hold? Means at growing widths against the claim, with z-scores and rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import special
from .arguments import items, reals
from .errors import BadParameter, DivergentExpectation, UnsupportedOperation, VanishingVector
from .handles import Scalar
from .language import program as program_of
from .limit import limit
from .results import Estimate, with_error
from .sample import generator, positive, sample
from .sweeps import sweep_shape

ROUNDING = 1e-13  # what float64 sums leave, relative to what is compared
RESOLVED = 2.0  # standard errors beyond which a bias counts as seen
FEWEST, MOST = 8, 512  # default trials at any width
ENTRIES_DRAWN = 32_000_000  # of an n x n matrix, by default at each width


@dataclass(frozen=True, eq=False)
class Verification:
    """Samples of one average at growing widths, beside its limit.

    Law: the mean over trials is ``L + c/n + O(n**-2)``, and one trial spreads like n**(-1/2) for an average over the
    width, like 1/n for a linear spectral statistic.

    Attributes
    ----------
    limit : Estimate
        The engine's limit, or the user's claim (method "claim").
    widths : tuple of int
        Base widths, increasing.
    samples : tuple of ndarray (trials,)
        What was drawn at each width.
    expression : str
        What was sampled.
    entries : str or None
        The entry law of all matrices, if it was overridden.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> W, x = rmtp.Gaussian(n, n), rmtp.Normal(n)
    >>> v = rmtp.verify(np.mean((W.T @ (W @ x)) ** 2), widths=(50, 100, 200), trials=50)
    >>> v.limit.value, v.passed(), v.mean.shape
    (Fraction(2, 1), True, (3,))
    """

    limit: Estimate
    widths: tuple[int, ...]
    samples: tuple[np.ndarray, ...]
    expression: str = ""
    entries: str | None = None

    # -- per width --------------------------------------------------------------------------------

    @property
    def trials(self) -> tuple[int, ...]:
        """Number of draws at each width."""
        return tuple(len(s) for s in self.samples)

    @property
    def mean(self) -> np.ndarray:
        """Mean over trials, per width."""
        return np.array([s.mean() for s in self.samples])

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of one trial, per width."""
        return np.array([s.std(ddof=1) for s in self.samples])

    @property
    def se(self) -> np.ndarray:
        """Standard error of the mean, per width."""
        return self.spread / np.sqrt(self.trials)

    @property
    def bias(self) -> np.ndarray:
        """mean - limit, per width."""
        return self.mean - float(self.limit.value)

    @property
    def z(self) -> np.ndarray:
        """bias / sqrt(se**2 + limit error**2), per width; the O(1/n) bias is in it, unlike in `score`."""
        return self.bias / np.hypot(self._mean_error, self._floor)

    @property
    def _floor(self) -> float:
        """The error of the limit and of float64 sums together."""
        largest = max(float(np.abs(s).max()) for s in self.samples)
        value = abs(float(self.limit.value))
        # a limit that is zero, sampled as nothing but rounding: there is no scale of its own to measure against
        scale = 1.0 if value == 0 and largest < ROUNDING else max(value, largest)
        return max(float(np.hypot(float(self.limit.error), ROUNDING * scale)), 1e-300)

    # -- across widths ----------------------------------------------------------------------------

    @property
    def slope(self) -> tuple[float, float] | None:
        """The slope of log spread against log n and its standard error; None for fewer than two widths, or no spread.

        The mean and variance of log spread are those of Gaussian trials, the variance times (kurtosis - 1) / 2.
        """
        spread, freedom = self.spread, np.array(self.trials) - 1
        if len(self.widths) < 2 or np.any(spread <= ROUNDING * np.abs(self.mean)) or np.any(spread < 1e-290):
            return None
        standard = [(s - s.mean()) / s.std(ddof=1) for s in self.samples]
        kurtosis = max(3.0, float(np.mean(np.concatenate(standard) ** 4)))
        centre = (special.digamma(freedom / 2) - np.log(freedom / 2)) / 2
        error = np.sqrt(special.polygamma(1, freedom / 2) / 4 * (kurtosis - 1) / 2)
        fit = line_fit(np.log(self.widths), np.log(spread) - centre, error)
        return fit.slope, fit.slope_error

    @property
    def bias_slope(self) -> tuple[float, float] | None:
        """The slope of log |bias| against log n and its standard error, over the widths where |bias| > 2 se.

        None if fewer than two widths resolve it. Widths enter by chance as well as by size: read it as a rough rate.
        """
        seen = np.abs(self.bias) > RESOLVED * np.hypot(self._mean_error, self._floor)
        if seen.sum() < 2:
            return None
        relative = np.hypot(self._mean_error, self._floor)[seen] / np.abs(self.bias[seen])
        fit = line_fit(np.log(self.widths)[seen], np.log(np.abs(self.bias[seen])), relative)
        return fit.slope, fit.slope_error

    @property
    def extrapolated(self) -> tuple[float, float]:
        """L and its standard error in ``mean(n) = L + c/n``, by weighted least squares (one width: its mean)."""
        value, error, _ = self._extrapolation()
        return value, error

    def fitted(self, n: Any) -> Any:
        """``L + c/n``, the fit to the means, at any widths n."""
        widths = np.array(self.widths, dtype=float)
        slope = line_fit(1 / widths, self.mean, self._mean_error).slope if len(widths) > 1 else 0.0
        return self.extrapolated[0] + slope / np.asarray(n, dtype=float)

    @property
    def _mean_error(self) -> np.ndarray:
        """Standard errors of the means, no smaller than rounding; where all trials say 0 or 1, than one coordinate of them all.

        An event that no coordinate met has a probability all the same.
        """
        rounding = ROUNDING * max(float(np.abs(self.mean).max()), 1e-280)
        seen = np.array(self.widths, dtype=float) * np.array(self.trials)
        unanimous = (self.spread == 0) & ((self.mean == 0) | (self.mean == 1))
        return np.hypot(self.se, np.where(unanimous, 1 / seen, rounding))

    def _extrapolation(self) -> tuple[float, float, float]:
        """L, its standard error, and its degrees of freedom (Welch-Satterthwaite)."""
        error, share = self._mean_error, np.ones(1)
        if len(self.widths) > 1:
            share = line_fit(1 / np.array(self.widths), self.mean, error).intercept_shares
        parts = (share * error) ** 2
        shares = parts / max(float(parts.sum()), 1e-300)
        freedom = 1 / max(float(np.sum(shares**2 / (np.array(self.trials) - 1))), 1e-300)
        return float(share @ self.mean), float(np.sqrt(parts.sum())), float(freedom)

    @property
    def score(self) -> float:
        """The z-score of the limit against the extrapolated mean.

        Student's t of the fit, turned into the normal deviate of the same tail: few trials cost no false alarms.
        """
        value, error, freedom = self._extrapolation()
        total = np.hypot(error, self._floor)
        if error == 0:  # a constant: nothing was drawn
            return float((value - float(self.limit.value)) / total)
        return _normal_deviate((value - float(self.limit.value)) / total, freedom * (total / error) ** 4)

    def passed(self, threshold: float = 4.0) -> bool:
        """Whether the limit agrees with the samples: ``|score| < threshold``.

        The means of all widths are fitted by L + c/n, and L is compared with the limit: a 1/n bias is allowed for, as
        large as the samples say. One correct limit in 16000 fails at threshold 4, one in 370 at threshold 3 (Gaussian
        two-sided tails; a bias with another power of n, or a tail so heavy that the mean over trials is not Gaussian,
        fails more often). A wrong limit is found if it is off by more than about `threshold` errors of `extrapolated`.

        Parameters
        ----------
        threshold : float

        Returns
        -------
        bool
        """
        return bool(abs(self.score) < threshold)

    # -- reports ----------------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, ...]]:
        columns = zip(self.widths, self.trials, self.mean, self.se, self.z, self.bias, self.spread, strict=True)
        return [
            (str(n), str(trials), with_error(float(mean), float(se)), f"{z:+.2f}", f"{bias:+.2e}", f"{spread:.2e}")
            for n, trials, mean, se, z, bias, spread in columns
        ]

    def _summary(self) -> list[str]:
        def rate(fit: tuple[float, float] | None) -> str:
            return "not resolved" if fit is None else f"n^({fit[0]:.2f} ± {fit[1]:.2f})"

        verdict = "agrees" if self.passed() else "DISAGREES"
        return [
            f"spread of one trial ~ {rate(self.slope)}; bias ~ {rate(self.bias_slope)}",
            f"extrapolated to infinite width: {with_error(*self.extrapolated)}, z = {self.score:+.2f}: {verdict}",
        ]

    @property
    def _title(self) -> str:
        law = f", {self.entries} entries" if self.entries else ""
        return f"{self.expression}{law}: limit {self.limit}"

    def to_markdown(self) -> str:
        """A table with one row per width, and the rates and the verdict below it."""
        head = ["| " + " | ".join(_HEAD) + " |", "|" + " --: |" * len(_HEAD)]
        rows = ["| " + " | ".join(row) + " |" for row in self._rows()]
        return "\n".join([f"`{self._title}`", "", *head, *rows, "", *(line + "  " for line in self._summary())])

    def __str__(self) -> str:
        table = [_HEAD, *self._rows()]
        sizes = [max(len(row[k]) for row in table) for k in range(len(_HEAD))]
        lines = ["  " + "  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True)) for row in table]
        return "\n".join([self._title, *lines, *self._summary()])

    def __repr__(self) -> str:
        return f"<Verification of {self.expression}: z = {self.score:+.2f} over widths {self.widths}>"

    def plot(self, ax: Any = None) -> Any:
        """Means with two standard errors against n, over the limit; returns the Axes."""
        from . import plots

        return plots.plot_verification(self, ax=ax)


_HEAD = ("n", "trials", "mean", "z", "bias", "spread")


def verify(
    expr: Any,
    widths: Sequence[int] = (250, 500, 1000, 2000),
    trials: int | Sequence[int] | None = None,
    rng: np.random.Generator | int | None = 0,
    *,
    entries: str | Sequence[str] | None = None,
    claim: Any = None,
    **limit_options: Any,
) -> Any:
    """The limit of an average beside samples of it at growing widths.

    Law: ``mean(n) = L + c/n``, and L is the limit.

    Parameters
    ----------
    expr : Scalar, or list of them
        A list is sampled from the same draws.
    widths : sequence of int
        Base widths n, all different. A ratio r with r*n not an integer costs a bias of its own: choose n accordingly.
    trials : int or one int per width, optional
        At least 2. By default 32e6 / n**2, between 8 and 512: matrices cost n**2, so each width takes about as long.
    rng : Generator or int, optional
        See `sample`. Widths and entry laws have independent children.
    entries : str or sequence of str, optional
        The entry law of all matrices; several laws give a dict {law: Verification} (universality).
    claim : number or Estimate, or a list of them, optional
        A value to check instead of the engine's limit.
    **limit_options
        Passed to `limit`: ``rtol=``, ``method=``, ``gradient_independence=``, ...

    Returns
    -------
    Verification, or a list of them for a list, or a dict of either for several entry laws

    Raises
    ------
    UnsupportedOperation
        If expr is a vector, or a scalar with finite axes.
    VanishingVector
        If the limit has a function jump exactly where its argument's limit lies: samples are then rounding noise.
    DivergentExpectation
        If a sample is not finite.
    BadParameter
        If widths, trials or claim are no such thing, or the program holds a sweep.

    Notes
    -----
    Exact in level: see `Verification.passed` for the rate of false alarms.

    Examples
    --------
    >>> import numpy as np, rmtp
    >>> n = rmtp.Dim("n")
    >>> A, v = rmtp.GOE(n), rmtp.Normal(n)
    >>> second = np.mean((A @ v) ** 2)
    >>> rmtp.verify(second, widths=(50, 100, 200), trials=40).passed()
    True
    >>> rmtp.verify(second, widths=(50, 100, 200), trials=40, claim=2).passed()
    False
    """
    many = isinstance(expr, list | tuple)
    handles: list[Any] = list(expr) if many else [expr]
    program = program_of(*handles)
    for handle in handles:
        check_scalar(handle)
    if sweep_shape(program):
        raise BadParameter("a program with swept parameters", remedy="verify one value at a time, as a plain number")
    sizes = check_widths(widths)
    counts = check_trials(trials, widths, sizes)
    limits = _limits(handles, claim, many, limit_options)
    several = entries is not None and not isinstance(entries, str)
    laws: list[str | None] = items(entries, "entries") if several else [entries]  # type: ignore[list-item]
    if not laws:
        raise BadParameter("entries is empty", remedy='one law or several, as in ("gaussian", "rademacher")')
    answers: dict[str | None, Any] = {}
    for law, stream in zip(laws, generator(rng).spawn(len(laws)), strict=True):
        drawn = [
            sample(handles, n, child, count, entries=law)
            for n, count, child in zip(sizes, counts, stream.spawn(len(sizes)), strict=True)
        ]
        found = [
            Verification(value, sizes, finite_columns([d[k] for d in drawn], sizes, handle), repr(handle), law)
            for k, (handle, value) in enumerate(zip(handles, limits, strict=True))
        ]
        answers[law] = found if many else found[0]
    return answers if several else answers[laws[0]]


def check_scalar(handle: Any) -> None:
    if not isinstance(handle, Scalar):
        raise UnsupportedOperation(
            f"{handle!r} is a vector: its coordinates have a law, not a value",
            remedy="verify averages of it: np.mean(f(x)), for functions f of your choice",
        )
    if handle.axes:
        raise UnsupportedOperation(
            f"{handle!r} has finite axes of lengths {[size for _, size in handle.axes]}",
            remedy="verify a list of its entries, as in [c[0], c[1]]",
        )


def check_widths(widths: Any) -> tuple[int, ...]:
    if not isinstance(widths, list | tuple | range | np.ndarray) or not len(widths):
        raise BadParameter(f"widths={widths!r}", remedy="a sequence of positive ints")
    sizes = tuple(sorted(positive(n, "width") for n in widths))
    if len(set(sizes)) != len(sizes):
        raise BadParameter(f"widths={widths!r} repeats a width", remedy="different widths, and more trials=")
    return sizes


def check_trials(trials: Any, widths: Any, sizes: tuple[int, ...]) -> list[int]:
    """Trials per width, in increasing order of the widths."""
    if trials is None:
        return [min(MOST, max(FEWEST, round(ENTRIES_DRAWN / n**2))) for n in sizes]
    if isinstance(trials, list | tuple | np.ndarray):
        if len(trials) != len(sizes):
            raise BadParameter(
                f"{len(trials)} trials for {len(sizes)} widths", remedy="one number per width, or one for all"
            )
        by_width = dict(zip(map(int, widths), trials, strict=True))
        counts = [positive(by_width[n], "trials") for n in sizes]
    else:
        counts = [positive(trials, "trials")] * len(sizes)
    if min(counts) < 2:
        raise BadParameter(f"trials={trials!r}", remedy="at least 2, or there is no standard error")
    return counts


def _limits(handles: list[Any], claim: Any, many: bool, options: dict[str, Any]) -> list[Estimate]:
    if claim is None:
        limits = limit(handles, **options)
        for handle, found in zip(handles, limits, strict=True):
            if found.notes:
                raise VanishingVector(
                    f"{handle!r} cannot be sampled: {'; '.join(found.notes)}",
                    remedy="the limit is right as it stands; compare a function that is continuous there",
                )
        return limits
    if options:
        raise BadParameter(f"claim= and {', '.join(options)}= together", remedy="a claim needs no options of limit")
    claims = list(claim) if many and isinstance(claim, list | tuple) else [claim]
    if len(claims) != len(handles):
        raise BadParameter(f"{len(claims)} claims for {len(handles)} expressions", remedy="one claim per expression")
    return [_claimed(c) for c in claims]


def _claimed(claim: Any) -> Estimate:
    if isinstance(claim, Estimate):
        return claim
    remedy = "a finite number, or an Estimate with an error of its own"
    if reals(claim, "claim", remedy).ndim:
        raise BadParameter(f"claim={claim!r}", remedy=remedy)
    return Estimate(claim, 0, "claim")


def finite_columns(columns: list[np.ndarray], sizes: tuple[int, ...], handle: Any) -> tuple[np.ndarray, ...]:
    for n, column in zip(sizes, columns, strict=True):
        if not np.all(np.isfinite(column)):
            raise DivergentExpectation(
                f"{handle!r} is not finite in {np.sum(~np.isfinite(column))} of {len(column)} trials at width {n}",
                remedy="keep arguments inside the domain (clip, or add an epsilon to divisors)",
            )
        column.setflags(write=False)
    return tuple(columns)


# ---------------------------------------------------------------------------------------------
# statistics


@dataclass(frozen=True)
class LineFit:
    slope: float
    slope_error: float
    intercept_shares: np.ndarray  # intercept = intercept_shares @ y


def line_fit(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> LineFit:
    """Weighted least squares for y = intercept + slope x, errors known."""
    design = np.stack([np.ones_like(x), x], axis=1)
    weighted = design / error[:, None]
    scale = np.abs(weighted).max(axis=0)
    shares = (np.linalg.pinv(weighted / scale) / error) / scale[:, None]
    return LineFit(float(shares[1] @ y), float(np.sqrt(np.sum((shares[1] * error) ** 2))), shares[0])


def _normal_deviate(t: float, freedom: float) -> float:
    """The normal deviate with the tail probability of Student's t."""
    tail = special.stdtr(freedom, -abs(t))
    return float(np.sign(t) * -special.ndtri(tail)) if tail > 0 else float(t)
