"""The events of a MIDI file and their bytes: numbers, messages, tracks and head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cmt_bridge.core.timecode import MIDI, Counting

__all__ = [
    "CHANNELS",
    "CHANNEL_PREFIX",
    "DATA_BYTES",
    "DRUM_CHANNEL",
    "END_OF_TRACK",
    "INSTRUMENT_NAME",
    "KEY_SIGNATURE",
    "MARKER",
    "MAX_TRACKS",
    "META",
    "NOTE_OFF",
    "NOTE_ON",
    "PROGRAM_CHANGE",
    "SEQUENCER_SPECIFIC",
    "SET_TEMPO",
    "SMPTE_OFFSET",
    "SYSEX",
    "SYSEX_GOES_ON",
    "TEXT",
    "TEXTS",
    "TIME_SIGNATURE",
    "TRACK_NAME",
    "WIRE_BYTES",
    "DamagedError",
    "Event",
    "chunk_of",
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
WIRE_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, **dict.fromkeys(range(0xF8, 0xFF), 0)}
"""Data bytes of what belongs on a wire and is in files now and then: clocks, timecode, positions."""
TEXT, TRACK_NAME, INSTRUMENT_NAME, MARKER = 0x01, 0x03, 0x04, 0x06
TEXTS = range(0x01, 0x10)
"""The kinds of meta events that hold text."""
CHANNEL_PREFIX, END_OF_TRACK, SEQUENCER_SPECIFIC = 0x20, 0x2F, 0x7F
SET_TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x54, 0x58, 0x59
CHANNELS, DRUM_CHANNEL = 16, 9

OFFSET_RATES = {(24, False): 0, (25, False): 1, (30, True): 2, (30, False): 3}  # by labels of a second, and drop frame
HUNDREDTHS = 100  # of a frame

MAX_TRACKS = 4096  # a head can state more, no host shows more
NUMBER_BYTES = 4
MAX_DELTA = (1 << 7 * NUMBER_BYTES) - 1
NOTHING = b"\xff\x7f\x01\x7d"  # sequencer-specific, so that no host shows it


class DamagedError(Exception):
    """The bytes are no sequence of MIDI events; the message says where they stop to be."""


def number(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length number; return it and where it ends.

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
    """Return the bytes of a variable-length number."""
    data = bytes((value & 0x7F,))
    while value := value >> 7:
        data = bytes((value & 0x7F | 0x80,)) + data
    return data


def strikes(message: bytes) -> bool:
    """Return whether a message begins a note."""
    return message[0] & 0xF0 == NOTE_ON and message[2] > 0


def releases(message: bytes) -> bool:
    """Return whether a message ends a note."""
    return message[0] & 0xF0 == NOTE_OFF or (message[0] & 0xF0 == NOTE_ON and message[2] == 0)


def meta_event(kind: int, values: bytes = b"") -> bytes:
    """Return a meta event."""
    return bytes((META, kind)) + number_bytes(len(values)) + values


def tempo_event(uspq: int) -> bytes:
    """Return a tempo, in microseconds per quarter."""
    return meta_event(SET_TEMPO, uspq.to_bytes(3))


def metre_event(numerator: int, denominator: int) -> bytes:
    """Return a time signature, with a click of the metronome for each quarter."""
    return meta_event(TIME_SIGNATURE, bytes((numerator, denominator.bit_length() - 1, 24, 8)))


def offset_event(counting: Counting) -> bytes:
    """Return the timecode at which a film begins (FF 54), to a hundredth of a frame; MIDI says 24 for 23.976 too."""
    start = counting.fitted(MIDI).start
    kind = OFFSET_RATES[start.rate.base, start.rate.drop > 0]
    values = kind << 5 | start.hours, start.minutes, start.seconds, start.frame, int(start.part * HUNDREDTHS)
    return meta_event(SMPTE_OFFSET, bytes(values))


def meta_values(message: bytes) -> bytes:
    """Return the values of a meta event."""
    return message[number(message, 2)[1] :]


def chunk_of(events: Iterable[Event]) -> bytes:
    """Return a track, with its head, of events in the order of their ticks; gaps too long to state are divided."""
    data = bytearray()
    now = 0
    for tick, message in events:
        delta = tick - now
        now = tick
        while delta > MAX_DELTA:
            data += number_bytes(MAX_DELTA) + NOTHING
            delta -= MAX_DELTA
        data += number_bytes(delta) + message
    return b"MTrk" + len(data).to_bytes(4) + bytes(data)


def file_of(kind: int, division: int, chunks: Sequence[bytes]) -> bytes:
    """Return a file, type 0 or 1, of at most `MAX_TRACKS` tracks with their heads; `division` is ticks per quarter."""
    head = b"".join(value.to_bytes(2) for value in (kind, len(chunks), division))
    return b"MThd" + len(head).to_bytes(4) + head + b"".join(chunks)
