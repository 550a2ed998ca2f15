"""Score a clip from Python: each stage gives a value that can be looked at, kept and changed.

Run it with `python examples/score_from_python.py clip.mp4 music [model]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.scoring.pipeline import deliver, look_at, score_picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a clip, stage by stage.")
    parser.add_argument("clip", type=Path, help="a video")
    parser.add_argument("folder", type=Path, help="the folder to write; where it is there, the next take of it")
    parser.add_argument("model", nargs="?", default=DEFAULT, help="name of a model, or path of its weights")
    given = parser.parse_args()
    clip, folder, model = given.clip, given.folder, given.model

    picture = look_at(clip, AnalysisOptions(tempo_low=80, tempo_high=120))
    control = picture.control
    print(f"{control.bars} bars at {control.tempo_map.bpm_at(0):.2f} BPM, {len(control.beats)} visual beats")
    for bar, density in enumerate(control.density):
        print(f"  bar {bar + 1:3} at {float(control.tempo_map.bar_seconds(bar)):6.2f} s {'▪' * density}")

    quiet = ComposeOptions(seed=1, instruments=(Instrument.PIANO, Instrument.STRINGS), density_control=(1.0,))
    scores = score_picture(picture, quiet, model=model, variations=2)
    for path in deliver(scores, picture, folder):
        print(path)


if __name__ == "__main__":
    main()
