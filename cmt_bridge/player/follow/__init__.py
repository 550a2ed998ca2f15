"""Who is followed: MIDI clock, MTC, JACK's transport, Ableton Link. Each turns what it hears into changes of motion."""

from __future__ import annotations

from typing import Any, Protocol

from cmt_bridge.player.motion import Change
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.timebase import Timebase

__all__ = ["Follower", "follower"]


class Follower(Protocol):
    """Hear somebody's transport; all times are device times."""

    def receive(self, data: bytes, time: int) -> list[Change]:
        """Take in a MIDI message."""

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:
        """Take in where JACK's transport is: its frame, and bar, beat and tick where somebody states them."""

    def poll(self, time: int) -> list[Change]:
        """Notice what was not heard."""

    @property
    def state(self) -> dict[str, Any]:
        """For people: whether it is there and rolls, its tempo, its jitter."""


def follower(kind: str, *, rate: int, timebase: Timebase, start: str = "", picture: Picture = NOTHING) -> Follower:
    """Return a follower of a kind (`FOLLOWS` of `order`); `rate` in units of device time a second.

    `start` is the timecode of the first bar, empty for the picture's own where what is heard lies in the picture, and
    for the whole hour before it else. Raises `MissingError` where a package that it needs is not
    installed, `UsageError` for a timecode that is none.
    """
    match kind:
        case "clock":
            from cmt_bridge.player.follow.clock import ClockFollower

            return ClockFollower(timebase, rate)
        case "ardour-clock":
            from cmt_bridge.player.follow.clock import ClockFollower

            return ClockFollower(timebase, rate, unit=1)
        case "mtc":
            from cmt_bridge.player.follow.timecode import TimecodeFollower

            return TimecodeFollower(rate, start=start, picture=picture)
        case "link":
            from cmt_bridge.player.follow.link import LinkFollower

            return LinkFollower(timebase, rate)
        case _:
            from cmt_bridge.player.follow.jacktransport import TransportFollower

            return TransportFollower(timebase, rate, by_bars=kind == "jack-bars")
