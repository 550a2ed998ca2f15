from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.lead.clock import ClockLeader
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import Timebase
from tests.player.clockwork import BENT, RATE, STEADY, frame, periods

CLOCK, START, CONTINUE, STOP = b"\xf8", b"\xfa", b"\xfb", b"\xfc"
PER_CLOCK = 1000  # frames, at 120 BPM
TICK = 6000
SPEED = 10**9 / RATE


def song_position(sixteenth: int) -> bytes:
    return bytes((0xF2, sixteenth % 128, sixteenth // 128))


def rolling(timebase: Timebase, tick: int, time: int) -> Change:
    return Change(Motion(time, timebase.position(tick), SPEED))


def standing(timebase: Timebase, tick: float, time: int) -> Change:
    return Change(
        Motion(time, timebase.position(int(tick)) + (tick - int(tick)) * (timebase.position(1) - timebase.position(0)))
    )


@pytest.fixture
def timebase() -> Timebase:
    return Timebase("time", STEADY)


@pytest.fixture
def leader(timebase: Timebase) -> ClockLeader:
    return ClockLeader(timebase, RATE)


def clocks(told: list[tuple[int, bytes]]) -> list[int]:
    return [time for time, message in told if message == CLOCK]


def spoken(told: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [each for each in told if each[1] != CLOCK]


def test_from_the_beginning_start_and_clock_come_together(leader: ClockLeader, timebase: Timebase) -> None:
    assert leader.change(rolling(timebase, 0, 500), "start") == []
    assert leader.render(256) == []
    assert leader.render(1501) == [(500, START), (500, CLOCK), (1500, CLOCK)]
    assert leader.render(2500) == []
    assert leader.render(2501) == [(2500, CLOCK)]


def test_elsewhere_it_says_song_position_and_continues_there(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 300, 0), "start")
    assert leader.render(1000) == [(0, song_position(300)), (0, CONTINUE), (0, CLOCK)]


def test_between_two_sixteenths_it_continues_at_the_next(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(Change(Motion(100, timebase.position(5) + 10**6, SPEED)), "start")
    told = leader.render(2 * TICK)
    assert told[0] == (100, song_position(6))
    assert told[1:3] == [(52 + TICK, CONTINUE), (52 + TICK, CLOCK)]


def test_before_the_first_bar_it_is_silent_and_starts_there(leader: ClockLeader) -> None:
    leader.change(Change(Motion(0, -(10**9), SPEED)), "start")
    assert leader.render(RATE) == []
    assert leader.render(RATE + 1) == [(RATE, START), (RATE, CLOCK)]


def test_clocks_are_where_the_tempo_map_has_them() -> None:
    leader = ClockLeader(Timebase("time", BENT), RATE)
    leader.change(Change(Motion(77, 0, SPEED)), "start")
    told = [event for until in periods(0, 20 * RATE) for event in leader.render(until)]
    heard = clocks(told)
    for count, time in enumerate(heard):
        assert time == round(77 + BENT.seconds(Fraction(count, 6)) * RATE)
    assert len(heard) > 500
    assert told == sorted(told, key=lambda each: each[0])


def test_nothing_drifts_in_an_hour() -> None:
    odd = TempoMap.constant(Fraction(977, 7))
    leader = ClockLeader(Timebase("time", odd), RATE)
    leader.change(Change(Motion(0, 0, SPEED)), "start")
    heard = clocks(leader.render(3600 * RATE))
    ticks = [time for count, time in enumerate(heard) if count % 6 == 0]
    assert ticks == [frame(odd, tick) for tick in range(len(ticks))]


def test_a_stop_says_where_the_music_stands(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 0, 0), "start")
    leader.render(TICK)
    leader.change(standing(timebase, 1.5, 9000), "stop")
    told = leader.render(100_000)
    assert spoken(told) == [(9000, STOP), (9000, song_position(2))]
    assert clocks(told) == [6000, 7000, 8000]


def test_a_locate_while_it_stands_says_the_position_only(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(standing(timebase, 130, 40), "locate")
    assert leader.render(256) == [(40, song_position(130))]


def test_a_locate_while_rolling_stops_and_continues(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 0, 0), "start")
    leader.render(3 * TICK)
    leader.change(rolling(timebase, 40, 3 * TICK + 100), "locate")
    at = 3 * TICK + 100
    told = leader.render(at + 1)
    assert told == [
        (3 * TICK, CLOCK),
        (at, STOP),
        (at, song_position(40)),
        (at, CONTINUE),
        (at, CLOCK),
    ]


@pytest.mark.parametrize("first", [0, 16])
def test_a_loop_has_no_gap(leader: ClockLeader, timebase: Timebase, first: int) -> None:
    leader.change(rolling(timebase, 0, 0), "start")
    leader.render(31 * TICK)
    leader.change(rolling(timebase, first, 32 * TICK), "loop")  # known before its time
    told = leader.render(34 * TICK)
    heard = clocks(told)
    assert all(b - a == PER_CLOCK for a, b in pairwise(heard))
    turn = [(32 * TICK, STOP), (32 * TICK, START)]
    if first:
        turn[1:] = [(32 * TICK, song_position(first)), (32 * TICK, CONTINUE)]
    assert spoken(told) == turn


def test_what_was_to_come_is_taken_back(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 0, 0), "start")
    leader.render(1)
    leader.change(rolling(timebase, 0, 5000), "loop")
    leader.change(standing(timebase, 0.5, 3000), "stop")
    assert spoken(leader.render(10_000)) == [(3000, STOP), (3000, song_position(1))]


def test_it_starts_late_rather_than_in_the_past(leader: ClockLeader, timebase: Timebase) -> None:
    leader.render(10_000)
    leader.change(rolling(timebase, 0, 9_900), "start")
    assert leader.render(12_000) == [(10_000, START), (10_000, CLOCK), (10_900, CLOCK), (11_900, CLOCK)]


def test_beyond_song_position_only_the_clock_counts(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 16384, 0), "start")
    told = leader.render(TICK)
    assert spoken(told) == []
    assert len(clocks(told)) == 6
    leader.change(standing(timebase, 16385, TICK), "stop")
    assert spoken(leader.render(TICK + 1)) == [(TICK, STOP)]
    leader.change(rolling(timebase, 16385, 2 * TICK), "start")
    assert spoken(leader.render(2 * TICK + 1)) == []
    leader.change(rolling(timebase, 16383, 3 * TICK), "locate")
    assert spoken(leader.render(3 * TICK + 1))[1:] == [(3 * TICK, song_position(16383)), (3 * TICK, CONTINUE)]


def test_beyond_it_goes_on_from_where_others_stand(leader: ClockLeader, timebase: Timebase) -> None:
    leader.change(rolling(timebase, 16383, 0), "start")
    leader.render(2 * TICK)
    leader.change(standing(timebase, 16385, 2 * TICK), "stop")
    leader.render(2 * TICK + 1)
    leader.change(rolling(timebase, 16385, 3 * TICK), "start")
    assert leader.render(3 * TICK + 1) == [(3 * TICK, CONTINUE), (3 * TICK, CLOCK)]


def test_followed_beats_are_passed_on_through_tempo_changes() -> None:
    leader = ClockLeader(Timebase("beats", STEADY), RATE)
    leader.change(Change(Motion(0, 0.0, 1 / TICK)), "start")
    told = leader.render(2 * TICK)
    motion = Motion(2 * TICK, 2.01, 2 / TICK)  # twice as fast, and a little ahead
    leader.change(Change(motion, jump=False), "")
    told += leader.render(4 * TICK)
    assert spoken(told) == [(0, START)]
    heard = clocks(told)
    assert heard[:12] == [count * PER_CLOCK for count in range(12)]
    assert heard[12] == 2 * TICK
    assert [b - a for a, b in pairwise(heard[13:])] == [500] * (len(heard) - 14)
