"""The arrangement: what a project states of the music for a film, whatever the DAW.

It is taken from the MIDI files of takes, event by event, so that what somebody edited in a DAW, off the grid and with
controllers, arrives in the next DAW as it was. Musical positions are file ticks, times are seconds of the film.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Marker
from cmt_bridge.core.tempo import uspq_to_bpm
from cmt_bridge.errors import MidiError
from cmt_bridge.outputs.midi import read_midi_bytes
from cmt_bridge.outputs.midibytes import (
    META,
    PROGRAM_CHANGE,
    SET_TEMPO,
    TIME_SIGNATURE,
    TRACK_NAME,
    Event,
    events_of,
    meta_values,
    releases,
    strikes,
)

__all__ = [
    "COLOURS",
    "OTHER_COLOUR",
    "Arrangement",
    "Film",
    "Part",
    "Sounding",
    "Span",
    "Version",
    "arranged",
    "version_of",
]

Colour = tuple[int, int, int]

COLOURS: Final[dict[str, Colour]] = {
    "Drums": (196, 98, 60),
    "Piano": (74, 120, 178),
    "Guitar": (214, 158, 46),
    "Bass": (120, 92, 160),
    "Strings": (86, 148, 96),
}
"""Red, green and blue of the tracks by their names."""

OTHER_COLOUR: Final[Colour] = (128, 128, 128)
DEFAULT_USPQ = 500_000
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Sounding:
    """A note as it is played: from one file tick to another, on a channel from 0."""

    start: int
    end: int
    channel: int
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """A track of one channel: its messages in the order of their file ticks, program changes among them, no metas.

    `channel` and `program` count from 0; the program is the first that the track states.
    """

    name: str
    channel: int
    program: int
    events: tuple[Event, ...]

    @property
    def colour(self) -> Colour:
        """The colour of its track."""
        return COLOURS.get(self.name, OTHER_COLOUR)

    @property
    def is_drums(self) -> bool:
        """Whether General MIDI plays percussion on its channel."""
        return self.channel == PARTS[Instrument.DRUMS].channel

    @cached_property
    def notes(self) -> tuple[Sounding, ...]:
        """Its notes, by their beginnings; of those of one pitch the first to begin is the first to end."""
        sounding: defaultdict[int, deque[Event]] = defaultdict(deque)
        found = []
        for tick, message in self.events:
            if strikes(message):
                sounding[message[1]].append((tick, message))
            elif releases(message) and sounding[message[1]]:
                start, struck = sounding[message[1]].popleft()
                found.append(Sounding(start, tick, struck[0] & 0xF, struck[1], struck[2]))
        last = self.events[-1][0] if self.events else 0
        for left in sounding.values():
            found += [Sounding(start, max(last, start + 1), m[0] & 0xF, m[1], m[2]) for start, m in left]
        return tuple(sorted(found))


@dataclass(frozen=True)
class Version:
    """The music of one take: `name` is what a musician reads, such as `take 3`.

    `division` is file ticks per quarter; `tempos` are (tick, microseconds per quarter) and `metres` (tick, numerator,
    denominator), both from tick 0 on; `length` is the tick at which the longest track ends.
    """

    name: str
    division: int
    tempos: tuple[tuple[int, int], ...]
    metres: tuple[tuple[int, int, int], ...]
    length: int
    parts: tuple[Part, ...]

    @property
    def bpm(self) -> float:
        """The tempo at the beginning."""
        return uspq_to_bpm(self.tempos[0][1])

    @property
    def time(self) -> tuple[object, ...]:
        """All that says when a tick is."""
        return self.division, self.tempos, self.metres


@dataclass(frozen=True, slots=True)
class Film:
    """The video: its file, seconds, the frame rate as (numerator, denominator), and the size of what is shown."""

    path: Path
    duration: float
    frame_rate: tuple[int, int]
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the film, in seconds, and its name."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Arrangement:
    """The music for a film: bar 1 begins with the picture.

    `versions` are takes that share one tempo map, and `current` numbers the one that is heard. `markers` are cuts and
    hits, `sections` follow each other to the end. `frame_rate` is the picture's as (numerator, denominator), numerator
    0 where unknown; `start` is the timecode of the first picture in seconds.
    """

    title: str
    versions: tuple[Version, ...]
    current: int
    markers: tuple[Marker, ...]
    sections: tuple[Span, ...]
    duration: float
    frame_rate: tuple[int, int]
    film: Film | None = None
    start: int = 0

    @property
    def version(self) -> Version:
        """The take that is heard."""
        return self.versions[self.current]

    @property
    def division(self) -> int:
        """File ticks per quarter."""
        return self.version.division

    @property
    def end(self) -> int:
        """The file tick at which the last version ends."""
        return max(version.length for version in self.versions)

    @cached_property
    def _starts(self) -> tuple[Fraction, ...]:
        starts = [Fraction(0)]
        for (tick, uspq), (after, _) in pairwise(self.version.tempos):
            starts.append(starts[-1] + (after - tick) * self._tick_seconds(uspq))
        return tuple(starts)

    def _tick_seconds(self, uspq: int) -> Fraction:
        return Fraction(uspq, MICROSECONDS * self.division)

    def seconds(self, tick: int | Fraction) -> Fraction:
        """Give the exact time in seconds of a file tick."""
        index = max(0, bisect_right(self.version.tempos, tick, key=lambda each: each[0]) - 1)
        first, uspq = self.version.tempos[index]
        return self._starts[index] + (Fraction(tick) - first) * self._tick_seconds(uspq)

    def ticks(self, seconds: float | Fraction) -> Fraction:
        """Give the exact position in file ticks of a time in seconds."""
        index = max(0, bisect_right(self._starts, seconds) - 1)
        first, uspq = self.version.tempos[index]
        return first + (Fraction(seconds) - self._starts[index]) / self._tick_seconds(uspq)

    def others(self, part: Part) -> Iterator[tuple[int, Part | None]]:
        """Give for each version, by number, the part that goes by the same name there, None where it has none."""
        for number, version in enumerate(self.versions):
            yield number, next((each for each in version.parts if each.name == part.name), None)


def version_of(path: Path, name: str) -> Version:
    """Read the MIDI file of a take. Raises `MidiError` where it cannot be read or holds no track."""
    data = read_midi_bytes(path)
    division = int.from_bytes(data[12:14])
    tempos: dict[int, int] = {0: DEFAULT_USPQ}
    metres: dict[int, tuple[int, int]] = {0: (4, 4)}
    parts: list[Part] = []
    length = 0
    for number, events in enumerate(_tracks(data), 1):
        title = ""
        channels: defaultdict[int, list[Event]] = defaultdict(list)
        for tick, message in events:
            length = max(length, tick)
            if message[0] != META:
                channel = message[0] & 0xF if message[0] < 0xF0 else next(iter(channels), 0)
                channels[channel].append((tick, message))
            elif message[1] == SET_TEMPO and any(meta_values(message)):
                tempos[tick] = int.from_bytes(meta_values(message))
            elif message[1] == TIME_SIGNATURE:
                numerator, power = meta_values(message)[:2]
                metres[tick] = numerator, 1 << power
            elif message[1] == TRACK_NAME and not title:
                title = meta_values(message).decode("utf-8", "replace").strip("\0 ")
        for channel, mine in channels.items():
            program = next((m[1] for _, m in mine if m[0] & 0xF0 == PROGRAM_CHANGE), 0)
            named = title if len(channels) == 1 else f"{title} {channel + 1}".strip()
            parts.append(Part(named or f"Track {number}", channel, program, tuple(mine)))
    if not parts:
        raise MidiError(f"{path} holds no track.", hint="Choose another take.")
    return Version(
        name,
        division,
        tuple(sorted(tempos.items())),
        tuple((tick, *metre) for tick, metre in sorted(metres.items())),
        length,
        _named_apart(parts),
    )


def _tracks(data: bytes) -> Iterator[Iterator[Event]]:
    """Give the events of each track of a file that was checked."""
    at = 14
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8])
        yield events_of(data[at + 8 : at + 8 + size])
        at += 8 + size


def _named_apart(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Let no two parts go by one name."""
    seen: dict[str, int] = {}
    found = []
    for part in parts:
        seen[part.name] = count = seen.get(part.name, 0) + 1
        name = part.name if count == 1 else f"{part.name} ({count})"
        found.append(Part(name, part.channel, part.program, part.events))
    return tuple(found)


def arranged(
    title: str,
    versions: Sequence[Version],
    current: int,
    *,
    markers: Iterable[Marker],
    duration: float,
    frame_rate: tuple[int, int],
    film: Film | None = None,
    start: int = 0,
) -> Arrangement:
    """Lay takes out: `current` numbers the one that is heard; those with another tempo map than that are left out.

    Markers of the kind `section` become sections, each to the beginning of the next.
    """
    heard = versions[current]
    kept = tuple(version for version in versions if version.time == heard.time)
    marks = sorted(markers)
    starts = [mark for mark in marks if mark.kind == "section"]
    ends = [*(mark.seconds for mark in starts[1:]), max(duration, *(mark.seconds for mark in starts), 0.0)]
    return Arrangement(
        title,
        kept,
        next(number for number, version in enumerate(kept) if version is heard),
        tuple(mark for mark in marks if mark.kind != "section"),
        tuple(Span(mark.seconds, end, mark.text) for mark, end in zip(starts, ends, strict=False)),
        duration,
        frame_rate,
        film,
        start,
    )
