"""The arrangement: what a project states of the music for a film, whatever the DAW.

It is taken from the MIDI files of takes, event by event, so that what somebody edited in a DAW, off the grid and with
controllers, arrives in the next DAW as it was. Musical positions are file ticks, times are seconds of the film.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Final

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Marker
from cmt_bridge.core.tempo import MICROSECONDS, uspq_to_bpm
from cmt_bridge.core.timecode import Counting
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import (
    META,
    PROGRAM_CHANGE,
    SYSEX,
    TRACK_NAME,
    Event,
    meta_values,
)
from cmt_bridge.midi.exclusive import is_exclusive, joined
from cmt_bridge.midi.file import read_midi
from cmt_bridge.midi.line import Line, markers_of, metres_of, tempos_of
from cmt_bridge.midi.pairing import Pair, complete, pairs
from cmt_bridge.midi.text import text_of

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

MAX_PARTS: Final = 4096  # a part is a channel of a track
OTHER_COLOUR: Final[Colour] = (128, 128, 128)


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

    Every note has its end, and system exclusives are in one piece. `channel` and `program` count from 0; the program is
    the first that the track states.
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
    def pairs(self) -> tuple[Pair, ...]:
        """Which of its events are notes, in the order in which they begin."""
        return tuple(pairs(self.events))

    @cached_property
    def notes(self) -> tuple[Sounding, ...]:
        """Its notes, by their beginnings; of those of one pitch the first to begin is the first to end."""
        found = []
        for pair in self.pairs:
            start, message = self.events[pair.on]
            found.append(Sounding(start, pair.end, message[0] & 0xF, message[1], message[2]))
        return tuple(sorted(found))


@dataclass(frozen=True)
class Version:
    """The music of one take: `name` is what a musician reads, such as `take 3`.

    `division` is file ticks per quarter; `tempos` are (tick, microseconds per quarter) and `metres` (tick, numerator,
    denominator), both from tick 0 on; `length` is the tick at which the longest track ends. `marks` are the markers of
    the file as (tick, text). `is_moved` where another tempo map than its own says when its ticks are, so that they are
    off its bars.
    """

    name: str
    division: int
    tempos: tuple[tuple[int, int], ...]
    metres: tuple[tuple[int, int, int], ...]
    length: int
    parts: tuple[Part, ...]
    marks: tuple[tuple[int, str], ...] = ()
    is_moved: bool = False

    @cached_property
    def line(self) -> Line:
        """When its ticks are."""
        return Line(self.division, self.tempos)

    @cached_property
    def by_name(self) -> dict[str, Part]:
        """Its parts by their names."""
        return {part.name: part for part in self.parts}

    @property
    def bpm(self) -> float:
        """The tempo at the beginning."""
        return uspq_to_bpm(self.tempos[0][1])

    @property
    def time(self) -> tuple[object, ...]:
        """All that says when a tick is."""
        return self.division, self.tempos, self.metres

    def under(self, heard: Version) -> Version:
        """Return this music under another's tempo map: every event on the tick there that is nearest to its time."""
        if self.time == heard.time:
            return self

        def moved(tick: int) -> int:
            return round(heard.line.ticks(self.line.seconds(tick)))

        parts = tuple(
            replace(part, events=tuple((moved(tick), message) for tick, message in part.events)) for part in self.parts
        )
        steps = {Fraction(tick, self.division) for tick, _ in self.tempos}
        steps |= {Fraction(tick, heard.division) for tick, _ in heard.tempos}
        is_moved = any(
            self.line.seconds(step * self.division) != heard.line.seconds(step * heard.division) for step in steps
        )
        is_moved |= self.tempos[-1][1] != heard.tempos[-1][1]
        return replace(
            self,
            division=heard.division,
            tempos=heard.tempos,
            metres=heard.metres,
            length=moved(self.length),
            parts=parts,
            is_moved=is_moved,
        )


@dataclass(frozen=True, slots=True)
class Film:
    """The video: its file, seconds of picture, the size of what is shown.

    `offset` is the second of the file at which the picture begins.
    """

    path: Path
    duration: float
    width: int = 0
    height: int = 0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the film, in seconds, and its name."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Arrangement:
    """The music for a film: bar 1 begins with the picture.

    `versions` are takes under one tempo map, that of the one which is heard; `current` is its number. `markers` are
    cuts and hits, `sections` follow each other to the end. `counting` says in which timecode all of it counts.
    """

    title: str
    versions: tuple[Version, ...]
    current: int
    markers: tuple[Marker, ...]
    sections: tuple[Span, ...]
    duration: float
    counting: Counting
    film: Film | None = None

    @property
    def offset(self) -> Fraction:
        """The second of the film's file at which its picture begins, to a microsecond; 0 where there is no file."""
        return Fraction(0) if self.film is None else Fraction(round(self.film.offset * MICROSECONDS), MICROSECONDS)

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

    def seconds(self, tick: int | Fraction) -> Fraction:
        """Return the exact time in seconds of a file tick."""
        return self.version.line.seconds(tick)

    def ticks(self, seconds: float | Fraction) -> Fraction:
        """Return the exact position in file ticks of a time in seconds."""
        return self.version.line.ticks(seconds)

    def others(self, part: Part) -> Iterator[tuple[int, Part | None]]:
        """Yield for each version, by number, the part that goes by the same name there, None where it has none."""
        for number, version in enumerate(self.versions):
            yield number, version.by_name.get(part.name)


def version_of(path: Path, name: str) -> Version:
    """Read the MIDI file of a take. Raises `MidiError` where it cannot be read or holds no track."""
    file = read_midi(path)
    metres = {0: (0, 4, 4), **{each[0]: each for each in metres_of(file)}}
    parts: list[Part] = []
    for number, track in enumerate(file.tracks, 1):
        title = ""
        channels: defaultdict[int, list[Event]] = defaultdict(list)
        events = joined(track.events)
        first = next((message[0] & 0xF for _, message in events if message[0] < SYSEX), 0)
        for tick, message in events:
            if message[0] < SYSEX:
                channels[message[0] & 0xF].append((tick, message))
            elif is_exclusive(message):
                channels[first].append((tick, message))
            elif message[0] == META and message[1] == TRACK_NAME and not title:
                title = text_of(meta_values(message)).strip()
        for channel, mine in channels.items():
            program = next((m[1] for _, m in mine if m[0] & 0xF0 == PROGRAM_CHANGE), 0)
            named = title if len(channels) == 1 else f"{title} {channel + 1}".strip()
            whole = complete([*mine, track.events[-1]])[:-1]
            if len(parts) == MAX_PARTS:
                raise MidiError(f"{path} has more than {MAX_PARTS:,} parts.", hint="Export it with fewer tracks.")
            parts.append(Part(named or f"Track {number}", channel, program, tuple(whole)))
    if not parts:
        raise MidiError(f"{path} holds no track.", hint="Choose another take.")
    return Version(
        name,
        file.division,
        Line.of(file.division, tempos_of(file)).tempos,
        tuple(metres[tick] for tick in sorted(metres)),
        max(track.end for track in file.tracks),
        _named_apart(parts),
        markers_of(file),
    )


def _named_apart(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Let no two parts go by one name."""
    counts: dict[str, int] = {}
    taken: set[str] = set()
    found = []
    for part in parts:
        name = part.name
        while name in taken:
            counts[part.name] = count = counts.get(part.name, 1) + 1
            name = f"{part.name} ({count})"
        taken.add(name)
        found.append(replace(part, name=name))
    return tuple(found)


def arranged(
    title: str,
    versions: Sequence[Version],
    current: int,
    *,
    markers: Iterable[Marker],
    duration: float,
    counting: Counting,
    film: Film | None = None,
) -> Arrangement:
    """Lay takes out: `current` numbers the one that is heard; those of another tempo keep their times under its map.

    Markers of the kind `section` become sections, each to the beginning of the next.
    """
    heard = versions[current]
    marks = sorted(markers)
    starts = [mark for mark in marks if mark.kind == "section"]
    ends = [*(mark.seconds for mark in starts[1:]), max(duration, *(mark.seconds for mark in starts), 0.0)]
    return Arrangement(
        title,
        tuple(version.under(heard) for version in versions),
        current,
        tuple(mark for mark in marks if mark.kind != "section"),
        tuple(Span(mark.seconds, end, mark.text) for mark, end in zip(starts, ends, strict=False)),
        duration,
        counting,
        film,
    )
