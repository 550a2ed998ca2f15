"""REAPER: a project with the video, a track for each part, all takes, tempo map, markers and regions.

A `.RPP` is lines of words in blocks, `<NAME …` to `>`. Items, tempos and markers have seconds, MIDI events
have ticks since the one before. What the fields mean was read off projects that REAPER 6 and 7 saved.

Each track has its own timebase. The parts' is beats (position, length, rate): a tempo that is changed later moves the
music along, and nothing in it is stretched against the bars. The video's is time, and so is the project's, by which
markers and regions go: a cut stays where the picture has it. Tempo changes themselves keep their bars.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import uuid
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

from cmt_bridge.core.timecode import LABELLED, Rate
from cmt_bridge.errors import InputError
from cmt_bridge.midi.events import SYSEX, Event
from cmt_bridge.midi.exclusive import values_of
from cmt_bridge.projects.arrangement import Arrangement, Colour, Part

__all__ = ["COUNTED", "added", "reaper_text"]

MICROSECONDS = 1_000_000
MICROSECONDS_PER_MINUTE = 60 * MICROSECONDS
REAPER: Final = "6.80/cmt-bridge"
SPACE: Final = uuid.UUID("6f1c9d1e-3c0f-5e0b-9a53-3f1f0c6f2b11")

CUSTOM: Final = 0x1000000  # marks a colour of one's own
FILM_COLOUR: Final[Colour] = (96, 96, 96)
MARK_COLOURS: Final[dict[str, Colour]] = {"cut": (200, 60, 60), "beat": (220, 170, 40)}
SECTION_COLOUR: Final[Colour] = (70, 130, 160)

BY_TIME, BY_BEATS = 0, 1
COUNTED: Final = tuple(rate for rate in LABELLED if rate.frames.denominator == 1 or rate.base <= 30)
"""Rates of which it is known how a project states them; what goes at 47.952 or 59.94 counts every second frame."""
WHOLE_RATE, DROP_FRAME, SLOWED_RATE = 0, 1, 2  # 29.97 with drop frame; 23.976 and others at 1000/1001 of their base
UPPERMOST_WINS = 256  # of several videos at a time, the one on the first track is seen
TIME_PLACES, TEMPO_PLACES = 12, 10  # decimals of seconds and of quarters per minute
SQUARE = 1  # a tempo holds until the next
METRE_GIVEN = 1

LONGEST_NAME = 1000  # REAPER reads lines of up to 4095 bytes
LINE_OF_BASE64 = 96  # bytes of a message in a line
END_OF_SOURCE = b"\xb0\x7b\x00"
HEAD = re.compile(r"\s*<REAPER_PROJECT\b")
UNSAYABLE = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "\N{REPLACEMENT CHARACTER}"}
MARKS = "\"'`"

Lines = Iterator[str]


def reaper_text(arrangement: Arrangement, film: str | None) -> str:
    """Return a complete project; `film` is the path of the video from where the project lies, with `/`.

    A path that no line can hold, one with a new line or with all of REAPER's quotation marks in it, is written as near
    as can be; REAPER then asks for the file.
    """
    lines = _Session(arrangement, film, arrangement.title).project()
    return "\n".join(_indented(lines)) + "\n"


def added(project: str, arrangement: Arrangement, film: str | None, *, at: Fraction) -> str:
    """Return the text of a project with our tracks and markers added, the film's beginning at `at` seconds.

    Every byte of it stays. The music keeps to the film, whatever the project's tempo: an item for each stretch of one
    tempo of ours ignores that of the project. A note is in the item in which it begins, which may so reach over the
    next one's beginning; its end there is on the nearest tick. Raises `InputError` where the text is no project.
    """
    end, taken = _survey(project)
    line_end = "\r\n" if project[: project.find("\n")].endswith("\r") else "\n"
    seed = f"{arrangement.title}\0{hashlib.sha256(project.encode(errors='replace')).hexdigest()}"  # ids not there yet
    lines = _Session(arrangement, film, seed, at).additions(taken + 1)
    new = "".join(line + line_end for line in _indented(lines, 1))
    return project[:end] + new + project[end:]


def _survey(project: str) -> tuple[int, int]:
    """Return where the last line of a project's block begins, and the highest number of its markers and regions."""
    depth = offset = highest = 0
    for line in project.split("\n") if HEAD.match(project) else ():
        word = line.lstrip(" \t\r")
        if word.startswith("<"):
            depth += 1
        elif word.startswith(">"):
            depth -= 1
            if not depth:
                return offset, highest
        elif depth == 1 and (marker := re.match(r"MARKER (\d+)\s", word)):
            highest = max(highest, int(marker[1]))
        offset += len(line) + 1
    raise InputError("This is no complete REAPER project.", hint="Give a .RPP file that REAPER saved.")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The music from tick `first` to `last`, at `uspq` microseconds per quarter from `first` on."""

    first: int
    last: int
    uspq: int


@dataclass(frozen=True)
class _Session:
    """What is written of an arrangement: on the project's beats, or on time where the film begins `at` seconds.

    `seed` tells the ids of one project from those of another.
    """

    arrangement: Arrangement
    film: str | None
    seed: str
    at: Fraction | None = None

    def project(self) -> Lines:
        """Return the lines of a complete project."""
        arrangement = self.arrangement
        size = (arrangement.film.width, arrangement.film.height) if arrangement.film else (0, 0)
        yield f'<REAPER_PROJECT 0.1 "{REAPER}" 0'
        yield from self._notes()
        yield from ("RIPPLE 0", "AUTOXFADE 129")
        start = arrangement.counting.fitted(COUNTED).start
        yield f"PROJOFFS {_number(start.time)} 0 0"  # in true seconds: 01:00:00:00 at 23.976 is 3603.6
        yield "TIMEMODE 1 5 -1 {} {} 0 -1".format(*_rate(start.rate))
        yield f"VIDEO_CONFIG {size[0]} {size[1]} {UPPERMOST_WINS}"
        yield f"TIMELOCKMODE {BY_TIME}"
        yield f"TEMPOENVLOCKMODE {BY_BEATS}"
        yield from ("SAMPLERATE 48000 0 0", "PLAYRATE 1 0 0.25 4")
        yield from self._tempo()
        yield from self.additions(1)
        yield from self._known()
        yield ">"

    def additions(self, first: int) -> Lines:
        """Return markers, regions and tracks; `first` is the number of the first marker and of the first region."""
        yield from self._marks(first)
        if self.film is not None and self.arrangement.film is not None:
            yield from self._video(self.film, Fraction(self.arrangement.film.duration))
        for part, is_heard in self._parts():
            yield from self._track(part.name, part.colour, BY_BEATS if self.at is None else BY_TIME)
            yield from self._music(part, is_muted=not is_heard)
            yield ">"

    def _known(self) -> Lines:
        """State what our scripts in REAPER keep in a project, so that they go on with this one."""
        if self.film is None:
            return
        film = _plain(self.film.rpartition("/")[2])
        length = round(1000 * self.arrangement.seconds(max(1, self.arrangement.end)))
        yield "<EXTSTATE"
        yield "<CMT-BRIDGE"
        yield f"EXPORTED {_kept({'film': film, 'length': length})}"
        yield f"MARKS {_kept({film: [self._marks_guid()]})}"
        yield f"TRACKS {_kept({part.name: self._guid('track', part.name) for part, _ in self._parts()})}"
        yield from (">", ">")

    def _parts(self) -> Iterator[tuple[Part, bool]]:
        """Yield the parts of the current take, then those which only others have; and which of both it is."""
        seen = set()
        for version in (self.arrangement.version, *self.arrangement.versions):
            for part in version.parts:
                if part.name not in seen:
                    yield part, version is self.arrangement.version
                seen.add(part.name)

    @cached_property
    def _stretches(self) -> tuple[_Stretch, ...]:
        """The music as one stretch, or where it is on time as those of one tempo."""
        uspq, end = dict(self.arrangement.version.tempos), max(1, self.arrangement.end)
        ticks = [tick for tick in uspq if tick < end] if self.at is not None else [0]
        return tuple(_Stretch(first, last, uspq[first]) for first, last in pairwise([*ticks, end]))

    def _guid(self, *names: object) -> str:
        return "{" + str(uuid.uuid5(SPACE, "\0".join(map(str, (self.seed, *names))))).upper() + "}"

    def _marks_guid(self, kind: int | None = None, index: int = 0) -> str:
        """Return the id of a marker (kind 0) or a region (1); without a kind the beginning that they share."""
        shared = self._guid("marks")[:25]
        return shared if kind is None else f"{shared}{kind}{index:011X}}}"

    def _notes(self) -> Lines:
        """State what belongs on the tracks: REAPER has no General MIDI instrument, only a synthesizer of one sound."""
        yield "<NOTES 0 2"
        yield f"|{_plain(self.arrangement.title)}: music by cmt-bridge. Bar 1 begins with the picture."
        yield "|REAPER has no General MIDI instrument of its own. Put yours on the tracks:"
        for part, _ in self._parts():
            yield f"|{_plain(part.name)}: {_instrument(part)}"
        yield ">"

    def _tempo(self) -> Lines:
        version = self.arrangement.version
        metres = {tick: (numerator, denominator) for tick, numerator, denominator in version.metres}
        tempos = dict(version.tempos)
        yield f"TEMPO {_bpm(tempos[0])} {metres[0][0]} {metres[0][1]} 0"
        yield "<TEMPOENVEX"
        yield f"EGUID {self._guid('tempo')}"
        yield from ("ACT 1 -1", "VIS 1 0 1", "LANEHEIGHT 0 0", "ARM 0", f"DEFSHAPE {SQUARE} -1 -1")
        uspq = tempos[0]
        for tick in sorted(tempos.keys() | metres.keys()):
            uspq = tempos.get(tick, uspq)  # quarters per minute, whatever the metre counts
            seconds = self.arrangement.seconds(tick)
            metre = f" {metres[tick][1] << 16 | metres[tick][0]} 0 {METRE_GIVEN}" if tick in metres else ""
            yield f"PT {float(seconds):.{TIME_PLACES}f} {_bpm(uspq)} {SQUARE}{metre}"
        yield ">"

    def _marks(self, first: int) -> Lines:
        """Return markers and regions, which REAPER numbers apart; `R`: red is the lowest byte of the colour."""
        at = self.at or Fraction(0)
        for index, mark in enumerate(self.arrangement.markers, first):
            colour = _integer(MARK_COLOURS[mark.kind]) if mark.kind in MARK_COLOURS else 0
            time, guid = _number(at + Fraction(mark.seconds)), self._marks_guid(0, index)
            yield f"MARKER {index} {time} {_quoted(mark.text)} 0 {colour} 1 R {guid} 0"
        for index, span in enumerate(self.arrangement.sections, first):
            start, end = (_number(at + Fraction(time)) for time in (span.start, span.end))
            guid, colour = self._marks_guid(1, index), _integer(SECTION_COLOUR)
            yield f"MARKER {index} {start} {_quoted(span.name)} 1 {colour} 1 R {guid} 0"
            yield f'MARKER {index} {end} "" 1'

    def _track(self, name: str, colour: Colour, timebase: int, kind: str = "track") -> Lines:
        guid = self._guid(kind, name)
        yield f"<TRACK {guid}"
        yield f"NAME {_quoted(name)}"
        yield f"PEAKCOL {_integer(colour)}"
        yield f"BEAT {timebase}"
        yield from ("AUTOMODE 0", "VOLPAN 1 0 -1 -1 1", "MUTESOLO 0 0 0", "ISBUS 0 0", "NCHAN 2", "FX 1")
        yield f"TRACKID {guid}"
        yield "MAINSEND 1 0"

    def _item(self, name: str, start: Fraction, length: Fraction, *, is_muted: bool = False) -> Lines:
        yield "<ITEM"
        yield f"POSITION {_number(start)}"
        yield "SNAPOFFS 0"
        yield f"LENGTH {_number(length)}"
        yield from ("LOOP 0", "ALLTAKES 0", "FADEIN 1 0 0 1 0 0 0", "FADEOUT 1 0 0 1 0 0 0")
        yield from (f"MUTE {is_muted:d} 0", "SEL 0")
        yield f"IGUID {self._guid('item', name)}"

    def _video(self, film: str, duration: Fraction) -> Lines:
        name = "Video"
        yield from self._track(name, FILM_COLOUR, BY_TIME, "film")  # a part may go by that name, too
        yield from self._item(name, self.at or Fraction(0), duration)
        yield f"NAME {_quoted(film.rpartition('/')[2])}"
        yield from (
            "VOLPAN 1 0 1 -1",
            f"SOFFS {_number(self.arrangement.offset)}",
            "PLAYRATE 1 1 0 -1 0 0.0025",
            "CHANMODE 0",
        )
        yield f"GUID {self._guid('take', name)}"
        yield "<SOURCE VIDEO"
        yield f"FILE {_quoted_path(film)}"
        yield from (">", ">", ">")

    def _music(self, part: Part, *, is_muted: bool) -> Lines:
        """Return the items of a part, with the takes that have it."""
        takes = [
            (index, _divided(each, self._stretches, self.arrangement))
            for index, each in self.arrangement.others(part)
            if each is not None
        ]
        for place, stretch in enumerate(self._stretches):
            here = [(index, divided[place]) for index, divided in takes]
            end = max(stretch.last - stretch.first, *(events[-1][0] for _, events in here if events), 0)
            start = self.arrangement.seconds(stretch.first)
            length = self.arrangement.seconds(end)
            if self.at is not None:
                length = Fraction(end * stretch.uspq, MICROSECONDS * self.arrangement.division)
            name = f"{part.name} {stretch.first}"
            yield from self._item(name, (self.at or Fraction(0)) + start, length, is_muted=is_muted)
            if self.at is not None and not stretch.first:
                yield from ("<NOTES", f"|{_instrument(part)}", ">", "IMGRESOURCEFLAGS 0")
            for order, (index, events) in enumerate(here):
                if order:
                    yield "TAKE SEL" if index == self.arrangement.current else "TAKE"
                yield f"NAME {_quoted(self.arrangement.versions[index].name)}"
                yield "TAKEVOLPAN 0 1 -1" if order else "VOLPAN 1 0 1 -1"
                yield from ("SOFFS 0 0", "PLAYRATE 1 1 0 -1 0 0.0025", "CHANMODE 0")
                yield f"GUID {self._guid('take', index, name)}"
                yield from self._source(stretch, events, end, self._guid("source", index, name))
            yield ">"

    def _source(self, stretch: _Stretch, events: Sequence[Event], end: int, guid: str) -> Lines:
        yield "<SOURCE MIDI"
        yield f"HASDATA 1 {self.arrangement.division} QN"
        yield "CCINTERP 32"
        now = 0
        for tick, message in (*events, (end, END_OF_SOURCE)):
            yield from _event(tick - now, message)
            now = tick
        yield f"GUID {guid}"
        yield f"IGNTEMPO {self.at is not None:d} {_bpm(stretch.uspq)} 4 4"  # whose beats are quarters beyond doubt
        yield ">"


def _indented(lines: Iterable[str], depth: int = 0) -> Lines:
    for line in lines:
        depth -= line == ">"
        yield "  " * depth + line
        depth += line.startswith("<")


def _plain(text: str) -> str:
    """Return a text without what ends a line or cannot be encoded."""
    return "".join(UNSAYABLE.get(unicodedata.category(letter), letter) for letter in text[:LONGEST_NAME])


def _quoted(text: str) -> str:
    return _marked(_plain(text))


def _quoted_path(path: str) -> str:
    """Return a path as one word, letter by letter: a file is found under its own name alone."""
    return _marked(re.sub(r"[\r\n]", " ", path).encode(errors="replace").decode())


def _marked(line: str) -> str:
    """Return a line as one word: between quotation marks that do not come in it, as REAPER chooses them."""
    for mark in MARKS:
        if mark not in line:
            return f"{mark}{line}{mark}"
    return "`" + line.replace("`", "'") + "`"


def _kept(value: dict[str, Any]) -> str:
    """Return a table as our scripts keep it: JSON as one word without spaces and quotation marks."""
    return quote(json.dumps(value, ensure_ascii=False, separators=(",", ":")), safe="_.~{}/:+-")


def _instrument(part: Part) -> str:
    what = "percussion" if part.is_drums else f"program {part.program + 1}"
    return f"General MIDI {what}, channel {part.channel + 1}"


def _integer(colour: Colour) -> int:
    red, green, blue = colour
    return red | green << 8 | blue << 16 | CUSTOM


def _number(value: Fraction) -> str:
    return f"{float(value):.{TIME_PLACES}f}".rstrip("0").rstrip(".")


def _bpm(uspq: int) -> str:
    return f"{MICROSECONDS_PER_MINUTE / uspq:.{TEMPO_PLACES}f}"


def _rate(rate: Rate) -> tuple[int, int]:
    """Return the labels that REAPER counts in a second, and how they go by."""
    if rate.frames.denominator == 1:
        return rate.base, WHOLE_RATE
    return rate.base, DROP_FRAME if rate.drop else SLOWED_RATE


def _divided(part: Part, stretches: Sequence[_Stretch], arrangement: Arrangement) -> list[list[Event]]:
    """Return the messages of each stretch in their order, ticks counted from its first; what begins there ends there.

    A note that lasts beyond its stretch ends on the tick that is nearest at the stretch's own tempo.
    """
    firsts = [stretch.first for stretch in stretches]
    found: list[list[Event]] = [[] for _ in stretches]
    begins = {pair.off: part.events[pair.on][0] for pair in part.pairs}
    for number, (tick, message) in enumerate(part.events):
        place = bisect_right(firsts, begins.get(number, tick)) - 1
        stretch = stretches[place]
        after = tick - stretch.first
        if tick > stretch.last and stretch is not stretches[-1]:
            seconds = arrangement.seconds(tick) - arrangement.seconds(stretch.first)
            after = round(seconds * MICROSECONDS * arrangement.division / stretch.uspq)
        found[place].append((after, message))
    return [sorted(events, key=lambda event: event[0]) for events in found]


def _event(delta: int, message: bytes) -> Lines:
    if message[0] < SYSEX:
        padded = message.ljust(3, b"\0")  # a channel message has always three bytes here
        yield f"E {delta} {' '.join(f'{byte:02x}' for byte in padded)}"
        return
    yield f"<X {delta} 0"
    sent = message[:1] + values_of(message)  # as it goes over a wire, without its length
    for start in range(0, len(sent), LINE_OF_BASE64):
        yield b64encode(sent[start : start + LINE_OF_BASE64]).decode()
    yield ">"
