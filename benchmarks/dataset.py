"""Measure how many files a second `data build` reads, against the original's conversion to compound words.

    python benchmarks/dataset.py [FOLDER …] [--workers N] [--songs 300]

Without a FOLDER it makes songs itself: bands of five with about 2,500 notes, each another. All is counted: starting the
processes, reading, looking for duplicates, writing. The second line counts processor time instead of time on the clock,
for machines that have other work to do.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import mido
import numpy as np

from cmt_bridge.training.corpus import build_dataset

ORIGINAL = 6.9  # files/s: the released code's midi2numpy_mix.py, measured on two cores of this kind of machine
BAND = ((0, 0, 60), (1, 25, 52), (2, 33, 36), (3, 48, 55), (9, 0, 36))  # channel, program, lowest pitch
BARS, EIGHTH = 64, 240


def write_song(path: Path, seed: int) -> None:
    """Write a song of random eighths."""
    rng = np.random.default_rng(seed)
    midi = mido.MidiFile(ticks_per_beat=2 * EIGHTH)
    for channel, program, low in BAND:
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for pitch in (low + rng.integers(0, 12, BARS * 8)).tolist():
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=80))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=EIGHTH))
        midi.tracks.append(track)
    midi.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--workers", type=int, help="processes; as many as processors else")
    parser.add_argument("--songs", type=int, default=300, help="how many to make where no folder is given")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = arguments.folders
        if not folders:
            folders = [Path(name) / "songs"]
            folders[0].mkdir()
            for seed in range(arguments.songs):
                write_song(folders[0] / f"{seed}.mid", seed)
        start, worked = time.perf_counter(), sum(os.times()[:4])
        report = build_dataset(folders, Path(name) / "dataset", workers=arguments.workers)
        seconds, worked = time.perf_counter() - start, sum(os.times()[:4]) - worked
    notes = report.training.notes + report.held_out.notes
    print(f"{report.files:,} files, {notes:,} notes in {seconds:.1f} s")
    print(f"{'':28}{'files/s':>8}{'ratio':>8}")
    for title, rate in (("data build", report.files / seconds), ("  per second of a processor", report.files / worked)):
        print(f"{title:28}{rate:8.1f}{rate / ORIGINAL:8.1f}")
    print(f"{'original':28}{ORIGINAL:8.1f}{1:8.1f}   recorded: its released code, two cores of this kind of machine")


if __name__ == "__main__":
    main()
