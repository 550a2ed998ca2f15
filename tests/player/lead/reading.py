"""Read MTC as its standard describes it, apart from how we write it: labels are counted frame by frame here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

FRAMES = {0: Fraction(24), 1: Fraction(25), 2: Fraction(30000, 1001), 3: Fraction(30)}
WHOLE = {0: 24, 1: 25, 2: 30, 3: 30}
Label = tuple[int, int, int, int]


def labels(code: int) -> Iterator[Label]:
    """Give the labels of a day, one after the other."""
    for hour in range(24):
        for minute in range(60):
            for second in range(60):
                for frame in range(WHOLE[code]):
                    if not (code == 2 and second == 0 and frame in (0, 1) and minute % 10 != 0):
                        yield hour, minute, second, frame


def read_pieces(told: Iterable[tuple[int, bytes]]) -> list[tuple[int, int, Label]]:
    """Give, for each eight quarter frames without a gap, the time of the first, the rate's number and the label."""
    found = []
    nibbles: list[int] = []
    first = 0
    for time, data in told:
        if data[0] != 0xF1:
            continue
        piece, nibble = divmod(data[1], 16)
        if piece == 0:
            nibbles, first = [], time
        if piece != len(nibbles):
            nibbles = []
            continue
        nibbles.append(nibble)
        if len(nibbles) == 8:
            frame, second, minute, last = (low + 16 * high for low, high in zip(*[iter(nibbles)] * 2, strict=True))
            found.append((first, last >> 5, (last & 31, minute, second, frame)))
            nibbles = []
    return found


def read_full(data: bytes) -> tuple[int, Label]:
    """Give the rate's number and the label of a full frame."""
    assert data[:5] == bytes.fromhex("f07f7f0101")
    assert data[9:] == b"\xf7"
    return data[5] >> 5, (data[5] & 31, data[6], data[7], data[8])
