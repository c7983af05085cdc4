"""A trace and replicas of a law, measured alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.model.traffic import GeneratedTraffic
from pipesim.model.traffic.laws import Law
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.dispersion import Floats
from pipesim.traces.fit.result import Fit
from pipesim.traces.fit.slow import SlowRate
from pipesim.traces.generate import law_trace
from pipesim.traces.statistics import gap_scv, peak_count
from pipesim.traces.statistics.bins import bin_counts, dispersion
from pipesim.units import NS_PER_S

_DIGITS = (1, 2, 3, 5, 7)
_FEWEST_FITTED, _FEWEST_SHOWN = 30, 10
_LONGEST_S, _TENTH_S = 600, 0.1
_QUERIES_IN_SHORTEST = 10
_ENVELOPE_S = (0.1, 1, 10, 60)


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths of windows, all of them multiples of the shortest.

    Parameters
    ----------
    shortest_ns
        The shortest.
    multiples
        How many times as long each is.
    fitted
        Whether the trace holds 30 of them, so that its index of dispersion is known to a quarter (√(2 / 30), for
        normal counts).
    """

    shortest_ns: int
    multiples: tuple[int, ...]
    fitted: tuple[bool, ...]

    @classmethod
    def of(cls, trace: ArrivalTrace) -> "Windows":
        """Return 1, 2, 3, 5, 7, 10 … times 0.1 s, as far as the trace holds ten, to 600 s.

        It begins with 10 ms, 1 ms … where the power of ten above holds more than ten queries, or 300 of it are not in
        the trace. A thirtieth of the trace is one of them.
        """
        span_s = int(trace.times_ns[-1] - trace.times_ns[0]) / NS_PER_S
        limit_s = min(_TENTH_S, span_s / 300, _QUERIES_IN_SHORTEST / trace.mean_rate_qps)
        shortest_ns = max(1, round(10 ** np.floor(np.log10(limit_s) + 1e-9) * NS_PER_S))
        span_ns = round(span_s * NS_PER_S)
        most = min(_LONGEST_S * NS_PER_S, span_ns // _FEWEST_SHOWN) // shortest_ns
        last = min(_LONGEST_S * NS_PER_S, span_ns // _FEWEST_FITTED) // shortest_ns
        multiples = {digit * 10**power for power in range(13) for digit in _DIGITS if digit * 10**power <= most}
        ordered = tuple(sorted(multiples | ({last} if last else set())))
        return cls(shortest_ns, ordered, tuple(multiple <= last for multiple in ordered))

    @property
    def seconds(self) -> Floats:
        """Return the lengths in seconds, shape ``(windows,)``."""
        return np.array(self.multiples) * (self.shortest_ns / NS_PER_S)

    def dispersion(self, trace: ArrivalTrace) -> Floats:
        """Return :func:`~pipesim.traces.statistics.index_of_dispersion` for each, shape ``(windows,)``."""
        counts = bin_counts(trace, self.shortest_ns)
        return np.array([dispersion(counts.merged(multiple).whole()) for multiple in self.multiples])

    def relative_errors(self, trace: ArrivalTrace) -> Floats:
        """Return the standard error of each index over its mean, √(2 / (n − 1)) for n windows of normal counts."""
        span_ns = int(trace.times_ns[-1] - trace.times_ns[0])
        counts = np.maximum(2, span_ns // (np.array(self.multiples) * self.shortest_ns))
        return np.asarray(np.sqrt(2 / (counts - 1)))


def replicas_of(law: Law, count: int, seed: int, purpose: str) -> Iterator[ArrivalTrace]:
    """Return traces drawn from a law, each with luck of its own that the seed and the purpose name."""
    for index in range(count):
        yield law_trace(law, seed, f"{purpose}/{index}")


def measured(
    trace: ArrivalTrace,
    traffic: GeneratedTraffic,
    windows: Windows,
    fitted: npt.NDArray[np.bool_],
    observed: Floats,
    slow: SlowRate,
    drawn: Iterable[ArrivalTrace],
    notes: tuple[str, ...],
) -> Fit:
    """Return a fit with all that is measured of the trace and of replicas."""
    lengths_ns = [round(seconds * NS_PER_S) for seconds in _ENVELOPE_S if seconds * NS_PER_S <= trace.duration_ns]
    dispersions, peaks, rates, scvs = [], [], [], []
    for one in drawn:
        dispersions.append(windows.dispersion(one))
        peaks.append([peak_count(one, length) for length in lengths_ns])
        rates.append(slow.rates_of(one))
        scvs.append(gap_scv(one))
    trace_peaks = np.array([peak_count(trace, length) for length in lengths_ns], dtype=np.int64)
    means, deviations = np.nanmean(dispersions, axis=0), np.nanstd(dispersions, axis=0, ddof=1)
    span_ns = int(trace.times_ns[-1] - trace.times_ns[0])
    curve = slow.expected_of(traffic.law)
    trace_rates, widths = slow.rates_of(trace), slow.widths_s
    misfit = pd.DataFrame(
        {
            "window_s": windows.seconds,
            "windows": [span_ns // (multiple * windows.shortest_ns) for multiple in windows.multiples],
            "index_of_dispersion": observed,
            "replica_mean": means,
            "replica_sd": deviations,
            "relative_error": means / np.where(observed > 0, observed, np.nan) - 1,
            "deviations": (observed - means) / np.where(deviations > 0, deviations, np.nan),
            "poisson": np.ones(len(observed)),
            "fitted": fitted,
        }
    )
    envelope = pd.DataFrame(
        {
            "window_s": [length / NS_PER_S for length in lengths_ns],
            "peak_count": trace_peaks,
            "replica_mean": np.mean(peaks, axis=0),
            "replica_sd": np.std(peaks, axis=0, ddof=1),
            "relative_error": np.mean(peaks, axis=0) / trace_peaks - 1,
        }
    )
    frame = pd.DataFrame(
        {
            "start_s": np.arange(widths.size) * slow.width_s,
            "trace_qps": trace_rates,
            "curve_qps": curve,
            "replica_sd_qps": np.std(rates, axis=0, ddof=1),
        }
    )

    def off(found: Floats) -> float:
        return float(np.sqrt(np.average((found - curve) ** 2, weights=widths)) / slow.mean_qps)

    return Fit(
        traffic=traffic,
        misfit=misfit,
        envelope=envelope,
        rates=frame,
        rate_error=off(trace_rates),
        rate_noise=float(np.mean([off(one) for one in rates])),
        gap_scv=gap_scv(trace),
        replica_gap_scv=float(np.nanmean(scvs)),
        queries=len(trace),
        duration_s=trace.duration_s,
        replicas=len(scvs),
        notes=notes,
        inputs=trace.inputs,
    )
