"""Follow JACK's transport: its frame is the time of the picture, its bar, beat and tick are those of the session."""

from __future__ import annotations

from typing import Any, Final

from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_QUARTER
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import NANOSECONDS, Timebase

__all__ = ["TransportFollower"]

SECONDS_PER_MINUTE = 60
LATE: Final = 0.030  # s, by which the transport may fall behind frame time where JACK itself was late
SLIP: Final = 0.02  # sixteenths by which a position by beats may differ from where the motion leads


class TransportFollower:
    """Take each cycle's state of the transport, by time or, where somebody states them, by bars and beats.

    A bar has four quarters, as in the score: another metre of the session counts in quarters from its beginning.
    """

    def __init__(self, timebase: Timebase, rate: int, *, by_bars: bool = False) -> None:
        self._ruler = timebase
        self._rate = rate
        self._by_bars = by_bars
        self._course = Motion(0, 0.0)
        self._frame = 0
        self._time: int | None = None
        self._rolling = False
        self._stated = not by_bars
        self._tempo = 0.0

    def receive(self, data: bytes, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over what is no transport."""
        return []

    def poll(self, time: int) -> list[Change]:  # noqa: ARG002
        """Miss nothing: each cycle says it all."""
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:
        """Compare where the transport is with where it was to be."""
        if self._by_bars and bbt is None:
            if not self._stated:
                return []
            self._stated = False
            rolling = False
        else:
            self._stated = True
        expected = self._frame + (time - self._time if self._time is not None and self._rolling else 0)
        slipped = rolling and self._rolling and abs(frame - expected) < LATE * self._rate
        moved = self._time is None or rolling != self._rolling or frame != expected
        self._frame, self._time, self._rolling = frame, time, rolling
        if not self._by_bars:
            if not moved:
                return []
            speed = NANOSECONDS / self._rate if rolling else 0.0
            self._course = Motion(time, frame * NANOSECONDS / self._rate, speed)
            return [Change(self._course, jump=not slipped)]
        position, self._tempo = self._bars(bbt) if self._stated else (self._course.position_at(time), self._tempo)
        speed = self._tempo * TICKS_PER_QUARTER / SECONDS_PER_MINUTE / self._rate if rolling else 0.0
        slip = abs(position - self._course.position_at(time))
        if not moved and slip < SLIP and abs(speed - self._course.speed) <= 1e-12:
            return []
        self._course = Motion(time, position, speed)
        return [Change(self._course, jump=(moved and not slipped) or slip >= TICKS_PER_QUARTER)]

    @staticmethod
    def _bars(bbt: Any) -> tuple[float, float]:
        """Return sixteenths since the first bar, and quarters a minute."""
        bar, beat, tick, ticks_per_beat, beats_per_bar, tempo = bbt
        beats = (bar - 1) * (beats_per_bar or BEATS_PER_BAR) + beat - 1 + tick / (ticks_per_beat or 1.0)
        return beats * TICKS_PER_QUARTER, tempo

    @property
    def state(self) -> dict[str, Any]:
        """Return whether it rolls, and its tempo where it is known."""
        found: dict[str, Any] = {"rolling": self._rolling, "there": self._stated}
        return {**found, "tempo": round(self._tempo, 3)} if self._tempo else found
