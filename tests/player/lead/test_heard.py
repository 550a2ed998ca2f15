"""Whoever follows as we do hears from our leaders where the music is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.follow import Follower, follower
from cmt_bridge.player.lead import Leader, leader
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Picture
from cmt_bridge.player.timebase import Timebase
from tests.player.clockwork import RATE, periods

SPEED = 10**9 / RATE
TEMPOS = TempoMap.of([(0, 500_000), (64, 400_000), (128, 600_000)])
LEARNING = RATE  # frames after a turn in which a clock's tempo may still be guessed


def turns(seed: int, seconds: int) -> list[Change]:
    """Give plays, stops and locates at random, as somebody makes them who plays with the transport."""
    dice = random.Random(seed)
    timebase = Timebase("time", TEMPOS)
    found, time, motion = [], 1000, Motion(0, 0)
    while time < seconds * RATE:
        if dice.random() < 0.5:
            position = timebase.position(dice.randrange(256)) if dice.random() < 0.7 else dice.randrange(60 * 10**9)
            motion = Motion(time, position, motion.speed)
        else:
            motion = Motion(time, round(motion.position_at(time)), 0.0 if motion.is_rolling else SPEED)
        found.append(Change(motion))
        time += dice.randint(RATE // 10, 3 * RATE)
    return found


def journey(led: Leader, heard: Follower, seed: int) -> Iterator[tuple[int, Motion, Motion]]:
    """Lead through a minute of turns; give, at the end of each period, our motion and that of who hears us."""
    theirs, ours = Motion(0, 0.0), Motion(0, 0.0)
    waiting = turns(seed, 60)
    for until in periods(0, 60 * RATE):
        while waiting and waiting[0].motion.time < until:
            ours = waiting[0].motion
            led.change(waiting.pop(0), "locate")
        for time, data in led.render(until):
            for change in heard.receive(data, time):
                theirs = change.motion
        for change in heard.poll(until):
            theirs = change.motion
        yield until, ours, theirs


@pytest.mark.parametrize("frame_rate", [(24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_an_mtc_follower_locks_within_50_ms(seed: int, frame_rate: tuple[int, int]) -> None:
    timebase = Timebase("time", TEMPOS)
    led = leader("mtc", rate=RATE, timebase=timebase, start="01:00:00:00", picture=Picture(frame_rate))
    heard = follower("mtc", rate=RATE, timebase=timebase, start="01:00:00:00", picture=Picture(frame_rate))
    for until, ours, theirs in journey(led, heard, seed):
        if until - ours.time > RATE // 20:
            assert theirs.is_rolling == ours.is_rolling
            off = (theirs.position_at(until) - ours.position_at(until)) / SPEED
            assert abs(off) < (2 if ours.is_rolling else RATE / 20), (until, theirs, ours)


@pytest.mark.parametrize("seed", range(8))
def test_by_clock_he_is_there_at_the_next_sixteenth(seed: int) -> None:
    timebase, beats = Timebase("time", TEMPOS), Timebase("beats", TEMPOS)
    led = leader("clock", rate=RATE, timebase=timebase)
    heard = follower("clock", rate=RATE, timebase=beats)
    for until, ours, theirs in journey(led, heard, seed):
        if until - ours.time > RATE // 5:
            assert theirs.is_rolling == ours.is_rolling
            tick = timebase.tick(ours.position_at(until))
            allowed = 0.02 if until - ours.time > LEARNING else 0.35
            near = any(abs(tick - each.tick) < 8 for each in TEMPOS.changes[1:])
            assert abs(theirs.position_at(until) - tick) < (1.0 if near or not ours.is_rolling else allowed), (
                until,
                tick,
            )
