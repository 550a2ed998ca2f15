"""MIDI files, read: every byte of what is given on was understood here, and nothing else reads strangers' files.

What is meant is read where that is clear: a RIFF wrapping, something before or behind the music, chunks that are no
tracks, wrong counts and lengths that the end of a track sets right, events that are longer than they need to be. What
is not clear is refused in a sentence.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path

from cmt_bridge.core.bounds import BARS
from cmt_bridge.core.files import read_at_most
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.tempo import BEATS_PER_BAR
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import (
    DATA_BYTES,
    END_OF_TRACK,
    KEY_SIGNATURE,
    MAX_TRACKS,
    META,
    SET_TEMPO,
    SYSEX,
    SYSEX_GOES_ON,
    TIME_SIGNATURE,
    WIRE_BYTES,
    DamagedError,
    Event,
    number,
)

__all__ = ["MAX_BARS", "MIDI_SUFFIXES", "MidiFile", "MidiTrack", "find_midi", "parsed", "read_midi", "read_midi_bytes"]

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")

MAX_FILE_BYTES = 16 * 2**20
MAX_EVENTS = 1_000_000
MAX_BARS = int(BARS.most)  # a damaged delta time reaches far beyond

HEAD, TRACK = b"MThd", b"MTrk"
LEAST_HEAD = 6
MOST_BEFORE = 2**16  # bytes before the head, such as those of a Macintosh or of a mail
PRINTABLE = range(0x20, 0x7F)
END = bytes((END_OF_TRACK, 0))  # behind the data, for tracks that have none

LEAST_VALUES = {SET_TEMPO: 3, TIME_SIGNATURE: 2, KEY_SIGNATURE: 2}
"""Bytes without which an event says nothing; what is more is passed over."""
FINEST_DENOMINATOR = 7  # a power of two: 128th notes


@dataclass(frozen=True, eq=False)
class MidiTrack:
    """The events of a track, in columns: file ticks, status bytes, and where in `data` they go on behind those.

    The last event is the end of the track.
    """

    data: bytes
    ticks: array[int]
    statuses: bytearray
    places: array[int]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The events as file tick and message, each with its status byte."""
        heads = [bytes((status,)) for status in range(0x100)]
        data = self.data
        return tuple(
            (tick, heads[status] + data[place : _end(data, status, place)])
            for tick, status, place in zip(self.ticks, self.statuses, self.places, strict=True)
        )

    def metas(self, *kinds: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield tick, kind and values of the meta events of some kinds."""
        at = self.statuses.find(META)
        while at >= 0:
            place = self.places[at]
            if self.data[place] in kinds:
                length, start = number(self.data, place + 1)
                yield self.ticks[at], self.data[place], self.data[start : start + length]
            at = self.statuses.find(META, at + 1)

    @property
    def end(self) -> int:
        """The tick at which it ends."""
        return self.ticks[-1]


def _end(data: bytes, status: int, place: int) -> int:
    """Return where a message ends whose status byte lies before `place`."""
    if status < SYSEX:
        return place + DATA_BYTES[status & 0xF0]
    if status in WIRE_BYTES:
        return place + WIRE_BYTES[status]
    length, start = number(data, place + (status == META))
    return start + length


@dataclass(frozen=True, eq=False)
class MidiFile:
    """A MIDI file of type 0 or 1; `division` is ticks per quarter."""

    kind: int
    division: int
    tracks: tuple[MidiTrack, ...]


@takes_paths
def find_midi(folder: Path) -> list[Path]:
    """Return the MIDI files below a folder, at any depth, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())


@takes_paths
def read_midi(path: Path) -> MidiFile:
    """Read a MIDI file, type 0 or 1 in ticks per quarter. Raises `MidiError` where it cannot be read or understood."""
    return parsed(_content(path), path)


@takes_paths
def read_midi_bytes(path: Path) -> bytes:
    """Read the bytes of a MIDI file, as they are, if `read_midi` can read it. Raises as that does."""
    data = _content(path)
    parsed(data, path)
    return data


def _content(path: Path) -> bytes:
    try:
        return read_at_most(path, MAX_FILE_BYTES)
    except OSError as error:
        raise MidiError(f"Cannot read {path}: {error.strerror}.", hint="Check the path and its permissions.") from error
    except ValueError as error:  # a null character in the name
        raise MidiError(f"Cannot read {str(path)!r}: {error}.", hint="Check the path.") from error


def parsed(data: bytes, path: Path) -> MidiFile:
    """Return the MIDI file whose bytes these are; `path` names it in errors. Raises as `read_midi` does."""
    if len(data) > MAX_FILE_BYTES:
        raise MidiError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB.", hint="Give a shorter MIDI file.")
    if not data:
        raise MidiError(f"{path} is empty.", hint="Export it again.")
    data = _unwrapped(data)
    at = data.find(HEAD, 0, MOST_BEFORE)
    if at < 0 or len(data) < at + 8 + LEAST_HEAD:
        raise MidiError(f"{path} is not a MIDI file.", hint="Give a .mid file.")
    kind, division = int.from_bytes(data[at + 8 : at + 10]), int.from_bytes(data[at + 12 : at + 14])
    if not division:
        raise MidiError(f"{path} does not say how many ticks a quarter has.", hint="Export it again.")
    if division & 0x8000:
        raise MidiError(
            f"{path} counts in timecode, not in ticks per quarter.", hint="Export it with a musical time base."
        )
    try:
        tracks = tuple(_tracks(data, at, MAX_BARS * BEATS_PER_BAR * division))
    except (DamagedError, IndexError) as error:
        reason = "it is cut off" if isinstance(error, IndexError) else error
        raise MidiError(f"{path} is a damaged MIDI file: {reason}.", hint="Export it again.") from error
    if kind > 1 and len(tracks) > 1:
        raise MidiError(f"{path} is a MIDI file of type {kind}.", hint="Export it as type 0 or 1.")
    return MidiFile(int(len(tracks) > 1 or kind == 1), division, tracks)  # some of several tracks are called type 0


def _unwrapped(data: bytes) -> bytes:
    """Take a RIFF wrapping off."""
    at = 12 if data[:4] == b"RIFF" and data[8:12] == b"RMID" else len(data)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            return data[at + 8 : at + 8 + size] if size else data[at + 8 :]
        at += 8 + size + (size & 1)
    return data


def _tracks(data: bytes, head: int, longest: int) -> Iterator[MidiTrack]:
    """Yield the tracks behind a head. Raises `DamagedError`, and `IndexError` where the data ends within a track."""
    size = len(data)
    data += END
    at = head + 8 + max(LEAST_HEAD, int.from_bytes(data[head + 4 : head + 8]))
    if not _is_chunk(data, at, size):
        at = head + 8 + LEAST_HEAD
    room = MAX_EVENTS
    count = 0
    while (at := _next_track(data, at, size)) >= 0:
        if count == MAX_TRACKS:
            raise DamagedError(f"it has more than {MAX_TRACKS:,} tracks")
        track, at = _track_at(data, at, size, longest, room)
        room -= len(track.ticks)
        count += 1
        yield track


def _is_chunk(data: bytes, at: int, size: int) -> bool:
    """Return whether a whole chunk begins at a place, or the data ends there."""
    if at == size:
        return True
    whole = at + 8 <= size and all(byte in PRINTABLE for byte in data[at : at + 4])
    return whole and at + 8 + int.from_bytes(data[at + 4 : at + 8]) <= size


def _next_track(data: bytes, at: int, size: int) -> int:
    """Return where the next track begins, -1 where none does: other chunks are passed over, other bytes searched."""
    while at + 8 <= size:
        name = data[at : at + 4]
        if name == TRACK:
            return at
        if name == HEAD:  # of another file
            return -1
        if not _is_chunk(data, at, size):
            found, other = data.find(TRACK, at, size), data.find(HEAD, at, size)
            return -1 if 0 <= other < found or found + 8 > size else found
        at += 8 + int.from_bytes(data[at + 4 : at + 8])
    return -1


def _track_at(data: bytes, at: int, size: int, longest: int, room: int) -> tuple[MidiTrack, int]:
    """Return the track whose head lies at a place, and where what follows it begins.

    Where its length is wrong, its end of track tells. Raises `DamagedError`, and `IndexError` where it is cut off.
    """
    start = at + 8
    stated = start + int.from_bytes(data[at + 4 : start])
    track = None
    try:
        track, until, is_ended = _read(data, start, min(stated, size), longest, room)
        if stated <= size and (is_ended or _is_chunk(data, stated, size)):
            return track, stated
        if is_ended:
            return track, until
    except IndexError:
        pass
    following = data.find(TRACK, start, size)
    try:
        longer, until, is_ended = _read(data, start, size if following < 0 else following, longest, room)
        if is_ended:
            return longer, until
    except (DamagedError, IndexError):
        pass
    if track is None or stated > size:
        raise IndexError
    return track, stated


def _read(data: bytes, at: int, size: int, longest: int, room: int) -> tuple[MidiTrack, int, bool]:
    """Return the events from a place on, to an end of track or to `size`; where they end, and whether one does.

    A corpus is read through this loop, so what most events are, a delta of one byte and a channel message, comes first.
    Raises `DamagedError`, and `IndexError` where the data ends within an event.
    """
    tick = status = count = 0  # count: data bytes of a message with running status; 0 where there was no status yet
    ticks = array("q")
    statuses = bytearray()
    places = array("q")
    for _ in repeat(None, room):
        if at >= size:
            break
        delta = data[at]
        if delta < 0x80:
            at += 1
        else:
            delta, at = number(data, at)
        tick += delta
        byte = data[at]
        if byte < SYSEX:
            if byte >= 0x80:
                status = byte
                count = DATA_BYTES[byte & 0xF0]
                at += 1
            elif not count:
                raise DamagedError("it holds what is no MIDI event")
            if data[at] >= 0x80 or data[at + count - 1] >= 0x80:
                if at + count > size:
                    raise IndexError
                raise DamagedError("a value is out of range")
            ticks.append(tick)
            statuses.append(status)
            places.append(at)
            at += count
            continue
        ticks.append(tick)
        statuses.append(byte)
        places.append(at + 1)
        at, is_end = _end_of_other(data, at, size)
        if is_end:
            return _track(data, ticks, statuses, places, longest), at, True
    else:
        raise DamagedError(f"it holds more than {MAX_EVENTS:,} events")
    if at > size:
        raise IndexError
    ticks.append(tick)
    statuses.append(META)
    places.append(len(data) - len(END))
    return _track(data, ticks, statuses, places, longest), at, False


def _end_of_other(data: bytes, at: int, size: int) -> tuple[int, bool]:
    """Return where an event ends that is no channel message, and whether it is the end of the track.

    Raises `DamagedError`, and `IndexError` where the data ends within it.
    """
    byte = data[at]
    if byte in (META, SYSEX, SYSEX_GOES_ON):
        kind = data[at + 1] if byte == META else -1
        length, start = number(data, at + (2 if byte == META else 1))
        end = start + length
        if end > size:
            raise IndexError
        if length < LEAST_VALUES.get(kind, 0):
            raise DamagedError("an event has a wrong length")
        if kind == TIME_SIGNATURE and not (data[start] and data[start + 1] <= FINEST_DENOMINATOR):
            raise DamagedError("a time signature is impossible")
        return end, kind == END_OF_TRACK
    if byte not in WIRE_BYTES:
        raise DamagedError("it holds what is no MIDI event")
    end = at + 1 + WIRE_BYTES[byte]
    if end <= size and any(value >= 0x80 for value in data[at + 1 : end]):
        raise DamagedError("a value is out of range")
    return end, False


def _track(data: bytes, ticks: array[int], statuses: bytearray, places: array[int], longest: int) -> MidiTrack:
    if ticks[-1] > longest:
        raise DamagedError(f"it goes on beyond bar {MAX_BARS:,}")
    return MidiTrack(data, ticks, statuses, places)
