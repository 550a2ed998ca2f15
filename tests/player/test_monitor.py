from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MissingError, UsageError
from cmt_bridge.player.lead import leader
from cmt_bridge.player.listener import JackListener, SystemListener
from cmt_bridge.player.monitor import Monitor, describe
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import Picture
from cmt_bridge.player.timebase import Timebase
from tests.jack import PATIENCE, Server, server
from tests.player.clockwork import RATE, STEADY
from tests.player.stage import dense, stage

SPEED = 10**9 / RATE
COMMAND = [sys.executable, "-m", "cmt_bridge", "monitor"]


def led(kind: str, seconds: int, tempo_map: TempoMap = STEADY) -> list[tuple[int, bytes]]:
    found = leader(kind, rate=RATE, timebase=Timebase("time", tempo_map), start="01:00:00:00", picture=Picture((25, 1)))
    found.change(Change(Motion(1000, 0, SPEED)), "start")
    return found.render(seconds * RATE)


def hear(told: list[tuple[int, bytes]]) -> tuple[Monitor, int]:
    found = Monitor(RATE)
    for at, data in told:
        found.receive(data, at)
    return found, told[-1][0]


def test_an_even_clock_shows_tempo_place_and_no_jitter() -> None:
    found, now = hear(led("clock", 5))
    clock = found.to_json(now)["clock"]
    assert clock["tempo"] == 120
    assert clock["place"] == "3.2.4"
    assert clock["rolling"] is True
    assert clock["gaps"] == 0
    assert clock["jitter_ms"] == {"p50": 0, "p99": 0, "max": 0}


def test_a_change_of_tempo_is_no_jitter() -> None:
    found, now = hear(led("clock", 8, TempoMap.of([(0, 500_000), (20, 400_000), (40, 600_000)])))
    clock = found.to_json(now)["clock"]
    assert clock["tempo"] == pytest.approx(100, abs=0.01)
    assert clock["jitter_ms"]["max"] < 0.03


def test_the_jitter_of_a_clock_is_measured() -> None:
    dice = random.Random(0)
    shaken = [(at + dice.randint(-96, 96), data) for at, data in led("clock", 60)]
    found, now = hear(shaken)
    jitter = found.to_json(now)["clock"]["jitter_ms"]
    assert 0.5 < jitter["p50"] < 2
    assert 2 < jitter["p99"] <= jitter["max"] < 6


def test_a_gap_of_a_clock_is_counted() -> None:
    told = led("clock", 6)
    missing = [each for each in told if not 2 * RATE < each[0] < 3 * RATE]
    found, now = hear(missing)
    clock = found.to_json(now)["clock"]
    assert clock["gaps"] == 1
    assert clock["jitter_ms"]["max"] == 0


def test_half_the_tempo_is_no_gap() -> None:
    found, now = hear(led("clock", 12, TempoMap.of([(0, 300_000), (20, 600_000)])))
    clock = found.to_json(now)["clock"]
    assert clock["gaps"] == 0
    assert clock["tempo"] == pytest.approx(100, abs=0.01)
    assert clock["jitter_ms"]["max"] < 0.03


def test_timecode_shows_rate_position_drift_and_jitter() -> None:
    found, now = hear(led("mtc", 20))
    mtc = found.to_json(now)["mtc"]
    assert mtc["rate"] == "25"
    assert mtc["position"].startswith("01:00:19:")
    assert mtc["breaks"] == 0
    assert mtc["drift_ms"] == 0
    assert mtc["jitter_ms"]["max"] == 0
    slow, now = hear([(round(at * 1.001), data) for at, data in led("mtc", 20)])
    assert slow.to_json(now)["mtc"]["drift_ms"] == pytest.approx(19.7, abs=0.3)


def test_a_lost_quarter_frame_is_a_break() -> None:
    told = led("mtc", 3)
    del told[100]
    found, now = hear(told)
    assert found.to_json(now)["mtc"]["breaks"] == 1


def test_notes_are_counted_and_hanging_ones_named() -> None:
    on, off = bytes((0x90, 60, 80)), bytes((0x80, 60, 64))
    told = [(0, bytes((0xC0, 24))), (0, on), (100, off), (200, on), (200, bytes((0x99, 36, 80))), (300, on)]
    found, _ = hear(told)
    report = found.to_json(300 + RATE)
    assert [(each["channel"], each["notes"], each["doubled"]) for each in report["channels"]] == [(1, 3, 1), (10, 1, 0)]
    assert report["channels"][0]["program"] == 25
    assert [(each["channel"], each["pitch"]) for each in report["hanging"]] == [(1, 60), (10, 36)]
    assert list(found.hanging(300 + RATE, 2.0)) == []
    found.receive(bytes((0x90, 60, 0)), 400)
    found.receive(bytes((0xB9, 120, 0)), 400)
    assert found.to_json(500)["hanging"] == []


def test_whatever_comes_is_named_and_nothing_stops_it() -> None:
    dice = random.Random(1)
    found = Monitor(RATE)
    for at in range(3000):
        data = bytes(dice.randrange(256) for _ in range(dice.randint(0, 12)))
        assert describe(data)
        found.receive(data, at)
    assert json.dumps(found.to_json(3000))
    assert found.lines(3000)
    assert found.bent


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("f07f7f010121000c0cf7", "full frame 01:00:12:12"),
        ("f07f7f06440601410203041ef7", "MMC locate 01:02:03;04.30"),
        ("f07f000603f7", "MMC deferred play"),
        ("f26400", "song position 100"),
        ("fb", "continue"),
        ("993c40", "note on C4 64 channel 10"),
        ("b04a63", "controller 74 99 channel 1"),
    ],
)
def test_messages_have_names(data: str, said: str) -> None:
    assert describe(bytes.fromhex(data)) == said


def test_what_a_player_sends_is_heard_at_its_sample(tmp_path: Path) -> None:
    with (
        server(tmp_path, patient=True) as jack,
        stage(jack, lead=["clock", "mtc"], frame_rate=[25, 1], start="01:00:00:00") as player,
    ):
        player.wait_for("ready")
        command = [*COMMAND, "sync out", "--json", "--seconds", "6"]
        with subprocess.Popen(
            command, env=jack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert "cmt-bridge:sync out" in process.stderr.readline()
            for bar, notes in dense(4):
                player.say(do="bar", bar=bar, notes=notes)
            player.say(do="play")
            player.wait_for("state", rolling=True)
            found = json.loads(process.communicate(timeout=PATIENCE)[0])
    assert found["clock"]["tempo"] == 120
    assert found["clock"]["jitter_ms"]["max"] < 0.05
    assert found["mtc"]["rate"] == "25"
    assert found["mtc"]["jitter_ms"]["max"] < 0.05
    assert abs(found["mtc"]["drift_ms"]) < 0.05
    assert [each["said"] for each in found["transport"]] == ["start", "full frame 01:00:00:00"]


def test_without_a_port_it_waits_until_interrupted(jack: Server) -> None:
    with subprocess.Popen(
        [*COMMAND, "--raw", "--json"], env=jack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "at cmt-bridge monitor:in" in process.stderr.readline()
        with stage(jack) as player:
            player.wait_for("ready")
            jack.connect("cmt-bridge:music", "cmt-bridge monitor:in")
            player.say(do="bar", bar=0, notes=[[0, 4, 0, 60, 90]])
            player.say(do="play")
            while (line := json.loads(process.stdout.readline()))["said"] != "note on C4 90 channel 1":
                assert "bytes" in line
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE)[0].splitlines()
        assert process.returncode == 0
    assert json.loads(rest[-1])["hanging"] == []


def test_what_is_not_there_is_told_with_what_is(jack: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", jack.name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    with pytest.raises(UsageError, match=r"no port 'piano roll'"):
        JackListener("piano roll")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"{jack.name}-none")
    with pytest.raises(MissingError, match="No JACK server"):
        JackListener()


def test_without_any_port_the_command_says_what_to_do() -> None:
    environment = {**os.environ, "JACK_DEFAULT_SERVER": "cmt-test-none", "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [*COMMAND, "nobody", "--backend", "jack"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == MissingError.exit_code
    assert "No JACK server runs." in done.stderr


def test_the_system_s_own_way_of_listening_hears_it_too(jack: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", jack.name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    with stage(jack, lead=["clock"]) as player:
        player.wait_for("ready")
        with pytest.raises(UsageError, match="cmt-bridge:sync out"):
            SystemListener("piano roll", api="jack")
        listener = SystemListener("sync out", api="jack")
        try:
            player.say(do="bar", bar=0, notes=[])
            player.say(do="play")
            found = Monitor(listener.rate)
            until = time.monotonic() + PATIENCE
            while found.clock.pulses < 48 and time.monotonic() < until:
                for at, data in listener.take():
                    found.receive(data, at)
                time.sleep(0.02)
            assert found.clock.tempo == pytest.approx(120, rel=0.05)
            assert found.clock.place
            assert [said for _, said in found.turns] == ["start"]
        finally:
            listener.close()
