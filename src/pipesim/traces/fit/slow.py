"""The slow part of a rate: a curve of bins, taken apart by how fast it varies."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dct, idct

from pipesim.model.traffic.laws import Law
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.dispersion import Floats
from pipesim.units import NS_PER_S

_ROUND_S = tuple(
    [digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)]
    + [10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0]
    + [3600.0 * hours for hours in (1, 2, 3, 6, 12, 24)]
)
_SHARE_OF_SPAN, _LONGEST_BIN_S, _MOST_BINS, _QUERIES_PER_BIN = 60, 600.0, 1_500, 10
_DENSE_WINDOWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class SlowRate:
    """The rate in bins, and its parts by frequency.

    Parameters
    ----------
    width_ns
        The width of a bin.
    widths_s
        Shape ``(bins,)``: the width of each; the last may be cut short.
    mean_qps
        The mean rate.
    bands_qps
        Shape ``(bands, bins)``: what each octave of the cosine transform of the rates adds to the mean rate.
    coefficients
        Shape ``(bands,)``: how many frequencies each octave holds.
    steps_qps2
        Half the mean square of the steps from bin to bin: the variance of the rates without what is slow.
    """

    width_ns: int
    widths_s: Floats
    mean_qps: float
    bands_qps: Floats
    coefficients: Floats
    steps_qps2: float

    @classmethod
    def of(cls, trace: ArrivalTrace, width_ns: int) -> "SlowRate":
        """Return the rate of a trace in bins of a width; a last bin below half of it shares the rate of the one before.

        The cosine transform (DCT-II) of the rates is orthogonal: octaves, 1, 2–3, 4–7, … half-waves over the trace, are
        parts whose variances add up.
        """
        bins = max(1, -(-trace.duration_ns // width_ns))
        edges_ns = np.minimum(np.arange(bins + 1, dtype=np.int64) * width_ns, trace.duration_ns)
        counts = np.bincount(np.minimum(trace.times_ns // width_ns, bins - 1), minlength=bins)
        widths_s = np.diff(edges_ns) / NS_PER_S
        rates = counts / widths_s
        if bins > 1 and widths_s[-1] < widths_s[0] / 2:
            rates[-2:] = counts[-2:].sum() / widths_s[-2:].sum()
        mean_qps = len(trace) / trace.duration_s
        waves = dct(rates, norm="ortho")
        starts = [2**octave for octave in range(bins.bit_length()) if 2**octave < bins]
        bands = np.zeros((len(starts), bins))
        for band, start in zip(bands, starts, strict=True):
            band[start : 2 * start] = waves[start : 2 * start]
        sizes = [min(2 * start, bins) - start for start in starts]
        steps = float(np.mean(np.diff(rates) ** 2) / 2) if bins > 1 else 0.0
        parts = idct(bands, norm="ortho", axis=1) if starts else bands
        return cls(width_ns, widths_s, mean_qps, np.asarray(parts), np.array(sizes, dtype=np.float64), steps)

    @property
    def width_s(self) -> float:
        """Return the width of a bin in seconds."""
        return self.width_ns / NS_PER_S

    @property
    def band_variances(self) -> Floats:
        """Return the mean square of a coefficient of each band."""
        return np.asarray((self.bands_qps**2).sum(axis=1) / np.maximum(self.coefficients, 1))

    @property
    def band_windows_s(self) -> Floats:
        """Return half the period of the middle of each band, at least a bin and at most a quarter of the whole."""
        total_s = float(self.widths_s.sum())
        starts = np.exp2(np.arange(len(self.bands_qps)))
        return np.clip(total_s / (3 * starts), self.width_s, max(self.width_s, total_s / 4))

    def rates_of(self, trace: ArrivalTrace) -> Floats:
        """Return the rates of a trace in the same bins, shape ``(bins,)``."""
        bins = self.widths_s.size
        return np.bincount(np.minimum(trace.times_ns // self.width_ns, bins - 1), minlength=bins) / self.widths_s

    def expected_of(self, law: Law) -> Floats:
        """Return the rates that a law expects in the bins, shape ``(bins,)``."""
        if law.rate_curve is None:
            return np.full(self.widths_s.size, law.mean_rate_qps)
        times_s, rates = np.array(law.rate_curve.times_ns) / NS_PER_S, np.array(law.rate_curve.rates_qps)
        sums = np.concatenate([[0.0], np.cumsum((rates[1:] + rates[:-1]) / 2 * np.diff(times_s))])
        edges = np.concatenate([[0.0], np.cumsum(self.widths_s)])
        return np.asarray(np.diff(np.interp(edges, times_s, sums)) / self.widths_s)

    def stretched_gap_scv(self, trace: ArrivalTrace) -> float:
        """Return the squared coefficient of variation of the gaps, each times the rate of the bins around it.

        That is what is left of it without what changes of the rate make.
        """
        rates = self.rates_of(trace)
        middles = np.cumsum(self.widths_s) - self.widths_s / 2
        at = np.interp(trace.times_ns / NS_PER_S, middles, np.maximum(rates, self.mean_qps / 100))
        gaps = np.diff(trace.times_ns) * (at[1:] + at[:-1])
        return float(gaps.var() / gaps.mean() ** 2)

    def curve_qps(self, shares: Floats) -> Floats:
        """Return the rates of a curve that keeps a share of the variance of each band; the mean stays what it is."""
        rates = np.maximum(self.mean_qps + np.sqrt(shares) @ self.bands_qps, 0)
        return np.asarray(rates * (self.mean_qps * self.widths_s.sum() / (rates @ self.widths_s)))

    def mean_square(self, rates_qps: Floats) -> float:
        """Return the mean over time of the square of a curve."""
        return float(np.average(rates_qps**2, weights=self.widths_s))

    def drift(self, rates_qps: Floats, windows_s: Floats, span_s: float) -> Floats:
        """Return the variance of what a curve holds in consecutive windows.

        Where there are very many windows, each is taken to lie in one bin, less what windows over an edge even out.
        """
        edges = np.concatenate([[0.0], np.cumsum(self.widths_s)])
        sums = np.concatenate([[0.0], np.cumsum(rates_qps * self.widths_s)])
        variance = self.mean_square(rates_qps) - float(np.average(rates_qps, weights=self.widths_s)) ** 2
        found = []
        for window in windows_s.tolist():
            count = int(span_s / window + 1e-9)
            if count > _DENSE_WINDOWS and window < self.width_s:
                found.append(variance * window**2 * (1 - window / self.width_s / 3))
            else:
                found.append(float(np.diff(np.interp(np.arange(count + 1) * window, edges, sums)).var()))
        return np.array(found)


def bin_width_ns(duration_s: float, queries: int) -> int:
    """Return a round width of bins: about a sixtieth of the trace and at most 10 minutes, unless there are too many.

    Windows of a thirtieth of the trace, the longest whose dispersion is known to a quarter, then hold two bins.
    """
    least = max(duration_s / _MOST_BINS, duration_s * _QUERIES_PER_BIN / queries)
    wanted = max(min(duration_s / _SHARE_OF_SPAN, _LONGEST_BIN_S), least)
    nearest = min(_ROUND_S, key=lambda width: abs(np.log(width / wanted)))
    return round(nearest * NS_PER_S)
