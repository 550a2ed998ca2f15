"""A real Ardour follows our timecode."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import jack as jack_client
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.ardour import Hardour, Session, _udp_port, build, hardour
from tests.jack import Recorder, Server, recorder, server
from tests.player.lead.reading import read_full
from tests.player.stage import Stage, stage

TRIES = 3  # JACK now and then ends when Ardour starts
RATE = 48_000
FRAMES = 30
NEAR = 0.040 * RATE  # Ardour corrects itself by speed, and asking it takes some milliseconds
LOOKS = 5  # of which the middle one counts
SETTLED = 1.5  # s
MASTER = """<TransportMasters current="MTC"><TransportMaster type="MTC" name="MTC" collect="1" removeable="0"/>
</TransportMasters>"""


class Asker:
    """Ask Ardour where it is."""

    def __init__(self, ardour: Hardour) -> None:
        port = _udp_port(ardour._process.pid)
        assert port is not None
        self._to = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(1.0)
        self._send("/set_surface", 0, 0, 16, 0, 0, 0, 0)

    def position(self) -> int:
        """Give the sample at which Ardour is."""
        for _ in range(10):
            self._send("/transport_frame")
            with suppress(OSError):
                while True:
                    message = OscMessage(self._socket.recv(4096))
                    if message.address == "/transport_frame":
                        return int(message.params[0])
        raise AssertionError("Ardour does not answer")

    def close(self) -> None:
        self._socket.close()

    def _send(self, path: str, *values: int) -> None:
        builder = OscMessageBuilder(path)
        for value in values:
            builder.add_arg(value)
        self._socket.sendto(builder.build().dgram, self._to)


def session(folder: Path) -> Session:
    """Make a session that follows MTC."""
    found = build(folder)
    found.configure(send_mtc="0", send_midi_clock="0", send_mmc="0")
    config = found.home / ".config" / "ardour7" / "config"
    config.write_text(config.read_text().replace("</Config>", f"</Config>{MASTER}"))
    found.set(external_sync="1")
    return found


@contextmanager
def theatre(tmp_path: Path) -> Iterator[tuple[Server, Hardour, Stage, Recorder]]:
    """Run Ardour, connected to a player that leads it."""
    made = session(tmp_path / "ardour")
    with ExitStack() as stack:
        for attempt in range(TRIES):
            try:
                with ExitStack() as tried:
                    jack = tried.enter_context(server(tmp_path))
                    ardour = tried.enter_context(hardour(made, jack))
                    player = tried.enter_context(stage(jack, lead=["mtc"], frame_rate=[FRAMES, 1]))
                    player.wait_for("ready")
                    heard = tried.enter_context(recorder(jack))
                    heard.listen("cmt-bridge:sync out")
                    jack.connect("cmt-bridge:sync out", "ardour:MTC in")
                    stack.push(tried.pop_all())
                    break
            except AssertionError:
                if attempt == TRIES - 1:
                    raise
        yield jack, ardour, player, heard


@pytest.mark.slow
@pytest.mark.realtime
def test_ardour_plays_stops_and_jumps_with_us(tmp_path: Path) -> None:
    with theatre(tmp_path) as (jack, ardour, player, heard):
        clock = jack_client.Client("watch", servername=jack.name, no_start_server=True)
        asker = Asker(ardour)
        looks: list[list[tuple[int, int]]] = []

        def look() -> None:
            time.sleep(SETTLED)
            looks.append([])
            for _ in range(LOOKS):
                before, position, after = clock.frame_time, asker.position(), clock.frame_time
                looks[-1].append(((before + after) // 2, position))
                time.sleep(0.2)

        try:
            player.say(do="bars", bars=[[bar, []] for bar in range(40)])
            player.say(do="play")
            look()
            player.say(do="stop")
            look()
            player.say(do="locate", tick=96)
            look()
            player.say(do="play")
            look()
            player.say(do="locate", tick=32)
            look()
        finally:
            asker.close()
            clock.close()
        told = [(each.frame, each.data) for each in heard.stop()]
    for each in looks:
        errors = sorted(abs(position - where(told, at)) for at, position in each)
        assert errors[LOOKS // 2] < NEAR, (errors, each)


def where(told: list[tuple[int, bytes]], at: int) -> int:
    """Give the sample at which whoever heard this should be at a frame of JACK."""
    said_at, label = [(frame, read_full(data)[1]) for frame, data in told if data[0] == 0xF0 and frame < at][-1]
    rolls = any(data[0] == 0xF1 and at - RATE // 10 < frame < at for frame, data in told)
    _, minute, second, frame = label
    return ((minute * 60 + second) * FRAMES + frame) * RATE // FRAMES + (at - said_at if rolls else 0)
