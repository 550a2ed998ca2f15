"""Measure a video while its music plays already: a process of its own that says what is known so far.

`python -m cmt_bridge.live.measuring` waits for a line of JSON (`order`) and prints one for each look: the metadata as
far as they are known, how many seconds of the picture that is, and whether it is the whole. The tempo of the first look
is that of all. A video whose content was measured before is known at once; what is measured to its end is kept like any
other. The line `OVER` follows the last of an order. Whatever line comes meanwhile, an order or an empty one, means that
this one is not wanted any more. The process ends with its input.
"""

from __future__ import annotations

import json
import os
import queue
import sys
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

if TYPE_CHECKING:
    from cmt_bridge.video.measurement import Measurement

__all__ = ["COMMAND", "OVER", "Look", "carry_out", "looks", "main", "order"]

COMMAND: Final = (sys.executable, "-m", "cmt_bridge.live.measuring")
OVER: Final = '{"over": true}'
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


def carry_out(said: str, say: Callable[[str], None], wanted: Callable[[], bool] = lambda: True) -> None:
    """Carry out an order: say what is known of a video, again and again, or what is wrong with it."""
    asked = json.loads(said)
    options = AnalysisOptions(**asked["options"])
    try:
        for number, look in enumerate(looks(Path(asked["path"]), options, float(asked["patience"]), wanted)):
            say(json.dumps(look.to_json()))
            if number == 0:
                with suppress(OSError, AttributeError):
                    os.nice(NICENESS)
    except CmtBridgeError as error:
        say(json.dumps(error.to_json()))


def order(path: Path, options: AnalysisOptions, patience: float) -> str:
    """Give the line that has a video measured; its first look is not later than after `patience` seconds, if it can."""
    return json.dumps({"path": str(path), "options": asdict(options), "patience": patience})


def _say(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError:  # who asked is gone
        os._exit(1)


def main() -> None:
    """Carry out the orders that come, one after the other."""
    import cmt_bridge.video.analysis
    import cmt_bridge.video.cache  # noqa: F401  what takes time is there before it is needed

    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        said = lines.get().strip()
        if said:  # a thread for each, for what was nice to others is so for good
            work = threading.Thread(target=carry_out, args=(said, _say, lines.empty))
            work.start()
            work.join()
            _say(OVER)


def _read(lines: queue.Queue[str]) -> None:
    with suppress(OSError, ValueError):
        for line in sys.stdin:
            lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
