"""What other tools read."""

from pipesim.export.trace_events import MAX_EVENTS, timeline

__all__ = ["MAX_EVENTS", "timeline"]
