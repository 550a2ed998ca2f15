from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.video.analysis import analyze
from cmt_bridge.video.bars import WHOLE, Active, active_area
from cmt_bridge.video.measurement import measure
from cmt_bridge.video.stream import VideoStream
from tests.clips import Picture, noise, pulsing, turn_clip, write_clip


def framed(picture: Picture, down: int, across: int) -> Picture:
    return np.pad(picture, ((down, down), (across, across), (0, 0)))


@pytest.mark.parametrize(("down", "across"), [(16, 0), (0, 32), (16, 32)])
def test_bars_change_nothing_that_is_measured(tmp_path: Path, down: int, across: int) -> None:
    frames = pulsing(4, 20, 100)
    plain = measure(write_clip(tmp_path / "plain.mp4", frames, 20))
    barred = measure(write_clip(tmp_path / "barred.mp4", [framed(each, down, across) for each in frames], 20))
    np.testing.assert_allclose(barred.speed, plain.speed, atol=0.1 * plain.speed.max())
    assert np.corrcoef(barred.speed, plain.speed)[0, 1] > 0.99
    for options in (AnalysisOptions(), AnalysisOptions(tempo_low=40, tempo_high=200)):
        assert analyze(barred, options).tempo == pytest.approx(analyze(plain, options).tempo, rel=0.01)
    assert (barred.source.width, barred.source.height) == (160 + 2 * across, 96 + 2 * down)


def test_bars_of_a_turned_film_are_left_out(tmp_path: Path) -> None:
    frames = [framed(noise(seed), 16, 0) for seed in range(6)]
    with VideoStream(turn_clip(write_clip(tmp_path / "phone.mp4", frames, 5))) as stream:
        (first, *_) = list(stream)
        assert (stream.width, stream.height) == (128, 160)
    assert first.gray.shape == (360, 216)
    assert first.gray[:, :3].mean() > 40
    assert first.gray[:, -3:].mean() > 40


def gray(seed: int, down: int = 0, dim: float = 1.0) -> np.ndarray:
    return np.asarray(np.pad(noise(seed)[..., 1] * dim, ((down, down), (0, 0))), np.uint8)


def test_bars_that_come_and_go_belong_to_the_picture() -> None:
    assert active_area([gray(k, 16) for k in range(6)]) == Active(16 / 128, 112 / 128)
    assert (
        active_area([np.asarray(np.resize(gray(0), (128, 160)), np.uint8)] + [gray(k, 16) for k in range(6)]) == WHOLE
    )


def test_a_dark_film_is_not_cropped() -> None:
    light = np.exp(-(((np.arange(96) - 48) / 20.0) ** 2))[:, None]  # only the middle is lit
    assert active_area([np.asarray(noise(k)[..., 1] * light, np.uint8) for k in range(6)]) == WHOLE
    assert active_area([gray(k, 16, 0.1) for k in range(6)]) == WHOLE
    assert active_area([np.zeros((96, 160), np.uint8)] * 6) == WHOLE
    assert active_area([]) == WHOLE


def test_black_pictures_say_nothing_of_bars() -> None:
    black = np.zeros((128, 160), np.uint8)
    assert active_area([black, *(gray(k, 16) for k in range(4)), black]) == Active(16 / 128, 112 / 128)


def test_a_bar_on_one_side_is_none() -> None:
    assert active_area([np.pad(gray(k), ((0, 24), (0, 0))) for k in range(6)]) == WHOLE
