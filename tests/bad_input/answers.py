"""What the tests of bad input share: a good scenario with parts to replace, and what a refusal is."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LONGEST_LINE = 500
GIB = 1 << 30
SECTIONS = {
    "name": "name: base",
    "slo": "slo: {p99: 1s}",
    "traffic": "traffic: {poisson: {rate_qps: 20, duration: 2s}}",
    "pipeline": "pipeline:\n  first: {model: alpha}\n  second: {model: beta, after: [first]}",
    "profiles": "profiles:\n  alpha: {cpu: {1: 5ms, 4: 10ms}}\n  beta: {gpu: {1: 5ms}}",
    "prices": "prices:\n  units:\n    cpu: {kind: cpu, unit: core, price_usd_per_hour: 0.1}\n"
    "    gpu: {kind: gpu, unit: gpu, price_usd_per_hour: 1}",
    "rest": "seed: 1",
}
PLAN = "stages:\n  first: {hardware: cpu, replicas: 1}\n  second: {hardware: gpu, replicas: 1}\n"
PROFILE_HEADER = "model,hardware,batch_size,latency_ms"
PRICE_HEADER = "name,kind,unit,price_usd_per_hour"
TOKENS = "size: {attribute: tokens, reference: 1}"
LONG_NAME = "a" * 65
LONG_PATH = "a" * 300


@dataclass(frozen=True)
class Answer:
    """What the command line did."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


def scenario(**sections: str) -> str:
    """Return a good scenario with some of its sections replaced."""
    return "".join(f"{section}\n" for section in (SECTIONS | sections).values() if section)


def write(**files: str | bytes) -> None:
    """Write files into the working folder; a name holds ``__`` for its dots."""
    for name, content in files.items():
        Path(name.replace("__", ".")).write_bytes(content if isinstance(content, bytes) else content.encode())


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(run: Run, *arguments: str, words: tuple[str, ...]) -> None:
    before = files_below(Path.cwd())
    answer = run(*arguments)
    assert answer.code == 2, answer
    assert_one_clear_line(answer, words)
    assert files_below(Path.cwd()) == before, "a refused command wrote a file"


def assert_one_clear_line(answer: Answer, words: tuple[str, ...]) -> None:
    assert answer.out == ""
    line, *more = answer.err.splitlines()
    assert not more, answer.err
    assert line.startswith("pipesim: ")
    assert line.isprintable(), ascii(line)
    assert len(line) <= LONGEST_LINE
    assert "Traceback" not in line
    missing = [word for word in words if word not in line]
    assert not missing, f"{line!r} lacks {missing}"


def case(name: str, given: Any, *words: str) -> Any:
    """Return a case: what is given, and the words that the complaint must have."""
    return pytest.param(given, words, id=name)


def rate(value: str) -> dict[str, str]:
    return {"traffic": f"traffic: {{poisson: {{rate_qps: {value}, queries: 3}}}}"}


def bound(value: str) -> dict[str, str]:
    return {"slo": f"slo: {{p99: {value}}}"}


def every(value: str) -> dict[str, str]:
    return {"slo": f"slo: [{{quantile: p99, bound: 1s, every: {value}}}]"}


def second(options: str, **sections: str) -> dict[str, str]:
    return {"pipeline": f"pipeline:\n  first: {{model: alpha}}\n  second: {{model: beta, {options}}}", **sections}


def edge(options: str, **sections: str) -> dict[str, str]:
    return second(f"after: {{first: {{{options}}}}}", **sections)


def edges(one: str, other: str) -> dict[str, str]:
    return {
        "pipeline": "pipeline:\n  first: {model: alpha}\n"
        f"  second: {{model: beta, after: {{first: {{{one}}}}}}}\n"
        f"  third: {{model: beta, after: {{first: {{{other}}}}}}}"
    }


def search(options: str) -> dict[str, str]:
    return {"rest": f"search: {{{options}}}"}


def unit(fields: str, rest: str = "") -> dict[str, str]:
    return {"prices": f"prices: {{units: {{cpu: {{kind: cpu, unit: core, {fields}}}}}{rest}}}"}


def classes(prices: str) -> dict[str, str]:
    return unit(f"price_usd_per_hour: 1, prices: {{{prices}}}")


def drawn(attribute: str) -> dict[str, str]:
    return {"traffic": f"traffic: {{poisson: {{rate_qps: 20, duration: 2s}}, attributes: {{{attribute}}}}}"}


def profile_rows(*rows: str, header: str = PROFILE_HEADER) -> str:
    return "".join(f"{row}\n" for row in (header, *rows))


def latency(value: str) -> str:
    return profile_rows(f"alpha,cpu,1,{value}", "beta,gpu,1,5")


def batch(value: str) -> str:
    return profile_rows(f"alpha,cpu,{value},5", "beta,gpu,1,5")


def price_rows(*rows: str, header: str = PRICE_HEADER) -> str:
    return "".join(f"{row}\n" for row in (header, *rows))


def stages(first: str, second: str = "hardware: gpu, replicas: 1") -> str:
    return f"stages:\n  first: {{{first}}}\n  second: {{{second}}}\n"


def column(*values: str) -> str:
    return "".join(f"{value}\n" for value in ("t", *values))


def installed(*arguments: str, memory: int | None = None, timeout_s: float = 60, **environment: str) -> Answer:
    """Run the installed command in a process of its own."""

    def limit_memory() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    process = subprocess.run(
        [str(Path(sys.executable).with_name("pipesim")), *arguments],
        capture_output=True,
        timeout=timeout_s,
        check=False,
        preexec_fn=limit_memory,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environment,
    )
    return Answer(process.returncode, process.stdout.decode(), process.stderr.decode())
