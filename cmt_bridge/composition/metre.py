"""The metre of a song: where its bars stand, and which of it is in 4/4.

The grid knows bars of 16 sixteenths only. So what stands in another metre is left out, and what is in 4/4 is counted
from its own time signature.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, quantize
from cmt_bridge.core.song import Song
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR, TICKS_PER_QUARTER

__all__ = ["LONGEST_SILENCE", "Stretch", "bars_until", "four_four", "passages", "stretches"]

LONGEST_SILENCE = 4  # bars without an onset; what follows a longer one is music of its own


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a song in one metre: from file tick `start` to before `end`, `ticks` sixteenths long.

    `is_pick_up` tells that it is shorter than a 4/4 bar and one in 4/4 comes right after.
    """

    start: int
    end: int
    ticks: int
    numerator: int
    denominator: int
    is_pick_up: bool = False

    @property
    def is_four_four(self) -> bool:
        """Return whether its bars have 16 sixteenths: 4/4, 2/2, 8/8."""
        return self.numerator == self.denominator


def stretches(song: Song) -> tuple[Stretch, ...]:
    """Return the stretches of a song in order, without gaps, from its start to the end of its last note.

    4/4 is what a file means that states no metre. A signature that repeats 4/4 on a bar line begins nothing new; off
    the bar line it does, since bars are counted from it.
    """
    end = _end(song)
    signs = {0: (BEATS_PER_BAR, 4)} | {tick: (numerator, denominator) for tick, numerator, denominator in song.metres}
    starts = [tick for tick in sorted(signs) if tick < end or not tick]
    found: list[Stretch] = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        new = Stretch(start, stop, _ticks(stop - start, song), *signs[start])
        last = found[-1] if found else None
        if last and last.is_four_four and new.is_four_four and last.ticks and last.ticks % TICKS_PER_BAR == 0:
            found[-1] = replace(last, end=stop, ticks=_ticks(stop - last.start, song))
        else:
            found.append(new)
    return tuple(
        replace(stretch, is_pick_up=stretch.ticks < TICKS_PER_BAR and following is not None and following.is_four_four)
        for stretch, following in zip(found, [*found[1:], None], strict=True)
    )


def _end(song: Song) -> int:
    return max((int(track.notes[:, 1].max()) for track in song.tracks if len(track.notes)), default=0)


def _ticks(file_ticks: int, song: Song) -> int:
    return round(file_ticks * TICKS_PER_QUARTER / song.ticks_per_quarter)


def four_four(song: Song, *, longest: int) -> Iterator[GridNotes]:
    """Yield each 4/4 stretch of a song on the grid, its first tick a bar line; no note lasts more than `longest` ticks.

    Notes that sound over the end of a stretch are cut there. A pick-up stands at the end of a bar of its own before
    the first.
    """
    before: Stretch | None = None
    for stretch in stretches(song):
        if stretch.is_four_four and not stretch.is_pick_up:
            yield _laid(song, stretch, before if before is not None and before.is_pick_up else None, longest)
        before = stretch


def _laid(song: Song, stretch: Stretch, pick_up: Stretch | None, longest: int) -> GridNotes:
    first = -pick_up.ticks if pick_up else 0
    shift = BEATS_PER_BAR * song.ticks_per_quarter * (pick_up is not None) - stretch.start

    margin = song.ticks_per_quarter  # further than rounding moves a note
    earliest = stretch.start + first * song.ticks_per_quarter // TICKS_PER_QUARTER - margin

    def part(notes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        until = len(notes) if stretch.end == end else bisect_left(notes[:, 0], stretch.end + margin)
        notes = notes[bisect_left(notes[:, 0], earliest) : until]
        # What is played a little early belongs to the bar line that it means.
        ticks = np.rint((notes[:, 0] - stretch.start) * TICKS_PER_QUARTER / song.ticks_per_quarter)
        chosen = notes[(ticks >= first) & ((ticks < stretch.ticks) | (stretch.end == end))].copy()
        chosen[:, 1] = np.minimum(chosen[:, 1], stretch.end)
        chosen[:, :2] += shift
        return chosen

    end = _end(song)
    tracks = tuple(replace(track, notes=part(track.notes)) for track in song.tracks)
    notes, _ = quantize(replace(song, tracks=tracks, tempos=(), metres=()), longest=longest)
    return notes


def passages(notes: GridNotes) -> Iterator[GridNotes]:
    """Part notes where more than `LONGEST_SILENCE` bars have no onset; each part begins in its first bar.

    A long silence parts two pieces of music (medleys, hidden tracks); to shorten it instead would join what nobody
    played in a row. Empty bars before the first onset go.
    """
    bars = notes[:, Grid.ONSET] // TICKS_PER_BAR
    used = np.unique(bars)
    firsts = used[np.diff(used, prepend=-2 * LONGEST_SILENCE) > LONGEST_SILENCE + 1].tolist()
    for first, following in zip(firsts, [*firsts[1:], None], strict=False):
        part = notes[(bars >= first) & (following is None or bars < following)].copy()
        part[:, Grid.ONSET] -= first * TICKS_PER_BAR
        yield part


def bars_until(notes: GridNotes) -> int:
    """Return the number of bars until the last note ends."""
    end = int((notes[:, Grid.ONSET] + notes[:, Grid.DURATION]).max()) if len(notes) else 0
    return -(-end // TICKS_PER_BAR)
