"""The unit of positions: nanoseconds where music goes by the time of the picture, sixteenths where it goes by beats."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Literal, overload

from cmt_bridge.core.tempo import TempoMap

__all__ = ["BEATS", "NANOSECONDS", "TIME", "Domain", "Timebase"]

Domain = Literal["time", "beats"]
TIME: Final = "time"
BEATS: Final = "beats"

NANOSECONDS = 10**9
NS_PER_TICK = 250  # nanoseconds of a sixteenth for each microsecond of a quarter


class Timebase:
    """Convert between ticks (sixteenths) of a score and positions of a domain.

    By `time` a position is whole nanoseconds since the first bar, which is exact, since a tick lasts a whole number of
    them. By `beats` it is the tick itself, and whoever leads says how fast they pass.
    """

    def __init__(self, domain: Domain, tempo_map: TempoMap) -> None:
        self.domain = domain
        self.tempo_map = tempo_map
        self._ticks = [change.tick for change in tempo_map.changes]
        self._lengths = [change.uspq * NS_PER_TICK for change in tempo_map.changes]  # of a tick, in ns
        self._starts = [0]
        for index in range(1, len(self._ticks)):
            span = self._ticks[index] - self._ticks[index - 1]
            self._starts.append(self._starts[-1] + span * self._lengths[index - 1])

    @overload
    def position(self, tick: int) -> int: ...

    @overload
    def position(self, tick: float) -> float: ...

    def position(self, tick: float) -> float:
        """Return the position of a tick; one between those of the grid, by time, is rounded to whole nanoseconds."""
        if self.domain == BEATS:
            return tick
        index = max(0, bisect_right(self._ticks, tick) - 1)
        return self._starts[index] + round((tick - self._ticks[index]) * self._lengths[index])

    def tick(self, position: float) -> float:
        """Return the tick, fractions and all, at a position."""
        if self.domain == BEATS:
            return position
        index = max(0, bisect_right(self._starts, position) - 1)
        return self._ticks[index] + (position - self._starts[index]) / self._lengths[index]

    def speed(self, rate: int, position: float = 0.0) -> float:
        """Return by how much the position grows in a unit of device time (1/rate s) at the score's own tempo there."""
        if self.domain == TIME:
            return NANOSECONDS / rate
        index = max(0, bisect_right(self._ticks, position) - 1)
        return NANOSECONDS / (self._lengths[index] * rate)

    def bpm(self, position: float) -> float:
        """Return the score's own tempo at a position, in BPM."""
        return self.tempo_map.bpm_at(int(self.tick(position)))
