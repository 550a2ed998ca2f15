"""Where the music is: the position as a straight line over the time of the device that plays.

Device time is a whole number in units of 1/rate seconds: frames of JACK, or nanoseconds of the monotonic clock where
rate is 10⁹. A position is in the unit of a `Timebase`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Change", "Motion"]


@dataclass(frozen=True, slots=True)
class Motion:
    """How the position moves: it is `position` at device time `time`, and `speed` more with each unit of device time.

    A speed of 0 is a position at which the music stands.
    """

    time: int
    position: float
    speed: float = 0.0

    @property
    def is_rolling(self) -> bool:
        """Whether the position moves."""
        return self.speed > 0.0

    def position_at(self, time: float) -> float:
        """Return the position at a device time."""
        return self.position + (time - self.time) * self.speed

    def time_of(self, position: float) -> float:
        """Return the device time at which a position is reached. The motion must roll."""
        return self.time + (position - self.position) / self.speed


@dataclass(frozen=True, slots=True)
class Change:
    """Another motion from its `time` on.

    With `jump` the position is another one than the motion before leads to (start, stop, locate): what sounds is ended,
    and what should be sounding is struck. Without, it is the same music at another speed, or nudged by so little that
    nothing is heard of it. `flush` ends what sounds, whatever else. `note` is for people: `lost`, `found`, or empty.
    """

    motion: Motion
    jump: bool = True
    flush: bool = False
    note: str = ""
