"""A small repository for tests of checks: one scenario, with profiles and prices in files of their own."""

from pathlib import Path

SCENARIO = """\
name: shop   # a comment counts for nothing
slo: {p99: 120ms}
traffic: {poisson: {rate_qps: 40, duration: 20s}}
pipeline:
  first: {model: alpha}
  second: {model: beta, after: [first]}
profiles: profiles.csv
prices: prices.yaml
search: {max_replicas: 8}
seed: 1
"""
PROFILES = """\
model,hardware,batch_size,latency_ms
alpha,cpu,1,10
alpha,cpu,8,40
beta,gpu,1,15
beta,gpu,8,30
beta,cpu,1,60
beta,duo,1,50
gamma,cpu,1,1
"""
PRICES = """\
units:
  cpu: {kind: cpu, unit: core, price_usd_per_hour: 0.40}
  gpu: {kind: gpu, unit: gpu, price_usd_per_hour: 1.00}
  tpu: {kind: tpu, unit: chip, price_usd_per_hour: 5.00}
bundles:
  duo: {cpu: 2}
"""


def make_repository(folder: Path) -> Path:
    """Write the repository into a folder and return its scenario."""
    (folder / ".git").mkdir(parents=True)
    (folder / "profiles.csv").write_text(PROFILES)
    (folder / "prices.yaml").write_text(PRICES)
    (folder / "shop.yaml").write_text(SCENARIO)
    return folder / "shop.yaml"


def edit(file: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts in a file, each of which must be there."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text)
