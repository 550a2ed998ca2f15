"""Decode a video once, front to back, as frames with true times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from cmt_bridge.media.reel import USUAL_RATE, Reel
from cmt_bridge.video.bars import GLIMPSES, WHOLE, Active, active_area
from cmt_bridge.video.labels import nominal_rate, own_timecode

__all__ = ["LINES", "SIGHT", "THUMB", "Frame", "VideoStream"]

Gray = npt.NDArray[np.uint8]
Colour = npt.NDArray[np.uint8]

LINES: Final = 360  # the height, as shown, at which the original measures flow
WIDEST: Final = 4 * LINES  # pictures wider than 4:1 are measured on fewer lines
MOST_ENLARGED: Final = 8  # pictures of less than 45 lines are measured on fewer lines
SMOOTHING: Final = 0.7  # pixels; grain is not motion. As much as the re-encoding that the original measures takes away
NEAREST: Final = Fraction(1, 40)  # s; halves 48, 50 and 60 fps and leaves 30 fps alone, however its times are rounded
SIGHT: Final = (32, 18)  # pixels of a picture at a glance, squeezed likewise
THUMB: Final = (128, 72)  # pixels of the small pictures, squeezed to this whatever the aspect
SQUARE_ENOUGH: Final = Fraction(1, 50)  # pixel aspects this near to 1 are leftovers of somebody's rounding


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: `pts` in units of the stream's time base since the first picture.

    `gray` has shape (lines, width); `thumb` is the whole picture squeezed to (72, 128, 3) in RGB. Both are as shown,
    after rotation. `sight` is the grey picture squeezed to (18, 32): what is left at a glance.
    """

    pts: int
    gray: Gray
    thumb: Colour
    sight: Gray


def shown_size(width: int, height: int, aspect: Fraction | None, quarter_turns: int) -> tuple[int, int]:
    """Return (width, height) as shown: pixels made square, then rotated."""
    if aspect and aspect > 0 and abs(aspect - 1) > SQUARE_ENOUGH:
        width = max(1, round(width * aspect))
    return (height, width) if quarter_turns % 2 else (width, height)


def measured_size(width: int, height: int) -> tuple[int, int]:
    """Return the even width and the lines on which flow is measured for a picture shown at `width` × `height`.

    >>> measured_size(800, 332), measured_size(1, 1)
    ((868, 360), (8, 8))
    """
    lines = min(LINES, MOST_ENLARGED * height)
    if width * lines > WIDEST * height:
        lines = max(2, WIDEST * height // width)
    return min(WIDEST, max(2, 2 * round(width * lines / height / 2))), lines


class VideoStream:
    """The frames of a video's best picture stream, in order, thinned to at most 40 per second.

    A context manager; iterate once. Only what the caller keeps stays in memory. Times come from the file's own
    timestamps, never from a frame count; the first picture shown is time 0.

    After the iteration `decoded` counts all pictures, `length` is the time in time-base units from the first picture to
    the end of the last, `offset` the seconds from the beginning of the file to the first picture, `joints` the seconds
    at which time stamps jumped and were joined up, and `damage` says in words what could not be read, or is empty.

    Raises `VideoError` where the file holds no picture that can be decoded, or more than a film can last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self._steps: Counter[int] = Counter()  # from picture to picture, by their length
        self.offset = 0.0
        self.rotation = 0  # degrees clockwise
        self.width = self.height = 0
        self._reel = Reel(path)
        self._position = 0.0
        self._origin = 0
        self._stated = self._reel.stated
        self.time_base = self._reel.time_base

    @property
    def decoded(self) -> int:
        """The number of all pictures so far."""
        return self._reel.decoded

    @property
    def damage(self) -> str:
        """What could not be read, in words, or nothing."""
        return self._reel.damage

    @property
    def joints(self) -> tuple[float, ...]:
        """The seconds of the picture at which time stamps jumped and were joined up."""
        return tuple(float(each - self._origin * self.time_base) for each in self._reel.joints)

    def stated_length(self, least: int) -> int:
        """Return the length that the file states, in time-base units, `least` where it states less or none."""
        return self._reel.expected(least)

    @property
    def position(self) -> float:
        """The share of the file that has been decoded, 0..1: by time, or by bytes where no duration is stated."""
        return self._position

    @property
    def frame_rate(self) -> Fraction:
        """The average frame rate: as stated where the decoded frames bear it out, else as counted."""
        stated = self._reel.stream.average_rate
        if not self.length or not self.decoded:
            return stated or USUAL_RATE
        counted = self.decoded / (self.length * self.time_base)
        if stated and abs(counted / stated - 1) < Fraction(1, 50):
            return stated
        return counted.limit_denominator(1001)

    @property
    def nominal_rate(self) -> Fraction:
        """The rate at which pictures follow each other where none is left out."""
        return nominal_rate(self._reel.stream, self.time_base, self._steps, self.frame_rate)

    @property
    def timecode(self) -> str:
        """The label that the file gives to its beginning, empty where it gives none."""
        return own_timecode(self._reel.stream.container, self._reel.stream)

    def __enter__(self) -> VideoStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reel.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Frame]:
        reel = self._reel
        nearest = NEAREST / self.time_base
        used = last = None
        scaler = _Scaler(active_area(_gray(each) for each in reel.glimpses(GLIMPSES)))
        for picture, shown in reel.pictures():
            if used is None:
                self._adopt(picture)
                self._origin, self.offset = shown, reel.offset(shown)
            time = shown - self._origin
            if last is not None:
                self._steps[time - last] += 1
            last = time
            share = float(time * self.time_base) / self._stated if self._stated else reel.share
            self._position = max(self._position, min(1.0, share))
            if used is not None and time - used < nearest:
                continue
            used = time
            yield scaler.frame(picture, time, self)
        if used is None:
            raise reel.undecodable()
        self.length = reel.end - self._origin

    def _adopt(self, picture: Any) -> None:
        turns = round(picture.rotation / 90) % 4  # FFmpeg counts counterclockwise
        self.rotation = -90 * turns % 360
        aspect = self._reel.stream.sample_aspect_ratio
        self.width, self.height = shown_size(picture.width, picture.height, aspect, turns)


class _Scaler:
    """Scale, rotate and convert pictures; keeps one swscale context per target. What is measured is the active area."""

    def __init__(self, active: Active = WHOLE) -> None:
        self._active = active
        self._gray = VideoReformatter()
        self._colour = VideoReformatter()

    def frame(self, picture: Any, pts: int, stream: VideoStream) -> Frame:
        turns = stream.rotation // 90
        active = self._active
        down, across = active.bottom - active.top, active.right - active.left
        if turns % 2:
            down, across = across, down
        width, lines = measured_size(max(1, round(stream.width * across)), max(1, round(stream.height * down)))
        gray = self._convert(self._gray, picture, width, lines, turns, "gray", active)
        gray = cast(Gray, cv2.GaussianBlur(gray, (0, 0), SMOOTHING))
        thumb = self._convert(self._colour, picture, *THUMB, turns, "rgb24", WHOLE)
        sight = cast(Gray, cv2.resize(gray, SIGHT, interpolation=cv2.INTER_AREA))
        return Frame(pts, gray, thumb, sight)

    @staticmethod
    def _convert(
        scaler: VideoReformatter, picture: Any, width: int, height: int, turns: int, pixels: str, active: Active
    ) -> npt.NDArray[np.uint8]:
        if turns % 2:
            width, height = height, width
        way = Interpolation.BICUBIC if pixels == "gray" else Interpolation.AREA
        all_across, all_down = (
            round(width / (active.right - active.left)),
            round(height / (active.bottom - active.top)),
        )
        small = scaler.reformat(picture, all_across, all_down, pixels, interpolation=way, threads=1)
        array = np.asarray(small.to_ndarray(), dtype=np.uint8)
        top, left = round(active.top * all_down), round(active.left * all_across)
        array = array[top : top + height, left : left + width]
        return np.ascontiguousarray(np.rot90(array, -turns))


def _gray(picture: Any) -> Gray:
    return np.asarray(picture.reformat(format="gray").to_ndarray(), dtype=np.uint8)
