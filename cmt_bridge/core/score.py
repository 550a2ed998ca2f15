"""The score: five named tracks on a tempo map, markers and provenance; with a versioned JSON form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cmt_bridge.core.bounds import SEED, fault_of, plain, shortened
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.errors import ScoreError

__all__ = ["Marker", "Note", "Provenance", "Score", "Track"]

FORMAT = "cmt-bridge-score"
VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A note: `onset` and `duration` in ticks (sixteenths) of the video, `pitch` and `velocity` as in MIDI."""

    onset: int
    pitch: int
    duration: int
    velocity: int = 80

    @property
    def end(self) -> int:
        """The tick at which the note is released."""
        return self.onset + self.duration


@dataclass(frozen=True, slots=True)
class Track:
    """The notes of one instrument, sorted by onset, then pitch; `program` is the General MIDI program from 0."""

    instrument: Instrument
    program: int
    notes: tuple[Note, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(sorted(self.notes)))

    @property
    def name(self) -> str:
        return self.instrument.title


@dataclass(frozen=True, slots=True, order=True)
class Marker:
    """A named moment of the picture: `seconds` of the video, not ticks, so that it stays when the tempo changes.

    `kind` is `cut`, `section` or `beat` (a strong visual beat).
    """

    seconds: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a score came from: enough to make the same bytes again."""

    version: str = ""
    model: str = ""
    model_sha256: str = ""
    video: str = ""
    video_sha256: str = ""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the provenance as one line, for a MIDI text event."""
        return json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "video": self.video,
            "video_sha256": self.video_sha256,
            "seed": self.seed,
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, data: Any) -> Provenance:
        """Read what `to_json` gave. Raises `TypeError` or `ValueError` where it is none."""
        texts = {name: str(data[name]) for name in ("version", "model", "model_sha256", "video", "video_sha256")}
        unknown = data.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise ValueError(f"{shortened(min(unknown))} is nothing that is known of a score")
        return cls(**texts, seed=SEED.whole(data["seed"]), options=plain(data["options"]))


@dataclass(frozen=True)
class Score:
    """A piece of music for a video: bar 1 begins with the picture.

    `bars` is the number of bars that cover the video, `duration` the video's length in seconds (0 where unknown),
    `frame_rate` the picture's rate as (numerator, denominator) and `timecode` the label that the film itself gives to
    its first picture, empty for none: both say in which timecode it counts.
    """

    tempo_map: TempoMap
    tracks: tuple[Track, ...]
    bars: int
    duration: float = 0.0
    frame_rate: tuple[int, int] = (0, 1)
    title: str = ""
    markers: tuple[Marker, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    timecode: str = ""

    @property
    def ticks(self) -> int:
        """Length in ticks, to the end of the last bar."""
        return self.bars * TICKS_PER_BAR

    def notes(self) -> Iterable[tuple[Instrument, Note]]:
        """Return every note with its instrument, track by track."""
        return ((track.instrument, note) for track in self.tracks for note in track.notes)

    def to_json(self) -> dict[str, Any]:
        """Return the versioned JSON form; notes are [onset, pitch, duration, velocity]."""
        return {
            "format": FORMAT,
            "format_version": VERSION,
            "title": self.title,
            "bars": self.bars,
            "duration": self.duration,
            "frame_rate": list(self.frame_rate),
            "timecode": self.timecode,
            "tempo_map": [[change.tick, change.uspq] for change in self.tempo_map.changes],
            "tracks": [
                {
                    "instrument": track.name,
                    "program": track.program,
                    "notes": [[n.onset, n.pitch, n.duration, n.velocity] for n in track.notes],
                }
                for track in self.tracks
            ],
            "markers": [[m.seconds, m.kind, m.text] for m in self.markers],
            "provenance": self.provenance.to_json(),
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str = "score.json") -> Score:
        """Read the JSON form; `source` names the file in errors.

        Raises `ScoreError` where the data is no score, or one of a newer version.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ScoreError(f"{source} is not a cmt-bridge score.", hint="Give the score.json that `score` wrote.")
        try:
            version = int(data.get("format_version", 0))
            if version > VERSION:
                raise ScoreError(
                    f"{source} has score version {version}, newer than {VERSION}.", hint="Update cmt-bridge."
                )
            return cls(
                tempo_map=TempoMap.of((int(tick), int(uspq)) for tick, uspq in data["tempo_map"]),
                tracks=tuple(
                    Track(
                        Instrument[track["instrument"].upper()],
                        int(track["program"]),
                        tuple(Note(*map(int, note)) for note in track["notes"]),
                    )
                    for track in data["tracks"]
                ),
                bars=int(data["bars"]),
                duration=float(data["duration"]),
                frame_rate=(int(data["frame_rate"][0]), int(data["frame_rate"][1])),
                timecode=str(data.get("timecode", "")),
                title=str(data["title"]),
                markers=tuple(Marker(float(s), str(kind), str(text)) for s, kind, text in data["markers"]),
                provenance=Provenance.from_json(data["provenance"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise ScoreError(f"{source} is damaged: {fault_of(error)}.", hint="Write it anew with `score`.") from error
