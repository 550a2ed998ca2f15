"""The control track: what the picture asks of the music, in bars and ticks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap

__all__ = ["ControlBeat", "ControlTrack"]

LEAST_ENDING = TICKS_PER_BAR // 2  # ticks: a last chord that is shorter sounds broken off


@dataclass(frozen=True, slots=True, order=True)
class ControlBeat:
    """A visual beat on the grid: `tick` (sixteenths from the start), `strength` (notes of a simu-note there)."""

    tick: int
    strength: int


@dataclass(frozen=True)
class ControlTrack:
    """What each bar and tick of the music should follow.

    `density` has one class per bar: the number of its 16 ticks, 0..16, on which a simu-note starts. `beats` are at
    most one per tick, in order. `n_beat` is the length in ticks that the timing column counts against (the end of the
    video).
    """

    tempo_map: TempoMap
    density: tuple[int, ...]
    beats: tuple[ControlBeat, ...]
    n_beat: int

    @property
    def bars(self) -> int:
        """The number of bars that cover the video."""
        return len(self.density)

    @property
    def ending(self) -> int:
        """The bar, from 0, of the last chord: the last, or the one before it where less than half of the last is left.

        A piece of two bars keeps its first for music.
        """
        left = self.n_beat - (self.bars - 1) * TICKS_PER_BAR
        return self.bars - 1 if left >= LEAST_ENDING or self.bars <= 2 else self.bars - 2

    def with_ending(self) -> ControlTrack:
        """Return the control that leaves the last chord alone: one onset on the downbeat of its bar, none after."""
        last = self.ending
        return replace(
            self,
            density=(*self.density[:last], 1, *(0 for _ in self.density[last + 1 :])),
            beats=tuple(beat for beat in self.beats if beat.tick <= last * TICKS_PER_BAR),
        )

    def beats_of(self, bar: int) -> tuple[ControlBeat, ...]:
        """Return the visual beats of a bar, from 0."""
        low = bar * TICKS_PER_BAR
        return tuple(beat for beat in self.beats if low <= beat.tick < low + TICKS_PER_BAR)
