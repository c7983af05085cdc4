"""The baseline: what each scenario's committed plan did, cost and rested on, in a file that git merges well."""

from pipesim.check.baseline.document import entry_digest, read_baseline, write_baseline
from pipesim.check.baseline.entry import SCHEMA_VERSION, Baseline, Entry, Measured, ScenarioPath, path_in_baseline

__all__ = [
    "SCHEMA_VERSION",
    "Baseline",
    "Entry",
    "Measured",
    "ScenarioPath",
    "entry_digest",
    "path_in_baseline",
    "read_baseline",
    "write_baseline",
]
