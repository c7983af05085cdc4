"""Simulations as notebooks show them."""

import math

import pandas as pd

from pipesim.engine.result import SimulationResult, SloOutcome
from pipesim.engine.summary import Summary
from pipesim.markup import card, line, table
from pipesim.units import NS_PER_S, format_duration, format_usd, format_utilisation

Simulated = SimulationResult | Summary


def simulation_html(result: Simulated) -> str:
    """Return a simulation: whether the objectives held, cost, latencies and stages."""
    verdict = "the plan meets the objectives" if result.met else "the plan misses an objective"
    return card(f"{result.scenario.name}: {verdict}", simulated_parts(result), good=result.met)


def simulated_parts(result: Simulated) -> list[str]:
    """Return what every answer with a simulation shows, as parts of a card."""
    cost = f"{format_usd(result.cost_usd_per_hour)} an hour, {len(result.traffic):,} queries"
    latency = result.latency()
    quantiles = ", ".join(f"{name} {format_duration(value * NS_PER_S)}" for name, value in latency["latency_s"].items())
    return [
        line(f"{cost}{'; ' if quantiles else ''}{quantiles}"),
        *(line(_objective(outcome)) for outcome in result.slos),
        _stages(result.stages),
    ]


def _objective(outcome: SloOutcome) -> str:
    held, over = "met" if outcome.met else "missed", f"{outcome.misses:,} of {outcome.queries:,} over it"
    return f"{outcome.slo}: {held}, {over}, {outcome.allowed_misses:,} allowed"


def _stages(stages: pd.DataFrame) -> str:
    rows = [
        [
            name,
            stage["hardware"],
            stage["replicas"],
            stage["max_batch_size"],
            "–" if math.isnan(stage["mean_batch_size"]) else f"{stage['mean_batch_size']:.3g}",
            format_utilisation(stage["utilisation"]),
            f"{stage['cost_usd_per_hour']:.2f}",
        ]
        for name, stage in stages.iterrows()
    ]
    head = ["stage", "hardware", "replicas", "max batch", "mean batch", "utilisation", "$/h"]
    return table(head, rows, left=2)
