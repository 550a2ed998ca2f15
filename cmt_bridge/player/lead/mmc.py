"""Lead by MIDI machine control: play, stop and locate, to all devices."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Final

from cmt_bridge.core.timecode import MIDI, counting_of
from cmt_bridge.player.lead.pulse import Pacer
from cmt_bridge.player.lead.timecode import SLACK, frame_at
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.timebase import Timebase
from cmt_bridge.player.timecode import code_of

__all__ = ["MmcLeader", "mmc"]

STOP: Final = 0x01
DEFERRED_PLAY: Final = 0x03  # as soon as the machine has arrived where it was located to
LOCATE: Final = (0x44, 0x06, 0x01)  # to a target of five bytes
SUBFRAMES: Final = 100


class MmcLeader(Pacer):
    """Send whoever turns with us to where the music is, and let him play from there."""

    def __init__(self, timebase: Timebase, rate: int, *, picture: Picture = NOTHING, start: str = "") -> None:
        super().__init__(timebase, rate)
        first = counting_of(picture.frame_rate, picture.timecode, start=start).fitted(MIDI).start
        self._frames, self._start = first.rate, first.count + first.part

    def _place_of(self, count: int) -> Fraction:
        return Fraction(count)

    def _pulse(self, count: int) -> list[bytes]:
        del count
        return []

    def _begin(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        del why
        return [self._locate(place), mmc(DEFERRED_PLAY)], None

    def _move(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        return self._begin(place, why)

    def _stand(self, place: Fraction, rolled: bool) -> list[bytes]:
        return [*([mmc(STOP)] if rolled else []), self._locate(place)]

    def _locate(self, place: Fraction) -> bytes:
        frame, part = divmod(frame_at(place, self._frames) + self._start + SLACK, 1)
        label = self._frames.label(frame)
        hours = label.hours | code_of(label.rate) << 5
        return mmc(*LOCATE, hours, label.minutes, label.seconds, label.frame, floor(part * SUBFRAMES))


def mmc(*command: int) -> bytes:
    """Return a command to all devices."""
    return bytes((0xF0, 0x7F, 0x7F, 0x06, *command, 0xF7))
