"""MIDI files: read any, write a score."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from cmt_bridge.core.files import complete_path
from cmt_bridge.core.instruments import PARTS, Instrument, instrument_of
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Marker, Note, Score
from cmt_bridge.core.song import Song, SongTrack
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.errors import MidiError
from cmt_bridge.outputs.midibytes import (
    DATA_BYTES,
    END_OF_TRACK,
    KEY_SIGNATURE,
    MAX_TRACKS,
    META,
    SET_TEMPO,
    SYSEX,
    SYSEX_GOES_ON,
    TIME_SIGNATURE,
    DamagedError,
    file_of,
    number,
)

__all__ = [
    "MIDI_SUFFIXES",
    "MIDI_TICKS_PER_QUARTER",
    "find_midi",
    "midi_bytes",
    "read_markers",
    "read_midi_bytes",
    "read_song",
    "timecode_rate",
    "write_midi",
]

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")

MIDI_TICKS_PER_QUARTER = 480
STEP = MIDI_TICKS_PER_QUARTER // TICKS_PER_QUARTER  # MIDI ticks of a sixteenth

MAX_FILE_BYTES = 16 * 2**20
MAX_BARS = 10_000  # 5.5 hours at 120 BPM; a damaged delta time reaches far beyond


@takes_paths
def find_midi(folder: Path) -> list[Path]:
    """Give the MIDI files below a folder, at any depth, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())


@takes_paths
def read_midi_bytes(path: Path) -> bytes:
    """Read the bytes of a MIDI file, type 0 or 1 in ticks per quarter, checked event by event.

    A RIFF wrapping is taken off. Raises `MidiError` where it cannot be read, is of another kind or is damaged.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MidiError(f"Cannot read {path}: {error.strerror}.", hint="Check the path and its permissions.") from error
    if len(data) > MAX_FILE_BYTES:
        raise MidiError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB.", hint="Give a shorter MIDI file.")
    if not data:
        raise MidiError(f"{path} is empty.", hint="Export it again.")
    if data[:4] == b"RIFF" and data[8:16] == b"RMIDdata":
        data = data[20:]
    if data[:4] != b"MThd" or len(data) < 14:
        raise MidiError(f"{path} is not a MIDI file.", hint="Give a .mid file.")
    kind, division = int.from_bytes(data[8:10]), int.from_bytes(data[12:14])
    if kind > 1:
        raise MidiError(f"{path} is a MIDI file of type {kind}.", hint="Export it as type 0 or 1.")
    if division == 0 or division & 0x8000:
        raise MidiError(
            f"{path} counts in timecode, not in ticks per quarter.", hint="Export it with a musical time base."
        )
    try:
        return _checked(data)
    except (DamagedError, IndexError) as error:
        reason = "it is cut off" if isinstance(error, IndexError) else error
        raise MidiError(f"{path} is a damaged MIDI file: {reason}.", hint="Export it again.") from error


META_LENGTHS = {SET_TEMPO: 3, TIME_SIGNATURE: 4, KEY_SIGNATURE: 2}
FINEST_DENOMINATOR = 7  # a power of two: 128th notes


def _checked_track(data: bytes, longest: int) -> bytes:
    """Give the events of a track, to its end-of-track; a missing one is added. Raises `DamagedError`, `IndexError`.

    A corpus is read through this loop, so what most events are, a delta of one byte and a channel message, comes first.
    """
    at = tick = 0
    count = 0  # data bytes of a message with running status; 0 where there was no status yet
    size = len(data)
    while at < size:
        delta = data[at]
        if delta < 0x80:
            at += 1
        else:
            delta, at = number(data, at)
        tick += delta
        if tick > longest:
            raise DamagedError(f"it goes on beyond bar {MAX_BARS:,}")
        byte = data[at]
        if byte < 0xF0:
            if byte >= 0x80:
                count = DATA_BYTES[byte & 0xF0]
                at += 1
            elif not count:
                raise DamagedError("it holds what is no MIDI event")
            if data[at] >= 0x80 or data[at + count - 1] >= 0x80:
                raise DamagedError("a value is out of range")
            at += count
            continue
        if byte not in (META, SYSEX, SYSEX_GOES_ON):
            raise DamagedError("it holds what is no MIDI event")
        kind = data[at + 1] if byte == META else -1
        length, start = number(data, at + (2 if byte == META else 1))
        at = start + length
        if at > size or length != META_LENGTHS.get(kind, length):
            raise DamagedError("an event has a wrong length")
        if kind == TIME_SIGNATURE and not (data[start] and data[start + 1] <= FINEST_DENOMINATOR):
            raise DamagedError("a time signature is impossible")
        if kind == END_OF_TRACK:
            return data[:at]
    return data + b"\x00\xff\x2f\x00"


def _checked(data: bytes) -> bytes:
    """Give a MIDI file anew whose every chunk, event and length is in order, since symusic reads past damaged ones.

    Raises `DamagedError`, and `IndexError` where the data ends within an event.
    """
    division = int.from_bytes(data[12:14])
    longest = MAX_BARS * BEATS_PER_BAR * division
    at = 8 + int.from_bytes(data[4:8])
    tracks = []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8])
        if at + 8 + size > len(data):
            raise DamagedError("it is cut off")
        if data[at : at + 4] == b"MTrk":
            events = _checked_track(data[at + 8 : at + 8 + size], longest)
            tracks.append(b"MTrk" + len(events).to_bytes(4) + events)
        at += 8 + size
    if len(tracks) > MAX_TRACKS:
        raise DamagedError(f"it has more than {MAX_TRACKS:,} tracks")
    kind = max(int.from_bytes(data[8:10]), len(tracks) > 1)  # some files of several tracks call themselves type 0
    return file_of(kind, division, tracks)


def _parse(path: Path) -> Any:
    import symusic

    data = read_midi_bytes(path)
    try:
        return symusic.Score.from_midi(data)
    except Exception as error:  # the parser's errors have no common base
        raise MidiError(f"{path} is a damaged MIDI file: {error}.", hint="Export it again.") from error


@takes_paths
def read_song(path: Path) -> Song:
    """Read a MIDI file, type 0 or 1, any resolution; a track holding several programs comes apart.

    Notes of one pitch that overlap in a channel end in the order in which they began. Raises `MidiError` where the file
    cannot be read, is no MIDI file, or holds no note.
    """
    score = _parse(path)
    tracks = []
    for track in score.tracks:
        columns = track.notes.numpy()
        notes = np.stack(
            [columns["time"], columns["time"] + columns["duration"], columns["pitch"], columns["velocity"]], axis=1
        ).astype(np.int64)
        notes = notes[np.lexsort((notes[:, 2], notes[:, 0]))]
        instrument = instrument_of(track.program, is_drum=track.is_drum, name=track.name)
        tracks.append(SongTrack(track.name, track.program, track.is_drum, instrument, notes))
    if not any(len(track.notes) for track in tracks):
        raise MidiError(f"{path} holds no notes.", hint="Give a MIDI file with notes in it.")
    end = max(int(track.notes[:, 1].max()) for track in tracks if len(track.notes))
    if end > MAX_BARS * BEATS_PER_BAR * score.ticks_per_quarter or any((track.notes < 0).any() for track in tracks):
        raise MidiError(f"{path} has notes beyond bar {MAX_BARS:,}.", hint="It may be damaged: export it again.")
    return Song(
        name=path.stem,
        ticks_per_quarter=score.ticks_per_quarter,
        tracks=tuple(tracks),
        tempos=tuple((tempo.time, tempo.mspq) for tempo in score.tempos if tempo.mspq > 0),
        metres=tuple((sign.time, sign.numerator, sign.denominator) for sign in score.time_signatures),
    )


@takes_paths
def read_markers(path: Path) -> tuple[tuple[int, str], ...]:
    """Read the markers (FF 06) of a MIDI file as (file tick, text). Raises `MidiError` as `read_song` does."""
    score = _parse(path)
    return tuple(sorted((int(marker.time), str(marker.text)) for marker in score.markers))


# Timecode rates of an SMPTE offset event (FF 54): those it can state, and the picture rates that count in them.
TIMECODE_RATES: tuple[tuple[Fraction, float], ...] = (
    (Fraction(24), 24),
    (Fraction(24000, 1001), 24),
    (Fraction(25), 25),
    (Fraction(30000, 1001), 29.97),
    (Fraction(30), 30),
)
FINEST_RATE = 30.0
RATE_TOLERANCE = 0.0004  # 29.97 and 30 are 0.001 apart


def timecode_rate(frame_rate: tuple[int, int]) -> float | None:
    """Give the timecode rate (24, 25, 29.97 drop frame or 30) in which a picture rate (numerator, denominator) counts.

    23.976 counts as 24 (no event states it); multiples and fractions count as their base: 60 as 30, 59.94 as 29.97,
    12.5 as 25. Any other known rate counts as 30, an unknown one as None.
    """
    numerator, denominator = frame_rate
    if numerator <= 0 or denominator <= 0:
        return None
    rate = Fraction(numerator, denominator)
    for factor in range(1, 6):
        for base, stated in TIMECODE_RATES:
            if any(abs(rate / near - 1) < RATE_TOLERANCE for near in (base * factor, base / factor)):
                return stated
    return FINEST_RATE


Event = tuple[int, int, Any]
"""MIDI tick, rank among the events of that tick, message."""

NOTE_OFF, SETUP, NOTE_ON = range(3)


def _track_messages(events: Iterable[Event], end: int) -> Any:
    import mido

    track = mido.MidiTrack()
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - now)))
    return track


def _cut_overlaps(notes: Iterable[Note]) -> list[tuple[int, int, Note]]:
    """Give (start, end, note) in MIDI ticks such that no two of one pitch sound at once.

    A note ends where the next of its pitch begins; of those that begin together the longest stays.
    """
    spans: list[tuple[int, int, Note]] = []
    for _, same in groupby(sorted(notes, key=lambda n: (n.pitch, n.onset, n.duration)), key=lambda n: n.pitch):
        last: tuple[int, int, Note] | None = None
        for start, end, note in map(_span, same):
            if last is not None and start > last[0]:
                spans.append((last[0], min(last[1], start), last[2]))
            last = (start, end, note)
        if last is not None:
            spans.append(last)
    return spans


def _span(note: Note) -> tuple[int, int, Note]:
    # A note of no length still sounds: one MIDI tick, which rounds back to none on the grid.
    start = note.onset * STEP
    return start, max(start + 1, note.end * STEP), note


def _conductor(score: Score, hours: int) -> list[Event]:
    import mido

    def meta(kind: str, **values: Any) -> Any:
        return mido.MetaMessage(kind, **values)

    events: list[Event] = [(0, 0, meta("track_name", name=score.title or "cmt-bridge"))]
    events.append((0, 1, meta("text", text=score.provenance.text())))
    rate = timecode_rate(score.frame_rate)
    if rate is not None:
        events.append((0, 2, meta("smpte_offset", frame_rate=rate, hours=hours)))
    events.append((0, 3, meta("time_signature", numerator=BEATS_PER_BAR, denominator=4)))
    events += [(change.tick * STEP, 4, meta("set_tempo", tempo=change.uspq)) for change in score.tempo_map.changes]
    events += [(_marker_tick(score, marker), 5, meta("marker", text=marker.text)) for marker in sorted(score.markers)]
    return events


def _marker_tick(score: Score, marker: Marker) -> int:
    return max(0, round(score.tempo_map.ticks(marker.seconds) * STEP))


def _part(score: Score, instrument: Instrument, keep_overlaps: bool) -> list[Event]:
    import mido

    part = PARTS[instrument]
    tracks = [track for track in score.tracks if track.instrument is instrument]
    notes = sorted(note for track in tracks for note in track.notes)
    program = tracks[0].program if tracks else part.program
    events: list[Event] = [
        (0, SETUP, mido.MetaMessage("track_name", name=instrument.title)),
        (0, SETUP, mido.Message("program_change", channel=part.channel, program=program)),
    ]
    spans = [_span(note) for note in notes] if keep_overlaps else _cut_overlaps(notes)
    for start, end, note in sorted(spans):
        on = mido.Message("note_on", channel=part.channel, note=note.pitch, velocity=note.velocity)
        off = mido.Message("note_off", channel=part.channel, note=note.pitch, velocity=0)
        events += [(start, NOTE_ON, on), (end, NOTE_OFF, off)]
    return events


def midi_bytes(score: Score, *, hours: int = 0, keep_overlaps: bool = False) -> bytes:
    """Give a score as the bytes of a MIDI file: type 1, 480 ticks per quarter, text in UTF-8.

    Track 0 conducts: name, provenance (FF 01), timecode offset of `hours` where the frame rate is known (FF 54), 4/4,
    the exact tempo map, markers (FF 06) on the MIDI tick nearest to their seconds. The five parts follow, always all
    five and in the same order, so that takes of one film line up in a DAW; drums are on channel 10. Every track ends
    with the last bar, or later where a note still sounds.

    A note ends where the next of its pitch begins, so that none hangs; `keep_overlaps` leaves both as they are (readers
    then pair ends with beginnings in their order).
    """
    import mido

    tracks = [_conductor(score, hours)]
    tracks += [_part(score, instrument, keep_overlaps) for instrument in Instrument]
    end = max(score.ticks * STEP, *(event[0] for events in tracks for event in events))
    file = mido.MidiFile(type=1, ticks_per_beat=MIDI_TICKS_PER_QUARTER, charset="utf-8")
    file.tracks.extend(_track_messages(events, end) for events in tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


@takes_paths
def write_midi(score: Score, path: Path, *, hours: int = 0, keep_overlaps: bool = False) -> None:
    """Write a score as a MIDI file, as `midi_bytes` gives it. Raises `OutputError` where it cannot be written."""
    data = midi_bytes(score, hours=hours, keep_overlaps=keep_overlaps)
    with complete_path(path) as temporary:
        temporary.write_bytes(data)
