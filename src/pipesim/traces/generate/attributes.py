"""Attributes of queries, drawn."""

import math
from collections.abc import Mapping

import numpy as np

from pipesim.errors import invalid
from pipesim.model.traffic.attributes import DrawnAttribute, DrawnCategory, DrawnGamma, DrawnQuantiles
from pipesim.streams import Streams
from pipesim.traces.arrivals import ArrivalTrace, Column
from pipesim.traces.generate.gaps import LEAST_SCV


def with_attributes(
    trace: ArrivalTrace, drawn: Mapping[str, DrawnAttribute], streams: Streams, owner: str = ""
) -> ArrivalTrace:
    """Return the trace with attributes of queries drawn, each from a stream of its own, from where it was left.

    The streams of an `owner`, such as a client, are its own.

    Raises
    ------
    InvalidInputError
        If the trace carries an attribute of that name already.
    """
    attributes = dict(trace.attributes)
    for name, law in drawn.items():
        if name in attributes:
            raise invalid(f"traffic.attributes.{name}", name, "is a column of the trace already", "rename one of them")
        attributes[name] = _drawn(law, len(trace), streams.of("attribute", f"{owner}/{name}" if owner else name))
    return ArrivalTrace(trace.times_ns, trace.duration_ns, trace.epoch_ns, attributes, trace.inputs)


def _drawn(law: DrawnAttribute, count: int, rng: np.random.Generator) -> Column:
    if isinstance(law, DrawnCategory):
        edges = np.cumsum(list(law.weights.values()))
        index = np.minimum(np.searchsorted(edges, rng.random(count), side="right"), len(edges) - 1)
        return np.array(list(law.weights))[index]
    if isinstance(law, DrawnGamma):
        mean, scv = law.gamma.mean, law.gamma.scv
        return np.full(count, mean) if scv < LEAST_SCV else rng.standard_gamma(1 / scv, count) * (mean * scv)
    if isinstance(law, DrawnQuantiles):
        values = _between_quantiles(np.array(law.quantiles), rng.random(count))
        return np.rint(values) if law.whole else values
    mean, variance = law.lognormal.mean, math.log1p(law.lognormal.scv)
    return np.asarray(mean * np.exp(rng.standard_normal(count) * math.sqrt(variance) - variance / 2))


def _between_quantiles(quantiles: Column, shares: Column) -> Column:
    """Return the quantiles at shares in [0, 1), linear between those at even steps from 0 to 1."""
    place = shares * (quantiles.size - 1)
    below = np.minimum(place.astype(np.int64), quantiles.size - 2)
    return np.asarray(quantiles[below] + np.diff(quantiles)[below] * (place - below))
