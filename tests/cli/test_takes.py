"""The verbs of takes, as a person types them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.settings import compose_options
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.live.edited import edited, saved

Run = Callable[..., tuple[int, str, str]]

ASKED = {"bars": [[2, 3], [5, 5]], "tracks": ["Piano"], "base": "edited.mid", "keep": "rhythm"}


def piece(pitch: int) -> Score:
    tracks = tuple(Track(i, 0, tuple(Note(tick, 40, 4) for tick in range(0, 96, 4))) for i in Instrument)
    piano = replace(tracks[1], notes=tuple(Note(tick, pitch, 4) for tick in range(0, 96, 4)))
    options = compose_options({"control": "1", "instruments": "drums,piano", "key": "Am"}).to_json()
    return Score(
        TempoMap.constant(120),
        (tracks[0], piano, *tracks[2:]),
        6,
        duration=12.0,
        title="my clip",
        markers=(Marker(0.0, "section", "Section A (calm)"), Marker(3.6, "cut", "Cut 1")),
        provenance=Provenance(model="cmt-small", options=options),
    )


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a video with three takes: a score, and two variations of some of its bars."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my clip.mp4"
    path.write_bytes(b"a video")
    made = "2026-01-02T03:04:05+00:00"
    first = NewTake(piece(60), TakeInfo("score", made, "a", 7))
    more = [
        NewTake(piece(pitch), TakeInfo("regenerate", made, "b", pitch, 1, 1.5, request=ASKED)) for pitch in (62, 64)
    ]
    TakeFolder.create(tmp_path / "my clip.cmt", path.name, "abc", [first]).add(more)
    return path


def test_takes_are_listed(run: Run, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setenv("COLUMNS", "80")
        there.setenv("TZ", "Asia/Kathmandu")  # 5:45 ahead
        time.tzset()
        code, out, err = run("takes", video)
    time.tzset()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "      1  2026-01-02 08:49   0:12.0    6 bars  120.00 BPM  seed 7",
        "         Drums 24, Piano 24, Guitar 24, Bass 24, Strings 24; E minor",
        "         score --control 1 --instruments drums,piano --key Am --model cmt-small",
        ">     2  2026-01-02 08:49   0:12.0    6 bars  120.00 BPM  seed 62",
        "         Drums 24, Piano 24, Guitar 24, Bass 24, Strings 24; E minor",
        "         regenerate --keep rhythm: bars 2-3, 5 of Piano of take 1 on edited.mid",
        "      3  2026-01-02 08:49   0:12.0    6 bars  120.00 BPM  seed 64",
        "         Drums 24, Piano 24, Guitar 24, Bass 24, Strings 24; E major",
        "         regenerate --keep rhythm: bars 2-3, 5 of Piano of take 1 on edited.mid",
    ]
    assert max(map(len, out.splitlines())) <= 80


def test_takes_are_data(run: Run, video: Path) -> None:
    code, out, _ = run("takes", video.with_suffix(".cmt"), "--json")
    listed = json.loads(out)
    assert code == 0
    assert (listed["current"], listed["undo"], listed["redo"]) == (2, True, False)
    assert [take["seed"] for take in listed["takes"]] == [7, 62, 64]
    first = listed["takes"][0]
    assert first["key"] == "a"  # of the request
    assert first["notes"] == dict.fromkeys(("Drums", "Piano", "Guitar", "Bass", "Strings"), 24)
    assert (first["tempo"], first["bars"], first["duration"], first["asked_key"]) == (120, 6, 12.0, "Am")
    assert first["settings"] == {
        "control": "1", "instruments": "drums,piano", "key": "Am", "model": "cmt-small",
    }  # fmt: skip


def test_marks_are_shown(run: Run, video: Path) -> None:
    run("accept", video, 1)
    run("reject", video, 3)
    heads = [line[:7] for line in run("takes", video)[1].splitlines()[::3]]
    assert heads == ["> *   1", "      2", "  x   3"]


def test_a_damaged_take_is_told_among_the_others(run: Run, video: Path) -> None:
    (video.with_suffix(".cmt") / "take 1" / "score.json").write_text("{")
    code, out, _ = run("takes", video)
    assert code == 0
    assert "score.json" in out
    assert "seed 64" in out
    assert "damaged" in json.loads(run("takes", video, "--json")[1])["takes"][0]


def test_markers_are_listed(run: Run, video: Path) -> None:
    code, out, err = run("markers", video)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "    0:00.0     1|1  section  Section A (calm)",
        "    0:03.6     2|4  cut      Cut 1",
    ]
    listed = json.loads(run("markers", video, "--take", 3, "--json")[1])
    assert listed["take"] == 3
    assert listed["markers"][1] == {"name": "Cut 1", "kind": "cut", "seconds": 3.6, "bar": 2, "beat": 4}


def test_a_musician_chooses(run: Run, video: Path) -> None:
    def goes_to(number: int, *arguments: object) -> str:
        code, out, err = run(*arguments)
        assert code == 0, err
        assert out == f"my clip.cmt/take {number}\n"
        take = video.with_suffix(".cmt") / f"take {number}" / "my clip.mid"
        assert video.with_suffix(".mid").read_bytes() == take.read_bytes()
        return err

    goes_to(3, "reject", video)
    assert "take 3 is the current one, accepted" in goes_to(3, "accept", video)
    goes_to(1, "choose", video, 1)
    goes_to(3, "undo", video)
    goes_to(1, "redo", video)
    goes_to(2, "accept", video, 2)
    goes_to(3, "choose", video, "--next")
    goes_to(2, "choose", video, "--previous")
    goes_to(2, "choose", video, 1, "--next")
    _, out, _ = run("takes", video, "--json")
    assert [take["mark"] for take in json.loads(out)["takes"]] == ["", "accepted", "accepted"]


def test_an_edited_file_in_the_session_is_left_alone(run: Run, video: Path) -> None:
    video.with_suffix(".mid").write_bytes(b"mine")
    code, _, err = run("choose", video, 3)
    assert code == 0
    assert "--base" in err
    assert video.with_suffix(".mid").read_bytes() == b"mine"
    assert video.with_name("my clip take 3.mid").is_file()


def test_what_differs_is_told(run: Run, video: Path) -> None:
    code, out, _ = run("diff", video, 1, 2)
    assert (code, out) == (0, "Piano: bars 1-6 (24 notes only in 1, 24 only in 2)\n")
    code, out, err = run("diff", video, 2, 2)
    assert (code, out) == (0, "")
    assert "same notes" in err
    code, out, _ = run("diff", video, 1, 3, "--json")
    assert [track["bars"] for track in json.loads(out)["tracks"]] == [[1, 2, 3, 4, 5, 6]]


def test_an_edited_takes_diff_covers_all_tracks(run: Run, video: Path) -> None:
    project = TakeFolder(video.with_suffix(".cmt"))
    info = TakeInfo("regenerate", "2026-01-02T03:04:05+00:00", edited=True)
    file = edited()
    project.add([NewTake(piece(60), info, None, saved(file))])
    for message in file.tracks[2]:
        if message.is_cc(64) and message.value == 0:
            message.value = 1
    file.tracks[0].insert(1, mido.MetaMessage("marker", text="Verse"))
    project.add([NewTake(piece(60), info, None, saved(file))])
    code, out, err = run("diff", video, 4, 5)
    assert (code, out) == (0, "Piano: controllers in bars 1-6; the notes are the same\nmarkers: bars 1\n")
    assert "same notes" in err
    for message in file.tracks[3]:
        if message.type == "note_on":
            message.velocity = 99
    project.add([NewTake(piece(60), info, None, saved(file))])
    code, out, _ = run("diff", video, 5, 6)
    assert (code, out) == (0, "SFX: bars 1-6 (6 notes only in 5, 6 only in 6)\n")
    code, out, _ = run("diff", video, 4, 6, "--json")
    assert [(each["track"], each["only_second"], each["also"]) for each in json.loads(out)["tracks"]] == [
        ("Piano", 0, {"controllers": [1, 2, 3, 4, 5, 6]}),
        ("SFX", 6, {}),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("choose", "my clip.mp4", 9), 2, "no take 9"),
        (("choose", "my clip.mp4", 0), 2, "range"),
        (("choose", "my clip.mp4"), 2, "Which take?"),
        (("choose", "my clip.mp4", 3, "--next"), 2, "no take after take 3"),
        (("redo", "my clip.mp4"), 2, "nothing to redo"),
        (("diff", "my clip.mp4", 1, 9), 2, "no take 9"),
        (("takes", "other.mp4"), 3, "no other.mp4"),
        (("takes", "."), 3, "no takes"),
        (("undo", "new.mp4"), 3, "no takes"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, video: Path, arguments: tuple[object, ...], code: int, words: str) -> None:
    video.with_name("new.mp4").write_bytes(b"another")
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
