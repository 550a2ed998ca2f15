"""Measure regeneration: from the request for five bars to the new file, and what its right seam is worth.

Time: a score of usual and of dense music, five bars in its middle, eight candidates, as the verb does by default. Warm
is from the request to a daemon, whose worker has the network loaded, to the new take and its MIDI file in the session,
and should take 3 s at most; cold is the whole command, in a process of its own, and should take 10 s at most. The ratio
is the time over its goal. Warm is the fastest of some runs.

Seam: bars of held-out music composed anew, and the mean surprise of the bars that follow, in nats per event, beside
that of the real music. Plain re-sampling hears the left side alone and takes what comes; regeneration hears both sides
and takes the best of eight. Needs a dataset (`cmt-bridge data build`).

    python benchmarks/regenerate.py [--data DATASET] [--pieces 40] [--model MODEL]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.scoring.infill import CANDIDATES
from cmt_bridge.scoring.pipeline import load_engine
from cmt_bridge.service.client import Client
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from cmt_bridge.training.dataset import open_dataset
from cmt_bridge.training.likelihood import infilling, middles_of

BARS, FIRST, COUNT = 24, 10, 5
DENSITIES = (6, 12)  # onsets a bar: as pictures ask for, and dense
REPEATS = 5
GOALS = {"warm": 3.0, "cold": 10.0}


def times(model: str, folder: Path, density: int) -> None:
    control = ControlTrack(TempoMap.constant(120), (density,) * BARS, (), BARS * 16)
    options = ComposeOptions(density_control=(1.0,))
    (rows,) = compose(Decoding(load_engine(model)[1], control, options))
    score = realize(rows, control, options, title="music")
    facts = TakeInfo("score", "2026-01-01T00:00:00+00:00")
    project = TakeFolder.create(folder / f"{density}.cmt", "clip.mp4", "", [NewTake(score, facts)])
    notes = sum(len(track.notes) for track in score.tracks)
    print(f"{COUNT} of {BARS} bars, {density} onsets and {notes / BARS:.0f} notes a bar, {CANDIDATES} candidates")
    print(f"{'':22} {'s':>6} {'goal':>6} {'x goal':>7}")
    bars = f"{FIRST + 1}-{FIRST + COUNT}"
    command = [sys.executable, "-m", "cmt_bridge", "regenerate", str(project.folder), "--bars", bars, "--model", model]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    print(_line("cold, float32", time.perf_counter() - start, GOALS["cold"]))
    with daemon(folder) as client:
        for precision in ("float32", "int8"):
            wish = {"path": str(project.folder), "bars": bars, "model": model, "precision": precision}
            best = min(_asked(client, wish | {"seed": seed}) for seed in range(1 + REPEATS))
            print(_line(f"warm, {precision}", best, GOALS["warm"]))


@contextmanager
def daemon(folder: Path) -> Iterator[Client]:
    """Watch a folder while the body runs."""
    process = subprocess.Popen([sys.executable, "-m", "cmt_bridge", "watch", str(folder)], stderr=subprocess.DEVNULL)
    try:
        while (client := Client.for_path(folder)) is None:
            time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait()


def _asked(client: Client, wish: dict[str, object]) -> float:
    """Give the seconds from a request to its take."""
    start = time.perf_counter()
    job = client.follow(client.request("POST", "/v1/regenerate", wish)["id"], lambda *_: None)
    if job["state"] != "done":
        raise SystemExit(job["reason"])
    return time.perf_counter() - start


def _line(name: str, seconds: float, goal: float) -> str:
    return f"{name:22} {seconds:6.1f} {goal:6.1f} {seconds / goal:7.2f}"


def seams(model: str, data: Path, pieces: int) -> None:
    _, engine = load_engine(model)
    if not isinstance(engine, EventEngine):
        return
    stretches = middles_of(open_dataset(data).held_out, most=pieces)
    found = infilling(engine, stretches)
    print(f"\nthe bars after a middle of 4 bars, {len(stretches)} held-out stretches")
    print(f"{'':30} {'nats per event':>14} {'x real':>7}")
    for name, value in (
        ("real music", found.after_true),
        ("the left alone, first", found.after_left),
        ("both sides, first", found.after_both),
        ("both sides, best of eight", found.after_best),
    ):
        print(f"{name:30} {value:14.3f} {value / found.after_true:7.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pieces", type=int, default=40)
    arguments = parser.parse_args()
    np.seterr(all="raise", under="ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CMT_BRIDGE_STATE"] = str(Path(folder) / "state")
        watched = Path(folder) / "watched"
        watched.mkdir()
        for density in DENSITIES:
            times(arguments.model, watched, density)
    if arguments.data is not None:
        seams(arguments.model, arguments.data, arguments.pieces)


if __name__ == "__main__":
    main()
