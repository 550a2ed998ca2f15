from __future__ import annotations

from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmt_bridge.projects.frames import Frames, frames_of

RATES = [(24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60000, 1001), (60, 1)]


@pytest.mark.parametrize(
    ("rate", "number", "label"),
    [
        ((30000, 1001), 1799, "00:00:59;29"),
        ((30000, 1001), 1800, "00:01:00;02"),
        ((30000, 1001), 17981, "00:09:59;29"),
        ((30000, 1001), 17982, "00:10:00;00"),
        ((30000, 1001), 107892, "01:00:00;00"),
        ((60000, 1001), 3600, "00:01:00;04"),
        ((60000, 1001), 215784, "01:00:00;00"),
        ((2997, 100), 1800, "00:01:00;02"),
        ((24000, 1001), 86400, "01:00:00:00"),
        ((25, 1), 90000, "01:00:00:00"),
        ((24, 1), 24 * 86400, "00:00:00:00"),
        ((12, 1), 13, "00:00:01:01"),
    ],
)
def test_labels_are_those_of_the_standard(rate: tuple[int, int], number: int, label: str) -> None:
    frames = frames_of(rate)
    assert frames is not None
    assert frames.label(number) == label


@given(rate=st.sampled_from(RATES), number=st.integers(0, 24 * 3600 * 23))
def test_labels_are_those_of_another_program(rate: tuple[int, int], number: int) -> None:
    frames = frames_of(rate)
    assert frames is not None
    time = otio.opentime.RationalTime(number, float(frames.rate))
    assert frames.label(number) == otio.opentime.to_timecode(time, float(frames.rate), drop_frame=bool(frames.drop))


@given(rate=st.sampled_from(RATES), start=st.integers(0, 86_399))
def test_a_start_of_whole_seconds_has_that_label(rate: tuple[int, int], start: int) -> None:
    frames = frames_of(rate)
    assert frames is not None
    hours, minutes, seconds = start // 3600, start // 60 % 60, start % 60
    if frames.drop and minutes % 10 and not seconds:
        return  # such a label does not exist
    assert frames.label(frames.first(start))[:8] == f"{hours:02}:{minutes:02}:{seconds:02}"
    assert frames.label(frames.first(start))[9:] == "00"


def test_times_are_counted_at_the_true_rate() -> None:
    frames = frames_of((30000, 1001))
    assert frames == Frames(Fraction(30000, 1001), 30, 2)
    assert frames.number(Fraction(1001, 30)) == 1000
    assert frames.number(3600.0) == 107892
    assert frames_of((0, 1)) is None
    assert frames_of((15, 1)) == Frames(Fraction(15), 15, 0)
