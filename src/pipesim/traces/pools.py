"""Pools of clients: what every client of a service asked for in each window, and what its queries carried."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipesim.files import InputFile
from pipesim.units import NS_PER_S

CLIENT = "client"
"""The attribute that names the client of each query."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenLaw:
    """The law of one number that a query carries.

    Parameters
    ----------
    values
        Shape ``(n,)``, float64, ascending: what may be drawn.
    edges
        Shape ``(n,)``, float64: the probability of at most each value; the last is 1.
    """

    values: Floats
    edges: Floats

    def at(self, uniform: Floats) -> Floats:
        """Return the values at numbers in [0, 1), of the same shape."""
        return np.asarray(self.values[np.searchsorted(self.edges, uniform, side="right")])

    @property
    def mean(self) -> float:
        """Return the mean."""
        return float(np.dot(self.values, np.diff(self.edges, prepend=0)))


@dataclass(frozen=True, slots=True, eq=False)
class TokenLaws:
    """The laws of what a client's queries carry.

    Parameters
    ----------
    starts_ns
        Where the windows of the dataset begin, ascending, since midnight of the first day.
    fields
        For each field a law for each window. A window without data has the law of the nearest earlier one that has
        some, else of the nearest later one; a field without any data is not here.
    """

    starts_ns: tuple[int, ...]
    fields: Mapping[str, tuple[TokenLaw, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class ClientPool:
    """The clients of a ServeGen pool: arrays of shape ``(clients, windows)``, read-only.

    Parameters
    ----------
    window_ns
        The width of a window; the first begins at midnight of the first day, time 0.
    clients
        The clients' numbers, ascending, as text.
    rates_qps
        The measured rate: float64, queries per second, 0 where idle.
    cvs
        The measured coefficient of variation of the gaps: float64.
    weibull
        Whether the gaps were fitted with a Weibull law, else with a gamma law: bool.
    shapes
        The shape of that law: float64, above 0 unless idle.
    tokens
        What queries carry, by client; empty if no dataset was read.
    inputs
        The files that the pool was read from.
    """

    window_ns: int
    clients: tuple[str, ...]
    rates_qps: Floats
    cvs: Floats
    weibull: npt.NDArray[np.bool_]
    shapes: Floats
    tokens: Mapping[str, TokenLaws] = field(default_factory=dict)
    inputs: tuple[InputFile, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.rates_qps, self.cvs, self.weibull, self.shapes):
            array.flags.writeable = False
        object.__setattr__(self, "tokens", MappingProxyType(dict(self.tokens)))

    @property
    def duration_ns(self) -> int:
        """Return how long the pool was watched."""
        return self.window_ns * int(self.rates_qps.shape[1])

    def describe(self) -> pd.DataFrame:
        """Return one row that sums the pool up.

        Columns: ``clients``, ``windows``, ``window_s``, ``mean_qps``; ``min_qps`` and ``peak_qps`` of a window of all
        clients together, ``idle_windows`` of them without any query; ``active_share`` of all clients' windows;
        ``gamma_windows``, ``weibull_windows``; of the active windows ``cv_median`` and, weighted by rate, ``cv_p50``,
        ``cv_p90``, ``cv_p99``; ``top5_share`` of queries that the five largest clients send.
        """
        total, active = self.rates_qps.sum(axis=0), self.rates_qps > 0
        by_client = np.sort(self.rates_qps.sum(axis=1))[::-1]
        row: dict[str, object] = {
            "clients": len(self.clients),
            "windows": total.size,
            "window_s": self.window_ns / NS_PER_S,
            "mean_qps": float(total.mean()),
            "min_qps": float(total.min()),
            "peak_qps": float(total.max()),
            "idle_windows": int(np.count_nonzero(total == 0)),
            "active_share": float(active.mean()),
            "gamma_windows": int(np.count_nonzero(active & ~self.weibull)),
            "weibull_windows": int(np.count_nonzero(active & self.weibull)),
            "cv_median": float(np.median(self.cvs[active])) if active.any() else float("nan"),
        }
        order = np.argsort(self.cvs[active], kind="stable")
        reached = np.cumsum(self.rates_qps[active][order])
        for percent in (50, 90, 99):
            first = int(np.searchsorted(reached, reached[-1] * percent / 100)) if reached.size else 0
            row[f"cv_p{percent}"] = float(self.cvs[active][order][first]) if reached.size else float("nan")
        row["top5_share"] = float(by_client[:5].sum() / by_client.sum()) if by_client.any() else float("nan")
        return pd.DataFrame([row])
