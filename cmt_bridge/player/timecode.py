"""MTC: its four rates, and the bytes that carry the label of a frame."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from cmt_bridge.core.timecode import MIDI, UNKNOWN, Rate, Timecode, counted, fitted
from cmt_bridge.player.timebase import NANOSECONDS

__all__ = ["PAIR", "PIECES", "QUARTERS", "RATES", "code_of", "full_frame", "ns", "quarter_frame", "rate_of"]

PIECES: Final = 8
"""Quarter frames that carry one label, that of the frame at which the first of them is sent."""
QUARTERS: Final = 4
"""Quarter frames of a frame."""
PAIR: Final = 2
"""Frames from one label that is sent to the next."""

RATES: Final = tuple(rate for rate in MIDI if rate.drop or rate.frames.denominator == 1)
"""24, 25, 29.97 with drop frame, 30, by their number in MTC; 23.976 has that of 24, 29.97 without drop frame of 30."""


def code_of(rate: Rate) -> int:
    """Return the number that MTC has for a rate."""
    return next(code for code, each in enumerate(RATES) if (each.base, each.drop) == (rate.base, rate.drop))


def ns(rate: Rate, count: int | Fraction) -> Fraction:
    """Return the time in ns of a count of frames."""
    return count * NANOSECONDS / rate.frames


def rate_of(frame_rate: tuple[int, int]) -> Rate:
    """Return the rate at which MTC counts a film of a rate (numerator, denominator): 50 frames a second count in 25."""
    return fitted(counted(frame_rate) or UNKNOWN, MIDI)


def quarter_frame(timecode: Timecode, piece: int) -> bytes:
    """Return one of the eight messages, by its number, that carry a label."""
    value = (timecode.frame, timecode.seconds, timecode.minutes, timecode.hours | code_of(timecode.rate) << 5)[
        piece // 2
    ]
    return bytes((0xF1, piece << 4 | (value >> 4 if piece % 2 else value & 0x0F)))


def full_frame(timecode: Timecode) -> bytes:
    """Return the message that carries a label at once, to all devices."""
    hours = timecode.hours | code_of(timecode.rate) << 5
    return bytes((0xF0, 0x7F, 0x7F, 0x01, 0x01, hours, timecode.minutes, timecode.seconds, timecode.frame, 0xF7))
