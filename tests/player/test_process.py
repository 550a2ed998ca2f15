from __future__ import annotations

import signal
import time
from itertools import pairwise

import pytest

from cmt_bridge.errors import CmtBridgeError
from tests.jack import Heard, Server, hanging, recorder
from tests.player.stage import TICK_NS, stage

TICK = round(TICK_NS * 48000 / 10**9)  # frames
CHANNELS = {0, 1, 2, 3, 9}
TRIES = 3  # on a machine on which JACK is late
LOST = 3  # messages that JACK may drop in a period for which it is late


def bar(number: int, pitch: int = 60, channel: int = 0) -> list:
    """Give a bar of four quarters of one pitch."""
    return [number, [[number * 16 + tick, 3, channel, pitch, 90] for tick in (0, 4, 8, 12)]]


def ons(heard: list[Heard]) -> list[int]:
    return [each.data[1] for each in heard if each.is_on]


@pytest.mark.parametrize("way", ["stop", "panic", "close", "end of input", "SIGTERM"])
def test_whatever_ends_it_nothing_hangs(jack: Server, way: str) -> None:
    long = [[0, [[0, 64, 0, 60, 90], [0, 64, 3, 48, 90], [1, 64, 2, 40, 90]]], *([n, []] for n in range(1, 8))]
    with recorder(jack) as ear, stage(jack) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.begin(long, 8)
        player.wait_for("state", sounding=3)
        if way == "end of input":
            player.close()
        elif way == "SIGTERM":
            player.process.send_signal(signal.SIGTERM)
            assert player.process.wait(10) == 0
        else:
            player.say(do=way)
        if way in ("stop", "panic"):
            player.wait_for("state", sounding=0)
        player.close()
        heard = ear.stop()
    assert len(ons(heard)) == 3
    assert not hanging(heard)
    assert heard[-1].kind == 0xB0
    assert {each.data[0] & 0xF for each in heard if each.data[1:2] == b"\x7b"} == CHANNELS


def test_ctrl_c_is_left_to_who_started_it(jack: Server) -> None:
    with stage(jack) as player:
        player.wait_for("ready")
        player.process.send_signal(signal.SIGINT)
        player.say(do="play")
        player.wait_for("state", rolling=True)


def test_a_missing_bar_is_reported_and_filled(jack: Server) -> None:
    with recorder(jack) as ear, stage(jack) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.say(do="bar", bar=0, notes=bar(0)[1])
        player.say(do="play")
        assert player.wait_for("underrun")["bar"] == 1
        player.say(do="end", bars=2)
        player.wait_for("state", rolling=False, underruns=1)
        player.close()
        heard = ear.stop()
    assert ons(heard) == [60] * 8
    assert not hanging(heard)


def test_a_loop_has_no_gap_and_takes_new_bars(jack: Server) -> None:
    with recorder(jack) as ear, stage(jack) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.say(do="bars", bars=[bar(0), bar(1), bar(2)])
        player.say(do="end", bars=3)
        player.say(do="loop", bars=[1, 2])
        player.say(do="locate", tick=16)
        player.say(do="play")
        player.wait_for("state", bar=1, rolling=True)
        player.say(do="bars", bars=[bar(1, 72)])
        time.sleep(5.0)
        player.say(do="stop")
        player.wait_for("state", rolling=False)
        player.close()
        heard = ear.stop()
    pitches = ons(heard)
    assert pitches[:4] == [60] * 4
    assert pitches[4:8] == [72] * 4
    frames = [each.frame for each in heard if each.is_on]
    gaps = [after - before for before, after in pairwise(frames)]
    assert gaps == [4 * TICK] * len(gaps) or ear.xruns
    assert not hanging(heard)


def test_a_channel_that_is_muted_ends_at_once(jack: Server) -> None:
    long = [[0, [[0, 64, 0, 60, 90], [0, 64, 3, 48, 90]]], *(bar(n, 50, 3) for n in range(1, 8))]
    with recorder(jack) as ear, stage(jack) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.begin(long, 8)
        player.wait_for("state", sounding=2)
        player.say(do="mute", channels=[3])
        player.wait_for("state", sounding=1)
        player.wait_for("state", bar=1)
        player.say(do="mute", channels=[])
        player.wait_for("state", bar=2)
        player.close()
        heard = ear.stop()
    end = next(each.frame for each in heard if each.is_off and each.key == (3, 48))
    again = [each.frame for each in heard if each.is_on and each.key == (3, 50)]
    assert again
    assert min(again) > end
    assert not hanging(heard)


def test_a_track_that_sounds_late_is_sent_early(jack: Server) -> None:
    both = [[0, [[tick, 2, channel, 40, 90] for tick in (0, 4, 8) for channel in (0, 9)]]]
    with recorder(jack) as ear, stage(jack, latency={"drums": 20, "": 5}) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.begin(both, 1)
        player.wait_for("state", rolling=True)
        player.wait_for("state", rolling=False)
        player.close()
        heard = ear.stop()
    drums, piano = ([each.frame for each in heard if each.is_on and each.key == (c, 40)] for c in (9, 0))
    assert len(drums) == len(piano) == 3
    early = [after - before for before, after in zip(drums, piano, strict=True)]
    assert early == [720] * 3 or ear.xruns
    assert not hanging(heard)


def led(jack: Server) -> tuple[list[Heard], bool]:
    """Give a bar of music with clock and MTC as it was heard, and whether JACK was never late."""
    with recorder(jack, ports=2) as ear, stage(jack, lead=["clock", "mtc"], frame_rate=[25, 1]) as player:
        ports = player.wait_for("ready")["ports"]
        ear.listen(ports["music"][0])
        ear.listen(ports["sync out"][0], 1)
        player.begin([bar(0)], 1)
        player.wait_for("state", rolling=True)
        player.wait_for("state", rolling=False)
        player.close()
        heard = ear.stop()
    return heard, not ear.xruns and not ear.missed


def test_followers_get_clock_and_timecode_in_step(jack: Server) -> None:
    for _ in range(TRIES):
        heard, is_calm = led(jack)
        if is_calm:
            break
    sync = [each for each in heard if each.port == 1]
    first = next(each.frame for each in heard if each.is_on)
    start = next(each.frame for each in sync if each.data == b"\xfa")
    clocks = [each.frame for each in sync if each.data == b"\xf8"]
    quarters = [each.frame for each in sync if each.data[0] == 0xF1]
    lost = 0 if is_calm else LOST
    assert len(clocks) >= 96 - lost
    assert len(quarters) >= 200 - lost
    assert sync[-1].frame >= clocks[-1]
    assert b"\xfc" in [each.data for each in sync]
    if is_calm:
        assert start == first == clocks[0]
        assert {after - before for before, after in pairwise(clocks)} == {1000}
        assert {after - before for before, after in pairwise(quarters)} == {480}


def test_what_is_moved_on_a_controller_is_told(jack: Server) -> None:
    with stage(jack) as player, stage(jack, name="other") as other:
        player.wait_for("ready")
        other.wait_for("ready")
        jack.connect("other:music", "cmt-bridge:controls")
        other.say(do="panic")
        told = player.wait_for("control", channel=9, controller=123)
        assert told["value"] == 0


def test_what_cannot_be_understood_is_told_and_passed_over(jack: Server) -> None:
    with stage(jack) as player:
        player.wait_for("ready")
        for line in (
            {"do": "loop", "bars": [3, 3]},
            {"do": "dance"},
            {"do": "bar", "bar": 0},
            {"do": "bar", "bar": 0, "notes": [[0, 1, 0, 200, 90], [1]]},
        ):
            player.say(**line)
            assert player.wait_for("error")["code"] == 2
        player.say(do="play")
        player.wait_for("state", rolling=True)


@pytest.mark.parametrize(
    ("order", "code", "says"),
    [
        ({"follow": "the leader"}, 2, "clock"),
        ({"tempo_map": "fast"}, 2, "order"),
        ({"latency": {"flute": 5}}, 2, "flute"),
        ({"ledger": "/dev/null/ledger"}, 5, "ledger"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused(jack: Server, order: dict, code: int, says: str) -> None:
    with stage(jack, **order) as player:
        error = player.wait_for("error")
        assert (error["code"], says in str(CmtBridgeError.from_json(error))) == (code, True)
        assert player.process.wait(10) == code


def test_without_a_server_it_is_said_how_to_start_one() -> None:
    with stage(None, name="cmt-bridge") as player:
        error = player.wait_for("error")
        assert error["code"] == 4
        assert "jackd" in str(CmtBridgeError.from_json(error))
