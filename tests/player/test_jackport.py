from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.jack import Server, hanging, recorder, server, transport
from tests.player.stage import TICK_NS, TRACKS, dense, errors, stage

TICK = round(TICK_NS * 48000 / 10**9)  # frames
LONG = [[0, [[0, 64, 0, 60, 90], [0, 64, 3, 48, 90]]], [1, []], [2, []], [3, []]]


def test_every_note_arrives_on_its_sample(jack: Server) -> None:
    bars = dense(6)
    with recorder(jack) as ear, stage(jack) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.begin(bars, 6)
        player.wait_for("state", rolling=True)
        state = player.wait_for("state", rolling=False)
        player.close()
        heard = ear.stop()
    ons = [each for each in heard if each.is_on]
    assert len(ons) == state["sent"] == sum(len(notes) for _, notes in bars)
    assert not hanging(heard)
    assert [each.frame for each in heard] == sorted(each.frame for each in heard)
    late = [error for error in errors(heard, bars) if error]
    assert not late or ear.xruns  # only what was due while JACK itself was late
    assert len(late) <= len(ons) // 10
    assert all(error > 0 for error in late)


def test_each_track_has_a_port_of_its_own(jack: Server) -> None:
    with recorder(jack, ports=len(TRACKS)) as ear, stage(jack, split=True) as player:
        ports = player.wait_for("ready")["ports"]["music"]
        assert ports == [f"cmt-bridge:{track['name']}" for track in TRACKS]
        for number, port in enumerate(ports):
            ear.listen(port, number)
        player.begin(dense(1), 1)
        player.wait_for("state", rolling=True)
        player.wait_for("state", rolling=False)
        player.close()
        heard = ear.stop()
    assert {(each.port, each.data[0] & 0xF) for each in heard} == {(n, t["channel"]) for n, t in enumerate(TRACKS)}


def test_a_requested_port_is_connected_when_it_appears(jack: Server) -> None:
    with stage(jack, to=["daw:in 1"]) as player:
        assert player.wait_for("ready")["missing"] == ["daw:in 1"]
        with recorder(jack, "daw") as ear:
            player.wait_for("cables", missing=[])
            player.say(do="panic")
            time.sleep(0.3)
            assert ear.stop()


def test_a_restarted_daw_reconnects_unless_it_was_disconnected(jack: Server) -> None:
    def connected() -> bool:
        return "daw:in 1" in jack.run("jack_lsp", "-c", "cmt-bridge:music")

    def becomes(wanted: bool) -> bool:
        until = time.monotonic() + 10
        while connected() != wanted and time.monotonic() < until:
            time.sleep(0.1)
        return connected() == wanted

    with stage(jack) as player:
        player.wait_for("ready")
        with recorder(jack, "daw") as ear:
            ear.listen("cmt-bridge:music")
            time.sleep(1.5)
        assert becomes(False)
        with recorder(jack, "daw"):
            assert becomes(True)
            time.sleep(1.5)
            jack.run("jack_disconnect", "cmt-bridge:music", "daw:in 1")
            time.sleep(5.0)
            assert not connected()


def test_the_next_start_ends_notes_left_by_a_kill(jack: Server, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    memory = ledger.with_suffix(".json")
    with recorder(jack) as ear:
        with stage(jack, ledger=str(ledger)) as player:
            ear.listen(player.wait_for("ready")["ports"]["music"][0])
            player.begin(LONG, 4)
            player.wait_for("state", sounding=2)
            until = time.monotonic() + 10
            while not memory.exists() and time.monotonic() < until:
                time.sleep(0.05)
            assert json.loads(memory.read_text())["music"] == ear.inputs
            player.process.kill()
            player.process.wait()
        with stage(jack, ledger=str(ledger)) as player:
            assert player.wait_for("ready")["cleared"] == 2
            time.sleep(0.3)
        with stage(jack, ledger=str(ledger)) as player:
            assert player.wait_for("ready")["cleared"] == 0
        heard = ear.stop()
    assert len([each for each in heard if each.is_on]) == 2
    assert not hanging(heard)


@pytest.mark.parametrize("end", [subprocess.Popen.terminate, subprocess.Popen.kill])
def test_a_server_that_ends_or_is_killed_is_noticed(tmp_path: Path, end: Callable[[Any], None]) -> None:
    with server(tmp_path) as jack, stage(jack) as player:
        player.wait_for("ready")
        end(jack.process)
        player.wait_for("gone")
        assert player.process.wait(10) == 4


def test_following_jacks_transport_each_note_is_at_its_frame(jack: Server) -> None:
    bars = dense(8)
    with recorder(jack) as ear, transport(jack) as roll, stage(jack, follow="jack") as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.say(do="bars", bars=bars)
        player.say(do="end", bars=8)
        roll.locate(4 * 16 * TICK)
        roll.play()
        time.sleep(1.0)
        roll.locate(16 * TICK)
        time.sleep(1.0)
        roll.stop()
        player.wait_for("state", rolling=False, sounding=0)
        player.close()
        heard = ear.stop()
    assert not hanging(heard)
    wanted = {(tick * TICK, channel, pitch) for _, notes in bars for tick, _, channel, pitch, _ in notes}
    right = wrong = 0
    for each in (each for each in heard if each.is_on):
        motion = [motion for motion in ear.motions if motion.frame <= each.frame][-1]
        assert motion.rolls
        at = motion.at + each.frame - motion.frame
        right += (at, *each.key) in wanted
        wrong += (at, *each.key) not in wanted and at != motion.at  # those at it are chased
    assert right > 40
    assert wrong <= (right // 10 if ear.xruns else 0)


def test_leading_jacks_transport_others_see_where_the_music_is(jack: Server) -> None:
    with recorder(jack) as ear, transport(jack) as roll, stage(jack, lead=["jack"]) as player:
        ear.listen(player.wait_for("ready")["ports"]["music"][0])
        player.say(do="bars", bars=dense(4))
        player.say(do="end", bars=4)
        player.say(do="locate", tick=16)
        player.say(do="loop", bars=[1, 2])
        player.say(do="play")
        player.wait_for("state", rolling=True)
        places = []
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            rolls, frame = roll.query()
            places.append(frame if rolls else 16 * TICK)
            time.sleep(0.02)
        player.say(do="loop", bars=None)
        player.wait_for("state", rolling=False, bar=4)  # it stands at the end of the piece
        assert not roll.query()[0]
        player.close()
        heard = ear.stop()
    assert min(places) >= 15 * TICK
    assert max(places) <= 32 * TICK + 2048
    assert sum(after < before for before, after in pairwise(places)) >= 1
    assert not hanging(heard)
