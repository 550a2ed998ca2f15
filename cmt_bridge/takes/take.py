"""A take: its files, and how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.bounds import BARS, SEED, STRETCHES, SURPRISE, TAKE, TEXT, BoundsError, fault_of, plain
from cmt_bridge.core.files import is_plain_name, is_there
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.score import Score
from cmt_bridge.errors import ScoreError
from cmt_bridge.outputs.scorefile import read_score

__all__ = ["MIDI", "NewTake", "Take", "TakeInfo"]

MIDI: Final = ".mid"


@dataclass(frozen=True, slots=True)
class TakeInfo:
    """How a take came to be.

    `verb` is `score` or `regenerate`, `made` the time in UTC, `origin` the take it was made from. `key` is the same for
    all takes of one request. `request` says what was asked for. `edited` tells that the MIDI file, which comes from one
    that was edited elsewhere, says more than score.json, which has its notes on the grid. `files` are those that were
    written into the take, with their SHA-256: no other file of it ever goes elsewhere. It is None for a take of before
    that was recorded.
    """

    verb: str
    made: str
    key: str = ""
    seed: int = 0
    origin: int | None = None
    surprise: float | None = None
    edited: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        files = {} if self.files is None else {"files": dict(self.files)}
        return {
            "format": "cmt-bridge-take",
            "format_version": 1,
            "verb": self.verb,
            "made": self.made,
            "key": self.key,
            "seed": self.seed,
            "origin": self.origin,
            "surprise": self.surprise,
            "edited": self.edited,
            "request": dict(self.request),
            **files,
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str) -> TakeInfo:
        """Read the JSON form. Raises `ScoreError` where it is none; `source` names the file."""
        try:
            return cls(
                verb=_text(data["verb"]),
                made=_text(data["made"]),
                key=_text(data["key"]),
                seed=SEED.whole(data["seed"]),
                origin=None if data["origin"] is None else TAKE.whole(data["origin"]),
                surprise=None if data["surprise"] is None else SURPRISE.of(float(data["surprise"])),
                edited=bool(data["edited"]),
                request=_request(data["request"]),
                files=_files(data["files"]) if "files" in data else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ScoreError(f"{source} is damaged: {fault_of(error)}.", hint="Move its take away.") from error


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise TypeError(f"{type(data).__name__} is no text")
    TEXT.of(len(data))
    return data


def _request(data: Any) -> dict[str, Any]:
    """Read what was asked for. Raises `BoundsError`, `TypeError` or `ValueError` where it cannot have been."""
    found = plain(data)
    if "bars" in found:
        stretches = [(BARS.whole(first), BARS.whole(last)) for first, last in found["bars"]]
        STRETCHES.of(len(stretches))
        BARS.of(max(1, sum(max(0, last + 1 - first) for first, last in stretches)))
        found["bars"] = [list(each) for each in stretches]
    if "tracks" in found:
        found["tracks"] = [str(each) for each in found["tracks"]]
    return found


def _files(data: Any) -> dict[str, str]:
    found = {str(name): str(sha256) for name, sha256 in plain(data).items()}
    if not all(is_plain_name(name) for name in found):
        raise BoundsError("it names files of other folders")
    return found


@dataclass(frozen=True, slots=True)
class Take:
    """A take of a project: its number, its folder and how it came to be."""

    number: int
    folder: Path
    info: TakeInfo

    @property
    def midi(self) -> Path:
        """Its MIDI file. Raises `ScoreError` where somebody took it away."""
        recorded = [name for name in self.info.files or () if name.endswith(MIDI)]
        found = [path for name in recorded if is_there(path := self.folder / name)]
        found = found or sorted(self.folder.glob(f"*{MIDI}"))
        if not found:
            raise ScoreError(f"{self.folder} holds no MIDI file.", hint="Choose another take.")
        return found[0]

    def score(self) -> Score:
        """Read its score. Raises `ScoreError`."""
        return read_score(self.folder)


@dataclass(frozen=True)
class NewTake:
    """A take that is not written yet; `midi` are the bytes of its MIDI file where they do not come from the score."""

    score: Score
    info: TakeInfo
    metadata: VideoMetadata | None = None
    midi: bytes | None = None
