from __future__ import annotations

from cmt_bridge.player.lead import leader
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Picture
from cmt_bridge.player.timebase import Timebase
from tests.player.clockwork import RATE, STEADY

SPEED = 10**9 / RATE
STOP, PLAY = bytes.fromhex("f07f7f0601f7"), bytes.fromhex("f07f7f0603f7")


def locate(hours: int, minutes: int, seconds: int, frame: int, part: int = 0, *, code: int = 1) -> bytes:
    return bytes.fromhex("f07f7f06440601") + bytes((hours + 32 * code, minutes, seconds, frame, part, 0xF7))


def test_it_sends_others_where_the_music_is() -> None:
    led = leader("mmc", rate=RATE, timebase=Timebase("time", STEADY), start="01:00:00:00", picture=Picture((25, 1)))
    led.change(Change(Motion(100, 0, SPEED)), "start")
    assert led.render(200) == [(100, locate(1, 0, 0, 0)), (100, PLAY)]
    led.change(Change(Motion(RATE, 61 * 10**9, SPEED)), "locate")
    assert led.render(2 * RATE) == [(RATE, locate(1, 1, 1, 0)), (RATE, PLAY)]
    led.change(Change(Motion(2 * RATE, 62 * 10**9 + 130_000_000)), "stop")
    assert led.render(2 * RATE + 1) == [(2 * RATE, STOP), (2 * RATE, locate(1, 1, 2, 3, 25))]
    led.change(Change(Motion(3 * RATE, 0)), "locate")
    assert led.render(4 * RATE) == [(3 * RATE, locate(1, 0, 0, 0))]
