"""Our own transport: play, stop and locate, where nobody else leads."""

from __future__ import annotations

from cmt_bridge.player.course import Change, Course
from cmt_bridge.player.ruler import TIME, Ruler

__all__ = ["Transport"]


class Transport:
    """Give the change that a wish makes of the course as it is; a wish that changes nothing gives None.

    `rate` is how many units of device time a second has. Where the music goes by time its position stays a whole number
    of nanoseconds, so that nothing is rounded twice.
    """

    def __init__(self, ruler: Ruler, rate: int) -> None:
        self._ruler = ruler
        self._rate = rate

    def play(self, course: Course, time: int) -> Change | None:
        """Roll from where the music stands."""
        if course.rolls:
            return None
        return Change(Course(time, course.position, self._ruler.speed(self._rate, course.position)))

    def stop(self, course: Course, time: int) -> Change | None:
        """Stand where the music is, or where it was to start."""
        if not course.rolls:
            return None
        position = course.position_at(max(time, course.time))
        return Change(Course(time, round(position) if self._ruler.domain == TIME else position))

    def locate(self, course: Course, tick: int, time: int) -> Change:
        """Go to a tick, rolling or not."""
        position = self._ruler.of(tick)
        return Change(Course(time, position, self._ruler.speed(self._rate, position) if course.rolls else 0.0))
