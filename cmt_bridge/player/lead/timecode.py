"""Lead by MTC: quarter frames at their exact times while the music rolls, and a full frame wherever it turns."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Final

from cmt_bridge.core.timecode import MIDI, Rate, counting_of
from cmt_bridge.player.lead.pulse import Pacer
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.timebase import NANOSECONDS, Timebase
from cmt_bridge.player.timecode import PAIR, PIECES, QUARTERS, full_frame, ns, quarter_frame

__all__ = ["SLACK", "TimecodeLeader", "frame_at"]

SLACK: Final = Fraction(1, 1000)
"""Frames by which a position may be short of a frame and still be meant to be on it: it may have been rounded."""


class TimecodeLeader(Pacer):
    """Send the timecode of the picture, whose first bar is at `start`, or at the timecode of its own.

    It counts at the picture's rate where MTC has that, else at a part of it: 50 frames a second in 25. MTC calls 23.976
    frames a second 24, and 29.97 without drop frame 30; they are sent at their true speed.

    The eight quarter frames carry the label of the even frame at which the first of them is sent. A start between two
    of those begins with the quarter frame that is next there, so that others roll with it and wait for none.
    """

    def __init__(self, timebase: Timebase, rate: int, *, picture: Picture = NOTHING, start: str = "") -> None:
        super().__init__(timebase, rate)
        first = counting_of(picture.frame_rate, picture.timecode, start=start).fitted(MIDI).start
        self._frames, self._start = first.rate, first.count + first.part

    def _place_of(self, count: int) -> Fraction:
        return ns(self._frames, Fraction(count, QUARTERS) - self._start)

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
    """Return the frame, fractions and all, at a position in ns."""
    return place * rate.frames / NANOSECONDS
