"""A take: its files, and how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.score import Score
from cmt_bridge.errors import ScoreError
from cmt_bridge.outputs.scorefile import read_score

__all__ = ["Draft", "Facts", "Take"]


@dataclass(frozen=True, slots=True)
class Facts:
    """How a take came to be.

    `verb` is `score` or `regenerate`, `made` the time in UTC, `origin` the take it was made from. `key` is the same for
    all takes of one request. `request` says what was asked for. `edited` tells that the MIDI file, which comes from one
    that was edited elsewhere, says more than score.json, which has its notes on the grid.
    """

    verb: str
    made: str
    key: str = ""
    seed: int = 0
    origin: int | None = None
    surprise: float | None = None
    edited: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
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
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str) -> Facts:
        """Read the JSON form. Raises `ScoreError` where it is none; `source` names the file."""
        try:
            return cls(
                verb=str(data["verb"]),
                made=str(data["made"]),
                key=str(data["key"]),
                seed=int(data["seed"]),
                origin=None if data["origin"] is None else int(data["origin"]),
                surprise=None if data["surprise"] is None else float(data["surprise"]),
                edited=bool(data["edited"]),
                request=dict(data["request"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ScoreError(f"{source} is damaged: {error!r}.", hint="Move its take away.") from error


@dataclass(frozen=True, slots=True)
class Take:
    """A take of a project: its number, its folder and how it came to be."""

    number: int
    folder: Path
    facts: Facts

    @property
    def midi(self) -> Path:
        """Its MIDI file. Raises `ScoreError` where somebody took it away."""
        found = sorted(self.folder.glob("*.mid"))
        if not found:
            raise ScoreError(f"{self.folder} holds no MIDI file.", hint="Choose another take.")
        return found[0]

    def score(self) -> Score:
        """Read its score. Raises `ScoreError`."""
        return read_score(self.folder)


@dataclass(frozen=True)
class Draft:
    """A take that is not written yet; `midi` are the bytes of its MIDI file where they do not come from the score."""

    score: Score
    facts: Facts
    metadata: VideoMetadata | None = None
    midi: bytes | None = None
