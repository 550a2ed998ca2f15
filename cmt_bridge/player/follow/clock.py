"""Follow MIDI clock: Start, Stop, Continue, song position, and 24 clocks a quarter.

A clock says that a 24th of a quarter has passed, and when. Times come with jitter, up to half a period of the sender, so
a delay-locked loop (Adriaensen, *Using a DLL to filter time*, 2005) tells when a clock was meant. A step of the
tempo is taken for one when two clocks in a row say so. A clock that is missing between two that fit is counted.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, Final

from cmt_bridge.player.course import Change, Course
from cmt_bridge.player.ruler import Ruler

__all__ = ["CLOCKS_PER_SIXTEENTH", "ClockFollower"]

CLOCK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
CONTROLLER: Final = 0xB0
FLUSHES: Final = (120, 123)  # controllers by which hosts ask for silence before they play

CLOCKS_PER_SIXTEENTH: Final = 6
CLOCKS_PER_QUARTER: Final = 24
SECONDS_PER_MINUTE: Final = 60
SETTLED: Final = 24  # clocks over which the loop grows as slow as it gets
BANDWIDTH: Final = 0.03  # of the loop, per clock, when it has settled
STEP: Final = 0.12  # of a clock, by which two in a row are off the same way where the tempo has changed
UNRULY: Final = 4.0  # times the usual jitter, by which they are
MISSING: Final = 0.35  # of a clock, by which a gap may differ from whole clocks and still be some that got lost
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
        self._interval = rate * SECONDS_PER_MINUTE / (ruler.tempo_map.bpm_at(0) * CLOCKS_PER_QUARTER)  # device time
        self._number = 0  # of the last clock, since the beginning of the song
        self._next: int | None = None  # number of the next one, where that is not the one after the last
        self._last: int | None = None  # device time of the last clock
        self._meant = 0.0  # and when it was meant
        self._count = 0  # clocks since the loop began anew
        self._off = 0.0  # error of the last clock where that was a doubtful one
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
        if time - self._last <= max(LOST * self._interval, LEAST_LOST * self._rate):
            return []
        self._lost = True
        return [Change(Course(time, self._number / CLOCKS_PER_SIXTEENTH), note="lost")]

    @property
    def state(self) -> dict[str, Any]:
        """Tell whether it rolls, its tempo in BPM and its jitter in ms."""
        return {
            "rolling": self._rolling and not self._lost,
            "lost": self._lost,
            "tempo": round(self._rate * SECONDS_PER_MINUTE / (self._interval * CLOCKS_PER_QUARTER), 2),
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
            self._anchor(time)
            return [Change(self._course(time))]
        if self._lost:
            return self._found(time)
        missing = self._tick(time)
        self._number += 1 + missing
        return [Change(self._course(time), jump=False)]

    def _found(self, time: int) -> list[Change]:
        """Join clocks that come again: the sender has gone on meanwhile, by whole clocks."""
        assert self._last is not None
        self._number += max(1, round((time - self._last) / self._interval))
        self._lost = False
        self._anchor(time)
        return [Change(self._course(time), note="found")]

    def _anchor(self, time: int) -> None:
        """Begin the loop anew at a clock; the interval stays until another is known."""
        self._last, self._meant = time, float(time)
        self._count, self._off = 0, 0.0

    def _tick(self, time: int) -> int:
        """Let the loop take in a clock; give how many were missing before it."""
        last, self._last = self._last, time
        if last is None or time <= last or time - last > LEAST_LOST * self._rate + LOST * self._interval:
            self._anchor(time)
            return 0
        self._count += 1
        error = time - (self._meant + self._interval)
        whole = round(error / self._interval)
        if 1 <= whole <= MOST_MISSING and not self._off and self._fits(error - whole * self._interval):
            self._meant += whole * self._interval
            self._off = error
            self._follow(error - whole * self._interval)
            return whole
        if self._count == 1 and abs(error) > STEP * self._interval:  # the tempo of before is not that of now
            self._interval = float(time - last)
            self._meant = float(time)
            return 0
        doubtful = abs(error) > max(STEP * self._interval, UNRULY * self._jitter)
        if doubtful and self._off * error > 0:
            taken_back = -round(self._off / self._interval) if abs(self._off) > (1 - MISSING) * self._interval else 0
            self._interval, self._meant = float(time - last), float(time)
            self._count, self._off = 1, 0.0
            return min(0, taken_back)
        self._off = error if doubtful else 0.0
        self._follow(error)
        return 0

    def _fits(self, rest: float) -> bool:
        return self._count > 2 and abs(rest) < MISSING * self._interval

    def _follow(self, error: float) -> None:
        """Move by a share of the error: a large one at the beginning, when little is known yet."""
        omega = 2 * pi * max(BANDWIDTH, 0.25 * (1 - self._count / SETTLED))
        self._meant += self._interval + min(1.0, sqrt(2) * omega) * error
        self._interval += min(0.5, omega * omega) * error
        self._jitter += SMOOTH * (abs(error) - self._jitter)

    def _course(self, time: int) -> Course:
        """Give the course as it is meant at a device time."""
        speed = 1.0 / (CLOCKS_PER_SIXTEENTH * self._interval)
        position = self._number / CLOCKS_PER_SIXTEENTH
        if not self._rolling or self._lost:
            return Course(time, position)
        return Course(time, position + (time - self._meant) * speed, speed)
