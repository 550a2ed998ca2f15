"""What a video measures: tempo, visual beats, cuts and motion, in seconds; with a versioned JSON form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from cmt_bridge.core.bounds import FILM, FRAME_RATE, FRAME_SIZE, MARKS, TEXT, fault_of
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.core.timecode import counting_of, is_label
from cmt_bridge.errors import ScoreError

__all__ = ["Cut", "Transition", "VideoMetadata", "VideoSource", "VisualBeat"]

VERSION = 1
SLOWEST, FASTEST = 4.0, 1000.0  # BPM


@dataclass(frozen=True, slots=True)
class VideoSource:
    """The file that was measured.

    `width` and `height` are those shown, after rotation; `rotation` is in degrees clockwise; `frame_rate` is the
    average as (numerator, denominator); `frames` were really decoded. `offset` is how many seconds after the
    beginning of the file, where its sound may begin already, its first picture is shown; other times count from there.
    `nominal_rate` is the rate at which the pictures of the stream follow each other where none is left out, numerator 0
    where it is not known; `timecode` is the label that the file gives to its beginning, empty where it gives none.
    """

    name: str
    sha256: str
    width: int
    height: int
    rotation: int
    frame_rate: tuple[int, int]
    frames: int
    offset: float = 0.0
    nominal_rate: tuple[int, int] = (0, 1)
    timecode: str = ""

    @property
    def rate(self) -> tuple[int, int]:
        """The rate in which the film counts: the nominal one, the average where that is not known."""
        return self.nominal_rate if self.nominal_rate[0] else self.frame_rate

    @property
    def first_label(self) -> str:
        """The label that the file gives to its first picture, empty where it gives none."""
        if not is_label(self.timecode):
            return ""
        begin = counting_of(self.rate, self.timecode).own
        return str(begin.rate.label(begin.count + begin.rate.number(self.offset)))


@dataclass(frozen=True, slots=True, order=True)
class VisualBeat:
    """A moment at which the motion of the picture jumps: `seconds`, and a `weight` from 0 to 1."""

    seconds: float
    weight: float


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """A change of shot: `seconds` of its first frame, and how abrupt it is, from 0 to 1."""

    seconds: float
    score: float


@dataclass(frozen=True, slots=True, order=True)
class Transition:
    """A change of shot that takes its time: from `begin` to `end` in seconds, and its kind in words.

    That is `dissolve`, or `fade to`, `fade from` or `fade through` `black` or `white`.
    """

    begin: float
    end: float
    kind: str


@dataclass(frozen=True, slots=True)
class VideoMetadata:
    """The measures of a video that music is composed from.

    `duration` is in seconds, `tempo` in BPM; `tempo_source` is `estimated`, `given` or `default` (a still video).
    `flow_per_bar` is the mean absolute optical flow of each bar in pixels per frame at 360 lines and the original's
    frame rates (paper, section 3.2); bars begin with the video and last four beats of `tempo`. At `joints`, in seconds,
    the time stamps of the file jump, and what lies on both sides was joined up.
    """

    source: VideoSource
    duration: float
    tempo: float
    tempo_source: str
    beats: tuple[VisualBeat, ...]
    cuts: tuple[Cut, ...]
    flow_per_bar: tuple[float, ...]
    joints: tuple[float, ...] = ()
    transitions: tuple[Transition, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: the original's four keys (`bar` and `tick` count from 0), then ours."""
        tempo_map = TempoMap.constant(self.tempo)
        vbeats = []
        for beat in self.beats:
            bar, tick = divmod(tempo_map.tick_at(beat.seconds), TICKS_PER_BAR)
            vbeats.append({"start_time": beat.seconds, "bar": bar, "tick": tick, "weight": beat.weight})
        source = self.source
        return {
            "duration": self.duration,
            "tempo": self.tempo,
            "vbeats": vbeats,
            "flow_magnitude_per_bar": list(self.flow_per_bar),
            "version": VERSION,
            "tempo_source": self.tempo_source,
            "joints": list(self.joints),
            "transitions": [
                {"start_time": each.begin, "end_time": each.end, "kind": each.kind} for each in self.transitions
            ],
            "cuts": [{"start_time": cut.seconds, "score": cut.score} for cut in self.cuts],
            "source": {
                "name": source.name,
                "sha256": source.sha256,
                "width": source.width,
                "height": source.height,
                "rotation": source.rotation,
                "frame_rate": list(source.frame_rate),
                "frames": source.frames,
                "offset": source.offset,
                "nominal_rate": list(source.nominal_rate),
                "timecode": source.timecode,
            },
        }

    @classmethod
    def from_json(cls, data: Any, *, source: str = "metadata.json") -> VideoMetadata:
        """Read ours, or the original's four keys; `source` names the file in errors.

        Raises `ScoreError` where the data is no metadata, or of a newer version.
        """
        if not isinstance(data, dict) or not {"duration", "tempo", "vbeats", "flow_magnitude_per_bar"} <= data.keys():
            raise ScoreError(
                f"{source} is not video metadata.", hint="It needs duration, tempo, vbeats and flow_magnitude_per_bar."
            )
        try:
            version = int(data.get("version", 0))
            if version > VERSION:
                raise ScoreError(
                    f"{source} has metadata version {version}, newer than {VERSION}.", hint="Update cmt-bridge."
                )
            file = data.get("source", {})
            rate, nominal = file.get("frame_rate", (0, 1)), file.get("nominal_rate", (0, 1))
            found = cls(
                source=VideoSource(
                    name=str(file.get("name", PurePath(source).name)),
                    sha256=str(file.get("sha256", "")),
                    width=int(file.get("width", 0)),
                    height=int(file.get("height", 0)),
                    rotation=int(file.get("rotation", 0)),
                    frame_rate=(int(rate[0]), int(rate[1])),
                    frames=int(file.get("frames", 0)),
                    offset=float(file.get("offset", 0.0)),
                    nominal_rate=(int(nominal[0]), int(nominal[1])),
                    timecode=str(file.get("timecode", "")),
                ),
                duration=float(data["duration"]),
                tempo=float(data["tempo"]),
                tempo_source=str(data.get("tempo_source", "given")),
                beats=tuple(VisualBeat(float(b["start_time"]), float(b["weight"])) for b in data["vbeats"]),
                cuts=tuple(Cut(float(c["start_time"]), float(c["score"])) for c in data.get("cuts", ())),
                flow_per_bar=tuple(map(float, data["flow_magnitude_per_bar"])),
                joints=tuple(map(float, data.get("joints", ()))),
                transitions=tuple(
                    Transition(float(each["start_time"]), float(each["end_time"]), str(each["kind"]))
                    for each in data.get("transitions", ())
                ),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise ScoreError(
                f"{source} is damaged: {fault_of(error)}.", hint="Write it anew with `analyze`."
            ) from error
        fault = found._fault()
        if fault:
            raise ScoreError(f"{source} is damaged: it states {fault}.", hint="Write it anew with `analyze`.")
        return found

    def _fault(self) -> str:
        """Return what no video can have, or nothing. JSON may hold NaN and Infinity."""
        if FILM.fault(self.duration) or not self.duration:
            return f"impossible times (a duration of {self.duration:g} s)"
        if not SLOWEST <= self.tempo <= FASTEST:
            return f"a tempo of {self.tempo:g} BPM"
        source = self.source
        rates = (source.frame_rate, source.nominal_rate)
        if any(rate[1] <= 0 or FRAME_RATE.fault(rate[0] / rate[1]) for rate in rates):
            return "an impossible frame rate"
        if not 0.0 <= source.offset <= FILM.most:
            return "an impossible offset"
        if FRAME_SIZE.fault(source.width) or FRAME_SIZE.fault(source.height) or abs(source.rotation) > 360:
            return f"an impossible picture ({source.width}×{source.height}, turned by {source.rotation})"
        counts = (len(self.cuts), len(self.beats), len(self.joints), len(self.transitions))
        for fault in (*(MARKS.fault(count) for count in counts), TEXT.fault(len(source.name))):
            if fault:
                return fault
        moments = [*(beat.seconds for beat in self.beats), *(cut.seconds for cut in self.cuts), *self.joints]
        moments += [moment for each in self.transitions for moment in (each.begin, each.end)]
        if not all(0.0 <= seconds <= FILM.most for seconds in moments):
            return "impossible times"
        if not all(math.isfinite(beat.weight) for beat in self.beats):
            return "a visual beat of impossible weight"
        if not all(math.isfinite(cut.score) for cut in self.cuts):
            return "an impossible cut"
        if not all(0.0 <= flow < math.inf for flow in self.flow_per_bar):
            return "an impossible motion"
        return ""
