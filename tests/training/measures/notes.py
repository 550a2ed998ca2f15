"""Notes for tests of measures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument

NO_NOTES: GridNotes = np.empty((0, len(Grid)), np.int64)


def grid(*notes: tuple[int, int, int] | tuple[int, int, int, int]) -> GridNotes:
    """Give notes (onset, instrument, pitch, duration or 1) in word order."""
    rows = np.array([(*(*note, 1)[:4], 80) for note in notes], np.int64)
    return in_order(rows)


def in_order(notes: GridNotes) -> GridNotes:
    return notes[np.lexsort((notes[:, Grid.PITCH], notes[:, Grid.INSTRUMENT], notes[:, Grid.ONSET]))]


def chain(parts: Iterable[tuple[GridNotes, int]]) -> tuple[GridNotes, int]:
    """Give pieces one after another."""
    moved, bars = [NO_NOTES], 0
    for notes, length in parts:
        moved.append(notes + np.array([bars * 16, 0, 0, 0, 0]))
        bars += length
    return np.concatenate(moved), bars


def transposed(notes: GridNotes, by: int) -> GridNotes:
    moved = notes.copy()
    moved[notes[:, Grid.INSTRUMENT] != Instrument.DRUMS, Grid.PITCH] += by
    return moved


def band(rng: np.random.Generator, bars: int) -> GridNotes:
    """Give random eighths of drums, piano and bass."""
    ticks = np.arange(0, bars * 16, 2)
    parts = [
        np.stack([ticks, np.full_like(ticks, i), low + rng.integers(0, 12, len(ticks)), ticks * 0 + 2, ticks * 0 + 80])
        for i, low in ((Instrument.DRUMS, 36), (Instrument.PIANO, 60), (Instrument.BASS, 36))
    ]
    return in_order(np.concatenate(parts, axis=1).T)
