from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.playing import piece, project

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path / "state"))
    project(tmp_path, piece(2, bpm=120.0))
    return tmp_path / "clip.mp4"


def test_a_dry_run_prints_what_would_be_sent(run: Run, clip: Path) -> None:
    code, out, err = run("stream", clip, "--dry-run")
    assert (code, err) == (0, "")
    ons = [line.split() for line in out.splitlines() if " note on " in line]
    assert len(ons) == 40
    assert {tuple(words[:2]) for words in ons} == {
        (f"{0.5 * number:.4f}", f"{number // 4 + 1}|{number % 4 + 1}|000") for number in range(8)
    }
    code, out, _ = run("stream", clip, "--dry-run", "--json", "--solo", "piano", "--loop", "2", "--lead", "mtc")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {line["track"] for line in lines if line["message"] == "note on"} == {"piano"}
    assert {line["message"] for line in lines if line["track"] == "sync"} == {"system exclusive", "quarter frame"}


def test_new_music_has_an_unused_seed(clip: Path) -> None:
    from cmt_bridge.live.request import asked

    assert asked(clip, {"fresh": True, "options": {"control": 1}}).settings == {"control": "1", "seed": "1"}
    assert asked(clip, {"fresh": True, "options": {"seed": 0}}).settings == {"seed": "0"}
    assert asked(clip, {}).settings == {}
    clip.with_name("cmt-bridge.toml").write_text("[score]\nseed = 4\n")
    assert asked(clip, {"fresh": True}).settings == {}


def test_what_is_not_composed_yet_is_composed_and_not_kept(run: Run, tmp_path: Path, tiny_model: Path) -> None:
    from tests.e2e.conftest import write_metadata

    clip = write_metadata(tmp_path / "new.json", 4.0)
    code, out, err = run("stream", clip, "--dry-run", "--model", tiny_model)
    assert (code, err) == (0, "")
    assert " note on " in out
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--follow", "me"), "follow must be one of clock"),
        (("--lead", "clock,me"), "lead must be a list of clock, mtc, mmc, jack, link, not 'clock,me'"),
        (("--follow", "clock", "--lead", "mtc"), "knows beats and no time"),
        (("--loop", "8-5"), "loop must be bars from 1, such as 5-8, not '8-5'"),
        (("--mute", "flute"), "mute must be a list of drums, piano, guitar, bass, strings, not 'flute'"),
        (("--latency", "drums"), "latency must be a number from -10,000 to 10,000"),
        (("--latency", "flute=3"), "of drums, piano, guitar, bass, strings, not 'flute=3'"),
        (("--stop",), "No daemon watches"),
        (("--learn", "mute.flute"), "no control 'mute.flute'"),
    ],
)
def test_what_cannot_be_done_is_refused(run: Run, clip: Path, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run("stream", clip, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_what_is_not_there_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path / "state"))
    code, _, err = run("stream", tmp_path / "nothing.mp4")
    assert code == 3
    assert "nothing.mp4" in err
