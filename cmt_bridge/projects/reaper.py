"""REAPER: a project with the video, a track for each part, all takes, tempo map, markers and regions.

A `.RPP` is lines of words in blocks, `<NAME …` to `>`. Items, tempos and markers have seconds, MIDI events
have ticks since the one before. Tracks go by beats, so that the music follows the project's tempo map, and the
video's by time.
"""

from __future__ import annotations

import re
import uuid
from base64 import b64encode
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

from cmt_bridge.core.score import Marker
from cmt_bridge.errors import InputError
from cmt_bridge.outputs.midibytes import SYSEX, Event
from cmt_bridge.projects.arrangement import Arrangement, Colour, Part, Version

__all__ = ["added", "reaper_text"]

MICROSECONDS_PER_MINUTE = 60_000_000
VERSION: Final = "6.80/cmt-bridge"
SPACE: Final = uuid.UUID("6f1c9d1e-3c0f-5e0b-9a53-3f1f0c6f2b11")
NATIVE = 0x1000000  # marks a colour of one's own
FILM_COLOUR: Final[Colour] = (96, 96, 96)
MARK_COLOURS: Final[dict[str, Colour]] = {"cut": (200, 60, 60), "beat": (220, 170, 40)}
SECTION_COLOUR: Final[Colour] = (70, 130, 160)
BY_TIME, BY_BEATS = 0, 1
SQUARE = 1  # a tempo holds until the next
METRE_GIVEN = 1
LINE_OF_BASE64 = 40  # bytes of a message in a line
END_OF_SOURCE = b"\xb0\x7b\x00"
HEAD = re.compile(r"\s*<REAPER_PROJECT\b")
MARKER_LINE = re.compile(r"^\s*MARKER (\d+) ", re.MULTILINE)

Lines = Iterator[str]


def reaper_text(arrangement: Arrangement, film: str | None) -> str:
    """Give a complete project; `film` is the path of the video from where the project lies, with `/`."""
    lines = [
        f'<REAPER_PROJECT 0.1 "{VERSION}" 0',
        *_notes(arrangement),
        "RIPPLE 0",
        "AUTOXFADE 129",
        f"PROJOFFS {arrangement.start} 0 0",
        "TIMEMODE 1 5 -1 {} {} 0 -1".format(*_frames(arrangement.frame_rate)),
        *_video_size(arrangement),
        "SAMPLERATE 48000 0 0",
        "PLAYRATE 1 0 0.25 4",
        *_tempo(arrangement),
        *_marks(arrangement, Fraction(0), 1),
        *_tracks(arrangement, film, None),
        ">",
    ]
    return "\n".join(_indented(lines)) + "\n"


def added(project: str, arrangement: Arrangement, film: str | None, *, at: Fraction) -> str:
    """Give the text of a project with our tracks and markers added, the film's beginning at `at` seconds.

    Every line of it stays as it is. The music keeps to the film, whatever the project's tempo: an item for each stretch
    of one tempo of ours ignores that of the project. Raises `InputError` where the text is no project.
    """
    end = project.rstrip()
    if not HEAD.match(project) or not end.endswith(">"):
        raise InputError("This is no complete REAPER project.", hint="Give a .RPP file that REAPER saved.")
    line_end = "\r\n" if "\r\n" in project else "\n"
    first = max((int(number) for number in MARKER_LINE.findall(project)), default=0) + 1
    lines = [*_marks(arrangement, at, first), *_tracks(arrangement, film, at)]
    new = line_end.join(_indented(lines, 1))
    return f"{end[:-1].rstrip(' ')}{new}{line_end}>{project[len(end) :]}"


def _indented(lines: Iterable[str], depth: int = 0) -> Lines:
    for line in lines:
        depth -= line == ">"
        yield "  " * depth + line
        depth += line.startswith("<")


def _quoted(text: str) -> str:
    """Give a text as one word: between marks that do not come in it."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    for mark in "\"'`":
        if mark not in plain:
            return f"{mark}{plain}{mark}"
    return "`" + plain.replace("`", "'") + "`"


def _guid(*names: object) -> str:
    return "{" + str(uuid.uuid5(SPACE, "\0".join(map(str, names)))).upper() + "}"


def _native(colour: Colour) -> int:
    red, green, blue = colour
    return red | green << 8 | blue << 16 | NATIVE


def _seconds(value: Fraction | float) -> str:
    return f"{float(value):.14f}".rstrip("0").rstrip(".")


def _notes(arrangement: Arrangement) -> Lines:
    yield "<NOTES 0 2"
    yield f"|{_line(arrangement.title)}: music by cmt-bridge. Bar 1 begins with the picture."
    yield "|REAPER has no General MIDI instrument of its own. Put yours on the tracks:"
    for part in arrangement.version.parts:
        what = "General MIDI percussion" if part.is_drums else f"General MIDI program {part.program + 1}"
        yield f"|{_line(part.name)}: {what}, channel {part.channel + 1}"
    yield ">"


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _frames(frame_rate: tuple[int, int]) -> tuple[int, int]:
    """Give the frames a second as REAPER counts them, and 0, or 1 for drop frame, or 2 for 1000/1001 of it."""
    numerator, denominator = frame_rate
    if numerator <= 0 or denominator <= 0:
        return 30, 0
    rate = Fraction(numerator, denominator)
    whole = max(1, round(rate))
    slowed = abs(rate / (Fraction(whole) * 1000 / 1001) - 1) < Fraction(4, 10_000)
    return whole, (1 if whole == 30 else 2) if slowed else 0


def _video_size(arrangement: Arrangement) -> Lines:
    film = arrangement.film
    if film is not None and film.width and film.height:
        yield f"VIDEO_CONFIG {film.width} {film.height} 65792"


def _tempo(arrangement: Arrangement) -> Lines:
    version = arrangement.version
    metres = {tick: (numerator, denominator) for tick, numerator, denominator in version.metres}
    tempos = dict(version.tempos)
    numerator, denominator = metres[0]
    yield f"TEMPO {_bpm(tempos[0])} {numerator} {denominator} 0"
    yield "<TEMPOENVEX"
    yield f"EGUID {_guid(arrangement.title, 'tempo')}"
    yield from ("ACT 1 -1", "VIS 1 0 1", "LANEHEIGHT 0 0", "ARM 0", "DEFSHAPE 1 -1 -1")
    uspq = tempos[0]
    for tick in sorted(tempos.keys() | metres.keys()):
        uspq = tempos.get(tick, uspq)
        metre = ""
        if tick in metres:
            metre = f" {metres[tick][1] << 16 | metres[tick][0]} 0 {METRE_GIVEN}"
        yield f"PT {_seconds(arrangement.seconds(tick))} {_bpm(uspq)} {SQUARE}{metre}"
    yield ">"


def _bpm(uspq: int) -> str:
    return f"{MICROSECONDS_PER_MINUTE / uspq:.14f}".rstrip("0").rstrip(".")


def _marks(arrangement: Arrangement, at: Fraction, first: int) -> Lines:
    """Give markers and regions, numbered on from `first`."""
    number = first
    for mark in arrangement.markers:
        yield _mark(arrangement, number, at, mark)
        number += 1
    for span in arrangement.sections:
        guid = _guid(arrangement.title, "section", number)
        start, end = _seconds(at + Fraction(span.start)), _seconds(at + Fraction(span.end))
        yield f"MARKER {number} {start} {_quoted(span.name)} 1 {_native(SECTION_COLOUR)} 1 R {guid} 0"
        yield f'MARKER {number} {end} "" 1'
        number += 1


def _mark(arrangement: Arrangement, number: int, at: Fraction, mark: Marker) -> str:
    colour = _native(MARK_COLOURS[mark.kind]) if mark.kind in MARK_COLOURS else 0
    guid = _guid(arrangement.title, "marker", number)
    return f"MARKER {number} {_seconds(at + Fraction(mark.seconds))} {_quoted(mark.text)} 0 {colour} 1 B {guid} 0"


def _tracks(arrangement: Arrangement, film: str | None, at: Fraction | None) -> Lines:
    """Give the tracks: on the project's beats, or where `at` is said on time from there on."""
    if film is not None and arrangement.film is not None:
        yield from _track(arrangement, "Video", FILM_COLOUR, BY_TIME)
        yield from _item(arrangement, "Video", at or Fraction(0), Fraction(arrangement.film.duration))
        yield f"NAME {_quoted(film.rpartition('/')[2])}"
        yield "<SOURCE VIDEO"
        yield f"FILE {_quoted(film)}"
        yield from (">", ">", ">")
    for part in arrangement.version.parts:
        yield from _track(arrangement, part.name, part.colour, BY_BEATS if at is None else BY_TIME)
        for first, last in _stretches(arrangement, at is not None):
            start, end = arrangement.seconds(first), arrangement.seconds(last)
            yield from _item(arrangement, f"{part.name} {first}", (at or Fraction(0)) + start, end - start)
            uspq = None if at is None else _uspq_at(arrangement, first)
            takes = [(number, each) for number, each in arrangement.others(part) if each is not None]
            for index, (number, each) in enumerate(takes):
                if index:
                    yield "TAKE SEL" if number == arrangement.current else "TAKE"
                yield from _take(arrangement, arrangement.versions[number], each, first, last, uspq)
            yield ">"
        yield ">"


def _stretches(arrangement: Arrangement, by_tempo: bool) -> Iterator[tuple[int, int]]:
    """Give the music as stretches of ticks: as one, or as those of one tempo."""
    ticks = [tick for tick, _ in arrangement.version.tempos if tick < arrangement.end] if by_tempo else [0]
    yield from pairwise([*ticks, max(1, arrangement.end)])


def _uspq_at(arrangement: Arrangement, tick: int) -> int:
    return next(uspq for at, uspq in reversed(arrangement.version.tempos) if at <= tick)


def _track(arrangement: Arrangement, name: str, colour: Colour, base: int) -> Lines:
    guid = _guid(arrangement.title, "track", name)
    yield f"<TRACK {guid}"
    yield f"NAME {_quoted(name)}"
    yield f"PEAKCOL {_native(colour)}"
    yield f"BEAT {base}"
    yield from ("AUTOMODE 0", "VOLPAN 1 0 -1 -1 1", "MUTESOLO 0 0 0", "ISBUS 0 0", "NCHAN 2", "FX 1")
    yield f"TRACKID {guid}"
    yield "MAINSEND 1 0"


def _item(arrangement: Arrangement, name: str, start: Fraction, length: Fraction) -> Lines:
    yield "<ITEM"
    yield f"POSITION {_seconds(start)}"
    yield f"LENGTH {_seconds(length)}"
    yield from ("SNAPOFFS 0", "LOOP 0", "ALLTAKES 0", "MUTE 0 0", "SEL 0")
    yield f"IGUID {_guid(arrangement.title, 'item', name)}"


def _take(arrangement: Arrangement, version: Version, part: Part, first: int, last: int, uspq: int | None) -> Lines:
    """Give a take; `uspq` is its own tempo where it does not go by the project's."""
    yield f"NAME {_quoted(version.name)}"
    yield from ("VOLPAN 1 0 1 -1", "SOFFS 0 0", "PLAYRATE 1 1 0 -1 0 0.0025", "CHANMODE 0")
    yield f"GUID {_guid(arrangement.title, 'take', version.name, part.name, first)}"
    yield "<SOURCE MIDI"
    yield f"HASDATA 1 {version.division} QN"
    yield "CCINTERP 32"
    now = 0
    for tick, message in _within(part, first, last):
        yield from _event(tick - now, message)
        now = tick
    yield from _event(last - first - now, END_OF_SOURCE)
    if uspq is not None:
        yield f"IGNTEMPO 1 {_bpm(uspq)} 4 4"
    yield ">"


def _within(part: Part, first: int, last: int) -> Iterator[Event]:
    """Give the events from one tick to another, counted from the first; notes that sound over an end are divided."""
    from cmt_bridge.outputs.midibytes import NOTE_OFF, NOTE_ON, releases, strikes

    found: list[tuple[int, int, bytes]] = []
    for tick, message in part.events:
        if first <= tick < last and not strikes(message) and not releases(message):
            found.append((tick - first, 1, message))
    for note in part.notes:
        start, end = max(note.start, first), min(note.end, last)
        if start < end:
            found.append((end - first, 0, bytes((NOTE_OFF | note.channel, note.pitch, 0))))
            found.append((start - first, 2, bytes((NOTE_ON | note.channel, note.pitch, note.velocity))))
    for tick, _, message in sorted(found, key=lambda each: each[:2]):
        yield tick, message


def _event(delta: int, message: bytes) -> Lines:
    if message[0] < SYSEX:
        padded = message.ljust(3, b"\0")  # a channel message has always three bytes here
        yield f"E {delta} {' '.join(f'{byte:02x}' for byte in padded)}"
        return
    yield f"<X {delta} 0"
    data = _framed(message)
    for start in range(0, len(data), LINE_OF_BASE64):
        yield b64encode(data[start : start + LINE_OF_BASE64]).decode()
    yield ">"


def _framed(message: bytes) -> bytes:
    """Give a system exclusive as it goes over a wire: without the length that a file states."""
    from cmt_bridge.outputs.midibytes import number

    start = number(message, 1)[1]
    return message[:1] + message[start:] if message[0] == SYSEX else message[start:]
