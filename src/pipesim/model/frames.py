"""Frames of a pipeline and of profiles, for tables and pictures."""

import pandas as pd

from pipesim.errors import invalid
from pipesim.model.pipeline import FanOut, Pipeline, PoissonFanOut, WeightedFanOut
from pipesim.model.profile import ProfileSet
from pipesim.units import NS_PER_S

_EDGE_COLUMNS = [
    "upstream", "downstream", "probability", "choice", "values", "fan_out", "fan_out_law", "per", "network_delay_s",
]  # fmt: skip
_CURVE_COLUMNS = ["model", "hardware", "batch_size", "latency_s", "items_per_s", "measured", "basis"]


def stages_frame(pipeline: Pipeline) -> pd.DataFrame:
    """Return ``model`` and ``source`` (whether it receives every query) of each stage, in topological order."""
    rows = [
        {"stage": name, "model": pipeline.stages[name].model, "source": name in pipeline.sources}
        for name in pipeline.order
    ]
    return pd.DataFrame(rows).set_index("stage")


def edges_frame(pipeline: Pipeline) -> pd.DataFrame:
    """Return one row per edge.

    Columns: ``upstream``, ``downstream``; ``probability`` (1 if none is given; NaN if values decide); ``choice`` (the
    name of its group, or empty) and ``values`` (text; empty if draws decide); ``fan_out`` (its mean) and
    ``fan_out_law`` (``count``, ``poisson`` or ``weights``); ``per`` (``query`` or ``item``); ``network_delay_s``.
    """
    rows = []
    for edge in pipeline.edges:
        options = edge.options
        names = options.model_dump()["values"]
        mean, law = _fan_out(options.fan_out)
        rows.append(
            {
                "upstream": edge.upstream,
                "downstream": edge.downstream,
                "probability": float("nan") if names is not None else options.share,
                "choice": options.choice or "",
                "values": ", ".join(map(str, names or ())),
                "fan_out": mean,
                "fan_out_law": law,
                "per": options.per,
                "network_delay_s": options.network_delay_ns / NS_PER_S,
            }
        )
    return pd.DataFrame(rows, columns=_EDGE_COLUMNS)


def _fan_out(fan_out: FanOut) -> tuple[float, str]:
    if isinstance(fan_out, PoissonFanOut):
        return fan_out.poisson, "poisson"
    if isinstance(fan_out, WeightedFanOut):
        return sum(items * share for items, share in fan_out.weights.items()), "weights"
    return float(fan_out), "count"


def profile_curves(profiles: ProfileSet, model: str) -> pd.DataFrame:
    """Return the latency and the throughput of one model by batch size, on each hardware that it was profiled on.

    Parameters
    ----------
    profiles
        With the model.
    model
        Its name.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``hardware``, ``batch_size`` (1 to the largest measured), ``latency_s`` (of the batch), and
        ``items_per_s`` (the batch size over that), ``measured`` (whether the profile has a row for this batch size, and
        it is no interpolation), ``basis`` (of that row, else empty).

    Raises
    ------
    InvalidInputError
        If the model is not known.
    """
    if model not in profiles.models:
        raise invalid("model", model, "has no profile", f"use one of {', '.join(profiles.models)}")
    parts = []
    for hardware in profiles.hardware_of(model):
        profile = profiles[model, hardware]
        basis = {point.batch_size: point.basis for point in profile.points}
        latency_s = profile.table_ns[1:] / NS_PER_S
        sizes = range(1, profile.max_batch_size + 1)
        columns = {
            "model": model,
            "hardware": hardware,
            "batch_size": sizes,
            "latency_s": latency_s,
            "items_per_s": sizes / latency_s,
            "measured": [size in basis for size in sizes],
            "basis": [basis.get(size, "") for size in sizes],
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)[_CURVE_COLUMNS]
