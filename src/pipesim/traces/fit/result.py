"""What a fit found."""

from dataclasses import dataclass

import pandas as pd

from pipesim.files import InputFile
from pipesim.model.traffic import GeneratedTraffic


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A law with the rate curve and the burstiness of a trace, and how far it is off.

    All figures of the law are of replicas that its choice has not seen, measured as the trace is, over the same span.

    Parameters
    ----------
    traffic
        The law, and attributes to draw.
    misfit
        One row for each window. Columns: ``window_s``; ``windows`` (whole ones in the trace); ``index_of_dispersion``
        (of the trace); ``replica_mean`` and ``replica_sd`` (of the law); ``relative_error`` (of the mean of the
        replicas; NaN where the trace's is 0); ``deviations`` (trace less mean, in standard deviations of a replica);
        ``poisson`` (1); ``fitted`` (whether the law was fitted to this window: the trace holds 30 of them, and they do
        not see its clock jitter).
    envelope
        One row for each window. Columns: ``window_s``, ``peak_count`` (most queries in any window of the trace),
        ``replica_mean``, ``replica_sd``, ``relative_error``.
    rates
        One row for each bin of the curve's width. Columns: ``start_s``, ``trace_qps``, ``curve_qps`` (what the law
        expects), ``replica_sd_qps``.
    rate_error, rate_noise
        Root mean square of the rates' differences from the curve, over the mean rate: of the trace, and of replicas on
        average. Where they are equal, the curve is as far from the trace as it is from traces drawn from it.
    gap_scv, replica_gap_scv
        Squared coefficient of variation of all gaps: of the trace, and of replicas on average.
    queries
        In the trace.
    duration_s
        Of the trace.
    replicas
        How many were drawn to measure the law.
    notes
        What was assumed, in plain words.
    inputs
        The files that the trace was read from.
    """

    traffic: GeneratedTraffic
    misfit: pd.DataFrame
    envelope: pd.DataFrame
    rates: pd.DataFrame
    rate_error: float
    rate_noise: float
    gap_scv: float
    replica_gap_scv: float
    queries: int
    duration_s: float
    replicas: int
    notes: tuple[str, ...]
    inputs: tuple[InputFile, ...]

    @property
    def worst_error(self) -> float:
        """Return the largest relative error of the index of dispersion among the windows that were fitted."""
        fitted = self.misfit[self.misfit["fitted"]]
        return float(fitted["relative_error"].abs().max())
