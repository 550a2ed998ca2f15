"""Clocks and timecode that come late, together, twice, in another order or not at all: where the music ends up."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, repeat

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.follow.clock import ClockFollower
from cmt_bridge.player.follow.timecode import TimecodeFollower
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Order, Picture, Track
from cmt_bridge.player.player import SYNC, Player
from cmt_bridge.player.sequencer import prepare
from cmt_bridge.player.timebase import BEATS, Timebase
from cmt_bridge.player.timecode import RATES, full_frame, quarter_frame

RATE = 48_000
LOOK = 1024  # frames from one look to the next
BEGIN = RATE
CLOCK, START = b"\xf8", b"\xfa"
MINUTE = 60.0

Stall = tuple[float, float]
"""From a second on, so many seconds, nothing arrives; then all of it does."""


def steady(bpm: float, seconds: float) -> list[float]:
    """Give when a sender of one tempo sends its clocks, in frames."""
    interval = RATE * 60 / bpm / 24
    return [BEGIN + number * interval for number in range(int(seconds * RATE / interval))]


def ramped(first: float, last: float, seconds: float) -> list[float]:
    """Give when a sender sends its clocks whose tempo goes evenly from one to another."""
    count = int(seconds * (first + last) / 2 / 60 * 24)
    tempos = [first + (last - first) * number / count for number in range(count)]
    return list(accumulate((RATE * 60 / bpm / 24 for bpm in tempos), initial=BEGIN))


def stalled(times: Iterable[float], stalls: Sequence[Stall]) -> list[int]:
    """Give when what is sent at these times arrives."""
    found = []
    for time in times:
        late = (start + length for start, length in stalls if start * RATE < time - BEGIN < (start + length) * RATE)
        found.append(int(max((BEGIN + end * RATE for end in late), default=time)))
    return found


def every(seconds: float, length: float, until: float) -> list[Stall]:
    """Give stalls of one length at even distances."""
    return [(seconds * number, length) for number in range(1, int(until / seconds))]


class Listener:
    """Hear what arrives, look at even times, and remember how far from the truth the motion was at each."""

    def __init__(self, follower: ClockFollower | TimecodeFollower, truth: Callable[[float], float]) -> None:
        self.follower = follower
        self.motion = Motion(0, 0.0)
        self.changes: list[Change] = []
        self.errors: list[float] = []
        self._truth = truth

    def hear(self, arrivals: Iterable[tuple[int, bytes]]) -> Listener:
        looked = BEGIN // LOOK * LOOK
        for time, message in arrivals:
            while looked + LOOK <= time:
                looked += LOOK
                self._take(self.follower.poll(looked))
                if self.motion.is_rolling:
                    self.errors.append(self.motion.position_at(looked) - self._truth(looked))
            self._take(self.follower.receive(message, time))
        return self

    def _take(self, changes: Sequence[Change]) -> None:
        self.changes += changes
        if changes:
            self.motion = changes[-1].motion

    @property
    def notes(self) -> list[str]:
        return [change.note for change in self.changes if change.note]


def followed(sent: Sequence[float], arrivals: Iterable[int], *, own: float = 100) -> Listener:
    """Follow clocks; errors are in clocks, and so is the truth: the number of the last clock and its share of time."""

    def truth(time: float) -> float:
        number = min(bisect_right(sent, time), len(sent) - 1) - 1
        return (number + (time - sent[number]) / (sent[number + 1] - sent[number])) / 6

    listener = Listener(ClockFollower(Timebase(BEATS, TempoMap.constant(own)), RATE), truth)
    listener.follower.receive(START, BEGIN - 1)
    return listener.hear(zip(arrivals, repeat(CLOCK)))


def clocks_off(listener: Listener, arrival: int, number: float) -> float:
    """Give by how many clocks the motion is off at an arrival, when it should be at a clock."""
    return listener.motion.position_at(arrival) * 6 - number


@pytest.mark.parametrize("length", [0.05, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("bpm", [60, 96, 125])
def test_clocks_that_are_late_by_a_stall_are_counted_once(bpm: float, length: float) -> None:
    sent = steady(bpm, 12)
    arrivals = stalled(sent, [(4.0, length)])
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.05
    assert max(map(abs, heard.errors[RATE * 2 // LOOK :])) < 0.1 / 6  # whenever it rolls it is where the sender is
    assert heard.notes in ([], ["lost", "found"])
    assert sum(not change.motion.is_rolling for change in heard.changes) == ("lost" in heard.notes)


@pytest.mark.parametrize("late", [1, 2, 3])
@pytest.mark.parametrize("bpm", [90.3, 96, 125])
def test_a_minute_of_hiccups_moves_nothing(bpm: float, late: int) -> None:
    sent = steady(bpm, MINUTE)
    arrivals = [int(time) for time in sent]
    step = round(bpm * 24 / 30)
    for first in range(step, len(sent) - 8, step):
        arrivals[first : first + late] = [arrivals[first + late]] * late
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.05
    assert max(map(abs, heard.errors[RATE // LOOK :])) < 0.1 / 6
    assert not any(change.jump for change in heard.changes[1:])


@pytest.mark.parametrize(("minutes", "bpm", "jitter"), [(10, 60, 0.0), (1, 121.7, 0.001), (1, 140, 0.004)])
def test_minutes_of_jitter_and_stalls_end_where_the_clocks_do(minutes: int, bpm: float, jitter: float) -> None:
    dice = random.Random(minutes)
    sent = steady(bpm, minutes * MINUTE)
    lengths = [0.03, 0.08, 0.2, 0.7]
    stalls = [(2 + 4 * number + dice.random(), dice.choice(lengths)) for number in range(14 * minutes)]
    arrivals = list(accumulate(stalled((time + dice.random() * jitter * RATE for time in sent), stalls), max))
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.5
    assert max(map(abs, heard.errors[RATE // LOOK :])) < 0.5 / 6


@pytest.mark.parametrize(("first", "last"), [(60, 140), (180, 80)])
@pytest.mark.parametrize("length", [0.06, 0.25, 1.5])
def test_a_tempo_that_changes_during_stalls_makes_no_clock(first: float, last: float, length: float) -> None:
    sent = ramped(first, last, 30)
    arrivals = stalled(sent, every(3.3, length, 28))
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.5


@pytest.mark.parametrize("period", [256, 1024])
@pytest.mark.parametrize("bpm", [96, 117.19, 140])
def test_a_stalled_periodic_sender_is_counted_once(bpm: float, period: int) -> None:
    sent = steady(bpm, 30)
    arrivals = stalled((time // period * period + period for time in sent), every(2.9, 0.15, 28))
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 2.0 * period / (sent[1] - sent[0])


def test_what_is_late_comes_bit_by_bit() -> None:
    sent = steady(120, 10)
    arrivals = [int(time) for time in sent]
    for number in range(200, 240):  # from a stall of eight clocks on, at twice the speed, until it has made up
        arrivals[number] = max(arrivals[number], arrivals[200] + 8000 + (number - 200) * 500)
    heard = followed(sent, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.05


@pytest.mark.parametrize("count", [1, 2, 4, 30])
def test_lost_clocks_are_inferred_from_the_old_pace(count: int) -> None:
    sent = steady(121.7, 20)
    there = [int(time) for number, time in enumerate(sent) if not 400 <= number < 400 + count]
    heard = followed(sent, there)
    assert abs(clocks_off(heard, there[-1], len(sent) - 1)) < 0.05


def test_lost_clocks_that_come_after_all_are_not_counted_twice() -> None:
    sent = steady(121.7, 20)
    arrivals = [int(time) for time in sent]
    arrivals[400:403] = [arrivals[440] + 300] * 3  # a path of its own brings them a second later
    heard = followed(sent, sorted(arrivals))
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.05


@pytest.mark.parametrize("pause", [0.0333, 0.1, 0.777, 2.5013])
def test_a_silent_pause_ends_with_the_next_clock(pause: float) -> None:
    sent = steady(121.7, 20)
    arrivals = [int(time + pause * RATE * (number >= 400)) for number, time in enumerate(sent)]
    heard = followed(arrivals, arrivals)
    assert abs(clocks_off(heard, arrivals[-1], len(sent) - 1)) < 0.05


# Timecode says where it is, so that nothing adds up


def timecode(arrivals: Iterable[tuple[float, int]], kind: int = 1) -> Listener:
    """Follow quarter frames by number, each when it arrives; errors are in seconds."""
    rate = RATES[kind]
    listener = Listener(TimecodeFollower(RATE), lambda time: (time - BEGIN) * 1e9 / RATE)
    listener.follower.receive(full_frame(rate.label(0)), 0)
    found = listener.hear((int(time), quarter_frame(rate.label(n // 8 * 2), n % 8)) for time, n in arrivals)
    found.errors = [error / 1e9 for error in found.errors]
    return found


def quarters(seconds: float, kind: int = 1) -> list[float]:
    interval = float(RATE / RATES[kind].frames / 4)
    return [BEGIN + number * interval for number in range(int(seconds * RATE / interval))]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("length", [0.03, 0.1, 0.3, 1.0])
def test_timecode_that_is_late_by_stalls_ends_where_it_is(kind: int, length: float) -> None:
    sent = quarters(20, kind)
    arrivals = stalled(sent, every(2.6, length, 18))
    heard = timecode(zip(arrivals, range(len(sent)), strict=True), kind)
    assert max(map(abs, heard.errors)) < 0.030  # in the moment in which they come
    assert max(map(abs, heard.errors[-RATE // LOOK :])) < 0.001


def test_quarter_frames_that_come_twice_or_get_lost_move_nothing() -> None:
    dice = random.Random(1)
    sent = quarters(30)
    arrivals = [(time, n) for n, time in enumerate(sent) for _ in range(dice.choices([0, 1, 2], [1, 98, 1])[0])]
    heard = timecode(arrivals)
    assert max(map(abs, heard.errors[RATE // LOOK :])) < 0.001


def test_quarter_frames_that_overtake_each_other_do_not_stop_it() -> None:
    dice = random.Random(2)
    sent = quarters(30)
    order = list(range(len(sent)))
    for first in sorted(dice.sample(range(20, len(sent) - 20, 4), 30)):
        order[first], order[first + 1] = order[first + 1], order[first]
    heard = timecode(zip(sent, order, strict=True))
    assert all(change.motion.is_rolling for change in heard.changes)
    assert max(map(abs, heard.errors)) < 0.015


# Who leads has to send what is followed


@pytest.mark.parametrize("kind", ["clock", "mtc"])
@pytest.mark.parametrize("away", [0.0, 0.1, 0.2, 0.6])
def test_a_returning_leader_is_followed_to_its_place(kind: str, away: float) -> None:
    piano, tempo = Track("piano", 0, 0), TempoMap.constant(96)
    ours = Player(Order(lead=(kind,), tracks=(piano,), tempo_map=tempo, picture=Picture((25, 1))), RATE, ActiveNotes())
    theirs = Player(Order(follow=kind, tracks=(piano,), tempo_map=tempo, picture=Picture((25, 1))), RATE, ActiveNotes())
    ours.feed([prepare(ours.timebase, bar, [(bar * 16, 4, 0, 60, 80)]) for bar in range(20)])
    ours.end(20)
    ours.play()
    for start in range(0, 8 * RATE, 256):
        if not 4 * RATE <= start < (4 + away) * RATE:
            for time, port, message in ours.cycle(start, start + 256):
                if port == SYNC:
                    theirs.receive(message, max(start, time))
        theirs.cycle(start, start + 256)
    assert theirs.sequencer.tick(8 * RATE) == pytest.approx(ours.sequencer.tick(8 * RATE), abs=0.01)
