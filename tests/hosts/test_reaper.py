"""REAPER's scripts in a REAPER that is made up, with the real daemon behind them; and what the linter says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.outputs.midi import read_markers
from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.takes.whereabouts import project_of
from cmt_bridge.verbs.hosts import install
from tests import clips
from tests.e2e.conftest import ROOT, Run, environment, folder, run

__all__ = ["environment", "folder", "run"]

STUB = Path(__file__).with_name("reaper") / "stub.lua"
SCRIPTS = ROOT / "host_scripts" / "reaper"
API = STUB.with_name("api.lua")
PATIENCE = 300
YES, NO = 6, 7
START = 12.5  # s of the project at which the video begins

pytestmark = pytest.mark.slow


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed, which reads the scripts for REAPER: apt install {package}"
    return found


class Reaper:
    """A project, and the person in front of it."""

    def __init__(self, folder: Path, scripts: Path, environment: dict[str, str], video: Path) -> None:
        self._folder, self._scripts, self._environment = folder, scripts, environment
        item = {
            "position": START + 1.0,
            "length": 5.0,
            "selected": True,
            "active": 1,
            "takes": [
                {"name": "video", "source": "VIDEO", "file": str(video), "offset": 1.0, "events": [], "division": 1}
            ],
        }
        track = {"guid": "{VIDEO}", "name": "Video", "items": [item]}
        self.project: dict[str, Any] = {
            "tracks": [track],
            "tempos": [],
            "markers": [{"region": False, "from": 1.0, "to": 0, "name": "mine", "number": 1, "colour": 0}],
            "ext": {},
            "selection": [0, 0],
        }

    def run(self, name: str, answers: list[Any] | None = None, **more: Any) -> dict[str, Any]:
        """Run an action; give what was shown, and which steps can be undone."""
        lua = tool("lua5.4", "lua5.4")
        state, result = self._folder / "state.json", self._folder / "result.json"
        state.write_text(json.dumps({"project": self.project, "answers": answers or [], **more}))
        result.unlink(missing_ok=True)
        script = self._scripts / f"cmt-bridge {name}.lua"
        done = subprocess.run(
            [lua, str(STUB), str(self._scripts), str(script), str(state), str(result)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(result.read_text())
        self.project = found["project"]
        return found

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Our items, by the name of their track."""
        tracks = self.project["tracks"][1:]
        return {track["name"]: track["items"][0] for track in tracks}

    def seconds(self, item: dict[str, Any], take: dict[str, Any]) -> list[tuple[float, float, int, int, int]]:
        """Give the notes of a take: seconds of the project, channel, pitch, velocity."""
        points = sorted([time, bpm] for time, bpm, *_ in self.project["tempos"] or []) or [[0.0, 120.0]]
        if points[0][0] > 0:
            points.insert(0, [0.0, 120.0])

        def quarters(time: float) -> float:
            passed = 0.0
            for (start, bpm), after in zip(points, [*points[1:], [float("inf"), 0]], strict=True):
                if time > start:
                    passed += (min(time, after[0]) - start) * bpm / 60
            return passed

        def time_of(target: float) -> float:
            passed = 0.0
            for (start, bpm), after in zip(points, [*points[1:], [float("inf"), 0]], strict=True):
                length = (after[0] - start) * bpm / 60
                if target < passed + length:
                    return start + (target - passed) * 60 / bpm
                passed += length
            raise AssertionError

        zero = quarters(item["position"])
        sounding: dict[tuple[int, int], list[tuple[float, int]]] = {}
        found = []
        for tick, message in take["events"][:-1]:
            status, pitch, velocity = bytes.fromhex(message)
            time = time_of(zero + tick / take["division"])
            key = status & 0xF, pitch
            if status & 0xF0 == 0x90:
                sounding.setdefault(key, []).append((time, velocity))
            elif status & 0xF0 == 0x80:
                begun, loud = sounding[key].pop(0)
                found.append((begun, time, *key, loud))
        return sorted(found)


@pytest.fixture
def scripts(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMT_BRIDGE_STATE", environment["CMT_BRIDGE_STATE"])
    return install("reaper", tmp_path / "REAPER's scripts").folder


@pytest.fixture
def video(folder: Path, tiny_model: Path) -> Path:
    videos = folder / "Ü films"
    videos.mkdir()
    (videos / "cmt-bridge.toml").write_text(
        f'[score]\nmodel = {json.dumps(str(tiny_model))}\ntempo = 100\n[watch]\nignore = ["*"]\n'
    )
    return clips.write_clip(videos / 'a "film".mp4', clips.panning(7, 25, speed=60, seed=1), 25)


@pytest.fixture
def reaper(tmp_path: Path, scripts: Path, environment: dict[str, str], video: Path, run: Run) -> Iterator[Reaper]:
    yield Reaper(tmp_path, scripts, environment, video)
    run("daemon", "stop", "--all")


@pytest.fixture
def watched(reaper: Reaper, video: Path, run: Run) -> Reaper:
    assert run("daemon", "start", video.parent).returncode == 0
    return reaper


def check(reaper: Reaper, video: Path, take: int) -> None:
    """Compare the active takes of the session with the take on the disk, in seconds of the film."""
    project = project_of(video)
    assert project is not None
    found = project.take(take)
    score = found.score()
    version = version_of(found.midi, "")
    assert list(reaper.parts) == [part.name for part in version.parts]
    for part in version.parts:
        item = reaper.parts[part.name]
        active = item["takes"][item["active"] - 1]
        assert active["name"] == f"take {take}"
        notes = reaper.seconds(item, active)
        wanted = sorted(
            (
                START + float(score.tempo_map.seconds(note.start // 120)),
                START + float(score.tempo_map.seconds(note.end / 120)),
                note.channel,
                note.pitch,
                note.velocity,
            )
            for note in part.notes
        )
        assert len(notes) == len(wanted), part.name
        for one, other in zip(notes, wanted, strict=True):
            assert one == pytest.approx(other, abs=0.002)


def test_a_video_is_scored_regenerated_and_chosen_from(watched: Reaper, video: Path) -> None:
    done = watched.run("Score the selected video item", [NO])
    assert done["steps"] == ["cmt-bridge: score, take 1"]
    assert [text for text in done["drawn"] if "Composing" in text or "Measuring" in text]
    check(watched, video, 1)
    project = project_of(video)
    assert project is not None
    marks = {mark["name"] for mark in watched.project["markers"]}
    assert {"mine"} | {text for _, text in read_markers(project.take(1).midi)} == marks
    guids = [track["guid"] for track in watched.project["tracks"]]

    # The person moves a note of the first bar, off the grid, and wants the second bar of two tracks anew.
    piano = watched.parts["Piano"]["takes"][0]
    first = next(event for event in piano["events"] if event[1].startswith("90"))
    first[0] += 17
    bar = 240 / 100
    watched.project["selection"] = [START + bar, START + 2 * bar]
    for track in watched.project["tracks"]:
        track["selected"] = track["name"] in ("Bass", "Strings")
    done = watched.run("Regenerate the time selection on the selected tracks")
    assert done["steps"] == ["cmt-bridge: regenerate, take 2"]
    assert [track["guid"] for track in watched.project["tracks"]] == guids
    takes = project.takes()
    assert takes[1].facts.request["tracks"] == ["Bass", "Strings"]
    assert takes[1].facts.request["bars"] == [[2, 2]]
    before, after = (version_of(take.midi, "") for take in takes)
    old_notes, new_notes = ({(n.start, n.pitch) for n in version.parts[1].notes} for version in (before, after))
    ((was, pitch),), ((now, same),) = old_notes - new_notes, new_notes - old_notes
    assert (pitch, now - was) == (same, 14)  # 17 ticks at the project's 120 BPM are 14 at the music's 100
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


def check_active(reaper: Reaper, take: int) -> None:
    for item in reaper.parts.values():
        assert item["takes"][item["active"] - 1]["name"] == f"take {take}"


def test_the_project_takes_over_the_tempo_if_the_person_wants_that(watched: Reaper, video: Path) -> None:
    watched.run("Settings of this project", ["0.9\n\npiano bass\n\n\n90\n\n"])
    done = watched.run("Score the selected video item", [YES])
    assert done["project"]["tempos"] == [[pytest.approx(START), pytest.approx(90, abs=1e-3), 4, 4]]
    check(watched, video, 1)
    project = project_of(video)
    assert project is not None
    score = project.take(1).score()
    assert score.provenance.options["instruments"] == ["Piano", "Bass"]
    notes = [event for event in watched.parts["Piano"]["takes"][0]["events"] if event[1].startswith("90")]
    assert notes
    assert all(tick % 120 == 0 for tick, _ in notes)  # on the project's grid


def test_without_a_daemon_one_is_offered_and_started(reaper: Reaper, video: Path) -> None:
    done = reaper.run("Score the selected video item", [NO])
    assert "Nothing was done" in done["shown"][-1]
    assert done["steps"] == {} or done["steps"] == []
    done = reaper.run("Score the selected video item", [YES, NO])
    assert "daemon start" in done["executed"][0]
    check(reaper, video, 1)


def test_what_cannot_be_done_is_said_in_a_sentence(watched: Reaper, video: Path) -> None:
    said = watched.run("Regenerate the time selection on the selected tracks")["shown"]
    assert "There is no music of cmt-bridge for this video yet" in said[-1]
    said = watched.run("Insert or refresh the score")["shown"]
    assert "has no takes" in said[-1]

    def shown(name: str, *, selected: bool, **take: Any) -> str:
        (item,) = watched.project["tracks"][0]["items"]
        item["selected"] = selected
        item["takes"][0] |= take
        return str(watched.run(name)["shown"][-1])

    score = "Score the selected video item"
    assert "another speed" in shown(score, selected=True, playrate=1.5)
    assert "Select the item of a video" in shown(score, selected=False, playrate=1)
    assert "Select the item of a video" in shown(score, selected=True, file="song.wav")
    assert "There is no video" in shown("Next take", selected=True)
    video.write_bytes(b"no video")
    said = shown(score, selected=True, file=str(video))
    assert 'a "film".mp4' in said
    assert "internal" not in said


def test_whoever_cancels_has_the_job_cancelled(watched: Reaper, video: Path, run: Run) -> None:
    long = clips.write_clip(video.with_name("long.mp4"), clips.panning(60, 25, speed=60, seed=2), 25)
    watched.project["tracks"][0]["items"][0]["takes"][0]["file"] = str(long)
    done = watched.run("Score the selected video item", cancel=1.5)
    assert not done["steps"]
    deadline = 100
    while deadline and json.loads(run("daemon", "status", "--json").stdout)["daemons"][0]["jobs"].get("running"):
        deadline -= 1
    assert deadline
    assert project_of(long) is None


def test_settings_are_kept_with_the_project(reaper: Reaper) -> None:
    reaper.run("Settings of this project", ["0.5\n2\n\nballad\nAm\n\nmtc\nMTC out"])
    assert reaper.project["ext"]["cmt-bridge"]["style"] == "ballad"
    reaper.run("Settings of this project", [False])
    assert reaper.project["ext"]["cmt-bridge"]["follow"] == "mtc"


def test_the_linter_has_nothing_to_say() -> None:
    lint = tool("luacheck", "lua-check")
    done = subprocess.run([lint, "."], cwd=SCRIPTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_function_that_is_used_is_listed_and_every_listed_one_is_used() -> None:
    used = {name for path in SCRIPTS.rglob("*.lua") for name in re.findall(r"reaper\.(\w+)\(", path.read_text())}
    listed = set(re.findall(r"^  (\w+) = ", API.read_text(), re.MULTILINE))
    assert used == listed


@pytest.mark.parametrize(
    "value", [{"a": [1, -2.5, 1e100, True, None], 'é\n"\\': "日本\u0001\U0001f600"}, [], {}, "x", 0, [[[]]]]
)
def test_json_is_read_and_written(tmp_path: Path, value: Any) -> None:
    source = tmp_path / "in.json"
    source.write_text(json.dumps(value))
    script = tmp_path / "s.lua"
    script.write_text(
        f'package.path = "{SCRIPTS.parent}/common/?.lua"\nlocal json = require("json")\n'
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
        f'package.path = "{SCRIPTS.parent}/common/?.lua"\nlocal json = require("json")\n'
        f'io.write(tostring(pcall(json.decode, io.open("{source}"):read("a"))))'
    )
    done = subprocess.run([tool("lua5.4", "lua5.4"), str(script)], capture_output=True, check=True)
    assert done.stdout.startswith(b"false")
