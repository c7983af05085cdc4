"""Counts of queries per bin, as monitoring records them, and the law of arrivals that they make."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.errors import InvalidInputError, invalid
from pipesim.files import InputFile
from pipesim.model.fields import MAX_QPS, MAX_SCV
from pipesim.model.traffic.curves import MAX_KNOTS
from pipesim.model.traffic.laws import GammaLaw, WeibullLaw
from pipesim.model.traffic.recorded import CountsFile
from pipesim.model.validation import validated_fields
from pipesim.traces.expected import expected_counts
from pipesim.traces.statistics.bins import dispersion_of_counts, local_dispersion_of_counts
from pipesim.units import MAX_DURATION_NS, NS_PER_S, format_duration

MAX_BINS = 10_000_000
"""The most bins that a series may have, absent ones among them."""
MAX_COUNT = 10**15
"""The most queries that a bin may have; a float holds each number up to it."""

Values = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CountSeries:
    """How many queries there were in each of many bins of one width.

    Parameters
    ----------
    start_ns
        When the first bin begins: nanoseconds since 1970 if `dated`, else 0.
    bin_ns
        The width of a bin.
    counts
        Shape ``(bins,)``, from 0 to 10¹⁵: int64; or float64 if some are fractional, as rates give them, or not known:
        NaN. At least one is known. Read-only.
    dated
        Whether the file says when the bins were.
    absent
        How many bins the file does not have; they are 0 or NaN.
    zone
        The time zone that dates without one were taken in; None if no date needed it.
    inputs
        The files that the counts were read from.

    Raises
    ------
    InvalidInputError
        If a count is not allowed, none is known, or there are more than 10 million.
    """

    start_ns: int
    bin_ns: int
    counts: Values
    dated: bool = False
    absent: int = 0
    zone: str | None = None
    inputs: tuple[InputFile, ...] = ()

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=np.float64 if np.asarray(self.counts).dtype.kind == "f" else np.int64)
        if counts.ndim != 1 or not 0 < counts.size <= MAX_BINS:
            raise invalid("counts", counts.shape, "is their shape", f"give 1 to {MAX_BINS:,} in one dimension")
        known = counts[~np.isnan(counts)]
        if not known.size:
            raise InvalidInputError("none is known; give a count for one bin at least", "counts")
        bad = known[(known < 0) | (known > MAX_COUNT)]
        if bad.size:
            raise invalid("counts", bad[0].item(), "is not allowed", f"use 0 to {MAX_COUNT:.0e}")
        counts.flags.writeable = False
        object.__setattr__(self, "counts", counts)

    def __len__(self) -> int:
        return int(self.counts.size)

    @property
    def duration_ns(self) -> int:
        """Return how long all bins are together."""
        return len(self) * self.bin_ns

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Return which counts are known."""
        return np.asarray(~np.isnan(self.counts))

    @property
    def mean_qps(self) -> float:
        """Return the mean rate over the bins whose counts are known."""
        return float(np.mean(self.counts[self.known])) / (self.bin_ns / NS_PER_S)

    @property
    def peak_qps(self) -> float:
        """Return the rate in the bin with the most queries."""
        return float(np.max(self.counts[self.known])) / (self.bin_ns / NS_PER_S)

    @property
    def index_of_dispersion(self) -> float:
        """Return the variance of the known counts over their mean: 1 for Poisson; NaN below two, or if all are 0."""
        known = self.counts[self.known]
        if known.dtype.kind == "i":
            return dispersion_of_counts(known)
        return float(known.var() / known.mean()) if known.size > 1 and known.any() else float("nan")

    @property
    def local_index_of_dispersion(self) -> float:
        """Return half the mean square of the steps between known neighbours, over the mean count: 1 for Poisson.

        A slow drift of the rate leaves it alone. NaN without two known neighbours, or if all counts are 0.
        """
        if self.counts.dtype.kind == "i":
            return local_dispersion_of_counts(self.counts)
        steps, mean = np.diff(self.counts), float(np.nanmean(self.counts))
        steps = steps[~np.isnan(steps)]
        return float(np.mean(steps**2) / (2 * mean)) if steps.size and mean else float("nan")

    def time_of(self, index: int) -> str:
        """Return when a bin begins, as people read it."""
        return shown_time(self.start_ns + index * self.bin_ns, self.dated)

    def between(self, first: int, last: int) -> "CountSeries":
        """Return the bins from `first` to before `last`; which of them are absent in the file is no longer known."""
        counts = self.counts[first:last]
        start_ns = self.start_ns + first * self.bin_ns if self.dated else 0
        return CountSeries(start_ns, self.bin_ns, counts, self.dated, 0, self.zone, self.inputs)

    def describe(self) -> pd.DataFrame:
        """Return one row that sums the series up.

        Columns: ``bins``, ``bin_s``, ``duration_s``, ``absent_bins``, ``unknown_bins``, ``queries`` (in known bins),
        ``mean_qps``, ``peak_qps``, ``index_of_dispersion``, ``local_index_of_dispersion``, ``empty_share`` (of known
        bins).
        """
        known = self.counts[self.known]
        row = {
            "bins": len(self),
            "bin_s": self.bin_ns / NS_PER_S,
            "duration_s": self.duration_ns / NS_PER_S,
            "absent_bins": self.absent,
            "unknown_bins": len(self) - known.size,
            "queries": float(known.sum()),
            "mean_qps": self.mean_qps,
            "peak_qps": self.peak_qps,
            "index_of_dispersion": self.index_of_dispersion,
            "local_index_of_dispersion": self.local_index_of_dispersion,
            "empty_share": float(np.mean(known == 0)),
        }
        return pd.DataFrame([row])


def shown_time(time_ns: int, dated: bool) -> str:
    """Return a time as complaints show it: a date in UTC, or seconds.

    >>> shown_time(899_000_000_000_000_000, True), shown_time(1_500_000_000, False)
    ('1998-06-28T02:13:20Z', '1.5 s')
    """
    if not dated:
        return f"{time_ns / NS_PER_S:.15g} s"
    return f"{datetime.fromtimestamp(time_ns // NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def law_of_counts(series: CountSeries, spec: CountsFile) -> GammaLaw | WeibullLaw:
    """Return the law of arrivals whose rate in each bin is that of the series, or what the bin expects.

    A bin whose count is not known gets a rate on the straight line between its nearest known neighbours, or that of the
    nearest one at an end. Gaps inside a bin have the variability that `spec` says; if that is a number, the curve is
    the series as it is. ``fitted`` is the local index of dispersion of the counts, at most 1,000: the variance of the
    counts of a renewal process over their mean tends to the squared coefficient of variation of its gaps as bins hold
    more and more of them (Cox, "Renewal Theory", 1962, section 4.2). It is that of the file, whatever the rate is
    scaled to. As gaps then scatter counts as neighbouring bins differ, the curve is the series less that
    (:func:`~pipesim.traces.expected.expected_counts`): draws have its index of dispersion, and not twice its scatter.

    Parameters
    ----------
    series
        The counts, all that the file has.
    spec
        Which part of them: `start` (a whole number of bins) and `duration`; `rate_qps`, `gaps` and `scv`.

    Raises
    ------
    InvalidInputError
        If the part is not in the series, has no queries or too many bins, or no variability can be fitted.
    """
    part, duration_ns = part_of(series, spec)
    rates_qps = _rates(part)
    if not rates_qps.any():
        raise invalid("counts.start", format_duration(spec.start), "begins a time without queries", "use another")
    scv = spec.scv if spec.scv != "fitted" else min(_fitted_scv(part), MAX_SCV)
    if spec.scv == "fitted" and scv > 0:
        bin_s = part.bin_ns / NS_PER_S
        rates_qps = expected_counts(rates_qps * bin_s, part.known, scv) / bin_s
    if spec.rate_qps is not None:
        weights = np.full(rates_qps.size, part.bin_ns, dtype=np.float64)
        weights[-1] -= rates_qps.size * part.bin_ns - duration_ns
        rates_qps *= spec.rate_qps / float(np.average(rates_qps, weights=weights))
    if rates_qps.max() > MAX_QPS:
        raise invalid("counts.rate_qps", float(rates_qps.max()), "is the rate of a bin", f"use at most {MAX_QPS:g}")
    fields = {
        "scv": scv,
        "curve": {"bins": {"width": f"{part.bin_ns}ns", "rates_qps": rates_qps.tolist()}},
        "duration": f"{duration_ns}ns",
    }
    return validated_fields(WeibullLaw if spec.gaps == "weibull" else GammaLaw, "counts", fields)


def counts_caveats(series: CountSeries, spec: CountsFile) -> tuple[str, ...]:
    """Return what in the arrivals of :func:`law_of_counts` is not what the file says; errors are the same."""
    part, _ = part_of(series, spec)
    unknown = len(part) - int(part.known.sum())
    caveats = []
    if unknown:
        caveats.append(
            f"{unknown:,} of {len(part):,} bins are not known; their rates are drawn between their neighbours"
        )
    if series.absent and spec.missing == "zero":
        caveats.append(f"{series.absent:,} of {len(series):,} bins are not in the file; no query comes in them")
    if spec.scv == "fitted" and (drawn := min(_fitted_scv(part), MAX_SCV)) > 1.5:
        caveats.append(
            f"what neighbouring bins differ by is taken for chance (gaps with an scv of {drawn:.3g}): each draw has "
            "counts and peaks of its own, as scattered as the file's; say scv: 1 if its bins hold all bursts there are"
        )
    if spec.scv == "fitted" and (fitted := _fitted_scv(part)) > MAX_SCV:
        caveats.append(
            f"the counts have a local index of dispersion of {fitted:,.0f}; gaps have an scv of {MAX_SCV:,.0f}"
        )
    return tuple(caveats)


def part_of(series: CountSeries, spec: CountsFile) -> tuple[CountSeries, int]:
    """Return the bins that are asked for, and for how long."""
    first, rest = divmod(spec.start, series.bin_ns)
    whole = format_duration(series.duration_ns)
    if rest:
        rule = f"is not a whole number of bins of {format_duration(series.bin_ns)}"
        raise invalid("counts.start", format_duration(spec.start), rule, "begin where a bin does")
    if first >= len(series):
        raise invalid(
            "counts.start", format_duration(spec.start), "is after the last bin", f"there are {whole} of them"
        )
    left_ns = series.duration_ns - spec.start
    duration_ns = spec.duration if spec.duration is not None else left_ns
    if duration_ns > left_ns:
        rule = "is longer than the series goes on"
        raise invalid("counts.duration", format_duration(duration_ns), rule, f"use at most {format_duration(left_ns)}")
    if duration_ns > MAX_DURATION_NS:
        raise invalid("counts.duration", format_duration(duration_ns), "is too long", "say a duration of at most 400d")
    bins = -(-duration_ns // series.bin_ns)
    if bins > MAX_KNOTS // 2:
        raise invalid(
            "counts.duration", bins, "bins are too many", f"say a duration of at most {MAX_KNOTS // 2:,} bins"
        )
    counts = series.counts[first : first + bins]
    if np.isnan(counts).all():
        raise invalid(
            "counts.start", format_duration(spec.start), "begins a time of which no count is known", "use another"
        )
    return series.between(first, first + bins), duration_ns


def _rates(series: CountSeries) -> Floats:
    bins, known = np.arange(len(series)), series.known
    return np.interp(bins, bins[known], series.counts[known] / (series.bin_ns / NS_PER_S))


def _fitted_scv(series: CountSeries) -> float:
    fitted = series.local_index_of_dispersion
    if np.isnan(fitted):
        raise invalid("counts.scv", "fitted", "needs two neighbouring bins whose counts are known", "give a number")
    return fitted
