"""The composer's process, as a conductor has it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.live.composer import AHEAD
from cmt_bridge.live.sheet import Sheet
from cmt_bridge.takes.take import Take
from cmt_bridge.takes.take_folder import TakeFolder
from tests.clips import panning, pulsing, write_clip

PATIENCE = 120.0
ENDS = ("take", "closed", "error", "warm")

Message = dict[str, Any]
Wanted = Callable[[Message], bool]


class Composer:
    """The process, what it said, and the bars as it said them last."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cmt_bridge.live.composer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[Message] = []
        self.sheet = Sheet()
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def tell(self, do: str, **more: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()

    def until(self, wanted: Wanted | None = None) -> Message:
        """Wait for what is wanted, or else for an end of what was asked; give it."""
        while True:
            said: Message = json.loads(self._lines.get(timeout=PATIENCE))
            self.said.append(said)
            if said["event"] == "bars":
                self.sheet.put((bar, notes) for bar, notes in said["bars"])
            if wanted(said) if wanted else said["event"] in ENDS:
                return said

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for a while."""
        try:
            self._lines.put(self._lines.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def events(self) -> list[str]:
        return [said["event"] for said in self.said]

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder whose music a tiny network makes, and whose measurements are kept apart."""
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "cmt-bridge.toml").write_text(f"[score]\nmodel = {json.dumps(str(tiny_model))}\n")
    return folder


@contextmanager
def composing() -> Iterator[Composer]:
    composer = Composer()
    try:
        yield composer
    finally:
        composer.process.kill()
        composer.process.wait()
        for pipe in (composer.process.stdin, composer.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def composer(home: Path) -> Iterator[Composer]:  # noqa: ARG001  in whose folder measurements are kept
    with composing() as found:
        yield found


@pytest.fixture
def clip(home: Path) -> Path:
    return write_clip(home / "clip.mp4", pulsing(12, 10, 120), 10)


def take_of(said: Message) -> Take:
    take: Take = TakeFolder(Path(said["project"])).take(said["take"])
    return take


def reach(bar: int) -> Wanted:
    return lambda said: said["event"] == "bars" and any(number >= bar for number, _ in said["bars"])


def test_a_clip_becomes_bars_and_a_take(composer: Composer, clip: Path) -> None:
    composer.tell("open", path=str(clip), settings={"seed": 5})
    take = take_of(composer.until())
    score = take.score()
    kept = Sheet.of(score)
    assert [(bar, sorted(notes)) for bar, notes in sorted(composer.sheet.bars.items())] == kept
    assert take.info.verb == "stream"
    assert (take.info.seed, score.provenance.seed, score.provenance.video) == (5, 5, "clip.mp4")
    picture = next(said for said in composer.said if said["event"] == "picture")
    assert picture["tempo_map"] == [[change.tick, change.uspq] for change in score.tempo_map.changes]
    assert picture["bars"] == score.bars
    assert composer.events()[-2:] == ["complete", "take"]
    assert (clip.parent / "clip.mid").exists()
    assert composer.end() == 0


def test_a_measured_clip_has_the_music_of_score(composer: Composer, clip: Path, run: Callable[..., Any]) -> None:
    assert run("score", clip, "--seed", 7)[0] == 0
    scored = TakeFolder(clip.with_suffix(".cmt")).current().score()
    composer.tell("open", path=str(clip), settings={"seed": "7"})
    streamed = take_of(composer.until()).score()
    assert streamed.tracks == scored.tracks
    assert streamed.markers == scored.markers
    assert streamed.provenance.options == scored.provenance.options


def test_bars_come_before_the_picture_is_measured_to_its_end(composer: Composer, home: Path) -> None:
    clip = write_clip(home / "long.mp4", panning(40, 10, 30), 10)
    composer.tell("open", path=str(clip), settings={"tempo": "100"})
    composer.until(reach(0))
    assert max(said["share"] for said in composer.said if said["event"] == "stage") < 0.9
    assert composer.until()["event"] == "take"
    assert sorted(composer.sheet.bars) == list(range(17))


def test_a_change_sounds_from_its_bar_and_is_reported(composer: Composer, clip: Path) -> None:
    composer.tell("open", path=str(clip), settings={"control": "1", "tempo": "120"})
    first = take_of(composer.until()).score()
    before = dict(composer.sheet.bars)
    composer.tell("playing", bar=0)
    composer.tell("change", settings={"seed": "9"}, density=2, left=1.0, **{"from": 3})
    take = take_of(composer.until())
    after = composer.sheet.bars
    heard = [sorted((t, c, p) for t, _, c, p, _ in before[bar]) for bar in range(3)]
    assert [sorted((t, c, p) for t, _, c, p, _ in after[bar]) for bar in range(3)] == heard
    assert after[3] != before[3]
    assert take.number == 2
    assert take.score().bars == first.bars
    assert take.score().provenance.options["streamed"] == [{"bar": 4, "seed": "9", "density": 2}]


def test_a_composer_goes_on_after_bars_that_another_composed(composer: Composer, clip: Path) -> None:
    composer.tell("open", path=str(clip), settings={"tempo": "120"})
    composer.until()
    hear = [[bar, notes] for bar, notes in sorted(composer.sheet.bars.items()) if bar < 3]
    with composing() as other:
        other.tell("open", path=str(clip), settings={"tempo": "120", "seed": "2"}, density=1, hear=hear)
        score = take_of(other.until()).score()
    onsets = [[(t, c, p) for t, _, c, p, _ in notes] for _, notes in hear]
    assert [sorted((t, c, p) for t, _, c, p, _ in notes) for _, notes in Sheet.of(score)[:3]] == list(
        map(sorted, onsets)
    )
    assert score.provenance.options["streamed"] == [{"bar": 4, "tempo": "120", "seed": "2", "density": 1}]


def test_endless_music_keeps_some_bars_ahead(composer: Composer, clip: Path) -> None:
    composer.tell("open", path=str(clip), settings={"tempo": "120"}, endless=True)
    composer.until(reach(AHEAD - 1))
    assert composer.is_silent(1.0)
    composer.tell("playing", bar=4)
    composer.until(reach(AHEAD + 3))
    assert composer.is_silent(1.0)
    composer.tell("close")
    assert composer.until()["event"] == "closed"
    assert "end" not in composer.events()
    assert not clip.with_suffix(".cmt").exists()


def test_a_piece_that_is_closed_makes_room_for_another(composer: Composer, clip: Path) -> None:
    composer.tell("warm")
    composer.until()
    composer.tell("open", path=str(clip), settings={}, endless=True)
    composer.until(reach(0))
    composer.tell("close")
    composer.tell("open", path=str(clip), settings={"seed": 3})
    assert composer.until()["event"] == "closed"
    assert composer.until()["event"] == "take"
    composer.tell("close")
    assert composer.until()["event"] == "closed"
    assert composer.is_silent(0.3)


def test_an_opening_takes_the_place_of_what_is_composed(composer: Composer, clip: Path) -> None:
    composer.tell("open", path=str(clip), settings={}, endless=True)
    composer.until(reach(0))
    composer.tell("open", path=str(clip), settings={"seed": 3})
    assert take_of(composer.until()).info.seed == 3


@pytest.mark.parametrize(
    ("name", "settings", "code"),
    [
        ("nothing.mp4", {}, 3),
        ("text.mp4", {}, 3),
        ("text.mp4", {"tempo": "fast"}, 2),
        ("clip.mp4", {"model": "no such model"}, 2),
    ],
)
def test_what_cannot_be_played_is_explained(
    composer: Composer, home: Path, name: str, settings: dict[str, str], code: int
) -> None:
    (home / "text.mp4").write_text("no video")
    write_clip(home / "clip.mp4", panning(3, 10, 30), 10)
    composer.tell("open", path=str(home / name), settings=settings)
    said = composer.until()
    assert (said["event"], said["code"]) == ("error", code)
    assert str(CmtBridgeError.from_json(said)).endswith(".")
    composer.tell("close")
    assert composer.until()["event"] == "closed"
    assert composer.end() == 0


def test_it_ends_with_its_input_and_leaves_nothing(composer: Composer, home: Path) -> None:
    clip = write_clip(home / "long.mp4", panning(40, 10, 30), 10)
    composer.tell("open", path=str(clip), settings={})
    composer.until(reach(0))
    assert composer.end() == 0
    assert sorted(path.name for path in home.iterdir()) == ["cmt-bridge.toml", "long.mp4"]
