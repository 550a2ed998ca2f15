"""In which timecode a film counts: its nominal rate and its own label, of files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from cmt_bridge.core.timecode import counted
from cmt_bridge.video.labels import stated_labels
from cmt_bridge.video.stream import VideoStream
from tests.clips import panning, write_clip

NTSC = Fraction(30000, 1001)
Times = Callable[[int], Fraction]


def counts(path: Path) -> str:
    with VideoStream(path) as stream:
        for _ in stream:
            pass
        rate = counted(stream.nominal_rate.as_integer_ratio())
        assert rate is not None
        return rate.name


def labelled(path: Path, rate: Fraction, label: str) -> Path:
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = label
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for picture in panning(1, rate, 20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    ("rate", "name"),
    [
        (Fraction(24000, 1001), "23.976"),
        (Fraction(24), "24"),
        (Fraction(25), "25"),
        (Fraction(25, 2), "25"),
        (NTSC, "29.97 drop"),
        (Fraction(50), "50"),
        (Fraction(60000, 1001), "59.94 drop"),
    ],
)
def test_an_even_film_counts_at_its_rate(tmp_path: Path, suffix: str, rate: Fraction, name: str) -> None:
    assert counts(write_clip(tmp_path / f"film.{suffix}", panning(2, rate, 20), rate)) == name


def left_out(every: int) -> Times:
    """Give times of a phone or a screen recorder that leaves out pictures: of each `every`, the last."""
    return lambda k: (k + k // (every - 1)) / NTSC


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("every", [3, 5])
def test_dropped_pictures_do_not_change_the_count(tmp_path: Path, suffix: str, every: int) -> None:
    path = write_clip(
        tmp_path / f"film.{suffix}", panning(3, 20, 20), NTSC, times=left_out(every), time_base=Fraction(1, 30_000)
    )
    with VideoStream(path) as stream:
        for _ in stream:
            pass
        assert stream.frame_rate < 28
    assert counts(path) == "29.97 drop"


def test_single_pictures_count_at_the_stated_rate(tmp_path: Path) -> None:
    def times(k: int) -> Fraction:
        return Fraction(k if k < 20 else 20 + 50 * (k - 20), 25)

    path = write_clip(tmp_path / "film.mp4", panning(1, 24, 20), 25, times=times, time_base=Fraction(1, 12_800))
    assert counts(path) == "25"


@pytest.mark.parametrize(
    ("suffix", "rate", "label"),
    [
        ("mov", Fraction(25), "10:20:30:12"),
        ("mp4", NTSC, "14:22:07;18"),
        ("mov", NTSC, "01:00:00:00"),
        ("mov", Fraction(24000, 1001), "23:59:58:23"),
        ("mxf", Fraction(25), "10:20:30:12"),
    ],
)
def test_the_label_that_a_camera_wrote_is_read(tmp_path: Path, suffix: str, rate: Fraction, label: str) -> None:
    if suffix == "mxf":
        path = broadcast(tmp_path / "film.mxf", label)
    else:
        path = labelled(tmp_path / f"film.{suffix}", rate, label)
    with VideoStream(path) as stream:
        assert stream.timecode == label
    assert stated_labels(path) == (rate, label)


def broadcast(path: Path, label: str) -> Path:
    """Write an MXF, which has its timecode in the head of the file."""
    with av.open(str(path), "w", format="mxf") as container:
        container.metadata["timecode"] = label
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for picture in panning(1, 25, 20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_film_without_a_label_has_none(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "film.mp4", panning(1, 25, 20), 25)
    with VideoStream(path) as stream:
        assert stream.timecode == ""
    assert stated_labels(path) == (25, "")
    (tmp_path / "none.mp4").write_bytes(b"no video")
    assert stated_labels(tmp_path / "none.mp4") is None
