"""The pace of clocks that come with jitter: the straight line that they were meant to lie on.

A line is laid through the last few clocks, as many as agree on it: while the tempo is steady those are many, and jitter
is averaged away; where it changes the older ones do not fit any more, and are left out at once. How much clocks may be
off and still fit is measured by those that come late or early and are followed by others that make up for it (the
intersection of confidence intervals: Goldenshluger and Nemirovski, *On spatially adaptive estimation*, 1997).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf, sqrt
from typing import Final

__all__ = ["Pace"]

WINDOWS: Final = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)  # clocks
KEPT: Final = WINDOWS[-1]
AGREES: Final = 2.5  # standard deviations
EXTREME: Final = 3.0  # standard deviations that the worst of so many clocks is off
FINEST: Final = 30e-6  # s, to which senders are exact
FAMILIAR: Final = 0.02  # by which a first interval may differ from the last known one and still be that
SHORTEST, LONGEST = 0.004, 0.170  # s


def _weights(count: int) -> tuple[list[float], list[float], float, float]:
    """Return what makes the end and the slope of a line of so many clocks, and their deviations for a clock's of 1."""
    middle = (count - 1) / 2
    spread = count * (count * count - 1) / 12
    slope = [(number - middle) / spread for number in range(count)]
    end = [1 / count + middle * each for each in slope]
    return end, slope, sqrt(1 / count + middle * middle / spread), sqrt(1 / spread)


LINES: Final = {count: _weights(count) for count in WINDOWS}


class Pace:
    """Take the times of clocks; give when the last was meant, and the interval from one to the next.

    Times are device time, of which a second has `rate` units. `interval` is the one to begin with; where it is `sure`,
    a single other one is not believed.
    """

    def __init__(self, rate: int, interval: float, *, sure: bool = False) -> None:
        self.interval = interval
        """Device time from one clock to the next."""
        self.meant = 0.0
        """Device time at which the last clock was meant to come."""
        self.off = 0.0
        """By how much device time a clock is off, as a standard deviation."""
        self.through = 1
        """How many clocks the line goes through."""
        self._finest = FINEST * rate
        self._sure = sure
        self._shortest, self._longest = SHORTEST * rate, LONGEST * rate
        self._times: deque[float] = deque(maxlen=KEPT)
        self._made_up: deque[float] = deque([0.0], maxlen=KEPT)  # by how much clocks were off that others made up for

    @property
    def count(self) -> int:
        """How many clocks the line may go through."""
        return len(self._times)

    @property
    def last(self) -> float:
        """Device time at which the last came."""
        return self._times[-1]

    @property
    def gap(self) -> float:
        """Device time between the last two."""
        return self._times[-1] - self._times[-2] if len(self._times) > 1 else 0.0

    def begin(self, time: float) -> None:
        """Take a clock that has nothing to do with those before; the interval stays until another is known."""
        self._times.clear()
        self._times.append(time)
        self.meant = time
        self.through = 1

    def add(self, time: float) -> None:
        """Take the next clock."""
        times = self._times
        times.append(max(time, times[-1]) if times else time)
        doubt = 0.0
        if len(times) > 2:
            doubt = times[-1] - 2 * times[-2] + times[-3]
        if len(times) > 3:
            before = times[-2] - 2 * times[-3] + times[-4]
            self._made_up.append(min(abs(doubt), abs(before)) if doubt * before < 0 else 0.0)
        self.off = max(self._finest, max(abs(doubt), *self._made_up) / EXTREME)
        if len(times) < WINDOWS[0]:
            self._meet()
        else:
            self._lay()

    def carry(self, times: Sequence[float]) -> None:
        """Take clocks, of which there are two or more, in place of all before."""
        self._times.clear()
        self._times.extend(times[:-1])
        if len(times) <= WINDOWS[0]:  # too few to lay a line on the way
            self.interval = self._bounded((times[-1] - times[0]) / (len(times) - 1))
        self.add(times[-1])

    def _meet(self) -> None:
        """Judge the first interval: that which was known, or another."""
        gap = self.gap
        if not self._sure and abs(gap - self.interval) > AGREES * self.off + FAMILIAR * self.interval:
            self.interval = self._bounded(gap)
        self.meant = self._times[-1]
        self.through = len(self._times)

    def _lay(self) -> None:
        """Lay the longest line with which all shorter ones agree."""
        times: Sequence[float] = tuple(self._times)
        last = times[-1]
        lows, highs = [-inf, -inf], [inf, inf]
        for count in WINDOWS:
            if count > len(times):
                break
            ends, slopes, *spreads = LINES[count]
            those = [time - last for time in times[-count:]]
            found = (
                sum(weight * time for weight, time in zip(ends, those, strict=True)),
                sum(weight * time for weight, time in zip(slopes, those, strict=True)),
            )
            for index in (0, 1):
                margin = AGREES * self.off * spreads[index]
                lows[index] = max(lows[index], found[index] - margin)
                highs[index] = min(highs[index], found[index] + margin)
            if lows[0] > highs[0] or lows[1] > highs[1]:
                break
            self.meant = last + found[0]
            self.through = count
            self.interval = self._bounded(found[1])

    def _bounded(self, interval: float) -> float:
        return min(self._longest, max(self._shortest, interval))
