"""Public formats of traces that are tables: their columns, units and where they are described."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipesim.model.traffic.recorded import TimeUnit
from pipesim.traces.formats.table import Layout, TableKind


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A public format whose files are tables.

    Parameters
    ----------
    about
        What it is, for people who choose a format.
    kind
        How its tables are written.
    layout
        Which columns, or keys, hold what. Those of `layout` must be there, and tell the format from others.
    marks
        More columns, or keys, that tell the format from others.
    optional
        Attributes, and their columns, that some versions have.
    keeps_others
        Whether all other columns are attributes under their own names.
    """

    about: str
    kind: TableKind
    layout: Layout
    marks: tuple[str, ...] = ()
    optional: Mapping[str, str] = field(default_factory=dict)
    keeps_others: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the columns that every file has."""
        return (*self.layout.columns, *self.marks)

    def layout_for(self, names: tuple[str, ...]) -> Layout:
        """Return the layout of a file with columns `names`."""
        layout = self.layout
        found = {attribute: column for attribute, column in self.optional.items() if column in names}
        if self.keeps_others:
            found = {name: name for name in names if name != layout.time}
        return Layout(layout.time, layout.unit, {**layout.attributes, **found}, layout.less, layout.ordered)


def _tokens(prompt: str, output: str) -> dict[str, str]:
    return {"input_tokens": prompt, "output_tokens": output}


def _json(about: str, unit: TimeUnit, attributes: Mapping[str, str]) -> NamedTable:
    tokens = _tokens("input_length", "output_length")
    return NamedTable(about, "jsonl", Layout("timestamp", unit, {**tokens, **attributes}))


NAMED_TABLES: Mapping[str, NamedTable] = {
    "pipesim": NamedTable(
        "What pipesim trace writes as CSV: arrival_s and attributes, all of which are kept",
        "csv",
        Layout("arrival_s", "s"),
        keeps_others=True,
    ),
    "pipesim-parquet": NamedTable(
        "What pipesim trace writes as Parquet: arrival_ns and attributes, all of which are kept",
        "parquet",
        Layout("arrival_ns", "ns"),
        keeps_others=True,
    ),
    # Source: Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md, …2024.md, AzureLMMInferenceDataset2025.md.
    # Dates have no zone and 7 digits in 2023, an offset and up to 6 digits in 2024, Z and 3 digits in 2025, whose
    # column NumImages comes before the tokens: columns are found by name.
    "azure-llm": NamedTable(
        "Azure LLM inference traces of 2023, 2024 and 2025 (multimodal): context_tokens, generated_tokens, images",
        "csv",
        Layout("TIMESTAMP", "datetime", {"context_tokens": "ContextTokens", "generated_tokens": "GeneratedTokens"}),
        optional={"images": "NumImages"},
    ),
    # Source: Azure/AzurePublicDataset, AzureFunctionsInvocationTrace2021.md.
    "azure-functions-2021": NamedTable(
        "Azure Functions invocations of 2021, arrival = end_timestamp - duration: app, func, duration_s",
        "csv",
        Layout(
            "end_timestamp",
            "s",
            {"app": "app", "func": "func", "duration_s": "duration"},
            less="duration",
            ordered=False,
        ),
    ),
    # Source: kvcache-ai/Mooncake, FAST25-release/traces and README: milliseconds from the start of the trace.
    "mooncake": _json("Mooncake request traces, times in ms: input_tokens, output_tokens", "ms", {}),
    # Source: alibaba-edu/qwen-bailian-usagetraces-anon, README: seconds from the start of the trace.
    "bailian": _json(
        "Qwen-Bailian usage traces, times in s: input_tokens, output_tokens, chat_id, parent_chat_id, type, turn",
        "s",
        {"chat_id": "chat_id", "parent_chat_id": "parent_chat_id", "type": "type", "turn": "turn"},
    ),
    # Source: HPMLL/BurstGPT, README: seconds from 0:00 of the first day. Later parts have Session ID and Elapsed time.
    "burstgpt": NamedTable(
        "BurstGPT, all parts, times in s: input_tokens, output_tokens, model, log_type",
        "csv",
        Layout(
            "Timestamp",
            "s",
            {**_tokens("Request tokens", "Response tokens"), "model": "Model", "log_type": "Log Type"},
        ),
        marks=("Total tokens",),
    ),
    # Source: microsoft/vidur, data/processed_traces: seconds from the first request.
    "vidur": NamedTable(
        "Vidur request traces, times in s: input_tokens, output_tokens",
        "csv",
        Layout("arrived_at", "s", _tokens("num_prefill_tokens", "num_decode_tokens")),
    ),
    # Source: Mutinifni/splitwise-sim, generate_trace.py: arrival_timestamp is a sum of gaps in seconds.
    "splitwise-sim": NamedTable(
        "Traces of the Splitwise simulator, times in s: input_tokens, output_tokens, application_id",
        "csv",
        Layout(
            "arrival_timestamp",
            "s",
            {**_tokens("prompt_size", "token_size"), "application_id": "application_id"},
        ),
        marks=("request_id", "request_type", "batch_size"),
    ),
    # Source: inference-sim/inference-sim, sim/workload/tracev2.go: microseconds; the YAML file beside it is not needed.
    "blis": NamedTable(
        "The data file of a BLIS TraceV2, times in us: input_tokens, output_tokens, slo_class, client_id, tenant_id",
        "csv",
        Layout(
            "arrival_time_us",
            "us",
            {
                **_tokens("input_tokens", "output_tokens"),
                "slo_class": "slo_class",
                "client_id": "client_id",
                "tenant_id": "tenant_id",
            },
            ordered=False,
        ),
        marks=("request_id", "session_id", "round_index"),
    ),
    # Source: ai-dynamo/aiperf, docs/benchmark-modes/trace-replay.md: milliseconds; docs/tutorials/fixed-schedule.md.
    "aiperf": NamedTable(
        "AIPerf and GenAI-Perf schedules of JSON lines, each with a timestamp in ms: input_tokens, output_tokens",
        "jsonl",
        Layout("timestamp", "ms"),
        optional=_tokens("input_length", "output_length"),
    ),
}
