"""Who follows us: what we tell others of our own motion, by MIDI clock, MTC, MMC, Ableton Link."""

from __future__ import annotations

from typing import Protocol

from cmt_bridge.player.motion import Change
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.timebase import Timebase

__all__ = ["Leader", "Told", "leader"]

Told = list[tuple[int, bytes]]
"""Device times and messages, in order."""


class Leader(Protocol):
    """Tell others where the music is."""

    def change(self, change: Change, why: str) -> Told:
        """Take another motion from its time on, and return what is to be said at once.

        `why` is start, stop, locate, loop, or empty for another tempo.
        """

    def render(self, until: int) -> Told:
        """Return what is due before a device time and was not given yet."""


def leader(kind: str, *, rate: int, timebase: Timebase, start: str = "", picture: Picture = NOTHING) -> Leader:
    """Return a leader of a kind (`LEADS` of `order`, but for JACK's transport, which is the device's own business).

    `start` is the timecode of the first bar, empty for the picture's own. Raises `MissingError` where a package
    that it needs is not installed, `UsageError` for a timecode that is none.
    """
    match kind:
        case "clock":
            from cmt_bridge.player.lead.clock import ClockLeader

            return ClockLeader(timebase, rate)
        case "mtc":
            from cmt_bridge.player.lead.timecode import TimecodeLeader

            return TimecodeLeader(timebase, rate, picture=picture, start=start)
        case "mmc":
            from cmt_bridge.player.lead.mmc import MmcLeader

            return MmcLeader(timebase, rate, picture=picture, start=start)
        case _:
            from cmt_bridge.player.lead.link import LinkLeader

            return LinkLeader(timebase, rate)
