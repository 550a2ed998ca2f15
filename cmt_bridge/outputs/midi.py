"""MIDI files of scores."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_path
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Marker, Note, Score
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.midi.events import offset_event
from cmt_bridge.midi.provenance import provenance_values

__all__ = [
    "MIDI_TICKS_PER_QUARTER",
    "midi_bytes",
    "write_midi",
]

MIDI_TICKS_PER_QUARTER = 480
STEP = MIDI_TICKS_PER_QUARTER // TICKS_PER_QUARTER  # MIDI ticks of a sixteenth


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
    """Return (start, end, note) in MIDI ticks such that no two of one pitch sound at once.

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


def _conductor(score: Score) -> list[Event]:
    import mido

    def meta(kind: str, **values: Any) -> Any:
        return mido.MetaMessage(kind, **values)

    def sayable(text: str) -> str:
        return text.encode(errors="replace").decode()

    events: list[Event] = [(0, 0, meta("track_name", name=sayable(score.title) or "cmt-bridge"))]
    events.append((0, 1, meta("sequencer_specific", data=provenance_values(score.provenance))))
    counting = counting_of(score.frame_rate, score.timecode)
    if counting.is_known:
        events.append((0, 2, mido.MetaMessage.from_bytes(offset_event(counting))))
    events.append((0, 3, meta("time_signature", numerator=BEATS_PER_BAR, denominator=4)))
    events += [(change.tick * STEP, 4, meta("set_tempo", tempo=change.uspq)) for change in score.tempo_map.changes]
    events += [
        (_marker_tick(score, marker), 5, meta("marker", text=sayable(marker.text))) for marker in sorted(score.markers)
    ]
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


def midi_bytes(score: Score, *, keep_overlaps: bool = False) -> bytes:
    """Return a score as the bytes of a MIDI file: type 1, 480 ticks per quarter, text in UTF-8.

    Track 0 conducts: name, provenance (FF 7F), the film's timecode where its rate is known (FF 54), 4/4, the
    exact tempo map, markers (FF 06) on the MIDI tick nearest to their seconds. The five parts follow, always all
    five and in the same order, so that takes of one film line up in a DAW; drums are on channel 10. Every track ends
    with the last bar, or later where a note still sounds.

    A note ends where the next of its pitch begins, so that none hangs; `keep_overlaps` leaves both as they are (readers
    then pair ends with beginnings in their order).
    """
    import mido

    tracks = [_conductor(score)]
    tracks += [_part(score, instrument, keep_overlaps) for instrument in Instrument]
    end = max(score.ticks * STEP, *(event[0] for events in tracks for event in events))
    file = mido.MidiFile(type=1, ticks_per_beat=MIDI_TICKS_PER_QUARTER, charset="utf-8")
    file.tracks.extend(_track_messages(events, end) for events in tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


@takes_paths
def write_midi(score: Score, path: Path, *, keep_overlaps: bool = False) -> None:
    """Write a score as a MIDI file, as `midi_bytes` gives it. Raises `OutputError` where it cannot be written."""
    data = midi_bytes(score, keep_overlaps=keep_overlaps)
    with complete_path(path) as temporary:
        temporary.write_bytes(data)
