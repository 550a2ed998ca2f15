"""How long it takes from the command until the music begins, of clips that nobody measured before.

Warm is a daemon that keeps the model at hand, and each stream begins as soon as the one before has ended; cold is the
command alone. The program runs as a person starts it, and leads by MIDI clock: bar 1 begins with its Start, which is
timed where it arrives, and so is the first note, since some music begins with a rest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from living.figures import Result, percentile, table
from living.kills import PROGRAM
from tests.jack import Server, recorder, server

__all__ = ["begin"]

ROOT = Path(__file__).resolve().parents[2]
SHARED, DEMO = ROOT.parent / "shared" / "videos", ROOT / "build" / "demo.mp4"
SUFFIXES = {".mp4", ".webm", ".mkv", ".flv", ".ts"}
GOALS = {"cold": 6.0, "warm": 2.0, "warm, measured": 2.0}  # s
LEADING = ("--lead", "clock", "--sync-to")
START = 0xFA
PATIENCE = 60.0  # s
SETTINGS = '[watch]\nignore = ["*"]\n[live]\nwarm = true\n'


def begin(folder: Path) -> Result:
    """Measure how long the first note takes."""
    result = Result()
    session = folder / "session"
    session.mkdir()
    (session / "cmt-bridge.toml").write_text(SETTINGS)
    clips = [Path(shutil.copy(clip, session)) for clip in _clips()]
    environment = {"CMT_BRIDGE_STATE": str(folder / "state")}
    times: dict[str, list[tuple[float, float]]] = {}
    rows: list[list[object]] = []
    with server(folder, realtime=True) as jack:
        home = {**jack.environment, **environment}
        times["cold"] = [_first(jack, clip, {**home, "CMT_BRIDGE_CACHE": str(folder / "cold")}) for clip in clips]
        home["CMT_BRIDGE_CACHE"] = str(folder / "warm")
        _program(home, "daemon", "start", str(session))
        try:
            time.sleep(10.0)  # it loads the model
            times["warm"] = [_first(jack, clip, home) for clip in clips]
            for clip in clips:
                _program(home, "analyze", str(clip))
            times["warm, measured"] = [_first(jack, clip, home) for clip in clips]
        finally:
            _program(home, "daemon", "stop", str(session))
    for number, clip in enumerate(clips):
        rows.append([clip.name, *(round(figure, 2) for each in times.values() for figure in each[number])])
    columns = [column for each in times.values() for column in zip(*each, strict=True)]
    rows.append(["p50", *(round(percentile(column, 0.5), 2) for column in columns)])
    rows.append(["max", *(round(max(column), 2) for column in columns)])
    head = ["", *(title for name in times for title in (name, "note"))]
    result.lines = ["from the command to bar 1 and to the first note, in seconds", *table(head, rows)]
    for name, goal in GOALS.items():
        late = sum(bar > goal for bar, _ in times[name])
        result.require(not late, f"{name}: {late} of {len(clips)} begin later than after {goal:g} s")
    return result


def _clips() -> Sequence[Path]:
    """Give real clips: those beside the checkout, or the demo's."""
    with suppress(OSError):
        if found := sorted(path for path in SHARED.iterdir() if path.suffix in SUFFIXES):
            return found
    return [DEMO]


def _first(jack: Server, clip: Path, home: Mapping[str, str]) -> tuple[float, float]:
    """Give the seconds until bar 1 of a clip, and until its first note."""
    for made in clip.parent.glob(f"{clip.stem}*.mid"):
        made.unlink()
    with recorder(jack, ports=2) as ear:
        notes, sync = ear.inputs
        began = time.monotonic()
        process = subprocess.Popen(
            [str(PROGRAM), "stream", str(clip), "--fresh", "--json", "--to", notes, *LEADING, sync],
            env=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said["event"] == "state" and said["rolling"] and said["sounding"]:
                break
            if time.monotonic() - began > PATIENCE:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        heard = ear.stop()
    bar = next((each.time for each in heard if each.data[0] == START), None)
    note = next((each.time for each in heard if each.is_on), None)
    if bar is None or note is None:
        raise RuntimeError(f"{clip.name}: nothing is heard")
    return bar / 1e9 - began, note / 1e9 - began


def _program(home: Mapping[str, str], *arguments: str) -> None:
    subprocess.run(
        [str(PROGRAM), *arguments],
        env={**os.environ, **home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
