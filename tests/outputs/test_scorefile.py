from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import OutputError, ScoreError
from cmt_bridge.outputs.scorefile import read_metadata, read_score, write_json, write_score

SCORE = Score(
    tempo_map=TempoMap.of([(0, 500_000), (16, 612_345)]),
    tracks=(Track(Instrument.BASS, 33, (Note(0, 40, 4, 99), Note(8, 43, 2))), Track(Instrument.DRUMS, 0, ())),
    bars=2,
    duration=4.2,
    frame_rate=(24000, 1001),
    title='Ein "Titel" [1]\n',
    markers=(Marker(1.25, "cut", "Cut 1"),),
    provenance=Provenance(version="1", seed=3, options={"control": 0.7}),
)


def test_a_score_comes_back_as_it_was(tmp_path: Path) -> None:
    write_score(SCORE, tmp_path / "score.json")
    assert read_score(tmp_path / "score.json") == read_score(tmp_path) == SCORE


def test_a_note_takes_one_line(tmp_path: Path) -> None:
    write_score(SCORE, tmp_path / "score.json")
    text = (tmp_path / "score.json").read_text(encoding="utf-8")
    assert "[0, 40, 4, 99]" in text
    assert json.loads(text) == json.loads(json.dumps(SCORE.to_json()))


def edited(**changes: Any) -> bytes:
    return json.dumps(SCORE.to_json() | changes).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": 1}', "not a cmt-bridge score"),
        (b"[]", "not a cmt-bridge score"),
        (edited(format_version=99), "newer than"),
        (edited(bars=float("inf")), "damaged"),
        (edited(bars=-1), "damaged: -1 bars"),
        (edited(bars=10**9), "damaged"),
        (edited(duration=float("nan")), "damaged"),
        (edited(tempo_map=[]), "damaged"),
        (edited(tempo_map=[[0, 0]]), "damaged"),
        (edited(tempo_map=[[0, 2**24]]), "damaged"),
        (edited(markers=[[1e300, "cut", ""]]), "damaged"),
        (edited(markers="cut"), "damaged"),
        (edited(tracks=[{"instrument": "Kazoo", "program": 0, "notes": []}]), "damaged"),
        (edited(tracks=[{"instrument": "Bass", "program": 128, "notes": []}]), "damaged: program 128"),
        (edited(tracks=[{"instrument": "Bass", "program": 0, "notes": [[0, 128, 1, 80]]}]), "damaged: the note"),
        (edited(tracks=[{"instrument": "Bass", "program": 0, "notes": [[0, 60, -1, 80]]}]), "damaged: the note"),
        (edited(tracks=[{"instrument": "Bass", "program": 0, "notes": [[0, 60, 1, 0]]}]), "damaged: the note"),
        (edited(tracks=[{"instrument": "Bass", "program": 0, "notes": [[2**40, 60, 1, 9]]}]), "damaged: the note"),
        (edited(provenance={"who": 1}), "damaged"),
    ],
)
def test_a_damaged_score_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "score.json"
    path.write_bytes(data)
    with pytest.raises(ScoreError, match=message) as caught:
        read_score(path)
    assert str(path) in str(caught.value)


def test_a_missing_score_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"holds no score\.json"):
        read_score(tmp_path)
    with pytest.raises(ScoreError, match="Cannot read"):
        read_score(tmp_path / "none.json")


def test_metadata_of_four_keys_is_read(tmp_path: Path) -> None:
    vbeats = [{"start_time": 1.0, "bar": 0, "tick": 8, "weight": 0.5}]
    write_json({"duration": 4.0, "tempo": 120, "vbeats": vbeats, "flow_magnitude_per_bar": [0.1]}, tmp_path / "m.json")
    assert read_metadata(tmp_path / "m.json").beats[0].seconds == 1.0


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Cannot write"):
        write_score(SCORE, tmp_path / "file" / "score.json")
