from __future__ import annotations

from typing import Any

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.follow.jacktransport import TransportFollower
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import BEATS, TIME, Timebase

RATE = 48_000
PERIOD = 256
TICKS = 1920.0
STEADY = TempoMap.constant(100)


class JackTimebase:
    """A transport, whose frame is moved on period by period, and who says at which tempo it counts beats."""

    def __init__(self, *, by_bars: bool) -> None:
        self.follower = TransportFollower(Timebase(BEATS if by_bars else TIME, STEADY), RATE, by_bars=by_bars)
        self.time = 10_000
        self.frame = 0
        self.rolls = False
        self.beats = 0.0
        self.tempo = 120.0
        self.states_beats = by_bars

    def periods(self, count: int) -> list[Change]:
        found = []
        for _ in range(count):
            found += self.follower.move(self.rolls, self.frame, self.bbt, self.time)
            self.time += PERIOD
            if self.rolls:
                self.frame += PERIOD
                self.beats += PERIOD / RATE * self.tempo / 60
        return found

    @property
    def bbt(self) -> Any:
        if not self.states_beats:
            return None
        bar, rest = divmod(self.beats, 4)
        return int(bar) + 1, int(rest) + 1, int(rest % 1 * TICKS), TICKS, 4.0, self.tempo


def test_a_frame_is_sample_accurate_picture_time() -> None:
    jack = JackTimebase(by_bars=False)
    jack.frame = 12_345
    (change,) = jack.periods(50)
    assert change == Change(Motion(10_000, 12_345 * 1e9 / RATE))
    jack.rolls = True
    time = jack.time
    (change,) = jack.periods(500)
    assert change == Change(Motion(time, 12_345 * 1e9 / RATE, 1e9 / RATE))


def test_jumps_and_stops_are_followed_within_the_period() -> None:
    jack = JackTimebase(by_bars=False)
    jack.rolls = True
    jack.periods(10)
    jack.frame, time = 480_000, jack.time
    (change,) = jack.periods(10)
    assert change == Change(Motion(time, 10e9, 1e9 / RATE))
    jack.rolls, time, frame = False, jack.time, jack.frame
    (change,) = jack.periods(10)
    assert change == Change(Motion(time, frame * 1e9 / RATE))
    jack.frame = 96_000
    (change,) = jack.periods(10)
    assert change.motion == Motion(change.motion.time, 2e9)


def test_a_late_jack_period_moves_music_without_cuts() -> None:
    jack = JackTimebase(by_bars=False)
    jack.rolls = True
    jack.periods(10)
    jack.time += 2 * PERIOD  # which its transport missed
    (change,) = jack.periods(10)
    assert not change.jump
    assert change.motion.position_at(jack.time) == pytest.approx(jack.frame * 1e9 / RATE)


def test_bars_and_beats_are_sixteenths_and_their_tempo_is_followed() -> None:
    jack = JackTimebase(by_bars=True)
    jack.beats = 9.5  # the third bar, between its second and third beat
    (change,) = jack.periods(20)
    assert change.motion == Motion(10_000, 38.0)
    jack.rolls = True
    (change,) = jack.periods(1000)
    assert change.jump
    assert change.motion.speed == pytest.approx(8 / RATE)
    jack.tempo = 90.0
    changes = jack.periods(1000)
    assert 1 <= len(changes) <= 2
    assert not any(change.jump for change in changes)
    assert changes[-1].motion.position_at(jack.time) == pytest.approx(4 * jack.beats, abs=0.02)


def test_a_rising_tempo_is_followed_without_a_jump() -> None:
    jack = JackTimebase(by_bars=True)
    jack.rolls = True
    jack.periods(1)
    for _ in range(500):
        jack.tempo += 0.1
        changes = jack.periods(1)
        assert not any(change.jump for change in changes)
    assert changes[-1].motion.position_at(jack.time) == pytest.approx(4 * jack.beats, abs=0.02)


def test_a_place_elsewhere_in_bars_is_a_jump() -> None:
    jack = JackTimebase(by_bars=True)
    jack.rolls = True
    jack.periods(10)
    jack.frame += 96_000
    jack.beats += 4
    (change,) = jack.periods(1)
    assert change.jump


def test_where_nobody_states_bars_the_music_stands_until_somebody_does() -> None:
    jack = JackTimebase(by_bars=True)
    jack.rolls = True
    jack.periods(100)
    jack.states_beats = False
    (change,) = jack.periods(100)
    assert not change.motion.is_rolling
    assert not jack.follower.state["there"]
    jack.states_beats = True
    (change,) = jack.periods(100)
    assert change.jump
    assert change.motion.is_rolling
    assert jack.follower.state["there"]


@pytest.mark.parametrize("by_bars", [False, True])
@pytest.mark.parametrize("lag", [0, 700, 5000, 48_000])
def test_a_device_that_was_away_leaves_nothing_behind(lag: int, by_bars: bool) -> None:
    """Whether the transport went on meanwhile or fell behind: each cycle says where it is, so nothing adds up."""
    jack = JackTimebase(by_bars=by_bars)
    jack.rolls = True
    changes = jack.periods(100)
    for _ in range(40):
        jack.time += 9_600
        jack.frame += 9_600 - lag
        jack.beats += (9_600 - lag) / RATE * jack.tempo / 60
        jack.beats = max(0.0, jack.beats)
        jack.frame = max(0, jack.frame)
        changes += jack.periods(30)
    motion, right = changes[-1].motion, jack.beats * 4 if by_bars else jack.frame * 1e9 / RATE
    assert motion.position_at(jack.time) == pytest.approx(right, abs=0.03 if by_bars else 1.0)
