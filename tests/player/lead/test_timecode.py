from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise

import pytest

from cmt_bridge.errors import UsageError
from cmt_bridge.player.lead.timecode import TimecodeLeader
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Picture
from cmt_bridge.player.timebase import Timebase
from cmt_bridge.player.timecode import RATES, rate_of
from tests.player.clockwork import BENT, RATE, periods
from tests.player.lead.reading import FRAMES, labels, read_full, read_pieces

SPEED = 10**9 / RATE
PICTURES = {0: (24, 1), 1: (25, 1), 2: (30000, 1001), 3: (30, 1)}
Told = list[tuple[int, bytes]]


def leader(code: int, start: str = "") -> TimecodeLeader:
    return TimecodeLeader(Timebase("time", BENT), RATE, picture=Picture(PICTURES[code]), start=start)


def at_frame(frame: Fraction | int, code: int) -> int:
    """Give the position in ns of a frame, as a locate rounds it."""
    return round(frame * 10**9 / FRAMES[code])


def quarters(told: Told) -> list[tuple[int, int]]:
    return [(time, data[1] >> 4) for time, data in told if data[0] == 0xF1]


@pytest.mark.parametrize("code", FRAMES)
def test_every_label_of_a_day_is_right(code: int) -> None:
    rate = RATES[code]
    count = -1
    for count, label in enumerate(labels(code)):
        if count % 997 and label[2] not in (0, 59):
            continue
        found = rate.label(count)
        assert (found.hours, found.minutes, found.seconds, found.frame) == label
        assert found.count == count
    assert count + 1 == rate.day
    assert str(rate.label(-1)).startswith("23:59:59")


@pytest.mark.parametrize("code", FRAMES)
def test_quarter_frames_are_exact_over_minutes_and_ten_of_them(code: int) -> None:
    """Each eight of them say the frame at which the first of them is sent."""
    led = leader(code)
    led.change(Change(Motion(100, 0, SPEED)), "start")
    told = led.render(100 + 660 * RATE)
    counted = list(islice(labels(code), 660 * 30))
    found = read_pieces(told)
    for number, (time, stated, label) in enumerate(found):
        assert stated == code
        assert label == counted[2 * number]
        assert time == round(100 + 2 * number * RATE / FRAMES[code])
    assert len(found) >= 660 * 12 - 2
    heard = quarters(told)
    assert [piece for _, piece in heard] == [number % 8 for number in range(len(heard))]
    assert max(b - a for (a, _), (b, _) in pairwise(heard)) <= RATE / FRAMES[code] / 4 + 1


def test_periods_change_nothing() -> None:
    whole, parted = leader(2, "00:59:58;00"), leader(2, "00:59:58;00")
    for led in (whole, parted):
        led.change(Change(Motion(300, 0, SPEED)), "start")
    told = whole.render(5 * RATE)
    assert told == [event for until in periods(0, 5 * RATE, (64, 256, 1024)) for event in parted.render(until)]


def test_a_start_sends_full_frame_and_first_quarter() -> None:
    led = leader(1, "01:00:00:00")
    led.change(Change(Motion(500, 0, SPEED)), "start")
    (full_at, full), (first_at, first) = led.render(501)
    assert (full_at, read_full(full)) == (500, (1, (1, 0, 0, 0)))
    assert (first_at, first) == (500, b"\xf1\x00")


@pytest.mark.parametrize("code", FRAMES)
@pytest.mark.parametrize("frame", [7, 1799, 1800, 17_981, 17_982, 107_891])
def test_a_start_anywhere_goes_on_within_a_quarter_frame(code: int, frame: int) -> None:
    led = leader(code)
    led.change(Change(Motion(0, at_frame(frame, code), SPEED)), "start")
    told = led.render(RATE)
    label = next(islice(labels(code), frame, None))
    assert read_full(told[0][1]) == (code, label)
    assert quarters(told)[0] == (0, 4 * (frame % 2))
    time, _, label = read_pieces(told)[0]
    ahead = frame % 2
    assert label == next(islice(labels(code), frame + ahead, None))
    assert abs(time - ahead * RATE / FRAMES[code]) <= 1


def test_stop_and_locate_say_where_the_music_stands() -> None:
    led = leader(3)
    led.change(Change(Motion(0, 0, SPEED)), "start")
    led.render(RATE)
    led.change(Change(Motion(RATE + 10, 10**9)), "stop")
    led.change(Change(Motion(RATE + 50, 61 * 10**9)), "locate")
    told = led.render(4 * RATE)
    full = [(time, read_full(data)) for time, data in told if data[0] == 0xF0]
    assert full == [(RATE + 10, (3, (0, 0, 1, 0))), (RATE + 50, (3, (0, 1, 1, 0)))]
    assert len(quarters(told)) == 1  # that of the moment up to which it was asked last


def test_a_locate_while_rolling_sends_a_full_frame() -> None:
    led = leader(1)
    led.change(Change(Motion(0, 0, SPEED)), "start")
    led.render(RATE)
    led.change(Change(Motion(RATE + 100, 60 * 10**9, SPEED)), "locate")
    told = led.render(2 * RATE)
    full = [(time, read_full(data)) for time, data in told if data[0] == 0xF0]
    assert full == [(RATE + 100, (1, (0, 1, 0, 0)))]
    time, _, label = read_pieces([each for each in told if each[0] >= RATE + 100])[0]
    assert (time, label) == (RATE + 100, (0, 1, 0, 0))


def test_before_bar_one_timecode_wraps_to_yesterday() -> None:
    led = leader(1)
    led.change(Change(Motion(0, -(10**9), SPEED)), "start")
    told = led.render(2 * RATE)
    assert read_full(told[0][1]) == (1, (23, 59, 59, 0))
    assert (RATE, 1, (0, 0, 0, 0)) in read_pieces(told)


def test_small_corrections_break_no_eight() -> None:
    led = leader(3)
    led.change(Change(Motion(0, 0, SPEED)), "start")
    told = led.render(RATE)
    for second in range(1, 20):
        slip = (-1) ** second * 3_000_000
        motion = Motion(second * RATE, second * 10**9 + slip, SPEED * (1 + slip / 10**10))
        led.change(Change(motion, jump=False), "")
        told += led.render((second + 1) * RATE)
    heard = quarters(told)
    assert [piece for _, piece in heard] == [number % 8 for number in range(len(heard))]
    assert sum(data[0] == 0xF0 for _, data in told) == 1
    assert told == sorted(told, key=lambda each: each[0])


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        ((24, 1), "24"),
        ((24000, 1001), "23.976"),
        ((25, 1), "25"),
        ((50, 1), "25"),
        ((25, 2), "25"),
        ((30000, 1001), "29.97 drop"),
        ((60000, 1001), "29.97 drop"),
        ((2997, 100), "29.97 drop"),
        ((30, 1), "30"),
        ((60, 1), "30"),
        ((120, 1), "30"),
        ((2998, 100), "29.97 drop"),
        ((17, 1), "23.976"),
        ((0, 1), "30"),
    ],
)
def test_a_picture_counts_in_the_rate_that_fits(picture: tuple[int, int], name: str) -> None:
    assert rate_of(picture).name == name


@pytest.mark.parametrize("text", ["1", "24:00:00:00", "00:60:00:00", "00:00:00:30", "00:01:00;00", "a:b:c:d"])
def test_a_timecode_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="timecode"):
        leader(2, text)


@pytest.mark.parametrize(
    ("picture", "start", "code", "speed"),
    [
        ((24000, 1001), "01:00:00:00", 0, Fraction(24000, 1001)),
        ((30000, 1001), "01:00:00:00", 3, Fraction(30000, 1001)),
        ((30000, 1001), "01:00:00;00", 2, Fraction(30000, 1001)),
        ((60000, 1001), "01:00:00;00", 2, Fraction(30000, 1001)),
        ((50, 1), "01:00:00:00", 1, Fraction(25)),
    ],
)
def test_labels_go_by_as_fast_as_the_films_own(
    picture: tuple[int, int], start: str, code: int, speed: Fraction
) -> None:
    """Whoever counts the film in them is where it is, however long that goes on."""
    led = TimecodeLeader(Timebase("time", BENT), RATE, picture=Picture(picture), start=start)
    led.change(Change(Motion(0, 0, SPEED)), "start")
    found = read_pieces(led.render(700 * RATE))
    hour = 108_000 if code == 3 else round(3600 * FRAMES[code])
    for number, (time, stated, label) in enumerate(found):
        assert stated == code
        assert label == next(islice(labels(code), hour, None)) if not number else True
        assert abs(time - 2 * number * RATE / speed) <= 1


def test_without_a_start_it_is_the_films_own_timecode() -> None:
    led = TimecodeLeader(Timebase("time", BENT), RATE, picture=Picture((50, 1), "10:20:30:37"))
    led.change(Change(Motion(0, 0)), "stop")
    ((_, told),) = led.render(RATE)
    assert read_full(told) == (1, (10, 20, 30, 18))
    led.change(Change(Motion(RATE, 0, SPEED)), "start")
    time, _, label = read_pieces(led.render(2 * RATE))[0]
    assert label == (10, 20, 30, 20)
    assert time == RATE + round(1.5 / 25 * RATE)  # the film begins in the middle of the frame
