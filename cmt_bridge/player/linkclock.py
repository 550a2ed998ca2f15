"""Ableton Link: the session of the local network, and how its clock and the device's tell the same moment."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import Any, Final

from cmt_bridge.errors import MissingError
from cmt_bridge.player.timebase import NANOSECONDS

__all__ = ["QUANTUM", "LinkClock", "join"]

QUANTUM: Final = 4.0  # beats of a bar, at which those of a session begin together
MICROSECONDS: Final = 10**6
KEPT: Final = 16  # seconds over which the clocks are compared


def join(bpm: float) -> Any:
    """Join the session, or begin one at a tempo in BPM. Raises `MissingError` where the package is not installed."""
    try:
        import link
    except ImportError as error:
        raise MissingError("Ableton Link is not installed.", hint="pip install 'cmt-bridge[link]'") from error
    session = link.Link(bpm)
    session.startStopSyncEnabled = True
    session.enabled = True
    return session


class LinkClock:
    """Convert between device time (`rate` units a second) and Link's microseconds.

    A device can be late in asking for a period, never early: of each second the least late moment counts.
    """

    def __init__(self, session: Any, rate: int) -> None:
        self._clock = session.clock()
        self._rate = rate
        self._offsets: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self._offset = 0.0

    @property
    def set(self) -> bool:
        """Whether a moment was noted."""
        return bool(self._offsets)

    def note(self, time: int) -> None:
        """Note that a period begins at a device time, right now; where that is the monotonic clock, it knows better."""
        if self._rate == NANOSECONDS:
            time = monotonic_ns()
        self._add(time, self._clock.micros() - time * MICROSECONDS / self._rate)

    def micros(self, time: int) -> int:
        """Return the microsecond of a device time."""
        return round(time * MICROSECONDS / self._rate + self._offset)

    def time(self, micros: int) -> int:
        """Return the device time of a microsecond."""
        return round((micros - self._offset) * self._rate / MICROSECONDS)

    def _add(self, time: int, offset: float) -> None:
        second = time // self._rate
        if self._offsets and self._offsets[-1][0] == second:
            if offset >= self._offsets[-1][1]:
                return
            self._offsets[-1] = second, offset
        else:
            self._offsets.append((second, offset))
        self._offset = min(each for _, each in self._offsets)
