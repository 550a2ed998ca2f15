"""Ardour's actions, run by Ardour's own Lua on real sessions, with the real daemon; only its windows are made up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.midi.events import Event, releases, strikes
from cmt_bridge.projects.arrangement import Part, Version, version_of
from cmt_bridge.scoring.export import export
from cmt_bridge.scoring.hosts import install
from cmt_bridge.takes.locate import find_take_folder
from cmt_bridge.takes.take_folder import TakeFolder
from tests.ardour import Session, build
from tests.e2e.conftest import Run, environment, folder, forks, run  # noqa: F401  (fixtures)
from tests.hosts.films import film_in
from tests.projects.test_ardour import TICKS

__all__ = ["environment", "folder", "run"]

pytestmark = pytest.mark.slow

PATIENCE = 200.0
RATE = 48000

RUN = """
AudioEngine:set_backend("None (Dummy)", "", "")
Session = assert(load_session({folder}, {name}), "it does not load")
function ardour() end
local answers = {{ {answers} }}
local function answer(what)
  assert(#answers > 0, "nobody answers: " .. what)
  return table.remove(answers, 1)
end
local function dialog(title, text)
  return {{ run = function()
    print("@shown\\t" .. title .. "\\t" .. tostring(text):gsub("\\n", " "))
    return answer(title)
  end }}
end
LuaDialog = {{
  MessageType = {{ Info = 1, Question = 2 }}, ButtonType = {{ Close = 1, Yes_No = 2 }},
  Response = {{ Yes = 3, No = 4 }},
  Message = function(title, text, kind)
    if kind == 1 then
      print("@shown\\t" .. title .. "\\t" .. text:gsub("\\n", " "))
      return {{ run = function() end }}
    end
    return dialog(title, text)
  end,
  Dialog = function(title, _) return dialog(title, "") end,
  ProgressWindow = function()
    return {{ progress = function(_, share, text) print("@progress\\t" .. share .. "\\t" .. text) return false end,
             canceled = function() return false end, done = function() end }}
  end,
}}
Editor = {{ get_selection = function() return {{
  time = {{ start_sample = function() return {first} end, end_sample = function() return {last} end }},
  tracks = {{ routelist = function() return {{ iter = function()
    local chosen = {{ {chosen} }}
    local found = {{}}
    for route in Session:get_tracks():iter() do
      for _, name in ipairs(chosen) do
        if route:name() == name then found[#found + 1] = route end
      end
    end
    local index = 0
    return function() index = index + 1 return found[index] end
  end }} end }},
}} end }}
assert(loadfile({action}))()
string.dump(factory, true)
load(string.dump(factory, true))()()
local function ticks(beats)
  local whole, rest = tostring(beats):match("(%d+):(%d+)")
  return math.tointeger(whole) * 1920 + math.tointeger(rest)
end
local function notes(list)
  for region in list:region_list():iter() do
    local first = region:position():ticks() - region:start():ticks()
    for note in ARDOUR.LuaAPI.note_list(region:to_midiregion():model()):iter() do
      local at = first + ticks(note:time())
      local stop = at + ticks(note:length())
      print("@note\\t" .. table.concat({{ at, stop, note:channel(), note:note(), note:velocity(),
        Temporal.timepos_t.from_ticks(at):samples(), Temporal.timepos_t.from_ticks(stop):samples() }}, "\\t"))
    end
  end
end
for route in Session:get_tracks():iter() do
  local track = route:to_track()
  print("@track\\t" .. route:name() .. "\\t" .. track:playlist():name())
  for region in track:playlist():region_list():iter() do
    print("@region\\t" .. region:position():ticks() .. "\\t" .. region:length():ticks())
  end
  notes(track:playlist())
  for list in Session:playlists():playlists_for_track(track):iter() do
    if list:name() ~= track:playlist():name() then
      print("@list\\t" .. list:name())
      notes(list)
    end
  end
end
print("@over")
Session:save_state("", false, false, false, false, false)
close_session()
quit()
"""

MOVE = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session({folder}, {name})
for route in s:get_tracks():iter() do
  if route:name() == {track} then
    for region in route:to_track():playlist():region_list():iter() do
      local model = region:to_midiregion():model()
      local change = model:new_note_diff_command("by hand")
      local first
      for note in ARDOUR.LuaAPI.note_list(model):iter() do first = first or note end
      change:remove(first)
      local time = Temporal.Beats.from_double({at} / 1920)
      change:add(ARDOUR.LuaAPI.new_noteptr(first:channel(), time, first:length(), first:note(), first:velocity()))
      model:apply_command(s, change)
    end
  end
end
s:save_state("", false, false, false, false, false)
close_session()
quit()
"""


CUT = """
AudioEngine:set_backend("None (Dummy)", "", "")
local s = load_session({folder}, {name})
for route in s:get_tracks():iter() do
  local list = route:to_track():playlist()
  if route:name() == "Piano" or route:name() == "Guitar" then
    local whole
    for region in list:region_list():iter() do whole = region end
    list:split_region(whole, Temporal.timepos_t.from_ticks(7680))
    for region in list:region_list():iter() do
      if region:position():ticks() == 7680 then
        if route:name() == "Piano" then
          region:set_position(Temporal.timepos_t.from_ticks(7680 + 960))
        else
          region:set_muted(true)
        end
      end
    end
  elseif route:name() == "Strings" then
    local whole
    for region in list:region_list():iter() do whole = region end
    list:remove_region(whole)
  end
end
local one = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
s:new_midi_track(one, one, true, ARDOUR.PluginInfo(), nil, nil, 1, "Mine", ARDOUR.PresentationInfo.max_order,
                 ARDOUR.TrackMode.Normal, true)
s:save_state("", false, false, false, false, false)
close_session()
quit()
"""


class Ardour:
    """A session, and the actions that are installed for it."""

    def __init__(self, session: Session, scripts: Path, environment: dict[str, str]) -> None:
        self.session, self._scripts, self._environment = session, scripts, environment

    def run(
        self, name: str, *answers: str, span: tuple[float, float] = (0, 0), chosen: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Run an action; give what was shown, and what each track holds then."""
        process = self.session.lua(
            RUN,
            answers=", ".join(answers),
            first=round(span[0] * RATE),
            last=round(span[1] * RATE),
            chosen=", ".join(map(json.dumps, chosen)),
            action=json.dumps(str(self._scripts / f"cmt-bridge {name}.lua"), ensure_ascii=False),
        )
        output, _ = process.communicate(timeout=PATIENCE)
        found: dict[str, Any] = {"shown": [], "tracks": {}, "current": {}, "lists": {}, "stages": set(), "regions": {}}
        notes: list[tuple[int, ...]] = []
        regions: list[tuple[int, ...]] = []
        for line in output.splitlines():
            match line.split("\t"):
                case ["@shown", _, text]:
                    found["shown"].append(text)
                case ["@progress", _, stage]:
                    found["stages"].add(stage)
                case ["@track", track, current]:
                    notes = found["tracks"][track] = []
                    found["current"][track] = current
                    regions = found["regions"][track] = []
                case ["@region", *values]:
                    regions.append(tuple(map(int, values)))
                case ["@list", title]:
                    notes = found["lists"][title] = []
                case ["@note", *values]:
                    notes.append(tuple(map(int, values)))
        assert "@over" in output, output[-3000:]
        return found


def heard(notes: list[tuple[int, ...]]) -> list[tuple[float, float, int, int, int]]:
    return sorted((note[5] / RATE, note[6] / RATE, note[2], note[3], note[4]) for note in notes)


def written(project: TakeFolder, take: int, part: Part) -> list[tuple[float, float, int, int, int]]:
    score = project.take(take).score()
    return sorted(
        (
            float(score.tempo_map.seconds(n.start / 120)),  # type: ignore[arg-type]
            float(score.tempo_map.seconds(n.end / 120)),  # type: ignore[arg-type]
            n.channel,
            n.pitch,
            n.velocity,
        )
        for n in part.notes
    )


def is_note(event: Event) -> bool:
    return strikes(event[1]) or releases(event[1])


def check(found: dict[str, Any], project: TakeFolder, take: int, names: set[str]) -> None:
    """Compare what some tracks of Ardour's play with a take."""
    version = version_of(project.take(take).midi, "")
    for part in (part for part in version.parts if part.name in names):
        notes = heard(found["tracks"][part.name])
        wanted = written(project, take, part)
        assert len(notes) == len(wanted), part.name
        for one, other in zip(notes, wanted, strict=True):
            assert one == pytest.approx(other, abs=0.001)


@pytest.fixture
def video(folder: Path, tiny_model: Path) -> Path:
    return film_in(folder, tiny_model, "it's a film.mp4")


@pytest.fixture
def scripts(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CMT_BRIDGE_STATE", "CMT_BRIDGE_CACHE", "CMT_BRIDGE_MODELS"):
        monkeypatch.setenv(name, environment[name])
    return install("ardour", tmp_path / "scripts").folder


@pytest.fixture
def daemon(run: Run, video: Path) -> Iterator[None]:
    assert run("daemon", "start", video.parent).returncode == 0
    yield
    run("daemon", "stop", "--all")


def exported(video: Path, folder: Path) -> Session:
    """Export the takes of a video as a session, and give that, with a home of its own."""
    (made,) = export(video, ["ardour"], folder=folder)
    session = Session(made.path.rename(folder / "it's a film"), folder / "home", RATE)
    session.home.mkdir()
    session.configure()
    return session


def chosen_film(video: Path) -> str:
    return f"{{ film = {json.dumps(str(video), ensure_ascii=False)}, start = 0 }}"


@pytest.mark.usefixtures("daemon")
def test_a_regenerated_section_becomes_another_playlist(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run
) -> None:
    assert run("score", video).returncode == 0
    project = find_take_folder(video)
    assert project is not None
    session = exported(video, tmp_path)
    folder = session.folder
    ardour = Ardour(session, scripts, environment)
    # The person moves the first note of the piano, off the grid.
    output, _ = session.lua(MOVE, track='"Piano"', at=77).communicate(timeout=PATIENCE)
    files = {path.name: path.read_bytes() for path in folder.rglob("*.mid")}
    found = ardour.run(
        "Regenerate the range on the selected tracks", chosen_film(video), span=(2.4, 4.8), chosen=("Bass", "Strings")
    )
    assert found["shown"] == ["cmt-bridge: the film of this session"] or found["shown"] == [""], output
    assert found["stages"] & {"Composing", "Writing", "Waiting for others"}
    second = project.takes()[1]
    assert (second.info.request["tracks"], second.info.request["bars"]) == (["Bass", "Strings"], [[2, 2]])
    edited = version_of(second.midi, "")
    assert any(abs(note.start - 77 * 480 / TICKS) <= 1 for note in edited.parts[1].notes)
    assert found["current"] == {name: f"{name} take 2" for name in found["tracks"]}
    first = version_of(project.take(1).midi, "")
    for one, other in zip(first.parts, edited.parts, strict=True):  # programs and controllers go along
        assert [each for each in one.events if not is_note(each)] == [
            each for each in other.events if not is_note(each)
        ]
        assert any(message[0] & 0xF0 == 0xC0 for _, message in other.events)
    for part in edited.parts:
        notes = heard(found["tracks"][part.name])
        bpm = 100
        wanted = sorted(
            (n.start / 480 * 60 / bpm, n.end / 480 * 60 / bpm, n.channel, n.pitch, n.velocity) for n in part.notes
        )
        assert len(notes) == len(wanted)
        for one, other in zip(notes, wanted, strict=True):
            assert one == pytest.approx(other, abs=0.002)
    before = {name: path for name, path in files.items() if "take 1" in name}
    assert before
    for name, data in before.items():
        (path,) = folder.rglob(name)
        assert path.read_bytes() == data  # the former take's files are as they were, byte for byte

    found = ardour.run("Previous take")
    assert found["current"] == {name: f"{name} take 1" for name in found["tracks"]}  # the very playlist that was there
    assert 77 in [note[0] for note in found["tracks"]["Piano"]]  # with what the person did in it
    check(found, project, 1, {"Bass"})
    assert "This is the first take." in ardour.run("Previous take")["shown"]
    assert ardour.run("Next take")["current"]["Bass"] == "Bass take 2"
    assert "Take 2 is accepted." in ardour.run("Accept the take")["shown"]
    assert project.history().marks == {2: "accepted"}
    assert "Select a range first" in ardour.run("Regenerate the range on the selected tracks")["shown"][-1]


@pytest.mark.usefixtures("daemon")
def test_session_settings_are_remembered_and_sent(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run
) -> None:
    assert run("score", video).returncode == 0
    project = find_take_folder(video)
    assert project is not None
    session = exported(video, tmp_path)
    ardour = Ardour(session, scripts, environment)
    settings = "Settings of this session"
    empty = 'density = "", style = "", key = "", tempo = ""'
    assert ardour.run(settings, f'{{ control = "2", instruments = "", seed = "", {empty} }}')["shown"][-1] == (
        "“Follow the picture (0 to 1)” must be a number from 0 to 1, not “2”. Nothing was changed."
    )
    ardour.run(settings, f'{{ control = " 0.25", instruments = "piano  bass", seed = "7", {empty} }}')
    ardour.run("Score the film", chosen_film(video))
    request = project.takes()[1].info.request
    assert [request[name] for name in ("seed", "control", "instruments")] == ["7", "0.25", "piano,bass"]
    ardour.run("Regenerate the range on the selected tracks", span=(0, 2.4))
    request = project.takes()[2].info.request
    assert request["control"] == 0.25


@pytest.mark.usefixtures("daemon")
def test_cut_moved_and_muted_regions_read_as_heard(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run
) -> None:
    assert run("score", video).returncode == 0
    project = find_take_folder(video)
    assert project is not None
    session = exported(video, tmp_path)
    output, _ = session.lua(CUT).communicate(timeout=PATIENCE)
    ardour = Ardour(session, scripts, environment)
    regenerate = "Regenerate the range on the selected tracks"
    # Bass alone is composed, in the first bar; what the others are is what the session had.
    found = ardour.run(regenerate, chosen_film(video), span=(0, 2.4), chosen=("Bass",))
    assert len(project.takes()) == 2, (found["shown"], output[-2000:])
    before, after = (version_of(take.midi, "") for take in project.takes())
    bar = 4 * 480

    def sounding(name: str, version: Version) -> list[tuple[int, int, int]]:
        return sorted((n.start, n.end, n.pitch) for part in version.parts if part.name == name for n in part.notes)

    piano = sounding("Piano", before)
    assert sounding("Piano", after) == sorted(
        [(start, min(end, bar), pitch) for start, end, pitch in piano if start < bar]
        + [(start + 240, end + 240, pitch) for start, end, pitch in piano if start >= bar and start + 240 < 3 * bar]
    )
    guitar = sounding("Guitar", before)
    assert guitar[-1][0] >= bar
    assert sounding("Guitar", after) == sorted(
        (start, min(end, bar), pitch) for start, end, pitch in guitar if start < bar
    )
    assert sounding("Drums", after) == sounding("Drums", before)
    assert {found["current"][name] for name in ("Piano", "Guitar")} == {"Piano take 2", "Guitar take 2"}
    for name in ("Piano", "Guitar", "Drums", "Bass"):
        wanted = [(start * 4, end * 4, pitch) for start, end, pitch in sounding(name, after)]  # Ardour's ticks
        assert sorted((note[0], note[1], note[3]) for note in found["tracks"][name]) == wanted, name
        assert found["regions"][name] == [(0, after.length * 4)], name  # nothing of it is hidden
    assert "None of the selected" in ardour.run(regenerate, span=(0, 2.4), chosen=("Mine",))["shown"][-1]
    assert len(project.takes()) == 2


@pytest.mark.usefixtures("daemon")
def test_a_session_without_our_tracks_gets_a_snapshot(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path
) -> None:
    session = build(tmp_path / "x", tempos=((0, 90), (4, 133)), tracks=("Piano", "Mine"))
    ardour = Ardour(session, scripts, environment)
    found = ardour.run("Score the film", chosen_film(video))
    assert "snapshot of this session: session with it's a film" in found["shown"][-1]
    project = find_take_folder(video)
    assert project is not None
    (snapshot,) = session.folder.glob("*with*.ardour")
    opened = Session(session.folder, session.home, RATE)
    process = opened.lua(
        RUN.replace("{name}", json.dumps(snapshot.stem)).replace("load(string.dump(factory, true))()()", ""),
        answers="", first=0, last=0, chosen="", action=json.dumps(str(next(scripts.glob("*.lua")))),
    )  # fmt: skip
    output, _ = process.communicate(timeout=PATIENCE)
    assert re.search(r"@track\tPiano 2\t", output), output[-2000:]


@pytest.mark.usefixtures("daemon")
def test_a_daemon_that_was_killed_further_out_is_no_hindrance(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run
) -> None:
    assert run("score", video).returncode == 0
    state = Path(environment["CMT_BRIDGE_STATE"])
    for number, watched in enumerate((video.parent.parent, video.parent.parent.parent)):
        (state / f"0{number}" / "spool" / "requests").mkdir(parents=True)
        said = {"folder": str(watched), "pid": 1, "port": 1, "version": ""}
        (state / f"0{number}" / "instance.json").write_text(json.dumps(said))
    found = Ardour(build(tmp_path / "x"), scripts, environment).run("Accept the take", chosen_film(video))
    assert "Take 1 is accepted." in found["shown"]


@pytest.fixture
def no_daemon(run: Run) -> Iterator[None]:
    """End what was started from the message that none runs."""
    yield
    run("daemon", "stop", "--all")


@pytest.mark.usefixtures("no_daemon")
def test_without_a_daemon_starting_one_is_offered(
    tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path
) -> None:
    session = build(tmp_path / "x")
    ardour = Ardour(session, scripts, environment)
    found = ardour.run("Score the film", chosen_film(video), "4")
    assert "Nothing was done" in found["shown"][-1]
    found = Ardour(session, scripts, environment).run("Accept the take", "3")
    assert "has no takes" in found["shown"][-1]


def test_every_action_has_all_that_it_needs_within(scripts: Path) -> None:
    for path in scripts.glob("*.lua"):
        text = path.read_text()
        assert "--@lib" not in text
        assert "require(" not in text.split("factory()")[1].replace('require("json")', "")
        assert text.startswith("ardour {")
