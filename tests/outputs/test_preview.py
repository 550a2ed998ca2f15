from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cmt_bridge.errors import OutputError, UsageError, VideoError
from cmt_bridge.outputs.audio import SAMPLE_RATE, Sound, fit
from cmt_bridge.outputs.preview import measure_picture, write_preview

CLICK_SECONDS = 0.5


def write_clip(path: Path, codec: str, *, start: float = 0.0, frames: int = 50) -> Path:
    """Write two seconds of moving grey at 25 frames per second, whose picture begins at `start` seconds."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_primaries = 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 4, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(start * 25), Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def click(seconds: float) -> Sound:
    """Give a tone that begins at half a second."""
    sound = np.zeros((round(seconds * SAMPLE_RATE), 2), np.float32)
    first = round(CLICK_SECONDS * SAMPLE_RATE)
    sound[first : first + 4800] = 0.8 * np.sin(np.arange(4800) * 2 * np.pi / 48)[:, None]
    return sound


def pictures(path: Path) -> tuple[av.VideoFrame, list[bytes]]:
    """Give the first picture and the packets of all of them."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    with av.open(str(path)) as container:
        return first, [bytes(packet) for packet in container.demux(video=0) if packet.size]


def sound_onset(path: Path) -> tuple[float, float]:
    """Give the time at which the decoded sound of a file becomes loud, and the time at which it ends."""
    onset = end = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            loud = np.flatnonzero(np.abs(samples).max(axis=0) > 0.2 * (1 if samples.dtype.kind == "f" else 2**15))
            if len(loud) and not onset:
                onset = frame.time + int(loud[0]) / frame.sample_rate
            end = frame.time + frame.samples / frame.sample_rate
    return onset, end


@pytest.mark.parametrize(
    ("name", "codec", "written"),
    [
        ("clip.mp4", "libx264", "clip.preview.mp4"),
        ("clip.mov", "libx264", "clip.preview.mov"),
        ("clip.mkv", "libx264", "clip.preview.mkv"),
        ("clip.webm", "libvpx", "clip.preview.webm"),
        ("clip.ts", "mpeg2video", "clip.preview.mkv"),
        ("clip.avi", "mpeg4", "clip.preview.avi"),
    ],
)
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_sound_starts_with_the_picture(tmp_path: Path, name: str, codec: str, written: str, start: float) -> None:
    if name == "clip.avi" and start:
        pytest.skip("AVI has no start time")
    clip = write_clip(tmp_path / name, codec, start=start)
    picture = measure_picture(clip)
    assert picture.seconds == pytest.approx(2.0, abs=0.01)
    path = write_preview(clip, picture, click(picture.seconds), tmp_path / "clip.preview")
    assert path == tmp_path / written
    first, packets = pictures(path)
    onset, end = sound_onset(path)
    assert abs(onset - first.time - CLICK_SECONDS) < 0.005
    assert end - first.time == pytest.approx(picture.seconds, abs=0.03)
    if name not in ("clip.ts", "clip.mkv"):
        assert packets == pictures(clip)[1]  # byte for byte
    assert first.color_primaries == pictures(clip)[0].color_primaries


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", "libx264", frames=5)
    picture = measure_picture(clip)
    (tmp_path / "clip.preview.mp4").write_bytes(b"mine")
    path = write_preview(clip, picture, click(0.6), tmp_path / "clip.preview")
    assert path.name == "clip.preview (2).mp4"
    assert (tmp_path / "clip.preview.mp4").read_bytes() == b"mine"


def test_a_container_that_was_asked_for_must_hold_the_picture(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", "libx264", frames=5)
    picture = measure_picture(clip)
    for name in ("a.webm", "a.txt"):
        with pytest.raises(UsageError):
            write_preview(clip, picture, click(0.6), tmp_path / name, exact=True)
    assert write_preview(clip, picture, click(0.6), tmp_path / "a.mkv", exact=True) == tmp_path / "a.mkv"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "clip.mp4"]


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_bytes(b"not a film" * 100)
    for name in ("empty.mp4", "text.mp4", "none.mp4"):
        with pytest.raises(VideoError, match=name):
            measure_picture(tmp_path / name)
    with pytest.raises(VideoError):
        measure_picture(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    clip = write_clip(tmp_path / "clip.mp4", "libx264")
    picture = measure_picture(clip)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError):
            write_preview(clip, picture, click(2.0), tmp_path / "clip.preview")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("androidx_rot270.mp4", ".mp4"),
        ("udacity_rot90_noaudio.mp4", ".mp4"),
        ("androidx_portrait_av1_10bit.mp4", ".mp4"),
        ("mdn_flower.webm", ".webm"),
        ("openshot_run_mpeg2.ts", ".mkv"),
        ("openshot_seattle.flv", ".flv"),
        ("exo_desks_vfr.3gp", ".3gp"),
        ("blupi_win129.mkv", ".avi"),
        ("friday.gif", ".mov"),
    ],
)
def test_real_clips_keep_rotation_colours_and_sync(shared: Path, tmp_path: Path, name: str, suffix: str) -> None:
    clip = shared / "videos" / name
    picture = measure_picture(clip)
    path = write_preview(clip, picture, fit(click(picture.seconds), picture.seconds), tmp_path / "a")
    assert path.suffix == suffix
    frames = []
    for file in (clip, path):
        with av.open(str(file), metadata_errors="replace") as container:
            frames.append(next(container.decode(video=0)))
    assert frames[0].rotation == frames[1].rotation
    for field in ("color_primaries", "color_trc", "colorspace", "color_range"):
        assert getattr(frames[0], field) == getattr(frames[1], field)
    assert abs(sound_onset(path)[0] - frames[1].time - CLICK_SECONDS) < 0.005


@pytest.mark.parametrize(
    "name",
    ["take:1", "-clip", "clip%d", "%03d", "100%", "concat:a|b", "http:x", "data:,x", "file:x", "pipe:0", "a?b#c"],
)
@pytest.mark.parametrize("relative", [False, True])
def test_a_name_is_a_name_whatever_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    write_clip(tmp_path / "plain.mp4", "mpeg4")
    (tmp_path / "plain.mp4").rename(tmp_path / f"{name}.mp4")
    monkeypatch.chdir(tmp_path)
    video = Path(f"{name}.mp4") if relative else tmp_path / f"{name}.mp4"
    picture = measure_picture(video)
    path = write_preview(video, picture, click(picture.seconds), video.with_name(f"{name}.preview"))
    assert path.name == f"{name}.preview.mp4"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([f"{name}.mp4", f"{name}.preview.mp4"])
    exact = write_preview(video, picture, click(picture.seconds), video.with_name(f"{name} b.mkv"), exact=True)
    path.rename("result.mp4")
    exact.rename("result.mkv")
    assert pictures(Path("result.mp4"))[1] == pictures(Path("result.mkv"))[1]


def test_a_file_that_names_others_reads_none_of_them(tmp_path: Path) -> None:
    write_clip(tmp_path / "plain.mp4", "mpeg4")
    lists = {
        "net.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "net.mp4": "ffconcat version 1.0\nfile 'http://127.0.0.1:9/a.mp4'\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoError):
            measure_picture(tmp_path / name)
