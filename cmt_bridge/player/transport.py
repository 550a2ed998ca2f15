"""Our own transport: play, stop and locate, where nobody else leads."""

from __future__ import annotations

from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import TIME, Timebase

__all__ = ["Transport"]


class Transport:
    """Give the change that a wish makes of the motion as it is; a wish that changes nothing gives None.

    `rate` is how many units of device time a second has. Where the music goes by time its position stays a whole number
    of nanoseconds, so that nothing is rounded twice.
    """

    def __init__(self, timebase: Timebase, rate: int) -> None:
        self._ruler = timebase
        self._rate = rate

    def play(self, motion: Motion, time: int) -> Change | None:
        """Roll from where the music stands."""
        if motion.is_rolling:
            return None
        return Change(Motion(time, motion.position, self._ruler.speed(self._rate, motion.position)))

    def stop(self, motion: Motion, time: int) -> Change | None:
        """Stand where the music is, or where it was to start."""
        if not motion.is_rolling:
            return None
        position = motion.position_at(max(time, motion.time))
        return Change(Motion(time, round(position) if self._ruler.domain == TIME else position))

    def locate(self, motion: Motion, tick: int, time: int) -> Change:
        """Go to a tick, rolling or not."""
        position = self._ruler.position(tick)
        return Change(Motion(time, position, self._ruler.speed(self._rate, position) if motion.is_rolling else 0.0))
