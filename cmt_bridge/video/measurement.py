"""Measure a video in one pass: curves over time that everything else is derived from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cmt_bridge.core.files import sha256_of
from cmt_bridge.core.metadata import VideoSource
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import VideoError
from cmt_bridge.video.flow import DIRECTIONS, Motion, motion_between
from cmt_bridge.video.stream import THUMB, Frame, VideoStream

__all__ = ["FORMAT_VERSION", "Measurement", "measure", "measuring", "shown_name"]

FORMAT_VERSION: Final = 2
"""Raise it when the same file would measure otherwise, or is stored otherwise: old cache entries are then not read."""

MOST_PREVIEWS: Final = 64
FIRST_PREVIEW_GAP: Final = Fraction(1, 4)  # s; doubled each time there are too many
SHORTEST_NOMINAL: Final = Fraction(1, 30)  # s
LONGEST_NOMINAL: Final = Fraction(1, 10)  # s; below ten frames per second, pixels per frame would mean little
USUAL_STEP: Final = 0.25  # steps within this share of the median count as usual

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Measurement:
    """The curves of a video of n used frames.

    `pts` (n,) int64 counts `time_base` seconds from the first picture; `length` is the end of the last picture in the
    same unit. Entry i of the following belongs to the step from frame i-1 to frame i, and entry 0 is 0:
    `speed` (n,) pixels at 360 lines, `directogram` (n, DIRECTIONS) the same by direction, `residual` (n,) the grey
    difference that motion does not explain, 0..1. `sights` (n, 18, 32) uint8 are the pictures at a glance, grey.
    `previews` (k, 72, 128, 3) uint8 RGB are small pictures spread over the video, at times `preview_pts` (k,).
    `joints` are the seconds at which the file's time stamps jump and were joined up; `damage` says what could not be
    read, or is empty.
    """

    source: VideoSource
    time_base: Fraction
    length: int
    pts: npt.NDArray[np.int64]
    speed: Floats
    directogram: Floats
    residual: Floats
    sights: npt.NDArray[np.uint8]
    preview_pts: npt.NDArray[np.int64]
    previews: npt.NDArray[np.uint8]
    damage: str = ""
    joints: tuple[float, ...] = ()

    @property
    def duration(self) -> float:
        """The time in seconds from the first picture to the end of the last."""
        return float(self.length * self.time_base)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """The time of each used frame in seconds, shape (n,)."""
        return self.pts.astype(np.float64) * float(self.time_base)

    @property
    def nominal(self) -> float:
        """The seconds of one frame, as "pixels per frame" means it: the usual step, between 1/30 and 1/10 s.

        Where a video holds a picture for longer than its usual step, its motion is spread over that time.
        """
        if len(self.pts) < 2:
            return float(SHORTEST_NOMINAL)
        steps = np.diff(self.pts)
        middle = np.sort(steps)[(len(steps) - 1) // 2]  # one of them, however they differ
        near = np.abs(steps / middle - 1.0) < USUAL_STEP
        usual = float(np.mean(steps[near])) * float(self.time_base)  # times are often rounded to milliseconds
        return min(max(usual, float(SHORTEST_NOMINAL)), float(LONGEST_NOMINAL))


@takes_paths
def measure(
    path: Path, *, sha256: str = "", progress: Callable[[float], None] | None = None, threads: int | None = None
) -> Measurement:
    """Decode the video at `path` once and measure every step from frame to frame.

    `progress` is called with the share done, 0..1. Memory does not grow with the length beyond about 700 bytes per
    frame. The result does not depend on `threads` (default: one per core, at most 16).

    Raises `VideoError` where the file is no video, cannot be decoded, has only one picture or changes meanwhile.
    """
    (measurement,) = measuring(path, sha256=lambda: sha256 or sha256_of(path), progress=progress, threads=threads)
    return measurement


@takes_paths
def measuring(
    path: Path,
    *,
    sha256: Callable[[], str],
    due: Callable[[float], bool] = lambda _: False,
    progress: Callable[[float], None] | None = None,
    threads: int | None = None,
) -> Generator[Measurement, None, None]:
    """Measure as `measure` does, and yield what is known whenever it is `due`, by the seconds of picture so far; the
    whole comes last.

    A measurement before the last has the frames so far, and no SHA-256 yet; its `length` is that of the whole video, as
    far as the file states it. `sha256` is asked for at the end.
    """
    threads = threads or min(16, os.cpu_count() or 1)
    state = _stamp(path)
    curves = _Curves()
    with VideoStream(path) as stream:
        for frame, motion in _motions(iter(stream), threads):
            curves.add(frame, motion, stream.time_base)
            if progress:
                progress(stream.position)
            if len(curves.pts) > 1 and due(float(frame.pts * stream.time_base)):
                yield curves.measurement(_source(path, stream, ""), stream, stream.stated_length(frame.pts))
        if len(curves.pts) < 2:
            raise VideoError(
                f"{path} holds a single picture, so nothing moves in it.", hint="Make a clip of a second or more of it."
            )
        content = sha256()
        after = _stamp(path)
        if after[:-1] != state[:-1] or (after != state and sha256_of(path) != content):
            raise VideoError(f"{path} changed while it was measured.", hint="Wait until it is complete.")
        yield curves.measurement(_source(path, stream, content), stream, stream.length)


def _source(path: Path, stream: VideoStream, sha256: str) -> VideoSource:
    rate, nominal = stream.frame_rate, stream.nominal_rate
    return VideoSource(
        name=shown_name(path),
        sha256=sha256,
        width=stream.width,
        height=stream.height,
        rotation=stream.rotation,
        frame_rate=(rate.numerator, rate.denominator),
        frames=stream.decoded,
        offset=stream.offset,
        nominal_rate=(nominal.numerator, nominal.denominator),
        timecode=stream.timecode,
    )


@takes_paths
def shown_name(path: Path) -> str:
    """Return a file's name with a mark in place of what cannot be shown or stored as text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in path.name)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


Step = tuple[Frame, "Future[Motion] | None"]


def _motions(frames: Iterator[Frame], threads: int) -> Iterator[tuple[Frame, Motion | None]]:
    """Yield each frame with the motion since the one before; flow runs in threads, order and memory are kept."""
    waiting: deque[Step] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="flow")
    try:
        with _single_threaded_cv2():
            before: Frame | None = None
            for frame in frames:
                future = pool.submit(motion_between, before.gray, frame.gray) if before else None
                waiting.append((frame, future))
                before = frame
                if len(waiting) > 2 * threads:
                    yield _settle(waiting.popleft())
            while waiting:
                yield _settle(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _settle(step: Step) -> tuple[Frame, Motion | None]:
    frame, future = step
    return frame, future.result() if future else None


@contextmanager
def _single_threaded_cv2() -> Iterator[None]:
    """Let each pair of frames keep to its own thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


class _Curves:
    """Curves that grow."""

    def __init__(self) -> None:
        self.pts: list[int] = []
        self.speed: list[float] = []
        self.directogram: list[Floats] = []
        self.residual: list[float] = []
        self.sights: list[npt.NDArray[np.uint8]] = []
        self.previews: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self._gap = FIRST_PREVIEW_GAP
        self._next = Fraction(0)

    def add(self, frame: Frame, motion: Motion | None, time_base: Fraction) -> None:
        self.pts.append(frame.pts)
        self.speed.append(motion.speed if motion else 0.0)
        self.residual.append(motion.residual if motion else 0.0)
        self.sights.append(frame.sight)
        self.directogram.append(motion.directogram if motion else np.zeros(DIRECTIONS, np.float32))
        seconds = frame.pts * time_base
        if seconds >= self._next:
            self.previews.append((frame.pts, frame.thumb))
            while len(self.previews) >= MOST_PREVIEWS:
                self._gap *= 2
                spread: dict[int, tuple[int, npt.NDArray[np.uint8]]] = {}
                for pts, picture in self.previews:
                    spread.setdefault(int(pts * time_base // self._gap), (pts, picture))
                self.previews = list(spread.values())
            self._next = (seconds // self._gap + 1) * self._gap

    def measurement(self, source: VideoSource, stream: VideoStream, length: int) -> Measurement:
        return Measurement(
            source=source,
            time_base=stream.time_base,
            length=length,
            pts=np.array(self.pts, np.int64),
            speed=np.array(self.speed, np.float32),
            directogram=np.stack(self.directogram),
            residual=np.array(self.residual, np.float32),
            sights=np.stack(self.sights),
            preview_pts=np.array([pts for pts, _ in self.previews], np.int64),
            previews=np.stack([picture for _, picture in self.previews]).reshape(-1, THUMB[1], THUMB[0], 3),
            damage=stream.damage,
            joints=stream.joints,
        )
