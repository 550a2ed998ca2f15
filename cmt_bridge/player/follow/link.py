"""Follow Ableton Link: its tempo and its beat, and its start and stop.

Link knows no position of a song: who begins does so at a bar line of the session. So the music begins with its first
bar at the next of those when somebody starts, and goes on with whatever tempo the session has.
"""

from __future__ import annotations

from typing import Any, Final

from cmt_bridge.core.tempo import TICKS_PER_QUARTER
from cmt_bridge.player.linkclock import QUANTUM, LinkClock, join
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import Timebase

__all__ = ["LinkFollower"]

SECONDS_PER_MINUTE: Final = 60
LOOKS: Final = 50  # a second
SLIP: Final = 0.01  # sixteenths by which the session may be elsewhere than the motion leads
LEAP: Final = 1.0  # and by which it is another place


class LinkFollower:
    """Turn a Link session into a motion by beats. Raises `MissingError` where the package is not installed."""

    def __init__(self, timebase: Timebase, rate: int) -> None:
        self._session = join(timebase.tempo_map.bpm_at(0))
        self._clock = LinkClock(self._session, rate)
        self._rate = rate
        self._every = rate // LOOKS
        self._looked = -self._every
        self._plays = False
        self._origin = 0.0  # the session's beat at which the first bar begins
        self._course = Motion(0, 0.0)
        self._tempo = timebase.tempo_map.bpm_at(0)

    def receive(self, data: bytes, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over MIDI."""
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over JACK's transport."""
        return []

    def poll(self, time: int) -> list[Change]:
        """Ask the session, some times a second."""
        self._clock.note(time)
        if time - self._looked < self._every:
            return []
        self._looked = time
        state = self._session.captureSessionState()
        beat = state.beatAtTime(self._clock.micros(time), QUANTUM)
        self._tempo = state.tempo()
        if not state.isPlaying():
            played, self._plays = self._plays, False
            if not played:
                return []
            self._course = Motion(time, max(0.0, self._course.position_at(time)))
            return [Change(self._course)]
        if not self._plays:
            self._plays = True
            began = state.beatAtTime(state.timeForIsPlaying(), QUANTUM)
            self._origin = -(-began // QUANTUM) * QUANTUM
            return [self._follow(time, beat, jump=True)]
        slip = abs((beat - self._origin) * TICKS_PER_QUARTER - self._course.position_at(time))
        speed = self._speed()
        if slip < SLIP and abs(speed - self._course.speed) < 1e-12:
            return []
        return [self._follow(time, beat, jump=slip >= LEAP)]

    @property
    def state(self) -> dict[str, Any]:
        """Return whether it plays, its tempo and how many others are in the session."""
        return {"rolling": self._plays, "tempo": round(self._tempo, 3), "peers": self._session.numPeers()}

    def _speed(self) -> float:
        return self._tempo * TICKS_PER_QUARTER / SECONDS_PER_MINUTE / self._rate

    def _follow(self, time: int, beat: float, *, jump: bool) -> Change:
        self._course = Motion(time, (beat - self._origin) * TICKS_PER_QUARTER, self._speed())
        return Change(self._course, jump=jump)
