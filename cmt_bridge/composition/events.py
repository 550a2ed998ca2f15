"""From notes to events: the words of our own network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, simu_note_starts
from cmt_bridge.core.events import BAR_LINE, MOST_NOTES, SAME, EventRows, Field, duration_class, velocity_class
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["encode_events", "next_hits"]


def encode_events(notes: GridNotes, bars: int) -> EventRows:
    """Return the events of `bars` bars; `notes` are in word order and have at most `MOST_NOTES` in a simu-note.

    What is given and not heard (`TIMING` and after) stays 0.
    """
    onset = notes[:, Grid.ONSET]
    count = len(notes)
    starts = simu_note_starts(notes)
    heads = np.flatnonzero(starts)
    strength = np.diff(np.append(heads, count))
    group = np.cumsum(starts) - 1
    used = np.unique(onset)
    per_bar = np.bincount(used // TICKS_PER_BAR, minlength=bars)
    ends = np.cumsum(per_bar)
    after = ends[onset // TICKS_PER_BAR] - np.searchsorted(used, onset) - 1

    rows = np.zeros((bars + count, len(Field)), np.int64)
    lines, said = rows[:bars], rows[bars:]
    lines[:, Field.PLACE] = BAR_LINE
    lines[:, Field.DENSITY] = per_bar[:bars] + 1
    lines[:, Field.OWED_TICKS] = per_bar[:bars]
    lines[:, Field.POSITION] = np.arange(bars) * TICKS_PER_BAR
    tick = onset % TICKS_PER_BAR + 1
    said[:, Field.PLACE] = np.where(starts, tick, SAME)
    said[:, Field.INSTRUMENT] = notes[:, Grid.INSTRUMENT]
    if count:
        said[:, Field.STRENGTH] = strength[group]
        said[:, Field.OWED_NOTES] = strength[group] - 1 - (np.arange(count) - heads[group])
    said[:, Field.PITCH] = notes[:, Grid.PITCH] + 1
    said[:, Field.DURATION] = duration_class(notes[:, Grid.DURATION])
    said[:, Field.VELOCITY] = velocity_class(notes[:, Grid.VELOCITY])
    said[:, Field.POSITION] = onset
    said[:, Field.TICK] = tick
    said[:, Field.OWED_TICKS] = after
    place = np.concatenate([np.arange(bars) * TICKS_PER_BAR * 2, onset * 2 + 1])
    return rows[np.argsort(place, kind="stable")]


def next_hits(rows: EventRows, hits: npt.NDArray[np.int64]) -> None:
    """Fill in `HIT_IN` and `HIT_STRENGTH` for hits: strengths by tick since position 0, 0 where there is none.

    An event looks out for the first hit of its bar that is not before its own tick.
    """
    bars = -(-len(hits) // TICKS_PER_BAR)
    grid = np.zeros((bars, TICKS_PER_BAR), np.int64)
    grid.flat[: len(hits)] = hits
    ahead = np.full((bars, TICKS_PER_BAR + 1), TICKS_PER_BAR, np.int64)  # tick of the next hit, 16 for none
    for place in range(TICKS_PER_BAR - 1, -1, -1):
        ahead[:, place] = np.where(grid[:, place] > 0, place, ahead[:, place + 1])
    bar = rows[:, Field.POSITION] // TICKS_PER_BAR
    tick = np.maximum(rows[:, Field.TICK] - 1, 0)
    inside = (bar >= 0) & (bar < bars)
    found = np.where(inside, ahead[np.where(inside, bar, 0), tick], TICKS_PER_BAR)
    there = found < TICKS_PER_BAR
    rows[:, Field.HIT_IN] = np.where(there, found - tick + 1, 0)
    strength = grid[np.where(inside, bar, 0), np.where(there, found, 0)]
    rows[:, Field.HIT_STRENGTH] = np.where(there, np.minimum(strength, MOST_NOTES), 0)
