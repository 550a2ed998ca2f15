"""Score a clip from Python: each stage gives a value that can be looked at, kept and changed.

Run it with `python examples/score_from_python.py clip.mp4 music [model]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cmt_bridge as cmt


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a clip, stage by stage.")
    parser.add_argument("clip", type=Path, help="a video")
    parser.add_argument("folder", type=Path, help="the folder to write, which must not be there yet")
    parser.add_argument("model", nargs="?", help="name of a model, or path of its weights")
    given = parser.parse_args()
    clip, folder, model = given.clip, given.folder, given.model
    if folder.exists():
        parser.error(f"{folder} exists already; name a new folder")

    analysis = cmt.analyze(clip, tempo_range=(80, 120))
    print(f"{analysis.bars} bars at {analysis.tempo:.2f} BPM, {len(analysis.beats)} visual beats")
    for bar, density in enumerate(analysis.density):
        print(f"  bar {bar + 1:3} at {float(analysis.tempo_map.bar_seconds(bar)):6.2f} s {'▪' * density}")

    for seed in (1, 2):
        score = cmt.compose(analysis, seed=seed, instruments=["piano", "strings"], density_control=1, model=model)
        print(score.save(folder / f"seed {seed}.mid"))
        score.save(folder / f"seed {seed}.json")


if __name__ == "__main__":
    main()
