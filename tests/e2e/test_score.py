"""From a clip to music that a DAW can open."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pretty_midi
import pytest
import symusic

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.outputs.scorefile import read_score
from tests.e2e.conftest import PROGRAM, Run, write_metadata

pytestmark = pytest.mark.slow

TRACKS = [instrument.title for instrument in Instrument]
TICKS = 480  # MIDI ticks per quarter


def notes_of(path: Path) -> list[list[tuple[int, int, int, int]]]:
    song = symusic.Score(str(path))
    return [sorted((n.time, n.pitch, n.duration, n.velocity) for n in track.notes) for track in song.tracks]


@pytest.fixture
def mine(folder: Path, clip: Path) -> Path:
    """Give a clip that lies where the program runs."""
    return Path(shutil.copy(clip, folder))


@pytest.fixture
def scored(run: Run, mine: Path, model: Path) -> tuple[Path, dict[str, Any]]:
    done = run("score", mine.name, "--model", model, "--seed", 3, "--json")
    assert done.returncode == 0, done.stderr
    return mine.with_name("my clip.cmt") / "take 1", json.loads(done.stdout)


def test_music_is_in_time_and_as_long_as_picture(scored: tuple[Path, dict[str, Any]], clip: Path) -> None:
    folder, result = scored
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.json", "my clip.mid", "score.json", "take.json"]
    assert (folder / "my clip.mid").read_bytes() == (folder.parents[1] / "my clip.mid").read_bytes()
    metadata = json.loads((folder / "metadata.json").read_text())
    score = read_score(folder)
    assert metadata["duration"] == score.duration == pytest.approx(8.0, abs=0.05)
    assert metadata["source"]["name"] == score.provenance.video == clip.name
    (take,) = result["takes"]
    assert (take["folder"], take["take"], take["seed"], take["bars"]) == (str(folder), 1, 3, score.bars)
    assert result["dropped"] == [str(folder.parents[1] / "my clip.mid")]

    midi = folder / "my clip.mid"
    song = symusic.Score(str(midi))
    assert [track.name for track in song.tracks] == TRACKS
    assert [track.is_drum for track in song.tracks] == [True, False, False, False, False]
    assert [(t.time, t.mspq) for t in song.tempos] == [(c.tick * TICKS // 4, c.uspq) for c in score.tempo_map.changes]
    assert [(s.numerator, s.denominator) for s in song.time_signatures] == [(4, 4)]
    pretty = pretty_midi.PrettyMIDI(str(midi))
    assert [part.name for part in pretty.instruments] == [t.name for t in score.tracks if t.notes]
    for bar in range(score.bars + 1):
        assert abs(pretty.tick_to_time(bar * 4 * TICKS) - float(score.tempo_map.bar_seconds(bar))) < 0.001
    tick = float(score.tempo_map.seconds(1))
    before, after = (float(score.tempo_map.bar_seconds(bar)) for bar in (score.bars - 1, score.bars))
    assert before < score.duration <= after + tick

    ends = [note.end for part in pretty.instruments for note in part.notes]
    assert max(ends) == pytest.approx(score.duration, abs=tick)
    for track, notes in zip(score.tracks, notes_of(midi), strict=True):
        part = PARTS[track.instrument]
        assert len(notes) == len(track.notes)
        assert all(part.low <= pitch <= part.high for _, pitch, _, _ in notes)
    written = TempoMap.of([(t.time, t.mspq) for t in song.tempos])
    assert len(song.markers) == len(score.markers)
    for marker, wanted in zip(sorted(song.markers, key=lambda m: m.time), score.markers, strict=True):
        seconds = float(written.seconds(marker.time)) * 4 / TICKS
        assert abs(seconds - wanted.seconds) < 0.001
    cuts = [marker.seconds for marker in score.markers if marker.kind == "cut"]
    assert any(abs(cut - 5.0) < 0.021 for cut in cuts)


def test_equal_seeds_give_equal_bytes_and_overwrite_nothing(
    scored: tuple[Path, dict[str, Any]], run: Run, mine: Path, model: Path
) -> None:
    first = scored[0]
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    done = run("score", mine.name, "--model", model, "--seed", 3)
    assert (done.returncode, done.stdout) == (0, "my clip.cmt/take 2\n")
    again = {path.name: path.read_bytes() for path in first.with_name("take 2").iterdir()}
    assert before == {path.name: path.read_bytes() for path in first.iterdir()}
    assert {**again, "take.json": b""} == {**before, "take.json": b""}
    assert run("score", mine.name, "--model", model, "--seed", 4).returncode == 0
    assert (first.with_name("take 3") / "my clip.mid").read_bytes() != before["my clip.mid"]
    done = run("score", mine.name, "--model", model, "--seed", 3, "-o", "music")
    assert (done.returncode, done.stdout) == (0, "music\n")
    assert (mine.with_name("music") / "score.json").read_bytes() == before["score.json"]


def test_takes_have_seeds_that_count_up(run: Run, folder: Path, metadata: Path, model: Path) -> None:
    done = run("score", metadata, "--model", model, "-n", 3, "--seed", 7, "-o", "music")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["music", "music take 2", "music take 3"]
    scores = [read_score(folder / name) for name in done.stdout.splitlines()]
    assert [score.provenance.seed for score in scores] == [7, 8, 9]
    assert all(a.tracks != b.tracks for a, b in pairwise(scores))


def test_what_is_asked_for_is_what_comes(run: Run, folder: Path, metadata: Path, model: Path) -> None:
    arguments = ("--tempo", 97, "--instruments", "bass,piano", "--pitches", "bass=30-40", "--polyphony", "piano=2")
    done = run("score", metadata, "--model", model, "-o", "music", "--control", 1, *arguments)
    assert done.returncode == 0, done.stderr
    score = read_score(folder / "music")
    assert score.tempo_map.bpm_at(0) == pytest.approx(97, abs=1e-3)
    played = {track.name for track in score.tracks if track.notes}
    assert played <= {"Bass", "Piano"}
    for track in score.tracks:
        if track.name == "Bass":
            assert all(30 <= note.pitch <= 40 for note in track.notes)
        most = 2 if track.name == "Piano" else 1
        for note in track.notes:
            assert sum(other.onset <= note.onset < other.end for other in track.notes) <= most


def test_the_analysis_is_done_once(scored: tuple[Path, dict[str, Any]], run: Run, clip: Path, folder: Path) -> None:
    done = run("analyze", clip, "-o", "clip.json", "--tempo", 88)
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "clip.json").read_text())
    assert data["tempo"] == pytest.approx(88, abs=1e-3)
    assert data["source"] == json.loads((scored[0] / "metadata.json").read_text())["source"]


def test_a_score_becomes_sound_and_numbers(
    scored: tuple[Path, dict[str, Any]], run: Run, folder: Path, clip: Path
) -> None:
    done = run("convert", scored[0] / "my clip.mid", "song.npz", "--least-notes", 0)
    assert done.returncode == 0, done.stderr
    done = run("match", scored[0] / "metadata.json", scored[0], "song.npz")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    done = run("preview", scored[0], "--video", clip)
    if done.returncode == 4:
        pytest.skip("no SoundFont on this computer")
    assert done.returncode == 0, done.stderr
    assert (folder / done.stdout.strip()).stat().st_size > 10_000


ODD_NAMES = {
    "\udcff.mp4": "_",
    "a\nb.mp4": "a_b",
    "..mp4": "clip",
    "ü 日本 %d.mp4": "ü 日本 %d",
}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_clip_may_have_any_name(run: Run, folder: Path, clip: Path, model: Path, name: str) -> None:
    (folder / name).symlink_to(clip)
    done = run("score", name, "--model", model)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ODD_NAMES[name]}.cmt/take 1\n"
    assert read_score(folder / done.stdout.strip()).title == ODD_NAMES[name]
    assert (folder / f"{ODD_NAMES[name]}.mid").is_file()
    done = run("takes", name, "--json")
    assert [take["take"] for take in json.loads(done.stdout)["takes"]] == [1]


def test_where_nothing_can_be_written_beside_the_clip(
    environment: dict[str, str], folder: Path, clip: Path, model: Path
) -> None:
    """As on a camera's card: the score comes where the program runs."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("mounting needs root")
    card = folder / "card"
    card.mkdir()
    shutil.copy(clip, card)
    shell = 'mount --bind -o ro card card && mount -o remount,bind,ro card || exit 99; "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell, "sh", *PROGRAM, "score", "card/my clip.mp4", "--model", str(model)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 99:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "my clip.cmt/take 1\n"
    assert (folder / "my clip.mid").is_file()


def test_the_model_that_comes_with_it_composes(run: Run, folder: Path, tmp_path: Path) -> None:
    listed = {model["name"]: model for model in json.loads(run("models", "list", "--json").stdout)}
    assert listed[DEFAULT]["default"]
    done = run("score", write_metadata(tmp_path / "metadata.json", 4.0))
    assert done.returncode == 0, done.stderr
    score = read_score(folder / done.stdout.strip())
    assert score.provenance.model == DEFAULT
    assert sum(len(track.notes) for track in score.tracks) > 10
