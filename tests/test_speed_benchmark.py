"""The speed benchmark's inputs are what they claim, and what it reports follows from what was measured."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.speed import sets, venvs, words
from tests.benchmarks.speed.agreement import agreement
from tests.benchmarks.speed.contend import steady_rate
from tests.benchmarks.speed.report import break_even, limit, record, table
from tests.benchmarks.speed.rounds import Bench, Entry, Place, committed_rate, ordered, ratios, summary
from tests.benchmarks.speed.watching import Outcome, busy_seconds, tree_bytes, watch
from tests.benchmarks.speed.workloads import OURS, WORKLOADS, Contender


def outcome(seconds: float = 1.0, foreign: float = 0.0, error: str = "") -> Outcome:
    return Outcome(seconds, seconds, 1_000_000, foreign, (0.0, 0.0), "", error)


class TestPictures:
    def test_they_weigh_what_photographs_weigh(self, tmp_path: Path) -> None:
        for path in sets.made("pictures", 4, tmp_path).iterdir():
            with Image.open(path) as picture:
                assert picture.size == (500, 375)
            assert 0.3 <= path.stat().st_size / (500 * 375) <= 0.6

    def test_equal_seeds_give_equal_files_and_no_two_are_alike(self, tmp_path: Path) -> None:
        first, second = (sets.made("pictures", 3, tmp_path / name) for name in "ab")
        contents = [path.read_bytes() for path in sorted(first.iterdir())]
        assert contents == [path.read_bytes() for path in sorted(second.iterdir())]
        assert len(set(contents)) == 3

    def test_a_set_is_made_once(self, tmp_path: Path) -> None:
        folder = sets.made("tiny", 2, tmp_path)
        mark = folder / "mark"
        mark.touch()
        assert sets.made("tiny", 2, tmp_path) == folder
        assert mark.exists()

    @pytest.mark.parametrize(("label", "share"), [*sets.SIZES.items(), *sets.QUIRKS.items()])
    def test_a_mixed_folder_keeps_its_shares(self, label: str, share: float) -> None:
        labels = [label for pair in sets.mixture(1000, 0) for label in pair]
        assert labels.count(label) == round(1000 * share)

    @pytest.mark.parametrize(
        ("quirk", "mode", "kind", "orientation"),
        [
            ("plain", "RGB", "JPEG", None),
            ("grey", "L", "JPEG", None),
            ("cmyk", "CMYK", "JPEG", None),
            ("rotated", "RGB", "JPEG", 6),
            ("png", "RGB", "PNG", None),
            ("webp", "RGB", "WEBP", None),
        ],
    )
    def test_oddities_are_in_the_file(self, quirk: str, mode: str, kind: str, orientation: int | None) -> None:
        _, content = sets._quirky(np.random.default_rng(0), 96, 64, quirk)
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.mode, picture.format) == (mode, kind)
            assert picture.getexif().get(0x0112) == orientation

    def test_a_progressive_jpeg_says_so(self) -> None:
        _, content = sets._quirky(np.random.default_rng(0), 96, 64, "progressive")
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.info["progressive"]

    def test_a_truncated_one_cannot_be_decoded(self) -> None:
        _, content = sets._quirky(np.random.default_rng(0), 96, 64, "truncated")
        with Image.open(io.BytesIO(content)) as picture, pytest.raises(OSError, match="truncated"):
            picture.load()


class TestWords:
    def test_captions_have_8_to_40_tokens_of_clip(self) -> None:
        lengths = [len(line.split()) + 2 for line in words.captions(300)]
        assert (min(lengths), max(lengths)) == (8, 40)

    def test_every_word_of_the_captions_is_one_token_of_clip(self) -> None:
        spec = importlib.util.find_spec("open_clip")  # found, not imported: it would bring torch along
        assert spec is not None
        assert spec.origin is not None
        with gzip.open(Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz"), "rt") as file:
            merged = {line.replace(" ", "").strip() for line in file.readlines()[1 : 49152 - 256 - 1]}
        assert {
            word for word in words.CAPTION_WORDS.split() if len(word) > 1 and f"{word}</w>" not in merged
        } == set()

    def test_texts_are_as_long_as_log_normal_ones(self) -> None:
        tokenizer = words.wordpiece()
        texts = words.texts(600)
        lengths = [len(tokenizer.encode(text).ids) for text in texts]
        assert np.median(lengths) == pytest.approx(words.MEDIAN, abs=1.5)
        assert np.quantile(lengths, 0.9) == pytest.approx(words.P90, rel=0.1)
        assert max(lengths) <= words.MOST

    def test_a_tenth_of_the_texts_are_repeated(self) -> None:
        texts = [text for text in words.texts(1000) if len(text) > 40]
        assert len(set(texts)) / len(texts) == pytest.approx(0.9, abs=0.02)

    def test_nothing_in_the_texts_is_unknown(self) -> None:
        tokenizer = words.wordpiece()
        assert all("[UNK]" not in tokenizer.encode(text).tokens for text in words.texts(100))


class TestSounds:
    def test_formats_and_lengths_are_spread_as_promised(self, tmp_path: Path) -> None:
        import soundfile

        files = sorted(sets.made("sounds", 10, tmp_path).iterdir())
        assert sorted(path.suffix for path in files) == [".flac"] * 2 + [".mp3"] + [".wav"] * 7
        seconds = [soundfile.info(path).duration for path in files]
        assert min(seconds) >= 1
        assert max(seconds) <= 30.1  # MP3 pads its last frame
        assert np.median(seconds) == pytest.approx(math.sqrt(30), rel=0.2)

    def test_records_of_a_folder_share_their_names(self, tmp_path: Path) -> None:
        stems = sorted(path.stem for path in sets.made("folder", 2, tmp_path).iterdir())
        assert stems == ["r000000"] * 3 + ["r000001"] * 3


class TestRounds:
    def test_every_other_round_goes_backwards(self) -> None:
        assert [ordered("ABC", number) for number in range(3)] == [list("ABC"), list("CBA"), list("ABC")]

    def test_a_ratio_is_taken_within_a_round(self) -> None:
        peer, ours = [outcome(4.0), outcome(9.0)], [outcome(2.0), outcome(3.0)]
        assert ratios(peer, ours) == [2.0, 3.0]

    @pytest.mark.parametrize("spoilt", [outcome(8.0, foreign=0.11), outcome(8.0, error="exit code 1: no")])
    def test_a_spoilt_run_takes_its_round_out_on_either_side(self, spoilt: Outcome) -> None:
        fine = [outcome(2.0), outcome(1.0)]
        assert ratios([spoilt, outcome(3.0)], fine) == [3.0]
        assert ratios([outcome(3.0), outcome(3.0)], [spoilt, outcome(1.0)]) == [3.0]

    def test_a_summary_holds_median_and_extremes(self) -> None:
        assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": 3}
        assert summary([]) is None

    def test_every_way_of_ours_is_the_real_command_with_its_flags(self, tmp_path: Path) -> None:
        bench = Bench(WORKLOADS["captions"], tmp_path / "c.jsonl", {"clip": "w.pt"}, Place(tmp_path, (0,), 1), 1)
        for name, flags in OURS.items():
            entry = bench.ours(name)
            assert entry.command is not None
            command = [str(word) for word in entry.command(tmp_path, tmp_path / "task.json")]
            assert command[1:5] == ["-m", "pipelines.cli.main", "run", str(tmp_path / "c.jsonl")]
            assert set(flags) <= set(command)
            assert command[command.index("--weights") + 1] == "text.clip=w.pt"

    def test_a_contender_that_fails_is_a_row_that_says_so(self, tmp_path: Path) -> None:
        workload = replace(WORKLOADS["resnet"], reference="broken")
        bench = Bench(workload, tmp_path, {}, Place(tmp_path / "runs", (0,), 30), 5)
        code = "import sys; print('cannot go on', file=sys.stderr); sys.exit(9)"
        broken = Entry(Contender("broken", ""), lambda out, task: [sys.executable, "-c", code])
        missing = Entry(Contender("missing", ""), None, problem="not installed within 120 s")
        bench.turn(broken)
        printed = table("resnet", record({"broken": broken, "missing": missing}, "broken", 5, {}))
        assert "exit code 9: cannot go on" in printed
        assert "not installed within 120 s" in printed

    def test_one_that_ends_without_vectors_has_failed(self, tmp_path: Path) -> None:
        bench = Bench(WORKLOADS["resnet"], tmp_path, {}, Place(tmp_path / "runs", (0,), 30), 5)
        silent = Entry(Contender("silent", "pictures:x"), lambda out, task: [sys.executable, "-c", "pass"])
        bench.turn(silent)
        assert "vectors cannot be read" in silent.problem

    def test_the_fastest_setting_is_kept_and_the_others_are_told(self, tmp_path: Path) -> None:
        code = (
            "import json, numpy, sys; t = json.load(open(sys.argv[1])); s = t['settings']['batch'];"
            "numpy.save(t['out'] + '/vectors.npy', numpy.ones((1, 1)));"
            "print(json.dumps({'rate': -abs(s - 2) + 9}))"
        )
        settings = tuple({"batch": size} for size in (1, 2, 4))
        entry = Entry(
            Contender("peer", "pictures:x", settings=settings),
            lambda out, task: [sys.executable, "-c", code, task],
        )
        Bench(WORKLOADS["resnet"], tmp_path, {}, Place(tmp_path / "runs", (0,), 30), 5).tune(entry)
        assert entry.settings == {"batch": 2}
        assert [tried["rate"] for tried in entry.sweep] == [8, 9, 7]


class TestWatching:
    def run(self, code: str, timeout: float = 30.0) -> Outcome:
        return watch([sys.executable, "-c", code], env={}, cores=(0,), timeout=timeout)

    def test_memory_of_children_counts(self) -> None:
        child = "held = bytes(range(256)) * 250_000; print('ready', flush=True); input()"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", code], **given) as process:  # type: ignore[call-overload]
            assert process.stdout.readline() == b"ready\n"
            assert 64e6 < tree_bytes(process.pid) < 200e6
            process.communicate(b"\n")

    def test_output_and_exit_code_are_kept(self) -> None:
        found = self.run("import sys; print('told'); print('first\\nlast', file=sys.stderr); sys.exit(2)")
        assert (found.output, found.error) == ("told\n", "exit code 2: last")

    def test_one_that_takes_too_long_is_ended(self) -> None:
        found = self.run("import time; time.sleep(60)", timeout=0.3)
        assert "not done after" in found.error
        assert found.seconds < 30

    def test_busy_time_is_that_of_the_cores_asked_for_and_stolen_time_is_busy(self) -> None:
        stat = "cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 100 1 2 1000 1000 3 4 90 0 0\ncpu1 7 0 0 5 5 0 0 0 0 0\nintr 1\n"
        assert busy_seconds((0,), stat) == pytest.approx(2.0)
        assert busy_seconds((0, 1), stat) == pytest.approx(2.07)


class TestAgreement:
    def test_equal_vectors_agree(self) -> None:
        vectors = np.random.default_rng(0).standard_normal((50, 8))
        found = agreement(3 * vectors, vectors)
        assert found.cosine_p1 == pytest.approx(1)
        assert found.overlap == 1
        assert found.relative_l2 < 1e-12

    def test_centring_shows_what_a_common_direction_hides(self) -> None:
        rng = np.random.default_rng(0)
        common = np.zeros(64) + 10
        right, wrong = (common + rng.standard_normal((200, 64)) for _ in range(2))
        raw = np.sum(right * wrong, 1) / np.linalg.norm(right, axis=1) / np.linalg.norm(wrong, axis=1)
        assert raw.min() > 0.98
        assert abs(agreement(wrong, right).cosine_median) < 0.1

    def test_an_error_common_to_all_counts_unless_each_is_centred_apart(self) -> None:
        right = np.random.default_rng(0).standard_normal((200, 64)) / 8 + np.eye(64)[0] * 8
        found = agreement(right + np.eye(64)[1] / 2, right)
        assert found.cosine_p1 < 0.95
        assert found.apart_p1 > 0.99

    def test_rows_that_failed_are_left_out(self) -> None:
        right = np.random.default_rng(0).standard_normal((9, 4))
        found = right.copy()
        found[2] = np.nan
        assert agreement(found, right).rows == 8

    def test_vectors_of_another_shape_are_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot be compared"):
            agreement(np.ones((4, 3)), np.ones((4, 2)))


class TestFigures:
    def test_the_first_fifth_does_not_count_in_a_rate(self) -> None:
        progress = [(100.0, 20), *((100.0 + number, 20 + 16 * number) for number in range(1, 6))]
        assert steady_rate(progress) == pytest.approx(16.0)

    def test_a_handful_of_batches_has_no_rate(self) -> None:
        assert steady_rate([(1.0, 50), (2.0, 100)]) is None

    def test_our_rate_is_that_of_the_commits_after_the_first(self, tmp_path: Path) -> None:
        self.commit(tmp_path, at=(50.0, 60.0, 70.0))
        assert committed_rate(tmp_path) == pytest.approx(10.0)

    def test_two_commits_tell_their_seconds(self, tmp_path: Path) -> None:
        self.commit(tmp_path, at=(50.0, 60.0))
        assert committed_rate(tmp_path) == pytest.approx(25.0)

    def commit(self, out: Path, at: tuple[float, ...]) -> None:
        """Parts of 100 rows, 4 seconds each by their own account."""
        (out / "commits").mkdir()
        for number, seconds in enumerate(at):
            path = out / "commits" / f"part-{number:06d}.json"
            path.write_text(json.dumps({"rows": 100, "seconds": {"total": 4.0}}))
            os.utime(path, (seconds, seconds))

    def test_two_stages_on_the_same_cores_add_up(self) -> None:
        assert limit(300.0, 150.0) == pytest.approx(100.0)
        assert limit(None, 150.0) is None

    @pytest.mark.parametrize(
        ("ours", "peer", "inputs"),
        [((10.0, 0.1), (2.0, 0.5), 20.0), ((1.0, 0.1), (2.0, 0.5), 0.0), ((1.0, 0.5), (2.0, 0.1), math.inf)],
    )
    def test_a_late_start_is_made_good_by_speed(
        self, ours: tuple[float, float], peer: tuple[float, float], inputs: float
    ) -> None:
        assert break_even(ours, peer) == pytest.approx(inputs)

    def test_a_ratio_on_both_sides_of_one_is_marked(self) -> None:
        ours = Entry(Contender("ours", ""), None, outcomes=[outcome(2.0), outcome(2.0)], told=[{}, {}])
        peer = Entry(Contender("peer", ""), None, outcomes=[outcome(1.0), outcome(4.0)], told=[{}, {}])
        assert "~ 1.25 (0.50–2.00)" in table("x", record({"ours": ours, "peer": peer}, "peer", 10, {}))

    def test_rounds_that_others_disturbed_are_told(self) -> None:
        peer = Entry(Contender("peer", ""), None, outcomes=[outcome(1.0, foreign=0.5)], told=[{}])
        assert "1 of 1 rounds disturbed" in table("x", record({"peer": peer}, "peer", 10, {}))


def test_a_peer_that_cannot_be_installed_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert venvs.environment("fastembed", tmp_path) == "uv is not installed"
