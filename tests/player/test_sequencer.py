from __future__ import annotations

import gc
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import UsageError
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.sequencer import FLUSH, STOP, Event, Note, Program, prepare
from cmt_bridge.player.timebase import NANOSECONDS
from tests.player.clockwork import (
    BAR,
    BENT,
    RATE,
    TICK,
    feed,
    frame,
    hold,
    offs,
    ons,
    play,
    roll,
    sequencer,
    stand,
)


def dense(bars: int, seed: int = 0, longest: int = 40) -> list[list[Note]]:
    """Give bars with many notes, pitches of which are struck again while they sound."""
    dice = random.Random(seed)
    return [
        [
            (bar * 16 + tick, dice.randint(1, longest), channel, dice.randint(60, 72), dice.randint(1, 127))
            for tick in range(16)
            for channel in (0, 1, 2, 3, 9)
            if dice.random() < 0.7
        ]
        for bar in range(bars)
    ]


def one(bar: int, pitch: int, tick: int = 0, duration: int = 2, channel: int = 0) -> list[Note]:
    """Give a bar of one note."""
    return [(bar * 16 + tick, duration, channel, pitch, 80)]


# Times


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000, NANOSECONDS])
@pytest.mark.parametrize("anchor", [0, 12_345, 7_200 * 48_000 + 1])
def test_a_note_begins_at_the_unit_nearest_to_its_time(rate: int, anchor: int) -> None:
    bars = [[(tick, 1, 0, 60, 80) for tick in range(bar * 16, bar * 16 + 16)] for bar in range(8)]
    played = sequencer(bars, tempo_map=BENT)
    roll(played, time=anchor, rate=rate)
    events = play(played, anchor, frame(BENT, 128, rate, anchor), [rate // 100])
    assert [time for time, *_ in ons(events)] == [frame(BENT, tick, rate, anchor) for tick in range(128)]
    assert [time for time, *_ in offs(events)] == [frame(BENT, tick, rate, anchor) for tick in range(1, 128)]


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_halves_are_rounded_as_the_score_rounds_them(rate: int) -> None:
    halves = TempoMap.of([(0, 500_000 + 625)])  # of a frame, at 48 000
    played = sequencer([[(tick, 1, 0, 60, 80) for tick in range(16)]], tempo_map=halves)
    played.end(1)
    roll(played, rate=rate)
    times = [time for time, *_ in ons(play(played, 0, 5 * rate))]
    assert times == [frame(halves, tick, rate) for tick in range(16)]


@pytest.mark.parametrize("place", [1, 29_999, 30_000, 30_001, 1_234_567])
def test_followed_frames_put_every_note_on_its_frame(place: int) -> None:
    """A frame is no whole number of nanoseconds."""
    rate, start = 44_100, 1000
    bars = [[(tick, 1, 0, 60, 80) for tick in range(bar * 16, bar * 16 + 16)] for bar in range(20)]
    played = sequencer(bars, tempo_map=BENT, chase=False)
    played.end(20)
    played.change(Change(Motion(start, place * NANOSECONDS / rate, NANOSECONDS / rate)))
    times = [time for time, *_ in ons(play(played, start, start + 10 * rate))]
    due = [frame(BENT, tick, rate, start - place) for tick in range(320)]
    assert times == [time for time in due if start <= time < start + 10 * rate]


def test_a_note_on_the_entry_frame_plays_once() -> None:
    for tick in range(160):
        played = sequencer([[(t, 1, 9, 60, 80) for t in range(b * 16, b * 16 + 16)] for b in range(11)], tempo_map=BENT)
        played.change(Change(Motion(77, frame(BENT, tick) * NANOSECONDS / RATE, NANOSECONDS / RATE)))
        times = [time for time, *_ in ons(played.render(77 + RATE // 8))]
        assert times[0] == 77
        assert len(times) == len(set(times))
        assert not played.underruns


@given(st.lists(st.sampled_from([1, 64, 256, 1024, 4096, 50_000]), min_size=1), st.integers(0, 100))
@settings(deadline=None, max_examples=40)
def test_periods_of_any_length_give_the_same(lengths: list[int], seed: int) -> None:
    if max(lengths) == 1:
        lengths = [*lengths, 256]
    bars = dense(4, seed)
    whole, parts = sequencer(bars, tempo_map=BENT), sequencer(bars, tempo_map=BENT)
    for each in (whole, parts):
        each.end(4)
        each.loop((1, 3))
        roll(each)
    events = whole.render(10 * RATE)
    assert play(parts, 0, 10 * RATE, lengths) == events
    hold(events)


def test_every_note_is_played_once() -> None:
    bars = dense(20)
    played = sequencer(bars, tempo_map=BENT)
    played.end(20)
    roll(played)
    events = play(played, 0, frame(BENT, 321))
    wanted = {(frame(BENT, tick), channel, pitch) for notes in bars for tick, _, channel, pitch, _ in notes}
    assert ons(events) == sorted(wanted)
    assert len(offs(events)) == len(wanted)
    assert not hold(events)


def test_an_end_comes_before_what_begins_there() -> None:
    played = sequencer([[(0, 4, 0, 60, 80), (4, 4, 0, 60, 81), (4, 4, 0, 50, 82)]])
    roll(played)
    events = played.render(5 * TICK)[1:]
    assert events == [
        (0, b"\x90\x3c\x50"),
        (4 * TICK, b"\x80\x3c\x40"),
        (4 * TICK, b"\x90\x32\x52"),
        (4 * TICK, b"\x90\x3c\x51"),
    ]


def test_a_pitch_that_is_struck_again_ends_first() -> None:
    played = sequencer([[(0, 12, 0, 60, 80), (4, 2, 0, 60, 80)]])
    roll(played)
    events = played.render(BAR)
    assert offs(events) == [(4 * TICK, 0, 60), (6 * TICK, 0, 60)]


def test_what_midi_cannot_say_is_left_out() -> None:
    notes: list[Note] = [
        (0, 0, 0, 60, 0),
        (1, 1, 0, 128, 80),
        (2, 1, 16, 60, 80),
        (17, 1, 0, 60, 80),
        (3, 1, 0, 60, 200),
    ]
    bar = prepare(sequencer().timebase, 0, notes)
    assert bar.notes == ((0, 1, 0, 60, 1), (3, 1, 0, 60, 127))


def test_the_longest_of_equal_onsets_stays() -> None:
    bar = prepare(sequencer().timebase, 0, [(0, 2, 0, 60, 80), (0, 9, 0, 60, 81), (0, 4, 0, 60, 82)])
    assert bar.notes == ((0, 9, 0, 60, 81),)


# New takes


def test_a_new_take_enters_at_the_next_bar_line() -> None:
    played = sequencer([one(0, 60) + one(0, 61, 8), one(1, 62)])
    roll(played)
    play(played, 0, TICK)
    feed(played, 0, one(0, 70, 8))
    feed(played, 1, one(1, 72))
    assert ons(play(played, TICK, 2 * BAR)) == [(8 * TICK, 0, 61), (BAR, 0, 72)]


def test_a_new_take_enters_a_loop_at_its_next_pass() -> None:
    played = sequencer([one(0, 60, duration=16)])
    played.loop((0, 1))
    roll(played)
    play(played, 0, TICK)
    feed(played, 0, one(0, 70, duration=16))
    events = play(played, TICK, 3 * BAR)
    assert ons(events) == [(BAR, 0, 70), (2 * BAR, 0, 70)]


@pytest.mark.parametrize(("duration", "end"), [(2, 5 * TICK), (6, 6 * TICK), (30, 30 * TICK)])
def test_a_sounding_notes_end_follows_a_new_take(duration: int, end: int) -> None:
    played = sequencer([one(0, 60, duration=8), []])
    roll(played)
    play(played, 0, 5 * TICK)
    feed(played, 0, one(0, 60, duration=duration))
    assert offs(play(played, 5 * TICK, 2 * BAR)) == [(end, 0, 60)]


def test_a_note_missing_from_the_new_take_still_ends() -> None:
    played = sequencer([one(0, 60, duration=8), []])
    roll(played)
    play(played, 0, 5 * TICK)
    feed(played, 0, [])
    assert offs(play(played, 5 * TICK, 2 * BAR)) == [(8 * TICK, 0, 60)]


# Underruns


def test_a_missing_bar_repeats_its_counterpart_in_the_phrase() -> None:
    played = sequencer([one(bar, 60 + bar) for bar in range(6)])
    roll(played)
    events = play(played, 0, 10 * BAR)
    assert [pitch for _, _, pitch in ons(events)] == [60, 61, 62, 63, 64, 65, 62, 63, 64, 65]
    assert [time for time, *_ in ons(events)] == [bar * BAR for bar in range(10)]
    assert played.underruns == [6, 7, 8, 9]


def test_without_its_like_the_latest_bar_is_played() -> None:
    played = sequencer([one(0, 60), one(1, 61)])
    roll(played)
    assert [pitch for _, _, pitch in ons(play(played, 0, 4 * BAR))] == [60, 61, 61, 61]


def test_without_bars_there_is_silence_until_one_comes() -> None:
    played = sequencer()
    roll(played)
    assert not ons(play(played, 0, TICK))
    feed(played, 0, one(0, 60, tick=8))
    feed(played, 1, one(1, 61))
    assert ons(play(played, TICK, BAR + TICK)) == [(BAR, 0, 61)]
    assert played.underruns == [0]


def test_a_bar_that_comes_late_enters_at_its_next_line() -> None:
    played = sequencer([one(0, 60), one(1, 61)])
    roll(played)
    events = play(played, 0, 2 * BAR + TICK)
    feed(played, 2, one(2, 62) + one(2, 63, 8))
    feed(played, 3, one(3, 64))
    events += play(played, 2 * BAR + TICK, 4 * BAR)
    assert [pitch for _, _, pitch in ons(events)] == [60, 61, 61, 64]
    hold(events)


def test_after_the_last_bar_is_silence_and_no_underrun() -> None:
    played = sequencer([one(0, 60, duration=100)])
    played.end(1)
    roll(played)
    events = play(played, 0, 5 * BAR)
    assert ons(events) == [(0, 0, 60)]
    assert offs(events) == [(BAR, 0, 60)]
    assert not played.underruns


def test_what_stands_misses_nothing() -> None:
    played = sequencer()
    played.change(Change(Motion(0, played.timebase.position(40))))
    assert not ons(play(played, 0, BAR))
    assert not played.underruns


def test_before_the_first_bar_is_silence() -> None:
    played = sequencer([one(0, 60)])
    roll(played, tick=-40)
    assert ons(play(played, 0, 40 * TICK + BAR)) == [(40 * TICK, 0, 60)]
    assert not played.underruns


# Start, stop, locate


def test_a_stop_ends_all_and_nothing_comes_after_it() -> None:
    played = sequencer(dense(4))
    roll(played)
    events = play(played, 0, BAR + 17)
    stand(played, BAR + 17)
    events += played.render(BAR + 5000)
    assert events[-1] == (BAR + 17, STOP)
    assert not hold(events)
    assert not play(played, BAR + 5000, 3 * BAR)


def test_programs_go_out_before_the_first_note() -> None:
    played = sequencer([one(0, 60)], programs=[Program(0, 5), Program(9, 0)])
    roll(played)
    assert played.render(1) == [(0, FLUSH), (0, b"\xc0\x05"), (0, b"\xc9\x00"), (0, b"\x90\x3c\x50")]


@pytest.mark.parametrize("chase", [True, False])
def test_sounding_notes_are_chased_on_entry(chase: bool) -> None:
    bars: list[list[Note]] = [
        [(0, 60, 3, 48, 70), (0, 32, 3, 52, 70), (4, 60, 9, 36, 90), (8, 40, 0, 60, 80)],
        [(16, 2, 0, 60, 80), (30, 4, 0, 64, 80)],
        [(32, 4, 1, 40, 80)],
        [],
    ]
    played = sequencer(bars, chase=chase)
    roll(played, tick=32, time=100)
    events = play(played, 100, 100 + 32 * TICK)
    struck = [(100, 0, 64), (100, 3, 48)] if chase else []
    assert sorted(ons(events)) == sorted([*struck, (100, 1, 40)])
    ended = [(100 + 2 * TICK, 0, 64), (100 + 28 * TICK, 3, 48)] if chase else []
    assert sorted(offs(events)) == sorted([*ended, (100 + 4 * TICK, 1, 40)])


def test_a_locate_while_rolling_takes_back_the_lookahead() -> None:
    played = sequencer([one(bar, 60 + bar) for bar in range(4)])
    roll(played)
    played.render(2 * BAR)
    played.change(Change(Motion(TICK, played.timebase.position(48), played.motion.speed)))
    events = played.render(2 * TICK)
    assert events == [(TICK, FLUSH), (TICK, b"\x90\x3f\x50")]


def test_a_change_to_come_waits_and_may_be_overtaken() -> None:
    played = sequencer([one(0, 60), one(1, 61)])
    roll(played, time=1000)
    assert played.render(500) == []
    played.change(Change(Motion(600, played.timebase.position(16), played.motion.speed)))
    assert ons(play(played, 500, BAR)) == [(600, 0, 61)]


def test_to_roll_is_an_entry_whatever_is_said() -> None:
    played = sequencer([one(0, 60, duration=12)])
    speed = played.timebase.speed(RATE)
    played.change(Change(Motion(0, played.timebase.position(4), speed), jump=False))
    assert ons(played.render(1)) == [(0, 0, 60)]
    played.change(Change(Motion(TICK, played.timebase.position(5)), jump=False))
    assert played.render(2 * TICK) == [(TICK, STOP)]


# Corrections


def rolling_beats() -> tuple:
    bars = [[(tick, 1, 0, 60 + tick % 16, 80) for tick in range(bar * 16, bar * 16 + 16)] for bar in range(8)]
    played = sequencer(bars, domain="beats")
    roll(played)
    return played, play(played, 0, 10 * TICK + 100)


def test_a_position_slightly_back_repeats_nothing() -> None:
    played, events = rolling_beats()
    now = 10 * TICK + 100
    played.change(Change(Motion(now, 9.5, played.motion.speed), jump=False))
    events += play(played, now, BAR)
    assert [pitch for *_, pitch in ons(events)] == [60 + tick for tick in range(16)][: len(ons(events))]
    assert ons(events)[11] == (now + round(1.5 * TICK), 0, 71)
    hold(events)


def test_what_a_correction_passes_is_played_at_once() -> None:
    played, events = rolling_beats()
    now = 10 * TICK + 100
    played.change(Change(Motion(now, 11.1, played.motion.speed), jump=False))
    events += play(played, now, BAR)
    assert (now, 0, 71) in ons(events)
    hold(events)


def test_what_a_correction_passes_by_much_is_left_out() -> None:
    played, events = rolling_beats()
    now = 10 * TICK + 100
    played.change(Change(Motion(now, 15.5, played.motion.speed), jump=False))
    events += play(played, now, BAR)
    assert [pitch for *_, pitch in ons(events)] == [60 + tick % 16 for tick in (*range(11), *range(16, 22))]
    assert played.passed == 5
    assert not played.underruns
    hold(events)


def test_a_correction_by_bars_is_a_jump() -> None:
    played, _ = rolling_beats()
    now = 10 * TICK + 100
    played.change(Change(Motion(now, 64.0, played.motion.speed), jump=False))
    assert played.render(now + 10) == [(now, FLUSH), (now, b"\x90\x3c\x50")]
    assert played.passed == 0


def test_beats_pass_as_fast_as_they_are_told() -> None:
    played, _ = rolling_beats()
    now = 10 * TICK + 100
    there = played.motion.position_at(now)
    played.change(Change(Motion(now, there, played.motion.speed / 2), jump=False))
    assert ons(play(played, now, now + 4 * TICK))[:2] == [
        (round(now + (tick - there) * 2 * TICK), 0, 60 + tick) for tick in (11, 12)
    ]


def test_a_flush_ends_what_sounds_and_the_music_goes_on() -> None:
    played = sequencer([[(0, 12, 0, 60, 80), (4, 2, 0, 64, 80)]])
    roll(played)
    play(played, 0, TICK)
    played.change(Change(Motion(TICK, played.timebase.position(1), played.motion.speed), False, True))
    events = play(played, TICK, BAR)
    assert events[0] == (TICK, FLUSH)
    assert ons(events) == [(4 * TICK, 0, 64)]
    assert offs(events) == [(6 * TICK, 0, 64)]


# Loops


def test_a_loop_does_not_drift_in_ten_thousand_rounds() -> None:
    odd = TempoMap.of([(0, 333_337)])
    played = sequencer([one(0, 60), one(1, 61)], tempo_map=odd)
    played.loop((0, 2))
    roll(played, time=5)
    length = odd.seconds(32) * 44_100
    roll(played, time=5, rate=44_100)
    events = []
    for round_ in range(1, 101):
        events += played.render(5 + round(length * 100 * round_))
    begins = [time for time, _, pitch in ons(events) if pitch == 60]
    assert len(begins) == 10_000
    assert begins == [round(5 + length * turn) for turn in range(10_000)]
    assert not hold(events) - {(0, 61)}


def test_notes_over_the_loop_end_are_ended_there() -> None:
    played = sequencer([one(0, 60), one(1, 61, 8, 30), one(2, 62)])
    played.loop((0, 2))
    roll(played)
    events = play(played, 0, 4 * BAR + 10)
    assert ons(events) == [
        (0, 0, 60),
        (BAR + 8 * TICK, 0, 61),
        (2 * BAR, 0, 60),
        (3 * BAR + 8 * TICK, 0, 61),
        (4 * BAR, 0, 60),
    ]
    assert [time for time, data in events if data == FLUSH] == [0, 2 * BAR, 4 * BAR]
    assert [wrap.motion.time for wrap in played.wraps] == [2 * BAR, 4 * BAR]
    assert {wrap.motion.position for wrap in played.wraps} == {0}


def test_a_loop_that_is_left_goes_on() -> None:
    played = sequencer([one(bar, 60 + bar) for bar in range(4)])
    played.loop((1, 2))
    roll(played)
    events = play(played, 0, 4 * BAR - TICK)
    played.loop(None)
    events += play(played, 4 * BAR - TICK, 6 * BAR)
    assert [pitch for *_, pitch in ons(events)] == [60, 61, 61, 61, 62, 63]


def test_looking_past_a_loop_turn_keeps_the_position() -> None:
    played = sequencer([one(0, 60), one(1, 61)])
    played.loop((0, 1))
    roll(played)
    played.render(BAR + TICK)
    assert played.tick(BAR - TICK) == pytest.approx(15)
    assert played.tick(BAR) == pytest.approx(0)


@pytest.mark.parametrize("bars", [(2, 2), (3, 1), (-1, 4)])
def test_what_is_no_stretch_is_no_loop(bars: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        sequencer().loop(bars)


def test_after_a_device_pause_music_resumes_in_time() -> None:
    played = sequencer([one(0, 60, duration=4), one(1, 61, duration=16)])
    played.loop((0, 2))
    roll(played)
    play(played, 0, TICK)
    away = 10_000 * 2 * BAR + BAR + 8 * TICK
    played.skip(away)
    events = play(played, away, away + BAR)
    assert events[:2] == [(away, FLUSH), (away, b"\x90\x3d\x50")]
    assert ons(events)[1:] == [(away + 8 * TICK, 0, 60)]
    assert not played.underruns


# Long pieces


def test_an_endless_piece_keeps_1024_bars() -> None:
    played = sequencer([one(bar, 60) for bar in range(1500)])
    assert [played.bars_after(bar) for bar in (0, 475, 476, 1499)] == [0, 0, 1024, 1]


def test_of_a_piece_with_an_end_all_bars_are_kept() -> None:
    played = sequencer()
    played.end(3000)
    for bar in range(3000):
        feed(played, bar, one(bar, 60))
    assert played.bars_after(0) == 3000


def test_playing_leaves_no_cycles_to_collect() -> None:
    bars = dense(8)
    played = sequencer(bars)
    played.loop((0, 8))
    roll(played)
    play(played, 0, BAR)
    gc.collect()
    gc.disable()
    try:
        for bar in range(8):
            feed(played, bar, bars[bar])
        play(played, BAR, 20 * BAR, [1024])
        roll(played, 3, 20 * BAR)
        play(played, 20 * BAR, 22 * BAR, [1024])
        assert gc.collect() == 0
    finally:
        gc.enable()


# Whatever happens

Deed = tuple[str, int, int]
DEEDS = st.tuples(
    st.sampled_from(
        ["wait", "wait", "wait", "feed", "locate", "stop", "play", "nudge", "loop", "no loop", "end", "flush"]
    ),
    st.integers(0, 127),
    st.integers(0, 2000),
)


@pytest.mark.parametrize("domain", ["time", "beats"])
@given(deeds=st.lists(DEEDS, min_size=10, max_size=100), ahead=st.sampled_from([0, 0, 3000]))
@settings(deadline=None, max_examples=100)
def test_whatever_happens_no_note_hangs_or_is_struck_twice(domain: str, deeds: Sequence[Deed], ahead: int) -> None:
    """What was looked at ahead is taken back by a cut, so that order is kept between two of them."""
    played = sequencer(dense(6), tempo_map=BENT, domain=domain)  # type: ignore[arg-type]
    now, sounding = 0, set()
    for deed, a, b in [*deeds, ("stop", 0, 0)]:
        timebase, motion = played.timebase, played.motion_at(now)
        position = motion.position_at(now)
        if deed == "wait":
            now += b * 20
        elif deed == "feed":
            feed(played, a % 10, dense(a % 10 + 1, seed=b)[-1])
        elif deed == "locate":
            roll(played, a - 8, now)
        elif deed == "stop":
            played.change(Change(Motion(now, position)))
        elif deed == "play":
            played.change(Change(Motion(now, position, timebase.speed(RATE, position))))
        elif deed == "nudge":
            shift = (b - 1000) / 1000 * timebase.speed(RATE, position) * 4000
            played.change(Change(Motion(now, position + shift, motion.speed * (1 + (a - 64) / 200)), jump=False))
        elif deed == "loop":
            played.loop((a % 5, a % 5 + 1 + b % 4))
        elif deed == "no loop":
            played.loop(None)
        elif deed == "end":
            played.end(a % 12 if b % 2 else None)
        elif deed == "flush":
            played.change(Change(Motion(now, position, motion.speed), jump=False, flush=True))
        batch: list = []
        now += 1
        for event in played.render(now + ahead):
            if event[1] in (FLUSH, STOP):
                hold(batch, sounding)
                batch = []
            batch.append(event)
        hold(batch, sounding)
        assert len(sounding) == played.sounding
    assert not played.sounding
    assert not sounding
    assert played.render(now + 10 * BAR) == []


@given(deeds=st.lists(st.tuples(st.integers(1, 4000), st.integers(-300, 300)), max_size=60))
@settings(deadline=None, max_examples=50)
def test_under_small_corrections_every_note_is_played_once(deeds: Sequence[tuple[int, int]]) -> None:
    bars = dense(12)
    played = sequencer(bars, domain="beats")
    played.end(12)
    roll(played)
    now, events = 0, []
    for wait, shift in deeds:
        now += wait
        motion = played.motion
        events += played.render(now)
        played.change(Change(Motion(now, motion.position_at(now) + shift / TICK, motion.speed), jump=False))
    events += played.render(now + 14 * BAR)
    wanted = {(tick, channel, pitch) for notes in bars for tick, _, channel, pitch, _ in notes}
    assert sorted((channel, pitch) for _, channel, pitch in ons(events)) == sorted(each[1:] for each in wanted)
    assert not hold(events)
    assert not played.passed


# Messages that are no notes


def message(tick: float, data: str) -> list[object]:
    return [tick, data]


def said(events: Sequence[Event]) -> list[tuple[int, str]]:
    """Give time and hex of each message that is no note and ends none."""
    return [(time, data.hex()) for time, data in events if data not in (FLUSH, STOP) and data[0] & 0xE0 != 0x80]


def test_each_message_comes_in_order_between_ticks_too() -> None:
    bar = [[0, "b0407f"], [0, 1, 0, 60, 80], [16 / 3, "e00050"], [16 / 3, 1 / 3, 0, 61, 80, 17], [16 / 3, "b04000"]]
    played = sequencer([bar])
    played.end(1)
    roll(played)
    events = [(time, data.hex()) for time, data in play(played, 0, BAR) if data]
    third = BAR // 3
    assert events == [
        (0, "b0407f"),
        (0, "903c50"),
        (TICK, "803c40"),
        (third, "e00050"),
        (third, "903d50"),
        (third, "b04000"),
        (third + TICK // 3, "803d11"),
    ]


def test_entering_the_music_sets_it_as_if_played() -> None:
    bars = [[message(0, "c005"), message(2, "b0407f"), message(9, "e00050")], [message(20, "b04000")], []]
    played = sequencer(bars, programs=[Program(0, 1), Program(1, 2)])
    roll(played, 17, 0)
    assert said(play(played, 0, TICK)) == [(0, "c102"), (0, "c005"), (0, "b0407f"), (0, "e00050")]
    roll(played, 33, TICK)
    assert said(play(played, TICK, 2 * TICK)) == [(TICK, "c102"), (TICK, "c005"), (TICK, "e00050"), (TICK, "b04000")]


def test_settings_not_yet_made_are_reset_on_a_jump() -> None:
    played = sequencer([[message(1, "b0407f"), message(1, "e00050"), message(1, "b00740"), message(3, "d009")], []])
    roll(played, 16, 0)
    play(played, 0, TICK)
    roll(played, 0, TICK)
    assert said(play(played, TICK, TICK + 100)) == [(TICK, "b04000"), (TICK, "d000"), (TICK, "e00040")]


def test_every_pass_of_a_loop_begins_alike() -> None:
    played = sequencer([[message(0, "c005")], [message(20, "b0407f"), message(28, "c006")], []])
    played.loop((1, 2))
    roll(played, 16, 0)
    events = said(play(played, 0, 3 * BAR))
    turns = [(turn * BAR, data) for turn in (1, 2) for data in ("b04000", "c005")]
    each = [(turn * BAR + at * TICK, data) for turn in range(3) for at, data in ((4, "b0407f"), (12, "c006"))]
    assert events == sorted([(0, "c005"), *turns, *each])


def test_another_take_is_set_from_the_next_bar_line_on() -> None:
    played = sequencer([[message(0, "c005"), message(2, "b0407f")], [message(17, "b00740")], []])
    roll(played)
    events = play(played, 0, 8 * TICK)
    feed(played, 0, [message(0, "c006")])
    events += play(played, 8 * TICK, 3 * BAR)
    assert said(events) == [
        (0, "c005"),
        (2 * TICK, "b0407f"),
        (BAR, "b04000"),
        (BAR, "c006"),
        (BAR + TICK, "b00740"),
    ]


def test_bars_that_come_while_it_plays_repeat_nothing() -> None:
    played = sequencer([[message(0, "c005"), message(1, "b0407f")]])
    roll(played)
    events = play(played, 0, 8 * TICK)
    feed(played, 1, [message(16, "b04000")])
    feed(played, 2, [message(33, "b0407f")])
    assert said(events + play(played, 8 * TICK, 3 * BAR)) == [
        (0, "c005"),
        (TICK, "b0407f"),
        (BAR, "b04000"),
        (2 * BAR + TICK, "b0407f"),
    ]


def test_a_correction_drops_notes_but_no_other_message() -> None:
    played = sequencer([[message(tick, f"b0{tick:02x}01") for tick in range(16)]])
    roll(played)
    events = play(played, 0, TICK)
    position = played.motion.position_at(TICK)
    played.change(Change(Motion(TICK, position + 8 * played.timebase.position(1), played.motion.speed), jump=False))
    events += play(played, TICK, BAR)
    assert [data for _, data in said(events)] == [f"b0{tick:02x}01" for tick in range(16)]
