"""The pictures of the gallery, made from the examples.

Run with ``make gallery``. It writes ``docs/gallery/*.png``, the same bytes for the same versions of pipesim and
matplotlib.
"""

from collections.abc import Callable
from pathlib import Path

import yaml

import pipesim as ps
from pipesim.model import Scenario, scenario_from_dict
from pipesim.planner import compare, plan
from pipesim.planner.sensitivity.study import study
from pipesim.plot import Axes, image

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
DPI = 80
MOST_BYTES = 60_000


def chain(stages: int) -> Scenario:
    """Return a chain of models that differ in speed, on three kinds of hardware: long ones take long to plan."""
    names = [f"stage{number}" for number in range(stages)]
    units = {"cpu": ("cpu", "core", 0.07), "small": ("gpu", "gpu", 0.5), "large": ("gpu", "gpu", 2.1)}
    document = {
        "name": f"chain-{stages}",
        "slo": {"p99": f"{60 * stages}ms"},
        "traffic": {"gamma": {"rate_qps": 100, "scv": 2, "duration": "60s"}},
        "pipeline": {name: {"model": name} | ({"after": [names[n - 1]]} if n else {}) for n, name in enumerate(names)},
        "profiles": {
            name: {
                "cpu": {1: f"{30 + 4 * n}ms", 8: f"{200 + 25 * n}ms"},
                "small": {1: f"{9 + n}ms", 16: f"{40 + 6 * n}ms"},
                "large": {1: f"{5 + n / 2}ms", 64: f"{45 + 5 * n}ms"},
            }
            for n, name in enumerate(names)
        },
        "prices": {
            "units": {
                name: {"kind": kind, "unit": unit, "price_usd_per_hour": price}
                for name, (kind, unit, price) in units.items()
            }
        },
    }
    return scenario_from_dict(document)


def pictures() -> dict[str, Callable[[], Axes]]:
    """Return how each picture is drawn, by its name."""
    social, video = (ps.load(EXAMPLES / f"{name}.yaml") for name in ("social-media", "video-monitoring"))
    cascade, images = (ps.load(EXAMPLES / f"{name}.yaml") for name in ("tf-cascade", "image-processing"))
    planned = ps.plan(social, verified=False)
    assert isinstance(planned, ps.FeasiblePlan)
    result, trace = planned.simulation, planned.simulation.traffic
    answer = ps.plan(video, verified=False)
    assert isinstance(answer, ps.FeasiblePlan)
    searched = plan(chain(8), verified=False, max_evaluations=6000)
    comparison = compare(video, ["search", "greedy", "cg-mean", "cg-peak", "ceil"])
    found = study(ps.Workload.of(cascade), ["slo", "load", "prices", "profiles"], max_evaluations=600)
    hardware = study(ps.Workload.of(images), ["hardware"], max_evaluations=600)
    tight = scenario_from_dict(yaml.safe_load((EXAMPLES / "tf-cascade.yaml").read_text()) | {"slo": {"p99": "40ms"}})
    relaxed = study(ps.Workload.of(tight), ["relax"], max_evaluations=300)
    return {
        "latency_cdf": result.plot.latency_cdf,
        "latency_ccdf": result.plot.latency_ccdf,
        "latency_over_time": result.plot.latency_over_time,
        "stage_times": result.plot.stage_times,
        "queue_over_time": result.plot.queue_over_time,
        "utilisation_over_time": result.plot.utilisation_over_time,
        "batch_sizes": result.plot.batch_sizes,
        "capacity": result.plot.capacity,
        "pipeline": result.plot.pipeline,
        "cost_by_stage": result.plot.cost_by_stage,
        "replicas": result.plot.replicas,
        "scenario": video.plot.pipeline,
        "profile_latency": lambda: social.profiles.plot.latency("resnet152"),
        "profile_throughput": lambda: social.profiles.plot.throughput("resnet152"),
        "trace_rate": trace.plot.rate,
        "trace_gaps": trace.plot.gaps,
        "trace_dispersion": trace.plot.dispersion,
        "trace_envelope": trace.plot.envelope,
        "trace_autocorrelation": trace.plot.autocorrelation,
        "pareto": answer.plot.pareto,
        "convergence": searched.plot.convergence,
        "method_costs": comparison.plot.costs,
        "method_latencies": comparison.plot.latencies,
        "slo": found.plot.slo,
        "load": found.plot.load,
        "prices": found.plot.prices,
        "profiles": found.plot.profiles,
        "hardware": hardware.plot.hardware,
        "relax": relaxed.plot.relax,
    }


def main() -> None:
    """Draw all pictures."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    for name, draw in pictures().items():
        figure = draw().get_figure(root=True)
        assert figure is not None
        content = image(figure, "png", dpi=DPI)
        if len(content) > MOST_BYTES:
            raise SystemExit(f"{name}.png has {len(content):,} bytes, more than {MOST_BYTES:,}")
        (folder / f"{name}.png").write_bytes(content)


if __name__ == "__main__":
    main()
