"""Whoever follows as we do hears from our leaders where the music is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.course import Change, Course
from cmt_bridge.player.follow import Follower, follower
from cmt_bridge.player.lead import Leader, leader
from cmt_bridge.player.order import Picture
from cmt_bridge.player.ruler import Ruler
from tests.player.clockwork import RATE, periods

SPEED = 10**9 / RATE
TEMPOS = TempoMap.of([(0, 500_000), (64, 400_000), (128, 600_000)])
LEARNING = RATE  # frames after a turn in which a clock's tempo may still be guessed


def turns(seed: int, seconds: int) -> list[Change]:
    """Give plays, stops and locates at random, as somebody makes them who plays with the transport."""
    dice = random.Random(seed)
    ruler = Ruler("time", TEMPOS)
    found, time, course = [], 1000, Course(0, 0)
    while time < seconds * RATE:
        if dice.random() < 0.5:
            position = ruler.of(dice.randrange(256)) if dice.random() < 0.7 else dice.randrange(60 * 10**9)
            course = Course(time, position, course.speed)
        else:
            course = Course(time, round(course.position_at(time)), 0.0 if course.rolls else SPEED)
        found.append(Change(course))
        time += dice.randint(RATE // 10, 3 * RATE)
    return found


def journey(led: Leader, heard: Follower, seed: int) -> Iterator[tuple[int, Course, Course]]:
    """Lead through a minute of turns; give, at the end of each period, our course and that of who hears us."""
    theirs, ours = Course(0, 0.0), Course(0, 0.0)
    waiting = turns(seed, 60)
    for until in periods(0, 60 * RATE):
        while waiting and waiting[0].course.time < until:
            ours = waiting[0].course
            led.change(waiting.pop(0), "locate")
        for time, data in led.render(until):
            for change in heard.hear(data, time):
                theirs = change.course
        for change in heard.look(until):
            theirs = change.course
        yield until, ours, theirs


@pytest.mark.parametrize("frame_rate", [(24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_by_mtc_he_is_there_in_50_ms_to_the_sample(seed: int, frame_rate: tuple[int, int]) -> None:
    ruler = Ruler("time", TEMPOS)
    led = leader("mtc", rate=RATE, ruler=ruler, start="01:00:00:00", picture=Picture(frame_rate))
    heard = follower("mtc", rate=RATE, ruler=ruler, start="01:00:00:00", picture=Picture(frame_rate))
    for until, ours, theirs in journey(led, heard, seed):
        if until - ours.time > RATE // 20:
            assert theirs.rolls == ours.rolls
            off = (theirs.position_at(until) - ours.position_at(until)) / SPEED
            assert abs(off) < (2 if ours.rolls else RATE / 20), (until, theirs, ours)


@pytest.mark.parametrize("seed", range(8))
def test_by_clock_he_is_there_at_the_next_sixteenth(seed: int) -> None:
    ruler, beats = Ruler("time", TEMPOS), Ruler("beats", TEMPOS)
    led = leader("clock", rate=RATE, ruler=ruler)
    heard = follower("clock", rate=RATE, ruler=beats)
    for until, ours, theirs in journey(led, heard, seed):
        if until - ours.time > RATE // 5:
            assert theirs.rolls == ours.rolls
            tick = ruler.tick(ours.position_at(until))
            allowed = 0.02 if until - ours.time > LEARNING else 0.35
            near = any(abs(tick - each.tick) < 8 for each in TEMPOS.changes[1:])
            assert abs(theirs.position_at(until) - tick) < (1.0 if near or not ours.rolls else allowed), (until, tick)
