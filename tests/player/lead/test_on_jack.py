"""What leads, as an independent recorder hears it on a real JACK."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.jack import Heard, recorder, server
from tests.player.lead.reading import read_full, read_pieces
from tests.player.stage import stage

TICK = 6000  # frames, at 120 BPM
PER_CLOCK, PER_QUARTER_FRAME = 1000, 480  # at 25 frames a second
LATE = 40  # ms
TURNS = (0xF2, 0xFA, 0xFB, 0xFC)
BEAT = [[tick, 1, 9, 36, 100] for tick in range(0, 16, 4)]


def frames(heard: Sequence[Heard], status: int) -> list[int]:
    return [each.frame for each in heard if each.data[0] == status]


def bars(first: int, last: int) -> list[list[object]]:
    return [[bar, [[bar * 16 + tick, *rest] for tick, *rest in BEAT]] for bar in range(first, last)]


def test_clock_timecode_and_notes_agree_through_jumps(tmp_path: Path) -> None:
    with (
        server(tmp_path, patient=True) as jack,
        stage(jack, lead=["clock", "mtc", "mmc"], frame_rate=[25, 1], start="01:00:00:00") as player,
        recorder(jack, ports=2) as heard,
    ):
        player.wait_for("ready")
        heard.listen("cmt-bridge:music", 0)
        heard.listen("cmt-bridge:sync out", 1)
        player.say(do="bars", bars=bars(0, 4))
        player.say(do="loop", bars=[0, 1])
        player.say(do="play")
        player.wait_for("state", rolling=True)
        while player.wait_for("state")["sent"] < 7:
            pass
        player.say(do="locate", tick=32)
        player.wait_for("state", bar=2)
        while player.wait_for("state")["sent"] < 11:
            pass
        player.say(do="stop")
        player.wait_for("state", rolling=False)
        told = heard.stop()
    sync = [each for each in told if each.port == 1]
    notes = [each.frame for each in told if each.is_on]
    turn = [[each.data for each in sync if each.data[0] in TURNS and each.frame == at] for at in notes]
    assert turn[0] == [b"\xfa"]
    assert turn[4] == [b"\xfc", b"\xfa"]  # the loop
    clocks = frames(sync, 0xF8)
    assert set(notes) <= set(clocks)
    jumps = frames(sync, 0xFB)
    assert len(jumps) == 1
    assert all(b - a == PER_CLOCK for a, b in pairwise(clocks) if b not in jumps)
    pieces = frames(sync, 0xF1)
    assert all(b - a == PER_QUARTER_FRAME for a, b in pairwise(pieces) if b not in jumps)
    full = [(each.frame, read_full(each.data)[1]) for each in sync if each.data[3:5] == b"\x01\x01"]
    assert full[0] == (notes[0], (1, 0, 0, 0))
    assert full[1] == (notes[4], (1, 0, 0, 0))
    assert full[2] == (jumps[0], (1, 0, 4, 0))
    for at, _, (_, _, second, frame) in read_pieces(
        [(each.frame, each.data) for each in sync if each.frame < jumps[0]]
    ):
        assert (at - notes[0]) % (16 * TICK) == second * 48_000 + frame * 1920
    assert [each.data[4] for each in sync if each.data[3:4] == b"\x06"] == [0x44, 3, 0x44, 3, 0x44, 3, 1, 0x44]


def test_latency_compensation_does_not_move_sync(tmp_path: Path) -> None:
    with (
        server(tmp_path, patient=True) as jack,
        stage(jack, lead=["clock"], latency={"": LATE}) as player,
        recorder(jack, ports=2) as heard,
    ):
        player.wait_for("ready")
        heard.listen("cmt-bridge:music", 0)
        heard.listen("cmt-bridge:sync out", 1)
        player.say(do="bars", bars=bars(0, 2))
        player.say(do="loop", bars=[0, 1])
        player.say(do="play")
        while player.wait_for("state")["sent"] < 9:
            pass
        player.say(do="stop")
        player.wait_for("state", rolling=False)
        told = heard.stop()
    ahead = LATE * 48
    starts = frames(told, 0xFA)
    notes = [each.frame for each in told if each.is_on]
    assert starts[0] == notes[0] + ahead
    assert starts[1] == notes[4] + ahead
    clocks = frames(told, 0xF8)
    assert all(b - a == PER_CLOCK for a, b in pairwise(clocks))
