"""Successive notes that a piece shares with music learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.training.measures.hashes import Numbers, inverse, mixed, occurs, powers, sums

__all__ = ["Run", "Runs", "events_of"]

Integers = npt.NDArray[np.int64]

BASE = 0xD1342543DE82EF93  # odd; drawn once
SEED = 16  # events; all music shares shorter runs, and where the longest is longer these need not be looked at

# An event: ticks since the note before, the instrument, and how its pitch is told.
TICKS_SHIFT, INSTRUMENT_SHIFT = 12, 9
LONGEST_REST = 4095  # ticks that are told apart
FIRST = 0  # of its instrument
SAME_PITCH = 128  # the intervals lie around it
DRUM_KEY = 256  # and above it the keys of drums
GAP = 1 << 32  # between two pieces; each gap is another number


@dataclass(frozen=True, slots=True)
class Run:
    """The longest run of successive notes that a piece shares.

    It has `notes` notes from note `start` of the piece on, and `bars` from its first onset to its last; `piece` is the
    number of one that has it too, -1 where no note is shared.
    """

    notes: int
    bars: float
    start: int
    piece: int


def events_of(notes: GridNotes) -> Integers:
    """Return the events of notes in word order, whatever key they are in, shape (notes,).

    An event is how many ticks have gone since the note before, the instrument, and the interval from the last note of
    that instrument, or the key of a drum.
    """
    onset, instrument, pitch = (notes[:, c].astype(np.int64) for c in (Grid.ONSET, Grid.INSTRUMENT, Grid.PITCH))
    since = np.minimum(np.diff(onset, prepend=onset[:1]), LONGEST_REST)
    by_instrument = np.argsort(instrument, kind="stable")
    told = np.full(len(notes), FIRST, np.int64)
    follows = np.diff(instrument[by_instrument]) == 0
    told[by_instrument[1:][follows]] = SAME_PITCH + np.diff(pitch[by_instrument])[follows]
    told = np.where(instrument == Instrument.DRUMS, DRUM_KEY + pitch, told)
    return since << TICKS_SHIFT | instrument << INSTRUMENT_SHIFT | told


class Runs:
    """All runs of pieces; some 25 bytes a note."""

    def __init__(self, pieces: Sequence[GridNotes]) -> None:
        self._ends = np.cumsum([len(notes) + 1 for notes in pieces])
        gaps = mixed(GAP + np.arange(len(pieces)))
        parts = (np.append(mixed(events_of(notes)), gap) for notes, gap in zip(pieces, gaps, strict=True))
        self._events = _Events(np.concatenate([np.empty(0, np.uint64), *parts]))
        self._seeds = self._events.runs(np.arange(max(0, len(self._events) - SEED + 1)), SEED)

    def longest(self, notes: GridNotes) -> Run:
        """Return the longest run of successive notes that one of the pieces has too, as `events_of` tells them."""
        own = _Events(mixed(events_of(notes)))
        # Some run of `low` notes is shared, at `starts`, and none of `high`.
        low, starts, high = 0, np.arange(len(self._events)), SEED
        found = self._shared(own, starts, SEED) if len(own) >= SEED else starts[:0]
        while len(found):
            low, starts, high = high, found, 2 * high
            found = self._shared(own, starts, high)
        while high - low > 1:
            middle = (low + high) // 2
            found = self._shared(own, starts, middle)
            low, starts, high = (middle, found, high) if len(found) else (low, starts, middle)
        if not low:
            return Run(0, 0.0, 0, -1)
        there = starts[0]
        start = int(occurs(own.all_runs(low), self._events.runs(starts[:1], low))[0])
        ticks = int(notes[start + low - 1, Grid.ONSET] - notes[start, Grid.ONSET])
        return Run(low, ticks / TICKS_PER_BAR, start, int(np.searchsorted(self._ends, there, "right")))

    def _shared(self, own: _Events, starts: Integers, length: int) -> Integers:
        """Return those of `starts` from which `length` events are also some of `own`."""
        if length == SEED and len(starts) == len(self._events):
            return occurs(self._seeds, own.all_runs(length))
        starts = starts[starts + length <= len(self._events)]
        return starts[occurs(self._events.runs(starts, length), own.all_runs(length))]


class _Events:
    """Events one after another, and the number of every run of them."""

    def __init__(self, events: Numbers) -> None:
        self._sums = sums(events * powers(BASE, len(events)))
        self._inverses = powers(inverse(BASE), len(events) + 1)

    def __len__(self) -> int:
        return len(self._sums) - 1

    def runs(self, starts: Integers, length: int) -> Numbers:
        """Return the numbers of the runs of `length` events from `starts` on."""
        return (self._sums[starts + length] - self._sums[starts]) * self._inverses[starts]

    def all_runs(self, length: int) -> Numbers:
        return self.runs(np.arange(max(0, len(self) - length + 1)), length)
