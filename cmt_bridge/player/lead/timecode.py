"""Lead by MTC: quarter frames at their exact times while the music rolls, and a full frame wherever it turns."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Final

from cmt_bridge.player.lead.pulse import Pacer
from cmt_bridge.player.ruler import NANOSECONDS, Ruler
from cmt_bridge.player.timecode import PAIR, PIECES, QUARTERS, Rate, full_frame, quarter_frame, rate_of, read_timecode

__all__ = ["SLACK", "TimecodeLeader", "frame_at"]

SLACK: Final = Fraction(1, 1000)
"""Frames by which a position may be short of a frame and still be meant to be on it: it may have been rounded."""


class TimecodeLeader(Pacer):
    """Send the timecode of the picture, whose first bar is at `start`, at the rate that fits the picture's.

    The eight quarter frames carry the label of the even frame at which the first of them is sent. A start between two
    of those begins with the quarter frame that is next there, so that others roll with it and wait for none.
    """

    def __init__(self, ruler: Ruler, rate: int, *, frame_rate: tuple[int, int] = (0, 1), start: str = "") -> None:
        super().__init__(ruler, rate)
        self._frames = rate_of(frame_rate)
        self._start = read_timecode(start, self._frames).count

    def _place_of(self, count: int) -> Fraction:
        return self._frames.ns(Fraction(count, QUARTERS) - self._start)

    def _pulse(self, count: int) -> list[bytes]:
        return [quarter_frame(self._frames.label(count // PIECES * PAIR), count % PIECES)]

    def _begin(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        del why
        return self._stand(place, False), ceil(QUARTERS * (self._frame(place) - SLACK))

    def _move(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        return self._begin(place, why)

    def _stand(self, place: Fraction, rolled: bool) -> list[bytes]:
        del rolled
        return [full_frame(self._frames.label(floor(self._frame(place) + SLACK)))]

    def _frame(self, place: Fraction) -> Fraction:
        return frame_at(place, self._frames) + self._start


def frame_at(place: Fraction, rate: Rate) -> Fraction:
    """Give the frame, fractions and all, at a position in ns."""
    return place * rate.frames / NANOSECONDS
