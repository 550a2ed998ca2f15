from __future__ import annotations

from fractions import Fraction

from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import Timebase
from cmt_bridge.player.transport import Transport
from tests.player.clockwork import BAR, BENT, RATE, TICK, ons, sequencer


def test_it_plays_stops_and_goes_on_where_it_stood() -> None:
    transport = Transport(Timebase("time", BENT), RATE)
    standing = Motion(0, 0)
    started = transport.play(standing, 100)
    assert started == Change(Motion(100, 0, 10**9 / RATE))
    stopped = transport.stop(started.motion, 100 + RATE)
    assert stopped == Change(Motion(100 + RATE, 10**9))
    again = transport.play(stopped.motion, 300_000)
    assert again == Change(Motion(300_000, 10**9, 10**9 / RATE))


def test_a_wish_that_changes_nothing_gives_nothing() -> None:
    transport = Transport(Timebase("time", BENT), RATE)
    standing = Motion(0, 0)
    assert transport.stop(standing, 10) is None
    started = transport.play(standing, 10)
    assert started is not None
    assert transport.play(started.motion, 20) is None


def test_a_locate_keeps_it_rolling_or_standing() -> None:
    timebase = Timebase("time", BENT)
    transport = Transport(timebase, RATE)
    assert transport.locate(Motion(0, 0), 70, 50) == Change(Motion(50, timebase.position(70)))
    assert transport.locate(Motion(0, 0, 10**9 / RATE), 70, 50) == Change(
        Motion(50, timebase.position(70), 10**9 / RATE)
    )


def test_by_beats_it_goes_at_the_tempo_of_the_place() -> None:
    transport = Transport(Timebase("beats", BENT), RATE)
    started = transport.play(Motion(0, 41), 0)
    assert started is not None
    assert started.motion.speed * RATE == float(4 / Fraction(722_221, 10**6))


def test_a_stop_before_a_pending_start_stays_in_place() -> None:
    played = sequencer([[(8, 1, 0, 60, 80)]])
    transport = Transport(played.timebase, RATE)
    played.change(transport.locate(played.motion_at(0), 8, 0))
    started = transport.play(played.motion_at(100), 100 + TICK)
    assert started is not None
    played.change(started)
    assert played.tick(200) == 8
    stopped = transport.stop(played.motion_at(200), 200)
    assert stopped is not None
    played.change(stopped)
    assert not ons(played.render(BAR))
    assert played.tick(BAR) == 8


def test_after_many_stops_every_note_is_on_its_frame() -> None:
    """Positions are whole nanoseconds, so nothing adds up."""
    played = sequencer([[(tick, 1, 9, 60, 80) for tick in range(b * 16, b * 16 + 16)] for b in range(4)])
    transport = Transport(played.timebase, RATE)
    now, stood, found = 0, 0, []
    while now - stood < 3 * BAR:
        started = transport.play(played.motion, now)
        assert started is not None
        played.change(started)
        now += 1237
        found += [(time - stood, pitch) for time, _, pitch in ons(played.render(now))]
        stopped = transport.stop(played.motion, now)
        assert stopped is not None
        played.change(stopped)
        now += 777
        stood += 777
    assert [time for time, _ in found] == [tick * TICK for tick in range(len(found))]
    assert len(found) >= 48
