"""MIDI files edited elsewhere, heard as five tracks.

Events stay the bytes they are, and notes are pairs of their numbers: what is not taken apart need not be put together
again. mido would forget when an unknown meta event comes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

from cmt_bridge.core.instruments import PARTS, Instrument, instrument_of
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Marker, Note, Track
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR, TICKS_PER_QUARTER, TempoMap
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import (
    CHANNEL_PREFIX,
    DRUM_CHANNEL,
    INSTRUMENT_NAME,
    MARKER,
    META,
    PROGRAM_CHANGE,
    SET_TEMPO,
    SYSEX,
    TIME_SIGNATURE,
    TRACK_NAME,
    Event,
    meta_values,
    strikes,
)
from cmt_bridge.midi.file import MidiFile, parsed, read_midi
from cmt_bridge.midi.line import Line
from cmt_bridge.midi.markers import markers_in
from cmt_bridge.midi.pairing import pairs
from cmt_bridge.midi.text import text_of

__all__ = ["Bars", "Edited", "EditedNote", "Event", "Part", "Place", "edited_of", "read_edited", "within"]

Bars = tuple[int, int]
"""The first bar from 0, and the one after the last."""

Place = tuple[int, int]
"""Track, and channel from 0."""

ALL_CHANNELS = -1


@dataclass(frozen=True, slots=True)
class EditedNote:
    """A note as it was played: `start` and `end` in file ticks; `on` and `off` number its events in its track.

    A note that nothing ends has the end that `pairing` gives it; its `off` is None.
    """

    track: int
    channel: int
    program: int
    instrument: Instrument | None
    pitch: int
    velocity: int
    start: int
    end: int
    on: int
    off: int | None

    @property
    def place(self) -> Place:
        return self.track, self.channel


@dataclass(frozen=True)
class Part:
    """Where an instrument is composed anew: some channels of a track.

    New notes come on `channel`, which is None in a track that is still empty.
    """

    track: int
    channels: frozenset[int]
    channel: int | None


@dataclass(frozen=True)
class Edited:
    """A MIDI file as it was edited: the events of its tracks, each to its end-of-track.

    `kind` is the type, 0 or 1. Running status is spelled out in the events.
    """

    path: Path
    kind: int
    ticks_per_quarter: int
    events: tuple[tuple[Event, ...], ...]

    @property
    def ticks_per_bar(self) -> int:
        """File ticks of a bar of 4/4."""
        return self.ticks_per_quarter * BEATS_PER_BAR

    @cached_property
    def tempo_map(self) -> TempoMap:
        """The tempos on the sixteenth grid.

        Every sixteenth begins when it does in the file: one within which the tempo changes has the mean of its tempos,
        to a microsecond per quarter.
        """
        starts = [tick * TICKS_PER_QUARTER for tick, _ in self.line.tempos]
        tempos = [uspq for _, uspq in self.line.tempos]
        spans = [(b - a) * tempo for (a, b), tempo in zip(pairwise(starts), tempos, strict=False)]
        passed = list(accumulate(spans, initial=0))

        def time(tick: int) -> int:
            at = tick * self.ticks_per_quarter
            index = bisect_right(starts, at) - 1
            return passed[index] + (at - starts[index]) * tempos[index]

        whole = {start // self.ticks_per_quarter for start in starts}
        grid = sorted(whole | {-(-start // self.ticks_per_quarter) for start in starts})
        means = [round((time(b) - time(a)) / ((b - a) * self.ticks_per_quarter)) for a, b in pairwise(grid)]
        return TempoMap.of(zip(grid, [*means, tempos[-1]], strict=True))

    @cached_property
    def line(self) -> Line:
        """When its ticks are."""
        stated = sorted(self._metas(SET_TEMPO), key=lambda each: each[0])
        uspq = [(tick, int.from_bytes(values[:3])) for tick, values in stated]
        return Line.of(self.ticks_per_quarter, [(tick, each) for tick, each in uspq if each])

    def markers(self, known: Iterable[Marker] = ()) -> tuple[Marker, ...]:
        """Return its markers, as `markers_in` does."""
        return markers_in(sorted((tick, text_of(text)) for tick, text in self._metas(MARKER)), self.line, known)

    @cached_property
    def bars(self) -> int:
        """The number of bars until the last event or note ends, or until the metre is another than 4/4."""
        other = self._other_metre
        if other is not None:
            return other[0] // self.ticks_per_bar
        ends = [-(-self.on_grid(events[-1][0]) // TICKS_PER_BAR) for events in self.events]
        onsets = [self.on_grid(note.start) // TICKS_PER_BAR + 1 for note in self.notes]
        return max((*ends, *onsets))

    @cached_property
    def notes(self) -> tuple[EditedNote, ...]:
        """Every note, by track and in the order in which they begin; those of one pitch end in that order too."""
        return tuple(note for track in range(len(self.events)) for note in self._notes_of(track))

    def check(self, bars: Sequence[Bars]) -> None:
        """Raise `MidiError` where bars to be composed anew are not all in 4/4, from the beginning of the file on."""
        other = self._other_metre
        if other is None or all(last * self.ticks_per_bar <= other[0] for _, last in bars):
            return
        tick, metre = other
        bar = tick // self.ticks_per_bar + 1
        where = "in the middle of" if tick % self.ticks_per_bar else "at"
        before = f"Give bars before bar {bar}, or export" if bar > 1 else "Export"
        raise MidiError(
            f"{self.path} has a time signature of {metre} {where} bar {bar}, and bars are counted in 4/4.",
            hint=f"{before} it in 4/4.",
        )

    def tracks(
        self, bars: Sequence[Bars] = (), instruments: Sequence[Instrument] = tuple(Instrument)
    ) -> tuple[Track, ...]:
        """Return what is heard, on the sixteenth grid: the five tracks of a score, empty ones too.

        Onsets and ends round to the nearest tick, halves to the even one; a note lasts a tick or more. Of equal notes
        of an instrument on one tick the longest stays. Notes after `Edited.bars` are left out.

        `bars` and `instruments` say what is to be composed anew: a note played a little early for the first of such
        bars is none of them and stays, so it is heard a tick before them and sounds into them.
        """
        heard: dict[Instrument, dict[tuple[int, int], Note]] = {instrument: {} for instrument in Instrument}
        for note in self.notes:
            if note.instrument is None:
                continue
            onset, end = self.on_grid(note.start), self.on_grid(note.end)
            if note.instrument in instruments and within(bars, onset, TICKS_PER_BAR):
                onset -= 0 if within(bars, note.start, self.ticks_per_bar) else 1
            if onset >= self.bars * TICKS_PER_BAR:
                continue
            found = Note(onset, note.pitch, max(1, end - onset), note.velocity)
            same = heard[note.instrument].get((onset, note.pitch))
            if same is None or same.duration < found.duration:
                heard[note.instrument][onset, note.pitch] = found
        return tuple(Track(i, self._program(i), tuple(notes.values())) for i, notes in heard.items())

    def part(self, instrument: Instrument) -> Part | None:
        """Return the part of an instrument that is composed anew, or None where no track plays it.

        It is the track named exactly like the instrument, else the channel of a track with the most notes, else a
        track of that name that is still empty.
        """
        counts: Counter[Place] = Counter()
        channels: dict[Place, Counter[int]] = defaultdict(Counter)
        for note in self.notes:
            if note.instrument is instrument:
                exact = _is_named(self._name(*note.place), instrument)
                place = note.track, ALL_CHANNELS if exact else note.channel
                counts[place] += 1
                channels[place][note.channel] += 1
        if counts:
            best = max(counts, key=lambda place: (place[1] == ALL_CHANNELS, counts[place]))
            return Part(best[0], frozenset(channels[best]), channels[best].most_common(1)[0][0])
        return self._empty_part(instrument)

    def plays(self, part: Part, instrument: Instrument, tick: int) -> bool:
        """Return whether a part is an instrument's after the events of a file tick."""
        if part.channel is None:
            return True
        place = part.track, part.channel
        changes = self._programs.get(place, ())
        index = bisect_right(changes, tick, key=lambda change: change[0])
        return self._instrument(place, changes[index - 1][1] if index else 0) is instrument

    @cached_property
    def used_channels(self) -> frozenset[int]:
        """The channels on which anything happens."""
        return frozenset(data[0] & 0xF for events in self.events for _, data in events if data[0] < SYSEX)

    def tick(self, sixteenths: int) -> int:
        """Return the file tick nearest to a tick of the grid."""
        return round(sixteenths * self.ticks_per_quarter / TICKS_PER_QUARTER)

    def on_grid(self, tick: int) -> int:
        """Return the tick of the grid nearest to a file tick, of two the even one."""
        return round(tick * TICKS_PER_QUARTER / self.ticks_per_quarter)

    def _metas(self, kind: int) -> Iterator[tuple[int, bytes]]:
        """Yield the file tick and the values of every meta event of a kind, track by track."""
        for events in self.events:
            for tick, data in events:
                if data[0] == META and data[1] == kind:
                    yield tick, meta_values(data)

    @cached_property
    def _other_metre(self) -> tuple[int, str] | None:
        """The file tick from which on bars are not those of 4/4, and the metre there."""
        metres = {tick: (values[0], 1 << values[1]) for tick, values in self._metas(TIME_SIGNATURE)}
        for tick, (numerator, denominator) in sorted(metres.items()):
            if numerator != denominator or tick % self.ticks_per_bar:
                return tick, f"{numerator}/{denominator}"
        return None

    @cached_property
    def _names(self) -> tuple[dict[int, str], ...]:
        """The names in each track by channel, under `ALL_CHANNELS` that of the track; the last one holds."""
        return tuple(_names(events) for events in self.events)

    @cached_property
    def _nameless(self) -> frozenset[int]:
        """The channels of the one track of type 0 that play and have no name of their own."""
        return frozenset(data[0] & 0xF for _, data in self.events[0] if strikes(data)) - self._names[0].keys()

    def _name(self, track: int, channel: int) -> str:
        """Return the name of a channel of a track.

        The name of a track of type 0 is that of the piece, unless one channel alone could bear it.
        """
        names = self._names[track]
        if self.kind or len(self._nameless) == 1:
            return names.get(channel, names.get(ALL_CHANNELS, ""))
        return names.get(channel, "")

    def _instrument(self, place: Place, program: int) -> Instrument | None:
        return instrument_of(program, is_drum=place[1] == DRUM_CHANNEL, name=self._name(*place))

    @cached_property
    def _programs(self) -> dict[Place, list[tuple[int, int]]]:
        """The program changes of each channel of a track as (file tick, program), in order."""
        found = defaultdict(list)
        for track, events in enumerate(self.events):
            for tick, data in events:
                if data[0] & 0xF0 == PROGRAM_CHANGE:
                    found[track, data[0] & 0xF].append((tick, data[1]))
        return found

    def _notes_of(self, track: int) -> list[EditedNote]:
        events = self.events[track]
        programs: dict[int, int] = {}
        instruments: dict[int, Instrument | None] = {}
        begun: dict[int, tuple[int, Instrument | None]] = {}
        for number, (_, data) in enumerate(events):
            kind, channel = data[0] & 0xF0, data[0] & 0xF
            if kind == PROGRAM_CHANGE:
                programs[channel] = data[1]
                instruments.pop(channel, None)
            elif strikes(data):
                program = programs.get(channel, 0)
                if channel not in instruments:
                    instruments[channel] = self._instrument((track, channel), program)
                begun[number] = program, instruments[channel]
        return [
            EditedNote(
                track=track,
                channel=events[pair.on][1][0] & 0xF,
                program=begun[pair.on][0],
                instrument=begun[pair.on][1],
                pitch=events[pair.on][1][1],
                velocity=events[pair.on][1][2],
                start=events[pair.on][0],
                end=pair.end,
                on=pair.on,
                off=pair.off,
            )
            for pair in pairs(events)
        ]

    def _empty_part(self, instrument: Instrument) -> Part | None:
        playing = {note.track for note in self.notes}
        for track, names in enumerate(self._names):
            if self.kind and track not in playing and _is_named(names.get(ALL_CHANNELS, ""), instrument):
                channels = [data[0] & 0xF for _, data in self.events[track] if data[0] < SYSEX]
                return Part(track, frozenset(channels), channels[0] if channels else None)
        return None

    def _program(self, instrument: Instrument) -> int:
        part = self.part(instrument)
        for note in self.notes:
            if part and note.track == part.track and note.channel == part.channel and note.instrument is instrument:
                return note.program
        return PARTS[instrument].program


@takes_paths
def read_edited(path: Path) -> Edited:
    """Read a MIDI file, type 0 or 1, any resolution, with all its events.

    What comes after an end-of-track and chunks that are no tracks are not kept. Raises `MidiError` where the file
    cannot be read, is damaged or has no tracks.
    """
    file = read_midi(path)
    if not file.tracks:
        raise MidiError(f"{path} has no tracks.", hint="Export it again.")
    return _edited(file, path)


@takes_paths
def edited_of(data: bytes, path: Path) -> Edited:
    """Return the events of the bytes of a MIDI file, such as `spliced` gives; `path` names them."""
    return _edited(parsed(data, path), path)


def _edited(file: MidiFile, path: Path) -> Edited:
    return Edited(path, file.kind, file.division, tuple(track.events for track in file.tracks))


def within(bars: Iterable[Bars], tick: int, ticks_per_bar: int) -> bool:
    """Return whether a tick lies in one of some bars."""
    bar = tick // ticks_per_bar
    return any(first <= bar < last for first, last in bars)


def _is_named(name: str, instrument: Instrument) -> bool:
    return name.strip().upper() == instrument.name


def _names(events: Iterable[Event]) -> dict[int, str]:
    names: dict[int, str] = {}
    channel = ALL_CHANNELS
    for _, data in events:
        if data[0] != META:
            channel = ALL_CHANNELS  # a prefix holds until the next event that is played
        elif data[1] == CHANNEL_PREFIX:
            channel = next(iter(meta_values(data)), ALL_CHANNELS)
        elif data[1] == TRACK_NAME or (data[1] == INSTRUMENT_NAME and channel != ALL_CHANNELS):
            names[channel] = text_of(meta_values(data))
    return names
