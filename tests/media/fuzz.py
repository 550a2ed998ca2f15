"""Damage small films, byte by byte and by a seed, and measure them: `python -m tests.media.fuzz FOLDER SEED COUNT`.

Prints how many were measured and how many refused. Whatever else happens ends it: another error than `CmtBridgeError`,
more memory than MOST_MEMORY, or a crash.
"""

from __future__ import annotations

import random
import resource
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.outputs.preview import measure_picture
from cmt_bridge.video.analysis import analyze
from cmt_bridge.video.measurement import measure
from tests.clips import noise, write_clip

KINDS: dict[str, str] = {
    "a.mp4": "mpeg4",
    "b.mp4": "libx264",
    "a.mkv": "mpeg4",
    "a.webm": "libvpx",
    "a.avi": "mpeg4",
    "a.ts": "mpeg2video",
    "a.flv": "flv",
    "a.gif": "gif",
}
MOST_MEMORY = 3 << 30  # bytes of address space, of which threads take most
HEAD = 1200  # bytes in which most of the harm is done
SIZE = (16, 16)


def films(folder: Path) -> dict[str, bytes]:
    """Give the bytes of a small film of every kind."""
    found = {}
    for name, codec in KINDS.items():
        frames = [noise(seed, SIZE, 4) for seed in range(6)]
        pixels = "rgb8" if codec == "gif" else "yuv420p"
        found[name] = write_clip(folder / name, frames, 10, codec=codec, pixels=pixels).read_bytes()
    return found


def _flip(data: bytearray, at: int, dice: random.Random) -> None:
    data[at] ^= 1 << dice.randrange(8)


def _set(data: bytearray, at: int, dice: random.Random) -> None:
    data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))


def _number(data: bytearray, at: int, dice: random.Random) -> None:
    size = dice.choice((2, 4, 8))
    value = dice.choice((0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << (8 * size)) - 1))
    data[at : at + size] = value.to_bytes(size, dice.choice(("big", "little")))


def _cut(data: bytearray, at: int, dice: random.Random) -> None:
    del data[at : at + dice.randrange(1, 64)]


def _again(data: bytearray, at: int, dice: random.Random) -> None:
    data[at:at] = data[at : at + dice.randrange(1, 256)]


def _end(data: bytearray, at: int, dice: random.Random) -> None:
    del data[max(at, dice.randrange(len(data))) :]


WAYS: tuple[Callable[[bytearray, int, random.Random], None], ...] = (_flip, _set, _number, _number, _cut, _again, _end)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Give a film with some harm done to it, mostly to its head or its tail, where containers keep what they state."""
    harmed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not harmed:
            break
        reach = min(len(harmed), HEAD)
        place = dice.choice(
            (dice.randrange(reach), len(harmed) - 1 - dice.randrange(reach), dice.randrange(len(harmed)))
        )
        dice.choice(WAYS)(harmed, place, dice)
    return bytes(harmed)


def said_so(text: str) -> None:
    """Tell how far it came."""
    sys.stderr.write(text)
    sys.stderr.flush()


def main() -> None:
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    whole = films(folder)
    tally: Counter[str] = Counter()
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        name = dice.choice(sorted(whole))
        path = folder / f"damaged-{name}"
        path.write_bytes(damaged(whole[name], dice))
        said_so(f"{seed} {number} {name} ")  # the last line names what ended it
        for step in (lambda path=path: analyze(measure(path, threads=1)), lambda path=path: measure_picture(path)):
            try:
                step()
                said = "measured"
            except CmtBridgeError:
                said = "refused"
            tally[said] += 1
        said_so(f"{said}\n")
    sys.stdout.write(f"{tally['measured']} measured, {tally['refused']} refused\n")


if __name__ == "__main__":
    main()
