from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmt_bridge.core.tempo import TempoChange, TempoMap, bpm_to_uspq, uspq_to_bpm
from cmt_bridge.errors import UsageError


def test_bpm_and_microseconds() -> None:
    assert bpm_to_uspq(120) == 500_000
    assert uspq_to_bpm(500_000) == 120
    assert bpm_to_uspq(102.85714285714286) == 583_333


@pytest.mark.parametrize("bpm", [0, -1, 3.5, float("nan"), 1e9])
def test_impossible_tempos_are_refused(bpm: float) -> None:
    with pytest.raises(UsageError):
        bpm_to_uspq(bpm)


def test_a_bar_of_120_bpm_lasts_two_seconds() -> None:
    tempo_map = TempoMap.constant(120)
    assert [tempo_map.bar_seconds(bar) for bar in range(3)] == [0, 2, 4]
    assert tempo_map.ticks(1.0) == 8
    assert tempo_map.bpm_at(1000) == 120


def test_time_is_exact_after_an_hour() -> None:
    tempo_map = TempoMap.constant(102.857)
    assert tempo_map.bar_seconds(1542) == 1542 * 4 * Fraction(bpm_to_uspq(102.857), 10**6)


def test_a_tempo_change_takes_hold_at_its_tick() -> None:
    tempo_map = TempoMap.of([(0, 500_000), (16, 1_000_000)])
    assert tempo_map.seconds(16) == 2
    assert tempo_map.seconds(20) == 3
    assert tempo_map.ticks(3) == 20
    assert tempo_map.bpm_at(15) == 120
    assert tempo_map.bpm_at(16) == 60


@pytest.mark.parametrize("changes", [(), ((4, 500_000),), ((0, 500_000), (0, 400_000)), ((0, 1), (8, 2), (4, 3))])
def test_maps_start_at_zero_and_rise(changes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="tempo map"):
        TempoMap(tuple(TempoChange(*change) for change in changes))


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(100_000, 2_000_000)), max_size=8),
    st.integers(100_000, 2_000_000),
    st.integers(0, 5000),
)
def test_seconds_and_ticks_are_inverse(steps: list[tuple[int, int]], first: int, tick: int) -> None:
    pairs, at = [(0, first)], 0
    for gap, uspq in steps:
        at += gap
        pairs.append((at, uspq))
    tempo_map = TempoMap.of(pairs)
    assert tempo_map.ticks(tempo_map.seconds(tick)) == tick
    assert tempo_map.tick_at(float(tempo_map.seconds(tick))) == tick


def test_halves_go_to_the_even_tick() -> None:
    tempo_map = TempoMap.constant(120)  # a tick is 1/8 s
    assert tempo_map.tick_at(Fraction(1, 16)) == 0
    assert tempo_map.tick_at(Fraction(3, 16)) == 2
