"""Follow MIDI clock: Start, Stop, Continue, song position, and 24 clocks a quarter.

A clock says that a 24th of a quarter has passed, and when. Times come with jitter, up to half a period of the sender or
several clocks at once, so `Pace` tells when a clock was meant. What counts is how many came. Where some do not come
when they are due the music goes on at their pace, since that is where the sender is; if they do not come for long, it
waits. `Arrears` tells afterwards whether they were late or lost: only lost ones are counted too, until they come.
"""

from __future__ import annotations

from typing import Any, Final

from cmt_bridge.player.follow.arrears import Arrears, is_off
from cmt_bridge.player.follow.pace import Pace
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import Timebase

__all__ = ["CLOCKS_PER_SIXTEENTH", "ClockFollower"]

CLOCK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
CONTROLLER: Final = 0xB0
FLUSHES: Final = (120, 123)  # controllers by which hosts ask for silence before they play

CLOCKS_PER_SIXTEENTH: Final = 6
CLOCKS_PER_QUARTER: Final = 24
SECONDS_PER_MINUTE: Final = 60
LOST: Final = 5  # clocks that do not come
LEAST_LOST: Final = 0.080  # s
SMOOTH: Final = 0.1  # of a new error, in the mean of them
LEAP: Final = 1.0  # sixteenths from which on a position that is put right is another place


class ClockFollower:
    """Turn MIDI clock into a motion by beats.

    Positions are sixteenths. `unit` is how many clocks a step of the song position stands for: 6, as the standard says,
    or 1 with a host that counts it in clocks. Before a tempo is known it is the score's own.
    """

    def __init__(self, timebase: Timebase, rate: int, *, unit: int = CLOCKS_PER_SIXTEENTH) -> None:
        self._rate = rate
        self._unit = unit
        self._pace = Pace(rate, rate * SECONDS_PER_MINUTE / (timebase.tempo_map.bpm_at(0) * CLOCKS_PER_QUARTER))
        self._number = 0  # of the last clock, since the beginning of the song
        self._next: int | None = None  # number of the next one, where that is not the one after the last
        self._last: int | None = None  # device time of the last clock
        self._arrears: Arrears | None = None  # while clocks that were due are waited for
        self._counted = 0  # clocks that were lost and are counted all the same, since the last locate
        self._jitter = 0.0
        self._rolling = False
        self._lost = False

    def receive(self, data: bytes, time: int) -> list[Change]:
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
            return [] if self._rolling else [Change(Motion(time, self._next / CLOCKS_PER_SIXTEENTH))]
        if status & 0xF0 == CONTROLLER and len(data) == 3 and data[1] in FLUSHES:
            return [Change(self._course(time), jump=False, flush=True)]
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over JACK's transport."""
        return []

    def poll(self, time: int) -> list[Change]:
        """Notice that clocks do not come any more."""
        if not self._rolling or self._lost or self._last is None or self._next is not None:
            return []
        if time - self._last <= self._patience:
            return []
        self._lost = True
        if self._arrears is None:
            self._arrears = Arrears(self._pace, self._number, self._counted)
        return [Change(Motion(time, self._number / CLOCKS_PER_SIXTEENTH), note="lost")]

    @property
    def state(self) -> dict[str, Any]:
        """Return whether it rolls, its tempo in BPM and its jitter in ms."""
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
        return [Change(Motion(time, position / CLOCKS_PER_SIXTEENTH))]

    def _clock(self, time: int) -> list[Change]:
        if not self._rolling:
            if self._last is None or time - self._last > self._patience:
                self._begin_pace(time)
            else:
                self._add(time)
            return []
        if self._next is not None:
            self._number, self._next = self._next, None
            self._lost = False
            self._begin_pace(time)
            return [Change(self._course(time))]
        self._number += 1
        if self._arrears is None and is_off(self._pace, time, early=self._counted > 0):
            self._arrears = Arrears(self._pace, self._number - 1, self._counted)
        if self._arrears is not None:
            return self._wait(self._arrears, time)
        self._add(time)
        return [Change(self._course(time), jump=False)]

    def _wait(self, arrears: Arrears, time: int) -> list[Change]:
        """Take a clock while it is open whether those that were due are late or lost."""
        self._last = time
        arrears.add(time)
        verdict = arrears.judge(self._number)
        before = arrears.due(time) / CLOCKS_PER_SIXTEENTH
        if verdict is None:
            found = self._lost
            if found and not arrears.fits(self._number):
                return []
            self._lost = False  # what rolls goes on as it was
            motion = Motion(time, before, 1.0 / (CLOCKS_PER_SIXTEENTH * self._pace.interval))
            return [Change(motion, jump=found, note="found" if found else "")]
        self._counted += verdict.number - self._number
        self._number = verdict.number
        arrears.settle(self._pace, verdict)
        self._arrears = None
        if self._lost:
            self._lost = False
            return [Change(self._course(time), note="found")]
        motion = self._course(time)
        return [Change(motion, jump=abs(motion.position - before) >= LEAP)]

    def _begin_pace(self, time: int) -> None:
        self._pace.begin(time)
        self._last, self._arrears, self._counted = time, None, 0

    def _add(self, time: int) -> None:
        """Take the next clock on the line."""
        self._last = time
        self._pace.add(time)
        self._jitter += SMOOTH * (abs(time - self._pace.meant) - self._jitter)

    @property
    def _patience(self) -> float:
        """Device time after which clocks do not come any more."""
        return max(LOST * self._pace.interval, LEAST_LOST * self._rate)

    def _course(self, time: int) -> Motion:
        """Return the motion as it is meant at a device time."""
        speed = 1.0 / (CLOCKS_PER_SIXTEENTH * self._pace.interval)
        position = self._number / CLOCKS_PER_SIXTEENTH
        if not self._rolling or self._lost:
            return Motion(time, position)
        return Motion(time, position + (time - self._pace.meant) * speed, speed)
