from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cmt_bridge.errors import VideoError
from cmt_bridge.media.reel import Reel
from cmt_bridge.media.wholeness import is_whole
from cmt_bridge.outputs.preview import measure_picture
from cmt_bridge.video.stream import VideoStream
from tests.clips import Picture, noise, write_clip

RATE = 25
SMALL = (64, 48)


def pictures(count: int, seed: int = 0) -> list[Picture]:
    return [noise(seed + k, SMALL) for k in range(count)]


def write(
    path: Path,
    *,
    count: int = 50,
    begin: float = 0.0,
    sound: tuple[float, float] | None = None,
    last: float | None = None,
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    straight: bool = True,
) -> Path:
    """Write `count` pictures from `begin` s on, the last of them held for `last` s, and a sound between two seconds.

    Without `straight` time stamps number the pictures as they are decoded.
    """
    with av.open(str(path), "w", options=muxing or {}) as container:
        picture = container.add_stream(codec, rate=RATE, options=options or {})
        picture.width, picture.height, picture.pix_fmt = *SMALL, "rgb8" if codec == "gif" else "yuv420p"
        made = []
        for k, image in enumerate(pictures(count)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            made += picture.encode(frame)
        made += picture.encode(None)
        packets = [(p.dts / RATE, p) for p in made]
        for k, packet in enumerate(made):
            if not straight:
                packet.pts = packet.dts = k
            packet.pts, packet.dts = packet.pts + round(begin * RATE), packet.dts + round(begin * RATE)
        if last is not None:
            max(made, key=lambda packet: packet.pts).duration = round(last * RATE)
        if sound:
            stream = container.add_stream("mp2", rate=44_100)
            for k in range(int((sound[1] - sound[0]) * 44_100 / 1152)):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
                samples.sample_rate, samples.pts = 44_100, k * 1152 + round(sound[0] * 44_100)
                packets += [(p.pts / 44_100, p) for p in stream.encode(samples)]
        for _, packet in sorted(packets, key=lambda each: each[0]):
            container.mux(packet)
    return path


def joined(path: Path, parts: Iterable[Path]) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def read(path: Path) -> tuple[list[float], Reel]:
    """Give the seconds of all pictures from the first on, and the reel after that."""
    with Reel(path) as reel:
        times = [time for _, time in reel.pictures()]
        return [float((time - times[0]) * reel.time_base) for time in times], reel


def length(path: Path) -> float:
    """Give the length as it is measured, having seen that a preview would be as long."""
    with VideoStream(path) as stream:
        for _ in stream:
            pass
        measured = float(stream.length * stream.time_base)
    assert measure_picture(path).seconds == pytest.approx(measured, abs=1e-6)
    return measured


@pytest.mark.parametrize("begins", [(3600.0, 0.0), (0.0, 3600.0), (90_000.0, 5.0), (0.0, 40.0), (50.0, 48.0, 7200.0)])
@pytest.mark.parametrize("has_sound", [False, True])
def test_transport_streams_are_joined_up_where_their_clock_jumps(
    tmp_path: Path, begins: tuple[float, ...], has_sound: bool
) -> None:
    parts = [
        write(tmp_path / f"{k}.ts", begin=begin, codec="mpeg2video", sound=(begin, begin + 2.0) if has_sound else None)
        for k, begin in enumerate(begins)
    ]
    times, reel = read(joined(tmp_path / "joined.ts", parts))
    np.testing.assert_allclose(times, np.arange(50 * len(begins)) / RATE, atol=2e-3)
    assert len(reel.joints) == len(begins) - 1
    assert reel.damage == ""
    assert length(tmp_path / "joined.ts") == pytest.approx(2.0 * len(begins), abs=0.01)
    with VideoStream(tmp_path / "joined.ts") as stream:
        list(stream)
        assert stream.joints == pytest.approx([2.0 * k for k in range(1, len(begins))], abs=0.05)


def test_a_gap_counts_as_time_where_sound_continues(tmp_path: Path) -> None:
    path = tmp_path / "slides.ts"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg2video", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = *SMALL, "yuv420p"
        stream = container.add_stream("mp2", rate=44_100)
        made = []
        for k, image in enumerate(pictures(4)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            made += picture.encode(frame)
        packets = []
        for k, packet in enumerate((*made, *picture.encode(None))):
            packet.pts = packet.dts = k * 15 * RATE
            packets.append((k * 15.0, packet))
        for k in range(int(46 * 44_100 / 1152)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 44_100, k * 1152
            packets += [(p.pts / 44_100, p) for p in stream.encode(samples)]
        for _, packet in sorted(packets, key=lambda each: each[0]):
            container.mux(packet)
    times, reel = read(path)
    assert times == pytest.approx([0, 15, 30, 45], abs=1e-3)
    assert reel.joints == ()


@pytest.mark.parametrize(
    ("name", "codec", "muxing"),
    [("a.mp4", "mpeg4", {}), ("a.mov", "mpeg4", {}), ("a.mkv", "mpeg4", {}), ("a.gif", "gif", {"final_delay": "800"})],
)
@pytest.mark.parametrize("sound", [None, (0.0, 12.0)])
def test_the_last_picture_lasts_as_long_as_the_file_says(
    tmp_path: Path, name: str, codec: str, muxing: dict[str, str], sound: tuple[float, float] | None
) -> None:
    if codec == "gif" and sound:
        pytest.skip("a GIF has no sound")
    clip = write(tmp_path / name, count=11, last=8.0, codec=codec, muxing=muxing, sound=sound)
    assert length(clip) == pytest.approx(8.4, abs=0.03)
    assert read(clip)[1].damage == ""


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts", "a.mov"])
def test_a_sound_that_is_longer_says_nothing_of_the_picture(tmp_path: Path, name: str) -> None:
    codec = "mpeg2video" if name.endswith("ts") else "mpeg4"
    clip = write(tmp_path / name, sound=(0.0, 18.0), codec=codec)
    assert length(clip) == pytest.approx(2.0, abs=0.01)
    assert read(clip)[1].damage == ""


def test_the_actual_length_wins_over_the_header(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.avi")
    data = bytearray(clip.read_bytes())
    for chunk, at in ((b"avih", 24), (b"strh", 40)):
        place = data.index(chunk) + at
        assert struct.unpack_from("<I", data, place)[0] == 50
        struct.pack_into("<I", data, place, 5000)
    clip.write_bytes(data)
    assert length(clip) == pytest.approx(2.0)
    with Reel(clip) as reel:
        assert reel.stated == pytest.approx(2.0)
    assert read(clip)[1].damage == ""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.flv"])
def test_a_file_that_breaks_off_is_damaged(tmp_path: Path, name: str) -> None:
    clip = write(
        tmp_path / name,
        count=100,
        sound=None,
        codec="flv" if name == "a.flv" else "mpeg4",
        muxing={"movflags": "faststart"} if name == "a.mp4" else {},
    )
    assert is_whole(clip)
    assert read(clip)[1].damage == ""
    data = clip.read_bytes()
    for share in (0.5, 0.9):
        clip.write_bytes(data[: int(share * len(data))])
        assert is_whole(clip) is False
        times, reel = read(clip)
        assert reel.damage
        assert 20 < len(times) < 100


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
@pytest.mark.parametrize("late", [0.0, 0.52, 2.0])
def test_a_picture_that_begins_after_the_sound_has_an_offset(tmp_path: Path, name: str, late: float) -> None:
    codec = "mpeg2video" if name.endswith("ts") else "mpeg4"
    clip = write(tmp_path / name, begin=late, sound=(0.0, 3.0), codec=codec)
    with VideoStream(clip) as stream:
        assert next(iter(stream)).pts == 0
        assert stream.offset == pytest.approx(late, abs=0.012)  # coders of sound may begin a little early


def test_a_clock_that_begins_anywhere_is_no_offset(tmp_path: Path) -> None:
    for name, codec in (("a.ts", "mpeg2video"), ("a.mkv", "mpeg4")):
        with VideoStream(write(tmp_path / name, begin=5000.0, codec=codec)) as stream:
            list(stream)
            assert stream.offset == 0.0
            assert stream.length * stream.time_base == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
def test_pictures_numbered_as_they_are_decoded_are_all_kept(tmp_path: Path, name: str) -> None:
    clip = write(tmp_path / name, codec="libx264", options={"bf": "3", "threads": "1"}, straight=False)
    times, reel = read(clip)
    assert reel.decoded == 50
    assert times == pytest.approx(np.arange(50) / RATE, abs=2e-3)
    assert length(clip) == pytest.approx(2.0, abs=0.01)


def test_a_recording_begins_with_the_first_decodable_picture(tmp_path: Path) -> None:
    options = {"g": "20", "bf": "2", "threads": "1", "sc_threshold": "0"}
    clip = write(tmp_path / "a.ts", count=60, codec="libx264", sound=(0.0, 2.4), options=options)
    with av.open(str(clip)) as container:
        second = [packet for packet in container.demux(video=0) if packet.is_keyframe][1]
        place = next(p.pos for p in container.demux(video=0)) if second.pos is None else second.pos
    with av.open(str(clip)) as container:
        amid = [packet.pos for packet in container.demux(video=0) if packet.pos][5]
    head = clip.read_bytes()[: 2 * 188 + 188]  # what programs there are
    clip.write_bytes(head + clip.read_bytes()[amid:])
    assert place > amid
    with VideoStream(clip) as stream:
        measured = [frame.pts * stream.time_base for frame in stream]
        offset, base = stream.offset, stream.time_base
        origin = stream._origin * base
    assert offset > 0.3
    assert measured[-1] == pytest.approx(39 / RATE, abs=0.01)
    picture = measure_picture(clip)
    assert picture.start == origin
    assert picture.before > 0
    assert picture.seconds == pytest.approx(1.6, abs=0.01)


def test_a_film_of_absurd_length_is_refused(tmp_path: Path) -> None:
    def held(k: int) -> Fraction:
        return Fraction(k * 300)

    for name in ("a.mp4", "a.mkv"):
        clip = write_clip(tmp_path / name, pictures(80), times=held, time_base=Fraction(1, 100))
        with pytest.raises(VideoError, match="longer than 6 hours") as caught:
            read(clip)
        assert caught.value.hint


def test_a_picture_that_is_held_for_minutes_is(tmp_path: Path) -> None:
    def held(k: int) -> Fraction:
        return Fraction(k * 300)

    for name in ("a.mp4", "a.mkv"):
        times, reel = read(write_clip(tmp_path / name, pictures(3), times=held, time_base=Fraction(1, 100)))
        assert times == [0, 300, 600]
        assert reel.joints == ()


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=RATE)
        film.width, film.height, film.pix_fmt = *SMALL, "yuv420p"
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(noise(9, (640, 480)), format="rgb24")))
        for k, image in enumerate(pictures(20)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
    assert length(path) == pytest.approx(0.8)
    with VideoStream(path) as stream:
        assert next(iter(stream)).gray.shape == (360, 480)
        assert (stream.width, stream.height) == SMALL
