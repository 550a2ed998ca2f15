from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import pytest

from cmt_bridge.core.timecode import Rate, read_label
from cmt_bridge.errors import UsageError
from cmt_bridge.player.follow.timecode import TimecodeFollower
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Picture
from cmt_bridge.player.timecode import RATES, full_frame, ns, quarter_frame

RATE = 48000
PERIOD = 256
MS = 10**6
SECOND = 10**9


class Sender:
    """A DAW that sends timecode of whole frames since 00:00:00:00; where it is, is known."""

    def __init__(self, kind: Rate, start: str = "", late: Callable[[float], int] = round) -> None:
        self.follower = TimecodeFollower(RATE, start=start)
        self.kind = kind
        self.time = 1000.0
        self.motion = Motion(0, 0.0)
        self.changes: list[Change] = []
        self._late = late

    def say(self, data: bytes) -> list[Change]:
        found = self.follower.receive(data, self._late(self.time))
        self.take(found)
        return found

    def take(self, changes: list[Change]) -> None:
        self.changes += changes
        if changes:
            self.motion = changes[-1].motion

    def turn(self, frames: int) -> list[Change]:
        return self.say(full_frame(self.kind.label(frames)))

    def run(self, quarters: int, first: int) -> list[float]:
        """Send quarter frames from one of a number (four a frame) on; give by how many ns the motion was off."""
        errors = []
        for number in range(first, first + quarters):
            self.say(quarter_frame(self.kind.label(number // 8 * 2), number % 8))
            if self.motion.is_rolling:
                errors.append(self.motion.position_at(self.time) - self.ns(Fraction(number, 4)))
            self.time += float(RATE / self.kind.frames / 4)
            self.take(self.follower.poll(int(self.time) - 1))
        return errors

    def ns(self, frames: Fraction) -> float:
        """Give the position of a frame: whole hours are taken off."""
        hour = self.kind.label(int(frames)).hours
        return float(ns(self.kind, frames - hour * (self.kind.day // 24)))


@pytest.mark.parametrize("kind", RATES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("frames", [0, 2, 3, 17_983, 80_892, 108_000 + 17, 200_001])
def test_after_a_full_frame_the_first_quarter_frame_is_believed(kind: Rate, frames: int) -> None:
    sender = Sender(kind)
    (change,) = sender.turn(frames)
    assert not change.motion.is_rolling
    errors = sender.run(80, frames * 4)
    assert len(errors) == 80  # from the very first on
    assert max(map(abs, errors)) < 0.02 * MS
    assert sum(change.jump for change in sender.changes) == 2


def test_eight_quarter_frames_suffice_to_join() -> None:
    sender = Sender(RATES[1])
    errors = sender.run(40, 8 * 100 + 3)
    assert 24 <= len(errors) <= 32  # five of a torn set, then eight
    assert max(map(abs, errors)) < 0.02 * MS


def test_an_unknown_sender_begins_on_the_hour() -> None:
    sender = Sender(RATES[3])
    errors = sender.run(80, 30 * 3600 * 4)
    assert len(errors) == 80
    assert max(map(abs, errors)) < 0.02 * MS
    assert sum(change.jump for change in sender.changes) == 1


@pytest.mark.parametrize("start", ["", "01:00:00:00"])
@pytest.mark.parametrize("frames", [2, 4])
def test_an_unknown_sender_may_have_begun_slightly_earlier(frames: int, start: str) -> None:
    sender = Sender(RATES[3], start)  # as Ardour does
    errors = sender.run(80, (30 * 3600 + frames) * 4)
    assert len(errors) == 80
    assert max(map(abs, errors)) < 0.02 * MS
    assert sum(change.jump for change in sender.changes) == 1


def test_a_wrong_guess_is_put_right_by_the_eight() -> None:
    sender = Sender(RATES[3])
    sender.turn(300)
    errors = sender.run(40, 8 * 200)  # it really rolls from frame 400 on
    assert abs(errors[0]) > SECOND
    assert max(map(abs, errors[8:])) < 0.02 * MS


@pytest.mark.parametrize("pairs", range(7))
def test_a_late_first_quarter_frame_is_understood(pairs: int) -> None:
    sender = Sender(RATES[3])  # as Ardour does, which begins with the first piece of a later pair
    sender.turn(301)
    errors = sender.run(40, 8 * (151 + pairs))
    assert len(errors) == 40
    assert max(map(abs, errors)) < 0.02 * MS


def test_late_messages_are_smoothed_and_never_a_jump() -> None:
    sender = Sender(RATES[3], late=lambda time: int(time // PERIOD) * PERIOD)
    sender.turn(0)
    errors = sender.run(1200, 0)
    mean = sum(errors[200:]) / len(errors[200:])
    assert max(abs(error - mean) for error in errors[200:]) < PERIOD / 2 * SECOND / RATE
    assert sum(change.jump for change in sender.changes) == 2


@pytest.mark.parametrize("speed", [0.95, 1.001, 1.08])
def test_a_tape_that_runs_faster_or_slower_is_followed(speed: float) -> None:
    sender = Sender(RATES[1])
    sender.turn(0)
    errors = []
    for number in range(800):
        errors += sender.run(1, number)
        sender.time += float(RATE / RATES[1].frames / 4) * (1 / speed - 1)
    assert max(map(abs, errors[400:])) < 3 * MS


def test_it_stops_where_quarter_frames_end() -> None:
    sender = Sender(RATES[3])
    sender.turn(0)
    sender.run(101, 0)
    sender.time += RATE / 20
    (change,) = sender.follower.poll(int(sender.time))
    assert not change.motion.is_rolling
    assert change.motion.position == pytest.approx(25 / 30 * SECOND)
    assert not sender.follower.state["rolling"]
    sender.take([change])
    errors = sender.run(40, 101)  # and goes on from there
    assert len(errors) == 40
    assert max(map(abs, errors)) < 0.02 * MS


def test_a_full_frame_within_a_run_is_a_jump() -> None:
    sender = Sender(RATES[1])
    sender.turn(0)
    sender.run(33, 0)
    (change,) = sender.turn(1000)
    assert change.jump
    assert change.motion == Motion(change.motion.time, 40 * SECOND)
    errors = sender.run(33, 4000)
    assert len(errors) == 33
    assert max(map(abs, errors)) < 0.02 * MS


def test_mmc_stops_and_locates() -> None:
    sender = Sender(RATES[3])
    sender.turn(0)
    sender.run(32, 0)
    (change,) = sender.say(bytes.fromhex("f07f00060 1f7".replace(" ", "")))
    assert not change.motion.is_rolling
    (change,) = sender.say(bytes.fromhex("f07f7f064406016100020a00f7"))
    assert change.motion.position == pytest.approx((2 + 10 / 30) * SECOND)


def test_mmc_without_a_rate_uses_the_timecodes() -> None:
    sender = Sender(RATES[3])  # as Ardour does
    sender.turn(104)
    (change,) = sender.say(bytes.fromhex("f07f000644060100 00030e40 f7"))
    assert change.motion.position == pytest.approx((3 + 14.64 / 30) * SECOND)
    errors = sender.run(40, 4 * 106)
    assert len(errors) == 40
    assert max(map(abs, errors)) < 0.02 * MS


def test_what_is_torn_and_then_ends_is_a_stop() -> None:
    sender = Sender(RATES[3])
    sender.turn(0)
    sender.run(33, 0)
    sender.run(4, 35)  # two are missing, and time did not pass
    sender.time += RATE / 10
    sender.take(sender.follower.poll(int(sender.time)))
    assert not sender.motion.is_rolling


@pytest.mark.parametrize("odd", [0, 1])
def test_who_tells_odd_frames_is_believed_too(odd: int) -> None:
    sender = Sender(RATES[3])
    sender.turn(300 + odd)
    for number in range(80):
        base = 300 + odd + number // 8 * 2
        sender.say(quarter_frame(RATES[3].label(base), number % 8))
        assert sender.motion.position_at(sender.time) == pytest.approx((300 + odd + number / 4) / 30 * SECOND)
        sender.time += RATE / 120


@pytest.mark.parametrize("period", [1024, 2048])
def test_bunched_quarter_frames_do_not_cut_the_music(period: int) -> None:
    sender = Sender(RATES[3], late=lambda time: int(time // period) * period + period)
    sender.turn(0)
    errors = sender.run(1200, 0)
    assert max(errors[200:]) - min(errors[200:]) < 0.5 * period / RATE * SECOND
    assert sum(change.jump for change in sender.changes) == 2


@pytest.mark.parametrize(("code", "rate"), [(3, "29.97"), (0, "23.976")])
def test_pulled_down_timecode_has_the_ntsc_rate(code: int, rate: str) -> None:
    kind = RATES[code]
    sender = Sender(kind)
    sender.turn(60 * kind.base)
    for number in range(60 * kind.base * 4, 60 * kind.base * 4 + 400):
        sender.run(1, number)
        sender.time += float(RATE / kind.frames / 4) / 1000
    assert sender.follower.state["rate"] == rate
    place = 60 * 1.001 + 400 * 1.001 / 4 / kind.base
    assert sender.motion.position_at(sender.time) == pytest.approx(place * SECOND, abs=0.1 * MS)
    assert sender.turn(600 * kind.base)[0].motion.position == pytest.approx(600.6 * SECOND)


def test_a_23_976_fps_picture_decides_what_24_means() -> None:
    follower = TimecodeFollower(RATE, picture=Picture((24000, 1001)))
    (change,) = follower.receive(full_frame(RATES[0].label(24_000)), 0)
    assert change.motion.position == 1001 * SECOND
    follower = TimecodeFollower(RATE, picture=Picture((24, 1)))
    (change,) = follower.receive(full_frame(RATES[0].label(24_000)), 0)
    assert change.motion.position == 1000 * SECOND


def test_a_start_just_before_the_hour_precedes_the_music() -> None:
    hour = 25 * 3600
    assert Sender(RATES[1]).turn(hour - 50)[0].motion.position == -2 * SECOND
    assert Sender(RATES[1]).turn(24 * hour - 50)[0].motion.position == -2 * SECOND
    assert Sender(RATES[1], "00:00:00:00").turn(24 * hour - 50)[0].motion.position == -2 * SECOND
    sender = Sender(RATES[1])
    sender.turn(24 * hour - 50)
    sender.run(400, 4 * (24 * hour - 50))
    assert sender.motion.position_at(sender.time) == pytest.approx(2 * SECOND, abs=0.02 * MS)
    assert sum(change.jump for change in sender.changes) == 2


def test_hours_before_the_first_bar_are_taken_off_or_said() -> None:
    hour = 30 * 3600
    assert Sender(RATES[3]).turn(hour + 30)[0].motion.position == SECOND
    assert Sender(RATES[3], "01:00:00:00").turn(hour + 30)[0].motion.position == SECOND
    assert Sender(RATES[3], "00:59:59:00").turn(hour + 30)[0].motion.position == 2 * SECOND
    assert Sender(RATES[3], "01:00:10:00").turn(hour + 30)[0].motion.position == -9 * SECOND
    with pytest.raises(UsageError, match="25:00:00:00"):
        TimecodeFollower(RATE, start="25:00:00:00")


@pytest.mark.parametrize(
    ("heard", "position"),
    [
        ("10:20:30:12", 0),
        ("10:20:40:12", 10 * SECOND),
        ("10:20:00:12", -30 * SECOND),
        ("10:21:30:12", 60 * SECOND),
        ("01:00:10:00", 10 * SECOND),  # a session of its own hour
        ("10:30:00:00", 30 * 60 * SECOND),
    ],
)
def test_the_videos_timecode_places_it_in_the_session(heard: str, position: int) -> None:
    follower = TimecodeFollower(RATE, picture=Picture((25, 1), "10:20:30:12", 100.0))
    (change,) = follower.receive(full_frame(read_label(heard, RATES[1])), 0)
    assert change.motion.position == position
    said = TimecodeFollower(RATE, start="10:20:40:12", picture=Picture((25, 1), "10:20:30:12", 100.0))
    (change,) = said.receive(full_frame(read_label("10:20:40:12", RATES[1])), 0)
    assert change.motion.position == 0


def test_a_run_goes_on_over_a_full_hour() -> None:
    sender = Sender(RATES[1])
    last = 25 * 3600
    sender.turn(0)
    sender.turn(last - 10)
    sender.run(160, (last - 10) * 4)
    assert sender.motion.position_at(sender.time) == pytest.approx((3600 + 30 / 25) * SECOND, rel=1e-6)


def test_a_missing_quarter_frame_does_not_move_it() -> None:
    sender = Sender(RATES[3])
    sender.turn(0)
    sender.run(50, 0)
    sender.time += float(RATE / 30 / 4)
    errors = sender.run(50, 51)
    assert max(map(abs, errors)) < 0.02 * MS
    assert sum(change.jump for change in sender.changes) == 2


def test_backwards_is_no_playing() -> None:
    sender = Sender(RATES[1])
    sender.turn(400)
    sender.run(40, 1600)
    for number in range(1640, 1600, -1):
        sender.say(quarter_frame(RATES[1].label(number // 8 * 2), number % 8))
        sender.time += RATE / 100
    assert not sender.motion.is_rolling


def test_whatever_comes_it_goes_on() -> None:
    dice = random.Random(2)
    sender = Sender(RATES[0])
    for _ in range(20_000):
        sender.time += dice.choice([0, 1, 400, 400, 400, 30_000])
        data = bytes(dice.randrange(256) for _ in range(dice.choice([0, 1, 2, 3])))
        sysex = b"\xf0\x7f" + bytes(dice.randrange(128) for _ in range(dice.randrange(12))) + b"\xf7"
        sender.say(
            dice.choice(
                [data, sysex, bytes((0xF1, dice.randrange(128))), full_frame(RATES[0].label(dice.randrange(99)))]
            )
        )
        sender.take(sender.follower.poll(int(sender.time)))
        assert sender.motion.speed >= 0
