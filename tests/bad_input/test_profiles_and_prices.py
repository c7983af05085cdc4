"""Search, profiles and prices, in the scenario and in files of their own."""

import pytest

from bad_input.answers import (
    PRICE_HEADER,
    PROFILE_HEADER,
    SECTIONS,
    Run,
    assert_refused,
    batch,
    case,
    classes,
    latency,
    price_rows,
    profile_rows,
    scenario,
    search,
    unit,
    write,
)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        case(
            "unknown model",
            {"pipeline": "pipeline:\n  first: {model: alhpa}"},
            "s.yaml:5",
            "first.model",
            "'alhpa'",
            "no profile",
            "alpha, beta",
        ),
        case(
            "a model without priced hardware",
            {"prices": "prices: {units: {tpu: {kind: tpu, unit: chip, price_usd_per_hour: 1}}}"},
            "s.yaml:5",
            "first.model",
            "'alpha'",
            "cpu",
            "price",
            "tpu",
        ),
        case(
            "unknown hardware in search",
            search("hardware: [h100]"),
            "s.yaml:14",
            "search.hardware",
            "'h100'",
            "cpu, gpu",
        ),
        case(
            "unknown hardware for a stage",
            search("stages: {first: {hardware: [h100]}}"),
            "search.stages.first.hardware",
            "'h100'",
            "cpu, gpu",
        ),
        case(
            "hardware that a stage's model does not know",
            search("stages: {first: {hardware: [gpu]}}"),
            "search.stages.first",
            "'alpha'",
            "leaves out cpu",
        ),
        case("hardware is text", search("hardware: cpu"), "search.hardware", "'cpu'", "list"),
        case("unknown stage in search", search("stages: {nope: {}}"), "search.stages.nope", "'nope'", "first, second"),
        case(
            "min above max replicas",
            search("stages: {first: {min_replicas: 5, max_replicas: 2}}"),
            "first.min_replicas",
            "5",
            "max_replicas",
        ),
        case(
            "min above the max of all stages",
            search("max_replicas: 4, stages: {first: {min_replicas: 5}}"),
            "first.min_replicas",
            "5",
            "max_replicas",
        ),
        case(
            "min above the max of a stage",
            search("min_replicas: 3, stages: {first: {max_replicas: 2}}"),
            "s.yaml:14",
            "first.max_replicas",
            "2",
            "min_replicas, 3",
        ),
        case(
            "min above max of all stages",
            search("min_replicas: 3, max_replicas: 2"),
            "s.yaml:14",
            "search.min_replicas",
            "3",
            "max_replicas, 2",
        ),
        case("no replicas at least", search("min_replicas: 0"), "search.min_replicas", "0", "1"),
        case(
            "unknown hardware to leave out",
            search("exclude: [cpu, h100]"),
            "s.yaml:14",
            "search.exclude",
            "'h100'",
            "cpu, gpu",
        ),
        case(
            "unknown hardware to leave out of a stage",
            search("stages: {first: {exclude: [h100]}}"),
            "search.stages.first.exclude",
            "'h100'",
            "cpu, gpu",
        ),
        case(
            "all hardware left out",
            search("exclude: [gpu]"),
            "search.stages.second",
            "'beta'",
            "leaves out gpu",
            "widen the search",
        ),
        case("nothing to leave out", search("exclude: []"), "search.exclude", "empty"),
        case("exclude is text", search("exclude: cpu"), "search.exclude", "'cpu'", "list"),
        case(
            "a quota of an unknown unit",
            search("quota: {gpus: 1}"),
            "s.yaml:14",
            "search.quota.gpus",
            "'gpus'",
            "not a unit",
            "did you mean gpu?",
        ),
        case("a quota of nothing near", search("quota: {h100: 1}"), "search.quota.h100", "use one of cpu, gpu"),
        case("a negative quota", search("quota: {gpu: -1}"), "search.quota.gpu", "-1", "0"),
        case("half a unit", search("quota: {gpu: 1.5}"), "search.quota.gpu", "1.5", "integer"),
        case("a quota of nan", search("quota: {gpu: .nan}"), "search.quota.gpu", "nan"),
        case("a huge quota", search("quota: {gpu: 10000000000}"), "search.quota.gpu", "10000000000", "1000000000"),
        case("a quota as a list", search("quota: [gpu]"), "search.quota", "['gpu']", "mapping"),
        case(
            "a quota that a stage needs more than",
            search("quota: {gpu: 1}, min_replicas: 2"),
            "search.stages.second",
            "'beta'",
            "2 replicas on gpu",
            "2 gpu of a quota of 1",
        ),
        case("a ceiling of 0", search("max_cost_usd_per_hour: 0"), "search.max_cost_usd_per_hour", "0", "greater than"),
        case("a negative ceiling", search("max_cost_usd_per_hour: -1"), "search.max_cost_usd_per_hour", "-1"),
        case(
            "a ceiling of nan", search("max_cost_usd_per_hour: .nan"), "search.max_cost_usd_per_hour", "nan", "finite"
        ),
        case(
            "a ceiling of inf", search("max_cost_usd_per_hour: .inf"), "search.max_cost_usd_per_hour", "inf", "finite"
        ),
        case("a ceiling too high", search("max_cost_usd_per_hour: 1e9"), "max_cost_usd_per_hour", "1000000"),
        case("a ceiling in words", search("max_cost_usd_per_hour: $5"), "max_cost_usd_per_hour", "'$5'", "number"),
        case("10**9 replicas", search("max_replicas: 1000000000"), "search.max_replicas", "1000000000", "100000"),
        case(
            "only batch sizes that were not measured",
            search("stages: {first: {batch_sizes: [64]}}"),
            "search.stages.first",
            "batch",
        ),
        case(
            "one batch size that was not measured",
            search("stages: {first: {batch_sizes: [1, 64]}}"),
            "first.batch_sizes",
            "64",
            "4",
        ),
        case(
            "latency without a unit",
            {"profiles": "profiles: {alpha: {cpu: {1: 5}}}"},
            "s.yaml:7",
            "profiles.alpha.cpu.1",
            "5",
            "5ms",
        ),
        case("latency of nothing", {"profiles": "profiles: {alpha: {cpu: {1: 0ms}}}"}, "profiles.alpha.cpu.1", "0ms"),
        case(
            "batch 0 in a profile", {"profiles": "profiles: {alpha: {cpu: {0: 5ms}}}"}, "profiles.alpha.cpu.0", "0", "1"
        ),
        case(
            "batch 1.5 in a profile",
            {"profiles": "profiles: {alpha: {cpu: {1.5: 5ms}}}"},
            "profiles.alpha.cpu",
            "1.5",
            "integer",
        ),
        case("no profiles", {"profiles": "profiles: {}"}, "s.yaml:7", "profiles", "empty"),
        case("a curve without points", {"profiles": "profiles: {alpha: {cpu: {}}}"}, "profiles.alpha.cpu", "empty"),
        case("negative price", unit("price_usd_per_hour: -1"), "s.yaml:10", "units.cpu.price_usd_per_hour", "-1", "0"),
        case("price nan", unit("price_usd_per_hour: .nan"), "price_usd_per_hour: nan", "finite"),
        case("price too high", unit("price_usd_per_hour: 1e9"), "price_usd_per_hour", "1000000000.0", "1000000"),
        case("price with a sign", unit("price_usd_per_hour: $1"), "price_usd_per_hour", "'$1'", "number"),
        case(
            "unknown kind",
            {"prices": "prices: {units: {cpu: {kind: npu, unit: core, price_usd_per_hour: 1}}}"},
            "units.cpu.kind",
            "'npu'",
            "'gpu'",
        ),
        case(
            "a negative price of a class",
            unit("price_usd_per_hour: 1, prices: {spot: -1}"),
            "units.cpu.prices.spot",
            "-1",
            "0",
        ),
        case("a class without a price", unit("price_usd_per_hour: 1, prices: {spot: null}"), "cpu.prices.spot", "null"),
        case("a class with a bad name", unit("price_usd_per_hour: 1, prices: {a b: 1}"), "'a b'", "letters, digits"),
        case(
            "prices of a unit as a number", unit("price_usd_per_hour: 1, prices: 1"), "units.cpu.prices", "1", "mapping"
        ),
        case(
            "a price class that no unit has",
            {"rest": "price_class: sopt"} | classes("spot: 0.1, reserved-1y: 0.2"),
            "s.yaml:11",
            "price_class",
            "'sopt'",
            "no unit has",
            "did you mean spot?",
            "reserved-1y, spot",
        ),
        case(
            "a price class nothing like those there are",
            {"rest": "price_class: zzz"} | classes("spot: 0.1, reserved-1y: 0.2"),
            "price_class",
            "'zzz'",
            "use one of reserved-1y, spot",
            "on demand",
        ),
        case("a price class where there are none", {"rest": "price_class: spot"}, "s.yaml:14", "'spot'", "remove it"),
        case("a price class with a space", {"rest": "price_class: a b"}, "s.yaml:14", "price_class", "letters, digits"),
        case("a price class that is a number", {"rest": "price_class: 1"}, "price_class", "1", "quote it"),
        case("memory of 0", unit("price_usd_per_hour: 1, memory_gb: 0"), "units.cpu.memory_gb", "0", "greater than 0"),
        case(
            "unknown unit in a bundle",
            unit("price_usd_per_hour: 1", ", bundles: {a: {nope: 1}}"),
            "bundles.a",
            "'nope'",
            "cpu",
        ),
        case("an empty bundle", unit("price_usd_per_hour: 1", ", bundles: {a: {}}"), "bundles.a", "empty"),
        case("no units", {"prices": "prices: {units: {}}"}, "prices.units", "empty"),
        case("prices as a list", {"prices": "prices: []"}, "s.yaml:10", "prices", "mapping"),
    ],
)
def test_what_a_plan_may_choose_is_checked(run: Run, sections: dict[str, str], words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(**sections))
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml", words=words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case(
            "missing column", profile_rows("alpha,cpu,1", header="model,hardware,batch_size"), "f.csv:1", "latency_ms"
        ),
        case(
            "duplicate row", profile_rows("alpha,cpu,1,5", "alpha,cpu,1,6"), "f.csv:3", "1", "alpha on cpu", "one row"
        ),
        case("latency 0", latency("0"), "f.csv:2", "latency_ms", "0", "greater than 0"),
        case("latency negative", latency("-1"), "f.csv:2", "latency_ms", "-1", "greater than 0"),
        case("latency nan", latency("nan"), "f.csv:2", "latency_ms", "'nan'", "finite"),
        case("latency too long", latency("1e11"), "f.csv:2", "latency_ms", "100000000000.0", "34560000000"),
        case("latency with a unit", latency("5ms"), "f.csv:2", "latency_ms", "'5ms'", "number"),
        case("latency empty", latency(""), "f.csv:2", "latency_ms", "missing"),
        case("latency 1_0", latency("1_0"), "f.csv:2", "latency_ms", "'1_0'", "number"),
        case("latency in other digits", latency("٣"), "f.csv:2", "latency_ms", "number"),
        case("batch 0", batch("0"), "f.csv:2", "batch_size", "0", "1"),
        case("batch 1.5", batch("1.5"), "f.csv:2", "batch_size", "1.5", "integer"),
        case("batch 1e9", batch("1e9"), "f.csv:2", "batch_size", "1000000000", "65536"),
        case("a row too short", profile_rows("alpha,cpu,1"), "f.csv:2", "3 fields", "4"),
        case("empty", "", "f.csv", "empty"),
        case("header only", profile_rows(), "f.csv", "no rows"),
        case("binary", bytes(range(256)), "f.csv", "binary"),
        case("latin-1", profile_rows("alph\xe9,cpu,1,5").encode("latin-1"), "f.csv", "UTF-8", "byte 41"),
        case("unclosed quote, with its line", profile_rows("alpha,cpu,2,5", 'alpha,cpu,1,"5'), "f.csv:3"),
        case(
            "duplicate header",
            profile_rows("a,a,cpu,1,5", header=f"model,{PROFILE_HEADER}"),
            "f.csv:1",
            "model",
            "twice",
        ),
        case("semicolons", profile_rows("a;b").replace(",", ";"), "f.csv:1", "model"),
        case("a field of 200,000 digits, with its line", latency("5" * 200_000), "f.csv:2", "65,536"),
        case("a bad name, in words", profile_rows("al pha,cpu,1,5"), "f.csv:2", "letters, digits"),
        case("an escape in a name", profile_rows("al\x1b[31mpha,cpu,1,5"), "f.csv:2", "model", "\\x1b[31m"),
        case(
            "negative noise",
            profile_rows("alpha,cpu,1,5,-1", header=f"{PROFILE_HEADER},noise_scv"),
            "f.csv:2",
            "noise_scv",
            "-1",
            "0",
        ),
        case(
            "noise that differs",
            profile_rows("alpha,cpu,1,5,0.1", "alpha,cpu,2,6,0.2", header=f"{PROFILE_HEADER},noise_scv"),
            "f.csv:3",
            "noise_scv",
            "0.2",
            "alpha on cpu",
        ),
        case(
            "unknown law",
            profile_rows("alpha,cpu,1,5,uniform", header=f"{PROFILE_HEADER},noise_law"),
            "f.csv:2",
            "noise_law",
            "'uniform'",
            "lognormal",
        ),
        case(
            "memory 0",
            profile_rows("alpha,cpu,1,5,0", header=f"{PROFILE_HEADER},memory_gb"),
            "f.csv:2",
            "memory_gb",
            "0",
            "greater than 0",
        ),
        case(
            "a column with a typing error",
            profile_rows("alpha,cpu,1,5,0.5", "beta,gpu,1,5,0.5", header=f"{PROFILE_HEADER},noise_csv"),
            "f.csv:1",
            "noise_csv",
            "noise_scv",
        ),
    ],
)
def test_a_bad_profile_file_is_refused(run: Run, content: str | bytes, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(profiles="profiles: f.csv"), f__csv=content)
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", "--plan-out", "plan.yaml", words=words)


def test_a_model_profiled_in_two_files_is_refused(run: Run) -> None:
    write(s__yaml=scenario(profiles="profiles: [f.csv, g.csv]"), f__csv=latency("5"), g__csv=latency("6"))
    assert_refused(run, "plan", "s.yaml", words=("profiles", "alpha on cpu", "two of the files"))


def test_a_model_too_large_for_its_only_hardware_is_told_so(run: Run) -> None:
    content = profile_rows("alpha,cpu,1,5,8", "beta,gpu,1,5,", header=f"{PROFILE_HEADER},memory_gb")
    prices = SECTIONS["prices"].replace("0.1}", "0.1, memory_gb: 4}")
    write(s__yaml=scenario(profiles="profiles: f.csv", prices=prices), f__csv=content)
    assert_refused(run, "plan", "s.yaml", words=("memory", "8", "4"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case("negative, with its place", price_rows("cpu,cpu,core,-1"), "f.csv:2", "price_usd_per_hour"),
        case("nan", price_rows("cpu,cpu,core,nan"), "f.csv:2", "price_usd_per_hour", "'nan'"),
        case("text", price_rows("cpu,cpu,core,abc"), "f.csv:2", "price_usd_per_hour", "'abc'", "number"),
        case("unknown kind", price_rows("cpu,npu,core,1"), "f.csv:2", "kind", "'npu'", "'gpu'"),
        case("bad name", price_rows("c pu,cpu,core,1"), "f.csv", "'c pu'", "letters, digits"),
        case(
            "missing column",
            price_rows("cpu,cpu,1", header="name,kind,price_usd_per_hour"),
            "f.csv:1",
            "no column unit",
        ),
        case("no name column", price_rows("cpu", header="kind"), "f.csv:1", "no column name"),
        case("empty price", price_rows("cpu,cpu,core,"), "f.csv:2", "price_usd_per_hour"),
        case(
            "negative price of a class",
            price_rows("cpu,cpu,core,1,-1", header=f"{PRICE_HEADER},price_usd_per_hour:spot"),
            "f.csv:2",
            "prices.spot",
            "-1",
        ),
        case(
            "price of a class as text",
            price_rows("cpu,cpu,core,1,low", header=f"{PRICE_HEADER},price_usd_per_hour:spot"),
            "f.csv:2",
            "price_usd_per_hour:spot",
            "'low'",
            "number",
        ),
        case(
            "a class without a name",
            price_rows("cpu,cpu,core,1,1", header=f"{PRICE_HEADER},price_usd_per_hour:"),
            "f.csv:2",
            "letters, digits",
        ),
        case("duplicate unit", price_rows("cpu,cpu,core,1", "cpu,cpu,core,2"), "f.csv:3", "'cpu'", "twice"),
        case("ragged", price_rows("cpu,cpu"), "f.csv:2", "header"),
        case("empty, in words", "", "f.csv", "empty"),
        case("header only", price_rows(), "f.csv:1", "units", "empty"),
        case("binary", bytes(range(256)), "f.csv", "binary"),
        case("unclosed quote", price_rows('cpu,cpu,core,"1'), "f.csv:2", "CSV"),
        case(
            "unknown column",
            price_rows("cpu,cpu,core,1,red", header=f"{PRICE_HEADER},colour"),
            "f.csv:2",
            "colour",
            "not a field",
        ),
        case(
            "duplicate header",
            price_rows("cpu,x,cpu,core,1", header=f"name,{PRICE_HEADER}"),
            "f.csv:1",
            "name",
            "twice",
        ),
    ],
)
def test_a_bad_price_list_is_refused(run: Run, content: str | bytes, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(prices="prices: f.csv"), f__csv=content)
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", words=words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        case("list", "- a\n", "f.yaml", "['a']", "mapping"),
        case("empty", "", "f.yaml", "nothing", "mapping"),
        case(
            "negative",
            "units:\n  cpu: {kind: cpu, unit: core, price_usd_per_hour: -1}\n",
            "f.yaml:2",
            "units.cpu.price_usd_per_hour",
            "-1",
            "0",
        ),
        case(
            "bundle",
            "units:\n  cpu: {kind: cpu, unit: core, price_usd_per_hour: 1}\nbundles:\n  a: {gpu: 1}\n",
            "f.yaml:4",
            "bundles.a",
            "'gpu'",
            "cpu",
        ),
        case("over 1 MiB", "#" * (1 << 20) + "\n", "f.yaml", "1,048,576 bytes"),
    ],
)
def test_a_bad_price_catalogue_is_refused(run: Run, content: str, words: tuple[str, ...]) -> None:
    write(s__yaml=scenario(prices="prices: f.yaml"), f__yaml=content)
    assert_refused(run, "plan", "s.yaml", "--out", "report.json", words=words)
