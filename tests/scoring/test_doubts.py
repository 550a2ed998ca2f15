from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cmt_bridge.core.metadata import VideoMetadata, VideoSource
from cmt_bridge.scoring.score import doubts

PLAIN = VideoMetadata(VideoSource("a.ts", "", 64, 48, 0, (25, 1), 50), 24.0, 100.0, "estimated", (), (), (1.0,))


def test_a_plain_film_leaves_no_doubt() -> None:
    assert doubts(Path("a.ts"), PLAIN, "") == []
    slightly = replace(PLAIN, source=replace(PLAIN.source, offset=0.023))
    assert doubts(Path("a.ts"), slightly, "") == []


def test_time_stamps_that_were_joined_up_are_told() -> None:
    (said,) = doubts(Path("a.ts"), replace(PLAIN, joints=(10.01,)), "")
    assert said == "Warning: the time stamps of a.ts jump at 10.0 s; what they part was joined up."
    (said,) = doubts(Path("a.ts"), replace(PLAIN, joints=tuple(map(float, range(1, 10)))), "")
    assert "1.0 s, 2.0 s, 3.0 s, 4.0 s, 5.0 s and 4 more" in said


def test_a_picture_that_begins_late_is_told() -> None:
    (said,) = doubts(Path("a.ts"), replace(PLAIN, source=replace(PLAIN.source, offset=2.0)), "")
    assert said.startswith("The picture begins 2.000 s after the file")
