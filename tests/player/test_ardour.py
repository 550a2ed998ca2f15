"""A real Ardour records what is played, and its own Lua reads its session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ardour import TICKS_PER_QUARTER, build, read, recording
from tests.jack import server
from tests.player.stage import dense, stage

TRIES = 3  # an xrun moves a note, whoever records it
BARS = 4
STEP = TICKS_PER_QUARTER // 4


@pytest.mark.slow
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
