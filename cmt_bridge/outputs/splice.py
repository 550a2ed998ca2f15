"""Bars of an edited MIDI file, composed anew among events that stay the bytes they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import inf

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Note
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import (
    CHANNEL_PREFIX,
    CHANNELS,
    DRUM_CHANNEL,
    END_OF_TRACK,
    INSTRUMENT_NAME,
    MAX_TRACKS,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM_CHANGE,
    TRACK_NAME,
    Event,
    chunk_of,
    file_of,
    meta_event,
    releases,
)
from cmt_bridge.midi.exclusive import joined
from cmt_bridge.outputs.edited import Bars, Edited, EditedNote, Place, within

__all__ = ["spliced"]

ENDS, STAYS, SETS_UP, BEGINS, CLOSES = range(5)
"""The order of events on a tick: what is new ends before anything that stays and begins after it."""

Ranked = tuple[int, int, bytes]
"""File tick, rank, message."""

Span = tuple[int, int, int, int]
"""Pitch, first file tick, length negated, velocity: sorted, the longest of equal notes comes first."""


def spliced(
    edited: Edited,
    new: Iterable[tuple[Instrument, Note]],
    bars: Sequence[Bars],
    instruments: Sequence[Instrument] = tuple(Instrument),
) -> bytes:
    """Return an edited MIDI file whose notes of some instruments within some bars are the new ones.

    A note is replaced if its part is the one composed anew (`Edited.part`) and its onset lies in the bars, both as it
    was played and on the grid. Every other event stays at its tick, in its order, byte for byte; but an end-of-track
    moves where a new note ends later, and a system exclusive in packets is put together, since hosts fail at those.

    Of `new` those of the instruments that begin within the bars are taken, on the grid and on the channel of their
    part; they end with their bars. A new note is left out where a note of its track, channel and pitch sounds already,
    and ends where the next one begins. What no track plays comes in a track of its own, in type 0 on a channel of its
    own. Raises `MidiError` where the bars are not in 4/4, or no channel or track is left.
    """
    edited.check(bars)
    wanted: dict[Instrument, list[Note]] = {instrument: [] for instrument in Instrument if instrument in instruments}
    for instrument, note in new:
        if instrument in wanted and within(bars, note.onset, TICKS_PER_BAR):
            wanted[instrument].append(note)
    splice = _Splice(edited, bars, list(wanted))
    for instrument, notes in wanted.items():
        if notes:
            splice.add(instrument, notes)
    return splice.data()


class _Splice:
    """The tracks of a file that is being put together."""

    def __init__(self, edited: Edited, bars: Sequence[Bars], instruments: Sequence[Instrument]) -> None:
        self._edited = edited
        self._bars = bars
        self._taken = set(edited.used_channels)
        self._parts = {instrument: edited.part(instrument) for instrument in instruments}
        self._kept: dict[tuple[Place, int], list[tuple[int, float]]] = defaultdict(list)
        gone: set[tuple[int, int | None]] = set()
        ends = {(note.track, note.off) for note in edited.notes}
        for note in edited.notes:
            if self._is_replaced(note):
                gone |= {(note.track, note.on), (note.track, note.off)}
            else:
                end = inf if note.off is None else note.end  # new notes may move the end of the track
                self._kept[note.place, note.pitch].append((note.start, end))
        self._tracks: list[list[Ranked]] = []
        for track, events in enumerate(edited.events):
            staying: list[Ranked] = []
            for number, (tick, data) in enumerate(events):
                if (track, number) in gone:
                    continue
                staying.append((tick, STAYS if number < len(events) - 1 else CLOSES, data))
                if releases(data) and (track, number) not in ends:
                    # A stray end would end a new note, as a note that begins there does.
                    self._kept[(track, data[0] & 0xF), data[1]].append((tick, tick))
            *before, closing = staying
            whole = joined((tick, data) for tick, _, data in before)
            self._tracks.append([*((tick, STAYS, data) for tick, data in whole), closing])

    def _is_replaced(self, note: EditedNote) -> bool:
        part = None if note.instrument is None else self._parts.get(note.instrument)
        return (
            part is not None
            and note.track == part.track
            and note.channel in part.channels
            and within(self._bars, note.start, self._edited.ticks_per_bar)
            and within(self._bars, self._edited.on_grid(note.start), TICKS_PER_BAR)
        )

    def add(self, instrument: Instrument, notes: Iterable[Note]) -> None:
        """Add the new notes of an instrument: to its part where that plays it, else to a new one."""
        part = self._parts[instrument]
        away = sorted(map(self._span, notes))
        if part is not None:
            here = [span for span in away if self._edited.plays(part, instrument, span[1])]
            away = [span for span in away if not self._edited.plays(part, instrument, span[1])]
            if here:
                channel = self._set_up(instrument, part.track) if part.channel is None else part.channel
                self._put(part.track, channel, here)
        if away:
            track = self._new_track(instrument) if self._edited.kind else 0
            self._put(track, self._set_up(instrument, track), away)

    def _new_track(self, instrument: Instrument) -> int:
        if len(self._tracks) == MAX_TRACKS:
            raise MidiError(
                f"{self._edited.path} has no track left for {instrument.title}.", hint="Export it with fewer tracks."
            )
        end = max(events[-1][0] for events in self._edited.events)
        name = meta_event(TRACK_NAME, instrument.title.encode())
        self._tracks.append([(0, SETS_UP, name), (end, CLOSES, meta_event(END_OF_TRACK))])
        return len(self._tracks) - 1

    def _set_up(self, instrument: Instrument, track: int) -> int:
        """Set up a channel of a track for an instrument, in type 0 with the channel's name; return it."""
        channel = self._free_channel(instrument)
        self._taken.add(channel)
        events = [bytes((PROGRAM_CHANGE | channel, PARTS[instrument].program))]
        if not self._edited.kind:
            name = meta_event(INSTRUMENT_NAME, instrument.title.encode())
            events = [meta_event(CHANNEL_PREFIX, bytes((channel,))), name, *events]
        self._tracks[track] += [(0, SETS_UP, data) for data in events]
        return channel

    def _free_channel(self, instrument: Instrument) -> int:
        own = PARTS[instrument].channel
        for channel in (own, *reversed(range(CHANNELS))):
            if channel not in self._taken and (channel == own or channel != DRUM_CHANNEL):
                return channel
        if self._edited.kind:
            return own
        raise MidiError(f"{self._edited.path} has no channel left for {instrument.title}.", hint="Export it as type 1.")

    def _span(self, note: Note) -> Span:
        """Lay a note on the file's ticks, within its bars."""
        bar = note.onset // TICKS_PER_BAR
        last = next(last for first, last in self._bars if first <= bar < last) * self._edited.ticks_per_bar
        start = min(self._edited.tick(note.onset), last - 1)
        end = min(max(self._edited.tick(note.end), start + 1), last)
        return note.pitch, start, start - end, max(1, note.velocity)

    def _put(self, track: int, channel: int, spans: Sequence[Span]) -> None:
        """Add new notes to a channel of a track; `spans` are sorted."""
        free: list[tuple[int, int, int, int]] = []
        for pitch, start, length, velocity in spans:
            kept = self._kept[(track, channel), pitch]
            struck = free and free[-1][:2] == (pitch, start)
            if not struck and not any(first <= start < last for first, last in kept):
                end = min((start - length, *(first for first, _ in kept if first > start)))
                free.append((pitch, start, end, velocity))
        for number, (pitch, start, end, velocity) in enumerate(free):
            if number + 1 < len(free) and free[number + 1][0] == pitch:
                end = min(end, free[number + 1][1])
            on, off = bytes((NOTE_ON | channel, pitch, velocity)), bytes((NOTE_OFF | channel, pitch, 0))
            self._tracks[track] += [(start, BEGINS, on), (end, ENDS, off)]

    def data(self) -> bytes:
        """Return the file."""
        chunks = [chunk_of(_in_order(events)) for events in self._tracks]
        return file_of(self._edited.kind, self._edited.ticks_per_quarter, chunks)


def _in_order(events: Iterable[Ranked]) -> list[Event]:
    """Return the events of a track in order; those of one tick and rank stay in theirs, the end-of-track comes last."""
    *before, last = sorted(events, key=lambda event: (event[1] == CLOSES, event[:2]))
    end = max(tick for tick, _, _ in (*before, last))
    return [*((tick, message) for tick, _, message in before), (end, last[2])]
