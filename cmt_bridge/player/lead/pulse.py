"""Pulses: messages at even steps of the position, whose times are exact, and what is said where the motion turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Final

from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import NANOSECONDS, TIME, Timebase

__all__ = ["Pacer"]

ALIGNED: Final = 1e-4  # of a unit of device time; a position this near to a whole number of them is meant to be one
NUDGE: Final = NANOSECONDS // 20  # a correction of the motion by less is none that others are told to jump by

PATIENCE: Final = 50  # of a second; where others are told of a turn so little late, they are told of all of it

Told = list[tuple[int, bytes]]


class Pacer(ABC):
    """Take motions, each from its time on, and send a pulse for each step of the position.

    `rate` is how many units of device time a second has. Time is reckoned in fractions, so that nothing drifts: pulses
    of an hour ago change nothing in where the next one is.
    """

    def __init__(self, timebase: Timebase, rate: int) -> None:
        self._ruler = timebase
        self._rate = rate
        self._turns: list[tuple[Change, str]] = []
        self._now: int | None = None
        self._course = Motion(0, 0.0)
        self._place = Fraction(0)
        self._units = Fraction(0)  # of device time for each unit of position
        self._count: int | None = None  # of the next pulse; None where there are none
        self._due = 0

    def change(self, change: Change, why: str) -> Told:
        """Take another motion from its time on; what was to come after that time is taken back."""
        self._turns = [turn for turn in self._turns if turn[0].motion.time < change.motion.time]
        self._turns.append((change, why))
        return []

    def render(self, until: int) -> Told:
        """Return what is due before a device time and was not given yet."""
        if not self._turns and (self._count is None or self._due >= until):
            self._now = until
            return []
        out: Told = []
        while self._turns and self._turns[0][0].motion.time < until:
            change, why = self._turns.pop(0)
            time = change.motion.time if self._now is None else max(self._now, change.motion.time)
            self._run(time, out)
            self._now = time
            self._take(change, why, time, out)
        self._run(until, out)
        self._now = until
        return out

    # What each kind of them says

    @abstractmethod
    def _place_of(self, count: int) -> Fraction:
        """Return the position of a pulse."""

    @abstractmethod
    def _pulse(self, count: int) -> list[bytes]:
        """Return what is said at a pulse."""

    @abstractmethod
    def _begin(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        """Return what is said where the music begins to roll at a position, and its first pulse."""

    @abstractmethod
    def _move(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        """Return what is said where rolling music goes to a position, and the first pulse there."""

    @abstractmethod
    def _stand(self, place: Fraction, rolled: bool) -> list[bytes]:
        """Return what is said where the music stands at a position, whether it rolled before or not."""

    # The same for all

    def _take(self, change: Change, why: str, time: int, out: Told) -> None:
        before, motion = self._course, change.motion
        slip = abs(motion.position_at(time) - before.position_at(time))
        nudged = before.is_rolling and motion.is_rolling and not change.jump and slip * self._second(motion) < NUDGE
        count = self._count
        self._follow(motion)
        if nudged:
            if count is not None:
                self._expect(count, time)
            return
        late = time - motion.time
        place = self._place_at(motion.time if late * PATIENCE <= self._rate else time)
        if motion.is_rolling:
            said, first = (self._move if before.is_rolling else self._begin)(place, why)
        else:
            said, first = self._stand(place, before.is_rolling), None
        out += [(time, message) for message in said]
        self._count = None
        if first is not None:
            self._expect(first, time)

    def _second(self, motion: Motion) -> float:
        """Return how many ns a unit of position lasts."""
        return 1.0 if self._ruler.domain == TIME else NANOSECONDS / (motion.speed * self._rate)

    def _follow(self, motion: Motion) -> None:
        self._course = motion
        self._place = Fraction(motion.position)
        self._units = Fraction(0)
        if not motion.is_rolling:
            return
        if self._ruler.domain == TIME and NANOSECONDS / self._rate == motion.speed:
            self._units = Fraction(self._rate, NANOSECONDS)
            units = motion.position / motion.speed
            if motion.position != int(motion.position) and abs(units - round(units)) < ALIGNED:
                self._place = round(units) / self._units
        else:
            self._units = 1 / Fraction(motion.speed)

    def _place_at(self, time: int) -> Fraction:
        """Return the position at a device time."""
        if not self._units:
            return self._place
        return self._place + (time - self._course.time) / self._units

    def _time_of(self, place: Fraction) -> int:
        return round(self._course.time + (place - self._place) * self._units)

    def _expect(self, count: int, earliest: int) -> None:
        self._count = count
        self._due = max(earliest, self._time_of(self._place_of(count)))

    def _run(self, until: int, out: Told) -> None:
        while self._count is not None and self._due < until:
            out += [(self._due, message) for message in self._pulse(self._count)]
            self._expect(self._count + 1, self._due)
