from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.follow.clock import ClockFollower
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import BEATS, Timebase

RATE = 48000
PERIOD = 256
CLOCK, START, CONTINUE, STOP = b"\xf8", b"\xfa", b"\xfb", b"\xfc"
EXACT: Callable[[float], int] = round


def follower(bpm: float = 120, unit: int = 6) -> ClockFollower:
    return ClockFollower(Timebase(BEATS, TempoMap.constant(bpm)), RATE, unit=unit)


def song_position(sixteenths: int) -> bytes:
    return bytes((0xF2, sixteenths & 0x7F, sixteenths >> 7))


def at_period_start(time: float) -> int:
    return int(time // PERIOD) * PERIOD


class Sender:
    """A DAW that sends clocks; the follower's motion is compared with where it really is."""

    def __init__(self, follower: ClockFollower, late: Callable[[float], int] = EXACT, time: float = 1000.0) -> None:
        self.follower = follower
        self.time = time
        self.motion = Motion(0, 0.0)
        self.changes: list[Change] = []
        self._late = late

    def say(self, data: bytes) -> list[Change]:
        found = self.follower.receive(data, self._late(self.time))
        self._take(found)
        return found

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            self.motion = change.motion
            self.changes.append(change)

    def clocks(self, count: int, bpm: float, first: int = 0, skip: tuple[int, ...] = ()) -> list[float]:
        """Send clocks; give by how many sixteenths the motion was off right after each."""
        errors = []
        for number in range(first, first + count):
            if number not in skip:
                self.say(CLOCK)
                errors.append(self.motion.position_at(self.time) - number / 6)
            self.time += RATE * 60 / bpm / 24
            self._take(self.follower.poll(int(self.time) - 1))
        return errors


def test_the_first_clock_after_start_is_the_downbeat() -> None:
    sender = Sender(follower(100))
    assert sender.say(START) == []
    sender.time += 5000
    (change,) = sender.say(CLOCK)
    assert change == Change(Motion(6000, 0.0, 100 * 4 / 60 / RATE))


@pytest.mark.parametrize("bpm", [40, 61.7, 120, 155.5, 240])
def test_a_steady_clock_is_met_exactly_at_any_tempo(bpm: float) -> None:
    sender = Sender(follower(97))
    sender.say(START)
    errors = sender.clocks(200, bpm)
    assert max(map(abs, errors[48:])) < 0.002
    assert [change.jump for change in sender.changes] == [True] + [False] * 199
    assert sender.follower.state["tempo"] == pytest.approx(bpm, rel=1e-3)


@pytest.mark.parametrize("bpm", [80, 120, 171])
def test_a_clock_quantized_to_periods_is_smoothed(bpm: float) -> None:
    sender = Sender(follower(), at_period_start)
    sender.say(START)
    errors = sender.clocks(480, bpm)
    half = PERIOD / 2 * bpm * 4 / 60 / RATE  # what a period does to a sender, in sixteenths
    settled = [error - sum(errors[100:]) / len(errors[100:]) for error in errors[100:]]
    assert max(map(abs, settled)) < 0.7 * half
    assert not any(change.jump for change in sender.changes[1:])


@pytest.mark.parametrize(("before", "after"), [(120, 90), (120, 150), (100, 200), (60, 66), (150, 75)])
def test_a_step_of_the_tempo_is_followed_within_a_beat(before: float, after: float) -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(96, before)
    errors = sender.clocks(96, after, first=96)
    assert max(map(abs, errors[24:])) < 0.05
    assert sender.follower.state["tempo"] == pytest.approx(after, rel=0.02)
    assert not any(change.jump for change in sender.changes[1:])


def test_a_ramp_of_the_tempo_is_followed() -> None:
    sender = Sender(follower())
    sender.say(START)
    errors: list[float] = []
    for number in range(400):
        errors += sender.clocks(1, 100 + number / 8, first=number)
    assert max(map(abs, errors[24:])) < 0.06


def test_a_clock_that_got_lost_is_counted() -> None:
    sender = Sender(follower())
    sender.say(START)
    errors = sender.clocks(200, 120, skip=(50, 90, 91))
    assert max(map(abs, errors[24:])) < 0.05


@pytest.mark.parametrize("bpm", [60, 90, 117.19, 120, 155, 240])
@pytest.mark.parametrize("period", [1024, 2048])
def test_clocks_that_come_several_at_once_are_each_one_clock(bpm: float, period: int) -> None:
    sender = Sender(follower(), lambda time: int(time // period) * period + period)
    sender.say(START)
    errors = sender.clocks(960, bpm)
    period_of_sixteenth = period * bpm * 4 / 60 / RATE
    assert max(map(abs, errors[96:])) < 1.3 * period_of_sixteenth
    assert not any(change.jump for change in sender.changes[1:])


@pytest.mark.parametrize("jitter", [0.002, 0.005, 0.010])
def test_clocks_that_are_late_by_chance_are_smoothed(jitter: float) -> None:
    dice = random.Random(1)
    sender = Sender(follower(), lambda time: int(time + dice.random() * jitter * RATE))
    sender.say(START)
    errors = sender.clocks(960, 140)
    late = jitter / 2 * 140 * 4 / 60
    assert max(abs(error + late) for error in errors[96:]) < late
    assert sender.follower.state["tempo"] == pytest.approx(140, rel=0.01)


def test_half_the_tempo_is_no_clocks_that_got_lost() -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(96, 150)
    errors = sender.clocks(96, 75, first=96)
    assert max(map(abs, errors[3:])) < 0.01


def test_reaper_begins_elsewhere_by_song_position_and_continue() -> None:
    sender = Sender(follower())
    for controller in (120, 123):
        (change,) = sender.say(bytes((0xB0, controller, 0)))
        assert change.flush
    sender.say(song_position(64))
    sender.say(CONTINUE)
    (change,) = sender.say(CLOCK)
    assert change.motion.position == 64
    assert change.jump


def test_reapers_stop_and_cursor_position_is_followed() -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(96, 120)
    (change,) = sender.say(STOP)
    assert not change.motion.is_rolling
    (change,) = sender.say(song_position(8))
    assert change.motion == Motion(change.motion.time, 8.0)
    sender.say(CONTINUE)
    (change,) = sender.say(CLOCK)
    assert change.motion.position == 8


def test_continue_goes_on_with_the_clock_that_did_not_come() -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(30, 120)
    sender.say(STOP)
    sender.say(CONTINUE)
    (change,) = sender.say(CLOCK)
    assert change.motion.position == 30 / 6


def test_a_locate_while_it_rolls_holds_from_the_next_clock() -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(30, 120)
    assert sender.say(song_position(160)) == []
    (change,) = sender.say(CLOCK)
    assert change.motion.position == 160
    assert change.jump


def test_ardour_counts_its_song_position_in_clocks() -> None:
    sender = Sender(follower(unit=1))
    sender.say(song_position(96))
    sender.say(CONTINUE)
    (change,) = sender.say(CLOCK)
    assert change.motion.position == 16


def test_clocks_while_it_stands_tell_the_tempo_and_move_nothing() -> None:
    sender = Sender(follower())
    sender.clocks(48, 90)
    assert not sender.changes
    assert sender.follower.state["tempo"] == pytest.approx(90, rel=1e-3)
    sender.say(START)
    (change,) = sender.say(CLOCK)
    assert change.motion.speed == pytest.approx(90 * 4 / 60 / RATE, rel=1e-3)


def test_a_clock_that_ends_is_rejoined_where_time_has_moved() -> None:
    sender = Sender(follower())
    sender.say(START)
    sender.clocks(96, 120)
    sender.time += RATE * 3  # pulled out for three seconds: 6 beats, 144 clocks
    (change,) = sender.follower.poll(int(sender.time))
    assert change.note == "lost"
    assert not change.motion.is_rolling
    assert sender.follower.state["lost"]
    sender._take([change])
    errors = sender.clocks(96, 120, first=96 + 144)
    assert sender.changes[-96].note == "found"
    assert max(map(abs, errors)) < 0.01


def test_nothing_is_noticed_between_start_and_the_first_clock() -> None:
    sender = Sender(follower())
    sender.say(START)
    assert sender.follower.poll(RATE * 60) == []


def test_whatever_comes_it_goes_on() -> None:
    dice = random.Random(1)
    sender = Sender(follower())
    for _ in range(20_000):
        sender.time += dice.choice([0, 1, 100, 1000, 1000, 1000, 50_000])
        length = dice.choice([0, 1, 1, 1, 2, 3, 5])
        data = bytes(dice.randrange(256) for _ in range(length)) if dice.random() < 0.3 else b""
        sender.say(
            data or dice.choice([CLOCK, CLOCK, CLOCK, START, STOP, CONTINUE, song_position(dice.randrange(16384))])
        )
        sender._take(sender.follower.poll(int(sender.time)))
        assert sender.motion.speed >= 0
        assert sender.motion.position > -1
