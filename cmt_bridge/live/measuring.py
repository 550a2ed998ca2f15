"""Measure a video while its music plays already: a process of its own that says what is known so far.

A composer starts it (`python -m cmt_bridge.live.measuring`) and sends it a message (`order`). It sends one for each
look: the metadata as far as they are known, how many seconds of the picture that is, and whether it is the whole. The
tempo of the first look is that of all. A video whose content was measured before is known at once; what is measured to
its end is kept like any other. The message `OVER` follows the last of an order. Whatever message comes meanwhile, an
order or `LEAVE`, means that this one is not wanted any more. The process ends with its input.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.ipc.serve import Channel, Message, Receiver, be_nice, begin

if TYPE_CHECKING:
    from cmt_bridge.video.measurement import Measurement

__all__ = ["LEAVE", "MODULE", "OVER", "Look", "carry_out", "looks", "main", "order"]

MODULE: Final = "cmt_bridge.live.measuring"
OVER: Final[Message] = {"over": True}
LEAVE: Final[Message] = {}
NICENESS: Final = 5  # more than that of the composing, once there is something to compose

ENOUGH: Final = 10.0  # s of picture that a tempo is taken from: twenty beats at 120 BPM
LEAST: Final = 0.5  # s of picture that are looked at, however long that takes: a beat at 120 BPM
EVERY: Final = 1.2  # by which factor more of the picture is known at the next look
STEP: Final = 2.0  # s, by which more of it is known at least
QUICK: Final = 64 << 20  # bytes, of which a hash takes no time worth speaking of


class _UnwantedError(Exception):
    """This video is not to be measured any more."""


class Look:
    """What is known of a video: its metadata, up to which second, whether that is all, and what is broken in it."""

    def __init__(self, metadata: VideoMetadata, seconds: float, *, whole: bool, damage: str = "") -> None:
        self.metadata = metadata
        self.seconds = seconds
        self.whole = whole
        self.damage = damage

    def to_json(self) -> dict[str, Any]:
        return {
            "metadata": self.metadata.to_json(),
            "seconds": self.seconds,
            "whole": self.whole,
            "damage": self.damage,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Look:
        metadata = VideoMetadata.from_json(data["metadata"])
        return cls(metadata, float(data["seconds"]), whole=bool(data["whole"]), damage=str(data["damage"]))


def looks(
    path: Path, options: AnalysisOptions, patience: float, wanted: Callable[[], bool] = lambda: True
) -> Iterator[Look]:
    """Measure a video and give what is known again and again, and at the end; sooner where it is not wanted any more.

    The first look comes when there is enough to take a tempo from, or after `patience` seconds with less.
    A look before the last has the motion of complete bars only. Raises `VideoError` as `measure` does.
    """
    from cmt_bridge.core.files import sha256_of
    from cmt_bridge.media.reel import check_file
    from cmt_bridge.video.analysis import analyze
    from cmt_bridge.video.cache import keep, known
    from cmt_bridge.video.measurement import measuring

    check_file(path)
    hashed: list[str] = []
    hashing = threading.Thread(target=lambda: hashed.append(sha256_of(path)), daemon=True)
    hashing.start()
    if path.stat().st_size <= QUICK:
        hashing.join()

    began, threshold = time.monotonic(), ENOUGH
    origin = ""  # of the tempo: later looks are told that of the first

    def sha256() -> str:
        hashing.join()
        return hashed[0] if hashed else sha256_of(path)

    def due(seconds: float) -> bool:
        nonlocal threshold
        if not wanted():
            raise _UnwantedError
        hurried = threshold == ENOUGH and seconds >= LEAST and time.monotonic() - began > patience
        if seconds < threshold and not hurried:
            return False
        threshold = max(seconds * EVERY, seconds + STEP)
        return True

    def look(measurement: Measurement) -> Look:
        nonlocal options, origin
        whole = bool(measurement.source.sha256)
        metadata = analyze(measurement, options)
        origin = origin or metadata.tempo_source
        options = replace(options, tempo=metadata.tempo)
        seconds = measurement.duration if whole else float(measurement.seconds[-1])
        if not whole:
            bars = int(seconds * metadata.tempo / 240.0)
            metadata = replace(metadata, flow_per_bar=metadata.flow_per_bar[: max(1, bars)])
        metadata = replace(metadata, tempo_source=origin)
        return Look(metadata, seconds, whole=whole, damage=measurement.damage if whole else "")

    found = known(path, hashed[0]) if hashed else None
    if found is not None:
        yield look(found)
        return
    steps = measuring(path, sha256=sha256, due=due)
    with suppress(_UnwantedError):
        for measurement in steps:
            if hashed and not measurement.source.sha256 and (found := known(path, hashed[0])) is not None:
                steps.close()
                yield look(found)
                return
            if measurement.source.sha256:
                keep(measurement)
            yield look(measurement)


def carry_out(asked: Message, send: Callable[[Message], None], wanted: Callable[[], bool] = lambda: True) -> None:
    """Carry out an order: send what is known of a video, again and again, or what is wrong with it."""
    options = AnalysisOptions(**asked["options"])
    try:
        for number, look in enumerate(looks(Path(asked["path"]), options, float(asked["patience"]), wanted)):
            send(look.to_json())
            if number == 0:
                be_nice(NICENESS)
    except CmtBridgeError as error:
        send(error.to_json())


def order(path: Path, options: AnalysisOptions, patience: float) -> Message:
    """Return the message that has a video measured, with its first look after `patience` seconds at most, if it can."""
    return {"path": str(path), "options": asdict(options), "patience": patience}


def main() -> None:
    """Carry out the orders that come, one after the other."""
    channel = Channel(begin())
    receiver = Receiver(tidying=0.0)
    import cmt_bridge.video.analysis
    import cmt_bridge.video.cache  # noqa: F401  what takes time is there before it is needed

    while (message := receiver.get()) is not None:
        if message != LEAVE:  # a thread for each, for what was nice to others is so for good
            work = threading.Thread(target=carry_out, args=(message, channel.send, lambda: receiver.is_empty))
            work.start()
            work.join()
            channel.send(OVER)


if __name__ == "__main__":
    main()
