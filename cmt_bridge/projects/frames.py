"""Frames of a film: their numbers and SMPTE timecode, with drop frame where the rate is 29.97 or 59.94."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

__all__ = ["NEAR", "Frames", "frames_of"]

DROPPING: Final = (30, 60)  # bases that drop labels at 1000/1001 of their rate; 24 and 48 never do
NEAR: Final = Fraction(4, 10_000)  # 29.97 and 30 are 0.001 apart
MINUTE, HOUR, DAY = 60, 3600, 86_400
TENTH = 10  # minute, that drops none


@dataclass(frozen=True, slots=True)
class Frames:
    """How a film counts: `rate` frames per second, `base` labels in a second, `drop` labels left out of a minute."""

    rate: Fraction
    base: int
    drop: int

    def number(self, seconds: float | Fraction) -> int:
        """Give the number of the frame nearest to a time, from 0."""
        return round(Fraction(seconds) * self.rate)

    def first(self, start: int) -> int:
        """Give the number of the frame whose label is a whole number of seconds, such as 3600 for 01:00:00:00."""
        minutes = start // MINUTE
        return start * self.base - self.drop * (minutes - minutes // TENTH)

    def seconds(self, start: int) -> Fraction:
        """Give the true time of such a label from 00:00:00:00: 01:00:00:00 at 23.976 is 3603.6."""
        return self.first(start) / self.rate

    def label(self, number: int) -> str:
        """Give the timecode of a frame: 01:00:00:00, with `;` before the frame where it drops some; it begins anew
        after a day."""
        minute = self.base * MINUTE - self.drop
        tenth = minute * TENTH + self.drop
        number %= tenth * 6 * 24
        if self.drop:
            tens, rest = divmod(number, tenth)
            over = max(0, (rest - self.base * MINUTE) // minute + 1) if rest >= self.base * MINUTE else 0
            number += self.drop * (tens * (TENTH - 1) + over)
        seconds, frame = divmod(number, self.base)
        mark = ";" if self.drop else ":"
        return f"{seconds // HOUR:02}:{seconds // MINUTE % 60:02}:{seconds % 60:02}{mark}{frame:02}"


def frames_of(frame_rate: tuple[int, int]) -> Frames | None:
    """Give how a film of a rate (numerator, denominator) counts; None where the rate is not known."""
    numerator, denominator = frame_rate
    if numerator <= 0 or denominator <= 0:
        return None
    rate = Fraction(numerator, denominator)
    base = max(1, round(rate))
    slowed = Fraction(base * 1000, 1001)
    if abs(rate / slowed - 1) < NEAR:
        return Frames(slowed, base, base // 15 if base in DROPPING else 0)
    return Frames(rate, base, 0)
