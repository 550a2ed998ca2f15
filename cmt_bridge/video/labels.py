"""What a file says of its timecode: the nominal rate of its pictures, and the label of the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container.core import Container
from av.video.stream import VideoStream as AvStream

from cmt_bridge.core.files import of_one_file
from cmt_bridge.core.timecode import USUAL, is_label

__all__ = ["nominal_rate", "own_timecode", "stated_labels"]

SAME: Final = Fraction(1, 2000)  # 29.97 and 30 are twice as far apart
USUAL_STEP: Final = Fraction(1, 4)  # steps within this share of the commonest are as long: times may be rounded to ms
NEAR_STEP: Final = Fraction(15, 1000)
ENOUGH: Final = 8  # steps that say how long they are
TAG: Final = "timecode"


def nominal_rate(stream: AvStream, time_base: Fraction, steps: Mapping[int, int], average: Fraction) -> Fraction:
    """Return the rate at which pictures follow each other where none is left out, as a film counts them.

    Of what the stream states, and of its `average`, that is the usual rate which the commonest of the `steps` from
    picture to picture, counted by their length in units of `time_base`, bears out; else the rate of those steps where
    it is a usual one; else what the stream states. Where nothing is usual it is the stream's own rate.
    """
    stated = [rate for rate in (stream.base_rate, _coded(stream), stream.guessed_rate, stream.average_rate) if rate]
    usual = [rate for rate in (*stated, average) if _is_usual(rate)]
    step = _commonest(steps)
    rate = 1 / (step * time_base) if step else None
    if rate is not None:
        near = [each for each in usual if abs(each / rate - 1) < NEAR_STEP]
        if near:
            return min(near, key=lambda each: abs(each / rate - 1)) if _is_exact(steps) else near[0]
        if _is_usual(rate):
            return rate.limit_denominator(1001)
    if usual:
        return usual[0]
    steady = next((each for each in stated if rate is not None and abs(each / rate - 1) < NEAR_STEP), None)
    return steady or average


def _is_usual(rate: Fraction) -> bool:
    return any(abs(rate / each.frames - 1) < SAME for each in USUAL)


def _is_exact(steps: Mapping[int, int]) -> bool:
    """Return whether one length is that of nearly all steps, so that its rate is no mean of roundings."""
    return max(steps.values()) * 10 >= 9 * sum(steps.values())


def _coded(stream: AvStream) -> Fraction | None:
    """Return the rate that is stated with the pictures themselves."""
    rate = stream.codec_context.framerate
    return rate if rate else None


def _commonest(steps: Mapping[int, int]) -> Fraction | None:
    """Return the mean length of the steps that are about as long as the commonest."""
    if sum(steps.values()) < ENOUGH:
        return None
    usual = max(steps, key=lambda length: steps[length])
    near = {length: count for length, count in steps.items() if abs(length - usual) <= usual * USUAL_STEP}
    return Fraction(sum(length * count for length, count in near.items()), sum(near.values()))


def stated_labels(path: Path) -> tuple[Fraction, str] | None:
    """Return the nominal rate and the first label that the head of a file states; None where it is no video."""
    try:
        with av.open(f"file:{path}", metadata_errors="replace", options=of_one_file(av.formats_available)) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or not stream.average_rate or stream.codec_context is None:
                return None
            rate = nominal_rate(stream, stream.time_base or Fraction(1, 1000), {}, stream.average_rate)
            return rate, own_timecode(container, stream)
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return None


def own_timecode(container: Container, stream: AvStream) -> str:
    """Return the label that a file has for its first picture, with `;` in drop frame; empty where it has none.

    It is in a timecode track of QuickTime and MP4, as cameras write it, or in the head of MXF and others; FFmpeg shows
    all of them as metadata of the stream, of a track of data, or of the file.
    """
    others: Iterable[Mapping[str, str]] = (each.metadata for each in container.streams if each.type == "data")
    for metadata in (stream.metadata, *others, container.metadata):
        for name, value in metadata.items():
            if name.lower() == TAG and is_label(value):
                return value.strip()
    return ""
