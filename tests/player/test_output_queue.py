from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.player.active_notes import ActiveNotes
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.output_queue import Due, OutputQueue
from cmt_bridge.player.sequencer import Entry, Note, Program
from tests.player.clockwork import BAR, BENT, RATE, TICK, feed, hold, offs, ons, periods, roll, sequencer, stand

MS = RATE // 1000


def outlet(
    bars: Iterable[list[Note]] = (),
    *,
    latency: Mapping[int, int] | None = None,
    ledger: ActiveNotes | None = None,
    **more,
) -> OutputQueue:
    """Give an output queue of a sequencer that has these bars; latency in frames."""
    return OutputQueue(
        sequencer(bars, **more), ledger or ActiveNotes(), RATE, latency=latency, channels=(0, 1, 2, 3, 9)
    )


def play(played: OutputQueue, start: int, until: int, lengths: tuple[int, ...] = (256,)) -> list[Due]:
    """Take period by period, and hold each message to its period."""
    found = []
    for end in periods(start, until, lengths):
        messages = played.due(start, end)
        assert all(start <= time < end for time, _ in messages), "a message outside of its period"
        assert [time for time, _ in messages] == sorted(time for time, _ in messages)
        found += messages
        start = end
    return found


def notes_off(messages: Iterable[Due]) -> set[tuple[int, int]]:
    """Give time and channel of each controller that ends all notes."""
    return {(time, data[0] & 15) for time, data in messages if data[0] & 0xF0 == 0xB0 and data[1] == 123}


def test_without_latency_all_is_handed_over_at_its_time() -> None:
    played = outlet([[(0, 4, 0, 60, 80), (4, 2, 9, 36, 90)]], programs=[Program(0, 5)])
    roll(played.sequencer)
    assert play(played, 0, BAR) == [
        (0, b"\xc0\x05"),
        (0, b"\x90\x3c\x50"),
        (4 * TICK, b"\x80\x3c\x40"),
        (4 * TICK, b"\x99\x24\x5a"),
        (6 * TICK, b"\x89\x24\x40"),
    ]
    assert played.sent == 2
    assert played.late == 0


def test_a_track_that_sounds_late_is_given_its_notes_early() -> None:
    notes: list[Note] = [(4, 2, channel, 60, 80) for channel in (0, 1, 9)]
    played = outlet([notes], latency={9: 50 * MS, 0: -3 * MS})
    assert played.ahead == 50 * MS
    roll(played.sequencer)
    messages = play(played, 0, BAR)
    for tick, found in ((4, ons(messages)), (6, offs(messages))):
        assert found == [(tick * TICK - 50 * MS, 9, 60), (tick * TICK, 1, 60), (tick * TICK + 3 * MS, 0, 60)]


def test_started_later_by_its_latency_no_note_is_late() -> None:
    played = outlet([[(0, 1, 0, 60, 80), (0, 1, 9, 36, 80)]], latency={9: 80 * MS})
    roll(played.sequencer, time=1000 + played.ahead)
    assert sorted(ons(play(played, 1000, BAR))) == [(1000, 9, 36), (1000 + 80 * MS, 0, 60)]
    assert played.late == 0


def test_started_at_once_the_first_note_is_not_lost() -> None:
    played = outlet([[(0, 1, 0, 60, 80), (0, 1, 9, 36, 80)]], latency={9: 80 * MS})
    played.sequencer.end(1)
    play(played, 0, 512)
    roll(played.sequencer, time=512)
    assert sorted(ons(play(played, 512, BAR))) == [(512, 0, 60), (512, 9, 36)]


def test_a_stop_takes_back_what_waits_and_ends_what_sounds() -> None:
    notes: list[Note] = [(0, 16, 0, 60, 80), (2, 4, 9, 36, 80), (4, 1, 0, 64, 80)]
    played = outlet([notes], latency={9: 90 * MS})
    roll(played.sequencer, time=0)
    now = 2 * TICK - 90 * MS
    now -= now % 256
    messages = play(played, 0, now)
    stand(played.sequencer, now + 100)
    messages += play(played, now, BAR)
    assert [each[1:] for each in ons(messages)] == [(0, 60)]
    assert offs(messages) == [(now + 100, 0, 60)]
    assert {channel for _, channel in notes_off(messages)} == {0, 1, 2, 3, 9}
    assert played.sounding == 0


def test_only_a_stop_is_followed_by_controllers() -> None:
    played = outlet([[(0, 16, 0, 60, 80)]])
    roll(played.sequencer)
    messages = play(played, 0, 512)
    roll(played.sequencer, 1, 512)
    messages += play(played, 512, 1024)
    assert not notes_off(messages)
    stand(played.sequencer, 1024)
    assert notes_off(played.due(1024, 1280)) == {(1024, channel) for channel in (0, 1, 2, 3, 9)}
    stand(played.sequencer, 1280)
    assert played.due(1280, 1536) == []


@pytest.mark.parametrize("latency", [0, 20 * MS, 100 * MS])
def test_a_loop_turns_for_each_track_at_its_own_time(latency: int) -> None:
    notes: list[Note] = [(0, 40, 0, 60, 80), (0, 40, 9, 36, 80), (15, 1, 9, 40, 80)]
    played = outlet([notes], latency={9: latency})
    played.sequencer.loop((0, 1))
    roll(played.sequencer, time=latency)
    messages = play(played, 0, 3 * BAR + latency)
    turns = [bar * BAR for bar in range(4)]
    assert [each for each in ons(messages) if each[1:] == (0, 60)] == [(time + latency, 0, 60) for time in turns[:3]]
    assert [each for each in ons(messages) if each[1:] == (9, 36)] == [
        (time, 9, 36) for time in turns if time < 3 * BAR + latency
    ]
    assert [each for each in offs(messages) if each[1:] == (0, 60)] == [(time + latency, 0, 60) for time in turns[1:3]]
    assert [each for each in offs(messages) if each[1:] == (9, 40)] == [
        (time, 9, 40) for time in turns[1:] if time < 3 * BAR + latency
    ]
    assert played.late == 0


def test_a_stop_takes_back_a_half_taken_loop_turn() -> None:
    notes: list[Note] = [(0, 40, 0, 60, 80), (0, 40, 9, 36, 80)]
    played = outlet([notes], latency={9: 100 * MS})
    played.sequencer.loop((0, 1))
    roll(played.sequencer)
    now = BAR - 50 * MS
    messages = play(played, 0, now)
    assert [each[1:] for each in ons(messages)] == [(0, 60), (9, 36), (9, 36)]
    played.sequencer.change(Change(Motion(now, played.sequencer.motion_at(now).position_at(now))))
    messages += play(played, now, 2 * BAR)
    assert len(ons(messages)) == 3
    assert not hold(messages)


def test_a_mute_ends_what_sounds_at_once_and_only_there() -> None:
    notes: list[Note] = [(tick, 8, channel, 60 + tick, 80) for tick in (0, 4) for channel in (0, 1)]
    played = outlet([notes])
    roll(played.sequencer)
    messages = play(played, 0, 1024)
    played.mute(frozenset({1}))
    assert played.due(1024, 1280) == [(1024, b"\x81\x3c\x40")]
    messages = play(played, 1280, 6 * TICK)
    assert ons(messages) == [(4 * TICK, 0, 64)]
    played.mute(frozenset())
    messages = play(played, 6 * TICK, BAR)
    assert not ons(messages)
    assert {channel for _, channel, _ in offs(messages)} == {0}


def test_only_slightly_late_notes_play_after_a_pause() -> None:
    notes: list[Note] = [(1, 4, 0, 60, 80), (2, 4, 0, 61, 80), (3, 1, 0, 62, 80)]
    played = outlet([notes])
    roll(played.sequencer)
    play(played, 0, 2000)
    back = 2 * TICK + 10 * MS
    messages = play(played, back, BAR)
    assert ons(messages) == [(back, 0, 61), (3 * TICK, 0, 62)]
    assert played.late == 2
    hold(messages)


def test_after_a_long_pause_the_music_is_entered_anew() -> None:
    bars: list[list[Note]] = [[(bar * 16 + tick, 6, 3, 60 + tick, 80) for tick in range(0, 16, 4)] for bar in range(40)]
    played = outlet(bars)
    roll(played.sequencer)
    messages = play(played, 0, TICK)
    back = 30 * BAR + TICK
    messages += play(played, back, 31 * BAR)
    assert [each for each in ons(messages) if each[0] >= TICK] == [
        (back, 3, 72),
        (back, 3, 60),
        *((30 * BAR + tick * TICK, 3, 60 + tick) for tick in (4, 8, 12)),
    ]
    hold(messages)
    assert played.late == 0


def test_silence_ends_every_note_explicitly_and_then_by_controller() -> None:
    played = outlet([[(0, 16, 0, 60, 80), (0, 16, 3, 48, 80)]])
    roll(played.sequencer)
    play(played, 0, 256)
    messages = played.silence()
    assert messages[:2] == [b"\x80\x3c\x40", b"\x83\x30\x40"]
    assert [data[1] for data in messages[2:]] == [64, 123] * 5
    assert played.sounding == 0
    assert [data[1] for data in played.silence(panic=True)] == [64, 123, 120] * 5
    assert not offs(play(played, 256, BAR))


# The active notes


def test_active_notes_are_recorded_until_their_end_has_left(tmp_path: Path) -> None:
    ledger = ActiveNotes(tmp_path / "ledger")
    played = outlet([[(0, 1, 1, 60, 80)]], ledger=ledger)
    roll(played.sequencer)
    played.due(0, 256)
    assert ledger.sounding() == (128 + 60,)
    play(played, 256, TICK)
    assert offs(played.due(TICK, TICK + 256))
    assert ledger.sounding() == (128 + 60,)
    played.due(TICK + 256, TICK + 512)
    assert ledger.sounding() == (128 + 60,)  # a kill may still cost the period in which it left
    play(played, TICK + 512, TICK + 48_000)
    assert ledger.sounding() == ()


def test_what_was_left_hanging_is_ended_first(tmp_path: Path) -> None:
    before = ActiveNotes(tmp_path / "ledger")
    before.add(5 * 128 + 60)
    before.add(9 * 128 + 36)
    before.close()
    ledger = ActiveNotes(tmp_path / "ledger")
    played = outlet(ledger=ledger)
    messages = played.clear()
    assert messages[:2] == [b"\x85\x3c\x40", b"\x89\x24\x40"]
    assert {data[0] & 15 for data in messages if data[0] & 0xF0 == 0xB0 and data[1] == 123} == {0, 1, 2, 3, 5, 9}
    assert ledger.sounding() == ledger.hanging
    played.settle()
    assert ledger.sounding() == ()


def test_after_silence_has_left_the_ledger_is_empty() -> None:
    ledger = ActiveNotes()
    played = outlet([[(0, 16, 0, 60, 80)]], ledger=ledger)
    roll(played.sequencer)
    play(played, 0, 256)
    played.silence()
    assert ledger.sounding() == (60,)
    played.settle()
    assert ledger.sounding() == ()


# Whatever happens


def dense(bar: int, seed: int) -> list[Entry]:
    dice = random.Random(seed)
    said = ["b0407f", "b04000", "b1427f", "b10101", "c005", "e90040", "f07e7f0901f7"]
    messages = [[bar * 16 + dice.random() * 15, dice.choice(said)] for _ in range(dice.randrange(4))]
    return [*messages, *_notes(bar, dice)]


def _notes(bar: int, dice: random.Random) -> list[Note]:
    return [
        (bar * 16 + tick, dice.randint(1, 40), channel, dice.randint(60, 70), 80)
        for tick in range(16)
        for channel in (0, 1, 9)
        if dice.random() < 0.7
    ]


DEEDS = st.tuples(
    st.sampled_from(
        ["wait", "wait", "wait", "late", "feed", "locate", "play", "stop", "nudge", "loop", "mute", "end", "silence"]
    ),
    st.integers(0, 127),
    st.integers(0, 2000),
)


def pedals(messages: Iterable[Due]) -> dict[bytes, int]:
    """Give how the pedals stand after messages."""
    return {data[:2]: data[2] for _, data in messages if data[:2] in (b"\xb0\x40", b"\xb1\x42")}


@given(
    deeds=st.lists(DEEDS, min_size=10, max_size=100),
    latency=st.dictionaries(st.sampled_from([0, 1, 9]), st.integers(-1000, 6000)),
    domain=st.sampled_from(["time", "beats"]),
)
@settings(deadline=None, max_examples=100)
def test_whatever_happens_no_note_hangs_or_is_struck_twice(
    deeds: list[tuple[str, int, int]], latency: dict[int, int], domain: str
) -> None:
    ledger = ActiveNotes()
    played = outlet(
        (dense(bar, bar) for bar in range(6)), latency=latency, ledger=ledger, tempo_map=BENT, domain=domain
    )
    heart = played.sequencer
    now, sounding, sent = 0, set(), 0
    down: dict[bytes, int] = {}
    for deed, a, b in [*deeds, ("stop", 0, 0), ("wait", 0, 2000), ("wait", 0, 2000)]:
        motion = heart.motion_at(now)
        position, speed = motion.position_at(now), heart.timebase.speed(RATE)
        match deed:
            case "wait":
                messages = play(played, now, now + b * 10, (256, 64, 1024))
                hold(messages, sounding)
                down |= pedals(messages)
                sent += len(ons(messages))
                now += b * 10
            case "late":
                now += b * 10
            case "feed":
                feed(heart, a % 10, dense(a % 10, b))
            case "locate":
                roll(heart, a - 8, now + b % 256)
            case "play":
                heart.change(Change(Motion(now, position, speed)))
            case "stop":
                heart.change(Change(Motion(now, position)))
            case "nudge":
                heart.change(Change(Motion(now, position + speed * (b - 1000), motion.speed), jump=False))
            case "loop":
                heart.loop((a % 5, a % 5 + 1 + b % 4) if b % 3 else None)
            case "mute":
                played.mute(frozenset({0, 1, 9} if a > 100 else {a % 3} if a > 50 else ()))
            case "end":
                heart.end(a % 12 if b % 2 else None)
            case "silence":
                messages = [(now, data) for data in played.silence()]
                hold([(time, data) for time, data in messages if data[0] < 0xB0], sounding)
                down |= pedals(messages)
                assert not sounding
    assert not sounding
    assert not any(down.values()), "a pedal is down"
    assert played.sounding == 0
    assert played.sent == sent
    assert ledger.sounding() == ()


def settings_of(messages: Iterable[Due]) -> list[tuple[int, str]]:
    """Give what is no note and ends none, in hex."""
    said = ((time, data) for time, data in messages if data[0] >= 0xB0)
    return [(time, data.hex()) for time, data in said if not (data[0] < 0xC0 and data[1] == 123)]


def test_a_stop_lifts_pedals_and_resuming_presses_them() -> None:
    played = outlet([[[0, "b0407f"], [0, "b00101"]], []])
    roll(played.sequencer)
    play(played, 0, TICK)
    stand(played.sequencer, TICK)
    assert settings_of(play(played, TICK, 2 * TICK)) == [(TICK, "b04000")]
    roll(played.sequencer, 4, 2 * TICK)
    assert settings_of(play(played, 2 * TICK, 3 * TICK)) == [(2 * TICK, "b0407f"), (2 * TICK, "b00101")]


def test_what_two_jumps_at_once_leave_set_is_brought_back() -> None:
    """What the first of them said is taken back by the second, which has to say it too."""
    played = outlet([[[0, "b1427f"], [0, "e10010"], (0, 16, 1, 60, 80)], []])
    roll(played.sequencer)
    play(played, 0, TICK)
    roll(played.sequencer, -8, TICK)
    roll(played.sequencer, -4, TICK)
    assert {(TICK, "b14200"), (TICK, "e10040")} <= set(settings_of(play(played, TICK, 2 * TICK)))


def test_a_pedal_that_two_jumps_at_once_leave_is_lifted() -> None:
    """What the first of them said to lift it is taken back by the second."""
    played = outlet([[[0, "b1427f"], [4, "e10010"], (0, 16, 1, 60, 80)], []])
    heart = played.sequencer
    roll(heart)
    down = played.due(0, 24_000)
    assert {b"\xb1\x42\x7f"} <= {data for _, data in down}
    roll(heart, -8, 24_000)
    heart.change(Change(Motion(24_000, -8)))
    told: dict[bytes, int] = {}
    for _, data in (*down, *played.due(24_000, 48_000)):
        told[data[:2]] = data[2]
    assert told[b"\xb1\x42"] == 0
