"""Files of every format, before they are mutated."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from mutated_traces.meaning import DIGITS, START, Form

TOKENS = {"input_tokens": "input_length", "output_tokens": "output_length"}
FORMS = {
    form.name + variant: form
    for variant, form in [
        ("", Form("csv", "csv", ("t", "x", "y"), "t", "s", {"x": "x", "y": "y"}, generic=True)),
        (" alone", Form("csv", "csv", ("t",), "t", "ms", generic=True)),
        (" dates", Form("csv", "csv", ("y", "t"), "t", "datetime", {"y": "y"}, generic=True)),
        ("", Form("pipesim", "csv", ("arrival_s", "x", "y"), "arrival_s", "s", {"x": "x", "y": "y"})),
        ("", Form("jsonl", "jsonl", ("t", "x", "y"), "t", "us", {"x": "x", "y": "y"}, generic=True)),
        (" dates", Form("jsonl", "jsonl", ("t", "x"), "t", "datetime", {"x": "x"}, generic=True)),
        (
            "",
            Form(
                "azure-llm",
                "csv",
                ("TIMESTAMP", "NumImages", "ContextTokens", "GeneratedTokens"),
                "TIMESTAMP",
                "datetime",
                {"context_tokens": "ContextTokens", "generated_tokens": "GeneratedTokens"},
                date="%Y-%m-%d %H:%M:%S.%f+00:00",
            ),
        ),
        (
            "",
            Form(
                "azure-functions-2021",
                "csv",
                ("app", "func", "end_timestamp", "duration"),
                "end_timestamp",
                "s",
                {"app": "app", "func": "func", "duration_s": "duration"},
                less="duration",
                ordered=False,
            ),
        ),
        ("", Form("mooncake", "jsonl", ("timestamp", *TOKENS.values(), "hash_ids"), "timestamp", "ms", TOKENS)),
        (
            "",
            Form(
                "bailian",
                "jsonl",
                ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "type", "turn"),
                "timestamp",
                "s",
                {**TOKENS, "chat_id": "chat_id", "parent_chat_id": "parent_chat_id", "type": "type", "turn": "turn"},
            ),
        ),
        (
            "",
            Form(
                "burstgpt",
                "csv",
                ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type"),
                "Timestamp",
                "s",
                {
                    "input_tokens": "Request tokens",
                    "output_tokens": "Response tokens",
                    "model": "Model",
                    "log_type": "Log Type",
                },
            ),
        ),
        (
            "",
            Form(
                "vidur",
                "csv",
                ("arrived_at", "num_prefill_tokens", "num_decode_tokens"),
                "arrived_at",
                "s",
                {"input_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"},
            ),
        ),
        (
            "",
            Form(
                "splitwise-sim",
                "csv",
                (
                    "request_id",
                    "request_type",
                    "application_id",
                    "arrival_timestamp",
                    "batch_size",
                    "prompt_size",
                    "token_size",
                ),
                "arrival_timestamp",
                "s",
                {"input_tokens": "prompt_size", "output_tokens": "token_size", "application_id": "application_id"},
            ),
        ),
        (
            "",
            Form(
                "blis",
                "csv",
                (
                    "request_id",
                    "client_id",
                    "tenant_id",
                    "slo_class",
                    "session_id",
                    "round_index",
                    "input_tokens",
                    "output_tokens",
                    "arrival_time_us",
                ),
                "arrival_time_us",
                "us",
                {
                    "input_tokens": "input_tokens",
                    "output_tokens": "output_tokens",
                    "slo_class": "slo_class",
                    "client_id": "client_id",
                    "tenant_id": "tenant_id",
                },
                ordered=False,
            ),
        ),
        ("", Form("aiperf", "jsonl", ("timestamp", "text_input", "output_length"), "timestamp", "ms")),
        (
            "",
            Form(
                "access-log",
                "log",
                (),
                "time",
                "datetime",
                {"status": "status", "bytes": "bytes", "method": "method"},
                ordered=False,
            ),
        ),
        ("", Form("access-log-json", "jsonl", ("msec", "request_time", "status", "request"), "", "", ordered=False)),
        (
            " iso",
            Form(
                "access-log-json",
                "jsonl",
                ("time_iso8601", "status", "body_bytes_sent", "request_method"),
                "",
                "",
                ordered=False,
                date="%Y-%m-%dT%H:%M:%S+00:00",
            ),
        ),
        (" local", Form("access-log-json", "jsonl", ("time_local", "bytes_sent"), "", "", ordered=False)),
    ]
}


def as_date(time_ns: int, layout: str) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=(START + time_ns) // 1000)).strftime(layout)


def cell_of(column: str, form: Form, index: int, time_ns: int) -> Any:
    """Return the cell of a column in a row: a text if it is to be quoted in JSON, else a bare number."""
    if column in ("msec", form.time) and form.unit != "datetime":
        return Decimal(time_ns).scaleb(-DIGITS[form.unit or "s"])
    if column in (form.time, "time_iso8601"):
        return as_date(time_ns, form.date)
    if column == "time_local":
        return as_date(time_ns, "%d/%b/%Y:%H:%M:%S +0200")
    if column in ("Model", "type", "text_input", "slo_class", "app", "y"):
        return ("chat", "Größe, klein", 'the "other"')[index % 3]
    if column in ("request", "request_method"):
        return "GET / HTTP/1.1" if column == "request" else "GET"
    return Decimal(index * 7 % 5) / 4 if column in ("duration", "request_time") else Decimal(100 + index)


def written(form: Form, times_ns: list[int]) -> list[str]:
    """Return the lines of a good file."""
    rows = [[cell_of(column, form, index, time) for column in form.columns] for index, time in enumerate(times_ns)]
    if form.kind == "csv":
        return [csv_line(form.columns), *map(csv_line, rows)]
    if form.kind == "log":
        when = [as_date(time, "%d/%b/%Y:%H:%M:%S +0000") for time in times_ns]
        return [
            f'10.0.0.{index} - - [{text}] "GET /{index} HTTP/1.1" 200 {index} "-" "a"'
            for index, text in enumerate(when)
        ]
    return [json_line(dict(zip(form.columns, row, strict=True))) for row in rows]


def csv_line(cells: Any) -> str:
    texts = [format(cell, "f") if isinstance(cell, Decimal) else cell for cell in cells]
    return ",".join('"' + text.replace('"', '""') + '"' if re.search('[",]', text) else text for text in texts)


def json_line(pairs: Mapping[str, Any]) -> str:
    texts = [
        f"{json.dumps(key)}: "
        + (format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False))
        for key, value in pairs.items()
    ]
    return "{" + ", ".join(texts) + "}"
