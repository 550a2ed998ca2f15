"""Compose for a curve that you draw yourself, before there is a picture: here a long rise with hits at its end.

Run it with `python examples/own_curve.py rise.mid [model]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.outputs.midi import write_midi
from cmt_bridge.scoring.pipeline import Picture, score_picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Compose for a curve that is drawn in this script.")
    parser.add_argument("output", type=Path, help="the MIDI file to write, which must not be there yet")
    parser.add_argument("model", nargs="?", default=DEFAULT, help="name of a model, or path of its weights")
    given = parser.parse_args()
    output, model = given.output, given.model
    if output.exists():
        parser.error(f"{output} exists already; name a new file")

    density = (2, 2, 4, 4, 6, 8, 10, 12, 1)  # onsets per bar; the last bar is the last chord
    hits = [ControlBeat(tick, strength=4) for tick in range(6 * TICKS_PER_BAR, 8 * TICKS_PER_BAR, 4)]
    control = ControlTrack(
        tempo_map=TempoMap.constant(100),
        density=density,
        beats=tuple(hits),
        n_beat=len(density) * TICKS_PER_BAR,
    )
    (score,) = score_picture(
        Picture("rise", sha256="", control=control),
        ComposeOptions(seed=2, density_control=(1.0,), beat_control=(1.0,)),
        model=model,
    )
    write_midi(score, output)
    print(f"{output}: {score.bars} bars, {score.duration:.1f} s")


if __name__ == "__main__":
    main()
