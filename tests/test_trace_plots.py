"""Pictures of traces: what is drawn is what the frames say, and a picture is the same bytes every time."""

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
from matplotlib.patches import StepPatch

from build import make_trace
from pipesim import plot, traces
from pipesim.traces import ArrivalTrace, gamma, overview, poisson

Draw = Callable[..., Axes]
DRAWN: dict[str, Draw] = {
    "rate": plot.rate_curve,
    "gaps": plot.gap_histogram,
    "dispersion": plot.dispersion_curve,
    "envelope": plot.envelope,
    "autocorrelation": plot.autocorrelation,
}


@pytest.fixture(scope="module")
def trace() -> ArrivalTrace:
    return gamma(40, 4, duration_s=300, seed=1)


@pytest.fixture(scope="module")
def frames(trace: ArrivalTrace) -> dict[str, pd.DataFrame]:
    return overview(trace)


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def steps(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    """Return the heights and the edges of steps whose label begins so."""
    drawn = {str(patch.get_label()): patch.get_data() for patch in ax.patches if isinstance(patch, StepPatch)}
    heights, edges, _ = next(data for name, data in drawn.items() if name.startswith(label))
    return list(heights), list(edges)


def line(ax: Axes, label: str) -> Any:
    return next(one for one in ax.lines if one.get_label() == label)


def ink(figure: Figure, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> float:
    """Return the share of pixels that are not white, in a part of the picture (left, bottom, right, top)."""
    pixels = imread(BytesIO(plot.image(figure, "png", dpi=60)))[..., :3]
    height, width = pixels.shape[:2]
    left, bottom, right, top = box
    part = pixels[round((1 - top) * height) : round((1 - bottom) * height), round(left * width) : round(right * width)]
    return float((part < 0.98).any(axis=2).mean())


class TestEachPicture:
    def test_the_rate_with_the_range_in_each_bin(self, frames: dict[str, pd.DataFrame]) -> None:
        frame = frames["rate"]  # 150 bins of 2 s, of windows of 100 ms
        ax = plot.rate_curve(frame)
        mean, edges = steps(ax, "mean of 2 s")
        assert mean == frame["rate_qps"].tolist()
        assert edges == pytest.approx([*(frame["time_s"] / 60), 5])
        assert steps(ax, "windows of 100 ms: p5 to p95")[0] == frame["p95_qps"].tolist()
        band = next(patch for patch in ax.patches if str(patch.get_label()).startswith("windows"))
        assert isinstance(band, StepPatch)
        assert list(np.atleast_1d(band.get_data()[2])) == frame["p5_qps"].tolist()
        assert steps(ax, "busiest window of 100 ms")[0] == frame["max_qps"].tolist()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("time since the start (min)", "queries per second")
        assert ax.get_ylim()[0] == 0

    def test_the_gaps_beside_the_exponential_law(self, frames: dict[str, pd.DataFrame]) -> None:
        frame = frames["gaps"]
        ax = plot.gap_histogram(frame)
        assert steps(ax, "this trace")[0] == frame["share"].tolist()[1:]
        assert steps(ax, "Poisson")[0] == frame["exponential_share"].tolist()[1:]
        assert steps(ax, "this trace")[1] == [*frame["from_s"][1:], frame["to_s"].iloc[-1]]
        assert ax.get_xscale() == "log"

    def test_simultaneous_arrivals_have_a_bar_of_their_own(self) -> None:
        ax = plot.gap_histogram(traces.gap_histogram(make_trace([0, 0, 0, 1000, 3000])))
        assert steps(ax, "same instant: 50.0%")[0] == [0.5]
        assert steps(ax, "same instant")[1][1] < 1 < steps(ax, "this trace")[1][1]

    def test_the_index_of_dispersion_and_what_poisson_shows(self, frames: dict[str, pd.DataFrame]) -> None:
        frame = frames["dispersion"]
        ax = plot.dispersion_curve(frame)
        for label, name in (
            ("all: bursts and drift", "index_of_dispersion"),
            ("local: bursts", "local_index_of_dispersion"),
        ):
            assert line(ax, label).get_xydata().tolist() == frame[["window_s", name]].to_numpy().tolist()
        band = ax.collections[0].get_paths()[0].vertices
        assert set(frame["poisson_low"]) | set(frame["poisson_high"]) <= set(np.asarray(band)[:, 1].tolist())
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("window (s)", "variance / mean of counts")

    def test_the_envelope_and_the_mean_rate(self, frames: dict[str, pd.DataFrame]) -> None:
        frame = frames["envelope"]
        ax = plot.envelope(frame, mean_qps=40)
        assert line(ax, "busiest window").get_xydata().tolist() == frame[["window_s", "peak_qps"]].to_numpy().tolist()
        assert list(line(ax, "mean rate").get_ydata()) == [40, 40]
        assert labels(plot.envelope(frame)) == ["busiest window"]

    def test_the_autocorrelation_of_counts_and_of_gaps(
        self, frames: dict[str, pd.DataFrame], trace: ArrivalTrace
    ) -> None:
        frame = frames["autocorrelation"]
        ax = plot.autocorrelation(frame)
        assert line(ax, "this trace").get_xydata().tolist() == frame[["lag_s", "autocorrelation"]].to_numpy().tolist()
        assert (ax.get_title(loc="left"), ax.get_xlabel()) == ("Autocorrelation of counts per 1 s", "lag (s)")
        gaps = plot.autocorrelation(traces.gap_autocorrelation(trace))
        assert (gaps.get_title(loc="left"), gaps.get_xlabel()) == ("Autocorrelation of gaps", "lag (gaps)")

    def test_counts_that_are_all_equal_have_no_autocorrelation_to_draw(self) -> None:
        ax = plot.autocorrelation(traces.autocorrelation(gamma(10, 0, duration_s=20)))
        assert [text.get_text() for text in ax.texts] == ["they are all equal"]

    @pytest.mark.parametrize("name", DRAWN)
    def test_it_is_drawn_in_the_axes_given_with_title_labels_and_legend(
        self, frames: dict[str, pd.DataFrame], name: str
    ) -> None:
        ax = Figure().add_subplot()
        assert DRAWN[name](frames[name], ax) is ax
        assert ax.get_title(loc="left")
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert len(labels(ax)) == len(set(labels(ax))) >= 1
        assert ink(DRAWN[name](frames[name]).get_figure(root=True), (0.2, 0.2, 0.9, 0.8)) > 0.01

    @pytest.mark.parametrize("name", DRAWN)
    def test_in_grey_no_two_lines_look_alike(self, frames: dict[str, pd.DataFrame], name: str) -> None:
        ax = DRAWN[name](frames[name])
        looks = [(one.get_linestyle(), one.get_marker()) for one in ax.lines if one.get_label() in labels(ax)]
        patches = [patch for patch in ax.patches if patch.get_label() in labels(ax)]
        looks += [(patch.get_linestyle(), (patch.get_fill(), patch.get_hatch())) for patch in patches]
        assert len(looks) == len(set(looks))

    @pytest.mark.parametrize("name", DRAWN)
    @pytest.mark.parametrize("times", [[], [0], [0, 0]])
    def test_too_few_arrivals_are_said_in_place_of_a_picture(self, name: str, times: list[float]) -> None:
        frame = overview(make_trace(times))[name]
        ax = DRAWN[name](frame)
        assert ink(ax.get_figure(root=True)) > 0
        if name != "gaps" or len(times) < 2:
            assert [text.get_text() for text in ax.texts] == ["too few arrivals"]


class TestPage:
    @pytest.mark.slow
    def test_all_five_on_one_page_under_a_title(self, frames: dict[str, pd.DataFrame]) -> None:
        figure = plot.trace_figure("a $\\trace{$ of_mine", **frames)
        assert figure.get_suptitle() == "a $\\trace{$ of_mine"
        assert [ax.get_title(loc="left").split(":")[0] for ax in figure.axes] == [
            "Arrivals over time",
            "Gaps between arrivals",
            "Index of dispersion",
            "Envelope",
            "Autocorrelation of counts per 1 s",
        ]
        envelope = figure.axes[3]
        rate = frames["rate"]
        assert line(envelope, "mean rate").get_ydata()[0] == rate["count"].sum() / rate["width_s"].sum()
        for box in ((0, 0.66, 1, 1), (0, 0.33, 0.5, 0.66), (0.5, 0.33, 1, 0.66), (0, 0, 0.5, 0.33), (0.5, 0, 1, 0.33)):
            assert ink(figure, box) > 0.03

    @pytest.mark.slow
    @pytest.mark.parametrize("times", [[], [0], [0, 0, 0], [0, 3000], [0, 1e-6]])
    def test_tiny_traces_have_a_page_too(self, times: list[float]) -> None:
        assert ink(plot.trace_figure("tiny", **overview(make_trace(times)))) > 0.005

    @pytest.mark.slow
    @pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
    def test_the_same_picture_is_the_same_bytes(
        self, frames: dict[str, pd.DataFrame], format: str, start: bytes
    ) -> None:
        one, other = (plot.image(plot.trace_figure("t", **frames), format) for _ in range(2))
        assert one == other
        assert one.startswith(start)
        assert b"Matplotlib" not in one[:4000]

    @pytest.mark.slow
    def test_another_process_draws_the_same_bytes(self, tmp_path: Path) -> None:
        code = (
            "import sys\n"
            "from pipesim.plot import image, trace_figure\n"
            "from pipesim.traces import overview, poisson\n"
            "figure = trace_figure('t', **overview(poisson(10, duration_s=60, seed=1)))\n"
            "sys.stdout.buffer.write(image(figure, 'svg') + image(figure, 'pdf') + image(figure, 'png'))\n"
            "assert 'matplotlib.pyplot' not in sys.modules\n"
        )
        environment = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "MPLCONFIGDIR": str(tmp_path)}
        there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        figure = plot.trace_figure("t", **overview(poisson(10, duration_s=60, seed=1)))
        assert there == b"".join(plot.image(figure, format) for format in ("svg", "pdf", "png"))

    def test_formats_are_those_that_files_end_in(self) -> None:
        assert plot.IMAGE_FORMATS == ("png", "svg", "pdf")


@pytest.mark.slow
def test_pipesim_starts_without_matplotlib() -> None:
    code = "import sys, pipesim, pipesim.traces, pipesim.report, pipesim.cli.app; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"
