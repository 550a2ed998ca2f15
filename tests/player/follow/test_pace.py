from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from cmt_bridge.player.follow.pace import Pace

RATE = 48_000


def paced(times: Iterable[float], interval: float = 1000.0) -> Pace:
    pace = Pace(RATE, interval)
    first, *others = times
    pace.begin(first)
    for time in others:
        pace.add(time)
    return pace


def test_clocks_that_are_exact_are_taken_as_they_are() -> None:
    pace = paced(range(0, 50_000, 1250))
    assert pace.interval == pytest.approx(1250)
    assert pace.meant == pytest.approx(48_750)


@pytest.mark.parametrize("period", [256, 1024, 2048])
@pytest.mark.parametrize("interval", [500, 870, 1150, 1333.3])
def test_a_sender_waiting_for_periods_is_half_a_period_late(period: int, interval: float) -> None:
    pace = Pace(RATE, 1000.0)
    pace.begin(0)
    off = []
    for number in range(1, 960):
        pace.add(number * interval // period * period + period)
        off.append(pace.meant - number * interval)
    settled = off[192:]
    assert max(settled) - min(settled) < 0.6 * period
    assert sum(settled) / len(settled) == pytest.approx(period / 2, abs=0.15 * period)


def test_another_tempo_is_believed_when_two_clocks_say_so() -> None:
    before = [number * 1000 for number in range(96)]
    one = paced([*before, 95_000 + 1400])
    assert one.interval == pytest.approx(1000, rel=0.02)
    assert one.off > 100
    two = paced([*before, 95_000 + 1400, 95_000 + 2800])
    assert two.interval == pytest.approx(1400)
    assert two.meant == pytest.approx(97_800)


def test_a_new_first_interval_wins_unless_the_tempo_is_certain() -> None:
    assert paced([0, 1500]).interval == 1500
    assert paced([0, 1010]).interval == 1000
    sure = Pace(RATE, 400.0, sure=True)
    sure.begin(0)
    sure.add(1024)
    assert sure.interval == 400


def test_carried_over_clocks_replace_all_before() -> None:
    pace = paced(range(0, 20_000, 1000))
    pace.carry([20_300, 21_600])
    assert pace.count == 2
    assert pace.gap == 1300
    assert pace.interval == 1300
    assert pace.meant == 21_600
    pace.carry([number * 1200 for number in range(40)])
    assert pace.count == 40
    assert pace.interval == pytest.approx(1200)


@pytest.mark.parametrize(
    "draw", [lambda _: 0.0, lambda dice: dice.uniform(-5e4, 5e4), lambda dice: dice.choice([0, 9e6])]
)
def test_whatever_comes_an_interval_is_one(draw: Callable[[random.Random], float]) -> None:
    dice = random.Random(3)
    pace = paced([0, 0, 0])
    for _ in range(3000):
        pace.add(pace.last + draw(dice))
        assert 0.003 * RATE < pace.interval < 0.2 * RATE
