"""MIDI timecode by itself: what the quarter frames of a time are."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["CODES", "decode", "label", "quarter_frames"]

CODES = {(24, 1): 0, (25, 1): 1, (30000, 1001): 2, (30, 1): 3}


def label(frame: int, rate: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give hours, minutes, seconds and frames of a frame's number.

    At 30000/1001 two labels of each minute are dropped, but of each tenth minute.
    """
    count = round(Fraction(*rate))
    if rate == (30000, 1001):
        tens, rest = divmod(frame, 17982)
        frame += 18 * tens + (2 * ((rest - 2) // 1798) if rest > 1 else 0)
    return frame // (3600 * count) % 24, frame // (60 * count) % 60, frame // count % 60, frame % count


def quarter_frames(frame: int, rate: tuple[int, int]) -> list[bytes]:
    """Give the eight quarter frames that state a frame, all of one time."""
    hours, minutes, seconds, frames = label(frame, rate)
    values = (frames & 15, frames >> 4, seconds & 15, seconds >> 4, minutes & 15, minutes >> 4, hours & 15)
    last = hours >> 4 | CODES[rate] << 1
    return [bytes((0xF1, piece << 4 | value)) for piece, value in enumerate((*values, last))]


def decode(pieces: list[int], rates: dict[int, tuple[int, int]] | None = None) -> tuple[int, tuple[int, int]]:
    """Give the number of the frame that eight values of quarter frames state, and its rate."""
    known = rates or {code: rate for rate, code in CODES.items()}
    frames, seconds, minutes = (pieces[2 * index] | pieces[2 * index + 1] << 4 for index in range(3))
    hours = pieces[6] | (pieces[7] & 1) << 4
    rate = known[pieces[7] >> 1 & 3]
    count = round(Fraction(*rate))
    number = ((hours * 60 + minutes) * 60 + seconds) * count + frames
    if rate == (30000, 1001):
        whole = hours * 60 + minutes
        number -= 2 * (whole - whole // 10)
    return number, rate
