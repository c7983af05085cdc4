"""Routes: what the draws give, before an engine runs."""

import numpy as np
import pytest

from build import make_scenario, make_trace
from pipesim.engine.routing import draw_routes
from pipesim.errors import InvalidInputError
from pipesim.model import Pipeline
from pipesim.streams import Streams
from pipesim.traces import ArrivalTrace, poisson


def pipeline_of(stages: dict[str, object]) -> Pipeline:
    return make_scenario({name: dict(options) for name, options in stages.items()}).pipeline  # type: ignore[call-overload]


def trace_of(queries: int) -> ArrivalTrace:
    return poisson(100, queries=queries, seed=9)


def test_an_edge_passes_on_the_share_of_queries_that_its_probability_says() -> None:
    routes = draw_routes(
        pipeline_of({"a": {}, "b": {"after": {"a": {"probability": 0.3}}}}), trace_of(100_000), Streams(1)
    )
    assert routes.scale_factors()["b"] == pytest.approx(0.3, abs=3 * (0.21 / 1e5) ** 0.5)


def test_edges_of_a_choice_exclude_each_other_and_shares_that_add_up_to_1_leave_none_out() -> None:
    stages = {
        "a": {},
        "b": {"after": {"a": {"choice": "way", "probability": 0.3}}},
        "c": {"after": {"a": {"choice": "way", "probability": 0.6}}},
        "d": {"after": {"a": {"choice": "way", "probability": 0.1}}},
    }
    routes = draw_routes(pipeline_of(stages), trace_of(10_000), Streams(1))
    assert (sum(stage.items for stage in routes.stages[1:]) == 1).all()  # type: ignore[union-attr, attr-defined]


def test_shares_of_a_choice_below_1_leave_some_out() -> None:
    stages = {
        "a": {},
        "b": {"after": {"a": {"choice": "way", "probability": 0.3}}},
        "c": {"after": {"a": {"choice": "way", "probability": 0.2}}},
    }
    routes = draw_routes(pipeline_of(stages), trace_of(10_000), Streams(1))
    visits = routes.stages[1].items + routes.stages[2].items
    assert visits.max() == 1
    assert visits.mean() == pytest.approx(0.5, abs=3 * (0.25 / 1e4) ** 0.5)


@pytest.mark.parametrize(
    ("fan_out", "mean", "variance"),
    [(3, 3, 0), ({"poisson": 2.58}, 2.58, 2.58), ({"weights": {0: 0.5, 4: 0.5}}, 2, 4)],
)
def test_fan_outs_have_their_means(fan_out: object, mean: float, variance: float) -> None:
    stages = {"a": {}, "b": {"after": {"a": {"fan_out": fan_out}}}}
    routes = draw_routes(pipeline_of(stages), trace_of(50_000), Streams(1))
    assert routes.stages[1].items.mean() == pytest.approx(mean, abs=3 * (variance / 5e4) ** 0.5 + 1e-12)


def test_draws_belong_to_a_stage_or_edge_by_name_whatever_else_the_pipeline_holds() -> None:
    small = {"a": {}, "b": {"after": {"a": {"probability": 0.5}}}}
    large = {"z": {}, "a": {}, "y": {"after": {"a": {"probability": 0.5}}}, "b": {"after": {"a": {"probability": 0.5}}}}
    trace = trace_of(1000)
    one, other = draw_routes(pipeline_of(small), trace, Streams(1)), draw_routes(pipeline_of(large), trace, Streams(1))
    assert np.array_equal(one.stages[1].items, other.stages[other.names.index("b")].items)


def test_the_first_queries_of_a_longer_trace_take_the_same_routes() -> None:
    stages = {
        "a": {},
        "b": {"after": {"a": {"fan_out": {"poisson": 2}}}},
        "c": {"after": {"b": {"per": "item", "probability": 0.4}}},
    }
    short, long = (
        draw_routes(pipeline_of(stages), trace_of(100), Streams(1)),
        draw_routes(pipeline_of(stages), trace_of(1000), Streams(1)),
    )
    for one, other in zip(short.stages, long.stages, strict=True):
        assert np.array_equal(one.items, other.items[:100])


def test_a_choice_by_an_attribute_that_the_trace_lacks_is_refused() -> None:
    pipeline = pipeline_of({"a": {}, "b": {"after": {"a": {"choice": "lang", "values": ["fr"]}}}})
    with pytest.raises(InvalidInputError, match="'lang' is not an attribute"):
        draw_routes(pipeline, make_trace([0]), Streams(1))


def test_numbers_and_text_are_compared_as_what_the_trace_holds() -> None:
    pipeline = pipeline_of({"a": {}, "b": {"after": {"a": {"choice": "size", "values": [1, 3]}}}})
    for values in (np.array([1.0, 2.0, 3.0]), np.array(["1", "2", "3"])):
        routes = draw_routes(pipeline, make_trace([0, 0, 0], size=values), Streams(1))
        assert routes.stages[1].items.tolist() == [1, 0, 1]


def test_too_many_items_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipesim.engine.routing.MAX_ITEMS", 1000)
    pipeline = pipeline_of({"a": {}, "b": {"after": {"a": {"fan_out": 100}}}})
    assert draw_routes(pipeline, trace_of(9), Streams(1)).scale_factors()["b"] == 100
    with pytest.raises(InvalidInputError, match="1010 items are too many at stage b"):
        draw_routes(pipeline, trace_of(10), Streams(1))
