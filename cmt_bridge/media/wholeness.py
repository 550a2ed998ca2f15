"""Tell whether a file is all there, by the sizes that its container states; nothing of it is decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["is_whole"]

MOST_PARTS: Final = 100_000  # boxes or chunks that are looked at
UNKNOWN_RIFF: Final = (0, 0xFFFFFFFF)  # sizes that writers leave in a file that they cannot go back in
EBML: Final = b"\x1a\x45\xdf\xa3"
SEGMENT: Final = b"\x18\x53\x80\x67"
FLV_TAGS: Final = (8, 9, 18)  # sound, picture, data
FLV_HEAD: Final = 11  # bytes before a tag's data


def is_whole(path: Path) -> bool | None:
    """Return False where a file ends before its container says so, True where it does not, None where none says it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _boxes(file, size)
            if head[:4] == b"RIFF":
                return _chunks(file, size)
            if head[:4] == EBML:
                return _segment(file, size)
            if head[:3] == b"FLV":
                return _tags(file, size)
    except OSError:
        pass
    return None


def _boxes(file: BinaryIO, size: int) -> bool | None:
    """Walk over the boxes of MP4 and QuickTime."""
    at = 0
    for _ in range(MOST_PARTS):
        if at >= size:
            return at == size
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if not head[4:8].isalnum():
            return True  # something that was appended
        if length < 8:
            return length == 0 or None  # the last box may go on to the end
        at += length
    return None


def _chunks(file: BinaryIO, size: int) -> bool | None:
    """Walk over the RIFF chunks of AVI, of which a large file has several."""
    at = 0
    for _ in range(MOST_PARTS):
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return True
        length = int.from_bytes(head[4:8], "little")
        if length in UNKNOWN_RIFF:
            return None
        at += 8 + length + length % 2
        if at - length % 2 > size:
            return False
    return None


def _segment(file: BinaryIO, size: int) -> bool | None:
    """Find the segment of Matroska and WebM."""
    file.seek(len(EBML))
    length, _ = _number(file)
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != SEGMENT:
        return None
    length, is_known = _number(file)
    return file.tell() + length <= size if is_known else None


def _number(file: BinaryIO) -> tuple[int, bool]:
    """Read a number of EBML, and whether it is a known one."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, False
    bits = 8 - first[0].bit_length()
    rest = file.read(bits)
    value = int.from_bytes(bytes((first[0] & (0x7F >> bits),)) + rest)
    return value, value != (1 << 7 * (bits + 1)) - 1


def _tags(file: BinaryIO, size: int) -> bool | None:
    """Find the last tag of a Flash video, whose length stands behind it."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4))
    at = size - 4 - length
    if length < FLV_HEAD or at < 0:
        return False
    file.seek(at)
    head = file.read(4)
    return head[0] in FLV_TAGS and int.from_bytes(head[1:4]) + FLV_HEAD == length
