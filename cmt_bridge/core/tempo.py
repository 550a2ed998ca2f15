"""The musical time base and the one conversion between seconds and ticks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from cmt_bridge.errors import UsageError

__all__ = [
    "BEATS_PER_BAR",
    "TICKS_PER_BAR",
    "TICKS_PER_QUARTER",
    "TempoChange",
    "TempoMap",
    "bpm_to_uspq",
    "uspq_to_bpm",
]

TICKS_PER_QUARTER = 4  # the grid of the method: sixteenths
BEATS_PER_BAR = 4  # the method knows 4/4 only
TICKS_PER_BAR = TICKS_PER_QUARTER * BEATS_PER_BAR

MICROSECONDS = 1_000_000
MAX_USPQ = 0xFFFFFF  # a MIDI set-tempo event holds 24 bits


def bpm_to_uspq(bpm: float | Fraction) -> int:
    """Return the whole microseconds per quarter nearest to a tempo in BPM, as a MIDI file stores it.

    >>> bpm_to_uspq(120)
    500000
    """
    if not bpm > 0:
        raise UsageError(f"A tempo of {bpm} BPM is not possible.", hint="Give a tempo above 3.6 BPM.")
    uspq = round(60 * MICROSECONDS / Fraction(bpm))
    if not 0 < uspq <= MAX_USPQ:
        raise UsageError(f"A tempo of {float(bpm):g} BPM does not fit a MIDI file.", hint="Give a tempo above 3.6 BPM.")
    return uspq


def uspq_to_bpm(uspq: int) -> float:
    """Return the tempo in BPM of a number of microseconds per quarter."""
    return 60 * MICROSECONDS / uspq


@dataclass(frozen=True, slots=True, order=True)
class TempoChange:
    """A tempo that holds from a tick on: `tick` in sixteenths, `uspq` in microseconds per quarter."""

    tick: int
    uspq: int

    @property
    def bpm(self) -> float:
        return uspq_to_bpm(self.uspq)


@dataclass(frozen=True)
class TempoMap:
    """Convert between seconds and ticks (sixteenths), exactly.

    Tempos are whole microseconds per quarter, as a MIDI file stores them, so that a bar line computed here is the bar
    line a DAW shows. Seconds are `Fraction`; the only rounding is the caller's, by `tick_at`.
    """

    changes: tuple[TempoChange, ...]

    def __post_init__(self) -> None:
        ticks = [change.tick for change in self.changes]
        if not ticks or ticks[0] != 0 or any(a >= b for a, b in pairwise(ticks)):
            raise ValueError("a tempo map starts at tick 0 and its changes have rising ticks")

    @classmethod
    def constant(cls, bpm: float | Fraction) -> TempoMap:
        """Return the map of one tempo, rounded to whole microseconds per quarter."""
        return cls((TempoChange(0, bpm_to_uspq(bpm)),))

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> TempoMap:
        """Return the map of (tick, microseconds per quarter) pairs."""
        return cls(tuple(TempoChange(tick, uspq) for tick, uspq in pairs))

    @cached_property
    def _ticks(self) -> tuple[int, ...]:
        """Ticks at which each change takes hold."""
        return tuple(change.tick for change in self.changes)

    @cached_property
    def _starts(self) -> tuple[Fraction, ...]:
        """Seconds at which each change takes hold."""
        starts = [Fraction(0)]
        for before, after in pairwise(self.changes):
            starts.append(starts[-1] + (after.tick - before.tick) * self._tick_seconds(before))
        return tuple(starts)

    @staticmethod
    def _tick_seconds(change: TempoChange) -> Fraction:
        return Fraction(change.uspq, MICROSECONDS * TICKS_PER_QUARTER)

    def seconds(self, tick: int | Fraction) -> Fraction:
        """Return the exact time in seconds of a tick; ticks before 0 run at the first tempo."""
        index = max(0, bisect_right(self._ticks, tick) - 1)
        change = self.changes[index]
        return self._starts[index] + (Fraction(tick) - change.tick) * self._tick_seconds(change)

    def ticks(self, seconds: float | Fraction) -> Fraction:
        """Return the exact position in ticks of a time in seconds."""
        index = max(0, bisect_right(self._starts, seconds) - 1)
        change = self.changes[index]
        return change.tick + (Fraction(seconds) - self._starts[index]) / self._tick_seconds(change)

    def tick_at(self, seconds: float | Fraction) -> int:
        """Return the tick nearest to a time in seconds; halves go to the even tick. The rounding rule of the
        project.
        """
        return round(self.ticks(seconds))

    def bar_seconds(self, bar: int) -> Fraction:
        """Return the time in seconds at which bar `bar` (from 0) begins."""
        return self.seconds(bar * TICKS_PER_BAR)

    def bpm_at(self, tick: int) -> float:
        """Return the tempo in BPM that holds at a tick."""
        index = max(0, bisect_right(self._ticks, tick) - 1)
        return self.changes[index].bpm
