"""Laws whose index of dispersion in theory is that of a trace: what is curve, what is gaps, and what is bursts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import nnls

from pipesim.traces.dispersion import Burstiness, Floats, burst_variance, gap_dispersion, memory
from pipesim.traces.fit.slow import SlowRate
from pipesim.traces.fit.ties import Ties
from pipesim.units import NS_PER_S

SCVS = (
    *(0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 16.0, 20.0),
    *(26.0, 36.0, 50.0, 70.0, 100.0, 150.0, 225.0, 300.0, 400.0, 550.0, 750.0, 1000.0),
)
_ROUNDS = 6
_RIDGE = 0.2
_PER_COMPONENT, _PER_LOG_SCV = 0.005, 0.02
_NONE = 1e-6
_NO_COUNT = 1e-12
_CANDIDATES = 4
_TIMES_PER_DECADE, _SHORTEST_MEMORY_S = 2, 0.1
_RATE_GROUPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is to be explained.

    Parameters
    ----------
    windows_s, dispersion
        Shape ``(windows,)``: the index of dispersion of the trace in windows of each length.
    span_s
        From the first query to the last.
    gap_scv
        Of the gaps, stretched by the rate of the bins, as a hint.
    slow
        The rate in bins.
    ties
        Queries of one instant.
    """

    windows_s: Floats
    dispersion: Floats
    span_s: float
    gap_scv: float
    slow: SlowRate
    ties: Ties


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A law as its parts.

    Parameters
    ----------
    scv
        Of the gaps.
    bursts
        The modulations.
    shares
        Shape ``(bands,)``: what the curve keeps of the variance of each band.
    rates_qps
        Shape ``(bins,)``: the curve.
    dispersion
        Shape ``(windows,)``: its index of dispersion in theory.
    misfit
        Weighted root mean square of the relative errors.
    """

    scv: float
    bursts: tuple[Burstiness, ...]
    shares: Floats
    rates_qps: Floats
    dispersion: Floats
    misfit: float


def candidates(question: Question, most_bursts: int) -> list[Explanation]:
    """Return a few laws that explain a trace in theory, each with a variability of the gaps of its own, best first.

    For each variability, bursts are chosen from two time constants a decade; then those are left out without which the
    fit is hardly worse.
    """
    shortest = max(_SHORTEST_MEMORY_S, float(question.windows_s[0]), (question.ties.tick_ns or 0) / NS_PER_S)
    longest = max(question.slow.width_s, 10 * shortest)
    decades = np.log10(longest / shortest)
    times = np.geomspace(shortest, longest, int(np.ceil(decades * _TIMES_PER_DECADE)) + 1).tolist()
    even = np.ones_like(question.windows_s)
    found = [explain(question, scv, times, even, even) for scv in scvs(question)]
    found.sort(key=lambda each: _score(question, each))
    kept = [_pruned(question, each, most_bursts) for each in found[:_CANDIDATES]]
    return sorted(kept, key=lambda each: _score(question, each))


def explain(
    question: Question, scv: float, times_s: Sequence[float], correction: Floats, weights: Floats
) -> Explanation:
    """Return the law with gaps of this variability, and bursts with these time constants, that explains a trace best.

    The variances of the bursts and the shares of the curve's bands are not negative and minimise the relative errors
    (non-negative least squares; Lawson & Hanson, "Solving Least Squares Problems", 1974). The share of a band is drawn
    to what the rest of the law leaves of its variance, 1 − noise / observed, so that what is drawn at random is not
    drawn into the curve as well. The variance depends on the solution (modulations multiply each other and the curve),
    so the problem is solved a few times.

    Parameters
    ----------
    times_s
        The time constants of bursts.
    correction
        Shape ``(windows,)``: simulated over theoretical dispersion, of a law like this one.
    weights
        Shape ``(windows,)``.
    """
    slow, windows, span_s = question.slow, question.windows_s, question.span_s
    wanted = question.dispersion / correction
    mean_counts = slow.mean_qps * windows
    scale = weights / wanted
    parts = [slow.drift(slow.mean_qps + band, windows, span_s) / mean_counts for band in slow.bands_qps]
    bands = np.array(parts).reshape(-1, windows.size)
    variances, band_windows = slow.band_variances, slow.band_windows_s
    shares, bursts = np.zeros(len(bands)), ()
    rates = np.full(slow.widths_s.size, slow.mean_qps)
    crossed, multiplied = np.ones(windows.size), 1.0
    noise = np.full(len(bands), slow.steps_qps2 * slow.width_s)  # per second, of the counts
    both: tuple[Burstiness, ...] = bursts
    for _ in range(_ROUNDS):
        columns = [_trimmed(partial(memory, time_s=time), windows, span_s) / mean_counts for time in times_s]
        remembered = np.array(columns).reshape(-1, windows.size) * (slow.mean_square(rates) / multiplied)
        left = wanted - _dispersion_of_gaps(question, scv, rates)
        expected = np.maximum(0, 1 - noise / slow.width_s / np.maximum(variances, 1e-300))
        matrix = np.vstack(
            [
                np.vstack([bands * crossed, remembered]).T * scale[:, None],
                np.hstack([_RIDGE * np.eye(len(bands)), np.zeros((len(bands), len(times_s)))]),
            ]
        )
        solution, _ = nnls(matrix, np.concatenate([left * scale, _RIDGE * expected]))
        shares = np.minimum(solution[: len(bands)], 1)
        both = tuple((s, t) for s, t in zip(solution[len(bands) :].tolist(), times_s, strict=True) if s > _NONE)
        rates = slow.curve_qps(shares)
        crossed = _ratio(slow.drift(rates, windows, span_s) / mean_counts, shares @ bands)
        alone = sum((s * memory(windows, t) for s, t in both), np.zeros_like(windows))
        multiplied = float(np.exp(np.mean(np.log(alone / burst_variance(windows, both))))) if both else 1.0
        noise = np.array([_random_variance(question, scv, both, rates, np.array([w]))[0] / w for w in band_windows])
    dispersion = theory(question, scv, both, rates)
    errors = weights * (dispersion / wanted - 1)
    misfit = float(np.sqrt((errors**2).sum() / (weights**2).sum()))
    return Explanation(scv, both, shares, rates, dispersion, misfit)


def scvs(question: Question) -> tuple[float, ...]:
    """Return the variabilities of gaps that are tried: some at even ratios, and what the trace hints at."""
    hint = float(f"{min(max(question.gap_scv, SCVS[0]), SCVS[-1]):.2g}")
    return tuple(sorted({*SCVS, hint}))


def plain(question: Question, scv: float) -> Explanation:
    """Return the law of constant rate without bursts."""
    slow = question.slow
    rates = np.full(slow.widths_s.size, slow.mean_qps)
    dispersion = theory(question, scv, (), rates)
    misfit = float(np.sqrt(np.mean((dispersion / question.dispersion - 1) ** 2)))
    return Explanation(scv, (), np.zeros(len(slow.bands_qps)), rates, dispersion, misfit)


def theory(question: Question, scv: float, bursts: Sequence[Burstiness], rates_qps: Floats) -> Floats:
    """Return the expected index of dispersion of a law over the span of the trace, shape ``(windows,)``."""
    slow, windows, span_s = question.slow, question.windows_s, question.span_s
    square = slow.mean_square(rates_qps)
    drift = slow.drift(rates_qps, windows, span_s)
    burst = _trimmed(lambda w: square * burst_variance(w, bursts), windows, span_s)
    return np.asarray((drift + burst) / (slow.mean_qps * windows) + _dispersion_of_gaps(question, scv, rates_qps))


def _score(question: Question, each: Explanation) -> float:
    return each.misfit + _PER_COMPONENT * len(each.bursts) + strangeness(question, each.scv)


def strangeness(question: Question, scv: float) -> float:
    """Return a price for gaps whose variability is far from what the trace hints at."""
    return _PER_LOG_SCV * abs(float(np.log(scv / max(question.gap_scv, SCVS[0]))))


def _pruned(question: Question, whole: Explanation, most_bursts: int) -> Explanation:
    even = np.ones_like(question.windows_s)
    while whole.bursts:
        times = [time for _, time in whole.bursts]
        without = [
            explain(question, whole.scv, [*times[:index], *times[index + 1 :]], even, even)
            for index in range(len(times))
        ]
        best = min(without, key=lambda each: each.misfit)
        if best.misfit > whole.misfit + _PER_COMPONENT and len(whole.bursts) <= most_bursts:
            break
        whole = best
    return whole


def _trimmed(variance: Callable[[Floats], Floats], windows_s: Floats, span_s: float) -> Floats:
    """Return a variance about the mean of the same span: less that of the mean itself."""
    whole = variance(np.array([span_s]))
    return np.asarray(variance(windows_s) - (windows_s / span_s) ** 2 * whole)


def _random_variance(
    question: Question, scv: float, bursts: Sequence[Burstiness], rates_qps: Floats, windows_s: Floats
) -> Floats:
    """Return the variance of counts that gaps and bursts make, without the curve."""
    return np.asarray(
        _gap_variance(question, scv, rates_qps, windows_s)
        + question.slow.mean_square(rates_qps) * burst_variance(windows_s, bursts)
    )


def _dispersion_of_gaps(question: Question, scv: float, rates_qps: Floats) -> Floats:
    """Return the part of the index of dispersion that gaps, batches and ticks make."""

    def variance(windows_s: Floats) -> Floats:
        return _gap_variance(question, scv, rates_qps, windows_s)

    counts = question.slow.mean_qps * question.windows_s
    return np.asarray(_trimmed(variance, question.windows_s, question.span_s) / counts)


def _gap_variance(question: Question, scv: float, rates_qps: Floats, windows_s: Floats) -> Floats:
    """Return the variance of counts that gaps, batches and ticks make at the rates of a curve.

    A window of n + f ticks holds the arrivals of n or, in a share f of cases, n + 1 whole ticks.
    """
    tick_ns = question.ties.tick_ns
    if tick_ns is None:
        return _untied_variance(question, scv, rates_qps, windows_s)
    tick_s = tick_ns / NS_PER_S
    ticks = windows_s / tick_s
    whole = np.floor(ticks + 1e-9)
    part = np.maximum(ticks - whole, 0)
    fewer = _untied_variance(question, scv, rates_qps, whole * tick_s)
    more = _untied_variance(question, scv, rates_qps, (whole + 1) * tick_s)
    phase = question.slow.mean_square(rates_qps) * tick_s**2 * part * (1 - part)
    return np.asarray((1 - part) * fewer + part * more + phase)


def _untied_variance(question: Question, scv: float, rates_qps: Floats, windows_s: Floats) -> Floats:
    """Return the variance of counts that gaps and batches make; batches of mean m and dispersion d: m × theirs + d."""
    rates, widths = _grouped(rates_qps, question.slow.widths_s)
    mean, spread = question.ties.batch_mean, question.ties.batch_dispersion
    counts = rates[:, None] * windows_s
    each = counts * (mean * gap_dispersion(scv, np.maximum(counts / mean, _NO_COUNT)) + spread)
    return np.asarray(widths @ each / widths.sum())


def _grouped(rates_qps: Floats, widths_s: Floats) -> tuple[Floats, Floats]:
    """Return at most 50 rates that stand for all, and how long each holds."""
    if rates_qps.size <= _RATE_GROUPS:
        return rates_qps, widths_s
    groups = np.array_split(np.argsort(rates_qps, kind="stable"), _RATE_GROUPS)
    widths = np.array([widths_s[group].sum() for group in groups])
    return np.array([rates_qps[group] @ widths_s[group] for group in groups]) / widths, widths


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return a ratio, from 0.3 to 3, and 1 where there is nothing to compare."""
    return np.where(below > _NONE, np.clip(above / np.maximum(below, _NONE), 0.3, 3), 1.0)
