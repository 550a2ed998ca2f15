"""A real Ardour records what is played, and plays what was exported."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cmt_bridge.projects.ardour import write_session
from tests.ardour import TICKS_PER_QUARTER, build, hardour, playable, read, recording, retried
from tests.jack import Heard, hanging, recorder, server
from tests.player.stage import dense, stage
from tests.projects.films import arrangement_of

TRIES = 3  # an xrun moves a note, whoever records it
BARS = 4
STEP = TICKS_PER_QUARTER // 4


@pytest.mark.slow
@pytest.mark.realtime
def test_ardour_records_every_note_on_its_tick(tmp_path: Path) -> None:
    bars = dense(BARS)
    wanted = sorted(
        (tick * STEP, channel, pitch, velocity) for _, notes in bars for tick, _, channel, pitch, velocity in notes
    )
    found: list[tuple[int, int, int, int]] = []
    for attempt in range(TRIES):
        session = build(tmp_path / f"ardour {attempt}")
        try:
            with server(tmp_path, period=1024, realtime=True) as jack, stage(jack) as player:
                port = player.wait_for("ready")["ports"]["music"][0]
                player.say(do="bars", bars=bars)
                player.say(do="end", bars=BARS)
                with recording(session, jack, port, BARS * 2 + 3):
                    player.say(do="play")
                    player.wait_for("state", rolling=True)
                    player.wait_for("state", rolling=False)
        except AssertionError:  # JACK now and then ends when Ardour starts
            if attempt == TRIES - 1:
                raise
            continue
        notes = read(session)
        start = min(notes)[0] - wanted[0][0]  # Ardour rolls before the first note
        found = sorted((tick - start, channel, pitch, velocity) for tick, _, channel, pitch, velocity in notes)
        if found == wanted:
            break
    assert found == wanted


@pytest.mark.slow
def test_an_exported_session_plays_every_note_at_its_sample(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    folder = tmp_path / "Der Film"
    folder.mkdir()
    write_session(arrangement, folder, name="Der Film")
    session = playable(folder, tmp_path / "home")
    parts = arrangement.version.parts

    def play() -> list[Heard]:
        with (
            server(tmp_path, patient=True) as jack,
            hardour(session, jack) as ardour,
            recorder(jack, ports=len(parts)) as ear,
        ):
            for number, part in enumerate(parts):
                ear.listen(f"ardour:{part.name}/midi_out 1", number)
            ardour.locate(0)
            time.sleep(1)
            ardour.play()
            time.sleep(9)
            ardour.stop()
            time.sleep(1)
            return ear.stop()

    heard = retried(play)
    first = min(each.frame for each in heard if each.is_on)
    rate = 48000
    begins = min(float(arrangement.seconds(note.start)) * rate for part in parts for note in part.notes)
    zero = first - round(begins)
    for number, part in enumerate(parts):
        mine = sorted(
            (each.frame - zero, *each.key, each.data[2]) for each in heard if each.port == number and each.is_on
        )
        wanted = sorted(
            (float(arrangement.seconds(n.start)) * rate, n.channel, n.pitch, n.velocity) for n in part.notes
        )
        assert len(mine) == len(wanted), part.name
        for one, other in zip(mine, wanted, strict=True):
            assert one == pytest.approx(other, abs=1.5)
    assert not hanging(heard)
