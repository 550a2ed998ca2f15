"""The bytes of a MIDI file: its numbers, events, tracks and head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cmt_bridge.core.timecode import MIDI, Counting

__all__ = [
    "CHANNELS",
    "CHANNEL_PREFIX",
    "DATA_BYTES",
    "DRUM_CHANNEL",
    "END_OF_TRACK",
    "INSTRUMENT_NAME",
    "KEY_SIGNATURE",
    "MAX_TRACKS",
    "META",
    "NOTE_OFF",
    "NOTE_ON",
    "PROGRAM_CHANGE",
    "SET_TEMPO",
    "SMPTE_OFFSET",
    "SYSEX",
    "SYSEX_GOES_ON",
    "TIME_SIGNATURE",
    "TRACK_NAME",
    "DamagedError",
    "Event",
    "chunk_of",
    "events_of",
    "file_of",
    "meta_event",
    "meta_values",
    "metre_event",
    "number",
    "number_bytes",
    "offset_event",
    "releases",
    "strikes",
    "tempo_event",
]

Event = tuple[int, bytes]
"""File tick, and the whole message from its status byte on."""

NOTE_OFF, NOTE_ON, PROGRAM_CHANGE = 0x80, 0x90, 0xC0
DATA_BYTES = {NOTE_OFF: 2, NOTE_ON: 2, 0xA0: 2, 0xB0: 2, PROGRAM_CHANGE: 1, 0xD0: 1, 0xE0: 2}
META, SYSEX, SYSEX_GOES_ON = 0xFF, 0xF0, 0xF7
TRACK_NAME, INSTRUMENT_NAME, CHANNEL_PREFIX, END_OF_TRACK = 0x03, 0x04, 0x20, 0x2F
SET_TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x54, 0x58, 0x59
CHANNELS, DRUM_CHANNEL = 16, 9

OFFSET_RATES = {(24, False): 0, (25, False): 1, (30, True): 2, (30, False): 3}  # by labels of a second, and drop frame
HUNDREDTHS = 100  # of a frame

MAX_TRACKS = 0xFFFF  # what the head can state
NUMBER_BYTES = 4
MAX_DELTA = (1 << 7 * NUMBER_BYTES) - 1
EMPTY_TEXT = b"\xff\x01\x00"


class DamagedError(Exception):
    """The bytes are no sequence of MIDI events; the message says where they stop to be."""


def number(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length number; give it and where it ends.

    Raises `DamagedError` where it is longer than four bytes, `IndexError` where the data ends within it.
    """
    value = 0
    for offset in range(NUMBER_BYTES):
        byte = data[at + offset]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + offset + 1
    raise DamagedError("a number is too long")


def number_bytes(value: int) -> bytes:
    """Give the bytes of a variable-length number."""
    data = bytes((value & 0x7F,))
    while value := value >> 7:
        data = bytes((value & 0x7F | 0x80,)) + data
    return data


def strikes(message: bytes) -> bool:
    """Tell whether a message begins a note."""
    return message[0] & 0xF0 == NOTE_ON and message[2] > 0


def releases(message: bytes) -> bool:
    """Tell whether a message ends a note."""
    return message[0] & 0xF0 == NOTE_OFF or (message[0] & 0xF0 == NOTE_ON and message[2] == 0)


def meta_event(kind: int, values: bytes = b"") -> bytes:
    """Give a meta event."""
    return bytes((META, kind)) + number_bytes(len(values)) + values


def tempo_event(uspq: int) -> bytes:
    """Give a tempo, in microseconds per quarter."""
    return meta_event(SET_TEMPO, uspq.to_bytes(3))


def metre_event(numerator: int, denominator: int) -> bytes:
    """Give a time signature, with a click of the metronome for each quarter."""
    return meta_event(TIME_SIGNATURE, bytes((numerator, denominator.bit_length() - 1, 24, 8)))


def offset_event(counting: Counting) -> bytes:
    """Give the timecode at which a film begins (FF 54), to a hundredth of a frame; MIDI says 24 for 23.976 too."""
    start = counting.fitted(MIDI).start
    kind = OFFSET_RATES[start.rate.base, start.rate.drop > 0]
    values = kind << 5 | start.hours, start.minutes, start.seconds, start.frame, int(start.part * HUNDREDTHS)
    return meta_event(SMPTE_OFFSET, bytes(values))


def meta_values(message: bytes) -> bytes:
    """Give the values of a meta event."""
    return message[number(message, 2)[1] :]


def events_of(chunk: bytes) -> Iterator[Event]:
    """Give the events of a track that is known to be in order, running status spelled out; `chunk` has no head."""
    at = tick = status = 0
    while at < len(chunk):
        delta, at = number(chunk, at)
        tick += delta
        first = at
        if chunk[at] in (META, SYSEX, SYSEX_GOES_ON):
            length, at = number(chunk, at + (2 if chunk[at] == META else 1))
            at += length
            yield tick, chunk[first:at]
            continue
        if chunk[at] >= 0x80:
            status = chunk[at]
            at += 1
        first, at = at, at + DATA_BYTES[status & 0xF0]
        yield tick, bytes((status,)) + chunk[first:at]


def chunk_of(events: Iterable[Event]) -> bytes:
    """Give a track, with its head, of events in the order of their ticks; empty texts divide gaps too long to state."""
    data = bytearray()
    now = 0
    for tick, message in events:
        delta = tick - now
        now = tick
        while delta > MAX_DELTA:
            data += number_bytes(MAX_DELTA) + EMPTY_TEXT
            delta -= MAX_DELTA
        data += number_bytes(delta) + message
    return b"MTrk" + len(data).to_bytes(4) + bytes(data)


def file_of(kind: int, division: int, chunks: Sequence[bytes]) -> bytes:
    """Give a file, type 0 or 1, of at most `MAX_TRACKS` tracks with their heads; `division` is ticks per quarter."""
    head = b"".join(value.to_bytes(2) for value in (kind, len(chunks), division))
    return b"MThd" + len(head).to_bytes(4) + head + b"".join(chunks)
