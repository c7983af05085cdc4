"""ServeGen pools: what archives say, and the arrivals of their clients."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipesim.errors import FileFormatError, InvalidInputError, PipesimError
from pipesim.model.traffic import ServegenPool
from pipesim.traces import ArrivalTrace, gap_scv
from pipesim.traces.formats.servegen import read_pool
from pipesim.traces.generate import joined
from pipesim.traces.generate.gaps import weibull_shape
from pipesim.traces.generate.servegen import expected_queries, servegen_caveats, servegen_pieces
from pipesim.traces.pools import ClientPool, TokenLaw

SECOND = 10**9
REAL = Path(__file__).parents[2] / "shared" / "data" / "traces" / "servegen"
needs_real_traces = pytest.mark.skipif(not REAL.is_dir(), reason="the collection of recorded traces is not here")

Files = Mapping[str, str | bytes | tarfile.TarInfo]


def spec_of(**fields: object) -> ServegenPool:
    return ServegenPool.model_validate({"file": "p.tar.gz", "duration": "20min", **fields})


def pack(path: Path, files: Files) -> Path:
    """Write an archive; a member is given by its content, or by a header without content."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def read(folder: Path, files: Files, **fields: object) -> ClientPool:
    return read_pool(pack(folder / "p.tar.gz", files), spec_of(**fields))


def header(name: str, kind: bytes, *, size: int = 0, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    return member


def pool_of(*rows: list[tuple[float, float, str, float]], window_s: int = 600) -> ClientPool:
    """Return a pool of clients 0, 1, …: in each window a rate, a CV, a law and a shape."""
    rates, cvs, shapes = (np.array([[window[i] for window in row] for row in rows], dtype=float) for i in (0, 1, 3))
    weibull = np.array([[window[2] == "Weibull" for window in row] for row in rows])
    return ClientPool(window_s * SECOND, tuple(str(i) for i in range(len(rows))), rates, cvs, weibull, shapes)


def gamma(rate: float, cv: float) -> tuple[float, float, str, float]:
    return rate, cv, "Gamma", 1 / cv**2 if cv else 0.0


def draw(pool: ClientPool, seed: int = 1, size: int = 1 << 16, name: str = "", **fields: object) -> ArrivalTrace:
    return joined(servegen_pieces(pool, spec_of(**fields), seed=seed, size=size, name=name))


def counts(trace: ArrivalTrace, windows: int, window_s: int = 600) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.histogram(trace.times_ns, np.arange(windows + 1) * window_s * SECOND)[0]


TRACE = "0,2.5,1.5,Gamma,0.4444,0.9\n600,0,0,,0,0\n1200,1,0.5,Weibull,2.1,1.1\n"
TINY = {"language/m/chunk-10-trace.csv": TRACE.replace("2.5", "7"), "language/m/chunk-9-trace.csv": TRACE}


class TestArchives:
    def test_clients_and_windows_are_read(self, tmp_path: Path) -> None:
        pool = read(tmp_path, TINY)
        assert pool.clients == ("9", "10")
        assert (pool.window_ns, pool.duration_ns) == (600 * SECOND, 1800 * SECOND)
        assert pool.rates_qps.tolist() == [[2.5, 0, 1], [7, 0, 1]]
        assert pool.cvs[0].tolist() == [1.5, 0, 0.5]
        assert pool.weibull[0].tolist() == [False, False, True]
        assert pool.shapes[0].tolist() == [0.4444, 0, 2.1]
        assert [file.name for file in pool.inputs] == ["p.tar.gz"]

    def test_arrays_are_read_only(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="read-only"):
            read(tmp_path, TINY).rates_qps[0, 0] = 1

    def test_its_row_sums_the_pool_up(self, tmp_path: Path) -> None:
        row = read(tmp_path, TINY).describe().iloc[0]
        assert (row["clients"], row["windows"], row["window_s"], row["idle_windows"]) == (2, 3, 600, 1)
        assert (row["mean_qps"], row["min_qps"], row["peak_qps"]) == (pytest.approx(11.5 / 3), 0, 9.5)
        assert (row["active_share"], row["gamma_windows"], row["weibull_windows"]) == (pytest.approx(4 / 6), 2, 2)
        assert (row["cv_median"], row["cv_p50"], row["cv_p90"], row["top5_share"]) == (1, 1.5, 1.5, 1)

    def test_a_folder_gives_what_its_archive_gives(self, tmp_path: Path) -> None:
        for name, text in TINY.items():
            (tmp_path / name.rsplit("/", 1)[-1]).write_text(str(text))
        (tmp_path / "readme.txt").write_text("of no use")
        found, expected = read_pool(tmp_path, spec_of()), read(tmp_path, TINY)
        assert found.clients == expected.clients
        assert np.array_equal(found.rates_qps, expected.rates_qps)

    def test_the_hash_of_a_folder_is_of_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "chunk-0-trace.csv").write_text(TRACE)
        first = read_pool(tmp_path, spec_of()).inputs[0].sha256
        (tmp_path / "chunk-0-trace.csv").write_text(TRACE.replace("2.5", "2.6"))
        assert read_pool(tmp_path, spec_of()).inputs[0].sha256 != first

    def test_a_link_in_a_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_text(TRACE)
        (tmp_path / "chunk-0-trace.csv").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileFormatError, match=r"chunk-0-trace\.csv: is no plain file"):
            read_pool(tmp_path, spec_of())

    def test_other_members_are_left_alone(self, tmp_path: Path) -> None:
        others = {"LICENSE": "words", "a/chunk-1-trace.csv.txt": "x", "folder": header("folder", tarfile.DIRTYPE)}
        assert read(tmp_path, {**others, **TINY}).clients == ("9", "10")

    @pytest.mark.parametrize(
        ("member", "rule"),
        [
            (header("../chunk-0-trace.csv", tarfile.REGTYPE), "leads out of the archive"),
            (header("a/../../chunk-0-trace.csv", tarfile.REGTYPE), "leads out of the archive"),
            (header("a\\..\\chunk-0-trace.csv", tarfile.REGTYPE), "leads out of the archive"),
            (header("/etc/chunk-0-trace.csv", tarfile.REGTYPE), "leads out of the archive"),
            (header("../README", tarfile.REGTYPE), "leads out of the archive"),
            (header("chunk-0-trace.csv", tarfile.SYMTYPE, link="/etc/passwd"), "is no plain file"),
            (header("chunk-0-trace.csv", tarfile.LNKTYPE, link="chunk-9-trace.csv"), "is no plain file"),
            (header("chunk-0-trace.csv", tarfile.FIFOTYPE), "is no plain file"),
            (header("chunk-0-trace.csv", tarfile.CHRTYPE), "is no plain file"),
            (header("chunk-0-trace.csv", tarfile.GNUTYPE_SPARSE), "is (no plain file|not a whole tar archive)"),
            (header("chunk-0-trace.csv", tarfile.REGTYPE, size=(64 << 20) + 1), "holds 67,108,865 bytes; the limit"),
            (header("chunk-0-trace.csv", tarfile.REGTYPE, size=1 << 50), "holds 1,125,899,906,842,624 bytes"),
            (header("chunk-0-trace.csv", tarfile.REGTYPE, size=1 << 20), "is not a whole tar archive"),
            (header("readme", tarfile.REGTYPE, size=1 << 50), "is not a whole tar archive"),
        ],
    )
    def test_a_hostile_member_is_refused(self, tmp_path: Path, member: tarfile.TarInfo, rule: str) -> None:
        with pytest.raises(FileFormatError, match=rule):
            read(tmp_path, {**TINY, "hostile": member})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["p.tar.gz"]

    def test_what_is_no_archive_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "p.tar").write_bytes(b"no archive" * 100)
        with pytest.raises(FileFormatError, match="is not a whole tar archive"):
            read_pool(tmp_path / "p.tar", spec_of())
        whole = pack(tmp_path / "p.tar.gz", TINY).read_bytes()
        (tmp_path / "q.tar.gz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(FileFormatError, match="is not a whole gzip file"):
            read_pool(tmp_path / "q.tar.gz", spec_of())

    def test_there_must_be_traces_one_for_each_client(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"holds no chunk-<client>-trace\.csv"):
            read(tmp_path, {"readme": "x"})
        with pytest.raises(FileFormatError, match=r"b/chunk-09-trace\.csv: is of client 9, as language/m/chunk-9"):
            read(tmp_path, {**TINY, "b/chunk-09-trace.csv": TRACE})

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("0,1,1,Gamma,1\n", r":1: has 5 fields; give 6"),
            ("0,1,1,Gamma,1,1,1\n", r":1: has 7 fields; give 6"),
            ("0,nan,1,Gamma,1,1\n", r":1: rate: 'nan' is not finite"),
            ("0,inf,1,Gamma,1,1\n", r":1: rate: 'inf' is not finite"),
            ("0,-1,1,Gamma,1,1\n", r":1: rate: '-1' is not allowed"),
            ("0,1e8,1,Gamma,1,1\n", r":1: rate: 100000000\.0 is too large"),
            ("0,1,-1,Gamma,1,1\n", r":1: cv: '-1' is not allowed"),
            ("0,1,0,Gamma,1,1\n", r":1: cv: 0\.0 is not allowed at a rate above 0"),
            ("0,1,1,Gamma,0,1\n", r":1: shape: 0\.0 is not allowed at a rate above 0"),
            ("0,1,1,Gamma,1,0\n", r":1: scale: 0\.0 is not allowed at a rate above 0"),
            ("0,1,1,,1,1\n", r":1: law: '' is not allowed at a rate above 0"),
            ("0,1,1,Pareto,1,1\n", r":1: law: 'Pareto' is not known"),
            ("0,1,1,Gamma,x,1\n", r":1: shape: 'x' is not a number"),
            ("x,0,0,,0,0\n", r":1: start: 'x' is not a number"),
            ("600,0,0,,0,0\n1200,0,0,,0,0\n", r":1: start: 600\.0 is not in even steps from 0"),
            ("0,0,0,,0,0\n600,0,0,,0,0\n1800,0,0,,0,0\n", r":3: start: 1800\.0 is not in even steps"),
            ("0,0,0,,0,0\n0,0,0,,0,0\n", r":1: start: 0\.0 is not in even steps"),
            ("0,0,0,,0,0\n", r": has 1 rows"),
            ("", r": has 0 rows"),
            ("0,0,0,,0,0\n30000000,0,0,,0,0\n", r": lasts longer than"),
            ("0,0,0,,0,0\n\x000", r": is a binary file"),
        ],
    )
    def test_a_bad_window_is_refused_with_its_line(self, tmp_path: Path, text: str, place: str) -> None:
        with pytest.raises(PipesimError, match=rf"p\.tar\.gz: a/chunk-7-trace\.csv{place}"):
            read(tmp_path, {"a/chunk-7-trace.csv": text})

    def test_all_clients_have_the_same_windows(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"chunk-11-trace\.csv: has other windows than .*2 in place of 3"):
            read(tmp_path, {**TINY, "chunk-11-trace.csv": "0,0,0,,0,0\n600,0,0,,0,0\n"})


def dataset(**windows: Mapping[str, str]) -> str:
    return json.dumps({start.removeprefix("at"): fields for start, fields in windows.items()})


class TestDatasets:
    def read(self, folder: Path, text: str) -> ClientPool:
        files = {**TINY, "chunk-9-dataset.json": text}
        path = pack(folder / "p.tar.gz", files)
        return read_pool(path, spec_of(dataset="d.tar.gz"), path)

    def test_maps_of_numbers_to_probabilities_are_laws(self, tmp_path: Path) -> None:
        pool = self.read(
            tmp_path, dataset(at0={"input_tokens": "{45: 0.25, '7': 0.75, 46: 0.0}", "ratio": '{"0.5": 1}'})
        )
        tokens = pool.tokens["9"]
        (law,), (ratio,) = tokens.fields["input_tokens"], tokens.fields["ratio"]
        assert (law.values.tolist(), law.edges.tolist()) == ([7, 45], [0.75, 1])
        assert law.at(np.array([0, 0.74, 0.75, 0.999])).tolist() == [7, 7, 45, 45]
        assert law.mean == pytest.approx(0.75 * 7 + 0.25 * 45)
        assert ratio.values.tolist() == [0.5]
        assert [file.name for file in pool.inputs] == ["p.tar.gz", "d.tar.gz"]

    def test_a_window_without_data_has_the_law_before_it_else_the_one_after(self, tmp_path: Path) -> None:
        empty, one, two = ({"n": text} for text in ("{}", "{1: 1.0}", "{2: 1.0}"))
        pool = self.read(tmp_path, dataset(at64800=two, at0=empty, at21600=one, at43200=empty, at86400=empty))
        assert pool.tokens["9"].starts_ns == tuple(start * SECOND for start in (0, 21600, 43200, 64800, 86400))
        assert [law.mean for law in pool.tokens["9"].fields["n"]] == [1, 1, 1, 2, 2]

    def test_a_field_without_any_data_is_not_there(self, tmp_path: Path) -> None:
        assert set(self.read(tmp_path, dataset(at0={"n": "{}", "m": "{1: 1}"})).tokens["9"].fields) == {"m"}

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("{", "is not valid JSON"),
            ("[" * 100_000, "is not valid JSON"),
            ("[]", "is not a map of windows"),
            ('{"0": []}', "is not a map of windows"),
            ('{"x": {}}', "'x' is not the start of a window"),
            ('{"-1": {}}', "'-1' is not the start of a window"),
            (dataset(at0={"a b": "{1: 1}"}), r": 0: 'a b' is not a field"),
            (dataset(at0={"client": "{1: 1}"}), "'client' is not a field"),
            (dataset(at0={f"f{i}": "{1: 1}" for i in range(101)}), "'f100' is not a field"),
            (dataset(at0={"n": "{1: 0.5}"}), r"0\.n: 0\.5 is the sum"),
            (dataset(at0={"n": "{1: 2, 2: -1}"}), r"0\.n: '2' is not allowed"),
            (dataset(at0={"n": "{1: nan}"}), "is not a number and its probability"),
            (dataset(at0={"n": "{-1: 1}"}), "'-1' is not allowed"),
            (dataset(at0={"n": "{1e99: 1}"}), "'1e99' is not allowed"),
            (dataset(at0={"n": "{1: 1, }"}), "is not a number and its probability"),
            (dataset(at0={"n": "{__import__('os').getcwd(): 1}"}), "is not a number and its probability"),
            (dataset(at0={"n": "__import__('os')"}), "is not a map of numbers"),
            (dataset(at0={"n": "{1: 1"}), "is not a map of numbers"),
            ('{"0": {"n": {"1": 1}}}', "is not a map of numbers"),
            ('{"0": {"n": 5}}', "is not a map of numbers"),
        ],
    )
    def test_what_is_no_dataset_is_refused(self, tmp_path: Path, text: str, rule: str) -> None:
        with pytest.raises(PipesimError, match=rf"d\.tar\.gz: chunk-9-dataset\.json.*{rule}"):
            self.read(tmp_path, text)

    def test_there_must_be_datasets(self, tmp_path: Path) -> None:
        path = pack(tmp_path / "p.tar.gz", TINY)
        with pytest.raises(FileFormatError, match=r"d\.tar\.gz: holds no chunk-<client>-dataset\.json"):
            read_pool(path, spec_of(dataset="d.tar.gz"), path)


MIXED = pool_of(
    [gamma(1, 0.3), gamma(4, 5), (2, 0.5, "Weibull", 2.0), gamma(3, 1)],
    [(0.5, 4, "Weibull", 0.4), gamma(0, 0), gamma(0.4, 2), gamma(6, 1)],
    [gamma(0, 0), gamma(0.02, 3), gamma(0.02, 3), (9, 3, "Weibull", 0.5)],
)
"""Four windows of laws that differ as much as those of real pools, over 40 minutes."""


class TestArrivals:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_pieces_of_any_size_are_the_whole(self, size: int) -> None:
        whole = draw(MIXED, duration="40min")
        pieces = list(servegen_pieces(MIXED, spec_of(duration="40min"), seed=1, size=size))
        assert {len(piece) for piece in pieces[:-1]} == {size}
        assert 0 < len(pieces[-1]) <= size
        assert np.array_equal(np.concatenate([piece.times_ns for piece in pieces]), whole.times_ns)
        clients = np.concatenate([piece.attributes["client"] for piece in pieces])
        assert np.array_equal(clients, whole.attributes["client"])
        assert {piece.duration_ns for piece in pieces} == {2400 * SECOND}

    def test_pieces_are_the_whole_where_a_window_is_put_in_order_in_parts(self) -> None:
        pool = pool_of([gamma(2000, 2), gamma(2000, 2)], [gamma(900, 1), gamma(10, 1)])
        whole = draw(pool)
        assert len(whole) > 1 << 20
        assert np.array_equal(draw(pool, size=99_991).times_ns, whole.times_ns)
        assert bool(np.all(np.diff(whole.times_ns) >= 0))

    def test_a_client_has_its_own_luck_whoever_else_is_there(self) -> None:
        together = draw(MIXED, duration="40min")
        for client in ("0", "2"):
            alone = draw(MIXED, duration="40min", clients=[client])
            assert np.array_equal(alone.times_ns, together.times_ns[together.attributes["client"] == client])

    def test_seed_and_name_make_the_luck(self) -> None:
        traces = [draw(MIXED), draw(MIXED), draw(MIXED, seed=2), draw(MIXED, name="a")]
        assert np.array_equal(traces[0].times_ns, traces[1].times_ns)
        for other in traces[2:]:
            assert not np.array_equal(traces[0].times_ns[:50], other.times_ns[:50])

    @pytest.mark.slow
    @pytest.mark.parametrize("gaps", ["cv", "fitted"])
    def test_every_window_of_every_client_has_its_rate_on_average(self, gaps: str) -> None:
        drawn = []
        for seed in range(400):
            trace = draw(MIXED, seed=seed, duration="40min", gaps=gaps)
            clients = trace.attributes["client"]
            drawn.append([counts(trace.selected(clients == client), 4) for client in MIXED.clients])
        expected = MIXED.rates_qps * 600
        error = np.std(drawn, axis=0, ddof=1) / 400**0.5
        active = expected > 0
        score = (np.mean(drawn, axis=0) - expected)[active] / error[active]
        assert np.abs(score).max() < 3
        assert np.all(np.array(drawn)[:, ~active] == 0)

    @pytest.mark.parametrize("law", ["Gamma", "Weibull"])
    def test_a_window_begins_as_if_its_law_had_always_held(self, law: str) -> None:
        # with whole gaps of the old law, the second window would have (36 - 0.01) / 2 = 18 queries more on average
        pool = pool_of([gamma(1, 0.1), (1, 6, law, 1), gamma(1, 0.1)])
        drawn = np.array([counts(draw(pool, seed=seed, duration="30min"), 3) for seed in range(600)])
        error = drawn.std(axis=0, ddof=1) / 600**0.5
        assert error.max() < 7
        assert np.abs((drawn.mean(axis=0) - 600) / error).max() < 3

    @pytest.mark.slow
    @pytest.mark.parametrize("law", ["Gamma", "Weibull"])
    def test_time_begins_within_a_gap(self, law: str) -> None:
        trace = draw(pool_of(*([(0.2, 2, law, 1)] * 2 for _ in range(4000))))
        clients, first = np.unique(trace.attributes["client"], return_index=True)
        assert len(clients) == 4000
        waits = trace.times_ns[first] / SECOND
        # the mean of what is left of a gap is (1 + scv) / 2 gaps (Cox, "Renewal Theory", section 5.2)
        assert waits.mean() == pytest.approx(2.5 / 0.2, abs=3 * waits.std() / 4000**0.5)
        assert 3 * waits.std() / 4000**0.5 < 1.2

    def test_queries_of_one_instant_are_in_the_order_of_clients(self) -> None:
        trace = draw(pool_of(*([gamma(5e6, 1)] * 2 for _ in range(2)), window_s=1), duration="50ms")
        together = np.diff(trace.times_ns) == 0
        assert np.count_nonzero(together) > 100
        clients = trace.attributes["client"].astype(int)
        assert np.all(np.diff(clients)[together] >= 0)

    def test_even_gaps_go_on_at_the_rate_of_the_next_window(self) -> None:
        pool = pool_of([gamma(0.01, 1e-6), gamma(0, 0), gamma(0.1, 1e-6)])
        times = draw(pool, duration="30min").times_ns / SECOND
        assert len(times) == 66
        np.testing.assert_allclose(np.diff(times)[:5], 100, rtol=1e-5)
        np.testing.assert_allclose(np.diff(times)[6:], 10, rtol=1e-5)
        before, after = 600 - times[5], times[6] - 1200
        assert before * 0.01 + after * 0.1 == pytest.approx(1, rel=1e-5)

    @pytest.mark.parametrize(
        ("window", "gaps", "scv"),
        [
            (gamma(1, 0.5), "cv", 0.25),
            (gamma(1, 3), "cv", 9),
            (gamma(1, 3), "fitted", 9),
            ((1, 2, "Weibull", 0.8), "cv", 4),
            ((1, 2, "Weibull", 0.8), "fitted", 1.5892),  # Γ(3.5) / Γ(2.25)² - 1
        ],
    )
    def test_gaps_have_the_measured_or_the_fitted_variability(
        self, window: tuple[float, float, str, float], gaps: str, scv: float
    ) -> None:
        pool = pool_of([window, window], window_s=5000)
        found = [gap_scv(draw(pool, seed=seed, duration="10000s", gaps=gaps)) for seed in range(100)]
        bias = 0.02 * scv  # of the scv of a sample of 10,000 heavy-tailed gaps
        assert np.mean(found) == pytest.approx(scv, abs=3 * np.std(found) / 10 + bias)

    def test_the_least_shape_is_drawn_at_its_rate(self) -> None:
        pool = pool_of([(200, 10, "Gamma", 0.01)] * 2)
        found = [len(draw(pool, seed=seed)) for seed in range(60)]
        assert np.mean(found) == pytest.approx(240_000, abs=3 * np.std(found) / 60**0.5)
        assert np.var(found) / 240_000 == pytest.approx(100, rel=3 * (2 / 60) ** 0.5)

    def test_an_impossible_fit_gives_way_to_the_measured_variability_and_is_said(self) -> None:
        pool = pool_of([(1, 2, "Weibull", 0.01), (1, 40, "Weibull", 0.5)], [(1, 2, "Gamma", 1e-4), gamma(0, 0)])
        assert servegen_caveats(pool, spec_of()) == (
            "in 1 of 3 client windows the measured CV is above 31.6; gaps have this CV instead",
        )
        assert servegen_caveats(pool, spec_of(gaps="fitted")) == (
            "in 2 of 3 client windows the fitted shape implies a CV above 31.6; gaps have the measured one instead",
        )
        assert servegen_caveats(MIXED, spec_of(gaps="fitted")) == ()
        same = pool_of([(1, 2, "Weibull", weibull_shape(4)), (1, 40, "Weibull", 0.5)], [gamma(1, 2), gamma(0, 0)])
        fitted, measured = draw(pool, gaps="fitted"), draw(same, gaps="fitted")
        np.testing.assert_allclose(fitted.times_ns, measured.times_ns, atol=1000)

    def test_a_part_begins_at_midnight_plus_its_start(self) -> None:
        pool = pool_of([gamma(10, 1), gamma(0, 0), gamma(1, 1)])
        assert expected_queries(pool, spec_of(start="5min", duration="20min")) == pytest.approx(3000 + 300)
        trace = draw(pool, start="5min", duration="20min")
        assert trace.duration_ns == 1200 * SECOND
        early, idle, late = (int(np.sum((trace.times_ns > a * SECOND) & (trace.times_ns <= b * SECOND)))
                             for a, b in ((0, 300), (300, 900), (900, 1200)))  # fmt: skip
        assert idle == 0
        assert early == pytest.approx(3000, abs=4 * 3000**0.5)
        assert late == pytest.approx(300, abs=4 * 300**0.5)

    def test_a_mean_rate_scales_all_clients_alike(self) -> None:
        spec = spec_of(rate_qps=50.0, start="5min", duration="30min")
        assert expected_queries(MIXED, spec) == pytest.approx(50 * 1800)
        trace = draw(MIXED, rate_qps=50.0, start="5min", duration="30min")
        share = np.mean(trace.attributes["client"] == "0")
        weight = np.array([300, 600, 600, 300])
        assert share == pytest.approx((MIXED.rates_qps[0] @ weight) / (MIXED.rates_qps @ weight).sum(), abs=0.05)

    def test_clients_are_chosen_by_number_or_size(self) -> None:
        def chosen(**fields: object) -> set[str]:
            return set(draw(MIXED, duration="40min", **fields).attributes["client"])

        assert chosen(clients=["2", "0"]) == {"0", "2"}
        assert chosen(largest=2) == {"0", "2"}  # 10, 6.9 and 9.04 queries a second, summed over windows
        assert chosen(largest=9) == {"0", "1", "2"}
        with pytest.raises(InvalidInputError, match=r"servegen\.clients\.1: '7' is not in the pool"):
            draw(MIXED, clients=["0", "7"])
        with pytest.raises(ValueError, match="contradicts clients"):
            spec_of(clients=["0"], largest=1)

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"duration": "41min"}, r"servegen\.duration: '41 min' is where it ends; use up to 40 min"),
            ({"start": "30min"}, r"servegen\.duration: '50 min' is where it ends"),
            ({"clients": ["2"], "duration": "10min"}, r"servegen\.start: .* begins a time without queries"),
            ({"rate_qps": 9e6}, r"servegen\.duration: '1\.08e\+10' queries are too many"),
            ({"rate_qps": 8e6}, r"servegen\.rate_qps: .* is the rate of a client"),
        ],
    )
    def test_what_the_pool_does_not_have_is_refused(self, fields: dict[str, object], rule: str) -> None:
        with pytest.raises(InvalidInputError, match=rule):
            draw(MIXED, **fields)

    def test_a_pool_may_send_nothing_by_luck(self) -> None:
        pool = pool_of([gamma(1e-9, 1), gamma(1e-9, 1)])
        (piece,) = servegen_pieces(pool, spec_of(), seed=1, size=10)
        assert len(piece) == 0
        assert piece.attributes["client"].dtype.kind == "U"


class TestTokens:
    def pool(self, folder: Path, clients: int = 2) -> ClientPool:
        day = [
            f"{start},{rate},1,Gamma,1,1" for start, rate in zip(range(0, 43200, 600), [1] * 36 + [2] * 36, strict=True)
        ]
        files = {f"chunk-{client}-trace.csv": "\n".join(day) for client in range(2)}
        early, late = ({"output_tokens": text, "input_tokens": "{5: 1}"} for text in ("{1: 0.25, 3: 0.75}", "{8: 1}"))
        files |= {f"chunk-{client}-dataset.json": dataset(at0=early, at21600=late) for client in range(clients)}
        path = pack(folder / "p.tar.gz", files)
        return read_pool(path, spec_of(dataset="p.tar.gz"), path)

    def test_queries_carry_tokens_of_their_client_and_time(self, tmp_path: Path) -> None:
        trace = draw(self.pool(tmp_path), start="2h", duration="8h")
        assert list(trace.attributes) == ["client", "output_tokens", "input_tokens"]
        early = trace.times_ns < 4 * 3600 * SECOND
        tokens = trace.attributes["output_tokens"]
        assert set(tokens[~early]) == {8}
        assert np.mean(tokens[early] == 3) == pytest.approx(0.75, abs=3 * (0.1875 / early.sum()) ** 0.5)
        assert set(tokens[early]) == {1, 3}
        assert set(trace.attributes["input_tokens"]) == {5}

    def test_tokens_are_the_same_in_pieces_of_any_size(self, tmp_path: Path) -> None:
        pool = self.pool(tmp_path)
        whole, pieces = (draw(pool, size=size, start="5h", duration="2h") for size in (1 << 20, 777))
        assert np.array_equal(whole.attributes["output_tokens"], pieces.attributes["output_tokens"])
        assert np.array_equal(whole.times_ns, draw(self.pool(tmp_path), start="5h", duration="2h").times_ns)

    def test_a_client_without_data_is_refused_if_it_sends_queries(self, tmp_path: Path) -> None:
        pool = self.pool(tmp_path, clients=1)
        with pytest.raises(InvalidInputError, match=r"p\.tar\.gz: client 1: 'output_tokens' has no data"):
            draw(pool)
        assert set(draw(pool, clients=["0"]).attributes) == {"client", "output_tokens", "input_tokens"}

    def test_a_law_keeps_its_probabilities(self) -> None:
        law = TokenLaw(np.array([1.0, 2.0]), np.array([0.5, 1.0]))
        assert law.at(np.array([[0.0, 0.49], [0.5, 0.99]])).tolist() == [[1, 1], [2, 2]]


@needs_real_traces
class TestRealPools:
    def read(self, name: str, *, tokens: bool = False) -> ClientPool:
        traces, datasets = (REAL / f"{name}-{kind}.tar.gz" for kind in ("traces", "datasets"))
        return read_pool(traces, spec_of(file=traces.name), datasets if tokens else None)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "whole", "rates", "idle", "active", "cvs", "top"),
        [
            ("m-large", (162, 2016, 78842, 20997), "195.8 48.4 583.0", 0, 31, "1.17 1.19 6.2 48", 43),
            ("m-small", (43, 2016, 27919, 12176), "1174.4 0.0 3879.5", 37, 46, "1.21 1.22 7.0 14", 77),
            ("deepseek-r1", (73, 144, 2589, 522), "16.0 4.3 42.5", 0, 30, "1.03 1.02 5.6 17", 52),
            ("mm-image", (35, 144, 1755, 339), "9.47 4.9 13.3", 0, 42, "1.37 1.01 4.9 12", 56),
        ],
    )
    def test_a_pool_has_the_numbers_of_the_collections_table(
        self, name: str, whole: tuple[int, ...], rates: str, idle: int, active: int, cvs: str, top: int
    ) -> None:
        row = self.read(name).describe().iloc[0]
        assert tuple(row[["clients", "windows", "gamma_windows", "weibull_windows"]]) == whole
        assert row["idle_windows"] == idle
        for value, number in zip(row[["mean_qps", "min_qps", "peak_qps"]], rates.split(), strict=True):
            assert f"{value:.{len(number.partition('.')[2])}f}" == number
        for value, number in zip(row[["cv_median", "cv_p50", "cv_p90", "cv_p99"]], cvs.split(), strict=True):
            assert f"{value:.{len(number.partition('.')[2])}f}" == number
        assert round(100 * row["active_share"]) == active
        assert round(100 * row["top5_share"]) == top

    @pytest.mark.slow
    def test_every_window_of_a_pool_has_its_rate_on_average(self) -> None:
        pool = self.read("deepseek-r1")
        drawn = np.array([counts(draw(pool, seed=seed, duration="1d"), 144) for seed in range(40)])
        expected = pool.rates_qps.sum(axis=0) * 600
        score = (drawn.mean(axis=0) - expected) / (drawn.std(axis=0, ddof=1) / 40**0.5)
        assert np.abs(score).max() < 4.4  # Student's t with 39 degrees of freedom: one of 144 beyond it in 100 runs
        assert score.std() == pytest.approx((39 / 37) ** 0.5, abs=3 / (2 * 144) ** 0.5)

    @pytest.mark.slow
    def test_an_hour_of_the_busiest_pool_has_its_rate(self) -> None:
        pool = self.read("m-small")
        spec = spec_of(start="10h", duration="1h")
        found = sum(map(len, servegen_pieces(pool, spec, seed=1, size=1 << 16)))
        assert found == pytest.approx(expected_queries(pool, spec), rel=0.01)
        assert expected_queries(pool, spec) > 3_000_000

    @pytest.mark.slow
    def test_images_and_texts_have_the_means_of_their_dataset(self) -> None:
        pool = self.read("mm-image", tokens=True)
        trace = draw(pool, duration="1d")
        assert set(trace.attributes) == {
            "client", "text_tokens", "output_tokens",
            *(f"{kind}_{what}" for kind in ("image", "audio", "video") for what in ("count", "tokens")),
        }  # fmt: skip
        weight = pool.rates_qps.reshape(len(pool.clients), 4, 36).sum(axis=2)
        for field in ("text_tokens", "output_tokens", "image_tokens"):
            means = np.array([[law.mean for law in pool.tokens[client].fields[field]] for client in pool.clients])
            assert trace.attributes[field].mean() == pytest.approx((means * weight).sum() / weight.sum(), rel=0.02)
