"""The sheet: every bar as it is to be played at the moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from cmt_bridge.core.instruments import PARTS
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["Entries", "Notes", "Sheet"]

Notes = list[list[int]]
"""Tick, duration, channel, pitch, velocity of each note of a bar."""

Entries = list[list[Any]]
"""Notes, with the velocity of their end, and other messages of a bar as tick and hex, in the order they come in."""

MOST_BARS: Final = 1024
"""Kept of a piece without an end: as many as the player keeps."""


class Sheet:
    """Bars by number, from 0, and how many the piece has; None where that is open."""

    def __init__(self) -> None:
        self.bars: dict[int, Entries] = {}
        self.length: int | None = None
        self._stale: int | None = None  # from here on bars are not as they are wanted

    def put(self, bars: Iterable[tuple[int, Entries]]) -> list[tuple[int, Entries]]:
        """Have bars as they are now, in order of time; return those that are other ones than before."""
        sorted_bars = [(bar, _in_order(entries)) for bar, entries in bars]
        for bar, _ in sorted_bars:
            if self._stale is not None and bar <= self._stale + 1:  # a change may hold from one bar later on
                self._stale = max(self._stale, bar + 1)
        changed = [(bar, notes) for bar, notes in sorted_bars if not _alike(self.bars.get(bar), notes)]
        self.bars.update(changed)
        if self.length is None:
            for bar in sorted(self.bars)[: max(0, len(self.bars) - MOST_BARS)]:
                del self.bars[bar]
        return changed

    def outdate(self, bar: int | None) -> None:
        """Know that bars from one on are to be composed anew, until they come; None: all are as they are wanted."""
        self._stale = bar if bar is None or self._stale is None else min(bar, self._stale)

    def ahead(self, bar: int) -> int:
        """Return how many bars without a gap there are from a bar on."""
        count = 0
        while bar + count in self.bars:
            count += 1
        return count

    def before(self, bar: int | None = None) -> list[tuple[int, Entries]]:
        """Return the bars up to one, or all that are as wanted, from the first that is kept on and without a gap."""
        first = min(self.bars, default=0)
        last = first + self.ahead(first)
        limits = [each for each in (bar, self._stale) if each is not None]
        return [(number, self.bars[number]) for number in range(first, min([last, *limits]))]

    @staticmethod
    def of(score: Score) -> list[tuple[int, Entries]]:
        """Return the bars of a score, empty ones too."""
        found: dict[int, Entries] = defaultdict(list)
        for instrument, note in score.notes():
            row = [note.onset, max(1, note.duration), PARTS[instrument].channel, note.pitch, note.velocity]
            found[note.onset // TICKS_PER_BAR].append(row)
        return [(bar, sorted(found[bar])) for bar in range(score.bars)]


def _in_order(entries: Entries) -> Entries:
    """Return notes in order; where there are other messages too, what is of one tick stays in its own."""
    if any(isinstance(entry[1], str) for entry in entries):
        return sorted(entries, key=lambda entry: entry[0])
    return sorted(entries)


def _alike(before: Entries | None, after: Entries) -> bool:
    """Return whether entries are the same; an end's velocity counts where both have one: what is composed has none."""
    if before is None or len(before) != len(after):
        return False
    return all(
        each == other or (len(each) != len(other) and min(len(each), len(other)) > 2 and each[:5] == other[:5])
        for each, other in zip(before, after, strict=True)
    )
