"""Rolling composition: bars handed out as soon as they are complete, for a picture that is still being measured.

Where all of the picture is known from the start the music is that of `score`, note for note. Else, and after a change
of what is asked for, it goes on in stretches: each hears what was composed before it, and none reaches beyond what is
known of the picture. What was handed out stays, but for notes that later ones end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, decode, encode, in_word_order
from cmt_bridge.composition.realize import (
    limit_polyphony,
    realized_notes,
    score_of,
    sustain_last_chord,
    with_velocities,
)
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.form import LONGEST_RETURN
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Provenance, Score
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, Column, Type, beat_timing
from cmt_bridge.model.decoding import Decoding
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.infill import Infill
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.scoring.infill import held_into, memory_of

__all__ = ["Plan", "Rolling"]

TAIL: Final = 8  # bars back in which a new note may end an earlier one
LONGEST_STRETCH: Final = 16  # bars composed in one go, while more of the picture is to come
KEPT: Final = 64  # bars of an endless piece that can still be heard or taken back
ENDLESS_ROOM: Final = 64  # bars beyond a stretch, so that none of an endless piece is near its end
DENSEST: Final = TICKS_PER_BAR

NOTHING: GridNotes = np.empty((0, len(Grid)), np.int64)
Words = list[npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Plan:
    """What the picture asks for as far as it is known: `bars` of the control are measured, all where it is `whole`.

    An `endless` plan begins again with its first bar after its last.
    """

    control: ControlTrack
    bars: int
    whole: bool
    endless: bool = False
    metadata: VideoMetadata | None = None

    def until(self, last: int) -> ControlTrack:
        """Return the control for the bars up to `last`; an endless one goes on beyond it, and has no last chord
        there.
        """
        if not self.endless:
            return self.control
        own = self.control.bars
        rounds = -(-(last + ENDLESS_ROOM) // own)
        beats = tuple(
            replace(beat, tick=beat.tick + number * own * TICKS_PER_BAR)
            for number in range(rounds)
            for beat in self.control.beats
        )
        return replace(
            self.control, density=self.control.density * rounds, beats=beats, n_beat=rounds * own * TICKS_PER_BAR
        )


class Rolling:
    """A piece that grows bar by bar.

    `plan`, `options` and `density` (onsets per bar more or less than the picture asks for) may be set at any time and
    hold for what is composed from then on; `go_back` makes them hold from an earlier bar. `limit` is the bar before
    which to wait, None for none. `pulse` is called between any two words, so that all this can come in time.
    """

    def __init__(
        self,
        engine: PaperEngine | EventEngine,
        plan: Plan,
        options: ComposeOptions,
        *,
        density: int = 0,
        pulse: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self.options = options
        self.density = density
        self.limit: int | None = None
        self._engine = engine
        self._pulse = pulse
        self._said: list[GridNotes] = []  # as the network said them, by bar
        self._rung: list[GridNotes] = []  # with velocities, and as long as they are
        self._given: list[GridNotes] = []  # as they were handed out
        self._turn = 0  # counts the times that bars were taken back
        self._stretches = 0
        self._words: Words = []
        self._plain = plan.whole and not plan.endless and not density
        self._now = plan.control
        self._composed_for = plan.control.bars

    @property
    def is_plain(self) -> bool:
        """Whether it is what `score` would have composed."""
        return self._plain

    @property
    def bars(self) -> int:
        """The number of bars composed."""
        return len(self._said)

    @property
    def length(self) -> int | None:
        """The number of bars of the piece; None where it has no end, or none that is known yet."""
        return self.plan.control.bars if self.plan.whole and not self.plan.endless else None

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to compose."""
        return self.length is not None and self.bars >= self.length

    def take_up(self, bars: Mapping[int, GridNotes]) -> None:
        """Go on after bars that were composed before: the last ones there are without a gap.

        Their notes are in word order, with their onsets in the piece.
        """
        self._plain = False
        last = max(bars, default=-1) + 1
        first = last
        while first - 1 in bars:
            first -= 1
        for kept in (self._said, self._rung, self._given):
            kept[:] = [NOTHING] * first + [bars[bar].copy() for bar in range(first, last)]

    def go_back(self, bar: int) -> None:
        """Compose from a bar on anew, or from the first that is not complete where that comes before it."""
        self._plain = False
        self._turn += 1
        self._stretches = 0
        del self._said[bar:], self._rung[bar:]

    def grow(self) -> Iterator[dict[int, GridNotes]]:
        """Yield bars that are new or have changed, by number; nothing in them where there is to be waited."""
        while not self.is_complete or self._is_too_long:
            if self._is_too_long:
                yield from self._shortened()
            first = self.bars
            last = self._stretch(first)
            if last <= first:
                yield {}
                continue
            yield from self._compose(first, last)
        if self._plain:
            yield from self._finished()

    def score(self, title: str, provenance: Provenance) -> Score:
        """Return the piece as a score."""
        notes = in_word_order(np.concatenate([NOTHING, *self._given]))
        return score_of(notes, self.plan.control, metadata=self.plan.metadata, title=title, provenance=provenance)

    @property
    def _is_too_long(self) -> bool:
        """Whether the picture turned out to end before what was composed, or where that has no ending."""
        if self.length is None or self.bars < self.length:
            return False
        return self.bars > self.length or self._composed_for != self.length

    def _shortened(self) -> Iterator[dict[int, GridNotes]]:
        """Have the last bar of the picture composed as the last, and yield what is taken away behind it."""
        assert self.length is not None
        gone = range(self.length, self.bars)
        self.go_back(self.length - 1)
        del self._given[self.length :]
        yield dict.fromkeys(gone, NOTHING)

    def _stretch(self, first: int) -> int:
        """Return the bar after the last that can be composed in one go."""
        last = self.plan.control.bars if self.plan.whole and not self.plan.endless else self.plan.bars
        if self.plan.endless and self.plan.whole:
            last = first + LONGEST_STRETCH
        if not self._plain:
            last = min(last, first + min(LONGEST_STRETCH, 1 << min(8, self._stretches)))
        return last if self.limit is None else min(last, self.limit)

    def _compose(self, first: int, last: int) -> Iterator[dict[int, GridNotes]]:
        turn = self._turn
        self._stretches += 1
        if self.plan.endless:
            self._forget(first - KEPT)
        session = self._session(first, last)
        words: Words = []
        for _, word in session:
            self._pulse()
            if self._turn != turn:
                return
            if word[Column.TYPE] == Type.RHYTHM and word[Column.BEAT] == BAR and words:
                yield self._finish(words)
                if self._turn != turn:
                    return
                words = []
            words.append(word)
            if self._plain:
                self._words.append(word)
        if words:
            yield self._finish(words)

    def _session(self, first: int, last: int) -> Decoding:
        control = self._asked(last)
        self._now = control.with_ending()
        self._composed_for = control.bars
        if self._plain and first == 0:
            self._words = []
            return Decoding(self._engine, control, self.options)
        ahead = _ahead(self._said, first, last, control, **memory_of(self._engine))
        seed = (self.options.seed + first) % 2**63  # no two stretches throw the same dice
        return Decoding(self._engine, control, self.options, section=ahead, seeds=[seed])

    def _asked(self, last: int) -> ControlTrack:
        """Return the control with so many onsets more or less; a bar keeps at least those of its visual beats."""
        control = self.plan.until(last)
        if not self.density:
            return control
        hits = np.bincount([beat.tick // TICKS_PER_BAR for beat in control.beats], minlength=control.bars)
        density = np.clip(np.array(control.density) + self.density, np.maximum(1, hits), DENSEST)
        return replace(control, density=tuple(density.tolist()))

    def _forget(self, last: int) -> None:
        """Let go of the bars before one: an endless piece has as many as there is time."""
        for bar in range(last - 1, -1, -1):
            if self._said[bar] is NOTHING:
                break
            self._said[bar] = self._rung[bar] = self._given[bar] = NOTHING

    def _finish(self, words: Words) -> dict[int, GridNotes]:
        """Add a bar, and return it with those that it changes."""
        bar = self.bars
        rows = np.stack(words)
        notes = decode(rows)
        notes[:, Grid.ONSET] += bar * TICKS_PER_BAR
        self._said.append(notes)
        self._rung.append(with_velocities(rows, self._now, bar))
        first = max(0, bar - TAIL)
        tail = np.concatenate(self._rung[first:])
        if self.length is not None:
            tail = sustain_last_chord(tail, self.plan.control.with_ending())
        return self._changed(limit_polyphony(tail, self.options), first, bar + 1)

    def _finished(self) -> Iterator[dict[int, GridNotes]]:
        """Yield the bars that are other ones in the score than they were handed out."""
        notes = realized_notes(np.stack(self._words), self.plan.control, self.options)
        changed = self._changed(notes, 0, self.bars)
        if changed:
            yield changed

    def _changed(self, notes: GridNotes, first: int, last: int) -> dict[int, GridNotes]:
        """Return those of some bars that were not handed out like this."""
        bar_of = notes[:, Grid.ONSET] // TICKS_PER_BAR
        found = {}
        for bar in range(first, last):
            now = notes[bar_of == bar]
            if bar >= len(self._given):
                self._given.append(now)
            elif np.array_equal(self._given[bar], now) and bar < last - 1:
                continue
            self._given[bar] = now
            found[bar] = now
        return found


def _ahead(said: list[GridNotes], first: int, last: int, control: ControlTrack, memory: int, rich: bool) -> Infill:
    """Return the section of bars that come after all that was composed."""
    start, room = first, memory
    while start > max(0, first - LONGEST_RETURN) and (len(said[start - 1]) < room or start == first):
        start -= 1
        room -= len(said[start]) + 1
    notes = np.concatenate([NOTHING, *said[start:first]])
    rows = encode(notes, first, rich=rich)
    rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], control.n_beat)
    before = rows[rows[:, Column.POSITION] >= start * TICKS_PER_BAR]
    held = held_into(notes, first * TICKS_PER_BAR)
    return Infill(first=first, last=last, before=before, after=rows[:0], heard_from=start, held=held)
