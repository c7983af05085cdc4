"""Traces as files."""

import csv
import gzip
import io

from pipesim.errors import invalid
from pipesim.traces.arrivals import ArrivalTrace
from pipesim.units import NS_PER_S, NUMBER

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What makes a text a formula to a spreadsheet, which runs it (https://owasp.org/www-community/attacks/CSV_Injection)."""


def trace_csv(trace: ArrivalTrace, *, compress: bool = False) -> bytes:
    r"""Return a trace as CSV: ``arrival_s`` with nine decimals, exact, then the attributes of queries.

    >>> import numpy as np
    >>> trace_csv(ArrivalTrace(np.array([0, 1_500_000_000]), 2_000_000_000))
    b'arrival_s\n0.000000000\n1.500000000\n'

    Raises
    ------
    InvalidInputError
        If an attribute holds a text that a spreadsheet takes for a formula. It is not made harmless by another letter
        before it, for it would be another value then.
    """
    for name, values in trace.attributes.items():
        for value in [] if values.dtype.kind in "biuf" else values.tolist():
            if str(value).startswith(_FORMULA_STARTS) and not NUMBER.fullmatch(str(value)):
                raise invalid(name, value, "is a formula to a spreadsheet that opens a CSV file", "write .parquet")
    arrival = (f"{time // NS_PER_S}.{time % NS_PER_S:09d}" for time in trace.times_ns.tolist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("arrival_s", *trace.attributes))
    writer.writerows(zip(arrival, *(values.tolist() for values in trace.attributes.values()), strict=True))
    content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if compress else content


def trace_parquet(trace: ArrivalTrace) -> bytes:
    """Return a trace as Parquet (zstd): ``arrival_ns`` (int64), then the attributes of queries."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table({"arrival_ns": trace.times_ns, **trace.attributes})
    content = pa.BufferOutputStream()
    parquet.write_table(table, content, compression="zstd")
    return bytes(content.getvalue())
