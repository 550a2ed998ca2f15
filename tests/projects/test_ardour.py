"""An Ardour session, loaded by Ardour itself, which says what it found; it needs no JACK for that."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree.ElementTree import Element, fromstring, parse

import jack as jack_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.errors import InputError
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event
from cmt_bridge.outputs.edited import read_edited
from cmt_bridge.outputs.splice import spliced
from cmt_bridge.projects.ardour import GENERAL_MIDI, REASONABLE, added, synth_here, write_session
from cmt_bridge.projects.ardourtime import timecode_of
from cmt_bridge.projects.arrangement import Arrangement, Part, arranged, version_of
from tests.ardour import Hardour, NoArdourError, Session, hardour, playable, retried
from tests.jack import Heard, Server, recorder, server
from tests.projects.films import MARKERS, arrangement_of, renamed

pytestmark = pytest.mark.slow

PATIENCE = 60.0
TICKS = 1920

TELL = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session({folder}, {name})
assert(s, "it does not load")
local function tell(...)
  local words = {{}}
  for _, word in ipairs({{...}}) do words[#words + 1] = tostring(word) end
  print("@" .. table.concat(words, "\\t"))
end
local function ticks(beats)
  local whole, rest = tostring(beats):match("(%d+):(%d+)")
  return math.tointeger(whole) * 1920 + math.tointeger(rest)
end
local function notes(playlist)
  for region in playlist:region_list():iter() do
    tell("region", region:name(), region:position():ticks(), region:length():ticks())
    for note in ARDOUR.LuaAPI.note_list(region:to_midiregion():model()):iter() do
      tell("note", ticks(note:time()), ticks(note:length()), note:channel(), note:note(), note:velocity())
    end
  end
end
local tm = Temporal.TempoMap.read()
for at in ("{ticks}"):gmatch("%d+") do
  local pos = Temporal.timepos_t.from_ticks(math.tointeger(at))
  local after = Temporal.timepos_t.from_ticks(math.tointeger(at) + 1)  -- at a change itself Ardour tells the one before
  tell("time", at, pos:samples(), string.format("%.9f", tm:quarters_per_minute_at(after)), tm:bbt_at(pos):str())
end
for l in s:locations():list():iter() do
  local kind = l:is_mark() and "mark" or l:is_session_range() and "session" or "range"
  tell("location", kind, l:start():samples(), l:_end():samples(), l:name())
end
for r in s:get_tracks():iter() do
  local track = r:to_track()
  local out = r:output()
  local heard = out:n_ports():n_audio() > 0 and out:nth(0):connected_to("Master/audio_in 1")
  tell("track", r:name(), r:presentation_info_ptr():color(), track:playlist():name(), out:n_ports():n_audio(), heard)
  notes(track:playlist())
  for list in s:playlists():playlists_for_track(track):iter() do
    if list:name() ~= track:playlist():name() then
      tell("list", list:name())
      notes(list)
    end
  end
end
tell("master", s:master_out():output():nth(0):connected_to("system:playback_1"))
{more}
close_session()
quit()
"""

SAVE = 's:save_state("", false, false, false, false, false)'


def ask(folder: Path, home: Path, ticks: list[int], more: str = "", snapshot: str = "") -> dict[str, Any]:
    """Give what Ardour says of a session, or of a snapshot in its folder."""
    if shutil.which("ardour7-lua") is None:
        raise NoArdourError("Ardour is not installed: apt install --no-install-recommends ardour")
    session = Session(folder, home, 48000)
    home.mkdir(exist_ok=True)
    session.configure()
    script = TELL.replace("{name}", json.dumps(snapshot)) if snapshot else TELL
    output, _ = session.lua(script, ticks=" ".join(map(str, ticks)), more=more).communicate(timeout=PATIENCE)
    found: dict[str, Any] = {"times": {}, "locations": [], "tracks": {}, "colours": {}, "lists": {}, "regions": []}
    found |= {"playing": {}, "outputs": {}, "master": "", "output": output}
    notes: list[tuple[int, ...]] = []
    track = ""
    for line in output.splitlines():
        if not line.startswith("@"):
            continue
        kind, *words = line[1:].split("\t")
        if kind == "time":
            found["times"][int(words[0])] = (int(words[1]), float(words[2]), words[3])
        elif kind == "location":
            found["locations"].append((words[0], int(words[1]), int(words[2]), words[3]))
        elif kind == "track":
            track = words[0]
            notes = found["tracks"][track] = []
            found["colours"][track] = int(words[1])
            found["playing"][track] = words[2]
            found["outputs"][track] = (int(words[3]), words[4] == "true")
        elif kind == "master":
            found["master"] = words[0]
        elif kind == "list":
            notes = found["lists"][words[0]] = []
        elif kind == "region":
            found["regions"].append((words[0], int(words[1]), int(words[2])))
        elif kind == "note":
            notes.append(tuple(map(int, words)))
    assert found["tracks"], output[-3000:]
    return found


def written(part: Part, division: int) -> list[tuple[int, ...]]:
    """Give the notes of a part as Ardour counts."""
    found = []
    for note in part.notes:
        start, end = (round(tick * TICKS / division) for tick in (note.start, note.end))
        found.append((start, end - start, note.channel, note.pitch, note.velocity))
    return sorted(found)


def check(found: dict[str, Any], arrangement: Arrangement) -> None:
    """Compare what Ardour says with the arrangement."""
    division = arrangement.division
    assert list(found["tracks"]) == [part.name for part in arrangement.version.parts]
    for part in arrangement.version.parts:
        assert sorted(found["tracks"][part.name]) == written(part, division), part.name
        assert found["playing"][part.name] == f"{part.name} {arrangement.version.name}"
        red, green, blue = part.colour
        assert found["colours"][part.name] == red << 24 | green << 16 | blue << 8 | 0xFF
        for number, other in arrangement.others(part):
            version = arrangement.versions[number]
            if other is not None and version is not arrangement.version:
                assert sorted(found["lists"][f"{part.name} {version.name}"]) == written(other, division)
    for tick, (samples, bpm, _) in found["times"].items():
        place = tick * division / TICKS
        assert samples == pytest.approx(float(arrangement.seconds(round(place)) * 48000), abs=1)
        uspq = next(uspq for at, uspq in reversed(arrangement.version.tempos) if at <= round(place))
        assert bpm == pytest.approx(60e6 / uspq, rel=1e-7)
    marks = [(samples, name) for kind, samples, _, name in found["locations"] if kind == "mark"]
    assert marks == [(pytest.approx(mark.seconds * 48000, abs=1), mark.text) for mark in arrangement.markers]
    ranges = [(start, end, name) for kind, start, end, name in found["locations"] if kind == "range"]
    assert ranges == [
        (pytest.approx(s.start * 48000, abs=1), pytest.approx(s.end * 48000, abs=1), s.name)
        for s in arrangement.sections
    ]


def places(arrangement: Arrangement) -> list[int]:
    """Give the ticks, as Ardour counts, of quarters and of all changes of tempo."""
    changes = [round(tick * TICKS / arrangement.division) for tick, _ in arrangement.version.tempos]
    return sorted({*range(0, 16 * TICKS, TICKS), *changes})


@pytest.mark.parametrize("edited", [False, True])
def test_ardour_finds_every_note_tempo_and_marker(tmp_path: Path, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, edited=edited, start="01:00:00")
    folder = tmp_path / "Der Film"
    folder.mkdir()
    write_session(arrangement, folder, name="Der Film")
    found = ask(folder, tmp_path / "home", places(arrangement))
    check(found, arrangement)
    kind, start, end, _ = next(each for each in found["locations"] if each[0] == "session")
    assert (kind, start) == ("session", 0)
    assert end >= 8 * 48000
    bars = {tick: where for tick, (_, _, where) in found["times"].items()}
    if edited:  # a bar of 3/4, then 7/8
        assert (bars[0], bars[2 * TICKS], bars[3 * TICKS]) == ("1|1|0", "1|3|0", "2|1|0")
        assert bars[4 * TICKS] == "2|3|0"
    else:
        assert (bars[0], bars[5 * TICKS], bars[15 * TICKS]) == ("1|1|0", "2|2|0", "4|4|0")
    assert found["master"] == "true"  # what is put on a track is heard
    assert not re.search(r"\[ERROR\]|XML state|was missing", found["output"]), found["output"]


RATES = {
    ((24000, 1001), ":"): ("timecode_23976", "TC23976"),
    ((24, 1), ":"): ("timecode_24", "TC24"),
    ((25, 1), ":"): ("timecode_25", "TC25"),
    ((50, 1), ":"): ("timecode_25", "TC25"),
    ((25, 2), ":"): ("timecode_25", "TC25"),
    ((30000, 1001), ";"): ("timecode_2997drop", "TC2997DF"),
    ((30000, 1001), ":"): ("timecode_2997", "TC2997"),
    ((2998, 100), ";"): ("timecode_2997drop", "TC2997DF"),
    ((30, 1), ":"): ("timecode_30", "TC30"),
    ((15, 1), ":"): ("timecode_30", "TC30"),
    ((60000, 1001), ";"): ("timecode_2997drop", "TC2997DF"),
    ((60000, 1001), ":"): ("timecode_5994", "TC5994"),
    ((60, 1), ":"): ("timecode_60", "TC60"),
    ((0, 1), ":"): ("timecode_30", "TC30"),
}


def there(rate: tuple[int, int], mark: str, frame: int) -> int:
    """Give the frame in Ardour's label: where it counts every second one, half of it."""
    return frame // 2 if (rate, mark) in (((50, 1), ":"), ((60000, 1001), ";")) else frame


def test_the_picture_begins_with_the_label_that_was_asked_for(tmp_path: Path) -> None:
    labels = ((0, 0, 0), (1, 0, 6), (10, 3, 8))  # hours, minutes, frames
    lines = [
        f'tell("label", ARDOUR.LuaAPI.timecode_to_sample(Timecode.TimecodeFormat.{name}, 48000, {at}))'
        for (rate, mark), (_, name) in RATES.items()
        for at in (f"{hours}, {minutes}, 0, {there(rate, mark, frame)}" for hours, minutes, frame in labels)
    ]
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement_of(tmp_path, start="01:00:00"), folder, name="x")
    found = ask(folder, tmp_path / "home", [], "\n".join(lines))
    theirs = [int(line.partition("\t")[2]) for line in found["output"].splitlines() if line.startswith("@label")]
    ours = []
    for (rate, mark), (name, _) in RATES.items():
        for hours, minutes, frame in labels:
            said = counting_of(rate, start=f"{hours:02}:{minutes:02}:00{mark}{frame:02}")
            found_name, start = timecode_of(said)
            assert found_name == name
            ours.append(round((start.time - start.part / start.rate.frames) * 48000))
    assert ours == [pytest.approx(sample, abs=1) for sample in theirs]
    options = {each.get("name"): each.get("value") for each in tree(folder).iterfind("Config/Option")}
    assert options["timecode-format"] == "timecode_23976"
    assert options["timecode-offset"] == "172972800"
    assert options["timecode-offset-negative"] == "1"


def tree(folder: Path) -> Element:
    """Give the XML of the only session in a folder."""
    (path,) = folder.glob("*.ardour")
    return parse(path).getroot()


def test_the_window_shows_all_notes(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    root = tree(folder)
    ids = {each.get("name"): each.get("id") for each in root.iterfind("Routes/Route")}
    shown = {each.get("id"): each for each in root.iterfind("Extra/UI/GUIObjectState/Object")}
    for part in arrangement.version.parts:
        look = shown[f"rtav {ids[part.name]}"]
        lowest, highest = int(look.attrib["note-range-min"]), int(look.attrib["note-range-max"])
        for version in arrangement.versions:
            (same,) = [each for each in version.parts if each.name == part.name]
            assert all(lowest < note.pitch < highest for note in same.notes)
    looks = '<GUIObjectState>\n        <Object id="mine"/>\n      </GUIObjectState>'
    session = (folder / "x.ardour").read_text()
    session = re.sub(r"<GUIObjectState>.*</GUIObjectState>", looks, session, flags=re.DOTALL)
    text, _ = added(session, arrangement, at=Fraction(0), taken=[])
    objects = fromstring(text).findall("Extra/UI/GUIObjectState/Object")
    assert objects[0].get("id") == "mine"
    new = {each.get("id") for each in fromstring(text).findall("Routes/Route")} - set(ids.values())
    assert {each.get("id") for each in objects[1:]} == {f"rtav {track}" for track in new}
    assert len(new) == 5


def test_all_ids_are_distinct_and_not_ardours_own(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement_of(tmp_path), folder, name="x", synth=REASONABLE)
    root = tree(folder)
    ids = [int(each.attrib["id"]) for each in root.iter() if "id" in each.attrib and each.tag != "Object"]
    assert max(Counter(ids).values()) == 1
    assert min(ids) >= 1000
    assert max(ids) < int(root.attrib["id-counter"])
    ask(folder, tmp_path / "home", [], SAVE)
    again = Counter(each.attrib["id"] for each in tree(folder).iter() if "id" in each.attrib)
    assert max(again.values()) == 1


def test_takes_are_playlist_groups_with_all_parts(tmp_path: Path) -> None:
    full = arrangement_of(tmp_path)
    fewer = tuple(replace(version, parts=version.parts[number:]) for number, version in enumerate(full.versions))
    arrangement = replace(full, versions=(fewer[2], fewer[1], fewer[0]), current=1)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    found = ask(folder, tmp_path / "home", [], SAVE)
    assert list(found["tracks"]) == ["Piano", "Guitar", "Bass", "Strings", "Drums"]
    assert found["playing"] == {name: f"{name} take 2" for name in found["tracks"]}
    assert found["tracks"]["Drums"] == []
    assert sorted(found["lists"]["Drums take 1"]) == written(full.versions[0].parts[0], 480)
    assert "Drums take 3" not in found["lists"]
    root = tree(folder)
    groups = {each.get("name"): each.get("pgroup-id") for each in root.iterfind("*/Playlist")}
    assert groups == {name: name.partition(" ")[2] for name in [*found["playing"].values(), *found["lists"]]}


@pytest.mark.parametrize("synth", [REASONABLE, GENERAL_MIDI])
def test_every_track_has_an_instrument_or_its_place(tmp_path: Path, synth: Any) -> None:
    arrangement = arrangement_of(tmp_path, takes=1, current=0)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x", synth=synth)
    more = 'for r in s:get_tracks():iter() do tell("plugin", r:nth_plugin(0):isnil() or r:nth_plugin(0):name()) end'
    found = ask(folder, tmp_path / "home", places(arrangement), f"{more}\n{SAVE}")
    check(found, arrangement)
    assert set(found["outputs"].values()) == {(2, True)}
    missing = "that is unknown" in found["output"]
    assert missing == (synth is GENERAL_MIDI and synth_here() is REASONABLE)
    names = {line.partition("\t")[2] for line in found["output"].splitlines() if line.startswith("@plugin")}
    assert missing or names == {synth.name}
    root = tree(folder)
    uris = [each.get("unique-id") for each in root.iterfind("Routes/Route/Processor[@type='lv2']")]
    assert uris == [synth.uri] * 5
    kinds = [each.get("type") for each in root.findall("Routes/Route")[1].iterfind("Processor")]
    assert kinds.index("lv2") < kinds.index("amp")  # so that the fader works


def test_the_best_instrument_is_found_by_its_folder(tmp_path: Path) -> None:
    assert synth_here([tmp_path, tmp_path / "nothing"]) is REASONABLE
    (tmp_path / "gmsynth.lv2").mkdir()
    assert synth_here([tmp_path / "nothing", tmp_path]) is GENERAL_MIDI


def test_times_between_ardours_ticks_go_to_the_nearest(tmp_path: Path) -> None:
    """And notes that are too short to be, or never end, or end without having begun, are no trouble."""
    events = [
        (1, b"\x90\x3c\x50"),
        (2, b"\x80\x3c\x40"),
        (3, b"\x90\x3d\x50"),
        (334, b"\x80\x3d\x40"),
        (400, b"\x90\x3e\x51"),
        (400, b"\x90\x3e\x00"),
        (777, b"\x90\x40\x33"),
        (900, b"\x90\x42\x33"),
        (950, b"\x90\x42\x34"),
        (960, b"\x80\x42\x34"),
        (980, b"\x80\x42\x34"),
        (1000, b"\x80\x50\x40"),
    ]
    path = tmp_path / "x.mid"
    path.write_bytes(file_of(0, 1000, [chunk_of([*events, (2000, meta_event(END_OF_TRACK))])]))
    arrangement = arranged(
        "x", [version_of(path, "take 1")], 0, markers=(), duration=1.0, counting=counting_of((25, 1))
    )
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    (notes,) = ask(folder, tmp_path / "home", [])["tracks"].values()
    assert sorted(notes) == [
        (2, 2, 0, 60, 80),
        (6, 635, 0, 61, 80),
        (768, 1, 0, 62, 81),
        (1492, 2348, 0, 64, 51),
        (1728, 115, 0, 66, 51),
        (1824, 58, 0, 66, 52),
    ]


message = st.one_of(
    st.tuples(st.just(0x90), st.integers(58, 61), st.integers(0, 127)),
    st.tuples(st.just(0x80), st.integers(58, 61), st.integers(0, 127)),
    st.tuples(st.sampled_from((0xA0, 0xB0, 0xE0)), st.integers(0, 127), st.integers(0, 127)),
)


@settings(deadline=None)
@given(
    st.sampled_from((1, 7, 96, 480, 1000, 1920, 15360)),
    st.lists(st.tuples(st.integers(0, 40), message), min_size=1, max_size=30),
)
def test_whatever_was_played_arrives(division: int, deltas: list[tuple[int, tuple[int, ...]]]) -> None:
    with TemporaryDirectory() as place:
        ticks = accumulate(delta for delta, _ in deltas)
        events = [(0, b"\xb0\x07\x64")]
        events += [(tick, bytes(data)) for tick, (_, data) in zip(ticks, deltas, strict=True)]
        path = Path(place) / "x.mid"
        path.write_bytes(file_of(0, division, [chunk_of([*events, (events[-1][0], meta_event(END_OF_TRACK))])]))
        arrangement = arranged(
            "x", [version_of(path, "take 1")], 0, markers=(), duration=1.0, counting=counting_of((25, 1))
        )
        folder = Path(place) / "session"
        folder.mkdir()
        write_session(arrangement, folder, name="x")
        (file,) = folder.rglob("*.mid")
        (part,) = version_of(file, "").parts
    (given_part,) = arrangement.version.parts

    def at(tick: int) -> int:
        return round(Fraction(tick * TICKS, division))

    wanted = [(at(n.start), max(at(n.end), at(n.start) + 1), n.pitch, n.velocity) for n in given_part.notes]
    assert sorted((n.start, n.end, n.pitch, n.velocity) for n in part.notes) == sorted(wanted)
    others = [(at(tick), data) for tick, data in events if data[0] >= 0xA0]
    assert [(tick, data) for tick, data in part.events if data[0] >= 0xA0] == others


def test_ardour_reads_on_behind_what_it_stumbles_over(tmp_path: Path) -> None:
    """In its sessions, and in the file of a take."""
    odd = [
        *(b"\xf0\x03\x43\x12\x00", b"\xf7\x03\x01\x02\xf7"),  # an exclusive in packets
        b"\xf7\x01\xf3",  # half a message, to be sent as it is
        b"\xf0\x03\x43\x90\xf7",
        b"\xf0\x02\x43\x12",  # no end
    ]
    notes = [(n * 480, bytes((0x90, 50 + n, 80))) for n in range(24)]
    notes += [(n * 480 + 400, bytes((0x80, 50 + n, 0))) for n in range(24)]
    events = sorted([*notes, *((1900 + n, message) for n, message in enumerate(odd))], key=lambda event: event[0])
    path = tmp_path / "x.mid"
    path.write_bytes(file_of(0, 1920, [chunk_of([*events, (12_000, meta_event(END_OF_TRACK))])]))
    arrangement = arranged(
        "x", [version_of(path, "take 1")], 0, markers=(), duration=1.0, counting=counting_of((25, 1))
    )
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    (written_,) = ask(folder, tmp_path / "home", [])["tracks"].values()
    (file,) = folder.rglob("*.mid")
    file.write_bytes(spliced(read_edited(path), [], [(0, 1)], [Instrument.DRUMS]))
    (taken,) = ask(folder, tmp_path / "home", [])["tracks"].values()
    assert sorted(note[3] for note in written_) == sorted(note[3] for note in taken) == list(range(50, 74))


def test_a_bar_cut_short_has_its_own_metre(tmp_path: Path) -> None:
    metres = [(0, 4, 4), (720, 3, 4), (720 + 3 * 1440 + 480, 6, 8), (720 + 4 * 1440, 4, 4), (720 + 4 * 1440 + 1, 2, 4)]
    heads = [(tick, meta_event(0x58, bytes((n, d.bit_length() - 1, 24, 8)))) for tick, n, d in metres]
    end = (16 * 480, meta_event(END_OF_TRACK))
    path = tmp_path / "x.mid"
    note = [(0, b"\x90\x3c\x50"), (480, b"\x80\x3c\x50"), end]
    path.write_bytes(file_of(1, 480, [chunk_of([*heads, end]), chunk_of(note)]))
    arrangement = arranged(
        "x", [version_of(path, "take 1")], 0, markers=(), duration=1.0, counting=counting_of((25, 1))
    )
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    starts = [
        0,
        720,
        720 + 1440,
        720 + 2 * 1440,
        720 + 3 * 1440,
        720 + 3 * 1440 + 480,
        720 + 4 * 1440,
        720 + 4 * 1440 + 960,
    ]
    found = ask(folder, tmp_path / "home", [tick * 4 for tick in starts], SAVE)
    assert [found["times"][tick * 4][2] for tick in starts] == [f"{bar}|1|0" for bar in range(1, 9)]
    found = ask(folder, tmp_path / "home", [tick * 4 for tick in starts])
    assert [found["times"][tick * 4][2] for tick in starts] == [f"{bar}|1|0" for bar in range(1, 9)]


def test_names_as_long_as_they_get(tmp_path: Path) -> None:
    names = ["日" * 300, "日" * 299, "piano", "Piano", "PIANO"]
    arrangement = renamed(arrangement_of(tmp_path, takes=2, current=0), names)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="日" * 83)
    (path,) = folder.glob("*.ardour")
    assert path.stem == "日" * 60
    files = [file.name.casefold() for file in folder.rglob("*.mid")]
    assert len(set(files)) == 10  # also where capitals do not count
    folder = folder.rename(tmp_path / path.stem)
    found = ask(folder, tmp_path / "home", [], SAVE)
    assert len(found["tracks"]) == 5
    assert sorted(map(sorted, found["tracks"].values())) == sorted(
        written(part, 480) for part in arrangement.version.parts
    )


def test_a_session_with_an_instrument_sounds_at_once(tmp_path: Path) -> None:
    loudest = dict.fromkeys((None, REASONABLE), 0.0)
    for synth in loudest:
        folder = tmp_path / str(synth and "synth") / "session"
        folder.mkdir(parents=True)
        write_session(arrangement_of(tmp_path), folder, name="session", synth=synth)
        session = playable(folder, tmp_path / f"home {synth is None}")
        loudest[synth] = retried(partial(loudest_of, session, tmp_path))
    assert loudest[None] == 0
    assert loudest[REASONABLE] > 0.01


def loudest_of(session: Session, folder: Path) -> float:
    """Let Ardour play a session; give the loudest sample that comes out of its master bus."""
    with server(folder, period=1024, patient=True) as jack, hardour(session, jack) as ardour:
        return heard_from(jack, ardour)


def heard_from(server: Server, ardour: Hardour) -> float:
    """Let Ardour play into its loudspeaker's place; give the loudest sample."""
    client = jack_client.Client("ear", servername=server.name, no_start_server=True)
    port = client.inports.register("in")
    loud = [0.0]

    @client.set_process_callback
    def process(_: int) -> None:
        loud[0] = max(loud[0], float(abs(port.get_array()).max()))

    with client:
        output = client.get_port_by_name("ardour:Master/audio_out 1")
        assert "system:playback_1" in [each.name for each in client.get_all_connections(output)]
        client.connect(output, port)
        ardour.locate(0)
        time.sleep(1)
        ardour.play()
        time.sleep(3)
        ardour.stop()
    return loud[0]


def test_ardour_plays_an_edited_take_at_the_videos_timecode(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, edited=True, start="01:00:00:00")
    folder = tmp_path / "session"
    folder.mkdir()
    write_session(arrangement, folder, name="session")
    session = playable(folder, tmp_path / "home")

    def play() -> list[Heard]:
        with (
            server(tmp_path, period=1024, patient=True) as jack,
            hardour(session, jack) as ardour,
            recorder(jack, ports=2) as heard,
        ):
            heard.listen("ardour:Lead – 1/midi_out 1")
            heard.listen("ardour:MTC out", 1)
            ardour.locate(2 * 48000)
            time.sleep(1)
            ardour.locate(0)
            time.sleep(1)
            ardour.play()
            time.sleep(4)
            ardour.stop()
            time.sleep(0.5)
            return heard.stop()

    messages = retried(play)
    full = b"\xf0\x7f\x7f\x01\x01"
    labels = [tuple(each.data[5:9]) for each in messages if each.port == 1 and each.data.startswith(full)]
    labels = [(hours & 0x1F, *rest) for hours, *rest in labels]
    # Two true seconds are 47.95 frames at 23.976.
    assert [label for label, _ in groupby(labels)][:2] == [(1, 0, 1, 23), (1, 0, 0, 0)]
    (part,) = arrangement.version.parts
    wanted = [(tick, data) for tick, data in part.events if data[0] & 0xF0 not in (0xC0, 0xF0)]
    played = [each for each in messages if each.port == 0]
    first = next(index for index, each in enumerate(played) if each.is_on)
    zero = played[first].frame - float(arrangement.seconds(7) * 48000)
    assert b"\xc2\x51" in [each.data for each in played[:first]]
    assert b"\xb2\x0b\x40" in [each.data for each in played]
    ours = {(0x92, 0x3C), (0x82, 0x3C), (0xE2, 0x12), (0xD2, 0x33), (0xA2, 0x3C)}
    found = [
        (each.frame - zero, each.data[0] & 0xF0)
        for each in played[first:]
        if (0x82 if each.is_off else each.data[0], each.data[1]) in ours
    ]
    expected = [
        (float(arrangement.seconds(tick) * 48000), 0x80 if data[0] == 0x92 and not data[2] else data[0] & 0xF0)
        for tick, data in wanted
        if tick >= 7
    ]
    assert [kind for _, kind in found[: len(expected)]] == [kind for _, kind in expected]
    assert [frame for frame, _ in found[: len(expected)]] == [pytest.approx(frame, abs=2) for frame, _ in expected]


def test_ardours_saved_session_is_equal_and_movable(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    folder = tmp_path / "Der Film"
    folder.mkdir()
    write_session(arrangement, folder, name="Der Film")
    ask(folder, tmp_path / "home", [], SAVE)
    assert "Ardour 7" in (folder / "Der Film.ardour").read_text()
    elsewhere = tmp_path / "An einem – anderen Ort" / "Der Film"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    check(ask(elsewhere, tmp_path / "home", places(arrangement)), arrangement)


def test_the_tempos_of_a_long_piece_do_not_drift(tmp_path: Path) -> None:
    tempos = TempoMap.of([(tick, 400_000 + 7_919 * tick % 300_007) for tick in range(0, 16 * 200, 7)])
    arrangement = arrangement_of(tmp_path, tempos=tempos, takes=1, current=0)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="x")
    ticks = list(range(0, 200 * 4 * TICKS, 13 * TICKS))
    found = ask(folder, tmp_path / "home", ticks)
    for tick in ticks:
        assert found["times"][tick][0] == pytest.approx(float(tempos.seconds(tick * 4 // TICKS) * 48000), abs=1)


def test_names_that_are_hard_to_write_down(tmp_path: Path) -> None:
    names = ['Wir & "sie"', "<Klavier>", "日本", "a;b:c", "  "]
    arrangement = renamed(arrangement_of(tmp_path, takes=2, current=0), names)
    folder = tmp_path / "x"
    folder.mkdir()
    write_session(arrangement, folder, name="Film: 1/2 <3>", synth=REASONABLE)
    (session,) = folder.glob("*.ardour")
    assert session.stem == "Film_ 1_2 <3>"
    folder.rename(tmp_path / session.stem)
    found = ask(tmp_path / session.stem, tmp_path / "home", [])
    assert len(found["tracks"]) == 5
    assert {"日本", "<Klavier>", 'Wir & "sie"', "a;b:c"} <= found["tracks"].keys()
    assert set(found["outputs"].values()) == {(2, True)}  # connected under whatever name
    notes = sorted(map(sorted, found["tracks"].values()))
    assert notes == sorted(written(part, 480) for part in arrangement.version.parts)


def test_the_same_music_gives_the_same_files(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_session(arrangement, folder, name="Film")
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert one == two
    assert len(one) == 1 + 3 * 5
    assert str(tmp_path).encode() not in b"".join(one.values())
    assert json.dumps(MARKERS[1].text)[1:-1].encode() in b"".join(one.values())


GLIDES = """
local tm = Temporal.TempoMap.fetch_writable()
tm:set_tempo(Temporal.Tempo(60, 150, 8), Temporal.timepos_t.from_ticks(12 * 1920))
tm:set_tempo(Temporal.Tempo(150, 150, 8), Temporal.timepos_t.from_ticks(20 * 1920))
tm:set_meter(Temporal.Meter(6, 8), Temporal.timepos_t.from_ticks(12 * 1920))  -- only then Ardour reckons the curve
Temporal.TempoMap.update(tm)
"""

WHEN = """
for r in s:get_tracks():iter() do
  for region in r:to_track():playlist():region_list():iter() do
    local first = region:position():ticks() - region:start():ticks()
    for note in ARDOUR.LuaAPI.note_list(region:to_midiregion():model()):iter() do
      local at = first + ticks(note:time())
      local function sample(tick) return Temporal.timepos_t.from_ticks(tick):samples() end
      local stop = sample(at + ticks(note:length()))
      tell("when", sample(at), stop, sample(at + 1) - sample(at), note:channel(), note:note())
    end
  end
end
"""

THEIRS = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = create_session({folder}, {name}, 48000)
local tm = Temporal.TempoMap.fetch_writable()
tm:set_tempo(Temporal.Tempo(97.3, 97.3, 4), Temporal.timepos_t.from_ticks(0))
tm:set_tempo(Temporal.Tempo(141, 141, 4), Temporal.timepos_t.from_ticks(8 * 1920))
Temporal.TempoMap.update(tm)
local one = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
for _, name in ipairs({{ "Piano", "Mine" }}) do
  s:new_midi_track(one, one, true, ARDOUR.PluginInfo(), nil, nil, 1, name, ARDOUR.PresentationInfo.max_order,
                   ARDOUR.TrackMode.Normal, true)
end
s:save_state("", false, false, false, false, false)
close_session()
quit()
"""


@pytest.mark.parametrize("edited", [False, True])
def test_music_added_to_a_session_leaves_all_else(tmp_path: Path, edited: bool) -> None:
    home, folder = tmp_path / "home", tmp_path / "Their session"
    home.mkdir()
    session = Session(folder, home, 48000)
    session.configure()
    output, _ = session.lua(THEIRS).communicate(timeout=PATIENCE)
    assert session.file.exists(), output
    before = session.file.read_text()
    arrangement = arrangement_of(tmp_path, edited=edited)
    at = Fraction(29, 4)
    text, files = added(before, arrangement, at=at, taken=["Piano take 1.mid"])
    lines, others = before.splitlines(), text.splitlines()
    kept = [line for line in lines if "id-counter" not in line and not line.endswith("/>")]
    rest = iter(others)
    assert all(line in rest for line in kept)  # in their order
    snapshot = folder / "Der Film.ardour"
    snapshot.write_text(text)
    for name, content in files.items():
        path = folder / "interchange" / "Their session" / "midifiles" / name
        assert not path.exists()
        path.write_bytes(content)
    found = ask(folder, home, [], snapshot="Der Film")
    assert list(found["tracks"])[:2] == ["Piano", "Mine"]
    ours = [part.name if part.name != "Piano" else "Piano 2" for part in arrangement.version.parts]
    assert sorted(list(found["tracks"])[2:]) == sorted(ours)
    change = 8 * 60 / 97.3

    def seconds(tick: float) -> float:
        quarters = tick / TICKS
        return quarters * 60 / 97.3 if quarters < 8 else change + (quarters - 8) * 60 / 141

    positions = {name: position for name, position, _ in found["regions"]}
    for part, name in zip(arrangement.version.parts, ours, strict=True):
        (position,) = {at for region, at in positions.items() if region.startswith(part.name.replace("–", "–"))}
        notes = sorted(found["tracks"][name])
        heard = [
            (seconds(position + start), seconds(position + start + length), *rest) for start, length, *rest in notes
        ]
        wanted = sorted(
            (
                7.25 + float(arrangement.seconds(n.start)),
                7.25 + float(arrangement.seconds(n.end)),
                n.channel,
                n.pitch,
                n.velocity,
            )
            for n in part.notes
        )
        assert len(heard) == len(wanted)
        for one, other in zip(heard, wanted, strict=True):
            assert one == pytest.approx(other, abs=0.0008)  # a tick of Ardour's is up to 0.33 ms here
    marks = {name: samples for kind, samples, _, name in found["locations"] if kind == "mark"}
    assert marks["Cut 1"] == pytest.approx((7.25 + 1.2512) * 48000, abs=1)


def test_where_their_tempo_glides_the_music_keeps_to_the_film(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "glides"
    home.mkdir()
    session = Session(folder, home, 48000)
    session.configure()
    output, _ = session.lua(THEIRS).communicate(timeout=PATIENCE)
    assert session.file.exists(), output
    ask(folder, home, [], GLIDES + SAVE)
    before = session.file.read_text()
    assert re.search(r'sclock="(?!0").* omega="(?!0")', before)
    arrangement = arrangement_of(tmp_path)
    text, files = added(before, arrangement, at=Fraction(29, 4), taken=[], synth=REASONABLE)
    (folder / "music.ardour").write_text(text)
    for name, content in files.items():
        (folder / "interchange" / "glides" / "midifiles" / name).write_bytes(content)
    found = ask(folder, home, [], WHEN, snapshot="music")
    assert [found["outputs"][name] for name in ("Piano 2", "Bass", "Mine")] == [(2, True), (2, True), (0, False)]
    lines = [line.split("\t")[1:] for line in found["output"].splitlines() if line.startswith("@when")]
    heard = sorted(
        (int(channel), int(start), int(pitch), int(end), int(tick)) for start, end, tick, channel, pitch in lines
    )
    wanted = sorted(
        (note.channel, note.start, note.pitch, note.end) for part in arrangement.version.parts for note in part.notes
    )
    assert len(heard) == len(wanted) > 50
    for (channel, start, pitch, end, tick), (theirs, begins, tone, stops) in zip(heard, wanted, strict=True):
        assert (channel, pitch) == (theirs, tone)
        for sample, moment in ((start, begins), (end, stops)):
            assert sample == pytest.approx((7.25 + float(arrangement.seconds(moment))) * 48000, abs=tick / 2 + 2)


@pytest.mark.parametrize(
    "text", ["", "<Session", "<Session/>", '<Session version="3002" id-counter="3"><TempoMap/></Session>']
)
def test_what_is_no_session_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        added(text, arrangement_of(tmp_path, takes=1, current=0), at=Fraction(0), taken=[])
