"""Pictures of simulations, plans and studies: what is drawn is what the frames say, the same bytes every time."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle, StepPatch

from build import make_plan, make_scenario, make_trace
from pipesim import plot
from pipesim.engine import SimulationResult, Workload, simulate, summarise
from pipesim.engine.capacity import capacity_curves
from pipesim.engine.pictures import SimulationPictures
from pipesim.engine.series import (
    latency_distribution,
    latency_over_time,
    objectives,
    replicas_over_time,
    stage_times,
    stages_over_time,
)
from pipesim.model.frames import edges_frame, profile_curves, stages_frame
from pipesim.model.pictures import ProfilePictures, ScenarioPictures
from pipesim.planner import Comparison, FeasiblePlan, compare
from pipesim.planner.frames import convergence, method_latencies, nearby_plans
from pipesim.planner.pictures import ComparisonPictures, PlanPictures, StudyPictures
from pipesim.planner.sensitivity.study import OF_A_PLAN, Study, study
from pipesim.traces import gamma
from pipesim.traces.pictures import TracePictures

DOCS = Path(__file__).parents[1] / "docs"

OF_A_SIMULATION = (
    "latency_cdf", "latency_ccdf", "latency_over_time", "stage_times", "queue_over_time", "utilisation_over_time",
    "batch_sizes", "capacity", "pipeline", "cost_by_stage", "replicas",
)  # fmt: skip
OF_A_TRACE = ("rate", "gaps", "dispersion", "envelope", "autocorrelation")

SLO_FRAME = pd.DataFrame(
    {
        "factor": [0.5, 0.8, 1.0, 2.0],
        "bound_s": [0.1, 0.16, 0.2, 0.4],
        "cost_usd_per_hour": [np.nan, 4.0, 3.0, 1.0],
        "bound_usd_per_hour": [np.nan, 4.0, 2.5, 1.0],
        "proved": [True, True, False, True],
    }
)
LOAD_FRAME = pd.DataFrame(
    {
        "factor": [0.5, 1.0, 2.0],
        "rate_qps": [50.0, 100.0, 200.0],
        "cost_usd_per_hour": [2.0, 3.0, np.nan],
        "bound_usd_per_hour": [2.0, 2.0, np.nan],
        "usd_per_million_queries": [11.1, 8.33, np.nan],
    }
)
PRICE_FRAME = pd.DataFrame(
    {
        "unit": ["cpu", "cpu", "t4", "t4"],
        "direction": ["rise", "fall", "rise", "fall"],
        "factor": [np.inf, 0.1, 1.5, 0.5],
        "changes": [False, False, True, True],
    }
)
PROFILE_FRAME = pd.DataFrame(
    {
        "model": ["slow", "fast"],
        "hardware": ["cpu", "t4"],
        "holds_to_factor": [1.2, 1.05],
        "misses": [True, True],
        "costs_same_to_factor": [1.3, 1.05],
        "dearer": [True, True],
    }
)
HARDWARE_FRAME = pd.DataFrame(
    {
        "hardware": ["cpu", "t4"],
        "difference_usd_per_hour": [0.5, np.nan],
        "cost_usd_per_hour": [2.5, np.nan],
        "status": ["optimal", "infeasible"],
    }
)
RELAX_FRAME = pd.DataFrame(
    {
        "relaxation": ["bounds", "load", "max_replicas"],
        "now": [0.1, 100.0, 4.0],
        "needed": [0.25, 40.0, np.nan],
        "limit": [1.0, 10.0, 1024.0],
        "unit": ["s", "qps", "replicas"],
        "factor": [2.5, 0.4, np.nan],
        "cost_usd_per_hour": [4.0, 3.0, np.nan],
    }
)


@pytest.fixture(scope="module")
def result() -> SimulationResult:
    scenario = make_scenario(
        {"first": {}, "_second": {"after": {"first": {"probability": 0.6, "fan_out": 2}}}},
        {"first": {1: 10, 8: 25}, "_second": {1: 8, 8: 20}},
        traffic={"gamma": {"rate_qps": 100, "scv": 4, "duration": "30s"}},
        slo={"p50": "40ms", "p99": "300ms"},
    )
    return simulate(scenario, make_plan(scenario, 2, 4))


@pytest.fixture(scope="module")
def empty(result: SimulationResult) -> SimulationResult:
    return simulate(Workload.of(result.scenario, make_trace([])), result.plan)


@pytest.fixture(scope="module")
def small() -> Workload:
    return Workload.of(
        make_scenario(
            {"a": {}, "b": {"after": ["a"]}},
            {"a": {1: 20, 4: 50}, "b": {1: 30, 8: 90}},
            traffic={"gamma": {"rate_qps": 60, "scv": 3, "duration": "10s"}},
            slo={"p99": "400ms"},
            search={"max_replicas": 8},
        )
    )


@pytest.fixture(scope="module")
def found(small: Workload) -> Study:
    return study(small, max_evaluations=60)


@pytest.fixture(scope="module")
def methods(small: Workload) -> Comparison:
    return compare(small, ["search", "greedy", "cg-mean"], max_evaluations=200)


def answer_of(found: Study) -> FeasiblePlan:
    assert isinstance(found.result, FeasiblePlan)
    return found.result


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def line(ax: Axes, label: str) -> Any:
    return next(one for one in ax.lines if one.get_label() == label)


def points(ax: Axes, label: str) -> list[list[float]]:
    return np.asarray(line(ax, label).get_xydata()).tolist()


def steps(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (drawn,) = (patch for patch in ax.patches if isinstance(patch, StepPatch) and patch.get_label() == label)
    return list(drawn.get_data()[0]), list(drawn.get_data()[1])


def bars(ax: Axes) -> list[tuple[float, float, float]]:
    """Return the middle, the beginning and the end of each horizontal bar, from top to bottom."""
    drawn = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    ends = [(one.get_y() + one.get_height() / 2, one.get_x(), one.get_x() + one.get_width()) for one in drawn]
    return sorted((round(middle, 9), begin, end) for middle, begin, end in ends)


def ink(ax: Axes, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> float:
    """Return the share of pixels that are not white, in a part of the picture (left, bottom, right, top)."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    pixels = imread(BytesIO(plot.image(figure, "png", dpi=60)))[..., :3]
    height, width = pixels.shape[:2]
    left, bottom, right, top = box
    part = pixels[round((1 - top) * height) : round((1 - bottom) * height), round(left * width) : round(right * width)]
    return float((part < 0.98).any(axis=2).mean())


def png(ax: Axes) -> bytes:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return plot.image(figure, "png", dpi=60)


def test_a_notebook_shows_a_picture_of_its_own_and_leaves_the_axes_of_others_to_them(result: SimulationResult) -> None:
    for ax in (result.plot.latency_cdf(), result.plot.pipeline()):
        figure = ax.get_figure(root=True)
        assert figure is not None
        assert ax._repr_png_() == plot.image(figure, "png")
    assert not hasattr(result.plot.latency_cdf(Figure().add_subplot()), "_repr_png_")


class TestLatency:
    def test_the_distribution_with_the_bound_and_the_quantile_of_each_objective(self, result: SimulationResult) -> None:
        ax, frame = result.plot.latency_cdf(), latency_distribution(result)
        drawn = frame[["latency_s", "share_at_most"]].to_numpy().tolist()
        assert points(ax, "all queries") == [[drawn[0][0], 0], *drawn]
        assert list(line(ax, "p99 ≤ 300 ms").get_xdata()) == [0.3, 0.3]
        assert list(line(ax, "p50 ≤ 40 ms").get_xdata()) == [0.04, 0.04]
        marks = [one.get_xydata().tolist() for one in ax.lines if one.get_marker() == "x"]
        assert marks == [[[0.04, 0.5]], [[0.3, 0.99]]]
        assert ax.get_xlim()[1] > 0.3

    def test_the_tail_with_the_corner_that_each_objective_forbids(self, result: SimulationResult) -> None:
        ax, frame = result.plot.latency_ccdf(), latency_distribution(result)
        drawn = frame[["latency_s", "share_above"]].to_numpy().tolist()
        assert points(ax, "all queries") == [[drawn[0][0], 1], *drawn]
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        p50, p99 = objectives(result)["met"]
        corner = points(ax, f"p99 ≤ 300 ms: {'met' if p99 else 'MISSED'}")
        assert corner[0][0] == corner[1][0] == 0.3
        assert corner[1][1] == corner[2][1] == pytest.approx(0.01)
        assert labels(ax)[1] == f"p50 ≤ 40 ms: {'met' if p50 else 'MISSED'}"

    def test_an_objective_that_allows_no_misses_has_its_corner_at_the_bottom(self) -> None:
        frame = pd.DataFrame({"queries": ["all"] * 2, "latency_s": [1.0, 2.0], "share_above": [0.5, 0.0]})
        slos = pd.DataFrame({"objective": ["p100 <= 3 s"], "quantile": [1.0], "bound_s": [3.0], "met": [True]})
        ax = plot.latency_ccdf(frame, slos)
        assert points(ax, "p100 ≤ 3 s: met")[1] == [3, ax.get_ylim()[0]]

    def test_quantiles_over_time_with_the_bounds(self, result: SimulationResult) -> None:
        ax, frame = result.plot.latency_over_time(interval_s=1), latency_over_time(result, 1)
        for label, column in (("p50", "p50_latency_s"), ("p99", "p99_latency_s"), ("slowest", "max_latency_s")):
            heights, edges = steps(ax, label)
            np.testing.assert_array_equal(heights, frame[column])
            assert edges == [*frame["time_s"], frame["time_s"].iloc[-1] + 1]
        assert list(line(ax, "bound: p99 ≤ 300 ms").get_ydata()) == [0.3, 0.3]
        assert ax.get_title(loc="left") == "Latency over time in intervals of 1 s"

    def test_long_latencies_have_ticks_at_round_minutes(self) -> None:
        times = pd.DataFrame(
            {"time_s": [0.0, 5.0]} | {f"{name}_latency_s": [9.0, 240.0] for name in ("p50", "p99", "max")}
        )
        ax = plot.latency_over_time(times, pd.DataFrame({"objective": ["p99 <= 1 s"], "bound_s": [1.0]}))
        ticks = [tick.get_text() for tick in ax.get_yticklabels()]
        assert ticks[:5] == ["0", "60 s", "2 min", "3 min", "4 min"]

    def test_a_summary_has_the_same_picture(self, result: SimulationResult) -> None:
        summary = summarise(result.scenario, result.plan, interval_s=1)
        ax = summary.plot.latency_over_time()
        np.testing.assert_array_equal(steps(ax, "slowest")[0], latency_over_time(result, 1)["max_latency_s"])
        assert labels(ax) == labels(result.plot.latency_over_time(interval_s=1))
        assert texts(summary.plot.cost_by_stage()) == texts(result.plot.cost_by_stage())


class TestStages:
    def test_waiting_stands_on_service_for_all_items_and_for_the_slowest(self, result: SimulationResult) -> None:
        ax, frame = result.plot.stage_times(), stage_times(result)
        rows = frame.to_dict("records")
        assert len(bars(ax)) == 2 * len(rows)
        for (service, wait), row in zip(zip(bars(ax)[::2], bars(ax)[1::2], strict=True), rows, strict=True):
            assert service[1:] == (0, row["mean_service_time_s"])
            assert wait[1] == row["mean_service_time_s"]
            assert wait[2] == pytest.approx(row["mean_service_time_s"] + row["mean_queue_delay_s"])
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["first", " _second"]
        assert labels(ax) == ["service", "waiting"]

    @pytest.mark.parametrize(
        ("name", "column"), [("queue_over_time", "max_waiting"), ("utilisation_over_time", "utilisation")]
    )
    def test_queues_and_load_over_time_for_each_stage(self, result: SimulationResult, name: str, column: str) -> None:
        ax, frame = getattr(result.plot, name)(interval_s=2), stages_over_time(result, 2)
        for stage in ("first", "_second"):
            heights, edges = steps(ax, f" {stage}" if stage.startswith("_") else stage)
            rows = frame[frame["stage"] == stage]
            assert heights == rows[column].tolist()
            assert edges == [*rows["time_s"], rows["time_s"].iloc[-1] + rows["width_s"].iloc[-1]]
        assert "in each 2 s" in ax.get_title(loc="left")
        assert labels(ax) == ["first", " _second"]

    def test_batches_of_each_stage_are_a_row_of_shares(self, result: SimulationResult) -> None:
        ax, frame = result.plot.batch_sizes(), result.batch_sizes
        drawn = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        assert [one.get_x() + one.get_width() / 2 for one in drawn] == frame["batch_size"].tolist()
        for place, stage in enumerate(("first", "_second")):
            shares = frame.loc[frame["stage"] == stage, "share_of_items"].to_numpy()
            heights = [-one.get_height() for one in drawn if abs(one.get_y() - place - 0.4) < 1e-9]
            np.testing.assert_allclose(heights, 0.62 * shares / shares.max())
        mean = result.stages["mean_batch_size"].iloc[0]
        assert texts(ax)[0].startswith(f"limit 4, mean {mean:.3g}, tallest ")

    def test_replicas_are_constant_for_a_plan_and_steps_for_what_scales(self, result: SimulationResult) -> None:
        ax, end_s = result.plot.replicas(), replicas_over_time(result)["time_s"].max()
        assert points(ax, "first") == points(ax, " _second") == [[0, 2], [end_s, 2]]
        frame = pd.DataFrame({"stage": ["a"] * 3, "time_s": [0, 60, 600], "replicas": [1, 4, 4]})
        scaling = plot.replica_timeline(frame)
        assert points(scaling, "a") == [[0, 1], [1, 4], [10, 4]]
        assert line(scaling, "a").get_drawstyle() == "steps-post"
        assert scaling.get_xlabel() == "time since the start (min)"

    def test_costs_add_up_to_the_title(self, result: SimulationResult) -> None:
        ax = result.plot.cost_by_stage()
        assert [end for _, _, end in bars(ax)] == [2, 2]
        assert texts(ax) == ["2 × cpu: $2.00, 50%"] * 2
        assert ax.get_title(loc="left") == "Cost by stage: $4.00 an hour in all"


class TestCapacity:
    def test_the_arrival_curve_and_a_service_curve_for_each_stage(self, result: SimulationResult) -> None:
        ax, frame = result.plot.capacity(), capacity_curves(result)
        for label, kind, stage in (
            ("arrivals: most in any window", "arrivals", ""),
            ("first finishes", "capacity", "first"),
            (" _second finishes", "capacity", "_second"),
        ):
            rows = frame[(frame["kind"] == kind) & (frame["stage"] == stage)]
            assert points(ax, label) == rows[["window_s", "queries"]].to_numpy().tolist()
        assert texts(ax) == [" p50 ≤ 40 ms", " p99 ≤ 300 ms"]
        assert ax.get_xlim() == (0, pytest.approx(0.9))


class TestPipeline:
    GRAPH = {
        "detect": {},
        "crop": {"after": {"detect": {"fan_out": {"poisson": 2.5}, "per": "item", "network_delay": "1ms"}}},
        "car": {"after": {"crop": {"choice": "kind", "probability": 0.5}}},
        "person": {"after": {"crop": {"choice": "kind", "probability": 0.3}}},
        "merge": {"after": ["car", "person", "detect"]},
    }

    def boxes(self, ax: Axes) -> dict[str, tuple[float, float, float, float]]:
        drawn = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
        return {
            str(one.get_label()).strip(): (
                one.get_x(),
                one.get_y(),
                one.get_x() + one.get_width(),
                one.get_y() + one.get_height(),
            )
            for one in drawn
        }

    def test_every_stage_stands_right_of_those_that_feed_it_and_no_boxes_overlap(self) -> None:
        scenario = make_scenario(self.GRAPH)
        ax = scenario.plot.pipeline()
        boxes = self.boxes(ax)
        assert set(boxes) == set(self.GRAPH)
        for edge in scenario.pipeline.edges:
            assert boxes[edge.upstream][2] < boxes[edge.downstream][0]
        some = list(boxes.values())
        for number, (left, bottom, right, top) in enumerate(some):
            for other in some[:number]:
                assert right < other[0] or other[2] < left or top < other[1] or other[3] < bottom
        (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
        assert all(x0 <= left and right <= x1 and y0 <= bottom and top <= y1 for left, bottom, right, top in some)

    def test_edges_say_what_they_pass_on_and_joins_are_marked(self) -> None:
        ax = make_scenario(self.GRAPH).plot.pipeline()
        said = texts(ax)
        for text in ("× 2.5 (Poisson)\nper item\n+ 1 ms", "kind: 50%", "kind: 30%", "join", "queries"):
            assert said.count(text) == 1, text
        arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
        assert len(arrows) == 6 + 1  # one enters the source
        assert sum(arrow.get_linestyle() == "--" for arrow in arrows) == 2
        assert len(ax.lines) == 1

    def test_a_stage_that_waits_for_nothing_is_no_join(self) -> None:
        one_by_one = {"per": "item", "fan_out": 2}
        graph = {"a": {}, "b": {"after": ["a"]}, "c": {"after": {"a": one_by_one, "b": one_by_one}}}
        ax = make_scenario(graph).plot.pipeline()
        assert "join" not in texts(ax)
        assert not ax.lines

    def test_values_of_a_choice_are_named(self) -> None:
        graph = {"a": {}, "b": {"after": {"a": {"choice": "language", "values": ["de", "$x$"]}}}}
        assert "language: de, $x$" in texts(make_scenario(graph).plot.pipeline())

    @pytest.mark.parametrize("graph", [GRAPH, {"a": {}, "b": {"after": ["a"]}, "c": {"after": ["b", "a"]}}])
    def test_an_edge_over_several_layers_passes_no_box(self, graph: dict[str, Any]) -> None:
        ax = make_scenario(graph).plot.pipeline()
        boxes = self.boxes(ax)
        for arrow in (patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)):
            corners = np.asarray(arrow.get_path().to_polygons(closed_only=False)[0])
            inside = np.concatenate([np.linspace(*ends, 50) for ends in itertools.pairwise(corners)])
            for left, bottom, right, top in boxes.values():
                within = (inside[:, 0] > left + 0.05) & (inside[:, 0] < right - 0.05)
                assert not (within & (inside[:, 1] > bottom) & (inside[:, 1] < top)).any()

    def test_a_plan_adds_hardware_rates_and_costs(self, result: SimulationResult) -> None:
        ax = result.plot.pipeline()
        said = texts(ax)
        stages = result.stages
        assert said.count("2 × cpu, batch ≤ 4") == 2
        assert said.count("$2.00/h") == 2
        assert f"{stages['items'].iloc[0] / 30:.3g} items/s, {stages['utilisation'].iloc[0]:.0%} busy" in said
        assert "60%\n× 2" in said
        assert ax.get_title(loc="left") == "Pipeline: $4.00 an hour"

    def test_texts_fit_their_boxes(self, result: SimulationResult) -> None:
        ax = result.plot.pipeline()
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
        boxes = self.boxes(ax)
        for text in ax.texts:
            (left, bottom), (right, top) = ax.transData.inverted().transform(text.get_window_extent().get_points())
            x, y = (left + right) / 2, (bottom + top) / 2
            for box in boxes.values():
                if box[0] < x < box[2] and box[1] < y < box[3]:
                    assert box[0] < left
                    assert right < box[2]
                    assert box[1] < bottom
                    assert top < box[3]


class TestAnswers:
    @pytest.mark.slow
    def test_the_front_and_the_plan_that_was_chosen(self, found: Study) -> None:
        answer = answer_of(found)
        ax, frame = answer.plot.pareto(), nearby_plans(answer)
        front = frame[frame["on_front"]][["cost_usd_per_hour", "latency_s"]].to_numpy().tolist()
        assert points(ax, "front") == front
        latency_s = (answer.simulation.slos[0].latency_ns or 0) / 1e9
        assert points(ax, "this plan") == [[float(answer.simulation.cost_usd_per_hour), latency_s]]
        for label, rows in (("meets the objectives", frame[frame["met"]]), ("misses", frame[~frame["met"]])):
            drawn = points(ax, label) if label in labels(ax) else []
            assert drawn == rows[["cost_usd_per_hour", "latency_s"]].to_numpy().tolist()
        assert list(line(ax, "bound").get_ydata()) == [0.4, 0.4]
        assert ax.get_ylabel() == "p99 latency"
        (low, high), (left, right) = ax.get_ylim(), ax.get_xlim()
        shown = frame["latency_s"].between(low, high) & frame["cost_usd_per_hour"].between(left, right)
        beyond = int((~shown).sum())
        verb = "is" if beyond == 1 else "are"
        assert texts(ax) == ([f"{beyond} more {verb} slower or dearer"] if beyond else [])

    def test_the_cheapest_plan_and_the_bound_against_the_tests(self, found: Study) -> None:
        answer = answer_of(found)
        ax, frame = answer.plot.convergence(), convergence(answer)
        for label, column in (("cheapest plan", "best"), ("bound: no plan costs less", "bound")):
            drawn = np.asarray(line(ax, label).get_xydata())
            np.testing.assert_array_equal(drawn, frame[["evaluations", f"{column}_usd_per_hour"]].to_numpy())
            assert line(ax, label).get_drawstyle() == "steps-post"

    def test_the_title_says_the_gap(self) -> None:
        frame = pd.DataFrame({"evaluations": [0, 9], "best_usd_per_hour": [np.nan, 4], "bound_usd_per_hour": [2, 3]})
        assert plot.convergence(frame).get_title(loc="left") == "Search: 25.0% between plan and bound"
        met = frame.assign(bound_usd_per_hour=[2, 4])
        assert plot.convergence(met).get_title(loc="left") == "Search: plan and bound meet"
        unknown = frame.assign(best_usd_per_hour=np.nan, bound_usd_per_hour=np.nan)
        assert texts(plot.convergence(unknown)) == ["no plan and no bound"]

    def test_methods_side_by_side(self, methods: Comparison) -> None:
        ax, frame = methods.plot.costs(), methods.frame()
        assert [end for _, _, end in bars(ax)] == frame["cost_usd_per_hour"].dropna().tolist()
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["search", "greedy", "cg-mean"]
        assert all(f"({status})" in text for status, text in zip(frame["status"], texts(ax), strict=True))
        missed = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
        assert len(missed) == (frame["status"] == "missed").sum()

    def test_a_method_without_a_plan_is_named_all_the_same(self) -> None:
        frame = pd.DataFrame(
            {"status": ["none found", "feasible"], "cost_usd_per_hour": [np.nan, 2], "over_best": [np.nan, 0]},
            index=["greedy", "search"],
        )
        assert texts(plot.method_costs(frame)) == ["none found", "$2.00 (feasible)"]

    def test_methods_by_cost_and_latency(self, methods: Comparison) -> None:
        ax, frame = methods.plot.latencies(), method_latencies(methods)
        drawn = [
            one for label in ("meets the objectives", "misses") if label in labels(ax) for one in points(ax, label)
        ]
        assert sorted(drawn) == sorted(frame[["cost_usd_per_hour", "over_bound"]].to_numpy().tolist())
        named = sorted(name for text in texts(ax) for name in text.split(", "))
        assert named == sorted(frame.index)


class TestStudies:
    def test_costs_against_bounds_with_what_is_not_certain(self) -> None:
        ax = plot.slo_staircase(SLO_FRAME)
        assert points(ax, "cheapest plan") == [[0.16, 4], [0.2, 3], [0.4, 1]]
        assert points(ax, "proved") == [[0.16, 4], [0.4, 1]]
        assert points(ax, "may be cheaper") == [[0.2, 3]]
        assert list(line(ax, "today").get_xdata()) == [0.2, 0.2]
        (none,) = (patch for patch in ax.patches if patch.get_label() == "no plan is feasible")
        assert isinstance(none, Rectangle)
        assert (none.get_x(), none.get_x() + none.get_width()) == (0.1, 0.16)
        assert "the least cost is in here" in labels(ax)
        assert texts(plot.slo_staircase(SLO_FRAME.head(1))) == ["no plan was found at any bound"]

    def test_costs_against_the_load(self) -> None:
        ax = plot.load_staircase(LOAD_FRAME)
        assert points(ax, "cheapest plan") == [[50, 2], [100, 3]]
        assert texts(ax) == ["$11.1", "$8.33"]
        (band,) = ax.collections
        assert [segment.tolist() for segment in band.get_segments()] == [[[100, 2], [100, 3]]]  # type: ignore[attr-defined]
        assert any(list(one.get_xdata()) == [200, 200] for one in ax.lines)

    def test_prices_from_the_narrowest_range(self) -> None:
        ax = plot.price_tornado(PRICE_FRAME)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["t4", "cpu"]
        falls, rises = bars(ax)[:2]
        assert sorted([falls[1], falls[2], rises[1], rises[2]]) == [0.5, 1, 1, 1.5]
        assert texts(ax) == ["×0.5", "×1.5", "beyond ×0.1", "never"]
        edges = [end for bar in bars(ax)[2:] for end in bar[1:] if end != 1]
        assert sorted(edges) == [pytest.approx(ax.get_xlim()[0]), pytest.approx(ax.get_xlim()[1])]

    def test_slowdowns_from_the_least(self) -> None:
        ax = plot.slowdown_tornado(PROFILE_FRAME)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["fast on t4", "slow on cpu"]
        assert [end for _, _, end in bars(ax)] == pytest.approx([0.05, 0.05, 0.2, 0.3])
        assert texts(ax) == ["+5%", "+20%, +30%"]
        open_ended = PROFILE_FRAME.assign(misses=[True, False], dearer=False)
        assert texts(plot.slowdown_tornado(open_ended)) == ["+5% or more", "+20%, +30% or more"]

    def test_hardware_without_which_there_is_no_plan_comes_first(self) -> None:
        ax = plot.hardware_differences(HARDWARE_FRAME)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["t4", "cpu"]
        assert texts(ax) == ["no plan without it", "+$0.50 an hour: $2.50"]
        assert bars(ax)[1][1:] == (0, 0.5)

    def test_relaxations_as_factors(self) -> None:
        ax = plot.relaxations(RELAX_FRAME)
        assert texts(ax) == [
            "100 ms → 250 ms: $4.00 an hour",
            "100 qps → 40 qps: $3.00 an hour",
            "not even 1,024 replicas",
        ]
        assert [sorted(bar[1:]) for bar in bars(ax)] == [[1, 2.5], [0.4, 1], [1, 256]]
        assert ax.get_xscale() == "log"

    @pytest.mark.parametrize("topic", OF_A_PLAN)
    def test_every_topic_of_a_study_has_its_picture(self, found: Study, topic: str) -> None:
        assert ink(getattr(found.plot, topic)()) > 0.01

    def test_a_study_without_a_plan_has_the_relaxations(self) -> None:
        scenario = make_scenario({"a": {}}, slo={"p99": "5ms"})
        found = study(Workload.of(scenario), ["relax", "slo"], max_evaluations=40)
        assert [tick.get_text() for tick in found.plot.relax().get_yticklabels()] == ["bounds", "load", "max_replicas"]
        assert ink(found.plot.slo()) > 0.001


class TestProfiles:
    def test_curves_with_marks_where_it_was_measured(self) -> None:
        profiles = make_scenario({"a": {}}, {"a": {1: 10, 4: 20}}).profiles
        frame = profile_curves(profiles, "a")
        latency, throughput = profiles.plot.latency("a"), profiles.plot.throughput("a")
        assert points(latency, "cpu") == frame[["batch_size", "latency_s"]].to_numpy().tolist()
        assert points(throughput, "cpu") == frame[["batch_size", "items_per_s"]].to_numpy().tolist()
        assert line(latency, "cpu").get_markevery() == [0, 3]
        assert (latency.get_ylabel(), throughput.get_ylabel()) == ("latency of a batch", "items per second")
        assert latency.get_title(loc="left").startswith("a: latency")


def drawings(found: Study, methods: Comparison, result: SimulationResult) -> dict[str, Callable[[Axes | None], Axes]]:
    """Return every picture, as a function of the axes to draw in."""
    answer, profiles = answer_of(found), result.scenario.profiles
    return {
        **{name: getattr(result.plot, name) for name in OF_A_SIMULATION},
        **{name: getattr(found.plot, name) for name in OF_A_PLAN},
        "costs": methods.plot.costs,
        "latencies": methods.plot.latencies,
        "pareto": answer.plot.pareto,
        "convergence": answer.plot.convergence,
        "relax": lambda ax: plot.relaxations(RELAX_FRAME, ax),
        "scenario": result.scenario.plot.pipeline,
        "profile latency": lambda ax: profiles.plot.latency("first", ax),
        "profile throughput": lambda ax: profiles.plot.throughput("first", ax),
        "trace": result.traffic.plot.rate,
    }


NAMES = (
    *OF_A_SIMULATION, *OF_A_PLAN, "costs", "latencies", "pareto", "convergence", "relax", "scenario",
    "profile latency", "profile throughput", "trace",
)  # fmt: skip


class TestAllPictures:
    @pytest.mark.parametrize("name", NAMES)
    def test_it_is_drawn_in_the_axes_given_with_title_and_labels(
        self, found: Study, methods: Comparison, result: SimulationResult, name: str
    ) -> None:
        draw = drawings(found, methods, result)[name]
        ax = Figure(figsize=(6, 4), layout="constrained").add_subplot()
        assert draw(ax) is ax
        assert ax.get_title(loc="left")
        if name not in ("pipeline", "scenario"):
            assert ax.get_xlabel()
        assert ink(ax, (0.15, 0.15, 0.95, 0.85)) > 0.01

    @pytest.mark.slow
    @pytest.mark.parametrize("name", NAMES)
    def test_the_same_picture_is_the_same_bytes(
        self, found: Study, methods: Comparison, result: SimulationResult, name: str
    ) -> None:
        draw = drawings(found, methods, result)[name]
        one, other = png(draw(None)), png(draw(None))
        assert one == other
        assert one.startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", NAMES)
    def test_nothing_is_cut_off(self, found: Study, methods: Comparison, result: SimulationResult, name: str) -> None:
        ax = drawings(found, methods, result)[name](None)
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
        whole = figure.bbox
        ticks = [
            tick.label1
            for axis in ((ax.xaxis, ax.yaxis) if ax.axison else ())
            for tick in axis.get_major_ticks()
            if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        ]
        legend = ax.get_legend()
        others = [] if legend is None else [*legend.get_texts()]
        for text in [ax.xaxis.label, ax.yaxis.label, *ax.texts, *ticks, *others]:
            box = text.get_window_extent()
            if text.get_text() and text.get_visible():
                assert box.x0 >= whole.x0 - 1, text
                assert box.x1 <= whole.x1 + 1, text
                assert box.y0 >= whole.y0 - 1, text
                assert box.y1 <= whole.y1 + 1, text

    @pytest.mark.parametrize("name", NAMES[:-1])
    def test_in_grey_no_two_lines_look_alike(
        self, found: Study, methods: Comparison, result: SimulationResult, name: str
    ) -> None:
        ax = drawings(found, methods, result)[name](None)
        shown = set(labels(ax))
        looks: list[tuple[object, ...]] = [
            (vars(one)["_unscaled_dash_pattern"], one.get_marker(), one.get_drawstyle())  # get_linestyle() tells less
            for one in ax.lines
            if one.get_label() in shown
        ]
        looks += [(str(patch.get_linestyle()),) for patch in ax.patches
                  if isinstance(patch, StepPatch) and patch.get_label() in shown]  # fmt: skip
        assert len(looks) == len(set(looks))

    @pytest.mark.parametrize("name", OF_A_SIMULATION)
    def test_a_run_without_queries_is_drawn_too(self, empty: SimulationResult, name: str) -> None:
        assert ink(getattr(empty.plot, name)()) > 0.003

    @pytest.mark.parametrize("name", OF_A_SIMULATION)
    @pytest.mark.parametrize("times", [[0], [0, 0], [0, 1e-6], [0, 1e7]])
    def test_tiny_and_long_runs_are_drawn_too(self, name: str, times: list[float]) -> None:
        scenario = make_scenario({"a": {}, "b": {"after": ["a"]}})
        result = simulate(Workload.of(scenario, make_trace(times)), make_plan(scenario))
        assert ink(getattr(result.plot, name)()) > 0.003

    @pytest.mark.parametrize("name", OF_A_TRACE)
    def test_a_trace_has_its_pictures(self, name: str) -> None:
        trace = gamma(40, 4, duration_s=60, seed=1)
        frame: dict[str, Callable[[], Axes]] = {
            "rate": trace.plot.rate, "gaps": trace.plot.gaps, "dispersion": trace.plot.dispersion,
            "envelope": trace.plot.envelope, "autocorrelation": trace.plot.autocorrelation,
        }  # fmt: skip
        assert ink(frame[name](), (0.2, 0.2, 0.9, 0.8)) > 0.01

    def test_many_stages_have_styles_and_a_legend_that_fits(self) -> None:
        names = [f"stage-number-{number}" for number in range(30)]
        scenario = make_scenario({name: {} for name in names})
        result = simulate(Workload.of(scenario, make_trace([0, 5])), make_plan(scenario))
        ax = result.plot.utilisation_over_time()
        assert labels(ax) == names
        patches = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
        assert len({(patch.get_edgecolor(), str(patch.get_linestyle())) for patch in patches}) == 30
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()
        legend = ax.get_legend()
        assert legend is not None
        assert legend.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.slow
def test_pictures_leave_pyplot_alone_and_results_load_them_late() -> None:
    code = (
        "import sys, pipesim.engine, pipesim.planner, pipesim.model, pipesim.traces\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from pipesim.traces import poisson\n"
        "poisson(10, duration_s=5, seed=1).plot.rate()\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_graph_of_a_scenario_is_drawn_from_its_frames() -> None:
    pipeline = make_scenario({"a": {}, "b": {"after": ["a"]}}).pipeline
    ax = plot.pipeline_graph(stages_frame(pipeline), edges_frame(pipeline))
    assert {"a", "b"} <= set(texts(ax))


class TestGallery:
    PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")

    def test_it_shows_every_picture_that_there_is_and_none_is_large(self) -> None:
        shown = re.findall(r"\]\(gallery/(.*)\)", self.PAGE)
        files = {path.name: path.stat().st_size for path in (DOCS / "gallery").iterdir()}
        assert sorted(shown) == sorted(files)
        assert max(files.values()) < 60_000

    def test_every_picture_that_results_have_is_in_it(self) -> None:
        owners: dict[str, type] = {
            "result": SimulationPictures, "scenario": ScenarioPictures, "scenario.profiles": ProfilePictures,
            "trace": TracePictures, "answer": PlanPictures, "comparison": ComparisonPictures, "found": StudyPictures,
        }  # fmt: skip
        shown = set(re.findall(r"^`([a-z.]+)\.plot\.([a-z_]+)\(", self.PAGE, re.MULTILINE))
        there = {
            (name, method)
            for name, owner in owners.items()
            for method in vars(owner) | vars(owner.__base__)
            if not method.startswith("_") and callable(getattr(owner, method))
        }
        assert shown == there
