"""The script for GarageBand and Logic: its syntax, and all of its verbs with the real program behind a made-up Mac."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROGRAM, ROOT, environment, folder, write_metadata

__all__ = ["environment", "folder"]

SCRIPT = ROOT / "host_scripts" / "macos" / "cmt-bridge.js"
HARNESS = Path(__file__).with_name("macos") / "harness.js"
PATIENCE = 300

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    assert found, "Node is not installed, which reads the scripts for macOS: apt install nodejs"
    return found


class Mac:
    """A Mac that is made up: what a person answers there, and what was done."""

    def __init__(self, node: str, folder: Path, environment: dict[str, str], host: str) -> None:
        self._node, self._environment = node, environment
        self.script = Path(shutil.copy(SCRIPT, folder))
        self._said = {"program": PROGRAM[-1], "host": host}
        (folder / "where.json").write_text(json.dumps(self._said))

    def run(self, *words: object, answers: list[Any] = [], looks: list[dict[str, str]] = []) -> dict[str, Any]:  # noqa: B006
        given = json.dumps({"words": [*map(str, words)], "answers": answers, "looks": looks})
        done = subprocess.run(
            [self._node, str(HARNESS), str(self.script), given],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["left"] == 0, "some questions were not asked"
        return found


def said(done: dict[str, Any]) -> str:
    """Give what was shown last."""
    texts = [call[1] for call in done["calls"] if call[0] == "dialog"]
    return str(texts[-1])


def opened(done: dict[str, Any]) -> list[tuple[str, str]]:
    return [(call[1], Path(call[2]).name) for call in done["calls"] if call[0] in ("open", "reveal")]


@pytest.fixture
def clip(folder: Path, tiny_model: Path) -> Path:
    videos = folder / "My film's scenes"
    videos.mkdir()
    (videos / "cmt-bridge.toml").write_text(f"[score]\nmodel = {json.dumps(str(tiny_model))}\ntempo = 96\n")
    return write_metadata(videos / "clip 1.json", 12.0)


def test_its_syntax_is_right(node: str) -> None:
    subprocess.run([node, "--check", str(SCRIPT)], check=True)


def test_a_score_is_opened_in_logic(node: str, folder: Path, environment: dict[str, str], clip: Path) -> None:
    mac = Mac(node, folder, environment, "logic")
    done = mac.run(answers=["Score a video", str(clip), "OK"])
    assert opened(done) == [("Logic Pro", "clip 1.mid")]
    assert "File › Open keeps its tempo" in said(done)


def test_garageband_is_shown_the_file_and_the_steps(
    node: str, folder: Path, environment: dict[str, str], clip: Path
) -> None:
    mac = Mac(node, folder, environment, "garageband")
    done = mac.run("score", clip, answers=["OK"])
    assert opened(done) == [("Finder", "clip 1 96.00 BPM.mid")]
    assert "Set the tempo to 96.00" in said(done)
    done = mac.run("regenerate", clip, "2-3", answers=["OK"])
    assert opened(done) == [("Finder", "clip 1 96.00 BPM take 2.mid")]
    done = mac.run("previous", clip, answers=["OK"])
    assert opened(done) == [("Finder", "clip 1 96.00 BPM.mid")]
    assert "first take" in said(mac.run("previous", clip, answers=["OK"]))
    assert opened(mac.run("next", clip, answers=["OK"])) == [("Finder", "clip 1 96.00 BPM take 2.mid")]
    assert opened(mac.run("undo", clip, answers=["OK"])) == [("Finder", "clip 1 96.00 BPM.mid")]
    assert "accepted" in said(mac.run("accept", clip, answers=["OK"]))


def test_errors_are_shown_in_the_programs_words(node: str, folder: Path, environment: dict[str, str]) -> None:
    mac = Mac(node, folder, environment, "logic")
    done = mac.run("score", folder / "it's not there.mp4", answers=["OK"])
    assert "it's not there.mp4" in said(done)
    assert "internal" not in said(done)
    assert "There is no dance" in said(mac.run("dance", answers=["OK"]))


def test_whoever_cancels_sees_nothing_more(node: str, folder: Path, environment: dict[str, str]) -> None:
    mac = Mac(node, folder, environment, "logic")
    assert mac.run(answers=[False])["result"] == ""
    assert not [call for call in mac.run(answers=["Score a video", None])["calls"] if call[0] in ("dialog", "shell")]


def test_new_takes_of_a_folder_are_offered_once(node: str, folder: Path, environment: dict[str, str]) -> None:
    drop = folder / "drop"
    drop.mkdir()
    (drop / "old 96.00 BPM.mid").write_text("")
    mac = Mac(node, folder, environment, "garageband")
    new = {str(drop / "new 96.00 BPM.mid"): "", str(drop / "new.mid"): "", str(drop / ".part 96.00 BPM.mid"): ""}
    more = {str(drop / "new 96.00 BPM take 2.mid"): ""}
    done = mac.run("watch", drop, answers=["Open", "OK", "Stop watching"], looks=[{}, new, {}, more])
    assert opened(done) == [("Finder", "new 96.00 BPM.mid")]
    assert done["result"] == "stopped"
    offers = [call[1] for call in done["calls"] if call[0] == "dialog" and call[2] != ["OK"]]
    assert offers == ["new 96.00 BPM.mid is there.", "new 96.00 BPM take 2.mid is there."]
