"""A scored clip, what can be done with it, and how each of that may end."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cmt_bridge.cli import cli
from cmt_bridge.config import read_config
from cmt_bridge.core.metadata import Cut, VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Provenance
from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.live.request import asked
from cmt_bridge.scoring.choose import choose
from cmt_bridge.scoring.delivery import dropped
from cmt_bridge.scoring.export import FORMATS, export, music_of
from cmt_bridge.scoring.pipeline import look_at
from cmt_bridge.scoring.regenerate import RegenerateRequest, regenerate
from cmt_bridge.service.scan import Scanner
from cmt_bridge.settings import analysis_options, compose_options, value_of
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.fuzz.mutation import damaged_json, damaged_toml
from tests.projects.films import score_of

__all__ = ["FILES", "SETTINGS", "damage", "damage_settings", "deeds", "fresh_copy", "looks_at_settings", "scored_clip"]

FILES = (
    *("project.json", "history.json", "score.json", "metadata.json"),
    *(f"take {number}/{name}" for number in (1, 2) for name in ("take.json", "score.json", "metadata.json")),
)
"""The JSON files of a project."""

SETTINGS = """\
[score]
instruments = ["drums", "bass", "piano"]
style = "rock"
key = "Am"
control = 0.8
density_control = "1-4:1,9:0.3"
beat_control = 1
recall = 1
temperature = {pitch = 1.1}
nucleus = "pitch=0.8"
polyphony = {piano = 4}
pitches = {bass = [28, 50]}
seed = 3
variations = 2
model = "cmt-composer"
precision = "int8"
tempo = 96
tempo_range = [80, 120]
cut_sensitivity = 0.5
[outputs]
drop = "MIDI"
files = ["midi", "score", "preview"]
host = "garageband"
project = ["reaper", "csv"]
[live]
follow = "mtc"
lead = ["clock"]
to = ["ardour:MIDI 1/midi_in"]
sync_to = ["a"]
from = ["b"]
controls_from = ["c"]
latency = {strings = 30, drums = 1.5}
backend = "auto"
name = "cmt"
start = "01:00:00:00"
chase = true
port_per_track = true
warm = true
[watch]
ignore = ["proxies/*", "*_draft.mov", "[a-b]?"]
settle = 2
polling = false
release = 10
osc = 0
"""


def scored_clip(folder: Path) -> Path:
    """Make a clip with two takes, the second of them bars anew, and a file of settings; give the clip."""
    folder.mkdir(parents=True)
    clip = folder / "clip.mp4"
    clip.write_bytes(b"a video")
    metadata = VideoMetadata(
        VideoSource("clip.mp4", "a" * 64, 1280, 720, 0, (25, 1), 200),
        *(8.0, 120.0, "estimated"),
        (VisualBeat(0.5, 0.9), VisualBeat(3.25, 0.4)),
        (Cut(1.25, 1.0), Cut(5.0, 0.7)),
        (1.0, 0.2, 0.0, 2.5),
    )
    made = "2026-01-02T03:04:05+00:00"
    drafts = []
    for shift in range(2):
        score = score_of(shift=shift, frame_rate=(25, 1))
        options = {**ComposeOptions(seed=shift).to_json(), "precision": "float32", "first_seed": 0, "variations": 1}
        provenance = Provenance("0.1.0", "cmt-composer", "b" * 64, "clip.mp4", "a" * 64, shift, options)
        asked_for: dict[str, Any] = {"video": "clip.mp4", "video_sha256": "a" * 64}
        if shift:
            asked_for = {"bars": [[2, 3]], "tracks": ["Piano", "Bass"], "base": "edited.mid"}
        info = TakeInfo(
            "regenerate" if shift else "score", made, f"k{shift}", shift, 1 if shift else None, 0.5, request=asked_for
        )
        drafts.append(NewTake(_with(score, provenance), info, metadata))
    project = TakeFolder.create(folder / "clip.cmt", clip.name, "a" * 64, drafts[:1])
    project.add(drafts[1:])
    project.accept(1)
    (folder / "cmt-bridge.toml").write_text(SETTINGS)
    return clip


def _with(score: Any, provenance: Provenance) -> Any:
    return replace(score, provenance=provenance)


def damage(clip: Path, rng: random.Random) -> str:
    """Damage one to three files of a project, or its settings; say which."""
    names = rng.sample(FILES, rng.choice([1, 1, 2, 3]))
    for name in names:
        path = clip.with_suffix(".cmt") / name
        with suppress(ValueError):
            path.write_bytes(damaged_json(path.read_bytes(), rng))
    if rng.random() < 0.1:
        damage_settings(clip, rng)
        names.append("cmt-bridge.toml")
    return ", ".join(names)


def damage_settings(clip: Path, rng: random.Random) -> None:
    """Damage the settings of a clip's folder."""
    (clip.parent / "cmt-bridge.toml").write_bytes(damaged_toml(SETTINGS, rng))


def _said(*words: str) -> None:
    result = CliRunner().invoke(cli, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception


def deeds(clip: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give all that can be done with a scored clip, up to where a model is needed, by name."""
    folder = clip.with_suffix(".cmt")
    project = TakeFolder(folder)
    said: dict[str, Callable[[], Any]] = {
        "takes": lambda: _said("takes", str(clip)),
        "takes --json": lambda: _said("takes", str(folder), "--json"),
        "diff": lambda: _said("diff", str(clip), "1", "2"),
        "choose": lambda: choose(clip, "choose", 2),
        "reject": lambda: choose(clip, "reject"),
        "undo": lambda: choose(clip, "undo"),
        "redo": lambda: choose(clip, "redo"),
        "accept": lambda: choose(clip, "accept", 1),
        "settle": lambda: project.recover(project.take(2)),
        "drop": lambda: dropped(project, read_config(clip.parent).outputs),
        "music": lambda: music_of(clip),
        "look": lambda: look_at(folder / "metadata.json"),
        "again": lambda: regenerate(
            RegenerateRequest(clip, start="1", end="Cut", model="no such model"), lambda *_: None
        ),
        "again, by marker": lambda: regenerate(
            RegenerateRequest(folder / "take 1", marker="Cut 1", density=2, model="no such model"), lambda *_: None
        ),
        "stream": lambda: _said("stream", str(clip), "--dry-run"),
        "preview": lambda: _said("preview", str(folder), "--soundfont", str(clip)),  # up to where it is played
        "convert": lambda: _said("convert", str(folder / "take 1"), str(clip.with_name("made.mid")), "--force"),
        **{f"export {name}": lambda name=name: export(clip, [name]) for name in FORMATS},
    }
    yield from said.items()


def looks_at_settings(folder: Path) -> Any:
    """Read all that the settings of a folder say, each as it is read where it holds."""
    config = read_config(folder)
    with suppress(CmtBridgeError):
        config.outputs.folder_from(folder)
    for read in (
        lambda: compose_options(config.score),
        lambda: analysis_options(config.score),
        lambda: value_of(config.score, "variations"),
        lambda: asked(folder / "clip.mp4", {}),
    ):
        with suppress(CmtBridgeError):
            read()
    Scanner(folder, ignore=config.watch.ignore, settle=config.watch.settle).scan(0.0)
    return config


def fresh_copy(clip: Path, place: Path) -> Path:
    """Give a copy of a clip's folder."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(clip.parent, place)
    return place / clip.name
