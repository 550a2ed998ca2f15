"""Clocks that did not come when they were due: late ones, or lost.

What tells them apart comes afterwards. Late clocks come in a burst that makes up for them, however long it took. Where
some were lost, the others go on at the old pace, a whole number of clocks later, and nothing is made up. And where they
go on anywhere else or at another pace, the sender itself has paused or has another tempo: then a position is what MIDI
says it is, the number of clocks that came.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import remainder, sqrt
from typing import Final

from cmt_bridge.player.follow.pace import KEPT, Pace

__all__ = ["Arrears", "Verdict", "is_off"]

KNOWN: Final = 5  # clocks after which there is a line to be late by
PROVEN: Final = 24  # clocks that a line goes through by which one can be proved to be lost
APART: Final = 0.75  # of a clock, from which on one is late, and more than by jitter
EARLY: Final = 0.25  # of a clock, from which on one is early where some were counted that may come yet
JITTER: Final = 4.0  # standard deviations, which is no more than jitter
STEADY: Final = 3  # gaps of the old pace, or of another, that say that it is over
WHOLE: Final = 0.25  # of a clock, by which a gap may differ from the pace
ALIKE: Final = 0.1  # by which one gap may differ from the one before and be of the same tempo
BURST: Final = 0.25  # of a clock; what comes sooner after another one is made up
MOST: Final = 12  # clocks that neither make up nor are steady, after which it is over
MADE_UP: Final = 0.5  # of a clock; owing less is to owe none
EXACT: Final = 0.05  # of a clock, to which a number of lost ones is whole
UNSURE: Final = 0.1  # of a clock; where the line is known no better nothing can be proved by it
AGREES: Final = 2.5  # standard deviations
PERIOD: Final = (
    256  # units of device time; who sends at whole multiples of that sends when it can, and is late at times
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of it: the number of the last clock, and whether clocks lie on the old line again."""

    number: int
    holds: bool


def is_off(pace: Pace, time: float, *, early: bool) -> bool:
    """Return whether a clock comes so late, or with `early` so early, that it is not the next one on the line."""
    if pace.count < KNOWN:
        return False
    off = (time - pace.meant) / pace.interval - 1.0
    jitter = JITTER * pace.off / pace.interval
    return off > max(APART, jitter) or (early and off < -max(EARLY, jitter))


class Arrears:
    """Take the clocks from the first on that is off the line of a pace, whose last clock has a `number`.

    `counted` is how many clocks were counted that did not come: those may come yet.
    """

    def __init__(self, pace: Pace, number: int, counted: int = 0) -> None:
        self._meant, self._interval, self._number = pace.meant, pace.interval, number
        self._off, self._through = pace.off, pace.through
        self._counted = counted
        self._times = deque([pace.last], maxlen=STEADY + 1)
        self._gap = 0.0
        self._on_pace = self._alike = self._waited = 0
        self._made_up = False  # whether any clock came sooner after another than by the pace

    def due(self, time: float) -> float:
        """Return the number, fractions and all, of the clock that is due at a time if the old pace holds."""
        return self._number + (time - self._meant) / self._interval

    def add(self, time: float) -> None:
        """Take the next clock."""
        gap, before = time - self._times[-1], self._gap
        self._times.append(time)
        self._gap = gap
        self._on_pace = self._on_pace + 1 if abs(gap - self._interval) < WHOLE * self._interval else 0
        self._alike = self._alike + 1 if abs(gap - before) < ALIKE * gap else 0
        self._waited += gap > BURST * self._interval
        self._made_up |= gap < (1 - WHOLE) * self._interval

    def fits(self, number: int) -> bool:
        """Return whether the last clock, of such a number, can lie on the line: it is made up, or whole clocks
        short.
        """
        owed = self.due(self._times[-1]) - number
        return abs(owed) < MADE_UP or self._is_whole(owed)

    def judge(self, number: int) -> Verdict | None:
        """Return what became of it when the last clock, of such a number, has come; None while that is open."""
        owed = self.due(self._times[-1]) - number
        if self._on_pace >= STEADY:
            if abs(owed) < MADE_UP:
                return Verdict(number, True)
            if round(owed) >= -self._counted and self._is_whole(owed):
                return Verdict(number + round(owed), True)
            return Verdict(number, False)
        makes_up = self._gap < self._interval and owed > MADE_UP
        slower = self._alike > 0 and self._gap > (1 + APART) * self._interval
        beyond = owed < -APART and not self._counted and self._gap > BURST * self._interval
        if slower or beyond or (self._alike >= STEADY and not makes_up) or self._waited > MOST:
            return Verdict(number, False)
        return None

    def settle(self, pace: Pace, verdict: Verdict) -> None:
        """Have a pace go on from here: on the old line, or from the last clocks alone."""
        times = list(self._times)
        if not verdict.holds:
            steady = max(self._on_pace, self._alike + (self._alike > 0))
            if steady:
                pace.carry(times[-1 - min(steady, STEADY) :])
            else:
                pace.begin(times[-1])
            return
        passed = round(self.due(times[-1])) - self._number
        first = max(1, passed + 1 - KEPT)
        line = [self._meant + self._interval * step for step in range(first, passed + 1 - STEADY)]
        pace.carry([*line, *times[1:]])

    def _is_whole(self, owed: float) -> bool:
        """Return whether so many clocks are a whole number, where the line is known well enough to say so."""
        interval = self._interval
        if self._through < PROVEN or abs(remainder(interval, PERIOD)) < max(1.0, self._off):
            return False
        passed = self.due(self._times[-1]) - self._number
        doubt = AGREES * self._off * (1 + passed * sqrt(12 / self._through**3)) / interval
        if owed > 0 and self._made_up:  # they were late, and so is what is left of them, or the tempo has changed
            return False
        return doubt < UNSURE and abs(owed - round(owed)) < max(EXACT, doubt)
