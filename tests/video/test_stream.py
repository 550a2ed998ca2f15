from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.errors import VideoError
from cmt_bridge.video.cache import measured
from cmt_bridge.video.stream import VideoStream, measured_size, shown_size
from tests.clips import noise, panning, turn_clip, write_clip, write_sound


def times(path: Path) -> list[Fraction]:
    with VideoStream(path) as stream:
        return [frame.pts * stream.time_base for frame in stream]


def test_times_are_exact_at_film_rate(tmp_path: Path) -> None:
    rate = Fraction(24_000, 1001)
    clip = write_clip(tmp_path / "film.mp4", panning(1, rate, 30), rate)
    assert times(clip) == [k / rate for k in range(24)]


def test_variable_frame_rates_keep_the_files_times(tmp_path: Path) -> None:
    def held(k: int) -> Fraction:
        return Fraction(k, 20) + Fraction(k * k, 400)

    clip = write_clip(tmp_path / "varying.mp4", panning(1, 25, 30), times=held)
    assert times(clip) == [held(k) for k in range(25)]


def test_the_first_picture_is_time_zero(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "late.ts", panning(1, 25, 30), codec="mpeg2video")
    with VideoStream(clip) as stream:
        seconds = [frame.pts * stream.time_base for frame in stream]
        assert stream._reel.stream.start_time  # the clock of the file itself does not start at 0
        assert stream.offset == 0
        assert stream.length * stream.time_base == 1
    assert seconds == [Fraction(k, 25) for k in range(25)]


@pytest.mark.parametrize(("rate", "used"), [(25, 25), (30, 30), (48, 24), (50, 25), (60, 30)])
def test_high_frame_rates_are_thinned(tmp_path: Path, rate: int, used: int) -> None:
    clip = write_clip(tmp_path / "fast.mp4", panning(1, rate, 30), rate)
    with VideoStream(clip) as stream:
        assert len(list(stream)) == used
        assert stream.decoded == rate
        assert stream.frame_rate == rate


def test_pictures_are_turned_as_shown(tmp_path: Path) -> None:
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:, :80] = 255  # white on the left
    clip = turn_clip(write_clip(tmp_path / "phone.mp4", [picture] * 5))
    with VideoStream(clip) as stream:
        frame = next(iter(stream))
        assert (stream.width, stream.height, stream.rotation) == (96, 160, 90)
    assert frame.gray.shape == (360, 216)
    assert frame.gray[:150].mean() > 240  # turned clockwise, white is above
    assert frame.gray[-150:].mean() < 15
    assert frame.thumb[:30].mean() > 240


def test_sizes_are_those_shown() -> None:
    assert shown_size(720, 576, Fraction(16, 15), 0) == (768, 576)
    assert shown_size(800, 332, Fraction(399, 400), 0) == (800, 332)
    assert shown_size(1920, 1080, None, 1) == (1080, 1920)


@pytest.mark.parametrize(
    ("shown", "measured"),
    [
        ((854, 480), (640, 360)),
        ((800, 332), (868, 360)),
        ((1080, 1920), (202, 360)),
        ((8192, 4608), (640, 360)),
        ((320, 180), (640, 360)),
        ((333, 187), (642, 360)),
        ((1, 1), (8, 8)),
        ((10_000, 1), (1440, 2)),
        ((1, 10_000), (2, 360)),
    ],
)
def test_flow_is_measured_on_360_lines_where_that_makes_sense(
    shown: tuple[int, int], measured: tuple[int, int]
) -> None:
    assert measured_size(*shown) == measured


def test_names_are_only_names(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "http:a.b.mp4", panning(1, 5, 30), 5)
    clip = clip.rename(tmp_path / "tcp:Ünder %d $x.MOV.MP4")
    assert len(times(clip)) == 5


def test_names_need_not_be_text(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", panning(1, 5, 30), 5)
    clip = clip.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/na\xefve\n.mp4")))
    assert measured(clip).source.name == measured(clip).source.name == "na\ufffdve\ufffd.mp4"


def test_what_is_no_video_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    sound = write_sound(tmp_path / "sound.m4a")
    cases = {
        tmp_path / "none.mp4": "There is no file",
        tmp_path: "is a folder",
        empty: "is empty",
        text: "is not a video",
        pipe: "is not a regular file",
        sound: "has no picture, only sound",
        Path("a\0b"): "cannot be read",
    }
    for path, message in cases.items():
        with pytest.raises(VideoError, match=message) as caught:
            VideoStream(path)
        assert caught.value.hint, path
        assert caught.value.exit_code == 3


def test_a_truncated_video_is_measured_to_its_end(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", [noise(k) for k in range(60)], 10)
    part = tmp_path / "part.mkv"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with VideoStream(part) as stream:
        used = len(list(stream))
        assert 20 < used < 40
        assert stream.length * stream.time_base == pytest.approx(used / 10, abs=0.11)
        assert stream.damage


def test_what_cannot_be_decoded_is_stepped_over(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", [noise(k) for k in range(50)], 10, codec="mpeg2video")
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    clip.write_bytes(data)
    assert times(clip)[-1] > Fraction(9, 2)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nother.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_that_names_other_files_is_no_film(tmp_path: Path, text: str) -> None:
    from cmt_bridge.outputs.preview import measure_picture

    write_clip(tmp_path / "other.mp4", panning(1, 25, 30))
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(VideoError, match=r"list\.mp4"), VideoStream(tmp_path / "list.mp4") as stream:
        list(stream)
    with pytest.raises(VideoError, match=r"list\.mp4"):
        measure_picture(tmp_path / "list.mp4")
