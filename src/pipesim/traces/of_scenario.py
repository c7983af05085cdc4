"""The traffic of a scenario as an arrival trace, whole or in pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipesim.errors import invalid
from pipesim.files import InputFile
from pipesim.model.scenario import Scenario
from pipesim.model.traffic import (
    CountsTraffic,
    GeneratedTraffic,
    RecipeTraffic,
    RecordedTraffic,
    ScaledTraffic,
    ServegenTraffic,
    SumTraffic,
    TrafficFiles,
)
from pipesim.streams import Streams
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.counts import counts_caveats, law_of_counts
from pipesim.traces.formats import read_trace
from pipesim.traces.formats.counts import read_counts
from pipesim.traces.formats.servegen import read_pool
from pipesim.traces.generate import (
    PIECE,
    check_memory,
    joined,
    law_pieces,
    sum_pieces,
    with_attributes,
)
from pipesim.traces.generate.servegen import servegen_caveats, servegen_pieces
from pipesim.traces.transform import apply_transforms, compressed, thinned
from pipesim.units import NS_PER_S

_LEAST_PIECE = 1_024


def scenario_trace(scenario: Scenario) -> ArrivalTrace:
    """Return the arrivals that the scenario's traffic describes, as :func:`traffic_trace` does."""
    return traffic_trace(scenario.file.traffic, scenario.traffic_files, scenario.seed)


def scenario_trace_pieces(scenario: Scenario, size: int) -> Iterator[ArrivalTrace]:
    """Return the arrivals of :func:`scenario_trace` in pieces, as :func:`traffic_pieces` does."""
    return traffic_pieces(scenario.file.traffic, scenario.traffic_files, scenario.seed, size)


def traffic_trace(traffic: ScaledTraffic, files: TrafficFiles, seed: int) -> ArrivalTrace:
    """Return the arrivals that traffic describes.

    They are drawn or read, then transformed, compressed, thinned and given attributes, in this order; of a sum, each
    client is, and then the sum.

    Parameters
    ----------
    traffic
        Of a scenario or a recipe.
    files
        Where the files are that it is read from.
    seed
        Of all that is drawn.

    Raises
    ------
    FileFormatError, InvalidInputError
        If a file cannot be read, the traffic cannot be scaled, or there are too many queries to hold at once.
    """
    if isinstance(traffic, GeneratedTraffic):
        check_memory(traffic.law.expected_queries * (traffic.thin or 1))
    return joined(traffic_pieces(traffic, files, seed, PIECE))


def traffic_pieces(traffic: ScaledTraffic, files: TrafficFiles, seed: int, size: int) -> Iterator[ArrivalTrace]:
    """Return the arrivals of :func:`traffic_trace` in pieces made from `size` queries each, whose number has no limit.

    A piece has fewer queries if it is thinned, or the last. All times count from the beginning of the whole trace. The
    duration of the last piece is that of the whole trace. Traffic with transforms is held whole.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`traffic_trace`.
    """
    return _Sources(files, seed, size).pieces(traffic, "")


def expected_duration_ns(scenario: Scenario, first: ArrivalTrace) -> int:
    """Return how long the traffic of a scenario lasts, given its first piece; on average, if only chance knows."""
    return _expected_ns(scenario.file.traffic, scenario.traffic_files) or first.duration_ns


def _expected_ns(traffic: ScaledTraffic, files: TrafficFiles) -> int | None:
    """Return the mean duration of traffic that ends with a number of queries; None where the pieces know it."""
    if traffic.transform:
        return None
    if isinstance(traffic, GeneratedTraffic):
        law, queries = traffic.law, traffic.law.queries
        bare = None if queries is None else round(queries / law.mean_rate_qps * NS_PER_S)
    elif isinstance(traffic, RecipeTraffic):
        inner = files.recipes[traffic.recipe].traffic
        bare, queries = _expected_ns(inner, files), inner.law.queries
    elif isinstance(traffic, SumTraffic):
        bare, queries = max(_expected_ns(part, files) or 0 for part in traffic.sum.values()) or None, None
    else:
        return None
    if bare is None:
        return None
    if traffic.compress_to_qps is not None and queries is not None:
        return round(queries / traffic.compress_to_qps * NS_PER_S)
    return round(bare / (traffic.load or 1))


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where traffic comes from.

    Parameters
    ----------
    files
        The files that it is read from.
    seed
        Of all that is drawn.
    size
        Queries in a piece.
    """

    files: TrafficFiles
    seed: int
    size: int

    def pieces(self, traffic: ScaledTraffic, client: str) -> Iterator[ArrivalTrace]:
        """Return traffic in pieces, scaled and with attributes; `client` names its luck, in a sum."""
        # A recipe has scaling of its own, which has the luck that it would have without the detour of a file.
        owner = f"{client}/recipe" if isinstance(traffic, RecipeTraffic) else client
        source = self._transformed(traffic, client, owner) if traffic.transform else self._source(traffic, client)
        factor, field, value = traffic.load, "load", traffic.load
        if traffic.compress_to_qps is not None:
            field, value = "compress_to_qps", traffic.compress_to_qps
            factor = _factor_to_rate(source(), value)
        streams = Streams(self.seed)
        for piece in source():
            scaled = piece if factor is None or value is None else compressed(piece, factor, field, value)
            if traffic.thin is not None:
                scaled = thinned(scaled, traffic.thin, streams.of("thin", owner))
            yield with_attributes(scaled, traffic.attributes, streams, owner)

    def _transformed(self, traffic: ScaledTraffic, client: str, owner: str) -> Callable[[], Iterator[ArrivalTrace]]:
        whole = joined(self._source(traffic, client)())
        return lambda: self._cut(apply_transforms(whole, traffic.transform, self.seed, owner=f"{owner}/transform"))

    def _cut(self, trace: ArrivalTrace) -> Iterator[ArrivalTrace]:
        for first in range(0, max(1, len(trace)), self.size):
            yield trace.between(first, first + self.size)

    def _source(self, traffic: ScaledTraffic, client: str) -> Callable[[], Iterator[ArrivalTrace]]:
        """Return what gives the traffic as it is drawn or recorded, again at every call."""
        seed, size, paths = self.seed, self.size, self.files.paths
        if isinstance(traffic, GeneratedTraffic):
            law = traffic.law
            return lambda: law_pieces(law, seed=seed, name=client, size=size)
        if isinstance(traffic, RecipeTraffic):
            recipe = self.files.recipes[traffic.recipe].traffic
            return lambda: self.pieces(recipe, client)
        if isinstance(traffic, SumTraffic):
            parts, label = traffic.sum, traffic.label
            each = replace(
                self, size=max(_LEAST_PIECE, size // len(parts))
            )  # a few pieces of each part are held at once
            return lambda: sum_pieces({name: each.pieces(part, name) for name, part in parts.items()}, size, label)
        if isinstance(traffic, CountsTraffic):
            counts = read_counts(paths[traffic.counts.file], traffic.counts)
            drawn = law_of_counts(counts, traffic.counts)
            epoch_ns = counts.start_ns + traffic.counts.start if counts.dated else 0
            inputs = _noted(counts.inputs, counts_caveats(counts, traffic.counts))
            return lambda: (
                replace(piece, epoch_ns=epoch_ns, inputs=inputs)
                for piece in law_pieces(drawn, seed=seed, name=client, size=size)
            )
        if isinstance(traffic, ServegenTraffic):
            spec = traffic.servegen
            dataset = None if spec.dataset is None else paths[spec.dataset]
            pool = read_pool(paths[spec.file], spec, dataset)
            noted = _noted(pool.inputs, servegen_caveats(pool, spec))
            return lambda: (
                replace(piece, inputs=noted) for piece in servegen_pieces(pool, spec, seed=seed, name=client, size=size)
            )
        assert isinstance(traffic, RecordedTraffic)
        trace, reading = read_trace(paths[traffic.file], traffic)
        if reading.skipped:
            rows = "1 row that could not be read was" if reading.skipped == 1 else f"{reading.skipped:,} bad rows were"
            trace = replace(trace, inputs=_noted(trace.inputs, (f"{rows} left out",)))
        return lambda: self._cut(trace)


def _noted(inputs: tuple[InputFile, ...], notes: tuple[str, ...]) -> tuple[InputFile, ...]:
    """Return the files with notes on the first, which says what the traffic is."""
    return (replace(inputs[0], notes=notes), *inputs[1:])


def _factor_to_rate(pieces: Iterator[ArrivalTrace], rate_qps: float) -> float:
    """Return the factor that gives a trace a mean rate when its time is compressed by it."""
    queries, duration_ns = 0, 0
    for piece in pieces:
        queries, duration_ns = queries + len(piece), piece.duration_ns
    if not (queries and duration_ns):
        raise invalid("compress_to_qps", rate_qps, "cannot be reached: the trace has no duration", "use another trace")
    return rate_qps / (queries / (duration_ns / NS_PER_S))
