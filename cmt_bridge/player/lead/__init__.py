"""Who follows us: what we tell others of our own course, by MIDI clock, MTC, MMC, Ableton Link."""

from __future__ import annotations

from typing import Protocol

from cmt_bridge.player.course import Change
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.ruler import Ruler

__all__ = ["Leader", "Told", "leader"]

Told = list[tuple[int, bytes]]
"""Device times and messages, in order."""


class Leader(Protocol):
    """Tell others where the music is."""

    def change(self, change: Change, why: str) -> Told:
        """Take another course from its time on, and give what is to be said at once.

        `why` is start, stop, locate, loop, or empty for another tempo.
        """

    def render(self, until: int) -> Told:
        """Give what is due before a device time and was not given yet."""


def leader(kind: str, *, rate: int, ruler: Ruler, start: str = "", picture: Picture = NOTHING) -> Leader:
    """Give a leader of a kind (`LEADS` of `order`, but for JACK's transport, which is the device's own business).

    `start` is the timecode of the first bar, empty for the picture's own. Raises `MissingError` where a package
    that it needs is not installed, `UsageError` for a timecode that is none.
    """
    match kind:
        case "clock":
            from cmt_bridge.player.lead.clock import ClockLeader

            return ClockLeader(ruler, rate)
        case "mtc":
            from cmt_bridge.player.lead.timecode import TimecodeLeader

            return TimecodeLeader(ruler, rate, picture=picture, start=start)
        case "mmc":
            from cmt_bridge.player.lead.mmc import MmcLeader

            return MmcLeader(ruler, rate, picture=picture, start=start)
        case _:
            from cmt_bridge.player.lead.link import LinkLeader

            return LinkLeader(ruler, rate)
