"""Ardour records what is played over JACK, and its own Lua reads the session back: every note on its tick."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from living.figures import Result
from living.music import BAR, TRACKS, bars_of, dense
from living.players import player
from tests.ardour import TICKS_PER_QUARTER, build, read, recording
from tests.jack import server

__all__ = ["take_down"]

BARS = 16
USPQ = 500_000
SECONDS = BARS * BAR * USPQ / 4_000_000
SCALE = TICKS_PER_QUARTER // 4  # Ardour's ticks in a sixteenth
TOLERANCE = 1  # Ardour's ticks: a sample is less than a tenth of one


def take_down(folder: Path) -> Result:
    """Measure figure 4."""
    result = Result()
    session = build(folder / "ardour", tempos=((0, 60_000_000 / USPQ),))
    notes = dense(BARS)
    with ExitStack() as stack:
        jack = stack.enter_context(server(folder, period=1024, realtime=True))
        ours = stack.enter_context(player(jack, backend="jack", tempo_map=[[0, USPQ]], tracks=TRACKS, name="ours"))
        port = ours.wait("ready")["ports"]["music"][0]
        ours.say(do="bars", bars=bars_of(notes))
        ours.say(do="end", bars=BARS)
        with recording(session, jack, port, SECONDS + 3):
            ours.say(do="play")
        xruns = jack.xruns()
    found = read(session)
    start = min(found)[0] - min(notes)[0] * SCALE  # Ardour began to roll before we did
    wanted = Counter((tick * SCALE, channel, pitch, velocity) for tick, _, channel, pitch, velocity in notes)
    lengths = {(tick * SCALE, channel, pitch): length * SCALE for tick, length, channel, pitch, _ in notes}
    errors, off_lengths, strange = [], 0, 0
    for at, length, channel, pitch, velocity in found:
        tick = at - start
        near = round(tick / SCALE) * SCALE
        if wanted[near, channel, pitch, velocity] < 1:
            strange += 1
            continue
        wanted[near, channel, pitch, velocity] -= 1
        errors.append(tick - near)
        off_lengths += abs(length - lengths[near, channel, pitch]) > 2 * TOLERANCE
    lost = sum(wanted.values())
    worst = max(map(abs, errors), default=0)
    result.lines += [
        f"{len(notes)} notes played, {len(found)} recorded, {lost} lost, {strange} strange, {xruns} xruns;",
        f"off by at most {worst} of {TICKS_PER_QUARTER} ticks a quarter, {sum(e == 0 for e in errors)} by none;"
        f" {off_lengths} of another length",
    ]
    result.require(
        lost == strange == off_lengths == 0 and worst <= TOLERANCE, "Ardour's session is not what was played"
    )
    return result
