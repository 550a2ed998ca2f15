from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.errors import VideoError
from cmt_bridge.video.analysis import flow_per_bar
from cmt_bridge.video.flow import motion_between
from cmt_bridge.video.measurement import measure
from tests.clips import moved, noise, panning, write_clip


def gray(right: float) -> np.ndarray:
    return np.ascontiguousarray(moved(noise(3, (640, 360), 12), right)[..., 1])


def test_speed_is_the_mean_of_both_axes_in_pixels() -> None:
    motion = motion_between(gray(0), gray(3))
    assert motion.speed == pytest.approx(1.5, rel=0.05)


def test_a_directogram_says_where_motion_goes() -> None:
    right, left = motion_between(gray(0), gray(3)), motion_between(gray(3), gray(0))
    assert right.directogram.sum() == pytest.approx(3.0, rel=0.05)
    assert (right.directogram[[0, 15]]).sum() > 0.9 * right.directogram.sum()
    assert (left.directogram[[7, 8]]).sum() > 0.9 * left.directogram.sum()


def test_a_still_picture_does_not_move() -> None:
    motion = motion_between(gray(0), gray(0))
    assert (motion.speed, motion.residual, motion.directogram.sum()) == (0.0, 0.0, 0.0)


def test_motion_explains_a_pan_but_not_a_cut() -> None:
    other = np.ascontiguousarray(noise(4, (640, 360), 12)[..., 1])
    assert motion_between(gray(0), gray(4)).residual < 0.02
    assert motion_between(gray(0), other).residual > 0.1


@pytest.mark.parametrize("size", [(2, 2), (8, 8), (2, 360), (1440, 2)])
def test_the_smallest_pictures_can_be_measured(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 256, size[::-1]).astype(np.uint8) for _ in range(2))
    assert np.isfinite(motion_between(before, after).speed)


def test_threads_do_not_change_the_result(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "pan.mp4", panning(1, 25, 50))
    one, three = measure(clip, threads=1), measure(clip, threads=3)
    for name in ("pts", "speed", "directogram", "residual", "previews"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_twice_the_frame_rate_is_the_same_motion(tmp_path: Path) -> None:
    slow = measure(write_clip(tmp_path / "30.mp4", panning(1, 30, 30), 30))
    fast = measure(write_clip(tmp_path / "60.mp4", panning(1, 60, 30), 60))
    assert fast.source.frames == 2 * slow.source.frames == 60
    assert fast.nominal == pytest.approx(slow.nominal)
    assert flow_per_bar(fast, 120)[0] == pytest.approx(flow_per_bar(slow, 120)[0], rel=0.1)


def test_left_out_repeats_are_the_same_motion(tmp_path: Path) -> None:
    """A picture that is shown for long weighs as much as one that is repeated."""
    steps = [k for k in range(60) if k % 15 < 8 or k == 59]  # moves for half a second, then holds
    frames = {k: moved(noise(1), 2 * min(k % 15, 7) + 14 * (k // 15)) for k in range(60)}
    full = measure(write_clip(tmp_path / "full.mp4", frames.values(), 15))
    thin = measure(
        write_clip(tmp_path / "thin.mp4", [frames[k] for k in steps], times=lambda i: Fraction(steps[i], 15))
    )
    assert thin.source.frames < full.source.frames
    assert thin.nominal == pytest.approx(full.nominal, rel=0.01)
    assert flow_per_bar(thin, 120) == pytest.approx(flow_per_bar(full, 120), rel=0.1)


def test_pictures_are_kept_at_even_distances_however_long_it_is(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", panning(200, 2, 0), 2)
    measurement = measure(clip)
    kept = measurement.preview_pts * float(measurement.time_base)
    assert 32 <= len(kept) <= 64
    np.testing.assert_allclose(np.diff(kept), kept[1])
    assert kept[-1] > 190


def test_a_single_picture_is_too_little(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="single picture"):
        measure(write_clip(tmp_path / "one.mp4", [noise(1)]))


def test_interrupting_leaves_no_thread_behind(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "pan.mp4", panning(4, 25, 50))

    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(clip, progress=stop, threads=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flow")]


def test_progress_rises_to_the_end_even_without_a_stated_duration(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "live.mkv", [noise(k) for k in range(40)], 10, options={"live": "1"})
    shares: list[float] = []
    measurement = measure(clip, progress=shares.append, threads=1)
    assert shares == sorted(shares)
    assert shares[0] < 0.3
    assert shares[-1] > 0.9
    assert measurement.duration == pytest.approx(4.0)
