"""Decode a video once, front to back, as frames with true times."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream as AvStream

from cmt_bridge.errors import VideoError
from cmt_bridge.video.labels import nominal_rate, own_timecode

__all__ = ["LINES", "Frame", "VideoStream", "check_file"]

Gray = npt.NDArray[np.uint8]
Colour = npt.NDArray[np.uint8]

LINES: Final = 360  # the height, as shown, at which the original measures flow
WIDEST: Final = 4 * LINES  # pictures wider than 4:1 are measured on fewer lines
MOST_ENLARGED: Final = 8  # pictures of less than 45 lines are measured on fewer lines
SMOOTHING: Final = 0.7  # pixels; grain is not motion. As much as the re-encoding that the original measures takes away
NEAREST: Final = Fraction(1, 40)  # s; halves 48, 50 and 60 fps and leaves 30 fps alone, however its times are rounded
THUMB: Final = (128, 72)  # pixels of the small pictures, squeezed to this whatever the aspect
BIG_FRAME: Final = 4096 * 2304  # pixels; above it each decoding thread would hold tens of megabytes
SQUARE_ENOUGH: Final = Fraction(1, 50)  # pixel aspects this near to 1 are leftovers of somebody's rounding
USUAL_RATE: Final = Fraction(25)  # where a file states no frame rate
JUMP_BACK: Final = 1  # s; times that fall back further start anew, as in joined transport streams


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: `pts` in units of the stream's time base since the first picture.

    `gray` has shape (lines, width); `thumb` is the whole picture squeezed to (72, 128, 3) in RGB. Both are as shown,
    after rotation.
    """

    pts: int
    gray: Gray
    thumb: Colour


def check_file(path: Path) -> None:
    """Raise `VideoError` unless `path` is a regular file that can be read and is not empty."""
    hint = "Give the path of a video file."
    try:
        mode = path.stat()
        if stat.S_ISDIR(mode.st_mode):
            raise VideoError(f"{path} is a folder, not a video.", hint=hint)
        if not stat.S_ISREG(mode.st_mode):
            raise VideoError(f"{path} is not a regular file.", hint="Save the video to a file first.")
        if mode.st_size == 0:
            raise VideoError(f"{path} is empty.", hint="If it is still being copied, wait until that has ended.")
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise VideoError(f"There is no file {path}.", hint="Check the path.") from None
    except PermissionError:
        raise VideoError(f"{path} may not be read.", hint="Change its permissions, or copy it.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VideoError(f"{path} cannot be read: {reason}.", hint=hint) from None


def shown_size(width: int, height: int, aspect: Fraction | None, quarter_turns: int) -> tuple[int, int]:
    """Give (width, height) as shown: pixels made square, then rotated."""
    if aspect and aspect > 0 and abs(aspect - 1) > SQUARE_ENOUGH:
        width = max(1, round(width * aspect))
    return (height, width) if quarter_turns % 2 else (width, height)


def measured_size(width: int, height: int) -> tuple[int, int]:
    """Give the even width and the lines on which flow is measured for a picture shown at `width` × `height`.

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
    the end of the last, and `damage` says in words what could not be read, or is empty.

    Raises `VideoError` where the file holds no picture that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        check_file(path)
        av.logging.set_level(None)
        self.path = path
        self.decoded = 0
        self.damage = ""
        self.length = 0
        self._steps: Counter[int] = Counter()  # from picture to picture, by their length
        self.rotation = 0  # degrees clockwise
        self.width = self.height = 0
        self._bytes = max(1, path.stat().st_size)
        self._position = 0.0
        self._container = self._open()
        try:
            self._stream = self._choose()
        except BaseException:
            self._container.close()
            raise
        self.time_base = self._stream.time_base or Fraction(1, 1000)
        self._stated = self._stated_seconds()
        context = self._stream.codec_context
        big = context.width * context.height > BIG_FRAME
        context.thread_type = "SLICE" if big else "AUTO"
        context.thread_count = min(4, os.cpu_count() or 1)

    def _open(self) -> InputContainer:
        try:
            # `file:` keeps a colon in a name from being a protocol; the whitelist keeps playlists off the net.
            return av.open(f"file:{self.path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, OSError, ValueError, UnicodeError):
            raise VideoError(
                f"{self.path} is not a video, or it is damaged.",
                hint="Try whether a player opens it; if it is still being copied, wait until that has ended.",
            ) from None

    def _choose(self) -> AvStream:
        best = self._container.streams.best("video")
        cover = av.stream.Disposition.attached_pic
        real = [stream for stream in self._container.streams.video if not stream.disposition & cover]
        if not real:
            raise VideoError(f"{self.path} has no picture, only sound.", hint="Give a file with a video stream.")
        stream = best if isinstance(best, AvStream) and best in real else real[0]
        try:
            context = stream.codec_context
        except (av.error.FFmpegError, RuntimeError, ValueError):
            context = None
        if context is None:
            raise VideoError(
                f"The pictures in {self.path} are coded in a way that is not known here.", hint="Convert it to H.264."
            )
        return stream

    def _stated_seconds(self) -> float | None:
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def stated_length(self, least: int) -> int:
        """Give the length that the file states, in time-base units, `least` where it states less or none."""
        return max(least, round(self._stated / self.time_base)) if self._stated else least

    @property
    def position(self) -> float:
        """The share of the file that has been decoded, 0..1: by time, or by bytes where no duration is stated."""
        return self._position

    @property
    def frame_rate(self) -> Fraction:
        """The average frame rate: as stated where the decoded frames bear it out, else as counted."""
        stated = self._stream.average_rate
        if not self.length or not self.decoded:
            return stated or USUAL_RATE
        counted = self.decoded / (self.length * self.time_base)
        if stated and abs(counted / stated - 1) < Fraction(1, 50):
            return stated
        return counted.limit_denominator(1001)

    @property
    def nominal_rate(self) -> Fraction:
        """The rate at which pictures follow each other where none is left out."""
        return nominal_rate(self._stream, self.time_base, self._steps, self.frame_rate)

    @property
    def timecode(self) -> str:
        """The label that the file gives to its first picture, empty where it gives none."""
        return own_timecode(self._container, self._stream)

    def __enter__(self) -> VideoStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def _pictures(self) -> Iterator[Any]:
        """Give all pictures that can be decoded, stepping over what cannot."""
        spoilt = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.error.FFmpegError, OSError):
                self.damage = "the file breaks off"
                break
            if packet.pos and self._stated is None:
                self._position = min(1.0, packet.pos / self._bytes)
            try:
                yield from packet.decode()
            except (av.error.FFmpegError, OSError, ValueError):
                spoilt += packet.size > 0
        if spoilt and not self.damage:
            self.damage = f"{spoilt} {'piece' if spoilt == 1 else 'pieces'} of it could not be decoded"

    def __iter__(self) -> Iterator[Frame]:
        rate = self._stream.average_rate or USUAL_RATE
        step = max(1, round(1 / rate / self.time_base))
        jump_back = JUMP_BACK / self.time_base
        nearest = NEAREST / self.time_base
        origin = last = used = None
        end = 0
        scaler = _Scaler()
        for picture in self._pictures():
            self.decoded += 1
            pts = picture.pts if picture.pts is not None else picture.dts
            if origin is None:
                self._adopt(picture)
                origin = pts if pts is not None else 0
                time = 0
            elif pts is None:
                time = end
            else:
                time = pts - origin
                if last - time > jump_back:
                    origin += time - end
                    time = end
            if last is not None and time <= last:
                continue
            if last is not None:
                self._steps[time - last] += 1
            span = int(picture.duration or 0)
            last, end = time, time + (span if 0 < span <= 4 * step else step)
            if self._stated:
                self._position = min(1.0, float(time * self.time_base) / self._stated)
            if used is not None and time - used < nearest:
                continue
            used = time
            yield scaler.frame(picture, time, self)
        self.length = end
        if not self.decoded:
            raise VideoError(
                f"No picture in {self.path} could be decoded.",
                hint="The file is damaged or holds nothing to show; try whether a player shows it.",
            )
        if self._stated and not self.damage:
            missing = self._stated - float(end * self.time_base)
            if missing > max(1.0, 0.05 * self._stated):
                self.damage = f"it states {self._stated:.1f} s, but the picture ends earlier"

    def _adopt(self, picture: Any) -> None:
        turns = round(picture.rotation / 90) % 4  # FFmpeg counts counterclockwise
        self.rotation = -90 * turns % 360
        self.width, self.height = shown_size(picture.width, picture.height, self._stream.sample_aspect_ratio, turns)


class _Scaler:
    """Scale, rotate and convert pictures; keeps one swscale context per target."""

    def __init__(self) -> None:
        self._gray = VideoReformatter()
        self._colour = VideoReformatter()

    def frame(self, picture: Any, pts: int, stream: VideoStream) -> Frame:
        width, lines = measured_size(stream.width, stream.height)
        turns = stream.rotation // 90
        gray = self._convert(self._gray, picture, width, lines, turns, "gray")
        gray = cast(Gray, cv2.GaussianBlur(gray, (0, 0), SMOOTHING))
        thumb = self._convert(self._colour, picture, *THUMB, turns, "rgb24")
        return Frame(pts, gray, thumb)

    @staticmethod
    def _convert(
        scaler: VideoReformatter, picture: Any, width: int, height: int, turns: int, pixels: str
    ) -> npt.NDArray[np.uint8]:
        if turns % 2:
            width, height = height, width
        way = Interpolation.BICUBIC if pixels == "gray" else Interpolation.AREA
        small = scaler.reformat(picture, width, height, pixels, interpolation=way, threads=1)
        array = np.asarray(small.to_ndarray(), dtype=np.uint8)
        return np.ascontiguousarray(np.rot90(array, -turns))
