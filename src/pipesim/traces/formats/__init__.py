"""Formats of trace files: what each is, and how it is read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

from pipesim.errors import invalid
from pipesim.model.traffic import RecordedTraffic
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.traces.formats.access_log import read_json_log, read_log
from pipesim.traces.formats.content import Content
from pipesim.traces.formats.named import NAMED_TABLES
from pipesim.traces.formats.rows import Reading, Rows, arrange
from pipesim.traces.formats.sniff import columns_of, detect, first_object, table_kind
from pipesim.traces.formats.table import Layout, TableKind, read_table
from pipesim.traces.formats.times import zone_named

FORMATS: Mapping[str, str] = {
    "csv": "CSV with a header: say column and unit, and columns for attributes",
    "parquet": "Parquet: say column and unit, and columns for attributes",
    "jsonl": "JSON lines: say column (a key) and unit, and columns for attributes",
    **{name: table.about for name, table in NAMED_TABLES.items()},
    "access-log": "Access logs of Apache and nginx, common or combined format, whole seconds: status, bytes, method",
    "access-log-json": "nginx access logs in JSON lines by msec, time_iso8601 or time_local: status, bytes, method",
}
"""What can be read, by name."""


def read_trace(path: Path, traffic: RecordedTraffic) -> tuple[ArrivalTrace, Reading]:
    """Return the arrivals in a trace file, times counted from the first, and what was found on the way.

    The file is expanded if its name ends in ``.gz`` or ``.zst``. Times are exact: numbers are rounded to the nearest
    nanosecond, a half to even; floats in Parquet are the shortest decimals that are read back as them. Dates are those
    of ISO 8601, with at most nine decimals; the epoch of a trace is known for dates alone.

    Parameters
    ----------
    path
        The file.
    traffic
        How it is written; ``traffic.file`` is what complaints call it.

    Raises
    ------
    FileFormatError, InvalidInputError
        With the line of the first bad row (Parquet: the row), unless bad rows are skipped; or if the format is not
        given and cannot be known.
    """
    return _read(Content(traffic.file, path), traffic)


def parse_trace(content: bytes, traffic: RecordedTraffic) -> ArrivalTrace:
    """Return the arrivals in the bytes of a trace file, expanded already, as :func:`read_trace` does.

    Raises
    ------
    FileFormatError, InvalidInputError
        As :func:`read_trace`.
    """
    trace, _ = _read(Content(traffic.file, data=content), traffic)
    return trace


def _read(content: Content, traffic: RecordedTraffic) -> tuple[ArrivalTrace, Reading]:
    zone = zone_named(traffic.timezone, "traffic.timezone")
    generic = traffic.column is not None and traffic.unit is not None
    name = traffic.format or (table_kind(content) if generic else detect(content))
    if name != "parquet" or content.is_compressed:
        return arrange(_rows(content, name, traffic, zone), name, traffic.unsorted, content.input)
    with ThreadPoolExecutor(1) as pool:  # of such a file only some columns are read, and all bytes are hashed
        source = pool.submit(lambda: content.input)
        return arrange(_rows(content, name, traffic, zone), name, traffic.unsorted, source.result())


def _rows(content: Content, name: str, traffic: RecordedTraffic, zone: ZoneInfo | None) -> Rows:
    if name == "access-log":
        return read_log(content, zone, traffic.bad_rows)
    if name == "access-log-json":
        return read_json_log(content, first_object(content), zone, traffic.bad_rows)
    if name in NAMED_TABLES:
        table = NAMED_TABLES[name]
        _check_timezone(traffic, table.layout)
        layout = table.layout_for(columns_of(content, table.kind))
        return read_table(content, table.kind, layout, zone, traffic.bad_rows)
    assert traffic.column is not None
    assert traffic.unit is not None
    kinds: Mapping[str, TableKind] = {"csv": "csv", "parquet": "parquet", "jsonl": "jsonl"}
    layout = Layout(traffic.column, traffic.unit, traffic.columns)
    _check_timezone(traffic, layout)
    return read_table(content, kinds[name], layout, zone, traffic.bad_rows)


def _check_timezone(traffic: RecordedTraffic, layout: Layout) -> None:
    if traffic.timezone is not None and layout.unit != "datetime":
        rule = f"does not belong to times that count {layout.unit}"
        raise invalid("traffic.timezone", traffic.timezone, rule, "remove timezone")


__all__ = ["FORMATS", "Reading", "parse_trace", "read_trace"]
