"""The controller script for Bitwig Studio in a Bitwig that is made up, with the real daemon behind it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.midi.line import read_markers
from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.scoring.hosts import install
from cmt_bridge.takes.locate import find_take_folder
from tests.e2e.conftest import PROGRAM, ROOT, Run, environment, folder, forks, run  # noqa: F401  (fixtures)
from tests.hosts.films import film_in
from tests.jack import server

__all__ = ["environment", "folder", "run"]

SCRIPT = ROOT / "host_scripts" / "bitwig" / "cmt-bridge.control.js"
HARNESS = Path(__file__).with_name("bitwig") / "harness.js"
PARTS = ["Drums", "Piano", "Guitar", "Bass", "Strings"]
PATIENCE = 300
BAR = 4.0  # quarters

pytestmark = pytest.mark.slow


class Bitwig:
    """A project in a Bitwig that is made up."""

    def __init__(self, script: Path, video: Path) -> None:
        node = shutil.which("node")
        assert node, "Node is not installed, which reads the script for Bitwig: apt install nodejs"
        self._node, self._script = node, script
        self.settings: dict[str, Any] = {"Video": str(video)}
        self.tracks: list[dict[str, Any]] = []

    def press(self, *labels: str | list[str], loop: tuple[float, float] = (0, BAR), playing: bool = False) -> Any:
        """Press buttons, each when the one before is done; give what was shown and called."""
        names = [track["name"] for track in self.tracks]
        given = {"tracks": names, "settings": self.settings, "loop": loop, "playing": playing, "press": labels}
        done = subprocess.run(
            [self._node, str(HARNESS), str(self._script), json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        self.settings = found["settings"]
        return found


@pytest.fixture
def video(folder: Path, tiny_model: Path) -> Path:
    return film_in(folder, tiny_model, 'a "film".mp4')


@pytest.fixture
def script(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMT_BRIDGE_STATE", environment["CMT_BRIDGE_STATE"])
    return install("bitwig", tmp_path / "Controller Scripts" / "cmt-bridge").folder / SCRIPT.name


@pytest.fixture
def bitwig(script: Path, video: Path, run: Run) -> Iterator[Bitwig]:
    assert run("daemon", "start", video.parent).returncode == 0
    yield Bitwig(script, video)
    run("daemon", "stop", "--all")


API = json.loads(HARNESS.with_name("api.json").read_text(encoding="utf-8"))


def opened(script: Path) -> subprocess.CompletedProcess[str]:
    """Load a script as Bitwig does when its controller is added."""
    given = {"tracks": [], "settings": {}, "loop": [0, BAR], "playing": False, "press": []}
    node = shutil.which("node")
    assert node, "Node is not installed, which reads the script for Bitwig: apt install nodejs"
    words = [node, str(HARNESS), str(script), json.dumps(given)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)


def test_the_script_loads_the_oldest_sufficient_api(tmp_path: Path) -> None:
    done = opened(SCRIPT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loaded"] == max(found["used"].values())
    older = tmp_path / "older.control.js"
    text = SCRIPT.read_text(encoding="utf-8")
    older.write_text(text.replace(f"loadAPI({found['loaded']})", f"loadAPI({found['loaded'] - 1})"), encoding="utf-8")
    refused = opened(older)
    assert refused.returncode != 0
    assert "came in with API 15, and the script loads 14" in refused.stderr
    page = (ROOT / "docs" / "hosts" / "bitwig.md").read_text(encoding="utf-8")
    assert f"It needs Bitwig Studio {API['bitwig'][str(found['loaded'])]} or newer" in page


def last(found: Any) -> str:
    return str(found["shown"][-1])


def test_each_take_goes_into_a_scene_of_its_own(bitwig: Bitwig, video: Path) -> None:
    found = bitwig.press("Film")
    assert last(found) == "cmt-bridge: Take 1 is in scene 1."
    assert [track["name"] for track in found["tracks"]] == PARTS
    assert found["tempo"] == pytest.approx(100, abs=0.01)
    project = find_take_folder(video)
    assert project is not None
    heard = version_of(project.take(1).midi, "")
    for part, track in zip(heard.parts, found["tracks"], strict=True):
        read = version_of(Path(track["slots"]["0"]), "")
        assert (read.parts, read.time, read.length) == ((part,), heard.time, heard.length)
    assert found["called"] == []
    assert found["loaded"] >= max(found["used"].values())

    # All in one session: the loop is composed anew, and takes are chosen by their scenes.
    bitwig.settings |= {"Tracks to regenerate": "bass, Strings", "Scenes of takes": "{}"}
    found = bitwig.press(
        "Current take", "Bars of the loop", "Take before", "Take before", "Take after", "This take", loop=(BAR, BAR),
        playing=True,
    )  # fmt: skip
    said = [text for text in found["shown"] if text.endswith(".")]
    assert said == [
        "cmt-bridge: Take 1 is in scene 1.",
        "cmt-bridge: Take 2 is in scene 2.",
        "cmt-bridge: Take 1 is in scene 1.",
        "cmt-bridge: This is the first take.",
        "cmt-bridge: Take 2 is in scene 2.",
        "cmt-bridge: Take 2 is accepted.",
    ]
    takes = project.takes()
    assert takes[1].info.request["bars"] == [[2, 2]]
    assert takes[1].info.request["tracks"] == ["Bass", "Strings"]
    assert project.history().marks == {2: "accepted"}
    for track in found["tracks"]:
        assert [Path(track["slots"][row]).name for row in "01"] == [f"{track['name']} take {n}.mid" for n in (1, 2)]
    assert [call[2] for call in found["called"]] == [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5
    assert read_markers(project.take(2).midi)


def test_the_persons_tracks_clips_and_tempo_stay(bitwig: Bitwig) -> None:
    bitwig.tracks = [{"name": "Lead"}, {"name": "Piano"}]
    bitwig.settings |= {"Take over the tempo": "no", "Begins at bar": 3}
    found = bitwig.press("Film", "Bars of the loop", loop=(2 * BAR + 0.5, BAR))
    assert [track["name"] for track in found["tracks"]] == ["Lead", "Piano", "Drums", "Guitar", "Bass", "Strings"]
    assert found["tracks"][0]["slots"] == {}
    assert found["tempo"] == 110
    project = find_take_folder(Path(bitwig.settings["Video"]))
    assert project is not None
    assert project.takes()[1].info.request["bars"] == [[1, 2]]  # whatever the loop touches


def test_what_cannot_be_done_is_said(bitwig: Bitwig, run: Run) -> None:
    assert "Score" in last(bitwig.press("Current take")) or "no takes" in last(bitwig.press("Current take"))
    assert last(bitwig.press("Film", "Bars of the loop", loop=(100 * BAR, BAR))).startswith("cmt-bridge: The loop lies")
    found = bitwig.press(["This take", "This take"])
    assert "cmt-bridge: It is still at the last one." in found["shown"]
    video = bitwig.settings["Video"]
    bitwig.settings["Video"] = ""
    assert "Enter the path" in last(bitwig.press("Film"))
    bitwig.settings["Video"] = f'  "{video}" '  # as file managers copy it
    assert "accepted" in last(bitwig.press("This take"))
    assert run("daemon", "stop", "--all").returncode == 0
    assert "No cmt-bridge watches the folder" in last(bitwig.press("This take"))
    assert not list(Path(video).parent.glob("*.part"))


def test_a_stream_goes_on_and_off(tmp_path: Path, script: Path, video: Path, environment: dict[str, str]) -> None:
    with server(tmp_path, patient=True) as jack:
        names = ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER")
        home = environment | {name: jack.environment[name] for name in names}

        def daemon(*words: str) -> None:
            subprocess.run([*PROGRAM, "daemon", *words], env=home, check=True, capture_output=True, timeout=PATIENCE)

        daemon("start", str(video.parent))
        try:
            bitwig = Bitwig(script, video)
            bitwig.settings["Stream follows"] = "nothing"
            assert last(bitwig.press("Film", "Stream")) == "cmt-bridge: It plays."
            assert "cmt-bridge:music" in jack.ports()
            assert last(bitwig.press("Stream")) == "cmt-bridge: The stream has ended."
            bitwig.settings["Stream follows"] = "clock"
            assert last(bitwig.press("Stream")) == "cmt-bridge: It plays as soon as Bitwig does."
            assert "cmt-bridge:sync in" in jack.ports()
        finally:
            daemon("stop", "--all")


def test_why_a_stream_does_not_play_is_said(bitwig: Bitwig) -> None:
    video = Path(bitwig.settings["Video"])
    config = video.parent / "cmt-bridge.toml"
    config.write_text(f'{config.read_text()}[live]\nto = ["nothing of that name"]\n')
    assert last(bitwig.press("Film")) == "cmt-bridge: Take 1 is in scene 1."
    assert re.search("nothing of that name|ALSA", last(bitwig.press("Stream")))
