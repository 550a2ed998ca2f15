"""Where a song that is being decoded stands: what has been said and what is still owed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.form import LONGEST_RETURN
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, DURATIONS, Column, Type

__all__ = ["DecodingState", "PlayedNote"]

PlayedNote = tuple[int, int, int]
"""Tick of the bar, instrument, MIDI pitch."""


@dataclass
class DecodingState:
    """The place of one candidate, between two words or within one.

    `bar` is -1 before the first bar word, `tick` -1 before the first onset of a bar. `bar_due` says that the next
    word starts a bar. `owed_notes` notes of the open simu-note and `owed_ticks` simu-note ticks of the bar are still
    to come. `played` holds the instruments heard on this tick, `last_played` the bar in which each was heard last.
    `hits` are the visual beats of this bar that are followed, tick to strength. `age` and `younger_age` count the
    words in the two memories of a network that remembers only so many. `pitch_classes` adds up the ticks heard per
    pitch class before this bar, `bar_pitch_classes` within it. `returns` says how many bars ago the bar's harmony was
    heard (core/form.py), None where that is left open; `past` is what was played in the bars before, as many as may
    return, and `heard` in this one.
    """

    seed: int = 0
    bar: int = -1
    bar_due: bool = True
    tick: int = -1
    instrument: int = 0
    age: int = 0
    younger_age: int = 0
    owed_notes: int = 0
    owed_ticks: int = 0
    pitches: frozenset[int] = frozenset()
    played: frozenset[int] = frozenset()
    hits: dict[int, int] = field(default_factory=dict)
    follow_density: bool = False
    last_played: dict[int, int] = field(default_factory=dict)
    pitch_classes: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(12))
    bar_pitch_classes: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(12))
    returns: int | None = None
    past: tuple[frozenset[PlayedNote], ...] = ()
    heard: frozenset[PlayedNote] = frozenset()

    @property
    def position(self) -> int:
        """The tick since the start of the piece."""
        return max(0, self.bar) * TICKS_PER_BAR + max(0, self.tick)

    @property
    def follows(self) -> bool:
        """Whether the picture decides anything in this bar."""
        return self.follow_density or bool(self.hits)

    @property
    def highest_played(self) -> int:
        """The last instrument heard on this tick, 0 for none."""
        return max(self.played, default=0)

    def hits_ahead(self) -> list[int]:
        """Return the ticks of visual beats to follow that are still ahead in this bar."""
        return [tick for tick in self.hits if tick > self.tick]

    def copy(self) -> DecodingState:
        """Return a copy that later words do not touch."""
        return replace(
            self,
            hits=dict(self.hits),
            last_played=dict(self.last_played),
            pitch_classes=self.pitch_classes.copy(),
            bar_pitch_classes=self.bar_pitch_classes.copy(),
        )

    def start_bar(self) -> None:
        """Cross a bar line; what the bar owes is not known yet."""
        if self.bar >= 0:
            self.past = (*self.past, self.heard)[-LONGEST_RETURN:]
        self.heard = frozenset()
        self.bar += 1
        self.bar_due = False
        self.pitch_classes += self.bar_pitch_classes
        self.bar_pitch_classes[:] = 0
        self.tick, self.instrument, self.owed_ticks = -1, 0, 0
        self.played, self.hits, self.follow_density, self.returns = frozenset(), {}, False, None

    def move_to(self, tick: int) -> None:
        """Go to an onset tick of this bar, or stay on the one it stands on."""
        if tick != self.tick:
            self.tick, self.played = tick, frozenset()
            self.owed_ticks -= 1

    def start_simu_note(self, instrument: int) -> None:
        """Let an instrument begin on this tick."""
        self.instrument = instrument
        self.played |= {instrument}
        self.last_played[instrument] = self.bar
        self.pitches = frozenset()

    def take_note(self, pitch: int, duration: int) -> None:
        """Hear a note of the open simu-note; `duration` in ticks."""
        self.owed_notes -= 1
        self.pitches |= {pitch}
        self.heard |= {(self.tick, self.instrument, pitch)}
        if self.instrument != Instrument.DRUMS:
            self.bar_pitch_classes[pitch % 12] += duration

    def take(self, word: npt.NDArray[np.int64]) -> None:
        """Move on over a whole word (9) that was decided elsewhere."""
        if word[Column.TYPE] == Type.NOTE:
            self.take_note(int(word[Column.PITCH]) - 1, DURATIONS[int(word[Column.DURATION]) - 1])
        elif word[Column.TYPE] == Type.RHYTHM and word[Column.BEAT] == BAR:
            self.start_bar()
            self.owed_ticks = int(word[Column.DENSITY]) - 1
        elif word[Column.TYPE] == Type.RHYTHM:
            self.move_to(int(word[Column.BEAT]) - 1)
            self.start_simu_note(int(word[Column.INSTRUMENT]))
            self.owed_notes = int(word[Column.STRENGTH])
