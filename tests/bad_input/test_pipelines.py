"""Fields of a scenario: the graph, its edges and stages."""

import pytest

from bad_input.answers import TOKENS, Run, assert_refused, case, drawn, edge, edges, scenario, second, write


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        case(
            "a cycle",
            {
                "pipeline": "pipeline:\n  first: {model: alpha, after: [second]}\n"
                "  second: {model: beta, after: [first]}"
            },
            "s.yaml",
            "first -> second -> first",
            "cycle",
        ),
        case("a self loop", second("after: [second]"), "second -> second", "cycle"),
        case(
            "an unknown upstream stage", second("after: [nope]"), "s.yaml:6", "second.after", "'nope'", "first, second"
        ),
        case("an upstream stage twice", second("after: [first, first]"), "s.yaml:6", "second.after", "twice"),
        case("a stage that no query reaches", edge("probability: 0"), "s.yaml:6", "second.after", "unreachable"),
        case("a stage behind no items", edge("fan_out: 0"), "s.yaml:6", "second.after", "unreachable"),
        case("after is text", second("after: first"), "s.yaml:6", "second.after", "'first'", "list"),
        case("no stages", {"pipeline": "pipeline: {}"}, "s.yaml:4", "pipeline", "empty"),
        case(
            "65 stages",
            {"pipeline": "pipeline:\n" + "\n".join(f"  s{i}: {{model: alpha}}" for i in range(65))},
            "s.yaml:4",
            "pipeline",
            "64",
        ),
        case("stages as a list", {"pipeline": "pipeline: [alpha]"}, "s.yaml:4", "pipeline", "['alpha']", "mapping"),
        case(
            "a stage is text",
            {"pipeline": "pipeline:\n  first: alpha"},
            "s.yaml:5",
            "pipeline.first",
            "'alpha'",
            "mapping",
        ),
        case("probability above 1", edge("probability: 1.5"), "s.yaml:6", "first.probability", "1.5", "1"),
        case("fan-out of one and a half", edge("fan_out: 1.5"), "first.fan_out", "1.5", "integer"),
        case("negative fan-out", edge("fan_out: -1"), "first.fan_out", "-1", "0"),
        case("fan-out of 1,001", edge("fan_out: 1001"), "first.fan_out", "1001", "1000"),
        case("fan-out weights", edge("fan_out: {weights: {1: 0.5, 2: 0.4}}"), "fan_out.weights", "0.9", "add up to 1"),
        case(
            "fan-out weights of a fraction", edge("fan_out: {weights: {1.5: 1}}"), "fan_out.weights", "1.5", "integer"
        ),
        case("fan-out of unknown form", edge("fan_out: {wieghts: {1: 1}}"), "fan_out.wieghts", "did you mean weights?"),
        case("poisson fan-out too large", edge("fan_out: {poisson: 1e9}"), "fan_out.poisson", "1000000000.0", "100"),
        case(
            "too many items",
            {
                "pipeline": "pipeline:\n  s0: {model: alpha}\n"
                + "\n".join(
                    f"  s{i}: {{model: alpha, after: {{s{i - 1}: {{fan_out: 1000, per: item}}}}}}" for i in range(1, 5)
                )
            },
            "items are too many",
            "use at most",
        ),
        case("per items", edge("per: items"), "first.per", "'items'", "'query' or 'item'"),
        case("network delay without a unit", edge("network_delay: 5"), "first.network_delay", "5", "5ms"),
        case("edge is a number", second("after: {first: 0.5}"), "s.yaml:6", "after.first", "0.5", "mapping"),
        case("values without choice", edge("values: [a]"), "first.values", "['a']", "choice"),
        case(
            "values and probability",
            edge("choice: kind, values: [a], probability: 0.5"),
            "first.probability",
            "0.5",
            "values",
        ),
        case(
            "choice of an attribute that nothing carries",
            edge("choice: kind, values: [a]"),
            "first.choice",
            "'kind'",
            "traffic carries none",
        ),
        case(
            "choice sum above 1",
            edges("choice: c, probability: 0.7", "choice: c, probability: 0.7"),
            "s.yaml",
            "choice c",
            "1.4",
            "at most 1",
        ),
        case(
            "choice mixes values and probability",
            edges("choice: c, probability: 0.7", "choice: c, values: [a]"),
            "choice c",
            "first->second",
            "values",
        ),
        case(
            "choice values overlap",
            edges("choice: c, values: [a]", "choice: c, values: [a, b]"),
            "choice c",
            "'a'",
            "twice",
        ),
        case(
            "choice without probability",
            edges("choice: c, probability: 0.7", "choice: c"),
            "choice c",
            "first->third",
            "probability",
        ),
        case(
            "choice per query and per item",
            edges("choice: c, probability: 0.7", "choice: c, probability: 0.1, per: item"),
            "choice c",
            "per",
        ),
        case("unknown dispatch", second("dispatch: fastest"), "second.dispatch", "'fastest'", "round_robin"),
        case(
            "unknown batching", second("batching: {policy: lazy}"), "batching.policy", "'lazy'", "'greedy' or 'window'"
        ),
        case(
            "negative overhead", second("batch_overhead: -1ms"), "second.batch_overhead", "'-1ms'", "number with a unit"
        ),
        case(
            "size of an attribute that nothing carries",
            second(TOKENS),
            "second.size.attribute",
            "'tokens'",
            "traffic carries none",
        ),
        case(
            "size that is text",
            second(TOKENS, **drawn("tokens: {weights: {a: 1}}")),
            "second.size.attribute",
            "'tokens'",
            "text",
            "numbers",
        ),
        case(
            "size with reference 0",
            second("size: {attribute: tokens, reference: 0}"),
            "size.reference",
            "0",
            "greater than 0",
        ),
        case(
            "size that makes a service longer than the clock",
            second("size: {attribute: tokens, reference: 1e-12}", **drawn("tokens: {gamma: {mean: 1e12}}")),
            "second",
        ),
        case(
            "size over a reference near 0",
            second("size: {attribute: tokens, reference: 1e-300}", **drawn("tokens: {gamma: {mean: 1e12}}")),
            "second",
        ),
        case(
            "overhead that makes a run longer than the clock",
            second(
                "batch_overhead: 399d",
                slo="slo: {p99: 400d}",
                rest="search: {max_replicas: 1}",
                traffic="traffic: {poisson: {rate_qps: 20, queries: 1000}}",
            ),
            "second",
        ),
        case(
            "attribute weights", drawn("class: {weights: {a: 0.5}}"), "attributes.class.weights", "0.5", "add up to 1"
        ),
        case(
            "attribute with a negative mean",
            drawn("tokens: {gamma: {mean: -5}}"),
            "tokens.gamma.mean",
            "-5",
            "greater than 0",
        ),
        case("attribute of no law", drawn("tokens: {}"), "attributes.tokens", "gamma, lognormal, quantiles, weights"),
    ],
)
def test_a_bad_pipeline_is_refused_with_its_place(run: Run, sections: dict[str, str], words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(**sections))
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml", words=words)
