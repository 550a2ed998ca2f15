"""What a piece has by heart of the music learned from, in whatever key."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import numpy as np

from cmt_bridge.composition.codec import GridNotes
from cmt_bridge.training.measures.hashes import Numbers
from cmt_bridge.training.measures.runs import Run, Runs
from cmt_bridge.training.measures.windows import Windows

__all__ = ["Index"]

WINDOW: Final = 4  # bars
LONGEST_WINDOW: Final = 16


class Index:
    """The music learned from, ready to be searched; `pieces` are notes in word order and bars of each.

    What a search needs is computed when it is first asked for.
    """

    def __init__(self, pieces: Iterable[tuple[GridNotes, int]]) -> None:
        self._pieces = tuple(pieces)
        self._numbers: dict[int, Numbers] = {}

    def longest_run(self, notes: GridNotes) -> Run:
        """Return the longest run of successive notes that one of the pieces has too.

        Of a note count the ticks since the one before, the instrument, and the interval from the last note of that
        instrument or the key of a drum. So a run ends where an instrument enters that in the other piece has played
        before; `longest_window` does not.
        """
        return self._runs.longest(notes)

    def copied_share(self, notes: GridNotes, bars: int, *, length: int = WINDOW) -> float:
        """Return the share (0..1) of the piece's windows of `length` bars that one of the pieces has on a bar line too.

        Of a window count ticks, instruments and pitches, up to one transposition of all but drums. Windows with fewer
        than 16 notes or two instruments are left out; NaN where there is no other.
        """
        windows = Windows(notes, bars).telling(length)
        return float(np.isin(windows, self._of_length(length)).mean()) if len(windows) else math.nan

    def longest_window(self, notes: GridNotes, bars: int) -> int:
        """Return the bars of the longest such window that one of the pieces has too: 4 to 16, or 0 where there is none.

        It has 16 bars also where more are copied.
        """
        windows = Windows(notes, bars)
        for length in range(LONGEST_WINDOW, WINDOW - 1, -1):
            if np.isin(windows.telling(length), self._of_length(length)).any():
                return length
        return 0

    @cached_property
    def _runs(self) -> Runs:
        return Runs([notes for notes, _ in self._pieces])

    @cached_property
    def _windows(self) -> tuple[Windows, ...]:
        return tuple(Windows(notes, bars) for notes, bars in self._pieces)

    def _of_length(self, length: int) -> Numbers:
        if length not in self._numbers:
            parts = [windows.numbers(length) for windows in self._windows]
            self._numbers[length] = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
        return self._numbers[length]
