from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from cmt_bridge.composition.plan import density_class, strength_class
from cmt_bridge.midi.song import read_song
from cmt_bridge.outputs.scorefile import read_metadata, read_score


def write_song(path: Path, *, notes: int = 40, tempo: int = 600_000, name: str = "Piano") -> Path:
    """Write a piano scale in eighths with a bass below it."""
    file = mido.MidiFile(ticks_per_beat=96)
    conductor = file.add_track()
    conductor.append(mido.MetaMessage("set_tempo", tempo=tempo))
    conductor.append(mido.MetaMessage("marker", text="Cut 1", time=192))
    for channel, title, low in ((0, name, 60), (1, "Bass", 36)):
        track = file.add_track(title)
        for note in range(notes):
            track.append(mido.Message("note_on", channel=channel, note=low + note % 12, velocity=90, time=5))
            track.append(mido.Message("note_off", channel=channel, note=low + note % 12, time=43))
    file.save(path)
    return path


def test_midi_to_tokens_and_back(run: Any, tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid")
    code, out, err = run("convert", song, tmp_path / "a.npz")
    assert (code, out.strip(), err) == (0, str(tmp_path / "a.npz"), "")
    tokens = np.load(tmp_path / "a.npz")["tokens"]
    assert tokens[0].tolist() == [1, 17, 9, 0, 0, 0, 0, 0, 80, 0]
    assert tokens[1].tolist() == [1, 1, 8, 0, 0, 2, 1, 0, 80, 0]
    assert tokens[2].tolist() == [2, 0, 0, 61, 3, 2, 0, 0, 80, 0]
    assert run("convert", tmp_path / "a.npz", tmp_path / "b.mid", "--tempo", "90")[0] == 0
    back = read_song(tmp_path / "b.mid")
    assert back.tempos == ((0, 666_667),)
    assert [(t.name, len(t.notes)) for t in back.tracks] == [("Piano", 40), ("Bass", 40)]
    assert run("convert", tmp_path / "b.mid", tmp_path / "b.npz")[0] == 0
    assert np.array_equal(np.load(tmp_path / "b.npz")["tokens"], tokens)


def test_midi_to_score_and_on(run: Any, tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid")
    assert run("convert", song, tmp_path / "score.json")[0] == 0
    score = read_score(tmp_path)
    assert score.bars == 5
    assert [change.uspq for change in score.tempo_map.changes] == [600_000]
    assert [(m.kind, m.text, m.seconds) for m in score.markers] == [("cut", "Cut 1", pytest.approx(1.2))]
    assert score.tracks[1].notes[0].velocity == 90
    assert run("convert", tmp_path / "score.json", tmp_path / "c.mid")[0] == 0
    assert run("convert", tmp_path, tmp_path / "c.npz")[0] == 0
    assert run("convert", tmp_path / "c.mid", tmp_path / "d.npz")[0] == 0
    assert np.array_equal(np.load(tmp_path / "c.npz")["tokens"], np.load(tmp_path / "d.npz")["tokens"])


def test_a_folder_to_a_library_and_back(run: Any, tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "deep").mkdir(parents=True)
    write_song(library / "one.mid")
    write_song(library / "deep" / "two.MID", notes=60)
    (library / "bad.mid").write_bytes(b"no")
    code, _, err = run("convert", library, tmp_path / "all.npz")
    assert code == 0
    assert "bad.mid is not a MIDI file" in err
    assert run("convert", tmp_path / "all.npz", tmp_path / "x.mid")[0] == 2
    code, out, _ = run("convert", tmp_path / "all.npz", tmp_path / "out", "--json")
    assert code == 0
    assert [Path(path).name for path in json.loads(out)["outputs"]] == ["two.mid", "one.mid"]
    assert len(read_song(tmp_path / "out" / "two.mid").tracks[0].notes) == 60


VBEATS = [{"start_time": s, "weight": w} for s, w in ((0.0, 0.1), (1.5, 0.95), (4.126, 0.5), (7.0, 1.0))]
METADATA = {"duration": 9.1, "tempo": 100.0, "vbeats": VBEATS, "flow_magnitude_per_bar": [0.001, 0.6, 9.0, 0.03]}


def expected_rows(metadata: dict[str, Any]) -> list[list[int]]:
    """Map metadata as the released code describes it: bar rows, each followed by its visual beats."""
    n_beat = math.ceil(metadata["duration"] / 60 * metadata["tempo"] * 4)
    rows = []
    for bar, flow in enumerate(metadata["flow_magnitude_per_bar"]):
        rows.append([17, density_class(flow) + 1, 0, bar * 16])
        for vbeat in metadata["vbeats"]:
            tick = vbeat.get("tick", round(vbeat["start_time"] * metadata["tempo"] / 15) % 16)
            if vbeat.get("bar", round(vbeat["start_time"] * metadata["tempo"] / 15) // 16) == bar:
                rows.append([tick + 1, 0, strength_class(vbeat["weight"]), bar * 16 + tick])
    # A bar that begins after the end would get a class above 101, which the network does not have.
    return [[*row, n_beat, min(101, round(row[3] / n_beat * 100) + 1)] for row in rows]


def test_metadata_to_npz_and_back(run: Any, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps(METADATA))
    assert run("convert", tmp_path / "metadata.json", tmp_path / "v.npz")[0] == 0
    rows = np.load(tmp_path / "v.npz")["input"]
    assert rows.tolist() == expected_rows(METADATA)
    assert run("convert", tmp_path / "v.npz", tmp_path / "back.json", "--tempo", "100")[0] == 0
    assert read_metadata(tmp_path / "back.json").tempo == 100
    assert run("convert", tmp_path / "back.json", tmp_path / "w.npz")[0] == 0
    assert np.array_equal(np.load(tmp_path / "w.npz")["input"], rows)


def test_nothing_is_replaced_unless_asked(run: Any, tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid")
    (tmp_path / "a.npz").write_bytes(b"mine")
    code, _, err = run("convert", song, tmp_path / "a.npz")
    assert code == 5
    assert "exists already" in err
    assert (tmp_path / "a.npz").read_bytes() == b"mine"
    assert run("convert", song, tmp_path / "a.npz", "--force")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "target", "code", "message"),
    [
        ("a.mid", b"", "a.npz", 3, "is empty"),
        ("a.mid", b"text", "a.npz", 3, "not a MIDI file"),
        ("a.npz", b"text", "a.mid", 3, "not a .npz"),
        ("a.json", b"{", "a.npz", 3, "not valid JSON"),
        ("a.json", b"{}", "a.mid", 3, "not a cmt-bridge score"),
        ("a.json", b'{"vbeats": 3}', "a.npz", 3, "not video metadata"),
        ("a.json", json.dumps(METADATA | {"tempo": math.inf}).encode(), "a.npz", 3, "damaged"),
        ("a.json", json.dumps(METADATA | {"duration": math.nan}).encode(), "a.npz", 3, "impossible times"),
        ("a.json", json.dumps(METADATA).encode(), "a.mid", 2, "cannot become"),
        ("a.txt", b"text", "a.mid", 2, "nothing that can be converted"),
        ("none.mid", None, "a.npz", 3, "There is no file"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Any, tmp_path: Path, name: str, content: bytes | None, target: str, code: int, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    got, out, err = run("convert", tmp_path / name, tmp_path / "out" / target)
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_song_of_short_tracks_only_needs_an_option(run: Any, tmp_path: Path) -> None:
    song = write_song(tmp_path / "a.mid", notes=20)
    code, _, err = run("convert", song, tmp_path / "a.npz")
    assert code == 3
    assert "--least-notes" in err
    assert run("convert", song, tmp_path / "a.npz", "--least-notes", "0")[0] == 0


@pytest.mark.shared
def test_songs_equal_the_originals(run: Any, shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "reference" / "midi").glob("*.mid"))
    assert len(paths) == 5
    for path in paths:
        assert run("convert", path, tmp_path / f"{path.stem}.npz")[0] == 0
        ours, theirs = np.load(tmp_path / f"{path.stem}.npz"), np.load(path.with_suffix(".npz"))
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs.files)

        assert run("convert", path.with_suffix(".npz"), tmp_path / path.name)[0] == 0
        expected = json.loads((path.parent / "back" / f"{path.stem}_notes.json").read_text())
        tracks = {track.name: track for track in read_song(tmp_path / path.name).tracks}
        for name, part in expected.items():
            notes = tracks[name].notes.tolist() if name in tracks else []
            on_grid = [[round(start / 120), pitch, round((end - start) / 120), v] for start, end, pitch, v in notes]
            assert sorted(on_grid) == sorted(part["notes"])
            if notes and name != "Drums":
                assert tracks[name].program == part["program"]


@pytest.mark.shared
def test_videos_equal_the_originals(run: Any, shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "reference" / "video").glob("*.metadata.json"))
    assert len(paths) == 4
    for path in paths:
        assert run("convert", path, tmp_path / f"{path.stem}.npz")[0] == 0
        rows = np.load(tmp_path / f"{path.stem}.npz")["input"].tolist()
        assert rows == expected_rows(json.loads(path.read_text()))
    for path in sorted((shared / "reference" / "authors").glob("*.npz")):
        assert run("convert", path, tmp_path / "m.json", "--force", "--tempo", "97.3")[0] == 0
        assert run("convert", tmp_path / "m.json", tmp_path / "m.npz", "--force")[0] == 0
        assert np.array_equal(np.load(tmp_path / "m.npz")["input"], np.load(path)["input"])


@pytest.mark.shared
def test_odd_files_of_the_original_work_or_say_why(run: Any, shared: Path, tmp_path: Path) -> None:
    codes = {}
    for path in sorted((shared / "reference" / "midi" / "odd").glob("*.mid")):
        codes[path.stem[:2]], _, err = run("convert", path, tmp_path / f"{path.stem}.npz")
        assert err.count("\n") <= 1
    assert codes == {"e1": 0, "e2": 0, "e3": 0, "e4": 3, "e5": 0, "e6": 3, "e7": 0, "e8": 0}
