from __future__ import annotations

from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmt_bridge.core.timecode import (
    LABELLED,
    MIDI,
    USUAL,
    Rate,
    Timecode,
    counted,
    counting_of,
    fitted,
    is_rate,
    named_rate,
    read_label,
)
from cmt_bridge.errors import UsageError

NTSC = (30000, 1001)


def rate_of(frame_rate: tuple[int, int]) -> Rate:
    found = counted(frame_rate)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("rate", "number", "label"),
    [
        (NTSC, 1799, "00:00:59;29"),
        (NTSC, 1800, "00:01:00;02"),
        (NTSC, 17981, "00:09:59;29"),
        (NTSC, 17982, "00:10:00;00"),
        (NTSC, 107892, "01:00:00;00"),
        ((60000, 1001), 3600, "00:01:00;04"),
        ((60000, 1001), 215784, "01:00:00;00"),
        ((2997, 100), 1800, "00:01:00;02"),
        ((24000, 1001), 86400, "01:00:00:00"),
        ((25, 1), 90000, "01:00:00:00"),
        ((24, 1), 24 * 86400, "00:00:00:00"),
        ((12, 1), 25, "00:00:01:01"),
    ],
)
def test_labels_are_those_of_the_standard(rate: tuple[int, int], number: int, label: str) -> None:
    assert str(rate_of(rate).label(number)) == label


@given(rate=st.sampled_from([rate for rate in LABELLED if rate.base != 48]), number=st.integers(0, 24 * 3600 * 23))
def test_labels_are_those_of_another_program(rate: Rate, number: int) -> None:
    time = otio.opentime.RationalTime(number, float(rate.frames))
    assert str(rate.label(number)) == otio.opentime.to_timecode(time, float(rate.frames), drop_frame=bool(rate.drop))


@given(rate=st.sampled_from(USUAL), number=st.integers(0, 10**7))
def test_a_label_says_its_frame(rate: Rate, number: int) -> None:
    label = rate.label(number)
    assert label.exists
    assert label.count == number % rate.day
    assert read_label(str(label), rate) == label
    assert rate.number(label.time) == label.count


@pytest.mark.parametrize(
    ("frame_rate", "name"),
    [
        ((24000, 1001), "23.976"),
        ((24, 1), "24"),
        ((25, 1), "25"),
        ((25, 2), "25"),
        ((12, 1), "24"),
        ((15, 1), "30"),
        ((10, 1), "30"),
        ((2993, 100), "29.97 drop"),
        ((2998, 100), "29.97 drop"),
        ((2999, 100), "30"),
        ((48, 1), "48"),
        ((48000, 1001), "47.952"),
        ((5994, 100), "59.94 drop"),
        ((100, 1), "50"),
        ((120, 1), "120"),
        ((240, 1), "120"),
        ((120000, 1001), "119.88 drop"),
        ((247, 10), "25"),
    ],
)
def test_a_video_counts_in_its_own_or_the_nearest_rate(frame_rate: tuple[int, int], name: str) -> None:
    assert rate_of(frame_rate).name == name


def test_of_an_unknown_rate_nothing_is_said() -> None:
    assert counted((0, 1)) is None
    for nonsense in ((0, 0), (-25, 1), (25, -1), (10**400, 1), (1, 10**400)):
        assert counted(nonsense) is None
        assert counting_of(nonsense).told("MTC", MIDI) == ()
    assert not counting_of((0, 1)).is_known
    assert counting_of((0, 1), rate="25").is_known


@pytest.mark.parametrize(
    ("rate", "midi"),
    [("23.976", "23.976"), ("47.952", "23.976"), ("48", "24"), ("50", "25"), ("59.94", "29.97 drop"), ("120", "30")],
)
def test_unknown_rates_are_counted_in_a_divisor(rate: str, midi: str) -> None:
    assert fitted(named_rate(rate), MIDI).name == midi


@pytest.mark.parametrize(
    ("frame_rate", "sentences"),
    [
        ((25, 1), ()),
        ((24000, 1001), ()),
        ((2998, 100), ()),
        ((25, 2), ("No timecode counts 12.5 frames a second, as the film has: it counts 25.",)),
        ((2993, 100), ("No timecode counts 29.93 frames a second, as the film has: it counts 29.97 drop.",)),
        ((50, 1), ("MTC does not count 50 frames a second, but 25: a label for every 2 pictures.",)),
        (
            (240, 1),
            (
                "No timecode counts 240 frames a second, as the film has: it counts 120.",
                "MTC does not count 120 frames a second, but 30: a label for every 4 pictures.",
            ),
        ),
        ((0, 1), ()),
    ],
)
def test_what_cannot_count_a_rate_says_how_it_does(frame_rate: tuple[int, int], sentences: tuple[str, ...]) -> None:
    assert counting_of(frame_rate).told("MTC", MIDI) == sentences


def test_labels_stay_the_same_at_a_part_of_the_rate() -> None:
    start = counting_of((50, 1), "10:20:30:37").fitted(MIDI).start
    assert (str(start), start.part) == ("10:20:30:18", Fraction(1, 2))
    assert start.time == Timecode(named_rate("50"), 10, 20, 30, 37).time
    dropped = counting_of((60000, 1001), "01:01:00;05").fitted(MIDI).start
    assert (str(dropped), dropped.part) == ("01:01:00;02", Fraction(1, 2))


@pytest.mark.parametrize(
    ("said", "frame_rate", "label", "seconds"),
    [
        ("01:00:00", (24000, 1001), "01:00:00:00", Fraction(18018, 5)),
        ("1:00:00", NTSC, "01:00:00;00", 107892 * Fraction(1001, 30000)),
        ("01:00:00:00", NTSC, "01:00:00:00", 108000 * Fraction(1001, 30000)),
        ("01:00:00;00", NTSC, "01:00:00;00", 107892 * Fraction(1001, 30000)),
        ("00:01:00", NTSC, "00:01:00;02", 1800 * Fraction(1001, 30000)),
        ("10:20:30:12", (25, 1), "10:20:30:12", Fraction(3723048, 100)),
        ("00:00:01:119", (120, 1), "00:00:01:119", Fraction(239, 120)),
    ],
)
def test_a_start_is_said_with_frames_or_without(
    said: str, frame_rate: tuple[int, int], label: str, seconds: Fraction
) -> None:
    start = counting_of(frame_rate, start=said).start
    assert (str(start), start.time) == (label, seconds)


@pytest.mark.parametrize(
    ("said", "frame_rate", "why"),
    [
        ("00:01:00;00", NTSC, "each minute but every tenth begins with ;02"),
        ("00:01:00;03", (60000, 1001), "begins with ;04"),
        ("00:00:00:25", (25, 1), "count from 00 to 24"),
        ("01:00:00;00", (25, 1), "no drop frame at 25"),
        ("01:00:00;00", (24000, 1001), "no drop frame at 23.976"),
        ("24:00:00:00", (25, 1), "ends at 23:59:59"),
        ("00:60:00:00", (25, 1), "ends at 23:59:59"),
        ("01:00", (25, 1), "no timecode '01:00'"),
        ("noon", (25, 1), "no timecode 'noon'"),
        ("-1:00:00", (25, 1), "no timecode"),
    ],
)
def test_what_is_no_label_is_refused_in_a_sentence(said: str, frame_rate: tuple[int, int], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        counting_of(frame_rate, start=said)


def test_the_videos_label_starts_the_session_by_default() -> None:
    own = counting_of(NTSC, "14:22:07;18")
    assert (str(own.start), str(own.own), own.rate.name) == ("14:22:07;18", "14:22:07;18", "29.97 drop")
    said = counting_of(NTSC, "14:22:07;18", start="01:00:00:00")
    assert (str(said.start), str(said.own)) == ("01:00:00:00", "14:22:07;18")
    undropped = counting_of(NTSC, "14:22:07:18", start="01:00:00")
    assert (str(undropped.start), undropped.rate.name) == ("01:00:00:00", "29.97")


def test_doubled_labels_are_read_and_invalid_ones_skipped() -> None:
    assert str(counting_of(NTSC, "10:00:00;45").own) == "10:00:00;22"
    assert str(counting_of((25, 1), "10:00:00:99").own) == "10:00:00:24"
    for nonsense in ("", "later", "99:00:00:00", "10:00:00;00"):
        assert counting_of((25, 1), nonsense).start.count == 0


def test_without_a_label_counting_begins_with_the_file() -> None:
    counting = counting_of((25, 1), offset=2.0)
    assert (str(counting.start), str(counting.own)) == ("00:00:00:00", "00:00:02:00")


@pytest.mark.parametrize("text", ["24", "23.98", "23.976", "24000/1001", "29.97", "59.94", "120", " 25 "])
def test_rates_are_written_as_people_write_them(text: str) -> None:
    assert is_rate(text)
    assert abs(float(named_rate(text).frames) - eval(text.strip())) < 0.005


@pytest.mark.parametrize("text", ["", "0", "-25", "12.5", "26", "25fps", "1e99999999", "nan", "30/0", "1/0"])
def test_rates_in_which_no_timecode_counts_are_refused(text: str) -> None:
    assert not is_rate(text)
    with pytest.raises(UsageError, match=r"Choose from 23\.976, 24, 25"):
        named_rate(text)
