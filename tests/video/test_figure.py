from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from cmt_bridge.video.analysis import analyze
from cmt_bridge.video.figure import draw
from cmt_bridge.video.measurement import measure
from tests.clips import noise, pulsing, write_clip


def test_the_figure_shows_pictures_motion_and_beats(tmp_path: Path) -> None:
    measurement = measure(write_clip(tmp_path / "名前 $x$ %d.mp4", pulsing(4, 10, 100), 10))
    metadata = analyze(measurement)
    draw(measurement, metadata, tmp_path / "figure.png")
    with av.open(str(tmp_path / "figure.png")) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture.shape == (1140, 2100, 3)

    def share(red: int, green: int, blue: int) -> float:
        return float(np.mean(np.abs(picture - (red, green, blue)).max(axis=2) < 12))

    assert share(0xD1, 0x49, 0x5B) > 0.0002, "visual beats"
    assert share(0x0B, 0x53, 0x94) > 0.0002, "motion per bar"
    strip = picture[140:280, 140:2060]
    assert strip.std() > 30, "pictures"


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_a_still_video_can_be_drawn_in_other_formats(tmp_path: Path, suffix: str) -> None:
    measurement = measure(write_clip(tmp_path / "still.mp4", [noise(1)] * 2, 1))
    path = tmp_path / f"figure{suffix}"
    draw(measurement, analyze(measurement), path)
    assert path.stat().st_size > 1000
