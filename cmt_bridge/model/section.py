"""Sections: some bars of some tracks composed anew, between music that stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import COLUMNS, Column, TokenRows, Type
from cmt_bridge.model.cursor import Cursor
from cmt_bridge.model.filters import DENSITY, INDEX, PITCH, TICK, Allowed, Filter, mask

__all__ = ["HeldNote", "Section"]

HeldNote = tuple[int, int, int]
"""Instrument, MIDI pitch, and the tick of the piece at which it is released."""

NO_WORDS: TokenRows = np.empty((0, COLUMNS), np.int64)


@dataclass(frozen=True)
class Section:
    """Bars `first` to `last` (from 0, without the latter) to compose anew, and the words around them.

    `before` (rows, columns) are those of the bars from `heard_from` to `first`, `after` of some bars from `last` on.
    `kept` are words of the section's own bars, of tracks that are not composed: they are said as they stand, where they
    stand, and no more of their instruments. `held` are notes of the composed tracks that began before the section and
    still sound in it; their pitches are not struck again while they do.
    """

    first: int
    last: int
    before: TokenRows
    after: TokenRows
    heard_from: int = 0
    kept: TokenRows = field(default_factory=lambda: NO_WORDS)
    kept_instruments: frozenset[int] = frozenset()
    held: tuple[HeldNote, ...] = ()

    def filters(self) -> tuple[Filter, ...]:
        """Give what the section asks of every word, after the grammar and before all wishes."""
        kept = (Kept(self.kept, self.kept_instruments),) if self.kept_instruments else ()
        held = (Held(self.held),) if self.held else ()
        return (*kept, *held)


Place = tuple[int, int]
"""Tick of the bar, instrument: the order in which words come."""


class Kept:
    """What is kept is said where it stands, and nothing else by its instruments."""

    def __init__(self, words: TokenRows, instruments: frozenset[int]) -> None:
        self._composed = ~np.isin(INDEX[Column.INSTRUMENT], list(instruments))
        self._composed[0] = False
        self._last_composed = int(np.flatnonzero(self._composed).max(initial=0))
        self._bars: dict[int, dict[Place, list[npt.NDArray[np.int64]]]] = defaultdict(dict)
        for word in words[words[:, Column.TYPE] == Type.NOTE]:
            bar, tick = divmod(int(word[Column.POSITION]), TICKS_PER_BAR)
            self._bars[bar].setdefault((tick, int(word[Column.INSTRUMENT])), []).append(word)

    def _ahead(self, cursor: Cursor) -> list[Place]:
        here = (cursor.tick, cursor.highest_played)
        return sorted(place for place in self._bars.get(cursor.bar, ()) if place > here)

    def _now(self, cursor: Cursor) -> npt.NDArray[np.int64] | None:
        """Give the kept note that is due in the open simu-note."""
        notes = self._bars.get(cursor.bar, {}).get((cursor.tick, cursor.instrument), [])
        return next((note for note in notes if int(note[Column.PITCH]) - 1 not in cursor.pitches), None)

    def allow(self, column: Column, cursor: Cursor) -> Allowed | None:
        if column is Column.DENSITY:
            return len({tick for tick, _ in self._bars.get(cursor.bar, ())}) <= DENSITY
        if column is Column.BEAT:
            return self._beats(cursor)
        if column is Column.INSTRUMENT:
            due = [instrument for tick, instrument in self._ahead(cursor) if tick == cursor.tick]
            if not due:
                return self._composed
            return mask((self._composed & (INDEX[column] < min(due))) | (INDEX[column] == min(due)))
        if column is Column.STRENGTH:
            notes = self._bars.get(cursor.bar, {}).get((cursor.tick, cursor.instrument))
            return None if notes is None else mask(INDEX[column] == len(notes))
        note = self._now(cursor)
        return None if note is None else mask(INDEX[column] == note[column])

    def _beats(self, cursor: Cursor) -> Allowed:
        """No tick that is kept is passed over, and as many onsets are left as they need."""
        ahead = self._ahead(cursor)
        later = sorted({tick for tick, _ in ahead if tick > cursor.tick})
        if ahead and ahead[0][0] == cursor.tick:
            return mask(cursor.tick == TICK)
        next_kept = min(later, default=TICKS_PER_BAR)
        spare = cursor.owed_ticks > len(later)
        moves = (cursor.tick < TICK) & (next_kept >= TICK) if spare or not later else next_kept == TICK
        stays = cursor.highest_played < self._last_composed
        return mask(moves | ((cursor.tick == TICK) & stays))


class Held:
    """A pitch that still sounds from before the section is not struck again by the same instrument."""

    def __init__(self, notes: Sequence[HeldNote]) -> None:
        self._notes = tuple(notes)

    def allow(self, column: Column, cursor: Cursor) -> Allowed | None:
        if column is not Column.PITCH:
            return None
        sounding = [pitch for i, pitch, end in self._notes if i == cursor.instrument and end > cursor.position]
        return ~np.isin(PITCH, sounding) if sounding else None
