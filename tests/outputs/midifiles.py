"""MIDI files made event by event, and what other libraries see in them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import mido
import symusic
from hypothesis import strategies as st

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.outputs.edited import Edited

Events = list[tuple[int, bytes]]


def number(value: int) -> bytes:
    data = bytes((value & 0x7F,))
    while value := value >> 7:
        data = bytes((value & 0x7F | 0x80,)) + data
    return data


def chunk(events: Iterable[tuple[int, bytes]], *, end: int = 0, running: bool = False) -> bytes:
    """Give a track of (tick, message), sorted by tick; `running` leaves out every status that may be left out."""
    data, now, status = b"", 0, b""
    events = sorted(events, key=lambda event: event[0])
    last = max([end, *(tick for tick, _ in events)])
    for tick, message in [*events, (last, b"\xff\x2f\x00")]:
        left_out = running and message[:1] == status
        data += number(tick - now) + message[left_out:]
        now, status = tick, message[:1] if message[0] < 0xF0 else b""
    return b"MTrk" + len(data).to_bytes(4) + data


def midi(*chunks: bytes, kind: int = 1, division: int = 480) -> bytes:
    head = b"".join(value.to_bytes(2) for value in (kind, len(chunks), division))
    return b"MThd\0\0\0\6" + head + b"".join(chunks)


def meta(kind: int, values: bytes = b"") -> bytes:
    return bytes((0xFF, kind)) + number(len(values)) + values


def named(name: str) -> tuple[int, bytes]:
    return 0, meta(3, name.encode())


def programmed(program: int, channel: int = 0, tick: int = 0) -> tuple[int, bytes]:
    return tick, bytes((0xC0 | channel, program))


def played(start: int, end: int, pitch: int = 60, channel: int = 0, velocity: int = 64) -> Events:
    return [(start, bytes((0x90 | channel, pitch, velocity))), (end, bytes((0x80 | channel, pitch, 64)))]


def metre(tick: int, numerator: int, power: int) -> tuple[int, bytes]:
    return tick, meta(0x58, bytes((numerator, power, 24, 8)))


def tempo(tick: int, uspq: int) -> tuple[int, bytes]:
    return tick, meta(0x51, uspq.to_bytes(3))


Edit = Callable[[bytes], Edited]
Heard = dict[Instrument, list[tuple[int, int, int, int]]]


def heard(edited: Edited, *given: Any) -> Heard:
    """Give (onset, duration, pitch, velocity) of every instrument that is heard."""
    tracks = edited.tracks(*given)
    assert [track.instrument for track in tracks] == list(Instrument)
    return {t.instrument: [(n.onset, n.duration, n.pitch, n.velocity) for n in t.notes] for t in tracks if t.notes}


def messages(data: bytes) -> list[list[tuple[int, Any]]]:
    """Give (tick, message) of every track as an independent reader sees them, the end-of-track left out."""
    tracks = []
    for track in mido.MidiFile(file=io.BytesIO(data), charset="latin-1").tracks:
        now, events = 0, []
        for message in track:
            now += message.time
            if message.type != "end_of_track":
                events.append((now, message.copy(time=0)))
        tracks.append(events)
    return tracks


def ends(data: bytes) -> list[int]:
    return [sum(message.time for message in track) for track in mido.MidiFile(file=io.BytesIO(data)).tracks]


def by_symusic(data: bytes) -> Counter[tuple[str, int, int, int, int]]:
    """Give (name, start, duration, pitch, velocity) of every note."""
    tracks = symusic.Score.from_midi(data).tracks
    return Counter((t.name, n.time, n.duration, n.pitch, n.velocity) for t in tracks for n in t.notes)


PITCHES = st.integers(60, 62)
CHANNELS = st.sampled_from([0, 1, 9])
OTHERS = st.sampled_from(
    [
        b"\xb0\x40\x7f",
        b"\xb1\x07\x10",
        b"\xe0\x01\x02",
        b"\xa0\x3c\x10",
        b"\xd1\x20",
        b"\xc0\x21",
        b"\xc1\x30",
        b"\xc0\x00",
        b"\x80\x3c\x40",
        b"\x91\x3d\x00",
        b"\x90\x3e\x33",
        b"\xf0\x02\x43\xf7",
        meta(0x01, b"\xe9\xff"),
        meta(0x06, b"Cut"),
        meta(0x7F, b"\x00\x01"),
        tempo(0, 433_333)[1],
    ]
)
NAMES = st.sampled_from([None, "Piano", "BASS ", "Drums", "Violins", "Lead Guitar", "Synth"])
DIVISIONS = st.sampled_from([4, 96, 100, 120, 480, 960])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    kind, division = draw(st.sampled_from([0, 1, 1])), draw(DIVISIONS)
    bar = 4 * division
    ticks = st.one_of(st.integers(0, 6 * bar), st.builds(lambda s: s * division // 4, st.integers(0, 96)))
    chunks = []
    for _ in range(1 if kind == 0 else draw(st.integers(1, 3))):
        name = draw(NAMES) if kind else None  # with a name, what is left of the channels would matter
        events: Events = [named(name)] if name else []
        for start in draw(st.lists(ticks, max_size=12)):
            length = draw(st.integers(0, bar * 3 // 2))
            events += played(start, start + length, draw(PITCHES), draw(CHANNELS), draw(st.integers(1, 127)))
        events += [(draw(ticks), draw(OTHERS)) for _ in range(draw(st.integers(0, 8)))]
        for tick in draw(st.lists(ticks, max_size=2)):
            events += [
                (tick, meta(1, b"\xe9\xff")),
                (tick, meta(0x66, b"?")),
            ]  # mido forgets the delta of an unknown one
        chunks.append(chunk(events, end=draw(ticks), running=draw(st.booleans())))
    return midi(*chunks, kind=kind, division=division)
