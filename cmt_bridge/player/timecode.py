"""SMPTE timecode: the label of a frame and its count, exact in all four rates, and the bytes of MTC that carry it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from cmt_bridge.errors import UsageError
from cmt_bridge.player.ruler import NANOSECONDS

__all__ = [
    "PAIR",
    "PIECES",
    "QUARTERS",
    "RATES",
    "Rate",
    "Timecode",
    "full_frame",
    "quarter_frame",
    "rate_of",
    "read_timecode",
]

TOLERANCE: Final = Fraction(1, 5000)  # by which a picture's rate may be off and still be meant
MINUTE, DAY = 60, 24  # seconds, hours
DROPPED: Final = 2  # labels that a minute of drop frame leaves out, but for each tenth
PIECES: Final = 8
"""Quarter frames that carry one label, that of the frame at which the first of them is sent."""
QUARTERS: Final = 4
"""Quarter frames of a frame."""
PAIR: Final = 2
"""Frames from one label that is sent to the next."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One of the four rates of MTC: its number there, frames of a second, how many of them a label counts."""

    code: int
    frames: Fraction
    counted: int
    drops: bool = False

    @property
    def name(self) -> str:
        """How people write it."""
        return "29.97 drop" if self.drops else str(self.counted)

    @property
    def day(self) -> int:
        """The number of frames after which the label begins anew."""
        return DAY * self._hour

    @property
    def _minute(self) -> int:
        return MINUTE * self.counted - (DROPPED if self.drops else 0)

    @property
    def _tenth(self) -> int:
        return 10 * self._minute + (DROPPED if self.drops else 0)

    @property
    def _hour(self) -> int:
        return 6 * self._tenth

    def ns(self, count: int | Fraction) -> Fraction:
        """Give the time in ns of a count of frames."""
        return count * NANOSECONDS / self.frames

    def label(self, count: int) -> Timecode:
        """Give the label of a count of frames since 00:00:00:00, which begins anew with each day."""
        tenths, rest = divmod(count % self.day, self._tenth)
        if self.drops:
            minute = max(0, rest - DROPPED) // self._minute
            rest += DROPPED * minute
        seconds, frame = divmod(rest, self.counted)
        hours, minutes = divmod(tenths * 10 + seconds // MINUTE, 60)
        return Timecode(self, hours, minutes, seconds % MINUTE, frame)


RATES: Final = (
    Rate(0, Fraction(24), 24),
    Rate(1, Fraction(25), 25),
    Rate(2, Fraction(30000, 1001), 30, drops=True),
    Rate(3, Fraction(30), 30),
)
"""By their number in MTC."""


@dataclass(frozen=True, slots=True)
class Timecode:
    """The label of a frame: hours, minutes, seconds, frames."""

    rate: Rate
    hours: int
    minutes: int
    seconds: int
    frame: int

    def __str__(self) -> str:
        mark = ";" if self.rate.drops else ":"
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{mark}{self.frame:02}"

    @property
    def count(self) -> int:
        """The number of frames since 00:00:00:00."""
        minutes = self.hours * 60 + self.minutes
        frames = (minutes * MINUTE + self.seconds) * self.rate.counted + self.frame
        return frames - DROPPED * (minutes - minutes // 10) if self.rate.drops else frames

    @property
    def ns(self) -> Fraction:
        """The time in ns since 00:00:00:00."""
        return self.rate.ns(self.count)


def rate_of(frame_rate: tuple[int, int]) -> Rate:
    """Give the rate in which a picture's rate (numerator, denominator) counts; 30, the finest, where none fits.

    23.976 counts as 24, since MTC has no other; multiples and fractions count as what they are made of: 50 as 25.
    """
    numerator, denominator = frame_rate
    if numerator > 0 and denominator > 0:
        stated = Fraction(numerator, denominator)
        for factor in range(1, 6):
            for rate in RATES:
                near = [rate.frames] if rate.code else [rate.frames, Fraction(24000, 1001)]
                if any(abs(stated / each - 1) < TOLERANCE for n in near for each in (n * factor, n / factor)):
                    return rate
    return RATES[3]


def read_timecode(text: str, rate: Rate) -> Timecode:
    """Read a label; an empty one is 00:00:00:00. Raises `UsageError` where there is none such in this rate."""
    found = re.fullmatch(r"(\d?\d):(\d\d):(\d\d)[:;.,](\d\d)", text.strip() or "00:00:00:00")
    if found is not None:
        hours, minutes, seconds, frame = map(int, found.groups())
        dropped = rate.drops and not seconds and frame < DROPPED and minutes % 10
        if hours < DAY and minutes < 60 and seconds < MINUTE and frame < rate.counted and not dropped:
            return Timecode(rate, hours, minutes, seconds, frame)
    raise UsageError(f"There is no timecode {text!r} at {rate.name} frames a second.", hint="Write it 01:00:00:00.")


def quarter_frame(timecode: Timecode, piece: int) -> bytes:
    """Give one of the eight messages, by its number, that carry a label."""
    value = (timecode.frame, timecode.seconds, timecode.minutes, timecode.hours | timecode.rate.code << 5)[piece // 2]
    return bytes((0xF1, piece << 4 | (value >> 4 if piece % 2 else value & 0x0F)))


def full_frame(timecode: Timecode) -> bytes:
    """Give the message that carries a label at once, to all devices."""
    hours = timecode.hours | timecode.rate.code << 5
    return bytes((0xF0, 0x7F, 0x7F, 0x01, 0x01, hours, timecode.minutes, timecode.seconds, timecode.frame, 0xF7))
