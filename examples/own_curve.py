"""Compose for a curve that you draw yourself, before there is a picture: here a long rise with hits at its end.

Run it with `python examples/own_curve.py rise.mid [model]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.outputs.midi import write_midi
from cmt_bridge.pipeline import Picture, score_picture


def main() -> None:
    output = Path(sys.argv[1])
    model = sys.argv[2] if len(sys.argv) > 2 else DEFAULT

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
