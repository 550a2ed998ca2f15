"""Between notes and compound words, both ways.

Notes lie on the sixteenth grid as an int64 array of shape (notes, 5), columns as in `Grid`. The order of rows is the
order of the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.events import duration_class, velocity_class
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Note, Track
from cmt_bridge.core.song import Song
from cmt_bridge.core.tempo import TICKS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.core.tokens import BAR, COLUMNS, DURATIONS, VELOCITY_STEP, Column, TokenRows, Type

__all__ = [
    "Grid",
    "GridNotes",
    "bars_of",
    "decode",
    "dedupe",
    "encode",
    "grid_of",
    "in_word_order",
    "quantize",
    "simu_note_starts",
    "tracks_of",
]

GridNotes = npt.NDArray[np.int64]
"""Shape (notes, 5), columns as in `Grid`."""


class Grid(IntEnum):
    """The columns of a note on the grid; onset and duration in ticks (sixteenths)."""

    ONSET = 0
    INSTRUMENT = 1
    PITCH = 2
    DURATION = 3
    VELOCITY = 4


MAX_DURATION = TICKS_PER_BAR
UNKNOWN_VELOCITY = 80
_TICKS = np.array((-1, *DURATIONS))  # of a duration class


def quantize(
    song: Song, *, least_notes: int = 0, tidy: bool = True, longest: int = MAX_DURATION
) -> tuple[GridNotes, int]:
    """Lay a song on the sixteenth grid; return its notes in word order and its length in ticks.

    Onsets and ends round to the nearest tick, halves to the even one; tempo and metre are not looked at. Tracks of at
    most `least_notes` notes, and those no instrument plays, are left out but count for the length. A note lasts
    `longest` ticks at most.

    `tidy` gives clean words: every note lasts at least one tick, of equal notes of an instrument on one tick the
    longest stays, and instruments come in their own order. Without it the words are those of the original: notes of a
    tick in the order of tracks, unquantised onset and pitch.
    """
    parts: list[GridNotes] = []
    length = 0
    for number, track in enumerate(song.tracks):
        if not len(track.notes):
            continue
        ticks = np.rint(track.notes[:, :2] * TICKS_PER_QUARTER / song.ticks_per_quarter).astype(np.int64)
        length = max(length, int(ticks[:, 1].max()))
        if track.instrument is None or len(track.notes) <= least_notes:
            continue
        part = np.empty((len(ticks), 7), np.int64)
        part[:, Grid.ONSET] = ticks[:, 0]
        part[:, Grid.INSTRUMENT] = track.instrument
        part[:, Grid.PITCH] = track.notes[:, 2]
        part[:, Grid.DURATION] = np.clip(ticks[:, 1] - ticks[:, 0], int(tidy), longest)
        part[:, Grid.VELOCITY] = track.notes[:, 3]
        part[:, 5] = number
        part[:, 6] = track.notes[:, 0]
        parts.append(part)
    if not parts:
        return np.empty((0, len(Grid)), np.int64), length
    notes = np.concatenate(parts)
    if not tidy:
        order = np.lexsort((notes[:, Grid.PITCH], notes[:, 6], notes[:, 5], notes[:, Grid.ONSET]))
        return notes[order, : len(Grid)], length
    return dedupe(notes[:, : len(Grid)]), length


def dedupe(notes: GridNotes) -> GridNotes:
    """Return notes in word order; of equal ones of an instrument on one tick the longest stays."""
    keys = (-notes[:, Grid.DURATION], notes[:, Grid.PITCH], notes[:, Grid.INSTRUMENT], notes[:, Grid.ONSET])
    notes = notes[np.lexsort(keys)]
    first = np.ones(len(notes), bool)
    first[1:] = (notes[1:, : Grid.DURATION] != notes[:-1, : Grid.DURATION]).any(axis=1)
    return notes[first]


def in_word_order(notes: GridNotes) -> GridNotes:
    """Return notes by onset, instrument and pitch, in the order of the words."""
    return notes[np.lexsort((notes[:, Grid.PITCH], notes[:, Grid.INSTRUMENT], notes[:, Grid.ONSET]))]


def bars_of(length: int) -> int:
    """Return the number of bars that a piece of `length` ticks takes: one more where it ends on a bar line."""
    return (length + 1 + TICKS_PER_BAR - 1) // TICKS_PER_BAR


def simu_note_starts(notes: GridNotes) -> npt.NDArray[np.bool_]:
    """Return which notes, in word order, are the first of a simu-note: another instrument or tick than the one
    before.
    """
    starts = np.ones(len(notes), bool)
    starts[1:] = (notes[1:, : Grid.PITCH] != notes[:-1, : Grid.PITCH]).any(axis=1)
    return starts


def encode(notes: GridNotes, bars: int, *, rich: bool = False) -> TokenRows:
    """Return the words of `bars` bars; `notes` are in word order. No EOS; the timing column stays 0.

    Notes of one instrument that follow each other on one tick make one simu-note. The beat word's strength is uncapped,
    a note's duration at most a bar. `rich` words are for networks that know more: longer durations, and velocities.
    """
    onset = notes[:, Grid.ONSET]
    starts = simu_note_starts(notes)
    heads = np.flatnonzero(starts)
    strength = np.diff(np.append(heads, len(notes)))

    used = np.unique(onset)
    density = np.bincount(used // TICKS_PER_BAR, minlength=bars)[:bars]
    # How many simu-note ticks remain in the bar from each used tick on, that tick included.
    ends = np.cumsum(np.bincount(used // TICKS_PER_BAR, minlength=bars))
    remaining = ends[used // TICKS_PER_BAR] - np.arange(len(used))

    bar_rows = np.zeros((bars, COLUMNS), np.int64)
    bar_rows[:, Column.BEAT] = BAR
    bar_rows[:, Column.TYPE] = Type.RHYTHM
    bar_rows[:, Column.DENSITY] = density + 1
    bar_rows[:, Column.POSITION] = np.arange(bars) * TICKS_PER_BAR

    beat_rows = np.zeros((len(heads), COLUMNS), np.int64)
    beat_rows[:, Column.BEAT] = onset[heads] % TICKS_PER_BAR + 1
    beat_rows[:, Column.TYPE] = Type.RHYTHM
    beat_rows[:, Column.DENSITY] = remaining[np.searchsorted(used, onset[heads])]
    beat_rows[:, Column.INSTRUMENT] = notes[heads, Grid.INSTRUMENT]
    beat_rows[:, Column.STRENGTH] = strength
    beat_rows[:, Column.POSITION] = onset[heads]

    note_rows = np.zeros((len(notes), COLUMNS), np.int64)
    note_rows[:, Column.TYPE] = Type.NOTE
    note_rows[:, Column.PITCH] = notes[:, Grid.PITCH] + 1
    note_rows[:, Column.DURATION] = np.minimum(notes[:, Grid.DURATION], MAX_DURATION) + 1
    if rich:
        note_rows[:, Column.DURATION] = duration_class(notes[:, Grid.DURATION])
        note_rows[:, Column.VELOCITY] = velocity_class(notes[:, Grid.VELOCITY])
    note_rows[:, Column.INSTRUMENT] = notes[:, Grid.INSTRUMENT]
    note_rows[:, Column.POSITION] = onset

    rows = np.concatenate([bar_rows, beat_rows, note_rows])
    group = np.cumsum(starts)
    kind = np.repeat([0, 1, 2], [len(bar_rows), len(beat_rows), len(note_rows)])
    member = np.concatenate([np.zeros(bars, np.int64), np.arange(len(heads)) + 1, group])
    return rows[np.lexsort((kind, member, rows[:, Column.POSITION]))]


def decode(rows: TokenRows) -> GridNotes:
    """Return the notes of token rows, in word order; a note word without a beat word before it is left out.

    A velocity that is not known is 80.

    The bar is counted from bar words, the tick is that of the last beat word: computed positions are not needed.
    """
    beat = rows[:, Column.BEAT]
    is_note = rows[:, Column.TYPE] == Type.NOTE
    is_bar = (rows[:, Column.TYPE] == Type.RHYTHM) & (beat == BAR)
    is_beat = (rows[:, Column.TYPE] == Type.RHYTHM) & (beat >= 1) & (beat < BAR)
    bar = np.cumsum(is_bar) - 1
    last_beat = np.maximum.accumulate(np.where(is_beat, np.arange(len(rows)), -1))
    rooted = is_note & (last_beat >= 0) & (bar >= 0) & (rows[:, Column.INSTRUMENT] > 0) & (rows[:, Column.PITCH] > 0)
    notes = np.empty((int(rooted.sum()), len(Grid)), np.int64)
    notes[:, Grid.ONSET] = bar[last_beat[rooted]] * TICKS_PER_BAR + beat[last_beat[rooted]] - 1
    notes[:, Grid.INSTRUMENT] = rows[rooted, Column.INSTRUMENT]
    notes[:, Grid.PITCH] = rows[rooted, Column.PITCH] - 1
    notes[:, Grid.DURATION] = _TICKS[rows[rooted, Column.DURATION]]
    said = rows[rooted, Column.VELOCITY]
    notes[:, Grid.VELOCITY] = np.where(said > 0, (said - 1) * VELOCITY_STEP + VELOCITY_STEP // 2, UNKNOWN_VELOCITY)
    return notes


def tracks_of(notes: GridNotes) -> tuple[Track, ...]:
    """Return the five tracks of a score in the order of instruments, empty ones too; a note lasts a tick or more."""
    return tuple(
        Track(
            instrument,
            PARTS[instrument].program,
            tuple(
                Note(int(onset), int(pitch), max(1, int(duration)), int(velocity))
                for onset, _, pitch, duration, velocity in notes[notes[:, Grid.INSTRUMENT] == instrument]
            ),
        )
        for instrument in Instrument
    )


def grid_of(tracks: Sequence[Track]) -> GridNotes:
    """Return the notes of a score's tracks in word order."""
    rows = [(n.onset, t.instrument, n.pitch, n.duration, n.velocity) for t in tracks for n in t.notes]
    return in_word_order(np.array(rows, np.int64).reshape(-1, len(Grid)))
