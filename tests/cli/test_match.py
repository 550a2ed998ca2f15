from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.outputs.npz import write_control


def write_song(path: Path, ticks: list[int], chord: int) -> None:
    """Write a piano chord of so many notes on each of the ticks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = mido.MidiFile(ticks_per_beat=4)
    track = file.add_track("Piano")
    now = 0
    for tick in ticks:
        for note in range(chord):
            track.append(mido.Message("note_on", note=60 + 3 * note, time=tick - now))
            now = tick
        for note in range(chord):
            track.append(mido.Message("note_off", note=60 + 3 * note, time=tick + 1 - now))
            now = tick + 1
    file.save(path)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    write_song(folder / "perfect.mid", [0, 4, 16, 24], 2)
    write_song(folder / "deep" / "near.MID", [0, 4, 16, 24, 28], 2)
    write_song(folder / "far.mid", list(range(32)), 5)
    (folder / "text.mid").write_text("no music")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    beats = (ControlBeat(0, 2), ControlBeat(24, 2))
    write_control(ControlTrack(TempoMap.constant(120), (2, 2), beats, 32), tmp_path / "v.npz")
    return tmp_path / "v.npz"


def test_a_perfect_match_ranks_first(run: Any, video: Path, library: Path) -> None:
    code, out, err = run("match", video, library, "--json")
    assert code == 0
    data = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert [Path(m["path"]).stem for m in data["matches"]] == ["perfect", "near", "far"]
    best, near, _ = data["matches"]
    assert (best["rank"], best["distance"], best["matchness"], best["bars"]) == (1, 0.0, None, 2)
    assert near["distance"] == 0.5
    assert near["matchness"] == 2.0
    assert [Path(one["path"]).name for one in data["skipped"]] == ["text.mid"]
    assert "text.mid is not a MIDI file" in err


def test_the_table_shows_the_best_ones(run: Any, video: Path, library: Path) -> None:
    code, out, _ = run("match", video, library, "--top", "2")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 3)
    assert lines[1].split()[:4] == ["1", "inf", "0.0000", "2"]
    assert lines[1].endswith("perfect.mid")


def test_song_arrays_match_as_their_files_do(run: Any, video: Path, library: Path, tmp_path: Path) -> None:
    assert run("convert", library, tmp_path / "songs.npz", "--least-notes", "0")[0] == 0
    arrays = np.load(tmp_path / "songs.npz")
    assert arrays["x"].shape[0] == 3
    of_files = json.loads(run("match", video, library, "--json")[1])["matches"]
    of_arrays = json.loads(run("match", video, tmp_path / "songs.npz", "--json")[1])["matches"]
    assert [m["song"] for m in of_arrays] == [m["song"] for m in of_files] == ["perfect", "near", "far"]
    assert [m["distance"] for m in of_arrays] == [m["distance"] for m in of_files]


def test_metadata_stands_for_a_video(run: Any, library: Path, tmp_path: Path) -> None:
    vbeats = [{"start_time": 0.0, "weight": 0.3}]
    metadata = {"duration": 4.0, "tempo": 120, "vbeats": vbeats, "flow_magnitude_per_bar": [0.025, 0.025]}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    data = json.loads(run("match", tmp_path / "metadata.json", library / "perfect.mid", "--json")[1])
    assert data["bars"] == 2
    assert data["matches"][0]["distance"] == 0


def test_nothing_to_compare_is_an_error(run: Any, video: Path, library: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for music in (tmp_path / "empty", tmp_path / "none.mid", library / "text.mid", video):
        code, out, err = run("match", video, music)
        assert (code, out) == (3, "")
        assert err.startswith("skipped: ")
        assert "No music of the library" in err
    assert run("match", tmp_path / "none.npz", library)[0] == 3
    assert run("match", library / "text.mid", library)[0] in (2, 3)
