"""Follow MIDI clock: Start, Stop, Continue, song position, and 24 clocks a quarter.

A clock says that a 24th of a quarter has passed, and when. Times come with jitter, up to half a period of the sender or
several clocks at once, so `Pace` tells when a clock was meant. What counts is how many came: only where they come well
in time is one that is missing between two counted too.
"""

from __future__ import annotations

from math import remainder
from typing import Any, Final

from cmt_bridge.player.course import Change, Course
from cmt_bridge.player.follow.pace import Pace
from cmt_bridge.player.ruler import Ruler

__all__ = ["CLOCKS_PER_SIXTEENTH", "ClockFollower"]

CLOCK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
CONTROLLER: Final = 0xB0
FLUSHES: Final = (120, 123)  # controllers by which hosts ask for silence before they play

CLOCKS_PER_SIXTEENTH: Final = 6
CLOCKS_PER_QUARTER: Final = 24
SECONDS_PER_MINUTE: Final = 60
IN_TIME: Final = 0.02  # of a clock, the deviation up to which one that is missing is told from one that is late
WHOLE: Final = 0.25  # of a clock, by which a gap may differ from whole clocks and still be some that got lost
KNOWN: Final = 5  # clocks after which that can be told
PERIOD: Final = (
    256  # units of device time; who sends at whole multiples of that sends when it can, and is late at times
)
MOST_MISSING: Final = 3
LOST: Final = 5  # clocks that do not come
LEAST_LOST: Final = 0.080  # s
SMOOTH: Final = 0.1  # of a new error, in the mean of them


class ClockFollower:
    """Turn MIDI clock into a course by beats.

    Positions are sixteenths. `unit` is how many clocks a step of the song position stands for: 6, as the standard says,
    or 1 with a host that counts it in clocks. Before a tempo is known it is the score's own.
    """

    def __init__(self, ruler: Ruler, rate: int, *, unit: int = CLOCKS_PER_SIXTEENTH) -> None:
        self._rate = rate
        self._unit = unit
        self._pace = Pace(rate, rate * SECONDS_PER_MINUTE / (ruler.tempo_map.bpm_at(0) * CLOCKS_PER_QUARTER))
        self._number = 0  # of the last clock, since the beginning of the song
        self._next: int | None = None  # number of the next one, where that is not the one after the last
        self._last: int | None = None  # device time of the last clock
        self._missing = 0  # clocks that were counted before the last one, though they did not come
        self._jitter = 0.0
        self._rolling = False
        self._lost = False

    def hear(self, data: bytes, time: int) -> list[Change]:
        """Take in a MIDI message."""
        status = data[0] if data else 0
        if status == CLOCK:
            return self._clock(time)
        if status == START:
            return self._begin(0)
        if status == CONTINUE:
            return self._begin(self._number if self._next is None else self._next)
        if status == STOP:
            return self._stop(time)
        if status == SONG_POSITION and len(data) == 3:
            self._next = (data[1] & 0x7F | (data[2] & 0x7F) << 7) * self._unit
            return [] if self._rolling else [Change(Course(time, self._next / CLOCKS_PER_SIXTEENTH))]
        if status & 0xF0 == CONTROLLER and len(data) == 3 and data[1] in FLUSHES:
            return [Change(self._course(time), jump=False, flush=True)]
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over JACK's transport."""
        return []

    def look(self, time: int) -> list[Change]:
        """Notice that clocks do not come any more."""
        if not self._rolling or self._lost or self._last is None or self._next is not None:
            return []
        if time - self._last <= self._patience:
            return []
        self._lost = True
        return [Change(Course(time, self._number / CLOCKS_PER_SIXTEENTH), note="lost")]

    @property
    def state(self) -> dict[str, Any]:
        """Tell whether it rolls, its tempo in BPM and its jitter in ms."""
        return {
            "rolling": self._rolling and not self._lost,
            "lost": self._lost,
            "tempo": round(self._rate * SECONDS_PER_MINUTE / (self._pace.interval * CLOCKS_PER_QUARTER), 2),
            "jitter_ms": round(1000 * self._jitter / self._rate, 3),
        }

    def _begin(self, number: int) -> list[Change]:
        """Wait for the clock that is the beginning."""
        self._next = number
        self._rolling = True
        self._lost = False
        return []

    def _stop(self, time: int) -> list[Change]:
        rolled, waited = self._rolling, self._next is not None
        self._rolling = self._lost = False
        if not rolled:
            return []
        number = (
            self._number + 1 if self._next is None else self._next
        )  # Continue goes on with the one that did not come
        position = self._number if not waited else number
        self._next = number
        return [Change(Course(time, position / CLOCKS_PER_SIXTEENTH))]

    def _clock(self, time: int) -> list[Change]:
        if not self._rolling:
            self._tick(time)
            return []
        if self._next is not None:
            self._number, self._next = self._next, None
            self._lost = False
            self._begin_pace(time)
            return [Change(self._course(time))]
        if self._lost:
            return self._found(time)
        self._number += 1 + self._tick(time)
        return [Change(self._course(time), jump=False)]

    def _found(self, time: int) -> list[Change]:
        """Join clocks that come again: the sender has gone on meanwhile, by whole clocks."""
        assert self._last is not None
        self._number += max(1, round((time - self._last) / self._pace.interval))
        self._lost = False
        self._begin_pace(time)
        return [Change(self._course(time), note="found")]

    def _begin_pace(self, time: int) -> None:
        self._pace.begin(time)
        self._last, self._missing = time, 0

    def _tick(self, time: int) -> int:
        """Take in the next clock; give how many more there are than it, which may be less than none."""
        last, pace = self._last, self._pace
        if last is None or time - last > self._patience:
            self._begin_pace(time)
            return 0
        self._last = time
        gap, missing = time - last, self._missing
        self._missing = 0
        if missing and abs(gap - pace.interval * (missing + 1)) < WHOLE * pace.interval:
            pace.forget(1)  # as far apart again: none was missing, the tempo is another one
            pace.interval = float(gap)
            pace.add(time)
            return -missing
        self._missing = self._lacks(gap)
        for number in range(self._missing):
            pace.add(last + gap * (number + 1) / (self._missing + 1))
        pace.add(time)
        self._jitter += SMOOTH * (abs(time - pace.meant) - self._jitter)
        return self._missing

    def _lacks(self, gap: int) -> int:
        """Give how many clocks are missing in a gap, where that can be told."""
        pace = self._pace
        if pace.count < KNOWN or pace.off > IN_TIME * pace.interval or abs(remainder(pace.interval, PERIOD)) < 1:
            return 0
        whole = round(gap / pace.interval)
        fits = abs(gap / pace.interval - whole) < WHOLE
        return whole - 1 if fits and 1 < whole <= MOST_MISSING + 1 else 0

    @property
    def _patience(self) -> float:
        """Device time after which clocks do not come any more."""
        return max(LOST * self._pace.interval, LEAST_LOST * self._rate)

    def _course(self, time: int) -> Course:
        """Give the course as it is meant at a device time."""
        speed = 1.0 / (CLOCKS_PER_SIXTEENTH * self._pace.interval)
        position = self._number / CLOCKS_PER_SIXTEENTH
        if not self._rolling or self._lost:
            return Course(time, position)
        return Course(time, position + (time - self._pace.meant) * speed, speed)
