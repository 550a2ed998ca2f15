"""REAPER's scripts in a REAPER that is made up: with a daemon that is made up, and with the real one behind them."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.midi.line import read_markers
from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.scoring.export import export
from cmt_bridge.scoring.hosts import install
from cmt_bridge.service.openapi import check, operations
from cmt_bridge.takes.locate import find_take_folder
from tests import clips
from tests.e2e.conftest import ROOT, Run, environment, folder, forks, run  # noqa: F401  (fixtures)
from tests.hosts.films import film_in
from tests.hosts.reaper.session import API, NO, START, YES, Note, Reaper, opened, tool

__all__ = ["environment", "folder", "run"]

SCRIPTS = ROOT / "host_scripts" / "reaper"
COMMON = ROOT / "host_scripts" / "common"
SCORE, INSERT = "Score the selected video item", "Insert or refresh the score"
REGENERATE = "Regenerate the time selection on the selected tracks"
SETTINGS = "Settings of this project"
DIVISION = 480
BAR = 4 * DIVISION

Says = dict[str, list[dict[str, Any]]]


def ok(answer: Any) -> dict[str, Any]:
    return {"ok": True, "answer": answer}


def refused(sentence: str, hint: str = "") -> dict[str, Any]:
    return {"ok": False, "error": sentence, "hint": hint, "code": 2}


def music(
    take: int = 1,
    *,
    notes: Mapping[str, list[list[int]]] | None = None,
    events: list[list[Any]] | None = None,
    tempos: list[list[int]] | None = None,
    bars: int = 4,
    markers: list[list[Any]] | None = None,
) -> dict[str, Any]:
    """Give what `arrangement` answers: 96 BPM where nothing else is said, a note on each beat of two parts."""
    usual = {
        "Piano": [[beat * 480, beat * 480 + 360, 0, 60 + beat % 12, 80 + take] for beat in range(4 * bars)],
        "Drums": [[beat * 480, beat * 480 + 60, 9, 36, 100] for beat in range(4 * bars)],
    }
    tempos = tempos or [[0, 625_000]]
    return {
        "take": take,
        "title": "film",
        "division": DIVISION,
        "tempos": tempos,
        "metres": [[0, 4, 4]],
        "length": bars * BAR,
        "duration": 10.0,
        "frame_rate": [25, 1],
        "parts": [
            {"name": name, "channel": each[0][2] if each else 0, "program": 0, "colour": [1, 2, 3], "notes": each}
            | {"events": events if name == "Piano" and events is not None else [[0, "c000"]]}
            for name, each in (notes or usual).items()
        ],
        "markers": [[2.5, "cut", "Cut 1"], [5.0, "beat", "Hit"]] if markers is None else markers,
        "sections": [[0.0, 5.0, "A"], [5.0, 10.0, "B"]],
    }


def seconds_of(said: Mapping[str, Any]) -> Callable[[int], float]:
    def seconds(tick: int) -> float:
        passed = 0.0
        for (start, uspq), (end, _) in pairwise([*said["tempos"], [10**9, 0]]):
            if tick > start:
                passed += (min(tick, end) - start) * uspq / said["division"] / 1e6
        return passed

    return seconds


def wanted(said: Mapping[str, Any], part: str, start: float = START) -> list[Note]:
    """Give where the notes of a part have to be, in seconds of the project."""
    seconds = seconds_of(said)
    notes = next(each["notes"] for each in said["parts"] if each["name"] == part)
    return sorted((start + seconds(n[0]), start + seconds(n[1]), n[2], n[3], n[4]) for n in notes)


def near(found: list[Note], other: list[Note], within: float = 0.0006) -> bool:
    return len(found) == len(other) and all(
        one == pytest.approx(two, abs=within) for one, two in zip(found, other, strict=True)
    )


def job(state: str = "done", **more: Any) -> dict[str, Any]:
    return {"id": 7, "state": state, "stage": "", "share": 0.0, "reason": "", "takes": [1], **more}


class Daemons:
    """State folders of daemons that are made up, and what they say."""

    def __init__(self, root: Path) -> None:
        self.root, self.all = root, []

    def add(self, name: str, folder: Path | str, says: Says | None) -> Says:
        """Add one; one that says nothing is one that was killed."""
        state = self.root / name
        for each in ("requests", "answers"):
            (state / "spool" / each).mkdir(parents=True)
        (state / "instance.json").write_text(json.dumps({"folder": str(folder), "pid": 1, "port": 1, "version": "0"}))
        said = {"status": [ok({"folder": str(folder)})], **says} if says is not None else {}
        self.all.append({"folder": str(state), "says": said})
        return said


@pytest.fixture(params=["lua5.4", "lua5.3"])
def lua(request: pytest.FixtureRequest) -> str:
    """REAPER 7 has the first, REAPER 6 the other."""
    name = str(request.param)
    if name == "lua5.3" and not shutil.which(name):
        pytest.skip("Lua 5.3 is not installed, which REAPER 6 has: apt install lua5.3")
    return name


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "Ü films" / 'a "film".mp4'
    path.parent.mkdir()
    path.write_bytes(b"film")
    return path


class Desk:
    """REAPER and a daemon for its film, both made up."""

    def __init__(self, tmp_path: Path, film: Path, lua: str) -> None:
        scripts = tmp_path / "Scripts"
        if not scripts.exists():
            shutil.copytree(SCRIPTS, scripts)
            for path in COMMON.glob("*.lua"):
                shutil.copy(path, scripts / "lib")
            root = str(tmp_path / "state")
            where = f"return {{ program = '/opt/cmt bridge', state = {json.dumps(root, ensure_ascii=False)} }}\n"
            (scripts / "where.lua").write_text(where)
        self.tmp_path, self.film = tmp_path, film
        self.project = film.with_suffix(".cmt")
        self.project.mkdir()
        self.daemons = Daemons(tmp_path / "state")
        self.reaper = Reaper(tmp_path, scripts, {}, film, lua)

    def serve(self, **says: Any) -> Says:
        """Have a daemon say for each operation one thing, or one after the other."""
        listed = {name: each if isinstance(each, list) else [ok(each)] for name, each in says.items()}
        listed.setdefault("takes", [ok({"project": str(self.project), "current": 1, "takes": []})])
        return self.daemons.add("one", self.film.parent, listed)

    def run(self, name: str, *answers: Any, **more: Any) -> dict[str, Any]:
        found = self.reaper.run(name, answers, daemons=self.daemons.all, **more)
        for before, after in zip(self.daemons.all, found.get("daemons") or [], strict=True):
            before["says"] = after["says"] or {}  # what was said is not said again
        for request in found["requests"]:
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", request["id"])
            check(request["with"] or {}, operations()[request["do"]].schema, request["do"])
        names = [request["id"] for request in found["requests"]]
        assert len(set(names)) == len(names)
        for daemon in self.daemons.all:
            for each in ("requests", "answers"):
                left = list((Path(daemon["folder"]) / "spool" / each).iterdir())
                assert not left or "cancel" in more, left
        return found


def asked(done: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    return [request["with"] for request in done["requests"] if request["do"] == what]


@pytest.fixture
def desk(tmp_path: Path, film: Path, lua: str) -> Desk:
    return Desk(tmp_path, film, lua)


def test_the_page_names_the_reaper_version_of_the_api() -> None:
    """The imitation knows what that REAPER has; a newer function would have to be read in a newer list first."""
    version = re.search(r"REAPER (\d+\.\d+)'s own help page", json.loads(API.read_text(encoding="utf-8"))["source"])
    assert version
    page = (ROOT / "docs" / "hosts" / "reaper.md").read_text(encoding="utf-8")
    assert f"They need REAPER {version[1]} or newer" in page
    called = set(
        re.findall(r"\breaper\.(\w+)\s*\(", "".join(f.read_text(encoding="utf-8") for f in SCRIPTS.rglob("*.lua")))
    )
    assert called <= json.loads(API.read_text(encoding="utf-8"))["functions"].keys()


# The score in the session


def test_a_score_is_inserted_where_the_film_is(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said, score=job("running", stage="compose"), job=job())
    done = desk.run(SCORE, NO)
    assert done["steps"] == ["cmt-bridge: score, take 1"]
    assert asked(done, "score") == [{"path": str(desk.film), "again": True}]
    assert list(desk.reaper.parts) == ["Piano", "Drums"]
    for name in ("Piano", "Drums"):
        item = desk.reaper.parts[name]
        assert near(desk.reaper.heard(name), wanted(said, name))
        assert (item["position"], item["length"]) == (pytest.approx(START), pytest.approx(10.0))
    assert desk.reaper.project["tempos"] in ([], {})
    assert desk.reaper.marks() == [(1.0, "mine"), (START + 2.5, "Cut 1"), (START + 5, "Hit")]
    assert desk.reaper.marks(region=True) == [(START, "A"), (START + 5, "B")]
    assert desk.reaper.film["position"] == START + 1


def test_messages_of_all_kinds_arrive(desk: Desk) -> None:
    exclusive = bytes([0xF0, *range(100), 0xF7])
    in_file = bytes([0xF0, 101, *range(100), 0xF7])
    events = [[0, "c005"], [10, "b0407f"], [20, "e00140"], [30, in_file.hex()], [40, "d033"], [50, "a03c22"]]
    desk.serve(arrangement=music(events=events))
    desk.run(INSERT, NO)
    found = [message for _, message, *_ in desk.reaper.parts["Piano"]["takes"][0]["events"]]
    for message in ("c00500", "b0407f", "e00140", exclusive.hex(), "d03300", "a03c22", "b07b00"):
        assert message in found


def test_the_tempo_is_taken_over_once_and_nothing_else_moves(desk: Desk) -> None:
    said = music(tempos=[[0, 600_000], [BAR, 400_000]])
    desk.serve(arrangement=said)
    desk.run(INSERT, YES)
    assert [each[1] for each in desk.reaper.project["tempos"]] == pytest.approx([100, 150])
    assert [each[0] for each in desk.reaper.project["tempos"]] == pytest.approx([START, START + 2.4])
    assert [each[2:] for each in desk.reaper.project["tempos"]] == [[4, 4], [0, 0]]
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano"), 1e-6)
    ticks = {tick for tick, message, *_ in desk.reaper.parts["Piano"]["takes"][0]["events"] if message[0] == "9"}
    assert ticks == {beat * 960 for beat in range(16)}  # on the project's grid
    film = desk.reaper.film
    rate = film["takes"][0]["playrate"]
    assert (film["position"], film["length"], rate) == pytest.approx((START + 1, 5.0, 1.0))
    assert desk.reaper.marks()[0] == (1.0, "mine")
    desk.run(INSERT)  # it has a tempo now, so nothing is asked
    assert len(desk.reaper.project["tempos"]) == 2


def test_who_does_not_want_the_tempo_is_asked_once(desk: Desk) -> None:
    desk.serve(arrangement=music())
    desk.run(INSERT, NO)
    desk.run(INSERT)


def test_a_project_with_a_tempo_keeps_every_notes_tick(desk: Desk) -> None:
    said = music(tempos=[[0, 250_000]], notes={"Piano": [[n * 7, n * 7 + 5, 0, 60, 1 + n] for n in range(100)]})
    desk.serve(arrangement=said, regenerate=job(), takes={"project": str(desk.project), "current": 1, "takes": []})
    desk.reaper.project["tempos"] = [[0, 47.0, 4, 4], [13.1, 71.3, 4, 4]]
    desk.run(INSERT)
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano"), 0.0003)
    desk.reaper.project["selection"] = [START + 1, START + 2]
    done = desk.run(REGENERATE)
    assert notes_of(base_of(done))["Piano"] == [tuple(each) for each in said["parts"][0]["notes"]]


def test_inserting_again_shows_the_edited_take(desk: Desk) -> None:
    desk.serve(arrangement=music())
    desk.run(INSERT, NO)
    take = desk.reaper.parts["Piano"]["takes"][0]
    take["events"] = [each for each in take["events"] if each[1] not in ("903c51", "803c00")]
    left = len(desk.reaper.heard("Piano"))
    desk.run(INSERT)
    assert [take["name"] for take in desk.reaper.parts["Piano"]["takes"]] == ["take 1"]
    assert len(desk.reaper.heard("Piano")) == left
    assert len(desk.reaper.project["tracks"]) == 3
    assert len(desk.reaper.project["markers"]) == 5


def test_the_music_goes_where_the_video_went_through_other_tempos(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said)
    desk.reaper.project["tempos"] = [[0, 120, 4, 4], [30.0, 80, 4, 4], [34.0, 133, 4, 4]]
    desk.run(INSERT)
    desk.reaper.film["position"] += 17.3
    desk.run(INSERT)
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano", START + 17.3), 0.0015)
    assert desk.reaper.marks()[1:] == [(START + 19.8, "Cut 1"), (START + 22.3, "Hit")]
    desk.reaper.film["position"] = 4.0  # too early for what there is
    said_then = desk.run(INSERT)["shown"]
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano", 3.0), 0.0015)
    assert said_then == []


def test_an_item_that_was_nudged_stays_where_it_was_put(desk: Desk) -> None:
    desk.serve(arrangement=music())
    desk.run(INSERT, NO)
    desk.reaper.parts["Piano"]["position"] = START + 0.05
    desk.run(INSERT)
    assert [item["position"] for item in desk.reaper.parts.values()] == [START + 0.05, START]


def test_music_that_would_begin_before_the_project_is_not_moved(desk: Desk) -> None:
    desk.serve(arrangement=music())
    desk.run(INSERT, NO)
    desk.reaper.film["position"] = 0.5  # its beginning is at -0.5 s now
    done = desk.run(INSERT)
    assert "would begin before the project does" in done["shown"][-1]
    assert done["steps"] == []
    assert desk.reaper.parts["Piano"]["position"] == START


def test_notes_before_the_project_return_with_the_base(desk: Desk) -> None:
    events = [[0, "c007"], [100, "b00740"], [5 * 480, "b00750"]]
    said = music(events=events)
    desk.serve(arrangement=said, regenerate=job())
    desk.reaper.film["position"] = 0.0
    desk.reaper.film["takes"][0]["offset"] = 3.0  # the film begins 3 s before the project
    desk.run(INSERT)
    late = [note for note in wanted(said, "Piano", -3.0) if note[0] >= 0]
    assert near(desk.reaper.heard("Piano"), late)
    item = desk.reaper.parts["Piano"]
    assert (item["position"], item["length"]) == pytest.approx((0.0, 7.0))
    assert [each[:2] for each in item["takes"][0]["events"][:2]] == [[0, "c00700"], [0, "b00740"]]
    assert [name for _, name in desk.reaper.marks()] == ["mine", "Hit"]
    desk.reaper.project["selection"] = [1.0, 2.0]
    found = base_of(desk.run(REGENERATE))
    assert notes_of(found)["Piano"] == sorted(map(tuple, said["parts"][0]["notes"]))
    sets = [(at, message.bytes()) for at, message in messages_of(found, "Piano") if message.type != "note_on"]
    assert [each for each in sets if each[1][0] in (0xB0, 0xC0)] == [
        (0, [0xC0, 7]),
        (100, [0xB0, 7, 0x40]),
        (5 * 480, [0xB0, 7, 0x50]),
    ]


def test_moved_renamed_or_renumbered_markers_are_still_ours(desk: Desk) -> None:
    desk.serve(arrangement=[ok(music()), ok(music(2, markers=[[1.0, "cut", "New"]]))])
    desk.run(INSERT, NO)
    for mark in desk.reaper.project["markers"]:
        if mark["name"] == "Cut 1":
            mark |= {"from": 40.0, "name": "moved", "number": 77}
        mark["number"] += 100
    theirs = {"region": True, "from": START, "to": START + 5, "name": "A", "number": 102, "colour": 0}
    desk.reaper.project["markers"].append(theirs)
    desk.run(INSERT)
    assert desk.reaper.marks() == [(1.0, "mine"), (START + 1, "New")]
    assert desk.reaper.marks(region=True) == [(START, "A"), (START, "A"), (START + 5, "B")]


def test_two_films_in_one_project_keep_what_is_theirs(desk: Desk, film: Path) -> None:
    desk.serve(
        arrangement=[
            ok(music()),
            ok(music(bars=2, markers=[[1.0, "cut", "Of the other"]])),
            ok(music()),
            ok(music(markers=[])),
        ]
    )
    desk.run(INSERT, NO)
    other = film.with_name("other.mp4")
    other.write_bytes(b"")
    film_item = desk.reaper.film
    second = json.loads(json.dumps(film_item)) | {"position": 61.0}
    second["takes"][0]["file"] = str(other)
    film_item["selected"] = False
    desk.reaper.project["tracks"][0]["items"].append(second)
    desk.run(INSERT)
    assert {name for _, name in desk.reaper.marks()} == {"mine", "Cut 1", "Hit", "Of the other"}
    assert [len(track["items"]) for track in desk.reaper.project["tracks"]] == [2, 2, 2]
    items = desk.reaper.project["tracks"][0]["items"]
    for chosen, names in ((0, {"Cut 1", "Hit", "Of the other"}), (1, {"Cut 1", "Hit"})):
        for index, item in enumerate(items):
            item["selected"] = index == chosen
        desk.run(INSERT)
        items = desk.reaper.project["tracks"][0]["items"]
        assert {name for _, name in desk.reaper.marks()} == {"mine"} | names
    for item in items:
        item["selected"] = False
    assert "several videos" in desk.run(INSERT)["shown"][-1]


def test_a_project_moved_with_its_video_keeps_its_music(desk: Desk, tmp_path: Path) -> None:
    desk.serve(arrangement=[ok(music()), ok(music(2))])
    desk.run(INSERT, NO)
    there = tmp_path / "elsewhere"
    there.mkdir()
    desk.film.rename(there / desk.film.name)
    desk.reaper.film["takes"][0]["file"] = str(there / desk.film.name)
    desk.daemons.all[0]["says"]["status"] = [ok({"folder": str(there)})]
    (Path(desk.daemons.all[0]["folder"]) / "instance.json").write_text(json.dumps({"folder": str(there)}))
    desk.run(INSERT)
    assert [take["name"] for take in desk.reaper.parts["Piano"]["takes"]] == ["take 1", "take 2"]
    assert len(desk.reaper.project["markers"]) == 5


# Takes


def test_another_take_joins_the_items_wherever_they_were_cut(desk: Desk) -> None:
    first, second = music(), music(2)
    desk.serve(arrangement=[ok(first), ok(second)])
    desk.run(INSERT, NO)
    track = desk.reaper.project["tracks"][1]
    (left,) = track["items"]
    right = json.loads(json.dumps(left))
    right |= {"position": START + 5, "length": 5.0}
    right["takes"][0] |= {"offset": 5.0, "guid": "{R}"}
    right["chunk"] = right["chunk"].replace(left["takes"][0]["guid"], "{R}")
    left["length"] = 5.0
    track["items"].append(right)
    assert desk.run(INSERT)["steps"] == ["cmt-bridge: insert score, take 2"]
    for item, start, stop in ((left, START, START + 5), (right, START + 5, START + 10)):
        now = next(each for each in desk.reaper.project["tracks"][1]["items"] if each["position"] == item["position"])
        assert [take["name"] for take in now["takes"]] == ["take 1", "take 2"]
        assert now["length"] == 5.0
        heard = [n for n in desk.reaper.seconds(now, now["takes"][1]) if start - 1e-3 <= n[0] < stop - 1e-3]
        assert near(heard, [n for n in wanted(second, "Piano") if start - 1e-3 <= n[0] < stop - 1e-3])


def test_next_and_previous_go_through_takes_that_were_not_rejected(desk: Desk) -> None:
    takes = [{"take": n, "mark": "rejected" if n == 2 else ""} for n in (1, 2, 3)]

    def said(current: int) -> dict[str, Any]:
        return ok({"project": str(desk.project), "current": current, "takes": takes})

    desk.serve(
        takes=[said(1), said(3), said(3), said(1)],
        choose=[ok({}), ok({})],
        arrangement=[ok(music(1)), ok(music(3)), ok(music(1))],
    )
    desk.run(INSERT, NO)
    assert asked(desk.run("Next take"), "choose") == [{"path": str(desk.film), "take": 3}]
    assert {item["active"] for item in desk.reaper.parts.values()} == {2}
    assert desk.run("Next take")["shown"] == ["This is the last take. Regenerate to have another."]
    done = desk.run("Previous take")
    assert asked(done, "choose") == [{"path": str(desk.film), "take": 1}]
    assert done["steps"] == ["cmt-bridge: choose, take 1"]
    assert {item["active"] for item in desk.reaper.parts.values()} == {1}
    assert [len(item["takes"]) for item in desk.reaper.parts.values()] == [2, 2]


def test_what_is_shown_counts_where_undo_went_back(desk: Desk) -> None:
    takes = [{"take": n, "mark": ""} for n in (1, 2)]
    desk.serve(
        takes={"project": str(desk.project), "current": 2, "takes": takes},
        arrangement=[ok(music(1)), ok(music(2))],
        choose={},
        accept={"current": 2},
    )
    desk.run(INSERT, NO)  # take 1 is shown, and the daemon's is 2
    done = desk.run("Accept the take")
    assert asked(done, "accept") == [{"path": str(desk.film), "take": 1}]
    assert done["shown"] == ["Take 1 is accepted."]
    assert asked(desk.run("Next take"), "choose") == [{"path": str(desk.film), "take": 2}]


def test_takes_can_have_tracks_of_their_own(desk: Desk) -> None:
    first, second = music(), music(2)
    desk.serve(arrangement=[ok(first), ok(second), ok(first)])
    desk.reaper.project["ext"] = {"cmt-bridge": {"place": "tracks"}}
    desk.run(INSERT, NO)
    desk.run(INSERT)
    names = ["Video", "Piano", "Piano take 2", "Drums", "Drums take 2"]
    assert [track["name"] for track in desk.reaper.project["tracks"]] == names
    assert near(desk.reaper.heard("Piano take 2"), wanted(second, "Piano"))
    assert [item.get("mute", 0) for item in desk.reaper.parts.values()] == [1, 0, 1, 0]
    desk.run(INSERT)
    assert [item.get("mute", 0) for item in desk.reaper.parts.values()] == [0, 1, 0, 1]
    assert [len(item["takes"]) for item in desk.reaper.parts.values()] == [1, 1, 1, 1]


# Regenerate


def base_of(done: Mapping[str, Any]) -> mido.MidiFile:
    """Read the MIDI file that a regeneration was given."""
    (found,) = [bytes.fromhex(request["file"]) for request in done["requests"] if request["do"] == "regenerate"]
    return mido.MidiFile(file=io.BytesIO(found))


def messages_of(file: mido.MidiFile, part: str) -> list[tuple[int, mido.Message]]:
    (track,) = [track for track in file.tracks if track.name == part]
    now, found = 0, []
    for message in track:
        now += message.time
        if not message.is_meta:
            found.append((now, message))
    return found


def notes_of(file: mido.MidiFile) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = {}
    for track in file.tracks[1:]:
        sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}
        notes = found.setdefault(track.name, [])
        for now, message in messages_of(file, track.name):
            if message.type == "note_on" and message.velocity:
                sounding.setdefault((message.channel, message.note), []).append((now, message.velocity))
            elif message.type in ("note_on", "note_off"):
                start, velocity = sounding[message.channel, message.note].pop(0)
                notes.append((start, now, message.channel, message.note, velocity))
        assert not any(sounding.values()), "a note hangs"
        notes.sort()
    return found


def test_what_is_in_the_session_goes_along(desk: Desk) -> None:
    said = music(events=[[0, "c005"], [480, "b00733"], [960, bytes([0xF0, 3, 1, 2, 0xF7]).hex()]])
    desk.serve(arrangement=[ok(said), ok(said), ok(music(2))], regenerate=job("waiting"), job=job())
    desk.run(INSERT, NO)
    events = desk.reaper.parts["Piano"]["takes"][0]["events"]
    strike = next(event for event in events if event[1].startswith("90"))
    strike[0] += 17  # off the grid, at 960 a quarter of 120 BPM: 8.9 ms, which are 7 ticks of the music
    other = next(event for event in events if event[1].startswith("903e"))
    other.append(2)  # muted, and so is its end
    next(event for event in events if event[1].startswith("803e")).append(2)
    next(event for event in events if event[1].startswith("803f"))[0] = (
        3 * 1200 + 1
    )  # a grace note, shorter than a tick
    events.sort(key=lambda each: each[0])
    desk.reaper.project["selection"] = [START + 2.5, START + 5.0]
    desk.reaper.project["tracks"][1]["selected"] = True
    done = desk.run(REGENERATE)
    (request,) = asked(done, "regenerate")
    assert (request["from"], request["to"]) == pytest.approx((2.501, 4.999))
    assert request["tracks"] == ["Piano"]
    assert Path(request["base"]).parent == desk.project
    assert not list(desk.project.iterdir())  # the take has it all
    file = base_of(done)
    assert (file.type, file.ticks_per_beat, file.tracks[0].name) == (1, DIVISION, "film")
    notes = [tuple(each) for each in said["parts"][0]["notes"]]
    changed = [(7, *notes[0][1:]), notes[1], (1440, 1441, *notes[3][2:]), *notes[4:]]
    assert notes_of(file)["Piano"] == changed
    assert notes_of(file)["Drums"] == [tuple(each) for each in said["parts"][1]["notes"]]
    others = [(at, m.bytes()) for at, m in messages_of(file, "Piano") if not m.type.startswith("note")]
    assert others == [(0, [0xC0, 5]), (480, [0xB0, 7, 0x33]), (960, [0xF0, 1, 2, 0xF7])]
    assert [take["name"] for take in desk.reaper.parts["Piano"]["takes"]] == ["take 1", "take 2"]
    assert done["steps"] == ["cmt-bridge: regenerate, take 2"]


def test_an_unended_note_lasts_to_its_next_onset(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said, regenerate=job())
    desk.run(INSERT, NO)
    take = desk.reaper.parts["Drums"]["takes"][0]
    take["events"] = [each for each in take["events"] if each[1][:1] != "8"]
    desk.reaper.project["selection"] = [START + 5, START + 6]
    notes = notes_of(base_of(desk.run(REGENERATE)))["Drums"]
    struck = [tuple(each) for each in said["parts"][1]["notes"]]
    assert [(n[0], *n[2:]) for n in notes] == [(n[0], *n[2:]) for n in struck]
    following = [
        min((n[0] for n in struck if n[3] == pitch and n[0] > at), default=said["length"])
        for at, _, _, pitch, _ in struck
    ]
    assert [n[1] for n in notes] == following


def test_cut_trimmed_or_nudged_items_are_read_as_heard(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said, regenerate=job())
    desk.run(INSERT, NO)
    piano, drums = (track["items"] for track in desk.reaper.project["tracks"][1:])
    piano[0]["length"] = 2.4  # the fourth note, from 1.875 to 2.34 s, is the last
    piano[0]["takes"][0]["events"] = [
        [at + 960 if m == "803f00" else at, m] for at, m, *_ in piano[0]["takes"][0]["events"]
    ]
    piano[0]["takes"][0]["events"].sort(key=lambda each: each[0])
    drums[0] |= {"position": START + 0.05}  # by feel, which is no other place for the film
    desk.reaper.project["selection"] = [START + 5, START + 6]
    notes = notes_of(base_of(desk.run(REGENERATE)))
    assert [note[0] for note in notes["Piano"]] == [0, 480, 960, 1440]
    assert notes["Piano"][-1][1] == round(2.4 / 0.625 * 480)  # it ends with its item
    assert [note[0] for note in notes["Drums"]] == [38 + 480 * beat for beat in range(16)]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_session_returns_what_it_got_at_any_tempo(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tempos = [[0, data.draw(st.integers(250_000, 1_500_000))]]
    if data.draw(st.booleans()):
        tempos.append([data.draw(st.integers(1, 5000)), data.draw(st.integers(250_000, 1_500_000))])
    starts = data.draw(st.lists(st.integers(0, 4 * BAR - 10), min_size=1, max_size=12, unique=True))
    notes = [[at, at + data.draw(st.integers(1, 2000)), 0, 30 + index, 64] for index, at in enumerate(sorted(starts))]
    said = music(tempos=tempos, notes={"Piano": notes}, events=[])
    said["length"] = max(4 * BAR, *(note[1] for note in notes))
    folder = tmp_path_factory.mktemp("desk")
    film = folder / "f.mp4"
    film.write_bytes(b"")
    desk = Desk(folder, film, "lua5.4")
    desk.serve(arrangement=said, regenerate=job())
    own = data.draw(st.lists(st.tuples(st.floats(0.1, 40), st.integers(50, 200)), max_size=3, unique_by=lambda p: p[0]))
    desk.reaper.project["tempos"] = [[0, data.draw(st.integers(50, 200)), 4, 4]] + [[*each, 0, 0] for each in own]
    desk.run(INSERT)
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano"))
    desk.reaper.project["selection"] = [START + 1, START + 2]
    assert notes_of(base_of(desk.run(REGENERATE)))["Piano"] == sorted(map(tuple, notes))


def test_a_part_that_was_thrown_out_is_not_composed_again(desk: Desk) -> None:
    desk.serve(arrangement=[ok(music()), ok(music()), ok(music(2, notes={"Piano": [[0, 9, 0, 60, 1]], "Drums": []}))])
    desk.daemons.all[0]["says"]["regenerate"] = [ok(job())]
    desk.run(INSERT, NO)
    desk.reaper.project["tracks"].pop()
    desk.reaper.project["selection"] = [START, START + 2.5]
    done = desk.run(REGENERATE)
    assert asked(done, "regenerate")[0]["tracks"] == ["Piano"]
    assert [track.name for track in base_of(done).tracks[1:]] == ["Piano"]
    assert list(desk.reaper.parts) == ["Piano"]


def test_settings_are_said_with_the_requests(desk: Desk) -> None:
    desk.serve(arrangement=music(), score=job(), regenerate=job())
    values = ["0.5", "-2", "piano,  bass", "jazz", "Am", "90", "7", "", "", "", ""]
    desk.run(SETTINGS, "\n".join(values))
    done = desk.run(SCORE, NO)
    options = {"control": "0.5", "style": "jazz", "key": "Am", "tempo": "90", "instruments": "piano,bass"}
    assert asked(done, "score") == [{"path": str(desk.film), "again": True, "options": options, "seed": 7}]
    desk.reaper.project["selection"] = [START, START + 2.5]
    (request,) = asked(desk.run(REGENERATE), "regenerate")
    assert (request["control"], request["density"], request["seed"]) == (0.5, -2, 7)
    assert "tracks" not in request


def test_settings_that_cannot_be_are_said_and_change_nothing(desk: Desk) -> None:
    good = ["0.5", "2", "", "Böhmisch 'x", "", "", "", "takes", "mtc", "MTC out", ""]
    desk.run(SETTINGS, "\n".join(good))
    for index, wrong in ((0, "2"), (1, "1.5"), (6, "-1"), (7, "folders"), (8, "film")):
        done = desk.run(SETTINGS, "\n".join([*good[:index], wrong, *good[index + 1 :]]), False)
        assert f"not “{wrong}”. Nothing was changed." in done["shown"][1]
        kept = desk.reaper.project["ext"]["cmt-bridge"]
        assert (kept["control"], kept["density"], kept["follow"], kept["place"]) == ("0.5", "2", "mtc", "takes")


# The daemon


@pytest.mark.parametrize("selection", [(0, 0), (START - 5, START - 1), (START + 20, START + 25)])
def test_a_selection_without_music_is_refused(desk: Desk, selection: tuple[float, float]) -> None:
    desk.serve(arrangement=music())
    desk.run(INSERT, NO)
    desk.reaper.project["selection"] = list(selection)
    (said,) = desk.run(REGENERATE)["shown"]
    assert "selection" in said
    assert not list(desk.project.iterdir())


def test_what_the_daemon_refuses_is_shown_with_its_hint(desk: Desk) -> None:
    desk.serve(arrangement=[refused("This film has no takes.", "Score it first.")])
    done = desk.run(INSERT)
    assert done["shown"] == ["This film has no takes. Score it first."]
    assert done["steps"] == []


def test_a_job_that_fails_says_why_and_leaves_nothing(desk: Desk) -> None:
    failed = job("failed", reason="The film is damaged.")
    desk.serve(arrangement=music(), score=job("running"), job=failed, regenerate=job("running"))
    done = desk.run(SCORE)
    assert done["shown"] == ["The film is damaged."]
    desk.run(INSERT, NO)
    desk.reaper.project["selection"] = [START, START + 2]
    assert desk.run(REGENERATE)["shown"] == ["The film is damaged."]
    assert not list(desk.project.iterdir())


def test_progress_is_shown_and_cancel_ends_the_job(desk: Desk) -> None:
    measuring = job("running", stage="measure", share=0.5)
    composing = job("running", stage="compose", share=0.25)
    desk.serve(score=measuring, job=[ok(measuring)] * 3 + [ok(composing)], cancel=job("cancelled"))
    done = desk.run(SCORE, person=[{"at": 6.0, "click": "Cancel"}], cancel=True)
    assert [text for text in done["drawn"] if "…" in text] == ["Measuring the picture …", "Composing …"]
    assert asked(done, "cancel") == [{"id": 7}]
    assert done["steps"] == []
    assert done["clock"] < 7


@pytest.mark.parametrize("way", [{"key": 27}, {"close": True}])
def test_escape_and_closing_cancel_too(desk: Desk, way: dict[str, Any]) -> None:
    desk.serve(score=job("running"), job=job("running"), cancel=job("cancelled"))
    done = desk.run(SCORE, person=[{"at": 3.0, **way}], cancel=True)
    assert asked(done, "cancel") == [{"id": 7}]


def test_what_is_done_at_once_opens_no_window(desk: Desk) -> None:
    desk.serve(accept={"current": 1})
    done = desk.run("Accept the take")
    assert done["drawn"] == []


def test_a_killed_daemon_is_distinguished_from_a_living_one(desk: Desk, film: Path) -> None:
    desk.daemons.add("killed", film.parent, None)  # of the very folder
    desk.daemons.add("zliving", film.parent.parent, {"accept": [ok({"current": 3})]})
    done = desk.run("Accept the take")
    assert done["shown"] == ["Take 3 is accepted."]
    assert 3.0 < done["clock"] < 5.0


def test_a_folder_is_found_by_its_other_name(desk: Desk) -> None:
    desk.daemons.add("a", "/another", {"takes": [refused("/x is not in /another.", "Give a path …")]})
    desk.daemons.add("b", r"\\server\share", {"takes": [refused("It has no takes.")], "accept": [ok({"current": 2})]})
    done = desk.run("Accept the take")
    assert done["shown"] == ["Take 2 is accepted."]


def test_without_a_daemon_one_is_offered(desk: Desk, film: Path) -> None:
    done = desk.run("Accept the take", NO)
    offer, refusal = done["shown"]
    assert str(film.parent) in offer
    assert refusal == f'Nothing was done. Start it yourself: cmt-bridge daemon start "{film.parent}"'
    assert done["executed"] == []


def test_a_new_daemon_is_found_despite_reapers_folder_cache(desk: Desk, film: Path) -> None:
    state = desk.tmp_path / "state"
    says = {"status": [ok({})], "accept": [ok({"current": 1})]}
    desk.daemons.all.append({"folder": str(state / "late"), "says": says, "starts": str(film.parent)})
    done = desk.run("Accept the take", YES)
    assert done["executed"] == [f'"/opt/cmt bridge" daemon start "{film.parent}"']
    assert done["shown"][-1] == "Take 1 is accepted."


def test_a_daemon_that_does_not_start_is_said(desk: Desk) -> None:
    done = desk.run("Accept the take", YES)
    assert done["shown"][-1].startswith("cmt-bridge did not start. Try it in a terminal: cmt-bridge daemon start ")
    assert 30 < done["clock"] < 40


def test_a_daemon_that_falls_silent_is_said(desk: Desk) -> None:
    said = desk.serve(score=job("running"))
    said.pop("job", None)
    done = desk.run(SCORE)
    assert "does not answer any more" in done["shown"][-1]
    assert done["clock"] < 30


# What the person does meanwhile


def test_music_follows_a_video_moved_meanwhile(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said, score=job("running"), job=[ok(job("running"))] * 5 + [ok(job())])
    desk.run(SCORE, NO, person=[{"at": 1.5, "drag": 4.0}])
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano", START + 4))


def test_the_music_goes_into_the_project_it_was_asked_for(desk: Desk) -> None:
    desk.serve(arrangement=music(), score=job("running"), job=[ok(job("running"))] * 5 + [ok(job())])
    done = desk.run(SCORE, NO, person=[{"at": 1.5, "tab": True}])
    assert list(desk.reaper.parts) == ["Piano", "Drums"]
    assert (done["front"], done["other"]) == (False, 0)


def test_a_project_that_was_closed_is_said(desk: Desk) -> None:
    desk.serve(arrangement=music(), score=job("running"), job=[ok(job("running"))] * 5 + [ok(job())])
    done = desk.run(SCORE, person=[{"at": 1.5, "shut": True}])
    assert "was closed meanwhile" in done["shown"][-1]


def test_a_video_that_was_deleted_meanwhile_leaves_its_place(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said, score=job("running"), job=[ok(job("running"))] * 5 + [ok(job())])
    desk.run(SCORE, NO, person=[{"at": 1.5, "delete": True}])
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano"))


# Which video


def test_a_video_that_plays_otherwise_is_refused(desk: Desk) -> None:
    take = desk.reaper.film["takes"][0]
    for change, sentence in (
        ({"playrate": 1.5}, "another speed"),
        ({"playrate": 1, "stretched": 2}, "stretch markers"),
        ({"stretched": 0, "section": [2.0, True]}, "backwards"),
        ({"section": None, "file": "song.wav"}, "Select the item of a video"),
    ):
        take |= change
        take = {k: v for k, v in take.items() if v is not None}
        desk.reaper.film["takes"][0] = take
        assert sentence in desk.run(SCORE)["shown"][-1]


def test_a_section_is_placed_by_its_start(desk: Desk) -> None:
    said = music()
    desk.serve(arrangement=said)
    desk.reaper.film["takes"][0]["section"] = [2.0, False]
    desk.run(INSERT, NO)
    assert near(desk.reaper.heard("Piano"), wanted(said, "Piano", START - 2))


# The stream


def test_the_stream_begins_with_the_projects_timecode_and_ends(desk: Desk) -> None:
    desk.serve(stream_status=[ok({"playing": ""}), ok({"playing": "film.mp4"})], stream={}, stream_stop={})
    desk.reaper.project["ext"] = {"cmt-bridge": {"follow": "mtc", "from": "MTC%20out"}}
    done = desk.run("Stream on or off", starts=3600)
    wanted_ = {"path": str(desk.film), "follow": "mtc", "from": ["MTC out"], "start": "01:00:12:12"}
    assert asked(done, "stream") == [wanted_]
    assert asked(desk.run("Stream on or off"), "stream_stop")


def test_why_a_stream_does_not_begin_is_said(desk: Desk) -> None:
    fault = {"error": "There is no ALSA sequencer.", "hint": "Start JACK.", "code": 4}
    desk.serve(stream_status=[ok({"playing": ""}), ok({"playing": "", "position": None, "error": fault})], stream={})
    assert desk.run("Stream on or off")["shown"] == ["There is no ALSA sequencer. Start JACK."]


def test_follow_goes_on_and_off_and_a_stream_with_it(desk: Desk) -> None:
    desk.serve(stream_status={"playing": "film.mp4"}, stream={}, stream_stop={})
    desk.reaper.project["ext"] = {"cmt-bridge": {"follow": "clock"}}
    done = desk.run("Follow on or off")
    assert done["shown"] == ["The stream goes by itself."]
    assert asked(done, "stream") == [{"path": str(desk.film)}]
    done = desk.run("Follow on or off")
    assert done["shown"] == ["The stream follows REAPER's CLOCK."]
    assert asked(done, "stream") == [{"path": str(desk.film), "follow": "clock"}]


# The panel


def test_the_panel_does_it_all_and_can_be_docked(desk: Desk) -> None:
    said = music()
    takes = {"project": str(desk.project), "current": 1, "takes": [{"take": 1, "mark": ""}]}
    desk.serve(
        arrangement=said,
        accept={"current": 1},
        takes=takes,
        score=job("running", stage="compose", share=0.5),
        job=job(),
    )
    person = [
        {"at": 0.5, "click": "Score the selected video"},
        {"at": 6.0, "click": "Accept"},
        {"at": 9.0, "click": "Take ▶"},
        {"at": 12.0, "click": "Accept", "right": True},
        {"at": 13.0, "close": True},
    ]
    done = desk.run("Panel", NO, person=person)
    assert done["steps"] == ["cmt-bridge: score, take 1"]
    assert done["shown"][1:] == ["Take 1 is accepted.", "This is the last take. Regenerate to have another."]
    assert 'a "film".mp4, no music yet' in done["drawn"]
    assert 'a "film".mp4, take 1' in done["drawn"]
    assert "Composing …" in done["drawn"]
    assert done["kept"] == {"cmt-bridge.dock": "1"}


def test_the_panel_cancels_a_job_and_stays(desk: Desk) -> None:
    desk.serve(score=job("running", stage="compose"), job=job("running"), cancel=job(), accept={"current": 4})
    person = [
        {"at": 0.5, "click": "Score the selected video"},
        {"at": 4.0, "click": "Cancel"},
        {"at": 5.0, "click": "Accept"},
        {"at": 9.0, "close": True},
    ]
    done = desk.run("Panel", person=person, cancel=True)
    assert asked(done, "cancel") == [{"id": 7}]
    assert done["shown"] == ["Take 4 is accepted."]


# Text


def test_the_linter_has_nothing_to_say() -> None:
    lint = tool("luacheck", "lua-check")
    done = subprocess.run([lint, "."], cwd=SCRIPTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_used_and_listed_functions_are_the_same() -> None:
    used = {name for path in SCRIPTS.rglob("*.lua") for name in re.findall(r"reaper\.(\w+)\(", path.read_text())}
    assert used == json.loads(API.read_text())["functions"].keys()


def test_every_action_has_a_description_and_valid_name() -> None:
    actions = sorted(SCRIPTS.glob("*.lua"))
    assert len(actions) == 10
    for path in actions:
        text = path.read_text()
        title = path.stem.removeprefix("cmt-bridge ")
        assert text.startswith(f"-- @description cmt-bridge: {title}\n-- @about ")
        assert not re.search(r'[<>:"/\\|?*]', path.name)
        assert re.search(r'^require\("\w+"\)\.\w+\((".*")?\)$', text, re.MULTILINE)


@pytest.mark.parametrize(
    "value", [{"a": [1, -2.5, 1e100, True, None], 'é\n"\\': "日本\u0001\U0001f600"}, [], {}, "x", 0, [[[]]]]
)
def test_json_is_read_and_written(tmp_path: Path, value: Any) -> None:
    source = tmp_path / "in.json"
    source.write_text(json.dumps(value))
    script = tmp_path / "s.lua"
    script.write_text(
        f'package.path = "{COMMON}/?.lua"\nlocal json = require("json")\n'
        f'io.write(json.encode(json.decode(io.open("{source}"):read("a"))))'
    )
    done = subprocess.run([tool("lua5.4", "lua5.4"), str(script)], capture_output=True, check=True)

    def same(one: Any, other: Any) -> bool:
        if not one and not other:
            return one in ([], {}, other)  # an empty table is both
        if isinstance(one, dict):
            return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        if isinstance(one, list):
            return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
        return bool(one == other)

    assert same(value, json.loads(done.stdout))


@pytest.mark.parametrize("text", ["", "{", "[1,", '{"a" 1}', '"x', "nul", "1 2", '{"a":}', '"\\u12"', "\\"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    source = tmp_path / "in.json"
    source.write_text(text)
    script = tmp_path / "s.lua"
    script.write_text(
        f'package.path = "{COMMON}/?.lua"\nlocal json = require("json")\n'
        f'io.write(tostring(pcall(json.decode, io.open("{source}"):read("a"))))'
    )
    done = subprocess.run([tool("lua5.4", "lua5.4"), str(script)], capture_output=True, check=True)
    assert done.stdout.startswith(b"false")


# With the real daemon


@pytest.fixture
def scripts(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMT_BRIDGE_STATE", environment["CMT_BRIDGE_STATE"])
    return install("reaper", tmp_path / "REAPER's scripts").folder


@pytest.fixture
def video(folder: Path, tiny_model: Path) -> Path:
    return film_in(folder, tiny_model, 'a "film".mp4')


@pytest.fixture
def reaper(tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run) -> Iterator[Reaper]:
    yield Reaper(tmp_path, scripts, environment, video)
    run("daemon", "stop", "--all")


@pytest.fixture
def watched(reaper: Reaper, video: Path, run: Run) -> Reaper:
    assert run("daemon", "start", video.parent).returncode == 0
    return reaper


def check_take(reaper: Reaper, video: Path, take: int, start: float = START) -> None:
    """Compare the active takes of the session with the take on the disk, in seconds of the film."""
    project = find_take_folder(video)
    assert project is not None
    found = project.take(take)
    score = found.score()
    version = version_of(found.midi, "")
    sounding = [part for part in version.parts if part.notes]
    assert list(reaper.parts) == [part.name for part in sounding]
    for part in sounding:
        item = reaper.parts[part.name]
        active = item["takes"][item["active"] - 1]
        assert active["name"] == f"take {take}"
        notes = reaper.seconds(item, active)
        exact = sorted(
            (
                start + float(score.tempo_map.seconds(note.start // 120)),
                start + float(score.tempo_map.seconds(note.end / 120)),
                note.channel,
                note.pitch,
                note.velocity,
            )
            for note in part.notes
        )
        assert near(notes, exact)


def check_active(reaper: Reaper, take: int) -> None:
    for item in reaper.parts.values():
        assert item["takes"][item["active"] - 1]["name"] == f"take {take}"


@pytest.mark.slow
def test_a_video_is_scored_regenerated_and_chosen_from(watched: Reaper, video: Path) -> None:
    done = watched.run(SCORE, [NO])
    assert done["steps"] == ["cmt-bridge: score, take 1"]
    assert [text for text in done["drawn"] if "Composing" in text or "Measuring" in text]
    check_take(watched, video, 1)
    project = find_take_folder(video)
    assert project is not None
    marks = {mark["name"] for mark in watched.project["markers"]}
    assert {"mine"} | {text for _, text in read_markers(project.take(1).midi)} == marks
    guids = [track["guid"] for track in watched.project["tracks"]]

    # The person moves a note of the first bar, off the grid, and wants the second bar of two tracks anew.
    piano = watched.parts["Piano"]["takes"][0]
    first = next(event for event in piano["events"] if event[1].startswith("90"))
    first[0] += 34
    bar = 240 / 100
    watched.project["selection"] = [START + bar, START + 2 * bar]
    for track in watched.project["tracks"]:
        track["selected"] = track["name"] in ("Bass", "Strings")
    done = watched.run(REGENERATE)
    assert done["steps"] == ["cmt-bridge: regenerate, take 2"]
    assert not list(project.folder.glob("from REAPER*"))
    assert [track["guid"] for track in watched.project["tracks"]] == guids
    takes = project.takes()
    assert takes[1].info.request["tracks"] == ["Bass", "Strings"]
    assert takes[1].info.request["bars"] == [[2, 2]]
    before, after = (version_of(take.midi, "") for take in takes)
    old_notes, new_notes = ({(n.start, n.pitch) for n in version.parts[1].notes} for version in (before, after))
    ((was, pitch),), ((now, same),) = old_notes - new_notes, new_notes - old_notes
    assert (pitch, now - was) == (same, 14)  # 34 of 960 a quarter at the project's 120 BPM are 14 of 480 at 100
    for old, new in zip(before.parts, after.parts, strict=True):
        outside = [[n for n in part.notes if not 1920 <= n.start < 3840] for part in (old, new)]
        if old.name != "Piano":
            assert [(n.start, n.pitch) for n in outside[0]] == [(n.start, n.pitch) for n in outside[1]]
    assert [take["name"] for take in watched.parts["Bass"]["takes"]] == ["take 1", "take 2"]
    check_active(watched, 2)

    assert watched.run("Previous take")["steps"] == ["cmt-bridge: choose, take 1"]
    check_active(watched, 1)
    assert "This is the first take." in watched.run("Previous take")["shown"]
    watched.run("Next take")
    check_active(watched, 2)
    assert [len(item["takes"]) for item in watched.parts.values()] == [2] * 5
    assert "Take 2 is accepted." in watched.run("Accept the take")["shown"]
    assert project.history().marks == {2: "accepted"}
    assert len([mark for mark in watched.project["markers"] if mark["name"] == "mine"]) == 1
    assert len(watched.project["markers"]) == 1 + len(read_markers(project.take(2).midi))


@pytest.mark.slow
def test_an_exported_project_goes_on_where_it_was_exported(watched: Reaper, video: Path, run: Run) -> None:
    assert run("score", video).returncode == 0
    assert run("regenerate", video, "--bars", "1", "--tracks", "bass").returncode == 0
    (made,) = export(video, ["reaper"])
    watched.project = opened(made.path)
    tracks = [track["name"] for track in watched.project["tracks"]]
    count = len(watched.project["markers"])
    assert tracks == ["Video", "Drums", "Piano", "Guitar", "Bass", "Strings"]

    # Nothing is doubled, moved or asked.
    done = watched.run(INSERT)
    assert done["shown"] == []
    assert [track["name"] for track in watched.project["tracks"]] == tracks
    assert len(watched.project["markers"]) == count
    check_take(watched, video, 2, start=0)
    assert [len(item["takes"]) for item in watched.parts.values()] == [2] * 5
    assert watched.run("Previous take")["steps"] == ["cmt-bridge: choose, take 1"]
    check_take(watched, video, 1, start=0)

    # A split and a trim by the person, then bars anew: each piece gets the take.
    item = watched.parts["Piano"]
    track = next(track for track in watched.project["tracks"] if track["name"] == "Piano")
    right = json.loads(json.dumps(item))
    right |= {"position": 3.0, "length": item["length"] - 3.0}
    for take in right["takes"]:
        take["offset"] = 3.0
    item["length"] = 3.0
    track["items"].append(right)
    watched.project["selection"] = [2.4, 4.8]
    done = watched.run(REGENERATE)
    assert done["steps"] == ["cmt-bridge: regenerate, take 3"]
    project = find_take_folder(video)
    assert project is not None
    assert project.takes()[2].info.request["bars"] == [[2, 2]]
    old, new = (version_of(take.midi, "") for take in (project.take(1), project.take(3)))
    for before, after in zip(old.parts, new.parts, strict=True):
        outside = [[n for n in part.notes if not 1920 <= n.start < 3840] for part in (before, after)]
        assert [(n.start, n.pitch, n.velocity) for n in outside[0]] == [
            (n.start, n.pitch, n.velocity) for n in outside[1]
        ]
    for each in (item for track in watched.project["tracks"][1:] for item in track["items"]):
        assert [take["name"] for take in each["takes"]] == ["take 1", "take 2", "take 3"]
        assert each["active"] == 3
    assert [track["name"] for track in watched.project["tracks"]] == tracks
    assert len(watched.project["markers"]) == count


@pytest.mark.slow
def test_the_project_takes_the_tempo_on_request(watched: Reaper, video: Path) -> None:
    watched.run(SETTINGS, ["0.9\n\npiano bass\n\n\n90\n\n\n\n\n"])
    done = watched.run(SCORE, [YES])
    assert done["project"]["tempos"] == [[pytest.approx(START), pytest.approx(90, abs=1e-3), 4, 4]]
    check_take(watched, video, 1)
    project = find_take_folder(video)
    assert project is not None
    score = project.take(1).score()
    assert score.provenance.options["instruments"] == ["Piano", "Bass"]
    notes = [event for event in watched.parts["Piano"]["takes"][0]["events"] if event[1].startswith("90")]
    assert notes
    assert all(tick % 240 == 0 for tick, *_ in notes)  # on the project's grid


@pytest.mark.slow
def test_without_a_daemon_one_is_offered_and_started(reaper: Reaper, video: Path) -> None:
    done = reaper.run(SCORE, [NO])
    assert "Nothing was done" in done["shown"][-1]
    assert done["steps"] == []
    done = reaper.run(SCORE, [YES, NO])
    assert "daemon start" in done["executed"][0]
    check_take(reaper, video, 1)


@pytest.mark.slow
def test_a_killed_and_restarted_daemon_runs_the_request_once(watched: Reaper, run: Run) -> None:
    done = watched.run(SCORE, [NO])
    assert done["steps"]
    status = json.loads(run("daemon", "status", "--json").stdout)["daemons"][0]
    subprocess.run(["kill", "-9", str(status["pid"])], check=True)
    said = watched.run("Accept the take", [NO])["shown"]
    assert "No cmt-bridge watches" in said[0]  # instance.json of the killed one is there
    assert "Take 1 is accepted." in watched.run("Accept the take", [YES])["shown"]


@pytest.mark.slow
def test_what_cannot_be_done_is_said_in_a_sentence(watched: Reaper, video: Path) -> None:
    said = watched.run(REGENERATE)["shown"]
    assert "There is no music of cmt-bridge for this video yet" in said[-1]
    assert "has no takes" in watched.run(INSERT)["shown"][-1]
    video.write_bytes(b"no video")
    said = watched.run(SCORE)["shown"]
    assert 'a "film".mp4' in said[-1]
    assert "internal" not in said[-1]


@pytest.mark.slow
def test_whoever_cancels_has_the_job_cancelled(watched: Reaper, video: Path, run: Run) -> None:
    long = clips.write_clip(video.with_name("long.mp4"), clips.panning(60, 25, speed=60, seed=2), 25)
    watched.film["takes"][0]["file"] = str(long)
    done = watched.run(SCORE, person=[{"at": 1.5, "close": True}])
    assert not done["steps"]
    deadline = 100
    while deadline and json.loads(run("daemon", "status", "--json").stdout)["daemons"][0]["jobs"].get("running"):
        deadline -= 1
    assert deadline
    assert find_take_folder(long) is None
