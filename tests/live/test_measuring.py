"""A video that is measured while its music plays."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.errors import CmtBridgeError, VideoError
from cmt_bridge.ipc.child import command_line
from cmt_bridge.live.measuring import LEAVE, MODULE, OVER, Look, carry_out, looks, order
from cmt_bridge.video.analysis import analyze
from cmt_bridge.video.cache import measured
from tests.clips import panning, pulsing, write_clip

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", pulsing(10, 10, 100), 10)


def test_analysis_grows_at_the_initial_tempo(clip: Path) -> None:
    seen = list(looks(clip, AnalysisOptions(), patience=0.0))
    assert [look.whole for look in seen] == [*(False for _ in seen[1:]), True]
    assert len(seen) > 3
    assert [look.seconds for look in seen] == sorted(look.seconds for look in seen)
    assert len({look.metadata.tempo for look in seen}) == 1
    assert len({look.metadata.duration for look in seen}) == 1
    for before, after in pairwise(seen):
        known = len(before.metadata.flow_per_bar)
        assert after.metadata.flow_per_bar[: known - 1] == pytest.approx(before.metadata.flow_per_bar[:-1])


def test_the_tempo_waits_for_enough_picture(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pulsing(12, 25, 100), 25)
    first = next(looks(clip, AnalysisOptions(), patience=PATIENCE))
    assert 10.0 <= first.seconds < 12.0
    assert first.metadata.tempo == pytest.approx(100, abs=2)


def test_what_is_kept_is_what_measuring_at_once_keeps(clip: Path, cache: Path) -> None:
    *_, last = looks(clip, AnalysisOptions(tempo=96.0), patience=0.0)
    (entry,) = cache.glob("measurements/*.npz")
    streamed = entry.read_bytes()
    entry.unlink()
    whole = measured(clip)
    assert entry.read_bytes() == streamed
    assert last.metadata == analyze(whole, AnalysisOptions(tempo=96.0))


def test_what_was_measured_before_is_known_at_once(clip: Path) -> None:
    expected = analyze(measured(clip), AnalysisOptions())
    (look,) = looks(clip, AnalysisOptions(), patience=0.0)
    assert look.whole
    assert look.metadata == expected


def test_a_look_is_the_same_when_it_was_said(clip: Path) -> None:
    said: list[str] = []
    carry_out(order(clip, AnalysisOptions(), 0.0), lambda message: said.append(json.dumps(message)))
    first = Look.from_json(json.loads(said[0]))
    assert first.to_json() == json.loads(said[0])


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(VideoError):
        next(looks(text, AnalysisOptions(), patience=0.0))


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command_line(MODULE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def say(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Give what it says of one video."""
    assert process.stdout is not None
    return [json.loads(line) for line in iter(process.stdout.readline, json.dumps(OVER) + "\n")]


def test_it_ends_with_its_input(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    clip = write_clip(tmp_path / "long.mp4", panning(60, 10, 30), 10)
    assert process.stdin is not None
    assert process.stdout is not None
    say(process, order(clip, AnalysisOptions(), 0.0))
    process.stdout.readline()
    process.stdin.close()
    process.stdout.read()
    assert process.wait(PATIENCE) == 0


def test_videos_are_measured_in_turn_and_unwanted_ones_dropped(
    tmp_path: Path, clip: Path, process: subprocess.Popen[str]
) -> None:
    long = write_clip(tmp_path / "long.mp4", panning(60, 10, 30), 10)
    say(process, order(long, AnalysisOptions(), 0.0))
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    say(process, order(tmp_path / "none.mp4", AnalysisOptions(), 0.0))
    left = heard(process)
    assert not any(look["whole"] for look in [first, *left])
    (refused,) = heard(process)
    assert "none.mp4" in str(CmtBridgeError.from_json(refused))
    say(process, LEAVE)
    say(process, order(clip, AnalysisOptions(), 0.0))
    assert heard(process)[-1]["whole"]
