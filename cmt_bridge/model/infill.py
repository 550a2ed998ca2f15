"""Sections: some bars of some tracks composed anew, between music that stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import CLASSES, COLUMNS, Column, TokenRows, Type
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.filters import DENSITY, INDEX, TICK, Allowed, Filter, mask, none_of

__all__ = ["HeldNote", "Infill", "Palette", "Rhythm"]

HeldNote = tuple[int, int, int]
"""Instrument, MIDI pitch, and the tick of the piece at which it is released."""

StruckNote = tuple[int, int, int]
"""Instrument, MIDI pitch, and the tick of the piece at which it begins."""

Palette = Mapping[tuple[int, int], frozenset[int]]
"""The MIDI pitches to choose from, by bar of the piece and instrument; all where none are named."""

NO_WORDS: TokenRows = np.empty((0, COLUMNS), np.int64)


@dataclass(frozen=True)
class Rhythm:
    """When and how long to play, of tracks whose pitches alone are composed.

    `words` are those that they had, `ends` the tick of the piece at which the last note of each simu-note is released,
    by its tick and instrument, and `coming` what they strike after the section: what still sounds then has other
    pitches.
    """

    words: TokenRows
    ends: Mapping[tuple[int, int], int]
    coming: tuple[StruckNote, ...] = ()


@dataclass(frozen=True)
class Infill:
    """Bars `first` to `last` (from 0, without the latter) to compose anew, and the words around them.

    `before` (rows, columns) are those of the bars from `heard_from` to `first`, `after` of some bars from `last` on.
    `kept` are words of the section's own bars, of tracks that are not composed: they are forced as they stand, where
    they stand, and no more of their instruments. `held` are notes of the composed tracks that began before the section
    and still sound in it; their pitches are not struck again while they do. With a `rhythm` the composed tracks play in
    it, and in a bar with a `palette` only pitches of that. `seed` is that of the music around, which says what of the
    picture its bars followed: it is fed alike to candidates of any seed.
    """

    first: int
    last: int
    before: TokenRows
    after: TokenRows
    heard_from: int = 0
    kept: TokenRows = field(default_factory=lambda: NO_WORDS)
    kept_instruments: frozenset[int] = frozenset()
    held: tuple[HeldNote, ...] = ()
    rhythm: Rhythm | None = None
    palette: Palette = field(default_factory=dict)
    seed: int = 0

    def filters(self) -> tuple[Filter, ...]:
        """Return the filters of the section, which come after the grammar and before all controls."""
        held = (NoRetrigger(self.held),) if self.held else ()
        everyone = frozenset(int(i) for i in Instrument)
        composed = everyone - self.kept_instruments
        palette = (PaletteFilter(self.palette, composed, self.held),) if self.palette else ()
        if self.rhythm is not None:
            words = np.concatenate([self.kept, self.rhythm.words])
            return (Forced(words, everyone, composed), *held, *palette, NoOverlap(self.rhythm))
        kept = (Forced(self.kept, self.kept_instruments),) if self.kept_instruments else ()
        return (*kept, *held, *palette)


Place = tuple[int, int]
"""Tick of the bar, instrument: the order in which words come."""


class Forced:
    """Force kept words where they stand, and no others of their instruments; pitches of those in `free` stay open."""

    def __init__(self, words: TokenRows, instruments: frozenset[int], free: frozenset[int] = frozenset()) -> None:
        self._free = free
        self._composed = ~np.isin(INDEX[Column.INSTRUMENT], list(instruments))
        self._composed[0] = False
        self._last_composed = int(np.flatnonzero(self._composed).max(initial=0))
        self._bars: dict[int, dict[Place, list[npt.NDArray[np.int64]]]] = defaultdict(dict)
        for word in words[words[:, Column.TYPE] == Type.NOTE]:
            bar, tick = divmod(int(word[Column.POSITION]), TICKS_PER_BAR)
            self._bars[bar].setdefault((tick, int(word[Column.INSTRUMENT])), []).append(word)

    def _ahead(self, cursor: DecodingState) -> list[Place]:
        here = (cursor.tick, cursor.highest_played)
        return sorted(place for place in self._bars.get(cursor.bar, ()) if place > here)

    def _now(self, cursor: DecodingState) -> npt.NDArray[np.int64] | None:
        """Return the kept note that is due in the open simu-note."""
        notes = self._bars.get(cursor.bar, {}).get((cursor.tick, cursor.instrument))
        return None if notes is None else notes[len(notes) - cursor.owed_notes]

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is Column.DENSITY:
            ticks = len({tick for tick, _ in self._bars.get(cursor.bar, ())})
            return mask(ticks <= DENSITY if self._last_composed else ticks == DENSITY)
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
        if column is Column.PITCH and cursor.instrument in self._free:
            return None
        note = self._now(cursor)
        return None if note is None else mask(INDEX[column] == note[column])

    def _beats(self, cursor: DecodingState) -> Allowed:
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


class NoRetrigger:
    """Exclude pitches that still sound from before the section in the same instrument."""

    def __init__(self, notes: Sequence[HeldNote]) -> None:
        self._notes = tuple(notes)

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is not Column.PITCH:
            return None
        sounding = [pitch for i, pitch, end in self._notes if i == cursor.instrument and end > cursor.position]
        return none_of(sounding) if sounding else None


class NoOverlap:
    """Exclude pitches that would overlap themselves where a rhythm is kept: still sounding, or struck before
    their end.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self._ends = rhythm.ends
        self._coming = rhythm.coming

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is not Column.PITCH:
            return None
        here, player = cursor.position, cursor.instrument
        end = self._ends.get((here, player), here)
        taken = {pitch for instrument, pitch, tick in self._coming if instrument == player and tick < end}
        for ago, notes in enumerate((cursor.heard, *reversed(cursor.past))):
            line = (cursor.bar - ago) * TICKS_PER_BAR
            for tick, instrument, pitch in notes:
                struck = line + tick
                if instrument == player and struck < here < self._ends.get((struck, player), 0):
                    taken.add(pitch)
        return none_of(taken) if taken else None


class PaletteFilter:
    """Allow an instrument the pitches of its palette only, as many at once as are not held there; else it waits."""

    def __init__(self, palette: Palette, players: frozenset[int], held: Sequence[HeldNote]) -> None:
        self._palette = palette
        self._players = players
        self._held = tuple(held)

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is Column.BEAT:
            ready = any(player > cursor.highest_played and self._may(cursor, player) for player in self._players)
            return None if ready else mask(cursor.tick != TICK)
        if column is Column.INSTRUMENT:
            return mask([self._may(cursor, int(player)) for player in INDEX[column]])
        if column is not Column.STRENGTH and column is not Column.PITCH:
            return None
        pitches = self._left(cursor, cursor.instrument)
        if pitches is None:
            return None
        if column is Column.STRENGTH:
            return mask(INDEX[column] <= len(pitches))
        allowed = np.zeros(CLASSES[column], np.bool_)
        allowed[[pitch + 1 for pitch in pitches]] = True
        return allowed

    def _may(self, cursor: DecodingState, player: int) -> bool:
        pitches = self._left(cursor, player)
        return pitches is None or bool(pitches)

    def _left(self, cursor: DecodingState, player: int) -> frozenset[int] | None:
        """Return the pitches that a player may strike here; None for all."""
        pitches = self._palette.get((cursor.bar, player))
        if pitches is None:
            return None
        return pitches - {pitch for i, pitch, end in self._held if i == player and end > cursor.position}
