"""An Ardour session, loaded by Ardour itself, which says what it found; it needs no JACK for that."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import InputError
from cmt_bridge.projects.ardour import added, write_session
from cmt_bridge.projects.arrangement import Arrangement, Part
from tests.ardour import NoArdourError, Session
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
  tell("track", r:name(), r:presentation_info_ptr():color())
  notes(track:playlist())
  for list in s:playlists():playlists_for_track(track):iter() do
    if list:name() ~= track:playlist():name() then
      tell("list", list:name())
      notes(list)
    end
  end
end
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
    arrangement = arrangement_of(tmp_path, edited=edited, start=3600)
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
    text = (folder / "Der Film.ardour").read_text()
    assert 'name="timecode-offset" value="172800000"' in text
    assert 'name="timecode-format" value="timecode_23976"' in text


def test_what_ardour_saved_is_still_the_same_and_may_be_moved(tmp_path: Path) -> None:
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
    write_session(arrangement, folder, name="Film: 1/2 <3>")
    (session,) = folder.glob("*.ardour")
    assert session.stem == "Film_ 1_2 <3>"
    folder.rename(tmp_path / session.stem)
    found = ask(tmp_path / session.stem, tmp_path / "home", [])
    assert len(found["tracks"]) == 5
    assert {"日本", "<Klavier>"} <= found["tracks"].keys()
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
def test_added_to_a_session_the_music_keeps_to_the_film_and_all_else_stays(tmp_path: Path, edited: bool) -> None:
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


@pytest.mark.parametrize(
    "text", ["", "<Session", "<Session/>", '<Session version="3002" id-counter="3"><TempoMap/></Session>']
)
def test_what_is_no_session_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        added(text, arrangement_of(tmp_path, takes=1, current=0), at=Fraction(0), taken=[])
