"""What a check notices, and how often it is wrong: ``python benchmarks/check.py [--runs 1000]``.

InferLine's social media pipeline (four stages, with a branch and a join) under ten minutes at 150 queries a second; the
committed plan is the cheapest that meets the objective, and is simulated again after each change, not looked for anew.
Changes of 1, 2, 5 and 10 % are made to all latencies of a model, to all prices, and to the rate of arrivals. Each
metric has the rule ``METRIC:+2%``.

A cell says what the change really does to the metric, by the mean of all its runs, and in how many of a hundred checks
the rule was broken: with the same seeds on both sides, and with other seeds. The last table compares the scenario with
itself under other seeds: how often any rule was broken by luck, at thresholds of 2 % and of nothing.

Every check has seeds of its own. With 1,000 runs there are some 26,000 simulations, which take a quarter of an hour of
one core.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from pipesim.check.comparing import Side, compared
from pipesim.check.measures import measured
from pipesim.check.thresholds import Rule, rules_of
from pipesim.engine import SimulationResult, Workload, simulate
from pipesim.engine.compiled.whole import StageRuns
from pipesim.engine.quantiles import nearest_rank
from pipesim.model import Plan, Scenario, load_scenario
from pipesim.planner import plan
from pipesim.units import NS_PER_S, parse_quantile

PERCENTS = (1, 2, 5, 10)
MODELS = ("lang-detect", "resnet152")
SIMULATED = ("p50", "p95", "p99", "utilisation")
METRICS = ("cost", *SIMULATED)
SEEDS = 8
POWER_RUNS = 100
Samples = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Variant:
    """A scenario, changed.

    Parameters
    ----------
    change
        What was changed, in words.
    percent
        By how much.
    scenario
        What came of it.
    """

    change: str
    percent: int
    scenario: Scenario


def variants(scenario: Scenario, committed: Plan) -> list[Variant]:
    """Return the scenario with each change."""
    made: list[Variant] = []
    for model in MODELS:
        stage = next(name for name, one in scenario.pipeline.stages.items() if one.model == model)
        hardware = committed.stages[stage].hardware
        points = scenario.profiles[model, hardware].points
        for percent in PERCENTS:
            changes = {
                f"profiles.{model}.{hardware}.{point.batch_size}": f"{point.latency_ms * (100 + percent) / 100:.6f}ms"
                for point in points
            }
            made.append(Variant(f"latencies of {model}", percent, scenario.with_(changes)))
    for percent in PERCENTS:
        rate_qps = {"traffic.gamma.rate_qps": 1.5 * (100 + percent)}
        made.append(Variant("rate of arrivals", percent, scenario.with_(rate_qps)))
    for percent in PERCENTS:
        prices: dict[str, Any] = {
            f"prices.units.{name}.price_usd_per_hour": unit.price_usd_per_hour * (100 + percent) / 100
            for name, unit in scenario.catalogue.units.items()
        }
        made.append(Variant("all prices", percent, scenario.with_(prices)))
    return made


def sample(scenario: Scenario, committed: Plan, seeds: Sequence[int]) -> Samples:
    """Return what :func:`pipesim.check.measures.measured` does, without headroom, which takes 100 times as long."""
    rows = []
    for seed in seeds:
        result = simulate(Workload.of(scenario.with_(seed=seed)), committed)
        ordered = np.sort(result.latency_ns)
        latencies = [nearest_rank(ordered, parse_quantile(name)) / NS_PER_S for name in SIMULATED[:3]]
        rows.append((*latencies, busiest(result)))
    return dict(zip(SIMULATED, zip(*rows, strict=True), strict=True))


def busiest(result: SimulationResult) -> float:
    """Return the utilisation of the busiest stage, without the rest of the frame of stages."""
    end_ns, stages = result.traffic.duration_ns, result.run.stages
    assert isinstance(stages, StageRuns)
    return max(
        stages.busy_ns(index, end_ns) / (result.plan.stages[name].replicas * end_ns)
        for index, name in enumerate(result.workload.routes.names)
    )


def check_sample(scenario: Scenario, committed: Plan) -> None:
    """Check that samples are what a check measures."""
    mine, seed = sample(scenario, committed, [1]), measured(scenario, committed, [1])
    assert {name: mine[name][0] for name in SIMULATED[:3]} == {
        name: seed.latency_ns[name][0] / NS_PER_S for name in SIMULATED[:3]
    }
    assert mine["utilisation"] == seed.utilisation


def part(samples: Samples, first: int, count: int = SEEDS) -> Samples:
    """Return the samples of some seeds."""
    return {name: values[first : first + count] for name, values in samples.items()}


def broken(before: Side, now: Side, rules: Sequence[Rule]) -> set[str]:
    """Return the metrics whose rules are broken."""
    return {change.metric for change in compared(before, now, rules) if change.verdict != "pass"}


def side(first: int, cost: Decimal, samples: Samples) -> Side:
    """Return one side of a comparison; its seeds follow from the first one's number."""
    count = len(samples["p50"])
    return Side(tuple(range(first, first + count)), {"cost": cost}, samples)


def told(text: str) -> None:
    """Show how far the work is."""
    print(text, file=sys.stderr, flush=True)


def power(base: Samples, scenario: Scenario, committed: Plan, runs: int) -> None:
    """Print how often changes are noticed."""
    rules = rules_of([f"{metric}:+2%" for metric in METRICS], "fail")
    print(f"\n| change | by | {' | '.join(METRICS)} | any |\n|---|---|{'---|' * (len(METRICS) + 1)}")
    for variant in variants(scenario, committed):
        told(f"{variant.change} +{variant.percent} %")
        is_simulated = variant.change != "all prices"
        seeds = range(SEEDS * runs)
        samples = sample(variant.scenario, committed, seeds) if is_simulated else base
        costs = [committed.cost_usd_per_hour(one.catalogue) for one in (scenario, variant.scenario)]
        same, other = [], []
        for first in seeds[::SEEDS]:
            before = side(first, costs[0], part(base, first))
            same.append(broken(before, side(first, costs[1], part(samples, first)), rules))
            second = (first + SEEDS) % len(seeds)
            other.append(broken(before, side(second, costs[1], part(samples, second)), rules))
        cells = []
        for metric in METRICS:
            if metric == "cost":
                effect = float(costs[1] / costs[0]) - 1
            else:
                effect = fmean(samples[metric][: len(seeds)]) / fmean(base[metric][: len(seeds)]) - 1
            cells.append(f"{effect:+.1%}: {share(metric, same)} / {share(metric, other)}")
        cells.append(f"{share('', same)} / {share('', other)}")
        print(f"| {variant.change} | +{variant.percent} % | {' | '.join(cells)} |", flush=True)


def share(metric: str, alarms: Sequence[set[str]]) -> int:
    """Return in how many of a hundred checks a metric's rule was broken, or any for an empty name."""
    return round(100 * fmean(metric in some if metric else bool(some) for some in alarms))


def false_alarms(base: Samples, cost: Decimal, runs: int) -> None:
    """Print how often luck breaks a rule."""
    print("| seeds a side | checks | broken at +2 % | broken at +0 % |\n|---|---|---|---|")
    for count in (2, 4, SEEDS):
        cells = []
        for threshold in ("+2%", "+0%"):
            rules = rules_of([f"{metric}:{threshold}" for metric in METRICS], "fail")
            alarms = 0
            for first in range(0, 2 * SEEDS * runs, 2 * SEEDS):
                second = first + count
                before, now = part(base, first, count), part(base, second, count)
                alarms += bool(broken(side(first, cost, before), side(second, cost, now), rules))
            cells.append(f"{alarms} ({alarms / runs:.1%})")
        print(f"| {count} | {runs:,} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="checks of nothing changed")
    runs = parser.parse_args().runs
    scenario = load_scenario(Path(__file__).parents[1] / "examples" / "social-media.yaml")
    committed = plan(scenario).simulation.plan  # type: ignore[union-attr]
    check_sample(scenario, committed)
    told("nothing changed")
    base = sample(scenario, committed, range(2 * SEEDS * runs))
    false_alarms(base, committed.cost_usd_per_hour(scenario.catalogue), runs)
    power(base, scenario, committed, min(runs, POWER_RUNS))


if __name__ == "__main__":
    main()
